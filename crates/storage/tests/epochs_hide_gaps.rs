//! The first transaction of a later epoch may follow any other. So what is missing before it does not
//! show by the numbers, and has to be noticed by what is left of the files.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use common::{DIR, History, file, open, options, recover_simulated};
use storage::{Compression, Disk, LogOptions, SECTOR_BYTES, SimulatedDisk, write_tree};
use types::{Counter, Epoch, Zxid};

const FIRST_LOG: &str = "log.100000001";
const SECOND_LOG: &str = "log.400000001";

/// Changes the bytes of a log, whose entries end there.
type Damaging = fn(&[usize], &mut [u8]);

fn at(epoch: i32, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), Counter(counter))
}

/// Ten transactions in epoch 1 and ten in epoch 4, each in a log of its own if so wanted; a snapshot
/// at the beginning, and one after the first epoch. Nobody knows how far all that was synced.
fn populate(disk: &SimulatedDisk, rolls: bool) -> History {
    let data_dir = open(disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let options = LogOptions { space_step_bytes: 512, ..LogOptions::default() };
    let mut log = data_dir.log(options, recovered.last_logged).unwrap();
    let mut history = History::default();
    for epoch in [1, 4] {
        history.start_epoch(epoch);
        log.append(&history.batch(10, 60)).unwrap();
        log.sync().unwrap();
        if rolls && epoch == 1 {
            log.roll().unwrap();
            let writer = data_dir.start_snapshot(history.last(), Compression::None).unwrap();
            write_tree(writer, &mut history.tree).unwrap();
        }
    }
    log.close().unwrap();
    drop(data_dir);
    disk.unlink(&file("synced")).unwrap();
    disk.kill();
    history
}

/// Where the entries of a log end, and the file's bytes.
fn ends(disk: &SimulatedDisk, log: &str) -> (Vec<usize>, Vec<u8>) {
    let bytes = disk.contents(&file(log)).unwrap();
    let (mut ends, mut end) = (Vec::new(), 16);
    while let Some(length) = bytes.get(end + 8..end + 12).filter(|it| it.iter().any(|&b| b > 0)) {
        end += 13 + u32::from_be_bytes(length.try_into().unwrap()) as usize;
        ends.push(end);
    }
    (ends, bytes)
}

/// What a member finds: the last transaction, and whether it knows that there was more.
fn find(disk: &SimulatedDisk) -> (Zxid, bool) {
    let data_dir = open(disk, DIR).unwrap();
    let found = data_dir.recover_member(&options()).unwrap();
    (found.recovered.last_logged, found.loss.is_some())
}

#[test]
fn damage_before_the_log_of_a_later_epoch_is_noticed() {
    let damages: [(&str, u32, Damaging); 4] = [
        ("the end mark of the last entry", 9, |ends, bytes| bytes[ends[9] - 1] ^= 0x10),
        ("the length of the last entry", 9, |ends, bytes| bytes[ends[8] + 9] ^= 1),
        ("the end mark of an entry", 4, |ends, bytes| bytes[ends[4] - 1] ^= 0x10),
        ("a sector of zeros", 3, |_, bytes| bytes[SECTOR_BYTES..2 * SECTOR_BYTES].fill(0)),
    ];
    for (what, last, damage) in damages {
        let disk = SimulatedDisk::new();
        populate(&disk, true);
        disk.unlink(&file("snapshot.10000000a")).unwrap();
        assert_eq!(find(&disk), (at(4, 10), false));
        let (ends, mut bytes) = ends(&disk, FIRST_LOG);
        assert_eq!(ends.len(), 10);
        damage(&ends, &mut bytes);
        disk.plant(&file(FIRST_LOG), &bytes);
        assert!(recover_simulated(&disk).is_err(), "{what}");
        assert_eq!(find(&disk), (at(1, last), true), "{what}");
    }
}

#[test]
fn damage_before_a_log_without_entries_is_noticed() {
    let snapshot = "snapshot.10000000a";
    let cases: [(&str, &[&str], Zxid); 3] = [
        ("10000000b", &[SECOND_LOG, snapshot], at(1, 10)),
        ("400000001", &[SECOND_LOG, snapshot], at(1, 10)),
        ("10000000b", &[snapshot], at(4, 10)),
    ];
    for (first, gone, last) in cases {
        let disk = SimulatedDisk::new();
        populate(&disk, true);
        for name in gone {
            disk.unlink(&file(name)).unwrap();
        }
        let (ends, mut bytes) = ends(&disk, FIRST_LOG);
        let mut empty = bytes[..16].to_vec();
        empty.resize(512, 0);
        disk.plant(&file(&format!("log.{first}")), &empty);
        assert_eq!(find(&disk), (last, false), "{first}");
        bytes[ends[4] + 11] ^= 1;
        disk.plant(&file(FIRST_LOG), &bytes);
        assert_eq!(find(&disk), (at(1, 5), true), "{first}");
    }
}

#[test]
fn zeros_before_the_log_of_a_later_epoch_are_an_end() {
    let disk = SimulatedDisk::new();
    populate(&disk, true);
    let (_, mut bytes) = ends(&disk, FIRST_LOG);
    bytes.extend([0; 700]);
    disk.plant(&file(FIRST_LOG), &bytes);
    assert_eq!(find(&disk), (at(4, 10), false));
}

#[test]
fn damaged_first_entry_of_a_much_later_epoch_is_no_torn_end() {
    let disk = SimulatedDisk::new();
    populate(&disk, false);
    let (ends, mut bytes) = ends(&disk, FIRST_LOG);
    bytes[ends[10] - 1] ^= 0x10;
    disk.plant(&file(FIRST_LOG), &bytes);
    assert_eq!(find(&disk), (at(1, 10), true));
}

#[test]
fn logs_must_have_what_an_unreadable_snapshot_was_named_after() {
    let disk = SimulatedDisk::new();
    populate(&disk, true);
    disk.unlink(&file(FIRST_LOG)).unwrap();
    assert_eq!(find(&disk), (at(4, 10), false));
    disk.flip_bit(&file("snapshot.10000000a"), 60, 3).unwrap();
    assert_eq!(find(&disk), (Zxid::ZERO, true));
    assert!(disk.exists(&file(SECOND_LOG)).unwrap());
}
