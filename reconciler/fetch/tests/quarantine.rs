//! The user who downloads is the attacker: whatever is in the quarantine, no snapshot comes into the spool that no signature
//! answers for, and the verifier goes on.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, writes what they read, and fails by panic"
)]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use chainmail_fetch::cycle::cycle;
use chainmail_fetch::paths::Paths;
use chainmail_fetch::quarantine::object::{Kind, id};
use chainmail_fetch::quarantine::record::{Limits, Reader, Writer};
use chainmail_fetch::quarantine::{Failure, LeftOut, Look};
use chainmail_fetch::status::State;
use chainmail_fetch::trust::First;
use support::{Node, World, ok, policy};

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most.max(1)
    }
}

type Object = (Kind, Vec<u8>);

/// Nothing is over these.
const NO_LIMITS: Limits = Limits { object: u64::MAX, total: u64::MAX };

fn objects(file: &Path) -> Vec<Object> {
    let mut reader = Reader::new(std::fs::File::open(file).unwrap(), NO_LIMITS).unwrap();
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

fn bytes(objects: &[Object]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), u32::try_from(objects.len()).unwrap()).unwrap();
    objects.iter().for_each(|(kind, bytes)| writer.add(*kind, bytes).unwrap());
    writer.into_inner()
}

/// A node that has accepted a revision of alice, what would come over of her next one, and of one by mallory.
struct Attack {
    _world: World,
    node: Node,
    kept: PathBuf,
    accepted: String,
    next: String,
    stranger: String,
    look: Look,
    objects: Vec<Object>,
    /// What mallory pushed, as the half that downloads would bring it.
    strange: (Look, Vec<Object>),
    /// The digests of alice's revisions.
    digests: BTreeSet<String>,
}

impl Attack {
    fn new() -> Self {
        let world = World::new();
        let node = world.node("n1", &world.remote(), "");
        node.trust_first();
        let accepted = world.head();
        let mut digests = BTreeSet::from([node.desired()]);
        let kept = node.path("kept");
        ok(Command::new("cp").arg("-a").arg(node.path("var")).arg(&kept));
        std::fs::remove_dir_all(kept.join("lib/chainmail/download")).unwrap();

        let next = world.change("alice", &[5433]);
        assert_eq!(node.fetch(&["download", "--once"]).code, Some(0));
        let brought = |node: &Node| {
            let look: Look =
                serde_json::from_str(&node.read("var/lib/chainmail/download/look.json")).unwrap();
            let file = node.path("var/lib/chainmail/download").join(&look.objects.as_ref().unwrap().file);
            (look, objects(&file))
        };
        let (look, objects) = brought(&node);
        assert_eq!(node.fetch(&["verify", "--once"]).code, Some(0));
        digests.insert(node.desired());
        assert_eq!(node.handed(), Some(next.clone()));

        let attack =
            |node: &Node| ok(Command::new("cp").arg("-a").arg(node.path("kept")).arg(node.path("var")));
        std::fs::remove_dir_all(node.path("var")).unwrap();
        attack(&node);
        std::fs::remove_file(node.path("run/chainmail/fetch/needs.json")).unwrap();
        let stranger = world.change("mallory", &[1, 2, 3]);
        assert_eq!(node.fetch(&["verify", "--once"]).code, Some(0));
        assert_eq!(node.fetch(&["download", "--once"]).code, Some(0));
        let strange = brought(&node);
        let attack =
            Self { _world: world, node, kept, accepted, next, stranger, look, objects, strange, digests };
        attack.restore();
        attack
    }

    /// The node as it was when it had accepted the first revision.
    fn restore(&self) {
        let var = self.node.path("var");
        std::fs::remove_dir_all(&var).ok();
        ok(Command::new("cp").arg("-a").arg(&self.kept).arg(&var));
        std::fs::create_dir(self.folder()).unwrap();
    }

    fn folder(&self) -> PathBuf {
        self.node.path("var/lib/chainmail/download")
    }

    fn put(&self, look: &Look, objects: &[u8]) {
        std::fs::write(self.folder().join("look.json"), serde_json::to_string(look).unwrap()).unwrap();
        if let Some(file) = &look.objects {
            std::fs::write(self.folder().join(&file.file), objects).unwrap();
        }
    }

