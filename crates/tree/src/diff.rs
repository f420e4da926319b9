//! Compares two trees completely, for tests and checkers.

use types::SessionId;

use crate::node::Node;
use crate::tree::Tree;

/// The first difference found between two trees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Difference {
    /// Only one of them has this znode.
    Existence {
        /// Its path.
        path: String,
    },
    /// A znode's numbers differ.
    Stat {
        /// Its path.
        path: String,
    },
    /// A znode's data differs; null and empty are different.
    Data {
        /// Its path.
        path: String,
    },
    /// A znode's access control list differs.
    Acl {
        /// Its path.
        path: String,
    },
    /// The tables of sessions differ.
    Sessions,
    /// The ephemerals filed under a session differ.
    Ephemerals {
        /// The session.
        session: SessionId,
    },
    /// The numbers of containers or of znodes with a time to live differ.
    Reapable,
    /// How often an access control list is used differs.
    AclUsage,
    /// The subtrees with quotas differ.
    Quotas,
    /// The sums of bytes differ.
    DataSize,
    /// The digests differ.
    Digest,
    /// The last applied transactions differ.
    LastApplied,
}

impl Tree {
    /// What differs between two trees, if anything does. The order of children and the ids of access
    /// control lists may differ. Visits both trees.
    pub fn difference(&self, other: &Self) -> Option<Difference> {
        self.node_difference(other)
            .or_else(|| self.ephemeral_difference(other))
            .or_else(|| self.table_difference(other))
    }

    fn node_difference(&self, other: &Self) -> Option<Difference> {
        for node in self.nodes() {
            let path = node.path();
            let Some(twin) = other.find(&path) else {
                return Some(Difference::Existence { path });
            };
            if stat_of(node) != stat_of(twin) {
                return Some(Difference::Stat { path });
            }
            if node.data() != twin.data() {
                return Some(Difference::Data { path });
            }
            if node.acl() != twin.acl() {
                return Some(Difference::Acl { path });
            }
        }
        let paths = other.nodes().map(|node| node.path());
        let path = paths.into_iter().find(|path| self.find(path).is_none())?;
        Some(Difference::Existence { path })
    }

    fn ephemeral_difference(&self, other: &Self) -> Option<Difference> {
        let owners = |tree: &Self| {
            tree.sessions_with_ephemerals().map(|(session, _)| session).collect::<Vec<_>>()
        };
        let filed = |tree: &Self, session| {
            let mut paths: Vec<String> = tree.ephemerals(session).collect();
            paths.sort_unstable();
            paths
        };
        let session = owners(self)
            .into_iter()
            .chain(owners(other))
            .find(|&session| filed(self, session) != filed(other, session))?;
        Some(Difference::Ephemerals { session })
    }

    fn table_difference(&self, other: &Self) -> Option<Difference> {
        let acl_usage = |tree: &Self| {
            let mut usage: Vec<_> =
                tree.acls.usage().map(|(list, uses)| (format!("{list:?}"), uses)).collect();
            usage.sort_unstable();
            usage
        };
        let differences = [
            (self.sessions != other.sessions, Difference::Sessions),
            (self.container_count() != other.container_count(), Difference::Reapable),
            (self.ttl_count() != other.ttl_count(), Difference::Reapable),
            (acl_usage(self) != acl_usage(other), Difference::AclUsage),
            (self.quotas != other.quotas, Difference::Quotas),
            (self.data_size != other.data_size, Difference::DataSize),
            (self.digest() != other.digest(), Difference::Digest),
            (self.last_applied != other.last_applied, Difference::LastApplied),
        ];
        differences.into_iter().find_map(|(differs, difference)| differs.then_some(difference))
    }
}

/// All numbers of a znode: clients' and stored.
fn stat_of(node: Node<'_>) -> (types::Stat, types::StoredStat) {
    (node.stat(), node.stored_stat())
}
