//! Other values in the place of one.

use std::net::IpAddr;

use chainmail_contract::Family;

use super::Slip;
use super::words::Names;

/// What else an option with these values could be: the slip, and the words in their place, the option's name first.
pub(super) fn changes(option: &str, values: &[&str], names: &Names<'_>) -> Vec<(Slip, Vec<String>)> {
    let value = values.first().copied().unwrap_or_default();
    let to = |slip, others: Vec<String>| -> Vec<(Slip, Vec<String>)> {
        let rest = values.iter().skip(1).map(|value| (*value).to_owned());
        let whole = |other| [option.to_owned(), other].into_iter().chain(rest.clone()).collect();
        others.into_iter().map(|other| (slip, whole(other))).collect()
    };
    let renamed = |slip, others: &[&str]| -> Vec<(Slip, Vec<String>)> {
        let values = values.iter().map(|value| (*value).to_owned());
        let whole = |other: &&str| std::iter::once((*other).to_owned()).chain(values.clone()).collect();
        others.iter().filter(|other| **other != option).map(|other| (slip, whole(other))).collect()
    };
    match option {
        "-A" => to(Slip::Chain, others(&names.chains, value)),
        "-s" | "-d" => [renamed(Slip::End, &["-s", "-d"]), to(Slip::Address, networks(value))].concat(),
        "-i" | "-o" => {
            let mut other = vec![
                format!("{value}+"),
                format!("{value}x"),
                "+".to_owned(),
                value.get(1..).unwrap_or_default().to_owned(),
            ];
            // One name where all that begin so were meant, and more or fewer beginnings.
            if let Some(prefix) = value.strip_suffix('+') {
                let shorter = prefix.get(..prefix.len().saturating_sub(1)).unwrap_or_default();
                other.extend([prefix.to_owned(), format!("{shorter}+"), format!("{prefix}x+")]);
            }
            [renamed(Slip::End, &["-i", "-o"]), to(Slip::Interface, other)].concat()
        }
        "-p" => to(Slip::Protocol, others(&["tcp", "udp", "sctp", "icmp", "ipv6-icmp", "47", "all"], value)),
        "-m" => to(Slip::Protocol, others(&["tcp", "udp", "sctp", "multiport", "set"], value)),
        "--dport" | "--sport" => {
            [renamed(Slip::End, &["--dport", "--sport"]), to(Slip::Port, port_ranges(value))].concat()
        }
        "--dports" | "--sports" => {
            [renamed(Slip::End, &["--dports", "--sports", "--ports"]), to(Slip::Port, port_lists(value))]
                .concat()
        }
        "--match-set" => {
            let name = names.others_like(value).chain(names.stranger(value));
            let name = to(Slip::Set, name.map(ToOwned::to_owned).collect());
            let ends = values.get(1).copied().unwrap_or_default();
            let directions = directions(ends).into_iter();
            let directions = directions.map(|ends| vec![option.to_owned(), value.to_owned(), ends]);
            [name, directions.map(|words| (Slip::End, words)).collect()].concat()
        }
        "--ctstate" => {
            to(Slip::State, lists(value, &["NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "SNAT"]))
        }
        "--tcp-flags" => {
            let flags = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ALL", "NONE"];
            let masks = to(Slip::Flags, lists(value, &flags));
            let set = lists(values.get(1).copied().unwrap_or_default(), &flags).into_iter();
            let set = set.map(|set| (Slip::Flags, vec![option.to_owned(), value.to_owned(), set]));
            masks.into_iter().chain(set).collect()
        }
        "--hl-eq" => to(Slip::HopLimit, ["254", "256", "64", "1", "0"].map(ToOwned::to_owned).into()),
        "--icmp-type" | "--icmpv6-type" => {
            let number: i64 = value.parse().unwrap_or_default();
            let near = [number - 1, number + 1, 128, 0].map(|number| number.to_string());
            let coded = [format!("{value}/0"), format!("{value}/1"), "any".to_owned()];
            to(Slip::Icmp, near.into_iter().chain(coded).collect())
        }
        "--dst-type" => to(Slip::Kind, lists(value, &["UNICAST", "BROADCAST", "MULTICAST", "LOCAL"])),
        "--pkt-type" => to(Slip::Kind, others(&["unicast", "broadcast", "multicast"], value)),
        "-j" | "-g" => {
            let ends: Vec<(Slip, Vec<String>)> =
                others(&["RETURN", "DROP", "ACCEPT", "REJECT", "LOG"], value)
                    .into_iter()
                    .map(|end| (Slip::Target, vec!["-j".to_owned(), end]))
                    .collect();
            let chains = to(Slip::Target, others(&names.chains, value));
            [renamed(Slip::Target, &["-j", "-g"]), ends, chains].concat()
        }
        "--reject-with" => {
            let other = match names.family {
                Family::V4 => ["icmp-port-unreachable", "icmp-admin-prohibited"],
                Family::V6 => ["icmp6-port-unreachable", "icmp6-adm-prohibited"],
            };
            [to(Slip::Target, other.map(ToOwned::to_owned).into()), vec![(Slip::Target, Vec::new())]].concat()
        }
        "--comment" => to(Slip::Comment, vec!["\"another\"".to_owned(), "\"-j ACCEPT\"".to_owned()]),
        _ => Vec::new(),
    }
}

fn others(all: &[&str], but: &str) -> Vec<String> {
    all.iter().filter(|other| **other != but).map(|other| (*other).to_owned()).collect()
}

/// A list with one item another, one more, or one fewer.
fn lists(list: &str, items: &[&str]) -> Vec<String> {
    let held: Vec<&str> = list.split(',').collect();
    let mut all = Vec::new();
    for at in 0..held.len() {
        let with = |by: Option<&str>| {
            let items = held[..at].iter().copied().chain(by).chain(held[at + 1..].iter().copied());
            items.collect::<Vec<&str>>().join(",")
        };
        all.extend(items.iter().map(|item| with(Some(item))));
        if held.len() > 1 {
            all.push(with(None));
        }
    }
    all.extend(items.iter().filter(|item| !held.contains(item)).map(|item| format!("{list},{item}")));
    all
}

/// Each direction another, one more, one fewer.
fn directions(ends: &str) -> Vec<String> {
    lists(ends, &["src", "dst"]).into_iter().chain([format!("{ends},src"), format!("{ends},dst")]).collect()
}

/// A port or range with its ends moved.
fn port_ranges(range: &str) -> Vec<String> {
    let (first, last) = range.split_once(':').unwrap_or((range, range));
    let (Ok(first), Ok(last)) = (first.parse::<i64>(), last.parse::<i64>()) else { return Vec::new() };
    let ends = [
        (first - 1, last - 1),
        (first + 1, last + 1),
        (first - 1, last),
        (first + 1, last),
        (first, last - 1),
        (first, last + 1),
        (0, last),
        (first, 65535),
        (last, last),
        (first, first),
        (last, first),
    ];
    let ends = ends.into_iter().filter(|ends| *ends != (first, last));
    ends.map(|(first, last)| if first == last { first.to_string() } else { format!("{first}:{last}") })
        .collect()
}

/// A list of ports with one item moved, one more, or one fewer.
fn port_lists(list: &str) -> Vec<String> {
    let held: Vec<&str> = list.split(',').collect();
    let mut all = lists(list, &["1"]);
    for at in 0..held.len() {
        for other in port_ranges(held[at]) {
            let items = held[..at].iter().copied().chain([&*other]).chain(held[at + 1..].iter().copied());
            all.push(items.collect::<Vec<&str>>().join(","));
        }
    }
    all
}

/// The address beside another.
fn beside(address: IpAddr, up: bool) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let number = u32::from(address);
            IpAddr::V4(if up { number.wrapping_add(1) } else { number.wrapping_sub(1) }.into())
        }
        IpAddr::V6(address) => {
            let number = u128::from(address);
            IpAddr::V6(if up { number.wrapping_add(1) } else { number.wrapping_sub(1) }.into())
        }
    }
}

