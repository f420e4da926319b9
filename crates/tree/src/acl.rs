//! Access control lists, each stored once however many znodes have it.

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use types::{Acl, AclList, Id, Perms};

/// A list's place in the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct AclSlot(u32);

impl AclSlot {
    /// The list that most znodes have: `world:anyone` may do everything.
    pub(crate) const OPEN: Self = Self(0);

    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The id under which snapshots know the open list. It is in no snapshot's table.
pub(crate) const OPEN_ID: i64 = -1;

/// The table, with how many znodes use each list.
pub(crate) struct AclTable {
    /// The first entry is the open list, which stays.
    entries: Vec<Entry>,
    free: Vec<AclSlot>,
    /// The entries whose list is known, by that list.
    by_list: HashMap<AclList, AclSlot, FixedState>,
    /// Ids count up from 1 and are never given out twice.
    next_id: i64,
}

struct Entry {
    id: i64,
    list: AclList,
    state: EntryState,
    references: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum EntryState {
    Known,
    /// A snapshot mentions the id and lacks the list. The transaction that brings it is among those
    /// to be replayed; until then nobody is allowed anything.
    Unresolved,
    Free,
}

impl AclTable {
    pub(crate) fn new(hash_seed: u64) -> Self {
        let open = AclList::open();
        let mut by_list = HashMap::with_hasher(FixedState::with_seed(hash_seed));
        by_list.insert(open.clone(), AclSlot::OPEN);
        let open = Entry { id: OPEN_ID, list: open, state: EntryState::Known, references: 0 };
        Self { entries: vec![open], free: Vec::new(), by_list, next_id: 1 }
    }

    /// The place of a list, counting one more use of it.
    pub(crate) fn acquire(&mut self, list: &AclList) -> AclSlot {
        let slot = match self.by_list.get(list) {
            Some(&slot) => slot,
            None => {
                let id = self.next_id;
                self.add(id, list.clone(), EntryState::Known)
            }
        };
        self.entries[slot.index()].references += 1;
        slot
    }

    /// Counts one more use of a list whose place is known.
    pub(crate) fn acquire_slot(&mut self, slot: AclSlot) {
        self.entries[slot.index()].references += 1;
    }

    /// Counts one use less; a list that is no longer used is forgotten.
    pub(crate) fn release(&mut self, slot: AclSlot) {
        let entry = &mut self.entries[slot.index()];
        entry.references -= 1;
        if entry.references == 0 {
            self.forget(slot);
        }
    }

    /// Adds a list under the id that a snapshot gives it.
    pub(crate) fn load(&mut self, id: i64, list: AclList) -> AclSlot {
        self.add(id, list, EntryState::Known)
    }

    /// Adds an id that a snapshot uses without having its list.
    pub(crate) fn load_unresolved(&mut self, id: i64) -> AclSlot {
        let nobody = Acl { perms: Perms(0), id: Id::new("world", "anyone") };
        self.add(id, AclList::from(vec![nobody]), EntryState::Unresolved)
    }

    /// Forgets all lists that no znode uses.
    pub(crate) fn purge_unused(&mut self) {
        for index in 0..self.entries.len() {
            let entry = &self.entries[index];
            if entry.references == 0 && entry.state != EntryState::Free {
                self.forget(AclSlot(u32::try_from(index).expect("slots are made from 32 bits")));
            }
        }
    }

    /// The list at a place.
    pub(crate) fn list(&self, slot: AclSlot) -> &AclList {
        &self.entries[slot.index()].list
    }

    /// The id by which snapshots refer to a list.
    pub(crate) fn id(&self, slot: AclSlot) -> i64 {
        self.entries[slot.index()].id
    }

    /// The lists that a snapshot has to carry, with their ids.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (i64, &AclList)> {
        let known = |entry: &&Entry| entry.id != OPEN_ID && entry.state == EntryState::Known;
        self.entries.iter().filter(known).map(|entry| (entry.id, &entry.list))
    }

    /// Ids in use whose lists are not known.
    pub(crate) fn unresolved(&self) -> usize {
        self.entries.iter().filter(|entry| entry.state == EntryState::Unresolved).count()
    }

    /// How many znodes use each known list.
    pub(crate) fn usage(&self) -> impl Iterator<Item = (&AclList, usize)> {
        let known = |entry: &&Entry| entry.state == EntryState::Known;
        self.entries.iter().filter(known).map(|entry| (&entry.list, entry.references))
    }

    fn add(&mut self, id: i64, list: AclList, state: EntryState) -> AclSlot {
        let entry = Entry { id, list: list.clone(), state, references: 0 };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.entries[slot.index()] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                let index = self.entries.len() - 1;
                AclSlot(u32::try_from(index).expect("memory ends before 2^32 lists"))
            }
        };
        if state == EntryState::Known {
            self.by_list.insert(list, slot);
        }
        self.next_id = self.next_id.max(id.saturating_add(1));
        slot
    }

    fn forget(&mut self, slot: AclSlot) {
        if slot == AclSlot::OPEN {
            return;
        }
        let entry = &mut self.entries[slot.index()];
        let list = std::mem::replace(&mut entry.list, AclList::empty());
        entry.state = EntryState::Free;
        // Two ids of a snapshot may stand for equal lists; only one of them is found by its list.
        if self.by_list.get(&list) == Some(&slot) {
            self.by_list.remove(&list);
        }
        self.free.push(slot);
    }
}
