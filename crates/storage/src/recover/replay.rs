//! Applying logged transactions on top of a snapshot.

use tracing::error;
use tree::Tree;
use types::{TxnDigest, Zxid};
use wire::stored::decode_txn;
use wire::stored::snapshot::StoredDigest;

use crate::disk::DiskFile;
use crate::error::{Damage, Error};
use crate::log::{End, LogReader, Next, follows};
use crate::snapshot::Contents;

/// A tree on its way to the end of the logs.
pub(super) struct Replay {
    tree: Tree,
    /// The snapshot's transaction: older entries are skipped.
    snapshot: Zxid,
    last_logged: Zxid,
    counts: Counts,
    /// While it is pending the tree is between two states, as the snapshot was written while
    /// transactions went on: digests are not comparable before its transaction.
    pending_digest: Option<StoredDigest>,
}

/// What happened so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    pub(super) applied: u64,
    pub(super) digest_mismatches: u64,
}

impl Replay {
    pub(super) fn new(contents: Contents) -> Self {
        let snapshot = contents.tree.last_applied();
        Self {
            tree: contents.tree,
            snapshot,
            last_logged: snapshot,
            counts: Counts::default(),
            pending_digest: contents.digest.filter(|digest| digest.zxid > snapshot),
        }
    }

    /// Applies the entries of a file up to its end, or up to an entry that can not be decoded.
    pub(super) fn run<F: DiskFile>(&mut self, reader: &mut LogReader<F>) -> Result<End, Error> {
        let path = reader.path().to_owned();
        loop {
            let entry = match reader.next()? {
                Next::Entry(entry) => entry,
                Next::End(end) => return Ok(end),
            };
            if entry.zxid <= self.snapshot {
                continue;
            }
            if !follows(self.last_logged, entry.zxid) {
                return Err(Error::Gap { file: path, last: self.last_logged, found: entry.zxid });
            }
            let (header, txn, digest) = match decode_txn(entry.payload) {
                Ok(decoded) => decoded,
                Err(cause) => {
                    let (offset, damage) = (entry.offset, Damage::Undecodable(cause));
                    return Err(Error::Corrupt { file: path, offset, damage });
                }
            };
            self.tree.apply(&header, &txn, &mut |_| {});
            self.last_logged = entry.zxid;
            self.counts.applied += 1;
            self.compare_digests(entry.zxid, digest);
        }
    }

    pub(super) fn last_logged(&self) -> Zxid {
        self.last_logged
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn into_tree(self) -> Tree {
        self.tree
    }

    fn compare_digests(&mut self, zxid: Zxid, logged: Option<TxnDigest>) {
        let expected = match self.pending_digest {
            Some(pending) if pending.zxid > zxid => return,
            Some(pending) => {
                self.pending_digest = None;
                pending.digest.filter(|_| pending.zxid == zxid).or(logged)
            }
            None => logged,
        };
        let (Some(expected), Some(computed)) = (expected, self.tree.digest()) else { return };
        if expected.version == TxnDigest::VERSION && expected.tree != computed {
            if self.counts.digest_mismatches == 0 {
                error!(%zxid, expected = expected.tree, computed, "digest of the tree differs");
            }
            self.counts.digest_mismatches += 1;
        }
    }
}
