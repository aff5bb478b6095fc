//! `chainmaild denied`.

use std::time::{Duration, Instant};

use chainmail_contract::DENY_GROUP;
use clap::Args;
use serde::Serialize;

use super::look::{OutputArgs, in_force};
use super::{Answer, CliError, Output, setup};
use crate::cut;
use crate::denied::{self, Denied, Tally};
use crate::nflog::{Listener, News};
use crate::paths::Paths;
use crate::provenance::Provenance;
use crate::terminal;

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct DeniedArgs {
    /// How long, in seconds, like 10s.
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = seconds)]
    time: Duration,
    #[command(flatten)]
    output: OutputArgs,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse::<u32>();
    number.map(|number| Duration::from_secs(number.into())).map_err(|_| "write seconds, like 10s".to_owned())
}

#[derive(Serialize)]
struct Json<'a> {
    digest: &'a str,
    denied: &'a [Denied],
    /// Whether the kernel told of more than could be read.
    lost: bool,
}

pub(super) fn denied(paths: &Paths, args: DeniedArgs) -> Result<Answer, CliError> {
    let node = setup::node(&setup::config(paths)?)?;
    let loaded = in_force(paths, &node)?.ok_or(CliError::NoSnapshot)?;
    let rules = cut::rules(&loaded.snapshot)?;
    let provenance = Provenance::of(&loaded.desired, loaded.provenance.as_deref().unwrap_or_default());
    let failed = |source| CliError::Nflog { source };
    let mut listener = Listener::bind(DENY_GROUP).map_err(failed)?;
    tracing::info!(group = DENY_GROUP, "listening");
    let end = Instant::now() + args.time;
    let mut tally = Tally::default();
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        match listener.wait(left).map_err(failed)? {
            News::Packets(packets) => packets.iter().for_each(|told| tally.add(&rules, told)),
            News::Lost => tally.lost = true,
            News::Nothing => {}
        }
    }
    let lines = tally.lines(&provenance);
    let text = match args.output.output {
        Output::Json => {
            let json = Json { digest: loaded.digest().as_str(), denied: &lines, lost: tally.lost };
            terminal::json(&json)
        }
        Output::Text if lines.is_empty() => format!("no denied packet in {} s\n", args.time.as_secs()),
        Output::Text => {
            let lost = if tally.lost { "and more, which could not be read in time\n" } else { "" };
            denied::text(&lines) + lost
        }
    };
    Ok(Answer::done(text))
}
