//! `action.yml` and `.pre-commit-hooks.yaml`: their own command lines, run as GitHub's runner and pre-commit run them, in
//! the tutorial's repository, with a stand-in for what would need a network.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, run programs, and may panic"
)]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_yaml::Value;
use support::git;
use tempfile::TempDir;

fn read(path: &str) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(support::root().join(path)).unwrap()).unwrap()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A clone of the tutorial, at its last commit but one.
fn tutorial() -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    let make = support::root().join("policies/aks-tutorial/make-repository");
    support::run(Command::new(make).arg(temp.path().join("repo")));
    git(&temp.path().join("repo"), &["checkout", "--quiet", "5-from-development"]);
    temp
}

/// Adds the tutorial's own expectations, in a commit.
fn expect_flows(repo: &Path) {
    let flows = "5-from-development.flows.yaml";
    std::fs::copy(support::root().join("policies/aks-tutorial/flows").join(flows), repo.join(flows)).unwrap();
    git(repo, &["add", "."]);
    git(repo, &["commit", "--quiet", "-m", "Expected flows"]);
}

/// GitHub's runner, as far as the action asks for it.
struct Runner {
    temp: TempDir,
    /// What `${{ … }}` stands for.
    expressions: BTreeMap<String, String>,
}

impl Runner {
    fn new(base: &str, head: &str) -> Self {
        let temp = tutorial();
        let expressions = [
            ("inputs.base", base),
            ("inputs.head", head),
            ("inputs.fail-on", "warning"),
            ("inputs.token", "secret"),
            ("github.event.pull_request.number", "7"),
        ];
        let expressions = expressions.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let bin = temp.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        // A stand-in for GitHub: it has the comment 42 once one was made, and notes what it was asked.
        let gh = "#!/bin/sh\necho \"$*\" >> \"$GH_LOG\"\ncase $* in\n*--paginate*) cat \"$GH_LOG.made\" 2>/dev/null;;\n\
                  *POST*) echo 42 > \"$GH_LOG.made\";;\nesac\ntrue\n";
        std::fs::write(bin.join("gh"), gh).unwrap();
        std::fs::set_permissions(bin.join("gh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(support::program("chainmail"), bin.join("chainmail")).unwrap();
        Self { temp, expressions: BTreeMap::from(expressions) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn evaluated(&self, value: &str) -> String {
        let Some((before, rest)) = value.split_once("${{") else { return value.to_owned() };
        let (expression, after) = rest.split_once("}}").unwrap();
        let known = self.expressions.get(expression.trim());
        let known = known.unwrap_or_else(|| panic!("what is {expression}?"));
        self.evaluated(&format!("{before}{known}{after}"))
    }

    /// Runs a step as the runner does it: by a file, with `bash -eo pipefail`.
    fn step(&mut self, step: &Value) -> Output {
        let script = self.path("script.sh");
        std::fs::write(&script, text(step, "run")).unwrap();
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail"]).arg(script).current_dir(self.path("repo"));
        bash.env("PATH", path).env("RUNNER_TEMP", self.path("runner")).env("GH_LOG", self.path("gh.log"));
        bash.env("GITHUB_OUTPUT", self.path("output")).env("GITHUB_STEP_SUMMARY", self.path("summary"));
        bash.env("GITHUB_ACTIONS", "true").env("GITHUB_REPOSITORY", "o/r");
        bash.env("GITHUB_SERVER_URL", "https://example.org");
        bash.env("GITHUB_ACTION_PATH", "/nonexistent");
        for (name, value) in step.get("env").and_then(Value::as_mapping).into_iter().flatten() {
            bash.env(name.as_str().unwrap(), self.evaluated(value.as_str().unwrap()));
        }
        let output = bash.output().unwrap();
        for line in self.file("output").lines() {
            let (name, value) = line.split_once('=').unwrap();
            let name = format!("steps.{}.outputs.{name}", text(step, "id"));
            self.expressions.insert(name, value.to_owned());
        }
        let _none_before_the_first = std::fs::remove_file(self.path("output"));
        output
    }
}

fn steps(action: &Value) -> Vec<Value> {
    action["runs"]["steps"].as_sequence().unwrap().clone()
}

#[test]
fn the_action_reviews_a_pull_request() {
    let action = read("action.yml");
    let mut runner = Runner::new("3-allow-frontend", "HEAD");
    expect_flows(&runner.path("repo"));
    for round in 0..2 {
        for step in steps(&action).iter().filter(|step| step.get("run").is_some()) {
            let output = runner.step(step);
            let printed = String::from_utf8_lossy(&output.stdout);
            let said = String::from_utf8_lossy(&output.stderr);
            let name = text(step, "name");
            assert!(output.status.success(), "{name}: {printed}{said}");
        }
        let asked = runner.file("gh.log");
        let comments = "api --silent --method";
        let made = format!("{comments} POST repos/o/r/issues/7/comments --field body=@");
        let changed = format!("{comments} PATCH repos/o/r/issues/comments/42 --field body=@");
        assert_eq!((asked.matches(&made).count(), asked.matches(&changed).count()), (1, round), "{asked}");
    }
    let report = runner.file("runner/chainmail/report.md");
    assert!(report.starts_with("<!--"), "the marker by which the comment is found again: {report}");
    assert!(report.contains("development/backend"), "{report}");
    assert!(report.contains("](https://example.org/o/r/blob/"), "causes are links to their lines: {report}");
    assert_eq!(runner.file("summary"), format!("{report}{report}"));
    for (file, begins) in [("lint.sarif", "{"), ("diff.json", "{"), ("test.xml", "<?xml")] {
        let text = runner.file(&format!("runner/chainmail/{file}"));
        assert!(text.starts_with(begins), "{file}: {text}");
    }
}

/// New findings and manifests that are not valid fail the job, the latter at their line.
#[test]
fn the_action_fails_where_it_should() {
    let action = read("action.yml");
    let mut runner = Runner::new("5-from-development", "HEAD");
    let repo = runner.path("repo");
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x, namespace: development}\n\
                  spec: {podSelector: {}, ingress: [{}]}\n";
    std::fs::write(repo.join("x.yaml"), policy).unwrap();
    git(&repo, &["add", "."]);
    git(&repo, &["commit", "--quiet", "-m", "open"]);
    let run = |runner: &mut Runner, wanted: &str| {
        let steps = steps(&action);
        let named = |name: &str| steps.iter().find(|step| text(step, "name") == name).unwrap().clone();
        assert!(runner.step(&named("Make a folder for results")).status.success());
        let output = runner.step(&named(wanted));
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, printed) = run(&mut runner, "Lint");
    assert_eq!(code, 1, "{printed}");
    assert!(printed.starts_with("::warning file=x.yaml,line=4,"), "{printed}");
    std::fs::write(repo.join("x.yaml"), policy.replace("ingress:", "ingres:")).unwrap();
    git(&repo, &["commit", "--quiet", "-am", "mistyped"]);
    let (code, printed) = run(&mut runner, "Check");
    assert_eq!(code, 3, "{printed}");
    assert!(printed.starts_with("::error file=x.yaml,line=4,"), "{printed}");
}

/// Whoever names a branch must not write a script: expressions go through the environment.
#[test]
fn the_action_puts_no_expression_into_a_script() {
    let action = read("action.yml");
    for step in steps(&action) {
        assert!(!text(&step, "run").contains("${{"), "{step:?}");
        if step.get("run").is_some() {
            assert_eq!(text(&step, "shell"), "bash", "{step:?}");
        }
    }
    let page = std::fs::read_to_string(support::root().join("docs/review.md")).unwrap();
    for (name, input) in action["inputs"].as_mapping().unwrap() {
        assert!(!text(input, "description").is_empty(), "{name:?}");
        assert!(page.contains(&format!("| `{}` |", name.as_str().unwrap())), "docs/review.md says {name:?}");
    }
}

#[test]
fn hooks_run_before_a_commit() {
    let temp = tutorial();
    let repo = temp.path().join("repo");
    expect_flows(&repo);
    let path = support::program("chainmail").parent().unwrap().to_path_buf();
    let path = format!("{}:{}", path.display(), std::env::var("PATH").unwrap());
    let run = |entry: &str| {
        let words: Vec<&str> = entry.split(' ').collect();
        Command::new(words[0]).args(&words[1..]).current_dir(&repo).env("PATH", &path).output().unwrap()
    };
    let hooks = read(".pre-commit-hooks.yaml");
    let hooks = hooks.as_sequence().unwrap();
    for hook in hooks {
        assert_eq!((text(hook, "language"), &hook["pass_filenames"]), ("system", &Value::Bool(false)));
        let output = run(text(hook, "entry"));
        assert!(output.status.success(), "{hook:?}: {output:?}");
    }
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x, namespace: development}\n\
                  spec: {podSelector: {matchLabels: {app: nobody}}, ingress: [{}]}\n";
    std::fs::write(repo.join("x.yaml"), policy).unwrap();
    let failing: Vec<&str> = hooks
        .iter()
        .filter(|hook| !run(text(hook, "entry")).status.success())
        .map(|hook| text(hook, "id"))
        .collect();
    assert_eq!(failing, ["chainmail-lint"]);
}
