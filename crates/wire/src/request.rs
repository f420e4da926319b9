//! What clients ask: a header, then a record that depends on the operation.
//!
//! ```text
//! int xid | int opcode | record ...
//! ```
//!
//! | operation | record |
//! |---|---|
//! | create, create2, createContainer | path, data, acl, int mode |
//! | createTTL | the same, long ttl |
//! | delete, (check) | path, int version |
//! | deleteContainer, getACL, getAllChildrenNumber, sync | path |
//! | setData | path, data, int version |
//! | setACL | path, acl, int version |
//! | exists, getData, getChildren, getChildren2 | path, bool watch |
//! | addWatch; checkWatches, removeWatches | path, int mode; path, int kind |
//! | setWatches; setWatches2 | long zxid, three lists of paths; five of them |
//! | multi, multiRead | see [below](self#multi) |
//! | reconfig | three texts, long version |
//! | auth | int 0, scheme, proof |
//! | sasl | token |
//! | createSession | int timeout |
//! | getEphemerals | prefix |
//! | ping, whoAmI, closeSession | - |
//!
//! Bytes after the record are ignored: that is how fields are added.
//!
//! # multi
//!
//! ```text
//! { int type | bool done = 0 | int error = -1 | record } ...  int -1 | bool done = 1 | int -1
//! ```
//!
//! # Requests that make no sense
//!
//! A request takes its place in its session's order even if it can not be carried out, so that what
//! can be said of it at all is said as an operation: [`Write::Rejected`] or [`Read::Rejected`] with
//! the code that answers it. Only what makes the server close the connection is a [`RequestError`].

mod create;
mod multi;

use std::borrow::Cow;

use types::{
    AuthPacket, CreateCall, ErrorCode, Op, Read, ReconfigRequest, SetWatches, WatchMode,
    WatcherKind, Write, Xid,
};

use crate::frame;
use crate::jute::{self, DecodeError, Reader};
use crate::opcode::{Class, OpCode};

/// The version that stands for any.
const ANY_VERSION: i32 = -1;

/// The version of the membership that stands for any.
const ANY_CONFIG: i64 = -1;

/// A request of a client with an established connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// The client's number for it; the reply carries the same.
    pub xid: Xid,
    /// What it asks.
    pub op: Op<'a>,
}

/// Why a frame is no request. The connection is closed.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum RequestError {
    /// The frame has no room for a header; it is not answered.
    #[error("request without a header")]
    Header(#[source] DecodeError),
    /// The credentials or the token can not be read; not answered either.
    #[error("unreadable credentials in request {}", xid.0)]
    Credentials {
        /// The request's number.
        xid: Xid,
        /// What is wrong with them.
        source: DecodeError,
    },
    /// There is no such operation, or none outside of a multi. Answered with
    /// [`ErrorCode::Unimplemented`] before the connection is closed.
    #[error("unknown operation {opcode} in request {}", xid.0)]
    UnknownOpcode {
        /// The request's number.
        xid: Xid,
        /// What it asks for.
        opcode: i32,
    },
}

impl<'a> Request<'a> {
    /// Reads the body of a frame.
    ///
    /// # Errors
    /// When the connection has to be closed; see [`RequestError`].
    pub fn decode(body: &'a [u8]) -> Result<Self, RequestError> {
        let mut reader = Reader::new(body);
        let xid = Xid(reader.int().map_err(RequestError::Header)?);
        let opcode = reader.int().map_err(RequestError::Header)?;
        let Some(opcode) = OpCode::from_raw(opcode) else {
            return Err(RequestError::UnknownOpcode { xid, opcode });
        };
        let op = match decode_op(opcode, &mut reader) {
            Ok(op) => op,
            Err(source) => unreadable(xid, opcode, source)?,
        };
        Ok(Self { xid, op })
    }

    /// Appends it as a frame.
    ///
    /// A rejected operation becomes a request that is rejected: with [`ErrorCode::BadArguments`]
    /// for a mode that does not exist, with any other code for the lack of its record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = frame::begin(out);
        self.put_body(out);
        frame::finish(out, start);
    }

    /// Appends what is in the frame.
    pub(crate) fn put_body(&self, out: &mut Vec<u8>) {
        jute::put_int(out, self.xid.0);
        jute::put_int(out, opcode(&self.op).raw());
        put_op(out, &self.op);
    }
}

