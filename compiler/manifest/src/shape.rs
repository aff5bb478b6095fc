//! The shapes of the kinds that are used, as data: what the error path compares a document with. The types that are
//! decoded into say the same; a test holds that the two agree.

/// What a field may hold.
#[derive(Debug)]
pub(super) enum Shape {
    /// Anything: it is not used.
    Any,
    /// A string.
    String,
    /// A number of 32 bits.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A port: its number or its name.
    IntOrString,
    /// A map of strings: labels, and annotations, whose values may be null.
    Strings(Entries),
    /// A string, or a list of strings.
    Words,
    /// A list; entries may be null where the API reads null as an empty entry.
    List(&'static Shape, Entries),
    /// An object.
    Object(&'static [(&'static str, Shape)], Others),
}

/// Whether a list's entry may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entries {
    MayBeNull,
    NeverNull,
}

/// What becomes of fields that are not in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    Ignored,
    Refused,
}

use Entries::{MayBeNull, NeverNull};
use Others::{Ignored, Refused};
use Shape::{Any, Boolean, IntOrString, Integer, List, Object, String, Strings, Words};

/// What every document has.
pub(super) const HEAD: Shape = Object(&[("apiVersion", String), ("kind", String)], Ignored);

/// A List of objects.
pub(super) const LIST: Shape = Object(
    &[("apiVersion", String), ("kind", String), ("metadata", Any), ("items", List(&Any, NeverNull))],
    Refused,
);

const OWNER: Shape =
    Object(&[("apiVersion", String), ("kind", String), ("name", String), ("controller", Boolean)], Ignored);

const META: Shape = Object(
    &[
        ("name", String),
        ("generateName", String),
        ("namespace", String),
        ("labels", Strings(NeverNull)),
        ("ownerReferences", List(&OWNER, NeverNull)),
        ("deletionTimestamp", String),
    ],
    Ignored,
);

const STRICT_META: Shape = Object(
    &[
        ("name", String),
        ("generateName", String),
        ("namespace", String),
        ("labels", Strings(NeverNull)),
        ("annotations", Strings(MayBeNull)),
        ("creationTimestamp", Any),
        ("deletionGracePeriodSeconds", Any),
        ("deletionTimestamp", Any),
        ("finalizers", Any),
        ("generation", Any),
        ("managedFields", Any),
        ("ownerReferences", Any),
        ("resourceVersion", Any),
        ("selfLink", Any),
        ("uid", Any),
    ],
    Refused,
);

const REQUIREMENT: Shape =
    Object(&[("key", String), ("operator", String), ("values", List(&String, NeverNull))], Refused);

const SELECTOR: Shape = Object(
    &[("matchLabels", Strings(NeverNull)), ("matchExpressions", List(&REQUIREMENT, NeverNull))],
    Refused,
);

const IP_BLOCK: Shape = Object(&[("cidr", String), ("except", List(&String, NeverNull))], Refused);

const PEER: Shape =
    Object(&[("podSelector", SELECTOR), ("namespaceSelector", SELECTOR), ("ipBlock", IP_BLOCK)], Refused);

const PORT: Shape = Object(&[("protocol", String), ("port", IntOrString), ("endPort", Integer)], Refused);

const INGRESS: Shape =
    Object(&[("from", List(&PEER, MayBeNull)), ("ports", List(&PORT, MayBeNull))], Refused);

const EGRESS: Shape = Object(&[("to", List(&PEER, MayBeNull)), ("ports", List(&PORT, MayBeNull))], Refused);

const POLICY_SPEC: Shape = Object(
    &[
        ("podSelector", SELECTOR),
        ("ingress", List(&INGRESS, MayBeNull)),
        ("egress", List(&EGRESS, MayBeNull)),
        ("policyTypes", List(&String, NeverNull)),
    ],
    Refused,
);

/// NetworkPolicy.
pub(super) const NETWORK_POLICY: Shape = Object(
    &[
        ("apiVersion", String),
        ("kind", String),
        ("metadata", STRICT_META),
        ("spec", POLICY_SPEC),
        ("status", Any),
    ],
    Refused,
);

const FLOW_META: Shape = Object(&[("name", String), ("labels", Any), ("annotations", Any)], Refused);

const FLOW_CASE: Shape =
    Object(&[("from", Words), ("to", Words), ("allow", Words), ("deny", Words), ("why", String)], Refused);

/// FlowTest.
pub(super) const FLOW_TEST: Shape = Object(
    &[
        ("apiVersion", String),
        ("kind", String),
        ("metadata", FLOW_META),
        ("spec", List(&FLOW_CASE, NeverNull)),
    ],
    Refused,
);

/// Namespace.
pub(super) const NAMESPACE: Shape = Object(&[("metadata", META)], Ignored);

const CONTAINER_PORT: Shape =
    Object(&[("name", String), ("containerPort", Integer), ("protocol", String)], Ignored);

const CONTAINER: Shape =
    Object(&[("restartPolicy", String), ("ports", List(&CONTAINER_PORT, NeverNull))], Ignored);

const POD_SPEC: Shape = Object(
    &[
        ("nodeName", String),
        ("hostNetwork", Boolean),
        ("containers", List(&CONTAINER, NeverNull)),
        ("initContainers", List(&CONTAINER, NeverNull)),
    ],
    Ignored,
);

const POD_STATUS: Shape = Object(
    &[("phase", String), ("podIP", String), ("podIPs", List(&Object(&[("ip", String)], Ignored), NeverNull))],
    Ignored,
);

/// Pod.
pub(super) const POD: Shape =
    Object(&[("metadata", META), ("spec", POD_SPEC), ("status", POD_STATUS)], Ignored);

