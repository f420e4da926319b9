//! Sessions over real connections and real time.

use types::{CreateMode, EventKind, SessionPassword, Xid};
use wire::event::WatchEvent;

use crate::fixture::{Host, Line, children, create, watch_exists};

#[test]
fn a_session_goes_on_over_another_connection() {
    let host = Host::start(&[]);
    let mut before = host.client();
    before.ask(create("/mine", CreateMode::Ephemeral));
    let mut after = Line::dial(host.address());
    assert!(after.greet(Some((before.session, &before.password)), 10_000));
    assert_eq!(after.session, before.session);
    assert!(before.is_closed());
    assert_eq!(after.ask(children("/")).names(), ["mine", "zookeeper"]);
}

#[test]
fn a_session_is_given_to_nobody_without_its_password() {
    let host = Host::start(&[]);
    let owner = host.client();
    let mut thief = Line::dial(host.address());
    assert!(!thief.greet(Some((owner.session, &SessionPassword([7; 16]))), 10_000));
    assert!(thief.is_closed());
}

#[test]
fn a_silent_session_ends_and_takes_its_ephemerals_along() {
    let host = Host::start(&[]);
    let mut watcher = host.client();
    let mut silent = Line::dial(host.address());
    silent.greet(None, 200);
    silent.ask(create("/mine", CreateMode::Ephemeral));
    assert_eq!(watcher.ask(watch_exists("/mine")).header.code, 0);
    let event = watcher.answer();
    assert_eq!(event.header.xid, Xid::NOTIFICATION);
    assert!(silent.is_closed());
    assert_eq!(watcher.ask(children("/")).names(), ["zookeeper"]);
    let mut late = Line::dial(host.address());
    assert!(!late.greet(Some((silent.session, &silent.password)), 200));
}

#[test]
fn an_event_tells_what_happened_where() {
    let host = Host::start(&[]);
    let (mut watcher, mut other) = (host.client(), host.client());
    watcher.ask(watch_exists("/a"));
    other.ask(create("/a", CreateMode::Persistent));
    let event = watcher.event();
    let created = WatchEvent { kind: EventKind::NodeCreated, path: "/a".into(), ..event.clone() };
    assert_eq!(event, created);
    assert!(event.zxid.is_some());
}
