//! A set while its lines are read.

use std::net::IpAddr;
use std::time::Duration;

use chainmail_contract::{Family, SetName, Transport};
use ipnet::IpNet;

use super::{Flow, Members, NetMembers, Set, SetType};
use crate::error::{ParseError, Place, Reason};
use crate::parse::{Tokens, address, network, number, port, transport};

/// How many members a set takes unless it says otherwise.
const DEFAULT_MAXELEM: u32 = 65536;

/// A set so far: its `create` line and the members added since.
#[derive(Debug)]
pub(super) struct Draft {
    created: Place,
    name: SetName,
    family: Family,
    timeout: Option<Duration>,
    maxelem: u32,
    members: Raw,
}

/// Members with the lines that add them.
#[derive(Debug)]
enum Raw {
    Ip(Vec<(IpAddr, u32)>),
    Net(Vec<(IpNet, u32)>),
    IpPort(Vec<((IpAddr, Transport, u16), u32)>),
    IpPortIp(Vec<((Flow, Option<Duration>), u32)>),
}

impl Draft {
    /// Reads what follows `create NAME`.
    pub(super) fn create(name: &str, words: &mut Tokens<'_>) -> Result<Self, ParseError> {
        let place = words.place();
        let type_word = words.value_of(name)?;
        let (set_type, members) = match &*type_word {
            "hash:ip" => (SetType::HashIp, Raw::Ip(Vec::new())),
            "hash:net" => (SetType::HashNet, Raw::Net(Vec::new())),
            "hash:ip,port" => (SetType::HashIpPort, Raw::IpPort(Vec::new())),
            "hash:ip,port,ip" => (SetType::HashIpPortIp, Raw::IpPortIp(Vec::new())),
            _ => return Err(place.error(&type_word, Reason::UnknownSetType)),
        };
        let mut draft = Self {
            created: place,
            name: name.parse().map_err(|error| place.error(name, Reason::from(error)))?,
            family: Family::V4,
            timeout: None,
            maxelem: DEFAULT_MAXELEM,
            members,
        };
        while let Some(option) = words.next()? {
            match &*option {
                "family" => {
                    let word = words.value_of(&option)?;
                    let family = Family::ALL.into_iter().find(|family| family.ipset_word() == word);
                    draft.family = family.ok_or_else(|| place.not(&word, "inet or inet6"))?;
                }
                "maxelem" => {
                    draft.maxelem = number(place, &words.value_of(&option)?, "a number of members")?;
                }
                // A member that goes by itself changes what a set named by its content means.
                "timeout" if set_type == SetType::HashIpPortIp => {
                    draft.timeout = Some(seconds(place, &words.value_of(&option)?)?);
                }
                "timeout" => {
                    return Err(place.error(&option, Reason::NotInSetType { of: set_type.as_str() }));
                }
                // How the table is laid out, not what it holds.
                "hashsize" | "bucketsize" | "initval" => drop(words.value_of(&option)?),
                // What members carry beside their meaning.
                "counters" | "comment" => {}
                _ => return Err(place.error(&option, Reason::UnknownOption { of: "a set" })),
            }
        }
        if !name.starts_with(draft.family.set_prefix()) {
            return Err(place.error(name, Reason::Value { wanted: "a name for a set of its family" }));
        }
        Ok(draft)
    }

    /// Reads what follows `add NAME`.
    pub(super) fn add(&mut self, words: &mut Tokens<'_>) -> Result<(), ParseError> {
        let place = words.place();
        let text = words.value_of(self.name.as_str())?;
        let mut timeout = None;
        while let Some(option) = words.next()? {
            match &*option {
                "timeout" if self.timeout.is_some() => {
                    timeout = Some(seconds(place, &words.value_of(&option)?)?);
                }
                "packets" | "bytes" | "comment" => drop(words.value_of(&option)?),
                // Of hash:net, `nomatch` makes one peer's exception veto another's network: never written by us.
                _ => return Err(place.error(&option, Reason::UnknownOption { of: "a member" })),
            }
        }
        let family = self.family;
        let host = |text: &str| match address(place, family, text) {
            // ipset stores no null address in these types.
            Ok(ip) if ip.is_unspecified() => Err(place.not(text, "an address that ipset stores")),
            read => read,
        };
        let parts = |wanted| text.split_once(',').ok_or_else(|| place.not(&text, wanted));
        match &mut self.members {
            Raw::Ip(ips) => ips.push((host(&text)?, place.line)),
            Raw::Net(nets) => {
                let net = network(place, family, &text)?;
                if net.prefix_len() == 0 {
                    return Err(place.not(&text, "a network that ipset stores"));
                }
                nets.push((net, place.line));
            }
            Raw::IpPort(services) => {
                let (ip, service) = parts("ADDRESS,PROTOCOL:PORT")?;
                let (transport, port) = read_service(place, service)?;
                services.push(((host(ip)?, transport, port), place.line));
            }
            Raw::IpPortIp(flows) => {
                let wanted = "ADDRESS,PROTOCOL:PORT,ADDRESS";
                let (ip, rest) = parts(wanted)?;
                let (service, peer) = rest.split_once(',').ok_or_else(|| place.not(&text, wanted))?;
                let (transport, port) = read_service(place, service)?;
                let (host, peer) = (address(place, family, ip)?, address(place, family, peer)?);
                let flow = Flow { host, transport, port, peer };
                flows.push(((flow, timeout.or(self.timeout)), place.line));
            }
        }
        Ok(())
    }

    /// Ends the set.
    pub(super) fn finish(self) -> Result<Set, ParseError> {
        let Self { created, name, family, timeout, maxelem, members } = self;
        let members = match members {
            Raw::Ip(ips) => Members::Ip(each_once(created, ips, |ip| *ip)?),
            Raw::Net(nets) => Members::Net(NetMembers::new(each_once(created, nets, |net| *net)?)),
            Raw::IpPort(services) => Members::IpPort(each_once(created, services, |service| *service)?),
            Raw::IpPortIp(flows) => {
                Members::IpPortIp(each_once(created, flows, |(flow, _)| *flow)?.into_iter().collect())
            }
        };
        if u32::try_from(members.len()).is_ok_and(|members| members <= maxelem) {
            return Ok(Set { name, family, timeout, maxelem, members });
        }
        Err(created.error(name.as_str(), Reason::Full { members: members.len(), maxelem }))
    }
}

/// Sorts members; the second `add` of one fails in the kernel and stops the restore there.
fn each_once<T, K: Ord>(
    created: Place,
    mut members: Vec<(T, u32)>,
    key: impl Fn(&T) -> K,
) -> Result<Vec<T>, ParseError> {
    members.sort_by_key(|(member, _)| key(member));
    let again = members.array_windows().filter(|[(first, _), (second, _)]| key(first) == key(second));
    if let Some(line) = again.map(|[_, (_, line)]| *line).min() {
        return Err(Place { line, ..created }.error("add", Reason::Twice));
    }
    Ok(members.into_iter().map(|(member, _)| member).collect())
}

/// `[PROTOCOL:]PORT`; ipset(8): "default TCP".
fn read_service(place: Place, text: &str) -> Result<(Transport, u16), ParseError> {
    match text.split_once(':') {
        None => Ok((Transport::Tcp, port(place, text)?)),
        Some((word, digits)) => Ok((transport(place, word)?, port(place, digits)?)),
    }
}

fn seconds(place: Place, text: &str) -> Result<Duration, ParseError> {
    number::<u32>(place, text, "a number of seconds").map(|seconds| Duration::from_secs(seconds.into()))
}
