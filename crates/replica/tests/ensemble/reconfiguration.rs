//! What clients see of a change of the membership.

use std::time::Duration;

use types::{CreateMode, Op, Read, ReconfigRequest, Write};

use crate::world::{Client, World, place};
use crate::{create, get, sync};

const CONFIG: &str = "/zookeeper/config";

fn reconfig<'a>(joining: &'a str, leaving: &'a str, based_on: Option<i64>) -> Op<'a> {
    Op::Write(Write::Reconfig(Box::new(ReconfigRequest {
        joining: Some(joining.into()),
        leaving: Some(leaving.into()),
        new_members: None,
        based_on,
    })))
}

fn replace(members: &str) -> Op<'_> {
    let (joining, leaving, new_members) = (None, None, Some(members.into()));
    let request = ReconfigRequest { joining, leaving, new_members, based_on: None };
    Op::Write(Write::Reconfig(Box::new(request)))
}

/// The lines of these servers.
fn lines(sids: &[i64]) -> String {
    sids.iter().map(|&sid| format!("server.{sid}={}\n", place(sid))).collect()
}

/// Asks for a change, which is to be made.
fn change(world: &mut World, operator: Client, op: Op<'_>) -> String {
    let told = world.ask(operator, [op]);
    assert!(told.contains("server.") && told.contains("version="), "{told}");
    told
}

#[test]
fn a_server_joins_and_counts_from_then_on() {
    for sid in 1..=4 {
        let mut world = World::with_spares(3, 1);
        let operator = world.operator(sid);
        let told = change(&mut world, operator, reconfig(&lines(&[4]), "", None));
        assert!(told.contains("server.4=s4:2888:3888:participant;0.0.0.0:2181"), "{told}");
        for other in 1..=4 {
            let reader = world.client(other);
            let told = world.ask(reader, [sync(), get(CONFIG)]);
            assert!(told.contains("server.4="), "{other}: {told}");
            assert_eq!(world.memberships(other).pending(), None);
        }
        // Two of four are not enough any more, and three are.
        world.kill(1);
        let writer = world.client(2);
        assert!(world.ask(writer, [create("/a", CreateMode::Persistent)]).contains("/a"));
        world.kill(4);
        assert_eq!(world.ask(writer, [create("/b", CreateMode::Persistent)]), "");
    }
}

#[test]
fn the_leader_leaves_and_another_goes_on_without_an_election() {
    let mut world = World::new(3);
    let operator = world.operator(3);
    let writer = world.client(1);
    world.ask(writer, [create("/before", CreateMode::Ephemeral)]);
    let told = change(&mut world, operator, reconfig("", "3", None));
    assert!(!told.contains("server.3"), "{told}");
    let again = world.dial(1);
    world.greet(again, Some(world.ticket(writer)));
    assert!(world.told(again).starts_with("session for"), "at once: no time has passed");
    assert!(world.ask(again, [sync(), get("/before")]).contains("data"));
    assert!(world.ask(again, [create("/after", CreateMode::Persistent)]).contains("/after"));
    // Who was removed still serves, and does not count.
    world.wait(Duration::from_millis(500));
    let reader = world.client(3);
    assert!(world.ask(reader, [sync(), get("/after")]).contains("data"));
    world.kill(2);
    assert!(!world.ask(again, [create("/lost", CreateMode::Persistent)]).contains("/lost"));
}

#[test]
fn a_voter_becomes_an_observer_and_a_voter_again() {
    let mut world = World::new(3);
    let operator = world.operator(3);
    let observer = format!("server.1={}", place(1).replace("participant", "observer"));
    change(&mut world, operator, reconfig(&observer, "", None));
    world.wait(Duration::from_millis(100));
    let reader = world.client(1);
    assert!(world.ask(reader, [get(CONFIG)]).contains("server.1=s1:2888:3888:observer"));
    assert!(world.ask(reader, [create("/a", CreateMode::Persistent)]).contains("/a"));
    change(&mut world, operator, reconfig(&lines(&[1]), "", None));
    world.wait(Duration::from_millis(100));
    world.kill(2);
    let writer = world.client(1);
    assert!(world.ask(writer, [create("/b", CreateMode::Persistent)]).contains("/b"));
}

#[test]
fn all_servers_are_replaced_at_once() {
    let mut world = World::with_spares(3, 3);
    let operator = world.operator(3);
    change(&mut world, operator, replace(&lines(&[4, 5, 6])));
    world.wait(Duration::from_millis(500));
    (1..=3).for_each(|sid| world.kill(sid));
    let writer = world.client(4);
    assert!(world.ask(writer, [create("/a", CreateMode::Persistent)]).contains("/a"));
    assert_eq!(world.state(4), world.state(6));
}

#[test]
fn an_ensemble_of_one_grows_and_shrinks() {
    let mut world = World::with_spares(1, 2);
    let operator = world.operator(1);
    change(&mut world, operator, reconfig(&lines(&[2]).replace('\n', ","), "", None));
    change(&mut world, operator, reconfig(&lines(&[3]), "", None));
    change(&mut world, operator, reconfig("", "2,3", None));
    world.kill(2);
    world.kill(3);
    assert!(world.ask(operator, [create("/a", CreateMode::Persistent)]).contains("/a"));
}

