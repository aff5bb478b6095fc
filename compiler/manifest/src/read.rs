//! Reads every document of the sources.

use chainmail_findings::Findings;

use super::cache::Cache;
use super::reader::Reader;
use super::{Manifests, file, inventory};
use crate::source::{Inventory, Sources};

/// Reads all sources. What cannot be read is a finding, and the rest is read all the same.
#[must_use]
pub fn read(sources: &Sources) -> (Manifests, Findings) {
    read_with(sources, &mut Cache::none())
}

/// As [`read`]; what the cache has of a file is not read again.
#[must_use]
pub fn read_with(sources: &Sources, cache: &mut Cache) -> (Manifests, Findings) {
    let mut reader = Reader::new(sources);
    reader.findings.extend(file::refused(sources));
    for (id, file) in sources.iter() {
        let key = cache.key(sources, file);
        if let Some(kept) = key.as_ref().and_then(|key| cache.get(key, file)) {
            reader.manifests.extend(kept.in_file(id));
            continue;
        }
        let mut own = Reader::new(sources);
        own.file(id, file);
        // Findings name the file: they are found anew each time.
        if let Some(key) = key.filter(|_| own.findings.is_empty() && own.manifests.flow_findings.is_empty()) {
            cache.put(key, file, &own.manifests);
        }
        reader.extend(own);
    }
    for (id, inventory) in sources.inventories() {
        match cache.take_inventory(inventory.path()) {
            Some(kept) => reader.manifests.extend(kept.in_file(id)),
            None => reader.extend(inventory::read(sources, id, inventory)),
        }
    }
    (reader.manifests, reader.findings)
}

/// Reads one inventory by itself. What is wrong with an item is a finding, and the item is left out.
#[must_use]
pub fn read_inventory(inventory: Inventory) -> (Manifests, Findings) {
    read(&Sources::default().with_inventories([inventory]))
}
