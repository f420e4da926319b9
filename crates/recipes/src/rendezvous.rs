//! A place where one leaves word for others who do not know when, or from whom, it will come.

use reefkeeper_client::{Client, CreateMode, Error as ClientError, ErrorCode, Payload, Sessions};

use crate::error::Error;
use crate::renewed::in_each;
use crate::tree_path::parent;

/// A place where the first who comes leaves word, for all who wait for it. It is left once and does not
/// change anymore.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::Rendezvous;
///
/// let client = Client::connect(ensemble).await?;
/// // Its path goes to the workers before the master has started and knows its port.
/// let master = Rendezvous::new(&client, "/jobs/17/master");
/// let (word, left) = tokio::join!(master.word(), master.leave("10.0.0.7:4711"));
/// assert_eq!(word?, b"10.0.0.7:4711");
/// assert_eq!(left?, b"10.0.0.7:4711");
/// // Who comes later learns what was left.
/// assert_eq!(master.leave("10.0.0.8:4711").await?, b"10.0.0.7:4711");
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// The word is in a persistent znode, so no session matters to it. When the connection is lost while it is
/// left, it is read what was left, by whomever; when the session expires, the same is done in the next one,
/// if the [`Sessions`] are renewed.
#[derive(Clone, Debug)]
pub struct Rendezvous {
    sessions: Sessions,
    path: String,
}

impl Rendezvous {
    /// The place at that path: word was left if there is a znode.
    pub fn new(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        Self { sessions: sessions.into(), path: path.into() }
    }

    /// Leaves word, unless somebody has; returns what was left.
    ///
    /// # Errors
    /// Those of every create and read.
    pub async fn leave(&self, word: impl Into<Payload>) -> Result<Vec<u8>, Error> {
        let word = &word.into();
        let attempt = |client| async move { self.leave_in(&client, word).await };
        Ok(in_each(&self.sessions, attempt).await?)
    }

    /// Waits until word was left, and returns it.
    ///
    /// # Errors
    /// The end of the session, and those of every read.
    pub async fn word(&self) -> Result<Vec<u8>, Error> {
        let attempt = |client| async move { self.word_in(&client).await };
        Ok(in_each(&self.sessions, attempt).await?)
    }

    /// The word, if it was left, as far as this session's server knows.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn try_word(&self) -> Result<Option<Vec<u8>>, Error> {
        let attempt = |client| async move { read(&client, &self.path).await };
        Ok(in_each(&self.sessions, attempt).await?)
    }

    async fn leave_in(&self, client: &Client, word: &Payload) -> Result<Vec<u8>, ClientError> {
        loop {
            let create = || client.create(&self.path, word.clone(), CreateMode::Persistent);
            match client.insistently(create).await {
                Err(ClientError::Refused(ErrorCode::NoNode)) => {
                    client.ensure(parent(&self.path), CreateMode::Persistent).await?;
                }
                Err(ClientError::Refused(ErrorCode::NodeExists)) | Ok(_) => {
                    if let Some(left) = read(client, &self.path).await? {
                        return Ok(left);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn word_in(&self, client: &Client) -> Result<Vec<u8>, ClientError> {
        loop {
            let (stat, left) = client.patiently(|| client.exists_and_watch(&self.path)).await?;
            if stat.is_some()
                && let Some(word) = read(client, &self.path).await?
            {
                return Ok(word);
            }
            match left.await {
                Ok(_) | Err(ClientError::Refused(ErrorCode::NoWatcher)) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

async fn read(client: &Client, path: &str) -> Result<Option<Vec<u8>>, ClientError> {
    match client.patiently(|| client.get_data(path)).await {
        Ok(data) => Ok(Some(data.bytes().to_vec())),
        Err(ClientError::Refused(ErrorCode::NoNode)) => Ok(None),
        Err(error) => Err(error),
    }
}
