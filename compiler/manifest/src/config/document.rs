//! Reads the TOML, key by key, so that every mistake in it has its place.

mod waiver;

use std::ops::Range;

use chainmail_contract::{Lines, Position};
use chainmail_findings::{Code, Diagnostic, Findings, Place, nearest};
use chainmail_model::{
    AllowTarget, Enforcement, InterfaceName, InterfacePattern, InvalidPackets, LogLimit, PodInterfaces,
    UnknownPods,
};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nodes::NamePattern;
use super::settings::Overrides;
use super::{Config, FileFilter, NodeOverrides, limits};

const SETTINGS: [&str; 7] =
    ["unknown_pods", "drop_invalid", "allow", "pod_bridge", "pod_interfaces", "enforce", "log_denied"];
const TOP: [&str; 4] = ["manifests", "nodes", "lint", "waiver"];
const NODES: [&str; 1] = ["match"];

pub(super) type Value<'a> = Spanned<DeValue<'a>>;

pub(super) fn read(path: &str, bytes: &[u8]) -> (Config, Findings) {
    let mut reader = Reader::new(path);
    let mut config = Config::default();
    if bytes.len() > limits::BYTES {
        let message = format!("the file has {} bytes; it must have at most {}", bytes.len(), limits::BYTES);
        reader.report(Code::TooLarge, 0..0, message, None);
        return (config, reader.findings);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            reader.lines = Lines::new(text);
            let (table, errors) = DeTable::parse_recoverable(text);
            for error in &errors {
                let span = error.span().unwrap_or_default();
                reader.report(Code::BadConfig, span, error.message().trim_end().to_owned(), None);
            }
            if errors.is_empty() {
                reader.top(table.get_ref(), &mut config);
            }
        }
        Err(error) => {
            let at = error.valid_up_to();
            let valid = bytes.get(..at).and_then(|valid| std::str::from_utf8(valid).ok());
            reader.lines = Lines::new(valid.unwrap_or_default());
            reader.report(Code::NotUtf8, at..at, "the file is not UTF-8 text".to_owned(), None);
        }
    }
    (config, reader.told())
}

pub(super) struct Reader<'a> {
    path: &'a str,
    lines: Lines<'a>,
    findings: Findings,
    /// How many findings there were, those among them that are not kept.
    count: usize,
}

impl<'a> Reader<'a> {
    fn new(path: &'a str) -> Self {
        Self { path, lines: Lines::new(""), findings: Findings::default(), count: 0 }
    }

    /// The findings, and how many others there are.
    fn told(mut self) -> Findings {
        if let Some(more @ 1..) = self.count.checked_sub(limits::FINDINGS) {
            let message = format!("{} has {more} more problems than are told here", self.path);
            self.findings.push(Diagnostic::new(Code::BadConfig, None, message));
        }
        self.findings
    }
}

