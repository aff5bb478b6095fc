use super::*;
use crate::apply::Change;
use crate::flip::Edge;
use crate::kernel::Kernel as _;
use crate::kernel::fake::FakeKernel;
use crate::testing::{applied, policy, set_of};

/// A plan as words: what each step is, and of which sets or which lines that are not rules.
fn words(desired: &Desired, kernel: &mut FakeKernel) -> Vec<String> {
    let plan = plan(desired, &kernel.live().unwrap(), &Place::First);
    plan.steps
        .iter()
        .map(|step| match step {
            Step::ClearLeftovers { names } => format!("clear {}", join(names)),
            Step::CreateSets { names, .. } => format!("create {}", names.len()),
            Step::HealSets { names, .. } => format!("heal {}", names.len()),
            Step::Flip { family, flip } => {
                let Flip { added, removed, edge, .. } = flip;
                let edge = match edge {
                    Edge::Unchanged => "",
                    Edge::Inserted => " inserted",
                    Edge::Moved => " moved",
                    Edge::Removed => " removed",
                };
                format!("{family} +{} -{}{edge}", added.len(), removed.len())
            }
            Step::ReadBack => "read".to_owned(),
            Step::DestroyOrphans { names } => format!("destroy {}", names.len()),
        })
        .collect()
}

