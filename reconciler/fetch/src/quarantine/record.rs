//! Objects as they cross from one user to another: a head, then for each object its kind, its length and its bytes. No name
//! crosses, since the reader gives each object the name that it computes.
//!
//! ```text
//! "chainmail-objects 1\n"  count: u32  { kind: u8  length: u64  bytes }*      numbers: the highest byte first
//! ```

use std::io::{self, Read, Write};

use thiserror::Error;

use super::object::Kind;

const MAGIC: &[u8; 20] = b"chainmail-objects 1\n";

/// The most objects of one file: a history of a million commits, and a tree of a million files.
pub const MOST_OBJECTS: u32 = 2_000_000;
/// The most bytes of a commit or tag, which holds a message and a signature.
pub const MOST_MESSAGE: u64 = 4_000_000;

/// How much is read of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file or folder of a revision.
    pub object: u64,
    /// Bytes of all objects.
    pub total: u64,
}

impl Limits {
    /// The most bytes of an object of a kind.
    #[must_use]
    pub fn of(self, kind: Kind) -> u64 {
        match kind {
            Kind::Commit | Kind::Tag => self.object.min(MOST_MESSAGE),
            Kind::Tree | Kind::Blob => self.object,
        }
    }
}

/// A file that is not as [`Writer`] writes it. The bytes are another user's, so none of them is told.
#[derive(Debug, Error)]
pub enum RecordError {
    /// It begins otherwise.
    #[error("it does not begin as a file of objects")]
    Magic,
    /// It says that there are too many.
    #[error("it has {found} objects, more than {MOST_OBJECTS}")]
    Count {
        /// The number that it says.
        found: u32,
    },
    /// An object is of no kind.
    #[error("object {at} is of kind {kind}, and there is none")]
    Kind {
        /// Which object, from 0 on.
        at: u32,
        /// The number that it says.
        kind: u8,
    },
    /// An object is too large.
    #[error("object {at} has {found} bytes, more than the {most} that may be taken")]
    Object {
        /// Which object.
        at: u32,
        /// The length that it says.
        found: u64,
        /// The limit.
        most: u64,
    },
    /// All objects together are too large.
    #[error("its objects have more than {most} bytes")]
    Total {
        /// The limit.
        most: u64,
    },
    /// It ends too early.
    #[error("it ends within object {at}")]
    Short {
        /// Which object.
        at: u32,
    },
    /// It goes on behind the last object.
    #[error("it goes on behind its last object")]
    Behind,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(io::Error),
}

/// Writes objects.
#[derive(Debug)]
pub struct Writer<W>(W);

impl<W: Write> Writer<W> {
    /// Begins a file of so many objects.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(mut to: W, count: u32) -> io::Result<Self> {
        to.write_all(MAGIC)?;
        to.write_all(&count.to_be_bytes())?;
        Ok(Self(to))
    }

    /// Adds one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(&[kind.number()])?;
        self.0.write_all(&(bytes.len() as u64).to_be_bytes())?;
        self.0.write_all(bytes)
    }

    /// What it was written to.
    #[must_use]
    pub fn into_inner(self) -> W {
        self.0
    }
}

/// Reads objects that another user wrote.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    limits: Limits,
    count: u32,
    at: u32,
    taken: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// When it is not as [`Writer`] writes it.
    pub fn new(mut from: R, limits: Limits) -> Result<Self, RecordError> {
        let mut magic = [0; MAGIC.len()];
        let mut count = [0; 4];
        let read = from.read_exact(&mut magic).and_then(|()| from.read_exact(&mut count));
        read.map_err(|error| cut(error, RecordError::Magic))?;
        let count = u32::from_be_bytes(count);
        match (&magic == MAGIC, count <= MOST_OBJECTS) {
            (false, _) => Err(RecordError::Magic),
            (true, false) => Err(RecordError::Count { found: count }),
            (true, true) => Ok(Self { from, limits, count, at: 0, taken: 0 }),
        }
    }

    /// How many objects there are, as the file says; [`Self::next`] answers with so many or with an error.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The next object; `None` behind the last one.
    ///
    /// # Errors
    /// When it is not as [`Writer`] writes it, or over a limit.
    #[expect(clippy::should_implement_trait, reason = "an error ends it, which an iterator does not say")]
    pub fn next(&mut self) -> Result<Option<(Kind, Vec<u8>)>, RecordError> {
        let at = self.at;
        if at == self.count {
            return match self.from.read(&mut [0]) {
                Ok(0) => Ok(None),
                Ok(_) => Err(RecordError::Behind),
                Err(error) => Err(RecordError::Read(error)),
            };
        }
        let (mut kind, mut length) = ([0], [0; 8]);
        let read = self.from.read_exact(&mut kind).and_then(|()| self.from.read_exact(&mut length));
        read.map_err(|error| cut(error, RecordError::Short { at }))?;
        let [number] = kind;
        let kind = Kind::of_number(number).ok_or(RecordError::Kind { at, kind: number })?;
        let (length, most) = (u64::from_be_bytes(length), self.limits.of(kind));
        if length > most {
            return Err(RecordError::Object { at, found: length, most });
        }
        self.taken += length;
        if self.taken > self.limits.total {
            return Err(RecordError::Total { most: self.limits.total });
        }
        // It grows as bytes come: a length alone takes no memory.
        let mut bytes = Vec::new();
        (&mut self.from).take(length).read_to_end(&mut bytes).map_err(RecordError::Read)?;
        if bytes.len() as u64 != length {
            return Err(RecordError::Short { at });
        }
        self.at += 1;
        Ok(Some((kind, bytes)))
    }
}

fn cut(error: io::Error, short: RecordError) -> RecordError {
    if error.kind() == io::ErrorKind::UnexpectedEof { short } else { RecordError::Read(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { object: 10, total: 25 };

    fn written(objects: &[(Kind, &[u8])]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), u32::try_from(objects.len()).unwrap()).unwrap();
        objects.iter().for_each(|(kind, bytes)| writer.add(*kind, bytes).unwrap());
        writer.into_inner()
    }

    fn read(bytes: &[u8]) -> Result<Vec<(Kind, Vec<u8>)>, String> {
        let all = || {
            let mut reader = Reader::new(bytes, LIMITS)?;
            let mut objects = Vec::new();
            while let Some(object) = reader.next()? {
                objects.push(object);
            }
            Ok(objects)
        };
        all().map_err(|error: RecordError| error.to_string())
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let objects: [(Kind, &[u8]); 3] =
            [(Kind::Blob, b"0123456789"), (Kind::Tree, b""), (Kind::Tag, b"\0")];
        let whole = written(&objects);
        let expected: Vec<_> = objects.iter().map(|(kind, bytes)| (*kind, bytes.to_vec())).collect();
        assert_eq!(read(&whole), Ok(expected));
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "cut at {length}");
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            bytes
        };
        for (bytes, expected) in [
            ([whole.as_slice(), b"x"].concat(), "goes on behind"),
            (with(0, b'C'), "does not begin"),
            (with(20, 255), "more than 2000000"),
            (with(23, 4), "ends within object 3"),
            (with(24, 9), "object 0 is of kind 9"),
            (with(25, 1), "more than the 10"),
            (written(&[(Kind::Blob, &[0; 11])]), "more than the 10"),
            (
                written(&[(Kind::Blob, &[0; 10]), (Kind::Blob, &[0; 10]), (Kind::Blob, &[0; 6])]),
                "more than 25 bytes",
            ),
        ] {
            let error = read(&bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
