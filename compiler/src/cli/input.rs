//! Which manifests a command works on.

use std::path::{Path, PathBuf};

use chainmail_findings::{Findings, Severity, render};
use chainmail_manifest::source::{self, SourceError, SourceFile, Sources};
use chainmail_manifest::{Cache, CacheFolder};
use chainmail_pipeline::{Loaded, check_questions, load_with};

use super::output::{self, counted};
use super::{Exit, Failure, Screen};

/// The manifests: a folder, standard input, or a revision of a Git repository; and live objects beside them.
#[derive(Debug, clap::Args)]
pub(super) struct InputArgs {
    /// The folder (or one file, or a bare repository) with the manifests, or `-` for standard input [default: the
    /// current folder].
    #[arg(value_name = "PATH", conflicts_with_all = ["repo", "rev"])]
    path: Option<PathBuf>,
    /// A Git repository to read from; its work tree is not looked at, so it may be bare.
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// The revision to read: a branch, a tag, a commit [default with --repo: HEAD].
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    #[command(flatten)]
    beside: BesideArgs,
}

/// What is read beside manifests, wherever those are.
#[derive(Debug, clap::Args)]
pub(super) struct BesideArgs {
    /// Read this configuration instead of the chainmail.toml at the root of the manifests.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Live namespaces, nodes and pods, as `kubectl get ns,nodes,pods -A -o yaml` (or json) prints them: a file, or a
    /// folder of such files; may be given again.
    #[arg(long, value_name = "PATH")]
    inventory: Vec<PathBuf>,
    /// Leave out objects of this kind, although they change traffic and are not understood; may be given again.
    #[arg(long, value_name = "KIND")]
    allow_unsupported: Vec<String>,
}

/// How manifests are loaded, and their findings dealt with.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct FindingArgs {
    /// Treat warnings as errors.
    #[arg(long)]
    pub(super) strict: bool,
    /// Neither read nor write the cache of decoded manifests: $CHAINMAIL_CACHE, else $XDG_CACHE_HOME/chainmail, else
    /// ~/.cache/chainmail.
    #[arg(long)]
    no_cache: bool,
}

impl InputArgs {
    /// Reads the files.
    pub(super) fn sources(&self) -> Result<Sources, Failure> {
        sources(self.path.as_deref(), self.repo.as_deref(), self.rev.as_deref(), &self.beside)
    }
}

/// Reads a path, else a revision of a repository where one of these is named, else the current folder.
pub(super) fn sources(
    path: Option<&Path>,
    repo: Option<&Path>,
    rev: Option<&str>,
    beside: &BesideArgs,
) -> Result<Sources, Failure> {
    let here = Path::new(".");
    match (path, repo, rev) {
        (Some(path), _, _) => beside.with_path(path),
        (None, None, None) => beside.with_path(here),
        (None, repo, rev) => beside.with_revision(repo.unwrap_or(here), rev.unwrap_or("HEAD")),
    }
}

impl InputArgs {
    /// Reads another revision of the repository that the manifests are in.
    pub(super) fn earlier(&self, rev: &str) -> Result<Sources, Failure> {
        if let Some(repo) = &self.repo {
            return self.beside.with_revision(repo, rev);
        }
        let path = self.path.as_deref().unwrap_or(Path::new("."));
        let is_root = source::path_in_repository(path).is_some_and(|below| below.as_os_str().is_empty());
        if self.rev.is_none() && !is_root && !source::is_bare_repository(path) {
            let message = format!(
                "{} is not the root of a Git repository, and another revision can only be compared as a whole",
                path.display()
            );
            return Err(Failure::usage(message));
        }
        self.beside.with_revision(path, rev)
    }

    /// Where the manifests' folder is in its repository: nothing for the root, else a path that ends in `/`.
    pub(super) fn folder_in_repository(&self) -> String {
        if self.repo.is_some() || self.rev.is_some() {
            return String::new();
        }
        let path = self.path.as_deref().unwrap_or(Path::new("."));
        let folder = if path.is_file() { path.parent().unwrap_or(path) } else { path };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let below = source::path_in_repository(folder).unwrap_or_default();
        below.components().map(|part| format!("{}/", part.as_os_str().to_string_lossy())).collect()
    }
}

impl BesideArgs {
    /// Reads a folder, a file, a bare repository's HEAD, or standard input.
    pub(super) fn with_path(&self, path: &Path) -> Result<Sources, Failure> {
        self.with(|config| {
            if path == Path::new("-") {
                source::from_stdin(config)
            } else if source::is_bare_repository(path) {
                source::from_revision_with(path, "HEAD", config)
            } else {
                source::from_folder_with(path, config)
            }
        })
    }

