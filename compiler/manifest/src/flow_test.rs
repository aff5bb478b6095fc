//! FlowTest of chainmail/v1: flows that are expected, beside the policies that are to let them through.

use std::fmt;

use chainmail_model as model;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::Located;
use super::text::{Text, absent_if_null};

/// The apiVersion of this project's own kinds.
pub(crate) const OWN_VERSION: &str = "chainmail/v1";
/// The one kind of it.
pub(crate) const FLOW_TEST: &str = "FlowTest";

/// The object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlowTest {
    #[serde(rename = "apiVersion")]
    _api_version: Option<Text>,
    #[serde(rename = "kind")]
    _kind: Option<Text>,
    /// Its name.
    #[serde(default, deserialize_with = "absent_if_null")]
    pub metadata: FlowTestMeta,
    /// Its cases.
    pub spec: Option<Vec<FlowCase>>,
}

/// `metadata`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowTestMeta {
    /// The name, of which there is one.
    pub name: Option<Text>,
    #[serde(skip_serializing, default, rename = "labels")]
    _labels: IgnoredAny,
    #[serde(skip_serializing, default, rename = "annotations")]
    _annotations: IgnoredAny,
}

/// One entry of `spec`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowCase {
    /// Who sends.
    pub from: Option<Words>,
    /// Who receives.
    pub to: Option<Words>,
    /// Services that must be let through.
    pub allow: Option<Words>,
    /// Services that must not be.
    pub deny: Option<Words>,
    /// Why, for whoever breaks it.
    pub why: Option<Text>,
}

/// One word, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Words {
    /// Written without a list.
    One(Text),
    /// Written as a list.
    Many(Vec<Text>),
}

impl Located<FlowTest> {
    /// The flow test without its spelling.
    #[must_use]
    pub fn to_model(&self) -> model::FlowTest {
        let name = self.object.metadata.name.as_ref().map_or_else(String::new, |name| name.0.clone());
        let cases = self.object.spec.iter().flatten().map(FlowCase::to_model).collect();
        model::FlowTest { at: self.at, name, cases }
    }
}

impl FlowCase {
    fn to_model(&self) -> model::FlowCase {
        let words = |words: &Option<Words>| words.as_ref().map(Words::to_model);
        model::FlowCase {
            from: words(&self.from),
            to: words(&self.to),
            allow: words(&self.allow),
            deny: words(&self.deny),
            why: self.why.as_ref().map(|why| why.0.clone()),
        }
    }
}

impl Words {
    fn to_model(&self) -> model::Words {
        match self {
            Words::One(word) => model::Words::One(word.0.clone()),
            Words::Many(words) => model::Words::Many(words.iter().map(|word| word.0.clone()).collect()),
        }
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordsVisitor;

        impl<'de> Visitor<'de> for WordsVisitor {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Words, E> {
                Ok(Words::One(Text(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<Words, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(access)).map(Words::Many)
            }
        }

        deserializer.deserialize_any(WordsVisitor)
    }
}
