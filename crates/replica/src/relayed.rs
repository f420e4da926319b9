//! What a follower passes on between its observers and the leader.
//!
//! To the leader the clients of an observer are clients of the follower from which that learns: their
//! requests come over its connection, and so do the answers. What becomes of a request everybody learns
//! from its transaction; only what is answered to who asked has to be told apart here.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use types::{Op, SessionId};
use wire::quorum::{SessionTouch, ToLeader};
use zab::Link;

use crate::ensemble::{Asker, Ensemble};

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Relayed {
    /// Who asked whether a session is alive, oldest first; this server too.
    revalidations: BTreeMap<SessionId, VecDeque<Asker>>,
    /// Sessions of observers that were heard of since the last ping of the leader, with their timeouts
    /// in milliseconds.
    touches: BTreeMap<SessionId, i32>,
}

impl Relayed {
    /// Notes who asked whether a session is alive.
    pub(crate) fn revalidates(&mut self, session: SessionId, asker: Asker) {
        self.revalidations.entry(session).or_default().push_back(asker);
    }

    /// Whom the next word on a session is for: who asked first. `None` if that is this server and it has asked
    /// again since: the session may have ended between its questions, and its last one is answered later.
    pub(crate) fn revalidated(&mut self, session: SessionId) -> Option<Asker> {
        let Entry::Occupied(mut askers) = self.revalidations.entry(session) else { return None };
        let asker = askers.get_mut().pop_front();
        let asks_again = asker == Some(Asker::Here) && askers.get().contains(&Asker::Here);
        if askers.get().is_empty() {
            askers.remove();
        }
        asker.filter(|_| !asks_again)
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
        assert_eq!(relayed.revalidated(two), Some(Asker::Here));
        assert_eq!(relayed.revalidated(one), Some(first));
        assert_eq!(relayed.revalidated(one), Some(Asker::Here));
        assert_eq!(relayed.revalidated(two), Some(second));
        assert_eq!(relayed.revalidated(two), None, "nobody is known to have asked");
    }

    #[test]
    fn of_what_this_server_asks_about_a_session_the_last_answer_counts() {
        let (session, observer) = (SessionId(1), Asker::Learner(Link(7)));
        let mut relayed = Relayed::default();
        for asker in [Asker::Here, observer, Asker::Here] {
            relayed.revalidates(session, asker);
        }
        let askers = [(); 3].map(|()| relayed.revalidated(session));
        assert_eq!(askers, [None, Some(observer), Some(Asker::Here)]);
    }
}
