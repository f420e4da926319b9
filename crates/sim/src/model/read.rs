//! Answers to reads.

use types::{ErrorCode, Id, MultiReadOp, Perms, Read, SessionId};

use super::access::{allows, masked, users};
use super::{Model, ModelNode};
use crate::history::{Answer, PartAnswer};

impl Model {
    /// What a read must be answered with in this state; `None` where the answer depends on the
    /// connection's watches.
    pub fn read(
        &self,
        session: SessionId,
        ids: &[Id],
        read: &Read<'_>,
    ) -> Option<Result<Answer, ErrorCode>> {
        Some(match read {
            Read::Exists { path, .. } => self.exists(path, ids),
            Read::GetData { path, .. } => self.readable(path, ids).map(|node| {
                Answer::Data(node.data.as_deref().map(<[u8]>::to_vec), self.stat(node))
            }),
            Read::GetAcl { path } => self.acl(path, ids),
            Read::GetChildren { path, .. } => {
                self.readable(path, ids).map(|node| Answer::Children(names(node)))
            }
            Read::GetChildren2 { path, .. } => self
                .readable(path, ids)
                .map(|node| Answer::ChildrenStat(names(node), self.stat(node))),
            Read::GetAllChildrenNumber { path } => {
                self.readable(path, ids).map(|_| Answer::Count(self.count_below(path)))
            }
            Read::GetEphemerals { prefix } => {
                let prefix = prefix.as_deref().map_or("", str::trim);
                let prefix = if prefix == "/" { "" } else { prefix };
                let mut paths = self.owned_by(session);
                paths.retain(|path| path.starts_with(prefix));
                Ok(Answer::Ephemerals(paths))
            }
            Read::WhoAmI => Ok(Answer::Identities(users(ids))),
            Read::MultiRead(parts) => {
                Ok(Answer::Multi(parts.iter().map(|part| self.read_part(part, ids)).collect()))
            }
            Read::Rejected(code) => Err(*code),
            Read::AddWatch { .. } | Read::SetWatches(_) => Ok(Answer::Done),
            Read::CheckWatches { .. } | Read::RemoveWatches { .. } => return None,
        })
    }

    fn exists(&self, path: &str, ids: &[Id]) -> Result<Answer, ErrorCode> {
        if path.contains('\0') {
            return Err(ErrorCode::BadArguments);
        }
        self.readable(path, ids).map(|node| Answer::Stat(self.stat(node)))
    }

    fn acl(&self, path: &str, ids: &[Id]) -> Result<Answer, ErrorCode> {
        let node = self.node(path).ok_or(ErrorCode::NoNode)?;
        let stat = self.stat(node);
        if allows(&node.acl, Perms::ADMIN, ids) {
            Ok(Answer::Acl(node.acl.to_vec(), stat))
        } else if allows(&node.acl, Perms::READ, ids) {
            Ok(Answer::Acl(masked(&node.acl), stat))
        } else {
            Err(ErrorCode::NoAuth)
        }
    }

    fn read_part(&self, part: &MultiReadOp<'_>, ids: &[Id]) -> PartAnswer {
        let (MultiReadOp::GetData { path } | MultiReadOp::GetChildren { path }) = part;
        match (self.readable(path, ids), part) {
            (Err(code), _) => PartAnswer::Error(code.raw()),
            (Ok(node), MultiReadOp::GetData { .. }) => {
                PartAnswer::Data(node.data.as_deref().map(<[u8]>::to_vec), self.stat(node))
            }
            (Ok(node), MultiReadOp::GetChildren { .. }) => PartAnswer::Children(names(node)),
        }
    }

    fn readable(&self, path: &str, ids: &[Id]) -> Result<&ModelNode, ErrorCode> {
        let node = self.node(path).ok_or(ErrorCode::NoNode)?;
        if allows(&node.acl, Perms::READ, ids) { Ok(node) } else { Err(ErrorCode::NoAuth) }
    }

    fn count_below(&self, path: &str) -> i32 {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let below = self.paths().filter(|other| other.starts_with(&prefix) && *other != "/");
        i32::try_from(below.count()).unwrap_or(i32::MAX)
    }
}

fn names(node: &ModelNode) -> Vec<String> {
    node.children.iter().map(|name| name.to_string()).collect()
}
