//! The shell: speaks to the remote. All that it says is hostile until it is verified: how much is taken is limited, and
//! what is taken is only stored.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the one that reads what remotes are reached with"
)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use git2::{
    AutotagOption, CertificateCheckStatus, Cred, CredentialType, Direction, FetchOptions, FetchPrune,
    ObjectType, Oid, RemoteCallbacks, Repository, TreeWalkMode, TreeWalkResult,
};
use thiserror::Error;

use crate::config::{Config, Limits, Transport};
use crate::hosts::{self, HostsError};
use crate::mirror::{TAGS, TIP};
use crate::paths::Paths;
use crate::quarantine::Head;

/// A remote that gave nothing.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// It does not answer, or not so that Git understands it.
    #[error("{remote}: {message}")]
    Git {
        /// The remote.
        remote: String,
        /// What Git said.
        message: String,
    },
    /// It is on this host, and Git refuses what belongs to another user.
    #[error(
        "{remote} belongs to another user; give it to this one, or name it in /etc/gitconfig: git config --system --add safe.directory {remote}"
    )]
    Owner {
        /// The remote.
        remote: String,
    },
    /// Its host key is not known, or known as another one.
    #[error("{remote}: {source}")]
    Host {
        /// The remote.
        remote: String,
        /// What is wrong.
        source: HostsError,
    },
    /// It has no such branch.
    #[error("{remote} has no branch {branch}; it has: {}", list(.known))]
    NoBranch {
        /// The remote.
        remote: String,
        /// The branch.
        branch: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// It sends more than may be taken.
    #[error(
        "{remote} sends more than limits.download_megabytes or limits.quarantine_megabytes allow ({most} bytes); nothing of it was kept"
    )]
    TooMuch {
        /// The remote.
        remote: String,
        /// The limit.
        most: u64,
    },
    /// It has a file that is larger than may be taken.
    #[error(
        "{remote}: {path} of commit {commit} is larger than limits.file_megabytes ({most} bytes); nothing was taken"
    )]
    TooLarge {
        /// The remote.
        remote: String,
        /// The commit.
        commit: Oid,
        /// The file.
        path: String,
        /// The limit.
        most: u64,
    },
    /// What it is reached with cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

fn list(known: &[String]) -> String {
    const SHOWN: usize = 5;
    match known.split_at_checked(SHOWN) {
        _ if known.is_empty() => "none".to_owned(),
        Some((shown, more)) if !more.is_empty() => format!("{} and {} more", shown.join(", "), more.len()),
        _ => known.join(", "),
    }
}

/// What callbacks tell beside what Git makes of it.
#[derive(Default)]
struct Told {
    host: Option<HostsError>,
    too_much: bool,
    asked: bool,
}

/// The most objects of one download: what names them takes 128 MB.
const MOST_OBJECTS: usize = 4_000_000;

/// How the remote is reached.
struct Reach<'a> {
    config: &'a Config,
    /// The most bytes that are taken.
    most: u64,
    known_hosts: String,
    password: Option<String>,
    told: RefCell<Told>,
}

impl<'a> Reach<'a> {
    fn of(config: &'a Config, paths: &Paths, most: u64) -> Result<Self, RemoteError> {
        let read = |path: &Path| {
            let fail = |source| RemoteError::File { path: path.to_owned(), source };
            std::fs::read_to_string(path).map_err(fail)
        };
        let known_hosts = match config.remote.transport {
            Transport::Ssh { .. } => {
                read(config.access.known_hosts.as_ref().unwrap_or(&paths.known_hosts()))?
            }
            Transport::Local(_) | Transport::Git | Transport::Https => String::new(),
        };
        let password = config.access.password_file.as_deref().map(read).transpose()?;
        let password = password.as_deref().map(one_line).map(ToOwned::to_owned);
        Ok(Self { config, most, known_hosts, password, told: RefCell::default() })
    }

