//! What `chainmail` must never do to a user's files, nor say of them.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::process::Output;

use support::chainmail;

const MANIFESTS: &str = "
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDRs: [10.244.1.0/24, 'fd00:10:244:1::/64']}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: x}
spec: {nodeName: n1}
status: {podIPs: [{ip: 10.244.1.10}, {ip: '::10.2.0.9'}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: x}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: '::/96', except: ['::/97']}}]}]}
";

/// A folder `repo` with the manifests, and what the row adds.
fn repository() -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    support::write(temp.path(), "repo/all.yaml", MANIFESTS);
    temp
}

#[track_caller]
fn fails(output: &Output, code: i32, says: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(says), "{stderr}");
}

#[test]
fn a_folder_with_anything_of_others_is_not_replaced() {
    let temp = repository();
    for (precious, found) in [
        ("out/nodes/precious.txt", "nodes/precious.txt"),
        ("out/nodes/n1/precious.txt", "nodes/n1/precious.txt"),
        ("out/sets/precious", "sets/precious"),
        ("out/README.md", "README.md"),
    ] {
        let path = temp.path().join(precious);
        support::write(temp.path(), precious, "mine");
        fails(&chainmail(temp.path(), &["compile", "repo", "--out", "out"]), 3, found);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine", "{precious}");
        std::fs::remove_dir_all(temp.path().join("out")).unwrap();
    }
}

#[test]
fn a_link_is_followed_to_the_folder_that_its_readers_mean() {
    let temp = repository();
    std::fs::create_dir(temp.path().join("v1")).unwrap();
    std::os::unix::fs::symlink("v1", temp.path().join("current")).unwrap();
    assert!(chainmail(temp.path(), &["compile", "repo", "--out", "current"]).status.success());
    assert!(temp.path().join("current").is_symlink());
    assert!(temp.path().join("v1/nodes/n1/rules.v4").exists());
}

#[test]
fn nothing_in_is_an_error_and_leaves_the_old_snapshots() {
    let temp = repository();
    assert!(chainmail(temp.path(), &["compile", "repo", "--out", "out"]).status.success());
    std::fs::create_dir(temp.path().join("empty")).unwrap();
    fails(&chainmail(temp.path(), &["compile", "empty", "--out", "out"]), 3, "no Linux node");
    assert!(temp.path().join("out/nodes/n1/rules.v4").exists());
    fails(&chainmail(temp.path(), &["diff", "empty", "empty", "--exit-code"]), 3, "nothing to compare");
}

#[test]
fn manifests_behind_links_are_not_passed_by() {
    let temp = repository();
    std::fs::create_dir(temp.path().join("shared")).unwrap();
    std::os::unix::fs::symlink("../shared", temp.path().join("repo/policies")).unwrap();
    fails(&chainmail(temp.path(), &["check", "repo"]), 3, "--> policies:1:1");
}

