//! Resources that members share out, under everything that can happen to a session.

mod fixture;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reefkeeper_client::{Error as ClientError, Sessions};
use reefkeeper_recipes::{Certainty, Error, FencingToken, Lock, Partition, Share};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use self::fixture::{Fixture, children, disconnected};

const PATH: &str = "/partition";
const MEMBERS: &str = "/partition/members";
const RESOURCES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Longer than any of this takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// Where the lock of a resource is.
fn lock(resource: &str) -> String {
    format!("{PATH}/locks/{resource}")
}

/// Waits until a member was given so many.
async fn take(partition: &mut Partition, count: usize) -> Vec<Share> {
    let mut shares = Vec::new();
    while shares.len() < count {
        shares.push(timeout(LONG, partition.next()).await.expect("in time").expect("given"));
    }
    shares
}

/// Who has what, as those who have it say.
#[derive(Clone)]
struct Ledger(Arc<watch::Sender<BTreeMap<String, (&'static str, FencingToken)>>>);

impl Ledger {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(BTreeMap::new())))
    }

    /// Works on what a member is given until it is recalled. Ends, and leaves, when it is aborted.
    fn work(&self, sessions: &Sessions, id: &'static str) -> JoinHandle<()> {
        let mut partition = Partition::join(sessions, PATH, id, RESOURCES);
        let ledger = self.clone();
        tokio::spawn(async move {
            let mut works = JoinSet::new();
            loop {
                let share = partition.next().await.expect("in one session or another");
                let ledger = ledger.clone();
                works.spawn(async move { ledger.work_on(share, id).await });
            }
        })
    }

    async fn work_on(&self, share: Share, id: &'static str) {
        let (resource, token) = (share.resource().to_owned(), share.hold().token());
        self.0.send_modify(|table| {
            let before = table.insert(resource.clone(), (id, token));
            assert!(before.is_none_or(|(_, earlier)| earlier < token), "{before:?} before {token}");
        });
        share.recalled().await;
        self.0.send_modify(|table| {
            // Unless another has it, since the session expired.
            if table[&resource] == (id, token) {
                table.remove(&resource);
            }
        });
        share.release().await.expect("released");
    }

    /// Waits until members have so many each, the fewest first, with tokens that are higher than that; the
    /// highest token.
    async fn settled(&self, counts: &[usize], above: Option<FencingToken>) -> FencingToken {
        let mut table = self.0.subscribe();
        let is_settled = |table: &BTreeMap<String, (&str, FencingToken)>| {
            let mut owned = BTreeMap::<&str, usize>::new();
            for (owner, _) in table.values() {
                *owned.entry(owner).or_default() += 1;
            }
            let mut owned: Vec<usize> = owned.into_values().collect();
            owned.sort_unstable();
            owned == counts && table.values().map(|(_, token)| *token).max() > above
        };
        let settled = timeout(LONG, table.wait_for(is_settled)).await.expect("in time");
        let settled = settled.expect("goes on");
        settled.values().map(|(_, token)| *token).max().expect("there are some")
    }
}

#[tokio::test]
async fn resources_are_shared_out_anew_when_members_come_and_go() {
    let fixture = Fixture::start();
    let ledger = Ledger::new();
    let sessions = [fixture.sessions(), fixture.sessions(), fixture.sessions()];
    let one = ledger.work(&sessions[0], "one");
    ledger.settled(&[5], None).await;
    let _two = ledger.work(&sessions[1], "two");
    ledger.settled(&[2, 3], None).await;
    let _three = ledger.work(&sessions[2], "three");
    let before = ledger.settled(&[1, 2, 2], None).await;
    one.abort();
    // What the first had is in the ledger until others have it.
    ledger.settled(&[2, 3], Some(before)).await;
}

#[tokio::test]
async fn who_loses_the_session_joins_again() {
    let fixture = Fixture::start();
    let ledger = Ledger::new();
    let (stays, expires) = (fixture.sessions(), fixture.sessions());
    let _one = ledger.work(&stays, "one");
    let _two = ledger.work(&expires, "two");
    let before = ledger.settled(&[2, 3], None).await;
    fixture.expire(&expires.current()).await;
    ledger.settled(&[2, 3], Some(before)).await;
}