/// A network at another place, of another size, and of the other family.
fn networks(network: &str) -> Vec<String> {
    let (address, length) = network.split_once('/').unwrap_or((network, ""));
    let Ok(address) = address.parse::<IpAddr>() else { return Vec::new() };
    let moved = [beside(address, true), beside(address, false)];
    let slash = if length.is_empty() { "" } else { "/" };
    let mut all: Vec<String> = moved.iter().map(|address| format!("{address}{slash}{length}")).collect();
    let bits: i64 = if address.is_ipv4() { 32 } else { 128 };
    let length: i64 = length.parse().unwrap_or(bits);
    all.extend([length - 1, length + 1, 0, bits].map(|length| format!("{address}/{length}")));
    let stranger =
        if address.is_ipv4() { format!("::ffff:{address}/128") } else { "10.244.0.10/32".to_owned() };
    all.push(stranger);
    all.retain(|other| other != network);
    all
}

/// A member beside another: at another address, of another size, of another service.
pub(super) fn members(member: &str) -> Vec<String> {
    let Some((address, service)) = member.split_once(',') else { return networks(member) };
    let moved = networks(address).into_iter().map(|address| format!("{address},{service}"));
    let mut all: Vec<String> = moved.collect();
    if let Some((protocol, port)) = service.split_once(':') {
        let protocols = others(&["tcp", "udp", "sctp", "icmp"], protocol);
        all.extend(protocols.iter().map(|protocol| format!("{address},{protocol}:{port}")));
        all.extend(port_ranges(port).iter().map(|port| format!("{address},{protocol}:{port}")));
    }
    all
}
