//! Two people for a revision.

use std::process::Command;

use chainmail_fetch::status::State;
use chainmail_lab::STATEMENT;

use crate::support::{Node, World, ok, policy};
use crate::{MERGE, node};

const TWO: &str = "[trust]\nthreshold = 2\n";

impl World {
    /// A node that believes alice and mallory, each of them alone too little, and begins at the first revision.
    fn node_of_two(&self, lines: &str) -> Node {
        let node = node(self, "");
        node.believe(&self.both());
        node.configure(&format!("{lines}min_commit = \"{}\"\n", self.head()));
        assert_eq!(node.once(), (State::Synced, String::new()));
        node
    }

    fn both(&self) -> String {
        ["alice", "mallory"].map(|who| format!("{who} {}\n", self.public_key(who))).concat()
    }

    fn merge(&self, who: &str, message: &str, branch: &str) -> String {
        ok(self.git_as(who).args(["merge", "-q", "--no-ff", "-S", "-m", message, branch]));
        self.push();
        self.head()
    }
}

#[test]
fn a_tag_and_the_tip_are_two_signatures_in_both_modes() {
    for mode in ["", "mode = \"tag\"\n"] {
        let world = World::new();
        let lines = format!("{TWO}{mode}");
        if !mode.is_empty() {
            let head = world.head();
            world.tag("mallory", 1, &head, "One");
        }
        let node = world.node_of_two(&lines);
        let first = world.head();
        let next = world.change("alice", &[5433]);
        // Alice twice is one person; so is who signed by nobody's name.
        world.tag("alice", 2, &next, "Two");
        match mode {
            "" => {
                node.refuses(
                    State::Untrusted,
                    &format!("commit {next}: its tree is signed by alice SHA256:"),
                );
            }
            _ => {
                assert_eq!((node.once().0, node.handed()), (State::Synced, Some(first)));
                let alarms = node.status().alarms.join("\n");
                assert!(alarms.contains("tag chainmail/2: its tree is signed by alice SHA256:"), "{alarms}");
            }
        }
        // A second tag, whose number is its own.
        world.tag("mallory", 3, &next, "Seen");
        assert_eq!((node.once().0, node.handed()), (State::Synced, Some(next)), "{mode}");
        let signers = node.status().handed.unwrap().signer.unwrap();
        assert!(signers.contains("alice SHA256:") && signers.contains("mallory SHA256:"), "{signers}");
        assert!(node.fetch(&["status"]).out.contains(&signers));
    }
}

/// Whoever makes a twin of the tip takes nothing from a tag that names the other.
#[test]
fn a_tag_counts_for_the_twin_of_what_it_names() {
    let world = World::new();
    let node = world.node_of_two(TWO);
    let next = world.change("alice", &[5433]);
    world.tag("mallory", 1, &next, "Seen");
    let twin = crate::twins::trailing_blank(&world, &next);
    ok(world.git().args(["push", "-q", "--force", "origin", &format!("{twin}:main")]));
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(twin)));
}

#[test]
fn a_merge_and_what_it_merged_are_two_signatures_of_one_tree() {
    let world = World::new();
    let node = world.node_of_two(TWO);
    ok(world.git().args(["checkout", "-q", "-b", "feature"]));
    world.write("db.yaml", &policy(&[5433]));
    let proposal = world.commit("alice", "Proposal");
    ok(world.git().args(["checkout", "-q", "-"]));
    // Alice merges her own.
    let base = world.head();
    world.merge("alice", MERGE, "feature");
    node.refuses(State::Untrusted, "threshold = 2");
    ok(world.git().args(["reset", "-q", "--hard", &base]));
    let merge = world.merge("mallory", MERGE, "feature");
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(merge.clone())));

    // Another tree than what was merged is signed by one person.
    ok(world.git().args(["checkout", "-q", "-b", "second"]));
    world.write("db.yaml", &policy(&[5434]));
    world.commit("alice", "Second proposal");
    ok(world.git().args(["checkout", "-q", "-"]));
    ok(world.git().args(["merge", "-q", "--no-ff", "--no-commit", "second"]));
    world.write("db.yaml", &policy(&[22]));
    ok(world.git().args(["add", "--all"]));
    ok(world.git_as("mallory").args(["commit", "-q", "-S", "-m", MERGE]));
    world.push();
    node.refuses(State::Untrusted, "its tree is signed by mallory SHA256:");

    // Neither is an old proposal that is brought back: what came since has nobody's second signature.
    ok(world.git().args(["reset", "-q", "--hard", &merge]));
    world.write("db.yaml", &policy(&[5435]));
    ok(world.git().args(["checkout", "-q", "-b", "third"]));
    world.commit("mallory", "Third proposal");
    ok(world.git().args(["checkout", "-q", "-"]));
    let third = world.merge("alice", MERGE, "third");
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(third.clone())));
    for old in [&proposal, &crate::twins::trailing_blank(&world, &proposal)] {
        let tree = format!("{old}^{{tree}}");
        let words = ["commit-tree", "-S", "-p", &third, "-p", old, "-m", MERGE, &tree];
        let replayed = ok(world.git_as("mallory").args(words));
        ok(world.git().args(["push", "-q", "--force", "origin", &format!("{replayed}:main")]));
        node.refuses(State::Untrusted, &format!("commit {replayed}: its tree is signed by mallory SHA256:"));
    }
}

