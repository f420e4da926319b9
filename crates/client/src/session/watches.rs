//! The client's side of its watches: who is told what, and what a new connection must set again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use types::{EventKind, SetWatches, WatchMode, WatcherKind, Zxid};

use super::RequestId;
use crate::limits::SET_WATCHES_BYTES_MAX;

/// A watch, named by the request that set it.
pub type WatchId = RequestId;

/// Which list of the protocol a watch is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum List {
    /// One-shot, on an existing znode and its data.
    Data,
    /// One-shot, on a znode that did not exist.
    Exist,
    /// One-shot, on the names of the children.
    Child,
    /// Stays.
    Persistent,
    /// Stays, and covers everything below.
    PersistentRecursive,
}

impl List {
    const ALL: [Self; 5] =
        [Self::Data, Self::Exist, Self::Child, Self::Persistent, Self::PersistentRecursive];

    /// The list for a mode of `addWatch`.
    pub(super) const fn of(mode: WatchMode) -> Self {
        match mode {
            WatchMode::Persistent => Self::Persistent,
            WatchMode::PersistentRecursive => Self::PersistentRecursive,
        }
    }

    /// Whether watches of this list outlive their events.
    const fn is_persistent(self) -> bool {
        matches!(self, Self::Persistent | Self::PersistentRecursive)
    }

    /// Whether `removeWatches` of that kind means this list.
    const fn is_of(self, kind: WatcherKind) -> bool {
        match kind {
            WatcherKind::Any => true,
            WatcherKind::Data => matches!(self, Self::Data | Self::Exist),
            WatcherKind::Children => matches!(self, Self::Child),
            WatcherKind::Persistent => matches!(self, Self::Persistent),
            WatcherKind::PersistentRecursive => matches!(self, Self::PersistentRecursive),
        }
    }
}

/// What is left at a path after a watch was dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Dropped {
    /// Nothing to do: the watch was one-shot or unknown, or others at the path need the server's.
    Local,
    /// It was persistent and the last at this path: the server can forget it.
    LastOf(Arc<str>),
}

/// All watches of a session, by the server's paths.
///
/// Every watch is in `places` and in the one list that is named there, and nowhere else.
#[derive(Default, Debug)]
pub(super) struct WatchTable {
    lists: [BTreeMap<Arc<str>, Vec<WatchId>>; 5],
    places: BTreeMap<WatchId, (List, Arc<str>)>,
}

impl WatchTable {
    /// Registers a watch that the server has confirmed.
    pub(super) fn insert(&mut self, id: WatchId, list: List, path: &str) {
        let path = match self.lists[list as usize].get_key_value(path) {
            Some((path, _)) => Arc::clone(path),
            None => Arc::from(path),
        };
        self.lists[list as usize].entry(Arc::clone(&path)).or_default().push(id);
        self.places.insert(id, (list, path));
    }

    /// Appends to `told` all watches that an event concerns, and forgets the one-shot ones.
    pub(super) fn fire(&mut self, kind: EventKind, path: &str, told: &mut Vec<WatchId>) {
        let one_shot: &[List] = match kind {
            EventKind::NodeCreated | EventKind::NodeDataChanged => &[List::Data, List::Exist],
            EventKind::NodeChildrenChanged => &[List::Child],
            EventKind::NodeDeleted => &[List::Data, List::Exist, List::Child],
        };
        for &list in one_shot {
            let ids = self.lists[list as usize].remove(path).unwrap_or_default();
            for id in &ids {
                self.places.remove(id);
            }
            told.extend(ids);
        }
        let persistent = self.lists[List::Persistent as usize].get(path);
        told.extend(persistent.into_iter().flatten());
        if kind == EventKind::NodeChildrenChanged {
            // A recursive watch hears of the child itself instead.
            return;
        }
        let recursive = &self.lists[List::PersistentRecursive as usize];
        if !recursive.is_empty() {
            for ancestor in self_and_ancestors(path) {
                told.extend(recursive.get(ancestor).into_iter().flatten());
            }
        }
    }

