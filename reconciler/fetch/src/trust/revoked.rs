//! The file of revoked keys: public keys or their fingerprints, a line each.

use ssh_key::{HashAlg, PublicKey};

use super::signers::{SignersError, lines, word};

/// Keys that are believed nothing, by their fingerprints.
#[derive(Debug, Default)]
pub struct Revoked(Vec<String>);

/// What a key revocation list of `ssh-keygen -k` begins with.
const BINARY: &str = "SSHKRL\n";

/// How revoked keys are written.
pub(super) const FORM: &str = "a list in the binary form of `ssh-keygen -k` is not read: write the revoked public keys as text, \
                               a line each";

impl Revoked {
    /// Reads public keys or their fingerprints, a line each.
    ///
    /// # Errors
    /// At the first line that is not understood. One that was passed by could be the key that is to be revoked.
    pub fn parse(text: &str) -> Result<Self, SignersError> {
        if text.starts_with(BINARY) {
            return Err(SignersError { line: 1, problem: format!("this is no text; {FORM}") });
        }
        let fingerprint = |found: Result<(usize, &str), SignersError>| {
            let (line, text) = found?;
            if text.starts_with("SHA256:") && text.len() == 50 {
                return Ok(text.to_owned());
            }
            let problem = |error| {
                let form = "write a public key, or its fingerprint as SHA256:…";
                SignersError { line, problem: format!("{error}; {form}") }
            };
            let (kind, rest) = word(text);
            let (blob, _comment) = word(rest);
            let key = PublicKey::from_openssh(&format!("{kind} {blob}")).map_err(problem)?;
            Ok(key.fingerprint(HashAlg::Sha256).to_string())
        };
        lines(text).map(fingerprint).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn has(&self, key: &PublicKey) -> bool {
        self.0.contains(&key.fingerprint(HashAlg::Sha256).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::signers::tests::{KEY, OTHER};

    #[test]
    fn keys_are_revoked_by_themselves_or_by_fingerprint() {
        let key = PublicKey::from_openssh(KEY).unwrap();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let tabbed = KEY.replace(' ', "\t");
        for text in [KEY, &format!("{KEY} lost"), &format!(" {tabbed}\tlost\r\n"), &fingerprint] {
            assert!(Revoked::parse(text).expect(text).has(&key), "{text}");
        }
        assert!(!Revoked::parse(OTHER).unwrap().has(&key));
        let error = Revoked::parse("SSHKRL\n\0\0\0\0\u{1}").unwrap_err().to_string();
        assert!(error.starts_with("1: ") && error.contains("binary form"), "{error}");
    }
}
