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

mod reactor;
mod transaction;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use types::{AclList, ReconfigRequest, Stat, WatcherKind};

use self::reactor::{Reactor, start_thread};
use crate::address::Host;
use crate::builder::Builder;
use crate::client;
use crate::error::{AddressError, ConnectError, Error};
use crate::response::{Acls, Children, Created, Data, Identity};
use crate::session::{SessionState, Ticket};
use crate::written::{CreateOptions, Payload};

pub use self::transaction::{ReadBatch, Transaction};
pub use self::watch::{OneShotWatch, PersistentWatch};

/// A session with an ensemble: [`crate::Client`] whose methods return when they are done.
///
/// Cheap to clone, all clones share the session. When the last one is dropped the thread closes the
/// session and ends, also if something asynchronous still uses it. At the end of a program that may be
/// too late: call [`Self::close`].
///
/// ```
/// # fixture::blocking_example(|ensemble| {
/// use reefkeeper_client::blocking::Client;
///
/// let client = Client::connect(ensemble)?;
/// let other = client.clone();
/// let counting = std::thread::spawn(move || other.get_all_children_number("/"));
/// assert!(client.exists("/zookeeper")?.is_some());
/// assert!(counting.join().is_ok_and(|count| count.is_ok()));
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    inner: client::Client,
    reactor: Arc<Reactor>,
}

impl Client {
    /// Opens a session with the servers of `host:port,host:port/chroot`; as
    /// [`crate::Client::connect`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// assert!(client.state().is_connected());
    /// # Ok(()) });
    /// ```
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
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use std::time::Duration;
    ///
    /// use reefkeeper_client::Client;
    /// use reefkeeper_client::blocking;
    ///
    /// let builder = Client::builder(ensemble).session_timeout(Duration::from_secs(20));
    /// let client = blocking::Client::open(builder)?;
    /// assert_eq!(client.session_timeout(), Duration::from_secs(20));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// When there is none in time.
    ///
    /// # Panics
    /// On a thread that runs async code.
    pub fn open(builder: Builder) -> Result<Self, ConnectError> {
        let (handle, last_word) = start_thread().map_err(|_| ConnectError::NoThread)?;
        let inner = handle.block_on(builder.connect())?;
        let reactor = Reactor { handle, client: inner.clone(), last_word: Some(last_word) };
        Ok(Self { inner, reactor: Arc::new(reactor) })
    }

    /// The client behind this one, for what is async.
    ///
    /// Its clones keep neither the thread nor the session: when the last blocking client is dropped they
    /// see [`SessionState::Closed`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// let states = client.asynchronous().states();
    /// assert!(states.current().is_connected());
    /// # Ok(()) });
    /// ```
    pub const fn asynchronous(&self) -> &client::Client {
        &self.inner
    }

    /// Runs a future to its end; it may use this client's session, and timers.
    ///
    /// What it returns may use the session, too, such as the lock of a recipe: for as long as a blocking
    /// client is there. With the last of them the session is closed, and a lock that is still held is lost
    /// and says so.
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
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::SessionState;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// assert_eq!(client.state(), SessionState::Connected);
    /// # Ok(()) });
    /// ```
    pub fn state(&self) -> SessionState {
        self.inner.state()
    }

    /// What resumes the session in another process.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// println!("session {}", client.ticket().expect("connected").id);
    /// # Ok(()) });
    /// ```
    pub fn ticket(&self) -> Option<Ticket> {
        self.inner.ticket()
    }

    /// The timeout that the server decided on.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// println!("without a word it lasts {:?}", client.session_timeout());
    /// # Ok(()) });
    /// ```
    pub fn session_timeout(&self) -> Duration {
        self.inner.session_timeout()
    }

    /// The server that serves the session now; as [`crate::Client::server`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble.as_str())?;
    /// assert_eq!(client.server(), Some(ensemble.parse()?));
    /// # Ok(()) });
    /// ```
    pub fn server(&self) -> Option<Host> {
        self.inner.server()
    }

