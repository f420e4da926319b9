//! How sessions begin, move and end.

use std::time::Duration;

use expect_test::expect;
use replica::first_session;
use tree::Tree;
use types::{CreateMode, Op, SessionId, SessionPassword, Sid, Txn, TxnHeader, Xid, Zxid};

use crate::world::{
    TICK, TIMEOUT, TREE, Ticket, World, children, create, create_as, ephemerals, get, set,
    watch_exists,
};

#[test]
fn the_timeout_is_kept_within_bounds() {
    let mut world = World::new();
    let mut told = String::new();
    for wished in [Duration::ZERO, Duration::from_millis(777), Duration::from_secs(3600)] {
        let client = world.dial(0);
        world.greet(client, None, wished);
        world.sync();
        told += &world.told(client);
    }
    expect![[r#"
        session for 200 ms
        session for 777 ms
        session for 20000 ms
    "#]]
    .assert_eq(&told);
}

#[test]
fn requests_sent_with_the_handshake_wait_for_the_session() {
    let mut world = World::new();
    let client = world.dial(0);
    world.greet(client, None, TIMEOUT);
    world.ask_all(client, [create("/a"), get("/a")]);
    assert_eq!(world.log.len(), 1, "only the session was decided");
    world.sync();
    expect![[r#"
        session for 1000 ms
        #1 0x0/0x2 /a
        #2 0x0/0x2 new v0
    "#]]
    .assert_eq(&world.told(client));
}

#[test]
fn closing_removes_ephemerals_also_those_not_applied_yet() {
    let mut world = World::new();
    let (client, other) = (world.client(), world.client());
    world.tell(client, create_as("/applied", CreateMode::Ephemeral));
    world.ask(other, watch_exists("/pending"));
    world.ask_all(
        client,
        [
            create_as("/pending", CreateMode::Ephemeral),
            create("/stays"),
            ephemerals(),
            Op::CloseSession,
        ],
    );
    world.sync();
    expect![[r#"
        #2 0x0/0x4 /pending
        #3 0x0/0x5 /stays
        #4 0x0/0x5 [/applied /pending]
        #5 0x0/0x6 ok
        closed
    "#]]
    .assert_eq(&world.told(client));
    world.ask(other, children("/"));
    expect![[r#"
        #1 0x0/0x3 NoNode
        NodeCreated /pending 0x0/0x4
        #2 0x0/0x6 [stays zookeeper]
    "#]]
    .assert_eq(&world.told(other));
}

#[test]
fn an_ephemeral_can_be_created_again_behind_the_end_of_its_owner() {
    let mut world = World::new();
    let (client, heir) = (world.client(), world.client());
    world.tell(client, create_as("/lock", CreateMode::Ephemeral));
    world.ask(client, Op::CloseSession);
    world.ask(heir, create_as("/lock", CreateMode::Ephemeral));
    world.sync();
    expect![[r#"
        #1 0x0/0x5 /lock
    "#]]
    .assert_eq(&world.told(heir));
    world.ask(heir, ephemerals());
    expect![[r#"
        #2 0x0/0x5 [/lock]
    "#]]
    .assert_eq(&world.told(heir));
}

#[test]
fn requests_behind_the_end_of_the_session_are_dropped() {
    let mut world = World::new();
    let client = world.client();
    world.ask_all(client, [Op::CloseSession, create("/late"), get("/")]);
    world.ask(client, create("/later"));
    world.sync();
    expect![[r#"
        #1 0x0/0x2 ok
        closed
    "#]]
    .assert_eq(&world.told(client));
    let other = world.client();
    expect![[r#"
        #1 0x0/0x3 [zookeeper]
    "#]]
    .assert_eq(&world.tell(other, children("/")));
}

#[test]
fn resuming_closes_the_older_connection_and_keeps_what_the_session_owns() {
    let mut world = World::with_fronts(2);
    let before = world.client_at(0);
    world.tell(before, create_as("/mine", CreateMode::Ephemeral));
    let after = world.resume(1, world.ticket(before));
    assert_eq!(world.told(before), "closed\n");
    world.ask(after, ephemerals());
    expect![[r#"
        session for 1000 ms
        #1 0x0/0x2 [/mine]
    "#]]
    .assert_eq(&world.told(after));
    assert_eq!(world.log.len(), 2, "resuming is no transaction");
}

#[test]
fn resuming_needs_the_password() {
    let mut world = World::new();
    let client = world.client();
    let Ticket { session, .. } = world.ticket(client);
    let thief = world.resume(0, Ticket { session, password: SessionPassword([1; 16]) });
    expect![[r#"
        session refused
        closed
    "#]]
    .assert_eq(&world.told(thief));
    assert_eq!(world.tell(client, create("/mine")), "#1 0x0/0x2 /mine\n");
}

#[test]
fn a_session_that_ended_can_not_be_resumed() {
    let mut world = World::new();
    let client = world.client();
    let ticket = world.ticket(client);
    world.tell(client, Op::CloseSession);
    let late = world.resume(0, ticket);
    expect![[r#"
        session refused
        closed
    "#]]
    .assert_eq(&world.told(late));
}

#[test]
fn a_session_that_is_ending_can_not_be_resumed() {
    let mut world = World::new();
    let client = world.client();
    let ticket = world.ticket(client);
    world.ask(client, Op::CloseSession);
    let late = world.resume(0, ticket);
    expect![[r#"
        session refused
        closed
    "#]]
    .assert_eq(&world.told(late));
    world.sync();
    assert_eq!(world.told(client), "#1 0x0/0x2 ok\nclosed\n");
    world.wait(TIMEOUT * 3);
    assert_eq!(world.log.len(), 2, "it ends once");
}

#[test]
fn new_sessions_are_numbered_by_the_clock_but_after_all_that_are_there() {
    let mut tree = Tree::new(TREE);
    assert_eq!(first_session(Sid(1), 5, &tree), SessionId::first(Sid(1), 5));
    let session = SessionId(SessionId::first(Sid(1), 5).0 + 1_000_000);
    let header = TxnHeader { session, cxid: Xid::INTERNAL, zxid: Zxid::from_raw(1), time_ms: 0 };
    tree.apply(&header, &Txn::CreateSession { timeout_ms: 1000 }, &mut |_| {});
    assert_eq!(first_session(Sid(1), 5, &tree), session.next());
    assert_eq!(first_session(Sid(2), 5, &tree), SessionId::first(Sid(2), 5));
    assert_eq!(first_session(Sid(1), 500_000, &tree), SessionId::first(Sid(1), 500_000));
}

#[test]
fn what_a_moved_session_sent_over_its_old_connection_is_not_done() {
    let mut world = World::new();
    let before = world.client();
    let after = world.resume(0, world.ticket(before));
    world.told(after);
    world.ask(before, create("/late"));
    world.ask(after, create("/new"));
    world.sync();
    world.ask(after, children("/"));
    expect![[r#"
        #1 0x0/0x2 /new
        #2 0x0/0x2 [new zookeeper]
    "#]]
    .assert_eq(&world.told(after));
    assert_eq!(world.told(before), "closed\n");
}

#[test]
fn a_session_that_moves_finds_what_it_wrote_before_but_not_the_answer() {
    let mut world = World::new();
    let before = world.client();
    world.ask(before, create("/a"));
    let after = world.resume(0, world.ticket(before));
    world.ask(after, get("/a"));
    assert_eq!(world.told(after), "");
    world.sync();
    expect![[r#"
        session for 1000 ms
        #1 0x0/0x2 new v0
    "#]]
    .assert_eq(&world.told(after));
    assert_eq!(world.told(before), "closed\n");
}

#[test]
fn a_session_that_moves_twice_before_it_is_answered_has_one_connection() {
    let mut world = World::with_fronts(2);
    let first = world.client();
    let ticket = world.ticket(first);
    world.ask(first, create("/a"));
    let second = world.resume(0, ticket.clone());
    let third = world.resume(1, ticket);
    world.ask_all(second, [create("/late"), get("/a")]);
    world.ask_all(third, [create("/b"), get("/a")]);
    world.sync();
    assert_eq!(world.told(first), "closed\n");
    assert_eq!(world.told(second), "closed\n");
    expect![[r#"
        session for 1000 ms
        #1 0x0/0x3 /b
        #2 0x0/0x3 new v0
    "#]]
    .assert_eq(&world.told(third));
}

#[test]
fn a_client_that_saw_more_than_the_server_has_is_sent_away() {
    let mut world = World::new();
    let client = world.dial(0);
    let mut bytes = Vec::new();
    wire::connect::ConnectRequest {
        last_zxid_seen: Zxid::from_raw(1),
        timeout_ms: 1000,
        session: SessionId::NONE,
        password: &[0; 16],
        read_only: None,
    }
    .encode(&mut bytes);
    world.send(client, &bytes);
    assert_eq!(world.told(client), "closed\n");
    assert_eq!(world.log.len(), 0);
}

#[test]
fn silence_ends_a_session_at_the_first_tick_after_its_timeout() {
    let mut world = World::new();
    let client = world.client();
    world.tell(client, create_as("/mine", CreateMode::Ephemeral));
    world.wait(TIMEOUT + TICK - Duration::from_millis(1));
    assert_eq!(world.log.len(), 2);
    assert_eq!(world.until_deadline(), Duration::from_millis(1));
    world.wait(Duration::from_millis(1));
    assert_eq!(world.log.len(), 3, "its end is decided");
    assert_eq!(world.told(client), "");
    world.sync();
    assert_eq!(world.told(client), "closed\n");
    assert_eq!(world.stats().expired_sessions.value(), 1);
    let other = world.client();
    expect![[r#"
        #1 0x0/0x4 [zookeeper]
    "#]]
    .assert_eq(&world.tell(other, children("/")));
}

#[test]
fn anything_that_is_heard_prolongs_a_session() {
    let mut world = World::new();
    let client = world.client();
    for _ in 0..20 {
        world.wait(TIMEOUT - TICK);
        world.ask(client, Op::Ping);
    }
    assert_eq!(world.log.len(), 1);
    world.wait(TIMEOUT + TICK);
    assert_eq!(world.log.len(), 2);
}

#[test]
fn requests_of_an_expired_session_are_dropped() {
    let mut world = World::new();
    let client = world.client();
    world.wait(TIMEOUT + TICK);
    world.ask_all(client, [create("/late"), get("/")]);
    world.sync();
    assert_eq!(world.told(client), "closed\n");
    assert_eq!(world.log.len(), 2, "the session and its end");
}

#[test]
fn a_connection_that_ends_during_the_handshake_leaves_a_session_that_expires() {
    let mut world = World::new();
    let client = world.dial(0);
    world.greet(client, None, TIMEOUT);
    world.cut(client);
    world.sync();
    assert_eq!(world.replica.sessions().len(), 1);
    world.wait(TIMEOUT + TICK);
    world.sync();
    assert_eq!(world.replica.sessions().len(), 0);
}

#[test]
fn a_recovered_session_has_its_full_timeout_and_can_be_resumed() {
    let mut world = World::new();
    let client = world.client();
    world.tell(client, create_as("/mine", CreateMode::Ephemeral));
    let ticket = world.ticket(client);
    let mut world = world.recovered();
    world.wait(TIMEOUT);
    let client = world.resume(0, ticket);
    world.ask(client, ephemerals());
    expect![[r#"
        session for 1000 ms
        #1 0x0/0x2 [/mine]
    "#]]
    .assert_eq(&world.told(client));
    world.ask(client, Op::CloseSession);
    world.sync();
    assert_eq!(world.replica.sessions().len(), 0);
}

#[test]
fn new_sessions_never_get_the_id_of_one_that_was_recovered() {
    let mut world = World::new();
    let before = [world.client(), world.client()].map(|client| world.ticket(client).session);
    let mut world = world.recovered();
    let client = world.client();
    assert!(!before.contains(&world.ticket(client).session));
}

#[test]
fn identities_belong_to_the_connection() {
    let mut world = World::new();
    let client = world.client();
    world.tell(client, crate::world::authenticate("me:secret"));
    world.tell(client, crate::world::create_for("/mine", crate::world::mine()));
    let client = world.resume(0, world.ticket(client));
    world.told(client);
    world.ask_all(client, [get("/mine"), set("/mine", "x")]);
    world.ask_all(client, [crate::world::authenticate("me:secret"), get("/mine")]);
    world.sync();
    expect![[r#"
        #1 0x0/0x2 NoAuth
        auth 0x0/0x0 ok
        #2 0x0/0x3 NoAuth
        #3 0x0/0x3 new v0
    "#]]
    .assert_eq(&world.told(client));
}