    /// Has the verifier look, and asserts that it came to nothing that alice has not signed.
    fn verify(&self, what: &str) -> State {
        let begin = Instant::now();
        let status = cycle(&Paths::under(&self.node.path("")), First::Refuse).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}: {:?}", begin.elapsed());
        let reason = status.reason.clone().unwrap_or_default();
        assert!(!reason.chars().any(|letter| letter.is_control() && letter != '\n'), "{what}: {reason:?}");
        let spool = self.node.path("var/lib/chainmail/spool");
        for entry in std::fs::read_dir(&spool).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name == "desired" || self.digests.contains(&name), "{what}: the spool has {name}");
        }
        assert!(self.digests.contains(&self.node.desired()), "{what}");
        let handed = status.handed.as_ref().map(|handed| handed.commit.as_str());
        assert!([Some(self.accepted.as_str()), Some(&self.next)].contains(&handed), "{what}: {handed:?}");
        assert!(!self.node.path("var/lib/chainmail/fetch/incoming.git").exists(), "{what}");
        status.state
    }
}

#[test]
fn nothing_comes_out_of_a_forged_quarantine_that_nobody_signed() {
    let attack = Attack::new();
    let mut dice = Dice(7);
    let mut states = std::collections::BTreeMap::<State, usize>::new();
    for round in 0..300 {
        attack.restore();
        let (mut look, mut objects) = match dice.below(3) {
            0 => attack.strange.clone(),
            _ => (attack.look.clone(), attack.objects.clone()),
        };
        let what = match dice.below(12) {
            0 => {
                let object = dice.below(objects.len());
                objects.remove(object);
                "an object is missing".to_owned()
            }
            1 => {
                let object = dice.below(objects.len());
                objects.push(objects[object].clone());
                "an object comes twice".to_owned()
            }
            2 => {
                let (a, b) = (dice.below(objects.len()), dice.below(objects.len()));
                objects.swap(a, b);
                let kind = Kind::ALL[dice.below(4)];
                objects[a].0 = kind;
                format!("an object is said to be a {}", kind.as_str())
            }
            3 => {
                let object = dice.below(objects.len());
                let bytes = &mut objects[object].1;
                let at = dice.below(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
                format!("byte {at} of an object is another")
            }
            4 => {
                // The policy of the signed revision, replaced under its name.
                for (_, bytes) in objects.iter_mut().filter(|(kind, _)| *kind == Kind::Blob) {
                    *bytes = policy(&[1, 2, 3]).into_bytes();
                }
                "other files than the signed ones".to_owned()
            }
            5 => {
                let forged = [attack.stranger.as_str(), attack.next.as_str(), &attack.accepted];
                let blob = id(Kind::Blob, &objects[objects.len() - 1].1).unwrap().to_string();
                let forged = [forged[0], forged[1], forged[2], &blob][dice.below(4)];
                look.heads.iter_mut().for_each(|head| head.id = git2::Oid::from_str(forged).unwrap());
                format!("the branch is said to be at {forged}")
            }
            6 => {
                objects.extend(attack.strange.1.iter().filter(|o| !attack.objects.contains(o)).cloned());
                objects.dedup();
                "objects of both revisions".to_owned()
            }
            7 => {
                let names =
                    ["refs/heads/main", "refs/tags/chainmail/../../x", "refs/tags/chainmail/9", "HEAD", ""];
                let head = chainmail_fetch::quarantine::Head {
                    name: names[dice.below(names.len())].to_owned(),
                    id: git2::Oid::from_str(&attack.stranger).unwrap(),
                };
                look.heads.push(head);
                "another reference".to_owned()
            }
            8 => {
                let names =
                    ["../fetch/accepted.json", "/etc/passwd", "look.json", "objects-", "objects-../../x"];
                look.objects.as_mut().unwrap().file = names[dice.below(names.len())].to_owned();
                std::fs::write(attack.folder().join("look.json"), serde_json::to_string(&look).unwrap())
                    .unwrap();
                let name = &look.objects.as_ref().unwrap().file;
                let state = attack.verify(&format!("round {round}: the objects are said to be in {name}"));
                *states.entry(state).or_default() += 1;
                continue;
            }
            9 => {
                let words = ["\u{1b}]0;x\u{7}\u{1b}[2J● synced", "a\nb\r\0c", ""];
                let state = State::ALL[dice.below(State::ALL.len())];
                let reason = words[dice.below(words.len())].repeat(1 + dice.below(5000));
                look.failed = Some(Failure { state, reason });
                format!("a failure: {}", state.as_str())
            }
            10 => {
                look.left_out = (0..=255)
                    .map(|byte| LeftOut { id: git2::Oid::from_bytes(&[byte; 20]).unwrap(), bytes: u64::MAX })
                    .collect();
                objects.retain(|(kind, _)| *kind != Kind::Blob);
                "files are left out".to_owned()
            }
            _ => "nothing else".to_owned(),
        };
        let mut bytes = bytes(&objects);
        let cut = match dice.below(4) {
            0 => {
                for _ in 0..=dice.below(8) {
                    let at = dice.below(bytes.len());
                    bytes[at] = u8::try_from(dice.below(256)).unwrap();
                }
                "some bytes are others"
            }
            1 => {
                bytes.truncate(dice.below(bytes.len()));
                "the file is cut short"
            }
            _ => "the file is whole",
        };
        attack.put(&look, &bytes);
        if dice.below(8) == 0 {
            let path = attack.folder().join("look.json");
            let mut text = std::fs::read(&path).unwrap();
            let at = dice.below(text.len());
            text[at] = u8::try_from(dice.below(256)).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        let state = attack.verify(&format!("round {round}: {what}, {cut}"));
        *states.entry(state).or_default() += 1;
    }
    // What was tried reached all ends, so none of them is there by chance alone.
    for state in [State::Synced, State::Untrusted, State::Broken, State::Unreachable] {
        assert!(states.contains_key(&state), "{states:?}");
    }
    // And the verifier goes on.
    attack.restore();
    attack.put(&attack.look, &bytes(&attack.objects));
    assert_eq!(attack.verify("as it should be"), State::Synced);
    assert!(attack.node.status().handed.is_some_and(|handed| handed.commit == attack.next));
}

/// That a file is too large is said by the half that downloads alone, so it does not outlast the one who says it.
#[test]
fn a_file_that_is_said_to_be_too_large_is_asked_for_again() {
    let attack = Attack::new();
    let policy =
        |(kind, bytes): &&Object| *kind == Kind::Blob && bytes.starts_with(b"apiVersion: networking");
    let (kind, bytes_of) = attack.objects.iter().find(policy).unwrap();
    let blob = id(*kind, bytes_of).unwrap();
    let without: Vec<Object> = attack.objects.iter().filter(|object| !policy(object)).cloned().collect();
    for (said, expected) in
        [(40, State::Unreachable), (32_000_000, State::Unreachable), (32_000_001, State::Broken)]
    {
        attack.restore();
        let mut look = attack.look.clone();
        look.left_out = vec![LeftOut { id: blob, bytes: said }];
        attack.put(&look, &bytes(&without));
        assert_eq!(attack.verify(&format!("{said} bytes")), expected);
        let reason = attack.node.status().reason.unwrap();
        assert_eq!(reason.contains("db.yaml of commit"), expected == State::Broken, "{reason}");
        attack.put(&attack.look, &bytes(&attack.objects));
        assert_eq!(attack.verify("as it should be"), State::Synced);
    }
}

#[test]
fn what_is_no_file_in_the_quarantine_is_not_waited_for() {
    let attack = Attack::new();
    let [look, objects] = ["look.json".to_owned(), attack.look.objects.as_ref().unwrap().file.clone()]
        .map(|name| attack.folder().join(name));
    let whole = || attack.put(&attack.look, &bytes(&attack.objects));
    let state = attack.node.path("var/lib/chainmail/fetch/accepted.json");
    let secret = std::fs::read_to_string(&state).unwrap();
    type Put<'a> = (&'a str, Box<dyn Fn(&Path) + 'a>);
    let puts: Vec<Put<'_>> = vec![
        ("a FIFO", Box::new(|path| drop(ok(Command::new("mkfifo").arg(path))))),
        ("a link to a file of the verifier", Box::new(|path| symlink(&state, path).unwrap())),
        ("a link to a device without end", Box::new(|path| symlink("/dev/zero", path).unwrap())),
        ("a folder", Box::new(|path| std::fs::create_dir(path).unwrap())),
        ("a link to itself", Box::new(|path| symlink(path, path).unwrap())),
        ("a socket", Box::new(|path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()))),
        (
            "a file of 8 TB of zeros",
            Box::new(|path| std::fs::File::create(path).unwrap().set_len(8 << 40).unwrap()),
        ),
        (
            "another name of a file of the verifier",
            Box::new(|path| std::fs::hard_link(&state, path).unwrap()),
        ),
        ("nothing", Box::new(|_| {})),
        ("an empty file", Box::new(|path| std::fs::write(path, "").unwrap())),
    ];
    for (what, put) in &puts {
        for path in [&look, &objects] {
            attack.restore();
            whole();
            std::fs::remove_file(path).unwrap();
            put(path);
            let what = format!("{} is {what}", path.file_name().unwrap().display());
            let state = attack.verify(&what);
            assert!([State::Broken, State::Unreachable].contains(&state), "{what}: {state:?}");
            let status = attack.node.read("run/chainmail/fetch/status.json");
            let quoted = secret.lines().find(|line| line.contains("signer")).unwrap().trim();
            let reason = attack.node.status().reason.unwrap_or_default();
            assert!(!reason.contains(quoted), "{what}: {status}");
        }
    }
    attack.restore();
    std::fs::remove_dir(attack.folder()).unwrap();
    symlink(attack.node.path("var/lib/chainmail/spool"), attack.folder()).unwrap();
    assert_eq!(attack.verify("the quarantine is a link"), State::Broken);
    std::fs::remove_file(attack.folder()).unwrap();
    std::fs::create_dir(attack.folder()).unwrap();
    whole();
    assert_eq!(attack.verify("as it should be"), State::Synced);
}

