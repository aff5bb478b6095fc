//! `chainmaild denied`, with real packets between two pods.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test runs programs, and fails by panic"
)]

mod support;

use std::net::UdpSocket;
use std::process::Stdio;
use std::time::Duration;

use chainmail_contract::{Family, SetKind};
use support::node::{BACKENDS, Node, skipped};
use support::pods::{CLIENT, Pods, SERVER};
use support::{Snapshot, set_of};

/// The server admits port 443; what else comes is told of, and then `end`.
fn policy(end: &str) -> Snapshot {
    let isolated = set_of(Family::V4, SetKind::HashIp, &[&SERVER.to_string()]);
    let v4 = format!(
        "*filter\n:CM-DENY - [0:0]\n:CM-FORWARD - [0:0]\n:CM-I-0123456789abcdef - [0:0]\n:CM-INGRESS - [0:0]\n\
         -A CM-DENY -m limit --limit 10/sec -j NFLOG --nflog-prefix cm-deny --nflog-group 67\n\
         -A CM-DENY -j {end}\n\
         -A CM-FORWARD -m conntrack --ctstate ESTABLISHED -j RETURN\n\
         -A CM-FORWARD -m set --match-set {} dst -g CM-INGRESS\n\
         -A CM-I-0123456789abcdef -p udp -m udp --dport 443 -j RETURN\n\
         -A CM-I-0123456789abcdef -g CM-DENY\n\
         -A CM-INGRESS -d {SERVER}/32 -g CM-I-0123456789abcdef\n-A CM-INGRESS -g CM-DENY\n\
         COMMIT\n",
        isolated.0
    );
    Snapshot::new(v4, "*filter\nCOMMIT\n".to_owned(), [isolated])
}

const PROVENANCE: &str = r#"[{"family": "v4", "chain": "CM-I-0123456789abcdef", "index": 0,
    "from": [{"policy": "shop/web", "rule": "ingress[0]", "place": "shop.yaml:3"}]},
    {"family": "v4", "chain": "CM-I-0123456789abcdef", "index": 1,
    "from": [{"policy": "shop/default-deny", "rule": "ingress", "place": "deny.yaml:6"}]}]"#;

#[test]
fn denied_names_the_packets_their_class_and_its_policies() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let rows = [("DROP", false, "synced enforcing"), ("RETURN", true, "synced observing")];
        for (end, passes, words) in rows {
            let node = Node::new(backend);
            let pods = Pods::on(&node);
            node.configure("interval = 3600\n");
            let snapshot = policy(end);
            let digest = snapshot.manifest.digest.as_str().to_owned();
            node.write(&format!("var/lib/chainmail/spool/{digest}/provenance.json"), PROVENANCE);
            snapshot.write_joined(&node.root().join(format!("var/lib/chainmail/spool/{digest}")));
            node.want(&digest);
            let running = node.start();
            node.wait_for_words(words, &snapshot);

            let root = node.root();
            let program = [env!("CARGO_BIN_EXE_chainmaild"), "--root", root.to_str().unwrap()];
            let words = [&program[..], &["denied", "--for", "3s", "-o", "json"]].concat();
            let mut command = node.namespace.command(&words);
            let listening = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(Duration::from_secs(1));
            let busy = node.ask(&["denied", "--for", "1s"]);
            support::node::assert_code(&busy, 3);

            let server = pods.server.within(|| UdpSocket::bind((SERVER, 80)).unwrap());
            server.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            let client = pods.client.within(|| UdpSocket::bind((CLIENT, 0)).unwrap());
            for port in [443, 80, 80, 80] {
                client.send_to(b"x", (SERVER, port)).unwrap();
            }
            assert_eq!(server.recv(&mut [0; 8]).is_ok(), passes, "{backend} {end}");

            let output = listening.wait_with_output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let said: serde_json::Value = serde_json::from_str(&said).unwrap();
            let expected = serde_json::json!([{
                "packets": 3, "source": CLIENT, "destination": SERVER, "service": "udp/80",
                "by": [{"chain": "CM-I-0123456789abcdef", "policies": ["shop/default-deny", "shop/web"]}],
            }]);
            assert_eq!(said["denied"], expected, "{backend} {end}: {said}");
            // Any order is a reason to look.
            support::node::assert_code(&node.ask(&["resume"]), 0);
            node.wait_until("counted", || node.read("run/chainmail/apply.json").contains("\"v4\": 3"));
            assert_eq!(running.stop(), Some(0));
        }
    }
}