    fn callbacks(&self) -> RemoteCallbacks<'_> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks.credentials(|url, user, allowed| self.credentials(url, user, allowed));
        if let Transport::Ssh { host, .. } = &self.config.remote.transport {
            callbacks.certificate_check(move |certificate, _| {
                let key = certificate.as_hostkey().and_then(|key| key.hostkey());
                match hosts::check(&self.known_hosts, host, key.unwrap_or_default()) {
                    Ok(()) => Ok(CertificateCheckStatus::CertificateOk),
                    Err(error) => {
                        let message = error.to_string();
                        self.told.borrow_mut().host = Some(error);
                        Err(git2::Error::from_str(&message))
                    }
                }
            });
        }
        callbacks.transfer_progress(|progress| {
            let within =
                progress.received_bytes() as u64 <= self.most && progress.total_objects() <= MOST_OBJECTS;
            if !within {
                self.told.borrow_mut().too_much = true;
            }
            within
        });
        callbacks
    }

    /// Answers once; Git would ask the same question again and again.
    fn credentials(
        &self,
        url: &str,
        user: Option<&str>,
        allowed: CredentialType,
    ) -> Result<Cred, git2::Error> {
        let access = &self.config.access;
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(user.unwrap_or("git"));
        }
        if std::mem::replace(&mut self.told.borrow_mut().asked, true) {
            return Err(git2::Error::from_str("the remote refuses what access has"));
        }
        if allowed.contains(CredentialType::SSH_KEY)
            && let (Transport::Ssh { user, .. }, Some(key)) = (&self.config.remote.transport, &access.ssh_key)
        {
            return Cred::ssh_key(user, None, key, None);
        }
        if allowed.contains(CredentialType::USER_PASS_PLAINTEXT)
            && let Some(password) = &self.password
        {
            // The remote may have sent us elsewhere.
            if !self.config.remote.is_at(url) {
                return Err(git2::Error::from_str("another host asks who we are; set remote to it"));
            }
            return Cred::userpass_plaintext(access.user.as_deref().unwrap_or("git"), password);
        }
        Err(git2::Error::from_str("the remote asks who we are; set access.ssh_key or access.password_file"))
    }

    /// What an error of Git comes to.
    fn error(&self, error: &git2::Error) -> RemoteError {
        let remote = self.config.remote.to_string();
        let mut told = self.told.borrow_mut();
        if let Some(source) = told.host.take() {
            return RemoteError::Host { remote, source };
        }
        if told.too_much {
            return RemoteError::TooMuch { remote, most: self.most };
        }
        // libgit2 has a code for this and loses it on the way.
        if error.message().ends_with("not owned by current user") {
            return RemoteError::Owner { remote };
        }
        RemoteError::Git { remote, message: error.message().to_owned() }
    }
}

/// What the remote has: the branch, and where tags are asked for the tags. Nothing is taken yet.
///
/// # Errors
/// When it does not answer, or has no such branch.
pub fn heads(config: &Config, paths: &Paths) -> Result<Vec<Head>, RemoteError> {
    let reach = Reach::of(config, paths, 0)?;
    let fail = |error: git2::Error| reach.error(&error);
    let mut remote = git2::Remote::create_detached(config.remote.url()).map_err(fail)?;
    let connection = remote.connect_auth(Direction::Fetch, Some(reach.callbacks()), None).map_err(fail)?;
    let mut heads = Vec::new();
    let mut known = Vec::new();
    for head in connection.list().map_err(fail)? {
        if let Some(branch) = head.name().strip_prefix("refs/heads/") {
            known.push(branch.to_owned());
        }
        let wanted = head.name() == config.branch.reference()
            || (config.trust.wants_tags() && head.name().starts_with(TAG_PREFIX));
        if wanted {
            heads.push(Head { name: head.name().to_owned(), id: head.oid() });
        }
    }
    if !heads.iter().any(|head| head.name == config.branch.reference()) {
        let remote = config.remote.to_string();
        return Err(RemoteError::NoBranch { remote, branch: config.branch.as_str().to_owned(), known });
    }
    heads.sort();
    Ok(heads)
}

/// What the names of tags that matter begin with.
pub const TAG_PREFIX: &str = "refs/tags/chainmail/";

