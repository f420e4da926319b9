//! Caches follow what others change, over everything that can happen to a session.

mod fixture;

use std::time::Duration;

use reefkeeper_client::{
    AclList, Client, CreateMode, CreateOptions, Error as ClientError, SessionState,
};
use reefkeeper_recipes::{Cache, CacheEvent, CacheEvents, Error, Freshness};
use tokio::time::timeout;

use self::fixture::{Clerk, Fixture, GET_DATA, disconnected, in_state};

const PATH: &str = "/caches/a";

/// Longer than any of this takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

async fn create(client: &Client, path: &str, data: &str) {
    client.create(path, data, CreateMode::Persistent).await.expect("created");
}

fn paths(cache: &Cache) -> Vec<String> {
    cache.entries().iter().map(|entry| entry.path.clone()).collect()
}

fn text(data: &reefkeeper_client::Data) -> &str {
    std::str::from_utf8(data.bytes()).expect("text")
}

/// The next event in a few words.
async fn told(events: &mut CacheEvents) -> String {
    match events.next().await.expect("not over") {
        CacheEvent::Added(entry) => format!("+ {} {}", entry.path, text(&entry.data)),
        CacheEvent::Changed { before, after } => {
            format!("~ {} {} -> {}", after.path, text(&before.data), text(&after.data))
        }
        CacheEvent::Removed(entry) => format!("- {}", entry.path),
        CacheEvent::Missed => "missed".to_owned(),
    }
}

#[tokio::test]
async fn a_tree_has_everything_below_and_follows_it() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    client.ensure("/caches/a/b", CreateMode::Persistent).await.expect("created");
    create(&client, "/caches/ab", "beside").await;
    let cache = Cache::of_tree(fixture.client().await, PATH);
    cache.synced().await.expect("synced");
    assert_eq!(paths(&cache), ["/caches/a", "/caches/a/b"]);
    assert_eq!(cache.freshness(), Freshness::Fresh);

    let (entries, mut events) = cache.entries_and_events();
    assert_eq!(entries.len(), 2);
    create(&client, "/caches/a/b/c", "1").await;
    assert_eq!(told(&mut events).await, "+ /caches/a/b/c 1");
    client.set_data("/caches/a/b/c", "2", None).await.expect("set");
    assert_eq!(told(&mut events).await, "~ /caches/a/b/c 1 -> 2");
    create(&client, "/caches/a/d", "").await;
    assert_eq!(told(&mut events).await, "+ /caches/a/d ");
    assert_eq!(cache.children(PATH), ["b", "d"]);
    assert_eq!(cache.children("/"), Vec::<String>::new());
    client.delete_subtree(PATH).await.expect("deleted");
    for path in ["/caches/a/b/c", "/caches/a/d", "/caches/a/b", "/caches/a"] {
        assert_eq!(told(&mut events).await, format!("- {path}"));
    }
    assert_eq!(paths(&cache), Vec::<String>::new());
    assert_eq!(cache.get(PATH), None);
    client.ensure(PATH, CreateMode::Persistent).await.expect("created");
    assert_eq!(told(&mut events).await, "+ /caches/a ");
}

#[tokio::test]
async fn children_are_without_their_parent_and_their_own_children() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    client.ensure("/caches/a/b/c", CreateMode::Persistent).await.expect("created");
    let cache = Cache::of_children(fixture.client().await, PATH);
    cache.synced().await.expect("synced");
    assert_eq!(paths(&cache), ["/caches/a/b"]);
    let mut events = cache.events();
    client.set_data(PATH, "x", None).await.expect("set");
    client.set_data("/caches/a/b/c", "x", None).await.expect("set");
    create(&client, "/caches/a/d", "x").await;
    assert_eq!(told(&mut events).await, "+ /caches/a/d x");
    assert_eq!(cache.children(PATH), ["b", "d"]);
}

