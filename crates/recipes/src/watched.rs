//! A value of the program's own type that follows a znode.

use std::fmt;

use reefkeeper_client::{CreateMode, Error as ClientError, ErrorCode, Sessions, Zxid};

use crate::cache::{Cache, CacheEvents};
use crate::error::Error;
use crate::mutant;
use crate::tree_path::parent;

/// A value of the program's own type, such as its configuration, that follows a znode.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::Watched;
///
/// let client = Client::connect(ensemble).await?;
/// let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<u32>().ok();
/// let mut workers = Watched::new(&client, "/config/workers", number);
/// assert_eq!(workers.next().await?, None);
/// workers.publish("12").await?;
/// assert_eq!(workers.next().await?, Some(12));
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// - *The znode holds something that can not be read*: [`Error::Unreadable`], and the program decides
///   whether to go on with what it had. The next value is told as any other.
/// - *The connection is lost, or the session expires*: as with [`Cache`].
/// - *Values follow one another fast*: the last one is told, some before it may be skipped.
pub struct Watched<T> {
    sessions: Sessions,
    path: String,
    cache: Cache,
    events: CacheEvents,
    decode: Decode<T>,
    /// The transaction that made what was told last; `None` within for no znode.
    told: Option<Option<Zxid>>,
}

/// Reads a value, or says that it can not.
type Decode<T> = Box<dyn Fn(&[u8]) -> Option<T> + Send + Sync>;

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("path", &self.path)
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}

impl<T> Watched<T> {
    /// The value at that path, which need not exist; `decode` reads it, or says that it can not.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(
        sessions: impl Into<Sessions>,
        path: impl Into<String>,
        decode: impl Fn(&[u8]) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        let (sessions, path) = (sessions.into(), path.into());
        let cache = Cache::of_node(&sessions, path.as_str());
        let events = cache.events();
        Self { sessions, path, cache, events, decode: Box::new(decode), told: None }
    }

    /// The value now, as far as it is known; `None` without a znode.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub fn current(&self) -> Result<Option<T>, Error> {
        self.decoded().map(|(value, _)| value)
    }

    /// Waits for a value that was not returned by this before: the first time for the one that is
    /// there, `None` without a znode.
    ///
    /// # Errors
    /// [`Error::Unreadable`], after which this waits for another; and what ended the cache.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        self.cache.synced().await?;
        loop {
            let (value, zxid) = match self.decoded() {
                Ok((value, zxid)) => (Ok(value), zxid),
                Err(error) => (Err(error), self.zxid()),
            };
            if self.told != Some(zxid) {
                self.told = Some(zxid);
                return value;
            }
            if self.events.next().await.is_none() {
                self.cache.synced().await?;
            }
        }
    }

    /// Sets the value for all, whatever it was; makes the znode if there is none.
    ///
    /// # Errors
    /// Those of every write; see [`Error::may_have_happened`].
    pub async fn publish(&self, value: impl Into<Vec<u8>>) -> Result<(), Error> {
        let (client, value) = (self.sessions.current(), value.into());
        loop {
            let set = || client.set_data(&self.path, value.as_slice(), None);
            let set = match mutant::active(44) {
                true => client.insistently(set).await,
                false => client.patiently(set).await,
            };
            match set {
                Err(ClientError::Refused(ErrorCode::NoNode)) => {}
                outcome => return Ok(outcome.map(drop)?),
            }
            client.ensure(parent(&self.path), CreateMode::Persistent).await?;
            let create = || client.create(&self.path, value.as_slice(), CreateMode::Persistent);
            match client.patiently(create).await {
                Err(ClientError::Refused(ErrorCode::NodeExists | ErrorCode::NoNode)) => {}
                outcome => return Ok(outcome.map(drop)?),
            }
        }
    }

    fn zxid(&self) -> Option<Zxid> {
        self.cache.get(&self.path).map(|entry| entry.data.stat.mzxid)
    }

    fn decoded(&self) -> Result<(Option<T>, Option<Zxid>), Error> {
        let Some(entry) = self.cache.get(&self.path) else { return Ok((None, None)) };
        match (self.decode)(entry.data.bytes()) {
            Some(value) => Ok((Some(value), Some(entry.data.stat.mzxid))),
            None => Err(Error::Unreadable {
                path: self.path.clone(),
                expected: "value that the program understands",
            }),
        }
    }
}
