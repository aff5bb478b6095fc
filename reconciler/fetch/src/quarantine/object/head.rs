//! The lines above the message of a commit or tag, in the one form in which Git writes them: the headers that Git asks for,
//! each in its place, then others of any name.

use std::ops::Range;

use git2::Oid;

use super::{Kind, Malformed};

/// A commit.
#[derive(Debug, PartialEq, Eq)]
pub struct Commit<'a> {
    /// Its files.
    pub tree: Oid,
    /// The commits before it.
    pub parents: Vec<Oid>,
    /// Who committed it and when: `Name <address> SECONDS ZONE`, of which only the brackets are checked.
    pub committer: &'a [u8],
    /// Where the lines of the parents stand, in bytes.
    pub parent_lines: Range<usize>,
    /// Where the lines behind the committer begin, in bytes.
    pub others: usize,
    /// What follows the blank line, where there is one.
    pub message: Option<&'a [u8]>,
}

/// An annotated tag.
#[derive(Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// What it names.
    pub target: Oid,
    /// What kind of object that is, as it says.
    pub kind: Kind,
    /// Its name.
    pub name: &'a [u8],
    /// Who tagged and when; tags of old versions of Git do not say so. Nothing of it is checked.
    pub tagger: Option<&'a [u8]>,
    /// What follows the blank line, where there is one.
    pub message: Option<&'a [u8]>,
}

impl<'a> Commit<'a> {
    /// Reads a commit.
    ///
    /// # Errors
    /// When a header is missing, is not in its place, or holds something else.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut lines = Lines { rest: bytes };
        let at = |lines: &Lines<'_>| bytes.len() - lines.rest.len();
        let tree = lines.id("tree")?.ok_or(Malformed::Header("tree"))?;
        let first = at(&lines);
        let mut parents = Vec::new();
        while let Some(parent) = lines.id("parent")? {
            parents.push(parent);
        }
        let parent_lines = first..at(&lines);
        lines.person("author")?;
        let committer = lines.person("committer")?;
        let others = at(&lines);
        Ok(Self { tree, parents, committer, parent_lines, others, message: lines.message("committer")? })
    }
}

impl<'a> Tag<'a> {
    /// Reads a tag.
    ///
    /// # Errors
    /// As [`Commit::read`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut lines = Lines { rest: bytes };
        let target = lines.id("object")?.ok_or(Malformed::Header("object"))?;
        let kind = lines.take("type").ok_or(Malformed::Header("type"))?;
        let kind = Kind::ALL.into_iter().find(|known| known.as_str().as_bytes() == kind);
        let kind = kind.ok_or(Malformed::Header("type"))?;
        let name = lines.take("tag").filter(|name| !name.is_empty() && !name.contains(&0));
        let name = name.ok_or(Malformed::Header("tag"))?;
        let tagger = lines.take("tagger");
        if tagger.is_some_and(|who| who.contains(&0)) {
            return Err(Malformed::Header("tagger"));
        }
        Ok(Self { target, kind, name, tagger, message: lines.message("tag")? })
    }
}

/// The lines that are not read yet, and what is behind them.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// The value of the next line, if that has the key.
    fn take(&mut self, key: &'static str) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = self.rest.split_at_checked(end)?;
        let value = line.strip_prefix(key.as_bytes())?.strip_prefix(b" ")?;
        self.rest = rest.strip_prefix(b"\n")?;
        Some(value)
    }

    /// The id in the next line, if that has the key. Only the form that Git writes is one.
    fn id(&mut self, key: &'static str) -> Result<Option<Oid>, Malformed> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let plain = value.len() == 40 && value.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let text = std::str::from_utf8(value).ok().filter(|_| plain);
        let id = text.and_then(|text| Oid::from_str(text).ok());
        id.map(Some).ok_or(Malformed::Header(key))
    }

    /// A name, an address in angle brackets, seconds and a zone.
    fn person(&mut self, key: &'static str) -> Result<&'a [u8], Malformed> {
        let value = self.take(key).filter(|value| value.contains(&b'<') && value.contains(&b'>'));
        value.ok_or(Malformed::Header(key))
    }

    /// Passes the other lines up to the blank one. C code takes a zero byte for the end of a text, so none may be in them.
    fn message(mut self, last: &'static str) -> Result<Option<&'a [u8]>, Malformed> {
        loop {
            if let Some(message) = self.rest.strip_prefix(b"\n") {
                return Ok(Some(message));
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
            let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or(Malformed::Header(last))?;
            let (line, rest) = self.rest.split_at_checked(end + 1).ok_or(Malformed::Header(last))?;
            if line.contains(&0) {
                return Err(Malformed::Header(last));
            }
            self.rest = rest;
        }
    }
}
