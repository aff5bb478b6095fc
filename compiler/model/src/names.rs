//! Names as newtypes, so that a pod's name cannot stand where a namespace's is meant. A clone is cheap.

use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a name that admission has checked; nothing is checked here.
            #[must_use]
            pub fn admitted(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A namespace's name: a DNS-1123 label.
    NamespaceName
}
name! {
    /// A pod's name: a DNS-1123 subdomain, or of an assumed pod its workload's name and kind.
    PodName
}
name! {
    /// A workload's name: a DNS-1123 subdomain.
    WorkloadName
}
name! {
    /// A policy's name: a DNS-1123 subdomain.
    PolicyName
}
name! {
    /// A container port's name: at most 15 bytes of `a-z`, `0-9` and `-`, with a letter.
    PortName
}
name! {
    /// A label's key: `[prefix/]name`.
    LabelKey
}

/// A pod by namespace and name; prints as `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodRef {
    /// Its namespace.
    pub namespace: NamespaceName,
    /// Its name.
    pub name: PodName,
}

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A policy by namespace and name; prints as `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyRef {
    /// Its namespace.
    pub namespace: NamespaceName,
    /// Its name.
    pub name: PolicyName,
}

impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
