//! What allowed_signers and revoked keys mean to us and to OpenSSH, on generated files: no signature is accepted that
//! `ssh-keygen -Y verify` refuses, and none that Git would refuse.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chainmail_fetch::trust::Keys;

use crate::support::ok;

/// A small generator of numbers, so that each file has a number to find it by.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }

    /// One of the usual texts most of the time, so that most lines have few oddities.
    fn mostly<'a>(&mut self, usual: &[&'a str], odd: &[&'a str]) -> &'a str {
        if self.below(20) == 0 { self.of(odd) } else { self.of(usual) }
    }
}

/// 2026-06-01T00:00:00Z, when all is signed.
const TIME: i64 = 1_780_272_000;
const SHOWN: &str = "20260601000000Z";

fn option(random: &mut Random) -> String {
    let name = random.mostly(
        &["namespaces", "valid-after", "valid-before"],
        &["NameSpaces", "VALID-AFTER", "cert-authority", "valid-til", "", "namespaces ", "verify-required"],
    );
    let value = match name.to_ascii_lowercase().trim() {
        "namespaces" => random.mostly(
            &["git", "*", "git,file", "file,git", "g?t", "*,!file", "file"],
            &[
                "", "*,!git", "!file", "!git", "GIT", "git,", ",git", " git", "g\\\"it", "git*", "**",
                "!*,git", "file git",
            ],
        ),
        "valid-after" => random.mostly(
            &["20200101Z", "202001010000Z", "20260601000000Z"],
            &[
                "20260601000001Z",
                "20990101Z",
                "20200101",
                "19700101Z",
                "20200231Z",
                "2020",
                "20200101z",
                "20200101UTC",
            ],
        ),
        "valid-before" => random.mostly(
            &["20990101Z", "209901010000Z", "20260601000000Z"],
            &[
                "20260531235959Z",
                "20200101Z",
                "20990101",
                "19700101Z",
                "20260600Z",
                "0",
                "20261301Z",
                "20260601000060Z",
            ],
        ),
        _ => random.of(&["", "git"]),
    };
    let quote = random.mostly(&["\""], &["", "'", "\"\""]);
    let close = random.mostly(&[quote], &["", "\"", "\"x", "\" "]);
    match name {
        "cert-authority" => {
            random.of(&["cert-authority", "CERT-AUTHORITY", "cert-authority=\"\""]).to_owned()
        }
        _ => format!("{name}{}{quote}{value}{close}", random.mostly(&["="], &["", " =", "= ", "=="])),
    }
}

fn line(random: &mut Random, keys: &[String; 2]) -> String {
    let mut line =
        random.mostly(&[""], &[" ", "\t", "# ", "#", "\r", "\u{b}", "\u{a0}", "\u{feff}"]).to_owned();
    line += random.mostly(
        &["a@x", "b", "a@x,b", "*@x", "\"a b\"", "*"],
        &[
            "!a",
            "!b,*",
            "a,!a",
            "a*,!a?x",
            "\"a",
            "a\"",
            "\"a\"b",
            "a\"b\"c",
            "",
            "a,,b",
            ",",
            "a@x,",
            "ssh-ed25519",
            "é",
        ],
    );
    let blanks: (&[&str], &[&str]) =
        (&[" ", "\t", "  ", " \t"], &["", "\u{b}", "\r", "\u{a0}", "\u{c}", ","]);
    line += random.mostly(blanks.0, blanks.1);
    for at in 0..random.of(&["", "1", "1", "12", "123"]).len() {
        line += if at > 0 { random.mostly(&[","], &["", " ", ",,", ", ", ";"]) } else { "" };
        line += &option(random);
    }
    if !line.ends_with([' ', '\t']) {
        line += random.mostly(blanks.0, blanks.1);
    }
    let key = &keys[usize::from(random.below(4) == 0)];
    let (kind, blob) = key.split_once(' ').unwrap();
    line += random.mostly(&[kind], &["ssh-ed25519", "SSH-ED25519", "ssh-rsa", "ecdsa-sha2-nistp256", ""]);
    line += random.mostly(blanks.0, blanks.1);
    match random.below(24) {
        0 => line += &format!("{blob}="),
        1 => line += blob.trim_end_matches('='),
        2 => line += &blob.replacen('A', "B", 1),
        3 => line += &blob[..blob.len() - 4],
        4 => write!(line, "{}\r{}", &blob[..20], &blob[20..]).unwrap(),
        _ => line += blob,
    }
    line + random.mostly(&["", " comment", "\tc \"o", " "], &["x", "\u{b}", " \u{1b}[0m", "=", "\0"])
}

