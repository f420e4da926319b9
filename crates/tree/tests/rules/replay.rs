//! What happens to transactions whose effects a fuzzy snapshot holds in part.

use tree::{Applied, Tree};
use types::{Acl, AclList, CreateCall, CreateTxn, ErrorCode, Id, Perms, Txn, Zxid};

use crate::{OPTIONS, apply, create, creation, delete, header, set, stat};

#[test]
fn creating_what_exists_keeps_the_znode_and_counts_at_the_parent() {
    for call in [CreateCall::Create, CreateCall::Create2] {
        let mut tree = Tree::new(OPTIONS);
        apply(&mut tree, 1, &create("/a", b"old", 1));
        let before = tree.find("/a").expect("created").stored_stat();
        let again = Txn::Create(CreateTxn { call, ..creation("/a", b"new", 5) });
        assert_eq!(apply(&mut tree, 9, &again), ErrorCode::NodeExists.into());
        let a = tree.find("/a").expect("still there");
        assert_eq!((a.stored_stat(), a.data()), (before, Some(&b"old"[..])));
        let root = tree.find("/").expect("the root").stored_stat();
        assert_eq!((root.cversion, root.pzxid), (5, Zxid::from_raw(9)));
    }
}

#[test]
fn creating_what_exists_gives_it_the_list_that_the_snapshot_may_lack() {
    let mut tree = Tree::new(OPTIONS);
    apply(&mut tree, 1, &create("/a", b"", 1));
    let mine = AclList::from(vec![Acl { perms: Perms::ALL, id: Id::new("digest", "me:x") }]);
    let again = Txn::Create(CreateTxn { acl: mine.clone(), ..creation("/a", b"", 1) });
    apply(&mut tree, 2, &again);
    assert_eq!(tree.find("/a").expect("still there").acl(), &mine);
}

#[test]
fn an_old_creation_does_not_turn_the_count_back() {
    let mut tree = Tree::new(OPTIONS);
    for (zxid, path) in [(1, "/a"), (2, "/b"), (3, "/c")] {
        apply(&mut tree, zxid, &create(path, b"", i32::try_from(zxid).expect("small")));
    }
    apply(&mut tree, 4, &delete("/a"));
    assert!(matches!(apply(&mut tree, 1, &create("/a", b"", 1)), Applied::Created { .. }));
    let root = tree.find("/").expect("the root").stored_stat();
    assert_eq!((root.cversion, root.pzxid), (3, Zxid::from_raw(4)));
    assert_eq!(tree.last_applied(), Zxid::from_raw(4));
}

#[test]
fn a_creation_without_a_count_is_one_more() {
    let mut tree = Tree::new(OPTIONS);
    let old = Txn::Create(CreateTxn { parent_cversion: None, ..creation("/a", b"", 0) });
    apply(&mut tree, 1, &old);
    assert_eq!(tree.find("/").expect("the root").stored_stat().cversion, 1);
}

#[test]
fn whatever_lacks_its_parent_is_ignored() {
    let mut tree = Tree::new(OPTIONS);
    let before = tree.digest();
    for txn in [create("/a/b", b"", 1), delete("/a/b"), set("/a", b"", 1)] {
        assert_eq!(apply(&mut tree, 1, &txn), ErrorCode::NoNode.into());
    }
    let set_acl = Txn::SetAcl { path: "/a".into(), acl: AclList::open(), version: 1 };
    assert_eq!(apply(&mut tree, 1, &set_acl), ErrorCode::NoNode.into());
    assert_eq!(tree.digest(), before);
}

#[test]
fn deleting_what_is_gone_marks_the_parent() {
    let mut tree = Tree::new(OPTIONS);
    apply(&mut tree, 1, &create("/a", b"", 1));
    assert_eq!(apply(&mut tree, 7, &delete("/a/b")), ErrorCode::NoNode.into());
    assert_eq!(stat(&tree, "/a").pzxid, Zxid::from_raw(7));
    apply(&mut tree, 5, &delete("/a/b"));
    assert_eq!(stat(&tree, "/a").pzxid, Zxid::from_raw(7));
}

#[test]
fn deleting_an_earlier_znode_of_that_name_takes_what_is_below_the_later_one() {
    let mut tree = Tree::new(OPTIONS);
    for (zxid, path) in [(1, "/a"), (2, "/a/b"), (3, "/a/b/c"), (4, "/a/d")] {
        apply(&mut tree, zxid, &create(path, b"data", 1));
    }
    let mut told = Vec::new();
    tree.apply(&header(5), &delete("/a"), &mut |change| told.push(format!("{change:?}")));
    assert_eq!(told.len(), 1);
    assert_eq!(tree.node_count(), 4);
    assert_eq!(tree.data_size(), Tree::new(OPTIONS).data_size());
    assert_eq!(tree.digest(), Some(tree.recomputed_digest()));
}

#[test]
fn neither_the_root_nor_what_has_no_path_is_created_or_deleted() {
    let mut tree = Tree::new(OPTIONS);
    for path in ["/", "", "//a", "a"] {
        assert_eq!(apply(&mut tree, 1, &create(path, b"", 1)), ErrorCode::NoNode.into());
        assert_eq!(apply(&mut tree, 1, &delete(path)), ErrorCode::NoNode.into());
    }
    assert_eq!(tree.node_count(), 4);
}

#[test]
fn versions_come_from_the_transaction() {
    let mut tree = Tree::new(OPTIONS);
    apply(&mut tree, 1, &create("/a", b"", 1));
    apply(&mut tree, 2, &set("/a", b"late", 7));
    apply(&mut tree, 2, &set("/a", b"early", 3));
    assert_eq!(stat(&tree, "/a").version, 3);
    apply(&mut tree, 2, &set("/a", b"late", 7));
    assert_eq!(stat(&tree, "/a").version, 7);
}

#[test]
fn a_failed_multi_says_why_and_changes_nothing() {
    let mut tree = Tree::new(OPTIONS);
    let before = tree.digest();
    let bad_version = ErrorCode::BadVersion.raw();
    // Java members rewrite what comes after the failure; those before it keep their form in a log.
    let txn = Txn::Multi(vec![
        create("/a", b"", 1),
        Txn::Error { code: bad_version },
        create("/b", b"", 1),
        Txn::Error { code: ErrorCode::RuntimeInconsistency.raw() },
    ]);
    let code = |code| Applied::Failed { code };
    let results = vec![code(0), code(bad_version), code(-2), code(-2)];
    assert_eq!(apply(&mut tree, 4, &txn), Applied::Multi(results));
    assert_eq!((tree.digest(), tree.node_count()), (before, 4));
    assert_eq!(tree.last_applied(), Zxid::from_raw(4));
}

#[test]
fn an_error_takes_its_place_in_the_order() {
    let mut tree = Tree::new(OPTIONS);
    let txn = Txn::Error { code: ErrorCode::NoNode.raw() };
    assert_eq!(apply(&mut tree, 8, &txn), ErrorCode::NoNode.into());
    assert_eq!(tree.last_applied(), Zxid::from_raw(8));
}
