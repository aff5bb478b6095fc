//! The shell: looks at the host for [`crate::doctor`].

#![expect(clippy::disallowed_methods, reason = "this module is the one that reads /proc and /sys at large")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use chainmail_contract::Family;
use chainmail_verdict::record::{Record, records};
use chainmail_verdict::{Sets, Table};

use crate::config::Config;
use crate::doctor::{Facts, LockFile, Part};
use crate::kernel::backend::{Backend, kernel_families};
use crate::kernel::process::{Call, find_tool};
use crate::links::{self, Route, Said};
use crate::live::LiveTable;
use crate::lock::{self, FETCH_LOCK};
use crate::paths::Paths;
use crate::{files, preflight, spool, state};

/// Looks at the host. What cannot be read is told as not found.
#[must_use]
pub fn gather(paths: &Paths, config: &Config) -> Facts {
    let host_backend = Backend::detect().ok();
    let pinned = state::pinned_backend(paths);
    let (said, routes) = (said(paths), routes());
    let backend = config.backend.or(pinned).or(host_backend);
    let tables = Backend::ALL.map(|backend| (backend, preflight::own_tables(backend)));
    let foreign = tables.iter().flat_map(|(backend, tables)| {
        let rules = |(family, table): (&Family, &LiveTable)| -> Vec<String> {
            table.strangers.iter().map(|rule| format!("{backend} {family}: {rule}")).collect()
        };
        tables.iter().flat_map(rules).collect::<Vec<_>>()
    });
    let texts = Backend::ALL.map(|backend| (backend, filter_texts(backend)));
    let before = texts.iter().flat_map(|(backend, texts)| {
        texts.iter().flat_map(move |(family, text)| {
            passing_before(*family, text).into_iter().map(move |rule| format!("{backend} {family}: {rule}"))
        })
    });
    Facts {
        forward_v4: number("/proc/sys/net/ipv4/ip_forward"),
        forward_v6: number("/proc/sys/net/ipv6/conf/all/forwarding"),
        rp_filter: rp_filter(),
        source_routes: number("/proc/sys/net/ipv4/conf/all/accept_source_route"),
        overlays: overlays(),
        bridges: bridges(),
        to_pods: links::to_pods(&routes, &said.pods),
        to_others: links::to_others(&routes),
        said,
        bridge_calls: number("/proc/sys/net/bridge/bridge-nf-call-iptables"),
        ipvs: ipvs(),
        backend,
        host_backend,
        holding: tables
            .iter()
            .filter(|(_, tables)| !tables.is_empty())
            .map(|(backend, _)| *backend)
            .collect(),
        foreign: foreign.collect(),
        jump: config.jump.clone(),
        before: before.collect(),
        ipset: Call::new("ipset").arg("--version").run("").ok(),
        conntrack: find_tool("conntrack").is_some(),
        lock_file: lock_file(paths),
        degraded: backend.map(degraded).unwrap_or_default(),
        confirm: config.confirm,
        fetches: lock::is_held(&paths.fetch(), FETCH_LOCK),
        pulling: pulling(paths),
        chains: texts.iter().flat_map(|(_, texts)| texts.values().flat_map(|text| chains(text))).collect(),
    }
}

/// The owner of the state folder is the user of the unit; root may open all. iptables-legacy opens the file to be read.
fn lock_file(paths: &Paths) -> LockFile {
    let Ok(file) = std::fs::metadata("/run/xtables.lock") else { return LockFile::Missing };
    let Ok(state) = std::fs::metadata(paths.state()) else { return LockFile::Open };
    let asked = match (state.uid() == file.uid(), state.gid() == file.gid()) {
        (true, _) => 0o400,
        (false, true) => 0o040,
        (false, false) => 0o004,
    };
    if state.uid() == 0 || file.mode() & asked != 0 { LockFile::Open } else { LockFile::Closed }
}

/// The owners of the folders in which the parts of `chainmail-fetch` write. No part starts where its folder is another user's.
fn pulling(paths: &Paths) -> BTreeMap<Part, u32> {
    let folders =
        [(Part::Download, paths.download()), (Part::Verify, paths.spool()), (Part::Probe, paths.probe())];
    let owner = |folder: &Path| std::fs::metadata(folder).ok().map(|folder| folder.uid());
    folders.into_iter().filter_map(|(part, folder)| Some((part, owner(&folder)?))).collect()
}

