//! One run: participants work while they are killed, cut off and held up; then there is peace, in which each
//! must have its wish; then it is looked what is left.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use reefkeeper_client::{Client, CreateMode, Host, Sessions};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::cast::{self, Actor};
use crate::gate::{Connecting, Gate, Held};
use crate::history::{Book, Drained};
use crate::play::{Play, Recipe};
use crate::random::Random;

/// Where the servers are.
#[derive(Clone)]
pub struct Site {
    /// Their names and ports.
    pub ensemble: String,
    /// The session timeout to ask for.
    pub timeout: Duration,
    /// How to connect to one.
    pub connect: Arc<dyn Fn(Host) -> Connecting + Send + Sync>,
    /// Where all that is shared is; nothing is there yet.
    pub root: String,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("ensemble", &self.ensemble).finish_non_exhaustive()
    }
}

/// A participant at work.
struct Engaged {
    who: u32,
    gate: Gate,
    task: JoinHandle<()>,
}

struct Performance {
    site: Site,
    play: Play,
    book: Book,
    random: Random,
    peace: watch::Receiver<bool>,
    engaged: Vec<Engaged>,
    next: u32,
    started: Instant,
}

/// Makes a run; what was seen is in the book. To be called inside of a [`tokio::task::LocalSet`].
///
/// `make_peace` ends the faults of servers, and says how long it takes at most until they serve, and old
/// sessions are over.
pub async fn perform(
    site: Site,
    play: Play,
    book: Book,
    mut random: Random,
    make_peace: impl AsyncFnOnce() -> Duration,
) {
    let (herald, peace) = watch::channel(false);
    let gate = Gate::default();
    let inspector = site.sessions(&gate, random.number());
    prepare(&inspector, &site.root).await;
    let participants = play.participants;
    let war = play.war;
    let (engaged, next, started) = (Vec::new(), 1, Instant::now());
    let mut run = Performance { site, play, book, random, peace, engaged, next, started };
    for _ in 0..participants {
        run.engage();
    }
    run.wage(Instant::now() + war).await;
    for engaged in &run.engaged {
        engaged.gate.hold(Held::default());
    }
    let bound = make_peace().await;
    herald.send_replace(true);
    let turns = participants + 2;
    let patience = bound * 2 + run.site.timeout * 4 * turns + Duration::from_secs(20);
    run.finish(Instant::now() + patience).await;
    run.inspect(&inspector, Instant::now() + patience).await;
    drop(inspector.close().await);
}

/// Makes what all write to, whatever that takes.
async fn prepare(sessions: &Sessions, root: &str) {
    loop {
        let client = sessions.current();
        let prop = cast::prop(root);
        let made = client.insistently(|| client.ensure(&prop, CreateMode::Persistent)).await;
        if made.is_ok() {
            return;
        }
    }
}

impl Site {
    /// Sessions of a program whose way to the servers is that gate.
    fn sessions(&self, gate: &Gate, seed: u64) -> Sessions {
        let (gate, connect) = (gate.clone(), Arc::clone(&self.connect));
        Client::builder(&self.ensemble)
            .session_timeout(self.timeout)
            .seed(seed)
            .connector(move |host| gate.clone().pass(connect(host)))
            .sessions()
            .expect("the names of servers are well formed")
    }
}

impl Performance {
    /// One more participant.
    fn engage(&mut self) {
        let gate = Gate::default();
        let sessions = self.site.sessions(&gate, self.random.number());
        let who = self.next;
        self.next += 1;
        self.book.open().roll.alive.insert(who);
        let actor = Actor {
            who,
            ids: cast::ids(&sessions, &self.site.root),
            copy: (self.play.recipe == Recipe::Cache)
                .then(|| cast::copy(&sessions, &self.site.root)),
            sessions,
            play: self.play.clone(),
            book: self.book.clone(),
            root: self.site.root.clone(),
            peace: self.peace.clone(),
            started: self.started,
            is_untidy: Cell::new(false),
            timeout: self.site.timeout,
            random: RefCell::new(Random::new(self.random.number())),
        };
        let task = tokio::task::spawn_local(actor.perform());
        self.engaged.push(Engaged { who, gate, task });
    }

    /// Lets things go wrong for participants.
    async fn wage(&mut self, end: Instant) {
        while Instant::now() < end {
            let pause = self.random.duration(self.play.interval) + Duration::from_millis(1);
            sleep(pause.min(end - Instant::now())).await;
            let at = self.random.index(self.engaged.len());
            if self.random.chance(self.play.kill_permille) {
                self.book.open().count("participants killed");
                let Engaged { who, gate, task } = self.engaged.swap_remove(at);
                gate.kill();
                {
                    let roll = &mut self.book.open().roll;
                    roll.alive.remove(&who);
                    roll.dead.insert(who);
                }
                task.abort();
                self.engage();
            } else if self.random.chance(self.play.cut_permille) {
                self.book.open().count("participants cut off");
                self.engaged[at].gate.cut();
            } else {
                let held = [(true, true), (true, false), (false, true), (false, false)];
                let (incoming, outgoing) = held[self.random.index(held.len())];
                self.book.open().count("participants held up");
                self.engaged[at].gate.hold(Held { incoming, outgoing });
            }
        }
    }