    /// Forgets one watch.
    pub(super) fn remove(&mut self, id: WatchId) -> Dropped {
        let Some((list, path)) = self.places.remove(&id) else { return Dropped::Local };
        let paths = &mut self.lists[list as usize];
        if let Some(ids) = paths.get_mut(&path) {
            ids.retain(|&other| other != id);
            if ids.is_empty() {
                paths.remove(&path);
            }
        }
        let is_last = self.lists.iter().all(|paths| !paths.contains_key(&path));
        if list.is_persistent() && is_last { Dropped::LastOf(path) } else { Dropped::Local }
    }

    /// Forgets all watches of one kind at a path, as the server did; returns them.
    pub(super) fn remove_kind(&mut self, path: &str, kind: WatcherKind) -> Vec<WatchId> {
        let mut removed = Vec::new();
        for list in List::ALL.into_iter().filter(|list| list.is_of(kind)) {
            removed.extend(self.lists[list as usize].remove(path).unwrap_or_default());
        }
        for id in &removed {
            self.places.remove(id);
        }
        removed
    }

    /// The watches that stay, which may have missed something when a connection was lost.
    pub(super) fn persistent(&self) -> impl Iterator<Item = WatchId> {
        self.places.iter().filter(|(_, (list, _))| list.is_persistent()).map(|(&id, _)| id)
    }

    /// The requests that set all watches again, each with a bounded amount of text.
    pub(super) fn set_again(&self, relative_zxid: Zxid) -> Vec<SetWatches<'static>> {
        let empty = || SetWatches { relative_zxid, ..SetWatches::default() };
        let mut batches = Vec::new();
        let mut batch = empty();
        let mut batch_bytes = 0;
        for list in List::ALL {
            for path in self.lists[list as usize].keys() {
                if batch_bytes > 0 && batch_bytes + path.len() > SET_WATCHES_BYTES_MAX {
                    batches.push(mem::replace(&mut batch, empty()));
                    batch_bytes = 0;
                }
                batch_bytes += path.len();
                let paths = match list {
                    List::Data => &mut batch.data,
                    List::Exist => &mut batch.exist,
                    List::Child => &mut batch.child,
                    List::Persistent => &mut batch.persistent,
                    List::PersistentRecursive => &mut batch.persistent_recursive,
                };
                paths.push(Cow::Owned(path.to_string()));
            }
        }
        if batch_bytes > 0 {
            batches.push(batch);
        }
        batches
    }
}

