//! The applying half as a user of its own with two capabilities, beside a root who changes things by hand.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, writes what they read, and fails by panic"
)]

mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use support::node::{BACKENDS, Node, policy, skipped};

/// A user that no host has.
const USER: u32 = 64_917;

/// What becomes that user, with the rights that the unit gives.
fn as_user() -> Vec<String> {
    let all = "-all,+net_admin,+net_raw";
    let words = ["setpriv", "--clear-groups", "--no-new-privs"].map(str::to_owned);
    let rights = ["inh-caps", "ambient-caps", "bounding-set"].map(|which| format!("--{which}={all}"));
    let who = ["reuid", "regid"].map(|which| format!("--{which}={USER}"));
    words.into_iter().chain(rights).chain(who).collect()
}

/// A node whose folders belong to that user, and whose lock of legacy tables its group may read.
fn node_of_user(backend: &'static str) -> Node {
    let node = Node::new(backend);
    node.configure("interval = 1\ntrial = \"off\"\n");
    for folder in ["var/lib/chainmail/state", "var/log/chainmail", "run/chainmail"] {
        std::fs::create_dir_all(node.root().join(folder)).unwrap();
        chown(node.root().join(folder), Some(USER), Some(USER)).unwrap();
    }
    let lock = node.folder.path().join("xtables.lock");
    std::fs::write(&lock, "").unwrap();
    std::fs::set_permissions(&lock, std::fs::Permissions::from_mode(0o640)).unwrap();
    chown(&lock, Some(0), Some(USER)).unwrap();
    node.namespace.ok(&["touch", "/run/xtables.lock"], "");
    node.namespace.ok(&["mount", "--bind", lock.to_str().unwrap(), "/run/xtables.lock"], "");
    // The root of a test's node is its own user's alone.
    for folder in [node.folder.path(), &node.root()] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    node
}

/// All that is below a folder, with its owner.
fn owners(folder: &Path, all: &mut Vec<(String, u32)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let about = std::fs::symlink_metadata(&path).unwrap();
        all.push((path.display().to_string(), about.uid()));
        if about.is_dir() {
            owners(&path, all);
        }
    }
}

#[test]
fn another_user_applies_heals_and_does_what_root_orders() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = node_of_user(backend);
        let (old, new) = (policy(&["10.8.0.0/24"], 80), policy(&["10.9.0.0/16"], 8080));
        let before = as_user();
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        let start = || node.start_with(&before);
        node.spool(&old);
        let running = start();
        node.wait_for(&old);
        node.assert_holds(&old);
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
        assert!(status.contains(&format!("Uid:\t{USER}\t{USER}\t{USER}\t{USER}\n")), "{status}");
        assert!(status.contains("CapEff:\t0000000000003000\n"), "{status}");
        node.spool(&new);
        node.wait_for(&new);
        node.namespace.ok(&[&format!("iptables-{backend}"), "-F", "CM-INGRESS"], "");
        let healed = || node.read("var/lib/chainmail/state/history.jsonl").contains("\"healed\"");
        node.wait_until("healed", healed);
        node.assert_holds(&new);

        // What root orders the service reads, and takes back.
        for words in [&["pause", "--for", "1h"][..], &["rollback", "--reason", "x"]] {
            let done = node.ask(words);
            assert_eq!(done.code, 0, "{words:?} {}", done.err);
        }
        node.wait_for_words("held enforcing", &old);
        assert_eq!(node.ask(&["resume"]).code, 0);
        node.wait_for(&new);
        assert_eq!(node.ask(&["verify"]).code, 0);
        assert_eq!(node.ask(&["boot"]).code, 7, "the service is at work, whoever asks");
        assert_eq!(running.stop(), Some(0));

        // What root does while the service does not run leaves nothing that it could not use.
        assert_eq!(node.ask(&["boot"]).code, 0);
        let once = node.joined("once", &new);
        let words = ["apply", "--once", once.to_str().unwrap(), "--node", "n1", "--backend", backend];
        std::fs::remove_file(node.root().join("run/chainmail/apply.lock")).unwrap();
        assert_eq!(node.ask(&words).code, 0);
        assert_eq!(node.ask(&["uninstall"]).code, 0);
        assert!(!node.state().contains("\n:CM-"), "{}", node.state());
        let running = start();
        assert_eq!(node.ask(&["resume"]).code, 0);
        node.wait_for(&new);
        assert_eq!(running.stop(), Some(0));
        let mut all = Vec::new();
        for folder in ["var/lib/chainmail/state", "var/log/chainmail", "run/chainmail"] {
            owners(&node.root().join(folder), &mut all);
        }
        assert!(all.len() > 10 && all.iter().all(|(_, owner)| *owner == USER), "{all:#?}");
    }
}

/// The user to whom the state belongs cannot have root write elsewhere.
#[test]
fn a_link_in_the_state_leads_roots_orders_nowhere() {
    if skipped() {
        return;
    }
    let node = node_of_user("nft");
    let target = node.folder.path().join("of-root");
    std::fs::create_dir(&target).unwrap();
    std::os::unix::fs::symlink(&target, node.root().join("var/lib/chainmail/state/orders")).unwrap();
    let done = node.ask(&["pause", "--for", "1h"]);
    assert_ne!(done.code, 0, "{}", done.out);
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);
}
