//! Each operation of a disk fails once, at each of its occurrences.

mod common;

use common::{DIR, History, open, options, recover_simulated};
use storage::{
    Compression, Error, Fault, FaultKind, FaultPlan, FaultyDisk, Log, LogOptions, Operation,
    RealDisk, SimulatedDisk, write_tree,
};
use types::Zxid;

/// A short life of a server: start, groups, a roll, a snapshot, a purge, a clean end. Returns the
/// last transaction that was acknowledged, and how it ended.
fn live(disk: &SimulatedDisk, history: &mut History) -> (Zxid, Result<(), Error>) {
    let mut promised = Zxid::ZERO;
    let result = try_live(disk, history, &mut promised);
    (promised, result)
}

fn try_live(disk: &SimulatedDisk, history: &mut History, promised: &mut Zxid) -> Result<(), Error> {
    let data_dir = open(disk, DIR)?;
    let recovered = data_dir.recover(&options())?;
    *promised = recovered.last_logged;
    *history = history.at(recovered.last_logged);
    let small_steps = LogOptions { space_step_bytes: 512, ..LogOptions::default() };
    let mut log = data_dir.log(small_steps, recovered.last_logged)?;
    for _ in 0..3 {
        append(&mut log, history)?;
        append(&mut log, history)?;
        *promised = log.sync()?.zxid();
        log.prepare()?;
    }
    *promised = log.roll()?.zxid();
    let writer = data_dir.start_snapshot(history.last(), Compression::None)?;
    write_tree(writer, &mut history.tree)?;
    append(&mut log, history)?;
    *promised = log.sync()?.zxid();
    data_dir.purge(3)?;
    *promised = log.close()?.zxid();
    Ok(())
}

/// After the first failure the log must refuse everything.
fn append(log: &mut Log<SimulatedDisk>, history: &mut History) -> Result<(), Error> {
    let result = log.append(&history.batch(2, 300));
    if result.is_err() {
        assert!(matches!(log.sync(), Err(Error::Poisoned)));
        assert!(matches!(log.roll(), Err(Error::Poisoned)));
    }
    result
}

#[test]
fn no_failure_of_any_operation_loses_what_was_acknowledged() {
    let kinds = [FaultKind::Io, FaultKind::NoSpace, FaultKind::Short(7), FaultKind::PagesDropped];
    let mut failures = 0;
    for operation in Operation::ALL {
        for kind in kinds {
            for after in 0.. {
                let disk = SimulatedDisk::new();
                let mut history = History::default();
                live(&disk, &mut history).1.unwrap();
                let name_prefix = String::new();
                disk.faults().add(Fault { operation, name_prefix, after, kind });
                let (promised, result) = live(&disk, &mut history);
                if disk.faults().clear() == 1 {
                    result.unwrap();
                    break;
                }
                let case = (operation, kind, after);
                // Short transfers are continued; for a snapshot that can not be read an older one
                // is taken.
                let is_short = matches!(kind, FaultKind::Short(_)) && operation == Operation::Write;
                let is_reading = matches!(operation, Operation::Open | Operation::Read);
                assert!(result.is_err() || is_short || is_reading, "{case:?}");
                failures += 1;
                // The device has only what was synced without an error.
                disk.crash(&mut |_: u64| 0);
                let recovered = recover_simulated(&disk).unwrap();
                assert!(recovered.last_logged >= promised, "{case:?}");
                let expected = history.at(recovered.last_logged);
                assert_eq!(recovered.tree.difference(&expected.tree), None, "{case:?}");
            }
        }
    }
    assert!(failures > 150, "{failures}");
}