fn file(random: &mut Random, keys: &[String; 2]) -> String {
    let mut text = String::new();
    for _ in 0..1 + random.below(3) {
        text += &match random.below(10) {
            0 => random.of(&["", "# a comment", "   ", "\t#", "x", "-----"]).to_owned(),
            _ => line(random, keys),
        };
        text += random.mostly(&["\n"], &["\r\n", "\n\n", ""]);
    }
    text
}

/// Keys that are revoked, in the forms of both; a fingerprint alone is ours.
fn revoked(random: &mut Random, keys: &[String; 2]) -> String {
    let mut text = String::new();
    for _ in 0..random.below(3) {
        let key = &keys[usize::from(random.below(6) > 0)];
        let key = if random.below(6) == 0 { key.replace(' ', "\t") } else { key.clone() };
        let lead = random.mostly(&[""], &[" ", "\t", "#", "a "]);
        text += &format!("{lead}{key}{}\n", random.mostly(&["", " lost"], &["\r", "\tx", "x"]));
    }
    text
}

struct OpenSsh {
    folder: PathBuf,
}

impl OpenSsh {
    fn run(&self, words: &[&str]) -> Option<String> {
        let mut command = Command::new("ssh-keygen");
        let message = File::open(self.folder.join("message")).unwrap();
        command.current_dir(&self.folder).args(words).stdin(message).stderr(Stdio::null());
        let output = command.output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn verifies(&self, name: &str, revoked: bool) -> bool {
        let time = format!("verify-time={SHOWN}");
        let mut words =
            vec!["-Y", "verify", "-n", "git", "-f", "allowed", "-I", name, "-s", "message.sig", "-O", &time];
        if revoked {
            words.extend(["-r", "revoked"]);
        }
        self.run(&words).is_some()
    }

    /// What Git does: it asks whose key it is, and then verifies by each name.
    fn git_believes(&self, revoked: bool) -> bool {
        let time = format!("verify-time={SHOWN}");
        let words = ["-Y", "find-principals", "-f", "allowed", "-s", "message.sig", "-O", &time];
        let names = self.run(&words).unwrap_or_default();
        names.lines().any(|name| self.verifies(name, revoked))
    }
}

fn compare(files: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut accepted = [0_u64; 2];
    for (kind, name) in [("ed25519", "one"), ("ecdsa", "two")] {
        let mut keygen = Command::new("ssh-keygen");
        ok(keygen.args(["-q", "-t", kind, "-N", "", "-C", "", "-f"]).arg(path(name)));
    }
    std::fs::write(path("message"), "what is signed\n").unwrap();
    let openssh = OpenSsh { folder: folder.path().to_owned() };
    for (turn, name) in ["one", "two"].into_iter().enumerate() {
        let key =
            |name: &str| std::fs::read_to_string(path(name).with_extension("pub")).unwrap().trim().to_owned();
        let keys = if turn == 0 { [key("one"), key("two")] } else { [key("two"), key("one")] };
        std::fs::remove_file(path("message.sig")).ok();
        ok(Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", "git", "-f"])
            .args([path(name), path("message")])
            .stderr(Stdio::null()));
        let signature = std::fs::read(path("message.sig")).unwrap();
        for seed in 0..files / 2 {
            let mut random = Random(seed * 2 + turn as u64);
            random.below(1);
            let allowed = file(&mut random, &keys);
            let revoked = (random.below(3) == 0).then(|| revoked(&mut random, &keys));
            let (place, list) = (PathBuf::from("allowed"), PathBuf::from("revoked"));
            let lists = revoked.as_deref().map(|text| (&list, text));
            let Ok(read) = Keys::parse((&place, &allowed), lists) else { continue };
            let Ok(signer) = read.signer(&signature, b"what is signed\n", TIME) else { continue };
            accepted[turn] += 1;
            std::fs::write(path("allowed"), &allowed).unwrap();
            std::fs::write(path("revoked"), revoked.as_deref().unwrap_or_default()).unwrap();
            let what = || format!("seed {seed}, {name}\n{allowed:?}\nrevoked {revoked:?}\n{signer}");
            assert!(openssh.verifies(&signer.principal.name, revoked.is_some()), "{}", what());
            assert!(openssh.git_believes(revoked.is_some()), "Git: {}", what());
        }
    }
    // A reader that refuses all of them would show nothing.
    assert!(accepted.iter().all(|count| *count > files / 20), "{accepted:?} of {files}");
}

#[test]
fn openssh_accepts_what_is_accepted() {
    compare(1_000);
}

#[test]
#[ignore = "10,000 files; run by make test-long"]
fn openssh_accepts_what_is_accepted_at_length() {
    compare(10_000);
}

/// Forms of the armour that nobody's ssh-keygen writes.
#[test]
fn openssh_reads_each_armour_that_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    ok(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(path("one")));
    std::fs::write(path("message"), "what is signed\n").unwrap();
    let sign = ["-q", "-Y", "sign", "-n", "git", "-f"];
    ok(Command::new("ssh-keygen").args(sign).args([path("one"), path("message")]).stderr(Stdio::null()));
    let allowed = format!("a {}", std::fs::read_to_string(path("one.pub")).unwrap());
    std::fs::write(path("allowed"), &allowed).unwrap();
    let keys = Keys::parse((&PathBuf::from("allowed"), &allowed), None).unwrap();
    let text = std::fs::read_to_string(path("message.sig")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [begin, base64 @ .., end] = &lines[..] else { panic!("{text}") };
    let (base64, middle) = (base64.join("\n"), base64.concat().replace('\n', ""));
    let openssh = OpenSsh { folder: folder.path().to_owned() };
    let mut read = 0;
    for armour in [
        text.clone(),
        format!("{begin}\n{middle}\n{end}"),
        format!("{begin}\n{base64}\n{end} \n \t\r\n\n"),
        format!("{begin}\n \t{}\r\n\n{end}", base64.replace('A', "A \n")),
        format!("{begin}{middle}\n{end}\n"),
        format!("{begin}\r\n{base64}\r\n{end}\r\n"),
        format!(" {text}"),
        format!("{begin}\n{base64}{end}\n"),
        format!("{begin}\n{base64}=\n{end}\n"),
        format!("{begin}\n{base64}\n{end}x\n"),
        format!("{begin}\n{base64}\u{b}\n{end}\n"),
        format!("{begin}\n{}\n{end}\n", middle.trim_end_matches('=')),
        format!("{begin}\n{middle}AAAA\n{end}\n"),
        format!("{text}{text}"),
    ] {
        if keys.signer(armour.as_bytes(), b"what is signed\n", TIME).is_ok() {
            read += 1;
            std::fs::write(path("message.sig"), &armour).unwrap();
            assert!(openssh.verifies("a", false), "{armour:?}");
        }
    }
    assert_eq!(read, 4, "the first four hold");
}

/// The reasons that a key may not sign, each a line that OpenSSH refuses too.
#[test]
fn what_openssh_refuses_is_refused() {
    let world = crate::World::new();
    let node = crate::node(&world, "");
    let key = world.public_key("alice");
    let first = node.handed();
    world.change("alice", &[5433]);
    for line in [
        format!("a@example.com\tnamespaces=\"file\" {key}"),
        format!("a@example.com\tvalid-before=\"20200101Z\" {key}"),
        format!("a@example.com\tcert-authority {key}"),
        format!("a@example.com namespaces=\"*,!git\" {key}"),
        format!("a@example.com valid-before=\"20200101Z\",valid-before=\"20990101Z\" {key}"),
        format!("a@example.com namespaces=\"file\",namespaces=\"git\" {key}"),
        format!("a@example.com namespaces=git {key}"),
        format!("\"a@example.com namespaces=\"file\"\" {key}"),
    ] {
        node.believe(&format!("{line}\n"));
        let state = node.once().0;
        assert!(matches!(state, crate::State::Untrusted | crate::State::Misconfigured), "{line}: {state:?}");
        assert_eq!(node.handed(), first, "{line}");
        let file = format!("gpg.ssh.allowedSignersFile={}", signers_of(&node).display());
        let git = crate::support::run(world.git().args(["-c", &file, "verify-commit", "HEAD"]));
        assert_ne!(git.code, Some(0), "Git believes it: {line}");
    }
}

fn signers_of(node: &crate::Node) -> PathBuf {
    let path: &Path = "etc/chainmail/allowed_signers".as_ref();
    node.path(&path.display().to_string())
}
