//! Sessions that move from one connection to another, in whatever order the news of that arrives.

use std::time::Duration;

use types::{CreateMode, Op};
use wire::quorum::ToLearner;

use crate::world::{Client, TIMEOUT, World};
use crate::{create, get, sync};

/// A session that was opened at one member and has moved to another: its old and its new connection.
fn moved(world: &mut World, from: i64, to: i64) -> (Client, Client) {
    let old = world.client(from);
    let new = world.dial(to);
    world.greet(new, Some(world.ticket(old)));
    assert!(world.told(new).starts_with("session for"), "from {from} to {to}");
    (old, new)
}

/// All ways from one of three members to one of them.
fn ways() -> impl Iterator<Item = (i64, i64)> {
    (1..=3).flat_map(|from| (1..=3).map(move |to| (from, to)))
}

#[test]
fn a_session_has_the_timeout_with_which_it_was_resumed_last() {
    for (from, to) in ways() {
        let mut world = World::new(3);
        let old = world.client(from);
        let longer = world.dial(to);
        world.resume_for(longer, world.ticket(old), TIMEOUT * 3);
        world.wait(TIMEOUT * 2);
        let told = world.ask(longer, [create("/a", CreateMode::Ephemeral)]);
        assert!(
            told.starts_with("session for 3000") && told.contains("/a"),
            "{from} to {to}: {told}"
        );
        let shorter = world.dial(from);
        world.resume_for(shorter, world.ticket(old), TIMEOUT / 2);
        world.wait(TIMEOUT * 3 / 4);
        let told = world.told(shorter);
        assert!(told.ends_with("closed\n"), "{from} to {to}: {told}");
    }
}

#[test]
fn a_write_over_the_connection_that_a_session_has_left_is_not_done_and_closes_it() {
    for (from, to) in ways() {
        let mut world = World::new(3);
        let (old, new) = moved(&mut world, from, to);
        world.ask(old, [create("/late", CreateMode::Persistent)]);
        world.ask(old, [Op::Ping]);
        let told = world.ask(new, [sync(), get("/late"), create("/own", CreateMode::Ephemeral)]);
        assert!(told.contains("NoNode") && told.contains("/own"), "{from} to {to}: {told}");
        world.wait_alive(new, TIMEOUT * 2);
        assert!(world.ask(new, [get("/own")]).contains("data"), "{from} to {to}");
    }
}

#[test]
fn the_connection_that_a_session_has_left_is_closed_without_an_answer() {
    for (from, to) in ways() {
        let mut world = World::new(3);
        let (old, _) = moved(&mut world, from, to);
        let told = world.ask(old, [create("/late", CreateMode::Persistent), get("/")]);
        assert_eq!(told, "closed\n", "{from} to {to}");
    }
}

/// A server that was held up finds the request of a client that went elsewhere meanwhile, and has come back
/// since then.
#[test]
fn a_late_write_is_not_done_because_its_session_has_come_back() {
    for (from, to) in ways().filter(|(from, to)| from != to) {
        let mut world = World::new(3);
        let (old, new) = moved(&mut world, from, to);
        let told = world.ask(new, [create("/first", CreateMode::Persistent)]);
        assert!(told.contains("/first"), "{from} to {to}: {told}");
        let back = world.dial(from);
        world.come_back_amid(back, (old, create("/late", CreateMode::Persistent)));
        assert!(world.told(back).starts_with("session for"), "{from} to {to}");
        let told = world.ask(back, [sync(), get("/first"), get("/late")]);
        assert!(told.contains("data") && told.contains("NoNode"), "{from} to {to}: {told}");
        assert_eq!(world.told(old), "closed\n", "{from} to {to}");
    }
}

/// What another client of the same server asked behind a sync is decided late, but not later than who owns a
/// session. Seed 144000060041 with 3 servers.
#[test]
fn a_write_that_waits_behind_a_sync_is_not_done_because_its_session_has_come_back() {
    for (from, to) in ways().filter(|(from, to)| from != to) {
        let mut world = World::new(3);
        let other = world.client(from);
        let (old, _) = moved(&mut world, from, to);
        let (back, ticket) = (world.dial(from), world.ticket(old));
        let late = create("/late", CreateMode::Persistent);
        world.come_back_behind([(other, sync()), (old, late)], (back, ticket));
        assert_ne!(world.told(other), "", "{from} to {to}");
        assert!(world.told(back).starts_with("session for"), "{from} to {to}");
        let told = world.ask(back, [sync(), get("/late")]);
        assert!(told.contains("NoNode"), "{from} to {to}: {told}");
        assert_eq!(world.told(old), "closed\n", "{from} to {to}");
    }
}

