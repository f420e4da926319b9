//! Items that are each worked on by one of many.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reefkeeper_client::{Payload, Sessions};

use crate::clock;
use crate::error::Error;
use crate::mutant;
use crate::shelf::{Shelf, Taken};

/// What the names of items begin with in a [`Queue`].
const ITEM: &str = "entry-";
/// What the names of items begin with in a [`DelayQueue`].
const DELAYED_ITEM: &str = "due-";

/// How urgent an item is: the lower the number, the sooner it is taken. At most 999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Priority(u16);

impl Priority {
    /// What an item has that is put without one: 100.
    pub const NORMAL: Self = Self(100);

    /// A priority; `None` above 999.
    pub const fn new(number: u16) -> Option<Self> {
        if number <= 999 { Some(Self(number)) } else { None }
    }
}

/// Items that are each worked on by one of many, the most urgent first, and of those the one that
/// was put first.
///
/// Who takes an item marks it with an ephemeral znode, and deletes it when the work is done. So an
/// item whose worker is lost is taken by another.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::{Priority, Queue};
///
/// let client = Client::connect(ensemble).await?;
/// let mails = Queue::new(&client, "/mails");
/// mails.put("hello").await?;
/// mails.put_with("urgent", Priority::new(1).expect("below 1000")).await?;
/// let mail = mails.take().await?;
/// assert_eq!(mail.data(), b"urgent");
/// mail.done().await?;
/// assert_eq!(mails.len().await?, 1);
/// # Ok(()) });
/// ```
///
/// # When things go wrong
///
/// - *A worker is lost, or drops an item*: another takes it. Work that was done but not reported is
///   done again, so it should bear that: an item is done at least once.
/// - *The connection is lost while an item is taken or reported*: what happened is found out.
/// - *The connection is lost while an item is put*: then [`Error::may_have_happened`] tells that it may
///   be in the queue; putting it again may put it twice.
/// - *The session expires while waiting*: it goes on in the next one, if the [`Sessions`] are renewed.
///
/// All who wait are woken when an item is put or given back: fit for dozens of workers, not for
/// thousands.
///
/// The layout is that of kazoo's `LockingQueue`, with which it can be shared. For that of Curator see
/// [`crate::CuratorQueue`].
#[derive(Clone, Debug)]
pub struct Queue {
    shelf: Shelf,
}

impl Queue {
    /// The queue at that path, which need not exist.
    pub fn new(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        Self { shelf: Shelf::new(sessions.into(), &path.into()) }
    }

    /// Puts an item at the end.
    ///
    /// # Errors
    /// Those of every create; see [`Error::may_have_happened`].
    pub async fn put(&self, item: impl Into<Payload>) -> Result<(), Error> {
        self.put_with(item, Priority::NORMAL).await
    }

    /// Puts an item behind those that are as urgent.
    ///
    /// # Errors
    /// Those of every create; see [`Error::may_have_happened`].
    pub async fn put_with(
        &self,
        item: impl Into<Payload>,
        Priority(priority): Priority,
    ) -> Result<(), Error> {
        let prefix = match mutant::active(32) {
            true => format!("{ITEM}{priority}-"),
            false => format!("{ITEM}{priority:03}-"),
        };
        self.shelf.put(&prefix, vec![item.into()]).await
    }

    /// Puts items at the end, all or none, with nothing between them. Their sum must fit into a
    /// request.
    ///
    /// # Errors
    /// Those of every transaction; see [`Error::may_have_happened`].
    pub async fn put_all<I>(&self, items: impl IntoIterator<Item = I>) -> Result<(), Error>
    where
        I: Into<Payload>,
    {
        let Priority(priority) = Priority::NORMAL;
        let items = items.into_iter().map(Into::into).collect();
        self.shelf.put(&format!("{ITEM}{priority:03}-"), items).await
    }

    /// Waits for an item, and takes it.
    ///
    /// # Errors
    /// The end of the session, and those of every create and read.
    pub async fn take(&self) -> Result<Taken, Error> {
        self.shelf.take(|_| Due::Now).await
    }

    /// Takes an item if there is one that nobody has taken.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn try_take(&self) -> Result<Option<Taken>, Error> {
        self.shelf.try_take(|_| Due::Now).await
    }

    /// How many items there are, with those that are worked on.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn len(&self) -> Result<usize, Error> {
        self.shelf.len().await
    }

    /// Whether there are none, not even some that are worked on.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len().await? == 0)
    }
}

/// Items that are each worked on by one of many, and not before a time of their own.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use std::time::{Duration, SystemTime};
///
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::DelayQueue;
///
/// let client = Client::connect(ensemble).await?;
/// let reminders = DelayQueue::new(&client, "/reminders");
/// let now = SystemTime::now();
/// reminders.put("tomorrow", now + Duration::from_secs(86_400)).await?;
/// reminders.put("now", now).await?;
/// let reminder = reminders.take().await?;
/// assert_eq!(reminder.data(), b"now");
/// reminder.done().await?;
/// assert!(reminders.try_take().await?.is_none());
/// # Ok(()) });
/// ```
///
/// Times are compared with the clocks of those who take, to the millisecond. What happens when things
/// go wrong is as with [`Queue`]; the layout is like that, but nobody else's.
#[derive(Clone, Debug)]
pub struct DelayQueue {
    shelf: Shelf,
}

impl DelayQueue {
    /// The queue at that path, which need not exist.
    pub fn new(sessions: impl Into<Sessions>, path: impl Into<String>) -> Self {
        Self { shelf: Shelf::new(sessions.into(), &path.into()) }
    }

    /// Puts an item that nobody takes before that time.
    ///
    /// # Errors
    /// Those of every create; see [`Error::may_have_happened`].
    pub async fn put(&self, item: impl Into<Payload>, due: SystemTime) -> Result<(), Error> {
        let due_ms = since_epoch(due).as_millis();
        self.shelf.put(&format!("{DELAYED_ITEM}{due_ms:020}-"), vec![item.into()]).await
    }

    /// Waits until an item is due, and takes it.
    ///
    /// # Errors
    /// The end of the session, and those of every create and read.
    pub async fn take(&self) -> Result<Taken, Error> {
        self.shelf.take(due).await
    }

    /// Takes an item if there is one that is due and that nobody has taken.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn try_take(&self) -> Result<Option<Taken>, Error> {
        self.shelf.try_take(due).await
    }

    /// How many items there are, with those that are worked on or not due.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn len(&self) -> Result<usize, Error> {
        self.shelf.len().await
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// Those of every read.
    pub async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len().await? == 0)
    }
}

/// When an item may be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    Now,
    After(Duration),
    /// It is no item.
    Never,
}

/// When a delayed item may be taken, by its name.
fn due(name: &str) -> Due {
    let time = name.strip_prefix(DELAYED_ITEM).and_then(|rest| rest.split('-').next());
    let Some(due_ms) = time.and_then(|time| time.parse().ok()) else { return Due::Never };
    let now = since_epoch(clock::now());
    match Duration::from_millis(due_ms).checked_sub(now) {
        None | Some(Duration::ZERO) => Due::Now,
        Some(delay) if mutant::active(30) && delay < Duration::from_millis(100) => Due::Now,
        Some(delay) => Due::After(delay),
    }
}

/// Times before 1970 count as that.
fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
