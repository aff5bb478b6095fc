//! Trailers of signed messages, by a rule that leaves nothing to guess. Git's own is lenient: it takes a paragraph for
//! trailers in which a quarter of the lines are some.

/// The values that a message has for a trailer.
///
/// They stand in its last paragraph, which is not its first, and of which each line is `Name: value`.
pub(super) fn values<'a>(message: &'a [u8], name: &str) -> Vec<&'a str> {
    let Ok(message) = std::str::from_utf8(message) else { return Vec::new() };
    let lines: Vec<&str> = message.trim().lines().collect();
    let Some(blank) = lines.iter().rposition(|line| line.trim().is_empty()) else { return Vec::new() };
    let trailers: Option<Vec<_>> = lines.iter().skip(blank + 1).map(|line| trailer(line)).collect();
    let named =
        trailers.unwrap_or_default().into_iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value).collect()
}

fn trailer(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(": ")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (!name.is_empty() && name.chars().all(plain)).then(|| (name, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_stand_in_the_last_paragraph_alone() {
        let rows: [(&str, &[&str]); 14] = [
            ("Subject\n\nBranch: main\n", &["main"]),
            ("Subject\n\nBody\n\nSigned-off-by: A <a@b>\nBranch: main\nbranch:  two \n\n", &["main", "two"]),
            ("\nSubject\n \nBranch: main\n", &["main"]),
            ("Branch: main\n", &[]),
            ("\n\nBranch: main\n", &[]),
            ("Subject\nBranch: main\n", &[]),
            ("Subject\n\nBranch: main\n\nMore\n", &[]),
            ("Subject\n\nBranch: main\n(cherry picked from commit 0123)\n", &[]),
            ("Subject\n\nWe set\nBranch: main\n", &[]),
            ("Subject\n\nBranch: main\n folded\n", &[]),
            ("Subject\n\n> Branch: main\n", &[]),
            ("Subject\n\nBranch:main\n", &[]),
            ("Subject\n\n Branch: main\nOther: x\n", &[]),
            ("", &[]),
        ];
        for (message, expected) in rows {
            assert_eq!(values(message.as_bytes(), "Branch"), expected, "{message}");
        }
        assert!(values(b"Subject\n\nBranch: \xff\n", "Branch").is_empty());
    }
}
