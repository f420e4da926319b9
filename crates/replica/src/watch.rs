//! Watches: who is to be told of which changes.
//!
//! Each [`crate::Frontend`] keeps one table for its own connections. A path is stored once however
//! many watch it, a watcher is a connection and a few bits, and a recursive watch is one entry
//! however large the subtree. Firing walks the watchers of one path, and of its ancestors if there
//! are recursive watches at all; nothing is allocated for a watcher.
//!
//! A connection may watch a path in several ways at once; each is one bit:
//!
//! | set by | on the data side | on the children's side |
//! |---|---|---|
//! | getData, exists | one-shot | |
//! | getChildren | | one-shot |
//! | addWatch, persistent | persistent | persistent |
//! | addWatch, recursive | recursive | |
//!
//! Invariants: a watcher without bits is not stored, a path without watchers is not stored, and a
//! connection's index names exactly the watchers that are its own.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use types::{ConnId, EventKind, WatchMode, WatcherKind, mutant};

/// Which way a connection watches a path, as set by one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchKind {
    /// One-shot, on data or existence.
    Data,
    /// One-shot, on the list of children.
    Children,
    /// Until removed.
    Persistent,
    /// Until removed, the whole subtree.
    PersistentRecursive,
}

impl From<WatchMode> for WatchKind {
    fn from(mode: WatchMode) -> Self {
        match mode {
            WatchMode::Persistent => Self::Persistent,
            WatchMode::PersistentRecursive => Self::PersistentRecursive,
        }
    }
}

/// The bits of one watcher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bits(u8);

impl Bits {
    const DATA_ONCE: u8 = 1;
    const DATA_PERSISTENT: u8 = 2;
    const RECURSIVE: u8 = 4;
    const CHILD_ONCE: u8 = 8;
    const CHILD_PERSISTENT: u8 = 16;
    const DATA_SIDE: u8 = Self::DATA_ONCE | Self::DATA_PERSISTENT | Self::RECURSIVE;
    const CHILD_SIDE: u8 = Self::CHILD_ONCE | Self::CHILD_PERSISTENT;

    const fn of(kind: WatchKind) -> u8 {
        match kind {
            WatchKind::Data => Self::DATA_ONCE,
            WatchKind::Children => Self::CHILD_ONCE,
            WatchKind::Persistent => Self::DATA_PERSISTENT | Self::CHILD_PERSISTENT,
            WatchKind::PersistentRecursive => Self::RECURSIVE,
        }
    }

    const fn meant_by(kind: WatcherKind) -> u8 {
        match kind {
            WatcherKind::Children => Self::CHILD_ONCE,
            WatcherKind::Data => Self::DATA_ONCE,
            WatcherKind::Any => Self::DATA_SIDE | Self::CHILD_SIDE,
            WatcherKind::Persistent => Self::DATA_PERSISTENT | Self::CHILD_PERSISTENT,
            WatcherKind::PersistentRecursive => Self::RECURSIVE,
        }
    }
}

/// One connection's interest in one path.
#[derive(Clone, Copy, Debug)]
struct Watcher {
    conn: ConnId,
    bits: u8,
}

/// A watched path.
#[derive(Debug, Default)]
struct Watched {
    path: Arc<str>,
    watchers: Vec<Watcher>,
}

type PathId = u32;

/// The watches of the connections of one frontend.
#[derive(Debug)]
pub struct WatchTable {
    /// Slots of paths; those without watchers are listed in `free`.
    paths: Vec<Watched>,
    free: Vec<PathId>,
    by_path: HashMap<Arc<str>, PathId, FixedState>,
    /// Where each connection's watchers stand: path to position in its list.
    by_conn: HashMap<ConnId, HashMap<PathId, u32, FixedState>, FixedState>,
    /// How many watchers are recursive: none means that no ancestors need a look.
    recursive: usize,
    /// How many watchers have a bit on the data side, and how many on the children's side.
    data_side: usize,
    child_side: usize,
    /// Who was told already within one trigger; kept to be reused.
    told: HashSet<ConnId, FixedState>,
    hasher: FixedState,
}

impl WatchTable {
    /// An empty table; the seed keeps chosen paths from colliding.
    pub fn new(hash_seed: u64) -> Self {
        let hasher = FixedState::with_seed(hash_seed);
        Self {
            paths: Vec::new(),
            free: Vec::new(),
            by_path: HashMap::with_hasher(hasher.clone()),
            by_conn: HashMap::with_hasher(hasher.clone()),
            recursive: 0,
            data_side: 0,
            child_side: 0,
            told: HashSet::with_hasher(hasher.clone()),
            hasher,
        }
    }

