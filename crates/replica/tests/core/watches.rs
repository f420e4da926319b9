//! What watches tell, and when.

use expect_test::expect;
use types::{CreateMode, Op, Read, SetWatches, WatchMode, Zxid};

use crate::world::{
    World, add_watch, authenticate, create, create_as, create_for, delete, get, mine, multi,
    part_create, part_delete, part_set, remove_watches, set, set_acl, watch, watch_children,
    watch_exists,
};

#[test]
fn a_watch_set_behind_a_write_catches_the_very_next_change() {
    let mut world = World::new();
    let (client, other) = (world.client(), world.client());
    world.ask_all(client, [create("/a"), watch("/a")]);
    world.ask(other, set("/a", "next"));
    world.sync();
    expect![[r#"
        #1 0x0/0x3 /a
        #2 0x0/0x3 new v0
        NodeDataChanged /a 0x0/0x4
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn a_watch_set_in_one_batch_with_two_changes_tells_only_of_the_later() {
    let mut world = World::new();
    let client = world.client();
    world.ask_all(client, [create("/a"), set("/a", "1"), watch("/a"), set("/a", "2")]);
    world.sync();
    expect![[r#"
        #1 0x0/0x2 /a
        #2 0x0/0x3 v1
        #3 0x0/0x3 1 v1
        NodeDataChanged /a 0x0/0x4
        #4 0x0/0x4 v2
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn watches_removed_behind_a_write_see_that_write_and_nothing_after_it() {
    let mut world = World::new();
    let client = world.client();
    world.tell(client, create("/a"));
    world.tell(client, add_watch("/a", WatchMode::Persistent));
    world.ask_all(client, [set("/a", "1"), remove_watches("/a"), set("/a", "2")]);
    world.sync();
    expect![[r#"
        NodeDataChanged /a 0x0/0x3
        #3 0x0/0x3 v1
        #4 0x0/0x3 ok
        #5 0x0/0x4 v2
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn a_one_shot_watch_fires_once() {
    let mut world = World::new();
    let (client, other) = (world.client(), world.client());
    world.tell(other, create("/a"));
    world.ask_all(client, [watch("/a"), watch("/a"), watch_exists("/a")]);
    world.told(client);
    world.tell(other, set("/a", "1"));
    world.tell(other, set("/a", "2"));
    expect![[r#"
        NodeDataChanged /a 0x0/0x4
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn each_kind_of_watch_tells_of_its_changes() {
    let mut world = World::new();
    let (client, other) = (world.client(), world.client());
    let ops = [
        watch_exists("/a"),
        watch_children("/"),
        add_watch("/a", WatchMode::Persistent),
        add_watch("/", WatchMode::PersistentRecursive),
    ];
    world.ask_all(client, ops);
    world.told(client);
    for op in [create("/a"), create("/a/b"), set("/a/b", "x"), delete("/a/b"), delete("/a")] {
        world.tell(other, op);
    }
    expect![[r#"
        NodeCreated /a 0x0/0x3
        NodeChildrenChanged / 0x0/0x3
        NodeCreated /a/b 0x0/0x4
        NodeChildrenChanged /a 0x0/0x4
        NodeDataChanged /a/b 0x0/0x5
        NodeDeleted /a/b 0x0/0x6
        NodeChildrenChanged /a 0x0/0x6
        NodeDeleted /a 0x0/0x7
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn a_deletion_is_told_once_to_who_watches_data_and_children() {
    let mut world = World::new();
    let (client, other) = (world.client(), world.client());
    world.tell(other, create("/a"));
    world.ask_all(client, [watch("/a"), watch_children("/a")]);
    world.told(client);
    world.tell(other, delete("/a"));
    expect![[r#"
        NodeDeleted /a 0x0/0x4
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn the_parts_of_a_multi_are_told_in_their_order() {
    let mut world = World::new();
    let (client, other) = (world.client(), world.client());
    world.tell(client, add_watch("/", WatchMode::PersistentRecursive));
    let parts = vec![
        part_create("/a", CreateMode::Persistent),
        part_set("/a", "x"),
        part_delete("/a"),
        part_create("/a", CreateMode::Persistent),
    ];
    world.tell(other, multi(parts));
    expect![[r#"
        NodeCreated /a 0x0/0x3
        NodeDataChanged /a 0x0/0x3
        NodeDeleted /a 0x0/0x3
        NodeCreated /a 0x0/0x3
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn a_failed_multi_is_told_to_nobody() {
    let mut world = World::new();
    let client = world.client();
    world.tell(client, add_watch("/", WatchMode::PersistentRecursive));
    let parts = vec![part_create("/a", CreateMode::Persistent), part_delete("/missing")];
    world.ask(client, multi(parts));
    world.sync();
    expect![[r#"
        #2 0x0/0x2 undone, NoNode
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn watches_at_other_frontends_are_told_too() {
    let mut world = World::with_fronts(3);
    let clients = [world.client_at(0), world.client_at(1), world.client_at(2)];
    for client in clients {
        world.tell(client, watch_exists("/a"));
    }
    world.ask(clients[1], create("/a"));
    world.sync();
    let told = clients.map(|client| world.told(client));
    expect![[r#"
        NodeCreated /a 0x0/0x4
        NodeCreated /a 0x0/0x4
        #2 0x0/0x4 /a
        NodeCreated /a 0x0/0x4
    "#]]
    .assert_eq(&told.concat());
}

#[test]
fn a_reconnected_client_is_told_what_it_missed_and_watches_the_rest_again() {
    let mut world = World::new();
    let (client, other) = (world.client(), world.client());
    for path in ["/same", "/set", "/gone", "/grown", "/shrunk"] {
        world.tell(other, create(path));
    }
    let seen = Zxid::from_raw(world.log.len() as i64);
    world.tell(other, set("/set", "x"));
    world.tell(other, delete("/gone"));
    world.tell(other, create("/grown/child"));
    world.tell(other, create("/come"));
    let watches = SetWatches {
        relative_zxid: seen,
        data: vec!["/same".into(), "/set".into(), "/gone".into()],
        exist: vec!["/come".into(), "/missing".into()],
        child: vec!["/same".into(), "/grown".into(), "/gone".into()],
        persistent: vec!["/shrunk".into()],
        persistent_recursive: vec!["/grown".into()],
    };
    world.ask(client, Op::Read(Read::SetWatches(Box::new(watches))));
    expect![[r#"
        NodeDataChanged /set missed
        NodeDeleted /gone missed
        NodeCreated /come missed
        NodeChildrenChanged /grown missed
        NodeDeleted /gone missed
        watches 0x0/0xb ok
    "#]]
    .assert_eq(&world.told(client));
    for op in [
        set("/same", "x"),
        create("/same/child"),
        create("/missing"),
        set("/shrunk", "x"),
        set("/grown/child", "x"),
        set("/set", "y"),
        create("/gone"),
        set("/come", "x"),
    ] {
        world.tell(other, op);
    }
    expect![[r#"
        NodeDataChanged /same 0x0/0xc
        NodeChildrenChanged /same 0x0/0xd
        NodeCreated /missing 0x0/0xe
        NodeDataChanged /shrunk 0x0/0xf
        NodeDataChanged /grown/child 0x0/0x10
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn watches_set_again_behind_a_write_know_of_it() {
    let mut world = World::new();
    let client = world.client();
    world.tell(client, create("/a"));
    let watches = SetWatches {
        relative_zxid: Zxid::from_raw(2),
        data: vec!["/a".into()],
        ..SetWatches::default()
    };
    world.ask_all(client, [set("/a", "x"), Op::Read(Read::SetWatches(Box::new(watches)))]);
    assert_eq!(world.told(client), "");
    world.sync();
    expect![[r#"
        #2 0x0/0x3 v1
        NodeDataChanged /a missed
        watches 0x0/0x3 ok
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn a_change_that_may_not_be_known_is_not_told_but_uses_up_the_watch() {
    let mut world = World::new();
    let (owner, stranger) = (world.client(), world.client());
    world.tell(owner, authenticate("owner:secret"));
    world.tell(owner, create("/a"));
    world.ask(stranger, watch("/a"));
    world.told(stranger);
    world.tell(owner, set_acl("/a", mine()));
    world.tell(owner, set("/a", "hidden"));
    assert_eq!(world.told(stranger), "");
    world.tell(owner, set_acl("/a", types::AclList::open()));
    world.tell(owner, set("/a", "open again"));
    assert_eq!(world.told(stranger), "");
}

#[test]
fn children_of_a_parent_that_may_not_be_read_are_not_told() {
    let mut world = World::new();
    let (owner, stranger) = (world.client(), world.client());
    world.tell(owner, authenticate("owner:secret"));
    world.tell(owner, create_for("/a", mine()));
    for client in [owner, stranger] {
        world.ask(client, add_watch("/a", WatchMode::Persistent));
        world.told(client);
    }
    world.ask(owner, create("/a/b"));
    world.sync();
    expect![[r#"
        NodeChildrenChanged /a 0x0/0x4
        #3 0x0/0x4 /a/b
    "#]]
    .assert_eq(&world.told(owner));
    assert_eq!(world.told(stranger), "");
}

#[test]
fn a_read_that_fails_sets_no_watch_but_exists_does() {
    let mut world = World::new();
    let (client, other) = (world.client(), world.client());
    world.ask_all(client, [watch("/a"), watch_children("/a"), watch_exists("/b")]);
    world.told(client);
    for path in ["/a", "/b", "/a/child"] {
        world.tell(other, create_as(path, CreateMode::Persistent));
    }
    expect![[r#"
        NodeCreated /b 0x0/0x4
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn watches_go_with_their_connection() {
    let mut world = World::new();
    let (client, other) = (world.client(), world.client());
    world.ask(client, watch_exists("/a"));
    assert_eq!(world.front(0).watches().len(), 1);
    let ticket = world.ticket(client);
    world.cut(client);
    assert!(world.front(0).watches().is_empty());
    let again = world.resume(0, ticket);
    world.told(again);
    world.tell(other, create("/a"));
    world.ask(again, get("/a"));
    expect![[r#"
        #1 0x0/0x3 new v0
    "#]]
    .assert_eq(&world.told(again));
}
