//! Commits and tags as their signers wrote them. They are read strictly: what one reader of Git's objects takes in another
//! way than the next is refused, and what is told of an object stands in the text that its signature covers.

use chainmail_contract::Sha256Hex;
use git2::{ObjectType, Odb, Oid};

use super::SignatureError;
use crate::quarantine::object::{Kind, Malformed, head};

/// Longer commits and tags are not read: bytes.
const LONGEST: usize = 1_000_000;
const BEGIN: &[u8] = b"-----BEGIN SSH SIGNATURE-----";

/// A commit.
pub(super) struct Commit {
    pub(super) tree: Oid,
    pub(super) parents: Vec<Oid>,
    pub(super) text: Text,
}

/// A tag that is an object of its own.
pub(super) struct Tag {
    /// What it is called in the text.
    pub(super) name: String,
    /// The commit that it names.
    pub(super) target: Oid,
    pub(super) text: Text,
}

/// What a signature covers, and the signature.
pub(super) struct Text {
    pub(super) signed: Vec<u8>,
    /// Where the message begins in it.
    message: usize,
    /// When it was made, as it says: seconds since 1970.
    pub(super) time: i64,
    pub(super) signature: Option<Vec<u8>>,
}

impl Text {
    /// What its maker wrote.
    pub(super) fn message(&self) -> &[u8] {
        self.signed.get(self.message..).unwrap_or_default()
    }
}

impl Commit {
    pub(super) fn read(objects: &Odb<'_>, id: Oid) -> Result<Self, SignatureError> {
        let raw = raw(objects, id, ObjectType::Commit)?;
        let (signed, signature) = split(&raw)?;
        let head = head::Commit::read(&signed)?;
        // Git looks for a signature behind these lines only. Before them it would hide some from one reader or the other.
        if !raw.starts_with(signed.get(..head.others).unwrap_or_default()) {
            return Err(SignatureError::Malformed("its signature does not stand behind its committer"));
        }
        let (tree, time, message) = (head.tree, time(head.committer)?, begin(&signed, head.message)?);
        Ok(Self { tree, parents: head.parents, text: Text { signed, message, time, signature } })
    }
}

impl Tag {
    pub(super) fn read(objects: &Odb<'_>, id: Oid) -> Result<Self, SignatureError> {
        let raw = raw(objects, id, ObjectType::Tag)?;
        // Git takes the last one, too: what is signed may quote another.
        let (mut at, mut end) = (None, raw.len());
        for line in raw.split_inclusive(|byte| *byte == b'\n').rev() {
            end -= line.len();
            if line.starts_with(BEGIN) {
                at = Some(end);
                break;
            }
        }
        let (signed, signature) = raw.split_at(at.unwrap_or(raw.len()));
        let head = head::Tag::read(signed)?;
        if head.kind != Kind::Commit {
            return Err(SignatureError::Malformed("it names no commit"));
        }
        let time = time(head.tagger.ok_or(Malformed::Header("tagger"))?)?;
        let message = begin(signed, head.message)?;
        let name = String::from_utf8_lossy(head.name).into_owned();
        let signature = at.map(|_| signature.to_vec());
        Ok(Self {
            name,
            target: head.target,
            text: Text { signed: signed.to_vec(), message, time, signature },
        })
    }
}

/// Where a message begins in the text that it is part of.
fn begin(text: &[u8], message: Option<&[u8]>) -> Result<usize, SignatureError> {
    let message = message.ok_or(SignatureError::Malformed("no empty line precedes its message"))?;
    Ok(text.len() - message.len())
}

/// A commit without its signature: which commits are one revision. Signatures can be changed by anybody and still hold: a
/// blank line behind them, other line breaks, and for ECDSA the number n−s in the place of s.
pub(super) struct Payload {
    /// The digest of all of it.
    pub(super) digest: Sha256Hex,
    /// The digest of what is left without the parents.
    pub(super) rest: Sha256Hex,
    pub(super) parents: Vec<Oid>,
}

impl Payload {
    /// Any commit has one. Of a commit that is not as Git writes it all counts, with its parents.
    pub(super) fn read(objects: &Odb<'_>, id: Oid) -> Result<Self, git2::Error> {
        let object = objects.read(id)?;
        let raw = object.data();
        let text = match split(raw) {
            Ok((signed, _)) => signed,
            Err(_) => raw.to_vec(),
        };
        let digest = Sha256Hex::of(&text);
        let (parents, lines) = match head::Commit::read(&text) {
            Ok(head) => (head.parents, head.parent_lines),
            Err(_) => (Vec::new(), 0..0),
        };
        let mut rest = text;
        rest.drain(lines);
        Ok(Self { digest, rest: Sha256Hex::of(&rest), parents })
    }
}

fn raw(objects: &Odb<'_>, id: Oid, kind: ObjectType) -> Result<Vec<u8>, SignatureError> {
    let (length, found) = objects.read_header(id)?;
    if found != kind {
        return Err(SignatureError::Malformed("it is an object of another kind"));
    }
    if length > LONGEST {
        return Err(SignatureError::Malformed("it is longer than a million bytes"));
    }
    Ok(objects.read(id)?.data().to_vec())
}

