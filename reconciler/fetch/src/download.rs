//! One look at the remote, by the user who may speak to it: what is new is copied into a repository of its own, and handed
//! over as a file of objects.
//!
//! All of it is in one folder with a quota. The repository in it is a copy: where it cannot be used it is taken anew.

pub mod export;
pub mod folder;
mod tags;

use chainmail_contract::Sha256Hex;
use std::collections::BTreeSet;

use chainmail_reconciler::clock::Moment;
use chainmail_reconciler::files::{self, FileError};
use git2::{Repository, RepositoryInitOptions};

use crate::config::Config;
use crate::confirm::is_on_trial;
use crate::inputs::{self, InputsError};
use crate::paths::Paths;
use crate::quarantine::{Failure, Head, LeftOut, Look, Needs, Objects, PassedOver, Wanted};
use crate::remote::{self, Fetched, RemoteError};
use crate::state::{json, read_json};
use crate::status::State;
use export::{Export, ExportError, Written};

/// Looks once, and writes what came of it.
///
/// # Errors
/// When what came of it cannot be written.
pub fn look(paths: &Paths) -> Result<Look, FileError> {
    let before = read_json::<Look>(&paths.look()).ok().flatten();
    let mut look = begin(paths, before.as_ref());
    match inputs::config(paths) {
        Ok((text, config)) => {
            look.config = Sha256Hex::of(text);
            if let Err(failure) = take(paths, &config, before, &mut look) {
                look.failed = Some(failure);
            }
        }
        Err(error) => look.failed = Some(error.into()),
    }
    look.beside_trial |= is_on_trial(paths);
    write(paths, &look)?;
    folder::forget(paths, look.objects.as_ref())?;
    Ok(look)
}

/// Says that a look came to nothing, since it had to be ended.
///
/// # Errors
/// When that cannot be written.
pub fn gave_up(paths: &Paths, beside_trial: bool, state: State, reason: String) -> Result<Look, FileError> {
    let before = read_json::<Look>(&paths.look()).ok().flatten();
    let mut look = begin(paths, before.as_ref());
    look.beside_trial |= beside_trial;
    look.failures += 1;
    look.failed = Some(Failure { state, reason });
    // What was handed over before may still be read.
    look.objects = before.and_then(|before| before.objects);
    write(paths, &look)?;
    Ok(look)
}

fn begin(paths: &Paths, before: Option<&Look>) -> Look {
    Look {
        asked: Moment::now().to_string(),
        failures: before.map_or(0, |before| before.failures),
        beside_trial: is_on_trial(paths),
        config: Sha256Hex::of(""),
        answers: needs(paths),
        heads: Vec::new(),
        failed: None,
        objects: None,
        passed_over: Vec::new(),
        left_out: Vec::new(),
    }
}

fn write(paths: &Paths, look: &Look) -> Result<(), FileError> {
    files::replace_volatile(&paths.look(), &json(look))
}

/// What the verifier needs; everything where it has not said.
#[must_use]
pub fn needs(paths: &Paths) -> Needs {
    read_json(&paths.needs()).ok().flatten().unwrap_or_default()
}

impl From<InputsError> for Failure {
    fn from(error: InputsError) -> Self {
        Self { state: State::Misconfigured, reason: error.to_string() }
    }
}

impl From<FileError> for Failure {
    /// The disk is at fault, and the next look may find it mended.
    fn from(error: FileError) -> Self {
        Self { state: State::Unreachable, reason: format!("nothing was downloaded: {error}") }
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        let state = match error {
            RemoteError::TooMuch { .. } | RemoteError::TooLarge { .. } => State::Broken,
            RemoteError::Host { .. } => State::Untrusted,
            RemoteError::Git { .. } | RemoteError::NoBranch { .. } => State::Unreachable,
            RemoteError::File { .. } | RemoteError::Owner { .. } => State::Misconfigured,
        };
        Self { state, reason: error.to_string() }
    }
}

/// Takes what is new, unless the look before has taken it already.
fn take(paths: &Paths, config: &Config, before: Option<Look>, look: &mut Look) -> Result<(), Failure> {
    look.heads = match remote::heads(config, paths) {
        Ok(heads) => heads,
        Err(error) => {
            look.failures += 1;
            return Err(error.into());
        }
    };
    look.failures = 0;
    if let Some(before) = before.as_ref().filter(|before| stands(paths, before, look)) {
        look.heads.clone_from(&before.heads);
        look.passed_over.clone_from(&before.passed_over);
        look.objects.clone_from(&before.objects);
        look.left_out.clone_from(&before.left_out);
        // What it was made for: the verifier may have more by now.
        look.answers = before.answers;
        return before.failed.clone().map_or(Ok(()), Err);
    }
    // A branch that has moved may have what a tag brought.
    let branch = config.branch.reference();
    let is_branch = |head: &&Head| head.name == branch;
    let same = |before: &&Look| {
        before.config == look.config
            && before.heads.iter().find(is_branch) == look.heads.iter().find(is_branch)
    };
    let known = before.as_ref().filter(same).map_or(&[][..], |before| &before.passed_over);
    let taken = fresh(paths, config, look, known)?;
    let told: BTreeSet<&PassedOver> = known.iter().collect();
    for passed in taken.passed_over.iter().filter(|passed| !told.contains(passed)) {
        tracing::warn!("{passed}");
    }
    look.heads = taken.heads;
    look.passed_over = taken.passed_over;
    look.objects = Some(taken.objects);
    look.left_out = taken.left_out;
    Ok(())
}

