//! A lab that stands: built, looked at, taken down.

mod ask;
mod error;
mod run;

use std::net::IpAddr;

use chainmail_contract::{Family, NodeName};

use crate::endpoint::Endpoint;
use crate::layout::{Layout, NetnsName};
use crate::netns;
use crate::probe::Service;
use crate::programs::Origin;
use crate::reaper::Reaper;
use crate::spec::{Backend, LabName, LabSpec};
use crate::state::{self, Paths, State, StateError};

pub use error::LabError;
pub use run::{Counters, Saved};

/// A cluster of network namespaces. It is taken down when this value is dropped, and also when the process is killed.
#[derive(Debug)]
pub struct Lab {
    state: State,
    paths: Paths,
    /// None where another process built the lab, or it shall stay.
    reaper: Option<Reaper>,
}

impl Lab {
    /// Builds the namespaces. No rules are in them.
    ///
    /// # Errors
    /// When a lab of that name is up, the manifests contradict themselves, `ip` fails, or this is not root.
    /// Nothing is left behind then.
    pub fn up(spec: &LabSpec) -> Result<Self, LabError> {
        if !rustix::process::geteuid().is_root() {
            return Err(LabError::NotRoot);
        }
        let name = spec.name.clone().unwrap_or_else(state::unique_name);
        let layout = Layout::of(spec, &name)?;
        let state = State { name, origin: spec.origin.clone(), backend: spec.backend, layout };
        if spec.name.is_none() && state::names()?.contains(&state.name) {
            // The name is of this process's id: an older process of that id left it.
            take_down(&state.name)?;
        }
        let paths = state.record()?;
        let reaper = Reaper::start(&paths, &state.layout.namespaces())?;
        let mut lab = Self { state, paths, reaper: None };
        let built =
            netns::build(&lab.state.layout.namespaces(), &lab.state.layout.scripts(), reaper.lifeline());
        lab.reaper = Some(reaper);
        built?;
        Ok(lab)
    }

    /// A lab that another process built and left up.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn attach(name: &LabName) -> Result<Self, LabError> {
        Ok(Self { state: State::read(name)?, paths: Paths::of(name), reaper: None })
    }

    /// Leaves the lab up when this value is dropped and the process ends.
    ///
    /// # Errors
    /// When the reaper cannot be told.
    pub fn keep(mut self) -> Result<(), LabError> {
        Ok(self.reaper.take().map_or(Ok(()), Reaper::dismiss)?)
    }

    /// Takes the lab down and says whether that worked.
    ///
    /// # Errors
    /// When a namespace could not be removed.
    pub fn down(mut self) -> Result<(), LabError> {
        match self.reaper.take() {
            Some(reaper) => Ok(reaper.reap()?),
            None => take_down(&self.state.name),
        }
    }

    /// The lab's name.
    #[must_use]
    pub fn name(&self) -> &LabName {
        &self.state.name
    }

    /// Which iptables the nodes use.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.state.backend
    }

    /// What was left out of the cluster, or made up.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.state.layout.notes
    }

    /// All network namespaces of the lab.
    #[must_use]
    pub fn namespaces(&self) -> Vec<&NetnsName> {
        self.state.layout.namespaces()
    }

    /// The network namespace of an endpoint.
    ///
    /// # Errors
    /// When the lab has no such endpoint.
    pub fn netns(&self, endpoint: &Endpoint) -> Result<&NetnsName, LabError> {
        let site = self.state.layout.site(endpoint);
        site.map(|(netns, _)| netns).ok_or_else(|| LabError::NoEndpoint { endpoint: endpoint.clone() })
    }

    /// The network namespace of a node.
    ///
    /// # Errors
    /// When the lab has no such node.
    pub fn node_netns(&self, node: &NodeName) -> Result<&NetnsName, LabError> {
        self.netns(&Endpoint::Node(node.clone()))
    }

    /// An endpoint's address.
    ///
    /// # Errors
    /// When the lab has no such endpoint, or it has no address of the family.
    pub fn address(&self, endpoint: &Endpoint, family: Family) -> Result<IpAddr, LabError> {
        let place = self.state.layout.place(endpoint, family);
        let none = || LabError::NoAddress { endpoint: endpoint.clone(), family };
        place.map(|place| place.address).ok_or_else(none)
    }

    /// Pods, then pods with their node's network, then addresses outside.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.state.layout.endpoints()
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> Vec<Endpoint> {
        self.state.layout.nodes.iter().map(|node| Endpoint::Node(node.name.clone())).collect()
    }

    /// The ports of the manifests' containers; 80/TCP where there are none.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.state.layout.services
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(reaper) = self.reaper.take() {
            // The script has said on standard error what it could not remove, and the state file still names it.
            let _ = reaper.reap();
        }
    }
}

/// Takes down a lab that another process built, also when that process was killed while building.
///
/// # Errors
/// When no lab has the name, or a namespace could not be removed.
pub fn take_down(name: &LabName) -> Result<(), LabError> {
    let paths = Paths::of(name);
    let state = match State::read(name) {
        Ok(state) => Some(state),
        // Its builder was killed while it wrote this, and so before it made anything.
        Err(StateError::Json { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let namespaces = state.as_ref().map_or_else(Vec::new, |state| state.layout.namespaces());
    Ok(Reaper::start(&paths, &namespaces)?.reap()?)
}

/// The names of all labs that are up, or were not taken down.
///
/// # Errors
/// When the folder of state files cannot be read.
pub fn recorded() -> Result<Vec<LabName>, LabError> {
    Ok(state::names()?)
}

/// The names of the labs that were built from these manifests.
///
/// # Errors
/// When state files cannot be read.
pub fn recorded_of(origin: &Origin) -> Result<Vec<LabName>, LabError> {
    let label = origin.label();
    let is_of = |name: &LabName| State::read(name).is_ok_and(|state| state.origin == label);
    Ok(recorded()?.into_iter().filter(is_of).collect())
}
