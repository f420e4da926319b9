//! The log by itself: what was synced is found again, what is damaged is told from what is torn.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use std::path::Path;

use common::{DIR, History, file, open, options, recover, recover_simulated};
use storage::{Damage, Disk, Durability, Error, LogOptions, Origin, RealDisk, SimulatedDisk};
use types::Zxid;
use wire::stored::LogBatch;

/// Writes `groups` groups of `entries` entries each, all synced, without a clean end. Returns the
/// last zxid and where each entry ends in the file.
fn write_log(disk: &SimulatedDisk, groups: usize, entries: usize, data_bytes: usize) -> History {
    let data_dir = open(disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let mut log = data_dir.log(small_steps(), recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    for _ in 0..groups {
        log.append(&history.batch(entries, data_bytes)).unwrap();
        assert_eq!(log.sync().unwrap().zxid(), history.last());
    }
    disk.kill();
    history
}

fn small_steps() -> LogOptions {
    LogOptions { space_step_bytes: 4096, ..LogOptions::default() }
}

/// The ends of a log's entries, by their own lengths.
fn entry_ends(bytes: &[u8]) -> Vec<usize> {
    let mut ends = vec![16];
    let mut at = 16;
    while let Some(length) = bytes.get(at + 8..at + 12) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        if length == 0 {
            break;
        }
        at += 12 + length + 1;
        ends.push(at);
    }
    ends
}

#[test]
fn synced_transactions_are_recovered_from_real_files() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(&RealDisk, dir.path()).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    assert_eq!(recovered.origin, Origin::Created);
    let mut log = data_dir.log(LogOptions::default(), recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    for _ in 0..20 {
        log.append(&history.batch(5, 100)).unwrap();
        log.sync().unwrap();
    }
    log.close().unwrap();
    drop(data_dir);

    let recovered = recover(&RealDisk, dir.path()).unwrap();
    assert_eq!(recovered.last_logged, Zxid::from_raw(100));
    assert_eq!((recovered.txns_replayed, recovered.digest_mismatches), (100, 0));
    assert_eq!(recovered.tree.difference(&history.tree), None);
    assert_eq!(recovered.trimmed, None);
}

#[test]
fn each_run_starts_a_file_named_after_its_first_transaction() {
    let disk = SimulatedDisk::new();
    write_log(&disk, 2, 3, 10);
    write_log(&disk, 1, 1, 10);
    let logs: Vec<_> = disk
        .list(&Path::new(DIR).join("version-2"))
        .unwrap()
        .into_iter()
        .filter(|name| name.starts_with("log"))
        .collect();
    assert_eq!(logs, ["log.1", "log.7"]);
    assert_eq!(recover_simulated(&disk).unwrap().last_logged, Zxid::from_raw(7));
}

#[test]
fn log_cut_at_every_byte_gives_a_prefix_or_says_that_synced_history_is_lost() {
    let disk = SimulatedDisk::new();
    write_log(&disk, 4, 2, 20);
    let bytes = disk.contents(&file("log.1")).unwrap();
    let ends = entry_ends(&bytes);
    assert_eq!(ends.len(), 1 + 8);
    // The watermark is one group behind the end.
    let watermark = ends[6];
    for cut in 0..bytes.len().min(ends[8] + 600) {
        let image = disk.fork();
        image.plant(&file("log.1"), &bytes[..cut]);
        let whole = ends.iter().filter(|&&end| end <= cut).count().saturating_sub(1);
        match recover_simulated(&image) {
            Ok(recovered) => {
                assert!(cut >= watermark, "cut at {cut} is below the watermark");
                assert_eq!(recovered.last_logged.raw(), whole as i64, "cut at {cut}");
                assert_eq!(recovered.digest_mismatches, 0);
                let again = recover_simulated(&image).unwrap();
                assert_eq!(again.tree.difference(&recovered.tree), None, "cut at {cut}");
                assert_eq!(again.trimmed, None, "cut at {cut}");
            }
            Err(Error::Corrupt { offset, .. }) => {
                assert!(cut < watermark, "cut at {cut}");
                let expected = if cut < 16 { 0 } else { ends[whole] as u64 };
                assert_eq!(offset, expected, "cut at {cut}");
            }
            Err(Error::SyncedHistoryLost { .. }) => {
                assert!(cut < watermark && ends.contains(&cut), "cut at {cut}");
            }
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
}

#[test]
fn log_cut_at_every_byte_without_a_watermark_gives_a_prefix() {
    let disk = SimulatedDisk::new();
    write_log(&disk, 4, 2, 20);
    disk.unlink(&file("synced")).unwrap();
    let bytes = disk.contents(&file("log.1")).unwrap();
    let ends = entry_ends(&bytes);
    for cut in 0..bytes.len().min(ends[8] + 600) {
        let image = disk.fork();
        image.plant(&file("log.1"), &bytes[..cut]);
        let whole = ends.iter().filter(|&&end| end <= cut).count().saturating_sub(1);
        let recovered = recover_simulated(&image).unwrap();
        assert_eq!(recovered.last_logged.raw(), whole as i64, "cut at {cut}");
    }
}

#[test]
fn bit_flipped_at_any_byte_is_never_taken_for_data() {
    let disk = SimulatedDisk::new();
    let history = write_log(&disk, 4, 2, 20);
    let bytes = disk.contents(&file("log.1")).unwrap();
    let ends = entry_ends(&bytes);
    let (watermark, end) = (ends[6], ends[8]);
    let mut refused = 0;
    for byte in 0..end + 64 {
        for bit in [0, 3, 7] {
            let image = disk.fork();
            image.flip_bit(&file("log.1"), byte as u64, bit).unwrap();
            match recover_simulated(&image) {
                Ok(recovered) if (4..16).contains(&byte) => {
                    // Version and database of the header mean nothing.
                    assert_eq!(recovered.tree.difference(&history.tree), None);
                }
                Ok(recovered) => {
                    assert!(byte >= watermark, "flip at {byte} is below the watermark");
                    let before = ends.iter().filter(|&&end| end <= byte).count() as i64 - 1;
                    assert_eq!(recovered.last_logged.raw(), before, "flip at {byte}");
                }
                Err(Error::Corrupt { offset, .. }) => {
                    let start = ends.iter().rev().find(|&&end| end <= byte).copied();
                    assert_eq!(offset, start.unwrap_or(0) as u64, "flip at {byte}");
                    refused += 1;
                }
                Err(error) => panic!("flip at {byte}: {error}"),
            }
        }
    }
    assert!(refused >= 3 * (watermark - 16), "all below the watermark, and more: {refused}");
}

#[test]
fn clean_end_makes_every_flip_within_the_entries_a_refusal() {
    let disk = SimulatedDisk::new();
    let data_dir = open(&disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let mut log = data_dir.log(small_steps(), recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    log.append(&history.batch(3, 20)).unwrap();
    log.close().unwrap();
    drop(data_dir);
    let end = *entry_ends(&disk.contents(&file("log.1")).unwrap()).last().unwrap();
    for byte in 16..end {
        let image = disk.fork();
        image.flip_bit(&file("log.1"), byte as u64, 5).unwrap();
        let result = recover_simulated(&image).map(|recovered| recovered.last_logged);
        assert!(matches!(result, Err(Error::Corrupt { .. })), "flip at {byte}: {result:?}");
    }
}

#[test]
fn damage_before_valid_entries_is_corruption_even_without_a_watermark() {
    let disk = SimulatedDisk::new();
    write_log(&disk, 4, 2, 20);
    disk.unlink(&file("synced")).unwrap();
    let second = entry_ends(&disk.contents(&file("log.1")).unwrap())[1] as u64;
    disk.flip_bit(&file("log.1"), second + 30, 0).unwrap();
    match recover_simulated(&disk).map(|recovered| recovered.last_logged) {
        Err(Error::Corrupt { offset, damage: Damage::Checksum { .. }, .. }) => {
            assert_eq!(offset, second);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn missing_log_between_two_is_a_gap() {
    let disk = SimulatedDisk::new();
    write_log(&disk, 1, 2, 20);
    write_log(&disk, 1, 2, 20);
    write_log(&disk, 1, 2, 20);
    disk.unlink(&file("log.3")).unwrap();
    match recover_simulated(&disk).map(|recovered| recovered.last_logged) {
        Err(Error::Gap { last, found, .. }) => {
            assert_eq!((last.raw(), found.raw()), (2, 5));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn missing_newest_log_is_noticed_by_the_watermark() {
    let disk = SimulatedDisk::new();
    write_log(&disk, 1, 2, 20);
    write_log(&disk, 2, 2, 20);
    disk.unlink(&file("log.3")).unwrap();
    match recover_simulated(&disk).map(|recovered| recovered.last_logged) {
        Err(Error::SyncedHistoryLost { recovered, synced, .. }) => {
            assert_eq!((recovered.raw(), synced.raw()), (2, 4));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn empty_newest_log_is_removed_and_an_older_one_refused() {
    let disk = SimulatedDisk::new();
    write_log(&disk, 1, 2, 20);
    disk.plant(&file("log.3"), b"");
    let recovered = recover_simulated(&disk).unwrap();
    assert_eq!(recovered.last_logged, Zxid::from_raw(2));
    assert!(!disk.exists(&file("log.3")).unwrap());

    disk.plant(&file("log.3"), b"ZKLG\0\0\0\x02\0\0");
    assert_eq!(recover_simulated(&disk).unwrap().last_logged, Zxid::from_raw(2));

    disk.plant(&file("log.3"), b"something else entirely");
    assert!(matches!(
        recover_simulated(&disk).map(|recovered| recovered.last_logged),
        Err(Error::Corrupt { offset: 0, damage: Damage::Header, .. })
    ));

    disk.unlink(&file("log.3")).unwrap();
    disk.plant(&file("log.1"), b"");
    write_log_at(&disk, 3);
    assert!(matches!(
        recover_simulated(&disk).map(|recovered| recovered.last_logged),
        Err(Error::Corrupt { offset: 0, damage: Damage::Header, .. })
    ));
}

/// Plants a log with one error transaction.
fn write_log_at(disk: &SimulatedDisk, zxid: i64) {
    let mut batch = LogBatch::new();
    let header = types::TxnHeader {
        session: types::SessionId(1),
        cxid: types::Xid(1),
        zxid: Zxid::from_raw(zxid),
        time_ms: 0,
    };
    batch.push(&header, &types::Txn::Error { code: -101 }, None);
    let mut bytes = b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend_from_slice(batch.as_bytes());
    disk.plant(&file(&format!("log.{zxid:x}")), &bytes);
}

#[test]
fn header_without_entries_is_an_empty_log() {
    let disk = SimulatedDisk::new();
    write_log(&disk, 1, 2, 20);
    disk.plant(&file("log.3"), b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0");
    assert_eq!(recover_simulated(&disk).unwrap().last_logged, Zxid::from_raw(2));
    write_log(&disk, 1, 2, 20);
    assert_eq!(recover_simulated(&disk).unwrap().last_logged, Zxid::from_raw(4));
}

#[test]
fn repeated_zxid_of_an_error_is_accepted_as_apache_writes_it() {
    let disk = SimulatedDisk::new();
    write_log(&disk, 1, 2, 20);
    write_log_at(&disk, 3);
    let mut bytes = disk.contents(&file("log.3")).unwrap();
    let entry = bytes[16..].to_vec();
    bytes.extend_from_slice(&entry);
    disk.plant(&file("log.3"), &bytes);
    assert_eq!(recover_simulated(&disk).unwrap().txns_replayed, 4);
}

#[test]
fn torn_group_with_whole_entries_behind_the_hole_is_trimmed_before_the_hole() {
    let disk = SimulatedDisk::new();
    let data_dir = open(&disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let mut log = data_dir.log(small_steps(), recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    log.append(&history.batch(2, 100)).unwrap();
    log.sync().unwrap();
    log.append(&history.batch(20, 100)).unwrap();
    // The device got all sectors of the group but the second one.
    let mut sector = 0;
    let mut all_but_one = move |bound: u64| {
        sector += u64::from(bound == 3);
        if bound == 3 { u64::from(sector != 2) } else { 1 }
    };
    disk.crash(&mut all_but_one);
    let recovered = recover_simulated(&disk).unwrap();
    let last = recovered.last_logged.raw();
    assert!((2..8).contains(&last), "{last}");
    assert!(matches!(recovered.trimmed, Some(trimmed) if trimmed.bytes.is_some()));
}

#[test]
fn torn_group_whose_next_whole_entry_begins_with_the_zeros_of_an_unwritten_sector_is_trimmed() {
    let disk = SimulatedDisk::new();
    let data_dir = open(&disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let mut log = data_dir.log(small_steps(), recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    // The second entry of a group begins two bytes before the end of the second sector.
    let first_bytes = (512..1000)
        .find(|&bytes| History::default().batch(1, bytes).as_bytes().len() == 2 * 512 - 16 - 2)
        .unwrap();
    log.append(&history.batch(1, first_bytes)).unwrap();
    log.append(&history.batch(1, 100)).unwrap();
    // The device got all sectors but the second one, in which only zeros of that entry lie.
    let mut sector = 0;
    disk.crash(&mut move |bound: u64| {
        sector += u64::from(bound == 3);
        if bound == 3 { u64::from(sector != 2) } else { 1 }
    });
    let recovered = recover_simulated(&disk).unwrap();
    assert_eq!(recovered.last_logged, Zxid::ZERO);
    assert!(recovered.trimmed.is_some());
}

#[test]
fn entries_that_only_memory_held_after_a_kill_are_durable_before_others_follow() {
    let disk = SimulatedDisk::new();
    let mut history = write_log(&disk, 1, 2, 20);
    let data_dir = open(&disk, DIR).unwrap();
    let mut log = data_dir.log(small_steps(), history.last()).unwrap();
    log.append(&history.batch(2, 20)).unwrap();
    drop((log, data_dir));
    disk.kill();

    let data_dir = open(&disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    assert_eq!(recovered.last_logged, Zxid::from_raw(4), "the kernel still has them");
    let mut log = data_dir.log(small_steps(), recovered.last_logged).unwrap();
    log.append(&history.batch(1, 20)).unwrap();
    log.sync().unwrap();
    drop((log, data_dir));
    disk.crash(&mut |_: u64| 0);
    assert_eq!(recover_simulated(&disk).unwrap().last_logged, Zxid::from_raw(5));
}

#[test]
fn damaged_blocks_in_the_middle_are_refused_wherever_they_are() {
    const BLOCK: usize = 512;
    let disk = SimulatedDisk::new();
    write_log(&disk, 40, 1, 150);
    let bytes = disk.contents(&file("log.1")).unwrap();
    let watermark = entry_ends(&bytes)[39];
    for block in (0..watermark / BLOCK).map(|block| block * BLOCK) {
        let mut zeroed = bytes.clone();
        zeroed[block..block + BLOCK].fill(0);
        let mut garbage = bytes.clone();
        garbage[block..block + BLOCK].fill(0xa5);
        let mut doubled = bytes.clone();
        doubled.copy_within(block..block + BLOCK, block + BLOCK);
        let mut swapped = bytes.clone();
        swapped[block..block + 2 * BLOCK].rotate_left(BLOCK);
        for (kind, damaged) in
            [("zeroed", zeroed), ("garbage", garbage), ("doubled", doubled), ("swapped", swapped)]
        {
            let image = disk.fork();
            image.plant(&file("log.1"), &damaged);
            let result = recover_simulated(&image).map(|recovered| recovered.last_logged);
            assert!(matches!(result, Err(Error::Corrupt { .. })), "{kind} at {block}: {result:?}");
        }
    }
}

#[test]
fn size_limit_and_roll_start_new_files() {
    let disk = SimulatedDisk::new();
    let data_dir = open(&disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let limited = LogOptions { file_bytes_max: Some(1000), ..small_steps() };
    let mut log = data_dir.log(limited, recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    log.append(&history.batch(1, 2000)).unwrap();
    assert!(log.file_bytes() > 2000);
    log.sync().unwrap();
    assert_eq!(log.file_bytes(), 0);
    log.append(&history.batch(1, 10)).unwrap();
    log.roll().unwrap();
    log.prepare().unwrap();
    log.append(&history.batch(1, 10)).unwrap();
    log.close().unwrap();
    drop(data_dir);
    let names = disk.list(&Path::new(DIR).join("version-2")).unwrap();
    assert_eq!(names, ["log.1", "log.2", "log.3", "snapshot.0", "synced"]);
    assert_eq!(recover_simulated(&disk).unwrap().last_logged, Zxid::from_raw(3));
}

#[test]
fn space_ahead_is_written_before_it_is_needed() {
    let disk = SimulatedDisk::new();
    let data_dir = open(&disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let mut log = data_dir.log(small_steps(), recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    let len = || disk.contents(&file("log.1")).unwrap().len();
    log.append(&history.batch(1, 100)).unwrap();
    log.sync().unwrap();
    assert_eq!(len(), 4096);
    log.append(&history.batch(1, 2500)).unwrap();
    log.sync().unwrap();
    assert_eq!(len(), 4096);
    log.prepare().unwrap();
    assert_eq!(len(), 8192);
    log.append(&history.batch(1, 9000)).unwrap();
    assert_eq!(len() % 4096, 0);
    assert!(len() > 11_600);
}

#[test]
fn unsynced_log_never_claims_a_watermark() {
    let disk = SimulatedDisk::new();
    let data_dir = open(&disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let unsynced = LogOptions { durability: Durability::Unsynced, ..small_steps() };
    let mut log = data_dir.log(unsynced, recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    for _ in 0..3 {
        log.append(&history.batch(1, 100)).unwrap();
        assert_eq!(log.sync().unwrap().zxid(), history.last());
    }
    disk.crash(&mut |_: u64| 0);
    assert_eq!(recover_simulated(&disk).unwrap().last_logged, Zxid::ZERO);
}
