//! The epochs of a member: what is stored is found again, and what contradicts itself is refused.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use common::{DIR, Dice, file, open};
use storage::{Disk, Epochs, Error, Fault, FaultKind, Operation, RealDisk, SimulatedDisk};
use types::{Counter, Epoch, Memory, Zxid};

/// A disk with the given files of epochs.
fn disk(files: &[(&str, &str)]) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    drop(open(&disk, DIR).unwrap());
    for (name, text) in files {
        disk.plant(&file(name), text.as_bytes());
    }
    disk
}

/// What a start finds after a history that ends within `epoch`.
fn start(disk: &SimulatedDisk, epoch: i32) -> Result<(i32, i32), Error> {
    let last_logged = Zxid::new(Epoch(epoch), Counter(7));
    let Epochs { accepted, current, .. } = open(disk, DIR)?.epochs(last_logged)?;
    Ok((accepted.0, current.0))
}

/// What a start finds, twice: the second time in what the first has made durable.
fn check(files: &[(&str, &str)], epoch_of_history: i32, expected: (i32, i32)) {
    let disk = disk(files);
    assert_eq!(start(&disk, epoch_of_history).unwrap(), expected, "{files:?}");
    disk.crash(&mut |_: u64| 0);
    let number = |name: &str| {
        let bytes = disk.contents(&file(name)).unwrap();
        String::from_utf8(bytes).unwrap().trim_end().parse().unwrap()
    };
    assert_eq!((number("acceptedEpoch"), number("currentEpoch")), expected, "{files:?}");
    let names = disk.list(file("").as_path()).unwrap();
    assert_eq!(names, ["acceptedEpoch", "currentEpoch"], "{files:?}");
    assert_eq!(start(&disk, epoch_of_history).unwrap(), expected, "{files:?}");
}

#[test]
fn missing_files_are_taken_from_the_last_transaction() {
    check(&[], 0, (0, 0));
    check(&[], 4, (4, 4));
    check(&[("acceptedEpoch", "6")], 4, (6, 4));
    check(&[("currentEpoch", "4")], 4, (4, 4));
}

#[test]
fn stored_epochs_are_taken_as_they_are() {
    check(&[("acceptedEpoch", "6"), ("currentEpoch", "5")], 4, (6, 5));
    check(&[("acceptedEpoch", "6\n"), ("currentEpoch", "6\n")], 6, (6, 6));
    let without_database = disk(&[("acceptedEpoch", "-1"), ("currentEpoch", "-1")]);
    assert_eq!(start(&without_database, 0).unwrap(), (0, 0));
}

#[test]
fn crash_between_a_leaders_history_and_its_epoch_does_not_keep_the_server_down() {
    check(&[("acceptedEpoch", "6"), ("currentEpoch", "4")], 6, (6, 6));
    check(&[("acceptedEpoch", "6"), ("currentEpoch", "4")], 5, (6, 5));
}

#[test]
fn what_apache_did_not_get_to_rename_counts_if_it_is_later() {
    let stored = [("acceptedEpoch", "6"), ("currentEpoch", "5")];
    let with = |leftover| [stored[0], stored[1], leftover];
    check(&with(("acceptedEpoch.tmp", "7")), 4, (7, 5));
    check(&with(("acceptedEpoch.tmp", "3")), 4, (6, 5));
    check(&with(("acceptedEpoch.tmp", "")), 4, (6, 5));
    check(&with(("currentEpoch.tmp", "6")), 4, (6, 6));
    check(&with(("currentEpoch.tmp", "6")), 6, (6, 6));
    check(&with(("currentEpoch.tmp", "\0\0")), 4, (6, 5));
    // Nobody has accepted it, so it can not have been anyone's current epoch.
    check(&with(("currentEpoch.tmp", "9")), 4, (6, 5));
}

#[test]
fn contradictions_are_refused_with_the_names_of_the_files() {
    let refused = start(&disk(&[("acceptedEpoch", "4"), ("currentEpoch", "5")]), 4).unwrap_err();
    assert!(matches!(refused, Error::EpochsContradict { .. }));
    let text = refused.to_string();
    assert!(text.contains(file("currentEpoch").to_str().unwrap()), "{text}");
    assert!(text.contains(file("acceptedEpoch").to_str().unwrap()), "{text}");

    let lost_promise = start(&disk(&[("currentEpoch", "5")]), 4).unwrap_err();
    assert!(matches!(lost_promise, Error::EpochsContradict { .. }));

    let stale = start(&disk(&[("acceptedEpoch", "4"), ("currentEpoch", "4")]), 5).unwrap_err();
    assert!(matches!(stale, Error::HistoryBeyondEpoch { accepted: Epoch(4), .. }), "{stale}");
}

