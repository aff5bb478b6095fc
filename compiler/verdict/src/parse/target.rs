//! What follows `-j`.

use chainmail_contract::{Family, is_our_chain};

use super::rule::RuleNames;
use super::tokens::Tokens;
use super::values;
use crate::error::{ParseError, Place, Reason};
use crate::ruleset::{Nflog, RejectWith, Target};

/// `--reject-with` of IPv4, from iptables-extensions(8); the first is what REJECT alone means.
const ICMP_REJECTS: [&str; 7] = [
    "icmp-port-unreachable",
    "icmp-net-unreachable",
    "icmp-host-unreachable",
    "icmp-proto-unreachable",
    "icmp-net-prohibited",
    "icmp-host-prohibited",
    "icmp-admin-prohibited",
];
/// `--reject-with` of IPv6; the first is what REJECT alone means.
const ICMP6_REJECTS: [&str; 6] = [
    "icmp6-port-unreachable",
    "icmp6-no-route",
    "icmp6-adm-prohibited",
    "icmp6-addr-unreachable",
    "icmp6-policy-fail",
    "icmp6-reject-route",
];

/// Reads a target and its options, which reach to the end of the rule or the next thing that is none.
pub(super) fn read(names: &RuleNames<'_>, tokens: &mut Tokens<'_>, name: &str) -> Result<Target, ParseError> {
    let place = tokens.place();
    match name {
        "RETURN" => Ok(Target::Return),
        "ACCEPT" => Ok(Target::Accept),
        "DROP" => Ok(Target::Drop),
        "REJECT" => reject(place, names.family(), tokens).map(Target::Reject),
        "NFLOG" => nflog(tokens).map(Target::Nflog),
        _ if is_our_chain(name) => names.chain(place, name).map(Target::Jump),
        _ => Err(place.error(name, Reason::UnknownTarget)),
    }
}

fn reject(place: Place, family: Family, tokens: &mut Tokens<'_>) -> Result<RejectWith, ParseError> {
    let (default, known): (_, &[&'static str]) = match family {
        Family::V4 => (ICMP_REJECTS[0], &ICMP_REJECTS),
        Family::V6 => (ICMP6_REJECTS[0], &ICMP6_REJECTS),
    };
    let mut ahead = tokens.clone();
    if ahead.next()?.as_deref() != Some("--reject-with") {
        return Ok(RejectWith::Icmp(default));
    }
    *tokens = ahead;
    let value = tokens.value_of("--reject-with")?;
    if value == "tcp-reset" {
        return Ok(RejectWith::TcpReset);
    }
    let found = known.iter().find(|&&name| name == value);
    found.map(|name| RejectWith::Icmp(name)).ok_or_else(|| place.not(&value, "a way to reject"))
}

fn nflog(tokens: &mut Tokens<'_>) -> Result<Nflog, ParseError> {
    let place = tokens.place();
    let mut nflog = Nflog::default();
    loop {
        let mut ahead = tokens.clone();
        let Some(word) = ahead.next()? else { return Ok(nflog) };
        if !word.starts_with("--") {
            return Ok(nflog);
        }
        *tokens = ahead;
        let value = tokens.value_of(&word)?;
        match &*word {
            "--nflog-group" => nflog.group = values::number(place, &value, "a group")?,
            "--nflog-prefix" => nflog.prefix = Some((*value).into()),
            "--nflog-size" => nflog.size = Some(values::number(place, &value, "a size")?),
            "--nflog-threshold" => nflog.threshold = Some(values::number(place, &value, "a threshold")?),
            _ => return Err(place.error(&word, Reason::UnknownOption { of: "-j NFLOG" })),
        }
    }
}
