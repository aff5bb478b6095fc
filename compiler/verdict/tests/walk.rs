//! Packets through hand-written texts of the layout that nodes run.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod layout;

use std::net::IpAddr;

use chainmail_contract::{Family, Transport};
use chainmail_verdict::{
    ConnState, DstKind, Kernel, Packet, PacketError, Payload, Problem, Ruleset, Sets, TcpFlags, Verdict,
    Walk, WalkError,
};

use layout::{RULES_V4, RULES_V6, SETS};

fn kernel() -> Kernel {
    let v4 = Ruleset::parse(Family::V4, RULES_V4).unwrap();
    let v6 = Ruleset::parse(Family::V6, RULES_V6).unwrap();
    Kernel::new(v4, v6, Sets::parse(SETS).unwrap()).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn opening(src: &str, dst: &str, transport: Transport, dport: u16) -> Packet {
    Packet::opening(ip(src), ip(dst), transport, dport).unwrap()
}

fn packet(src: &str, dst: &str, payload: Payload, state: ConnState) -> Packet {
    Packet::new(ip(src), ip(dst), payload, state).unwrap()
}

/// The texts of the rules that matched, each without its chain's long name.
fn trail(walk: &Walk<'_>) -> Vec<String> {
    walk.matched().iter().map(|step| format!("{}[{}]", step.chain.name, step.index)).collect()
}

#[test]
fn verdicts_follow_both_ends() {
    use Transport::{Sctp, Tcp, Udp};
    use Verdict::{Drop, Pass};
    let kernel = kernel();
    let rows = [
        ("allowed at both ends", opening("10.1.0.1", "10.1.0.2", Tcp, 80), Pass),
        ("allowed by egress, refused by ingress", opening("10.1.0.1", "10.1.0.2", Tcp, 443), Drop),
        ("another protocol on an allowed port", opening("10.1.0.1", "10.1.0.2", Udp, 80), Drop),
        ("another port", opening("10.1.0.1", "10.1.0.2", Tcp, 81), Drop),
        ("refused by ingress alone", opening("10.1.0.3", "10.1.0.2", Tcp, 80), Drop),
        ("from nobody isolated to nobody isolated", opening("10.1.0.3", "10.9.0.1", Tcp, 80), Pass),
        ("a pod to itself, egress", opening("10.1.0.1", "10.1.0.1", Udp, 9), Pass),
        ("a pod to itself, ingress", opening("10.1.0.2", "10.1.0.2", Udp, 9), Pass),
        ("a named port", opening("10.1.0.1", "10.2.0.1", Tcp, 8080), Pass),
        ("a named port of another protocol", opening("10.1.0.1", "10.2.0.1", Udp, 8080), Drop),
        ("a named SCTP port", opening("10.1.0.1", "10.2.0.1", Sctp, 9), Pass),
        ("within a network", opening("10.1.0.1", "192.0.2.127", Udp, 9), Pass),
        ("beyond a network", opening("10.1.0.1", "192.0.2.128", Udp, 9), Drop),
        ("isolated, and no leaf for it", opening("10.1.0.77", "10.1.0.3", Tcp, 80), Drop),
        ("a source that is no pod", opening("10.1.0.99", "10.1.0.3", Tcp, 80), Drop),
        (
            "an echo is no port",
            packet("10.1.0.1", "10.2.0.1", Payload::Icmp { type_: 8, code: 0 }, ConnState::New),
            Drop,
        ),
        (
            "an ICMP error of a known flow",
            packet("10.9.0.1", "10.1.0.2", Payload::Icmp { type_: 3, code: 4 }, ConnState::Related),
            Pass,
        ),
        (
            "a helper's child is judged as new",
            opening("10.9.0.1", "10.1.0.2", Tcp, 20).with_state(ConnState::Related),
            Drop,
        ),
        (
            "an established flow",
            opening("10.1.0.1", "10.1.0.2", Tcp, 443).with_state(ConnState::Established),
            Pass,
        ),
        (
            "invalid, to an isolated pod",
            opening("10.9.0.1", "10.1.0.2", Tcp, 80).with_state(ConnState::Invalid),
            Drop,
        ),
        (
            "invalid, between others",
            opening("10.9.0.1", "10.1.0.3", Tcp, 80).with_state(ConnState::Invalid),
            Pass,
        ),
        (
            "a protocol without ports",
            packet("10.1.0.1", "10.1.0.2", Payload::Other(47), ConnState::New),
            Drop,
        ),
    ];
    for (name, packet, verdict) in rows {
        let walk = kernel.forward(&packet).unwrap();
        assert_eq!(walk.verdict(), verdict, "{name}: {:?}", trail(&walk));
    }
}

#[test]
fn an_allowed_packet_comes_back_to_the_ingress_check() {
    let kernel = kernel();
    let walk = kernel.forward(&opening("10.1.0.1", "10.1.0.2", Transport::Tcp, 80)).unwrap();
    assert_eq!(
        trail(&walk),
        [
            "CM-FORWARD[9]",
            "CM-EGRESS[1]",
            "CM-EGRESS-a[1]",
            "CM-E-00000000000000aa[0]",
            "CM-FORWARD[10]",
            "CM-INGRESS[1]",
            "CM-I-00000000000000bb[0]",
        ]
    );
    let crossed: Vec<_> = walk.crossed().iter().map(|stay| (stay.chain.name.as_str(), stay.rules)).collect();
    assert_eq!(
        crossed,
        [
            ("CM-FORWARD", 10),
            ("CM-EGRESS", 2),
            ("CM-EGRESS-a", 2),
            ("CM-E-00000000000000aa", 1),
            ("CM-FORWARD", 1),
            ("CM-INGRESS", 2),
            ("CM-I-00000000000000bb", 1),
        ]
    );
    assert_eq!(walk.rules_between("CM-EGRESS", "CM-E-"), 4);
    assert_eq!(walk.rules_between("CM-INGRESS", "CM-I-"), 2);
    assert_eq!(walk.rules_crossed(), 19);
    let comment = walk.matched()[3].rule.comment.as_deref();
    assert_eq!(comment, Some("shop/web egress[0]"));
}

#[test]
fn an_established_packet_crosses_one_rule() {
    let established = opening("10.1.0.1", "10.1.0.2", Transport::Tcp, 443).with_state(ConnState::Established);
    let kernel = kernel();
    let walk = kernel.forward(&established).unwrap();
    assert_eq!(walk.rules_crossed(), 1);
    assert_eq!(walk.rules_between("CM-EGRESS", "CM-E-"), 0, "it never enters");
}

#[test]
fn a_log_rule_matches_and_goes_on() {
    let kernel = kernel();
    let walk = kernel.forward(&opening("10.1.0.1", "10.9.0.1", Transport::Tcp, 80)).unwrap();
    let last: Vec<String> = trail(&walk).split_off(3);
    assert_eq!(last, ["CM-E-00000000000000aa[3]", "CM-E-00000000000000aa[4]"]);
    assert_eq!(walk.verdict(), Verdict::Drop);
}

#[test]
fn cut_flows_are_answered_in_both_directions() {
    use Verdict::{Drop, Pass, Reject};
    let kernel = kernel();
    let (client, server) = ("10.1.0.3", "10.9.0.9");
    let tcp = |sport, dport, flags| Payload::Tcp { sport, dport, flags };
    let ack = TcpFlags::ACK;
    let rows = [
        ("the client's data", client, server, tcp(5555, 80, ack), Reject),
        ("the server's data", server, client, tcp(80, 5555, ack), Reject),
        (
            "a SYN from the same port is judged by the rules",
            client,
            server,
            tcp(5555, 80, TcpFlags::SYN),
            Pass,
        ),
        ("a SYN+ACK is no SYN", server, client, tcp(80, 5555, TcpFlags::SYN.with(ack)), Reject),
        ("another port", client, server, tcp(5556, 80, ack), Pass),
        ("the member's port at the wrong end", client, server, tcp(80, 5555, ack), Pass),
        ("UDP from the client", client, server, Payload::Udp { sport: 5555, dport: 53 }, Drop),
        ("UDP from the server", server, client, Payload::Udp { sport: 53, dport: 5555 }, Drop),
        ("SCTP is no member", client, server, Payload::Sctp { sport: 5555, dport: 53 }, Pass),
    ];
    for (name, src, dst, payload, verdict) in rows {
        let walk = kernel.forward(&packet(src, dst, payload, ConnState::New)).unwrap();
        assert_eq!(walk.verdict(), verdict, "{name}");
    }
}

#[test]
fn a_bridge_guard_looks_at_interfaces_and_destination_kinds() {
    use Verdict::{Drop, Pass};
    let kernel = kernel();
    let on_bridge = |dst: &str| {
        let packet = opening("10.1.0.3", dst, Transport::Udp, 9);
        packet.between("cni0".parse().unwrap(), "cni0".parse().unwrap())
    };
    let subnet_broadcast = "10.1.0.255";
    let rows = [
        ("unicast", on_bridge("10.9.0.1"), Pass),
        ("limited broadcast", on_bridge("255.255.255.255"), Drop),
        ("multicast", on_bridge("239.1.1.1"), Drop),
        ("an address that looks like a host's", on_bridge(subnet_broadcast), Pass),
        (
            "the same, known as a broadcast address",
            on_bridge(subnet_broadcast).with_dst_kind(DstKind::Broadcast),
            Drop,
        ),
        ("multicast between unknown interfaces", opening("10.1.0.3", "239.1.1.1", Transport::Udp, 9), Pass),
    ];
    for (name, packet, verdict) in rows {
        assert_eq!(kernel.forward(&packet).unwrap().verdict(), verdict, "{name}");
    }
}

#[test]
fn neighbour_discovery_passes_with_its_hop_limit_only() {
    use Verdict::{Drop, Pass};
    let kernel = kernel();
    let nd = |type_, hop_limit| {
        let payload = Payload::Icmp { type_, code: 0 };
        packet("fd00::1", "fd00::2", payload, ConnState::Untracked).with_hop_limit(hop_limit)
    };
    let rows = [
        ("solicitation", nd(135, 255), Pass),
        ("advertisement", nd(136, 255), Pass),
        ("forwarded, so forged", nd(136, 254), Drop),
        ("an echo", nd(128, 255), Drop),
        ("a redirect, which no rule here names", nd(137, 255), Drop),
        ("to the isolated pod", opening("fd00::2", "fd00::1", Transport::Tcp, 80), Drop),
        ("between others", opening("fd00::2", "fd00::3", Transport::Tcp, 80), Pass),
    ];
    for (name, packet, verdict) in rows {
        assert_eq!(kernel.forward(&packet).unwrap().verdict(), verdict, "{name}");
    }
}

fn small_kernel(rules: &str, sets: &str) -> Result<Kernel, Vec<String>> {
    let v4 = Ruleset::parse(Family::V4, rules).unwrap_or_else(|error| panic!("{rules}: {error}"));
    let v6 = Ruleset::parse(Family::V6, "").unwrap();
    Kernel::new(v4, v6, Sets::parse(sets).unwrap())
        .map_err(|problems| problems.iter().map(Problem::to_string).collect())
}

fn small(rules: &str) -> Kernel {
    let text = format!("*filter\n:CM-A -\n:CM-B -\n:CM-C -\n:CM-FORWARD -\n{rules}COMMIT\n");
    small_kernel(&text, "").unwrap()
}

#[test]
fn a_goto_returns_to_where_the_last_jump_came_from() {
    let rows = [
        (
            "a jump's chain that ends",
            "-A CM-FORWARD -j CM-A\n-A CM-FORWARD -j ACCEPT\n",
            Verdict::Accept,
            vec!["CM-FORWARD[0]", "CM-FORWARD[1]"],
        ),
        (
            "a goto's chain that ends leaves CM-FORWARD",
            "-A CM-FORWARD -g CM-A\n-A CM-FORWARD -j DROP\n",
            Verdict::Pass,
            vec!["CM-FORWARD[0]"],
        ),
        (
            "RETURN behind a jump and two gotos",
            "-A CM-FORWARD -j CM-A\n-A CM-FORWARD -j ACCEPT\n-A CM-A -g CM-B\n-A CM-A -j DROP\n-A CM-B -g CM-C\n-A CM-B -j DROP\n-A CM-C -j RETURN\n-A CM-C -j DROP\n",
            Verdict::Accept,
            vec!["CM-FORWARD[0]", "CM-A[0]", "CM-B[0]", "CM-C[0]", "CM-FORWARD[1]"],
        ),
        (
            "a jump within a goto",
            "-A CM-FORWARD -g CM-A\n-A CM-FORWARD -j DROP\n-A CM-A -j CM-B\n-A CM-A -j ACCEPT\n-A CM-B -j RETURN\n",
            Verdict::Accept,
            vec!["CM-FORWARD[0]", "CM-A[0]", "CM-B[0]", "CM-A[1]"],
        ),
        (
            "RETURN in CM-FORWARD itself",
            "-A CM-FORWARD -j RETURN\n-A CM-FORWARD -j DROP\n",
            Verdict::Pass,
            vec!["CM-FORWARD[0]"],
        ),
        (
            "a rule without a target",
            "-A CM-FORWARD -p tcp\n-A CM-FORWARD -j DROP\n",
            Verdict::Drop,
            vec!["CM-FORWARD[0]", "CM-FORWARD[1]"],
        ),
    ];
    let syn = opening("10.0.0.1", "10.0.0.2", Transport::Tcp, 80);
    for (name, rules, verdict, expected) in rows {
        let kernel = small(rules);
        let walk = kernel.forward(&syn).unwrap();
        assert_eq!(
            (walk.verdict(), trail(&walk)),
            (verdict, expected.iter().map(|&s| s.into()).collect()),
            "{name}"
        );
    }
}

#[test]
fn each_test_asks_what_its_rule_says() {
    let udp = opening("10.0.0.1", "10.0.0.2", Transport::Udp, 53);
    let syn = opening("10.0.0.1", "10.0.0.2", Transport::Tcp, 80);
    let icmp = |type_, code| packet("10.0.0.1", "10.0.0.2", Payload::Icmp { type_, code }, ConnState::New);
    let from = |iface: &str| udp.clone().between(iface.parse().unwrap(), "eth1".parse().unwrap());
    let other = packet("10.0.0.1", "10.0.0.2", Payload::Other(47), ConnState::New);
    let rows = [
        ("-s 10.0.0.0/31", &udp, true),
        ("-s 10.0.0.2/31", &udp, false),
        ("! -d 10.0.0.2/32", &udp, false),
        ("-p udp", &udp, true),
        ("! -p udp", &udp, false),
        ("! -p udp", &syn, true),
        ("-p 47", &other, true),
        ("-p icmp -m icmp --icmp-type any", &icmp(9, 9), true),
        ("-p icmp -m icmp --icmp-type any", &udp, false),
        ("-p icmp -m icmp --icmp-type 3", &icmp(3, 9), true),
        ("-p icmp -m icmp --icmp-type 3", &icmp(4, 9), false),
        ("-p icmp -m icmp --icmp-type 3/4", &icmp(3, 4), true),
        ("-p icmp -m icmp --icmp-type 3/4", &icmp(3, 9), false),
        ("-p icmp -m icmp --icmp-type 3/4", &icmp(9, 4), false),
        ("-p icmp -m icmp ! --icmp-type 3/4", &icmp(9, 4), true),
        ("-i eth0", &from("eth0"), true),
        ("-i eth0", &from("eth01"), false),
        ("-i eth0+", &from("eth01"), true),
        ("-i eth0+", &from("eth0"), true),
        ("-i eth0+", &from("eth1"), false),
        ("-i +", &udp, true),
        ("-i eth0", &udp, false),
        ("! -i eth0", &udp, true),
        ("-o eth1", &from("eth0"), true),
        ("! -o eth1", &from("eth0"), false),
        ("-m conntrack --ctstate NEW,ESTABLISHED", &udp, true),
        ("-m conntrack ! --ctstate NEW,ESTABLISHED", &udp, false),
        ("-m conntrack --ctstate INVALID,UNTRACKED,RELATED,ESTABLISHED", &udp, false),
        ("-m addrtype ! --dst-type MULTICAST", &udp, true),
        ("-m pkttype --pkt-type unicast", &udp, true),
        ("-p tcp -m tcp --tcp-flags SYN,ACK SYN", &syn, true),
        ("-p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK", &syn, false),
        ("-p tcp -m tcp --tcp-flags FIN,RST NONE", &syn, true),
        ("-p udp -m multiport ! --dports 53", &udp, false),
        ("-p udp -m multiport ! --dports 80", &syn, false),
    ];
    for (rule, packet, matches) in rows {
        let kernel = small(&format!("-A CM-FORWARD {rule} -j DROP\n"));
        let dropped = kernel.forward(packet).unwrap().verdict() == Verdict::Drop;
        assert_eq!(dropped, matches, "{rule} on {packet:?}");
    }
}

#[test]
fn the_longest_path_counts_jumps_and_gotos() {
    let kernel = kernel();
    let names: Vec<_> = kernel.longest_path(Family::V4).iter().map(|chain| chain.name.as_str()).collect();
    assert_eq!(names, ["CM-FORWARD", "CM-EGRESS", "CM-EGRESS-a", "CM-E-00000000000000aa"]);
    assert_eq!(kernel.longest_path(Family::V6).len(), 1);
    assert_eq!(small_kernel("", "").unwrap().longest_path(Family::V4).len(), 0);
}

#[test]
fn very_deep_chains_neither_loop_nor_overflow() {
    let depth = 20_000;
    let mut text = String::from("*filter\n:CM-FORWARD -\n");
    (0..depth).for_each(|n| text.push_str(&format!(":CM-{n:05} -\n")));
    text.push_str("-A CM-FORWARD -g CM-00000\n");
    (1..depth).for_each(|n| text.push_str(&format!("-A CM-{:05} -g CM-{n:05}\n", n - 1)));
    text.push_str("COMMIT\n");
    let kernel = small_kernel(&text, "").unwrap();
    assert_eq!(kernel.longest_path(Family::V4).len(), depth + 1);
    let walk = kernel.forward(&opening("10.0.0.1", "10.0.0.2", Transport::Tcp, 80)).map(|w| w.verdict());
    assert_eq!(walk, Ok(Verdict::Pass));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let rules = "*filter\n:CM-A -\n:CM-B -\n:CM-FORWARD -
-A CM-FORWARD -m set --match-set cm4-none src -j DROP
-A CM-FORWARD -m set --match-set cm6-ip src -j DROP
-A CM-FORWARD -m set --match-set cm4-ip src,dst -j DROP
-A CM-FORWARD -m set ! --match-set cm4-service dst -j DROP
-A CM-FORWARD -m set --match-set cm4-service dst,dst -j DROP
-A CM-A -g CM-B\n-A CM-B -j CM-A\nCOMMIT\n";
    let sets = "create cm4-ip hash:ip\ncreate cm4-service hash:ip,port\ncreate cm6-ip hash:ip family inet6\n";
    assert_eq!(
        small_kernel(rules, sets).unwrap_err(),
        [
            "rules.v4:5: set cm4-none does not exist",
            "rules.v4:6: set cm6-ip holds v6 addresses",
            "rules.v4:7: set cm4-ip of type hash:ip takes 1 directions, not 2",
            "rules.v4:8: set cm4-service of type hash:ip,port takes 2 directions, not 1",
            "rules.v4: chains lead in a loop: CM-A -> CM-B -> CM-A",
        ]
    );
    let swapped = Kernel::new(
        Ruleset::parse(Family::V6, "").unwrap(),
        Ruleset::parse(Family::V6, "").unwrap(),
        Sets::default(),
    );
    assert_eq!(swapped.unwrap_err()[0].to_string(), "rules.v6 stands where rules of family v4 should");
}

#[test]
fn a_family_without_our_rules_has_no_walk() {
    let kernel = small_kernel("", "").unwrap();
    let error = kernel.forward(&opening("10.0.0.1", "10.0.0.2", Transport::Tcp, 80)).unwrap_err();
    assert_eq!(error, WalkError::NoForwardChain { family: Family::V4 });
    assert_eq!(error.to_string(), "rules of family v4 have no chain CM-FORWARD");
}

#[test]
fn a_packet_that_cannot_be_is_refused() {
    let (v4, v6) = (ip("10.0.0.1"), ip("fd00::1"));
    let families = Packet::opening(v4, v6, Transport::Tcp, 80).unwrap_err();
    assert_eq!(families.to_string(), "10.0.0.1 and fd00::1 are not of one family");
    let other = |ip, number| Packet::new(ip, ip, Payload::Other(number), ConnState::New);
    assert_eq!(other(v4, 6).unwrap_err(), PacketError::OpaqueProtocol(6));
    assert_eq!(other(v6, 58).unwrap_err(), PacketError::OpaqueProtocol(58));
    assert!(other(v4, 58).is_ok(), "ICMPv6 within IPv4 is a protocol like any other");
}
