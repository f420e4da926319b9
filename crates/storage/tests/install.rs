//! A leader's snapshot replaces the database: it is the old one or the new one, never a mixture.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use common::{DIR, Dice, History, file, open, options, recover_simulated, tree_options};
use storage::{
    Compression, DataDir, Disk, Error, Fault, FaultKind, Log, LogOptions, Operation, Origin,
    RealDisk, Received, ReceivedSnapshot, ReceivingSnapshot, Recovered, SimulatedDisk,
    SnapshotDamage, put_head, write_tree,
};
use tree::{SliceEnd, Tree};
use types::Zxid;
use wire::quorum::put_snapshot_signature;
use wire::stored::snapshot::{AclId, put_end, put_node};

const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Snappy];

/// What a leader sends of its tree, on which `between` is done before each slice.
fn stream(tree: &mut Tree, mut between: impl FnMut(&mut Tree)) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_head(&mut bytes, &tree.begin_snapshot());
    let mut end = SliceEnd::More;
    while end == SliceEnd::More {
        between(tree);
        end = tree.snapshot_slice(200, &mut |path, data, acl, stat| {
            put_node(&mut bytes, path, data, AclId(acl), stat);
        });
    }
    put_end(&mut bytes);
    put_snapshot_signature(&mut bytes);
    bytes
}

/// Receives a whole stream in pieces of so many bytes.
fn receive<D: Disk>(
    data_dir: &DataDir<D>,
    zxid: Zxid,
    compression: Compression,
    bytes: &[u8],
    piece_bytes: usize,
) -> Result<ReceivedSnapshot<D>, Error> {
    let mut receiving = data_dir.start_receiving(zxid, compression, tree_options())?;
    for piece in bytes.chunks(piece_bytes) {
        receiving.take(piece)?;
    }
    receiving.finish()
}

fn small_steps() -> LogOptions {
    LogOptions { space_step_bytes: 512, ..LogOptions::default() }
}

/// A server with snapshots at 0, 8 and 16 and logs from 1, 9, 13, 17 and 21 on; of its 27 transactions
/// the last three are not synced.
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
    for (count, snapshot) in [(8, true), (4, false), (4, true), (4, false), (4, false)] {
        log.append(&history.batch(count, 60)).unwrap();
        log.sync().unwrap();
        if history.last() < Zxid::from_raw(24) {
            log.roll().unwrap();
        }
        if snapshot {
            let writer = data_dir.start_snapshot(history.last(), Compression::Gzip).unwrap();
            write_tree(writer, &mut history.tree).unwrap();
        }
    }
    log.prepare().unwrap();
    log.append(&history.batch(3, 300)).unwrap();
    Running { data_dir, log, history }
}

