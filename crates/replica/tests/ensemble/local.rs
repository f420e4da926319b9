//! Sessions that only the server of their client knows of.

use std::time::Duration;

use replica::LocalSessions;
use types::{CreateMode, MultiOp, Op, Write, Xid};
use wire::quorum::{AuthInfo, ForwardedRequest, ToLeader};
use wire::request::Request;

use crate::world::{Plan, TIMEOUT, World};
use crate::{create, get, sync};

fn world(local_sessions: LocalSessions) -> World {
    World::of(Plan { local_sessions, ..Plan::plain(3) })
}

fn multi<'a>(ops: impl IntoIterator<Item = Op<'a>>) -> Op<'a> {
    let op = |op| match op {
        Op::Write(Write::Create(create)) => MultiOp::Create(create),
        other => panic!("{other:?} is not needed here"),
    };
    Op::Write(Write::Multi(ops.into_iter().map(op).collect()))
}

#[test]
fn no_other_server_hears_of_a_local_session_and_it_can_write_at_any_member() {
    for sid in 1..=3 {
        let mut world = world(LocalSessions::Fixed);
        let client = world.client(sid);
        let before = world.state(sid);
        assert_eq!(before.sessions, 0, "server {sid}");
        let told = world.ask(client, [create("/a", CreateMode::Persistent), sync(), get("/a")]);
        let answers: Vec<&str> = told.lines().collect();
        assert_eq!(answers.len(), 3, "server {sid}: {told}");
        assert!(answers[0].ends_with("/a") && answers[2].contains("data"), "server {sid}: {told}");
        for other in 1..=3 {
            assert_eq!(world.state(other).sessions, 0);
        }
        let told = world.ask(client, [create("/b", CreateMode::Persistent), Op::CloseSession]);
        assert!(told.contains("/b") && told.ends_with("ok\nclosed\n"), "server {sid}: {told}");
        // The creations are all that became of it.
        assert_eq!(world.state(3).last_applied.counter().0, before.last_applied.counter().0 + 2);
    }
}

#[test]
fn a_fixed_local_session_creates_no_ephemeral() {
    for sid in 1..=3 {
        let mut world = world(LocalSessions::Fixed);
        let client = world.client(sid);
        for mode in [CreateMode::Ephemeral, CreateMode::EphemeralSequential] {
            let told = world.ask(client, [create("/e", mode), get("/")]);
            assert!(told.contains("#1 ") || told.contains("#3 "), "{told}");
            assert!(told.contains("EphemeralOnLocalSession"), "server {sid}: {told}");
        }
        let both = [create("/p", CreateMode::Persistent), create("/e", CreateMode::Ephemeral)];
        let told = world.ask(client, [multi(both)]);
        // The leader knows its own local sessions, and takes those of others for expired.
        let expected = if sid == 3 { "EphemeralOnLocalSession" } else { "SessionExpired" };
        assert!(told.contains(expected), "server {sid}: {told}");
        assert!(world.ask(client, [get("/p"), get("/e")]).matches("NoNode").count() == 2);
    }
}

#[test]
fn an_upgraded_session_owns_ephemerals_and_moves_with_them() {
    for sid in 1..=3 {
        for in_multi in [false, true] {
            let mut world = world(LocalSessions::Upgradable);
            let client = world.client(sid);
            world.ask(client, [create("/before", CreateMode::Persistent)]);
            let ephemeral = create("/e", CreateMode::Ephemeral);
            let request = if in_multi { multi([ephemeral]) } else { ephemeral };
            let told = world.ask(client, [request, get("/e")]);
            assert!(told.contains("/e") && told.contains("data"), "server {sid}: {told}");
            assert_eq!(world.state(1).sessions, 1);
            assert_eq!(world.state(1).sessions, world.state(3).sessions);
            // It is the leader's now, which ends it.
            world.wait_alive(client, TIMEOUT * 3);
            assert!(world.ask(client, [get("/e")]).contains("data"), "server {sid}");
            let elsewhere = world.dial(sid % 3 + 1);
            world.greet(elsewhere, Some(world.ticket(client)));
            assert!(world.told(elsewhere).starts_with("session for"), "server {sid}");
            assert!(world.ask(elsewhere, [get("/e")]).contains("data"));
            world.wait(TIMEOUT * 2);
            let other = world.client(1);
            assert!(world.ask(other, [sync(), get("/e")]).contains("NoNode"), "server {sid}");
            assert_eq!(world.state(1).sessions, 0);
        }
    }
}

