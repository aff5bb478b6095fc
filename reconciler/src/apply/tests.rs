use super::*;
use crate::kernel::fake::{FakeKernel, Fault, Table};
use crate::testing::{policy, set_of};

fn run(kernel: &mut FakeKernel, desired: &Desired) -> Result<Outcome, ApplyError> {
    let live = kernel.live().unwrap();
    let old = Old::of_live(&live);
    apply(kernel, Change { desired, place: &Place::First, old: Some(&old) }, &live)
}

/// A kernel with rules and sets of others, then one of our policies.
fn applied(desired: &Desired) -> FakeKernel {
    let mut kernel = FakeKernel::new()
        .with_sets("create KUBE-X hash:ip family inet\nadd KUBE-X 10.9.9.9\n")
        .with_rules(
            Family::V4,
            "*filter\n:KUBE - [0:0]\n-A KUBE -m set --match-set KUBE-X src -j ACCEPT\n-I FORWARD 1 -j KUBE\nCOMMIT\n",
        );
    run(&mut kernel, desired).unwrap();
    kernel.calls.clear();
    kernel
}

fn state(kernel: &FakeKernel) -> (String, String, Vec<&String>) {
    (kernel.save(Family::V4), kernel.save(Family::V6), kernel.sets.keys().collect())
}

#[test]
fn applying_twice_changes_nothing() {
    let desired = policy(&["10.0.0.1"], 80);
    let mut kernel = applied(&desired);
    let outcome = run(&mut kernel, &desired).unwrap();
    assert_eq!(outcome, Outcome::default());
    assert_eq!(kernel.calls, [""; 0]);
}

#[test]
fn a_change_keeps_the_order_and_what_is_not_ours() {
    let mut kernel = applied(&policy(&["10.0.0.1"], 80));
    run(&mut kernel, &policy(&["10.0.0.2"], 81)).unwrap();
    let old = format!("destroy {}", set_of(Family::V4, &["10.0.0.1"]).0);
    assert_eq!(kernel.calls, ["ipset", "rules v4", "rules v6", &old]);
    assert_eq!(kernel.tables[&Family::V4]["FORWARD"], ["-j CM-FORWARD", "-j KUBE"]);
    assert_eq!(kernel.tables[&Family::V4]["KUBE"], ["-m set --match-set KUBE-X src -j ACCEPT"]);
    assert!(kernel.sets["KUBE-X"].1.contains("10.9.9.9"));

    let mut fresh = FakeKernel::new();
    run(&mut fresh, &policy(&["10.0.0.2"], 81)).unwrap();
    let ours = |kernel: &mut FakeKernel| {
        let live = kernel.live().unwrap();
        (live.tables.into_values().map(|table| table.chains).collect::<Vec<_>>(), live.sets)
    };
    assert_eq!(ours(&mut kernel), ours(&mut fresh), "after a change as from nothing");
}

#[test]
fn a_second_family_that_fails_takes_the_first_back() {
    let rows: [(&str, Option<Desired>); 2] =
        [("from nothing", None), ("from old rules", Some(policy(&["10.0.0.1"], 80)))];
    for (row, old) in rows {
        let mut kernel = old.map_or_else(FakeKernel::new, |old| applied(&old));
        let before = state(&kernel).0 + &state(&kernel).1;
        let sets: Vec<_> = kernel.sets.keys().cloned().collect();
        kernel.faults.push_back(Fault::Rules(Family::V6));
        let error = run(&mut kernel, &policy(&["10.0.0.2"], 81)).unwrap_err();
        assert!(matches!(error, ApplyError::Undone { .. }), "{row}: {error}");
        assert_eq!(error.exit(), Exit::OldStateInForce, "{row}");
        assert_eq!(state(&kernel).0 + &state(&kernel).1, before, "{row}");
        assert_eq!(kernel.sets.keys().cloned().collect::<Vec<_>>(), sets, "{row}");
        assert!(error.to_string().contains("changing the rules of v6"), "{error}");
    }
}

#[test]
fn a_way_back_that_fails_is_said() {
    let mut kernel = applied(&policy(&["10.0.0.1"], 80));
    kernel.faults.extend([Fault::Rules(Family::V6), Fault::Rules(Family::V4)]);
    // The first text of v4 passes only because the fault of v6 stands before its own.
    let error = run(&mut kernel, &policy(&["10.0.0.2"], 81)).unwrap_err();
    assert!(matches!(error, ApplyError::NotUndone { .. }), "{error}");
    assert_eq!(error.exit(), Exit::UnexpectedState);
}

#[test]
fn a_crash_at_any_line_of_the_sets_is_healed_by_the_next_run() {
    let old = policy(&["10.0.0.1"], 80);
    let new = policy(&["10.0.0.2", "10.0.0.3"], 80);
    for line in 0..4 {
        let mut kernel = applied(&old);
        let rules = (kernel.save(Family::V4), kernel.save(Family::V6));
        kernel.faults.push_back(Fault::SetsBeforeLine(line));
        // As a crash: what the set text left behind stays.
        let plan = plan(&new, &kernel.live().unwrap(), &Place::First);
        super::run(&mut kernel, plan, &mut Outcome::default(), &mut ()).unwrap_err();
        assert_eq!((kernel.save(Family::V4), kernel.save(Family::V6)), rules, "line {line}");
        run(&mut kernel, &new).unwrap();
        assert_eq!(run(&mut kernel, &new).unwrap(), Outcome::default(), "line {line}");
        assert!(!kernel.sets.keys().any(|name| name.contains("tmp")), "line {line}");
        let (name, _) = set_of(Family::V4, &["10.0.0.2", "10.0.0.3"]);
        assert_eq!(kernel.sets[name.as_str()].1.len(), 2, "line {line}");
    }
}

