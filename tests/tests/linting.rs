//! `chainmail lint` as a program: what is new, when it fails, and its formats for other programs.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::Value;
use support::{chainmail, git, stderr, stdout, write};
use tempfile::TempDir;

const POLICY: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - ports: [{port: 80}]
";

const ANOTHER: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec: {podSelector: {matchLabels: {app: db}}, ingress: []}
";

/// A repository whose one commit has one finding.
fn repository() -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    write(temp.path(), "policies/web.yaml", POLICY);
    git(temp.path(), &["init", "--quiet"]);
    git(temp.path(), &["add", "."]);
    git(temp.path(), &["commit", "--quiet", "-m", "first"]);
    temp
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn a_finding_is_new_where_the_other_revision_has_none_like_it() {
    let temp = repository();
    let lint = |args: &[&str]| chainmail(temp.path(), &[&["lint"], args].concat());
    let all = lint(&[]);
    assert_eq!(
        (code(&all), stderr(&all).as_str()),
        (0, "0 errors, 1 warning, 0 notes\n"),
        "{}",
        stdout(&all)
    );
    assert!(stdout(&all).starts_with("warning[world-open]: "), "{}", stdout(&all));

    // Lines move, and a second policy comes: only that is new.
    write(temp.path(), "policies/web.yaml", &format!("# moved\n\n{POLICY}---\n{ANOTHER}"));
    let new = lint(&["--new-since", "HEAD"]);
    assert_eq!(stderr(&new), "0 new errors, 1 new warning, 0 new notes\n");
    assert!(stdout(&new).starts_with("warning[selects-nothing]: "), "{}", stdout(&new));
    git(temp.path(), &["commit", "--quiet", "-am", "second"]);
    let since = |rev: &str| stdout(&lint(&["--repo", ".", "--rev", "HEAD", "--new-since", rev]));
    assert!(since("HEAD").is_empty());
    assert_eq!(since("HEAD~1"), stdout(&new), "in revisions as in the folder");

    let below = lint(&["policies", "--new-since", "HEAD"]);
    assert_eq!(code(&below), 2, "{}", stderr(&below));
    assert!(stderr(&below).contains("policies is not the root of a Git repository"), "{}", stderr(&below));
    write(temp.path(), "broken.yaml", "kind: [\n");
    git(temp.path(), &["add", "."]);
    git(temp.path(), &["commit", "--quiet", "-m", "broken"]);
    std::fs::remove_file(temp.path().join("broken.yaml")).unwrap();
    let repaired = lint(&["--new-since", "HEAD"]);
    assert!(stderr(&repaired).contains("HEAD has 1 error, so it was not linted"), "{}", stderr(&repaired));
    assert!(stderr(&repaired).contains("2 new warnings"), "{}", stderr(&repaired));
}

#[test]
fn a_level_fails_the_command_where_it_is_asked_to() {
    let temp = repository();
    let lint = |args: &[&str]| chainmail(temp.path(), &[&["lint"], args].concat());
    for (args, levels, expected) in [
        (&[][..], "", 0),
        (&["--fail-on", "warning"], "", 1),
        (&["--fail-on", "note"], "", 1),
        (&["--strict"], "", 1),
        (&[], "world-open = \"error\"", 1),
        (&["--fail-on", "warning"], "world-open = \"note\"", 0),
        (&["--fail-on", "note"], "world-open = \"off\"", 0),
        (&[], "world-opne = \"off\"", 3),
        (&[], "world-open = \"none\"", 3),
    ] {
        write(temp.path(), "chainmail.toml", &format!("[lint.levels]\n{levels}\n"));
        let output = lint(args);
        assert_eq!(code(&output), expected, "{args:?} {levels}: {}{}", stdout(&output), stderr(&output));
    }
    assert!(stderr(&lint(&[])).contains("nothing was linted"), "a configuration that is wrong");
    write(temp.path(), "chainmail.toml", "");
    write(temp.path(), "broken.yaml", "kind: [\n");
    let broken = lint(&["-o", "json"]);
    assert_eq!((code(&broken), stdout(&broken).as_str()), (3, ""), "{}", stderr(&broken));
}

/// What SARIF 2.1.0 allows beside each other; its schema has `additionalProperties: false` everywhere.
fn keys_are_among(value: &Value, allowed: &[&str]) {
    for key in value.as_object().unwrap().keys() {
        assert!(allowed.contains(&key.as_str()), "{key} in {value}");
    }
}

