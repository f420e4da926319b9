//! The client for programs without async: each call returns when its answer is there.
//!
//! ```
//! # fixture::blocking_example(|ensemble| {
//! use reefkeeper_client::CreateMode;
//! use reefkeeper_client::blocking::Client;
//!
//! let client = Client::connect(ensemble)?;
//! client.create("/greeting", "hello", CreateMode::Ephemeral)?;
//! let (data, watch) = client.get_data_and_watch("/greeting")?;
//! assert_eq!(data.bytes(), b"hello");
//! client.delete("/greeting", None)?;
//! println!("then: {:?}", watch.wait()?);
//! # Ok(()) });
//! ```
//!
//! A thread of its own serves the connection. Calls of several threads share it, and do not wait
//! for one another. What this client does not have, [`Client::block_on`] runs: recipes, for
//! example.
//!
//! None of this may be called by a thread that runs async code: it panics there, for it would hold
//! up everything else on that thread.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio::time::timeout;
use types::{AclList, CreateMode, ReconfigRequest, Stat, WatchMode, WatcherKind};

use crate::address::Host;
use crate::builder::Builder;
use crate::client;
use crate::error::{ConnectError, Error};
use crate::limits::LINGER_MAX;
use crate::response::{Acls, Children, Created, Data, Identity, OpResult, ReadResult};
use crate::session::{SessionState, Ticket, WatchEvent};
use crate::states::States;
use crate::transaction;
use crate::watch::{self, Change};
use crate::written::{CreateOptions, Payload};

/// A session with an ensemble: [`crate::Client`] whose methods return when they are done.
///
/// Cheap to clone, all clones share the session. When the last one is dropped the thread closes the
/// session and ends. At the end of a program that may be too late: call [`Self::close`].
#[derive(Clone, Debug)]
pub struct Client {
    // Dropped before the reactor, which then waits for the session's end.
    inner: client::Client,
    reactor: Arc<Reactor>,
}

impl Client {
    /// Opens a session with the servers of `host:port,host:port/chroot`; as
    /// [`crate::Client::connect`].
    ///
    /// # Errors
    /// When no server takes the session within 30 seconds.
    ///
    /// # Panics
    /// On a thread that runs async code.
    pub fn connect(ensemble: impl Into<String>) -> Result<Self, ConnectError> {
        Self::open(client::Client::builder(ensemble))
    }

    /// Opens a session with more settings; as [`Builder::connect`].
    ///
    /// # Errors
    /// When there is none in time.
    ///
    /// # Panics
    /// On a thread that runs async code.
    pub fn open(builder: Builder) -> Result<Self, ConnectError> {
        let (handle, last_states) = start_thread().map_err(|_| ConnectError::NoThread)?;
        let inner = handle.block_on(builder.connect())?;
        let states = inner.states();
        let reactor = Reactor { handle, states, last_states: Some(last_states) };
        Ok(Self { inner, reactor: Arc::new(reactor) })
    }

    /// The client behind this one, for what is async.
    pub const fn asynchronous(&self) -> &client::Client {
        &self.inner
    }

