//! The reference: what the tree of znodes, the sessions and the answers have to be.
//!
//! Written from the protocol's description, for obviousness: one map from path to znode, no cache,
//! no sharing of code with the server. [`Model::decide`] says which transaction and which answer a
//! request must get in a state, [`Model::apply`] takes the state to the next and names the watch
//! triggers, [`Model::read`] answers reads. Quota nodes are ordinary znodes here: workloads make
//! none.

mod access;
mod decide;
mod digest;
mod read;
mod reap;
mod reconfig;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use types::membership::Membership;
use types::{
    AclList, CreateCall, CreateTxn, EventKind, ExtendedTypes, NodeKind, Owner, SessionId, Stat,
    StoredStat, Txn, TxnHeader, Zxid, path,
};

pub use access::Credentials;
pub(crate) use access::allows;
pub use decide::Asker;
pub use reap::WallClocks;

/// What of a server's configuration shows in its answers.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Which owners are special.
    pub extended_types: ExtendedTypes,
    /// Who is in the ensemble at first, if changes of that are switched on.
    pub membership: Option<Rc<Membership>>,
    /// Credentials that the server accepts, and the identity each gives.
    pub credentials: Vec<Credentials>,
    /// Who knows of sessions.
    pub sessions: Sessions,
}

/// Who knows of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sessions {
    /// Every server, from its first moment on.
    Global,
    /// The server of its client; all others when it first creates an ephemeral znode.
    Local,
}

/// A znode.
#[derive(Clone, Debug)]
struct ModelNode {
    data: Option<Rc<[u8]>>,
    acl: AclList,
    stat: StoredStat,
    children: BTreeSet<Rc<str>>,
}

/// The whole state after some transaction.
#[derive(Clone, Debug)]
pub struct Model {
    rules: Rc<Rules>,
    /// By path; the root's is "/".
    nodes: BTreeMap<Rc<str>, Rc<ModelNode>>,
    /// Live sessions and their timeouts in milliseconds, as far as all servers know of them.
    sessions: BTreeMap<SessionId, i32>,
    /// Those that all servers knew of, and that are over.
    ended: BTreeSet<SessionId>,
    /// Who is in the ensemble; `None` if that can not change.
    membership: Option<Rc<Membership>>,
    last_applied: Zxid,
    digest: u64,
}

/// One change that watches may be waiting for, in the order in which they fire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trigger {
    /// What happened.
    pub kind: EventKind,
    /// To which znode.
    pub path: String,
    /// Which watches it looks at.
    pub table: WatchTable,
    /// Who may know: the list of the znode named.
    pub acl: AclList,
}

/// What came of a transaction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// What watches hear of, in order.
    pub triggers: Vec<Trigger>,
    /// The numbers of the znode that was created or set: one for a plain transaction, one for each
    /// part of a multi.
    pub stats: Vec<Option<Stat>>,
}

/// The two sorts of watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchTable {
    /// Those on data and existence.
    Data,
    /// Those on children; a deletion looks here for connections that the data table left out.
    Child,
}

impl Model {
    /// The state of a server that was never used.
    pub fn new(rules: Rc<Rules>) -> Self {
        Self::starting_at(rules, Zxid::ZERO)
    }

    /// The same, with transactions numbered from somewhere else.
    pub fn starting_at(rules: Rc<Rules>, last_applied: Zxid) -> Self {
        let mut model = Self {
            membership: rules.membership.clone(),
            rules,
            nodes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            ended: BTreeSet::new(),
            last_applied,
            digest: 0,
        };
        for built_in in [path::ROOT, path::ZOOKEEPER, path::QUOTA, path::CONFIG] {
            let mut node = ModelNode {
                data: Some(Rc::from([])),
                acl: AclList::open(),
                stat: StoredStat::default(),
                children: BTreeSet::new(),
            };
            if built_in == path::CONFIG {
                node.acl = access::world_readable();
                node.stat.aversion = -1;
            }
            model.insert(built_in, node);
            if built_in != path::ROOT {
                model.edit(&parent_of(built_in), |parent| {
                    parent.children.insert(name_of(built_in).into());
                });
            }
        }
        model
    }

    /// Takes the state past one transaction.
    pub fn apply(&mut self, header: &TxnHeader, txn: &Txn) -> Applied {
        let mut triggers = Vec::new();
        let stats = match txn {
            Txn::Multi(_) if txn.is_failed_multi() => Vec::new(),
            Txn::Multi(parts) => {
                parts.iter().map(|part| self.apply_part(header, part, &mut triggers)).collect()
            }
            _ => vec![self.apply_part(header, txn, &mut triggers)],
        };
        self.last_applied = header.zxid;
        Applied { triggers, stats }
    }

