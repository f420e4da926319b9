//! Ad servers that follow one configuration: what an editor publishes is shown by all of them at once.
//!
//! ```text
//! reefkeeper playground
//! cargo run -p reefkeeper-recipes --example ad_servers -- localhost:2181
//! ```

#![allow(clippy::print_stdout, reason = "an example shows something")]

use std::error::Error;

use reefkeeper_client::{Client, Sessions};
use reefkeeper_recipes::Watched;

/// Where the configuration is.
const CONFIG: &str = "/ads/config";

/// What an ad server has to know.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Config {
    /// How many ads fit on a page.
    ads_per_page: u32,
    /// What they are about.
    topic: String,
}

impl Config {
    /// Reads `3 coral reefs`.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (ads_per_page, topic) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
        Some(Self { ads_per_page: ads_per_page.parse().ok()?, topic: topic.to_owned() })
    }
}

/// Shows ads until the configuration says that there are none; returns what it has shown.
async fn serve(name: &str, sessions: Sessions) -> Result<Vec<Config>, reefkeeper_recipes::Error> {
    let mut config = Watched::new(&sessions, CONFIG, Config::parse);
    let mut shown = Vec::new();
    loop {
        match config.next().await {
            Ok(Some(config)) if config.ads_per_page == 0 => return Ok(shown),
            Ok(Some(config)) => {
                println!("{name} shows {} ads about {}", config.ads_per_page, config.topic);
                shown.push(config);
            }
            Ok(None) => println!("{name} waits for its configuration"),
            // A server that has a configuration goes on with it.
            Err(error @ reefkeeper_recipes::Error::Unreadable { .. }) => {
                println!("{name}: {error}")
            }
            Err(error) => return Err(error),
        }
    }
}

/// Three servers, and an editor who changes their minds.
///
/// # Errors
/// Whatever goes wrong with the ensemble.
pub(crate) async fn run(ensemble: &str) -> Result<(), Box<dyn Error>> {
    let servers: Vec<_> = ["one", "two", "three"]
        .into_iter()
        .map(|name| {
            let sessions = Client::builder(ensemble).sessions()?;
            Ok(tokio::spawn(async move { serve(name, sessions).await }))
        })
        .collect::<Result<_, reefkeeper_client::AddressError>>()?;
    let editor = Client::connect(ensemble).await?;
    let config = Watched::new(&editor, CONFIG, Config::parse);
    for text in ["3 coral reefs", "three coral reefs", "2 diving", "0 nothing"] {
        println!("the editor publishes: {text}");
        config.publish(text).await?;
        // For the eye: fast changes are skipped otherwise.
        editor.sync(CONFIG).await?;
    }
    for server in servers {
        let shown = server.await??;
        println!("shown: {}", shown.len());
    }
    editor.delete_subtree("/ads").await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
#[allow(dead_code, reason = "a test runs it without this")]
async fn main() -> Result<(), Box<dyn Error>> {
    let ensemble = std::env::args().nth(1).unwrap_or_else(|| "localhost:2181".to_owned());
    run(&ensemble).await
}
