//! Watches, against a server.

mod fixture;

use std::future::{Future, poll_fn};
use std::task::Poll;

use reefkeeper_client::{
    Change, CreateMode, Error, ErrorCode, EventKind, WatchEvent, WatchMode, WatcherKind,
};

use self::fixture::{Fixture, Wire};

fn what(change: Option<Change>) -> (EventKind, String) {
    match change {
        Some(Change::Event(WatchEvent { kind, path, .. })) => (kind, path),
        other => panic!("an event was due, not {other:?}"),
    }
}

#[tokio::test]
async fn one_shot_watches_tell_the_next_change() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let other = fixture.client().await;

    let (stat, created) = client.exists_and_watch("/a").await.expect("answered");
    assert_eq!(stat, None);
    let (_, children) = client.get_children_and_watch("/").await.expect("answered");
    let stat = other.create("/a", "", CreateMode::Persistent).await.expect("created").stat;
    let event = created.await.expect("told");
    assert_eq!(event.zxid, Some(stat.czxid));
    assert_eq!((event.kind, event.path.as_str()), (EventKind::NodeCreated, "/a"));
    let event = children.await.expect("told");
    assert_eq!((event.kind, event.path.as_str()), (EventKind::NodeChildrenChanged, "/"));

    let (_, changed) = client.get_data_and_watch("/a").await.expect("answered");
    other.set_data("/a", "x", None).await.expect("set");
    assert_eq!(changed.await.map(|event| event.kind), Ok(EventKind::NodeDataChanged));

    let (_, deleted) = client.get_data_and_watch("/a").await.expect("answered");
    other.delete("/a", None).await.expect("deleted");
    assert_eq!(deleted.await.map(|event| event.kind), Ok(EventKind::NodeDeleted));
}

#[tokio::test]
async fn a_failed_read_sets_no_watch() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let answer = client.get_data_and_watch("/a").await;
    assert!(matches!(answer, Err(Error::Refused(ErrorCode::NoNode))));
    assert_eq!(client.has_watch("/a", WatcherKind::Any).await, Ok(false));
}

#[tokio::test]
async fn persistent_watches_go_on() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let mut node = client.add_watch("/a", WatchMode::Persistent).await.expect("set");
    let mut tree = client.add_watch("/", WatchMode::PersistentRecursive).await.expect("set");

    client.create("/a", "", CreateMode::Persistent).await.expect("created");
    client.create("/a/b", "", CreateMode::Persistent).await.expect("created");
    client.set_data("/a/b", "x", None).await.expect("set");
    client.set_data("/a", "x", None).await.expect("set");
    client.delete("/a/b", None).await.expect("deleted");
    client.delete("/a", None).await.expect("deleted");

    for (kind, path) in [
        (EventKind::NodeCreated, "/a"),
        (EventKind::NodeChildrenChanged, "/a"),
        (EventKind::NodeDataChanged, "/a"),
        (EventKind::NodeChildrenChanged, "/a"),
        (EventKind::NodeDeleted, "/a"),
    ] {
        assert_eq!(what(node.next().await), (kind, path.to_owned()));
    }
    for (kind, path) in [
        (EventKind::NodeCreated, "/a"),
        (EventKind::NodeCreated, "/a/b"),
        (EventKind::NodeDataChanged, "/a/b"),
        (EventKind::NodeDataChanged, "/a"),
        (EventKind::NodeDeleted, "/a/b"),
        (EventKind::NodeDeleted, "/a"),
    ] {
        assert_eq!(what(tree.next().await), (kind, path.to_owned()));
    }
    client.close().await.expect("closed");
    assert_eq!(node.next().await, None);
    assert_eq!(tree.next().await, None);
}

#[tokio::test]
async fn a_dropped_stream_is_removed_from_the_server() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let first = client.add_watch("/a", WatchMode::Persistent).await.expect("set");
    let second = client.add_watch("/a", WatchMode::Persistent).await.expect("set");
    drop(first);
    assert_eq!(client.has_watch("/a", WatcherKind::Any).await, Ok(true));
    drop(second);
    assert_eq!(client.has_watch("/a", WatcherKind::Any).await, Ok(false));
}

#[tokio::test]
async fn a_stream_that_nobody_waited_for_is_removed_too() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let mut adding = Box::pin(client.add_watch("/a", WatchMode::Persistent));
    // Asked for once, so that it is sent, and then given up.
    assert!(poll_fn(|context| Poll::Ready(adding.as_mut().poll(context))).await.is_pending());
    drop(adding);
    client.sync("/").await.expect("synchronized");
    assert_eq!(client.has_watch("/a", WatcherKind::Any).await, Ok(false));
}

#[tokio::test]
async fn removed_watches_end() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let (_, one_shot) = client.exists_and_watch("/a").await.expect("answered");
    client.remove_watches("/a", WatcherKind::Data).await.expect("removed");
    assert_eq!(one_shot.await, Err(Error::Refused(ErrorCode::NoWatcher)));

    let mut stream = client.add_watch("/a", WatchMode::Persistent).await.expect("set");
    client.remove_watches("/a", WatcherKind::Any).await.expect("removed");
    assert_eq!(stream.next().await, None);
    let again = client.remove_watches("/a", WatcherKind::Any).await;
    assert_eq!(again, Err(Error::Refused(ErrorCode::NoWatcher)));
}

#[tokio::test]
async fn events_that_nobody_takes_become_a_gap() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let mut stream = client.add_watch("/a", WatchMode::Persistent).await.expect("set");
    client.create("/a", "", CreateMode::Persistent).await.expect("created");
    let sets: Vec<_> = (0..2000)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.set_data("/a", "x", None).await })
        })
        .collect();
    for set in sets {
        set.await.expect("ran").expect("set");
    }
    let mut events = 0;
    while let Some(Change::Event(_)) = stream.next().await {
        events += 1;
    }
    assert!((1..2001).contains(&events), "{events} events before the gap");
    client.delete("/a", None).await.expect("deleted");
    assert_eq!(what(stream.next().await), (EventKind::NodeDeleted, "/a".to_owned()));
}

#[tokio::test]
async fn watches_survive_a_lost_connection() {
    let fixture = Fixture::start();
    let wire = Wire::to(&fixture.address).await;
    let ensemble = wire.address();
    let client = reefkeeper_client::Client::connect(ensemble).await.expect("connected");
    let other = fixture.client().await;
    other.create("/a", "", CreateMode::Persistent).await.expect("created");

    let (_, changed) = client.get_data_and_watch("/a").await.expect("answered");
    let (_, later) = client.exists_and_watch("/later").await.expect("answered");
    let mut stream = client.add_watch("/b", WatchMode::Persistent).await.expect("set");
    let mut states = client.states();
    wire.cut();
    while states.current().is_connected() {
        states.changed().await.expect("not over");
    }
    other.set_data("/a", "while away", None).await.expect("set");
    wire.mend();

    assert_eq!(changed.await.map(|event| event.kind), Ok(EventKind::NodeDataChanged));
    assert_eq!(stream.next().await, Some(Change::Gap));
    other.create("/b", "", CreateMode::Persistent).await.expect("created");
    assert_eq!(what(stream.next().await), (EventKind::NodeCreated, "/b".to_owned()));
    other.create("/later", "", CreateMode::Persistent).await.expect("created");
    assert_eq!(later.await.map(|event| event.kind), Ok(EventKind::NodeCreated));
}
