use std::cell::Cell;

use super::*;
use crate::clock::{Moment, Uptime};
use crate::config::{Confirm, Drift};
use crate::journal::Old;
use crate::kernel::fake::{FakeKernel, Fault};
use crate::orders::{Pause, Pin};
use crate::place::Place;
use crate::plan::plan;
use crate::state::{self, Event};
use crate::step::Step;
use crate::testing::{policy_snapshot, spool, state_of};
use chainmail_snapshot::Joined;

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
        Service::open(kernel, settings).unwrap()
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
    files::remove_folder(&node.paths().spool()).unwrap();
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
    let rows: [(&str, &str, String, &str); 4] = [
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
        files::remove_folder(&folder).unwrap();
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
    // A folder stands where the file is to be, which no write gets over, not even that of root.
    files::make_dir(&node.paths().journal().with_extension("new").join("x")).unwrap();
    assert_eq!(node.cycle(&mut service), "pending unknown");
    assert!(
        service.status.last_error.as_ref().unwrap().starts_with("nothing was changed"),
        "{:?}",
        service.status
    );
    assert_eq!(service.kernel.calls, [""; 0]);
}

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
    service.kernel.elsewhere = Some(|| Err(ApplyError::Unsettled { difference: "one rule".to_owned() }));
    assert_eq!(node.cycle(&mut service), "held unknown");
    assert_eq!(node.cycle(&mut service), "held nothing");
    assert_eq!(state_of(&mut service.kernel), state_of(&mut FakeKernel::new()));
    assert!(service.status.last_error.as_ref().unwrap().contains("a network namespace of its own"));
}

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
