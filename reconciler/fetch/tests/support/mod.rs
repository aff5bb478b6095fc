//! A node in a folder, a repository on this host to pull from, and people who sign.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test starts programs, writes what they read, and fails by panic"
)]

pub mod net;
pub mod remotes;

use std::path::PathBuf;
use std::process::Command;

use chainmail_fetch::status::{State, Status};
use chainmail_lab::{Repository, STATEMENT, Signing};

/// What a command did.
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Done {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Done {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a program that must succeed, and answers what it printed.
pub fn ok(command: &mut Command) -> String {
    let done = run(command);
    assert_eq!(done.code, Some(0), "{command:?}\n{}{}", done.out, done.err);
    done.out.trim_end().to_owned()
}

/// A cluster of two nodes, with a policy for the database on the first.
pub const CLUSTER: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.1.0.0/24}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
spec: {podCIDR: 10.2.0.0/24}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: n1, containers: [{name: c}]}
status: {phase: Running, podIP: 10.1.0.2, podIPs: [{ip: 10.1.0.2}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: n2, containers: [{name: c}]}
status: {phase: Running, podIP: 10.2.0.2, podIPs: [{ip: 10.2.0.2}]}
"#;

/// A policy that lets the web pods reach the database on some ports.
pub fn policy(ports: &[u16]) -> String {
    let ports: Vec<String> = ports.iter().map(|port| format!("{{port: {port}}}")).collect();
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: db, namespace: shop}}\nspec:\n  \
         podSelector: {{matchLabels: {{app: db}}}}\n  ingress:\n  - from: [{{podSelector: {{matchLabels: {{app: \
         web}}}}}}]\n    ports: [{}]\n",
        ports.join(", ")
    )
}

/// A repository whose people are alice and mallory.
pub struct World {
    folder: tempfile::TempDir,
    repository: Repository,
}

impl World {
    /// The cluster is in its first commit, which alice signed.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::new(folder.path()).unwrap();
        repository.make_key("mallory").unwrap();
        let world = Self { folder, repository };
        world.write("cluster.yaml", CLUSTER);
        world.write("db.yaml", &policy(&[5432]));
        world.commit("alice", "The database");
        world.push();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Git in the clone, with no configuration but its own.
    pub fn git(&self) -> Command {
        self.repository.git()
    }

    /// Git in the clone, signing by a key.
    pub fn git_as(&self, who: &str) -> Command {
        self.repository.git_as(who)
    }

    /// Writes a file of the clone.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.repository.checkout().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Commits all that is in the clone; `nobody` signs nothing.
    pub fn commit(&self, who: &str, message: &str) -> String {
        let signing = if who == "nobody" { Signing::Nobody } else { Signing::By(who) };
        self.repository.commit(message, signing).unwrap()
    }

    pub fn head(&self) -> String {
        self.repository.head().unwrap()
    }

    pub fn push(&self) {
        self.repository.push().unwrap();
    }

    /// Commits and pushes a policy.
    pub fn change(&self, who: &str, ports: &[u16]) -> String {
        self.write("db.yaml", &policy(ports));
        let commit = self.commit(who, &format!("Ports {ports:?}"));
        self.push();
        commit
    }

    /// Commits all that is in the clone, signed by a message as it stands.
    pub fn commit_as_it_stands(&self, who: &str, message: &str) -> String {
        ok(self.git().args(["add", "--all"]));
        ok(self.git_as(who).args(["commit", "-q", "--allow-empty", "-S", "-m", message]));
        self.head()
    }

    /// Tags a commit, signed; the message states that it is for branch main.
    pub fn tag(&self, who: &str, number: u64, commit: &str, message: &str) {
        let message = message.trim_end();
        // The statement joins the message's own trailers.
        let between = if message.contains("\n\n") { "\n" } else { "\n\n" };
        self.tag_as_it_stands(who, number, commit, &format!("{message}{between}{STATEMENT}"));
    }

    /// Tags a commit, signed by a message as it stands.
    pub fn tag_as_it_stands(&self, who: &str, number: u64, commit: &str, message: &str) {
        let name = format!("chainmail/{number}");
        ok(self.git_as(who).args(["tag", "--force", "--sign", "-m", message, &name, commit]));
        ok(self.git().args(["push", "-q", "--force", "origin", &format!("refs/tags/{name}")]));
    }

    pub fn remote(&self) -> String {
        self.repository.bare().display().to_string()
    }