/// The path and every path above it, up to the root.
fn self_and_ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |&path| match path.rfind('/') {
        _ if path == types::path::ROOT => None,
        Some(0) => Some(types::path::ROOT),
        Some(slash) => Some(&path[..slash]),
        None => None,
    })
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: WatchId = RequestId(1);
    const EXIST: WatchId = RequestId(2);
    const CHILD: WatchId = RequestId(3);
    const PERSISTENT: WatchId = RequestId(4);
    const RECURSIVE: WatchId = RequestId(5);

    fn one_of_each(path: &str) -> WatchTable {
        let mut table = WatchTable::default();
        let ids = [DATA, EXIST, CHILD, PERSISTENT, RECURSIVE];
        for (list, id) in List::ALL.into_iter().zip(ids) {
            table.insert(id, list, path);
        }
        table
    }

    fn fire(table: &mut WatchTable, kind: EventKind, path: &str) -> Vec<WatchId> {
        let mut told = Vec::new();
        table.fire(kind, path, &mut told);
        told
    }

    #[test]
    fn each_event_reaches_its_lists_and_uses_up_the_one_shot_ones() {
        let check = |kind, expected: &[WatchId]| {
            let mut table = one_of_each("/a");
            assert_eq!(fire(&mut table, kind, "/a"), expected, "{kind:?}");
            let again: Vec<_> = expected
                .iter()
                .copied()
                .filter(|&id| id == PERSISTENT || id == RECURSIVE)
                .collect();
            assert_eq!(fire(&mut table, kind, "/a"), again, "{kind:?} again");
        };
        check(EventKind::NodeCreated, &[DATA, EXIST, PERSISTENT, RECURSIVE]);
        check(EventKind::NodeDataChanged, &[DATA, EXIST, PERSISTENT, RECURSIVE]);
        check(EventKind::NodeChildrenChanged, &[CHILD, PERSISTENT]);
        check(EventKind::NodeDeleted, &[DATA, EXIST, CHILD, PERSISTENT, RECURSIVE]);
    }

    #[test]
    fn only_recursive_watches_hear_of_what_is_below() {
        let mut table = one_of_each("/a");
        assert_eq!(fire(&mut table, EventKind::NodeCreated, "/a/b/c"), [RECURSIVE]);
        assert_eq!(fire(&mut table, EventKind::NodeCreated, "/ab"), []);
        let mut table = one_of_each("/");
        assert_eq!(fire(&mut table, EventKind::NodeDeleted, "/x"), [RECURSIVE]);
    }

    #[test]
    fn the_server_keeps_a_watch_until_nobody_at_the_path_needs_it() {
        let mut table = one_of_each("/a");
        assert_eq!(table.remove(PERSISTENT), Dropped::Local);
        assert_eq!(table.remove(DATA), Dropped::Local);
        assert_eq!(table.remove(EXIST), Dropped::Local);
        assert_eq!(table.remove(CHILD), Dropped::Local);
        assert_eq!(table.remove(RECURSIVE), Dropped::LastOf("/a".into()));
        assert_eq!(table.remove(RECURSIVE), Dropped::Local);
        assert!(table.lists.iter().all(BTreeMap::is_empty));
    }

    #[test]
    fn kinds_are_removed_as_the_server_removes_them() {
        let check = |kind, expected: &[WatchId]| {
            let mut table = one_of_each("/a");
            assert_eq!(table.remove_kind("/b", kind), []);
            assert_eq!(table.remove_kind("/a", kind), expected, "{kind:?}");
            assert_eq!(table.places.len(), 5 - expected.len());
        };
        check(WatcherKind::Data, &[DATA, EXIST]);
        check(WatcherKind::Children, &[CHILD]);
        check(WatcherKind::Persistent, &[PERSISTENT]);
        check(WatcherKind::PersistentRecursive, &[RECURSIVE]);
        check(WatcherKind::Any, &[DATA, EXIST, CHILD, PERSISTENT, RECURSIVE]);
    }

    #[test]
    fn setting_again_is_split_and_complete() {
        let mut table = WatchTable::default();
        let paths: Vec<_> = (0..500).map(|n| format!("/{n}{}", "x".repeat(1000))).collect();
        let lists = List::ALL.into_iter().cycle();
        for ((id, list), path) in (0..).zip(lists).zip(&paths) {
            table.insert(RequestId(id), list, path);
        }
        let batches = table.set_again(Zxid::from_raw(7));
        assert_eq!(batches.len(), 4);
        let mut seen = Vec::new();
        for batch in batches {
            assert_eq!(batch.relative_zxid, Zxid::from_raw(7));
            let lists = [
                batch.data,
                batch.exist,
                batch.child,
                batch.persistent,
                batch.persistent_recursive,
            ];
            let texts: Vec<_> = lists.into_iter().flatten().collect();
            assert!(texts.iter().map(|path| path.len()).sum::<usize>() <= SET_WATCHES_BYTES_MAX);
            seen.extend(texts);
        }
        seen.sort();
        let mut expected = paths;
        expected.sort();
        assert_eq!(seen, expected);
        assert_eq!(WatchTable::default().set_again(Zxid::ZERO), []);
    }
}
