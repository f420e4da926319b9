//! Which znodes are ephemeral, containers or have a time to live.
//!
//! Znodes of one session form a list, so do containers and znodes with a time to live: adding and
//! removing one costs the same whether a session owns one or a million.

use std::collections::BTreeMap;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use types::{ExtendedTypes, NodeKind, Owner, SessionId};

use crate::arena::NodeId;

/// The owners of all znodes that have one.
pub(crate) struct Owners {
    extended: ExtendedTypes,
    owned: HashMap<NodeId, Owned, FixedState>,
    /// Sessions that own at least one znode.
    ephemerals: BTreeMap<SessionId, List>,
    containers: List,
    ttls: List,
    /// The next znode to be looked at by the reaper's round in progress. Removing it moves it on.
    reaper: Option<NodeId>,
}

struct Owned {
    owner: Owner,
    previous: Option<NodeId>,
    next: Option<NodeId>,
}

#[derive(Clone, Copy, Default)]
struct List {
    first: Option<NodeId>,
    length: usize,
}

impl Owners {
    pub(crate) fn new(extended: ExtendedTypes, hash_seed: u64) -> Self {
        Self {
            extended,
            owned: HashMap::with_hasher(FixedState::with_seed(hash_seed)),
            ephemerals: BTreeMap::new(),
            containers: List::default(),
            ttls: List::default(),
            reaper: None,
        }
    }

    /// Files a znode under its owner, which is not [`Owner::PERSISTENT`].
    pub(crate) fn insert(&mut self, id: NodeId, owner: Owner) {
        let Some(list) = self.list_mut(owner) else { return };
        let next = list.first;
        *list = List { first: Some(id), length: list.length + 1 };
        if let Some(next) = next {
            self.owned.get_mut(&next).expect("lists hold filed znodes").previous = Some(id);
        }
        self.owned.insert(id, Owned { owner, previous: None, next });
    }

    /// Forgets a znode that is being deleted.
    pub(crate) fn remove(&mut self, id: NodeId) {
        if self.reaper == Some(id) {
            self.reaper = self.next_to_reap(id);
        }
        let Some(Owned { owner, previous, next }) = self.owned.remove(&id) else { return };
        if let Some(previous) = previous {
            self.owned.get_mut(&previous).expect("lists hold filed znodes").next = next;
        }
        if let Some(next) = next {
            self.owned.get_mut(&next).expect("lists hold filed znodes").previous = previous;
        }
        let list = self.list_mut(owner).expect("it was filed");
        list.length -= 1;
        if previous.is_none() {
            list.first = next;
        }
        if list.length == 0
            && let NodeKind::Ephemeral(session) = owner.kind(self.extended)
        {
            self.ephemerals.remove(&session);
        }
    }

    /// Starts a round of the reaper.
    pub(crate) fn start_reaping(&mut self) {
        self.reaper = self.containers.first.or(self.ttls.first);
    }

    /// The next znode that the reaper has to look at; the round is over when there is none.
    pub(crate) fn reap_next(&mut self) -> Option<NodeId> {
        let id = self.reaper?;
        self.reaper = self.next_to_reap(id);
        Some(id)
    }

    /// Whether the reaper's round has more to look at.
    pub(crate) const fn is_reaping(&self) -> bool {
        self.reaper.is_some()
    }

    /// The stored owner of a znode.
    pub(crate) fn owner(&self, id: NodeId) -> Owner {
        self.owned.get(&id).map_or(Owner::PERSISTENT, |owned| owned.owner)
    }

    /// The znodes that live and die with a session, newest first.
    pub(crate) fn ephemerals(&self, session: SessionId) -> impl Iterator<Item = NodeId> {
        let first = self.ephemerals.get(&session).and_then(|list| list.first);
        std::iter::successors(first, |id| self.owned.get(id)?.next)
    }

    /// The session's ephemeral that was created last.
    pub(crate) fn newest_ephemeral(&self, session: SessionId) -> Option<NodeId> {
        self.ephemerals.get(&session)?.first
    }

    /// Sessions with ephemerals and how many each has.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (SessionId, usize)> {
        self.ephemerals.iter().map(|(&session, list)| (session, list.length))
    }

    /// Containers.
    pub(crate) const fn container_count(&self) -> usize {
        self.containers.length
    }

    /// Znodes with a time to live.
    pub(crate) const fn ttl_count(&self) -> usize {
        self.ttls.length
    }

    /// Ephemerals of all sessions.
    pub(crate) fn ephemeral_count(&self) -> usize {
        self.owned.len() - self.containers.length - self.ttls.length
    }

    fn next_to_reap(&self, id: NodeId) -> Option<NodeId> {
        let owned = self.owned.get(&id)?;
        match owned.owner.kind(self.extended) {
            NodeKind::Container => owned.next.or(self.ttls.first),
            NodeKind::Ttl(_) => owned.next,
            NodeKind::Persistent | NodeKind::Ephemeral(_) => None,
        }
    }

    fn list_mut(&mut self, owner: Owner) -> Option<&mut List> {
        match owner.kind(self.extended) {
            NodeKind::Persistent => None,
            NodeKind::Ephemeral(session) => Some(self.ephemerals.entry(session).or_default()),
            NodeKind::Container => Some(&mut self.containers),
            NodeKind::Ttl(_) => Some(&mut self.ttls),
        }
    }
}
