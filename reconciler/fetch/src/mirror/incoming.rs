//! What is being judged: the objects of the quarantine under the names that are computed here, beside those of the store.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_reconciler::files::{self, FileError};
use git2::{ObjectType, Odb, Oid, Repository};
use thiserror::Error;

use super::{ACCEPTED, MirrorError, PACK_FILES, TAGS, TIP, add, compact, holds, size, skeleton, write_pack};
use crate::config::Config;
use crate::paths::Paths;
use crate::quarantine::object::{Kind, Link, Malformed, id, links};
use crate::quarantine::record::Limits;
use crate::quarantine::{Look, Quarantine, QuarantineError};

/// Objects that cannot be judged.
#[derive(Debug, Error)]
pub enum IncomingError {
    /// The quarantine holds something else.
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
    /// An object is not as Git writes it.
    #[error("object {at} of the quarantine: {why}")]
    Object {
        /// Which one, from 0 on.
        at: usize,
        /// What is wrong.
        why: Malformed,
    },
    /// An object comes twice, so that the number of objects is not known.
    #[error("object {at} of the quarantine comes twice")]
    Twice {
        /// Which one, from 0 on.
        at: usize,
    },
    /// An object is missing.
    #[error("object {0} did not come over")]
    Missing(Oid),
    /// The file of objects is not there any more, or there was none.
    #[error("no objects came over")]
    Gone,
    /// The store cannot be written.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
}

impl From<git2::Error> for IncomingError {
    fn from(error: git2::Error) -> Self {
        IncomingError::Mirror(error.into())
    }
}

impl From<FileError> for IncomingError {
    fn from(error: FileError) -> Self {
        IncomingError::Mirror(error.into())
    }
}

/// A file of a revision that did not come over, since the half that downloads says that it is too large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLeftOut {
    /// Its path in the revision.
    pub path: String,
    /// The blob.
    pub id: Oid,
    /// Its length, as the half that downloads says.
    pub bytes: u64,
}

/// The second store. It goes with this value, unless it was accepted.
pub struct Incoming<'a> {
    paths: &'a Paths,
    repository: Repository,
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        if let Err(error) = files::clear(&self.paths.incoming()) {
            tracing::warn!(%error, "the next look takes it away");
        }
    }
}

impl<'a> Incoming<'a> {
    /// Takes the objects that a look brought, and puts up the references that it saw.
    ///
    /// # Errors
    /// When an object is malformed, or the branch's history is not whole.
    pub fn take(
        paths: &'a Paths,
        config: &Config,
        (quarantine, look): (&Quarantine, &Look),
        accepted: Option<Oid>,
    ) -> Result<Self, IncomingError> {
        Self::taken(paths, config, (quarantine, look), accepted).inspect_err(|_| {
            // The error that matters is the first one; the next look takes away what stays.
            files::clear(&paths.incoming()).ok();
        })
    }

    fn taken(
        paths: &'a Paths,
        config: &Config,
        (quarantine, look): (&Quarantine, &Look),
        accepted: Option<Oid>,
    ) -> Result<Self, IncomingError> {
        let path = paths.incoming();
        files::clear(&path)?;
        skeleton(&path, &[paths.mirror()], &BTreeMap::new())?;
        let repository = Repository::open_bare(&path)?;
        let limits = Limits { object: config.limits.file, total: config.limits.quarantine };
        let history = import(&repository, quarantine, look, limits)?;
        drop(repository);
        let repository = Repository::open_bare(&path)?;
        let mut refs = refs(&repository, &history, config, look)?;
        refs.extend(accepted.filter(|id| holds(&repository, *id)).map(|id| (ACCEPTED.to_owned(), id)));
        drop(repository);
        skeleton(&path, &[paths.mirror()], &refs)?;
        Ok(Self { paths, repository: Repository::open_bare(&path)? })
    }

