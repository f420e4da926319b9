//! D4, M1, M3, M4: what is committed is on the disks of a quorum, every later leader has it, and no
//! log loses it.

use std::collections::{BTreeMap, BTreeSet};

use types::{Epoch, Zxid};

use crate::checkers::{Promise, Violation};
use crate::world::World;
use crate::world::ledger::Snapshot;
use crate::world::node::NodeId;

/// The histories with which leaders began, and what they have committed.
#[derive(Debug, Default)]
pub(in crate::world) struct Reigns {
    committed: BTreeSet<Zxid>,
    /// The history with which an epoch began, until a quorum has it.
    beginnings: BTreeMap<Epoch, Vec<Zxid>>,
}

impl Reigns {
    /// Whether a leader has committed this.
    pub(in crate::world) fn has_committed(&self, zxid: Zxid) -> bool {
        self.committed.contains(&zxid)
    }
}

impl World {
    /// M1, M3: a leader brings learners to a history that has all that was committed before.
    pub(in crate::world) fn check_beginning(
        &mut self,
        node: NodeId,
        epoch: Epoch,
    ) -> Result<(), Violation> {
        let Some(process) = &self.nodes[node].process else { return Ok(()) };
        let on_the_way = process.unlogged();
        let logged = self.nodes[node].ledger.txns().iter().map(|logged| logged.header.zxid);
        let history: Vec<Zxid> = logged.chain(on_the_way).collect();
        let start = self.plan.start;
        let earlier = self.reigns.committed.iter().filter(|zxid| zxid.epoch() < epoch);
        let missing = earlier.copied().find(|zxid| history.binary_search(zxid).is_err());
        if let Some(zxid) = missing.filter(|&zxid| zxid > start) {
            let sid = node.sid().0;
            let detail =
                format!("server {sid} leads in {epoch:?} without {zxid}, which is committed");
            return Err(Violation::new(Promise::M3, detail));
        }
        self.reigns.beginnings.insert(epoch, history);
        Ok(())
    }

    /// D1, D4: a quorum has adopted the epoch, and has its history, before learners serve.
    pub(in crate::world) fn check_reign(&mut self, epoch: Epoch) -> Result<(), Violation> {
        let Some(history) = self.reigns.beginnings.remove(&epoch) else { return Ok(()) };
        self.require_quorum(Promise::D1, &format!("{epoch:?}"), |world, voter| {
            world.nodes[voter].current_epoch >= epoch
        })?;
        history.into_iter().try_for_each(|zxid| self.check_commit(zxid))
    }

    /// D4: a quorum has what a leader commits.
    pub(in crate::world) fn check_commits(
        &mut self,
        first: Zxid,
        last: Zxid,
    ) -> Result<(), Violation> {
        let zxids: Vec<Zxid> = self.record.through(first, last).collect();
        zxids.into_iter().try_for_each(|zxid| self.check_commit(zxid))
    }

    /// M4: nothing that is committed is cut off. But a leader may tell a learner to cut what is not
    /// committed yet, and commit it with others before that is done; it sends it again.
    pub(in crate::world) fn check_cut(&self, node: NodeId, keep: Zxid) -> Result<(), Violation> {
        let behind = self.nodes[node].ledger.txns().iter().map(|logged| logged.header.zxid);
        let mut lost = behind.filter(|zxid| *zxid > keep && self.reigns.committed.contains(zxid));
        lost.try_for_each(|zxid| {
            let what = format!("{zxid}, which server {} cuts off,", node.sid().0);
            self.require_quorum(Promise::M4, &what, |world, voter| {
                voter != node && world.nodes[voter].ledger.is_durable(zxid)
            })
        })
    }

    /// M4: a snapshot that replaces a log has all that is committed up to it.
    pub(in crate::world) fn check_replacement(
        &self,
        node: NodeId,
        snapshot: &Snapshot,
    ) -> Result<(), Violation> {
        let has = |zxid: &Zxid| {
            snapshot.txns.binary_search_by_key(zxid, |logged| logged.header.zxid).is_ok()
        };
        let mut due = self.reigns.committed.range(..=snapshot.zxid);
        match due.find(|zxid| !has(zxid)) {
            None => Ok(()),
            Some(zxid) => {
                let sid = node.sid().0;
                let detail = format!("server {sid} installs a snapshot without {zxid}");
                Err(Violation::new(Promise::M4, detail))
            }
        }
    }

    fn check_commit(&mut self, zxid: Zxid) -> Result<(), Violation> {
        if !self.reigns.committed.insert(zxid) {
            return Ok(());
        }
        self.require_quorum(Promise::D4, &zxid.to_string(), |world, voter| {
            world.nodes[voter].ledger.is_durable(zxid)
        })
    }

    /// A quorum of voters has something on its disks. Those whose disks were damaged may have had it.
    fn require_quorum(
        &self,
        promise: Promise,
        what: &str,
        has: impl Fn(&Self, NodeId) -> bool,
    ) -> Result<(), Violation> {
        let voters = self.plan.servers.voters;
        let holds =
            |&voter: &NodeId| self.nodes[voter].forgetful_since.is_some() || has(self, voter);
        let holders: Vec<_> = self.nodes.ids().take(voters).filter(holds).collect();
        if holders.len() > voters / 2 {
            return Ok(());
        }
        let sids: Vec<_> = holders.iter().map(|voter| voter.sid().0).collect();
        Err(Violation::new(promise, format!("{what} is on the disks of {sids:?} only")))
    }
}
