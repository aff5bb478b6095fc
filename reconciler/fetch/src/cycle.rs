//! One look at what came over from the half that downloads, and all that follows from it. It speaks to nobody.

use chainmail_contract::{Sha256Hex, read};
use chainmail_manifest::source::SourceError;
use chainmail_reconciler::clock::Moment;
use chainmail_reconciler::files::{self, FileError};
use chainmail_reconciler::lock::{ApplyLock, LockError};
use chainmail_reconciler::spool::pointer;

use crate::config::{BranchStatement, Config, Mode, Trust};
use crate::confirm::{self, Reach, remember_reach};
use crate::hold::{self, Reason, Word};
use crate::inputs::{Inputs, InputsError};
use crate::inventory::Inventory;
use crate::inventory::refresh::HANDING_OVER;
use crate::make::{self, Made, MakeError, Memory};
use crate::mirror::incoming::{FileLeftOut, Incoming, IncomingError};
use crate::mirror::{self, MirrorError};
use crate::paths::Paths;
use crate::quarantine::{Failure, Head, Look, Needs, Quarantine, QuarantineError, Wanted};
use crate::spool;
use crate::state::{
    Accepted, Floor, HeldRevision, Last, Release, StateError, damaged, json, mend, read_if_whole, read_json,
    write_json,
};
use crate::status::{Handed, State, Status};
use crate::trust::{self, First, Known, Untrusted, Verified};

/// Why the newest revision is not handed over.
struct Refusal {
    state: State,
    reason: String,
    cause: Cause,
}

/// What would have to change for another finding.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// What the remote or this host says.
    Revision,
    /// Nothing: the next look may find another state of this host.
    Host,
    /// The store, which is taken anew.
    Mirror,
    /// Objects that did not come over.
    Lacking(Needs),
}

impl Refusal {
    fn new(state: State, reason: impl ToString) -> Self {
        Self { state, reason: reason.to_string(), cause: Cause::Revision }
    }

    fn caused_by(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::new(failure.state, failure.reason).caused_by(Cause::Host)
    }
}

impl From<QuarantineError> for Refusal {
    fn from(error: QuarantineError) -> Self {
        let reason = format!("what the half that downloads has written cannot be used: {error}");
        Self::new(State::Broken, reason).caused_by(Cause::Host)
    }
}

impl From<IncomingError> for Refusal {
    fn from(error: IncomingError) -> Self {
        match error {
            IncomingError::Quarantine(error) => error.into(),
            IncomingError::Mirror(error) => error.into(),
            IncomingError::Object { .. } | IncomingError::Twice { .. } => {
                Self::new(State::Broken, error).caused_by(Cause::Host)
            }
            IncomingError::Missing(_) | IncomingError::Gone => Self::new(
                State::Unreachable,
                format!("{error}; the half that downloads was asked for what is missing"),
            )
            .caused_by(Cause::Lacking(EVERYTHING)),
        }
    }
}

impl From<MirrorError> for Refusal {
    fn from(error: MirrorError) -> Self {
        match error {
            MirrorError::Git(error) => error.into(),
            MirrorError::File(error) => error.into(),
            error @ MirrorError::TooLarge { .. } => Self::new(State::Broken, error),
        }
    }
}

impl From<Untrusted> for Refusal {
    fn from(error: Untrusted) -> Self {
        let cause = match error {
            Untrusted::Git(_) => Cause::Mirror,
            _ => Cause::Revision,
        };
        Self::new(State::Untrusted, error).caused_by(cause)
    }
}

impl From<MakeError> for Refusal {
    fn from(error: MakeError) -> Self {
        let cause = match error {
            MakeError::Source(SourceError::Git { .. }) => Cause::Mirror,
            _ => Cause::Revision,
        };
        Self::new(State::Broken, error.to_string().trim_end()).caused_by(cause)
    }
}

impl From<git2::Error> for Refusal {
    fn from(error: git2::Error) -> Self {
        Self::new(State::Broken, error.message()).caused_by(Cause::Mirror)
    }
}

