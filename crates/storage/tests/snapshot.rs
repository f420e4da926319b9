//! Snapshots: what is written is read again, what is not whole is not read.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use std::path::Path;

use common::{DIR, History, file, open, options, recover, recover_simulated};
use storage::{
    Compression, DataDir, Disk, EmptyDatabase, Error, LogOptions, Origin, RealDisk, RecoverOptions,
    SimulatedDisk, SnapshotDamage, WithoutSnapshot, put_head, write_tree,
};
use tree::{SliceEnd, Tree};
use types::{Memory, SessionId, Txn, TxnDigest, TxnHeader, Xid, Zxid};
use wire::stored::LogBatch;
use wire::stored::snapshot::{AclId, put_node};

const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Snappy];

/// A database whose newest snapshot is at transaction 30, in the given packing, and whose log goes
/// on to 40.
fn populate(disk: &SimulatedDisk, compression: Compression) -> History {
    let data_dir = open(disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let options = LogOptions { space_step_bytes: 512, ..LogOptions::default() };
    let mut log = data_dir.log(options, recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    log.append(&history.batch(30, 50)).unwrap();
    log.roll().unwrap();
    let writer = data_dir.start_snapshot(history.last(), compression).unwrap();
    let written = write_tree(writer, &mut history.tree).unwrap();
    assert_eq!(written.bytes, disk.contents(&written.path).unwrap().len() as u64);
    log.append(&history.batch(10, 50)).unwrap();
    log.close().unwrap();
    history
}

/// Every byte of what we decode ourselves; of the packed ones only some, since other people's tests
/// cover the rest.
fn step(compression: Compression) -> usize {
    if compression == Compression::None { 1 } else { 7 }
}

fn snapshot_name(compression: Compression) -> String {
    format!("snapshot.1e{}", compression.suffix())
}

#[test]
fn every_packing_is_read_back_and_the_log_goes_on_from_it() {
    for compression in COMPRESSIONS {
        let disk = SimulatedDisk::new();
        let history = populate(&disk, compression);
        let recovered = recover_simulated(&disk).unwrap();
        assert_eq!(recovered.origin, Origin::Snapshot(Zxid::from_raw(30)), "{compression:?}");
        assert_eq!((recovered.txns_replayed, recovered.digest_mismatches), (10, 0));
        assert_eq!(recovered.tree.difference(&history.tree), None, "{compression:?}");
    }
}

#[test]
fn snapshot_on_real_files_is_found_under_its_name_only_when_finished() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(&RealDisk, dir.path()).unwrap();
    let mut tree = data_dir.recover(&options()).unwrap().tree;
    let names = || RealDisk.list(&dir.path().join("version-2")).unwrap();
    let writer = data_dir.start_snapshot(Zxid::from_raw(5), Compression::Gzip).unwrap();
    assert_eq!(names(), ["lock", "snapshot.0", "unfinished-snapshot.5.gz"]);
    write_tree(writer, &mut tree).unwrap();
    assert_eq!(names(), ["lock", "snapshot.0", "snapshot.5.gz"]);
    drop(data_dir.start_snapshot(Zxid::from_raw(6), Compression::None).unwrap());
    assert_eq!(names(), ["lock", "snapshot.0", "snapshot.5.gz"]);
}

#[test]
fn snapshot_cut_at_any_byte_is_left_for_an_older_one() {
    for compression in COMPRESSIONS {
        let disk = SimulatedDisk::new();
        let history = populate(&disk, compression);
        let path = file(&snapshot_name(compression));
        let bytes = disk.contents(&path).unwrap();
        for cut in (0..bytes.len()).step_by(step(compression)) {
            let image = disk.fork();
            image.plant(&path, &bytes[..cut]);
            let recovered = recover_simulated(&image).unwrap();
            assert_eq!(
                recovered.unreadable_snapshots.len(),
                usize::from(!is_optional(cut, &bytes))
            );
            if !is_optional(cut, &bytes) {
                assert_eq!(recovered.origin, Origin::Snapshot(Zxid::ZERO), "cut at {cut}");
                assert_eq!(recovered.txns_replayed, 40);
            }
            assert_eq!(recovered.tree.difference(&history.tree), None);
        }
    }
}

/// Whether the bytes before `cut` are a whole snapshot: the last two blocks may be missing.
fn is_optional(cut: usize, bytes: &[u8]) -> bool {
    bytes.starts_with(b"ZKSN") && [54, 21].contains(&(bytes.len() - cut))
}

#[test]
fn bit_flipped_in_a_snapshot_is_never_taken_for_data() {
    for compression in COMPRESSIONS {
        let disk = SimulatedDisk::new();
        let history = populate(&disk, compression);
        let path = file(&snapshot_name(compression));
        let bytes = disk.contents(&path).unwrap();
        for byte in (0..bytes.len()).step_by(step(compression)) {
            let image = disk.fork();
            image.flip_bit(&path, byte as u64, byte.to_le_bytes()[0]).unwrap();
            let recovered = recover_simulated(&image).unwrap();
            assert_eq!(recovered.tree.difference(&history.tree), None, "flip at {byte}");
        }
    }
}

#[test]
fn fallback_to_an_older_snapshot_needs_the_logs_between() {
    let disk = SimulatedDisk::new();
    populate(&disk, Compression::None);
    disk.flip_bit(&file("snapshot.1e"), 100, 1).unwrap();
    disk.unlink(&file("log.1")).unwrap();
    match recover_simulated(&disk).map(|recovered| recovered.last_logged) {
        Err(Error::Gap { last, found, .. }) => assert_eq!((last.raw(), found.raw()), (0, 31)),
        other => panic!("{other:?}"),
    }
}

/// A newest log of which a crash has left no more than zeros counts as never written. Behind an older
/// snapshot the history would end there, and nobody would know that there was more.
#[test]
fn older_snapshot_that_ends_before_one_that_can_not_be_read_is_no_substitute() {
    let disk = SimulatedDisk::new();
    populate(&disk, Compression::None);
    disk.flip_bit(&file("snapshot.1e"), 100, 1).unwrap();
    disk.plant(&file("log.1"), &[0; 512]);
    for name in ["log.1f", "synced"] {
        disk.unlink(&file(name)).unwrap();
    }
    match recover_simulated(&disk).map(|recovered| recovered.last_logged) {
        Err(Error::SnapshotLost { file: lost, recovered, .. }) => {
            assert_eq!((lost, recovered), (file("snapshot.1e"), Zxid::ZERO));
        }
        other => panic!("{other:?}"),
    }
    let data_dir = open(&disk, DIR).unwrap();
    let member = data_dir.recover_member(&options()).unwrap();
    assert!(matches!(member.loss, Some(Error::SnapshotLost { .. })), "{:?}", member.loss);
    assert_eq!(data_dir.epochs(Zxid::ZERO).unwrap().memory, Memory::Shortened { had: None });
}

#[test]
fn nothing_readable_is_never_an_empty_start() {
    let snapshots: [(&str, Option<&[u8]>); 4] = [
        ("none", None),
        ("empty", Some(b"")),
        ("torn", Some(b"ZKSN\0\0\0\x02\xff\xff\xff")),
        ("damaged", Some(b"ZKSN\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x01/")),
    ];
    for (state, snapshot) in snapshots {
        for has_logs in [false, true] {
            for without_snapshot in [WithoutSnapshot::Refuse, WithoutSnapshot::Replay] {
                let disk = SimulatedDisk::new();
                let history = populate(&disk, Compression::None);
                disk.unlink(&file("snapshot.0")).unwrap();
                disk.unlink(&file("snapshot.1e")).unwrap();
                if let Some(bytes) = snapshot {
                    disk.plant(&file("snapshot.1e"), bytes);
                }
                if !has_logs {
                    for name in ["log.1", "log.1f", "synced"] {
                        disk.unlink(&file(name)).unwrap();
                    }
                }
                let options = RecoverOptions { without_snapshot, ..options() };
                let result = open(&disk, DIR).unwrap().recover(&options);
                let case = (state, has_logs, without_snapshot);
                let trusted = without_snapshot == WithoutSnapshot::Replay;
                match result {
                    Ok(recovered) if has_logs && trusted && state != "damaged" => {
                        assert_eq!(recovered.origin, Origin::Logs, "{case:?}");
                        assert_eq!(recovered.tree.difference(&history.tree), None, "{case:?}");
                    }
                    Ok(recovered) => {
                        assert_eq!((state, has_logs), ("none", false), "{case:?}");
                        assert_eq!(recovered.origin, Origin::Created);
                    }
                    Err(Error::LogsWithoutSnapshot { .. }) => {
                        assert!(has_logs && !trusted && state != "damaged", "{case:?}");
                    }
                    Err(Error::NoReadableSnapshot { .. }) => {
                        assert!(state == "damaged" || (!has_logs && state != "none"), "{case:?}");
                    }
                    Err(error) => panic!("{case:?}: {error}"),
                }
            }
        }
    }
}

#[test]
fn marker_or_option_decides_what_an_empty_directory_means() {
    let strict = RecoverOptions { empty: EmptyDatabase::RequireMarker, ..options() };
    let disk = SimulatedDisk::new();
    let origin = |disk: &SimulatedDisk| {
        open(disk, DIR).unwrap().recover(&strict).map(|recovered| recovered.origin).unwrap()
    };
    assert_eq!(origin(&disk), Origin::Unknown);
    let marker = Path::new(DIR).join("initialize");
    disk.plant(&marker, b"");
    assert_eq!(origin(&disk), Origin::Created);
    assert!(!disk.exists(&marker).unwrap());
    assert_eq!(origin(&disk), Origin::Snapshot(Zxid::ZERO));
}

#[test]
fn failed_snapshot_leaves_no_file_and_the_database_as_it_was() {
    use storage::{Fault, FaultKind, Operation};
    let operations = [Operation::Create, Operation::Write, Operation::Sync, Operation::Rename];
    for operation in operations {
        for kind in [FaultKind::Io, FaultKind::NoSpace] {
            let disk = SimulatedDisk::new();
            let mut history = populate(&disk, Compression::None);
            let data_dir = open(&disk, DIR).unwrap();
            let name_prefix = String::new();
            disk.faults().add(Fault { operation, name_prefix, after: 0, kind });
            let result = data_dir
                .start_snapshot(history.last(), Compression::None)
                .and_then(|writer| write_tree(writer, &mut history.tree));
            assert!(matches!(result, Err(Error::Io { .. })), "{operation:?}: {result:?}");
            assert_eq!(disk.faults().clear(), 0, "{operation:?} was not reached");
            let names = disk.list(&Path::new(DIR).join("version-2")).unwrap();
            assert_eq!(names, ["log.1", "log.1f", "snapshot.0", "snapshot.1e", "synced"]);
            drop(data_dir);
            let recovered = recover_simulated(&disk).unwrap();
            assert_eq!(recovered.tree.difference(&history.tree), None);
        }
    }
}

/// Writes the tree as it is under the name of an earlier transaction, without any digest.
fn write_without_digest(data_dir: &DataDir<SimulatedDisk>, name: Zxid, tree: &mut Tree) {
    let mut writer = data_dir.start_snapshot(name, Compression::None).unwrap();
    let mut records = Vec::new();
    put_head(&mut records, &tree.begin_snapshot());
    let end = tree.snapshot_slice(usize::MAX, &mut |path, data, acl, stat| {
        put_node(&mut records, path, data, AclId(acl), stat);
    });
    assert_eq!(end, SliceEnd::Done);
    writer.write(&records).unwrap();
    writer.finish(None, None).unwrap();
}

#[test]
fn tree_without_a_digest_is_compared_once_it_has_caught_up() {
    let disk = SimulatedDisk::new();
    let mut history = populate(&disk, Compression::None);
    let data_dir = open(&disk, DIR).unwrap();
    // Named after 32, but with effects of all that came up to 40.
    write_without_digest(&data_dir, Zxid::from_raw(32), &mut history.tree);
    let recovered = data_dir.recover(&options()).unwrap();
    assert_eq!(recovered.origin, Origin::Snapshot(Zxid::from_raw(32)));
    assert_eq!((recovered.txns_replayed, recovered.digest_mismatches), (8, 0));
    assert_eq!(recovered.tree.difference(&history.tree), None);

    let mut log = data_dir.log(LogOptions::default(), recovered.last_logged).unwrap();
    let mut batch = LogBatch::new();
    let header = TxnHeader {
        session: SessionId(1),
        cxid: Xid(1),
        zxid: Zxid::from_raw(41),
        time_ms: 1_700_000_000_000,
    };
    let wrong = TxnDigest { version: TxnDigest::VERSION, tree: 1 };
    batch.push(&header, &Txn::CreateSession { timeout_ms: 1000 }, Some(wrong));
    log.append(&batch).unwrap();
    log.close().unwrap();
    assert_eq!(data_dir.recover(&options()).unwrap().digest_mismatches, 1);
}

#[test]
fn damage_of_the_only_snapshot_is_told() {
    let dir = tempfile::tempdir().unwrap();
    drop(recover(&RealDisk, dir.path()).unwrap());
    let path = dir.path().join("version-2/snapshot.0");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    match recover(&RealDisk, dir.path()).map(|recovered| recovered.last_logged) {
        Err(Error::NoReadableSnapshot { newest, damage }) => {
            assert_eq!(newest, path);
            assert!(!matches!(damage, SnapshotDamage::Unfinished), "{damage}");
        }
        other => panic!("{other:?}"),
    }
}
