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
                files::clear(&node.paths().kept(&snapshot.manifest().digest)).unwrap();
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
        files::clear(&node.paths().spool()).unwrap();
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

#[test]
fn what_stands_in_the_place_of_a_file_of_the_state_is_replaced() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let (origin, snapshots) = node();
    let kept = format!("snapshots/{}", snapshots[2].manifest().digest);
    let names =
        ["good", "journal", "closed", "backend", "cut", "uncut", "history.jsonl", "setback.json", &kept];
    for name in names.iter().flat_map(|name| [(*name).to_owned(), format!("{name}.new")]) {
        for odd in ["folder", "FIFO", "file"] {
            let node = Node::new();
            copy(origin.root.path(), node.root.path());
            let path = node.paths().state().join(&name);
            files::clear(&path).unwrap();
            match odd {
                "folder" => files::make_dir(&path.join("within")).unwrap(),
                "FIFO" => mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
                _ => files::replace(&path, "x").unwrap(),
            }
            let what = format!("a {odd} in the place of {name}");
            let mut service = node.start(FakeKernel::new());
            assert_eq!(node.cycle(&mut service), "synced enforcing", "{what}: {:?}", service.status);
            // Each file is written once more, and read.
            let next = policy_snapshot(&["10.0.0.1"], 90);
            node.spool(&next);
            assert_eq!(node.cycle(&mut service), "synced enforcing", "{what}: {:?}", service.status);
            let mut service = node.start(FakeKernel::new());
            service.cycle(Reach::LastGood, node.now);
            assert_eq!(service.status.words(), "synced enforcing", "{what}");
            assert_eq!(
                (service.status.alarms.as_slice(), &service.status.last_error),
                (&[][..], &None),
                "{what}"
            );
            assert_eq!(state_of(&mut service.kernel), rules_of(&next), "{what}");
            assert!(Closed::read(&node.paths()).unwrap().is_some(), "{what}");
        }
    }
}

