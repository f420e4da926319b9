//! A running server is set back: what is cut never comes back, and what is kept has no gap.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use std::path::Path;

use common::{DIR, Dice, History, file, open, options, recover_simulated};
use storage::{
    Compression, CutObstacle, DataDir, Disk, Error, Fault, FaultKind, Log, LogOptions, Operation,
    Origin, RealDisk, Recovered, SimulatedDisk, write_tree,
};
use types::Zxid;

/// Where the histories of these tests end, and how much of them is durable.
const END: i64 = 27;
const SYNCED: i64 = 24;

/// A server with snapshots at 0, 8 and 16 and logs from 1, 9, 13 and 17 on; the last three of its
/// transactions are not synced, and space for a further log is there.
struct Running {
    data_dir: DataDir<SimulatedDisk>,
    log: Log<SimulatedDisk>,
    history: History,
}

fn run(disk: &SimulatedDisk) -> Running {
    let data_dir = open(disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let mut log = data_dir.log(small_steps(), recovered.last_logged).unwrap();
    let mut history = History::default();
    for (count, snapshot) in [(8, true), (4, false), (4, true), (8, false)] {
        log.append(&history.batch(count, 60)).unwrap();
        if count < 8 || snapshot {
            log.roll().unwrap();
        } else {
            log.sync().unwrap();
        }
        if snapshot {
            let writer = data_dir.start_snapshot(history.last(), Compression::None).unwrap();
            write_tree(writer, &mut history.tree).unwrap();
        }
    }
    log.prepare().unwrap();
    log.append(&history.batch(3, 300)).unwrap();
    assert_eq!(history.last(), Zxid::from_raw(END));
    Running { data_dir, log, history }
}

fn small_steps() -> LogOptions {
    LogOptions { space_step_bytes: 512, ..LogOptions::default() }
}

fn crash(disk: &SimulatedDisk, seed: u64) {
    let mut dice = Dice(seed);
    disk.crash(&mut |bound: u64| match seed {
        0 => 0,
        1 => bound - 1,
        _ => dice.below(bound),
    });
}

fn check(recovered: &Recovered, expected: &History) {
    assert_eq!(recovered.last_logged, expected.last());
    assert_eq!(recovered.tree.difference(&expected.tree), None);
    assert_eq!(recovered.digest_mismatches, 0);
}

/// Goes on after a cut with other transactions, and loses power after each that was synced.
fn check_goes_on(disk: &SimulatedDisk, mut log: Log<SimulatedDisk>, mut history: History) {
    for count in [1, 5] {
        log.append(&history.batch(count, 100)).unwrap();
        assert_eq!(log.sync().unwrap().zxid(), history.last());
        for seed in 0..4 {
            let image = disk.fork();
            crash(&image, seed);
            check(&recover_simulated(&image).unwrap(), &history);
        }
    }
}

#[test]
fn server_set_back_anywhere_is_exactly_there_and_goes_on_from_there() {
    for last in 0..=END {
        let disk = SimulatedDisk::new();
        let Running { data_dir, log, history } = run(&disk);
        let expected = history.at(Zxid::from_raw(last));
        let (log, recovered) = data_dir.rewind(log, Zxid::from_raw(last), &options()).unwrap();
        check(&recovered, &expected);
        assert_eq!((log.last_logged(), log.last_synced()), (expected.last(), expected.last()));
        for seed in 0..6 {
            let image = disk.fork();
            crash(&image, seed);
            check(&recover_simulated(&image).unwrap(), &expected);
        }
        check_goes_on(&disk, log, expected);
    }
}

/// ZOOKEEPER-4837: neither the cut itself nor a later start may begin from a snapshot that holds
/// what was cut, whatever its name says.
#[test]
fn snapshot_that_holds_what_is_cut_is_never_used_again() {
    let disk = SimulatedDisk::new();
    let Running { data_dir, mut log, mut history } = run(&disk);
    log.sync().unwrap();
    // Named after 12, but written while 13 to 27 were applied.
    let fuzzy = data_dir.start_snapshot(Zxid::from_raw(12), Compression::None).unwrap();
    write_tree(fuzzy, &mut history.tree).unwrap();
    let undigested = data_dir.start_snapshot(Zxid::from_raw(13), Compression::Gzip).unwrap();
    let bytes = disk.contents(&file("snapshot.c")).unwrap();
    let mut undigested = undigested;
    undigested.write(&bytes[16..bytes.len() - 54 - 18]).unwrap();
    undigested.finish(None, None).unwrap();
    // Only the end of the file tells of what leaves no trace in a znode, like a list of access control.
    let early = Zxid::from_raw(11);
    let traceless = data_dir.start_snapshot(early, Compression::None).unwrap();
    write_tree(traceless, &mut history.at(early).tree).unwrap();
    let bytes = disk.contents(&file("snapshot.b")).unwrap();
    let mut traceless = data_dir.start_snapshot(early, Compression::None).unwrap();
    traceless.write(&bytes[16..bytes.len() - 54 - 18]).unwrap();
    traceless.finish(None, Some(Zxid::from_raw(20))).unwrap();

    let last = Zxid::from_raw(14);
    let expected = history.at(last);
    let (log, recovered) = data_dir.rewind(log, last, &options()).unwrap();
    assert_eq!(recovered.origin, Origin::Snapshot(Zxid::from_raw(8)));
    check(&recovered, &expected);
    let names = disk.list(file("").as_path()).unwrap();
    let snapshots: Vec<_> = names.iter().filter(|name| name.starts_with("snapshot")).collect();
    assert_eq!(snapshots, ["snapshot.0", "snapshot.8"]);
    check_goes_on(&disk, log, expected);
}

#[test]
fn snapshot_begun_before_a_cut_can_not_be_finished_after_it() {
    for last in [3, 20] {
        let disk = SimulatedDisk::new();
        let Running { data_dir, log, mut history } = run(&disk);
        let expected = history.at(Zxid::from_raw(last));
        let begun = data_dir.start_snapshot(Zxid::from_raw(2), Compression::None).unwrap();
        let (_log, recovered) = data_dir.rewind(log, Zxid::from_raw(last), &options()).unwrap();
        let result = write_tree(begun, &mut history.tree);
        assert!(matches!(result, Err(Error::OtherBranch { .. })), "{result:?}");
        assert!(!disk.exists(&file("snapshot.2")).unwrap());
        assert!(!disk.exists(&file("unfinished-snapshot.2")).unwrap());
        check(&recovered, &expected);
        // One that is begun afterwards can.
        let begun = data_dir.start_snapshot(expected.last(), Compression::None).unwrap();
        let mut tree = recovered.tree;
        write_tree(begun, &mut tree).unwrap();
        drop(data_dir);
        check(&recover_simulated(&disk).unwrap(), &expected);
    }
}

#[test]
fn impossible_cut_changes_nothing() {
    let obstacle = |disk: &SimulatedDisk, last: i64| {
        let Running { data_dir, mut log, history } = run(disk);
        log.sync().unwrap();
        disk.unlink(&file("log.9")).unwrap();
        disk.unlink(&file("snapshot.0")).unwrap();
        let before = disk.list(file("").as_path()).unwrap();
        let obstacle = match data_dir.rewind(log, Zxid::from_raw(last), &options()) {
            Err(Error::NotCut { obstacle, zxid }) => {
                assert_eq!(zxid, Zxid::from_raw(last));
                obstacle
            }
            other => panic!("{:?}", other.map(drop)),
        };
        assert_eq!(disk.list(file("").as_path()).unwrap(), before);
        check(&data_dir.recover(&options()).unwrap(), &history);
        obstacle
    };
    assert_eq!(obstacle(&SimulatedDisk::new(), END + 1), CutObstacle::NotLogged);
    assert_eq!(obstacle(&SimulatedDisk::new(), 0x1_0000_0000), CutObstacle::NotLogged);
    assert_eq!(obstacle(&SimulatedDisk::new(), 7), CutObstacle::NoSnapshot);
    assert_eq!(obstacle(&SimulatedDisk::new(), 14), CutObstacle::Gap);
}

#[test]
fn log_that_failed_is_not_set_back() {
    let disk = SimulatedDisk::new();
    let Running { data_dir, mut log, history } = run(&disk);
    let (operation, name_prefix) = (Operation::Sync, "log.".to_owned());
    let kind = FaultKind::PagesDropped;
    disk.faults().add(Fault { operation, name_prefix, after: 0, kind });
    assert!(log.sync().is_err());
    let result = data_dir.rewind(log, Zxid::from_raw(20), &options());
    assert!(matches!(result, Err(Error::Poisoned)), "{:?}", result.map(drop));
    drop(data_dir);
    crash(&disk, 0);
    check(&recover_simulated(&disk).unwrap(), &history.at(Zxid::from_raw(24)));
}

/// What a crash leaves at any point of a cut: the old history or a part of it, at least up to the
/// place of the cut, and the same whenever one looks.
#[test]
fn crash_or_failure_at_any_operation_leaves_a_history_without_a_gap() {
    let (mut failures, mut shortened, mut untouched) = (0, 0, 0);
    for last in [2, 11, 16, 26] {
        for operation in Operation::ALL {
            for after in 0.. {
                let disk = SimulatedDisk::new();
                let Running { data_dir, log, history } = run(&disk);
                let name_prefix = String::new();
                let kind = FaultKind::NoSpace;
                disk.faults().add(Fault { operation, name_prefix, after, kind });
                let result = data_dir.rewind(log, Zxid::from_raw(last), &options());
                drop(data_dir);
                if disk.faults().clear() == 1 {
                    check(&result.unwrap().1, &history.at(Zxid::from_raw(last)));
                    break;
                }
                failures += 1;
                let is_cut = result.is_ok();
                drop(result);
                for seed in 0..6 {
                    let image = disk.fork();
                    if seed == 5 {
                        image.kill()
                    } else {
                        crash(&image, seed)
                    }
                    let again = image.fork();
                    let recovered = recover_simulated(&image).unwrap();
                    let found = recovered.last_logged.raw();
                    let case = (last, operation, after, seed);
                    assert!(
                        found >= last.min(SYNCED) && (!is_cut || found == last),
                        "{case:?}: {found}"
                    );
                    check(&recovered, &history.at(recovered.last_logged));
                    check(&recover_simulated(&again).unwrap(), &history.at(recovered.last_logged));
                    shortened += usize::from(last < found && found < SYNCED);
                    untouched += usize::from(found >= SYNCED);
                }
            }
        }
    }
    assert!(
        failures > 150 && shortened > 50 && untouched > 100,
        "{failures} {shortened} {untouched}"
    );
}

#[test]
fn server_on_real_files_is_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(&RealDisk, dir.path()).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let mut log = data_dir.log(LogOptions::default(), recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    log.append(&history.batch(6, 100)).unwrap();
    log.sync().unwrap();
    let expected = History::default().at(Zxid::ZERO);
    let (mut log, recovered) = data_dir.rewind(log, Zxid::ZERO, &options()).unwrap();
    check(&recovered, &expected);
    let mut history = expected;
    log.append(&history.batch(2, 100)).unwrap();
    log.close().unwrap();
    check(&data_dir.recover(&options()).unwrap(), &history);
    assert!(Path::new(dir.path()).join("version-2/log.1").exists());
}
