//! The copy of the remote's objects: a bare repository of our own. It is never checked out, so there is nothing that a
//! hook, a filter or a submodule could be run for.

use std::path::{Path, PathBuf};

use git2::{Repository, RepositoryInitOptions};

/// Where the branch's tip is kept.
pub const TIP: &str = "refs/chainmail/tip";
/// What the names of tags begin with.
pub const TAGS: &str = "refs/chainmail/tags/";
/// Where the accepted revision is kept, so that a remote that forgets it need not send it again.
pub const ACCEPTED: &str = "refs/chainmail/accepted";

/// Opens the mirror, which is made if need be.
///
/// # Errors
/// When Git can do neither.
pub fn open(path: &Path) -> Result<Repository, git2::Error> {
    if path.join("HEAD").is_file() {
        return Repository::open_bare(path);
    }
    let mut options = RepositoryInitOptions::new();
    // A template of the host could bring hooks.
    options.bare(true).mkpath(true).external_template(false);
    Repository::init_opts(path, &options)
}

/// The repository's own folder: its name in a path that may be a work tree.
#[must_use]
pub fn git_folder(path: &Path) -> PathBuf {
    let inner = path.join(".git");
    if inner.is_dir() { inner } else { path.to_owned() }
}