    /// Replaces the list of servers; as [`crate::Client::update_hosts`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble.as_str())?;
    /// client.update_hosts(["localhost:2999".parse()?, ensemble.parse()?])?;
    /// assert!(client.exists("/zookeeper")?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn update_hosts(&self, hosts: impl IntoIterator<Item = Host>) -> Result<(), AddressError> {
        self.inner.update_hosts(hosts)
    }

    /// Waits until the session is in another state than the given one; returns that.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::SessionState;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// let other = client.clone();
    /// let waiting = std::thread::spawn(move || other.wait_for_change(SessionState::Connected));
    /// client.close()?;
    /// assert_eq!(waiting.join().ok(), Some(SessionState::Closed));
    /// # Ok(()) });
    /// ```
    pub fn wait_for_change(&self, of: SessionState) -> SessionState {
        let mut states = self.inner.states();
        self.block_on(async {
            while states.current() == of && states.changed().await.is_some() {}
            states.current()
        })
    }

    /// Creates a znode; as [`crate::Client::create`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// let job = client.create("/job-", "", CreateMode::PersistentSequential)?;
    /// assert_eq!(job.path, "/job-0000000000");
    /// # Ok(()) });
    /// ```
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
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.create("/job", "to do", CreateMode::Persistent)?;
    /// client.delete("/job", None)?;
    /// assert!(client.exists("/job")?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn delete(&self, path: &str, version: Option<i32>) -> Result<(), Error> {
        self.block_on(self.inner.delete(path, version))
    }

    /// Asks for a znode; as [`crate::Client::exists`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// assert!(client.exists("/zookeeper")?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn exists(&self, path: &str) -> Result<Option<Stat>, Error> {
        self.block_on(self.inner.exists(path))
    }

    /// Reads a znode's data; as [`crate::Client::get_data`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.create("/job", "to do", CreateMode::Persistent)?;
    /// assert_eq!(client.get_data("/job")?.bytes(), b"to do");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn get_data(&self, path: &str) -> Result<Data, Error> {
        self.block_on(self.inner.get_data(path))
    }

    /// Sets a znode's data; as [`crate::Client::set_data`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.create("/job", "to do", CreateMode::Persistent)?;
    /// assert_eq!(client.set_data("/job", "done", Some(0))?.version, 1);
    /// # Ok(()) });
    /// ```
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
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::AclList;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// assert_eq!(client.get_acl("/")?.acl, AclList::open());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn get_acl(&self, path: &str) -> Result<Acls, Error> {
        self.block_on(self.inner.get_acl(path))
    }

    /// Sets a znode's access control list; as [`crate::Client::set_acl`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::{AclList, CreateMode};
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.create("/job", "to do", CreateMode::Persistent)?;
    /// client.set_acl("/job", AclList::read_only(), None)?;
    /// assert!(client.delete("/job", None).is_ok(), "that is a matter of the parent");
    /// # Ok(()) });
    /// ```
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
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// assert_eq!(client.get_children("/")?.names, ["zookeeper"]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn get_children(&self, path: &str) -> Result<Children, Error> {
        self.block_on(self.inner.get_children(path))
    }

    /// Counts the znodes below one; as [`crate::Client::get_all_children_number`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.ensure("/jobs/mow", CreateMode::Persistent)?;
    /// assert_eq!(client.get_all_children_number("/jobs")?, 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn get_all_children_number(&self, path: &str) -> Result<usize, Error> {
        self.block_on(self.inner.get_all_children_number(path))
    }

    /// Reads the paths of this session's ephemeral znodes; as [`crate::Client::get_ephemerals`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.create("/here", "", CreateMode::Ephemeral)?;
    /// assert_eq!(client.get_ephemerals("/")?, ["/here"]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn get_ephemerals(&self, prefix: &str) -> Result<Vec<String>, Error> {
        self.block_on(self.inner.get_ephemerals(prefix))
    }

    /// Waits until the server has caught up; as [`crate::Client::sync`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.sync("/")?;
    /// // Whatever others had written before is seen from here on.
    /// println!("{:?}", client.get_children("/")?.names);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn sync(&self, path: &str) -> Result<(), Error> {
        self.block_on(self.inner.sync(path))
    }

    /// Asks who the server takes this client for; as [`crate::Client::whoami`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// assert!(client.whoami()?.iter().any(|identity| identity.scheme == "ip"));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn whoami(&self) -> Result<Vec<Identity>, Error> {
        self.block_on(self.inner.whoami())
    }

    /// Asks whether this client's connection has such a watch; as [`crate::Client::has_watch`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::WatcherKind;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// assert!(!client.has_watch("/", WatcherKind::Any)?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn has_watch(&self, path: &str, kind: WatcherKind) -> Result<bool, Error> {
        self.block_on(self.inner.has_watch(path, kind))
    }

    /// Removes all watches of a kind at a path; as [`crate::Client::remove_watches`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::{WatchMode, WatcherKind};
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// let mut changes = client.add_watch("/", WatchMode::Persistent)?;
    /// client.remove_watches("/", WatcherKind::Any)?;
    /// assert_eq!(changes.next(), None);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn remove_watches(&self, path: &str, kind: WatcherKind) -> Result<(), Error> {
        self.block_on(self.inner.remove_watches(path, kind))
    }

    /// Presents credentials, now and on every later connection; as [`crate::Client::add_auth`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.add_auth("digest", "alice:secret")?;
    /// assert!(client.whoami()?.iter().any(|identity| identity.user == "alice"));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn add_auth(&self, scheme: &str, auth: impl Into<Vec<u8>>) -> Result<(), Error> {
        self.block_on(self.inner.add_auth(scheme, auth))
    }

    /// Reads the membership of the ensemble; as [`crate::Client::config`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// println!("{}", String::from_utf8_lossy(client.config()?.bytes()));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn config(&self) -> Result<Data, Error> {
        self.block_on(self.inner.config())
    }

    /// Changes the membership of the ensemble; as [`crate::Client::reconfig`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::ReconfigRequest;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// let leaving = Some("3".into());
    /// let request = ReconfigRequest { joining: None, leaving, new_members: None, based_on: None };
    /// match client.reconfig(request) {
    ///     Ok(members) => println!("{}", String::from_utf8_lossy(members.bytes())),
    ///     Err(error) => println!("it may not be changed here: {error}"),
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn reconfig(&self, request: ReconfigRequest<'_>) -> Result<Data, Error> {
        self.block_on(self.inner.reconfig(request))
    }

    /// Creates a znode and those above it, unless they are there; as [`crate::Client::ensure`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.ensure("/jobs/garden/mow", CreateMode::Persistent)?;
    /// assert!(client.exists("/jobs/garden")?.is_some());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn ensure(&self, path: &str, options: impl Into<CreateOptions>) -> Result<(), Error> {
        self.block_on(self.inner.ensure(path, options))
    }

    /// Lists a znode and everything below it; as [`crate::Client::list_subtree`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.ensure("/jobs/mow", CreateMode::Persistent)?;
    /// assert_eq!(client.list_subtree("/jobs")?, ["/jobs", "/jobs/mow"]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn list_subtree(&self, path: &str) -> Result<Vec<String>, Error> {
        self.block_on(self.inner.list_subtree(path))
    }

    /// Deletes a znode and everything below it; as [`crate::Client::delete_subtree`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.ensure("/jobs/mow", CreateMode::Persistent)?;
    /// client.delete_subtree("/jobs")?;
    /// assert!(client.exists("/jobs")?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn delete_subtree(&self, path: &str) -> Result<(), Error> {
        self.block_on(self.inner.delete_subtree(path))
    }

    /// Waits until a server serves the session; as [`crate::Client::connected`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.connected()?;
    /// assert!(client.state().is_connected());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn connected(&self) -> Result<(), Error> {
        self.block_on(self.inner.connected())
    }

    /// Waits until a server that serves writes serves the session; as [`crate::Client::writable`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::SessionState;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.writable()?;
    /// assert_eq!(client.state(), SessionState::Connected);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn writable(&self) -> Result<(), Error> {
        self.block_on(self.inner.writable())
    }

    /// Closes the session: its ephemeral znodes vanish at once; as [`crate::Client::close`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.close()?;
    /// assert!(client.exists("/").is_err());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn close(&self) -> Result<(), Error> {
        self.block_on(self.inner.close())
    }

    /// Closes the session, but tries so long at most; as [`crate::Client::close_within`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use std::time::Duration;
    ///
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.close_within(Duration::from_secs(5))?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// The same.
    pub fn close_within(&self, limit: Duration) -> Result<(), Error> {
        self.block_on(self.inner.close_within(limit))
    }

    /// Leaves the session without closing it; as [`crate::Client::detach`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble.as_str())?;
    /// let ticket = client.detach().expect("connected");
    /// let builder = reefkeeper_client::Client::builder(ensemble).resume(ticket.clone());
    /// assert_eq!(Client::open(builder)?.ticket(), Some(ticket));
    /// # Ok(()) });
    /// ```
    pub fn detach(self) -> Option<Ticket> {
        self.inner.clone().detach()
    }
}
