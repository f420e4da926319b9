//! SASL: what a server and the program tell one another between the handshake and the first request.
//!
//! ```text
//!  server                    session                     program
//!    │ ── session accepted ──► │ ── SaslBegin ─────────────► │
//!    │ ◄───────── token ────── │ ◄────── SaslStep::Token ─── │
//!    │ ── token or null ─────► │ ── SaslToken ─────────────► │   as often as the mechanism needs
//!    │                         │ ◄────── SaslStep::Done ──── │
//!    │ ◄─ credentials, watches, requests
//! ```
//!
//! This is what Apache's `ZooKeeperSaslClient` and `ClientCnxn` do: the tokens have numbers of ordinary
//! requests, nothing else is sent until the exchange is done (pings neither), and each connection has
//! one of its own. A refusal by either side ends the session: [`super::SessionState::AuthFailed`].

use std::borrow::Cow;
use std::{fmt, mem};

use types::{ConnId, Instant, Op, Xid};
use wire::reply::{self, ReplyHeader};
use wire::request::Request;

use super::{Effect, Effects, End, Link, ServerMisbehaved, Session, xid_after};

/// What the program does in a SASL exchange when it is its turn.
///
/// ```
/// use reefkeeper_client::SaslStep;
///
/// let step = SaslStep::Token(b"response".to_vec());
/// assert_eq!(format!("{step:?}"), "Token(..)", "tokens stay out of logs");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum SaslStep {
    /// It sends a token, which may be empty; the server will answer.
    Token(Vec<u8>),
    /// It has heard what it needs: requests may be sent.
    Done,
}

impl fmt::Debug for SaslStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(..)",
            Self::Done => "Done",
        })
    }
}

/// An exchange that is not done.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Whether the server has no quorum.
    pub(super) is_read_only: bool,
    /// The token that was sent last, while its answer is due; `None` while it is the program's turn.
    pub(super) asked: Option<Xid>,
}

impl Session {
    /// The server said something while tokens are exchanged.
    pub(super) fn on_sasl_reply(
        &mut self,
        now: Instant,
        body: &[u8],
        effects: &mut Effects,
    ) -> Result<(), ServerMisbehaved> {
        let Link::Handshaking { conn, sasl: Some(exchange), .. } = &mut self.link else {
            return Ok(());
        };
        let (header, record) = ReplyHeader::decode(body)?;
        let asked = exchange.asked.take();
        if asked != Some(header.xid) {
            let expected = asked.map(|xid| xid.0);
            return Err(ServerMisbehaved::OutOfOrder { expected, got: header.xid.0 });
        }
        self.last_heard = Some(now);
        if header.code != 0 {
            self.end(End::AuthFailed, effects);
            return Ok(());
        }
        let token = reply::decode_token(record)?;
        effects.list.push(Effect::SaslToken { conn: *conn, token });
        Ok(())
    }

    /// The program has taken its turn.
    pub(super) fn on_sasl_step(
        &mut self,
        now: Instant,
        from: ConnId,
        step: SaslStep,
        effects: &mut Effects,
    ) {
        let time_for_an_answer = self.attempt_timeout();
        let Link::Handshaking { conn, deadline, inbound, sasl: Some(exchange) } = &mut self.link
        else {
            return;
        };
        if *conn != from || exchange.asked.is_some() {
            return;
        }
        match step {
            SaslStep::Token(token) => {
                let xid = xid_after(self.last_xid);
                let op = Op::Sasl(Some(Cow::Owned(token)));
                Request { xid, op }.encode(&mut effects.outgoing);
                self.last_xid = xid;
                exchange.asked = Some(xid);
                *deadline = now.after(time_for_an_answer);
            }
            SaslStep::Done => {
                let (inbound, is_read_only) = (mem::take(inbound), exchange.is_read_only);
                self.establish(now, from, is_read_only, effects);
                // What the server said meanwhile is to be heard as well.
                self.on_received(now, from, &inbound, effects);
            }
        }
    }

    /// The program can not or will not go on.
    pub(super) fn on_sasl_failed(&mut self, from: ConnId, effects: &mut Effects) {
        if let Link::Handshaking { conn, sasl: Some(_), .. } = &self.link
            && *conn == from
        {
            self.end(End::AuthFailed, effects);
        }
    }
}