/// The operation's number.
///
/// A rejected write counts as a create and a rejected read as an exists; `setWatches` is the one
/// that can express the lists which are not empty.
pub fn opcode(op: &Op<'_>) -> OpCode {
    match op {
        Op::Ping => OpCode::Ping,
        Op::Auth(_) => OpCode::Auth,
        Op::Sasl(_) => OpCode::Sasl,
        Op::Read(read) => read_opcode(read),
        Op::Write(write) => write_opcode(write),
        Op::Sync { .. } => OpCode::Sync,
        Op::CloseSession => OpCode::CloseSession,
    }
}

fn read_opcode(read: &Read<'_>) -> OpCode {
    match read {
        Read::Exists { .. } | Read::Rejected(_) => OpCode::Exists,
        Read::GetData { .. } => OpCode::GetData,
        Read::GetAcl { .. } => OpCode::GetAcl,
        Read::GetChildren { .. } => OpCode::GetChildren,
        Read::GetChildren2 { .. } => OpCode::GetChildren2,
        Read::GetAllChildrenNumber { .. } => OpCode::GetAllChildrenNumber,
        Read::GetEphemerals { .. } => OpCode::GetEphemerals,
        Read::WhoAmI => OpCode::WhoAmI,
        Read::MultiRead(_) => OpCode::MultiRead,
        Read::AddWatch { .. } => OpCode::AddWatch,
        Read::CheckWatches { .. } => OpCode::CheckWatches,
        Read::RemoveWatches { .. } => OpCode::RemoveWatches,
        Read::SetWatches(watches)
            if watches.persistent.is_empty() && watches.persistent_recursive.is_empty() =>
        {
            OpCode::SetWatches
        }
        Read::SetWatches(_) => OpCode::SetWatches2,
    }
}

fn write_opcode(write: &Write<'_>) -> OpCode {
    match write {
        Write::Create(create) => create::opcode(create.call),
        Write::Delete { .. } => OpCode::Delete,
        Write::DeleteContainer { .. } => OpCode::DeleteContainer,
        Write::SetData { .. } => OpCode::SetData,
        Write::SetAcl { .. } => OpCode::SetAcl,
        Write::Multi(_) => OpCode::Multi,
        Write::Reconfig(_) => OpCode::Reconfig,
        Write::CreateSession { .. } => OpCode::CreateSession,
        Write::Rejected(_) => OpCode::Create,
    }
}

fn decode_op<'a>(opcode: OpCode, reader: &mut Reader<'a>) -> Result<Op<'a>, DecodeError> {
    Ok(match opcode {
        OpCode::Ping => Op::Ping,
        OpCode::CloseSession => Op::CloseSession,
        OpCode::Auth => decode_auth(reader)?,
        OpCode::Sasl => Op::Sasl(reader.buffer()?.map(Cow::Borrowed)),
        // Java echoes a null path; an empty one is as good, as no client sends either.
        OpCode::Sync => Op::Sync { path: reader.text()?.unwrap_or_default() },
        OpCode::Exists => Op::Read(Read::Exists { path: path(reader)?, watch: reader.bool()? }),
        OpCode::GetData => Op::Read(Read::GetData { path: path(reader)?, watch: reader.bool()? }),
        OpCode::GetAcl => Op::Read(Read::GetAcl { path: path(reader)? }),
        OpCode::GetChildren => {
            Op::Read(Read::GetChildren { path: path(reader)?, watch: reader.bool()? })
        }
        OpCode::GetChildren2 => {
            Op::Read(Read::GetChildren2 { path: path(reader)?, watch: reader.bool()? })
        }
        OpCode::GetAllChildrenNumber => {
            Op::Read(Read::GetAllChildrenNumber { path: path(reader)? })
        }
        OpCode::GetEphemerals => Op::Read(Read::GetEphemerals { prefix: reader.text()? }),
        OpCode::WhoAmI => Op::Read(Read::WhoAmI),
        OpCode::MultiRead => Op::Read(Read::MultiRead(multi::decode_reads(reader)?)),
        OpCode::AddWatch => {
            Op::Read(Read::AddWatch { path: path(reader)?, mode: watch_mode(reader)? })
        }
        OpCode::CheckWatches => {
            Op::Read(Read::CheckWatches { path: path(reader)?, kind: watcher_kind(reader)? })
        }
        OpCode::RemoveWatches => {
            Op::Read(Read::RemoveWatches { path: path(reader)?, kind: watcher_kind(reader)? })
        }
        OpCode::SetWatches => Op::Read(decode_set_watches(reader)?),
        OpCode::SetWatches2 => Op::Read(decode_set_watches2(reader)?),
        OpCode::Create => decode_create(CreateCall::Create, reader)?,
        OpCode::Create2 => decode_create(CreateCall::Create2, reader)?,
        OpCode::CreateContainer => decode_create(CreateCall::Container, reader)?,
        OpCode::CreateTtl => decode_create(CreateCall::Ttl, reader)?,
        OpCode::Delete => {
            Op::Write(Write::Delete { path: path(reader)?, version: version(reader)? })
        }
        OpCode::DeleteContainer => Op::Write(Write::DeleteContainer { path: path(reader)? }),
        OpCode::SetData => Op::Write(Write::SetData {
            path: path(reader)?,
            data: reader.buffer()?.map(Cow::Borrowed),
            version: version(reader)?,
        }),
        OpCode::SetAcl => Op::Write(Write::SetAcl {
            path: path(reader)?,
            acl: reader.acls()?,
            version: version(reader)?,
        }),
        OpCode::Multi => Op::Write(Write::Multi(multi::decode(reader)?)),
        OpCode::Reconfig => Op::Write(decode_reconfig(reader)?),
        OpCode::CreateSession => Op::Write(Write::CreateSession { timeout_ms: reader.int()? }),
    })
}

