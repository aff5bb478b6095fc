//! The shell: manifests from standard input, as `kustomize build` and `helm template` print them.

use std::io::Read as _;

use super::{FILE_BYTES, SourceError, SourceFile, Sources, Unread, Why};

/// The path that findings give to standard input.
pub const STDIN_PATH: &str = "<stdin>";

/// Reads all of standard input as one file. It has no repository, and so no configuration but the given one.
///
/// # Errors
/// When it cannot be read.
pub fn from_stdin(config: Option<SourceFile>) -> Result<Sources, SourceError> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| SourceError::Io { path: STDIN_PATH.to_owned(), source })?;
    let path = STDIN_PATH.to_owned();
    let read = bytes.len() as u64;
    let sources = if read > FILE_BYTES {
        Sources::default()
            .with_unread(vec![Unread { path, why: Why::Size { bytes: read, most: FILE_BYTES } }])
    } else {
        Sources::new(vec![SourceFile { path, bytes }])
    };
    Ok(match config {
        Some(config) => sources.with_config(config),
        None => sources,
    })
}
