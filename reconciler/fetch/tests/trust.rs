//! Attacks, against repositories that somebody else can write to.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test runs programs, and fails by panic"
)]

#[path = "trust/branch.rs"]
mod branch;
#[path = "trust/signers.rs"]
mod signers;
mod support;
#[path = "trust/tags.rs"]
mod tags;
#[path = "trust/threshold.rs"]
mod threshold;
#[path = "trust/twins.rs"]
mod twins;

use std::process::Command;

use chainmail_fetch::status::State;
use support::{Node, World, ok, remotes};

const MERGE: &str = "Merge\n\nChainmail-Branch: main";
const TAG: &str = "[trust]\nmode = \"tag\"\n";

/// A node that accepted the first revision.
fn node(world: &World, lines: &str) -> Node {
    let node = world.node("n1", &world.remote(), lines);
    node.trust_first();
    node
}

#[test]
fn every_commit_on_the_way_is_signed() {
    let world = World::new();
    let node = node(&world, "");
    let signer = node.status().handed.unwrap().signer.unwrap();
    assert!(signer.starts_with("alice@example.com SHA256:"), "{signer}");
    let second = world.change("alice", &[5433]);
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(second)));

    // An unsigned tip, and one that another signed.
    let unsigned = world.change("nobody", &[5434]);
    node.refuses(State::Untrusted, &format!("commit {unsigned}: it is not signed"));
    // A signed tip on top of it makes nothing good, and the unsigned commit is the one that is named.
    world.change("alice", &[5435]);
    node.refuses(State::Untrusted, &format!("commit {unsigned}: it is not signed"));
    ok(world.git().args(["reset", "-q", "--hard", "HEAD~2"]));
    let other = world.change("mallory", &[5434]);
    node.refuses(State::Untrusted, &format!("commit {other}: its key SHA256:"));
    ok(world.git().args(["reset", "-q", "--hard", "HEAD~1"]));
    world.push();
    let last = world.change("alice", &[5436]);
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(last)));
    assert_eq!(node.fetch(&["status"]).code, Some(1), "no floor is set, which is an alarm");
    node.configure(&format!("[trust]\nmin_commit = \"{}\"\n", node.handed().unwrap()));
    assert_eq!(node.once().0, State::Synced);
    assert_eq!(node.fetch(&["status"]).code, Some(0));
}

#[test]
fn what_was_forged_in_a_signed_text_is_seen() {
    let world = World::new();
    let node = node(&world, "");
    let good = world.change("alice", &[5433]);
    ok(world.git().args(["reset", "-q", "--hard", "HEAD~1"]));
    let tree = world.change("nobody", &[22]);
    let [ours, theirs] =
        [&good, &tree].map(|c| ok(world.git().args(["rev-parse", &format!("{c}^{{tree}}")])));
    let text = ok(world.git().args(["cat-file", "commit", &good])).replace(&ours, &theirs);
    std::fs::write(world.path("forged"), text + "\n").unwrap();
    let forged = ok(world.git().args(["hash-object", "-t", "commit", "-w"]).arg(world.path("forged")));
    ok(world.git().args(["push", "-q", "--force", "origin", &format!("{forged}:main")]));
    node.refuses(State::Untrusted, "its signature does not hold");
}

#[test]
fn merges_are_answered_for_by_who_signs_them() {
    let world = World::new();
    let node = node(&world, "");
    ok(world.git().args(["checkout", "-q", "-b", "feature"]));
    world.write("README", "unsigned work\n");
    world.commit("nobody", "Work");
    ok(world.git().args(["checkout", "-q", "-"]));
    let mut merge = world.git_as("alice");
    ok(merge.args(["merge", "-q", "--no-ff", "-S", "-m", MERGE, "feature"]));
    world.push();
    let (state, reason) = node.once();
    assert_eq!(state, State::Synced, "{reason}");
    // Merged the other way round, main's line is the unsigned one.
    ok(world.git().args(["checkout", "-q", "-b", "other", "HEAD~1"]));
    world.write("README", "more unsigned work\n");
    world.commit("nobody", "More");
    ok(world.git_as("alice").args([
        "merge",
        "-q",
        "--no-ff",
        "-S",
        "-s",
        "ours",
        "-m",
        "Foxtrot",
        &node.handed().unwrap(),
    ]));
    world.push();
    node.refuses(State::Untrusted, "is not signed");
}