#[test]
fn file_that_holds_no_epoch_is_refused_by_its_name() {
    for name in ["acceptedEpoch", "currentEpoch"] {
        for text in ["", "5 5", "0x5", "2147483648", "-2", "five"] {
            let disk = disk(&[("acceptedEpoch", "6"), ("currentEpoch", "6"), (name, text)]);
            match start(&disk, 5) {
                Err(Error::NoEpoch { file: named }) => assert_eq!(named, file(name)),
                other => panic!("{name} {text:?}: {other:?}"),
            }
            assert_eq!(disk.contents(&file(name)).unwrap(), text.as_bytes());
        }
    }
}

#[test]
fn epochs_never_decrease_and_the_current_one_was_accepted() {
    let disk = disk(&[]);
    let data_dir = open(&disk, DIR).unwrap();
    let unaccepted = data_dir.store_current_epoch(Epoch(1)).unwrap_err();
    assert!(matches!(unaccepted, Error::EpochsContradict { .. }), "{unaccepted}");
    assert_eq!(data_dir.store_accepted_epoch(Epoch(5)).unwrap().epoch(), Epoch(5));
    assert_eq!(data_dir.store_current_epoch(Epoch(5)).unwrap().epoch(), Epoch(5));
    for less in [
        data_dir.store_accepted_epoch(Epoch(4)).map(drop),
        data_dir.store_current_epoch(Epoch(4)).map(drop),
    ] {
        match less {
            Err(Error::EpochDecreases { stored: Epoch(5), wanted: Epoch(4), .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    let unaccepted = data_dir.store_current_epoch(Epoch(6)).unwrap_err();
    assert!(matches!(unaccepted, Error::EpochsContradict { .. }), "{unaccepted}");
    data_dir.store_accepted_epoch(Epoch(5)).unwrap();
    drop(data_dir);
    assert_eq!(start(&disk, 5).unwrap(), (5, 5));
}

#[test]
fn epochs_are_stored_on_real_files() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(&RealDisk, dir.path()).unwrap();
    data_dir.store_accepted_epoch(Epoch(12)).unwrap();
    data_dir.store_current_epoch(Epoch(11)).unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join("version-2").join(name));
    assert_eq!(read("acceptedEpoch").unwrap(), "12");
    assert_eq!(read("currentEpoch").unwrap(), "11");
    let epochs = data_dir.epochs(Zxid::ZERO).unwrap();
    let memory = Memory::Whole;
    assert_eq!(epochs, Epochs { accepted: Epoch(12), current: Epoch(11), memory });
}

/// Three epochs are accepted and become current. Returns what was proven: accepted, current.
fn reign(disk: &SimulatedDisk) -> ((i32, i32), Result<(), Error>) {
    let mut proven = (0, 0);
    let result = (|| {
        let data_dir = open(disk, DIR)?;
        let Epochs { accepted, current, .. } = data_dir.epochs(Zxid::ZERO)?;
        proven = (accepted.0, current.0);
        for epoch in current.0 + 1..=3 {
            proven.0 = data_dir.store_accepted_epoch(Epoch(epoch))?.epoch().0;
            proven.1 = data_dir.store_current_epoch(Epoch(epoch))?.epoch().0;
        }
        Ok(())
    })();
    (proven, result)
}

/// What was proven is there after each crash, and the accepted epoch never lags behind, whatever
/// the device got of what was not synced (a server that raises its memory or the current epoch
/// first would not pass).
#[test]
fn no_failure_and_no_crash_loses_what_was_promised() {
    let mut failures = 0;
    for operation in Operation::ALL {
        for kind in [FaultKind::Io, FaultKind::NoSpace, FaultKind::PagesDropped] {
            for after in 0.. {
                let disk = disk(&[("acceptedEpoch.tmp", "1"), ("currentEpoch.tmp", "")]);
                let name_prefix = String::new();
                disk.faults().add(Fault { operation, name_prefix, after, kind });
                let (proven, result) = reign(&disk);
                if disk.faults().clear() == 1 {
                    result.unwrap();
                    break;
                }
                assert!(result.is_err(), "{operation:?} {kind:?} {after}");
                failures += 1;
                for seed in 0..8 {
                    let image = disk.fork();
                    let mut dice = Dice(seed);
                    image.crash(&mut |bound: u64| match seed {
                        0 => 0,
                        1 => bound - 1,
                        _ => dice.below(bound),
                    });
                    let found = start(&image, 0).unwrap();
                    let case = (operation, kind, after, seed, proven, found);
                    assert!(found.0 >= proven.0 && found.1 >= proven.1, "{case:?}");
                    assert!(found.0 <= proven.0 + 1 && found.1 <= proven.1 + 1, "{case:?}");
                    assert!(found.0 >= found.1, "{case:?}");
                    reign(&image).1.unwrap();
                    assert_eq!(start(&image, 0).unwrap(), (3, 3), "{case:?}");
                }
            }
        }
    }
    assert!(failures > 100, "{failures}");
}
