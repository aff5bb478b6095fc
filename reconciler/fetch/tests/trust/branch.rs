//! Signed work in progress that whoever holds the server makes the tip of the branch.

use chainmail_fetch::status::State;

use crate::node;
use crate::support::{World, ok, policy};

impl World {
    fn point_main_at(&self, commit: &str) {
        ok(self.git().args(["push", "-q", "--force", "origin", &format!("{commit}:refs/heads/main")]));
    }

    /// Signed, on top of what is there, and meant for no branch.
    fn work_in_progress(&self, port: u16) -> String {
        self.write("db.yaml", &policy(&[port]));
        self.commit_as_it_stands("alice", "Work in progress: open everything")
    }
}

#[test]
fn signed_work_in_progress_does_not_become_main() {
    let world = World::new();
    let node = node(&world, "");
    let good = world.head();
    let wip = world.work_in_progress(22);
    world.point_main_at(&wip);
    node.refuses(State::Untrusted, &format!("commit {wip} does not state that it is for branch main"));
    // Nor by a statement for another branch, or one that is quoted.
    for message in
        ["WIP\n\nChainmail-Branch: mains", "WIP\n\n> Chainmail-Branch: main", "Chainmail-Branch: main"]
    {
        ok(world.git().args(["reset", "-q", "--hard", &good]));
        let other = world.commit_as_it_stands("alice", message);
        world.point_main_at(&other);
        node.refuses(State::Untrusted, &format!("commit {other} does not state"));
    }
    // What comes on top of it and states the branch answers for all below, like a merge.
    ok(world.git().args(["reset", "-q", "--hard", &wip]));
    let release = world.commit("alice", "Ready");
    world.push();
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(release)));
}

#[test]
fn without_a_statement_there_is_an_alarm_and_a_way_back() {
    let world = World::new();
    let off = "[trust]\nbranch_statement = \"off\"\n";
    let node = node(&world, off);
    let good = world.head();
    assert!(node.status().alarms.iter().any(|alarm| alarm.contains("no signature states its branch")));
    let bad = world.work_in_progress(22);
    let worse = world.work_in_progress(23);
    world.point_main_at(&worse);
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(worse.clone())));
    world.point_main_at(&good);
    node.refuses(State::Untrusted, "does not follow");

    // The operator names the first wrong commit, and the one that nodes go back to. No signature is needed for it.
    let payload = node.fetch(&["payload", &bad]);
    assert_eq!(payload.code, Some(0), "{}", payload.err);
    let payload = payload.out.trim_end();
    let back = format!("{off}min_commit = \"{good}\"\nrefused_revisions = [\"{payload}\"]\n");
    node.configure(&back);
    world.point_main_at(&worse);
    node.refuses(State::Untrusted, &format!("revision {worse} is, or is built on, {bad}"));
    world.point_main_at(&good);
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(good.clone())));
    // It stays refused: itself, under another id, what is built on it, and all that with the state lost.
    let twin = crate::twins::trailing_blank(&world, &bad);
    node.lose_state();
    node.once();
    for wrong in [&bad, &worse, &twin] {
        world.point_main_at(wrong);
        node.refuses(State::Untrusted, "which refused_revisions lists");
    }
    ok(world.git().args(["reset", "-q", "--hard", &good]));
    let next = world.commit("alice", "Next");
    world.push();
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(next)));
    world.point_main_at(&good);
    node.refuses(State::Untrusted, "does not follow");
    // A merge brings in what was good of it, and is answered for by who signs the merge.
    world.push();
    ok(world.git_as("alice").args(["merge", "-q", "--no-ff", "-S", "-m", crate::MERGE, &bad]));
    world.push();
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(world.head())));
    assert_eq!(node.fetch(&["payload", &"0".repeat(40)]).code, Some(3));
}
