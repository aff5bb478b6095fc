//! Manifests of a Git revision, read from the object database: no checkout, no work tree, no filters, no hooks.

use std::path::{Path, PathBuf};

use git2::{ObjectType, Repository, TreeWalkMode, TreeWalkResult};

use super::{CONFIG_PATH, SourceError, SourceFile, Sources, filter, filter_of};

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
/// When Git cannot read it, a path is not UTF-8, or a manifest is a symbolic link.
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

impl Limits {
    /// What a revision of one's own may have.
    const NONE: Self = Self { file: u64::MAX, total: u64::MAX };
}

/// Reads the manifests of a revision that others wrote: a file over a limit is refused before it is read.
///
/// # Errors
/// As [`from_revision`], and when a limit is passed.
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
    read(repo, rev, config, Limits::NONE)
}

fn read(repo: &Path, rev: &str, config: Option<SourceFile>, limits: Limits) -> Result<Sources, SourceError> {
    let git = |source| fail(repo, rev, source);
    let repository = open(repo, rev)?;
    let tree = repository.revparse_single(rev).and_then(|object| object.peel_to_tree()).map_err(git)?;
    let objects = repository.odb().map_err(git)?;
    let mut left = limits.total;
    let mut file = |path: String, id| {
        // The header tells the length; an object is unpacked as a whole, or not at all.
        let (length, _) = objects.read_header(id).map_err(git)?;
        let length = u64::try_from(length).expect("an object's length is below 2^64");
        let too_large = |most| SourceError::TooLarge { path: path.clone(), most };
        if length > limits.file {
            return Err(too_large(limits.file));
        }
        left = left.checked_sub(length).ok_or_else(|| too_large(limits.total))?;
        let bytes = repository.find_blob(id).map(|blob| blob.content().to_vec()).map_err(git)?;
        Ok(SourceFile { path, bytes })
    };
    let config = match (config, tree.get_name(CONFIG_PATH)) {
        (Some(config), _) => Some(config),
        (None, Some(entry)) if entry.filemode() == LINK => {
            return Err(SourceError::Link { path: CONFIG_PATH.to_owned() });
        }
        (None, Some(entry)) => Some(file(CONFIG_PATH.to_owned(), entry.id())?),
        (None, None) => None,
    };
    let filter = filter_of(config.as_ref());
    let mut entries = Vec::new();
    let mut problem = None;
    tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        let name = String::from_utf8_lossy(entry.name_bytes());
        let path = format!("{folder}{name}");
        let hidden = path.split('/').any(|part| part.starts_with('.'));
        if entry.kind() == Some(ObjectType::Commit) && !hidden {
            problem = Some(SourceError::Submodule { path });
            return TreeWalkResult::Abort;
        }
        if entry.kind() != Some(ObjectType::Blob) {
            return TreeWalkResult::Ok;
        }
        // A link to a folder has no ending, and what it points to cannot be told from here.
        if entry.filemode() == LINK && !hidden && !name.contains('.') {
            problem = Some(SourceError::Link { path });
            return TreeWalkResult::Abort;
        }
        if !filter.reads(&path) {
            return TreeWalkResult::Ok;
        }
        if entry.name().is_err() || folder.contains('\u{fffd}') {
            problem = Some(SourceError::Path { path });
            return TreeWalkResult::Abort;
        }
        if entry.filemode() == LINK {
            problem = Some(SourceError::Link { path });
            return TreeWalkResult::Abort;
        }
        entries.push((path, entry.id()));
        TreeWalkResult::Ok
    })
    .or_else(|error| if problem.is_some() { Ok(()) } else { Err(git(error)) })?;
    if let Some(problem) = problem {
        return Err(problem);
    }
    filter::leave_out_snapshots(&mut entries, |(path, _)| path);
    let mut files = Vec::with_capacity(entries.len());
    for (path, id) in entries {
        files.push(file(path, id)?);
    }
    let sources = Sources::new(files);
    Ok(match config {
        Some(config) => sources.with_config(config),
        None => sources,
    })
}
