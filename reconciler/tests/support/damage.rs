//! What a failing disk does to a folder.

use std::path::{Path, PathBuf};

/// All regular files below a folder, in order.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

/// SplitMix64, so that a seed says which damage it is.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }
}

/// Damages one file below a folder, and says how.
pub(crate) fn damage(state: &Path, random: &mut Random) -> String {
    let all = files_below(state);
    let path = &all[random.below(all.len())];
    let mut bytes = std::fs::read(path).unwrap();
    let length = bytes.len().max(1);
    let (from, kind) = (random.below(length), random.below(5));
    let to = (from + 1 + random.below(512)).min(bytes.len());
    let word = match kind {
        0 => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte ^= 1 << random.below(8);
            }
            "a bit"
        }
        1 => {
            bytes.truncate(from);
            "cut off"
        }
        2 => {
            bytes.iter_mut().take(to).skip(from).for_each(|byte| *byte = 0);
            "zeros"
        }
        3 => {
            bytes.iter_mut().take(to).skip(from).for_each(|byte| *byte = random.below(256) as u8);
            "garbage"
        }
        _ => {
            std::fs::remove_file(path).unwrap();
            return format!("{} is gone", path.display());
        }
    };
    std::fs::write(path, bytes).unwrap();
    format!("{}: {word} at {from}", path.display())
}
