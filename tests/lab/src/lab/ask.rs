//! Questions to a lab: what packets do, and what the rules say.

use chainmail_contract::Family;

use super::{Lab, LabError};
use crate::endpoint::Endpoint;
use crate::probe::{Observed, Probe, Service};
use crate::prober::{self, Aim};
use crate::programs::{self, Origin};
use crate::truth::{Block, Cell, TruthTable};

impl Lab {
    /// A table that asks for every pair of these endpoints that have addresses of the family, except where both have
    /// the same one. All is allowed in it, as it is without policies.
    #[must_use]
    pub fn questions(&self, endpoints: &[Endpoint], services: &[Service], families: &[Family]) -> TruthTable {
        let (endpoints, services) = (each_once(endpoints), each_once(services));
        let mut blocks = Vec::new();
        for &service in &services {
            for family in each_once(families) {
                let present = |endpoint: &&Endpoint| self.address(endpoint, family).is_ok();
                let present = endpoints.iter().filter(present).cloned().collect();
                blocks
                    .push(Block::all_allowed(service, family, present).expect("each endpoint is there once"));
            }
        }
        let table = TruthTable::new(blocks).expect("each service and family is there once");
        let cell = |probe: &Probe| {
            let address = |endpoint| self.address(endpoint, probe.family).ok();
            let differ = address(&probe.source) != address(&probe.destination);
            if differ { Cell::Allowed } else { Cell::NotAsked }
        };
        let cells: Vec<Cell> = table.probes().iter().map(cell).collect();
        table.answered(cells)
    }

    /// Sends real packets for every probe and says what became of them, in the same order.
    ///
    /// # Errors
    /// When an endpoint has no such address, or sockets cannot be opened.
    pub fn probe(&self, probes: &[Probe]) -> Result<Vec<Observed>, LabError> {
        let place = |endpoint: &Endpoint, family| {
            let none = || LabError::NoAddress { endpoint: endpoint.clone(), family };
            self.state.layout.place(endpoint, family).ok_or_else(none)
        };
        let aim = |probe: &Probe| {
            let source = place(&probe.source, probe.family)?;
            Ok(Aim { service: probe.service, source, destination: place(&probe.destination, probe.family)? })
        };
        let aims = probes.iter().map(aim).collect::<Result<Vec<Aim<'_>>, LabError>>()?;
        Ok(prober::run(&aims)?)
    }

    /// Sends real packets for all that a table asks, and gives the table of what became of them.
    ///
    /// # Errors
    /// As [`Lab::probe`].
    pub fn observe(&self, table: &TruthTable) -> Result<TruthTable, LabError> {
        let observed = self.probe(&table.probes())?;
        Ok(table.answered(observed.iter().map(Cell::from)))
    }

    /// What the rules that `chainmail` compiles from these manifests say of all that a table asks.
    ///
    /// # Errors
    /// When `chainmail query` is not there or fails.
    pub fn predict(&self, origin: &Origin, table: &TruthTable) -> Result<TruthTable, LabError> {
        let name = |probe: &Probe, endpoint: &Endpoint| {
            let address = self.address(endpoint, probe.family).map(|address| address.to_string());
            if self.state.layout.has_own_address(endpoint) {
                endpoint.to_string()
            } else {
                address.unwrap_or_else(|_| endpoint.to_string())
            }
        };
        Ok(table.answered(programs::predict(origin, &table.probes(), name)?))
    }
}

/// The items in their order, without those that were there before.
fn each_once<T: Clone + PartialEq>(items: &[T]) -> Vec<T> {
    let mut once: Vec<T> = Vec::new();
    for item in items {
        if !once.contains(item) {
            once.push(item.clone());
        }
    }
    once
}
