//! Items on a shelf, and marks on those that somebody works on: what queues are made of.
//!
//! ```text
//! <path>/entries/<prefix><number>     an item, persistent
//! <path>/taken/<name of the item>     a mark, ephemeral, of who works on it
//! ```
//!
//! An item is deleted together with its mark, in one transaction of who has marked it. So an item is
//! there until its work is done, and nobody but the owner of the mark deletes it. A
//! [`CuratorQueue`](crate::CuratorQueue) has the two directories elsewhere.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::Duration;

use reefkeeper_client::{
    Children, Client, CreateMode, Error as ClientError, ErrorCode, OneShotWatch, Payload, Sessions,
    Stat,
};
use tokio::runtime::Handle;

use crate::error::Error;
use crate::guid::Guid;
use crate::hold::FencingToken;
use crate::mutant;
use crate::passing::is_passing;
use crate::queue::Due;
use crate::renewed::in_each;
use crate::tree_path::child;

/// Where the items are.
const ENTRIES: &str = "entries";
/// Where the marks are.
const TAKEN: &str = "taken";

/// How long to sleep at most until an item is due: so that clocks which are set are noticed.
const NAP_MAX: Duration = Duration::from_secs(60);

/// The items of a queue.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    sessions: Sessions,
    /// Where the items are.
    entries: String,
    /// Where the marks are.
    taken: String,
}

impl Shelf {
    /// One of our own, with both directories below a path.
    pub(crate) fn new(sessions: Sessions, path: &str) -> Self {
        Self::at(sessions, child(path, ENTRIES), child(path, TAKEN))
    }

    /// One whose items and marks are in these directories.
    pub(crate) const fn at(sessions: Sessions, entries: String, taken: String) -> Self {
        Self { sessions, entries, taken }
    }

