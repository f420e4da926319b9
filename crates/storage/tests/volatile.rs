//! The disk that forgets with its process what is not synced, against a naive model.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{History, open, options, recover};
use storage::{
    Access, Disk, DiskFile, LogOptions, RealDisk, SECTOR_BYTES, VolatileDisk, VolatileFile,
};

/// What tears may divide.
const PIECE: usize = 8;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Numbers that follow from a seed.
#[derive(Clone)]
struct Luck(u64);

impl Luck {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }

    fn disk(&mut self) -> VolatileDisk {
        let mut luck = Self(self.below(u64::MAX));
        VolatileDisk::new(move |bound| luck.below(bound))
    }
}

/// What a file has held since it was synced last, the oldest first.
#[derive(Clone)]
struct Versions(Vec<Vec<u8>>);

impl Versions {
    fn now(&self) -> &[u8] {
        self.0.last().expect("at least one")
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut next = self.now().to_vec();
        change(&mut next);
        self.0.push(next);
    }

    fn sync(&mut self) {
        self.0 = vec![self.now().to_vec()];
    }

    /// Whether a loss of power may leave this: a length that was possible, and pieces that were there
    /// at some time, or zeros where an unsynced file grew.
    fn allow(&self, found: &[u8]) -> bool {
        let lens = || self.0.iter().map(Vec::len);
        let is_len = lens().min() <= Some(found.len()) && Some(found.len()) <= lens().max();
        let pieces = found.chunks(PIECE).enumerate();
        is_len
            && pieces.into_iter().all(|(number, piece)| {
                let start = number * PIECE;
                self.0.iter().any(|version| {
                    let mut old = version.get(start..).unwrap_or_default().to_vec();
                    old.resize(old.len().max(piece.len()), 0);
                    old[..piece.len()] == *piece
                })
            })
    }
}

/// A directory as it should be: files by number, and names as they may be found.
#[derive(Default)]
struct Model {
    files: Vec<Versions>,
    names: BTreeMap<&'static str, usize>,
    /// Which files each name has had since the directory was synced, the oldest first.
    since_sync: BTreeMap<&'static str, Vec<Option<usize>>>,
}

impl Model {
    fn name(&mut self, name: &'static str, file: Option<usize>) {
        let before = self.names.get(name).copied();
        self.since_sync.entry(name).or_insert_with(|| vec![before]).push(file);
        match file {
            Some(file) => self.names.insert(name, file),
            None => self.names.remove(name),
        };
    }
}

struct Pair {
    disk: VolatileDisk,
    dir: PathBuf,
    model: Model,
    /// Files that are open, with their numbers in the model.
    open: Vec<(usize, VolatileFile)>,
    luck: Luck,
}

impl Pair {
    fn step(&mut self) {
        let name = NAMES[self.luck.index(NAMES.len())];
        let path = self.dir.join(name);
        match self.luck.below(12) {
            0 => self.create(name),
            1 => {
                let other = NAMES[self.luck.index(NAMES.len())];
                let renamed = self.disk.rename(&path, &self.dir.join(other));
                assert_eq!(renamed.is_ok(), self.model.names.contains_key(name));
                if renamed.is_ok() && name != other {
                    let file = self.model.names[name];
                    self.model.name(name, None);
                    self.model.name(other, Some(file));
                }
            }
            2 => {
                let removed = self.disk.unlink(&path).is_ok();
                assert_eq!(removed, self.model.names.contains_key(name));
                if removed {
                    self.model.name(name, None);
                }
            }
            3 => {
                self.disk.sync_dir(&self.dir).unwrap();
                self.model.since_sync.clear();
            }
            4 => {
                let opened = self.disk.open(&path, Access::ReadWrite);
                assert_eq!(opened.is_ok(), self.model.names.contains_key(name));
                if let Ok(file) = opened {
                    self.open.push((self.model.names[name], file));
                }
            }
            5 if !self.open.is_empty() => {
                let index = self.luck.index(self.open.len());
                self.open.remove(index);
            }
            6 => self.disk.idle().unwrap(),
            _ => self.change_a_file(),
        }
    }

    fn create(&mut self, name: &'static str) {
        let file = self.disk.create(&self.dir.join(name)).unwrap();
        let number = match self.model.names.get(name) {
            Some(&number) => {
                self.model.files[number].change(Vec::clear);
                number
            }
            None => {
                self.model.files.push(Versions(vec![Vec::new()]));
                let number = self.model.files.len() - 1;
                self.model.name(name, Some(number));
                number
            }
        };
        self.open.push((number, file));
    }

