//! Exact sets and the walk of all packets at once, against brute force on a reduced space.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::net::IpAddr;
use std::rc::Rc;

use chainmail_contract::{Family, Transport};
use chainmail_verdict::exact::{
    AddressSet, Ending, Modes, Piece, Service, ServiceSet, Stretch, Summaries, Traffic,
};
use chainmail_verdict::{Denial, End, Kernel, PortRange, Protocol, Ruleset, Sets, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// The reduced space: the few addresses and services that generated rules can tell apart, one for each kind.
fn addresses(family: Family) -> Vec<IpAddr> {
    let text = match family {
        Family::V4 => {
            ["0.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.1.1", "192.0.2.7", "255.255.255.255"]
        }
        Family::V6 => ["::", "fd00::1", "fd00::2", "fd00::3", "fd00::1:1", "fe80::1", "ffff::"],
    };
    text.iter().map(|address| address.parse().unwrap()).collect()
}

fn services() -> Vec<Service> {
    let ports = [0, 53, 79, 80, 81, 443, 65535];
    let of = |transport| ports.map(|port| Service::Port(transport, port));
    let others =
        [Service::Icmp(0, 0), Service::Icmp(3, 4), Service::Icmp(133, 0), Service::Other(Protocol(47))];
    Transport::ALL.into_iter().flat_map(of).chain(others).collect()
}

fn service_set() -> impl Strategy<Value = ServiceSet> {
    let one = prop_oneof![
        (select(&Transport::ALL[..]), select(vec![(80, 80), (53, 80), (0, 65535), (443, 65535), (81, 443)]))
            .prop_map(|(transport, (first, last))| ServiceSet::ports(transport, PortRange::new(first, last))),
        select(vec![1, 6, 17, 47, 132]).prop_map(|number| ServiceSet::protocol(Protocol(number))),
        (select(vec![0, 3, 133])).prop_map(|kind| ServiceSet::icmp_types(Family::V4, kind, kind)),
        Just(ServiceSet::all()),
    ];
    vec(one, 0..3).prop_map(|some| some.iter().fold(ServiceSet::none(), |all, one| all.union(one)))
}

fn address_set() -> impl Strategy<Value = AddressSet> {
    let nets =
        select(vec!["10.0.0.0/24", "10.0.0.1/32", "10.0.0.2/31", "0.0.0.0/0", "192.0.2.0/24", "240.0.0.0/4"]);
    vec(nets, 0..4).prop_map(|nets| {
        let nets: Vec<_> = nets.iter().map(|net| net.parse().unwrap()).collect();
        AddressSet::of_nets(Family::V4, &nets)
    })
}

fn traffic() -> impl Strategy<Value = Traffic> {
    vec((address_set(), service_set()), 0..4).prop_map(|some| {
        let of = |(peers, services): &(AddressSet, ServiceSet)| Traffic::of(Rc::new(peers.clone()), services);
        some.iter().fold(Traffic::none(Family::V4), |all, one| all.union(&of(one)))
    })
}

/// All pairs of the reduced space, and which of them are in a set.
fn pairs(traffic: &Traffic) -> Vec<bool> {
    let all =
        addresses(Family::V4).into_iter().flat_map(|peer| services().into_iter().map(move |s| (peer, s)));
    all.map(|(peer, service)| traffic.contains(peer, service)).collect()
}

proptest! {
    #[test]
    fn the_algebra_of_traffic_is_that_of_pairs(a in traffic(), b in traffic()) {
        let (in_a, in_b) = (pairs(&a), pairs(&b));
        let of = |keep: &dyn Fn(bool, bool) -> bool| -> Vec<bool> {
            in_a.iter().zip(&in_b).map(|(&a, &b)| keep(a, b)).collect()
        };
        prop_assert_eq!(pairs(&a.union(&b)), of(&|a, b| a || b));
        prop_assert_eq!(pairs(&a.intersection(&b)), of(&|a, b| a && b));
        prop_assert_eq!(pairs(&a.difference(&b)), of(&|a, b| a && !b));
        prop_assert_eq!(pairs(&a.complement()), of(&|a, _| !a));
        // Everything that was put in is told apart by the reduced space, so the answers are the same.
        prop_assert_eq!(a.is_subset(&b), a.difference(&b).is_empty());
        prop_assert_eq!(a.is_disjoint(&b), a.intersection(&b).is_empty());
        prop_assert_eq!(a == b, in_a == in_b);
        // One set, one form.
        prop_assert_eq!(&a.union(&b).difference(&b).union(&a.intersection(&b)), &a);
        prop_assert_eq!(&a.complement().complement(), &a);
        match a.witness() {
            Some((peer, service)) => prop_assert!(a.contains(peer, service)),
            None => prop_assert!(!in_a.contains(&true)),
        }
    }
}

const SETS_V4: &str = "create cm4-hosts hash:ip family inet\nadd cm4-hosts 10.0.0.1\nadd cm4-hosts 192.0.2.7\n\
    create cm4-nets hash:net family inet\nadd cm4-nets 10.0.0.0/30\nadd cm4-nets 240.0.0.0/4\n\
    create cm4-services hash:ip,port family inet\nadd cm4-services 10.0.0.2,tcp:80\nadd cm4-services 10.0.0.2,udp:53\n\
    add cm4-services 10.0.0.3,tcp:443\n\
    create cm4-CUT hash:ip,port,ip family inet timeout 86400\n";
const SETS_V6: &str = "create cm6-hosts hash:ip family inet6\nadd cm6-hosts fd00::1\nadd cm6-hosts ffff::\n\
    create cm6-nets hash:net family inet6\nadd cm6-nets fd00::/126\nadd cm6-nets fe80::/10\n\
    create cm6-services hash:ip,port family inet6\nadd cm6-services fd00::2,tcp:80\nadd cm6-services fd00::2,udp:53\n\
    add cm6-services fd00::3,tcp:443\n\
    create cm6-CUT hash:ip,port,ip family inet6 timeout 86400\n";

/// Conditions of every kind that rules of ours can have, and of some that only a slip could make.
fn condition(family: Family) -> impl Strategy<Value = String> {
    let (sets, nets, icmp) = match family {
        Family::V4 => ("cm4", ["10.0.0.0/24", "10.0.0.1/32", "0.0.0.0/0"], "-p icmp -m icmp --icmp-type 3"),
        Family::V6 => {
            ("cm6", ["fd00::/112", "fd00::1/128", "::/0"], "-p ipv6-icmp -m icmp6 --icmpv6-type 133")
        }
    };
    let not = select(vec!["", "! "]);
    prop_oneof![
        3 => (not.clone(), select(vec!["-s", "-d"]), select(nets.to_vec())).prop_map(|(not, end, net)| format!("{not}{end} {net}")),
        2 => (not.clone(), select(vec!["hosts", "nets"]), select(vec!["src", "dst"])).prop_map(move |(not, set, end)| format!("-m set {not}--match-set {sets}-{set} {end}")),
        1 => (not.clone(), select(vec!["src,dst", "dst,dst"])).prop_map(move |(not, ends)| format!("-m set {not}--match-set {sets}-services {ends}")),
        1 => (not.clone(), select(vec!["src,src,dst", "dst,dst,src"])).prop_map(move |(not, ends)| format!("-m set {not}--match-set {sets}-CUT {ends}")),
        1 => (not.clone(), select(vec!["tcp", "udp"])).prop_map(|(not, protocol)| format!("{not}-p {protocol}")),
        1 => (not.clone(), select(vec!["dport", "sport"]), select(vec!["80", "53:80"])).prop_map(|(not, end, ports)| format!("-p tcp -m tcp {not}--{end} {ports}")),
        1 => (not.clone(), select(vec!["dports", "sports", "ports"])).prop_map(|(not, end)| format!("-p udp -m multiport {not}--{end} 53,80:443")),
        1 => not.clone().prop_map(|not| format!("-p tcp -m tcp {not}--tcp-flags FIN,SYN,RST,ACK SYN")),
        1 => (not.clone(), select(vec!["ESTABLISHED", "NEW", "INVALID,RELATED"])).prop_map(|(not, states)| format!("-m conntrack {not}--ctstate {states}")),
        1 => Just(icmp.to_owned()),
        1 => (not, select(vec!["-i br0", "-o br0", "-i b+"])).prop_map(|(not, iface)| format!("{not}{iface}")),
    ]
}

fn rule(family: Family, targets: Vec<&'static str>) -> impl Strategy<Value = String> {
    (vec(condition(family), 0..3), select(targets)).prop_filter_map(
        "one protocol a rule",
        |(conditions, target)| {
            let protocols = conditions.iter().filter(|c| c.contains("-p ")).count();
            (protocols < 2).then(|| {
                // The protocol stands first: what looks into a header comes after it.
                let (mut first, rest): (Vec<String>, Vec<String>) =
                    conditions.into_iter().partition(|c| c.contains("-p "));
                first.extend(rest);
                format!("{} {target}", first.join(" "))
            })
        },
    )
}

/// Chains that lead to each other without loops.
fn kernel(family: Family) -> impl Strategy<Value = Kernel> {
    let base = vec![
        "-j DROP",
        "-j RETURN",
        "-j CM-A",
        "-g CM-A",
        "-g CM-B",
        "-j CM-B",
        "-j ACCEPT",
        "-j REJECT --reject-with tcp-reset",
        "-g CM-DENY",
        "-j CM-DENY",
    ];
    let first = vec!["-j DROP", "-j RETURN", "-g CM-B", "-j CM-B", "-g CM-DENY"];
    let last = vec!["-j DROP", "-j RETURN", "-j ACCEPT", "-g CM-DENY", "-j CM-DENY"];
    let rules = (
        vec(rule(family, base), 1..6),
        vec(rule(family, first), 0..4),
        vec(rule(family, last), 0..5),
        select(vec!["DROP", "RETURN", "ACCEPT"]),
    );
    rules.prop_filter_map("iptables loads it", move |(base, first, last, denied)| {
        let mut text =
            "*filter\n:CM-FORWARD - [0:0]\n:CM-A - [0:0]\n:CM-B - [0:0]\n:CM-DENY - [0:0]\n".to_owned();
        text.push_str(&format!(
            "-A CM-DENY -m limit --limit 7/min -j NFLOG --nflog-prefix cm-deny --nflog-group 67\n\
             -A CM-DENY -j {denied}\n"
        ));
        for (chain, rules) in [("CM-FORWARD", base), ("CM-A", first), ("CM-B", last)] {
            for rule in rules {
                // A reset answers TCP only.
                let rule = if rule.contains("tcp-reset") && !rule.contains("-p ") {
                    format!("-p tcp {rule}")
                } else {
                    rule
                };
                text.push_str(&format!("-A {chain} {rule}\n"));
            }
        }
        text.push_str("COMMIT\n");
        let (v4, v6, sets) = match family {
            Family::V4 => (text.as_str(), "", SETS_V4),
            Family::V6 => ("", text.as_str(), SETS_V6),
        };
        let [v4, v6] =
            [(Family::V4, v4), (Family::V6, v6)].map(|(family, text)| Ruleset::parse(family, text));
        Kernel::new(v4.ok()?, v6.ok()?, Sets::parse(sets).unwrap()).ok()
    })
}

/// Where a piece's packet ends, with what a chain's summary says of it.
fn ending(piece: &Piece, peer: IpAddr, service: Service) -> &Ending {
    match &piece.ending {
        Ending::Chain { summary, returned, .. } => {
            let fits: Vec<_> = summary
                .parts(returned)
                .into_iter()
                .filter(|(traffic, _)| traffic.contains(peer, service))
                .collect();
            assert_eq!(fits.len(), 1, "a summary gives one answer");
            fits[0].1
        }
        ending => ending,
    }
}

/// Walks the whole reduced space in every mode, both ways.
fn agrees(family: Family, kernel: &Kernel) -> Result<(), TestCaseError> {
    let rules = kernel.rules(family);
    let modes = Modes::of(rules, &[]);
    let all = modes.all();
    let base = &rules.chain(rules.find("CM-FORWARD").unwrap()).rules;
    let mut known = Summaries::default();
    for subject in [End::Src, End::Dst] {
        let stretch = Stretch { family, subject, rules: 0..base.len(), modes: &modes };
        let pieces = kernel.pieces(&stretch, &mut known).unwrap();
        for mode in modes.of_set(&all).filter(|mode| mode.cut.is_empty()) {
            for (src, dst) in addresses(family)
                .into_iter()
                .flat_map(|src| addresses(family).into_iter().map(move |dst| (src, dst)))
            {
                for service in services() {
                    let (end, peer) = if subject == End::Src { (src, dst) } else { (dst, src) };
                    let packet = mode.packet(src, dst, service).unwrap();
                    let walk = kernel.forward(&packet).unwrap();
                    let holding: Vec<&Piece> = pieces
                        .iter()
                        .filter(|piece| piece.subjects.contains(end) && piece.traffic.contains(peer, service))
                        .filter(|piece| {
                            let mut parts =
                                piece.parts.iter().filter(|part| part.traffic.contains(peer, service));
                            parts.any(|part| modes.of_set(&part.modes).any(|one| one == mode))
                        })
                        .collect();
                    prop_assert_eq!(holding.len(), 1, "{:?} is in one piece", packet);
                    let found = ending(holding[0], peer, service);
                    let told = walk.matched().iter().find_map(|step| step.chain.denial());
                    let expected = match (told, walk.verdict()) {
                        (Some(Denial::Logged), verdict) => {
                            *found == Ending::Logged && verdict == Verdict::Drop
                        }
                        // What comes behind is followed for single packets only.
                        (Some(Denial::Observed), verdict) => {
                            *found == Ending::Observed && !matches!(verdict, Verdict::Pass | Verdict::Accept)
                        }
                        (None, Verdict::Pass) => matches!(found, Ending::Pass | Ending::Through),
                        (None, Verdict::Accept) => *found == Ending::Accept,
                        (None, Verdict::Drop) => *found == Ending::Drop,
                        (None, Verdict::Reject) => matches!(found, Ending::Reject(_)),
                        (None, Verdict::Observed) => false,
                    };
                    prop_assert!(expected, "{:?}: {:?}, but {:?}", packet, found, walk.verdict());
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn all_packets_at_once_end_as_each_does_v4(kernel in kernel(Family::V4)) {
        agrees(Family::V4, &kernel)?;
    }

    #[test]
    fn all_packets_at_once_end_as_each_does_v6(kernel in kernel(Family::V6)) {
        agrees(Family::V6, &kernel)?;
    }
}

/// A flow in the CUT set is a mode of its own, whatever the set holds.
#[test]
fn what_is_cut_is_told_apart_from_what_is_not() {
    let rules = "*filter\n:CM-FORWARD - [0:0]\n-A CM-FORWARD ! -p tcp -m set --match-set cm4-CUT dst,dst,src -j DROP\nCOMMIT\n";
    let v4 = Ruleset::parse(Family::V4, rules).unwrap();
    let v6 = Ruleset::parse(Family::V6, "").unwrap();
    let kernel = Kernel::new(v4, v6, Sets::parse(SETS_V4).unwrap()).unwrap();
    let modes = Modes::of(kernel.rules(Family::V4), &[]);
    let stretch = Stretch { family: Family::V4, subject: End::Src, rules: 0..1, modes: &modes };
    let pieces = kernel.pieces(&stretch, &mut Summaries::default()).unwrap();
    let dropped: Vec<&Piece> = pieces.iter().filter(|piece| piece.ending == Ending::Drop).collect();
    assert_eq!(dropped.len(), 1);
    let [part] = &dropped[0].parts[..] else { panic!("one part") };
    assert!(modes.of_set(&part.modes).all(|mode| mode.cut.contains(&[End::Dst, End::Dst, End::Src][..])));
    let peer = "10.0.0.1".parse().unwrap();
    assert!(part.traffic.contains(peer, Service::Port(Transport::Udp, 53)));
    assert!(!part.traffic.contains(peer, Service::Port(Transport::Tcp, 53)));
}
