//! An ephemeral znode that comes back.

use reefkeeper_client::{
    Client, CreateMode, Error as ClientError, ErrorCode, OneShotWatch, Payload, SessionId,
    Sessions, Stat,
};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::error::Error;
use crate::mutant;
use crate::passing::{is_not_read_only, is_passing};
use crate::tree_path::parent;

/// Whether the znode is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Presence {
    /// Not yet, or not at the moment.
    Absent,
    /// Another session has a znode at this path. When that goes ours comes.
    Blocked(SessionId),
    /// It is there, as far as the connection tells.
    Present,
    /// It does not come back: it was removed by its owner, or this error ended it.
    Over(Option<Error>),
}

/// An ephemeral znode that exists as long as this does: it is created again when it is deleted, or when
/// the session has expired and there is a next one.
///
/// A task of its own sees to that, so that this must be made inside of a tokio runtime.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::PersistentEphemeral;
///
/// let sessions = Client::builder(ensemble).sessions()?;
/// let mut here = PersistentEphemeral::keep(&sessions, "/workers/host-7", "idle");
/// here.present().await?;
/// here.set_data("busy");
/// here.remove().await?;
/// assert_eq!(sessions.current().exists("/workers/host-7").await?, None);
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// - *The connection is lost while it is created*: that it is ours is seen by its owner, the session.
/// - *The session expires*: it is created in the next one, if the [`Sessions`] are renewed. Others see
///   it go when the servers let the session expire, and come back.
/// - *Somebody deletes it*: it is created again.
/// - *Another session has a znode there*, perhaps this program's before it was started again: it is left
///   alone, and ours comes when that goes.
/// - *It is deleted, and another session's comes, just when data is set*: data is set only where the znode has
///   the version that ours had. That tells the two apart unless both were changed as often, most likely never: then
///   the other's holds our data until that sets its own again.
/// - *A session is resumed that has the znode already*: it is given what is wanted now.
/// - *This is dropped*: the znode is deleted in the background.
///
/// As Curator's `PersistentNode`, but that never takes over, nor deletes, what is not its own.
#[derive(Debug)]
pub struct PersistentEphemeral {
    path: String,
    data: watch::Sender<Payload>,
    presence: watch::Receiver<Presence>,
    /// Dropped to make the task remove the znode.
    remove: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Presence {
    /// Waits until the znode is there.
    ///
    /// # Errors
    /// What ended it, if that comes first.
    pub(crate) async fn present(presence: &mut watch::Receiver<Self>) -> Result<(), Error> {
        loop {
            match &*presence.borrow_and_update() {
                Self::Present => return Ok(()),
                Self::Over(Some(error)) => return Err(error.clone()),
                Self::Over(None) => return Err(ClientError::Closed.into()),
                Self::Absent | Self::Blocked(_) => {}
            }
            if presence.changed().await.is_err() {
                return Err(ClientError::Closed.into());
            }
        }
    }
}

impl PersistentEphemeral {
    /// Creates the znode at that path, and those above it as far as they are missing, and keeps it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn keep(
        sessions: impl Into<Sessions>,
        path: impl Into<String>,
        data: impl Into<Payload>,
    ) -> Self {
        let path = path.into();
        let (data, wanted) = watch::channel(data.into());
        let (presence_sender, presence) = watch::channel(Presence::Absent);
        let (remove, removed) = oneshot::channel();
        let keeper = Keeper {
            sessions: sessions.into(),
            path: path.clone(),
            wanted,
            presence: presence_sender,
        };
        let task = tokio::spawn(keeper.run(removed));
        Self { path, data, presence, remove: Some(remove), task: Some(task) }
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is there.
    pub fn presence(&self) -> Presence {
        self.presence.borrow().clone()
    }

    /// Waits until it is there.
    ///
    /// # Errors
    /// What ended it, if that comes first.
    pub async fn present(&mut self) -> Result<(), Error> {
        Presence::present(&mut self.presence).await
    }

    /// Waits until its presence is another than the one that was seen last; what changes faster than it
    /// is looked at is skipped.
    pub async fn changed(&mut self) -> Presence {
        // Once the task has ended the last one stays.
        drop(self.presence.changed().await);
        self.presence.borrow_and_update().clone()
    }

    /// Waits until it does not come back, and says why.
    pub(crate) async fn over(&mut self) -> Error {
        let over = self.presence.wait_for(|presence| matches!(presence, Presence::Over(_))).await;
        match over.as_deref() {
            Ok(Presence::Over(Some(error))) => error.clone(),
            // Only who removes it, and drops this, ends it without an error.
            Ok(_) | Err(_) => ClientError::Closed.into(),
        }
    }

    /// What it holds from now on, as soon as it can be set.
    pub fn set_data(&self, data: impl Into<Payload>) {
        self.data.send_replace(data.into());
    }

    /// Deletes it, and waits until that is done.
    ///
    /// # Errors
    /// What made that uncertain, or ended it before.
    pub async fn remove(mut self) -> Result<(), Error> {
        self.remove = None;
        if let Some(task) = self.task.take() {
            // One that panicked keeps nothing: what is left ends with the session.
            drop(task.await);
        }
        match self.presence() {
            Presence::Over(Some(error)) => Err(error),
            Presence::Over(None) | Presence::Absent | Presence::Blocked(_) | Presence::Present => {
                Ok(())
            }
        }
    }
}

/// The task.
struct Keeper {
    sessions: Sessions,
    path: String,
    wanted: watch::Receiver<Payload>,
    presence: watch::Sender<Presence>,
}

impl Keeper {
    async fn run(mut self, mut removed: oneshot::Receiver<()>) {
        loop {
            let client = self.sessions.current();
            let kept = tokio::select! {
                kept = self.keep_while_writable(&client) => kept,
                _ = &mut removed => {
                    let outcome = self.remove_from(&client).await;
                    return self.show(Presence::Over(outcome.err().map(Error::from)));
                }
            };
            match kept {
                Ok(()) => {}
                Err(error) if self.sessions.go_on_after(&error) => self.show(Presence::Absent),
                Err(error) => {
                    warn!(path = %self.path, %error, "an ephemeral does not come back");
                    return self.show(Presence::Over(Some(error.into())));
                }
            }
        }
    }

