//! Reads files into the model: where they come from is in [`source`], what of it changes rules and is no manifest in
//! [`config`], and what the API server would make of it in [`admission`]. The rest are typed manifests with their places:
//! what the files say, before any of it is believed. The one crate of the compiler that links YAML and Git.
//!
//! Shapes are spelled as Kubernetes spells them, absent and empty told apart. A NetworkPolicy refuses fields that it
//! does not have, since a mistyped field opens or closes traffic, and so does a FlowTest; the other kinds ignore what is not used.

// What others wrote never ends the program: it becomes an error that names its place.
#![warn(
    clippy::panic,
    clippy::unreachable,
    clippy::get_unwrap,
    clippy::string_slice,
    clippy::indexing_slicing
)]

#[allow(
    clippy::indexing_slicing,
    reason = "claims and versions are never empty, and pods have a lifecycle each"
)]
pub mod admission;
mod cache;
pub mod config;
mod decode_error;
mod document;
mod fault;
mod file;
mod flow_test;
mod guard;
mod head;
mod int_or_string;
mod inventory;
mod items;
mod json_items;
mod kind;
mod locate;
mod merge;
mod network_policy;
mod object;
mod objects;
mod places;
mod read;
mod reader;
mod shape;
pub mod source;
mod text;
mod tree;
mod workload;
mod yaml;

pub use cache::{Cache, CacheFolder};
pub use flow_test::{FlowCase, FlowTest, FlowTestMeta, Words};
pub use int_or_string::IntOrString;
pub use network_policy::{
    IpBlock, LabelSelector, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicyRule,
    NetworkPolicySpec, Requirement,
};
pub use object::{
    Container, ContainerPort, Namespace, Node, ObjectMeta, OwnerReference, Pod, PodIp, PodSpec,
};
pub use objects::{FLOW_FILE, Located, Manifests};
pub(crate) use objects::{LIVE_NAMESPACE_LEFT_OUT, LIVE_NODE_LEFT_OUT, LIVE_POD_LEFT_OUT, WORKLOAD_LEFT_OUT};
pub use read::{read, read_inventory, read_with};
pub use text::{Annotations, Text, TextMap};
pub(crate) use workload::workload_kind;
pub use workload::{PodTemplate, Workload};
