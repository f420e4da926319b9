//! Sessions that only the server of their client knows of.
//!
//! They cost no transaction: this server opens, tracks and ends them by itself. The leader takes
//! their writes as those of a session that it can not know. So they can own nothing: with the first
//! ephemeral that one creates, all servers are told of it ([`LocalSessions::Upgradable`]), or it gets
//! an error. Who connects elsewhere with such a session is told that it has expired.
//!
//! They outlive a change of leaders, as nothing about them depends on one.

use std::time::Duration;

use tracing::info;
use types::{CreateCall, ErrorCode, MultiOp, Now, Op, SessionId, Txn, Write, Xid, mutant};
use wire::request::Request as Asking;

use super::{Core, Intake};
use crate::ensemble::{LocalSessions, Standing};
use crate::input::{Ask, Request};
use crate::published::Address;
use crate::request::{Origin, Question, Waiting};

impl Intake<'_, '_> {
    /// Gives a connection a new local session.
    pub(super) fn open_local(&mut self, now: Now, address: Address, timeout: Duration) {
        let id = self.core.sessions.allocate();
        self.core.sessions.track_local(now.instant, id, timeout);
        self.core.give(self.post, id, milliseconds(timeout), address);
    }

    /// Works off what a local session asks, except reads.
    pub(super) fn on_local_request(&mut self, now: Now, session: SessionId, request: Request) {
        let is_read_only = self.core.ensemble.standing == Standing::ReadOnly;
        match &request.ask {
            Ask::Write(_) | Ask::Sync { .. } if is_read_only => {
                return self.refuse(request, ErrorCode::NotReadOnly);
            }
            Ask::CloseSession => {
                let Request { address, xid, received, identities, ask: _ } = request;
                let question = Question::End;
                self.queue(Waiting { address, session, xid, received, identities, question });
                return;
            }
            Ask::Write(write) if creates_ephemeral(write) => {
                match (self.core.ensemble.local_sessions, write) {
                    (LocalSessions::Upgradable, _) => self.upgrade(now, session),
                    // Each operation gets its own answer, by the leader.
                    (_, Write::Multi(_)) => {}
                    _ => return self.refuse(request, ErrorCode::EphemeralOnLocalSession),
                }
            }
            Ask::Write(_) | Ask::Read(_) | Ask::Sync { .. } => {}
        }
        match self.core.ensemble.standing {
            Standing::Following(link) => self.forward(link, session, request),
            Standing::Leading => self.decide(now, session, request),
            Standing::Looking | Standing::ReadOnly => {}
        }
    }

    /// Has all servers told of a local session. What it asks next is decided after that.
    fn upgrade(&mut self, now: Now, session: SessionId) {
        let Some(tracked) = self.core.sessions.find_mut(session) else { return };
        let timeout_ms = milliseconds(tracked.timeout);
        info!(%session, "local session becomes a global one");
        self.core.sessions.make_global(session);
        match self.core.ensemble.standing {
            Standing::Following(link) => {
                let ensemble = &mut self.core.ensemble;
                ensemble.asked.push_write(session, Xid::INTERNAL, Origin::Server);
                let op = Op::Write(Write::CreateSession { timeout_ms });
                let nobody = &self.core.nobody;
                ensemble.forward(link, session, &Asking { xid: Xid::INTERNAL, op }, nobody);
            }
            Standing::Leading => {
                let header = self.core.next_header(now, session, Xid::INTERNAL);
                self.core.propose(header, Txn::CreateSession { timeout_ms }, Origin::Server);
            }
            Standing::Looking | Standing::ReadOnly => {}
        }
    }
}

impl Core {
    /// Whether new sessions are local.
    pub(super) fn opens_local(&self) -> bool {
        self.ensemble.local_sessions != LocalSessions::Off
    }

    /// Whether it ends sessions of silent clients: all, or the local ones.
    pub(super) fn expires_sessions(&self) -> bool {
        match self.ensemble.standing {
            Standing::Leading => true,
            Standing::Following(_) | Standing::ReadOnly => self.sessions.locals() > 0,
            // Nobody can be heard of.
            Standing::Looking => false,
        }
    }

    /// Whether a session that this leader does not know may be a local one of another server.
    pub(super) fn may_be_local_elsewhere(&self, id: SessionId) -> bool {
        self.opens_local()
            && !self.comes_from_here(id)
            && !self.sessions.is_tracked(id)
            && (!self.ensemble.ended.has(id) || mutant::active(167))
    }

    /// Whether a session was opened at this server.
    pub(super) fn comes_from_here(&self, id: SessionId) -> bool {
        id.server_byte() == SessionId::first(self.options.sid, 0).server_byte()
    }

    /// Whether a quorum has to confirm that this server leads before anything is said of a session.
    pub(super) fn has_to_be_confirmed(&self, id: SessionId) -> bool {
        self.is_member && self.ensemble.standing == Standing::Leading && !self.sessions.is_local(id)
    }

    /// Whether a session may own znodes.
    pub(super) fn ownership(&self, id: SessionId) -> Result<(), ErrorCode> {
        if self.sessions.is_local(id) {
            Err(ErrorCode::EphemeralOnLocalSession)
        } else if self.may_be_local_elsewhere(id) {
            Err(ErrorCode::SessionExpired)
        } else {
            Ok(())
        }
    }
}

/// Whether a write needs a session that all servers know. Containers and what has a time to live are no
/// reason, as in Apache's servers, whatever their flags say.
fn creates_ephemeral(write: &Write<'_>) -> bool {
    let is_plain = |call: CreateCall| matches!(call, CreateCall::Create | CreateCall::Create2);
    match write {
        Write::Create(create) => is_plain(create.call) && create.mode.is_ephemeral(),
        Write::Multi(ops) => ops.iter().any(|op| match op {
            MultiOp::Create(create) => is_plain(create.call) && create.mode.is_ephemeral(),
            MultiOp::Delete { .. } | MultiOp::SetData { .. } | MultiOp::Check { .. } => false,
        }),
        Write::Delete { .. }
        | Write::DeleteContainer { .. }
        | Write::SetData { .. }
        | Write::SetAcl { .. }
        | Write::Reconfig(_)
        | Write::CreateSession { .. }
        | Write::Rejected(_) => false,
    }
}

fn milliseconds(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}
