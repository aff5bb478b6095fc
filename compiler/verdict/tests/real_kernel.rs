//! The reader and the walk against the kernel and its own tools, in network namespaces that end with their shell.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::disallowed_methods, reason = "runs the kernel's own tools")]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

mod layout;

use std::process::Command;

use chainmail_contract::{Family, Transport};
use chainmail_verdict::{Chain, Kernel, Members, Packet, Ruleset, Set, Sets, Table};

use layout::{RULES_V4, RULES_V6, SETS};

const BACKENDS: [&str; 2] = ["nft", "legacy"];

/// Every match and target that the reader knows, as iptables-save prints them.
const ALL_V4: &str = r#"*filter
:CM-A - [0:0]
:CM-FORWARD - [0:0]
-A CM-A -j RETURN
-A CM-FORWARD -s 10.0.0.1/32 ! -d 10.1.0.0/16 -i eth+ ! -o cni0 -p tcp -m tcp --dport 80 -m comment --comment "a b/c [0]" -j RETURN
-A CM-FORWARD -p tcp -m tcp --sport 1024:65535 ! --dport 80:90 --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE
-A CM-FORWARD -p udp -m udp --sport 53 -j ACCEPT
-A CM-FORWARD -p sctp -m sctp --dport 80 -j ACCEPT
-A CM-FORWARD -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m set --match-set cm4-CUT src,src,dst -j REJECT --reject-with tcp-reset
-A CM-FORWARD -p udp -m multiport ! --sports 1:3,5 -m set ! --match-set cm4-named dst,dst -g CM-A
-A CM-FORWARD -p tcp -m multiport --ports 1,2 -j RETURN
-A CM-FORWARD -m conntrack ! --ctstate NEW,UNTRACKED -j REJECT --reject-with icmp-port-unreachable
-A CM-FORWARD -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A CM-FORWARD -p icmp -m icmp --icmp-type 3/4 -j ACCEPT
-A CM-FORWARD -p icmp -m icmp --icmp-type any -j ACCEPT
-A CM-FORWARD ! -p icmp -m addrtype ! --dst-type BROADCAST,MULTICAST -j DROP
-A CM-FORWARD -m pkttype --pkt-type multicast -j DROP
-A CM-FORWARD -m limit --limit 10/sec -j NFLOG --nflog-prefix "cm-deny x" --nflog-group 7
-A CM-FORWARD -m limit --limit 10/sec --limit-burst 20 -j NFLOG --nflog-prefix cm-deny --nflog-group 7 --nflog-size 64 --nflog-threshold 2
-A CM-FORWARD -m comment --comment "quo\"te and \\ back \'single\'" -j CM-A
COMMIT
"#;

const ALL_V6: &str = "*filter
:CM-FORWARD - [0:0]
-A CM-FORWARD -s fe80::1/128 ! -d ff00::/8 -p tcp -j REJECT --reject-with tcp-reset
-A CM-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 1/4 -j RETURN
-A CM-FORWARD -p ipv6-icmp -m icmp6 ! --icmpv6-type 136 -m hl ! --hl-eq 255 -j REJECT --reject-with icmp6-port-unreachable
-A CM-FORWARD -m addrtype --dst-type MULTICAST -j DROP
COMMIT
";

/// Whether namespaces can be made here. In CI they must be: a skipped test would prove nothing.
fn namespaces_can_be_made() -> bool {
    let made = Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|status| status.success());
    assert!(made || std::env::var("CI").as_deref() != Ok("true"), "CI must run this with CAP_NET_ADMIN");
    if !made {
        eprintln!("skipped: `unshare -n` needs root");
    }
    made
}

/// Runs a shell script in a namespace of its own and gives what it prints.
fn in_namespace(script: &str, arguments: &[&str]) -> String {
    let shell = ["-n", "bash", "-ec", script, "bash"];
    let output = Command::new("unshare").args(shell).args(arguments).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {complaints}");
    String::from_utf8(output.stdout).unwrap()
}

/// Loads texts with one backend and prints what the kernel then holds, parted by lines of `==`.
const LOAD_AND_SAVE: &str = r#"
    printf %s "$2" | ipset restore
    printf %s "$3" | iptables-$1-restore --noflush
    printf %s "$4" | ip6tables-$1-restore --noflush
    ipset save; echo ==; iptables-$1-save -c; echo ==; ip6tables-$1-save
"#;

fn texts(chain: &Chain) -> Vec<&str> {
    chain.rules.iter().map(|rule| &*rule.text).collect()
}

/// Whether two rule sets hold the same chains with the same rules, as text and as read.
fn assert_same_rules(written: &Ruleset, saved: &Ruleset, backend: &str) {
    let names = |rules: &Ruleset| rules.chains().iter().map(|chain| chain.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(written), names(saved), "{backend}");
    assert_eq!(written.sets(), saved.sets(), "{backend}");
    for (ours, theirs) in written.chains().iter().zip(saved.chains()) {
        assert_eq!(texts(ours), texts(theirs), "{backend}");
        for (one, other) in ours.rules.iter().zip(&theirs.rules) {
            assert_eq!(
                (&one.matches, &one.target, &one.comment),
                (&other.matches, &other.target, &other.comment),
                "{backend}: {}",
                one.text
            );
        }
    }
}

/// Members without the time that flows have left.
fn held(set: &Set) -> String {
    match set.members() {
        Members::IpPortIp(flows) => format!("{:?}", flows.keys().collect::<Vec<_>>()),
        Members::Ip(_) | Members::Net(_) | Members::IpPort(_) => format!("{:?}", set.members()),
    }
}

