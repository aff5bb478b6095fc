//! Lookups against brute force, and texts that are no texts.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::net::{IpAddr, Ipv4Addr};

use chainmail_contract::{Family, Transport};
use chainmail_verdict::{ConnState, Kernel, Members, Packet, Payload, Ruleset, Sets, TcpFlags, Verdict};
use ipnet::Ipv4Net;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

/// A kernel that drops what one rule matches.
fn dropping(rule: &str, sets: &str) -> Kernel {
    let rules = format!("*filter\n:CM-FORWARD -\n-A CM-FORWARD {rule} -j DROP\nCOMMIT\n");
    let rules = Ruleset::parse(Family::V4, &rules).unwrap_or_else(|error| panic!("{error}"));
    let none = Ruleset::parse(Family::V6, "").unwrap();
    Kernel::new(rules, none, Sets::parse(sets).unwrap_or_else(|error| panic!("{error}"))).unwrap()
}

fn matches(kernel: &Kernel, src: Ipv4Addr, dst: Ipv4Addr, payload: Payload) -> bool {
    let packet = Packet::new(src.into(), dst.into(), payload, ConnState::New).unwrap();
    kernel.forward(&packet).unwrap().verdict() == Verdict::Drop
}

/// Few addresses, close together and at both ends of the space, so that members and packets meet.
fn near() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        (0_u32..40).prop_map(|n| Ipv4Addr::from(0x0a00_0000 + n)),
        (1_u32..8).prop_map(Ipv4Addr::from),
        (0_u32..8).prop_map(|n| Ipv4Addr::from(u32::MAX - n)),
    ]
}

fn net() -> impl Strategy<Value = Ipv4Net> {
    (near(), prop_oneof![1_u8..=32, 26_u8..=32])
        .prop_map(|(ip, prefix)| Ipv4Net::new(ip, prefix).unwrap().trunc())
}

fn transport() -> impl Strategy<Value = Transport> {
    select(&Transport::ALL[..])
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![0_u16..6, Just(u16::MAX)]
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        (port(), port()).prop_map(|(sport, dport)| Payload::Tcp { sport, dport, flags: TcpFlags::SYN }),
        (port(), port()).prop_map(|(sport, dport)| Payload::Udp { sport, dport }),
        (port(), port()).prop_map(|(sport, dport)| Payload::Sctp { sport, dport }),
        (0_u8..6, 0_u8..6).prop_map(|(type_, code)| Payload::Icmp { type_, code }),
        Just(Payload::Other(47)),
    ]
}

/// The transport, source and destination port of a payload, spelled out once more.
fn spoken(payload: Payload) -> Option<(Transport, u16, u16)> {
    match payload {
        Payload::Tcp { sport, dport, .. } => Some((Transport::Tcp, sport, dport)),
        Payload::Udp { sport, dport } => Some((Transport::Udp, sport, dport)),
        Payload::Sctp { sport, dport } => Some((Transport::Sctp, sport, dport)),
        Payload::Icmp { .. } | Payload::Other(_) => None,
    }
}

