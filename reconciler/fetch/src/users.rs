//! The shell: the users of the three parts, and the folders that each of them has.
//!
//! What speaks to the network cannot write the spool, so each part is a user of its own. The units say so; where a person
//! says `run`, `once` or `release` as root, this program becomes those users itself: root writes nothing into a folder in which
//! another user could have put a link. Where they do not exist, or another user says it,
//! all parts are that one user: the checks are the same, and no kernel holds the walls.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the one that makes folders for others and starts processes"
)]

use std::ffi::OsStr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use chainmail_reconciler::files::{self, FileError};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Dir, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, mkdirat, openat};
use rustix::io::Errno;
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

/// Whose a folder is to be, and who else may look into it.
#[derive(Debug, Clone, Copy)]
struct Owner {
    user: u32,
    group: u32,
    mode: Mode,
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
    /// This process cannot become a part's user.
    #[error("cannot go on as user {user}: {source}")]
    Become {
        /// The user.
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
                    Some(user) => self.make(part, user, paths, &path).map_err(fail)?,
                    None => files::make_dir(&path)?,
                }
            }
        }
        Ok(())
    }

    fn make(&self, part: Part, user: User, paths: &Paths, path: &Path) -> std::io::Result<()> {
        // Nothing is done to a folder of the part's, or to one that an administrator's link leads to.
        if std::fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == user.user) {
            return Ok(());
        }
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::INVAL.into());
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(above)?;
        // What was downloaded is for the verifier alone to read, what it remembers for nobody.
        let (mode, group) = match part {
            Part::Download => (0o750, self.user(Part::Verify).unwrap_or(user).group),
            Part::Verify if path == paths.state() => (0o700, user.group),
            Part::Verify | Part::Probe => (0o755, user.group),
        };
        let owner = Owner { user: user.user, group, mode: Mode::from_raw_mode(mode) };
        let above = openat(CWD, above, FOLDER - OFlags::NOFOLLOW, Mode::empty())?;
        match mkdirat(&above, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => give_away(&above, name, owner),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Becomes the user of a part, where this is root and that user exists: the rest of this command is done by the same
    /// program, started again. Then it does not return.
    ///
    /// # Errors
    /// When the file of users cannot be read, or the program cannot be started.
    pub fn become_user_of(paths: &Paths, part: Part) -> Result<(), UsersError> {
        let Some(user) = Self::find(paths)?.user(part) else { return Ok(()) };
        let mut command = Command::new(program());
        command.args(std::env::args_os().skip(1));
        let source = user.takes(&mut command).exec();
        Err(UsersError::Become { user: part.user(), source })
    }

    /// A process of this program that does a part's work.
    #[must_use]
    pub fn command(&self, paths: &Paths, part: Part) -> Command {
        let mut command = Command::new(program());
        command.arg("--root").arg(paths.root());
        if let Some(user) = self.user(part) {
            user.takes(&mut command);
        }
        command
    }
}

impl User {
    /// Has a process be this user.
    fn takes(self, command: &mut Command) -> &mut Command {
        // No other group: the library drops those of root.
        command.uid(self.user).gid(self.group).env_remove("HOME")
    }
}