    /// Runs a future to its end; it may use this client's session, and timers.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// let client = reefkeeper_client::blocking::Client::connect(ensemble)?;
    /// let both = client.block_on(async {
    ///     let client = client.asynchronous();
    ///     tokio::join!(client.exists("/zookeeper"), client.exists("/missing"))
    /// });
    /// assert!(both.0?.is_some() && both.1?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Panics
    /// On a thread that runs async code.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.reactor.handle.block_on(future)
    }

    /// The state of the session now.
    pub fn state(&self) -> SessionState {
        self.inner.state()
    }

    /// What resumes the session in another process.
    pub fn ticket(&self) -> Option<Ticket> {
        self.inner.ticket()
    }

    /// The timeout that the server decided on.
    pub fn session_timeout(&self) -> Duration {
        self.inner.session_timeout()
    }

    /// The server that serves the session now; as [`crate::Client::server`].
    pub fn server(&self) -> Option<Host> {
        self.inner.server()
    }

    /// Waits until the session is in another state than the given one; returns that.
    pub fn wait_for_change(&self, of: SessionState) -> SessionState {
        let mut states = self.inner.states();
        self.block_on(async {
            while states.current() == of && states.changed().await.is_some() {}
            states.current()
        })
    }

    /// Creates a znode; as [`crate::Client::create`].
    ///
    /// # Errors
    /// The same.
    pub fn create(
        &self,
        path: &str,
        data: impl Into<Payload>,
        options: impl Into<CreateOptions>,
    ) -> Result<Created, Error> {
        self.block_on(self.inner.create(path, data, options))
    }

    /// Deletes a znode; as [`crate::Client::delete`].
    ///
    /// # Errors
    /// The same.
    pub fn delete(&self, path: &str, version: Option<i32>) -> Result<(), Error> {
        self.block_on(self.inner.delete(path, version))
    }

    /// Asks for a znode; as [`crate::Client::exists`].
    ///
    /// # Errors
    /// The same.
    pub fn exists(&self, path: &str) -> Result<Option<Stat>, Error> {
        self.block_on(self.inner.exists(path))
    }

    /// Reads a znode's data; as [`crate::Client::get_data`].
    ///
    /// # Errors
    /// The same.
    pub fn get_data(&self, path: &str) -> Result<Data, Error> {
        self.block_on(self.inner.get_data(path))
    }

    /// Sets a znode's data; as [`crate::Client::set_data`].
    ///
    /// # Errors
    /// The same.
    pub fn set_data(
        &self,
        path: &str,
        data: impl Into<Payload>,
        version: Option<i32>,
    ) -> Result<Stat, Error> {
        self.block_on(self.inner.set_data(path, data, version))
    }

    /// Reads a znode's access control list; as [`crate::Client::get_acl`].
    ///
    /// # Errors
    /// The same.
    pub fn get_acl(&self, path: &str) -> Result<Acls, Error> {
        self.block_on(self.inner.get_acl(path))
    }

    /// Sets a znode's access control list; as [`crate::Client::set_acl`].
    ///
    /// # Errors
    /// The same.
    pub fn set_acl(
        &self,
        path: &str,
        acl: impl Into<AclList>,
        version: Option<i32>,
    ) -> Result<Stat, Error> {
        self.block_on(self.inner.set_acl(path, acl, version))
    }

    /// Reads the names of a znode's children; as [`crate::Client::get_children`].
    ///
    /// # Errors
    /// The same.
    pub fn get_children(&self, path: &str) -> Result<Children, Error> {
        self.block_on(self.inner.get_children(path))
    }

    /// Counts the znodes below one; as [`crate::Client::get_all_children_number`].
    ///
    /// # Errors
    /// The same.
    pub fn get_all_children_number(&self, path: &str) -> Result<usize, Error> {
        self.block_on(self.inner.get_all_children_number(path))
    }

    /// Reads the paths of this session's ephemeral znodes; as [`crate::Client::get_ephemerals`].
    ///
    /// # Errors
    /// The same.
    pub fn get_ephemerals(&self, prefix: &str) -> Result<Vec<String>, Error> {
        self.block_on(self.inner.get_ephemerals(prefix))
    }

    /// Waits until the server has caught up; as [`crate::Client::sync`].
    ///
    /// # Errors
    /// The same.
    pub fn sync(&self, path: &str) -> Result<(), Error> {
        self.block_on(self.inner.sync(path))
    }

    /// Asks who the server takes this client for; as [`crate::Client::whoami`].
    ///
    /// # Errors
    /// The same.
    pub fn whoami(&self) -> Result<Vec<Identity>, Error> {
        self.block_on(self.inner.whoami())
    }

    /// Asks whether this client's connection has such a watch; as [`crate::Client::has_watch`].
    ///
    /// # Errors
    /// The same.
    pub fn has_watch(&self, path: &str, kind: WatcherKind) -> Result<bool, Error> {
        self.block_on(self.inner.has_watch(path, kind))
    }

    /// Removes all watches of a kind at a path; as [`crate::Client::remove_watches`].
    ///
    /// # Errors
    /// The same.
    pub fn remove_watches(&self, path: &str, kind: WatcherKind) -> Result<(), Error> {
        self.block_on(self.inner.remove_watches(path, kind))
    }

    /// Presents credentials, now and on every later connection; as [`crate::Client::add_auth`].
    ///
    /// # Errors
    /// The same.
    pub fn add_auth(&self, scheme: &str, auth: impl Into<Vec<u8>>) -> Result<(), Error> {
        self.block_on(self.inner.add_auth(scheme, auth))
    }

    /// Reads the membership of the ensemble; as [`crate::Client::config`].
    ///
    /// # Errors
    /// The same.
    pub fn config(&self) -> Result<Data, Error> {
        self.block_on(self.inner.config())
    }

    /// Changes the membership of the ensemble; as [`crate::Client::reconfig`].
    ///
    /// # Errors
    /// The same.
    pub fn reconfig(&self, request: ReconfigRequest<'_>) -> Result<Data, Error> {
        self.block_on(self.inner.reconfig(request))
    }

    /// Creates a znode and those above it, unless they are there; as [`crate::Client::ensure`].
    ///
    /// # Errors
    /// The same.
    pub fn ensure(&self, path: &str, mode: CreateMode) -> Result<(), Error> {
        self.block_on(self.inner.ensure(path, mode))
    }

    /// Lists a znode and everything below it; as [`crate::Client::list_subtree`].
    ///
    /// # Errors
    /// The same.
    pub fn list_subtree(&self, path: &str) -> Result<Vec<String>, Error> {
        self.block_on(self.inner.list_subtree(path))
    }

    /// Deletes a znode and everything below it; as [`crate::Client::delete_subtree`].
    ///
    /// # Errors
    /// The same.
    pub fn delete_subtree(&self, path: &str) -> Result<(), Error> {
        self.block_on(self.inner.delete_subtree(path))
    }

    /// Waits until a server serves the session; as [`crate::Client::connected`].
    ///
    /// # Errors
    /// The same.
    pub fn connected(&self) -> Result<(), Error> {
        self.block_on(self.inner.connected())
    }

    /// Closes the session: its ephemeral znodes vanish at once; as [`crate::Client::close`].
    ///
    /// # Errors
    /// The same.
    pub fn close(&self) -> Result<(), Error> {
        self.block_on(self.inner.close())
    }

    /// Closes the session, but tries so long at most; as [`crate::Client::close_within`].
    ///
    /// # Errors
    /// The same.
    pub fn close_within(&self, limit: Duration) -> Result<(), Error> {
        self.block_on(self.inner.close_within(limit))
    }

    /// As [`Self::exists`], with a watch for its creation, its deletion or its data.
    ///
    /// # Errors
    /// Those of every operation.
    pub fn exists_and_watch(&self, path: &str) -> Result<(Option<Stat>, OneShotWatch), Error> {
        let (stat, watch) = self.block_on(self.inner.exists_and_watch(path))?;
        Ok((stat, self.one_shot(watch)))
    }

    /// As [`Self::get_data`], with a watch for the data and for its deletion.
    ///
    /// # Errors
    /// As [`crate::Client::get_data_and_watch`].
    pub fn get_data_and_watch(&self, path: &str) -> Result<(Data, OneShotWatch), Error> {
        let (data, watch) = self.block_on(self.inner.get_data_and_watch(path))?;
        Ok((data, self.one_shot(watch)))
    }

    /// As [`Self::get_children`], with a watch for the names and for the znode's deletion.
    ///
    /// # Errors
    /// As [`crate::Client::get_children_and_watch`].
    pub fn get_children_and_watch(&self, path: &str) -> Result<(Children, OneShotWatch), Error> {
        let (children, watch) = self.block_on(self.inner.get_children_and_watch(path))?;
        Ok((children, self.one_shot(watch)))
    }

    /// Watches a znode until the watch is dropped; as [`crate::Client::add_watch`].
    ///
    /// # Errors
    /// Those of every operation.
    pub fn add_watch(&self, path: &str, mode: WatchMode) -> Result<PersistentWatch, Error> {
        let watch = self.block_on(self.inner.add_watch(path, mode))?;
        Ok(PersistentWatch { watch, client: self.clone() })
    }

    /// Begins a transaction: several writes, of which all happen or none.
    pub const fn transaction(&self) -> Transaction<'_> {
        Transaction { client: self, writes: self.inner.transaction() }
    }

    /// Begins a batch of reads that see the same state.
    pub const fn multi_read(&self) -> ReadBatch<'_> {
        ReadBatch { client: self, reads: self.inner.multi_read() }
    }

    /// Leaves the session without closing it; as [`crate::Client::detach`].
    pub fn detach(self) -> Option<Ticket> {
        self.inner.clone().detach()
    }

    fn one_shot(&self, watch: watch::OneShotWatch) -> OneShotWatch {
        OneShotWatch { watch, client: self.clone() }
    }
}

