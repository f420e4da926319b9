//! What a purge leaves, and what a cut leaves.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use std::path::Path;

use common::{DIR, Dice, History, file, open, options, recover_simulated};
use storage::{
    Compression, CutObstacle, Disk, Error, Fault, FaultKind, LogOptions, Operation, SimulatedDisk,
    write_tree,
};
use types::Zxid;

/// Snapshots at 0, 10, 20 .. 60, a log for each ten transactions, the last one up to 65.
fn populate(disk: &SimulatedDisk) -> History {
    let data_dir = open(disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let small_steps = LogOptions { space_step_bytes: 512, ..LogOptions::default() };
    let mut log = data_dir.log(small_steps, recovered.last_logged).unwrap();
    let mut history = History::default();
    for _ in 0..6 {
        log.append(&history.batch(10, 20)).unwrap();
        log.roll().unwrap();
        let writer = data_dir.start_snapshot(history.last(), Compression::None).unwrap();
        write_tree(writer, &mut history.tree).unwrap();
    }
    log.append(&history.batch(5, 20)).unwrap();
    log.close().unwrap();
    history
}

fn names(disk: &SimulatedDisk) -> Vec<String> {
    disk.list(&Path::new(DIR).join("version-2")).unwrap()
}

fn check_recovered(disk: &SimulatedDisk, expected: &History) {
    let recovered = recover_simulated(disk).unwrap();
    assert_eq!(recovered.last_logged, expected.last());
    assert_eq!(recovered.tree.difference(&expected.tree), None);
}

#[test]
fn purge_keeps_the_newest_good_snapshots_and_the_logs_they_need() {
    let disk = SimulatedDisk::new();
    let history = populate(&disk);
    let purged = open(&disk, DIR).unwrap().purge(1).unwrap();
    assert_eq!((purged.snapshots.len(), purged.logs.len()), (4, 3));
    // The log from before the oldest snapshot stays, as a rule of the format.
    let expected = [
        "log.1f",
        "log.29",
        "log.33",
        "log.3d",
        "snapshot.28",
        "snapshot.32",
        "snapshot.3c",
        "synced",
    ];
    assert_eq!(names(&disk), expected);
    check_recovered(&disk, &history);
    for newest in ["snapshot.3c", "snapshot.32"] {
        disk.flip_bit(&file(newest), 50, 0).unwrap();
        check_recovered(&disk, &history);
    }
}

/// Whoever reads the logs for a learner goes from one to the next.
#[test]
fn purge_that_is_cut_short_leaves_no_gap_between_logs() {
    let logs = |disk: &SimulatedDisk| -> Vec<u64> {
        let names = names(disk);
        let firsts = names.iter().filter_map(|name| name.strip_prefix("log."));
        let mut firsts: Vec<_> = firsts.map(|hex| u64::from_str_radix(hex, 16).unwrap()).collect();
        firsts.sort_unstable();
        firsts
    };
    let mut shortened = 0;
    for (seed, after) in (0..40_u64).flat_map(|seed| (0..5_u64).map(move |after| (seed, after))) {
        let disk = SimulatedDisk::new();
        populate(&disk);
        let before = logs(&disk);
        let name_prefix = "log.".to_owned();
        let kind = FaultKind::Io;
        disk.faults().add(Fault { operation: Operation::Unlink, name_prefix, after, kind });
        let purged = open(&disk, DIR).unwrap().purge(3);
        assert_eq!(purged.is_err(), after < 3, "three logs are not needed");
        disk.faults().clear();
        let mut dice = Dice(seed);
        disk.crash(&mut |bound| dice.below(bound));
        let left = logs(&disk);
        assert!(before.ends_with(&left), "{left:?}");
        shortened += usize::from(left.len() < before.len());
        open(&disk, DIR).unwrap().purge(3).unwrap();
        assert_eq!(logs(&disk).len(), before.len() - 3);
    }
    assert!(shortened > 100, "{shortened}");
}

#[test]
fn rotten_snapshot_does_not_count_in_a_purge() {
    let disk = SimulatedDisk::new();
    let history = populate(&disk);
    disk.flip_bit(&file("snapshot.32"), 50, 0).unwrap();
    let purged = open(&disk, DIR).unwrap().purge(3).unwrap();
    assert_eq!(purged.unreadable.len(), 1);
    assert!(names(&disk).contains(&"snapshot.1e".to_owned()), "{:?}", names(&disk));
    check_recovered(&disk, &history);
    for newest in ["snapshot.3c", "snapshot.28"] {
        disk.flip_bit(&file(newest), 50, 0).unwrap();
    }
    check_recovered(&disk, &history);
}

#[test]
fn purge_without_any_good_snapshot_removes_nothing() {
    let disk = SimulatedDisk::new();
    populate(&disk);
    let before = names(&disk);
    for name in before.iter().filter(|name| name.starts_with("snapshot")) {
        disk.flip_bit(&file(name), 50, 0).unwrap();
    }
    open(&disk, DIR).unwrap().purge(3).unwrap();
    assert_eq!(names(&disk), before);
}

#[test]
fn history_cut_anywhere_ends_there_and_goes_on_from_there() {
    for last in 0..=65 {
        let disk = SimulatedDisk::new();
        let history = populate(&disk).at(Zxid::from_raw(last));
        open(&disk, DIR).unwrap().truncate(Zxid::from_raw(last)).unwrap();
        // Not even a loss of power brings anything back.
        disk.crash(&mut |_: u64| 0);
        check_recovered(&disk, &history);

        let mut history = history;
        let data_dir = open(&disk, DIR).unwrap();
        let mut log = data_dir.log(LogOptions::default(), history.last()).unwrap();
        log.append(&history.batch(3, 20)).unwrap();
        log.close().unwrap();
        drop(data_dir);
        check_recovered(&disk, &history);
    }
}

#[test]
fn history_can_not_be_cut_where_it_does_not_reach_or_start() {
    let disk = SimulatedDisk::new();
    populate(&disk);
    let data_dir = open(&disk, DIR).unwrap();
    data_dir.purge(3).unwrap();
    let before = names(&disk);
    let obstacle = |zxid| match data_dir.truncate(Zxid::from_raw(zxid)) {
        Err(Error::NotCut { obstacle, .. }) => obstacle,
        other => panic!("{other:?}"),
    };
    assert_eq!(obstacle(66), CutObstacle::NotLogged);
    assert_eq!(obstacle(0x1_0000_0001), CutObstacle::NotLogged);
    assert_eq!(obstacle(39), CutObstacle::NoSnapshot);
    assert_eq!(names(&disk), before);
}

#[test]
fn failed_cut_is_an_error_and_leaves_a_history_without_a_gap() {
    let operations = [Operation::SetLen, Operation::Sync, Operation::Unlink, Operation::SyncDir];
    let mut failures = 0;
    for operation in operations {
        for after in 0.. {
            let disk = SimulatedDisk::new();
            let history = populate(&disk);
            let name_prefix = String::new();
            let data_dir = open(&disk, DIR).unwrap();
            disk.faults().add(Fault { operation, name_prefix, after, kind: FaultKind::NoSpace });
            let result = data_dir.truncate(Zxid::from_raw(33));
            drop(data_dir);
            if disk.faults().clear() == 1 {
                result.unwrap();
                break;
            }
            assert!(matches!(result, Err(Error::Io { .. })), "{operation:?} {after}");
            failures += 1;
            disk.crash(&mut |bound: u64| bound - 1);
            let recovered = recover_simulated(&disk).unwrap();
            assert!(recovered.last_logged >= Zxid::from_raw(33));
            let expected = history.at(recovered.last_logged);
            assert_eq!(recovered.tree.difference(&expected.tree), None);
        }
    }
    assert!(failures >= 10, "{failures}");
}
