//! What comes back, with everything replaced that may differ between two correct servers.
//!
//! | what | by |
//! |---|---|
//! | zxids | their distance from the zxid at the start, see [`ZxidLine`] |
//! | times | whether they are set at all |
//! | session ids | the session's place in the order of creation |
//! | lists of names and of identities | the same, sorted |

use types::{Acl, AclList, EventKind, SessionId, Stat, Xid, Zxid};
use wire::event::WatchEvent;
use wire::jute::DecodeError;
use wire::opcode::OpCode;
use wire::reply::{self, MultiReadResult, MultiResult, ReplyHeader};

/// One thing that a server sent, or did to the connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The answer to a handshake.
    Connected {
        /// The timeout granted, in milliseconds; 0: refused.
        timeout_ms: i32,
        /// The session.
        session: Session,
        /// Whether the password is the one that every member of an ensemble would compute.
        password_is_right: bool,
        /// The last byte, if there was one.
        read_only: Option<bool>,
    },
    /// The answer to a request.
    Reply {
        /// The number of the request.
        xid: Xid,
        /// The last transaction applied, relative.
        zxid: i64,
        /// The error, or 0.
        code: i32,
        /// The record.
        body: Body,
        /// The length of the frame, so that nothing hides behind the record.
        bytes: usize,
    },
    /// A watch event.
    Event {
        /// Its transaction, relative.
        zxid: Option<i64>,
        /// What happened.
        kind: EventKind,
        /// To which znode.
        path: String,
    },
    /// Bytes that are no message.
    Unreadable {
        /// What is wrong with them.
        why: DecodeError,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The server closed the connection.
    Closed,
    /// Nothing came for a long time.
    Silent,
}

/// A session in an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Session {
    /// None.
    None,
    /// The how manieth that this tool opened.
    Known(usize),
    /// One that this tool did not open.
    Unknown,
}

/// The record of a reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// None.
    Nothing,
    /// Of create and sync.
    Path(String),
    /// Of the other create operations.
    PathAndStat(String, Stat),
    /// Of exists, setData and setACL.
    Stat(Stat),
    /// Of getData.
    Data(Option<Vec<u8>>, Stat),
    /// Of getACL.
    Acl(AclList, Stat),
    /// Of getChildren, getEphemerals and whoAmI, sorted.
    Names(Vec<String>),
    /// Of getChildren2, sorted.
    NamesAndStat(Vec<String>, Stat),
    /// Of getAllChildrenNumber.
    Count(i32),
    /// Of multi.
    Multi(Vec<MultiResult<'static>>),
    /// Of multiRead, names sorted.
    MultiRead(Vec<MultiReadResult>),
    /// Bytes without a meaning to this tool.
    Other(Vec<u8>),
}

/// Turns the zxids of one server into numbers that compare with another's.
///
/// Where servers may rightly differ in how many zxids they use, a new stretch begins: from there on
/// both count from the same number again.
#[derive(Clone, Debug, Default)]
pub struct ZxidLine {
    /// Where a stretch begins, and what to subtract from there on; in ascending order.
    stretches: Vec<(i64, i64)>,
}

impl ZxidLine {
    /// Begins a stretch: the zxid `at` counts as `relative`, later ones from there.
    pub fn restart(&mut self, at: Zxid, relative: i64) {
        self.stretches.push((at.raw(), at.raw() - relative));
    }

    /// Returns the relative zxid. Those that mean "none", 0 and below, stay as they are.
    pub fn relative(&self, zxid: Zxid) -> i64 {
        if zxid.raw() <= 0 {
            return zxid.raw();
        }
        let stretch = self.stretches.iter().rev().find(|(from, _)| *from <= zxid.raw());
        zxid.raw() - stretch.or_else(|| self.stretches.first()).map_or(0, |(_, offset)| *offset)
    }
}

/// What one server's answers are normalized by.
#[derive(Clone, Debug, Default)]
pub struct Normalizer {
    /// Its zxids.
    pub zxids: ZxidLine,
    /// Its sessions in the order of creation.
    pub sessions: Vec<SessionId>,
}

