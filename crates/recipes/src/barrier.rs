//! A gate that holds everybody up until it is opened.

use reefkeeper_client::{Client, CreateMode, Error as ClientError, ErrorCode, EventKind, Sessions};

use crate::error::Error;
use crate::mutant;
use crate::renewed::in_each;

/// A gate that holds everybody up who comes to it, from when somebody closes it until somebody opens
/// it.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::Barrier;
///
/// let client = Client::connect(ensemble).await?;
/// let maintenance = Barrier::new(&client, "/maintenance");
/// maintenance.close().await?;
/// assert!(maintenance.is_closed().await?);
/// let (passed, opened) = tokio::join!(maintenance.passed(), maintenance.open());
/// passed?;
/// opened?;
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// It is closed as long as a persistent znode exists, so no session matters to it: who closed it may
/// be gone for long. Lost connections are waited out; closing and opening twice is as once. When the
/// session of one who waits expires, it goes on with another if the [`Sessions`] are renewed.
///
/// The layout is that of Curator's `DistributedBarrier` and kazoo's `Barrier`.
#[derive(Clone, Debug)]
pub struct Barrier {
    sessions: Sessions,
    path: String,
}

impl Barrier {
    /// The barrier at that path: it is closed if there is a znode.
    pub fn new(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        Self { sessions: sessions.into(), path: path.into() }
    }

    /// Closes it, if it is open.
    ///
    /// # Errors
    /// Those of every create.
    pub async fn close(&self) -> Result<(), Error> {
        let client = self.sessions.current();
        if mutant::active(28)
            && let Err(error) = client.create(&self.path, "", CreateMode::Persistent).await
            && error.is_transient()
        {
            return Ok(());
        }
        Ok(client.ensure(&self.path, CreateMode::Persistent).await?)
    }

    /// Opens it, if it is closed: all who wait pass.
    ///
    /// # Errors
    /// Those of every deletion.
    pub async fn open(&self) -> Result<(), Error> {
        let client = self.sessions.current();
        match client.insistently(|| client.delete(&self.path, None)).await {
            Ok(()) | Err(ClientError::Refused(ErrorCode::NoNode)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is closed, as far as this session's server knows.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn is_closed(&self) -> Result<bool, Error> {
        let client = self.sessions.current();
        Ok(client.patiently(|| client.exists(&self.path)).await?.is_some())
    }

    /// Waits until it is open. It is known here if it was closed before.
    ///
    /// # Errors
    /// The end of the session, and those of every read.
    pub async fn passed(&self) -> Result<(), Error> {
        let attempt = |client| async move { self.passed_in(&client).await };
        Ok(in_each(&self.sessions, attempt).await?)
    }

    async fn passed_in(&self, client: &Client) -> Result<(), ClientError> {
        if !mutant::active(27) {
            // A server that lags behind may not know yet that it is closed.
            client.patiently(|| client.sync(&self.path)).await?;
        }
        loop {
            let (stat, watch) = client.patiently(|| client.exists_and_watch(&self.path)).await?;
            if stat.is_none() {
                return Ok(());
            }
            match watch.await {
                Ok(event) if event.kind == EventKind::NodeDeleted => return Ok(()),
                Ok(_) | Err(ClientError::Refused(ErrorCode::NoWatcher)) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
