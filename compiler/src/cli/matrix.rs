//! `chainmail query --from --to`.

use chainmail_model::{Cluster, PodState};
use chainmail_review::query::{End, Endpoint, Engine, Question, TooMany, matrix};

use super::formats::Outputs;
use super::query::{Args, Format};
use super::{Exit, Failure, Screen, output};

/// The ends of both sides, not too many; what is passed over is said.
pub(super) fn ends(
    args: &Args,
    outputs: &Outputs<Format>,
    cluster: &Cluster,
) -> Result<(Vec<End>, Vec<End>), Failure> {
    if outputs.formats().any(|format| format == Format::Plain) {
        return Err(Failure::usage("plain is for probes; write -o list, matrix, json or csv"));
    }
    let sources = side(&args.from, cluster)?;
    let destinations = side(&args.to, cluster)?;
    TooMany::refuse(sources.len(), destinations.len(), args.limit)
        .map_err(|error| Failure::usage(format!("{error}; name fewer, or raise --limit")))?;
    let mut passed_over: Vec<_> =
        args.from.iter().chain(&args.to).flat_map(|endpoint| endpoint.passed_over(cluster)).collect();
    passed_over.sort_by_key(|pod| pod.pod_ref());
    passed_over.dedup_by_key(|pod| pod.pod_ref());
    for (state, why) in [
        (PodState::HostNetwork, "on its node's network, and only asked by its own name"),
        (PodState::Finished, "finished"),
        (PodState::NoAddress, "without an address"),
    ] {
        let mut pods = passed_over.iter().filter(|pod| pod.state == state);
        if let Some(pod) = pods.next() {
            let more = match pods.count() {
                0 => String::new(),
                more => format!(", and {more} more alike"),
            };
            output::error_line(&format!("not asked: {} ({why}){more}", pod.pod_ref()));
        }
    }
    Ok((sources, destinations))
}

/// The ends of one side, each once, in the order in which they were named.
fn side(endpoints: &[Endpoint], cluster: &Cluster) -> Result<Vec<End>, Failure> {
    let mut ends: Vec<End> = Vec::new();
    for endpoint in endpoints {
        ends.extend(endpoint.ends(cluster).map_err(|error| Failure::input(&error))?);
    }
    let mut seen = std::collections::BTreeSet::new();
    ends.retain(|end| seen.insert(end.clone()));
    Ok(ends)
}

pub(super) fn run(
    args: &Args,
    outputs: &Outputs<Format>,
    screen: Screen,
    cluster: &Cluster,
    engine: &Engine<'_>,
    (sources, destinations): (Vec<End>, Vec<End>),
) -> Result<Exit, Failure> {
    let question = args.port.map_or(Question::Services, Question::Service);
    let matrix = matrix(cluster, engine, question, sources, destinations, &mut args.effort.effort())
        .map_err(|error| args.effort.failure(&error))?;
    outputs.print(screen, |format, _| match format {
        Format::List | Format::Plain => matrix.list(),
        Format::Matrix => matrix.picture(),
        Format::Csv => matrix.csv(),
        Format::Json => matrix.json(),
    })?;
    Ok(Exit::Done)
}
