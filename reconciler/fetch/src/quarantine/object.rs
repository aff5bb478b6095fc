//! Git's objects, read strictly and in safe Rust, before any other code sees them: gitformat-pack(5) for their kinds,
//! git-fsck(1) for what a whole one is.

pub mod head;

use git2::{ObjectType, Oid};
use sha1_checked::{Digest as _, Sha1};
use thiserror::Error;

/// The kind of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A revision: a tree, and those before it.
    Commit,
    /// A folder.
    Tree,
    /// A file.
    Blob,
    /// An annotated tag.
    Tag,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag];

    /// The number of a kind in a pack: gitformat-pack(5).
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Kind::Commit => 1,
            Kind::Tree => 2,
            Kind::Blob => 3,
            Kind::Tag => 4,
        }
    }

    /// The kind with a number.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The kind as libgit2 has it.
    #[must_use]
    pub fn of(kind: ObjectType) -> Option<Self> {
        match kind {
            ObjectType::Commit => Some(Kind::Commit),
            ObjectType::Tree => Some(Kind::Tree),
            ObjectType::Blob => Some(Kind::Blob),
            ObjectType::Tag => Some(Kind::Tag),
            ObjectType::Any => None,
        }
    }

    /// The word in an object's header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Commit => "commit",
            Kind::Tree => "tree",
            Kind::Blob => "blob",
            Kind::Tag => "tag",
        }
    }
}

/// An object that no Git would write. The bytes are another user's, so none of them is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// It shares its SHA-1 with another object, which somebody took great pains to make.
    #[error("its SHA-1 was made to collide with another object's")]
    Collision,
    /// A header of a commit or tag is missing, or not in its place.
    #[error("its {0:?} line is missing or wrong")]
    Header(&'static str),
    /// An entry of a tree has a mode that Git does not use.
    #[error("an entry of it has no mode of Git's")]
    Mode,
    /// An entry of a tree has a name that a path cannot have.
    #[error("an entry of it has a name that no file may have")]
    Name,
    /// The entries of a tree are not in Git's order, or one is there twice.
    #[error("its entries are not in order")]
    Order,
    /// It ends within an entry.
    #[error("it is cut short")]
    Short,
}

/// The name of an object: the SHA-1 of its kind, length and bytes.
///
/// # Errors
/// When the bytes were made to collide.
pub fn id(kind: Kind, bytes: &[u8]) -> Result<Oid, Malformed> {
    let mut hash = Sha1::new();
    hash.update(format!("{} {}\0", kind.as_str(), bytes.len()));
    hash.update(bytes);
    let found = hash.try_finalize();
    if found.has_collision() {
        return Err(Malformed::Collision);
    }
    Ok(Oid::from_bytes(found.hash()).expect("a SHA-1 has 20 bytes"))
}

/// What an object names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// A commit's tree, or a folder of a tree.
    Tree(Oid),
    /// A file of a tree.
    Blob(Oid),
    /// A parent of a commit.
    Parent(Oid),
    /// What a tag names, of any kind.
    Target(Oid),
}

impl Link {
    /// The id that is named.
    #[must_use]
    pub fn id(self) -> Oid {
        match self {
            Link::Tree(id) | Link::Blob(id) | Link::Parent(id) | Link::Target(id) => id,
        }
    }
}

/// What an object names. A submodule's commit is in another repository, so it is not one of them.
///
/// # Errors
/// When it is not as Git writes it.
pub fn links(kind: Kind, bytes: &[u8]) -> Result<Vec<Link>, Malformed> {
    match kind {
        Kind::Blob => Ok(Vec::new()),
        Kind::Tree => tree(bytes),
        Kind::Commit => commit(bytes),
        Kind::Tag => tag(bytes),
    }
}

fn commit(bytes: &[u8]) -> Result<Vec<Link>, Malformed> {
    let commit = head::Commit::read(bytes)?;
    let parents = commit.parents.into_iter().map(Link::Parent);
    Ok(std::iter::once(Link::Tree(commit.tree)).chain(parents).collect())
}

fn tag(bytes: &[u8]) -> Result<Vec<Link>, Malformed> {
    Ok(vec![Link::Target(head::Tag::read(bytes)?.target)])
}

