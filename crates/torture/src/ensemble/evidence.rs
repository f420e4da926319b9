//! What the members have on their disks in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sim::checkers::{Promise, Violation};
use sim::history::{Event, History, LoggedTxn};
use storage::{
    DataDir, Directories, EmptyDatabase, MissingDirectory, RealDisk, RecoverOptions,
    WithoutSnapshot,
};
use types::{ExtendedTypes, Op, SessionId, Txn, Xid, Zxid};
use wire::limits::STORED_BYTES_MAX;
use wire::stored::{FileHeader, NextEntry, decode_txn, next_entry};

use super::members::Home;
use crate::failure::Failure;

/// The transactions of all logs, in their order.
///
/// # Errors
/// Z3: two members have different ones in the same place. When a log can not be read, but for those of a
/// member whose files were damaged: they may lie there still, behind a snapshot.
pub(crate) fn transactions<'h>(
    homes: impl Iterator<Item = Home<'h>>,
) -> Result<Vec<LoggedTxn>, Failure> {
    let mut all: BTreeMap<Zxid, LoggedTxn> = BTreeMap::new();
    for home in homes {
        for log in logs(home.path).map_err(Failure::io("a log can not be read"))? {
            let bytes = fs::read(&log).map_err(Failure::io("a log can not be read"))?;
            let (entries, damage) = entries(&bytes);
            if let Some(damage) = damage.filter(|_| !home.was_damaged) {
                let detail = format!("{}: {damage}", log.display());
                return Err(Violation::new(Promise::D3, detail).into());
            }
            for logged in entries {
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
    homes: impl Iterator<Item = Home<'h>>,
    log: &[LoggedTxn],
) -> Result<(), Failure> {
    for Home { path: home, .. } in homes {
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
        // Errors change nothing, and are logged without a digest.
        let known = log.iter().rev().skip_while(|logged| logged.header.zxid > last);
        let is_logged = known.clone().next().is_some_and(|logged| logged.header.zxid == last);
        let changed = known.clone().find(|logged| !matches!(logged.txn, Txn::Error { .. }));
        let expected = changed.filter(|_| is_logged).and_then(|logged| logged.digest);
        let expected = expected.map(|digest| digest.tree);
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

/// The entries of a log up to its end, or up to what can not be read.
fn entries(bytes: &[u8]) -> (Vec<LoggedTxn>, Option<String>) {
    let mut found = Vec::new();
    let mut rest = bytes.get(FileHeader::BYTES..).unwrap_or_default();
    loop {
        let entry = match next_entry(rest, STORED_BYTES_MAX) {
            Ok(NextEntry::Entry(entry)) => entry,
            Ok(NextEntry::End(_)) => return (found, None),
            Err(error) => return (found, Some(error.to_string())),
        };
        match decode_txn(entry.payload) {
            Ok((header, txn, digest)) => found.push(LoggedTxn { at: None, header, txn, digest }),
            Err(error) => return (found, Some(error.to_string())),
        }
        rest = &rest[entry.consumed..];
    }
}

/// Who asked for a write, and its place.
type Write = (Zxid, SessionId, Xid);

/// The writes that were acknowledged in a history.
pub(crate) fn acknowledged(history: &History) -> BTreeSet<Write> {
    let mut asked = BTreeMap::new();
    let mut acknowledged = BTreeSet::new();
    for line in &history.lines {
        match &line.event {
            Event::Invoke { client, session, conn, xid, op: Op::Write(_), .. } => {
                asked.insert((*client, *conn, *xid), *session);
            }
            Event::Reply { client, conn, xid, zxid: Some(zxid), result: Ok(_) } => {
                if let Some(session) = asked.remove(&(*client, *conn, *xid)) {
                    acknowledged.insert((*zxid, session, *xid));
                }
            }
            _ => {}
        }
    }
    acknowledged
}

/// Those of the writes that are in no log, whatever else is in the logs.
pub(crate) fn lost<'h>(
    mut writes: BTreeSet<Write>,
    homes: impl Iterator<Item = Home<'h>>,
) -> Result<BTreeSet<Write>, Failure> {
    for home in homes {
        for log in logs(home.path).map_err(Failure::io("a log can not be read"))? {
            let bytes = fs::read(&log).map_err(Failure::io("a log can not be read"))?;
            for LoggedTxn { header, .. } in entries(&bytes).0 {
                writes.remove(&(header.zxid, header.session, header.cxid));
            }
        }
    }
    Ok(writes)
}
