//! What is fuzzed: the readers of kernel text and of a snapshot's rules, and the walk of all packets at once against that of
//! each.
//!
//! `tests/fuzz` links this file with libFuzzer; `tests/tests/fuzzed.rs` runs it on what that found.

#![allow(dead_code, unreachable_pub, reason = "each fuzz target uses its own part")]

use std::net::IpAddr;

use chainmail_contract::{Family, SetKind, Transport};
use chainmail_reconciler::rules::{self, Asked, RuleText, SetKinds};
use chainmail_verdict::exact::{Ending, Modes, Piece, Service, Stretch, Summaries};
use chainmail_verdict::record::{Record, entries, records, set_texts, words};
use chainmail_verdict::{
    ConnState, Denial, End, Kernel, Packet, Payload, Protocol, Ruleset, Set, SetType, Sets, Table, TcpFlags,
    Verdict,
};

/// Reads text as rules of IPv4, rules of IPv6 and sets, with a line `=` between them; then each as what another is, and
/// walks packets through what can be put together.
///
/// # Panics
/// When a reader accepts what it must not, or panics.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.splitn(3, "\n=\n");
    let [v4, v6, sets] = [(); 3].map(|()| parts.next().unwrap_or_default());
    for (family, other) in [(Family::V6, v4), (Family::V4, v6)] {
        drop(Ruleset::parse(family, other));
    }
    drop(Sets::parse(v4));
    drop(Sets::parse_each(text));
    records_are_all_of(text);
    let texts = [v4, v6];
    let rules = [(Family::V4, v4), (Family::V6, v6)].map(|(family, text)| {
        // Lines that stand in no table of ours are not rules of ours.
        let table = Table::read(family, text).ok()?;
        let lines = table.ours().iter().map(|chain| chain.rules.len()).sum::<usize>();
        let rules = Ruleset::from_table(&table).ok()?;
        assert_eq!(rules.chains().iter().map(|chain| chain.rules.len()).sum::<usize>(), lines);
        Some(rules)
    });
    let ([Some(v4), Some(v6)], Ok(sets)) = (rules, Sets::parse(sets)) else { return };
    for set in sets.iter() {
        drop(set.content_name());
    }
    for rules in [&v4, &v6] {
        snapshot_rules(rules, if rules.family() == Family::V4 { texts[0] } else { texts[1] }, &sets);
    }
    let Ok(kernel) = Kernel::new(v4, v6, sets) else { return };
    for family in Family::ALL {
        assert!(kernel.longest_path(family).len() <= kernel.rules(family).chains().len());
        let rules = kernel.rules(family);
        drop(rules.forward_jumps());
        drop(rules.passing_before_our_jump());
        if rules.find("CM-FORWARD").is_none() {
            continue;
        }
        let ends = addresses(family);
        let payloads = [
            Payload::Tcp { sport: 49152, dport: 80, flags: TcpFlags::SYN },
            Payload::Udp { sport: 49152, dport: 53 },
            Payload::Icmp { type_: 133, code: 0 },
            Payload::Other(47),
        ];
        for (src, dst) in [(ends[0], ends[1]), (ends[1], ends[3])] {
            for payload in payloads {
                let packet = Packet::new(src, dst, payload, ConnState::New).expect("a packet of one family");
                kernel.forward(&packet).expect("CM-FORWARD is loaded");
            }
        }
    }
}

/// Every byte of a text is in one record or is the newline behind it, and no record stands on another's line.
fn records_are_all_of(text: &str) {
    let (mut rest, mut line) = (text, 1);
    for record in records(text) {
        assert_eq!(record.number, line, "{record:?}");
        rest = rest.strip_prefix(record.text).expect("records follow each other");
        line += 1 + u32::try_from(record.text.matches('\n').count()).expect("inputs are short");
        rest = rest.strip_prefix('\n').unwrap_or(rest);
        match record.record {
            Record::Rule { text, body, .. } => {
                assert!(record.text.ends_with(text) && text.ends_with(body), "{record:?}");
                drop(words(body));
                drop(RuleText::of_live(body));
            }
            Record::Table(_)
            | Record::Chain { .. }
            | Record::Commit
            | Record::Remark(_)
            | Record::Other(_) => {}
        }
    }
    assert_eq!(rest, "", "no record has this");
    let sets: usize = set_texts(text).map(str::len).sum();
    assert!(sets <= text.len() && entries(text).count() <= text.len());
}