fn tree(bytes: &[u8]) -> Result<Vec<Link>, Malformed> {
    let mut links = Vec::new();
    let mut rest = bytes;
    let mut before: Option<(&[u8], bool)> = None;
    while !rest.is_empty() {
        let blank = rest.iter().take(7).position(|byte| *byte == b' ').ok_or(Malformed::Mode)?;
        let (mode, behind) = rest.split_at_checked(blank).ok_or(Malformed::Short)?;
        let behind = behind.strip_prefix(b" ").ok_or(Malformed::Short)?;
        let end = behind.iter().position(|byte| *byte == 0).ok_or(Malformed::Short)?;
        let (name, behind) = behind.split_at_checked(end).ok_or(Malformed::Short)?;
        let (id, behind) = behind
            .strip_prefix(b"\0")
            .and_then(|behind| behind.split_at_checked(20))
            .ok_or(Malformed::Short)?;
        rest = behind;
        let id = Oid::from_bytes(id).map_err(|_| Malformed::Short)?;
        if name.is_empty()
            || name.contains(&b'/')
            || [&b"."[..], b".."].contains(&name)
            || name.eq_ignore_ascii_case(b".git")
        {
            return Err(Malformed::Name);
        }
        let is_folder = match mode {
            b"40000" => {
                links.push(Link::Tree(id));
                true
            }
            b"100644" | b"100755" | b"100664" | b"120000" => {
                links.push(Link::Blob(id));
                false
            }
            b"160000" => false,
            _ => return Err(Malformed::Mode),
        };
        // A folder stands where its name would with a slash behind it.
        let key = |(name, is_folder): (&'_ [u8], bool)| {
            let slash = if is_folder { &b"/"[..] } else { &[] };
            name.iter().chain(slash).copied().collect::<Vec<u8>>()
        };
        if let Some(before) = before
            && (key(before) >= key((name, is_folder)) || before.0 == name)
        {
            return Err(Malformed::Order);
        }
        before = Some((name, is_folder));
    }
    Ok(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(mode: &str, name: &str, id: u8) -> Vec<u8> {
        [format!("{mode} {name}\0").as_bytes(), &[id; 20]].concat()
    }

    #[test]
    fn an_id_is_the_one_that_git_gives() {
        // `git hash-object -t blob --stdin </dev/null`, and the empty tree.
        assert_eq!(id(Kind::Blob, b"").unwrap().to_string(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(id(Kind::Tree, b"").unwrap().to_string(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    }

    #[test]
    fn trees_are_as_git_writes_them_or_refused() {
        let id = |byte| Oid::from_bytes(&[byte; 20]).unwrap();
        let whole = [
            entry("100644", "a.b", 1),
            entry("40000", "a", 2),
            entry("120000", "b", 3),
            entry("160000", "c", 4),
        ];
        let expected = vec![Link::Blob(id(1)), Link::Tree(id(2)), Link::Blob(id(3))];
        assert_eq!(links(Kind::Tree, &whole.concat()), Ok(expected));
        let rows: [(Vec<u8>, Malformed); 12] = [
            (entry("100600", "a", 1), Malformed::Mode),
            (entry("040000", "a", 1), Malformed::Mode),
            (entry("", "a", 1), Malformed::Mode),
            (b"100644".to_vec(), Malformed::Mode),
            (entry("100644", "", 1), Malformed::Name),
            (entry("100644", "a/b", 1), Malformed::Name),
            (entry("40000", "..", 1), Malformed::Name),
            (entry("40000", ".GIT", 1), Malformed::Name),
            ([entry("100644", "b", 1), entry("100644", "a", 1)].concat(), Malformed::Order),
            ([entry("100644", "a", 1), entry("100644", "a", 1)].concat(), Malformed::Order),
            ([entry("40000", "a", 2), entry("100644", "a.b", 1)].concat(), Malformed::Order),
            (entry("100644", "a", 1).split_last().unwrap().1.to_vec(), Malformed::Short),
        ];
        for (bytes, expected) in rows {
            assert_eq!(links(Kind::Tree, &bytes), Err(expected), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn commits_and_tags_are_as_git_writes_them_or_refused() {
        let (tree, parent) = ("1".repeat(40), "2".repeat(40));
        let by = "a <a@example.com> 1 +0000";
        let commit =
            format!("tree {tree}\nparent {parent}\nauthor {by}\ncommitter {by}\ngpgsig x\n y\n\nmessage\0\n");
        let [tree_id, parent_id] = [&tree, &parent].map(|text| Oid::from_str(text).unwrap());
        let found = links(Kind::Commit, commit.as_bytes());
        assert_eq!(found, Ok(vec![Link::Tree(tree_id), Link::Parent(parent_id)]));
        for (from, to, key) in [
            ("tree ", "tree  ", "tree"),
            ("1111", "111A", "tree"),
            ("parent 2", "parent ", "parent"),
            ("author", "auth", "author"),
            ("committer", "committed", "committer"),
            ("gpgsig x", "gpgsig \0", "committer"),
            ("\n\nmessage\0\n", "", "committer"),
        ] {
            let bytes = commit.replacen(from, to, 1);
            assert_ne!(bytes, commit);
            assert_eq!(links(Kind::Commit, bytes.as_bytes()), Err(Malformed::Header(key)), "{bytes}");
        }
        let tag = format!("object {tree}\ntype commit\ntag chainmail/1\ntagger {by}\n\nmessage\n");
        assert_eq!(links(Kind::Tag, tag.as_bytes()), Ok(vec![Link::Target(tree_id)]));
        for (from, to, key) in [
            ("object", "objekt", "object"),
            ("type commit", "type hound", "type"),
            ("tag chain", "tagchain", "tag"),
            ("tag chain", "tag \0", "tag"),
            ("tagger a", "tagger \0", "tagger"),
            ("\n\nmessage", "\nx \0\n\nmessage", "tag"),
        ] {
            let bytes = tag.replacen(from, to, 1);
            assert_eq!(links(Kind::Tag, bytes.as_bytes()), Err(Malformed::Header(key)), "{bytes}");
        }
    }
}
