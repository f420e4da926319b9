//! The primitives that every message and record is made of.
//!
//! ```text
//! byte     1 byte                         text     int bytes | UTF-8
//! boolean  1 byte, 0 = false              buffer   int bytes | bytes
//! int      4 bytes                        list     int count | elements
//! long     8 bytes                        record   its fields, one after the other
//! ```
//!
//! Numbers are big-endian two's complement. A length or count of -1 stands for null, which is kept
//! apart from empty. There are no tags, no padding and no lengths of records: who reads must know
//! what was written, and fields can only ever be added at the end of a message.
//!
//! Apache's implementation has habits that a peer of it must share:
//!
//! - A list with a negative count other than -1 is empty.
//! - Texts that are no UTF-8 are read with replacement characters, never refused. Java writes
//!   characters outside the first 64 K as two surrogates of three bytes each; each of the two reads
//!   as one replacement character, here as there. This crate writes such characters as UTF-8.

use std::borrow::Cow;

use types::{Acl, AclList, Id, Owner, Perms, SessionId, Stat, StoredStat, Zxid};

use crate::limits;

/// `world:anyone` with all permissions, as a list: what most znodes are created with.
const OPEN_ACL: &[u8] = b"\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone";

/// Why bytes are not what they should be.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The input ends too early. Where input arrives in pieces: come back with more.
    #[error("input ends at offset {offset}, {needed} bytes too early")]
    Truncated {
        /// Where the value starts that does not fit.
        offset: usize,
        /// How many more bytes there must be at least.
        needed: usize,
    },
    /// A text or buffer has a length that none can have.
    #[error("unreasonable length {length} at offset {offset}")]
    UnreasonableLength {
        /// Where the length stands.
        offset: usize,
        /// What it says.
        length: i32,
    },
    /// A field is null that must not be.
    #[error("{field} is null at offset {offset}")]
    Null {
        /// Where the field starts.
        offset: usize,
        /// Which one.
        field: &'static str,
    },
    /// A field has a value without a meaning.
    #[error("unknown {field} {value} before offset {offset}")]
    Unknown {
        /// Where the field ends.
        offset: usize,
        /// Which one.
        field: &'static str,
        /// What it says.
        value: i64,
    },
}

/// Takes values off the front of some bytes.
///
/// After an error the position is unspecified; a caller that wants to go on with more input starts
/// again where its last whole record ended.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    input: &'a [u8],
    /// At most `input.len()`.
    position: usize,
    text_bytes_max: usize,
}

impl<'a> Reader<'a> {
    /// A reader of input that is there as a whole: no text can be longer than it.
    pub const fn new(input: &'a [u8]) -> Self {
        Self::with_limit(input, usize::MAX)
    }

    /// A reader that takes a text or buffer of more than `text_bytes_max` bytes as a sign of
    /// damage, even if the input might still grow to that length.
    pub const fn with_limit(input: &'a [u8], text_bytes_max: usize) -> Self {
        Self { input, position: 0, text_bytes_max }
    }

