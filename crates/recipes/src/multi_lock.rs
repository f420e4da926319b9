//! Several locks that are held together.

use crate::error::Error;
use crate::hold::Hold;
use crate::lock::Lock;
use crate::mutant;

/// Several locks that are held together or not at all.
///
/// They are acquired in the order of their paths, whatever the order in which they are given, so
/// that two that want the same locks can not wait for one another.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::{Lock, MultiLock};
///
/// let client = Client::connect(ensemble).await?;
/// let accounts = ["/accounts/7", "/accounts/3"];
/// let both = MultiLock::new(accounts.map(|path| Lock::new(&client, path)));
/// let holds = both.acquire().await?;
/// assert_eq!(holds.len(), 2);
/// # Ok(()) });
/// ```
///
/// What happens when things go wrong is as with [`Lock`], for each of them: one may be lost while
/// the others are held. Who waits no longer drops the future, as `tokio::time::timeout` does: what
/// was held until then, and the place in line for the next, are given up.
#[derive(Clone, Debug)]
pub struct MultiLock {
    /// In the order of their paths, each path once.
    locks: Vec<Lock>,
}

impl MultiLock {
    /// Those locks; a path that is given twice counts once.
    pub fn new(locks: impl IntoIterator<Item = Lock>) -> Self {
        let mut locks: Vec<_> = locks.into_iter().collect();
        if !mutant::active(20) {
            locks.sort_by(|one, other| one.path().cmp(other.path()));
        }
        locks.dedup_by(|one, other| one.path() == other.path());
        Self { locks }
    }

    /// Waits until all are held; in the order of their paths.
    ///
    /// # Errors
    /// As [`Lock::acquire`]; those that were held until then are given up.
    pub async fn acquire(&self) -> Result<Vec<Hold>, Error> {
        let mut holds = Vec::with_capacity(self.locks.len());
        for lock in &self.locks {
            holds.push(lock.acquire().await?);
        }
        Ok(holds)
    }

    /// Takes all if nobody is in line for any; `None` otherwise.
    ///
    /// # Errors
    /// As [`Lock::acquire`]; those that were held until then are given up.
    pub async fn try_acquire(&self) -> Result<Option<Vec<Hold>>, Error> {
        let mut holds = Vec::with_capacity(self.locks.len());
        for lock in &self.locks {
            match lock.try_acquire().await? {
                Some(hold) => holds.push(hold),
                None => {
                    for hold in holds {
                        hold.release().await?;
                    }
                    return Ok(None);
                }
            }
        }
        Ok(Some(holds))
    }
}