    fn change_a_file(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let index = self.luck.index(self.open.len());
        let at = self.luck.index(4 * SECTOR_BYTES);
        let count = self.luck.index(3 * SECTOR_BYTES);
        let fill = u8::try_from(1 + self.luck.below(255)).unwrap();
        let (number, file) = &self.open[index];
        let versions = &mut self.model.files[*number];
        match self.luck.below(4) {
            0 => {
                file.sync_data().unwrap();
                versions.sync();
            }
            1 => {
                file.set_len(at as u64).unwrap();
                versions.change(|bytes| bytes.resize(at, 0));
            }
            _ => {
                file.write_all_at(&vec![fill; count], at as u64).unwrap();
                versions.change(|bytes| {
                    let end = if count == 0 { 0 } else { at + count };
                    bytes.resize(bytes.len().max(end), 0);
                    bytes.get_mut(at..at + count).into_iter().for_each(|part| part.fill(fill));
                });
            }
        }
        assert_eq!(contents(file), versions.now());
    }

    /// Everything is as on any disk.
    fn check(&self) {
        let names = self.disk.list(&self.dir).unwrap();
        assert!(names.iter().eq(self.model.names.keys()), "{names:?} {:?}", self.model.names);
        for (name, &number) in &self.model.names {
            let file = self.disk.open(&self.dir.join(name), Access::Read).unwrap();
            assert_eq!(contents(&file), self.model.files[number].now(), "{name}");
        }
        for (number, file) in &self.open {
            assert_eq!(contents(file), self.model.files[*number].now());
        }
    }

    /// Loses power, and compares what is left with what must be and what may be.
    fn crash(self) {
        let Self { disk, dir, model, open, .. } = self;
        drop((open, disk));
        let next = VolatileDisk::new(|_: u64| 0);
        let found = next.list(&dir).unwrap();
        for name in NAMES {
            let is_there = found.iter().any(|it| it == name);
            let candidates = match model.since_sync.get(name) {
                Some(candidates) => candidates.clone(),
                None => vec![model.names.get(name).copied()],
            };
            if !is_there {
                assert!(candidates.contains(&None), "{name} is gone, and must be {candidates:?}");
                continue;
            }
            let bytes = fs::read(dir.join(name)).unwrap();
            let is_one =
                |file: &Option<usize>| file.is_some_and(|it| model.files[it].allow(&bytes));
            assert!(candidates.iter().any(is_one), "{name} holds what it can not hold");
        }
    }
}

fn contents(file: &impl DiskFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap() + 1];
    let read = file.read_full_at(&mut bytes, 0).unwrap();
    bytes.truncate(read);
    bytes
}

#[test]
fn is_any_disk_until_power_is_lost_and_then_lacks_nothing_that_was_synced() {
    for seed in 0..400 {
        let dir = tempfile::tempdir().unwrap();
        let mut luck = Luck(seed);
        let disk = luck.disk();
        let (dir, model) = (dir.path().to_owned(), Model::default());
        let mut pair = Pair { disk, dir, model, open: Vec::new(), luck };
        for _ in 0..1 + pair.luck.below(120) {
            pair.step();
        }
        pair.check();
        pair.crash();
    }
}

#[test]
fn what_is_synced_as_a_whole_is_in_the_real_files() {
    for seed in 0..100 {
        let dir = tempfile::tempdir().unwrap();
        let mut luck = Luck(seed);
        let disk = luck.disk();
        let (path, model) = (dir.path().to_owned(), Model::default());
        let mut pair = Pair { disk, dir: path, model, open: Vec::new(), luck };
        for _ in 0..100 {
            pair.step();
        }
        pair.open.clear();
        for name in pair.model.names.keys() {
            let file = pair.disk.open(&pair.dir.join(name), Access::ReadWrite).unwrap();
            file.sync_data().unwrap();
        }
        pair.disk.sync_dir(&pair.dir).unwrap();
        pair.check();
        for (name, &number) in &pair.model.names {
            assert_eq!(fs::read(pair.dir.join(name)).unwrap(), pair.model.files[number].now());
        }
        assert!(
            RealDisk.list(&pair.dir).unwrap().iter().eq([".nameless"]
                .iter()
                .filter(|name| dir.path().join(name).exists())
                .chain(pair.model.names.keys()))
        );
        assert_eq!((pair.disk.tally().sectors, pair.disk.tally().names), (0, 0));
    }
}

