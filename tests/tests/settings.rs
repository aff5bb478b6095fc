//! Every setting of `chainmail.toml` that changes rules, tried with real packets beside its opposite.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::path::Path;
use std::time::Duration;

use chainmail_contract::Family;
use chainmail_lab::{Backend, Cell, Counters, Endpoint, Lab, LabSpec, Origin, Topology, TruthTable};
use chainmail_manifest::source::from_folder;

const BACKENDS: [Backend; 2] = [Backend::Nft, Backend::Legacy];

/// Two nodes, four pods of both families; `b` is isolated for ingress and admits `d`, `c` is isolated for egress.
const CLUSTER: &str = "
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDRs: [10.244.1.0/24, 'fd00:10:244:1::/64']}
status: {addresses: [{type: InternalIP, address: 10.240.0.1}, {type: InternalIP, address: 'fd00:10:240::1'}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
spec: {podCIDRs: [10.244.2.0/24, 'fd00:10:244:2::/64']}
status: {addresses: [{type: InternalIP, address: 10.240.0.2}, {type: InternalIP, address: 'fd00:10:240::2'}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: b, namespace: x}
spec:
  podSelector: {matchLabels: {app: b}}
  ingress: [{from: [{podSelector: {matchLabels: {app: d}}}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: c, namespace: x}
spec:
  podSelector: {matchLabels: {app: c}}
  policyTypes: [Egress]
";

fn pod(name: &str, node: u8, host: u8) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: x, labels: {{app: {name}}}}}\n\
         spec: {{nodeName: n{node}, containers: [{{name: main, ports: [{{containerPort: 80}}]}}]}}\n\
         status: {{phase: Running, podIPs: [{{ip: 10.244.{node}.{host}}}, {{ip: 'fd00:10:244:{node}::{host:x}'}}]}}\n"
    )
}

/// Writes the cluster with these pods and this configuration.
fn manifests(folder: &Path, pods: &[&str], config: &str) -> Origin {
    std::fs::create_dir_all(folder).unwrap();
    let mut text = CLUSTER.to_owned();
    for (name, node, host) in [("a", 1, 10), ("b", 1, 11), ("c", 1, 12), ("d", 2, 10)] {
        if pods.contains(&name) {
            text.push_str(&pod(name, node, host));
        }
    }
    std::fs::write(folder.join("cluster.yaml"), text).unwrap();
    std::fs::write(folder.join("chainmail.toml"), config).unwrap();
    Origin::Folder(folder.to_path_buf())
}

fn lab(origin: &Origin, backend: Backend, topology: Topology) -> Lab {
    let Origin::Folder(folder) = origin else { panic!("a folder") };
    let mut spec = LabSpec::from_sources(&from_folder(folder).unwrap()).unwrap();
    spec.backend = backend;
    spec.topology = topology;
    Lab::up(&spec).unwrap()
}

/// All pairs of pods and the outside, in both families.
fn questions(lab: &Lab) -> TruthTable {
    lab.questions(&lab.endpoints(), &["80/TCP".parse().unwrap(), "80/UDP".parse().unwrap()], &Family::ALL)
}

fn cells(table: &TruthTable, answer: Cell) -> usize {
    table.cells().filter(|cell| *cell == answer).count()
}

#[test]
fn allow_accept_serves_hosts_that_drop_by_policy() {
    if !support::may_use_kernel() {
        return;
    }
    for backend in BACKENDS {
        let temp = tempfile::tempdir().unwrap();
        let all = ["a", "b", "c", "d"];
        let accept = manifests(&temp.path().join("accept"), &all, "allow = \"accept\"\n");
        let lab = lab(&accept, backend, Topology::Routed);
        for node in lab.nodes() {
            for iptables in ["iptables", "ip6tables"] {
                let tool = format!("{iptables}-{}", backend.as_str());
                assert!(lab.exec(&node, &[&tool, "-P", "FORWARD", "DROP"]).unwrap().status.success());
            }
        }
        let questions = questions(&lab);
        lab.compile_and_apply(&accept).unwrap();
        let predicted = lab.predict(&accept, &questions).unwrap();
        assert!(cells(&predicted, Cell::Allowed) > 10 && cells(&predicted, Cell::Denied) > 5, "{predicted}");
        let observed = lab.observe(&questions).unwrap();
        assert_eq!(predicted.differences(&observed), [], "accept on {}:\n{observed}", backend.as_str());

        let plain = manifests(&temp.path().join("return"), &all, "allow = \"return\"\n");
        lab.compile_and_apply(&plain).unwrap();
        let observed = lab.observe(&questions).unwrap();
        assert_eq!(
            cells(&observed, Cell::Allowed),
            0,
            "return leaves it to the host, which drops:\n{observed}"
        );
        lab.down().unwrap();
    }
}

#[test]
fn unknown_pods_drop_silences_addresses_that_no_manifest_explains() {
    if !support::may_use_kernel() {
        return;
    }
    for backend in BACKENDS {
        let temp = tempfile::tempdir().unwrap();
        let whole = manifests(&temp.path().join("whole"), &["a", "b", "c", "d"], "");
        let lab = lab(&whole, backend, Topology::Routed);
        // The same cluster by manifests that know nothing of a.
        let stranger: Endpoint = "x/a".parse().unwrap();
        for (config, answer) in
            [("unknown_pods = \"drop\"\n", Cell::Denied), ("unknown_pods = \"pass\"\n", Cell::Allowed)]
        {
            let known = manifests(&temp.path().join(format!("{answer:?}")), &["b", "c", "d"], config);
            lab.compile_and_apply(&known).unwrap();
            // To and from the stranger; b is isolated, and c may send nothing.
            let ends: [Endpoint; 2] = [stranger.clone(), "x/d".parse().unwrap()];
            let table = lab.questions(&ends, &["80/TCP".parse().unwrap()], &Family::ALL);
            let observed = lab.observe(&table).unwrap();
            assert_eq!(cells(&observed, answer), 4, "{config} on {}:\n{observed}", backend.as_str());
        }
        lab.down().unwrap();
    }
}

/// How many packets each rule of CM-DENY has met on all nodes of a lab, the mark first.
fn denied(lab: &Lab) -> [u64; 2] {
    let mut met = [0, 0];
    for node in lab.nodes() {
        let Endpoint::Node(node) = node else { panic!("a node") };
        let saved = lab.saved(&node, Counters::Shown).unwrap();
        for text in [&saved.v4, &saved.v6] {
            let rules = text.lines().filter(|line| line.contains("-A CM-DENY "));
            for (sum, rule) in met.iter_mut().zip(rules) {
                let packets = rule.trim_start_matches('[').split(':').next().unwrap();
                *sum += packets.parse::<u64>().unwrap();
            }
        }
    }
    met
}

/// What is denied by egress, by ingress, and by what stands before both.
#[test]
fn observed_packets_pass_and_logged_ones_do_not_and_both_are_told_of() {
    if !support::may_use_kernel() {
        return;
    }
    for backend in BACKENDS {
        let temp = tempfile::tempdir().unwrap();
        let all = ["a", "b", "c", "d"];
        let quiet = manifests(&temp.path().join("quiet"), &all, "");
        let lab = lab(&quiet, backend, Topology::Routed);
        let questions = questions(&lab);
        let right = lab.predict(&quiet, &questions).unwrap();
        let refused = u64::try_from(cells(&right, Cell::Denied)).unwrap();
        let told = "unknown_pods = \"drop\"\nlog_denied = 600\n";
        for (name, settings) in [
            ("log", ""),
            ("observe", "enforce = false\n"),
            ("accept", "enforce = false\nallow = \"accept\"\n"),
        ] {
            let origin = manifests(&temp.path().join(name), &all, &format!("{told}{settings}"));
            lab.compile_and_apply(&origin).unwrap();
            let policy = if name == "accept" { "DROP" } else { "ACCEPT" };
            for (node, iptables) in
                lab.nodes().iter().flat_map(|node| ["iptables", "ip6tables"].map(|tool| (node, tool)))
            {
                let tool = format!("{iptables}-{}", backend.as_str());
                assert!(lab.exec(node, &[&tool, "-P", "FORWARD", policy]).unwrap().status.success());
            }
            // What policies mean is the same whatever becomes of it.
            let predicted = lab.predict(&origin, &questions).unwrap();
            assert_eq!(right.differences(&predicted), [], "{name} on {}", backend.as_str());
            let observed = lab.observe(&questions).unwrap();
            let expected =
                if name == "log" { right.clone() } else { right.answered(std::iter::repeat(Cell::Allowed)) };
            assert_eq!(expected.differences(&observed), [], "{name} on {}:\n{observed}", backend.as_str());
            let [marked, ended] = denied(&lab);
            assert!(ended >= refused, "{name} on {}: {ended} of {refused}", backend.as_str());
            assert!(marked > 0 && marked <= ended, "{name} on {}: {marked} of {ended}", backend.as_str());
        }
        lab.down().unwrap();
    }
}

/// What an attacker on a bridge tries: a datagram that its isolated neighbour would receive.
struct Attack {
    what: &'static str,
    from: &'static str,
    to: &'static str,
    send: fn(&UdpSocket, &Addresses) -> std::io::Result<usize>,
    bind: fn(&Addresses) -> SocketAddr,
}

/// Addresses of the two pods, and the index of their interface.
struct Addresses {
    target_link_local: Ipv6Addr,
    target: Ipv4Addr,
    scope: u32,
}

const PORT: u16 = 9999;
const FORGED: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 77);

