//! Counters that reach their largest number go on from the smallest.

use tree::{Tree, TreeLoader};
use types::{CreateCall, SessionId, StoredStat, Zxid};

use crate::OPTIONS;
use crate::applying::{check_same, check_step};
use crate::leader::{Kind, Wish, decide, header};
use crate::reference::{Model, acl_of};

/// A root that has already created that many children, and whose data was set as often.
fn nearly_wrapped(creations: i32, version: i32) -> (Tree, Model) {
    let stored = StoredStat { cversion: creations, version, ..StoredStat::default() };
    let mut model = Model::fresh();
    model.znodes.get_mut("").expect("the root").stored = stored;
    let mut loader = TreeLoader::new(OPTIONS);
    loader.acl(1, acl_of("world:anyone:1"));
    for (path, znode) in &model.znodes {
        let acl_id = if path == "/zookeeper/config" { 1 } else { -1 };
        loader.node(path, znode.data.as_deref(), acl_id, &znode.stored).expect("can be placed");
    }
    (loader.finish(Zxid::ZERO).expect("is a tree"), model)
}

#[test]
fn sequential_names_go_on_below_zero() {
    let (mut tree, mut model) = nearly_wrapped(i32::MAX - 1, 0);
    for at in 1..=4 {
        let wish = Wish::Create {
            path: "/n-".to_owned(),
            data: None,
            acl: acl_of("world:anyone:31"),
            kind: Kind::Sequential,
        };
        let header = header(SessionId(1), at);
        let txn = decide(&model, &header, &wish);
        check_step(&mut tree, &mut model, &header, &txn);
        check_same(&tree, &model);
    }
    let mut names: Vec<_> =
        tree.find("/").expect("the root").children().map(|c| c.name()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["n--2147483647", "n--2147483648", "n-2147483646", "n-2147483647", "zookeeper"]
    );
}

#[test]
fn replayed_creations_do_not_turn_a_wrapped_count_back() {
    let (mut tree, mut model) = nearly_wrapped(i32::MAX - 1, 0);
    let mut log = Vec::new();
    for (at, path) in ["/a", "/b", "/c"].into_iter().enumerate() {
        let wish = Wish::Create {
            path: path.to_owned(),
            data: None,
            acl: acl_of("world:anyone:31"),
            kind: Kind::Persistent(CreateCall::Create),
        };
        let header = header(SessionId(1), at + 1);
        let txn = decide(&model, &header, &wish);
        check_step(&mut tree, &mut model, &header, &txn);
        log.push((header, txn));
    }
    for (header, txn) in &log {
        tree.apply(header, txn, &mut |_| {});
    }
    check_same(&tree, &model);
}

#[test]
fn versions_are_what_the_leader_says() {
    let (mut tree, mut model) = nearly_wrapped(0, i32::MAX);
    let header = header(SessionId(1), 1);
    let data = Some(b"new".as_slice().into());
    let txn = types::Txn::SetData { path: "/".into(), data, version: i32::MIN };
    check_step(&mut tree, &mut model, &header, &txn);
    check_same(&tree, &model);
    assert_eq!(tree.find("/").expect("the root").stat().version, i32::MIN);
}
