//! When to take a snapshot, and how: in parts, between two batches of requests.
//!
//! A snapshot is *fuzzy*: transactions are applied while it is taken, so a part taken late shows
//! later transactions than its name tells. Replaying the log from there on mends that, since
//! applying is idempotent.

use std::collections::VecDeque;

use tree::{SliceEnd, Tree};
use types::{TxnDigest, Zxid};
use wire::stored::snapshot::{AclId, put_node};
use zab::Link;

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
    running: Option<Target>,
    is_asked_for: bool,
    /// Learners that want one, with the last transaction that they are told is in it.
    streams: VecDeque<(Link, Zxid)>,
}

/// Where a snapshot goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    File,
    /// Nowhere: whoever wrote the last one is yet to say that it is given up. What it said before
    /// that is about the last one.
    Abandoned,
    /// To a learner; all but its end was sent, or not yet.
    Learner {
        link: Link,
        is_ending: bool,
    },
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
            running: None,
            is_asked_for: false,
            streams: VecDeque::new(),
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
            || (self.is_asked_for && self.running.is_none());
        if is_due {
            self.start_counting();
        }
        is_due
    }

    /// Whether one is being written.
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Begins one: its head, with sessions and access control lists.
    pub(crate) fn begin(&mut self, tree: &mut Tree, effects: &mut Vec<Effect>) {
        self.running = Some(Target::File);
        self.is_asked_for = false;
        effects.push(Effect::BeginSnapshot(tree.begin_snapshot()));
    }

    /// A learner has to get one.
    pub(crate) fn want_stream(&mut self, link: Link, last_applied: Zxid) {
        self.streams.push_back((link, last_applied));
    }

    /// A learner is gone.
    pub(crate) fn stop_stream(&mut self, learner: Link) {
        self.streams.retain(|&(link, _)| link != learner);
        if matches!(self.running, Some(Target::Learner { link, .. }) if link == learner) {
            self.running = None;
        }
    }

    /// Whether a learner waits for one that can begin now.
    pub(crate) fn is_stream_due(&self) -> bool {
        self.running.is_none() && !self.streams.is_empty()
    }

    /// Begins the next one for a learner.
    pub(crate) fn begin_stream(&mut self, tree: &mut Tree, effects: &mut Vec<Effect>) {
        let Some((link, last_applied)) = self.streams.pop_front() else { return };
        self.running = Some(Target::Learner { link, is_ending: false });
        effects.push(Effect::StreamHead { link, last_applied, head: tree.begin_snapshot() });
    }

    /// The next part of the one that a learner gets, or its end; returns whether that was it.
    pub(crate) fn go_on_with_stream(
        &mut self,
        learner: Link,
        tree: &Tree,
        effects: &mut Vec<Effect>,
    ) -> SliceEnd {
        match self.running {
            Some(Target::Learner { link, is_ending: true }) if link == learner => {
                effects.push(Effect::StreamEnd { link });
                self.running = None;
                return SliceEnd::Done;
            }
            Some(Target::Learner { link, is_ending: false }) if link == learner => {
                let (bytes, end) = self.next_part(tree);
                effects.push(Effect::StreamPart { link, bytes });
                let is_ending = end == SliceEnd::Done;
                self.running = Some(Target::Learner { link, is_ending });
            }
            _ => {}
        }
        SliceEnd::More
    }

    /// The file that is being written would show what may come to nothing. There is to be another one.
    pub(crate) fn abandon_file(&mut self, effects: &mut Vec<Effect>) {
        if self.running == Some(Target::File) {
            self.abandon(effects);
            self.ask();
        }
    }

    /// The tree of which one is being written is to be replaced, or has been.
    pub(crate) fn abandon(&mut self, effects: &mut Vec<Effect>) {
        self.running = match self.running {
            Some(Target::File) => {
                effects.push(Effect::AbandonSnapshot);
                Some(Target::Abandoned)
            }
            Some(Target::Abandoned) => Some(Target::Abandoned),
            Some(Target::Learner { .. }) | None => None,
        };
    }

    /// Whoever wrote the last one has given it up.
    pub(crate) fn abandoned(&mut self) {
        if self.running == Some(Target::Abandoned) {
            self.running = None;
        }
    }

    /// The next part of the one that is being written, or its end.
    pub(crate) fn go_on(&self, tree: &Tree, effects: &mut Vec<Effect>) {
        if self.running != Some(Target::File) {
            return;
        }
        let (bytes, end) = self.next_part(tree);
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
        if self.running == Some(Target::File) {
            self.running = None;
            tree.abort_snapshot();
        }
    }

    fn next_part(&self, tree: &Tree) -> (Vec<u8>, SliceEnd) {
        let part_bytes = self.options.part_bytes;
        let mut bytes = Vec::with_capacity(part_bytes + part_bytes / 4);
        let end = tree.snapshot_slice(part_bytes, &mut |path, data, acl, stat| {
            put_node(&mut bytes, path, data, AclId(acl), stat);
        });
        (bytes, end)
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

#[cfg(test)]
mod tests {
    use types::ExtendedTypes;

    use super::*;

    fn names(effects: &mut Vec<Effect>) -> Vec<&'static str> {
        let name = |effect| match effect {
            Effect::BeginSnapshot(_) => "begin",
            Effect::SnapshotPart(_) => "part",
            Effect::EndSnapshot { .. } => "end",
            Effect::AbandonSnapshot => "abandon",
            _ => "something else",
        };
        effects.drain(..).map(name).collect()
    }

    #[test]
    fn what_is_said_of_a_snapshot_that_was_given_up_does_not_end_the_next() {
        let mut tree = Tree::new(tree::Options {
            extended_types: ExtendedTypes::Disabled,
            digest: true,
            hash_seed: 1,
        });
        let options = SnapshotOptions { txns: 10, log_bytes: None, part_bytes: 1 };
        let mut snapshots = Snapshots::new(options, 1);
        let mut effects = Vec::new();
        snapshots.begin(&mut tree, &mut effects);
        snapshots.abandon(&mut effects);
        snapshots.abandon(&mut effects);
        assert_eq!(names(&mut effects), ["begin", "abandon"]);
        // It had failed, or was complete, before it was given up.
        snapshots.over(&mut tree);
        snapshots.ask();
        assert!(snapshots.is_running() && !snapshots.is_due(), "there is more to be said of it");
        snapshots.abandoned();
        assert!(snapshots.is_due());
        snapshots.begin(&mut tree, &mut effects);
        snapshots.abandoned();
        snapshots.go_on(&tree, &mut effects);
        assert_eq!(names(&mut effects), ["begin", "part"]);
    }
}
