//! Sessions: who is alive, until when, and over which connection.
//!
//! That a session exists is part of the replicated state (`tree::Tree::sessions`). Here is what
//! only the server that tracks it knows: when its client was last heard of and which connection
//! speaks for it.
//!
//! A client is heard of by the thread that reads its connection, which notes the time in a
//! [`Heartbeat`] and tells nobody. Sessions wait in buckets of one tick; only when a bucket is due
//! is the note looked at, and who was heard of in the meantime moves to a later bucket. So a ping
//! costs a store, and expiry is still exact: a session lives for its timeout after the last sign
//! of life, rounded up to the next tick.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use types::{Instant, SessionId, mutant};
use zab::Link;

use crate::Address;

/// When a session's client was last heard of; shared between the connection's thread and the
/// replica.
#[derive(Clone, Debug)]
pub struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    /// The client was heard of just now.
    pub fn new(now: Instant) -> Self {
        Self(Arc::new(AtomicU64::new(now.nanos())))
    }

    /// The client was heard of.
    pub fn beat(&self, now: Instant) {
        self.0.store(now.nanos(), Ordering::Relaxed);
    }

    /// When that was, last.
    pub fn last(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// The server whose client a session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// This one.
    Here,
    /// A learner, by its connection.
    Learner(Link),
}

/// Which servers know of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    /// All: it is in the tree, and the leader ends it.
    Global,
    /// This one alone, which ends it. There is no transaction about it.
    Local,
}

/// What the tracking server knows of one session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) timeout: Duration,
    pub(crate) heartbeat: Heartbeat,
    /// The connection that speaks for it, if there is one now and here.
    pub(crate) address: Option<Address>,
    /// Whose client it is: this server's from when it has served it here, a learner's on a leader alone. `None`
    /// before anything was heard of it.
    pub(crate) owner: Option<Owner>,
    /// The transaction that ends it was decided: nothing more is accepted for it.
    pub(crate) is_closing: bool,
    /// Changes only from local to global, by [`Sessions::make_global`].
    scope: Scope,
    /// The end of the tick in whose bucket it waits.
    bucket: u64,
}

/// All sessions that this server tracks.
#[derive(Debug)]
pub(crate) struct Sessions {
    tick: Duration,
    by_id: BTreeMap<SessionId, Session>,
    /// Number of the tick at whose start a session is looked at, and which.
    buckets: BTreeMap<u64, BTreeSet<SessionId>>,
    /// How many of `by_id` are local.
    locals: usize,
    next_id: SessionId,
}

impl Sessions {
    /// No sessions yet; new ones are numbered from `first` on.
    pub(crate) fn new(tick: Duration, first: SessionId) -> Self {
        let (by_id, buckets) = (BTreeMap::new(), BTreeMap::new());
        Self { tick, by_id, buckets, locals: 0, next_id: first }
    }

    /// Forgets all sessions; ids go on.
    pub(crate) fn clear(&mut self) {
        self.by_id.clear();
        self.buckets.clear();
        self.locals = 0;
    }

    /// Forgets all global sessions. The local ones have no connection now, and their full timeouts
    /// ahead.
    pub(crate) fn keep_local(&mut self, now: Instant) {
        let mut sessions = std::mem::take(&mut self.by_id);
        self.clear();
        sessions.retain(|_, session| session.scope == Scope::Local);
        for (id, session) in sessions {
            self.insert(now, id, session.timeout, Scope::Local);
        }
    }

    /// The global sessions whose clients were heard of here at a moment or after it, whatever has become of
    /// their connections.
    pub(crate) fn heard_since(
        &self,
        since: Instant,
    ) -> impl Iterator<Item = (SessionId, Duration)> {
        let is_here = |session: &Session| match mutant::active(169) {
            true => session.address.is_some(),
            false => session.owner == Some(Owner::Here),
        };
        let is_heard = move |session: &Session| {
            is_here(session) && session.scope == Scope::Global && session.heartbeat.last() >= since
        };
        let heard = self.by_id.iter().filter(move |(_, session)| is_heard(session));
        heard.map(|(&id, session)| (id, session.timeout))
    }

    /// The id for a new session.
    pub(crate) fn allocate(&mut self) -> SessionId {
        let id = self.next_id;
        self.next_id = id.next();
        id
    }

    /// Tracks a global session from now on, with its full timeout ahead; it may be tracked already.
    pub(crate) fn track(&mut self, now: Instant, id: SessionId, timeout: Duration) {
        self.insert(now, id, timeout, Scope::Global);
    }