#[test]
fn snapshots_may_stand_beside_the_manifests() {
    let temp = repository();
    let repo = temp.path().join("repo");
    for _ in 0..2 {
        let output = chainmail(&repo, &["compile", "--out", "snapshots"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(chainmail(&repo, &["compile", "--out", "snapshots", "--check"]).status.success());
    std::fs::write(repo.join("snapshots/nodes/n1/rules.v4"), "changed").unwrap();
    let output = chainmail(&repo, &["compile", "--out", "snapshots", "--check"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "differs nodes/n1/rules.v4\n");
}

/// What each command that reads manifests says of them: notes where manifests are the matter, warnings everywhere, and of
/// errors what comes of them.
#[test]
fn each_command_says_what_its_user_can_use() {
    let temp = repository();
    let warning = "apiVersion: v1\nkind: Node\nmetadata: {name: n2}\nspec: {podCIDR: 10.244.2.1/24}\n";
    std::fs::write(temp.path().join("repo/node.yaml"), warning).unwrap();
    let rows: [(&[&str], bool, &str); 4] = [
        (&["compile", "repo", "--out", "out"], true, "1 error; nothing was compiled"),
        (&["check", "repo"], true, "1 error; the manifests are not valid"),
        (&["diff", "repo", "repo"], false, "1 error; nothing was compared"),
        (&["query", "repo"], false, "1 error; nothing was asked"),
    ];
    for (args, notes, _) in rows {
        let output = chainmail(temp.path(), args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("warning[loose-cidr]"), "{args:?}: {said}");
        assert_eq!(said.contains("note["), notes, "{args:?}: {said}");
    }
    std::fs::write(temp.path().join("repo/bad.yaml"), "kind: [\n").unwrap();
    for (args, _, comes_of_it) in rows {
        let output = chainmail(temp.path(), args);
        fails(&output, 3, "error[");
        fails(&output, 3, comes_of_it);
    }
}

#[test]
fn one_is_counted_as_one() {
    let temp = repository();
    let said = |args: &[&str]| String::from_utf8(chainmail(temp.path(), args).stderr).unwrap();
    assert!(said(&["check", "repo"]).ends_with("1 policy, 1 pod, 1 node are valid\n"));
    let twice = MANIFESTS.replace("n1", "n2").replace("name: a,", "name: b,").replace("name: p,", "name: q,");
    let twice = twice
        .replace("10.244.1.", "10.244.2.")
        .replace("244:1:", "244:2:")
        .replace("::10.2.0.9", "::10.2.0.8");
    std::fs::write(temp.path().join("repo/twice.yaml"), twice).unwrap();
    assert!(said(&["check", "repo"]).ends_with("2 policies, 2 pods, 2 nodes are valid\n"));
}

#[test]
fn exported_snapshots_can_be_compared() {
    let temp = repository();
    std::fs::create_dir(temp.path().join("open")).unwrap();
    let open = MANIFESTS.split("---\napiVersion: networking").next().unwrap();
    std::fs::write(temp.path().join("open/all.yaml"), open).unwrap();
    for (manifests, out, joined) in [("repo", "s1", "j1"), ("open", "s2", "j2")] {
        assert!(chainmail(temp.path(), &["compile", manifests, "--out", out]).status.success());
        assert!(
            chainmail(temp.path(), &["export", "n1", "--snapshots", out, "--out", joined]).status.success()
        );
    }
    assert_eq!(chainmail(temp.path(), &["diff", "j1", "j2", "--exit-code"]).status.code(), Some(1));
    assert_eq!(chainmail(temp.path(), &["diff", "j1", "s1", "--exit-code"]).status.code(), Some(0));
}

/// Addresses below `::/96` are printed like IPv4 by the kernel's tools, and so by us.
#[test]
fn addresses_come_back_as_they_were_written() {
    if !support::may_use_kernel() {
        return;
    }
    let temp = repository();
    assert!(chainmail(temp.path(), &["compile", "repo", "--out", "out"]).status.success());
    assert!(
        chainmail(temp.path(), &["export", "n1", "--snapshots", "out", "--out", "node"]).status.success()
    );
    let node = temp.path().join("node");
    let sent = std::fs::read_to_string(node.join("rules.v6")).unwrap();
    assert!(sent.contains("::128.0.0.0/97") && sent.contains("::10.2.0.9/128"), "{sent}");
    for backend in support::kernel::BACKENDS {
        let saved = support::kernel::load_and_save(&node, backend);
        assert_eq!(
            support::kernel::our_lines(&saved.rules_v6),
            support::kernel::our_lines(&sent),
            "on {backend}"
        );
    }
}

/// `-o FMT[=FILE]`: files are whole or as they were, standard output takes one format, and no file takes two.
#[test]
fn results_go_where_they_are_wanted() {
    let temp = repository();
    let query = |outputs: &[&str]| {
        let asked = ["query", "repo", "--from", "*", "--to", "outside", "--engine", "policy"];
        chainmail(temp.path(), &[&asked, outputs].concat())
    };
    let read = |file: &str| std::fs::read_to_string(temp.path().join(file)).unwrap();
    let list = query(&["-o", "list"]);
    let json = query(&["-o", "json"]);
    std::fs::write(temp.path().join("old"), "old").unwrap();
    std::os::unix::fs::symlink("old", temp.path().join("link")).unwrap();
    let all = query(&["-o", "list=link", "-o", "json", "--output=csv=a=b"]);
    assert!(all.status.success(), "{all:?}");
    assert_eq!(all.stdout, json.stdout);
    assert_eq!(read("old").as_bytes(), list.stdout, "through the link");
    assert!(temp.path().join("link").is_symlink());
    assert!(read("a=b").starts_with("from,to,"), "{}", read("a=b"));
    assert!(query(&["-o", "json=only"]).stdout.is_empty(), "nothing was asked of standard output");

    fails(&query(&["-o", "json", "-o", "list"]), 2, "two formats for standard output");
    fails(&query(&["-o", "json=x", "-o", "list=./x"]), 2, "./x is named twice");
    fails(&query(&["-o", "json="]), 2, "invalid value 'json='");
    fails(&query(&["-o", "yaml"]), 2, "[possible values: plain, json, list, matrix, csv]");
    fails(&query(&["-o", "json=none/x"]), 3, "cannot write none/x");
    let left: Vec<_> = std::fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left.len(), 5, "nothing but repo, old, link, a=b and only: {left:?}");
}
