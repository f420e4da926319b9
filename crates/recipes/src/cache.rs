//! A copy of a part of the tree that follows its changes.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use reefkeeper_client::{
    Change, Client, Data, Error as ClientError, ErrorCode, EventKind, SessionState, Sessions,
    States, WatchEvent, WatchMode, Zxid,
};
use tokio::sync::{broadcast, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, warn};

use crate::error::Error;
use crate::mutant;
use crate::passing::is_not_read_only;
use crate::tree_path::{child, parent};

/// Events kept for a subscriber that does not take them; what comes on top is told as one gap.
const EVENTS_MAX: usize = 1024;

/// Znodes that are read at the same time.
const READS_MAX: usize = 128;

/// Which znodes a cache has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scope {
    /// One.
    Node,
    /// The children of one, and not that itself.
    Children,
    /// One and everything below it.
    Tree,
}

/// A znode in a cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Where it is.
    pub path: String,
    /// What it holds.
    pub data: Data,
}

/// How new what a cache has is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// Nothing was read yet.
    Loading,
    /// A server tells it of every change.
    Fresh,
    /// The connection is lost: there may be changes that it does not know of.
    Stale,
    /// It follows no changes anymore: this error ended it.
    Over(Error),
}

/// A change of what a cache has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CacheEvent {
    /// A znode came.
    Added(Arc<Entry>),
    /// The data of a znode changed.
    Changed {
        /// What it was.
        before: Arc<Entry>,
        /// What it is.
        after: Arc<Entry>,
    },
    /// A znode went; what it was.
    Removed(Arc<Entry>),
    /// The subscriber was too slow: events are missing here. What the cache has is complete.
    Missed,
}

/// A copy of a part of the tree that follows its changes, from a task of its own.
///
/// It has a state that the tree was in, or several mixed: each znode is as it was at some moment, never
/// goes back, and is up to date soon after the last change. Values between two changes may be skipped.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::{Client, CreateMode};
/// use reefkeeper_recipes::{Cache, CacheEvent};
///
/// let client = Client::connect(ensemble).await?;
/// client.ensure("/app/colors", CreateMode::Persistent).await?;
/// let cache = Cache::of_tree(&client, "/app");
/// cache.synced().await?;
/// assert!(cache.get("/app/colors").is_some());
///
/// let mut events = cache.events();
/// client.set_data("/app/colors", "blue", None).await?;
/// let Some(CacheEvent::Changed { after, .. }) = events.next().await else { panic!() };
/// assert_eq!(after.data.bytes(), b"blue");
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// - *The connection is lost*: the cache keeps what it has and is [`Freshness::Stale`]. When a server is
///   found it reads everything again, and tells the difference as events.
/// - *The session expires*: the same, in the next one, if the [`Sessions`] are renewed.
/// - *A znode may not be read*: the cache does not have it, and need not have what is below it.
/// - *The server has no quorum*, and the client was built to be content with that: the cache has what that
///   server knows, which may be older than what the session before has seen.
///
/// Needs servers of release 3.6 or newer, for its watch stays set. As Curator's `CuratorCache`, which
/// replaced its `NodeCache`, `PathChildrenCache` and `TreeCache`.
#[derive(Debug)]
pub struct Cache {
    shared: Arc<Shared>,
    freshness: watch::Receiver<Freshness>,
    task: JoinHandle<()>,
}

