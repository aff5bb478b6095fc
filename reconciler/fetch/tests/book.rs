//! The commands of docs/trust.md, run as they stand.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test runs programs, and fails by panic"
)]

mod support;

use std::path::Path;
use std::process::Command;

use support::{World, ok, run};

/// A block of commands, and how its last one ends.
struct Block {
    line: usize,
    exit: i32,
    text: String,
}

fn blocks(book: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut is_other = false;
    for (number, line) in (1..).zip(book.lines()) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), None) if is_other => is_other = false,
            (_, None) if is_other => {}
            // Pictures, and what is written into files of systemd.
            (Some("text" | "ini"), None) => is_other = true,
            (Some("sh"), None) => open = Some(Block { line: number, exit: 0, text: String::new() }),
            (Some(fence), None) => {
                let exit =
                    fence.strip_prefix("sh exits with ").expect("a block is of commands").parse().unwrap();
                open = Some(Block { line: number, exit, text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    blocks
}

#[test]
fn the_book_of_trust_does_what_it_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/trust.md");
    let blocks = blocks(&std::fs::read_to_string(path).unwrap());
    assert!(blocks.len() > 12);
    let world = World::new();
    let home = world.path("");
    std::fs::create_dir(world.path(".ssh")).unwrap();
    std::fs::rename(world.path("mallory"), world.path("bob")).unwrap();
    std::fs::rename(world.path("mallory.pub"), world.path("bob.pub")).unwrap();
    for name in ["alice", "alice.pub", "bob", "bob.pub"] {
        std::fs::copy(world.path(name), world.path(".ssh").join(name)).unwrap();
        ok(Command::new("chmod").arg("600").arg(world.path(".ssh").join(name)));
    }
    let root = world.path("node");
    std::fs::create_dir_all(root.join("etc/chainmail")).unwrap();
    let program = format!(
        "chainmail-fetch() {{ {} --root {} \"$@\"; }}\n",
        env!("CARGO_BIN_EXE_chainmail-fetch"),
        root.display()
    );
    let identity = "git config user.name Alice; git config user.email alice@example.com\n";
    for Block { line, exit, text } in blocks {
        // The page speaks of a real node; this one is in a folder.
        let text = text.replace("/etc/chainmail/", &format!("{}/etc/chainmail/", root.display()));
        let text = text.replace("/var/lib/chainmail/", &format!("{}/var/lib/chainmail/", root.display()));
        let mut bash = Command::new("bash");
        bash.args(["-eu", "-c"]).arg(format!("{program}{identity}{text}"));
        bash.current_dir(world.path("clone")).env("HOME", &home).env("GIT_CONFIG_NOSYSTEM", "1");
        let done = run(&mut bash);
        assert_eq!(done.code, Some(exit), "docs/trust.md:{line}\n{text}\n{}{}", done.out, done.err);
    }
}
