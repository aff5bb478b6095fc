//! Tags that anybody may push, beside those that are signed.

use std::collections::BTreeMap;

use chainmail_fetch::quarantine::{Head, Look, NotTaken};
use chainmail_fetch::status::State;

use crate::support::{Node, World, ok, remotes};
use crate::{TAG, node};

/// The number above all others, and many more, none of them signed.
#[test]
fn tags_that_nobody_answers_for_stand_in_no_way() {
    let world = World::new();
    world.tag("alice", 1, &world.head(), "One");
    let node = node(&world, TAG);
    let next = world.change("nobody", &[5433]);
    let mut names = vec![u64::MAX];
    names.extend(1_000..1_300);
    for number in &names {
        ok(world.git().args(["tag", "-a", "-m", "x", &format!("chainmail/{number}"), &next]));
    }
    ok(world.git().args(["push", "-q", "origin", "--tags"]));
    world.tag("alice", 2, &next, "Two");
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(next)));
    let alarms = node.status().alarms;
    assert!(
        alarms[1].contains("passed over: tag chainmail/18446744073709551615: it is not signed"),
        "{alarms:?}"
    );
    assert!(alarms.last().unwrap().contains("passed over: 296 more tags"), "{alarms:?}");
}

#[test]
fn a_tag_states_its_branch_too() {
    let world = World::new();
    let first = world.head();
    world.tag("alice", 1, &first, "One");
    let node = node(&world, TAG);
    // A tag that was signed for nodes on another branch.
    let next = world.change("nobody", &[5433]);
    world.tag_as_it_stands("alice", 2, &next, "For the canary\n\nChainmail-Branch: canary");
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(first)));
    let alarms = node.status().alarms.join("\n");
    assert!(alarms.contains("tag chainmail/2 does not state that it is for branch main"), "{alarms}");
    world.tag_as_it_stands("alice", 2, &next, "For both\n\nChainmail-Branch: canary\nChainmail-Branch: main");
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(next)));
}

/// Tags of all that is no commit, and of another tag.
#[test]
fn tags_may_name_anything() {
    let world = World::new();
    world.tag("alice", 1, &world.head(), "One");
    let node = node(&world, TAG);
    let next = world.change("nobody", &[5433]);
    for (number, object) in [(10, "HEAD:db.yaml"), (11, "HEAD^{tree}"), (12, "chainmail/1")] {
        ok(world.git().args(["tag", &format!("chainmail/{number}"), object]));
        ok(world.git().args(["tag", "-a", "-m", "x", &format!("chainmail/{}", number + 10), object]));
    }
    ok(world.git().args(["push", "-q", "origin", "--tags"]));
    world.tag("alice", 2, &next, "Two");
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(next)), "{:?}", node.status().reason);
    let alarms = node.status().alarms.join("\n");
    assert!(
        alarms.contains("tag chainmail/22: it is not written as Git writes it: it names no commit"),
        "{alarms}"
    );
}

