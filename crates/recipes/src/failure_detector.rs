//! Who has failed, as opposed to who can not be seen from here.

use std::time::Duration;

use reefkeeper_client::Sessions;
use tokio::time::sleep;

use crate::cache::{Cache, CacheEvent, CacheEvents, Freshness};
use crate::error::Error;
use crate::mutant;
use crate::passing::is_not_read_only;
use crate::tree_path::child;

/// What is known of a member of a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Health {
    /// It is there: its session goes on.
    Alive,
    /// It is not there: it has failed, has left, or never came.
    Missing,
    /// Nobody can tell from here: this program has no connection, or has not heard of anybody yet.
    Unknown,
}

/// Says who of a [`Group`](crate::Group) has failed, and never takes the loss of its own connection for that.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use std::time::Duration;
///
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::{FailureDetector, GroupMember, Health};
///
/// let sessions = Client::builder(ensemble).sessions()?;
/// let mut member = GroupMember::join(&sessions, "/workers", "host-7", "");
/// member.joined().await?;
///
/// let detector = FailureDetector::of(&sessions, "/workers").grace(Duration::from_millis(10));
/// detector.arrived("host-7").await?;
/// assert_eq!(detector.health("host-7"), Health::Alive);
/// member.leave().await?;
/// detector.failed("host-7").await?;
/// # Ok(()) });
/// ```
///
/// A member is there as long as its session, so that its failure shows after its session timeout, and after
/// the period of grace in which it may come back: started again, or in its next session. A failed member
/// may still be running; what only one may do needs a [`FencingToken`](crate::FencingToken).
///
/// # When things go wrong
///
/// - *This program's connection is lost, or its session expires*: everybody is [`Health::Unknown`], and no
///   period of grace goes on; it begins again with the connection.
/// - *Its server lags behind*: before a failure is told it is asked whether the leader knows the same.
/// - *A member's znode may not be read*: [`Cache`] does not have it, so [`health`](Self::health) says
///   [`Health::Missing`], wrongly. [`failed`](Self::failed) is refused, or waits where the server lets one ask
///   whether the znode is there (Apache's before 3.8.4 and 3.9.3).
#[derive(Debug)]
pub struct FailureDetector {
    sessions: Sessions,
    path: String,
    cache: Cache,
    grace: Duration,
}

impl FailureDetector {
    /// Looks at the group at that path, which need not exist.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn of(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        let (sessions, path) = (sessions.into(), path.into());
        let cache = Cache::of_children(&sessions, path.as_str());
        Self { sessions, path, cache, grace: Duration::ZERO }
    }

    /// How long a member may be missing before that is a failure. Default: not at all.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// What is known of a member now. That it is missing is no failure before the period of grace is over.
    pub fn health(&self, id: &str) -> Health {
        match self.cache.freshness() {
            Freshness::Fresh if self.cache.get(&child(&self.path, id)).is_some() => Health::Alive,
            Freshness::Fresh => Health::Missing,
            Freshness::Loading | Freshness::Stale | Freshness::Over(_) => Health::Unknown,
        }
    }

    /// Waits until a member is there.
    ///
    /// # Errors
    /// The end of the session, if no other follows.
    pub async fn arrived(&self, id: &str) -> Result<(), Error> {
        let path = child(&self.path, id);
        loop {
            self.cache.synced().await?;
            let (entries, mut events) = self.cache.entries_and_events();
            if entries.iter().any(|entry| entry.path == path) {
                return Ok(());
            }
            changed(&mut events, &path).await;
        }
    }

    /// Waits until a member has failed: until it is missing without interruption for the period of grace.
    /// One that never came has failed when that is over.
    ///
    /// # Errors
    /// The end of the session, if no other follows; and those of every read.
    pub async fn failed(&self, id: &str) -> Result<(), Error> {
        let path = child(&self.path, id);
        loop {
            self.cache.synced().await?;
            let (entries, mut events) = self.cache.entries_and_events();
            if entries.iter().any(|entry| entry.path == path) {
                changed(&mut events, &path).await;
                continue;
            }
            if mutant::active(36) {
                changed(&mut events, &path).await;
            }
            if self.stays_away(&path).await? {
                return Ok(());
            }
        }
    }

    /// Whether a member is missing for the period of grace, without interruption as far as the leader knows; not
    /// if that can not be found out.
    ///
    /// A server that lags behind shows a member that came and went as one that was away all the time. But it
    /// tells of the creation, to who has set a watch there, before it answers a sync.
    async fn stays_away(&self, path: &str) -> Result<bool, Error> {
        let client = self.sessions.current();
        let stayed = async {
            if !mutant::active(34) {
                client.sync(path).await?;
            }
            let (stat, mut came) = client.exists_and_watch(path).await?;
            if stat.is_some() {
                // The copy does not have it, or not yet: at an older server it may be one that may not be read.
                tokio::select! {
                    _ = &mut came => {}
                    () = self.cache.stale() => {}
                }
                return Ok(false);
            }
            tokio::select! {
                _ = &mut came => return Ok(false),
                () = self.cache.stale() => return Ok(false),
                () = sleep(if mutant::active(35) { Duration::ZERO } else { self.grace }) => {}
            }
            if mutant::active(34) {
                return Ok(true);
            }
            client.sync(path).await?;
            let is_back = client.exists(path).await?.is_some();
            let has_been_back = tokio::select! {
                biased;
                // Without a pause for others, which would look as if nothing had happened.
                _ = tokio::task::unconstrained(&mut came) => true,
                () = std::future::ready(()) => false,
            };
            Ok(!is_back && !has_been_back)
        };
        match stayed.await {
            Ok(stayed) => Ok(stayed),
            // Without a leader nobody knows.
            Err(error) if is_not_read_only(&error) => match client.writable().await {
                Ok(()) => Ok(false),
                Err(end) if self.sessions.go_on_after(&end) => Ok(false),
                Err(end) => Err(end.into()),
            },
            Err(error) if error.is_transient() || self.sessions.go_on_after(&error) => Ok(false),
            Err(error) => Err(Error::from(error)),
        }
    }
}

/// Waits until something happened to a znode, or may have.
async fn changed(events: &mut CacheEvents, path: &str) {
    loop {
        let entry = match events.next().await {
            Some(CacheEvent::Added(entry) | CacheEvent::Removed(entry)) => entry,
            Some(CacheEvent::Changed { after, .. }) => after,
            Some(CacheEvent::Missed) | None => return,
        };
        if entry.path == path {
            return;
        }
    }
}
