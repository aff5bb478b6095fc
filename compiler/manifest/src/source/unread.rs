//! Files that are not read: they would be read otherwise elsewhere, or without end, or were not reviewed. They are
//! reported with what is found in the others.

/// The largest file that is read, in bytes. Repositories hold files of a few KiB; what is larger is a dump of live
/// objects, and those are read as inventories, item by item.
pub const FILE_BYTES: u64 = 16 << 20;

/// The most bytes of all files of one input.
pub const TOTAL_BYTES: u64 = 256 << 20;

/// The most entries of folders that are looked at, read or not: a revision of a dozen objects may name 10^10 paths.
pub const ENTRIES: usize = 1 << 20;

/// The most bytes that a revision's files may have beyond their first copies: one object may stand under many names.
pub const REPEATED_BYTES: u64 = 16 << 20;

/// The longest path of a revision, in bytes: Linux can have no longer one (PATH_MAX).
pub(super) const PATH_BYTES: usize = 4096;

/// A file that is not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// The path relative to the root, as far as it can be shown.
    pub path: String,
    /// Why.
    pub why: Why,
}

/// Why a file is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is larger than what is read.
    Size {
        /// How many bytes it has.
        bytes: u64,
        /// The most that are read.
        most: u64,
    },
    /// With it the files would come to more than this many bytes, which is all that is wanted. None of them is read.
    Total(u64),
    /// A link: what it points to is not part of what was reviewed.
    Link,
    /// A submodule: what it holds is not part of this repository's objects.
    Submodule,
    /// Something that is read for ever, or not at all.
    Special,
    /// The path is not UTF-8, or has a control character: no message could name it, and no comment.
    Path,
    /// The path is longer than any that a work tree can have. What is told is its beginning.
    LongPath,
    /// With it there are more than [`ENTRIES`] files and folders. None of the files is read.
    Entries,
    /// With it the copies of files come to more than [`REPEATED_BYTES`]. None of the files is read.
    Repeated,
}

/// What stands below a folder or tree.
pub(super) struct Walked<Handle> {
    /// The files that a filter reads: path from the root, and what to open.
    pub(super) files: Vec<(String, Handle)>,
    /// What it would read, were it as it should be.
    pub(super) unread: Vec<Unread>,
}

impl<Handle> Walked<Handle> {
    /// A walk that was given up: what it found so far is not all there is.
    pub(super) fn given_up(path: String, why: Why) -> Self {
        let path = if path.is_empty() { ".".to_owned() } else { path };
        Self { files: Vec::new(), unread: vec![Unread { path, why }] }
    }
}

/// Whether a path can be named in a line of text.
pub(super) fn is_printable(path: &str) -> bool {
    !path.contains(|c: char| c.is_control() || c == '\u{fffd}')
}
