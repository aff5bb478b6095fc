//! The keys that hold for nodes, each of which may be said or not.

use chainmail_findings::Place;
use chainmail_model::{
    AllowTarget, Enforcement, InterfaceName, InvalidPackets, LogLimit, NodeSettings, PodInterfaces,
    UnknownPods,
};

/// What one section says.
#[derive(Debug, Clone, Default)]
pub(super) struct Overrides {
    pub(super) unknown_pods: Option<UnknownPods>,
    pub(super) invalid: Option<InvalidPackets>,
    pub(super) allow: Option<AllowTarget>,
    /// Said to be none by `false`: TOML has no null.
    pub(super) pod_bridge: Option<Option<InterfaceName>>,
    /// With its place: that it closes nothing is told. Said to be none by an empty list.
    pub(super) pod_interfaces: Option<(PodInterfaces, Place)>,
    /// With its place: that a node only observes is told.
    pub(super) enforcement: Option<(Enforcement, Place)>,
    /// Said to be off by 0.
    pub(super) log_denied: Option<Option<LogLimit>>,
}

impl Overrides {
    pub(super) fn says_unknown_pods(&self) -> bool {
        self.unknown_pods.is_some()
    }

    pub(super) fn apply(&self, settings: &mut NodeSettings) {
        let Self { unknown_pods, invalid, allow, pod_bridge, pod_interfaces, enforcement, log_denied } = self;
        settings.unknown_pods = unknown_pods.unwrap_or(settings.unknown_pods);
        settings.invalid = invalid.unwrap_or(settings.invalid);
        settings.allow = allow.unwrap_or(settings.allow);
        if let Some(bridge) = pod_bridge {
            settings.pod_bridge.clone_from(bridge);
        }
        if let Some((interfaces, _)) = pod_interfaces {
            settings.pod_interfaces.clone_from(interfaces);
        }
        if let Some((enforcement, _)) = enforcement {
            settings.enforcement = *enforcement;
        }
        settings.log_denied = log_denied.unwrap_or(settings.log_denied);
    }
}
