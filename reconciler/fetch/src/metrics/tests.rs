use chainmail_contract::Sha256Hex;
use chainmail_reconciler::clock::Uptime;
use chainmail_reconciler::config::Confirm;

use super::*;
use crate::cycle::unknown;
use crate::status::Handed;

fn facts() -> Facts {
    let digest = Sha256Hex::of("new");
    let handed = Handed {
        commit: "41ab09d".to_owned(),
        tag: None,
        signer: Some("\"a\\b\"\nc".to_owned()),
        digest: digest.clone(),
        time: "2026-03-24T12:34:56Z".to_owned(),
    };
    let fetch = Status {
        state: State::Synced,
        handed: Some(handed),
        answered: Some("2026-03-24T12:35:56Z".to_owned()),
        ..unknown()
    };
    let apply = apply::Status {
        sync: Sync::Synced,
        enforce: Enforce::Enforcing,
        node: "n1".to_owned(),
        backend: "nft".to_owned(),
        desired: Some(digest.clone()),
        enforced: Some(digest),
        since: Some("2026-03-24T12:34:57Z".to_owned()),
        confirm: Confirm::None,
        awaits: None,
        set_back: None,
        checked: Some("2026-03-24T12:36:00Z".to_owned()),
        written: Uptime { boot: String::new(), seconds: 0 },
        late_after: 60,
        pin: None,
        pause: None,
        drift: 0,
        drift_lines: Vec::new(),
        last_heal: None,
        alarms: Vec::new(),
        last_error: None,
        skipped: Vec::new(),
        degraded: BTreeMap::new(),
        counts: [(Event::Applied, 3), (Event::Refused, 1)].into(),
        denied: [("v4".to_owned(), 7)].into(),
    };
    let looks = [(State::Synced, 5), (State::Untrusted, 2)].into();
    Facts { fetch: Some(fetch), apply: Some((apply, Duration::ZERO)), looks, now: Moment(1_774_355_760) }
}

/// Reads a text by the grammar of the format: HELP and TYPE before the samples of a family, once; names and labels of the
/// allowed letters; values escaped; no sample twice. Answers the samples.
fn parse(text: &str) -> BTreeMap<String, u64> {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|letter: char| letter.is_ascii_digit())
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    assert!(text.ends_with('\n'));
    let (mut samples, mut families) = (BTreeMap::new(), BTreeMap::new());
    let mut family = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split_once(' ').unwrap().0;
            assert!(is_name(family) && families.insert(family, "").is_none(), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(name == family && matches!(kind, "counter" | "gauge"), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            families.insert(name, kind);
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) =
                sample.split_once('{').map_or((sample, None), |(name, rest)| (name, Some(rest)));
            assert!(name == family && !families[name].is_empty(), "{line}");
            let mut rest = labels.map(|labels| labels.strip_suffix('}').unwrap()).unwrap_or_default();
            while !rest.is_empty() {
                let (label, quoted) = rest.split_once("=\"").unwrap();
                assert!(is_name(label), "{line}");
                let mut letters = quoted.char_indices();
                let end = loop {
                    match letters.next().unwrap() {
                        (_, '\\') => assert!(matches!(letters.next().unwrap().1, '\\' | '"' | 'n'), "{line}"),
                        (end, '"') => break end,
                        _ => {}
                    }
                };
                rest = quoted.split_at(end).1.strip_prefix('"').unwrap();
                rest = rest.strip_prefix(',').unwrap_or(rest);
            }
            assert!(samples.insert(sample.to_owned(), value.parse().unwrap()).is_none(), "{line}");
        }
    }
    samples
}

#[test]
fn the_text_is_what_prometheus_reads() {
    let samples = parse(&facts().text());
    let digest = Sha256Hex::of("new");
    let rows = [
        ("chainmail_fetch_state{state=\"synced\"}".to_owned(), 1),
        ("chainmail_fetch_state{state=\"held\"}".to_owned(), 0),
        (
            format!(
                "chainmail_handed_info{{commit=\"41ab09d\",digest=\"{digest}\",signer=\"\\\"a\\\\b\\\"\\nc\"}}"
            ),
            1,
        ),
        (format!("chainmail_applied_info{{commit=\"41ab09d\",digest=\"{digest}\"}}"), 1),
        ("chainmail_last_success_timestamp_seconds".to_owned(), 1_774_355_756),
        ("chainmail_applied_timestamp_seconds".to_owned(), 1_774_355_697),
        ("chainmail_desired_age_seconds".to_owned(), 0),
        ("chainmail_apply_up".to_owned(), 1),
        ("chainmail_applies_total".to_owned(), 3),
        ("chainmail_heals_total".to_owned(), 0),
        ("chainmail_reverts_total{reason=\"refused\"}".to_owned(), 1),
        ("chainmail_reverts_total{reason=\"unconfirmed\"}".to_owned(), 0),
        ("chainmail_verify_failures_total{reason=\"untrusted\"}".to_owned(), 2),
        ("chainmail_denied_packets_total{family=\"v4\"}".to_owned(), 7),
    ];
    for (sample, value) in rows {
        assert_eq!(samples.get(&sample), Some(&value), "{sample}\n{samples:#?}");
    }
    let nothing = Facts { fetch: None, apply: None, looks: BTreeMap::new(), now: Moment(0) };
    assert_eq!(nothing.text(), "");
}

#[test]
fn what_is_wanted_and_not_in_force_grows_old() {
    let mut facts = facts();
    facts.apply.as_mut().unwrap().0.enforced = Some(Sha256Hex::of("old"));
    let samples = parse(&facts.text());
    assert_eq!(samples["chainmail_desired_age_seconds"], 64);
    let digest = Sha256Hex::of("old");
    assert_eq!(samples[&format!("chainmail_applied_info{{commit=\"\",digest=\"{digest}\"}}")], 1);
}

#[test]
fn each_sickness_is_said_on_one_line() {
    assert_eq!(facts().sickness(), None);
    type Sicken = fn(&mut Facts);
    let rows: [(&str, Sicken); 7] = [
        ("chainmaild is degraded: v6 is not enforced: ip6tables", |facts| {
            let apply = &mut facts.apply.as_mut().unwrap().0;
            apply.degraded = [("v6".to_owned(), "ip6tables-nft is not installed".to_owned())].into();
            assert_eq!(parse(&facts.text())["chainmail_degraded{family=\"v6\"}"], 1);
        }),
        ("chainmaild has not said", |facts| facts.apply = None),
        ("chainmaild has been silent for 61 s", |facts| {
            facts.apply.as_mut().unwrap().1 = Duration::from_secs(61);
        }),
        ("chainmaild is held rolled-back: x", |facts| {
            let apply = &mut facts.apply.as_mut().unwrap().0;
            (apply.sync, apply.enforce) = (Sync::Held, Enforce::RolledBack);
            apply.last_error = Some("x\ny".to_owned());
        }),
        ("chainmaild is synced drifted", |facts| {
            facts.apply.as_mut().unwrap().0.enforce = Enforce::Drifted;
        }),
        ("chainmail-fetch has not looked", |facts| facts.fetch = None),
        ("chainmail-fetch is untrusted: nobody", |facts| {
            let fetch = facts.fetch.as_mut().unwrap();
            (fetch.state, fetch.reason) = (State::Untrusted, Some("nobody\nelse".to_owned()));
        }),
    ];
    for (expected, sicken) in rows {
        let mut facts = facts();
        sicken(&mut facts);
        let why = facts.sickness().unwrap();
        assert!(why.starts_with(expected) && !why.contains('\n'), "{expected}: {why}");
    }
}
