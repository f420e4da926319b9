//! The client without async, against a server.

use std::thread;
use std::time::Duration;

use fixture::Standalone;
use reefkeeper_client::blocking::Client;
use reefkeeper_client::{
    AddressError, Change, ConnectError, CreateMode, Error, ErrorCode, EventKind, OpResult,
    ReadResult, SessionState, WatchMode, WatcherKind,
};

fn client(server: &Standalone) -> Client {
    Client::connect(server.address()).expect("connected")
}

#[test]
fn every_operation_returns_with_its_answer() {
    let server = Standalone::start();
    let client = client(&server);
    client.ensure("/a/b", CreateMode::Persistent).expect("created");
    let created = client.create("/a/e", "x", CreateMode::Ephemeral).expect("created");
    assert_eq!(client.exists("/a/e"), Ok(Some(created.stat)));
    assert_eq!(client.get_data("/a/e").expect("there").bytes(), b"x");
    assert_eq!(client.set_data("/a/e", "y", Some(0)).map(|stat| stat.version), Ok(1));
    assert_eq!(client.get_children("/a").map(|children| children.names.len()), Ok(2));
    assert_eq!(client.get_all_children_number("/a"), Ok(2));
    assert_eq!(client.get_ephemerals("/"), Ok(vec!["/a/e".to_owned()]));
    assert_eq!(client.sync("/"), Ok(()));
    client.add_auth("digest", "me:secret").expect("authenticated");
    assert!(client.whoami().expect("answered").iter().any(|identity| identity.user == "me"));
    let acls = client.get_acl("/a").expect("there");
    assert_eq!(client.set_acl("/a", acls.acl, Some(0)).map(|stat| stat.aversion), Ok(1));
    assert!(client.config().is_ok());
    assert_eq!(client.list_subtree("/a"), Ok(["/a", "/a/b", "/a/e"].map(str::to_owned).into()));
    assert_eq!(client.delete("/a/e", Some(0)), Err(Error::Refused(ErrorCode::BadVersion)));
    assert_eq!(client.delete_subtree("/a"), Ok(()));
    assert_eq!(client.exists("/a"), Ok(None));
}

#[test]
fn a_client_follows_its_servers() {
    let (old, new) = (Standalone::start(), Standalone::start());
    let client = client(&old);
    assert_eq!(client.update_hosts([]), Err(AddressError::NoHost(String::new())));
    client.update_hosts([new.address().parse().expect("an address")]).expect("a list");
    // It moves, and its session is unknown there.
    let mut state = SessionState::Connected;
    while state != SessionState::Expired {
        state = client.wait_for_change(state);
    }
}

#[test]
fn changes_of_the_membership_are_waited_for() {
    let digest = "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=";
    let server = Standalone::start_with(&[digest]);
    let operator = client(&server);
    operator.add_auth("digest", "super:test").expect("authenticated");
    let client = Client::connect(format!("{}/app", server.address())).expect("connected");
    let (members, mut changed) = client.config_and_watch().expect("answered");
    assert_eq!(Ok(members), client.config());
    assert_eq!(changed.wait_for(Duration::ZERO), Ok(None));
    operator.set_data("/zookeeper/config", "others", None).expect("set");
    let event = changed.wait().expect("told");
    assert_eq!(
        (event.kind, event.path.as_str()),
        (EventKind::NodeDataChanged, "/zookeeper/config")
    );
    assert_eq!(client.config().expect("answered").bytes(), b"others");
}

#[test]
fn transactions_and_batches_have_their_builders() {
    let server = Standalone::start();
    let client = client(&server);
    assert!(client.transaction().is_empty());
    assert_eq!(client.transaction().delete("/a", None).check("/b", 1).len(), 2);
    let results = client
        .transaction()
        .create("/a", "1", CreateMode::Persistent)
        .set_data("/a", "2", Some(0))
        .check("/a", 1)
        .create("/b", "", CreateMode::Persistent)
        .delete("/b", None)
        .commit()
        .expect("committed");
    assert!(matches!(results[1], OpResult::DataSet(stat) if stat.version == 1));
    let reads = client.multi_read().get_data("/a").get_children("/a").send().expect("answered");
    assert!(matches!(&reads[0], Ok(ReadResult::Data(data)) if data.bytes() == b"2"));
    assert_eq!(reads[1], Ok(ReadResult::Children(Vec::new())));
}

