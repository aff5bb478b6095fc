//! Short files of the state with a checksum: a wrong byte is found, and not taken for another order or another rule.

use chainmail_contract::Sha256Hex;
use thiserror::Error;

/// A file whose first line is not the one that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("its checksum does not hold: a byte of it was changed, as by a failing disk")]
pub struct SealError;

const SEAL: &str = "sha256 ";

/// A line, and behind it the line with its checksum.
#[must_use]
pub fn seal(line: &str) -> String {
    format!("{line}\n{SEAL}{}\n", Sha256Hex::of(line))
}

/// The first line of a text, where its checksum holds. A text without one is of a version that wrote none.
///
/// # Errors
/// When the checksum does not hold.
pub fn open(text: &str) -> Result<&str, SealError> {
    let mut lines = text.lines();
    let line = lines.next().unwrap_or_default();
    match lines.next().and_then(|second| second.strip_prefix(SEAL)) {
        Some(seal) if Sha256Hex::of(line).as_str() != seal => Err(SealError),
        Some(_) | None => Ok(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_byte_is_found() {
        let sealed = seal("{\"pin\":1}");
        assert_eq!(open(&sealed), Ok("{\"pin\":1}"));
        assert_eq!(open(&(sealed.clone() + "read-back\n")), Ok("{\"pin\":1}"));
        assert_eq!(open("{\"pin\":1}\n"), Ok("{\"pin\":1}"), "of a version that wrote none");
        let end_of_seal = sealed.len() - 1;
        for place in 0..end_of_seal {
            let mut bytes = sealed.clone().into_bytes();
            bytes[place] ^= 1;
            let text = String::from_utf8(bytes).unwrap();
            // The word before the checksum says that there is one; what follows another line end is no JSON.
            let is_word = (9..10 + SEAL.len()).contains(&place);
            assert_eq!(open(&text).is_err(), !is_word, "{place}: {text}");
        }
    }
}