#[tokio::test]
async fn a_resource_is_given_up_before_another_has_it() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let mut one = Partition::join(fixture.client().await, PATH, "one", ["a", "b"]);
    let mut shares = take(&mut one, 2).await;
    let mut two = Partition::join(&other, PATH, "two", ["a", "b"]);
    let number = tokio::select! {
        () = shares[0].recalled() => 0,
        () = shares[1].recalled() => 1,
    };
    let recalled = shares.remove(number);
    // The other waits for it.
    let path = lock(recalled.resource());
    children(&other, &path, 2).await;
    let contenders = Lock::new(&other, &path).contenders().await.expect("answered");
    let labels: Vec<_> = contenders.iter().map(|contender| &*contender.label).collect();
    assert_eq!(labels, [b"one", b"two"]);
    assert_eq!(recalled.hold().certainty(), Certainty::Held);
    assert!(timeout(Duration::from_millis(20), two.next()).await.is_err());

    let (resource, token) = (recalled.resource().to_owned(), recalled.hold().token());
    recalled.release().await.expect("released");
    let next = take(&mut two, 1).await.remove(0);
    assert_eq!(next.resource(), resource);
    assert!(next.hold().token() > token);
    // The first one keeps the rest, and asks for nothing more.
    children(&other, &path, 1).await;
    let kept = shares.remove(0);
    assert_eq!(children(&other, &lock(kept.resource()), 1).await.len(), 1);
    two.leave().await.expect("left");
    timeout(LONG, next.recalled()).await.expect("in time");
    drop(next);
    assert_eq!(take(&mut one, 1).await[0].resource(), resource);
}

#[tokio::test]
async fn a_lost_connection_is_doubt_and_nothing_else() {
    let fixture = Fixture::start();
    let (wire, client) = fixture.wired_client().await;
    let mut partition = Partition::join(&client, PATH, "one", ["a"]);
    let share = take(&mut partition, 1).await.remove(0);
    wire.cut();
    disconnected(&client).await;
    timeout(LONG, share.hold().in_doubt()).await.expect("in time");
    assert_eq!(share.hold().certainty(), Certainty::InDoubt);
    wire.mend();
    client.connected().await.expect("found again");
    assert_eq!(share.hold().certainty(), Certainty::Held);
    let in_line = Lock::new(&client, lock("a")).contenders().await.expect("answered");
    assert_eq!(in_line.iter().map(|it| it.token).collect::<Vec<_>>(), [share.hold().token()]);
    assert!(timeout(Duration::from_millis(20), share.recalled()).await.is_err());
}

#[tokio::test]
async fn without_another_session_it_is_over() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let mut partition = Partition::join(&client, PATH, "one", RESOURCES);
    let shares = take(&mut partition, 5).await;
    fixture.expire(&client).await;
    let error = timeout(LONG, partition.next()).await.expect("in time").expect_err("over");
    assert_eq!(error, Error::Client(ClientError::SessionExpired));
    for share in shares {
        timeout(LONG, share.recalled()).await.expect("in time");
        assert_eq!(share.hold().certainty(), Certainty::Lost);
        share.release().await.expect("nothing left to give up");
    }
    assert!(partition.leave().await.is_err());
}

#[tokio::test]
async fn who_leaves_gives_up_what_the_program_has_finished_with() {
    let fixture = Fixture::start();
    let (client, other) = (fixture.client().await, fixture.client().await);
    let mut partition = Partition::join(&client, PATH, "one", RESOURCES);
    let shares = take(&mut partition, 4).await;
    partition.leave().await.expect("left");
    children(&other, MEMBERS, 0).await;
    for share in &shares {
        timeout(LONG, share.recalled()).await.expect("in time");
        assert_eq!(share.hold().certainty(), Certainty::Held);
        children(&other, &lock(share.resource()), 1).await;
    }
    // Dropped inside of the runtime, or after the partition: both are given up in the background.
    drop(shares);
    for resource in RESOURCES {
        children(&other, &lock(resource), 0).await;
    }
    drop(Partition::join(&client, PATH, "two", RESOURCES));
    children(&other, MEMBERS, 0).await;
    let mut next = Partition::join(&other, PATH, "three", RESOURCES);
    take(&mut next, 5).await;
}

#[tokio::test]
async fn what_somebody_deleted_is_asked_for_again() {
    let fixture = Fixture::start();
    let (client, other) = (fixture.client().await, fixture.client().await);
    let mut partition = Partition::join(&client, PATH, "two", ["a"]);
    let share = take(&mut partition, 1).await.remove(0);
    other.delete(share.hold().path(), None).await.expect("deleted");
    timeout(LONG, share.recalled()).await.expect("in time");
    let token = share.hold().token();
    drop(share);
    let again = take(&mut partition, 1).await.remove(0);
    assert!(again.hold().token() > token);

    // So is a place in line, of the member to which it is due when both are there.
    let mut one = Partition::join(&other, PATH, "one", ["a"]);
    let path = lock("a");
    children(&other, &path, 2).await;
    let contenders = Lock::new(&other, &path).contenders().await.expect("answered");
    client.delete(&contenders[1].path, None).await.expect("deleted");
    // It notices when it is its turn.
    again.release().await.expect("released");
    let next = take(&mut one, 1).await.remove(0);
    assert!(next.hold().token() > contenders[1].token);
}

#[tokio::test]
async fn who_leaves_has_left_every_line() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let path = lock("a");
    let held = Lock::new(&other, &path).acquire().await.expect("held");
    let client = fixture.client().await;
    let leaving = Partition::join(&client, PATH, "leaving", ["a"]);
    children(&other, &path, 2).await;
    leaving.leave().await.expect("left");
    assert_eq!(client.get_children(&path).await.expect("answered").names.len(), 1);
    held.release().await.expect("released");
}
