//! Whole files of `storage`, and what a leader sends instead of one: whatever a log or a snapshot holds,
//! recovery ends with a history that can be gone on with, or with an error; never with a panic, and
//! never with two different answers.

use storage::{
    Compression, DataDir, Directories, EmptyDatabase, Error, LogOptions, MissingDirectory,
    Received, RecoverOptions, Recovered, SimulatedDisk, WithoutSnapshot,
};
use tree::Tree;
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
        let recovered = match recover(&disk) {
            // The older one does not lead as far.
            Err(Error::SnapshotLost { .. }) => continue,
            result => result.expect("there is an older one"),
        };
        let tree = &recovered.tree;
        assert_eq!(tree.digest(), Some(tree.recomputed_digest()));
        let taken = recovered.last_logged == Zxid::from_raw(5);
        assert_eq!(recovered.unreadable_snapshots.is_empty(), taken);
    }
}

/// What a leader sends as its snapshot: the first byte says in which pieces it arrives.
pub fn received_snapshot(input: &[u8]) {
    let Some((&piece_bytes, stream)) = input.split_first() else { return };
    let whole = receive(stream, stream.len().max(1));
    let in_pieces = receive(stream, usize::from(piece_bytes).max(1));
    let (disk, tree) = match (whole, in_pieces) {
        (Ok((_, whole)), Ok((disk, tree))) => {
            assert_eq!(tree.difference(&whole), None);
            (disk, tree)
        }
        (Err(whole), Err(in_pieces)) => {
            // One that is not whole may break before it ends, or end before that shows.
            assert!(matches!(whole, Error::ReceivedSnapshot { .. }), "{whole}");
            assert!(matches!(in_pieces, Error::ReceivedSnapshot { .. }), "{in_pieces}");
            return;
        }
        (whole, in_pieces) => panic!("{:?} {:?}", whole.map(drop), in_pieces.map(drop)),
    };
    assert_eq!(tree.digest(), Some(tree.recomputed_digest()));
    let recovered = recover(&disk).expect("it was installed");
    assert_eq!(recovered.last_logged, RECEIVED);
    assert_eq!(recovered.tree.difference(&tree), None);
}

/// The zxid of what is received.
const RECEIVED: Zxid = Zxid::from_raw(0x1_0000_0005);

/// Receives and installs a snapshot in pieces of so many bytes. What is left of a failed attempt is
/// the database that was there.
fn receive(stream: &[u8], piece_bytes: usize) -> Result<(SimulatedDisk, Tree), Error> {
    let disk = SimulatedDisk::new();
    let result = try_receive(&disk, stream, piece_bytes);
    if result.is_err() {
        assert_eq!(recover(&disk).expect("untouched").last_logged, Zxid::ZERO);
    }
    result.map(|tree| (disk, tree))
}

fn try_receive(disk: &SimulatedDisk, stream: &[u8], piece_bytes: usize) -> Result<Tree, Error> {
    let data_dir = open(disk)?;
    let last_logged = data_dir.recover(&options())?.last_logged;
    let log = data_dir.log(LogOptions::default(), last_logged)?;
    let mut receiving = data_dir.start_receiving(RECEIVED, Compression::None, options().tree)?;
    for piece in stream.chunks(piece_bytes) {
        if let Received::Whole { .. } = receiving.take(piece)? {
            break;
        }
    }
    let (_log, tree) = data_dir.install(log, receiving.finish()?)?;
    Ok(tree)
}

fn open(disk: &SimulatedDisk) -> Result<DataDir<SimulatedDisk>, Error> {
    DataDir::open(disk.clone(), Directories::shared(DIR), MissingDirectory::Create)
}

fn recover(disk: &SimulatedDisk) -> Result<Recovered, Error> {
    open(disk)?.recover(&options())
}

fn options() -> RecoverOptions {
    let extended_types = ExtendedTypes::Enabled;
    RecoverOptions {
        tree: tree::Options { extended_types, digest: true, hash_seed: 1 },
        without_snapshot: WithoutSnapshot::Refuse,
        empty: EmptyDatabase::Create,
    }
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
