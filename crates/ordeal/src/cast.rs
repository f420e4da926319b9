//! What a participant does: it wishes something of its recipe again and again, until there is peace, and
//! then once more.

mod agreements;
mod leaders;

use std::cell::RefCell;
use std::time::Duration;

use reefkeeper_client::{Client, Error as ClientError, OpResult, Sessions};
use reefkeeper_recipes::{
    Cache, Counter, Error, Hold, IdGenerator, Lock, MultiLock, Queue, ReadWriteLock, Semaphore,
};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

pub use self::agreements::{outcomes, tasks};
use crate::history::{Book, Share, Turn, TurnId};
use crate::play::{Play, Recipe};
use crate::random::Random;

/// What holders write.
const PROP: &str = "/prop";
/// Permits of the semaphore.
const PERMITS: usize = 2;
/// Locks of the multiple lock.
const LOCKS: usize = 3;
/// Numbers that a generator reserves at a time.
const BLOCK: u32 = 3;
/// Wishes of a participant at most, until there is peace: more of the same would find nothing more.
const WISHES: u32 = 24;
/// Things that a holder does in its turn.
const WRITES_MAX: u64 = 3;

/// One participant.
#[derive(Debug)]
pub struct Actor {
    /// Its number, which no other has.
    pub who: u32,
    /// How it reaches the servers.
    pub sessions: Sessions,
    /// The run.
    pub play: Play,
    /// Where it writes what it sees.
    pub book: Book,
    /// Where all that is shared is.
    pub root: String,
    /// Whether nothing goes wrong anymore.
    pub peace: watch::Receiver<bool>,
    /// The session timeout that it asked for.
    pub timeout: Duration,
    /// What it draws from.
    pub random: RefCell<Random>,
    /// Where its numbers come from.
    pub ids: IdGenerator,
    /// Its copy of what all may change, if the run is about that.
    pub copy: Option<Cache>,
}

/// Where the lines of a run are, below the root.
pub fn lines(recipe: Recipe) -> &'static [&'static str] {
    match recipe {
        Recipe::Lock | Recipe::ReadWriteLock | Recipe::LeaderLatch | Recipe::LeaderSelector => {
            &["/line"]
        }
        Recipe::MultiLock => &["/line-0", "/line-1", "/line-2"],
        Recipe::Semaphore => &["/line/leases"],
        Recipe::WorkerIds => &["/workers/0", "/workers/1"],
        Recipe::Tasks => &["/tasks/master", "/tasks/workers"],
        Recipe::Gathering => &["/group", "/barrier-last"],
        Recipe::Counter
        | Recipe::IdGenerator
        | Recipe::Queue
        | Recipe::AtomicValue
        | Recipe::TwoPhaseCommit
        | Recipe::Cache => &[],
    }
}

/// What holders write, below a root.
pub fn prop(root: &str) -> String {
    format!("{root}{PROP}")
}

/// What is counted, below a root.
pub fn counter(sessions: &Sessions, root: &str) -> Counter {
    Counter::new(sessions, format!("{root}/sum"))
}

/// Where numbers come from, below a root.
pub fn ids(sessions: &Sessions, root: &str) -> IdGenerator {
    IdGenerator::new(sessions, format!("{root}/ids"), BLOCK)
}

/// A copy of what all may change, below a root.
pub fn copy(sessions: &Sessions, root: &str) -> Cache {
    Cache::of_tree(sessions, agreements::copied(root))
}

/// Where it is marked who works on what is handed out, below a root.
pub fn marks(root: &str) -> String {
    format!("{root}/queue/taken")
}

/// What is handed out, below a root.
pub fn queue(sessions: &Sessions, root: &str) -> Queue {
    Queue::new(sessions, format!("{root}/queue"))
}

