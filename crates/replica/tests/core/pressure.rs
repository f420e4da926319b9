//! A client that asks too much or reads too little slows itself, and nobody else.

use expect_test::expect;
use types::{Op, Read, WatchMode};

use crate::world::{FRAME_BYTES_MAX, World, create, get, set};

/// As in the crate's limits.
const OUTSTANDING_PER_CONNECTION_MAX: usize = 256;
const UNSENT_BYTES_MAX: usize = 16 << 20;
const RECURSIVE: WatchMode = WatchMode::PersistentRecursive;

#[test]
fn a_client_with_many_writes_under_way_is_not_read_from() {
    let mut world = World::new();
    let (busy, other) = (world.client(), world.client());
    world.ask_all(busy, (1..OUTSTANDING_PER_CONNECTION_MAX).map(|_| create("/a")));
    assert!(world.is_heard(busy));
    world.ask(busy, create("/a"));
    assert!(!world.is_heard(busy));
    assert!(world.is_heard(other));
    world.sync();
    assert!(world.is_heard(busy));
    assert_eq!(world.told(busy).lines().count(), OUTSTANDING_PER_CONNECTION_MAX);
}

#[test]
fn a_client_with_large_writes_under_way_is_not_read_from() {
    let mut world = World::new();
    let client = world.client();
    let text = "x".repeat(FRAME_BYTES_MAX / 2);
    world.ask_all(client, (0..100).map(|_| set("/", &text)));
    assert!(world.replica.outstanding() < 10);
    assert!(!world.is_heard(client));
    for _ in 0..100 {
        world.sync();
    }
    assert!(world.is_heard(client));
    assert_eq!(world.told(client).lines().count(), 100);
}

#[test]
fn frames_beyond_the_limit_wait_and_are_answered_in_order() {
    let mut world = World::new();
    let client = world.client();
    world.ask_all(client, (0..1000).map(|_| set("/", "x")));
    assert_eq!(world.replica.outstanding(), OUTSTANDING_PER_CONNECTION_MAX);
    world.sync();
    let numbers: Vec<String> = (1..=1000).map(|number| format!("#{number}")).collect();
    let told = world.told(client);
    let answered: Vec<&str> = told.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(answered, numbers);
}

#[test]
fn a_busy_server_reads_only_from_clients_without_requests_under_way() {
    let mut world = World::new();
    let clients: Vec<_> = (0..6).map(|_| world.client()).collect();
    let idle = world.client();
    for client in &clients {
        world.ask_all(*client, (0..200).map(|_| create("/a")));
    }
    assert!(clients.iter().all(|client| !world.is_heard(*client)));
    assert!(world.is_heard(idle));
    world.sync();
    assert!(clients.iter().all(|client| world.is_heard(*client)));
}

#[test]
fn a_busy_server_is_busy_for_the_connections_of_all_threads() {
    let mut world = World::with_fronts(2);
    let clients: Vec<_> = (0..6).map(|number| world.client_at(number % 2)).collect();
    for client in &clients {
        world.ask_all(*client, (0..200).map(|_| create("/a")));
    }
    assert!(clients.iter().all(|client| !world.is_heard(*client)));
    world.sync();
    assert!(clients.iter().all(|client| world.is_heard(*client)));
}