/// The users of the parts, by numbers that no file of this host names.
const USERS: [(&str, u32); 3] =
    [("chainmail-download", 64_101), ("chainmail-fetch", 64_102), ("chainmail-probe", 64_103)];

/// Gives a node the users, and a copy of the program that each of them can reach.
fn program_for_users(world: &World, node: &Node) -> PathBuf {
    ok(Command::new("chmod").arg("0755").arg(world.path("")));
    let program = node.path("chainmail-fetch");
    std::fs::copy(env!("CARGO_BIN_EXE_chainmail-fetch"), &program).unwrap();
    ok(Command::new("chmod").arg("0755").arg(&program));
    let passwd = USERS.map(|(name, number)| format!("{name}:x:{number}:{number}::/:/bin/false\n"));
    node.write("etc/passwd", &passwd.concat());
    program
}

#[test]
fn each_part_can_write_its_own_folders_and_no_others() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = World::new();
    let daemon = support::remotes::git_daemon(&world);
    let node = world.node("n1", &format!("git://127.0.0.1:{}/remote.git", daemon.port), "");
    let program = program_for_users(&world, &node);
    let run = |words: &[&str]| {
        let mut command = Command::new(&program);
        support::run(command.arg("--root").arg(node.path("")).args(words))
    };
    let done = run(&["once", "--trust-first"]);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    assert_eq!(node.status().state, State::Synced);

    let folders = [
        ("var/lib/chainmail/download", 0),
        ("var/lib/chainmail/fetch", 1),
        ("var/lib/chainmail/spool", 1),
        ("run/chainmail/fetch", 1),
        ("run/chainmail/probe", 2),
    ];
    let files = [
        ("var/lib/chainmail/download/look.json", 0),
        ("var/lib/chainmail/fetch/accepted.json", 1),
        ("var/lib/chainmail/spool/desired", 1),
        ("run/chainmail/fetch/status.json", 1),
        ("run/chainmail/fetch/needs.json", 1),
    ];
    for (index, (name, number)) in USERS.iter().enumerate() {
        let as_user = |script: &str| {
            let mut command = Command::new("setpriv");
            let number = number.to_string();
            command.args(["--reuid", &number, "--regid", &number, "--clear-groups", "sh", "-c", script]);
            support::run(&mut command).code == Some(0)
        };
        for (folder, owner) in folders {
            let path = node.path(folder).join("planted").display().to_string();
            assert_eq!(as_user(&format!(": > {path} && rm {path}")), owner == index, "{name} in {folder}");
        }
        for (file, owner) in files {
            let path = node.path(file).display().to_string();
            assert_eq!(as_user(&format!(": >> {path}")), owner == index, "{name} on {file}");
            assert_eq!(
                as_user(&format!("mv {path} {path}.x && mv {path}.x {path}")),
                owner == index,
                "{name} {file}"
            );
        }
        let state = node.path("var/lib/chainmail/fetch/accepted.json").display().to_string();
        assert_eq!(as_user(&format!("cat {state}")), index == 1, "{name} reads what the verifier remembers");
        let look = node.path("var/lib/chainmail/download/look.json").display().to_string();
        assert_eq!(as_user(&format!("cat {look}")), index < 2, "{name} reads what was downloaded");
    }

    // And what is new goes all the way.
    world.change("alice", &[5433]);
    let done = run(&["once"]);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    assert!(node.snapshot("rules.v4").contains("5433"));
}

