//! What servers answer: a header, then a record that depends on the operation.
//!
//! ```text
//! int xid | long zxid | int error | record ...
//! ```
//!
//! The zxid is the last transaction that the answering server had applied. An error has no record
//! (but see [`encode_sasl_refusal`]).
//!
//! | operation | record | here |
//! |---|---|---|
//! | create, sync | path | [`Body::Path`] |
//! | create2, createContainer, createTTL | path, stat | [`Body::PathAndStat`] |
//! | exists, setData, setACL | stat | [`Body::Stat`] |
//! | getData, reconfig | data, stat | [`Body::Data`] |
//! | getACL | acl, stat | [`Body::Acl`] |
//! | getChildren, getEphemerals | names | [`encode_children`] |
//! | getChildren2 | names, stat | [`encode_children`] |
//! | getAllChildrenNumber | int count | [`Body::Count`] |
//! | addWatch | int 0 | [`Body::WatchAdded`] |
//! | whoAmI | list of scheme, user | [`Body::WhoAmI`] |
//! | multi | results | [`Body::Multi`] |
//! | multiRead | results | [`MultiReadEncoder`] |
//! | sasl | token | [`Body::Token`] |
//! | all others | - | [`Body::Empty`] |
//!
//! The results of a multi are separated by the same marks as its operations, `int type | bool done
//! | int error`. A multi that failed is a success of the request: its header has no error, and each
//! result is one.
//!
//! Servers write a reply straight into the connection's buffer, data and names coming from the
//! tree. Clients read a [`ReplyHeader`] and then, knowing what they asked, the record.

mod decode;

use std::borrow::Cow;

use types::{Acl, ErrorCode, Stat, Xid, Zxid};

pub use self::decode::{
    AclBody, ChildrenBody, DataBody, MultiReadResult, PathBody, ReplyHeader, decode_acl,
    decode_children, decode_children2, decode_count, decode_data, decode_multi, decode_multi_read,
    decode_path, decode_path_and_stat, decode_stat, decode_token, decode_who_am_i,
};
use crate::frame::{self, Start};
use crate::jute;
use crate::limits::REPLY_BYTES_MAX;
use crate::multi::Mark;
use crate::opcode::{self, OpCode};

/// An answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply<'a> {
    /// The number of the request.
    pub xid: Xid,
    /// The last transaction that the server had applied.
    pub zxid: Zxid,
    /// What came of it.
    pub result: Result<Body<'a>, ErrorCode>,
}

impl Reply<'_> {
    /// Appends it as a frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = frame::begin(out);
        match &self.result {
            Ok(body) => {
                put_header(out, self.xid, self.zxid, 0);
                body.put(out);
            }
            Err(code) => put_header(out, self.xid, self.zxid, code.raw()),
        }
        frame::finish(out, start);
    }
}

/// The record of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// The path of what was created; or what was synced, echoed.
    Path(&'a str),
    /// The path and numbers of what was created.
    PathAndStat {
        /// With the suffix of a sequential znode.
        path: &'a str,
        /// As of its creation.
        stat: &'a Stat,
    },
    /// A znode's numbers.
    Stat(&'a Stat),
    /// A znode's data and numbers.
    Data {
        /// `None` is null.
        data: Option<&'a [u8]>,
        /// Of the same moment.
        stat: &'a Stat,
    },
    /// A znode's access control list and numbers.
    Acl {
        /// As the asking client may see it.
        acl: &'a [Acl],
        /// Of the same moment.
        stat: &'a Stat,
    },
    /// How many.
    Count(i32),
    /// A watch was set.
    WatchAdded,
    /// The results of a multi, one for each operation.
    Multi(&'a [MultiResult<'a>]),
    /// The identities of a connection.
    WhoAmI(&'a [ClientInfo<'a>]),
    /// A step of a SASL exchange; `None` at its end.
    Token(Option<&'a [u8]>),
}

impl Body<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Empty => {}
            Self::Path(path) => jute::put_text(out, path),
            Self::PathAndStat { path, stat } => {
                jute::put_text(out, path);
                jute::put_stat(out, stat);
            }
            Self::Stat(stat) => jute::put_stat(out, stat),
            Self::Data { data, stat } => {
                jute::put_buffer(out, data);
                jute::put_stat(out, stat);
            }
            Self::Acl { acl, stat } => {
                jute::put_acls(out, acl);
                jute::put_stat(out, stat);
            }
            Self::Count(count) => jute::put_int(out, count),
            Self::WatchAdded => jute::put_int(out, 0),
            Self::Multi(results) => {
                for result in results {
                    result.put(out);
                }
                Mark::put_end(out);
            }
            Self::WhoAmI(infos) => {
                jute::put_count(out, infos.len());
                for info in infos {
                    jute::put_text(out, &info.scheme);
                    jute::put_text(out, &info.user);
                }
            }
            Self::Token(token) => jute::put_buffer(out, token),
        }
    }
}

