//! What all servers of an ensemble must agree on, written down as it happens.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::membership::{ConfigVersion, Membership};
use types::{Counter, Epoch, Instant, Txn, Zxid};
use wire::stored::LogBatch;

use super::ledger;
use super::node::{Life, NodeId};
use crate::checkers::{Promise, Violation};
use crate::history::LoggedTxn;

/// Every transaction that any server gave to its log, and who has led.
#[derive(Debug, Default)]
pub(super) struct Record {
    txns: BTreeMap<Zxid, LoggedTxn>,
    leaders: BTreeMap<Epoch, Life>,
    /// The memberships that some of them bring.
    changes: BTreeMap<Zxid, Arc<Membership>>,
    /// Every membership that any server has known.
    memberships: BTreeMap<ConfigVersion, Arc<Membership>>,
}

impl Record {
    /// Notes what a server logs.
    ///
    /// # Errors
    /// Z3: another transaction with the same place was logged before.
    pub(super) fn logs(
        &mut self,
        at: Instant,
        life: Life,
        batch: &LogBatch,
    ) -> Result<(), Violation> {
        for logged in ledger::decode(at, batch)? {
            let zxid = logged.header.zxid;
            let known = self.txns.entry(zxid).or_insert_with(|| logged.clone());
            if !known.is_same(&logged) {
                let sid = life.node.sid().0;
                let detail = format!("server {sid} logs {logged}, but somebody has {known}");
                return Err(Violation::new(Promise::Z3, detail));
            }
            if let Txn::Reconfig { data, .. } = &logged.txn {
                let membership = membership_in(data.as_deref().unwrap_or_default());
                let membership = membership.filter(|it| it.version().zxid() == zxid);
                let Some(membership) = membership else {
                    let detail = format!("not of version {zxid}, or no membership: {logged}");
                    return Err(Violation::new(Promise::R3, detail));
                };
                self.changes.entry(zxid).or_insert_with(|| Arc::new(membership));
            }
        }
        Ok(())
    }

    /// Notes a membership that a server knows.
    ///
    /// # Errors
    /// R3: another one has the same version.
    pub(super) fn sees(
        &mut self,
        node: NodeId,
        membership: &Arc<Membership>,
    ) -> Result<(), Violation> {
        let version = membership.version();
        let known = self.memberships.entry(version).or_insert_with(|| Arc::clone(membership));
        if known == membership {
            return Ok(());
        }
        let sid = node.sid().0;
        let detail = format!("server {sid} has {membership} as {version}, others have {known}");
        Err(Violation::new(Promise::R3, detail))
    }

    /// The membership that a transaction brings, if it does.
    pub(super) fn change(&self, zxid: Zxid) -> Option<&Arc<Membership>> {
        self.changes.get(&zxid)
    }

    /// Notes who has begun to lead in an epoch. Tells whether that is news.
    ///
    /// # Errors
    /// Z2: somebody else has.
    pub(super) fn leads(&mut self, life: Life, epoch: Epoch) -> Result<bool, Violation> {
        match self.leaders.insert(epoch, life) {
            None => Ok(true),
            Some(before) if before == life => Ok(false),
            Some(before) => {
                let (one, other) = (before.node.sid().0, life.node.sid().0);
                let detail = format!("servers {one} and {other} lead in epoch {}", epoch.0);
                Err(Violation::new(Promise::Z2, detail))
            }
        }
    }

    /// The last epoch in which this process has led.
    pub(super) fn epoch_of(&self, life: Life) -> Option<Epoch> {
        self.leaders.iter().rev().find(|(_, leader)| **leader == life).map(|(&epoch, _)| epoch)
    }

    /// The last epoch that has begun.
    pub(super) fn last_epoch(&self) -> Option<Epoch> {
        self.leaders.last_key_value().map(|(&epoch, _)| epoch)
    }

    /// Who leads in the last epoch that has begun.
    pub(super) fn last_leader(&self) -> Option<Life> {
        self.leaders.last_key_value().map(|(_, &leader)| leader)
    }

    /// How many epochs have begun in which nobody logged anything.
    pub(super) fn empty_epochs(&self) -> u64 {
        let is_empty = |epoch: Epoch| {
            let next = self.txns.range(Zxid::new(epoch, Counter(0))..).next();
            next.is_none_or(|(zxid, _)| zxid.epoch() > epoch)
        };
        self.leaders.keys().filter(|epoch| is_empty(**epoch)).count() as u64
    }

    /// Whether somebody has logged a change of the membership behind this transaction.
    pub(super) fn changes_behind(&self, zxid: Zxid) -> bool {
        self.changes.last_key_value().is_some_and(|(&last, _)| last > zxid)
    }

    /// The last transaction that any server gave to its log.
    pub(super) fn last(&self) -> Zxid {
        self.txns.last_key_value().map_or(Zxid::ZERO, |(&zxid, _)| zxid)
    }

    /// The places of the transactions from one to another.
    pub(super) fn through(&self, first: Zxid, last: Zxid) -> impl Iterator<Item = Zxid> {
        let from = self.txns.range(first..).map(|(&zxid, _)| zxid);
        from.take_while(move |zxid| *zxid <= last)
    }

    /// The transactions after one, up to another.
    pub(super) fn between(&self, after: Zxid, last: Zxid) -> impl Iterator<Item = &LoggedTxn> {
        let from = self.txns.range(after..).map(|(_, logged)| logged);
        from.skip_while(move |logged| logged.header.zxid <= after)
            .take_while(move |logged| logged.header.zxid <= last)
    }
}

fn membership_in(data: &[u8]) -> Option<Membership> {
    Membership::parse(std::str::from_utf8(data).ok()?).ok()
}