    /// Takes a number of four bytes.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn int(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// Takes a number of eight bytes.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn long(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// Takes a truth value: any byte but 0 is true.
    ///
    /// # Errors
    /// When none is left.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.byte()? != 0)
    }

    /// Takes a byte.
    ///
    /// # Errors
    /// When none is left.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// Takes a text; `None` is null. Bytes that are no UTF-8 are replaced as Java does it.
    ///
    /// # Errors
    /// When its length is unreasonable or more than is left.
    pub fn text(&mut self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        Ok(self.buffer()?.map(decode_text))
    }

    /// Takes a text that must not be null; `field` names it in the error.
    ///
    /// # Errors
    /// As [`Self::text`], and when it is null.
    pub fn text_not_null(&mut self, field: &'static str) -> Result<Cow<'a, str>, DecodeError> {
        let offset = self.position;
        self.text()?.ok_or(DecodeError::Null { offset, field })
    }

    /// Takes a buffer; `None` is null.
    ///
    /// # Errors
    /// When its length is unreasonable or more than is left.
    #[inline]
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        let offset = self.position;
        let length = self.int()?;
        match usize::try_from(length) {
            Ok(bytes) if bytes <= self.text_bytes_max => self.slice(bytes).map(Some),
            Err(_) if length == -1 => Ok(None),
            Ok(_) | Err(_) => Err(DecodeError::UnreasonableLength { offset, length }),
        }
    }

    /// Takes the number of elements of a list; `None` is null, any other negative number none.
    ///
    /// `element_bytes_min` is the least that one element takes, so that the count is never more
    /// than the input can hold and may be used to reserve memory.
    ///
    /// # Errors
    /// When the input can not hold that many.
    #[inline]
    pub fn count(&mut self, element_bytes_min: usize) -> Result<Option<usize>, DecodeError> {
        let count = self.int()?;
        match usize::try_from(count) {
            Ok(count) => {
                let bytes = count.saturating_mul(element_bytes_min);
                match bytes.checked_sub(self.remaining()) {
                    None | Some(0) => Ok(Some(count)),
                    Some(needed) => Err(DecodeError::Truncated { offset: self.position, needed }),
                }
            }
            Err(_) if count == -1 => Ok(None),
            Err(_) => Ok(Some(0)),
        }
    }

    /// Takes an access control list; null is empty, and so are the parts of an identity.
    ///
    /// # Errors
    /// When the input ends within it.
    pub fn acls(&mut self) -> Result<AclList, DecodeError> {
        if self.rest().starts_with(OPEN_ACL) {
            self.position += OPEN_ACL.len();
            return Ok(AclList::open());
        }
        let count = self.count(limits::ACL_BYTES_MIN)?.unwrap_or(0);
        if count == 0 {
            return Ok(AclList::empty());
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let perms = Perms(self.int()?);
            let scheme = self.text()?.unwrap_or_default();
            let id = self.text()?.unwrap_or_default();
            entries.push(Acl { perms, id: Id::new(scheme, id) });
        }
        Ok(AclList::from(entries))
    }

    /// Takes a list of texts none of which is null, nor the list; `field` names them in the error.
    ///
    /// # Errors
    /// When the input ends within it, or something is null.
    pub fn texts(&mut self, field: &'static str) -> Result<Vec<Cow<'a, str>>, DecodeError> {
        let offset = self.position;
        let count = self.count(limits::TEXT_BYTES_MIN)?;
        let count = count.ok_or(DecodeError::Null { offset, field })?;
        let mut texts = Vec::with_capacity(count);
        for _ in 0..count {
            texts.push(self.text_not_null(field)?);
        }
        Ok(texts)
    }

    /// Takes the 68 bytes of a znode's numbers.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn stat(&mut self) -> Result<Stat, DecodeError> {
        Ok(Stat {
            czxid: self.zxid()?,
            mzxid: self.zxid()?,
            ctime_ms: self.long()?,
            mtime_ms: self.long()?,
            version: self.int()?,
            cversion: self.int()?,
            aversion: self.int()?,
            ephemeral_owner: SessionId(self.long()?),
            data_length: self.int()?,
            num_children: self.int()?,
            pzxid: self.zxid()?,
        })
    }

    /// Takes the 60 bytes of a znode's numbers as snapshots store them.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn stored_stat(&mut self) -> Result<StoredStat, DecodeError> {
        Ok(StoredStat {
            czxid: self.zxid()?,
            mzxid: self.zxid()?,
            ctime_ms: self.long()?,
            mtime_ms: self.long()?,
            version: self.int()?,
            cversion: self.int()?,
            aversion: self.int()?,
            owner: Owner::from_raw(self.long()?),
            pzxid: self.zxid()?,
        })
    }

    /// Takes a zxid.
    ///
    /// # Errors
    /// When fewer than eight bytes are left.
    #[inline]
    pub fn zxid(&mut self) -> Result<Zxid, DecodeError> {
        self.long().map(Zxid::from_raw)
    }

    /// How many bytes were taken.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// How many bytes are left.
    pub const fn remaining(&self) -> usize {
        self.input.len() - self.position
    }

    /// Whether none are left.
    pub const fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// The bytes that are left.
    pub fn rest(&self) -> &'a [u8] {
        &self.input[self.position..]
    }

    /// The error for a field just taken whose value means nothing.
    pub fn unknown(&self, field: &'static str, value: impl Into<i64>) -> DecodeError {
        DecodeError::Unknown { offset: self.position, field, value: value.into() }
    }

    #[inline]
    fn slice(&mut self, bytes: usize) -> Result<&'a [u8], DecodeError> {
        let rest = self.rest();
        match rest.get(..bytes) {
            Some(slice) => {
                self.position += bytes;
                Ok(slice)
            }
            None => Err(self.truncated(bytes)),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest().first_chunk() {
            Some(bytes) => {
                self.position += N;
                Ok(*bytes)
            }
            None => Err(self.truncated(N)),
        }
    }

    #[cold]
    fn truncated(&self, bytes: usize) -> DecodeError {
        DecodeError::Truncated { offset: self.position, needed: bytes - self.remaining() }
    }
}

