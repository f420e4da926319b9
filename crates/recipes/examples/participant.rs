//! Takes part in recipes beside programs of other libraries, as it is told line by line.
//!
//! ```text
//! cargo run -p reefkeeper-recipes --example participant -- localhost:2181 rust1 10000
//! ```
//!
//! The words are the ensemble, a name and the session timeout in milliseconds. `interop/recipes` runs this
//! together with programs of kazoo and of Curator that are told the same. A line on the standard input is a
//! number, what to do, and with what; everything that is begun goes on at the same time:
//!
//! | line | means |
//! |---|---|
//! | `1 hold lock curator /a 3` | have one's turn three times; the others are `read`, `write`, `lease`, `latch` and `selector`, and the names `kazoo` |
//! | `1 acquire lock curator /a` | have it once, until `1 go` |
//! | `1 meet /a 3` | enter a double barrier for three, and leave it on `1 go` |
//! | `1 count /a 3` | add one to a counter three times |
//! | `1 put kazoo /a 3` | put three items into a queue |
//! | `1 work kazoo /a` | take items until `1 go` |
//! | `1 grab kazoo /a` | take an item, and finish it on `1 go` |
//!
//! It answers in lines of JSON. In its turn it sets the data of `/a-journal`, at the beginning and at the end:
//! these two transactions are what a checker compares with those of others.

#![allow(clippy::print_stdout, reason = "an example shows something")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use reefkeeper_client::Client;
use reefkeeper_recipes::{
    Counter, CuratorQueue, DoubleBarrier, FencingToken, LeaderLatch, LeaderSelector, Led, Lock,
    Naming, Queue, ReadWriteLock, Semaphore, Taken, TakenItems,
};
use tokio::sync::{Notify, mpsc};

type Done = Result<(), Box<dyn Error>>;

/// How many hold a semaphore; the other participants know it, too.
const PERMITS: usize = 2;

/// Something that was begun.
struct Part {
    client: Client,
    name: String,
    number: String,
    go: Arc<Notify>,
}

