//! How a transaction changes the tree.

use std::time::Duration;

use types::{
    AclList, CreateCall, CreateTxn, ErrorCode, NodeKind, Owner, SessionId, Stat, StoredStat,
    TTL_MS_MAX, Txn, TxnHeader, Zxid, mutant,
};

use crate::arena::{Flags, NodeId};
use crate::quota::QuotaNode;
use crate::tree::{Tree, split};

/// Something watchers are told of, in the order in which they are told.
///
/// Creation and deletion also concern those who watch the children of the parent: who may read the
/// parent is told by `parent_acl`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change<'a> {
    /// A znode was created.
    Created {
        /// Which.
        path: &'a str,
        /// Who may read it.
        acl: &'a AclList,
        /// Who may read its parent.
        parent_acl: &'a AclList,
    },
    /// A znode was deleted.
    Deleted {
        /// Which.
        path: &'a str,
        /// Who could read it.
        acl: &'a AclList,
        /// Who may read its parent.
        parent_acl: &'a AclList,
    },
    /// A znode's data was set.
    DataChanged {
        /// Which.
        path: &'a str,
        /// Who may read it.
        acl: &'a AclList,
    },
}

/// What the reply to the client needs beyond the transaction itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Applied {
    /// Nothing: a deletion, a check, a session.
    Done,
    /// A znode was created.
    Created {
        /// Its numbers.
        stat: Stat,
    },
    /// A znode's data or access control list was set.
    Set {
        /// Its numbers, after that.
        stat: Stat,
    },
    /// Nothing was done.
    Failed {
        /// Why: the number of an [`ErrorCode`]. 0 in a failed multi stands for an operation that
        /// would have succeeded.
        code: i32,
    },
    /// The results of a multi, one for each operation.
    Multi(Vec<Self>),
}

impl From<ErrorCode> for Applied {
    fn from(code: ErrorCode) -> Self {
        Self::Failed { code: code.raw() }
    }
}