    /// Tracks a new local session.
    pub(crate) fn track_local(&mut self, now: Instant, id: SessionId, timeout: Duration) {
        self.insert(now, id, timeout, Scope::Local);
    }

    /// All servers are told of a session that was local.
    pub(crate) fn make_global(&mut self, id: SessionId) {
        if let Some(session) = self.by_id.get_mut(&id)
            && session.scope == Scope::Local
        {
            session.scope = Scope::Global;
            self.locals -= 1;
        }
    }

    /// Stops tracking a session, and returns what was known of it.
    pub(crate) fn forget(&mut self, id: SessionId) -> Option<Session> {
        let session = self.by_id.remove(&id)?;
        self.locals -= usize::from(session.scope == Scope::Local);
        self.leave_bucket(session.bucket, id);
        Some(session)
    }

    /// Changes the timeout of a session whose client was heard of just now.
    pub(crate) fn set_timeout(&mut self, id: SessionId, timeout: Duration) {
        let Some(session) = self.by_id.get(&id) else { return };
        let (before, bucket) = (session.bucket, self.bucket_of(session.heartbeat.last(), timeout));
        self.leave_bucket(before, id);
        self.buckets.entry(bucket).or_default().insert(id);
        if let Some(session) = self.by_id.get_mut(&id) {
            session.timeout = timeout;
            session.bucket = bucket;
        }
    }

