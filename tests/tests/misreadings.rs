//! Wrong readings of the API text are noticed by the generated cases: a suite that one passes proves nothing about it.

#![allow(clippy::print_stdout, reason = "tests print what they counted, and may panic")]

use chainmail_model::semantics::{self, Packet, Verdict};
use chainmail_pipeline::load;
use chainmail_tests::misreadings;
use chainmail_tests::probes::Prober;
use chainmail_tests::seeded::Seeded;
use chainmail_tests::world::{Layout, World};

/// Other worlds than those on which the engines are compared, so that neither is fitted to the other.
const WORLDS: std::ops::Range<u64> = 10_000..10_600;
const PROBES_A_WORLD: usize = 200;
/// A reading that fewer probes tell from the right one is found by luck.
const NOTICED_BY_MIN: usize = 50;

#[test]
fn every_misreading_is_noticed() {
    let misreadings = misreadings::all();
    let mut noticed = vec![0; misreadings.len()];
    for seed in WORLDS {
        let world = World::contradicted(seed);
        let loaded = load(&world.sources(Layout::JsonList));
        let mut prober = Prober::new(&loaded.cluster, &world.written_addresses(), Seeded::new(seed));
        let judge = |packet: Packet| (packet, semantics::judge(&loaded.cluster, &packet));
        let judged: Vec<(Packet, Verdict)> = prober.probes(PROBES_A_WORLD).into_iter().map(judge).collect();
        for (count, misreading) in noticed.iter_mut().zip(&misreadings) {
            let wrong = misreading.noticed(&world, &loaded.cluster, &judged);
            *count += wrong.iter().filter(|noticed| **noticed).count();
        }
    }
    for (count, misreading) in noticed.iter().zip(&misreadings) {
        println!("{count:6}  clause {:2}  {}: {}", misreading.clause, misreading.name, misreading.belief);
    }
    assert!(misreadings.len() >= 20);
    for (count, misreading) in noticed.iter().zip(&misreadings) {
        assert!(*count >= NOTICED_BY_MIN, "{} is noticed by {count} probes only", misreading.name);
    }
}
