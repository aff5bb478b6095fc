//! Manifests of a Git revision, read from the object database: no checkout, no work tree, no filters, no hooks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chainmail_model::CONFIG_PATH;
use git2::{ObjectType, Odb, Oid, Repository, Tree};

use super::configuration::Configuration;
use super::unread::{PATH_BYTES, Walked, is_printable};
use super::{
    ENTRIES, FILE_BYTES, REPEATED_BYTES, SourceError, SourceFile, Sources, TOTAL_BYTES, Unread, Why,
    snapshots,
};
use crate::config::FileFilter;

/// Git's file mode of a symbolic link.
const LINK: i32 = 0o120_000;

fn open(repo: &Path, rev: &str) -> Result<Repository, SourceError> {
    Repository::discover(repo).map_err(|source| fail(repo, rev, source))
}

fn fail(repo: &Path, rev: &str, source: git2::Error) -> SourceError {
    SourceError::Git { repo: repo.display().to_string(), rev: rev.to_owned(), source }
}

/// Whether a folder is a bare repository, whose files are Git's own.
#[must_use]
pub fn is_bare_repository(path: &Path) -> bool {
    let marks = path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir();
    marks && Repository::open_bare(path).is_ok_and(|repository| repository.is_bare())
}

/// A folder's path below the work tree of the repository that it is in; empty for the work tree itself.
#[must_use]
pub fn path_in_repository(folder: &Path) -> Option<PathBuf> {
    let repository = Repository::discover(folder).ok()?;
    let root = repository.workdir()?.canonicalize().ok()?;
    let folder = folder.canonicalize().ok()?;
    folder.strip_prefix(root).ok().map(Path::to_path_buf)
}

/// The commit that a revision names; `None` where it names a tree.
///
/// # Errors
/// When there is no such revision.
pub fn commit_of(repo: &Path, rev: &str) -> Result<Option<String>, SourceError> {
    let git = |source| fail(repo, rev, source);
    let repository = open(repo, rev)?;
    let object = repository.revparse_single(rev).map_err(git)?;
    Ok(object.peel_to_commit().ok().map(|commit| commit.id().to_string()))
}

/// Reads the manifests of a revision, as [`super::from_folder`] reads those of a folder. Works on bare repositories.
///
/// # Errors
/// When Git cannot read it.
pub fn from_revision(repo: &Path, rev: &str) -> Result<Sources, SourceError> {
    from_revision_with(repo, rev, None)
}

/// How much of a revision is read into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of all files that are read.
    pub total: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file: FILE_BYTES, total: TOTAL_BYTES }
    }
}

/// Reads the manifests of a revision that others wrote; files over a limit are not read, and are findings.
///
/// # Errors
/// As [`from_revision`].
pub fn from_revision_within(repo: &Path, rev: &str, limits: Limits) -> Result<Sources, SourceError> {
    read(repo, rev, None, limits)
}

/// Reads the manifests of a revision, as the given configuration says instead of the revision's own.
///
/// # Errors
/// As [`from_revision`].
pub fn from_revision_with(
    repo: &Path,
    rev: &str,
    config: Option<SourceFile>,
) -> Result<Sources, SourceError> {
    read(repo, rev, config, Limits::default())
}

fn read(repo: &Path, rev: &str, config: Option<SourceFile>, limits: Limits) -> Result<Sources, SourceError> {
    let repository = open(repo, rev)?;
    let tree = repository.revparse_single(rev).and_then(|object| object.peel_to_tree());
    let sources = tree.and_then(|tree| from_tree(&repository, &tree, config, limits));
    sources.map_err(|source| fail(repo, rev, source))
}

/// Reads the manifests of a tree, as the given configuration says or its own.
///
/// # Errors
/// When an object is missing or broken.
pub fn from_tree(
    repository: &Repository,
    tree: &Tree<'_>,
    config: Option<SourceFile>,
    limits: Limits,
) -> Result<Sources, git2::Error> {
    let objects = repository.odb()?;
    let mut sizes = Sizes { objects: &objects, limits, of: BTreeMap::new(), total: 0, repeated: 0 };
    let content = |id| repository.find_blob(id).map(|blob| blob.content().to_vec());
    let (config, linked) = match (config, tree.get_name(CONFIG_PATH)) {
        (Some(config), _) => (Some(config), None),
        (None, Some(entry)) if entry.filemode() == LINK => {
            (None, Some(Unread { path: CONFIG_PATH.to_owned(), why: Why::Link }))
        }
        (None, Some(entry)) => {
            let path = CONFIG_PATH.to_owned();
            match sizes.refusal(entry.id())? {
                Some(why) => (None, Some(Unread { path, why })),
                None => (Some(SourceFile { path, bytes: content(entry.id())? }), None),
            }
        }
        (None, None) => (None, None),
    };
    let config = config.map(Configuration::read);
    let filter = Configuration::filter(config.as_ref());
    let walked = sizes.within_limits(walk(repository, tree, &filter)?)?;
    let mut files = Vec::with_capacity(walked.files.len());
    for (path, id) in walked.files {
        let bytes = content(id)?;
        if !snapshots::is_part(&path, &bytes) {
            files.push(SourceFile { path, bytes });
        }
    }
    let unread = linked.into_iter().chain(walked.unread).collect();
    Ok(Sources::new(files).with_unread(unread).with_configuration(config))
}

