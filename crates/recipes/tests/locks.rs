//! The lock, and several of them together, under everything that can happen to a session.

mod fixture;

use std::sync::Arc;
use std::time::Duration;

use reefkeeper_client::{CreateMode, Error as ClientError, ErrorCode, SessionState};
use reefkeeper_recipes::{
    Certainty, Error, FencingToken, Lock, Loss, MultiLock, Naming, ReadWriteLock,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::fixture::{
    CREATE, Fixture, GET_CHILDREN, Room, THROTTLED, children, disconnected, gone, in_state,
};

const PATH: &str = "/locks/a";

/// Longer than any of this takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn one_at_a_time_holds_it_and_tokens_grow() {
    let fixture = Fixture::start();
    let room = Arc::new(Room::default());
    let tokens = Arc::new(std::sync::Mutex::new(Vec::<FencingToken>::new()));
    let mut tasks = JoinSet::new();
    for _ in 0..5 {
        let lock = Lock::new(fixture.client().await, PATH);
        let (room, tokens) = (Arc::clone(&room), Arc::clone(&tokens));
        tasks.spawn(async move {
            for _ in 0..10 {
                let hold = lock.acquire().await.expect("held");
                tokens.lock().expect("whole").push(hold.token());
                room.visit(1).await;
                hold.release().await.expect("released");
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("ran");
    }
    let tokens = tokens.lock().expect("whole");
    assert_eq!(tokens.len(), 50);
    assert!(tokens.is_sorted_by(|one, next| one < next), "{tokens:?}");
}

#[tokio::test]
async fn it_is_held_in_the_order_of_arrival() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let lock = |label: &str| Lock::new(&client, PATH).label(label);
    let first = lock("first").acquire().await.expect("held");
    let mut waiting = Vec::new();
    for label in ["second", "third"] {
        let lock = lock(label);
        waiting.push(tokio::spawn(async move { lock.acquire().await }));
        children(&client, PATH, waiting.len() + 1).await;
    }
    let contenders = lock("").contenders().await.expect("answered");
    let labels: Vec<_> = contenders.iter().map(|contender| &*contender.label).collect();
    assert_eq!(labels, [b"first".as_slice(), b"second", b"third"]);
    assert_eq!(contenders[0].token, first.token());

    // One that gives up does not let those behind it go ahead.
    waiting.remove(0).abort();
    gone(&client, &contenders[1].path).await;
    assert!(!waiting[0].is_finished());
    drop(first);
    let third = waiting.remove(0).await.expect("ran").expect("held");
    assert_eq!(third.path(), contenders[2].path);
}

#[tokio::test]
async fn trying_takes_it_only_when_nobody_is_in_line() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let hold = Lock::new(&one, PATH).try_acquire().await.expect("answered").expect("free");
    let other = Lock::new(&two, PATH);
    assert!(other.try_acquire().await.expect("answered").is_none());
    let limit = Duration::from_millis(20);
    assert!(other.acquire_within(limit).await.expect("answered").is_none());
    children(&two, PATH, 1).await;
    hold.release().await.expect("released");
    let minute = Duration::from_secs(60);
    assert!(other.acquire_within(minute).await.expect("answered").is_some());
}

#[tokio::test]
async fn a_dropped_wait_gives_its_place_up() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let hold = Lock::new(&one, PATH).acquire().await.expect("held");
    let waiting = Lock::new(&two, PATH);
    let waiting = tokio::spawn(async move { waiting.acquire().await });
    children(&one, PATH, 2).await;
    waiting.abort();
    children(&one, PATH, 1).await;
    assert_eq!(hold.certainty(), Certainty::Held);
}

#[tokio::test]
async fn a_holder_whose_session_expires_is_followed_by_the_next() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let first = Lock::new(&one, PATH).acquire().await.expect("held");
    let next = Lock::new(&two, PATH);
    let next = tokio::spawn(async move { next.acquire().await });
    children(&two, PATH, 2).await;
    fixture.expire(&one).await;
    assert_eq!(first.lost().await, Loss::SessionOver(SessionState::Expired));
    assert_eq!(first.certainty(), Certainty::Lost);
    let second = next.await.expect("ran").expect("held");
    assert!(second.token() > first.token());
    // There is nothing left to release.
    first.release().await.expect("released");
    assert_eq!(second.certainty(), Certainty::Held);
}

