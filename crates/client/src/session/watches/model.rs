//! The table of watches against a model that is too simple to be wrong.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Paths above, below and beside each other.
const PATHS: [&str; 7] = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/b", "/a/c"];

#[derive(Clone, Debug)]
enum Step {
    Insert(List, &'static str),
    Fire(EventKind, &'static str),
    /// One of those inserted so far.
    Remove(usize),
    RemoveKind(&'static str, WatcherKind),
}

/// Every watch as it was set, in that order.
#[derive(Default)]
struct Model(Vec<(WatchId, List, &'static str)>);

impl Model {
    fn hears(list: List, at: &str, kind: EventKind, path: &str) -> bool {
        let is_below = at == "/" || path.strip_prefix(at).is_some_and(|rest| rest.starts_with('/'));
        match (list, kind) {
            (List::Data, EventKind::NodeChildrenChanged) => false,
            (List::Exist, EventKind::NodeChildrenChanged) => false,
            (List::Child, EventKind::NodeCreated | EventKind::NodeDataChanged) => false,
            (List::PersistentRecursive, EventKind::NodeChildrenChanged) => false,
            (List::PersistentRecursive, _) => at == path || is_below,
            (List::Data | List::Exist | List::Child | List::Persistent, _) => at == path,
        }
    }

    fn fire(&mut self, kind: EventKind, path: &str) -> Vec<WatchId> {
        let hears = |&(_, list, at): &(WatchId, List, &str)| Self::hears(list, at, kind, path);
        let told = self.0.iter().filter(|watch| hears(watch)).map(|watch| watch.0).collect();
        self.0.retain(|watch| watch.1.is_persistent() || !hears(watch));
        told
    }

    fn remove(&mut self, id: WatchId) -> Dropped {
        let Some(index) = self.0.iter().position(|watch| watch.0 == id) else {
            return Dropped::Local;
        };
        let (_, list, path) = self.0.remove(index);
        let is_last = self.0.iter().all(|watch| watch.2 != path);
        if is_last && list.is_persistent() { Dropped::LastOf(path.into()) } else { Dropped::Local }
    }

    fn remove_kind(&mut self, path: &str, kind: WatcherKind) -> Vec<WatchId> {
        let is_meant = |watch: &(WatchId, List, &str)| watch.2 == path && watch.1.is_of(kind);
        let removed = self.0.iter().filter(|watch| is_meant(watch)).map(|watch| watch.0).collect();
        self.0.retain(|watch| !is_meant(watch));
        removed
    }

    /// The paths of a list, each once, in order.
    fn paths(&self, list: List) -> Vec<Cow<'static, str>> {
        let mut paths: Vec<_> =
            self.0.iter().filter(|watch| watch.1 == list).map(|watch| watch.2.into()).collect();
        paths.sort();
        paths.dedup();
        paths
    }
}

fn step() -> impl Strategy<Value = Step> {
    let path = || prop::sample::select(PATHS.as_slice());
    let list = prop::sample::select(List::ALL.as_slice());
    let event = prop::sample::select(
        [
            EventKind::NodeCreated,
            EventKind::NodeDeleted,
            EventKind::NodeDataChanged,
            EventKind::NodeChildrenChanged,
        ]
        .as_slice(),
    );
    let kind = prop::sample::select(
        [
            WatcherKind::Children,
            WatcherKind::Data,
            WatcherKind::Any,
            WatcherKind::Persistent,
            WatcherKind::PersistentRecursive,
        ]
        .as_slice(),
    );
    prop_oneof![
        4 => (list, path()).prop_map(|(list, path)| Step::Insert(list, path)),
        3 => (event, path()).prop_map(|(kind, path)| Step::Fire(kind, path)),
        2 => (0..100_usize).prop_map(Step::Remove),
        1 => (path(), kind).prop_map(|(path, kind)| Step::RemoveKind(path, kind)),
    ]
}

fn sorted(mut ids: Vec<WatchId>) -> Vec<WatchId> {
    ids.sort();
    ids
}

proptest! {
    #[test]
    fn table_and_model_agree(steps in vec(step(), 0..40)) {
        let (mut table, mut model) = (WatchTable::default(), Model::default());
        let mut last = 0;
        for step in steps {
            match step {
                Step::Insert(list, path) => {
                    last += 1;
                    table.insert(RequestId(last), list, path);
                    model.0.push((RequestId(last), list, path));
                }
                Step::Fire(kind, path) => {
                    let mut told = Vec::new();
                    table.fire(kind, path, &mut told);
                    prop_assert_eq!(sorted(told), sorted(model.fire(kind, path)));
                }
                Step::Remove(nth) => {
                    let id = RequestId(nth as u64 % (last + 1));
                    prop_assert_eq!(table.remove(id), model.remove(id));
                }
                Step::RemoveKind(path, kind) => {
                    let removed = table.remove_kind(path, kind);
                    prop_assert_eq!(sorted(removed), sorted(model.remove_kind(path, kind)));
                }
            }
            let again = table.set_again(Zxid::ZERO).pop().unwrap_or_default();
            prop_assert_eq!(again.data, model.paths(List::Data));
            prop_assert_eq!(again.exist, model.paths(List::Exist));
            prop_assert_eq!(again.child, model.paths(List::Child));
            prop_assert_eq!(again.persistent, model.paths(List::Persistent));
            prop_assert_eq!(again.persistent_recursive, model.paths(List::PersistentRecursive));
            prop_assert_eq!(table.places.len(), model.0.len());
        }
    }
}