/// What a request is whose record can not be read.
fn unreadable<'a>(xid: Xid, opcode: OpCode, source: DecodeError) -> Result<Op<'a>, RequestError> {
    match opcode.class() {
        Class::Connection => Err(RequestError::Credentials { xid, source }),
        Class::Read => Ok(Op::Read(Read::Rejected(ErrorCode::MarshallingError))),
        Class::Write => Ok(Op::Write(Write::Rejected(ErrorCode::MarshallingError))),
    }
}

fn decode_auth<'a>(reader: &mut Reader<'a>) -> Result<Op<'a>, DecodeError> {
    let _type = reader.int()?;
    let scheme = reader.text()?.unwrap_or_default();
    Ok(Op::Auth(AuthPacket { scheme, auth: reader.buffer()?.map(Cow::Borrowed) }))
}

fn decode_create<'a>(call: CreateCall, reader: &mut Reader<'a>) -> Result<Op<'a>, DecodeError> {
    let create = create::RawCreate::decode(call, reader)?.into_create();
    Ok(Op::Write(create.map_or_else(Write::Rejected, Write::Create)))
}

fn decode_reconfig<'a>(reader: &mut Reader<'a>) -> Result<Write<'a>, DecodeError> {
    let joining = reader.text()?;
    let leaving = reader.text()?;
    let new_members = reader.text()?;
    let based_on = Some(reader.long()?).filter(|&version| version != ANY_CONFIG);
    Ok(Write::Reconfig(Box::new(ReconfigRequest { joining, leaving, new_members, based_on })))
}

fn decode_set_watches<'a>(reader: &mut Reader<'a>) -> Result<Read<'a>, DecodeError> {
    Ok(Read::SetWatches(Box::new(one_shot_watches(reader)?)))
}

fn decode_set_watches2<'a>(reader: &mut Reader<'a>) -> Result<Read<'a>, DecodeError> {
    let mut watches = one_shot_watches(reader)?;
    watches.persistent = reader.texts("path")?;
    watches.persistent_recursive = reader.texts("path")?;
    Ok(Read::SetWatches(Box::new(watches)))
}

fn one_shot_watches<'a>(reader: &mut Reader<'a>) -> Result<SetWatches<'a>, DecodeError> {
    Ok(SetWatches {
        relative_zxid: reader.zxid()?,
        data: reader.texts("path")?,
        exist: reader.texts("path")?,
        child: reader.texts("path")?,
        persistent: Vec::new(),
        persistent_recursive: Vec::new(),
    })
}

fn path<'a>(reader: &mut Reader<'a>) -> Result<Cow<'a, str>, DecodeError> {
    reader.text_not_null("path")
}

