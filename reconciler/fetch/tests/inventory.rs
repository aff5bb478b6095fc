//! Pods that Git does not hold: what is taken of the inventory, and that nothing in it makes or stops a policy.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test runs programs, says what it measured, and fails by panic"
)]

mod support;

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant, SystemTime};

use chainmail_fetch::inventory::InventoryStatus;
use chainmail_fetch::status::State;
use support::{Node, World, policy};

const FOLDER: &str = "var/lib/chainmail/inventory";

/// A web pod as `kubectl get -o json` prints one.
fn pod(name: &str, address: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","namespace":"shop","labels":{{"app":"web"}}}},"spec":{{"nodeName":"n2","containers":[{{"name":"c"}}]}},"status":{{"phase":"Running","podIP":"{address}","podIPs":[{{"ip":"{address}"}}]}}}}"#
    )
}

fn list(items: &[String]) -> String {
    format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n{}]}}\n", items.join(",\n"))
}

fn node(world: &World, lines: &str) -> Node {
    let node = world.node("n1", &world.remote(), &format!("[inventory]\n{lines}"));
    std::fs::create_dir_all(node.path(FOLDER)).unwrap();
    node
}

trait Live {
    fn put(&self, name: &str, text: &str);
    fn members(&self) -> Vec<String>;
    fn live(&self) -> InventoryStatus;
    fn look(&self) -> (Vec<String>, InventoryStatus);
}

impl Live for Node {
    /// Puts a file into the inventory as one should.
    fn put(&self, name: &str, text: &str) {
        self.write(&format!("{FOLDER}/.{name}.new"), text);
        std::fs::rename(self.path(FOLDER).join(format!(".{name}.new")), self.path(FOLDER).join(name))
            .unwrap();
    }

    /// The addresses that may reach the database.
    fn members(&self) -> Vec<String> {
        let sets = self.snapshot("ipsets");
        let web = |line: &&str| line.starts_with("add cm4-") && line.contains(" 10.2.");
        let mut found: Vec<String> =
            sets.lines().filter(web).map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
        found.sort();
        found
    }

    fn live(&self) -> InventoryStatus {
        serde_json::from_str(&self.read("run/chainmail/fetch/inventory.json")).unwrap_or_default()
    }

    fn look(&self) -> (Vec<String>, InventoryStatus) {
        let done = self.fetch(&["once"]);
        assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
        (self.members(), self.live())
    }
}

#[test]
fn live_pods_are_members_and_say_where_they_come_from() {
    let world = World::new();
    let node = node(&world, "");
    node.put("pods.json", &list(&[pod("web-2", "10.2.0.7"), pod("web", "10.2.0.2")]));
    node.trust_first();
    let commit = node.handed();
    assert_eq!(node.members(), ["10.2.0.2", "10.2.0.7"], "already in the first snapshot");

    node.put("web-3.json", &pod("web-3", "10.2.0.8"));
    let (members, live) = node.look();
    assert_eq!(members, ["10.2.0.2", "10.2.0.7", "10.2.0.8"]);
    assert_eq!((live.files, live.holds.pods, live.members), (2, 3, 2), "the reviewed pod is not one of them");
    assert_eq!(live.alarms, Vec::<String>::new());
    assert_eq!(live.handed.unwrap().digest.as_str(), node.desired());
    assert_eq!(node.handed(), commit, "the revision is the same");
    let provenance: serde_json::Value = serde_json::from_str(&node.snapshot("provenance.json")).unwrap();
    let live: Vec<_> =
        provenance.as_array().unwrap().iter().filter(|entry| entry["inventory"].is_string()).collect();
    assert_eq!(live.len(), 2, "{live:?}");
    for (entry, (file, member)) in live.iter().zip([("pods.json", "10.2.0.7"), ("web-3.json", "10.2.0.8")]) {
        assert!(entry["inventory"].as_str().unwrap().ends_with(&format!("{FOLDER}/{file}")), "{entry}");
        assert_eq!(entry["members"], serde_json::json!([member]));
    }
    let status = node.fetch(&["status"]);
    assert!(status.out.contains("2 files: 0 namespaces, 0 nodes, 3 pods"), "{}", status.out);
    assert!(status.out.contains("2 addresses in this node's sets are from it alone"), "{}", status.out);
    assert!(status.out.contains(&node.desired()), "{}", status.out);

    std::fs::remove_file(node.path(FOLDER).join("web-3.json")).unwrap();
    assert_eq!(node.look().0, ["10.2.0.2", "10.2.0.7"], "a pod that is gone is none");
    node.configure("");
    node.fetch(&["once"]);
    assert_eq!(node.members(), ["10.2.0.2"], "without [inventory] there is none");
    assert!(node.fetch(&["status"]).out.lines().all(|line| !line.contains("inventory")));
}

