//! Two pods routed through a node, with a Service in front of one of them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use super::node::Node;
use super::{Namespace, Snapshot, set_of};
use chainmail_contract::{Family, SetKind};

pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 8, 1, 1);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 8, 2, 9);
/// The address of the Service; its port 80 is the server's port 8080, and 443 is 443.
pub(crate) const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// How long a packet that may come is waited for, and one that must not.
const WAIT: Duration = Duration::from_millis(400);

pub(crate) struct Pods {
    pub(crate) client: Namespace,
    pub(crate) server: Namespace,
}

impl Pods {
    pub(crate) fn on(node: &Node) -> Self {
        let pods = Self { client: Namespace::new(), server: Namespace::new() };
        let sh = |namespace: &Namespace, script: &str| namespace.ok(&["sh", "-ec", script], "");
        for (pod, link, address, network) in
            [(&pods.client, "vc", CLIENT, 1), (&pods.server, "vs", SERVER, 2)]
        {
            let id = pod.id();
            sh(
                &node.namespace,
                &format!(
                    "ip link add {link} type veth peer name eth0 netns {id}\n\
                     ip addr add 10.8.{network}.254/24 dev {link}\nip link set {link} up\nip link set lo up"
                ),
            );
            sh(
                pod,
                &format!(
                    "ip link set lo up\nip addr add {address}/24 dev eth0\nip link set eth0 up\n\
                     ip route add default via 10.8.{network}.254"
                ),
            );
        }
        sh(&node.namespace, "echo 1 > /proc/sys/net/ipv4/ip_forward");
        let nat = format!("iptables-{}", node.backend);
        for protocol in ["tcp", "udp"] {
            for (port, target) in [("80", "8080"), ("443", "443")] {
                let service = SERVICE.to_string();
                let target = format!("{SERVER}:{target}");
                let words =
                    ["-t", "nat", "-A", "PREROUTING", "-d", &service, "-p", protocol, "--dport", port];
                node.namespace.ok(
                    &[&[nat.as_str()], &words[..], &["-j", "DNAT", "--to-destination", &target]].concat(),
                    "",
                );
            }
        }
        // Others drop what nobody accepts, and hide pods behind the node; these pods are not theirs.
        node.namespace.ok(&[&nat, "-t", "nat", "-F", "POSTROUTING"], "");
        node.namespace.ok(&[&nat, "-P", "FORWARD", "ACCEPT"], "");
        pods
    }

    /// A flow from the client to a port of the Service, which is another one of the server.
    pub(crate) fn tcp(&self, port: u16, server_port: u16) -> Tcp {
        self.tcp_to((SERVICE, port), server_port)
    }

    /// A flow from the client to an address and port that are the server's.
    pub(crate) fn tcp_to(&self, address: (Ipv4Addr, u16), server_port: u16) -> Tcp {
        let listener = self.server.within(|| TcpListener::bind((SERVER, server_port)).unwrap());
        let client = self.client.within(|| TcpStream::connect(address).unwrap());
        let (server, _) = listener.accept().unwrap();
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(WAIT)).unwrap();
        }
        let mut flow = Tcp { client, server };
        assert_eq!((flow.up(), flow.down()), (true, true), "a new flow works both ways");
        flow
    }

    pub(crate) fn udp(&self, port: u16, server_port: u16) -> Udp {
        let server = self.server.within(|| UdpSocket::bind((SERVER, server_port)).unwrap());
        let client = self.client.within(|| UdpSocket::bind((CLIENT, 0)).unwrap());
        for socket in [&client, &server] {
            socket.set_read_timeout(Some(WAIT)).unwrap();
        }
        client.connect((SERVICE, port)).unwrap();
        let back = SocketAddr::from((CLIENT, client.local_addr().unwrap().port()));
        let flow = Udp { client, server, back };
        assert_eq!((flow.up(), flow.down()), (true, true), "a new flow works both ways");
        flow
    }
}

pub(crate) struct Tcp {
    pub(crate) client: TcpStream,
    pub(crate) server: TcpStream,
}

impl Tcp {
    pub(crate) fn up(&mut self) -> bool {
        passes(&mut self.client, &mut self.server)
    }

    pub(crate) fn down(&mut self) -> bool {
        passes(&mut self.server, &mut self.client)
    }
}

fn passes(from: &mut TcpStream, to: &mut TcpStream) -> bool {
    use std::io::{Read as _, Write as _};
    let sent = from.write_all(b"x");
    let mut byte = [0];
    sent.is_ok() && to.read(&mut byte).is_ok_and(|read| read == 1)
}

pub(crate) struct Udp {
    client: UdpSocket,
    server: UdpSocket,
    back: SocketAddr,
}

impl Udp {
    pub(crate) fn up(&self) -> bool {
        self.client.send(b"x").is_ok() && self.server.recv(&mut [0; 8]).is_ok()
    }

    pub(crate) fn down(&self) -> bool {
        self.server.send_to(b"x", self.back).is_ok() && self.client.recv(&mut [0; 8]).is_ok()
    }
}

/// Whose traffic a policy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolated {
    /// Nobody's: all is allowed.
    Nobody,
    /// The client's, outwards: only port 443.
    Client,
    /// The server's, inwards: only port 443.
    Server,
}

pub(crate) fn pod_policy(isolated: Isolated) -> Snapshot {
    let mut forward = vec![
        "-m conntrack --ctstate ESTABLISHED -j RETURN".to_owned(),
        "-p icmp -m conntrack --ctstate RELATED -j RETURN".to_owned(),
    ];
    let reset = "-j REJECT --reject-with tcp-reset";
    for ends in ["src,src,dst", "dst,dst,src"] {
        forward.push(format!(
            "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m set --match-set cm4-CUT {ends} {reset}"
        ));
    }
    forward.push("! -p tcp -m set --match-set cm4-CUT dst,dst,src -j DROP".to_owned());
    let mut sets = Vec::new();
    let mut class = Vec::new();
    let mut dispatch = Vec::new();
    let (pod, [end, option, at], [class_name, root]) = match isolated {
        Isolated::Nobody => (None, ["", "", ""], ["", ""]),
        Isolated::Client => (Some(CLIENT), ["src", "-j", "-s"], ["CM-E-00000000000000c1", "CM-EGRESS"]),
        Isolated::Server => (Some(SERVER), ["dst", "-g", "-d"], ["CM-I-00000000000000c1", "CM-INGRESS"]),
    };
    if let Some(pod) = pod {
        let set = set_of(Family::V4, SetKind::HashIp, &[&pod.to_string()]);
        forward.push(format!("-m set --match-set {} {end} {option} {root}", set.0));
        dispatch.extend([format!("{at} {pod}/32 -g {class_name}"), "-j DROP".to_owned()]);
        for protocol in ["tcp", "udp"] {
            class.push(format!("-p {protocol} -m {protocol} --dport 443 -j RETURN"));
        }
        class.push("-j DROP".to_owned());
        sets.push(set);
    }
    let chains = BTreeMap::from([(class_name, class), ("CM-FORWARD", forward), (root, dispatch)]);
    let chains = chains.iter().filter(|(_, rules)| !rules.is_empty());
    let declared: String = chains.clone().map(|(chain, _)| format!(":{chain} - [0:0]\n")).collect();
    let rules: String = chains
        .flat_map(|(chain, rules)| rules.iter().map(move |rule| format!("-A {chain} {rule}\n")))
        .collect();
    Snapshot::new(format!("*filter\n{declared}{rules}COMMIT\n"), "*filter\nCOMMIT\n".to_owned(), sets)
}
