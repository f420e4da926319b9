//! Tasks are each assigned to one worker, and have one outcome, whoever is lost.

mod fixture;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use reefkeeper_client::{Client, CreateMode, Error as ClientError, Sessions};
use reefkeeper_recipes::{Error, Presence, Task, Tasks, Worker};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::fixture::{Fixture, children, gone};

const PATH: &str = "/tasks/a";

/// Longer than any of this takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// Takes part in the election of the master until the test ends.
fn master(sessions: &Sessions, per_worker: usize) -> JoinHandle<()> {
    let tasks = Tasks::new(sessions, PATH).per_worker(per_worker);
    tokio::spawn(async move {
        tasks.assign("master").await.expect("sessions follow one another");
    })
}

async fn next(worker: &mut Worker) -> Task {
    timeout(LONG, worker.next()).await.expect("in time").expect("assigned")
}

#[tokio::test]
async fn tasks_are_done_in_their_order_and_have_outcomes() {
    let fixture = Fixture::start();
    let sessions = fixture.sessions();
    let tasks = Tasks::new(&sessions, PATH);
    let mut names = Vec::new();
    for what in ["one", "two", "three"] {
        names.push(tasks.submit(what).await.expect("submitted"));
    }
    assert_eq!(tasks.names().await, Ok(names.clone()));
    let waiting = tokio::spawn({
        let (tasks, last) = (tasks.clone(), names[2].clone());
        async move { tasks.outcome(&last).await }
    });
    master(&sessions, 1);
    let mut worker = Worker::join(fixture.sessions(), PATH, "worker");
    let mut last = None;
    for (what, name) in ["one", "two", "three"].iter().zip(&names) {
        let task = next(&mut worker).await;
        assert_eq!((task.data(), task.name()), (what.as_bytes(), name.as_str()));
        assert!(last < Some(task.token()));
        last = Some(task.token());
        task.done(format!("did {what}")).await.expect("done");
    }
    assert_eq!(waiting.await.expect("ran"), Ok(b"did three".to_vec()));
    for name in &names {
        assert!(tasks.outcome(name).await.is_ok());
        tasks.forget(name).await.expect("forgotten");
    }
    tasks.forget(&names[0]).await.expect("forgotten already");
    assert_eq!(tasks.names().await, Ok(Vec::new()));
    worker.leave().await.expect("left");
}

#[tokio::test]
async fn workers_have_as_many_as_they_may_and_the_next_have_the_rest() {
    let fixture = Fixture::start();
    let (sessions, other) = (fixture.sessions(), fixture.client().await);
    let tasks = Tasks::new(&sessions, PATH);
    for number in 0..5 {
        tasks.submit(number.to_string()).await.expect("submitted");
    }
    master(&sessions, 2);
    let mut one = Worker::join(fixture.sessions(), PATH, "one");
    let first = [next(&mut one).await, next(&mut one).await];
    children(&other, "/tasks/a/assigned/one", 2).await;
    let mut two = Worker::join(fixture.sessions(), PATH, "two");
    let second = [next(&mut two).await, next(&mut two).await];
    let data: Vec<_> = first.iter().chain(&second).map(Task::data).collect();
    assert_eq!(data, [b"0", b"1", b"2", b"3"]);

    // A task that is dropped is the worker's next again.
    let [dropped, kept] = first;
    let (name, token) = (dropped.name().to_owned(), dropped.token());
    drop(dropped);
    let again = next(&mut one).await;
    assert_eq!((again.name(), again.token()), (name.as_str(), token));
    again.done("").await.expect("done");
    assert_eq!(next(&mut one).await.data(), b"4");
    kept.done("").await.expect("done");
}

#[tokio::test]
async fn what_a_lost_worker_had_another_does_and_the_lost_one_is_refused() {
    let fixture = Fixture::start();
    let sessions = fixture.sessions();
    let tasks = Tasks::new(&sessions, PATH);
    let name = tasks.submit("x").await.expect("submitted");
    master(&sessions, 1);
    let doomed = fixture.client().await;
    let mut one = Worker::join(&doomed, PATH, "one");
    let begun = next(&mut one).await;
    // Its session goes on, but the master does not see it anymore.
    one.leave().await.expect("left");
    let mut two = Worker::join(fixture.sessions(), PATH, "two");
    let taken_over = next(&mut two).await;
    assert_eq!(taken_over.name(), name);
    assert!(taken_over.token() > begun.token());
    assert!(matches!(begun.done("late").await, Err(Error::Removed { .. })));
    taken_over.done("in time").await.expect("done");
    assert_eq!(tasks.outcome(&name).await, Ok(b"in time".to_vec()));

    let mut three = Worker::join(&doomed, PATH, "three");
    let expired = Err(Error::Client(ClientError::SessionExpired));
    fixture.expire(&doomed).await;
    assert_eq!(three.next().await.map(drop), expired);
}

#[tokio::test]
async fn another_master_takes_over_and_an_old_one_is_refused() {
    let fixture = Fixture::start();
    let (first, second) = (fixture.sessions(), fixture.sessions());
    let tasks = Tasks::new(fixture.client().await, PATH);
    let mut worker = Worker::join(fixture.sessions(), PATH, "worker");
    let (one, two) = (master(&first, 1), master(&second, 1));
    for round in 0..6 {
        let name = tasks.submit("x").await.expect("submitted");
        if round % 2 == 0 {
            fixture.expire(&first.current()).await;
        } else {
            fixture.expire(&second.current()).await;
        }
        let task = next(&mut worker).await;
        assert_eq!(task.name(), name);
        task.done("").await.expect("done");
    }
    one.abort();
    two.abort();
}

