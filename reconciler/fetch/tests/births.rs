//! Both daemons while pods are born: what a birth takes from the file to the kernel, and what it costs. It takes minutes;
//! `make test-long` runs it, in the release profile.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test runs programs, says what it measured, and fails by panic"
)]

mod support;

use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use support::net::{Net, Running, chainmaild, skipped};
use support::{Service, World, run};

/// Pods that are there before, each a member of the one set.
const PODS: usize = 100_000;
const NODES: usize = 500;
/// How long pods are born, and how many a second.
const SECONDS: u32 = 60;
const A_SECOND: u32 = 10;
/// How often the kernel is asked what is in force.
const LOOKED: Duration = Duration::from_millis(50);
const FOLDER: &str = "var/lib/chainmail/inventory";
/// From the file to the kernel.
const LAG: Duration = Duration::from_secs(2);

fn pod(name: &str, node: usize, app: &str, address: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","namespace":"shop","labels":{{"app":"{app}","pod-template-hash":"5d4f8c"}}}},"spec":{{"nodeName":"n{node}","containers":[{{"name":"c"}}]}},"status":{{"phase":"Running","podIP":"{address}","podIPs":[{{"ip":"{address}"}}]}}}}"#
    )
}

/// Both kinds of cost must not be measured at once.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Ten pods of each node are databases, the others are web pods.
fn cluster() -> String {
    let mut items = vec![r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}"#.to_owned()];
    for node in 0..NODES {
        let net = format!("10.{}.{}", 100 + node / 256, node % 256);
        items.push(format!(
            r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"n{node}"}},"spec":{{"podCIDR":"{net}.0/24"}}}}"#
        ));
        for host in 1..=PODS / NODES {
            let app = if host <= 10 { "db" } else { "web" };
            items.push(pod(&format!("p-{node}-{host}"), node, app, &format!("{net}.{host}")));
        }
    }
    format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n{}]}}\n", items.join(",\n"))
}

/// The processor time of a process and of its children that still live, with those that have ended, and the most memory
/// that each had, in KiB.
fn cost(id: u32) -> (Duration, u64) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
    let stat = read("stat");
    // proc_pid_stat(5): utime, stime, cutime and cstime are fields 14 to 17; the name in field 2 is in parentheses.
    let fields: Vec<u64> = stat
        .rsplit_once(") ")
        .map(|(_, rest)| rest.split(' ').map(|field| field.parse().unwrap_or(0)).collect())
        .unwrap_or_default();
    let ticks: u64 = fields.iter().skip(11).take(4).sum();
    let mut time = Duration::from_millis(ticks * 10);
    let status = read("status");
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    let mut peak = peak.unwrap_or(0);
    for task in std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let (more, most) = cost(child.parse().unwrap());
            time += more;
            peak = peak.max(most);
        }
    }
    (time, peak)
}

