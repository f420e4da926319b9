//! What a program brings along: the list of servers, and the way to them.

mod fixture;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reefkeeper_client::{
    Client, ConnectError, CreateMode, Error, Host, Sasl, SaslStep, SessionState,
};
use tokio::io::BufStream;
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;

use self::fixture::{Fixture, Wire};

#[tokio::test]
async fn servers_are_looked_up_and_a_failed_look_up_changes_nothing() {
    let fixture = Fixture::start();
    let (old, new) = (Wire::to(&fixture.address).await, Wire::to(&fixture.address).await);
    let list = Arc::new(Mutex::new(Some(vec![old.address()])));
    let (asked, mut asked_for) = watch::channel(0);
    let (said, counted) = (Arc::clone(&list), Arc::new(asked));
    let look_up = move || {
        let said = said.lock().expect("whole").clone();
        counted.send_modify(|count| *count += 1);
        async move {
            let said = said.ok_or_else(|| io::Error::other("nobody knows"))?;
            said.iter().map(|host| host.parse().map_err(io::Error::other)).collect()
        }
    };
    // Nobody listens at the address to begin with.
    let client = Client::builder("127.0.0.1:1")
        .hosts_from(Duration::from_millis(10), look_up)
        .connect()
        .await
        .expect("connected");
    client.create("/e", "", CreateMode::Ephemeral).await.expect("created");
    for answer in [None, Some(Vec::new()), Some(vec![new.address()])] {
        *list.lock().expect("whole") = answer;
        let before = *asked_for.borrow_and_update();
        asked_for.wait_for(|count| *count > before + 1).await.expect("asked");
        assert!(client.exists("/e").await.expect("answered").is_some());
    }
    old.cut();
    let mut states = client.states();
    while !states.current().is_connected() {
        states.changed().await.expect("not over");
    }
    client.connected().await.expect("by the new server");
    assert!(client.patiently(|| client.exists("/e")).await.expect("answered").is_some());

    client.close().await.expect("closed");
    // The question is dropped with the session.
    while asked_for.changed().await.is_ok() {}
}

#[tokio::test]
async fn who_only_looks_for_servers_keeps_no_session() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let client = Client::builder(fixture.address.as_str())
        .hosts_from(Duration::from_secs(3600), std::future::pending::<io::Result<Vec<Host>>>)
        .connect()
        .await
        .expect("connected");
    client.create("/e", "", CreateMode::Ephemeral).await.expect("created");
    let (_, gone) = other.exists_and_watch("/e").await.expect("answered");
    drop(client);
    gone.await.expect("told");
}

#[tokio::test]
async fn a_program_connects_in_its_own_way() {
    let fixture = Fixture::start();
    let wire = Wire::to(&fixture.address).await;
    let (gateway, attempts) = (wire.address(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&attempts);
    let client = Client::builder("one.invalid:1,two.invalid:2")
        .connector(move |host: Host| {
            assert!(["one.invalid:1", "two.invalid:2"].contains(&host.to_string().as_str()));
            counted.fetch_add(1, Ordering::SeqCst);
            let gateway = gateway.clone();
            // It keeps what is written until it is told that that was all.
            async move { Ok(BufStream::new(TcpStream::connect(gateway).await?)) }
        })
        .connect()
        .await
        .expect("connected");
    client.create("/large", vec![1; 900_000], CreateMode::Persistent).await.expect("created");
    wire.cut();
    wire.mend();
    let data = client.patiently(|| client.get_data("/large")).await.expect("answered");
    assert_eq!(data.bytes().len(), 900_000);
    assert!(attempts.load(Ordering::SeqCst) >= 2);
    client.close().await.expect("closed");
}

/// Says one thing, and takes null for a yes, which is what a server without SASL says to everything.
struct OneWord(Arc<AtomicUsize>);

impl Sasl for OneWord {
    fn begin(&mut self) -> io::Result<Vec<u8>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(b"friend".to_vec())
    }

    fn answer(&mut self, token: Option<&[u8]>) -> io::Result<SaslStep> {
        assert_eq!(token, None);
        Ok(SaslStep::Done)
    }
}

#[tokio::test]
async fn each_connection_is_authenticated_before_it_is_used() {
    let fixture = Fixture::start();
    let wire = Wire::to(&fixture.address).await;
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let client = Client::builder(wire.address())
        .sasl(move |_: &Host| OneWord(Arc::clone(&counted)))
        .connect()
        .await
        .expect("connected");
    client.create("/e", "", CreateMode::Ephemeral).await.expect("created");
    assert_eq!(begun.load(Ordering::Relaxed), 1);
    let mut states = client.states();
    wire.cut();
    while states.current().is_connected() {
        states.changed().await.expect("not over");
    }
    wire.mend();
    client.connected().await.expect("connected again");
    assert_eq!(begun.load(Ordering::Relaxed), 2);
    assert!(client.exists("/e").await.expect("answered").is_some(), "the same session");
}

