//! A computation that a number of participants begin together and end together.

use reefkeeper_client::{
    Client, CreateMode, Error as ClientError, ErrorCode, EventKind, Payload, Sessions,
};

use crate::error::Error;
use crate::guid::Guid;
use crate::mutant;
use crate::tree_path::child;

/// The child that says that all have come.
const READY: &str = "ready";

/// A computation that a number of participants begin together and end together: all wait until so
/// many have come, and afterwards until all have left.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::DoubleBarrier;
///
/// let client = Client::connect(ensemble).await?;
/// let step = DoubleBarrier::new(&client, "/simulation/step-1", 2);
/// let (one, two) = tokio::join!(step.enter(), step.enter());
/// let (one, two) = (one?, two?);
/// let (one, two) = tokio::join!(one.leave(), two.leave());
/// one?;
/// two?;
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// - *A participant's session ends before all have come*: it counts no more, and another may come
///   instead.
/// - *A participant's session ends inside*: the others can leave without it.
/// - *The connection is lost*: waiting goes on when a server is found; names are chosen by the
///   participant, so that nothing is created twice.
/// - *More come than are counted on*: they enter as well, and all of them must leave.
/// - *The future of [`Self::enter`] is dropped*: the participant counts no more.
///
/// Who comes while the last are leaving may enter a barrier that nobody else enters anymore; use
/// another path for each round, as above.
///
/// The layout is that of Curator's `DistributedDoubleBarrier` and kazoo's `DoubleBarrier`, with which
/// it can be shared.
#[derive(Clone, Debug)]
pub struct DoubleBarrier {
    sessions: Sessions,
    path: String,
    count: usize,
}

impl DoubleBarrier {
    /// The barrier at that path, for so many participants.
    pub fn new(sessions: impl Into<Sessions>, path: impl Into<String>, count: usize) -> Self {
        Self { sessions: sessions.into(), path: path.into(), count }
    }

    /// Waits until enough have come.
    ///
    /// # Errors
    /// The end of the session, for then this participant counts no more; [`Error::Removed`] if
    /// somebody deleted its znode; and those of every create and read.
    pub async fn enter(&self) -> Result<Entered, Error> {
        let client = self.sessions.current();
        let entered = Entered::come(client, &self.path).await?;
        entered.wait_for_all(self.count).await?;
        Ok(entered)
    }
}

/// The presence of a participant inside of a [`DoubleBarrier`]. Dropping it leaves without waiting
/// for the others.
#[derive(Debug)]
#[must_use = "dropping it leaves the barrier"]
pub struct Entered {
    client: Client,
    directory: String,
    name: String,
    runtime: tokio::runtime::Handle,
    /// Whether there may be a znode.
    is_present: bool,
}

impl Entered {
    /// Adds this participant to those who have come.
    async fn come(client: Client, directory: &str) -> Result<Self, Error> {
        let mut entered = Self {
            client,
            directory: directory.to_owned(),
            name: Guid::random().to_string(),
            runtime: tokio::runtime::Handle::current(),
            is_present: true,
        };
        let (client, path) = (&entered.client, entered.path());
        let come = || client.create(&path, Payload::from(""), CreateMode::Ephemeral);
        loop {
            match client.insistently(come).await {
                // Nobody else chooses this name.
                Ok(_) | Err(ClientError::Refused(ErrorCode::NodeExists)) => return Ok(entered),
                Err(ClientError::Refused(ErrorCode::NoNode)) => {
                    client.ensure(directory, CreateMode::Container).await?;
                }
                Err(error) => {
                    entered.is_present = false;
                    return Err(error.into());
                }
            }
        }
    }

    fn path(&self) -> String {
        child(&self.directory, &self.name)
    }

    fn removed(&self) -> Error {
        Error::Removed { path: self.path() }
    }

    async fn wait_for_all(&self, count: usize) -> Result<(), Error> {
        let (client, ready) = (&self.client, child(&self.directory, READY));
        loop {
            let (stat, watch) = client.patiently(|| client.exists_and_watch(&ready)).await?;
            if stat.is_some() {
                return Ok(());
            }
            let present = self.present().await?;
            if !present.contains(&self.name) {
                return Err(self.removed());
            }
            if present.len() + usize::from(mutant::active(13)) >= count {
                return Ok(client.ensure(&ready, CreateMode::Persistent).await?);
            }
            // The last who comes makes it; others who come and go change nothing. It may be gone again by
            // now, since participants of kazoo delete it when they begin to leave.
            match watch.await {
                Ok(event) if event.kind == EventKind::NodeCreated => return Ok(()),
                Ok(_) | Err(ClientError::Refused(ErrorCode::NoWatcher)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until all have left.
    ///
    /// # Errors
    /// The end of the session, and those of every deletion and read. This participant has left then,
    /// or leaves with the session.
    pub async fn leave(mut self) -> Result<(), Error> {
        if mutant::active(22) {
            self.go().await?;
            return Ok(());
        }
        loop {
            let mut present = self.present().await?;
            present.sort_unstable();
            let is_lowest = present.first() == Some(&self.name);
            let waits_for = match present.as_slice() {
                [] => break,
                // The lowest stays until it is alone, so that the others need not watch all.
                [.., highest] if is_lowest && present.len() > 1 => highest,
                [lowest, ..] if !is_lowest => {
                    self.go().await?;
                    lowest
                }
                [..] => {
                    self.go().await?;
                    break;
                }
            };
            self.wait_until_gone(&child(&self.directory, waits_for)).await?;
        }
        self.remove_ready().await
    }

    /// The names of those who are inside.
    async fn present(&self) -> Result<Vec<String>, ClientError> {
        let client = &self.client;
        match client.patiently(|| client.get_children(&self.directory)).await {
            Err(ClientError::Refused(ErrorCode::NoNode)) => Ok(Vec::new()),
            children => {
                let names = children?.names.into_iter();
                Ok(names.filter(|name| name != READY).collect())
            }
        }
    }

    async fn go(&mut self) -> Result<(), ClientError> {
        if self.is_present {
            delete(&self.client, &self.path()).await?;
            self.is_present = false;
        }
        Ok(())
    }

    async fn wait_until_gone(&self, path: &str) -> Result<(), ClientError> {
        let client = &self.client;
        match client.patiently(|| client.get_data_and_watch(path)).await {
            Ok((_, watch)) => match watch.await {
                Ok(_) | Err(ClientError::Refused(ErrorCode::NoWatcher)) => Ok(()),
                Err(error) => Err(error),
            },
            Err(ClientError::Refused(ErrorCode::NoNode)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn remove_ready(&self) -> Result<(), Error> {
        Ok(delete(&self.client, &child(&self.directory, READY)).await?)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if self.is_present && !self.client.state().is_over() {
            let (client, path) = (self.client.clone(), self.path());
            self.runtime.spawn(async move {
                // What can not be deleted ends with the session.
                drop(delete(&client, &path).await);
            });
        }
    }
}

/// Deletes a znode that may be gone already.
async fn delete(client: &Client, path: &str) -> Result<(), ClientError> {
    match client.insistently(|| client.delete(path, None)).await {
        Ok(()) | Err(ClientError::Refused(ErrorCode::NoNode)) => Ok(()),
        Err(error) => Err(error),
    }
}
