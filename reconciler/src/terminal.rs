//! The shell: what is printed. Texts come from files, from other programs and from other users, so nothing is written here
//! that a terminal would take for a command.

use std::fmt::Display;
use std::io::{self, Write};

use chainmail_contract::escape;
use serde::Serialize;

/// Prints a result on standard output, made inert.
///
/// # Errors
/// When it cannot be written.
pub fn print(text: &str) -> io::Result<()> {
    io::stdout().lock().write_all(escape::lines(text).as_bytes())
}

/// Prints what this program itself has made, as it is: a shell's script has tabs.
///
/// # Errors
/// When it cannot be written.
pub fn print_script(script: &[u8]) -> io::Result<()> {
    io::stdout().lock().write_all(script)
}

/// Says on standard error why a command ends. That may be closed; the exit code still says it.
pub fn print_error(error: &dyn Display) {
    drop(writeln!(io::stderr().lock(), "{}", escape::lines(&format!("error: {error}"))));
}

/// A document for programs, which does nothing to a terminal either.
#[must_use]
pub fn json<T: Serialize>(value: &T) -> String {
    escape::json(&serde_json::to_string_pretty(value).expect("it has only string keys")) + "\n"
}

/// Makes each message inert that is logged to a writer. A message is written by one call.
#[derive(Debug)]
pub struct Inert<W>(pub W);

impl<W: Write> Write for Inert<W> {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        self.0.write_all(escape::lines(&String::from_utf8_lossy(message)).as_bytes())?;
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_do_nothing_to_a_terminal() {
        let mut log = Inert(Vec::new());
        log.write_all(" WARN title \u{1b}]0;x\u{7}\u{9b}2J\n".as_bytes()).unwrap();
        assert_eq!(log.0, b" WARN title \\u{1b}]0;x\\u{7}\\u{9b}2J\n");
        assert_eq!(json(&"\u{9b}2J\u{1b}"), "\"\\u009b2J\\u001b\"\n");
    }
}
