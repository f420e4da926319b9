//! Every operation, against a server.

mod fixture;

use std::net::Ipv4Addr;
use std::time::Duration;

use reefkeeper_client::{
    AclList, Client, CreateMode, CreateOptions, Error, ErrorCode, Id, OpResult, Payload, Perms,
    ReadResult, digest_id,
};
use tokio::net::TcpListener;
use tokio::time::timeout;

use self::fixture::Fixture;

fn refused<T>(code: ErrorCode) -> Result<T, Error> {
    Err(Error::Refused(code))
}

#[tokio::test]
async fn creates_every_kind_of_znode() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let session = client.ticket().expect("connected").id;
    let modes = [
        (CreateMode::Persistent, "/p", "/p"),
        (CreateMode::Ephemeral, "/e", "/e"),
        (CreateMode::PersistentSequential, "/s-", "/s-0000000002"),
        (CreateMode::EphemeralSequential, "/t-", "/t-0000000003"),
        (CreateMode::Container, "/c", "/c"),
        (CreateMode::PersistentWithTtl(60_000), "/x", "/x"),
        (CreateMode::PersistentSequentialWithTtl(60_000), "/y-", "/y-0000000006"),
    ];
    for (mode, path, expected) in modes {
        let created = client.create(path, "x", mode).await.expect(path);
        assert_eq!(created.path, expected);
        assert_eq!(created.stat.data_length, 1);
        let stat = client.exists(expected).await.expect(path).expect("created");
        assert_eq!(stat, created.stat);
        assert_eq!(stat.ephemeral_owner == session, mode.is_ephemeral(), "{mode:?}");
    }
    let mut ephemerals = client.get_ephemerals("/").await.expect("ephemerals");
    ephemerals.sort();
    assert_eq!(ephemerals, ["/e", "/t-0000000003"]);
    // The seven, and the server's own subtree of three.
    assert_eq!(client.get_all_children_number("/").await, Ok(10));
    let nameless = client.create("/p/", "", CreateMode::PersistentSequential).await;
    assert_eq!(nameless.map(|created| created.path), Ok("/p/0000000000".to_owned()));
}

#[tokio::test]
async fn keeps_null_empty_and_other_data_apart() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    for (path, payload) in [
        ("/null", Payload::NULL),
        ("/empty", Payload::from("")),
        ("/bytes", Payload::from(vec![0, 255, 10])),
        ("/large", Payload::from(vec![1; 900_000])),
    ] {
        client.create(path, payload.clone(), CreateMode::Persistent).await.expect(path);
        let data = client.get_data(path).await.expect(path);
        assert_eq!(Payload::from(data.value.as_deref().map(<[u8]>::to_vec)), payload);
        assert_eq!(usize::try_from(data.stat.data_length), Ok(data.bytes().len()));
    }
    let too_large = client.set_data("/large", vec![1; 1_048_576], None).await;
    assert!(matches!(too_large, Err(Error::RequestTooLarge { max: 1_048_575, .. })));
}

#[tokio::test]
async fn honors_versions() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    client.create("/a", "0", CreateMode::Persistent).await.expect("created");
    assert_eq!(client.set_data("/a", "1", Some(0)).await.map(|stat| stat.version), Ok(1));
    assert_eq!(client.set_data("/a", "2", Some(0)).await, refused(ErrorCode::BadVersion));
    assert_eq!(client.set_data("/a", "2", None).await.map(|stat| stat.version), Ok(2));
    assert_eq!(client.delete("/a", Some(1)).await, refused(ErrorCode::BadVersion));
    assert_eq!(client.delete("/a", Some(2)).await, Ok(()));
    assert_eq!(client.delete("/a", None).await, refused(ErrorCode::NoNode));
    assert_eq!(client.exists("/a").await, Ok(None));
    assert_eq!(client.get_data("/a").await, refused(ErrorCode::NoNode));
}

#[tokio::test]
async fn lists_children_with_the_stat_of_their_parent() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    for path in ["/a", "/a/x", "/a/y", "/a/z"] {
        client.create(path, "", CreateMode::Persistent).await.expect(path);
    }
    let mut children = client.get_children("/a").await.expect("children");
    children.names.sort();
    assert_eq!(children.names, ["x", "y", "z"]);
    assert_eq!(children.stat.num_children, 3);
    assert_eq!(client.delete("/a", None).await, refused(ErrorCode::NotEmpty));
}

