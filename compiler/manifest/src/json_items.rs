//! Reads a List in JSON as a stream: what is in memory is the text of one item.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, Read};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::file::{DOCUMENT_BYTES, TooLarge};
use super::head::Head;
use super::kind::{Item, Kind};

/// A line and a column of a stream, from 1, and how many bytes were read since an item began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: u32,
    pub(super) column: u32,
    bytes: usize,
}

/// Hands on the text of each object of a stream, in which one may follow the other, and of each item in the place of a
/// List.
pub(super) fn items(
    stream: impl BufRead,
    take: &mut impl FnMut(&str, Position, Option<&Item>),
) -> Result<(), serde_json::Error> {
    let position = Cell::new(Position { line: 1, column: 0, bytes: 0 });
    let counting = Counting { stream, position: &position };
    let mut deserializer = serde_json::Deserializer::from_reader(counting);
    loop {
        position.set(Position { bytes: 0, ..position.get() });
        Document { position: &position, take: &mut *take }.deserialize(&mut deserializer)?;
        match deserializer.end() {
            Ok(()) => return Ok(()),
            Err(error) if error.is_io() => return Err(error),
            // Another value follows.
            Err(_) => {}
        }
    }
}

/// Keeps count of lines and columns. The decoder reads byte by byte and one byte ahead, so that where an item begins
/// its first byte was the last one read.
struct Counting<'a, R> {
    stream: R,
    position: &'a Cell<Position>,
}

impl<R: BufRead> Read for Counting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        let Position { mut line, mut column, bytes } = self.position.get();
        let bytes = bytes.saturating_add(count);
        if bytes > DOCUMENT_BYTES {
            return Err(TooLarge { line, column: column.max(1) }.into());
        }
        for byte in buffer.iter().take(count) {
            if *byte == b'\n' {
                (line, column) = (line.saturating_add(1), 0);
            } else {
                column = column.saturating_add(1);
            }
        }
        self.position.set(Position { line, column, bytes });
        Ok(count)
    }
}

struct Document<'a, F> {
    position: &'a Cell<Position>,
    take: &'a mut F,
}

impl<'de, F: FnMut(&str, Position, Option<&Item>)> DeserializeSeed<'de> for Document<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(&str, Position, Option<&Item>)> Visitor<'de> for Document<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a List or another Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let begin = self.position.get();
        let mut fields: Vec<(String, Box<RawValue>)> = Vec::new();
        let mut has_items = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                if std::mem::replace(&mut has_items, true) {
                    return Err(de::Error::custom("duplicate key \"items\""));
                }
                let item = item_of(&fields);
                map.next_value_seed(ItemList { position: self.position, item, take: &mut *self.take })?;
            } else if has_items {
                map.next_value::<IgnoredAny>()?;
            } else {
                fields.push((key, map.next_value()?));
            }
        }
        if !has_items {
            let fields = fields.iter().map(|(key, value)| {
                let key = serde_json::to_string(key).expect("a string is always JSON");
                format!("{key}:{}", value.get())
            });
            let text = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
            (self.take)(&text, begin, None);
        }
        Ok(())
    }
}

/// What the items of a list are, by the fields that stand before them: kinds come first in what servers answer.
fn item_of(fields: &[(String, Box<RawValue>)]) -> Option<Item> {
    let field = |wanted: &str| {
        let value = &fields.iter().find(|(key, _)| key == wanted)?.1;
        serde_json::from_str(value.get()).ok()
    };
    match (Head { api_version: field("apiVersion"), kind: field("kind") }).classify() {
        Kind::List(item) => item,
        _ => None,
    }
}

struct ItemList<'a, F> {
    position: &'a Cell<Position>,
    /// What the items are, where the list's kind says it.
    item: Option<Item>,
    take: &'a mut F,
}

impl<'de, F: FnMut(&str, Position, Option<&Item>)> DeserializeSeed<'de> for ItemList<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&str, Position, Option<&Item>)> Visitor<'de> for ItemList<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        loop {
            let entry = Entry { position: self.position, item: self.item.as_ref(), take: &mut *self.take };
            if list.next_element_seed(entry)?.is_none() {
                return Ok(());
            }
        }
    }
}

struct Entry<'a, F> {
    position: &'a Cell<Position>,
    item: Option<&'a Item>,
    take: &'a mut F,
}

impl<'de, F: FnMut(&str, Position, Option<&Item>)> DeserializeSeed<'de> for Entry<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let begin = self.position.get();
        self.position.set(Position { bytes: 0, ..begin });
        let item: Box<RawValue> = de::Deserialize::deserialize(deserializer)?;
        (self.take)(item.get(), begin, self.item);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_with_their_places() {
        type Found<'a> = (&'a str, u32, u32);
        let rows: &[(&str, &[Found<'_>])] = &[
            (
                "{\"kind\": \"List\", \"items\": [\n  {\"a\": 1},\n  {\"b\":\n 2}]}",
                &[("{\"a\": 1}", 2, 3), ("{\"b\":\n 2}", 3, 3)],
            ),
            ("{\"items\":[], \"kind\": \"List\"}\n", &[]),
            ("\n {\"kind\": \"Pod\"}", &[("{\"kind\":\"Pod\"}", 2, 2)]),
            (
                "{\"kind\": \"Pod\"}{\"a\":1}\n {\"kind\": \"List\", \"items\": [{\"b\":2}]}\n",
                &[("{\"kind\":\"Pod\"}", 1, 1), ("{\"a\":1}", 1, 16), ("{\"b\":2}", 2, 29)],
            ),
        ];
        for (text, expected) in rows {
            let mut found = Vec::new();
            items(text.as_bytes(), &mut |item, at, _| found.push((item.to_owned(), at.line, at.column)))
                .unwrap();
            let found: Vec<(&str, u32, u32)> = found.iter().map(|(t, l, c)| (t.as_str(), *l, *c)).collect();
            assert_eq!(found, *expected, "{text}");
        }
        let mut nothing = |_: &str, _: Position, _: Option<&Item>| {};
        assert!(items(&b"{\"items\": [{}"[..], &mut nothing).is_err(), "a text that breaks off is refused");
        assert!(items(&b"[]"[..], &mut nothing).is_err(), "a list alone is no object");
        assert!(items(&b"{} x"[..], &mut nothing).is_err(), "what follows an object is one");
    }
}
