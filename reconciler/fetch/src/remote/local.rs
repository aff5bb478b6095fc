//! A repository on this host. libgit2's own way to one packs what all of its references name, and ends with an error at the
//! first object that it cannot parse, so that whoever may push could stop each look. What is wanted is copied here instead.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

use git2::{ObjectType, Odb, Oid, Repository, TreeWalkMode, TreeWalkResult};

use super::{Fetched, git_folder};
use crate::config::Limits;
use crate::mirror::TIP;
use crate::quarantine::object::{Kind, Link, links};
use crate::quarantine::{Head, NotTaken, PassedOver, TAG_BYTES};

/// The bytes of tags that are looked at in one look.
const MOST_WEIGHED: u64 = 32 * TAG_BYTES;

/// A repository on this host.
pub(super) struct Local(Repository);

impl Local {
    pub(super) fn open(path: &Path) -> Result<Self, git2::Error> {
        Repository::open(git_folder(path)).map(Self)
    }

    /// All references. One that leads nowhere is none.
    pub(super) fn heads(&self) -> Result<Vec<Head>, git2::Error> {
        let mut heads = Vec::new();
        for reference in self.0.references()? {
            let reference = reference?;
            let id = reference.resolve().ok().and_then(|reference| reference.target());
            if let (Ok(name), Some(id)) = (reference.name(), id) {
                heads.push(Head { name: name.to_owned(), id });
            }
        }
        Ok(heads)
    }

    /// Copies the objects that heads lead to and that the other repository does not have.
    pub(super) fn copy(&self, heads: &[Head], to: &Repository) -> Result<(), git2::Error> {
        let (objects, known) = (self.0.odb()?, to.odb()?);
        let mut pack = self.0.packbuilder()?;
        let mut open: Vec<Oid> = heads.iter().map(|head| head.id).collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            if known.exists(id) || !seen.insert(id) {
                continue;
            }
            pack.insert_object(id, None)?;
            let Some(kind) = Kind::of(objects.read_header(id)?.1).filter(|kind| *kind != Kind::Blob) else {
                continue;
            };
            let found = links(kind, objects.read(id)?.data());
            let found = found.map_err(|why| git2::Error::from_str(&format!("object {id}: {why}")))?;
            open.extend(found.into_iter().map(Link::id));
        }
        if seen.is_empty() {
            return Ok(());
        }
        let mut writer = known.packwriter()?;
        pack.foreach(|bytes| writer.write_all(bytes).is_ok())?;
        writer.commit()?;
        Ok(())
    }

    /// The tags that bring little, and those that are passed over. Where too much was looked at, the rest is in neither list.
    pub(super) fn weighed(&self, tags: Vec<Head>, known: &Odb<'_>) -> Result<Fetched, git2::Error> {
        let objects = self.0.odb()?;
        let mut weigher = Weigher { objects: &objects, known, left: MOST_WEIGHED };
        let mut fetched = Fetched::default();
        for tag in tags {
            match weigher.weigh(tag.id) {
                Weight::Little => fetched.heads.push(tag),
                Weight::Wrong(why) => fetched.passed_over.push(PassedOver { tag, why }),
                Weight::Unknown => {}
            }
        }
        Ok(fetched)
    }

    /// The first file of a new commit that is over the limit.
    pub(super) fn too_large(
        &self,
        heads: &[Head],
        mirror: &Repository,
        limits: Limits,
    ) -> Result<Option<(Oid, String)>, git2::Error> {
        let (objects, known) = (self.0.odb()?, mirror.odb()?);
        let mut walk = self.0.revwalk()?;
        let mut seen = BTreeSet::new();
        for head in heads {
            walk.push(self.0.find_object(head.id, None)?.peel_to_commit()?.id())?;
        }
        if let Ok(tip) = mirror.refname_to_id(TIP)
            && objects.exists(tip)
        {
            walk.hide(tip)?;
        }
        for commit in walk {
            let commit = commit?;
            let tree = self.0.find_commit(commit)?.tree()?;
            if let Some(path) = large_file(&tree, &objects, &known, &mut seen, limits)? {
                return Ok(Some((commit, path)));
            }
        }
        Ok(None)
    }
}

/// How much a tag brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Little,
    Wrong(NotTaken),
    /// Enough was looked at.
    Unknown,
}

/// Weighs tags before what they name is copied.
struct Weigher<'a> {
    objects: &'a Odb<'a>,
    known: &'a Odb<'a>,
    /// The bytes that are still looked at.
    left: u64,
}

impl Weigher<'_> {
    fn weigh(&mut self, tag: Oid) -> Weight {
        let (mut open, mut seen, mut bytes) = (vec![tag], BTreeSet::new(), 0);
        while let Some(id) = open.pop() {
            if self.known.exists(id) || !seen.insert(id) {
                continue;
            }
            // What is not there cannot be sent, and would stop the whole request.
            let Ok((length, Some(kind))) =
                self.objects.read_header(id).map(|(length, kind)| (length, Kind::of(kind)))
            else {
                return Weight::Wrong(NotTaken::Malformed);
            };
            bytes += length as u64;
            if bytes > TAG_BYTES {
                return Weight::Wrong(NotTaken::TooMuch);
            }
            // A header costs about as much as a short object.
            let Some(left) = self.left.checked_sub((length as u64).max(100)) else { return Weight::Unknown };
            self.left = left;
            if kind == Kind::Blob {
                continue;
            }
            let found = self.objects.read(id).ok().and_then(|object| links(kind, object.data()).ok());
            let Some(found) = found else { return Weight::Wrong(NotTaken::Malformed) };
            open.extend(found.into_iter().map(Link::id));
        }
        Weight::Little
    }
}

/// The first file of a tree that is new and over the limit.
fn large_file(
    tree: &git2::Tree<'_>,
    objects: &Odb<'_>,
    known: &Odb<'_>,
    seen: &mut BTreeSet<Oid>,
    limits: Limits,
) -> Result<Option<String>, git2::Error> {
    let mut found = None;
    tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        if known.exists(entry.id()) || !seen.insert(entry.id()) {
            return TreeWalkResult::Skip;
        }
        let length = objects.read_header(entry.id()).map(|(length, _)| length as u64);
        if entry.kind() == Some(ObjectType::Blob) && length.is_ok_and(|length| length > limits.file) {
            found = Some(format!("{folder}{}", String::from_utf8_lossy(entry.name_bytes())));
            return TreeWalkResult::Abort;
        }
        TreeWalkResult::Ok
    })
    .or_else(|error| if found.is_some() { Ok(()) } else { Err(error) })?;
    Ok(found)
}
