//! Several operations in one request.

use std::borrow::Cow;

use types::{MultiOp, MultiReadOp, Op, Read, Write};

use crate::client::{Client, expect_response};
use crate::error::Error;
use crate::response::{OpResult, ReadResult, Response};
use crate::written::{CreateOptions, Payload};

/// Writes of which all happen or none, in one step that nobody sees half of.
///
/// Each sees what the ones before it did. From [`Client::transaction`].
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::{Client, CreateMode, OpResult};
///
/// let client = Client::connect(ensemble).await?;
/// client.ensure("/log", CreateMode::Persistent).await?;
/// client.ensure("/config", CreateMode::Persistent).await?;
/// let results = client
///     .transaction()
///     .check("/config", 0)
///     .set_data("/config", "new", None)
///     .create("/log/entry-", "changed", CreateMode::PersistentSequential)
///     .commit()
///     .await?;
/// assert!(matches!(&results[1], OpResult::DataSet(stat) if stat.version == 1));
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is committed"]
pub struct Transaction<'c> {
    client: &'c Client,
    ops: Vec<MultiOp<'static>>,
}

impl<'c> Transaction<'c> {
    pub(crate) const fn new(client: &'c Client) -> Self {
        Self { client, ops: Vec::new() }
    }

    /// Creates a znode; as [`Client::create`].
    pub fn create(
        mut self,
        path: &str,
        data: impl Into<Payload>,
        options: impl Into<CreateOptions>,
    ) -> Self {
        let default_acl = self.client.default_acl();
        self.ops.push(MultiOp::Create(options.into().into_create(path, data.into(), default_acl)));
        self
    }

    /// Deletes a znode; as [`Client::delete`].
    pub fn delete(mut self, path: &str, version: Option<i32>) -> Self {
        self.ops.push(MultiOp::Delete { path: Cow::Owned(path.to_owned()), version });
        self
    }

    /// Sets a znode's data; as [`Client::set_data`].
    pub fn set_data(mut self, path: &str, data: impl Into<Payload>, version: Option<i32>) -> Self {
        let data = data.into().into_op();
        self.ops.push(MultiOp::SetData { path: Cow::Owned(path.to_owned()), data, version });
        self
    }

    /// Fails the transaction unless the znode is there, with that version.
    pub fn check(mut self, path: &str, version: impl Into<Option<i32>>) -> Self {
        let version = version.into();
        self.ops.push(MultiOp::Check { path: Cow::Owned(path.to_owned()), version });
        self
    }

    /// How many operations it has.
    pub const fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Does it; returns the results, one for each operation, in their order.
    ///
    /// # Errors
    /// [`Error::Aborted`] with the operation that could not be done; and those of every operation.
    pub async fn commit(self) -> Result<Vec<OpResult>, Error> {
        let response = self.client.call(Op::Write(Write::Multi(self.ops))).await;
        expect_response!(response, Response::Multi(results) => results)
    }
}

/// Reads that see the same state, each with a result of its own.
///
/// From [`Client::multi_read`]; servers know it from release 3.6 on.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::{Client, ReadResult};
///
/// let client = Client::connect(ensemble).await?;
/// let results = client.multi_read().get_children("/").get_data("/missing").send().await?;
/// assert_eq!(results[0], Ok(ReadResult::Children(vec!["zookeeper".to_owned()])));
/// assert!(results[1].is_err());
/// # Ok(()) });
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is read until it is sent"]
pub struct ReadBatch<'c> {
    client: &'c Client,
    ops: Vec<MultiReadOp<'static>>,
}

impl<'c> ReadBatch<'c> {
    pub(crate) const fn new(client: &'c Client) -> Self {
        Self { client, ops: Vec::new() }
    }

    /// Reads a znode's data; as [`Client::get_data`].
    pub fn get_data(mut self, path: &str) -> Self {
        self.ops.push(MultiReadOp::GetData { path: Cow::Owned(path.to_owned()) });
        self
    }

    /// Reads the names of a znode's children; as [`Client::get_children`], without the stat.
    pub fn get_children(mut self, path: &str) -> Self {
        self.ops.push(MultiReadOp::GetChildren { path: Cow::Owned(path.to_owned()) });
        self
    }

    /// Reads; returns the results, one for each read, in their order.
    ///
    /// # Errors
    /// Those of every operation. That one of the reads fails is a result, not an error.
    pub async fn send(self) -> Result<Vec<Result<ReadResult, Error>>, Error> {
        let response = self.client.call(Op::Read(Read::MultiRead(self.ops))).await;
        expect_response!(response, Response::MultiRead(results) => results)
    }
}
