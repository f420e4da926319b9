//! What stays although sessions end: ephemerals that come back, members, watched values, numbers.

mod fixture;

use std::collections::BTreeSet;

use reefkeeper_client::{Client, CreateMode, Error as ClientError, SessionState};
use reefkeeper_recipes::{
    CacheEvent, Error, Group, GroupMember, IdGenerator, PersistentEphemeral, Presence, Watched,
};

use self::fixture::{Clerk, Fixture, children, gone, in_state, settled};

const PATH: &str = "/presence/a";

/// Waits until a znode has that presence.
async fn until(znode: &mut PersistentEphemeral, expected: &Presence) {
    while znode.presence() != *expected {
        znode.changed().await;
    }
}

/// Waits until a znode belongs to a client and holds that.
async fn holds(client: &Client, owner: &Client, data: &str) {
    let owner = owner.ticket().expect("a session").id;
    loop {
        let (stat, changed) = client.exists_and_watch(PATH).await.expect("answered");
        if let Some(stat) = stat
            && stat.ephemeral_owner == owner
            && client.get_data(PATH).await.is_ok_and(|now| now.bytes() == data.as_bytes())
        {
            return;
        }
        changed.await.expect("told");
    }
}

#[tokio::test]
async fn an_ephemeral_comes_back_when_it_is_deleted() {
    let fixture = Fixture::start();
    let (client, other) = (fixture.client().await, fixture.client().await);
    let mut znode = PersistentEphemeral::keep(&client, PATH, "1");
    znode.present().await.expect("present");
    holds(&other, &client, "1").await;
    znode.set_data("2");
    holds(&other, &client, "2").await;
    let before = other.exists(PATH).await.expect("answered").expect("there");
    other.delete(PATH, None).await.expect("deleted");
    holds(&other, &client, "2").await;
    let after = other.exists(PATH).await.expect("answered").expect("there");
    assert!(after.czxid > before.czxid);
    znode.present().await.expect("present");
    assert_eq!(znode.path(), PATH);
    znode.remove().await.expect("removed");
    other.sync(PATH).await.expect("synchronized");
    assert_eq!(other.exists(PATH).await, Ok(None));
}

#[tokio::test]
async fn an_ephemeral_comes_back_in_the_next_session() {
    let fixture = Fixture::start();
    let (sessions, other) = (fixture.sessions(), fixture.client().await);
    let mut znode = PersistentEphemeral::keep(&sessions, PATH, "here");
    znode.present().await.expect("present");
    let first = sessions.current();
    fixture.expire(&first).await;
    let second = sessions.current();
    second.connected().await.expect("a server");
    holds(&other, &second, "here").await;
    drop(znode);
    gone(&other, PATH).await;
}

#[tokio::test]
async fn without_another_session_it_is_over() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let mut znode = PersistentEphemeral::keep(&client, PATH, "here");
    znode.present().await.expect("present");
    fixture.expire(&client).await;
    let expired = Error::Client(ClientError::SessionExpired);
    until(&mut znode, &Presence::Over(Some(expired.clone()))).await;
    assert_eq!(znode.present().await, Err(expired.clone()));
    assert_eq!(znode.remove().await, Err(expired));
}

#[tokio::test]
async fn another_ones_znode_is_left_alone_until_it_goes() {
    let fixture = Fixture::start();
    let (client, other) = (fixture.client().await, fixture.client().await);
    other.ensure("/presence", CreateMode::Persistent).await.expect("created");
    other.create(PATH, "theirs", CreateMode::Ephemeral).await.expect("created");
    let mut znode = PersistentEphemeral::keep(&client, PATH, "ours");
    let theirs = other.ticket().expect("a session").id;
    until(&mut znode, &Presence::Blocked(theirs)).await;
    other.set_data(PATH, "still theirs", None).await.expect("set");
    other.delete(PATH, None).await.expect("deleted");
    holds(&other, &client, "ours").await;

    // Nor is it removed by who does not own it.
    let blocked = PersistentEphemeral::keep(&other, PATH, "theirs");
    blocked.remove().await.expect("nothing to remove");
    holds(&other, &client, "ours").await;
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_recognized() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    other.ensure("/presence", CreateMode::Persistent).await.expect("created");
    let (wire, client) = fixture.wired_client().await;
    wire.deafen();
    let mut znode = PersistentEphemeral::keep(&client, PATH, "here");
    children(&other, "/presence", 1).await;
    wire.cut();
    wire.mend();
    znode.present().await.expect("present");
    holds(&other, &client, "here").await;
}

