//! Pattern lists, as ssh_config(5) describes them under PATTERNS: `*.example.com,!dialup.example.com`.

/// Patterns separated by commas, at least one. `*` stands for any bytes, `?` for one byte; a `!` in front negates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PatternList(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    sign: Sign,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Positive,
    Negated,
}

/// OpenSSH matches nothing by a pattern of 1,023 bytes or more (`sub[1024]` in its match_pattern_list).
const LONGEST: usize = 1022;

impl PatternList {
    /// Reads a list.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let pattern = |part: &str| {
            let (sign, text) = match part.strip_prefix('!') {
                Some(rest) => (Sign::Negated, rest),
                None => (Sign::Positive, part),
            };
            match text.len() {
                0 => Err(format!("the list {text:?} has an empty pattern", text = shortened(part))),
                1..=LONGEST => Ok(Pattern { sign, text: text.to_owned() }),
                _ => Err(format!("a pattern is longer than {LONGEST} bytes")),
            }
        };
        text.split(',').map(pattern).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a word matches some pattern, and no negated one.
    pub(super) fn matches(&self, word: &str) -> bool {
        let some = |sign| {
            self.0
                .iter()
                .any(|pattern| pattern.sign == sign && matches(word.as_bytes(), pattern.text.as_bytes()))
        };
        !some(Sign::Negated) && some(Sign::Positive)
    }

    /// The patterns without a `!`.
    pub(super) fn positive(&self) -> impl Iterator<Item = &str> {
        let positive = self.0.iter().filter(|pattern| pattern.sign == Sign::Positive);
        positive.map(|pattern| pattern.text.as_str())
    }

    /// The first entry that stands for more than its own text, or takes something away.
    pub(super) fn first_pattern(&self) -> Option<String> {
        self.0.iter().find_map(|pattern| match pattern.sign {
            Sign::Negated => Some(format!("!{}", pattern.text)),
            Sign::Positive => pattern.text.contains(['*', '?']).then(|| pattern.text.clone()),
        })
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Whether a pattern stands for a word. Where a `*` took too little it takes one byte more; only the last `*` need do so.
fn matches(word: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut in_pattern) = (0, 0);
    // Behind the last `*`: its place in the pattern, and how far it reaches in the word.
    let mut star: Option<(usize, usize)> = None;
    while at < word.len() {
        match pattern.get(in_pattern) {
            Some(b'*') => {
                in_pattern += 1;
                star = Some((in_pattern, at));
                continue;
            }
            Some(b'?') => {}
            Some(byte) if word.get(at) == Some(byte) => {}
            _ => {
                let Some((behind, taken)) = star else { return false };
                star = Some((behind, taken + 1));
                (at, in_pattern) = (taken + 1, behind);
                continue;
            }
        }
        at += 1;
        in_pattern += 1;
    }
    pattern.iter().skip(in_pattern).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_matches_as_ssh_config_says() {
        let rows = [
            ("git", "git", true),
            ("git", "gi", false),
            ("gi", "git", false),
            ("g?t", "git", true),
            ("g?t", "gt", false),
            ("*", "git", true),
            ("*it", "git", true),
            ("g*t*", "git", true),
            ("**", "", true),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXcXb", false),
            ("file,git", "git", true),
            ("*,!git", "git", false),
            ("!git,*", "git", false),
            ("!file", "git", false),
            ("!g?t,*", "file", true),
            ("!!git,*", "git", true),
            ("GIT", "git", false),
        ];
        for (list, word, expected) in rows {
            assert_eq!(PatternList::parse(list).unwrap().matches(word), expected, "{list} {word}");
        }
        for list in ["", "a,,b", "a,", "!", "a,!", &"x".repeat(1023)] {
            assert!(PatternList::parse(list).is_err(), "{list}");
        }
    }

    #[test]
    fn names_are_told_from_patterns() {
        for (list, expected) in [("a,b", None), ("a,b*", Some("b*")), ("a,!b", Some("!b")), ("?", Some("?"))]
        {
            assert_eq!(PatternList::parse(list).unwrap().first_pattern().as_deref(), expected, "{list}");
        }
    }
}
