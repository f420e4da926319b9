//! Which directories are taken, and which are refused.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use std::path::Path;

use common::{DIR, History, file, open, options};
use storage::{
    Action, DataDir, Directories, Disk, EmptyDatabase, Error, LogOptions, MissingDirectory, Origin,
    RealDisk, RecoverOptions, SimulatedDisk,
};
use types::{SessionId, Zxid};

fn apart() -> Directories {
    Directories { snapshots: "/snapshots".into(), logs: "/logs".into() }
}

fn exchanged() -> Directories {
    Directories { snapshots: "/logs".into(), logs: "/snapshots".into() }
}

/// Writes two transactions; the directories are free again afterwards.
fn populate(disk: &SimulatedDisk, directories: Directories) {
    let data_dir = DataDir::open(disk.clone(), directories, MissingDirectory::Create).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let mut log = data_dir.log(LogOptions::default(), recovered.last_logged).unwrap();
    log.append(&History::after(recovered.tree).batch(2, 10)).unwrap();
    log.close().unwrap();
}

#[test]
fn logs_and_snapshots_may_lie_apart() {
    let disk = SimulatedDisk::new();
    populate(&disk, apart());
    let names = |dir: &str| disk.list(&Path::new(dir).join("version-2")).unwrap();
    assert_eq!(names("/logs"), ["holds-logs", "log.1", "synced"]);
    assert_eq!(names("/snapshots"), ["holds-no-logs", "snapshot.0"]);
    let data_dir = DataDir::open(disk.clone(), apart(), MissingDirectory::Refuse).unwrap();
    assert_eq!(data_dir.recover(&options()).unwrap().last_logged, Zxid::from_raw(2));
}

#[test]
fn exchanged_directories_are_refused_by_the_name_of_a_file() {
    let disk = SimulatedDisk::new();
    populate(&disk, apart());
    match DataDir::open(disk.clone(), exchanged(), MissingDirectory::Create) {
        Err(Error::Misplaced { file }) => {
            assert_eq!(file, Path::new("/snapshots/version-2/snapshot.0"));
        }
        other => panic!("{other:?}"),
    }
    disk.unlink(Path::new("/snapshots/version-2/snapshot.0")).unwrap();
    match DataDir::open(disk, exchanged(), MissingDirectory::Create) {
        Err(Error::Misplaced { file }) => assert_eq!(file, Path::new("/logs/version-2/log.1")),
        other => panic!("{other:?}"),
    }
}

/// Everything in the directory of the logs is gone.
fn lose_logs(disk: &SimulatedDisk) {
    let dir = Path::new("/logs/version-2");
    for name in disk.list(dir).unwrap() {
        disk.unlink(&dir.join(name)).unwrap();
    }
    disk.sync_dir(dir).unwrap();
}

fn recover(disk: &SimulatedDisk, directories: Directories) -> Result<Zxid, Error> {
    let data_dir = DataDir::open(disk.clone(), directories, MissingDirectory::Create).unwrap();
    data_dir.recover(&options()).map(|recovered| recovered.last_logged)
}

#[test]
fn lost_directory_of_logs_is_no_new_one() {
    let disk = SimulatedDisk::new();
    populate(&disk, apart());
    lose_logs(&disk);
    for _ in 0..2 {
        let error = recover(&disk, apart()).unwrap_err();
        let Error::LogDirectoryLost { dir, used, note, .. } = &error else { panic!("{error:?}") };
        assert_eq!((dir.as_path(), used.as_str()), ("/logs/version-2".as_ref(), "/logs/version-2"));
        assert!(error.to_string().contains("remove /snapshots/version-2/holds-no-logs"), "{error}");
        assert_eq!(note, Path::new("/snapshots/version-2/holds-no-logs"));
    }
    let elsewhere = Directories { logs: "/new".into(), ..apart() };
    let forgotten = Directories::shared("/snapshots");
    for directories in [elsewhere, forgotten] {
        let result = recover(&disk, directories);
        assert!(matches!(result, Err(Error::LogDirectoryLost { .. })), "{result:?}");
    }
    disk.unlink(Path::new("/snapshots/version-2/holds-no-logs")).unwrap();
    for _ in 0..2 {
        assert_eq!(recover(&disk, apart()).unwrap(), Zxid::ZERO, "an operator wants that");
    }
}

#[test]
fn moved_logs_are_taken_and_a_directory_may_be_empty_before_the_first_log() {
    let disk = SimulatedDisk::new();
    populate(&disk, apart());
    let log = disk.contents(Path::new("/logs/version-2/log.1")).unwrap();
    lose_logs(&disk);
    disk.create_dir_all(Path::new("/new/version-2")).unwrap();
    disk.plant(Path::new("/new/version-2/log.1"), &log);
    let moved = Directories { logs: "/new".into(), ..apart() };
    assert_eq!(recover(&disk, moved).unwrap(), Zxid::from_raw(2));
    assert!(matches!(recover(&disk, apart()), Err(Error::LogDirectoryLost { .. })));

    let disk = SimulatedDisk::new();
    for _ in 0..3 {
        assert_eq!(recover(&disk, apart()).unwrap(), Zxid::ZERO);
        disk.crash(&mut |_: u64| 0);
    }
}

