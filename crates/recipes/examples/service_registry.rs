//! Services that register themselves, and a caller that finds them, and finds out when they go.
//!
//! ```text
//! reefkeeper playground
//! cargo run -p reefkeeper-recipes --example service_registry -- localhost:2181
//! ```

#![allow(clippy::print_stdout, reason = "an example shows something")]

use std::error::Error;

use reefkeeper_client::Client;
use reefkeeper_recipes::{CacheEvent, Registration, ServiceInstance, ServiceProvider, Strategy};

/// What all services share.
const SERVICES: &str = "/services";

/// Two instances come, one goes.
///
/// # Errors
/// Whatever goes wrong with the ensemble.
pub(crate) async fn run(ensemble: &str) -> Result<(), Box<dyn Error>> {
    let caller = Client::connect(ensemble).await?;
    let thumbnails = ServiceProvider::new(&caller, SERVICES, "thumbnails", Strategy::RoundRobin);
    thumbnails.synced().await?;
    let mut events = thumbnails.events();

    let mut registrations = Vec::new();
    for (host, zone) in [("10.0.0.7", "north"), ("10.0.0.8", "south")] {
        let sessions = Client::builder(ensemble).sessions()?;
        let instance = ServiceInstance::new("thumbnails", host, 8080).payload(zone);
        let mut registration = Registration::new(sessions, SERVICES, &instance);
        registration.registered().await?;
        registrations.push(registration);
        if let Some(CacheEvent::Added(entry)) = events.next().await {
            println!("came: {}", entry.path);
        }
    }
    for call in 1..=4 {
        let instance = thumbnails.choose().ok_or("there should be two")?;
        println!("call {call} goes to {:?} in the {:?}", instance.address, instance.payload);
    }
    registrations.remove(0).unregister().await?;
    if let Some(CacheEvent::Removed(entry)) = events.next().await {
        println!("went: {}", entry.path);
    }
    println!("left: {}", thumbnails.instances().len());
    drop(registrations);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
#[allow(dead_code, reason = "a test runs it without this")]
async fn main() -> Result<(), Box<dyn Error>> {
    let ensemble = std::env::args().nth(1).unwrap_or_else(|| "localhost:2181".to_owned());
    run(&ensemble).await
}
