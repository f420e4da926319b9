//! Trees from snapshots in usual and unusual order, and what is refused.

use tree::{LoadError, SliceEnd, Tree, TreeLoader};
use types::{Acl, AclList, Id, Owner, Perms, SessionId, StoredStat, Txn, Zxid};

use crate::{OPTIONS, apply, create};

const STAT: StoredStat = StoredStat {
    czxid: Zxid::ZERO,
    mzxid: Zxid::ZERO,
    ctime_ms: 0,
    mtime_ms: 0,
    version: 0,
    cversion: 0,
    aversion: 0,
    owner: Owner::PERSISTENT,
    pzxid: Zxid::ZERO,
};

/// Loads open znodes without data.
fn load(paths: &[&str]) -> Result<Tree, LoadError> {
    let mut loader = TreeLoader::new(OPTIONS);
    for path in paths {
        loader.node(path, None, -1, &STAT)?;
    }
    loader.finish(Zxid::from_raw(5))
}

#[test]
fn any_order_with_parents_first_will_do() {
    let depth_first = load(&["", "/a", "/a/b", "/a/b/c", "/a/d", "/e"]).expect("is a tree");
    let breadth_first = load(&["", "/e", "/a", "/a/d", "/a/b", "/a/b/c"]).expect("is a tree");
    let scattered = load(&["", "/a", "/e", "/a/b", "/a/d", "/a/b/c"]).expect("is a tree");
    assert_eq!(depth_first.difference(&breadth_first), None);
    assert_eq!(depth_first.difference(&scattered), None);
    assert_eq!(depth_first.last_applied(), Zxid::from_raw(5));
    assert_eq!(depth_first.find("/a/b/c").expect("loaded").data(), None);
}

#[test]
fn what_is_no_tree_is_refused() {
    let error = |paths: &[&str]| load(paths).map(|_| ()).expect_err("is no tree");
    let path = |path: &str| path.to_owned();
    assert_eq!(error(&[]), LoadError::NoRoot);
    assert_eq!(error(&["/a"]), LoadError::RootNotFirst { path: path("/a") });
    assert_eq!(error(&["", "/a/b"]), LoadError::ParentMissing { path: path("/a/b") });
    assert_eq!(error(&["", "/b", "/b/c", "/a/c"]), LoadError::ParentMissing { path: path("/a/c") });
    assert_eq!(error(&["", "/a", "/b", "/a"]), LoadError::Duplicate { path: path("/a") });
    for invalid in ["", "a", "a/b", "/", "/a/", "//a"] {
        assert_eq!(error(&["", "/a", invalid]), LoadError::InvalidPath { path: path(invalid) });
    }
}

#[test]
fn lists_keep_their_ids_and_unused_ones_are_forgotten() {
    let list = |id: &str| AclList::from(vec![Acl { perms: Perms::READ, id: Id::new("ip", id) }]);
    let mut loader = TreeLoader::new(OPTIONS);
    loader.acl(3, list("3"));
    loader.acl(7, list("7"));
    loader.node("", None, 7, &STAT).expect("the root");
    let mut tree = loader.finish(Zxid::ZERO).expect("is a tree");
    assert_eq!(tree.begin_snapshot().acls, [(7, list("7"))]);
    // The next list gets an id that no snapshot has used.
    let set_acl = Txn::SetAcl { path: "/".into(), acl: list("8"), version: 1 };
    apply(&mut tree, 1, &set_acl);
    assert_eq!(tree.begin_snapshot().acls, [(8, list("8"))]);
}

#[test]
fn a_list_that_is_missing_closes_its_znodes_until_the_replay_brings_it() {
    let mut loader = TreeLoader::new(OPTIONS);
    loader.node("", None, -1, &STAT).expect("the root");
    loader.node("/a", None, 4, &STAT).expect("an unknown list is no error yet");
    let mut tree = loader.finish(Zxid::ZERO).expect("is a tree");
    assert_eq!(tree.unresolved_acls(), 1);
    let a = tree.find("/a").expect("loaded");
    assert!(!a.is_open());
    assert!(!a.acl().is_empty(), "an empty list would be open to all");
    assert!(a.acl().iter().all(|entry| !entry.perms.intersects(Perms::ALL)));
    apply(&mut tree, 1, &create("/a", b"", 1));
    assert_eq!(tree.unresolved_acls(), 0);
    assert!(tree.find("/a").expect("loaded").is_open());
}

#[test]
fn a_quota_is_recounted() {
    let mut loader = TreeLoader::new(OPTIONS);
    for (path, data) in [
        ("", ""),
        ("/a", "four"),
        ("/zookeeper", ""),
        ("/zookeeper/quota", ""),
        ("/zookeeper/quota/a", ""),
        ("/zookeeper/quota/a/zookeeper_stats", "count=77,bytes=77"),
        ("/zookeeper/quota/a/zookeeper_limits", "count=5,bytes=-1"),
    ] {
        loader.node(path, Some(data.as_bytes()), -1, &STAT).expect("can be placed");
    }
    let tree = loader.finish(Zxid::ZERO).expect("is a tree");
    let usage = tree.quota_of("/a").expect("there is one").usage;
    assert_eq!((usage.count, usage.bytes), (1, 4));
}

#[test]
fn an_abandoned_snapshot_gives_nothing_more() {
    let mut tree = Tree::new(OPTIONS);
    tree.begin_snapshot();
    let mut slices = 0;
    assert_eq!(tree.snapshot_slice(1, &mut |_, _, _, _| slices += 1), SliceEnd::More);
    tree.abort_snapshot();
    assert_eq!(tree.snapshot_slice(1, &mut |_, _, _, _| slices += 1), SliceEnd::Done);
    assert_eq!(slices, 1);
    tree.begin_snapshot();
    assert_eq!(tree.snapshot_slice(usize::MAX, &mut |_, _, _, _| slices += 1), SliceEnd::Done);
    assert_eq!(slices, 5);
}

#[test]
fn sessions_are_those_of_the_snapshot() {
    let mut loader = TreeLoader::new(OPTIONS);
    loader.session(SessionId(5), 4000);
    loader.node("", None, -1, &STAT).expect("the root");
    let tree = loader.finish(Zxid::ZERO).expect("is a tree");
    assert!(tree.sessions().eq([(SessionId(5), 4000)]));
}
