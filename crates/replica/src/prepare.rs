//! From what a client asks to what is decided.
//!
//! Each write is checked against the latest state, which is the tree with everything decided before
//! on top. Passing all checks gives a [`Txn`] that can not fail when it is applied; the change is
//! recorded as pending at once, so that the next write sees it. The order of the checks decides
//! which error a client gets, and is that of the Java server.

mod create;
mod multi;
mod quota;
mod reconfig;
mod session;

use tree::{ReapRules, Tree};
use types::{
    Acl, AclList, ErrorCode, ExtendedTypes, LineLimit, MultiOp, Now, Perms, SessionId, Txn, Write,
    Zxid, mutant, path,
};
use wire::limits::ACL_BYTES_MIN;
use zab::Peer;

use crate::access::{AccessOptions, Identities};
use crate::limits::TXN_BYTES_BESIDE_RECORD;
use crate::pending::{Latest, Pending};

/// What decides over writes beside the tree.
#[derive(Clone, Debug)]
pub struct PrepareOptions {
    /// Which special kinds of znode exist.
    pub extended_types: ExtendedTypes,
    /// Whether hard quotas are enforced.
    pub enforce_quota: bool,
    /// Whether clients may change the membership at all.
    pub reconfig_enabled: bool,
    /// How many voters a new membership has to have: with one it may be that the server would start
    /// as a standalone one.
    pub voters_min: usize,
    /// Whether a server may have several addresses.
    pub several_addresses: bool,
    /// Bytes of a transaction at most: what every learner takes as one packet, and every server of
    /// Apache reads from a log.
    pub txn_bytes_max: usize,
}

/// One write under preparation.
pub(crate) struct Preparation<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) pending: &'a mut Pending,
    pub(crate) access: &'a AccessOptions,
    pub(crate) options: &'a PrepareOptions,
    /// Who asks.
    pub(crate) session: SessionId,
    /// Whether it may own znodes, or what it is told.
    pub(crate) ownership: Result<(), ErrorCode>,
    pub(crate) identities: &'a Identities,
    /// The place it takes in the order.
    pub(crate) zxid: Zxid,
    pub(crate) now: Now,
    /// This server's part in its ensemble; `None` if it is alone.
    pub(crate) peer: Option<&'a Peer>,
    /// How often the log may tell of a soft quota.
    pub(crate) over_quota: &'a LineLimit,
}

