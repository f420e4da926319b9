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
    /// Transactions that are part of the history though only newer snapshots show it, which can not be
    /// read. The logs must have them.
    landmarks: Vec<Zxid>,
    last_logged: Zxid,
    counts: Counts,
    comparable: Comparable,
}

/// Since when the tree's digest can be compared with those in the log. A snapshot is written while
/// transactions go on: at first the tree is between two states.
enum Comparable {
    /// The tree is in the state after one transaction.
    Now,
    /// It is from this transaction on, of which the snapshot has the digest.
    From(StoredDigest),
    /// The snapshot does not say, as it has no digest: once they have agreed.
    OnceEqual,
}

/// What happened so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    pub(super) applied: u64,
    pub(super) digest_mismatches: u64,
}

impl Replay {
    pub(super) fn new(contents: Contents, landmarks: Vec<Zxid>) -> Self {
        let snapshot = contents.tree.last_applied();
        Self {
            tree: contents.tree,
            snapshot,
            landmarks,
            last_logged: snapshot,
            counts: Counts::default(),
            comparable: match contents.digest {
                Some(digest) if digest.zxid > snapshot => Comparable::From(digest),
                Some(_) => Comparable::Now,
                None => Comparable::OnceEqual,
            },
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
            let passes = |landmark: &Zxid| (self.last_logged < *landmark) && *landmark < entry.zxid;
            if !follows(self.last_logged, entry.zxid) || self.landmarks.iter().any(passes) {
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
        let expected = match self.comparable {
            Comparable::From(stored) if stored.zxid > zxid => return,
            Comparable::From(stored) => {
                self.comparable = Comparable::Now;
                stored.digest.filter(|_| stored.zxid == zxid).or(logged)
            }
            Comparable::Now | Comparable::OnceEqual => logged,
        };
        let (Some(expected), Some(computed)) = (expected, self.tree.digest()) else { return };
        if expected.version != TxnDigest::VERSION {
            return;
        }
        if expected.tree == computed {
            self.comparable = Comparable::Now;
        } else if matches!(self.comparable, Comparable::Now) {
            if self.counts.digest_mismatches == 0 {
                error!(%zxid, expected = expected.tree, computed, "digest of the tree differs");
            }
            self.counts.digest_mismatches += 1;
        }
    }
}