fn any_v4(_: &Addresses) -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, 0).into()
}

fn any_v6(_: &Addresses) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, 0).into()
}

fn scoped(address: Ipv6Addr, scope: u32) -> SocketAddr {
    SocketAddrV6::new(address, PORT, 0, scope).into()
}

/// All three pods share the bridge. `b` does not admit `a`, and `c` may not send at all.
const ATTACKS: [Attack; 5] = [
    Attack {
        what: "broadcast",
        from: "x/a",
        to: "x/b",
        bind: any_v4,
        send: |socket, _| {
            socket.set_broadcast(true)?;
            socket.send_to(b"x", (Ipv4Addr::BROADCAST, PORT))
        },
    },
    Attack {
        what: "IPv4 multicast",
        from: "x/a",
        to: "x/b",
        bind: any_v4,
        send: |socket, _| socket.send_to(b"x", (Ipv4Addr::new(224, 0, 0, 1), PORT)),
    },
    Attack {
        what: "IPv6 multicast",
        from: "x/a",
        to: "x/b",
        bind: any_v6,
        send: |socket, at| socket.send_to(b"x", scoped("ff02::1".parse().unwrap(), at.scope)),
    },
    Attack {
        what: "link-local",
        from: "x/a",
        to: "x/b",
        bind: any_v6,
        send: |socket, at| socket.send_to(b"x", scoped(at.target_link_local, at.scope)),
    },
    Attack {
        what: "a second address",
        from: "x/c",
        to: "x/a",
        bind: |_| (FORGED, 0).into(),
        send: |socket, at| socket.send_to(b"x", (at.target, PORT)),
    },
];