/// Nothing was reviewed there, so nothing there may decide what is.
#[test]
fn an_inventory_makes_no_policy_and_sets_nothing() {
    let world = World::new();
    let node = node(&world, "");
    node.trust_first();
    let rules = node.snapshot("rules.v4");
    node.put("chainmail.toml", "enforce = false\n");
    node.put("open.yaml", &policy(&[1, 2, 3]).replace("name: db,", "name: open,"));
    node.put("mixed.json", &list(&[pod("web-2", "10.2.0.7"), r#"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"x","namespace":"shop"},"spec":{"podSelector":{}}}"#.to_owned()]));
    let (members, live) = node.look();
    assert_eq!(members, ["10.2.0.2", "10.2.0.7"], "the pod beside it is as good as any");
    let named_by_content =
        |word: &&str| ["cm4-", "CM-I-", ":CM-I-"].iter().any(|name| word.starts_with(name));
    let all_else = |text: &str| -> Vec<String> {
        text.split_whitespace().filter(|word| !named_by_content(word)).map(str::to_owned).collect()
    };
    assert_eq!(all_else(&node.snapshot("rules.v4")), all_else(&rules));
    assert!(!node.snapshot("provenance.json").contains("shop/open"));
    assert_eq!(live.bad_items, 2, "{live:?}");
    assert!(live.bad.iter().all(|bad| bad.contains("a NetworkPolicy in an inventory")), "{live:?}");
}

#[test]
fn what_is_wrong_takes_away_itself_and_never_a_policy() {
    let world = World::new();
    let node = node(&world, "");
    node.trust_first();
    node.put(
        "pods.json",
        &list(&[
            pod("web-2", "10.2.0.7"),
            pod("web-3", "10.2.0.300"),
            pod("Web-4", "10.2.0.9"),
            pod("web-5", "10.2.0.10").replace("\"Running\"", "7"),
            pod("web-6", "10.2.0.11"),
            pod("web-7", "10.2.0.11"),
            pod("web", "10.2.0.12"),
            r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n9"},"spec":{"podCIDR":"10.9.0.0/240"}}"#
                .to_owned(),
            r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"Shop"}}"#.to_owned(),
            r#"{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"x"}}"#
                .to_owned(),
        ]),
    );
    let (members, live) = node.look();
    // Where two claim an address, or two say something of a pod, what both are counts.
    assert_eq!(members, ["10.2.0.11", "10.2.0.12", "10.2.0.2", "10.2.0.7"]);
    let told = |what: &str, line: usize| {
        let place = format!("pods.json:{line}:");
        live.bad.iter().any(|bad| bad.contains(&place) && bad.contains(what))
    };
    for (what, line) in [
        ("10.2.0.300", 3),
        ("Web-4", 4),
        ("status.phase", 5),
        ("the node is left out", 9),
        ("the namespace is left out", 10),
        ("changes traffic and is not supported", 11),
    ] {
        assert!(told(what, line), "{what} in line {line}: {:#?}", live.bad);
    }
    assert_eq!(live.bad_items, 6, "{:#?}", live.bad);
    let alarm = |line: usize| {
        let place = format!("pods.json:{line}:");
        live.alarms
            .iter()
            .find(|alarm| alarm.contains(&place))
            .unwrap_or_else(|| panic!("{:#?}", live.alarms))
    };
    let twice = alarm(7);
    assert!(
        twice.contains("10.2.0.11 is claimed by pod shop/web-6") && twice.contains("pod shop/web-7"),
        "{twice}"
    );
    let moved = alarm(8);
    assert!(moved.contains("the live pod shop/web is not the one at cluster.yaml"), "{moved}");
    assert_eq!(live.alarms.len(), 2, "{:#?}", live.alarms);
    let status = node.fetch(&["status"]);
    assert!(status.out.contains("unknown"), "{}", status.out);

    // As many errors as are told, and one of them of each kind.
    let many: Vec<String> = (0..12_000).map(|i| pod(&format!("Web-{i}"), "10.2.1.1")).collect();
    node.put("pods.json", &list(&many));
    let commit = world.change("alice", &[5432, 5433]);
    node.look();
    assert_eq!(node.handed(), Some(commit));
    assert!(node.snapshot("rules.v4").contains("5433"));
    world.write(
        "db.yaml",
        &policy(&[5432]).replace("podSelector: {matchLabels: {app: db}}", "podSelector: 7"),
    );
    world.commit("alice", "Broken");
    world.push();
    node.refuses(State::Broken, "podSelector");
}

/// Any node may say that it runs a pod with any address, and a pod that goes and its successor have one for a while:
/// neither opens a pod that policies isolate, and what a false claim cuts off is told.
#[test]
fn a_second_claim_of_an_address_opens_nothing() {
    let world = World::new();
    let node = node(&world, "");
    node.trust_first();
    let claimed = |labels: &str, address: &str, more: &str| {
        let pod = pod("evil", address);
        pod.replace(r#"{"app":"web"}"#, labels)
            .replace(r#""namespace":"shop","#, &format!(r#""namespace":"x",{more}"#))
    };
    let rules = node.snapshot("rules.v4");
    let sets = node.snapshot("ipsets");
    let members = node.members();

    // The database is isolated, and the rival by no policy: the rules are the same.
    node.put("pods.json", &list(&[claimed("{}", "10.1.0.2", "")]));
    let (_, live) = node.look();
    assert_eq!((node.snapshot("rules.v4"), node.snapshot("ipsets")), (rules.clone(), sets.clone()));
    let [alarm] = &live.alarms[..] else { panic!("{:#?}", live.alarms) };
    for part in ["10.1.0.2 is claimed by pod shop/db", "cluster.yaml:", "pod x/evil", "pods.json:2"] {
        assert!(alarm.contains(part), "{part}: {alarm}");
    }
    let status = node.fetch(&["status"]);
    assert!(
        status.out.lines().any(|line| line.contains("alarm") && line.contains("x/evil")),
        "{}",
        status.out
    );

    // A rival of the web pod's address that is no web pod: it is no peer of the database any more.
    node.put("pods.json", &list(&[claimed("{}", "10.2.0.2", "")]));
    assert_eq!(node.look().0, Vec::<String>::new());
    // One that is being deleted claims nothing.
    let leaving = r#""deletionTimestamp":"2026-01-02T03:04:05Z","#;
    node.put("pods.json", &list(&[claimed("{}", "10.2.0.2", leaving)]));
    let (members_now, live) = node.look();
    assert_eq!((members_now, live.alarms), (members, Vec::new()));
    // A node that says so changes nothing either.
    let stray = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n9"},"status":{"addresses":[{"type":"InternalIP","address":"10.1.0.2"}]}}"#;
    node.put("pods.json", &list(&[stray.to_owned(), pod("web", "10.2.0.2")]));
    let (_, live) = node.look();
    assert_eq!((node.snapshot("rules.v4"), node.snapshot("ipsets")), (rules, sets));
    assert!(live.alarms[0].contains("node n9"), "{:#?}", live.alarms);
}

#[test]
fn a_file_that_cannot_be_read_is_as_it_was_also_after_a_restart() {
    let world = World::new();
    let node = node(&world, "");
    node.put("pods.json", &list(&[pod("web-2", "10.2.0.7")]));
    node.put("one.json", &pod("web-3", "10.2.0.8"));
    node.trust_first();
    let all = ["10.2.0.2", "10.2.0.7", "10.2.0.8"];
    assert_eq!(node.members(), all);
    let whole = list(&[pod("web-2", "10.2.0.7"), pod("web-4", "10.2.0.9")]);
    let rows = [
        ("half of it", &whole[..whole.len() / 2]),
        ("nothing", ""),
        ("a list of nothing", "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[]}"),
        ("no text", "\u{0}\u{1}"),
        ("an array", "[]"),
    ];
    for (what, text) in rows {
        node.put("pods.json", text);
        // A process that has read nothing before, which is what a restart comes to.
        let (members, live) = node.look();
        assert_eq!(members, all, "{what}");
        let alarms = live.alarms.join("\n");
        assert!(alarms.contains("pods.json is not taken, what it held before stands"), "{what}: {alarms}");
        assert_eq!(node.fetch(&["status"]).code, Some(1), "{what}");
    }
    // The folder may be lost as a whole, or all that is in it, while a policy changes.
    std::fs::rename(node.path(FOLDER), node.path("elsewhere")).unwrap();
    let commit = world.change("alice", &[5432, 5433]);
    let (members, live) = node.look();
    assert_eq!((members.as_slice(), node.handed()), (all.map(String::from).as_slice(), Some(commit)));
    assert!(live.alarms[0].contains("cannot be read, what it held before stands"), "{live:?}");
    std::fs::create_dir(node.path(FOLDER)).unwrap();
    let (members, live) = node.look();
    assert_eq!(members, all, "an emptied folder opens and closes nothing");
    assert!(live.alarms[0].contains("holds no pod any more"), "{live:?}");

    node.put("pods.json", &whole);
    let (members, live) = node.look();
    assert_eq!(members, ["10.2.0.2", "10.2.0.7", "10.2.0.9"], "what is there again stands for itself");
    assert_eq!(live.alarms, Vec::<String>::new());
}

#[test]
fn only_files_of_the_folder_itself_are_read() {
    let world = World::new();
    let node = node(&world, "");
    node.write("secret.json", &pod("web-9", "10.2.0.99"));
    symlink(node.path("secret.json"), node.path(FOLDER).join("link.json")).unwrap();
    node.put("pods.json", &pod("web-2", "10.2.0.7"));
    node.put("notes.txt", "not a manifest");
    node.put(".pods.json.half", "{");
    std::fs::create_dir(node.path(FOLDER).join("sub.json")).unwrap();
    node.trust_first();
    let (members, live) = node.look();
    assert_eq!(members, ["10.2.0.2", "10.2.0.7"]);
    let alarms = live.alarms.join("\n");
    assert!(alarms.contains("link.json is not taken") && alarms.contains("a symbolic link"), "{alarms}");
    assert!(alarms.contains("sub.json is not taken") && alarms.contains("no regular file"), "{alarms}");
    assert_eq!(live.alarms.len(), 2, "{alarms}");
}

#[test]
fn an_inventory_that_grows_old_is_an_alarm() {
    let world = World::new();
    let node = node(&world, "max_age = 600\n");
    node.put("pods.json", &pod("web-2", "10.2.0.7"));
    node.trust_first();
    assert_eq!(node.look().1.alarms, Vec::<String>::new());
    let file = std::fs::File::options().write(true).open(node.path(FOLDER).join("pods.json")).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(601)).unwrap();
    let (members, live) = node.look();
    assert!(live.alarms[0].contains("older than max_age = 600"), "{live:?}");
    assert_eq!(members, ["10.2.0.2", "10.2.0.7"], "they stay members");
}

/// A look at the remote may take its whole time; pods are born meanwhile.
#[test]
fn a_pod_is_handed_over_within_a_second_whatever_the_remote_does() {
    let world = World::new();
    let node = node(&world, "");
    node.put("pods.json", &pod("web-2", "10.2.0.7"));
    node.trust_first();
    // A remote that takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://{}/policies.git", silent.local_addr().unwrap());
    let config = node.read("etc/chainmail/fetch.toml").replace(&world.remote(), &url);
    node.write("etc/chainmail/fetch.toml", &config);
    let mut service = support::Service::start(&node);
    let wait = |what: &str, most: Duration, holds: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < most, "{what}: {:?} {:#?}", node.members(), node.live());
            std::thread::sleep(Duration::from_millis(5));
        }
        begun.elapsed()
    };
    // It has settled once it has looked; how long a busy machine takes for that is not asked.
    wait("the first look", Duration::from_secs(60), &|| node.live().holds.pods == 1);
    std::thread::sleep(Duration::from_millis(500));
    let mut slowest = Duration::ZERO;
    for number in 10..20 {
        let address = format!("10.2.0.{number}");
        node.put(&format!("born-{number}.json"), &pod(&format!("born-{number}"), &address));
        let took = wait(&address, Duration::from_secs(10), &|| node.members().contains(&address));
        slowest = slowest.max(took);
    }
    println!("the slowest of 10 births was handed over after {slowest:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // A file that is written where it stands is read when it is whole.
    let whole = pod("late", "10.2.0.30");
    node.write(&format!("{FOLDER}/late.json"), &whole[..50]);
    std::thread::sleep(Duration::from_millis(200));
    node.write(&format!("{FOLDER}/late.json"), &whole);
    wait("the late one", Duration::from_secs(5), &|| node.members().contains(&"10.2.0.30".to_owned()));
    // Another folder of this name is watched, too.
    std::fs::rename(node.path(FOLDER), node.path("old")).unwrap();
    std::fs::create_dir(node.path(FOLDER)).unwrap();
    node.put("pods.json", &pod("web-2", "10.2.0.7"));
    wait("another folder", Duration::from_secs(30), &|| node.members() == ["10.2.0.2", "10.2.0.7"]);
    service.stop();
}

