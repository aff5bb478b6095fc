//! Which tags are handed over. Anybody who may push can make one, so a tag that cannot be handed over stands in no other's way.

use std::collections::{BTreeMap, BTreeSet};

use git2::{ErrorCode, ObjectType, Oid, Repository};

use super::export::{ExportError, List};
use crate::quarantine::object::{Kind, Link, links};
use crate::quarantine::{Head, NotTaken, PassedOver, TAG_BYTES};

/// How many tags may name one another.
const MOST_TAGS: usize = 8;
/// Of the room that is left, tags may take one part of so many.
const PARTS_OF_ROOM: u64 = 4;

/// A tag that is handed over.
pub(super) struct Tag<'a> {
    pub(super) head: &'a Head,
    /// The tag objects that lead to the commit; none where the reference names it.
    pub(super) objects: Vec<Oid>,
    pub(super) commit: Oid,
    /// Whether the branch has the commit.
    pub(super) is_of_branch: bool,
}

/// The tags of a remote.
pub(super) struct Tags<'a> {
    pub(super) kept: Vec<Tag<'a>>,
    /// The commits that those bring beside the branch.
    pub(super) commits: BTreeSet<Oid>,
    pub(super) passed_over: Vec<PassedOver>,
}

impl<'a> Tags<'a> {
    /// Tells them apart. `branch` are commits whose histories are handed over or are there in any case.
    ///
    /// # Errors
    /// When the repository lacks an object.
    pub(super) fn of(
        repository: &Repository,
        list: &List<'_>,
        heads: Vec<&'a Head>,
        branch: [Option<Oid>; 2],
        room: u64,
    ) -> Result<Self, ExportError> {
        let mut tags = Self { kept: Vec::new(), commits: BTreeSet::new(), passed_over: Vec::new() };
        if heads.is_empty() {
            return Ok(tags);
        }
        let mut chains = Vec::new();
        for head in heads {
            match chain(repository, list, head.id)? {
                Ok(chain) => chains.push((head, chain)),
                Err(why) => tags.pass_over(head, why),
            }
        }
        let mut walk = repository.revwalk()?;
        branch.into_iter().flatten().try_for_each(|commit| walk.push(commit))?;
        let branch: BTreeSet<Oid> = walk.collect::<Result<_, _>>()?;
        let weights = Weights::of(list, chains.iter().map(|(_, chain)| chain.commit), &branch)?;
        let mut weighed: Vec<_> = chains
            .into_iter()
            .map(|(head, chain)| (weights.of_commit(chain.commit, chain.bytes), head, chain))
            .collect();
        // The light ones first, so that heavy ones take no room from them.
        weighed.sort_by_key(|(weight, ..)| *weight);
        let mut left = room / PARTS_OF_ROOM;
        for (weight, head, chain) in weighed {
            match weight {
                Weight::Malformed => tags.pass_over(head, NotTaken::Malformed),
                Weight::Bytes(bytes) if bytes > TAG_BYTES || bytes > left => {
                    tags.pass_over(head, NotTaken::TooMuch);
                }
                Weight::Bytes(bytes) => {
                    left -= bytes;
                    let is_of_branch = branch.contains(&chain.commit);
                    weights.brought(chain.commit, &mut tags.commits);
                    tags.kept.push(Tag { head, objects: chain.objects, commit: chain.commit, is_of_branch });
                }
            }
        }
        Ok(tags)
    }

    fn pass_over(&mut self, head: &Head, why: NotTaken) {
        self.passed_over.push(PassedOver { tag: head.clone(), why });
    }
}

/// The tag objects of a reference, and the commit that they lead to.
struct Chain {
    objects: Vec<Oid>,
    bytes: u64,
    commit: Oid,
}

