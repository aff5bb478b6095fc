//! Why a cycle of the service did not end as it should.

use thiserror::Error;

use crate::apply::ApplyError;
use crate::files::FileError;
use crate::journal::JournalError;
use crate::kernel::KernelError;
use crate::orders::OrdersError;
use crate::preflight::PreflightError;
use crate::spool::SpoolError;

/// Why a cycle did not end as it should.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The wanted snapshot, or the last good one, cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The wanted snapshot could not be used when it was read last, and has not changed since.
    #[error("{0}")]
    Unusable(String),
    /// No copy of a snapshot can be used, and nothing is closed.
    #[error("no rules are in force, and packets pass: {0}")]
    Lost(String),
    /// What a person ordered cannot be read.
    #[error("nothing new comes into force: {0}")]
    Orders(#[source] OrdersError),
    /// The state folder cannot be read or written.
    #[error("nothing was changed: {0}")]
    State(#[from] FileError),
    /// The journal cannot be written.
    #[error("nothing was changed: {0}")]
    Journal(#[from] JournalError),
    /// Something that must hold before a change does not.
    #[error("nothing was changed: {0}")]
    Preflight(#[from] PreflightError),
    /// The kernel cannot be read.
    #[error("the kernel cannot be read: {0}")]
    Read(#[source] KernelError),
    /// The kernel refuses the snapshot also where nothing else is.
    #[error("nothing was changed: the snapshot does not load into a network namespace of its own: {0}")]
    Trial(#[source] ApplyError),
    /// The change failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The snapshot is in force, but this cannot be recorded.
    #[error("the snapshot is in force, but this cannot be recorded: {0}")]
    Record(#[source] FileError),
    /// The snapshot is in force and should wait to be confirmed, but this cannot be recorded.
    #[error("the snapshot is in force, but not recorded as one that waits to be confirmed: {0}")]
    Wait(#[source] JournalError),
    /// A change that a crash interrupted cannot be undone.
    #[error("a change that was interrupted cannot be undone: {0}")]
    Undo(String),
}

impl ServiceError {
    /// Whether the kernel is as it was.
    pub(super) fn nothing_was_changed(&self) -> bool {
        match self {
            ServiceError::Spool(_)
            | ServiceError::Unusable(_)
            | ServiceError::Lost(_)
            | ServiceError::Orders(_)
            | ServiceError::State(_)
            | ServiceError::Journal(_)
            | ServiceError::Preflight(_)
            | ServiceError::Trial(_)
            | ServiceError::Read(_) => true,
            ServiceError::Apply(_)
            | ServiceError::Record(_)
            | ServiceError::Wait(_)
            | ServiceError::Undo(_) => false,
        }
    }
}
