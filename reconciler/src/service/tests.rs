#![allow(clippy::disallowed_methods, reason = "tests put files where others would")]

mod clock;
mod confirm;
mod damage;
mod interrupted;
mod limits;
mod spool_of_others;

use std::cell::Cell;

use super::*;
use crate::clock::{Moment, Uptime};
use crate::config::Drift;
use crate::kernel::fake::{FakeKernel, Fault};
use crate::orders::{Pause, Pin};
use crate::state::{self, Event};
use crate::testing::{policy_snapshot, spool, state_of};
use chainmail_contract::Joined;

thread_local! {
    /// What the clock of the host says.
    static CLOCK: Cell<u64> = const { Cell::new(1_800_000_000) };
    /// Which boot it is, and for how many seconds it lasts.
    static UPTIME: Cell<(u8, u64)> = const { Cell::new((0, 100)) };
}

fn uptime() -> Uptime {
    let (boot, seconds) = UPTIME.get();
    Uptime { boot: boot.to_string(), seconds }
}

const CLOCK_OF_TEST: Clock = Clock { now: || Moment(CLOCK.get()), uptime };

struct Node {
    root: tempfile::TempDir,
    config: Config,
    now: Instant,
}

impl Node {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), config: Config::default(), now: Instant::now() }
    }

    fn paths(&self) -> Paths {
        Paths::under(self.root.path())
    }

    fn spool(&self, snapshot: &Joined) {
        spool(&self.paths(), snapshot);
    }

    /// The service as after a restart, on a kernel that went on.
    fn start(&self, kernel: FakeKernel) -> Service<FakeKernel> {
        let settings = Settings {
            paths: self.paths(),
            config: self.config.clone(),
            node: "n1".parse().unwrap(),
            backend: Backend::Nft,
            clock: CLOCK_OF_TEST,
            guard: |_| Ok(()),
            alive: || {},
        };
        Service::open(kernel, settings)
    }

    fn cycle(&self, service: &mut Service<FakeKernel>) -> String {
        service.cycle(Reach::Spool, self.now);
        service.status.words()
    }

    fn audit(&self) -> String {
        files::read(&self.paths().audit()).unwrap().unwrap()
    }

    fn events(&self) -> Vec<Event> {
        state::history(&self.paths()).unwrap().into_iter().map(|entry| entry.event).collect()
    }
}

#[test]
fn the_wanted_snapshot_is_applied_recorded_and_kept() {
    let node = Node::new();
    let mut service = node.start(FakeKernel::new());
    assert_eq!(node.cycle(&mut service), "pending nothing");
    for port in [80, 81] {
        let snapshot = policy_snapshot(&["10.0.0.1"], port);
        node.spool(&snapshot);
        assert_eq!(node.cycle(&mut service), "synced enforcing");
        let calls = std::mem::take(&mut service.kernel.calls).len();
        assert_eq!(node.cycle(&mut service), "synced enforcing");
        assert_eq!(
            (calls > 0, service.kernel.calls.len()),
            (true, 0),
            "the second time there is nothing to do"
        );
        assert_eq!(service.state.good_digest().unwrap().as_ref(), Some(&snapshot.manifest().digest));
        assert_eq!(
            state_of(&mut service.kernel),
            state_of(&mut crate::testing::applied(&Desired::of_snapshot(&snapshot).unwrap()))
        );
    }
    assert_eq!(node.events(), [Event::Applied, Event::Applied]);
    assert!(Journal::read(&node.paths()).unwrap().is_none());

    // At boot there may be no spool yet, and the kernel is empty.
    files::clear(&node.paths().spool()).unwrap();
    let mut service = node.start(FakeKernel::new());
    service.cycle(Reach::LastGood, node.now);
    assert_eq!(service.status.words(), "synced enforcing");
    assert_eq!(service.status.since, state::history(&node.paths()).unwrap().get(1).map(|e| e.time.clone()));
}

#[test]
fn what_cannot_be_used_leaves_the_last_good_one() {
    let node = Node::new();
    let good = policy_snapshot(&["10.0.0.1"], 80);
    node.spool(&good);
    let mut service = node.start(FakeKernel::new());
    node.cycle(&mut service);
    let state = state_of(&mut service.kernel);
    let next = policy_snapshot(&["10.0.0.1"], 81);
    let folder = node.paths().spooled(&next.manifest().digest);
    let manifest = next.manifest().to_json();
    let grammar = "\"format\": 1,\n  \"grammar\": { \"level\": 9, \"chainmaild\": \"0.9.1\", \"more\": 1 }";
    let newer_grammar = manifest.replace("\"format\": 1", grammar);
    let rows: [(&str, &str, String, &str); 5] = [
        (
            "a newer grammar",
            "manifest.json",
            newer_grammar,
            "needs chainmaild ≥ 0.9.1; upgrade chainmaild first",
        ),
        ("a newer format", "manifest.json", manifest.replace("\"format\": 1", "\"format\": 2"), "newer than"),
        ("another node", "manifest.json", manifest.replace("n1", "n2"), "sha"),
        ("half written", "rules.v4", String::new(), "does not have the SHA-256"),
        ("a pointer that is none", "../desired", "latest\n".to_owned(), "is not a digest"),
    ];
    for (row, file, text, error) in rows {
        node.spool(&next);
        files::replace(&folder.join(file), &text).unwrap();
        // A drift heals all the same.
        service.kernel.tables.get_mut(&Family::V4).unwrap().get_mut("FORWARD").unwrap().clear();
        assert_eq!(node.cycle(&mut service), "held enforcing", "{row}");
        let said = service.status.last_error.clone().unwrap_or_default();
        assert!(said.contains(error) || error == "sha", "{row}: {said}");
        assert_eq!(state_of(&mut service.kernel), state, "{row}");
        files::clear(&folder).unwrap();
    }
    node.spool(&next);
    assert_eq!(node.cycle(&mut service), "synced enforcing");
    assert_eq!(service.status.last_error, None);
}

