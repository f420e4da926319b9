//! Locks that several hold at the same time.

mod fixture;

use std::sync::Arc;

use reefkeeper_client::CreateMode;
use reefkeeper_recipes::{Hold, Lock, Naming, ReadWriteLock, Semaphore};
use tokio::task::JoinSet;

use self::fixture::{Fixture, Room, children, disconnected};

const PATH: &str = "/locks/a";

async fn held(waiting: tokio::task::JoinHandle<Result<Hold, reefkeeper_recipes::Error>>) -> Hold {
    waiting.await.expect("ran").expect("held")
}

#[tokio::test]
async fn readers_share_it_and_writers_do_not() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let lock = ReadWriteLock::new(&client, PATH);
    let readers = [lock.read().await.expect("held"), lock.read().await.expect("held")];
    assert!(lock.try_write().await.expect("answered").is_none());

    let writer = tokio::spawn({
        let lock = lock.clone();
        async move { lock.write().await }
    });
    children(&client, PATH, 3).await;
    // Who comes after a writer that waits, waits too: writers do not starve.
    assert!(lock.try_read().await.expect("answered").is_none());
    let late_reader = tokio::spawn({
        let lock = lock.clone();
        async move { lock.read().await }
    });
    children(&client, PATH, 4).await;

    let token = readers[1].token();
    for reader in readers {
        assert!(!writer.is_finished() && !late_reader.is_finished());
        reader.release().await.expect("released");
    }
    let writer = held(writer).await;
    assert!(writer.token() > token);
    assert!(!late_reader.is_finished());
    assert!(lock.try_read().await.expect("answered").is_none());
    writer.release().await.expect("released");
    let late_reader = held(late_reader).await;
    assert!(lock.try_read().await.expect("answered").is_some());
    late_reader.release().await.expect("released");
}

#[tokio::test]
async fn a_writer_that_gives_up_lets_readers_through() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let lock = ReadWriteLock::new(&client, PATH).label("me");
    let reader = lock.read().await.expect("held");
    let writer = tokio::spawn({
        let lock = lock.clone();
        async move { lock.write().await }
    });
    children(&client, PATH, 2).await;
    let late_reader = tokio::spawn({
        let lock = lock.clone();
        async move { lock.read().await }
    });
    children(&client, PATH, 3).await;
    let contenders = lock.contenders().await.expect("answered");
    assert!(contenders.iter().all(|contender| &*contender.label == b"me"));
    writer.abort();
    held(late_reader).await.release().await.expect("released");
    reader.release().await.expect("released");
}

#[tokio::test]
async fn a_writer_whose_session_expires_lets_readers_through() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let writer = ReadWriteLock::new(&one, PATH).write().await.expect("held");
    let reader = ReadWriteLock::new(&two, PATH);
    let reader = tokio::spawn(async move { reader.read().await });
    children(&two, PATH, 2).await;
    fixture.expire(&one).await;
    assert!(held(reader).await.token() > writer.token());
}

#[tokio::test]
async fn readers_and_writers_of_kazoo_are_in_the_same_line() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    client.ensure(PATH, CreateMode::Persistent).await.expect("created");
    let lock = ReadWriteLock::new(&client, PATH);
    let create = async |name: &str| {
        let path = format!("{PATH}/{name}");
        client.create(&path, "", CreateMode::EphemeralSequential).await.expect("created").path
    };
    let reader = create("0af1__rlock__").await;
    assert!(lock.try_write().await.expect("answered").is_none());
    assert!(lock.try_read().await.expect("answered").is_some());
    client.delete(&reader, None).await.expect("deleted");
    children(&client, PATH, 0).await;
    let writer = create("0af1__lock__").await;
    assert!(lock.try_read().await.expect("answered").is_none());
    client.delete(&writer, None).await.expect("deleted");
    assert!(lock.try_write().await.expect("answered").is_some());
}