#[test]
fn missing_directory_is_created_only_if_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    let refused =
        DataDir::open(RealDisk, Directories::shared(&path), MissingDirectory::Refuse).map(drop);
    assert!(matches!(refused, Err(Error::MissingDirectory { .. })), "{refused:?}");
    assert!(!path.exists());
    open(&RealDisk, &path).unwrap();
    DataDir::open(RealDisk, Directories::shared(&path), MissingDirectory::Refuse).unwrap();
}

#[test]
fn directory_that_can_not_be_listed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    std::fs::write(&path, "a file").unwrap();
    match open(&RealDisk, &path) {
        Err(Error::Io { action: Action::CreateDirectory, path: named, .. }) => {
            assert_eq!(named, path.join("version-2"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn foreign_files_are_left_alone() {
    let disk = SimulatedDisk::new();
    populate(&disk, Directories::shared(DIR));
    let foreign = ["acceptedEpoch", "log.notes", "snapshot.3.tmp", "unrelated"];
    for name in foreign {
        disk.plant(&file(name), b"something");
    }
    disk.plant(&file("unfinished-snapshot.7"), b"ours, of a crash");
    let data_dir = open(&disk, DIR).unwrap();
    assert_eq!(data_dir.recover(&options()).unwrap().last_logged, Zxid::from_raw(2));
    data_dir.purge(3).unwrap();
    for name in foreign {
        assert_eq!(disk.contents(&file(name)).unwrap(), b"something");
    }
    assert!(!disk.exists(&file("unfinished-snapshot.7")).unwrap());
}

#[test]
fn directory_that_lost_everything_but_the_watermark_is_no_new_one() {
    let disk = SimulatedDisk::new();
    populate(&disk, Directories::shared(DIR));
    disk.unlink(&file("log.1")).unwrap();
    disk.unlink(&file("snapshot.0")).unwrap();
    let result = open(&disk, DIR).unwrap().recover(&options()).map(|recovered| recovered.origin);
    assert!(matches!(result, Err(Error::SyncedHistoryLost { .. })), "{result:?}");
}

#[test]
fn crash_before_the_first_snapshot_leaves_the_marker() {
    let strict = RecoverOptions { empty: EmptyDatabase::RequireMarker, ..options() };
    let disk = SimulatedDisk::new();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk.plant(&Path::new(DIR).join("initialize"), b"");
    let fault = storage::Fault {
        operation: storage::Operation::Rename,
        name_prefix: "snapshot".to_owned(),
        after: 0,
        kind: storage::FaultKind::NoSpace,
    };
    disk.faults().add(fault);
    assert!(open(&disk, DIR).unwrap().recover(&strict).is_err());
    let recovered = open(&disk, DIR).unwrap().recover(&strict).unwrap();
    assert_eq!(recovered.origin, Origin::Created);
}

#[test]
fn no_run_gets_session_ids_that_an_earlier_one_may_have_used() {
    let disk = SimulatedDisk::new();
    let reserve = |wanted: i64| {
        let data_dir = open(&disk, DIR).unwrap();
        data_dir.reserve_session_ids(SessionId(wanted)).unwrap().0
    };
    let start = 0x0100_0000_0000_0000;
    assert_eq!(reserve(start + 5), start + 5);
    let second = reserve(start + 6);
    assert!(second >= start + 5 + (1 << 32), "{second:#x}");
    assert!(reserve(start) > second);
    assert_eq!(reserve(start + (1 << 50)), start + (1 << 50), "the clock went on");
    let of_another = 0x0200_0000_0000_0007;
    assert_eq!(reserve(of_another), of_another);
}

/// Starts in quick succession take ids ahead of the clock, and the lost disk alone knew that.
#[test]
fn member_that_has_lost_its_disk_leaves_out_the_ids_of_its_last_starts() {
    let wiped = RecoverOptions { empty: EmptyDatabase::RequireMarker, ..options() };
    let start = 0x0100_0000_0000_0000;
    let disk = SimulatedDisk::new();
    let reserve_twice = |disk: &SimulatedDisk| {
        let reserve = || open(disk, DIR).unwrap().reserve_session_ids(SessionId(start)).unwrap().0;
        (reserve(), reserve())
    };
    let (_, last) = reserve_twice(&disk);
    assert!(last > start);
    let empty = SimulatedDisk::new();
    let found = open(&empty, DIR).unwrap().recover_member(&wiped).unwrap();
    assert_eq!(found.recovered.origin, Origin::Unknown);
    let (first, second) = reserve_twice(&empty);
    assert!(first > last + (1 << 32), "{first:#x} after {last:#x}");
    assert!(second > first);
}

#[test]
fn session_ids_that_can_not_be_read_are_named() {
    // Behind the last one are ids of another server.
    let of_two = "0x1ffffffffffff00\n";
    for text in ["", "7\n", "0x1", "0x12345678901234567\n", "0x1\n0x2\n", of_two] {
        let disk = SimulatedDisk::new();
        let data_dir = open(&disk, DIR).unwrap();
        disk.plant(&file("session-ids"), text.as_bytes());
        let error = data_dir.reserve_session_ids(SessionId(1)).unwrap_err();
        assert!(matches!(&error, Error::SessionIds { .. }), "{text:?}: {error}");
    }
}
