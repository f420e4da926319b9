//! The side of those who do what is assigned to them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reefkeeper_client::{
    Children, Client, CreateMode, Error as ClientError, ErrorCode, OneShotWatch, Sessions,
};
use tokio::sync::Notify;

use super::{KINDS, Tasks};
use crate::error::Error;
use crate::hold::FencingToken;
use crate::line::in_order;
use crate::mutant;
use crate::passing::is_passing;
use crate::persistent_ephemeral::{PersistentEphemeral, Presence};
use crate::tree_path::child;

/// One who does [`Tasks`], as long as it lives.
///
/// A task of the runtime keeps it there, so that this must be made inside of a tokio runtime. When it is
/// dropped it leaves in the background, and what is assigned to it is taken back.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::{Tasks, Worker};
///
/// let sessions = Client::builder(ensemble).sessions()?;
/// let worker = Worker::join(&sessions, "/jobs", "host-3");
/// // Without a master nothing is assigned to it.
/// let master = tokio::spawn(async move { Tasks::new(&sessions, "/jobs").assign("host-1").await });
/// worker.leave().await?;
/// master.abort();
/// # Ok(()) });
/// ```
#[derive(Debug)]
pub struct Worker {
    sessions: Sessions,
    tasks: Tasks,
    id: String,
    presence: PersistentEphemeral,
    desk: Arc<Desk>,
}

