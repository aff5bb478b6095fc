//! The shell: manifests from a folder, or from one file.

#![expect(clippy::disallowed_methods, reason = "this module is the one that reads manifest folders")]

use std::path::{Path, PathBuf};

use super::{CONFIG_PATH, FileFilter, SourceError, SourceFile, Sources, filter, filter_of};

fn io(path: &Path) -> impl Fn(std::io::Error) -> SourceError {
    move |source| SourceError::Io { path: path.display().to_string(), source }
}

/// Reads the manifests below a folder, as its `chainmail.toml` says; dot files and dot folders are passed by. A path to
/// a file reads that file whatever its name.
///
/// # Errors
/// When something cannot be read, has a path that is not UTF-8, or a manifest is a symbolic link.
pub fn from_folder(root: &Path) -> Result<Sources, SourceError> {
    from_folder_with(root, None)
}

/// Reads the manifests below a folder, as the given configuration says instead of the folder's own.
///
/// # Errors
/// As [`from_folder`].
pub fn from_folder_with(root: &Path, config: Option<SourceFile>) -> Result<Sources, SourceError> {
    if root.is_file() {
        let sources = Sources::new(vec![read(root, file_name(root))?]);
        return Ok(with(sources, config));
    }
    let config = match config {
        Some(config) => Some(config),
        None => own_config(root)?,
    };
    let mut files = Vec::new();
    for (path, full) in walk(root, &filter_of(config.as_ref()))? {
        files.push(read(&full, path)?);
    }
    Ok(with(Sources::new(files), config))
}

fn with(sources: Sources, config: Option<SourceFile>) -> Sources {
    match config {
        Some(config) => sources.with_config(config),
        None => sources,
    }
}

fn read(full: &Path, path: String) -> Result<SourceFile, SourceError> {
    let bytes = std::fs::read(full).map_err(io(full))?;
    Ok(SourceFile { path, bytes })
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Reads a configuration that stands somewhere else; findings name it by the path that was given.
///
/// # Errors
/// When it cannot be read.
pub fn config_file(path: &Path) -> Result<SourceFile, SourceError> {
    read(path, path.display().to_string())
}

fn own_config(root: &Path) -> Result<Option<SourceFile>, SourceError> {
    let full = root.join(CONFIG_PATH);
    match full.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => Err(SourceError::Link { path: CONFIG_PATH.to_owned() }),
        Ok(_) => read(&full, CONFIG_PATH.to_owned()).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(&full)(error)),
    }
}

/// The files below a folder that a filter reads: path from the root, and the path to open.
pub(super) fn walk(root: &Path, filter: &FileFilter) -> Result<Vec<(String, PathBuf)>, SourceError> {
    let mut files = Vec::new();
    let mut folders = vec![(root.to_path_buf(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(io(&folder))? {
            let entry = entry.map_err(io(&folder))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(SourceError::Path { path: entry.path().to_string_lossy().into_owned() });
            };
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(io(&entry.path()))?;
            if name.starts_with('.') {
                continue;
            }
            if kind.is_dir() {
                folders.push((entry.path(), format!("{path}/")));
            } else if kind.is_symlink() && entry.path().is_dir() {
                // Its policies would be missed without a word, and what it points to was not reviewed here.
                return Err(SourceError::Link { path });
            } else if filter.reads(&path) {
                if kind.is_symlink() {
                    return Err(SourceError::Link { path });
                }
                if !kind.is_file() {
                    return Err(SourceError::NotAFile { path });
                }
                files.push((path, entry.path()));
            }
        }
    }
    filter::leave_out_snapshots(&mut files, |(path, _)| path);
    Ok(files)
}
