//! Who a connection is.

use std::sync::Arc;

use tracing::{info, warn};
use types::{AuthPacket, ConnId, ErrorCode, Now, Xid, Zxid};
use wire::reply::{Body, Reply};

use super::Desk;
use crate::access::Refused;

impl Desk {
    pub(super) fn on_auth(&mut self, now: Now, conn: ConnId, xid: Xid, packet: &AuthPacket<'_>) {
        let Some(connection) = self.connections.find_mut(conn) else { return };
        let mut identities = (*connection.identities).clone();
        let proof = packet.auth.as_deref().unwrap_or_default();
        let access = &self.options.access;
        match access.authenticate(&packet.scheme, proof, connection.peer, &mut identities) {
            Ok(()) => {
                connection.identities = Arc::new(identities);
                self.reply_at(now, conn, xid, Zxid::ZERO, Ok(Body::Empty));
            }
            Err(refused) => {
                if let Some(suppressed) = self.lines.refused_credentials.admit(now.instant) {
                    warn!(peer = %connection.peer, scheme = %packet.scheme, suppressed,
                        "credentials refused");
                }
                self.stats.refused_credentials.add(1);
                match refused {
                    Refused::AuthFailed => self.refuse(conn, xid, ErrorCode::AuthFailed),
                    Refused::OtherEnsemble => self.connections.close(conn),
                }
            }
        }
    }

    /// Without a SASL mechanism the exchange ends at once: the client goes on without an identity,
    /// as with a Java server that has none.
    pub(super) fn on_sasl(&mut self, now: Now, conn: ConnId, xid: Xid) {
        let Some(connection) = self.connections.answering(conn) else { return };
        if let Some(suppressed) = self.lines.sasl.admit(now.instant) {
            info!(peer = %connection.peer, suppressed, "client tried SASL, which is not configured");
        }
        Reply { xid, zxid: Zxid::ZERO, result: Ok(Body::Token(None)) }.encode(&mut connection.out);
        connection.answered(now.instant, now.instant, xid, Zxid::ZERO);
        self.stats.sent.add(1);
        self.connections.touch(conn);
    }
}