/// What came of one operation of a multi.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MultiResult<'a> {
    /// Of a create.
    Created {
        /// With the suffix of a sequential znode.
        path: Cow<'a, str>,
    },
    /// Of the other create operations.
    Created2 {
        /// With the suffix of a sequential znode.
        path: Cow<'a, str>,
        /// As of its creation.
        stat: Stat,
    },
    /// Of a delete.
    Deleted,
    /// Of a setData: the numbers after it.
    DataSet(Stat),
    /// Of a check: it held.
    Checked,
    /// The multi was not done.
    Failed {
        /// The number of the [`ErrorCode`] that says why, as far as this operation goes: 0 for
        /// those before the one that failed, [`ErrorCode::RuntimeInconsistency`] for those after.
        code: i32,
    },
}

impl MultiResult<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned<'b>(self) -> MultiResult<'b> {
        match self {
            Self::Created { path } => MultiResult::Created { path: path.into_owned().into() },
            Self::Created2 { path, stat } => {
                MultiResult::Created2 { path: path.into_owned().into(), stat }
            }
            Self::Deleted => MultiResult::Deleted,
            Self::DataSet(stat) => MultiResult::DataSet(stat),
            Self::Checked => MultiResult::Checked,
            Self::Failed { code } => MultiResult::Failed { code },
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        let done = |opcode: i32| Mark { kind: opcode, error: 0 };
        match self {
            Self::Created { path } => {
                done(OpCode::Create.raw()).put(out);
                jute::put_text(out, path);
            }
            Self::Created2 { path, stat } => {
                done(OpCode::Create2.raw()).put(out);
                jute::put_text(out, path);
                jute::put_stat(out, stat);
            }
            Self::Deleted => done(OpCode::Delete.raw()).put(out),
            Self::DataSet(stat) => {
                done(OpCode::SetData.raw()).put(out);
                jute::put_stat(out, stat);
            }
            Self::Checked => done(opcode::CHECK).put(out),
            Self::Failed { code } => put_failure(out, *code),
        }
    }
}

/// An identity of a connection, as `whoAmI` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientInfo<'a> {
    /// The scheme.
    pub scheme: Cow<'a, str>,
    /// The name without its proof.
    pub user: Cow<'a, str>,
}

/// Appends the answer to `getChildren` (without `stat`), `getChildren2` (with it) or
/// `getEphemerals` (without it) as a frame.
///
/// Names of more than [`REPLY_BYTES_MAX`] are answered with [`ErrorCode::MarshallingError`].
pub fn encode_children<'n>(
    out: &mut Vec<u8>,
    xid: Xid,
    zxid: Zxid,
    names: impl Iterator<Item = &'n str>,
    stat: Option<&Stat>,
) {
    let mut reply = GrowingReply::begin(out, xid, zxid, REPLY_BYTES_MAX);
    reply.put_names(names);
    if let Some(stat) = stat {
        jute::put_stat(reply.out, stat);
    }
    reply.finish();
}

/// Appends the answer to a SASL token that was refused, as a frame: the one error with a record, a
/// null token. The connection is closed after it.
pub fn encode_sasl_refusal(out: &mut Vec<u8>, xid: Xid, code: ErrorCode) {
    let start = frame::begin(out);
    put_header(out, xid, Zxid::ZERO, code.raw());
    jute::put_buffer(out, None);
    frame::finish(out, start);
}

/// Writes the answer to a `multiRead` result by result, as the tree is read.
///
/// Results of more than [`REPLY_BYTES_MAX`] are answered with [`ErrorCode::MarshallingError`].
#[derive(Debug)]
#[must_use = "the frame ends with `finish`"]
pub struct MultiReadEncoder<'o>(GrowingReply<'o>);

impl<'o> MultiReadEncoder<'o> {
    /// Begins the answer at the end of `out`.
    pub fn new(out: &'o mut Vec<u8>, xid: Xid, zxid: Zxid) -> Self {
        Self(GrowingReply::begin(out, xid, zxid, REPLY_BYTES_MAX))
    }

