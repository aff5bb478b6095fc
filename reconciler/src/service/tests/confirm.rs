//! What is to be confirmed: it waits, and is good or goes.

use super::*;
use crate::config::Confirm;

/// Rules and sets, without those that only wait for their destruction.
fn rules_of(kernel: &FakeKernel) -> [String; 2] {
    Family::ALL.map(|family| kernel.save(family))
}

/// A node on which a snapshot must be confirmed, the first one is, and a second one waits.
fn waiting() -> (Node, Service<FakeKernel>, Joined, Joined) {
    let mut node = Node::new();
    node.config.confirm = Confirm::Required;
    let [first, second] = [80, 81].map(|port| policy_snapshot(&[&format!("10.0.0.{port}")], port));
    let mut service = node.start(FakeKernel::new());
    node.spool(&first);
    node.come_from(&first, "shop/first");
    assert_eq!(node.cycle(&mut service), "pending-confirm enforcing");
    node.confirm(&first);
    assert_eq!(node.cycle(&mut service), "synced enforcing");
    node.spool(&second);
    node.come_from(&second, "shop/second");
    assert_eq!(node.cycle(&mut service), "pending-confirm enforcing");
    (node, service, first, second)
}

impl Node {
    /// Says which policy the first rule of each class is of.
    fn come_from(&self, snapshot: &Joined, policy: &str) {
        let desired = Desired::of_snapshot(snapshot).unwrap();
        let classes = desired.tables[&Family::V4].chains.keys().map(ToString::to_string);
        let classes = classes.filter(|chain| chain.starts_with("CM-I-"));
        let entry = |chain: String| {
            let from = [serde_json::json!({"policy": policy, "rule": "ingress[0]", "place": "p.yaml:1"})];
            serde_json::json!({"family": "v4", "chain": chain, "index": 0, "from": from})
        };
        let text = serde_json::Value::from_iter(classes.map(entry)).to_string();
        let folder = self.paths().spooled(&snapshot.manifest().digest);
        files::replace(&folder.join("provenance.json"), &text).unwrap();
    }

    fn confirm(&self, snapshot: &Joined) {
        files::replace(&self.paths().confirmed(), &format!("{}\n", snapshot.manifest().digest)).unwrap();
    }

    fn refuse(&self, service: &Service<FakeKernel>, reason: &str) {
        let digest = service.status.enforced.clone().unwrap();
        let since = service.status.awaits.as_ref().unwrap().since.clone();
        let refusal = spool::Refusal { digest, since, reason: reason.to_owned() };
        files::replace(&self.paths().refused(), &serde_json::to_string(&refusal).unwrap()).unwrap();
    }
}

fn holds(service: &mut Service<FakeKernel>, snapshot: &Joined) -> bool {
    state_of(&mut service.kernel)
        == state_of(&mut crate::testing::applied(&Desired::of_snapshot(snapshot).unwrap()))
}

#[test]
fn what_must_be_confirmed_is_good_once_it_is() {
    let (node, mut service, first, second) = waiting();
    let digest = |snapshot: &Joined| Some(snapshot.manifest().digest.clone());
    assert_eq!(service.state.good_digest().unwrap(), digest(&first));
    assert_eq!(service.status.enforced, digest(&second));
    assert_eq!(service.status.awaits.as_ref().unwrap().back_to, digest(&first));
    let rules = rules_of(&service.kernel);
    assert!(!holds(&mut service, &second), "the sets of the last good one stay");
    // What others do is undone meanwhile, and a restart goes on waiting.
    service.kernel.tables.get_mut(&Family::V4).unwrap().get_mut("CM-INGRESS").unwrap().clear();
    let mut service = node.start(service.kernel);
    assert_eq!(node.cycle(&mut service), "pending-confirm enforcing");
    assert_eq!(rules_of(&service.kernel), rules);
    // A word about another one is none about this one.
    node.confirm(&first);
    assert_eq!(node.cycle(&mut service), "pending-confirm enforcing");
    node.confirm(&second);
    assert_eq!(node.cycle(&mut service), "synced enforcing");
    assert!(holds(&mut service, &second));
    assert_eq!(service.state.good_digest().unwrap(), digest(&second));
    assert!(Journal::read(&node.paths()).unwrap().is_none());
    let events = [Event::Applied, Event::Confirmed, Event::Applied, Event::Healed, Event::Confirmed];
    assert_eq!(node.events(), events);

    // One that is confirmed beforehand does not wait.
    node.confirm(&first);
    node.spool(&first);
    assert_eq!(node.cycle(&mut service), "synced enforcing");
    assert!(holds(&mut service, &first));
}