#[test]
fn history_only_goes_forward() {
    let world = World::new();
    let node = node(&world, "");
    let first = world.head();
    let second = world.change("alice", &[5433]);
    node.once();
    ok(world.git().args(["reset", "-q", "--hard", &first]));
    world.push();
    node.refuses(State::Untrusted, "does not follow");
    world.change("alice", &[5434]);
    node.refuses(State::Untrusted, &format!("does not follow {second}"));
}

#[test]
fn an_old_revision_is_not_accepted_after_the_state_is_lost() {
    let world = World::new();
    let old = world.head();
    let new = world.change("alice", &[5433]);
    let node = world.node("n1", &world.remote(), &format!("[trust]\nmin_commit = \"{new}\"\n"));
    assert_eq!(node.once(), (State::Synced, String::new()));
    node.lose_state();
    ok(world.git().args(["push", "-q", "--force", "origin", &format!("{old}:main")]));
    assert_eq!(node.once().0, State::Untrusted);
    assert!(node.status().reason.unwrap().contains("does not follow min_commit"));
    // Without a floor nothing is accepted until somebody says so.
    node.configure("");
    assert_eq!(node.once().0, State::Untrusted);
    assert!(node.status().reason.unwrap().contains("--trust-first"));
    world.push();
    node.trust_first();
    assert_eq!(node.handed(), Some(new));
}

#[test]
fn keys_that_are_taken_back_are_believed_nothing() {
    let world = World::new();
    let node = node(&world, "");
    let both = ["alice", "mallory"].map(|who| format!("{who} {}\n", world.public_key(who))).concat();
    node.believe(&both);
    let by_mallory = world.change("mallory", &[5433]);
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(by_mallory.clone())));
    // Revoked after the fact: what is in force stays, and nobody answers for it any more.
    let revoked = node.path("etc/chainmail/revoked");
    std::fs::write(&revoked, world.public_key("mallory") + "\n").unwrap();
    let revoking = format!("[trust]\nrevoked_keys = \"{}\"\n", revoked.display());
    node.configure(&revoking);
    node.refuses(State::Untrusted, &format!("commit {by_mallory}: its key SHA256:"));
    // What is built on it is not believed either, until the floor is put above it.
    let review = world.change("alice", &[5434]);
    node.refuses(State::Untrusted, &by_mallory);
    node.configure(&format!("{revoking}min_commit = \"{review}\"\n"));
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(review)));

    // A list in the binary form is not taken for an empty one.
    let words =
        ["-k", "-f", &revoked.display().to_string(), &world.path("mallory.pub").display().to_string()];
    ok(Command::new("ssh-keygen").arg("-q").args(words));
    node.refuses(State::Misconfigured, "a list in the binary form of `ssh-keygen -k` is not read");
    std::fs::write(&revoked, world.public_key("mallory") + "\n").unwrap();
    assert_eq!(node.once().0, State::Synced);

    // A key that ran out signs nothing new, and what it signed before stays good.
    let text = format!("alice valid-before=\"20200101Z\" {}\n", world.public_key("alice"));
    world.change("alice", &[5435]);
    node.believe(&text);
    node.refuses(State::Untrusted, "no longer valid when this was signed");
    node.believe(&text.replace("20200101Z", "20990101Z"));
    assert_eq!(node.once().0, State::Synced);
    node.believe(&text.replace("valid-before=\"20200101Z\"", "namespaces=\"file\""));
    node.refuses(State::Untrusted, "its namespaces do not include \"git\" (line 1)");
}

