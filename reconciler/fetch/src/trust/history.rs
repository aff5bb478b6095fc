//! The history in the verifier's own repository, in which commits that differ in their signatures alone are one revision.

use std::cell::Cell;
use std::collections::BTreeSet;

use chainmail_contract::Sha256Hex;
use git2::{Odb, Oid, Repository};

use super::object::Payload;
use crate::mirror;

/// The commits that are read in all to find twins. Beyond that a commit has none: what came long after what was accepted
/// is known by its id, and nobody can make a node read for hours.
const MOST_READ: usize = 100_000;

/// A repository, and how much is still read of it to find twins.
pub(super) struct History<'a> {
    pub(super) mirror: &'a Repository,
    pub(super) objects: Odb<'a>,
    left: Cell<usize>,
}

/// A revision that this host knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) id: Oid,
    /// The digest of the commit without its signature, where it is known. It finds twins of a commit that the repository
    /// does not have any more.
    pub(super) payload: Option<Sha256Hex>,
}

/// The way from a revision back to a known one.
pub(super) struct Way {
    /// The commits before the known one, the newest first.
    pub(super) commits: Vec<Oid>,
    /// The commit on this way that is the known revision, under its own id or another.
    pub(super) end: Oid,
}

impl<'a> History<'a> {
    pub(super) fn of(mirror: &'a Repository) -> Result<Self, git2::Error> {
        Ok(Self { mirror, objects: mirror.odb()?, left: Cell::new(MOST_READ) })
    }

    /// The digest of a commit without its signature.
    pub(super) fn payload(&self, commit: Oid) -> Result<Sha256Hex, git2::Error> {
        Payload::read(&self.objects, commit).map(|payload| payload.digest)
    }

    /// Whether a commit is a known revision: the same commit, or one of which all but the signature is equal, with parents
    /// of which the same is true.
    pub(super) fn same(&self, commit: Oid, known: &Point) -> Result<bool, git2::Error> {
        if commit == known.id {
            return Ok(true);
        }
        let Some(found) = self.read(commit)? else { return Ok(false) };
        if known.payload.as_ref() == Some(&found.digest) {
            return Ok(true);
        }
        if !self.objects.exists(known.id) {
            return Ok(false);
        }
        let mut pairs = vec![(commit, known.id)];
        let mut seen = BTreeSet::new();
        while let Some((one, other)) = pairs.pop() {
            if one == other || !seen.insert((one, other)) {
                continue;
            }
            let (Some(one), Some(other)) = (self.read(one)?, self.read(other)?) else { return Ok(false) };
            if one.rest != other.rest || one.parents.len() != other.parents.len() {
                return Ok(false);
            }
            pairs.extend(one.parents.into_iter().zip(other.parents));
        }
        Ok(true)
    }

    /// `None` where enough was read.
    fn read(&self, commit: Oid) -> Result<Option<Payload>, git2::Error> {
        let Some(left) = self.left.get().checked_sub(1) else { return Ok(None) };
        self.left.set(left);
        Payload::read(&self.objects, commit).map(Some)
    }

