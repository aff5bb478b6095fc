//! The shell that writes one file: whole, or not at all.

use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{WriteError, io};

/// Puts a file with these bytes in the place of the one of that name, in one step. A device or a pipe is written to as
/// it is, and so is what `/dev` names, `/dev/stdout` say, which may be a file that others write to.
///
/// # Errors
/// When it cannot be written; then what was there is there still.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let is_other = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    if is_other || path.starts_with("/dev") {
        let mut file = OpenOptions::new().append(true).open(path).map_err(io(path))?;
        return file.write_all(bytes).map_err(io(path));
    }
    // Through a link to the file that those who read it mean.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_not_there| path.to_path_buf());
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    // As open(2) makes files, less the umask; tempfile's own default is for secrets.
    builder.prefix(".chainmail-").permissions(Permissions::from_mode(0o666));
    let mut file = builder.tempfile_in(parent).map_err(io(path))?;
    file.write_all(bytes).map_err(io(path))?;
    file.persist(&target).map_err(|error| io(path)(error.error))?;
    Ok(())
}