#[test]
fn a_snapshot_that_the_kernel_refuses_is_undone_and_held() {
    let mut node = Node::new();
    node.spool(&policy_snapshot(&["10.0.0.1"], 80));
    let mut service = node.start(FakeKernel::new());
    node.cycle(&mut service);
    let state = state_of(&mut service.kernel);
    service.kernel.faults.push_back(Fault::Rules(Family::V6));
    node.spool(&policy_snapshot(&["10.0.0.2"], 81));
    for row in ["fails", "is held", "is held"] {
        assert_eq!(node.cycle(&mut service), "held rolled-back", "{row}");
        assert_eq!(state_of(&mut service.kernel), state, "{row}");
    }
    assert_eq!(node.events(), [Event::Applied, Event::WentBack]);
    node.now += hold::FIRST;
    assert_eq!(node.cycle(&mut service), "synced enforcing");
}

#[test]
fn drift_is_healed_or_told() {
    for (drift, words, healed) in
        [(Drift::Heal, "synced enforcing", true), (Drift::Report, "synced drifted", false)]
    {
        let mut node = Node::new();
        node.config.drift = drift;
        node.spool(&policy_snapshot(&["10.0.0.1"], 80));
        let mut service = node.start(FakeKernel::new());
        node.cycle(&mut service);
        let state = state_of(&mut service.kernel);
        service.kernel.tables.get_mut(&Family::V4).unwrap().get_mut("CM-INGRESS").unwrap().pop();
        assert_eq!(node.cycle(&mut service), words);
        assert_eq!(state_of(&mut service.kernel) == state, healed);
        let told = ["+ v4 -A CM-INGRESS -j DROP".to_owned()];
        assert_eq!(service.status.drift_lines, if healed { &told[..0] } else { &told[..] });
        assert_eq!(service.status.last_heal.as_ref().map(|heal| heal.lines), healed.then_some(1));
        assert_eq!(node.cycle(&mut service), words);
        let audit = node.audit();
        let event = if healed { "\"event\":\"healed\"" } else { "\"event\":\"drifted\"" };
        assert_eq!(audit.matches(event).count(), 1, "told once: {audit}");
        assert!(!audit.contains(if healed { "drifted" } else { "healed" }), "{audit}");
    }
}

#[test]
fn what_a_person_orders_stands_above_the_spool() {
    let node = Node::new();
    let [first, second] = [80, 81].map(|port| policy_snapshot(&["10.0.0.1"], port));
    let mut service = node.start(FakeKernel::new());
    let good = |service: &Service<FakeKernel>| service.state.good_digest().unwrap().unwrap();
    for snapshot in [&first, &second] {
        node.spool(snapshot);
        node.cycle(&mut service);
    }
    let pin =
        Pin { digest: first.manifest().digest.clone(), reason: "x".to_owned(), since: "then".to_owned() };
    Orders { pin: Some(pin), ..Orders::default() }.write(&node.paths()).unwrap();
    assert_eq!(node.cycle(&mut service), "held enforcing");
    assert_eq!(good(&service), first.manifest().digest);
    for (seconds, words) in [(1, "held enforcing"), (0, "synced enforcing")] {
        let pause = Pause::begin(CLOCK_OF_TEST, seconds);
        Orders { pause: Some(pause), ..Orders::default() }.write(&node.paths()).unwrap();
        assert_eq!(node.cycle(&mut service), words, "{seconds}");
    }
    assert_eq!(good(&service), second.manifest().digest);

    // What cannot be read may say that nothing new is to come into force.
    node.spool(&first);
    files::replace(&node.paths().orders(), "{\"pin\": 7}\n").unwrap();
    service.kernel.tables.get_mut(&Family::V4).unwrap().get_mut("CM-INGRESS").unwrap().pop();
    assert_eq!(node.cycle(&mut service), "held enforcing");
    assert_eq!(good(&service), second.manifest().digest);
    assert!(service.status.last_error.as_ref().unwrap().contains("orders.json"), "{:?}", service.status);
    Orders { withdrawn: Some("then".to_owned()), ..Orders::default() }.write(&node.paths()).unwrap();
    let mut service = node.start(FakeKernel::new());
    assert_eq!(node.cycle(&mut service), "held nothing");
    assert_eq!(service.kernel.calls, [""; 0]);
}

