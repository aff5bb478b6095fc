//! A cluster of network namespaces, built from the manifests that the compiler reads: each node and pod is a namespace
//! with its real addresses, the real programs apply the rules on the nodes, and real packets show what they do.
//!
//! ```text
//! manifests → spec → layout → scripts for `ip -batch` → namespaces ─┬─ prober → truth table
//!                       └──► state file, reaper                     └─ chainmaild, nginx, …
//! ```
//!
//! The host is never part of it: every device is made inside the lab's own namespaces, and every rule and packet stays
//! there. What is made is recorded before, and removed also when the builder is killed.

pub mod cli;
pub mod cost;
mod endpoint;
mod fleet;
mod lab;
mod layout;
mod namespace;
mod netns;
mod probe;
mod prober;
mod programs;
mod reaper;
mod repository;
mod scenario;
mod spec;
mod state;
mod truth;

pub use endpoint::{Endpoint, EndpointError, PodKey};
pub use fleet::{FleetError, Member, Remote, Source, Upstream};
pub use lab::{Counters, Lab, LabError, Saved, recorded, recorded_of, take_down};
pub use layout::{LayoutError, NetnsName};
pub use namespace::Namespace;
pub use netns::NetnsError;
pub use probe::{Observed, Probe, Service, ServiceError};
pub use prober::ProbeError;
pub use programs::{Origin, ProgramError, compile, find, predict};
pub use reaper::ReaperError;
pub use repository::{ALICE, Repository, STATEMENT, Signing};
pub use scenario::{Scenario, ScenarioError, State};
pub use spec::{Backend, LabName, LabNameError, LabSpec, SpecError, Topology};
pub use state::StateError;
pub use truth::{Block, Cell, Difference, LEGEND, TableError, TruthTable, Twice};
