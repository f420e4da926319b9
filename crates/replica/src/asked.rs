//! Requests whose answer is the leader's to decide, in the order in which each session asked them.
//!
//! On a learner these are writes and syncs that were forwarded; on a leader, syncs that wait for the
//! confirmation that it still leads. What a session asks behind them waits here with them: reads behind
//! a write until its transaction is applied, everything behind a sync until that is answered.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use types::{SessionId, Xid};
use zab::Link;

use crate::published::Address;
use crate::request::{Origin, Waiting};

/// The requests of all sessions.
#[derive(Debug)]
pub(crate) struct Asked {
    by_session: HashMap<SessionId, VecDeque<Request>, FixedState>,
    /// Whose syncs are not answered, oldest first.
    syncs: VecDeque<Syncing>,
}

/// Who asked for a sync.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Syncing {
    /// A session of this server.
    Session(SessionId),
    /// An observer that learns from this server.
    Observer(Link),
}

#[derive(Debug)]
struct Request {
    answer: Answer,
    /// What the session asked after it, before the next one of these.
    behind: Vec<Waiting>,
}

/// What a request is answered by.
#[derive(Debug)]
enum Answer {
    /// The transaction of this number, which the session gave it.
    Txn {
        cxid: Xid,
        origin: Origin,
        /// Whether that is the end of the session, or the refusal to end it.
        is_end: bool,
    },
    /// The leader's word that everything before it was sent.
    Synced(Box<Waiting>),
}

/// Who may be told that everything before its sync is there.
#[derive(Debug)]
pub(crate) enum SyncedFor {
    /// A session of this server.
    Session(Box<Synced>),
    /// An observer.
    Observer(Link),
}

/// A sync that may be answered, and what waited behind it.
#[derive(Debug)]
pub(crate) struct Synced {
    pub(crate) sync: Waiting,
    pub(crate) behind: Vec<Waiting>,
}

impl Asked {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            by_session: HashMap::with_hasher(FixedState::with_seed(seed)),
            syncs: VecDeque::new(),
        }
    }

    /// Notes a write: its transaction will have this number.
    pub(crate) fn push_write(&mut self, session: SessionId, cxid: Xid, origin: Origin) {
        self.push(session, Answer::Txn { cxid, origin, is_end: false });
    }

    /// Notes that the session wants to end: so it is noted as a write.
    pub(crate) fn push_end(&mut self, session: SessionId, cxid: Xid, origin: Origin) {
        self.push(session, Answer::Txn { cxid, origin, is_end: true });
    }

    /// Notes a sync.
    pub(crate) fn push_sync(&mut self, sync: Waiting) {
        let session = sync.session;
        self.syncs.push_back(Syncing::Session(session));
        self.push(session, Answer::Synced(Box::new(sync)));
    }

    /// Notes the sync of an observer's client.
    pub(crate) fn push_sync_of_observer(&mut self, link: Link) {
        self.syncs.push_back(Syncing::Observer(link));
    }

    /// Whether the newest request of a session is a sync: whatever comes now waits for it.
    pub(crate) fn ends_with_sync(&self, session: SessionId) -> bool {
        let newest = self.by_session.get(&session).and_then(VecDeque::back);
        newest.is_some_and(|request| matches!(request.answer, Answer::Synced(_)))
    }

    /// Lets something wait for the newest request of its session; gives it back if there is none.
    pub(crate) fn wait(&mut self, waiting: Waiting) -> Result<(), Waiting> {
        match self.by_session.get_mut(&waiting.session).and_then(VecDeque::back_mut) {
            Some(newest) => {
                newest.behind.push(waiting);
                Ok(())
            }
            None => Err(waiting),
        }
    }

    /// The transaction of this number is being applied: who asked for it, if that was here. A session also
    /// `ends` without having asked for that, by a transaction that has a number which clients may use.
    pub(crate) fn decided(
        &mut self,
        session: SessionId,
        cxid: Xid,
        ends: bool,
    ) -> Option<(Origin, Vec<Waiting>)> {
        let requests = self.by_session.get_mut(&session)?;
        let Answer::Txn { cxid: next, origin, is_end } = requests.front()?.answer else {
            return None;
        };
        let origin = (next == cxid && (is_end || !ends)).then_some(origin)?;
        let behind = requests.pop_front()?.behind;
        self.drop_if_empty(session);
        Some((origin, behind))
    }

    /// The oldest sync may be answered.
    pub(crate) fn synced(&mut self) -> Option<SyncedFor> {
        let session = match self.syncs.pop_front()? {
            Syncing::Session(session) => session,
            Syncing::Observer(link) => return Some(SyncedFor::Observer(link)),
        };
        let requests = self.by_session.get_mut(&session)?;
        let is_sync = |it: &Request| matches!(it.answer, Answer::Synced(_));
        let request = requests.pop_front_if(|it| is_sync(it))?;
        self.drop_if_empty(session);
        let Answer::Synced(sync) = request.answer else { return None };
        Some(SyncedFor::Session(Box::new(Synced { sync: *sync, behind: request.behind })))
    }

    /// A session has ended: nobody waits any longer. Its syncs keep their places.
    pub(crate) fn forget(&mut self, session: SessionId) {
        self.by_session.remove(&session);
    }

    /// Nobody decides any longer. Returns the connections that waited for a session.
    pub(crate) fn clear(&mut self) -> Vec<Address> {
        self.syncs.clear();
        let requests = self.by_session.drain().flat_map(|(_, requests)| requests);
        let handshake = |request: Request| match request.answer {
            Answer::Txn { origin: Origin::Handshake(address), .. } => Some(address),
            _ => None,
        };
        let mut addresses: Vec<_> = requests.filter_map(handshake).collect();
        addresses.sort_unstable();
        addresses
    }

    fn push(&mut self, session: SessionId, answer: Answer) {
        let request = Request { answer, behind: Vec::new() };
        self.by_session.entry(session).or_default().push_back(request);
    }

    fn drop_if_empty(&mut self, session: SessionId) {
        if self.by_session.get(&session).is_some_and(VecDeque::is_empty) {
            self.by_session.remove(&session);
        }
    }
}