fn sarif_is_well_formed(text: &str) -> Vec<Value> {
    let log: Value = serde_json::from_str(text).unwrap();
    keys_are_among(&log, &["$schema", "version", "runs"]);
    assert_eq!(log["version"], "2.1.0");
    let [run] = &log["runs"].as_array().unwrap()[..] else { panic!("one run: {log}") };
    keys_are_among(run, &["tool", "columnKind", "results"]);
    keys_are_among(&run["tool"], &["driver"]);
    let driver = &run["tool"]["driver"];
    keys_are_among(driver, &["name", "rules"]);
    assert_eq!((&driver["name"], &run["columnKind"]), (&"chainmail".into(), &"unicodeCodePoints".into()));
    let levels = ["error", "warning", "note"];
    let rules = driver["rules"].as_array().unwrap();
    for rule in rules {
        keys_are_among(rule, &["id", "shortDescription", "help", "defaultConfiguration"]);
        assert!(rule["shortDescription"]["text"].is_string() && rule["help"]["text"].is_string());
        assert!(levels.contains(&rule["defaultConfiguration"]["level"].as_str().unwrap()));
    }
    let results = run["results"].as_array().unwrap();
    let mut fingerprints = BTreeSet::new();
    for result in results {
        keys_are_among(
            result,
            &["ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints", "suppressions"],
        );
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(levels.contains(&result["level"].as_str().unwrap()));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        let [location] = &result["locations"].as_array().unwrap()[..] else { panic!("one place: {result}") };
        keys_are_among(location, &["physicalLocation"]);
        let place = &location["physicalLocation"];
        keys_are_among(place, &["artifactLocation", "region"]);
        keys_are_among(&place["region"], &["startLine", "startColumn"]);
        assert!(place["region"]["startLine"].as_u64().unwrap() > 0);
        assert!(place["region"]["startColumn"].as_u64().unwrap() > 0);
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(!uri.starts_with('/') && !uri.contains(':') && !uri.contains(' '), "{uri}");
        assert!(
            fingerprints.insert(result["partialFingerprints"]["chainmail/v1"].as_str().unwrap().to_owned())
        );
    }
    results.clone()
}

