//! A world that is another one with some edits, as a pull request makes them.

use serde_json::Value;

use super::World;
use crate::seeded::Seeded;

impl World {
    /// The same world after some edits: policies rewritten, pods and namespaces labelled otherwise, objects gone, other
    /// settings. Everything new comes from another world.
    #[must_use]
    pub fn edited(&self, seed: u64) -> Self {
        let mut rng = Seeded::new(seed);
        let other = Self::generate(seed + 100_000);
        if rng.percent(5) {
            return other;
        }
        let mut world = self.clone();
        let percent = *rng.pick(&[5, 15, 40]);
        for object in &mut world.objects {
            let same = |known: &&Value| {
                known["kind"] == object["kind"] && known["metadata"]["name"] == object["metadata"]["name"]
            };
            let Some(twin) = other.objects.iter().find(same).filter(|_| rng.percent(percent)) else {
                continue;
            };
            match object["kind"].as_str() {
                Some("NetworkPolicy") => object["spec"] = twin["spec"].clone(),
                Some("Pod") if rng.percent(30) => {
                    object["spec"]["containers"] = twin["spec"]["containers"].clone();
                }
                Some("Pod" | "Namespace") => {
                    object["metadata"]["labels"] = twin["metadata"]["labels"].clone();
                }
                _ => {}
            }
        }
        let gone = |object: &Value| object["kind"] == "Pod" || object["kind"] == "NetworkPolicy";
        world.objects.retain(|object| !gone(object) || !rng.percent(percent / 5));
        if rng.percent(percent) {
            world.config = other.config;
        }
        world
    }
}
