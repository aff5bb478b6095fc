//! Every way to bring the objects.

use std::collections::BTreeMap;

use super::*;

fn all() -> Vec<&'static str> {
    std::iter::once(POLICY).chain(LIVE).collect()
}

/// Every file that is compiled from the arguments, but provenance, which names source files.
fn compiled(args: &[&str], stdin: Option<&str>) -> BTreeMap<String, Vec<u8>> {
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("out");
    let args: Vec<&str> =
        ["compile", "--out", out.to_str().unwrap()].into_iter().chain(args.iter().copied()).collect();
    let output = chainmail(&args, stdin);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    let mut files = support::tree(&out);
    files.retain(|name, _| !name.ends_with("provenance.json"));
    assert!(files.contains_key("nodes/n1/rules.v4"), "{:?}", files.keys());
    files
}

#[test]
fn every_way_to_bring_the_objects_compiles_to_the_same_bytes() {
    let stream = all().join("---\n");
    let many = folder(&[
        ("policies/db.yaml", POLICY),
        ("cluster/ns.yml", LIVE[0]),
        ("cluster/nodes.yaml", &LIVE[1..3].join("---\n")),
        ("cluster/db.json", &json(LIVE[3])),
        ("cluster/web.yaml", LIVE[4]),
        (".github/other.yaml", "not: read: at all"),
        ("README.md", "kind: Pod"),
    ]);
    let expected = compiled(&[many.path().to_str().unwrap()], None);

    let one = folder(&[("all.yaml", &stream)]);
    let one_json = folder(&[("all.json", &json_list(&all()))]);
    let following: String = all().into_iter().map(json).collect::<Vec<_>>().join("\n");
    let following = folder(&[("all.json", &following)]);
    let lists = folder(&[("a.yaml", &yaml_list(&all()[..3])), ("b.json", &json_list(&all()[3..]))]);
    let typed = format!(
        "{{\"kind\": \"PodList\", \"apiVersion\": \"v1\", \"items\": [{}, {}]}}",
        json(LIVE[3]).replace("\"kind\": \"Pod\",", "").replace("\"apiVersion\": \"v1\",", ""),
        json(LIVE[4]),
    );
    let typed = folder(&[("rest.yaml", &all()[..4].join("---\n")), ("pods.json", &typed)]);
    for (name, folder) in [
        ("stream", &one),
        ("JSON", &one_json),
        ("JSON objects one after the other", &following),
        ("Lists", &lists),
        ("typed list", &typed),
    ] {
        assert_eq!(compiled(&[folder.path().to_str().unwrap()], None), expected, "{name}");
    }
    assert_eq!(compiled(&[one.path().join("all.yaml").to_str().unwrap()], None), expected, "one file");
    assert_eq!(compiled(&["-"], Some(&stream)), expected, "standard input");
    assert_eq!(compiled(&["-"], Some(&json_list(&all()))), expected, "JSON on standard input");

    let repository = folder(&[]);
    git(repository.path(), &["init", "--quiet", "--initial-branch=main"]);
    write(repository.path(), "all.yaml", &stream);
    git(repository.path(), &["add", "--all"]);
    git(repository.path(), &["commit", "--quiet", "--message=all"]);
    git(repository.path(), &["tag", "reviewed"]);
    git(repository.path(), &["rm", "--quiet", "all.yaml"]);
    git(repository.path(), &["commit", "--quiet", "--message=none"]);
    let bare = repository.path().join("bare.git");
    git(repository.path(), &["clone", "--quiet", "--bare", ".", "bare.git"]);
    git(&bare, &["update-ref", "HEAD", "reviewed"]);
    let of = |args: &[&str]| compiled(args, None);
    let path = repository.path().to_str().unwrap();
    assert_eq!(of(&["--repo", path, "--rev", "reviewed"]), expected, "a revision");
    assert_eq!(
        of(&["--repo", bare.to_str().unwrap(), "--rev", "reviewed"]),
        expected,
        "of a bare repository"
    );
    assert_eq!(of(&[bare.to_str().unwrap()]), expected, "a bare repository as a path");

    let reviewed = folder(&[("db.yaml", POLICY)]);
    let live = folder(&[
        ("live.yaml", &yaml_list(&LIVE)),
        ("live.json", &json_list(&LIVE)),
        (
            "indented.yaml",
            &yaml_list(&LIVE)
                .replace('\n', "\n  ")
                .replace("\n  items", "\nitems")
                .replace("\n  kind: List\n  metadata:\n    resource", "\nkind: List\nmetadata:\n  resource"),
        ),
        ("quoted.yaml", &yaml_list(&LIVE).replace("kind: List", "kind: \"List\"")),
        ("flow.yaml", &json_list(&LIVE)),
        ("stream.yaml", &LIVE.join("---\n")),
        ("split/a.yaml", &yaml_list(&LIVE[..2])),
        ("split/b.json", &json_list(&LIVE[2..])),
    ]);
    let reviewed = reviewed.path().to_str().unwrap();
    for name in
        ["live.yaml", "live.json", "indented.yaml", "quoted.yaml", "flow.yaml", "stream.yaml", "split"]
    {
        let inventory = live.path().join(name);
        let args = [reviewed, "--inventory", inventory.to_str().unwrap()];
        assert_eq!(compiled(&args, None), expected, "inventory {name}");
    }
    assert_eq!(
        compiled(&[reviewed, "--inventory", "/dev/stdin"], Some(&yaml_list(&LIVE))),
        expected,
        "inventory from a pipe"
    );
    let (a, b) = (live.path().join("live.yaml"), live.path().join("live.json"));
    let args = [reviewed, "--inventory", a.to_str().unwrap(), "--inventory", b.to_str().unwrap()];
    assert_eq!(compiled(&args, None), expected, "two inventories that say the same");
    let args = [many.path().to_str().unwrap(), "--inventory", a.to_str().unwrap()];
    assert_eq!(compiled(&args, None), expected, "an inventory that says what the repository says");
}