/// Whoever may push can make a tag of anything. Such a tag once stopped each look, and with it the tags that count.
#[test]
fn a_tag_that_cannot_be_taken_stands_in_no_way() {
    let world = World::new();
    let second = world.change("nobody", &[5433]);
    world.tag("alice", 5, &second, "Two");
    let write = |kind: &str, bytes: &[u8]| {
        let file = world.path("object");
        std::fs::write(&file, bytes).unwrap();
        let words = ["--git-dir", &world.remote(), "hash-object", "-w", "--literally", "-t", kind];
        ok(world.git().args(words).arg(&file))
    };
    let tag = |number: u64, id: &str| {
        let name = format!("refs/tags/chainmail/{number}");
        ok(world.git().args(["--git-dir", &world.remote(), "update-ref", &name, id]));
    };
    let who = "A <a@b> 5 +0000";
    let commit = |tree: &str, parent: Option<&str>, message: &str| {
        let parent = parent.map_or(String::new(), |parent| format!("parent {parent}\n"));
        write(
            "commit",
            format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n\n{message}\n").as_bytes(),
        )
    };
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(6_000_000)
    .collect();
    let (blob, empty) = (write("blob", &noise), write("tree", b""));
    let digits: Vec<u8> =
        (0..20).map(|at| u8::from_str_radix(&blob[2 * at..2 * at + 2], 16).unwrap()).collect();
    let with_blob = write("tree", &[b"100644 noise.yaml\0", &digits[..]].concat());
    let beside = commit(&with_blob, None, "Beside the branch");
    let annotated = format!("object {beside}\ntype commit\ntag chainmail/12\ntagger {who}\n\nx\n");
    // What is long and even comes as few bytes.
    let long = "x".repeat(5_000_000);
    let history = (0..6)
        .fold(None, |parent: Option<String>, _| Some(commit(&empty, parent.as_deref(), &long[..900_000])));
    let by_nobody = write("commit", format!("tree {empty}\n\nx\n").as_bytes());
    let odd = format!("tree {empty}\nauthor {who}\ncommitter {who}\nx \0\n\nx\n");
    let mut expected = BTreeMap::from([
        (11, (blob, NotTaken::TooMuch)),
        (12, (write("tag", annotated.as_bytes()), NotTaken::TooMuch)),
        (13, (commit(&empty, None, &long), NotTaken::TooMuch)),
        (14, (history.unwrap(), NotTaken::TooMuch)),
        (15, (write("commit", odd.as_bytes()), NotTaken::Malformed)),
        (16, (empty, NotTaken::NoCommit)),
        (17, (by_nobody, NotTaken::Malformed)),
    ]);
    let little = write("blob", b"x");
    expected.extend((200..320).map(|number| (number, (little.clone(), NotTaken::NoCommit))));
    expected.iter().for_each(|(number, (id, _))| tag(*number, id));

    let daemon = remotes::git_daemon(&world);
    let urls = [world.remote(), format!("git://127.0.0.1:{}/remote.git", daemon.port)];
    let lines = format!("{TAG}[limits]\ndownload_megabytes = 5\n");
    let nodes = ["n1", "n2"].map(|name| world.node(name, &urls[usize::from(name == "n2")], &lines));
    let passed_over = |node: &Node| -> Vec<(u64, NotTaken)> {
        let look: Look = serde_json::from_str(&node.read("var/lib/chainmail/download/look.json")).unwrap();
        let mut passed: Vec<_> =
            look.passed_over.iter().map(|passed| (passed.tag.tag().unwrap(), passed.why)).collect();
        passed.sort();
        passed
    };
    for node in &nodes {
        node.trust_first();
        let handed = node.status().handed.unwrap();
        assert_eq!((handed.commit, handed.tag), (second.clone(), Some(5)));
        let alarms = node.status().alarms.join("\n");
        let told = ["tag chainmail/11 was not taken: it brings more than 4000000 bytes", "more tags"];
        assert!(told.iter().all(|told| alarms.contains(told)), "{alarms}");
        let why = |(number, (_, why)): (&u64, &(String, NotTaken))| (*number, *why);
        assert_eq!(passed_over(node), expected.iter().map(why).collect::<Vec<_>>());
    }
    // They stand in the way of no later one, and are forgotten with the tags.
    let third = world.change("nobody", &[5434]);
    world.tag("alice", 6, &third, "Three");
    expected.keys().for_each(|number| {
        let name = format!("refs/tags/chainmail/{number}");
        ok(world.git().args(["--git-dir", &world.remote(), "update-ref", "-d", &name]));
    });
    tag(11, &expected[&11].0);
    for node in &nodes {
        assert_eq!((node.once().0, node.handed()), (State::Synced, Some(third.clone())));
        assert_eq!(passed_over(node), [(11, NotTaken::TooMuch)]);
    }
}

/// Writes an object into the clone and into the remote's own folder, whatever it is.
fn put(world: &World, kind: &str, bytes: &[u8]) -> String {
    let file = world.path("object");
    std::fs::write(&file, bytes).unwrap();
    let words = ["hash-object", "-w", "--literally", "-t", kind];
    ok(world.git().args(words).arg(&file));
    ok(world.git().args(["--git-dir", &world.remote()]).args(words).arg(&file))
}

/// Has a reference of the remote name an object.
fn point(world: &World, name: &str, id: &str) {
    ok(world.git().args(["--git-dir", &world.remote(), "update-ref", name, id]));
}

/// A tree of files that all have the same contents.
fn tree(world: &World, mode: &str, files: usize) -> String {
    let blob = put(world, "blob", b"x");
    let digits: Vec<u8> =
        (0..20).map(|at| u8::from_str_radix(&blob[2 * at..2 * at + 2], 16).unwrap()).collect();
    let entries = (0..files).flat_map(|at| [format!("{mode} {at:07}\0").as_bytes(), &digits].concat());
    put(world, "tree", &entries.collect::<Vec<u8>>())
}

fn look(node: &Node) -> Look {
    serde_json::from_str(&node.read("var/lib/chainmail/download/look.json")).unwrap()
}

/// So many tags that the verifier would not read a list of all of them.
#[test]
fn only_the_highest_tags_are_looked_at() {
    let world = World::new();
    let first = world.head();
    world.tag("alice", 99_999, &first, "One");
    let lines = |numbers: std::ops::Range<u64>, id: &str| {
        let mut names: Vec<String> = numbers.map(|number| format!("refs/tags/chainmail/{number}")).collect();
        names.sort();
        let lines: String = names.iter().map(|name| format!("{id} {name}\n")).collect();
        let text = format!("# pack-refs with: peeled fully-peeled sorted \n{lines}");
        std::fs::write(format!("{}/packed-refs", world.remote()), text).unwrap();
    };
    lines(100..45_100, &first);
    let node = node(&world, TAG);
    assert_eq!(node.status().handed.unwrap().tag, Some(99_999));
    assert_eq!(look(&node).heads.len(), 10_001);

    // Where none of them counts, lower ones are not looked at.
    let next = world.change("nobody", &[5433]);
    world.tag("alice", 100_000, &next, "Two");
    lines(200_000..210_000, &next);
    node.refuses(
        State::Untrusted,
        "none of the 10000 tags chainmail/<number> with the highest numbers counts",
    );
    // The longest list that can come over.
    lines(u64::MAX - 10_000..u64::MAX, &put(&world, "blob", b"x"));
    node.refuses(State::Untrusted, "no tag chainmail/<number> names a revision");
    assert_eq!(look(&node).passed_over.len(), 10_000);
    lines(0..1, &first);
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(next)));
}

