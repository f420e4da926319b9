//! Words and decisions that are left once, and services that are found.

mod fixture;

use std::time::{Duration, SystemTime};

use reefkeeper_client::{CreateMode, Error as ClientError};
use reefkeeper_recipes::{
    CacheEvent, Error, Outcome, Presence, Registration, Rendezvous, ServiceInstance,
    ServiceProvider, Strategy, TwoPhaseCommit,
};

use self::fixture::{Fixture, children, disconnected, gone};

const PATH: &str = "/agreements/a";
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn word_is_left_once() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let (first, second) = (Rendezvous::new(&one, PATH), Rendezvous::new(&two, PATH));
    assert_eq!(second.try_word().await, Ok(None));
    let (one, two) = tokio::join!(first.leave("one"), second.leave("two"));
    assert_eq!(one, two);
    assert_eq!(first.word().await, one);
    assert_eq!(second.try_word().await, two.map(Some));
}

#[tokio::test]
async fn waiting_for_word_outlives_connections_and_sessions() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let (wire, client) = fixture.wired_client().await;
    let sessions = fixture.sessions();
    let waiting = [Rendezvous::new(&client, PATH), Rendezvous::new(&sessions, PATH)]
        .map(|place| tokio::spawn(async move { place.word().await }));
    sessions.current().connected().await.expect("a server");
    wire.cut();
    disconnected(&client).await;
    fixture.expire(&sessions.current()).await;
    Rendezvous::new(&other, PATH).leave("word").await.expect("left");
    wire.mend();
    for one in waiting {
        assert_eq!(one.await.expect("ran"), Ok(b"word".to_vec()));
    }
    let single = fixture.client().await;
    let place = Rendezvous::new(&single, "/nobody/comes");
    fixture.expire(&single).await;
    assert_eq!(place.word().await, Err(Error::Client(ClientError::SessionExpired)));
}

#[tokio::test]
async fn a_word_whose_answer_is_lost_is_left() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    other.ensure("/agreements", CreateMode::Persistent).await.expect("created");
    let (wire, client) = fixture.wired_client().await;
    let place = Rendezvous::new(&client, PATH);
    wire.deafen();
    let leaving = tokio::spawn(async move { place.leave("word").await });
    children(&other, "/agreements", 1).await;
    wire.cut();
    wire.mend();
    assert_eq!(leaving.await.expect("ran"), Ok(b"word".to_vec()));
}

#[tokio::test]
async fn all_commit_or_none() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let coordinator = TwoPhaseCommit::new(&one, PATH);
    let participant = TwoPhaseCommit::new(&two, PATH);
    let deciding = tokio::spawn(async move { coordinator.decide(["a", "b"], LONG).await });
    assert_eq!(participant.vote("a", Outcome::Commit).await, Ok(Outcome::Commit));
    assert_eq!(participant.vote("b", Outcome::Commit).await, Ok(Outcome::Commit));
    // The first vote counts.
    assert_eq!(participant.vote("b", Outcome::Abort).await, Ok(Outcome::Commit));
    assert_eq!(deciding.await.expect("ran"), Ok(Outcome::Commit));
    assert_eq!(participant.decision().await, Ok(Outcome::Commit));
    // So does the first decision, whoever decides.
    let late = participant.decide(["a", "b", "c"], Duration::ZERO).await;
    assert_eq!(late, Ok(Outcome::Commit));
}

#[tokio::test]
async fn one_that_can_not_or_does_not_answer_aborts_it() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let refused = TwoPhaseCommit::new(&client, "/refused");
    refused.vote("a", Outcome::Commit).await.expect("voted");
    refused.vote("b", Outcome::Abort).await.expect("voted");
    // It does not wait for the third.
    assert_eq!(refused.decide(["a", "b", "c"], LONG).await, Ok(Outcome::Abort));

    let silent = TwoPhaseCommit::new(&client, "/silent");
    silent.vote("a", Outcome::Commit).await.expect("voted");
    let limit = Duration::from_millis(50);
    assert_eq!(silent.decide(["a", "b"], limit).await, Ok(Outcome::Abort));
    // Who comes late votes and learns that.
    silent.vote("b", Outcome::Commit).await.expect("voted");
    assert_eq!(silent.decision().await, Ok(Outcome::Abort));

    client.create("/other", "", CreateMode::Persistent).await.expect("created");
    client.create("/other/decision", "maybe", CreateMode::Persistent).await.expect("created");
    let other = TwoPhaseCommit::new(&client, "/other").decision().await;
    assert!(matches!(other, Err(Error::Unreadable { .. })), "{other:?}");
}

#[tokio::test]
async fn a_decision_is_made_in_the_next_session() {
    let fixture = Fixture::start();
    let (sessions, other) = (fixture.sessions(), fixture.client().await);
    let coordinator = TwoPhaseCommit::new(&sessions, PATH);
    let deciding = tokio::spawn(async move { coordinator.decide(["a"], LONG).await });
    children(&other, PATH, 1).await;
    fixture.expire(&sessions.current()).await;
    TwoPhaseCommit::new(&other, PATH).vote("a", Outcome::Commit).await.expect("voted");
    assert_eq!(deciding.await.expect("ran"), Ok(Outcome::Commit));
}

