//! Whatever table is printed, reading it gives the same table.

use chainmail_contract::{Family, Transport};
use chainmail_lab::{Block, Cell, Endpoint, Service, TruthTable};
use proptest::collection::btree_set;
use proptest::prelude::*;

fn endpoints() -> impl Strategy<Value = Vec<Endpoint>> {
    let pod = "[a-z]([a-z0-9-]{0,6}[a-z0-9])?/[a-z0-9]([a-z0-9.-]{0,6}[a-z0-9])?";
    let node = "node:[a-z0-9]{1,5}";
    let address = any::<std::net::IpAddr>().prop_map(|address| address.to_string());
    let one = prop_oneof![pod.prop_map(String::from), node.prop_map(String::from), address];
    btree_set(one.prop_filter_map("an endpoint", |text| text.parse().ok()), 1..13)
        .prop_map(|set| set.into_iter().collect::<Vec<Endpoint>>())
        .prop_shuffle()
}

fn service() -> impl Strategy<Value = Service> {
    let transport = prop::sample::select(Transport::ALL.to_vec());
    let port = (transport, 1..=u16::MAX).prop_map(|(transport, number)| Service::Port { transport, number });
    prop_oneof![9 => port, 1 => Just(Service::Echo)]
}

fn table() -> impl Strategy<Value = TruthTable> {
    let block = (service(), prop::sample::select(Family::ALL.to_vec()), endpoints());
    let cells = prop::collection::vec(
        prop::sample::select(vec![Cell::Allowed, Cell::Denied, Cell::Broken, Cell::NotAsked]),
        600,
    );
    (prop::collection::vec(block, 0..4), cells).prop_filter_map("no block twice", |(blocks, cells)| {
        let block = |(service, family, endpoints)| Block::all_allowed(service, family, endpoints).ok();
        let blocks: Option<Vec<Block>> = blocks.into_iter().map(block).collect();
        Some(TruthTable::new(blocks?).ok()?.answered(cells))
    })
}

proptest! {
    #[test]
    fn reading_undoes_printing(table in table()) {
        prop_assert_eq!(table.to_string().parse(), Ok(table));
    }

    #[test]
    fn reading_any_text_does_not_panic(text in "([0-9]{1,2}|80/TCP|a/b|\\+|-| |\n|#|ipv6|\\PC){0,40}") {
        let _ = text.parse::<TruthTable>();
    }

    #[test]
    fn differences_are_the_cells_that_differ(table in table(), other in prop::collection::vec(prop::sample::select(vec![Cell::Allowed, Cell::Denied]), 600)) {
        let found = table.answered(other);
        let pairs = table.cells().zip(found.cells());
        let expected = pairs.filter(|(this, that)| *this != Cell::NotAsked && this != that).count();
        prop_assert_eq!(table.differences(&found).len(), expected);
        prop_assert_eq!(table.differences(&table), vec![]);
    }
}

#[test]
fn what_was_not_answered_differs() {
    let written: TruthTable = "80/TCP\n1 2\n1 a/b . +\n2 a/c - .\n".parse().unwrap();
    let partly: TruthTable = "80/TCP\n1 2\n1 a/b . +\n2 a/c . .\n".parse().unwrap();
    let differences = written.differences(&partly);
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0].probe.to_string(), "a/c -> a/b 80/TCP ipv4");
    assert_eq!((differences[0].expected, differences[0].found), (Cell::Denied, Cell::NotAsked));
    assert_eq!(partly.differences(&written), vec![], "what was not asked is no difference");
}
