//! Tags that anybody may push, beside those that are signed.

use chainmail_fetch::status::State;

use crate::support::{World, ok};
use crate::{TAG, node};

/// The number above all others, and many more, none of them signed.
#[test]
fn tags_that_nobody_answers_for_stand_in_no_way() {
    let world = World::new();
    world.tag("alice", 1, &world.head(), "One");
    let node = node(&world, TAG);
    let next = world.change("nobody", &[5433]);
    let mut names = vec![u64::MAX];
    names.extend(1_000..1_300);
    for number in &names {
        ok(world.git().args(["tag", "-a", "-m", "x", &format!("chainmail/{number}"), &next]));
    }
    ok(world.git().args(["push", "-q", "origin", "--tags"]));
    world.tag("alice", 2, &next, "Two");
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(next)));
    let alarms = node.status().alarms;
    assert!(
        alarms[1].contains("passed over: tag chainmail/18446744073709551615: it is not signed"),
        "{alarms:?}"
    );
    assert!(alarms.last().unwrap().contains("passed over: 296 more tags"), "{alarms:?}");
}

#[test]
fn a_tag_states_its_branch_too() {
    let world = World::new();
    let first = world.head();
    world.tag("alice", 1, &first, "One");
    let node = node(&world, TAG);
    // A tag that was signed for nodes on another branch.
    let next = world.change("nobody", &[5433]);
    world.tag_as_it_stands("alice", 2, &next, "For the canary\n\nChainmail-Branch: canary");
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(first)));
    let alarms = node.status().alarms.join("\n");
    assert!(alarms.contains("tag chainmail/2 does not state that it is for branch main"), "{alarms}");
    world.tag_as_it_stands("alice", 2, &next, "For both\n\nChainmail-Branch: canary\nChainmail-Branch: main");
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(next)));
}

/// Tags of all that is no commit, and of another tag.
#[test]
fn tags_may_name_anything() {
    let world = World::new();
    world.tag("alice", 1, &world.head(), "One");
    let node = node(&world, TAG);
    let next = world.change("nobody", &[5433]);
    for (number, object) in [(10, "HEAD:db.yaml"), (11, "HEAD^{tree}"), (12, "chainmail/1")] {
        ok(world.git().args(["tag", &format!("chainmail/{number}"), object]));
        ok(world.git().args(["tag", "-a", "-m", "x", &format!("chainmail/{}", number + 10), object]));
    }
    ok(world.git().args(["push", "-q", "origin", "--tags"]));
    world.tag("alice", 2, &next, "Two");
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(next)), "{:?}", node.status().reason);
    let alarms = node.status().alarms.join("\n");
    assert!(
        alarms.contains("tag chainmail/22: it is not written as Git writes it: it names no commit"),
        "{alarms}"
    );
}
