//! Makes a module of each misreading: the text of the oracle with one replacement.

#![expect(clippy::disallowed_methods, reason = "a build script reads and writes files and its environment")]

use std::path::Path;

#[path = "src/misreadings/in_source.rs"]
#[expect(dead_code, reason = "what a misreading is about is for the tests")]
mod in_source;

use in_source::EDITS;

const ORACLE: &str = "../compiler/model/src/semantics.rs";

fn main() {
    println!("cargo::rerun-if-changed={ORACLE}");
    println!("cargo::rerun-if-changed=src/misreadings/in_source.rs");
    println!("cargo::rerun-if-changed=build.rs");
    let oracle = std::fs::read_to_string(ORACLE).expect("the oracle is beside this crate");
    let mut modules = String::new();
    let mut judges = String::new();
    for edit in EDITS {
        let count = oracle.matches(edit.from).count();
        assert!(count == 1, "{}: {:?} stands {count} times in {ORACLE}, and not once", edit.name, edit.from);
        let module = edit.name.replace('-', "_");
        let text = as_module(&oracle.replacen(edit.from, edit.to, 1));
        modules.push_str(&format!("mod {module} {{\n{text}}}\n"));
        judges.push_str(&format!("    {module}::judge,\n"));
    }
    let count = EDITS.len();
    let text = format!(
        "{modules}\n/// In order of the edits.\npub(super) const JUDGES: [Judge; {count}] = [\n{judges}];\n"
    );
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&out).join("misread.rs"), text).expect("cargo made the folder");
}

/// The oracle's text as a module of another crate, judging the oracle's own packets.
fn as_module(oracle: &str) -> String {
    let types = "/// What of a packet's payload";
    let functions = "/// Judges the first packet";
    let start = oracle.find(types).expect("the oracle's types come first");
    let end = oracle.find(functions).expect("the oracle's functions follow its types");
    let own = "use chainmail_model::semantics::{Packet, Service, Verdict};\n\n";
    let text = format!("{}{own}{}", &oracle[..start], &oracle[end..]);
    let code: String =
        text.lines().filter(|line| !line.starts_with("//!")).map(|line| format!("{line}\n")).collect();
    code.replace("crate::", "chainmail_model::").replace("pub fn ", "pub(super) fn ")
}