    /// As [`Self::keep_in`]; also until a server is found that takes writes.
    async fn keep_while_writable(&mut self, client: &Client) -> Result<(), ClientError> {
        match self.keep_in(client).await {
            Err(error) if is_not_read_only(&error) => client.writable().await,
            kept => kept,
        }
    }

    /// Creates the znode and keeps it, until it has to be created again.
    async fn keep_in(&mut self, client: &Client) -> Result<(), ClientError> {
        let data = self.wanted.borrow_and_update().clone();
        let create = || client.create(&self.path, data.clone(), CreateMode::Ephemeral);
        // Whether it holds what is wanted. One of this session that is there already may be from before, with
        // other data: a session can be resumed.
        let mut is_written = match client.insistently(create).await {
            Ok(_) => {
                info!(path = %self.path, "present");
                self.show(Presence::Present);
                true
            }
            Err(ClientError::Refused(ErrorCode::NodeExists)) => false,
            Err(ClientError::Refused(ErrorCode::NoNode)) => {
                return client.ensure(parent(&self.path), CreateMode::Container).await;
            }
            Err(error) => return Err(error),
        };
        loop {
            let (stat, changed) = self.look(client).await?;
            let Some(stat) = stat else {
                self.show(Presence::Absent);
                return Ok(());
            };
            if !is_of(client, &stat) {
                self.show(Presence::Blocked(stat.ephemeral_owner));
                await_change(changed).await?;
                continue;
            }
            if is_written {
                self.show(Presence::Present);
                tokio::select! {
                    change = await_change(changed) => {
                        change?;
                        continue;
                    }
                    Ok(()) = self.wanted.changed(), if !mutant::active(40) => {}
                }
            }
            is_written = self.write(client, stat.version).await?;
        }
    }

    async fn look(&self, client: &Client) -> Result<(Option<Stat>, OneShotWatch), ClientError> {
        client.patiently(|| client.exists_and_watch(&self.path)).await
    }

    /// Writes what is wanted now, provided that the znode has that version; returns whether it did. If not, or if
    /// nobody knows, it is to be looked at again: what has the path then may be another's.
    async fn write(&mut self, client: &Client, version: i32) -> Result<bool, ClientError> {
        let data = self.wanted.borrow_and_update().clone();
        match client.set_data(&self.path, data, Some(version)).await {
            Ok(_) => Ok(true),
            Err(ClientError::Refused(ErrorCode::BadVersion | ErrorCode::NoNode)) => Ok(false),
            // The look waits for a server.
            Err(error) if error.is_transient() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes the znode if it is ours; a create that was under way is done before.
    ///
    /// It looks again when an answer was lost: ours may be gone, and that of who waited for this in its place.
    async fn remove_from(&self, client: &Client) -> Result<(), ClientError> {
        while !client.state().is_over() {
            client.patiently(|| client.sync(&self.path)).await?;
            let stat = client.patiently(|| client.exists(&self.path)).await?;
            if !stat.is_some_and(|stat| is_of(client, &stat)) {
                return Ok(());
            }
            match client.delete(&self.path, None).await {
                Err(error) if is_passing(&error) => {}
                Err(ClientError::Refused(ErrorCode::NoNode)) => return Ok(()),
                Err(error) if error.is_session_expired() => return Ok(()),
                outcome => return outcome,
            }
        }
        Ok(())
    }

    fn show(&self, presence: Presence) {
        self.presence.send_if_modified(|shown| {
            let is_new = *shown != presence;
            *shown = presence;
            is_new
        });
    }
}

/// Whether a znode belongs to the client's session.
fn is_of(client: &Client, stat: &Stat) -> bool {
    client.ticket().is_some_and(|ticket| ticket.id == stat.ephemeral_owner) || mutant::active(39)
}

async fn await_change(watch: OneShotWatch) -> Result<(), ClientError> {
    match watch.await {
        Ok(_) | Err(ClientError::Refused(ErrorCode::NoWatcher)) => Ok(()),
        Err(error) => Err(error),
    }
}
