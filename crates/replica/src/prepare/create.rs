//! Decides over the creation of a znode.

use std::time::Duration;

use types::{
    Create, CreateCall, CreateTxn, ErrorCode, ExtendedTypes, NodeKind, Owner, Perms, StoredStat,
    TTL_MS_MAX, Txn, mutant, path,
};

use super::{Preparation, parent_of};
use crate::pending::Latest;

impl Preparation<'_> {
    pub(super) fn create(&mut self, create: Create<'static>) -> Result<Txn, ErrorCode> {
        let Create { call, path, data, acl, mode } = create;
        self.check_ttl(mode.ttl_ms())?;
        if mode.is_ephemeral() {
            self.ownership?;
        }
        let parent = parent_of(&path).ok_or(ErrorCode::BadArguments)?;
        let bytes_beside = path.len() + data.as_ref().map_or(0, |data| data.len());
        let acl = self.stored_list(&acl, bytes_beside)?;
        let parent_before = self.latest(parent)?;
        self.allow(&parent_before.acl, Perms::CREATE)?;
        let path: Box<str> = if mode.is_sequential() {
            let number = match mutant::active(63) {
                true => parent_before.num_children,
                false => parent_before.stat.cversion,
            };
            format!("{path}{number:010}").into()
        } else {
            path.clone().into()
        };
        path::validate(&path).map_err(|_| ErrorCode::BadArguments)?;
        if self.pending.latest(self.tree, &path).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if self.is_ephemeral(&parent_before) {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let data: Option<Box<[u8]>> = data.map(|data| data.into_owned().into());
        let data_length = data.as_ref().map_or(0, |data| data.len());
        self.check_quota(&path, 1, data_length as i64)?;

        // The kind follows from the operation that was called, whatever else the mode says.
        let kind = match (call, mode.ttl_ms()) {
            (CreateCall::Container, _) => NodeKind::Container,
            (CreateCall::Ttl, Some(ttl_ms)) => {
                NodeKind::Ttl(Duration::from_millis(ttl_ms.unsigned_abs()))
            }
            _ if mode.is_ephemeral() => NodeKind::Ephemeral(self.session),
            _ => NodeKind::Persistent,
        };
        let parent_cversion = parent_before.stat.cversion.wrapping_add(1);
        let mut parent_after = parent_before.clone();
        parent_after.num_children += 1;
        parent_after.stat.cversion = parent_cversion;
        parent_after.stat.pzxid = self.zxid;
        let owner = Owner::of(kind).ok_or(ErrorCode::BadArguments)?;
        let stat = self.fresh_stat(owner);
        let latest = Latest {
            stat,
            num_children: 0,
            data_length,
            digest: tree::digest::node(&path, data.as_deref(), &stat),
            acl: acl.clone(),
        };
        let parent: Box<str> = parent_of(&path).ok_or(ErrorCode::BadArguments)?.into();
        self.pending.renumber(self.zxid, &parent, &parent_before, parent_after);
        self.pending.record(self.zxid, &path, None, Some(latest));
        Ok(Txn::Create(CreateTxn {
            call,
            path,
            data,
            acl,
            ephemeral: matches!(kind, NodeKind::Ephemeral(_)),
            parent_cversion: Some(parent_cversion),
            ttl_ms: if call == CreateCall::Ttl { mode.ttl_ms() } else { None },
        }))
    }

    fn check_ttl(&self, ttl_ms: Option<i64>) -> Result<(), ErrorCode> {
        match ttl_ms {
            None => Ok(()),
            Some(_) if self.options.extended_types == ExtendedTypes::Disabled => {
                Err(ErrorCode::Unimplemented)
            }
            Some(1..=TTL_MS_MAX) => Ok(()),
            Some(_) => Err(ErrorCode::BadArguments),
        }
    }

    fn fresh_stat(&self, owner: Owner) -> StoredStat {
        StoredStat {
            czxid: self.zxid,
            mzxid: self.zxid,
            pzxid: self.zxid,
            ctime_ms: self.now.wall_ms,
            mtime_ms: self.now.wall_ms,
            version: 0,
            cversion: 0,
            aversion: 0,
            owner,
        }
    }
}
