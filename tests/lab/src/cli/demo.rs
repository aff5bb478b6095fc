//! `chainmail-lab demo`: a scenario from commit to commit, with everything it shows printed by the programs themselves.

#![expect(
    clippy::disallowed_methods,
    reason = "the demonstration is a shell: it reads the scenario and runs programs"
)]

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chainmail_contract::Family;
use clap::Args;
use tempfile::TempDir;

use super::{CliError, Ending};
use crate::endpoint::Endpoint;
use crate::lab::Lab;
use crate::programs::{self, Origin};
use crate::scenario::{Scenario, State};
use crate::spec::LabSpec;
use crate::truth::TruthTable;

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// The scenario's folder, with make-repository, truth/ and wget.txt.
    scenario: PathBuf,
}

/// A line of wget.txt: what the article tries in a state, where, and how that ends.
struct Try {
    state: String,
    pod: Endpoint,
    exit: i32,
    command: Vec<String>,
}

/// How long nginx may take to listen.
const NGINX_DEADLINE: Duration = Duration::from_secs(10);

pub(super) fn demo(args: &DemoArgs) -> Result<Ending, CliError> {
    let temp = TempDir::new()?;
    let scenario = Scenario::read(&args.scenario)?;
    let tries = tries(&args.scenario.join("wget.txt"))?;
    let kernel = Command::new("unshare").args(["-n", "true"]).stderr(Stdio::null()).status()?.success();
    let mut stand = None;
    let mut surprises = 0;
    let mut before: Option<&String> = None;
    for State { name: state, truth, revision, .. } in &scenario.states {
        let Some(origin @ Origin::Revision { repo, .. }) = revision else {
            return Err(io::Error::other("a demonstration goes from commit to commit").into());
        };
        say(&format!("\n=== {state}\n"))?;
        let snapshots = temp.path().join(state);
        show(
            repo,
            &["compile", "--repo", ".", "--rev", state, "--out", &snapshots.display().to_string()],
            &snapshots,
        )?;
        if let Some(before) = before {
            show(repo, &["diff", &format!("{before}..{state}")], &snapshots)?;
        }
        show_rules(&snapshots)?;
        surprises += predicted(origin, truth)?;
        if kernel {
            let stand = match &mut stand {
                Some(stand) => stand,
                none => none.insert(Stand::build(origin, temp.path())?),
            };
            stand.lab.compile_and_apply(origin)?;
            surprises += observed(&stand.lab, truth)?;
            for one in tries.iter().filter(|one| one.state == *state) {
                surprises += stand.attempt(one)?;
            }
        }
        before = Some(state);
    }
    if !kernel {
        say("\nnot root: no packet was sent; the tables above are what the rules say\n")?;
    }
    if let Some(stand) = stand {
        stand.take_down()?;
    }
    say(&format!(
        "\n{} states, {surprises} differences from the hand-written tables\n",
        scenario.states.len()
    ))?;
    Ok(if surprises == 0 { Ending::Done } else { Ending::Differences })
}

pub(super) fn say(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())
}

fn bad(path: &Path, error: &dyn std::error::Error) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

fn tries(path: &Path) -> Result<Vec<Try>, CliError> {
    let mut tries = Vec::new();
    for line in std::fs::read_to_string(path)?.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (Some(state), Some(pod), Some(exit)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        tries.push(Try {
            state: state.to_owned(),
            pod: pod.parse().map_err(|error| bad(path, &error))?,
            exit: exit.parse().map_err(|error| bad(path, &error))?,
            command: words.map(ToOwned::to_owned).collect(),
        });
    }
    Ok(tries)
}

/// Runs `chainmail` in the repository, and shows the command and what it printed.
pub(super) fn show(repo: &Path, args: &[&str], snapshots: &Path) -> Result<(), CliError> {
    let chainmail = programs::find("chainmail")?;
    let output = programs::run(Command::new(chainmail).args(args).current_dir(repo), "")?;
    let line = args.join(" ").replace(&snapshots.display().to_string(), "snapshots");
    say(&format!("$ chainmail {line}\n"))?;
    io::stdout().write_all(&output.stdout)?;
    say("\n")?;
    Ok(())
}

