//! Servers without a leader that serve those who only read.

use std::time::Duration;

use replica::LocalSessions;
use types::{CreateMode, Memory, Op, Read, Sid};

use crate::world::{Client, Plan, TICK, TIMEOUT, World};
use crate::{create, get, sync};

const AFTER: Duration = Duration::from_millis(2000);

/// Three servers, of which the first is left alone with a znode, and a client of the time before.
fn cut_off(local_sessions: LocalSessions) -> (World, Client) {
    let mut world =
        World::of(Plan { local_sessions, read_only_after: Some(AFTER), ..Plan::plain(3) });
    let client = world.client(1);
    world.ask(client, [create("/seen", CreateMode::Persistent)]);
    world.isolate(1);
    // It finds out, and waits for its time.
    world.wait(Duration::from_millis(600));
    (world, client)
}

fn connect(world: &mut World, read_only: Option<bool>) -> (Client, String) {
    let client = world.dial(1);
    world.greet_as(client, None, read_only);
    let told = world.told(client);
    (client, told)
}

#[test]
fn a_server_that_is_cut_off_serves_reads_after_a_while_to_those_who_want_that() {
    let (mut world, before) = cut_off(LocalSessions::Off);
    assert_eq!(world.told(before), "closed\n");
    let (_, told) = connect(&mut world, Some(true));
    assert_eq!(told, "closed\n", "too early");
    world.wait(AFTER);
    for read_only in [Some(false), None] {
        let (_, told) = connect(&mut world, read_only);
        assert_eq!(told, "closed\n", "{read_only:?}");
    }
    let (reader, told) = connect(&mut world, Some(true));
    assert_eq!(told, "session for 1000 ms, read-only\n");
    let children = Op::Read(Read::GetChildren { path: "/".into(), watch: true });
    let told = world.ask(reader, [get("/seen"), children, get("/missing")]);
    assert!(told.contains("data") && told.contains("seen") && told.contains("NoNode"), "{told}");
}

#[test]
fn a_server_that_starts_cut_off_shows_the_list_that_was_written_by_hand_last() {
    let mut world = World::of(Plan {
        isolated: Some(Sid(1)),
        listed_before: "server.1=s1:2888:3888:participant;2181\nversion=0",
        read_only_after: Some(AFTER),
        ..Plan::plain(3)
    });
    world.wait(AFTER);
    let (reader, _) = connect(&mut world, Some(true));
    let told = world.ask(reader, [get("/zookeeper/config")]);
    assert!(told.contains("server.3=") && told.contains("version=0"), "{told}");
}

#[test]
fn a_server_shows_nobody_what_never_was_a_state() {
    let plan = Plan { isolated: Some(Sid(1)), read_only_after: Some(AFTER), ..Plan::plain(3) };
    let shortened = Memory::Shortened { had: None };
    for (memory, is_between_states, expected) in [
        (Memory::Whole, false, "session for 1000 ms, read-only\n"),
        (shortened, false, "closed\n"),
        (Memory::Whole, true, "closed\n"),
    ] {
        let mut world = World::of(Plan { memory, is_between_states, ..plan });
        world.wait(AFTER * 2);
        assert_eq!(connect(&mut world, Some(true)).1, expected);
    }
}

#[test]
fn nothing_is_written_at_a_read_only_server_and_requests_keep_their_order() {
    let (mut world, _) = cut_off(LocalSessions::Upgradable);
    world.wait(AFTER);
    let (reader, _) = connect(&mut world, Some(true));
    let state = world.state(1);
    let told = world.ask(
        reader,
        [
            create("/no", CreateMode::Persistent),
            get("/seen"),
            create("/no", CreateMode::Ephemeral),
            sync(),
            get("/no"),
        ],
    );
    let answers: Vec<&str> = told.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(answers[0], "NotReadOnly", "{told}");
    assert_eq!(answers[2..4], ["NotReadOnly"; 2], "{told}");
    assert_eq!(answers[4], "NoNode", "{told}");
    assert!(told.starts_with("#1 ") && told.contains("\n#4 "), "{told}");
    let told = world.ask(reader, [Op::CloseSession]);
    assert!(told.ends_with("ok\nclosed\n"), "{told}");
    assert_eq!(world.state(1), state);
}

