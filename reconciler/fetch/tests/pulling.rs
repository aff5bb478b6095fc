//! What is pulled, from where, and what becomes of it. Nothing here is about signatures.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test runs programs, and fails by panic"
)]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use chainmail_fetch::status::State;
use support::{Node, World, ok, policy, remotes};

const OFF: &str = "[trust]\nmode = \"off\"\n";

#[test]
fn a_push_comes_to_the_spool_whole_and_readable() {
    let world = World::new();
    let node = world.node("n1", &world.remote(), OFF);
    let (state, reason) = node.once();
    assert_eq!((state, reason.as_str()), (State::Synced, ""));
    assert_eq!(node.handed(), Some(world.head()));
    let first = node.desired();
    assert!(node.snapshot("rules.v4").contains(" 5432 "));
    let status = node.fetch(&["status"]);
    assert_eq!(status.code, Some(1), "nothing is verified, which is an alarm: {}", status.out);
    for word in ["● synced  node n1", &world.head(), "nothing is verified", &first] {
        assert!(status.out.contains(word), "{word}\n{}", status.out);
    }

    world.change("nobody", &[5432, 5433]);
    assert_eq!(node.once().0, State::Synced);
    let second = node.desired();
    assert_ne!(first, second);
    world.change("nobody", &[5434]);
    node.once();
    let spool = node.path("var/lib/chainmail/spool");
    let mut names: Vec<String> =
        std::fs::read_dir(&spool).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected = vec![second, node.desired(), "desired".to_owned()];
    expected.sort();
    assert_eq!(names, expected, "the one before stays, older ones go");
    let modes = ok(Command::new("find").arg(&spool).args(["-mindepth", "1", "!", "-perm", "-o=r"]));
    assert_eq!(modes, "", "the applying half reads them as another user");
}

#[test]
fn each_node_gets_its_own_and_equal_rules_have_one_digest_from_both_sources() {
    let world = World::new();
    compile(&world);
    world.commit("nobody", "Compiled");
    world.push();
    let snapshots = format!("source = \"snapshots\"\n{OFF}");
    let nodes = ["n1", "n2"].map(|name| world.node(name, &world.remote(), OFF));
    nodes.iter().for_each(|node| assert_eq!(node.once().0, State::Synced));
    assert_ne!(nodes[0].desired(), nodes[1].desired());
    let compiled = nodes[0].desired();
    nodes[0].configure(&snapshots);
    assert_eq!(nodes[0].once().0, State::Synced);
    assert_eq!(nodes[0].desired(), compiled);
    assert_eq!(nodes[0].status().notes, Vec::<String>::new());

    // Bytes that mean the same: an unused comment's place changes nothing that a packet meets.
    let rules = world.path("clone/snapshots/nodes/n1/rules.v4");
    let text = std::fs::read_to_string(&rules).unwrap().replace("shop/db ingress[0]", "shop/db ingress[9]");
    std::fs::write(&rules, &text).unwrap();
    remanifest(&world, "n1");
    world.commit("nobody", "Other bytes");
    world.push();
    assert_eq!(nodes[0].once().0, State::Synced);
    assert_ne!(nodes[0].desired(), compiled);
    assert!(nodes[0].status().notes[0].contains("means the same"), "{:?}", nodes[0].status().notes);
    nodes[0].configure(&snapshots.replace('[', "strict_bytes = true\n["));
    nodes[0].refuses(State::Broken, "strict_bytes is set");
    nodes[0].configure(&snapshots);

    // Bytes that mean something else are refused, however well their digests hold.
    std::fs::write(&rules, text.replace("5432", "5433")).unwrap();
    remanifest(&world, "n1");
    world.commit("nobody", "A door");
    world.push();
    nodes[0].refuses(State::Broken, "not what the policies say");
    // And so are bytes whose digests do not.
    std::fs::write(&rules, text).unwrap();
    world.commit("nobody", "Half of it");
    world.push();
    nodes[0].refuses(State::Broken, "does not have the SHA-256");
}

/// Compiles what is in the clone as `chainmail compile --out snapshots` does.
fn compile(world: &World) {
    let sources = chainmail_manifest::source::from_folder(&world.path("clone")).unwrap();
    let loaded = chainmail_pipeline::load(&sources);
    let mut compiler = chainmail_pipeline::Compiler::new(&loaded.cluster, &sources);
    let mut stage = chainmail_pipeline::write::Stage::new(&world.path("clone/snapshots")).unwrap();
    for node in compiler.nodes() {
        stage.add(&compiler.snapshot(node)).unwrap();
    }
    stage.commit().unwrap();
}

