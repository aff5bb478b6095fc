//! Hands over what follows from the accepted revision and the inventory, where the inventory alone has changed it.

use chainmail_contract::Sha256Hex;
use chainmail_findings::Code;
use chainmail_reconciler::clock::Moment;
use chainmail_reconciler::files::{self, FileError};
use chainmail_reconciler::lock::{ApplyLock, LockError};
use thiserror::Error;

use super::status::{HandedLive, InventoryStatus};
use super::{ITEMS_TOLD, Inventory, told};
use crate::config::Config;
use crate::confirm::{of_same_revision, taken_back};
use crate::inputs::{self, InputsError};
use crate::make::{self, Made, MakeError, Memory, Wanted};
use crate::paths::Paths;
use crate::spool;
use crate::state::{Accepted, StateError, json, read_json, write_json};

/// Why it is not known how things stand.
#[derive(Debug, Error)]
pub enum RefreshError {
    /// The host says nothing usable.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What was accepted is not known.
    #[error(transparent)]
    State(#[from] StateError),
    /// The lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// What is remembered from one change of the inventory to the next.
#[derive(Debug)]
pub struct Keeper {
    inventory: Option<Inventory>,
    memory: Memory,
    /// Of which revision and configuration the last snapshot was made, and what came of it.
    last: Option<(String, Sha256Hex, Outcome)>,
    handed: Option<HandedLive>,
    /// The last snapshots that were handed over before.
    before: Vec<Sha256Hex>,
}

/// How many snapshots may follow one another while the applying half reads the first of them.
const READ_MEANWHILE: usize = 5;

#[derive(Debug, Clone, Default)]
struct Outcome {
    contradictions: Vec<String>,
    members: usize,
    alarms: Vec<String>,
}

impl Default for Keeper {
    fn default() -> Self {
        Self { inventory: None, memory: Memory::of_one(), last: None, handed: None, before: Vec::new() }
    }
}

impl Keeper {
    /// Looks at the inventory once, hands over what is new, and says how things stand; `None` where the configuration
    /// names no inventory.
    ///
    /// # Errors
    /// When a file of this host cannot be used.
    pub fn refresh(&mut self, paths: &Paths) -> Result<Option<InventoryStatus>, RefreshError> {
        let (text, config) = inputs::config(paths)?;
        let Some(wanted) = &config.inventory else {
            files::remove(&paths.inventory_status())?;
            return Ok(None);
        };
        let folder = wanted.folder.clone().unwrap_or_else(|| paths.inventory());
        // A look at the remote that has something new waits for this, and this for it.
        let lock = ApplyLock::wait_for_file(&paths.state(), HANDING_OVER)?;
        let inventory = match &mut self.inventory {
            Some(inventory) => inventory,
            none => none.insert(Inventory::open(&paths.inventory_store())?),
        };
        let changed = inventory.look(&folder, &paths.inventory_store())?;
        let configured = Sha256Hex::of(text);
        let outcome = match read_json::<Accepted>(&paths.accepted())? {
            None => Outcome::default(),
            // Another snapshot of the same revision would be tried at once, and do the same harm.
            Some(accepted) if let Some(why) = taken_back(paths, &accepted.digest) => {
                self.last = None;
                let alarm =
                    format!("what it says now is not handed over, its revision was taken back: {why}");
                Outcome { alarms: vec![alarm], ..Outcome::default() }
            }
            Some(accepted) => {
                let commit = accepted.verified.commit.clone();
                let known =
                    self.last.take().filter(|(last, of, _)| !changed && (last, of) == (&commit, &configured));
                let outcome = match known {
                    Some((.., outcome)) => outcome,
                    None => self.hand_over(paths, &config, accepted)?,
                };
                self.last = Some((commit, configured, outcome.clone()));
                outcome
            }
        };
        drop(lock);
        let max_age = wanted.max_age.map(|age| age.as_secs());
        let inventory = self.inventory.as_ref().expect("it was opened above");
        let mut status = inventory.status(max_age, Moment::now(), &outcome.contradictions);
        status.members = outcome.members;
        status.alarms.extend(outcome.alarms);
        if self.handed.is_none() {
            let before = read_json::<InventoryStatus>(&paths.inventory_status()).ok().flatten();
            self.handed = before.and_then(|before| before.handed);
        }
        status.handed.clone_from(&self.handed);
        files::replace_volatile(&paths.inventory_status(), &json(&status))?;
        Ok(Some(status))
    }

    fn hand_over(
        &mut self,
        paths: &Paths,
        config: &Config,
        accepted: Accepted,
    ) -> Result<Outcome, RefreshError> {
        let node = inputs::node(config)?;
        let wanted = Wanted {
            commit: &accepted.verified.commit,
            node: &node,
            source: &config.source,
            limits: config.limits,
            keep: &config.hold.keep,
            inventory: self.inventory.as_ref(),
        };
        let made = match make::make(&paths.mirror(), &wanted, &mut self.memory) {
            Ok(made) => made,
            Err(error) => {
                let why = error.to_string();
                let why = match error {
                    MakeError::NoNode { .. } => format!("neither it nor the repository has this node: {why}"),
                    _ => why,
                };
                tracing::error!("what the inventory says now is not handed over: {why}");
                let alarm = format!("what it says now is not handed over, the rules of before stand: {why}");
                return Ok(Outcome { alarms: vec![alarm], ..Outcome::default() });
            }
        };
        // A false claim can cut off a pod, so that it is more than something unknown.
        let (contested, others): (Vec<_>, Vec<_>) =
            made.contradictions.iter().partition(|finding| finding.code == Code::ContestedAddress);
        let mut alarms: Vec<String> = made.denied.iter().map(|flow| format!("keep: {flow}")).collect();
        alarms.extend(contested.iter().take(ITEMS_TOLD).map(|finding| told(finding)));
        if contested.len() > ITEMS_TOLD {
            alarms.push(format!("and {} more contradictions about pods", contested.len() - ITEMS_TOLD));
        }
        let outcome =
            Outcome { contradictions: others.into_iter().map(told).collect(), members: made.members, alarms };
        let Made { snapshot, provenance, .. } = made;
        let digest = snapshot.manifest().digest.clone();
        if digest == accepted.digest {
            return Ok(outcome);
        }
        // What the probes said of this revision holds, unless they have yet to say it.
        of_same_revision(paths, &accepted.digest, &digest)?;
        self.before.push(accepted.digest.clone());
        if self.before.len() > READ_MEANWHILE {
            self.before.remove(0);
        }
        spool::hand_over(paths, &snapshot, provenance.as_deref(), &self.before)?;
        let time = Moment::now().to_string();
        let commit = accepted.verified.commit.clone();
        tracing::info!(%digest, %commit, members = outcome.members, "handed over: the inventory changed");
        write_json(&paths.accepted(), &Accepted { digest: digest.clone(), ..accepted })?;
        self.handed = Some(HandedLive { commit, digest, time });
        Ok(outcome)
    }
}

/// The lock of whoever hands a snapshot over.
pub const HANDING_OVER: &str = "handing-over.lock";