#[test]
fn a_long_answer_behind_a_write_waits_at_its_connection_and_keeps_its_place() {
    let mut world = World::new();
    let client = world.client();
    let text = "x".repeat(100_000);
    world.ask_all(client, [create("/a"), set("/a", &text)]);
    world.sync();
    world.ask_all(client, [set("/", "1"), get("/a"), set("/", "2"), get("/")]);
    assert_eq!(world.replica.outstanding(), 1, "what comes after the long read waits with it");
    assert!(!world.is_heard(client));
    world.sync();
    world.sync();
    assert!(world.is_heard(client));
    let told = world.told(client).replace(&text, "(long)");
    expect![[r#"
        #1 0x0/0x2 /a
        #2 0x0/0x3 v1
        #3 0x0/0x4 v1
        #4 0x0/0x4 (long) v1
        #5 0x0/0x5 v2
        #6 0x0/0x5 2 v2
    "#]]
    .assert_eq(&told);
}

#[test]
fn answers_behind_writes_take_little_memory_however_long_they_are() {
    let mut world = World::new();
    let client = world.client();
    let text = "x".repeat(FRAME_BYTES_MAX / 2);
    world.tell(client, create("/large"));
    world.tell(client, set("/large", &text));
    world.lets_read(client, false);
    world.ask(client, set("/", ""));
    world.ask_all(client, (0..200).map(|_| get("/large")));
    world.sync();
    assert!(world.unsent(client) < UNSENT_BYTES_MAX + FRAME_BYTES_MAX);
    world.lets_read(client, true);
    assert_eq!(world.told(client).lines().count(), 201);
}

#[test]
fn a_handshake_is_short() {
    let mut world = World::new();
    let stranger = world.dial(0);
    world.send(stranger, &(64_u32 << 10).to_be_bytes());
    assert_eq!(world.told(stranger), "");
    let stranger = world.dial(0);
    world.send(stranger, &((64_u32 << 10) + 1).to_be_bytes());
    assert_eq!(world.told(stranger), "closed\n");
}

#[test]
fn a_client_that_does_not_read_is_not_answered_without_bound() {
    let mut world = World::new();
    let (slow, other) = (world.client(), world.client());
    let text = "x".repeat(FRAME_BYTES_MAX / 2);
    world.tell(other, create("/large"));
    world.tell(other, set("/large", &text));
    world.lets_read(slow, false);
    world.ask_all(slow, (0..100).map(|_| get("/large")));
    assert!(!world.is_heard(slow));
    assert!(world.unsent(slow) < UNSENT_BYTES_MAX + FRAME_BYTES_MAX);
    assert!(world.tell(other, get("/large")).starts_with("#3"));
    world.lets_read(slow, true);
    assert_eq!(world.told(slow).lines().count(), 100);
    assert!(world.is_heard(slow));
}

#[test]
fn a_watcher_that_does_not_read_is_closed_before_its_events_fill_the_memory() {
    let mut world = World::new();
    let (slow, other) = (world.client(), world.client());
    world.tell(slow, Op::Read(Read::AddWatch { path: "/".into(), mode: RECURSIVE }));
    let text = "x".repeat(FRAME_BYTES_MAX / 2);
    world.tell(other, set("/", &text));
    world.lets_read(slow, false);
    world.ask_all(slow, (0..100).map(|_| get("/")));
    let path = format!("/{}", "x".repeat(FRAME_BYTES_MAX / 2));
    world.tell(other, create(&path));
    let mut most_unsent = 0;
    for _ in 0..36 {
        world.tell(other, set(&path, ""));
        most_unsent = most_unsent.max(world.unsent(slow));
    }
    assert!(most_unsent > UNSENT_BYTES_MAX);
    assert!(most_unsent < 3 * UNSENT_BYTES_MAX);
    world.lets_read(slow, true);
    assert!(world.told(slow).ends_with("closed\n"));
}

#[test]
fn a_frame_that_is_too_long_or_negative_ends_only_its_connection() {
    let too_long = u32::try_from(FRAME_BYTES_MAX + 1).expect("short").to_be_bytes();
    for length in [too_long, (-1_i32).to_be_bytes(), [0x80, 0, 0, 0]] {
        let mut world = World::new();
        let (bad, good) = (world.client(), world.client());
        world.send(bad, &length);
        assert_eq!(world.told(bad), "closed\n");
        assert!(world.is_heard(good));
        world.ask(good, Op::Ping);
        assert_eq!(world.told(good), "ping 0x0/0x2 ok\n");
    }
}

#[test]
fn frames_may_arrive_byte_by_byte() {
    let mut world = World::new();
    let client = world.client();
    let mut bytes = Vec::new();
    for op in [create("/a"), Op::Ping, get("/a")] {
        bytes.extend(world.frame(client, op));
    }
    for byte in bytes {
        world.send(client, &[byte]);
    }
    world.sync();
    assert_eq!(world.told(client), "ping 0x0/0x1 ok\n#1 0x0/0x2 /a\n#2 0x0/0x2 new v0\n");
}
