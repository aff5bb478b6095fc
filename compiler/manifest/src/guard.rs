//! Refuses YAML that would cost far more to read than to write, and what programs read differently: tags, and merge keys
//! that depend on the program. The decoder takes minutes for 100,000 nested brackets, and seconds for a few thousand
//! aliases of one large node.

use std::collections::BTreeMap;

use chainmail_findings::Code;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use super::decode_error::DecodeError;
use super::merge::{self, Merges};
use crate::source::outline::{MERGE_KEY, Spot, spot};

/// The deepest nesting that is read. A NetworkPolicy has about ten levels, a Pod about fifteen.
const DEPTH: usize = 64;
/// The most nodes that aliases may come to, each counted as often as the decoder would visit it. Templates repeat a few
/// labels.
const REPEATED: usize = 10_000;

/// Says why a document must not be decoded, or whether it has merge keys. One look at the bytes clears nearly all of them: an empty `{}` or `[]`
/// nests nothing, `- - ` is rare, and so are aliases.
pub(super) fn guard(text: &str) -> Result<Merges, DecodeError> {
    let bytes = text.as_bytes();
    let deep = |[first, next]: &[u8; 2]| matches!(first, b'[' | b'{') && !matches!(next, b']' | b'}');
    let nests = bytes.array_windows().filter(|pair| deep(pair)).count() > DEPTH;
    let compact = bytes.array_windows().filter(|four| matches!(*four, b"- - " | b"? ? ")).count() > DEPTH / 4;
    let alias = |[first, next]: &[u8; 2]| *first == b'*' && !next.is_ascii_whitespace();
    let repeats = bytes.array_windows().any(alias);
    let tag =
        |[first, next]: &[u8; 2]| matches!(first, b' ' | b'\n' | b'\t' | b'[' | b'{' | b',') && *next == b'!';
    let tagged = bytes.first() == Some(&b'!') || bytes.array_windows().any(tag);
    let suspicious = nests || compact || repeats || tagged || text.contains(MERGE_KEY);
    if suspicious && events(text)? == Merges::Some {
        merge::check(text)?;
        return Ok(Merges::Some);
    }
    Ok(Merges::None)
}

/// The characters that end a line in YAML 1.1 and not in YAML 1.2, with their escapes.
const ODD_LINE_ENDS: [(char, &str); 3] = [('\u{85}', "\\N"), ('\u{2028}', "\\L"), ('\u{2029}', "\\P")];

/// Refuses characters that end a line for some programs only: a comment in front of one hides what stands behind it from a
/// reader, and the decoder reads that as a line of its own.
///
/// # Errors
/// At the first such character.
pub(super) fn check_line_ends(text: &str) -> Result<(), DecodeError> {
    if text.is_ascii() {
        return Ok(());
    }
    let found = text.char_indices().find_map(|(at, character)| {
        ODD_LINE_ENDS.iter().find(|(odd, _)| *odd == character).map(|(_, escape)| (at, character, escape))
    });
    let Some((at, character, escape)) = found else { return Ok(()) };
    let before = text.split_at(at).0;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    Err(DecodeError {
        at: Some(Spot { line: number(line), column: number(column) }),
        code: Code::Syntax,
        message: format!(
            "the character U+{:04X} ends a line for some YAML programs and not for others",
            u32::from(character)
        ),
        help: Some(format!("remove it, or write \"{escape}\" in double quotes")),
    })
}

fn events(text: &str) -> Result<Merges, DecodeError> {
    let mut depth = 0;
    let mut merges = Merges::None;
    let mut sizes = Sizes::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => return Err(scan_error(&error)),
        };
        let refuse =
            |code, message: String| Err(DecodeError { at: Some(spot(&span)), code, message, help: None });
        match &event {
            Event::MappingStart(..) | Event::SequenceStart(..) => depth += 1,
            Event::MappingEnd | Event::SequenceEnd => depth -= 1,
            Event::Scalar(text, ScalarStyle::Plain, _, _) if text == MERGE_KEY => merges = Merges::Some,
            _ => {}
        }
        if let Event::MappingStart(_, Some(tag))
        | Event::SequenceStart(_, Some(tag))
        | Event::Scalar(_, _, _, Some(tag)) = &event
        {
            let message = format!("the tag `{}{}` is not read alike by all programs", tag.handle, tag.suffix);
            let help = Some("write the value without it, in quotes where it must be a string".to_owned());
            return Err(DecodeError { at: Some(spot(&span)), code: Code::YamlTag, message, help });
        }
        sizes.count(&event);
        if depth > DEPTH {
            return refuse(Code::TooComplex, format!("the document is nested deeper than {DEPTH} levels"));
        }
        if sizes.repeated > REPEATED {
            return refuse(
                Code::TooComplex,
                format!("aliases of the document come to more than {REPEATED} values"),
            );
        }
    }
    Ok(merges)
}

