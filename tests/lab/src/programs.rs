//! The shell: `chainmail` and `chainmaild`, run as users run them.

#![expect(clippy::disallowed_methods, reason = "this module is the one that runs the real programs")]

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use chainmail_contract::Family;
use chainmail_manifest::source::{self, SourceError, Sources};
use thiserror::Error;

use crate::probe::{Probe, Service};
use crate::truth::Cell;

/// A program that is not there, or failed.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// No such program.
    #[error("{name} is not in {}: build it, or set CHAINMAIL_BIN_DIR", searched.join(", "))]
    Missing {
        /// Its name.
        name: &'static str,
        /// Where it was looked for.
        searched: Vec<String>,
    },
    /// It could not be run.
    #[error("cannot run {program}: {source}")]
    Run {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It said no.
    #[error("{command} ended with {status}:\n{stderr}")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// `chainmail query` printed something else than a verdict for each question.
    #[error("chainmail query answered {answers} of {questions} questions; {line:?} is no verdict")]
    Answers {
        /// How many were understood.
        answers: usize,
        /// How many there were.
        questions: usize,
        /// What was not understood.
        line: String,
    },
}

/// Where manifests come from, as command lines say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A folder or file.
    Folder(PathBuf),
    /// A folder, and beside it a folder of live objects.
    Live {
        /// The folder.
        manifests: PathBuf,
        /// The inventory.
        inventory: PathBuf,
    },
    /// A revision of a Git repository.
    Revision {
        /// The repository.
        repo: PathBuf,
        /// The revision.
        rev: String,
    },
}

impl Origin {
    /// Reads the manifests.
    ///
    /// # Errors
    /// When files or Git cannot be read.
    pub fn read(&self) -> Result<Sources, SourceError> {
        match self {
            Origin::Folder(path) => source::from_folder(path),
            Origin::Live { manifests, inventory } => {
                Ok(source::from_folder(manifests)?.with_inventories(source::inventories(inventory)?))
            }
            Origin::Revision { repo, rev } => source::from_revision(repo, rev),
        }
    }

    /// A folder that manifests are written to, with their configuration and what is live beside them.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn written(sources: &Sources, folder: &Path) -> io::Result<Self> {
        if sources.inventories().next().is_some() {
            let (manifests, inventory) = (folder.join("manifests"), folder.join("live"));
            std::fs::create_dir_all(&inventory)?;
            for (number, (_, live)) in sources.inventories().enumerate() {
                let name = Path::new(live.path()).file_name().unwrap_or_default().to_string_lossy();
                let mut file = std::fs::File::create(inventory.join(format!("{number}-{name}")))?;
                io::copy(&mut live.open()?, &mut file)?;
            }
            Self::write(sources, &manifests)?;
            return Ok(Self::Live { manifests, inventory });
        }
        Self::write(sources, folder)?;
        Ok(Self::Folder(folder.to_path_buf()))
    }

    fn write(sources: &Sources, folder: &Path) -> io::Result<()> {
        for file in sources.iter().map(|(_, file)| file).chain(sources.config()) {
            let path = folder.join(&file.path);
            std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
            std::fs::write(path, &file.bytes)?;
        }
        Ok(())
    }

    /// A text that is the same for the same origin, from whichever folder it is named.
    #[must_use]
    pub fn label(&self) -> String {
        let full =
            |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf()).display().to_string();
        match self {
            Origin::Folder(path) => full(path),
            Origin::Live { manifests, inventory } => {
                format!("{} beside {}", full(manifests), full(inventory))
            }
            Origin::Revision { repo, rev } => format!("{} at {rev}", full(repo)),
        }
    }

    fn add_to(&self, command: &mut Command) {
        match self {
            Origin::Folder(path) => command.arg(path),
            Origin::Live { manifests, inventory } => command.arg("--inventory").arg(inventory).arg(manifests),
            Origin::Revision { repo, rev } => command.arg("--repo").arg(repo).arg("--rev").arg(rev),
        };
    }
}

