use super::*;
use crate::testing::{cut_set, rules, set_of, snapshot};

fn refused(v4: &str, sets: &[(SetName, String)]) -> String {
    Desired::of_snapshot(&snapshot(v4, &rules(&[]), sets)).expect_err(v4).to_string()
}

#[test]
fn a_text_that_reaches_beyond_our_chains_is_refused() {
    let rows = [
        ("*nat\n:CM-FORWARD - [0:0]\nCOMMIT\n", "rules.v4:1: \"*nat\" is not expected here"),
        (
            "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n",
            "rules.v4:2: \":FORWARD DROP [0:0]\" is not expected here",
        ),
        ("*filter\n:FORWARD - [0:0]\nCOMMIT\n", "rules.v4:2: chain name \"FORWARD\" is not of the form CM-…"),
        (
            "*filter\n:CM-FORWARD - [0:0]\n:CM-FORWARD - [0:0]\nCOMMIT\n",
            "rules.v4:3: \":CM-FORWARD - [0:0]\" is not",
        ),
        ("*filter\n:CM-FORWARD - [0:0]\n-A INPUT -j DROP\nCOMMIT\n", "rules.v4:3: chain name \"INPUT\""),
        (
            "*filter\n:CM-FORWARD - [0:0]\n-A CM-X -j DROP\nCOMMIT\n",
            "rules.v4:3: \"-A CM-X -j DROP\" is not expected",
        ),
        ("*filter\n:CM-FORWARD - [0:0]\n-F INPUT\nCOMMIT\n", "rules.v4:3: \"-F INPUT\" is not expected here"),
        ("*filter\n:CM-FORWARD - [0:0]\nCOMMIT\n*nat\nCOMMIT\n", "rules.v4:4: \"*nat\" is not expected here"),
        ("*filter\n:CM-FORWARD - [0:0]\n", "rules.v4:2: \"no COMMIT\""),
        (
            "*filter\n:CM-FORWARD - [0:0]\n-A CM-FORWARD -j KUBE-X\nCOMMIT\n",
            "rules.v4:3: a rule of CM-FORWARD is refused: it leads to \"KUBE-X\"",
        ),
        (
            "*filter\n:CM-FORWARD - [0:0]\n-A CM-FORWARD -m set --match-set cm6-CUT src,src,dst -j DROP\nCOMMIT\n",
            "set \"cm6-CUT\" is not in the snapshot, or of the other family",
        ),
        ("*filter\n:CM-OTHER - [0:0]\nCOMMIT\n", "rules.v4 declares chains but not CM-FORWARD"),
    ];
    for (text, expected) in rows {
        let error = refused(text, &[cut_set(Family::V6)]);
        assert!(error.contains(expected), "{text}\n{error}");
    }
}

#[test]
fn a_set_that_is_not_what_its_name_says_is_refused() {
    let (name, text) = set_of(Family::V4, &["10.0.0.1"]);
    let (other, _) = set_of(Family::V4, &["10.0.0.2"]);
    let (cut, cut_text) = cut_set(Family::V4);
    let rows = [
        (name.clone(), text.clone() + &format!("add {name} 10.0.0.2\n"), "its members hash to cm4-"),
        (name.clone(), text.clone() + &format!("add {other} 10.0.0.2\n"), "adds no member to it"),
        (name.clone(), text.clone() + &format!("add {name} 10.0.0.1 nomatch\n"), "is not an address"),
        (name.clone(), text.clone() + &format!("add {name} fd00::1\n"), "fd00::1 is of the other family"),
        (name.clone(), text.clone() + "flush KUBE-X\n", "adds no member to it"),
        (name.clone(), text.replace("hash:ip", "hash:net"), "its members hash to"),
        (name.clone(), text.replace("maxelem 64", "netmask 24"), "netmask"),
        (name.clone(), text.replace("maxelem 64", "forceadd"), "forceadd"),
        (name.clone(), text.replace("maxelem 64", "maxelem 1;2"), "option \"maxelem\" is not expected"),
        (name.clone(), text.replace("create", "add"), "does not begin with its create line"),
        (name.clone(), text.replace(name.as_str(), "KUBE-X"), "does not begin with its create line"),
        (cut.clone(), cut_text.clone() + &format!("add {cut} 10.0.0.1,tcp:1,10.0.0.2\n"), "is created empty"),
        (cut, cut_text.replace(" timeout 86400", ""), "not a hash:ip,port,ip family inet timeout"),
    ];
    for (name, text, expected) in rows {
        let error = refused(&rules(&[("CM-FORWARD", &[])]), &[(name, text.clone())]);
        assert!(error.contains(expected), "{text}\n{error}");
    }
}

#[test]
fn a_family_without_rules_wants_no_jump() {
    let desired = Desired::of_snapshot(&snapshot(&rules(&[("CM-FORWARD", &[])]), &rules(&[]), &[])).unwrap();
    assert_eq!(desired.tables[&Family::V4].jump, Jump::Present);
    assert_eq!(desired.tables[&Family::V6], DesiredTable::default());
}
