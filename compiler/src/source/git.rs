//! Manifests of a Git revision, read from the object database: no checkout, no work tree, no filters, no hooks.

use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid, Repository, Tree, TreeWalkMode, TreeWalkResult};

use super::unread::{Walked, is_printable};
use super::{
    CONFIG_PATH, FILE_BYTES, FileFilter, SourceError, SourceFile, Sources, Unread, Why, filter, filter_of,
};

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
        Self { file: FILE_BYTES, total: u64::MAX }
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
    let mut unread = Vec::new();
    let (most, mut left) = (limits.file.min(FILE_BYTES), limits.total);
    // Its size is known before it is read, and a blob is as large as somebody pleases.
    let mut content = |path: String, id| {
        let (size, _) = objects.read_header(id)?;
        let size = size as u64;
        let why = match left.checked_sub(size) {
            _ if size > most => Why::Size { bytes: size, most },
            None => Why::Total(limits.total),
            Some(rest) => {
                left = rest;
                let bytes = repository.find_blob(id)?.content().to_vec();
                return Ok::<_, git2::Error>(Some(SourceFile { path, bytes }));
            }
        };
        unread.push(Unread { path, why });
        Ok(None)
    };
    let (config, linked) = match (config, tree.get_name(CONFIG_PATH)) {
        (Some(config), _) => (Some(config), None),
        (None, Some(entry)) if entry.filemode() == LINK => {
            (None, Some(Unread { path: CONFIG_PATH.to_owned(), why: Why::Link }))
        }
        (None, Some(entry)) => (content(CONFIG_PATH.to_owned(), entry.id())?, None),
        (None, None) => (None, None),
    };
    let walked = walk(tree, &filter_of(config.as_ref()))?;
    let mut files = Vec::with_capacity(walked.files.len());
    for (path, id) in walked.files {
        files.extend(content(path, id)?);
    }
    unread.extend(linked);
    unread.extend(walked.unread);
    let sources = Sources::new(files).with_unread(unread);
    Ok(match config {
        Some(config) => sources.with_config(config),
        None => sources,
    })
}

/// The blobs of a tree that a filter reads, and what it would read, were it as it should be.
fn walk(tree: &Tree<'_>, filter: &FileFilter) -> Result<Walked<Oid>, git2::Error> {
    let mut walked = Walked { files: Vec::new(), unread: Vec::new() };
    tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        let name = String::from_utf8_lossy(entry.name_bytes());
        let path = format!("{folder}{name}");
        if path.split('/').any(|part| part.starts_with('.')) {
            return TreeWalkResult::Ok;
        }
        // A link to a folder has no ending, and what it points to cannot be told from here.
        let is_link = entry.filemode() == LINK;
        let why = match entry.kind() {
            Some(ObjectType::Commit) => Why::Submodule,
            Some(ObjectType::Blob) if !(filter.reads(&path) || is_link && !name.contains('.')) => {
                return TreeWalkResult::Ok;
            }
            Some(ObjectType::Blob) if is_link => Why::Link,
            Some(ObjectType::Blob) if !is_printable(&path) => Why::Path,
            Some(ObjectType::Blob) => {
                walked.files.push((path, entry.id()));
                return TreeWalkResult::Ok;
            }
            _ => return TreeWalkResult::Ok,
        };
        walked.unread.push(Unread { path, why });
        TreeWalkResult::Ok
    })?;
    filter::leave_out_snapshots(&mut walked.files, |(path, _)| path);
    Ok(walked)
}
