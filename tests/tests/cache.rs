//! The cache of decoded manifests changes what work costs and nothing else: no byte of output, no finding, no place.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use chainmail_manifest::source::{SourceFile, Sources};
use chainmail_manifest::{Cache, CacheFolder, read_with};
use chainmail_pipeline::{load, load_with};
use chainmail_tests::bench_input::{Size, write};
use chainmail_tests::world::{Layout, World};

use support::{scenario, tree};

/// Everything that comes of what was read: objects, places and findings.
fn all(sources: &Sources, cache: &mut Cache) -> String {
    format!("{:#?}", load_with(sources, cache))
}

/// The same sources with every file long enough to have an entry of its own in a folder.
fn long(sources: &Sources) -> Sources {
    let padding = "\n#".to_owned() + &"x".repeat(16 << 10) + "\n";
    let files = sources.iter().map(|(_, file)| {
        let mut bytes = file.bytes.clone();
        let json = file.path.ends_with(".json");
        bytes.extend(if json { " ".repeat(16 << 10).into_bytes() } else { padding.clone().into_bytes() });
        SourceFile { path: file.path.clone(), bytes }
    });
    let inventories = sources.inventories().map(|(_, inventory)| inventory.clone());
    Sources::new(files.collect()).with_inventories(inventories)
}

#[test]
fn what_is_kept_is_what_would_be_read() {
    let place = tempfile::tempdir().unwrap();
    let mut inputs: Vec<Sources> =
        scenario::all().into_iter().flat_map(|it| it.states).map(|state| state.sources).collect();
    for seed in 0..12 {
        let world = World::contradicted(seed);
        inputs.extend(
            [Layout::JsonList, Layout::ALL[seed as usize % Layout::ALL.len()]].map(|l| world.sources(l)),
        );
    }
    for sources in inputs.iter().map(long) {
        let expected = format!("{:#?}", load(&sources));
        let mut memory = Cache::none().and_in_memory();
        for time in ["first", "second"] {
            assert_eq!(all(&sources, &mut memory), expected, "in memory, {time}");
            let mut folder = Cache::in_folder(CacheFolder::open(place.path()));
            assert_eq!(all(&sources, &mut folder), expected, "in a folder, {time}");
        }
    }
    let entries = std::fs::read_dir(place.path()).unwrap().count();
    assert!(entries > 20, "only {entries} files were kept");
}

#[test]
fn the_same_bytes_are_another_file_where_they_are_read_otherwise() {
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), bytes: text.into() };
    let policy = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n";
    let refused = Sources::new(vec![file("a.yaml", policy)]);
    let allowed = refused.clone().allowing_unsupported(["CiliumNetworkPolicy".to_owned()]);
    let mut cache = Cache::none().and_in_memory();
    assert!(!read_with(&allowed, &mut cache).1.has_errors());
    assert!(read_with(&refused, &mut cache).1.has_errors(), "allowed only where that is said");

    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n";
    for path in ["a.yaml", "z/b.yml", "a.json"] {
        let sources = Sources::new(vec![file("0.yaml", ""), file(path, namespace)]);
        assert_eq!(all(&sources, &mut cache), format!("{:#?}", load(&sources)), "{path}");
    }
}

fn chainmail(cache: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(support::program("chainmail"));
    command.args(args).env("CHAINMAIL_CACHE", cache).output().unwrap()
}

#[test]
fn programs_that_share_a_folder_print_what_those_without_one_do() {
    let place = tempfile::tempdir().unwrap();
    let [input, cache, out] = ["input", "cache", "out"].map(|name| place.path().join(name));
    std::fs::create_dir(&input).unwrap();
    write(&input, Size { nodes: 3, pods: 900, policies: 300, seed: 7 }).unwrap();
    // A finding beside what is kept: its place names the file.
    let pod =
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: team-001}\nspec: {nodeName: n-new}\n";
    std::fs::write(input.join("finding.yaml"), pod).unwrap();
    let (input, out) = (input.to_str().unwrap(), out.to_str().unwrap());
    let compile = ["compile", input, "--no-prove", "--out", out];

    let run = |args: &[&str]| {
        let output = chainmail(&cache, args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (output.stdout, output.stderr, tree(Path::new(out)))
    };
    let expected = run(&[&compile[..], &["--no-cache"]].concat());
    assert!(!cache.exists(), "--no-cache makes no folder");
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..4).map(|_| scope.spawn(|| chainmail(&cache, &["check", input]).stderr)).collect();
        let mut told = runs.into_iter().map(|run| run.join().unwrap());
        let first = told.next().unwrap();
        assert!(told.all(|other| other == first), "four at once");
    });
    let entries: Vec<_> = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(
        entries.len() > 1 && entries.iter().all(|entry| entry.file_name().unwrap().len() == 64),
        "{entries:?}"
    );
    assert_eq!(run(&compile), expected, "from the folder");
    for (at, entry) in entries.iter().enumerate() {
        let bytes = std::fs::read(entry).unwrap();
        match at % 3 {
            0 => std::fs::write(entry, &bytes[..bytes.len() / 2]).unwrap(),
            1 => std::fs::remove_file(entry).unwrap(),
            _ => std::fs::write(entry, String::from_utf8(bytes).unwrap().replace("10.", "11.")).unwrap(),
        }
    }
    assert_eq!(run(&compile), expected, "from a damaged folder");
}