#[tokio::test]
async fn a_single_znode_comes_changes_and_goes() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let cache = Cache::of_node(fixture.client().await, "/a");
    cache.synced().await.expect("synced");
    assert_eq!(cache.get("/a"), None);
    let mut events = cache.events();
    create(&client, "/a", "1").await;
    assert_eq!(told(&mut events).await, "+ /a 1");
    create(&client, "/a/b", "unseen").await;
    client.set_data("/a", "2", None).await.expect("set");
    assert_eq!(told(&mut events).await, "~ /a 1 -> 2");
    assert_eq!(cache.get("/a").map(|entry| entry.data.bytes().to_vec()), Some(b"2".to_vec()));
    client.delete_subtree("/a").await.expect("deleted");
    assert_eq!(told(&mut events).await, "- /a");
}

#[tokio::test]
async fn what_changed_while_the_connection_was_lost_is_told() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    for path in ["/a", "/a/changes", "/a/goes", "/a/stays"] {
        create(&other, path, "1").await;
    }
    let (wire, client) = fixture.wired_client().await;
    let cache = Cache::of_tree(&client, "/a");
    cache.synced().await.expect("synced");
    let mut events = cache.events();
    wire.cut();
    disconnected(&client).await;
    while cache.freshness() != Freshness::Stale {
        tokio::task::yield_now().await;
    }
    other.set_data("/a/changes", "2", None).await.expect("set");
    other.delete("/a/goes", None).await.expect("deleted");
    create(&other, "/a/comes", "2").await;
    assert!(cache.get("/a/goes").is_some(), "it keeps what it has");
    wire.mend();
    let mut differences = Vec::new();
    for _ in 0..3 {
        differences.push(told(&mut events).await);
    }
    differences.sort();
    assert_eq!(differences, ["+ /a/comes 2", "- /a/goes", "~ /a/changes 1 -> 2"]);
    cache.synced().await.expect("synced");
    assert_eq!(cache.freshness(), Freshness::Fresh);
    // And it goes on.
    other.delete("/a/comes", None).await.expect("deleted");
    assert_eq!(told(&mut events).await, "- /a/comes");
}

#[tokio::test]
async fn it_goes_on_in_the_next_session_or_is_over() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    create(&other, "/a", "1").await;
    let sessions = fixture.sessions();
    let single = fixture.client().await;
    let renewed = Cache::of_node(&sessions, "/a");
    let ended = Cache::of_node(&single, "/a");
    renewed.synced().await.expect("synced");
    ended.synced().await.expect("synced");
    let (mut events, mut last_events) = (renewed.events(), ended.events());
    fixture.expire(&sessions.current()).await;
    fixture.expire(&single).await;
    other.set_data("/a", "2", None).await.expect("set");
    assert_eq!(told(&mut events).await, "~ /a 1 -> 2");
    let expired = Error::Client(ClientError::SessionExpired);
    while ended.freshness() != Freshness::Over(expired.clone()) {
        tokio::task::yield_now().await;
    }
    assert_eq!(ended.synced().await, Err(expired));
    drop(ended);
    assert_eq!(last_events.next().await, None);
}

#[tokio::test]
async fn many_znodes_are_read() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    client.ensure(PATH, CreateMode::Persistent).await.expect("created");
    for number in 0..300 {
        create(&client, &format!("{PATH}/{number:03}"), "x").await;
    }
    let cache = Cache::of_children(fixture.client().await, PATH);
    cache.synced().await.expect("synced");
    assert_eq!(cache.entries().len(), 300);
    assert_eq!(cache.children(PATH)[299], "299");
}

#[tokio::test]
async fn who_waits_for_changes_learns_that_there_will_be_none() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let cache = Cache::of_tree(&client, PATH);
    cache.synced().await.expect("synced");
    let (mut events, mut late) = (cache.events(), cache.events());
    create(&fixture.client().await, "/caches", "").await;
    create(&client, PATH, "1").await;
    assert_eq!(told(&mut events).await, format!("+ {PATH} 1"));
    let (event, ()) = tokio::join!(events.next(), fixture.expire(&client));
    assert_eq!(event, None);
    // What happened before is told first.
    assert_eq!(told(&mut late).await, format!("+ {PATH} 1"));
    assert_eq!(late.next().await, None);
}

