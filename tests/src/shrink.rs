//! Makes a failing world smaller: whatever can go while it still fails, goes.

use serde_json::{Value, json};

use crate::world::World;

/// A way into a value.
type Way = Vec<Step>;

#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Index(usize),
}

/// Removes objects, settings, fields and entries as long as `fails` holds of what is left.
pub(crate) fn shrink(world: &World, fails: impl Fn(&World) -> bool) -> World {
    let world_of = |value| serde_json::from_value::<World>(value).expect("a cut leaves a world");
    let mut smallest = json!(world);
    loop {
        let mut ways = Vec::new();
        collect(&smallest, &mut Vec::new(), &mut ways);
        // The widest cuts first.
        ways.sort_by_key(Vec::len);
        let mut smaller = false;
        for way in &ways {
            let mut candidate = smallest.clone();
            if remove(&mut candidate, way) && fails(&world_of(candidate.clone())) {
                smallest = candidate;
                smaller = true;
            }
        }
        if !smaller {
            return world_of(smallest);
        }
    }
}

fn collect(value: &Value, at: &mut Way, ways: &mut Vec<Way>) {
    let children: Vec<(Step, &Value)> = match value {
        Value::Array(list) => list.iter().enumerate().map(|(i, v)| (Step::Index(i), v)).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| (Step::Key(k.clone()), v)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    // From the back, so that removing an entry leaves the ways to those before it as they are.
    for (step, child) in children.into_iter().rev() {
        at.push(step);
        ways.push(at.clone());
        collect(child, at, ways);
        at.pop();
    }
}

/// Removes what a way leads to, if it still leads somewhere.
fn remove(value: &mut Value, way: &[Step]) -> bool {
    let Some((first, rest)) = way.split_first() else { return false };
    if rest.is_empty() {
        return match (value, first) {
            (Value::Array(list), Step::Index(index)) if *index < list.len() => {
                list.remove(*index);
                true
            }
            (Value::Object(map), Step::Key(key)) => map.remove(key).is_some(),
            _ => false,
        };
    }
    let child = match (value, first) {
        (Value::Array(list), Step::Index(index)) => list.get_mut(*index),
        (Value::Object(map), Step::Key(key)) => map.get_mut(key),
        _ => None,
    };
    child.is_some_and(|child| remove(child, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failure_needs_is_left() {
        let needed = |world: &World| {
            let node = world.objects.iter().any(|object| object["metadata"]["name"] == "node-1");
            let block = world.config.as_ref().is_some_and(|config| config["nodes"][0]["allow"] == "accept");
            node && block
        };
        let config = json!({"allow": "return", "nodes": [{"match": "*", "allow": "accept"}, {"match": "x"}]});
        let world = World { config: Some(config), ..World::generate(1) };
        let smallest = World {
            objects: vec![json!({"metadata": {"name": "node-1"}})],
            live: Vec::new(),
            config: Some(json!({"nodes": [{"allow": "accept"}]})),
        };
        assert_eq!(shrink(&world, needed), smallest);
    }
}