#[test]
fn a_tag_answers_for_all_that_it_names() {
    let world = World::new();
    let first = world.head();
    world.tag("alice", 1, &first, "One");
    let node = node(&world, TAG);
    let handed = node.status().handed.unwrap();
    assert_eq!((handed.commit, handed.tag), (first.clone(), Some(1)));
    // What is pushed without a tag waits for one.
    let merged = world.change("nobody", &[5433]);
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(first.clone())));
    world.tag("alice", 2, &merged, "Two");
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(merged.clone())));

    // Moved backwards, as itself or as a new one.
    world.tag("alice", 2, &first, "Back");
    node.refuses(State::Untrusted, "chainmail/2 was moved");
    world.tag("alice", 2, &merged, "Two");
    world.tag("alice", 3, &first, "Back again");
    node.refuses(State::Untrusted, "does not follow");
    ok(world.git().args(["push", "-q", "origin", ":refs/tags/chainmail/3", ":refs/tags/chainmail/2"]));
    node.refuses(State::Untrusted, "chainmail/1 is older than chainmail/2");

    // By another, without a signature, under another name, or as a bare reference: it is passed over, and told of.
    let next = world.change("nobody", &[5434]);
    let push = |spec: &str| ok(world.git().args(["push", "-q", "--force", "origin", spec]));
    world.tag("alice", 2, &merged, "Two");
    let passes_over = |reason: &str| {
        assert_eq!((node.once().0, node.handed()), (State::Synced, Some(merged.clone())), "{reason}");
        let alarms = node.status().alarms.join("\n");
        assert!(alarms.contains("passed over: tag chainmail/3") && alarms.contains(reason), "{alarms}");
        assert_eq!(node.fetch(&["status"]).code, Some(1));
    };
    world.tag("mallory", 3, &next, "Mine");
    passes_over("its key SHA256:");
    ok(world.git().args(["tag", "--force", "-a", "-m", "Three", "chainmail/3", &next]));
    push("refs/tags/chainmail/3");
    passes_over("it is not signed");
    ok(world.git().args(["tag", "--force", "chainmail/3", &next]));
    push("refs/tags/chainmail/3");
    passes_over("is not annotated");
    push("refs/tags/chainmail/2:refs/tags/chainmail/3");
    passes_over("what was signed as \"chainmail/2\"");
    world.tag("alice", 3, &next, "Three");
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(next)));
    assert!(node.status().alarms.iter().all(|alarm| !alarm.contains("passed over")));
}

/// A dozen objects that name 10^10 files. The copies of the repository are whole, so none of them is taken anew.
#[test]
fn a_revision_that_names_too_much_is_no_damage() {
    use std::os::unix::fs::MetadataExt as _;
    let world = World::new();
    let node = node(&world, "");
    let file = world.path("object");
    let write = |bytes: &[u8], kind: &str| {
        std::fs::write(&file, bytes).unwrap();
        ok(world.git().args(["hash-object", "-w", "-t", kind]).arg(&file))
    };
    let mut id = write(b"a: 1\n", "blob");
    for level in 0..5 {
        let digits: Vec<u8> =
            (0..20).map(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap()).collect();
        let (mode, ending) = if level == 0 { ("100644", ".yaml") } else { ("40000", "") };
        let entry = |name: usize| [format!("{mode} {name:02}{ending}\0").as_bytes(), &digits[..]].concat();
        id = write(&(0..100).map(entry).collect::<Vec<_>>().concat(), "tree");
    }
    let message = "Many\n\nChainmail-Branch: main";
    let commit = ok(world.git_as("alice").args(["commit-tree", "-S", "-p", "HEAD", "-m", message, &id]));
    ok(world.git().args(["push", "-q", "origin", &format!("{commit}:refs/heads/main")]));
    let folders =
        ["var/lib/chainmail/fetch/mirror.git/objects/pack", "var/lib/chainmail/download/repository.git"];
    let inodes = || folders.map(|folder| std::fs::metadata(node.path(folder)).unwrap().ino());
    let before = inodes();
    node.refuses(State::Broken, "there are more than 1048576 files and folders");
    assert_eq!(inodes(), before);
}

#[test]
fn trust_is_the_same_over_the_network() {
    let world = World::new();
    let daemon = remotes::git_daemon(&world);
    let node = world.node("n1", &format!("git://127.0.0.1:{}/remote.git", daemon.port), "");
    node.trust_first();
    world.change("nobody", &[5433]);
    node.refuses(State::Untrusted, "is not signed");
    drop(daemon);
    let (state, reason) = node.once();
    assert_eq!((state, node.status().failures), (State::Unreachable, 1), "{reason}");
}

#[test]
fn silence_alarms() {
    let world = World::new();
    let node = node(&world, "[trust]\nmax_age_hours = 1\n");
    assert!(node.status().alarms.iter().all(|alarm| !alarm.contains("hours old")));
    let mut old = world.git_as("alice");
    old.env("GIT_COMMITTER_DATE", "2020-01-01T00:00:00Z");
    ok(old.args(["commit", "-q", "--allow-empty", "-S", "-m", "Of yore\n\nChainmail-Branch: main"]));
    world.push();
    assert_eq!(node.once().0, State::Synced);
    assert!(
        node.status().alarms.iter().any(|alarm| alarm.contains("max_age_hours = 1")),
        "{:?}",
        node.status()
    );
}
