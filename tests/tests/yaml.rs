//! Manifests are read by one parser. Another one, strict and written by others, takes the same documents for manifests,
//! but for differences that have a name here.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests read files, print what they counted, and may panic"
)]

mod support;

use std::collections::BTreeMap;

use chainmail_findings::Code;
use chainmail_manifest::source::{SourceFile, Sources};
use chainmail_manifest::{Namespace, NetworkPolicy, Node, Pod, Text, read};
use chainmail_tests::documents::{generated, of_manifests};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};

const DOCUMENTS: u64 = 10_000;
/// Which document comes of a seed depends on these: one more would make others of all.
const SCENARIOS: [&str; 14] = [
    "aks-tutorial",
    "dual-stack",
    "end-port",
    "except",
    "finished-and-host",
    "flow-tests",
    "icmp",
    "k8s-docs",
    "named-ports",
    "nat",
    "recipes",
    "sctp",
    "selectors",
    "windows-node",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: Option<Text>,
    kind: Option<Text>,
}

/// What becomes of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// An object of a kind that is used.
    Object,
    /// Text of which no more is read than that it is none.
    NoObject,
    Refused(String),
}

/// What our way in says.
fn ours(text: &str) -> Verdict {
    let file = SourceFile { path: "a.yaml".to_owned(), bytes: text.as_bytes().to_vec() };
    let (manifests, findings) = read(&Sources::new(vec![file]));
    let objects =
        manifests.namespaces.len() + manifests.pods.len() + manifests.nodes.len() + manifests.policies.len();
    // What is wrong with a head is said of the kind, and not of the text.
    let of_heads = [Code::Required, Code::UnknownKind, Code::UnsupportedKind, Code::UnsupportedVersion];
    match findings.sorted().first() {
        Some(finding) if of_heads.contains(&finding.code) => Verdict::NoObject,
        Some(finding) => Verdict::Refused(format!("{}: {}", finding.code, finding.message)),
        None if objects == 1 => Verdict::Object,
        None => Verdict::NoObject,
    }
}

/// What the other parser says, of the same types.
fn theirs(text: &str) -> Verdict {
    let options = || {
        serde_saphyr::options! {
            duplicate_keys: DuplicateKeyPolicy::Error,
            merge_keys: MergeKeyPolicy::Merge,
            strict_booleans: true,
            reject_unsupported_tags: true,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
        }
    };
    fn of<T: DeserializeOwned>(text: &str, options: serde_saphyr::Options) -> Verdict {
        match serde_saphyr::from_str_with_options::<Option<T>>(text, options) {
            Ok(Some(_)) => Verdict::Object,
            Ok(None) => Verdict::NoObject,
            Err(error) => Verdict::Refused(error.to_string().lines().next().unwrap_or_default().to_owned()),
        }
    }
    let head = match serde_saphyr::from_str_with_options::<Option<Head>>(text, options()) {
        Ok(Some(head)) => head,
        Ok(None) => return Verdict::NoObject,
        Err(error) => {
            return Verdict::Refused(error.to_string().lines().next().unwrap_or_default().to_owned());
        }
    };
    let word = |text: Option<Text>| text.map(|Text(text)| text).unwrap_or_default();
    match (word(head.api_version).as_str(), word(head.kind).as_str()) {
        ("networking.k8s.io/v1", "NetworkPolicy") => of::<NetworkPolicy>(text, options()),
        ("v1", "Namespace") => of::<Namespace>(text, options()),
        ("v1", "Pod") => of::<Pod>(text, options()),
        ("v1", "Node") => of::<Node>(text, options()),
        _ => Verdict::NoObject,
    }
}

/// A difference that is known.
struct Known {
    name: &'static str,
    is: fn(&str, &Verdict, &Verdict) -> bool,
}

