//! Whole files of `storage`: whatever a log or a snapshot holds, recovery ends with a history that can
//! be gone on with, or with an error; never with a panic, and never with two different answers.

use storage::{
    DataDir, Directories, EmptyDatabase, Error, LogOptions, MissingDirectory, RecoverOptions,
    Recovered, SimulatedDisk, WithoutSnapshot,
};
use types::{ExtendedTypes, SessionId, Txn, TxnHeader, Xid, Zxid};
use wire::stored::LogBatch;

const DIR: &str = "/data";

/// The only log of a database.
pub fn log_file(input: &[u8]) {
    let disk = SimulatedDisk::new();
    recover(&disk).map(drop).expect("an empty disk");
    disk.plant("/data/version-2/log.1".as_ref(), input);
    let Ok(recovered) = recover(&disk) else { return };
    let again = recover(&disk).expect("it was recovered before");
    assert_eq!(again.trimmed, None);
    assert_eq!(again.tree.difference(&recovered.tree), None);

    let Some(next) = recovered.last_logged.next() else { return };
    append(&disk, recovered.last_logged, next);
    assert_eq!(recover(&disk).expect("it was recovered before").last_logged, next);
}

/// The newest snapshot of a database, in each packing.
pub fn snapshot_file(input: &[u8]) {
    for suffix in ["", ".gz", ".snappy"] {
        let disk = SimulatedDisk::new();
        recover(&disk).map(drop).expect("an empty disk");
        let path = format!("/data/version-2/snapshot.5{suffix}");
        disk.plant(path.as_ref(), input);
        let recovered = recover(&disk).expect("there is an older one");
        let tree = &recovered.tree;
        assert_eq!(tree.digest(), Some(tree.recomputed_digest()));
        let taken = recovered.last_logged == Zxid::from_raw(5);
        assert_eq!(recovered.unreadable_snapshots.is_empty(), taken);
    }
}

fn open(disk: &SimulatedDisk) -> Result<DataDir<SimulatedDisk>, Error> {
    DataDir::open(disk.clone(), Directories::shared(DIR), MissingDirectory::Create)
}

fn recover(disk: &SimulatedDisk) -> Result<Recovered, Error> {
    let extended_types = ExtendedTypes::Enabled;
    open(disk)?.recover(&RecoverOptions {
        tree: tree::Options { extended_types, digest: true, hash_seed: 1 },
        without_snapshot: WithoutSnapshot::Refuse,
        empty: EmptyDatabase::Create,
    })
}

fn append(disk: &SimulatedDisk, last: Zxid, next: Zxid) {
    let header = TxnHeader { session: SessionId(1), cxid: Xid(1), zxid: next, time_ms: 0 };
    let mut batch = LogBatch::new();
    batch.push(&header, &Txn::Error { code: -101 }, None);
    let data_dir = open(disk).expect("nobody else has it");
    let mut log = data_dir.log(LogOptions::default(), last).expect("no faults");
    log.append(&batch).expect("no faults");
    log.close().expect("no faults");
}