#[tokio::test]
async fn access_control_lists_hold_for_those_who_are_not_in_them() {
    let fixture = Fixture::start();
    let owner = Client::builder(fixture.address.as_str())
        .auth("digest", "owner:secret")
        .connect()
        .await
        .expect("connected");
    let other = fixture.client().await;
    let options = CreateOptions::new(CreateMode::Persistent).acl(AclList::creator());
    owner.create("/mine", "x", options).await.expect("created");

    let acls = owner.get_acl("/mine").await.expect("acl");
    assert_eq!(*acls.acl, [digest_id("owner:secret").may(Perms::ALL)]);
    assert_eq!(other.get_data("/mine").await, refused(ErrorCode::NoAuth));
    other.add_auth("digest", "owner:secret").await.expect("authenticated");
    assert_eq!(other.get_data("/mine").await.map(|data| data.stat.version), Ok(0));

    let stat = other.set_acl("/mine", AclList::read_only(), Some(0)).await.expect("set");
    assert_eq!(stat.aversion, 1);
    assert_eq!(owner.set_data("/mine", "y", None).await, refused(ErrorCode::NoAuth));
    let empty = owner.set_acl("/mine", Vec::new(), None).await;
    assert_eq!(empty, refused(ErrorCode::InvalidAcl));
}

#[tokio::test]
async fn lists_name_others_by_password_and_by_address() {
    let fixture = Fixture::start();
    let (client, local) = (fixture.client().await, fixture.client().await);
    let bob = digest_id("bob:builder").may(Perms::READ | Perms::WRITE);
    let options = CreateOptions::new(CreateMode::Persistent);
    client.create("/bobs", "", options.clone().acl(bob)).await.expect("created");
    assert_eq!(local.get_data("/bobs").await, refused(ErrorCode::NoAuth));
    local.add_auth("digest", "bob:builder").await.expect("authenticated");
    assert_eq!(local.set_data("/bobs", "x", None).await.map(|stat| stat.version), Ok(1));
    let open = local.set_acl("/bobs", AclList::open(), None).await;
    assert_eq!(open, refused(ErrorCode::NoAuth));

    let near = Id::ip("127.0.0.0/8").may(Perms::READ);
    let far = Id::ip(Ipv4Addr::new(192, 0, 2, 1)).may(Perms::ALL);
    client.create("/near", "", options.clone().acl([near, far])).await.expect("created");
    assert!(client.get_data("/near").await.is_ok());
    assert_eq!(client.set_data("/near", "x", None).await, refused(ErrorCode::NoAuth));
    let nowhere = options.acl(Id::ip("nowhere").may(Perms::ALL));
    assert_eq!(client.create("/x", "", nowhere).await, refused(ErrorCode::InvalidAcl));
}

#[tokio::test]
async fn says_who_it_is() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    client.add_auth("digest", "alice:secret").await.expect("authenticated");
    let identities = client.whoami().await.expect("identities");
    let digest = identities.iter().find(|identity| identity.scheme == "digest");
    assert_eq!(digest.map(|identity| identity.user.as_str()), Some("alice"));
    assert!(identities.iter().any(|identity| identity.scheme == "ip"));
}

#[tokio::test]
async fn a_transaction_happens_as_a_whole_or_not_at_all() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let results = client
        .transaction()
        .create("/a", "1", CreateMode::Persistent)
        .create("/a/s-", "", CreateMode::PersistentSequential)
        .set_data("/a", "2", Some(0))
        .check("/a", 1)
        .delete("/a/s-0000000000", None)
        .commit()
        .await
        .expect("committed");
    assert!(matches!(&results[1], OpResult::Created { path, .. } if path == "/a/s-0000000000"));
    assert!(matches!(&results[2], OpResult::DataSet(stat) if stat.version == 1));
    assert_eq!(results[3..], [OpResult::Checked, OpResult::Deleted]);

    let aborted = client
        .transaction()
        .delete("/a", None)
        .check("/missing", None)
        .create("/b", "", CreateMode::Persistent)
        .commit()
        .await;
    assert_eq!(aborted, Err(Error::Aborted { index: 1, code: ErrorCode::NoNode }));
    assert!(client.exists("/a").await.expect("answered").is_some());
    assert_eq!(client.transaction().commit().await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_batch_of_reads_has_a_result_for_each() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    client.create("/a", "x", CreateMode::Persistent).await.expect("created");
    client.create("/a/b", "", CreateMode::Persistent).await.expect("created");
    let reads = client.multi_read().get_data("/a").get_children("/a").get_data("/missing");
    let results = reads.send().await.expect("answered");
    assert!(matches!(&results[0], Ok(ReadResult::Data(data)) if data.bytes() == b"x"));
    assert_eq!(results[1], Ok(ReadResult::Children(vec!["b".to_owned()])));
    assert_eq!(results[2], refused(ErrorCode::NoNode));
}