/// The text of a file that has one line, without the end of that line.
fn one_line(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// Takes what is new into a repository, `most` bytes of it.
///
/// # Errors
/// When it does not come, or is more than may be taken.
pub fn fetch(
    config: &Config,
    paths: &Paths,
    mirror: &Repository,
    heads: &[Head],
    most: u64,
) -> Result<(), RemoteError> {
    let reach = Reach::of(config, paths, most)?;
    let fail = |error: git2::Error| reach.error(&error);
    if let Transport::Local(path) = &config.remote.transport {
        // For a repository on this host Git packs what is new in this very process, each object as a whole.
        let found = too_large(path, heads, mirror, config.limits).map_err(fail)?;
        if let Some((commit, path)) = found {
            let remote = config.remote.to_string();
            return Err(RemoteError::TooLarge { remote, commit, path, most: config.limits.file });
        }
    }
    let mut specs = vec![format!("+{}:{TIP}", config.branch.reference())];
    if config.trust.wants_tags() {
        specs.push(format!("+{TAG_PREFIX}*:{TAGS}*"));
    }
    let mut options = FetchOptions::new();
    options.remote_callbacks(reach.callbacks());
    options.download_tags(AutotagOption::None).prune(FetchPrune::On).update_fetchhead(false);
    let mut remote = mirror.remote_anonymous(config.remote.url()).map_err(fail)?;
    remote.fetch(&specs, Some(&mut options), None).map_err(fail)
}

/// The first file of a new commit that is over the limit.
fn too_large(
    path: &Path,
    heads: &[Head],
    mirror: &Repository,
    limits: Limits,
) -> Result<Option<(Oid, String)>, git2::Error> {
    let repository = Repository::open(git_folder(path))?;
    let objects = repository.odb()?;
    let known = mirror.odb()?;
    let mut walk = repository.revwalk()?;
    let mut seen = BTreeSet::new();
    for head in heads {
        let object = repository.find_object(head.id, None)?;
        if let Ok(commit) = object.peel(ObjectType::Commit) {
            walk.push(commit.id())?;
            continue;
        }
        // A tag may name anything, and is believed nothing then. It is sent all the same.
        let found = match object.peel(ObjectType::Tree).map(git2::Object::into_tree) {
            Ok(Ok(tree)) => large_file(&tree, &objects, &known, &mut seen, limits)?,
            _ => {
                let blob = object.peel(ObjectType::Blob)?.id();
                let (length, _) = objects.read_header(blob)?;
                (length as u64 > limits.file).then(|| head.name.clone())
            }
        };
        if let Some(path) = found {
            return Ok(Some((head.id, path)));
        }
    }
    if let Ok(tip) = mirror.refname_to_id(TIP)
        && objects.exists(tip)
    {
        walk.hide(tip)?;
    }
    for commit in walk {
        let commit = commit?;
        let tree = repository.find_commit(commit)?.tree()?;
        if let Some(path) = large_file(&tree, &objects, &known, &mut seen, limits)? {
            return Ok(Some((commit, path)));
        }
    }
    Ok(None)
}

/// The first file of a tree that is new and over the limit.
fn large_file(
    tree: &git2::Tree<'_>,
    objects: &git2::Odb<'_>,
    known: &git2::Odb<'_>,
    seen: &mut BTreeSet<Oid>,
    limits: Limits,
) -> Result<Option<String>, git2::Error> {
    let mut found = None;
    tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        if known.exists(entry.id()) || !seen.insert(entry.id()) {
            return TreeWalkResult::Skip;
        }
        let length = objects.read_header(entry.id()).map(|(length, _)| length as u64);
        if entry.kind() == Some(ObjectType::Blob) && length.is_ok_and(|length| length > limits.file) {
            found = Some(format!("{folder}{}", String::from_utf8_lossy(entry.name_bytes())));
            return TreeWalkResult::Abort;
        }
        TreeWalkResult::Ok
    })
    .or_else(|error| if found.is_some() { Ok(()) } else { Err(error) })?;
    Ok(found)
}

/// The repository's own folder: its name in a path that may be a work tree.
#[must_use]
pub fn git_folder(path: &Path) -> PathBuf {
    let inner = path.join(".git");
    if inner.is_dir() { inner } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_whatever_ends_it() {
        for (text, expected) in [
            ("token", "token"),
            ("token\n", "token"),
            ("token\r\n", "token"),
            ("to ken \t\n", "to ken \t"),
            ("token\n\n", "token\n"),
            ("", ""),
        ] {
            assert_eq!(one_line(text), expected, "{text:?}");
        }
    }
}