impl From<FileError> for Refusal {
    fn from(error: FileError) -> Self {
        Self::new(State::Broken, error).caused_by(Cause::Host)
    }
}

impl From<StateError> for Refusal {
    fn from(error: StateError) -> Self {
        Self::new(State::Broken, error).caused_by(Cause::Host)
    }
}

impl From<LockError> for Refusal {
    fn from(error: LockError) -> Self {
        Self::new(State::Broken, error).caused_by(Cause::Host)
    }
}

impl From<InputsError> for Refusal {
    fn from(error: InputsError) -> Self {
        Self::new(State::Misconfigured, error)
    }
}

/// Looks once, writes how things stand, and answers it.
///
/// # Errors
/// When how things stand cannot be written.
pub fn cycle(paths: &Paths, first: First) -> Result<Status, FileError> {
    let now = Moment::now();
    let before = read_json::<Status>(&paths.status()).ok().flatten();
    let status = match Inputs::read(paths) {
        Ok(inputs) => {
            if inputs.config.inventory.is_none() {
                files::remove(&paths.inventory_status())?;
            }
            look(paths, &inputs, first, now, before.as_ref())
        }
        Err(error) => {
            let mut status = before.clone().unwrap_or_else(unknown);
            refuse(&mut status, error.into());
            status
        }
    };
    tell(before.as_ref(), &status);
    write_status(paths, &status)?;
    Ok(status)
}

/// Writes how things stand.
///
/// # Errors
/// When it cannot be written.
pub fn write_status(paths: &Paths, status: &Status) -> Result<(), FileError> {
    files::replace_volatile(&paths.status(), &json(status))
}

/// How things stand before anything is known.
#[must_use]
pub fn unknown() -> Status {
    Status {
        state: State::Misconfigured,
        node: "?".to_owned(),
        remote: "?".to_owned(),
        branch: "?".to_owned(),
        seen: None,
        handed: None,
        reason: None,
        notes: Vec::new(),
        alarms: Vec::new(),
        inventory: None,
        asked: None,
        answered: None,
        failures: 0,
    }
}

fn refuse(status: &mut Status, refusal: Refusal) {
    status.state = refusal.state;
    status.reason = Some(refusal.reason);
}

/// Says what is new.
fn tell(before: Option<&Status>, status: &Status) {
    if before.is_some_and(|before| {
        (before.state, &before.reason, &before.handed) == (status.state, &status.reason, &status.handed)
    }) {
        return;
    }
    let (state, revision) = (status.state.as_str(), status.seen.as_deref().unwrap_or("none"));
    match (&status.reason, &status.handed) {
        (Some(reason), _) => tracing::error!(state, revision, "{reason}"),
        (None, Some(Handed { commit, digest, signer, .. })) => {
            let signer = signer.as_deref().unwrap_or("nobody");
            tracing::info!(state, %commit, %digest, signer, "handed over");
        }
        (None, None) => tracing::info!(state, "nothing is handed over yet"),
    }
    for note in &status.notes {
        tracing::warn!("{note}");
    }
}

fn look(paths: &Paths, inputs: &Inputs, first: First, now: Moment, before: Option<&Status>) -> Status {
    let floor = match inputs.config.trust {
        Trust { mode: Mode::Range | Mode::Tag, min_commit: None, .. } => Floor::None,
        _ => Floor::Known,
    };
    let accepted = mend(paths, floor).and_then(|()| read_json::<Accepted>(&paths.accepted()));
    let mut status = Status {
        node: inputs.node.to_string(),
        remote: inputs.config.remote.to_string(),
        branch: inputs.config.branch.as_str().to_owned(),
        handed: accepted.as_ref().ok().and_then(Option::as_ref).map(handed),
        asked: before.and_then(|before| before.asked.clone()),
        answered: before.and_then(|before| before.answered.clone()),
        seen: before.and_then(|before| before.seen.clone()),
        failures: before.map_or(0, |before| before.failures),
        ..unknown()
    };
    let found = match accepted {
        Ok(accepted) => answer(paths, inputs, first, accepted, &mut status),
        Err(error) => Err(error.into()),
    };
    match found {
        Ok(()) => (status.state, status.reason) = (State::Synced, None),
        Err(refusal) => refuse(&mut status, refusal),
    }
    status.alarms.extend(alarms(paths, inputs, now));
    status.alarms.extend(silence(&inputs.config, &status, now));
    status
}

