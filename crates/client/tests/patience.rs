//! What goes on over lost connections, expired sessions and other people's writes.

mod fixture;

use std::cell::Cell;
use std::time::Duration;

use reefkeeper_client::{
    AclList, Client, CreateMode, CreateOptions, Error, ErrorCode, Host, Payload, SessionId,
    SessionPassword, SessionState, Zxid,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use types::Xid;
use wire::connect::ConnectResponse;
use wire::reply::Reply;

use self::fixture::{Fixture, Wire};

/// Plenty for what is refused at once.
const ENSURED_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test]
async fn patience_asks_again_until_there_is_an_answer() {
    let fixture = Fixture::start();
    let wire = Wire::to(&fixture.address).await;
    let client = Client::connect(wire.address()).await.expect("connected");
    let mut states = client.states();
    wire.cut();
    while states.current() != SessionState::Disconnected {
        states.changed().await.expect("not over");
    }
    let tries = Cell::new(0);
    let asked = client.patiently(|| async {
        tries.set(tries.get() + 1);
        let answer = client.exists("/zookeeper").await;
        wire.mend();
        answer
    });
    assert!(asked.await.expect("answered").is_some());
    assert!(tries.get() >= 2);
}

#[tokio::test]
async fn patience_does_not_repeat_what_may_have_happened() {
    let fixture = Fixture::start();
    let wire = Wire::to(&fixture.address).await;
    let client = Client::connect(wire.address()).await.expect("connected");
    let other = fixture.client().await;
    let (_, created) = other.exists_and_watch("/a").await.expect("answered");
    wire.deafen();
    let tries = Cell::new(0);
    let create = client.patiently(|| {
        tries.set(tries.get() + 1);
        client.create("/a", "", CreateMode::Persistent)
    });
    let lose_the_answer = async {
        created.await.expect("told");
        wire.cut();
        wire.mend();
    };
    let (outcome, ()) = tokio::join!(create, lose_the_answer);
    assert_eq!(outcome, Err(Error::ConnectionLost { may_have_happened: true }));
    assert_eq!(tries.get(), 1);
    // What says itself whether it happened may be insisted on.
    let again = client.insistently(|| client.create("/a", "", CreateMode::Persistent)).await;
    assert_eq!(again, Err(Error::Refused(ErrorCode::NodeExists)));
}

#[tokio::test]
async fn insistence_repeats_what_may_have_happened() {
    let fixture = Fixture::start();
    let wire = Wire::to(&fixture.address).await;
    let client = Client::connect(wire.address()).await.expect("connected");
    let other = fixture.client().await;
    other.create("/a", "", CreateMode::Persistent).await.expect("created");
    let (_, deleted) = other.exists_and_watch("/a").await.expect("answered");
    wire.deafen();
    let delete = client.insistently(|| client.delete("/a", None));
    let lose_the_answer = async {
        deleted.await.expect("told");
        wire.cut();
        wire.mend();
    };
    let (outcome, ()) = tokio::join!(delete, lose_the_answer);
    assert_eq!(outcome, Err(Error::Refused(ErrorCode::NoNode)));
}

#[tokio::test]
async fn a_session_that_expired_is_followed_by_another() {
    let fixture = Fixture::start();
    let sessions = Client::builder(fixture.address.as_str()).sessions().expect("an address");
    let first = sessions.current();
    first.create("/e", "", CreateMode::Ephemeral).await.expect("created");
    fixture.expire(&first).await;

    let second = sessions.current();
    second.connected().await.expect("a server");
    assert_ne!(second.ticket(), first.ticket());
    assert_eq!(second.exists("/e").await, Ok(None));
    assert_eq!(sessions.clone().current().ticket(), second.ticket());
    assert!(sessions.go_on_after(&Error::SessionExpired));
    assert!(!sessions.go_on_after(&Error::Closed));

    sessions.close().await.expect("closed");
    assert_eq!(sessions.current().state(), SessionState::Closed);
}

