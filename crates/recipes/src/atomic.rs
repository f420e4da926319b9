//! A value that several change without losing what others did.

use reefkeeper_client::{Client, CreateMode, Error as ClientError, ErrorCode, Sessions};

use crate::error::Error;
use crate::mutant;
use crate::passing::is_passing;
use crate::renewed::in_each;
use crate::tree_path;

/// What a counter's znode holds.
const COUNT: &str = "number of eight bytes";

/// A value, and how often it was changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Versioned {
    /// The bytes.
    pub value: Vec<u8>,
    /// The version of the znode: what [`AtomicValue::compare_and_set`] compares.
    pub version: i32,
}

/// A value that several change, each on the basis of what it was before.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::AtomicValue;
///
/// let client = Client::connect(ensemble).await?;
/// let names = AtomicValue::new(&client, "/names");
/// for name in ["ann ", "bob "] {
///     names.update(|names| [names.unwrap_or_default(), name.as_bytes()].concat()).await?;
/// }
/// assert_eq!(names.get().await?.map(|names| names.value), Some(b"ann bob ".to_vec()));
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// - *The connection is lost before the answer*: the value is read again. Mostly that tells what
///   happened, and the change is made, or known to be made. It does not tell if the value has been
///   changed to the very bytes that this participant wanted, or several times: then that is an error
///   of which [`Error::may_have_happened`] is true, and not a change that is made twice.
/// - *The session expires*: the same in the next one, if the [`Sessions`] are renewed.
///
/// The znode is persistent and holds the bytes, nothing else, as that of Curator's
/// `DistributedAtomicValue` and `SharedValue`.
#[derive(Clone, Debug)]
pub struct AtomicValue {
    sessions: Sessions,
    path: String,
}

impl AtomicValue {
    /// The value at that path, which need not exist.
    pub fn new(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        Self { sessions: sessions.into(), path: path.into() }
    }

