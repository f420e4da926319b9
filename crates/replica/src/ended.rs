//! Sessions that have ended, and of which a learner may not have heard yet that they have.
//!
//! Where there are local sessions, a leader takes one that it does not know for that of another server,
//! and does what it asks. A session that was upgraded and has ended is one that it does not know, too:
//! without these notes a write of it that was under way would be done after its ephemerals are gone, and
//! whoever has its lock by then would not be alone.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use types::{Instant, SessionId};

/// The global sessions that have ended lately.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// How long a learner can stay one that has not heard of an end; `None` if nobody needs to know.
    notice_max: Option<Duration>,
    ids: BTreeSet<SessionId>,
    /// The same, in the order in which they ended.
    since: VecDeque<(Instant, SessionId)>,
}

impl Ended {
    /// Of a leader from whom learners hear at least so often, if there are local sessions.
    pub(crate) const fn new(notice_max: Option<Duration>) -> Self {
        Self { notice_max, ids: BTreeSet::new(), since: VecDeque::new() }
    }

    /// A global session has ended.
    pub(crate) fn note(&mut self, now: Instant, id: SessionId) {
        let Some(notice_max) = self.notice_max else { return };
        while let Some((since, oldest)) = self.since.front().copied()
            && since.after(notice_max) < now
        {
            self.since.pop_front();
            self.ids.remove(&oldest);
        }
        if self.ids.insert(id) {
            self.since.push_back((now, id));
        }
    }

    /// Whether a session is known to have ended. One that has ended long ago may have been forgotten.
    pub(crate) fn has(&self, id: SessionId) -> bool {
        self.ids.contains(&id)
    }

    /// Forgets them: who follows a new leader knows of all of them before it asks for anything.
    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.since.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn ends_are_remembered_as_long_as_somebody_may_not_know_of_them() {
        let mut ended = Ended::new(Some(Duration::from_millis(100)));
        ended.note(at(0), SessionId(1));
        ended.note(at(0), SessionId(1));
        ended.note(at(100), SessionId(2));
        assert!(ended.has(SessionId(1)) && ended.has(SessionId(2)) && !ended.has(SessionId(3)));
        ended.note(at(101), SessionId(3));
        assert!(!ended.has(SessionId(1)) && ended.has(SessionId(2)) && ended.has(SessionId(3)));
        ended.clear();
        assert!(!ended.has(SessionId(2)) && !ended.has(SessionId(3)));
    }

    #[test]
    fn nothing_is_remembered_where_all_sessions_are_global() {
        let mut ended = Ended::new(None);
        ended.note(at(0), SessionId(1));
        assert!(!ended.has(SessionId(1)));
    }
}
