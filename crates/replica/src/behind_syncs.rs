//! What a learner asked behind a sync that its leader has not answered.
//!
//! Apache's servers expect what they asked to be decided in the order in which they asked, whichever
//! sessions it was for, and the word that a sync may be answered is part of that order: a write that is
//! committed before an older sync is answered is to them somebody else's, and from then on they answer no
//! client any more. Thus a write behind a sync is proposed when the sync was answered. Syncs do not wait
//! for each other.
//!
//! Who owns a session is part of that order too: what was asked before a session came back to a learner is
//! not from where it is then.

use std::collections::{BTreeMap, VecDeque};

use types::{Id, SessionId};
use wire::quorum::{AuthInfo, ForwardedRequest};
use zab::Link;

/// What all learners wait for. Empty on everybody but leaders.
#[derive(Debug, Default)]
pub(crate) struct BehindSyncs(BTreeMap<Link, Queue>);

#[derive(Debug, Default)]
struct Queue {
    /// How many syncs are to be answered before the first of those that are held.
    syncs: usize,
    held: VecDeque<Held>,
}

/// What was asked, which borrows nothing.
#[derive(Debug)]
pub(crate) enum Held {
    Request(HeldRequest),
    /// Whether a session is alive that comes to the learner, with its timeout.
    Revalidate {
        session: SessionId,
        timeout_ms: i32,
    },
}

/// A client's request.
#[derive(Debug)]
pub(crate) struct HeldRequest {
    session: SessionId,
    body: Box<[u8]>,
    ids: Vec<Id>,
}

impl HeldRequest {
    fn new(request: &ForwardedRequest<'_>) -> Self {
        let ids = request.auth.ids().map(|id| id.to_id()).collect();
        Self { session: request.session, body: request.body.into(), ids }
    }

    /// The request, whose identities are encoded into `buffer`.
    pub(crate) fn request<'a>(&'a self, buffer: &'a mut Vec<u8>) -> ForwardedRequest<'a> {
        let auth = AuthInfo::encode(buffer, &self.ids);
        ForwardedRequest { session: self.session, body: &self.body, auth }
    }
}

impl BehindSyncs {
    /// Whether a request has to wait, in which case it is kept. A sync that has not is counted.
    pub(crate) fn hold(
        &mut self,
        link: Link,
        request: &ForwardedRequest<'_>,
        is_sync: bool,
    ) -> bool {
        if is_sync {
            let queue = self.0.entry(link).or_default();
            if queue.held.is_empty() {
                queue.syncs += 1;
                return false;
            }
        }
        let Some(queue) = self.0.get_mut(&link) else { return false };
        queue.held.push_back(Held::Request(HeldRequest::new(request)));
        true
    }

    /// Whether the question for a session has to wait for requests, in which case it is kept.
    pub(crate) fn hold_question(
        &mut self,
        link: Link,
        session: SessionId,
        timeout_ms: i32,
    ) -> bool {
        let waiting = self.0.get_mut(&link).filter(|queue| !queue.held.is_empty());
        let Some(queue) = waiting else { return false };
        queue.held.push_back(Held::Revalidate { session, timeout_ms });
        true
    }

    /// The oldest sync of a learner was answered.
    pub(crate) fn answered(&mut self, link: Link) {
        let Some(queue) = self.0.get_mut(&link) else { return };
        queue.syncs = queue.syncs.saturating_sub(1);
        if queue.syncs == 0 && queue.held.is_empty() {
            self.0.remove(&link);
        }
    }

    /// What of a learner waits no longer. Whatever of it has to wait again is to be held.
    pub(crate) fn take_released(&mut self) -> Option<(Link, VecDeque<Held>)> {
        let (&link, _) = self.0.iter().find(|(_, queue)| queue.syncs == 0)?;
        let queue = self.0.remove(&link)?;
        Some((link, queue.held))
    }

    /// A learner is gone.
    pub(crate) fn forget(&mut self, link: Link) {
        self.0.remove(&link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(session: i64) -> ForwardedRequest<'static> {
        ForwardedRequest { session: SessionId(session), body: &[0; 8], auth: AuthInfo::NULL }
    }

    fn released(behind: &mut BehindSyncs) -> Vec<(Link, SessionId)> {
        let (link, held) = behind.take_released().expect("released");
        let session = |it: &Held| match it {
            Held::Request(request) => request.session,
            Held::Revalidate { session, .. } => *session,
        };
        held.iter().map(|it| (link, session(it))).collect()
    }

    #[test]
    fn what_comes_behind_syncs_waits_for_all_of_them() {
        let (link, other) = (Link(1), Link(2));
        let mut behind = BehindSyncs::default();
        assert!(!behind.hold(link, &request(1), false), "no sync is under way");
        assert!(!behind.hold(link, &request(2), true));
        assert!(!behind.hold(link, &request(3), true), "syncs do not wait for each other");
        assert!(behind.hold(link, &request(4), false));
        assert!(behind.hold(link, &request(5), true), "a sync waits for what is held");
        assert!(!behind.hold(other, &request(6), false), "another learner's");
        behind.answered(link);
        assert!(behind.take_released().is_none());
        behind.answered(link);
        assert_eq!(released(&mut behind), [(link, SessionId(4)), (link, SessionId(5))]);
        assert!(behind.0.is_empty());
    }

    #[test]
    fn a_question_waits_for_requests_and_not_for_syncs() {
        let link = Link(1);
        let mut behind = BehindSyncs::default();
        assert!(!behind.hold_question(link, SessionId(1), 1000));
        assert!(!behind.hold(link, &request(2), true));
        assert!(!behind.hold_question(link, SessionId(1), 1000), "syncs own nothing");
        assert!(behind.hold(link, &request(3), false));
        assert!(behind.hold_question(link, SessionId(3), 1000));
        assert!(behind.hold(link, &request(4), false));
        assert!(!behind.hold_question(Link(2), SessionId(3), 1000), "another learner's");
        behind.answered(link);
        let sessions = [3, 3, 4].map(|session| (link, SessionId(session)));
        assert_eq!(released(&mut behind), sessions);
    }

    #[test]
    fn a_learner_that_is_gone_has_nothing_left() {
        let link = Link(1);
        let mut behind = BehindSyncs::default();
        assert!(!behind.hold(link, &request(1), true));
        assert!(behind.hold(link, &request(2), false));
        behind.forget(link);
        behind.answered(link);
        assert!(behind.take_released().is_none());
        assert!(!behind.hold(link, &request(3), false));
    }
}