fn join(names: &[SetName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_state_has_its_plan() {
    let desired = policy(&["10.0.0.1", "10.0.0.2"], 80);
    let port = policy(&["10.0.0.1", "10.0.0.2"], 81);
    let peers = policy(&["10.0.0.3"], 80);
    let (set, _) = set_of(Family::V4, &["10.0.0.1", "10.0.0.2"]);

    let mut uncut = desired.clone();
    uncut.sets.retain(|name, _| !is_cut_set(name));

    type Change<'a> = &'a dyn Fn(&mut FakeKernel);
    let rules = |kernel: &mut FakeKernel, text: &str| {
        kernel.restore_rules(Family::V4, &format!("*filter\n{text}COMMIT\n")).unwrap();
    };
    let rows: &[(&str, &Desired, Change<'_>, &[&str])] = &[
        ("nothing changed", &desired, &|_| {}, &[]),
        (
            "nothing there",
            &desired,
            &|kernel| *kernel = FakeKernel::new(),
            &["create 5", "v4 +6 -0 inserted", "v6 +4 -0 inserted", "read"],
        ),
        ("changed class", &port, &|_| {}, &["v4 +3 -3", "v6 +2 -2", "read"]),
        ("changed peers", &peers, &|_| {}, &["create 1", "v4 +1 -1", "read", "destroy 1"]),
        (
            "stale chain",
            &desired,
            &|kernel| rules(kernel, ":CM-OLD - [0:0]\n-A CM-OLD -j CM-INGRESS\n"),
            &["v4 +0 -1", "read"],
        ),
        (
            "stale chain that a rule of others leads into",
            &desired,
            &|kernel| rules(kernel, ":CM-OLD - [0:0]\n:KUBE - [0:0]\n-A CM-OLD -j DROP\n-A KUBE -j CM-OLD\n"),
            &["v4 +0 -1", "read"],
        ),
        (
            "the same, empty by now",
            &desired,
            &|kernel| rules(kernel, ":CM-OLD - [0:0]\n:KUBE - [0:0]\n-A KUBE -g CM-OLD\n"),
            &[],
        ),
        (
            "jump doubled",
            &desired,
            &|kernel| rules(kernel, "-I FORWARD 1 -j CM-FORWARD\n"),
            &["v4 +0 -0 moved", "read"],
        ),
        (
            "jump pushed down",
            &desired,
            &|kernel| rules(kernel, "-I FORWARD 1 -j DROP\n"),
            &["v4 +0 -0 moved", "read"],
        ),
        (
            "jump gone",
            &desired,
            &|kernel| rules(kernel, "-D FORWARD -j CM-FORWARD\n"),
            &["v4 +0 -0 inserted", "read"],
        ),
        (
            "chain flushed by another",
            &desired,
            &|kernel| rules(kernel, ":CM-INGRESS - [0:0]\n"),
            &["v4 +2 -0", "read"],
        ),
        (
            "member added by another",
            &desired,
            &|kernel| kernel.restore_sets(&format!("add {set} 10.0.0.77\n")).unwrap(),
            &["heal 1", "read"],
        ),
        (
            "entry that is no member",
            &desired,
            &|kernel| kernel.restore_sets(&format!("add {set} 10.0.0.1 nomatch\n")).unwrap(),
            &["heal 1", "read"],
        ),
        (
            "members of the set of cut flows are not looked at",
            &desired,
            &|kernel| kernel.restore_sets("add cm4-CUT 10.0.0.1,tcp:1,10.0.0.2\n").unwrap(),
            &[],
        ),
        ("the set of cut flows is no orphan", &uncut, &|_| {}, &[]),
        (
            "leftovers of a crash",
            &desired,
            &|kernel| kernel.restore_sets("create cm6-tmp-4 hash:ip family inet6\n").unwrap(),
            &["clear cm6-tmp-4"],
        ),
        (
            "orphan",
            &desired,
            &|kernel| kernel.restore_sets("create cm4-0 hash:ip family inet\n").unwrap(),
            &["destroy 1"],
        ),
        (
            "sets and chains of others",
            &desired,
            &|kernel| {
                kernel.restore_sets("create KUBE-X hash:ip family inet\n").unwrap();
                rules(kernel, ":KUBE-FORWARD - [0:0]\n-A KUBE-FORWARD -j ACCEPT\n");
            },
            &[],
        ),
        ("no IPv6", &port, &|kernel| drop(kernel.tables.remove(&Family::V6)), &["v4 +3 -3", "read"]),
    ];
    for (row, desired_now, change, expected) in rows {
        let mut kernel = applied(&desired);
        change(&mut kernel);
        assert_eq!(words(desired_now, &mut kernel), *expected, "{row}");
    }
}

#[test]
fn a_set_is_made_under_a_name_that_is_free() {
    let desired = policy(&["10.0.0.1"], 80);
    let mut kernel = FakeKernel::new().with_sets("create cm4-tmp-0 hash:ip family inet\n");
    let plan = plan(&desired, &kernel.live().unwrap(), &Place::First);
    let Some(Step::CreateSets { text, .. }) = plan.steps.get(1) else { panic!("{plan:?}") };
    let (name, _) = set_of(Family::V4, &["10.0.0.1"]);
    let expected = format!(
        "create cm4-tmp-2 hash:ip family inet hashsize 64 maxelem 65536\nadd cm4-tmp-2 10.0.0.1\nrename cm4-tmp-2 {name}\n"
    );
    assert!(text.contains(&expected), "{text}");
}

#[test]
fn a_flip_declares_only_what_it_changes_and_deletes_the_jump_as_often_as_it_is_there() {
    let old = policy(&["10.0.0.1"], 80);
    let mut kernel = applied(&old).with_rules(
        Family::V4,
        "*filter\n:KUBE - [0:0]\n-I FORWARD 1 -j KUBE\n-I FORWARD 1 -j CM-FORWARD\nCOMMIT\n",
    );
    let plan = plan(&policy(&["10.0.0.1"], 81), &kernel.live().unwrap(), &Place::First);
    let Some(Step::Flip { flip, .. }) = plan.steps.first() else { panic!("{plan:?}") };
    let (set, _) = set_of(Family::V4, &["10.0.0.1"]);
    let expected = format!(
        "*filter\n\
         :CM-I-0000000000000051 - [0:0]\n\
         :CM-INGRESS - [0:0]\n\
         :CM-I-0000000000000050 - [0:0]\n\
         -A CM-I-0000000000000051 -p tcp -m tcp --dport 81 -m set --match-set {set} src -j RETURN\n\
         -A CM-I-0000000000000051 -j DROP\n\
         -A CM-INGRESS -d 10.0.0.9/32 -g CM-I-0000000000000051\n\
         -A CM-INGRESS -j DROP\n\
         -D FORWARD -j CM-FORWARD\n\
         -D FORWARD -j CM-FORWARD\n\
         -I FORWARD 1 -j CM-FORWARD\n\
         -X CM-I-0000000000000050\n\
         COMMIT\n"
    );
    assert_eq!(flip.text, expected);
}

#[test]
fn a_set_of_another_type_is_left_by_two_flips_while_rules_refer_to_it() {
    let desired = policy(&["10.0.0.1"], 80);
    let (name, _) = set_of(Family::V4, &["10.0.0.1"]);
    for (set, create) in [
        (name.as_str(), "hash:net family inet"),
        (name.as_str(), "hash:ip family inet6"),
        (name.as_str(), "hash:ip family inet netmask 24"),
        // Entries of this one would never leave.
        ("cm4-CUT", "hash:ip,port,ip family inet"),
    ] {
        let mut kernel = applied(&desired);
        if set == "cm4-CUT" {
            let rule = "-A CM-FORWARD -m set --match-set cm4-CUT src,src,dst -j DROP";
            kernel = kernel.with_rules(Family::V4, &format!("*filter\n{rule}\nCOMMIT\n"));
        }
        let mut desired = desired.clone();
        desired.tables.get_mut(&Family::V4).unwrap().chains =
            DesiredTable::of_live(&kernel.live().unwrap().tables[&Family::V4]).chains;
        kernel.sets.get_mut(set).unwrap().0 = create.to_owned();

        let expected = [
            (["create 1", "v4 +1 -1", "read", "destroy 1"].as_slice(), format!("{set}-0")),
            (&[&format!("clear {set}"), "create 1", "v4 +1 -1", "read", "destroy 1"], set.to_owned()),
        ];
        for (steps, in_use) in expected {
            let steps = if set == "cm4-CUT" && steps[0] == "create 1" { &steps[..3] } else { steps };
            assert_eq!(words(&desired, &mut kernel), steps, "{set} {create}");
            let plan = plan(&desired, &kernel.live().unwrap(), &Place::First);
            for step in &plan.steps {
                match step {
                    Step::ClearLeftovers { names } => {
                        names.iter().for_each(|name| kernel.destroy_set(name).unwrap());
                    }
                    Step::CreateSets { text, .. } => kernel.restore_sets(text).unwrap(),
                    Step::Flip { family, flip } => kernel.restore_rules(*family, &flip.text).unwrap(),
                    Step::HealSets { .. } | Step::ReadBack | Step::DestroyOrphans { .. } => {}
                }
            }
            assert!(kernel.live().unwrap().refers_to(&in_use.parse().unwrap()), "{set} {create}");
        }
        assert_eq!(words(&desired, &mut kernel), ["destroy 1"], "only the other name is left");
    }
}

#[test]
fn the_jump_is_kept_in_the_place_that_was_asked_for() {
    let desired = policy(&["10.0.0.1"], 80);
    for (place, forward) in [
        ("first", ["-j CM-FORWARD", "-j A", "-j B"]),
        ("last", ["-j A", "-j B", "-j CM-FORWARD"]),
        ("after A", ["-j A", "-j CM-FORWARD", "-j B"]),
    ] {
        let place: Place = place.parse().unwrap();
        let mut kernel = FakeKernel::new().with_rules(
            Family::V4,
            "*filter\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A FORWARD -j B\nCOMMIT\n",
        );
        for pushed in [false, true] {
            if pushed {
                kernel = kernel.with_rules(Family::V4, "*filter\n-I FORWARD 1 -j CM-FORWARD\nCOMMIT\n");
            }
            let live = kernel.live().unwrap();
            let change = Change { desired: &desired, place: &place, old: None };
            let done = crate::apply::apply(&mut kernel, change, &live);
            assert!(done.is_ok(), "{place}: {done:?} {:?}", kernel.tables[&Family::V4]["FORWARD"]);
            assert_eq!(kernel.tables[&Family::V4]["FORWARD"], forward, "{place}");
        }
    }
}