#[tokio::test]
async fn readers_and_writers_with_names_of_kazoo_are_known_to_the_others() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let (kazoo, curator) = (
        ReadWriteLock::new(&client, PATH).naming(Naming::Kazoo),
        ReadWriteLock::new(&client, PATH),
    );
    let reader = kazoo.read().await.expect("held");
    assert!(reader.path().contains("__rlock__"), "{}", reader.path());
    let with_it = curator.read().await.expect("held");
    assert!(curator.try_write().await.expect("answered").is_none());
    with_it.release().await.expect("released");
    reader.release().await.expect("released");
    let writer = kazoo.write().await.expect("held");
    assert!(writer.path().contains("__lock__"), "{}", writer.path());
    assert!(curator.try_read().await.expect("answered").is_none());
}

#[tokio::test]
async fn a_semaphore_lets_so_many_in_and_no_more() {
    let fixture = Fixture::start();
    let room = Arc::new(Room::default());
    let mut tasks = JoinSet::new();
    for _ in 0..6 {
        let semaphore = Semaphore::new(fixture.client().await, PATH, 3);
        let room = Arc::clone(&room);
        tasks.spawn(async move {
            for _ in 0..5 {
                let hold = semaphore.acquire().await.expect("held");
                room.visit(3).await;
                hold.release().await.expect("released");
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("ran");
    }
}

#[tokio::test]
async fn a_semaphore_is_full_until_any_holder_leaves() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let semaphore = Semaphore::new(&client, PATH, 2).label("me");
    let first = semaphore.acquire().await.expect("held");
    let second = semaphore.try_acquire().await.expect("answered").expect("room");
    assert!(semaphore.try_acquire().await.expect("answered").is_none());
    let limit = std::time::Duration::from_millis(20);
    assert!(semaphore.acquire_within(limit).await.expect("answered").is_none());
    let holders = semaphore.holders().await.expect("answered");
    let paths: Vec<_> = holders.iter().map(|holder| holder.path.as_str()).collect();
    assert_eq!(paths[..2], [first.path(), second.path()]);

    children(&client, &format!("{PATH}/leases"), 2).await;
    let third = tokio::spawn({
        let semaphore = semaphore.clone();
        async move { semaphore.acquire().await }
    });
    children(&client, &format!("{PATH}/leases"), 3).await;
    // Not the first in line, but any of them.
    second.release().await.expect("released");
    let third = held(third).await;
    children(&client, &format!("{PATH}/locks"), 0).await;
    first.release().await.expect("released");
    third.release().await.expect("released");
}

#[tokio::test]
async fn the_place_of_a_holder_whose_session_expires_is_free() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let holder = Semaphore::new(&one, PATH, 1).acquire().await.expect("held");
    let next = Semaphore::new(&two, PATH, 1);
    let next = tokio::spawn(async move { next.acquire().await });
    children(&two, &format!("{PATH}/leases"), 2).await;
    fixture.expire(&one).await;
    assert!(held(next).await.token() > holder.token());
}

#[tokio::test]
async fn waiting_for_a_semaphore_goes_on_over_a_lost_connection() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let (wire, client) = fixture.wired_client().await;
    let holder = Semaphore::new(&other, PATH, 1).acquire().await.expect("held");
    let next = Semaphore::new(&client, PATH, 1);
    let next = tokio::spawn(async move { next.acquire().await });
    children(&other, &format!("{PATH}/leases"), 2).await;
    wire.cut();
    disconnected(&client).await;
    holder.release().await.expect("released");
    wire.mend();
    held(next).await.release().await.expect("released");
    children(&other, &format!("{PATH}/leases"), 0).await;
}

#[test]
fn recipes_run_without_async() {
    let server = ::fixture::Standalone::start();
    let client = reefkeeper_client::blocking::Client::connect(server.address()).expect("connected");
    let lock = Lock::new(client.asynchronous(), PATH);
    let hold = client.block_on(lock.acquire()).expect("held");
    // The drop happens outside of the runtime.
    drop(hold);
    let hold = client.block_on(lock.acquire()).expect("held");
    client.block_on(hold.release()).expect("released");
}
