//! Sets named by what they hold, so that equal peers share one set and a set that is there is never edited.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::IpNet;
use thiserror::Error;

use crate::{Family, SetName, Sha256Hex};

/// The set types that rules use. The set of cut flows (`hash:ip,port,ip`) is not named by its content and stands
/// apart, see [`cut_set_name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetKind {
    /// Single addresses: pods.
    HashIp,
    /// Networks: ipBlocks.
    HashNet,
    /// Address, protocol and port: named ports of egress peers.
    HashIpPort,
}

impl SetKind {
    /// The type as ipset spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SetKind::HashIp => "hash:ip",
            SetKind::HashNet => "hash:net",
            SetKind::HashIpPort => "hash:ip,port",
        }
    }
}

impl FromStr for SetKind {
    type Err = MemberError;

    fn from_str(text: &str) -> Result<Self, MemberError> {
        match text {
            "hash:ip" => Ok(SetKind::HashIp),
            "hash:net" => Ok(SetKind::HashNet),
            "hash:ip,port" => Ok(SetKind::HashIpPort),
            _ => Err(MemberError { text: text.to_owned(), wanted: "hash:ip, hash:net or hash:ip,port" }),
        }
    }
}

/// The transport protocols that have ports (NetworkPolicy knows no others).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Transport {
    /// All of them, in rule order.
    pub const ALL: [Transport; 3] = [Transport::Tcp, Transport::Udp, Transport::Sctp];

    /// The lowercase word of iptables and ipset.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::Sctp => "sctp",
        }
    }
}

/// One member of a set, in the form that `ipset save` prints: `10.0.0.1`, `10.0.0.0/8` (a host without its /32 or
/// /128), `10.0.0.1,tcp:80`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// Of a `hash:ip`.
    Ip(IpAddr),
    /// Of a `hash:net`; host bits are zero.
    Net(IpNet),
    /// Of a `hash:ip,port`.
    IpPort(IpAddr, Transport, u16),
}

/// A text that is no member of the kind of set it stands in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not {wanted}")]
pub struct MemberError {
    text: String,
    wanted: &'static str,
}

impl Member {
    /// Reads a member as `ipset save` prints it.
    ///
    /// # Errors
    /// When the text is no member of that kind of set.
    pub fn parse(kind: SetKind, text: &str) -> Result<Self, MemberError> {
        let bad = |wanted| MemberError { text: text.to_owned(), wanted };
        match kind {
            SetKind::HashIp => text.parse().map(Member::Ip).map_err(|_| bad("an address")),
            SetKind::HashNet => text
                .parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .map(|net| Member::Net(net.trunc()))
                .map_err(|_| bad("a network")),
            SetKind::HashIpPort => {
                let wanted = "ADDRESS,PROTOCOL:PORT";
                let (ip, service) = text.split_once(',').ok_or_else(|| bad(wanted))?;
                let (word, port) = service.split_once(':').ok_or_else(|| bad(wanted))?;
                let transport =
                    Transport::ALL.into_iter().find(|t| t.as_str() == word).ok_or_else(|| bad(wanted))?;
                let ip = ip.parse().map_err(|_| bad(wanted))?;
                Ok(Member::IpPort(ip, transport, port.parse().map_err(|_| bad(wanted))?))
            }
        }
    }

    /// Adds the member to a text, as [`fmt::Display`] prints it. Nearly all are IPv4 addresses; for those the formatter would
    /// take longer than the rest of reading a set.
    fn write(&self, text: &mut String) {
        use fmt::Write as _;
        match self {
            Member::Ip(IpAddr::V4(ip)) => ipv4(text, *ip),
            Member::Net(IpNet::V4(net)) if net.prefix_len() == net.max_prefix_len() => {
                ipv4(text, net.addr());
            }
            Member::Net(IpNet::V4(net)) => {
                ipv4(text, net.addr());
                text.push('/');
                decimal(text, net.prefix_len());
            }
            Member::Ip(_) | Member::Net(_) | Member::IpPort(..) => {
                write!(text, "{self}").expect("writing to a String cannot fail");
            }
        }
    }

    /// The family of the member's address.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Member::Ip(ip) | Member::IpPort(ip, ..) => Family::of(*ip),
            Member::Net(net) => Family::of_net(net),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Ip(ip) => KernelAddress(*ip).fmt(f),
            Member::Net(net) if net.prefix_len() == net.max_prefix_len() => KernelAddress(net.addr()).fmt(f),
            Member::Net(net) => write!(f, "{}/{}", KernelAddress(net.addr()), net.prefix_len()),
            Member::IpPort(ip, transport, port) => {
                write!(f, "{},{}:{port}", KernelAddress(*ip), transport.as_str())
            }
        }
    }
}