#[test]
fn a_write_that_is_late_is_not_done_for_an_upgraded_session_that_has_ended() {
    let mut world = world(LocalSessions::Upgradable);
    let client = world.client(1);
    world.ask(client, [create("/lock", CreateMode::Ephemeral)]);
    let session = world.ticket(client).session;
    let elsewhere = world.dial(2);
    world.greet(elsewhere, Some(world.ticket(client)));
    world.ask(elsewhere, [Op::CloseSession]);
    let other = world.client(3);
    assert!(world.ask(other, [get("/lock")]).contains("NoNode"));
    // It was on its way when the client went elsewhere.
    let mut frame = Vec::new();
    Request { xid: Xid(9), op: create("/late", CreateMode::Persistent) }.encode(&mut frame);
    let (body, auth) = (&frame[4..], AuthInfo::NULL);
    world.overhear(1, &ToLeader::Request(ForwardedRequest { session, body, auth }));
    assert!(world.ask(other, [get("/late")]).contains("NoNode"));
}

#[test]
fn a_local_session_is_resumed_where_it_is_and_has_expired_elsewhere() {
    for sid in 1..=3 {
        let mut world = world(LocalSessions::Upgradable);
        let client = world.client(sid);
        let elsewhere = world.dial(sid % 3 + 1);
        world.greet(elsewhere, Some(world.ticket(client)));
        assert!(world.told(elsewhere).starts_with("session refused"), "server {sid}");
        let mut wrong = world.ticket(client);
        wrong.password.0[0] ^= 1;
        let thief = world.dial(sid);
        world.greet(thief, Some(wrong));
        assert!(world.told(thief).starts_with("session refused"), "server {sid}");
        let again = world.dial(sid);
        world.greet(again, Some(world.ticket(client)));
        assert!(world.told(again).starts_with("session for"), "server {sid}");
        assert_eq!(world.told(client), "closed\n", "one connection speaks for it");
        assert!(world.ask(again, [create("/a", CreateMode::Persistent)]).contains("/a"));
    }
}

#[test]
fn silence_ends_a_local_session_at_its_own_server() {
    for sid in 1..=3 {
        let mut world = world(LocalSessions::Fixed);
        let (quiet, alive) = (world.client(sid), world.client(sid));
        let zxid = world.state(sid).last_applied;
        world.wait_alive(alive, TIMEOUT * 3);
        assert_eq!(world.told(quiet), "closed\n", "server {sid}");
        assert!(!world.told(alive).contains("closed"), "server {sid}");
        let late = world.dial(sid);
        world.greet(late, Some(world.ticket(quiet)));
        assert!(world.told(late).starts_with("session refused"), "server {sid}");
        assert_eq!(world.state(sid).last_applied, zxid, "no transaction is made of it");
    }
}

#[test]
fn a_local_session_outlives_the_leader() {
    let mut world = world(LocalSessions::Fixed);
    let client = world.client(1);
    world.kill(3);
    world.wait(Duration::from_millis(600));
    assert_eq!(world.told(client), "closed\n");
    let again = world.dial(1);
    world.greet(again, Some(world.ticket(client)));
    assert!(world.told(again).starts_with("session for"));
    assert!(world.ask(again, [create("/more", CreateMode::Persistent)]).contains("/more"));
}

#[test]
fn an_upgrade_that_no_leader_has_decided_ends_with_the_leader() {
    let mut world = world(LocalSessions::Upgradable);
    let client = world.client(1);
    world.isolate(3);
    assert_eq!(world.ask(client, [create("/e", CreateMode::Ephemeral)]), "");
    world.wait(Duration::from_secs(2));
    assert_eq!(world.told(client), "closed\n");
    let again = world.dial(1);
    world.greet(again, Some(world.ticket(client)));
    assert!(world.told(again).starts_with("session refused"));
    let other = world.client(2);
    assert!(world.ask(other, [sync(), get("/e")]).contains("NoNode"));
}