#[test]
fn sessions_of_the_ensemble_are_not_resumed_at_a_read_only_server() {
    let (mut world, before) = cut_off(LocalSessions::Off);
    world.wait(AFTER);
    let again = world.dial(1);
    world.greet_as(again, Some(world.ticket(before)), Some(true));
    assert_eq!(world.told(again), "closed\n", "it may live on elsewhere");
    let (reader, _) = connect(&mut world, Some(true));
    let again = world.dial(1);
    world.greet_as(again, Some(world.ticket(reader)), Some(true));
    assert_eq!(world.told(again), "session for 1000 ms, read-only\n");
    let mut unknown = world.ticket(reader);
    unknown.session.0 += 100;
    unknown.password = unknown.session.password();
    let stranger = world.dial(1);
    world.greet_as(stranger, Some(unknown), Some(true));
    assert_eq!(world.told(stranger), "session refused, read-only\nclosed\n");
    world.wait(TIMEOUT * 2);
    assert_eq!(world.told(again), "closed\n", "silence ends it");
}

/// A leader whose disk did nothing has given up. When that goes on it stands for election again.
#[test]
fn sessions_end_with_the_mode_whatever_ends_it() {
    let mut world = World::of(Plan { read_only_after: Some(AFTER), ..Plan::plain(3) });
    let client = world.client(3);
    world.stick(3);
    world.ask(client, [create("/a", CreateMode::Persistent)]);
    for _ in 0..100 {
        world.wait(TICK / 10);
        if world.told(client).contains("closed") {
            break;
        }
    }
    world.kill(1);
    world.kill(2);
    world.wait(AFTER + TICK);
    let reader = world.dial(3);
    world.greet_as(reader, None, Some(true));
    assert_eq!(world.told(reader), "session for 1000 ms, read-only\n");
    assert_eq!(world.tracked(3), 1);
    world.unstick();
    assert_eq!(world.told(reader), "closed\n");
    assert_eq!(world.tracked(3), 0);
}

#[test]
fn a_session_that_was_opened_elsewhere_meanwhile_is_not_called_expired() {
    let (mut world, _) = cut_off(LocalSessions::Off);
    world.wait(AFTER);
    let elsewhere = world.client(2);
    let ticket = world.ticket(elsewhere);
    let here = world.dial(1);
    world.greet_as(here, Some(ticket.clone()), Some(true));
    assert_eq!(world.told(here), "closed\n", "it lives, as others know");
    let again = world.dial(2);
    world.greet_as(again, Some(ticket), Some(true));
    assert_eq!(world.told(again), "session for 1000 ms\n");
}

#[test]
fn readers_are_sent_away_when_there_is_a_leader_again_and_their_sessions_end() {
    let (mut world, _) = cut_off(LocalSessions::Off);
    world.wait(AFTER);
    let other = world.client(2);
    assert!(world.ask(other, [create("/new", CreateMode::Persistent)]).contains("/new"));
    let (reader, told) = connect(&mut world, Some(true));
    assert!(told.ends_with("read-only\n"), "{told}");
    world.heal();
    world.wait_alive(other, Duration::from_secs(4));
    assert_eq!(world.told(reader), "closed\n");
    let again = world.dial(1);
    world.greet_as(again, Some(world.ticket(reader)), Some(true));
    assert_eq!(world.told(again), "session refused\nclosed\n");
    let (fresh, told) = connect(&mut world, Some(true));
    assert_eq!(told, "session for 1000 ms\n", "it serves everything");
    assert!(world.ask(fresh, [sync(), get("/new")]).contains("data"));
    assert_eq!(world.state(1), world.state(2));
}
