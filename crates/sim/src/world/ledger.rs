//! What was given to the log of a server, and what it must be worth after a crash.

use std::rc::Rc;

use storage::{Origin, Recovered, RecoveredMember};
use tree::Tree;
use types::{Instant, Zxid};
use wire::stored::{LogBatch, decode_txn};

use super::invariants::is_next;
use super::plan::Servers;
use crate::checkers::{Promise, Violation};
use crate::history::LoggedTxn;
use crate::model::{Model, Rules};

/// Where servers show the membership.
pub(super) const CONFIG_PATH: &str = "/zookeeper/config";

/// Every transaction of the present history, as the server gave it to its log.
#[derive(Debug)]
pub(super) struct Ledger {
    rules: Rc<Rules>,
    start: Zxid,
    txns: Vec<LoggedTxn>,
    /// What came behind them and could not be read at the last start. It may be read at the next one.
    hidden: Vec<LoggedTxn>,
    /// How many of them the disk has said to be durable.
    durable: usize,
    /// The state after the first `settled` transactions, which no crash can take back any more.
    settled_state: Model,
    settled: usize,
    /// A change that the disk may have made or not.
    change: Option<Change>,
    /// The snapshot of a leader from which the present state was made.
    received: Option<Snapshot>,
    /// Its disk did not keep all that it was given: recoveries may find less, if they say so.
    is_damaged: bool,
    /// How far its own snapshots may show. A member applies what others have acknowledged, whether its
    /// own log has it yet or not.
    shown: Zxid,
    /// The end of the log is gone, and the snapshots that are left may show something of it.
    is_cut_short: bool,
    /// Its disk holds nothing at all, not even what the server was founded with.
    is_void: bool,
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
            hidden: Vec::new(),
            durable: 0,
            settled_state,
            settled: 0,
            change: None,
            received: None,
            is_damaged: false,
            shown: Zxid::ZERO,
            is_cut_short: false,
            is_void: false,
            is_of_member: servers.are_ensemble(),
        }
    }

    /// Notes a batch on its way to the log.
    ///
    /// # Errors
    /// Z12: it does not go on where the history ends.
    pub(super) fn append(&mut self, at: Instant, batch: &LogBatch) -> Result<(), Violation> {
        for logged in decode(at, batch)? {
            let (last, zxid) = (self.last(), logged.header.zxid);
            if self.is_of_member && !is_next(last, zxid) {
                let detail = format!("{zxid} is logged after {last}");
                return Err(Violation::new(Promise::Z12, detail));
            }
            self.txns.push(logged);
        }
        Ok(())
    }

    /// A snapshot of this server is on its disk, which was finished when this was applied.
    pub(super) fn has_snapshot(&mut self, last_applied: Zxid) {
        self.shown = self.shown.max(last_applied);
    }

    /// Where what was given to the log ends if a recovery from this snapshot goes further; what lies
    /// between was applied and is in the snapshot alone.
    pub(super) fn end_before(&self, snapshot: Zxid) -> Option<Zxid> {
        let last = self.hidden.last().map_or_else(|| self.last(), |logged| logged.header.zxid);
        let is_received = matches!(&self.change, Some(Change::Replace(it)) if it.zxid == snapshot);
        (last < snapshot && !is_received).then_some(last)
    }

    /// A snapshot has these transactions, and the log has not.
    pub(super) fn has_in_snapshot(&mut self, txns: Vec<LoggedTxn>) {
        self.txns.append(&mut self.hidden);
        self.txns.extend(txns);
    }

    /// The disk has said that everything is durable.
    pub(super) fn synced(&mut self) {
        self.durable = self.txns.len();
    }

    /// Whether the disk has said that this is durable.
    pub(super) fn is_durable(&self, zxid: Zxid) -> bool {
        let durable = &self.txns[..self.durable];
        durable.binary_search_by_key(&zxid, |logged| logged.header.zxid).is_ok()
    }

    /// The last transaction of which the disk has said that it is durable.
    pub(super) fn last_durable(&self) -> Zxid {
        match self.durable.checked_sub(1) {
            Some(last) => self.txns[last].header.zxid,
            None if self.is_void => Zxid::ZERO,
            None => self.start,
        }
    }

    /// The last transaction given to the log.
    pub(super) fn last(&self) -> Zxid {
        match self.txns.last() {
            Some(logged) => logged.header.zxid,
            None if self.is_void => Zxid::ZERO,
            None => self.start,
        }
    }

    /// The disk has changed or lost something that was durable.
    pub(super) fn damaged(&mut self) {
        self.is_damaged = true;
    }

    /// Whether it may have changed or lost something.
    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// What lies behind this is gone from the disk, and nobody can tell.
    pub(super) fn lost_behind(&mut self, last: Zxid) {
        let kept = self.count_up_to(last);
        self.durable = self.durable.min(kept);
        self.is_cut_short |= kept < self.txns.len();
        self.unsettle(kept);
    }

    /// There is nothing on the disk any more.
    pub(super) fn lost_all(&mut self) {
        self.txns.clear();
        self.hidden.clear();
        self.durable = 0;
        self.change = None;
        self.received = None;
        self.unsettle(0);
        self.is_damaged = true;
        self.is_void = true;
    }

    /// The disk begins to cut off everything behind this.
    pub(super) fn cut(&mut self, keep: Zxid) {
        self.change = Some(Change::Cut(keep));
    }

    /// The disk begins to replace everything by a snapshot.
    pub(super) fn replace(&mut self, snapshot: &Snapshot) {
        self.change = Some(Change::Replace(snapshot.clone()));
    }

    /// The change was refused, and everything stays.
    pub(super) fn not_changed(&mut self) {
        self.change = None;
    }

    /// Where the disk is to cut.
    pub(super) fn cut_point(&self) -> Option<Zxid> {
        match self.change {
            Some(Change::Cut(keep)) => Some(keep),
            Some(Change::Replace(_)) | None => None,
        }
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
        self.hidden.clear();
        self.synced();
    }

    /// Compares what a recovery found with what is known, and forgets what was lost.
    ///
    /// Returns how many transactions were lost; whether any of them may be lost is for the
    /// checkers to say.
    pub(super) fn recovered(&mut self, found: &RecoveredMember) -> Result<usize, Violation> {
        let (recovered, last) = (&found.recovered, found.recovered.last_logged);
        let is_void = recovered.origin == Origin::Unknown;
        if (found.loss.is_some() || is_void) && !self.is_damaged {
            let detail = format!("something is missing on a good disk: {:?}", found.loss);
            return Err(Violation::new(Promise::D7, detail));
        }
        self.txns.append(&mut self.hidden);
        self.is_void = is_void;
        if found.loss.is_some() || is_void {
            self.lost_behind(last);
        }
        if is_void {
            // What can not be read now may be there again later: also what a change was to put there.
            self.hidden = std::mem::take(&mut self.txns);
            return Ok(self.hidden.len());
        }
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
        let found_last = kept.checked_sub(1).map_or(self.start, |at| self.txns[at].header.zxid);
        if found_last != last {
            let detail = format!("recovered up to {last}, which was never logged");
            return Err(Violation::new(Promise::D3, detail));
        }
        if kept < self.settled {
            let detail = format!("recovered up to {last}, before what was recovered last time");
            return Err(Violation::new(Promise::P5, detail));
        }
        let lost = self.txns.len() - kept;
        let behind = self.txns.split_off(kept);
        if found.loss.is_some() {
            self.hidden = behind;
        }
        self.synced();
        for logged in &self.txns[self.settled..] {
            self.settled_state.apply(&logged.header, &logged.txn);
        }
        self.settled = kept;
        let is_ahead = self.is_of_member && last < self.shown || self.is_ahead_of_itself(recovered);
        if self.is_cut_short || is_ahead {
            return Ok(lost);
        }
        if recovered.digest_mismatches > 0 {
            let detail = format!("{} digests differ in recovery", recovered.digest_mismatches);
            return Err(Violation::new(Promise::D8, detail));
        }
        self.compare(&recovered.tree)?;
        Ok(lost)
    }

    /// Whether what another server has between two transactions is here too.
    pub(super) fn has_all_of(&self, other: &Self, behind: Zxid, last: Zxid) -> bool {
        let part = |ledger: &Self| {
            ledger.txns[ledger.count_up_to(behind)..ledger.count_up_to(last)].to_vec()
        };
        part(self) == part(other)
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
        self.is_void = false;
        self.is_cut_short = false;
        self.shown = Zxid::ZERO;
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