/// A commit's text without its signature, and the signature.
fn split(raw: &[u8]) -> Result<(Vec<u8>, Option<Vec<u8>>), SignatureError> {
    const FIELD: &[u8] = b"gpgsig ";
    let mut signed = Vec::with_capacity(raw.len());
    let mut signature: Option<Vec<u8>> = None;
    let mut within = false;
    let mut rest = raw;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, behind) = rest.split_at(end + 1);
        if line == b"\n" {
            break;
        }
        if let Some(first) = line.strip_prefix(FIELD) {
            if signature.replace(first.to_vec()).is_some() {
                return Err(SignatureError::Malformed("it has two signatures"));
            }
            within = true;
        } else if let (true, Some(more)) = (within, line.strip_prefix(b" ")) {
            signature.get_or_insert_default().extend(more);
        } else {
            within = false;
            signed.extend(line);
        }
        rest = behind;
    }
    signed.extend(rest);
    Ok((signed, signature))
}

/// The time of `Name <address> SECONDS ZONE`.
fn time(who: &[u8]) -> Result<i64, SignatureError> {
    let found = || {
        let at = who.iter().rposition(|byte| *byte == b'>')?;
        let text = std::str::from_utf8(who.get(at + 1..)?).ok()?;
        let (seconds, zone) = text.strip_prefix(' ')?.split_once(' ')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let zone = zone.strip_prefix(['+', '-'])?;
        if digits(seconds) && digits(zone) { seconds.parse().ok() } else { None }
    };
    found().ok_or(SignatureError::Malformed("the line of who made it has no time"))
}

#[cfg(test)]
mod tests {
    use git2::Repository;

    use super::*;

    const TREE: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";
    const PARENT: &str = "parent 0123456789012345678901234567890123456789\n";
    const WHO: &str = "author A <a@b> 5 +0000\ncommitter C <c@d> 7 -0130\n";
    const SIGNATURE: &str = "gpgsig -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----\n";

    fn written(kind: ObjectType, text: &str, read: impl FnOnce(&Odb<'_>, Oid)) {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(folder.path()).unwrap();
        let objects = repository.odb().unwrap();
        let id = objects.write(kind, text.as_bytes()).unwrap();
        read(&objects, id);
    }

    #[test]
    fn a_commit_is_read_without_its_signature() {
        let plain = format!("{TREE}{PARENT}{WHO}\nSubject\n\nkey: value\n");
        let signed = format!("{TREE}{PARENT}{WHO}{SIGNATURE}\nSubject\n\nkey: value\n");
        let longer = signed.replace(" -----END SSH SIGNATURE-----\n", " -----END SSH SIGNATURE-----\n \n");
        for text in [&plain, &signed, &longer] {
            written(ObjectType::Commit, text, |objects, id| {
                let commit = Commit::read(objects, id).unwrap();
                assert_eq!((commit.text.time, commit.parents.len()), (7, 1));
                assert_eq!(commit.text.message(), b"Subject\n\nkey: value\n");
                assert_eq!(commit.text.signed, plain.as_bytes());
                assert_eq!(commit.text.signature.is_some(), *text != plain);
                let payload = Payload::read(objects, id).unwrap();
                assert_eq!(payload.digest, Sha256Hex::of(&plain));
                assert_eq!(payload.rest, Sha256Hex::of(plain.replace(PARENT, "")));
                assert_eq!(payload.parents, commit.parents);
            });
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let rows = [
            (format!("{TREE}{SIGNATURE}{PARENT}{WHO}\nx\n"), "behind its committer"),
            (format!("{TREE}{PARENT}{SIGNATURE}{WHO}\nx\n"), "behind its committer"),
            (format!("{TREE}{WHO}{SIGNATURE}{SIGNATURE}\nx\n"), "two signatures"),
            (format!("{WHO}{TREE}\nx\n"), "\"tree\" line"),
            (format!("{TREE}{WHO}"), "no empty line"),
            (TREE.to_owned(), "\"author\" line"),
            (format!("{TREE}{}\nx\n", WHO.replace(" 7 ", " ")), "has no time"),
            (format!("{TREE}{}\nx\n", WHO.replace(" 7 ", " -7 ")), "has no time"),
            (format!("{}{WHO}\nx\n", TREE.to_uppercase().replace("TREE", "tree")), "\"tree\" line"),
        ];
        for (text, expected) in rows {
            written(ObjectType::Commit, &text, |objects, id| {
                let error = Commit::read(objects, id).err().expect(&text).to_string();
                assert!(error.contains(expected), "{text}\n{error}");
                Payload::read(objects, id).unwrap();
            });
        }
    }

    #[test]
    fn a_tag_is_signed_by_its_last_signature() {
        let head =
            TREE.replace("tree", "object") + "type commit\ntag chainmail/1\ntagger T <t@t> 9 +0000\n\n";
        let quoted = format!("{head}It quotes\n-----BEGIN SSH SIGNATURE-----\nAA\n");
        let text = format!("{quoted}-----BEGIN SSH SIGNATURE-----\nBB\n-----END SSH SIGNATURE-----\n");
        written(ObjectType::Tag, &text, |objects, id| {
            let tag = Tag::read(objects, id).unwrap();
            assert_eq!((tag.name.as_str(), tag.text.time), ("chainmail/1", 9));
            assert_eq!(tag.text.signed, quoted.as_bytes());
            assert!(tag.text.signature.unwrap().starts_with(BEGIN));
        });
        let nested = text.replace("type commit", "type tag");
        written(ObjectType::Tag, &nested, |objects, id| {
            assert!(Tag::read(objects, id).err().unwrap().to_string().contains("names no commit"));
        });
    }
}