impl Reader<'_> {
    fn top(&mut self, table: &DeTable<'_>, config: &mut Config) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "manifests" => self.manifests(value, config),
                "nodes" => self.nodes(value, config),
                "lint" => self.lint(value, &mut config.lint),
                "waiver" => waiver::read(self, value, &mut config.waivers),
                _ => self.setting(key, value, &mut config.all, &TOP),
            }
        }
    }

    fn manifests(&mut self, value: &Value<'_>, config: &mut Config) {
        let Some(list) = value.get_ref().as_array() else {
            return self.wrong("manifests", value, "a list of patterns, like [\"policies/**/*.yaml\"]");
        };
        if !self.may_have("patterns in manifests", value, list.len(), limits::PATTERNS) {
            return;
        }
        let mut patterns = Vec::new();
        for entry in list {
            match entry.get_ref().as_str() {
                Some(pattern) if self.is_short(pattern, entry) => patterns.push(pattern),
                Some(_) => return,
                None => return self.wrong("an entry of manifests", entry, "a pattern in quotes"),
            }
        }
        match FileFilter::new(&patterns) {
            Ok(filter) => config.files = filter,
            Err((index, error)) => {
                let span = list.get(index).map_or_else(|| value.span(), Spanned::span);
                let pattern = patterns.get(index).copied().unwrap_or_default();
                let message = format!("{pattern:?} is not a pattern: {}", error.kind());
                self.report(Code::BadConfig, span, message, None);
            }
        }
    }

    fn nodes(&mut self, value: &Value<'_>, config: &mut Config) {
        let blocks = value.get_ref().as_array();
        let tables = blocks.map(|blocks| blocks.iter().map(|b| (b, b.get_ref().as_table())));
        let Some(tables) = tables else {
            return self.wrong("nodes", value, "sections that begin with [[nodes]]");
        };
        if !self.may_have("[[nodes]] sections", value, tables.len(), limits::NODES) {
            return;
        }
        for (block, table) in tables {
            match table {
                Some(table) => config.nodes.extend(self.node(block, table)),
                None => self.wrong("an entry of nodes", block, "a section that begins with [[nodes]]"),
            }
        }
    }

    fn node(&mut self, block: &Value<'_>, table: &DeTable<'_>) -> Option<NodeOverrides> {
        let mut overrides = Overrides::default();
        let mut pattern = None;
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref().as_str()) {
                ("match", Some(text)) => pattern = Some((text, value)),
                ("match", None) => {
                    self.wrong("match", value, "a pattern of node names, like \"edge-*\"");
                    return None;
                }
                _ => self.setting(key, value, &mut overrides, &NODES),
            }
        }
        let Some((text, value)) = pattern else {
            let help =
                "write match = \"edge-*\", or move the keys to the top of the file if all nodes are meant";
            let message = "the section does not say which nodes it is for".to_owned();
            self.report(Code::BadConfig, block.span(), message, Some(help.to_owned()));
            return None;
        };
        if !self.is_short(text, value) {
            return None;
        }
        match NamePattern::new(text) {
            Ok(pattern) => Some(NodeOverrides { pattern, place: self.place(&value.span()), overrides }),
            Err(error) => {
                let message = format!("{text:?} is not a pattern: {}", error.kind());
                self.report(Code::BadConfig, value.span(), message, None);
                None
            }
        }
    }

    /// Whether a list has no more entries than it may have; that it has is reported.
    pub(super) fn may_have(&mut self, what: &str, value: &Value<'_>, count: usize, most: usize) -> bool {
        if count > most {
            let message = format!("there are {count} {what}; there may be at most {most}");
            self.report(Code::BadConfig, value.span(), message, None);
        }
        count <= most
    }

    /// Whether a pattern is no longer than it may be; that it is longer is reported.
    pub(super) fn is_short(&mut self, pattern: &str, value: &Value<'_>) -> bool {
        let (bytes, most) = (pattern.len(), limits::PATTERN_BYTES);
        if bytes > most {
            let message = format!("the pattern has {bytes} bytes; it may have at most {most}");
            self.report(Code::BadConfig, value.span(), message, None);
        }
        bytes <= most
    }

    /// A key that may stand at the top and in `[[nodes]]`; `beside` are those that only this section has.
    fn setting(
        &mut self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Value<'_>,
        overrides: &mut Overrides,
        beside: &[&'static str],
    ) {
        let text = value.get_ref().as_str();
        let name = key.get_ref().as_ref();
        match name {
            "unknown_pods" => match text {
                Some("pass") => overrides.unknown_pods = Some(UnknownPods::Pass),
                Some("drop") => overrides.unknown_pods = Some(UnknownPods::Drop),
                _ => self.wrong(name, value, "\"pass\" or \"drop\""),
            },
            "drop_invalid" => match value.get_ref().as_bool() {
                Some(true) => overrides.invalid = Some(InvalidPackets::Drop),
                Some(false) => overrides.invalid = Some(InvalidPackets::Judge),
                None => self.wrong(name, value, "true or false"),
            },
            "allow" => match text {
                Some("return") => overrides.allow = Some(AllowTarget::Return),
                Some("accept") => overrides.allow = Some(AllowTarget::Accept),
                _ => self.wrong(name, value, "\"return\" or \"accept\""),
            },
            "pod_bridge" => match value.get_ref() {
                DeValue::Boolean(false) => overrides.pod_bridge = Some(None),
                DeValue::String(text) => match InterfaceName::try_from(text.as_ref()) {
                    Ok(bridge) => overrides.pod_bridge = Some(Some(bridge)),
                    Err(error) => {
                        let help = text.is_empty().then(|| "write false where there is no bridge".to_owned());
                        self.report(Code::BadConfig, value.span(), format!("pod_bridge: {error}"), help);
                    }
                },
                _ => self.wrong(name, value, "an interface's name, like \"cni0\", or false for none"),
            },
            "pod_interfaces" => {
                let said = self.pod_interfaces(value);
                overrides.pod_interfaces = said.map(|said| (said, self.place(&key.span())));
            }
            "enforce" => match value.get_ref().as_bool() {
                Some(enforce) => {
                    let said = if enforce { Enforcement::Enforce } else { Enforcement::Observe };
                    overrides.enforcement = Some((said, self.place(&key.span())));
                }
                None => self.wrong(name, value, "true or false"),
            },
            "log_denied" => {
                let number = value.get_ref().as_integer();
                match number.and_then(|n| i64::from_str_radix(n.as_str(), n.radix()).ok()) {
                    Some(0) => overrides.log_denied = Some(None),
                    Some(number) => match LogLimit::try_from(number) {
                        Ok(limit) => overrides.log_denied = Some(Some(limit)),
                        Err(error) => {
                            let help = Some("write 0 to log nothing".to_owned());
                            self.report(Code::BadConfig, value.span(), format!("log_denied: {error}"), help);
                        }
                    },
                    None => self.wrong(name, value, "packets a minute, like 60, or 0 for none"),
                }
            }
            _ => {
                let known = || beside.iter().copied().chain(SETTINGS);
                self.unknown(key.span(), name, &known().collect::<Vec<_>>());
            }
        }
    }

    /// Every entry that cannot be is told. None where the whole is no list.
    fn pod_interfaces(&mut self, value: &Value<'_>) -> Option<PodInterfaces> {
        let key = "pod_interfaces";
        let Some(list) = value.get_ref().as_array() else {
            self.wrong(key, value, "a list of interfaces' names, like [\"cali*\"], or [] for none");
            return None;
        };
        let mut interfaces = PodInterfaces::default();
        for entry in list {
            let Some(text) = entry.get_ref().as_str() else {
                self.wrong("an entry of pod_interfaces", entry, "a name or its beginning, like \"cali*\"");
                continue;
            };
            let pattern = InterfacePattern::try_from(text).map_err(|error| error.to_string());
            let added =
                pattern.and_then(|pattern| interfaces.add(pattern).map_err(|error| error.to_string()));
            if let Err(error) = added {
                self.report(Code::BadConfig, entry.span(), format!("{key}: {error}"), None);
            }
        }
        Some(interfaces)
    }

    pub(super) fn unknown(&mut self, span: Range<usize>, name: &str, known: &[&str]) {
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the keys here are {}", known.join(", ")),
        };
        self.report(Code::UnknownKey, span, format!("unknown key {name:?}"), Some(help));
    }

    pub(super) fn wrong(&mut self, key: &str, value: &Value<'_>, wanted: &str) {
        let found = match value.get_ref() {
            DeValue::String(text) => format!("{text:?}"),
            DeValue::Integer(_) | DeValue::Float(_) => "a number".to_owned(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(_) => "a date".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        self.report(Code::BadConfig, value.span(), format!("{key} is {found}; it must be {wanted}"), None);
    }

    pub(super) fn report(&mut self, code: Code, span: Range<usize>, message: String, help: Option<String>) {
        self.count += 1;
        if self.count > limits::FINDINGS {
            return;
        }
        let diagnostic = Diagnostic::new(code, Some(self.place(&span)), message);
        self.findings.push(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let Position { line, column, text } = self.lines.position(span.start);
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let is_shown = !self.lines.text().is_empty() && text.len() <= limits::EXCERPT_BYTES;
        let excerpt = is_shown.then(|| text.to_owned());
        Place { file: self.path.to_owned(), line: number(line), column: number(column), excerpt }
    }
}
