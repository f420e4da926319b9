//! Creates, reads, watches, changes and deletes znodes of the server named on the command line.
//!
//! ```text
//! cargo run --example first_minute -- localhost:2181
//! ```

use std::error::Error;

use reefkeeper_client::{Client, CreateMode, WatchMode};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example shows something")]
async fn main() -> Result<(), Box<dyn Error>> {
    let ensemble = std::env::args().nth(1).unwrap_or_else(|| "localhost:2181".to_owned());
    let client = Client::connect(ensemble).await?;
    println!("session {:?} of {:?}", client.ticket(), client.session_timeout());

    let root = client.create("/first-", "", CreateMode::PersistentSequential).await?.path;
    let mut changes = client.add_watch(&root, WatchMode::PersistentRecursive).await?;
    let created = client.create(&format!("{root}/a"), "one", CreateMode::Ephemeral).await?;
    println!("created {} with czxid {}", created.path, created.stat.czxid);

    let (data, watch) = client.get_data_and_watch(&created.path).await?;
    println!("data {:?}", String::from_utf8_lossy(data.bytes()));
    client.set_data(&created.path, "two", Some(data.stat.version)).await?;
    println!("one-shot watch: {:?}", watch.await?);

    let stale = client.set_data(&created.path, "three", Some(data.stat.version)).await;
    println!("with the old version: {stale:?}");

    let results = client
        .transaction()
        .check(&created.path, 1)
        .create(&format!("{root}/b"), "", CreateMode::Persistent)
        .delete(&format!("{root}/b"), None)
        .commit()
        .await?;
    println!("transaction: {results:?}");

    client.delete(&created.path, None).await?;
    client.delete(&root, None).await?;
    for _ in 0..6 {
        println!("stream: {:?}", changes.next().await);
    }
    client.close().await?;
    println!("then: {:?}", changes.next().await);
    Ok(())
}
