//! A znode that outlives its program by a time that is known before.

use std::time::Duration;

use reefkeeper_client::{
    Client, CreateMode, Error as ClientError, ErrorCode, OneShotWatch, Payload, Sessions,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::warn;

use crate::error::Error;
use crate::mutant;
use crate::persistent_ephemeral::Presence;
use crate::tree_path::{child, parent};

/// The child whose data is set again and again: Curator's name for it.
const TOUCHED: &str = "touch";

/// How often within its time the child is touched, so that one touch may come late.
const TOUCHES: u32 = 3;

/// A znode that exists as long as this does, and for a time longer: the server deletes it when nobody has kept
/// it for so long.
///
/// Unlike an ephemeral it does not end with a session. So others see no gap when a program is started again,
/// or when its session expires, if it is back in time.
///
/// A task of its own keeps it, so that this must be made inside of a tokio runtime. The server must support
/// times to live (`extendedTypesEnabled=true`).
///
/// ```
/// # fixture::example(async |ensemble| {
/// use std::time::Duration;
///
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::PersistentTtl;
///
/// let sessions = Client::builder(ensemble).sessions()?;
/// let time_to_live = Duration::from_secs(60);
/// let mut cart = PersistentTtl::keep(&sessions, "/carts/4711", time_to_live, "3 apples");
/// cart.present().await?;
/// cart.set_data("3 apples, 1 pear");
/// drop(cart);
/// // It is there for a minute or so.
/// assert!(sessions.current().exists("/carts/4711").await?.is_some());
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// - *The connection is lost*: it is there until its time is over, and comes back when a server is found.
/// - *The session expires*: the same, if the [`Sessions`] are renewed.
/// - *Somebody deletes it*: it is created again.
/// - *Several programs keep one at the same path*: it is there until the time of the last one is over, and
///   has the data that was set last.
/// - *This is dropped*: nobody keeps it anymore. [`Self::remove`] deletes it at once.
///
/// Servers look for znodes whose time is over once a minute, unless configured otherwise.
///
/// The layout is that of Curator's `PersistentTtlNode`, with which it can be shared: a child is touched, so
/// that who watches the znode is not woken.
#[derive(Debug)]
pub struct PersistentTtl {
    sessions: Sessions,
    path: String,
    data: watch::Sender<Payload>,
    presence: watch::Receiver<Presence>,
    task: JoinHandle<()>,
}

impl PersistentTtl {
    /// Creates the znode at that path, and those above it as far as they are missing, or sets its data; and
    /// keeps it. A time of less than a millisecond, or more than 34 years, is refused by the server.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn keep(
        sessions: impl Into<Sessions>,
        path: impl Into<String>,
        time_to_live: Duration,
        data: impl Into<Payload>,
    ) -> Self {
        let (sessions, path) = (sessions.into(), path.into());
        let (data, wanted) = watch::channel(data.into());
        let (presence_sender, presence) = watch::channel(Presence::Absent);
        let keeper = Keeper {
            sessions: sessions.clone(),
            path: path.clone(),
            time_to_live,
            wanted,
            presence: presence_sender,
        };
        Self { sessions, path, data, presence, task: tokio::spawn(keeper.run()) }
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is there, as far as the connection tells; it is never [`Presence::Blocked`].
    pub fn presence(&self) -> Presence {
        self.presence.borrow().clone()
    }

    /// Waits until it is there.
    ///
    /// # Errors
    /// What ended this, if that comes first: [`ErrorCode::Unimplemented`] for servers that support no
    /// times to live.
    pub async fn present(&mut self) -> Result<(), Error> {
        Presence::present(&mut self.presence).await
    }

    /// What it holds from now on, as soon as it can be set.
    pub fn set_data(&self, data: impl Into<Payload>) {
        self.data.send_replace(data.into());
    }

    /// Deletes it, whoever else keeps it, and waits until that is done.
    ///
    /// # Errors
    /// Those of a deletion: [`ErrorCode::NotEmpty`] if it has children of others.
    pub async fn remove(mut self) -> Result<(), Error> {
        self.task.abort();
        // It ends at its next `.await`; one that has ended already did so by itself.
        drop((&mut self.task).await);
        let client = self.sessions.current();
        // What the task has asked for is done before.
        client.patiently(|| client.sync(&self.path)).await?;
        for path in [child(&self.path, TOUCHED), self.path.clone()] {
            match client.insistently(|| client.delete(&path, None)).await {
                Ok(()) | Err(ClientError::Refused(ErrorCode::NoNode)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Drop for PersistentTtl {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task.
struct Keeper {
    sessions: Sessions,
    path: String,
    time_to_live: Duration,
    wanted: watch::Receiver<Payload>,
    presence: watch::Sender<Presence>,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let client = self.sessions.current();
            match self.keep_in(&client).await {
                Ok(()) => self.show(Presence::Absent),
                Err(error) if self.sessions.go_on_after(&error) => self.show(Presence::Absent),
                Err(error) => {
                    warn!(path = %self.path, %error, "a znode with a time to live is not kept");
                    return self.show(Presence::Over(Some(error.into())));
                }
            }
        }
    }

    /// Creates the znode and keeps it, until it has to be created again.
    async fn keep_in(&mut self, client: &Client) -> Result<(), ClientError> {
        self.put(client).await?;
        loop {
            let look = || client.exists_and_watch(&self.path);
            let (Some(_), mut changed) = client.patiently(look).await? else { return Ok(()) };
            self.show(Presence::Present);
            while !self.keep_until(client, &mut changed).await? {}
        }
    }

    /// Keeps it for a while; returns whether that ended because it was changed.
    async fn keep_until(
        &mut self,
        client: &Client,
        changed: &mut OneShotWatch,
    ) -> Result<bool, ClientError> {
        self.touch(client).await?;
        tokio::select! {
            change = changed => match change {
                Ok(_) | Err(ClientError::Refused(ErrorCode::NoWatcher)) => Ok(true),
                Err(error) => Err(error),
            },
            Ok(()) = self.wanted.changed() => self.put(client).await.map(|()| false),
            () = sleep(self.time_to_live / TOUCHES) => Ok(false),
        }
    }

    /// Creates it with the data that is wanted, or sets that.
    async fn put(&mut self, client: &Client) -> Result<(), ClientError> {
        let data = self.wanted.borrow_and_update().clone();
        loop {
            let set = || client.set_data(&self.path, data.clone(), None);
            match client.insistently(set).await {
                Err(ClientError::Refused(ErrorCode::NoNode)) => {}
                outcome => return outcome.map(drop),
            }
            let create = || client.create(&self.path, data.clone(), self.mode());
            match client.insistently(create).await {
                // By a request of ours whose answer was lost, or by another.
                Err(ClientError::Refused(ErrorCode::NodeExists)) => {}
                Err(ClientError::Refused(ErrorCode::NoNode)) => {
                    client.ensure(parent(&self.path), CreateMode::Container).await?;
                }
                outcome => return outcome.map(drop),
            }
        }
    }

    async fn touch(&self, client: &Client) -> Result<(), ClientError> {
        let path = child(&self.path, TOUCHED);
        if mutant::active(37) {
            return Ok(());
        }
        match client.insistently(|| client.set_data(&path, "", None)).await {
            Err(ClientError::Refused(ErrorCode::NoNode)) => {}
            outcome => return outcome.map(drop),
        }
        match client.insistently(|| client.create(&path, "", self.mode())).await {
            // Without its parent it is created again with that.
            Ok(_) | Err(ClientError::Refused(ErrorCode::NodeExists | ErrorCode::NoNode)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn mode(&self) -> CreateMode {
        let time_to_live = self.time_to_live / if mutant::active(38) { 3 } else { 1 };
        let milliseconds = i64::try_from(time_to_live.as_millis()).unwrap_or(i64::MAX);
        CreateMode::PersistentWithTtl(milliseconds)
    }

    fn show(&self, presence: Presence) {
        self.presence.send_if_modified(|shown| {
            let is_new = *shown != presence;
            *shown = presence;
            is_new
        });
    }
}