const POD_TEMPLATE: Shape = Object(&[("metadata", META), ("spec", POD_SPEC)], Ignored);

const JOB_TEMPLATE: Shape = Object(&[("spec", Object(&[("template", POD_TEMPLATE)], Ignored))], Ignored);

/// A workload of any kind.
pub(super) const WORKLOAD: Shape = Object(
    &[
        ("metadata", META),
        (
            "spec",
            Object(
                &[("selector", SELECTOR), ("template", POD_TEMPLATE), ("jobTemplate", JOB_TEMPLATE)],
                Ignored,
            ),
        ),
    ],
    Ignored,
);

const NODE_ADDRESS: Shape = Object(&[("type", String), ("address", String)], Ignored);

/// Node.
pub(super) const NODE: Shape = Object(
    &[
        ("metadata", META),
        ("spec", Object(&[("podCIDR", String), ("podCIDRs", List(&String, NeverNull))], Ignored)),
        ("status", Object(&[("addresses", List(&NODE_ADDRESS, NeverNull))], Ignored)),
    ],
    Ignored,
);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_yaml::{Mapping, Value};

    use super::*;
    use crate::decode_error::DecodeError;
    use crate::fault::faults;
    use crate::yaml::{Syntax, decode};
    use crate::{FlowTest, Namespace, NetworkPolicy, Node, Pod, Workload};

    /// A value that has every field of a shape.
    fn full(shape: &Shape) -> Value {
        match shape {
            Any => Value::Null,
            String | Words => "a".into(),
            Integer | IntOrString => 1.into(),
            Boolean => true.into(),
            Strings(_) => Value::Mapping(Mapping::from_iter([("a".into(), "b".into())])),
            List(entry, _) => Value::Sequence(vec![full(entry)]),
            Object(fields, _) => {
                Value::Mapping(fields.iter().map(|(name, shape)| ((*name).into(), full(shape))).collect())
            }
        }
    }

    /// The same value once for each of its nodes, with that node replaced.
    fn replaced<'a>(shape: &'a Shape, with: &dyn Fn(&'a Shape) -> Option<Value>) -> Vec<(&'a Shape, Value)> {
        let mut all: Vec<(&Shape, Value)> = with(shape).map(|value| (shape, value)).into_iter().collect();
        match shape {
            List(entry, _) => {
                let inner = replaced(entry, with).into_iter();
                all.extend(inner.map(|(shape, value)| (shape, Value::Sequence(vec![value]))));
            }
            Object(fields, _) => {
                for (name, field) in *fields {
                    for (at, value) in replaced(field, with) {
                        let mut whole = full(shape);
                        whole[*name] = value;
                        all.push((at, whole));
                    }
                }
            }
            _ => {}
        }
        all
    }

    type Decoder = fn(&str) -> Option<DecodeError>;

    fn kinds() -> [(&'static str, Shape, Decoder); 6] {
        [
            ("NetworkPolicy", NETWORK_POLICY, |text| decode::<NetworkPolicy>(text, Syntax::Yaml).err()),
            ("Namespace", NAMESPACE, |text| decode::<Namespace>(text, Syntax::Yaml).err()),
            ("Pod", POD, |text| decode::<Pod>(text, Syntax::Yaml).err()),
            ("Node", NODE, |text| decode::<Node>(text, Syntax::Yaml).err()),
            ("FlowTest", FLOW_TEST, |text| decode::<FlowTest>(text, Syntax::Yaml).err()),
            ("Workload", WORKLOAD, |text| decode::<Workload>(text, Syntax::Yaml).err()),
        ]
    }

    #[test]
    fn what_the_types_refuse_is_explained_and_nothing_else_is() {
        let values: [Value; 7] = [
            Value::Null,
            true.into(),
            7.into(),
            1.5.into(),
            "a".into(),
            Value::Sequence(vec![Value::Sequence(Vec::new())]),
            Value::Mapping(Mapping::from_iter([("zzz".into(), Value::Sequence(Vec::new()))])),
        ];
        let mut refused = 0;
        for (kind, shape, decoder) in kinds() {
            let text = serde_yaml::to_string(&full(&shape)).unwrap();
            // An ingress rule without `to` is all that the table knows; the types leave that to admission.
            assert_eq!(decoder(&text), None, "{kind}: {text}");
            for value in &values {
                for (_, whole) in replaced(&shape, &|_| Some(value.clone())) {
                    let text = serde_yaml::to_string(&whole).unwrap();
                    let explained = !faults(&text, &[], &shape).is_empty();
                    let error = decoder(&text);
                    assert_eq!(error.is_some(), explained, "{kind}: {error:?}\n{text}");
                    refused += usize::from(explained);
                }
            }
        }
        assert!(refused > 300, "only {refused} of the values were refused");
    }

    #[test]
    fn the_table_has_every_field_of_the_types() {
        let unknown: Value = Value::Mapping(Mapping::from_iter([("zzz".into(), Value::Null)]));
        let objects = |shape: &Shape| matches!(shape, Object(_, Refused)).then(|| unknown.clone());
        for (shape, whole) in replaced(&NETWORK_POLICY, &objects) {
            let Object(fields, _) = shape else { panic!("only objects were replaced") };
            let text = serde_yaml::to_string(&whole).unwrap();
            let message = decode::<NetworkPolicy>(&text, Syntax::Yaml).unwrap_err().message;
            let expected = message.split_once("expected").expect("serde lists the fields").1;
            let theirs: BTreeSet<&str> = expected.split('`').skip(1).step_by(2).collect();
            let mut ours: BTreeSet<&str> = fields.iter().map(|(name, _)| *name).collect();
            if ours.contains("ports") {
                ours.extend(["from", "to"]);
            }
            assert_eq!(ours, theirs, "{text}");
        }
    }
}
