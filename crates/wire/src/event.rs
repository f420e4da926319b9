//! What watches tell: a message that answers no request.
//!
//! ```text
//! int -1 | long zxid | int 0 | int type | int state | text path
//! ```
//!
//! The first three are a reply's header. All watchers of a znode get the same bytes, so that an
//! event is encoded once and copied.

use std::borrow::Cow;

use types::{EventKind, KeeperState, Xid, Zxid};

use crate::frame;
use crate::jute::{self, DecodeError, Reader};

/// The zxid of an event that no transaction caused.
const NO_ZXID: i64 = -1;

/// A change that a watch was set for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchEvent<'a> {
    /// The transaction that caused it; `None` when a reconnected client learns what it missed, and
    /// from servers of release 3.8 or older.
    pub zxid: Option<Zxid>,
    /// What happened.
    pub kind: EventKind,
    /// To which znode.
    pub path: Cow<'a, str>,
}

impl<'a> WatchEvent<'a> {
    /// Reads the body of a frame whose first number is [`Xid::NOTIFICATION`].
    ///
    /// # Errors
    /// When it ends too early or tells of something that happens to no znode.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let _xid = reader.int()?;
        let zxid = Some(reader.long()?).filter(|&zxid| zxid != NO_ZXID).map(Zxid::from_raw);
        let _error = reader.int()?;
        let kind = reader.int()?;
        let kind = EventKind::from_raw(kind).ok_or_else(|| reader.unknown("event type", kind))?;
        let _state = reader.int()?;
        Ok(Self { zxid, kind, path: reader.text_not_null("path")? })
    }

    /// Appends it as a frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = frame::begin(out);
        jute::put_int(out, Xid::NOTIFICATION.0);
        jute::put_long(out, self.zxid.map_or(NO_ZXID, Zxid::raw));
        jute::put_int(out, 0);
        jute::put_int(out, self.kind as i32);
        jute::put_int(out, KeeperState::SyncConnected as i32);
        jute::put_text(out, &self.path);
        frame::finish(out, start);
    }
}
