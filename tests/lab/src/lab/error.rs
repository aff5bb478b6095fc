//! What can go wrong with a lab.

use std::io;
use std::path::PathBuf;

use chainmail_contract::Family;
use thiserror::Error;

use crate::endpoint::Endpoint;
use crate::layout::LayoutError;
use crate::netns::NetnsError;
use crate::prober::ProbeError;
use crate::programs::ProgramError;
use crate::reaper::ReaperError;
use crate::state::StateError;

/// A lab that could not be built or used.
#[derive(Debug, Error)]
pub enum LabError {
    /// Namespaces are root's.
    #[error("network namespaces need root")]
    NotRoot,
    /// The cluster cannot be laid out.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The lab cannot be recorded, or is not.
    #[error(transparent)]
    State(#[from] StateError),
    /// It cannot be watched over or taken down.
    #[error(transparent)]
    Reaper(#[from] ReaperError),
    /// A namespace.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// Probes.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The real programs.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// An endpoint that is not in the lab, or has no address of the family.
    #[error("{endpoint} has no ip{family} address in this lab")]
    NoAddress {
        /// Which.
        endpoint: Endpoint,
        /// The family.
        family: Family,
    },
    /// An endpoint that is not in the lab.
    #[error("{endpoint} is not in this lab")]
    NoEndpoint {
        /// Which.
        endpoint: Endpoint,
    },
    /// A file of the work folder.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
