//! What whoever writes the spool puts there instead of files: nothing of it holds up the service or shows what others keep.

use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

const SECRET: &str = "root:$y$j9T$SECRETHASHOFROOT:20000:0:99999:7:::\n";

/// Puts something at a path.
type Put<'a> = Box<dyn Fn(&Path) + 'a>;

/// Returns what can stand in the place of a file, each with the words that an error says of it.
fn odd_files(outside: &Path) -> Vec<(&'static str, Put<'_>)> {
    vec![
        ("is a FIFO", Box::new(|path| mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap())),
        ("is a symbolic link", Box::new(move |path| symlink(outside.join("secret"), path).unwrap())),
        ("is a symbolic link", Box::new(|path| symlink("/dev/zero", path).unwrap())),
        ("is a folder", Box::new(|path| std::fs::create_dir(path).unwrap())),
        ("is longer than", Box::new(|path| std::fs::File::create(path).unwrap().set_len(1 << 40).unwrap())),
        ("no UTF-8 text", Box::new(|path| std::fs::write(path, b"\xff\xfe").unwrap())),
    ]
}

#[test]
fn what_stands_for_a_file_is_told_and_what_is_in_force_is_healed() {
    let node = Node::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), SECRET).unwrap();
    let mut service = node.start(FakeKernel::new());
    node.spool(&policy_snapshot(&["10.0.0.1"], 80));
    node.cycle(&mut service);
    let state = state_of(&mut service.kernel);
    let next = policy_snapshot(&["10.0.0.1"], 81);
    let folder = node.paths().spooled(&next.manifest().digest);
    let names = ["manifest.json", "ipsets", "rules.v4", "rules.v6", "provenance.json", "../desired", "."];
    for name in names {
        for (said, put) in odd_files(outside.path()) {
            if (name == "." && !said.contains("link") && !said.contains("FIFO"))
                || (name == "../desired" && said.contains("no UTF-8"))
            {
                continue;
            }
            node.spool(&next);
            let path = if name == "." { folder.clone() } else { folder.join(name) };
            if name == "." {
                files::clear(&path).unwrap();
            } else {
                files::remove(&path).unwrap();
            }
            put(&path);
            service.kernel.tables.get_mut(&Family::V4).unwrap().get_mut("FORWARD").unwrap().clear();
            assert_eq!(node.cycle(&mut service), "held enforcing", "{name}: {said}");
            assert_eq!(state_of(&mut service.kernel), state, "{name}: {said}");
            let error = service.status.last_error.clone().unwrap();
            assert!(error.contains(said), "{name}: {said}: {error}");
            let shown = files::read(&node.paths().status()).unwrap().unwrap();
            assert!(!shown.contains("SECRET"), "{name}: {said}: {shown}");
            if name == "../desired" {
                if path.is_dir() {
                    std::fs::remove_dir(&path).unwrap();
                } else {
                    std::fs::remove_file(&path).unwrap();
                }
            } else if folder.is_symlink() || !folder.is_dir() {
                std::fs::remove_file(&folder).unwrap();
            } else {
                files::clear(&folder).unwrap();
            }
        }
    }
    // A line of a file is not quoted either.
    for (name, text) in [("ipsets", SECRET), ("manifest.json", SECRET), ("rules.v4", SECRET)] {
        node.spool(&next);
        std::fs::write(folder.join(name), text).unwrap();
        node.cycle(&mut service);
        let shown = files::read(&node.paths().status()).unwrap().unwrap();
        assert!(shown.contains("last_error") && !shown.contains("SECRET"), "{name}: {shown}");
        files::clear(&folder).unwrap();
    }
    node.spool(&next);
    assert_eq!(node.cycle(&mut service), "synced enforcing");
}

#[test]
fn what_cannot_be_used_is_read_once() {
    let mut node = Node::new();
    let mut service = node.start(FakeKernel::new());
    node.spool(&policy_snapshot(&["10.0.0.1"], 80));
    node.cycle(&mut service);
    let next = policy_snapshot(&["10.0.0.1"], 81);
    let rules = node.paths().spooled(&next.manifest().digest).join("rules.v4");
    node.spool(&next);
    std::fs::write(&rules, "*filter\n").unwrap();
    for _ in 0..2 {
        assert_eq!(node.cycle(&mut service), "held enforcing");
        assert!(service.status.last_error.as_ref().unwrap().contains("SHA-256"), "{:?}", service.status);
    }
    let read = service.unusable.as_ref().map(Unusable::read_at);
    node.now += Duration::from_secs(1);
    node.cycle(&mut service);
    assert_eq!(service.unusable.as_ref().map(Unusable::read_at), read);
    node.now += Duration::from_secs(60);
    node.cycle(&mut service);
    assert_ne!(service.unusable.as_ref().map(Unusable::read_at), read);
    std::fs::write(&rules, next.rules(Family::V4)).unwrap();
    assert_eq!(node.cycle(&mut service), "synced enforcing");
}
