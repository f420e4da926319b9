//! An async client for Reefkeeper and Apache ZooKeeper.
//!
//! ```
//! # fixture::example(async |ensemble| {
//! use reefkeeper_client::{Client, CreateMode};
//!
//! let client = Client::connect(ensemble).await?;
//! client.create("/greeting", "hello", CreateMode::Ephemeral).await?;
//! let (data, watch) = client.get_data_and_watch("/greeting").await?;
//! println!("{:?}, version {}", data.bytes(), data.stat.version);
//! client.set_data("/greeting", "good bye", None).await?;
//! println!("then: {:?}", watch.await?);
//! # Ok(()) });
//! ```
//!
//! # What to know
//!
//! - **Pipelining** is the default: operations whose futures run at the same time share the
//!   connection, in order, without waiting for one another.
//! - **Errors say what may have happened.** [`Error::ConnectionLost`], [`Error::TimedOut`] and
//!   [`Error::AnswerTooLarge`] carry whether the operation may have changed something; every other error
//!   means that it did not.
//! - **Nothing is repeated** behind the caller's back. [`Client::patiently`] repeats what did not
//!   happen, [`Client::insistently`] what may happen twice.
//! - **Reconnecting** to another server is automatic and keeps the session, its watches and its
//!   credentials; [`Client::states`] tells. After [`SessionState::Expired`] a new client is needed,
//!   for what the session owned is gone; [`Sessions`] makes one.
//! - **Without async**: [`blocking::Client`] has the same operations, and runs any future of this
//!   client.
//! - **Watches are values**: [`OneShotWatch`] is a future, [`PersistentWatch`] a stream. Dropping
//!   one takes the interest back.
//! - **Access control**: [`Id::may`] makes the entries of lists, [`digest_id`] names who has a password,
//!   [`AclList::creator`] is for what concerns nobody else. Stats, modes and codes are the types of the
//!   protocol, too.
//!
//! # Inside
//!
//! [`session::Session`] is the whole protocol without I/O; the driver around it is one tokio task.
//! The crate logs through `tracing`: states of the session at `info`, servers that break the
//! protocol at `warn`, connections and errors at `debug`. What concerns a session is in the span
//! `session` with its `id`; a request is the span `request` at `debug`, with its `op` and its
//! `path`, from when it was asked to its answer. Passwords, credentials and data are in none.

mod address;
pub mod blocking;
mod builder;
mod client;
mod connector;
mod credentials;
mod driver;
mod error;
mod host_source;
mod lifetime;
mod limits;
mod patience;
mod response;
mod sasl;
pub mod session;
mod sessions;
mod span;
mod states;
mod subtree;
mod told;
mod transaction;
mod watch;
mod written;

pub use types::path::InvalidPath;
pub use types::{
    Acl, AclList, CreateMode, ErrorCode, EventKind, Id, Perms, ReconfigRequest, SessionId,
    SessionPassword, Stat, WatchMode, WatcherKind, Zxid,
};

pub use self::address::{DEFAULT_PORT, Ensemble, Host};
pub use self::builder::Builder;
pub use self::client::Client;
pub use self::credentials::digest_id;
pub use self::error::{AddressError, ConnectError, Error};
pub use self::response::{Acls, Children, Created, Data, Identity, OpResult, ReadResult};
pub use self::sasl::Sasl;
pub use self::session::{SaslStep, SessionState, Ticket, WatchEvent};
pub use self::sessions::Sessions;
pub use self::states::{StateStream, States};
pub use self::transaction::{ReadBatch, Transaction};
pub use self::watch::{Change, OneShotWatch, PersistentWatch};
pub use self::written::{CreateOptions, Payload};
