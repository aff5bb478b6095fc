//! Refuses YAML that would cost far more to read than to write, and the merge key. The decoder takes minutes for
//! 100,000 nested brackets, and seconds for a few thousand aliases of one large node.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use super::yaml::DecodeError;
use crate::diagnostic::Code;
use crate::source::outline::{Spot, spot};

/// The deepest nesting that is read. A NetworkPolicy has about ten levels, a Pod about fifteen.
const DEPTH: usize = 64;
/// The most aliases of one document.
const ALIASES: usize = 64;

/// Says why a document must not be decoded. One look at the bytes clears nearly all of them: an empty `{}` or `[]`
/// nests nothing, and other brackets are rare in manifests.
pub(super) fn guard(text: &str) -> Result<(), DecodeError> {
    let pairs = text.as_bytes().windows(2);
    let suspicious =
        pairs.filter(|pair| matches!(pair[0], b'[' | b'{' | b'*') && !matches!(pair[1], b']' | b'}'));
    if suspicious.count() > DEPTH.min(ALIASES) || text.contains("<<") { events(text) } else { Ok(()) }
}

fn events(text: &str) -> Result<(), DecodeError> {
    let (mut depth, mut aliases) = (0, 0);
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => return Err(scan_error(&error)),
        };
        let refuse =
            |code, message: String| Err(DecodeError { at: Some(spot(&span)), code, message, help: None });
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => depth += 1,
            Event::MappingEnd | Event::SequenceEnd => depth -= 1,
            Event::Alias(_) => aliases += 1,
            Event::Scalar(text, ScalarStyle::Plain, _, _) if text == "<<" => {
                return refuse(
                    Code::MergeKey,
                    "the merge key `<<` is not read by Kubernetes; write the fields out".to_owned(),
                );
            }
            _ => {}
        }
        if depth > DEPTH {
            return refuse(Code::TooComplex, format!("the document is nested deeper than {DEPTH} levels"));
        }
        if aliases > ALIASES {
            return refuse(Code::TooComplex, format!("the document has more than {ALIASES} aliases"));
        }
    }
    Ok(())
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
        let aliases = format!("a: &x 1\nb: [{}]\n", "*x, ".repeat(65));
        let rows = [
            (nested.as_str(), Some(Code::TooComplex)),
            (list.as_str(), None),
            (aliases.as_str(), Some(Code::TooComplex)),
            ("a: &x {b: 1}\nc:\n  <<: *x\n", Some(Code::MergeKey)),
            ("a: '<<'\nb: 1 << 2\n", None),
        ];
        for (text, expected) in rows {
            let short = &text[..text.len().min(40)];
            assert_eq!(guard(text).err().map(|error| error.code), expected, "{short}");
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
