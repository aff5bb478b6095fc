//! Annotations as GitHub's workflow commands, which its runner shows at the lines that they are about.
//!
//! The service shows ten errors, ten warnings and ten notices of a step and drops the rest without a word, so the tenth
//! of a level says how many there are beside it, and those follow as lines of the log. The runner cuts a message off
//! after 4,096 characters.

use std::fmt;

use chainmail_contract::escape::line;

use crate::escape::short;

/// How many annotations of one level the service shows of a step.
pub(crate) const MOST: usize = 10;
/// The longest message, in characters as the runner decodes it.
const MESSAGE: usize = 4_096;
/// How many of those that are not shown go to the log, of each level.
const LOGGED: usize = 1_000;

/// How loud an annotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Error,
    Warning,
    Notice,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
        })
    }
}

/// One annotation. What others wrote may stand in each of its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Annotation {
    pub(crate) level: Level,
    pub(crate) title: String,
    /// In lines, of which the first tells what it is about.
    pub(crate) message: Vec<String>,
    pub(crate) at: Option<At>,
}

/// A line of a file of the repository, by its path from the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) column: Option<u32>,
}

/// Prints all of them, the loudest first, as far as the service shows them.
pub(crate) fn commands(all: &[Annotation]) -> String {
    let mut text = String::new();
    for level in [Level::Error, Level::Warning, Level::Notice] {
        let these: Vec<&Annotation> = all.iter().filter(|annotation| annotation.level == level).collect();
        let shown = if these.len() > MOST { MOST - 1 } else { these.len() };
        let (shown, others) = these.split_at(shown);
        text.extend(shown.iter().map(|annotation| annotation.command()));
        if others.is_empty() {
            continue;
        }
        let more = format!("{} more like these are in the log of this step", others.len());
        text.push_str(&format!("::{level} title=chainmail::{more}\n"));
        text.extend(others.iter().take(LOGGED).map(|annotation| annotation.log_line()));
        if others.len() > LOGGED {
            text.push_str(&format!("  and {} more\n", others.len() - LOGGED));
        }
    }
    text
}

impl Annotation {
    /// A command's message and properties are escaped as `actions/toolkit` does it: a line break would end the command.
    fn command(&self) -> String {
        let mut properties = String::new();
        if let Some(At { file, line: number, column }) = &self.at {
            properties = format!("file={},line={number},", property(file));
            if let Some(column) = column {
                properties.push_str(&format!("col={column},"));
            }
        }
        let lines: Vec<String> = self.message.iter().map(|text| line(text)).collect();
        let message = short(&inert(&lines.join("\n")), MESSAGE).replace('%', "%25").replace('\n', "%0A");
        format!("::{} {properties}title={}::{message}\n", self.level, property(&self.title))
    }

    /// For what is not shown at its line: text that is no command, as it does not begin the line.
    fn log_line(&self) -> String {
        let at = self.at.as_ref().map_or(String::new(), |At { file, line, .. }| format!(" ({file}:{line})"));
        let first = self.message.first().map_or("", String::as_str);
        let text = line(&format!("{}[{}]: {first}{at}", self.level, self.title));
        format!("  {}\n", inert(&text))
    }
}

/// A property, in which `:` and `,` are signs too.
fn property(text: &str) -> String {
    inert(&line(text)).replace('%', "%25").replace(':', "%3A").replace(',', "%2C")
}

/// Returns the text without commands of the older form, which a runner takes anywhere in a line: they begin with `##[`.
#[must_use]
pub fn inert(text: &str) -> String {
    text.replace("##[", "#\\u{23}[")
}

/// What the runner makes of printed text.
#[cfg(test)]
pub(crate) mod runner {
    use chainmail_contract::escape::line;