/// Appends a number of four bytes.
pub fn put_int(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a number of eight bytes.
pub fn put_long(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a truth value.
pub fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

/// Appends a length or the number of elements of a list.
///
/// # Panics
/// When it is 2^31 or more. What is encoded came out of frames and files that are smaller by far.
pub fn put_count(out: &mut Vec<u8>, count: usize) {
    put_int(out, i32::try_from(count).expect("lengths and counts are below 2^31"));
}

/// Appends a text.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Appends a text or null.
pub fn put_text_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    put_buffer(out, text.map(str::as_bytes));
}

/// Appends a buffer or null.
pub fn put_buffer(out: &mut Vec<u8>, buffer: Option<&[u8]>) {
    match buffer {
        Some(bytes) => {
            put_count(out, bytes.len());
            out.extend_from_slice(bytes);
        }
        None => put_int(out, -1),
    }
}

/// Appends an access control list.
pub fn put_acls(out: &mut Vec<u8>, acls: &[Acl]) {
    put_count(out, acls.len());
    for acl in acls {
        put_int(out, acl.perms.0);
        put_text(out, &acl.id.scheme);
        put_text(out, &acl.id.id);
    }
}

/// Appends the 68 bytes of a znode's numbers.
pub fn put_stat(out: &mut Vec<u8>, stat: &Stat) {
    out.reserve(68);
    put_zxid(out, stat.czxid);
    put_zxid(out, stat.mzxid);
    put_long(out, stat.ctime_ms);
    put_long(out, stat.mtime_ms);
    put_int(out, stat.version);
    put_int(out, stat.cversion);
    put_int(out, stat.aversion);
    put_long(out, stat.ephemeral_owner.0);
    put_int(out, stat.data_length);
    put_int(out, stat.num_children);
    put_zxid(out, stat.pzxid);
}

/// Appends the 60 bytes of a znode's numbers as snapshots store them.
pub fn put_stored_stat(out: &mut Vec<u8>, stat: &StoredStat) {
    out.reserve(60);
    put_zxid(out, stat.czxid);
    put_zxid(out, stat.mzxid);
    put_long(out, stat.ctime_ms);
    put_long(out, stat.mtime_ms);
    put_int(out, stat.version);
    put_int(out, stat.cversion);
    put_int(out, stat.aversion);
    put_long(out, stat.owner.raw());
    put_zxid(out, stat.pzxid);
}

/// Appends a zxid.
pub fn put_zxid(out: &mut Vec<u8>, zxid: Zxid) {
    put_long(out, zxid.raw());
}

/// Writes a number of four bytes over those at `position`, which was appended before its value was
/// known.
pub(crate) fn patch_count(out: &mut [u8], position: usize, count: usize) {
    let count = i32::try_from(count).expect("lengths and counts are below 2^31");
    out[position..position + 4].copy_from_slice(&count.to_be_bytes());
}

/// The text that these bytes are, with replacement characters for those that are no UTF-8.
pub(crate) fn decode_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(replace_malformed(bytes)),
    }
}

/// One replacement character for each maximal piece of a character, as the Unicode standard
/// advises; and one, not three, for an encoded surrogate, as Java does.
fn replace_malformed(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut position = 0;
    let mut surrogate_end = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        position += chunk.valid().len();
        if chunk.invalid().is_empty() {
            break;
        }
        if position >= surrogate_end {
            text.push(char::REPLACEMENT_CHARACTER);
            surrogate_end = position + surrogate_bytes(&bytes[position..]);
        }
        position += chunk.invalid().len();
    }
    text
}

/// The bytes of the surrogate, whole or cut short, at the start of `bytes`; 0 if there is none.
fn surrogate_bytes(bytes: &[u8]) -> usize {
    match bytes {
        [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] => 3,
        [0xed, 0xa0..=0xbf, ..] => 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_list_is_recognized_by_its_bytes() {
        let mut out = Vec::new();
        put_acls(&mut out, &AclList::open());
        assert_eq!(out, OPEN_ACL);
    }
}