#[test]
fn wrong_members_are_swapped_out_while_rules_refer_to_the_set() {
    let desired = policy(&["10.0.0.1"], 80);
    let (name, _) = set_of(Family::V4, &["10.0.0.1"]);
    let mut kernel = applied(&desired).with_sets(&format!("add {name} 10.0.0.66\n"));
    run(&mut kernel, &desired).unwrap();
    assert_eq!(kernel.calls, ["ipset"], "no rule needs to change");
    assert_eq!(kernel.sets[name.as_str()].1.iter().collect::<Vec<_>>(), ["10.0.0.1"]);
    assert!(!kernel.sets.keys().any(|name| name.contains("tmp")));
}

#[test]
fn another_program_between_reading_and_committing_is_followed() {
    let mut kernel = applied(&policy(&["10.0.0.1"], 80));
    // Our jump is pushed down before the run, so that its deletion is planned; then another deletes it first.
    kernel = kernel.with_rules(Family::V4, "*filter\n-I FORWARD 1 -j KUBE\nCOMMIT\n");
    kernel.faults.push_back(Fault::Meanwhile(Family::V4, |table| {
        table.get_mut("FORWARD").unwrap().retain(|rule| rule != "-j CM-FORWARD");
    }));
    run(&mut kernel, &policy(&["10.0.0.1"], 81)).unwrap();
    assert_eq!(kernel.tables[&Family::V4]["FORWARD"][0], "-j CM-FORWARD");
    assert_eq!(kernel.calls[..2], ["rules v4", "rules v4"]);
}

#[test]
fn a_chain_that_another_program_keeps_changing_is_given_up_in_the_old_state() {
    let mut kernel = applied(&policy(&["10.0.0.1"], 80));
    let before = state(&kernel).0;
    // A chain of our name space that the text does not know of.
    let intrude: fn(&mut Table) = |table| {
        let free = if table.contains_key("CM-INTRUDER") { "CM-INTRUDER2" } else { "CM-INTRUDER" };
        table.insert(free.to_owned(), Vec::new());
    };
    for _ in 0..ROUNDS {
        kernel.faults.push_back(Fault::Meanwhile(Family::V4, intrude));
    }
    let error = run(&mut kernel, &policy(&["10.0.0.1"], 81)).unwrap_err();
    assert!(matches!(error, ApplyError::Undone { .. }), "{error}");
    assert!(error.to_string().contains("all steps succeeded 5 times"), "{error}");
    assert_eq!(error.exit(), Exit::OldStateInForce);
    assert_eq!(state(&kernel).0, before);
}

#[test]
fn a_rule_that_was_not_asked_for_is_undone_with_its_change() {
    let old = policy(&["10.0.0.1"], 80);
    for (row, before) in [("from nothing", None), ("from old rules", Some(old.clone()))] {
        let mut kernel = before.map_or_else(FakeKernel::new, |old| applied(&old));
        let before = state(&kernel).0 + &state(&kernel).1;
        // The kernel makes two rules of one of ours.
        kernel.misreads = Some(("-p tcp -m tcp --dport 81", "-j ACCEPT"));
        let error = run(&mut kernel, &policy(&["10.0.0.1"], 81)).unwrap_err();
        assert!(matches!(error, ApplyError::Undone { .. }), "{row}: {error}");
        assert!(error.to_string().contains("v4 has -A CM-I-0000000000000051 -j ACCEPT"), "{row}: {error}");
        assert_eq!(state(&kernel).0 + &state(&kernel).1, before, "{row}");
        let flips = kernel.calls.iter().filter(|call| *call == "rules v4").count();
        assert_eq!(flips, 3, "{row}: two tries and the way back");
    }
    // Where the state from before is none to keep, there is nothing to go back to.
    let mut kernel = applied(&old);
    kernel.misreads = Some(("-p tcp -m tcp --dport 81", "-j ACCEPT"));
    let (desired, live) = (policy(&["10.0.0.1"], 81), kernel.live().unwrap());
    let error =
        apply(&mut kernel, Change { desired: &desired, place: &Place::First, old: None }, &live).unwrap_err();
    assert!(matches!(error, ApplyError::Unsettled(_)), "{error}");
    assert_eq!(error.exit(), Exit::UnexpectedState);
}

#[test]
fn a_rule_of_others_that_no_text_can_restore_does_not_hinder_the_way_back() {
    let mut kernel = applied(&policy(&["10.0.0.1"], 80));
    let rules = kernel.tables.get_mut(&Family::V4).unwrap().get_mut("CM-INGRESS").unwrap();
    rules.push("-m comment --comment \"a\n-A FORWARD -j ACCEPT\" -j DROP".to_owned());
    kernel.faults.push_back(Fault::Rules(Family::V6));
    let error = run(&mut kernel, &policy(&["10.0.0.1"], 81)).unwrap_err();
    assert!(matches!(error, ApplyError::Undone { .. }), "{error}");
    let expected = applied(&policy(&["10.0.0.1"], 80));
    assert_eq!(state(&kernel), state(&expected));
}

#[test]
fn an_orphan_in_use_by_a_rule_of_others_does_not_fail_the_change() {
    let mut kernel = applied(&policy(&["10.0.0.1"], 80));
    let (old, _) = set_of(Family::V4, &["10.0.0.1"]);
    kernel = kernel.with_rules(
        Family::V4,
        &format!("*filter\n:KUBE - [0:0]\n-A KUBE -m set --match-set {old} src -j DROP\nCOMMIT\n"),
    );
    let outcome = run(&mut kernel, &policy(&["10.0.0.2"], 80)).unwrap();
    assert_eq!(outcome.stuck, [old]);
}
