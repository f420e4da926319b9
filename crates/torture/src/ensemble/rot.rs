//! Damage of files while nobody uses them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::random::Random;

/// The unit in which a device loses something.
const SECTOR_BYTES: usize = 512;
/// Files of epochs are left alone: they are Apache's, and have no checksum.
const PREFIXES: [&str; 3] = ["log.", "snapshot.", "synced"];

/// Damages one of the files of a server; returns what was done.
pub(super) fn damage(home: &Path, random: &mut Random) -> io::Result<String> {
    let files = files(home)?;
    let Some(file) = pick(random, files.len()).and_then(|index| files.get(index)) else {
        return Ok("there was nothing to damage".to_owned());
    };
    let mut bytes = fs::read(file)?;
    let Some(at) = pick(random, bytes.len()) else { return Ok("an empty file".to_owned()) };
    let sector = at / SECTOR_BYTES * SECTOR_BYTES;
    let sector = sector..(sector + SECTOR_BYTES).min(bytes.len());
    let what = match random.below(5) {
        0 => {
            bytes.truncate(at);
            "cut off"
        }
        1 => {
            bytes[sector].fill(0);
            "a sector of zeros"
        }
        2 => {
            bytes[sector].fill_with(|| u8::try_from(random.below(256)).unwrap_or(0));
            "a sector of nonsense"
        }
        3 => {
            fs::remove_file(file)?;
            return Ok(format!("{} is gone", file.display()));
        }
        _ => {
            bytes[at] ^= 1 << random.below(8);
            "a bit"
        }
    };
    fs::write(file, bytes)?;
    Ok(format!("{what} at byte {at} of {}", file.display()))
}

/// Removes everything that a server has kept, as an operator does when it refuses what there is.
pub(super) fn remove_all(home: &Path) -> io::Result<()> {
    fs::remove_dir_all(directory(home))
}

fn files(home: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory(home))? {
        let entry = entry?;
        let name = entry.file_name();
        if PREFIXES.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn directory(home: &Path) -> PathBuf {
    home.join("version-2")
}

fn pick(random: &mut Random, count: usize) -> Option<usize> {
    (count > 0).then(|| usize::try_from(random.below(count as u64)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_damaged_and_those_of_epochs_are_not() {
        let home = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory(home.path()).join(name);
        let names = ["acceptedEpoch", "log.100000001", "snapshot.0", "synced"];
        fs::create_dir(directory(home.path())).expect("made");
        for seed in 0..100 {
            for name in names {
                fs::write(path(name), [7; 2_000]).expect("written");
            }
            damage(home.path(), &mut Random::new(seed)).expect("damaged");
            let is_damaged =
                |name: &&&str| fs::read(path(name)).ok().as_deref() != Some(&[7; 2_000]);
            let damaged: Vec<_> = names.iter().filter(is_damaged).collect();
            assert!(damaged.len() == 1 && *damaged[0] != "acceptedEpoch", "{damaged:?}");
        }
    }
}
