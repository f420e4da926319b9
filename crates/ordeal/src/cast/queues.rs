//! Queues of all kinds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reefkeeper_client::Sessions;
use reefkeeper_recipes::{
    CuratorQueue, DelayQueue, Error, Priority, Queue, Taken, TakenItems, wall_clock,
};
use tokio::time::timeout;

use super::{Actor, prop};
use crate::history::{Book, Share, TakenAt};
use crate::play::Recipe;

/// How urgent items may be.
const PRIORITIES: [u16; 5] = [0, 7, 10, 100, 999];

/// A queue of some kind.
#[derive(Debug)]
pub enum AnyQueue {
    /// With or without priorities.
    Plain(Queue),
    /// In Curator's layout.
    Curator(CuratorQueue),
    /// Of items that are due later.
    Delayed(DelayQueue),
}

/// What was taken out of one.
#[derive(Debug)]
pub enum AnyTaken {
    /// One item.
    Plain(Taken),
    /// Items that were put in together.
    Curator(TakenItems),
}

/// What is handed out, below a root.
pub fn queue(sessions: &Sessions, root: &str, recipe: Recipe) -> AnyQueue {
    let path = format!("{root}/queue");
    match recipe {
        Recipe::CuratorQueue => {
            AnyQueue::Curator(CuratorQueue::new(sessions, items(root), marks(root)))
        }
        Recipe::DelayQueue => AnyQueue::Delayed(DelayQueue::new(sessions, path)),
        _ => AnyQueue::Plain(Queue::new(sessions, path)),
    }
}

/// Where what is handed out is, below a root.
pub fn items(root: &str) -> String {
    format!("{root}/queue/entries")
}

/// Where it is marked who works on what is handed out, below a root.
pub fn marks(root: &str) -> String {
    format!("{root}/queue/taken")
}

/// A time in milliseconds.
pub(super) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl AnyQueue {
    async fn take(&self) -> Result<AnyTaken, Error> {
        Ok(match self {
            Self::Plain(queue) => AnyTaken::Plain(queue.take().await?),
            Self::Curator(queue) => AnyTaken::Curator(queue.take().await?),
            Self::Delayed(queue) => AnyTaken::Plain(queue.take().await?),
        })
    }

    /// Takes something, if there is something.
    ///
    /// # Errors
    /// Those of the queue.
    pub async fn try_take(&self) -> Result<Option<AnyTaken>, Error> {
        Ok(match self {
            Self::Plain(queue) => queue.try_take().await?.map(AnyTaken::Plain),
            Self::Curator(queue) => queue.try_take().await?.map(AnyTaken::Curator),
            Self::Delayed(queue) => queue.try_take().await?.map(AnyTaken::Plain),
        })
    }
}

impl AnyTaken {
    /// What was put in.
    pub fn items(&self) -> Vec<String> {
        let text = |item: &[u8]| String::from_utf8_lossy(item).into_owned();
        match self {
            Self::Plain(taken) => vec![text(taken.data())],
            Self::Curator(taken) => taken.items().iter().map(|item| text(item)).collect(),
        }
    }

    /// The path of its znode.
    pub fn path(&self) -> &str {
        match self {
            Self::Plain(taken) => taken.path(),
            Self::Curator(taken) => taken.path(),
        }
    }

    /// Takes it from the queue for ever.
    ///
    /// # Errors
    /// Those of the queue.
    pub async fn done(self) -> Result<(), Error> {
        match self {
            Self::Plain(taken) => taken.done().await,
            Self::Curator(taken) => taken.done().await,
        }
    }

    async fn give_back(self) -> Result<(), Error> {
        match self {
            Self::Plain(taken) => taken.give_back().await,
            Self::Curator(taken) => taken.give_back().await,
        }
    }

    fn token(&self) -> u64 {
        match self {
            Self::Plain(taken) => taken.token().to_u64(),
            Self::Curator(taken) => taken.token().to_u64(),
        }
    }

    /// Writes down when it was taken, if it was due at some time.
    pub fn note_time(&self, book: &Book) {
        let (at_ms, token, mut book) = (milliseconds(wall_clock()), self.token(), book.open());
        if let Self::Plain(_) = self {
            for item in self.items() {
                if let Some(&due_ms) = book.items.ranks.get(&item) {
                    book.delays.taken.push(TakenAt { item, due_ms, at_ms, token });
                }
            }
        }
    }
}

