//! Flows: who, whom, what and why.

use chainmail_findings::Agreed;
use chainmail_model::Direction;

use super::Detail;
use super::page::{Page, Tone, cut};
use crate::diff::{
    Ahead, Cause, Ends, EndsKind, Flow, FlowChange, Isolation, IsolationChange, Mixed, Presence,
    Reachability, Role, Side,
};
use crate::query::Allowed;

/// Into how many lines rows are cut: of flows between pods that stay, of others, of pods that are isolated, of addresses
/// that such pods left, and of what is open between revisions.
const FLOWS: usize = 16;
const PODS: usize = 4;
const ISOLATION: usize = 3;
const LEFT: usize = 4;
const MIXED: usize = 2;
/// Columns of an end, and of services.
const END: usize = 44;
const SERVICES: usize = 30;

pub(super) fn print(reachability: &Reachability, detail: Detail, page: &mut Page) {
    let stays = |flow: &&Flow| flow.pods == Presence::Stay;
    let (stay, others): (Vec<&Flow>, Vec<&Flow>) = reachability.flows.iter().partition(stays);
    let families = reachability.families.len();
    for (flows, lines) in [(stay, FLOWS), (others, PODS)] {
        some(&flows, lines, detail, page, |flow, page| print_flow(flow, families, detail, page));
    }
    let (of_pods, left): (Vec<&Isolation>, Vec<&Isolation>) =
        reachability.isolation.iter().partition(|row| row.addresses.is_empty());
    some(&of_pods, ISOLATION, detail, page, |row, page| print_isolation(row, detail, page));
    some(&left, LEFT, detail, page, |row, page| print_isolation(row, detail, page));
    some(&reachability.mixed, MIXED, detail, page, |row, page| print_mixed(row, detail, page));
}

/// The first of some rows, and how many more there are.
fn some<T>(rows: &[T], lines: usize, detail: Detail, page: &mut Page, print: impl FnMut(&T, &mut Page)) {
    let left_out = page.rows(rows, if detail == Detail::Full { usize::MAX } else { lines }, print);
    if left_out > 0 {
        page.line(Tone::Plain, 2, &format!("and {left_out} more of these, which -v shows"));
    }
}

fn print_flow(flow: &Flow, of_families: usize, detail: Detail, page: &mut Page) {
    let tone = match (flow.world, flow.change.opens()) {
        (true, _) => Tone::World,
        (false, true) => Tone::Opens,
        (false, false) => Tone::Closes,
    };
    let (sign, word) = match (flow.world, flow.pods, flow.change) {
        (true, Presence::Appear, _) => ("!", "new pod"),
        (true, _, change) => ("!", change_word(change)),
        (false, Presence::Appear, _) => ("+", "new pod"),
        (false, Presence::Vanish, _) => ("-", "pod gone"),
        (false, Presence::Stay, change @ (FlowChange::Opened | FlowChange::Widened)) => {
            ("+", change_word(change))
        }
        (false, Presence::Stay, change @ FlowChange::Closed) => ("-", change_word(change)),
        (false, Presence::Stay, change @ (FlowChange::Altered | FlowChange::Narrowed)) => {
            ("~", change_word(change))
        }
    };
    let services = match flow.change {
        FlowChange::Opened => services(&flow.after, detail),
        FlowChange::Closed => services(&flow.before, detail),
        FlowChange::Widened | FlowChange::Altered | FlowChange::Narrowed => {
            format!("{} -> {}", services(&flow.before, detail), services(&flow.after, detail))
        }
    };
    let families: Vec<String> = flow.families.iter().map(|family| format!("IP{family}")).collect();
    let families = match &families[..] {
        [one] if of_families > 1 => format!("  {one} only"),
        _ => String::new(),
    };
    let world = if flow.world { "  [world]" } else { "" };
    let (from, to) = (ends(&flow.from, detail), ends(&flow.to, detail));
    page.line(tone, 0, &format!("{sign} {word:8}  {from} -> {to}  {services}{families}{world}"));
    print_causes(&flow.causes, detail, page);
    print_waiver(flow.waived.as_ref(), page);
    if detail == Detail::Full {
        let witness = &flow.witness;
        let shown = format!("chainmail explain {} {} {}", witness.from, witness.to, witness.service);
        page.line(Tone::Plain, 12, &shown);
    }
}

fn change_word(change: FlowChange) -> &'static str {
    match change {
        FlowChange::Opened => "opened",
        FlowChange::Widened => "widened",
        FlowChange::Altered => "altered",
        FlowChange::Closed => "closed",
        FlowChange::Narrowed => "narrowed",
    }
}

