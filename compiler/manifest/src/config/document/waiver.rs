//! `[[waiver]]`.

use chainmail_contract::Date;
use chainmail_findings::{Agreed, Code, nearest};
use chainmail_model::{Covered, Waiver};
use globset::{GlobBuilder, GlobMatcher};
use toml::de::{DeTable, DeValue};

use super::{Reader, Value, limits};

const KEYS: [&str; 8] = ["id", "from", "to", "lint", "object", "owner", "reason", "expires"];

pub(super) fn read(reader: &mut Reader<'_>, value: &Value<'_>, waivers: &mut Vec<Waiver>) {
    let Some(blocks) = value.get_ref().as_array() else {
        return reader.wrong("waiver", value, "sections that begin with [[waiver]]");
    };
    if !reader.may_have("[[waiver]] sections", value, blocks.len(), limits::WAIVERS) {
        return;
    }
    for block in blocks {
        match block.get_ref().as_table() {
            Some(table) => waivers.extend(waiver(reader, block, table)),
            None => reader.wrong("an entry of waiver", block, "a section that begins with [[waiver]]"),
        }
    }
}

/// One section. What is wrong in it is reported, and then it waives nothing.
fn waiver(reader: &mut Reader<'_>, block: &Value<'_>, table: &DeTable<'_>) -> Option<Waiver> {
    let (mut id, mut from, mut to, mut lint, mut object) = (None, None, None, None, None);
    let (mut owner, mut reason, mut expires) = (None, None, None);
    let mut is_right = true;
    for (key, value) in table {
        let text = value.get_ref().as_str().filter(|text| !text.trim().is_empty()).map(ToOwned::to_owned);
        let known = match key.get_ref().as_ref() {
            "id" => Some((&mut id, text, "the id of a row, as `diff -o json` has it")),
            "owner" => Some((&mut owner, text, "who answers for it, in quotes")),
            "reason" => Some((&mut reason, text, "why it holds, in quotes")),
            "from" => {
                from = pattern(reader, "from", value);
                is_right &= from.is_some();
                None
            }
            "to" => {
                to = pattern(reader, "to", value);
                is_right &= to.is_some();
                None
            }
            "object" => {
                object = pattern(reader, "object", value);
                is_right &= object.is_some();
                None
            }
            "lint" => {
                lint = code(reader, value);
                is_right &= lint.is_some();
                None
            }
            "expires" => {
                expires = day(reader, value);
                is_right &= expires.is_some();
                None
            }
            name => {
                let help = match nearest(name, KEYS) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("the keys here are {}", KEYS.join(", ")),
                };
                reader.report(Code::UnknownKey, key.span(), format!("unknown key {name:?}"), Some(help));
                is_right = false;
                None
            }
        };
        if let Some((slot, text, wanted)) = known {
            if text.is_none() {
                reader.wrong(key.get_ref(), value, wanted);
                is_right = false;
            }
            *slot = text;
        }
    }
    if !is_right {
        return None;
    }
    let mut lacks = |message: &str, help: &str| {
        reader.report(Code::BadConfig, block.span(), message.to_owned(), Some(help.to_owned()));
        None
    };
    let covers = match (id, (from, to), (lint, object)) {
        (Some(id), (None, None), (None, None)) => Covered::Row(id),
        (None, (Some(from), Some(to)), (None, None)) => Covered::Flows { from, to },
        (None, (None, None), (Some(lint), Some(object))) => Covered::Findings { lint, object },
        _ => {
            let message = "the waiver does not say what it covers";
            let help = "write id = \"…\" of a row of diff; or from = \"…\" and to = \"…\"; or lint = \"…\" and object = \"…\"";
            return lacks(message, help);
        }
    };
    match (owner, reason, expires) {
        (Some(owner), Some(reason), Some(expires)) => {
            let place = reader.place(&block.span());
            Some(Waiver { place, covers, agreed: Agreed { owner, reason, expires } })
        }
        _ => lacks(
            "a waiver needs an owner, a reason and a day on which it ends",
            "write owner = \"…\", reason = \"…\" and expires = 2026-12-31",
        ),
    }
}

fn pattern(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<GlobMatcher> {
    let Some(text) = value.get_ref().as_str() else {
        reader.wrong(key, value, "a pattern of names, like \"shop/*\"");
        return None;
    };
    if !reader.is_short(text, value) {
        return None;
    }
    match GlobBuilder::new(text).literal_separator(true).build() {
        Ok(glob) => Some(glob.compile_matcher()),
        Err(error) => {
            let message = format!("{text:?} is not a pattern: {}", error.kind());
            reader.report(Code::BadConfig, value.span(), message, None);
            None
        }
    }
}

/// One of the lints.
fn code(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Code> {
    let name = value.get_ref().as_str();
    let code = Code::LINTS.iter().copied().find(|code| Some(code.as_str()) == name);
    if code.is_none() {
        let near = name.and_then(|name| nearest(name, Code::LINTS.iter().map(|code| code.as_str())));
        let like = near.unwrap_or(Code::WorldOpen.as_str());
        reader.wrong("lint", value, &format!("the code of a lint, like {like:?}"));
    }
    code
}

/// A date without a time, as TOML writes it.
fn day(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Date> {
    let date = match value.get_ref() {
        DeValue::Datetime(moment) if moment.time.is_none() => moment.date,
        _ => None,
    };
    let date = date.and_then(|date| Date::new(date.year.into(), date.month.into(), date.day.into()));
    if date.is_none() {
        reader.wrong("expires", value, "the last day on which it holds, like 2026-12-31 without quotes");
    }
    date
}
