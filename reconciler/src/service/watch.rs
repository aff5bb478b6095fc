//! What the service does while steps run: the journal says where they are, a watchdog sees work, and what others do
//! meanwhile is noticed.

use crate::apply::Progress;
use crate::changes::{self, Line};
use crate::desired::Desired;
use crate::journal;
use crate::live::Live;
use crate::paths::Paths;
use crate::plan::Plan;
use crate::step::Stage;

/// Watches one run of a plan.
pub(super) struct Watch<'a> {
    /// Where the journal is, for a change that has one.
    pub(super) journal: Option<&'a Paths>,
    /// Is called at each stage.
    pub(super) alive: fn(),
    /// What the kernel is brought to.
    pub(super) desired: &'a Desired,
    /// What others changed after the plan was made, line by line; it is undone in the same run.
    pub(super) late: Vec<Line>,
}

impl Progress for Watch<'_> {
    fn begins(&mut self, stage: Stage) {
        (self.alive)();
        if let Some(paths) = self.journal {
            journal::note(paths, stage);
        }
    }

    fn plans_again(&mut self, plan: &Plan, live: &Live) {
        if !plan.is_settled() {
            // Sets that wait for their destruction were told with the first plan.
            self.late.extend(changes::lines(&plan.clone().without_orphans(), self.desired, live));
        }
    }
}
