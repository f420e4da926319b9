//! S3: a learner tells its leader of every client that it has heard of, whatever has become of the connection.

use std::collections::BTreeSet;

use types::{SessionId, Txn, Zxid};
use wire::limits::PACKET_BYTES_MAX;
use wire::quorum::{ToLeader, Touches};
use zab::Link;

use crate::checkers::{Promise, Violation};
use crate::model::Sessions;
use crate::world::World;
use crate::world::client::Phase;
use crate::world::link::{Caller, LinkId};
use crate::world::node::NodeId;

/// What a learner has to tell its leader with the next answer to a ping.
#[derive(Clone, Debug, Default)]
pub(in crate::world) struct SignsOfLife {
    /// Whose clients were heard of since the last answer. `None` before the first one, for until then what comes
    /// may come over a connection that another leader's reign has left behind.
    heard: Option<BTreeSet<SessionId>>,
}

impl SignsOfLife {
    /// Notes that the learner has heard of a client.
    pub(in crate::world) fn hear(&mut self, session: SessionId) {
        if let Some(heard) = &mut self.heard {
            heard.insert(session);
        }
    }

    /// The learner answers a ping. Returns of whom it has heard and does not tell.
    fn tell(&mut self, touches: Touches<'_>) -> BTreeSet<SessionId> {
        let mut untold = self.heard.replace(BTreeSet::new()).unwrap_or_default();
        for touch in touches.iter() {
            untold.remove(&touch.session);
        }
        untold
    }
}

impl World {
    /// Notes bytes of a client that a learner has taken in.
    pub(in crate::world) fn note_sign_of_life(&mut self, node: NodeId, id: LinkId) {
        // Of a session that only one server knows no other is told.
        if self.plan.servers.sessions == Sessions::Local {
            return;
        }
        let Some(Caller::Client(client)) = self.links.get(&id).and_then(|link| link.client) else {
            return;
        };
        let client = &self.clients[client];
        let speaks = client.phase == Phase::Online && client.link == Some(id);
        if let Some((session, _)) = client.session.filter(|_| speaks) {
            self.network.hears_of(node, session);
        }
    }

    /// S3, looked at in what a learner sends to its leader.
    pub(in crate::world) fn check_signs_of_life(
        &mut self,
        node: NodeId,
        link: Link,
        mut bytes: &[u8],
    ) -> Result<(), Violation> {
        while let Ok(Some((packet, consumed))) = ToLeader::decode(bytes, PACKET_BYTES_MAX) {
            bytes = &bytes[consumed..];
            let ToLeader::Ping { touches, .. } = packet else { continue };
            let Some(signs_of_life) = self.network.signs_of_life(link) else { continue };
            let untold = signs_of_life.tell(touches);
            if let Some(session) = untold.into_iter().find(|&session| !self.is_ended(session)) {
                let sid = node.sid().0;
                let detail =
                    format!("server {sid} has heard of session {session}, and does not say so");
                return Err(Violation::new(Promise::P8, detail));
            }
        }
        Ok(())
    }

    /// Whether somebody has logged the end of a session.
    fn is_ended(&self, session: SessionId) -> bool {
        self.record.between(Zxid::ZERO, self.record.last()).any(|logged| {
            logged.header.session == session && matches!(logged.txn, Txn::CloseSession { .. })
        })
    }
}