/// What each comes from. No policy is read where the other parser, or kubectl, would read another one.
const KNOWN: &[Known] = &[
    Known {
        // They break lines in YAML 1.1, which kubectl and our parser read; YAML 1.2 has made letters of them (§5.4).
        name: "U+0085, U+2028 and U+2029",
        is: |text, _, _| text.contains(['\u{85}', '\u{2028}', '\u{2029}']),
    },
    Known {
        // Objects of kinds that are not used are counted, and not decoded.
        name: "of other kinds only the head is read",
        is: |_, ours, theirs| *ours == Verdict::NoObject && theirs.refuses(""),
    },
    Known {
        // In a policy, and in labels, a key that stands twice is refused.
        name: "a key twice in what of a pod is not used",
        is: |text, ours, theirs| {
            let is_policy = text.contains("NetworkPolicy");
            *ours == Verdict::Object && !is_policy && theirs.refuses("duplicate mapping key")
        },
    },
    Known {
        name: "a byte order mark that is not the first character",
        is: |text, _, _| text.chars().skip(1).any(|c| c == '\u{feff}'),
    },
    Known {
        // What is merged, and the items of a List, are values before they have types, and a value has no such number. No
        // field that is used does.
        name: "a number of more than 64 bits beside a merge key",
        is: |text, ours, _| text.contains("<<") && ours.refuses("as u128"),
    },
    Known {
        // Ours refuses all tags.
        name: "tags of the core schema",
        is: |_, ours, _| ours.refuses("yaml-tag"),
    },
    Known {
        // YAML 1.1 has an indicator in the first colon.
        name: "a plain scalar that begins with `::` between brackets",
        is: |text, ours, _| text.contains("::") && ours.refuses("syntax: did not find expected node content"),
    },
    Known {
        name: "a tab between an indentation of spaces and a key",
        is: |text, ours, _| text.contains('\t') && ours.refuses("syntax: a tab or another character"),
    },
    Known {
        // A colon may be part of an anchor's name in YAML 1.2.
        name: "an anchor with a colon behind it",
        is: |text, _, theirs| text.contains('&') && theirs.refuses("simple key expected"),
    },
    Known {
        name: "`.inf` in what is not used",
        is: |_, ours, theirs| *ours == Verdict::Object && theirs.refuses("non-finite float"),
    },
    Known {
        // YAML 1.1 takes the question mark for an indicator, and the key is then the same without it.
        name: "`{?key: …}`",
        is: |text, ours, theirs| {
            text.contains("{?") && *ours == Verdict::Object && theirs.refuses("unknown field `?")
        },
    },
];

impl Verdict {
    /// Whether a document is refused with words like these.
    fn refuses(&self, words: &str) -> bool {
        matches!(self, Verdict::Refused(why) if why.contains(words))
    }
}

#[test]
fn another_parser_accepts_the_same_documents() {
    let policies = support::root().join("policies");
    let mut manifests: Vec<String> =
        SCENARIOS.iter().flat_map(|name| of_manifests(&policies.join(name))).collect();
    manifests.sort();
    manifests.dedup();
    assert!(manifests.len() > 50, "{} manifests", manifests.len());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unknown = Vec::new();
    for seed in 0..DOCUMENTS {
        let text = generated(seed, &manifests);
        let (ours, theirs) = (ours(&text), theirs(&text));
        let both = match (&ours, &theirs) {
            (Verdict::Object, Verdict::Object) => "both accept",
            (Verdict::NoObject, Verdict::NoObject) => "both take for no object",
            (Verdict::Refused(_), Verdict::Refused(_)) => "both refuse",
            _ => match KNOWN.iter().find(|known| (known.is)(&text, &ours, &theirs)) {
                Some(known) => known.name,
                None => {
                    unknown.push(format!("seed {seed}: ours {ours:?}\ntheirs {theirs:?}\n{text}"));
                    continue;
                }
            },
        };
        *counts.entry(both).or_default() += 1;
    }
    println!("{counts:#?}");
    assert!(unknown.is_empty(), "{} differences without a name, the first:\n{}", unknown.len(), unknown[0]);
    for known in KNOWN {
        assert!(counts.contains_key(known.name), "{} is met by no document", known.name);
    }
    assert!(counts["both accept"] > 2_000 && counts["both refuse"] > 2_000, "{counts:?}");
}

/// The API server refuses a number in quotes, as we do; the other parser takes it for the number.
#[test]
fn a_number_in_quotes_is_none() {
    let policy = |port: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: a}}\nspec:\n  podSelector: {{}}\n  \
             ingress: [{{ports: [{{port: 80, endPort: {port}}}]}}]\n"
        )
    };
    assert_eq!([ours(&policy("90")), theirs(&policy("90"))], [Verdict::Object, Verdict::Object]);
    assert!(ours(&policy("'90'")).refuses("it must be a whole number"), "{:?}", ours(&policy("'90'")));
    assert_eq!(theirs(&policy("'90'")), Verdict::Object);
}

/// Merge keys are read alike, but where kubectl takes the merged field and the other parser the one that is written before.
#[test]
fn merge_keys_come_to_the_same_or_are_refused() {
    let pod = |labels: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations: &x {{app: web}}\n  labels: {labels}\n"
        )
    };
    for labels in ["{<<: *x, tier: db}", "{<<: *x, app: db}", "{<<: [*x, {app: db}]}", "{tier: db, <<: *x}"] {
        assert_eq!(
            [ours(&pod(labels)), theirs(&pod(labels))],
            [Verdict::Object, Verdict::Object],
            "{labels}"
        );
    }
    let early = pod("{app: db, <<: *x}");
    assert!(ours(&early).refuses("merge-key"), "{:?}", ours(&early));
    assert_eq!(theirs(&early), Verdict::Object);
}