#[test]
fn a_signature_that_does_not_state_the_branch_does_not_count() {
    let world = World::new();
    let node = world.node_of_two(TWO);
    ok(world.git().args(["checkout", "-q", "-b", "feature"]));
    world.write("db.yaml", &policy(&[22]));
    world.commit_as_it_stands("alice", "Work in progress: open everything");
    ok(world.git().args(["checkout", "-q", "-"]));
    world.merge("mallory", MERGE, "feature");
    node.refuses(State::Untrusted, "that of alice SHA256:");
    node.configure(&format!("{TWO}branch_statement = \"off\"\nmin_commit = \"{}\"\n", world.head()));
    assert_eq!(node.once().0, State::Synced);
}

#[test]
fn keys_are_not_people() {
    let world = World::new();
    let node = world.node_of_two(TWO);
    let mut keygen = Command::new("ssh-keygen");
    ok(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(world.path("laptop")));
    let [alice, mallory, laptop] = ["alice", "mallory", "laptop"].map(|who| world.public_key(who));
    // Two keys of one person, by the name or by a key that joins two names.
    let next = world.change("alice", &[5433]);
    world.tag("laptop", 1, &next, "From the laptop");
    for joined in [
        format!("alice {alice}\nalice {laptop}\nmallory {mallory}\n"),
        format!("alice {alice}\nAlice {laptop}\nmallory {mallory}\n"),
        format!("alice,work {alice}\nwork {laptop}\nmallory {mallory}\n"),
        format!("alice {alice}\nwork {alice}\nwork {laptop}\nmallory {mallory}\n"),
    ] {
        node.believe(&joined);
        node.refuses(State::Untrusted, "threshold = 2");
    }
    // Too few people, and names that may be anybody's, are wrong at once.
    for (text, expected) in [
        (format!("alice {alice}\nwork {alice}\n"), "cannot be reached: the file has 1 different signers"),
        (
            format!("alice {alice}\n*@example.com {laptop}\n"),
            "allowed_signers:2: with a threshold each line names",
        ),
    ] {
        node.believe(&text);
        node.refuses(State::Misconfigured, expected);
        assert_eq!(node.fetch(&["check-config"]).code, Some(2));
    }
    node.believe(&format!("alice {alice}\nlaptop {laptop}\n"));
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(next)));
    assert!(
        node.fetch(&["check-config"]).out.contains("every commit signed by 2 people and its branch stated")
    );
}

#[test]
fn rules_go_when_both_say_so() {
    let world = World::new();
    let node = world.node_of_two(TWO);
    std::fs::remove_file(world.path("clone/db.yaml")).unwrap();
    let empty = world.commit("alice", "Clean up\n\nChainmail-Allow: shrink");
    world.push();
    world.tag("mallory", 1, &empty, "Seen");
    node.refuses(State::Held, "it leaves no rule");
    world.tag_as_it_stands("mallory", 2, &empty, &format!("Seen\n\nChainmail-Allow: shrink\n{STATEMENT}"));
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(empty)));
}
