//! What learners and their leader do for each other's clients.

use std::sync::Arc;

use tracing::debug;
use types::{ErrorCode, Now, Op, SessionId, Txn, Write, Xid, mutant};
use wire::quorum::{ForwardedRequest, ToLeader};
use wire::request::Request as Asking;
use zab::Link;

use super::{Intake, Speaker};
use crate::ensemble::{Asker, Claim, LearnerAnswer, Standing, Unconfirmed};
use crate::input::{Ask, Request};
use crate::published::{Address, Established, Mail};
use crate::request::{Origin, Question, Waiting};
use crate::session::Owner;

/// A learner's side.
impl Intake<'_, '_> {
    /// Lets the leader decide. The answer comes with the transaction, or with the leader's word.
    pub(super) fn forward(&mut self, link: Link, session: SessionId, request: Request) {
        let Request { address, xid, received, identities, ask } = request;
        let ensemble = &mut self.core.ensemble;
        let origin = Origin::Request { address, xid, received };
        let op = match ask {
            Ask::Write(write) => {
                ensemble.asked.push_write(session, xid, origin);
                Op::Write(write)
            }
            Ask::CloseSession => {
                ensemble.asked.push_end(session, xid, origin);
                Op::CloseSession
            }
            Ask::Sync { path } => {
                let op = Op::Sync { path: path.to_string().into() };
                let question = Question::Sync { path };
                let identities = Arc::clone(&identities);
                let sync = Waiting { address, session, xid, received, identities, question };
                ensemble.asked.push_sync(sync);
                op
            }
            Ask::Read(_) => return,
        };
        ensemble.forward(link, session, &Asking { xid, op }, &identities);
    }

    /// Asks the leader for a new session.
    pub(super) fn forward_open(&mut self, link: Link, address: Address, timeout_ms: i32) {
        let session = self.core.sessions.allocate();
        let ensemble = &mut self.core.ensemble;
        ensemble.asked.push_write(session, Xid::INTERNAL, Origin::Handshake(address));
        let op = Op::Write(Write::CreateSession { timeout_ms });
        let nobody = &self.core.nobody;
        ensemble.forward(link, session, &Asking { xid: Xid::INTERNAL, op }, nobody);
    }

    /// Asks the leader whether a session is alive that a client wants to resume here. The client has shown the
    /// session's password.
    ///
    /// The connection that the session had here ends before that. From the question on the leader takes what
    /// comes from this server for the session's, and what the old connection sends would be done after all,
    /// late, if the session had been elsewhere meanwhile.
    pub(super) fn ask_about(&mut self, link: Link, session: SessionId, claim: Claim) {
        self.release_connection(session);
        let timeout_ms = claim.timeout_ms;
        if let Some(before) = self.core.ensemble.claims.insert(session, claim) {
            self.close(before.address);
        }
        self.core.ensemble.relayed.revalidates(session, Asker::Here);
        self.core.ensemble.tell_leader(link, &ToLeader::Revalidate { session, timeout_ms });
    }

    /// The leader says whether a session is alive; if so it is this server's from here on.
    pub(super) fn on_revalidated(&mut self, now: Now, session: SessionId, is_valid: bool) {
        let Some(claim) = self.core.ensemble.claims.remove(&session) else { return };
        // The word waits for what was decided before it, and the session's end may have come with that.
        let is_over = self.tree.session_timeout(session).is_none();
        if !is_valid || is_over {
            return self.refuse_session(claim.address);
        }
        let timeout = self.core.clamped(claim.timeout_ms);
        self.core.sessions.track(now.instant, session, timeout);
        if let Some(waiting) = self.bind(now, session, claim.address, timeout) {
            self.queue(waiting);
        }
    }
}

/// The side of a follower that has observers.
impl Intake<'_, '_> {
    /// Passes on what an observer says. What holds for [`Intake::ask_about`] holds for what it asks: to the
    /// leader its clients are this server's.
    pub(super) fn relay(&mut self, leader: Link, observer: Link, packet: &ToLeader<'_>) {
        if let ToLeader::Revalidate { session, .. } = packet {
            self.release_connection(*session);
        }
        self.core.ensemble.relay(leader, observer, packet);
    }
}

