//! D4, M1, M3, M4, R2, R4: what is committed is on the disks of a quorum, every later leader has it, and no
//! log loses it.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::membership::Membership;
use types::{Counter, Epoch, Zxid};

use super::memberships::voters;
use crate::checkers::{Promise, Violation};
use crate::world::World;
use crate::world::ledger::Snapshot;
use crate::world::node::NodeId;

/// The histories with which leaders began, and what they have committed.
#[derive(Debug)]
pub(in crate::world) struct Reigns {
    /// What is committed, and in which epoch's reign that was done.
    committed: BTreeMap<Zxid, Epoch>,
    /// What an epoch began with, until a quorum has it.
    beginnings: BTreeMap<Epoch, Beginning>,
    /// The memberships, each by the transaction that brought it or the beginning of the reign with which it
    /// came in force.
    memberships: BTreeMap<Zxid, Arc<Membership>>,
}

/// What a leader brings its learners to.
#[derive(Debug)]
struct Beginning {
    history: Vec<Zxid>,
    /// The newest that it has seen.
    membership: Arc<Membership>,
}

impl Reigns {
    /// No leader yet, and this membership.
    pub(in crate::world) fn new(membership: Membership) -> Self {
        let memberships = BTreeMap::from([(Zxid::ZERO, Arc::new(membership))]);
        Self { committed: BTreeMap::new(), beginnings: BTreeMap::new(), memberships }
    }

    /// The memberships that have been in force, the newest first.
    pub(in crate::world) fn memberships(&self) -> impl Iterator<Item = &Arc<Membership>> {
        self.memberships.values().rev()
    }

    /// The membership in force when a transaction is committed.
    pub(in crate::world) fn membership_at(&self, zxid: Zxid) -> &Arc<Membership> {
        let before = self.memberships.range(..zxid).next_back();
        before.map(|(_, membership)| membership).expect("there is one from the start")
    }

    /// The last transaction that a leader has committed.
    pub(in crate::world) fn last_committed(&self) -> Zxid {
        self.committed.last_key_value().map_or(Zxid::ZERO, |(&zxid, _)| zxid)
    }

    /// Whether a leader has committed this.
    pub(in crate::world) fn has_committed(&self, zxid: Zxid) -> bool {
        self.committed.contains_key(&zxid)
    }
}

impl World {
    /// M1, M3: a leader brings learners to a history that has all that was committed before.
    pub(in crate::world) fn check_beginning(
        &mut self,
        node: NodeId,
        epoch: Epoch,
        config: &str,
    ) -> Result<(), Violation> {
        let Some(process) = &self.nodes[node].process else { return Ok(()) };
        let on_the_way = process.unlogged();
        let logged = self.nodes[node].ledger.txns().iter().map(|logged| logged.header.zxid);
        let history: Vec<Zxid> = logged.chain(on_the_way).collect();
        let start = self.plan.start;
        // Somebody whose epoch is over already, and who has not heard of it, may begin all the same.
        let earlier = self.reigns.committed.iter().filter(|(_, reign)| **reign < epoch);
        let missing =
            earlier.map(|(zxid, _)| *zxid).find(|zxid| history.binary_search(zxid).is_err());
        if let Some(zxid) = missing.filter(|&zxid| zxid > start) {
            let sid = node.sid().0;
            let detail =
                format!("server {sid} leads in {epoch:?} without {zxid}, which is committed");
            return Err(Violation::new(Promise::M3, detail));
        }
        let Ok(membership) = Membership::parse(config) else {
            let detail = format!("server {} tells no membership: {config}", node.sid().0);
            return Err(Violation::new(Promise::R3, detail));
        };
        let membership = Arc::new(membership);
        self.reigns.beginnings.insert(epoch, Beginning { history, membership });
        Ok(())
    }

    /// D1, D4: a quorum has adopted the epoch, and has its history, before learners serve.
    pub(in crate::world) fn check_reign(&mut self, epoch: Epoch) -> Result<(), Violation> {
        let Some(beginning) = self.reigns.beginnings.remove(&epoch) else { return Ok(()) };
        let Beginning { history, membership } = beginning;
        let is_new = |zxid: &Zxid| !self.reigns.has_committed(*zxid);
        let new = history.iter().copied().filter(is_new);
        let changes = new.filter_map(|zxid| self.record.change(zxid).cloned());
        let mut deciding: Vec<_> = changes.collect();
        deciding.extend([self.in_force(), Arc::clone(&membership)]);
        self.require_quorum(Promise::D1, &format!("{epoch:?}"), &deciding, |world, voter| {
            world.nodes[voter].current_epoch >= epoch
        })?;
        history.into_iter().try_for_each(|zxid| self.check_commit(zxid, epoch))?;
        self.begin_with(epoch, membership);
        Ok(())
    }

