//! A tool whose `chainmaild` was killed: the next start does not work beside it, and does not wait for it for ever.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, writes what they read, and fails by panic"
)]

mod support;

use std::os::unix::fs::PermissionsExt as _;

use support::Namespace;
use support::node::{BACKENDS, Node, policy, skipped};

/// Stands before `iptables-restore`. Where there is a file `hang` it says who it is, and goes on only once that is gone.
const TOOL: &str = r#"#!/bin/sh
if [ -e AT/hang ]; then
    text=$(cat)
    echo $$ > AT/orphan.new && mv AT/orphan.new AT/orphan
    while [ -e AT/hang ]; do sleep 0.05; done
    echo "$text" | "/usr/sbin/${0##*/}" "$@"
    echo > AT/committed
    exit
fi
exec "/usr/sbin/${0##*/}" "$@"
"#;

#[test]
fn the_next_start_ends_what_a_killed_one_has_left_at_work() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let folder = tempfile::tempdir().unwrap();
        let tools = folder.path().join("tools");
        std::fs::create_dir(&tools).unwrap();
        let tool = tools.join(format!("iptables-{backend}-restore"));
        std::fs::write(&tool, TOOL.replace("AT", &folder.path().display().to_string())).unwrap();
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        let node = Node::with(Namespace::with_tools(&tools), folder, backend);
        node.configure("trial = \"off\"\n");
        let (old, new) = (policy(&["10.8.0.0/24"], 80), policy(&["10.9.0.0/16"], 8080));
        let at = |name: &str| node.folder.path().join(name);
        std::fs::write(at("hang"), "").unwrap();
        node.spool(&old);
        let running = node.start();
        node.wait_until("a tool is at work", || at("orphan").exists());
        // As long as `chainmaild` lives the tool is its own.
        assert_eq!(node.ask(&["boot"]).code, 7);
        running.kill();
        let orphan = std::fs::read_to_string(at("orphan")).unwrap();
        // One that has ended and is still listed has no command line.
        let command = format!("/proc/{}/cmdline", orphan.trim());
        let lives = || std::fs::read_to_string(&command).is_ok_and(|words| !words.is_empty());
        assert!(lives(), "it goes on without its caller");

        // The next start gets another snapshot. The tool would commit the old one over it.
        node.spool(&new);
        std::fs::rename(&tool, at("away")).unwrap();
        std::os::unix::fs::symlink(format!("/usr/sbin/iptables-{backend}-restore"), &tool).unwrap();
        let running = node.start();
        node.wait_for(&new);
        assert!(!lives(), "it would be a second writer");
        std::fs::remove_file(at("hang")).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(!at("committed").exists());
        node.assert_holds(&new);
        assert_eq!(running.stop(), Some(0));
    }
}
