//! Revisions that are signed and valid, and take so much away that they wait for a word.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test runs programs, and fails by panic"
)]

mod support;

use std::path::Path;
use std::process::Command;

use chainmail_fetch::status::State;
use support::{CLUSTER, World, ok, policy};

#[test]
fn a_clean_up_waits_for_a_word() {
    let world = World::new();
    let node = world.node("n1", &world.remote(), "");
    node.trust_first();
    std::fs::remove_file(world.path("clone/db.yaml")).unwrap();
    let empty = world.commit("alice", "Clean up");
    world.push();
    node.refuses(State::Held, "it leaves no rule for any pod of this node");
    let wrong = node.fetch(&["release", &"0".repeat(40), "--reason", "x"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
    let done = node.fetch(&["release", &empty, "--reason", "The shop is closed"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(empty)));

    // Its signed message is a word too, but not one that nobody signed.
    world.write("db.yaml", &policy(&[5432]));
    world.commit("alice", "Open again");
    world.push();
    assert_eq!(node.once().0, State::Synced);
    std::fs::remove_file(world.path("clone/db.yaml")).unwrap();
    let empty = world.commit("alice", "Clean up\n\nChainmail-Allow: shrink");
    world.push();
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(empty)));
}

#[test]
fn an_unsigned_message_is_no_word() {
    let world = World::new();
    let node = world.node("n1", &world.remote(), "[trust]\nmode = \"off\"\n");
    node.once();
    std::fs::remove_file(world.path("clone/db.yaml")).unwrap();
    world.commit("nobody", "Clean up\n\nChainmail-Allow: shrink");
    world.push();
    node.refuses(State::Held, "it leaves no rule");
}

#[test]
fn a_node_that_is_gone_keeps_its_rules() {
    let world = World::new();
    let node = world.node("n1", &world.remote(), "");
    node.trust_first();
    world.write("cluster.yaml", &CLUSTER.replace("n1", "n3"));
    world.commit("alice", "Renamed");
    world.push();
    node.refuses(State::Held, "it has no node n1 any more");
    // A node that never had a snapshot has nothing to keep.
    let fresh = world.node("n9", &world.remote(), "");
    let done = fresh.fetch(&["once", "--trust-first"]);
    assert_eq!(done.code, Some(3));
    assert!(done.out.contains("no node n9; it has: n2, n3"), "{}", done.out);
}

#[test]
fn many_rules_do_not_go_at_once() {
    let world = World::new();
    let node = world.node("n1", &world.remote(), "");
    let several = |count: u16| {
        let from = |i: u16| {
            format!("  - from: [{{ipBlock: {{cidr: 192.0.2.{i}/32}}}}]\n    ports: [{{port: {}}}]\n", 100 + i)
        };
        policy(&[5432]) + &(0..count).map(from).collect::<String>()
    };
    world.write("db.yaml", &several(20));
    world.commit("alice", "Twenty");
    world.push();
    node.trust_first();
    world.write("db.yaml", &several(17));
    world.commit("alice", "Seventeen");
    world.push();
    assert_eq!(node.once().0, State::Synced, "a few may go");
    world.write("db.yaml", &several(5));
    world.commit("alice", "Five");
    world.push();
    node.refuses(State::Held, "more than max_loss = 30 of a hundred");
    node.configure("[hold]\nmax_loss = 90\n");
    assert_eq!(node.once().0, State::Synced);
}

#[test]
fn traffic_that_is_to_be_kept_is_asked_of_the_rules() {
    let world = World::new();
    let keep = |port: u16| {
        format!(
            "[hold]\nmax_loss = 100\n[[hold.keep]]\nsrc = \"shop/web\"\ndst = \"shop/db\"\nport = {port}\n"
        )
    };
    let node = world.node("n1", &world.remote(), &keep(5432));
    node.trust_first();
    let without = world.change("alice", &[5433]);
    node.refuses(State::Held, "keep: shop/web → shop/db TCP:5432 is denied");
    let shrink = world.commit("alice", "It may go\n\nChainmail-Allow: shrink");
    world.push();
    node.refuses(State::Held, "is denied");
    node.configure(&keep(5433));
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(shrink)));
    assert_ne!(node.handed(), Some(without));
    // What cannot be judged is not taken for allowed.
    world.write("cluster.yaml", &CLUSTER.replace("name: web, namespace", "name: front, namespace"));
    world.commit("alice", "Renamed");
    world.push();
    node.refuses(State::Held, "cannot be judged");
}

/// The tutorial ends with a clean-up. Its commits are unsigned; a tag answers for them.
#[test]
fn the_tutorials_clean_up_is_held_until_a_word_is_said() {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/aks-tutorial");
    for word in ["release", "trailer"] {
        let world = World::new();
        ok(Command::new(scenario.join("make-repository")).arg(world.path("tutorial")));
        let tutorial = world.path("tutorial").display().to_string();
        ok(world.git().args(["fetch", "-q", &tutorial, "refs/tags/*:refs/tags/*"]));
        ok(world.git().args(["reset", "-q", "--hard", "6-clean-up"]));
        world.push();
        let commit = |state: &str| ok(world.git().args(["rev-parse", state]));
        world.tag("alice", 1, &commit("5-from-development"), "Open to development");
        // The backend is on the first node; the second has nothing to lose.
        let tag = "[trust]\nmode = \"tag\"\n";
        let [policed, other] =
            ["aks-node-0", "aks-node-1"].map(|name| world.node(name, &world.remote(), tag));
        policed.trust_first();
        other.trust_first();
        let clean = commit("6-clean-up");
        world.tag("alice", 2, &clean, "Clean up");
        policed.refuses(State::Held, "it leaves no rule for any pod of this node");
        assert_eq!((other.once().0, other.handed()), (State::Synced, Some(clean.clone())));
        match word {
            "release" => assert_eq!(policed.fetch(&["release", &clean, "--reason", "Done"]).code, Some(0)),
            _ => world.tag("alice", 3, &clean, "Clean up\n\nChainmail-Allow: shrink\n"),
        }
        assert_eq!((policed.once().0, policed.handed()), (State::Synced, Some(clean)), "{word}");
    }
}