fn chain(
    repository: &Repository,
    list: &List<'_>,
    head: Oid,
) -> Result<Result<Chain, NotTaken>, ExportError> {
    let objects = repository.odb()?;
    let mut chain = Chain { objects: Vec::new(), bytes: 0, commit: head };
    while chain.objects.len() <= MOST_TAGS {
        match objects.read_header(chain.commit)?.1 {
            ObjectType::Commit => return Ok(Ok(chain)),
            ObjectType::Tag => {}
            _ => return Ok(Err(NotTaken::NoCommit)),
        }
        let object = match list.read(Kind::Tag, chain.commit) {
            Ok(object) => object,
            Err(ExportError::Object { .. }) => return Ok(Err(NotTaken::TooMuch)),
            Err(error) => return Err(error),
        };
        let Ok(found) = links(Kind::Tag, object.data()) else { return Ok(Err(NotTaken::Malformed)) };
        let target =
            found.into_iter().find_map(|link| if let Link::Target(id) = link { Some(id) } else { None });
        let Some(target) = target else { return Ok(Err(NotTaken::Malformed)) };
        chain.bytes += object.data().len() as u64;
        chain.objects.push(chain.commit);
        chain.commit = target;
    }
    Ok(Err(NotTaken::NoCommit))
}

/// What a commit brings with those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Bytes(u64),
    Malformed,
}

/// The commits that tags bring beside the branch, each with its parents among them. A commit that two of its parents follow
/// is counted twice: who has made signatures anew has few of these, and so the cost grows with the number of commits alone.
/// No other reader looks at these commits, since one that cannot parse what is read here would end the whole look.
struct Weights(BTreeMap<Oid, (Weight, Vec<Oid>)>);

impl Weights {
    fn of(
        list: &List<'_>,
        tagged: impl Iterator<Item = Oid>,
        branch: &BTreeSet<Oid>,
    ) -> Result<Self, ExportError> {
        let mut weights = BTreeMap::<Oid, (Weight, Vec<Oid>)>::new();
        let mut read = BTreeMap::<Oid, (Weight, Vec<Oid>)>::new();
        let mut open: Vec<Oid> = tagged.collect();
        while let Some(commit) = open.pop() {
            if branch.contains(&commit) || weights.contains_key(&commit) {
                continue;
            }
            // The second time all of its parents are weighed.
            if let Some((own, parents)) = read.remove(&commit) {
                let weigh =
                    |sum: Weight, parent: &Oid| sum.with(weights.get(parent).map(|(weight, _)| *weight));
                let weight = parents.iter().fold(own, weigh);
                weights.insert(commit, (weight, parents));
                continue;
            }
            let (own, parents) = own(list, commit, branch)?;
            open.push(commit);
            open.extend(parents.iter().filter(|parent| !read.contains_key(parent)));
            read.insert(commit, (own, parents));
        }
        Ok(Self(weights))
    }

    fn of_commit(&self, commit: Oid, more: u64) -> Weight {
        Weight::Bytes(more).with(self.0.get(&commit).map(|(weight, _)| *weight))
    }

    /// The commits that a commit brings, itself among them.
    fn brought(&self, commit: Oid, brought: &mut BTreeSet<Oid>) {
        let mut open = vec![commit];
        while let Some(commit) = open.pop() {
            if let Some((_, parents)) = self.0.get(&commit)
                && brought.insert(commit)
            {
                open.extend(parents);
            }
        }
    }
}

/// What a commit weighs by itself, and its parents that the branch does not have.
fn own(list: &List<'_>, commit: Oid, branch: &BTreeSet<Oid>) -> Result<(Weight, Vec<Oid>), ExportError> {
    let object = match list.read(Kind::Commit, commit) {
        Ok(object) => object,
        Err(ExportError::Object { .. }) => return Ok((Weight::Bytes(u64::MAX), Vec::new())),
        Err(ExportError::Git(error)) if error.code() == ErrorCode::NotFound => {
            return Ok((Weight::Malformed, Vec::new()));
        }
        Err(error) => return Err(error),
    };
    let Ok(links) = links(Kind::Commit, object.data()) else { return Ok((Weight::Malformed, Vec::new())) };
    let parents = links.into_iter().filter_map(|link| match link {
        Link::Parent(parent) => Some(parent).filter(|parent| !branch.contains(parent)),
        Link::Tree(_) | Link::Blob(_) | Link::Target(_) => None,
    });
    Ok((Weight::Bytes(object.data().len() as u64), parents.collect()))
}

impl Weight {
    fn with(self, other: Option<Weight>) -> Self {
        match (self, other) {
            (Weight::Malformed, _) | (_, Some(Weight::Malformed)) => Weight::Malformed,
            (Weight::Bytes(bytes), Some(Weight::Bytes(more))) => Weight::Bytes(bytes.saturating_add(more)),
            (Weight::Bytes(bytes), None) => Weight::Bytes(bytes),
        }
    }
}
