//! Requests that were sent and not answered: what their answers will be, and what hangs on them.

use types::{CreateCall, ErrorCode, Op, Read, WatcherKind, Write, Xid};
use wire::jute::DecodeError;
use wire::reply::{self, MultiReadResult, MultiResult};

use super::watches::List;
use super::{Chroot, RequestId};
use crate::error::Error;
use crate::response::{Acls, Data, Identity, OpResult, ReadResult, Response};

/// A request that was sent.
#[derive(Debug)]
pub(super) struct Pending {
    /// The number that its answer carries.
    pub(super) xid: Xid,
    /// What to do with the answer.
    pub(super) then: Then,
}

impl Pending {
    /// Whether the server may be setting a watch at this path because of it.
    pub(super) fn sets_watch_at(&self, at: &str) -> bool {
        match &self.then {
            Then::Complete {
                change: WatchChange::Set { path, .. } | WatchChange::SetIfMissing { path },
                ..
            } => path == at,
            Then::Complete { change: WatchChange::None | WatchChange::Remove { .. }, .. }
            | Then::WatchesSet { .. }
            | Then::Nothing => false,
        }
    }
}

/// What to do with an answer.
#[derive(Debug)]
pub(super) enum Then {
    /// The application waits for it.
    Complete {
        /// Under this number.
        id: RequestId,
        /// Which record it has.
        expected: Expected,
        /// What it does to the watches.
        change: WatchChange,
        /// Whether the request can change znodes or the session.
        may_change: bool,
    },
    /// Watches are set again.
    WatchesSet {
        /// Whether these were the last of them.
        is_last: bool,
    },
    /// Nobody waits for it.
    Nothing,
}

impl Then {
    /// What to do with the answer to an operation of the application.
    pub(super) fn for_request(id: RequestId, op: Op<'static>) -> Self {
        let may_change = matches!(op, Op::Write(_) | Op::CloseSession);
        let expected = Expected::of(&op);
        Self::Complete { id, expected, change: WatchChange::of(op), may_change }
    }
}

/// What an answer does to the watches.
#[derive(Debug)]
pub(super) enum WatchChange {
    /// Nothing.
    None,
    /// On success there is a watch.
    Set {
        /// Where it is kept.
        list: List,
        /// The server's path.
        path: String,
    },
    /// There is a watch on data if the znode exists, and on existence if it does not.
    SetIfMissing {
        /// The server's path.
        path: String,
    },
    /// On success there are none left.
    Remove {
        /// Of these.
        kind: WatcherKind,
        /// The server's path.
        path: String,
    },
}

impl WatchChange {
    fn of(op: Op<'static>) -> Self {
        let Op::Read(read) = op else { return Self::None };
        match read {
            Read::Exists { path, watch: true } => Self::SetIfMissing { path: path.into_owned() },
            Read::GetData { path, watch: true } => {
                Self::Set { list: List::Data, path: path.into_owned() }
            }
            Read::GetChildren { path, watch: true } | Read::GetChildren2 { path, watch: true } => {
                Self::Set { list: List::Child, path: path.into_owned() }
            }
            Read::AddWatch { path, mode } => {
                Self::Set { list: List::of(mode), path: path.into_owned() }
            }
            Read::RemoveWatches { path, kind } => Self::Remove { kind, path: path.into_owned() },
            Read::Exists { watch: false, .. }
            | Read::GetData { watch: false, .. }
            | Read::GetChildren { watch: false, .. }
            | Read::GetChildren2 { watch: false, .. }
            | Read::GetAcl { .. }
            | Read::GetAllChildrenNumber { .. }
            | Read::GetEphemerals { .. }
            | Read::WhoAmI
            | Read::MultiRead(_)
            | Read::CheckWatches { .. }
            | Read::SetWatches(_)
            | Read::Rejected(_) => Self::None,
        }
    }
}

/// The record that follows the header of an answer without error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expected {
    Nothing,
    Path,
    PathAndStat,
    Stat,
    Data,
    Acl,
    Names,
    NamesAndStat,
    Count,
    Paths,
    Identities,
    Multi,
    MultiRead,
}

impl Expected {
    const fn of(op: &Op<'static>) -> Self {
        match op {
            Op::Read(read) => Self::of_read(read),
            Op::Write(write) => Self::of_write(write),
            // The echo of a sync's path tells nothing.
            Op::Ping | Op::Auth(_) | Op::Sasl(_) | Op::Sync { .. } | Op::CloseSession => {
                Self::Nothing
            }
        }
    }