    /// Adds items whose names begin so, all or none.
    pub(crate) async fn put(&self, prefix: &str, items: Vec<Payload>) -> Result<(), Error> {
        let client = self.sessions.current();
        let directory = &self.entries;
        let path = child(directory, prefix);
        if mutant::active(33) && items.len() > 1 {
            for item in items {
                Box::pin(self.put(prefix, vec![item])).await?;
            }
            return Ok(());
        }
        loop {
            let put = || {
                let mode = CreateMode::PersistentSequential;
                let transaction = client.transaction();
                let all = items
                    .iter()
                    .fold(transaction, |all, item| all.create(&path, item.clone(), mode));
                all.commit()
            };
            match client.patiently(put).await {
                Ok(_) => return Ok(()),
                Err(ClientError::Aborted { code: ErrorCode::NoNode, .. }) => {
                    client.ensure(directory, CreateMode::Persistent).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// How many items there are.
    pub(crate) async fn len(&self) -> Result<usize, Error> {
        let client = self.sessions.current();
        match client.patiently(|| client.exists(&self.entries)).await? {
            Some(stat) => Ok(usize::try_from(stat.num_children).unwrap_or(0)),
            None => Ok(0),
        }
    }

    /// Waits for the first item that is due and not taken, by name, and takes it.
    pub(crate) async fn take(&self, due: impl Fn(&str) -> Due) -> Result<Taken, Error> {
        let due = &due;
        in_each(&self.sessions, |client| async move { self.take_in(&client, due).await }).await
    }

    /// Takes the first item that is due and not taken, by name.
    pub(crate) async fn try_take(&self, due: impl Fn(&str) -> Due) -> Result<Option<Taken>, Error> {
        let client = self.sessions.current();
        // The marks first: an item that is done after that is in neither list.
        let (marks, _) = self.list(&client, &self.taken).await?;
        let (items, _) = self.list(&client, &self.entries).await?;
        self.take_one_of(&client, &free(&items, &marks), &due).await
    }

    async fn take_in(&self, client: &Client, due: &impl Fn(&str) -> Due) -> Result<Taken, Error> {
        loop {
            let (marks, marks_change) = self.list(client, &self.taken).await?;
            let (items, items_change) = self.list(client, &self.entries).await?;
            let free = free(&items, &marks);
            if let Some(taken) = self.take_one_of(client, &free, due).await? {
                return Ok(taken);
            }
            let next_due = free.iter().filter_map(|name| match due(name) {
                Due::After(delay) => Some(delay),
                Due::Now => Some(Duration::ZERO),
                Due::Never => None,
            });
            let next_due = next_due.filter(|_| !mutant::active(31));
            let nap = next_due.min().unwrap_or(NAP_MAX).min(NAP_MAX);
            let change = tokio::select! {
                change = marks_change => change,
                change = items_change => change,
                () = tokio::time::sleep(nap) => continue,
            };
            match change {
                Ok(_) | Err(ClientError::Refused(ErrorCode::NoWatcher)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn take_one_of(
        &self,
        client: &Client,
        free: &[&str],
        due: &impl Fn(&str) -> Due,
    ) -> Result<Option<Taken>, Error> {
        for name in free.iter().filter(|name| due(name) == Due::Now) {
            let mut taken =
                Taken::begin(client, child(&self.entries, name), child(&self.taken, name));
            if taken.mark().await? && taken.read().await? {
                if mutant::active(11) {
                    client.insistently(|| client.delete(&taken.item, None)).await?;
                }
                return Ok(Some(taken));
            }
        }
        Ok(None)
    }

    /// The names in a directory, which is made if it is missing, and what tells when they change.
    async fn list(
        &self,
        client: &Client,
        directory: &str,
    ) -> Result<(Children, OneShotWatch), ClientError> {
        loop {
            match client.patiently(|| client.get_children_and_watch(directory)).await {
                Err(ClientError::Refused(ErrorCode::NoNode)) => {
                    client.ensure(directory, CreateMode::Persistent).await?;
                }
                outcome => return outcome,
            }
        }
    }
}

/// The names of the items that have no mark, in order.
fn free<'n>(items: &'n Children, marks: &Children) -> Vec<&'n str> {
    let marked: HashSet<&str> = marks.names.iter().map(String::as_str).collect();
    let names = items.names.iter().map(String::as_str);
    let mut free: Vec<&str> = names.filter(|name| !marked.contains(name)).collect();
    sort(&mut free);
    if mutant::active(24) {
        free.reverse();
    }
    free
}

/// Sorts names of items by what stands before their numbers, and those that have the same there by their numbers.
///
/// The counter of the directory may have wrapped between two items, but no queue is half as long as its range.
fn sort(names: &mut [&str]) {
    let Some(first) = names.first().map(|name| parted(name).1) else { return };
    names.sort_by_key(|name| {
        let (prefix, number) = parted(name);
        (prefix, Reverse(first.wrapping_sub(number)), *name)
    });
}

/// The part of a name before its number, and the number, which the server has made at least ten characters wide; one
/// that has wrapped begins with a sign. What has no number counts as one of 0.
fn parted(name: &str) -> (&str, i32) {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count().min(10);
    let (before, _) = name.split_at(name.len() - digits);
    let signed = before.strip_suffix('-').filter(|before| is_before_a_number(before));
    let prefix = match signed {
        Some(prefix) if digits >= 9 => prefix,
        _ if digits == 10 => before,
        _ => return (name, 0),
    };
    (prefix, name[prefix.len()..].parse().unwrap_or(0))
}

/// Whether a number can follow, so that a hyphen that does is its sign: all have a hyphen there, but for Curator's
/// `DistributedPriorityQueue` with its nine digits.
fn is_before_a_number(prefix: &str) -> bool {
    let priority = prefix.strip_prefix("queue-").unwrap_or_default();
    prefix.ends_with('-')
        || priority.len() == 9 && priority.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An item of a [`crate::Queue`] or a [`crate::DelayQueue`] that this participant works on. Nobody
/// else takes it as long as the session goes on.
///
/// Dropping it gives it back in the background.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::Queue;
///
/// let client = Client::connect(ensemble).await?;
/// let mails = Queue::new(&client, "/outbox");
/// mails.put("hello").await?;
/// mails.take().await?.give_back().await?;
/// let mail = mails.take().await?;
/// assert_eq!(mail.data(), b"hello");
/// mail.done().await?;
/// assert!(mails.is_empty().await?);
/// # Ok(()) });
/// ```
#[derive(Debug)]
#[must_use = "an item that is dropped is given back"]
pub struct Taken {
    client: Client,
    item: String,
    mark: String,
    /// What the mark holds: nobody else's does.
    guid: String,
    data: Vec<u8>,
    /// The numbers of the mark, once it is there.
    stat: Option<Stat>,
    /// Whether there may be a mark.
    is_marked: bool,
    runtime: Handle,
}

impl Taken {
    fn begin(client: &Client, item: String, mark: String) -> Self {
        Self {
            client: client.clone(),
            item,
            mark,
            guid: Guid::random().to_string(),
            data: Vec::new(),
            stat: None,
            is_marked: false,
            runtime: Handle::current(),
        }
    }

    /// What was put.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The path of its znode.
    pub fn path(&self) -> &str {
        &self.item
    }

    /// A number that is higher each time the item is taken; see [`FencingToken`].
    ///
    /// # Panics
    /// Never: only what is marked is given out.
    pub fn token(&self) -> FencingToken {
        FencingToken::new(self.stat.as_ref().expect("marked before it is given out").czxid)
    }

    /// The work is done: takes the item from the queue for ever.
    ///
    /// # Errors
    /// The end of the session, after which another may work on it, unless
    /// [`Error::may_have_happened`]; [`Error::Removed`] if somebody deleted the mark, after which
    /// another may work on it, too; and those of every transaction.
    pub async fn done(mut self) -> Result<(), Error> {
        let client = self.client.clone();
        let mut lost: Option<ClientError> = None;
        loop {
            let mark = client.transaction().delete(&self.mark, None);
            let transaction = if mutant::active(11) { mark } else { mark.delete(&self.item, None) };
            match transaction.commit().await {
                Ok(_) => break,
                Err(error) if is_passing(&error) => {
                    if error.may_have_happened() && !mutant::active(10) {
                        lost = Some(error);
                    }
                    client.writable().await.map_err(|end| lost.clone().unwrap_or(end))?;
                }
                // Nobody else deletes the mark, so this did before.
                Err(ClientError::Aborted { code: ErrorCode::NoNode, .. }) if lost.is_some() => {
                    break;
                }
                Err(ClientError::Aborted { code: ErrorCode::NoNode, .. }) => {
                    return Err(Error::Removed { path: self.mark.clone() });
                }
                Err(error) if error.is_session_expired() => {
                    return Err(lost.unwrap_or(error).into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.is_marked = false;
        Ok(())
    }

    /// Gives it back, for others to take, and waits until that is done.
    ///
    /// # Errors
    /// Those of every deletion. That the session is over is none: it is given back then.
    pub async fn give_back(mut self) -> Result<(), Error> {
        unmark(&self.client, &self.mark, &self.guid).await?;
        self.is_marked = false;
        Ok(())
    }

    /// Marks the item; returns whether it is ours.
    async fn mark(&mut self) -> Result<bool, ClientError> {
        let client = self.client.clone();
        self.is_marked = true;
        loop {
            let guid = Payload::from(self.guid.as_str());
            match client.create(&self.mark, guid, CreateMode::Ephemeral).await {
                Ok(created) => {
                    self.stat = Some(created.stat);
                    return Ok(true);
                }
                Err(ClientError::Refused(ErrorCode::NodeExists)) => {
                    // Maybe by a request of ours whose answer was lost.
                    self.is_marked = self.find_mark().await?;
                    return Ok(self.is_marked);
                }
                Err(error) if is_passing(&error) => client.writable().await?,
                Err(error) => {
                    self.is_marked = false;
                    return Err(error);
                }
            }
        }
    }

    /// Whether the mark that is there is ours.
    async fn find_mark(&mut self) -> Result<bool, ClientError> {
        let client = self.client.clone();
        client.patiently(|| client.sync(&self.mark)).await?;
        match client.patiently(|| client.get_data(&self.mark)).await {
            Ok(data) => {
                let is_ours = data.bytes() == self.guid.as_bytes() || mutant::active(12);
                self.stat = Some(data.stat);
                Ok(is_ours)
            }
            Err(ClientError::Refused(ErrorCode::NoNode)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads the marked item; returns whether there is one. It may have been done, mark and all,
    /// between our look at the list and our mark.
    async fn read(&mut self) -> Result<bool, ClientError> {
        let client = self.client.clone();
        match client.patiently(|| client.get_data(&self.item)).await {
            Ok(data) => {
                self.data = data.bytes().to_vec();
                Ok(true)
            }
            Err(ClientError::Refused(ErrorCode::NoNode)) => {
                unmark(&client, &self.mark, &self.guid).await?;
                self.is_marked = false;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.is_marked || self.client.state().is_over() {
            return;
        }
        let (client, mark) = (self.client.clone(), std::mem::take(&mut self.mark));
        let guid = std::mem::take(&mut self.guid);
        self.runtime.spawn(async move {
            // A create that was under way is done before this. What can not be deleted ends with the session.
            drop(unmark(&client, &mark, &guid).await);
        });
    }
}

/// Deletes the mark with that guid; the end of the session is as good.
///
/// It looks again when an answer was lost: the mark may be gone, and that of who took the item since in its
/// place, who may be this participant.
async fn unmark(client: &Client, mark: &str, guid: &str) -> Result<(), ClientError> {
    let outcome = loop {
        let found = async {
            client.patiently(|| client.sync(mark)).await?;
            client.patiently(|| client.get_data(mark)).await
        };
        match found.await {
            Ok(data) if data.bytes() == guid.as_bytes() => {}
            found => break found.map(drop),
        }
        match client.delete(mark, None).await {
            Err(error) if is_passing(&error) => {}
            outcome => break outcome,
        }
    };
    match outcome {
        Err(ClientError::Refused(ErrorCode::NoNode)) => Ok(()),
        Err(error) if error.is_session_expired() => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(mut names: Vec<&str>) -> Vec<&str> {
        sort(&mut names);
        names
    }

    #[test]
    fn a_counter_that_wrapped_goes_on() {
        let prefixes = [
            "entry-100-",
            "due-00000000001790000000-",
            "queue-",
            "queue-1000000AC",
            "queue-100000064",
        ];
        for prefix in prefixes {
            let numbers = ["2147483646", "2147483647", "-2147483648", "-2147483647", "-1999999999"];
            let expected = numbers.map(|number| format!("{prefix}{number}"));
            for first in 0..numbers.len() {
                let mut turned: Vec<&str> = expected.iter().map(String::as_str).collect();
                turned.rotate_left(first);
                assert_eq!(sorted(turned.clone()), expected);
                turned.reverse();
                assert_eq!(sorted(turned), expected);
            }
        }
        // Nine digits and a sign are as wide as ten digits.
        let names = ["entry-100--000000001", "entry-100-0000000000", "entry-100-0000000001"];
        assert_eq!(sorted(vec![names[2], names[0], names[1]]), names);
    }

    #[test]
    fn what_stands_before_the_number_decides_first() {
        let names = [
            "entry-001--2147483648",
            "entry-002-2147483647",
            "entry-002--2147483648",
            "entry-100-2147483646",
        ];
        assert_eq!(sorted(vec![names[3], names[2], names[1], names[0]]), names);
        let names = [
            "queue-0FFFFFFFF0000000007",
            "queue-1000000990000000008",
            "queue-1000000AC0000000002",
            "queue-1000000AC0000000005",
        ];
        assert_eq!(sorted(vec![names[3], names[2], names[1], names[0]]), names);
    }

    #[test]
    fn names_of_others_are_in_some_order() {
        let names = ["", "a", "entry-100-x", "é-1"];
        assert_eq!(sorted(vec![names[3], names[2], names[1], names[0]]), names);
    }
}
