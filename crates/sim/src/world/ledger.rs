//! What was given to the log of a server, and what it must be worth after a crash.

use std::rc::Rc;

use storage::{Origin, Recovered};
use tree::Tree;
use types::{Instant, Zxid};
use wire::stored::{LogBatch, decode_txn};

use super::plan::Servers;
use crate::checkers::{Promise, Violation};
use crate::history::LoggedTxn;
use crate::model::{Model, Rules};

/// Where servers show the membership.
const CONFIG_PATH: &str = "/zookeeper/config";

/// Every transaction of the present history, as the server gave it to its log.
#[derive(Debug)]
pub(super) struct Ledger {
    rules: Rc<Rules>,
    start: Zxid,
    txns: Vec<LoggedTxn>,
    /// The state after the first `settled` transactions, which no crash can take back any more.
    settled_state: Model,
    settled: usize,
    /// A change that the disk may have made or not.
    change: Option<Change>,
    /// The snapshot of a leader from which the present state was made.
    received: Option<Snapshot>,
    is_of_member: bool,
}

/// What makes another history of one.
#[derive(Clone, Debug)]
enum Change {
    /// Nothing behind this stays.
    Cut(Zxid),
    /// All of it is replaced.
    Replace(Snapshot),
}

/// What a leader has sent as a snapshot.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// The history that leads to it.
    pub(super) txns: Rc<[LoggedTxn]>,
    /// The last transaction that is in it as a whole.
    pub(super) zxid: Zxid,
    /// It was taken while the leader went on: it may show something of transactions up to here.
    pub(super) shows: Zxid,
}

impl Ledger {
    pub(super) fn new(rules: Rc<Rules>, start: Zxid, servers: Servers) -> Self {
        let settled_state = Model::starting_at(Rc::clone(&rules), start);
        Self {
            rules,
            start,
            txns: Vec::new(),
            settled_state,
            settled: 0,
            change: None,
            received: None,
            is_of_member: servers.are_ensemble(),
        }
    }

    /// Notes a batch on its way to the log.
    pub(super) fn append(&mut self, at: Instant, batch: &LogBatch) -> Result<(), Violation> {
        self.txns.extend(decode(at, batch)?);
        Ok(())
    }

    /// The last transaction given to the log.
    pub(super) fn last(&self) -> Zxid {
        self.txns.last().map_or(self.start, |logged| logged.header.zxid)
    }

    /// The disk begins to cut off everything behind this.
    pub(super) fn cut(&mut self, keep: Zxid) {
        self.change = Some(Change::Cut(keep));
    }

    /// The disk begins to replace everything by a snapshot.
    pub(super) fn replace(&mut self, snapshot: &Snapshot) {
        self.change = Some(Change::Replace(snapshot.clone()));
    }

    /// The disk is done with the change.
    pub(super) fn changed(&mut self) {
        match self.change.take() {
            Some(Change::Cut(keep)) => {
                let kept = self.count_up_to(keep);
                self.txns.truncate(kept);
                self.unsettle(kept);
            }
            Some(Change::Replace(snapshot)) => self.become_snapshot(snapshot),
            None => {}
        }
    }

    /// Compares what a recovery found with what is known, and forgets what was lost.
    ///
    /// Returns how many transactions were lost; whether any of them may be lost is for the
    /// checkers to say.
    pub(super) fn recovered(&mut self, recovered: &Recovered) -> Result<usize, Violation> {
        let last = recovered.last_logged;
        match self.change.take() {
            // A crash leaves as much as it likes, but what was to stay.
            Some(Change::Cut(keep)) => {
                let kept = self.count_up_to(keep);
                self.unsettle(kept);
            }
            Some(Change::Replace(snapshot)) if snapshot.zxid == last => {
                self.become_snapshot(snapshot);
            }
            Some(Change::Replace(_)) => self.unsettle(0),
            None => {}
        }
        let kept = self.count_up_to(last);
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
        if self.is_ahead_of_itself(recovered) {
            return Ok(lost);
        }
        if recovered.digest_mismatches > 0 {
            let detail = format!("{} digests differ in recovery", recovered.digest_mismatches);
            return Err(Violation::new(Promise::D8, detail));
        }
        self.compare(&recovered.tree)?;
        Ok(lost)
    }

    pub(super) fn txns(&self) -> &[LoggedTxn] {
        &self.txns
    }

    /// Whether the tree shows more than its zxid says: it was made from a leader's snapshot, and not
    /// all has been logged here that was done while the leader took it. The leader sends that before
    /// it lets this server serve; a crash in between leaves such a state, from which the server goes
    /// on as from any other. What its digests are compared with meanwhile is another state's.
    fn is_ahead_of_itself(&self, recovered: &Recovered) -> bool {
        let Some(Snapshot { zxid, shows, .. }) = &self.received else { return false };
        recovered.origin == Origin::Snapshot(*zxid)
            && (recovered.last_logged < *shows || recovered.digest_mismatches > 0)
    }

    fn count_up_to(&self, zxid: Zxid) -> usize {
        self.txns.partition_point(|logged| logged.header.zxid <= zxid)
    }

    fn become_snapshot(&mut self, snapshot: Snapshot) {
        self.txns = snapshot.txns.to_vec();
        self.received = Some(snapshot);
        self.unsettle(0);
    }

    /// Takes back that more than so many transactions are settled.
    fn unsettle(&mut self, settled: usize) {
        if settled < self.settled {
            self.settled_state = Model::starting_at(Rc::clone(&self.rules), self.start);
            for logged in &self.txns[..settled] {
                self.settled_state.apply(&logged.header, &logged.txn);
            }
            self.settled = settled;
        }
    }

    /// D8: the recovered tree is that of the model, in every field.
    fn compare(&self, tree: &Tree) -> Result<(), Violation> {
        let model = &self.settled_state;
        let differs = |what: String| {
            let detail = format!("recovered at {}: {what}", model.last_applied());
            Err(Violation::new(Promise::D8, detail))
        };
        // Each member writes there what it was started with.
        let is_own = |path: &&str| self.is_of_member && *path == CONFIG_PATH;
        for path in model.paths().filter(|path| !is_own(path)) {
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

/// The transactions of a batch.
pub(super) fn decode(at: Instant, batch: &LogBatch) -> Result<Vec<LoggedTxn>, Violation> {
    let decode = |payload| match decode_txn(payload) {
        Ok((header, txn, digest)) => Ok(LoggedTxn { at: Some(at), header, txn, digest }),
        Err(error) => {
            let detail = format!("an entry that can not be read: {error}");
            Err(Violation::new(Promise::D3, detail))
        }
    };
    batch.proposals().map(|proposal| decode(proposal.payload())).collect()
}