impl Tree {
    /// Applies a transaction, telling `changes` what watchers want to know, and returns what the
    /// client wants to know.
    ///
    /// Never fails. Over a fuzzy snapshot the tree may hold some of the transaction's effects; then
    /// the result may be [`Applied::Failed`], and the tree is nevertheless right once every
    /// transaction since the beginning of the snapshot has been applied.
    pub fn apply(
        &mut self,
        header: &TxnHeader,
        txn: &Txn,
        changes: &mut impl FnMut(Change<'_>),
    ) -> Applied {
        let applied = self.execute(header, txn, changes);
        // Only now: whoever looks at the tree between two transactions sees whole ones.
        self.last_applied = self.last_applied.max(header.zxid);
        applied
    }

    /// As [`Tree::apply`] of a [`Txn::SetData`] of these parts.
    pub fn apply_set_data(
        &mut self,
        header: &TxnHeader,
        (path, data, version): (&str, Option<&[u8]>, i32),
        changes: &mut impl FnMut(Change<'_>),
    ) -> Applied {
        let applied = self.set_data_by(header, path, data, version, changes);
        self.last_applied = self.last_applied.max(header.zxid);
        applied
    }

    /// Deletes the ephemerals of a session that a recovery found dead, at the zxid of the last
    /// transaction, and forgets the session.
    pub fn kill_session(&mut self, session: SessionId, changes: &mut impl FnMut(Change<'_>)) {
        self.close_session(session, &[], self.last_applied, changes);
    }

    fn execute(
        &mut self,
        header: &TxnHeader,
        txn: &Txn,
        changes: &mut impl FnMut(Change<'_>),
    ) -> Applied {
        match txn {
            Txn::CreateSession { timeout_ms } => {
                self.sessions.insert(header.session, *timeout_ms);
                Applied::Done
            }
            Txn::CloseSession { paths } => {
                let paths = paths.as_deref().unwrap_or_default();
                self.close_session(header.session, paths, header.zxid, changes);
                Applied::Done
            }
            Txn::Create(txn) => self.create(header, txn, changes),
            Txn::DeleteContainer { path } if mutant::active(157) => {
                self.delete(path, Zxid::ZERO, changes)
            }
            Txn::Delete { path } | Txn::DeleteContainer { path } => {
                self.delete(path, header.zxid, changes)
            }
            Txn::SetData { path, data, version } | Txn::Reconfig { path, data, version } => {
                self.set_data_by(header, path, data.as_deref(), *version, changes)
            }
            Txn::SetAcl { path, acl, version } => self.set_acl(path, acl, *version),
            Txn::Error { code } => Applied::Failed { code: *code },
            Txn::Check { .. } => Applied::Done,
            Txn::Multi(txns) if txn.is_failed_multi() => Applied::Multi(results_of_failed(txns)),
            Txn::Multi(txns) => {
                Applied::Multi(txns.iter().map(|txn| self.execute(header, txn, changes)).collect())
            }
        }
    }

    fn create(
        &mut self,
        header: &TxnHeader,
        txn: &CreateTxn,
        changes: &mut impl FnMut(Change<'_>),
    ) -> Applied {
        let Some((parent, name)) = self.parent_of(&txn.path) else {
            return ErrorCode::NoNode.into();
        };
        let acl = self.acls.acquire(&txn.acl);
        if let Some(existing) = self.store.child(parent, name) {
            // The snapshot had the znode already. It may lack its list, and the parent may have been
            // written before this creation. (Java members count only what `create` made, and forget
            // the other calls.)
            let old = if mutant::active(43) {
                acl
            } else {
                std::mem::replace(&mut self.store.record_mut(existing).acl, acl)
            };
            self.acls.release(old);
            self.count_creation(parent, txn.parent_cversion, header.zxid);
            return ErrorCode::NodeExists.into();
        }
        self.count_creation(parent, txn.parent_cversion, header.zxid);
        let stat = StoredStat {
            czxid: header.zxid,
            mzxid: header.zxid,
            ctime_ms: header.time_ms,
            mtime_ms: header.time_ms,
            version: 0,
            cversion: 0,
            aversion: 0,
            owner: owner_of(header.session, txn),
            pzxid: header.zxid,
        };
        let data = txn.data.as_deref();
        let id = self.insert_below(parent, &txn.path, name, data, acl, &stat);
        self.count_created_in_quotas(&txn.path, data.unwrap_or_default().len());
        changes(Change::Created {
            path: &txn.path,
            acl: &txn.acl,
            parent_acl: self.acls.list(self.store.record(parent).acl),
        });
        Applied::Created { stat: self.node(id).stat() }
    }

    fn delete(&mut self, path: &str, zxid: Zxid, changes: &mut impl FnMut(Change<'_>)) -> Applied {
        let Some((parent, name)) = self.parent_of(path) else {
            return ErrorCode::NoNode.into();
        };
        // Also if the child is gone: the parent may have been written to the snapshot before.
        if mutant::active(41) {
            self.change(parent, |parent| parent.pzxid = zxid);
        } else if !mutant::active(105) {
            self.change(parent, |parent| parent.pzxid = parent.pzxid.max(zxid));
        }
        let Some(id) = self.store.child(parent, name) else {
            return ErrorCode::NoNode.into();
        };
        let acl = self.node(id).acl().clone();
        self.remove_subtree(id, path);
        let parent_acl = self.acls.list(self.store.record(parent).acl);
        changes(Change::Deleted { path, acl: &acl, parent_acl });
        Applied::Done
    }

    fn set_data_by(
        &mut self,
        header: &TxnHeader,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
        changes: &mut impl FnMut(Change<'_>),
    ) -> Applied {
        let Some(id) = self.store.find(path) else {
            return ErrorCode::NoNode.into();
        };
        let data = if mutant::active(112) { data.or(Some(b"")) } else { data };
        let old_bytes = self.node(id).data_bytes();
        self.set_data(id, path, data, |record| {
            record.version = version;
            record.mzxid = header.zxid;
            record.mtime_ms = header.time_ms;
        });
        // The reply shows the data as it was set, even if it is a quota's own and is recounted.
        let stat = self.node(id).stat();
        self.count_in_quota(path, 0, signed(data.unwrap_or_default().len()) - signed(old_bytes));
        changes(Change::DataChanged { path, acl: self.node(id).acl() });
        Applied::Set { stat }
    }

    fn set_acl(&mut self, path: &str, acl: &AclList, version: i32) -> Applied {
        let Some(id) = self.store.find(path) else {
            return ErrorCode::NoNode.into();
        };
        let new = self.acls.acquire(acl);
        let old = self.store.record(id).acl;
        self.change(id, |record| {
            record.acl = new;
            record.aversion = version;
        });
        self.acls.release(old);
        Applied::Set { stat: self.node(id).stat() }
    }

    fn close_session(
        &mut self,
        session: SessionId,
        paths: &[Box<str>],
        zxid: Zxid,
        changes: &mut impl FnMut(Change<'_>),
    ) {
        for path in paths {
            self.delete(path, zxid, changes);
        }
        // Logs of releases before 3.6 carry no list, and a fuzzy snapshot may hold more than the list
        // says. Without a list, a parent whose child the snapshot missed keeps its old pzxid.
        while let Some(id) = self.owners.newest_ephemeral(session) {
            let path = self.store.path(id);
            self.delete(&path, zxid, changes);
        }
        if !mutant::active(106) {
            self.sessions.remove(&session);
        }
    }

    /// Counts the creation of a child, unless the parent has counted it already. Counts are compared
    /// around the wrap from the largest number to the smallest, where Java members get stuck.
    fn count_creation(&mut self, parent: NodeId, cversion: Option<i32>, zxid: Zxid) {
        let current = self.store.record(parent).cversion;
        let cversion = cversion.unwrap_or_else(|| current.wrapping_add(1));
        if cversion.wrapping_sub(current) > 0 {
            self.change(parent, |parent| {
                parent.cversion = cversion;
                parent.pzxid = zxid;
            });
        }
    }

    /// Removes a znode and what a fuzzy snapshot may have left below it.
    fn remove_subtree(&mut self, top: NodeId, path: &str) {
        while let Some(mut leaf) = self.store.record(top).first_child {
            while let Some(child) = self.store.record(leaf).first_child {
                leaf = child;
            }
            let path = self.store.path(leaf);
            self.remove(leaf, &path);
        }
        self.remove(top, path);
    }

    /// Removes a znode without children.
    fn remove(&mut self, id: NodeId, path: &str) {
        let record = self.store.record(id);
        let (acl, data_bytes) = (record.acl, record.payload.data_bytes());
        let is_owned = record.flags.contains(Flags::OWNED);
        self.digest = self.digest.wrapping_sub(self.node(id).digest_share());
        self.data_size -= (path.len() + data_bytes) as u64;
        if is_owned {
            self.owners.remove(id);
        }
        self.store.remove(id);
        self.acls.release(acl);
        if let Some(QuotaNode::Limits(subtree)) = QuotaNode::of(path) {
            self.quotas.remove(subtree);
        }
        self.count_in_quota(path, -1, -signed(data_bytes));
    }

    /// The parent of a path, and the last name; `None` also for the root, which has no parent.
    fn parent_of<'a>(&self, path: &'a str) -> Option<(NodeId, &'a str)> {
        let (parent, name) = split(path)?;
        Some((self.store.find_parent(parent)?, name))
    }
}

/// A failed multi changes nothing and says of each operation why.
fn results_of_failed(txns: &[Txn]) -> Vec<Applied> {
    let mut code_of_others = 0;
    let results = txns.iter().map(|txn| {
        let code = match txn {
            Txn::Error { code } => {
                code_of_others = ErrorCode::RuntimeInconsistency.raw();
                *code
            }
            Txn::CreateSession { .. }
            | Txn::CloseSession { .. }
            | Txn::Create(_)
            | Txn::Delete { .. }
            | Txn::DeleteContainer { .. }
            | Txn::SetData { .. }
            | Txn::Reconfig { .. }
            | Txn::SetAcl { .. }
            | Txn::Check { .. }
            | Txn::Multi(_) => code_of_others,
        };
        Applied::Failed { code }
    });
    results.collect()
}

fn owner_of(session: SessionId, txn: &CreateTxn) -> Owner {
    let kind = match txn.call {
        CreateCall::Container => NodeKind::Container,
        CreateCall::Ttl => {
            // The leader saw to the range; a log that says otherwise gets the nearest.
            let ttl_ms = txn.ttl_ms.unwrap_or(TTL_MS_MAX).clamp(1, TTL_MS_MAX);
            NodeKind::Ttl(Duration::from_millis(ttl_ms.unsigned_abs()))
        }
        CreateCall::Create | CreateCall::Create2 if txn.ephemeral => NodeKind::Ephemeral(session),
        CreateCall::Create | CreateCall::Create2 => NodeKind::Persistent,
    };
    Owner::of(kind).expect("the time to live is in range")
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("no allocation is larger than that")
}
