//! "Did you mean": the known word that is closest to an unknown one.

/// The known word that a slip of the keyboard would turn into `word`, if there is one.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase();
    let closest = known.into_iter().map(|k| (distance(&folded, &k.to_lowercase()), k)).min()?;
    let (distance, known) = closest;
    (distance <= 1 + word.len() / 4).then_some(known)
}

/// How many letters must be put in, taken out, replaced or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut above: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let mut before = None;
    for (i, a) in from.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = row[j] + usize::from(a != *b);
            let mut best = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if j > 0 && before == Some(*b) && a == to[j - 1] {
                best = best.min(above[j - 1] + 1);
            }
            next.push(best);
        }
        above = std::mem::replace(&mut row, next);
        before = Some(a);
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_and_other_words_are_not() {
        let known = ["podSelector", "ingress", "egress", "policyTypes"];
        let rows = [
            ("ingres", Some("ingress")),
            ("ingerss", Some("ingress")),
            ("PodSelector", Some("podSelector")),
            ("podselectors", Some("podSelector")),
            ("policyType", Some("policyTypes")),
            ("rules", None),
            ("", None),
        ];
        for (word, expected) in rows {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
