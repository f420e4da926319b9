//! History that is read back for others: unbroken, durable, of one branch.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use common::{DIR, History, file, open, options};
use storage::{
    Compression, Damage, DataDir, Disk, Error, Fault, FaultKind, LogOptions, Operation, Origin,
    SimulatedDisk, write_tree,
};
use types::{Counter, Epoch, Zxid};
use wire::stored::LogBatch;

/// Zxids and payloads.
type Transactions = Vec<(Zxid, Vec<u8>)>;

/// Ten transactions in each of four logs, the third of which begins epoch 2 and the last of which
/// begins epoch 5; a snapshot before the last.
fn populate(disk: &SimulatedDisk) -> (DataDir<SimulatedDisk>, Transactions) {
    let data_dir = open(disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let small_steps = LogOptions { space_step_bytes: 512, ..LogOptions::default() };
    let mut log = data_dir.log(small_steps, recovered.last_logged).unwrap();
    let mut history = History::default();
    let mut expected = Vec::new();
    for epoch in [None, None, Some(2), Some(5)] {
        if let Some(epoch) = epoch {
            history.start_epoch(epoch);
        }
        let batch = history.batch(10, 60);
        expected.extend(transactions(&batch));
        log.append(&batch).unwrap();
        log.roll().unwrap();
        if epoch == Some(2) {
            let writer = data_dir.start_snapshot(history.last(), Compression::None).unwrap();
            write_tree(writer, &mut history.tree).unwrap();
        }
    }
    log.close().unwrap();
    (data_dir, expected)
}

fn transactions(batch: &LogBatch) -> Transactions {
    batch.proposals().map(|proposal| (proposal.zxid(), proposal.payload().to_vec())).collect()
}

/// Everything behind `after`, in batches of about so many bytes; `None` if `after` is not there.
fn read(
    data_dir: &DataDir<SimulatedDisk>,
    after: Zxid,
    up_to: Zxid,
    bytes_max: usize,
) -> Result<Option<Transactions>, Error> {
    let Some(mut history) = data_dir.history(after, up_to)? else { return Ok(None) };
    let mut found = Vec::new();
    while let Some(batch) = history.next_batch(bytes_max)? {
        let beyond = batch.as_bytes().len().saturating_sub(bytes_max);
        assert!(batch.count() == 1 || beyond < 300, "{beyond} bytes beyond the bound");
        found.extend(transactions(&batch));
    }
    assert!(history.next_batch(bytes_max)?.is_none());
    Ok(Some(found))
}

#[test]
fn every_piece_is_what_was_logged_whatever_the_batches() {
    let disk = SimulatedDisk::new();
    let (data_dir, all) = populate(&disk);
    for from in 0..all.len() {
        for to in from..all.len() {
            let expected = &all[from + 1..=to];
            for bytes_max in [1, 500, 1 << 20] {
                let found = read(&data_dir, all[from].0, all[to].0, bytes_max).unwrap();
                assert_eq!(found.as_deref(), Some(expected), "{from} {to}");
            }
        }
    }
}

#[test]
fn state_before_an_epoch_is_found_by_its_first_transaction() {
    let disk = SimulatedDisk::new();
    let (data_dir, all) = populate(&disk);
    let last = all.last().unwrap().0;
    for (epoch, expected) in [(0, &all[..]), (2, &all[20..]), (5, &all[30..])] {
        let start = Zxid::new(Epoch(epoch), Counter(0));
        assert_eq!(read(&data_dir, start, last, 1000).unwrap().as_deref(), Some(expected));
    }
}

#[test]
fn transaction_that_was_never_logged_here_has_no_history_behind_it() {
    let disk = SimulatedDisk::new();
    let (data_dir, all) = populate(&disk);
    let last = all.last().unwrap().0;
    for (epoch, counter) in [(0, 21), (1, 0), (1, 5), (2, 11), (3, 0), (4, 7), (5, 11), (9, 0)] {
        let elsewhere = Zxid::new(Epoch(epoch), Counter(counter));
        assert_eq!(read(&data_dir, elsewhere, last, 1000).unwrap(), None, "{elsewhere}");
    }
    disk.unlink(&file("log.1")).unwrap();
    assert_eq!(read(&data_dir, all[9].0, last, 1000).unwrap(), None, "it was purged");
    assert_eq!(read(&data_dir, Zxid::ZERO, last, 1000).unwrap(), None, "it was purged");
    assert_eq!(read(&data_dir, all[10].0, last, 1000).unwrap().unwrap().len(), 29);
}

/// The end of another history, and where it leaves this one.
#[test]
fn history_beside_another_begins_with_the_last_transaction_that_may_be_in_both() {
    let disk = SimulatedDisk::new();
    let (data_dir, all) = populate(&disk);
    let last = all.last().unwrap().0;
    let beside = |end: Zxid| data_dir.history_beside(end, last).unwrap().map(|it| it.after());
    for (index, (zxid, _)) in all.iter().enumerate().take(39) {
        assert_eq!(beside(*zxid), Some(*zxid));
        let mut history = data_dir.history_beside(*zxid, last).unwrap().unwrap();
        let batch = history.next_batch(1 << 20).unwrap().unwrap();
        assert_eq!(transactions(&batch), all[index + 1..]);
    }
    let at = |epoch, counter| Zxid::new(Epoch(epoch), Counter(counter));
    for (end, expected) in [
        (at(0, 21), Some(all[19].0)),
        (at(1, 0), Some(all[19].0)),
        (at(1, 5), Some(all[19].0)),
        (at(2, 0), Some(at(2, 0))),
        (at(2, 11), Some(all[29].0)),
        (at(4, 7), Some(all[29].0)),
        (at(5, 11), None),
        (at(9, 0), None),
    ] {
        assert_eq!(beside(end), expected, "{end}");
    }
    let mut history = data_dir.history_beside(at(2, 11), last).unwrap().unwrap();
    let batch = history.next_batch(1 << 20).unwrap().unwrap();
    assert_eq!(transactions(&batch), all[30..], "what follows is not passed over");
    disk.unlink(&file("log.1")).unwrap();
    assert_eq!(beside(all[3].0), None, "it was purged");
    assert!(data_dir.history_beside(all[3].0, at(5, 0)).unwrap().is_none());
}

/// Where the replay began there may be no log of what came before. What follows it in another epoch
/// need not be the first that did: logs may have been purged since.
#[test]
fn history_behind_the_snapshot_that_was_replayed_on_is_found_by_the_next_number() {
    let disk = SimulatedDisk::new();
    let (data_dir, all) = populate(&disk);
    let last = all.last().unwrap().0;
    disk.unlink(&file("log.1")).unwrap();
    disk.unlink(&file("log.b")).unwrap();
    let begins = |end: Zxid| data_dir.history_beside(end, last).unwrap().map(|it| it.after());
    assert_eq!(begins(Zxid::ZERO), None, "epoch 2 did not begin behind nothing");
    assert_eq!(begins(all[3].0), None);
    drop(data_dir);
    disk.unlink(&file("log.200000001")).unwrap();
    let data_dir = open(&disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    assert_eq!(recovered.origin, Origin::Snapshot(all[29].0));
    for end in [all[28].0, all[29].0, all[29].0.successor()] {
        assert!(data_dir.history_beside(end, last).unwrap().is_none(), "{end}");
    }
}

/// ZOOKEEPER-2418: what lies behind a missing log must not be taken for what comes next.
#[test]
fn history_with_a_gap_is_never_handed_out() {
    let disk = SimulatedDisk::new();
    let (data_dir, all) = populate(&disk);
    let bytes = disk.contents(&file("log.b")).unwrap();
    disk.unlink(&file("log.b")).unwrap();
    disk.plant(&file("log.d"), &[&bytes[..16], &bytes[third_entry(&bytes)..]].concat());
    match read(&data_dir, all[3].0, all[39].0, 100) {
        Err(Error::Gap { file: named, last, found }) => {
            assert_eq!((last, found), (all[9].0, all[12].0));
            assert_eq!(named, file("log.d"));
        }
        other => panic!("{other:?}"),
    }
}

/// ZOOKEEPER-2846: a log that Apache's server kept of a branch it had left, or one that is missing,
/// is not told from others where an epoch begins. After a start nothing crosses such a place that
/// was not replayed.
#[test]
fn older_epochs_are_not_handed_out_after_a_start() {
    let disk = SimulatedDisk::new();
    let (data_dir, all) = populate(&disk);
    drop(data_dir);
    disk.unlink(&file("log.b")).unwrap();
    let data_dir = open(&disk, DIR).unwrap();
    assert_eq!(read(&data_dir, all[29].0, all[39].0, 100).unwrap(), None, "not recovered yet");
    let recovered = data_dir.recover(&options()).unwrap();
    assert_eq!(recovered.origin, Origin::Snapshot(all[29].0));
    for (index, (zxid, _)) in all.iter().enumerate() {
        let found = read(&data_dir, *zxid, all[39].0, 100).unwrap();
        let expected = (index >= 20).then(|| &all[index + 1..]);
        assert_eq!(found.as_deref(), expected, "{zxid}");
    }
    let start = Zxid::new(Epoch(2), Counter(0));
    let found = read(&data_dir, start, all[39].0, 100).unwrap();
    assert_eq!(found.as_deref(), Some(&all[20..]));
}

/// Makes the second entry of a log end with another mark: the entries from there on can not be read.
fn damage_second(disk: &SimulatedDisk, log: &str) {
    let mut bytes = disk.contents(&file(log)).unwrap();
    let third = third_entry(&bytes);
    bytes[third - 1] ^= 0x10;
    disk.plant(&file(log), &bytes);
}

/// Where a history leaves this one must be known: a leader tells a learner to cut off the rest.
#[test]
fn history_beside_another_does_not_leave_it_before_the_base_of_the_replay() {
    let disk = SimulatedDisk::new();
    let (data_dir, all) = populate(&disk);
    drop(data_dir);
    // The log that the snapshot follows is not read again at the start.
    let header = disk.contents(&file("log.200000001")).unwrap()[..16].to_vec();
    disk.plant(&file("log.20000000b"), &header);
    damage_second(&disk, "log.200000001");
    let data_dir = open(&disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    assert_eq!((recovered.origin, recovered.last_logged), (Origin::Snapshot(all[29].0), all[39].0));
    for end in &all[21..30] {
        match data_dir.history_beside(end.0, all[39].0) {
            Err(Error::Corrupt { file: named, damage: Damage::EndMark, .. }) => {
                assert_eq!(named, file("log.200000001"));
            }
            other => panic!("{}: {other:?}", end.0),
        }
    }
}

/// The first transaction of an epoch follows any other: damage before it must not pass for an end.
#[test]
fn damage_before_another_epoch_is_an_error() {
    let disk = SimulatedDisk::new();
    let (data_dir, all) = populate(&disk);
    damage_second(&disk, "log.200000001");
    let is_damage = |error: Error| match error {
        Error::Corrupt { file: named, damage: Damage::EndMark, .. } => {
            assert_eq!(named, file("log.200000001"));
        }
        other => panic!("{other:?}"),
    };
    is_damage(read(&data_dir, all[3].0, all[39].0, 100).unwrap_err());
    is_damage(data_dir.history_beside(all[25].0, all[39].0).unwrap_err());
    damage_second(&disk, "log.1");
    match read(&data_dir, all[0].0, all[39].0, 100) {
        Err(Error::Gap { last, found, .. }) => assert_eq!((last, found), (all[0].0, all[10].0)),
        other => panic!("{other:?}"),
    }
    let beside = data_dir.history_beside(all[5].0, all[39].0).unwrap();
    assert!(beside.is_none(), "both histories may have it: it can not be read");
}

fn third_entry(bytes: &[u8]) -> usize {
    let length = |at: usize| u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap());
    let second = 16 + 13 + length(16) as usize;
    second + 13 + length(second) as usize
}

#[test]
fn history_that_ends_too_early_says_where() {
    let disk = SimulatedDisk::new();
    let (data_dir, all) = populate(&disk);
    let beyond = all.last().unwrap().0.successor();
    match read(&data_dir, all[38].0, beyond, 100) {
        Err(Error::HistoryEnds { last, expected, .. }) => {
            assert_eq!((last, expected), (all[39].0, beyond));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn damage_is_told_and_nothing_from_behind_it_handed_out() {
    let disk = SimulatedDisk::new();
    let (data_dir, all) = populate(&disk);
    disk.flip_bit(&file("log.b"), third_entry(&disk.contents(&file("log.b")).unwrap()) as u64, 0)
        .unwrap();
    let mut history = data_dir.history(all[5].0, all[39].0).unwrap().unwrap();
    let batch = history.next_batch(1 << 20);
    match batch {
        Err(Error::Corrupt { file: named, damage: Damage::Checksum { .. }, .. }) => {
            assert_eq!(named, file("log.b"));
        }
        other => panic!("{other:?}"),
    }
    let mut history = data_dir.history(all[5].0, all[11].0).unwrap().unwrap();
    assert_eq!(history.next_batch(1 << 20).unwrap().unwrap().count(), 6);
}

/// The reader must neither wait for nor trip over what is written meanwhile.
#[test]
fn only_what_was_synced_is_read_while_the_server_writes() {
    let disk = SimulatedDisk::new();
    let data_dir = open(&disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let small_steps = LogOptions { space_step_bytes: 512, ..LogOptions::default() };
    let mut log = data_dir.log(small_steps, recovered.last_logged).unwrap();
    let mut written = History::after(recovered.tree);
    let mut all = Vec::new();
    let mut readers = Vec::new();
    for _ in 0..20 {
        let batch = written.batch(3, 100);
        log.append(&batch).unwrap();
        all.extend(transactions(&batch));
        let synced = log.sync().unwrap().zxid();
        let up_to = all.len();
        // This one is written, may be torn, and is not to be seen.
        let unsynced = written.batch(1, 300);
        log.append(&unsynced).unwrap();
        readers.push((data_dir.history(Zxid::ZERO, synced).unwrap().unwrap(), up_to, Vec::new()));
        all.extend(transactions(&unsynced));
        for (reader, up_to, found) in &mut readers {
            if let Some(batch) = reader.next_batch(200).unwrap() {
                found.extend(transactions(&batch));
            }
            assert!(found.len() <= *up_to);
        }
    }
    for (mut reader, up_to, mut found) in readers {
        while let Some(batch) = reader.next_batch(200).unwrap() {
            found.extend(transactions(&batch));
        }
        assert_eq!(found, all[..up_to]);
    }
}

#[test]
fn purge_takes_nothing_away_from_a_reader() {
    let disk = SimulatedDisk::new();
    let (data_dir, all) = populate(&disk);
    let mut history = data_dir.history(all[2].0, all[39].0).unwrap().unwrap();
    for name in ["log.1", "log.b", "log.200000001", "log.500000001"] {
        disk.unlink(&file(name)).unwrap();
    }
    assert_eq!(history.next_batch(1 << 20).unwrap().unwrap().count(), 37);
}

#[test]
fn sizes_tell_whether_a_snapshot_would_be_less() {
    let disk = SimulatedDisk::new();
    let (data_dir, all) = populate(&disk);
    let length = |name: &str| disk.contents(&file(name)).unwrap().len() as u64;
    let newest = data_dir.newest_snapshot_bytes().unwrap();
    assert_eq!(newest, Some(length("snapshot.20000000a")));
    let bytes =
        |from: usize, to: usize| data_dir.history(all[from].0, all[to].0).unwrap().unwrap().bytes();
    assert!(bytes(0, 9) < length("log.1"));
    assert!(bytes(8, 9) < bytes(0, 9));
    assert_eq!(bytes(0, 19), bytes(0, 9) + length("log.b"));
    assert_eq!(bytes(0, 39), bytes(0, 19) + length("log.200000001") + length("log.500000001"));
}

#[test]
fn every_failure_of_the_disk_is_an_error() {
    let mut failures = 0;
    for operation in [Operation::List, Operation::Open, Operation::Read] {
        for after in 0.. {
            let disk = SimulatedDisk::new();
            let (data_dir, all) = populate(&disk);
            let name_prefix = String::new();
            disk.faults().add(Fault { operation, name_prefix, after, kind: FaultKind::Io });
            let result = read(&data_dir, all[4].0, all[39].0, 700);
            if disk.faults().clear() == 1 {
                assert_eq!(result.unwrap().as_deref(), Some(&all[5..]));
                break;
            }
            assert!(matches!(result, Err(Error::Io { .. })), "{operation:?} {after}: {result:?}");
            failures += 1;
        }
    }
    assert!(failures > 10, "{failures}");
}
