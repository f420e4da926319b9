//! Queues: nothing is lost, nothing is worked on by two at a time.

mod fixture;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use reefkeeper_client::{CreateMode, Error as ClientError};
use reefkeeper_recipes::{DelayQueue, Error, Priority, Queue, Taken};
use tokio::task::JoinSet;

use self::fixture::{Fixture, children, disconnected, gone};

const PATH: &str = "/queues/a";

fn text(item: &Taken) -> String {
    String::from_utf8(item.data().to_vec()).expect("text")
}

async fn done(item: Taken) -> String {
    let text = text(&item);
    item.done().await.expect("done");
    text
}

#[tokio::test]
async fn items_come_out_in_the_order_in_which_they_were_put() {
    let fixture = Fixture::start();
    let queue = Queue::new(fixture.client().await, PATH);
    assert!(queue.is_empty().await.expect("answered"));
    assert!(queue.try_take().await.expect("answered").is_none());
    for item in ["one", "two"] {
        queue.put(item).await.expect("put");
    }
    queue.put_all(["three", "four"]).await.expect("put");
    queue.put_with("now", Priority::new(0).expect("valid")).await.expect("put");
    queue.put_with("late", Priority::new(999).expect("valid")).await.expect("put");
    assert_eq!(Priority::new(1000), None);
    assert_eq!(queue.len().await, Ok(6));
    for expected in ["now", "one", "two", "three", "four", "late"] {
        assert_eq!(done(queue.take().await.expect("taken")).await, expected);
    }
    assert!(queue.is_empty().await.expect("answered"));
}

#[tokio::test]
async fn many_workers_take_each_item_once() {
    let fixture = Fixture::start();
    let queue = Queue::new(fixture.client().await, PATH);
    queue.put_all((0..100).map(|number| number.to_string())).await.expect("put");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut workers = JoinSet::new();
    for _ in 0..10 {
        let queue = Queue::new(fixture.client().await, PATH);
        let seen = Arc::clone(&seen);
        workers.spawn(async move {
            while let Some(item) = queue.try_take().await.expect("answered") {
                let item = done(item).await;
                seen.lock().expect("whole").push(item);
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.expect("ran");
    }
    // A worker stops when all that is left is worked on by others, who are done with it.
    let seen = std::mem::take(&mut *seen.lock().expect("whole"));
    assert_eq!(seen.len(), 100);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 100);
    assert!(queue.is_empty().await.expect("answered"));
}

#[tokio::test]
async fn waiting_ends_with_an_item() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let taker = Queue::new(&one, PATH);
    let taking = tokio::spawn(async move { taker.take().await });
    // It has made the directories before it waits.
    children(&two, PATH, 2).await;
    Queue::new(&two, PATH).put("late").await.expect("put");
    assert_eq!(done(taking.await.expect("ran").expect("taken")).await, "late");
}

#[tokio::test]
async fn what_is_given_back_dropped_or_lost_is_taken_by_another() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let (worker, other) = (Queue::new(&one, PATH), Queue::new(&two, PATH));
    worker.put("item").await.expect("put");

    let taken = worker.take().await.expect("taken");
    let first_token = taken.token();
    assert!(other.try_take().await.expect("answered").is_none());
    taken.give_back().await.expect("given back");
    let again = other.take().await.expect("taken");
    assert!(again.token() > first_token);
    drop(again);
    let lost = worker.take().await.expect("taken");
    let waiting = tokio::spawn(async move { other.take().await });
    fixture.expire(&one).await;
    let found = waiting.await.expect("ran").expect("taken");
    let expired = Err(Error::Client(ClientError::SessionExpired));
    assert_eq!(lost.done().await, expired);
    assert_eq!(done(found).await, "item");
}