#[tokio::test]
async fn a_mechanism_that_gives_up_ends_the_session() {
    struct NoTicket;
    impl Sasl for NoTicket {
        fn begin(&mut self) -> io::Result<Vec<u8>> {
            Err(io::Error::other("no ticket"))
        }

        fn answer(&mut self, _token: Option<&[u8]>) -> io::Result<SaslStep> {
            unreachable!("nothing was asked")
        }
    }
    let fixture = Fixture::start();
    let connected = Client::builder(&fixture.address).sasl(|_: &Host| NoTicket).connect().await;
    assert_eq!(connected.expect_err("refused"), ConnectError::AuthFailed);
}

#[tokio::test]
async fn a_connector_that_panics_ends_the_session() {
    let fixture = Fixture::start();
    let wire = Wire::to(&fixture.address).await;
    let (gateway, dials) = (wire.address(), AtomicUsize::new(0));
    let client = Client::builder("one.invalid")
        .connector(move |_: Host| {
            assert_eq!(dials.fetch_add(1, Ordering::SeqCst), 0, "this connector dials once");
            TcpStream::connect(gateway.clone())
        })
        .connect()
        .await
        .expect("connected");
    let (_, watch) = client.exists_and_watch("/never").await.expect("answered");
    let mut states = client.states();
    wire.cut();
    while !states.current().is_over() {
        states.changed().await.expect("the end is a state, too");
    }
    assert_eq!(states.current(), SessionState::Closed);
    assert_eq!(client.server(), None);
    assert_eq!(watch.await, Err(Error::Closed));
    assert_eq!(client.patiently(|| client.exists("/")).await, Err(Error::Closed));
    assert_eq!(client.connected().await, Err(Error::Closed));
}

/// Panics when it is asked a second time.
struct OnlyOnce(Arc<AtomicUsize>);

impl Sasl for OnlyOnce {
    fn begin(&mut self) -> io::Result<Vec<u8>> {
        assert_eq!(self.0.fetch_add(1, Ordering::SeqCst), 0, "this mechanism begins once");
        Ok(Vec::new())
    }

    fn answer(&mut self, _token: Option<&[u8]>) -> io::Result<SaslStep> {
        Ok(SaslStep::Done)
    }
}

#[tokio::test]
async fn a_mechanism_that_panics_ends_the_session() {
    let fixture = Fixture::start();
    let wire = Wire::to(&fixture.address).await;
    let begun = Arc::new(AtomicUsize::new(0));
    let client = Client::builder(wire.address())
        .sasl(move |_: &Host| OnlyOnce(Arc::clone(&begun)))
        .connect()
        .await
        .expect("connected");
    let mut states = client.states();
    wire.cut();
    while states.current().is_connected() {
        states.changed().await.expect("not over");
    }
    // It waits for the next connection, which comes to nothing.
    let (asked, ()) = tokio::join!(client.exists("/"), async { wire.mend() });
    assert!(asked.is_err(), "{asked:?}");
    while !states.current().is_over() {
        states.changed().await.expect("the end is a state, too");
    }
    assert_eq!(client.state(), SessionState::Closed);
}

fn runtime() -> Runtime {
    runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn a_runtime_that_is_shut_down_ends_its_sessions() {
    let fixture = Fixture::start();
    let doomed = runtime();
    let (client, wire, write, read) = doomed.block_on(async {
        let wire = Wire::to(&fixture.address).await;
        let builder = Client::builder(wire.address()).outstanding_max(1);
        let client = builder.connect().await.expect("connected");
        let other = fixture.client().await;
        let (_, created) = other.exists_and_watch("/p").await.expect("answered");
        wire.deafen();
        let (writer, reader) = (client.clone(), client.clone());
        let mut write =
            Box::pin(async move { writer.create("/p", "", CreateMode::Persistent).await });
        // It is not its turn before the write is done.
        let mut read = Box::pin(async move { reader.exists("/p").await });
        tokio::select! {
            biased;
            outcome = &mut write => panic!("{outcome:?} was held back"),
            outcome = &mut read => panic!("{outcome:?} came too early"),
            event = created => drop(event.expect("told")),
        }
        (client, wire, write, read)
    });
    drop(doomed);
    assert_eq!(client.state(), SessionState::Closed);
    let runtime = runtime();
    let lost = Err(Error::ConnectionLost { may_have_happened: true });
    assert_eq!(runtime.block_on(write), lost);
    assert_eq!(runtime.block_on(read), Err(Error::Closed));
    assert_eq!(runtime.block_on(client.exists("/p")), Err(Error::Closed));
    drop(wire);
}