impl Preparation<'_> {
    /// Decides over a write.
    ///
    /// # Errors
    /// What the client is told; nothing was recorded then.
    pub(crate) fn write(&mut self, write: Write<'static>) -> Result<Txn, ErrorCode> {
        match write {
            Write::Create(create) => self.create(create),
            Write::Delete { path, version } => self.delete(path.into(), version),
            Write::DeleteContainer { path } => self.delete_container(path.into()),
            Write::SetData { path, data, version } => {
                self.set_data(path.into(), data.map(|data| data.into_owned().into()), version)
            }
            Write::SetAcl { path, acl, version } => self.set_acl(path.into(), &acl, version),
            Write::Multi(ops) => Ok(self.multi(ops)),
            Write::Reconfig(_) if !self.options.reconfig_enabled => {
                Err(ErrorCode::ReconfigDisabled)
            }
            Write::Reconfig(request) => self.reconfig(&request),
            // Sessions are opened by the handshake, and by nothing a session itself can send.
            Write::CreateSession { .. } => Err(ErrorCode::Unimplemented),
            Write::Rejected(code) => Err(code),
        }
    }

    fn multi_op(&mut self, op: MultiOp<'static>) -> Result<Txn, ErrorCode> {
        match op {
            MultiOp::Create(create) => self.create(create),
            MultiOp::Delete { path, version } => self.delete(path.into(), version),
            MultiOp::SetData { path, data, version } => {
                self.set_data(path.into(), data.map(|data| data.into_owned().into()), version)
            }
            MultiOp::Check { path, version } => self.check(path.into(), version),
        }
    }

    fn delete(&mut self, path: Box<str>, version: Option<i32>) -> Result<Txn, ErrorCode> {
        let parent = deletable_parent(&path)?;
        let parent_before = self.latest(parent)?;
        self.allow(&parent_before.acl, Perms::DELETE)?;
        let before = self.latest(&path)?;
        next_version(before.stat.version, version)?;
        if before.num_children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        self.record_deletion(parent, &parent_before, &path, &before);
        Ok(Txn::Delete { path })
    }

    fn delete_container(&mut self, path: Box<str>) -> Result<Txn, ErrorCode> {
        let parent = deletable_parent(&path)?;
        let before = self.latest(&path)?;
        if before.num_children > 0 && !mutant::active(116) {
            return Err(ErrorCode::NotEmpty);
        }
        if self.is_ephemeral(&before) {
            return Err(ErrorCode::BadVersion);
        }
        let parent_before = self.latest(parent)?;
        self.record_deletion(parent, &parent_before, &path, &before);
        Ok(Txn::DeleteContainer { path })
    }

    /// As a client's deletion of a container, of a znode that the server found to be used up.
    pub(crate) fn reap(&mut self, path: Box<str>, rules: ReapRules) -> Result<Txn, ErrorCode> {
        let latest = self.latest(&path)?;
        let kind = latest.stat.owner.kind(self.options.extended_types);
        if latest.num_children == 0 && !rules.are_met(kind, &latest.stat) {
            return Err(ErrorCode::BadVersion);
        }
        self.delete_container(path)
    }

    fn set_data(
        &mut self,
        path: Box<str>,
        data: Option<Box<[u8]>>,
        version: Option<i32>,
    ) -> Result<Txn, ErrorCode> {
        path::validate(&path).map_err(|_| ErrorCode::BadArguments)?;
        let before = self.latest(&path)?;
        self.allow(&before.acl, Perms::WRITE)?;
        let data_length = data.as_ref().map_or(0, |data| data.len());
        self.check_quota(&path, 0, data_length as i64 - before.data_length as i64)?;
        let version = next_version(before.stat.version, version)?;
        let mut after = before.clone();
        after.stat.version = version;
        after.stat.mtime_ms = self.now.wall_ms;
        after.stat.mzxid = self.zxid;
        after.data_length = data_length;
        after.digest = tree::digest::node(&path, data.as_deref(), &after.stat);
        self.pending.record(self.zxid, &path, Some(&before), Some(after));
        Ok(Txn::SetData { path, data, version })
    }

    fn set_acl(
        &mut self,
        path: Box<str>,
        acl: &AclList,
        version: Option<i32>,
    ) -> Result<Txn, ErrorCode> {
        path::validate(&path).map_err(|_| ErrorCode::BadArguments)?;
        let acl = self.stored_list(acl, path.len())?;
        let before = self.latest(&path)?;
        self.allow(&before.acl, Perms::ADMIN)?;
        let version = next_version(before.stat.aversion, version)?;
        let mut after = before.clone();
        after.stat.aversion = version;
        after.acl = acl.clone();
        self.pending.renumber(self.zxid, &path, &before, after);
        Ok(Txn::SetAcl { path, acl, version })
    }

    fn check(&mut self, path: Box<str>, version: Option<i32>) -> Result<Txn, ErrorCode> {
        path::validate(&path).map_err(|_| ErrorCode::BadArguments)?;
        let latest = self.latest(&path)?;
        self.allow(&latest.acl, Perms::READ)?;
        let version = next_version(latest.stat.version, version)?;
        Ok(Txn::Check { path, version })
    }

    /// The list to store for one that a client sent, in a transaction that has so many bytes beside it.
    ///
    /// Its `auth` entries become one for each identity of the connection, so that a short request can
    /// make a transaction that no learner takes, and then there is no quorum any more.
    fn stored_list(&self, acl: &AclList, bytes_beside: usize) -> Result<AclList, ErrorCode> {
        let stored = self.access.stored_list(acl, self.identities)?;
        let is_longer = stored.len() > acl.len();
        if is_longer && !self.has_room_for(bytes_beside + acl_bytes(&stored)) {
            return Err(ErrorCode::InvalidAcl);
        }
        Ok(stored)
    }

    /// Whether a transaction may have a record of so many bytes.
    fn has_room_for(&self, record_bytes: usize) -> bool {
        record_bytes + TXN_BYTES_BESIDE_RECORD <= self.options.txn_bytes_max
    }

    /// Records that a znode goes, and what that changes in its parent.
    fn record_deletion(
        &mut self,
        parent: &str,
        parent_before: &Latest,
        path: &str,
        before: &Latest,
    ) {
        let mut parent_after = parent_before.clone();
        parent_after.num_children -= 1;
        parent_after.stat.pzxid = self.zxid;
        self.pending.renumber(self.zxid, parent, parent_before, parent_after);
        self.pending.record(self.zxid, path, Some(before), None);
    }

    fn latest(&self, path: &str) -> Result<Latest, ErrorCode> {
        self.pending.latest(self.tree, path).ok_or(ErrorCode::NoNode)
    }

    fn allow(&self, acl: &AclList, perms: Perms) -> Result<(), ErrorCode> {
        if self.access.allows(acl, perms, self.identities) {
            Ok(())
        } else {
            Err(ErrorCode::NoAuth)
        }
    }

    fn is_ephemeral(&self, latest: &Latest) -> bool {
        let kind = latest.stat.owner.kind(self.options.extended_types);
        matches!(kind, types::NodeKind::Ephemeral(_))
    }
}

/// The version after this one, if it is the expected one (`None` expects any).
///
/// After 2^32 changes it would be -1, which clients could not tell from "any": it is skipped, as
/// Java does from 3.10 on.
fn next_version(current: i32, expected: Option<i32>) -> Result<i32, ErrorCode> {
    let differs = |expected: i32| match mutant::active(62) {
        true => current < expected,
        false => current != expected,
    };
    if expected.is_some_and(differs) {
        return Err(ErrorCode::BadVersion);
    }
    Ok(match current.wrapping_add(1) {
        -1 => 0,
        version => version,
    })
}

/// Bytes of a list as it is written, without its length.
fn acl_bytes(acl: &AclList) -> usize {
    acl.iter().map(|Acl { id, .. }| ACL_BYTES_MIN + id.scheme.len() + id.id.len()).sum()
}

/// The parent of a path, the root as "/"; `None` if the path has no slash or a NUL character.
fn parent_of(path: &str) -> Option<&str> {
    if path.contains('\0') {
        return None;
    }
    match path::split(path)? {
        ("", _) => Some(path::ROOT),
        (parent, _) => Some(parent),
    }
}

/// The parent of a path that may be deleted.
fn deletable_parent(path: &str) -> Result<&str, ErrorCode> {
    match path {
        path::ROOT | path::ZOOKEEPER | path::QUOTA | path::CONFIG => Err(ErrorCode::BadArguments),
        _ => parent_of(path).ok_or(ErrorCode::BadArguments),
    }
}