#[test]
fn failed_sync_is_final_although_the_next_one_would_succeed() {
    let disk = SimulatedDisk::new();
    let data_dir = open(&disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let mut log = data_dir.log(LogOptions::default(), recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    log.append(&history.batch(1, 100)).unwrap();
    log.sync().unwrap();
    log.append(&history.batch(1, 100)).unwrap();
    let fault = Fault {
        operation: Operation::Sync,
        name_prefix: "log.".to_owned(),
        after: 0,
        kind: FaultKind::PagesDropped,
    };
    disk.faults().add(fault);
    assert!(matches!(log.sync(), Err(Error::Io { .. })));
    assert!(matches!(log.sync(), Err(Error::Poisoned)));
    assert!(matches!(log.append(&history.batch(1, 100)), Err(Error::Poisoned)));
    assert_eq!(log.last_synced(), Zxid::from_raw(1));
    assert!(matches!(log.close(), Err(Error::Poisoned)));
    drop(data_dir);
    disk.crash(&mut |bound: u64| bound - 1);
    assert_eq!(recover_simulated(&disk).unwrap().last_logged, Zxid::from_raw(1));
}

#[test]
fn tail_that_a_failed_sync_left_in_memory_is_durable_once_it_was_recovered() {
    let disk = SimulatedDisk::new();
    let data_dir = open(&disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let mut log = data_dir.log(LogOptions::default(), recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    log.append(&history.batch(1, 100)).unwrap();
    log.sync().unwrap();
    log.append(&history.batch(1, 2000)).unwrap();
    let fault = Fault {
        operation: Operation::Sync,
        name_prefix: "log.".to_owned(),
        after: 0,
        kind: FaultKind::PagesDropped,
    };
    disk.faults().add(fault);
    assert!(log.sync().is_err());
    drop(log);
    drop(data_dir);
    // The process ends, the machine does not: the next one reads what never reached the device.
    disk.kill();
    assert_eq!(recover_simulated(&disk).unwrap().last_logged, Zxid::from_raw(2));
    disk.crash(&mut |_: u64| 0);
    assert_eq!(recover_simulated(&disk).unwrap().last_logged, Zxid::from_raw(2));
}

#[test]
fn new_name_that_can_not_be_made_durable_is_never_acknowledged_under() {
    let disk = SimulatedDisk::new();
    let data_dir = open(&disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let mut log = data_dir.log(LogOptions::default(), recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    log.append(&history.batch(1, 100)).unwrap();
    let fault = Fault {
        operation: Operation::SyncDir,
        name_prefix: String::new(),
        after: 0,
        kind: FaultKind::Io,
    };
    disk.faults().add(fault);
    assert!(log.sync().is_err());
    drop(data_dir);
    disk.crash(&mut |_: u64| 0);
    assert_eq!(recover_simulated(&disk).unwrap().last_logged, Zxid::ZERO);
}

#[test]
fn faulty_disk_fails_real_files_as_planned_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let plan = FaultPlan::default();
    let disk = FaultyDisk::new(RealDisk, plan.clone());
    let data_dir = open(&disk, dir.path()).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let mut log = data_dir.log(LogOptions::default(), recovered.last_logged).unwrap();
    let mut history = History::after(recovered.tree);
    log.append(&history.batch(1, 100)).unwrap();
    log.sync().unwrap();
    plan.add(Fault {
        operation: Operation::Write,
        name_prefix: "log.".to_owned(),
        after: 0,
        kind: FaultKind::NoSpace,
    });
    match log.append(&history.batch(1, 100)) {
        Err(Error::Io { source, path, .. }) => {
            assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
            assert!(path.ends_with("version-2/log.1"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(plan.clear(), 0);
}

#[test]
fn directory_in_use_is_refused() {
    let disk = SimulatedDisk::new();
    let held = open(&disk, DIR).unwrap();
    assert!(matches!(open(&disk, DIR), Err(Error::Locked { .. })));
    drop(held);
    open(&disk, DIR).unwrap();

    let dir = tempfile::tempdir().unwrap();
    let held = open(&RealDisk, dir.path()).unwrap();
    assert!(matches!(open(&RealDisk, dir.path()), Err(Error::Locked { .. })));
    drop(held);
    open(&RealDisk, dir.path()).unwrap();
}