impl Normalizer {
    /// Returns the place of a session in the order of creation.
    pub fn session(&self, id: SessionId) -> Session {
        if id == SessionId::NONE {
            return Session::None;
        }
        self.sessions.iter().position(|&known| known == id).map_or(Session::Unknown, Session::Known)
    }

    /// Reads an event.
    pub fn event(&self, frame: &[u8]) -> Answer {
        match WatchEvent::decode(frame) {
            Ok(event) => Answer::Event {
                zxid: event.zxid.map(|zxid| self.zxids.relative(zxid)),
                kind: event.kind,
                path: event.path.into_owned(),
            },
            Err(why) => Answer::Unreadable { why, bytes: frame.to_vec() },
        }
    }

    /// Reads the reply to a request for `opcode`.
    pub fn reply(&self, opcode: Option<OpCode>, frame: &[u8]) -> Answer {
        let read = || {
            let (header, record) = ReplyHeader::decode(frame)?;
            let zxid = if header.xid == Xid::PING { Zxid::ZERO } else { header.zxid };
            Ok(Answer::Reply {
                xid: header.xid,
                zxid: self.zxids.relative(zxid),
                code: header.code,
                body: self.body(opcode, header.code, record)?,
                bytes: frame.len(),
            })
        };
        read().unwrap_or_else(|why| Answer::Unreadable { why, bytes: frame.to_vec() })
    }

    fn body(&self, opcode: Option<OpCode>, code: i32, record: &[u8]) -> Result<Body, DecodeError> {
        if record.is_empty() {
            return Ok(Body::Nothing);
        }
        let Some(opcode) = opcode.filter(|_| code == 0) else {
            return Ok(Body::Other(record.to_vec()));
        };
        Ok(match opcode {
            OpCode::Create | OpCode::Sync => Body::Path(reply::decode_path(record)?),
            OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
                let body = reply::decode_path_and_stat(record)?;
                Body::PathAndStat(body.path, self.stat(body.stat))
            }
            OpCode::Exists | OpCode::SetData | OpCode::SetAcl => {
                Body::Stat(self.stat(reply::decode_stat(record)?))
            }
            OpCode::GetData => {
                let body = reply::decode_data(record)?;
                Body::Data(body.data, self.stat(body.stat))
            }
            OpCode::GetAcl => {
                let body = reply::decode_acl(record)?;
                Body::Acl(expanded_in_order(&body.acl), self.stat(body.stat))
            }
            OpCode::GetChildren | OpCode::GetEphemerals => {
                Body::Names(sorted(reply::decode_children(record)?))
            }
            OpCode::GetChildren2 => {
                let body = reply::decode_children2(record)?;
                Body::NamesAndStat(sorted(body.names), self.stat(body.stat))
            }
            OpCode::GetAllChildrenNumber => Body::Count(reply::decode_count(record)?),
            OpCode::WhoAmI => {
                let infos = reply::decode_who_am_i(record)?;
                Body::Names(sorted(
                    infos.iter().map(|i| format!("{}:{}", i.scheme, i.user)).collect(),
                ))
            }
            OpCode::Multi => {
                let results = reply::decode_multi(record)?;
                Body::Multi(results.into_iter().map(|result| self.multi_result(result)).collect())
            }
            OpCode::MultiRead => {
                let results = reply::decode_multi_read(record)?;
                Body::MultiRead(
                    results.into_iter().map(|result| self.read_result(result)).collect(),
                )
            }
            OpCode::Delete
            | OpCode::DeleteContainer
            | OpCode::Ping
            | OpCode::Auth
            | OpCode::Sasl
            | OpCode::Reconfig
            | OpCode::AddWatch
            | OpCode::CheckWatches
            | OpCode::RemoveWatches
            | OpCode::SetWatches
            | OpCode::SetWatches2
            | OpCode::CreateSession
            | OpCode::CloseSession => Body::Other(record.to_vec()),
        })
    }

    fn stat(&self, stat: Stat) -> Stat {
        let relative = |zxid| Zxid::from_raw(self.zxids.relative(zxid));
        let owner = match self.session(stat.ephemeral_owner) {
            Session::None => SessionId::NONE,
            Session::Known(place) => {
                SessionId(1 + i64::try_from(place).expect("few sessions are opened"))
            }
            Session::Unknown => stat.ephemeral_owner,
        };
        Stat {
            czxid: relative(stat.czxid),
            mzxid: relative(stat.mzxid),
            pzxid: relative(stat.pzxid),
            ctime_ms: i64::from(stat.ctime_ms != 0),
            mtime_ms: i64::from(stat.mtime_ms != 0),
            ephemeral_owner: owner,
            ..stat
        }
    }

    fn multi_result(&self, result: MultiResult<'static>) -> MultiResult<'static> {
        match result {
            MultiResult::Created2 { path, stat } => {
                MultiResult::Created2 { path, stat: self.stat(stat) }
            }
            MultiResult::DataSet(stat) => MultiResult::DataSet(self.stat(stat)),
            MultiResult::Created { .. }
            | MultiResult::Deleted
            | MultiResult::Checked
            | MultiResult::Failed { .. } => result,
        }
    }

    fn read_result(&self, result: MultiReadResult) -> MultiReadResult {
        match result {
            MultiReadResult::Data(mut body) => {
                body.stat = self.stat(body.stat);
                MultiReadResult::Data(body)
            }
            MultiReadResult::Children(names) => MultiReadResult::Children(sorted(names)),
            MultiReadResult::Failed { .. } => result,
        }
    }
}