#[tokio::test]
async fn operations_that_run_together_keep_their_order() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    client.create("/a", "", CreateMode::Persistent).await.expect("created");
    let tasks: Vec<_> = (0..2000_i32)
        .map(|version| {
            let client = client.clone();
            tokio::spawn(async move {
                let stat = client.set_data("/a", version.to_string(), Some(version)).await;
                stat.map(|stat| stat.version)
            })
        })
        .collect();
    for (version, task) in (1..).zip(tasks) {
        assert_eq!(task.await.expect("ran"), Ok(version));
    }
}

#[tokio::test]
async fn a_chroot_is_the_whole_world() {
    let fixture = Fixture::start();
    let outside = fixture.client().await;
    outside.create("/app", "top", CreateMode::Persistent).await.expect("created");
    let ensemble = format!("{}/app", fixture.address);
    let inside = Client::connect(ensemble).await.expect("connected");
    assert_eq!(inside.get_data("/").await.map(|data| data.bytes().to_vec()), Ok(b"top".to_vec()));
    let created = inside.create("/s-", "", CreateMode::EphemeralSequential).await;
    assert_eq!(created.map(|created| created.path), Ok("/s-0000000000".to_owned()));
    assert_eq!(inside.get_ephemerals("/").await, Ok(vec!["/s-0000000000".to_owned()]));
    assert!(outside.exists("/app/s-0000000000").await.expect("answered").is_some());
}

#[tokio::test]
async fn invalid_paths_are_not_sent() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    for path in ["", "a", "/a/", "//", "/a/../b"] {
        let created = client.create(path, "", CreateMode::Persistent).await;
        assert!(matches!(created, Err(Error::InvalidPath { .. })), "{path:?}");
        assert!(matches!(client.get_data(path).await, Err(Error::InvalidPath { .. })), "{path:?}");
    }
}

#[tokio::test]
async fn sync_and_config_are_answered() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    assert_eq!(client.sync("/").await, Ok(()));
    assert!(client.config().await.is_ok());
}

#[tokio::test]
async fn an_impatient_client_says_what_may_have_happened() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let client = Client::builder(silent.local_addr().expect("bound").to_string())
        .request_timeout(Duration::from_millis(20))
        .start()
        .expect("an address");
    let written = client.set_data("/", "x", None).await;
    assert_eq!(written, Err(Error::TimedOut { may_have_happened: true }));
    assert_eq!(client.exists("/").await, Err(Error::TimedOut { may_have_happened: false }));
}

#[tokio::test]
async fn an_answer_that_is_too_large_fails_once_and_alone() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    other.create("/names", "", CreateMode::Persistent).await.expect("created");
    for thousands in 0..3 {
        let names = (0..1000).map(|number| format!("/names/{thousands}-{number:060}"));
        let creates = names
            .fold(other.transaction(), |all, path| all.create(&path, "", CreateMode::Persistent));
        creates.commit().await.expect("created");
    }
    let max = 64 * 1024;
    let builder = Client::builder(fixture.address.as_str()).frame_bytes_max(max);
    let client = builder.connect().await.expect("connected");
    let ticket = client.ticket();
    let listed =
        timeout(Duration::from_secs(10), client.patiently(|| client.get_children("/names")));
    let bytes = 16 + 4 + 3000 * (4 + 62) + 68;
    let too_large = Err(Error::AnswerTooLarge { bytes, max, may_have_happened: false });
    assert_eq!(listed.await.expect("an end"), too_large);
    let found = client.patiently(|| client.exists("/names")).await.expect("answered");
    assert_eq!(found.map(|stat| stat.num_children), Some(3000));
    assert_eq!(client.ticket(), ticket);
}
