//! Values that are published, and services that are found.

use std::collections::BTreeSet;

use reefkeeper_client::{Error as ClientError, ErrorCode};
use reefkeeper_recipes::{
    Error, Registration, ServiceInstance, ServiceProvider, Strategy, Watched,
};
use tokio::time::{sleep, timeout};

use super::Actor;
use crate::history::{Follower, Offer, Published};

/// The name of the service.
const SERVICE: &str = "s";

impl Actor {
    /// Publishes values and follows those of all; in peace until the own copy is right.
    pub(super) async fn follow_a_value(&self, number: u64) -> Result<(), Error> {
        let path = format!("{}/values/one", self.root);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let mut watched = Watched::new(&self.sessions, &path, text);
        let follower = {
            let mut book = self.book.open();
            book.followers.push(Follower::default());
            book.followers.len() - 1
        };
        if self.is_peace() || self.chance(600) {
            self.publish(&watched, format!("{}.{number}", self.who)).await?;
        }
        if !self.is_peace() {
            let told = async {
                loop {
                    let value = watched.next().await?;
                    let mut book = self.book.open();
                    book.count("values told");
                    book.followers[follower].told.push(value);
                }
            };
            let patience = self.duration(self.timeout * 3);
            return timeout(patience, told).await.unwrap_or(Ok(()));
        }
        let client = self.sessions.current();
        loop {
            client.patiently(|| client.sync(&path)).await?;
            let value = match client.patiently(|| client.get_data(&path)).await {
                Ok(data) => text(data.bytes()),
                Err(ClientError::Refused(ErrorCode::NoNode)) => None,
                Err(error) => return Err(error.into()),
            };
            if watched.current()? == value {
                return Ok(());
            }
            sleep(self.timeout / 16).await;
        }
    }

    async fn publish(&self, by: &Watched<String>, value: String) -> Result<(), Error> {
        {
            let mut book = self.book.open();
            let after = book.published_for_sure.clone();
            book.published.push(Published { value: value.clone(), after });
        }
        by.publish(value.clone()).await?;
        self.book.open().published_for_sure.push(value);
        Ok(())
    }

    /// Offers a service, and calls it; in peace until all know all others.
    pub(super) async fn serve_and_call(&self, number: u64) -> Result<(), Error> {
        let base = format!("{}/services", self.root);
        let port = u16::try_from(number % 1000).unwrap_or(0);
        let mut own = ServiceInstance::new(SERVICE, format!("host-{}", self.who), port);
        self.book.open().offers.push(offer(&own));
        let mut registration = Registration::new(&self.sessions, &base, &own);
        registration.registered().await?;
        let strategies = [Strategy::RoundRobin, Strategy::Random, Strategy::Sticky];
        let strategy = strategies[self.random.borrow_mut().index(strategies.len())];
        let provider = ServiceProvider::new(&self.sessions, &base, SERVICE, strategy);
        provider.synced().await?;
        if self.is_peace() {
            while !self.are_all_served(&provider) {
                sleep(self.timeout / 16).await;
            }
            self.call(&provider);
            self.until_all_are_content().await;
            return registration.unregister().await;
        }
        for change in 0..4 {
            self.call(&provider);
            own.is_enabled = self.chance(600);
            own.payload = Some(change.to_string());
            self.book.open().offers.push(offer(&own));
            registration.update(&own);
            sleep(self.duration(self.timeout / 2)).await;
        }
        match self.chance(500) {
            true => registration.unregister().await,
            false => Ok(()),
        }
    }

    fn call(&self, provider: &ServiceProvider) {
        if let Some(chosen) = provider.choose() {
            let mut book = self.book.open();
            book.count("services called");
            book.called.push(offer(&chosen));
        }
    }

    /// Whether a provider knows one instance of each who is alive, and no other.
    fn are_all_served(&self, provider: &ServiceProvider) -> bool {
        let instances = provider.instances();
        let hosts: BTreeSet<_> = instances.iter().filter_map(|it| it.address.clone()).collect();
        let alive = self.book.open().roll.alive.clone();
        let expected: BTreeSet<_> = alive.iter().map(|who| format!("host-{who}")).collect();
        instances.len() == alive.len() && hosts == expected
            || !self.book.open().roll.content.is_empty()
    }
}

fn offer(of: &ServiceInstance) -> Offer {
    Offer {
        id: of.id.clone(),
        address: of.address.clone(),
        port: of.port,
        payload: of.payload.clone(),
        is_enabled: of.is_enabled,
    }
}
