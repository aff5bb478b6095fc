//! What the kernel does not let the service do: the rest is done, and a person is told.

use super::*;

fn v6(kernel: &FakeKernel) -> &crate::kernel::fake::Table {
    &kernel.tables[&Family::V6]
}

#[test]
fn a_family_that_cannot_be_worked_with_keeps_the_other_from_nothing() {
    let node = Node::new();
    node.spool(&policy_snapshot(&["10.0.0.1"], 80));
    let mut kernel = FakeKernel::new();
    kernel.unusable = [(Family::V6, "ip6tables is not installed".to_owned())].into();
    let mut service = node.start(kernel);
    assert_eq!(node.cycle(&mut service), "synced enforcing degraded");
    assert_eq!(service.status.skipped, [""; 0], "the kernel has it");
    assert!(service.kernel.tables[&Family::V4].contains_key("CM-INGRESS"));
    assert!(!v6(&service.kernel).contains_key("CM-FORWARD"));
    assert_eq!(node.cycle(&mut service), "synced enforcing degraded");
    service.kernel.unusable.clear();
    assert_eq!(node.cycle(&mut service), "synced enforcing");
    assert!(v6(&service.kernel).contains_key("CM-FORWARD"));

    // It goes away again: what is in force there stays, and is told of.
    service.kernel.unusable = [(Family::V6, "gone".to_owned())].into();
    service.kernel.tables.get_mut(&Family::V4).unwrap().get_mut("FORWARD").unwrap().clear();
    let before = v6(&service.kernel).clone();
    assert_eq!(node.cycle(&mut service), "synced enforcing degraded");
    assert_eq!(service.kernel.tables[&Family::V4]["FORWARD"], ["-j CM-FORWARD"]);
    assert_eq!(v6(&service.kernel), &before);
}

#[test]
fn a_chain_that_a_rule_of_others_keeps_is_an_alarm_until_that_rule_is_gone() {
    let node = Node::new();
    node.spool(&policy_snapshot(&["10.0.0.1"], 80));
    let mut service = node.start(FakeKernel::new());
    node.cycle(&mut service);
    let stale = "CM-I-0000000000000050";
    let text = format!("*filter\n:FOO - [0:0]\n-A FOO -j {stale}\nCOMMIT\n");
    service.kernel.restore_rules(Family::V4, &text).unwrap();
    node.spool(&policy_snapshot(&["10.0.0.1"], 81));
    assert_eq!(node.cycle(&mut service), "synced enforcing");
    for _ in 0..2 {
        let alarms = service.status.alarms.join("\n");
        assert!(alarms.contains(&format!(": -A FOO -j {stale}")), "{alarms}");
        assert_eq!(service.kernel.tables[&Family::V4][stale], [""; 0]);
        assert_eq!(node.cycle(&mut service), "synced enforcing");
    }
    service.kernel.restore_rules(Family::V4, "*filter\n:FOO - [0:0]\nCOMMIT\n").unwrap();
    node.cycle(&mut service);
    assert!(!service.kernel.tables[&Family::V4].contains_key(stale));
    node.cycle(&mut service);
    assert_eq!(service.status.alarms, [""; 0]);
}