#[tokio::test]
async fn a_forgotten_task_has_no_outcome_and_is_not_done_again() {
    let fixture = Fixture::start();
    let sessions = fixture.sessions();
    let other = fixture.client().await;
    let tasks = Tasks::new(&sessions, PATH);
    let name = tasks.submit("x").await.expect("submitted");
    master(&sessions, 1);
    let mut worker = Worker::join(fixture.sessions(), PATH, "worker");
    let task = next(&mut worker).await;
    tasks.forget(&name).await.expect("forgotten");
    assert!(matches!(task.done("x").await, Err(Error::Removed { .. })));
    let following = tasks.submit("y").await.expect("submitted");
    assert_eq!(next(&mut worker).await.name(), following);
    gone(&other, &format!("/tasks/a/assigned/worker/{name}")).await;
    assert_eq!(other.exists(&format!("/tasks/a/done/{name}")).await, Ok(None));
}

#[tokio::test]
async fn a_report_whose_answer_is_lost_is_recognized() {
    let fixture = Fixture::start();
    let (sessions, other) = (fixture.sessions(), fixture.client().await);
    let tasks = Tasks::new(&sessions, PATH);
    let name = tasks.submit("x").await.expect("submitted");
    master(&sessions, 1);
    let (wire, client) = fixture.wired_client().await;
    let mut worker = Worker::join(&client, PATH, "worker");
    let task = next(&mut worker).await;
    other.ensure("/tasks/a/done", CreateMode::Persistent).await.expect("created");
    wire.deafen();
    let disturb = async {
        assert_eq!(tasks.outcome(&name).await, Ok(b"did".to_vec()));
        wire.cut();
        wire.mend();
    };
    let (done, ()) = tokio::join!(task.done("did"), disturb);
    assert_eq!(done, Ok(()));
}

#[tokio::test]
async fn two_workers_of_one_name_are_one_after_the_other() {
    let fixture = Fixture::start();
    let sessions = fixture.sessions();
    let tasks = Tasks::new(&sessions, PATH);
    master(&sessions, 1);
    let mut one = Worker::join(fixture.sessions(), PATH, "worker");
    tasks.submit("x").await.expect("submitted");
    let task = next(&mut one).await;
    let mut two = Worker::join(fixture.sessions(), PATH, "worker");
    let started = Instant::now();
    while !matches!(two.presence(), Presence::Blocked(_)) {
        assert!(started.elapsed() < LONG, "{:?}", two.presence());
        let waits = timeout(Duration::from_millis(20), two.next()).await;
        assert!(waits.is_err(), "it has the name of another: {waits:?}");
    }
    // What the first leaves undone the second goes on with, if it is there in time.
    drop(task);
    one.leave().await.expect("left");
    loop {
        let again = next(&mut two).await;
        assert_eq!(again.data(), b"x");
        // If it was not, the master takes the task back and assigns it again.
        match again.done("").await {
            Ok(()) => break,
            Err(error) => assert!(matches!(error, Error::Removed { .. }), "{error}"),
        }
    }
    assert_eq!(two.presence(), Presence::Present);
}

#[tokio::test]
async fn every_task_is_done_once_while_workers_and_masters_are_lost() {
    let fixture = Fixture::start();
    let tasks = Tasks::new(fixture.client().await, PATH);
    let everybody: Vec<Sessions> = (0..3).map(|_| fixture.sessions()).collect();
    for (number, sessions) in everybody.iter().enumerate() {
        master(sessions, 2);
        let mut worker = Worker::join(sessions, PATH, format!("worker-{number}"));
        tokio::spawn(async move {
            loop {
                let task = worker.next().await.expect("sessions follow one another");
                let outcome = task.data().to_vec();
                // One that was taken back, or whose session ended, is done again.
                drop(task.done(outcome).await);
            }
        });
    }
    let mut names = Vec::new();
    for number in 0..60_usize {
        names.push(tasks.submit(number.to_string()).await.expect("submitted"));
        if number % 6 == 5 {
            let client = everybody[number / 6 % everybody.len()].current();
            client.connected().await.expect("a server");
            fixture.expire(&client).await;
        }
    }
    let mut done = BTreeSet::new();
    for (number, name) in names.iter().enumerate() {
        let outcome = timeout(LONG, tasks.outcome(name)).await.expect("in time").expect("done");
        assert_eq!(outcome, number.to_string().as_bytes());
        done.insert(name.clone());
        tasks.forget(name).await.expect("forgotten");
    }
    assert_eq!(done.len(), 60);
    assert_eq!(tasks.names().await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_task_whose_submission_is_unknown_when_the_session_expires_may_be_there() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let (wire, client) = fixture.wired_client().await;
    let tasks = Tasks::new(&client, PATH);
    tasks.submit("first").await.expect("submitted");
    let directory = format!("{PATH}/tasks");
    wire.deafen();
    let expire = async {
        children(&other, &directory, 2).await;
        wire.cut();
        let ticket = client.ticket().expect("a session");
        let resumed = Client::builder(fixture.address.as_str()).resume(ticket).connect().await;
        resumed.expect("resumed").close().await.expect("closed");
        wire.mend();
    };
    let (submitted, ()) = tokio::join!(tasks.submit("second"), expire);
    let error = submitted.expect_err("nobody knows");
    assert!(error.may_have_happened(), "{error:?}");
    assert_eq!(Tasks::new(&other, PATH).names().await.expect("answered").len(), 2);
}
