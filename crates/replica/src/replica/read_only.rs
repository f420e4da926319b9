//! A server without a leader that serves those who only read.
//!
//! ```text
//!            no leader for a while                elected, or one was
//!  Looking ────────────────────────> ReadOnly ─────────────────────────> Looking, then more
//!                                       │ connections are closed as this begins and ends
//! ```
//!
//! It shows what it has: the state that it last applied, or that its files had, which may end with what
//! was logged and never committed. Without a state that once was, as after damage, it serves nobody
//! ([`zab::Peer::has_a_state`]). It admits clients that say that they are content with that, refuses every write, and opens no session of which others know.
//! Who has such a session may have used it elsewhere in the meantime, and finds no connection here.

use tracing::info;
use types::{Now, SessionId, mutant};

use super::{Intake, Replica};
use crate::ensemble::Standing;
use crate::input::Connect;
use crate::view::Role;

impl Replica {
    /// Begins to serve reads, if it is time.
    pub(super) fn settle_read_only(&mut self, now: Now) {
        let ensemble = &mut self.core.ensemble;
        if ensemble.read_only_at.is_none_or(|at| now.instant < at) {
            return;
        }
        ensemble.read_only_at = None;
        if !self.member.as_ref().is_some_and(|member| member.peer().has_a_state()) {
            info!("no leader, and what this server has is not whole: serving nobody");
        } else if ensemble.standing == Standing::Looking {
            info!("no leader: serving clients that only read");
            ensemble.standing = Standing::ReadOnly;
            self.core.stats.set_role(Role::ReadOnly);
        }
    }

    /// An election is over. What it leads to may change what this server has: nobody reads any longer.
    pub(super) fn end_read_only(&mut self, now: Now) {
        if self.core.ensemble.standing == Standing::ReadOnly {
            self.look(now);
        }
        self.core.ensemble.read_only_at = None;
    }
}

impl Intake<'_, '_> {
    /// Admits a connection that is content with reads.
    pub(super) fn connect_read_only(&mut self, now: Now, connect: &Connect) {
        let Connect { address, ref resume, timeout_ms, accepts_read_only } = *connect;
        let timeout = self.core.clamped(timeout_ms);
        // Others may have opened one since this server last heard of them, and nobody may say that it is over.
        let may_live_elsewhere = |session: SessionId| {
            self.tree.session_timeout(session).is_some()
                || !self.core.comes_from_here(session) && !mutant::active(142)
        };
        match resume {
            _ if !accepts_read_only => self.close(address),
            Some((session, _)) if may_live_elsewhere(*session) => self.close(address),
            Some((session, password)) => self.resume(now, address, *session, password, timeout),
            None => self.open_local(now, address, timeout),
        }
    }
}