fn degraded(backend: Backend) -> BTreeMap<String, String> {
    let families = kernel_families().unwrap_or_default().into_iter();
    families.filter_map(|family| Some((family.to_string(), backend.missing_tool(family)?))).collect()
}

fn number(path: &str) -> Option<u8> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn rp_filter() -> BTreeMap<String, u8> {
    let folder = Path::new("/proc/sys/net/ipv4/conf");
    let names = files::names(folder).unwrap_or_default();
    let value = |name: &String| number(folder.join(name).join("rp_filter").to_str()?);
    names.into_iter().filter_map(|name| Some((name.clone(), value(&name)?))).collect()
}

/// Interfaces that are up, by their kinds (`DEVTYPE`) and the numbers of `linux/if_arp.h`: IPIP, IPv6 in IPv6, SIT, GRE and GRE
/// over IPv6.
fn overlays() -> BTreeSet<String> {
    let folder = Path::new("/sys/class/net");
    let text = |name: &str, file: &str| {
        std::fs::read_to_string(folder.join(name).join(file)).unwrap_or_default().trim().to_owned()
    };
    let is_up = |name: &String| {
        let flags = text(name, "flags");
        u32::from_str_radix(flags.trim_start_matches("0x"), 16).is_ok_and(|flags| flags & 1 == 1)
    };
    let unwraps = |name: &String| {
        text(name, "uevent").lines().any(|line| matches!(line, "DEVTYPE=vxlan" | "DEVTYPE=geneve"))
            || matches!(&*text(name, "type"), "768" | "769" | "776" | "778" | "823")
    };
    let names = files::names(folder).unwrap_or_default().into_iter();
    names.filter(is_up).filter(unwraps).collect()
}

/// A bridge has a folder of that name, and one with its ports.
fn bridges() -> BTreeMap<String, bool> {
    let folder = Path::new("/sys/class/net");
    let names = files::names(folder).unwrap_or_default().into_iter();
    let bridges = names.filter(|name| folder.join(name).join("bridge").is_dir());
    let used =
        |name: &String| files::names(&folder.join(name).join("brif")).is_ok_and(|ports| !ports.is_empty());
    bridges.map(|name| (name.clone(), used(&name))).collect()
}

/// What the last good snapshot says; nothing where it cannot be read.
fn said(paths: &Paths) -> Said {
    let mut said = Said::default();
    let Some(digest) = spool::pointer(&paths.good()).ok().flatten() else { return said };
    let text = |file: &str| files::read(&paths.kept(&digest).join(file)).ok().flatten().unwrap_or_default();
    let Ok(sets) = Sets::parse(&text("ipsets")) else { return said };
    for family in Family::ALL {
        said.add(family, &text(family.rules_file()), &sets);
    }
    said
}

fn routes() -> Vec<Route> {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    [Route::all_v4(&text("/proc/net/route")), Route::all_v6(&text("/proc/net/ipv6_route"))].concat()
}

/// The file has three lines of head. kube-proxy in that mode also has an interface of this name.
fn ipvs() -> bool {
    let services = std::fs::read_to_string("/proc/net/ip_vs").unwrap_or_default();
    services.lines().count() > 3 || Path::new("/sys/class/net/kube-ipvs0").exists()
}

/// What the tools print of table filter, by family.
fn filter_texts(backend: Backend) -> BTreeMap<Family, String> {
    // A table that nobody has made must not be made by looking at it.
    let is_made = |family: &Family| {
        let names = match family {
            Family::V4 => "/proc/net/ip_tables_names",
            Family::V6 => "/proc/net/ip6_tables_names",
        };
        backend != Backend::Legacy || std::fs::read_to_string(names).is_ok_and(|t| t.contains("filter"))
    };
    let text = |family: Family| Call::new(backend.save_tool(family)).arg("-t").arg("filter").run("").ok();
    Family::ALL.into_iter().filter(is_made).filter_map(|family| Some((family, text(family)?))).collect()
}

fn chains(text: &str) -> Vec<String> {
    let chains = records(text).filter_map(|line| match line.record {
        Record::Chain { name, .. } => Some(name.to_owned()),
        _ => None,
    });
    chains.collect()
}

/// A text of no known form is told of by the cycle that keeps the rules.
fn passing_before(family: Family, text: &str) -> Vec<String> {
    let table = Table::read(family, text);
    table.iter().flat_map(Table::passing_before_our_jump).map(str::to_owned).collect()
}