impl Part {
    async fn run(self, words: Vec<String>) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match self.take(&words).await {
            Ok(()) => self.report("done", ""),
            Err(error) => self.report("failed", &format!(r#", "failure": "{error}""#)),
        }
    }

    async fn take(&self, words: &[&str]) -> Done {
        match *words {
            ["hold", kind, naming, path, count] => {
                for _ in 0..count.parse()? {
                    self.turn(kind, named(naming)?, path, async |_, _| ()).await?;
                }
                Ok(())
            }
            ["acquire", kind, naming, path] => {
                let until_told = async |token: FencingToken, since: i64| {
                    let token = token.to_u64();
                    self.report("acquired", &format!(r#", "token": {token}, "since": {since}"#));
                    self.go.notified().await;
                };
                self.turn(kind, named(naming)?, path, until_told).await
            }
            ["meet", path, count] => self.meet(path, count.parse()?).await,
            ["count", path, count] => {
                let counter = Counter::new(&self.client, path);
                for _ in 0..count.parse::<u32>()? {
                    counter.add(1).await?;
                }
                Ok(())
            }
            ["put", naming, path, count] => {
                let queue = SharedQueue::new(&self.client, named(naming)?, path);
                for item in 0..count.parse::<u32>()? {
                    queue.put(format!("{}-{item}", self.name)).await?;
                }
                Ok(())
            }
            ["work", naming, path] => {
                let queue = SharedQueue::new(&self.client, named(naming)?, path);
                loop {
                    tokio::select! {
                        taken = queue.take() => {
                            let taken = taken?;
                            self.took(&taken);
                            taken.done().await?;
                        }
                        () = self.go.notified() => return Ok(()),
                    }
                }
            }
            ["grab", naming, path] => {
                let queue = SharedQueue::new(&self.client, named(naming)?, path);
                let taken = queue.take().await?;
                self.took(&taken);
                self.go.notified().await;
                taken.done().await
            }
            _ => Err(format!("what is {words:?}?").into()),
        }
    }

    /// Has one's turn, in which something is done with the token and the transaction that noted it.
    async fn turn(
        &self,
        kind: &str,
        naming: Naming,
        path: &str,
        body: impl AsyncFnOnce(FencingToken, i64),
    ) -> Done {
        let client = &self.client;
        let whole = async |token: FencingToken| {
            let since = self.note(path).await?;
            body(token, since).await;
            let (token, until) = (token.to_u64(), self.note(path).await?);
            let fields = format!(r#", "token": {token}, "since": {since}, "until": {until}"#);
            self.report("held", &fields);
            Done::Ok(())
        };
        let hold = match kind {
            "lock" => Lock::new(client, path).naming(naming).acquire().await?,
            "read" => ReadWriteLock::new(client, path).naming(naming).read().await?,
            "write" => ReadWriteLock::new(client, path).naming(naming).write().await?,
            "lease" => Semaphore::new(client, path, PERMITS).acquire().await?,
            "latch" => {
                let mut latch = LeaderLatch::join(client, path, self.name.as_str());
                whole(latch.led().await?).await?;
                return Ok(latch.leave().await?);
            }
            "selector" => {
                let selector = LeaderSelector::new(client, path, self.name.as_str()).naming(naming);
                return match selector.lead(async |hold| whole(hold.token()).await).await? {
                    Led::Finished(outcome) => outcome,
                    Led::Interrupted => Err("it leads no longer".into()),
                };
            }
            other => return Err(format!("what is {other}?").into()),
        };
        whole(hold.token()).await?;
        Ok(hold.release().await?)
    }

    async fn meet(&self, path: &str, count: usize) -> Done {
        let barrier = DoubleBarrier::new(&self.client, path, count);
        self.report_at("came", path).await?;
        let entered = barrier.enter().await?;
        self.report_at("entered", path).await?;
        self.go.notified().await;
        self.report_at("leaving", path).await?;
        entered.leave().await?;
        self.report_at("left", path).await
    }

    fn took(&self, taken: &Work) {
        for item in taken.items() {
            self.report("took", &format!(r#", "item": "{}""#, String::from_utf8_lossy(item)));
        }
    }

    /// Sets the data of the journal; the transaction that did it.
    async fn note(&self, path: &str) -> Result<i64, Box<dyn Error>> {
        let stat =
            self.client.set_data(&format!("{path}-journal"), self.name.as_str(), None).await?;
        Ok(stat.mzxid.raw())
    }

    async fn report_at(&self, event: &str, path: &str) -> Done {
        let at = self.note(path).await?;
        self.report(event, &format!(r#", "at": {at}"#));
        Ok(())
    }

    fn report(&self, event: &str, fields: &str) {
        println!(r#"{{"id": "{}", "event": "{event}"{fields}}}"#, self.number);
    }
}

/// A queue in one layout or the other.
enum SharedQueue {
    Kazoo(Queue),
    Curator(CuratorQueue),
}

impl SharedQueue {
    /// The queue below a path. Curator's programs are told the same two directories.
    fn new(client: &Client, naming: Naming, path: &str) -> Self {
        let directories = [format!("{path}/entries"), format!("{path}/taken")];
        match (naming, directories) {
            (Naming::Kazoo, _) => Self::Kazoo(Queue::new(client, path)),
            (Naming::Curator, [items, marks]) => {
                Self::Curator(CuratorQueue::new(client, items, marks))
            }
        }
    }

    async fn put(&self, item: String) -> Done {
        match self {
            Self::Kazoo(queue) => Ok(queue.put(item).await?),
            Self::Curator(queue) => Ok(queue.put(item).await?),
        }
    }

    async fn take(&self) -> Result<Work, Box<dyn Error>> {
        match self {
            Self::Kazoo(queue) => Ok(Work::Kazoo(queue.take().await?)),
            Self::Curator(queue) => Ok(Work::Curator(queue.take().await?)),
        }
    }
}

/// What was taken from such a queue.
enum Work {
    Kazoo(Taken),
    Curator(TakenItems),
}

impl Work {
    fn items(&self) -> Vec<&[u8]> {
        match self {
            Self::Kazoo(taken) => vec![taken.data()],
            Self::Curator(taken) => taken.items().iter().map(Vec::as_slice).collect(),
        }
    }

    async fn done(self) -> Done {
        match self {
            Self::Kazoo(taken) => Ok(taken.done().await?),
            Self::Curator(taken) => Ok(taken.done().await?),
        }
    }
}

fn named(naming: &str) -> Result<Naming, Box<dyn Error>> {
    match naming {
        "curator" => Ok(Naming::Curator),
        "kazoo" => Ok(Naming::Kazoo),
        other => Err(format!("whose names are those of {other}?").into()),
    }
}

/// The lines of the standard input.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    lines
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [ensemble, name, session_ms] = words.as_slice() else {
        return Err("the words are: ensemble, name, session timeout in ms".into());
    };
    let timeout = Duration::from_millis(session_ms.parse()?);
    let client = Client::builder(ensemble.as_str()).session_timeout(timeout).connect().await?;
    println!(r#"{{"id": "", "event": "ready"}}"#);
    let mut signals: HashMap<String, Arc<Notify>> = HashMap::new();
    let mut lines = lines();
    let parts = tokio::task::LocalSet::new();
    let told = async {
        while let Some(line) = lines.recv().await {
            let mut words = line.split_whitespace().map(str::to_owned);
            let number = words.next().ok_or("a line has a number")?;
            let words: Vec<String> = words.collect();
            if words == ["go"] {
                signals.get(&number).ok_or("it was not begun")?.notify_one();
                continue;
            }
            let go = Arc::new(Notify::new());
            signals.insert(number.clone(), Arc::clone(&go));
            let part = Part { client: client.clone(), name: name.clone(), number, go };
            tokio::task::spawn_local(part.run(words));
        }
        Done::Ok(())
    };
    parts.run_until(told).await?;
    client.close().await?;
    Ok(())
}
