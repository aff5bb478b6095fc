//! Strings that refuse what YAML would turn into one: `1.10`, `true` and `~` are not label values to the API server.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// A string, and written as one.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl Visitor<'_> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string (put it in quotes)")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Text, E> {
                Ok(Text(text))
            }
        }

        // `deserialize_str` would hand over the scalar's text whatever its type.
        deserializer.deserialize_any(TextVisitor)
    }
}

/// Labels: a map of strings that refuses a key given twice, where YAML libraries silently keep the last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TextMap(pub BTreeMap<String, String>);

impl<'de> Deserialize<'de> for TextMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor;

        impl<'de> Visitor<'de> for MapVisitor {
            type Value = TextMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<TextMap, A::Error> {
                Ok(TextMap(unique::<A, Text>(&mut access, |Text(value)| value)?))
            }
        }

        deserializer.deserialize_map(MapVisitor)
    }
}

/// Annotations: as [`TextMap`], but a value may be null, which is the empty string to the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Annotations(pub BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor;

        impl<'de> Visitor<'de> for MapVisitor {
            type Value = Annotations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Annotations, A::Error> {
                let value = |value: Option<Text>| value.unwrap_or_default().0;
                Ok(Annotations(unique::<A, Option<Text>>(&mut access, value)?))
            }
        }

        deserializer.deserialize_map(MapVisitor)
    }
}

/// The entries of a map that has no key twice.
fn unique<'de, A: MapAccess<'de>, V: Deserialize<'de>>(
    access: &mut A,
    text: impl Fn(V) -> String,
) -> Result<BTreeMap<String, String>, A::Error> {
    let mut map = BTreeMap::new();
    while let Some((Text(key), value)) = access.next_entry()? {
        if map.contains_key(&key) {
            return Err(de::Error::custom(format!("duplicate key {key:?}")));
        }
        map.insert(key, text(value));
    }
    Ok(map)
}

/// For a part that has a default: `null` is its absence, as everywhere in the API.
pub(super) fn absent_if_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
