//! Leaders, and those who follow them, under everything that can happen to a session.

mod fixture;

use std::pin::pin;
use std::time::Duration;

use reefkeeper_client::{Client, Error as ClientError, SessionState, Sessions};
use reefkeeper_recipes::{
    Error, FencingToken, LeaderLatch, LeaderSelector, Leadership, Led, Naming,
};
use tokio::sync::oneshot;

use self::fixture::{Clerk, Fixture, children, disconnected, gone, in_state, settled};

const PATH: &str = "/elections/a";

/// Waits until a participant has that part.
async fn until(latch: &mut LeaderLatch, is_it: impl Fn(&Leadership) -> bool) -> Leadership {
    let mut part = latch.leadership();
    while !is_it(&part) {
        part = latch.changed().await;
    }
    part
}

async fn led(latch: &mut LeaderLatch) -> FencingToken {
    latch.led().await.expect("leading")
}

#[tokio::test]
async fn they_lead_in_the_order_in_which_they_joined() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let mut latches = Vec::new();
    for id in ["one", "two", "three"] {
        latches.push(LeaderLatch::join(&client, PATH, id));
        children(&client, PATH, latches.len()).await;
    }
    let participants = latches[2].participants().await.expect("answered");
    let ids: Vec<_> = participants.iter().map(|participant| &*participant.label).collect();
    assert_eq!(ids, [b"one".as_slice(), b"two", b"three"]);

    let mut last_token = None;
    for (mut latch, participant) in latches.into_iter().zip(participants) {
        let token = led(&mut latch).await;
        assert!(latch.is_leading());
        assert_eq!(token, participant.token);
        assert!(last_token < Some(token));
        last_token = Some(token);
        latch.leave().await.expect("left");
    }
    children(&client, PATH, 0).await;
}

#[tokio::test]
async fn one_that_waits_leaves_without_having_led() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let mut leader = LeaderLatch::join(&client, PATH, "leader");
    led(&mut leader).await;
    let waiting = LeaderLatch::join(&client, PATH, "waiting");
    children(&client, PATH, 2).await;
    assert_eq!(waiting.leadership(), Leadership::Standby);
    waiting.leave().await.expect("left");
    drop(LeaderLatch::join(&client, PATH, "dropped"));
    children(&client, PATH, 1).await;
    assert!(leader.is_leading());
    drop(leader);
    children(&client, PATH, 0).await;
}

#[tokio::test]
async fn a_leader_whose_session_expires_stands_by_in_the_next() {
    let fixture = Fixture::start();
    let sessions = fixture.sessions();
    let other = fixture.client().await;
    let mut first = LeaderLatch::join(&sessions, PATH, "first");
    let first_token = led(&mut first).await;
    let mut second = LeaderLatch::join(&other, PATH, "second");
    children(&other, PATH, 2).await;

    fixture.expire(&sessions.current()).await;
    let second_token = led(&mut second).await;
    assert!(second_token > first_token);
    until(&mut first, |part| *part == Leadership::Standby).await;
    children(&other, PATH, 2).await;
    second.leave().await.expect("left");
    let again = until(&mut first, |part| matches!(part, Leadership::Leading(_))).await;
    assert!(again.token() > Some(second_token));
}

#[tokio::test]
async fn without_another_session_the_part_is_over() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let mut latch = LeaderLatch::join(&client, PATH, "only");
    led(&mut latch).await;
    fixture.expire(&client).await;
    let expired = Error::Client(ClientError::SessionExpired);
    until(&mut latch, |part| *part == Leadership::Over(Some(expired.clone()))).await;
    assert_eq!(latch.led().await, Err(expired.clone()));
    assert_eq!(latch.leave().await, Err(expired));
}

#[tokio::test]
async fn a_leader_whose_connection_is_lost_is_in_doubt_and_leads_again() {
    let fixture = Fixture::start();
    let (wire, client) = fixture.wired_client().await;
    let mut latch = LeaderLatch::join(&client, PATH, "leader");
    let token = led(&mut latch).await;
    wire.cut();
    until(&mut latch, |part| *part == Leadership::InDoubt(token)).await;
    assert!(!latch.is_leading());
    wire.mend();
    until(&mut latch, |part| *part == Leadership::Leading(token)).await;
}