#[test]
fn pod_bridge_stops_what_addresses_do_not_say() {
    if !support::may_use_kernel() {
        return;
    }
    for backend in BACKENDS {
        let temp = tempfile::tempdir().unwrap();
        let all = ["a", "b", "c", "d"];
        let open = manifests(&temp.path().join("open"), &all, "");
        let guarded = manifests(&temp.path().join("guarded"), &all, "pod_bridge = \"cni0\"\n");
        let lab = lab(&open, backend, Topology::Bridge);
        // Routes for what the lab's pods have none for, and the second address.
        let routes =
            "for net in 10.99.0.0/24 255.255.255.255 224.0.0.0/4; do ip route replace $net dev eth0; done";
        for (pod, line) in [("x/a", routes), ("x/c", routes), ("x/c", "ip addr add 10.99.0.77/32 dev eth0")] {
            let prepared = lab.exec(&pod.parse().unwrap(), &["sh", "-ec", line]).unwrap();
            assert!(prepared.status.success(), "{}", String::from_utf8_lossy(&prepared.stderr));
        }
        for (origin, passes) in [(&open, true), (&guarded, false)] {
            lab.compile_and_apply(origin).unwrap();
            for attack in &ATTACKS {
                let received = try_attack(&lab, attack);
                let state = if passes { "without pod_bridge" } else { "with pod_bridge" };
                assert_eq!(received, passes, "{} {state} on {}", attack.what, backend.as_str());
            }
            // Unicast goes on as the policies say, neighbour discovery with it.
            let questions = questions(&lab);
            let predicted = lab.predict(origin, &questions).unwrap();
            let observed = lab.observe(&questions).unwrap();
            assert_eq!(predicted.differences(&observed), [], "{}:\n{observed}", backend.as_str());
        }
        lab.down().unwrap();
    }
}

