//! A queue that programs with Curator take part in.

use reefkeeper_client::{Payload, Sessions};

use crate::error::Error;
use crate::hold::FencingToken;
use crate::mutant;
use crate::queue::Due;
use crate::shelf::{Shelf, Taken};

/// What the names of items begin with.
const ITEM: &str = "queue-";
/// What stands for the contents of a znode in errors.
const CONTENTS: &str = "items of a queue of Curator";

/// What the contents of a znode begin with: the format and its version.
const VERSION: [u8; 4] = [0, 1, 0, 1];
/// What stands before an item.
const ITEM_FOLLOWS: u8 = 1;
/// What stands behind the last one.
const END: u8 = 2;

/// Items that are each worked on by one of many, in the layout of Curator's `DistributedQueue` with a lock
/// path, to share it with programs in Java. Among programs of this crate use a [`Queue`](crate::Queue).
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::CuratorQueue;
///
/// let client = Client::connect(ensemble).await?;
/// let orders = CuratorQueue::new(&client, "/orders", "/orders-taken");
/// orders.put("a table").await?;
/// orders.put_together(["one chair", "and other"]).await?;
/// let taken = orders.take().await?;
/// assert_eq!(taken.items(), [b"a table"]);
/// taken.done().await?;
/// assert_eq!(orders.take().await?.items(), [b"one chair", b"and other"]);
/// # Ok(()) });
/// ```
///
/// What happens when things go wrong is as with [`Queue`](crate::Queue), with these limits of Curator's:
///
/// - Without a lock path its consumers delete items before they work on them. All must be given the
///   same one, by `QueueBuilder.lockPath`.
/// - Its consumers look for items only when the list of items changes: those of a worker that is lost
///   wait for that, unless a program of this crate takes them, which looks at the marks, too.
/// - Its consumers throw away what they can not read. Here that is an error, and the item stays.
///
/// The items of a `DistributedPriorityQueue` are taken in its order. Those of a `DistributedDelayQueue` are
/// not for this, since they would be taken before they are due.
#[derive(Clone, Debug)]
pub struct CuratorQueue {
    shelf: Shelf,
}

impl CuratorQueue {
    /// The queue at that path, whose items are marked at the other one. Neither need exist.
    pub fn new(
        sessions: impl Into<Sessions>,
        path: impl Into<String>,
        lock_path: impl Into<String>,
    ) -> Self {
        Self { shelf: Shelf::at(sessions.into(), path.into(), lock_path.into()) }
    }

    /// Puts an item at the end.
    ///
    /// # Errors
    /// Those of every create; see [`Error::may_have_happened`].
    pub async fn put(&self, item: impl AsRef<[u8]>) -> Result<(), Error> {
        self.put_together([item]).await
    }

    /// Puts items at the end that one worker takes together. Their sum must fit into a request.
    ///
    /// # Errors
    /// Those of every create; see [`Error::may_have_happened`].
    ///
    /// # Panics
    /// With an item of 2 GiB or more.
    pub async fn put_together<I>(&self, items: impl IntoIterator<Item = I>) -> Result<(), Error>
    where
        I: AsRef<[u8]>,
    {
        self.shelf.put(ITEM, vec![Payload::from(encoded(items))]).await
    }

    /// Waits for what was put, and takes it.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if something else is there; the end of the session; and those of every
    /// create and read.
    pub async fn take(&self) -> Result<TakenItems, Error> {
        TakenItems::read(self.shelf.take(is_item).await?)
    }

    /// Takes what was put and nobody has taken, if there is something.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn try_take(&self) -> Result<Option<TakenItems>, Error> {
        self.shelf.try_take(is_item).await?.map(TakenItems::read).transpose()
    }
}

/// What was put together into a [`CuratorQueue`], and this participant works on. Nobody else takes it as long
/// as the session goes on.
///
/// Dropping it gives it back in the background.
#[derive(Debug)]
#[must_use = "items that are dropped are given back"]
pub struct TakenItems {
    taken: Taken,
    items: Vec<Vec<u8>>,
}

impl TakenItems {
    fn read(taken: Taken) -> Result<Self, Error> {
        match decoded(taken.data()) {
            Some(items) => Ok(Self { taken, items }),
            None => {
                let path = taken.path().to_owned();
                Err(Error::Unreadable { path, expected: CONTENTS })
            }
        }
    }

    /// What was put: one item, unless several were put together.
    pub fn items(&self) -> &[Vec<u8>] {
        &self.items
    }

    /// The path of the znode.
    pub fn path(&self) -> &str {
        self.taken.path()
    }

    /// A number that is higher each time it is taken; see [`FencingToken`].
    pub fn token(&self) -> FencingToken {
        self.taken.token()
    }

    /// The work is done: takes all of it from the queue for ever.
    ///
    /// # Errors
    /// As [`Taken::done`].
    pub async fn done(self) -> Result<(), Error> {
        self.taken.done().await
    }

    /// Gives all of it back, for others to take, and waits until that is done.
    ///
    /// # Errors
    /// As [`Taken::give_back`].
    pub async fn give_back(self) -> Result<(), Error> {
        self.taken.give_back().await
    }
}

/// Nobody else's znodes are touched.
fn is_item(name: &str) -> Due {
    if name.starts_with(ITEM) { Due::Now } else { Due::Never }
}

/// What a znode with those items contains.
fn encoded<I: AsRef<[u8]>>(items: impl IntoIterator<Item = I>) -> Vec<u8> {
    let mut bytes = VERSION.to_vec();
    for item in items {
        let item = item.as_ref();
        let length = i32::try_from(item.len()).expect("an item fits into a request");
        bytes.push(ITEM_FOLLOWS);
        bytes.extend(length.to_be_bytes());
        bytes.extend(item);
    }
    bytes.push(END);
    bytes
}

/// The items that a znode contains; `None` if it is something else. What follows the end is not looked at,
/// as Curator does not either.
fn decoded(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = bytes.strip_prefix(&VERSION)?;
    let mut items = Vec::new();
    loop {
        let (&mark, more) = rest.split_first()?;
        match mark {
            END => return Some(items),
            ITEM_FOLLOWS => {
                let (length, more) = more.split_first_chunk()?;
                let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
                let (item, more) = more.split_at_checked(length)?;
                items.push(item.to_vec());
                if mutant::active(29) {
                    return Some(items);
                }
                rest = more;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_written_as_curator_writes_them() {
        let bytes = [0, 1, 0, 1, 1, 0, 0, 0, 2, b'h', b'i', 1, 0, 0, 0, 0, 2];
        assert_eq!(encoded(["hi", ""]), bytes);
        assert_eq!(decoded(&bytes), Some(vec![b"hi".to_vec(), Vec::new()]));
        assert_eq!(decoded(&encoded::<&str>([])), Some(Vec::new()));
    }

    #[test]
    fn nothing_else_is_read() {
        let bytes = encoded(["hi", "you"]);
        for length in 0..bytes.len() {
            assert_eq!(decoded(&bytes[..length]), None, "{length}");
        }
        let negative = [0, 1, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 2];
        let other_version = [0, 1, 0, 2, 2];
        let other_mark = [0, 1, 0, 1, 3];
        for other in [&negative[..], &other_version, &other_mark, b"hello"] {
            assert_eq!(decoded(other), None, "{other:?}");
        }
    }
}
