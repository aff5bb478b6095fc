//! Packets through a node, as many as 10,000 a second, while one policy takes another's place again and again: each is
//! judged by the old one or by the new one, and by nothing in between.
//!
//! One policy admits client 1 on port 80, the other client 2 on port 443; both admit both on port 53. A mix of rules of
//! the one and sets of the other shows as client 1 on 443, or client 2 on 80.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test writes files, and fails by panic"
)]

mod support;

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chainmail_contract::{Family, SetKind};
use support::node::{BACKENDS, Node, skipped};
use support::pods::{CLIENT, Pods, SERVER};
use support::{Snapshot, set_of};

const SECOND_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 8, 1, 2);
const PORTS: [u16; 3] = [80, 443, 53];
/// The time between two rounds of six packets: 10,000 a second.
const ROUND: Duration = Duration::from_micros(600);

/// Packets sent and received: by client, then by port.
#[derive(Default)]
struct Counts {
    /// Odd while a policy takes another's place. Each packet carries what it was when it was sent.
    epoch: RwLock<u64>,
    /// Packets that were sent while one policy alone was in force, and came although it refuses them.
    wrong: AtomicU64,
    sent: [[AtomicU64; 3]; 2],
    received: [[AtomicU64; 3]; 2],
}

impl Counts {
    fn received(&self, client: usize, port: usize) -> u64 {
        self.received[client][port].load(Ordering::Relaxed)
    }

    fn next_epoch(&self) {
        *self.epoch.write().unwrap() += 1;
    }

