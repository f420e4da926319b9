//! A history to write and the tree it should lead to.

#![allow(dead_code, reason = "each test file uses another part")]

use std::path::{Path, PathBuf};

use storage::{
    DataDir, Directories, Disk, EmptyDatabase, Error, MissingDirectory, RecoverOptions, Recovered,
    SimulatedDisk, WithoutSnapshot,
};
use tree::Tree;
use types::{
    AclList, CreateCall, CreateTxn, ExtendedTypes, SessionId, Txn, TxnDigest, TxnHeader, Xid, Zxid,
};
use wire::stored::LogBatch;

/// Where simulated servers keep their files.
pub(crate) const DIR: &str = "/data";

pub(crate) fn options() -> RecoverOptions {
    RecoverOptions {
        tree: tree_options(),
        without_snapshot: WithoutSnapshot::Refuse,
        empty: EmptyDatabase::Create,
    }
}

pub(crate) fn tree_options() -> tree::Options {
    tree::Options { extended_types: ExtendedTypes::Enabled, digest: true, hash_seed: 1 }
}

pub(crate) fn open<D: Disk>(disk: &D, dir: impl Into<PathBuf>) -> Result<DataDir<D>, Error> {
    DataDir::open(disk.clone(), Directories::shared(dir), MissingDirectory::Create)
}

/// Opens and recovers; the directory is free again afterwards.
pub(crate) fn recover<D: Disk>(disk: &D, dir: impl Into<PathBuf>) -> Result<Recovered, Error> {
    open(disk, dir)?.recover(&options())
}

pub(crate) fn recover_simulated(disk: &SimulatedDisk) -> Result<Recovered, Error> {
    recover(disk, DIR)
}

/// The path of a file in the directory of a simulated server.
pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(DIR).join("version-2").join(name)
}

/// A stream of transactions, and the state after the last one.
pub(crate) struct History {
    pub(crate) tree: Tree,
    /// All transactions since the start, for [`History::at`].
    txns: Vec<(TxnHeader, Txn)>,
    epoch_of_next: Option<i32>,
    /// Goes into the data, so that a transaction differs from a lost one of the same number.
    life: u64,
}

impl Default for History {
    fn default() -> Self {
        Self::after(Tree::new(tree_options()))
    }
}

impl History {
    /// Goes on from a recovered state.
    pub(crate) fn after(tree: Tree) -> Self {
        Self { tree, txns: Vec::new(), epoch_of_next: None, life: 0 }
    }

    /// The history up to `zxid`, and no further: what came after is lost.
    pub(crate) fn at(&self, zxid: Zxid) -> Self {
        let mut history = Self { life: self.life + 1, ..Self::default() };
        for (header, txn) in self.txns.iter().filter(|(header, _)| header.zxid <= zxid) {
            history.tree.apply(header, txn, &mut |_| {});
            history.txns.push((*header, txn.clone()));
        }
        history
    }

    /// The state after `zxid`, as it was.
    pub(crate) fn prefix(&self, zxid: Zxid) -> Tree {
        let mut tree = Tree::new(tree_options());
        for (header, txn) in self.txns.iter().filter(|(header, _)| header.zxid <= zxid) {
            tree.apply(header, txn, &mut |_| {});
        }
        tree
    }

    pub(crate) fn last(&self) -> Zxid {
        self.tree.last_applied()
    }

    /// Lets the next transaction be the first of a later epoch.
    pub(crate) fn start_epoch(&mut self, epoch: i32) {
        self.epoch_of_next = Some(epoch);
    }

    /// Adds the next transaction with data of that many bytes, of a kind that depends on its number.
    pub(crate) fn push(&mut self, batch: &mut LogBatch, data_bytes: usize) -> Zxid {
        let zxid = match self.epoch_of_next.take() {
            Some(epoch) => Zxid::from_raw((i64::from(epoch) << 32) | 1),
            None => self.last().next().expect("no epoch is used up here"),
        };
        let number = zxid.counter().0;
        let txn = self.txn(number, data_bytes);
        let header = TxnHeader {
            session: SessionId(0x0100_0000_0000_0001),
            cxid: Xid(i32::try_from(number).expect("small")),
            zxid,
            time_ms: 1_700_000_000_000 + i64::from(number),
        };
        self.tree.apply(&header, &txn, &mut |_| {});
        let tree = self.tree.digest().expect("kept up to date");
        let digest = TxnDigest { version: TxnDigest::VERSION, tree };
        let is_error = matches!(txn, Txn::Error { .. });
        batch.push(&header, &txn, Some(digest).filter(|_| !is_error));
        self.txns.push((header, txn));
        zxid
    }

    /// A batch of `count` transactions.
    pub(crate) fn batch(&mut self, count: usize, data_bytes: usize) -> LogBatch {
        let mut batch = LogBatch::new();
        for _ in 0..count {
            self.push(&mut batch, data_bytes);
        }
        batch
    }

    fn txn(&self, number: u32, data_bytes: usize) -> Txn {
        let fill = u8::try_from((u64::from(number) + 7 * self.life) % 256).expect("below 256");
        let data = Some(vec![fill; data_bytes].into_boxed_slice());
        let recent = format!("/n{}", number.saturating_sub(3));
        let path = match self.tree.find(&recent) {
            Some(_) => recent.into_boxed_str(),
            None => return create(self, &format!("/n{number}"), data),
        };
        match number % 7 {
            0 => Txn::Delete { path },
            1 => {
                let version = self.tree.find(&path).map_or(0, |node| node.stat().version + 1);
                Txn::SetData { path, data, version }
            }
            2 => Txn::Error { code: -101 },
            3 => Txn::CreateSession { timeout_ms: 30_000 },
            _ => create(self, &format!("/n{number}"), data),
        }
    }
}

fn create(history: &History, path: &str, data: Option<Box<[u8]>>) -> Txn {
    let root = history.tree.find("/").expect("always there");
    Txn::Create(CreateTxn {
        call: CreateCall::Create2,
        path: path.into(),
        data,
        acl: AclList::open(),
        ephemeral: false,
        parent_cversion: Some(root.stored_stat().cversion + 1),
        ttl_ms: None,
    })
}

/// A generator of numbers that the seed decides (SplitMix64).
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
