//! What packets carry, borrowed from where it was received or encoded.

use std::borrow::Cow;
use std::fmt;

use types::{Id, SessionId, Zxid};

use crate::jute::{self, DecodeError, Reader};
use crate::limits::ID_BYTES_MIN;
use crate::opcode::OpCode;
use crate::stored::without_digest;

/// Where the zxid stands in an encoded transaction: behind session and xid.
const TXN_ZXID_OFFSET: usize = 12;

/// A session and its timeout.
const TOUCH_BYTES: usize = 12;

/// A transaction with its header and digest, encoded: what the log stores.
///
/// Only its zxid was looked at; [`crate::stored::decode_txn`] reads the rest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Proposal<'a> {
    /// The one in the payload.
    zxid: Zxid,
    payload: &'a [u8],
}

impl<'a> Proposal<'a> {
    /// A proposal of what [`crate::stored::encode_txn`] encoded.
    ///
    /// # Errors
    /// When it is too short for a zxid.
    pub fn new(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let _session = reader.long()?;
        let _cxid = reader.int()?;
        debug_assert_eq!(reader.position(), TXN_ZXID_OFFSET);
        Ok(Self { zxid: reader.zxid()?, payload })
    }

    /// The transaction's place in the order.
    pub const fn zxid(self) -> Zxid {
        self.zxid
    }

    /// The transaction, as it goes into the log.
    pub const fn payload(self) -> &'a [u8] {
        self.payload
    }

    /// The same without the digest behind it.
    ///
    /// # Errors
    /// When the transaction can not be read.
    pub fn without_digest(self) -> Result<Self, DecodeError> {
        Ok(Self { payload: without_digest(self.payload)?, ..self })
    }

    /// The text of the new membership if this is a change of it, and `None` for all other
    /// transactions.
    ///
    /// # Errors
    /// When it is such a change but unreadable, or the payload has no room for a type.
    pub fn new_config(self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        let mut reader = Reader::new(self.payload);
        let _session = reader.long()?;
        let _cxid = reader.int()?;
        let _zxid = reader.zxid()?;
        let _time_ms = reader.long()?;
        if reader.int()? != OpCode::Reconfig.raw() {
            return Ok(None);
        }
        let _path = reader.text_not_null("path")?;
        reader.text_not_null("membership").map(Some)
    }
}

impl fmt::Debug for Proposal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proposal({}, {} bytes)", self.zxid, self.payload.len())
    }
}

/// A session that showed signs of life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionTouch {
    /// Which.
    pub session: SessionId,
    /// Its timeout in milliseconds.
    pub timeout_ms: i32,
}

/// The sessions that showed signs of life at a learner since its last ping.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Touches<'a> {
    /// A multiple of [`TOUCH_BYTES`] long.
    bytes: &'a [u8],
}

impl<'a> Touches<'a> {
    /// No session.
    pub const NONE: Self = Self { bytes: &[] };

    /// Encodes them into `buffer`, whose content is replaced and whose memory is kept.
    pub fn encode(
        buffer: &'a mut Vec<u8>,
        touches: impl IntoIterator<Item = SessionTouch>,
    ) -> Self {
        buffer.clear();
        for touch in touches {
            jute::put_long(buffer, touch.session.0);
            jute::put_int(buffer, touch.timeout_ms);
        }
        Self { bytes: buffer }
    }

    /// The sessions one by one.
    pub fn iter(self) -> impl ExactSizeIterator<Item = SessionTouch> {
        let (entries, _) = self.bytes.as_chunks::<TOUCH_BYTES>();
        entries.iter().map(|&[a, b, c, d, e, f, g, h, timeout_ms @ ..]| SessionTouch {
            session: SessionId(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
            timeout_ms: i32::from_be_bytes(timeout_ms),
        })
    }

    pub(super) fn take(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let bytes = reader.rest();
        while !reader.is_empty() {
            let _session = reader.long()?;
            let _timeout_ms = reader.int()?;
        }
        Ok(Self { bytes })
    }

    pub(super) fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes);
    }
}

impl fmt::Debug for Touches<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The identities of the client whose request is forwarded. May be null, which means the same as
/// none and is kept apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuthInfo<'a> {
    /// A whole list, its count included.
    bytes: &'a [u8],
}

/// An identity of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthId<'a> {
    /// The scheme; null reads as empty.
    pub scheme: Cow<'a, str>,
    /// The identity in the syntax of its scheme; null reads as empty.
    pub id: Cow<'a, str>,
}

impl AuthId<'_> {
    /// The same, borrowing nothing.
    pub fn to_id(&self) -> Id {
        Id::new(&*self.scheme, &*self.id)
    }
}

impl<'a> AuthInfo<'a> {
    /// Null: what packets have that are no requests, or requests of the server itself.
    pub const NULL: Self = Self { bytes: &[0xff; 4] };

    /// Encodes identities into `buffer`, whose content is replaced and whose memory is kept.
    pub fn encode(buffer: &'a mut Vec<u8>, ids: &[Id]) -> Self {
        buffer.clear();
        put_ids(buffer, ids);
        Self { bytes: buffer }
    }

    /// The list as it is sent: what is equal has the same identities.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The identities one by one.
    pub fn ids(self) -> impl Iterator<Item = AuthId<'a>> {
        let mut reader = Reader::new(self.bytes);
        let count = reader.count(ID_BYTES_MIN).ok().flatten().unwrap_or(0);
        (0..count).map_while(move |_| {
            let scheme = reader.text().ok()?.unwrap_or_default();
            let id = reader.text().ok()?.unwrap_or_default();
            Some(AuthId { scheme, id })
        })
    }

    /// Takes a list of at most `bytes_max` bytes without reading its texts.
    pub(super) fn take(reader: &mut Reader<'a>, bytes_max: usize) -> Result<Self, DecodeError> {
        let offset = reader.position();
        let list = reader.rest();
        let length = reader.clone().int()?;
        let unreasonable = DecodeError::UnreasonableLength { offset, length };
        let count = usize::try_from(length).unwrap_or(0);
        if count > bytes_max / ID_BYTES_MIN {
            return Err(unreasonable);
        }
        reader.count(ID_BYTES_MIN)?;
        for _text in 0..2 * count {
            reader.buffer()?;
            if reader.position() - offset > bytes_max {
                return Err(unreasonable);
            }
        }
        Ok(Self { bytes: &list[..reader.position() - offset] })
    }

    pub(super) fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes);
    }
}

/// Appends a list of identities.
pub(super) fn put_ids(out: &mut Vec<u8>, ids: &[Id]) {
    jute::put_count(out, ids.len());
    for id in ids {
        jute::put_text(out, &id.scheme);
        jute::put_text(out, &id.id);
    }
}

impl fmt::Debug for AuthInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}
