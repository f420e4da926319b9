//! What the members have on their disks in the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sim::checkers::{Promise, Violation};
use sim::history::LoggedTxn;
use storage::{
    DataDir, Directories, EmptyDatabase, MissingDirectory, RealDisk, RecoverOptions,
    WithoutSnapshot,
};
use types::{ExtendedTypes, Zxid};
use wire::limits::STORED_BYTES_MAX;
use wire::stored::{FileHeader, NextEntry, decode_txn, next_entry};

use crate::failure::Failure;

/// The transactions of all logs, in their order.
///
/// # Errors
/// Z3: two members have different ones in the same place. When a log can not be read.
pub(crate) fn transactions<'h>(
    homes: impl Iterator<Item = &'h Path>,
) -> Result<Vec<LoggedTxn>, Failure> {
    let mut all: BTreeMap<Zxid, LoggedTxn> = BTreeMap::new();
    for home in homes {
        for log in logs(home).map_err(Failure::io("a log can not be read"))? {
            let bytes = fs::read(&log).map_err(Failure::io("a log can not be read"))?;
            for logged in entries(&log, &bytes)? {
                let zxid = logged.header.zxid;
                let known = all.entry(zxid).or_insert_with(|| logged.clone());
                if !known.is_same(&logged) {
                    let detail = format!("{}: {logged}, but somebody has {known}", log.display());
                    return Err(Violation::new(Promise::Z3, detail).into());
                }
                known.digest = known.digest.or(logged.digest);
            }
        }
    }
    Ok(all.into_values().collect())
}

/// Recovers what each member has. A member that was told to stop a moment before the others may lack what
/// they have decided last, such as the end of a session.
///
/// # Errors
/// P14: a tree that is not what the log says of it, or digests that are not those of the log.
pub(crate) fn require_sound_trees<'h>(
    homes: impl Iterator<Item = &'h Path>,
    log: &[LoggedTxn],
) -> Result<(), Failure> {
    for home in homes {
        let directories = Directories::shared(home);
        let data_dir = DataDir::open(RealDisk, directories, MissingDirectory::Refuse)?;
        let recovered = data_dir.recover(&RecoverOptions {
            tree: tree::Options {
                extended_types: ExtendedTypes::Enabled,
                digest: true,
                hash_seed: 0,
            },
            without_snapshot: WithoutSnapshot::Refuse,
            empty: EmptyDatabase::RequireMarker,
        })?;
        let digest = recovered.tree.recomputed_digest();
        let is_own = recovered.tree.digest() == Some(digest);
        let times = recovered.digest_mismatches + u64::from(!is_own);
        if times > 0 {
            return Err(Failure::Digest { times });
        }
        let last = recovered.last_logged;
        let logged = log.iter().find(|logged| logged.header.zxid == last);
        let expected = logged.and_then(|logged| logged.digest).map(|digest| digest.tree);
        if expected != Some(digest) {
            let detail = format!("{} has {digest} at {last}, not {expected:?}", home.display());
            return Err(Violation::new(Promise::P14, detail).into());
        }
    }
    Ok(())
}

fn logs(home: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(home.join("version-2"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("log.") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn entries(log: &Path, bytes: &[u8]) -> Result<Vec<LoggedTxn>, Failure> {
    let damaged = |what: String| {
        Failure::from(Violation::new(Promise::D3, format!("{}: {what}", log.display())))
    };
    let mut found = Vec::new();
    let mut rest = bytes.get(FileHeader::BYTES..).unwrap_or_default();
    loop {
        let entry = match next_entry(rest, STORED_BYTES_MAX) {
            Ok(NextEntry::Entry(entry)) => entry,
            Ok(NextEntry::End(_)) => return Ok(found),
            Err(error) => return Err(damaged(error.to_string())),
        };
        let decoded = decode_txn(entry.payload);
        let (header, txn, digest) = decoded.map_err(|error| damaged(error.to_string()))?;
        found.push(LoggedTxn { at: None, header, txn, digest });
        rest = &rest[entry.consumed..];
    }
}
