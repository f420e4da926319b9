//! The life of sessions, against a server.

mod fixture;

use std::future::poll_fn;
use std::time::Duration;

use futures_core::Stream;
use reefkeeper_client::{
    AddressError, Client, ConnectError, CreateMode, Error, SessionId, SessionPassword,
    SessionState, Ticket,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use wire::connect::ConnectResponse;

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
async fn states_are_a_stream_that_ends_with_the_session() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let mut stream = Box::pin(client.states().into_stream());
    client.close().await.expect("closed");
    let mut next = async || poll_fn(|context| stream.as_mut().poll_next(context)).await;
    assert_eq!(next().await, Some(SessionState::Closed));
    assert_eq!(next().await, None);
    assert_eq!(next().await, None);
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

#[tokio::test]
async fn a_server_that_is_taken_from_the_list_is_left_and_no_request_fails() {
    let fixture = Fixture::start();
    let (old, new) = (Wire::to(&fixture.address).await, Wire::to(&fixture.address).await);
    let client = Client::connect(old.address()).await.expect("connected");
    let ticket = client.ticket();
    client.create("/a", "", CreateMode::Persistent).await.expect("created");
    let mut states = client.states();
    let writes: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.set_data("/a", "x", None).await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(client.update_hosts([]), Err(AddressError::NoHost(String::new())));
    client.update_hosts([new.address().parse().expect("an address")]).expect("a list");
    for write in writes {
        write.await.expect("ran").expect("set");
    }
    // It may have been connected again before anybody looked.
    old.cut();
    client.set_data("/a", "y", None).await.expect("set");
    assert_eq!(client.get_data("/a").await.map(|data| data.stat.version), Ok(101));
    assert_eq!(client.ticket(), ticket);
    assert!(states.current().is_connected() || states.changed().await.is_some());
}

/// Answers as a server without a quorum does until `quorum` comes, then ends.
async fn serve_reads_only(listener: TcpListener, quorum: oneshot::Receiver<()>) {
    let serve = async {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 4 + 4 + 8 + 4 + 8 + 4 + 16 + 1];
            stream.read_exact(&mut request).await.expect("a handshake");
            let mut answer = Vec::new();
            let (session, password) = (SessionId(7), SessionPassword([7; 16]));
            let response =
                ConnectResponse { timeout_ms: 30_000, session, password, read_only: Some(true) };
            response.encode(&mut answer);
            stream.write_all(&answer).await.expect("a client");
            // Until the client leaves.
            drop(stream.read_exact(&mut [0; 1024]).await);
        }
    };
    tokio::select! {
        () = serve => {}
        _ = quorum => {}
    }
}

#[tokio::test]
async fn a_client_of_a_server_without_a_quorum_moves_to_one_that_serves_writes() {
    let fixture = Fixture::start();
    let working = Wire::to(&fixture.address).await;
    working.cut();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let reads_only = listener.local_addr().expect("bound");
    let (end, ended) = oneshot::channel();
    let serving = tokio::spawn(serve_reads_only(listener, ended));
    let ensemble = format!("{reads_only},{}", working.address());
    let client = Client::builder(ensemble).read_only(true).connect().await.expect("connected");
    assert_eq!(client.state(), SessionState::ConnectedReadOnly);
    assert_eq!(client.ticket(), None);

    let mut states = client.states();
    working.mend();
    while states.current() != SessionState::Connected {
        states.changed().await.expect("not over");
    }
    assert!(client.ticket().is_some());
    client.create("/e", "", CreateMode::Ephemeral).await.expect("created");
    drop(end);
    serving.await.expect("ran");
}

#[tokio::test]
async fn a_client_that_is_closed_with_a_limit_waits_no_longer() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let wire = Wire::to(&fixture.address).await;
    let client = Client::connect(wire.address()).await.expect("connected");
    client.create("/e", "", CreateMode::Ephemeral).await.expect("created");
    wire.deafen();
    let write = client.create("/p", "", CreateMode::Persistent);
    let close = client.close_within(Duration::from_millis(100));
    let (write, closed) = tokio::join!(write, close);
    assert_eq!(closed, Err(Error::TimedOut { may_have_happened: true }));
    assert_eq!(write, Err(Error::ConnectionLost { may_have_happened: true }));
    assert_eq!(client.state(), SessionState::Closed);
    assert_eq!(client.exists("/").await, Err(Error::Closed));
    // The server has heard it all the same.
    let (stat, gone) = other.exists_and_watch("/e").await.expect("answered");
    if stat.is_some() {
        gone.await.expect("told");
    }
    assert!(other.exists("/p").await.expect("answered").is_some());

    assert_eq!(other.close_within(Duration::from_secs(60)).await, Ok(()));
    assert_eq!(other.close_within(Duration::from_secs(60)).await, Ok(()));
}

#[tokio::test]
async fn what_waits_when_the_session_is_left_is_not_said_not_to_have_happened() {
    let fixture = Fixture::start();
    let wire = Wire::to(&fixture.address).await;
    let client = Client::connect(wire.address()).await.expect("connected");
    let (_, watch) = client.exists_and_watch("/never").await.expect("answered");
    let other = fixture.client().await;
    let (_, created) = other.exists_and_watch("/p").await.expect("answered");
    wire.deafen();
    let write = client.create("/p", "", CreateMode::Persistent);
    let read = client.exists("/p");
    let leave = async {
        created.await.expect("told");
        client.clone().detach()
    };
    let (write, read, ticket) = tokio::join!(write, read, leave);
    assert_eq!(write, Err(Error::ConnectionLost { may_have_happened: true }));
    assert_eq!(read, Err(Error::ConnectionLost { may_have_happened: false }));
    assert_eq!(watch.await, Err(Error::Closed));
    assert_eq!(client.connected().await, Err(Error::Closed));
    let resumed = Client::builder(fixture.address.as_str())
        .resume(ticket.expect("a session"))
        .connect()
        .await
        .expect("resumed");
    assert!(resumed.exists("/p").await.expect("answered").is_some());
    assert_eq!(resumed.detach(), client.ticket());
}

#[tokio::test]
async fn a_client_shows_its_server_and_itself() {
    let fixture = Fixture::start();
    let wires = [Wire::to(&fixture.address).await, Wire::to(&fixture.address).await];
    let addresses = wires.each_ref().map(Wire::address);
    let client = Client::connect(addresses.join(",")).await.expect("connected");
    let mut servers = Vec::new();
    for _ in 0..2 {
        let server = client.server().expect("connected").to_string();
        let id = client.ticket().expect("a session").id;
        let shown = format!("{client:?}");
        for part in ["Connected".to_owned(), id.to_string(), server.clone()] {
            assert!(shown.contains(&part), "{part} is not in {shown}");
        }
        let place = addresses.iter().position(|address| *address == server).expect("in the list");
        let mut states = client.states();
        wires[place].cut();
        while client.server().is_some_and(|still| still.to_string() == server) {
            states.changed().await.expect("not over");
        }
        client.connected().await.expect("by the other");
        wires[place].mend();
        servers.push(server);
    }
    assert_ne!(servers[0], servers[1]);
    client.close().await.expect("closed");
    assert_eq!(client.server(), None);
}
