//! What is to be said of files, before anything of what they say.

use std::collections::BTreeMap;
use std::io;

use chainmail_findings::{Code, Diagnostic, Findings, Place};
use thiserror::Error;

use crate::source::{ENTRIES, REPEATED_BYTES, Sources, Unread, Why};

/// The largest document, and the largest item of an inventory, in bytes: what the API server takes in one request
/// (`MaxRequestBodyBytes` of its generic server).
pub(super) const DOCUMENT_BYTES: usize = 3 << 20;

/// The most documents of one file.
pub(super) const DOCUMENTS: usize = 1 << 16;

/// An item of an inventory that is larger than [`DOCUMENT_BYTES`], on its way through readers that only know
/// [`io::Error`]. Line and column from 1.
#[derive(Debug, Error)]
#[error("the item at line {line} is too large")]
pub(super) struct TooLarge {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl From<TooLarge> for io::Error {
    fn from(error: TooLarge) -> Self {
        io::Error::new(io::ErrorKind::FileTooLarge, error)
    }
}

/// Files that are not read, and such as are another file elsewhere.
pub(super) fn refused(sources: &Sources) -> Findings {
    let mut findings = Findings::default();
    for unread in sources.unread() {
        findings.push(refusal(unread));
    }
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (_, file) in sources.iter() {
        if let Some(other) = seen.insert(file.path.to_lowercase(), &file.path) {
            let message = format!("the path differs from {other} in case only");
            let help = "rename one: where case does not count, a checkout has one of the two";
            findings.push(Diagnostic::new(Code::CaseCollision, Some(whole(&file.path)), message).help(help));
        }
    }
    findings
}

/// A file as a whole.
fn whole(path: &str) -> Place {
    Place { file: path.to_owned(), line: 1, column: 1, excerpt: None }
}

fn refusal(unread: &Unread) -> Diagnostic {
    let (code, message, help) = match unread.why {
        Why::Size { bytes, most } => (
            Code::TooLarge,
            format!("the file has {bytes} bytes; at most {most} are read"),
            "make several files of it; live objects are read with --inventory, however many they are",
        ),
        Why::Total(bytes) => (
            Code::TooLarge,
            format!("with this file the manifests come to more than {bytes} bytes"),
            "take away what is not needed",
        ),
        Why::Entries => (
            Code::TooLarge,
            format!("with this there are more than {ENTRIES} files and folders"),
            "keep manifests in a repository or folder of their own",
        ),
        Why::Repeated => (
            Code::TooLarge,
            format!("with this file the copies of files come to more than {REPEATED_BYTES} bytes"),
            "keep one copy of each file",
        ),
        Why::LongPath => (
            Code::BadPath,
            "the path that begins so is longer than any that a work tree can have".to_owned(),
            "rename it",
        ),
        Why::Link => (
            Code::SymbolicLink,
            "the file is a symbolic link: what it points to was not reviewed here".to_owned(),
            "put the file itself there",
        ),
        Why::Submodule => (
            Code::Submodule,
            "the folder is a submodule, whose files this repository does not hold".to_owned(),
            "put the manifests themselves there",
        ),
        Why::Special => (Code::NotAFile, "this is no regular file".to_owned(), "remove it"),
        Why::Path => (
            Code::BadPath,
            "the path is not UTF-8, or has a control character, and cannot be named in a report".to_owned(),
            "rename it",
        ),
    };
    Diagnostic::new(code, Some(whole(&unread.path)), message).help(help)
}

/// Whether a file holds only where its content is (git-lfs, docs/spec.md: "The pointer file must be of the following
/// format", its first line the version).
pub(super) fn is_lfs_pointer(text: &str) -> bool {
    text.starts_with("version https://git-lfs.github.com/spec/")
}
