//! How writes are decided.

use expect_test::expect;
use proptest::prelude::*;
use types::{Counter, CreateMode, Epoch, ErrorCode, Op, SessionId, Txn, TxnHeader, Xid, Zxid};

use crate::world::{
    REAP_INTERVAL, World, children, create, create_as, delete, get, multi, part_check, part_create,
    part_delete, part_set, set,
};

#[test]
fn a_failed_multi_takes_a_place_and_leaves_nothing_behind() {
    let mut world = World::new();
    let client = world.client();
    world.tell(client, create("/q"));
    let sequential = CreateMode::PersistentSequential;
    world.ask_all(
        client,
        [
            create_as("/q/n-", sequential),
            multi(vec![
                part_create("/q/n-", sequential),
                part_create("/q/n-", sequential),
                part_set("/q", "never"),
                part_check("/q", 7),
                part_delete("/q"),
            ]),
            create_as("/q/n-", sequential),
            get("/q"),
            children("/q"),
        ],
    );
    world.sync();
    expect![[r#"
        #2 0x0/0x3 /q/n-0000000000
        #3 0x0/0x4 undone, undone, undone, BadVersion, RuntimeInconsistency
        #4 0x0/0x5 /q/n-0000000001
        #5 0x0/0x5 new v0
        #6 0x0/0x5 [n-0000000000 n-0000000001]
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn a_failed_multi_puts_back_what_was_pending_before_it() {
    let mut world = World::new();
    let client = world.client();
    world.ask_all(
        client,
        [
            create("/a"),
            set("/a", "kept"),
            multi(vec![part_delete("/a"), part_check("/a", 0)]),
            set("/a", "and set"),
            get("/a"),
            delete("/a"),
        ],
    );
    world.sync();
    expect![[r#"
        #1 0x0/0x2 /a
        #2 0x0/0x3 v1
        #3 0x0/0x4 undone, NoNode
        #4 0x0/0x5 v2
        #5 0x0/0x5 and set v2
        #6 0x0/0x6 ok
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn the_parts_of_a_multi_see_those_before_them() {
    let mut world = World::new();
    let client = world.client();
    let parts = vec![
        part_create("/a", CreateMode::Persistent),
        part_create("/a/n-", CreateMode::PersistentSequential),
        part_create("/a/n-", CreateMode::EphemeralSequential),
        part_set("/a", "x"),
        part_check("/a", 1),
        part_delete("/a/n-0000000000"),
    ];
    world.ask(client, multi(parts));
    world.ask_all(client, [children("/a"), multi(vec![])]);
    world.sync();
    expect![[r#"
        #1 0x0/0x2 /a, /a/n-0000000000, /a/n-0000000001, v1, checked, deleted
        #2 0x0/0x2 [n-0000000001]
        #3 0x0/0x3
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn writes_see_those_that_are_decided_and_not_durable() {
    let mut world = World::new();
    let (one, two) = (world.client(), world.client());
    world.ask(one, create("/a"));
    world.ask(two, create("/a"));
    world.ask(two, create("/a/b"));
    world.ask(one, delete("/a"));
    world.sync();
    expect![[r#"
        #1 0x0/0x3 /a
        #2 0x0/0x6 NotEmpty
    "#]]
    .assert_eq(&world.told(one));
    expect![[r#"
        #1 0x0/0x4 NodeExists
        #2 0x0/0x5 /a/b
    "#]]
    .assert_eq(&world.told(two));
}

#[test]
fn a_used_up_epoch_is_followed_by_the_next() {
    let nearly = Zxid::new(Epoch(3), Counter(u32::MAX - 2));
    let header =
        TxnHeader { session: SessionId::NONE, cxid: Xid::INTERNAL, zxid: nearly, time_ms: 0 };
    let mut world = World::replay(&[(header, Txn::Error { code: 0 })], 1);
    let client = world.client();
    world.ask_all(client, [create("/a"), create("/b"), create("/c"), get("/c")]);
    world.sync();
    expect![[r#"
        #1 0x3/0xffffffff /a
        #2 0x4/0x1 /b
        #3 0x4/0x2 /c
        #4 0x4/0x2 new v0
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn a_container_goes_after_its_last_child() {
    let mut world = World::new();
    let client = world.client();
    for op in [
        create_as("/used", CreateMode::Container),
        create_as("/unused", CreateMode::Container),
        create_as("/busy", CreateMode::Container),
        create("/used/child"),
        create("/busy/child"),
        delete("/used/child"),
    ] {
        world.tell(client, op);
    }
    world.reap(client);
    expect![[r#"
        #7 0x0/0x8 [busy unused zookeeper]
    "#]]
    .assert_eq(&world.tell(client, children("/")));
}

#[test]
fn a_container_that_gets_a_child_in_time_stays() {
    let mut world = World::new();
    let client = world.client();
    world.tell(client, create_as("/c", CreateMode::Container));
    world.tell(client, create("/c/child"));
    world.tell(client, delete("/c/child"));
    // Decided before the reaper asks for the deletion, applied after it.
    world.ask(client, create("/c/again"));
    world.reap(client);
    let refused = Txn::Error { code: ErrorCode::NotEmpty.raw() };
    assert_eq!(world.log.last().map(|(_, txn, _)| txn), Some(&refused));
    expect![[r#"
        #5 0x0/0x6 [again]
    "#]]
    .assert_eq(&world.tell(client, children("/c")));
}

#[test]
fn what_is_written_or_replaced_in_time_is_not_removed() {
    let mut world = World::new();
    let client = world.client();
    let ttl_ms = i64::try_from(REAP_INTERVAL.as_millis()).expect("short") * 5 / 4;
    world.tell(client, create_as("/t", CreateMode::PersistentWithTtl(ttl_ms)));
    world.reap(client);
    world.tell(client, create_as("/c", CreateMode::Container));
    world.tell(client, create("/c/child"));
    world.tell(client, delete("/c/child"));
    // Decided before the reaper asks for the deletions, applied after it.
    for op in [set("/t", "news"), delete("/c"), create("/c")] {
        world.ask(client, op);
    }
    world.reap(client);
    expect![[r#"
        #8 0x0/0xa [c t zookeeper]
    "#]]
    .assert_eq(&world.tell(client, children("/")));
}

#[test]
fn a_znode_goes_when_its_time_to_live_is_over() {
    let mut world = World::new();
    let client = world.client();
    let long_ms = i64::try_from(REAP_INTERVAL.as_millis()).expect("short") * 3;
    world.tell(client, create_as("/short", CreateMode::PersistentWithTtl(1000)));
    world.tell(client, create_as("/parent", CreateMode::PersistentWithTtl(1000)));
    world.tell(client, create("/parent/child"));
    world.tell(client, create_as("/long", CreateMode::PersistentWithTtl(long_ms)));
    world.reap(client);
    expect![[r#"
        #5 0x0/0x6 [long parent zookeeper]
    "#]]
    .assert_eq(&world.tell(client, children("/")));
}

/// Writes over a few paths, so that they get into each other's way.
fn any_write() -> impl Strategy<Value = (usize, usize, usize)> {
    (0..9_usize, 0..5_usize, 0..2_usize)
}

fn op_of(kind: usize, path: usize) -> Op<'static> {
    const PATHS: [&str; 5] = ["/a", "/a/b", "/a/b/c", "/d", "/zookeeper/quota/x"];
    let path = PATHS[path];
    match kind {
        0 => create(path),
        1 => create_as(path, CreateMode::Ephemeral),
        2 => create_as(path, CreateMode::PersistentSequential),
        3 => create_as(path, CreateMode::Container),
        4 => delete(path),
        5 => set(path, "data"),
        6 => multi(vec![part_set(path, "x"), part_create("/a/m", CreateMode::Persistent)]),
        7 => multi(vec![part_delete(path), part_create(path, CreateMode::Ephemeral)]),
        _ => Op::CloseSession,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The digest that is logged with a write, before it is applied, is the one that the tree has
    /// after it; the world checks it against a second tree, here it is computed from nothing.
    #[test]
    fn the_digest_in_the_log_is_that_of_the_tree(
        writes in prop::collection::vec((any_write(), any::<bool>()), 1..60),
    ) {
        let mut world = World::new();
        let mut clients = [world.client(), world.client()];
        for ((kind, path, who), syncs) in writes {
            world.ask(clients[who], op_of(kind, path));
            if kind == 8 {
                clients[who] = world.client();
            }
            if syncs {
                world.sync();
            }
        }
        world.sync();
        prop_assert_eq!(world.mirror_digest(), world.recomputed_digest());
    }
}