    /// Reads a revision of a repository.
    pub(super) fn with_revision(&self, repo: &Path, rev: &str) -> Result<Sources, Failure> {
        self.with(|config| source::from_revision_with(repo, rev, config))
    }

    fn with(
        &self,
        read: impl FnOnce(Option<SourceFile>) -> Result<Sources, SourceError>,
    ) -> Result<Sources, Failure> {
        let fail = |error| Failure::input(&error);
        let config = self.config.as_deref().map(source::config_file).transpose().map_err(fail)?;
        let sources = read(config).map_err(fail)?;
        let mut inventories = Vec::new();
        for path in &self.inventory {
            inventories.extend(source::inventories(path).map_err(fail)?);
        }
        Ok(sources.with_inventories(inventories).allowing_unsupported(self.allow_unsupported.iter().cloned()))
    }
}

impl FindingArgs {
    /// Loads the cluster, its findings as severe as is wanted.
    pub(super) fn load(self, sources: &Sources) -> Loaded {
        self.load_with(sources, &mut self.cache())
    }

    /// As [`Self::load`], with a cache that other sources are loaded with too.
    fn load_with(self, sources: &Sources, cache: &mut Cache) -> Loaded {
        let mut loaded = load_with(sources, cache);
        if self.strict {
            loaded.findings.make_strict();
        }
        loaded
    }

    /// What earlier runs read, unless that is unwanted.
    pub(super) fn cache(self) -> Cache {
        let path = CacheFolder::usual_path().filter(|_| !self.no_cache);
        Cache::in_folder(path.and_then(|path| CacheFolder::open(&path)))
    }
}

/// What manifests are read for, which decides what is said of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Compile,
    Check,
    Diff,
    Lint,
    Query,
    Test,
}

impl Purpose {
    /// Notes are about the manifests: whoever asks what they come to has read them before.
    fn wants_notes(self) -> bool {
        match self {
            Purpose::Compile | Purpose::Check => true,
            Purpose::Diff | Purpose::Lint | Purpose::Query | Purpose::Test => false,
        }
    }

    /// Whether what is asked is asked of the pods too that workloads will have.
    fn is_question(self) -> bool {
        match self {
            Purpose::Compile | Purpose::Check => false,
            Purpose::Diff | Purpose::Lint | Purpose::Query | Purpose::Test => true,
        }
    }

    /// What an error comes to.
    fn refusal(self) -> &'static str {
        match self {
            Purpose::Compile => "nothing was compiled",
            Purpose::Check => "the manifests are not valid",
            Purpose::Diff => "nothing was compared",
            Purpose::Lint => "nothing was linted",
            Purpose::Query => "nothing was asked",
            Purpose::Test => "nothing was tested",
        }
    }
}

/// Loads the cluster and prints what was found. Errors end the command.
pub(super) fn loaded(
    sources: &Sources,
    findings: FindingArgs,
    purpose: Purpose,
    screen: Screen,
) -> Result<Loaded, Failure> {
    loaded_with(sources, findings, purpose, screen, &mut findings.cache())
}

/// As [`loaded`], with a cache that other sources are loaded with too.
pub(super) fn loaded_with(
    sources: &Sources,
    findings: FindingArgs,
    purpose: Purpose,
    screen: Screen,
    cache: &mut Cache,
) -> Result<Loaded, Failure> {
    let mut loaded = findings.load_with(sources, cache);
    if !purpose.wants_notes() {
        loaded.findings.drop_notes();
    }
    if purpose.is_question() && !loaded.findings.has_errors() {
        loaded.findings.extend(check_questions(&loaded, sources));
    }
    output::error_text(&render(&loaded.findings, screen.stderr));
    refuse_errors(&loaded.findings, purpose)?;
    Ok(loaded)
}

/// Prints further findings. Errors end the command.
pub(super) fn told(
    mut findings: Findings,
    args: FindingArgs,
    purpose: Purpose,
    screen: Screen,
) -> Result<(), Failure> {
    if args.strict {
        findings.make_strict();
    }
    output::error_text(&render(&findings, screen.stderr));
    refuse_errors(&findings, purpose)
}

/// Ends the command where there is an error.
pub(super) fn refuse_errors(findings: &Findings, purpose: Purpose) -> Result<(), Failure> {
    match findings.count(Severity::Error) {
        0 => Ok(()),
        count => {
            let errors = counted(count, "error", "errors");
            Err(Failure { exit: Exit::Input, message: format!("{errors}; {}", purpose.refusal()) })
        }
    }
}
