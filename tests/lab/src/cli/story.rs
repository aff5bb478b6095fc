//! `chainmail-lab story`: a repository, three nodes with the real daemons, and what happens to them.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use chainmail_contract::NodeName;
use chainmail_manifest::source::Sources;
use clap::Args;
use tempfile::TempDir;

use super::demo::{compared, say, show};
use super::{CliError, Ending};
use crate::endpoint::Endpoint;
use crate::fleet::{FleetError, Member, Remote, Source, Upstream};
use crate::lab::Lab;
use crate::repository::{ALICE, Signing};
use crate::scenario::Scenario;
use crate::spec::LabSpec;
use crate::truth::TruthTable;

#[derive(Debug, Args)]
pub(super) struct StoryArgs {
    /// The scenario's folder. It has two states.
    scenario: PathBuf,
}

/// The nodes of the story: the last one takes committed snapshots.
struct Fleet {
    lab: Lab,
    upstream: Upstream,
    members: Vec<Member>,
    surprises: usize,
}

pub(super) fn story(args: &StoryArgs) -> Result<Ending, CliError> {
    let scenario = Scenario::read(&args.scenario)?;
    let [first, second] = &scenario.states[..] else {
        return Err(io::Error::other("a story has two states").into());
    };
    let temp = TempDir::new()?;
    let upstream = Upstream::new(temp.path())?;
    let lab = Lab::up(&LabSpec::from_sources(&first.sources)?)?;
    let nodes: Vec<NodeName> = lab
        .nodes()
        .into_iter()
        .filter_map(|end| if let Endpoint::Node(node) = end { Some(node) } else { None })
        .collect();
    say(&format!(
        "\n=== {} nodes, each with chainmail-fetch and chainmaild, and one repository\n\n",
        nodes.len()
    ))?;
    let floor = upstream.commit(&first.sources, &first.name, Signing::By(ALICE))?;
    say(&format!("$ git commit -S -m {} && git push\n", first.name))?;
    upstream.repository.push()?;
    let last = nodes.len() - 1;
    let start = |(at, node)| {
        let source = if at == last { Source::Snapshots } else { Source::Policies };
        Member::start(&lab, &upstream, temp.path(), (node, source, Remote::Folder), &floor)
    };
    let begin = Instant::now();
    let members = nodes.into_iter().enumerate().map(start).collect::<Result<_, FleetError>>()?;
    let mut fleet = Fleet { lab, upstream, members, surprises: 0 };
    fleet.enforced(begin)?;
    fleet.packets(&first.truth)?;

    say("=== a push\n\n")?;
    fleet.upstream.commit(&second.sources, &second.name, Signing::By(ALICE))?;
    show(&fleet.upstream.repository.checkout(), &["diff", "HEAD~1..HEAD"], temp.path())?;
    say(&format!("$ git commit -S -m {} && git push\n", second.name))?;
    fleet.upstream.repository.push()?;
    fleet.enforced(Instant::now())?;
    fleet.packets(&second.truth)?;

    say("=== a commit that nobody signed\n\n")?;
    fleet.unsigned(&first.sources)?;
    fleet.same_packets(&second.truth)?;

    say("=== somebody changes the rules of a node\n\n")?;
    fleet.drift()?;
    fleet.same_packets(&second.truth)?;
    let Fleet { lab, members, surprises, .. } = fleet;
    drop(members);
    lab.down()?;
    say(&format!("{surprises} surprises\n"))?;
    Ok(if surprises == 0 { Ending::Done } else { Ending::Differences })
}

impl Fleet {
    /// Waits until each node enforces what was committed for it, and shows the digests.
    fn enforced(&self, begin: Instant) -> Result<(), CliError> {
        for member in &self.members {
            let digest = self.upstream.digest(&member.node)?;
            member.wait_for(&digest)?;
            let after = begin.elapsed().as_secs_f64();
            let short = digest.get(..12).unwrap_or(&digest);
            say(&format!(
                "{}  from {:<9}  enforces {short}, the digest that was committed, after {after:.2} s\n",
                member.node,
                member.source.as_str()
            ))?;
        }
        say("\n")?;
        Ok(())
    }

    fn packets(&mut self, truth: &TruthTable) -> Result<(), CliError> {
        self.surprises += compared("what real packets do", truth, &self.lab.observe(truth)?)?;
        Ok(())
    }

    /// Asks again what has been shown already.
    fn same_packets(&mut self, truth: &TruthTable) -> Result<(), CliError> {
        let differences = truth.differences(&self.lab.observe(truth)?);
        say(&format!(
            "real packets: {} tries, {} of them end otherwise\n\n",
            truth.probes().len(),
            differences.len()
        ))?;
        self.surprises += differences.len();
        Ok(())
    }

    /// A commit without a signature is refused by each node, and nothing changes.
    fn unsigned(&self, sources: &Sources) -> Result<(), CliError> {
        let before = self.digests()?;
        let commit = self.upstream.commit(sources, "Everything as it was", Signing::Nobody)?;
        say("$ git commit -m 'Everything as it was' && git push\n")?;
        self.upstream.repository.push()?;
        for member in &self.members {
            member.wait_until("refused", |member| {
                let status = member.fetched()?;
                Ok(status["state"] == "untrusted" && status["seen"] == commit.as_str())
            })?;
        }
        self.print(&self.members[0], "chainmail-fetch", &["status"])?;
        if self.digests()? != before {
            return Err(io::Error::other("an unsigned commit changed what is in force").into());
        }
        self.upstream.repository.undo()?;
        say("$ git reset --hard HEAD~1 && git push --force\n\n")?;
        self.upstream.repository.push()?;
        for member in &self.members {
            member.wait_until("well again", |member| Ok(member.fetched()?["state"] == "synced"))?;
        }
        Ok(())
    }

    fn digests(&self) -> Result<Vec<serde_json::Value>, FleetError> {
        self.members.iter().map(|member| Ok(member.applied()?["enforced"].clone())).collect()
    }

    /// A chain that is flushed by hand is whole again at once.
    fn drift(&self) -> Result<(), CliError> {
        let member = &self.members[1];
        let tool = format!("iptables-{}", self.lab.backend().as_str());
        let flush = [tool.as_str(), "-F", "CM-INGRESS"];
        say(&format!("{} $ {}\n", member.node, flush.join(" ")))?;
        self.lab.exec(&Endpoint::Node(member.node.clone()), &flush)?;
        let after = member.wait_until("healed", |member| Ok(member.applied()?["last_heal"].is_object()))?;
        say(&format!("healed after {:.2} s; in /var/log/chainmail/audit.jsonl:\n", after.as_secs_f64()))?;
        for line in member.audit()?.iter().filter(|line| line["event"] == "healed") {
            say(&format!("  {} {}\n", line["change"].as_str().unwrap_or_default(), line["line"]))?;
        }
        say("\n")?;
        self.print(member, "chainmaild", &["verify"])
    }

    fn print(&self, member: &Member, program: &'static str, words: &[&str]) -> Result<(), CliError> {
        say(&format!("{} $ {program} {}\n", member.node, words.join(" ")))?;
        let output = member.ask(&self.lab, program, words)?;
        io::stdout().write_all(&output.stdout)?;
        io::stdout().write_all(&output.stderr)?;
        say(&format!("exit code {}\n\n", output.status.code().unwrap_or(-1)))?;
        Ok(())
    }
}
