//! What a run finds that another one, which was killed, had begun.

use super::*;
use crate::apply::Failure;
use crate::journal::Old;
use crate::place::Place;
use crate::plan::plan;
use crate::step::Step;

/// Both families have to change; the first was changed when the run was killed, and the second cannot be.
fn killed_between_two_families(first: Option<&Joined>, journal: bool) -> (Vec<String>, Vec<String>, String) {
    let node = Node::new();
    let mut service = node.start(FakeKernel::new());
    if let Some(first) = first {
        node.spool(first);
        node.cycle(&mut service);
    }
    let before = state_of(&mut service.kernel);
    let next = policy_snapshot(&["10.0.0.2"], 81);
    node.spool(&next);
    let desired = Desired::of_snapshot(&next).unwrap();
    let live = service.kernel.live().unwrap();
    let begun =
        Journal { from: None, to: next.manifest().digest.clone(), old: Old::of_live(&live), awaits: None };
    begun.begin(&node.paths()).unwrap();
    for step in plan(&desired, &live, &Place::First).steps {
        match step {
            Step::CreateSets { text, .. } => service.kernel.restore_sets(&text).unwrap(),
            Step::Flip { family: Family::V4, flip } => {
                service.kernel.restore_rules(Family::V4, &flip.text).unwrap();
            }
            _ => {}
        }
    }
    if !journal {
        Journal::end(&node.paths()).unwrap();
    }
    let mut service = node.start(service.kernel);
    service.kernel.faults.extend((0..20).map(|_| Fault::Rules(Family::V6)));
    node.cycle(&mut service);
    (before, state_of(&mut service.kernel), service.status.words())
}

#[test]
fn a_crash_between_two_families_does_not_make_a_mix_the_old_state() {
    let first = policy_snapshot(&["10.0.0.1"], 80);
    for first in [None, Some(&first)] {
        let (before, after, words) = killed_between_two_families(first, true);
        assert_eq!((after, words.as_str()), (before, "held rolled-back"));
    }
    let (before, after, _) = killed_between_two_families(None, false);
    assert_ne!(after, before, "without the journal the mix stays");
}

#[test]
fn a_first_snapshot_that_was_interrupted_and_is_gone_leaves_nothing() {
    let node = Node::new();
    let mut service = node.start(FakeKernel::new());
    let live = service.kernel.live().unwrap();
    let begun = Journal { from: None, to: Sha256Hex::of("x"), old: Old::of_live(&live), awaits: None };
    begun.begin(&node.paths()).unwrap();
    let kernel = crate::testing::applied(&crate::testing::policy(&["10.0.0.1"], 80));
    let mut service = node.start(kernel);
    assert_eq!(node.cycle(&mut service), "pending nothing");
    assert_eq!(state_of(&mut service.kernel), state_of(&mut FakeKernel::new()));
    assert!(Journal::read(&node.paths()).unwrap().is_none());
}

#[test]
fn a_snapshot_that_does_not_load_elsewhere_does_not_make_a_mix_the_old_state() {
    let node = Node::new();
    let mut service = node.start(FakeKernel::new());
    let next = policy_snapshot(&["10.0.0.2"], 81);
    node.spool(&next);
    let live = service.kernel.live().unwrap();
    let begun =
        Journal { from: None, to: next.manifest().digest.clone(), old: Old::of_live(&live), awaits: None };
    begun.begin(&node.paths()).unwrap();
    let mut service = node.start(crate::testing::applied(&crate::testing::policy(&["10.0.0.1"], 80)));
    service.kernel.elsewhere = Some(|| {
        Err(ApplyError::Unsettled(Failure::Unsettled { rounds: 5, difference: "one rule".to_owned() }))
    });
    assert_eq!(node.cycle(&mut service), "held unknown");
    assert_eq!(node.cycle(&mut service), "held nothing");
    assert_eq!(state_of(&mut service.kernel), state_of(&mut FakeKernel::new()));
    assert!(service.status.last_error.as_ref().unwrap().contains("a network namespace of its own"));
}