#[test]
fn a_server_that_leaves_and_comes_back_again_and_again_misses_nothing() {
    const WRITES: usize = 200;
    let mut world = World::new(3);
    let operator = world.operator(3);
    let writer = world.client(2);
    for round in 0..5 {
        change(&mut world, operator, reconfig("", "1", None));
        for number in 0..WRITES {
            let path = format!("/of-{round}-{number}");
            world.ask(writer, [create(&path, CreateMode::Persistent)]);
        }
        change(&mut world, operator, reconfig(&lines(&[1]), "", None));
        world.wait(Duration::from_millis(500));
        let reader = world.client(1);
        let last = format!("/of-{round}-{}", WRITES - 1);
        assert!(world.ask(reader, [sync(), get(&last)]).contains("data"), "{last}");
        assert_eq!(world.state(1), world.state(3), "round {round}");
    }
    world.kill(2);
    assert!(world.ask(operator, [create("/counts", CreateMode::Persistent)]).contains("/counts"));
}

#[test]
fn who_is_alone_between_two_others_brings_everything_along() {
    let mut world = World::with_spares(1, 2);
    let operator = world.operator(1);
    world.ask(operator, [create("/first", CreateMode::Persistent)]);
    change(&mut world, operator, reconfig(&lines(&[2]), "", None));
    world.ask(operator, [create("/second", CreateMode::Persistent)]);
    change(&mut world, operator, reconfig("", "1", None));
    world.kill(1);
    world.wait(Duration::from_millis(500));
    let operator = world.operator(2);
    world.ask(operator, [create("/third", CreateMode::Persistent)]);
    change(&mut world, operator, reconfig(&lines(&[3]), "", None));
    let reader = world.client(3);
    for path in ["/first", "/second", "/third"] {
        assert!(world.ask(reader, [sync(), get(path)]).contains("data"), "{path}");
    }
    assert_eq!(world.state(2), world.state(3));
}

#[test]
fn refusals_say_why_and_change_nothing() {
    let mut world = World::with_spares(3, 1);
    let operator = world.operator(3);
    let before = world.ask(operator, [get(CONFIG)]);
    let joiner = lines(&[4]);
    let unknown = lines(&[5, 6, 7, 8]).replace('\n', ",");
    let taken = format!("server.4={}", place(1));
    for (op, expected) in [
        (reconfig(&joiner, "", Some(1)), "BadVersion"),
        (reconfig("server.4", "", None), "BadArguments"),
        (reconfig("server.4=s4:2888:3888", "", None), "BadArguments"),
        (reconfig(&taken, "", None), "BadArguments"),
        (reconfig("server.4=a:1:2|b:1:2;3", "", None), "BadArguments"),
        (reconfig("", "1,2,3", None), "BadArguments"),
        (replace("server.1=s1:1:2:observer"), "BadArguments"),
        (reconfig(&unknown, "", None), "NewConfigNoQuorum"),
    ] {
        let told = world.ask(operator, [op.clone()]);
        assert!(told.contains(expected), "{op:?}: {told}");
    }
    let anybody = world.client(1);
    let told = world.ask(anybody, [reconfig(&joiner, "", None)]);
    assert!(told.contains("NoAuth"), "{told}");
    let numbers = |told: String| {
        told.split_once(' ').map(|(_, rest)| rest.split_once(' ').map(|(_, it)| it.to_owned()))
    };
    assert_eq!(numbers(world.ask(operator, [get(CONFIG)])), numbers(before));
}

#[test]
fn of_two_changes_at_once_the_second_is_refused() {
    let mut world = World::with_spares(3, 2);
    let operator = world.operator(3);
    let (first, second) = (lines(&[4]), lines(&[5]));
    let told = world.ask(operator, [reconfig(&first, "", None), reconfig(&second, "", None)]);
    assert!(told.contains("server.4=") && told.contains("ReconfigInProgress"), "{told}");
    change(&mut world, operator, reconfig(&second, "", None));
}

#[test]
fn a_change_waits_for_the_new_voters() {
    let mut world = World::with_spares(1, 1);
    let operator = world.operator(1);
    let joiner = lines(&[2]);
    world.isolate(2);
    assert_eq!(world.ask(operator, [reconfig(&joiner, "", None)]), "");
    assert!(world.memberships(1).pending().is_some());
    assert_eq!(world.ask(operator, [create("/a", CreateMode::Persistent)]), "");
}

#[test]
fn watches_of_the_membership_fire_once() {
    let mut world = World::with_spares(3, 1);
    let operator = world.operator(3);
    let watcher = world.client(1);
    let watched = Op::Read(Read::GetData { path: CONFIG.into(), watch: true });
    world.ask(watcher, [watched]);
    change(&mut world, operator, reconfig(&lines(&[4]), "", None));
    let told = world.told(watcher);
    assert_eq!(told.matches(CONFIG).count(), 1, "{told}");
}