/// An address as the kernel's tools print it: as `inet_ntop(3)`, which writes the last 32 bits of `::/96` like IPv4
/// where there is more than the last 16 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelAddress(pub IpAddr);

impl fmt::Display for KernelAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V6(v6)
                if u128::from(v6) <= u128::from(u32::MAX) && u128::from(v6) > u128::from(u16::MAX) =>
            {
                let [.., a, b, c, d] = v6.octets();
                write!(f, "::{a}.{b}.{c}.{d}")
            }
            address => address.fmt(f),
        }
    }
}

/// Adds an IPv4 address to a text, as [`fmt::Display`] prints it.
fn ipv4(text: &mut String, ip: Ipv4Addr) {
    let [first, rest @ ..] = ip.octets();
    decimal(text, first);
    for octet in rest {
        text.push('.');
        decimal(text, octet);
    }
}

/// Adds a number to a text, without zeros before it.
fn decimal(text: &mut String, number: u8) {
    let digit = |number: u8| char::from(b'0' + number % 10);
    if number >= 100 {
        text.push(digit(number / 100));
    }
    if number >= 10 {
        text.push(digit(number / 10));
    }
    text.push(digit(number));
}

/// The members of a set, each once and in order, as lines of text: what its name and its text are both made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberLines {
    text: String,
    count: usize,
}

impl FromIterator<Member> for MemberLines {
    fn from_iter<I: IntoIterator<Item = Member>>(members: I) -> Self {
        let mut members: Vec<Member> = members.into_iter().collect();
        members.sort_unstable();
        members.dedup();
        let mut text = String::new();
        for member in &members {
            member.write(&mut text);
            text.push('\n');
        }
        Self { text, count: members.len() }
    }
}

impl MemberLines {
    /// Reads lines that are members of a kind, each once, in order and spelled as [`Member`] is printed, as a snapshot has
    /// them: the members too, so that they can be compared with others.
    ///
    /// # Errors
    /// On the first line that is no such member, or stands in the wrong place.
    pub fn parse<'a>(
        kind: SetKind,
        lines: impl IntoIterator<Item = &'a str>,
    ) -> Result<(Self, Vec<Member>), MemberError> {
        let (mut text, mut members) = (String::new(), Vec::new());
        // One member is written over the last, so that nothing is allocated for each.
        let mut anew = String::new();
        for line in lines {
            let member = Member::parse(kind, line)?;
            anew.clear();
            member.write(&mut anew);
            if anew != line {
                return Err(MemberError { text: line.to_owned(), wanted: "written as ipset prints it" });
            }
            if members.last().is_some_and(|last| *last >= member) {
                return Err(MemberError { text: line.to_owned(), wanted: "after the member before it" });
            }
            text.push_str(line);
            text.push('\n');
            members.push(member);
        }
        Ok((Self { text, count: members.len() }, members))
    }

    /// The members as text.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The name of a set with exactly these members: the family's prefix and 20 hex digits of SHA-256 over family,
    /// type and sorted members. Tuning (hashsize, maxelem) is not part of what a set is, so not of its name.
    #[must_use]
    pub fn content_name(&self, family: Family, kind: SetKind) -> SetName {
        let digest =
            Sha256Hex::of_parts([family.ipset_word(), "\n", kind.as_str(), "\n", self.text.as_str()]);
        SetName::try_from(format!("{}{}", family.set_prefix(), digest.short(20)))
            .expect("a prefix of 4 and 20 hex digits are within 31 bytes")
    }
}

/// The name of a set with exactly these members, as [`MemberLines::content_name`].
#[must_use]
pub fn content_name(family: Family, kind: SetKind, members: &BTreeSet<Member>) -> SetName {
    members.iter().copied().collect::<MemberLines>().content_name(family, kind)
}

/// What follows the family's prefix in the name of a set of cut flows; no content name is as short.
const CUT: &str = "CUT";

/// The name of the one set whose members change: flows that were cut after a policy was tightened.
#[must_use]
pub fn cut_set_name(family: Family) -> SetName {
    SetName::try_from(format!("{}{CUT}", family.set_prefix())).expect("7 bytes are within 31")
}