    /// Appends the result of a `getData`.
    pub fn data(&mut self, data: Option<&[u8]>, stat: &Stat) {
        if self.0.is_too_long() {
            return;
        }
        Mark { kind: OpCode::GetData.raw(), error: 0 }.put(self.0.out);
        jute::put_buffer(self.0.out, data);
        jute::put_stat(self.0.out, stat);
    }

    /// Appends the result of a `getChildren`.
    pub fn children<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        Mark { kind: OpCode::GetChildren.raw(), error: 0 }.put(self.0.out);
        self.0.put_names(names);
    }

    /// Appends the result of a read that failed, the others notwithstanding.
    pub fn failed(&mut self, code: ErrorCode) {
        put_failure(self.0.out, code.raw());
    }

    /// Ends the answer.
    pub fn finish(self) {
        Mark::put_end(self.0.out);
        self.0.finish();
    }
}

/// A reply whose size the tree decides.
#[derive(Debug)]
struct GrowingReply<'o> {
    out: &'o mut Vec<u8>,
    start: Start,
    xid: Xid,
    zxid: Zxid,
    bytes_max: usize,
}

impl<'o> GrowingReply<'o> {
    fn begin(out: &'o mut Vec<u8>, xid: Xid, zxid: Zxid, bytes_max: usize) -> Self {
        let start = frame::begin(out);
        put_header(out, xid, zxid, 0);
        Self { out, start, xid, zxid, bytes_max }
    }

    /// Appends a list of names, or as much of it as fits.
    fn put_names<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        let position = self.out.len();
        jute::put_int(self.out, 0);
        let mut count = 0;
        for name in names {
            if self.is_too_long() {
                return;
            }
            jute::put_text(self.out, name);
            count += 1;
        }
        jute::patch_count(self.out, position, count);
    }

    /// Ends the frame, or replaces it by an error if it is too long.
    fn finish(self) {
        if self.is_too_long() {
            self.start.abandon(self.out);
            let result = Err(ErrorCode::MarshallingError);
            Reply { xid: self.xid, zxid: self.zxid, result }.encode(self.out);
        } else {
            frame::finish(self.out, self.start);
        }
    }

    fn is_too_long(&self) -> bool {
        self.start.body_bytes(self.out) > self.bytes_max
    }
}

fn put_header(out: &mut Vec<u8>, xid: Xid, zxid: Zxid, error: i32) {
    jute::put_int(out, xid.0);
    jute::put_zxid(out, zxid);
    jute::put_int(out, error);
}

fn put_failure(out: &mut Vec<u8>, code: i32) {
    Mark { kind: opcode::ERROR, error: code }.put(out);
    jute::put_int(out, code);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["one", "two", "three"];

    fn children(bytes_max: usize) -> Vec<u8> {
        let mut out = b"before".to_vec();
        let mut reply = GrowingReply::begin(&mut out, Xid(1), Zxid::ZERO, bytes_max);
        reply.put_names(NAMES.into_iter());
        reply.finish();
        out
    }

    #[test]
    fn replies_without_end_become_errors() {
        let mut whole = b"before".to_vec();
        encode_children(&mut whole, Xid(1), Zxid::ZERO, NAMES.into_iter(), None);
        let bytes = whole.len() - 10;
        assert_eq!(children(bytes), whole);

        let mut error = b"before".to_vec();
        let result = Err(ErrorCode::MarshallingError);
        Reply { xid: Xid(1), zxid: Zxid::ZERO, result }.encode(&mut error);
        for bytes_max in 0..bytes {
            assert_eq!(children(bytes_max), error, "{bytes_max} of {bytes}");
        }
    }

    #[test]
    fn a_multi_read_stops_taking_results_when_it_is_too_long() {
        let mut out = Vec::new();
        let reply = GrowingReply::begin(&mut out, Xid(1), Zxid::ZERO, 1000);
        let mut encoder = MultiReadEncoder(reply);
        for _ in 0..1000 {
            encoder.data(Some(&[7; 100]), &Stat::default());
            encoder.children(NAMES.into_iter());
        }
        encoder.failed(ErrorCode::NoNode);
        assert!(encoder.0.out.len() < 30_000, "{} bytes", encoder.0.out.len());
        encoder.finish();
        let (header, _) = ReplyHeader::decode(&out[4..]).expect("a header");
        assert_eq!(header.code, ErrorCode::MarshallingError.raw());
        assert_eq!(out.len(), 20);
    }
}
