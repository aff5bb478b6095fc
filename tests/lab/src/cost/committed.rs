//! Figures that are kept with the project, so that a change for the worse is seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::figure::Figure;
use super::{CaseName, Measured};
use crate::spec::Backend;

/// How many times its committed ratio a figure may be: a shared machine's ratios vary.
const SLACK: f64 = 1.5;

/// The committed ratios.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Committed(BTreeMap<Backend, BTreeMap<Figure, f64>>);

/// A figure that is worse than it may be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Worse {
    /// Of which backend.
    pub backend: Backend,
    /// Which figure.
    pub figure: Figure,
    /// What was measured.
    pub ratio: f64,
    /// What is committed.
    pub committed: f64,
}

impl Committed {
    /// Reads the text of a committed file: a table for each backend, a ratio for each figure.
    ///
    /// # Errors
    /// When it is not TOML, or names something else.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// What of the snapshot's own rules is worse than it may be.
    #[must_use]
    pub fn worse(&self, measured: &[Measured]) -> Vec<Worse> {
        let mut worse = Vec::new();
        let own = measured.iter().filter(|one| one.case == CaseName::Snapshot);
        for Measured { backend, costs, .. } in own {
            for (&figure, cost) in costs {
                let Some(&committed) = self.0.get(backend).and_then(|figures| figures.get(&figure)) else {
                    continue;
                };
                if cost.ratio > committed * SLACK {
                    worse.push(Worse { backend: *backend, figure, ratio: cost.ratio, committed });
                }
            }
        }
        worse
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Cost;

    #[test]
    fn half_as_much_again_is_worse() {
        let committed = Committed::parse("[nft]\nnew-tcp-isolated = 1.0\nnew-udp-isolated = 1.0\n").unwrap();
        let cost = |ratio| {
            let (min, max, quiet) = (ratio, ratio, ratio);
            Cost { pairs: 1, conntrack_us: 1.0, rules_us: ratio, ratio, min, max, quiet }
        };
        let costs: BTreeMap<Figure, Cost> = [
            (Figure::NewTcpIsolated, cost(1.5)),
            (Figure::NewUdpIsolated, cost(1.51)),
            (Figure::NewTcpOpen, cost(9.0)),
        ]
        .into();
        let measured = |backend, case| Measured { backend, case, costs: costs.clone() };
        let all = [
            measured(Backend::Nft, CaseName::Snapshot),
            measured(Backend::Nft, CaseName::Also("x".to_owned())),
            measured(Backend::Legacy, CaseName::Snapshot),
        ];
        let worse = committed.worse(&all);
        assert_eq!(worse.len(), 1);
        assert_eq!(worse[0].figure, Figure::NewUdpIsolated);
        assert!(Committed::parse("[nft]\nnew-tcp-isolatd = 1.0\n").is_err());
        assert!(Committed::parse("[nftables]\n").is_err());
    }
}
