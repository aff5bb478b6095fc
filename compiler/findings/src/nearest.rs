//! "Did you mean": the known word that is closest to an unknown one.

/// The known word that a slip of the keyboard would turn into `word`, if there is one.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded: Vec<char> = word.to_lowercase().chars().collect();
    let mut most = 1 + word.len() / 4;
    let mut closest: Option<(usize, &str)> = None;
    for known in known {
        if let Some(distance) = distance(&folded, known, most) {
            most = distance;
            let found = (distance, known);
            closest = Some(closest.map_or(found, |closest| closest.min(found)));
        }
    }
    closest.map(|(_, known)| known)
}

/// How many letters must be put in, taken out, replaced or swapped with their neighbour, if it is at most `most`. Words whose
/// lengths differ by more are not compared, and a comparison ends where no way on is short enough.
fn distance(from: &[char], to: &str, most: usize) -> Option<usize> {
    // A character has at most four bytes, and lower case has no fewer characters.
    if to.len() / 4 > from.len() + most {
        return None;
    }
    let to: Vec<char> = to.to_lowercase().chars().collect();
    if from.len().abs_diff(to.len()) > most {
        return None;
    }
    let far = most + 1;
    let mut above = vec![far; to.len() + 1];
    let mut row: Vec<usize> = (0..=to.len()).map(|letters| letters.min(far)).collect();
    let mut next = vec![far; to.len() + 1];
    for (i, a) in from.iter().enumerate() {
        // Outside of this band more letters are put in or taken out than may be.
        let (first, last) = ((i + 1).saturating_sub(most), (i + 1 + most).min(to.len()));
        next.fill(far);
        if first == 0 {
            next[0] = i + 1;
        }
        for j in first.max(1)..=last {
            let b = to[j - 1];
            let replaced = row[j - 1] + usize::from(*a != b);
            let mut best = replaced.min(row[j] + 1).min(next[j - 1] + 1);
            if j > 1 && i > 0 && from[i - 1] == b && *a == to[j - 2] {
                best = best.min(above[j - 2] + 1);
            }
            next[j] = best.min(far);
        }
        // A swap reaches back over one row.
        let is_far = |row: &[usize]| row.iter().all(|distance| *distance > most);
        if is_far(&next) && is_far(&row) {
            return None;
        }
        std::mem::swap(&mut above, &mut row);
        std::mem::swap(&mut row, &mut next);
    }
    row.last().copied().filter(|distance| *distance <= most)
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

    /// The whole table of distances, without any bound.
    fn plain(from: &str, to: &str) -> usize {
        let [from, to] = [from, to].map(|word| word.chars().collect::<Vec<char>>());
        let mut table = vec![vec![0; to.len() + 1]; from.len() + 1];
        for i in 0..=from.len() {
            for j in 0..=to.len() {
                table[i][j] = match (i, j) {
                    (0, _) | (_, 0) => i + j,
                    _ => {
                        let replaced = table[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
                        let mut best = replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                        if i > 1 && j > 1 && from[i - 2] == to[j - 1] && from[i - 1] == to[j - 2] {
                            best = best.min(table[i - 2][j - 2] + 1);
                        }
                        best
                    }
                };
            }
        }
        table[from.len()][to.len()]
    }

    /// Every pair of words of at most five of three letters, with every bound.
    #[test]
    fn a_bound_changes_no_distance_within_it() {
        let mut words = vec![String::new()];
        for from in 0.. {
            if words[from].len() == 5 {
                break;
            }
            words.extend(["a", "b", "c"].map(|letter| format!("{}{letter}", words[from])));
        }
        for from in words.iter().step_by(3) {
            let letters: Vec<char> = from.chars().collect();
            for to in &words {
                let expected = plain(from, to);
                for most in 0..=5 {
                    let found = distance(&letters, to, most);
                    assert_eq!(found, (expected <= most).then_some(expected), "{from} {to} {most}");
                }
            }
        }
    }
}