/// The half that downloads has not said anything for long.
fn silence(config: &Config, status: &Status, now: Moment) -> Option<String> {
    let asked = Moment::parse(status.asked.as_deref()?)?;
    let longest = 2 * (config.max_backoff.max(config.interval) + config.timeout);
    let age = now.0.saturating_sub(asked.0);
    (age > longest.as_secs())
        .then(|| format!("the remote was last asked {age} s ago: does chainmail-download.service run?"))
}

/// What is said where nothing has come over yet.
const NO_LOOK: &str = "the remote was not asked yet: does chainmail-download.service run?";

/// Looks at what the remote said; where neither it nor this host says anything new, the last finding stands.
fn answer(
    paths: &Paths,
    inputs: &Inputs,
    first: First,
    accepted: Option<Accepted>,
    status: &mut Status,
) -> Result<(), Refusal> {
    let Some(quarantine) = Quarantine::open(paths)? else {
        return Err(Refusal::new(State::Unreachable, NO_LOOK).caused_by(Cause::Host));
    };
    if read_json::<Needs>(&paths.needs()).ok().flatten().is_none() {
        ask(paths, has(paths))?;
    }
    let Some(look) = quarantine.look()? else {
        return Err(Refusal::new(State::Unreachable, NO_LOOK).caused_by(Cause::Host));
    };
    let reach = if look.heads.is_empty() { Reach::Silent } else { Reach::Answers };
    remember_reach(paths, reach, look.beside_trial);
    status.failures = look.failures;
    status.asked = Some(look.asked.clone());
    if reach == Reach::Answers {
        status.answered.clone_from(&status.asked);
        let branch = inputs.config.branch.reference();
        status.seen = look.heads.iter().find(|head| head.name == branch).map(|head| head.id.to_string());
    }
    if let Some(failure) = look.failed {
        return Err(failure.into());
    }
    status.alarms.extend(shown(&look.passed_over));
    let listed: String = look.heads.iter().map(|Head { name, id }| format!("{id} {name}\n")).collect();
    let (listed, last) = (Sha256Hex::of(listed), read_json::<Last>(&paths.last())?);
    if let Some(last) = last
        && first == First::Refuse
        && (&last.inputs, &last.heads) == (&inputs.digest, &listed)
        && spools(paths, accepted.as_ref())
    {
        status.notes = last.status.notes;
        return match last.status.reason {
            None => Ok(()),
            Some(reason) => Err(Refusal::new(last.status.state, reason)),
        };
    }
    let found = take(paths, inputs, first, accepted, (&quarantine, &look), status);
    let found = found.map_err(|refusal| mended(paths, &look, refusal));
    let needs = match &found {
        Err(Refusal { cause: Cause::Lacking(needs), .. }) => *needs,
        Err(Refusal { cause: Cause::Mirror, .. }) => EVERYTHING,
        _ => has(paths),
    };
    ask(paths, needs)?;
    let mut finding = Status { state: State::Synced, reason: None, ..status.clone() };
    let mut cause = Cause::Revision;
    if let Err(refusal) = &found {
        (finding.state, finding.reason) = (refusal.state, Some(refusal.reason.clone()));
        cause = refusal.cause;
    }
    // What did not come is asked for again; what came and will not do is not.
    if finding.state != State::Unreachable && cause == Cause::Revision {
        write_json(&paths.last(), &Last { inputs: inputs.digest.clone(), heads: listed, status: finding })?;
    }
    found
}

