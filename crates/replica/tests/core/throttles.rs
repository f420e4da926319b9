//! What an operator may limit beyond the limits that always hold: connections in time, requests
//! under way, bytes of large requests, and writes that would be refused anyway.

use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;
use replica::{ConnectionThrottleOptions, LargeRequests, RequestThrottleOptions};
use types::{Acl, AclList, Id, Op, Perms};

use crate::world::{TIMEOUT, World, create, create_for, get, set, set_acl};

const MS: Duration = Duration::from_millis(1);

fn throttled(options: RequestThrottleOptions) -> World {
    World::with_options(|replica, _| {
        replica.request_throttle = RequestThrottleOptions { requests_max: Some(1), ..options };
    })
}

fn nobodys(perms: Perms) -> AclList {
    vec![Acl { perms, id: Id::new("ip", "192.0.2.1") }].into()
}

#[test]
fn a_connection_without_a_token_is_closed_without_a_word() {
    let mut world = World::with_options(|options, _| {
        options.connection_throttle = Some(ConnectionThrottleOptions {
            tokens: 4,
            fill_time: 100 * MS,
            fill_count: 1,
            freeze_time: None,
            drop_increase: 0.0,
            drop_decrease: 0.0,
            decrease_ratio: 0.0,
            new_session_tokens: 3,
            resumed_session_tokens: 1,
        });
    });
    let first = world.client();
    let second = world.dial(0);
    world.greet(second, None, TIMEOUT);
    assert_eq!(world.told(second), "closed\n");
    let ticket = world.ticket(first);
    let resumed = world.resume(0, ticket.clone());
    assert_eq!(world.told(resumed), "session for 1000 ms\n");
    let refused = world.resume(0, ticket.clone());
    assert_eq!(world.told(refused), "closed\n");
    assert!(world.is_heard(resumed), "who was refused takes nobody's place");
    world.wait(150 * MS);
    let resumed = world.resume(0, ticket);
    assert_eq!(world.told(resumed), "session for 1000 ms\n");
    assert_eq!(world.stats().throttled_connections.value(), 2);
}

#[test]
fn requests_beyond_the_limit_wait_and_keep_their_order() {
    let mut world = throttled(RequestThrottleOptions::OFF);
    let (one, two) = (world.client(), world.client());
    let before = world.log.len();
    world.ask_all(one, [create("/a"), set("/a", "1"), get("/a")]);
    world.ask(two, set("/a", "2"));
    assert_eq!(world.log.len() - before, 1, "one is under way");
    world.sync_one();
    assert_eq!(world.log.len() - before, 2);
    world.sync();
    expect![[r#"
        #1 0x0/0x3 /a
        #2 0x0/0x4 v1
        #3 0x0/0x4 1 v1
    "#]]
    .assert_eq(&world.told(one));
    assert_eq!(world.told(two), "#1 0x0/0x5 v2\n");
}

#[test]
fn what_waited_too_long_is_refused_in_its_place() {
    let refuse_after = Some(50 * MS);
    let mut world =
        throttled(RequestThrottleOptions { refuse_after, ..RequestThrottleOptions::OFF });
    let client = world.client();
    world.ask_all(client, [create("/a"), create("/b"), get("/a"), Op::CloseSession]);
    world.wait(60 * MS);
    world.sync();
    expect![[r#"
        #1 0x0/0x2 /a
        #2 0x0/0x2 ThrottledOp
        #3 0x0/0x2 ThrottledOp
        #4 0x0/0x3 ok
        closed
    "#]]
    .assert_eq(&world.told(client));
    assert_eq!(world.stats().throttled_requests.value(), 2);
}

#[test]
fn requests_of_a_closed_connection_are_dropped_but_for_the_end_of_its_session() {
    let mut world = throttled(RequestThrottleOptions::OFF);
    let (gone, other) = (world.client(), world.client());
    world.ask(other, create("/a"));
    world.ask_all(gone, [create("/b"), Op::CloseSession]);
    world.cut(gone);
    world.sync();
    assert_eq!(world.stats().stale_requests.value(), 1);
    assert_eq!(world.replica.sessions().len(), 1);
    assert!(world.tell(other, get("/b")).ends_with("NoNode\n"));
}

#[test]
fn what_waited_for_longer_than_its_session_closes_the_connection() {
    let options =
        RequestThrottleOptions { drop_after_session_timeout: true, ..RequestThrottleOptions::OFF };
    let mut world = throttled(options);
    let (slow, other) = (world.client(), world.client());
    world.ask(other, create("/a"));
    world.ask(slow, create("/b"));
    for _ in 0..3 {
        world.wait(TIMEOUT / 2);
        world.ask(slow, Op::Ping);
        world.ask(other, Op::Ping);
    }
    world.sync();
    assert!(world.told(slow).ends_with("closed\n"));
    assert!(world.tell(other, get("/b")).ends_with("NoNode\n"));
}

#[test]
fn large_requests_find_room_or_their_connection_is_closed() {
    let mut world = World::with_options(|_, front| {
        front.large_requests = Some(Arc::new(LargeRequests::new(1_000, 3_000)));
    });
    let [small, large] = [500, 2_000].map(|bytes| "x".repeat(bytes));
    let (one, two, three) = (world.client(), world.client(), world.client());
    world.ask(one, set("/", &large));
    world.ask(two, set("/", &large));
    assert_eq!(world.told(two), "closed\n");
    world.ask(three, set("/", &small));
    world.sync();
    assert_eq!(world.told(three), "#1 0x0/0x5 v2\n");
    assert_eq!(world.tell(three, set("/", &large)), "#2 0x0/0x6 v3\n");
    // A closed connection gives its room back, and a length alone is enough to be refused.
    world.ask(three, set("/", &large));
    world.cut(three);
    world.ask(one, set("/", &large));
    let four = world.client_at(0);
    world.send(four, &2_500_u32.to_be_bytes());
    assert!(world.is_heard(four), "there is room again");
    world.ask(one, set("/", &large));
    let five = world.client_at(0);
    world.send(five, &2_900_u32.to_be_bytes());
    assert!(world.is_heard(five), "all of them were answered");
    assert_eq!(world.front(0).stats().large_requests_refused.value(), 1);
}

#[test]
fn writes_without_permission_are_refused_before_they_take_a_place() {
    let mut world = World::with_options(|_, front| front.eager_acl_check = true);
    let client = world.client();
    world.tell(client, create_for("/theirs", nobodys(Perms::ALL)));
    let before = world.log.len();
    world.ask_all(
        client,
        [
            set("/theirs", "x"),
            create("/theirs/a"),
            set_acl("/theirs", AclList::open()),
            create_for("/b", vec![Acl { perms: Perms::ALL, id: Id::new("no", "") }].into()),
        ],
    );
    assert_eq!(world.log.len(), before, "nothing was decided");
    expect![[r#"
        #2 0x0/0x0 NoAuth
        #3 0x0/0x0 NoAuth
        #4 0x0/0x0 NoAuth
        #5 0x0/0x0 InvalidAcl
    "#]]
    .assert_eq(&world.told(client));
    // Behind another write the refusal keeps its place.
    world.ask_all(client, [create("/mine"), set("/theirs", "x"), set("/none", "x")]);
    world.sync();
    expect![[r#"
        #6 0x0/0x3 /mine
        #7 0x0/0x4 NoAuth
        #8 0x0/0x5 NoNode
    "#]]
    .assert_eq(&world.told(client));
}