/// Addresses that c of node n1 gives itself. They are in no podCIDR.
const STRANGERS: [&str; 2] = ["10.99.0.77", "fd00:99::77"];

/// A datagram between c at an address of [`STRANGERS`] and a pod, which is on the same node or on the other.
const WAYS: [(&str, &str); 4] = [("c", "x/a"), ("c", "x/d"), ("x/a", "c"), ("x/d", "c")];

#[test]
fn pod_interfaces_close_addresses_that_pods_give_themselves_nft() {
    close_addresses_that_pods_give_themselves(Backend::Nft);
}

#[test]
fn pod_interfaces_close_addresses_that_pods_give_themselves_legacy() {
    close_addresses_that_pods_give_themselves(Backend::Legacy);
}

fn close_addresses_that_pods_give_themselves(backend: Backend) {
    if !support::may_use_kernel() {
        return;
    }
    for (topology, interfaces, pass) in [
        (Topology::Routed, "[]", true),
        (Topology::Routed, "[\"veth*\"]", false),
        (Topology::Bridge, "[]", true),
        // FORWARD knows no ports of a bridge.
        (Topology::Bridge, "[\"veth*\"]", true),
        (Topology::Bridge, "[\"cni0\"]", false),
    ] {
        let case = format!("{topology:?}, pod_interfaces = {interfaces} on {}", backend.as_str());
        let temp = tempfile::tempdir().unwrap();
        let config = format!("unknown_pods = \"drop\"\npod_interfaces = {interfaces}\n");
        let origin = manifests(temp.path(), &["a", "b", "c", "d"], &config);
        let lab = lab(&origin, backend, topology);
        let [c, n1, n2] = ["x/c", "node:n1", "node:n2"].map(|end| end.parse::<Endpoint>().unwrap());
        let mac = said(&lab, &c, "cat /sys/class/net/eth0/address");
        // The device that leads to c: its own, or the bridge that finds it by itself.
        let route = said(&lab, &n1, "ip -o route show 10.244.1.12 || true");
        let device = if route.contains("veth") { route.split_whitespace().nth(2).unwrap() } else { "cni0" };
        for (stranger, node) in STRANGERS.iter().zip(["10.240.0.1", "fd00:10:240::1"]) {
            said(&lab, &c, &format!("ip addr add {stranger} dev eth0 nodad"));
            said(&lab, &n1, &format!("ip route add {stranger} dev {device}"));
            said(&lab, &n1, &format!("ip neigh replace {stranger} lladdr {mac} dev {device} nud permanent"));
            said(&lab, &n2, &format!("ip route add {stranger} via {node} dev up0 onlink"));
            // Pods on a bridge reach each other without the node, where they know how.
            if topology == Topology::Bridge {
                said(&lab, &"x/a".parse().unwrap(), &format!("ip route add {stranger} dev eth0"));
            }
        }
        lab.compile_and_apply(&origin).unwrap();
        for (from, to) in WAYS {
            for (family, stranger) in Family::ALL.into_iter().zip(STRANGERS) {
                let at = |end: &str| -> (Endpoint, IpAddr) {
                    match end {
                        "c" => (c.clone(), stranger.parse().unwrap()),
                        pod => {
                            let pod: Endpoint = pod.parse().unwrap();
                            let address = lab.address(&pod, family).unwrap();
                            (pod, address)
                        }
                    }
                };
                assert_eq!(arrives(&lab, at(from), at(to)), pass, "{from} to {to}, {family}: {case}");
            }
        }
        // What manifests name is judged by policies, also between nodes, pods and the outside.
        let questions = questions(&lab);
        let predicted = lab.predict(&origin, &questions).unwrap();
        assert!(cells(&predicted, Cell::Allowed) > 10 && cells(&predicted, Cell::Denied) > 5, "{predicted}");
        let observed = lab.observe(&questions).unwrap();
        assert_eq!(predicted.differences(&observed), [], "{case}:\n{observed}");
        lab.down().unwrap();
    }
}

