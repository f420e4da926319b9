//! The example bytes in `docs/formats` are what is written.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which the lint does not tell from others"
)]

mod common;

use common::{DIR, file, open, options, tree_options};
use storage::{Compression, LogOptions, SimulatedDisk, write_tree};
use tree::Tree;
use types::{SessionId, Txn, TxnDigest, TxnHeader, Xid, Zxid};
use wire::stored::LogBatch;

/// The bytes of the blocks of a page that are marked as `hex`: on each line, everything before two
/// spaces that follow the bytes.
fn example(page: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for block in page.split("```hex\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            let digits = line.split("  ").next().unwrap().replace(' ', "");
            for pair in digits.as_bytes().chunks(2) {
                bytes.push(u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
            }
        }
    }
    bytes
}

/// The first transaction of a new database: a session is opened.
fn open_session(tree: &mut Tree) -> LogBatch {
    let header = TxnHeader {
        session: SessionId(0x0100_0000_0000_0001),
        cxid: Xid(0),
        zxid: Zxid::from_raw(1),
        time_ms: 1_700_000_000_000,
    };
    let txn = Txn::CreateSession { timeout_ms: 30_000 };
    tree.apply(&header, &txn, &mut |_| {});
    let digest = TxnDigest { version: TxnDigest::VERSION, tree: tree.digest().unwrap() };
    let mut batch = LogBatch::new();
    batch.push(&header, &txn, Some(digest));
    batch
}

fn check(written: &[u8], page: &str) {
    let hex = |bytes: &[u8]| -> Vec<String> {
        bytes
            .chunks(16)
            .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect())
            .collect()
    };
    assert_eq!(hex(written), hex(&example(page)));
}

#[test]
fn page_on_logs_shows_what_is_written() {
    let disk = SimulatedDisk::new();
    let data_dir = open(&disk, DIR).unwrap();
    let mut tree = data_dir.recover(&options()).unwrap().tree;
    let options = LogOptions { space_step_bytes: 0, ..LogOptions::default() };
    let mut log = data_dir.log(options, Zxid::ZERO).unwrap();
    log.append(&open_session(&mut tree)).unwrap();
    log.close().unwrap();
    let written = [disk.contents(&file("log.1")).unwrap(), disk.contents(&file("synced")).unwrap()];
    check(&written.concat(), include_str!("../../../docs/formats/log.md"));
}

#[test]
fn page_on_snapshots_shows_what_is_written() {
    let disk = SimulatedDisk::new();
    let data_dir = open(&disk, DIR).unwrap();
    let mut tree = Tree::new(tree_options());
    open_session(&mut tree);
    let writer = data_dir.start_snapshot(Zxid::from_raw(1), Compression::None).unwrap();
    write_tree(writer, &mut tree).unwrap();
    let written = disk.contents(&file("snapshot.1")).unwrap();
    check(&written, include_str!("../../../docs/formats/snapshot.md"));
}
