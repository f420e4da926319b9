//! Tasks that a master hands out to workers.
//!
//! ```text
//! <path>/master/…                    who takes part in the election of the master
//! <path>/workers/<worker>            ephemeral: a worker that is there
//! <path>/tasks/_c_<guid>-task-<n>    what to do
//! <path>/assigned/<worker>/<task>    who does it
//! <path>/done/<task>                 what came of it
//! ```
//!
//! Each step is one transaction: a master assigns a task only while it is the master, to a worker that is
//! there, and a worker reports only what is assigned to it and not forgotten. So a task is assigned once at a time, and has one
//! outcome, whoever was taken for lost meanwhile.

mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use reefkeeper_client::{
    Client, CreateMode, Error as ClientError, ErrorCode, Payload, Sessions, WatchMode,
};
use tokio::time::timeout;

use crate::error::Error;
use crate::hold::Hold;
use crate::leader_selector::{LeaderSelector, Led};
use crate::line::{self, Kinds};
use crate::mutant;
use crate::passing::is_passing;
use crate::protected::{NotCreated, Protection};
use crate::renewed::in_each;
use crate::tree_path::{child, name};

pub use self::worker::{Task, Worker};

/// What the names of tasks have before the number.
const KINDS: Kinds = &["task-"];

/// How many tasks a worker has at a time, unless configured otherwise.
const PER_WORKER: usize = 1;

/// Tasks that a master hands out to workers, each to one, and again when that one is lost: who has work, who
/// does it and who decides who does it are different programs, or parts of one.
///
/// Unlike the items of a [`Queue`](crate::Queue) tasks have outcomes, and the master decides who does them,
/// so that none is woken in vain.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::{Tasks, Worker};
///
/// let sessions = Client::builder(ensemble).sessions()?;
/// let frames = Tasks::new(&sessions, "/frames");
/// let master = frames.clone();
/// tokio::spawn(async move { master.assign("host-1").await });
///
/// let frame = frames.submit("frame 17").await?;
/// let mut worker = Worker::join(&sessions, "/frames", "host-7");
/// let task = worker.next().await?;
/// assert_eq!(task.data(), b"frame 17");
/// task.done("pixels").await?;
///
/// assert_eq!(frames.outcome(&frame).await?, b"pixels");
/// frames.forget(&frame).await?;
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// - *A worker is lost*: the master takes its tasks back when its session has expired, and assigns them to
///   others. A worker that was only taken for lost can not report a task anymore that was taken back. So a
///   task may be begun several times, and has one outcome.
/// - *The master is lost, or not certain anymore to be it*: another one takes over; until then nothing is
///   assigned. One that acts too late is refused by the servers.
/// - *The connection is lost while a task is submitted*: it is recognized by the GUID in its name.
/// - *The session expires*: all go on in the next one, if the [`Sessions`] are renewed.
///
/// The master looks at all tasks and workers at each change: fit for dozens of workers and thousands of
/// tasks at a time. Needs servers of release 3.6 or newer. The layout is nobody else's.
#[derive(Clone, Debug)]
pub struct Tasks {
    sessions: Sessions,
    path: String,
    per_worker: usize,
}

impl Tasks {
    /// The tasks at that path, which need not exist.
    pub fn new(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        Self { sessions: sessions.into(), path: path.into(), per_worker: PER_WORKER }
    }

    /// How many tasks a worker has at a time, at least one, if this is the master. Default: one.
    #[must_use]
    pub fn per_worker(mut self, tasks: usize) -> Self {
        self.per_worker = tasks.max(1);
        self
    }

    /// Submits a task; returns its name.
    ///
    /// # Errors
    /// The end of the session, and those of every create; see [`Error::may_have_happened`].
    pub async fn submit(&self, task: impl Into<Payload>) -> Result<String, Error> {
        let (task, protection) = (task.into(), Protection::random());
        let (client, directory) = (self.sessions.current(), self.tasks());
        let mode = CreateMode::PersistentSequential;
        let created = protection.create(&client, &directory, KINDS[0], &task, mode).await;
        let created = created.map_err(NotCreated::of_persistent)?;
        Ok(name(&created.path).to_owned())
    }

    /// Waits for the outcome of a task, which stays until it is forgotten.
    ///
    /// # Errors
    /// The end of the session, and those of every read.
    pub async fn outcome(&self, task: &str) -> Result<Vec<u8>, Error> {
        let path = child(&self.done(), task);
        let attempt = |client: Client| {
            let path = path.clone();
            async move { outcome_in(&client, &path).await }
        };
        Ok(in_each(&self.sessions, attempt).await?)
    }

