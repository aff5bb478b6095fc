use super::*;
use crate::testing::{cut_set, set_of};

const ISOLATED: &str = "cm4-b2ce9ffaea63959b88b8";

/// What rules may ask: a set of addresses, one of networks, one of services, and that of cut flows.
fn sets() -> SetKinds {
    let kinds = [SetKind::HashIp, SetKind::HashNet, SetKind::HashIpPort];
    let named = ["a", "n", "s"].into_iter().zip(kinds.map(Asked::Content)).chain([("CUT", Asked::Cut)]);
    named.map(|(name, asked)| (format!("cm4-{name}").parse().unwrap(), asked)).collect()
}

/// The rules of one chain, beside what its rules may lead to.
fn read_chain(chain: &str, rules: &[&str]) -> Result<Chains, RulesError> {
    let ends: [(&str, &[&str]); 6] = [
        ("CM-DENY", &["-m limit --limit 1/sec -j NFLOG --nflog-prefix cm-deny --nflog-group 67", "-j DROP"]),
        ("CM-EGRESS", &["-j DROP"]),
        ("CM-FORWARD", &[]),
        ("CM-I-0123456789abcdef", &["-j DROP"]),
        ("CM-INGRESS", &["-j DROP"]),
        ("CM-INVALID", &[]),
    ];
    let mut chains: BTreeMap<&str, &[&str]> = ends.into_iter().collect();
    chains.insert(chain, rules);
    let chains: Vec<(&str, &[&str])> = chains.into_iter().collect();
    read(Family::V4, &crate::testing::rules(&chains), &sets())
}

#[test]
fn what_the_compiler_writes_is_written_anew_byte_for_byte() {
    let rows: &[(&str, &[&str])] = &[
        (
            "CM-FORWARD",
            &[
                "-m conntrack --ctstate ESTABLISHED -m set --match-set cm4-a src -j ACCEPT",
                "-m conntrack --ctstate ESTABLISHED -m set --match-set cm4-a dst -j ACCEPT",
                "-m conntrack --ctstate ESTABLISHED -j RETURN",
                "-p icmp -m conntrack --ctstate RELATED -j RETURN",
                "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m set --match-set cm4-CUT src,src,dst -j REJECT --reject-with tcp-reset",
                "! -p tcp -m set --match-set cm4-CUT dst,dst,src -j DROP",
                "-i cni0 -o cni0 -m addrtype --dst-type BROADCAST,MULTICAST -j CM-DENY",
                "! -s 10.8.0.0/24 -i cni0 -o cni0 -g CM-DENY",
                "-i cni0 -o cni0 -m set ! --match-set cm4-n src -j DROP",
                "-s 10.8.0.0/24 -m set ! --match-set cm4-a src -j DROP",
                "-i cali+ -m set ! --match-set cm4-a src -j DROP",
                "-o cali+ -m set ! --match-set cm4-a dst -j DROP",
                "-i vc -j CM-DENY",
                "! -p udp -m conntrack --ctstate INVALID -g CM-INVALID",
                "-m set --match-set cm4-a src -j CM-EGRESS",
                "-m set --match-set cm4-a dst -j CM-INGRESS",
                "-m set --match-set cm4-a src -j ACCEPT",
            ],
        ),
        (
            "CM-I-0123456789abcdef",
            &[
                "-s 10.0.0.0/8 -p tcp -m multiport --dports 80,443:445 -m comment --comment \"shop/web ingress[0] +1\" -j RETURN",
                "-p udp -m udp --dport 53 -m set --match-set cm4-a src -j RETURN",
                "-p sctp -m sctp --dport 1:65535 -j RETURN",
                "-g CM-DENY",
            ],
        ),
        ("CM-E-0123456789abcdef", &["-m set --match-set cm4-s dst,dst -j RETURN", "-j DROP"]),
        (
            "CM-INGRESS-0-1",
            &[
                "-s 10.0.0.1/32 -d 10.0.0.1/32 -j RETURN",
                "-d 10.0.0.1/32 -g CM-I-0123456789abcdef",
                "-j DROP",
            ],
        ),
        ("CM-INVALID", &["-m set --match-set cm4-a src -g CM-DENY", "-m set --match-set cm4-a dst -j DROP"]),
        (
            "CM-DENY",
            &["-m limit --limit 600/min -j NFLOG --nflog-prefix cm-deny --nflog-group 67", "-j RETURN"],
        ),
    ];
    for (chain, rules) in rows {
        let chains = read_chain(chain, rules).unwrap_or_else(|error| panic!("{chain}: {error}"));
        let anew: Vec<&str> = chains[&chain.parse().unwrap()].iter().map(RuleText::as_str).collect();
        assert_eq!(anew, *rules, "{chain}");
    }
}