#[test]
fn sarif_is_what_code_scanning_takes() {
    let temp = repository();
    write(temp.path(), "policies/an other: one.yaml", ANOTHER);
    write(temp.path(), "chainmail.toml", "[lint]\nmax_sets = 0\n");
    write(temp.path(), "policies/node.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n");
    write(
        temp.path(),
        "policies/pod.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\nspec: {nodeName: n1}\nstatus: {podIP: 10.0.0.5}\n",
    );
    let sarif = |args: &[&str]| {
        sarif_is_well_formed(&stdout(&chainmail(temp.path(), &[args, &["-o", "sarif"]].concat())))
    };
    let results = sarif(&["lint"]);
    let places: Vec<(&str, &str)> = results
        .iter()
        .map(|result| {
            let place = &result["locations"][0]["physicalLocation"];
            (result["ruleId"].as_str().unwrap(), place["artifactLocation"]["uri"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("over-budget", "chainmail.toml"),
        ("selects-nothing", "policies/an%20other%3A%20one.yaml"),
        ("world-open", "policies/web.yaml"),
    ];
    assert_eq!(places, expected);
    let from_below: Vec<Value> = sarif(&["lint", "policies"]);
    let uri = |result: &Value| {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap().to_owned()
    };
    assert_eq!(uri(&from_below[0]), "policies/an%20other%3A%20one.yaml", "from the repository's root");
    let fingerprint = |results: &[Value], code: &str| {
        let found = results.iter().find(|result| result["ruleId"] == code).unwrap();
        found["partialFingerprints"].clone()
    };
    write(temp.path(), "policies/web.yaml", &format!("# moved\n{POLICY}"));
    let moved = sarif(&["lint"]);
    assert_eq!(fingerprint(&moved, "world-open"), fingerprint(&results, "world-open"));

    write(
        temp.path(),
        "policies/bad.yaml",
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: A}\n",
    );
    let checked = sarif(&["check"]);
    let is_bad_name = |result: &Value| result["ruleId"] == "bad-name" && result["level"] == "error";
    assert!(checked.iter().any(is_bad_name), "{checked:?}");
}

/// What is agreed on is told in each format, and fails nothing until its day is over.
#[test]
fn a_waived_finding_is_told_and_fails_nothing() {
    let temp = repository();
    let waiver = "[[waiver]]\nlint = \"world-open\"\nobject = \"NetworkPolicy shop/web\"\nowner = \"ann\"\nreason = \"the shop\"\n\
                  expires = 2026-12-31\n";
    write(temp.path(), "chainmail.toml", waiver);
    let lint = |today: &str, args: &[&str]| {
        let always = ["lint", "--fail-on", "warning", "--today", today];
        chainmail(temp.path(), &[&always[..], args].concat())
    };
    let agreed = "waived by ann until 2026-12-31: the shop";
    let until = lint("2026-12-31", &[]);
    assert_eq!((code(&until), stderr(&until).as_str()), (0, "0 errors, 0 warnings, 0 notes; 1 waived\n"));
    assert!(stdout(&until).contains(&format!("\n   = {agreed}\n")), "{}", stdout(&until));
    let github = stdout(&lint("2026-12-31", &["-o", "github"]));
    assert!(github.starts_with("::notice file=policies/web.yaml,") && github.contains(agreed), "{github}");
    let json: Value = serde_json::from_str(&stdout(&lint("2026-12-31", &["-o", "json"]))).unwrap();
    let waived = serde_json::json!({"owner": "ann", "reason": "the shop", "expires": "2026-12-31"});
    assert_eq!((&json["severity"], &json["waived"]), (&"warning".into(), &waived));
    let sarif = sarif_is_well_formed(&stdout(&lint("2026-12-31", &["-o", "sarif"])));
    assert_eq!(sarif[0]["suppressions"][0]["status"], "accepted");
    assert_eq!(sarif[0]["suppressions"][0]["justification"], agreed.trim_start_matches("waived "));

    let after = lint("2027-01-01", &[]);
    assert_eq!((code(&after), stderr(&after).as_str()), (1, "0 errors, 2 warnings, 0 notes\n"));
    assert!(stdout(&after).starts_with("warning[expired-waiver]: "), "{}", stdout(&after));
    // What both revisions have is new in neither, the day is as it may.
    git(temp.path(), &["add", "."]);
    git(temp.path(), &["commit", "--quiet", "-m", "waived"]);
    assert_eq!(code(&lint("2027-01-01", &["--new-since", "HEAD"])), 0);
    write(
        temp.path(),
        "policies/web.yaml",
        &POLICY.replace("- ports", "- from: [{podSelector: {}}]\n    ports"),
    );
    let repaired = lint("2026-12-31", &[]);
    assert_eq!(code(&repaired), 1);
    assert!(stdout(&repaired).starts_with("warning[unused-waiver]: "), "{}", stdout(&repaired));
    write(temp.path(), "chainmail.toml", "[lint.levels]\nunused-waiver = \"off\"\n");
    assert_eq!(code(&lint("2026-12-31", &[])), 0);
}

/// GitHub's runner takes each line that begins with `::` for a command, and each with `##[` in it.
#[test]
fn no_manifest_can_give_github_a_command() {
    let temp = repository();
    let hostile = "::error::x,y=%::add-mask::a.yaml";
    write(temp.path(), &format!("##[add-path]{hostile}"), ANOTHER);
    for number in 0..15 {
        let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p";
        let types = "}\nspec: {policyTypes: [\"##[set-env name=A]\\n::set-output name=a::b\"]}\n";
        write(temp.path(), &format!("::error::{number}.yaml"), &format!("{policy}{number}{types}"));
    }
    for args in [&["lint"][..], &["check"]] {
        let output = chainmail(temp.path(), &[args, &["-o", "github"]].concat());
        let printed = stdout(&output);
        for line in printed.lines().filter(|line| line.trim_start().starts_with("::")) {
            let begins = |level: &str| {
                let rest = line.strip_prefix(level).unwrap_or_default();
                rest.starts_with(" file=") || rest.starts_with(" title=")
            };
            assert!(["::error", "::warning", "::notice"].into_iter().any(begins), "{line}");
            let (properties, _) = line[2..].split_once("::").unwrap();
            assert!(!properties.contains("%\n") && properties.matches(',').count() <= 3, "{line}");
        }
        let commands = printed.lines().filter(|line| line.starts_with("::error ")).count();
        assert!(commands <= 10, "GitHub shows ten errors of a step: {commands}");
        let others = printed.lines().filter(|line| !line.starts_with("::"));
        assert!(!others.clone().any(|line| line.contains("##[")), "{printed}");
        if args == ["check"] {
            assert!(others.clone().any(|line| line.starts_with("15 errors, ")), "counted in full: {printed}");
        }
    }
}