#[tokio::test]
async fn a_leader_whose_znode_is_deleted_joins_again() {
    let fixture = Fixture::start();
    let (client, other) = (fixture.client().await, fixture.client().await);
    let mut latch = LeaderLatch::join(&client, PATH, "leader");
    let token = led(&mut latch).await;
    let path = latch.participants().await.expect("answered")[0].path.clone();
    other.delete(&path, None).await.expect("deleted");
    let again = |part: &Leadership| part.token().is_some_and(|new| new > token);
    until(&mut latch, again).await;
}

#[tokio::test]
async fn one_that_is_deleted_while_it_waits_joins_again() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let mut leader = LeaderLatch::join(&client, PATH, "leader");
    led(&mut leader).await;
    let mut waiting = LeaderLatch::join(&client, PATH, "waiting");
    children(&client, PATH, 2).await;
    let participants = leader.participants().await.expect("answered");
    client.delete(&participants[1].path, None).await.expect("deleted");
    leader.leave().await.expect("left");
    led(&mut waiting).await;
}

#[tokio::test]
async fn a_selected_leader_does_its_work_alone() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    let first = LeaderSelector::new(&one, PATH, "first");
    let second = LeaderSelector::new(&two, PATH, "second");
    let (may_end, end) = oneshot::channel::<()>();
    let (began, begun) = oneshot::channel();
    let working = first.lead(async |hold| {
        began.send(hold.token()).expect("somebody waits");
        end.await.expect("told");
        "done"
    });
    let following = async {
        let first_token = begun.await.expect("told");
        let participants = second.participants().await.expect("answered");
        assert_eq!(&*participants[0].label, b"first");
        let follow = second.lead(async |hold| hold.token());
        let end_first = async {
            children(&two, PATH, 2).await;
            may_end.send(()).expect("somebody waits");
        };
        let (led, ()) = tokio::join!(follow, end_first);
        let Led::Finished(token) = led.expect("led") else { panic!("nothing disturbed it") };
        assert!(token > first_token);
    };
    let (led, ()) = tokio::join!(working, following);
    assert_eq!(led, Ok(Led::Finished("done")));
}

#[tokio::test]
async fn work_is_taken_away_from_a_leader_in_doubt() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let (wire, client) = fixture.wired_client().await;
    let selector = LeaderSelector::new(&client, PATH, "leader");
    let (began, begun) = oneshot::channel();
    let (dropped, is_dropped) = oneshot::channel::<()>();
    let leading = selector.lead(async |hold| {
        // Dropped with the work, which goes on for ever otherwise.
        let _dropped = dropped;
        began.send(hold.path().to_owned()).expect("somebody waits");
        std::future::pending::<()>().await;
    });
    let disturb = async {
        let path = begun.await.expect("told");
        wire.cut();
        assert!(is_dropped.await.is_err());
        wire.mend();
        gone(&other, &path).await;
    };
    let (led, ()) = tokio::join!(leading, disturb);
    assert_eq!(led, Ok(Led::Interrupted));
}

#[tokio::test]
async fn work_goes_on_when_a_server_is_found_in_time() {
    let fixture = Fixture::start();
    let (wire, client) = fixture.wired_client().await;
    let minute = Duration::from_secs(60);
    let selector = LeaderSelector::new(&client, PATH, "leader").grace(minute);
    let led = selector
        .lead(async |_| {
            wire.cut();
            disconnected(&client).await;
            wire.mend();
            client.connected().await.expect("a server");
            "went on"
        })
        .await;
    assert_eq!(led, Ok(Led::Finished("went on")));
}

#[tokio::test]
async fn work_is_taken_away_from_a_leader_whose_session_expired() {
    let fixture = Fixture::start();
    let sessions: Sessions = fixture.sessions();
    let minute = Duration::from_secs(60);
    let selector = LeaderSelector::new(&sessions, PATH, "leader").grace(minute);
    let client = sessions.current();
    let led = selector
        .lead(async |_| {
            fixture.expire(&client).await;
            std::future::pending::<()>().await;
        })
        .await;
    assert_eq!(led, Ok(Led::Interrupted));
    // In the next session it may lead again.
    assert_eq!(selector.lead(async |_| "again").await, Ok(Led::Finished("again")));
}