/// What a snapshot with these rules would give to root's tools: as many rules as the judge has read, each on its line.
fn snapshot_rules(judged: &Ruleset, text: &str, sets: &Sets) {
    let asked = |set: &Set| {
        let kind = match set.set_type() {
            SetType::HashIp => SetKind::HashIp,
            SetType::HashNet => SetKind::HashNet,
            SetType::HashIpPort => SetKind::HashIpPort,
            SetType::HashIpPortIp => return Asked::Cut,
        };
        Asked::Content(kind)
    };
    let kinds: SetKinds = sets.iter().map(|set| (set.name().clone(), asked(set))).collect();
    let Ok(chains) = rules::read(judged.family(), text, &kinds) else { return };
    let written =
        |chain: &str| chains.iter().find(|(name, _)| name.as_str() == chain).map(|(_, rules)| rules);
    assert_eq!(chains.len(), judged.chains().len());
    for chain in judged.chains() {
        let rules = written(chain.name.as_str()).expect("each chain is written");
        assert_eq!(rules.len(), chain.rules.len());
        assert!(rules.iter().all(|rule| !rule.as_str().contains('\n')), "a rule is one line: {rules:?}");
    }
}

/// Makes rules from the bytes and walks all packets through them at once, both ways; then walks packets that the rest of
/// the bytes pick one by one, and holds where each ends against where all do.
///
/// # Panics
/// When a packet is in no piece or in two, or ends elsewhere.
pub fn walk(bytes: &[u8]) {
    let mut draw = Draw(bytes);
    let family = if draw.below(2) == 0 { Family::V4 } else { Family::V6 };
    let Some(kernel) = draw.kernel(family) else { return };
    let rules = kernel.rules(family);
    let modes = Modes::of(rules, &[]);
    let all = modes.all();
    let plain: Vec<_> = modes.of_set(&all).filter(|mode| mode.cut.is_empty()).collect();
    let base = rules.find("CM-FORWARD").map_or(0, |entry| rules.chain(entry).rules.len());
    let mut known = Summaries::default();
    let pieces = [End::Src, End::Dst].map(|subject| {
        let stretch = Stretch { family, subject, rules: 0..base, modes: &modes };
        kernel.pieces(&stretch, &mut known)
    });
    let [Ok(by_source), Ok(by_destination)] = pieces else { return };
    let (ends, services) = (addresses(family), services());
    for _ in 0..PACKETS {
        let (src, dst) = (draw.pick(&ends), draw.pick(&ends));
        let (service, mode) = (draw.pick(&services), draw.pick(&plain));
        let packet = mode.packet(src, dst, service).expect("ends of one family");
        let walk = kernel.forward(&packet).expect("CM-FORWARD is loaded");
        let (verdict, told) = (walk.verdict(), walk.matched().iter().find_map(|step| step.chain.denial()));
        for (pieces, subject, peer) in [(&by_source, src, dst), (&by_destination, dst, src)] {
            let holds = |piece: &&Piece| {
                let part = |part: &chainmail_verdict::exact::Part| {
                    part.traffic.contains(peer, service) && modes.of_set(&part.modes).any(|one| one == mode)
                };
                piece.subjects.contains(subject)
                    && piece.traffic.contains(peer, service)
                    && piece.parts.iter().any(part)
            };
            let holding: Vec<&Piece> = pieces.iter().filter(holds).collect();
            assert_eq!(holding.len(), 1, "{packet:?} is in one piece");
            let found = ending(&holding[0].ending, peer, service);
            // What comes behind an observed denial is followed for single packets only.
            let same = match (told, verdict) {
                (Some(Denial::Logged), verdict) => *found == Ending::Logged && verdict == Verdict::Drop,
                (Some(Denial::Observed), verdict) => {
                    *found == Ending::Observed && !matches!(verdict, Verdict::Pass | Verdict::Accept)
                }
                (None, Verdict::Pass) => matches!(found, Ending::Pass | Ending::Through),
                (None, Verdict::Accept) => *found == Ending::Accept,
                (None, Verdict::Drop) => *found == Ending::Drop,
                (None, Verdict::Reject) => matches!(found, Ending::Reject(_)),
                (None, Verdict::Observed) => false,
            };
            assert!(same, "{packet:?} ends in {verdict:?} by itself, and with all others in {found:?}");
        }
    }
}

