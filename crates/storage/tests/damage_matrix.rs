//! Every file, damaged in every way, under a standalone server and under a member: what a start makes of it.
//!
//! A cell says how far the history goes that is served or brought along, `refuses` where the server does
//! not start, and behind `no vote to` how far that of a member goes that knows that it lacks something. What is
//! less than was acknowledged, and not one of the latter two, would be a history that was cut in silence.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use std::fmt::Write as _;

use common::{DIR, Dice, History, file, open, options, recover_simulated};
use expect_test::expect;
use storage::{Compression, Disk, LogOptions, SimulatedDisk, write_tree};
use types::{Epoch, Memory, Zxid};

/// Where the history ends that was acknowledged.
const END: i64 = 30;

/// The files that there are then. Those of epochs are numbers without a checksum: see `epochs.rs`.
const FILES: [&str; 6] = ["log.1", "log.b", "log.15", "snapshot.0", "snapshot.a", "synced"];

/// What is done to the bytes of a file, which also gets those that it had earlier; `None` removes it.
type Damage = fn(Vec<u8>, Vec<u8>) -> Option<Vec<u8>>;

/// The ways in which a file is damaged.
const DAMAGES: [(&str, Damage); 9] = [
    ("bit in the header", |bytes, _| flipped(bytes, 2)),
    ("bit in the middle", |bytes, _| {
        let middle = bytes.len() / 4;
        flipped(bytes, middle)
    }),
    ("zeros", |bytes, _| overwritten(bytes, |_| 0)),
    ("garbage", |bytes, _| {
        let mut dice = Dice(1);
        overwritten(bytes, |_| u8::try_from(dice.below(256)).unwrap())
    }),
    ("block twice", |bytes, _| {
        let copy = bytes.clone();
        overwritten(bytes, |at| copy[at / 2])
    }),
    ("cut", |mut bytes, _| {
        bytes.truncate(bytes.len() / 4);
        Some(bytes)
    }),
    ("empty", |_, _| Some(Vec::new())),
    ("older", |_, older| (!older.is_empty()).then_some(older)),
    ("gone", |_, _| None),
];

fn flipped(mut bytes: Vec<u8>, at: usize) -> Option<Vec<u8>> {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 8;
    }
    Some(bytes)
}

/// With other bytes from the first quarter to the half.
fn overwritten(mut bytes: Vec<u8>, mut byte: impl FnMut(usize) -> u8) -> Option<Vec<u8>> {
    for at in bytes.len() / 4..bytes.len() / 2 {
        bytes[at] = byte(at);
    }
    Some(bytes)
}

/// Thirty transactions in logs from 1, 11 and 21 on, snapshots at 0 and at 10, all acknowledged; and the disk as it
/// was five transactions before the end.
fn populate(disk: &SimulatedDisk) -> (History, SimulatedDisk) {
    let data_dir = open(disk, DIR).unwrap();
    let recovered = data_dir.recover(&options()).unwrap();
    data_dir.store_accepted_epoch(Epoch(1)).unwrap();
    let small_steps = LogOptions { space_step_bytes: 512, ..LogOptions::default() };
    let mut log = data_dir.log(small_steps, recovered.last_logged).unwrap();
    let mut history = History::default();
    let mut earlier = None;
    for part in 0..6 {
        if part == 5 {
            earlier = Some(disk.fork());
        }
        log.append(&history.batch(5, 60)).unwrap();
        if part % 2 == 1 {
            log.roll().unwrap();
        }
        if history.last() == Zxid::from_raw(10) {
            let writer = data_dir.start_snapshot(history.last(), Compression::None).unwrap();
            write_tree(writer, &mut history.tree).unwrap();
        }
    }
    log.close().unwrap();
    drop(data_dir);
    disk.kill();
    (history, earlier.unwrap())
}

/// What a standalone server makes of it.
fn alone(disk: &SimulatedDisk, history: &History) -> String {
    let Ok(recovered) = recover_simulated(disk) else { return "refuses".to_owned() };
    assert_eq!(recovered.tree.difference(&history.prefix(recovered.last_logged)), None);
    recovered.last_logged.raw().to_string()
}

