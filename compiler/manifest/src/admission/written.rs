//! Words that are strings in YAML 1.2 and something else to kubectl, which reads YAML 1.1: unquoted, the API server
//! would have got `true` for `yes`, and 493 for `0755`. They are refused as it would refuse them.

use chainmail_findings::{Code, FieldPath};

use super::Scope;

/// Which part of a map's entry is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    Value,
}

/// Reports a string at `path` that kubectl would not read as one. The document is looked at for quotes only where the
/// word is such a word.
pub(super) fn check(scope: &mut Scope<'_>, path: &FieldPath, text: &str, part: Part) {
    let Some(kind) = kind_in_yaml_1_1(text) else { return };
    let unquoted = match part {
        Part::Key => scope.sources.is_plain_key(scope.at, path),
        Part::Value => scope.sources.is_plain(scope.at, path),
    };
    if unquoted {
        let message = format!("{text} without quotes is a {kind} to kubectl, and must be a string");
        let help = format!("write \"{text}\" in quotes");
        match part {
            Part::Key => scope.report_key(Code::WrongType, path, message, help),
            Part::Value => scope.report_with_help(Code::WrongType, path, message, help),
        }
    }
}

/// What the resolver of sigs.k8s.io/yaml makes of a word that this program's decoder takes for a string.
fn kind_in_yaml_1_1(text: &str) -> Option<&'static str> {
    match text.len() {
        0 => return None,
        1..=3 => {
            let lower = text.to_ascii_lowercase();
            let is_word = matches!(lower.as_str(), "y" | "n" | "yes" | "no" | "on" | "off");
            let capital = text.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or(text);
            let cased = capital == capital.to_ascii_lowercase() || text == text.to_ascii_uppercase();
            if is_word && cased {
                return Some("boolean");
            }
        }
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let zero_led =
        unsigned.len() > 1 && unsigned.starts_with('0') && unsigned.bytes().all(|b| b.is_ascii_digit());
    let digits = unsigned.replace('_', "");
    let grouped = digits.len() < unsigned.len() && digits.parse::<f64>().is_ok();
    // Without underscores and in small letters the decoder has taken it for a number already.
    let with_radix = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().any(|(prefix, radix)| {
        let digits = digits.to_ascii_lowercase();
        digits
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)))
    });
    (zero_led || grouped || with_radix).then_some("number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_kubectl_reads_otherwise() {
        for text in ["y", "N", "yes", "Yes", "YES", "no", "on", "Off", "OFF"] {
            assert_eq!(kind_in_yaml_1_1(text), Some("boolean"), "{text}");
        }
        for text in [
            "0755", "08", "-01", "1_000", "1_0.5", "0x_1F", "0b_1", "0o_7", "0X1F", "0O17", "0B_1", "0x1_f",
            "-0_x1",
        ] {
            assert_eq!(kind_in_yaml_1_1(text), Some("number"), "{text}");
        }
        for text in [
            "",
            "yEs",
            "not",
            "10",
            "0",
            "1.2.3",
            "a_1",
            "1_a",
            "v1",
            "2024-01-01",
            "0x",
            "0x_",
            "0b_2",
            "0o8",
            "0xg",
        ] {
            assert_eq!(kind_in_yaml_1_1(text), None, "{text}");
        }
    }
}
