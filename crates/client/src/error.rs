//! What can go wrong, by whom it is asked.

use std::time::Duration;

use thiserror::Error;
use types::ErrorCode;
use types::path::InvalidPath;

/// Why an operation has no result.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::{Client, CreateMode, Error, ErrorCode};
///
/// let client = Client::connect(ensemble).await?;
/// match client.create("/config", "x", CreateMode::Persistent).await {
///     Ok(created) => println!("created at {}", created.stat.czxid),
///     Err(Error::Refused(ErrorCode::NodeExists)) => println!("somebody was faster"),
///     Err(error) if error.may_have_happened() => println!("to be found out: {error}"),
///     Err(error) if error.is_transient() => println!("once more: {error}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(()) });
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered, and refused.
    #[error("{0}")]
    Refused(ErrorCode),
    /// The server refused with a code that has no name here; it must be newer than this client.
    #[error("error {0}")]
    RefusedUnknown(i32),
    /// A transaction was refused because of one of its operations; nothing of it happened.
    #[error("operation {index} of the transaction: {code}")]
    Aborted {
        /// Which operation, counted from 0.
        index: usize,
        /// Why.
        code: ErrorCode,
    },
    /// The connection was lost before the answer came. The session may go on.
    #[error("connection lost{}", if *.may_have_happened { ", the operation may have happened" } else { "" })]
    ConnectionLost {
        /// Whether the operation may have changed something: it is a write, and it was sent.
        /// Otherwise it is safe to try again.
        may_have_happened: bool,
    },
    /// No answer within the client's own request timeout. The request is not withdrawn.
    #[error("no answer in time")]
    TimedOut {
        /// Whether the operation may have changed something, or still will.
        may_have_happened: bool,
    },
    /// The session expired; its ephemeral znodes are gone. The operation did not happen.
    #[error("session expired")]
    SessionExpired,
    /// The server refused the credentials, which ends the session on the client. The operation did
    /// not happen.
    #[error("authentication failed")]
    AuthFailed,
    /// The client was closed. The operation did not happen.
    #[error("client closed")]
    Closed,
    /// The path names no znode; nothing was sent.
    #[error("{path:?}: {reason}")]
    InvalidPath {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        reason: InvalidPath,
    },
    /// The request does not fit into a frame; nothing was sent.
    #[error("request of {bytes} bytes is over the limit of {max}")]
    RequestTooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The most that is allowed.
        max: usize,
    },
    /// The answer does not fit into a frame of this client, see
    /// [`Builder::frame_bytes_max`](crate::Builder::frame_bytes_max); another try would end in the same way.
    #[error(
        "answer of {bytes} bytes is over the limit of {max}{}",
        if *.may_have_happened { ", the operation may have happened" } else { "" }
    )]
    AnswerTooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The most that is allowed.
        max: usize,
        /// Whether the operation may have changed something: it is a write.
        may_have_happened: bool,
    },
}

impl Error {
    /// The server's refusal with that code.
    pub(crate) fn refused(code: i32) -> Self {
        ErrorCode::from_raw(code).map_or(Self::RefusedUnknown(code), Self::Refused)
    }

    /// The code with which the server refused, if it did.
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(code) | Self::Aborted { code, .. } => Some(*code),
            Self::RefusedUnknown(_)
            | Self::ConnectionLost { .. }
            | Self::TimedOut { .. }
            | Self::SessionExpired
            | Self::AuthFailed
            | Self::Closed
            | Self::InvalidPath { .. }
            | Self::RequestTooLarge { .. }
            | Self::AnswerTooLarge { .. } => None,
        }
    }

    /// Whether the operation may have changed something although there is no result.
    pub const fn may_have_happened(&self) -> bool {
        matches!(
            self,
            Self::ConnectionLost { may_have_happened: true }
                | Self::TimedOut { may_have_happened: true }
                | Self::AnswerTooLarge { may_have_happened: true, .. }
        )
    }
}

/// Why there is no client.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use std::time::Duration;
///
/// use reefkeeper_client::{Client, ConnectError};
///
/// // Nobody listens there.
/// let within = Duration::from_millis(50);
/// let client = Client::builder("127.0.0.1:1").connect_timeout(within).connect().await;
/// assert!(matches!(client, Err(ConnectError::Unreachable { .. })));
/// # Ok(()) });
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text that names the servers can not be understood.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No server took the session in time.
    #[error("no server answered within {within:?}")]
    Unreachable {
        /// How long was tried.
        within: Duration,
    },
    /// The session to resume is gone, or its password is wrong.
    #[error("session expired")]
    SessionExpired,
    /// The server refused the credentials.
    #[error("authentication failed")]
    AuthFailed,
    /// The thread of a [`crate::blocking::Client`] could not be started.
    #[error("no thread for the connection")]
    NoThread,
}

/// What is wrong with a text such as `host:port,host:port/chroot`.
///
/// ```
/// use reefkeeper_client::{AddressError, Ensemble};
///
/// assert_eq!("host:port".parse::<Ensemble>(), Err(AddressError::Port("host:port".to_owned())));
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It names no server.
    #[error("no server is named in {0:?}")]
    NoHost(String),
    /// What follows a colon is no port.
    #[error("no port number in {0:?}")]
    Port(String),
    /// The part from the first slash on is no path.
    #[error("chroot {path:?}: {reason}")]
    Chroot {
        /// That part.
        path: String,
        /// What is wrong with it.
        reason: InvalidPath,
    },
}
