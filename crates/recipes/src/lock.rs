//! A lock that one at a time holds.

use std::time::Duration;

use reefkeeper_client::{Client, Error as ClientError, ErrorCode, Payload, Sessions};

use crate::claim::Claim;
use crate::departure::Pass;
use crate::error::Error;
use crate::hold::{Contender, Hold, REVOKE, contenders};
use crate::line::{self, Kinds, Turn};
use crate::naming::Naming;
use crate::renewed::{in_each, within};

/// What the names of a lock's znodes have before the number: Curator's and kazoo's.
const KINDS: Kinds = &["lock-", "__lock__"];

/// A lock that one at a time holds, in the order in which they came.
///
/// Each contender has an ephemeral sequential znode below the lock's path, and waits for the one
/// before to go. Not reentrant, other than Curator's mutex: who holds it and asks again waits for itself.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::Lock;
///
/// let client = Client::connect(ensemble).await?;
/// let lock = Lock::new(&client, "/locks/report");
/// let hold = lock.acquire().await?;
/// println!("writing the report with token {}", hold.token());
/// hold.release().await?;
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// - *The connection is lost while waiting*: the place in line is kept if a server is found before
///   the session expires, and waiting goes on.
/// - *The connection is lost while the znode is created*: its name has a GUID by which it is found
///   again. There is never a second one, nor one that nobody knows of.
/// - *The session expires while waiting*: with [`Sessions`] that are renewed it starts over at the
///   end of the line, otherwise that is the error.
/// - *The session expires while holding*: the next one holds the lock, whether this one knows it or
///   not; see [`Hold::in_doubt`] and [`crate::FencingToken`].
/// - *The future is dropped while waiting*: the place is given up.
///
/// # Others
///
/// The layout is that of Curator's `InterProcessMutex`, with which it can be shared; with
/// [`Naming::Kazoo`] it is that of kazoo's `Lock`. For all three at the same time either kazoo's lock is
/// given Curator's names or Curator's mutex a driver with kazoo's, since neither knows the other's:
/// `interop/recipes` does both.
#[derive(Clone, Debug)]
pub struct Lock {
    sessions: Sessions,
    path: String,
    label: Payload,
    naming: Naming,
    /// Who waits until places in line are given up.
    pass: Option<Pass>,
}

impl Lock {
    /// The lock at that path, which need not exist.
    pub fn new(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        let (label, naming) = (Payload::from(""), Naming::default());
        Self { sessions: sessions.into(), path: path.into(), label, naming, pass: None }
    }

    /// What others see of this contender, for example a host name. Default: nothing.
    #[must_use]
    pub fn label(mut self, label: impl Into<Payload>) -> Self {
        self.label = label.into();
        self
    }

    /// Whose names the znode of this contender has. Default: Curator's.
    #[must_use]
    pub const fn naming(mut self, naming: Naming) -> Self {
        self.naming = naming;
        self
    }

    /// Lets who has given out that pass wait until this contender has given up everything.
    pub(crate) fn with_pass(mut self, pass: Pass) -> Self {
        self.pass = Some(pass);
        self
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Waits in line until it is held.
    ///
    /// # Errors
    /// [`Error::Removed`] if somebody else deletes this contender's znode; the end of the session;
    /// and those of every create and read.
    pub async fn acquire(&self) -> Result<Hold, Error> {
        in_each(&self.sessions, |client| async move { self.acquire_in(&client).await }).await
    }

    /// As [`Self::acquire`], but so long at most; `None` if others hold it until then.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn acquire_within(&self, limit: Duration) -> Result<Option<Hold>, Error> {
        within(limit, self.acquire()).await
    }

    /// Takes it if nobody is in line; `None` otherwise.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn try_acquire(&self) -> Result<Option<Hold>, Error> {
        in_each(&self.sessions, |client| async move { self.try_acquire_in(&client).await }).await
    }

    /// Who is in line, the holder first.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn contenders(&self) -> Result<Vec<Contender>, Error> {
        contenders(&self.sessions.current(), &self.path, KINDS).await
    }

    /// Asks the holder to give way, or a contender to do so when it will hold the lock; see
    /// [`Hold::asked_to_give_way`]. Its label is gone then.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    /// use reefkeeper_recipes::Lock;
    ///
    /// let client = Client::connect(ensemble).await?;
    /// let lock = Lock::new(&client, "/locks/report");
    /// let hold = lock.acquire().await?;
    /// lock.revoke(&lock.contenders().await?[0]).await?;
    /// hold.asked_to_give_way().await?;
    /// hold.release().await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of setting data. That it has left already is none.
    pub async fn revoke(&self, contender: &Contender) -> Result<(), Error> {
        let client = self.sessions.current();
        let ask = || client.set_data(&contender.path, REVOKE, None);
        match client.insistently(ask).await {
            Ok(_) | Err(ClientError::Refused(ErrorCode::NoNode)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn stake(&self, client: &Client) -> Result<Claim, ClientError> {
        Claim::stake(client, &self.path, self.naming.kind(KINDS), &self.label, self.pass.clone())
            .await
    }

    async fn acquire_in(&self, client: &Client) -> Result<Hold, Error> {
        let claim = self.stake(client).await?;
        line::wait(&claim, KINDS, Turn::First).await?;
        Ok(Hold::new(claim))
    }

    async fn try_acquire_in(&self, client: &Client) -> Result<Option<Hold>, Error> {
        let claim = self.stake(client).await?;
        if line::obstacle(&claim, KINDS, Turn::First).await?.is_none() {
            return Ok(Some(Hold::new(claim)));
        }
        claim.release().await?;
        Ok(None)
    }
}