/// The highest tag is the one whose files come over first. Where they cannot, and nobody signed it, others count.
#[test]
fn files_that_cannot_be_taken_stand_in_the_way_of_their_own_tag_alone() {
    let world = World::new();
    // A commit that has a tree, and one on top of it that has the files of before.
    let push = |tree: &str| {
        let bad = ok(world.git().args(["commit-tree", "-p", "HEAD", "-m", "Bad", tree]));
        let good = ok(world.git().args(["commit-tree", "-p", &bad, "-m", "Good", "HEAD^{tree}"]));
        ok(world.git().args(["reset", "-q", "--hard", &good]));
        world.push();
        (bad, good)
    };
    let daemon = remotes::git_daemon(&world);
    let over_network = format!("git://127.0.0.1:{}/remote.git", daemon.port);
    // A tree that is longer than a file may be, and one with a mode that Git does not use. The way to a remote on this host
    // reads all trees of the branch, so the second is for the other way.
    let rows = [
        ("n1", world.remote(), "100644", 30_000, "more than the 1000000 that may be taken"),
        ("n2", over_network.clone(), "100644", 30_001, "more than the 1000000 that may be taken"),
        ("n2", over_network, "100600", 1, "an entry of it has no mode of Git's"),
    ];
    let mut number = 0;
    for (name, url, mode, files, expected) in rows {
        let tree = tree(&world, mode, files);
        let (bad, good) = push(&tree);
        world.tag("alice", number + 1, &good, "Good");
        point(&world, &format!("refs/tags/chainmail/{}", number + 9), &bad);
        let node = world.node(name, &url, &format!("{TAG}[limits]\nfile_megabytes = 1\n"));
        node.trust_first();
        assert_eq!(node.handed(), Some(good.clone()));

        // One that alice signed is asked for, and told of; and it does not stay in the way of the next.
        let (bad, last) = push(&tree);
        world.tag("alice", number + 10, &bad, "Bad");
        node.refuses(State::Broken, expected);
        world.tag("alice", number + 11, &last, "Last");
        assert_eq!((node.once().0, node.handed()), (State::Synced, Some(last)));
        number += 20;
    }
}

/// The verifier does not rely on the other half for that: tags that lead nowhere are in no other's way, however many.
#[test]
fn tags_that_did_not_come_over_whole_stand_in_no_way() {
    let world = World::new();
    world.tag("alice", 1, &world.head(), "One");
    let node = node(&world, TAG);
    let next = world.change("nobody", &[5433]);
    world.tag("alice", 2, &next, "Two");
    assert_eq!(node.fetch(&["download", "--once"]).code, Some(0));
    let mut look = look(&node);
    let nowhere = |number: u64| Head {
        name: format!("refs/tags/chainmail/{number}"),
        id: git2::Oid::from_str(&format!("{number:040x}")).unwrap(),
    };
    look.heads.splice(0..0, (1_000..1_300).map(nowhere));
    node.write("var/lib/chainmail/download/look.json", &serde_json::to_string(&look).unwrap());
    node.fetch(&["verify", "--once"]);
    assert_eq!(node.handed(), Some(next), "{:?}", node.status().reason);
}

/// What tags bring beside the branch is judged, and not kept.
#[test]
fn the_store_keeps_what_was_accepted_alone() {
    let world = World::new();
    world.tag("alice", 1, &world.head(), "One");
    let node = node(&world, TAG);
    let tree = ok(world.git().args(["rev-parse", "HEAD^{tree}"]));
    let who = "A <a@b> 5 +0000";
    let text = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\n{}\n", "x".repeat(2_000_000));
    let beside = put(&world, "commit", text.as_bytes());
    point(&world, "refs/tags/chainmail/0", &beside);
    let next = world.change("nobody", &[5433]);
    world.tag("alice", 2, &next, "Two");
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(next.clone())));
    assert!(look(&node).heads.iter().any(|head| head.id.to_string() == beside), "it came over");
    let store = node.path("var/lib/chainmail/fetch/mirror.git").display().to_string();
    let git = |words: &[&str]| crate::support::run(world.git().args(["--git-dir", &store]).args(words));
    assert_eq!(git(&["cat-file", "-e", &beside]).code, Some(1));
    // All of the revision and of those before it is there, each object once.
    assert_eq!(git(&["fsck", "--full", "--strict"]).code, Some(0));
    let counted = git(&["count-objects", "-v"]).out;
    let reachable = git(&["rev-list", "--objects", &next]).out.lines().count();
    assert!(counted.contains(&format!("in-pack: {reachable}\n")), "{counted} {reachable}");
}