    const fn of_read(read: &Read<'static>) -> Self {
        match read {
            Read::Exists { .. } => Self::Stat,
            Read::GetData { .. } => Self::Data,
            Read::GetAcl { .. } => Self::Acl,
            Read::GetChildren { .. } => Self::Names,
            Read::GetChildren2 { .. } => Self::NamesAndStat,
            Read::GetAllChildrenNumber { .. } => Self::Count,
            Read::GetEphemerals { .. } => Self::Paths,
            Read::WhoAmI => Self::Identities,
            Read::MultiRead(_) => Self::MultiRead,
            Read::AddWatch { .. }
            | Read::CheckWatches { .. }
            | Read::RemoveWatches { .. }
            | Read::SetWatches(_)
            | Read::Rejected(_) => Self::Nothing,
        }
    }

    const fn of_write(write: &Write<'static>) -> Self {
        match write {
            Write::Create(create) => match create.call {
                CreateCall::Create => Self::Path,
                CreateCall::Create2 | CreateCall::Container | CreateCall::Ttl => Self::PathAndStat,
            },
            Write::SetData { .. } | Write::SetAcl { .. } => Self::Stat,
            Write::Multi(_) => Self::Multi,
            Write::Reconfig(_) => Self::Data,
            Write::Delete { .. }
            | Write::DeleteContainer { .. }
            | Write::CreateSession { .. }
            | Write::Rejected(_) => Self::Nothing,
        }
    }

    /// Reads the record. A multi that failed is an error, although its header has none.
    pub(super) fn decode(
        self,
        record: &[u8],
        chroot: &Chroot,
    ) -> Result<Result<Response, Error>, DecodeError> {
        Ok(Ok(match self {
            Self::Nothing => Response::Done,
            Self::Path => {
                let path = reply::decode_path(record)?;
                Response::Created { path: chroot.strip(&path).to_owned(), stat: None }
            }
            Self::PathAndStat => {
                let body = reply::decode_path_and_stat(record)?;
                let path = chroot.strip(&body.path).to_owned();
                Response::Created { path, stat: Some(body.stat) }
            }
            Self::Stat => Response::Stat(reply::decode_stat(record)?),
            Self::Data => Response::Data(data(reply::decode_data(record)?)),
            Self::Acl => {
                let body = reply::decode_acl(record)?;
                Response::Acl(Acls { acl: body.acl, stat: body.stat })
            }
            Self::Names => {
                Response::Children { names: reply::decode_children(record)?, stat: None }
            }
            Self::NamesAndStat => {
                let body = reply::decode_children2(record)?;
                Response::Children { names: body.names, stat: Some(body.stat) }
            }
            Self::Count => Response::Count(reply::decode_count(record)?),
            Self::Paths => {
                let paths = reply::decode_children(record)?;
                let strip = |path: &String| chroot.strip(path).to_owned();
                Response::Paths(paths.iter().map(strip).collect())
            }
            Self::Identities => {
                let infos = reply::decode_who_am_i(record)?.into_iter();
                let identity = |info: reply::ClientInfo<'_>| Identity {
                    scheme: info.scheme.into_owned(),
                    user: info.user.into_owned(),
                };
                Response::Identities(infos.map(identity).collect())
            }
            Self::Multi => return Ok(multi(reply::decode_multi(record)?, chroot)),
            Self::MultiRead => {
                let results = reply::decode_multi_read(record)?.into_iter();
                Response::MultiRead(results.map(read_result).collect())
            }
        }))
    }
}

/// The results of a transaction, or the one that tells why there are none.
fn multi(results: Vec<MultiResult<'static>>, chroot: &Chroot) -> Result<Response, Error> {
    let strip = |path: &str| chroot.strip(path).to_owned();
    let mut done = Vec::with_capacity(results.len());
    for (index, result) in results.into_iter().enumerate() {
        done.push(match result {
            MultiResult::Created { path } => OpResult::Created { path: strip(&path), stat: None },
            MultiResult::Created2 { path, stat } => {
                OpResult::Created { path: strip(&path), stat: Some(stat) }
            }
            MultiResult::DataSet(stat) => OpResult::DataSet(stat),
            MultiResult::Deleted => OpResult::Deleted,
            MultiResult::Checked => OpResult::Checked,
            // Those before the culprit failed with it, and say so without a code.
            MultiResult::Failed { code: 0 } => continue,
            MultiResult::Failed { code } => {
                return Err(match ErrorCode::from_raw(code) {
                    Some(code) => Error::Aborted { index, code },
                    None => Error::RefusedUnknown(code),
                });
            }
        });
    }
    Ok(Response::Multi(done))
}

fn read_result(result: MultiReadResult) -> Result<ReadResult, Error> {
    match result {
        MultiReadResult::Data(body) => Ok(ReadResult::Data(data(body))),
        MultiReadResult::Children(names) => Ok(ReadResult::Children(names)),
        MultiReadResult::Failed { code } => Err(Error::refused(code)),
    }
}

fn data(body: reply::DataBody) -> Data {
    Data { value: body.data.map(Into::into), stat: body.stat }
}
