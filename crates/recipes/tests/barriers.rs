//! Barriers, under everything that can happen to a session.

mod fixture;

use std::time::Duration;

use reefkeeper_client::{Client, CreateMode, Error as ClientError};
use reefkeeper_recipes::{Barrier, DoubleBarrier, Entered, Error};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::fixture::{Fixture, children, disconnected, gone};

const PATH: &str = "/barriers/a";

fn enter(client: &Client, count: usize) -> JoinHandle<Result<Entered, Error>> {
    let barrier = DoubleBarrier::new(client, PATH, count);
    tokio::spawn(async move { barrier.enter().await })
}

async fn entered(entering: JoinHandle<Result<Entered, Error>>) -> Entered {
    entering.await.expect("ran").expect("entered")
}

#[tokio::test]
async fn a_closed_barrier_holds_up_until_it_is_opened() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let (keeper, barrier) = (Barrier::new(&one, PATH), Barrier::new(&two, PATH));
    assert_eq!(barrier.is_closed().await, Ok(false));
    assert_eq!(barrier.passed().await, Ok(()));
    for _ in 0..2 {
        assert_eq!(keeper.close().await, Ok(()));
    }
    two.sync(PATH).await.expect("synchronized");
    assert_eq!(barrier.is_closed().await, Ok(true));
    let mut passing = Box::pin(barrier.passed());
    let passed_early = tokio::select! {
        biased;
        _ = &mut passing => true,
        _ = two.set_data(PATH, "", None) => false,
    };
    assert!(!passed_early);
    for _ in 0..2 {
        assert_eq!(keeper.open().await, Ok(()));
    }
    assert_eq!(passing.await, Ok(()));
}

#[tokio::test]
async fn waiting_at_a_barrier_outlives_connections_and_sessions() {
    let fixture = Fixture::start();
    let keeper = Barrier::new(fixture.client().await, PATH);
    keeper.close().await.expect("closed");
    let (wire, client) = fixture.wired_client().await;
    let over_connections = Barrier::new(&client, PATH);
    let over_connections = tokio::spawn(async move { over_connections.passed().await });
    let sessions = fixture.sessions();
    let over_sessions = Barrier::new(&sessions, PATH);
    assert_eq!(over_sessions.is_closed().await, Ok(true));
    let over_sessions = tokio::spawn(async move { over_sessions.passed().await });
    let single = fixture.client().await;
    let in_session = Barrier::new(&single, PATH);
    let in_session = tokio::spawn(async move { in_session.passed().await });

    wire.cut();
    disconnected(&client).await;
    fixture.expire(&sessions.current()).await;
    fixture.expire(&single).await;
    let expired = Err(Error::Client(ClientError::SessionExpired));
    assert_eq!(in_session.await.expect("ran"), expired);
    keeper.open().await.expect("opened");
    wire.mend();
    assert_eq!(over_connections.await.expect("ran"), Ok(()));
    assert_eq!(over_sessions.await.expect("ran"), Ok(()));
}

#[tokio::test]
async fn all_enter_together_and_leave_together() {
    let fixture = Fixture::start();
    let watcher = fixture.client().await;
    let mut entering = Vec::new();
    for present in 1..=3 {
        let client = fixture.client().await;
        entering.push(enter(&client, 4));
        children(&watcher, PATH, present).await;
        assert!(entering.iter().all(|entering| !entering.is_finished()));
    }
    entering.push(enter(&fixture.client().await, 4));
    let mut inside = Vec::new();
    for participant in entering {
        inside.push(entered(participant).await);
    }
    // The four, and the znode that says that all have come.
    children(&watcher, PATH, 5).await;

    let last = inside.pop().expect("four");
    let leaving: Vec<_> = inside.into_iter().map(|one| tokio::spawn(one.leave())).collect();
    // The lowest stays until it is alone, the others have gone: so it is one or two, and "ready".
    let mut left = watcher.get_children(PATH).await.expect("answered").names.len();
    while left > 3 {
        left = watcher.get_children(PATH).await.expect("answered").names.len();
    }
    assert!(leaving.iter().any(|leaving| !leaving.is_finished()));
    last.leave().await.expect("left");
    for one in leaving {
        one.await.expect("ran").expect("left");
    }
    children(&watcher, PATH, 0).await;
}

