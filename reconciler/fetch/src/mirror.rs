//! The shell: the verifier's own store of objects, a bare repository that nothing else writes and that is never checked
//! out, so there is nothing that a hook, a filter or a submodule could be run for.
//!
//! [`open`] keeps the history of the accepted revision and its files. What is being judged is in a second store beside it
//! ([`incoming`]), and comes into the first one once it is accepted; otherwise it goes. Of both only the packs matter: all
//! else is written anew at each look, so a lock, a reference or a configuration that is damaged heals by itself.

#![expect(clippy::disallowed_methods, reason = "this module is the one that writes the verifier's store")]

pub mod incoming;
mod pack;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chainmail_reconciler::files::{self, FileError};
use git2::{Odb, OdbLookupFlags, Oid, Repository};
use thiserror::Error;

use crate::quarantine::object::{Kind, Link, links};
use pack::PackWriter;

/// Where the branch's tip is kept.
pub const TIP: &str = "refs/chainmail/tip";
/// What the names of tags begin with.
pub const TAGS: &str = "refs/chainmail/tags/";
/// Where the accepted revision is kept.
pub const ACCEPTED: &str = "refs/chainmail/accepted";

const HEAD: &str = "ref: refs/heads/none\n";
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
/// How many files the folder of packs may have: each accepted revision brings two. Beyond that one pack is made of them.
const PACK_FILES: usize = 64;

/// A store that cannot be used.
#[derive(Debug, Error)]
pub enum MirrorError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// An object is missing or damaged.
    #[error("{}", .0.message())]
    Git(#[from] git2::Error),
    /// The revision is more than may be kept.
    #[error("the history and the files of {commit} take more than limits.mirror_megabytes ({most} bytes)")]
    TooLarge {
        /// The revision.
        commit: Oid,
        /// The limit.
        most: u64,
    },
}

/// Opens the store, which is made if need be. Whatever of it is not a whole pack is taken away.
///
/// # Errors
/// When that cannot be done.
pub fn open(path: &Path, accepted: Option<Oid>) -> Result<Repository, MirrorError> {
    let is_ours = files::read(&path.join("config")).ok().flatten().as_deref() == Some(CONFIG);
    let was_there = path.is_dir();
    let refs = accepted.map(|id| (ACCEPTED.to_owned(), id)).into_iter().collect();
    skeleton(path, &[], &refs)?;
    let repository = Repository::open_bare(path)?;
    if is_ours || !was_there {
        return Ok(repository);
    }
    // It is damaged, or of a version that kept all that was ever pushed.
    let kept = accepted.map(|accepted| compact(path, &repository, accepted, u64::MAX));
    if !matches!(kept, Some(Ok(()))) {
        files::clear(path)?;
    }
    drop(repository);
    skeleton(path, &[], &refs)?;
    Ok(Repository::open_bare(path)?)
}

/// Whether a store has a commit.
#[must_use]
pub fn holds(repository: &Repository, commit: Oid) -> bool {
    repository.find_commit(commit).is_ok()
}

/// Writes all of a bare repository but its packs, and takes everything else away. It may read the objects of others.
fn skeleton(path: &Path, alternates: &[PathBuf], refs: &BTreeMap<String, Oid>) -> Result<(), FileError> {
    let (objects, packs) = (path.join("objects"), path.join("objects/pack"));
    for folder in [path, &objects, &packs] {
        if !folder.is_dir() || folder.is_symlink() {
            files::clear(folder)?;
        }
    }
    keep_only(path, &["objects"])?;
    keep_only(&objects, &["pack"])?;
    let names = files::names(&packs)?;
    let whole: Vec<&str> = names.iter().filter(|name| is_whole(name, &names)).map(String::as_str).collect();
    keep_only(&packs, &whole)?;
    for folder in [&packs, &path.join("objects/info"), &path.join("refs")] {
        files::make_dir(folder)?;
    }
    files::replace_volatile(&path.join("HEAD"), HEAD)?;
    files::replace_volatile(&path.join("config"), CONFIG)?;
    if !alternates.is_empty() {
        let lines: String =
            alternates.iter().map(|path| format!("{}\n", path.join("objects").display())).collect();
        files::replace_volatile(&path.join("objects/info/alternates"), &lines)?;
    }
    let refs: String = refs.iter().map(|(name, id)| format!("{id} {name}\n")).collect();
    files::replace_volatile(&path.join("packed-refs"), &format!("# pack-refs with: sorted \n{refs}"))
}

/// Whether a file is one of a pack that has its other half.
fn is_whole(name: &str, names: &[String]) -> bool {
    let other = match (name.strip_suffix(".pack"), name.strip_suffix(".idx")) {
        (Some(stem), _) => format!("{stem}.idx"),
        (None, Some(stem)) => format!("{stem}.pack"),
        (None, None) => return false,
    };
    name.starts_with("pack-") && names.contains(&other)
}