    /// The store as Git reads it.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The files of a commit that were left out since they have more than `most` bytes, as the half that downloads says.
    ///
    /// # Errors
    /// When another file or a folder is missing.
    pub fn left_out(&self, commit: Oid, look: &Look, most: u64) -> Result<Vec<FileLeftOut>, IncomingError> {
        let objects = self.repository.odb()?;
        let too_large = look.left_out.iter().filter(|file| file.bytes > most);
        let left_out: BTreeMap<Oid, u64> = too_large.map(|file| (file.id, file.bytes)).collect();
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let mut folders = vec![(String::new(), self.repository.find_commit(commit)?.tree_id())];
        while let Some((path, id)) = folders.pop() {
            if !seen.insert(id) {
                continue;
            }
            if !objects.exists(id) {
                return Err(IncomingError::Missing(id));
            }
            for entry in &self.repository.find_tree(id)? {
                let name = String::from_utf8_lossy(entry.name_bytes());
                match entry.kind() {
                    Some(ObjectType::Tree) => folders.push((format!("{path}{name}/"), entry.id())),
                    Some(ObjectType::Blob) if !objects.exists(entry.id()) => {
                        match left_out.get(&entry.id()) {
                            Some(bytes) => {
                                let path = format!("{path}{name}");
                                found.push(FileLeftOut { path, id: entry.id(), bytes: *bytes });
                            }
                            None => return Err(IncomingError::Missing(entry.id())),
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(found)
    }

    /// Has the store keep a commit, its history and its files. What else came over is not kept: tags that are not signed may
    /// bring any objects.
    ///
    /// # Errors
    /// When they are too large, or cannot be written; the store is as before then.
    pub fn accept(&self, commit: Oid, most: u64) -> Result<(), MirrorError> {
        let (mirror, incoming) = (self.paths.mirror(), self.paths.incoming());
        let ((kept, files), (new, _)) = (size(&mirror), size(&incoming));
        if kept + new > most || files + 2 > PACK_FILES {
            compact(&mirror, &self.repository, commit, most)?;
        } else {
            add(&mirror, &self.repository, commit)?;
        }
        // The objects are in the other store now.
        skeleton(&mirror, &[], &BTreeMap::from([(ACCEPTED.to_owned(), commit)]))?;
        Ok(())
    }
}

/// What commits and tags that came over name.
type History = BTreeMap<Oid, Vec<Link>>;

/// Checks each object, and writes it under its computed name.
fn import(
    to: &Repository,
    quarantine: &Quarantine,
    look: &Look,
    limits: Limits,
) -> Result<History, IncomingError> {
    let Some(file) = &look.objects else { return Err(IncomingError::Gone) };
    let Some(mut reader) = quarantine.objects(file, limits)? else { return Err(IncomingError::Gone) };
    let count = reader.count() as usize;
    let mut history = History::new();
    let mut seen = BTreeSet::new();
    let mut at = 0;
    let objects = std::iter::from_fn(|| {
        let mut next = || {
            let Some((kind, bytes)) = reader.next().map_err(|error| quarantine.records(file, error))? else {
                return Ok(None);
            };
            let malformed = |why| IncomingError::Object { at, why };
            let id = id(kind, &bytes).map_err(malformed)?;
            let links = links(kind, &bytes).map_err(malformed)?;
            if !seen.insert(id) {
                return Err(IncomingError::Twice { at });
            }
            if matches!(kind, Kind::Commit | Kind::Tag) {
                history.insert(id, links);
            }
            at += 1;
            Ok(Some((kind, bytes)))
        };
        next().transpose()
    });
    write_pack(to, count, objects)?;
    Ok(history)
}

/// The references that a look saw, under the names that they have here. The branch's history must be whole; a tag of which
/// that is not so is passed by, since whoever may push can make one that names something else.
fn refs(
    repository: &Repository,
    history: &History,
    config: &Config,
    look: &Look,
) -> Result<BTreeMap<String, Oid>, IncomingError> {
    let objects = repository.odb()?;
    let mut refs = BTreeMap::new();
    let mut search = Search { objects: &objects, history, lacks: BTreeMap::new() };
    for head in &look.heads {
        if head.name == config.branch.reference() {
            search.lacks(head.id).map_or(Ok(()), |id| Err(IncomingError::Missing(id)))?;
            refs.insert(TIP.to_owned(), head.id);
        } else if let Some(number) = head.tag()
            && search.lacks(head.id).is_none()
        {
            refs.insert(format!("{TAGS}{number}"), head.id);
        }
    }
    if refs.contains_key(TIP) { Ok(refs) } else { Err(IncomingError::Gone) }
}

/// Finds objects of histories that did not come over. It looks at each object once, however many tags lead to it.
struct Search<'a> {
    objects: &'a Odb<'a>,
    history: &'a History,
    /// What each object lacks, where that is known already.
    lacks: BTreeMap<Oid, Option<Oid>>,
}

impl Search<'_> {
    /// An object of a history that did not come over. What the store has is whole.
    fn lacks(&mut self, head: Oid) -> Option<Oid> {
        let mut open = vec![head];
        while let Some(&id) = open.last() {
            let found = match (self.lacks.get(&id), self.history.get(&id)) {
                (Some(_), _) => None,
                (None, None) => Some(Some(id).filter(|id| !self.objects.exists(*id))),
                (None, Some(links)) => {
                    let before: Vec<Oid> = links.iter().filter_map(before).collect();
                    let unknown = before.iter().filter(|id| !self.lacks.contains_key(id));
                    let length = open.len();
                    open.extend(unknown);
                    if open.len() > length {
                        continue;
                    }
                    Some(before.iter().find_map(|id| self.lacks.get(id).copied().flatten()))
                }
            };
            if let Some(found) = found {
                self.lacks.insert(id, found);
            }
            open.pop();
        }
        self.lacks.get(&head).copied().flatten()
    }
}

/// What a history has before a commit or tag.
fn before(link: &Link) -> Option<Oid> {
    match link {
        Link::Parent(id) | Link::Target(id) => Some(*id),
        Link::Tree(_) | Link::Blob(_) => None,
    }
}