impl Worker {
    /// Joins those who do the tasks at that path, under a name that no other worker has. One that is started
    /// again goes on with what is assigned to it, if the master has not taken it back.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn join(
        sessions: impl Into<Sessions>,
        path: impl Into<String>,
        id: impl Into<String>,
    ) -> Self {
        let (sessions, id) = (sessions.into(), id.into());
        let tasks = Tasks::new(&sessions, path);
        let presence = PersistentEphemeral::keep(&sessions, child(&tasks.workers(), &id), "");
        Self { sessions, tasks, id, presence, desk: Arc::default() }
    }

    /// Whether the master can see it; blocked if another worker has its name.
    pub fn presence(&self) -> Presence {
        self.presence.presence()
    }

    /// Waits for a task that is assigned to it and was not returned by this before, or was given back since.
    ///
    /// # Errors
    /// What ended its presence, the end of the session, and those of every read.
    pub async fn next(&mut self) -> Result<Task, Error> {
        loop {
            self.presence.present().await?;
            let client = self.sessions.current();
            match self.next_in(&client).await {
                Err(error) if self.sessions.go_on_after(&error) => {}
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Leaves, and waits until that is done. What is assigned to it is taken back.
    ///
    /// # Errors
    /// What made that uncertain, or ended its presence before.
    pub async fn leave(self) -> Result<(), Error> {
        self.presence.remove().await
    }

    async fn next_in(&self, client: &Client) -> Result<Task, ClientError> {
        loop {
            let (assigned, changed) = self.assigned(client).await?;
            for place in in_order(&assigned.names, KINDS) {
                if let Some(task) = self.take(client, place.name).await? {
                    return Ok(task);
                }
            }
            let change = tokio::select! {
                change = changed => change,
                () = self.desk.given_back.notified() => continue,
            };
            match change {
                Ok(_) | Err(ClientError::Refused(ErrorCode::NoWatcher)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What is assigned to it, and what tells when that changes.
    async fn assigned(&self, client: &Client) -> Result<(Children, OneShotWatch), ClientError> {
        let directory = self.tasks.assigned_to(&self.id);
        loop {
            match client.patiently(|| client.get_children_and_watch(&directory)).await {
                Err(ClientError::Refused(ErrorCode::NoNode)) => {
                    client.ensure(&directory, CreateMode::Container).await?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Takes a task to the desk, unless it is there already, or was taken back.
    async fn take(&self, client: &Client, name: String) -> Result<Option<Task>, ClientError> {
        if !self.desk.names().insert(name.clone()) {
            return Ok(None);
        }
        let mut task = Task {
            client: client.clone(),
            path: child(&self.tasks.tasks(), &name),
            assignment: child(&self.tasks.assigned_to(&self.id), &name),
            done: self.tasks.done(),
            name,
            data: Vec::new(),
            token: None,
            desk: Arc::clone(&self.desk),
        };
        let assigned = client.patiently(|| client.exists(&task.assignment)).await?;
        match (assigned, client.patiently(|| client.get_data(&task.path)).await) {
            (Some(stat), Ok(data)) => {
                task.token = Some(FencingToken::new(stat.czxid));
                task.data = data.bytes().to_vec();
                Ok(Some(task))
            }
            (None, Ok(_)) => Ok(None),
            // It was forgotten: nobody waits for its outcome.
            (_, Err(ClientError::Refused(ErrorCode::NoNode))) => {
                match client.insistently(|| client.delete(&task.assignment, None)).await {
                    Ok(()) | Err(ClientError::Refused(ErrorCode::NoNode)) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            (_, Err(error)) => Err(error),
        }
    }
}

/// What a worker has begun.
#[derive(Default, Debug)]
struct Desk {
    /// Held only to look and to change.
    names: Mutex<BTreeSet<String>>,
    given_back: Notify,
}

impl Desk {
    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // Nothing panics while it is held.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that is assigned to a [`Worker`]. Dropped, it is the worker's next again, unless the master has
/// taken it back.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::{Tasks, Worker};
///
/// let sessions = Client::builder(ensemble).sessions()?;
/// let jobs = Tasks::new(&sessions, "/jobs");
/// let master = jobs.clone();
/// tokio::spawn(async move { master.assign("host-1").await });
/// jobs.submit("the first").await?;
///
/// let mut worker = Worker::join(&sessions, "/jobs", "host-3");
/// let job = worker.next().await?;
/// drop(job);
/// // It is the worker's next again.
/// let job = worker.next().await?;
/// assert_eq!(job.data(), b"the first");
/// job.done("").await?;
/// # Ok(()) });
/// ```
#[derive(Debug)]
#[must_use = "a task that is dropped is not done"]
pub struct Task {
    client: Client,
    name: String,
    data: Vec<u8>,
    /// Where it is.
    path: String,
    /// Where it says that it is this worker's.
    assignment: String,
    /// Where outcomes are.
    done: String,
    /// Of the assignment, once it was seen.
    token: Option<FencingToken>,
    desk: Arc<Desk>,
}

impl Task {
    /// Its name, as [`Tasks::submit`] returned it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was submitted.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// A number that is higher each time the task is assigned; see [`FencingToken`].
    ///
    /// # Panics
    /// Never: only what is assigned is given out.
    pub fn token(&self) -> FencingToken {
        self.token.expect("seen before it is given out")
    }

    /// The task is done, with that outcome.
    ///
    /// # Errors
    /// [`Error::Removed`] if the master has taken it back, because it took the worker for lost, and another
    /// does it or has done it; and if it was forgotten. The end of the session, after which it is taken
    /// back unless [`Error::may_have_happened`]; and those of every transaction.
    pub async fn done(self, outcome: impl Into<Vec<u8>>) -> Result<(), Error> {
        let (client, outcome) = (&self.client, outcome.into());
        let path = child(&self.done, &self.name);
        let mut lost: Option<ClientError> = None;
        loop {
            let report = client
                .transaction()
                .check(&self.path, None)
                .delete(&self.assignment, None)
                .create(&path, outcome.as_slice(), CreateMode::Persistent);
            match report.commit().await {
                Ok(_) => return Ok(()),
                Err(error) if is_passing(&error) => {
                    if error.may_have_happened() && !mutant::active(25) {
                        lost = Some(error);
                    }
                    client.writable().await.map_err(|end| lost.clone().unwrap_or(end))?;
                }
                Err(ClientError::Aborted { index: 2, code: ErrorCode::NoNode }) => {
                    client.ensure(&self.done, CreateMode::Container).await?;
                }
                Err(ClientError::Aborted { .. }) if mutant::active(26) => {
                    let report = || client.set_data(&path, outcome.as_slice(), None);
                    client.insistently(report).await?;
                    return Ok(());
                }
                // Only this worker and the master remove the assignment.
                Err(ClientError::Aborted { .. })
                    if lost.is_some() && holds(client, &path, &outcome).await? =>
                {
                    return Ok(());
                }
                Err(ClientError::Aborted { .. }) => {
                    return Err(Error::Removed { path: self.assignment.clone() });
                }
                Err(error) if error.is_session_expired() => {
                    return Err(lost.unwrap_or(error).into());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.desk.names().remove(&self.name);
        self.desk.given_back.notify_one();
    }
}

/// Whether that is the outcome: then it was ours, or as good.
async fn holds(client: &Client, path: &str, outcome: &[u8]) -> Result<bool, ClientError> {
    match client.patiently(|| client.get_data(path)).await {
        Ok(data) => Ok(data.bytes() == outcome),
        Err(ClientError::Refused(ErrorCode::NoNode)) => Ok(false),
        Err(error) => Err(error),
    }
}
