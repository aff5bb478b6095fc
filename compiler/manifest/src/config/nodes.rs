//! Which `[[nodes]]` sections hold for which node.

use std::collections::{BTreeMap, BTreeSet};

use chainmail_contract::NodeName;
use globset::{GlobBuilder, GlobMatcher};

use super::{NodeOverrides, limits};

/// What `match` says.
#[derive(Debug, Clone)]
pub(super) struct NamePattern {
    text: String,
    /// None where the text has no wildcard: then it is the name.
    glob: Option<GlobMatcher>,
}

impl NamePattern {
    pub(super) fn new(text: &str) -> Result<Self, globset::Error> {
        let is_name = !text.contains(['*', '?', '[', ']', '{', '}', '\\', '!']);
        let glob = if is_name { None } else { Some(GlobBuilder::new(text).build()?.compile_matcher()) };
        Ok(Self { text: text.to_owned(), glob })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// The places of the sections that hold for each node, in order. Nodes without any are left out.
pub(super) type Matching<'n> = BTreeMap<&'n NodeName, Vec<usize>>;

/// Matches every section with every node once: names are looked up, patterns are tried.
///
/// # Errors
/// With the work of trying the patterns, where it is more than may be.
pub(super) fn matching<'n>(
    sections: &[NodeOverrides],
    names: &'n BTreeSet<NodeName>,
) -> Result<Matching<'n>, u64> {
    let mut globs = Vec::new();
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, NodeOverrides { pattern, .. }) in sections.iter().enumerate() {
        match &pattern.glob {
            Some(glob) => globs.push((place, glob)),
            None => by_name.entry(pattern.text()).or_default().push(place),
        }
    }
    let sum = |bytes: &mut dyn Iterator<Item = usize>| bytes.map(|bytes| bytes as u64).sum::<u64>();
    let patterns = sections.iter().map(|section| &section.pattern).filter(|pattern| pattern.glob.is_some());
    let work = sum(&mut patterns.map(|pattern| pattern.text.len()))
        .saturating_mul(sum(&mut names.iter().map(|name| name.as_str().len())));
    if work > limits::MATCHING {
        return Err(work);
    }
    let mut matching = Matching::new();
    for name in names {
        let mut places = by_name.get(name.as_str()).cloned().unwrap_or_default();
        places.extend(globs.iter().filter(|(_, glob)| glob.is_match(name.as_str())).map(|(place, _)| *place));
        if !places.is_empty() {
            places.sort_unstable();
            matching.insert(name, places);
        }
    }
    Ok(matching)
}