    /// Sets a watch; setting it again changes nothing.
    pub fn add(&mut self, conn: ConnId, path: &str, kind: WatchKind) {
        let id = self.path_id(path);
        let hasher = &self.hasher;
        let positions =
            self.by_conn.entry(conn).or_insert_with(|| HashMap::with_hasher(hasher.clone()));
        let watchers = &mut self.paths[id as usize].watchers;
        let position = *positions.entry(id).or_insert_with(|| {
            watchers.push(Watcher { conn, bits: 0 });
            index(watchers.len() - 1)
        });
        let bits = watchers[position as usize].bits;
        self.set_bits(id, position, bits | Bits::of(kind));
    }

    /// Whether the connection has such a watch at this path.
    pub fn has(&self, conn: ConnId, path: &str, kind: WatcherKind) -> bool {
        self.find(conn, path)
            .is_some_and(|(id, position)| self.bits(id, position) & Bits::meant_by(kind) != 0)
    }

    /// Removes such watches of the connection at this path; tells whether there were any.
    pub fn remove(&mut self, conn: ConnId, path: &str, kind: WatcherKind) -> bool {
        let Some((id, position)) = self.find(conn, path) else { return false };
        let bits = self.bits(id, position);
        self.set_bits(id, position, bits & !Bits::meant_by(kind));
        bits & Bits::meant_by(kind) != 0
    }

    /// Forgets all watches of a connection.
    pub fn remove_connection(&mut self, conn: ConnId) {
        let Some(positions) = self.by_conn.remove(&conn) else { return };
        // A removal moves only watchers of the same path, and this connection has one on each.
        for (id, position) in positions {
            self.set_bits(id, position, 0);
        }
    }

    /// Fires the watches on data or existence of a path, and recursive ones above it.
    pub fn fire_data(
        &mut self,
        path: &str,
        kind: EventKind,
        mut tell: impl FnMut(ConnId, EventKind),
    ) {
        self.told.clear();
        self.fire_side(path, Bits::DATA_SIDE, Bits::DATA_ONCE, |conn| tell(conn, kind));
        self.fire_recursive(path, |conn| tell(conn, kind));
    }

    /// Fires all watches of a deleted path: each connection is told once, though it may watch both
    /// data and children.
    pub fn fire_deleted(&mut self, path: &str, mut tell: impl FnMut(ConnId, EventKind)) {
        self.fire_data(path, EventKind::NodeDeleted, &mut tell);
        if mutant::active(111) {
            return;
        }
        self.fire_side(path, Bits::CHILD_SIDE, Bits::CHILD_ONCE, |conn| {
            tell(conn, EventKind::NodeDeleted);
        });
    }

