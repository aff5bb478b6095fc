//! Established flows that new rules refuse, and how they are ended.
//!
//! The first rule of ours lets established packets pass, so a tightened policy alone ends nothing; and an entry of
//! conntrack that is only deleted comes back with the peer's next packet. So each refused flow becomes a member of the
//! set of cut flows, which rules answer with a reset or drop, and then its entry is deleted.

use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;

use chainmail_contract::{Family, KernelAddress, Transport, cut_set_name};
use chainmail_verdict::{ConnState, Kernel, Packet, Payload, Protocol, TcpFlags, Verdict};

/// How long a cut UDP flow stays cut, in seconds. UDP has no end, so another flow may come to the same ports.
const UDP_SECONDS: u32 = 600;
/// How long any other cut flow does.
const SECONDS: u32 = 86_400;

/// One direction of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tuple {
    /// Where its packets come from.
    pub src: IpAddr,
    /// Where they go to.
    pub dst: IpAddr,
    /// The ports, for protocols that have some.
    pub ports: Option<(u16, u16)>,
}

/// An entry of conntrack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// The protocol's number.
    pub protocol: u8,
    /// As the first packet came, before any translation.
    pub original: Tuple,
    /// As answers come, before any translation.
    pub reply: Tuple,
    /// Type, code and identifier of an ICMP request.
    pub icmp: Option<(u8, u8, u16)>,
    /// The conntrack zone, where it is not 0.
    pub zone: Option<u16>,
    /// Whether TCP has ended it; such an entry only waits for its deletion.
    pub ended: bool,
}

/// What a cut flow was, as FORWARD saw it, so that it can be judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cut {
    client: IpAddr,
    transport: Transport,
    client_port: u16,
    server: IpAddr,
    server_port: u16,
}

impl Flow {
    /// Reads a line of `conntrack -L -o extended`; `None` for one that it does not print.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        // "ipv4 2 tcp 6 431999 ESTABLISHED src=…": family and protocol, each as a word and a number.
        let protocol = words.nth(3)?.parse().ok()?;
        let mut fields: Vec<(&str, &str)> = Vec::new();
        let mut ended = false;
        for word in words {
            match word.split_once('=') {
                Some(field) => fields.push(field),
                None => ended |= matches!(word, "TIME_WAIT" | "CLOSE"),
            }
        }
        let nth = |name: &str, number: usize| {
            fields.iter().filter(|field| field.0 == name).nth(number).map(|field| field.1)
        };
        let number = |name: &str, place: usize| nth(name, place)?.parse::<u16>().ok();
        let tuple = |place| {
            let ports = number("sport", place).zip(number("dport", place));
            Some(Tuple {
                src: nth("src", place)?.parse().ok()?,
                dst: nth("dst", place)?.parse().ok()?,
                ports,
            })
        };
        let byte = |name| nth(name, 0)?.parse::<u8>().ok();
        let icmp =
            byte("type").zip(byte("code")).zip(number("id", 0)).map(|((kind, code), id)| (kind, code, id));
        Some(Self { protocol, original: tuple(0)?, reply: tuple(1)?, icmp, zone: number("zone", 0), ended })
    }

    /// The first packet of the flow as FORWARD sees it: after the destination was translated, and before the source is.
    /// The reply comes from where the original went to in truth.
    fn opening(&self) -> Option<Packet> {
        let (src, dst) = (self.original.src, self.reply.src);
        let ports = self.original.ports.zip(self.reply.ports).map(|((sport, _), (dport, _))| (sport, dport));
        let payload = match (Protocol(self.protocol).transport(), ports, self.icmp) {
            (Some(Transport::Tcp), Some((sport, dport)), _) => {
                Payload::Tcp { sport, dport, flags: TcpFlags::SYN }
            }
            (Some(Transport::Udp), Some((sport, dport)), _) => Payload::Udp { sport, dport },
            (Some(Transport::Sctp), Some((sport, dport)), _) => Payload::Sctp { sport, dport },
            (None, _, Some((type_, code, _))) => Payload::Icmp { type_, code },
            (None, _, None) => Payload::Other(self.protocol),
            (Some(_), None, _) => return None,
        };
        Packet::new(src, dst, payload, ConnState::New).ok()
    }

    /// Whether one end is the node itself, so that its packets never came through FORWARD.
    #[must_use]
    pub fn is_of(&self, node: &BTreeSet<IpAddr>) -> bool {
        node.contains(&self.original.src) || node.contains(&self.reply.src)
    }

    fn cut(&self) -> Option<Cut> {
        let transport = Protocol(self.protocol).transport()?;
        let ((client_port, _), (server_port, _)) = self.original.ports.zip(self.reply.ports)?;
        let (client, server) = (self.original.src, self.reply.src);
        Some(Cut { client, transport, client_port, server, server_port })
    }

    /// The line that deletes its entry, for `conntrack`.
    #[must_use]
    pub fn deletion(&self) -> String {
        let Tuple { src, dst, ports } = self.original;
        let family = match Family::of(src) {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        };
        let mut line = format!("-D -f {family} -p {} -s {src} -d {dst}", self.protocol);
        if let Some((sport, dport)) = ports {
            write!(line, " --sport {sport} --dport {dport}").expect("a String takes all");
        }
        if let Some((kind, code, id)) = self.icmp {
            let word = if family == "ipv4" { "icmp" } else { "icmpv6" };
            write!(line, " --{word}-type {kind} --{word}-code {code} --{word}-id {id}")
                .expect("a String takes all");
        }
        if let Some(zone) = self.zone {
            write!(line, " -w {zone}").expect("a String takes all");
        }
        line
    }
}

