//! The shell: the users of the three parts, and the folders that each of them has.
//!
//! What speaks to the network cannot write the spool, so each part is a user of its own. The units say so; where a person
//! says `run` or `once` as root, this program becomes those users itself. Where they do not exist, or another user says it,
//! all parts are that one user: the checks are the same, and no kernel holds the walls.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the one that makes folders for others and starts processes"
)]

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use chainmail_reconciler::files::{self, FileError};
use rustix::fs::{Gid, Uid, chown};
use thiserror::Error;

use crate::child::program;
use crate::paths::Paths;

/// A part of this program that has a user of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Speaks to the remote.
    Download,
    /// Verifies, and alone may write the spool.
    Verify,
    /// Runs probes, and answers who asks for metrics.
    Probe,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 3] = [Part::Download, Part::Verify, Part::Probe];

    /// The command that runs it.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Part::Download => "download",
            Part::Verify => "verify",
            Part::Probe => "probe",
        }
    }

    /// The name of its user. The verifier has the one that the whole program had, so that what it wrote is still its own.
    #[must_use]
    pub fn user(self) -> &'static str {
        match self {
            Part::Download => "chainmail-download",
            Part::Verify => "chainmail-fetch",
            Part::Probe => "chainmail-probe",
        }
    }

    /// The folders that it alone writes.
    #[must_use]
    pub fn folders(self, paths: &Paths) -> Vec<PathBuf> {
        match self {
            Part::Download => vec![paths.quarantine()],
            Part::Verify => vec![paths.state(), paths.node.spool(), paths.run()],
            Part::Probe => vec![paths.probe()],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User {
    user: u32,
    group: u32,
}

/// Who the parts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// All are the user of this process.
    One,
    /// Each is its own.
    Several([SeveralUser; 3]),
}

/// The user of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeveralUser(Part, User);

/// Why the folders cannot be had.
#[derive(Debug, Error)]
pub enum UsersError {
    /// A file cannot be read or made.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder cannot be given away.
    #[error("cannot make {path} for {user}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Its user.
        user: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl Users {
    /// Who the parts are, if this process starts them.
    ///
    /// # Errors
    /// When the file of users cannot be read.
    pub fn find(paths: &Paths) -> Result<Self, UsersError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Users::One);
        }
        let passwd = files::read(&paths.root().join("etc/passwd"))?.unwrap_or_default();
        Ok(Self::of(&passwd))
    }

    /// Who the parts are by a text as in passwd(5).
    fn of(passwd: &str) -> Self {
        let user = |part: Part| {
            let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
            let line = lines.find(|fields| fields.first() == Some(&part.user()))?;
            let number = |at: usize| line.get(at)?.parse::<u32>().ok().filter(|number| *number != 0);
            Some(SeveralUser(part, User { user: number(2)?, group: number(3)? }))
        };
        match Part::ALL.map(user) {
            [Some(a), Some(b), Some(c)] => Users::Several([a, b, c]),
            _ => Users::One,
        }
    }

    fn user(&self, part: Part) -> Option<User> {
        let Users::Several(users) = self else { return None };
        users.iter().find(|SeveralUser(of, _)| *of == part).map(|SeveralUser(_, user)| *user)
    }

    /// Makes the folders that are missing, as `chainmail.tmpfiles.conf` and the units do: one part watches those of another.
    ///
    /// # Errors
    /// When one cannot be made.
    pub fn make_folders(&self, paths: &Paths) -> Result<(), UsersError> {
        for part in Part::ALL {
            for path in part.folders(paths) {
                let fail = |source| UsersError::Folder { path: path.clone(), user: part.user(), source };
                match self.user(part) {
                    Some(user) if !path.exists() => self.make(part, user, paths, &path).map_err(fail)?,
                    Some(_) => {}
                    None => files::make_dir(&path)?,
                }
            }
        }
        Ok(())
    }

    fn make(&self, part: Part, user: User, paths: &Paths, path: &Path) -> std::io::Result<()> {
        if let Some(above) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o755).create(above)?;
        }
        std::fs::create_dir(path)?;
        // What was downloaded is for the verifier alone to read, what it remembers for nobody.
        let (mode, group) = match part {
            Part::Download => (0o750, self.user(Part::Verify).unwrap_or(user).group),
            Part::Verify if path == paths.state() => (0o700, user.group),
            Part::Verify | Part::Probe => (0o755, user.group),
        };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        chown(path, Some(Uid::from_raw(user.user)), Some(Gid::from_raw(group)))?;
        Ok(())
    }

    /// A process of this program that does a part's work.
    #[must_use]
    pub fn command(&self, paths: &Paths, part: Part) -> Command {
        let mut command = Command::new(program());
        command.arg("--root").arg(paths.root());
        if let Some(user) = self.user(part) {
            // No other group: whoever starts it may have many.
            command.uid(user.user).gid(user.group).env_remove("HOME");
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_several_users_only_where_all_of_them_exist() {
        let line = |name: &str, number: &str| format!("{name}:x:{number}:{number}::/:/bin/false\n");
        let [a, b, c] = Part::ALL.map(|part| line(part.user(), "990"));
        assert!(matches!(Users::of(&format!("root:x:0:0\n{a}{b}{c}")), Users::Several(_)));
        assert_eq!(Users::of(&format!("{a}{c}")), Users::One);
        assert_eq!(
            Users::of(&format!("{a}{b}{}", line("chainmail-probe", "0"))),
            Users::One,
            "root is no user of it"
        );
        assert_eq!(Users::of(""), Users::One);
    }
}
