//! What servers answer, as values.

use bytes::Bytes;
use types::{AclList, Stat};

use crate::error::Error;

/// The result of an operation that succeeded.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Response {
    /// There is nothing to say: deleted, checked, synchronized, watched, authenticated, closed.
    Done,
    /// A znode was created.
    Created {
        /// Where, with the counter of a sequential one.
        path: String,
        /// Its numbers; `None` if only the plain `create` was asked.
        stat: Option<Stat>,
    },
    /// The numbers of a znode that is there, or was changed.
    Stat(Stat),
    /// A znode's data.
    Data(Data),
    /// A znode's access control list.
    Acl(Acls),
    /// The names of a znode's children.
    Children {
        /// In no order.
        names: Vec<String>,
        /// The parent's numbers, if asked for.
        stat: Option<Stat>,
    },
    /// How many znodes are below one.
    Count(i32),
    /// Paths of ephemeral znodes, in no order.
    Paths(Vec<String>),
    /// Who the server takes the client for.
    Identities(Vec<Identity>),
    /// The results of a transaction, one for each operation.
    Multi(Vec<OpResult>),
    /// The results of several reads, one for each.
    MultiRead(Vec<Result<ReadResult, Error>>),
}

/// A znode's data and numbers.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::{Client, CreateMode};
///
/// let client = Client::connect(ensemble).await?;
/// client.create("/count", "7", CreateMode::Persistent).await?;
/// let data = client.get_data("/count").await?;
/// let count: u32 = std::str::from_utf8(data.bytes())?.parse()?;
/// // Only if nobody was faster.
/// client.set_data("/count", (count + 1).to_string(), Some(data.stat.version)).await?;
/// # Ok(()) });
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Data {
    /// The bytes; `None` is null, which is kept apart from empty.
    pub value: Option<Bytes>,
    /// The numbers.
    pub stat: Stat,
}

impl Data {
    /// The bytes, with null taken for empty.
    pub fn bytes(&self) -> &[u8] {
        self.value.as_deref().unwrap_or_default()
    }
}

/// A znode's access control list and numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acls {
    /// Who may do what.
    pub acl: AclList,
    /// The numbers.
    pub stat: Stat,
}

/// A new znode.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::{Client, CreateMode};
///
/// let client = Client::connect(ensemble).await?;
/// let first = client.create("/turn-", "", CreateMode::EphemeralSequential).await?;
/// let second = client.create("/turn-", "", CreateMode::EphemeralSequential).await?;
/// assert_eq!(second.path, "/turn-0000000001");
/// assert!(second.stat.czxid > first.stat.czxid);
/// # Ok(()) });
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Created {
    /// Where it is, with the counter of a sequential one.
    pub path: String,
    /// Its numbers; `czxid` serves as a fencing token.
    pub stat: Stat,
}

/// A znode's children and its numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Children {
    /// Names without the parent's path, in no order.
    pub names: Vec<String>,
    /// The parent's numbers.
    pub stat: Stat,
}

/// One of the identities of a connection.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Identity {
    /// The authentication scheme.
    pub scheme: String,
    /// The user in that scheme, without secrets.
    pub user: String,
}

/// The result of one operation of a transaction that succeeded.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OpResult {
    /// A znode was created.
    Created {
        /// Where, with the counter of a sequential one.
        path: String,
        /// Its numbers; `None` from Apache's servers, which tell the path alone in a transaction.
        stat: Option<Stat>,
    },
    /// Data was set; the new numbers.
    DataSet(Stat),
    /// A znode was deleted.
    Deleted,
    /// The version was as expected.
    Checked,
}

/// The result of one read of several.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReadResult {
    /// Data.
    Data(Data),
    /// Names of children, in no order.
    Children(Vec<String>),
}
