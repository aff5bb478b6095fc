//! A description as people read it.

use super::{Description, PeerDescription, Pods, PortDescription, RuleDescription};

/// Whether long lists are shown in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fold {
    /// The first few, and how many more.
    Long,
    /// All.
    Nothing,
}

/// How much of a list is shown where it is folded.
const SHOWN: usize = 8;

struct Printer {
    text: String,
    fold: Fold,
}

/// The words of a direction.
struct Words {
    direction: &'static str,
    peer: &'static str,
    any: &'static str,
}

const INGRESS: Words =
    Words { direction: "ingress", peer: "From", any: "<any> (traffic is not restricted by source)" };
const EGRESS: Words =
    Words { direction: "egress", peer: "To", any: "<any> (traffic is not restricted by destination)" };

/// Prints a description.
#[must_use]
pub fn text(description: &Description, fold: Fold) -> String {
    let mut out = Printer { text: String::new(), fold };
    let policy = description.policy_ref();
    out.line(0, &format!("Name:       {}", policy.name));
    out.line(0, &format!("Namespace:  {}", policy.namespace));
    out.line(0, &format!("Place:      {}", description.policy.place));
    out.line(0, "Spec:");
    out.line(
        1,
        &format!("PodSelector: {}", selector(&description.pod_selector, "every pod in this namespace")),
    );
    out.pods(2, &description.selected);
    let mut types = Vec::new();
    for (words, rules, type_) in
        [(INGRESS, &description.ingress, "Ingress"), (EGRESS, &description.egress, "Egress")]
    {
        match rules {
            None => out.line(1, &format!("Not affecting {} traffic", words.direction)),
            Some(rules) => {
                types.push(type_);
                out.direction(&words, rules);
            }
        }
    }
    out.line(1, &format!("Policy Types: {}", types.join(", ")));
    out.text
}

/// A selector, where it is empty with what that means.
fn selector(text: &str, everything: &str) -> String {
    if text.is_empty() { format!("<none> ({everything})") } else { text.to_owned() }
}

impl Printer {
    fn line(&mut self, depth: usize, line: &str) {
        self.text.push_str(&"  ".repeat(depth));
        self.text.push_str(&chainmail_contract::escape::line(line));
        self.text.push('\n');
    }

    fn direction(&mut self, words: &Words, rules: &[RuleDescription]) {
        let direction = words.direction;
        self.line(1, &format!("Allowing {direction} traffic:"));
        if rules.is_empty() {
            self.line(
                2,
                &format!("<none> (selected pods are isolated for {direction}, and nothing is allowed)"),
            );
        }
        for (number, rule) in rules.iter().enumerate() {
            if number > 0 {
                self.line(2, "OR");
            }
            self.line(2, &format!("{direction}[{}] at {}", rule.rule.rule.index, rule.rule.place));
            self.ports(rule.ports.as_deref());
            self.peers(words, rule.peers.as_deref());
        }
    }

    fn ports(&mut self, ports: Option<&[PortDescription]>) {
        let Some(ports) = ports else {
            return self.line(3, "To Port: <any> (traffic is allowed to all ports)");
        };
        for (number, port) in ports.iter().enumerate() {
            let or = if number > 0 { "OR " } else { "" };
            let name = port.port.as_deref().unwrap_or("<any>");
            self.line(3, &format!("{or}To Port: {name}/{}", port.protocol));
            for on in port.resolved.iter().flatten() {
                let pods = self.list(&on.pods);
                match on.number {
                    Some(number) => self.line(4, &format!("now: {number} on {pods}")),
                    None => self.line(4, &format!("now: nothing on {pods}, which name no such port")),
                }
            }
            if port.resolved.as_ref().is_some_and(Vec::is_empty) {
                self.line(4, "now: nothing, as no pod is meant");
            }
        }
    }

    /// The entries, OR-ed among each other and AND-ed with the ports.
    fn peers(&mut self, words: &Words, peers: Option<&[PeerDescription]>) {
        let peer = words.peer;
        let Some(peers) = peers else { return self.line(3, &format!("AND {peer}: {}", words.any)) };
        for (number, item) in peers.iter().enumerate() {
            let word = if number > 0 { "OR" } else { "AND" };
            self.line(3, &format!("{word} {peer}:"));
            match item {
                PeerDescription::Selectors { namespace_selector, pod_selector, resolved } => {
                    match namespace_selector.as_deref() {
                        None => self.line(4, "Namespace: the policy's own"),
                        Some(text) => {
                            self.line(
                                4,
                                &format!("NamespaceSelector: {}", selector(text, "every namespace")),
                            );
                        }
                    }
                    self.line(4, &format!("AND PodSelector: {}", selector(pod_selector, "every pod there")));
                    self.pods(5, resolved);
                }
                PeerDescription::IpBlock { cidr, except, networks, resolved, nodes } => {
                    self.line(4, "IPBlock:");
                    self.line(5, &format!("CIDR: {cidr}"));
                    if !except.is_empty() {
                        self.line(5, &format!("AND NOT Except: {}", except.join(", ")));
                        let left = self.list(networks);
                        self.line(
                            5,
                            &format!("now: {}", if networks.is_empty() { "no address" } else { &left }),
                        );
                    }
                    if !resolved.pods.is_empty() {
                        self.pods(5, resolved);
                    }
                    if !nodes.is_empty() {
                        let nodes = self.list(nodes);
                        self.line(5, &format!("now: nodes {nodes}"));
                    }
                }
            }
        }
    }

    fn pods(&mut self, depth: usize, pods: &Pods) {
        let count = match pods.pods.len() {
            0 => "no pod".to_owned(),
            1 => "1 pod: ".to_owned(),
            many => format!("{many} pods: "),
        };
        let list = self.list(&pods.pods);
        self.line(depth, &format!("now: {count}{list}"));
        if !pods.not_meant.is_empty() {
            let each: Vec<String> =
                pods.not_meant.iter().map(|other| format!("{} ({})", other.pod, other.why)).collect();
            let list = self.list(&each);
            self.line(depth, &format!("but not: {list}"));
        }
    }

    fn list(&self, items: &[String]) -> String {
        let shown = match self.fold {
            Fold::Long if items.len() > SHOWN + 1 => SHOWN,
            Fold::Long | Fold::Nothing => items.len(),
        };
        let more = match items.len() - shown {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        items[..shown].join(", ") + &more
    }
}