impl Cache {
    /// A cache of one znode, which need not exist.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn of_node(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        Self::start(sessions.into(), path.into(), Scope::Node)
    }

    /// A cache of the children of a znode, without that znode, which need not exist.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn of_children(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        Self::start(sessions.into(), path.into(), Scope::Children)
    }

    /// A cache of a znode, which need not exist, and everything below it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn of_tree(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        Self::start(sessions.into(), path.into(), Scope::Tree)
    }

    fn start(sessions: Sessions, path: String, scope: Scope) -> Self {
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let (freshness_sender, freshness) = watch::channel(Freshness::Loading);
        let shared = Arc::new(Shared { entries: RwLock::default(), events });
        let follower = Follower {
            sessions,
            path,
            scope,
            shared: Arc::clone(&shared),
            freshness: freshness_sender,
        };
        Self { shared, freshness, task: tokio::spawn(follower.run()) }
    }

    /// Waits until it has everything, as far as its server knows; also after a lost connection.
    ///
    /// # Errors
    /// What ended it.
    pub async fn synced(&self) -> Result<(), Error> {
        let mut freshness = self.freshness.clone();
        loop {
            match &*freshness.borrow_and_update() {
                Freshness::Fresh => return Ok(()),
                Freshness::Over(error) => return Err(error.clone()),
                Freshness::Loading | Freshness::Stale => {}
            }
            if freshness.changed().await.is_err() {
                return Err(ClientError::Closed.into());
            }
        }
    }

    /// Waits until it is not fresh: now, or when the connection is lost.
    pub(crate) async fn stale(&self) {
        let mut freshness = self.freshness.clone();
        // Who is over is not fresh.
        drop(freshness.wait_for(|freshness| *freshness != Freshness::Fresh).await);
    }

    /// How new what it has is.
    pub fn freshness(&self) -> Freshness {
        self.freshness.borrow().clone()
    }

    /// A znode, if it has it.
    pub fn get(&self, path: &str) -> Option<Arc<Entry>> {
        self.shared.read().get(path).cloned()
    }

    /// All znodes that it has, in the order of their paths.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.shared.read().values().cloned().collect()
    }

    /// The names of the children of a znode, as far as it has them, in order.
    pub fn children(&self, path: &str) -> Vec<String> {
        let entries = self.shared.read();
        let below = if path == "/" { path.to_owned() } else { format!("{path}/") };
        let paths = entries.range(below.clone()..).map(|(path, _)| path);
        let names = paths.map_while(|path| path.strip_prefix(&below));
        names.filter(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned).collect()
    }

    /// The changes from now on.
    pub fn events(&self) -> CacheEvents {
        CacheEvents { events: self.shared.events.subscribe(), freshness: self.freshness.clone() }
    }

    /// What it has, and the changes of that: none is missing between the two.
    pub fn entries_and_events(&self) -> (Vec<Arc<Entry>>, CacheEvents) {
        // Events are sent by who holds the other end of this lock.
        let entries = self.shared.read();
        (entries.values().cloned().collect(), self.events())
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The changes of a [`Cache`], one after another.
#[derive(Debug)]
pub struct CacheEvents {
    events: broadcast::Receiver<CacheEvent>,
    freshness: watch::Receiver<Freshness>,
}

impl CacheEvents {
    /// Waits for the next change; `None` when the cache is dropped or over.
    pub async fn next(&mut self) -> Option<CacheEvent> {
        tokio::select! {
            // What was told before the end comes before it.
            biased;
            event = self.events.recv() => match event {
                Ok(event) => Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => Some(CacheEvent::Missed),
                Err(broadcast::error::RecvError::Closed) => None,
            },
            _ = self.freshness.wait_for(|freshness| matches!(freshness, Freshness::Over(_))) => None,
        }
    }
}

type Entries = BTreeMap<String, Arc<Entry>>;

/// What the task fills in and the owner reads.
#[derive(Debug)]
struct Shared {
    entries: RwLock<Entries>,
    events: broadcast::Sender<CacheEvent>,
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        // Nothing panics while it is held for writing.
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: CacheEvent) {
        // Nobody may be listening.
        drop(self.events.send(event));
    }

    fn put(&self, path: &str, data: Data) {
        let mut entries = self.write();
        let after = Arc::new(Entry { path: path.to_owned(), data });
        match entries.insert(path.to_owned(), Arc::clone(&after)) {
            None => self.tell(CacheEvent::Added(after)),
            Some(before) if before.data.stat.mzxid != after.data.stat.mzxid => {
                self.tell(CacheEvent::Changed { before, after });
            }
            // Only its children changed.
            Some(_) => {}
        }
    }

    fn remove(&self, path: &str) {
        if let Some(before) = self.write().remove(path) {
            self.tell(CacheEvent::Removed(before));
        }
    }

    /// Removes what was there before that transaction deleted it; not what was read of the time after it.
    fn remove_as_of(&self, path: &str, deleted: Zxid) {
        let is_gone = |entry: &Arc<Entry>| entry.data.stat.czxid < deleted;
        if self.read().get(path).is_some_and(is_gone) {
            self.remove(path);
        }
    }

    /// Removes everything that is not among these.
    fn retain(&self, paths: &BTreeSet<String>) {
        let gone: Vec<String> =
            self.read().keys().filter(|path| !paths.contains(*path)).cloned().collect();
        for path in gone.iter().rev() {
            self.remove(path);
        }
    }
}

