//! The shell: writes the objects that the verifier needs into one file: the history of the heads, their tags, and the files
//! of one or two revisions. The files of all other revisions are never asked for, so they are not handed over.

#![expect(clippy::disallowed_methods, reason = "this module is the one that writes files of objects")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use git2::{Odb, Oid, Repository};
use thiserror::Error;

use super::folder::NEW;
use super::tags::Tags;
use crate::config::{BranchName, Mode};
use crate::quarantine::object::{Kind, Link, Malformed, links};
use crate::quarantine::record::{Limits, MOST_OBJECTS, Writer};
use crate::quarantine::{Head, LeftOut, Needs, PassedOver, Wanted};

/// The most files of a revision that may be too large to be taken.
const MOST_LEFT_OUT: usize = 1000;
/// What is to be written.
pub struct Export<'a> {
    /// Where the objects are.
    pub repository: &'a Repository,
    /// What the remote has.
    pub heads: &'a [Head],
    /// The branch.
    pub branch: &'a BranchName,
    /// What of it is judged by its signature, so that its files will be read.
    pub mode: Mode,
    /// What the verifier has and lacks.
    pub needs: Needs,
    /// The most bytes of a file.
    pub file: u64,
    /// The most bytes of all.
    pub room: u64,
}

/// What was written beside objects that were asked for.
#[derive(Debug)]
pub struct Written {
    /// Files that are too large.
    pub left_out: Vec<LeftOut>,
    /// Tags that are not handed over.
    pub passed_over: Vec<PassedOver>,
}

/// Why nothing was written.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The repository lacks an object, or cannot be read.
    #[error("{}", .0.message())]
    Git(#[from] git2::Error),
    /// It is more than the quarantine may hold.
    #[error("what the branch has is more than limits.quarantine_megabytes allow ({room} bytes are left)")]
    TooMuch {
        /// What may still be written.
        room: u64,
    },
    /// An object cannot be handed over.
    #[error("object {id} cannot be taken: {why}")]
    Object {
        /// The object.
        id: Oid,
        /// Why.
        why: String,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl ExportError {
    /// Whether fewer objects could be written.
    fn is_of_content(&self) -> bool {
        matches!(self, ExportError::TooMuch { .. } | ExportError::Object { .. })
    }
}

impl Export<'_> {
    /// Writes the objects; those of a file's contents that are too large are left out, and answered.
    ///
    /// # Errors
    /// When one of the branch cannot be handed over, or all are too much.
    pub fn write(&self, path: &Path) -> Result<Written, ExportError> {
        let objects = self.repository.odb()?;
        let mut list = List { objects: &objects, file: self.file, wanted: Vec::new(), left_out: Vec::new() };
        let (tip, tags) =
            self.heads.iter().partition::<Vec<&Head>, _>(|head| head.name == self.branch.reference());
        let tip = tip.first().ok_or_else(|| git2::Error::from_str("the branch is not there"))?.id;
        let have = self.needs.have.filter(|have| objects.exists(*have));
        let Tags { kept, commits, passed_over } =
            Tags::of(self.repository, &list, tags, [Some(tip), have], self.room)?;
        self.history(tip, have, &mut list)?;
        list.wanted.extend(commits.into_iter().map(|commit| (Kind::Commit, commit)));
        let of_tags: BTreeSet<Oid> = kept.iter().flat_map(|tag| tag.objects.iter().copied()).collect();
        list.wanted.extend(of_tags.into_iter().map(|tag| (Kind::Tag, tag)));
        let mut seen = BTreeSet::new();
        if let Some(have) = have {
            let mut had =
                List { objects: &objects, file: self.file, wanted: Vec::new(), left_out: Vec::new() };
            had.files(self.repository.find_commit(have)?.tree_id(), &mut seen)?;
            // It was left out then, and is now.
            list.left_out = had.left_out;
        }
        let newest = match self.mode {
            Mode::Range | Mode::Off => Some(tip),
            // The highest tag may be one that nobody signed: then the verifier asks for the files of another.
            Mode::Tag => {
                let of_branch = kept.iter().filter(|tag| tag.is_of_branch);
                of_branch.max_by_key(|tag| tag.head.tag()).map(|tag| tag.commit)
            }
        };
        let asked = match self.needs.wanted {
            Wanted::Files(commit) if self.tree(commit).is_ok() => Some(commit),
            Wanted::Files(_) | Wanted::Nothing | Wanted::Objects => None,
        };
        // Of the tip it is known that its files are needed. Those of the highest tag are needed where they were asked for.
        let needed = match self.mode {
            Mode::Range | Mode::Off => newest,
            Mode::Tag => asked.filter(|asked| newest == Some(*asked)),
        };
        if let Some(commit) = needed {
            list.files(self.tree(commit)?, &mut seen)?;
        }
        let mut lengths = Vec::new();
        for commit in [asked, newest].into_iter().flatten().filter(|commit| needed != Some(*commit)) {
            let before = list.len();
            match list.files(self.tree(commit)?, &mut seen) {
                Ok(()) => lengths.push((before, commit)),
                Err(error @ ExportError::Object { .. }) => {
                    list.back_to(before, &mut seen);
                    tracing::warn!("the files of {commit} are not handed over: {error}");
                }
                Err(error) => return Err(error),
            }
        }
        while let Err(error) = list.write(path, self.room) {
            let Some((before, commit)) = lengths.pop().filter(|_| error.is_of_content()) else {
                return Err(error);
            };
            list.back_to(before, &mut seen);
            tracing::warn!("the files of {commit} are not handed over: {error}");
        }
        list.left_out.truncate(MOST_LEFT_OUT);
        Ok(Written { left_out: list.left_out, passed_over })
    }

    fn tree(&self, commit: Oid) -> Result<Oid, git2::Error> {
        Ok(self.repository.find_commit(commit)?.tree_id())
    }

    /// The commits of the branch that the verifier does not have.
    fn history(&self, tip: Oid, have: Option<Oid>, list: &mut List<'_>) -> Result<(), ExportError> {
        let mut walk = self.repository.revwalk()?;
        walk.push(tip)?;
        have.map_or(Ok(()), |have| walk.hide(have))?;
        for commit in walk {
            list.wanted.push((Kind::Commit, commit?));
        }
        Ok(())
    }
}

/// The objects that are to be written.
pub(super) struct List<'a> {
    objects: &'a Odb<'a>,
    file: u64,
    wanted: Vec<(Kind, Oid)>,
    left_out: Vec<LeftOut>,
}