#[test]
#[ignore = "takes minutes; make test-long runs it"]
fn ten_births_a_second_beside_100_000_pods_are_in_force_within_two_seconds() {
    let _alone = ALONE.lock();
    if skipped() {
        return;
    }
    let net = Net::new();
    let world = World::new();
    std::fs::remove_file(world.path("clone/cluster.yaml")).unwrap();
    world.commit("alice", "Policies alone");
    world.push();
    let node = world.node("n0", &world.remote(), "interval = 3600\n[inventory]\n");
    node.write(&format!("{FOLDER}/cluster.json"), &cluster());
    node.write("etc/chainmail/node.toml", "node = \"n0\"\nbackend = \"nft\"\n");
    node.trust_first();
    let fetch = Service::start(&node);
    // With what its unit leaves it: so it has no namespace to try a snapshot in first.
    let mut daemon = Command::new("setpriv");
    daemon.arg("--bounding-set=-all,+net_admin,+net_raw").arg(chainmaild());
    daemon.arg("--root").arg(node.path("")).arg("run").env("RUST_LOG", "warn");
    let apply = Running::start(&mut net.within(&daemon));
    let enforced = || {
        let status: serde_json::Value =
            serde_json::from_str(&node.read("run/chainmail/apply.json")).unwrap_or_default();
        status["enforced"].as_str().unwrap_or_default().to_owned()
    };
    let begun = Instant::now();
    let settled = || !node.desired().is_empty() && enforced() == node.desired();
    while !settled() || node.read("run/chainmail/fetch/inventory.json").is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{:?} {}", node.status(), enforced());
        std::thread::sleep(Duration::from_millis(50));
    }
    let (before, peak) = cost(fetch.id());
    println!("{PODS} pods: fetch has spent {before:?}, its largest process had {} MiB", peak / 1024);
    let before = [before, cost(apply.0.id()).0];

    // What is asked of the kernel is the set that the database's rule names, which has another name after each change.
    let set = || {
        let rules = net.sh("iptables-nft-save -t filter");
        let rule = rules.lines().find(|line| line.contains("--dport 5432")).unwrap_or_default();
        rule.split(' ').skip_while(|word| *word != "--match-set").nth(1).unwrap_or("none").to_owned()
    };
    // A set never changes, and pods are members in the order of their births: how many members a set has says which. The
    // head of a set is asked for, which costs nothing, since whoever measures has the same two processors.
    let members = |set: &str| -> Option<usize> {
        let mut list = Command::new("ipset");
        // It fails where the set is gone by now, and then the next one is looked at.
        let head = run(&mut net.within(list.args(["list", "-terse", set]))).out;
        let entries = head.lines().find_map(|line| line.strip_prefix("Number of entries: "))?;
        Some(entries.trim().parse().unwrap())
    };
    let at_first = members(&set()).expect("nothing is born yet, so the set stays");
    let mut lags = Vec::new();
    std::thread::scope(|scope| {
        let (sender, births) = channel();
        let node = &node;
        scope.spawn(move || {
            let begun = Instant::now();
            for number in 0..SECONDS * A_SECOND {
                let due = Duration::from_secs(u64::from(number)) / A_SECOND;
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
                let address = format!("10.200.{}.{}", number / 250, number % 250 + 1);
                let name = format!("born-{number}");
                let [new, file] = [format!("{FOLDER}/.{name}.new"), format!("{FOLDER}/{name}.json")];
                node.write(&new, &pod(&name, 1, "web", &address));
                std::fs::rename(node.path(&new), node.path(&file)).unwrap();
                sender.send(Instant::now()).unwrap();
            }
        });
        let mut known = String::new();
        let mut born = Vec::new();
        while lags.len() < (SECONDS * A_SECOND) as usize {
            let now = (set(), Instant::now());
            born.extend(births.try_iter());
            if now.0 != known {
                let inside = members(&now.0).map_or(0, |members| members - at_first);
                lags.extend(born.iter().take(inside).skip(lags.len()).map(|born: &Instant| now.1 - *born));
                known = now.0;
            }
            assert!(begun.elapsed() < Duration::from_secs(300), "{} births are in force", lags.len());
            std::thread::sleep(LOOKED);
        }
    });
    let spent = [cost(fetch.id()), cost(apply.0.id())];
    lags.sort();
    let at = |percent: usize| lags[(lags.len() - 1) * percent / 100];
    println!(
        "{} births in {SECONDS} s: lag p50 {:?}, p99 {:?}, most {:?}",
        lags.len(),
        at(50),
        at(99),
        at(100)
    );
    for (name, before, (after, peak)) in
        [("chainmail-fetch", before[0], spent[0]), ("chainmaild", before[1], spent[1])]
    {
        let share = (after.saturating_sub(before)).as_secs_f64() / f64::from(SECONDS) * 100.0;
        println!("{name}: {share:.0} % of a processor, its largest process had {} MiB", peak / 1024);
    }
    assert!(at(100) < LAG, "{:?}", at(100));
}

/// A look that finds nothing new is what a node does all day.
#[test]
#[ignore = "takes half a minute; make test-long runs it"]
fn a_look_without_news_costs_ten_milliseconds() {
    let _alone = ALONE.lock();
    let world = World::new();
    let node = world.node("n1", &world.remote(), "interval = 1\n");
    node.trust_first();
    let service = Service::start(&node);
    std::thread::sleep(Duration::from_secs(3));
    let looks = 30;
    let before = cost(service.id()).0;
    // From one look to the next it is a tenth more or less than the interval.
    std::thread::sleep(Duration::from_secs(looks));
    let one = (cost(service.id()).0 - before) / u32::try_from(looks).unwrap();
    println!("a look without news: {one:?} of a processor");
    assert!(one <= Duration::from_millis(10), "{one:?}");
}
