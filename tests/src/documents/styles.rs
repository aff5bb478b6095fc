//! A document's values, a few of them replaced, in one of the many ways in which YAML may be written.

use serde_yaml::Value;

use super::SCALARS;
use crate::seeded::Seeded;

/// Writes what a document says, and at times something else.
#[must_use]
pub fn restyled(document: &str, random: &mut Seeded) -> String {
    let value: Value = serde_yaml::from_str(document).unwrap_or_default();
    let mut writer = Writer { random, text: String::new() };
    writer.block(&value, 0);
    let mut text = writer.text.trim_start_matches('\n').to_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

struct Writer<'r> {
    random: &'r mut Seeded,
    text: String,
}

impl Writer<'_> {
    /// A value from the next line on, indented by so much, or on the line where it is none of many.
    fn block(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Mapping(fields) if !fields.is_empty() && !self.random.percent(15) => {
                for (key, value) in fields {
                    self.next_line(indent);
                    let key = self.scalar(key);
                    if self.random.percent(2) {
                        self.text.push_str(&format!("? {key}"));
                        self.next_line(indent);
                    } else {
                        self.text.push_str(&key);
                    }
                    let word = self.one_of(&[":", ":", ":", ":", ":", ":", " :"]);
                    self.text.push_str(word);
                    let step = *self.random.pick(&[2, 2, 2, 1, 4]);
                    // A list may stand as deep as its key.
                    let deeper = if value.is_sequence() && self.random.percent(50) { 0 } else { step };
                    self.block(value, indent + deeper);
                }
            }
            Value::Sequence(items) if !items.is_empty() && !self.random.percent(20) => {
                for item in items {
                    self.next_line(indent);
                    self.text.push('-');
                    self.block(item, indent + 2);
                }
            }
            _ => {
                let flow = self.flow(value, indent);
                self.text.push_str(&format!(" {flow}"));
                if self.random.percent(3) {
                    let word = self.one_of(&[" # note", " ", "\t"]);
                    self.text.push_str(word);
                }
            }
        }
    }

    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        self.random.pick::<&'static str>(words)
    }

    fn next_line(&mut self, indent: usize) {
        if self.random.percent(3) {
            let word = self.one_of(&["\n", "\n# note", "\n   # note", "\r"]);
            self.text.push_str(word);
        }
        self.text.push('\n');
        self.text.push_str(&" ".repeat(indent));
    }

    fn flow(&mut self, value: &Value, indent: usize) -> String {
        if self.random.percent(2) {
            return (*self.random.pick(SCALARS)).to_owned();
        }
        let break_line = |random: &mut Seeded| {
            if random.percent(5) { format!("\n{}", " ".repeat(indent + 2)) } else { String::new() }
        };
        match value {
            Value::Mapping(fields) => {
                let mut parts = Vec::new();
                for (key, value) in fields {
                    let (key, value) = (self.scalar(key), self.flow(value, indent));
                    let colon = if key.ends_with('"') && self.random.percent(20) { ":" } else { ": " };
                    parts.push(format!("{}{key}{colon}{value}", break_line(self.random)));
                }
                format!("{{{}{}}}", parts.join(", "), self.one_of(&["", "", "", ","]))
            }
            Value::Sequence(items) => {
                let parts: Vec<String> = items
                    .iter()
                    .map(|item| format!("{}{}", break_line(self.random), self.flow(item, indent)))
                    .collect();
                format!("[{}{}]", parts.join(", "), self.one_of(&["", "", "", ","]))
            }
            scalar => self.scalar(scalar),
        }
    }

    fn scalar(&mut self, value: &Value) -> String {
        let plain = match value {
            Value::String(text) => text.clone(),
            Value::Bool(truth) => return truth.to_string(),
            Value::Number(number) => return number.to_string(),
            _ => return self.one_of(&["", "~", "null", "Null"]).to_owned(),
        };
        match self.random.below(6) {
            0 => format!("'{}'", plain.replace('\'', "''")),
            1 | 2 => serde_json::to_string(&plain).expect("a string is always JSON"),
            _ => plain,
        }
    }
}