/// The cluster has two families and its manifests name one.
#[test]
fn pod_interfaces_close_a_family_that_no_manifest_names() {
    if !support::may_use_kernel() {
        return;
    }
    for (backend, topology, interface) in [
        (Backend::Nft, Topology::Routed, "veth*"),
        (Backend::Legacy, Topology::Routed, "veth*"),
        (Backend::Nft, Topology::Bridge, "cni0"),
        (Backend::Legacy, Topology::Bridge, "cni0"),
    ] {
        let temp = tempfile::tempdir().unwrap();
        let whole = manifests(&temp.path().join("whole"), &["a", "b", "c", "d"], "");
        let lab = lab(&whole, backend, topology);
        for (interfaces, answer) in
            [("[]".to_owned(), Cell::Allowed), (format!("[{interface:?}]"), Cell::Denied)]
        {
            let folder = temp.path().join(format!("{answer:?}"));
            let config = format!("unknown_pods = \"drop\"\npod_interfaces = {interfaces}\n");
            let origin = manifests(&folder, &["a", "b", "c", "d"], &config);
            let text = std::fs::read_to_string(folder.join("cluster.yaml")).unwrap();
            std::fs::write(folder.join("cluster.yaml"), without_v6(&text)).unwrap();
            lab.compile_and_apply(&origin).unwrap();
            let ends: Vec<Endpoint> = ["x/a", "x/b", "x/c", "x/d"].map(|end| end.parse().unwrap()).to_vec();
            let service = ["80/UDP".parse().unwrap()];
            let table = lab.questions(&ends, &service, &[Family::V6]);
            let observed = lab.observe(&table).unwrap();
            let case = format!("{topology:?}, {interfaces} on {}:\n{observed}", backend.as_str());
            assert_eq!(cells(&observed, answer), 12, "{case}");
            // IPv4 is as the policies say.
            let table = lab.questions(&ends, &service, &[Family::V4]);
            let observed = lab.observe(&table).unwrap();
            assert_eq!(
                lab.predict(&origin, &table).unwrap().differences(&observed),
                [],
                "{case}\n{observed}"
            );
        }
        lab.down().unwrap();
    }
}

/// The manifests without the second entry of each list of addresses and networks, which is of IPv6.
fn without_v6(manifests: &str) -> String {
    let line = |line: &str| match line.find(", 'fd00:").or_else(|| line.find(", {ip: 'fd00:")) {
        Some(at) => format!("{}]}}\n", &line[..at]),
        None => format!("{line}\n"),
    };
    let without: String = manifests.lines().map(line).collect();
    without
        .replace(", {type: InternalIP, address: 'fd00:10:240::1'}", "")
        .replace(", {type: InternalIP, address: 'fd00:10:240::2'}", "")
}

