//! What set texts say, and what is refused with which words.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use chainmail_contract::{Family, Transport};
use chainmail_verdict::{Flow, Members, Set, SetType, Sets};

fn only(text: &str) -> Set {
    let sets = Sets::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(sets.len(), 1, "{text}");
    sets.iter().next().unwrap().clone()
}

#[test]
fn each_type_is_read_with_its_members() {
    let set = only(
        "create cm4-a hash:ip family inet hashsize 1024 maxelem 2 bucketsize 12 initval 0x5ce6201c\nadd cm4-a 10.0.0.2\nadd cm4-a 10.0.0.1\n",
    );
    assert_eq!((set.set_type(), set.family(), set.maxelem()), (SetType::HashIp, Family::V4, 2));
    assert_eq!(set.members(), &Members::Ip(vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]));

    let set = only(
        "create cm6-a hash:net family inet6\nadd cm6-a fd00:1::/32\nadd cm6-a fd00::1\nadd cm6-a fd00::/16\n",
    );
    assert_eq!((set.set_type(), set.family()), (SetType::HashNet, Family::V6));
    let Members::Net(nets) = set.members() else { panic!("{set:?}") };
    let nets: Vec<String> = nets.nets().iter().map(ToString::to_string).collect();
    assert_eq!(nets, ["fd00::/16", "fd00::1/128", "fd00:1::/32"]);

    let set = only(
        "create cm4-a hash:ip,port counters comment\nadd cm4-a 10.0.0.1,udp:53 packets 1 bytes 2 comment \"a b\"\nadd cm4-a 10.0.0.1,80\n",
    );
    let ip = "10.0.0.1".parse().unwrap();
    assert_eq!(set.members(), &Members::IpPort(vec![(ip, Transport::Tcp, 80), (ip, Transport::Udp, 53)]));

    let set = only(
        "create cm4-CUT hash:ip,port,ip family inet timeout 86400\nadd cm4-CUT 10.0.0.1,udp:53,10.0.0.2 timeout 600\nadd cm4-CUT 10.0.0.1,tcp:53,10.0.0.2\n",
    );
    assert_eq!(set.timeout(), Some(Duration::from_secs(86400)));
    let Members::IpPortIp(flows) = set.members() else { panic!("{set:?}") };
    let flow = |transport| Flow { host: ip, transport, port: 53, peer: "10.0.0.2".parse().unwrap() };
    assert_eq!(flows[&flow(Transport::Udp)], Some(Duration::from_secs(600)));
    assert_eq!(flows[&flow(Transport::Tcp)], Some(Duration::from_secs(86400)), "the set's own timeout");
}

#[test]
fn sets_of_others_and_comments_are_passed_over() {
    let text = "# comment\n\ncreate KUBE-X hash:ip,mark family inet\nadd KUBE-X anything\n  create\tcm4-a   hash:ip\n add cm4-a  10.0.0.1\n";
    assert_eq!(only(text).name().as_str(), "cm4-a");
}

#[test]
fn members_hash_to_a_content_name_whatever_their_order() {
    let one = only("create cm4-a hash:ip\nadd cm4-a 10.0.0.1\nadd cm4-a 10.0.0.2\n");
    let other = only("create cm4-b hash:ip maxelem 7\nadd cm4-b 10.0.0.2\nadd cm4-b 10.0.0.1\n");
    let smaller = only("create cm4-b hash:ip\nadd cm4-b 10.0.0.2\n");
    assert_eq!(one.content_name(), other.content_name());
    assert_ne!(one.content_name(), smaller.content_name());
    assert_eq!(only("create cm4-CUT hash:ip,port,ip timeout 1\n").content_name(), None);
}

#[test]
fn one_bad_set_does_not_hide_the_others() {
    let text =
        "create cm4-a hash:ip,mark\nadd cm4-a 10.0.0.1,0x1\ncreate cm4-b hash:ip\nadd cm4-b 10.0.0.1\n";
    let each = Sets::parse_each(text).unwrap();
    let message = r#"ipsets:1: "hash:ip,mark" is not a set type that can be judged"#;
    assert_eq!(each[&"cm4-a".parse().unwrap()].as_ref().unwrap_err().to_string(), message);
    assert_eq!(each[&"cm4-b".parse().unwrap()].as_ref().unwrap().members().len(), 1);
    assert_eq!(Sets::parse(text).unwrap_err().to_string(), message);
}