#[tokio::test]
async fn the_next_session_knows_what_was_told_to_the_last() {
    let (old, new) = (Fixture::start(), Fixture::start());
    let sessions = Client::builder(old.address.as_str()).sessions().expect("an address");
    let first = sessions.current();
    first.add_auth("digest", "me:secret").await.expect("authenticated");
    // The session is unknown there.
    first.update_hosts([new.address.parse().expect("an address")]).expect("a list");
    let mut states = first.states();
    while states.current() != SessionState::Expired {
        states.changed().await.expect("the end is a state, too");
    }
    let address = new.address.parse().expect("an address");
    for _ in 0..2 {
        let next = sessions.current();
        next.connected().await.expect("a server");
        assert_eq!(next.server(), Some(Host::clone(&address)));
        let identities = next.whoami().await.expect("answered");
        let mine = identities.iter().filter(|identity| identity.user == "me");
        assert_eq!(mine.count(), 1, "{identities:?}");
        // Programs that had to say it to each session may go on with that.
        next.add_auth("digest", "me:secret").await.expect("authenticated");
        new.expire(&next).await;
    }
}

/// Answers as a server without a quorum does, which refuses writes; says when it has.
async fn refuse_writes(listener: TcpListener, refused: oneshot::Sender<()>) {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut handshake = [0; 4 + 4 + 8 + 4 + 8 + 4 + 16 + 1];
    stream.read_exact(&mut handshake).await.expect("a handshake");
    let mut answer = Vec::new();
    let (session, password) = (SessionId(7), SessionPassword([7; 16]));
    ConnectResponse { timeout_ms: 30_000, session, password, read_only: Some(true) }
        .encode(&mut answer);
    stream.write_all(&answer).await.expect("a client");
    let mut refused = Some(refused);
    while let Ok(bytes) = stream.read_i32().await {
        let mut request = vec![0; usize::try_from(bytes).expect("a length")];
        stream.read_exact(&mut request).await.expect("a request");
        let xid = Xid(i32::from_be_bytes(*request.first_chunk().expect("a number")));
        let mut answer = Vec::new();
        let result = Err(ErrorCode::NotReadOnly);
        Reply { xid, zxid: Zxid::ZERO, result }.encode(&mut answer);
        stream.write_all(&answer).await.expect("a client");
        if let Some(refused) = refused.take() {
            refused.send(()).expect("somebody waits for it");
        }
    }
}

#[tokio::test]
async fn patience_waits_for_a_server_that_writes() {
    for insists in [false, true] {
        let fixture = Fixture::start();
        let working = Wire::to(&fixture.address).await;
        working.cut();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let reads_only = listener.local_addr().expect("bound");
        let (refusing, refused) = oneshot::channel();
        let serving = tokio::spawn(refuse_writes(listener, refusing));
        let ensemble = format!("{reads_only},{}", working.address());
        let client = Client::builder(ensemble).read_only(true).connect().await.expect("connected");
        assert_eq!(client.state(), SessionState::ConnectedReadOnly);
        let tries = Cell::new(0);
        let write = || {
            tries.set(tries.get() + 1);
            client.create("/a", "", CreateMode::Persistent)
        };
        let write = async {
            if insists { client.insistently(write).await } else { client.patiently(write).await }
        };
        let find_a_quorum = async {
            refused.await.expect("a write");
            working.mend();
        };
        let (written, ()) = tokio::join!(write, find_a_quorum);
        assert_eq!(written.expect("created").path, "/a");
        assert_eq!(client.state(), SessionState::Connected);
        assert_eq!(tries.get(), 2, "one for each server");
        serving.await.expect("ran");
    }
}

#[tokio::test]
async fn a_single_client_is_not_followed() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let sessions = reefkeeper_client::Sessions::from(&client);
    fixture.expire(&client).await;
    assert!(!sessions.go_on_after(&Error::SessionExpired));
    assert_eq!(sessions.current().exists("/").await, Err(Error::SessionExpired));
}

