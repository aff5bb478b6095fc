//! Small clusters made from a seed, as manifests: every form that the API allows, in few objects that often meet.
//!
//! Labels, ports and networks come from short lists, so that selectors hit and ranges touch. Forms that mean the same
//! (absent, null, `[]`, `{}`) are all written. Beside many of them is what a live cluster says, which contradicts them.

mod edits;
mod layout;
mod live;
mod nodes;
mod pods;
mod policies;
mod selectors;
mod settings;

use std::net::IpAddr;

use chainmail_manifest::source::{CONFIG_PATH, Inventory, SourceFile, Sources};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::seeded::Seeded;

pub use layout::{Layout, documents};
pub use pods::PORT_NAMES;

/// The namespaces. Not all have a manifest of their own.
const NAMESPACES: [&str; 4] = ["default", "shop", "shop-dev", "ops"];

/// A cluster's objects, as the API spells them, and its repository's configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct World {
    /// Namespaces, Nodes, Pods and NetworkPolicies.
    pub objects: Vec<Value>,
    /// `chainmail.toml`, where there is one.
    pub config: Option<Value>,
    /// What an inventory says beside them, of pods and nodes.
    pub live: Vec<Value>,
}

impl World {
    /// The cluster of a seed.
    #[must_use]
    pub fn generate(seed: u64) -> Self {
        Self::reviewed(&mut Seeded::new(seed)).0
    }

    /// The cluster of a seed. Beside nearly half of them is an inventory that contradicts it.
    #[must_use]
    pub fn contradicted(seed: u64) -> Self {
        let mut rng = Seeded::new(seed);
        let (mut world, sites) = Self::reviewed(&mut rng);
        if rng.percent(45) {
            world.live = live::contradictions(&mut rng, &mut world.objects, &sites);
        }
        world
    }

    fn reviewed(rng: &mut Seeded) -> (Self, Vec<nodes::Site>) {
        let mut objects = namespaces(rng);
        let sites = nodes::sites(rng);
        objects.extend(sites.iter().filter_map(nodes::Site::manifest));
        objects.extend(pods::pods(rng, &sites));
        let count = rng.between(7, 12);
        objects.extend((0..count).map(|number| policies::policy(rng, number)));
        let config = rng.percent(60).then(|| settings::config(rng));
        if rng.percent(25) {
            objects.iter_mut().for_each(nodes::narrow);
        }
        (Self { objects, config, live: Vec::new() }, sites)
    }

    /// The objects as files.
    #[must_use]
    pub fn sources(&self, layout: Layout) -> Sources {
        self.with_config(layout.sources(&self.objects))
    }

    /// Files with the world's configuration, and what is live beside them.
    #[must_use]
    pub fn with_config(&self, files: Sources) -> Sources {
        let files = match self.live.is_empty() {
            true => files,
            false => {
                let list = json!({"apiVersion": "v1", "kind": "List", "items": self.live});
                files.with_inventories([Inventory::from_bytes("live.json", list.to_string().into_bytes())])
            }
        };
        let Some(config) = self.config_text() else { return files };
        files.with_config(SourceFile { path: CONFIG_PATH.to_owned(), bytes: config.into_bytes() })
    }

    /// The configuration as it is written.
    #[must_use]
    pub fn config_text(&self) -> Option<String> {
        let config = self.config.as_ref()?;
        Some(toml::to_string(config).expect("a configuration has nothing that TOML has not"))
    }

    /// The same world, in whose configuration nothing says this key.
    #[must_use]
    pub fn without_setting(&self, key: &str) -> Self {
        let mut world = self.clone();
        if let Some(Value::Object(config)) = &mut world.config {
            config.remove(key);
            for block in config.get_mut("nodes").and_then(Value::as_array_mut).into_iter().flatten() {
                block.as_object_mut().and_then(|block| block.remove(key));
            }
        }
        world
    }

    /// Every address that a Pod's status names, also those that no longer are a pod's.
    #[must_use]
    pub fn written_addresses(&self) -> Vec<IpAddr> {
        let addresses = |object: &Value| -> Vec<IpAddr> {
            let first = object["status"]["podIP"].as_str().into_iter();
            let all = object["status"]["podIPs"].as_array().into_iter().flatten();
            let all = all.filter_map(|entry| entry["ip"].as_str());
            first.chain(all).filter_map(|text| text.parse().ok()).collect()
        };
        self.objects.iter().chain(&self.live).flat_map(addresses).collect()
    }
}

fn namespaces(rng: &mut Seeded) -> Vec<Value> {
    let mut objects = Vec::new();
    for name in NAMESPACES {
        // A namespace that only its pods speak of has the one label that all have.
        if rng.percent(75) {
            let labels = selectors::labels(rng, &selectors::NAMESPACE_LABELS);
            let mut metadata = fields([("name", json!(name))]);
            put(&mut metadata, "labels", labels);
            objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}));
        }
    }
    objects
}

/// An object of some fields.
fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Sets a field, unless it is to be absent.
fn put(object: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), value);
    }
}

/// One of the forms of a list without entries: absent, null or `[]`.
fn no_list(rng: &mut Seeded) -> Option<Value> {
    rng.pick(&[None, Some(Value::Null), Some(json!([]))]).clone()
}