#[tokio::test]
async fn a_candidate_with_names_of_kazoo_leads_before_those_who_came_later() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let first = LeaderSelector::new(&client, PATH, "first").naming(Naming::Kazoo);
    let second = LeaderSelector::new(&client, PATH, "second");
    let mut following = None;
    let led = first
        .lead(async |hold| {
            assert!(hold.path().contains("__lock__"), "{}", hold.path());
            let follower = tokio::spawn(async move { second.lead(async |_| "done").await });
            children(&client, PATH, 2).await;
            assert!(!follower.is_finished());
            following = Some(follower);
        })
        .await;
    assert_eq!(led, Ok(Led::Finished(())));
    let following = following.expect("it led").await.expect("ran");
    assert_eq!(following, Ok(Led::Finished("done")));
}

#[tokio::test]
async fn who_leaves_the_line_has_left_it() {
    let fixture = Fixture::start();
    let mut leader = LeaderLatch::join(fixture.client().await, PATH, "leader");
    led(&mut leader).await;
    let (wire, client) = fixture.wired_client().await;
    let other = fixture.client().await;
    let waiting = LeaderLatch::join(&client, PATH, "waiting");
    children(&other, PATH, 2).await;
    settled(&client).await;
    wire.deafen();
    let mut leaving = pin!(waiting.leave());
    // Nobody has answered yet.
    let so_long = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        left = &mut leaving => panic!("{left:?}"),
        () = so_long => {}
    }
    wire.mend();
    leaving.await.expect("left");
    assert_eq!(client.get_children(PATH).await.expect("answered").names.len(), 1);
}

#[tokio::test]
async fn who_leaves_while_it_joins_has_left() {
    let fixture = Fixture::start();
    let mut leader = LeaderLatch::join(fixture.client().await, PATH, "leader");
    led(&mut leader).await;
    let (wire, client) = fixture.wired_client().await;
    let other = fixture.client().await;
    wire.deafen();
    let joining = LeaderLatch::join(&client, PATH, "joining");
    children(&other, PATH, 2).await;
    let mend = async {
        tokio::task::yield_now().await;
        wire.mend();
    };
    let (left, ()) = tokio::join!(joining.leave(), mend);
    left.expect("left");
    assert_eq!(client.get_children(PATH).await.expect("answered").names.len(), 1);
}

#[tokio::test]
async fn a_server_without_a_quorum_is_waited_out() {
    let fixture = Fixture::start();
    let clerk = Clerk::at(&fixture.address).await;
    clerk.lose_the_quorum();
    let sessions = Client::builder(clerk.address()).read_only(true).sessions().expect("an address");
    let mut latch = LeaderLatch::join(&sessions, PATH, "leader");
    clerk.refused_a_write().await;
    clerk.find_the_quorum();
    let token = led(&mut latch).await;
    // The end of its session would not be heard of there.
    clerk.lose_the_quorum();
    until(&mut latch, |part| *part == Leadership::InDoubt(token)).await;
    in_state(&sessions.current(), SessionState::ConnectedReadOnly).await;
    assert_eq!(latch.leadership(), Leadership::InDoubt(token));
    clerk.find_the_quorum();
    until(&mut latch, |part| *part == Leadership::Leading(token)).await;
}

#[tokio::test]
async fn a_leader_is_interrupted_by_a_server_without_a_quorum() {
    let fixture = Fixture::start();
    let (clerk, client) = fixture.client_of_a_clerk().await;
    let selector = LeaderSelector::new(&client, PATH, "leader").grace(Duration::from_millis(20));
    let find = async {
        children(&client, PATH, 1).await;
        clerk.lose_the_quorum();
        in_state(&client, SessionState::ConnectedReadOnly).await;
        clerk.refused_a_write().await;
        clerk.find_the_quorum();
    };
    let (led, ()) = tokio::join!(selector.lead(async |_| std::future::pending::<()>().await), find);
    assert_eq!(led, Ok(Led::Interrupted));
}