    /// Notes that a learner has heard of a session's client just now, which may be silent for so many
    /// milliseconds from now on; for as long as before if that is not positive, or not the learner's session.
    pub(crate) fn heard_of(&mut self, now: Instant, learner: Link, id: SessionId, timeout_ms: i32) {
        let Some(session) = self.by_id.get(&id) else { return };
        session.heartbeat.beat(now);
        let is_elsewhere = session.owner.is_some_and(|owner| owner != Owner::Learner(learner));
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or_default());
        if !is_elsewhere && !timeout.is_zero() && timeout != session.timeout {
            self.set_timeout(id, timeout);
        }
    }

    pub(crate) fn find_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&id)
    }

    /// A session that accepts requests.
    pub(crate) fn open(&self, id: SessionId) -> Option<&Session> {
        self.by_id.get(&id).filter(|session| !session.is_closing)
    }

    /// Whether a session is tracked, be it closing.
    pub(crate) fn is_tracked(&self, id: SessionId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Whether a session is known here alone.
    pub(crate) fn is_local(&self, id: SessionId) -> bool {
        self.by_id.get(&id).is_some_and(|session| session.scope == Scope::Local)
    }

    /// How many are.
    pub(crate) fn locals(&self) -> usize {
        self.locals
    }

    /// The sessions whose time is over. They stay tracked until their end was decided and applied.
    pub(crate) fn expired(&mut self, now: Instant) -> Vec<SessionId> {
        let mut expired = Vec::new();
        while let Some((&bucket, _)) = self.buckets.first_key_value() {
            if self.bucket_start(bucket) > now {
                break;
            }
            let waiting = self.buckets.remove(&bucket).unwrap_or_default();
            for id in waiting {
                let Some(session) = self.by_id.get(&id) else { continue };
                let later = self.bucket_of(session.heartbeat.last(), session.timeout);
                if self.bucket_start(later) > now {
                    self.buckets.entry(later).or_default().insert(id);
                    if let Some(session) = self.by_id.get_mut(&id) {
                        session.bucket = later;
                    }
                } else if !session.is_closing {
                    expired.push(id);
                }
            }
        }
        expired
    }

    /// When [`Sessions::expired`] has to be asked next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.buckets.first_key_value().map(|(&bucket, _)| self.bucket_start(bucket))
    }

    /// Every session with the time at which it ends unless its client is heard of, in order of ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionId, Instant, Scope)> {
        self.by_id.iter().map(|(&id, session)| {
            let bucket = self.bucket_of(session.heartbeat.last(), session.timeout);
            (id, self.bucket_start(bucket), session.scope)
        })
    }

    fn insert(&mut self, now: Instant, id: SessionId, timeout: Duration, scope: Scope) {
        self.forget(id);
        let bucket = self.bucket_of(now, timeout);
        let session = Session {
            timeout,
            heartbeat: Heartbeat::new(now),
            address: None,
            owner: None,
            is_closing: false,
            scope,
            bucket,
        };
        self.locals += usize::from(scope == Scope::Local);
        self.by_id.insert(id, session);
        self.buckets.entry(bucket).or_default().insert(id);
    }

    fn leave_bucket(&mut self, bucket: u64, id: SessionId) {
        if let Some(waiting) = self.buckets.get_mut(&bucket) {
            waiting.remove(&id);
            if waiting.is_empty() {
                self.buckets.remove(&bucket);
            }
        }
    }

    /// The first tick that starts strictly after the timeout.
    fn bucket_of(&self, heard: Instant, timeout: Duration) -> u64 {
        heard.after(timeout).nanos() / self.tick_nanos() + u64::from(!mutant::active(107))
    }

    fn bucket_start(&self, bucket: u64) -> Instant {
        Instant::from_nanos(bucket.saturating_mul(self.tick_nanos()))
    }

    fn tick_nanos(&self) -> u64 {
        u64::try_from(self.tick.as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SessionId = SessionId(1);
    const B: SessionId = SessionId(2);

    fn at(millis: u64) -> Instant {
        Instant::from_start(Duration::from_millis(millis))
    }

    fn sessions() -> Sessions {
        let mut sessions = Sessions::new(Duration::from_millis(100), SessionId(10));
        sessions.track(at(0), A, Duration::from_millis(250));
        sessions.track(at(0), B, Duration::from_millis(300));
        sessions
    }

    #[test]
    fn silence_ends_a_session_after_its_timeout_rounded_up_to_a_tick() {
        let mut sessions = sessions();
        assert_eq!(sessions.next_deadline(), Some(at(300)));
        assert_eq!(sessions.expired(at(299)), []);
        assert_eq!(sessions.expired(at(300)), [A]);
        assert_eq!(sessions.expired(at(399)), []);
        assert_eq!(sessions.expired(at(400)), [B]);
    }

    #[test]
    fn a_sign_of_life_counts_from_when_it_was_heard() {
        let mut sessions = sessions();
        sessions.find_mut(A).expect("tracked").heartbeat.beat(at(120));
        let global = Scope::Global;
        let expected = [(A, at(400), global), (B, at(400), global)];
        assert_eq!(sessions.iter().collect::<Vec<_>>(), expected);
        assert_eq!(sessions.expired(at(300)), []);
        assert_eq!(sessions.next_deadline(), Some(at(400)));
        assert_eq!(sessions.expired(at(399)), []);
        assert_eq!(sessions.expired(at(400)), [A, B]);
    }

    #[test]
    fn the_leader_is_told_of_who_was_heard_of_here_and_has_no_connection_any_more() {
        let mut sessions = sessions();
        let session = sessions.find_mut(A).expect("tracked");
        session.owner = Some(Owner::Here);
        session.heartbeat.beat(at(120));
        sessions.find_mut(B).expect("tracked").heartbeat.beat(at(120));
        let heard = |since| sessions.heard_since(since).map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(heard(at(120)), [A], "the other is no client of this server");
        assert_eq!(heard(at(121)), []);
    }

    #[test]
    fn a_shorter_timeout_counts_at_once() {
        let mut sessions = sessions();
        sessions.set_timeout(B, Duration::from_millis(50));
        assert_eq!(sessions.expired(at(100)), [B]);
    }

    #[test]
    fn a_forgotten_session_never_expires() {
        let mut sessions = sessions();
        assert!(sessions.forget(A).is_some());
        assert!(sessions.forget(A).is_none());
        assert_eq!(sessions.expired(at(10_000)), [B]);
        assert!(sessions.open(A).is_none());
        assert_eq!(sessions.iter().count(), 1);
    }

    #[test]
    fn local_sessions_stay_when_global_ones_are_forgotten() {
        let mut sessions = sessions();
        let local = SessionId(3);
        sessions.track_local(at(0), local, Duration::from_millis(250));
        assert!(sessions.is_local(local) && !sessions.is_local(A));
        sessions.keep_local(at(1000));
        assert_eq!(sessions.iter().collect::<Vec<_>>(), [(local, at(1300), Scope::Local)]);
        sessions.make_global(local);
        sessions.make_global(local);
        assert_eq!((sessions.is_local(local), sessions.locals()), (false, 0));
        sessions.keep_local(at(1000));
        assert_eq!(sessions.iter().count(), 0);
    }

    #[test]
    fn ids_are_never_handed_out_twice() {
        let mut sessions = sessions();
        assert_eq!(sessions.allocate(), SessionId(10));
        assert_eq!(sessions.allocate(), SessionId(11));
    }
}
