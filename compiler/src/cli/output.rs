//! The shell that prints: results on standard output, all else on standard error.

#![expect(clippy::disallowed_methods, reason = "this module is the one that looks at the terminal")]

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use chainmail_contract::escape::{lines, screen as screen_text};
use chainmail_findings::Style;
use chainmail_report::inert;

use super::{Colour, Exit, Failure, Screen};

/// Which streams to colour.
pub(super) fn screen(colour: Colour) -> Screen {
    let style = |terminal: bool| {
        let wanted = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && std::env::var("NO_COLOR").map_or(true, |value| value.is_empty()),
        };
        if wanted { Style::Coloured } else { Style::Plain }
    };
    Screen { stdout: style(std::io::stdout().is_terminal()), stderr: style(std::io::stderr().is_terminal()) }
}

/// Prints a result, made inert. A reader that has seen enough is no failure.
pub(super) fn text(text: &str) -> Result<Exit, Failure> {
    bytes(screen_text(text).as_bytes())
}

/// Prints a result as it is: a snapshot, or a shell's script.
pub(super) fn bytes(bytes: &[u8]) -> Result<Exit, Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(Exit::Done),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(error) => {
            Err(Failure { exit: Exit::Input, message: format!("cannot write the result: {error}") })
        }
    }
}

/// So many of a thing.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Says something beside the result. Where standard error is gone there is nobody to tell.
pub(super) fn error_line(line: &str) {
    let _nobody_listens = writeln!(std::io::stderr().lock(), "{}", lines(&inert(line)));
}

/// Prints findings.
pub(super) fn error_text(text: &str) {
    let _nobody_listens = write!(std::io::stderr().lock(), "{}", screen_text(&inert(text)));
}

/// Prints help, version or a usage error where it belongs.
pub(super) fn clap_message(error: &clap::Error) {
    let _nobody_listens = error.print();
}
