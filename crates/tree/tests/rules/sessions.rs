//! Sessions and what they own.

use tree::{Change, Tree};
use types::{ExtendedTypes, NodeKind, SessionId, Txn, Zxid};

use crate::{OPTIONS, SESSION, apply, create, create_ephemeral, header, stat};

fn deleted_by(tree: &mut Tree, zxid: i64, txn: &Txn) -> Vec<String> {
    let mut deleted = Vec::new();
    tree.apply(&header(zxid), txn, &mut |change| match change {
        Change::Deleted { path, .. } => deleted.push(path.to_owned()),
        Change::Created { .. } | Change::DataChanged { .. } => panic!("{change:?}"),
    });
    deleted
}

fn with_two_ephemerals() -> Tree {
    let mut tree = Tree::new(OPTIONS);
    apply(&mut tree, 1, &Txn::CreateSession { timeout_ms: 4000 });
    apply(&mut tree, 2, &create("/a", b"", 1));
    apply(&mut tree, 3, &create_ephemeral("/a/x", 1));
    apply(&mut tree, 4, &create_ephemeral("/a/y", 2));
    tree
}

#[test]
fn a_session_ends_with_its_ephemerals_at_one_zxid() {
    let mut tree = with_two_ephemerals();
    assert_eq!(tree.session_timeout(SESSION), Some(4000));
    assert_eq!(tree.sessions_with_ephemerals().collect::<Vec<_>>(), [(SESSION, 2)]);
    assert_eq!(tree.find("/a/x").expect("created").kind(), NodeKind::Ephemeral(SESSION));
    assert_eq!(stat(&tree, "/a/x").ephemeral_owner, SESSION);
    let paths = Some(vec!["/a/x".into(), "/a/y".into()]);
    let close = Txn::CloseSession { paths };
    assert_eq!(deleted_by(&mut tree, 5, &close), ["/a/x", "/a/y"]);
    assert_eq!(tree.session_timeout(SESSION), None);
    assert_eq!((tree.ephemeral_count(), tree.ephemerals(SESSION).count()), (0, 0));
    let a = tree.find("/a").expect("persistent").stored_stat();
    assert_eq!((a.cversion, a.pzxid), (2, Zxid::from_raw(5)));
    assert_eq!(deleted_by(&mut tree, 5, &close), [""; 0]);
}

#[test]
fn a_session_that_lists_too_little_takes_the_rest_along() {
    for listed in [None, Some(vec![]), Some(vec!["/a/x".into(), "/gone".into()])] {
        let mut tree = with_two_ephemerals();
        let mut deleted = deleted_by(&mut tree, 5, &Txn::CloseSession { paths: listed });
        deleted.sort_unstable();
        assert_eq!(deleted, ["/a/x", "/a/y"]);
    }
}

#[test]
fn owners_without_a_session_are_found_and_ended() {
    let mut tree = with_two_ephemerals();
    assert_eq!(tree.dead_ephemeral_owners().count(), 0);
    // The table of sessions of a snapshot may be older than its znodes.
    let mut other = header(6);
    other.session = SessionId(99);
    tree.apply(&other, &create_ephemeral("/b", 2), &mut |_| {});
    let dead: Vec<_> = tree.dead_ephemeral_owners().collect();
    assert_eq!(dead, [SessionId(99)]);
    let mut told = 0;
    tree.kill_session(SessionId(99), &mut |_| told += 1);
    assert_eq!(told, 1);
    assert!(tree.find("/b").is_none());
    assert_eq!(stat(&tree, "/").pzxid, Zxid::from_raw(6));
    assert_eq!(tree.dead_ephemeral_owners().count(), 0);
}

#[test]
fn special_owners_are_sessions_to_a_server_that_does_not_know_them() {
    let options = tree::Options { extended_types: ExtendedTypes::Disabled, ..OPTIONS };
    let mut tree = Tree::new(options);
    let ttl = types::CreateTxn {
        call: types::CreateCall::Ttl,
        ttl_ms: Some(5000),
        ..crate::creation("/t", b"", 1)
    };
    apply(&mut tree, 1, &Txn::Create(ttl));
    let owner = SessionId(0xFF00_0000_0000_1388_u64.cast_signed());
    assert_eq!(stat(&tree, "/t").ephemeral_owner, owner);
    assert_eq!(tree.dead_ephemeral_owners().collect::<Vec<_>>(), [owner]);
}