/// What a shell's line prints at an end of the lab.
fn said(lab: &Lab, end: &Endpoint, line: &str) -> String {
    let output = lab.exec(end, &["sh", "-ec", line]).unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Whether a datagram from one address comes to another.
fn arrives(lab: &Lab, from: (Endpoint, IpAddr), to: (Endpoint, IpAddr)) -> bool {
    let receiver = lab.inside(&to.0, || UdpSocket::bind((to.1, PORT))).unwrap().unwrap();
    receiver.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let sender = lab.inside(&from.0, || UdpSocket::bind((from.1, 0))).unwrap().unwrap();
    sender.send_to(b"x", (to.1, PORT)).unwrap();
    receiver.recv(&mut [0; 8]).is_ok()
}

fn try_attack(lab: &Lab, attack: &Attack) -> bool {
    let (from, to): (Endpoint, Endpoint) = (attack.from.parse().unwrap(), attack.to.parse().unwrap());
    let link = lab.exec(&to, &["ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link"]).unwrap();
    let link = String::from_utf8(link.stdout).unwrap();
    let link_local = link.split_whitespace().find_map(|word| word.split_once('/')?.0.parse().ok());
    let index = lab.exec(&from, &["cat", "/sys/class/net/eth0/ifindex"]).unwrap();
    let IpAddr::V4(target) = lab.address(&to, Family::V4).unwrap() else { panic!("an IPv4 address") };
    let at = Addresses {
        target,
        target_link_local: link_local.unwrap_or(Ipv6Addr::LOCALHOST),
        scope: String::from_utf8(index.stdout).unwrap().trim().parse().unwrap(),
    };
    let bind = (attack.bind)(&at);
    let any: IpAddr =
        if bind.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let receiver = lab.inside(&to, || UdpSocket::bind((any, PORT))).unwrap().unwrap();
    receiver.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    let sender = lab.inside(&from, || UdpSocket::bind(bind)).unwrap().unwrap();
    (attack.send)(&sender, &at).unwrap_or_else(|error| panic!("{}: {error}", attack.what));
    receiver.recv(&mut [0; 8]).is_ok()
}

/// An ICMP echo reply (RFC 792) that nobody asked for: conntrack calls it INVALID.
const REPLY: [u8; 8] = [0, 0, 0xff, 0xff, 0, 0, 0, 0];

#[test]
fn drop_invalid_decides_on_what_conntrack_cannot_place() {
    if !support::may_use_kernel() {
        return;
    }
    for backend in BACKENDS {
        let temp = tempfile::tempdir().unwrap();
        let all = ["a", "b", "c", "d"];
        let drop = manifests(&temp.path().join("drop"), &all, "drop_invalid = true\n");
        let judge = manifests(&temp.path().join("judge"), &all, "drop_invalid = false\n");
        let lab = lab(&drop, backend, Topology::Routed);
        let (from, to): (Endpoint, Endpoint) = ("x/d".parse().unwrap(), "x/b".parse().unwrap());
        let IpAddr::V4(address) = lab.address(&to, Family::V4).unwrap() else { panic!("an IPv4 address") };
        for (origin, passes) in [(&drop, false), (&judge, true)] {
            lab.compile_and_apply(origin).unwrap();
            let receiver = lab.inside(&to, icmp_socket).unwrap();
            let sender = lab.inside(&from, icmp_socket).unwrap();
            let target = std::net::SocketAddrV4::new(address, 0);
            rustix::net::sendto(&sender, &REPLY, rustix::net::SendFlags::empty(), &target).unwrap();
            let mut poll = [rustix::event::PollFd::new(&receiver, rustix::event::PollFlags::IN)];
            let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: 400_000_000 };
            let received = rustix::event::poll(&mut poll, Some(&timeout)).unwrap() > 0;
            assert_eq!(received, passes, "drop_invalid = {} on {}", !passes, backend.as_str());
        }
        lab.down().unwrap();
    }
}

fn icmp_socket() -> rustix::fd::OwnedFd {
    use rustix::net::{AddressFamily, SocketType, ipproto};
    rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).unwrap()
}
