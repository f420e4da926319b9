//! A lock that a number of holders may have at the same time.

use std::time::Duration;

use reefkeeper_client::{Client, Error as ClientError, ErrorCode, Payload, Sessions};

use crate::claim::Claim;
use crate::error::Error;
use crate::hold::{Contender, Hold, contenders};
use crate::line::{self, Kinds};
use crate::lock::Lock;
use crate::mutant;
use crate::renewed::{in_each, within};
use crate::tree_path::child;

/// Where those who wait are in line.
const WAITING: &str = "locks";
/// Where those who hold it are.
const HOLDING: &str = "leases";
/// What the names of holders have before the number.
const KINDS: Kinds = &["lease-"];

/// A right that a number of holders may have at the same time, given in the order in which they
/// came.
///
/// All participants should agree on that number; each decides by its own. Who asks first waits for
/// a holder to leave, the others wait for the one before them, so that a departure wakes one.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::Semaphore;
///
/// let client = Client::connect(ensemble).await?;
/// let licenses = Semaphore::new(&client, "/licenses", 2);
/// let (one, two) = (licenses.acquire().await?, licenses.acquire().await?);
/// assert!(licenses.try_acquire().await?.is_none());
/// one.release().await?;
/// assert!(licenses.try_acquire().await?.is_some());
/// # Ok(()) });
/// ```
///
/// What happens when things go wrong is as with [`crate::Lock`]; the tokens of those who hold it at
/// the same time differ.
///
/// The layout is that of Curator's `InterProcessSemaphoreV2`, with which it can be shared.
#[derive(Clone, Debug)]
pub struct Semaphore {
    sessions: Sessions,
    path: String,
    permits: usize,
    label: Payload,
}

impl Semaphore {
    /// The semaphore at that path, which need not exist, for so many holders.
    pub fn new(sessions: impl Into<Sessions>, path: impl Into<String>, permits: usize) -> Self {
        let label = Payload::from("");
        Self { sessions: sessions.into(), path: path.into(), permits, label }
    }

    /// What others see of this holder. Default: nothing.
    #[must_use]
    pub fn label(mut self, label: impl Into<Payload>) -> Self {
        self.label = label.into();
        self
    }

    /// Waits until it is held.
    ///
    /// # Errors
    /// As [`crate::Lock::acquire`].
    pub async fn acquire(&self) -> Result<Hold, Error> {
        in_each(&self.sessions, |client| async move { self.acquire_in(&client).await }).await
    }

    /// As [`Self::acquire`], but so long at most; `None` if others hold all of it until then.
    ///
    /// # Errors
    /// As [`crate::Lock::acquire`].
    pub async fn acquire_within(&self, limit: Duration) -> Result<Option<Hold>, Error> {
        within(limit, self.acquire()).await
    }

    /// Takes it if some of it is left and nobody waits; `None` otherwise.
    ///
    /// # Errors
    /// As [`crate::Lock::acquire`].
    pub async fn try_acquire(&self) -> Result<Option<Hold>, Error> {
        in_each(&self.sessions, |client| async move { self.try_acquire_in(&client).await }).await
    }

    /// Who holds it, in the order in which they came.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn holders(&self) -> Result<Vec<Contender>, Error> {
        contenders(&self.sessions.current(), &self.holding(), KINDS).await
    }

    fn holding(&self) -> String {
        child(&self.path, HOLDING)
    }

    fn waiting(&self, client: &Client) -> Lock {
        Lock::new(client, child(&self.path, WAITING)).label(self.label.clone())
    }

    async fn acquire_in(&self, client: &Client) -> Result<Hold, Error> {
        let first_in_line = self.waiting(client).acquire().await?;
        let claim = Claim::stake(client, &self.holding(), KINDS[0], &self.label, None).await?;
        self.wait_for_room(&claim).await?;
        first_in_line.release().await?;
        Ok(Hold::new(claim))
    }

    async fn try_acquire_in(&self, client: &Client) -> Result<Option<Hold>, Error> {
        let Some(first_in_line) = self.waiting(client).try_acquire().await? else {
            return Ok(None);
        };
        let claim = Claim::stake(client, &self.holding(), KINDS[0], &self.label, None).await?;
        let line = line::look(client, claim.directory(), KINDS).await?;
        let is_held = self.has_room(&claim, &line)?;
        if !is_held {
            claim.release().await?;
            first_in_line.release().await?;
            return Ok(None);
        }
        first_in_line.release().await?;
        Ok(Some(Hold::new(claim)))
    }

    /// Waits until those who hold it, this one among them, are few enough.
    async fn wait_for_room(&self, claim: &Claim) -> Result<(), Error> {
        let (client, directory) = (claim.client(), claim.directory());
        loop {
            let read = client.patiently(|| client.get_children_and_watch(directory)).await;
            let (children, watch) = match read {
                Err(ClientError::Refused(ErrorCode::NoNode)) => {
                    return Err(Error::Removed { path: claim.created().path.clone() });
                }
                read => read?,
            };
            if self.has_room(claim, &line::in_order(&children.names, KINDS))? {
                return Ok(());
            }
            match watch.await {
                Ok(_) | Err(ClientError::Refused(ErrorCode::NoWatcher)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn has_room(&self, claim: &Claim, line: &[line::Place]) -> Result<bool, Error> {
        if !line.iter().any(|place| place.name == claim.name()) {
            return Err(Error::Removed { path: claim.created().path.clone() });
        }
        Ok(line.len() <= self.permits + usize::from(mutant::active(6)))
    }
}
