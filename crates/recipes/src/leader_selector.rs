//! Work that one of many does at a time.

use std::time::Duration;

use reefkeeper_client::{Payload, Sessions};

use crate::error::Error;
use crate::hold::{Contender, Hold};
use crate::lock::Lock;
use crate::mutant;
use crate::naming::Naming;

/// The part of the session timeout for which a leader may go on without a connection: what is left of it
/// when its client notices that a server is silent.
const GRACE_SHARE: u32 = 3;

/// How the work of a leader ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Led<T> {
    /// By itself, with this result.
    Finished(T),
    /// It was dropped where it was, because it was not certain anymore that this is the leader.
    Interrupted,
}

/// Lets one of many do a work, and takes it away from who can not be sure to be the one.
///
/// Each call of [`Self::lead`] takes part once, in the order of arrival; one that is to lead again and
/// again calls it again and again.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::{LeaderSelector, Led};
///
/// let client = Client::connect(ensemble).await?;
/// let selector = LeaderSelector::new(&client, "/reports/leader", "host-7");
/// let led = selector
///     .lead(async |hold| {
///         println!("writing reports with token {}", hold.token());
///         3
///     })
///     .await?;
/// assert_eq!(led, Led::Finished(3));
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// - *The connection is lost while leading*: the work is dropped at its next `.await`, before anybody
///   else can lead, provided that it does not run without one for longer than the session timeout.
///   [`Self::grace`] lets it go on for a while in which a server may be found.
/// - *The session expires while leading*, or *somebody deletes the znode*: the work is dropped, too.
/// - While waiting, everything is as with [`Lock`].
///
/// The layout is that of Curator's `LeaderSelector`, with which it can be shared, or with
/// [`Naming::Kazoo`] that of kazoo's `Election`; and that of [`Lock`].
#[derive(Clone, Debug)]
pub struct LeaderSelector {
    lock: Lock,
    grace: Duration,
}

impl LeaderSelector {
    /// A participant of the election at that path, under a name that others see.
    pub fn new(
        sessions: impl Into<Sessions>,
        path: impl Into<String>,
        id: impl Into<Payload>,
    ) -> Self {
        Self { lock: Lock::new(sessions, path).label(id), grace: Duration::ZERO }
    }

    /// How long a leader whose connection is lost goes on: a third of the session timeout at most, however
    /// much is given here. A client notices after two thirds of it that its server is silent, so that the
    /// session, and with it the leadership, may be over a third later. Less is safer, where answers take
    /// long. Default: not at all.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Whose names the znode of this participant has. Default: Curator's.
    #[must_use]
    pub fn naming(mut self, naming: Naming) -> Self {
        self.lock = self.lock.naming(naming);
        self
    }

    /// Waits until this participant leads, does the work, and lets the next one lead.
    ///
    /// # Errors
    /// As [`Lock::acquire`]; and as [`Hold::release`], when the work is done and it is uncertain
    /// whether the others know it yet.
    pub async fn lead<T>(&self, work: impl AsyncFnOnce(&Hold) -> T) -> Result<Led<T>, Error> {
        let hold = self.lock.acquire().await?;
        let led = tokio::select! {
            biased;
            () = self.interrupted(&hold), if !mutant::active(16) => Led::Interrupted,
            done = work(&hold) => Led::Finished(done),
        };
        hold.release().await?;
        Ok(led)
    }

    /// All who take part, the leader first.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn participants(&self) -> Result<Vec<Contender>, Error> {
        self.lock.contenders().await
    }

    /// Waits until the work must stop.
    async fn interrupted(&self, hold: &Hold) {
        loop {
            hold.in_doubt().await;
            // What the server has decided on, which may be another for each session.
            let longest = hold.client().session_timeout() / GRACE_SHARE;
            let grace = if mutant::active(48) { self.grace } else { self.grace.min(longest) };
            let found = async {
                tokio::select! {
                    is_certain = hold.certain() => is_certain,
                    _ = hold.lost() => false,
                }
            };
            let is_found = tokio::time::timeout(grace, found).await;
            if !is_found.unwrap_or(false) {
                return;
            }
        }
    }
}