impl Actor {
    /// Does its part until there is peace, and once more then.
    pub async fn perform(self) {
        let mut wishes = 0;
        while !self.is_peace() {
            wishes += 1;
            let wish = self.wish(wishes);
            if self.chance(self.play.impatience_permille) {
                let patience = self.duration(self.timeout);
                if timeout(patience, wish).await.is_err() {
                    self.book.open().count("wishes dropped");
                }
            } else if let Err(error) = wish.await {
                self.failed(&error);
            }
            sleep(self.duration(self.play.think) + self.play.war / WISHES).await;
        }
        while let Err(error) = self.wish(wishes + 1).await {
            self.failed(&error);
            wishes += 1;
            sleep(self.timeout / 8).await;
        }
        self.book.open().count("last wishes");
        // Nobody has to wait until it expires; if that fails, it does.
        drop(self.sessions.close().await);
    }

    fn failed(&self, error: &Error) {
        let is_doubtful = error.may_have_happened();
        let what = if is_doubtful { "wishes in doubt" } else { "wishes failed" };
        self.book.open().count(what);
    }

    /// Wishes something once.
    async fn wish(&self, number: u64) -> Result<(), Error> {
        match self.play.recipe {
            Recipe::Lock => self.lock().await,
            Recipe::ReadWriteLock => self.read_or_write().await,
            Recipe::Semaphore => self.hold_with_others().await,
            Recipe::MultiLock => self.hold_several().await,
            Recipe::LeaderLatch => self.lead_for_a_while().await,
            Recipe::LeaderSelector => self.lead().await,
            Recipe::Counter => self.count().await,
            Recipe::IdGenerator => {
                let id = self.ids.next().await?;
                self.book.open().ids.push(id);
                Ok(())
            }
            Recipe::Queue => self.hand_out(number).await,
            Recipe::WorkerIds => self.have_a_number().await,
            Recipe::AtomicValue => self.change_a_value().await,
            Recipe::Tasks => self.work(number).await,
            Recipe::TwoPhaseCommit => self.agree(number).await,
            Recipe::Gathering => self.gather(number).await,
            Recipe::Cache => match &self.copy {
                Some(copy) => self.change_what_is_copied(copy).await,
                None => Ok(()),
            },
        }
    }

    async fn lock(&self) -> Result<(), Error> {
        let path = self.line();
        let lock = Lock::new(&self.sessions, &path);
        let hold = match self.chance(200) && !self.is_peace() {
            true => lock.try_acquire().await?,
            false => Some(lock.acquire().await?),
        };
        match hold {
            Some(hold) => self.use_hold(&path, Share::Alone, hold).await,
            None => Ok(()),
        }
    }

    async fn read_or_write(&self) -> Result<(), Error> {
        let path = self.line();
        let lock = ReadWriteLock::new(&self.sessions, &path);
        if self.chance(500) {
            self.use_hold(&path, Share::Reading, lock.read().await?).await
        } else {
            self.use_hold(&path, Share::Alone, lock.write().await?).await
        }
    }

    async fn hold_with_others(&self) -> Result<(), Error> {
        let path = self.line();
        let semaphore = Semaphore::new(&self.sessions, &path, PERMITS);
        self.use_hold(&path, Share::Among(PERMITS), semaphore.acquire().await?).await
    }

    async fn hold_several(&self) -> Result<(), Error> {
        let mut paths: Vec<_> = (0..LOCKS).map(|at| format!("{}-{at}", self.line())).collect();
        if self.chance(500) {
            paths.reverse();
        }
        paths.remove(self.random.borrow_mut().index(LOCKS));
        let locks = paths.iter().map(|path| Lock::new(&self.sessions, path));
        let holds = MultiLock::new(locks).acquire().await?;
        for hold in &holds {
            let line = parent(hold.path());
            self.use_turn(line, Share::Alone, hold.token().to_u64(), hold.path(), hold.client())
                .await;
        }
        for hold in holds {
            hold.release().await?;
        }
        Ok(())
    }

    async fn count(&self) -> Result<(), Error> {
        // Who drops the wish does not know whether it was fulfilled.
        let mut doubt = Doubt { book: &self.book, is_settled: false };
        let added = counter(&self.sessions, &self.root).add(1).await;
        match &added {
            Ok(sum) => {
                doubt.is_settled = true;
                self.book.open().sum.answers.push(*sum);
            }
            Err(error) => doubt.is_settled = !error.may_have_happened(),
        }
        added.map(drop)
    }