#[test]
fn rules_that_only_observe_are_never_silent() {
    let node = Node::new();
    let v4 = crate::testing::rules(&[
        (
            "CM-DENY",
            &["-m limit --limit 1/sec -j NFLOG --nflog-prefix cm-deny --nflog-group 67", "-j RETURN"],
        ),
        ("CM-FORWARD", &["-d 10.0.0.9/32 -g CM-DENY"]),
    ]);
    let empty = crate::testing::rules(&[]);
    for (v4, words) in
        [(v4.clone(), "synced observing"), (v4.replace("-j RETURN", "-j DROP"), "synced enforcing")]
    {
        node.spool(&crate::testing::snapshot(&v4, &empty, &[]));
        let mut service = node.start(FakeKernel::new());
        assert_eq!(node.cycle(&mut service), words);
        assert_eq!(service.status.denied, [("v4".to_owned(), 5)].into());
    }
}

#[test]
fn what_others_do_while_drift_is_healed_is_told_too() {
    let node = Node::new();
    node.spool(&policy_snapshot(&["10.0.0.1"], 80));
    let mut service = node.start(FakeKernel::new());
    node.cycle(&mut service);
    service.kernel.tables.get_mut(&Family::V4).unwrap().get_mut("CM-INGRESS").unwrap().pop();
    service.kernel.faults.push_back(Fault::Meanwhile(Family::V4, |table| {
        table.get_mut("CM-FORWARD").unwrap().push("-s 10.66.0.1/32 -j RETURN".to_owned());
    }));
    assert_eq!(node.cycle(&mut service), "synced enforcing");
    assert_eq!(service.status.last_heal.as_ref().map(|heal| heal.lines), Some(2));
    assert!(node.audit().contains("-A CM-FORWARD -s 10.66.0.1/32 -j RETURN"), "{}", node.audit());
}

#[test]
fn flows_that_could_not_be_ended_are_ended_after_a_restart() {
    let node = Node::new();
    node.spool(&policy_snapshot(&["10.0.0.1"], 80));
    let mut service = node.start(FakeKernel::new());
    let refused = "ipv4 2 tcp 6 99 ESTABLISHED src=10.0.0.7 dst=10.0.0.9 sport=9 dport=80 src=10.0.0.9 dst=10.0.0.7 \
                   sport=80 dport=9 [ASSURED] mark=0 use=1";
    service.kernel.flows.extend(crate::flows::Flow::parse(refused));
    service.kernel.faults.push_back(Fault::Flows);
    node.cycle(&mut service);
    assert_eq!(service.status.alarms.len(), 1, "{:?}", service.status);
    let mut service = node.start(service.kernel);
    service.kernel.faults.push_back(Fault::Flows);
    node.cycle(&mut service);
    assert_eq!((service.status.alarms.len(), service.kernel.flows.len()), (1, 1), "it fails again");
    node.cycle(&mut service);
    assert_eq!((service.status.alarms.len(), service.kernel.flows.len()), (0, 0));
    let mut service = node.start(service.kernel);
    node.cycle(&mut service);
    assert_eq!(service.status.alarms, [""; 0]);
}

#[test]
fn a_jump_that_is_pushed_down_again_and_again_is_left_where_it_is() {
    let node = Node::new();
    node.spool(&policy_snapshot(&["10.0.0.1"], 80));
    let mut service = node.start(FakeKernel::new());
    node.cycle(&mut service);
    for time in 1..=6 {
        service
            .kernel
            .tables
            .get_mut(&Family::V4)
            .unwrap()
            .get_mut("FORWARD")
            .unwrap()
            .insert(0, "-j DROP".to_owned());
        assert_eq!(node.cycle(&mut service), "synced enforcing");
        let first = service.kernel.tables[&Family::V4]["FORWARD"][0] == "-j CM-FORWARD";
        assert_eq!((first, service.status.alarms.len()), (time <= 5, usize::from(time >= 5)), "{time}");
    }
    // Only the place is given up.
    service.kernel.tables.get_mut(&Family::V4).unwrap().get_mut("FORWARD").unwrap().clear();
    node.cycle(&mut service);
    assert_eq!(service.kernel.tables[&Family::V4]["FORWARD"], ["-j CM-FORWARD"]);
}

#[test]
fn a_full_disk_changes_nothing() {
    let node = Node::new();
    let mut service = node.start(FakeKernel::new());
    node.spool(&policy_snapshot(&["10.0.0.1"], 80));
    // The folder of copies is to be on a disk that is not there, and not even root can write into it.
    files::clear(&node.paths().kept_all()).unwrap();
    std::os::unix::fs::symlink("no-disk", node.paths().kept_all()).unwrap();
    assert_eq!(node.cycle(&mut service), "pending unknown");
    assert!(
        service.status.last_error.as_ref().unwrap().starts_with("nothing was changed"),
        "{:?}",
        service.status
    );
    assert_eq!(service.kernel.calls, [""; 0]);
}
