//! The shell: the copy of the remote's objects, a bare repository of our own. It is never checked out, so there is nothing that a
//! hook, a filter or a submodule could be run for.

#![expect(clippy::disallowed_methods, reason = "this module is the one that counts what the mirror has")]

use std::path::{Path, PathBuf};

use chainmail_reconciler::files::{self, FileError};
use git2::{Repository, RepositoryInitOptions};

/// Where the branch's tip is kept.
pub const TIP: &str = "refs/chainmail/tip";
/// What the names of tags begin with.
pub const TAGS: &str = "refs/chainmail/tags/";
/// Where the accepted revision is kept, so that a remote that forgets it need not send it again.
pub const ACCEPTED: &str = "refs/chainmail/accepted";

/// How many files a mirror may have in its folder of packs. Each push brings two, and nothing here puts them together:
/// beyond that the mirror is taken anew, which costs less than the programs that could.
const PACK_FILES: usize = 400;

/// Takes the mirror away where it has grown old, or is damaged; what it held can be had again.
///
/// # Errors
/// When it stays.
pub fn tidy(path: &Path) -> Result<(), FileError> {
    let packs = std::fs::read_dir(path.join("objects/pack")).map_or(0, Iterator::count);
    let damaged = || path.exists() && Repository::open_bare(path).is_err();
    if packs > PACK_FILES || damaged() { drop_all(path) } else { Ok(()) }
}

/// Takes the mirror away.
///
/// # Errors
/// When it stays.
pub fn drop_all(path: &Path) -> Result<(), FileError> {
    files::remove_folder(path)
}

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
