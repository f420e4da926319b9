//! A lock that many readers hold at the same time, or one writer.

use reefkeeper_client::{Client, Payload, Sessions};

use crate::claim::Claim;
use crate::error::Error;
use crate::hold::{Contender, Hold, contenders};
use crate::line::{self, Kinds, Turn};
use crate::naming::Naming;
use crate::renewed::in_each;

/// What the names of writers have before the number: Curator's and kazoo's.
const WRITERS: Kinds = &["__WRIT__", "__lock__"];
/// The same of readers.
const READERS: Kinds = &["__READ__", "__rlock__"];
/// All of them.
const KINDS: Kinds = &["__WRIT__", "__lock__", "__READ__", "__rlock__"];

/// A lock that many readers hold at the same time, or one writer, in the order in which they came:
/// who comes after a waiting writer waits, too.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::ReadWriteLock;
///
/// let client = Client::connect(ensemble).await?;
/// let lock = ReadWriteLock::new(&client, "/locks/index");
/// let (one, two) = (lock.read().await?, lock.read().await?);
/// assert!(lock.try_write().await?.is_none());
/// one.release().await?;
/// two.release().await?;
/// let writing = lock.write().await?;
/// println!("writing the index with token {}", writing.token());
/// # Ok(()) });
/// ```
///
/// What happens when things go wrong is as with [`crate::Lock`]. A writer's token is higher than
/// those of all readers and writers before it. Not reentrant, other than Curator's: a holder that asks
/// again waits for itself, unless it reads and nobody is in between.
///
/// Who waits no longer drops the future, as `tokio::time::timeout` does: the place in line is given up,
/// also when the answer to its creation is still missing.
///
/// The layout is that of Curator's `InterProcessReadWriteLock`, with which it can be shared; with
/// [`Naming::Kazoo`] it is that of kazoo's `ReadLock` and `WriteLock`. For all three at the same time
/// those of kazoo are given Curator's names, as `interop/recipes` does.
#[derive(Clone, Debug)]
pub struct ReadWriteLock {
    sessions: Sessions,
    path: String,
    label: Payload,
    naming: Naming,
}

impl ReadWriteLock {
    /// The lock at that path, which need not exist.
    pub fn new(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        let label = Payload::from("");
        Self { sessions: sessions.into(), path: path.into(), label, naming: Naming::default() }
    }

    /// What others see of this contender. Default: nothing.
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

    /// Waits until no writer is before, then holds it together with other readers.
    ///
    /// # Errors
    /// As [`crate::Lock::acquire`].
    pub async fn read(&self) -> Result<Hold, Error> {
        self.acquire(READERS, Turn::AfterAll(WRITERS)).await
    }

    /// Waits until nobody is before, then holds it alone.
    ///
    /// # Errors
    /// As [`crate::Lock::acquire`].
    pub async fn write(&self) -> Result<Hold, Error> {
        self.acquire(WRITERS, Turn::First).await
    }

    /// Holds it as a reader if no writer holds it or waits; `None` otherwise.
    ///
    /// # Errors
    /// As [`crate::Lock::acquire`].
    pub async fn try_read(&self) -> Result<Option<Hold>, Error> {
        self.try_acquire(READERS, Turn::AfterAll(WRITERS)).await
    }

    /// Holds it as a writer if nobody holds it or waits; `None` otherwise.
    ///
    /// # Errors
    /// As [`crate::Lock::acquire`].
    pub async fn try_write(&self) -> Result<Option<Hold>, Error> {
        self.try_acquire(WRITERS, Turn::First).await
    }

    /// Who is in line, holders first.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn contenders(&self) -> Result<Vec<Contender>, Error> {
        contenders(&self.sessions.current(), &self.path, KINDS).await
    }

    async fn acquire(&self, kinds: Kinds, turn: Turn) -> Result<Hold, Error> {
        in_each(&self.sessions, |client| async move { self.acquire_in(&client, kinds, turn).await })
            .await
    }

    async fn acquire_in(&self, client: &Client, kinds: Kinds, turn: Turn) -> Result<Hold, Error> {
        let kind = self.naming.kind(kinds);
        let claim = Claim::stake(client, &self.path, kind, &self.label, None).await?;
        line::wait(&claim, KINDS, turn).await?;
        Ok(Hold::new(claim))
    }

    async fn try_acquire(&self, kinds: Kinds, turn: Turn) -> Result<Option<Hold>, Error> {
        in_each(
            &self.sessions,
            |client| async move { self.try_acquire_in(&client, kinds, turn).await },
        )
        .await
    }

    async fn try_acquire_in(
        &self,
        client: &Client,
        kinds: Kinds,
        turn: Turn,
    ) -> Result<Option<Hold>, Error> {
        let kind = self.naming.kind(kinds);
        let claim = Claim::stake(client, &self.path, kind, &self.label, None).await?;
        if line::obstacle(&claim, KINDS, turn).await?.is_none() {
            return Ok(Some(Hold::new(claim)));
        }
        claim.release().await?;
        Ok(None)
    }
}