/// Describes a node's committed files anew, as somebody who knows the format would.
fn remanifest(world: &World, node: &str) {
    use chainmail_contract::{Manifest, Parts, Sha256Hex};
    let folder = world.path("clone/snapshots/nodes").join(node);
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let before: Manifest = serde_json::from_str(&text("manifest.json")).unwrap();
    let parts =
        Parts { rules_v4: Sha256Hex::of(text("rules.v4")), rules_v6: Sha256Hex::of(text("rules.v6")) };
    let manifest = Manifest::new(before.node, parts, before.sets);
    std::fs::write(folder.join("manifest.json"), manifest.to_json()).unwrap();
}

#[test]
fn a_broken_commit_reaches_no_kernel_and_says_why() {
    let world = World::new();
    let node = world.node("n1", &world.remote(), OFF);
    node.once();
    world.write("db.yaml", &policy(&[5432]).replace("5432", "70000"));
    world.commit("nobody", "A port that is none");
    world.push();
    node.refuses(State::Broken, "--> db.yaml:8:20");
    let once = node.fetch(&["once"]);
    assert!(
        once.out.contains("1 error in the manifests") && once.out.contains("port: 70000"),
        "{}",
        once.out
    );
    world.write("db.yaml", "kind: NetworkPolicy\nspec: {podSelektor: {}}\n");
    world.commit("nobody", "Not even that");
    world.push();
    let log = node.fetch(&["once"]).err;
    assert!(log.contains("ERROR") && log.contains("in the manifests"), "{log}");
    world.change("nobody", &[5433]);
    assert_eq!(node.once().0, State::Synced);
}

#[test]
fn a_canary_follows_its_own_branch() {
    let world = World::new();
    let canary = world.node("n1", &world.remote(), &format!("ref = \"canary\"\n{OFF}"));
    canary.refuses_at_first(State::Unreachable, "has no branch canary; it has: main");
    ok(world.git().args(["push", "-q", "origin", "HEAD:canary"]));
    let main = world.change("nobody", &[1]);
    assert_eq!(canary.once().0, State::Synced);
    assert_ne!(canary.handed(), Some(main));
}

impl Node {
    /// As `refuses`, where nothing was handed over yet.
    fn refuses_at_first(&self, state: State, reason: &str) {
        let (found, why) = self.once();
        assert_eq!(found, state, "{why}");
        assert!(why.contains(reason), "{why}");
        assert_eq!((self.desired(), self.handed()), (String::new(), None));
    }
}

#[test]
fn what_reaches_out_of_the_tree_is_refused() {
    let world = World::new();
    let node = world.node("n1", &world.remote(), OFF);
    node.once();
    std::os::unix::fs::symlink("/etc/passwd", world.path("clone/passwd.yaml")).unwrap();
    world.commit("nobody", "A link");
    world.push();
    node.refuses(State::Broken, "error[symbolic-link]");
    std::fs::remove_file(world.path("clone/passwd.yaml")).unwrap();
    let inner = world.path("remote.git").display().to_string();
    ok(world.git().args([
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        &inner,
        "inner",
    ]));
    world.commit("nobody", "A submodule");
    world.push();
    node.refuses(State::Broken, "error[submodule]");
}

#[test]
fn nothing_of_the_repository_is_run() {
    let world = World::new();
    let marker = world.path("ran");
    let script = format!("#!/bin/sh\ntouch {}\n", marker.display());
    let hooks = ["post-checkout", "post-merge", "reference-transaction", "post-update", "pre-auto-gc"];
    for hook in hooks {
        for folder in [world.path("clone/hooks"), world.path("remote.git/hooks")] {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(hook), &script).unwrap();
            ok(Command::new("chmod").arg("755").arg(folder.join(hook)));
        }
    }
    world.write(".gitattributes", "*.yaml filter=evil\n");
    let config = format!(
        "[filter \"evil\"]\n\tsmudge = touch {0}\n[core]\n\tfsmonitor = touch {0}\n",
        marker.display()
    );
    world.write(".gitconfig", &config);
    world.change("nobody", &[5433]);
    std::fs::remove_file(&marker).ok();
    let url = world.remote();
    let appended = std::fs::read_to_string(world.path("remote.git/config")).unwrap() + &config;
    std::fs::write(world.path("remote.git/config"), appended).unwrap();
    let node = world.node("n1", &url, OFF);
    assert_eq!(node.once().0, State::Synced);
    assert!(node.snapshot("rules.v4").contains("5433"));
    assert!(!marker.exists(), "something of the repository was run");
    assert!(!node.path("var/lib/chainmail/fetch/mirror.git/hooks/post-update").exists());
}

