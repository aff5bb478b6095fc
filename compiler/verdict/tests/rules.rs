//! What rule texts say, and what is refused with which words.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use chainmail_contract::{Family, Transport};
use chainmail_verdict::{
    Condition, ConnState, ConnStates, DstKind, DstKinds, End, ForwardJump, IcmpPattern, IfacePattern, Match,
    MultiportEnd, Nflog, Policy, PortRange, Protocol, RateLimit, RejectWith, Rule, Ruleset, Sense, Table,
    Target, TcpFlags, Test,
};

use Sense::{Is, Not};

/// A text of two chains whose first holds one rule.
fn text_with(rule: &str) -> String {
    format!("*filter\n:CM-A - [0:0]\n:CM-B - [0:0]\n{rule}\nCOMMIT\n")
}

fn read(family: Family, rule: &str) -> Rule {
    let rules = Ruleset::parse(family, &text_with(&format!("-A CM-A {rule}")));
    rules.unwrap_or_else(|error| panic!("{rule}: {error}")).chains()[0].rules[0].clone()
}

fn ports(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

fn address(end: End, net: &str) -> Test {
    Test::Address { end, net: net.parse().unwrap() }
}

/// A name, the family, a rule's text and how it reads.
type Row = (&'static str, Family, &'static str, Vec<(Sense, Test)>);

#[test]
fn each_match_reads_as_one_test() {
    use Family::{V4, V6};
    let syn = TcpFlags::SYN;
    let state = |states: &[ConnState]| {
        Test::State(states.iter().fold(ConnStates::default(), |all, state| all.with(*state)))
    };
    let kinds = |kinds: &[DstKind]| {
        Test::DstKind(kinds.iter().fold(DstKinds::default(), |all, kind| all.with(*kind)))
    };
    let protocol = |number| Test::Protocol(Protocol(number));
    let rows: Vec<Row> = vec![
        ("source", V4, "-s 10.0.0.1/32", vec![(Is, address(End::Src, "10.0.0.1/32"))]),
        ("a bare address", V4, "-s 10.0.0.1", vec![(Is, address(End::Src, "10.0.0.1/32"))]),
        ("masked host bits", V4, "-s 10.1.2.3/8", vec![(Is, address(End::Src, "10.0.0.0/8"))]),
        ("not a destination", V6, "! -d fd00::/8", vec![(Not, address(End::Dst, "fd00::/8"))]),
        (
            "an interface",
            V4,
            "-i cni0",
            vec![(Is, Test::InIface(IfacePattern::Exact("cni0".parse().unwrap())))],
        ),
        ("not a prefix", V4, "! -o cali+", vec![(Not, Test::OutIface(IfacePattern::Prefix("cali".into())))]),
        ("any interface", V4, "-i +", vec![(Is, Test::InIface(IfacePattern::Prefix("".into())))]),
        ("a protocol by name", V4, "-p icmp", vec![(Is, protocol(1))]),
        ("a protocol by its second name", V6, "-p icmpv6", vec![(Is, protocol(58))]),
        ("a protocol by number", V4, "! -p 47", vec![(Not, protocol(47))]),
        ("a transport match alone", V4, "-p udp -m udp", vec![(Is, protocol(17))]),
        (
            "ports of both ends",
            V4,
            "-p tcp -m tcp --sport 1024:65535 ! --dport 80",
            vec![
                (Is, protocol(6)),
                (Is, Test::Port { transport: Transport::Tcp, end: End::Src, ports: ports(1024, 65535) }),
                (Not, Test::Port { transport: Transport::Tcp, end: End::Dst, ports: ports(80, 80) }),
            ],
        ),
        (
            "open ranges",
            V4,
            "-p sctp -m sctp --sport :9 --dport 5:",
            vec![
                (Is, protocol(132)),
                (Is, Test::Port { transport: Transport::Sctp, end: End::Src, ports: ports(0, 9) }),
                (Is, Test::Port { transport: Transport::Sctp, end: End::Dst, ports: ports(5, 65535) }),
            ],
        ),
        (
            "no lone SYN",
            V4,
            "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN",
            vec![
                (Is, protocol(6)),
                (
                    Not,
                    Test::TcpFlags {
                        mask: TcpFlags::FIN.with(syn).with(TcpFlags::RST).with(TcpFlags::ACK),
                        set: syn,
                    },
                ),
            ],
        ),
        (
            "words for all flags and none",
            V4,
            "-p tcp -m tcp --tcp-flags ALL NONE",
            vec![(Is, protocol(6)), (Is, Test::TcpFlags { mask: TcpFlags::ALL, set: TcpFlags::NONE })],
        ),
        (
            "a list of ports",
            V4,
            "-p tcp -m multiport --dports 80,443,8000:8100",
            vec![
                (Is, protocol(6)),
                (
                    Is,
                    Test::Multiport {
                        end: MultiportEnd::One(End::Dst),
                        ranges: vec![ports(80, 80), ports(443, 443), ports(8000, 8100)],
                    },
                ),
            ],
        ),
        (
            "neither end's port",
            V4,
            "-p udp -m multiport ! --ports 53",
            vec![
                (Is, protocol(17)),
                (Not, Test::Multiport { end: MultiportEnd::Either, ranges: vec![ports(53, 53)] }),
            ],
        ),
        (
            "states",
            V4,
            "-m conntrack --ctstate NEW,RELATED",
            vec![(Is, state(&[ConnState::New, ConnState::Related]))],
        ),
        (
            "not a state",
            V4,
            "-m conntrack ! --ctstate UNTRACKED",
            vec![(Not, state(&[ConnState::Untracked]))],
        ),
        (
            "an ICMP type and code",
            V4,
            "-p icmp -m icmp --icmp-type 3/4",
            vec![(Is, protocol(1)), (Is, Test::Icmp(IcmpPattern::TypeCode(3, 4)))],
        ),
        (
            "any ICMP",
            V4,
            "-p icmp -m icmp --icmp-type any",
            vec![(Is, protocol(1)), (Is, Test::Icmp(IcmpPattern::Any))],
        ),
        (
            "neighbour discovery",
            V6,
            "-p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255",
            vec![(Is, protocol(58)), (Is, Test::Icmp(IcmpPattern::Type(135))), (Is, Test::HopLimit(255))],
        ),
        (
            "destination kinds",
            V4,
            "-m addrtype --dst-type BROADCAST,MULTICAST",
            vec![(Is, kinds(&[DstKind::Broadcast, DstKind::Multicast]))],
        ),
        ("a packet type", V6, "-m pkttype ! --pkt-type multicast", vec![(Not, kinds(&[DstKind::Multicast]))]),
    ];
    for (name, family, text, expected) in rows {
        let rule = read(family, &format!("{text} -j DROP"));
        let expected: Vec<Match> = expected.into_iter().map(|(sense, test)| Match { sense, test }).collect();
        assert_eq!(rule.matches, expected, "{name}: {text}");
        assert_eq!(rule.target, Target::Drop, "{name}: {text}");
        assert_eq!(&*rule.text, format!("-A CM-A {text} -j DROP"), "{name}: the text stays as it was");
        assert_eq!(rule.line, 4, "{name}");
    }
}

#[test]
fn set_matches_keep_sense_and_directions() {
    let rules = Ruleset::parse(
        Family::V4,
        &text_with("-A CM-A -m set ! --match-set cm4-b src -m set --match-set cm4-a dst,dst,src -j DROP"),
    );
    let rules = rules.unwrap();
    let found: Vec<(Sense, &str, Vec<End>)> = rules.chains()[0].rules[0]
        .matches
        .iter()
        .map(|m| match &m.test {
            Test::Set { set, ends } => (m.sense, rules.set_name(*set).as_str(), ends.clone()),
            other => panic!("{other:?} is no set match"),
        })
        .collect();
    let expected = vec![(Not, "cm4-b", vec![End::Src]), (Is, "cm4-a", vec![End::Dst, End::Dst, End::Src])];
    assert_eq!(found, expected);
}

#[test]
fn each_target_is_read() {
    use Family::{V4, V6};
    let to = |name| Ruleset::parse(V4, &text_with("")).unwrap().find(name).unwrap();
    let nflog = |prefix: &str| {
        Target::Nflog(Nflog { group: 7, prefix: Some(prefix.into()), size: Some(64), threshold: Some(2) })
    };
    let rows = [
        ("none", V4, "-s 10.0.0.1/32", Target::Continue),
        ("return", V4, "-j RETURN", Target::Return),
        ("accept", V4, "-j ACCEPT", Target::Accept),
        ("a jump", V4, "-j CM-B", Target::Jump(to("CM-B"))),
        ("a goto", V4, "-g CM-B", Target::Goto(to("CM-B"))),
        ("a reset", V4, "-p tcp -j REJECT --reject-with tcp-reset", Target::Reject(RejectWith::TcpReset)),
        ("the usual rejection", V4, "-j REJECT", Target::Reject(RejectWith::Icmp("icmp-port-unreachable"))),
        (
            "a named rejection",
            V6,
            "-j REJECT --reject-with icmp6-adm-prohibited",
            Target::Reject(RejectWith::Icmp("icmp6-adm-prohibited")),
        ),
        (
            "a log",
            V4,
            r#"-j NFLOG --nflog-prefix "cm-deny x" --nflog-group 7 --nflog-size 64 --nflog-threshold 2"#,
            nflog("cm-deny x"),
        ),
    ];
    for (name, family, text, expected) in rows {
        assert_eq!(read(family, text).target, expected, "{name}: {text}");
    }
    // Options of the rule may follow those of its target.
    let rule = read(V4, "-j NFLOG --nflog-group 7 -s 10.0.0.1/32");
    assert_eq!(rule.matches, [Match { sense: Is, test: address(End::Src, "10.0.0.1/32") }]);
}

#[test]
fn comments_and_limits_stand_beside_the_matches() {
    let text = r#"-m limit --limit 10/sec --limit-burst 20 -m comment --comment "a \"b\" -j DROP" -j NFLOG"#;
    let rule = read(Family::V4, text);
    assert_eq!(rule.comment.as_deref(), Some(r#"a "b" -j DROP"#));
    let limit = RateLimit { rate: "10/sec".into(), burst: 20 };
    assert_eq!(rule.matches, [Match { sense: Is, test: Test::RateLimit(limit) }]);
    let rule = read(Family::V4, "-m limit --limit 1/hour -j NFLOG");
    let limit = RateLimit { rate: "1/hour".into(), burst: 5 };
    assert_eq!(rule.matches, [Match { sense: Is, test: Test::RateLimit(limit) }]);
}

#[test]
fn a_dump_of_a_host_keeps_others_chains_opaque() {
    let text = r#"# Generated by iptables-save
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING anything at all "
COMMIT
*filter
:INPUT ACCEPT [12:3456]
:FORWARD DROP [0:0]
:KUBE-FORWARD - [0:0]
:CM-FORWARD - [0:0]
[3:180] -A CM-FORWARD -j RETURN
[0:0] -A FORWARD -j CM-FORWARD
[0:0] -A FORWARD -m comment --comment "not -j CM-FORWARD" -j KUBE-FORWARD
[0:0] -A FORWARD -i eth0 -j CM-FORWARD
[0:0] -A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -g CM-FORWARD
COMMIT
# Completed
"#;
    let rules = Ruleset::parse(Family::V4, text).unwrap();
    assert_eq!(
        rules.forward_jumps(),
        [
            ForwardJump { number: 1, condition: Condition::Always, line: 12 },
            ForwardJump { number: 3, condition: Condition::Sometimes, line: 14 },
        ]
    );
    assert_eq!(&*rules.chains()[0].rules[0].text, "-A CM-FORWARD -j RETURN", "counters are left out");
    let foreign: Vec<_> = rules.foreign().iter().map(|c| (&*c.name, c.policy, c.rules.len())).collect();
    let expected =
        [("FORWARD", Some(Policy::Drop), 3), ("INPUT", Some(Policy::Accept), 0), ("KUBE-FORWARD", None, 1)];
    assert_eq!(foreign, expected);
    let reference = rules.foreign()[2].rules[0].reference.unwrap();
    assert_eq!(
        (reference.chain, reference.condition),
        (rules.find("CM-FORWARD").unwrap(), Condition::Sometimes)
    );
}

#[test]
fn an_empty_host_has_no_rules() {
    let rules = Ruleset::parse(Family::V6, "").unwrap();
    assert!(rules.chains().is_empty() && rules.foreign().is_empty());
    assert_eq!(rules.forward_jumps(), []);
}

#[test]
fn lines_are_read_where_rules_cannot_be_judged() {
    let text = text_with("-A CM-A -m mark --mark 1 -j DROP");
    assert!(Ruleset::parse(Family::V4, &text).is_err());
    let table = Table::read(Family::V4, &text).unwrap();
    assert_eq!(table.ours()[0].rules[0].text, "-A CM-A -m mark --mark 1 -j DROP");
}

#[test]
fn a_rule_that_cannot_be_judged_is_refused_by_line_and_word() {
    use Family::{V4, V6};
    let rows = [
        (V4, "-m mark --mark 1 -j DROP", r#"rules.v4:4: "mark" is not a match that can be judged"#),
        (V4, "-m hl --hl-eq 255", r#"rules.v4:4: "hl" is not a match that can be judged"#),
        (V6, "-m icmp", r#"rules.v6:4: "icmp" is not a match that can be judged"#),
        (V4, "-f -j DROP", r#"rules.v4:4: "-f" is not an option of a rule that can be judged"#),
        (V4, "--dport 80", r#"rules.v4:4: "--dport" is not an option of a rule that can be judged"#),
        (V4, "-p tcp -m tcp --syn", r#"rules.v4:4: "--syn" is not an option of -m tcp that can be judged"#),
        (
            V4,
            "-p tcp -m tcp -m comment --comment x --dport 80",
            r#"rules.v4:4: "--dport" is not an option of -m comment that can be judged"#,
        ),
        (
            V4,
            "-p udp -m udp --tcp-flags SYN SYN",
            r#"rules.v4:4: "--tcp-flags" is not an option of -m udp that can be judged"#,
        ),
        (
            V4,
            "-m set --match-set cm4-a src --return-nomatch",
            r#"rules.v4:4: "--return-nomatch" is not an option of -m set that can be judged"#,
        ),
        (V4, "-j DROP --dport 80", r#"rules.v4:4: "--dport" is not an option of a rule that can be judged"#),
        (V4, "-j LOG", r#"rules.v4:4: "LOG" is not a target that can be judged"#),
        (V4, "-j KUBE-FORWARD", r#"rules.v4:4: "KUBE-FORWARD" is not a target that can be judged"#),
        (V4, "-j CM-C", r#"rules.v4:4: "CM-C" is not a declared chain"#),
        (V4, "-g DROP", r#"rules.v4:4: "DROP" is not a declared chain"#),
        (V4, "-j", r#"rules.v4:4: "-j" lacks a value"#),
        (V4, "-s 10.0.0.1 !", r#"rules.v4:4: "!" lacks a value"#),
        (V4, "! -j DROP", r#"rules.v4:4: "-j" cannot be inverted"#),
        (V4, "! -m set", r#"rules.v4:4: "-m" cannot be inverted"#),
        (V4, "-m comment ! --comment x", r#"rules.v4:4: "--comment" cannot be inverted"#),
        (V4, "-m limit ! --limit 1/sec", r#"rules.v4:4: "--limit" cannot be inverted"#),
        (V4, "-s 10.0.0.1 -s 10.0.0.2", r#"rules.v4:4: "-s" stands here twice"#),
        (V4, "-j DROP -g CM-B", r#"rules.v4:4: "-g" stands here twice"#),
        (V4, "-p tcp -m tcp --dport 1 --dport 2", r#"rules.v4:4: "--dport" stands here twice"#),
        (V4, "-p tcp -m multiport --dports 1 --sports 2", r#"rules.v4:4: "--sports" stands here twice"#),
        (
            V4,
            "-m set --match-set cm4-a src --match-set cm4-b src",
            r#"rules.v4:4: "--match-set" stands here twice"#,
        ),
        (V4, "-m comment --comment x -m comment --comment y", r#"rules.v4:4: "--comment" stands here twice"#),
        (V4, "-m comment --comment \"x", r#"rules.v4:4: "\"x" has an open quote"#),
        (V4, "-s fd00::1", r#"rules.v4:4: "fd00::1" is not an IPv4 network"#),
        (V6, "-d 10.0.0.0/8", r#"rules.v6:4: "10.0.0.0/8" is not an IPv6 network"#),
        (V4, "-d 10.0.0.0/33", r#"rules.v4:4: "10.0.0.0/33" is not an IPv4 network"#),
        (V4, "-d 10.0.0.0/+8", r#"rules.v4:4: "+8" is not a prefix length"#),
        (V4, "-d 10.0.0.1,10.0.0.2", r#"rules.v4:4: "10.0.0.1,10.0.0.2" is not an IPv4 network"#),
        (V4, "-i an-interface-name", r#"rules.v4:4: "an-interface-name" is not an interface name"#),
        (
            V4,
            "-p all",
            r#"rules.v4:4: "all" is not tcp, udp, sctp, icmp, ipv6-icmp or a protocol number from 1"#,
        ),
        (V4, "-p 0", r#"rules.v4:4: "0" is not tcp, udp, sctp, icmp, ipv6-icmp or a protocol number from 1"#),
        (V4, "-m tcp --dport 80", r#"rules.v4:4: "-m tcp" needs -p tcp in its rule"#),
        (V4, "! -p tcp -m tcp --dport 80", r#"rules.v4:4: "-m tcp" needs -p tcp in its rule"#),
        (V4, "-p udp -m tcp --dport 80", r#"rules.v4:4: "-m tcp" needs -p tcp in its rule"#),
        (
            V4,
            "-p icmp -m multiport --dports 80",
            r#"rules.v4:4: "-m multiport" needs -p tcp, -p udp or -p sctp in its rule"#,
        ),
        (V6, "-p icmp -m icmp6 --icmpv6-type 1", r#"rules.v6:4: "-m icmp6" needs -p ipv6-icmp in its rule"#),
        (V4, "-j REJECT --reject-with tcp-reset", r#"rules.v4:4: "tcp-reset" needs -p tcp in its rule"#),
        (V4, "-m limit --limit 1/sec -j DROP", r#"rules.v4:4: "-m limit" needs -j NFLOG in its rule"#),
        (V4, "-m limit -j NFLOG", r#"rules.v4:4: "-m limit" lacks a value"#),
        (
            V4,
            "-m limit --limit-burst 3",
            r#"rules.v4:4: "--limit-burst" needs --limit before it in its rule"#,
        ),
        (V4, "-m conntrack -j DROP", r#"rules.v4:4: "-m conntrack" lacks a value"#),
        (V4, "-m set", r#"rules.v4:4: "-m set" lacks a value"#),
        (V4, "-p tcp -m tcp --dport 65536", r#"rules.v4:4: "65536" is not a port"#),
        (V4, "-p tcp -m tcp --dport http", r#"rules.v4:4: "http" is not a port"#),
        (V4, "-p tcp -m tcp --dport 90:80", r#"rules.v4:4: "90:80" is not a rising port range"#),
        (V4, "-p tcp -m multiport --dports 80,", r#"rules.v4:4: "" is not a port"#),
        (
            V4,
            "-p tcp -m multiport --dports 1:2,3:4,5:6,7:8,9:10,11:12,13:14,15:16",
            r#"rules.v4:4: "1:2,3:4,5:6,7:8,9:10,11:12,13:14,15:16" takes 16 slots of the 15 that multiport has"#,
        ),
        (V4, "-p tcp -m tcp --tcp-flags SYN,ECE SYN", r#"rules.v4:4: "ECE" is not a TCP flag"#),
        (V4, "-p tcp -m tcp --tcp-flags SYN", r#"rules.v4:4: "--tcp-flags" lacks a value"#),
        (
            V4,
            "-m conntrack --ctstate DNAT",
            r#"rules.v4:4: "DNAT" is not a connection state that can be judged"#,
        ),
        (
            V4,
            "-m addrtype --dst-type LOCAL",
            r#"rules.v4:4: "LOCAL" is not an address type that can be judged"#,
        ),
        (
            V6,
            "-m addrtype --dst-type BROADCAST",
            r#"rules.v6:4: "BROADCAST" is not an address type that can be judged"#,
        ),
        (
            V4,
            "-p icmp -m icmp --icmp-type echo-request",
            r#"rules.v4:4: "echo-request" is not an ICMP type by number"#,
        ),
        (V6, "-p icmpv6 -m icmp6 --icmpv6-type any", r#"rules.v6:4: "any" is not an ICMP type by number"#),
        (
            V4,
            "-m set --match-set KUBE-CLUSTER-IP src",
            r#"rules.v4:4: "KUBE-CLUSTER-IP" is not a usable name: set name "KUBE-CLUSTER-IP" is not of the form cm4-… or cm6-…"#,
        ),
        (V4, "-m set --match-set cm4-a source", r#"rules.v4:4: "source" is not src or dst"#),
        (V4, "-m set --match-set cm4-a", r#"rules.v4:4: "--match-set" lacks a value"#),
        (
            V4,
            "-j REJECT --reject-with icmp6-no-route",
            r#"rules.v4:4: "icmp6-no-route" is not a way to reject"#,
        ),
        (V4, "-j NFLOG --nflog-group 70000", r#"rules.v4:4: "70000" is not a group"#),
        (
            V4,
            "-j NFLOG --nflog-range 5",
            r#"rules.v4:4: "--nflog-range" is not an option of -j NFLOG that can be judged"#,
        ),
        (V4, "stray", r#"rules.v4:4: "stray" is not an option of a rule that can be judged"#),
    ];
    for (family, rule, message) in rows {
        let error = Ruleset::parse(family, &text_with(&format!("-A CM-A {rule}"))).expect_err(rule);
        assert_eq!(error.to_string(), message, "{rule}");
    }
}

#[test]
fn a_text_of_no_known_form_is_refused_by_line_and_word() {
    let rows = [
        ("outside", ":CM-A - [0:0]\n", r#"rules.v4:1: ":CM-A - [0:0]" stands outside a table"#),
        ("after the end", "*filter\nCOMMIT\n-A CM-A\n", r#"rules.v4:3: "-A CM-A" stands outside a table"#),
        ("cut off", "# x\n*filter\n:CM-A - [0:0]\n", r#"rules.v4:2: "*filter" has no COMMIT"#),
        ("another table cut off", "*nat\n", r#"rules.v4:1: "*nat" has no COMMIT"#),
        ("two tables", "*filter\nCOMMIT\n*filter\nCOMMIT\n", r#"rules.v4:3: "*filter" stands here twice"#),
        (
            "a declared policy",
            "*filter\n:CM-A DROP [0:0]\nCOMMIT\n",
            r#"rules.v4:2: "DROP" is not the policy of such a chain"#,
        ),
        ("no policy", "*filter\n:CM-A\nCOMMIT\n", r#"rules.v4:2: "" is not the policy of such a chain"#),
        ("declared twice", "*filter\n:CM-A -\n:CM-A -\nCOMMIT\n", r#"rules.v4:3: "CM-A" stands here twice"#),
        (
            "not declared",
            "*filter\n-A CM-A -j DROP\nCOMMIT\n",
            r#"rules.v4:2: "CM-A" is not a declared chain"#,
        ),
        (
            "a long name",
            "*filter\n:CM-A2345678901234567890123456 - [0:0]\nCOMMIT\n",
            r#"rules.v4:2: "CM-A2345678901234567890123456" is not a usable name: chain name "CM-A2345678901234567890123456" has 29 bytes; 1 to 28 are allowed"#,
        ),
        (
            "another command",
            "*filter\n-I FORWARD 1 -j CM-A\nCOMMIT\n",
            r#"rules.v4:2: "-I FORWARD 1 -j CM-A" is neither a chain, a rule nor COMMIT"#,
        ),
        (
            "a quoted chain",
            "*filter\n:CM-A -\n-A \"CM-A\" -j DROP\nCOMMIT\n",
            r#"rules.v4:3: "-A \"CM-A\" -j DROP" is neither a chain, a rule nor COMMIT"#,
        ),
        (
            "a hidden chain",
            "*filter\n:CM-A -\n-A  CM-A -j DROP\nCOMMIT\n",
            r#"rules.v4:3: "-A  CM-A -j DROP" is neither a chain, a rule nor COMMIT"#,
        ),
        (
            "a jump to nowhere",
            "*filter\n-A FORWARD -j CM-FORWARD\nCOMMIT\n",
            r#"rules.v4:2: "CM-FORWARD" is not a declared chain"#,
        ),
    ];
    for (name, text, message) in rows {
        let error = Ruleset::parse(Family::V4, text).expect_err(name);
        assert_eq!(error.to_string(), message, "{name}");
    }
}
