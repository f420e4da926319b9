//! The life of sessions, against a server.

mod fixture;

use std::time::Duration;

use reefkeeper_client::{
    AddressError, Client, ConnectError, CreateMode, Error, SessionPassword, SessionState, Ticket,
};

use self::fixture::{Fixture, Wire};

#[tokio::test]
async fn closing_removes_ephemerals_at_once() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let other = fixture.client().await;
    client.create("/e", "", CreateMode::Ephemeral).await.expect("created");
    assert_eq!(client.close().await, Ok(()));
    assert_eq!(client.state(), SessionState::Closed);
    assert_eq!(client.get_data("/e").await, Err(Error::Closed));
    assert_eq!(client.close().await, Ok(()));
    other.sync("/").await.expect("synchronized");
    assert_eq!(other.exists("/e").await, Ok(None));
}

#[tokio::test]
async fn the_last_handle_closes_the_session() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let other = fixture.client().await;
    client.create("/e", "", CreateMode::Ephemeral).await.expect("created");
    let (_, gone) = other.exists_and_watch("/e").await.expect("answered");
    let clone = client.clone();
    drop(client);
    assert!(clone.exists("/e").await.expect("answered").is_some());
    drop(clone);
    assert!(gone.await.is_ok());
}

#[tokio::test]
async fn a_detached_session_goes_on_elsewhere() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    client.create("/e", "", CreateMode::Ephemeral).await.expect("created");
    let ticket = client.detach().expect("a session");
    let resumed = Client::builder(fixture.address.as_str())
        .resume(ticket.clone())
        .connect()
        .await
        .expect("resumed");
    assert_eq!(resumed.ticket().map(|ticket| ticket.id), Some(ticket.id));
    let stat = resumed.exists("/e").await.expect("answered").expect("still there");
    assert_eq!(stat.ephemeral_owner, ticket.id);
}

#[tokio::test]
async fn a_wrong_password_resumes_nothing() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let id = client.ticket().expect("a session").id;
    let resumed = Client::builder(fixture.address.as_str())
        .resume(Ticket { id, password: SessionPassword([1; 16]) })
        .connect()
        .await;
    assert!(matches!(resumed, Err(ConnectError::SessionExpired)));
}

#[tokio::test]
async fn refused_credentials_end_the_session() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    assert_eq!(client.add_auth("nonsense", "x").await, Err(Error::AuthFailed));
    assert_eq!(client.state(), SessionState::AuthFailed);
    assert_eq!(client.exists("/").await, Err(Error::AuthFailed));
}

#[tokio::test]
async fn without_a_server_there_is_no_client() {
    let wire = Wire::to("127.0.0.1:1").await;
    wire.cut();
    let within = Duration::from_millis(300);
    let client = Client::builder(wire.address()).connect_timeout(within).connect().await;
    assert!(matches!(client, Err(ConnectError::Unreachable { .. })));
    let client = Client::builder(wire.address()).start().expect("an address");
    let answer = client.exists("/").await;
    assert_eq!(answer, Err(Error::ConnectionLost { may_have_happened: false }));
    let client = Client::connect("/nowhere").await;
    assert!(matches!(client, Err(ConnectError::Address(AddressError::NoHost(_)))));
}

#[tokio::test]
async fn a_lost_connection_is_told_and_mended() {
    let fixture = Fixture::start();
    let wire = Wire::to(&fixture.address).await;
    let ensemble = wire.address();
    let client = Client::connect(ensemble).await.expect("connected");
    let ticket = client.ticket();
    client.create("/e", "", CreateMode::Ephemeral).await.expect("created");
    let mut states = client.states();
    assert_eq!(states.current(), SessionState::Connected);
    wire.cut();
    while states.current() != SessionState::Disconnected {
        states.changed().await.expect("not over");
    }
    wire.mend();
    while states.current() != SessionState::Connected {
        states.changed().await.expect("not over");
    }
    assert_eq!(client.ticket(), ticket);
    assert!(client.exists("/e").await.expect("answered").is_some());
}

#[tokio::test]
async fn another_server_takes_over() {
    let fixture = Fixture::start();
    let wires = [Wire::to(&fixture.address).await, Wire::to(&fixture.address).await];
    let [first, second] = &wires;
    let ensemble = format!("{},{}", first.address(), second.address());
    let client = Client::connect(ensemble).await.expect("connected");
    client.create("/e", "", CreateMode::Ephemeral).await.expect("created");
    for wire in &wires {
        wire.cut();
        // Whichever server it was: a read that was under way may fail, a later one does not.
        let first = client.exists("/e").await;
        let lost = Err(Error::ConnectionLost { may_have_happened: false });
        let found = if first == lost { client.exists("/e").await } else { first };
        assert!(found.expect("answered").is_some());
        wire.mend();
    }
}

#[tokio::test]
async fn an_expired_session_says_so() {
    let fixture = Fixture::start();
    let wire = Wire::to(&fixture.address).await;
    let ensemble = wire.address();
    let timeout = Duration::from_secs(1);
    let client =
        Client::builder(ensemble).session_timeout(timeout).connect().await.expect("connected");
    let (_, watch) = client.exists_and_watch("/never").await.expect("answered");
    let mut states = client.states();
    wire.cut();
    while states.current() != SessionState::Expired {
        states.changed().await.expect("not over");
    }
    assert_eq!(client.exists("/").await, Err(Error::SessionExpired));
    assert_eq!(watch.await, Err(Error::SessionExpired));
}