impl Cut {
    /// The family of both ends.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.client)
    }

    fn opening(&self) -> Option<Packet> {
        let (sport, dport) = (self.client_port, self.server_port);
        let payload = match self.transport {
            Transport::Tcp => Payload::Tcp { sport, dport, flags: TcpFlags::SYN },
            Transport::Udp => Payload::Udp { sport, dport },
            Transport::Sctp => Payload::Sctp { sport, dport },
        };
        Packet::new(self.client, self.server, payload, ConnState::New).ok()
    }

    /// The line that puts it into the set of cut flows, for `ipset restore`.
    #[must_use]
    pub fn addition(&self) -> String {
        let seconds = match self.transport {
            Transport::Udp => UDP_SECONDS,
            Transport::Tcp | Transport::Sctp => SECONDS,
        };
        format!("add {self} timeout {seconds} -exist\n")
    }

    /// The line that takes it out again.
    #[must_use]
    pub fn removal(&self) -> String {
        format!("del {self} -exist\n")
    }

    /// The line that remembers it.
    #[must_use]
    pub fn record(&self) -> String {
        let Self { client, transport, client_port, server, server_port } = self;
        format!("{} {client} {client_port} {server} {server_port}\n", transport.as_str())
    }

    /// Reads such a line.
    #[must_use]
    pub fn parse(record: &str) -> Option<Self> {
        let mut words = record.split(' ');
        let word = words.next()?;
        let transport = Transport::ALL.into_iter().find(|transport| transport.as_str() == word)?;
        let client = words.next()?.parse().ok()?;
        let client_port = words.next()?.parse().ok()?;
        let server = words.next()?.parse().ok()?;
        Some(Self { client, transport, client_port, server, server_port: words.next()?.parse().ok()? })
    }
}

impl fmt::Display for Cut {
    /// Set and member: the client and its port, and the server. Rules look it up in both directions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = cut_set_name(Family::of(self.client));
        let (client, server) = (KernelAddress(self.client), KernelAddress(self.server));
        write!(f, "{set} {client},{}:{},{server}", self.transport.as_str(), self.client_port)
    }
}

/// What is to be done about flows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Flows that the rules refuse.
    pub refused: Vec<Flow>,
    /// Those of them that can come back, and so must be cut.
    pub cut: Vec<Cut>,
}

/// Judges each flow that goes through this node as if it were opened now.
#[must_use]
pub fn judge(rules: &Kernel, flows: Vec<Flow>, node: &BTreeSet<IpAddr>) -> Verdicts {
    let forwarded = flows.into_iter().filter(|flow| !flow.ended && !flow.is_of(node));
    let refused: Vec<_> =
        forwarded.filter(|flow| flow.opening().is_some_and(|packet| refuses(rules, &packet))).collect();
    let cut = refused.iter().filter_map(Flow::cut).collect();
    Verdicts { refused, cut }
}

/// The cut flows that the rules allow by now.
#[must_use]
pub fn allowed_again(rules: &Kernel, cuts: &[Cut]) -> Vec<Cut> {
    let allowed = |cut: &&Cut| cut.opening().is_some_and(|packet| !refuses(rules, &packet));
    cuts.iter().filter(allowed).copied().collect()
}

/// A family without rules refuses nothing.
fn refuses(rules: &Kernel, packet: &Packet) -> bool {
    rules.forward(packet).is_ok_and(|walk| matches!(walk.verdict(), Verdict::Drop | Verdict::Reject))
}

