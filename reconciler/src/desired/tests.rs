use chainmail_contract::Sha256Hex;

use super::*;
use crate::testing::{cut_set, rules, set_of, snapshot};

fn refused(v4: &str, sets: &[(SetName, String)]) -> String {
    Desired::of_snapshot(&snapshot(v4, &rules(&[]), sets)).expect_err(v4).to_string()
}

#[test]
fn a_text_that_reaches_beyond_our_chains_is_refused() {
    let head = "*filter\n:CM-FORWARD - [0:0]\n";
    let rows = [
        (
            "*nat\n:CM-FORWARD - [0:0]\nCOMMIT\n".to_owned(),
            "rules.v4:1: the line is not as this program writes it",
        ),
        (
            "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n".to_owned(),
            "rules.v4:2: the line is about a chain that is not ours",
        ),
        (
            "*filter\n:FORWARD - [0:0]\nCOMMIT\n".to_owned(),
            "rules.v4:2: the line is about a chain that is not ours",
        ),
        (
            format!("{head}:CM-FORWARD - [0:0]\nCOMMIT\n"),
            "rules.v4:3: the line cannot be read: it stands here twice",
        ),
        (
            format!("{head}-A INPUT -j DROP\nCOMMIT\n"),
            "rules.v4:3: the line is about a chain that is not ours",
        ),
        (
            format!("{head}-A CM-X -j DROP\nCOMMIT\n"),
            "rules.v4:3: the line cannot be read: it is not a declared chain",
        ),
        (format!("{head}-F INPUT\nCOMMIT\n"), "rules.v4:3: the line cannot be read: it is neither a chain"),
        (format!("{head}COMMIT\n*nat\nCOMMIT\n"), "rules.v4:4: the line is not as this program writes it"),
        (head.to_owned(), "rules.v4:1: the line cannot be read: it has no COMMIT"),
        (format!("{head}# a\nCOMMIT\n"), "rules.v4:3: the line is not as this program writes it"),
        (format!("{head}COMMIT\r\n"), "rules.v4:3: the line cannot be read"),
        (
            format!("{head}-A CM-FORWARD -j KUBE-X\nCOMMIT\n"),
            "rules.v4:3: the line cannot be read: it is not a target",
        ),
        (
            format!("{head}-A CM-FORWARD ! -p tcp -m set --match-set cm6-CUT dst,dst,src -j DROP\nCOMMIT\n"),
            "rules.v4:3: no rule of a snapshot has a set that is not in the snapshot, or of the other family",
        ),
        ("*filter\n:CM-INVALID - [0:0]\nCOMMIT\n".to_owned(), "there are chains, but not CM-FORWARD"),
    ];
    for (text, expected) in rows {
        let error = refused(&text, &[cut_set(Family::V6)]);
        assert!(error.contains(expected), "{text}\n{error}");
    }
}

#[test]
fn a_set_that_is_not_what_its_name_says_is_refused() {
    let (name, text) = set_of(Family::V4, &["10.0.0.1"]);
    let (other, _) = set_of(Family::V4, &["10.0.0.2"]);
    let (cut, cut_text) = cut_set(Family::V4);
    let (no_create, other_spelling) =
        ("does not begin with the create line", "is not as this program writes it");
    let rows = [
        (name.clone(), text.clone() + &format!("add {name} 10.0.0.2\n"), "its members hash to another name"),
        (name.clone(), text.clone() + &format!("add {other} 10.0.0.2\n"), "line 3 adds no member to it"),
        (
            name.clone(),
            text.clone() + &format!("add {name} 10.0.0.1 nomatch\n"),
            "line 3 adds no member to it",
        ),
        (name.clone(), text.clone() + &format!("add {name} 10.0.0.1\n"), "line 3 adds no member to it"),
        (name.clone(), text.clone() + &format!("add {name} fd00::1\n"), "line 3 adds no member to it"),
        (
            name.clone(),
            text.clone() + &format!("add {name} www.example.test\n"),
            "line 3 adds no member to it",
        ),
        (name.clone(), text.clone() + "flush KUBE-X\n", "line 3 adds no member to it"),
        (name.clone(), text.replace("hash:ip", "hash:net"), "its members hash to another name"),
        (name.clone(), text.replace("maxelem 65536", "netmask 24"), no_create),
        (name.clone(), text.replace("maxelem 65536", "forceadd"), no_create),
        (name.clone(), text.replace("maxelem 65536", "timeout 5"), no_create),
        (name.clone(), text.replace("maxelem 65536", "maxelem 1;2"), other_spelling),
        (name.clone(), text.replace("hashsize 64", "hashsize 67108864"), other_spelling),
        (name.clone(), text.replace("maxelem 65536", "maxelem 4294967295"), other_spelling),
        (name.clone(), text.replace("maxelem 65536", "maxelem 65536 bucketsize 2"), other_spelling),
        (name.clone(), text.replace("add", " add"), "line 2 adds no member to it"),
        (name.clone(), text.replace("create", "add"), no_create),
        (name.clone(), text.replace(name.as_str(), "KUBE-X"), no_create),
        (cut.clone(), cut_text.clone() + &format!("add {cut} 10.0.0.1,tcp:1,10.0.0.2\n"), other_spelling),
        (cut.clone(), cut_text.replace("timeout 86400", "timeout 1"), other_spelling),
        (cut, cut_text.replace(" timeout 86400", ""), no_create),
    ];
    let v4 = rules(&[("CM-FORWARD", &[])]);
    let right = snapshot(&v4, &rules(&[]), &[set_of(Family::V4, &["10.0.0.1"]), cut_set(Family::V4)]);
    let before = Desired::of_snapshot(&right).unwrap();
    assert_eq!(Desired::of_snapshot_after(&right, &before).unwrap(), before);
    for (name, text, expected) in rows {
        let sets = [(name, text.clone())];
        let error = refused(&v4, &sets);
        assert!(error.contains(expected), "{text}\n{error}");
        // Another text is another set, whatever set of that name was read before.
        let after = Desired::of_snapshot_after(&snapshot(&v4, &rules(&[]), &sets), &before);
        assert_eq!(after.unwrap_err().to_string(), error, "{text}");
    }
}

#[test]
fn a_family_without_rules_wants_no_jump() {
    let desired = Desired::of_snapshot(&snapshot(&rules(&[("CM-FORWARD", &[])]), &rules(&[]), &[])).unwrap();
    assert_eq!(desired.tables[&Family::V4].jump, Jump::Present);
    assert_eq!(desired.tables[&Family::V6], DesiredTable::default());
}

#[test]
fn a_set_whose_members_are_spelled_otherwise_is_refused() {
    // Named by just these bytes, as whoever writes the spool can do.
    for (member, is_taken) in [("fd00::1", true), ("FD00::1", false), ("fd00:0::1", false)] {
        let digest = Sha256Hex::of(format!("inet6\nhash:ip\n{member}\n"));
        let name: SetName = format!("cm6-{}", digest.short(20)).parse().unwrap();
        let text =
            format!("create {name} hash:ip family inet6 hashsize 64 maxelem 65536\nadd {name} {member}\n");
        let read = Desired::of_snapshot(&snapshot(&rules(&[]), &rules(&[]), &[(name, text)]));
        assert_eq!(read.is_ok(), is_taken, "{member}");
    }
}