/// What files come to, told from the headers of their objects: a blob is as large as somebody pleases, and one blob may
/// have any number of paths.
struct Sizes<'r> {
    objects: &'r Odb<'r>,
    limits: Limits,
    /// Of each object that was met, its bytes.
    of: BTreeMap<Oid, u64>,
    total: u64,
    /// What of it are further copies of one object.
    repeated: u64,
}

impl Sizes<'_> {
    /// Counts a file, or says why it is not to be read.
    fn refusal(&mut self, id: Oid) -> Result<Option<Why>, git2::Error> {
        let (size, is_copy) = match self.of.get(&id) {
            Some(size) => (*size, true),
            None => {
                let size = self.objects.read_header(id)?.0 as u64;
                self.of.insert(id, size);
                (size, false)
            }
        };
        let most = self.limits.file.min(FILE_BYTES);
        if size > most {
            return Ok(Some(Why::Size { bytes: size, most }));
        }
        self.total = self.total.saturating_add(size);
        self.repeated = self.repeated.saturating_add(if is_copy { size } else { 0 });
        Ok(if self.total > self.limits.total {
            Some(Why::Total(self.limits.total))
        } else if self.repeated > REPEATED_BYTES {
            Some(Why::Repeated)
        } else {
            None
        })
    }

    /// The files that may be read. Where all together are too many none is: what is left of them is not what was asked
    /// for, and may be large.
    fn within_limits(&mut self, walked: Walked<Oid>) -> Result<Walked<Oid>, git2::Error> {
        let Walked { files, mut unread } = walked;
        let mut within = Vec::with_capacity(files.len());
        for (path, id) in files {
            match self.refusal(id)? {
                None => within.push((path, id)),
                Some(why @ Why::Size { .. }) => unread.push(Unread { path, why }),
                Some(why) => return Ok(Walked::given_up(path, why)),
            }
        }
        Ok(Walked { files: within, unread })
    }
}

/// The blobs of a tree that a filter reads, and what it would read, were it as it should be.
fn walk(repository: &Repository, tree: &Tree<'_>, filter: &FileFilter) -> Result<Walked<Oid>, git2::Error> {
    let mut walked = Walked { files: Vec::new(), unread: Vec::new() };
    let mut folders = vec![(String::new(), tree.id())];
    let mut entries = 0;
    // Not by the library's walk, which goes as deep as the trees do in one stack.
    while let Some((folder, id)) = folders.pop() {
        for entry in &repository.find_tree(id)? {
            entries += 1;
            if entries > ENTRIES {
                return Ok(Walked::given_up(folder, Why::Entries));
            }
            let name = String::from_utf8_lossy(entry.name_bytes());
            if name.split('/').any(|part| part.starts_with('.')) {
                continue;
            }
            let path = format!("{folder}{name}");
            // A link to a folder has no ending, and what it points to cannot be told from here.
            let is_link = entry.filemode() == LINK;
            let why = match entry.kind() {
                Some(ObjectType::Commit) => Why::Submodule,
                Some(ObjectType::Tree) if path.len() > PATH_BYTES => Why::LongPath,
                Some(ObjectType::Tree) => {
                    folders.push((format!("{path}/"), entry.id()));
                    continue;
                }
                Some(ObjectType::Blob) if !(filter.reads(&path) || is_link && !name.contains('.')) => {
                    continue;
                }
                Some(ObjectType::Blob) if is_link => Why::Link,
                Some(ObjectType::Blob) if path.len() > PATH_BYTES => Why::LongPath,
                Some(ObjectType::Blob) if !is_printable(&path) => Why::Path,
                Some(ObjectType::Blob) => {
                    walked.files.push((path, entry.id()));
                    continue;
                }
                _ => continue,
            };
            let path = match why {
                Why::LongPath => path.chars().take(100).chain(['…']).collect(),
                _ => path,
            };
            walked.unread.push(Unread { path, why });
        }
    }
    Ok(walked)
}