/// Where nothing was seen, a look would come 10 seconds after the one before it.
#[test]
fn a_folder_that_is_made_later_is_found_at_once() {
    let world = World::new();
    let above = world.path("live/cluster");
    let folder = above.join("pods");
    let lines = format!("[inventory]\nfolder = \"{}\"\n", folder.display());
    let node = world.node("n1", &world.remote(), &lines);
    node.trust_first();
    let mut service = support::Service::start(&node);
    let wait = |what: &str, most: u64, holds: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(most), "{what}: {:?}", node.live());
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait("the first look", 60, &|| !node.live().alarms.is_empty());
    for (round, address) in ["10.2.0.7", "10.2.0.8", "10.2.0.9"].into_iter().enumerate() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("pods.json"), pod("web-2", address)).unwrap();
        wait(address, 5, &|| node.members().contains(&address.to_owned()));
        std::fs::rename(&folder, world.path(&format!("gone-{round}"))).unwrap();
        wait("it is gone", 5, &|| node.live().alarms.iter().any(|alarm| alarm.contains("cannot be read")));
        std::fs::remove_dir(&above).unwrap();
    }
    service.stop();
}

/// What RLIMIT_DATA counts is more than what is ever in memory at once, and without it the test would see the end alone.
#[test]
fn ten_thousand_pods_of_either_kind_need_120_mebibytes() {
    let world = World::new();
    let many = |first: usize| -> Vec<String> {
        let address = |i: usize| format!("10.{}.{}.{}", 3 + first, i / 200, i % 200 + 1);
        (0..10_000).map(|i| pod(&format!("web-{first}-{i}"), &address(i))).collect()
    };
    for (folder, pods) in many(0).chunks(100).enumerate() {
        world.write(&format!("pods/{folder}.json"), &list(pods));
    }
    world.commit("alice", "Ten thousand pods");
    world.push();
    // In bytes 120 MiB are a little more than 125 megabytes.
    let limited = |name: &str, megabytes: u32| {
        let lines = format!("[limits]\nmemory_megabytes = {megabytes}\n");
        world.node(name, &world.remote(), &lines)
    };
    let git = limited("n1", 125);
    git.trust_first();
    assert!(git.snapshot("ipsets").lines().count() > 10_000);
    git.configure("[limits]\nmemory_megabytes = 125\n[inventory]\n");
    git.put("pods.json", &list(&many(1)));
    let (_, live) = git.look();
    assert_eq!((live.members, live.alarms), (10_000, Vec::new()));
    git.put("one-more.json", &pod("one-more", "10.2.0.7"));
    assert_eq!(git.look().1.members, 10_001);
    let starved = limited("n2", 15);
    assert_ne!(starved.fetch(&["once", "--trust-first"]).code, Some(0), "the limit is one");
}
