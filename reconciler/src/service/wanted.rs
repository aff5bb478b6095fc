//! What is to be in force: what the spool says, unless a person has said otherwise.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use chainmail_contract::Sha256Hex;
use chainmail_contract::beneath::Stamp;

use super::{Reach, Service, ServiceError};
use crate::kernel::Kernel;
use crate::orders::{Orders, OrdersError, Pause};
use crate::spool::{self, Loaded};
use crate::status::{Enforce, Sync};

/// A snapshot, and where it is.
pub(super) struct Source {
    pub(super) digest: Sha256Hex,
    pub(super) folder: PathBuf,
}

/// A snapshot that could not be used, as its files then were.
pub(super) struct Unusable {
    digest: Sha256Hex,
    stamps: Vec<Option<Stamp>>,
    at: Instant,
    why: String,
}

#[cfg(test)]
impl Unusable {
    /// When it was read.
    pub(super) fn read_at(&self) -> Instant {
        self.at
    }
}

/// After what time a snapshot that could not be used is read again although its files are the same: what was wrong may have
/// been the memory or the disk.
const READ_AGAIN: Duration = Duration::from_secs(60);

/// What is wanted in this cycle.
pub(super) struct Wanted {
    /// What fetch wants, as far as that is known.
    pub(super) desired: Option<Sha256Hex>,
    /// What is to come into force; nothing new without one.
    pub(super) chosen: Result<Option<Source>, ServiceError>,
    /// Whether a person has said otherwise.
    pub(super) overruled: bool,
}

impl<K: Kernel> Service<K> {
    /// Orders that cannot be read let nothing new into force: one of them may say so.
    pub(super) fn wanted(&mut self, reach: Reach, orders: Result<Orders, OrdersError>) -> Wanted {
        let paths = &self.settings.paths;
        let spooled = match reach {
            Reach::Spool => spool::wanted(paths),
            Reach::LastGood => Ok(None),
        };
        let desired = spooled.as_ref().ok().cloned().flatten();
        let orders = match orders {
            Ok(orders) => orders,
            Err(error) => {
                return Wanted { desired, chosen: Err(ServiceError::Orders(error)), overruled: true };
            }
        };
        let left = |pause: &Pause| pause.left(self.settings.clock);
        let pause = orders.pause.filter(|pause| !left(pause).is_zero());
        self.pause_left = pause.as_ref().map(left);
        self.status.pause = pause.as_ref().map(ToString::to_string);
        self.vouched =
            orders.confirmed.into_iter().chain(orders.pin.iter().map(|pin| pin.digest.clone())).collect();
        self.status.pin = orders.pin;
        let (chosen, overruled) = match (reach, &self.status.pin, &self.status.pause) {
            (Reach::Spool, Some(pin), _) => {
                let (digest, folder) = (pin.digest.clone(), paths.kept(&pin.digest));
                (Ok(Some(Source { digest, folder })), true)
            }
            (Reach::Spool, None, Some(_)) => (Ok(None), true),
            (Reach::Spool, None, None) | (Reach::LastGood, ..) => {
                let source = |digest: Sha256Hex| Source { folder: paths.spooled(&digest), digest };
                (spooled.map(|digest| digest.map(source)).map_err(ServiceError::from), false)
            }
        };
        Wanted { desired, chosen, overruled }
    }

    /// Loads a snapshot that is not in force; `None` while one that failed waits. One that cannot be used is not read again
    /// before it changes: reading may take seconds, in which nothing is healed.
    pub(super) fn load_wanted(
        &mut self,
        source: &Source,
        now: Instant,
    ) -> Result<Option<Loaded>, ServiceError> {
        let Source { digest, folder } = source;
        if self.hold.is_waiting(digest, now) || self.is_set_back(digest) {
            return Ok(None);
        }
        let stamps = spool::stamps(folder);
        let same = |unusable: &Unusable| {
            unusable.digest == *digest
                && unusable.stamps == stamps
                && now.saturating_duration_since(unusable.at) < READ_AGAIN
        };
        if let Some(unusable) = self.unusable.take_if(|unusable| same(unusable)) {
            let why = unusable.why.clone();
            self.unusable = Some(unusable);
            return Err(ServiceError::Unusable(why));
        }
        self.unusable = None;
        let in_force = self.in_force().map(|(_, desired)| Rc::clone(desired)).unwrap_or_default();
        spool::load_after(folder, digest, &self.settings.node, &in_force).map(Some).map_err(|error| {
            let (digest, why) = (digest.clone(), error.to_string());
            self.unusable = Some(Unusable { digest, stamps, at: now, why });
            error.into()
        })
    }

    /// After `chainmaild uninstall` nothing is put into the kernel, whatever starts the service.
    pub(super) fn stay_withdrawn(&mut self, since: &str) {
        (self.good, self.awaited, self.lost) = (None, None, None);
        self.hold.release();
        self.status.desired = spool::wanted(&self.settings.paths).ok().flatten();
        (self.status.sync, self.status.enforce) = (Sync::Held, Enforce::Nothing);
        self.withdrawn =
            Some(format!("uninstalled {since}: no packet is judged on this node until `chainmaild resume`"));
    }
}