    /// Deletes a task, with its outcome if it has one. One that is being worked on has none then.
    ///
    /// # Errors
    /// Those of every deletion. That there is no such task is none.
    pub async fn forget(&self, task: &str) -> Result<(), Error> {
        let client = self.sessions.current();
        // The outcome last: without it a task that is there is assigned.
        for path in [child(&self.tasks(), task), child(&self.done(), task)] {
            match client.insistently(|| client.delete(&path, None)).await {
                Ok(()) | Err(ClientError::Refused(ErrorCode::NoNode)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The names of all tasks that are not forgotten, in the order in which they were submitted.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn names(&self) -> Result<Vec<String>, Error> {
        Ok(tasks_of(&self.sessions.current(), &self.tasks()).await?)
    }

    /// Takes part in the election of the master under a name that others see, and assigns tasks while it is
    /// elected. This does not end by itself; to stop it, drop it.
    ///
    /// # Errors
    /// The end of the session, if no other follows; and those of every operation.
    pub async fn assign(&self, id: impl Into<Payload>) -> Result<Infallible, Error> {
        let selector = LeaderSelector::new(&self.sessions, child(&self.path, "master"), id);
        loop {
            let error = match selector.lead(async |hold| self.lead(hold).await).await {
                Ok(Led::Finished(Ok(())) | Led::Interrupted) => continue,
                Ok(Led::Finished(Err(error))) | Err(Error::Client(error)) => error,
                Err(error) => return Err(error),
            };
            if !is_passing(&error) && !self.sessions.go_on_after(&error) {
                return Err(error.into());
            }
        }
    }

    /// Assigns tasks until its watch ends.
    async fn lead(&self, hold: &Hold) -> Result<(), ClientError> {
        let client = hold.client();
        let mode = WatchMode::PersistentRecursive;
        let mut changes = client.patiently(|| client.add_watch(&self.path, mode)).await?;
        loop {
            match self.hand_out(hold).await {
                Err(error) if is_passing(&error) => {
                    client.writable().await?;
                    continue;
                }
                outcome => outcome?,
            }
            if changes.next().await.is_none() {
                return client.connected().await;
            }
            // What has happened since is seen in one look.
            while let Ok(Some(_)) = timeout(Duration::ZERO, changes.next()).await {}
        }
    }

    /// Takes back what lost workers have, and assigns what nobody has.
    async fn hand_out(&self, hold: &Hold) -> Result<(), ClientError> {
        let client = hold.client();
        // Nothing that this or another master has done is overlooked.
        client.sync(&self.path).await?;
        let tasks = tasks_of(client, &self.tasks()).await?;
        let workers = names(client, &self.workers()).await?;
        let mut assigned = BTreeMap::new();
        for worker in names(client, &self.assigned()).await?.union(&workers) {
            assigned.insert(worker.clone(), names(client, &self.assigned_to(worker)).await?);
        }
        // After what is assigned: a task that is reported meanwhile is in one of the two, or in both.
        let mut others: BTreeSet<String> = names(client, &self.done()).await?;
        if mutant::active(46) || mutant::active(26) && others.len() == 1 {
            others.clear();
        }

        let lost: Vec<_> = assigned.extract_if(.., |worker, _| !workers.contains(worker)).collect();
        for (worker, of_worker) in lost {
            for task in of_worker {
                if !self.take_back(hold, &worker, &task).await? {
                    // It was reported after all.
                    others.insert(task);
                }
            }
        }
        others.extend(assigned.values().flatten().cloned());
        for task in tasks.into_iter().filter(|task| !others.contains(task)) {
            let least = assigned.iter_mut().min_by_key(|(_, of_worker)| of_worker.len());
            let Some((worker, of_worker)) = least else { break };
            if of_worker.len() >= self.per_worker {
                break;
            }
            if self.assign_to(hold, worker, &task).await? {
                of_worker.insert(task);
            }
        }
        Ok(())
    }

    /// Takes a task from a worker; returns whether that still had it.
    async fn take_back(&self, hold: &Hold, worker: &str, task: &str) -> Result<bool, ClientError> {
        let assignment = child(&self.assigned_to(worker), task);
        let transaction = hold.client().transaction().check(hold.path(), None);
        match transaction.delete(&assignment, None).commit().await {
            Ok(_) => Ok(true),
            Err(ClientError::Aborted { code: ErrorCode::NoNode, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Assigns a task to a worker; returns whether it could. If not, something has changed, and the next look
    /// shows it.
    async fn assign_to(&self, hold: &Hold, worker: &str, task: &str) -> Result<bool, ClientError> {
        let client = hold.client();
        let directory = self.assigned_to(worker);
        loop {
            let transaction = client
                .transaction()
                .check(hold.path(), None)
                .check(&child(&self.workers(), worker), None)
                .check(&child(&self.tasks(), task), None)
                .create(&child(&directory, task), "", CreateMode::Persistent);
            match transaction.commit().await {
                Ok(_) => return Ok(true),
                Err(ClientError::Aborted { index: 3, code: ErrorCode::NoNode }) => {
                    client.ensure(&directory, CreateMode::Container).await?;
                }
                Err(ClientError::Aborted { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    fn tasks(&self) -> String {
        child(&self.path, "tasks")
    }

    fn workers(&self) -> String {
        child(&self.path, "workers")
    }

    fn assigned(&self) -> String {
        child(&self.path, "assigned")
    }

    fn assigned_to(&self, worker: &str) -> String {
        child(&self.assigned(), worker)
    }

    fn done(&self) -> String {
        child(&self.path, "done")
    }
}

/// The names in a directory; none without it.
async fn names(client: &Client, directory: &str) -> Result<BTreeSet<String>, ClientError> {
    match client.get_children(directory).await {
        Ok(children) => Ok(children.names.into_iter().collect()),
        Err(ClientError::Refused(ErrorCode::NoNode)) => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// The names of the tasks in a directory, in their order.
async fn tasks_of(client: &Client, directory: &str) -> Result<Vec<String>, ClientError> {
    let tasks = line::look(client, directory, KINDS).await?;
    Ok(tasks.into_iter().map(|place| place.name).collect())
}

async fn outcome_in(client: &Client, path: &str) -> Result<Vec<u8>, ClientError> {
    loop {
        match client.patiently(|| client.get_data(path)).await {
            Ok(data) => return Ok(data.bytes().to_vec()),
            Err(ClientError::Refused(ErrorCode::NoNode)) => {}
            Err(error) => return Err(error),
        }
        let (stat, changed) = client.patiently(|| client.exists_and_watch(path)).await?;
        if stat.is_some() {
            continue;
        }
        match changed.await {
            Ok(_) | Err(ClientError::Refused(ErrorCode::NoWatcher)) => {}
            Err(error) => return Err(error),
        }
    }
}