    /// A command as it is decoded.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct Command {
        pub(crate) level: String,
        pub(crate) properties: Vec<(String, String)>,
        pub(crate) message: String,
    }

    fn decoded(text: &str) -> String {
        text.replace("%0D", "\r")
            .replace("%0A", "\n")
            .replace("%3A", ":")
            .replace("%2C", ",")
            .replace("%25", "%")
    }

    /// Reads each line as `ActionCommand` of actions/runner does. Anything that it would take for a command and is none of
    /// ours is an error.
    pub(crate) fn read(text: &str) -> Result<Vec<Command>, String> {
        let mut commands = Vec::new();
        for line in text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
            if line.contains("##[") {
                return Err(format!("a command of the older form: {line}"));
            }
            let Some(command) = line.trim_start().strip_prefix("::") else { continue };
            let (head, message) = command.split_once("::").ok_or_else(|| format!("no message: {line}"))?;
            let (level, properties) = head.split_once(' ').ok_or_else(|| format!("no property: {line}"))?;
            if !line.starts_with("::") || !["error", "warning", "notice"].contains(&level) {
                return Err(format!("another command: {line}"));
            }
            let mut known = Vec::new();
            for property in properties.split(',') {
                let (key, value) = property.split_once('=').ok_or_else(|| format!("no value: {line}"))?;
                if !["file", "line", "col", "title"].contains(&key) || known.iter().any(|(old, _)| old == key)
                {
                    return Err(format!("another property: {line}"));
                }
                known.push((key.to_owned(), decoded(value)));
            }
            let message = decoded(message);
            commands.push(Command { level: level.to_owned(), properties: known, message });
        }
        Ok(commands)
    }

    /// Whether the limits hold of printed text, whatever was to be printed; answers its commands.
    pub(crate) fn within_limits(text: &str) -> Result<Vec<Command>, String> {
        let commands = read(text)?;
        for level in ["error", "warning", "notice"] {
            let count = commands.iter().filter(|command| command.level == level).count();
            if count > super::MOST {
                return Err(format!("{count} commands of level {level}"));
            }
        }
        for command in &commands {
            let message = command.message.replace('\n', "");
            let mut texts = command.properties.iter().map(|(_, value)| value).chain([&message]);
            if texts.any(|text| line(text) != *text) {
                return Err(format!("not inert: {command:?}"));
            }
            if command.message.chars().count() > super::MESSAGE {
                return Err(format!("the message is cut off: {}", command.message.len()));
            }
        }
        Ok(commands)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hostile;

    fn annotation() -> impl Strategy<Value = Annotation> {
        let level = prop::sample::select(vec![Level::Error, Level::Warning, Level::Notice]);
        let at = (hostile::name(), any::<u32>(), any::<Option<u32>>()).prop_map(|(file, line, column)| At {
            file,
            line,
            column,
        });
        (level, hostile::name(), hostile::name(), prop::option::of(at)).prop_map(
            |(level, title, message, at)| Annotation {
                level,
                title,
                message: vec![message.repeat(20); 2],
                at,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_runner_reads_what_was_meant(all in prop::collection::vec(annotation(), 0..60)) {
            let text = commands(&all);
            let read = runner::within_limits(&text).map_err(TestCaseError::fail)?;
            for level in [Level::Error, Level::Warning, Level::Notice] {
                let of_level = all.iter().filter(|annotation| annotation.level == level).count();
                let shown: Vec<_> = read.iter().filter(|command| command.level == level.to_string()).collect();
                prop_assert_eq!(shown.len(), of_level.min(MOST));
                if of_level > MOST {
                    let rest = format!("{} more like these", of_level - (MOST - 1));
                    prop_assert!(shown.last().is_some_and(|last| last.message.starts_with(&rest)), "{}", text);
                }
                let begins = format!("  {level}[");
                let logged = text.lines().filter(|line| line.starts_with(&begins)).count();
                prop_assert_eq!(logged, of_level.saturating_sub(MOST - 1) * usize::from(of_level > MOST));
            }
            let errors = all.iter().filter(|annotation| annotation.level == Level::Error);
            for (command, of) in read.iter().zip(errors).take(MOST - 1) {
                let file = command.properties.iter().find(|(key, _)| key == "file").map(|(_, file)| file.clone());
                prop_assert_eq!(file, of.at.as_ref().map(|at| inert(&line(&at.file))));
            }
        }
    }
}