    /// A membership comes in force with a reign if it is newer: it was proposed, and the leader did not
    /// find that transaction; or it was written by hand, and has its place now.
    fn begin_with(&mut self, epoch: Epoch, membership: Arc<Membership>) {
        if membership.version() > self.in_force().version() {
            let beginning = Zxid::new(epoch, Counter(0));
            self.counters.count(match membership.version().zxid() == beginning {
                true => "membership gets its first version",
                false => "membership in force without its transaction",
            });
            self.history.memberships.push((beginning, Membership::clone(&membership)));
            self.reigns.memberships.insert(beginning, membership);
        }
    }

    /// D4: a quorum has what a leader commits. R4: it votes itself in the membership that was in force
    /// before.
    pub(in crate::world) fn check_commits(
        &mut self,
        leader: NodeId,
        first: Zxid,
        last: Zxid,
    ) -> Result<(), Violation> {
        let zxids: Vec<Zxid> = self.record.through(first, last).collect();
        zxids.into_iter().try_for_each(|zxid| {
            let is_news = !self.reigns.has_committed(zxid);
            if is_news && voters(self.reigns.membership_at(zxid)).all(|voter| voter != leader) {
                let sid = leader.sid().0;
                let detail = format!("server {sid} does not vote any longer, and commits {zxid}");
                return Err(Violation::new(Promise::R4, detail));
            }
            self.check_commit(zxid, zxid.epoch())
        })
    }

    /// M4: nothing that is committed is cut off. But a leader may tell a learner to cut what is not
    /// committed yet, and commit it with others before that is done; it sends it again.
    pub(in crate::world) fn check_cut(&self, node: NodeId, keep: Zxid) -> Result<(), Violation> {
        let behind = self.nodes[node].ledger.txns().iter().map(|logged| logged.header.zxid);
        let mut lost = behind.filter(|zxid| *zxid > keep && self.reigns.has_committed(*zxid));
        lost.try_for_each(|zxid| {
            let what = format!("{zxid}, which server {} cuts off,", node.sid().0);
            self.require_quorum(Promise::M4, &what, &[self.in_force()], |world, voter| {
                voter != node && world.nodes[voter].ledger.is_durable(zxid)
            })
        })
    }

    /// M4: a snapshot that replaces a log has all that is committed up to it, and nothing behind it is
    /// lost.
    pub(in crate::world) fn check_replacement(
        &self,
        node: NodeId,
        snapshot: &Snapshot,
    ) -> Result<(), Violation> {
        let has = |zxid: &Zxid| {
            snapshot.txns.binary_search_by_key(zxid, |logged| logged.header.zxid).is_ok()
        };
        let mut due = self.reigns.committed.range(..=snapshot.zxid).map(|(zxid, _)| zxid);
        match due.find(|zxid| !has(zxid)) {
            None => self.check_cut(node, snapshot.zxid),
            Some(zxid) => {
                let sid = node.sid().0;
                let detail = format!("server {sid} installs a snapshot without {zxid}");
                Err(Violation::new(Promise::M4, detail))
            }
        }
    }

    fn check_commit(&mut self, zxid: Zxid, reign: Epoch) -> Result<(), Violation> {
        if self.reigns.has_committed(zxid) {
            return Ok(());
        }
        self.reigns.committed.insert(zxid, reign);
        let change = self.record.change(zxid).cloned();
        let before = Arc::clone(self.reigns.membership_at(zxid));
        let deciding: Vec<_> = Some(before).into_iter().chain(change.clone()).collect();
        if let Some(change) = change {
            self.counters.count("membership changed");
            self.reigns.memberships.insert(zxid, change);
        }
        self.require_quorum(Promise::D4, &zxid.to_string(), &deciding, |world, voter| {
            world.nodes[voter].ledger.is_durable(zxid)
        })
    }

    /// A quorum of the voters of each membership has something on its disks. Those whose disks were
    /// damaged may have had it.
    fn require_quorum(
        &self,
        promise: Promise,
        what: &str,
        deciding: &[Arc<Membership>],
        has: impl Fn(&Self, NodeId) -> bool,
    ) -> Result<(), Violation> {
        let holds =
            |&voter: &NodeId| self.nodes[voter].forgetful_since.is_some() || has(self, voter);
        for membership in deciding {
            if voters(membership).filter(holds).count() > voters(membership).count() / 2 {
                continue;
            }
            let sids: Vec<_> = voters(membership).filter(holds).map(|it| it.sid().0).collect();
            let of: Vec<_> = voters(membership).map(|it| it.sid().0).collect();
            let detail = format!("{what} is on the disks of {sids:?} only, of {of:?}");
            return Err(Violation::new(promise, detail));
        }
        Ok(())
    }
}
