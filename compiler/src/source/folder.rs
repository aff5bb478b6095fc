//! The shell: manifests from a folder, or from one file.

#![expect(clippy::disallowed_methods, reason = "this module is the one that reads manifest folders")]

use std::path::Path;

use super::{SourceError, SourceFile, Sources, is_manifest};

/// Reads the manifests below a folder; dot files and dot folders are passed by. A path to a file reads that file
/// whatever its name.
///
/// # Errors
/// When something cannot be read, has a path that is not UTF-8, or a manifest is a symbolic link.
pub fn from_folder(root: &Path) -> Result<Sources, SourceError> {
    let io = |path: &Path, source| SourceError::Io { path: path.display().to_string(), source };
    if root.is_file() {
        let path = root.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let bytes = std::fs::read(root).map_err(|e| io(root, e))?;
        return Ok(Sources::new(vec![SourceFile { path, bytes }]));
    }
    let mut files = Vec::new();
    let mut folders = vec![(root.to_path_buf(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|e| io(&folder, e))? {
            let entry = entry.map_err(|e| io(&folder, e))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(SourceError::Path { path: entry.path().to_string_lossy().into_owned() });
            };
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(|e| io(&entry.path(), e))?;
            if name.starts_with('.') {
                continue;
            }
            if kind.is_dir() {
                folders.push((entry.path(), format!("{path}/")));
            } else if is_manifest(&path) {
                if kind.is_symlink() {
                    return Err(SourceError::Link { path });
                }
                let bytes = std::fs::read(entry.path()).map_err(|e| io(&entry.path(), e))?;
                files.push(SourceFile { path, bytes });
            }
        }
    }
    Ok(Sources::new(files))
}
