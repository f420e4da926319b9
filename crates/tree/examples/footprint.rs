//! Measures what a million znodes cost: bytes of memory each, and time of the common operations.
//!
//! ```text
//! cargo run --release -p tree --example footprint [ZNODES]
//! ```

#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]
#![expect(clippy::disallowed_methods, reason = "measuring needs the clock")]

use std::time::Instant;

use tree::{Options, SliceEnd, Tree, TreeLoader};
use types::{
    AclList, CreateCall, CreateTxn, ExtendedTypes, SessionId, StoredStat, Txn, TxnHeader, Xid, Zxid,
};

const DATA_BYTES: usize = 100;
const CHILDREN_PER_PARENT: usize = 1000;

const OPTIONS: Options =
    Options { extended_types: ExtendedTypes::Enabled, digest: true, hash_seed: 0x5eed };

fn main() {
    let znodes = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let paths: Vec<String> = (0..znodes).map(path).collect();
    let before = resident_bytes();
    let mut tree = Tree::new(OPTIONS);
    let data: Box<[u8]> = vec![b'x'; DATA_BYTES].into();

    measure("create", znodes, || {
        for (at, path) in paths.iter().enumerate() {
            let txn = Txn::Create(CreateTxn {
                call: CreateCall::Create,
                path: path.as_str().into(),
                data: Some(data.clone()),
                acl: AclList::open(),
                ephemeral: false,
                parent_cversion: None,
                ttl_ms: None,
            });
            tree.apply(&header(at), &txn, &mut |_| {});
        }
    });
    assert_eq!(tree.node_count(), znodes + 4);
    println!("{:>8} B per znode", (resident_bytes() - before) / znodes);

    let scattered = |at: usize| &paths[at * 7_919 % znodes];
    measure("find, in order", znodes, || {
        for path in &paths {
            assert!(tree.find(path).is_some());
        }
    });
    measure("find, scattered", znodes, || {
        for at in 0..znodes {
            assert!(tree.find(scattered(at)).is_some());
        }
    });
    measure("set", znodes, || {
        for at in 0..znodes {
            let path = scattered(at).as_str().into();
            let txn = Txn::SetData { path, data: Some(data.clone()), version: 1 };
            tree.apply(&header(znodes + at), &txn, &mut |_| {});
        }
    });

    let mut snapshot = Snapshot::default();
    measure("snapshot, in slices of 64 KiB", znodes, || {
        tree.begin_snapshot();
        let mut emit = |path: &str, data: Option<&[u8]>, acl_id, stat: &StoredStat| {
            snapshot.push(path, data.unwrap_or_default(), acl_id, *stat);
        };
        while tree.snapshot_slice(64 * 1024, &mut emit) == SliceEnd::More {}
    });
    measure("load", znodes, || {
        let loaded = snapshot.load(tree.last_applied());
        assert_eq!(loaded.digest(), tree.digest());
        // Taking it down again is not part of a start.
        std::mem::forget(loaded);
    });
    measure("delete", znodes, || {
        for at in 0..znodes {
            let txn = Txn::Delete { path: scattered(at).as_str().into() };
            tree.apply(&header(2 * znodes + at), &txn, &mut |_| {});
        }
    });
    println!("{:>8} znodes left", tree.node_count());
}

/// Znodes as a file would have them: one run of bytes.
#[derive(Default)]
struct Snapshot {
    bytes: Vec<u8>,
    nodes: Vec<(usize, usize, i64, StoredStat)>,
}

impl Snapshot {
    fn push(&mut self, path: &str, data: &[u8], acl_id: i64, stat: StoredStat) {
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.extend_from_slice(data);
        self.nodes.push((path.len(), data.len(), acl_id, stat));
    }

    fn load(&self, zxid: Zxid) -> Tree {
        let mut loader = TreeLoader::new(OPTIONS);
        let mut bytes = &self.bytes[..];
        for &(path_bytes, data_bytes, acl_id, stat) in &self.nodes {
            let (path, rest) = bytes.split_at(path_bytes);
            let (data, rest) = rest.split_at(data_bytes);
            bytes = rest;
            let path = std::str::from_utf8(path).expect("it was text");
            loader.node(path, Some(data), acl_id, &stat).expect("it came from a tree");
        }
        loader.finish(zxid).expect("it came from a tree")
    }
}

/// A thousand children to a parent, as services tend to have it; the parents come first.
fn path(at: usize) -> String {
    let (parent, child) = (at / CHILDREN_PER_PARENT, at % CHILDREN_PER_PARENT);
    if child == 0 { format!("/p{parent}") } else { format!("/p{parent}/node-{child}") }
}

fn header(at: usize) -> TxnHeader {
    let at = i64::try_from(at).expect("a small number");
    let session = SessionId(1);
    TxnHeader { session, cxid: Xid(0), zxid: Zxid::from_raw(at + 1), time_ms: at }
}

fn measure(what: &str, times: usize, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    let elapsed = start.elapsed();
    println!("{:>8} ns  {what}  ({elapsed:.3?} in all)", elapsed.as_nanos() / times as u128);
}

/// The process's resident memory.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number of pages") * 4096
}
