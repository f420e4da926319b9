//! Workers that share mails among them: each mail is sent by one, also if a worker breaks down.
//!
//! ```text
//! reefkeeper playground
//! cargo run -p reefkeeper-recipes --example mail_workers -- localhost:2181
//! ```

#![allow(clippy::print_stdout, reason = "an example shows something")]

use std::error::Error;

use reefkeeper_client::Client;
use reefkeeper_recipes::{Priority, Queue};

/// Where the mails are.
const MAILS: &str = "/mail/outbox";

/// Sends mails until there are no more; returns how many.
async fn work(name: &str, client: Client) -> Result<usize, reefkeeper_recipes::Error> {
    let mails = Queue::new(&client, MAILS);
    let mut sent = 0;
    while let Some(mail) = mails.try_take().await? {
        println!("{name} sends {}", String::from_utf8_lossy(mail.data()));
        mail.done().await?;
        sent += 1;
    }
    Ok(sent)
}

/// Ten mails, and three workers, of whom one breaks down.
///
/// # Errors
/// Whatever goes wrong with the ensemble.
pub(crate) async fn run(ensemble: &str) -> Result<(), Box<dyn Error>> {
    let client = Client::connect(ensemble).await?;
    let mails = Queue::new(&client, MAILS);
    mails.put_all((1..10).map(|number| format!("mail {number}"))).await?;
    let urgent = Priority::new(1).ok_or("priorities go to 999")?;
    mails.put_with("an urgent mail", urgent).await?;

    // This one takes a mail and is gone: its session is closed, and the mail is there again.
    let broken = Client::connect(ensemble).await?;
    let taken = Queue::new(&broken, MAILS).take().await?;
    println!("a worker breaks down with {}", String::from_utf8_lossy(taken.data()));
    broken.close().await?;

    let one = tokio::spawn(work("one", Client::connect(ensemble).await?));
    let two = tokio::spawn(work("two", Client::connect(ensemble).await?));
    let sent = one.await?? + two.await??;
    println!("sent: {sent}, left: {}", mails.len().await?);
    client.delete_subtree("/mail").await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
#[allow(dead_code, reason = "a test runs it without this")]
async fn main() -> Result<(), Box<dyn Error>> {
    let ensemble = std::env::args().nth(1).unwrap_or_else(|| "localhost:2181".to_owned());
    run(&ensemble).await
}