/// The task.
struct Follower {
    sessions: Sessions,
    path: String,
    scope: Scope,
    shared: Arc<Shared>,
    freshness: watch::Sender<Freshness>,
}

impl Follower {
    async fn run(self) {
        let mut is_renewed = false;
        loop {
            let client = self.sessions.current();
            match self.follow(&client, is_renewed).await {
                Ok(()) => {
                    debug!(path = %self.path, "sets the watch of a cache again");
                    self.show_stale();
                }
                Err(error) if self.sessions.go_on_after(&error) => {
                    is_renewed = true;
                    self.show_stale();
                }
                Err(error) => {
                    warn!(path = %self.path, %error, "a cache follows no changes anymore");
                    self.freshness.send_replace(Freshness::Over(error.into()));
                    return;
                }
            }
        }
    }

    /// Follows the changes until the watch ends. Whether the connection is lost is seen to all the time, for
    /// whatever is read may wait for a server.
    async fn follow(&self, client: &Client, is_renewed: bool) -> Result<(), ClientError> {
        tokio::select! {
            outcome = self.follow_changes(client, is_renewed) => outcome,
            never = self.show_lost_connections(client.states()) => match never {},
        }
    }

    async fn show_lost_connections(&self, mut states: States) -> Infallible {
        loop {
            // It is fresh again when everything was read again.
            if !states.current().is_connected() {
                self.show_stale();
            }
            if states.changed().await.is_none() {
                // The end of the session ends what is read.
                std::future::pending::<()>().await;
            }
        }
    }

    async fn follow_changes(&self, client: &Client, is_renewed: bool) -> Result<(), ClientError> {
        let mode = match self.scope {
            Scope::Node => WatchMode::Persistent,
            Scope::Children | Scope::Tree => WatchMode::PersistentRecursive,
        };
        let mut watch = client.patiently(|| client.add_watch(&self.path, mode)).await?;
        if is_renewed && !mutant::active(47) {
            // A session is served by who knows what it has seen; of what the one before it has seen, nobody knows.
            synced_unless_read_only(client, &self.path).await?;
        }
        self.load(client).await?;
        loop {
            match watch.next().await {
                Some(Change::Event(event)) => self.on_event(client, &event).await?,
                Some(Change::Gap) => self.load(client).await?,
                None => return client.connected().await,
            }
        }
    }

    /// What was never fresh is not stale.
    fn show_stale(&self) {
        self.freshness.send_if_modified(|freshness| {
            let is_fresh = *freshness == Freshness::Fresh;
            if is_fresh {
                *freshness = Freshness::Stale;
            }
            is_fresh
        });
    }

    async fn on_event(&self, client: &Client, event: &WatchEvent) -> Result<(), ClientError> {
        let is_in_scope = match self.scope {
            Scope::Node => event.path == self.path,
            Scope::Children => event.path != self.path && parent(&event.path) == self.path,
            Scope::Tree => true,
        };
        if !is_in_scope {
            return Ok(());
        }
        match (event.kind, event.zxid) {
            // What was read for an event before may be the znode that came after this one had gone.
            (EventKind::NodeDeleted, Some(deleted)) => {
                self.shared.remove_as_of(&event.path, deleted);
            }
            (EventKind::NodeCreated | EventKind::NodeDataChanged | EventKind::NodeDeleted, _) => {
                match read(client, &event.path).await? {
                    Some(data) => self.shared.put(&event.path, data),
                    None => self.shared.remove(&event.path),
                }
            }
            (EventKind::NodeChildrenChanged, _) => {}
        }
        Ok(())
    }

