//! Texts of `ipset save`: one `create` line a set, and one `add` line an entry.

/// A `create` line: name and type as written, the family, and the rest of the options as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create<'t> {
    /// The set's name.
    pub name: &'t str,
    /// The type, as `hash:ip`.
    pub word: &'t str,
    /// The family's word, as `inet`. Without one ipset means IPv4: ipset(8), "family".
    pub family: &'t str,
    /// Option and value of everything else, in order.
    pub options: Vec<(&'t str, Option<&'t str>)>,
}

impl<'t> Create<'t> {
    /// Reads `create NAME TYPE [OPTION [VALUE]]…`.
    #[must_use]
    pub fn parse(line: &'t str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (Some("create"), Some(name), Some(word)) = (words.next(), words.next(), words.next()) else {
            return None;
        };
        let mut create = Self { name, word, family: "inet", options: Vec::new() };
        while let Some(option) = words.next() {
            match option {
                "family" => create.family = words.next()?,
                "hashsize" | "maxelem" | "bucketsize" | "initval" | "timeout" | "netmask" | "bitmask"
                | "markmask" | "size" | "range" => create.options.push((option, Some(words.next()?))),
                flag => create.options.push((flag, None)),
            }
        }
        Some(create)
    }
}

/// The text of each set, from its `create` line on. What stands between quotes, which is a comment of an entry, begins no
/// set.
pub fn set_texts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = first_end(rest, |text| {
            // Entries have lines that begin with another letter.
            let mut newlines = text.match_indices('\n').map(|(newline, _)| newline);
            newlines.find(|newline| text.as_bytes().get(newline + 1) == Some(&b'c'))
        });
        let (set, behind) = rest.split_at_checked(end.map_or(rest.len(), |newline| newline + 1))?;
        rest = behind;
        (!set.is_empty()).then_some(set)
    })
}

/// The lines of a text of sets; a newline between quotes ends none.
pub fn entries(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    // Sets of ours have none, and may have many entries.
    let has_quotes = text.contains('"');
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let quoted = if has_quotes { first_end(rest, |text| text.find('\n')) } else { None };
        let end = quoted.or_else(|| rest.find('\n'));
        let (line, behind) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        rest = behind.strip_prefix('\n').unwrap_or(behind);
        Some(line)
    })
}

/// The first place that `find` finds outside quotes. ipset has no way to put a quote into a quoted word, and takes a
/// backslash for a letter (`build_argv` of ipset.c).
fn first_end(text: &str, find: impl Fn(&str) -> Option<usize>) -> Option<usize> {
    let (mut from, mut is_quoted) = (0, false);
    loop {
        let (_, behind) = text.split_at_checked(from)?;
        let found = find(behind)?;
        let before = behind.as_bytes().get(..found).unwrap_or_default();
        is_quoted ^= before.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
        if !is_quoted {
            return Some(from + found);
        }
        from += found + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_create_line_has_options_with_and_without_values() {
        let line = "create cm4-a hash:ip family inet6 hashsize 64 forceadd netmask 24";
        let create = Create::parse(line).unwrap();
        assert_eq!((create.name, create.word, create.family), ("cm4-a", "hash:ip", "inet6"));
        assert_eq!(create.options, [("hashsize", Some("64")), ("forceadd", None), ("netmask", Some("24"))]);
        for line in ["create cm4-a hash:ip family", "create cm4-a", "add cm4-a 10.0.0.1"] {
            assert_eq!(Create::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_comment_of_an_entry_begins_no_set_and_no_entry() {
        let text = "create X hash:ip family inet comment\nadd X 10.0.0.1 comment \"a\ncreate cm4-a hash:ip\\\"\nadd X 10.0.0.2\n\
                    create Y hash:ip\n";
        let sets: Vec<&str> = set_texts(text).collect();
        assert_eq!(sets.len(), 2, "{sets:?}");
        assert_eq!(sets[1], "create Y hash:ip\n");
        let lines: Vec<&str> = entries(sets[0]).collect();
        assert_eq!(lines[1], "add X 10.0.0.1 comment \"a\ncreate cm4-a hash:ip\\\"");
        assert_eq!(lines[2..], ["add X 10.0.0.2"]);
        assert_eq!(entries("add X 1 comment \"open\nadd X 2\n").count(), 2);
    }
}