/// How many packets are walked by themselves.
const PACKETS: usize = 48;

fn ending(ending: &Ending, peer: IpAddr, service: Service) -> &Ending {
    let Ending::Chain { summary, returned, .. } = ending else { return ending };
    let mut fits = summary.parts(returned).into_iter().filter(|(traffic, _)| traffic.contains(peer, service));
    let (Some((_, ending)), None) = (fits.next(), fits.next()) else { panic!("a summary gives one answer") };
    ending
}

fn addresses(family: Family) -> [IpAddr; 8] {
    let text = match family {
        Family::V4 => [
            "0.0.0.0",
            "10.0.0.1",
            "10.0.0.2",
            "10.0.0.3",
            "10.0.0.4",
            "10.0.1.1",
            "192.0.2.7",
            "255.255.255.255",
        ],
        Family::V6 => ["::", "fd00::1", "fd00::2", "fd00::3", "fd00::4", "fd00::1:1", "fe80::1", "ffff::"],
    };
    text.map(|address| address.parse().expect("these are addresses"))
}

fn services() -> Vec<Service> {
    let ports = [0, 52, 53, 79, 80, 81, 443, 444, 65535];
    let of = |transport| ports.map(|port| Service::Port(transport, port));
    let others = [(0, 0), (3, 4), (8, 0), (133, 0), (133, 1)].map(|(kind, code)| Service::Icmp(kind, code));
    let others = others.into_iter().chain([Service::Other(Protocol(47)), Service::Other(Protocol(50))]);
    Transport::ALL.into_iter().flat_map(of).chain(others).collect()
}

/// Choices that bytes make; where they are used up, the first of what there is.
struct Draw<'b>(&'b [u8]);

