//! Signatures as `git commit -S` and `git tag -s` make them with `gpg.format = ssh`.

use git2::{ObjectType, Oid, Repository};
use ssh_key::{HashAlg, PublicKey, SshSig};
use thiserror::Error;

use super::Keys;

/// The namespace in which Git signs, so that a signature made for something else is none here.
const NAMESPACE: &str = "git";
const BEGIN: &[u8] = b"-----BEGIN SSH SIGNATURE-----";

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
    /// Git could not read the object.
    #[error("it cannot be read: {0}")]
    Git(#[from] git2::Error),
}

/// A tag whose signature holds.
pub(super) struct SignedTag {
    pub(super) name: String,
    pub(super) target: Oid,
    pub(super) message: String,
    pub(super) signer: String,
    pub(super) time: i64,
}

/// Who signed a commit.
pub(super) fn of_commit(mirror: &Repository, commit: Oid, keys: &Keys) -> Result<String, SignatureError> {
    let (signature, text) = match mirror.extract_signature(&commit, None) {
        Ok(found) => found,
        Err(error) if error.code() == git2::ErrorCode::NotFound => return Err(SignatureError::Unsigned),
        Err(error) => return Err(error.into()),
    };
    let time = mirror.find_commit(commit)?.time().seconds();
    verify(&signature, &text, time, keys)
}

/// What a tag says, if who signed it may.
pub(super) fn of_tag(mirror: &Repository, tag: Oid, keys: &Keys) -> Result<SignedTag, SignatureError> {
    let objects = mirror.odb()?;
    let object = objects.read(tag)?;
    let raw = object.data();
    // Git takes the last one, too: what is signed may quote another.
    let lines = raw.split_inclusive(|byte| *byte == b'\n').rev();
    let mut from_end = lines.scan(0, |length, line| {
        *length += line.len();
        Some((*length, line))
    });
    let (length, _) = from_end.find(|(_, line)| line.starts_with(BEGIN)).ok_or(SignatureError::Unsigned)?;
    let (text, signature) = raw.split_at(raw.len() - length);
    let read = mirror.find_tag(tag)?;
    let time = read.tagger().map_or(0, |tagger| tagger.when().seconds());
    let signer = verify(signature, text, time, keys)?;
    let target = read.target()?;
    if target.kind() != Some(ObjectType::Commit) {
        return Err(git2::Error::from_str("it names no commit").into());
    }
    let message = text
        .windows(2)
        .position(|pair| pair == b"\n\n")
        .and_then(|at| text.get(at + 2..))
        .unwrap_or_default();
    Ok(SignedTag {
        name: String::from_utf8_lossy(read.name_bytes()).into_owned(),
        target: target.id(),
        message: String::from_utf8_lossy(message).into_owned(),
        signer,
        time,
    })
}

/// Who signed a text at a time.
fn verify(signature: &[u8], text: &[u8], time: i64, keys: &Keys) -> Result<String, SignatureError> {
    if !signature.starts_with(BEGIN) {
        return Err(SignatureError::NotSsh);
    }
    // What Git keeps may end in white space that the armour does not have.
    let signature = SshSig::from_pem(signature.trim_ascii_end()).or_else(|_| {
        let mut armoured = signature.trim_ascii_end().to_vec();
        armoured.push(b'\n');
        SshSig::from_pem(&armoured)
    });
    let signature = signature.map_err(SignatureError::Unreadable)?;
    let key = PublicKey::from(signature.public_key().clone());
    let shown = key.fingerprint(HashAlg::Sha256).to_string();
    if keys.revoked.has(&key) {
        return Err(SignatureError::Revoked(shown));
    }
    let signer = match keys.signers.of(&key, NAMESPACE, time) {
        Ok(Some(signer)) => signer,
        Ok(None) => return Err(SignatureError::UnknownKey(shown)),
        Err(why) => return Err(SignatureError::NotAllowed { key: shown, why }),
    };
    key.verify(NAMESPACE, text, &signature).map_err(SignatureError::Wrong)?;
    Ok(format!("{signer} {shown}"))
}