#[tokio::test]
async fn data_is_not_set_where_another_has_taken_the_place() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let (wire, client) = fixture.wired_client().await;
    let mut znode = PersistentEphemeral::keep(&client, PATH, "1");
    znode.present().await.expect("present");
    znode.set_data("2");
    holds(&other, &client, "2").await;
    settled(&client).await;
    // It does not learn that its znode is gone before it sets data again.
    wire.deafen();
    other.delete(PATH, None).await.expect("deleted");
    other.create(PATH, "theirs", CreateMode::Ephemeral).await.expect("created");
    znode.set_data("3");
    tokio::task::yield_now().await;
    // What is asked for after that is done after that.
    let marked = client.create("/mark", "", CreateMode::Persistent);
    let mend = async {
        let (stat, created) = other.exists_and_watch("/mark").await.expect("answered");
        if stat.is_none() {
            created.await.expect("told");
        }
        wire.mend();
    };
    let (marked, ()) = tokio::join!(marked, mend);
    marked.expect("created");
    let theirs = other.ticket().expect("a session").id;
    until(&mut znode, &Presence::Blocked(theirs)).await;
    assert_eq!(other.get_data(PATH).await.expect("answered").bytes(), b"theirs");
    other.delete(PATH, None).await.expect("deleted");
    holds(&other, &client, "3").await;
}

#[tokio::test]
async fn data_whose_setting_is_unknown_is_set_all_the_same() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let (wire, client) = fixture.wired_client().await;
    let mut znode = PersistentEphemeral::keep(&client, PATH, "1");
    znode.present().await.expect("present");
    settled(&client).await;
    wire.deafen();
    znode.set_data("2");
    holds(&other, &client, "2").await;
    // Neither what was done without an answer nor what is wanted since is lost.
    znode.set_data("3");
    wire.cut();
    wire.mend();
    holds(&other, &client, "3").await;
}

#[tokio::test]
async fn a_resumed_session_has_the_znode_with_what_is_wanted_now() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let mut before = PersistentEphemeral::keep(&client, PATH, "old");
    before.present().await.expect("present");
    let ticket = client.detach().expect("a session");
    let resumed = Client::builder(fixture.address.as_str()).resume(ticket).connect();
    let resumed = resumed.await.expect("resumed");
    let mut now = PersistentEphemeral::keep(&resumed, PATH, "new");
    now.present().await.expect("present");
    assert_eq!(resumed.get_data(PATH).await.expect("answered").bytes(), b"new");
}

#[tokio::test]
async fn a_server_without_a_quorum_is_not_the_end() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let clerk = Clerk::at(&fixture.address).await;
    clerk.lose_the_quorum();
    let sessions = Client::builder(clerk.address()).read_only(true).sessions().expect("an address");
    let mut znode = PersistentEphemeral::keep(&sessions, PATH, "here");
    clerk.refused_a_write().await;
    clerk.find_the_quorum();
    znode.present().await.expect("present");
    let client = sessions.current();
    holds(&other, &client, "here").await;
    // Its session goes on, and what is set meanwhile is written later.
    clerk.lose_the_quorum();
    in_state(&client, SessionState::ConnectedReadOnly).await;
    znode.set_data("changed");
    clerk.find_the_quorum();
    holds(&other, &client, "changed").await;
    znode.remove().await.expect("removed");
}

