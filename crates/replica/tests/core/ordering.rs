//! In which order a client is told what.

use expect_test::expect;
use types::{Op, WatchMode};

use crate::world::{
    World, add_watch, children, create, delete, get, remove_watches, set, sync, watch,
};

#[test]
fn an_event_comes_before_the_reply_to_the_write_that_caused_it() {
    let mut world = World::new();
    let client = world.client();
    world.tell(client, create("/a"));
    world.ask(client, watch("/a"));
    world.ask(client, set("/a", "next"));
    world.sync();
    expect![[r#"
        #2 0x0/0x2 new v0
        NodeDataChanged /a 0x0/0x3
        #3 0x0/0x3 v1
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn an_event_comes_before_any_reply_that_shows_its_change() {
    let mut world = World::new();
    let (writer, reader) = (world.client(), world.client());
    world.tell(writer, create("/a"));
    world.ask(reader, watch("/a"));
    world.ask(writer, set("/a", "next"));
    world.ask(reader, get("/a"));
    world.sync();
    world.ask(reader, get("/a"));
    expect![[r#"
        #1 0x0/0x3 new v0
        #2 0x0/0x3 new v0
        NodeDataChanged /a 0x0/0x4
        #3 0x0/0x4 next v1
    "#]]
    .assert_eq(&world.told(reader));
}

#[test]
fn a_read_behind_a_write_of_its_session_sees_it_and_not_the_next() {
    let mut world = World::new();
    let client = world.client();
    world.ask_all(client, [create("/a"), get("/a"), set("/a", "next"), get("/a"), delete("/a")]);
    assert_eq!(world.told(client), "");
    world.sync();
    expect![[r#"
        #1 0x0/0x2 /a
        #2 0x0/0x2 new v0
        #3 0x0/0x3 v1
        #4 0x0/0x3 next v1
        #5 0x0/0x4 ok
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn replies_keep_the_order_of_requests_when_reads_follow_unsynced_writes() {
    let mut world = World::new();
    let client = world.client();
    world.ask_all(client, [get("/a"), create("/a"), get("/a"), sync("/s")]);
    expect![[r#"
        #1 0x0/0x1 NoNode
    "#]]
    .assert_eq(&world.told(client));
    world.ask_all(client, [children("/"), add_watch("/a", WatchMode::Persistent)]);
    world.ask_all(client, [remove_watches("/a"), remove_watches("/a")]);
    assert_eq!(world.told(client), "");
    world.sync();
    expect![[r#"
        #2 0x0/0x2 /a
        #3 0x0/0x2 new v0
        #4 0x0/0x2 /s
        #5 0x0/0x2 [a zookeeper]
        #6 0x0/0x2 ok
        #7 0x0/0x2 ok
        #8 0x0/0x2 NoWatcher
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn a_read_waits_for_no_write_of_another_session() {
    let mut world = World::new();
    let (writer, reader) = (world.client(), world.client());
    world.ask(writer, create("/a"));
    world.ask(reader, children("/"));
    expect![[r#"
        #1 0x0/0x2 [zookeeper]
    "#]]
    .assert_eq(&world.told(reader));
}

#[test]
fn sync_waits_for_what_other_sessions_wrote_before_it() {
    let mut world = World::new();
    let (writer, reader) = (world.client(), world.client());
    world.ask(writer, create("/a"));
    world.ask_all(reader, [sync("/"), get("/a")]);
    assert_eq!(world.told(reader), "");
    world.sync();
    expect![[r#"
        #1 0x0/0x3 /
        #2 0x0/0x3 new v0
    "#]]
    .assert_eq(&world.told(reader));
}

#[test]
fn sync_answers_at_once_when_nothing_is_under_way() {
    let mut world = World::new();
    let client = world.client();
    world.ask(client, sync("/anything at all"));
    expect![[r#"
        #1 0x0/0x1 /anything at all
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn a_ping_overtakes_writes_and_tells_only_of_what_was_delivered() {
    let mut world = World::new();
    let client = world.client();
    world.ask_all(client, [create("/a"), Op::Ping]);
    expect![[r#"
        ping 0x0/0x1 ok
    "#]]
    .assert_eq(&world.told(client));
    world.sync();
    world.ask(client, Op::Ping);
    expect![[r#"
        #1 0x0/0x2 /a
        ping 0x0/0x2 ok
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn a_ping_never_tells_of_a_change_before_its_event() {
    let mut world = World::with_fronts(2);
    let (writer, watcher) = (world.client_at(0), world.client_at(1));
    world.tell(writer, create("/a"));
    world.ask(watcher, watch("/a"));
    for text in ["one", "two"] {
        world.ask(writer, set("/a", text));
        world.ask(watcher, Op::Ping);
        world.sync();
        world.ask(watcher, Op::Ping);
        world.ask(watcher, watch("/a"));
    }
    expect![[r#"
        #1 0x0/0x3 new v0
        ping 0x0/0x3 ok
        NodeDataChanged /a 0x0/0x4
        ping 0x0/0x4 ok
        #2 0x0/0x4 one v1
        ping 0x0/0x4 ok
        NodeDataChanged /a 0x0/0x5
        ping 0x0/0x5 ok
        #3 0x0/0x5 two v2
    "#]]
    .assert_eq(&world.told(watcher));
}

#[test]
fn a_refused_write_takes_its_place_in_the_order() {
    let mut world = World::new();
    let client = world.client();
    world.ask_all(client, [delete("/missing"), create("/a"), create("/a"), get("/a")]);
    world.sync();
    expect![[r#"
        #1 0x0/0x2 NoNode
        #2 0x0/0x3 /a
        #3 0x0/0x4 NodeExists
        #4 0x0/0x4 new v0
    "#]]
    .assert_eq(&world.told(client));
}
