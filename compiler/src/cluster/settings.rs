//! What changes a node's rules and is not said by any policy.

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

/// The settings of one node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct NodeSettings {
    /// `unknown_pods`.
    pub unknown_pods: UnknownPods,
    /// `drop_invalid`.
    pub invalid: InvalidPackets,
    /// `allow`.
    pub allow: AllowTarget,
}