#[tokio::test]
async fn who_waits_in_a_session_that_expires_starts_over_if_there_is_another() {
    let fixture = Fixture::start();
    let (holder, single) = (fixture.client().await, fixture.client().await);
    let hold = Lock::new(&holder, PATH).acquire().await.expect("held");

    let waiting = Lock::new(&single, PATH);
    let waiting = tokio::spawn(async move { waiting.acquire().await });
    children(&holder, PATH, 2).await;
    fixture.expire(&single).await;
    let outcome = waiting.await.expect("ran");
    assert_eq!(outcome.err(), Some(Error::Client(ClientError::SessionExpired)));

    let sessions = fixture.sessions();
    let waiting = Lock::new(&sessions, PATH);
    let waiting = tokio::spawn(async move { waiting.acquire().await });
    let before = children(&holder, PATH, 2).await;
    fixture.expire(&sessions.current()).await;
    let mut after = children(&holder, PATH, 2).await;
    while after == before {
        tokio::task::yield_now().await;
        after = children(&holder, PATH, 2).await;
    }
    hold.release().await.expect("released");
    let second = waiting.await.expect("ran").expect("held");
    assert_eq!(second.certainty(), Certainty::Held);
}

#[tokio::test]
async fn a_place_outlives_a_lost_connection() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let (wire, client) = fixture.wired_client().await;
    let first = Lock::new(&other, PATH).acquire().await.expect("held");
    let lock = Lock::new(&client, PATH);
    let waiting = tokio::spawn(async move { lock.acquire().await });
    children(&other, PATH, 2).await;
    wire.cut();
    disconnected(&client).await;
    // The one before leaves while nobody can tell it.
    let second_path = Lock::new(&other, PATH).contenders().await.expect("answered")[1].path.clone();
    first.release().await.expect("released");
    wire.mend();
    let second = waiting.await.expect("ran").expect("held");
    assert_eq!(second.path(), second_path);
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_found_again() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    other.ensure(PATH, CreateMode::Persistent).await.expect("created");
    let (wire, client) = fixture.wired_client().await;
    wire.deafen();
    let lock = Lock::new(&client, PATH);
    let acquiring = tokio::spawn(async move { lock.acquire().await });
    let created = children(&other, PATH, 1).await;
    wire.cut();
    wire.mend();
    let hold = acquiring.await.expect("ran").expect("held");
    assert_eq!(hold.path(), format!("{PATH}/{}", created[0]));
    assert_eq!(children(&other, PATH, 1).await, created);
    let stat = other.exists(hold.path()).await.expect("answered").expect("there");
    assert_eq!(hold.token().zxid(), stat.czxid);
}

#[tokio::test]
async fn a_create_that_nobody_waits_for_anymore_is_cleaned_up() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    other.ensure(PATH, CreateMode::Persistent).await.expect("created");
    let (wire, client) = fixture.wired_client().await;
    wire.deafen();
    let lock = Lock::new(&client, PATH);
    let acquiring = tokio::spawn(async move { lock.acquire().await });
    children(&other, PATH, 1).await;
    acquiring.abort();
    wire.mend();
    children(&other, PATH, 0).await;
    assert!(client.state().is_connected());
}

#[tokio::test]
async fn a_lost_connection_puts_the_holder_in_doubt_until_there_is_another() {
    let fixture = Fixture::start();
    let (wire, client) = fixture.wired_client().await;
    let hold = Lock::new(&client, PATH).acquire().await.expect("held");
    wire.cut();
    hold.in_doubt().await;
    assert_eq!(hold.certainty(), Certainty::InDoubt);
    wire.mend();
    client.connected().await.expect("a server");
    assert_eq!(hold.certainty(), Certainty::Held);
    let other = fixture.client().await;
    assert!(Lock::new(&other, PATH).try_acquire().await.expect("answered").is_none());
    hold.release().await.expect("released");
}

