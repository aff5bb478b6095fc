use super::*;

struct Node {
    root: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let node = Self { root: tempfile::tempdir().unwrap() };
        for folder in [node.paths().node.spool(), node.paths().run()] {
            files::make_dir(&folder).unwrap();
        }
        node
    }

    fn paths(&self) -> Paths {
        Paths::under(self.root.path())
    }

    /// What the applying half says, and what was handed over to it.
    fn says(&self, sync: &str, enforced: &Sha256Hex, awaits: bool, handed: &Sha256Hex) {
        let awaits = awaits.then(|| serde_json::json!({"since": "then", "until": "later", "back_to": null}));
        let status = serde_json::json!({
            "sync": sync, "enforce": "enforcing", "node": "n1", "backend": "nft", "desired": handed, "enforced": enforced,
            "since": null, "confirm": "required", "awaits": awaits, "checked": null, "late_after": 60, "pin": null,
            "pause": null, "drift": 0, "drift_lines": [], "last_heal": null, "written": {"boot": "", "seconds": 0}, "alarms": [], "last_error": null, "skipped": [],
        });
        files::replace_volatile(&self.paths().node.status(), &status.to_string()).unwrap();
        files::publish(&self.paths().node.desired(), &format!("{handed}\n")).unwrap();
    }
}

#[test]
fn only_what_we_handed_over_is_judged() {
    let [ours, other] = ["ours", "other"].map(Sha256Hex::of);
    let node = Node::new();
    assert_eq!(Attempt::current(&node.paths()), None);
    node.says("pending-confirm", &ours, true, &ours);
    let attempt = Attempt::current(&node.paths()).unwrap();
    assert_eq!((&attempt.digest, attempt.since.as_str()), (&ours, "then"));
    node.says("pending-confirm", &other, true, &ours);
    assert!(!attempt.lasts(&node.paths()));
    node.says("synced", &ours, false, &ours);
    assert!(!attempt.lasts(&node.paths()));
}

#[test]
fn silence_while_a_snapshot_is_on_trial_says_nothing_about_the_time_before() {
    let [good, new] = ["good", "new"].map(Sha256Hex::of);
    let rows = [
        ("nothing is on trial", "synced", &new, false, Reach::Silent),
        ("it is being brought into force", "synced", &good, false, Reach::Answers),
        ("it waits to be confirmed", "pending-confirm", &new, true, Reach::Answers),
        ("it was taken back", "held", &good, false, Reach::Silent),
    ];
    for (row, sync, enforced, awaits, expected) in rows {
        let node = Node::new();
        assert_eq!(reached_before(&node.paths()), Reach::Answers, "what was handed over came from there");
        remember_reach(&node.paths(), Reach::Answers, false);
        node.says(sync, enforced, awaits, &new);
        remember_reach(&node.paths(), Reach::Silent, true);
        assert_eq!(reached_before(&node.paths()), Reach::Answers, "{row}");
        remember_reach(&node.paths(), Reach::Silent, false);
        assert_eq!(reached_before(&node.paths()), expected, "{row}");
    }
}

#[test]
fn what_the_inventory_alone_changes_is_as_good_as_what_was_before() {
    let [before, new, newer] = ["before", "new", "newer"].map(Sha256Hex::of);
    let node = Node::new();
    let paths = node.paths();
    assert!(!of_same_revision(&paths, &before, &new).unwrap(), "nothing is known");
    node.says("pending-confirm", &before, true, &before);
    assert!(!of_same_revision(&paths, &before, &new).unwrap(), "it waits itself");
    assert!(!confirms(&paths.node, &new));
    node.says("synced", &before, false, &before);
    assert!(of_same_revision(&paths, &before, &new).unwrap());
    assert!(confirms(&paths.node, &new));
    assert_eq!(taken_back(&paths, &before), None);
    // The applying half need not have seen the one between.
    assert!(of_same_revision(&paths, &new, &newer).unwrap());
    assert!(confirms(&paths.node, &newer));
}

#[test]
fn what_was_taken_back_is_known() {
    let [good, bad] = ["good", "bad"].map(Sha256Hex::of);
    let node = Node::new();
    node.says("held", &good, false, &bad);
    assert_eq!(taken_back(&node.paths(), &bad), None);
    let path = node.paths().node.status();
    let mut status: serde_json::Value = read_json(&path).unwrap().unwrap();
    status["set_back"] = serde_json::json!({"digest": bad, "since": "", "time": "", "reason": "a probe failed", "again": "never"});
    files::replace_volatile(&path, &status.to_string()).unwrap();
    assert_eq!(taken_back(&node.paths(), &bad).as_deref(), Some("a probe failed"));
    assert_eq!(taken_back(&node.paths(), &good), None);
}

#[test]
fn a_finding_is_passed_on_for_the_attempt_that_lasts_and_no_other() {
    use super::word::{Answer, pass_on};
    use chainmail_reconciler::spool::refuses;

    let [ours, other] = ["ours", "other"].map(Sha256Hex::of);
    let node = Node::new();
    let paths = node.paths();
    files::make_dir(&paths.probe()).unwrap();
    let say = |digest: &Sha256Hex, since: &str, finding, reason: &str| {
        let (digest, since, time) = (digest.clone(), since.to_owned(), "now".to_owned());
        let answer = Answer { digest, since, finding, reason: reason.to_owned(), time };
        files::replace_volatile(&paths.answer(), &crate::state::json(&answer)).unwrap();
        pass_on(&paths).unwrap()
    };
    node.says("synced", &ours, false, &ours);
    assert_eq!(say(&ours, "then", Finding::Refused, "nothing waits"), None);
    node.says("pending-confirm", &ours, true, &ours);
    assert_eq!(say(&other, "then", Finding::Confirmed, "another snapshot"), None);
    assert_eq!(say(&ours, "before", Finding::Refused, "another attempt"), None);
    assert!(!confirms(&paths.node, &ours) && refuses(&paths.node, &ours, "then").is_none());
    for text in ["", "{}", "\u{1b}[2J", "{\"digest\": 1}"] {
        files::replace_volatile(&paths.answer(), text).unwrap();
        assert_eq!(pass_on(&paths).unwrap(), None, "{text:?}");
    }
    files::replace_volatile(&paths.answer(), &" ".repeat(1 << 20)).unwrap();
    assert_eq!(pass_on(&paths).unwrap(), None, "a long one");
    assert!(say(&ours, "then", Finding::Unknown, "who knows").is_some());
    assert!(!confirms(&paths.node, &ours) && refuses(&paths.node, &ours, "then").is_none());
    let judged = say(&ours, "then", Finding::Refused, "the shop\u{1b}[2J is\ndown").unwrap();
    assert_eq!(judged.reason, "the shop [2J is down");
    assert_eq!(refuses(&paths.node, &ours, "then").as_deref(), Some("the shop [2J is down"));
    assert!(say(&ours, "then", Finding::Confirmed, "it works").is_some());
    assert!(confirms(&paths.node, &ours));
}