    /// Whether a commit is a known revision or comes after it, by any parents.
    pub(super) fn reaches(&self, tip: Oid, known: &Point) -> Result<bool, git2::Error> {
        if tip == known.id {
            return Ok(true);
        }
        let mut newer = self.mirror.revwalk()?;
        newer.push(tip)?;
        match self.mirror.find_commit(known.id) {
            Ok(_) if self.mirror.graph_descendant_of(tip, known.id)? => return Ok(true),
            // No twin is older than its twin.
            Ok(_) => newer.hide(known.id)?,
            // A mirror that says that it has what was accepted, and has not, is damaged. One that was taken anew has the
            // new history alone: what is not in it was rewritten.
            Err(damaged) if self.mirror.refname_to_id(mirror::ACCEPTED) == Ok(known.id) => {
                return Err(damaged);
            }
            Err(_) => {}
        }
        for commit in newer {
            if self.left.get() == 0 {
                break;
            }
            if self.same(commit?, known)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The way back to a known revision by first parents; `None` when they do not come there.
    pub(super) fn way(&self, from: Oid, known: &Point) -> Result<Option<Way>, git2::Error> {
        let mut commits = Vec::new();
        let mut next = Some(from);
        while let Some(commit) = next.filter(|commit| *commit != known.id) {
            commits.push(commit);
            next = self.mirror.find_commit(commit)?.parent_ids().next();
        }
        if let Some(end) = next {
            return Ok(Some(Way { commits, end }));
        }
        for (at, commit) in commits.iter().copied().enumerate() {
            if self.left.get() == 0 {
                break;
            }
            if self.same(commit, known)? {
                commits.truncate(at);
                return Ok(Some(Way { commits, end: commit }));
            }
        }
        Ok(None)
    }

    /// The first commit on the way back, by first parents and no further than a known revision, whose payload is listed.
    pub(super) fn listed(
        &self,
        from: Oid,
        known: Option<&Point>,
        list: &BTreeSet<Sha256Hex>,
    ) -> Result<Option<Oid>, git2::Error> {
        let mut next = Some(from);
        while let Some(commit) = next {
            let payload = self.payload(commit)?;
            if list.contains(&payload) {
                return Ok(Some(commit));
            }
            if known.is_some_and(|known| commit == known.id || known.payload.as_ref() == Some(&payload)) {
                break;
            }
            next = self.mirror.find_commit(commit)?.parent_ids().next();
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use git2::ObjectType;

    use super::*;

    struct World {
        folder: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Repository::init_bare(folder.path()).unwrap();
            Self { folder }
        }

        fn mirror(&self) -> Repository {
            Repository::open_bare(self.folder.path()).unwrap()
        }

        /// A commit; `signature` is one line, and means nothing.
        fn commit(&self, message: &str, parents: &[Oid], signature: Option<&str>) -> Oid {
            let mirror = self.mirror();
            let tree = mirror.treebuilder(None).unwrap().write().unwrap();
            let parents: String = parents.iter().map(|parent| format!("parent {parent}\n")).collect();
            let signature = signature.map_or(String::new(), |text| format!("gpgsig {text}\n"));
            let who = "author A <a@b> 5 +0000\ncommitter A <a@b> 5 +0000\n";
            let text = format!("tree {tree}\n{parents}{who}{signature}\n{message}\n");
            mirror.odb().unwrap().write(ObjectType::Commit, text.as_bytes()).unwrap()
        }
    }

    fn point(id: Oid) -> Point {
        Point { id, payload: None }
    }

    #[test]
    fn twins_are_one_revision_and_so_are_their_children() {
        let world = World::new();
        let root = world.commit("root", &[], Some("a"));
        let twin = world.commit("root", &[], Some("b"));
        let [child, of_twin] = [root, twin].map(|parent| world.commit("child", &[parent], None));
        let [merge, of_twins] =
            [(root, child), (twin, of_twin)].map(|(one, two)| world.commit("merge", &[one, two], Some("c")));
        let other = world.commit("other", &[root], None);
        let mirror = world.mirror();
        let history = History::of(&mirror).unwrap();
        for (one, two) in [(root, twin), (child, of_twin), (merge, of_twins)] {
            assert!(history.same(one, &point(two)).unwrap());
            assert!(history.reaches(two, &point(one)).unwrap());
        }
        for (one, two) in [(root, child), (child, other), (merge, child)] {
            assert!(!history.same(one, &point(two)).unwrap());
        }
        // A child of one follows the other, and never the other way round.
        assert!(history.reaches(of_twins, &point(child)).unwrap());
        assert!(!history.reaches(twin, &point(child)).unwrap());
        assert!(!history.reaches(other, &point(child)).unwrap());
        let way = history.way(of_twins, &point(root)).unwrap().unwrap();
        assert_eq!((way.commits, way.end), (vec![of_twins], twin));
        assert!(history.way(other, &point(child)).unwrap().is_none());
        // A commit that is not there any more is known by its payload.
        let gone = Oid::from_str(&"1".repeat(40)).unwrap();
        let known = Point { id: gone, payload: Some(history.payload(root).unwrap()) };
        assert!(history.same(twin, &known).unwrap());
        assert!(history.reaches(of_twin, &known).unwrap());
        assert!(!history.reaches(of_twin, &point(gone)).unwrap());
    }

    #[test]
    fn a_listed_revision_is_found_on_the_way_under_any_id() {
        let world = World::new();
        let root = world.commit("root", &[], None);
        let bad = world.commit("bad", &[root], Some("a"));
        let twin = world.commit("bad", &[root], Some("b"));
        let on_top = world.commit("on top", &[twin], None);
        let mirror = world.mirror();
        let history = History::of(&mirror).unwrap();
        let list = BTreeSet::from([history.payload(bad).unwrap()]);
        assert_eq!(history.listed(on_top, None, &list).unwrap(), Some(twin));
        assert_eq!(history.listed(on_top, Some(&point(on_top)), &list).unwrap(), None);
        assert_eq!(history.listed(root, None, &list).unwrap(), None);
    }

    /// Many commits that look like twins until their first ancestors are compared.
    #[test]
    fn twins_are_not_searched_for_without_end() {
        let world = World::new();
        let chain = |message: &str| {
            (0..600).fold(world.commit(message, &[], None), |parent, _| world.commit("x", &[parent], None))
        };
        let (one, other) = (chain("one"), chain("other"));
        let mirror = world.mirror();
        let history = History::of(&mirror).unwrap();
        assert!(!history.reaches(one, &point(other)).unwrap());
        assert_eq!(history.left.get(), 0);
    }
}
