//! The handshake: the first frame in each direction, without the headers that all later ones have.
//!
//! ```text
//! request                              response
//!   int    protocol version, 0           int    protocol version, 0
//!   long   last zxid seen                int    timeout in ms; 0 = refused
//!   int    timeout in ms                 long   session; 0 = refused
//!   long   session; 0 = a new one        buffer password, 16 bytes
//!   buffer password, 16 bytes            [bool  this server is read-only]
//!   [bool  a read-only server will do]
//! ```
//!
//! The last byte of each came later: it is absent when the client is of release 3.3 or older, and a
//! server answers without it exactly if the request came without it.

use std::fmt;

use types::{SessionId, SessionPassword, Zxid};

use crate::frame;
use crate::jute::{self, DecodeError, Reader};

/// What a client sends to open or resume a session.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectRequest<'a> {
    /// The highest zxid the client has seen; a server that is behind it must not serve the client.
    pub last_zxid_seen: Zxid,
    /// The timeout it wishes, in milliseconds; the server answers with one within its own bounds.
    pub timeout_ms: i32,
    /// The session to resume; [`SessionId::NONE`] for a new one.
    pub session: SessionId,
    /// The password of that session. Any length is let through, null as empty: what does not match
    /// is refused by comparison. Never shown in logs.
    pub password: &'a [u8],
    /// Whether a server without a quorum will do; `None` from clients that do not know of it.
    pub read_only: Option<bool>,
}

impl<'a> ConnectRequest<'a> {
    /// Reads the body of a first frame.
    ///
    /// # Errors
    /// When it is too short.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let _protocol_version = reader.int()?;
        Ok(Self {
            last_zxid_seen: reader.zxid()?,
            timeout_ms: reader.int()?,
            session: SessionId(reader.long()?),
            password: reader.buffer()?.unwrap_or_default(),
            read_only: trailing_bool(&mut reader)?,
        })
    }

    /// Appends it as a frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = frame::begin(out);
        jute::put_int(out, 0);
        jute::put_zxid(out, self.last_zxid_seen);
        jute::put_int(out, self.timeout_ms);
        jute::put_long(out, self.session.0);
        jute::put_buffer(out, Some(self.password));
        if let Some(read_only) = self.read_only {
            jute::put_bool(out, read_only);
        }
        frame::finish(out, start);
    }
}

impl fmt::Debug for ConnectRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("last_zxid_seen", &self.last_zxid_seen)
            .field("timeout_ms", &self.timeout_ms)
            .field("session", &self.session)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

/// What a server answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectResponse {
    /// The timeout that holds, in milliseconds; 0 or less: the session is refused.
    pub timeout_ms: i32,
    /// The session; [`SessionId::NONE`] if refused.
    pub session: SessionId,
    /// Its password, for resuming it elsewhere. One of another length than 16 bytes, which no
    /// server sends, is cut or filled with zeros.
    pub password: SessionPassword,
    /// Whether the server has no quorum; `None` where the byte is absent.
    pub read_only: Option<bool>,
}

impl ConnectResponse {
    /// The answer to a client whose session has expired, is unknown, or has another password.
    pub const fn refused(read_only: Option<bool>) -> Self {
        Self {
            timeout_ms: 0,
            session: SessionId::NONE,
            password: SessionPassword([0; 16]),
            read_only,
        }
    }

    /// Reads the body of a first frame.
    ///
    /// # Errors
    /// When it is too short.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let _protocol_version = reader.int()?;
        let timeout_ms = reader.int()?;
        let session = SessionId(reader.long()?);
        let mut password = [0; 16];
        for (slot, &byte) in password.iter_mut().zip(reader.buffer()?.unwrap_or_default()) {
            *slot = byte;
        }
        let read_only = trailing_bool(&mut reader)?;
        Ok(Self { timeout_ms, session, password: SessionPassword(password), read_only })
    }

    /// Appends it as a frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = frame::begin(out);
        jute::put_int(out, 0);
        jute::put_int(out, self.timeout_ms);
        jute::put_long(out, self.session.0);
        jute::put_buffer(out, Some(&self.password.0));
        if let Some(read_only) = self.read_only {
            jute::put_bool(out, read_only);
        }
        frame::finish(out, start);
    }

    /// Whether the session was refused, so that the server closes the connection.
    pub const fn is_refusal(&self) -> bool {
        self.timeout_ms <= 0
    }
}

fn trailing_bool(reader: &mut Reader<'_>) -> Result<Option<bool>, DecodeError> {
    if reader.is_empty() { Ok(None) } else { reader.bool().map(Some) }
}