#[test]
fn a_set_that_cannot_be_judged_is_refused_by_line_and_word() {
    let rows = [
        ("destroy cm4-a", r#"ipsets:1: "destroy" is neither create nor add"#),
        ("create", r#"ipsets:1: "create" lacks a value"#),
        ("create cm4-a", r#"ipsets:1: "cm4-a" lacks a value"#),
        ("add cm4-a 10.0.0.1", r#"ipsets:1: "cm4-a" is not a set created above"#),
        ("create cm4-a list:set", r#"ipsets:1: "list:set" is not a set type that can be judged"#),
        (
            "create cm4-a hash:ip netmask 24",
            r#"ipsets:1: "netmask" is not an option of a set that can be judged"#,
        ),
        (
            "create cm4-a hash:ip forceadd",
            r#"ipsets:1: "forceadd" is not an option of a set that can be judged"#,
        ),
        ("create cm4-a hash:ip timeout 0", r#"ipsets:1: "timeout" cannot stand in a set of type hash:ip"#),
        ("create cm4-a hash:ip family inet5", r#"ipsets:1: "inet5" is not inet or inet6"#),
        ("create cm4-a hash:ip maxelem many", r#"ipsets:1: "many" is not a number of members"#),
        ("create cm6-a hash:ip family inet", r#"ipsets:1: "cm6-a" is not a name for a set of its family"#),
        ("create cm4-a hash:ip\ncreate cm4-a hash:ip", r#"ipsets:2: "cm4-a" stands here twice"#),
        ("create cm4-a hash:ip\nadd cm4-a", r#"ipsets:2: "cm4-a" lacks a value"#),
        ("create cm4-a hash:ip\nadd cm4-a 10.0.0.0/8", r#"ipsets:2: "10.0.0.0/8" is not an IPv4 address"#),
        (
            "create cm4-a hash:ip\nadd cm4-a 10.0.0.1-10.0.0.2",
            r#"ipsets:2: "10.0.0.1-10.0.0.2" is not an IPv4 address"#,
        ),
        ("create cm4-a hash:ip\nadd cm4-a fd00::1", r#"ipsets:2: "fd00::1" is not an IPv4 address"#),
        (
            "create cm4-a hash:ip\nadd cm4-a 0.0.0.0",
            r#"ipsets:2: "0.0.0.0" is not an address that ipset stores"#,
        ),
        (
            "create cm4-a hash:net\nadd cm4-a 0.0.0.0/0",
            r#"ipsets:2: "0.0.0.0/0" is not a network that ipset stores"#,
        ),
        (
            "create cm4-a hash:net\nadd cm4-a 10.0.0.0/8 nomatch",
            r#"ipsets:2: "nomatch" is not an option of a member that can be judged"#,
        ),
        (
            "create cm4-a hash:ip\nadd cm4-a 10.0.0.1 timeout 5",
            r#"ipsets:2: "timeout" is not an option of a member that can be judged"#,
        ),
        (
            "create cm4-a hash:ip,port\nadd cm4-a 10.0.0.1",
            r#"ipsets:2: "10.0.0.1" is not ADDRESS,PROTOCOL:PORT"#,
        ),
        (
            "create cm4-a hash:ip,port\nadd cm4-a 10.0.0.1,icmp:echo-request",
            r#"ipsets:2: "icmp" is not tcp, udp or sctp"#,
        ),
        ("create cm4-a hash:ip,port\nadd cm4-a 10.0.0.1,tcp:http", r#"ipsets:2: "http" is not a port"#),
        (
            "create cm4-a hash:ip,port,ip timeout 1\nadd cm4-a 10.0.0.1,tcp:1",
            r#"ipsets:2: "10.0.0.1,tcp:1" is not ADDRESS,PROTOCOL:PORT,ADDRESS"#,
        ),
        (
            "create cm4-a hash:net\nadd cm4-a 10.1.0.0/8\nadd cm4-a 11.0.0.0/8\nadd cm4-a 10.0.0.0/8",
            r#"ipsets:4: "add" stands here twice"#,
        ),
        (
            "create cm4-a hash:ip maxelem 1\nadd cm4-a 10.0.0.1\nadd cm4-a 10.0.0.2",
            r#"ipsets:1: "cm4-a" holds 2 members and its maxelem is 1"#,
        ),
    ];
    for (text, message) in rows {
        assert_eq!(Sets::parse(text).expect_err(text).to_string(), message, "{text}");
    }
}