    fn arrived(&self, epoch: u64, client: usize, port: usize) {
        self.received[client][port].fetch_add(1, Ordering::Relaxed);
        let in_force = usize::from(epoch / 2 % 2 == 1);
        if epoch.is_multiple_of(2) && port != 2 && (client, port) != (in_force, in_force) {
            self.wrong.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Packets that neither policy admits, and yet came.
    fn mixed(&self) -> u64 {
        self.received(0, 1) + self.received(1, 0)
    }

    /// Packets that both policies admit, and yet were lost.
    fn lost(&self) -> u64 {
        (0..2).map(|client| self.sent[client][2].load(Ordering::Relaxed) - self.received(client, 2)).sum()
    }
}

/// The policy that admits one of the two clients.
fn admits(client: usize) -> Snapshot {
    let (address, port) = [(CLIENT, 80), (SECOND_CLIENT, 443)][client];
    let isolated = set_of(Family::V4, SetKind::HashIp, &[&SERVER.to_string()]);
    let peers = set_of(Family::V4, SetKind::HashIp, &[&address.to_string()]);
    let class = format!("CM-I-{port:016x}");
    let v4 = format!(
        "*filter\n:CM-FORWARD - [0:0]\n:{class} - [0:0]\n:CM-INGRESS - [0:0]\n\
         -A CM-FORWARD -m conntrack --ctstate ESTABLISHED -j RETURN\n\
         -A CM-FORWARD -m set --match-set {} dst -g CM-INGRESS\n\
         -A {class} -p udp -m udp --dport {port} -m set --match-set {} src -j RETURN\n\
         -A {class} -p udp -m udp --dport 53 -j RETURN\n-A {class} -j DROP\n\
         -A CM-INGRESS -d {SERVER}/32 -g {class}\n-A CM-INGRESS -j DROP\nCOMMIT\n",
        isolated.0, peers.0
    );
    Snapshot::new(v4, "*filter\nCOMMIT\n".to_owned(), [isolated, peers])
}

/// Sends and receives while `apply` is at work, then compares.
fn hammered(pods: &Pods, counts: &Counts, apply: impl FnOnce()) {
    let buffer = |socket: &UdpSocket| {
        rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, 8 << 20).unwrap();
    };
    let servers = PORTS.map(|port| pods.server.within(|| UdpSocket::bind((SERVER, port)).unwrap()));
    let clients =
        [CLIENT, SECOND_CLIENT].map(|address| pods.client.within(|| UdpSocket::bind((address, 0)).unwrap()));
    let (stop, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (port, socket) in servers.iter().enumerate() {
            buffer(socket);
            socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let ended = &ended;
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let mut epoch = [0; 8];
                    if let Ok((_, from)) = socket.recv_from(&mut epoch) {
                        counts.arrived(
                            u64::from_le_bytes(epoch),
                            usize::from(from.ip() == SECOND_CLIENT),
                            port,
                        );
                    }
                }
            });
        }
        let stop = &stop;
        let sender = scope.spawn(move || {
            let mut next = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                for (client, socket) in clients.iter().enumerate() {
                    for (place, port) in PORTS.into_iter().enumerate() {
                        // What a rule drops on its way is no error of the sender; a full queue is nothing sent.
                        let epoch = counts.epoch.read().unwrap();
                        if socket.send_to(&epoch.to_le_bytes(), (SERVER, port)).is_ok() {
                            counts.sent[client][place].fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                next += ROUND;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        // A panic must not leave the others at it for ever.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(apply));
        stop.store(true, Ordering::Relaxed);
        sender.join().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        ended.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn lab(backend: &'static str) -> (Node, Pods) {
    let node = Node::new(backend);
    let pods = Pods::on(&node);
    pods.client.ok(&["ip", "addr", "add", &format!("{SECOND_CLIENT}/24"), "dev", "eth0"], "");
    node.configure("interval = 3600\ntrial = \"off\"\n");
    (node, pods)
}

fn no_packet_meets_a_mix(backend: &'static str, transitions: usize) {
    let (node, pods) = lab(backend);
    let policies = [admits(0), admits(1)];
    let running = node.enforce(&policies[0]);
    // Epoch 0 is the first policy's.
    let counts = Counts::default();
    hammered(&pods, &counts, || {
        for turn in 0..transitions {
            let new = (turn + 1) % 2;
            let before = counts.received(new, new);
            counts.next_epoch();
            node.spool(&policies[new]);
            node.wait_for(&policies[new]);
            counts.next_epoch();
            node.wait_until("its packets", || counts.received(new, new) > before);
        }
    });
    let sent: u64 = counts.sent.iter().flatten().map(|count| count.load(Ordering::Relaxed)).sum();
    assert!(counts.received(0, 0) > 0 && counts.received(1, 1) > 0, "both policies were seen");
    let wrong = counts.wrong.load(Ordering::Relaxed);
    assert_eq!((counts.mixed(), wrong, counts.lost()), (0, 0, 0), "{backend}: of {sent}, mixed, wrong, lost");
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn no_packet_meets_a_mix_in_20_transitions() {
    if !skipped() {
        BACKENDS.into_iter().for_each(|backend| no_packet_meets_a_mix(backend, 20));
    }
}

#[test]
#[ignore = "takes minutes; run by make test-long"]
fn no_packet_meets_a_mix_in_500_transitions() {
    if !skipped() {
        BACKENDS.into_iter().for_each(|backend| no_packet_meets_a_mix(backend, 500));
    }
}

/// An applier that flushes, and then loads.
fn flush_then_load(node: &Node, policy: &Snapshot) {
    node.namespace.run(&[&format!("iptables-{}", node.backend), "-F", "CM-FORWARD"], "");
    let sets: String = policy.sets.values().map(String::as_str).collect();
    node.namespace.ok(&["ipset", "restore", "-exist"], &sets);
    node.namespace.ok(&[&format!("iptables-{}-restore", node.backend), "--noflush"], &policy.v4);
}

/// An applier that keeps one set, edits it in place, and changes the rules after it.
fn edit_in_place(node: &Node, policy: &Snapshot) {
    let peers = |client: Ipv4Addr| set_of(Family::V4, SetKind::HashIp, &[&client.to_string()]).0;
    let (first, second) = (peers(CLIENT), peers(SECOND_CLIENT));
    let (comes, goes) =
        if policy.v4.contains(first.as_str()) { (CLIENT, SECOND_CLIENT) } else { (SECOND_CLIENT, CLIENT) };
    let text = format!("create peers hash:ip -exist\nadd peers {comes} -exist\ndel peers {goes} -exist\n");
    let isolated = set_of(Family::V4, SetKind::HashIp, &[&SERVER.to_string()]);
    node.namespace.ok(&["ipset", "restore", "-exist"], &(isolated.1 + &text));
    let rules = policy.v4.replace(first.as_str(), "peers").replace(second.as_str(), "peers");
    node.namespace.ok(&[&format!("iptables-{}-restore", node.backend), "--noflush"], &rules);
}

#[test]
fn appliers_that_are_wrong_are_found_out() {
    if skipped() {
        return;
    }
    type Applier = fn(&Node, &Snapshot);
    let appliers: [(&str, Applier); 2] =
        [("flush, then load", flush_then_load), ("edit in place", edit_in_place)];
    for backend in BACKENDS {
        for (name, apply) in appliers {
            let (node, pods) = lab(backend);
            let policies = [admits(0), admits(1)];
            apply(&node, &policies[0]);
            node.namespace.ok(&[&format!("iptables-{backend}"), "-I", "FORWARD", "-j", "CM-FORWARD"], "");
            let counts = Counts::default();
            hammered(&pods, &counts, || {
                for turn in 0..200 {
                    apply(&node, &policies[(turn + 1) % 2]);
                    if counts.mixed() > 0 {
                        break;
                    }
                }
            });
            assert!(counts.mixed() > 0, "{backend}: {name}: nothing was noticed");
        }
    }
}