    /// Puts something in, or takes something out.
    async fn hand_out(&self, number: u64) -> Result<(), Error> {
        let queue = queue(&self.sessions, &self.root);
        if self.chance(550) {
            let item = format!("{}.{number}", self.who);
            self.book.open().items.maybe_put.insert(item.clone());
            queue.put(item.clone()).await?;
            self.book.open().items.put.insert(item);
            return Ok(());
        }
        let client = self.sessions.current();
        let taken = match self.is_peace() || self.chance(500) {
            true => queue.try_take().await?,
            false => timeout(self.timeout, queue.take()).await.ok().transpose()?,
        };
        let Some(taken) = taken else { return Ok(()) };
        // In the session that has it: who has lost it works no longer.
        let name = taken.path().rsplit('/').next().unwrap_or_default();
        let mark = format!("{}/{name}", marks(&self.root));
        let token = taken.token().to_u64();
        self.use_turn(taken.path(), Share::Alone, token, &mark, &client).await;
        if self.chance(200) && !self.is_peace() {
            // It goes back.
            return Ok(());
        }
        let item = String::from_utf8_lossy(taken.data()).into_owned();
        let is_first = self.book.open().items.maybe_done.insert(item.clone());
        let done = taken.done().await;
        let mut book = self.book.open();
        match &done {
            Ok(()) => book.items.done.push(item),
            Err(error) if is_first && !error.may_have_happened() => {
                book.items.maybe_done.remove(&item);
            }
            Err(_) => {}
        }
        done
    }

    async fn use_hold(&self, line: &str, share: Share, hold: Hold) -> Result<(), Error> {
        self.use_turn(line, share, hold.token().to_u64(), hold.path(), hold.client()).await;
        if self.chance(200) {
            // It is given up in the background.
            return Ok(());
        }
        hold.release().await
    }

    /// Does what only a holder may do: in transactions that are made only while its znode is there, and
    /// with a service that looks at the token.
    async fn use_turn(&self, line: &str, share: Share, token: u64, path: &str, client: &Client) {
        let (line, who) = (line.to_owned(), self.who);
        let turn = self.book.open().begin(Turn { line, share, who, token, writes: Vec::new() });
        let writes = self.random.borrow_mut().range(1, WRITES_MAX);
        for _ in 0..writes {
            match self.write(turn, path, client).await {
                Ok(()) if share == Share::Alone => self.book.open().show(turn),
                Ok(()) => {}
                Err(error) if error.is_transient() => {
                    if client.connected().await.is_err() {
                        break;
                    }
                }
                Err(_) => {
                    self.book.open().count("turns that ended early");
                    break;
                }
            }
            sleep(self.duration(self.play.think)).await;
        }
        if !self.is_peace() && self.chance(self.play.sleep_permille) {
            sleep(self.duration(self.timeout * 3)).await;
            if share == Share::Alone {
                self.book.open().show(turn);
            }
        }
    }

    async fn write(&self, turn: TurnId, path: &str, client: &Client) -> Result<(), ClientError> {
        let prop = prop(&self.root);
        let transaction = client.transaction().check(path, None);
        let results = transaction.set_data(&prop, self.who.to_string(), None).commit().await?;
        for result in results {
            if let OpResult::DataSet(stat) = result {
                self.book.open().wrote(turn, stat.mzxid.raw().cast_unsigned());
            }
        }
        Ok(())
    }

    fn line(&self) -> String {
        format!("{}/line", self.root)
    }

    fn is_peace(&self) -> bool {
        *self.peace.borrow()
    }

    fn chance(&self, permille: u64) -> bool {
        self.random.borrow_mut().chance(permille)
    }

    fn duration(&self, longest: Duration) -> Duration {
        self.random.borrow_mut().duration(longest)
    }
}

/// The directory of a znode.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Counts an addition as doubtful unless it is settled.
struct Doubt<'b> {
    book: &'b Book,
    is_settled: bool,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.book.open().sum.doubtful += 1;
        }
    }
}
