//! What changes a node's rules and is not said by any policy.

use thiserror::Error;

use super::interfaces::{InterfaceName, PodInterfaces};

/// The file at a repository's root that holds what changes rules and is no manifest.
pub const CONFIG_PATH: &str = "chainmail.toml";

/// What becomes of an address inside a node's podCIDR that no manifest explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum UnknownPods {
    /// It is judged like any address outside.
    #[default]
    Pass,
    /// Nothing from or to it is forwarded.
    Drop,
}

/// What becomes of packets that conntrack calls INVALID, where an isolated pod is an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum InvalidPackets {
    /// They are dropped.
    #[default]
    Drop,
    /// They are judged like new ones.
    Judge,
}

/// How allowed traffic leaves our chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum AllowTarget {
    /// RETURN: the host's other rules have their say.
    #[default]
    Return,
    /// ACCEPT: for hosts whose FORWARD policy is DROP.
    Accept,
}

/// What becomes of packets that policies or settings deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Enforcement {
    /// They are dropped.
    #[default]
    Enforce,
    /// They pass, and are told of.
    Observe,
}

/// How many denied packets a node tells of, a minute and family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogLimit(u16);

/// A number that is no [`LogLimit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0} is not from 1 to {most}", most = LogLimit::MOST)]
pub struct LogLimitError(i64);

impl LogLimit {
    /// Up to here the kernel's arithmetic (`XT_LIMIT_SCALE` of 10,000 a second) gives back the number it was given.
    pub const MOST: u16 = 600;
    /// What a node that only observes tells of where nothing is said.
    pub const OBSERVING: Self = Self(60);

    /// The packets a minute.
    #[must_use]
    pub fn per_minute(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for LogLimit {
    type Error = LogLimitError;

    fn try_from(number: i64) -> Result<Self, LogLimitError> {
        let fits = u16::try_from(number).ok().filter(|n| (1..=Self::MOST).contains(n));
        fits.map(Self).ok_or(LogLimitError(number))
    }
}

/// How a node's rules end for a packet that is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// It is dropped without a word.
    Drop,
    /// It is told of and dropped.
    Log(LogLimit),
    /// It is told of and passes.
    Observe(LogLimit),
}

/// The settings of one node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct NodeSettings {
    /// `unknown_pods`.
    pub unknown_pods: UnknownPods,
    /// `drop_invalid`.
    pub invalid: InvalidPackets,
    /// `allow`.
    pub allow: AllowTarget,
    /// `pod_bridge`: the bridge that the node's pods hang on, where there is one.
    pub pod_bridge: Option<InterfaceName>,
    /// `pod_interfaces`. They close what [`NodeSettings::unknown_pods`] says to drop, and nothing where it passes.
    pub pod_interfaces: PodInterfaces,
    /// `enforce`.
    pub enforcement: Enforcement,
    /// `log_denied`; none for 0.
    pub log_denied: Option<LogLimit>,
}

impl NodeSettings {
    /// How rules end for a packet that is denied.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match (self.enforcement, self.log_denied) {
            (Enforcement::Enforce, None) => Refusal::Drop,
            (Enforcement::Enforce, Some(limit)) => Refusal::Log(limit),
            (Enforcement::Observe, limit) => Refusal::Observe(limit.unwrap_or(LogLimit::OBSERVING)),
        }
    }
}
