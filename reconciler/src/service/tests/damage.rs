//! A state folder that a failing disk has damaged: the node ends with the right rules, with an older whole copy's, or closed.

#[path = "../../../tests/support/damage.rs"]
mod failing_disk;

use self::failing_disk::{Random, copy, damage};
use super::*;
use crate::closed::Closed;
use crate::config::WithoutSnapshot;
use crate::testing::applied;

/// Three snapshots were in force, the last one is the one of port 82.
fn node() -> (Node, Vec<Joined>) {
    let node = Node::new();
    let mut service = node.start(FakeKernel::new());
    let snapshots: Vec<Joined> = (80..83).map(|port| policy_snapshot(&["10.0.0.1"], port)).collect();
    for snapshot in &snapshots {
        node.spool(snapshot);
        assert_eq!(node.cycle(&mut service), "synced enforcing");
    }
    files::replace(&node.paths().backend(), "nft\n").unwrap();
    (node, snapshots)
}

fn rules_of(snapshot: &Joined) -> Vec<String> {
    state_of(&mut applied(&Desired::of_snapshot(snapshot).unwrap()))
}

#[test]
fn no_damage_to_the_state_opens_a_node_or_changes_a_rule() {
    let (origin, snapshots) = node();
    let allowed: Vec<Vec<String>> = snapshots.iter().map(rules_of).collect();
    let last = snapshots.last().unwrap();
    let closed = Closed::of(&Desired::of_snapshot(last).unwrap()).snapshot(&"n1".parse().unwrap());
    let closed = rules_of(&closed);
    let mut ends = [0; 3];
    for seed in 0..300 {
        let node = Node::new();
        copy(origin.root.path(), node.root.path());
        let mut random = Random(seed);
        // Half of the nodes have lost the older copies too.
        if seed % 2 == 1 {
            for snapshot in &snapshots[..2] {
                files::remove_folder(&node.paths().kept(&snapshot.manifest().digest)).unwrap();
            }
        }
        let how = damage(&node.paths().state(), &mut random);
        let spool = node.paths().spool();
        let aside = node.root.path().join("aside");
        std::fs::rename(&spool, &aside).unwrap();
        let mut service = node.start(FakeKernel::new());
        service.cycle(Reach::LastGood, node.now);
        let rules = state_of(&mut service.kernel);
        let end = if rules == allowed[2] {
            0
        } else if allowed.contains(&rules) {
            1
        } else {
            assert_eq!(rules, closed, "seed {seed}, {how}: {:?}", service.status);
            2
        };
        ends[end] += 1;
        assert_eq!(end > 0, !service.status.alarms.is_empty(), "seed {seed}, {how}: {:?}", service.status);
        let words = if end == 2 { "closed" } else { "enforcing" };
        assert_eq!(service.status.enforce.as_str(), words, "seed {seed}, {how}");

        // The spool comes back, and with it the right rules, whatever was damaged.
        std::fs::rename(&aside, &spool).unwrap();
        let mut service = node.start(service.kernel);
        let words = node.cycle(&mut service);
        if !how.contains("orders") {
            assert_eq!(words, "synced enforcing", "seed {seed}, {how}: {:?}", service.status);
            assert_eq!(state_of(&mut service.kernel), allowed[2], "seed {seed}, {how}");
            assert_eq!(service.status.alarms, [""; 0], "seed {seed}, {how}");
        }
        let mut service = node.start(FakeKernel::new());
        service.cycle(Reach::LastGood, node.now);
        assert_eq!(state_of(&mut service.kernel), allowed[2], "the state is whole again: seed {seed}, {how}");
    }
    assert!(ends.iter().all(|&count| count > 10), "each end is met: {ends:?}");
}

#[test]
fn a_node_without_any_copy_is_closed_unless_it_is_to_be_open() {
    for (setting, words) in
        [(WithoutSnapshot::Closed, "synced closed"), (WithoutSnapshot::Open, "pending unknown")]
    {
        let (mut node, snapshots) = node();
        node.config.without_snapshot = setting;
        files::remove_folder(&node.paths().spool()).unwrap();
        for snapshot in &snapshots {
            let path = node.paths().kept(&snapshot.manifest().digest).join("rules.v6");
            files::replace(&path, "*filter\nCOMMIT\n").unwrap();
        }
        let mut service = node.start(FakeKernel::new());
        service.cycle(Reach::LastGood, node.now);
        assert_eq!(service.status.words(), words);
        assert_eq!(service.status.enforced, None);
        let alarms = service.status.alarms.join("\n");
        assert!(alarms.contains("chainmail-fetch once") && alarms.contains("rules.v6"), "{alarms}");
        let v4 = &service.kernel.tables[&Family::V4];
        let closed =
            v4.get("CM-FORWARD").is_some_and(|rules| rules.contains(&"-d 10.0.0.9/32 -j DROP".to_owned()));
        assert_eq!(closed, setting == WithoutSnapshot::Closed, "{v4:?}");
        // What is next in the spool is taken all the same.
        node.spool(&snapshots[1]);
        assert_eq!(node.cycle(&mut service), "synced enforcing");
        assert_eq!(
            (service.status.alarms.len(), state_of(&mut service.kernel)),
            (0, rules_of(&snapshots[1]))
        );
    }
}

#[test]
fn a_node_that_never_had_a_snapshot_is_open_and_says_so() {
    let node = Node::new();
    let mut service = node.start(FakeKernel::new());
    assert_eq!(node.cycle(&mut service), "pending nothing");
    assert_eq!(service.kernel.calls, [""; 0]);
    assert!(service.status.alarms.join("").contains("every packet passes"), "{:?}", service.status);
}

#[test]
fn what_is_kept_is_bounded_in_bytes_and_the_last_good_one_stays() {
    let (node, snapshots) = node();
    let large = |snapshot: &Joined| {
        let path = node.paths().kept(&snapshot.manifest().digest).join("provenance.json");
        std::fs::File::create(path).unwrap().set_len(chainmail_contract::limits::KEPT_BYTES).unwrap();
    };
    large(&snapshots[2]);
    let mut service = node.start(FakeKernel::new());
    node.cycle(&mut service);
    service.state.remember(Event::Applied, &snapshots[2].manifest().digest, None, String::new());
    assert_eq!(files::names(&node.paths().kept_all()).unwrap(), [snapshots[2].manifest().digest.to_string()]);
}
