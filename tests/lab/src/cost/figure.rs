//! What is measured, and what it may cost.

use std::fmt;

use chainmail_contract::Transport;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// One measured figure, named as tables and committed files name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// A TCP connection to a pod that is isolated for ingress: opened, accepted, reset.
    NewTcpIsolated,
    /// A datagram to a pod that is isolated for ingress, each of a flow of its own.
    NewUdpIsolated,
    /// A datagram and its answer on one flow with an isolated pod.
    EstablishedUdp,
    /// A segment and its answer on one connection with an isolated pod.
    EstablishedTcp,
    /// A TCP connection to a pod that no policy isolates for ingress.
    NewTcpOpen,
    /// A datagram to a pod that no policy isolates for ingress, each of a flow of its own.
    NewUdpOpen,
    /// A TCP connection from a pod that is isolated for egress.
    NewTcpEgress,
    /// A datagram from a pod that is isolated for egress, each of a flow of its own.
    NewUdpEgress,
}

/// Which pod of the node is an end of a pair; the other end is elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ends {
    /// To a pod that is isolated for ingress.
    IntoIsolated,
    /// To a pod that is not isolated for ingress; what isolates it for egress is not met on this way.
    IntoOpen,
    /// From a pod that is isolated for egress.
    OutOfIsolated,
}

/// What is sent and timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Motion {
    /// connect(2), accept(2), and a close that resets.
    Connection,
    /// One datagram from a port that was not used before.
    Datagram,
    /// A datagram or segment there and one back, on a flow that stands.
    RoundTrip,
}

impl Figure {
    /// All figures, in the order of tables.
    pub const ALL: [Figure; 8] = [
        Figure::NewTcpIsolated,
        Figure::NewUdpIsolated,
        Figure::EstablishedUdp,
        Figure::EstablishedTcp,
        Figure::NewTcpOpen,
        Figure::NewUdpOpen,
        Figure::NewTcpEgress,
        Figure::NewUdpEgress,
    ];

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Figure::NewTcpIsolated => "new-tcp-isolated",
            Figure::NewUdpIsolated => "new-udp-isolated",
            Figure::EstablishedUdp => "established-udp",
            Figure::EstablishedTcp => "established-tcp",
            Figure::NewTcpOpen => "new-tcp-open",
            Figure::NewUdpOpen => "new-udp-open",
            Figure::NewTcpEgress => "new-tcp-egress",
            Figure::NewUdpEgress => "new-udp-egress",
        }
    }

    /// How many times the delay under a lone conntrack rule it should be at most, on a node of 100 pods.
    #[must_use]
    pub fn goal(self) -> Option<f64> {
        match self {
            Figure::NewTcpIsolated => Some(1.05),
            Figure::NewUdpIsolated => Some(1.20),
            Figure::EstablishedUdp | Figure::EstablishedTcp => Some(1.03),
            Figure::NewTcpOpen | Figure::NewUdpOpen => Some(1.04),
            Figure::NewTcpEgress | Figure::NewUdpEgress => None,
        }
    }

    pub(crate) fn transport(self) -> Transport {
        match self {
            Figure::NewTcpIsolated | Figure::EstablishedTcp | Figure::NewTcpOpen | Figure::NewTcpEgress => {
                Transport::Tcp
            }
            Figure::NewUdpIsolated | Figure::EstablishedUdp | Figure::NewUdpOpen | Figure::NewUdpEgress => {
                Transport::Udp
            }
        }
    }

    pub(crate) fn ends(self) -> Ends {
        match self {
            Figure::NewTcpIsolated
            | Figure::NewUdpIsolated
            | Figure::EstablishedUdp
            | Figure::EstablishedTcp => Ends::IntoIsolated,
            Figure::NewTcpOpen | Figure::NewUdpOpen => Ends::IntoOpen,
            Figure::NewTcpEgress | Figure::NewUdpEgress => Ends::OutOfIsolated,
        }
    }

    pub(crate) fn motion(self) -> Motion {
        match self {
            Figure::NewTcpIsolated | Figure::NewTcpOpen | Figure::NewTcpEgress => Motion::Connection,
            Figure::NewUdpIsolated | Figure::NewUdpOpen | Figure::NewUdpEgress => Motion::Datagram,
            Figure::EstablishedUdp | Figure::EstablishedTcp => Motion::RoundTrip,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_print_as_files_name_them() {
        for figure in Figure::ALL {
            assert_eq!(serde_json::to_value(figure).unwrap(), figure.as_str());
        }
    }
}