/// What a member makes of it.
fn member(disk: &SimulatedDisk, history: &History) -> String {
    let data_dir = open(disk, DIR).unwrap();
    let Ok(found) = data_dir.recover_member(&options()) else { return "refuses".to_owned() };
    let last = found.recovered.last_logged;
    assert_eq!(found.recovered.tree.difference(&history.prefix(last)), None);
    let Ok(epochs) = data_dir.epochs(last) else { return "refuses".to_owned() };
    let is_whole = epochs.memory == Memory::Whole;
    assert_eq!(is_whole, found.loss.is_none());
    format!("{}{}", if is_whole { "" } else { "no vote to " }, last.raw())
}

#[test]
fn no_damage_of_any_file_shortens_a_history_in_silence() {
    let disk = SimulatedDisk::new();
    let (history, earlier) = populate(&disk);
    let mut table = String::new();
    for name in FILES {
        let bytes = disk.contents(&file(name)).unwrap();
        let older = earlier.contents(&file(name)).unwrap_or_default();
        for (what, damage) in DAMAGES {
            let cells = [alone, member].map(|role| {
                let disk = disk.fork();
                match damage(bytes.clone(), older.clone()) {
                    Some(damaged) => disk.plant(&file(name), &damaged),
                    None => disk.unlink(&file(name)).unwrap(),
                }
                let cell = role(&disk, &history);
                let is_safe = cell == END.to_string() || cell.starts_with(['r', 'n']);
                assert!(is_safe, "{name}, {what}: {cell}");
                cell
            });
            writeln!(table, "{name:<12} {what:<18} {:<10} {}", cells[0], cells[1]).unwrap();
        }
    }
    expect![[r#"
        log.1        bit in the header  30         30
        log.1        bit in the middle  30         30
        log.1        zeros              30         30
        log.1        garbage            30         30
        log.1        block twice        30         30
        log.1        cut                30         30
        log.1        empty              30         30
        log.1        older              30         30
        log.1        gone               30         30
        log.b        bit in the header  refuses    no vote to 10
        log.b        bit in the middle  refuses    no vote to 12
        log.b        zeros              refuses    no vote to 12
        log.b        garbage            refuses    no vote to 12
        log.b        block twice        refuses    no vote to 12
        log.b        cut                refuses    no vote to 12
        log.b        empty              refuses    no vote to 10
        log.b        older              30         30
        log.b        gone               refuses    no vote to 10
        log.15       bit in the header  refuses    no vote to 20
        log.15       bit in the middle  refuses    no vote to 23
        log.15       zeros              refuses    no vote to 23
        log.15       garbage            refuses    no vote to 23
        log.15       block twice        refuses    no vote to 23
        log.15       cut                refuses    no vote to 23
        log.15       empty              refuses    no vote to 20
        log.15       older              refuses    no vote to 25
        log.15       gone               refuses    no vote to 20
        snapshot.0   bit in the header  30         30
        snapshot.0   bit in the middle  30         30
        snapshot.0   zeros              30         30
        snapshot.0   garbage            30         30
        snapshot.0   block twice        30         30
        snapshot.0   cut                30         30
        snapshot.0   empty              30         30
        snapshot.0   older              30         30
        snapshot.0   gone               30         30
        snapshot.a   bit in the header  30         30
        snapshot.a   bit in the middle  30         30
        snapshot.a   zeros              30         30
        snapshot.a   garbage            30         30
        snapshot.a   block twice        30         30
        snapshot.a   cut                30         30
        snapshot.a   empty              30         30
        snapshot.a   older              30         30
        snapshot.a   gone               30         30
        synced       bit in the header  30         30
        synced       bit in the middle  30         30
        synced       zeros              30         30
        synced       garbage            30         30
        synced       block twice        30         30
        synced       cut                30         30
        synced       empty              30         30
        synced       older              30         30
        synced       gone               30         30
    "#]]
    .assert_eq(&table);
}