#[tokio::test]
async fn what_may_not_be_read_is_left_out() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    other.add_auth("digest", "other:secret").await.expect("authenticated");
    for path in ["/a", "/a/open"] {
        create(&other, path, "1").await;
    }
    let secret = CreateOptions::new(CreateMode::Persistent).acl(AclList::creator());
    other.create("/a/secret", "1", secret).await.expect("created");
    create(&other, "/a/secret/below", "1").await;
    let (wire, client) = fixture.wired_client().await;
    let cache = Cache::of_tree(&client, "/a");
    cache.synced().await.expect("synced");
    assert_eq!(paths(&cache), ["/a", "/a/open"]);
    // And when everything is read again.
    wire.cut();
    disconnected(&client).await;
    create(&other, "/a/later", "1").await;
    wire.mend();
    let mut events = cache.events();
    assert_eq!(told(&mut events).await, "+ /a/later 1");
    cache.synced().await.expect("synced");
    assert_eq!(paths(&cache), ["/a", "/a/later", "/a/open"]);
    let of_children = Cache::of_children(&client, "/a/secret");
    of_children.synced().await.expect("synced");
    assert_eq!(paths(&of_children), Vec::<String>::new());
}

#[tokio::test]
async fn it_is_stale_while_an_answer_is_missing_and_the_connection_lost() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    create(&other, "/a", "1").await;
    let (clerk, client) = fixture.client_of_a_clerk().await;
    let cache = Cache::of_node(&client, "/a");
    cache.synced().await.expect("synced");
    let mut events = cache.events();
    clerk.keep_the_answer(GET_DATA);
    other.set_data("/a", "2", None).await.expect("set");
    clerk.played(1).await;
    assert_eq!(cache.freshness(), Freshness::Fresh);
    clerk.cut();
    let stale = async {
        while cache.freshness() != Freshness::Stale {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, stale).await.expect("it says so during the outage");
    other.set_data("/a", "3", None).await.expect("set");
    clerk.mend();
    assert_eq!(told(&mut events).await, "~ /a 1 -> 3");
    cache.synced().await.expect("synced");
}

#[tokio::test]
async fn a_znode_that_was_made_again_is_not_told_to_be_gone() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    create(&other, "/a", "1").await;
    let (wire, client) = fixture.wired_client().await;
    let cache = Cache::of_node(&client, "/a");
    cache.synced().await.expect("synced");
    let mut events = cache.events();
    // All in one transaction.
    let transaction = other.transaction().set_data("/a", "2", None).delete("/a", None);
    let made = transaction.create("/a", "3", CreateMode::Persistent).commit().await;
    made.expect("committed");
    assert_eq!(told(&mut events).await, "~ /a 1 -> 3");
    other.set_data("/a", "4", None).await.expect("set");
    assert_eq!(told(&mut events).await, "~ /a 3 -> 4");
    // One after the other, before the cache hears of the first.
    wire.deafen();
    other.set_data("/a", "5", None).await.expect("set");
    other.delete("/a", None).await.expect("deleted");
    create(&other, "/a", "6").await;
    wire.mend();
    assert_eq!(told(&mut events).await, "~ /a 4 -> 6");
    other.delete("/a", None).await.expect("deleted");
    assert_eq!(told(&mut events).await, "- /a");
}

#[tokio::test]
async fn a_next_session_without_a_quorum_reads_what_there_is() {
    let fixture = Fixture::start();
    let other = fixture.client().await;
    create(&other, "/a", "1").await;
    let clerk = Clerk::at(&fixture.address).await;
    let sessions = Client::builder(clerk.address()).read_only(true).sessions().expect("an address");
    let first = sessions.current();
    let cache = Cache::of_node(&sessions, "/a");
    cache.synced().await.expect("synced");
    let mut events = cache.events();
    clerk.lose_the_quorum();
    fixture.expire(&first).await;
    other.set_data("/a", "2", None).await.expect("set");
    assert_eq!(told(&mut events).await, "~ /a 1 -> 2");
    cache.synced().await.expect("synced");
    assert_eq!(sessions.current().state(), SessionState::ConnectedReadOnly);
    other.set_data("/a", "3", None).await.expect("set");
    assert_eq!(told(&mut events).await, "~ /a 2 -> 3");
    clerk.find_the_quorum();
    in_state(&sessions.current(), SessionState::Connected).await;
    other.set_data("/a", "4", None).await.expect("set");
    assert_eq!(told(&mut events).await, "~ /a 3 -> 4");
}
