//! A member that has lost a part of its history starts with the rest, does not vote, and is repaired.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{DIR, Dice, History, file, open, options, recover_simulated, tree_options};
use storage::{
    Compression, DataDir, Directories, Disk, EmptyDatabase, Error, Fault, FaultKind, LogOptions,
    MissingDirectory, Operation, Origin, RecoverOptions, RecoveredMember, SimulatedDisk, put_head,
    write_tree,
};
use tree::SliceEnd;
use types::{Counter, Epoch, Memory, Zxid};
use wire::quorum::put_snapshot_signature;
use wire::stored::LogBatch;
use wire::stored::snapshot::{AclId, put_end, put_node};

/// Where the history ends that was acknowledged.
const END: i64 = 30;

/// Thirty transactions in logs from 1, 11 and 21 on, a snapshot at 0 and at 10; all acknowledged.
fn populate(disk: &SimulatedDisk) -> History {
    let data_dir = open(disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    data_dir.store_accepted_epoch(Epoch(1)).unwrap();
    let small_steps = LogOptions { space_step_bytes: 512, ..LogOptions::default() };
    let mut log = data_dir.log(small_steps, recovered.last_logged).unwrap();
    let mut history = History::default();
    for _ in 0..3 {
        log.append(&history.batch(10, 60)).unwrap();
        log.roll().unwrap();
        if history.last() == Zxid::from_raw(10) {
            let writer = data_dir.start_snapshot(history.last(), Compression::None).unwrap();
            write_tree(writer, &mut history.tree).unwrap();
        }
    }
    log.close().unwrap();
    drop(data_dir);
    disk.kill();
    history
}

/// Where the third entry of a log starts.
fn third_entry(disk: &SimulatedDisk, name: &str) -> u64 {
    let bytes = disk.contents(&file(name)).unwrap();
    let mut at = 16;
    for _ in 0..2 {
        at += 13 + u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    }
    at as u64
}

/// What is damaged, the last transaction before it, and how it is done.
type Damaging = (&'static str, i64, fn(&SimulatedDisk));

/// The ways in which a history is damaged.
fn damages() -> Vec<Damaging> {
    fn flip(disk: &SimulatedDisk, name: &str, byte: u64) {
        disk.flip_bit(&file(name), byte, 3).unwrap();
    }
    vec![
        ("a bit in the middle", 12, |disk| flip(disk, "log.b", third_entry(disk, "log.b") + 30)),
        ("a bit in the newest", 22, |disk| flip(disk, "log.15", third_entry(disk, "log.15") + 30)),
        ("a length", 22, |disk| flip(disk, "log.15", third_entry(disk, "log.15") + 8)),
        ("a header", 10, |disk| flip(disk, "log.b", 1)),
        ("a header of the newest", 20, |disk| flip(disk, "log.15", 1)),
        ("a log in the middle", 10, |disk| disk.unlink(&file("log.b")).unwrap()),
        ("the newest log", 20, |disk| disk.unlink(&file("log.15")).unwrap()),
        ("all snapshots", 0, |disk| {
            for name in ["snapshot.0", "snapshot.a"] {
                flip(disk, name, 60);
            }
        }),
        ("the snapshots are gone", 0, |disk| {
            for name in ["snapshot.0", "snapshot.a"] {
                disk.unlink(&file(name)).unwrap();
            }
        }),
        ("everything", 0, |disk| {
            for name in ["snapshot.0", "snapshot.a", "log.1", "log.b", "log.15"] {
                disk.unlink(&file(name)).unwrap();
            }
        }),
    ]
}

/// The logs, the snapshots and the watermark.
fn files(disk: &SimulatedDisk) -> BTreeMap<String, Vec<u8>> {
    let names = disk.list(file("").as_path()).unwrap();
    let names = names.into_iter().filter(|name| name != "shortened" && !name.ends_with("Epoch"));
    names.map(|name| (name.clone(), disk.contents(&file(&name)).unwrap())).collect()
}

/// Nobody knows how much.
const LOST: Memory = Memory::Shortened { had: None };

fn memory(data_dir: &DataDir<SimulatedDisk>, last: Zxid) -> Memory {
    data_dir.epochs(last).unwrap().memory
}

#[test]
fn member_starts_with_what_can_be_read_where_a_standalone_server_refuses() {
    for (what, last, damage) in damages() {
        let disk = SimulatedDisk::new();
        let history = populate(&disk);
        damage(&disk);
        let before = files(&disk);
        let refusal = recover_simulated(&disk).map(drop).unwrap_err().to_string();
        for _ in 0..2 {
            let data_dir = open(&disk, DIR).unwrap();
            let RecoveredMember { recovered, loss } = data_dir.recover_member(&options()).unwrap();
            assert_eq!(loss.unwrap().to_string(), refusal, "{what}");
            assert_eq!(recovered.last_logged, Zxid::from_raw(last), "{what}");
            let expected = history.prefix(recovered.last_logged);
            assert_eq!(recovered.tree.difference(&expected), None, "{what}");
            assert_eq!(recovered.origin == Origin::Unknown, last == 0, "{what}");
            assert!(files(&disk) == before, "{what}: an operator may need them");
            assert_eq!(memory(&data_dir, recovered.last_logged), LOST, "{what}");
            drop(data_dir);
            disk.crash(&mut |_: u64| 0);
        }
    }
}

#[test]
fn nothing_is_lost_that_was_only_torn() {
    let disk = SimulatedDisk::new();
    let mut history = populate(&disk);
    let data_dir = open(&disk, DIR).unwrap();
    let recovered = data_dir.recover_member(&options()).unwrap();
    assert!(recovered.loss.is_none());
    let mut log = data_dir.log(LogOptions::default(), recovered.recovered.last_logged).unwrap();
    log.append(&history.batch(5, 700)).unwrap();
    drop(data_dir);
    let mut dice = Dice(7);
    disk.crash(&mut |bound: u64| dice.below(bound));
    let data_dir = open(&disk, DIR).unwrap();
    let RecoveredMember { recovered, loss } = data_dir.recover_member(&options()).unwrap();
    assert!(loss.is_none());
    assert!(recovered.last_logged >= Zxid::from_raw(END));
    assert_eq!(memory(&data_dir, recovered.last_logged), Memory::Whole);
}

#[test]
fn nothing_is_logged_behind_damage() {
    for (what, last, damage) in damages() {
        let disk = SimulatedDisk::new();
        let history = populate(&disk);
        damage(&disk);
        let data_dir = open(&disk, DIR).unwrap();
        let recovered = data_dir.recover_member(&options()).unwrap().recovered;
        let mut log = data_dir.log(LogOptions::default(), recovered.last_logged).unwrap();
        log.prepare().unwrap();
        log.roll().unwrap();
        let mut more = history.at(Zxid::from_raw(last));
        assert!(matches!(log.append(&more.batch(1, 50)), Err(Error::BehindDamage)), "{what}");
        assert!(matches!(log.sync(), Err(Error::Poisoned)), "{what}");
    }
}

/// What a leader with the whole history has beyond a transaction.
fn missing(after: Zxid) -> LogBatch {
    let whole = History::default().batch(usize::try_from(END).unwrap(), 60);
    let mut missing = LogBatch::new();
    for proposal in whole.proposals().filter(|proposal| proposal.zxid() > after) {
        missing.push_proposal(proposal);
    }
    missing
}

fn stream(history: &mut History) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_head(&mut bytes, &history.tree.begin_snapshot());
    let end = history.tree.snapshot_slice(usize::MAX, &mut |path, data, acl, stat| {
        put_node(&mut bytes, path, data, AclId(acl), stat);
    });
    assert_eq!(end, SliceEnd::Done);
    put_end(&mut bytes);
    put_snapshot_signature(&mut bytes);
    bytes
}

/// What a member does from its start to its vote, led by a server whose history is whole.
fn repair(disk: &SimulatedDisk, whole: &mut History) -> Result<(), Error> {
    let data_dir = open(disk, DIR)?;
    let RecoveredMember { recovered, .. } = data_dir.recover_member(&options())?;
    let mut log = data_dir.log(LogOptions::default(), recovered.last_logged)?;
    if recovered.origin == Origin::Unknown {
        let zxid = whole.last();
        let mut receiving = data_dir.start_receiving(zxid, Compression::None, tree_options())?;
        receiving.take(&stream(whole))?;
        log = data_dir.install(log, receiving.finish()?)?.0;
    } else if recovered.last_logged < whole.last() {
        log = data_dir.rewind(log, recovered.last_logged, &options())?.0;
        log.append(&missing(recovered.last_logged))?;
    }
    log.sync()?;
    data_dir.store_current_epoch(Epoch(1))?;
    log.close().map(drop)
}

#[test]
fn repaired_member_votes_again_and_starts_like_any_other() {
    for (what, _, damage) in damages() {
        let disk = SimulatedDisk::new();
        let mut history = populate(&disk);
        damage(&disk);
        repair(&disk, &mut history).unwrap();
        disk.crash(&mut |_: u64| 0);
        let recovered = recover_simulated(&disk).unwrap();
        assert_eq!(recovered.last_logged, history.last(), "{what}");
        assert!(!open(&disk, DIR).unwrap().is_between_states().unwrap(), "{what}");
        assert_eq!(recovered.tree.difference(&history.tree), None, "{what}");
        let data_dir = open(&disk, DIR).unwrap();
        assert_eq!(memory(&data_dir, recovered.last_logged), Memory::Whole, "{what}");
    }
}

/// However often a repair is interrupted, the member never votes with less than it acknowledged.
#[test]
fn interrupted_repair_never_makes_a_shortened_history_look_whole() {
    let (mut shortened, mut whole) = (0, 0);
    let chosen = ["a bit in the middle", "a header of the newest", "all snapshots"];
    let mut history = populate(&SimulatedDisk::new());
    for (what, _, damage) in damages().into_iter().filter(|(what, ..)| chosen.contains(what)) {
        let damaged = SimulatedDisk::new();
        populate(&damaged);
        damage(&damaged);
        for operation in Operation::ALL {
            for after in 0.. {
                let disk = damaged.fork();
                let name_prefix = String::new();
                let kind = FaultKind::Io;
                disk.faults().add(Fault { operation, name_prefix, after, kind });
                let result = repair(&disk, &mut history);
                if disk.faults().clear() == 1 {
                    result.unwrap();
                    break;
                }
                for seed in 0..2 {
                    let image = disk.fork();
                    let mut dice = Dice(seed);
                    image.crash(&mut |bound: u64| match seed {
                        0 => 0,
                        1 => bound - 1,
                        _ => dice.below(bound),
                    });
                    let place = (what, operation, after, seed);
                    let data_dir = open(&image, DIR).unwrap();
                    let found = data_dir.recover_member(&options()).unwrap();
                    let last = found.recovered.last_logged;
                    match memory(&data_dir, last) {
                        Memory::Whole => {
                            assert_eq!(last, Zxid::from_raw(END), "{place:?}");
                            whole += 1;
                        }
                        Memory::Shortened { .. } => shortened += 1,
                    }
                    drop(data_dir);
                    repair(&image, &mut history).unwrap();
                    assert_eq!(recover_simulated(&image).unwrap().last_logged, history.last());
                }
            }
        }
    }
    assert!(shortened > 200 && whole > 10, "{shortened} {whole}");
}

/// A read that fails is no reason to stay down either: what lies before it is enough to be repaired.
#[test]
fn sector_that_can_not_be_read_shortens_the_history() {
    let disk = SimulatedDisk::new();
    let history = populate(&disk);
    let (operation, name_prefix) = (Operation::Read, "log.15".to_owned());
    disk.faults().add(Fault { operation, name_prefix, after: 3, kind: FaultKind::Io });
    let data_dir = open(&disk, DIR).unwrap();
    let RecoveredMember { recovered, loss } = data_dir.recover_member(&options()).unwrap();
    assert!(matches!(loss, Some(Error::Io { .. })), "{loss:?}");
    assert_eq!(disk.faults().clear(), 0);
    let expected = history.prefix(recovered.last_logged);
    assert_eq!(recovered.tree.difference(&expected), None);
    assert_eq!(memory(&data_dir, recovered.last_logged), LOST);
}

/// A log that the disk does not give back any more is out of the way after a repair of either kind.
#[test]
fn log_that_can_not_be_read_at_all_does_not_keep_a_member_from_being_repaired() {
    let make_unreadable = |disk: &SimulatedDisk| {
        for _ in 0..50 {
            let (operation, name_prefix) = (Operation::Read, "log.15".to_owned());
            disk.faults().add(Fault { operation, name_prefix, after: 0, kind: FaultKind::Io });
        }
    };
    for with_snapshot in [false, true] {
        let disk = SimulatedDisk::new();
        let mut history = populate(&disk);
        if with_snapshot {
            for name in ["snapshot.0", "snapshot.a"] {
                disk.flip_bit(&file(name), 60, 0).unwrap();
            }
        }
        make_unreadable(&disk);
        repair(&disk, &mut history).unwrap();
        assert!(disk.faults().clear() > 0, "it was read to its end");
        let recovered = recover_simulated(&disk).unwrap();
        assert_eq!(recovered.last_logged, history.last());
        assert_eq!(recovered.tree.difference(&history.tree), None);
    }
}

/// Apache's leaders send what is committed and not applied yet behind their snapshot. Who has lost its disk and
/// gets no further than the snapshot must not vote with that: it may have acknowledged what follows.
#[test]
fn lost_disk_is_remembered_until_the_epoch_is_stored() {
    let wiped = RecoverOptions { empty: EmptyDatabase::RequireMarker, ..options() };
    let memory_after_a_crash = |disk: &SimulatedDisk| {
        disk.crash(&mut |_: u64| 0);
        let data_dir = open(disk, DIR).unwrap();
        let found = data_dir.recover_member(&wiped).unwrap();
        assert!(found.loss.is_none());
        (found.recovered.origin, memory(&data_dir, found.recovered.last_logged))
    };
    let mut whole = populate(&SimulatedDisk::new());
    let mut earlier = whole.at(Zxid::from_raw(20));
    let disk = SimulatedDisk::new();
    assert_eq!(memory_after_a_crash(&disk), (Origin::Unknown, LOST));
    let data_dir = open(&disk, DIR).unwrap();
    let found = data_dir.recover_member(&wiped).unwrap();
    data_dir.store_accepted_epoch(Epoch(1)).unwrap();
    let log = data_dir.log(LogOptions::default(), found.recovered.last_logged).unwrap();
    let mut receiving =
        data_dir.start_receiving(earlier.last(), Compression::None, tree_options()).unwrap();
    receiving.take(&stream(&mut earlier)).unwrap();
    drop(data_dir.install(log, receiving.finish().unwrap()).unwrap());
    drop(data_dir);
    let (origin, memory) = memory_after_a_crash(&disk);
    assert_eq!((origin, memory), (Origin::Snapshot(earlier.last()), LOST));
    repair(&disk, &mut whole).unwrap();
    let (_, memory) = memory_after_a_crash(&disk);
    assert_eq!(memory, Memory::Whole);
}

/// Its snapshots are there, and the device with its logs is not.
#[test]
fn member_without_its_directory_of_logs_has_lost_history_until_a_leader_repairs_it() {
    let apart = Directories { snapshots: DIR.into(), logs: "/logs".into() };
    let open = |disk: &SimulatedDisk| {
        DataDir::open(disk.clone(), apart.clone(), MissingDirectory::Create).unwrap()
    };
    let disk = SimulatedDisk::new();
    let data_dir = open(&disk);
    let recovered = data_dir.recover_member(&options()).unwrap().recovered;
    data_dir.store_accepted_epoch(Epoch(1)).unwrap();
    let mut log = data_dir.log(LogOptions::default(), recovered.last_logged).unwrap();
    let mut history = History::default();
    log.append(&history.batch(10, 60)).unwrap();
    let writer = data_dir.start_snapshot(history.last(), Compression::None).unwrap();
    write_tree(writer, &mut history.tree).unwrap();
    log.append(&history.batch(5, 60)).unwrap();
    log.close().unwrap();
    drop(data_dir);
    let logs = Path::new("/logs/version-2");
    for name in disk.list(logs).unwrap() {
        disk.unlink(&logs.join(name)).unwrap();
    }
    disk.sync_dir(logs).unwrap();

    for _ in 0..2 {
        let data_dir = open(&disk);
        let RecoveredMember { recovered, loss } = data_dir.recover_member(&options()).unwrap();
        assert!(matches!(loss, Some(Error::LogDirectoryLost { .. })), "{loss:?}");
        assert_eq!(recovered.last_logged, Zxid::from_raw(10));
        assert_eq!(memory(&data_dir, recovered.last_logged), LOST);
        disk.crash(&mut |_: u64| 0);
    }
    let data_dir = open(&disk);
    let recovered = data_dir.recover_member(&options()).unwrap().recovered;
    let log = data_dir.log(LogOptions::default(), recovered.last_logged).unwrap();
    let mut receiving =
        data_dir.start_receiving(history.last(), Compression::None, tree_options()).unwrap();
    receiving.take(&stream(&mut history)).unwrap();
    drop(data_dir.install(log, receiving.finish().unwrap()).unwrap());
    data_dir.store_current_epoch(Epoch(1)).unwrap();
    drop(data_dir);
    disk.crash(&mut |_: u64| 0);
    let data_dir = open(&disk);
    let RecoveredMember { recovered, loss } = data_dir.recover_member(&options()).unwrap();
    assert!(loss.is_none(), "{loss:?}");
    assert_eq!(recovered.last_logged, history.last());
    assert_eq!(memory(&data_dir, recovered.last_logged), Memory::Whole);
}

/// An operator who lets an empty database be created says that there was no other.
#[test]
fn database_that_is_meant_to_be_empty_is_whole() {
    let wiped = RecoverOptions { empty: EmptyDatabase::RequireMarker, ..options() };
    for has_marker in [false, true] {
        let disk = SimulatedDisk::new();
        let data_dir = open(&disk, DIR).unwrap();
        assert_eq!(data_dir.recover_member(&wiped).unwrap().recovered.origin, Origin::Unknown);
        assert_eq!(memory(&data_dir, Zxid::ZERO), LOST);
        if has_marker {
            disk.plant(&Path::new(DIR).join("initialize"), b"");
        }
        let allowed = if has_marker { wiped } else { options() };
        assert_eq!(data_dir.recover_member(&allowed).unwrap().recovered.origin, Origin::Created);
        drop(data_dir);
        disk.crash(&mut |_: u64| 0);
        let data_dir = open(&disk, DIR).unwrap();
        assert!(data_dir.recover_member(&wiped).unwrap().loss.is_none());
        assert_eq!(memory(&data_dir, Zxid::ZERO), Memory::Whole);
    }
}

/// What a leader does to a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Repair {
    Snapshot,
    Cut,
}

