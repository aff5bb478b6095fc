//! Exit codes, the same for all of Chainmail's programs.

use std::process::ExitCode;

/// What a program's exit says. The numbers are part of the interface: scripts and units depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All is done, or there was nothing to do.
    Done = 0,
    /// There are differences, or a gate, test or lint failed.
    Differences = 1,
    /// The command line or the configuration is wrong. The argument parser exits with this number too.
    Usage = 2,
    /// The input is invalid, or Git or a file could not be read or written.
    Input = 3,
    /// A revision or a snapshot is not trusted.
    Trust = 4,
    /// The change failed or was refused, and the old state is verified to be in force.
    OldStateInForce = 5,
    /// The change failed and the kernel's state is not the expected one.
    UnexpectedState = 6,
    /// Another process is at work, or changes are paused or held.
    Busy = 7,
}

impl Exit {
    /// All of them, in order of their numbers.
    pub const ALL: [Exit; 8] = [
        Exit::Done,
        Exit::Differences,
        Exit::Usage,
        Exit::Input,
        Exit::Trust,
        Exit::OldStateInForce,
        Exit::UnexpectedState,
        Exit::Busy,
    ];

    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}
