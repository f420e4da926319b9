//! A transaction: who asked for what, when, and the digest of the tree after it.
//!
//! ```text
//! long session | int cxid | long zxid | long time | int type | record ... | [int 2 | long digest]
//! ```
//!
//! | type | transaction | record |
//! |---|---|---|
//! | -10 | createSession | int timeout |
//! | -11 | closeSession | list of paths |
//! | 1, 15 | create, create2 | path, data, acl, bool ephemeral, int parent's cversion |
//! | 19 | createContainer | path, data, acl, int parent's cversion |
//! | 21 | createTTL | path, data, acl, int parent's cversion, long ttl |
//! | 2, 20 | delete, deleteContainer | path |
//! | 5, 16 | setData, reconfig | path, data, int version |
//! | 7 | setACL | path, acl, int version |
//! | 13 | check, within a multi | path, int version |
//! | 14 | multi | list of int type, buffer record |
//! | -1 | error | int code |
//!
//! Older servers left out what came later, and who reads notices by running out of bytes: the
//! digest, the list of closeSession, the parent's cversion of create.
//!
//! A multi that failed consists of errors from the operation on that failed. Java, applying it,
//! turns those before it into errors too, by changing their type in place but not their record;
//! servers that are synchronized from its memory log them like that. Such an error is longer than
//! four bytes, and its code is taken as 0.

use std::borrow::Cow;

use types::{CreateCall, CreateTxn, SessionId, Txn, TxnDigest, TxnHeader, Xid, Zxid};

use crate::jute::{self, DecodeError, Reader};
use crate::limits;
use crate::opcode::{self, OpCode};

const CREATE_SESSION: i32 = OpCode::CreateSession.raw();
const CLOSE_SESSION: i32 = OpCode::CloseSession.raw();
const CREATE: i32 = OpCode::Create.raw();
const CREATE2: i32 = OpCode::Create2.raw();
const CREATE_CONTAINER: i32 = OpCode::CreateContainer.raw();
const CREATE_TTL: i32 = OpCode::CreateTtl.raw();
const DELETE: i32 = OpCode::Delete.raw();
const DELETE_CONTAINER: i32 = OpCode::DeleteContainer.raw();
const SET_DATA: i32 = OpCode::SetData.raw();
const RECONFIG: i32 = OpCode::Reconfig.raw();
const SET_ACL: i32 = OpCode::SetAcl.raw();
const MULTI: i32 = OpCode::Multi.raw();

/// What stands for "one more than now" where the parent's count should.
const PARENT_CVERSION_UNKNOWN: i32 = -1;

/// What stands where a time to live should, if a createTTL has none.
const NO_TTL: i64 = -1;

const DIGEST_BYTES: usize = 12;

/// Appends a transaction: the payload of a log entry and of a proposal.
pub fn encode_txn(out: &mut Vec<u8>, header: &TxnHeader, txn: &Txn, digest: Option<TxnDigest>) {
    jute::put_long(out, header.session.0);
    jute::put_int(out, header.cxid.0);
    jute::put_zxid(out, header.zxid);
    jute::put_long(out, header.time_ms);
    jute::put_int(out, type_of(txn));
    put_record(out, txn);
    if let Some(digest) = digest {
        jute::put_int(out, digest.version);
        jute::put_long(out, digest.tree.cast_signed());
    }
}

/// Reads a transaction.
///
/// # Errors
/// When it is of a type that has no place in a log, or ends too early.
pub fn decode_txn(payload: &[u8]) -> Result<(TxnHeader, Txn, Option<TxnDigest>), DecodeError> {
    let mut reader = Reader::new(payload);
    let (header, txn) = decode_decision(&mut reader)?;
    Ok((header, txn, digest(&mut reader)?))
}

/// A [`Txn::SetData`] where it was received or logged: most writes are such, and it needs no memory of its
/// own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetDataTxn<'a> {
    /// Its place in the order, and who asked.
    pub header: TxnHeader,
    /// Which znode.
    pub path: Cow<'a, str>,
    /// To what.
    pub data: Option<&'a [u8]>,
    /// The version that the data gets.
    pub version: i32,
    /// The digest of the tree after it, if it came with one.
    pub digest: Option<TxnDigest>,
}

