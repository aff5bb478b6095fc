//! CIDRs, as leniently as any API server reads them, and never silently.

use std::net::IpAddr;

use chainmail_findings::{Code, FieldPath};
use ipnet::IpNet;

use super::Scope;

/// A network at `path`, its host bits zero. Host bits and leading zeros are a warning: API servers before Kubernetes 1.36
/// accept both, later ones only in objects that they have already (KEP-4858, StrictIPCIDRValidation).
pub(super) fn network(scope: &mut Scope<'_>, path: &FieldPath, text: &str) -> Option<IpNet> {
    let stripped = without_leading_zeros(text);
    let Some(net) = stripped.as_deref().and_then(|stripped| stripped.parse::<IpNet>().ok()) else {
        let help = "write it like 10.9.8.0/24 or 2001:db8::/64";
        scope.report_with_help(Code::BadCidr, path, format!("{text:?} is not a CIDR"), help);
        return None;
    };
    if let IpNet::V6(v6) = net
        && v6.addr().to_ipv4_mapped().is_some()
    {
        let message = format!("{text:?} is an IPv4-mapped IPv6 network");
        scope.report_with_help(Code::BadCidr, path, message, "write it as the IPv4 network that is meant");
        return None;
    }
    let canonical = net.trunc();
    let why = match (stripped.as_deref() != Some(text), canonical != net) {
        (true, true) => Some("leading zeros and host bits"),
        (true, false) => Some("leading zeros"),
        (false, true) => Some("host bits"),
        (false, false) => None,
    };
    if let Some(why) = why {
        let message = format!(
            "{text:?} has {why}; it is read as {canonical}, and API servers from Kubernetes 1.36 on refuse it"
        );
        scope.report_with_help(Code::LooseCidr, path, message, format!("write {canonical}"));
    }
    Some(canonical)
}

/// The same network with the leading zeros of an IPv4 address's numbers, and of the length, gone: the API server reads
/// them as decimal.
fn without_leading_zeros(text: &str) -> Option<String> {
    if text.contains(':') {
        let (address, length) = text.split_once('/')?;
        return Some(format!("{address}/{}", trimmed(length)?));
    }
    let (address, length) = text.split_once('/')?;
    let octets: Option<Vec<&str>> = address.split('.').map(trimmed).collect();
    Some(format!("{}/{}", octets?.join("."), trimmed(length)?))
}

fn trimmed(number: &str) -> Option<&str> {
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = number.trim_start_matches('0');
    Some(if digits.is_empty() { "0" } else { digits })
}

/// A single address at `path` that a pod or node can have.
pub(super) fn address(scope: &mut Scope<'_>, path: &FieldPath, text: &str) -> Option<IpAddr> {
    match text.parse::<IpAddr>() {
        // Neither can be a set's member or a packet's end: ipset refuses 0.0.0.0 in hash:ip.
        Ok(address) if address.is_unspecified() || address.is_multicast() => {
            scope.report(Code::BadAddress, path, format!("{address} cannot be the address of a pod or node"));
            None
        }
        Ok(address) => Some(address),
        Err(_) => {
            scope.report(Code::BadAddress, path, format!("{text:?} is not an address"));
            None
        }
    }
}