/// Each of the three is needed: the inventory has all nodes, the file's setting changes rules, and the kind is refused
/// without its word.
#[test]
fn a_diff_reads_what_compile_reads_beside_both_sides() {
    let cilium = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\n";
    let old = folder(&[("db.yaml", POLICY), ("cilium.yaml", cilium)]);
    let new = folder(&[("db.yaml", &POLICY.replace("5432", "5433")), ("cilium.yaml", cilium)]);
    let beside = folder(&[("live.yaml", &yaml_list(&LIVE)), ("own.toml", "unknown_pods = \"drop\"\n")]);
    let path = |name: &str| beside.path().join(name).to_str().unwrap().to_owned();
    let (live, own, snapshots) = (path("live.yaml"), path("own.toml"), path("snapshots"));
    let all = ["--inventory", &live, "--config", &own, "--allow-unsupported", "CiliumNetworkPolicy"];
    let sides = [old.path().to_str().unwrap(), new.path().to_str().unwrap()];

    let diff = |sides: &[&str], args: &[&str]| {
        let output = chainmail(&[&["diff", "--exit-code"], sides, args].concat(), None);
        let found = String::from_utf8(output.stdout.clone()).unwrap();
        (output.status.code().unwrap(), found, stderr(&output))
    };
    let (exit, found, said) = diff(&sides, &all);
    assert_eq!(exit, 1, "{said}");
    assert!(found.contains("--dport 5432") && found.contains("--dport 5433"), "{found}");
    let (exit, _, said) = diff(&sides, &all[2..]);
    assert!(exit == 3 && said.contains("nothing to compare"), "without an inventory: {said}");
    let (exit, _, said) = diff(&sides, &all[..4]);
    assert!(exit == 3 && said.contains("CiliumNetworkPolicy"), "without the kind: {said}");

    let output = chainmail(&[&["compile", sides[0], "--out", &snapshots], &all[..]].concat(), None);
    assert!(output.status.success(), "{}", stderr(&output));
    let same = [snapshots.as_str(), sides[0]];
    assert_eq!(diff(&same, &all).0, 0, "against what was compiled with the same");
    let (exit, found, said) = diff(&same, &[&all[..2], &all[4..]].concat());
    assert!(exit == 1 && found.contains("10.1.0.0/24"), "without the configuration: {said}{found}");

    git(old.path(), &["init", "--quiet"]);
    git(old.path(), &["add", "--all"]);
    git(old.path(), &["commit", "--quiet", "--message=all"]);
    write(old.path(), "db.yaml", &POLICY.replace("5432", "5433"));
    git(old.path(), &["commit", "--quiet", "--all", "--message=port"]);
    let (exit, found, said) = diff(&["HEAD~1..HEAD", "--repo", sides[0]], &all);
    assert_eq!(exit, 1, "{said}");
    assert!(found.contains("--dport 5432") && found.contains("--dport 5433"), "{found}");
}