#[test]
fn what_is_refused_goes_and_does_not_come_again() {
    let (node, mut service, first, second) = waiting();
    node.refuse(&service, "the shop is\u{1b}[31m down");
    assert_eq!(node.cycle(&mut service), "held rolled-back");
    assert!(holds(&mut service, &first));
    let said = service.status.last_error.clone().unwrap();
    assert!(said.contains("the shop is [31m down"), "{said}");
    assert_eq!(service.status.set_back, Setback::read(&node.paths()));
    for (change, policy) in [("added", "shop/first"), ("removed", "shop/second")] {
        let audit = node.audit();
        let told = |word: &str| {
            let record = format!("\"family\":\"v4\",\"change\":\"{change}\",\"line\":\"{word}");
            let of = |line: &&str| line.contains("\"event\":\"refused\"") && line.contains(&record);
            audit.lines().filter(of).any(|line| line.contains(&format!("\"{policy} ingress[0] p.yaml:1\"")))
        };
        assert!(told("-A CM-I-"), "{change}: {audit}");
        assert_eq!(told("add cm4-"), change == "removed", "{audit}");
    }
    let mut service = node.start(service.kernel);
    for _ in 0..2 {
        assert_eq!(node.cycle(&mut service), "held enforcing");
    }
    assert_eq!(node.events().last(), Some(&Event::Refused));
    assert_eq!(state::stood(&state::history(&node.paths()).unwrap()).count(), 1);

    // A person says so: it comes again, and what was said of the first attempt is not said of the second.
    Setback::forget(&node.paths()).unwrap();
    let refusal = files::read(&node.paths().refused()).unwrap().unwrap();
    files::replace(&node.paths().refused(), &refusal.replace("\"since\":\"2", "\"since\":\"1")).unwrap();
    assert_eq!(node.cycle(&mut service), "pending-confirm enforcing");
    node.refuse(&service, "down again");
    assert_eq!(node.cycle(&mut service), "held rolled-back");
    // So does a word that it works: then it need not be confirmed.
    Orders { confirmed: Some(second.manifest().digest.clone()), ..Orders::default() }
        .write(&node.paths())
        .unwrap();
    assert_eq!(node.cycle(&mut service), "synced enforcing");
    assert_eq!(Orders::read(&node.paths()).unwrap(), Orders::default(), "a word holds once");
}

#[test]
fn what_nobody_confirms_goes_and_comes_again_later() {
    let (mut node, mut service, first, second) = waiting();
    node.now += node.config.confirm_timeout - Duration::from_secs(1);
    assert_eq!(node.cycle(&mut service), "pending-confirm enforcing");
    node.now += Duration::from_secs(1);
    assert_eq!(node.cycle(&mut service), "held rolled-back");
    assert!(holds(&mut service, &first));
    node.config.interval = Duration::from_secs(3600);
    let mut service = node.start(service.kernel);
    let wait = service.cycle(Reach::Spool, node.now);
    assert_eq!(service.status.words(), "held enforcing");
    assert!((28..=30).contains(&wait.as_secs()), "{wait:?}");
    // The wait is over.
    let mut setback = Setback::read(&node.paths()).unwrap();
    setback.again = crate::setback::Again::Later { times: 1, at: Uptime { boot: uptime().boot, seconds: 0 } };
    setback.write(&node.paths()).unwrap();
    assert_eq!(node.cycle(&mut service), "pending-confirm enforcing");
    node.now += node.config.confirm_timeout;
    assert_eq!(node.cycle(&mut service), "held rolled-back");
    let again = Setback::read(&node.paths()).unwrap().again;
    assert!(matches!(again, crate::setback::Again::Later { times: 2, .. }), "{again:?}");

    // Another one is tried at once, and then the first one is, too.
    let third = policy_snapshot(&["10.0.0.3"], 83);
    for snapshot in [&third, &second] {
        node.spool(snapshot);
        assert_eq!(node.cycle(&mut service), "pending-confirm enforcing");
    }
}

