//! Watches that hold up the thread that waits for them.

use std::time::Duration;

use tokio::time::timeout;
use types::{Stat, WatchMode};

use super::Client;
use crate::error::Error;
use crate::response::{Children, Data};
use crate::session::WatchEvent;
use crate::watch::{self, Change};

impl Client {
    /// As [`Self::exists`], with a watch for its creation, its deletion or its data.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::{CreateMode, EventKind};
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// let (stat, appeared) = client.exists_and_watch("/job")?;
    /// assert!(stat.is_none());
    /// client.create("/job", "to do", CreateMode::Persistent)?;
    /// assert_eq!(appeared.wait()?.kind, EventKind::NodeCreated);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of every operation.
    pub fn exists_and_watch(&self, path: &str) -> Result<(Option<Stat>, OneShotWatch), Error> {
        let (stat, watch) = self.block_on(self.inner.exists_and_watch(path))?;
        Ok((stat, self.one_shot(watch)))
    }

    /// As [`Self::get_data`], with a watch for the data and for its deletion.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::{CreateMode, EventKind};
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.create("/job", "to do", CreateMode::Persistent)?;
    /// let (data, changed) = client.get_data_and_watch("/job")?;
    /// client.set_data("/job", "done", Some(data.stat.version))?;
    /// assert_eq!(changed.wait()?.kind, EventKind::NodeDataChanged);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`crate::Client::get_data_and_watch`].
    pub fn get_data_and_watch(&self, path: &str) -> Result<(Data, OneShotWatch), Error> {
        let (data, watch) = self.block_on(self.inner.get_data_and_watch(path))?;
        Ok((data, self.one_shot(watch)))
    }

    /// As [`Self::config`], with a watch for the next change of the membership.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use std::time::Duration;
    ///
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// let (members, mut changed) = client.config_and_watch()?;
    /// println!("{}", String::from_utf8_lossy(members.bytes()));
    /// if let Some(event) = changed.wait_for(Duration::from_millis(10))? {
    ///     println!("not anymore: {event:?}");
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`crate::Client::config_and_watch`].
    pub fn config_and_watch(&self) -> Result<(Data, OneShotWatch), Error> {
        let (members, watch) = self.block_on(self.inner.config_and_watch())?;
        Ok((members, self.one_shot(watch)))
    }

    /// As [`Self::get_children`], with a watch for the names and for the znode's deletion.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::{CreateMode, EventKind};
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// let (_, changed) = client.get_children_and_watch("/")?;
    /// client.create("/job", "to do", CreateMode::Persistent)?;
    /// assert_eq!(changed.wait()?.kind, EventKind::NodeChildrenChanged);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`crate::Client::get_children_and_watch`].
    pub fn get_children_and_watch(&self, path: &str) -> Result<(Children, OneShotWatch), Error> {
        let (children, watch) = self.block_on(self.inner.get_children_and_watch(path))?;
        Ok((children, self.one_shot(watch)))
    }

    /// Watches a znode until the watch is dropped; as [`crate::Client::add_watch`].
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::{Change, CreateMode, WatchMode};
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// let mut changes = client.add_watch("/", WatchMode::PersistentRecursive)?;
    /// client.create("/job", "to do", CreateMode::Persistent)?;
    /// let Some(Change::Event(event)) = changes.next() else { panic!("a change was due") };
    /// assert_eq!(event.path, "/job");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// Those of every operation.
    pub fn add_watch(&self, path: &str, mode: WatchMode) -> Result<PersistentWatch, Error> {
        let watch = self.block_on(self.inner.add_watch(path, mode))?;
        Ok(PersistentWatch { watch, client: self.clone() })
    }

    fn one_shot(&self, watch: crate::OneShotWatch) -> OneShotWatch {
        OneShotWatch { watch, client: self.clone() }
    }
}

/// The next change of a znode. Dropping it takes the interest back.
///
/// ```
/// # fixture::blocking_example(|ensemble| {
/// use reefkeeper_client::CreateMode;
/// use reefkeeper_client::blocking::Client;
///
/// let client = Client::connect(ensemble)?;
/// let (_, deleted) = client.exists_and_watch("/zookeeper/quota")?;
/// drop(deleted);
/// let (_, appeared) = client.exists_and_watch("/job")?;
/// client.create("/job", "to do", CreateMode::Persistent)?;
/// assert_eq!(appeared.wait()?.path, "/job");
/// # Ok(()) });
/// ```
#[derive(Debug)]
#[must_use = "a watch that is dropped tells nothing"]
pub struct OneShotWatch {
    watch: watch::OneShotWatch,
    client: Client,
}

impl OneShotWatch {
    /// Waits for it.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// let (_, appeared) = client.exists_and_watch("/job")?;
    /// client.create("/job", "to do", CreateMode::Persistent)?;
    /// println!("{:?}", appeared.wait()?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// When the session ends before, or the watch is removed; see [`crate::OneShotWatch`].
    pub fn wait(self) -> Result<WatchEvent, Error> {
        self.client.block_on(self.watch)
    }

    /// Waits for it so long; `None` if it has not happened, and may still be waited for.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use std::time::Duration;
    ///
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// let (_, mut appeared) = client.exists_and_watch("/job")?;
    /// assert_eq!(appeared.wait_for(Duration::from_millis(10))?, None);
    /// client.create("/job", "to do", CreateMode::Persistent)?;
    /// assert!(appeared.wait_for(Duration::from_secs(60))?.is_some());
    /// # Ok(()) });
    /// ```
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
///
/// ```
/// # fixture::blocking_example(|ensemble| {
/// use reefkeeper_client::{CreateMode, WatchMode};
/// use reefkeeper_client::blocking::Client;
///
/// let client = Client::connect(ensemble)?;
/// let changes = client.add_watch("/", WatchMode::PersistentRecursive)?;
/// client.create("/job", "to do", CreateMode::Persistent)?;
/// client.delete("/job", None)?;
/// client.close()?;
/// assert_eq!(changes.count(), 2);
/// # Ok(()) });
/// ```
#[derive(Debug)]
#[must_use = "a watch that is dropped tells nothing"]
pub struct PersistentWatch {
    watch: watch::PersistentWatch,
    client: Client,
}

impl PersistentWatch {
    /// Waits so long for the next change; `None` if there was none, or there will be none.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use std::time::Duration;
    ///
    /// use reefkeeper_client::WatchMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// let mut changes = client.add_watch("/", WatchMode::Persistent)?;
    /// assert_eq!(changes.next_within(Duration::from_millis(10)), None);
    /// # Ok(()) });
    /// ```
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