/// A participant of kazoo takes the sign away when it begins to leave, and not when all have left.
#[tokio::test]
async fn who_was_told_that_all_have_come_enters_although_others_leave_already() {
    let fixture = Fixture::start();
    let hasty = fixture.client().await;
    let waiting = enter(&fixture.client().await, 2);
    children(&hasty, PATH, 1).await;
    let ready = format!("{PATH}/ready");
    let told = async {
        // It waits for the sign soon, and not at once. Nobody finds it who looks for it.
        while !waiting.is_finished() {
            let sign = hasty.transaction().create(&ready, "", CreateMode::Persistent);
            sign.delete(&ready, None).commit().await.expect("committed");
        }
    };
    timeout(Duration::from_secs(20), told).await.expect("told");
    entered(waiting).await.leave().await.expect("left");
}

#[tokio::test]
async fn a_participant_that_is_lost_before_counts_no_more() {
    let fixture = Fixture::start();
    let watcher = fixture.client().await;
    let (one, two) = (fixture.client().await, fixture.client().await);
    let lost = enter(&one, 2);
    children(&watcher, PATH, 1).await;
    fixture.expire(&one).await;
    let outcome = lost.await.expect("ran");
    assert_eq!(outcome.err(), Some(Error::Client(ClientError::SessionExpired)));

    let given_up = enter(&two, 2);
    children(&watcher, PATH, 1).await;
    given_up.abort();
    children(&watcher, PATH, 0).await;

    let deleted = enter(&two, 2);
    let name = children(&watcher, PATH, 1).await.remove(0);
    watcher.delete(&format!("{PATH}/{name}"), None).await.expect("deleted");
    let first = enter(&two, 2);
    let second = enter(&watcher, 2);
    drop((entered(first).await, entered(second).await));
    // It waits for the others, who have come: that it was deleted makes no difference to it.
    drop(deleted.await.expect("ran"));
}

#[tokio::test]
async fn the_others_leave_without_one_that_is_lost_inside() {
    let fixture = Fixture::start();
    let watcher = fixture.client().await;
    let clients = [fixture.client().await, fixture.client().await, fixture.client().await];
    let entering = clients.each_ref().map(|client| enter(client, 3));
    let mut inside = Vec::new();
    for participant in entering {
        inside.push(entered(participant).await);
    }
    fixture.expire(&clients[2]).await;
    let lost = inside.pop().expect("three");
    let leaving: Vec<_> = inside.into_iter().map(|one| tokio::spawn(one.leave())).collect();
    for one in leaving {
        one.await.expect("ran").expect("left");
    }
    assert_eq!(lost.leave().await, Err(Error::Client(ClientError::SessionExpired)));
    children(&watcher, PATH, 0).await;
}

#[tokio::test]
async fn entering_and_leaving_go_on_over_lost_connections() {
    let fixture = Fixture::start();
    let watcher = fixture.client().await;
    watcher.ensure(PATH, CreateMode::Persistent).await.expect("created");
    let (wire, client) = fixture.wired_client().await;
    wire.deafen();
    let one = enter(&client, 2);
    let name = children(&watcher, PATH, 1).await.remove(0);
    wire.cut();
    wire.mend();
    let two = enter(&watcher, 2);
    let (one, two) = (entered(one).await, entered(two).await);
    let names = children(&watcher, PATH, 3).await;
    assert!(names.contains(&name), "it came once: {names:?}");

    let leaving = tokio::spawn(two.leave());
    wire.cut();
    wire.mend();
    one.leave().await.expect("left");
    leaving.await.expect("ran").expect("left");
    children(&watcher, PATH, 0).await;
    gone(&watcher, &format!("{PATH}/ready")).await;
}
