//! What clients ask, taken in: decided over at once, or put behind what it has to wait for.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info};
use tree::Tree;
use types::{ErrorCode, Now, SessionId, Txn, TxnHeader, Xid, mutant};
use zab::Peer;

use super::member::Member;
use super::{Core, Speaker};
use crate::access::Identities;
use crate::ensemble::{Asker, Claim, Standing, Unconfirmed};
use crate::input::{Ask, Connect, Request};
use crate::prepare::Preparation;
use crate::published::{Address, Mail, Post};
use crate::request::{Origin, Question, Waiting};
use crate::request_throttle::Released;

/// The replica while it looks at the tree.
pub(super) struct Intake<'a, 'p> {
    pub(super) core: &'a mut Core,
    peer: Option<&'a Peer>,
    pub(super) tree: &'a Tree,
    pub(super) post: &'a mut Post<'p>,
}

impl<'a, 'p> Intake<'a, 'p> {
    pub(super) fn new(
        core: &'a mut Core,
        member: Option<&'a Member>,
        tree: &'a Tree,
        post: &'a mut Post<'p>,
    ) -> Self {
        Self { core, peer: member.map(Member::peer), tree, post }
    }
}

impl Intake<'_, '_> {
    pub(super) fn on_connect(&mut self, now: Now, connect: &Connect) {
        let Connect { address, ref resume, timeout_ms, accepts_read_only: _ } = *connect;
        if !self.core.admits(now, connect) {
            if let Some(suppressed) = self.core.throttled.admit(now.instant) {
                info!(
                    ?address,
                    suppressed,
                    "too many connections at once, closed; see connection_throttle_tokens"
                );
            }
            self.post.outbox(address.front).mail.push(Mail::Close { conn: address.conn });
            return;
        }
        let timeout = self.core.clamped(timeout_ms);
        let clamped_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        match (self.core.ensemble.standing, resume) {
            (Standing::Looking, _) => self.close(address),
            (Standing::Leading, _) if !self.core.ensemble.leader_serves => self.close(address),
            (Standing::ReadOnly, _) => self.connect_read_only(now, connect),
            (Standing::Leading, Some((session, password))) => {
                self.resume(now, address, *session, password, timeout);
            }
            (Standing::Leading | Standing::Following(_), None) if self.core.opens_local() => {
                self.open_local(now, address, timeout);
            }
            (Standing::Leading, None) => self.open(now, address, timeout),
            (Standing::Following(link), Some((session, password))) => {
                if self.core.sessions.is_local(*session) {
                    self.resume(now, address, *session, password, timeout);
                } else if session.password().0 == **password {
                    let claim = Claim { address, timeout_ms: clamped_ms };
                    self.ask_about(link, *session, claim);
                } else {
                    self.refuse_session(address);
                }
            }
            (Standing::Following(link), None) => self.forward_open(link, address, clamped_ms),
        }
    }

    /// Proposes a new session for a connection.
    fn open(&mut self, now: Now, address: Address, timeout: Duration) {
        let session = self.core.sessions.allocate();
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let header = self.core.next_header(now, session, Xid::INTERNAL);
        let txn = Txn::CreateSession { timeout_ms };
        self.core.propose(header, txn, Origin::Handshake(address));
    }

    /// Binds a connection to a session that is there, if it knows its password. The connection that
    /// spoke for it before is closed.
    pub(super) fn resume(
        &mut self,
        now: Now,
        address: Address,
        id: SessionId,
        password: &[u8],
        timeout: Duration,
    ) {
        let knows_password = id.password().0 == *password || mutant::active(104);
        let session = self.core.sessions.find_mut(id);
        let Some(session) = session.filter(|it| knows_password && !it.is_closing) else {
            if mutant::active(46) {
                return self.open(now, address, timeout);
            }
            if self.core.has_to_be_confirmed(id) {
                return self.core.ensemble.confirm(Unconfirmed::Refusal(address));
            }
            self.refuse_session(address);
            return;
        };
        if let Some(before) = session.address.take() {
            if !mutant::active(48) {
                self.core.speakers.remove(&before);
            }
            self.close(before);
        }
        let Some(waiting) = self.bind(now, id, address, timeout) else { return };
        if self.core.has_to_be_confirmed(id) {
            self.core.ensemble.confirm(Unconfirmed::Resumption(Box::new(waiting)));
        } else {
            self.queue(waiting);
        }
    }

