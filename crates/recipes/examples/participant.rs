//! Takes part in a recipe beside programs of other libraries, to see whether they get on.
//!
//! ```text
//! cargo run -p reefkeeper-recipes --example participant -- localhost:2181 lock /shared 100
//! ```
//!
//! The words are the ensemble, the recipe, a path and how often. `lock`, `write` and `lead` add one to the
//! number at `<path>-number` each time it is their turn, in two requests: the number shows whether they
//! were alone. `read` looks whether that number stays while it may. `count` adds to the counter at the path;
//! `meet` enters and leaves a double barrier for so many; `put` puts items into a queue and `take` takes them.

#![allow(clippy::print_stdout, reason = "an example shows something")]

use std::error::Error;

use reefkeeper_client::{Client, CreateMode, ErrorCode};
use reefkeeper_recipes::{Counter, DoubleBarrier, LeaderLatch, Lock, Queue, ReadWriteLock};

type Done = Result<(), Box<dyn Error>>;

/// The number at a path; 0 without a znode.
async fn number(client: &Client, path: &str) -> Result<u64, Box<dyn Error>> {
    match client.get_data(path).await {
        Ok(data) => Ok(std::str::from_utf8(data.bytes())?.parse()?),
        Err(reefkeeper_client::Error::Refused(ErrorCode::NoNode)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Adds one, so that two who do it at the same time are found out.
async fn bump(client: &Client, path: &str) -> Done {
    let next = number(client, path).await? + 1;
    client.ensure(path, CreateMode::Persistent).await?;
    client.set_data(path, next.to_string(), None).await?;
    Ok(())
}

async fn take_part(client: &Client, recipe: &str, path: &str, count: usize) -> Done {
    let shared = format!("{path}-number");
    match recipe {
        "lock" => {
            let lock = Lock::new(client, path);
            for _ in 0..count {
                let hold = lock.acquire().await?;
                bump(client, &shared).await?;
                hold.release().await?;
            }
        }
        "write" => {
            let lock = ReadWriteLock::new(client, path);
            for _ in 0..count {
                let hold = lock.write().await?;
                bump(client, &shared).await?;
                hold.release().await?;
            }
        }
        "read" => {
            let lock = ReadWriteLock::new(client, path);
            for _ in 0..count {
                let hold = lock.read().await?;
                client.sync(&shared).await?;
                let before = number(client, &shared).await?;
                client.sync(&shared).await?;
                assert_eq!(number(client, &shared).await?, before, "somebody writes");
                hold.release().await?;
            }
        }
        "lead" => {
            for _ in 0..count {
                let mut latch = LeaderLatch::join(client, path, "reefkeeper");
                latch.led().await?;
                bump(client, &shared).await?;
                latch.leave().await?;
            }
        }
        "count" => {
            let counter = Counter::new(client, path);
            for _ in 0..count {
                counter.add(1).await?;
            }
        }
        "meet" => DoubleBarrier::new(client, path, count).enter().await?.leave().await?,
        "put" => {
            let queue = Queue::new(client, path);
            for item in 0..count {
                queue.put(format!("reefkeeper {item}")).await?;
            }
        }
        "take" => {
            let queue = Queue::new(client, path);
            for _ in 0..count {
                let item = queue.take().await?;
                println!("{}", String::from_utf8_lossy(item.data()));
                item.done().await?;
            }
        }
        other => return Err(format!("no recipe {other}").into()),
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [ensemble, recipe, path, count] = words.as_slice() else {
        return Err("the words are: ensemble, recipe, path, count".into());
    };
    let client = Client::connect(ensemble.as_str()).await?;
    take_part(&client, recipe, path, count.parse()?).await?;
    client.close().await?;
    Ok(())
}
