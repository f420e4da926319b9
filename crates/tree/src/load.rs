//! Builds a tree from a snapshot.

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use thiserror::Error;
use types::{AclList, SessionId, StoredStat, Zxid};

use crate::acl::{AclSlot, OPEN_ID};
use crate::arena::NodeId;
use crate::tree::{Options, Tree, split};

/// Why something can not be a snapshot of a tree.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LoadError {
    /// It does not begin with the root.
    #[error("the first znode is {path:?}, not the root")]
    RootNotFirst {
        /// What it begins with.
        path: String,
    },
    /// It has no znodes, not even the root.
    #[error("there are no znodes")]
    NoRoot,
    /// A path does not begin with one slash, or ends with one.
    #[error("{path:?} is not the path of a znode")]
    InvalidPath {
        /// The path.
        path: String,
    },
    /// A znode's parent does not come before it.
    #[error("{path:?} comes before its parent")]
    ParentMissing {
        /// The znode's path.
        path: String,
    },
    /// A path occurs twice.
    #[error("{path:?} occurs twice")]
    Duplicate {
        /// The path.
        path: String,
    },
}

/// Takes in a snapshot piece by piece: sessions and access control lists first, then znodes, the
/// root first and parents before their children.
pub struct TreeLoader {
    tree: Tree,
    acls: HashMap<i64, AclSlot, FixedState>,
    /// The path of the last znode, and where on it that znode and its ancestors end.
    path: String,
    trail: Vec<(NodeId, usize)>,
    /// Znodes that can be found by path. The others wait, since filing all of them at once is much
    /// faster than one by one, and a snapshot in its usual order needs no search.
    indexed: usize,
}

impl TreeLoader {
    /// Starts with nothing.
    pub fn new(options: Options) -> Self {
        let mut acls = HashMap::with_hasher(FixedState::with_seed(options.hash_seed));
        acls.insert(OPEN_ID, AclSlot::OPEN);
        Self { tree: Tree::bare(options), acls, path: String::new(), trail: Vec::new(), indexed: 1 }
    }

    /// Adds a global session with its timeout in milliseconds.
    pub fn session(&mut self, session: SessionId, timeout_ms: i32) {
        self.tree.sessions.insert(session, timeout_ms);
    }

    /// Adds an access control list under its id. Of equal ids the last one counts.
    pub fn acl(&mut self, id: i64, list: AclList) {
        let slot = self.tree.acls.load(id, list);
        self.acls.insert(id, slot);
    }

    /// Adds a znode. `acl_id` is -1 for the open list, or an id given to [`TreeLoader::acl`]. An
    /// unknown id is not an error here: the list may have been made after the snapshot began, and
    /// the replay brings it.
    ///
    /// # Errors
    /// If it can not be placed in the tree.
    pub fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: &StoredStat,
    ) -> Result<(), LoadError> {
        let acl = self.acl_slot(acl_id);
        if self.trail.is_empty() {
            return self.root(path, data, acl, stat);
        }
        let invalid = || LoadError::InvalidPath { path: path.to_owned() };
        let (parent_path, name) = split(path).ok_or_else(invalid)?;
        let parent = self.parent(path, parent_path)?;
        self.tree.acls.acquire_slot(acl);
        let record = self.tree.new_record(path, data, acl, stat);
        let id = self.tree.store.insert_unindexed(parent, name, data, record);
        self.tree.count_in(id, path, data, stat.owner);
        self.path.truncate(parent_path.len());
        self.path.push_str(&path[parent_path.len()..]);
        self.trail.push((id, path.len()));
        Ok(())
    }

    /// Completes the tree. `zxid` is the transaction the snapshot is named after: the last one that
    /// is wholly contained.
    ///
    /// # Errors
    /// If the znodes do not make a tree.
    pub fn finish(mut self, zxid: Zxid) -> Result<Tree, LoadError> {
        if self.trail.is_empty() {
            return Err(LoadError::NoRoot);
        }
        self.index()?;
        let mut tree = self.tree;
        tree.acls.purge_unused();
        tree.rebuild_quotas();
        tree.last_applied = zxid;
        Ok(tree)
    }

    fn root(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl: AclSlot,
        stat: &StoredStat,
    ) -> Result<(), LoadError> {
        if !path.is_empty() {
            return Err(LoadError::RootNotFirst { path: path.to_owned() });
        }
        self.tree.acls.acquire_slot(acl);
        self.tree.set_data(NodeId::ROOT, path, data, |root| {
            root.czxid = stat.czxid;
            root.mzxid = stat.mzxid;
            root.pzxid = stat.pzxid;
            root.ctime_ms = stat.ctime_ms;
            root.mtime_ms = stat.mtime_ms;
            root.version = stat.version;
            root.cversion = stat.cversion;
            root.aversion = stat.aversion;
            root.acl = acl;
        });
        self.tree.acls.release(AclSlot::OPEN);
        self.trail.push((NodeId::ROOT, 0));
        Ok(())
    }

    /// The parent of the next znode: nearly always the last znode or one above it.
    fn parent(&mut self, path: &str, parent_path: &str) -> Result<NodeId, LoadError> {
        while self.trail.last().is_some_and(|&(_, end)| end > parent_path.len()) {
            self.trail.pop();
        }
        if let Some(&(id, end)) = self.trail.last()
            && end == parent_path.len()
            && self.path[..end] == *parent_path
        {
            return Ok(id);
        }
        self.index()?;
        let missing = || LoadError::ParentMissing { path: path.to_owned() };
        let parent = self.tree.store.find(parent_path).ok_or_else(missing)?;
        // The znodes above the parent are not worth finding: the trail starts anew below it.
        self.trail.clear();
        self.trail.push((NodeId::ROOT, 0));
        self.trail.push((parent, parent_path.len()));
        self.path.clear();
        self.path.push_str(parent_path);
        Ok(parent)
    }

    fn index(&mut self) -> Result<(), LoadError> {
        let store = &mut self.tree.store;
        store
            .index_from(self.indexed)
            .map_err(|id| LoadError::Duplicate { path: store.path(id) })?;
        self.indexed = store.len();
        Ok(())
    }

    fn acl_slot(&mut self, id: i64) -> AclSlot {
        let table = &mut self.tree.acls;
        *self.acls.entry(id).or_insert_with(|| table.load_unresolved(id))
    }
}