/// The leader's history: the same up to 10, then another one up to `last`.
fn leader(last: Zxid) -> History {
    let mut history = History::default();
    history.batch(10, 60);
    let mut history = history.at(Zxid::from_raw(10));
    if last.epoch().0 > 0 {
        history.start_epoch(last.epoch().0);
    }
    while history.last() < last {
        history.batch(1, 60);
    }
    assert_eq!(history.last(), last);
    history
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

#[test]
fn snapshot_in_pieces_of_any_size_is_the_leaders_tree() {
    let zxid = Zxid::from_raw(40);
    let mut leader = leader(zxid);
    let bytes = stream(&mut leader.tree, |_| ());
    for compression in COMPRESSIONS {
        for piece_bytes in [1, 2, 3, 7, 100, 1000, bytes.len()] {
            let disk = SimulatedDisk::new();
            let Running { data_dir, log, .. } = run(&disk);
            let received = receive(&data_dir, zxid, compression, &bytes, piece_bytes).unwrap();
            assert_eq!(received.zxid(), zxid);
            let file_bytes = received.bytes();
            let (mut log, tree) = data_dir.install(log, received).unwrap();
            assert_eq!(tree.difference(&leader.tree), None);
            assert_eq!(tree.digest(), leader.tree.digest());
            let name = format!("snapshot.28{}", compression.suffix());
            assert_eq!(disk.contents(&file(&name)).unwrap().len() as u64, file_bytes);
            let names = disk.list(file("").as_path()).unwrap();
            assert_eq!(names, ["between-states", &*name, "synced", "unfinished-log"]);

            let image = disk.fork();
            crash(&image, 0);
            let names = image.list(file("").as_path()).unwrap();
            assert_eq!(names, ["between-states", &*name, "unfinished-log"]);
            check(&recover_simulated(&image).unwrap(), &leader);
            // It goes on, and takes a snapshot of its own.
            let mut history = leader.at(zxid);
            log.append(&history.batch(3, 100)).unwrap();
            log.roll().unwrap();
            let writer = data_dir.start_snapshot(history.last(), compression).unwrap();
            write_tree(writer, &mut history.tree).unwrap();
            log.append(&history.batch(3, 100)).unwrap();
            log.close().unwrap();
            drop(data_dir);
            crash(&disk, 0);
            check(&recover_simulated(&disk).unwrap(), &history);
        }
    }
}

#[test]
fn what_comes_behind_the_snapshot_on_the_connection_is_not_taken() {
    let zxid = Zxid::from_raw(40);
    let mut leader = leader(zxid);
    let mut bytes = stream(&mut leader.tree, |_| ());
    let length = bytes.len();
    bytes.extend_from_slice(b"the next packet");
    for cut in 0..=length {
        let disk = SimulatedDisk::new();
        let data_dir = open(&disk, DIR).unwrap();
        let mut receiving =
            data_dir.start_receiving(zxid, Compression::None, tree_options()).unwrap();
        let first = receiving.take(&bytes[..cut]).unwrap();
        if cut == length {
            assert_eq!(first, Received::Whole { taken: length });
        } else {
            assert_eq!(first, Received::More);
            let rest = receiving.take(&bytes[cut..]).unwrap();
            assert_eq!(rest, Received::Whole { taken: length - cut });
        }
        assert_eq!(receiving.take(b"more").unwrap(), Received::Whole { taken: 0 });
        if cut % 97 == 0 {
            assert_eq!(receiving.finish().unwrap().zxid(), zxid);
        }
    }
}

/// The leader goes on while it sends: the tree holds parts of what comes after its zxid, and the log
/// brings them again.
#[test]
fn fuzzy_snapshot_and_the_log_behind_it_lead_to_the_leaders_state() {
    let zxid = Zxid::from_raw(40);
    let mut leader = leader(zxid);
    let mut later = leader.at(zxid);
    let batch = later.batch(12, 60);
    let transactions: Vec<_> = batch.proposals().map(|p| p.payload().to_vec()).collect();
    let mut next = transactions.iter();
    let bytes = stream(&mut leader.tree, |tree| {
        if let Some(payload) = next.next() {
            let (header, txn, _) = wire::stored::decode_txn(payload).unwrap();
            tree.apply(&header, &txn, &mut |_| {});
        }
    });
    assert!(next.len() < transactions.len(), "the leader went on");
    let disk = SimulatedDisk::new();
    let Running { data_dir, log, .. } = run(&disk);
    let received = receive(&data_dir, zxid, Compression::Snappy, &bytes, 64).unwrap();
    let (mut log, _) = data_dir.install(log, received).unwrap();
    log.append(&batch).unwrap();
    log.sync().unwrap();
    drop(data_dir);
    crash(&disk, 0);
    let recovered = recover_simulated(&disk).unwrap();
    assert_eq!(recovered.origin, Origin::Snapshot(zxid));
    check(&recovered, &later);
}

fn damage(result: Result<ReceivedSnapshot<SimulatedDisk>, Error>) -> SnapshotDamage {
    match result {
        Err(Error::ReceivedSnapshot { damage, .. }) => damage,
        other => panic!("{other:?}"),
    }
}

#[test]
fn stream_that_ends_anywhere_leaves_the_database_untouched() {
    let zxid = Zxid::from_raw(40);
    let bytes = stream(&mut leader(zxid).tree, |_| ());
    let disk = SimulatedDisk::new();
    let Running { data_dir, log, history } = run(&disk);
    let before = disk.list(file("").as_path()).unwrap();
    for cut in 0..bytes.len() {
        let result = receive(&data_dir, zxid, Compression::None, &bytes[..cut], 1000);
        assert!(matches!(damage(result), SnapshotDamage::Unfinished), "cut at {cut}");
    }
    assert_eq!(disk.list(file("").as_path()).unwrap(), before);
    log.close().unwrap();
    drop(data_dir);
    check(&recover_simulated(&disk).unwrap(), &history);
}

#[test]
fn stream_that_is_no_snapshot_is_refused_as_soon_as_that_shows() {
    let zxid = Zxid::from_raw(40);
    let good = stream(&mut leader(zxid).tree, |_| ());
    let signature = good.len() - 14;
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let disk = SimulatedDisk::new();
    let Running { data_dir, log, history } = run(&disk);
    let before = disk.list(file("").as_path()).unwrap();
    let refused = |bytes: &[u8]| damage(receive(&data_dir, zxid, Compression::None, bytes, 10));
    let other_signature = refused(&changed(signature + 5, b'x'));
    assert!(matches!(other_signature, SnapshotDamage::Undecodable { .. }));
    let endless_signature = refused(&changed(signature, 0x10)[..signature + 4]);
    assert!(matches!(endless_signature, SnapshotDamage::Undecodable { .. }));
    let first_znode = good.windows(8).position(|eight| eight == [0; 8]).unwrap();
    let endless_path = refused(&changed(first_znode, 0x70));
    assert!(matches!(
        endless_path,
        SnapshotDamage::Undecodable { .. } | SnapshotDamage::Unfinished
    ));
    let second = good.windows(2).position(|two| two == b"/n").unwrap();
    let orphan = refused(&changed(second + 1, b'/'));
    assert!(matches!(orphan, SnapshotDamage::NoTree(_)), "{orphan}");
    assert_eq!(disk.list(file("").as_path()).unwrap(), before);
    log.close().unwrap();
    drop(data_dir);
    check(&recover_simulated(&disk).unwrap(), &history);
}

/// What is in the way of a leader's snapshot.
#[derive(Clone, Copy, Debug)]
enum Found {
    /// The old history, to 27.
    Plain,
    /// The same, with a snapshot of the leader's zxid in another packing.
    SameName,
    /// The same, with a snapshot at its end.
    SnapshotAtEnd,
    /// The same, whose only snapshot is at its end.
    OnlySnapshotAtEnd,
}

fn prepare(disk: &SimulatedDisk, found: Found, zxid: Zxid) -> Running {
    let mut running = run(disk);
    let Running { data_dir, log, history } = &mut running;
    match found {
        Found::Plain => {}
        Found::SameName => {
            log.sync().unwrap();
            let writer = data_dir.start_snapshot(zxid, Compression::Snappy).unwrap();
            write_tree(writer, &mut history.prefix(zxid)).unwrap();
        }
        Found::SnapshotAtEnd | Found::OnlySnapshotAtEnd => {
            log.sync().unwrap();
            let writer = data_dir.start_snapshot(history.last(), Compression::None).unwrap();
            write_tree(writer, &mut history.tree).unwrap();
        }
    }
    if matches!(found, Found::OnlySnapshotAtEnd) {
        for name in ["snapshot.0", "snapshot.8.gz", "snapshot.10.gz"] {
            disk.unlink(&file(name)).unwrap();
        }
        disk.sync_dir(file("").as_path()).unwrap();
    }
    running
}

/// Goes on in a new epoch, whose first transaction may follow anything, and lets the newest snapshot
/// rot: what an interrupted installation has left must not be taken for what came before.
fn check_never_mixed(disk: &SimulatedDisk, tree: Tree) {
    let data_dir = open(disk, DIR).unwrap();
    let mut history = History::after(tree);
    let last = data_dir.recover(&options()).unwrap().last_logged;
    assert_eq!(last, history.last());
    history.start_epoch(last.epoch().0 + 1);
    let mut log = data_dir.log(small_steps(), last).unwrap();
    log.append(&history.batch(3, 50)).unwrap();
    log.close().unwrap();
    let synced = history.last();
    for after in 0..=30 {
        let Some(mut read) = data_dir.history(Zxid::from_raw(after), synced).unwrap() else {
            continue;
        };
        match read.next_batch(1 << 20) {
            Ok(Some(batch)) => assert_eq!(batch.count() as i64, last.raw() - after + 3),
            Ok(None) => panic!("there is more behind {after}"),
            Err(error) => assert!(matches!(error, Error::Gap { .. }), "{error}"),
        }
    }
    drop(data_dir);
    let names = disk.list(file("").as_path()).unwrap();
    let zxid = |name: &String| i64::from_str_radix(name.split('.').nth(1)?, 16).ok();
    let newest = names.iter().filter(|name| name.starts_with("snapshot")).max_by_key(|it| zxid(it));
    disk.flip_bit(&file(newest.unwrap()), 70, 0).unwrap();
    if let Ok(recovered) = recover_simulated(disk) {
        assert_eq!(recovered.tree.difference(&history.tree), None);
    }
}

/// Whatever a crash or a failure interrupts, a start finds the old history, or what is left of it
/// while it is cut, or the new one; once the installation is over, the new one. With the new one it knows
/// that the leader may have applied more to it.
#[test]
fn crash_or_failure_at_any_operation_leaves_the_old_history_or_the_new_one() {
    let cases = [
        (Found::Plain, Zxid::from_raw(40)),
        (Found::Plain, Zxid::from_raw(0x2_0000_0003)),
        (Found::Plain, Zxid::from_raw(14)),
        (Found::Plain, Zxid::from_raw(18)),
        (Found::SameName, Zxid::from_raw(14)),
        (Found::SnapshotAtEnd, Zxid::from_raw(20)),
        (Found::SnapshotAtEnd, Zxid::from_raw(27)),
        (Found::OnlySnapshotAtEnd, Zxid::from_raw(18)),
    ];
    let (mut olds, mut news, mut failures) = (0, 0, 0);
    for (case, zxid) in cases {
        let mut leader = leader(zxid);
        let bytes = stream(&mut leader.tree, |_| ());
        for operation in Operation::ALL {
            for after in 0.. {
                let disk = SimulatedDisk::new();
                let Running { data_dir, log, history } = prepare(&disk, case, zxid);
                let name_prefix = String::new();
                let kind = FaultKind::NoSpace;
                disk.faults().add(Fault { operation, name_prefix, after, kind });
                let result = receive(&data_dir, zxid, Compression::None, &bytes, 500)
                    .and_then(|received| data_dir.install(log, received));
                drop(data_dir);
                let is_over = disk.faults().clear() == 1;
                if is_over {
                    result.as_ref().unwrap();
                }
                let is_installed = result.is_ok();
                drop(result);
                failures += 1;
                for seed in 0..6 {
                    let image = disk.fork();
                    if seed == 5 {
                        image.kill()
                    } else {
                        crash(&image, seed)
                    }
                    let recovered = recover_simulated(&image).unwrap();
                    let place = (case, zxid, operation, after, seed, recovered.last_logged);
                    assert_eq!(recovered.digest_mismatches, 0, "{place:?}");
                    if recovered.last_logged == zxid
                        && recovered.tree.difference(&leader.tree).is_none()
                    {
                        assert!(
                            open(&image, DIR).unwrap().is_between_states().unwrap(),
                            "{place:?}"
                        );
                        news += 1;
                    } else {
                        assert!(!is_installed, "{place:?}");
                        let old = history.prefix(recovered.last_logged);
                        assert_eq!(recovered.tree.difference(&old), None, "{place:?}");
                        assert!(recovered.last_logged >= zxid.min(Zxid::from_raw(24)), "{place:?}");
                        olds += 1;
                    }
                    let twice = recover_simulated(&image).unwrap();
                    assert_eq!(twice.tree.difference(&recovered.tree), None, "{place:?}");
                    if seed == 0 {
                        check_never_mixed(&image, recovered.tree);
                    }
                }
                if is_over {
                    break;
                }
            }
        }
    }
    assert!(failures > 200 && olds > 500 && news > 200, "{failures} {olds} {news}");
}

/// Somebody else may have gone on from the old history before the interrupted installation was noticed.
#[test]
fn installation_is_not_brought_to_an_end_over_a_newer_history() {
    let disk = SimulatedDisk::new();
    let Running { data_dir, mut log, mut history } = run(&disk);
    log.roll().unwrap();
    let writer = data_dir.start_snapshot(history.last(), Compression::None).unwrap();
    write_tree(writer, &mut history.tree).unwrap();
    log.append(&history.batch(5, 60)).unwrap();
    log.close().unwrap();
    drop(data_dir);
    let elsewhere = SimulatedDisk::new();
    let other = open(&elsewhere, DIR).unwrap();
    let mut leader = leader(Zxid::from_raw(20));
    let writer = other.start_snapshot(leader.last(), Compression::None).unwrap();
    write_tree(writer, &mut leader.tree).unwrap();
    disk.plant(&file("snapshot.14"), &elsewhere.contents(&file("snapshot.14")).unwrap());
    disk.plant(&file("installing"), b"snapshot.14");
    check(&recover_simulated(&disk).unwrap(), &history);
    let names = disk.list(file("").as_path()).unwrap();
    assert!(!names.iter().any(|name| name == "snapshot.14" || name == "installing"), "{names:?}");
    disk.flip_bit(&file("snapshot.1b"), 60, 0).unwrap();
    check(&recover_simulated(&disk).unwrap(), &history);
}

/// A snapshot that came before must not be mistaken for the state of this server when the one that
/// was installed rots: its logs are gone, or going.
#[test]
fn rotten_installed_snapshot_never_brings_back_a_part_of_the_old_history() {
    let zxid = Zxid::from_raw(40);
    let bytes = stream(&mut leader(zxid).tree, |_| ());
    let (mut refused, mut old) = (0, 0);
    for after in 0.. {
        let disk = SimulatedDisk::new();
        let Running { data_dir, log, .. } = run(&disk);
        let received = receive(&data_dir, zxid, Compression::None, &bytes, 500).unwrap();
        let (operation, name_prefix) = (Operation::Unlink, String::new());
        disk.faults().add(Fault { operation, name_prefix, after, kind: FaultKind::Io });
        let result = data_dir.install(log, received);
        drop(data_dir);
        let is_over = disk.faults().clear() == 1;
        assert_eq!(result.is_ok(), is_over);
        drop(result);
        crash(&disk, 1);
        if disk.exists(&file("snapshot.28")).unwrap() {
            disk.flip_bit(&file("snapshot.28"), 60, 0).unwrap();
        }
        match recover_simulated(&disk).map(|recovered| recovered.last_logged) {
            Ok(last_logged) => {
                assert!(last_logged >= Zxid::from_raw(24), "{after}: {last_logged}");
                old += 1;
            }
            Err(Error::NoReadableSnapshot { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        if is_over {
            break;
        }
    }
    assert!(refused > 3 && old > 0, "{refused} {old}");
}

/// ZOOKEEPER-2846: the logs of the branch that was left must not be served as the leader's history.
#[test]
fn nothing_of_the_old_branch_is_read_back_for_others() {
    let zxid = Zxid::from_raw(0x2_0000_0000);
    let mut leader = leader(Zxid::from_raw(14));
    let bytes = stream(&mut leader.tree, |_| ());
    let disk = SimulatedDisk::new();
    let Running { data_dir, log, .. } = run(&disk);
    let received = receive(&data_dir, zxid, Compression::None, &bytes, 500).unwrap();
    let (mut log, tree) = data_dir.install(log, received).unwrap();
    let mut history = History::after(tree);
    let batch = history.batch(3, 50);
    log.append(&batch).unwrap();
    let last = log.sync().unwrap().zxid();
    for is_restarted in [false, true] {
        if is_restarted {
            data_dir.recover(&options()).unwrap();
        }
        for after in 0..=27 {
            let history = data_dir.history(Zxid::from_raw(after), last).unwrap();
            assert!(history.is_none(), "{after}");
        }
        let mut history = data_dir.history(zxid, last).unwrap().unwrap();
        let found = history.next_batch(1 << 20).unwrap().unwrap();
        assert_eq!(found.as_bytes(), batch.as_bytes());
    }
}

#[test]
fn snapshot_begun_before_an_installation_can_not_be_finished_after_it() {
    let zxid = Zxid::from_raw(40);
    let bytes = stream(&mut leader(zxid).tree, |_| ());
    let disk = SimulatedDisk::new();
    let Running { data_dir, log, mut history } = run(&disk);
    let begun = data_dir.start_snapshot(history.last(), Compression::None).unwrap();
    let received = receive(&data_dir, zxid, Compression::None, &bytes, 500).unwrap();
    data_dir.install(log, received).unwrap();
    let result = write_tree(begun, &mut history.tree);
    assert!(matches!(result, Err(Error::OtherBranch { .. })), "{result:?}");
    let names = disk.list(file("").as_path()).unwrap();
    assert_eq!(names, ["between-states", "snapshot.28", "synced", "unfinished-log"]);
}

/// Both are written at the same time, after the same transaction.
#[test]
fn own_snapshot_and_a_received_one_do_not_get_in_each_others_way() {
    let disk = SimulatedDisk::new();
    let Running { data_dir, log, mut history } = run(&disk);
    let zxid = history.last();
    let mut leader = leader(zxid);
    let bytes = stream(&mut leader.tree, |_| ());
    let own = data_dir.start_snapshot(zxid, Compression::None).unwrap();
    let received = receive(&data_dir, zxid, Compression::None, &bytes, 500).unwrap();
    write_tree(own, &mut history.tree).unwrap();
    data_dir.install(log, received).unwrap();
    assert_eq!(
        disk.list(file("").as_path()).unwrap(),
        ["between-states", "snapshot.1b", "synced", "unfinished-log"]
    );
    drop(data_dir);
    check(&recover_simulated(&disk).unwrap(), &leader);
}

#[test]
fn nothing_is_taken_after_a_stream_that_broke() {
    let zxid = Zxid::from_raw(40);
    let good = stream(&mut leader(zxid).tree, |_| ());
    let second = good.windows(2).position(|two| two == b"/n").unwrap();
    let mut broken = good.clone();
    broken[second + 1] = b'/';
    let data_dir = open(&SimulatedDisk::new(), DIR).unwrap();
    let mut receiving = data_dir.start_receiving(zxid, Compression::None, tree_options()).unwrap();
    assert!(matches!(receiving.take(&broken), Err(Error::ReceivedSnapshot { .. })));
    assert!(matches!(receiving.take(&good), Err(Error::ReceivedSnapshot { .. })));
    assert!(matches!(receiving.finish(), Err(Error::ReceivedSnapshot { .. })));
}

#[test]
fn log_that_failed_is_not_gone_on_with() {
    let zxid = Zxid::from_raw(40);
    let bytes = stream(&mut leader(zxid).tree, |_| ());
    let disk = SimulatedDisk::new();
    let Running { data_dir, mut log, history } = run(&disk);
    let (operation, name_prefix) = (Operation::Sync, "log.".to_owned());
    let kind = FaultKind::PagesDropped;
    disk.faults().add(Fault { operation, name_prefix, after: 0, kind });
    assert!(log.sync().is_err());
    let received = receive(&data_dir, zxid, Compression::None, &bytes, 500).unwrap();
    let result = data_dir.install(log, received);
    assert!(matches!(result, Err(Error::Poisoned)), "{:?}", result.map(drop));
    drop(data_dir);
    crash(&disk, 0);
    let recovered = recover_simulated(&disk).unwrap();
    assert_eq!(recovered.last_logged, Zxid::from_raw(24));
    assert_eq!(recovered.tree.difference(&history.prefix(recovered.last_logged)), None);
}

#[test]
fn snapshot_is_installed_on_real_files() {
    let dir = tempfile::tempdir().unwrap();
    let zxid = Zxid::from_raw(40);
    let mut leader = leader(zxid);
    let bytes = stream(&mut leader.tree, |_| ());
    let data_dir = open(&RealDisk, dir.path()).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    let mut log = data_dir.log(LogOptions::default(), recovered.last_logged).unwrap();
    log.append(&History::after(recovered.tree).batch(5, 100)).unwrap();
    log.sync().unwrap();
    let received = receive(&data_dir, zxid, Compression::Gzip, &bytes, 4096).unwrap();
    let (mut log, _) = data_dir.install(log, received).unwrap();
    let mut history = leader.at(zxid);
    log.append(&history.batch(2, 100)).unwrap();
    log.close().unwrap();
    assert_eq!(
        RealDisk.list(&dir.path().join("version-2")).unwrap(),
        ["between-states", "lock", "log.29", "snapshot.28.gz", "synced"]
    );
    check(&data_dir.recover(&options()).unwrap(), &history);
}

#[test]
fn snapshot_of_an_apache_leader_is_installed() {
    // Behind the first byte, which is for the fuzz target.
    let stream = &include_bytes!("../../../fuzz/seeds/received_snapshot/apache")[1..];
    let zxid = Zxid::from_raw(0x1_0000_0003);
    for piece_bytes in [1, 64, stream.len()] {
        let disk = SimulatedDisk::new();
        let Running { data_dir, log, .. } = run(&disk);
        let received = receive(&data_dir, zxid, Compression::None, stream, piece_bytes).unwrap();
        let (_log, tree) = data_dir.install(log, received).unwrap();
        assert!(tree.find("/zookeeper/quota").is_some());
        assert_eq!(tree.digest(), Some(tree.recomputed_digest()));
        let recovered = data_dir.recover(&options()).unwrap();
        assert_eq!(recovered.last_logged, zxid);
        assert_eq!(recovered.tree.difference(&tree), None);
    }
}

#[test]
fn receiving_may_move_from_thread_to_thread() {
    fn can_move<T: Send>() {}
    can_move::<ReceivingSnapshot<RealDisk>>();
    can_move::<ReceivedSnapshot<RealDisk>>();
}