/// The addresses of this host: IPv4 from `/proc/net/fib_trie`, IPv6 from `/proc/net/if_inet6`.
#[must_use]
pub fn host_addresses(fib_trie: &str, if_inet6: &str) -> BTreeSet<IpAddr> {
    let mut addresses = BTreeSet::new();
    let mut leaf = None;
    for line in fib_trie.lines() {
        let line = line.trim();
        match line.strip_prefix("|-- ") {
            Some(address) => leaf = address.parse::<IpAddr>().ok(),
            None if line == "/32 host LOCAL" => addresses.extend(leaf),
            None => {}
        }
    }
    for line in if_inet6.lines() {
        let digits = line.split(' ').next().unwrap_or_default();
        addresses.extend(u128::from_str_radix(digits, 16).map(|bits| IpAddr::V6(bits.into())));
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "ipv4     2 tcp      6 431999 ESTABLISHED src=10.8.0.1 dst=10.96.0.1 sport=40000 dport=80 \
                       src=10.8.0.9 dst=10.8.0.1 sport=8080 dport=40000 [ASSURED] mark=0 zone=3 use=1";

    #[test]
    fn entries_are_read_and_deleted_as_conntrack_spells_them() {
        let rows = [
            (TCP, "-D -f ipv4 -p 6 -s 10.8.0.1 -d 10.96.0.1 --sport 40000 --dport 80 -w 3"),
            (
                "ipv6     10 udp      17 29 src=fd00::1 dst=fd00::2 sport=5 dport=53 [UNREPLIED] src=fd00::2 dst=fd00::1 \
                 sport=53 dport=5 mark=0 use=1",
                "-D -f ipv6 -p 17 -s fd00::1 -d fd00::2 --sport 5 --dport 53",
            ),
            (
                "ipv4     2 icmp     1 29 src=10.8.0.1 dst=10.8.0.9 type=8 code=0 id=77 src=10.8.0.9 dst=10.8.0.1 type=0 \
                 code=0 id=77 mark=0 use=1",
                "-D -f ipv4 -p 1 -s 10.8.0.1 -d 10.8.0.9 --icmp-type 8 --icmp-code 0 --icmp-id 77",
            ),
            (
                "ipv4     2 unknown  47 500 src=10.8.0.1 dst=10.8.0.9 src=10.8.0.9 dst=10.8.0.1 mark=0 use=1",
                "-D -f ipv4 -p 47 -s 10.8.0.1 -d 10.8.0.9",
            ),
        ];
        for (line, deletion) in rows {
            assert_eq!(Flow::parse(line).map(|flow| flow.deletion()).as_deref(), Some(deletion), "{line}");
        }
        assert_eq!(Flow::parse("conntrack v1.4.7 (conntrack-tools): 3 flow entries have been shown."), None);
    }

    #[test]
    fn a_cut_flow_is_the_client_with_its_port_and_the_server_behind_the_service() {
        let cut = Flow::parse(TCP).unwrap().cut().unwrap();
        assert_eq!(cut.addition(), "add cm4-CUT 10.8.0.1,tcp:40000,10.8.0.9 timeout 86400 -exist\n");
        assert_eq!(cut.removal(), "del cm4-CUT 10.8.0.1,tcp:40000,10.8.0.9 -exist\n");
        assert_eq!(cut.record(), "tcp 10.8.0.1 40000 10.8.0.9 8080\n");
        assert_eq!(Cut::parse(cut.record().trim_end()), Some(cut));
    }

    #[test]
    fn only_what_came_through_forward_and_is_refused_now() {
        let rules = "*filter\n:CM-FORWARD - [0:0]\n-A CM-FORWARD -p tcp -m tcp --dport 443 -j RETURN\n\
                     -A CM-FORWARD -d 10.8.0.9/32 -j DROP\nCOMMIT\n";
        let parse = |family, text| chainmail_verdict::Ruleset::parse(family, text).unwrap();
        let sets = chainmail_verdict::Sets::parse("").unwrap();
        let kernel =
            Kernel::new(parse(Family::V4, rules), parse(Family::V6, "*filter\nCOMMIT\n"), sets).unwrap();
        let node = BTreeSet::from(["10.8.0.254".parse().unwrap()]);
        let from = |address: &str| TCP.replace("src=10.8.0.1 ", &format!("src={address} "));
        let rows = [
            (TCP.to_owned(), true),
            (TCP.replace("sport=8080", "sport=443"), false),
            (TCP.replace("src=10.8.0.9 ", "src=10.8.0.7 "), false),
            (TCP.replace("ESTABLISHED", "TIME_WAIT"), false),
            (from("10.8.0.254"), false),
            (from("10.8.0.253"), true),
        ];
        for (line, refused) in rows {
            let verdicts = judge(&kernel, vec![Flow::parse(&line).unwrap()], &node);
            assert_eq!(
                (verdicts.refused.len(), verdicts.cut.len()),
                (usize::from(refused), usize::from(refused)),
                "{line}"
            );
        }
        let cuts = ["tcp 10.8.0.1 5 10.8.0.9 80", "tcp 10.8.0.1 6 10.8.0.9 443"]
            .map(|record| Cut::parse(record).unwrap());
        assert_eq!(allowed_again(&kernel, &cuts), [cuts[1]]);
    }

    #[test]
    fn this_hosts_addresses_are_told_from_its_networks() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 4\n     |-- 10.8.0.0\n        /24 link UNICAST\n     |-- 10.8.0.254\n        /32 \
                    host LOCAL\n     |-- 10.8.0.255\n        /32 link BROADCAST\n";
        let inet6 = "fd000000000000000000000000000001 02 40 00 80     eth0\n";
        let expected: BTreeSet<IpAddr> = ["10.8.0.254", "fd00::1"].map(|text| text.parse().unwrap()).into();
        assert_eq!(host_addresses(trie, inet6), expected);
    }
}
