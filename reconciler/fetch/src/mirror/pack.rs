//! Writes a pack as gitformat-pack(5) has it, each object whole and not compressed: what is kept is the history and the
//! files of one revision, and so the verifier needs no code that packs.

use std::io::{self, Write};

use sha1_checked::{Builder, Digest as _, Sha1};

use crate::quarantine::object::Kind;

/// A pack that is being written.
pub(super) struct PackWriter<W> {
    to: W,
    hash: Sha1,
}

impl<W: Write> PackWriter<W> {
    /// Begins a pack of so many objects.
    pub(super) fn new(to: W, count: u32) -> io::Result<Self> {
        // The pack's own name: each object in it was looked at before.
        let hash = Builder::default().detect_collision(false).build();
        let mut pack = Self { to, hash };
        pack.put(b"PACK")?;
        pack.put(&2_u32.to_be_bytes())?;
        pack.put(&count.to_be_bytes())?;
        Ok(pack)
    }

    /// Adds an object.
    pub(super) fn add(&mut self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        self.put(&head(kind, bytes.len()))?;
        self.put(&ZLIB)?;
        let mut chunks = bytes.chunks(STORED).peekable();
        if chunks.peek().is_none() {
            self.stored(&[], true)?;
        }
        while let Some(chunk) = chunks.next() {
            self.stored(chunk, chunks.peek().is_none())?;
        }
        self.put(&adler32(bytes).to_be_bytes())
    }

    /// Ends the pack.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let sum = std::mem::replace(&mut self.hash, Sha1::new()).try_finalize();
        self.to.write_all(sum.hash())?;
        Ok(self.to)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.to.write_all(bytes)
    }

    /// A stored block: RFC 1951, 3.2.4.
    fn stored(&mut self, chunk: &[u8], is_last: bool) -> io::Result<()> {
        let length = u16::try_from(chunk.len()).expect("a chunk is as long as a block may be");
        self.put(&[u8::from(is_last)])?;
        self.put(&length.to_le_bytes())?;
        self.put(&(!length).to_le_bytes())?;
        self.put(chunk)
    }
}

/// The head of a stream without a dictionary: RFC 1950, 2.2.
const ZLIB: [u8; 2] = [0x78, 0x01];
/// The longest block.
const STORED: usize = 0xffff;

/// An object's kind and length: four bits of the length, then seven at a time.
fn head(kind: Kind, length: usize) -> Vec<u8> {
    let mut left = length >> 4;
    let mut byte = kind.number() << 4 | low(length, 0x0f);
    let mut head = Vec::new();
    while left > 0 {
        head.push(byte | 0x80);
        byte = low(left, 0x7f);
        left >>= 7;
    }
    head.push(byte);
    head
}

fn low(number: usize, mask: u8) -> u8 {
    u8::try_from(number & usize::from(mask)).expect("the mask has eight bits")
}

/// The checksum of RFC 1950, 8.2.
fn adler32(bytes: &[u8]) -> u32 {
    const BASE: u32 = 65_521;
    // So many bytes may be summed up before a sum has more than 32 bits.
    const BATCH: usize = 5552;
    let (mut a, mut b) = (1, 0);
    for batch in bytes.chunks(BATCH) {
        for byte in batch {
            a += u32::from(*byte);
            b += a;
        }
        a %= BASE;
        b %= BASE;
    }
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quarantine::object::id;

    #[test]
    fn what_is_packed_is_read_by_git() {
        let folder = tempfile::tempdir().unwrap();
        let repository = git2::Repository::init_bare(folder.path()).unwrap();
        let lengths = [0, 1, 15, 16, 2047, 2048, STORED - 1, STORED, STORED + 1, 300_000];
        let bytes = |length: usize| (0..length).map(|at| low(at.wrapping_mul(31), 0xff)).collect::<Vec<u8>>();
        let store = repository.odb().unwrap();
        let count = u32::try_from(lengths.len()).unwrap();
        let mut pack = PackWriter::new(store.packwriter().unwrap(), count).unwrap();
        lengths.iter().for_each(|length| pack.add(Kind::Blob, &bytes(*length)).unwrap());
        pack.finish().unwrap().commit().unwrap();
        let repository = git2::Repository::open_bare(folder.path()).unwrap();
        for length in lengths {
            let bytes = bytes(length);
            let blob = repository.find_blob(id(Kind::Blob, &bytes).unwrap()).unwrap();
            assert!(blob.content() == bytes, "{length}");
        }
    }
}