impl<'a> SetDataTxn<'a> {
    /// Reads it in place; `None` if the transaction does something else.
    ///
    /// # Errors
    /// As [`decode_txn`].
    pub fn read(payload: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        match Self::at_one_glance(payload) {
            Some(it) => Ok(Some(it)),
            None => Self::field_by_field(payload),
        }
    }

    /// As servers write it: nothing is null or left out, the path is UTF-8.
    fn at_one_glance(payload: &'a [u8]) -> Option<Self> {
        let (session, rest) = payload.split_first_chunk()?;
        let (cxid, rest) = rest.split_first_chunk()?;
        let (zxid, rest) = rest.split_first_chunk()?;
        let (time_ms, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        if i32::from_be_bytes(*kind) != SET_DATA {
            return None;
        }
        let (path, rest) = split_buffer(rest)?;
        let (data, rest) = split_buffer(rest)?;
        let (version, rest) = rest.split_first_chunk()?;
        let digest = <&[u8; DIGEST_BYTES]>::try_from(rest).ok()?;
        let (digest_version, digest) = digest.split_first_chunk()?;
        Some(Self {
            header: TxnHeader {
                session: SessionId(i64::from_be_bytes(*session)),
                cxid: Xid(i32::from_be_bytes(*cxid)),
                zxid: Zxid::from_raw(i64::from_be_bytes(*zxid)),
                time_ms: i64::from_be_bytes(*time_ms),
            },
            path: Cow::Borrowed(std::str::from_utf8(path).ok()?),
            data: Some(data),
            version: i32::from_be_bytes(*version),
            digest: Some(TxnDigest {
                version: i32::from_be_bytes(*digest_version),
                tree: u64::from_be_bytes(digest.try_into().ok()?),
            }),
        })
    }

    fn field_by_field(payload: &'a [u8]) -> Result<Option<Self>, DecodeError> {
        let mut reader = Reader::new(payload);
        let header = header(&mut reader)?;
        if reader.int()? != SET_DATA {
            return Ok(None);
        }
        let (path, data, version) = set_data(&mut reader)?;
        Ok(Some(Self { header, path, data, version, digest: digest(&mut reader)? }))
    }
}

/// Returns a transaction without the digest behind it, as a server writes it that keeps none.
///
/// # Errors
/// As [`decode_txn`].
pub fn without_digest(payload: &[u8]) -> Result<&[u8], DecodeError> {
    let mut reader = Reader::new(payload);
    decode_decision(&mut reader)?;
    Ok(&payload[..reader.position()])
}

/// Takes everything but the digest.
fn decode_decision(reader: &mut Reader<'_>) -> Result<(TxnHeader, Txn), DecodeError> {
    let header = header(reader)?;
    let txn = match reader.int()? {
        CREATE_SESSION => Txn::CreateSession { timeout_ms: reader.int()? },
        CLOSE_SESSION => decode_close_session(reader)?,
        SET_ACL => Txn::SetAcl { path: path(reader)?, acl: reader.acls()?, version: reader.int()? },
        RECONFIG => {
            let path = path(reader)?;
            let data = reader.buffer()?.map(Into::into);
            Txn::Reconfig { path, data, version: reader.int()? }
        }
        MULTI => decode_multi(reader)?,
        opcode::ERROR => Txn::Error { code: reader.int()? },
        opcode::CHECK => return Err(reader.unknown("transaction type", opcode::CHECK)),
        kind => decode_common(kind, reader)?,
    };
    Ok((header, txn))
}

/// A length, so many bytes, and what follows; `None` also if it is null.
fn split_buffer(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(i32::from_be_bytes(*length)).ok()?)
}

fn header(reader: &mut Reader<'_>) -> Result<TxnHeader, DecodeError> {
    Ok(TxnHeader {
        session: SessionId(reader.long()?),
        cxid: Xid(reader.int()?),
        zxid: Zxid::from_raw(reader.long()?),
        time_ms: reader.long()?,
    })
}