    /// Tells a connection that there is no such session, or that it is not its own.
    pub(super) fn refuse_session(&mut self, address: Address) {
        let conn = address.conn;
        let is_read_only = self.core.ensemble.standing == Standing::ReadOnly;
        self.post.outbox(address.front).mail.push(Mail::Refused { conn, is_read_only });
    }

    /// Works a request off, or lets it wait if the operator limits how many are under way.
    pub(super) fn take_request(&mut self, now: Now, request: Box<Request>) {
        match &mut self.core.request_throttle {
            None => self.on_request(now, *request),
            Some(throttle) => throttle.request(request),
        }
    }

    /// Works off what waits, as far as there is room.
    pub(super) fn release(&mut self, now: Now) {
        loop {
            let Core { request_throttle, proposals, speakers, sessions, stats, .. } =
                &mut *self.core;
            let Some(throttle) = request_throttle else { return };
            let timeout = |address| {
                let speaker: &Speaker = speakers.get(&address)?;
                sessions.open(speaker.session).map(|session| session.timeout)
            };
            let Some(next) = throttle.next(now.instant, proposals.len(), timeout) else { return };
            match next {
                Released::Request(request) => self.on_request(now, *request),
                Released::Disconnected(address) => self.core.on_disconnected(address),
                Released::Orphaned => stats.stale_requests.add(1),
                Released::Stale(address) => {
                    stats.stale_requests.add(1);
                    self.post.outbox(address.front).mail.push(Mail::Close { conn: address.conn });
                }
                Released::TooLate(request) => {
                    stats.throttled_requests.add(1);
                    self.refuse(*request, ErrorCode::ThrottledOp);
                }
            }
        }
    }

    /// Answers a request with an error, in its place among those of its connection.
    pub(super) fn refuse(&mut self, request: Request, code: ErrorCode) {
        let Request { address, xid, received, identities, .. } = request;
        let Some(speaker) = self.core.speakers.get(&address) else { return };
        let session = speaker.session;
        let question = Question::Refused(code);
        self.queue(Waiting { address, session, xid, received, identities, question });
    }

    pub(super) fn on_request(&mut self, now: Now, request: Request) {
        let Request { address, xid, .. } = request;
        // A connection that was closed, or whose session moved away, may still have sent something.
        let Some(speaker) = self.core.speakers.get(&address) else {
            debug!(?address, ?xid, "request of a closed connection ignored");
            return;
        };
        let session = speaker.session;
        if self.core.sessions.open(session).is_none() && !mutant::active(45) {
            debug!(%session, ?xid, "request of a closing session ignored");
            return;
        }
        if !matches!(request.ask, Ask::Read(_)) {
            if self.core.ensemble.asked.ends_with_sync(session) {
                let Request { received, identities, ask, .. } = request;
                let question = Question::Ask(Box::new(ask));
                self.queue(Waiting { address, session, xid, received, identities, question });
                return;
            }
            if self.core.sessions.is_local(session) {
                return self.on_local_request(now, session, request);
            }
            if let Standing::Following(link) = self.core.ensemble.standing {
                return self.forward(link, session, request);
            }
        }
        self.decide(now, session, request);
    }

    /// Decides over a request, or lets it wait for what it stands behind.
    pub(super) fn decide(&mut self, now: Now, session: SessionId, request: Request) {
        let Request { address, xid, received, identities, ask } = request;
        let origin = Origin::Request { address, xid, received };
        let question = match ask {
            Ask::Write(write) => {
                let header = self.core.next_header(now, session, xid);
                let txn = self.prepare(now, header, &identities, |it| it.write(write));
                match txn {
                    Txn::Error { code } if mutant::active(66) => {
                        let code = ErrorCode::from_raw(code).unwrap_or(ErrorCode::SystemError);
                        Question::Refused(code)
                    }
                    txn => {
                        self.propose_for(address, header, txn, origin);
                        return;
                    }
                }
            }
            Ask::CloseSession => {
                self.propose_close(now, session, xid, origin);
                return;
            }
            Ask::Read(read) => Question::Read(read),
            Ask::Sync { path } => {
                let question = Question::Sync { path };
                if self.core.is_member {
                    let sync = Waiting { address, session, xid, received, identities, question };
                    self.core.ensemble.asked.push_sync(sync);
                    self.core.ensemble.confirm(Unconfirmed::Sync(Asker::Here));
                    return;
                }
                question
            }
        };
        self.queue(Waiting { address, session, xid, received, identities, question });
    }

