//! How this node stands, for Prometheus and for whoever asks whether all is well.
//!
//! All of it is in what both halves write about themselves, and is read anew for each question: there is nothing to count
//! along, so a text is written and no registry kept.

pub mod serve;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use chainmail_reconciler::clock::Moment;
use chainmail_reconciler::state::Event;
use chainmail_reconciler::status::{self as apply, Enforce, Sync};

use crate::status::{State, Status};

/// What is known of both halves.
#[derive(Debug, Clone)]
pub struct Facts {
    /// How things stand with pulling.
    pub fetch: Option<Status>,
    /// How things stand with applying, and for how long nothing else was said.
    pub apply: Option<(apply::Status, Duration)>,
    /// How often a look at the remote came to each state since the verifying service began.
    pub looks: BTreeMap<State, u64>,
    /// This moment.
    pub now: Moment,
}

impl Facts {
    /// Nothing where all is well, or why not, on one line.
    #[must_use]
    pub fn sickness(&self) -> Option<String> {
        let Some((apply, age)) = &self.apply else {
            return Some("chainmaild has not said how things stand".to_owned());
        };
        if is_late(apply, *age) {
            return Some(format!("chainmaild has been silent for {} s", age.as_secs()));
        }
        let applies = matches!(apply.sync, Sync::Synced | Sync::PendingConfirm)
            && matches!(apply.enforce, Enforce::Enforcing | Enforce::Observing);
        if !applies {
            return Some(why("chainmaild", &apply.words(), apply.last_error.as_deref()));
        }
        if let Some((family, reason)) = apply.degraded.first_key_value() {
            return Some(why("chainmaild", &format!("degraded: {family} is not enforced"), Some(reason)));
        }
        match &self.fetch {
            None => Some("chainmail-fetch has not looked yet".to_owned()),
            Some(fetch) if fetch.state != State::Synced => {
                Some(why("chainmail-fetch", fetch.state.as_str(), fetch.reason.as_deref()))
            }
            Some(_) => None,
        }
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Text::default();
        if let Some(fetch) = &self.fetch {
            self.fetch_text(fetch, &mut text);
        }
        if let Some((apply, age)) = &self.apply {
            self.apply_text(apply, *age, &mut text);
        }
        let (name, help) =
            ("chainmail_verify_failures_total", "Looks at the remote that came to no snapshot.");
        let failures = self.looks.iter().filter(|(state, _)| **state != State::Synced);
        text.family(
            name,
            Kind::Counter,
            help,
            failures.map(|(state, times)| (vec![("reason", state.as_str())], *times)),
        );
        text.0
    }

    fn fetch_text(&self, fetch: &Status, text: &mut Text) {
        let name = "chainmail_fetch_state";
        let states =
            State::ALL.map(|state| (vec![("state", state.as_str())], u64::from(state == fetch.state)));
        text.family(name, Kind::Gauge, "What became of the newest revision: 1 at its state.", states);
        if let Some(handed) = &fetch.handed {
            let labels = vec![
                ("commit", handed.commit.as_str()),
                ("digest", handed.digest.as_str()),
                ("signer", handed.signer.as_deref().unwrap_or_default()),
            ];
            text.family(
                "chainmail_handed_info",
                Kind::Gauge,
                "The revision that was handed over last.",
                [(labels, 1)],
            );
        }
        let held = u64::from(fetch.state == State::Held);
        text.single("chainmail_held", Kind::Gauge, "Whether the newest revision waits for a word.", held);
        let alarms = fetch.alarms.len() as u64;
        text.single(
            "chainmail_fetch_alarms",
            Kind::Gauge,
            "What needs a person in the pulling half.",
            alarms,
        );
        if let Some(answered) = fetch.answered.as_deref().and_then(Moment::parse) {
            let help = "When the remote last answered.";
            text.single("chainmail_last_success_timestamp_seconds", Kind::Gauge, help, answered.0);
        }
    }

