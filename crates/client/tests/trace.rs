//! What a client tells `tracing`. Alone in its process: a place in the code that was first passed when nobody
//! listened may stay silent.

mod fixture;

use std::io;
use std::sync::{Arc, Mutex};

use reefkeeper_client::{Client, CreateMode};
use tracing_subscriber::fmt::format::FmtSpan;

use self::fixture::Fixture;

/// What was written to it, for whoever has a clone.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("whole").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_trace_shows_what_is_asked_where_and_no_secrets() {
    let fixture = Fixture::start();
    let written = Page::default();
    let page = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || page.clone())
        .finish();
    // For this thread, on which the driver runs, too.
    let guard = tracing::subscriber::set_default(subscriber);
    let client = Client::builder(fixture.address.as_str())
        .auth("digest", "alice:wonderland")
        .connect()
        .await
        .expect("connected");
    client.add_auth("digest", "bob:builder").await.expect("authenticated");
    client.create("/a", "confidential", CreateMode::Persistent).await.expect("created");
    client.get_data("/a").await.expect("read");
    client.get_data("/missing").await.expect_err("no znode");
    let ticket = client.ticket().expect("a session");
    client.close().await.expect("closed");
    drop(guard);

    let trace = String::from_utf8(written.0.lock().expect("whole").clone()).expect("text");
    for shown in [
        &format!("session{{id={}}}", ticket.id),
        "request{op=\"add_auth\"}: reefkeeper_client::span: new",
        "request{op=\"create\" path=\"/a\"}: reefkeeper_client::span: close",
        "request{op=\"get_data\" path=\"/missing\"}: reefkeeper_client::client: no result",
        "state=Connected",
        "state=Closed",
    ] {
        assert!(trace.contains(shown), "{shown} is not in\n{trace}");
    }
    let password = format!("{:?}", ticket.password.0);
    for secret in ["wonderland", "builder", "confidential", &password] {
        assert!(!trace.contains(secret), "{secret} is in\n{trace}");
    }
}
