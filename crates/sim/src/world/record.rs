//! What all servers of an ensemble must agree on, written down as it happens.

use std::collections::BTreeMap;

use types::{Epoch, Instant, Zxid};
use wire::stored::LogBatch;

use super::ledger;
use super::node::Life;
use crate::checkers::{Promise, Violation};
use crate::history::LoggedTxn;

/// Every transaction that any server gave to its log, and who has led.
#[derive(Debug, Default)]
pub(super) struct Record {
    txns: BTreeMap<Zxid, LoggedTxn>,
    leaders: BTreeMap<Epoch, Life>,
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
        }
        Ok(())
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

    /// Who leads in the last epoch that has begun.
    pub(super) fn last_leader(&self) -> Option<Life> {
        self.leaders.last_key_value().map(|(_, &leader)| leader)
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
