//! Recipes of those who know who else is there: who has failed, and who has which share.

use std::convert::Infallible;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use reefkeeper_client::{Error as ClientError, ErrorCode};
use reefkeeper_recipes::{Error, FailureDetector, GroupMember, Partition, Share as Part};
use tokio::time::{sleep, timeout};

use super::Actor;
use crate::history::{Failed, Share, Sighting};

/// What is shared out.
const RESOURCES: [&str; 3] = ["a", "b", "c"];

/// Where who shares it out has znodes, below the root.
pub(super) const PLACES: &[&str] =
    &["/shards/members", "/shards/locks/a", "/shards/locks/b", "/shards/locks/c"];

impl Actor {
    /// Joins a group, and asks who of the others has failed; in peace it waits until all have who are dead, and
    /// until all are there who are not.
    pub(super) async fn look_after_others(&self) -> Result<(), Error> {
        let group = format!("{}/group", self.root);
        let mut member = GroupMember::join(&self.sessions, &group, self.who.to_string(), "");
        member.joined().await?;
        let grace = self.duration(self.timeout / 2);
        let detector = FailureDetector::of(&self.sessions, &group).grace(grace);
        let path = format!("{group}/{}", self.who);
        let looked = async {
            if self.is_peace() {
                return self.account_for_all(&detector, grace).await;
            }
            let about = self.random.borrow_mut().range(1, u64::from(self.play.participants) + 2);
            let about = u32::try_from(about).unwrap_or(1);
            let patience = self.timeout * 2;
            timeout(patience, self.await_failure(&detector, about, grace)).await.unwrap_or(Ok(()))
        };
        tokio::select! {
            biased;
            looked = looked => looked?,
            never = self.be_seen(&path) => match never {},
        }
        member.leave().await
    }

    async fn account_for_all(&self, of: &FailureDetector, grace: Duration) -> Result<(), Error> {
        let roll = self.book.open().roll.clone();
        for dead in roll.dead {
            self.await_failure(of, dead, grace).await?;
        }
        // Who tries again has seen all before, and some may have left since.
        let is_first = !roll.content.contains(&self.who);
        for alive in roll.alive.iter().filter(|_| is_first) {
            of.arrived(&alive.to_string()).await?;
        }
        self.until_all_are_content().await;
        Ok(())
    }

    async fn await_failure(
        &self,
        of: &FailureDetector,
        member: u32,
        grace: Duration,
    ) -> Result<(), Error> {
        let asked = self.started.elapsed();
        of.failed(&member.to_string()).await?;
        let told = self.started.elapsed();
        let mut book = self.book.open();
        book.count("failures told");
        book.failed.push(Failed { member, asked, told, grace });
        Ok(())
    }

    /// Shows that this one's znode is there, again and again: by transactions, which only that lets happen.
    async fn be_seen(&self, path: &str) -> Infallible {
        loop {
            let (client, asked) = (self.sessions.current(), self.started.elapsed());
            match client.set_data(path, "", None).await {
                Ok(stat) => {
                    let (member, answered) = (self.who, self.started.elapsed());
                    let token = stat.czxid.raw().cast_unsigned();
                    let sighting = Sighting { member, token, asked, answered };
                    self.book.open().sightings.push(sighting);
                }
                // It comes back, or who waits for something sees what the matter is.
                Err(ClientError::Refused(ErrorCode::NoNode)) => {}
                Err(error) => self.failed(&error.into()),
            }
            sleep(self.duration(self.timeout / 4)).await;
        }
    }

    /// Takes its part in what is shared out; in peace until all of it is, and evenly.
    pub(super) async fn share_out(&self) -> Result<(), Error> {
        let path = format!("{}/shards", self.root);
        let id = self.who.to_string();
        let mut partition = Partition::join(&self.sessions, path, id, RESOURCES);
        let mut parts = Vec::new();
        let shared = match self.is_peace() {
            true => {
                let shared = self.take_part(&mut partition, &mut parts);
                tokio::select! {
                    biased;
                    () = self.until_all_is_shared_out() => Ok(()),
                    shared = shared => shared.map(|never| match never {}),
                }
            }
            false => {
                let patience = self.timeout * 3;
                let shared = timeout(patience, self.take_part(&mut partition, &mut parts)).await;
                shared.map_or(Ok(()), |shared| shared.map(|never| match never {}))
            }
        };
        self.forget_shares();
        shared?;
        if self.chance(500) {
            for part in parts {
                part.release().await?;
            }
        }
        partition.leave().await
    }

    async fn take_part(
        &self,
        partition: &mut Partition,
        parts: &mut Vec<Part>,
    ) -> Result<Infallible, Error> {
        loop {
            let recalled = tokio::select! {
                biased;
                recalled = first_recalled(parts) => recalled,
                part = partition.next() => {
                    let part = part?;
                    self.use_part(&part).await;
                    parts.push(part);
                    continue;
                }
            };
            let part = parts.swap_remove(recalled);
            self.book.open().count("shares recalled");
            self.book.open().shares.retain(|name, who| name != part.resource() || *who != self.who);
            if self.chance(500) {
                part.release().await?;
            }
        }
    }

    async fn use_part(&self, part: &Part) {
        let (resource, hold) = (part.resource(), part.hold());
        self.book.open().shares.insert(resource.to_owned(), self.who);
        let (line, token) = (format!("{}/shards/{resource}", self.root), hold.token().to_u64());
        self.use_turn(&line, Share::Alone, token, hold.path(), hold.client()).await;
    }

    /// Waits until each resource is had, by all as many or one more.
    async fn until_all_is_shared_out(&self) {
        loop {
            let is_even = {
                let book = self.book.open();
                let fill = RESOURCES.len() / book.roll.alive.len();
                let count = |who: &u32| book.shares.values().filter(|it| *it == who).count();
                let is_fair = |who| (fill..=fill + 1).contains(&count(who));
                book.shares.len() == RESOURCES.len() && book.roll.alive.iter().all(is_fair)
            };
            if is_even || !self.book.open().roll.content.is_empty() {
                return self.until_all_are_content().await;
            }
            sleep(self.timeout / 16).await;
        }
    }

    fn forget_shares(&self) {
        self.book.open().shares.retain(|_, who| *who != self.who);
    }
}

/// Waits until one of several is recalled, and returns its place.
async fn first_recalled(parts: &[Part]) -> usize {
    let mut recalled: Vec<_> = parts.iter().map(|part| Box::pin(part.recalled())).collect();
    poll_fn(|context| {
        let found = recalled.iter_mut().position(|it| it.as_mut().poll(context).is_ready());
        found.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}
