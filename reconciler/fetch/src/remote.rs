//! The shell: speaks to the remote. All that it says is hostile until it is verified: how much is taken is limited, and
//! what is taken is only stored.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the one that reads what remotes are reached with"
)]

mod local;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use git2::{
    AutotagOption, CertificateCheckStatus, Cred, CredentialType, Direction, FetchOptions, FetchPrune, Oid,
    RemoteCallbacks, Repository,
};
use thiserror::Error;

use crate::config::{Config, Transport};
use crate::hosts::{self, HostsError};
use crate::mirror::{TAGS, TIP};
use crate::paths::Paths;
use crate::quarantine::{Head, MOST_TAGS, NotTaken, PassedOver, TAG_BYTES};
use local::Local;

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

/// What the remote has: the branch, and where tags are asked for at most [`MOST_TAGS`]. Nothing is taken yet.
///
/// # Errors
/// When it does not answer, or has no such branch.
pub fn heads(config: &Config, paths: &Paths) -> Result<Vec<Head>, RemoteError> {
    let reach = Reach::of(config, paths, 0)?;
    let fail = |error: git2::Error| reach.error(&error);
    let listed: Vec<Head> = match &config.remote.transport {
        Transport::Local(path) => Local::open(path).and_then(|local| local.heads()).map_err(fail)?,
        Transport::Ssh { .. } | Transport::Git | Transport::Https => {
            let mut remote = git2::Remote::create_detached(config.remote.url()).map_err(fail)?;
            let callbacks = Some(reach.callbacks());
            let connection = remote.connect_auth(Direction::Fetch, callbacks, None).map_err(fail)?;
            let head = |head: &git2::RemoteHead<'_>| Head { name: head.name().to_owned(), id: head.oid() };
            connection.list().map_err(fail)?.iter().map(head).collect()
        }
    };
    let (mut heads, mut tags, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for head in listed {
        if let Some(branch) = head.name.strip_prefix("refs/heads/") {
            known.push(branch.to_owned());
        }
        if head.name == config.branch.reference() {
            heads.push(head);
        } else if let Some(number) = head.tag().filter(|_| config.trust.wants_tags()) {
            tags.push((number, head));
        }
    }
    if heads.is_empty() {
        let remote = config.remote.to_string();
        return Err(RemoteError::NoBranch { remote, branch: config.branch.as_str().to_owned(), known });
    }
    heads.extend(highest(tags));
    heads.sort();
    Ok(heads)
}

/// The tags with the highest numbers. Anybody who may push can make any number of tags, and the verifier does not read a list
/// of more than `look.json` may hold.
fn highest(mut tags: Vec<(u64, Head)>) -> impl Iterator<Item = Head> {
    tags.sort_by_key(|(number, _)| Reverse(*number));
    let lower = tags.len().saturating_sub(MOST_TAGS);
    if lower > 0 {
        tracing::debug!("{lower} tags are not looked at, since {MOST_TAGS} have higher numbers");
    }
    tags.into_iter().take(MOST_TAGS).map(|(_, head)| head)
}

/// The text of a file that has one line, without the end of that line.
fn one_line(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// How often tags are asked for in one look: what brings too much is found by asking for half of the tags, and so on.
const MOST_REQUESTS: usize = 32;

/// What came of the heads of a remote.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Those that the repository has now: the branch, and tags.
    pub heads: Vec<Head>,
    /// Tags that bring too much.
    pub passed_over: Vec<PassedOver>,
}

/// Takes what is new into a repository: of the branch `most` bytes, and of each tag [`TAG_BYTES`]. Anybody who may push can
/// make a tag, so none stands in the way of the branch and of others: one that brings more is passed over. `before` are those
/// of which this is known. Tags for which too many requests would be needed are in neither list, and are for the next look.
///
/// # Errors
/// When the branch does not come, or is more than may be taken.
pub fn fetch(
    config: &Config,
    paths: &Paths,
    mirror: &Repository,
    heads: &[Head],
    before: &[PassedOver],
    most: u64,
) -> Result<Fetched, RemoteError> {
    let reach = Reach::of(config, paths, most)?;
    let git = |error: git2::Error| reach.error(&error);
    let branch = config.branch.reference();
    let (of_branch, mut tags): (Vec<Head>, Vec<Head>) =
        heads.iter().cloned().partition(|head| head.name == branch);
    let local = match &config.remote.transport {
        Transport::Local(path) => Some(Local::open(path).map_err(git)?),
        Transport::Ssh { .. } | Transport::Git | Transport::Https => None,
    };
    forget_tags(mirror).map_err(git)?;
    match &local {
        Some(local) => {
            let found = local.too_large(&of_branch, mirror, config.limits).map_err(git)?;
            if let Some((commit, path)) = found {
                let remote = config.remote.to_string();
                return Err(RemoteError::TooLarge { remote, commit, path, most: config.limits.file });
            }
            local.copy(&of_branch, mirror).map_err(git)?;
            for tip in &of_branch {
                mirror.reference(TIP, tip.id, true, "").map_err(git)?;
            }
        }
        None => request(config, paths, mirror, &[format!("+{branch}:{TIP}")], most)?,
    }
    tags.sort_by_key(|tag| Reverse(tag.tag()));
    let passed: BTreeMap<&Head, &PassedOver> = before.iter().map(|passed| (&passed.tag, passed)).collect();
    let objects = mirror.odb().map_err(git)?;
    let mut fetched = Fetched { heads: of_branch, ..Fetched::default() };
    let mut wanted = Vec::new();
    for tag in tags {
        match passed.get(&tag) {
            Some(passed) => fetched.passed_over.push((*passed).clone()),
            None if objects.exists(tag.id) => fetched.heads.push(tag),
            None => wanted.push(tag),
        }
    }
    match &local {
        Some(local) => {
            let weighed = local.weighed(wanted, &objects).map_err(git)?;
            local.copy(&weighed.heads, mirror).map_err(git)?;
            fetched.heads.extend(weighed.heads);
            fetched.passed_over.extend(weighed.passed_over);
        }
        None => by_requests(config, paths, mirror, &wanted, &mut fetched)?,
    }
    Ok(fetched)
}

/// Takes tags in as few requests as find out which of them bring too much.
fn by_requests(
    config: &Config,
    paths: &Paths,
    mirror: &Repository,
    wanted: &[Head],
    fetched: &mut Fetched,
) -> Result<(), RemoteError> {
    let mut open = vec![wanted];
    for _ in 0..MOST_REQUESTS {
        let Some(tags) = open.pop().filter(|tags| !tags.is_empty()) else { break };
        let spec = |tag: &Head| Some(format!("+{}:{TAGS}{}", tag.name, tag.tag()?));
        let specs: Vec<String> = tags.iter().filter_map(spec).collect();
        let taken = request(config, paths, mirror, &specs, TAG_BYTES);
        forget_tags(mirror).map_err(|error| RemoteError::Git {
            remote: config.remote.to_string(),
            message: error.message().to_owned(),
        })?;
        match (taken, tags) {
            (Ok(()), _) => fetched.heads.extend_from_slice(tags),
            (Err(RemoteError::TooMuch { .. }), [tag]) => {
                fetched.passed_over.push(PassedOver { tag: tag.clone(), why: NotTaken::TooMuch });
            }
            (Err(RemoteError::TooMuch { .. }), _) => {
                let (higher, lower) = tags.split_at(tags.len() / 2);
                open.extend([lower, higher]);
            }
            (Err(error), _) => return Err(error),
        }
    }
    let left: usize = open.iter().map(|tags| tags.len()).sum();
    if left > 0 {
        tracing::warn!("{left} tags are asked for at the next look: others bring too much");
    }
    Ok(())
}

/// Takes what references of the remote name, `most` bytes of it.
fn request(
    config: &Config,
    paths: &Paths,
    mirror: &Repository,
    specs: &[String],
    most: u64,
) -> Result<(), RemoteError> {
    let reach = Reach::of(config, paths, most)?;
    let fail = |error: git2::Error| reach.error(&error);
    let mut options = FetchOptions::new();
    options.remote_callbacks(reach.callbacks());
    options.download_tags(AutotagOption::None).prune(FetchPrune::Off).update_fetchhead(false);
    let mut remote = mirror.remote_anonymous(config.remote.url()).map_err(fail)?;
    remote.fetch(specs, Some(&mut options), None).map_err(fail)
}

/// Takes away the references of tags, of which the objects are enough. libgit2 reads what references name before it asks for
/// more, and ends with an error where it cannot parse that.
fn forget_tags(mirror: &Repository) -> Result<(), git2::Error> {
    for reference in mirror.references_glob(&format!("{TAGS}*"))? {
        reference?.delete()?;
    }
    Ok(())
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
