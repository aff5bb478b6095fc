//! Ports of containers, and protocols.

use chainmail_contract::Transport;
use chainmail_findings::{Code, FieldPath};
use chainmail_model::{ContainerPort, PortName};

use super::written::{self, Part};
use super::{Scope, name};
use crate as manifest;

/// The ports of containers and sidecars (init containers that are kept running). Ports of the other init containers
/// are gone by the time the pod serves. `at` is the place of the pod's spec.
pub(super) fn ports(scope: &mut Scope<'_>, at: &FieldPath, spec: &manifest::PodSpec) -> Vec<ContainerPort> {
    let mut ports = Vec::new();
    for (list, containers) in [("initContainers", &spec.init_containers), ("containers", &spec.containers)] {
        for (index, container) in containers.iter().flatten().enumerate() {
            let always = container.restart_policy.as_ref().is_some_and(|text| text.0 == "Always");
            if list == "initContainers" && !always {
                continue;
            }
            let path = at.key(list).index(index).key("ports");
            for (index, port) in container.ports.iter().flatten().enumerate() {
                ports.extend(container_port(scope, &path.index(index), port));
            }
        }
    }
    ports.sort();
    ports.dedup();
    ports
}

fn container_port(
    scope: &mut Scope<'_>,
    path: &FieldPath,
    port: &manifest::ContainerPort,
) -> Option<ContainerPort> {
    let protocol = protocol(scope, &path.key("protocol"), port.protocol.as_ref())?;
    let number = match port.container_port.map(u16::try_from) {
        Some(Ok(number)) if number > 0 => number,
        _ => {
            let path = path.key("containerPort");
            scope.report(Code::BadPort, &path, "a containerPort is a number from 1 to 65535");
            return None;
        }
    };
    if let Some(text) = &port.name {
        written::check(scope, &path.key("name"), &text.0, Part::Value);
    }
    let name = match &port.name {
        Some(text) if name::port_name_problems(&text.0).is_empty() => {
            Some(PortName::admitted(text.0.clone()))
        }
        Some(text) if !text.0.is_empty() => {
            let problems = name::port_name_problems(&text.0).join("; ");
            let message = format!("{:?} cannot be the name of a port: {problems}", text.0);
            scope.report(Code::BadPortName, &path.key("name"), message);
            None
        }
        _ => None,
    };
    Some(ContainerPort { name, protocol, number })
}

/// A protocol; TCP where none is written.
pub(super) fn protocol(
    scope: &mut Scope<'_>,
    path: &FieldPath,
    text: Option<&manifest::Text>,
) -> Option<Transport> {
    match text.map(|text| text.0.as_str()) {
        None | Some("TCP") => Some(Transport::Tcp),
        Some("UDP") => Some(Transport::Udp),
        Some("SCTP") => Some(Transport::Sctp),
        Some(other) => {
            let message = format!("{other:?} is not a protocol");
            scope.report_with_help(Code::BadProtocol, path, message, "the protocols are TCP, UDP and SCTP");
            None
        }
    }
}
