//! Values that several change: nothing is lost, nothing is counted twice.

mod fixture;

use reefkeeper_client::{CreateMode, Error as ClientError};
use reefkeeper_recipes::{AtomicValue, Counter, Error, Versioned};
use tokio::task::JoinSet;

use self::fixture::Fixture;

const PATH: &str = "/values/a";

#[tokio::test]
async fn all_that_is_added_is_in_the_sum() {
    let fixture = Fixture::start();
    let mut tasks = JoinSet::new();
    for number in 1..=5 {
        let counter = Counter::new(fixture.client().await, PATH);
        tasks.spawn(async move {
            for _ in 0..10 {
                counter.add(number).await.expect("added");
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("ran");
    }
    let client = fixture.client().await;
    assert_eq!(Counter::new(&client, PATH).get().await, Ok(150));
    let data = client.get_data(PATH).await.expect("there");
    assert_eq!(data.bytes(), 150_i64.to_be_bytes());
    assert_eq!(data.stat.version, 49);
}

#[tokio::test]
async fn a_counter_is_set_on_a_condition_and_wraps() {
    let fixture = Fixture::start();
    let counter = Counter::new(fixture.client().await, PATH);
    assert_eq!(counter.compare_and_set(1, 2).await, Ok(false));
    assert_eq!(counter.compare_and_set(0, i64::MAX).await, Ok(true));
    assert_eq!(counter.add(1).await, Ok(i64::MIN));
}

#[tokio::test]
async fn something_else_is_no_number() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    client.create("/text", "seven", CreateMode::Persistent).await.expect("created");
    let counter = Counter::new(&client, "/text");
    let unreadable =
        Error::Unreadable { path: "/text".to_owned(), expected: "number of eight bytes" };
    assert_eq!(counter.get().await, Err(unreadable.clone()));
    assert_eq!(counter.add(1).await, Err(unreadable));
}

#[tokio::test]
async fn a_value_is_set_if_nobody_has_changed_it() {
    let fixture = Fixture::start();
    let value = AtomicValue::new(fixture.client().await, PATH);
    assert_eq!(value.get().await, Ok(None));
    assert_eq!(value.compare_and_set(Some(0), "early").await, Ok(None));
    assert_eq!(value.compare_and_set(None, "first").await, Ok(Some(0)));
    assert_eq!(value.compare_and_set(None, "again").await, Ok(None));
    assert_eq!(value.compare_and_set(Some(0), "second").await, Ok(Some(1)));
    assert_eq!(value.compare_and_set(Some(0), "late").await, Ok(None));
    let now = Versioned { value: b"second".to_vec(), version: 1 };
    assert_eq!(value.get().await, Ok(Some(now)));
}

/// The answer to a write is lost; meanwhile the others do something, or nothing.
async fn lose_an_answer(
    change: impl AsyncFnOnce(&Counter),
) -> (Result<i64, Error>, Result<i64, Error>) {
    let fixture = Fixture::start();
    let other = Counter::new(fixture.client().await, PATH);
    other.add(10).await.expect("added");
    let (wire, client) = fixture.wired_client().await;
    let counter = Counter::new(&client, PATH);
    assert_eq!(counter.get().await, Ok(10));
    let watcher = fixture.client().await;
    let (_, changed) = watcher.get_data_and_watch(PATH).await.expect("there");

    // What was read must come before the answers stop.
    let (_, read) = watcher.get_data_and_watch(PATH).await.expect("there");
    drop(read);
    let value = AtomicValue::new(&client, PATH);
    let adding = async {
        let deafen = |before: Option<&[u8]>| {
            wire.deafen();
            let sum = i64::from_be_bytes(before.expect("there").try_into().expect("eight")) + 5;
            sum.to_be_bytes().to_vec()
        };
        let sum = value.update(deafen).await?;
        Ok(i64::from_be_bytes(sum.value.try_into().expect("eight")))
    };
    let disturb = async {
        changed.await.expect("told");
        change(&other).await;
        wire.cut();
        wire.mend();
    };
    let (sum, ()) = tokio::join!(adding, disturb);
    (sum, other.get().await)
}

#[tokio::test]
async fn an_answer_that_is_lost_is_an_error_if_nobody_can_know() {
    // The value is what this participant wanted; another may have wanted the same.
    let (sum, now) = lose_an_answer(async |_| {}).await;
    assert!(sum.expect_err("unknown").may_have_happened());
    assert_eq!(now, Ok(15));

    // It was changed again since.
    let (sum, now) = lose_an_answer(async |other| {
        other.add(1).await.expect("added");
    })
    .await;
    assert!(sum.expect_err("unknown").may_have_happened());
    assert_eq!(now, Ok(16));
}

#[tokio::test]
async fn a_change_goes_on_in_the_next_session() {
    let fixture = Fixture::start();
    let sessions = fixture.sessions();
    let counter = Counter::new(&sessions, PATH);
    assert_eq!(counter.add(1).await, Ok(1));
    fixture.expire(&sessions.current()).await;
    assert_eq!(counter.add(1).await, Ok(2));

    let single = fixture.client().await;
    let counter = Counter::new(&single, PATH);
    fixture.expire(&single).await;
    let expired = Err(Error::Client(ClientError::SessionExpired));
    assert_eq!(counter.add(1).await, expired);
}