#[test]
fn another_boot_begins_at_the_last_good_one() {
    for boot in [Reach::LastGood, Reach::Spool] {
        let (node, service, first, _) = waiting();
        drop(service);
        let mut journal = Journal::read(&node.paths()).unwrap().unwrap();
        if boot == Reach::Spool {
            journal.awaits.as_mut().unwrap().until.boot = "another".to_owned();
            journal.begin(&node.paths()).unwrap();
        }
        let mut service = node.start(FakeKernel::new());
        service.cycle(boot, node.now);
        assert!(holds(&mut service, &first), "{boot:?}");
        assert_eq!(node.events().last(), Some(&Event::Unconfirmed), "{boot:?}");
        assert_eq!(node.cycle(&mut service), "held enforcing", "{boot:?}");
    }
}

#[test]
fn a_first_snapshot_that_is_taken_back_leaves_nothing() {
    let mut node = Node::new();
    node.config.confirm = Confirm::Required;
    node.spool(&policy_snapshot(&["10.0.0.1"], 80));
    let mut service = node.start(FakeKernel::new());
    let empty = state_of(&mut service.kernel);
    assert_eq!(node.cycle(&mut service), "pending-confirm enforcing");
    node.refuse(&service, "no");
    for _ in 0..2 {
        assert_eq!(node.cycle(&mut service), "held nothing");
        assert_eq!(state_of(&mut service.kernel), empty);
    }
    assert_eq!(node.events(), [Event::Applied, Event::Refused]);
}

#[test]
fn a_way_back_that_fails_is_tried_again() {
    let (node, mut service, first, _) = waiting();
    node.refuse(&service, "no");
    service.kernel.faults.extend([Fault::Rules(Family::V4), Fault::Rules(Family::V4)]);
    let mut service = node.start(service.kernel);
    for _ in 0..2 {
        assert_eq!(node.cycle(&mut service), "held drifted");
        assert!(Journal::read(&node.paths()).unwrap().is_some());
    }
    assert_eq!(node.cycle(&mut service), "held rolled-back");
    assert!(holds(&mut service, &first));
}

#[test]
fn snapshots_that_follow_one_another_do_not_wait_for_ever() {
    let (mut node, mut service, first, _) = waiting();
    let half = node.config.confirm_timeout / 2;
    for port in 82..90 {
        node.now += half;
        node.spool(&policy_snapshot(&["10.0.0.1"], port));
        // The clock of this host stands still meanwhile: what is left is told from the journal.
        let mut journal = Journal::read(&node.paths()).unwrap().unwrap();
        let awaits = journal.awaits.as_mut().unwrap();
        awaits.latest = awaits.latest.saturating_sub(half.as_secs());
        awaits.since = format!("{port}");
        journal.begin(&node.paths()).unwrap();
        assert_eq!(node.cycle(&mut service), "pending-confirm enforcing");
        if node.events().contains(&Event::Unconfirmed) {
            let back_to = service.status.awaits.unwrap().back_to;
            assert_eq!(back_to, Some(first.manifest().digest.clone()));
            return;
        }
    }
    panic!("none was ever confirmed, and none taken back");
}

#[test]
fn a_person_stands_above_the_wait() {
    let (node, mut service, first, second) = waiting();
    let pin = |snapshot: &Joined| {
        let digest = snapshot.manifest().digest.clone();
        let pin = Pin { digest, reason: "x".to_owned(), since: "then".to_owned() };
        Orders { pin: Some(pin), ..Orders::default() }.write(&node.paths()).unwrap();
    };
    pin(&first);
    assert_eq!(node.cycle(&mut service), "held enforcing");
    assert!(holds(&mut service, &first));
    assert!(Journal::read(&node.paths()).unwrap().is_none());
    pin(&second);
    assert_eq!(node.cycle(&mut service), "synced enforcing", "who chooses it has confirmed it");
    assert!(holds(&mut service, &second));
}

#[test]
fn words_that_are_none_are_not_believed() {
    let (node, mut service, ..) = waiting();
    let rows = ["", "latest\n", "{}", "\u{0}", &"0".repeat(5000)];
    for row in rows {
        for path in [node.paths().confirmed(), node.paths().refused()] {
            files::replace(&path, row).unwrap();
        }
        assert_eq!(node.cycle(&mut service), "pending-confirm enforcing", "{row:?}");
    }
    for path in [node.paths().confirmed(), node.paths().refused()] {
        files::remove(&path).unwrap();
        files::make_dir(&path).unwrap();
    }
    assert_eq!(node.cycle(&mut service), "pending-confirm enforcing");
}