/// What is behind a transaction, if there is something.
fn digest(reader: &mut Reader<'_>) -> Result<Option<TxnDigest>, DecodeError> {
    if reader.remaining() < DIGEST_BYTES {
        return Ok(None);
    }
    let version = reader.int()?;
    Ok(Some(TxnDigest { version, tree: reader.long()?.cast_unsigned() }))
}

/// Path, data and version.
type SetDataParts<'a> = (Cow<'a, str>, Option<&'a [u8]>, i32);

fn set_data<'a>(reader: &mut Reader<'a>) -> Result<SetDataParts<'a>, DecodeError> {
    Ok((reader.text_not_null("path")?, reader.buffer()?, reader.int()?))
}

/// The transactions that stand alone or in a multi.
fn decode_common(kind: i32, reader: &mut Reader<'_>) -> Result<Txn, DecodeError> {
    match kind {
        CREATE => decode_create(CreateCall::Create, reader),
        CREATE2 => decode_create(CreateCall::Create2, reader),
        CREATE_CONTAINER => decode_create(CreateCall::Container, reader),
        CREATE_TTL => decode_create(CreateCall::Ttl, reader),
        DELETE => Ok(Txn::Delete { path: path(reader)? }),
        DELETE_CONTAINER => Ok(Txn::DeleteContainer { path: path(reader)? }),
        SET_DATA => {
            let (path, data, version) = set_data(reader)?;
            Ok(Txn::SetData { path: path.into(), data: data.map(Into::into), version })
        }
        opcode::CHECK => Ok(Txn::Check { path: path(reader)?, version: reader.int()? }),
        kind => Err(reader.unknown("transaction type", kind)),
    }
}

fn decode_create(call: CreateCall, reader: &mut Reader<'_>) -> Result<Txn, DecodeError> {
    let path = path(reader)?;
    let data = reader.buffer()?.map(Into::into);
    let acl = reader.acls()?;
    let ephemeral = match call {
        CreateCall::Create | CreateCall::Create2 => reader.bool()?,
        CreateCall::Container | CreateCall::Ttl => false,
    };
    let parent_cversion = match reader.int() {
        Ok(cversion) => Some(cversion).filter(|&cversion| cversion != PARENT_CVERSION_UNKNOWN),
        // Servers of release 3.3 and older knew no other operation and no such field.
        Err(DecodeError::Truncated { .. }) if call == CreateCall::Create => None,
        Err(error) => return Err(error),
    };
    let ttl_ms = match call {
        CreateCall::Ttl => Some(reader.long()?),
        CreateCall::Create | CreateCall::Create2 | CreateCall::Container => None,
    };
    Ok(Txn::Create(CreateTxn { call, path, data, acl, ephemeral, parent_cversion, ttl_ms }))
}

fn decode_close_session(reader: &mut Reader<'_>) -> Result<Txn, DecodeError> {
    if reader.is_empty() || is_bare_digest(reader.rest()) {
        return Ok(Txn::CloseSession { paths: None });
    }
    let mut ahead = reader.clone();
    if ahead.count(limits::TEXT_BYTES_MIN) == Ok(None) {
        *reader = ahead;
        return Ok(Txn::CloseSession { paths: None });
    }
    match reader.texts("path") {
        Ok(paths) => {
            let paths = paths.into_iter().map(Into::into).collect();
            Ok(Txn::CloseSession { paths: Some(paths) })
        }
        Err(DecodeError::Truncated { .. }) => Ok(Txn::CloseSession { paths: None }),
        Err(error) => Err(error),
    }
}

/// Whether these bytes are a digest where a list of paths should be: it would be a list of two, and
/// two paths take more bytes.
fn is_bare_digest(bytes: &[u8]) -> bool {
    bytes.len() == DIGEST_BYTES && bytes.starts_with(&TxnDigest::VERSION.to_be_bytes())
}