/// How a folder is opened whose name another user may give to something else meanwhile.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Gives an empty folder of this process' user to another one. `/run/chainmail` belongs to the applying half, which may put
/// a link or another folder in the place of one that was just made. So all is asked of one handle, and done to it.
fn give_away(above: &OwnedFd, name: &OsStr, owner: Owner) -> std::io::Result<()> {
    let refuse = |why: String| Err(std::io::Error::other(why));
    let folder = match openat(above, name, FOLDER, Mode::empty()) {
        Ok(folder) => folder,
        Err(Errno::LOOP | Errno::NOTDIR) => {
            return refuse("something else than a folder is in its place".to_owned());
        }
        Err(errno) => return Err(errno.into()),
    };
    let found = fstat(&folder)?.st_uid;
    if found == owner.user {
        return Ok(());
    }
    if found != rustix::process::geteuid().as_raw() {
        return refuse(format!("it belongs to user {found}; remove it, or give it to user {}", owner.user));
    }
    let is_within = |entry: rustix::io::Result<rustix::fs::DirEntry>| {
        entry.map(|entry| ![c".", c".."].contains(&entry.file_name()))
    };
    for entry in Dir::read_from(&folder)?.map(is_within) {
        if entry? {
            return refuse(format!(
                "it belongs to user {found} and is not empty; remove it, or give all of it to user {}",
                owner.user
            ));
        }
    }
    fchown(&folder, Some(Uid::from_raw(owner.user)), Some(Gid::from_raw(owner.group)))?;
    // After it: chown(2) may take bits of the mode away.
    Ok(fchmod(&folder, owner.mode)?)
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

    const STRANGER: u32 = 64_104;

    fn users() -> Users {
        let lines = Part::ALL.iter().zip([64_101, 64_102, 64_103]);
        let lines =
            lines.map(|(part, number)| format!("{}:x:{number}:{number}::/:/bin/false\n", part.user()));
        Users::of(&lines.collect::<String>())
    }

    /// A root whose `run/chainmail` belongs to a stranger, and a file of root beside it. Only root can give folders away.
    fn node() -> Option<(tempfile::TempDir, Paths, PathBuf)> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        files::make_dir(&paths.node.run()).unwrap();
        std::os::unix::fs::chown(paths.node.run(), Some(STRANGER), Some(STRANGER)).unwrap();
        let victim = root.path().join("of-root");
        files::publish(&victim, "").unwrap();
        std::fs::set_permissions(&victim, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Some((root, paths, victim))
    }

    fn about(path: &Path) -> (u32, u32) {
        let about = std::fs::symlink_metadata(path).unwrap();
        (about.uid(), about.mode() & 0o7777)
    }

    #[test]
    fn folders_that_are_missing_are_made_for_their_users() {
        let Some((root, paths, _)) = node() else { return };
        for _ in 0..2 {
            users().make_folders(&paths).unwrap();
            assert_eq!(about(&paths.quarantine()), (64_101, 0o750));
            assert_eq!(about(&paths.state()), (64_102, 0o700));
            for path in [paths.node.spool(), paths.run()] {
                assert_eq!(about(&path), (64_102, 0o755));
            }
            assert_eq!(about(&paths.probe()), (64_103, 0o755));
        }
        // An administrator may have another disk in its place.
        std::fs::rename(paths.state(), root.path().join("disk")).unwrap();
        std::os::unix::fs::symlink(root.path().join("disk"), paths.state()).unwrap();
        users().make_folders(&paths).unwrap();
    }

    #[test]
    fn what_another_user_has_put_in_the_place_of_a_folder_is_not_given_away() {
        let Some((root, paths, victim)) = node() else { return };
        let within = root.path().join("folder-of-root");
        files::make_dir(&within).unwrap();
        let before = (about(&victim), about(&within));
        for what in
            ["link to a file", "link to a folder", "file", "folder of a stranger", "folder with a file"]
        {
            let path = paths.run();
            match what {
                "link to a file" => std::os::unix::fs::symlink(&victim, &path).unwrap(),
                "link to a folder" => std::os::unix::fs::symlink(&within, &path).unwrap(),
                "file" => files::publish(&path, "").unwrap(),
                "folder of a stranger" => {
                    files::make_dir(&path).unwrap();
                    std::os::unix::fs::chown(&path, Some(STRANGER), Some(STRANGER)).unwrap();
                }
                _ => {
                    files::make_dir(&path).unwrap();
                    files::publish(&path.join("a"), "").unwrap();
                }
            }
            let owner = about(&path).0;
            let error = users().make_folders(&paths).unwrap_err().to_string();
            assert!(error.contains("run/chainmail/fetch for chainmail-fetch"), "{what}: {error}");
            assert_eq!(((about(&victim), about(&within)), about(&path).0), (before, owner), "{what}");
            files::clear(&path).unwrap();
        }
    }

    #[test]
    fn a_link_that_takes_the_place_of_a_folder_just_made_is_not_followed() {
        let Some((_root, paths, victim)) = node() else { return };
        let before = about(&victim);
        let ends = std::sync::atomic::AtomicBool::new(false);
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        std::thread::scope(|scope| {
            // As fast as a process of the stranger could be.
            scope.spawn(|| {
                let aside = paths.node.run().join("aside");
                while !ends.load(relaxed) {
                    if std::fs::rename(paths.run(), &aside).is_ok() {
                        std::os::unix::fs::symlink(&victim, paths.run()).ok();
                        files::clear(&aside).ok();
                    }
                    files::clear(&paths.run()).ok();
                }
            });
            for _ in 0..3000 {
                users().make_folders(&paths).ok();
                if about(&victim) != before {
                    break;
                }
            }
            ends.store(true, relaxed);
        });
        assert_eq!(about(&victim), before);
    }
}