/// Takes away all that is in a folder but some names.
fn keep_only(folder: &Path, kept: &[&str]) -> Result<(), FileError> {
    for name in files::names(folder)? {
        if !kept.contains(&name.as_str()) {
            files::clear(&folder.join(name))?;
        }
    }
    Ok(())
}

/// The bytes of a store's packs, and how many files they are.
fn size(path: &Path) -> (u64, usize) {
    let lengths: Vec<u64> = std::fs::read_dir(path.join("objects/pack"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.metadata().map_or(0, |file| file.len()))
        .collect();
    (lengths.iter().sum(), lengths.len())
}

/// Makes one pack of a revision's history and files, and has it take the place of a store.
fn compact(path: &Path, from: &Repository, commit: Oid, most: u64) -> Result<(), MirrorError> {
    let [new, old] = ["new", "old"].map(|ending| path.with_extension(ending));
    for left_over in [&new, &old] {
        files::clear(left_over)?;
    }
    let objects = from.odb()?;
    let wanted = reachable(from, &objects, commit, None)?;
    skeleton(&new, &[], &BTreeMap::new())?;
    let made = Repository::open_bare(&new)?;
    write_pack::<git2::Error>(&made, wanted.len(), wanted.iter().map(|id| object(&objects, *id)))?;
    if size(&new).0 > most {
        files::clear(&new)?;
        return Err(MirrorError::TooLarge { commit, most });
    }
    if path.exists() {
        files::rename(path, &old)?;
    }
    files::rename(&new, path)?;
    Ok(files::clear(&old)?)
}

/// Adds what a store lacks of a revision's history and files.
fn add(path: &Path, from: &Repository, commit: Oid) -> Result<(), MirrorError> {
    let store = Repository::open_bare(path)?;
    let (objects, known) = (from.odb()?, store.odb()?);
    let accepted = store.refname_to_id(ACCEPTED).ok().filter(|accepted| holds(&store, *accepted));
    let mut wanted = reachable(from, &objects, commit, accepted)?;
    // Nothing else writes the store: the folder of packs need not be read anew for each object.
    wanted.retain(|id| !known.exists_ext(*id, OdbLookupFlags::NO_REFRESH));
    Ok(write_pack::<git2::Error>(&store, wanted.len(), wanted.iter().map(|id| object(&objects, *id)))?)
}

fn object(objects: &Odb<'_>, id: Oid) -> Result<(Kind, Vec<u8>), git2::Error> {
    let object = objects.read(id)?;
    let kind = Kind::of(object.kind()).ok_or_else(|| git2::Error::from_str("an object is of no kind"))?;
    Ok((kind, object.data().to_vec()))
}

/// The commits of a revision's history that are not in that of another, and its folders and files. A file that was left out
/// is not there.
fn reachable(
    from: &Repository,
    objects: &Odb<'_>,
    commit: Oid,
    known: Option<Oid>,
) -> Result<BTreeSet<Oid>, git2::Error> {
    let mut walk = from.revwalk()?;
    walk.push(commit)?;
    known.map_or(Ok(()), |known| walk.hide(known))?;
    let mut found: BTreeSet<Oid> = walk.collect::<Result<_, _>>()?;
    let mut folders = vec![from.find_commit(commit)?.tree_id()];
    while let Some(folder) = folders.pop() {
        if !found.insert(folder) {
            continue;
        }
        for link in tree(objects, folder)? {
            match link {
                Link::Tree(id) => folders.push(id),
                Link::Blob(id) if objects.exists(id) => drop(found.insert(id)),
                Link::Blob(_) | Link::Parent(_) | Link::Target(_) => {}
            }
        }
    }
    Ok(found)
}

/// What a folder of a revision names.
fn tree(objects: &Odb<'_>, id: Oid) -> Result<Vec<Link>, git2::Error> {
    let object = objects.read(id)?;
    links(Kind::Tree, object.data()).map_err(|error| git2::Error::from_str(&format!("tree {id}: {error}")))
}

/// Writes objects into a store as one pack.
fn write_pack<E: From<git2::Error>>(
    to: &Repository,
    count: usize,
    mut objects: impl Iterator<Item = Result<(Kind, Vec<u8>), E>>,
) -> Result<(), E> {
    if count == 0 {
        return objects.try_for_each(|object| object.map(drop));
    }
    let own = |error: std::io::Error| git2::Error::from_str(&error.to_string());
    let store = to.odb()?;
    let mut pack =
        PackWriter::new(store.packwriter()?, u32::try_from(count).unwrap_or(u32::MAX)).map_err(own)?;
    for object in objects {
        let (kind, bytes) = object?;
        pack.add(kind, &bytes).map_err(own)?;
    }
    pack.finish().map_err(own)?.commit()?;
    Ok(())
}
