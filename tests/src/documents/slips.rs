//! Slips of the hand in a text.

use super::SCALARS;
use crate::seeded::Seeded;

/// Characters that YAML has a meaning for, and a few that it has not.
const SIGNS: &[char] = &[
    ' ', ' ', ' ', '\t', '\n', ':', '-', '?', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'',
    '"', '%', '@', '`', '\\', '~', 'a', '0', '.', '\r', '\u{a0}', '\u{2028}', '\u{85}', '\u{7}',
];

/// A text with one to four slips.
#[must_use]
pub fn slipped(text: &str, random: &mut Seeded) -> String {
    let mut text = text.to_owned();
    for _ in 0..random.between(1, 4) {
        text = slip(&text, random);
    }
    text
}

fn slip(text: &str, random: &mut Seeded) -> String {
    let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    if lines.is_empty() {
        return text.to_owned();
    }
    let at = random.below(lines.len());
    match random.below(12) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        2 => {
            let other = random.below(lines.len());
            lines.swap(at, other);
        }
        3 => lines[at].insert(0, ' '),
        4 => lines[at] = lines[at].strip_prefix(' ').unwrap_or(&lines[at]).to_owned(),
        5 | 6 => {
            if let Some((key, _)) = lines[at].split_once(": ") {
                lines[at] = format!("{key}: {}", random.pick(SCALARS));
            }
        }
        7 => {
            let indent = lines[at].len() - lines[at].trim_start().len();
            let more =
                ["<<: {a: b}", "a: b", "- a", "# note", "zzz: 1", "? a", "labels: {a: b, a: c}", "&x a: *x"];
            lines.insert(at, format!("{}{}", " ".repeat(indent), random.pick(&more)));
        }
        8 => return text.replace('\n', "\r\n"),
        9 => {
            return format!(
                "{}{text}",
                random.pick(&["\u{feff}", "---\n", "--- # note\n", "%YAML 1.2\n---\n", "# note\n", "\n"])
            );
        }
        _ => return misspelt(text, random),
    }
    lines.join("\n") + "\n"
}

/// A character too many, too few, or another.
fn misspelt(text: &str, random: &mut Seeded) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let at = random.below(letters.len().max(1));
    match random.below(3) {
        0 => letters.insert(at.min(letters.len()), *random.pick(SIGNS)),
        1 if at < letters.len() => drop(letters.remove(at)),
        _ if at < letters.len() => letters[at] = *random.pick(SIGNS),
        _ => {}
    }
    letters.into_iter().collect()
}
