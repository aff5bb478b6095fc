//! `chainmail schema diff` describes what `diff -o json` prints, and nothing else: the words of JSON Schema that it uses
//! are followed here, and each field that is printed must be one that it has.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read files and run programs, and may panic"
)]

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use support::chainmail;

/// Says what of a value is not as the schema has it, and notes which properties were seen.
fn faults(root: &Value, schema: &Value, value: &Value, at: &str, seen: &mut BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for (word, wanted) in schema.as_object().unwrap() {
        let ok = match word.as_str() {
            "$ref" => {
                let target = root.pointer(wanted.as_str().unwrap().strip_prefix('#').unwrap()).unwrap();
                faults.extend(self::faults(root, target, value, at, seen));
                true
            }
            "anyOf" => wanted
                .as_array()
                .unwrap()
                .iter()
                .any(|one| self::faults(root, one, value, at, seen).is_empty()),
            "type" => match wanted.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                "null" => value.is_null(),
                other => panic!("{other}"),
            },
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_i64() >= wanted.as_i64(),
            "minLength" => value.as_str().map(str::len) >= wanted.as_u64().map(|least| least as usize),
            "minItems" => value.as_array().map(Vec::len) >= wanted.as_u64().map(|least| least as usize),
            "pattern" => {
                let text = value.as_str().unwrap();
                let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                match wanted.as_str().unwrap() {
                    "^[0-9a-f]{64}$" => {
                        text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                    }
                    "^[0-9]+(-[0-9]+)?$" => text.splitn(2, '-').all(digits),
                    other => panic!("{other}"),
                }
            }
            "required" => {
                wanted.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    seen.insert(format!("{at}/{key}"));
                    match wanted.get(key) {
                        Some(schema) => {
                            faults.extend(self::faults(root, schema, value, &format!("{at}/{key}"), seen));
                        }
                        None => faults.push(format!("{at} has no {key} in the schema")),
                    }
                }
                true
            }
            "items" => {
                for value in value.as_array().into_iter().flatten() {
                    faults.extend(self::faults(root, wanted, value, &format!("{at}[]"), seen));
                }
                true
            }
            "description" | "title" | "$schema" | "$id" | "$defs" => true,
            other => panic!("this test does not know {other}"),
        };
        if !ok {
            faults.push(format!("{at} is not as {word} {wanted} wants it: {value}"));
        }
    }
    faults
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

#[test]
fn the_schema_is_of_what_is_printed() {
    let root = support::root();
    let schema = json(&chainmail(&root, &["schema", "diff"]).stdout);
    let mut seen = BTreeSet::new();
    let mut count = 0;
    for entry in std::fs::read_dir(root.join("tests/reviews")).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_str().unwrap().ends_with(".json.snap") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let value = json(text.splitn(3, "---\n").nth(2).unwrap().as_bytes());
        assert_eq!(faults(&schema, &schema, &value, "", &mut seen), [""; 0], "{}", path.display());
        count += 1;
    }
    assert!(count >= 5);
    for field in [
        "/reachability/flows[]/witness/service",
        "/rules/shapes[]/chains[]/lines[]/added",
        "/rules/sets[]/members",
    ] {
        assert!(seen.iter().any(|known| known.starts_with(field)), "{field} was never looked at: {seen:#?}");
    }
    let mut wrong = json(
        &chainmail(
            &root,
            &[
                "diff",
                "policies/aks-tutorial/commits/1-no-policy",
                "policies/aks-tutorial/commits/1-no-policy",
                "-o",
                "json",
            ],
        )
        .stdout,
    );
    assert_eq!(faults(&schema, &schema, &wrong, "", &mut seen), [""; 0]);
    wrong["summary"]["outcome"] = "fine".into();
    wrong["summary"]["flows"].as_object_mut().unwrap().remove("opened");
    assert_eq!(faults(&schema, &schema, &wrong, "", &mut seen).len(), 2, "the test can fail");
}