#[test]
fn what_the_kernel_saves_reads_as_what_was_loaded() {
    if !namespaces_can_be_made() {
        return;
    }
    for backend in BACKENDS {
        for (v4, v6) in [(RULES_V4, RULES_V6), (ALL_V4, ALL_V6)] {
            let saved = in_namespace(LOAD_AND_SAVE, &[backend, SETS, v4, v6]);
            let mut parts = saved.split("==\n");
            let mut part = || parts.next().unwrap();
            let (sets, saved_v4, saved_v6) = (part(), part(), part());
            let written = Sets::parse(SETS).unwrap();
            let sets = Sets::parse(sets).unwrap_or_else(|error| panic!("{backend}: {error}"));
            assert_eq!(sets.len(), written.len(), "{backend}");
            for (ours, theirs) in written.iter().zip(sets.iter()) {
                assert_eq!(
                    (ours.name(), ours.set_type(), ours.timeout(), ours.maxelem(), held(ours)),
                    (theirs.name(), theirs.set_type(), theirs.timeout(), theirs.maxelem(), held(theirs)),
                    "{backend}"
                );
            }
            for (family, written, saved) in [(Family::V4, v4, saved_v4), (Family::V6, v6, saved_v6)] {
                let saved =
                    Ruleset::parse(family, saved).unwrap_or_else(|error| panic!("{backend}: {error}"));
                assert_same_rules(&Ruleset::parse(family, written).unwrap(), &saved, backend);
            }
        }
    }
}

/// Sends first packets from local addresses and prints the counters after each. The packets end on the loopback
/// device, and OUTPUT stands for FORWARD: the chains ask nothing that differs there.
const SEND_AND_COUNT: &str = r#"
    backend=$1; ip link set lo up
    printf %s "$2" | ipset restore
    printf %s "$3" | iptables-$backend-restore --noflush
    iptables-$backend -A OUTPUT -j CM-FORWARD
    shift 3
    while [ $# -gt 0 ]; do
        src=$1 dst=$2 protocol=$3 port=$4; shift 4
        ip addr replace $src/32 dev lo
        if [ $src != $dst ]; then ip route replace $dst/32 dev lo src $src; fi
        iptables-$backend -Z
        timeout 0.2 bash -c "echo x >/dev/$protocol/$dst/$port" 2>/dev/null || true
        iptables-$backend-save -c; echo ==
        ip addr del $src/32 dev lo; ip route del $dst/32 2>/dev/null || true
    done
"#;

/// The rules of our chains that a `save -c` counts packets at, in order of chains.
fn counted(saved: &str) -> Vec<&str> {
    let table = Table::read(Family::V4, saved).unwrap();
    let counters = saved.lines().collect::<Vec<_>>();
    let rules = table.ours().iter().flat_map(|chain| &chain.rules);
    let hit = rules.filter(|rule| !counters[rule.line as usize - 1].starts_with("[0:"));
    hit.map(|rule| rule.text).collect()
}

#[test]
fn packets_match_the_rules_that_the_kernel_counts_them_at() {
    if !namespaces_can_be_made() {
        return;
    }
    use Transport::{Tcp, Udp};
    let flows = [
        ("10.1.0.1", "10.1.0.2", Tcp, 80),
        ("10.1.0.1", "10.1.0.2", Tcp, 443),
        ("10.1.0.1", "10.1.0.2", Udp, 80),
        ("10.1.0.3", "10.1.0.2", Udp, 80),
        ("10.1.0.3", "10.9.0.1", Udp, 80),
        ("10.1.0.1", "10.2.0.1", Tcp, 8080),
        ("10.1.0.1", "10.2.0.1", Udp, 8080),
        ("10.1.0.1", "192.0.2.127", Udp, 9),
        ("10.1.0.1", "192.0.2.128", Udp, 9),
        ("10.1.0.77", "10.1.0.3", Udp, 80),
        ("10.1.0.99", "10.1.0.3", Udp, 80),
        ("10.9.0.1", "10.1.0.2", Tcp, 80),
    ];
    let sets = Sets::parse(SETS).unwrap();
    let rules = |family, text| Ruleset::parse(family, text).unwrap();
    let kernel = Kernel::new(rules(Family::V4, RULES_V4), rules(Family::V6, RULES_V6), sets).unwrap();
    for backend in BACKENDS {
        let ports: Vec<String> = flows.iter().map(|flow| flow.3.to_string()).collect();
        let mut arguments = vec![backend, SETS, RULES_V4];
        for ((src, dst, transport, _), port) in flows.iter().zip(&ports) {
            arguments.extend([src, dst, transport.as_str(), port.as_str()]);
        }
        let saved = in_namespace(SEND_AND_COUNT, &arguments);
        assert_eq!(saved.split_terminator("==\n").count(), flows.len(), "{backend}");
        for ((src, dst, transport, port), saved) in flows.into_iter().zip(saved.split_terminator("==\n")) {
            let packet =
                Packet::opening(src.parse().unwrap(), dst.parse().unwrap(), transport, port).unwrap();
            let walk = kernel.forward(&packet).unwrap();
            let mut expected: Vec<&str> = walk.matched().iter().map(|step| &*step.rule.text).collect();
            let mut hit = counted(saved);
            expected.sort_unstable();
            hit.sort_unstable();
            assert_eq!(expected, hit, "{backend}: {src} -> {dst} {transport:?} {port}");
        }
    }
}
