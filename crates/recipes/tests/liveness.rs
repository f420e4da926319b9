//! Who is there, who was, and who has failed: znodes with a time to live, numbers that one program has at a
//! time, and the failure detector.

mod fixture;

use std::collections::BTreeSet;
use std::time::Duration;

use reefkeeper_client::{AclList, CreateMode, CreateOptions, Error as ClientError, ErrorCode};
use reefkeeper_recipes::{
    Certainty, Error, FailureDetector, GroupMember, Health, PersistentTtl, Presence, WorkerIds,
};
use tokio::time::{Instant, timeout};

use self::fixture::{Fixture, children, disconnected, gone};

const PATH: &str = "/liveness/a";

/// Longer than any of this takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// Servers that look often for znodes whose time is over.
const ATTENTIVE: &[&str] = &["znode.container.checkIntervalMs=50"];

#[tokio::test]
async fn a_znode_with_a_time_to_live_outlives_its_program_by_that() {
    let fixture = Fixture::start_with(ATTENTIVE);
    let (client, other) = (fixture.client().await, fixture.client().await);
    let time_to_live = Duration::from_secs(2);
    let mut kept = PersistentTtl::keep(&client, PATH, time_to_live, "1");
    kept.present().await.expect("present");
    let before = other.exists(PATH).await.expect("answered").expect("there");
    assert_eq!(before.ephemeral_owner.0, 0);

    // One that nobody keeps goes in the same time.
    let mode = CreateMode::PersistentWithTtl(2000);
    other.create("/not-kept", "", mode).await.expect("created");
    gone(&other, "/not-kept").await;
    let after = other.exists(PATH).await.expect("answered").expect("still there");
    assert_eq!(after.czxid, before.czxid);
    // Who watches it is not woken by that.
    assert_eq!(after.mzxid, before.mzxid);

    drop(kept);
    assert!(other.exists(PATH).await.expect("answered").is_some());
    gone(&other, PATH).await;
}

#[tokio::test]
async fn a_kept_znode_comes_back_changes_and_is_removed() {
    let fixture = Fixture::start();
    let (sessions, other) = (fixture.sessions(), fixture.client().await);
    let mut kept = PersistentTtl::keep(&sessions, PATH, Duration::from_secs(60), "1");
    kept.present().await.expect("present");
    assert_eq!(kept.path(), PATH);
    children(&other, PATH, 1).await;
    other.delete_subtree(PATH).await.expect("deleted");
    // With its child, which is touched.
    children(&other, PATH, 1).await;

    fixture.expire(&sessions.current()).await;
    kept.set_data("2");
    loop {
        let (data, changed) = other.get_data_and_watch(PATH).await.expect("there");
        if data.bytes() == b"2" {
            break;
        }
        changed.await.expect("told");
    }
    assert_eq!(kept.presence(), Presence::Present);
    kept.remove().await.expect("removed");
    other.sync(PATH).await.expect("synchronized");
    assert_eq!(other.exists(PATH).await, Ok(None));
}

#[tokio::test]
async fn what_the_server_refuses_ends_the_keeping() {
    let fixture = Fixture::start_with(&["extendedTypesEnabled=false"]);
    let client = fixture.client().await;
    let mut kept = PersistentTtl::keep(&client, "/a", Duration::from_secs(60), "");
    let unimplemented = Error::Client(ClientError::Refused(ErrorCode::Unimplemented));
    assert_eq!(kept.present().await, Err(unimplemented.clone()));
    assert_eq!(kept.presence(), Presence::Over(Some(unimplemented)));
}

#[tokio::test]
async fn a_number_belongs_to_one_program_at_a_time() {
    let fixture = Fixture::start();
    let mut claimed = Vec::new();
    for _ in 0..4 {
        let ids = WorkerIds::new(fixture.client().await, PATH, 4).label("me");
        claimed.push(ids.claim().await.expect("answered").expect("free"));
    }
    let numbers: BTreeSet<_> = claimed.iter().map(|id| id.number()).collect();
    assert_eq!(numbers, BTreeSet::from([0, 1, 2, 3]));
    let latecomer = WorkerIds::new(fixture.client().await, PATH, 4);
    assert!(latecomer.claim().await.expect("answered").is_none());

    let lost = claimed.pop().expect("four");
    fixture.expire(lost.hold().client()).await;
    assert_eq!(lost.hold().certainty(), Certainty::Lost);
    let next = latecomer.claim().await.expect("answered").expect("free");
    assert_eq!(next.number(), lost.number());
    assert!(next.hold().token() > lost.hold().token());
    next.release().await.expect("released");
    let again = latecomer.claim().await.expect("answered").expect("free");
    assert_eq!(again.number(), lost.number());
    let none = WorkerIds::new(fixture.client().await, PATH, 0);
    assert!(none.claim().await.expect("answered").is_none());
}

