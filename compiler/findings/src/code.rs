//! The one table of codes.

use std::fmt;

use super::Severity;

macro_rules! codes {
    (
        $($(#[doc = $doc:literal])+ $name:ident = $text:literal, $severity:ident;)+
        lints:
        $($(#[doc = $lint_doc:literal])+ $lint:ident = $lint_text:literal, $lint_severity:ident;)+
    ) => {
        /// A kind of finding. Its text is stable: scripts and waivers may name it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
            $($(#[doc = $lint_doc])+ $lint,)+
        }

        impl Code {
            /// Every code of what reading and admitting manifests finds, in the order of the table.
            pub const ALL: &'static [Code] = &[$(Code::$name),+];

            /// Every code of what `chainmail lint` finds, in the order of the table.
            pub const LINTS: &'static [Code] = &[$(Code::$lint),+];

            /// The kebab-case text.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)+ $(Code::$lint => $lint_text,)+ }
            }

            /// How bad a finding of this kind is, unless `--strict` says otherwise.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self {
                    $(Code::$name => Severity::$severity,)+
                    $(Code::$lint => Severity::$lint_severity,)+
                }
            }
        }
    };
}

codes! {
    /// The bytes are not UTF-8.
    NotUtf8 = "not-utf8", Error;
    /// A path that is not UTF-8, or has control characters.
    BadPath = "bad-path", Error;
    /// A symbolic link where a manifest is expected.
    SymbolicLink = "symbolic-link", Error;
    /// A submodule, whose files are not part of the repository.
    Submodule = "submodule", Error;
    /// A device, pipe or socket where a manifest is expected.
    NotAFile = "not-a-file", Error;
    /// A pointer of Git LFS in the place of a file.
    LfsPointer = "lfs-pointer", Error;
    /// Two paths that differ only in case.
    CaseCollision = "case-collision", Warning;
    /// A file, document or item larger than any that is read.
    TooLarge = "too-large", Error;
    /// More errors than are told one by one.
    TooManyErrors = "too-many-errors", Error;
    /// An inventory's file cannot be read.
    Unreadable = "unreadable", Error;
    /// The text is not YAML or JSON.
    Syntax = "syntax", Error;
    /// Nested deeper, or repeated more often by aliases, than any manifest has reason to be.
    TooComplex = "too-complex", Error;
    /// A key that stands twice in one map.
    DuplicateKey = "duplicate-key", Error;
    /// A merge key `<<` that programs read differently, or that merges no map.
    MergeKey = "merge-key", Error;
    /// A tag, which programs read differently or not at all.
    YamlTag = "yaml-tag", Error;
    /// A field has a value of another type than the API's.
    WrongType = "wrong-type", Error;
    /// A field that the API does not have.
    UnknownField = "unknown-field", Error;
    /// A kind of a policy group that the API does not have.
    UnknownKind = "unknown-kind", Error;
    /// A kind that changes traffic and is not supported.
    UnsupportedKind = "unsupported-kind", Error;
    /// A version of a kind that is not supported.
    UnsupportedVersion = "unsupported-version", Error;
    /// A required field is missing.
    Required = "required", Error;
    /// A name is not a DNS-1123 name.
    BadName = "bad-name", Error;
    /// A label key is malformed.
    BadLabelKey = "bad-label-key", Error;
    /// A label value is malformed.
    BadLabelValue = "bad-label-value", Error;
    /// An annotation's key is malformed, or there is too much of them.
    BadAnnotation = "bad-annotation", Error;
    /// A selector operator the API does not have.
    BadOperator = "bad-operator", Error;
    /// An operator's values are missing, or there where none may be.
    BadOperatorValues = "bad-operator-values", Error;
    /// A protocol the API does not have.
    BadProtocol = "bad-protocol", Error;
    /// A port number outside 1 to 65535.
    BadPort = "bad-port", Error;
    /// A port name that cannot be one.
    BadPortName = "bad-port-name", Error;
    /// endPort without a numeric port.
    EndPortWithoutPort = "end-port-without-port", Error;
    /// endPort below port.
    PortRangeReversed = "port-range-reversed", Error;
    /// A peer that names nothing.
    EmptyPeer = "empty-peer", Error;
    /// ipBlock beside a selector in one peer.
    MixedPeer = "mixed-peer", Error;
    /// A CIDR that cannot be parsed.
    BadCidr = "bad-cidr", Error;
    /// An exception that is not strictly inside its block.
    ExceptOutside = "except-outside", Error;
    /// A policy type the API does not have, or too many.
    BadPolicyType = "bad-policy-type", Error;
    /// An address that cannot be parsed.
    BadAddress = "bad-address", Error;
    /// Two objects of one kind, namespace and name.
    DuplicateObject = "duplicate-object", Error;
    /// Two live pods, or a pod and a node, with one address.
    DuplicateAddress = "duplicate-address", Error;
    /// A NetworkPolicy among live objects.
    InventoryPolicy = "inventory-policy", Error;
    /// An end or a service of a flow test that is none, or that nothing is meant by.
    BadFlow = "bad-flow", Error;
    /// Flow tests that expect a flow to be allowed and to be denied.
    ContradictoryFlows = "contradictory-flows", Error;
    /// `chainmail.toml` is not TOML, or a key of it has a value that it cannot have.
    BadConfig = "bad-config", Error;
    /// A key that `chainmail.toml` does not have.
    UnknownKey = "unknown-key", Error;
    /// A `[[nodes]]` whose pattern matches no node.
    UnmatchedNodes = "unmatched-nodes", Warning;
    /// `enforce = false`: policies of a node deny nothing.
    OnlyObserved = "only-observed", Warning;
    /// `pod_interfaces` of a node that closes nothing there.
    IdlePodInterfaces = "idle-pod-interfaces", Warning;
    /// A live object that says something else than the reviewed one, or than another live one.
    InventoryConflict = "inventory-conflict", Warning;
    /// An address that several objects claim, of which one at least is live.
    ContestedAddress = "contested-address", Warning;
    /// A CIDR with host bits or leading zeros.
    LooseCidr = "loose-cidr", Warning;
    /// A pod's node that no Node manifest describes.
    UnknownNode = "unknown-node", Warning;
    /// A pod that has no address and so no rules.
    NoAddress = "no-address", Note;
    /// A pod that has finished, whose address is free.
    FinishedPod = "finished-pod", Note;
    /// A node that runs Windows and gets no snapshot.
    WindowsNode = "windows-node", Note;
    /// Nobody said what becomes of addresses in a podCIDR that no pod has.
    UnknownPodsPass = "unknown-pods-pass", Note;
    /// Unknown pods are dropped by the podCIDR alone: nobody said by which interfaces a node reaches its pods.
    NoPodInterfaces = "no-pod-interfaces", Note;

    lints:
    /// A policy's podSelector selects no pod.
    SelectsNothing = "selects-nothing", Warning;
    /// A peer that no pod is.
    PeerMatchesNothing = "peer-matches-nothing", Warning;
    /// A namespace that the manifests do not have.
    UnknownNamespace = "unknown-namespace", Warning;
    /// A workload's selector that the labels of its own template do not meet.
    SelectorMissesTemplate = "selector-misses-template", Warning;
    /// One entry of `from` or `to` where two were meant: a dash is missing.
    MissingDash = "missing-dash", Warning;
    /// Two entries of `from` or `to` where one was meant: a dash is too many.
    ExtraDash = "extra-dash", Warning;
    /// A port's name that no destination gives to any port.
    UnknownPortName = "unknown-port-name", Warning;
    /// A port's name that destinations have only for another protocol.
    PortNameProtocol = "port-name-protocol", Warning;
    /// A port that no destination declares.
    UndeclaredPort = "undeclared-port", Note;
    /// A rule that allows nothing beside another one.
    CoveredRule = "covered-rule", Note;
    /// A rule that lets everybody in.
    WorldOpen = "world-open", Warning;
    /// A policy that isolates for ingress although it speaks of egress only.
    ImpliedIngress = "implied-ingress", Warning;
    /// A namespace in which a pod that no policy selects may be reached by everybody.
    NoDefaultDeny = "no-default-deny", Warning;
    /// A namespace in which a pod that no policy selects may reach everybody.
    NoEgressDefaultDeny = "no-egress-default-deny", Note;
    /// Pods that may send to something but not ask for its address.
    DnsForgotten = "dns-forgotten", Warning;
    /// An ipBlock of addresses that nodes give to pods.
    BlockInPodNetwork = "block-in-pod-network", Warning;
    /// An ipBlock that has pods' addresses among others.
    BlockOverPods = "block-over-pods", Note;
    /// A node whose rules cost more than the budget.
    OverBudget = "over-budget", Warning;
    /// A waiver whose last day is over.
    ExpiredWaiver = "expired-waiver", Warning;
    /// A waiver of a finding that there is not.
    UnusedWaiver = "unused-waiver", Warning;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