/// The next change of a znode. Dropping it takes the interest back.
#[derive(Debug)]
#[must_use = "a watch that is dropped tells nothing"]
pub struct OneShotWatch {
    watch: watch::OneShotWatch,
    client: Client,
}

impl OneShotWatch {
    /// Waits for it.
    ///
    /// # Errors
    /// When the session ends before, or the watch is removed; see [`crate::OneShotWatch`].
    pub fn wait(self) -> Result<WatchEvent, Error> {
        self.client.block_on(self.watch)
    }

    /// Waits for it so long; `None` if it has not happened, and may still be waited for.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn wait_for(&mut self, limit: Duration) -> Result<Option<WatchEvent>, Error> {
        let watch = &mut self.watch;
        // A timer is made inside the runtime that drives it.
        match self.client.block_on(async { timeout(limit, watch).await }) {
            Ok(event) => event.map(Some),
            Err(_) => Ok(None),
        }
    }
}

/// The changes of a znode, or of a subtree: an iterator that waits for the next. Dropping it removes
/// the watch.
#[derive(Debug)]
#[must_use = "a watch that is dropped tells nothing"]
pub struct PersistentWatch {
    watch: watch::PersistentWatch,
    client: Client,
}

impl PersistentWatch {
    /// Waits so long for the next change; `None` if there was none, or there will be none.
    pub fn next_within(&mut self, limit: Duration) -> Option<Change> {
        let watch = &mut self.watch;
        self.client.block_on(async { timeout(limit, watch.next()).await }).ok().flatten()
    }
}

