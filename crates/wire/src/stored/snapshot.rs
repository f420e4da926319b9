//! The records of a snapshot.
//!
//! ```text
//! header    16 bytes, see FileHeader
//! sessions  int count | { long session | int timeout in ms } ...
//! acls      int count | { long id | list } ...
//! nodes     { path | data | long acl id | stat, 60 bytes } ...   parents before their children
//! end       path "/"
//! seal      long sum | text "/"                                                      13 bytes
//! digest    long zxid | int 2 | long digest, and a seal                         20 + 13 bytes
//! last zxid long, and a seal                                                     8 + 13 bytes
//! ```
//!
//! The root's path is the empty text, so that "/" is free to mark the end. A seal holds the
//! Adler-32 of all bytes before it, other seals included. The last two blocks came later and may be
//! missing, one or both; how many bytes are left after the first seal tells which there are
//! ([`TrailingBlocks::of_remaining`]).
//!
//! Each decoder takes one record. Where a snapshot arrives in pieces, a record that ends in
//! [`DecodeError::Truncated`] is decoded again from its start with more input.

use std::borrow::Cow;

use types::{Acl, AclList, SessionId, StoredStat, TxnDigest, Zxid};

use crate::jute::{self, DecodeError, Reader};

/// The path that marks the end of the nodes, and the text of a seal.
const END: &str = "/";

/// Digests before this version are texts.
const FIRST_BINARY_DIGEST: i32 = 2;

const SEAL_BYTES: usize = 13;
const DIGEST_BYTES: usize = 20;
const LAST_ZXID_BYTES: usize = 8;

/// An access control list's number in a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AclId(pub i64);

impl AclId {
    /// `world:anyone` with all permissions, which is not among the snapshot's lists.
    pub const OPEN: Self = Self(-1);
}

/// A session and its timeout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredSession {
    /// Which.
    pub session: SessionId,
    /// Its timeout in milliseconds.
    pub timeout_ms: i32,
}

/// An access control list and its number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredAcl {
    /// Its number.
    pub id: AclId,
    /// The list.
    pub acl: AclList,
}

/// A znode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredNode<'a> {
    /// Where; empty for the root.
    pub path: Cow<'a, str>,
    /// Its data; `None` is null.
    pub data: Option<&'a [u8]>,
    /// Its access control list. It may be missing among the snapshot's lists if it was created
    /// while the snapshot was written; the log has it then.
    pub acl: AclId,
    /// Its numbers.
    pub stat: StoredStat,
}

/// The digest of the tree at some transaction, which the log reaches after the snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredDigest {
    /// The transaction.
    pub zxid: Zxid,
    /// The digest after it; `None` where it is of a version that nobody computes any more.
    pub digest: Option<TxnDigest>,
}

/// Which blocks follow the first seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrailingBlocks {
    /// None.
    Absent,
    /// The digest.
    Digest,
    /// The last zxid.
    LastZxid,
    /// The digest, then the last zxid.
    DigestAndLastZxid,
}

impl TrailingBlocks {
    /// What follows the first seal if so many bytes do; `None` if that is no number of bytes that
    /// blocks can take. A digest of an old version, which has another length, counts as damage.
    pub const fn of_remaining(bytes: usize) -> Option<Self> {
        const DIGEST: usize = DIGEST_BYTES + SEAL_BYTES;
        const LAST_ZXID: usize = LAST_ZXID_BYTES + SEAL_BYTES;
        const BOTH: usize = DIGEST + LAST_ZXID;
        match bytes {
            0 => Some(Self::Absent),
            DIGEST => Some(Self::Digest),
            LAST_ZXID => Some(Self::LastZxid),
            BOTH => Some(Self::DigestAndLastZxid),
            _ => None,
        }
    }
}

/// Takes the number of sessions or lists that follow. It is not limited by the input, which may
/// still grow: reserve no memory for it.
///
/// # Errors
/// When the input ends within it.
pub fn decode_count(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    Ok(usize::try_from(reader.int()?).unwrap_or(0))
}