impl Actor {
    /// Puts something in, or takes something out; in peace one after the other.
    pub(super) async fn hand_out(&self, number: u64) -> Result<(), Error> {
        let queue = queue(&self.sessions, &self.root, self.play.recipe);
        if self.is_peace() {
            self.put(&queue, number).await?;
            return self.work_on(queue.take().await?).await;
        }
        if self.chance(550) {
            return self.put(&queue, number).await;
        }
        let taken = match self.chance(500) {
            true => queue.try_take().await?,
            false => timeout(self.timeout, queue.take()).await.ok().transpose()?,
        };
        match taken {
            // Who has put something in, in peace, has a right to as much.
            Some(taken) if self.is_peace() => taken.give_back().await,
            Some(taken) => self.work_on(taken).await,
            None => Ok(()),
        }
    }

    async fn put(&self, queue: &AnyQueue, number: u64) -> Result<(), Error> {
        let mut items = vec![format!("{}.{number}", self.who)];
        let can_be_several =
            matches!(self.play.recipe, Recipe::PriorityQueue | Recipe::CuratorQueue);
        if can_be_several && self.chance(400) {
            items.push(format!("{}.{number}b", self.who));
        }
        let priority = match items.len() {
            1 => PRIORITIES[self.random.borrow_mut().index(PRIORITIES.len())],
            _ => 100,
        };
        let due = wall_clock() + self.duration(self.timeout * 2) + Duration::from_millis(1);
        {
            let mut book = self.book.open();
            book.items.maybe_put.extend(items.iter().cloned());
            if items.len() > 1 {
                book.items.together.push(items.clone());
            }
            let rank = match self.play.recipe {
                Recipe::PriorityQueue => Some(u64::from(priority)),
                Recipe::DelayQueue => Some(milliseconds(due)),
                _ => None,
            };
            if let Some(rank) = rank {
                book.items.ranks.extend(items.iter().map(|item| (item.clone(), rank)));
            }
        }
        match queue {
            AnyQueue::Curator(queue) => queue.put_together(&items).await?,
            AnyQueue::Delayed(queue) => queue.put(items[0].clone(), due).await?,
            AnyQueue::Plain(queue) if items.len() > 1 => queue.put_all(items.clone()).await?,
            AnyQueue::Plain(queue) if self.play.recipe == Recipe::PriorityQueue => {
                let priority = Priority::new(priority).expect("below 1000");
                queue.put_with(items[0].clone(), priority).await?;
            }
            AnyQueue::Plain(queue) => queue.put(items[0].clone()).await?,
        }
        self.book.open().items.put.extend(items);
        if let AnyQueue::Delayed(_) = queue {
            self.note_tide().await;
        }
        Ok(())
    }

    /// Makes a transaction, to know what has come after a time.
    async fn note_tide(&self) {
        let client = self.sessions.current();
        if let Ok(stat) = client.set_data(&prop(&self.root), "", None).await {
            let tide = (milliseconds(wall_clock()), stat.mzxid.raw().cast_unsigned());
            self.book.open().delays.tides.push(tide);
        }
    }

    async fn work_on(&self, taken: AnyTaken) -> Result<(), Error> {
        // In the session that has it: who has lost it works no longer.
        let client = self.sessions.current();
        if self.play.recipe == Recipe::DelayQueue {
            taken.note_time(&self.book);
        }
        let name = taken.path().rsplit('/').next().unwrap_or_default();
        let mark = format!("{}/{name}", marks(&self.root));
        self.use_turn(taken.path(), Share::Alone, taken.token(), &mark, &client).await;
        if !self.is_peace() && self.chance(200) {
            match self.chance(500) {
                true => return taken.give_back().await,
                // It goes back.
                false => return Ok(()),
            }
        }
        let mut items = taken.items();
        items.retain(|item| self.book.open().items.maybe_done.insert(item.clone()));
        let (all, first) = (taken.items(), items);
        let done = taken.done().await;
        let mut book = self.book.open();
        match &done {
            Ok(()) => book.items.done.extend(all),
            Err(error) if !error.may_have_happened() => {
                book.items.maybe_done.retain(|item| !first.contains(item));
            }
            Err(_) => {}
        }
        done
    }
}