/// What becomes of a file or folder, in words and as it is done.
type Damage = (&'static str, fn(&std::path::Path));

/// Changes one bit, as a failing disk may.
fn flip(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[3] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn older_rules_never_come_back_without_an_alarm() {
    let (origin, snapshots) = node();
    let names: [Damage; 4] = [
        ("one bit of its name", flip),
        ("another name", |path| files::replace(path, &format!("{}\n", "0".repeat(64))).unwrap()),
        ("no name", |path| files::remove(path).unwrap()),
        ("a folder as name", |path| {
            files::remove(path).unwrap();
            files::make_dir(path).unwrap();
        }),
    ];
    let copies: [Damage; 2] = [
        ("one bit of the newest copy", |folder| flip(&folder.join("rules.v4"))),
        ("no newest copy", |folder| files::clear(folder).unwrap()),
    ];
    for ((name, damage_name), (copy_of, damage_copy)) in
        names.iter().flat_map(|name| copies.iter().map(move |copy_of| (name, copy_of)))
    {
        for spool_is_there in [true, false] {
            let what = format!("{name}, {copy_of}, spool {spool_is_there}");
            let node = Node::new();
            copy(origin.root.path(), node.root.path());
            let (paths, digest) = (node.paths(), &snapshots[2].manifest().digest);
            damage_name(&paths.good());
            damage_copy(&paths.kept(digest));
            let (spool, aside) = (paths.spool(), node.root.path().join("aside"));
            if !spool_is_there {
                std::fs::rename(&spool, &aside).unwrap();
            }
            let mut service = node.start(FakeKernel::new());
            service.cycle(Reach::LastGood, node.now);
            let in_force = if spool_is_there { &snapshots[2] } else { &snapshots[1] };
            assert_eq!(state_of(&mut service.kernel), rules_of(in_force), "{what}: {:?}", service.status);
            assert_eq!(service.is_older(), !spool_is_there, "{what}");
            assert_eq!(service.status.alarms.is_empty(), spool_is_there, "{what}: {:?}", service.status);
            if !spool_is_there {
                std::fs::rename(&aside, &spool).unwrap();
            }
            let mut service = node.start(service.kernel);
            assert_eq!(node.cycle(&mut service), "synced enforcing", "{what}");
            // The state is whole again.
            files::clear(&spool).unwrap();
            let mut service = node.start(FakeKernel::new());
            service.cycle(Reach::LastGood, node.now);
            assert_eq!(state_of(&mut service.kernel), rules_of(&snapshots[2]), "{what}");
            assert_eq!(service.status.alarms, [""; 0], "{what}");
        }
    }
}

#[test]
fn a_node_that_has_lost_all_but_its_copies_is_not_open() {
    let (origin, snapshots) = node();
    let node = Node::new();
    copy(origin.root.path(), node.root.path());
    let paths = node.paths();
    for path in [paths.good(), paths.closed(), paths.history()] {
        files::remove(&path).unwrap();
    }
    let aside = node.root.path().join("aside");
    std::fs::rename(paths.spool(), &aside).unwrap();
    let mut service = node.start(FakeKernel::new());
    service.cycle(Reach::LastGood, node.now);
    let rules = state_of(&mut service.kernel);
    assert!(snapshots.iter().any(|snapshot| rules_of(snapshot) == rules), "{rules:?}");
    assert!(service.is_older());
    let alarms = service.status.alarms.join("\n");
    assert!(alarms.contains("good is missing") && alarms.contains("chainmail-fetch once"), "{alarms}");

    // Fetch knows which one it is, and the alarm ends.
    std::fs::rename(&aside, paths.spool()).unwrap();
    assert_eq!(node.cycle(&mut service), "synced enforcing");
    assert_eq!(state_of(&mut service.kernel), rules_of(&snapshots[2]));
    assert_eq!(service.status.alarms, [""; 0]);
    let mut service = node.start(service.kernel);
    service.cycle(Reach::LastGood, node.now);
    assert_eq!((service.status.words(), service.status.alarms.len()), ("synced enforcing".to_owned(), 0));
}

#[test]
fn a_history_without_its_last_line_names_no_older_snapshot() {
    let (node, snapshots) = node();
    let paths = node.paths();
    files::remove(&paths.good()).unwrap();
    files::clear(&paths.spool()).unwrap();
    let history = files::read(&paths.history()).unwrap().unwrap();
    let digest = snapshots[2].manifest().digest.as_str();
    let lines = history.lines().filter(|line| !line.contains(&format!("\"digest\":\"{digest}\"")));
    let shorter: String = lines.flat_map(|line| [line, "\n"]).collect();
    assert!(shorter.len() < history.len() && !shorter.is_empty());
    files::replace(&paths.history(), &shorter).unwrap();
    let mut service = node.start(FakeKernel::new());
    service.cycle(Reach::LastGood, node.now);
    assert!(service.is_older(), "{:?}", service.status);
    assert_eq!(service.status.alarms.len(), 1);
}

#[test]
fn a_node_that_can_keep_nothing_closes_all_the_same() {
    let (node, _) = node();
    let paths = node.paths();
    files::clear(&paths.spool()).unwrap();
    files::clear(&paths.kept_all()).unwrap();
    // A disk that has come up without what it is to hold.
    std::os::unix::fs::symlink("no-disk", paths.kept_all()).unwrap();
    let mut service = node.start(FakeKernel::new());
    service.cycle(Reach::LastGood, node.now);
    assert_eq!(service.status.words(), "synced closed", "{:?}", service.status);

    // A file in the place of the folder is replaced.
    files::clear(&paths.kept_all()).unwrap();
    files::replace(&paths.kept_all(), "").unwrap();
    let mut service = node.start(service.kernel);
    let next = policy_snapshot(&["10.0.0.1"], 90);
    node.spool(&next);
    assert_eq!(node.cycle(&mut service), "synced enforcing", "{:?}", service.status);
    assert_eq!(state_of(&mut service.kernel), rules_of(&next));
}
