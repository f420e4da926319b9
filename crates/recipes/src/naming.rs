//! How znodes are named in recipes that several libraries have.

use crate::line::Kinds;

/// Whose names the znodes of a lock or an election have, for programs of other libraries that take part and
/// know their own library's names only.
///
/// Participants of this crate know both, so that they get on with one another whatever each has chosen.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::{Lock, Naming};
///
/// let client = Client::connect(ensemble).await?;
/// let lock = Lock::new(&client, "/locks/shared-with-python").naming(Naming::Kazoo);
/// assert!(lock.acquire().await?.path().contains("__lock__"));
/// # Ok(()) });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Naming {
    /// The names of Curator: `lock-` for locks, `__WRIT__` and `__READ__` for writers and readers.
    #[default]
    Curator,
    /// The names of kazoo: `__lock__` for locks and writers, `__rlock__` for readers.
    Kazoo,
}

impl Naming {
    /// Of the kinds that mean the same, that of Curator before that of kazoo, the one to create.
    pub(crate) const fn kind(self, kinds: Kinds) -> &'static str {
        match self {
            Self::Curator => kinds[0],
            Self::Kazoo => kinds[1],
        }
    }
}