#[tokio::test]
async fn a_release_goes_on_over_a_lost_connection() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let (wire, client) = fixture.wired_client().await;
    let hold = Lock::new(&client, PATH).acquire().await.expect("held");
    let path = hold.path().to_owned();
    wire.deafen();
    let releasing = tokio::spawn(hold.release());
    gone(&other, &path).await;
    wire.cut();
    wire.mend();
    assert_eq!(releasing.await.expect("ran"), Ok(()));
}

#[tokio::test]
async fn a_contender_that_somebody_deletes_is_told() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let hold = Lock::new(&one, PATH).acquire().await.expect("held");
    let waiting = Lock::new(&two, PATH);
    let waiting = tokio::spawn(async move { waiting.acquire().await });
    children(&one, PATH, 2).await;
    let contenders = Lock::new(&one, PATH).contenders().await.expect("answered");
    for contender in contenders.iter().rev() {
        one.delete(&contender.path, None).await.expect("deleted");
    }
    assert_eq!(hold.lost().await, Loss::Removed);
    let path = contenders[1].path.clone();
    assert_eq!(waiting.await.expect("ran").err(), Some(Error::Removed { path: path.clone() }));
    let missing = Err(Error::Removed { path: contenders[0].path.clone() });
    assert_eq!(hold.asked_to_give_way().await, missing);
    hold.release().await.expect("released");
}

#[tokio::test]
async fn a_holder_is_asked_to_give_way() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let hold = Lock::new(&one, PATH).label("one").acquire().await.expect("held");
    let asked = tokio::spawn(async move {
        hold.asked_to_give_way().await.expect("asked");
        hold.release().await.expect("released");
    });
    let lock = Lock::new(&two, PATH);
    let holder = &lock.contenders().await.expect("answered")[0];
    lock.revoke(holder).await.expect("asked");
    lock.acquire().await.expect("held").release().await.expect("released");
    asked.await.expect("ran");
    // One that has left needs not be asked.
    lock.revoke(holder).await.expect("gone");
}

#[tokio::test]
async fn contenders_of_kazoo_are_in_the_same_line() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    one.ensure(PATH, CreateMode::Persistent).await.expect("created");
    let theirs = format!("{PATH}/0af1__lock__");
    let theirs = one.create(&theirs, "", CreateMode::EphemeralSequential).await.expect("created");
    one.create(&format!("{PATH}/unrelated"), "", CreateMode::Persistent).await.expect("created");
    let lock = Lock::new(&two, PATH);
    assert!(lock.try_acquire().await.expect("answered").is_none());
    assert_eq!(lock.contenders().await.expect("answered").len(), 1);
    one.delete(&theirs.path, None).await.expect("deleted");
    let hold = lock.try_acquire().await.expect("answered").expect("free");
    // What Curator looks for: its prefix, a GUID, and the number after the last "lock-".
    let name = hold.path().rsplit('/').next().expect("a name");
    assert!(name.starts_with("_c_") && name.contains("-lock-"), "{name}");
}

#[tokio::test]
async fn contenders_with_names_of_either_library_are_in_one_line() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let lock = |naming| Lock::new(&client, PATH).naming(naming);
    for (one, other, kind) in
        [(Naming::Kazoo, Naming::Curator, "__lock__"), (Naming::Curator, Naming::Kazoo, "lock-")]
    {
        let hold = lock(one).acquire().await.expect("held");
        // What the other library looks for is right before the number.
        let (before, number) = hold.path().split_at(hold.path().len() - 10);
        assert!(before.ends_with(kind) && number.parse::<u32>().is_ok(), "{}", hold.path());
        assert!(lock(other).try_acquire().await.expect("answered").is_none());
        hold.release().await.expect("released");
        assert!(lock(other).try_acquire().await.expect("answered").is_some());
        children(&client, PATH, 0).await;
    }
}