/// Whether a set is the mutable one, which digests, proof and orphan removal pass by.
#[must_use]
pub fn is_cut_set(name: &SetName) -> bool {
    Family::ALL.iter().any(|family| name.as_str().strip_prefix(family.set_prefix()) == Some(CUT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_round_trip_as_ipset_prints_them() {
        let rows = [
            (SetKind::HashIp, "10.0.0.1", "10.0.0.1"),
            (SetKind::HashIp, "fd00::1", "fd00::1"),
            (SetKind::HashIp, "::1", "::1"),
            (SetKind::HashIp, "::a02:9", "::10.2.0.9"),
            (SetKind::HashNet, "::8000:0/97", "::128.0.0.0/97"),
            (SetKind::HashNet, "10.0.0.0/8", "10.0.0.0/8"),
            (SetKind::HashNet, "10.0.0.1/32", "10.0.0.1"),
            (SetKind::HashNet, "10.1.2.3/8", "10.0.0.0/8"),
            (SetKind::HashIpPort, "10.0.0.1,sctp:80", "10.0.0.1,sctp:80"),
        ];
        for (kind, text, printed) in rows {
            assert_eq!(Member::parse(kind, text).unwrap().to_string(), printed, "{text}");
        }
        for (kind, text) in [
            (SetKind::HashIp, "10.0.0.0/8"),
            (SetKind::HashIpPort, "10.0.0.1,80"),
            (SetKind::HashIpPort, "10.0.0.1,icmp:8"),
            (SetKind::HashNet, "10.0.0.0/33"),
        ] {
            assert!(Member::parse(kind, text).is_err(), "{text}");
        }
    }

    #[test]
    fn members_are_written_as_they_are_printed() {
        let octets = (0..=u8::MAX)
            .flat_map(|octet| [[octet, 0, 9, 255], [100, octet, 99, octet], [1, 10, 101, octet]]);
        for octets in octets {
            let ip = IpAddr::from(octets);
            let mut members = vec![Member::Ip(ip), Member::IpPort(ip, Transport::Tcp, 80)];
            members.extend((0..=32).map(|length| Member::Net(IpNet::new(ip, length).unwrap().trunc())));
            members.push(Member::Ip("::a02:9".parse().unwrap()));
            for member in members {
                let mut written = String::new();
                member.write(&mut written);
                assert_eq!(written, member.to_string());
            }
        }
    }

    #[test]
    fn a_member_has_one_spelling() {
        let rows: [(SetKind, &[&str]); 3] = [
            (
                SetKind::HashIp,
                &["010.0.0.1", "10.0.0.01", "10.0.0.1/32", "10.0.0.1 ", "fd00::0", "FD00::1", "::a02:9"],
            ),
            (SetKind::HashNet, &["10.0.0.0/08", "10.1.2.3/8", "10.0.0.1/32", "fd00:0::/16", "10.0.0.0/+8"]),
            (SetKind::HashIpPort, &["10.0.0.1,tcp:080", "10.0.0.1,tcp:+80", "10.0.0.1,TCP:80"]),
        ];
        for (kind, texts) in rows {
            for text in texts {
                assert!(MemberLines::parse(kind, [*text]).is_err(), "{text:?}");
            }
        }
    }

    #[test]
    fn a_name_depends_on_family_type_and_members_only() {
        let set = |kind, texts: &[&str]| {
            let members = texts.iter().map(|t| Member::parse(kind, t).unwrap()).collect();
            content_name(Family::V4, kind, &members)
        };
        let ip = SetKind::HashIp;
        assert_eq!(set(ip, &["10.0.0.1", "10.0.0.2"]), set(ip, &["10.0.0.2", "10.0.0.1"]));
        // As `printf 'inet\nhash:ip\n10.0.0.1\n10.0.0.2\n' | sha256sum` says.
        assert_eq!(set(ip, &["10.0.0.1", "10.0.0.2"]).as_str(), "cm4-b2ce9ffaea63959b88b8");
        let repeated: MemberLines = ["10.0.0.9", "10.0.0.10", "10.0.0.9"]
            .map(|t| Member::parse(ip, t).unwrap())
            .into_iter()
            .collect();
        assert_eq!((repeated.len(), repeated.iter().collect::<Vec<_>>()), (2, vec!["10.0.0.9", "10.0.0.10"]));
        let written = MemberLines::parse(ip, repeated.iter());
        assert_eq!(written.map(|(lines, members)| (lines, members.len())), Ok((repeated, 2)));
        for twice_or_back in [["10.0.0.9", "10.0.0.9"], ["10.0.0.10", "10.0.0.9"]] {
            assert!(MemberLines::parse(ip, twice_or_back).is_err(), "{twice_or_back:?}");
        }
        assert_ne!(set(ip, &["10.0.0.1"]), set(SetKind::HashNet, &["10.0.0.1"]));
        assert_ne!(set(ip, &["10.0.0.1"]), set(ip, &["10.0.0.1", "10.0.0.2"]));
        assert_ne!(
            content_name(Family::V4, ip, &BTreeSet::new()),
            content_name(Family::V6, ip, &BTreeSet::new())
        );
    }
}
