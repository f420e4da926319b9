//! Recipes in which participants need each other: tasks, decisions, gatherings, copies.

use std::time::Duration;

use reefkeeper_client::{Client, CreateMode, Error as ClientError, ErrorCode, Sessions};
use reefkeeper_recipes::{
    AtomicValue, Cache, DoubleBarrier, Error, Group, GroupMember, Outcome, Tasks, TwoPhaseCommit,
    Worker, WorkerIds,
};
use tokio::time::{sleep, timeout};

use super::{Actor, Doubt};
use crate::history::{AtBarrier, Share, Step, Voted};

/// Numbers for workers: fewer than participants at times.
const WORKER_IDS: usize = 2;
/// Names under which is voted.
const VOTERS: u32 = 2;
/// Participants that a barrier waits for while things go wrong.
const AT_BARRIER: usize = 2;
/// Names of znodes of which all have a copy.
const COPIED: usize = 4;

/// What is to be done, below a root.
pub fn tasks(sessions: &Sessions, root: &str) -> Tasks {
    Tasks::new(sessions, format!("{root}/tasks"))
}

/// Where it is what came of tasks, below a root.
pub fn outcomes(root: &str) -> String {
    format!("{root}/tasks/done")
}

impl Actor {
    pub(super) async fn have_a_number(&self) -> Result<(), Error> {
        let path = format!("{}/workers", self.root);
        let ids = WorkerIds::new(&self.sessions, &path, WORKER_IDS);
        loop {
            if let Some(id) = ids.claim().await? {
                let (hold, line) = (id.hold(), format!("{path}/{}", id.number()));
                let token = hold.token().to_u64();
                self.use_turn(&line, Share::Alone, token, hold.path(), hold.client()).await;
                return id.release().await;
            }
            if !self.is_peace() {
                return Ok(());
            }
            sleep(self.timeout / 4).await;
        }
    }

    /// Adds one to a number of eight bytes.
    pub(super) async fn change_a_value(&self) -> Result<(), Error> {
        let mut doubt = Doubt { book: &self.book, is_settled: false };
        let value = AtomicValue::new(&self.sessions, format!("{}/sum", self.root));
        let changed = value.update(|value| (number(value) + 1).to_be_bytes().to_vec()).await;
        match &changed {
            Ok(versioned) => {
                doubt.is_settled = true;
                self.book.open().sum.answers.push(number(Some(&versioned.value)));
            }
            Err(error) => doubt.is_settled = !error.may_have_happened(),
        }
        changed.map(drop)
    }

    /// Submits a task or works for a while; in peace both, until the own task is done. Meanwhile it takes
    /// part in the election of the master.
    pub(super) async fn work(&self, number: u64) -> Result<(), Error> {
        let tasks = tasks(&self.sessions, &self.root);
        let id = format!("{}-{number}", self.who);
        let work = async {
            if self.is_peace() {
                let own = self.submit(&tasks, &id).await?;
                tokio::select! {
                    biased;
                    outcome = tasks.outcome(&own) => self.has_read(own, &outcome?),
                    worked = self.work_as(&id) => worked?,
                }
                return Ok(());
            }
            if self.chance(400) {
                return self.submit(&tasks, &id).await.map(drop);
            }
            let shift = self.timeout + self.duration(self.timeout * 2);
            timeout(shift, self.work_as(&id)).await.unwrap_or(Ok(()))
        };
        tokio::select! {
            biased;
            worked = work => worked,
            ended = tasks.assign(id.clone()) => ended.map(|_| ()),
        }
    }

    async fn submit(&self, tasks: &Tasks, id: &str) -> Result<String, Error> {
        let name = tasks.submit(id).await?;
        let mut book = self.book.open();
        book.count("tasks submitted");
        book.outcomes.submitted.insert(name.clone());
        Ok(name)
    }

    /// Does tasks, as long as it is let.
    async fn work_as(&self, id: &str) -> Result<(), Error> {
        let path = format!("{}/tasks", self.root);
        let mut worker = Worker::join(&self.sessions, path, id);
        loop {
            let task = worker.next().await?;
            sleep(self.duration(self.play.think)).await;
            if self.chance(100) && !self.is_peace() {
                continue;
            }
            let attempt = self.random.borrow_mut().number();
            let report = (task.name().to_owned(), format!("{id}:{attempt:x}"));
            self.book.open().outcomes.maybe_reported.insert(report.clone());
            match task.done(report.1.clone()).await {
                Ok(()) => {
                    let mut book = self.book.open();
                    book.count("tasks done");
                    book.outcomes.reported.push(report);
                }
                Err(error) => {
                    let mut book = self.book.open();
                    if !error.may_have_happened() {
                        book.outcomes.maybe_reported.remove(&report);
                    }
                    book.count("tasks not reported");
                }
            }
        }
    }

    fn has_read(&self, task: String, outcome: &[u8]) {
        let outcome = String::from_utf8_lossy(outcome).into_owned();
        self.book.open().outcomes.read.insert((task, outcome));
    }