    fn apply_text(&self, apply: &apply::Status, age: Duration, text: &mut Text) {
        let running = u64::from(!is_late(apply, age));
        text.single(
            "chainmail_apply_up",
            Kind::Gauge,
            "Whether the applying half says how things stand.",
            running,
        );
        let labels = vec![("sync", apply.sync.as_str()), ("enforce", apply.enforce.as_str())];
        text.family("chainmail_apply_state", Kind::Gauge, "How things stand with the rules.", [(labels, 1)]);
        if let Some(digest) = &apply.enforced {
            let handed = self.fetch.as_ref().and_then(|fetch| fetch.handed.as_ref());
            let commit = handed.filter(|handed| handed.digest == *digest).map_or("", |handed| &handed.commit);
            let labels = vec![("commit", commit), ("digest", digest.as_str())];
            text.family("chainmail_applied_info", Kind::Gauge, "The snapshot in force.", [(labels, 1)]);
        }
        let moments = [
            (
                "chainmail_applied_timestamp_seconds",
                "When the snapshot in force came into force.",
                &apply.since,
            ),
            (
                "chainmail_checked_timestamp_seconds",
                "When the kernel was last read and compared.",
                &apply.checked,
            ),
        ];
        for (name, help, moment) in moments {
            if let Some(moment) = moment.as_deref().and_then(Moment::parse) {
                text.single(name, Kind::Gauge, help, moment.0);
            }
        }
        let help = "For how long another snapshot has been wanted than the one in force.";
        text.single("chainmail_desired_age_seconds", Kind::Gauge, help, self.desired_age(apply));
        text.single(
            "chainmail_drift_lines",
            Kind::Gauge,
            "Lines that others changed and that are not undone.",
            apply.drift as u64,
        );
        let degraded = apply.degraded.keys().map(|family| (vec![("family", family.as_str())], 1));
        let help = "Families that the kernel has and whose rules are not in force.";
        text.family("chainmail_degraded", Kind::Gauge, help, degraded);
        let flags = [
            ("chainmail_paused", "Whether a person lets nothing new into force.", apply.pause.is_some()),
            ("chainmail_pinned", "Whether a person chose the snapshot in force.", apply.pin.is_some()),
            (
                "chainmail_awaits_confirmation",
                "Whether the snapshot in force is to be confirmed.",
                apply.awaits.is_some(),
            ),
        ];
        for (name, help, flag) in flags {
            text.single(name, Kind::Gauge, help, u64::from(flag));
        }
        text.single(
            "chainmail_apply_alarms",
            Kind::Gauge,
            "What needs a person in the applying half.",
            apply.alarms.len() as u64,
        );
        let times = |event: Event| apply.counts.get(&event).copied().unwrap_or(0);
        let counters = [
            ("chainmail_applies_total", "Snapshots that came into force.", Event::Applied),
            ("chainmail_heals_total", "Times that what others changed was undone.", Event::Healed),
        ];
        for (name, help, event) in counters {
            text.single(name, Kind::Counter, help, times(event));
        }
        let reverts = [Event::Refused, Event::Unconfirmed, Event::WentBack, Event::Failed];
        let reverts = reverts.map(|event| (vec![("reason", event.as_str())], times(event)));
        text.family("chainmail_reverts_total", Kind::Counter, "Snapshots that did not stay.", reverts);
        let help = "Packets that the rules denied since they were loaded.";
        let denied =
            apply.denied.iter().map(|(family, packets)| (vec![("family", family.as_str())], *packets));
        text.family("chainmail_denied_packets_total", Kind::Counter, help, denied);
    }

    fn desired_age(&self, apply: &apply::Status) -> u64 {
        let handed = self.fetch.as_ref().and_then(|fetch| fetch.handed.as_ref());
        let waiting = handed.filter(|handed| apply.enforced.as_ref() != Some(&handed.digest));
        let since = waiting.and_then(|handed| Moment::parse(&handed.time));
        since.map_or(0, |since| self.now.0.saturating_sub(since.0))
    }
}

fn is_late(apply: &apply::Status, age: Duration) -> bool {
    age.as_secs() > apply.late_after
}

fn why(who: &str, word: &str, reason: Option<&str>) -> String {
    let reason =
        reason.and_then(|reason| reason.lines().next()).map_or(String::new(), |line| format!(": {line}"));
    format!("{who} is {word}{reason}")
}

/// What a metric is, in the words of the text format.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// A metric's labels.
type Labels<'a> = Vec<(&'static str, &'a str)>;

/// The text format 0.0.4 of Prometheus.
#[derive(Default)]
struct Text(String);

impl Text {
    fn single(&mut self, name: &str, kind: Kind, help: &str, value: u64) {
        self.family(name, kind, help, [(Vec::new(), value)]);
    }

    fn family<'a>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let text = &mut self.0;
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a String takes all");
        for (labels, value) in samples {
            text.push_str(name);
            for (index, (label, value)) in labels.iter().enumerate() {
                let open = if index == 0 { '{' } else { ',' };
                write!(text, "{open}{label}=\"{}\"", escaped(value)).expect("a String takes all");
            }
            if !labels.is_empty() {
                text.push('}');
            }
            writeln!(text, " {value}").expect("a String takes all");
        }
    }
}

/// A label's value: backslash, quote and line feed are escaped, nothing else may be.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests;
