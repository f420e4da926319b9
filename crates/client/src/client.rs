//! The handle that applications hold.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tracing::{Instrument, debug};
use types::{
    AclList, AuthPacket, ErrorCode, Op, Read, ReconfigRequest, Stat, WatchMode, WatcherKind, Write,
    path,
};

use crate::address::Host;
use crate::builder::Builder;
use crate::driver::{Call, Command, Status};
use crate::error::{ConnectError, Error};
use crate::response::{Acls, Children, Created, Data, Identity, Response};
use crate::session::{RequestId, SessionState};
use crate::span;
use crate::told::Told;
use crate::transaction::{ReadBatch, Transaction};
use crate::watch::{self as watches, OneShotWatch, PersistentWatch, WatchSender};
use crate::written::{CreateOptions, Payload};

/// A session with an ensemble; cheap to clone, all clones share the session.
///
/// Operations are sent in the order in which their futures are first polled, without waiting for
/// one another; answers come in that order too. A future that is dropped after that does not take
/// its operation back.
///
/// The session is closed by [`Self::close`], or when the last clone and the last watch are dropped.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::{Client, CreateMode};
///
/// let client = Client::connect(ensemble).await?;
/// let mut counts = Vec::new();
/// for path in ["/apples", "/pears"] {
///     let client = client.clone();
///     counts.push(tokio::spawn(async move {
///         client.create(path, "3", CreateMode::Persistent).await?;
///         client.get_data(path).await
///     }));
/// }
/// for count in counts {
///     assert_eq!(count.await??.bytes(), b"3");
/// }
/// println!("{client:?}");
/// # Ok(()) });
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { state, ticket, timeout, server } = &*self.shared.status.borrow();
        f.debug_struct("Client")
            .field("state", state)
            .field("session", &ticket.as_ref().map(|ticket| ticket.id))
            .field("timeout", timeout)
            .field("server", &server.as_ref().map(Host::to_string))
            .finish_non_exhaustive()
    }
}

/// What all clones share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    /// One for each request under way; the driver gives them back.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) status: watch::Receiver<Status>,
    /// For the session that follows, if any.
    pub(crate) told: Arc<Told>,
    pub(crate) last_id: AtomicU64,
    pub(crate) request_timeout: Option<Duration>,
    /// Of what is created without a list of its own.
    pub(crate) default_acl: AclList,
}

/// The answer is of the kind that the operation has: the session decodes it by what was asked.
macro_rules! expect_response {
    ($response:expr, $pattern:pat => $value:expr) => {
        match $response? {
            $pattern => Ok($value),
            other => unreachable!("the session decodes by what was asked, not {other:?}"),
        }
    };
}
pub(crate) use expect_response;