/// Takes a session.
///
/// # Errors
/// When the input ends within it.
pub fn decode_session(reader: &mut Reader<'_>) -> Result<StoredSession, DecodeError> {
    Ok(StoredSession { session: SessionId(reader.long()?), timeout_ms: reader.int()? })
}

/// Takes a list with its number.
///
/// # Errors
/// When the input ends within it, or it is damaged.
pub fn decode_acl(reader: &mut Reader<'_>) -> Result<StoredAcl, DecodeError> {
    Ok(StoredAcl { id: AclId(reader.long()?), acl: reader.acls()? })
}

/// Takes a znode, or the end mark: `None`.
///
/// # Errors
/// When the input ends within it, or it is damaged.
pub fn decode_node<'a>(reader: &mut Reader<'a>) -> Result<Option<StoredNode<'a>>, DecodeError> {
    let path = reader.text_not_null("path")?;
    if path == END {
        return Ok(None);
    }
    let data = reader.buffer()?;
    let acl = AclId(reader.long()?);
    Ok(Some(StoredNode { path, data, acl, stat: reader.stored_stat()? }))
}

/// Takes a seal: the sum that all bytes before it should have.
///
/// # Errors
/// When the input ends within it, or it is none.
pub fn decode_seal(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let sum = reader.long()?;
    let value = u32::try_from(sum).map_err(|_| reader.unknown("checksum", sum))?;
    let text = reader.text_not_null("seal")?;
    if text != END {
        return Err(reader.unknown("seal of bytes", text.len() as i64));
    }
    Ok(value)
}

/// Takes a digest.
///
/// # Errors
/// When the input ends within it.
pub fn decode_digest(reader: &mut Reader<'_>) -> Result<StoredDigest, DecodeError> {
    let zxid = reader.zxid()?;
    let version = reader.int()?;
    let digest = if version < FIRST_BINARY_DIGEST {
        reader.text()?;
        None
    } else {
        Some(TxnDigest { version, tree: reader.long()?.cast_unsigned() })
    };
    Ok(StoredDigest { zxid, digest })
}

/// Takes the last zxid.
///
/// # Errors
/// When the input ends within it.
pub fn decode_last_zxid(reader: &mut Reader<'_>) -> Result<Zxid, DecodeError> {
    reader.zxid()
}

/// Appends a session.
pub fn put_session(out: &mut Vec<u8>, session: SessionId, timeout_ms: i32) {
    jute::put_long(out, session.0);
    jute::put_int(out, timeout_ms);
}

/// Appends a list with its number.
pub fn put_acl(out: &mut Vec<u8>, id: AclId, acl: &[Acl]) {
    jute::put_long(out, id.0);
    jute::put_acls(out, acl);
}

/// Appends a znode. The root's path is the empty text.
pub fn put_node(out: &mut Vec<u8>, path: &str, data: Option<&[u8]>, acl: AclId, stat: &StoredStat) {
    debug_assert_ne!(path, END, "the root is the empty text");
    jute::put_text(out, path);
    jute::put_buffer(out, data);
    jute::put_long(out, acl.0);
    jute::put_stored_stat(out, stat);
}

/// Appends the mark after the last znode.
pub fn put_end(out: &mut Vec<u8>) {
    jute::put_text(out, END);
}

/// Appends a seal; `sum` covers all bytes before it.
pub fn put_seal(out: &mut Vec<u8>, sum: u32) {
    jute::put_long(out, i64::from(sum));
    jute::put_text(out, END);
}

/// Appends a digest.
pub fn put_digest(out: &mut Vec<u8>, zxid: Zxid, digest: TxnDigest) {
    jute::put_zxid(out, zxid);
    jute::put_int(out, digest.version);
    jute::put_long(out, digest.tree.cast_signed());
}

/// Appends the last zxid.
pub fn put_last_zxid(out: &mut Vec<u8>, zxid: Zxid) {
    jute::put_zxid(out, zxid);
}
