//! A review as workflow commands of GitHub Actions: annotations beside the lines that are the cause.
//!
//! The service shows ten errors, ten warnings and ten notices of a step and drops the rest without a word, so the tenth
//! of a kind says how many there are beside it.

use super::escape::{command_property, command_text, line, short};
use super::words::{counted, headline};
use crate::diff::{Cause, Flow, Isolation, IsolationChange, Review, Side};

/// How many annotations of one level the service shows of a step.
const MOST: usize = 10;

/// How loud an annotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Error,
    Warning,
    Notice,
}

impl Level {
    const ALL: [Level; 3] = [Level::Error, Level::Warning, Level::Notice];

    fn command(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
        }
    }
}

struct Annotation<'a> {
    level: Level,
    title: String,
    message: String,
    cause: Option<&'a Cause>,
}

/// Prints a review: what lets the world in is an error, what opens a warning, what closes a notice. The last line is the
/// summary, for the log.
#[must_use]
pub fn github(review: &Review) -> String {
    let mut all = Vec::new();
    if let Some(reachability) = &review.reachability {
        all.extend(reachability.flows.iter().map(of_flow));
        all.extend(reachability.isolation.iter().map(of_isolation));
    }
    let mut text = String::new();
    for level in Level::ALL {
        let of_level: Vec<&Annotation<'_>> =
            all.iter().filter(|annotation| annotation.level == level).collect();
        let shown = if of_level.len() > MOST { MOST - 1 } else { of_level.len() };
        for annotation in &of_level[..shown] {
            text.push_str(&command(annotation));
        }
        if shown < of_level.len() {
            let more = counted(of_level.len() - shown, "more change", "more changes");
            let message = format!("{more} like these; `chainmail diff` prints all");
            text.push_str(&format!("::{} title=chainmail::{}\n", level.command(), command_text(&message)));
        }
    }
    text + &line(&headline(review)) + "\n"
}

fn of_flow(flow: &Flow) -> Annotation<'_> {
    let level = match (flow.world, flow.change.opens()) {
        (true, true) => Level::Error,
        (false, true) => Level::Warning,
        (_, false) => Level::Notice,
    };
    let world = if flow.world { " to the world" } else { "" };
    let ends = |ends: &[String]| match ends {
        [] => "anyone".to_owned(),
        [one] => short(one, 80),
        [first, rest @ ..] => format!("{} and {} more", short(first, 80), rest.len()),
    };
    let allowed = |allowed: &crate::query::Allowed| short(&allowed.to_string(), 80);
    let message = format!(
        "{} → {}: {} before, {} after; chainmail explain {} {} {}",
        ends(&flow.from.ends),
        ends(&flow.to.ends),
        allowed(&flow.before),
        allowed(&flow.after),
        short(&flow.witness.from, 80),
        short(&flow.witness.to, 80),
        flow.witness.service
    );
    let title = format!("{:?}{world}", flow.change);
    Annotation { level, title, message, cause: flow.causes.first() }
}

fn of_isolation(isolation: &Isolation) -> Annotation<'_> {
    let (level, title) = match isolation.change {
        IsolationChange::NoLongerIsolated => (Level::Warning, "No longer isolated"),
        IsolationChange::NewlyIsolated => (Level::Notice, "Newly isolated"),
    };
    let first = isolation.pods.ends.first().map_or_else(String::new, |pod| short(pod, 80));
    let pods = counted(isolation.pods.count, "pod", "pods");
    let message = format!("{}: {pods}, {first} among them", isolation.direction);
    Annotation { level, title: title.to_owned(), message, cause: isolation.causes.first() }
}

fn command(annotation: &Annotation<'_>) -> String {
    // A line of the base stands elsewhere in what the pull request shows, or nowhere.
    let place = match annotation.cause {
        Some(cause) if cause.side == Side::Head => {
            format!("file={},line={},", command_property(&cause.file), cause.line)
        }
        Some(_) | None => String::new(),
    };
    let elsewhere = match annotation.cause {
        Some(cause) if cause.side == Side::Base => {
            format!(" (was at {}:{})", short(&cause.file, 80), cause.line)
        }
        Some(_) | None => String::new(),
    };
    format!(
        "::{} {place}title={}::{}\n",
        annotation.level.command(),
        command_property(&annotation.title),
        command_text(&(annotation.message.clone() + &elsewhere))
    )
}
