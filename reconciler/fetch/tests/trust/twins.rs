//! Signed commits under another id, with a signature that was changed and still holds.

use std::process::{Command, Stdio};

use chainmail_fetch::status::State;
use ssh_key::{LineEnding, Signature, SshSig};

use crate::node;
use crate::support::{World, ok};

/// Writes a commit anew with another signature. Answers its id.
fn twin(world: &World, commit: &str, change: impl FnOnce(&str) -> String) -> String {
    let raw = ok(world.git().args(["cat-file", "commit", commit])) + "\n";
    let begin = raw.find("gpgsig ").unwrap();
    let end = begin + raw[begin..].find("\n\n").unwrap() + 1;
    let signature = raw["gpgsig ".len() + begin..end].replace("\n ", "\n");
    let changed = change(&signature);
    let field = match changed.as_str() {
        "" => String::new(),
        text => format!("gpgsig {}\n", text.trim_end_matches('\n').replace('\n', "\n ")),
    };
    std::fs::write(world.path("twin"), format!("{}{field}{}", &raw[..begin], &raw[end..])).unwrap();
    let id = ok(world.git().args(["hash-object", "-t", "commit", "-w"]).arg(world.path("twin")));
    assert_ne!(id, commit);
    id
}

/// As an attack: one more line, of a blank, behind the armour.
pub(crate) fn trailing_blank(world: &World, commit: &str) -> String {
    twin(world, commit, |signature| format!("{}\n ", signature.trim_end()))
}

fn rewrapped(world: &World, commit: &str) -> String {
    twin(world, commit, |signature| {
        let lines: Vec<&str> = signature.lines().collect();
        let base64: Vec<char> = lines[1..lines.len() - 1].concat().chars().collect();
        let wrapped: Vec<String> = base64.chunks(33).map(|chunk| chunk.iter().collect()).collect();
        format!("{}\n{}\n{}\n", lines[0], wrapped.join("\n"), lines[lines.len() - 1])
    })
}

/// For ECDSA n−s signs what s signs.
fn other_half(world: &World, commit: &str) -> String {
    // The order of P-256.
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    twin(world, commit, |signature| {
        let read = SshSig::from_pem(signature).unwrap();
        let parts = read.signature().as_bytes();
        let length = u32::from_be_bytes(parts[..4].try_into().unwrap()) as usize;
        let (r, s) = parts.split_at(4 + length);
        let number = &s[4..];
        let mut padded = [0; 32];
        let digits = &number[number.len().saturating_sub(32)..];
        padded[32 - digits.len()..].copy_from_slice(digits);
        let (mut other, mut borrow) = ([0_u8; 32], 0);
        for at in (0..32).rev() {
            let difference = i16::from(N[at]) - i16::from(padded[at]) - borrow;
            borrow = i16::from(difference < 0);
            other[at] = u8::try_from(difference + 256 * borrow).unwrap();
        }
        let mut digits: Vec<u8> = other.iter().copied().skip_while(|byte| *byte == 0).collect();
        if digits[0] >= 0x80 {
            digits.insert(0, 0);
        }
        let mut made = r.to_vec();
        made.extend(u32::try_from(digits.len()).unwrap().to_be_bytes());
        made.extend(digits);
        let made = Signature::new(read.signature().algorithm(), made).unwrap();
        let made = SshSig::new(read.public_key().clone(), "git", read.hash_alg(), made).unwrap();
        made.to_pem(LineEnding::LF).unwrap()
    })
}

fn push(world: &World, commit: &str) {
    ok(world.git().args(["push", "-q", "--force", "origin", &format!("{commit}:refs/heads/main")]));
}

/// Git itself takes all of them.
fn assert_git_believes(world: &World, commit: &str) {
    let file = world.path("believed");
    let keys = ["alice", "carol"].map(|who| world.path(&format!("{who}.pub")));
    let keys = keys.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    std::fs::write(&file, keys.map(|key| format!("somebody {key}")).collect::<String>()).unwrap();
    let file = format!("gpg.ssh.allowedSignersFile={}", file.display());
    ok(world.git().args(["-c", &file, "verify-commit", commit]).stdin(Stdio::null()));
}