#[tokio::test]
async fn a_failure_is_told_after_the_period_of_grace() {
    let fixture = Fixture::start();
    let (sessions, observer) = (fixture.sessions(), fixture.client().await);
    let grace = Duration::from_millis(300);
    let detector = FailureDetector::of(&observer, PATH).grace(grace);
    let mut member = GroupMember::join(&sessions, PATH, "one", "");
    member.joined().await.expect("joined");
    timeout(LONG, detector.arrived("one")).await.expect("in time").expect("there");
    assert_eq!(detector.health("one"), Health::Alive);
    assert_eq!(detector.health("two"), Health::Missing);

    let began = Instant::now();
    member.leave().await.expect("left");
    timeout(LONG, detector.failed("one")).await.expect("in time").expect("failed");
    assert!(began.elapsed() >= grace);
    assert_eq!(detector.health("one"), Health::Missing);

    fixture.expire(&observer).await;
    let expired = Err(Error::Client(ClientError::SessionExpired));
    assert_eq!(timeout(LONG, detector.failed("one")).await.expect("in time"), expired);
    assert_eq!(detector.health("one"), Health::Unknown);
}

#[tokio::test]
async fn who_comes_back_in_time_has_not_failed() {
    let fixture = Fixture::start();
    let (sessions, observer) = (fixture.sessions(), fixture.client().await);
    let detector = FailureDetector::of(&observer, PATH).grace(LONG);
    let mut member = GroupMember::join(&sessions, PATH, "one", "");
    member.joined().await.expect("joined");
    detector.arrived("one").await.expect("there");
    let returns = async {
        let gone_since = observer.exists_and_watch("/liveness/a/one").await.expect("answered").1;
        fixture.expire(&sessions.current()).await;
        gone_since.await.expect("told");
        member.joined().await.expect("joined again");
        detector.arrived("one").await.expect("there again");
    };
    tokio::select! {
        failed = detector.failed("one") => panic!("failed: {failed:?}"),
        () = returns => {}
    }
    assert_eq!(detector.health("one"), Health::Alive);
}

#[tokio::test]
async fn the_loss_of_ones_own_connection_is_nobodys_failure() {
    let fixture = Fixture::start();
    let (wire, observer) = fixture.wired_client().await;
    let sessions = fixture.sessions();
    let detector = FailureDetector::of(&observer, PATH).grace(Duration::from_millis(1));
    let mut member = GroupMember::join(&sessions, PATH, "one", "");
    member.joined().await.expect("joined");
    detector.arrived("one").await.expect("there");
    wire.cut();
    disconnected(&observer).await;
    // It leaves while nobody can see it.
    member.leave().await.expect("left");
    let seen = async {
        while detector.health("one") != Health::Unknown {
            tokio::task::yield_now().await;
        }
        wire.mend();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        failed = timeout(LONG, detector.failed("one")) => {
            failed.expect("in time").expect("told once the connection is back");
        }
        () = seen => {}
    }
    assert!(observer.state().is_connected());
}

#[tokio::test]
async fn of_who_may_not_be_read_no_failure_is_told() {
    let fixture = Fixture::start();
    let (observer, member) = (fixture.client().await, fixture.client().await);
    member.add_auth("digest", "member:secret").await.expect("authenticated");
    member.create("/liveness", "", CreateMode::Persistent).await.expect("created");
    member.create(PATH, "", CreateMode::Persistent).await.expect("created");
    let one = CreateOptions::new(CreateMode::Ephemeral).acl(AclList::creator());
    member.create("/liveness/a/one", "", one).await.expect("created");

    let detector = FailureDetector::of(&observer, PATH);
    let refused = Err(Error::Client(ClientError::Refused(ErrorCode::NoAuth)));
    assert_eq!(timeout(LONG, detector.failed("one")).await.expect("in time"), refused);
    assert_eq!(detector.health("one"), Health::Missing);
    member.close().await.expect("closed");
    timeout(LONG, detector.failed("one")).await.expect("in time").expect("failed");
}
