//! Ends the flows that the rules in force refuse, and remembers that this failed, also over a restart.

use chainmail_contract::{Joined, Sha256Hex};

use super::{Service, Settings};
use crate::cut;
use crate::kernel::Kernel;
use crate::spool;

impl<K: Kernel> Service<K> {
    pub(super) fn cut_flows_again(&mut self, digest: &Sha256Hex) {
        let Settings { paths, node, .. } = &self.settings;
        match spool::load_kept(paths, digest, node) {
            Ok(loaded) => self.cut_flows(&loaded.snapshot),
            Err(error) => self.remember_uncut(Some(error.to_string())),
        }
    }

    /// Ends the flows that a snapshot refuses. That this fails leaves old flows alive, but the rules are in force: it is
    /// an alarm, and tried again.
    pub(super) fn cut_flows(&mut self, snapshot: &Joined) {
        let done = cut::cut(&mut self.kernel, &self.settings.paths, snapshot);
        let uncut = done.err().map(|error| error.to_string());
        self.remember_uncut(uncut);
    }

    fn remember_uncut(&mut self, uncut: Option<String>) {
        if self.uncut != uncut
            && let Err(error) = self.state.set_uncut(uncut.as_deref())
        {
            tracing::warn!(%error, "a restart will not know whether refused flows go on");
        }
        self.uncut = uncut;
    }
}