impl Draw<'_> {
    fn below(&mut self, limit: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % limit
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// Three chains that lead to each other, and the sets they name. Rules that iptables would refuse are left out.
    fn kernel(&mut self, family: Family) -> Option<Kernel> {
        const BASE: [&str; 11] = [
            "-j DROP",
            "-j RETURN",
            "-j CM-A",
            "-g CM-A",
            "-j CM-B",
            "-g CM-B",
            "-j ACCEPT",
            "-j REJECT",
            "-p tcp -j REJECT --reject-with tcp-reset",
            "-j NFLOG",
            "",
        ];
        const FIRST: [&str; 6] = ["-j DROP", "-j RETURN", "-j CM-B", "-g CM-B", "-j ACCEPT", ""];
        const LAST: [&str; 5] = ["-j DROP", "-j RETURN", "-j ACCEPT", "-j REJECT", ""];
        let head = "*filter\n:CM-FORWARD - [0:0]\n:CM-A - [0:0]\n:CM-B - [0:0]\n";
        let mut lines = String::new();
        for (chain, targets) in [("CM-FORWARD", &BASE[..]), ("CM-A", &FIRST[..]), ("CM-B", &LAST[..])] {
            for _ in 0..self.below(8) {
                let conditions = (0..self.below(4)).map(|_| self.condition(family)).collect::<Vec<String>>();
                let line = format!("-A {chain} {} {}\n", conditions.join(" "), self.pick(targets));
                if Ruleset::parse(family, &format!("{head}{line}COMMIT\n")).is_ok() {
                    lines.push_str(&line);
                }
            }
        }
        let text = format!("{head}{lines}COMMIT\n");
        let (v4, v6) = if family == Family::V4 { (&*text, "") } else { ("", &*text) };
        let rules = |family, text| Ruleset::parse(family, text).expect("each line was read by itself");
        let sets: String = (0..3).map(|set| self.set(family, set)).collect();
        let sets = Sets::parse(&sets).ok()?;
        Some(
            Kernel::new(rules(Family::V4, v4), rules(Family::V6, v6), sets)
                .expect("the sets are there, without loops"),
        )
    }

    fn condition(&mut self, family: Family) -> String {
        let not = self.pick(&["", "! "]);
        let prefix = family.set_prefix();
        match self.below(14) {
            0 => format!("{not}{} {}", self.pick(&["-s", "-d"]), self.network(family)),
            1 => format!("-m set {not}--match-set {prefix}0 {}", self.pick(&["src", "dst"])),
            2 => format!("-m set {not}--match-set {prefix}1 {}", self.pick(&["src", "dst"])),
            3 => format!("-m set {not}--match-set {prefix}2 {}", self.pick(&["src,dst", "dst,dst"])),
            4 => format!("{not}-p {}", self.pick(&["tcp", "udp", "sctp", "47", "icmp", "ipv6-icmp"])),
            5 => {
                let protocol = self.pick(&["tcp", "udp"]);
                let end = self.pick(&["dport", "sport"]);
                format!("-p {protocol} -m {protocol} {not}--{end} {}", self.ports())
            }
            6 => {
                let ports = [self.ports(), self.ports()].join(",");
                format!("-p udp -m multiport {not}--{} {ports}", self.pick(&["dports", "sports", "ports"]))
            }
            7 => format!("-p tcp -m tcp {not}--tcp-flags FIN,SYN,RST,ACK {}", self.pick(&["SYN", "NONE"])),
            8 => format!(
                "-m conntrack {not}--ctstate {}",
                self.pick(&["ESTABLISHED", "NEW", "INVALID,RELATED"])
            ),
            9 if family == Family::V4 => {
                format!("-p icmp -m icmp {not}--icmp-type {}", self.pick(&["3", "8/0"]))
            }
            9 => format!("-p ipv6-icmp -m icmp6 {not}--icmpv6-type {}", self.pick(&["133", "133/0"])),
            10 => format!("-m hl {not}--hl-eq {}", self.pick(&["255", "64"])),
            11 => format!("{not}{} {}", self.pick(&["-i", "-o"]), self.pick(&["br0", "b+", "+"])),
            12 => format!("-m addrtype {not}--dst-type {}", self.pick(&["UNICAST", "MULTICAST"])),
            _ => {
                format!("-m set {not}--match-set {prefix}CUT {}", self.pick(&["src,src,dst", "dst,dst,src"]))
            }
        }
    }

    fn network(&mut self, family: Family) -> &'static str {
        let nets = match family {
            Family::V4 => ["10.0.0.0/24", "10.0.0.1/32", "0.0.0.0/0", "10.0.0.2/31", "128.0.0.0/1"],
            Family::V6 => ["fd00::/112", "fd00::1/128", "::/0", "fd00::2/127", "8000::/1"],
        };
        self.pick(&nets)
    }

    fn ports(&mut self) -> String {
        let ports = [0, 53, 80, 443, 65535];
        let (first, last) = (self.pick(&ports), self.pick(&ports));
        format!("{}:{}", first.min(last), first.max(last))
    }

    /// Hosts, networks or services; the CUT set comes with the last.
    fn set(&mut self, family: Family, number: usize) -> String {
        let name = format!("{}{number}", family.set_prefix());
        let kind = ["hash:ip", "hash:net", "hash:ip,port"][number];
        let mut text = format!("create {name} {kind} family {}\n", family.ipset_word());
        let ends = addresses(family);
        for _ in 0..self.below(4) {
            let member = match number {
                0 => self.pick(&ends[1..]).to_string(),
                1 => self.network(family).to_owned(),
                _ => format!(
                    "{},{}:{}",
                    self.pick(&ends[1..]),
                    self.pick(&["tcp", "udp"]),
                    self.pick(&[53, 80, 443])
                ),
            };
            // The second of one member would be refused, and so would a network of everything.
            let more = format!("{text}add {name} {member}\n");
            if Sets::parse(&more).is_ok_and(|sets| sets.iter().all(|set: &Set| set.family() == family)) {
                text = more;
            }
        }
        if number == 2 {
            let word = family.ipset_word();
            let prefix = family.set_prefix();
            text.push_str(&format!("create {prefix}CUT hash:ip,port,ip family {word} timeout 60\n"));
        }
        text
    }
}
