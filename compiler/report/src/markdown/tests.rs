//! Whatever is to be said, the comment keeps its limit, counts everything, and means nothing that it was not to.

use proptest::prelude::*;

use super::*;
use crate::hostile::review;

/// How many changes a comment says it left out.
fn left_out(text: &str) -> usize {
    let word = text.split("**").find(|part| part.contains(" more change"));
    word.and_then(|part| part.split(' ').next()?.parse().ok()).unwrap_or(0)
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

/// Text without the links that are ours; of what is within spans nothing is left by now.
fn without_links(text: &str) -> String {
    let mut parts = text.split("[](https://example.org/o/r/blob/");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((link, after))
                if link.chars().all(|c| c.is_ascii_alphanumeric() || "%-._~/#".contains(c)) =>
            {
                rest.push_str(after);
            }
            Some(_) | None => rest.push_str("[broken"),
        }
    }
    rest
}

fn holds(review: &Review, base: Option<&LinkBase>, budget: usize) -> Result<(), TestCaseError> {
    let text = within(review, base, budget);
    prop_assert!(text.len() <= budget, "{} bytes of {budget}", text.len());
    prop_assert!(text.starts_with(MARKER), "the marker comes first");
    prop_assert!(text.contains("1234 flows opened") && text.contains("77 of 4321 nodes"));
    prop_assert!(!text.contains("No change") && !text.contains("same traffic"), "a false all-clear");
    let bad = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{e0041}');
    prop_assert!(!text.contains(bad));

    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |")).collect();
    prop_assert!(rows.iter().all(|row| count(row, "|") == 6), "a name made a cell: {rows:?}");
    let reachability = review.reachability.as_ref().expect("it was made so");
    let all = reachability.flows.len() + reachability.isolation.len();
    prop_assert_eq!(rows.len() + left_out(&text), all, "{}", text);
    prop_assert!(all == 0 || !rows.is_empty(), "the most dangerous row is always there");

    let fences = text.lines().filter(|line| line.starts_with(FENCE)).count();
    prop_assert!(fences.is_multiple_of(2), "a block does not end");
    prop_assert_eq!(count(&text, "<details>"), count(&text, "\n</details>\n"));
    // Outside of spans and blocks there is no text of others.
    let mut in_block = false;
    for line in text.lines() {
        in_block ^= line.starts_with(FENCE);
        if in_block || line.starts_with(FENCE) {
            continue;
        }
        let ours: String = line.split('`').step_by(2).collect();
        prop_assert!(count(line, "`").is_multiple_of(2), "{line}");
        let html = ["<details>", "</details>", "<summary>", "</summary>", "<sub>", "</sub>", MARKER];
        let ours = without_links(&html.iter().fold(ours, |text, tag| text.replace(tag, "")));
        prop_assert!(!ours.contains(['<', '@', '[']) && !line.starts_with("::"), "{line}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_comment_keeps_its_limit_and_tells_what_it_left_out(review in review(), tight in any::<bool>(), linked in any::<bool>()) {
        // The smallest in which the head, a row and all that says what is left out have their place.
        let base: LinkBase = "https://example.org/o/r".parse().expect("it is one");
        holds(&review, linked.then_some(&base), if tight { 11_000 } else { BUDGET })?;
    }
}
