//! How much `chainmail.toml` may hold. Each limit is asked before what it bounds is worked on.

/// The most bytes of the file.
pub(super) const BYTES: usize = 1 << 20;
/// The most patterns in `manifests`.
pub(super) const PATTERNS: usize = 1000;
/// The most `[[nodes]]` sections.
pub(super) const NODES: usize = 1000;
/// The most `[[waiver]]` sections.
pub(super) const WAIVERS: usize = 1000;
/// The most bytes of one pattern.
pub(super) const PATTERN_BYTES: usize = 4096;
/// The most findings about the file that are kept.
pub(super) const FINDINGS: usize = 1000;
/// The longest line that is shown with a finding, in bytes: each finding keeps a copy.
pub(super) const EXCERPT_BYTES: usize = 4096;
/// The most work of matching `[[nodes]]`: bytes of all patterns with wildcards, times bytes of all nodes' names. A regular
/// expression takes at most time in proportion to both.
pub(super) const MATCHING: u64 = 2_000_000_000;
