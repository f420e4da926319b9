//! Several operations in one request, which holds up the thread that sends it.

use super::Client;
use crate::error::Error;
use crate::response::{OpResult, ReadResult};
use crate::transaction;
use crate::written::{CreateOptions, Payload};

impl Client {
    /// Begins a transaction: several writes, of which all happen or none.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.create("/job", "to do", CreateMode::Persistent)?;
    /// let results = client.transaction().check("/job", 0).delete("/job", None).commit()?;
    /// assert_eq!(results.len(), 2);
    /// # Ok(()) });
    /// ```
    pub const fn transaction(&self) -> Transaction<'_> {
        Transaction { client: self, writes: self.inner.transaction() }
    }

    /// Begins a batch of reads that see the same state.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// let results = client.multi_read().get_children("/").get_data("/missing").send()?;
    /// assert!(results[0].is_ok() && results[1].is_err());
    /// # Ok(()) });
    /// ```
    pub const fn multi_read(&self) -> ReadBatch<'_> {
        ReadBatch { client: self, reads: self.inner.multi_read() }
    }
}

/// Writes of which all happen or none; as [`crate::Transaction`].
///
/// ```
/// # fixture::blocking_example(|ensemble| {
/// use reefkeeper_client::CreateMode;
/// use reefkeeper_client::blocking::Client;
///
/// let client = Client::connect(ensemble)?;
/// client
///     .transaction()
///     .create("/job", "to do", CreateMode::Persistent)
///     .create("/job/tool", "a scythe", CreateMode::Persistent)
///     .commit()?;
/// assert!(client.exists("/job/tool")?.is_some());
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is committed"]
pub struct Transaction<'c> {
    client: &'c Client,
    writes: transaction::Transaction<'c>,
}

impl Transaction<'_> {
    /// Creates a znode.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.transaction().create("/job", "", CreateMode::Persistent).commit()?;
    /// # Ok(()) });
    /// ```
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
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.create("/job", "to do", CreateMode::Persistent)?;
    /// client.transaction().delete("/job", Some(0)).commit()?;
    /// # Ok(()) });
    /// ```
    pub fn delete(mut self, path: &str, version: Option<i32>) -> Self {
        self.writes = self.writes.delete(path, version);
        self
    }

    /// Sets a znode's data, if it has that version; `None` is any.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.create("/job", "to do", CreateMode::Persistent)?;
    /// client.transaction().set_data("/job", "done", None).commit()?;
    /// # Ok(()) });
    /// ```
    pub fn set_data(mut self, path: &str, data: impl Into<Payload>, version: Option<i32>) -> Self {
        self.writes = self.writes.set_data(path, data, version);
        self
    }

    /// Fails the transaction unless the znode is there, with that version.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::CreateMode;
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// client.create("/job", "to do", CreateMode::Persistent)?;
    /// assert!(client.transaction().check("/job", 7).commit().is_err());
    /// # Ok(()) });
    /// ```
    pub fn check(mut self, path: &str, version: impl Into<Option<i32>>) -> Self {
        self.writes = self.writes.check(path, version);
        self
    }

    /// How many operations it has.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// let client = reefkeeper_client::blocking::Client::connect(ensemble)?;
    /// assert_eq!(client.transaction().check("/", None).len(), 1);
    /// # Ok(()) });
    /// ```
    pub const fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether it has none.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// let client = reefkeeper_client::blocking::Client::connect(ensemble)?;
    /// assert!(client.transaction().is_empty());
    /// # Ok(()) });
    /// ```
    pub const fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Does it; returns the results, one for each operation, in their order.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::{Error, ErrorCode};
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// let refused = client.transaction().check("/", None).check("/missing", None).commit();
    /// assert_eq!(refused, Err(Error::Aborted { index: 1, code: ErrorCode::NoNode }));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`crate::Transaction::commit`].
    pub fn commit(self) -> Result<Vec<OpResult>, Error> {
        self.client.block_on(self.writes.commit())
    }
}

/// Reads that see the same state; as [`crate::ReadBatch`].
///
/// ```
/// # fixture::blocking_example(|ensemble| {
/// use reefkeeper_client::blocking::Client;
///
/// let client = Client::connect(ensemble)?;
/// let names = client.multi_read().get_children("/").send()?;
/// assert_eq!(names.len(), 1);
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is read until it is sent"]
pub struct ReadBatch<'c> {
    client: &'c Client,
    reads: transaction::ReadBatch<'c>,
}

impl ReadBatch<'_> {
    /// Reads a znode's data.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// println!("{:?}", client.multi_read().get_data("/zookeeper").send()?);
    /// # Ok(()) });
    /// ```
    pub fn get_data(mut self, path: &str) -> Self {
        self.reads = self.reads.get_data(path);
        self
    }

    /// Reads the names of a znode's children.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// println!("{:?}", client.multi_read().get_children("/").send()?);
    /// # Ok(()) });
    /// ```
    pub fn get_children(mut self, path: &str) -> Self {
        self.reads = self.reads.get_children(path);
        self
    }

    /// Reads; returns the results, one for each read, in their order.
    ///
    /// ```
    /// # fixture::blocking_example(|ensemble| {
    /// use reefkeeper_client::blocking::Client;
    ///
    /// let client = Client::connect(ensemble)?;
    /// for result in client.multi_read().get_data("/").get_data("/missing").send()? {
    ///     println!("{result:?}");
    /// }
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// As [`crate::ReadBatch::send`].
    pub fn send(self) -> Result<Vec<Result<ReadResult, Error>>, Error> {
        self.client.block_on(self.reads.send())
    }
}
