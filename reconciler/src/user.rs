//! The shell: what root runs by hand becomes the user of the applying half.
//!
//! The state belongs to that user, who could lead root's writes elsewhere by a link, and could not replace what root has
//! written. So a command of root that writes there is run again as that user, with the two capabilities that changing rules
//! takes and no other. Where the state belongs to root, as before there was such a user, root stays root.

#![expect(clippy::disallowed_methods, reason = "this module is the one that becomes another program")]

use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::geteuid;

use crate::kernel::process::find_tool;
use crate::paths::Paths;

/// What `chainmaild` needs of root's rights, as setpriv(1) takes it.
const CAPABILITIES: &str = "-all,+net_admin,+net_raw";

/// Becomes the owner of the state folder, where this is root and that is somebody else. Then it does not return.
///
/// # Errors
/// When the program cannot be run as that user.
pub fn become_owner(paths: &Paths) -> std::io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let owner = match std::fs::symlink_metadata(paths.state()) {
        Ok(state) if state.uid() != 0 => state,
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let setpriv = find_tool("setpriv").ok_or_else(|| Error::other("setpriv is not installed"))?;
    let mut command = Command::new(setpriv);
    command
        .arg(format!("--reuid={}", owner.uid()))
        .arg(format!("--regid={}", owner.gid()))
        .args(["--clear-groups", "--no-new-privs"])
        .args([format!("--inh-caps={CAPABILITIES}"), format!("--ambient-caps={CAPABILITIES}")])
        .arg(format!("--bounding-set={CAPABILITIES}"))
        .arg("--")
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1));
    Err(command.exec())
}
