//! States and digests that Java members compute, as the format's description gives them.

use tree::{Applied, Change, Tree};
use types::{AclList, NodeKind, Perms, TxnHeader, Zxid};

use crate::{OPTIONS, apply, create, delete, header, stat};

#[test]
fn a_fresh_tree_is_the_one_every_server_starts_with() {
    let tree = Tree::new(OPTIONS);
    let mut paths: Vec<_> = tree.nodes().map(|node| node.path()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"]);
    assert_eq!(tree.digest(), Some(1_371_985_504));
    assert_eq!(tree.recomputed_digest(), 1_371_985_504);
    // A Java member that was just started reports 5 znodes and 44 bytes: it files the root twice.
    assert_eq!((tree.node_count(), tree.data_size()), (4, 43));
    assert_eq!(stat(&tree, "/").cversion, -1);
    assert_eq!(stat(&tree, "/zookeeper").cversion, -2);
    assert_eq!(stat(&tree, "/zookeeper/config").aversion, -1);
    let config = tree.find("/zookeeper/config").expect("built in");
    assert!(!config.is_open());
    assert_eq!(config.acl()[0].perms, Perms::READ);
    assert_eq!(config.acl_id(), 1);
    for node in tree.nodes().filter(|node| node.id() != config.id()) {
        assert!(node.is_open());
        assert_eq!(node.acl(), &AclList::open());
        assert_eq!(node.data(), Some(&b""[..]));
        assert_eq!(node.kind(), NodeKind::Persistent);
    }
}

#[test]
fn a_creation_leads_to_the_digest_that_java_members_compute() {
    let mut tree = Tree::new(OPTIONS);
    let mut created = Vec::new();
    let header = TxnHeader { time_ms: 1_700_000_000_000, ..header(3) };
    let applied = tree.apply(&header, &create("/a", b"x", 1), &mut |change| match change {
        Change::Created { path, acl, parent_acl } => {
            created.push(path.to_owned());
            assert_eq!((acl, parent_acl), (&AclList::open(), &AclList::open()));
        }
        Change::Deleted { .. } | Change::DataChanged { .. } => panic!("{change:?}"),
    });
    let a = tree.find("/a").expect("created");
    assert_eq!(applied, Applied::Created { stat: a.stat() });
    assert_eq!(created, ["/a"]);
    assert_eq!(a.digest(), 113_906_799);
    assert_eq!(tree.find("").expect("the root").digest(), 2_212_851_693);
    assert_eq!(tree.digest(), Some(3_630_420_404));
    assert_eq!(tree.last_applied(), Zxid::from_raw(3));
}

#[test]
fn a_deletion_undoes_the_digest_of_the_znode_and_marks_the_parent() {
    let mut tree = Tree::new(OPTIONS);
    apply(&mut tree, 1, &create("/a", b"x", 1));
    apply(&mut tree, 2, &create("/b", b"y", 2));
    assert_eq!(apply(&mut tree, 3, &delete("/a")), Applied::Done);
    assert!(tree.find("/a").is_none());
    let root = tree.find("/").expect("the root");
    assert_eq!(root.stat().pzxid, Zxid::from_raw(3));
    // Two children were created, one is gone; /zookeeper was there before anything was counted.
    assert_eq!((root.stat().cversion, root.stored_stat().cversion), (2, 2));
}

#[test]
fn the_membership_is_written_without_a_trace_in_the_digest() {
    let mut tree = Tree::new(OPTIONS);
    tree.write_config(b"server.1=host:2888:3888", Zxid::from_raw(0x1_0000_0000), 77);
    let config = tree.find("/zookeeper/config").expect("built in");
    assert_eq!(config.data(), Some(&b"server.1=host:2888:3888"[..]));
    let stat = config.stat();
    assert_eq!((stat.version, stat.mzxid.raw(), stat.mtime_ms), (-1, 0x1_0000_0000, 77));
    assert_eq!(tree.digest(), Some(1_371_985_504));
}

#[test]
fn paths_are_found_exactly_as_they_are_written() {
    let mut tree = Tree::new(OPTIONS);
    apply(&mut tree, 1, &create("/a", b"", 1));
    apply(&mut tree, 2, &create("/a/b", b"", 1));
    for path in ["", "/", "/a", "/a/b", "/zookeeper/quota"] {
        assert!(tree.find(path).is_some(), "{path:?}");
    }
    for path in ["a", "//", "/a/", "//a", "/a//b", "/b", "/a/b/", "/a/b/c", "/A", "/zookeeper/"] {
        assert!(tree.find(path).is_none(), "{path:?}");
    }
}