fn version(reader: &mut Reader<'_>) -> Result<Option<i32>, DecodeError> {
    Ok(Some(reader.int()?).filter(|&version| version != ANY_VERSION))
}

fn watch_mode(reader: &mut Reader<'_>) -> Result<WatchMode, DecodeError> {
    let mode = reader.int()?;
    WatchMode::from_raw(mode).ok_or_else(|| reader.unknown("watch mode", mode))
}

fn watcher_kind(reader: &mut Reader<'_>) -> Result<WatcherKind, DecodeError> {
    let kind = reader.int()?;
    WatcherKind::from_raw(kind).ok_or_else(|| reader.unknown("watcher kind", kind))
}

fn put_op(out: &mut Vec<u8>, op: &Op<'_>) {
    match op {
        Op::Ping | Op::CloseSession => {}
        Op::Auth(packet) => {
            jute::put_int(out, 0);
            jute::put_text(out, &packet.scheme);
            jute::put_buffer(out, packet.auth.as_deref());
        }
        Op::Sasl(token) => jute::put_buffer(out, token.as_deref()),
        Op::Sync { path } => jute::put_text(out, path),
        Op::Read(read) => put_read(out, read),
        Op::Write(write) => put_write(out, write),
    }
}

fn put_read(out: &mut Vec<u8>, read: &Read<'_>) {
    match read {
        Read::Exists { path, watch }
        | Read::GetData { path, watch }
        | Read::GetChildren { path, watch }
        | Read::GetChildren2 { path, watch } => {
            jute::put_text(out, path);
            jute::put_bool(out, *watch);
        }
        Read::GetAcl { path } | Read::GetAllChildrenNumber { path } => jute::put_text(out, path),
        Read::GetEphemerals { prefix } => jute::put_text_or_null(out, prefix.as_deref()),
        Read::WhoAmI | Read::Rejected(_) => {}
        Read::MultiRead(ops) => multi::put_reads(out, ops),
        Read::AddWatch { path, mode } => {
            jute::put_text(out, path);
            jute::put_int(out, *mode as i32);
        }
        Read::CheckWatches { path, kind } | Read::RemoveWatches { path, kind } => {
            jute::put_text(out, path);
            jute::put_int(out, *kind as i32);
        }
        Read::SetWatches(watches) => put_set_watches(out, watches, read_opcode(read)),
    }
}

fn put_set_watches(out: &mut Vec<u8>, watches: &SetWatches<'_>, opcode: OpCode) {
    jute::put_zxid(out, watches.relative_zxid);
    put_paths(out, &watches.data);
    put_paths(out, &watches.exist);
    put_paths(out, &watches.child);
    if opcode == OpCode::SetWatches2 {
        put_paths(out, &watches.persistent);
        put_paths(out, &watches.persistent_recursive);
    }
}

fn put_paths(out: &mut Vec<u8>, paths: &[Cow<'_, str>]) {
    jute::put_count(out, paths.len());
    for path in paths {
        jute::put_text(out, path);
    }
}

fn put_write(out: &mut Vec<u8>, write: &Write<'_>) {
    match write {
        Write::Create(create) => create::put(out, create),
        Write::Delete { path, version } => {
            jute::put_text(out, path);
            put_version(out, *version);
        }
        Write::DeleteContainer { path } => jute::put_text(out, path),
        Write::SetData { path, data, version } => {
            jute::put_text(out, path);
            jute::put_buffer(out, data.as_deref());
            put_version(out, *version);
        }
        Write::SetAcl { path, acl, version } => {
            jute::put_text(out, path);
            jute::put_acls(out, acl);
            put_version(out, *version);
        }
        Write::Multi(ops) => multi::put(out, ops),
        Write::Reconfig(request) => {
            jute::put_text_or_null(out, request.joining.as_deref());
            jute::put_text_or_null(out, request.leaving.as_deref());
            jute::put_text_or_null(out, request.new_members.as_deref());
            jute::put_long(out, request.based_on.unwrap_or(ANY_CONFIG));
        }
        Write::CreateSession { timeout_ms } => jute::put_int(out, *timeout_ms),
        Write::Rejected(ErrorCode::BadArguments) => create::put_bad_mode(out),
        Write::Rejected(_) => {}
    }
}

fn put_version(out: &mut Vec<u8>, version: Option<i32>) {
    jute::put_int(out, version.unwrap_or(ANY_VERSION));
}