#[test]
fn a_session_is_not_ended_over_the_connection_that_it_has_left() {
    for (from, to) in ways() {
        let mut world = World::new(3);
        let (old, new) = moved(&mut world, from, to);
        world.ask(new, [create("/kept", CreateMode::Ephemeral)]);
        let told = world.ask(old, [Op::CloseSession]);
        assert_eq!(told, "closed\n", "{from} to {to}");
        let told = world.ask(new, [sync(), get("/kept")]);
        assert!(told.contains("data"), "{from} to {to}: {told}");
    }
}

/// The word on a session comes from the leader behind everything that it decided before, and a learner
/// that hears it has applied all of that.
#[test]
fn what_a_session_was_told_where_it_was_is_seen_where_it_is() {
    let mut told_before = 0;
    for (from, to) in ways() {
        for arrivals in 0..30 {
            let mut world = World::new(3);
            let (old, new) = (world.client(from), world.dial(to));
            world.move_amid((old, create("/x", CreateMode::Persistent)), arrivals, new);
            assert!(world.told(new).starts_with("session for"), "{from} to {to}, {arrivals}");
            if world.told(old).contains("/x") {
                told_before += 1;
                let told = world.ask(new, [get("/x")]);
                assert!(told.contains("data"), "{from} to {to}, {arrivals} arrivals: {told}");
            }
            let told = world.ask(new, [sync(), create("/y", CreateMode::Persistent), get("/y")]);
            assert!(told.contains("data"), "{from} to {to}, {arrivals} arrivals: {told}");
        }
    }
    assert!(told_before > 100, "{told_before}");
}

/// The word that a session is alive waits for what was decided before, and the session may end with that.
#[test]
fn a_session_that_ended_before_the_word_that_it_is_alive_is_not_resumed() {
    let mut world = World::new(3);
    for follower in [1, 2] {
        let old = world.client(3);
        let ticket = world.ticket(old);
        let session = ticket.session;
        world.ask(old, [Op::CloseSession]);
        let new = world.dial(follower);
        world.resume_amid(new, ticket, &ToLearner::Revalidated { session, is_valid: true });
        assert_eq!(world.told(new), "session refused\nclosed\n");
        assert_eq!((1..=3).map(|sid| world.tracked(sid)).sum::<usize>(), 0);
    }
}

/// A session may end between two questions of an impatient client, and what the leader said to the first is
/// no answer to the second. Seed 3500005350 with 5 servers.
#[test]
fn a_session_is_resumed_on_the_word_that_answers_its_last_question() {
    for follower in [1, 2] {
        let mut world = World::new(3);
        let old = world.client(3);
        let ticket = world.ticket(old);
        let session = ticket.session;
        world.isolate(3);
        let (first, second) = (world.dial(follower), world.dial(follower));
        world.greet(first, Some(ticket.clone()));
        world.greet(second, Some(ticket));
        assert_eq!(world.told(first), "closed\n");
        world.hear(follower, &ToLearner::Revalidated { session, is_valid: true });
        assert_eq!(world.told(second), "");
        world.hear(follower, &ToLearner::Revalidated { session, is_valid: false });
        assert_eq!(world.told(second), "session refused\nclosed\n");
    }
}

#[test]
fn a_member_that_a_session_has_left_does_not_end_it() {
    for (from, to) in ways() {
        let mut world = World::new(3);
        let (_, new) = moved(&mut world, from, to);
        world.ask(new, [create("/kept", CreateMode::Ephemeral)]);
        world.wait_alive(new, TIMEOUT * 4);
        let told = world.ask(new, [sync(), get("/kept")]);
        assert!(told.contains("data"), "{from} to {to}: {told}");
    }
}

#[test]
fn a_leader_that_is_cut_off_says_nothing_about_sessions() {
    let mut world = World::new(3);
    let client = world.client(3);
    let ticket = world.ticket(client);
    world.isolate(3);
    let again = world.dial(3);
    world.greet(again, Some(ticket.clone()));
    let mut unknown = ticket;
    unknown.session.0 += 100;
    unknown.password = unknown.session.password();
    let stranger = world.dial(3);
    world.greet(stranger, Some(unknown));
    for waiting in [again, stranger] {
        assert_eq!(world.told(waiting), "", "others may know better");
    }
    world.wait(Duration::from_secs(4));
    for waiting in [again, stranger] {
        assert_eq!(world.told(waiting), "closed\n");
    }
}
