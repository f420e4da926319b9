//! Single rules, each told by an example.

mod loading;
mod lookups;
mod quotas;
mod reaping;
mod replay;
mod sessions;
mod vectors;

use tree::{Applied, Options, Tree};
use types::{
    AclList, CreateCall, CreateTxn, ExtendedTypes, SessionId, Stat, Txn, TxnHeader, Xid, Zxid,
};

/// How all trees here are made.
const OPTIONS: Options =
    Options { extended_types: ExtendedTypes::Enabled, digest: true, hash_seed: 7 };

/// The session of every header.
const SESSION: SessionId = SessionId(0x0100_0000_0000_0001);

/// The header of transaction `zxid`, made that many milliseconds after a fixed time.
fn header(zxid: i64) -> TxnHeader {
    TxnHeader {
        session: SESSION,
        cxid: Xid(1),
        zxid: Zxid::from_raw(zxid),
        time_ms: 1_700_000_000_000 + zxid,
    }
}

/// Applies a transaction without watchers.
fn apply(tree: &mut Tree, zxid: i64, txn: &Txn) -> Applied {
    let applied = tree.apply(&header(zxid), txn, &mut |_| {});
    assert_eq!(tree.digest(), Some(tree.recomputed_digest()));
    applied
}

/// A creation of a persistent, open znode, to be changed where a test differs.
fn creation(path: &str, data: &[u8], parent_cversion: i32) -> CreateTxn {
    CreateTxn {
        call: CreateCall::Create,
        path: path.into(),
        data: Some(data.into()),
        acl: AclList::open(),
        ephemeral: false,
        parent_cversion: Some(parent_cversion),
        ttl_ms: None,
    }
}

fn create(path: &str, data: &[u8], parent_cversion: i32) -> Txn {
    Txn::Create(creation(path, data, parent_cversion))
}

fn create_ephemeral(path: &str, parent_cversion: i32) -> Txn {
    Txn::Create(CreateTxn { ephemeral: true, ..creation(path, b"", parent_cversion) })
}

fn delete(path: &str) -> Txn {
    Txn::Delete { path: path.into() }
}

fn set(path: &str, data: &[u8], version: i32) -> Txn {
    Txn::SetData { path: path.into(), data: Some(data.into()), version }
}

fn stat(tree: &Tree, path: &str) -> Stat {
    tree.find(path).unwrap_or_else(|| panic!("{path} is missing")).stat()
}