impl Client {
    /// Opens a session with the servers of `host:port,host:port/chroot`.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::connect(format!("{ensemble},{ensemble}/my-app")).await?;
    /// assert!(client.state().is_connected());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// When no server takes the session within 30 seconds.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub async fn connect(ensemble: impl Into<String>) -> Result<Self, ConnectError> {
        Self::builder(ensemble).connect().await
    }

    /// Settings beyond the names of the servers; see [`Builder`].
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use std::time::Duration;
    ///
    /// use reefkeeper_client::Client;
    ///
    /// let asked = Duration::from_secs(20);
    /// let client = Client::builder(ensemble).session_timeout(asked).connect().await?;
    /// assert_eq!(client.session_timeout(), asked);
    /// # Ok(()) });
    /// ```
    pub fn builder(ensemble: impl Into<String>) -> Builder {
        Builder::new(ensemble)
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Creates a znode.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// let job = client.create("/job-", "mow the lawn", CreateMode::PersistentSequential).await?;
    /// assert_eq!(job.path, "/job-0000000000");
    /// println!("created by the transaction {}", job.stat.czxid);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::NodeExists`], [`ErrorCode::NoNode`] without a parent,
    /// [`ErrorCode::NoChildrenForEphemerals`], and those of every operation.
    pub async fn create(
        &self,
        path: &str,
        data: impl Into<Payload>,
        options: impl Into<CreateOptions>,
    ) -> Result<Created, Error> {
        let create = options.into().into_create(path, data.into(), self.default_acl());
        let response = self.call(Op::Write(Write::Create(create))).await;
        expect_response!(response, Response::Created { path, stat: Some(stat) } => Created { path, stat })
    }

    /// Deletes a znode, if it has that version; `None` is any.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode, Error, ErrorCode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.create("/job", "", CreateMode::Persistent).await?;
    /// assert_eq!(client.delete("/job", Some(7)).await, Err(Error::Refused(ErrorCode::BadVersion)));
    /// client.delete("/job", None).await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::NoNode`], [`ErrorCode::NotEmpty`], [`ErrorCode::BadVersion`], and those of
    /// every operation.
    pub async fn delete(&self, path: &str, version: Option<i32>) -> Result<(), Error> {
        let response = self.call(Op::Write(Write::Delete { path: owned(path), version })).await;
        expect_response!(response, Response::Done => ())
    }

    /// Asks for a znode; `None` if there is none.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::connect(ensemble).await?;
    /// assert!(client.exists("/zookeeper").await?.is_some());
    /// assert!(client.exists("/missing").await?.is_none());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of every operation.
    pub async fn exists(&self, path: &str) -> Result<Option<Stat>, Error> {
        let op = Op::Read(Read::Exists { path: owned(path), watch: false });
        found(self.call(op).await)
    }

    /// As [`Self::exists`], with a watch for its creation, its deletion or its data.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// let (stat, created) = client.exists_and_watch("/job").await?;
    /// assert!(stat.is_none());
    /// client.create("/job", "", CreateMode::Persistent).await?;
    /// println!("{:?}", created.await?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of every operation.
    pub async fn exists_and_watch(
        &self,
        path: &str,
    ) -> Result<(Option<Stat>, OneShotWatch), Error> {
        let op = Op::Read(Read::Exists { path: owned(path), watch: true });
        let (response, watch) = self.call_and_watch(op).await;
        Ok((found(response)?, watch))
    }

    /// Reads a znode's data.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.create("/job", "mow the lawn", CreateMode::Persistent).await?;
    /// let data = client.get_data("/job").await?;
    /// assert_eq!((data.bytes(), data.stat.version), (b"mow the lawn".as_slice(), 0));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::NoNode`], and those of every operation.
    pub async fn get_data(&self, path: &str) -> Result<Data, Error> {
        let op = Op::Read(Read::GetData { path: owned(path), watch: false });
        expect_response!(self.call(op).await, Response::Data(data) => data)
    }

    /// As [`Self::get_data`], with a watch for the data and for its deletion.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode, EventKind};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.create("/job", "to do", CreateMode::Persistent).await?;
    /// let (data, changed) = client.get_data_and_watch("/job").await?;
    /// client.set_data("/job", "done", Some(data.stat.version)).await?;
    /// assert_eq!(changed.await?.kind, EventKind::NodeDataChanged);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::NoNode`], and those of every operation; there is no watch then.
    pub async fn get_data_and_watch(&self, path: &str) -> Result<(Data, OneShotWatch), Error> {
        let op = Op::Read(Read::GetData { path: owned(path), watch: true });
        let (response, watch) = self.call_and_watch(op).await;
        expect_response!(response, Response::Data(data) => (data, watch))
    }

    /// Sets a znode's data, if it has that version; `None` is any.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.create("/job", "to do", CreateMode::Persistent).await?;
    /// let data = client.get_data("/job").await?;
    /// let stat = client.set_data("/job", "done", Some(data.stat.version)).await?;
    /// assert_eq!(stat.version, 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::NoNode`], [`ErrorCode::BadVersion`], and those of every operation.
    pub async fn set_data(
        &self,
        path: &str,
        data: impl Into<Payload>,
        version: Option<i32>,
    ) -> Result<Stat, Error> {
        let data = data.into().into_op();
        let op = Op::Write(Write::SetData { path: owned(path), data, version });
        expect_response!(self.call(op).await, Response::Stat(stat) => stat)
    }

    /// Reads a znode's access control list.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::connect(ensemble).await?;
    /// let acls = client.get_acl("/").await?;
    /// assert_eq!(acls.acl[0].to_string(), "world:anyone:31");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::NoNode`], and those of every operation.
    pub async fn get_acl(&self, path: &str) -> Result<Acls, Error> {
        let op = Op::Read(Read::GetAcl { path: owned(path) });
        expect_response!(self.call(op).await, Response::Acl(acls) => acls)
    }

    /// Sets a znode's access control list, if the list has that version; `None` is any.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{AclList, Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.create("/news", "", CreateMode::Persistent).await?;
    /// let stat = client.set_acl("/news", AclList::read_only(), Some(0)).await?;
    /// assert_eq!(stat.aversion, 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::NoNode`], [`ErrorCode::BadVersion`], [`ErrorCode::InvalidAcl`], and those of
    /// every operation.
    pub async fn set_acl(
        &self,
        path: &str,
        acl: impl Into<AclList>,
        version: Option<i32>,
    ) -> Result<Stat, Error> {
        let op = Op::Write(Write::SetAcl { path: owned(path), acl: acl.into(), version });
        expect_response!(self.call(op).await, Response::Stat(stat) => stat)
    }

    /// Reads the names of a znode's children.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.ensure("/jobs/mow", CreateMode::Persistent).await?;
    /// assert_eq!(client.get_children("/jobs").await?.names, ["mow"]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::NoNode`], and those of every operation.
    pub async fn get_children(&self, path: &str) -> Result<Children, Error> {
        let op = Op::Read(Read::GetChildren2 { path: owned(path), watch: false });
        children(self.call(op).await)
    }

    /// As [`Self::get_children`], with a watch for the names and for the znode's deletion.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.ensure("/jobs", CreateMode::Persistent).await?;
    /// let (children, changed) = client.get_children_and_watch("/jobs").await?;
    /// assert!(children.names.is_empty());
    /// client.create("/jobs/mow", "", CreateMode::Persistent).await?;
    /// println!("{:?}", changed.await?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::NoNode`], and those of every operation; there is no watch then.
    pub async fn get_children_and_watch(
        &self,
        path: &str,
    ) -> Result<(Children, OneShotWatch), Error> {
        let op = Op::Read(Read::GetChildren2 { path: owned(path), watch: true });
        let (response, watch) = self.call_and_watch(op).await;
        Ok((children(response)?, watch))
    }

    /// Counts the znodes below one.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.ensure("/jobs/garden/mow", CreateMode::Persistent).await?;
    /// assert_eq!(client.get_all_children_number("/jobs").await?, 2);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::NoNode`], and those of every operation.
    pub async fn get_all_children_number(&self, path: &str) -> Result<usize, Error> {
        let op = Op::Read(Read::GetAllChildrenNumber { path: owned(path) });
        expect_response!(self.call(op).await, Response::Count(count) => {
            usize::try_from(count).unwrap_or(0)
        })
    }

    /// Reads the paths of this session's ephemeral znodes that start with a text; "/" for all.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.create("/here", "", CreateMode::Ephemeral).await?;
    /// assert_eq!(client.get_ephemerals("/").await?, ["/here"]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of every operation.
    pub async fn get_ephemerals(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let op = Op::Read(Read::GetEphemerals { prefix: Some(owned(prefix)) });
        expect_response!(self.call(op).await, Response::Paths(paths) => paths)
    }

    /// Waits until the server has caught up with everything that was decided before: what is read
    /// after that is no older than this call.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.sync("/jobs").await?;
    /// // No older than what others had written before.
    /// client.exists("/jobs").await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of every operation.
    pub async fn sync(&self, path: &str) -> Result<(), Error> {
        expect_response!(self.call(Op::Sync { path: owned(path) }).await, Response::Done => ())
    }

    /// Asks who the server takes this client for.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::builder(ensemble).auth("digest", "alice:secret").connect().await?;
    /// for identity in client.whoami().await? {
    ///     println!("{} of {}", identity.user, identity.scheme);
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of every operation.
    pub async fn whoami(&self) -> Result<Vec<Identity>, Error> {
        let response = self.call(Op::Read(Read::WhoAmI)).await;
        expect_response!(response, Response::Identities(identities) => identities)
    }

    /// Begins a transaction: several writes, of which all happen or none.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, CreateMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.create("/inbox", "a letter", CreateMode::Persistent).await?;
    /// client
    ///     .transaction()
    ///     .delete("/inbox", Some(0))
    ///     .create("/archive", "a letter", CreateMode::Persistent)
    ///     .commit()
    ///     .await?;
    /// # Ok(()) });
    /// ```
    pub const fn transaction(&self) -> Transaction<'_> {
        Transaction::new(self)
    }

    /// Begins a batch of reads that see the same state.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::connect(ensemble).await?;
    /// let results = client.multi_read().get_data("/").get_children("/").send().await?;
    /// assert_eq!(results.len(), 2);
    /// # Ok(()) });
    /// ```
    pub const fn multi_read(&self) -> ReadBatch<'_> {
        ReadBatch::new(self)
    }

    /// Watches a znode until the watch is dropped; the znode need not exist.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Change, Client, CreateMode, WatchMode};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// let mut changes = client.add_watch("/jobs", WatchMode::PersistentRecursive).await?;
    /// client.ensure("/jobs/mow", CreateMode::Persistent).await?;
    /// let Some(Change::Event(event)) = changes.next().await else { panic!("a change was due") };
    /// assert_eq!(event.path, "/jobs");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of every operation.
    pub async fn add_watch(&self, path: &str, mode: WatchMode) -> Result<PersistentWatch, Error> {
        let id = self.next_id();
        let (sender, watch) = watches::persistent(id, self.shared.commands.clone());
        let op = Op::Read(Read::AddWatch { path: owned(path), mode });
        let response = self.submit(id, op, Some(sender)).await;
        expect_response!(response, Response::Done => watch)
    }

    /// Asks whether this client's connection has such a watch on the server.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, WatchMode, WatcherKind};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// let changes = client.add_watch("/jobs", WatchMode::Persistent).await?;
    /// assert!(client.has_watch("/jobs", WatcherKind::Any).await?);
    /// drop(changes);
    /// assert!(!client.has_watch("/jobs", WatcherKind::Any).await?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of every operation.
    pub async fn has_watch(&self, path: &str, kind: WatcherKind) -> Result<bool, Error> {
        let op = Op::Read(Read::CheckWatches { path: owned(path), kind });
        match self.call(op).await {
            Err(Error::Refused(ErrorCode::NoWatcher)) => Ok(false),
            response => expect_response!(response, Response::Done => true),
        }
    }

    /// Removes all watches of a kind that this client has at a path; they end.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, WatchMode, WatcherKind};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// let mut changes = client.add_watch("/", WatchMode::PersistentRecursive).await?;
    /// client.remove_watches("/", WatcherKind::Any).await?;
    /// assert_eq!(changes.next().await, None);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::NoWatcher`] if there is none, and those of every operation.
    pub async fn remove_watches(&self, path: &str, kind: WatcherKind) -> Result<(), Error> {
        let op = Op::Read(Read::RemoveWatches { path: owned(path), kind });
        expect_response!(self.call(op).await, Response::Done => ())
    }

    /// Presents credentials, now and on every later connection of this session; of [`Sessions`] also in
    /// those that follow.
    ///
    /// [`Sessions`]: crate::Sessions
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::connect(ensemble).await?;
    /// client.add_auth("digest", "alice:secret").await?;
    /// assert!(client.whoami().await?.iter().any(|identity| identity.user == "alice"));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`Error::AuthFailed`] if the server refuses them, which ends the session on this side; and
    /// those of every operation.
    pub async fn add_auth(&self, scheme: &str, auth: impl Into<Vec<u8>>) -> Result<(), Error> {
        let auth = auth.into();
        self.shared.told.credential(scheme, &auth);
        let response = self.call(auth_op(scheme.to_owned(), auth)).await;
        expect_response!(response, Response::Done => ())
    }

    /// Reads the membership of the ensemble, wherever the chroot is: a line for each server, and the
    /// version; empty on a server that is alone.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::connect(format!("{ensemble}/my-app")).await?;
    /// println!("{}", String::from_utf8_lossy(client.config().await?.bytes()));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of every operation.
    pub async fn config(&self) -> Result<Data, Error> {
        self.get_data(path::CONFIG).await
    }

    /// As [`Self::config`], with a watch for the next change of the membership.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use std::time::Duration;
    ///
    /// use reefkeeper_client::Client;
    ///
    /// let client = Client::connect(ensemble).await?;
    /// let (members, changed) = client.config_and_watch().await?;
    /// println!("{}", String::from_utf8_lossy(members.bytes()));
    /// if let Ok(event) = tokio::time::timeout(Duration::from_millis(10), changed).await {
    ///     println!("not anymore: {event:?}");
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of every operation; there is no watch then.
    pub async fn config_and_watch(&self) -> Result<(Data, OneShotWatch), Error> {
        self.get_data_and_watch(path::CONFIG).await
    }

    /// Changes the membership of the ensemble; returns the new one.
    ///
    /// ```
    /// # fixture::example(async |ensemble| {
    /// use reefkeeper_client::{Client, ReconfigRequest};
    ///
    /// let client = Client::connect(ensemble).await?;
    /// let leaving = Some("3".into());
    /// let request = ReconfigRequest { joining: None, leaving, new_members: None, based_on: None };
    /// match client.reconfig(request).await {
    ///     Ok(members) => println!("{}", String::from_utf8_lossy(members.bytes())),
    ///     Err(error) => println!("it may not be changed here: {error}"),
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::ReconfigDisabled`], [`ErrorCode::NewConfigNoQuorum`],
    /// [`ErrorCode::ReconfigInProgress`], [`ErrorCode::BadVersion`],
    /// [`ErrorCode::BadArguments`], and those of every operation.
    pub async fn reconfig(&self, request: ReconfigRequest<'_>) -> Result<Data, Error> {
        let op = Op::Write(Write::Reconfig(Box::new(request.into_owned())));
        expect_response!(self.call(op).await, Response::Data(data) => data)
    }

    /// Asks for something and waits for the answer.
    pub(crate) async fn call(&self, op: Op<'static>) -> Result<Response, Error> {
        self.submit(self.next_id(), op, None).await
    }

    async fn call_and_watch(&self, op: Op<'static>) -> (Result<Response, Error>, OneShotWatch) {
        let id = self.next_id();
        let (sender, watch) = watches::one_shot(id, self.shared.commands.clone());
        (self.submit(id, op, Some(sender)).await, watch)
    }

    async fn submit(
        &self,
        id: RequestId,
        op: Op<'static>,
        watch: Option<WatchSender>,
    ) -> Result<Response, Error> {
        let may_have_happened = matches!(op, Op::Write(_) | Op::CloseSession);
        let span = span::of_request(&op);
        let answered = self.submit_unlimited(id, op, watch);
        let limited = async {
            let outcome = match self.shared.request_timeout {
                None => answered.await,
                Some(limit) => match tokio::time::timeout(limit, answered).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(Error::TimedOut { may_have_happened }),
                },
            };
            if let Err(error) = &outcome {
                debug!(%error, "no result");
            }
            outcome
        };
        limited.instrument(span).await
    }

    async fn submit_unlimited(
        &self,
        id: RequestId,
        op: Op<'static>,
        watch: Option<WatchSender>,
    ) -> Result<Response, Error> {
        let (answer, answered) = oneshot::channel();
        let permit = self.shared.permits.acquire().await.map_err(|_| self.end())?;
        let call = Call { id, op, answer, watch };
        if self.shared.commands.send(Command::Request(call)).is_err() {
            return Err(self.end());
        }
        // The driver gives it back when the request is done, whoever waits for it then.
        permit.forget();
        answered.await.unwrap_or_else(|_| Err(self.end()))
    }

    /// Presents credentials before the driver runs; their refusal shows as the session's state.
    pub(crate) fn present(&self, scheme: String, auth: Vec<u8>) {
        let (answer, _) = oneshot::channel();
        let call = Call { id: self.next_id(), op: auth_op(scheme, auth), answer, watch: None };
        // The driver holds the other end until it has run.
        drop(self.shared.commands.send(Command::Request(call)));
    }

    pub(crate) fn default_acl(&self) -> &AclList {
        &self.shared.default_acl
    }

    /// Why there is no driver.
    pub(crate) fn end(&self) -> Error {
        match self.state() {
            SessionState::Expired => Error::SessionExpired,
            SessionState::AuthFailed => Error::AuthFailed,
            SessionState::Closed
            | SessionState::Connecting
            | SessionState::Connected
            | SessionState::ConnectedReadOnly
            | SessionState::Disconnected => Error::Closed,
        }
    }

    fn next_id(&self) -> RequestId {
        RequestId(self.shared.last_id.fetch_add(1, Ordering::Relaxed))
    }
}

fn owned(path: &str) -> Cow<'static, str> {
    Cow::Owned(path.to_owned())
}

fn auth_op(scheme: String, auth: Vec<u8>) -> Op<'static> {
    Op::Auth(AuthPacket { scheme: Cow::Owned(scheme), auth: Some(Cow::Owned(auth)) })
}

fn found(response: Result<Response, Error>) -> Result<Option<Stat>, Error> {
    match response {
        Err(Error::Refused(ErrorCode::NoNode)) => Ok(None),
        response => expect_response!(response, Response::Stat(stat) => Some(stat)),
    }
}

fn children(response: Result<Response, Error>) -> Result<Children, Error> {
    expect_response!(response, Response::Children { names, stat: Some(stat) } => {
        Children { names, stat }
    })
}