/// The rules of the nodes that have any beside the base chain, else of the first.
fn show_rules(snapshots: &Path) -> Result<(), CliError> {
    let mut nodes: Vec<PathBuf> = std::fs::read_dir(snapshots.join("nodes"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    nodes.sort();
    let texts: Vec<(PathBuf, String)> = nodes
        .into_iter()
        .map(|node| Ok((node.clone(), std::fs::read_to_string(node.join("rules.v4"))?)))
        .collect::<io::Result<_>>()?;
    let isolating = |text: &str| text.contains(":CM-INGRESS") || text.contains(":CM-EGRESS");
    let any = texts.iter().any(|(_, text)| isolating(text));
    for (node, text) in
        texts.iter().filter(|(_, text)| isolating(text) || !any).take(if any { texts.len() } else { 1 })
    {
        let name = node.file_name().unwrap_or_default().to_string_lossy();
        say(&format!("$ cat snapshots/nodes/{name}/rules.v4\n{text}\n"))?;
    }
    Ok(())
}

fn predicted(origin: &Origin, truth: &TruthTable) -> Result<usize, CliError> {
    let name = |_: &crate::probe::Probe, end: &Endpoint| end.to_string();
    let cells = programs::predict(origin, &truth.probes(), name)?;
    compared("what the rules say", truth, &truth.answered(cells))
}

fn observed(lab: &Lab, truth: &TruthTable) -> Result<usize, CliError> {
    compared("what real packets do", truth, &lab.observe(truth)?)
}

pub(super) fn compared(what: &str, truth: &TruthTable, found: &TruthTable) -> Result<usize, CliError> {
    say(&format!("{what}:\n{found}\n"))?;
    let differences = truth.differences(found);
    for difference in &differences {
        say(&format!("differs from the hand-written table: {}\n", difference.probe))?;
    }
    Ok(differences.len())
}

/// The cluster in namespaces, with a real web server in the backend.
struct Stand {
    lab: Lab,
    nginx: Child,
    hosts: BTreeMap<Endpoint, BTreeMap<String, IpAddr>>,
}

impl Stand {
    fn build(origin: &Origin, folder: &Path) -> Result<Self, CliError> {
        let mut spec = LabSpec::from_sources(&origin.read()?)?;
        spec.origin = origin.label();
        let lab = Lab::up(&spec)?;
        let backend: Endpoint = "development/backend".parse().map_err(io::Error::other)?;
        let config = folder.join("nginx.conf");
        let pid = folder.join("nginx.pid");
        let text = format!(
            "daemon off; pid {}; error_log stderr; events {{}}\n\
             http {{ access_log off; server {{ listen 80; root /usr/share/nginx/html; }} }}\n",
            pid.display()
        );
        std::fs::write(&config, text)?;
        let nginx = lab.spawn(&backend, &["nginx", "-e", "stderr", "-c", &config.display().to_string()])?;
        let hosts = hosts(&lab)?;
        let mut stand = Self { lab, nginx, hosts };
        stand.wait_for_nginx(&pid)?;
        Ok(stand)
    }

    /// nginx writes its pid file once it listens.
    fn wait_for_nginx(&mut self, pid: &Path) -> Result<(), CliError> {
        let begin = Instant::now();
        while !pid.exists() {
            if let Some(status) = self.nginx.try_wait()? {
                return Err(io::Error::other(format!("nginx ended with {status}")).into());
            }
            if begin.elapsed() > NGINX_DEADLINE {
                return Err(io::Error::other("nginx does not listen").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Runs one of the article's commands in its pod; prints the command, and what it printed.
    fn attempt(&self, one: &Try) -> Result<usize, CliError> {
        say(&format!("{} $ {}\n", one.pod, one.command.join(" ")))?;
        // A proxy of this host is nothing that a pod has.
        let mut argv = vec!["env", "-u", "http_proxy", "-u", "HTTP_PROXY"];
        argv.extend(one.command.iter().map(String::as_str));
        let none = BTreeMap::new();
        let output = self.lab.exec_with_hosts(&one.pod, self.hosts.get(&one.pod).unwrap_or(&none), &argv)?;
        io::stdout().write_all(&output.stdout)?;
        io::stdout().write_all(&output.stderr)?;
        say(&format!("exit code {}\n\n", output.status.code().unwrap_or(-1)))?;
        let expected = output.status.code() == Some(one.exit);
        if !expected {
            say(&format!("differs from wget.txt: {} was expected\n", one.exit))?;
        }
        Ok(usize::from(!expected))
    }

    fn take_down(mut self) -> Result<(), CliError> {
        self.nginx.kill()?;
        self.nginx.wait()?;
        Ok(self.lab.down()?)
    }
}

/// The names that each pod knows: `name.namespace` of every pod, and `name` of those of its own namespace.
fn hosts(lab: &Lab) -> Result<BTreeMap<Endpoint, BTreeMap<String, IpAddr>>, CliError> {
    let mut pods = Vec::new();
    for end in lab.endpoints() {
        if let Endpoint::Pod(key) = &end {
            let address = lab.address(&end, Family::V4)?;
            pods.push((end.clone(), key.clone(), address));
        }
    }
    let mut hosts = BTreeMap::new();
    for (end, own, _) in &pods {
        let mut names = BTreeMap::new();
        for (_, key, address) in &pods {
            names.insert(format!("{}.{}", key.name(), key.namespace()), *address);
            if key.namespace() == own.namespace() {
                names.insert(key.name().to_owned(), *address);
            }
        }
        hosts.insert(end.clone(), names);
    }
    Ok(hosts)
}