    /// Votes, and decides or waits for the decision.
    pub(super) async fn agree(&self, number: u64) -> Result<(), Error> {
        let round = format!("round-{number}");
        let path = format!("{}/{round}", self.root);
        let commit = TwoPhaseCommit::new(&self.sessions, path);
        let name = (self.who % VOTERS).to_string();
        let vote = if self.chance(800) { Outcome::Commit } else { Outcome::Abort };
        let counts = commit.vote(&name, vote).await?;
        self.has_seen(&round, Some(name), counts);
        let decision = if self.is_peace() || self.chance(500) {
            let names = (0..VOTERS).map(|voter| voter.to_string());
            commit.decide(names, self.duration(self.timeout)).await?
        } else {
            match timeout(self.timeout, commit.decision()).await {
                Ok(decision) => decision?,
                Err(_) => return Ok(()),
            }
        };
        self.has_seen(&round, None, decision);
        Ok(())
    }

    fn has_seen(&self, round: &str, name: Option<String>, outcome: Outcome) {
        let is_commit = outcome == Outcome::Commit;
        let mut book = self.book.open();
        book.count(match (&name, is_commit) {
            (Some(_), _) => "votes",
            (None, true) => "decisions to commit",
            (None, false) => "decisions to abort",
        });
        book.votes.push(Voted { round: round.to_owned(), name, is_commit });
    }

    /// Joins the group, and waits at a barrier for others; in peace for all, who then see each other.
    pub(super) async fn gather(&self, number: u64) -> Result<(), Error> {
        let is_last = self.is_peace();
        let round = if is_last { "last".to_owned() } else { number.to_string() };
        let participants = usize::try_from(self.play.participants).expect("a few");
        let count = if is_last { participants } else { AT_BARRIER };
        let group = format!("{}/group", self.root);
        let id = self.who.to_string();
        let mut member = GroupMember::join(&self.sessions, &group, id, "");
        member.joined().await?;
        let path = format!("{}/barrier-{round}", self.root);
        let barrier = DoubleBarrier::new(&self.sessions, path, count);
        self.is_at(&round, count, Step::Came);
        let entered = match is_last {
            true => barrier.enter().await?,
            false => match timeout(self.timeout, barrier.enter()).await {
                Ok(entered) => entered?,
                Err(_) => return member.leave().await,
            },
        };
        self.is_at(&round, count, Step::Entered);
        if is_last {
            let seen = Group::of(&self.sessions, &group);
            seen.synced().await?;
            while seen.members().len() != participants {
                sleep(self.timeout / 16).await;
            }
            // Everybody has seen all when everybody leaves.
            self.is_at(&round, count, Step::Leaving);
            entered.leave().await?;
            self.is_at(&round, count, Step::Left);
        } else if let Ok(left) = timeout(self.timeout, entered.leave()).await {
            left?;
        }
        member.leave().await
    }

    fn is_at(&self, barrier: &str, count: usize, step: Step) {
        let (barrier, who) = (barrier.to_owned(), self.who);
        let mut book = self.book.open();
        book.count(match step {
            Step::Came => "came to a barrier",
            Step::Entered => "let in at a barrier",
            Step::Leaving => "wished to leave a barrier",
            Step::Left => "let out at a barrier",
        });
        book.barriers.push(AtBarrier { barrier, count, who, step });
    }

    /// Changes what all have a copy of; in peace it waits until its own copy is right.
    pub(super) async fn change_what_is_copied(&self, cache: &Cache) -> Result<(), Error> {
        let at = self.random.borrow_mut().index(COPIED);
        let path = format!("{}/{at}", copied(&self.root));
        let client = self.sessions.current();
        let what = self.random.borrow_mut().number().to_string();
        let how = self.random.borrow_mut().index(4);
        let changed = match how {
            0 => client.delete(&path, None).await,
            1 => client.create(&path, what, CreateMode::Ephemeral).await.map(drop),
            2 => client.create(&path, what, CreateMode::Persistent).await.map(drop),
            _ => client.set_data(&path, what, None).await.map(drop),
        };
        match changed {
            Ok(()) => self.book.open().count("changes of what is copied"),
            Err(ClientError::Refused(ErrorCode::NoNode | ErrorCode::NodeExists)) => {}
            Err(error) => return Err(error.into()),
        }
        while self.is_peace() && !self.is_right(cache, &client).await? {
            sleep(self.timeout / 8).await;
        }
        Ok(())
    }

    /// Whether a copy is what the servers have, who may go on changing it.
    async fn is_right(&self, cache: &Cache, client: &Client) -> Result<bool, Error> {
        let directory = copied(&self.root);
        client.patiently(|| client.sync(&directory)).await?;
        let mut there = Vec::new();
        for name in client.patiently(|| client.get_children(&directory)).await?.names {
            let path = format!("{directory}/{name}");
            match client.patiently(|| client.get_data(&path)).await {
                Ok(data) => there.push((path, data.stat.mzxid)),
                Err(ClientError::Refused(ErrorCode::NoNode)) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        there.sort();
        // What was just seen may not have arrived yet.
        sleep(Duration::from_millis(1)).await;
        let copy = cache.entries();
        let copy = copy.iter().filter(|entry| entry.path != directory);
        let copy: Vec<_> = copy.map(|entry| (entry.path.clone(), entry.data.stat.mzxid)).collect();
        Ok(copy == there)
    }
}

/// What all have a copy of, below a root.
pub(super) fn copied(root: &str) -> String {
    format!("{root}/prop")
}

fn number(bytes: Option<&[u8]>) -> i64 {
    bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_be_bytes)
}