#[test]
fn a_gigabyte_is_not_taken() {
    let world = World::new();
    let daemon = remotes::git_daemon(&world);
    let url = format!("git://127.0.0.1:{}/remote.git", daemon.port);
    let local = world.node("n1", &world.remote(), OFF);
    let served = world.node("n2", &url, &format!("{OFF}[limits]\ndownload_megabytes = 2\n"));
    for node in [&local, &served] {
        assert_eq!(node.once().0, State::Synced);
    }
    // A manifest of zeros packs into a megabyte: it comes, and is not unpacked.
    let blob = world.path("clone/big.yaml");
    std::fs::File::create(&blob).unwrap().set_len(1_000_000_000).unwrap();
    world.commit("nobody", "A gigabyte");
    world.push();
    for (node, reason) in [(&local, "limits.file_megabytes"), (&served, "limits.file_megabytes")] {
        let before = Instant::now();
        node.refuses(State::Broken, reason);
        assert!(before.elapsed() < Duration::from_secs(60), "{:?}", before.elapsed());
    }
    // Noise does not pack: the download is cut off, and leaves nothing.
    std::fs::remove_file(&blob).unwrap();
    let noise = world.path("clone/noise.bin");
    ok(Command::new("sh").arg("-c").arg(format!("head -c 8000000 /dev/urandom > {}", noise.display())));
    world.commit("nobody", "Eight megabytes of noise");
    world.push();
    served.refuses(State::Broken, "limits.download_megabytes");
    let left =
        ok(Command::new("du").args(["-sm", &served.path("var/lib/chainmail/fetch").display().to_string()]));
    let megabytes: u64 = left.split_whitespace().next().unwrap().parse().unwrap();
    assert!(megabytes < 6, "{left}");
}

#[test]
fn remotes_on_the_network_are_who_they_should_be() {
    let world = World::new();
    let server = remotes::https(&world);
    let url = format!("https://127.0.0.1:{}/remote.git", server.port);
    let password = world.path("password");
    std::fs::write(&password, "secret\n").unwrap();
    let access = |ca: &str| {
        let ca = world.path(ca).display().to_string();
        format!(
            "{OFF}[access]\nuser = \"alice\"\npassword_file = \"{}\"\nca_file = \"{ca}\"\n",
            password.display()
        )
    };
    std::fs::write(world.path("empty.pem"), "").unwrap();
    let node = world.node("n1", &url, &access("empty.pem"));
    node.refuses_at_first(State::Unreachable, "certificate");
    node.configure(&access("ca.pem"));
    let (state, reason) = node.once();
    assert_eq!(state, State::Synced, "{reason}");
    std::fs::write(&password, "wrong\n").unwrap();
    world.change("nobody", &[1]);
    node.refuses(State::Unreachable, "refuses");

    let ssh = remotes::sshd(&world);
    let path = |name: &str| world.path(name).display().to_string();
    let user = ok(Command::new("id").arg("-un"));
    let url = format!("ssh://{user}@127.0.0.1:{}{}", ssh.port, world.remote());
    let access = |hosts: &str| {
        format!("{OFF}[access]\nssh_key = \"{}\"\nknown_hosts = \"{}\"\n", path("alice"), path(hosts))
    };
    std::fs::write(path("none"), "").unwrap();
    let other = format!("[127.0.0.1]:{} {}\n", ssh.port, world.public_key("mallory"));
    std::fs::write(path("other"), other).unwrap();
    let node = world.node("n2", &url, &access("none"));
    node.refuses_at_first(State::Untrusted, "known_hosts has no key of [127.0.0.1]:");
    node.configure(&access("other"));
    node.refuses_at_first(State::Untrusted, "somebody may be in between");
    node.configure(&access("known_hosts"));
    let (state, reason) = node.once();
    assert_eq!(state, State::Synced, "{reason}");
    node.configure(&access("known_hosts").replace(&path("alice"), &path("mallory")));
    world.change("nobody", &[2]);
    node.refuses(State::Unreachable, "");
}