#[test]
fn watches_are_waited_for() {
    let server = Standalone::start();
    let (client, other) = (client(&server), client(&server));
    let mut tree = client.add_watch("/", WatchMode::PersistentRecursive).expect("set");
    let (_, mut created) = client.exists_and_watch("/a").expect("answered");
    assert_eq!(created.wait_for(Duration::ZERO), Ok(None));
    other.create("/a", "", CreateMode::Persistent).expect("created");
    assert_eq!(created.wait().map(|event| event.kind), Ok(EventKind::NodeCreated));
    let (_, changed) = client.get_data_and_watch("/a").expect("there");
    let (_, children) = client.get_children_and_watch("/a").expect("there");
    other.set_data("/a", "x", None).expect("set");
    other.create("/a/b", "", CreateMode::Persistent).expect("created");
    assert_eq!(changed.wait().map(|event| event.kind), Ok(EventKind::NodeDataChanged));
    assert_eq!(children.wait().map(|event| event.kind), Ok(EventKind::NodeChildrenChanged));

    let mut kinds = tree.by_ref().take(3).map(|change| match change {
        Change::Event(event) => event.kind,
        Change::Gap => panic!("nothing was missed"),
    });
    assert_eq!(kinds.next(), Some(EventKind::NodeCreated));
    assert_eq!(kinds.next(), Some(EventKind::NodeDataChanged));
    assert_eq!(kinds.next(), Some(EventKind::NodeCreated));
    assert_eq!(tree.next_within(Duration::ZERO), None);
    assert_eq!(client.has_watch("/", WatcherKind::PersistentRecursive), Ok(true));
    client.remove_watches("/", WatcherKind::Any).expect("removed");
    assert_eq!(tree.next(), None);
}

#[test]
fn threads_share_a_session() {
    let server = Standalone::start();
    let client = client(&server);
    client.create("/a", "", CreateMode::Persistent).expect("created");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    client.set_data("/a", "x", None).expect("set");
                }
            });
        }
    });
    assert_eq!(client.get_data("/a").map(|data| data.stat.version), Ok(200));
}

#[test]
fn the_last_clone_closes_the_session() {
    let server = Standalone::start();
    let (first, other) = (client(&server), client(&server));
    first.create("/e", "", CreateMode::Ephemeral).expect("created");
    let (_, gone) = other.exists_and_watch("/e").expect("answered");
    let clone = first.clone();
    drop(first);
    assert!(clone.exists("/e").expect("answered").is_some());
    drop(clone);
    assert_eq!(gone.wait().map(|event| event.kind), Ok(EventKind::NodeDeleted));
}

#[test]
fn the_last_clone_takes_the_session_from_asynchronous_handles() {
    let server = Standalone::start();
    let (first, other) = (client(&server), client(&server));
    first.create("/e", "", CreateMode::Ephemeral).expect("created");
    let (_, gone) = other.exists_and_watch("/e").expect("answered");
    let handle = first.asynchronous().clone();
    let mut states = handle.states();
    drop(first);
    other.block_on(async {
        while !states.current().is_over() {
            states.changed().await.expect("the end is a state, too");
        }
    });
    assert_eq!(handle.state(), SessionState::Closed);
    assert_eq!(other.block_on(handle.exists("/e")), Err(Error::Closed));
    assert_eq!(gone.wait().map(|event| event.kind), Ok(EventKind::NodeDeleted));
}

#[test]
fn the_end_of_a_session_is_told() {
    let server = Standalone::start();
    let client = client(&server);
    assert_eq!(client.connected(), Ok(()));
    thread::scope(|scope| {
        let told = scope.spawn(|| client.wait_for_change(SessionState::Connected));
        client.close().expect("closed");
        assert_eq!(told.join().expect("ran"), SessionState::Closed);
    });
    assert_eq!(client.exists("/"), Err(Error::Closed));
    assert_eq!(client.connected(), Err(Error::Closed));
    let nowhere = Client::connect("/nowhere");
    assert!(matches!(nowhere, Err(ConnectError::Address(_))));
}

#[test]
fn a_session_is_handed_over() {
    let server = Standalone::start();
    let first = client(&server);
    first.create("/e", "", CreateMode::Ephemeral).expect("created");
    let ticket = first.detach().expect("a session");
    let builder = reefkeeper_client::Client::builder(server.address()).resume(ticket.clone());
    let second = Client::open(builder).expect("resumed");
    assert_eq!(second.ticket().map(|ticket| ticket.id), Some(ticket.id));
    assert!(second.exists("/e").expect("answered").is_some());
}
