//! Names: DNS-1123 labels and subdomains, and port names (RFC 6335).

use chainmail_findings::{Code, FieldPath};
use chainmail_model::NamespaceName;

use super::Scope;
use super::written::{self, Part};
use crate::ObjectMeta;

/// Whether a text is a DNS-1123 label: at most 63 bytes of `a-z`, `0-9` and `-`, a letter or digit at both ends.
pub(super) fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a text is a DNS-1123 subdomain: labels with dots between them, at most 253 bytes. The API server does not
/// hold the labels of a subdomain to 63 bytes.
pub(super) fn is_dns_subdomain(text: &str) -> bool {
    let part = |label: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// The object's name, where it is a DNS-1123 subdomain.
pub(super) fn dns_subdomain<'m>(scope: &mut Scope<'_>, kind: &str, meta: &'m ObjectMeta) -> Option<&'m str> {
    checked(
        scope,
        kind,
        meta,
        is_dns_subdomain,
        "at most 253 of a-z, 0-9, '-' and '.', a letter or digit at each end",
    )
}

/// The object's name, where it is a DNS-1123 label.
pub(super) fn dns_label<'m>(scope: &mut Scope<'_>, kind: &str, meta: &'m ObjectMeta) -> Option<&'m str> {
    checked(scope, kind, meta, is_dns_label, "at most 63 of a-z, 0-9 and '-', a letter or digit at each end")
}

fn checked<'m>(
    scope: &mut Scope<'_>,
    kind: &str,
    meta: &'m ObjectMeta,
    fits: fn(&str) -> bool,
    form: &str,
) -> Option<&'m str> {
    let path = FieldPath::root().key("metadata").key("name");
    let name = meta.name.as_ref().map_or("", |name| name.0.as_str());
    if name.is_empty() {
        let message = format!("the {kind} has no metadata.name");
        match meta.generate_name {
            Some(_) => {
                let help = "generateName makes another name at each apply; write a name";
                scope.report_with_help(Code::Required, &path, message, help);
            }
            None => scope.report(Code::Required, &path, message),
        }
        return None;
    }
    written::check(scope, &path, name, Part::Value);
    if !fits(name) {
        scope.report_with_help(
            Code::BadName,
            &path,
            format!("{name:?} cannot be the name of a {kind}"),
            form,
        );
        return None;
    }
    Some(name)
}

/// The object's namespace; `default` where it says none, as kubectl sends it. To the API an empty string says none.
pub(super) fn namespace(scope: &mut Scope<'_>, meta: &ObjectMeta) -> Option<NamespaceName> {
    let written = meta.namespace.as_ref().map(|text| text.0.as_str()).filter(|text| !text.is_empty());
    let name = written.unwrap_or("default");
    let path = FieldPath::root().key("metadata").key("namespace");
    written::check(scope, &path, name, Part::Value);
    if is_dns_label(name) {
        return Some(NamespaceName::admitted(name));
    }
    scope.report(Code::BadName, &path, format!("{name:?} cannot be the name of a namespace"));
    None
}

/// What keeps a text from being a port's name, in the API server's order.
pub(super) fn port_name_problems(name: &str) -> Vec<&'static str> {
    let mut problems = Vec::new();
    if name.len() > 15 {
        problems.push("it has more than 15 bytes");
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') || name.is_empty() {
        problems.push("it may hold only a-z, 0-9 and '-'");
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        problems.push("it must hold a letter");
    }
    if name.contains("--") {
        problems.push("it must not hold '--'");
    }
    if name.starts_with('-') || name.ends_with('-') {
        problems.push("it must not begin or end with '-'");
    }
    problems
}
