//! Clocks that jump.

use super::*;

/// Where the clock of a host may be: at its beginning without a battery, long past, or far ahead.
const CLOCKS: [u64; 4] = [0, 1_800_000_000, 86_400, 4_102_444_800];

#[test]
fn a_clock_that_jumps_moves_nothing_but_dates() {
    let mut node = Node::new();
    node.config.keep = 2;
    let mut service = node.start(FakeKernel::new());
    for (turn, port) in (80..96).enumerate() {
        CLOCK.set(CLOCKS[turn % 4]);
        let snapshot = policy_snapshot(&["10.0.0.1"], port);
        node.spool(&snapshot);
        // The other way round: the second family fails, and what was in force comes back.
        if turn % 3 == 2 {
            service.kernel.faults.push_back(Fault::Rules(Family::V6));
            assert_eq!(node.cycle(&mut service), "held rolled-back", "{turn}");
            CLOCK.set(CLOCKS[(turn + 1) % 4]);
            node.now += hold::FIRST;
        }
        assert_eq!(node.cycle(&mut service), "synced enforcing", "{turn}");
        let held = state_of(&mut service.kernel);
        assert_eq!(held, state_of(&mut crate::testing::applied(&Desired::of_snapshot(&snapshot).unwrap())));
        if turn % 2 == 1 {
            service = node.start(service.kernel);
        }
    }
    let events = node.events();
    assert_eq!(events.iter().filter(|event| **event == Event::Applied).count(), 16, "{events:?}");
    let last = policy_snapshot(&["10.0.0.1"], 95).manifest().digest.clone();
    let history = state::history(&node.paths()).unwrap();
    assert_eq!(history.last().unwrap().digest, last, "in the order of what was done, whatever the dates");
    let kept = files::names(&node.paths().kept_all()).unwrap();
    assert!(kept.len() == 2 && kept.contains(&last.to_string()), "the youngest are kept: {kept:?}");
}

#[test]
fn a_pause_lasts_as_long_as_it_was_to_whatever_the_clock_says_meanwhile() {
    const HOUR: u64 = 3600;
    for (ordered, later) in CLOCKS.into_iter().flat_map(|from| CLOCKS.map(|to| (from, to))) {
        let node = Node::new();
        let [first, second] = [80, 81].map(|port| policy_snapshot(&["10.0.0.1"], port));
        let mut service = node.start(FakeKernel::new());
        node.spool(&first);
        node.cycle(&mut service);
        CLOCK.set(ordered);
        UPTIME.set((0, 100));
        let pause = Pause::begin(CLOCK_OF_TEST, 3600);
        Orders { pause: Some(pause), ..Orders::default() }.write(&node.paths()).unwrap();
        node.spool(&second);
        let row = format!("from {} to {}", Moment(ordered), Moment(later));
        assert_eq!(node.cycle(&mut service), "held enforcing", "{row}");
        CLOCK.set(later);
        UPTIME.set((0, 100 + HOUR / 2));
        assert_eq!(node.cycle(&mut service), "held enforcing", "{row}");
        let mut service = node.start(service.kernel);
        assert!(service.cycle(Reach::Spool, node.now).as_secs() <= HOUR / 2, "{row}");
        assert_eq!(service.status.words(), "held enforcing", "{row}: a restart is not its end");
        UPTIME.set((0, 100 + HOUR));
        assert_eq!(node.cycle(&mut service), "synced enforcing", "{row}");

        // After a boot there is only the clock to go by, and a pause is over by the time that it was to last.
        node.spool(&first);
        UPTIME.set((1, HOUR));
        assert_eq!(node.cycle(&mut node.start(service.kernel)), "synced enforcing", "{row}");
    }
}