#[tokio::test]
async fn several_locks_are_held_together() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let paths = ["/locks/b", "/locks/a", "/locks/b"];
    let both = MultiLock::new(paths.map(|path| Lock::new(&one, path)));
    let other = MultiLock::new(["/locks/a", "/locks/b"].map(|path| Lock::new(&two, path)));
    let holds = both.acquire().await.expect("held");
    let held: Vec<_> = holds.iter().map(|hold| &hold.path()[..8]).collect();
    assert_eq!(held, ["/locks/a", "/locks/b"]);
    assert!(other.try_acquire().await.expect("answered").is_none());
    drop(holds);
    assert_eq!(other.acquire().await.expect("held").len(), 2);

    // Half of it is not enough, and is given back.
    let third = Lock::new(&one, "/locks/b");
    children(&one, "/locks/a", 0).await;
    children(&one, "/locks/b", 0).await;
    let hold = third.acquire().await.expect("held");
    assert!(other.try_acquire().await.expect("answered").is_none());
    children(&one, "/locks/a", 0).await;
    hold.release().await.expect("released");
}

#[tokio::test]
async fn a_server_without_a_quorum_leaves_a_holder_in_doubt() {
    let fixture = Fixture::start();
    let (clerk, client) = fixture.client_of_a_clerk().await;
    let hold = Lock::new(&client, PATH).acquire().await.expect("held");
    assert_eq!(hold.certainty(), Certainty::Held);
    clerk.lose_the_quorum();
    in_state(&client, SessionState::ConnectedReadOnly).await;
    assert_eq!(hold.certainty(), Certainty::InDoubt);
    timeout(LONG, hold.in_doubt()).await.expect("at once");
    clerk.find_the_quorum();
    in_state(&client, SessionState::Connected).await;
    assert_eq!(hold.certainty(), Certainty::Held);
    hold.release().await.expect("released");
}

#[tokio::test]
async fn a_place_that_could_not_be_looked_for_is_given_up() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let (clerk, client) = fixture.client_of_a_clerk().await;
    client.ensure(PATH, CreateMode::Persistent).await.expect("created");
    clerk.keep_the_answer(CREATE);
    clerk.refuse(GET_CHILDREN, THROTTLED);
    let lock = Lock::new(&client, PATH);
    let disturb = async {
        clerk.played(1).await;
        clerk.cut();
        clerk.mend();
    };
    let (hold, ()) = tokio::join!(lock.acquire(), disturb);
    let refused = ClientError::Refused(ErrorCode::ThrottledOp);
    assert_eq!(hold.map(drop), Err(Error::Client(refused)));
    timeout(LONG, children(&other, PATH, 0)).await.expect("nothing is left behind");
}

#[tokio::test]
async fn time_limits_from_outside_leave_nothing_behind() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let (wire, client) = fixture.wired_client().await;
    let (one, two, three) = ("/locks/one", "/locks/two", "/locks/three");
    let held = Lock::new(&other, two).acquire().await.expect("held");
    let writing = ReadWriteLock::new(&other, three).write().await.expect("held");
    let both = MultiLock::new([one, two].map(|path| Lock::new(&client, path)));
    let shared = ReadWriteLock::new(&client, three);
    let brief = Duration::from_millis(20);
    assert!(timeout(brief, both.acquire()).await.is_err());
    assert!(timeout(brief, shared.read()).await.is_err());
    for (path, count) in [(one, 0), (two, 1), (three, 1)] {
        children(&other, path, count).await;
    }
    // Nor when it is over before an answer has come.
    wire.deafen();
    assert!(timeout(brief, both.acquire()).await.is_err());
    assert!(timeout(brief, shared.write()).await.is_err());
    for (path, count) in [(one, 1), (two, 1), (three, 2)] {
        children(&other, path, count).await;
    }
    wire.cut();
    wire.mend();
    for (path, count) in [(one, 0), (two, 1), (three, 1)] {
        children(&other, path, count).await;
    }
    held.release().await.expect("released");
    writing.release().await.expect("released");
}