#[tokio::test]
async fn members_come_change_and_go() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.sessions(), fixture.sessions());
    let group = Group::of(fixture.client().await, PATH);
    group.synced().await.expect("synced");
    assert_eq!(group.members(), []);
    let mut events = group.events();
    let mut first = GroupMember::join(&one, PATH, "one", "1");
    first.joined().await.expect("joined");
    assert!(matches!(events.next().await, Some(CacheEvent::Added(_))));
    let mut second = GroupMember::join(&two, PATH, "two", "2");
    second.joined().await.expect("joined");
    assert!(matches!(events.next().await, Some(CacheEvent::Added(_))));
    first.set_data("changed");
    assert!(matches!(events.next().await, Some(CacheEvent::Changed { .. })));
    let members = group.members();
    let shown: Vec<_> = members.iter().map(|member| (member.id.as_str(), &*member.data)).collect();
    assert_eq!(shown, [("one", b"changed".as_slice()), ("two", b"2")]);
    assert_eq!(second.presence(), Presence::Present);

    fixture.expire(&two.current()).await;
    assert!(matches!(events.next().await, Some(CacheEvent::Removed(_))));
    assert!(matches!(events.next().await, Some(CacheEvent::Added(_))));
    first.leave().await.expect("left");
    assert!(matches!(events.next().await, Some(CacheEvent::Removed(_))));
    assert_eq!(group.cache().children(PATH), ["two"]);
}

#[tokio::test]
async fn a_watched_value_follows_its_znode() {
    let fixture = Fixture::start();
    let (client, other) = (fixture.client().await, fixture.client().await);
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<u32>().ok();
    let mut watched = Watched::new(&client, "/config/a", number);
    assert_eq!(watched.next().await, Ok(None));
    let publisher = Watched::new(&other, "/config/a", number);
    publisher.publish("1").await.expect("published");
    assert_eq!(watched.next().await, Ok(Some(1)));
    publisher.publish("one").await.expect("published");
    let unreadable = Error::Unreadable {
        path: "/config/a".to_owned(),
        expected: "value that the program understands",
    };
    assert_eq!(watched.next().await, Err(unreadable.clone()));
    assert_eq!(watched.current(), Err(unreadable));
    publisher.publish("2").await.expect("published");
    assert_eq!(watched.next().await, Ok(Some(2)));
    assert_eq!(watched.current(), Ok(Some(2)));
    // The same value again is a value that was published.
    publisher.publish("2").await.expect("published");
    assert_eq!(watched.next().await, Ok(Some(2)));
    other.delete("/config/a", None).await.expect("deleted");
    assert_eq!(watched.next().await, Ok(None));
    assert!(format!("{watched:?}").contains("/config/a"));

    fixture.expire(&client).await;
    let expired = Err(Error::Client(ClientError::SessionExpired));
    assert_eq!(watched.next().await, expired);
}

#[tokio::test]
async fn numbers_are_given_out_once() {
    let fixture = Fixture::start();
    let mut generators = Vec::new();
    for _ in 0..3 {
        generators.push(IdGenerator::new(fixture.client().await, PATH, 4));
    }
    let mut ids = Vec::new();
    for generator in generators.iter().cycle().take(30) {
        ids.push(generator.next().await.expect("a number"));
    }
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 30);
    // Each has used ten of three blocks of four.
    assert_eq!(ids.iter().max(), Some(&34));
}

#[tokio::test]
async fn a_block_whose_reservation_is_unknown_is_left_out() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    let others = IdGenerator::new(&other, PATH, 10);
    assert_eq!(others.next().await, Ok(1));
    let (wire, client) = fixture.wired_client().await;
    let generator = IdGenerator::new(&client, PATH, 10);
    let (_, reserved) = other.get_data_and_watch(PATH).await.expect("there");
    let disturb = async {
        reserved.await.expect("told");
        wire.cut();
        wire.mend();
    };
    // The answer may have arrived before the cut: then the block is used.
    let (id, ()) = tokio::join!(generator.next(), disturb);
    assert!([Ok(11), Ok(21)].contains(&id), "{id:?}");
    assert_eq!(generator.next().await, id.map(|id| id + 1));
}
