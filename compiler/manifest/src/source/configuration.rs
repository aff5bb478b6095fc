//! The configuration that goes with the files. It is parsed once, since it says which files are read.

use chainmail_findings::Findings;

use super::SourceFile;
use crate::config::{Config, FileFilter};

/// The file with what it says.
#[derive(Debug, Clone)]
pub(super) struct Configuration {
    file: SourceFile,
    parsed: (Config, Findings),
}

impl Configuration {
    pub(super) fn read(file: SourceFile) -> Self {
        let parsed = Config::parse(&file.path, &file.bytes);
        Self { file, parsed }
    }

    pub(super) fn file(&self) -> &SourceFile {
        &self.file
    }

    pub(super) fn parsed(&self) -> &(Config, Findings) {
        &self.parsed
    }

    /// Which files are read.
    pub(super) fn filter(config: Option<&Self>) -> FileFilter {
        config.map(|config| config.parsed.0.files().clone()).unwrap_or_default()
    }
}

/// What it says follows from the file.
impl PartialEq for Configuration {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file
    }
}

impl Eq for Configuration {}
