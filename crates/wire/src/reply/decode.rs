//! Replies as clients read them.

use std::borrow::Cow;

use types::{AclList, Stat, Xid, Zxid};

use super::{ClientInfo, MultiResult};
use crate::jute::{DecodeError, Reader};
use crate::limits;
use crate::multi::Mark;
use crate::opcode::{self, OpCode};

/// The start of every answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyHeader {
    /// The number of the request; [`Xid::NOTIFICATION`] for a [`crate::event::WatchEvent`].
    pub xid: Xid,
    /// The last transaction that the server had applied; 0 or less when it does not say.
    pub zxid: Zxid,
    /// 0, or the number of the [`types::ErrorCode`]; servers to come may send numbers that have no
    /// name here.
    pub code: i32,
}

impl ReplyHeader {
    /// Reads the start of a frame's body; the rest is the record.
    ///
    /// # Errors
    /// When it is too short.
    pub fn decode(body: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let mut reader = Reader::new(body);
        let header = Self { xid: Xid(reader.int()?), zxid: reader.zxid()?, code: reader.int()? };
        Ok((header, reader.rest()))
    }
}

/// The answer to a create operation that tells the numbers too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathBody {
    /// With the suffix of a sequential znode.
    pub path: String,
    /// As of its creation.
    pub stat: Stat,
}

/// The answer to `getData` and `reconfig`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataBody {
    /// `None` is null.
    pub data: Option<Vec<u8>>,
    /// Of the same moment.
    pub stat: Stat,
}

/// The answer to `getACL`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AclBody {
    /// As this client may see it.
    pub acl: AclList,
    /// Of the same moment.
    pub stat: Stat,
}

/// The answer to `getChildren2`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChildrenBody {
    /// In no order.
    pub names: Vec<String>,
    /// Of the same moment.
    pub stat: Stat,
}

/// What came of one operation of a multiRead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MultiReadResult {
    /// Of a `getData`.
    Data(DataBody),
    /// Of a `getChildren`: the names, in no order.
    Children(Vec<String>),
    /// It failed, the others notwithstanding.
    Failed {
        /// The number of the [`types::ErrorCode`] that says why.
        code: i32,
    },
}

/// Reads the answer to `create` or `sync`.
///
/// # Errors
/// When the record is not that.
pub fn decode_path(record: &[u8]) -> Result<String, DecodeError> {
    Reader::new(record).text_not_null("path").map(Cow::into_owned)
}

/// Reads the answer to `create2`, `createContainer` or `createTTL`.
///
/// # Errors
/// When the record is not that.
pub fn decode_path_and_stat(record: &[u8]) -> Result<PathBody, DecodeError> {
    let mut reader = Reader::new(record);
    let path = reader.text_not_null("path")?.into_owned();
    Ok(PathBody { path, stat: reader.stat()? })
}

/// Reads the answer to `exists`, `setData` or `setACL`.
///
/// # Errors
/// When the record is not that.
pub fn decode_stat(record: &[u8]) -> Result<Stat, DecodeError> {
    Reader::new(record).stat()
}

/// Reads the answer to `getData` or `reconfig`.
///
/// # Errors
/// When the record is not that.
pub fn decode_data(record: &[u8]) -> Result<DataBody, DecodeError> {
    data(&mut Reader::new(record))
}

/// Reads the answer to `getACL`.
///
/// # Errors
/// When the record is not that.
pub fn decode_acl(record: &[u8]) -> Result<AclBody, DecodeError> {
    let mut reader = Reader::new(record);
    Ok(AclBody { acl: reader.acls()?, stat: reader.stat()? })
}

/// Reads the answer to `getChildren` or `getEphemerals`.
///
/// # Errors
/// When the record is not that.
pub fn decode_children(record: &[u8]) -> Result<Vec<String>, DecodeError> {
    names(&mut Reader::new(record))
}

/// Reads the answer to `getChildren2`.
///
/// # Errors
/// When the record is not that.
pub fn decode_children2(record: &[u8]) -> Result<ChildrenBody, DecodeError> {
    let mut reader = Reader::new(record);
    Ok(ChildrenBody { names: names(&mut reader)?, stat: reader.stat()? })
}