    /// Lets a question wait for what it stands behind, or answers it.
    pub(super) fn queue(&mut self, waiting: Waiting) {
        let waiting = match self.core.ensemble.asked.wait(waiting) {
            Ok(()) => return,
            Err(waiting) => waiting,
        };
        let Some(speaker) = self.core.speakers.get_mut(&waiting.address) else { return };
        if matches!(waiting.question, Question::Sync { .. } | Question::Resume(_))
            && !mutant::active(113)
        {
            speaker.last = self.core.proposals.last();
        }
        let proposal = speaker.last.and_then(|position| self.core.proposals.at(position));
        match proposal {
            Some(proposal) => proposal.behind.push(waiting),
            None => self.core.answer(self.tree, self.post, waiting),
        }
    }

    /// Ends the sessions whose time is over. Of global ones only who leads knows that.
    pub(super) fn expire(&mut self, now: Now) {
        if !self.core.expires_sessions()
            || self.core.sessions.next_deadline().is_none_or(|deadline| now.instant < deadline)
        {
            return;
        }
        let leads = self.core.ensemble.standing == Standing::Leading;
        for session in self.core.sessions.expired(now.instant) {
            let is_local = self.core.sessions.is_local(session);
            if !is_local && !leads {
                continue;
            }
            info!(%session, "session expired");
            self.core.stats.expired_sessions.add(1);
            match is_local {
                true => self.core.end(self.post, session),
                false => self.propose_close(now, session, Xid::INTERNAL, Origin::Server),
            }
        }
    }

    pub(super) fn propose_close(&mut self, now: Now, session: SessionId, xid: Xid, origin: Origin) {
        if let Some(session) = self.core.sessions.find_mut(session) {
            session.is_closing = true;
        }
        let header = self.core.next_header(now, session, xid);
        let nobody = Arc::clone(&self.core.nobody);
        let with_paths = self.core.options.close_session_paths;
        let txn = self.prepare(now, header, &nobody, |it| Ok(it.close_session(with_paths)));
        self.core.propose(header, txn, origin);
    }

    /// Proposes what the server itself wants. As with a client's write, the order has a place for it
    /// also if it is refused.
    pub(super) fn propose_own(
        &mut self,
        now: Now,
        session: SessionId,
        decide: impl FnOnce(&mut Preparation<'_>) -> Result<Txn, ErrorCode>,
    ) {
        let header = self.core.next_header(now, session, Xid::INTERNAL);
        let nobody = Arc::clone(&self.core.nobody);
        let txn = self.prepare(now, header, &nobody, decide);
        self.core.propose(header, txn, Origin::Server);
    }

    pub(super) fn prepare(
        &mut self,
        now: Now,
        header: TxnHeader,
        identities: &Identities,
        decide: impl FnOnce(&mut Preparation<'_>) -> Result<Txn, ErrorCode>,
    ) -> Txn {
        let ownership = self.core.ownership(header.session);
        let mut preparation = Preparation {
            tree: self.tree,
            pending: &mut self.core.pending,
            access: &self.core.options.access,
            options: &self.core.options.prepare,
            session: header.session,
            ownership,
            identities,
            zxid: header.zxid,
            now,
            peer: self.peer,
            over_quota: &self.core.over_quota,
        };
        decide(&mut preparation).unwrap_or_else(|code| Txn::Error { code: code.raw() })
    }

    fn propose_for(&mut self, address: Address, header: TxnHeader, txn: Txn, origin: Origin) {
        let position = self.core.propose(header, txn, origin);
        if let Some(speaker) = self.core.speakers.get_mut(&address) {
            speaker.last = Some(position);
        }
    }
}
