//! What a follower passes on between its observers and the leader.
//!
//! To the leader the clients of an observer are clients of the follower from which that learns: their
//! requests come over its connection, and so do the answers. What becomes of a request everybody learns
//! from its transaction; only what is answered to who asked has to be told apart here.

use std::collections::{BTreeMap, VecDeque};

use types::{Op, SessionId};
use wire::quorum::{SessionTouch, ToLeader};
use zab::Link;

use crate::ensemble::{Asker, Ensemble};

/// What is under way. Empty on servers without observers of their own.
#[derive(Debug, Default)]
pub(crate) struct Relayed {
    /// Who asked whether a session is alive, oldest first; this server too.
    revalidations: VecDeque<(SessionId, Asker)>,
    /// Sessions of observers that were heard of since the last ping of the leader, with their timeouts
    /// in milliseconds.
    touches: BTreeMap<SessionId, i32>,
}

impl Relayed {
    /// Notes who asked whether a session is alive.
    pub(crate) fn revalidates(&mut self, session: SessionId, asker: Asker) {
        self.revalidations.push_back((session, asker));
    }

    /// Who asked first of those that asked about a session.
    pub(crate) fn revalidated(&mut self, session: SessionId) -> Asker {
        let first = self.revalidations.iter().position(|(asked, _)| *asked == session);
        let found = first.and_then(|index| self.revalidations.remove(index));
        found.map_or(Asker::Here, |(_, asker)| asker)
    }

    /// The sessions that were heard of, once.
    pub(crate) fn take_touches(&mut self) -> impl Iterator<Item = SessionTouch> + use<> {
        let touches = std::mem::take(&mut self.touches).into_iter();
        touches.map(|(session, timeout_ms)| SessionTouch { session, timeout_ms })
    }
}

impl Ensemble {
    /// Passes on what an observer says.
    pub(crate) fn relay(&mut self, leader: Link, observer: Link, packet: &ToLeader<'_>) {
        match packet {
            ToLeader::Request(request) => {
                if matches!(request.request().map(|it| it.op), Ok(Op::Sync { .. })) {
                    self.asked.push_sync_of_observer(observer);
                }
                self.tell_leader(leader, packet);
            }
            ToLeader::Revalidate { session, .. } => {
                self.relayed.revalidates(*session, Asker::Learner(observer));
                self.tell_leader(leader, packet);
            }
            ToLeader::Ping { touches, .. } => {
                let touched = touches.iter().map(|it| (it.session, it.timeout_ms));
                self.relayed.touches.extend(touched);
            }
            ToLeader::FollowerInfo(_)
            | ToLeader::ObserverInfo(_)
            | ToLeader::AckEpoch { .. }
            | ToLeader::AckNewLeader { .. }
            | ToLeader::Ack { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_first_about_a_session_is_answered_first() {
        let (one, two) = (SessionId(1), SessionId(2));
        let (first, second) = (Asker::Learner(Link(7)), Asker::Learner(Link(8)));
        let mut relayed = Relayed::default();
        relayed.revalidates(one, first);
        relayed.revalidates(two, Asker::Here);
        relayed.revalidates(one, Asker::Here);
        relayed.revalidates(two, second);
        assert_eq!(relayed.revalidated(two), Asker::Here);
        assert_eq!(relayed.revalidated(one), first);
        assert_eq!(relayed.revalidated(one), Asker::Here);
        assert_eq!(relayed.revalidated(two), second);
        assert_eq!(relayed.revalidated(two), Asker::Here, "nobody is known to have asked");
    }
}