#[tokio::test]
async fn a_client_has_a_default_for_who_may_do_what() {
    let fixture = Fixture::start();
    let client = Client::builder(fixture.address.as_str())
        .auth("digest", "me:secret")
        .default_acl(AclList::creator())
        .connect()
        .await
        .expect("connected");
    client.ensure("/mine/deep", CreateMode::Persistent).await.expect("created");
    let transaction = client.transaction().create("/mine/too", "", CreateMode::Persistent);
    transaction.commit().await.expect("committed");
    let open = CreateOptions::new(CreateMode::Persistent).acl(AclList::open());
    client.create("/mine/open", "", open).await.expect("created");
    let other = fixture.client().await;
    for path in ["/mine", "/mine/deep", "/mine/too"] {
        let read = other.get_data(path).await;
        assert_eq!(read, Err(Error::Refused(ErrorCode::NoAuth)), "{path}");
    }
    assert!(other.get_data("/mine/open").await.is_ok());
    let sealed = CreateOptions::new(CreateMode::Container).acl(AclList::read_only());
    client.ensure("/sealed/deep", sealed).await.expect_err("nobody may create below");
    let open = CreateOptions::new(CreateMode::Persistent).acl(AclList::open());
    client.ensure("/open/deep", open).await.expect("created");
    for path in ["/open", "/open/deep"] {
        assert_eq!(other.get_acl(path).await.expect("readable").acl, AclList::open(), "{path}");
    }
}

#[tokio::test]
async fn subtrees_are_created_listed_and_deleted() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    client.ensure("/a/b/c", CreateMode::Persistent).await.expect("created");
    for number in 0..300 {
        let path = format!("/a/b/{number:03}");
        client.create(&path, Payload::NULL, CreateMode::Persistent).await.expect("created");
    }
    let listed = client.list_subtree("/a").await.expect("listed");
    assert_eq!(listed.len(), 303);
    assert_eq!(listed[..3], ["/a", "/a/b", "/a/b/000"]);
    assert_eq!(client.delete_subtree("/a").await, Ok(()));
    assert_eq!(client.exists("/a").await, Ok(None));

    let missing = Err(Error::Refused(ErrorCode::NoNode));
    assert_eq!(client.delete_subtree("/a").await, missing);
    assert_eq!(client.list_subtree("/a").await.map(|_| ()), missing);
    let root = client.delete_subtree("/").await;
    assert_eq!(root, Err(Error::Refused(ErrorCode::BadArguments)));
    client.create("/e", "", CreateMode::Ephemeral).await.expect("created");
    let below = client.ensure("/e/x", CreateMode::Persistent).await;
    assert_eq!(below, Err(Error::Refused(ErrorCode::NoChildrenForEphemerals)));
}

#[tokio::test]
async fn what_can_not_be_a_parent_is_not_ensured() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    for mode in [
        CreateMode::Ephemeral,
        CreateMode::EphemeralSequential,
        CreateMode::PersistentSequential,
        CreateMode::PersistentSequentialWithTtl(60_000),
    ] {
        let ensured = timeout(ENSURED_WITHIN, client.ensure("/x/y", mode)).await;
        let refused = Err(Error::Refused(ErrorCode::BadArguments));
        assert_eq!(ensured.expect("no round without end"), refused, "{mode:?}");
    }
    assert_eq!(client.get_children("/").await.expect("there").names, ["zookeeper"]);
}

#[tokio::test]
async fn two_that_delete_the_same_subtree_both_succeed() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    for number in 0..200 {
        let path = format!("/a/{number}");
        one.ensure(&path, CreateMode::Persistent).await.expect("created");
    }
    let (first, second) = tokio::join!(one.delete_subtree("/a"), two.delete_subtree("/a"));
    for outcome in [first, second] {
        assert!(matches!(outcome, Ok(()) | Err(Error::Refused(ErrorCode::NoNode))), "{outcome:?}");
    }
    assert_eq!(one.exists("/a").await, Ok(None));
}
