//! What was given to the log, and what it must be worth after a crash.

use std::rc::Rc;

use tree::Tree;
use types::{Instant, Zxid};
use wire::stored::{LogBatch, NextEntry, decode_txn, next_entry};

use crate::checkers::{Promise, Violation};
use crate::history::LoggedTxn;
use crate::model::{Model, Rules};

/// Every transaction of the present history, as the server gave it to its log.
#[derive(Debug)]
pub(super) struct Ledger {
    start: Zxid,
    txns: Vec<LoggedTxn>,
    /// The state after the first `settled` transactions, which no crash can take back any more.
    settled_state: Model,
    settled: usize,
}

impl Ledger {
    pub(super) fn new(rules: Rc<Rules>, start: Zxid) -> Self {
        let settled_state = Model::starting_at(rules, start);
        Self { start, txns: Vec::new(), settled_state, settled: 0 }
    }

    /// Notes a batch on its way to the log.
    pub(super) fn append(&mut self, at: Instant, batch: &LogBatch) -> Result<(), Violation> {
        let mut rest = batch.as_bytes();
        while let Ok(NextEntry::Entry(entry)) = next_entry(rest, wire::limits::STORED_BYTES_MAX) {
            let (header, txn, digest) = decode_txn(entry.payload).map_err(|error| {
                Violation::new(Promise::D3, format!("an entry that can not be read: {error}"))
            })?;
            self.txns.push(LoggedTxn { at: Some(at), header, txn, digest });
            rest = &rest[entry.consumed..];
        }
        Ok(())
    }

    /// The last transaction given to the log.
    pub(super) fn last(&self) -> Zxid {
        self.txns.last().map_or(self.start, |logged| logged.header.zxid)
    }

    /// Compares what a recovery found with what is known, and forgets what was lost.
    ///
    /// Returns how many transactions were lost; whether any of them may be lost is for the
    /// checkers to say.
    pub(super) fn recovered(&mut self, last: Zxid, tree: &Tree) -> Result<usize, Violation> {
        let kept = self.txns.partition_point(|logged| logged.header.zxid <= last);
        let found = kept.checked_sub(1).map_or(self.start, |at| self.txns[at].header.zxid);
        if found != last {
            let detail = format!("recovered up to {last}, which was never logged");
            return Err(Violation::new(Promise::D3, detail));
        }
        if kept < self.settled {
            let detail = format!("recovered up to {last}, before what was recovered last time");
            return Err(Violation::new(Promise::P5, detail));
        }
        let lost = self.txns.len() - kept;
        self.txns.truncate(kept);
        for logged in &self.txns[self.settled..] {
            self.settled_state.apply(&logged.header, &logged.txn);
        }
        self.settled = kept;
        self.compare(tree)?;
        Ok(lost)
    }

    pub(super) fn txns(&self) -> &[LoggedTxn] {
        &self.txns
    }

    /// D8: the recovered tree is that of the model, in every field.
    fn compare(&self, tree: &Tree) -> Result<(), Violation> {
        let model = &self.settled_state;
        let differs = |what: String| {
            let detail = format!("recovered at {}: {what}", model.last_applied());
            Err(Violation::new(Promise::D8, detail))
        };
        for path in model.paths() {
            let Some(node) = tree.find(path) else {
                return differs(format!("{path} is missing"));
            };
            let Some((data, acl, stat)) = model.stored(path) else { continue };
            if node.stored_stat() != stat {
                return differs(format!("{path} has {:?}, not {stat:?}", node.stored_stat()));
            }
            if node.data() != data {
                return differs(format!("{path} has other data"));
            }
            if node.acl() != acl {
                return differs(format!("{path} has the list {:?}, not {acl:?}", node.acl()));
            }
        }
        if tree.node_count() != model.paths().count() {
            return differs(format!("{} znodes", tree.node_count()));
        }
        if !tree.sessions().eq(model.sessions()) {
            return differs("other sessions".to_owned());
        }
        if tree.last_applied() != model.last_applied() {
            return differs(format!("the tree is at {}", tree.last_applied()));
        }
        if tree.digest().is_some_and(|digest| digest != model.digest()) {
            return differs("another digest".to_owned());
        }
        Ok(())
    }
}
