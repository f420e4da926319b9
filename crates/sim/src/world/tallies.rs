//! What is counted when a run is over: from the history that clients have seen, and from what servers have
//! given to their logs.

use std::collections::{BTreeMap, BTreeSet};

use types::{Instant, Op, SessionId, Txn, Write, Xid};

use super::World;
use crate::history::{Event, LoggedTxn};
use crate::model::Sessions;

/// The ends of sessions, and the creations that were under way in each.
#[derive(Default)]
struct Races {
    /// From when to when a session waited for the answer to a creation.
    creations: BTreeMap<SessionId, Vec<(Instant, Instant)>>,
}

impl World {
    /// Counts what can only be told at the end.
    pub(super) fn count_at_the_end(&mut self) {
        self.count_answers();
        self.count_transactions();
        self.count_local_sessions();
        self.count_epochs();
    }

    /// Counts what was asked, pings and the like aside, and what was done.
    fn count_answers(&mut self) {
        let (mut answered, mut made, mut done) = (0, 0, 0);
        for line in &self.history.lines {
            match &line.event {
                Event::Invoke { xid, .. } => made += u64::from(xid.0 > 0),
                Event::Reply { xid, result, .. } => {
                    answered += 1;
                    done += u64::from(xid.0 > 0 && result.is_ok());
                }
                _ => {}
            }
        }
        self.counters.add("answered requests", answered);
        self.counters.add("request made", made);
        self.counters.add("request done", done);
    }

    /// Counts what the servers did on their own account.
    fn count_transactions(&mut self) {
        let races = Races::of(&self.history.lines);
        for logged in &self.history.log {
            match logged.txn {
                Txn::CloseSession { .. } if logged.header.cxid == Xid::INTERNAL => {
                    self.counters.count("session expired");
                    self.counters.add("expiry raced a create", races.has_with(logged).into());
                }
                Txn::DeleteContainer { .. } if logged.header.cxid == Xid::INTERNAL => {
                    self.counters.count("container or TTL reaped");
                }
                _ => {}
            }
        }
    }

    /// Counts the sessions that were local at first, and what came of them.
    fn count_local_sessions(&mut self) {
        if self.plan.servers.sessions == Sessions::Global {
            return;
        }
        let opened: BTreeSet<_> = self
            .history
            .log
            .iter()
            .filter(|logged| matches!(logged.txn, Txn::CreateSession { .. }))
            .map(|logged| logged.header.session)
            .collect();
        let sessions: BTreeSet<_> = self
            .history
            .lines
            .iter()
            .filter_map(|line| match line.event {
                Event::Connected { session, .. } => Some(session),
                _ => None,
            })
            .collect();
        let became_global = sessions.intersection(&opened).count() as u64;
        let stayed_local = sessions.difference(&opened).count() as u64;
        self.counters.add("local session became a global one", became_global);
        self.counters.add("local session stayed one", stayed_local);
    }

    /// Counts epochs of which all numbers were used, of one server; in ensembles, where leaders begin with the
    /// first one, those in which nothing was logged.
    fn count_epochs(&mut self) {
        if !self.plan.servers.are_ensemble() {
            let epochs: Vec<_> = self.history.log.iter().map(|it| it.header.zxid.epoch()).collect();
            let changes = epochs.windows(2).filter(|pair| pair[0] != pair[1]).count() as u64;
            let first = epochs.first().is_some_and(|&epoch| epoch != self.plan.start.epoch());
            self.counters.add("epoch used up", changes + u64::from(first));
            return;
        }
        self.counters.add("epoch without a transaction", self.record.empty_epochs());
    }
}

impl Races {
    fn of(lines: &[crate::history::Line]) -> Self {
        let mut creations: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut open = BTreeMap::new();
        for line in lines {
            match &line.event {
                Event::Invoke { session, conn, xid, op: Op::Write(Write::Create(_)), .. } => {
                    open.insert((*conn, *xid), (*session, line.at));
                }
                Event::Reply { conn, xid, .. } | Event::Unknown { conn, xid, .. } => {
                    if let Some((session, from)) = open.remove(&(*conn, *xid)) {
                        creations.entry(session).or_default().push((from, line.at));
                    }
                }
                _ => {}
            }
        }
        Self { creations }
    }

    /// Whether the session that ends here was waiting for a creation.
    fn has_with(&self, end: &LoggedTxn) -> bool {
        let (Some(at), Some(creations)) = (end.at, self.creations.get(&end.header.session)) else {
            return false;
        };
        creations.iter().any(|(from, to)| *from <= at && at <= *to)
    }
}