#[test]
fn power_takes_what_is_not_synced_and_leaves_a_part_now_and_then() {
    let (mut kept, mut torn, mut lost, mut named) = (0, 0, 0, 0);
    for seed in 0..200 {
        let dir = tempfile::tempdir().unwrap();
        let disk = Luck(seed).disk();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        let file = disk.create(&old).unwrap();
        file.write_all_at(&[1; 4 * SECTOR_BYTES], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(dir.path()).unwrap();
        for sector in 0..4 {
            file.write_all_at(&[2; SECTOR_BYTES], sector * SECTOR_BYTES as u64).unwrap();
        }
        disk.create(&new).unwrap();
        let tally = disk.tally();
        drop((file, disk));

        let bytes = fs::read(old).unwrap();
        assert_eq!(bytes.len(), 4 * SECTOR_BYTES);
        let mut at_risk = 0;
        for sector in bytes.chunks(SECTOR_BYTES) {
            match sector.iter().filter(|&&byte| byte == 2).count() {
                0 => (lost, at_risk) = (lost + 1, at_risk + 1),
                SECTOR_BYTES => kept += 1,
                _ => (torn, at_risk) = (torn + 1, at_risk + 1),
            }
        }
        assert_eq!(tally.sectors, at_risk);
        assert_eq!(tally.names, u64::from(!new.exists()));
        named += u64::from(new.exists());
    }
    // A fourth of the lives write nothing back, and another fourth nearly everything.
    assert!(lost > 200 && kept > 150 && torn > 10 && (30..170).contains(&named));
}

#[test]
fn a_file_that_is_renamed_always_has_one_of_its_names() {
    let mut old_names = 0;
    for seed in 0..100 {
        let dir = tempfile::tempdir().unwrap();
        let mut luck = Luck(seed);
        let disk = luck.disk();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        disk.create(&old).unwrap();
        disk.sync_dir(dir.path()).unwrap();
        disk.rename(&old, &new).unwrap();
        if luck.below(4) == 0 {
            disk.sync_dir(dir.path()).unwrap();
            assert!(new.exists());
        }
        drop(disk);
        assert_ne!(old.exists(), new.exists());
        old_names += u64::from(old.exists());
    }
    assert!((10..90).contains(&old_names), "{old_names}");
}

#[test]
fn nothing_is_held_that_the_real_files_have() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Luck(1).disk();
    let path = |number: u32| dir.path().join(number.to_string());
    let descriptors = || {
        fs::read_dir("/proc/self/fd").unwrap().flatten().filter(|entry| {
            fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(dir.path()))
        })
    };
    for number in 0..50 {
        let file = disk.create(&path(number)).unwrap();
        file.write_all_at(b"some", 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(dir.path()).unwrap();
        drop(file);
        assert!(descriptors().count() <= 1);
    }
}

/// Logs some groups of transactions and syncs all but the last, until power is lost: the last synced
/// transaction, and the last one that is found.
fn write_a_log(dir: &Path, disk: VolatileDisk) -> (types::Zxid, types::Zxid) {
    let data_dir = open(&disk, dir).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let mut log = data_dir.log(LogOptions::default(), recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    for group in 0..5 {
        log.append(&history.batch(3, 700)).unwrap();
        if group == 2 {
            log.roll().unwrap();
        }
        log.sync().unwrap();
    }
    let synced = log.last_synced();
    log.append(&history.batch(3, 700)).unwrap();
    drop((log, data_dir, disk));
    (synced, recover(&RealDisk, dir).map(|it| it.last_logged).unwrap_or(types::Zxid::ZERO))
}

#[test]
fn a_log_is_there_as_far_as_it_was_synced() {
    let mut lost = 0;
    for seed in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        let (synced, found) = write_a_log(dir.path(), Luck(seed).disk());
        assert!(found >= synced, "{found} {synced}");
        lost += u64::from(found == synced);
    }
    assert!(lost > 10, "{lost}");
}

#[test]
fn a_disk_that_lies_about_syncs_loses_a_log() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing is written back by itself.
    let disk = VolatileDisk::new(|_: u64| 0);
    disk.lie();
    let (synced, found) = write_a_log(dir.path(), disk);
    assert!(found < synced, "{found} {synced}");
}
