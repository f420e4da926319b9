//! What was decided and is not yet applied.
//!
//! A write is checked against the tree *and* everything proposed before it. The proposed part is
//! kept here: for each touched path the latest state it will have, until the last transaction that
//! touches it is applied.
//!
//! Invariant: applying all pending transactions to the tree gives, for each path here, exactly the
//! state recorded, and [`Pending::digest`] as the digest of the tree.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;
use tree::{Tree, digest};
use types::{AclList, NodeKind, SessionId, StoredStat, Zxid, mutant};

/// A znode as it will be when everything decided is applied.
#[derive(Clone, Debug)]
pub(crate) struct Latest {
    pub(crate) stat: StoredStat,
    pub(crate) num_children: i32,
    pub(crate) data_length: usize,
    /// Its own ([`digest::node`]), whether it counts in that of the tree or not.
    pub(crate) digest: u32,
    pub(crate) acl: AclList,
}

/// The latest state of one path, and the transaction that gives it.
#[derive(Clone, Debug)]
struct Record {
    /// `None` once the znode is deleted.
    latest: Option<Latest>,
    zxid: Zxid,
}

/// The state of all paths that pending transactions touch.
#[derive(Debug)]
pub(crate) struct Pending {
    records: HashMap<Arc<str>, Record, FixedState>,
    /// Which transaction touched which path, in their order.
    order: VecDeque<(Zxid, Arc<str>)>,
    digest: u64,
    /// The last change of the membership, until it is applied.
    membership_change: Option<Zxid>,
    /// What to put back if the multi under way fails; `None` outside of one.
    journal: Option<Journal>,
}

#[derive(Debug, Default)]
struct Journal {
    records: Vec<(Arc<str>, Option<Record>)>,
    digest: u64,
}

impl Pending {
    pub(crate) fn new(digest: u64, hash_seed: u64) -> Self {
        Self {
            records: HashMap::with_hasher(FixedState::with_seed(hash_seed)),
            order: VecDeque::new(),
            digest,
            membership_change: None,
            journal: None,
        }
    }

    /// Records that a transaction changes the membership.
    pub(crate) fn change_membership(&mut self, zxid: Zxid) {
        self.membership_change = Some(zxid);
    }

    /// Whether a change of the membership is not applied yet.
    pub(crate) fn changes_membership(&self) -> bool {
        self.membership_change.is_some()
    }

    /// The digest of the tree when everything decided is applied.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// The latest state of a znode; `None` if there is none or will be none. The root is "/".
    pub(crate) fn latest(&self, tree: &Tree, path: &str) -> Option<Latest> {
        if let Some(record) = self.records.get(path)
            && !mutant::active(125)
        {
            return record.latest.clone();
        }
        let node = tree.find(path)?;
        Some(Latest {
            stat: node.stored_stat(),
            num_children: i32::try_from(node.num_children()).unwrap_or(i32::MAX),
            data_length: node.data_bytes(),
            digest: node.digest(),
            acl: node.acl().clone(),
        })
    }

    /// Records that a transaction changes only the numbers and the access control list of a znode from
    /// `before` to `after`, whose digest is still that of `before`.
    pub(crate) fn renumber(&mut self, zxid: Zxid, path: &str, before: &Latest, after: Latest) {
        let digest = digest::renumbered(before.digest, &before.stat, &after.stat);
        self.record(zxid, path, Some(before), Some(Latest { digest, ..after }));
    }

    /// Records that a transaction turns the state `before` of a path into `after`.
    pub(crate) fn record(
        &mut self,
        zxid: Zxid,
        path: &str,
        before: Option<&Latest>,
        after: Option<Latest>,
    ) {
        self.digest = self
            .digest
            .wrapping_sub(before.map_or(0, |latest| digest_of(path, latest)))
            .wrapping_add(after.as_ref().map_or(0, |latest| digest_of(path, latest)));
        let record = Record { latest: after, zxid };
        let (key, replaced) = match self.records.entry_ref(path) {
            EntryRef::Occupied(mut entry) => {
                let replaced = entry.insert(record);
                (Arc::clone(entry.key()), Some(replaced))
            }
            EntryRef::Vacant(entry) => {
                let key: Arc<str> = path.into();
                entry.insert_with_key(Arc::clone(&key), record);
                (key, None)
            }
        };
        self.order.push_back((zxid, Arc::clone(&key)));
        if let Some(journal) = &mut self.journal {
            journal.records.push((key, replaced));
        }
    }

    /// Starts to remember what [`Pending::roll_back`] has to put back.
    pub(crate) fn begin_multi(&mut self) {
        self.journal = Some(Journal { records: Vec::new(), digest: self.digest });
    }

    /// Keeps what was recorded since [`Pending::begin_multi`].
    pub(crate) fn keep(&mut self) {
        self.journal = None;
    }

    /// Undoes what was recorded since [`Pending::begin_multi`].
    pub(crate) fn roll_back(&mut self) {
        let Some(journal) = self.journal.take() else { return };
        if mutant::active(49) {
            return;
        }
        self.order.truncate(self.order.len() - journal.records.len());
        let mut records = journal.records;
        if mutant::active(152) {
            records.reverse();
        }
        for (path, record) in records.into_iter().rev() {
            match record {
                Some(record) => self.records.insert(path, record),
                None => self.records.remove(&path),
            };
        }
        self.digest = journal.digest;
    }

    /// Forgets what the transactions up to this one changed: the tree has it now.
    pub(crate) fn applied(&mut self, zxid: Zxid) {
        self.membership_change = self.membership_change.filter(|&change| change > zxid);
        while let Some((touched, _)) = self.order.front()
            && *touched <= zxid
        {
            let Some((touched, path)) = self.order.pop_front() else { return };
            if let EntryRef::Occupied(entry) = self.records.entry_ref(&*path)
                && (entry.get().zxid == touched || mutant::active(126))
            {
                entry.remove();
            }
        }
    }

    /// The ephemerals a session will have when everything decided is applied, in order of paths.
    pub(crate) fn ephemerals(&self, tree: &Tree, session: SessionId) -> Vec<Box<str>> {
        let mut paths: Vec<Box<str>> = tree
            .ephemerals(session)
            .filter(|path| !self.records.contains_key(path.as_str()))
            .map(String::into_boxed_str)
            .collect();
        let extended = tree.options().extended_types;
        if !mutant::active(44) {
            paths.extend(self.records.iter().filter_map(|(path, record)| {
                let kind = record.latest.as_ref()?.stat.owner.kind(extended);
                (kind == NodeKind::Ephemeral(session)).then(|| (&**path).into())
            }));
        }
        paths.sort_unstable();
        paths
    }
}

/// What a znode adds to the digest of the tree.
fn digest_of(path: &str, latest: &Latest) -> u64 {
    if digest::counts(path) { latest.digest.into() } else { 0 }
}