/// The entries that `auth` stands for come in no order: sorts each run of digest entries.
fn expanded_in_order(acl: &AclList) -> AclList {
    let mut entries = acl.to_vec();
    let expanded = |entry: &Acl| &*entry.id.scheme == "digest";
    for run in entries.chunk_by_mut(|a, b| expanded(a) && expanded(b) && a.perms == b.perms) {
        run.sort_by(|a, b| a.id.cmp(&b.id));
    }
    AclList::from(entries)
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use types::{Id, Perms};

    use super::*;

    #[test]
    fn zxids_count_from_the_start_of_their_stretch() {
        let mut line = ZxidLine::default();
        line.restart(Zxid::from_raw(100), 0);
        line.restart(Zxid::from_raw(110), 9);
        let relative = |raw| line.relative(Zxid::from_raw(raw));
        assert_eq!([relative(-1), relative(0), relative(99)], [-1, 0, -1]);
        assert_eq!([relative(100), relative(109), relative(110), relative(115)], [0, 9, 9, 14]);
    }

    #[test]
    fn a_stat_keeps_all_that_is_the_same_everywhere() {
        let mut normalizer = Normalizer { sessions: vec![SessionId(55)], ..Normalizer::default() };
        normalizer.zxids.restart(Zxid::from_raw(40), 0);
        let stat = Stat {
            czxid: Zxid::from_raw(41),
            mzxid: Zxid::from_raw(43),
            ctime_ms: 1_700_000_000_000,
            version: 3,
            ephemeral_owner: SessionId(55),
            ..Stat::default()
        };
        let expected = Stat {
            czxid: Zxid::from_raw(1),
            mzxid: Zxid::from_raw(3),
            ctime_ms: 1,
            version: 3,
            ephemeral_owner: SessionId(1),
            ..Stat::default()
        };
        assert_eq!(normalizer.stat(stat), expected);
    }

    #[test]
    fn only_runs_of_digest_entries_are_sorted() {
        let entry = |scheme: &str, id: &str| Acl { perms: Perms::ALL, id: Id::new(scheme, id) };
        let list = |entries: [(&str, &str); 4]| {
            AclList::from(entries.map(|(scheme, id)| entry(scheme, id)).to_vec())
        };
        let sent = list([("world", "z"), ("digest", "b"), ("digest", "a"), ("ip", "c")]);
        let sorted = list([("world", "z"), ("digest", "a"), ("digest", "b"), ("ip", "c")]);
        assert_eq!(expanded_in_order(&sent), sorted);
    }

    #[test]
    fn bytes_behind_a_record_are_seen() {
        let mut frame = Vec::new();
        wire::jute::put_int(&mut frame, 1);
        wire::jute::put_long(&mut frame, 0);
        wire::jute::put_int(&mut frame, 0);
        wire::jute::put_text(&mut frame, "/a");
        let plain = Normalizer::default().reply(Some(OpCode::Create), &frame);
        frame.push(0);
        assert_ne!(plain, Normalizer::default().reply(Some(OpCode::Create), &frame));
    }
}
