//! Another program that changes the same chain as fast as it can.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, and fails by panic"
)]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::node::{BACKENDS, Node, policy, skipped};

/// It ends with the test, in whatever way that ends: its input is closed then.
struct Competitor(Child);

impl Competitor {
    fn on(node: &Node) -> Self {
        let iptables = format!("iptables-{}", node.backend);
        // Rules come and go, so that the chain does not grow without end; the loop ends with the reader of its words.
        let script = format!(
            "while echo; do {iptables} -w -I FORWARD -s 192.0.2.1 -j ACCEPT; {iptables} -w -D FORWARD -s 192.0.2.1 -j ACCEPT; done"
        );
        let mut command: Command = node.namespace.command(&["sh", "-c", &script]);
        Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Competitor {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn transitions_beside_a_competitor(backend: &'static str, time: Duration) -> usize {
    let node = Node::new(backend);
    node.configure("interval = 1\ndeadline = 10\ntrial = \"off\"\n");
    let policies = [policy(&["10.8.0.0/24"], 80), policy(&["10.9.0.0/16"], 8080)];
    let running = node.enforce(&policies[0]);
    let mut competitor = Competitor::on(&node);
    let words = competitor.0.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut { words }, &mut std::io::sink()));
    let (begin, mut done) = (Instant::now(), 0);
    // On a busy machine one transition may take as long as the time; two are the least that tells anything.
    while begin.elapsed() < time || done < 2 {
        done += 1;
        let wanted = &policies[done % 2];
        node.spool(wanted);
        node.wait_until("the transition", || node.status().1 == wanted.manifest.digest.as_str());
    }
    assert!(!competitor.has_ended(), "it kept at it");
    drop(competitor);
    drop(reader);
    node.namespace
        .run(&[&format!("iptables-{backend}"), "-D", "FORWARD", "-s", "192.0.2.1", "-j", "ACCEPT"], "");
    node.wait_for(&policies[done % 2]);
    let said = node.read("said");
    assert!(!said.contains("NOT in force"), "{said}");
    let jumps = node.namespace.ok(&[&format!("iptables-{backend}"), "-S", "FORWARD"], "");
    assert_eq!(jumps.matches("-j CM-FORWARD").count(), 1, "{backend}: {jumps}");
    let history = node.ask(&["history"]).out;
    assert_eq!(
        history.matches("  applied ").count(),
        done + 1,
        "{backend}: no transition is lost\n{history}"
    );
    assert_eq!(running.stop(), Some(0));
    done
}

#[test]
fn transitions_beside_a_competitor_for_3_seconds() {
    if !skipped() {
        for backend in BACKENDS {
            assert!(transitions_beside_a_competitor(backend, Duration::from_secs(3)) > 1, "{backend}");
        }
    }
}

#[test]
#[ignore = "takes minutes; run by make test-long"]
fn transitions_beside_a_competitor_for_60_seconds() {
    if !skipped() {
        for backend in BACKENDS {
            assert!(transitions_beside_a_competitor(backend, Duration::from_secs(60)) > 20, "{backend}");
        }
    }
}