#[test]
fn what_stands_in_the_place_of_a_file_of_the_pulling_half_is_replaced() {
    let world = World::new();
    let node = world.node("n1", &world.remote(), "");
    node.trust_first();
    let mut port = 6000;
    for file in [
        "var/lib/chainmail/fetch/last.json",
        "var/lib/chainmail/download/look.json",
        "var/lib/chainmail/spool/desired",
        "run/chainmail/fetch/needs.json",
        "run/chainmail/fetch/status.json",
    ] {
        for name in [file.to_owned(), format!("{file}.new")] {
            for odd in ["mkdir", "mkfifo"] {
                let path = node.path(&name);
                std::fs::remove_file(&path).ok();
                ok(Command::new(odd).arg(&path));
                port += 1;
                let commit = world.change("alice", &[port]);
                // What the last look found is found out anew, so the first one may come to nothing.
                let codes = [node.fetch(&["once"]).code, node.fetch(&["once"]).code];
                assert_eq!(codes[1], Some(0), "{odd} {name}: {codes:?} {:?}", node.status());
                assert_eq!(node.handed(), Some(commit), "{odd} {name}");
                assert!(node.snapshot("rules.v4").contains(&port.to_string()), "{odd} {name}");
            }
        }
    }
}

/// The verifier's user cannot have root write elsewhere, or open a repository that it has made ready.
#[test]
fn a_link_of_the_verifier_leads_roots_release_nowhere() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = World::new();
    let daemon = support::remotes::git_daemon(&world);
    let node = world.node("n1", &format!("git://127.0.0.1:{}/remote.git", daemon.port), "");
    let program = program_for_users(&world, &node);
    let run = |words: &[&str]| {
        let mut command = Command::new(&program);
        support::run(command.arg("--root").arg(node.path("")).args(words))
    };
    let done = run(&["once", "--trust-first"]);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    ok(world.git().args(["rm", "-q", "db.yaml"]));
    let commit = world.commit("alice", "The shop is closed");
    world.push();
    run(&["once"]);
    assert_eq!(node.status().state, State::Held);

    let victim = world.path("of-root");
    std::fs::write(&victim, "a file of root\n").unwrap();
    ok(Command::new("chmod").arg("0600").arg(&victim));
    let state = node.path("var/lib/chainmail/fetch");
    symlink(&victim, state.join("released.json.new")).unwrap();
    symlink(&victim, state.join("released.json")).unwrap();
    let done = run(&["release", &commit, "--reason", "the shop is closed"]);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "a file of root\n");
    use std::os::unix::fs::MetadataExt as _;
    let about = std::fs::symlink_metadata(state.join("released.json")).unwrap();
    assert!(about.is_file() && about.uid() == USERS[1].1, "{about:?}");
    assert_eq!(std::fs::metadata(&victim).unwrap().mode() & 0o777, 0o600);
    run(&["once"]);
    assert_eq!(node.status().state, State::Synced, "{:?}", node.status());
    let done = run(&["payload", &commit]);
    assert_eq!(done.code, Some(0), "the store is another user's: {}", done.err);

    // Where root cannot become the verifier, it does nothing in the verifier's place.
    node.write("etc/passwd", "");
    for words in [&["release", commit.as_str(), "--reason", "x"][..], &["payload", &commit]] {
        let done = run(words);
        assert_eq!(done.code, Some(2), "{}{}", done.out, done.err);
    }
}
