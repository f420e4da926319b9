//! A look at every recipe that has no story of its own among these examples.
//!
//! ```text
//! reefkeeper playground --set extendedTypesEnabled=true
//! cargo run -p reefkeeper-recipes --example tour -- localhost:2181
//! ```

#![allow(clippy::print_stdout, reason = "an example shows something")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use reefkeeper_client::{Client, CreateMode};
use reefkeeper_recipes::{
    AtomicValue, Barrier, Cache, Counter, DelayQueue, DoubleBarrier, FailureDetector, Group,
    GroupMember, IdGenerator, LeaderSelector, Lock, MultiLock, Outcome, Partition,
    PersistentEphemeral, PersistentTtl, ReadWriteLock, Rendezvous, Semaphore, Share, Tasks,
    TwoPhaseCommit, Worker, WorkerId, WorkerIds,
};

type Done = Result<(), Box<dyn Error>>;

async fn locks(client: &Client) -> Done {
    let hold = Lock::new(client, "/tour/lock").label("tour").acquire().await?;
    println!("lock: held at {} with token {}", hold.path(), hold.token());
    hold.release().await?;

    let accounts = ["/tour/account-1", "/tour/account-2"];
    let both = MultiLock::new(accounts.map(|path| Lock::new(client, path)));
    println!("multi-lock: {} held", both.acquire().await?.len());

    let index = ReadWriteLock::new(client, "/tour/index");
    let readers = [index.read().await?, index.read().await?];
    println!("read-write lock: a writer gets in: {}", index.try_write().await?.is_some());
    for reader in readers {
        reader.release().await?;
    }

    let licenses = Semaphore::new(client, "/tour/licenses", 2);
    let _held = [licenses.acquire().await?, licenses.acquire().await?];
    println!("semaphore: a third gets in: {}", licenses.try_acquire().await?.is_some());
    Ok(())
}

async fn meetings(client: &Client) -> Done {
    let selector = LeaderSelector::new(client, "/tour/leader", "tour");
    let led = selector.lead(async |hold| format!("led with token {}", hold.token())).await?;
    println!("leader selector: {led:?}");

    let gate = Barrier::new(client, "/tour/gate");
    gate.close().await?;
    let (passed, opened) = tokio::join!(gate.passed(), gate.open());
    println!("barrier: {passed:?} after {opened:?}");

    let step = DoubleBarrier::new(client, "/tour/step", 2);
    let (one, two) = tokio::join!(step.enter(), step.enter());
    let (one, two) = tokio::join!(one?.leave(), two?.leave());
    println!("double barrier: {one:?} and {two:?}");

    let address = Rendezvous::new(client, "/tour/address");
    let (word, left) = tokio::join!(address.word(), address.leave("10.0.0.7"));
    left?;
    println!("rendezvous: {}", String::from_utf8_lossy(&word?));

    let transfer = TwoPhaseCommit::new(client, "/tour/transfer");
    transfer.vote("one", Outcome::Commit).await?;
    transfer.vote("two", Outcome::Abort).await?;
    let decision = transfer.decide(["one", "two"], Duration::from_secs(10)).await?;
    println!("two-phase commit: {decision:?}");
    Ok(())
}

async fn values(client: &Client) -> Done {
    let visits = Counter::new(client, "/tour/visits");
    println!("counter: {} then {}", visits.add(2).await?, visits.add(3).await?);
    let names = AtomicValue::new(client, "/tour/names");
    let names = names.update(|names| [names.unwrap_or_default(), b"ann "].concat()).await?;
    println!("atomic value: version {}", names.version);
    let orders = IdGenerator::new(client, "/tour/orders", 100);
    println!("id generator: {} and {}", orders.next().await?, orders.next().await?);
    let shard = WorkerIds::new(client, "/tour/shards", 8).claim().await?;
    println!("worker ids: {:?}", shard.as_ref().map(WorkerId::number));
    let mut partition = Partition::join(client, "/tour/letters", "tour", ["a-m", "n-z"]);
    let shares = [partition.next().await?, partition.next().await?];
    println!("partition: {:?}", shares.each_ref().map(Share::resource));
    partition.leave().await?;
    for share in shares {
        share.release().await?;
    }
    let reminders = DelayQueue::new(client, "/tour/reminders");
    reminders.put("now", SystemTime::now()).await?;
    let reminder = reminders.take().await?;
    println!("delay queue: {}", String::from_utf8_lossy(reminder.data()));
    reminder.done().await?;

    let frames = Tasks::new(client, "/tour/frames");
    let frame = frames.submit("frame 17").await?;
    let mut worker = Worker::join(client, "/tour/frames", "tour");
    let work = async {
        worker.next().await?.done("pixels").await?;
        frames.outcome(&frame).await
    };
    tokio::select! {
        outcome = work => println!("tasks: {}", String::from_utf8_lossy(&outcome?)),
        ended = frames.assign("tour") => println!("tasks: no master anymore: {ended:?}"),
    }
    worker.leave().await?;
    Ok(())
}

async fn presence(client: &Client) -> Done {
    let mut here = PersistentEphemeral::keep(client, "/tour/here", "since today");
    here.present().await?;
    println!("persistent ephemeral: {:?}", here.presence());
    let mut member = GroupMember::join(client, "/tour/group", "tour", "a member");
    member.joined().await?;
    let group = Group::of(client, "/tour/group");
    group.synced().await?;
    println!("group: {:?}", group.members());
    let detector = FailureDetector::of(client, "/tour/group");
    detector.arrived("tour").await?;
    println!("failure detector: {:?}", detector.health("tour"));
    let mut cart = PersistentTtl::keep(client, "/tour/cart", Duration::from_secs(60), "3 apples");
    // Servers must be configured for it.
    println!("persistent with a time to live: {:?}", cart.present().await);
    drop(cart);
    let cache = Cache::of_tree(client, "/tour");
    cache.synced().await?;
    println!("cache: {} znodes", cache.entries().len());
    here.remove().await?;
    member.leave().await?;
    Ok(())
}

/// One after the other.
///
/// # Errors
/// Whatever goes wrong with the ensemble.
pub(crate) async fn run(ensemble: &str) -> Done {
    let client = Client::connect(ensemble).await?;
    client.ensure("/tour", CreateMode::Persistent).await?;
    locks(&client).await?;
    meetings(&client).await?;
    values(&client).await?;
    presence(&client).await?;
    client.delete_subtree("/tour").await?;
    client.close().await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
#[allow(dead_code, reason = "a test runs it without this")]
async fn main() -> Done {
    let ensemble = std::env::args().nth(1).unwrap_or_else(|| "localhost:2181".to_owned());
    run(&ensemble).await
}
