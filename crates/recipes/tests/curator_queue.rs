//! The queue that is shared with programs in Java: what it reads and writes, and that nothing is lost.

mod fixture;

use reefkeeper_client::{Client, CreateMode};
use reefkeeper_recipes::{CuratorQueue, Error, TakenItems};

use self::fixture::{Fixture, children};

const ITEMS: &str = "/orders/items";
const MARKS: &str = "/orders/marks";

/// What Curator's `DistributedQueue` makes of the texts "hi" and "you", put together.
const TOGETHER: &[u8] = b"\x00\x01\x00\x01\x01\x00\x00\x00\x02hi\x01\x00\x00\x00\x03you\x02";

fn queue(client: &Client) -> CuratorQueue {
    CuratorQueue::new(client, ITEMS, MARKS)
}

async fn create(client: &Client, name: &str, data: &[u8]) -> String {
    let mode = CreateMode::PersistentSequential;
    client.ensure(ITEMS, CreateMode::Persistent).await.expect("created");
    client.create(&format!("{ITEMS}/{name}"), data, mode).await.expect("created").path
}

#[tokio::test]
async fn items_of_curator_are_taken_in_their_order() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let first = create(&client, "queue-", TOGETHER).await;
    create(&client, "others-", b"of somebody else").await;
    let queue = queue(&client);
    queue.put("ours").await.expect("put");

    let taken = queue.take().await.expect("taken");
    assert_eq!(
        (taken.path(), taken.items()),
        (first.as_str(), &[b"hi".to_vec(), b"you".to_vec()][..])
    );
    let mark = children(&client, MARKS, 1).await.remove(0);
    assert_eq!(first, format!("{ITEMS}/{mark}"), "the mark has the name of the item");
    let ours = queue.take().await.expect("taken");
    assert_eq!(ours.items(), [b"ours"]);
    assert!(ours.token() > taken.token());
    assert!(queue.try_take().await.expect("answered").is_none());
    ours.done().await.expect("done");
    taken.done().await.expect("done");
    assert_eq!(children(&client, ITEMS, 1).await, ["others-0000000001"]);
    children(&client, MARKS, 0).await;
}

#[tokio::test]
async fn items_are_written_as_curator_reads_them() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    queue(&client).put_together(["hi", "you"]).await.expect("put");
    assert_eq!(children(&client, ITEMS, 1).await, ["queue-0000000000"]);
    let data = client.get_data(&format!("{ITEMS}/queue-0000000000")).await.expect("there");
    assert_eq!(data.bytes(), TOGETHER);
}

#[tokio::test]
async fn items_that_are_given_back_or_whose_worker_is_lost_are_taken_by_others() {
    let fixture = Fixture::start();
    let (one, two) = (fixture.client().await, fixture.client().await);
    queue(&one).put("work").await.expect("put");
    queue(&one).take().await.expect("taken").give_back().await.expect("given back");
    drop(queue(&one).take().await.expect("taken"));
    let lost: TakenItems = queue(&one).take().await.expect("taken");
    let waiting = queue(&two);
    let waiting = tokio::spawn(async move { waiting.take().await });
    fixture.expire(&one).await;
    let taken = waiting.await.expect("ran").expect("taken");
    assert!(taken.token() > lost.token());
    assert_eq!(taken.items(), [b"work"]);
    assert!(lost.done().await.is_err());
    taken.done().await.expect("done");
    children(&two, ITEMS, 0).await;
}

#[tokio::test]
async fn what_can_not_be_read_stays() {
    let fixture = Fixture::start();
    let client = fixture.client().await;
    let path = create(&client, "queue-", b"not of Curator").await;
    let expected = "items of a queue of Curator";
    let error = queue(&client).take().await.expect_err("unreadable");
    assert_eq!(error, Error::Unreadable { path, expected });
    children(&client, ITEMS, 1).await;
    children(&client, MARKS, 0).await;
}