#[tokio::test]
async fn instances_are_registered_found_and_lost() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.sessions(), fixture.sessions());
    let provider = ServiceProvider::new(fixture.client().await, PATH, "mail", Strategy::RoundRobin);
    provider.synced().await.expect("synced");
    assert_eq!(provider.choose(), None);
    let mut events = provider.events();
    let mut first = ServiceInstance::new("mail", "10.0.0.1", 25).payload("rack \"1\"");
    first.tls_port = Some(465);
    let second = ServiceInstance::new("mail", "10.0.0.2", 25);
    let mut registration = Registration::new(&one, PATH, &first);
    registration.registered().await.expect("registered");
    assert!(matches!(events.next().await, Some(CacheEvent::Added(_))));
    let found = &provider.instances()[0];
    // Times are told to the millisecond.
    let apart = first.registered.duration_since(found.registered).expect("cut off");
    assert!(apart < Duration::from_millis(1));
    assert_eq!(*found, ServiceInstance { registered: found.registered, ..first.clone() });

    let mut other = Registration::new(&two, PATH, &second);
    other.registered().await.expect("registered");
    assert!(matches!(events.next().await, Some(CacheEvent::Added(_))));
    let chosen = [provider.choose(), provider.choose(), provider.choose()];
    let ids = chosen.map(|instance| instance.expect("two are there").id);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0], ids[2]);

    first.is_enabled = false;
    registration.update(&first);
    assert!(matches!(events.next().await, Some(CacheEvent::Changed { .. })));
    for _ in 0..3 {
        assert_eq!(provider.choose().map(|chosen| chosen.id).as_ref(), Some(&second.id));
    }
    fixture.expire(&two.current()).await;
    assert!(matches!(events.next().await, Some(CacheEvent::Removed(_))));
    assert!(matches!(events.next().await, Some(CacheEvent::Added(_))));
    other.registered().await.expect("registered again");
    assert_eq!(other.presence(), Presence::Present);
    other.unregister().await.expect("unregistered");
    assert!(matches!(events.next().await, Some(CacheEvent::Removed(_))));
    assert_eq!(provider.choose(), None);
}

#[tokio::test]
async fn instances_that_fail_are_left_out_for_a_while() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let mut registrations = Vec::new();
    for number in 1..=3 {
        let instance = ServiceInstance::new("mail", format!("10.0.0.{number}"), 25);
        let mut registration = Registration::new(&client, PATH, &instance);
        registration.registered().await.expect("registered");
        registrations.push(registration);
    }
    let provider = ServiceProvider::new(&client, PATH, "mail", Strategy::Sticky);
    provider.synced().await.expect("synced");
    let first = provider.choose().expect("three are there");
    for _ in 0..10 {
        assert_eq!(provider.choose().as_ref(), Some(&first));
    }
    provider.report_failure(&first);
    assert_eq!(provider.choose().as_ref(), Some(&first), "once may happen");
    provider.report_failure(&first);
    let second = provider.choose().expect("two work");
    assert_ne!(second, first);
    assert_eq!(provider.choose().as_ref(), Some(&second));

    let forgiving = ServiceProvider::new(&client, PATH, "mail", Strategy::Random);
    let forgiving = forgiving.leave_out_for(Duration::ZERO);
    forgiving.synced().await.expect("synced");
    for instance in forgiving.instances() {
        forgiving.report_failure(&instance);
        forgiving.report_failure(&instance);
    }
    assert!(forgiving.choose().is_some());
    drop(registrations);
    gone(&client, &format!("{PATH}/mail/{}", first.id)).await;
}

#[tokio::test]
async fn records_of_curator_are_read() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let record = r#"{"name":"mail","id":"7","address":"10.0.0.7","port":25,"sslPort":null,
        "payload":{"rack":3},"registrationTimeUTC":1325129459728,"serviceType":"DYNAMIC",
        "uriSpec":{"parts":[{"value":"scheme","variable":true}]},"enabled":true}"#;
    client.ensure(&format!("{PATH}/mail"), CreateMode::Persistent).await.expect("created");
    for (id, record) in [("7", record), ("8", "no record"), ("9", "{\"name\":\"mail\"}")] {
        let path = format!("{PATH}/mail/{id}");
        client.create(&path, record, CreateMode::Ephemeral).await.expect("created");
    }
    let provider = ServiceProvider::new(&client, PATH, "mail", Strategy::Random);
    provider.synced().await.expect("synced");
    let expected = ServiceInstance {
        service: "mail".to_owned(),
        id: "7".to_owned(),
        address: Some("10.0.0.7".to_owned()),
        port: Some(25),
        tls_port: None,
        payload: Some("{\"rack\":3}".to_owned()),
        registered: SystemTime::UNIX_EPOCH + Duration::from_millis(1_325_129_459_728),
        is_enabled: true,
    };
    assert_eq!(provider.instances(), vec![expected.clone()]);
    assert_eq!(provider.choose(), Some(expected));
}