    /// Waits until everybody has had the last wish.
    async fn finish(&mut self, end: Instant) {
        for Engaged { who, task, .. } in &mut self.engaged {
            match timeout_at(end, &mut *task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    self.book.open().overdue.push(format!("participant {who}: {error}"));
                }
                Err(_) => {
                    let overdue = format!("participant {who} still waits for its wish");
                    self.book.open().overdue.push(overdue);
                }
            }
        }
    }

    /// Reads what came of each task: that which was reported for sure has to be there, and nothing that nobody
    /// reported.
    async fn read_outcomes(&self, sessions: &Sessions) {
        let reported = self.book.open().outcomes.reported.clone();
        let tasks = cast::tasks(sessions, &self.site.root);
        for (task, _) in reported {
            if let Ok(outcome) = tasks.outcome(&task).await {
                let outcome = String::from_utf8_lossy(&outcome).into_owned();
                self.book.open().outcomes.read.insert((task, outcome));
            }
        }
        let (client, done) = (sessions.current(), cast::outcomes(&self.site.root));
        for task in children(&client, &done).await.unwrap_or_default() {
            let path = format!("{done}/{task}");
            if let Ok(data) = client.patiently(|| client.get_data(&path)).await {
                let outcome = String::from_utf8_lossy(data.bytes()).into_owned();
                self.book.open().outcomes.read.insert((task, outcome));
            }
        }
    }

    /// Looks at what is left.
    async fn inspect(&mut self, sessions: &Sessions, end: Instant) {
        let looked = timeout_at(end, self.look(sessions)).await;
        if looked.is_err() {
            self.book.open().overdue.push("what is left can not be looked at".to_owned());
        }
        for line in cast::lines(self.play.recipe) {
            let path = format!("{}{line}", self.site.root);
            if let Err(left) = timeout_at(end, gone(sessions, &path)).await {
                let names = children(&sessions.current(), &path).await;
                let overdue = format!("{path} has {names:?} after {left}");
                self.book.open().overdue.push(overdue);
            }
        }
    }

    /// Reads the outcomes and the sum, and takes out what is left.
    async fn look(&self, sessions: &Sessions) {
        self.read_outcomes(sessions).await;
        // Who is gone has items until its session expires: only then those that are left have an order.
        gone(sessions, &cast::marks(&self.site.root)).await;
        loop {
            let sum = cast::counter(sessions, &self.site.root).get().await;
            let Ok(sum) = sum else { continue };
            self.book.open().sum.last = Some(sum);
            break;
        }
        self.drain(sessions).await;
    }

    /// Takes out what is left.
    async fn drain(&self, sessions: &Sessions) {
        let queue = cast::queue(sessions, &self.site.root, self.play.recipe);
        loop {
            let Ok(taken) = queue.try_take().await else { continue };
            let Some(taken) = taken else {
                let path = cast::items(&self.site.root);
                let left = children(&sessions.current(), &path).await;
                if left.is_some_and(|names| names.is_empty()) {
                    self.book.open().items.is_drained = true;
                    return;
                }
                // It is not due, or somebody who is gone has it until its session expires.
                sleep(self.site.timeout / 4).await;
                continue;
            };
            if self.play.recipe == Recipe::DelayQueue {
                taken.note_time(&self.book);
            }
            let (path, items) = (taken.path().to_owned(), taken.items());
            self.book.open().items.drained.push(Drained { path, items: items.clone() });
            match taken.done().await {
                Ok(()) => self.book.open().items.done.extend(items),
                Err(_) => self.book.open().items.maybe_done.extend(items),
            }
        }
    }
}

/// Waits until nothing is in a directory.
async fn gone(sessions: &Sessions, path: &str) {
    while !children(&sessions.current(), path).await.is_some_and(|names| names.is_empty()) {
        sleep(Duration::from_millis(200)).await;
    }
}

/// What is in a directory, if that can be known; nothing is in one that is not there.
async fn children(client: &Client, path: &str) -> Option<Vec<String>> {
    use reefkeeper_client::{Error, ErrorCode};
    match client.patiently(|| client.get_children(path)).await {
        Ok(children) => Some(children.names),
        Err(Error::Refused(ErrorCode::NoNode)) => Some(Vec::new()),
        Err(_) => None,
    }
}
