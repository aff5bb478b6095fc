//! Which manifests a command works on.

use std::path::{Path, PathBuf};

use chainmail_compiler::diagnostic::{Severity, render};
use chainmail_compiler::source::{self, Sources};
use chainmail_compiler::{Loaded, load};

use super::{Exit, Failure, Screen, output};

/// The manifests: a folder, or a revision of a Git repository.
#[derive(Debug, clap::Args)]
pub(super) struct InputArgs {
    /// The folder (or one file) with the manifests [default: the current folder].
    #[arg(value_name = "PATH", conflicts_with_all = ["repo", "rev"])]
    path: Option<PathBuf>,
    /// A Git repository to read from; its work tree is not looked at, so it may be bare.
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// The revision to read: a branch, a tag, a commit [default with --repo: HEAD].
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
}

/// How findings are dealt with.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct FindingArgs {
    /// Treat warnings as errors.
    #[arg(long)]
    pub(super) strict: bool,
}

impl InputArgs {
    /// Reads the files.
    pub(super) fn sources(&self) -> Result<Sources, Failure> {
        let sources = match (&self.path, &self.repo, &self.rev) {
            (Some(path), _, _) => source::from_folder(path),
            (None, None, None) => source::from_folder(Path::new(".")),
            (None, repo, rev) => {
                let repo = repo.as_deref().unwrap_or(Path::new("."));
                source::from_revision(repo, rev.as_deref().unwrap_or("HEAD"))
            }
        };
        sources.map_err(|error| Failure::input(&error))
    }
}

/// Loads the cluster and prints what was found. Errors end the command.
pub(super) fn loaded(sources: &Sources, findings: FindingArgs, screen: Screen) -> Result<Loaded, Failure> {
    let mut loaded = load(sources);
    if findings.strict {
        loaded.findings.make_strict();
    }
    output::error_text(&render(&loaded.findings, screen.stderr));
    if loaded.findings.has_errors() {
        let count = loaded.findings.sorted().iter().filter(|d| d.severity == Severity::Error).count();
        let plural = if count == 1 { "error" } else { "errors" };
        return Err(Failure {
            exit: Exit::Input,
            message: format!("{count} {plural}; nothing was compiled"),
        });
    }
    Ok(loaded)
}