/// Whether the look before was about the same, and nothing more is wanted now. What came and is too much is not taken
/// again either.
fn stands(paths: &Paths, before: &Look, look: &Look) -> bool {
    let is_there = match (&before.objects, &before.failed) {
        (Some(objects), None) => paths.quarantine().join(&objects.file).is_file(),
        (_, Some(failure)) => failure.state == State::Broken,
        (None, None) => false,
    };
    let served = look.answers.wanted == Wanted::Nothing || look.answers == before.answers;
    let mut heads = before.heads.clone();
    heads.extend(before.passed_over.iter().map(|passed| passed.tag.clone()));
    heads.sort();
    is_there && served && (&heads, &before.config) == (&look.heads, &look.config)
}

/// Takes what is new into the repository, and writes the objects that the verifier needs. A repository that cannot be used
/// is taken anew, once.
fn fresh(paths: &Paths, config: &Config, look: &Look, known: &[PassedOver]) -> Result<Taken, Failure> {
    let room = folder::tidy(paths, config.limits)?;
    let was_there = paths.repository().exists();
    match taken(paths, config, look, known, room) {
        Err(TakeError::Copy(why)) if was_there => {
            tracing::warn!("{} is taken anew: {why}", paths.repository().display());
            files::clear(&paths.repository())?;
            let room = folder::tidy(paths, config.limits)?;
            taken(paths, config, look, known, room).map_err(|error| error.into_failure(paths, config))
        }
        found => found.map_err(|error| error.into_failure(paths, config)),
    }
}

/// What was taken.
struct Taken {
    /// The branch and the tags that are handed over, sorted.
    heads: Vec<Head>,
    passed_over: Vec<PassedOver>,
    objects: Objects,
    left_out: Vec<LeftOut>,
}

/// Why nothing was taken.
enum TakeError {
    /// It is as the remote or this host says.
    Remote(RemoteError),
    /// The repository may be damaged: a fresh one may do.
    Copy(String),
    /// There is no room, or no disk.
    Other(Failure),
}

impl TakeError {
    fn into_failure(self, paths: &Paths, config: &Config) -> Failure {
        match self {
            TakeError::Remote(error) => error.into(),
            TakeError::Copy(why) => {
                let reason = format!("{}, taken into {}: {why}", config.remote, paths.repository().display());
                Failure { state: State::Unreachable, reason }
            }
            TakeError::Other(failure) => failure,
        }
    }
}

impl From<RemoteError> for TakeError {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Git { message, .. } => TakeError::Copy(message),
            error => TakeError::Remote(error),
        }
    }
}

impl From<ExportError> for TakeError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Git(error) => TakeError::Copy(error.message().to_owned()),
            ExportError::TooMuch { .. } | ExportError::Object { .. } => {
                TakeError::Other(Failure { state: State::Broken, reason: error.to_string() })
            }
            ExportError::Write { .. } => {
                let reason = format!("nothing was downloaded: {error}");
                TakeError::Other(Failure { state: State::Unreachable, reason })
            }
        }
    }
}

fn taken(
    paths: &Paths,
    config: &Config,
    look: &Look,
    known: &[PassedOver],
    room: u64,
) -> Result<Taken, TakeError> {
    let copy = |error: git2::Error| TakeError::Copy(error.message().to_owned());
    // A copy that is taken anew has the whole history, which came in many downloads before. An index of what comes is
    // written beside it, so it may have half of the room.
    let most = if paths.repository().exists() { config.limits.download.min(room / 2) } else { room / 2 };
    let repository = open(paths).map_err(copy)?;
    let Fetched { mut heads, mut passed_over } =
        remote::fetch(config, paths, &repository, &look.heads, known, most)?;
    // What came of a remote on this host was not counted on the way.
    if folder::used(&paths.quarantine()) > config.limits.quarantine {
        files::clear(&paths.repository()).map_err(|error| TakeError::Other(error.into()))?;
        let (remote, most) = (config.remote.to_string(), config.limits.quarantine);
        return Err(RemoteError::TooMuch { remote, most }.into());
    }
    let name = format!("{look:?}");
    let objects =
        Objects { file: format!("{}{}", crate::quarantine::OBJECTS, Sha256Hex::of(name).short(16)) };
    let used = folder::used(&paths.quarantine());
    let export = Export {
        repository: &repository,
        heads: &heads,
        branch: &config.branch,
        mode: config.trust.mode,
        needs: look.answers,
        file: config.limits.file,
        room: config.limits.quarantine.saturating_sub(used),
    };
    let Written { left_out, passed_over: more } = export.write(&paths.quarantine().join(&objects.file))?;
    let passed: BTreeSet<&Head> = more.iter().map(|passed| &passed.tag).collect();
    heads.retain(|head| !passed.contains(head));
    heads.sort();
    passed_over.extend(more);
    passed_over.sort();
    Ok(Taken { heads, passed_over, objects, left_out })
}

fn open(paths: &Paths) -> Result<Repository, git2::Error> {
    let path = paths.repository();
    if path.join("HEAD").is_file() {
        return Repository::open_bare(&path);
    }
    let mut options = RepositoryInitOptions::new();
    // A template of the host could bring hooks.
    options.bare(true).mkpath(true).external_template(false);
    Repository::init_opts(&path, &options)
}