#[test]
fn a_repository_of_another_user_is_said_to_be_one() {
    let world = World::new();
    let node = world.node("n1", &world.remote(), OFF);
    if !rustix::process::geteuid().is_root() {
        return;
    }
    ok(Command::new("chown").args(["-R", "nobody", &world.remote()]));
    node.refuses_at_first(State::Misconfigured, "safe.directory");
    std::fs::write(node.path(".gitconfig"), format!("[safe]\n\tdirectory = {}\n", world.remote())).unwrap();
    assert_eq!(node.once().0, State::Synced);
}

/// Both copies of what the remote has, damaged in all ways that a power loss or a killed look can: the same look heals it.
#[test]
fn what_is_damaged_is_taken_anew_within_the_same_look() {
    let world = World::new();
    let node = world.node("n1", &world.remote(), OFF);
    node.once();
    let copies = ["var/lib/chainmail/fetch/mirror.git", "var/lib/chainmail/download/repository.git"];
    let damages = [
        "rm -rf $C && : > $C",
        "rm -rf $C && ln -s /nowhere $C",
        ": > $C/HEAD",
        ": > $C/config",
        "echo '[core' > $C/config",
        "find $C -name '*.pack' | xargs truncate --size=40",
        "find $C -name '*.pack' | xargs rm -f",
        "find $C -name '*.idx' | xargs truncate --size=40",
        "rm -rf $C/objects && : > $C/objects",
        "rm -rf $C/objects/pack && : > $C/objects/pack",
        "rm -rf $C/refs",
        "mkdir -p $C/refs/chainmail && : > $C/refs/chainmail/tip && : > $C/refs/chainmail/accepted",
        "mkdir -p $C/refs/chainmail && : > $C/refs/chainmail/tip.lock && : > $C/refs/chainmail/accepted.lock",
        ": > $C/HEAD.lock && : > $C/config.lock && : > $C/packed-refs.lock && : > $C/shallow.lock && : > $C/shallow",
        "echo 0000000000000000000000000000000000000000 > $C/shallow",
        "mkdir -p $C/objects/info && echo /nowhere > $C/objects/info/alternates",
        "head -c 1000 /dev/zero > $C/packed-refs",
    ];
    for (copy, damage) in copies.iter().flat_map(|copy| damages.map(|damage| (copy, damage))) {
        let port = 1 + u16::try_from(damages.iter().position(|one| *one == damage).unwrap()).unwrap();
        let port = port + if copy.ends_with("mirror.git") { 100 } else { 200 };
        let next = world.change("nobody", &[port]);
        let script = damage.replace("$C", &node.path(copy).display().to_string());
        ok(Command::new("sh").args(["-c", &script]));
        let found = node.once();
        assert_eq!((found.0, node.handed()), (State::Synced, Some(next)), "{copy}: {damage}: {}", found.1);
    }
    // An empty file of the hand-over is as good as none.
    for name in ["look.json", "download.lock"] {
        std::fs::write(node.path("var/lib/chainmail/download").join(name), "").unwrap();
        assert_eq!(node.once().0, State::Synced, "{name}");
    }
}

/// The bytes of all files below a folder.
fn size(node: &Node, folder: &str) -> u64 {
    chainmail_fetch::download::folder::used(&node.path(folder))
}

