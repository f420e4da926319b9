//! Nobody is told of anything that could still be lost.

use expect_test::expect;

use crate::world::{World, create, get, set};

#[test]
fn nothing_is_acknowledged_before_the_log_is_durable() {
    let mut world = World::new();
    let client = world.client();
    world.ask(client, create("/a"));
    assert_eq!(world.log.len(), 2, "the session and the znode are in the log");
    assert_eq!(world.told(client), "");
    world.sync();
    expect![[r#"
        #1 0x0/0x2 /a
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn nobody_reads_what_is_not_durable() {
    let mut world = World::new();
    let (writer, reader) = (world.client(), world.client());
    world.ask(writer, create("/a"));
    world.ask(reader, get("/a"));
    expect![[r#"
        #1 0x0/0x2 NoNode
    "#]]
    .assert_eq(&world.told(reader));
    world.sync();
    world.ask(reader, get("/a"));
    expect![[r#"
        #2 0x0/0x3 new v0
    "#]]
    .assert_eq(&world.told(reader));
}

#[test]
fn a_session_is_not_opened_before_it_is_durable() {
    let mut world = World::new();
    let client = world.dial(0);
    world.greet(client, None, crate::world::TIMEOUT);
    assert_eq!(world.told(client), "");
    world.sync();
    expect![[r#"
        session for 1000 ms
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn a_sync_of_the_disk_acknowledges_what_it_covers_and_no_more() {
    let mut world = World::new();
    let client = world.client();
    world.ask(client, create("/a"));
    world.ask_all(client, [set("/a", "one"), set("/a", "two")]);
    world.sync_one();
    expect![[r#"
        #1 0x0/0x2 /a
    "#]]
    .assert_eq(&world.told(client));
    world.sync_one();
    expect![[r#"
        #2 0x0/0x3 v1
        #3 0x0/0x4 v2
    "#]]
    .assert_eq(&world.told(client));
}