#[test]
fn what_the_compiler_does_not_write_is_refused_with_its_line_and_without_its_text() {
    let class = "CM-I-0123456789abcdef";
    let rows: &[(&str, &str)] = &[
        // A closing quote ends a word: each of these is another rule to who reads on behind it.
        (class, "-s \"10.0.0.1\"-j KUBE-F"),
        (class, "-s \"10.0.0.1\"-j TEE --gateway 10.1.1.1"),
        (class, "-s \"10.0.0.1\"-j SET --add-set FOREIGN src"),
        (class, "-s \"10.0.0.1/32\" -j RETURN"),
        (class, "-m comment --comment \"a b\"-j NFQUEUE"),
        (class, "-m comment --comment \"a \\\"b\" -j RETURN"),
        (class, "-m comment --comment \"a\tb\" -j RETURN"),
        (class, "-m comment --comment \"\" -j RETURN"),
        (class, "-m comment --comment abc -j RETURN"),
        // Options that reach outside of a rule.
        (class, "-t nat -j RETURN"),
        (class, "--modprobe=/tmp/x -j RETURN"),
        (class, "-jRETURN"),
        (class, "--jump RETURN"),
        // Targets and where they stand.
        (class, "-j ACCEPT"),
        (class, "-j LOG"),
        (class, "-p tcp -j REJECT --reject-with tcp-reset"),
        (class, "-j NFLOG --nflog-prefix cm-deny --nflog-group 67"),
        (class, "-s 10.0.0.0/8 -j DROP"),
        (class, "-s 10.0.0.0/8"),
        (class, "-s 10.0.0.0/8 -j CM-INGRESS"),
        ("CM-FORWARD", "-j ACCEPT"),
        ("CM-FORWARD", "-s 10.0.0.1/32 -j ACCEPT"),
        ("CM-FORWARD", "-m set --match-set cm4-n src -j ACCEPT"),
        ("CM-FORWARD", "-j RETURN"),
        ("CM-FORWARD", "-j CM-FORWARD"),
        ("CM-FORWARD", "-j DROP"),
        ("CM-FORWARD", "-p tcp -j REJECT --reject-with tcp-reset"),
        ("CM-INVALID", "-j DROP"),
        ("CM-INGRESS", "-d 10.0.0.0/8 -g CM-INGRESS"),
        ("CM-INGRESS", "-d 10.0.0.0/8 -g CM-EGRESS"),
        ("CM-DENY", "-j NFLOG --nflog-prefix cm-deny --nflog-group 67"),
        // Values.
        (class, "-s www.example.test -j RETURN"),
        (class, "-s 10.0.0.1 -j RETURN"),
        (class, "-s 10.0.0.1/8 -j RETURN"),
        (class, "-s 010.0.0.1/32 -j RETURN"),
        (class, "-p tcp -m tcp --dport http -j RETURN"),
        (class, "-p tcp -m tcp --dport 080 -j RETURN"),
        (class, "-p tcp -m tcp --dport 80: -j RETURN"),
        (class, "-p tcp -m multiport --dports 80 -j RETURN"),
        (class, "-p 6 -j RETURN"),
        (class, "-m set --match-set KUBE src -j RETURN"),
        (class, "-m set --match-set cm4-missing src -j RETURN"),
        (class, "-m set --match-set cm6-a src -j RETURN"),
        (class, "-m set --match-set cm4-a src,src -j RETURN"),
        (class, "-m set --match-set cm4-a dst -j RETURN"),
        (class, "-m set --match-set cm4-s dst,dst -j RETURN"),
        ("CM-FORWARD", "-i cni+ -o cni+ -j DROP"),
        ("CM-FORWARD", "-i cni0 -o cni1 -j DROP"),
        ("CM-FORWARD", "-i + -j DROP"),
        ("CM-FORWARD", "-i cali+ -m set ! --match-set cm4-a dst -j DROP"),
        ("CM-FORWARD", "! -i cali+ -j DROP"),
        ("CM-FORWARD", "-m conntrack --ctstate NEW -j RETURN"),
        ("CM-FORWARD", "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"),
        ("CM-DENY", "-m limit --limit 601/min -j NFLOG --nflog-prefix cm-deny --nflog-group 67"),
        (
            "CM-DENY",
            "-m limit --limit 1/sec --limit-burst 9 -j NFLOG --nflog-prefix cm-deny --nflog-group 67",
        ),
        ("CM-DENY", "-m limit --limit 1/sec -j NFLOG --nflog-prefix x --nflog-group 67"),
        // The same values in other words.
        (class, "-p tcp  -j RETURN"),
        (class, "-p tcp -j RETURN "),
        (class, "-m comment --comment \"a b\" -p tcp -j RETURN"),
        (class, "-j RETURN -p tcp"),
    ];
    for (chain, rule) in rows {
        let rest: &[&str] = if *chain == "CM-FORWARD" { &[] } else { &["-j DROP"] };
        let rules = [&[*rule], rest].concat();
        let error = read_chain(chain, &rules).expect_err(rule).to_string();
        assert!(error.starts_with("rules.v4:"), "{error}");
        for word in
            rule.split([' ', '"', ',']).filter(|word| word.contains(['.', '/', 'E', 'K']) && word.len() > 2)
        {
            assert!(!error.contains(word) || chain.contains(word), "{rule}: {error}");
        }
    }
}