    /// Fires the watches on the list of children of a path.
    pub fn fire_children(&mut self, path: &str, mut tell: impl FnMut(ConnId, EventKind)) {
        self.told.clear();
        self.fire_side(path, Bits::CHILD_SIDE, Bits::CHILD_ONCE, |conn| {
            tell(conn, EventKind::NodeChildrenChanged);
        });
        if mutant::active(56) {
            self.fire_recursive(path, |conn| tell(conn, EventKind::NodeChildrenChanged));
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_conn.is_empty()
    }

    /// How many watches there are, data and children counted apart.
    pub fn len(&self) -> usize {
        self.data_side + self.child_side
    }

    /// How many paths were ever watched at once: where [`WatchTable::data_watches`] ends.
    pub fn slots(&self) -> usize {
        self.paths.len()
    }

    /// The watches on the data side in some slots, as the operator commands list them: every path
    /// with the connections that watch it. A path stays in its slot while it is watched.
    pub fn data_watches(
        &self,
        slots: std::ops::Range<usize>,
    ) -> impl Iterator<Item = (&str, impl Iterator<Item = ConnId>)> {
        let paths = self.paths.get(slots).unwrap_or_default();
        paths.iter().filter_map(|watched| {
            let watchers =
                || watched.watchers.iter().filter(|watcher| watcher.bits & Bits::DATA_SIDE != 0);
            watchers().next()?;
            Some((&*watched.path, watchers().map(|watcher| watcher.conn)))
        })
    }

    /// Tells the watchers of one side of a path that were not told yet, and drops their one-shot
    /// bits in any case.
    fn fire_side(&mut self, path: &str, side: u8, once: u8, mut tell: impl FnMut(ConnId)) {
        let Some(&id) = self.by_path.get(path) else { return };
        // From the end: dropping the last bit of a watcher moves the last one into its place.
        for position in (0..self.paths[id as usize].watchers.len()).rev() {
            let Watcher { conn, bits } = self.paths[id as usize].watchers[position];
            if bits & side == 0 {
                continue;
            }
            if self.told.insert(conn) {
                tell(conn);
            }
            if bits & once != 0 && !mutant::active(110) {
                self.set_bits(id, index(position), bits & !once);
            }
        }
    }

    /// Tells those that watch an ancestor of the path recursively and were not told yet.
    fn fire_recursive(&mut self, path: &str, mut tell: impl FnMut(ConnId)) {
        if self.recursive == 0 {
            return;
        }
        let mut rest = path;
        while let Some((parent, _)) = types::path::split(rest) {
            if rest == types::path::ROOT || parent.is_empty() && mutant::active(158) {
                return;
            }
            let ancestor = if parent.is_empty() { types::path::ROOT } else { parent };
            if let Some(&id) = self.by_path.get(ancestor) {
                for watcher in &self.paths[id as usize].watchers {
                    if watcher.bits & Bits::RECURSIVE != 0 && self.told.insert(watcher.conn) {
                        tell(watcher.conn);
                    }
                }
            }
            rest = ancestor;
        }
    }

    fn find(&self, conn: ConnId, path: &str) -> Option<(PathId, u32)> {
        let id = *self.by_path.get(path)?;
        let position = *self.by_conn.get(&conn)?.get(&id)?;
        Some((id, position))
    }

    fn bits(&self, id: PathId, position: u32) -> u8 {
        self.paths[id as usize].watchers[position as usize].bits
    }

    fn path_id(&mut self, path: &str) -> PathId {
        if let Some(&id) = self.by_path.get(path) {
            return id;
        }
        let path: Arc<str> = path.into();
        let watched = Watched { path: Arc::clone(&path), watchers: Vec::new() };
        let id = match self.free.pop() {
            Some(id) => {
                self.paths[id as usize] = watched;
                id
            }
            None => {
                self.paths.push(watched);
                index(self.paths.len() - 1)
            }
        };
        self.by_path.insert(path, id);
        id
    }

    /// Changes a watcher's bits and everything that counts them; without bits it goes.
    fn set_bits(&mut self, id: PathId, position: u32, bits: u8) {
        let watched = &mut self.paths[id as usize];
        let watcher = &mut watched.watchers[position as usize];
        let Watcher { conn, bits: before } = *watcher;
        watcher.bits = bits;
        let recount = |count: &mut usize, side: u8| {
            *count += usize::from(bits & side != 0);
            *count -= usize::from(before & side != 0);
        };
        recount(&mut self.data_side, Bits::DATA_SIDE);
        recount(&mut self.child_side, Bits::CHILD_SIDE);
        recount(&mut self.recursive, Bits::RECURSIVE);
        if bits != 0 {
            return;
        }
        watched.watchers.swap_remove(position as usize);
        if let Some(moved) = watched.watchers.get(position as usize)
            && let Some(positions) = self.by_conn.get_mut(&moved.conn)
        {
            positions.insert(id, position);
        }
        if watched.watchers.is_empty() {
            let watched = std::mem::take(watched);
            self.by_path.remove(&watched.path);
            self.free.push(id);
        }
        if let Some(positions) = self.by_conn.get_mut(&conn) {
            positions.remove(&id);
            if positions.is_empty() {
                self.by_conn.remove(&conn);
            }
        }
    }
}

/// An index as it is stored; the limit on watches keeps it in range.
fn index(position: usize) -> u32 {
    u32::try_from(position).expect("fewer than 2^32 watches")
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnId = ConnId(1);
    const B: ConnId = ConnId(2);

    fn table(watches: &[(ConnId, &str, WatchKind)]) -> WatchTable {
        let mut table = WatchTable::new(7);
        for &(conn, path, kind) in watches {
            table.add(conn, path, kind);
        }
        table
    }

    fn data(table: &mut WatchTable, path: &str, kind: EventKind) -> Vec<ConnId> {
        let mut told = Vec::new();
        table.fire_data(path, kind, |conn, _| told.push(conn));
        told.sort_unstable();
        told
    }

    fn deleted(table: &mut WatchTable, path: &str) -> Vec<ConnId> {
        let mut told = Vec::new();
        table.fire_deleted(path, |conn, _| told.push(conn));
        told.sort_unstable();
        told
    }

    fn children(table: &mut WatchTable, path: &str) -> Vec<ConnId> {
        let mut told = Vec::new();
        table.fire_children(path, |conn, _| told.push(conn));
        told.sort_unstable();
        told
    }

    #[test]
    fn one_shot_watches_fire_once() {
        let mut table = table(&[(A, "/a", WatchKind::Data), (B, "/a", WatchKind::Data)]);
        assert_eq!(data(&mut table, "/a", EventKind::NodeDataChanged), [A, B]);
        assert_eq!(data(&mut table, "/a", EventKind::NodeDataChanged), []);
        assert!(table.is_empty());
    }

    #[test]
    fn persistent_watches_stay_beside_one_shot_ones() {
        let mut table = table(&[(A, "/a", WatchKind::Persistent), (A, "/a", WatchKind::Data)]);
        assert_eq!(data(&mut table, "/a", EventKind::NodeDataChanged), [A]);
        assert_eq!(data(&mut table, "/a", EventKind::NodeDataChanged), [A]);
        assert!(!table.has(A, "/a", WatcherKind::Data));
        assert!(table.has(A, "/a", WatcherKind::Persistent));
        assert_eq!(children(&mut table, "/a"), [A]);
    }

    #[test]
    fn recursive_watches_see_the_subtree_but_no_child_events() {
        let mut table = table(&[
            (A, "/", WatchKind::PersistentRecursive),
            (A, "/a", WatchKind::PersistentRecursive),
            (B, "/b", WatchKind::PersistentRecursive),
        ]);
        assert_eq!(data(&mut table, "/a/x/y", EventKind::NodeCreated), [A]);
        assert_eq!(data(&mut table, "/a", EventKind::NodeDataChanged), [A]);
        assert_eq!(data(&mut table, "/bc", EventKind::NodeCreated), [A]);
        assert_eq!(data(&mut table, "/b/c", EventKind::NodeCreated), [A, B]);
        assert_eq!(children(&mut table, "/a"), []);
    }

    #[test]
    fn a_deletion_is_told_once_to_who_watches_data_and_children() {
        let mut table = table(&[
            (A, "/a", WatchKind::Data),
            (A, "/a", WatchKind::Children),
            (B, "/a", WatchKind::Children),
        ]);
        assert_eq!(deleted(&mut table, "/a"), [A, B]);
        assert!(table.is_empty());
    }

    #[test]
    fn removal_is_per_kind() {
        let mut table = table(&[
            (A, "/a", WatchKind::Data),
            (A, "/a", WatchKind::Children),
            (A, "/a", WatchKind::PersistentRecursive),
        ]);
        assert!(!table.remove(A, "/a", WatcherKind::Persistent));
        assert!(!table.remove(B, "/a", WatcherKind::Any));
        assert!(table.remove(A, "/a", WatcherKind::Data));
        assert!(!table.remove(A, "/a", WatcherKind::Data));
        assert!(table.has(A, "/a", WatcherKind::Children));
        assert!(table.remove(A, "/a", WatcherKind::Any));
        assert!(table.is_empty());
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn listings_can_be_taken_in_parts_and_leave_out_the_children() {
        let mut table = table(&[
            (A, "/a", WatchKind::Data),
            (B, "/b", WatchKind::Children),
            (B, "/c", WatchKind::PersistentRecursive),
            (A, "/c", WatchKind::Persistent),
        ]);
        let list = |table: &WatchTable, slots| -> Vec<(String, Vec<ConnId>)> {
            let watches = table.data_watches(slots);
            watches.map(|(path, conns)| (path.to_owned(), conns.collect())).collect()
        };
        assert_eq!(list(&table, 0..2), [("/a".to_owned(), vec![A])]);
        table.remove(A, "/a", WatcherKind::Any);
        assert_eq!(table.slots(), 3);
        assert_eq!(list(&table, 2..3), [("/c".to_owned(), vec![B, A])]);
        assert_eq!(list(&table, 2..7), []);
    }

    #[test]
    fn a_closed_connection_leaves_nothing_behind() {
        let mut table = WatchTable::new(7);
        for conn in 0..50 {
            for path in 0..20 {
                table.add(ConnId(conn), &format!("/{}", path % (conn + 1)), WatchKind::Data);
                table.add(ConnId(conn), &format!("/{path}"), WatchKind::Persistent);
            }
        }
        for conn in (0..50).step_by(2).chain((1..50).step_by(2)) {
            assert!(!table.is_empty());
            table.remove_connection(ConnId(conn));
        }
        assert!(table.is_empty());
        assert_eq!((table.len(), table.recursive), (0, 0));
        assert_eq!(table.free.len(), table.paths.len());
        assert!(table.by_path.is_empty());
    }
}
