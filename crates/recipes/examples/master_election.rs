//! Servers of which one is the master, and a store that listens to no former master.
//!
//! ```text
//! reefkeeper playground
//! cargo run -p reefkeeper-recipes --example master_election -- localhost:2181
//! ```

#![allow(clippy::print_stdout, reason = "an example shows something")]

use std::error::Error;

use reefkeeper_client::Client;
use reefkeeper_recipes::{FencingToken, LeaderLatch};

/// Where the election is.
const ELECTION: &str = "/store/master";

/// What the masters write to. It remembers the highest token that it has seen.
#[derive(Default)]
struct Store {
    highest: Option<FencingToken>,
    text: String,
}

impl Store {
    /// Writes, unless a later master has written before.
    fn write(&mut self, token: FencingToken, text: &str) -> Result<(), String> {
        if self.highest > Some(token) {
            return Err(format!("{token} is a master of former times"));
        }
        self.highest = Some(token);
        self.text = text.to_owned();
        Ok(())
    }
}

/// Two servers: the first is the master until it leaves, and is not listened to afterwards.
///
/// # Errors
/// Whatever goes wrong with the ensemble.
pub(crate) async fn run(ensemble: &str) -> Result<(), Box<dyn Error>> {
    let mut store = Store::default();
    let mut first = LeaderLatch::join(Client::connect(ensemble).await?, ELECTION, "first");
    let first_token = first.led().await?;
    store.write(first_token, "the first was here")?;
    println!("first leads with token {first_token}; the store has: {}", store.text);

    let mut second = LeaderLatch::join(Client::connect(ensemble).await?, ELECTION, "second");
    while second.participants().await?.len() < 2 {
        tokio::task::yield_now().await;
    }
    println!("second: {:?}", second.leadership());
    first.leave().await?;
    let second_token = second.led().await?;
    store.write(second_token, "the second was here")?;
    println!("second leads with token {second_token}; the store has: {}", store.text);

    // A write of the first that was under way for a long time.
    if let Err(refusal) = store.write(first_token, "the first again") {
        println!("the store says: {refusal}");
    }
    second.leave().await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
#[allow(dead_code, reason = "a test runs it without this")]
async fn main() -> Result<(), Box<dyn Error>> {
    let ensemble = std::env::args().nth(1).unwrap_or_else(|| "localhost:2181".to_owned());
    run(&ensemble).await
}