#[test]
fn what_nobody_signed_leaves_nothing_behind_and_all_that_is_kept_has_a_limit() {
    let world = World::new();
    let limits = "[limits]\ndownload_megabytes = 4\nquarantine_megabytes = 16\nmirror_megabytes = 4\n";
    let node = world.node("n1", &world.remote(), limits);
    node.trust_first();
    let (fetch, download) = ("var/lib/chainmail/fetch", "var/lib/chainmail/download");
    let before = size(&node, fetch);
    let noise = |who: &str, at: usize| {
        let file = world.path("clone/noise.bin");
        ok(Command::new("sh").arg("-c").arg(format!("head -c 1500000 /dev/urandom > {}", file.display())));
        world.commit(who, &format!("Noise {at}"));
        ok(world.git().args(["push", "-q", "--force", "origin", "HEAD:main"]));
    };
    for at in 0..8 {
        noise("nobody", at);
        assert_eq!(node.once().0, State::Untrusted);
        assert!(size(&node, download) < 16_000_000, "{at}: {}", size(&node, download));
        assert!(size(&node, fetch) < before + 50_000, "{at}: {} after {before}", size(&node, fetch));
        ok(world.git().args(["reset", "-q", "--hard", "HEAD~1"]));
    }
    // What is signed is kept, and what it replaces is not once that is needed.
    for at in 0..3 {
        noise("alice", at);
        let (state, reason) = node.once();
        assert_eq!(state, State::Synced, "{reason}");
        assert!(size(&node, fetch) < 4_500_000, "{at}: {}", size(&node, fetch));
        assert!(size(&node, download) < 16_000_000, "{at}: {}", size(&node, download));
    }
    // A revision that alone is more is refused, and the one before stays.
    node.configure(&limits.replace("mirror_megabytes = 4", "mirror_megabytes = 1"));
    noise("alice", 9);
    node.refuses(State::Broken, "limits.mirror_megabytes");
    assert!(size(&node, fetch) < 4_500_000);
}

#[test]
fn half_packs_of_killed_looks_go() {
    let world = World::new();
    let node = world.node("n1", &world.remote(), OFF);
    node.once();
    let folders = ["var/lib/chainmail/fetch/mirror.git", "var/lib/chainmail/download/repository.git"];
    for folder in folders {
        for at in 0..3 {
            let path = node.path(folder).join(format!("objects/pack/pack_git2_{at}"));
            std::fs::write(path, vec![0; 1_000_000]).unwrap();
        }
    }
    std::fs::write(node.path("var/lib/chainmail/download/objects-0123456789abcdef.new"), "half").unwrap();
    world.change("nobody", &[5433]);
    assert_eq!(node.once().0, State::Synced);
    for folder in ["var/lib/chainmail/fetch", "var/lib/chainmail/download"] {
        assert!(size(&node, folder) < 500_000, "{folder}: {}", size(&node, folder));
    }
}

#[test]
fn a_remote_that_is_silent_is_given_up() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://{}/remote.git", listener.local_addr().unwrap());
    let node = world.node("n1", &url, &format!("timeout = 1\n{OFF}"));
    let begin = Instant::now();
    node.refuses_at_first(State::Unreachable, "timeout = 1 s");
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(node.status().failures, 1);
}

#[test]
fn the_service_sees_a_push_at_once_and_ends_when_told() {
    let world = World::new();
    let node = world.node("n1", &world.remote(), &format!("interval = 3600\n{OFF}"));
    let mut service = node.command(&["run"]).spawn().unwrap();
    let wait_for = |what: &str, holds: &dyn Fn() -> bool| {
        let begin = Instant::now();
        while !holds() {
            assert!(begin.elapsed() < Duration::from_secs(30), "never: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for("the first revision", &|| !node.desired().is_empty());
    let first = node.desired();
    assert_eq!(node.fetch(&["once"]).code, Some(7), "two at once");
    // The watcher may be made a moment after the first look.
    std::thread::sleep(Duration::from_millis(300));
    world.change("nobody", &[5433]);
    wait_for("the second", &|| node.desired() != first);
    let id = rustix::process::Pid::from_child(&service);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(service.wait().unwrap().code(), Some(0));
}

#[test]
fn a_configuration_that_cannot_be_used_is_shown() {
    let world = World::new();
    let node = world.node("n1", &world.remote(), "");
    assert_eq!(node.fetch(&["check-config"]).code, Some(0));
    node.configure("intervall = 5\n");
    let done = node.fetch(&["check-config"]);
    assert_eq!(done.code, Some(2));
    assert!(done.err.contains("unknown field `intervall`") && done.err.contains("= help"), "{}", done.err);
    node.configure("");
    std::fs::remove_file(node.path("etc/chainmail/allowed_signers")).unwrap();
    let done = node.fetch(&["check-config"]);
    assert!(done.code == Some(2) && done.err.contains("lists who may sign"), "{}", done.err);
    std::fs::remove_file(node.path("etc/chainmail/fetch.toml")).unwrap();
    assert_eq!(node.fetch(&["run"]).code, Some(2));
}
