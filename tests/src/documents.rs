//! Documents like manifests and not quite: real ones with a few slips of the hand, and their values written in other ways.

mod slips;
mod styles;

use std::path::Path;

use crate::seeded::Seeded;

pub use slips::slipped;
pub use styles::restyled;

/// What stands for anything where a value is put.
const SCALARS: &[&str] = &[
    "1.10",
    "true",
    "True",
    "yes",
    "on",
    "n",
    "~",
    "null",
    "",
    "0x1F",
    "0o17",
    "017",
    "1_000",
    "1e3",
    ".inf",
    ".nan",
    "-1",
    "+1",
    "80",
    "'80'",
    "\"80\"",
    "65536",
    "4294967296",
    "99999999999999999999",
    "2026-12-31",
    "1:30",
    "[]",
    "{}",
    "[1]",
    "{a: b}",
    "*a",
    "&a x",
    "&a",
    "!!str 1",
    "!!int '1'",
    "!x y",
    "! z",
    "|\n      text",
    ">-\n      text",
    "'it''s'",
    "\"\\u0041\"",
    "\"\\q\"",
    "'open",
    "\"open",
    "[a",
    "{a",
    "a: b",
    "a #b",
    "#c",
    "- a",
    "? a",
    "@a",
    "`a",
    "%a",
    "a\tb",
    "é",
    "\u{feff}a",
    "=",
    "<<",
    "x]",
    "x}",
    "x,y",
    "::",
    "--",
    "...",
    "\"a\" b",
    "'a' 'b'",
];

/// The single documents of manifests below a folder that this program reads more of than their kinds.
///
/// # Panics
/// Where a file cannot be read.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "tests read files")]
pub fn of_manifests(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).expect("the folder can be read");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("and its entries").path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml") {
                let text = std::fs::read_to_string(&path).expect("manifests are text");
                all.extend(text.split("\n---").map(|document| document.trim_start().to_owned() + "\n"));
            }
        }
    }
    let kinds = ["kind: NetworkPolicy\n", "kind: Pod\n", "kind: Node\n", "kind: Namespace\n"];
    all.retain(|document| kinds.iter().any(|kind| document.contains(kind)));
    all.sort();
    all.dedup();
    all
}

/// A document of a seed, made of one of these.
#[must_use]
pub fn generated(seed: u64, of: &[String]) -> String {
    let mut random = Seeded::new(seed);
    loop {
        let document = random.pick(of);
        let text =
            if random.percent(50) { slipped(document, &mut random) } else { restyled(document, &mut random) };
        // One document, of which the first line may be its marker.
        let is_marker = |line: &str| line.starts_with("---") || line.starts_with("...");
        if !text.lines().skip(1).any(is_marker) && !text.starts_with("...") {
            return text;
        }
    }
}
