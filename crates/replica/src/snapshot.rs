//! When to take a snapshot, and how: in parts, between two batches of requests.
//!
//! A snapshot is *fuzzy*: transactions are applied while it is taken, so a part taken late shows
//! later transactions than its name tells. Replaying the log from there on mends that, since
//! applying is idempotent.

use tree::{SliceEnd, Tree};
use types::TxnDigest;
use wire::stored::snapshot::{AclId, put_node};

use crate::effect::Effect;
use crate::random::SplitMix;

/// When snapshots are taken.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotOptions {
    /// After between half and all of so many transactions.
    pub txns: u64,
    /// After between half and all of so many bytes of log; `None` for whatever many.
    pub log_bytes: Option<u64>,
    /// About so many bytes of encoded znodes make one part; [`crate::SNAPSHOT_PART_BYTES`] but in
    /// tests.
    pub part_bytes: usize,
}

/// The snapshots of one replica.
#[derive(Debug)]
pub(crate) struct Snapshots {
    options: SnapshotOptions,
    random: SplitMix,
    /// What was logged since the log was rolled, and at which amounts it is rolled again.
    txns: u64,
    log_bytes: u64,
    txns_due: u64,
    log_bytes_due: u64,
    is_running: bool,
    is_asked_for: bool,
}

impl Snapshots {
    pub(crate) fn new(options: SnapshotOptions, seed: u64) -> Self {
        let mut snapshots = Self {
            options,
            random: SplitMix::new(seed),
            txns: 0,
            log_bytes: 0,
            txns_due: 0,
            log_bytes_due: 0,
            is_running: false,
            is_asked_for: false,
        };
        snapshots.start_counting();
        snapshots
    }

    /// Counts transactions that were logged.
    pub(crate) fn logged(&mut self, txns: usize, bytes: usize) {
        self.txns += txns as u64;
        self.log_bytes += bytes as u64;
    }

    pub(crate) fn ask(&mut self) {
        self.is_asked_for = true;
    }

    /// Whether the log is to be rolled now. A snapshot goes with it unless one is still being
    /// written.
    pub(crate) fn is_due(&mut self) -> bool {
        let is_due = self.txns > self.txns_due
            || self.log_bytes > self.log_bytes_due
            || (self.is_asked_for && !self.is_running);
        if is_due {
            self.start_counting();
        }
        is_due
    }

    /// Whether one is being written.
    pub(crate) fn is_running(&self) -> bool {
        self.is_running
    }

    /// Begins one: its head, with sessions and access control lists.
    pub(crate) fn begin(&mut self, tree: &mut Tree, effects: &mut Vec<Effect>) {
        self.is_running = true;
        self.is_asked_for = false;
        effects.push(Effect::BeginSnapshot(tree.begin_snapshot()));
    }

    /// The next part of the one that is being written, or its end.
    pub(crate) fn go_on(&self, tree: &Tree, effects: &mut Vec<Effect>) {
        if !self.is_running {
            return;
        }
        let part_bytes = self.options.part_bytes;
        let mut bytes = Vec::with_capacity(part_bytes + part_bytes / 4);
        let end = tree.snapshot_slice(part_bytes, &mut |path, data, acl, stat| {
            put_node(&mut bytes, path, data, AclId(acl), stat);
        });
        if !bytes.is_empty() {
            effects.push(Effect::SnapshotPart(bytes));
        }
        if end == SliceEnd::Done {
            effects.push(Effect::EndSnapshot {
                last_applied: tree.last_applied(),
                digest: tree
                    .digest()
                    .map(|digest| TxnDigest { version: TxnDigest::VERSION, tree: digest }),
            });
        }
    }

    /// The one that was being written is complete, or was given up.
    pub(crate) fn over(&mut self, tree: &mut Tree) {
        self.is_running = false;
        tree.abort_snapshot();
    }

    /// Draws new amounts, so that the members of an ensemble do not all write at once.
    fn start_counting(&mut self) {
        let random = &mut self.random;
        let mut between_half_and_all = |all: u64| all / 2 + random.next() % (all / 2).max(1);
        let (txns_due, log_bytes_due) = (
            between_half_and_all(self.options.txns),
            self.options.log_bytes.map_or(u64::MAX, &mut between_half_and_all),
        );
        (self.txns_due, self.log_bytes_due) = (txns_due, log_bytes_due);
        self.txns = 0;
        self.log_bytes = 0;
    }
}