/// How many nodes each anchor stands for, and how many come from aliases.
#[derive(Default)]
struct Sizes {
    /// By the parser's number of the anchor.
    anchors: BTreeMap<usize, usize>,
    /// Collections that are not at their end: the anchor, and the nodes so far.
    open: Vec<(usize, usize)>,
    repeated: usize,
}

impl Sizes {
    fn count(&mut self, event: &Event<'_>) {
        match event {
            Event::MappingStart(anchor, _) | Event::SequenceStart(anchor, _) => self.open.push((*anchor, 1)),
            Event::MappingEnd | Event::SequenceEnd => {
                if let Some((anchor, size)) = self.open.pop() {
                    self.node(anchor, size);
                }
            }
            Event::Scalar(_, _, anchor, _) => self.node(*anchor, 1),
            Event::Alias(anchor) => {
                let size = self.anchors.get(anchor).copied().unwrap_or(1);
                self.repeated = self.repeated.saturating_add(size);
                self.node(0, size);
            }
            _ => {}
        }
    }

    /// Notes a whole node; an anchor's number is 0 where there is none.
    fn node(&mut self, anchor: usize, size: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, size);
        }
        if let Some((_, whole)) = self.open.last_mut() {
            *whole = whole.saturating_add(size);
        }
    }
}

/// This parser has a limit of its own to how deep brackets may nest; the decoder must not be the one to find out.
fn scan_error(error: &ScanError) -> DecodeError {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let at = Some(Spot { line: number(error.marker().line()), column: number(error.marker().col() + 1) });
    let (code, message) = if error.info().contains("recursion") {
        (Code::TooComplex, format!("the document is nested deeper than {DEPTH} levels"))
    } else {
        (Code::Syntax, error.info().to_owned())
    };
    DecodeError { at, code, message, help: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_costs_is_refused() {
        let nested = format!("a: {}1{}\n", "[".repeat(65), "]".repeat(65));
        let list = format!("a:\n{}", "- {b: [1]}\n".repeat(1000));
        let wide = format!("a: &x [{}]\nb: [{}]\n", "1, ".repeat(200), "*x, ".repeat(60));
        let layers = (1..9).map(|n| format!("a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(4)));
        let layers = format!("a0: &a0 1\n{}", layers.collect::<String>());
        let few = format!("a: &x {{b: c}}\nb: [{}]\n", "*x, ".repeat(1000));
        let compact = format!("a:\n  {}1\n", "- ".repeat(1000));
        let rows = [
            (nested.as_str(), Some(Code::TooComplex)),
            (list.as_str(), None),
            (compact.as_str(), Some(Code::TooComplex)),
            (wide.as_str(), Some(Code::TooComplex)),
            (layers.as_str(), Some(Code::TooComplex)),
            (few.as_str(), None),
            ("a: &x {b: 1}\nc:\n  <<: *x\n", None),
            ("a: &x {b: 1}\nc:\n  b: 2\n  <<: *x\n", Some(Code::MergeKey)),
            ("a: '<<'\nb: 1 << 2\n", None),
            ("a: !!str 1\n", Some(Code::YamlTag)),
            ("a: {b: !x {}}\n", Some(Code::YamlTag)),
            ("a: b !c\nd: 'e !f'\n", None),
        ];
        for (text, expected) in rows {
            let short: String = text.chars().take(40).collect();
            assert_eq!(guard(text).err().map(|error| error.code), expected, "{short}");
        }
    }

    #[test]
    fn a_line_ends_for_all_programs_or_for_none() {
        for (character, escape) in ODD_LINE_ENDS {
            let error = check_line_ends(&format!("é: 1\nü: b # c{character}d: 1\n")).unwrap_err();
            assert_eq!((error.code, error.at), (Code::Syntax, Some(Spot { line: 2, column: 9 })));
            assert!(check_line_ends(&format!("é: \"a{escape}b\"\r\n")).is_ok());
        }
    }

    #[test]
    fn a_flood_of_brackets_is_refused_at_once() {
        let started = std::time::Instant::now();
        let error = guard(&format!("kind: Pod\nx: {}", "[".repeat(200_000))).unwrap_err();
        assert_eq!(error.code, Code::TooComplex);
        assert!(started.elapsed().as_secs() < 5, "took {:?}", started.elapsed());
    }
}
