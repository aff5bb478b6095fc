//! Reads inventories, item by item.

use std::io::{self, BufRead, Read as _};

use chainmail_findings::{Code, Diagnostic, FileId, Margin, ObjectRef, Place, Spot};

use super::document::split;
use super::file::TooLarge;
use super::head::head;
use super::items::{Piece, Stop, pieces};
use super::json_items::{self, Position};
use super::kind::{Item, Kind};
use super::reader::{Decode, Reader};
use super::shape;
use super::yaml::{Syntax, json_error};
use crate::source::{Inventory, Sources};

/// Reads one inventory.
pub(super) fn read<'a>(sources: &'a Sources, id: FileId, inventory: &Inventory) -> Reader<'a> {
    let mut reader = Reader::new(sources);
    let result = match is_json(inventory) {
        Ok(true) => json(&mut reader, id, inventory),
        Ok(false) => match plain_yaml(&mut reader, id, inventory) {
            Err(Stop::NotPlain) => {
                reader = Reader::new(sources);
                whole_yaml(&mut reader, id, inventory)
            }
            Err(Stop::Io(error)) => Err(error),
            Ok(()) => Ok(()),
        },
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => reader.not_utf8(id, 1),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TooLarge>());
            let (line, column) = inner.map_or((1, 1), |at| (at.line, at.column));
            reader.too_large(item_ref(id, line, column, Margin::First));
        }
        Err(error) => {
            let place = Place { file: inventory.path().to_owned(), line: 1, column: 1, excerpt: None };
            let message = format!("the inventory cannot be read: {error}");
            reader.findings.push(Diagnostic::new(Code::Unreadable, Some(place), message));
        }
    }
    reader
}

/// By the name, or where that says nothing by the first byte: `kubectl -o json` begins with a brace, `-o yaml` never.
fn is_json(inventory: &Inventory) -> io::Result<bool> {
    let path = inventory.path();
    if path.ends_with(".yaml") || path.ends_with(".yml") {
        return Ok(false);
    }
    let mut stream = inventory.open()?;
    let first = stream.fill_buf()?.iter().find(|byte| !byte.is_ascii_whitespace()).copied();
    Ok(path.ends_with(".json") || first == Some(b'{'))
}

fn item_ref(file: FileId, line: u32, column: u32, margin: Margin) -> ObjectRef {
    ObjectRef { file, spot: Spot::Item { line, column, margin } }
}

fn plain_yaml(reader: &mut Reader<'_>, id: FileId, inventory: &Inventory) -> Result<(), Stop> {
    pieces(inventory.open()?, &mut |Piece { text, line, columns }| {
        let at = item_ref(id, line, columns + 1, Margin::Every);
        match head(&text, Syntax::Yaml) {
            // Its items were not cut off, so it is not what kubectl prints.
            Ok(head) if matches!(head.classify(), Kind::List(_)) => return Err(Stop::NotPlain),
            Ok(head) => reader.object(head, at, Decode::Text(&text, Syntax::Yaml)),
            Err(error) if error.code == Code::Syntax => return Err(Stop::NotPlain),
            Err(error) => reader.refuse(at, &text, &[], &shape::HEAD, error),
        }
        // Where the text was cut within a value, the first half of that value is no YAML.
        if reader.findings.has(Code::Syntax) { Err(Stop::NotPlain) } else { Ok(()) }
    })
}

/// The most that is read of an inventory that does not look as kubectl prints it, in bytes.
const WHOLE_BYTES: u64 = 64 << 20;

/// Reads what the line by line reading cannot: the whole text is in memory.
fn whole_yaml(reader: &mut Reader<'_>, id: FileId, inventory: &Inventory) -> io::Result<()> {
    let mut text = String::new();
    inventory.open()?.take(WHOLE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > WHOLE_BYTES {
        return Err(TooLarge { line: 1, column: 1 }.into());
    }
    for document in split(text.trim_start_matches('\u{feff}')) {
        let at = item_ref(id, document.lines_before + 1, 1, Margin::Every);
        reader.whole(at, document.text, Syntax::Yaml);
    }
    Ok(())
}

fn json(reader: &mut Reader<'_>, id: FileId, inventory: &Inventory) -> io::Result<()> {
    let mut take = |text: &str, at: Position, item: Option<&Item>| {
        let at = item_ref(id, at.line, at.column, Margin::First);
        match head(text, Syntax::Json) {
            Ok(head) => reader.object(head.or_item(item), at, Decode::Text(text, Syntax::Json)),
            Err(error) => reader.refuse(at, text, &[], &shape::HEAD, error),
        }
    };
    match json_items::items(inventory.open()?, &mut take) {
        Ok(()) => Ok(()),
        Err(error) if error.is_io() => Err(error.into()),
        Err(error) => {
            let whole = item_ref(id, 1, 1, Margin::First);
            reader.refuse(whole, "", &[], &shape::HEAD, json_error(&error));
            Ok(())
        }
    }
}