fn ends(ends: &Ends, detail: Detail) -> String {
    let words = || ends.ends.iter().map(String::as_str);
    let listed = match detail {
        Detail::Full => words().collect::<Vec<_>>().join(", "),
        Detail::Short | Detail::Summary => cut(words(), ", ", END),
    };
    match ends.kind {
        EndsKind::Any => "anyone".to_owned(),
        EndsKind::Outside => format!("outside ({listed})"),
        EndsKind::Pods if ends.count == 1 => listed,
        EndsKind::Pods => format!("{listed} ({} pods)", ends.count),
    }
}

fn services(allowed: &Allowed, detail: Detail) -> String {
    let text = allowed.to_string();
    match detail {
        Detail::Full => text,
        // Ports have commas between them, protocols have spaces.
        Detail::Short | Detail::Summary => {
            cut(text.split(',').collect::<Vec<_>>().into_iter(), ",", SERVICES)
        }
    }
}

fn print_causes(causes: &[Cause], detail: Detail, page: &mut Page) {
    let shown = if detail == Detail::Full { causes.len() } else { 1 };
    for (place, cause) in causes.iter().take(shown).enumerate() {
        let more = if place + 1 == shown && causes.len() > shown {
            format!(" (and {} more)", causes.len() - shown)
        } else {
            String::new()
        };
        page.line(Tone::Plain, 12, &format!("{}{more}", cause_text(cause)));
    }
}

fn cause_text(cause: &Cause) -> String {
    let Cause { role, side, object, field, file, line, direction } = cause;
    let what = match (role, side) {
        (Role::Allow, Side::Head) => "allows it".to_owned(),
        (Role::Allow, Side::Base) => "allowed it".to_owned(),
        (Role::Isolate, Side::Head) => format!("isolates for {direction}"),
        (Role::Isolate, Side::Base) => format!("isolated for {direction}"),
        (Role::Label | Role::Port | Role::Address | Role::Setting, Side::Head) => "is another".to_owned(),
        (Role::Label | Role::Port | Role::Address | Role::Setting, Side::Base) => "was another".to_owned(),
        (Role::Object, Side::Head) => "comes".to_owned(),
        (Role::Object, Side::Base) => "goes".to_owned(),
    };
    let field = if field.is_empty() { String::new() } else { format!(" {field}") };
    let was = match side {
        Side::Base => "was ",
        Side::Head => "",
    };
    format!("{was}{file}:{line} {object}{field} {what}")
}

fn print_waiver(waived: Option<&Agreed>, page: &mut Page) {
    if let Some(agreed) = waived {
        page.line(Tone::Plain, 12, &format!("waived {agreed}"));
    }
}

fn print_isolation(row: &Isolation, detail: Detail, page: &mut Page) {
    let (tone, text) = match row.change {
        IsolationChange::NewlyIsolated => (Tone::Closes, "- isolated"),
        IsolationChange::NoLongerIsolated => (Tone::Opens, "+ freed   "),
    };
    let (policies, others): (Vec<Cause>, Vec<Cause>) =
        row.causes.iter().cloned().partition(|cause| cause.role == Role::Isolate);
    let by: Vec<String> =
        policies.iter().map(|cause| format!("{}:{} {}", cause.file, cause.line, cause.object)).collect();
    let by = match detail {
        Detail::Full => by.join(", "),
        Detail::Short | Detail::Summary => cut(by.iter().map(String::as_str), ", ", 60),
    };
    let word = match row.change {
        IsolationChange::NewlyIsolated => "by",
        IsolationChange::NoLongerIsolated => "was by",
    };
    let direction = match row.direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    };
    let by = if by.is_empty() { String::new() } else { format!(", {word} {by}") };
    page.line(tone, 0, &format!("{text}  {} for {direction}{by}", isolated(row, detail)));
    print_causes(&others, detail, page);
    print_waiver(row.waived.as_ref(), page);
}

/// The pods, or the addresses that they left.
fn isolated(row: &Isolation, detail: Detail) -> String {
    let pods = ends(&row.pods, detail);
    if row.addresses.is_empty() {
        return pods;
    }
    let addresses: Vec<String> = row.addresses.iter().map(ToString::to_string).collect();
    let addresses = match detail {
        Detail::Full => addresses.join(", "),
        Detail::Short | Detail::Summary => cut(addresses.iter().map(String::as_str), ", ", END),
    };
    format!("{addresses} (was {pods})")
}

fn print_mixed(row: &Mixed, detail: Detail, page: &mut Page) {
    let ahead = match row.ahead {
        Ahead::Source => "source",
        Ahead::Destination => "destination",
    };
    let (from, to) = (ends(&row.from, detail), ends(&row.to, detail));
    let services = services(&row.services, detail);
    let text = format!(
        "* between   {from} -> {to}  {services}, while only the node of the {ahead} has the new rules"
    );
    page.line(Tone::Opens, 0, &text);
}
