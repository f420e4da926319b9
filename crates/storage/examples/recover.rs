//! How fast a large database is written to a snapshot and recovered.
//!
//! ```text
//! cargo run --release -p storage --example recover -- DIRECTORY [ZNODES]
//! ```
//!
//! Fills DIRECTORY (if it is empty) with a snapshot of so many znodes of 100 bytes and a log of a tenth as
//! many changes, then recovers from both.

use std::time::Instant;

use storage::{
    Compression, DataDir, Directories, EmptyDatabase, Error, LogOptions, MissingDirectory,
    RealDisk, RecoverOptions, WithoutSnapshot, write_tree,
};
use types::{
    AclList, CreateCall, CreateTxn, ExtendedTypes, SessionId, Txn, TxnDigest, TxnHeader, Xid, Zxid,
};
use wire::stored::LogBatch;

const DATA_BYTES: usize = 100;
const GROUP: u32 = 1000;

fn main() -> Result<(), Error> {
    let mut words = std::env::args().skip(1);
    let directory = words.next().unwrap_or_else(|| "recover-example".to_owned());
    let znodes = words.next().and_then(|word| word.parse().ok()).unwrap_or(1_000_000);
    let directories = Directories::shared(directory);
    let data_dir = DataDir::open(RealDisk, directories, MissingDirectory::Create)?;
    let tree =
        tree::Options { extended_types: ExtendedTypes::Disabled, digest: true, hash_seed: 7 };
    let (without_snapshot, empty) = (WithoutSnapshot::Refuse, EmptyDatabase::Create);
    let options = RecoverOptions { tree, without_snapshot, empty };

    let start = Instant::now();
    let recovered = data_dir.recover(&options)?;
    eprintln!(
        "recovered {} znodes in {:?}, {} transactions replayed, {} digests differ",
        recovered.tree.node_count(),
        start.elapsed(),
        recovered.txns_replayed,
        recovered.digest_mismatches,
    );
    if recovered.last_logged != Zxid::ZERO {
        return Ok(());
    }
    let mut log = data_dir.log(LogOptions::default(), recovered.last_logged)?;
    let mut tree = recovered.tree;
    let mut batch = LogBatch::new();
    for number in 1..=znodes + znodes / 10 {
        let header = TxnHeader {
            session: SessionId(1),
            cxid: Xid(0),
            zxid: Zxid::from_raw(number.into()),
            time_ms: 1_700_000_000_000,
        };
        let txn = change(number, znodes);
        tree.apply(&header, &txn, &mut |_| {});
        let digest = tree.digest().map(|tree| TxnDigest { version: TxnDigest::VERSION, tree });
        batch.push(&header, &txn, digest);
        if number % GROUP == 0 {
            log.append(&batch)?;
            log.sync()?;
            batch.clear();
        }
        if number == znodes {
            log.roll()?;
            let start = Instant::now();
            let writer = data_dir.start_snapshot(header.zxid, Compression::None)?;
            let written = write_tree(writer, &mut tree)?;
            eprintln!("snapshot of {} bytes in {:?}", written.bytes, start.elapsed());
        }
    }
    log.append(&batch)?;
    log.close()?;
    Ok(())
}

/// Creations, in directories of a thousand; then new data for some.
fn change(number: u32, znodes: u32) -> Txn {
    let data = Some(vec![b'x'; DATA_BYTES].into_boxed_slice());
    let path_of = |number: u32| match number % GROUP {
        1 => format!("/d{}", number / GROUP),
        _ => format!("/d{}/n{number:07}", (number - 1) / GROUP),
    };
    if number > znodes {
        return Txn::SetData { path: path_of(number - znodes).into(), data, version: 1 };
    }
    Txn::Create(CreateTxn {
        call: CreateCall::Create,
        path: path_of(number).into(),
        data,
        acl: AclList::open(),
        ephemeral: false,
        parent_cversion: None,
        ttl_ms: None,
    })
}