fn decode_multi(reader: &mut Reader<'_>) -> Result<Txn, DecodeError> {
    let count = reader.count(limits::SUB_TXN_BYTES_MIN)?.unwrap_or(0);
    let mut txns = Vec::with_capacity(count);
    for _ in 0..count {
        let kind = reader.int()?;
        let offset = reader.position();
        let record = reader.buffer()?.ok_or(DecodeError::Null { offset, field: "record" })?;
        txns.push(match (kind, <[u8; 4]>::try_from(record)) {
            (opcode::ERROR, Ok(code)) => Txn::Error { code: i32::from_be_bytes(code) },
            (opcode::ERROR, Err(_)) => Txn::Error { code: 0 },
            (kind, _) => decode_common(kind, &mut Reader::new(record))?,
        });
    }
    Ok(Txn::Multi(txns))
}

fn path(reader: &mut Reader<'_>) -> Result<Box<str>, DecodeError> {
    reader.text_not_null("path").map(Into::into)
}

fn type_of(txn: &Txn) -> i32 {
    match txn {
        Txn::CreateSession { .. } => CREATE_SESSION,
        Txn::CloseSession { .. } => CLOSE_SESSION,
        Txn::Create(create) => match create.call {
            CreateCall::Create => CREATE,
            CreateCall::Create2 => CREATE2,
            CreateCall::Container => CREATE_CONTAINER,
            CreateCall::Ttl => CREATE_TTL,
        },
        Txn::Delete { .. } => DELETE,
        Txn::DeleteContainer { .. } => DELETE_CONTAINER,
        Txn::SetData { .. } => SET_DATA,
        Txn::Reconfig { .. } => RECONFIG,
        Txn::SetAcl { .. } => SET_ACL,
        Txn::Error { .. } => opcode::ERROR,
        Txn::Check { .. } => opcode::CHECK,
        Txn::Multi(_) => MULTI,
    }
}

fn put_record(out: &mut Vec<u8>, txn: &Txn) {
    match txn {
        Txn::CreateSession { timeout_ms } => jute::put_int(out, *timeout_ms),
        // Without a list a digest behind it could be taken for one: it is always written.
        Txn::CloseSession { paths } => {
            let paths = paths.as_deref().unwrap_or_default();
            jute::put_count(out, paths.len());
            for path in paths {
                jute::put_text(out, path);
            }
        }
        Txn::Create(create) => put_create(out, create),
        Txn::Delete { path } | Txn::DeleteContainer { path } => jute::put_text(out, path),
        Txn::SetData { path, data, version } | Txn::Reconfig { path, data, version } => {
            jute::put_text(out, path);
            jute::put_buffer(out, data.as_deref());
            jute::put_int(out, *version);
        }
        Txn::SetAcl { path, acl, version } => {
            jute::put_text(out, path);
            jute::put_acls(out, acl);
            jute::put_int(out, *version);
        }
        Txn::Error { code } => jute::put_int(out, *code),
        Txn::Check { path, version } => {
            jute::put_text(out, path);
            jute::put_int(out, *version);
        }
        Txn::Multi(txns) => {
            jute::put_count(out, txns.len());
            for txn in txns {
                jute::put_int(out, type_of(txn));
                jute::put_int(out, 0);
                let start = out.len();
                put_record(out, txn);
                let bytes = out.len() - start;
                jute::patch_count(out, start - 4, bytes);
            }
        }
    }
}

fn put_create(out: &mut Vec<u8>, create: &CreateTxn) {
    jute::put_text(out, &create.path);
    jute::put_buffer(out, create.data.as_deref());
    jute::put_acls(out, &create.acl);
    match create.call {
        CreateCall::Create | CreateCall::Create2 => jute::put_bool(out, create.ephemeral),
        CreateCall::Container | CreateCall::Ttl => {}
    }
    jute::put_int(out, create.parent_cversion.unwrap_or(PARENT_CVERSION_UNKNOWN));
    if create.call == CreateCall::Ttl {
        jute::put_long(out, create.ttl_ms.unwrap_or(NO_TTL));
    }
}
