//! What can go wrong.

use thiserror::Error;

/// Why a recipe has no result.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::{Client, CreateMode};
/// use reefkeeper_recipes::{Counter, Error};
///
/// let client = Client::connect(ensemble).await?;
/// client.create("/visits", "many", CreateMode::Persistent).await?;
/// let Err(error) = Counter::new(&client, "/visits").add(1).await else { panic!("no number") };
/// assert!(matches!(error, Error::Unreadable { .. }) && !error.may_have_happened());
/// assert_eq!(error.to_string(), "/visits holds no number of eight bytes");
/// # Ok(()) });
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation failed, and the recipe knows no way around it. What is transient is waited
    /// out, so that this is mostly the end of the session or a lack of permissions.
    #[error(transparent)]
    Client(#[from] reefkeeper_client::Error),
    /// The znode that stood for this participant is gone although its session goes on: somebody
    /// else deleted it.
    #[error("{path} was deleted by somebody else")]
    Removed {
        /// Which znode.
        path: String,
    },
    /// A znode holds something that this recipe did not write.
    #[error("{path} holds no {expected}")]
    Unreadable {
        /// Which znode.
        path: String,
        /// What should be there.
        expected: &'static str,
    },
}

impl Error {
    /// Whether the recipe may have changed something although it has no result.
    pub const fn may_have_happened(&self) -> bool {
        match self {
            Self::Client(error) => error.may_have_happened(),
            Self::Removed { .. } | Self::Unreadable { .. } => false,
        }
    }
}
