//! A review as annotations of GitHub, at the lines that are the cause.

use chainmail_contract::escape::line;
use chainmail_findings::Agreed;
use chainmail_review::diff::{Cause, Flow, Isolation, IsolationChange, Review, Side};

use super::words::{counted, headline};
use crate::annotation::{Annotation, At, Level, commands};
use crate::escape::short;

/// Prints a review: what lets the world in is an error, what opens a warning, what closes or is waived a notice. The last
/// line is the summary, for the log.
#[must_use]
pub fn github(review: &Review) -> String {
    let mut all = Vec::new();
    if let Some(reachability) = &review.reachability {
        all.extend(reachability.flows.iter().map(of_flow));
        all.extend(reachability.isolation.iter().map(of_isolation));
    }
    format!("{}{}\n", commands(&all), line(&headline(review)))
}

fn of_flow(flow: &Flow) -> Annotation {
    let level = match (flow.world, flow.change.opens()) {
        (true, true) => Level::Error,
        (false, true) => Level::Warning,
        (_, false) => Level::Notice,
    };
    let world = if flow.world { " to the world" } else { "" };
    let ends = |ends: &[String]| match ends {
        [] => "anyone".to_owned(),
        [one] => short(one, 80),
        [first, rest @ ..] => format!("{} and {} more", short(first, 80), rest.len()),
    };
    let allowed = |allowed: &chainmail_review::query::Allowed| short(&allowed.to_string(), 80);
    let message = format!(
        "{} → {}: {} before, {} after; chainmail explain {} {} {}",
        ends(&flow.from.ends),
        ends(&flow.to.ends),
        allowed(&flow.before),
        allowed(&flow.after),
        short(&flow.witness.from, 80),
        short(&flow.witness.to, 80),
        flow.witness.service
    );
    let title = format!("{:?}{world}", flow.change);
    annotation(level, title, message, flow.causes.first(), flow.waived.as_ref())
}

fn of_isolation(isolation: &Isolation) -> Annotation {
    let (level, title) = match isolation.change {
        IsolationChange::NoLongerIsolated => (Level::Warning, "No longer isolated"),
        IsolationChange::NewlyIsolated => (Level::Notice, "Newly isolated"),
    };
    let first = isolation.pods.ends.first().map_or_else(String::new, |pod| short(pod, 80));
    let pods = counted(isolation.pods.count, "pod", "pods");
    let message = match &isolation.addresses[..] {
        [] => format!("{}: {pods}, {first} among them", isolation.direction),
        [address] => format!("{}: address {address}, which {first} had", isolation.direction),
        [address, rest @ ..] => {
            let (direction, more) = (isolation.direction, rest.len());
            format!("{direction}: address {address} and {more} more, which {pods} had, {first} among them")
        }
    };
    annotation(level, title.to_owned(), message, isolation.causes.first(), isolation.waived.as_ref())
}

fn annotation(
    level: Level,
    title: String,
    mut message: String,
    cause: Option<&Cause>,
    waived: Option<&Agreed>,
) -> Annotation {
    let mut at = None;
    match cause {
        Some(Cause { side: Side::Head, file, line, .. }) => {
            at = Some(At { file: file.clone(), line: *line, column: None });
        }
        // A line of the base stands elsewhere in what the pull request shows, or nowhere.
        Some(Cause { side: Side::Base, file, line, .. }) => {
            message.push_str(&format!(" (was at {}:{line})", short(file, 80)));
        }
        None => {}
    }
    let level = if waived.is_some() { Level::Notice } else { level };
    let waived = waived.map(|agreed| format!("waived {agreed}"));
    Annotation { level, title, message: [Some(message), waived].into_iter().flatten().collect(), at }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::annotation::runner;
    use crate::hostile;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn annotations_keep_their_limits_and_give_no_command(review in hostile::review()) {
            let text = github(&review);
            let commands = runner::within_limits(&text).map_err(TestCaseError::fail)?;
            let reachability = review.reachability.as_ref().expect("it was made so");
            let rows = reachability.flows.len() + reachability.isolation.len();
            prop_assert_eq!(commands.is_empty(), rows == 0);
            let last = text.lines().last().unwrap_or_default();
            prop_assert!(last.contains("1234 flows opened"), "{}", last);
        }
    }
}