/// What is asked for where the store has nothing that can be relied upon.
const EVERYTHING: Needs = Needs { have: None, wanted: Wanted::Objects };

/// Takes the store away where it is damaged. What came over whole and cannot be read all the same is as the remote has it.
fn mended(paths: &Paths, look: &Look, refusal: Refusal) -> Refusal {
    let store = paths.mirror();
    match refusal.cause {
        Cause::Mirror if look.answers == EVERYTHING => refusal.caused_by(Cause::Revision),
        Cause::Mirror => {
            let reason = format!("{} is damaged, and is taken anew: {}", store.display(), refusal.reason);
            match files::clear(&store) {
                Ok(()) => Refusal { reason, ..refusal },
                Err(error) => error.into(),
            }
        }
        Cause::Lacking(needs) if look.answers == needs => {
            let reason = refusal.reason.split(';').next().unwrap_or_default();
            let reason = format!("{reason}, though it was asked for");
            Refusal::new(State::Unreachable, reason).caused_by(Cause::Host)
        }
        Cause::Revision | Cause::Host | Cause::Lacking(_) => refusal,
    }
}

/// What the store has, for the half that downloads.
fn has(paths: &Paths) -> Needs {
    let accepted = read_json::<Accepted>(&paths.accepted()).ok().flatten();
    let commit = accepted.and_then(|accepted| git2::Oid::from_str(&accepted.verified.commit).ok());
    let store = git2::Repository::open_bare(paths.mirror()).ok();
    let have = commit.filter(|commit| store.is_some_and(|store| mirror::holds(&store, *commit)));
    Needs { have, wanted: Wanted::Nothing }
}

/// Writes what the half that downloads is asked for.
fn ask(paths: &Paths, needs: Needs) -> Result<(), FileError> {
    if read_json::<Needs>(&paths.needs()).ok().flatten() == Some(needs) {
        return Ok(());
    }
    files::replace_volatile(&paths.needs(), &json(&needs))
}

/// Whether the spool still names what was handed over, if anything was, and has it whole.
fn spools(paths: &Paths, accepted: Option<&Accepted>) -> bool {
    let wanted = pointer(&paths.node.desired()).ok().flatten();
    let is_whole = |digest| matches!(read::joined_if_any(&paths.node.spooled(digest)), Ok(Some(_)));
    let there = wanted.as_ref().is_none_or(is_whole);
    there && accepted.is_none_or(|accepted| wanted.as_ref() == Some(&accepted.digest))
}