/// A way to make a twin.
type Form = fn(&World, &str) -> String;

#[test]
fn a_fleet_that_twins_have_split_heals() {
    let world = World::new();
    let mut keygen = Command::new("ssh-keygen");
    ok(keygen.args(["-q", "-t", "ecdsa", "-N", "", "-f"]).arg(world.path("carol")));
    let believed = ["alice", "carol"].map(|who| format!("{who} {}\n", world.public_key(who))).concat();
    let nodes = ["n1", "n2"].map(|name| world.node(name, &world.remote(), ""));
    for node in &nodes {
        node.believe(&believed);
        node.trust_first();
    }
    let accepts = |node: &crate::Node, commit: &str| {
        assert_eq!((node.once().0, node.handed().as_deref()), (State::Synced, Some(commit)));
    };
    let forms: [(&str, Form); 4] =
        [("alice", trailing_blank), ("alice", rewrapped), ("carol", other_half), ("carol", trailing_blank)];
    let [one, two] = &nodes;
    for ((who, make), port) in forms.into_iter().zip(6000..) {
        let commit = world.change(who, &[port]);
        accepts(one, &commit);
        let twin = make(&world, &commit);
        assert_git_believes(&world, &twin);
        push(&world, &twin);
        accepts(two, &twin);
        // Each goes over to the other's, and back.
        accepts(one, &twin);
        push(&world, &commit);
        accepts(one, &commit);
        accepts(two, &commit);
        push(&world, &twin);
        accepts(one, &twin);
        // What follows one follows the other.
        let next = world.change("alice", &[port, 1]);
        accepts(one, &next);
        accepts(two, &next);
        // An old twin is an old revision all the same.
        push(&world, &twin);
        one.refuses(State::Untrusted, "does not follow");
        push(&world, &next);
        // Both again at the same, so that the next round begins with one of two.
        accepts(one, &next);
    }
}

#[test]
fn a_twin_is_known_after_the_mirror_was_lost() {
    let world = World::new();
    let floor = world.head();
    let node = node(&world, &format!("[trust]\nmin_commit = \"{floor}\"\n"));
    // The branch has nothing but twins of what the node knows.
    let twin = trailing_blank(&world, &floor);
    std::fs::remove_dir_all(node.path("var/lib/chainmail/fetch/mirror.git")).unwrap();
    push(&world, &twin);
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(twin.clone())));
    ok(world.git().args(["reset", "-q", "--hard", &twin]));
    let next = world.change("alice", &[5433]);
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(next.clone())));
    // Everything is judged again from the floor on, of which only the twin is there.
    node.configure(&format!("[trust]\nmin_commit = \"{floor}\"\nbranch_statement = \"off\"\n"));
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(next)));
}

#[test]
fn a_twin_without_a_signature_is_none() {
    let world = World::new();
    let node = node(&world, "");
    let commit = world.change("alice", &[5433]);
    node.once();
    let bare = twin(&world, &commit, |_| String::new());
    push(&world, &bare);
    node.refuses(State::Untrusted, &format!("commit {bare}: it is not signed"));
    let broken = twin(&world, &commit, |signature| {
        let at = signature.find('\n').unwrap() + 40;
        let other = if &signature[at..=at] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &signature[..at], &signature[at + 1..])
    });
    push(&world, &broken);
    node.refuses(State::Untrusted, &format!("commit {broken}: its"));
}

#[test]
fn what_was_let_go_is_let_go_under_another_id() {
    let world = World::new();
    let node = node(&world, "");
    std::fs::remove_file(world.path("clone/db.yaml")).unwrap();
    let empty = world.commit("alice", "Clean up");
    world.push();
    node.refuses(State::Held, "it leaves no rule");
    let done = node.fetch(&["release", &empty, "--reason", "The shop is closed"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let twin = trailing_blank(&world, &empty);
    push(&world, &twin);
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(twin)));
    // In force already: going back to the first id asks nobody.
    push(&world, &empty);
    assert_eq!((node.once().0, node.handed()), (State::Synced, Some(empty)));
}
