//! Manifests of a Git revision, read from the object database: no checkout, no work tree, no filters, no hooks.

use std::path::Path;

use git2::{ObjectType, Repository, TreeWalkMode, TreeWalkResult};

use super::{SourceError, SourceFile, Sources, is_manifest};

/// Git's file mode of a symbolic link.
const LINK: i32 = 0o120_000;

fn open(repo: &Path, rev: &str) -> Result<Repository, SourceError> {
    Repository::open(repo).map_err(|source| fail(repo, rev, source))
}

fn fail(repo: &Path, rev: &str, source: git2::Error) -> SourceError {
    SourceError::Git { repo: repo.display().to_string(), rev: rev.to_owned(), source }
}

/// The commit that a revision (branch, tag, `HEAD~1`, …) names, as 40 hex digits.
///
/// # Errors
/// When the repository or the revision cannot be read.
pub fn resolve(repo: &Path, rev: &str) -> Result<String, SourceError> {
    let repository = open(repo, rev)?;
    let commit = repository
        .revparse_single(rev)
        .and_then(|object| object.peel_to_commit())
        .map_err(|source| fail(repo, rev, source))?;
    Ok(commit.id().to_string())
}

/// Reads the manifests of a revision, as [`super::from_folder`] reads those of a folder. Works on bare repositories.
///
/// # Errors
/// When Git cannot read it, a path is not UTF-8, or a manifest is a symbolic link.
pub fn from_revision(repo: &Path, rev: &str) -> Result<Sources, SourceError> {
    let git = |source| fail(repo, rev, source);
    let repository = open(repo, rev)?;
    let tree = repository.revparse_single(rev).and_then(|object| object.peel_to_tree()).map_err(git)?;
    let mut entries = Vec::new();
    let mut problem = None;
    tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        if entry.kind() != Some(ObjectType::Blob) {
            return TreeWalkResult::Ok;
        }
        let name = String::from_utf8_lossy(entry.name_bytes());
        let path = format!("{folder}{name}");
        if !is_manifest(&path) {
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
    let mut files = Vec::with_capacity(entries.len());
    for (path, id) in entries {
        let blob = repository.find_blob(id).map_err(git)?;
        files.push(SourceFile { path, bytes: blob.content().to_vec() });
    }
    Ok(Sources::new(files))
}