proptest! {
    #[test]
    fn a_net_set_holds_what_any_member_holds(
        nets in btree_set(net(), 0..12), packets in vec((near(), near()), 1..20),
    ) {
        let mut sets = String::from("create cm4-a hash:net\n");
        nets.iter().for_each(|net| sets.push_str(&format!("add cm4-a {net}\n")));
        let inside = dropping("-m set --match-set cm4-a src", &sets);
        let outside = dropping("-m set ! --match-set cm4-a src", &sets);
        let Members::Net(held) = inside.sets()[0].members() else { panic!("a hash:net has networks") };
        let apart = held.covered().windows(2).all(|pair| pair[0].1 < pair[1].0);
        prop_assert!(apart, "{:?}", held.covered());
        for (src, dst) in packets {
            let held = nets.iter().any(|net| net.contains(&src));
            prop_assert_eq!(matches(&inside, src, dst, Payload::Other(47)), held, "{}", src);
            prop_assert_eq!(matches(&outside, src, dst, Payload::Other(47)), !held, "{}", src);
        }
    }

    #[test]
    fn an_ip_set_holds_its_members(ips in btree_set(near(), 0..12), src in near(), dst in near()) {
        let mut sets = String::from("create cm4-a hash:ip\n");
        ips.iter().for_each(|ip| sets.push_str(&format!("add cm4-a {ip}\n")));
        let kernel = dropping("-m set --match-set cm4-a dst", &sets);
        prop_assert_eq!(matches(&kernel, src, dst, Payload::Other(47)), ips.contains(&dst));
    }

    #[test]
    fn a_service_set_takes_address_and_port_from_the_ends_it_is_told(
        members in btree_set((near(), transport(), port()), 0..12), src in near(), dst in near(),
        payload in payload(),
    ) {
        let mut sets = String::from("create cm4-a hash:ip,port\n");
        for (ip, transport, port) in &members {
            sets.push_str(&format!("add cm4-a {ip},{}:{port}\n", transport.as_str()));
        }
        let service = spoken(payload);
        for (ends, host, at_source) in
            [("src,src", src, true), ("src,dst", src, false), ("dst,src", dst, true), ("dst,dst", dst, false)]
        {
            let kernel = dropping(&format!("-m set --match-set cm4-a {ends}"), &sets);
            let expected = service.is_some_and(|(transport, sport, dport)| {
                members.contains(&(host, transport, if at_source { sport } else { dport }))
            });
            prop_assert_eq!(matches(&kernel, src, dst, payload), expected, "{}", ends);
        }
    }

    #[test]
    fn a_flow_set_holds_its_members(
        members in btree_set((near(), transport(), port(), near()), 0..12), src in near(), dst in near(),
        payload in payload(),
    ) {
        let mut sets = String::from("create cm4-a hash:ip,port,ip timeout 60\n");
        for (host, transport, port, peer) in &members {
            sets.push_str(&format!("add cm4-a {host},{}:{port},{peer}\n", transport.as_str()));
        }
        let forth = spoken(payload).is_some_and(|(t, sport, _)| members.contains(&(src, t, sport, dst)));
        let back = spoken(payload).is_some_and(|(t, _, dport)| members.contains(&(dst, t, dport, src)));
        let kernel = dropping("-m set --match-set cm4-a src,src,dst", &sets);
        prop_assert_eq!(matches(&kernel, src, dst, payload), forth);
        let kernel = dropping("-m set --match-set cm4-a dst,dst,src", &sets);
        prop_assert_eq!(matches(&kernel, src, dst, payload), back);
    }

    #[test]
    fn port_matches_hold_for_their_protocol_and_ports(
        transport in transport(), ranges in vec((port(), port()), 1..7), payload in payload(),
        option in select(vec!["--sports", "--dports", "--ports"]), not in any::<bool>(),
    ) {
        let ranges: Vec<(u16, u16)> = ranges.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
        let bang = if not { "! " } else { "" };
        let word = transport.as_str();
        let holds = |end: fn((u16, u16)) -> u16| {
            spoken(payload).is_some_and(|(_, sport, dport)| {
                let port = end((sport, dport));
                ranges.iter().any(|&(first, last)| (first..=last).contains(&port))
            })
        };
        let either = match option {
            "--sports" => holds(|ports| ports.0),
            "--dports" => holds(|ports| ports.1),
            _ => holds(|ports| ports.0) || holds(|ports| ports.1),
        };
        let spoken_here = spoken(payload).is_some_and(|(spoken, ..)| spoken == transport);
        let list: Vec<String> = ranges.iter().map(|(first, last)| format!("{first}:{last}")).collect();
        let rule = format!("-p {word} -m multiport {bang}{option} {}", list.join(","));
        let kernel = dropping(&rule, "");
        let (src, dst) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        prop_assert_eq!(matches(&kernel, src, dst, payload), spoken_here && (either != not), "{}", rule);

        let (first, last) = ranges[0];
        let rule = format!("-p {word} -m {word} {bang}--dport {first}:{last}");
        let kernel = dropping(&rule, "");
        let within = spoken(payload).is_some_and(|(_, _, dport)| (first..=last).contains(&dport));
        prop_assert_eq!(matches(&kernel, src, dst, payload), spoken_here && (within != not), "{}", rule);
    }

    #[test]
    fn no_text_makes_the_readers_panic(lines in vec(vec(word(), 0..14), 0..12), family in select(&Family::ALL[..])) {
        let lines: Vec<String> = lines.iter().map(|words| words.join(" ")).collect();
        let text = format!("*filter\n:CM-A -\n:CM-FORWARD -\n-A CM-FORWARD {}\nCOMMIT\n", lines.join("\n"));
        let sets = format!("create cm4-a hash:ip\n{}\n", lines.join("\n"));
        let none = |family| Ruleset::parse(family, "").unwrap();
        drop(Ruleset::parse(family, &lines.join("\n")));
        let sets = Sets::parse(&sets).unwrap_or_default();
        if let Ok(rules) = Ruleset::parse(Family::V4, &text)
            && let Ok(kernel) = Kernel::new(rules, none(Family::V6), sets)
        {
            let ip = IpAddr::from([10, 0, 0, 1]);
            kernel.forward(&Packet::opening(ip, ip, Transport::Tcp, 80).unwrap()).unwrap();
        }
    }

    #[test]
    fn one_line_of_known_words_makes_no_reader_panic(words in vec(word(), 0..10)) {
        let line = words.join(" ");
        for family in Family::ALL {
            drop(Ruleset::parse(family, &format!("*filter\n:CM-A -\n-A CM-A {line}\nCOMMIT\n")));
        }
        for (kind, prefix) in [("hash:ip", "add"), ("hash:net", "add"), ("hash:ip,port,ip timeout 1", "create")] {
            drop(Sets::parse(&format!("create cm4-a {kind}\n{prefix} cm4-a {line}\n")));
        }
    }
}

fn word() -> impl Strategy<Value = String> {
    let known = "*filter *nat COMMIT :CM-B :FORWARD # [0:0] - -A -s -d -i -o -p -m -j -g ! tcp udp sctp icmp icmp6 \
         ipv6-icmp multiport set conntrack hl addrtype pkttype comment limit --dport --sport --dports --ports \
         --tcp-flags --match-set --ctstate --icmp-type --icmpv6-type --hl-eq --dst-type --pkt-type --comment --limit \
         --limit-burst --reject-with --nflog-group --nflog-prefix CM-A CM-FORWARD FORWARD RETURN DROP ACCEPT REJECT \
         NFLOG tcp-reset cm4-a cm6-a src dst src,dst src,src,dst 80 80:90 :9 9: 1,2 65536 10.0.0.1 10.0.0.0/8 / fd00::1 \
         ::/0 ALL NONE SYN NEW,ESTABLISHED UNICAST any 3/4 10/sec + eth0 \" \"a \\\" \\ é create add hash:ip hash:net \
         hash:ip,port hash:ip,port,ip family inet inet6 maxelem timeout nomatch 10.0.0.1,tcp:80 10.0.0.1,80,10.0.0.2 , :";
    let known: Vec<String> = known.split_whitespace().map(str::to_owned).collect();
    prop_oneof![8 => select(known), 1 => any::<String>()]
}