/// A leader's side.
impl Intake<'_, '_> {
    /// Takes in what a learner's client asks.
    pub(super) fn on_forwarded(&mut self, now: Now, link: Link, forwarded: &ForwardedRequest<'_>) {
        let session = forwarded.session;
        let request = match forwarded.request() {
            Ok(request) => request,
            Err(error) => {
                let link = link.0;
                debug!(link, %session, %error, "forwarded request that nobody can answer, ignored");
                return;
            }
        };
        let is_sync = matches!(request.op, Op::Sync { .. });
        if self.core.ensemble.behind_syncs.hold(link, forwarded, is_sync) {
            return;
        }
        let xid = request.xid;
        let origin = Origin::Learner;
        match request.op {
            Op::Write(Write::CreateSession { timeout_ms }) => {
                let header = self.core.next_header(now, session, xid);
                self.core.propose(header, Txn::CreateSession { timeout_ms }, origin);
                // From now on, as what an upgraded session asks next comes right behind it.
                self.core.track(now, session, timeout_ms);
                if let Some(session) = self.core.sessions.find_mut(session) {
                    session.owner = Some(Owner::Learner(link));
                }
            }
            Op::Write(write) => {
                let header = self.core.next_header(now, session, xid);
                let is_unchecked = matches!(write, Write::Multi(_)) && mutant::active(160);
                let owned = match self.owned_by(session, link) {
                    Err(_) if is_unchecked => Ok(()),
                    owned => owned,
                };
                let txn = match owned {
                    Ok(()) => {
                        let identities = self.core.ensemble.last_identities.read(forwarded.auth);
                        let write = write.into_owned();
                        self.prepare(now, header, &identities, |it| it.write(write))
                    }
                    Err(code) => Txn::Error { code: code.raw() },
                };
                self.core.propose(header, txn, origin);
            }
            Op::CloseSession => match self.owned_by(session, link) {
                Ok(()) => self.propose_close(now, session, xid, origin),
                Err(code) => {
                    let header = self.core.next_header(now, session, xid);
                    self.core.propose(header, Txn::Error { code: code.raw() }, origin);
                }
            },
            Op::Sync { .. } => self.core.ensemble.confirm(Unconfirmed::Sync(Asker::Learner(link))),
            Op::Ping | Op::Auth(_) | Op::Sasl(_) | Op::Read(_) => {
                let link = link.0;
                debug!(link, %session, "forwarded request that the learner should answer, ignored");
            }
        }
    }

    /// A client wants to resume its session at a learner, which lets it be silent for so many milliseconds.
    pub(super) fn on_revalidate(&mut self, now: Now, link: Link, id: SessionId, timeout_ms: i32) {
        let behind_syncs = &mut self.core.ensemble.behind_syncs;
        if !mutant::active(175) && behind_syncs.hold_question(link, id, timeout_ms) {
            return;
        }
        let is_local = self.core.sessions.is_local(id);
        let session = self.core.sessions.find_mut(id);
        let session = session.filter(|session| !session.is_closing && !is_local);
        let is_valid = session.is_some();
        if let Some(session) = session {
            session.owner = Some(Owner::Learner(link));
            if !mutant::active(151) {
                self.core.sessions.heard_of(now.instant, link, id, timeout_ms);
            }
            self.release_connection(id);
        }
        let answer = LearnerAnswer::Revalidated { session: id, is_valid };
        self.core.ensemble.confirm(Unconfirmed::Revalidation(link, answer));
    }

    /// Whether a session's requests may come over this connection.
    fn owned_by(&mut self, id: SessionId, link: Link) -> Result<(), ErrorCode> {
        if self.core.may_be_local_elsewhere(id) {
            return Ok(());
        }
        let session = self.core.sessions.find_mut(id).filter(|session| !session.is_closing);
        let session = session.ok_or(ErrorCode::SessionExpired)?;
        match *session.owner.get_or_insert(Owner::Learner(link)) {
            Owner::Learner(owner) if owner == link => Ok(()),
            Owner::Learner(_) | Owner::Here if mutant::active(48) => Ok(()),
            Owner::Learner(_) | Owner::Here => Err(ErrorCode::SessionMoved),
        }
    }
}

/// Both sides.
impl Intake<'_, '_> {
    /// Goes on with what waited behind a sync, or with the sync itself.
    pub(super) fn answer_in_turn(&mut self, now: Now, waiting: Waiting) {
        let Waiting { address, session, xid, received, identities, question } = waiting;
        match question {
            Question::Ask(ask) => {
                self.on_request(now, Request { address, xid, received, identities, ask: *ask });
            }
            question => {
                self.queue(Waiting { address, session, xid, received, identities, question });
            }
        }
    }

    /// Takes from a session the connection that speaks for it here, if there is one, and closes that.
    fn release_connection(&mut self, session: SessionId) {
        let before = self.core.sessions.find_mut(session).and_then(|it| it.address.take());
        if let Some(before) = before {
            self.core.speakers.remove(&before);
            self.close(before);
        }
    }

    /// Closes a connection after what it was sent.
    pub(super) fn close(&mut self, address: Address) {
        self.post.outbox(address.front).mail.push(Mail::Close { conn: address.conn });
    }

    /// Lets a connection speak for a session that is tracked. Returns what it is to be told in its turn.
    pub(super) fn bind(
        &mut self,
        now: Now,
        id: SessionId,
        address: Address,
        timeout: std::time::Duration,
    ) -> Option<Waiting> {
        let session = self.core.sessions.find_mut(id)?;
        session.address = Some(address);
        session.owner = Some(Owner::Here);
        session.heartbeat.beat(now.instant);
        let established = Established {
            conn: address.conn,
            session: id,
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            heartbeat: session.heartbeat.clone(),
            is_read_only: self.core.ensemble.standing == Standing::ReadOnly,
        };
        self.core.sessions.set_timeout(id, timeout);
        self.core.speakers.insert(address, Speaker { session: id, last: None });
        Some(Waiting {
            address,
            session: id,
            xid: Xid::INTERNAL,
            received: now.instant,
            identities: Arc::clone(&self.core.nobody),
            question: Question::Resume(Box::new(established)),
        })
    }
}
