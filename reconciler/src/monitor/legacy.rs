//! The shell: the lock file of legacy tables, so that what others do to them is seen at once.
//!
//! The kernel has no news of legacy tables, but iptables-legacy opens this file before it changes one and closes it
//! afterwards, in whatever mount namespace it runs, as long as the file there is the host's. What changes tables without
//! it is found by [`super::lookout`].

use std::time::Duration;

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::{Errno, read};

/// The lock, unless its user says another: XTABLES_LOCKFILE in iptables(8).
const LOCK: &str = "/run/xtables.lock";
/// How long a file is waited for that is not there: any tool of legacy tables makes it.
const MISSING: Duration = Duration::from_secs(5);
/// More than one event of inotify(7) takes. What they say does not matter.
const BUFFER: usize = 4096;

/// Calls `changed` whenever somebody has closed the lock, until it returns `false`.
///
/// # Errors
/// When the kernel has no inotify, or this process may not read the file.
pub fn watch(mut changed: impl FnMut() -> bool) -> std::io::Result<()> {
    let news = init(CreateFlags::CLOEXEC)?;
    // The file is opened to be read alone.
    let closed = WatchFlags::CLOSE_WRITE | WatchFlags::CLOSE_NOWRITE | WatchFlags::DELETE_SELF;
    let mut buffer = vec![0; BUFFER];
    loop {
        // One that was made anew is another file; for the same one this changes nothing.
        match add_watch(&news, LOCK, closed) {
            Ok(_) => {}
            Err(Errno::NOENT) => {
                std::thread::sleep(MISSING);
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        match read(&news, buffer.as_mut_slice()) {
            Ok(_) if changed() => {}
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