/// Finds a program in `CHAINMAIL_BIN_DIR`, beside this one, or one folder up (where Cargo puts programs; tests stand in
/// `deps`).
///
/// # Errors
/// When it is in none of them.
pub fn find(name: &'static str) -> Result<PathBuf, ProgramError> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("CHAINMAIL_BIN_DIR").into_iter().map(PathBuf::from).collect();
    if let Ok(own) = std::env::current_exe() {
        folders.extend(own.ancestors().skip(1).take(2).map(Path::to_path_buf));
    }
    let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    let searched = || folders.iter().map(|folder| folder.display().to_string()).collect();
    found.ok_or_else(|| ProgramError::Missing { name, searched: searched() })
}

/// Runs a command to its end, with `input` on its standard input.
pub(crate) fn run(command: &mut Command, input: &str) -> Result<Output, ProgramError> {
    let fail = |command: &Command, source| ProgramError::Run {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|source| fail(command, source))?;
    let mut stdin = child.stdin.take().expect("standard input was asked for");
    let output = thread::scope(|scope| {
        // A program that ends early leaves input unread; its status says why.
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        child.wait_with_output()
    });
    let output = output.map_err(|source| fail(command, source))?;
    if output.status.success() {
        return Ok(output);
    }
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    Err(ProgramError::Failed {
        command: words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "),
        status: output.status.to_string(),
        stderr: String::from_utf8_lossy(&output.stderr).trim_end().to_owned(),
    })
}

/// Compiles manifests to a folder.
///
/// # Errors
/// When `chainmail` is not there or refuses them.
pub fn compile(origin: &Origin, out: &Path) -> Result<(), ProgramError> {
    let mut command = Command::new(find("chainmail")?);
    command.arg("compile");
    origin.add_to(&mut command);
    run(command.arg("--out").arg(out), "").map(drop)
}

/// What the compiled rules say of each probe. `name` is an endpoint's name in a question: a pod, or an address.
///
/// # Errors
/// When `chainmail` is not there, refuses, or does not answer each question.
pub fn predict(
    origin: &Origin,
    probes: &[Probe],
    name: impl Fn(&Probe, &crate::Endpoint) -> String,
) -> Result<Vec<Cell>, ProgramError> {
    let mut questions = String::new();
    for probe in probes {
        writeln!(questions, "{}", question(probe, &name)).expect("writing to a String cannot fail");
    }
    let mut command = Command::new(find("chainmail")?);
    command.arg("query");
    origin.add_to(&mut command);
    let output = run(command.args(["--engine", "rules", "-o", "json"]), &questions)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut cells = Vec::with_capacity(probes.len());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some(cell) = verdict(line) else {
            return Err(ProgramError::Answers {
                answers: cells.len(),
                questions: probes.len(),
                line: line.to_owned(),
            });
        };
        cells.push(cell);
    }
    if cells.len() == probes.len() {
        return Ok(cells);
    }
    Err(ProgramError::Answers { answers: cells.len(), questions: probes.len(), line: String::new() })
}

fn question(probe: &Probe, name: impl Fn(&Probe, &crate::Endpoint) -> String) -> serde_json::Value {
    let family = match probe.family {
        Family::V4 => 4,
        Family::V6 => 6,
    };
    let mut question = serde_json::json!({
        "src": name(probe, &probe.source),
        "dst": name(probe, &probe.destination),
        "protocol": probe.service.protocol(),
        "family": family,
    });
    if let Service::Port { number, .. } = probe.service {
        question["port"] = number.into();
    }
    question
}

/// `allow` or `deny`, alone, as a JSON string, or as the `verdict` of a JSON object.
fn verdict(line: &str) -> Option<Cell> {
    let json: Option<serde_json::Value> = serde_json::from_str(line).ok();
    let word = json.as_ref().and_then(|json| json.get("verdict").unwrap_or(json).as_str()).unwrap_or(line);
    match word {
        "allow" => Some(Cell::Allowed),
        "deny" => Some(Cell::Denied),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_words_or_json() {
        for line in ["allow", "\"allow\"", "{\"verdict\":\"allow\",\"src\":\"deny\"}"] {
            assert_eq!(verdict(line), Some(Cell::Allowed), "{line}");
        }
        assert_eq!(verdict("deny"), Some(Cell::Denied));
        for line in ["", "allowed", "{}", "{\"verdict\":1}", "[\"allow\"]"] {
            assert_eq!(verdict(line), None, "{line}");
        }
    }
}