    /// Reads everything, and tells what has changed since the last time.
    async fn load(&self, client: &Client) -> Result<(), ClientError> {
        let mut states = client.states();
        // Only what comes after this matters.
        has_moved(&mut states).await;
        let paths = self.list(client).await?;
        let mut found = BTreeSet::new();
        for some in paths.chunks(READS_MAX) {
            let mut reads = JoinSet::new();
            for path in some {
                let (client, path) = (client.clone(), path.clone());
                reads.spawn(async move { (read(&client, &path).await, path) });
            }
            while let Some(outcome) = reads.join_next().await {
                // They do not panic, and end only with this future.
                let Ok((data, path)) = outcome else { continue };
                if let Some(data) = data? {
                    self.shared.put(&path, data);
                    found.insert(path);
                }
            }
        }
        if !mutant::active(23) {
            self.shared.retain(&found);
        }
        // Of changes between two connections no watch tells: a gap follows, and everything is read again.
        if !has_moved(&mut states).await {
            self.freshness.send_replace(Freshness::Fresh);
        }
        Ok(())
    }

    /// The paths of all znodes in scope.
    async fn list(&self, client: &Client) -> Result<Vec<String>, ClientError> {
        match self.scope {
            Scope::Node => Ok(vec![self.path.clone()]),
            Scope::Children => children(client, &self.path).await,
            Scope::Tree => self.list_tree(client).await,
        }
    }

    /// As [`Client::list_subtree`], but without what is below znodes that may not be read.
    async fn list_tree(&self, client: &Client) -> Result<Vec<String>, ClientError> {
        let mut listed = vec![self.path.clone()];
        let mut next = 0;
        while next < listed.len() {
            let mut lists = JoinSet::new();
            for path in listed.iter().skip(next).take(READS_MAX) {
                let (client, path) = (client.clone(), path.clone());
                lists.spawn(async move { children(&client, &path).await });
            }
            next += lists.len();
            while let Some(outcome) = lists.join_next().await {
                // They do not panic, and end only with this future.
                let Ok(children) = outcome else { continue };
                listed.extend(children?);
            }
        }
        Ok(listed)
    }
}

/// Waits until this session knows what the leader does, if it is one of a server that can ask the leader.
async fn synced_unless_read_only(client: &Client, path: &str) -> Result<(), ClientError> {
    loop {
        client.connected().await?;
        if client.state() == SessionState::ConnectedReadOnly {
            return Ok(());
        }
        match client.sync(path).await {
            Err(error) if is_not_read_only(&error) => return Ok(()),
            Err(error) if error.is_transient() => {}
            outcome => return outcome,
        }
    }
}

/// Whether the connection was lost, or found, since this was asked last.
async fn has_moved(states: &mut States) -> bool {
    tokio::select! {
        biased;
        // Without a pause for others, which would look as if nothing had happened.
        _ = tokio::task::unconstrained(states.changed()) => true,
        () = std::future::ready(()) => false,
    }
}

/// The paths of the children of a znode; none if it is not there, or may not be read.
async fn children(client: &Client, path: &str) -> Result<Vec<String>, ClientError> {
    match client.patiently(|| client.get_children(path)).await {
        Ok(children) => Ok(children.names.iter().map(|name| child(path, name)).collect()),
        Err(ClientError::Refused(ErrorCode::NoNode | ErrorCode::NoAuth)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Reads a znode; `None` if there is none, or it may not be read.
async fn read(client: &Client, path: &str) -> Result<Option<Data>, ClientError> {
    match client.patiently(|| client.get_data(path)).await {
        Ok(data) => Ok(Some(data)),
        Err(ClientError::Refused(ErrorCode::NoNode | ErrorCode::NoAuth)) => Ok(None),
        Err(error) => Err(error),
    }
}
