//! Small numbers, each of which one program has at a time.

use reefkeeper_client::{Payload, Sessions};

use crate::error::Error;
use crate::guid::Guid;
use crate::hold::Hold;
use crate::lock::Lock;
use crate::tree_path::child;

/// Small numbers, each of which one program has at a time: the part of an id that says where it was made, or
/// which shard a program serves.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::WorkerIds;
///
/// let client = Client::connect(ensemble).await?;
/// let ids = WorkerIds::new(&client, "/shards", 2);
/// let (one, two) = (ids.claim().await?.expect("free"), ids.claim().await?.expect("free"));
/// assert_eq!(one.number() + two.number(), 1);
/// assert!(ids.claim().await?.is_none());
/// two.release().await?;
/// assert!(ids.claim().await?.is_some());
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// Each number is a [`Lock`], and everything is as with that: when the session expires the next program may
/// have the number, whether this one knows it or not. Who makes ids with it should stop when
/// [`WorkerId::hold`] is in doubt, and count time from then on only when it has a number again.
///
/// The layout is that of [`Lock`], at `<path>/<number>`.
#[derive(Clone, Debug)]
pub struct WorkerIds {
    sessions: Sessions,
    path: String,
    count: usize,
    label: Payload,
}

impl WorkerIds {
    /// The numbers from 0 up to, and without, `count`, at that path, which need not exist. All programs
    /// should agree on how many there are.
    pub fn new(sessions: impl Into<Sessions>, path: impl Into<String>, count: usize) -> Self {
        let label = Payload::from("");
        Self { sessions: sessions.into(), path: path.into(), count, label }
    }

    /// What others see of this program, for example a host name. Default: nothing.
    #[must_use]
    pub fn label(mut self, label: impl Into<Payload>) -> Self {
        self.label = label.into();
        self
    }

    /// Claims a number that nobody has; `None` if there is none. It looks at one after the other, from a
    /// random one on, so that this takes long when few of many are free.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub async fn claim(&self) -> Result<Option<WorkerId>, Error> {
        if self.count == 0 {
            return Ok(None);
        }
        let first = Guid::random().number_below(self.count);
        for number in (first..self.count).chain(0..first) {
            let path = child(&self.path, &number.to_string());
            let lock = Lock::new(&self.sessions, path).label(self.label.clone());
            if let Some(hold) = lock.try_acquire().await? {
                return Ok(Some(WorkerId { number, hold }));
            }
        }
        Ok(None)
    }
}

/// A number of [`WorkerIds`] that this program has. Dropping it gives it up in the background.
#[derive(Debug)]
#[must_use = "it is given up when it is dropped"]
pub struct WorkerId {
    number: usize,
    hold: Hold,
}

impl WorkerId {
    /// The number.
    pub const fn number(&self) -> usize {
        self.number
    }

    /// The right to it: how certain that is, and the token that is higher than those of all who had the number
    /// before.
    pub const fn hold(&self) -> &Hold {
        &self.hold
    }

    /// Gives it up, and waits until that is done.
    ///
    /// # Errors
    /// As [`Hold::release`].
    pub async fn release(self) -> Result<(), Error> {
        self.hold.release().await
    }
}