#[tokio::test]
async fn an_end_of_work_whose_answer_is_lost_is_found_out() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let (wire, client) = fixture.wired_client().await;
    let queue = Queue::new(&client, PATH);
    queue.put("item").await.expect("put");
    let taken = queue.take().await.expect("taken");
    let item = taken.path().to_owned();
    wire.deafen();
    let finishing = tokio::spawn(taken.done());
    gone(&other, &item).await;
    wire.cut();
    wire.mend();
    assert_eq!(finishing.await.expect("ran"), Ok(()));
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_says_so() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    other.ensure(&format!("{PATH}/entries"), CreateMode::Persistent).await.expect("created");
    let (wire, client) = fixture.wired_client().await;
    let queue = Queue::new(&client, PATH);
    wire.deafen();
    let putting = tokio::spawn(async move { queue.put("item").await });
    children(&other, &format!("{PATH}/entries"), 1).await;
    wire.cut();
    let error = putting.await.expect("ran").expect_err("unknown");
    assert!(error.may_have_happened(), "{error}");
}

#[tokio::test]
async fn waiting_goes_on_over_lost_connections_and_in_the_next_session() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let (wire, client) = fixture.wired_client().await;
    let queue = Queue::new(&client, PATH);
    let taking = tokio::spawn(async move { queue.take().await });
    children(&other, PATH, 2).await;
    wire.cut();
    disconnected(&client).await;
    Queue::new(&other, PATH).put("while away").await.expect("put");
    wire.mend();
    assert_eq!(done(taking.await.expect("ran").expect("taken")).await, "while away");

    let sessions = fixture.sessions();
    let queue = Queue::new(&sessions, PATH);
    let taking = tokio::spawn(async move { queue.take().await });
    sessions.current().connected().await.expect("a server");
    fixture.expire(&sessions.current()).await;
    Queue::new(&other, PATH).put("later").await.expect("put");
    assert_eq!(done(taking.await.expect("ran").expect("taken")).await, "later");
}

#[tokio::test]
async fn a_mark_that_somebody_deletes_is_told() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let queue = Queue::new(&one, PATH);
    queue.put("item").await.expect("put");
    let taken = queue.take().await.expect("taken");
    let mark = taken.path().replace("/entries/", "/taken/");
    two.delete(&mark, None).await.expect("deleted");
    assert_eq!(taken.done().await, Err(Error::Removed { path: mark }));
    assert_eq!(queue.len().await, Ok(1));
}

#[tokio::test]
async fn items_of_kazoo_are_taken_and_ours_have_its_names() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let entries = format!("{PATH}/entries");
    client.ensure(&entries, CreateMode::Persistent).await.expect("created");
    let theirs = format!("{entries}/entry-050-");
    let mode = CreateMode::PersistentSequential;
    client.create(&theirs, "theirs", mode).await.expect("created");
    let queue = Queue::new(&client, PATH);
    queue.put("ours").await.expect("put");
    let names = children(&client, &entries, 2).await;
    assert_eq!(names, ["entry-050-0000000000", "entry-100-0000000001"]);
    assert_eq!(done(queue.take().await.expect("taken")).await, "theirs");
}

#[tokio::test]
async fn delayed_items_come_out_when_they_are_due() {
    let fixture = Fixture::start();
    let queue = DelayQueue::new(fixture.client().await, PATH);
    let now = SystemTime::now();
    let soon = now + Duration::from_millis(100);
    queue.put("tomorrow", now + Duration::from_secs(86_400)).await.expect("put");
    queue.put("soon", soon).await.expect("put");
    queue.put("yesterday", now - Duration::from_secs(86_400)).await.expect("put");
    queue.put("long ago", SystemTime::UNIX_EPOCH - Duration::from_secs(1)).await.expect("put");
    for expected in ["long ago", "yesterday", "soon"] {
        assert_eq!(done(queue.take().await.expect("taken")).await, expected);
    }
    assert!(SystemTime::now() >= soon - Duration::from_millis(1));
    assert!(queue.try_take().await.expect("answered").is_none());
    assert_eq!(queue.len().await, Ok(1));
    assert!(!queue.is_empty().await.expect("answered"));
}