/// How long a list was.
#[derive(Debug, Clone, Copy)]
struct Length {
    wanted: usize,
    left_out: usize,
}

impl List<'_> {
    fn len(&self) -> Length {
        Length { wanted: self.wanted.len(), left_out: self.left_out.len() }
    }

    /// Takes away what was added since the list was shorter.
    fn back_to(&mut self, length: Length, seen: &mut BTreeSet<Oid>) {
        let wanted = self.wanted.drain(length.wanted..).map(|(_, id)| id);
        let left_out = self.left_out.drain(length.left_out..).map(|file| file.id);
        for id in wanted.chain(left_out) {
            seen.remove(&id);
        }
    }

    /// Adds the folders and files of a tree, each once however often it is named.
    fn files(&mut self, tree: Oid, seen: &mut BTreeSet<Oid>) -> Result<(), ExportError> {
        let mut folders = vec![tree];
        while let Some(id) = folders.pop() {
            if !seen.insert(id) {
                continue;
            }
            self.wanted.push((Kind::Tree, id));
            if self.wanted.len() > MOST_OBJECTS as usize {
                return Err(refused(id, format!("there are more than {MOST_OBJECTS} objects")));
            }
            let links = links(Kind::Tree, self.read(Kind::Tree, id)?.data());
            for link in links.map_err(|error| malformed(id, error))? {
                match link {
                    Link::Tree(id) => folders.push(id),
                    Link::Blob(id) if seen.insert(id) => self.blob(id)?,
                    Link::Blob(_) | Link::Parent(_) | Link::Target(_) => {}
                }
            }
        }
        Ok(())
    }

    fn blob(&mut self, id: Oid) -> Result<(), ExportError> {
        let (bytes, _) = self.objects.read_header(id)?;
        let bytes = bytes as u64;
        match bytes > self.file {
            true => self.left_out.push(LeftOut { id, bytes }),
            false => self.wanted.push((Kind::Blob, id)),
        }
        Ok(())
    }

    /// Reads an object, whose length is looked at before it is unpacked.
    pub(super) fn read(&self, kind: Kind, id: Oid) -> Result<git2::OdbObject<'_>, ExportError> {
        let most = Limits { object: self.file, total: u64::MAX }.of(kind);
        let (bytes, _) = self.objects.read_header(id)?;
        if bytes as u64 > most {
            return Err(refused(id, format!("it has {bytes} bytes, more than the {most} that may be taken")));
        }
        Ok(self.objects.read(id)?)
    }

    fn write(&self, path: &Path, room: u64) -> Result<(), ExportError> {
        let mut new = path.as_os_str().to_owned();
        new.push(NEW);
        self.write_new(path, new.as_ref(), room).inspect_err(|_| {
            // The error that matters is the first one; the next look takes away what stays.
            std::fs::remove_file(&new).ok();
        })
    }

    fn write_new(&self, path: &Path, new: &Path, room: u64) -> Result<(), ExportError> {
        let fail = |source| ExportError::Write { path: path.display().to_string(), source };
        let count = u32::try_from(self.wanted.len()).ok().filter(|count| *count <= MOST_OBJECTS);
        let count = count.ok_or(ExportError::TooMuch { room })?;
        let file = File::create(new).map_err(fail)?;
        let mut writer = Writer::new(BufWriter::new(file), count).map_err(fail)?;
        let mut left = room;
        for (kind, id) in &self.wanted {
            let object = self.read(*kind, *id)?;
            let bytes = object.data();
            left = left.checked_sub(bytes.len() as u64 + 9).ok_or(ExportError::TooMuch { room })?;
            writer.add(*kind, bytes).map_err(fail)?;
        }
        writer.into_inner().flush().map_err(fail)?;
        std::fs::rename(new, path).map_err(fail)
    }
}

fn malformed(id: Oid, error: Malformed) -> ExportError {
    refused(id, error.to_string())
}

fn refused(id: Oid, why: String) -> ExportError {
    ExportError::Object { id, why }
}
