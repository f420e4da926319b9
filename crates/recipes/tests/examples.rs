//! Every example runs, and cleans up behind itself.

mod fixture;

#[path = "../examples/ad_servers.rs"]
mod ad_servers;
#[path = "../examples/mail_workers.rs"]
mod mail_workers;
#[path = "../examples/master_election.rs"]
mod master_election;
#[path = "../examples/service_registry.rs"]
mod service_registry;
#[path = "../examples/tour.rs"]
mod tour;

use self::fixture::Fixture;

#[tokio::test]
async fn ad_servers() {
    let fixture = Fixture::start();
    ad_servers::run(&fixture.address).await.expect("it works");
    let client = fixture.client().await;
    assert_eq!(client.exists("/ads").await, Ok(None));
}

#[tokio::test]
async fn mail_workers() {
    let fixture = Fixture::start();
    mail_workers::run(&fixture.address).await.expect("it works");
}

#[tokio::test]
async fn master_election() {
    let fixture = Fixture::start();
    master_election::run(&fixture.address).await.expect("it works");
}

#[tokio::test]
async fn service_registry() {
    let fixture = Fixture::start();
    service_registry::run(&fixture.address).await.expect("it works");
}

#[tokio::test]
async fn tour() {
    let fixture = Fixture::start();
    tour::run(&fixture.address).await.expect("it works");
    assert_eq!(fixture.client().await.exists("/tour").await, Ok(None));
}