/// A leader may send a snapshot of a time before the end of this server's history, or cut it back to
/// there, and send what lies between behind it. If that does not get here, this server has less than it
/// acknowledged; unless what lay there was of an earlier epoch than the leader's, of which the snapshot
/// has all that was ever committed, and the cut leaves it.
#[test]
fn what_is_taken_of_the_leaders_epoch_shortens_the_memory_until_the_epoch_is_stored() {
    let of_leader = |counter| Zxid::new(Epoch(1), Counter(counter));
    let shortened = Memory::Shortened { had: Some(of_leader(5)) };
    for (repair, of_its_epoch, last, expected) in [
        (Repair::Snapshot, 0, Zxid::from_raw(20), Memory::Whole),
        (Repair::Snapshot, 0, Zxid::from_raw(END), Memory::Whole),
        (Repair::Snapshot, 5, Zxid::from_raw(20), shortened),
        (Repair::Snapshot, 5, of_leader(3), shortened),
        (Repair::Snapshot, 5, of_leader(5), Memory::Whole),
        (Repair::Cut, 0, Zxid::from_raw(20), Memory::Whole),
        (Repair::Cut, 5, Zxid::from_raw(END), shortened),
        (Repair::Cut, 5, of_leader(3), shortened),
    ] {
        let place = (repair, of_its_epoch, last);
        let disk = SimulatedDisk::new();
        let mut history = populate(&disk);
        let data_dir = open(&disk, DIR).unwrap();
        let recovered = data_dir.recover_member(&options()).unwrap().recovered;
        let mut log = data_dir.log(LogOptions::default(), recovered.last_logged).unwrap();
        if of_its_epoch > 0 {
            history.start_epoch(1);
            log.append(&history.batch(of_its_epoch, 50)).unwrap();
            log.sync().unwrap();
        }
        let mut earlier = history.at(last);
        let mut log = match repair {
            Repair::Snapshot => {
                let mut receiving =
                    data_dir.start_receiving(last, Compression::None, tree_options()).unwrap();
                receiving.take(&stream(&mut earlier)).unwrap();
                data_dir.install(log, receiving.finish().unwrap()).unwrap().0
            }
            Repair::Cut => data_dir.rewind(log, last, &options()).unwrap().0,
        };
        assert_eq!(memory(&data_dir, last), expected, "{place:?}");
        if expected == shortened {
            // Again, before all is there.
            log.append(&earlier.batch(1, 50)).unwrap();
            log = data_dir.rewind(log, last, &options()).unwrap().0;
            assert_eq!(memory(&data_dir, last), expected, "{place:?}");
            earlier = earlier.at(last);
        }
        log.append(&earlier.batch(12, 50)).unwrap();
        log.sync().unwrap();
        assert_eq!(
            memory(&data_dir, earlier.last()),
            expected.of_history(earlier.last(), Epoch(1)),
            "{place:?}"
        );
        data_dir.store_current_epoch(Epoch(1)).unwrap();
        assert_eq!(memory(&data_dir, earlier.last()), Memory::Whole, "{place:?}");
    }
}
