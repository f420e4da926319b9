//! Replies as clients understand them.

use types::{CreateCall, Op, Read, Write};
use wire::jute::DecodeError;
use wire::reply::{self, MultiReadResult, MultiResult};

use crate::history::{Answer, PartAnswer};

/// Reads the record of a good reply.
pub fn decode(op: &Op<'_>, record: &[u8]) -> Result<Answer, DecodeError> {
    Ok(match op {
        Op::Ping | Op::Auth(_) | Op::Sasl(_) | Op::CloseSession => Answer::Done,
        Op::Sync { .. } => Answer::Path(reply::decode_path(record)?),
        Op::Read(read) => decode_read(read, record)?,
        Op::Write(write) => decode_write(write, record)?,
    })
}

fn decode_read(read: &Read<'_>, record: &[u8]) -> Result<Answer, DecodeError> {
    Ok(match read {
        Read::Exists { .. } => Answer::Stat(reply::decode_stat(record)?),
        Read::GetData { .. } => {
            let body = reply::decode_data(record)?;
            Answer::Data(body.data, body.stat)
        }
        Read::GetAcl { .. } => {
            let body = reply::decode_acl(record)?;
            Answer::Acl(body.acl.to_vec(), body.stat)
        }
        Read::GetChildren { .. } => Answer::Children(sorted(reply::decode_children(record)?)),
        Read::GetChildren2 { .. } => {
            let body = reply::decode_children2(record)?;
            Answer::ChildrenStat(sorted(body.names), body.stat)
        }
        Read::GetAllChildrenNumber { .. } => Answer::Count(reply::decode_count(record)?),
        Read::GetEphemerals { .. } => Answer::Ephemerals(sorted(reply::decode_children(record)?)),
        Read::WhoAmI => {
            let infos = reply::decode_who_am_i(record)?.into_iter();
            let ids = infos.map(|info| (info.scheme.into_owned(), info.user.into_owned()));
            Answer::Identities(sorted(ids.collect()))
        }
        Read::MultiRead(_) => Answer::Multi(
            reply::decode_multi_read(record)?
                .into_iter()
                .map(|part| match part {
                    MultiReadResult::Data(body) => PartAnswer::Data(body.data, body.stat),
                    MultiReadResult::Children(names) => PartAnswer::Children(sorted(names)),
                    MultiReadResult::Failed { code } => PartAnswer::Error(code),
                })
                .collect(),
        ),
        Read::AddWatch { .. }
        | Read::CheckWatches { .. }
        | Read::RemoveWatches { .. }
        | Read::SetWatches(_)
        | Read::Rejected(_) => Answer::Done,
    })
}

fn decode_write(write: &Write<'_>, record: &[u8]) -> Result<Answer, DecodeError> {
    Ok(match write {
        Write::Create(create) if create.call == CreateCall::Create => {
            Answer::Path(reply::decode_path(record)?)
        }
        Write::Create(_) => {
            let body = reply::decode_path_and_stat(record)?;
            Answer::Created(body.path, body.stat)
        }
        Write::SetData { .. } | Write::SetAcl { .. } => Answer::Stat(reply::decode_stat(record)?),
        Write::Multi(_) => Answer::Multi(
            reply::decode_multi(record)?
                .into_iter()
                .map(|part| match part {
                    MultiResult::Created { path } => PartAnswer::Path(path.into_owned()),
                    MultiResult::Created2 { path, stat } => {
                        PartAnswer::Created(path.into_owned(), stat)
                    }
                    MultiResult::Deleted => PartAnswer::Deleted,
                    MultiResult::DataSet(stat) => PartAnswer::Stat(stat),
                    MultiResult::Checked => PartAnswer::Checked,
                    MultiResult::Failed { code } => PartAnswer::Error(code),
                })
                .collect(),
        ),
        Write::Delete { .. }
        | Write::DeleteContainer { .. }
        | Write::Reconfig(_)
        | Write::CreateSession { .. }
        | Write::Rejected(_) => Answer::Done,
    })
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items
}
