//! What a participant does: it wishes something of its recipe again and again, until there is peace, and
//! then once more.

mod agreements;
mod gates;
mod groups;
mod leaders;
mod locks;
mod presence;
mod queues;
mod values;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use reefkeeper_client::{Client, Error as ClientError, OpResult, Sessions};
use reefkeeper_recipes::{Cache, Counter, Error, Hold, IdGenerator};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

pub use self::agreements::{outcomes, tasks};
use self::queues::milliseconds;
pub use self::queues::{AnyQueue, AnyTaken, items, marks, queue};
use crate::history::{Book, Share, Turn, TurnId};
use crate::play::{Play, Recipe};
use crate::random::Random;

/// What holders write.
const PROP: &str = "/prop";
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
    /// When the run has begun.
    pub started: Instant,
    /// The session timeout that it asked for.
    pub timeout: Duration,
    /// What it draws from.
    pub random: RefCell<Random>,
    /// Where its numbers come from.
    pub ids: IdGenerator,
    /// Whether something of an earlier wish may still be given up in the background.
    pub is_untidy: Cell<bool>,
    /// Its copy of what all may change, if the run is about that.
    pub copy: Option<Cache>,
}

/// Where the lines of a run are, below the root.
pub fn lines(recipe: Recipe) -> &'static [&'static str] {
    match recipe {
        Recipe::Lock
        | Recipe::ReadWriteLock
        | Recipe::RevocableLock
        | Recipe::LeaderLatch
        | Recipe::LeaderSelector => &["/line"],
        Recipe::MultiLock => &["/line-0", "/line-1", "/line-2"],
        Recipe::Semaphore => &["/line/leases"],
        Recipe::WorkerIds => &["/workers/0", "/workers/1"],
        Recipe::Tasks => &["/tasks/master", "/tasks/workers"],
        Recipe::Gathering => &["/group", "/barrier-last"],
        Recipe::FailureDetector => &["/group"],
        Recipe::Partition => groups::PLACES,
        Recipe::PersistentTtl => &["/keeps"],
        Recipe::PersistentEphemeral => &["/there"],
        Recipe::Discovery => &["/services/s"],
        Recipe::Counter
        | Recipe::IdGenerator
        | Recipe::Barrier
        | Recipe::Watched
        | Recipe::Queue
        | Recipe::PriorityQueue
        | Recipe::CuratorQueue
        | Recipe::DelayQueue
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
            Recipe::Queue | Recipe::PriorityQueue | Recipe::CuratorQueue | Recipe::DelayQueue => {
                self.hand_out(number).await
            }
            Recipe::RevocableLock => self.hold_until_asked().await,
            Recipe::Barrier => self.pass_a_gate(number).await,
            Recipe::FailureDetector => self.look_after_others().await,
            Recipe::Partition => self.share_out().await,
            Recipe::PersistentTtl => self.keep_for_a_while(number).await,
            Recipe::PersistentEphemeral => self.be_there(number).await,
            Recipe::Watched => self.follow_a_value(number).await,
            Recipe::Discovery => self.serve_and_call(number).await,
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

    /// Says that this one needs the others no more, and waits until none of them needs another.
    async fn until_all_are_content(&self) {
        self.book.open().roll.content.insert(self.who);
        while !self.book.open().roll.are_all_content() {
            sleep(self.timeout / 16).await;
        }
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