/// Takes what is new, judges it, and hands it over.
fn take(
    paths: &Paths,
    inputs: &Inputs,
    first: First,
    accepted: Option<Accepted>,
    (quarantine, look): (&Quarantine, &Look),
    status: &mut Status,
) -> Result<(), Refusal> {
    let config = &inputs.config;
    let before = accepted.as_ref().and_then(|accepted| git2::Oid::from_str(&accepted.verified.commit).ok());
    // The inventory may be about to read the store.
    let lock = ApplyLock::wait_for_file(&paths.state(), HANDING_OVER)?;
    let store = mirror::open(&paths.mirror(), before)?;
    drop(lock);
    let kept = before.filter(|before| mirror::holds(&store, *before));
    drop(store);
    let incoming = Incoming::take(paths, config, (quarantine, look), before)?;
    let known = Known {
        accepted: accepted.as_ref(),
        same_trust: accepted.as_ref().is_some_and(|accepted| accepted.trust == inputs.trust),
        first,
    };
    let verified = trust::judge(incoming.repository(), config, &inputs.keys, &known)?;
    let commit = git2::Oid::from_str(&verified.commit)?;
    let left_out =
        incoming.left_out(commit, look, config.limits.file).map_err(|error| lacking(error, look, commit))?;
    // The inventory may have changed what was handed over since the beginning, for the sake of the same revision.
    let _lock = ApplyLock::wait_for_file(&paths.state(), HANDING_OVER)?;
    let accepted = read_json::<Accepted>(&paths.accepted())?;
    let same = |known: &str, payload: Option<&Sha256Hex>| {
        trust::is_same(incoming.repository(), &verified.commit, known, payload)
    };
    let held = read_if_whole::<HeldRevision>(&paths.held());
    let of_held = |release: &Release| held.as_ref().filter(|held| held.revision == release.revision);
    let word = match (&inputs.release, &accepted) {
        // A revision that is in force already was let go before.
        (_, Some(accepted)) if same(&accepted.verified.commit, accepted.verified.payload.as_ref())? => {
            Word::Release
        }
        (Some(release), _)
            if same(&release.revision, of_held(release).and_then(|held| held.payload.as_ref()))? =>
        {
            Word::Release
        }
        _ if verified.allows_shrink => Word::Trailer,
        _ => Word::None,
    };
    let made = made(paths, inputs, &verified, word);
    if made.as_ref().is_err_and(|refusal| refusal.state == State::Held) {
        let (revision, payload) = (verified.commit.clone(), verified.payload.clone());
        write_json(&paths.held(), &HeldRevision { revision, payload })?;
    }
    let made = made.map_err(|refusal| too_large(refusal, commit, &left_out, config))?;
    if kept != Some(commit) {
        incoming.accept(commit, config.limits.mirror)?;
    }
    let digest = made.snapshot.manifest().digest.clone();
    let before: Vec<_> = accepted.iter().map(|accepted| accepted.digest.clone()).collect();
    spool::hand_over(paths, &made.snapshot, made.provenance.as_deref(), &before)?;
    let time = match &accepted {
        Some(accepted) if accepted.digest == digest && accepted.verified.commit == verified.commit => {
            accepted.time.clone()
        }
        _ => Moment::now().to_string(),
    };
    let accepted = Accepted { verified, trust: inputs.trust.clone(), digest, time };
    write_json(&paths.accepted(), &accepted)?;
    status.handed = Some(handed(&accepted));
    status.notes = made.notes;
    Ok(())
}

/// A file of a verified commit that did not come over is asked for by the commit's name: the half that downloads cannot tell
/// which tag will be believed. Where that was done already, everything is asked for.
fn lacking(error: IncomingError, look: &Look, commit: git2::Oid) -> Refusal {
    let refusal = Refusal::from(error);
    let needs = Needs { have: look.answers.have, wanted: Wanted::Files(commit) };
    match refusal.cause {
        Cause::Lacking(_) if look.answers != needs => refusal.caused_by(Cause::Lacking(needs)),
        _ => refusal,
    }
}

/// Names the file where a revision cannot be read since one was left out. That it is too large is only said, by the half
/// that downloads, so the next look asks again.
fn too_large(refusal: Refusal, commit: git2::Oid, left_out: &[FileLeftOut], config: &Config) -> Refusal {
    // Git names the object that it looked for.
    let is_meant = |file: &&FileLeftOut| refusal.reason.contains(&file.id.to_string());
    match left_out.iter().find(is_meant) {
        Some(FileLeftOut { path, bytes, .. }) => {
            let most = config.limits.file;
            let path = path.escape_debug();
            let reason = format!(
                "{path} of commit {commit} has {bytes} bytes, more than limits.file_megabytes ({most} bytes), and was not taken"
            );
            Refusal::new(State::Broken, reason).caused_by(Cause::Host)
        }
        None => refusal,
    }
}

/// The snapshot of a revision, unless it is held.
fn made(paths: &Paths, inputs: &Inputs, verified: &Verified, word: Word) -> Result<Made, Refusal> {
    let config = &inputs.config;
    let inventory = inventory(paths, config)?;
    let wanted = make::Wanted {
        commit: &verified.commit,
        node: &inputs.node,
        source: &config.source,
        limits: config.limits,
        keep: &config.hold.keep,
        inventory: inventory.as_ref(),
    };
    let before = spool::current(paths, &inputs.node);
    let made = match make::make(&paths.incoming(), &wanted, &mut Memory::none()) {
        Err(MakeError::NoNode { node, .. }) if before.is_some() => {
            return Err(held(verified, &[Reason::NodeGone(node)]));
        }
        made => made?,
    };
    let reasons = hold::reasons(before.as_ref(), &made, &config.hold, word);
    if reasons.is_empty() { Ok(made) } else { Err(held(verified, &reasons)) }
}