#[test]
fn a_chain_that_lets_fall_through_or_goes_in_circles_is_refused() {
    let class = "CM-I-0123456789abcdef";
    let rows: &[(&str, &[&str], &str)] = &[
        (class, &["-p tcp -j RETURN"], "a class of ingress has to end"),
        (class, &[], "a class of ingress has to end"),
        (class, &["-j DROP", "-p tcp -j RETURN"], "has to end in a rule for all packets"),
        ("CM-INGRESS", &["-d 10.0.0.1/32 -g CM-I-0123456789abcdef"], "the dispatch of CM-INGRESS has to end"),
        ("CM-INGRESS-0", &["-d 10.0.0.0/8 -g CM-INGRESS-0", "-j DROP"], "no such rule stands here"),
        (
            "CM-DENY",
            &["-m limit --limit 1/sec -j NFLOG --nflog-prefix cm-deny --nflog-group 67"],
            "CM-DENY has to end",
        ),
        ("CM-OTHER", &["-j DROP"], "no chain of rules has this name"),
        ("CM-I-0123", &["-j DROP"], "no chain of rules has this name"),
        (
            "CM-FORWARD",
            &["-m set --match-set cm4-a dst -g CM-INGRESS", "-m conntrack --ctstate ESTABLISHED -j RETURN"],
            "no such rule stands here in CM-FORWARD",
        ),
    ];
    for (chain, rules, expected) in rows {
        let error = read_chain(chain, rules).expect_err(chain).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_text_that_is_too_long_is_refused_before_it_is_read() {
    let rules = "-A CM-FORWARD -j X\n".repeat(LINES_MAX);
    let error = read(Family::V4, &format!("*filter\n{rules}COMMIT\n"), &sets()).unwrap_err().to_string();
    assert_eq!(error, "rules.v4:262145: a node takes 262144 lines");
}

#[test]
fn all_rules_that_accept_ask_one_set() {
    let (other, _) = set_of(Family::V4, &["10.0.0.1", "10.0.0.2"]);
    assert_eq!(other.as_str(), ISOLATED);
    let mut sets = sets();
    sets.insert(other, Asked::Content(SetKind::HashIp));
    let accept =
        |set: &str| format!("-m conntrack --ctstate ESTABLISHED -m set --match-set {set} src -j ACCEPT");
    let text = |set: &str| crate::testing::rules(&[("CM-FORWARD", &[&accept("cm4-a"), &accept(set)])]);
    assert!(read(Family::V4, &text("cm4-a"), &sets).is_ok());
    let error = read(Family::V4, &text(ISOLATED), &sets).unwrap_err().to_string();
    assert_eq!(error, "rules.v4:4: packets pass the host's other rules by another set than above");
}

#[test]
fn no_text_of_several_lines_becomes_a_rule() {
    assert_eq!(RuleText::of_live("-m comment --comment \"a\n-A FORWARD -j ACCEPT\" -j DROP"), None);
    assert_eq!(RuleText::of_live("-j DROP").unwrap().as_str(), "-j DROP");
    assert!(serde_json::from_str::<RuleText>("\"-j DROP\\n-F\"").is_err());
    let (cut, text) = cut_set(Family::V4);
    assert!(text.contains(cut.as_str()));
}
