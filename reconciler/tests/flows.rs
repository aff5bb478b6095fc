//! Established flows under a policy that is tightened and loosened, with real packets between two pods.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test writes files, and fails by panic"
)]

mod support;

use support::Snapshot;
use support::node::{BACKENDS, Node, skipped};
use support::pods::{Isolated, Pods, SERVER, pod_policy};

#[test]
fn exactly_the_flows_that_the_new_rules_refuse_are_cut() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        for isolated in [Isolated::Client, Isolated::Server] {
            let node = Node::new(backend);
            let pods = Pods::on(&node);
            node.configure("interval = 3600\n");
            let open = pod_policy(Isolated::Nobody);
            let running = node.enforce(&open);
            let mut refused = [pods.tcp(80, 8080), pods.tcp(80, 8080)];
            let (mut kept, refused_udp, kept_udp) =
                (pods.tcp(443, 443), pods.udp(80, 8080), pods.udp(443, 443));
            // Not through the Service: the node forgets what it translated, too, and nobody could go on.
            let mut silent = pods.tcp_to((SERVER, 443), 443);

            let tight = pod_policy(isolated);
            node.spool(&tight);
            node.wait_for(&tight);
            let row = format!("{backend} {isolated:?}");
            let [both, only_server] = &mut refused;
            assert_eq!((both.up(), both.down()), (false, false), "{row}: TCP, both sending");
            assert!(!only_server.down(), "{row}: TCP, only the server sending");
            let reset = only_server
                .server
                .take_error()
                .unwrap()
                .or_else(|| std::io::Read::read(&mut only_server.server, &mut [0]).err());
            let reset = reset.map(|error| error.kind());
            assert_eq!(reset, Some(std::io::ErrorKind::ConnectionReset), "{row}: the sender is told");
            assert!(!refused_udp.down() && !refused_udp.down(), "{row}: UDP, the server goes on sending");
            assert!(!refused_udp.up(), "{row}: UDP");
            assert!(!refused_udp.down(), "{row}: UDP, after the client tried");
            assert!(
                kept.up() && kept.down() && kept_udp.up() && kept_udp.down(),
                "{row}: allowed flows live on"
            );
            node.namespace.ok(&["conntrack", "-F"], "");
            assert!(silent.down() && silent.up(), "{row}: also one that conntrack has forgotten");
            assert!(kept_udp.up() && kept_udp.down(), "{row}");

            node.spool(&open);
            node.wait_for(&open);
            let members = node.namespace.ok(&["ipset", "save", "cm4-CUT"], "");
            assert!(!members.contains("add "), "{row}: {members}");
            assert!(refused_udp.up() && refused_udp.down(), "{row}: what is allowed again comes back");
            let mut again = pods.tcp(80, 8080);
            assert!(again.up() && again.down(), "{row}");
            assert_eq!(running.stop(), Some(0));
        }
    }
}

/// The same policy where it is only observed: what it denies passes, and no flow is ended.
fn observed(policy: &Snapshot) -> Snapshot {
    let v4 =
        policy.v4.replace("*filter\n", "*filter\n:CM-DENY - [0:0]\n").replace(" -j DROP\n", " -g CM-DENY\n");
    let mark = "-A CM-DENY -m limit --limit 1/sec -j NFLOG --nflog-prefix cm-deny --nflog-group 67\n";
    let v4 = v4.replacen("-A ", &format!("{mark}-A CM-DENY -j RETURN\n-A "), 1);
    let v4: String =
        v4.lines().filter(|line| !line.contains("cm4-CUT")).flat_map(|line| [line, "\n"]).collect();
    Snapshot::new(v4, policy.v6.clone(), policy.sets.clone())
}

#[test]
fn where_rules_only_observe_no_flow_is_cut() {
    if skipped() {
        return;
    }
    let node = Node::new("nft");
    let pods = Pods::on(&node);
    node.configure("interval = 3600\n");
    let open = pod_policy(Isolated::Nobody);
    let running = node.enforce(&open);
    let (mut denied, denied_udp) = (pods.tcp(80, 8080), pods.udp(80, 8080));
    let observed = observed(&pod_policy(Isolated::Server));
    node.spool(&observed);
    node.wait_for_words("synced observing", &observed);
    assert!(denied.up() && denied.down() && denied_udp.up() && denied_udp.down(), "denied flows live on");
    assert!(!node.namespace.ok(&["ipset", "save", "cm4-CUT"], "").contains("add "));
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn the_nodes_own_connections_to_an_isolated_pod_are_left_alone() {
    if skipped() {
        return;
    }
    let node = Node::new("nft");
    let pods = Pods::on(&node);
    node.configure("");
    let open = pod_policy(Isolated::Nobody);
    let running = node.enforce(&open);
    let listener = pods.server.within(|| std::net::TcpListener::bind((SERVER, 8080)).unwrap());
    let client = node.namespace.within(|| std::net::TcpStream::connect((SERVER, 8080)).unwrap());
    let (server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    }
    let mut probe = support::pods::Tcp { client, server };
    let tight = pod_policy(Isolated::Server);
    node.spool(&tight);
    node.wait_for(&tight);
    assert!(probe.up() && probe.down(), "a probe of the kubelet goes on");
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn no_flow_is_ended_before_a_snapshot_is_confirmed_nor_by_one_that_is_taken_back() {
    if skipped() {
        return;
    }
    for backend in BACKENDS {
        let node = Node::new(backend);
        let pods = Pods::on(&node);
        node.configure("interval = 3600\nconfirm = \"required\"\nconfirm_timeout = 600\n");
        let [open, tight] = [Isolated::Nobody, Isolated::Server].map(pod_policy);
        let confirm = |snapshot: &Snapshot| {
            node.spool(snapshot);
            node.wait_for_words("pending-confirm enforcing", snapshot);
            assert_eq!(node.ask(&["confirm"]).code, 0);
            node.wait_for(snapshot);
        };
        let members = || node.namespace.ok(&["ipset", "save", "cm4-CUT"], "").matches("add ").count();
        let running = node.start();
        confirm(&open);
        let mut flow = pods.tcp(80, 8080);
        let refused_udp = pods.udp(80, 8080);

        node.spool(&tight);
        node.wait_for_words("pending-confirm enforcing", &tight);
        assert!(flow.up() && flow.down() && refused_udp.down(), "{backend}: what is established goes on");
        assert_eq!(members(), 0, "{backend}");
        node.refuse("the shop is down");
        node.wait_for_words("held rolled-back", &open);
        assert!(flow.up() && flow.down() && refused_udp.down(), "{backend}: nothing was lost");
        assert_eq!(members(), 0, "{backend}");

        assert_eq!(node.ask(&["confirm"]).code, 0);
        node.wait_for(&tight);
        assert!(!flow.up() && !refused_udp.down() && members() > 0, "{backend}: now it is ended");
        // What is allowed again is let live once that is confirmed, and not by what is taken back.
        node.spool(&open);
        node.wait_for_words("pending-confirm enforcing", &open);
        node.refuse("no");
        node.wait_for_words("held rolled-back", &tight);
        assert!(members() > 0, "{backend}");
        assert_eq!(node.ask(&["confirm"]).code, 0);
        node.wait_for(&open);
        assert_eq!(members(), 0, "{backend}");
        assert!(refused_udp.up() && refused_udp.down(), "{backend}");
        assert_eq!(running.stop(), Some(0));
    }
}