/// The inventory as it is now, where there is one.
fn inventory(paths: &Paths, config: &Config) -> Result<Option<Inventory>, FileError> {
    let Some(wanted) = &config.inventory else { return Ok(None) };
    let mut inventory = Inventory::open(&paths.inventory_store())?;
    let folder = wanted.folder.clone().unwrap_or_else(|| paths.inventory());
    inventory.look(&folder, &paths.inventory_store())?;
    Ok(Some(inventory))
}

fn held(verified: &Verified, reasons: &[Reason]) -> Refusal {
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    let commit = &verified.commit;
    let way = format!("if it is meant: chainmail-fetch release {commit} --reason …");
    Refusal::new(State::Held, format!("revision {commit} is held: {}\n{way}", reasons.join("; ")))
}

fn handed(accepted: &Accepted) -> Handed {
    let Accepted { verified, digest, time, .. } = accepted;
    Handed {
        commit: verified.commit.clone(),
        tag: verified.tag,
        signer: verified.signer.clone(),
        digest: digest.clone(),
        time: time.clone(),
    }
}

/// How many tags that do not count are told of one by one.
const SHOWN_TAGS: usize = 5;

fn shown<T: std::fmt::Display>(passed_over: &[T]) -> impl Iterator<Item = String> {
    let (shown, more) = passed_over.split_at(passed_over.len().min(SHOWN_TAGS));
    let more = (!more.is_empty()).then(|| format!("passed over: {} more tags", more.len()));
    shown.iter().map(|why| format!("passed over: {why}")).chain(more)
}

/// What needs a person, whatever the remote says.
fn alarms(paths: &Paths, inputs: &Inputs, now: Moment) -> Vec<String> {
    let trust = &inputs.config.trust;
    let mut alarms: Vec<String> = confirm::alarm(paths, &inputs.config.confirm).into_iter().collect();
    alarms.extend(damaged(paths));
    let accepted = read_json::<Accepted>(&paths.accepted()).ok().flatten();
    match (trust.mode, trust.min_commit, &accepted) {
        (Mode::Off, _, _) => {
            alarms.push(
                "nothing is verified (trust.mode is off): whoever writes to the remote is believed"
                    .to_owned(),
            );
        }
        (Mode::Range | Mode::Tag, None, Some(accepted)) => alarms.push(format!(
            "no floor: if {} is lost, an old revision could be accepted; set min_commit = \"{}\"",
            paths.state().display(),
            accepted.verified.commit
        )),
        (Mode::Range | Mode::Tag, _, _) => {}
    }
    if (trust.mode, trust.branch_statement) == (Mode::Range, BranchStatement::NotAsked) {
        let branch = inputs.config.branch.as_str();
        alarms.push(format!(
            "no signature states its branch: whoever writes to the remote can make any signed commit that follows the \
             accepted one the tip of {branch}; set branch_statement = \"required\", see docs/trust.md"
        ));
    }
    if let Some(accepted) = &accepted {
        alarms.extend(shown(&accepted.verified.passed_over));
    }
    if let (Some(max_age), Some(accepted)) = (trust.max_age, &accepted) {
        let made = u64::try_from(accepted.verified.time).unwrap_or(0);
        let age = now.0.saturating_sub(made);
        if age > max_age.as_secs() {
            alarms.push(format!(
                "the newest revision is {} hours old, older than max_age_hours = {}",
                age / 3600,
                max_age.as_secs() / 3600
            ));
        }
    }
    alarms
}