/// Reads the answer to `getAllChildrenNumber`.
///
/// # Errors
/// When the record is not that.
pub fn decode_count(record: &[u8]) -> Result<i32, DecodeError> {
    Reader::new(record).int()
}

/// Reads the answer to `sasl`; `None` is null.
///
/// # Errors
/// When the record is not that.
pub fn decode_token(record: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
    Ok(Reader::new(record).buffer()?.map(<[u8]>::to_vec))
}

/// Reads the answer to `whoAmI`.
///
/// # Errors
/// When the record is not that.
pub fn decode_who_am_i(record: &[u8]) -> Result<Vec<ClientInfo<'static>>, DecodeError> {
    let mut reader = Reader::new(record);
    let count = reader.count(limits::CLIENT_INFO_BYTES_MIN)?.unwrap_or(0);
    let mut infos = Vec::with_capacity(count);
    for _ in 0..count {
        let scheme = reader.text()?.unwrap_or_default().into_owned().into();
        let user = reader.text()?.unwrap_or_default().into_owned().into();
        infos.push(ClientInfo { scheme, user });
    }
    Ok(infos)
}

/// Reads the answer to a multi. If any result is a failure, all are.
///
/// # Errors
/// When the record is not that.
pub fn decode_multi(record: &[u8]) -> Result<Vec<MultiResult<'static>>, DecodeError> {
    const CREATE: i32 = OpCode::Create.raw();
    const CREATE2: i32 = OpCode::Create2.raw();
    const DELETE: i32 = OpCode::Delete.raw();
    const SET_DATA: i32 = OpCode::SetData.raw();
    let mut reader = Reader::new(record);
    let mut results = Vec::new();
    while let Some(mark) = Mark::decode(&mut reader)? {
        results.push(match mark.kind {
            CREATE => {
                let path = reader.text_not_null("path")?.into_owned().into();
                MultiResult::Created { path }
            }
            CREATE2 => {
                let path = reader.text_not_null("path")?.into_owned().into();
                MultiResult::Created2 { path, stat: reader.stat()? }
            }
            DELETE => MultiResult::Deleted,
            SET_DATA => MultiResult::DataSet(reader.stat()?),
            opcode::CHECK => MultiResult::Checked,
            opcode::ERROR => MultiResult::Failed { code: reader.int()? },
            kind => return Err(reader.unknown("result in a multi", kind)),
        });
    }
    Ok(results)
}

/// Reads the answer to a multiRead.
///
/// # Errors
/// When the record is not that.
pub fn decode_multi_read(record: &[u8]) -> Result<Vec<MultiReadResult>, DecodeError> {
    const GET_DATA: i32 = OpCode::GetData.raw();
    const GET_CHILDREN: i32 = OpCode::GetChildren.raw();
    let mut reader = Reader::new(record);
    let mut results = Vec::new();
    while let Some(mark) = Mark::decode(&mut reader)? {
        results.push(match mark.kind {
            GET_DATA => MultiReadResult::Data(data(&mut reader)?),
            GET_CHILDREN => MultiReadResult::Children(names(&mut reader)?),
            opcode::ERROR => MultiReadResult::Failed { code: reader.int()? },
            kind => return Err(reader.unknown("result in a multiRead", kind)),
        });
    }
    Ok(results)
}

fn data(reader: &mut Reader<'_>) -> Result<DataBody, DecodeError> {
    let data = reader.buffer()?.map(<[u8]>::to_vec);
    Ok(DataBody { data, stat: reader.stat()? })
}

fn names(reader: &mut Reader<'_>) -> Result<Vec<String>, DecodeError> {
    let count = reader.count(limits::TEXT_BYTES_MIN)?.unwrap_or(0);
    let mut names = Vec::with_capacity(count);
    for _ in 0..count {
        names.push(reader.text_not_null("name")?.into_owned());
    }
    Ok(names)
}