    /// The last transaction applied.
    pub const fn last_applied(&self) -> Zxid {
        self.last_applied
    }

    /// The digest of the whole tree (version 2).
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// Whether a session may write: one that was never heard of may be a local one.
    pub(crate) fn may_write(&self, session: SessionId) -> bool {
        let may_be_local = self.rules.sessions == Sessions::Local && !self.ended.contains(&session);
        self.is_live(session) || may_be_local
    }

    /// Whether a session is open, and all servers know of it.
    pub fn is_live(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// The open sessions and their timeouts in milliseconds.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, i32)> + '_ {
        self.sessions.iter().map(|(&session, &timeout_ms)| (session, timeout_ms))
    }

    /// Every path with the session that owns the znode, in the order of paths.
    pub fn ephemerals(&self) -> impl Iterator<Item = (&str, SessionId)> + '_ {
        self.nodes.iter().filter_map(|(path, node)| match self.kind(node) {
            NodeKind::Ephemeral(owner) => Some((&**path, owner)),
            NodeKind::Persistent | NodeKind::Container | NodeKind::Ttl(_) => None,
        })
    }

    /// Every path, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> + '_ {
        self.nodes.keys().map(|path| &**path)
    }

    /// A znode's data, access control list and stored numbers.
    pub fn stored(&self, path: &str) -> Option<(Option<&[u8]>, &AclList, StoredStat)> {
        let node = self.node(path)?;
        Some((node.data.as_deref(), &node.acl, node.stat))
    }

    fn apply_part(
        &mut self,
        header: &TxnHeader,
        txn: &Txn,
        triggers: &mut Vec<Trigger>,
    ) -> Option<Stat> {
        match txn {
            Txn::CreateSession { timeout_ms } => {
                self.sessions.insert(header.session, *timeout_ms);
                return None;
            }
            Txn::CloseSession { paths } => {
                self.close_session(header, paths.as_deref().unwrap_or_default(), triggers);
                return None;
            }
            Txn::Delete { path } | Txn::DeleteContainer { path } => {
                self.delete(header, path, triggers);
                return None;
            }
            Txn::Create(create) => self.create(header, create, triggers),
            Txn::SetData { path, data, version } | Txn::Reconfig { path, data, version } => {
                self.edit(path, |node| {
                    node.data = data.as_deref().map(Rc::from);
                    node.stat.version = *version;
                    node.stat.mzxid = header.zxid;
                    node.stat.mtime_ms = header.time_ms;
                });
                self.trigger(EventKind::NodeDataChanged, path, WatchTable::Data, triggers);
                if let Txn::Reconfig { data: Some(data), .. } = txn {
                    self.membership = reconfig::parse(data);
                }
            }
            Txn::SetAcl { path, acl, version } => self.edit(path, |node| {
                node.acl = acl.clone();
                node.stat.aversion = *version;
            }),
            Txn::Error { .. } | Txn::Check { .. } | Txn::Multi(_) => return None,
        }
        self.node(touched(txn)).map(|node| self.stat(node))
    }

    fn create(&mut self, header: &TxnHeader, create: &CreateTxn, triggers: &mut Vec<Trigger>) {
        let parent = parent_of(&create.path);
        if self.node(&parent).is_none() || self.node(&create.path).is_some() {
            return;
        }
        let owner = match (create.call, create.ttl_ms) {
            (CreateCall::Container, _) => Owner::of(NodeKind::Container),
            (CreateCall::Ttl, Some(ttl_ms)) => {
                let ttl = std::time::Duration::from_millis(ttl_ms.unsigned_abs());
                Owner::of(NodeKind::Ttl(ttl))
            }
            _ if create.ephemeral => Owner::of(NodeKind::Ephemeral(header.session)),
            _ => Some(Owner::PERSISTENT),
        };
        let stat = StoredStat {
            czxid: header.zxid,
            mzxid: header.zxid,
            pzxid: header.zxid,
            ctime_ms: header.time_ms,
            mtime_ms: header.time_ms,
            owner: owner.unwrap_or_default(),
            ..StoredStat::default()
        };
        let data = create.data.as_deref().map(Rc::from);
        let node = ModelNode { data, acl: create.acl.clone(), stat, children: BTreeSet::new() };
        self.insert(&create.path, node);
        self.edit(&parent, |node| {
            node.children.insert(name_of(&create.path).into());
            node.stat.cversion =
                create.parent_cversion.unwrap_or_else(|| node.stat.cversion.wrapping_add(1));
            node.stat.pzxid = header.zxid;
        });
        self.trigger(EventKind::NodeCreated, &create.path, WatchTable::Data, triggers);
        self.trigger(EventKind::NodeChildrenChanged, &parent, WatchTable::Child, triggers);
    }

    fn delete(&mut self, header: &TxnHeader, path: &str, triggers: &mut Vec<Trigger>) {
        if self.node(path).is_none() {
            return;
        }
        // The list of the deleted znode decides who hears of it, so look before deleting.
        self.trigger(EventKind::NodeDeleted, path, WatchTable::Data, triggers);
        self.trigger(EventKind::NodeDeleted, path, WatchTable::Child, triggers);
        self.remove(path);
        let parent = parent_of(path);
        self.edit(&parent, |node| {
            node.children.remove(name_of(path));
            node.stat.pzxid = header.zxid;
        });
        self.trigger(EventKind::NodeChildrenChanged, &parent, WatchTable::Child, triggers);
    }

    fn close_session(
        &mut self,
        header: &TxnHeader,
        listed: &[Box<str>],
        triggers: &mut Vec<Trigger>,
    ) {
        for path in listed {
            self.delete(header, path, triggers);
        }
        for path in self.owned_by(header.session) {
            self.delete(header, &path, triggers);
        }
        self.sessions.remove(&header.session);
        self.ended.insert(header.session);
    }

    /// The paths of a session's ephemeral znodes, in order.
    pub fn owned_by(&self, session: SessionId) -> Vec<String> {
        self.ephemerals()
            .filter(|&(_, owner)| owner == session)
            .map(|(path, _)| path.to_owned())
            .collect()
    }

    fn trigger(&self, kind: EventKind, path: &str, table: WatchTable, triggers: &mut Vec<Trigger>) {
        if let Some(node) = self.node(path) {
            let path = canonical(path).to_owned();
            triggers.push(Trigger { kind, path, table, acl: node.acl.clone() });
        }
    }

    fn node(&self, path: &str) -> Option<&ModelNode> {
        self.nodes.get(canonical(path)).map(|node| &**node)
    }

    fn insert(&mut self, path: &str, node: ModelNode) {
        self.digest = self.digest.wrapping_add(digest::of_node(path, &node));
        self.nodes.insert(path.into(), Rc::new(node));
    }

    fn remove(&mut self, path: &str) {
        if let Some(node) = self.nodes.remove(path) {
            self.digest = self.digest.wrapping_sub(digest::of_node(path, &node));
        }
    }

    fn edit(&mut self, path: &str, change: impl FnOnce(&mut ModelNode)) {
        let path = canonical(path);
        if let Some(node) = self.nodes.get_mut(path) {
            let before = digest::of_node(path, node);
            change(Rc::make_mut(node));
            let after = digest::of_node(path, node);
            self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        }
    }

    fn kind(&self, node: &ModelNode) -> NodeKind {
        node.stat.owner.kind(self.rules.extended_types)
    }

    /// The numbers as clients see them.
    fn stat(&self, node: &ModelNode) -> Stat {
        let stored = &node.stat;
        let num_children = i32::try_from(node.children.len()).unwrap_or(i32::MAX);
        let data_length = node.data.as_ref().map_or(0, |data| data.len());
        Stat {
            czxid: stored.czxid,
            mzxid: stored.mzxid,
            ctime_ms: stored.ctime_ms,
            mtime_ms: stored.mtime_ms,
            version: stored.version,
            // Every child there is was created once; every one that is gone was deleted as well.
            cversion: stored.cversion.wrapping_mul(2).wrapping_sub(num_children),
            aversion: stored.aversion,
            ephemeral_owner: match self.kind(node) {
                NodeKind::Ephemeral(owner) => owner,
                NodeKind::Persistent | NodeKind::Container | NodeKind::Ttl(_) => SessionId::NONE,
            },
            data_length: i32::try_from(data_length).unwrap_or(i32::MAX),
            num_children,
            pzxid: stored.pzxid,
        }
    }
}

/// The path of the znode that a transaction creates or sets.
fn touched(txn: &Txn) -> &str {
    match txn {
        Txn::Create(create) => &create.path,
        Txn::SetData { path, .. } | Txn::Reconfig { path, .. } | Txn::SetAcl { path, .. } => path,
        Txn::CreateSession { .. }
        | Txn::CloseSession { .. }
        | Txn::Delete { .. }
        | Txn::DeleteContainer { .. }
        | Txn::Error { .. }
        | Txn::Check { .. }
        | Txn::Multi(_) => "",
    }
}

/// The root has two names: "/" and, as the parent of first-level paths, the empty text.
fn canonical(path: &str) -> &str {
    if path.is_empty() { path::ROOT } else { path }
}

fn parent_of(path: &str) -> String {
    path::split(path).map_or(path::ROOT, |(parent, _)| canonical(parent)).to_owned()
}

fn name_of(path: &str) -> &str {
    path::split(path).map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests;