    /// Reads it; `None` if there is none.
    ///
    /// It is what this session's server knows, which may be a little old; a change is always made on
    /// the basis of the newest value.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn get(&self) -> Result<Option<Versioned>, Error> {
        let attempt = |client| async move { read(&client, &self.path).await };
        Ok(in_each(&self.sessions, attempt).await?)
    }

    /// Sets it if it has that version, or if there is none for `None`; returns the new version, or
    /// `None` if it was changed before.
    ///
    /// # Errors
    /// Those of every write; see [`Error::may_have_happened`].
    pub async fn compare_and_set(
        &self,
        expected: Option<i32>,
        value: impl Into<Vec<u8>>,
    ) -> Result<Option<i32>, Error> {
        let value = value.into();
        loop {
            let client = self.sessions.current();
            match self.set(&client, expected, &value).await {
                Ok(Set::Done(version)) => return Ok(Some(version)),
                Ok(Set::Stale) => return Ok(None),
                Err(error) if self.sessions.go_on_after(&error) && !error.may_have_happened() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sets it to what a function makes of it, which is called again when others are faster; returns
    /// the new value.
    ///
    /// # Errors
    /// Those of every write; see [`Error::may_have_happened`].
    pub async fn update(
        &self,
        mut change: impl FnMut(Option<&[u8]>) -> Vec<u8>,
    ) -> Result<Versioned, Error> {
        let change = |value: Option<&[u8]>| Ok(change(value));
        self.try_update(change).await
    }

    async fn try_update(
        &self,
        mut change: impl FnMut(Option<&[u8]>) -> Result<Vec<u8>, Error>,
    ) -> Result<Versioned, Error> {
        loop {
            let client = self.sessions.current();
            let outcome = async {
                let before = read(&client, &self.path).await?;
                let value = change(before.as_ref().map(|before| before.value.as_slice()))?;
                let expected = before.map(|before| before.version);
                match self.set(&client, expected, &value).await? {
                    Set::Done(version) => Ok(Some(Versioned { value, version })),
                    Set::Stale => {
                        self.catch_up(&client).await?;
                        Ok(None)
                    }
                }
            };
            match outcome.await {
                Ok(Some(changed)) => return Ok(changed),
                Ok(None) => {}
                Err(Error::Client(error)) if self.sessions.go_on_after(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Before another try: the read may have been from a server that has not caught up with the one
    /// that refused the write.
    async fn catch_up(&self, client: &Client) -> Result<(), ClientError> {
        client.patiently(|| client.sync(&self.path)).await
    }

    /// Sets it once, and finds out what became of it when the answer is lost.
    async fn set(
        &self,
        client: &Client,
        expected: Option<i32>,
        value: &[u8],
    ) -> Result<Set, ClientError> {
        loop {
            let outcome = match expected {
                Some(version) => client
                    .set_data(&self.path, value, Some(version))
                    .await
                    .map(|stat| Set::Done(stat.version)),
                None => client
                    .create(&self.path, value, CreateMode::Persistent)
                    .await
                    .map(|created| Set::Done(created.stat.version)),
            };
            match outcome {
                Err(ClientError::Refused(ErrorCode::NoNode)) if expected.is_none() => {
                    let parent = tree_path::parent(&self.path);
                    client.ensure(parent, CreateMode::Persistent).await?;
                }
                Err(ClientError::Refused(
                    ErrorCode::BadVersion | ErrorCode::NoNode | ErrorCode::NodeExists,
                )) => return Ok(Set::Stale),
                Err(error) if is_passing(&error) => {
                    if error.may_have_happened()
                        && !mutant::active(9)
                        && !self.is_unchanged(client, expected, value, &error).await?
                    {
                        return Ok(Set::Stale);
                    }
                    client.writable().await?;
                }
                outcome => return outcome,
            }
        }
    }

    /// After a write whose answer was lost: whether the value is as it was before, so that the write
    /// was not made and will not be; `false` if another was made instead.
    ///
    /// Fails with the given error if that can not be known.
    async fn is_unchanged(
        &self,
        client: &Client,
        expected: Option<i32>,
        value: &[u8],
        lost: &ClientError,
    ) -> Result<bool, ClientError> {
        let settled = async {
            client.patiently(|| client.sync(&self.path)).await?;
            read(client, &self.path).await
        };
        // Without the session nobody will ever know: what it sent may still be done.
        let Ok(now) = settled.await else { return Err(lost.clone()) };
        let next = expected.map_or(0, |version| version.wrapping_add(1));
        match now {
            now if now.as_ref().map(|now| now.version) == expected => Ok(true),
            Some(now) if now.version == next && now.value != value => Ok(false),
            Some(_) | None => Err(lost.clone()),
        }
    }
}

/// What became of a write.
enum Set {
    /// It was made, and this is the new version.
    Done(i32),
    /// Another was made before.
    Stale,
}

async fn read(client: &Client, path: &str) -> Result<Option<Versioned>, ClientError> {
    match client.patiently(|| client.get_data(path)).await {
        Ok(data) => {
            Ok(Some(Versioned { value: data.bytes().to_vec(), version: data.stat.version }))
        }
        Err(ClientError::Refused(ErrorCode::NoNode)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A number that several add to.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::Counter;
///
/// let client = Client::connect(ensemble).await?;
/// let visits = Counter::new(&client, "/visits");
/// assert_eq!(visits.get().await?, 0);
/// assert_eq!(visits.add(3).await?, 3);
/// assert_eq!(visits.add(-1).await?, 2);
/// # Ok(()) });
/// ```
///
/// What happens when things go wrong is as with [`AtomicValue`]: nothing is added twice, and nothing is
/// lost without an error.
///
/// The znode holds eight bytes, the highest first, as that of Curator's `DistributedAtomicLong`, with
/// which it can be shared.
#[derive(Clone, Debug)]
pub struct Counter {
    value: AtomicValue,
}

impl Counter {
    /// The counter at that path; it is 0 as long as there is no znode.
    pub fn new(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        Self { value: AtomicValue::new(sessions, path) }
    }

    /// Reads it; see [`AtomicValue::get`].
    ///
    /// # Errors
    /// [`Error::Unreadable`] if something else is there, and those of every read.
    pub async fn get(&self) -> Result<i64, Error> {
        let read = self.value.get().await?;
        self.decode(read.as_ref().map(|read| read.value.as_slice()))
    }

    /// Adds a number, which may be negative; returns the sum. Sums wrap.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if something else is there, and those of every write; see
    /// [`Error::may_have_happened`].
    pub async fn add(&self, number: i64) -> Result<i64, Error> {
        let add = |value: Option<&[u8]>| {
            let sum = self.decode(value)?.wrapping_add(number);
            Ok(sum.to_be_bytes().to_vec())
        };
        let added = self.value.try_update(add).await?;
        self.decode(Some(&added.value))
    }

    /// Sets it if it is the expected number; returns whether it was.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub async fn compare_and_set(&self, expected: i64, number: i64) -> Result<bool, Error> {
        loop {
            let read = self.value.get().await?;
            let current = self.decode(read.as_ref().map(|read| read.value.as_slice()))?;
            if current != expected {
                return Ok(false);
            }
            let version = read.map(|read| read.version);
            if self.value.compare_and_set(version, number.to_be_bytes()).await?.is_some() {
                return Ok(true);
            }
            match self.value.catch_up(&self.value.sessions.current()).await {
                Err(error) if !self.value.sessions.go_on_after(&error) => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
        }
    }

    fn decode(&self, value: Option<&[u8]>) -> Result<i64, Error> {
        let Some(value) = value else { return Ok(0) };
        let bytes = value
            .try_into()
            .map_err(|_| Error::Unreadable { path: self.value.path.clone(), expected: COUNT })?;
        Ok(i64::from_be_bytes(bytes))
    }
}
