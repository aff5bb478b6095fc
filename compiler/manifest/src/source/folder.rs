//! The shell: manifests from a folder, or from one file.

#![expect(clippy::disallowed_methods, reason = "this module is the one that reads manifest folders")]

use std::path::{Path, PathBuf};

use chainmail_model::CONFIG_PATH;

use super::configuration::Configuration;
use super::unread::{Walked, is_printable};
use super::{ENTRIES, FILE_BYTES, SourceError, SourceFile, Sources, TOTAL_BYTES, Unread, Why, snapshots};
use crate::config::FileFilter;

fn io(path: &Path) -> impl Fn(std::io::Error) -> SourceError {
    move |source| SourceError::Io { path: path.display().to_string(), source }
}

/// Reads the manifests below a folder, as its `chainmail.toml` says; dot files and dot folders are passed by. A path to
/// a file reads that file whatever its name.
///
/// # Errors
/// When something cannot be read.
pub fn from_folder(root: &Path) -> Result<Sources, SourceError> {
    from_folder_with(root, None)
}

/// Reads the manifests below a folder, as the given configuration says instead of the folder's own.
///
/// # Errors
/// As [`from_folder`].
pub fn from_folder_with(root: &Path, config: Option<SourceFile>) -> Result<Sources, SourceError> {
    let mut unread = Vec::new();
    if root.is_file() {
        let file = read(root, file_name(root), &mut unread)?;
        let config = config.map(Configuration::read);
        let sources = Sources::new(file.into_iter().collect()).with_unread(unread);
        return Ok(sources.with_configuration(config));
    }
    let config = match config {
        Some(config) => Some(config),
        None => own_config(root, &mut unread)?,
    };
    let config = config.map(Configuration::read);
    let walked = walk(root, &Configuration::filter(config.as_ref()))?;
    unread.extend(walked.unread);
    let mut files = Vec::new();
    let mut total = 0;
    for (path, full) in walked.files {
        if let Some(file) = read(&full, path, &mut unread)? {
            total += file.bytes.len() as u64;
            if total > TOTAL_BYTES {
                files.clear();
                unread = Walked::<()>::given_up(file.path, Why::Total(TOTAL_BYTES)).unread;
                break;
            }
            if !snapshots::is_part(&file.path, &file.bytes) {
                files.push(file);
            }
        }
    }
    Ok(Sources::new(files).with_unread(unread).with_configuration(config))
}

/// Reads some files, whatever their names; findings name them by the paths that were given.
///
/// # Errors
/// When one cannot be read.
pub fn from_files(paths: &[PathBuf]) -> Result<Sources, SourceError> {
    let files: Result<Vec<SourceFile>, SourceError> = paths.iter().map(|path| config_file(path)).collect();
    Ok(Sources::new(files?))
}

/// A file's bytes, unless they are too many.
fn read(full: &Path, path: String, unread: &mut Vec<Unread>) -> Result<Option<SourceFile>, SourceError> {
    let size = std::fs::metadata(full).map_err(io(full))?.len();
    if size > FILE_BYTES {
        unread.push(Unread { path, why: Why::Size { bytes: size, most: FILE_BYTES } });
        return Ok(None);
    }
    let bytes = std::fs::read(full).map_err(io(full))?;
    Ok(Some(SourceFile { path, bytes }))
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Reads a configuration that stands somewhere else; findings name it by the path that was given.
///
/// # Errors
/// When it cannot be read.
pub fn config_file(path: &Path) -> Result<SourceFile, SourceError> {
    let bytes = std::fs::read(path).map_err(io(path))?;
    Ok(SourceFile { path: path.display().to_string(), bytes })
}

fn own_config(root: &Path, unread: &mut Vec<Unread>) -> Result<Option<SourceFile>, SourceError> {
    let full = root.join(CONFIG_PATH);
    match full.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => {
            unread.push(Unread { path: CONFIG_PATH.to_owned(), why: Why::Link });
            Ok(None)
        }
        Ok(_) => read(&full, CONFIG_PATH.to_owned(), unread),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(&full)(error)),
    }
}

/// Looks through a folder and all below it.
pub(super) fn walk(root: &Path, filter: &FileFilter) -> Result<Walked<PathBuf>, SourceError> {
    let mut walked = Walked { files: Vec::new(), unread: Vec::new() };
    let mut folders = vec![(root.to_path_buf(), String::new())];
    let mut entries = 0;
    while let Some((folder, prefix)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(io(&folder))? {
            entries += 1;
            if entries > ENTRIES {
                return Ok(Walked::given_up(prefix, Why::Entries));
            }
            let entry = entry.map_err(io(&folder))?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().map_err(io(&entry.path()))?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let is_folder = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
            let why = if !is_folder && !filter.reads(&path) {
                continue;
            } else if kind.is_symlink() {
                // Its policies would be missed without a word, and what it points to was not reviewed here.
                Why::Link
            } else if !is_printable(&path) {
                Why::Path
            } else if is_folder {
                folders.push((entry.path(), format!("{path}/")));
                continue;
            } else if kind.is_file() {
                walked.files.push((path, entry.path()));
                continue;
            } else {
                Why::Special
            };
            walked.unread.push(Unread { path, why });
        }
    }
    Ok(walked)
}