    pub fn public_key(&self, who: &str) -> String {
        self.repository.public_key(who).unwrap()
    }

    /// A node of its own that believes alice and pulls from a URL; more lines of the configuration may follow.
    pub fn node(&self, name: &str, url: &str, lines: &str) -> Node {
        let root = self.path(&format!("root-{name}"));
        std::fs::create_dir_all(root.join("etc/chainmail")).unwrap();
        let node = Node { root, name: name.to_owned(), url: url.to_owned() };
        node.believe(&self.repository.allowed_signers().unwrap());
        node.configure(lines);
        node
    }
}

/// A node in a folder.
pub struct Node {
    root: PathBuf,
    name: String,
    url: String,
}

impl Node {
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn believe(&self, signers: &str) {
        self.write("etc/chainmail/allowed_signers", signers);
    }

    /// Writes its configuration, in which branches are to be stated where signatures are looked at and `lines` says nothing
    /// else.
    pub fn configure(&self, lines: &str) {
        let signers = self.path("etc/chainmail/allowed_signers").display().to_string();
        let (name, url) = (&self.name, &self.url);
        let (top, tables) = lines.split_at(lines.find('[').unwrap_or(lines.len()));
        let trust = if tables.contains("[trust]") { "" } else { "[trust]\n" };
        let asked = ["branch_statement", "mode = \"off\""].iter().any(|line| tables.contains(line));
        let asked = if asked { "" } else { "branch_statement = \"required\"\n" };
        let own = format!("{trust}allowed_signers = \"{signers}\"\n{asked}");
        let tables = match tables.split_once("[trust]\n") {
            Some((before, after)) => format!("{before}[trust]\n{own}{after}"),
            None => format!("{own}{tables}"),
        };
        self.write(
            "etc/chainmail/fetch.toml",
            &format!("node = \"{name}\"\nremote = \"{url}\"\n{top}{tables}"),
        );
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chainmail-fetch"));
        command.arg("--root").arg(&self.root).args(words);
        // What this host's own Git is told must not matter.
        command.env("HOME", &self.root).env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
        command
    }

    pub fn fetch(&self, words: &[&str]) -> Done {
        run(&mut self.command(words))
    }

    pub fn status(&self) -> Status {
        serde_json::from_str(&self.read("run/chainmail/fetch/status.json")).unwrap()
    }

    /// Looks once, and answers what came of it and why.
    pub fn once(&self) -> (State, String) {
        let done = self.fetch(&["once"]);
        let status = self.status();
        assert_eq!(done.code, Some(i32::from(status.state.exit() as u8)), "{}{}", done.out, done.err);
        (status.state, status.reason.unwrap_or_default())
    }

    /// Looks once for the first time.
    pub fn trust_first(&self) {
        let done = self.fetch(&["once", "--trust-first"]);
        assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    }

    /// The revision that was handed over, if any was.
    pub fn handed(&self) -> Option<String> {
        self.status().handed.map(|handed| handed.commit)
    }

    /// The digest that is to be in force.
    pub fn desired(&self) -> String {
        self.read("var/lib/chainmail/spool/desired").trim_end().to_owned()
    }

    /// A file of the snapshot that is to be in force.
    pub fn snapshot(&self, file: &str) -> String {
        self.read(&format!("var/lib/chainmail/spool/{}/{file}", self.desired()))
    }

    /// What the node would have after a loss of its state: its rules, and what its configuration says.
    pub fn lose_state(&self) {
        std::fs::remove_dir_all(self.path("var/lib/chainmail/fetch")).unwrap();
    }

    /// Asserts that the newest revision is refused for a reason, and that what was handed over before stays.
    pub fn refuses(&self, state: State, reason: &str) {
        let before = (self.desired(), self.handed());
        for look in ["once", "again"] {
            let (found, why) = self.once();
            assert_eq!(found, state, "{look}: {why}");
            assert!(why.contains(reason), "{look}: {why}");
            assert_eq!((self.desired(), self.handed()), before, "{look}");
        }
    }
}

/// `chainmail-fetch run` on a node. It ends with the test, and what it started ends with it.
pub struct Service {
    child: std::process::Child,
}

impl Service {
    pub fn start(node: &Node) -> Self {
        Self { child: node.command(&["run"]).spawn().unwrap() }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end.
    pub fn stop(&mut self) {
        let id = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
