//! Signatures as `git commit -S` and `git tag -s` make them with `gpg.format = ssh`.

use std::fmt;

use ssh_key::{HashAlg, PublicKey, SshSig};
use thiserror::Error;

use super::Keys;
use super::object::Text;
use super::signers::Principal;
use crate::quarantine::object::Malformed;

/// The namespace in which Git signs, so that a signature made for something else is none here.
const NAMESPACE: &str = "git";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
/// Longer signatures are not read: bytes.
const LONGEST: usize = 16_384;

/// Why a signature is believed nothing.
#[derive(Debug, Error)]
pub enum SignatureError {
    /// There is none.
    #[error("it is not signed")]
    Unsigned,
    /// It is of another kind.
    #[error("it is not signed with an ssh key; set gpg.format to ssh")]
    NotSsh,
    /// It cannot be read.
    #[error("its signature cannot be read: {0}")]
    Unreadable(ssh_key::Error),
    /// It has a part that ssh-keygen never writes and that OpenSSH does not look at.
    #[error("its signature is not one that ssh-keygen writes")]
    Odd,
    /// The key is of nobody who may sign.
    #[error("its key {0} is not in allowed_signers")]
    UnknownKey(String),
    /// The key is of somebody, but not for this.
    #[error("its key {key} may not sign commits: {why}")]
    NotAllowed {
        /// The key.
        key: String,
        /// What it may do.
        why: String,
    },
    /// The key was lost.
    #[error("its key {0} is revoked")]
    Revoked(String),
    /// The signature is not one of this text by this key.
    #[error("its signature does not hold: {0}")]
    Wrong(ssh_key::Error),
    /// The object is not written as Git writes it.
    #[error("it is not written as Git writes it: {0}")]
    Malformed(&'static str),
    /// A header of it is not as Git writes it.
    #[error("it is not written as Git writes it: {0}")]
    Head(#[from] Malformed),
    /// Git could not read the object.
    #[error("it cannot be read: {0}")]
    Git(#[from] git2::Error),
}

/// Who made a signature that holds, and with which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Who.
    pub principal: Principal,
    /// The key's fingerprint.
    pub key: String,
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.principal.name, self.key)
    }
}

/// A message whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) by: Signer,
    pub(super) message: Vec<u8>,
}

/// Who signed a commit or tag.
pub(super) fn of(text: &Text, keys: &Keys) -> Result<Signed, SignatureError> {
    let signature = text.signature.as_ref().ok_or(SignatureError::Unsigned)?;
    let by = keys.signer(signature, &text.signed, text.time)?;
    Ok(Signed { by, message: text.message().to_vec() })
}

impl Keys {
    /// Who signed a text for Git at a time: seconds since 1970. The signature is in the form that `ssh-keygen -Y sign`
    /// writes.
    ///
    /// # Errors
    /// When nobody did who may.
    pub fn signer(&self, signature: &[u8], text: &[u8], time: i64) -> Result<Signer, SignatureError> {
        let signature = read(signature)?;
        let key = PublicKey::from(signature.public_key().clone());
        let shown = key.fingerprint(HashAlg::Sha256).to_string();
        if self.revoked.has(&key) {
            return Err(SignatureError::Revoked(shown));
        }
        let principal = match self.signers.of(&key, NAMESPACE, time) {
            Ok(Some(principal)) => principal,
            Ok(None) => return Err(SignatureError::UnknownKey(shown)),
            Err(why) => return Err(SignatureError::NotAllowed { key: shown, why }),
        };
        key.verify(NAMESPACE, text, &signature).map_err(SignatureError::Wrong)?;
        Ok(Signer { principal, key: shown })
    }
}

/// Reads the armour as OpenSSH does: blanks and the ends of lines may stand anywhere between its first and last line, and
/// behind them.
fn read(signature: &[u8]) -> Result<SshSig, SignatureError> {
    let text = std::str::from_utf8(signature).ok().filter(|text| text.len() <= LONGEST);
    let inner = text.ok_or(SignatureError::Odd)?.strip_prefix(BEGIN).ok_or(SignatureError::NotSsh)?;
    let inner = inner.strip_prefix('\n').ok_or(SignatureError::Odd)?;
    let (base64, behind) = inner.split_once(&format!("\n{END}")).ok_or(SignatureError::Odd)?;
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    if !behind.chars().all(blank) {
        return Err(SignatureError::Odd);
    }
    let base64: Vec<u8> = base64.bytes().filter(|byte| !blank(char::from(*byte))).collect();
    let mut pem = format!("{BEGIN}\n").into_bytes();
    // The reader of the crate wants lines of 70, as ssh-keygen writes them.
    for line in base64.chunks(70) {
        pem.extend(line);
        pem.push(b'\n');
    }
    pem.extend(format!("{END}\n").bytes());
    let signature = SshSig::from_pem(&pem).map_err(SignatureError::Unreadable)?;
    // OpenSSH does not look at this part and takes it for empty when it verifies.
    if signature.reserved().is_empty() { Ok(signature) } else { Err(SignatureError::Odd) }
}