impl Iterator for PersistentWatch {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        self.client.block_on(self.watch.next())
    }
}

/// Writes of which all happen or none; as [`crate::Transaction`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is committed"]
pub struct Transaction<'c> {
    client: &'c Client,
    writes: transaction::Transaction<'c>,
}

impl Transaction<'_> {
    /// Creates a znode.
    pub fn create(
        mut self,
        path: &str,
        data: impl Into<Payload>,
        options: impl Into<CreateOptions>,
    ) -> Self {
        self.writes = self.writes.create(path, data, options);
        self
    }

    /// Deletes a znode, if it has that version; `None` is any.
    pub fn delete(mut self, path: &str, version: Option<i32>) -> Self {
        self.writes = self.writes.delete(path, version);
        self
    }

    /// Sets a znode's data, if it has that version; `None` is any.
    pub fn set_data(mut self, path: &str, data: impl Into<Payload>, version: Option<i32>) -> Self {
        self.writes = self.writes.set_data(path, data, version);
        self
    }

    /// Fails the transaction unless the znode is there, with that version.
    pub fn check(mut self, path: &str, version: impl Into<Option<i32>>) -> Self {
        self.writes = self.writes.check(path, version);
        self
    }

    /// Does it; returns the results, one for each operation, in their order.
    ///
    /// # Errors
    /// As [`crate::Transaction::commit`].
    pub fn commit(self) -> Result<Vec<OpResult>, Error> {
        self.client.block_on(self.writes.commit())
    }
}

/// Reads that see the same state; as [`crate::ReadBatch`].
#[derive(Clone, Debug)]
#[must_use = "nothing is read until it is sent"]
pub struct ReadBatch<'c> {
    client: &'c Client,
    reads: transaction::ReadBatch<'c>,
}

impl ReadBatch<'_> {
    /// Reads a znode's data.
    pub fn get_data(mut self, path: &str) -> Self {
        self.reads = self.reads.get_data(path);
        self
    }

    /// Reads the names of a znode's children.
    pub fn get_children(mut self, path: &str) -> Self {
        self.reads = self.reads.get_children(path);
        self
    }

    /// Reads; returns the results, one for each read, in their order.
    ///
    /// # Errors
    /// As [`crate::ReadBatch::send`].
    pub fn send(self) -> Result<Vec<Result<ReadResult, Error>>, Error> {
        self.client.block_on(self.reads.send())
    }
}

/// The thread that serves the connection, as its clients see it.
#[derive(Debug)]
struct Reactor {
    handle: Handle,
    states: States,
    /// Tells the thread that no client is left, and how to see the session's end.
    last_states: Option<oneshot::Sender<States>>,
}

impl Drop for Reactor {
    fn drop(&mut self) {
        if let Some(last_states) = self.last_states.take() {
            // A thread that is gone needs no word.
            drop(last_states.send(self.states.clone()));
        }
    }
}

/// A thread that drives a runtime until it is told, and then until the session is over.
fn start_thread() -> std::io::Result<(Handle, oneshot::Sender<States>)> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (sender, last_states) = oneshot::channel::<States>();
    let serve = async move {
        let Ok(mut states) = last_states.await else { return };
        let over = async { while states.changed().await.is_some() {} };
        // The driver sends the request in time or not at all.
        drop(timeout(LINGER_MAX, over).await);
    };
    thread::Builder::new()
        .name("reefkeeper-client".to_owned())
        .spawn(move || runtime.block_on(serve))?;
    Ok((handle, sender))
}
