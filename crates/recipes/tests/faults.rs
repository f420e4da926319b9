//! Several participants whose connections are cut, whose answers are lost and whose sessions expire all
//! the time: what must hold is checked, and that they get on.

mod fixture;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reefkeeper_client::{Client, Sessions};
use reefkeeper_recipes::{
    Contender, Counter, FencingToken, Hold, LeaderLatch, Leadership, Lock, Partition, Queue,
    ReadWriteLock, Semaphore, Tasks, Worker,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::fixture::{Fixture, Wire};

/// How many take part.
const PARTICIPANTS: usize = 4;
/// How often something is done to one of them.
const FAULTS: usize = 60;
/// How often a holder looks who else is there.
const LOOKS: usize = 4;
/// Longer than any of this takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// A participant's way to the server.
struct Way {
    wire: Wire,
    sessions: Sessions,
}

impl Way {
    async fn to(fixture: &Fixture) -> Self {
        let wire = Wire::to(&fixture.address).await;
        let sessions = Client::builder(wire.address()).sessions().expect("an address");
        Self { wire, sessions }
    }
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

/// Counts what was achieved; ends those who look at it when all faults are over.
#[derive(Clone)]
struct Progress(Arc<watch::Sender<(usize, bool)>>);

impl Progress {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new((0, false))))
    }

    fn achieved(&self) {
        self.0.send_modify(|(achieved, _)| *achieved += 1);
    }

    fn is_over(&self) -> bool {
        self.0.borrow().1
    }
}

/// Disturbs one after the other, each time when something was achieved since the last time.
async fn disturb(fixture: &Fixture, ways: &[Way], progress: &Progress) {
    let mut numbers = Numbers(5);
    let mut seen = progress.0.subscribe();
    for _ in 0..FAULTS {
        let (before, _) = *seen.borrow_and_update();
        let goes_on = timeout(LONG, seen.wait_for(|(achieved, _)| *achieved > before)).await;
        goes_on.expect("nobody gets on").expect("not over");
        let way = &ways[numbers.below(ways.len())];
        match numbers.below(4) {
            0 => way.wire.cut(),
            1 | 2 => {
                way.wire.deafen();
                for _ in 0..numbers.below(200) {
                    tokio::task::yield_now().await;
                }
                way.wire.cut();
            }
            _ => {
                let client = way.sessions.current();
                if client.ticket().is_some() {
                    fixture.expire(&client).await;
                }
            }
        }
        way.wire.mend();
    }
    progress.0.send_modify(|(_, is_over)| *is_over = true);
}

/// Runs participants under faults until these are over and all have come to their end.
async fn run<F>(fixture: &Fixture, participant: impl Fn(usize, Sessions, Progress) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut ways = Vec::new();
    for _ in 0..PARTICIPANTS {
        ways.push(Way::to(fixture).await);
    }
    let progress = Progress::new();
    let mut tasks = JoinSet::new();
    for (number, way) in ways.iter().enumerate() {
        tasks.spawn(participant(number, way.sessions.clone(), progress.clone()));
    }
    disturb(fixture, &ways, &progress).await;
    let ended = async {
        while let Some(task) = tasks.join_next().await {
            task.expect("no participant fails");
        }
    };
    timeout(LONG, ended).await.expect("all come to their end");
}

/// Something that refuses who comes with a lower token than it has seen.
#[derive(Default)]
struct Service {
    highest: Option<FencingToken>,
    owners: BTreeMap<FencingToken, usize>,
}

#[tokio::test]
async fn one_holds_a_lock_and_who_lost_it_is_refused() {
    let fixture = Fixture::start();
    let service = Arc::new(Mutex::new(Service::default()));
    let observer = Lock::new(fixture.client().await, "/lock");
    run(&fixture, |number, sessions, progress| {
        let (service, observer) = (Arc::clone(&service), observer.clone());
        async move {
            let lock = Lock::new(sessions, "/lock");
            while !progress.is_over() {
                let hold = lock.acquire().await.expect("held in one session or another");
                // Who holds it is the first in line; if not, it has lost it since.
                let first = observer.contenders().await.expect("answered");
                if first.first().map(|first| first.token) != Some(hold.token()) {
                    timeout(LONG, hold.lost()).await.expect("two hold it");
                    continue;
                }
                let is_accepted = {
                    let mut service = service.lock().expect("whole");
                    let is_accepted = service.highest <= Some(hold.token());
                    if is_accepted {
                        service.highest = Some(hold.token());
                        let before = service.owners.insert(hold.token(), number);
                        assert_eq!(before, None, "a token is given out once");
                    }
                    is_accepted
                };
                if is_accepted {
                    progress.achieved();
                    // A session that ends meanwhile is as good.
                    hold.release().await.expect("released");
                } else {
                    timeout(LONG, hold.lost()).await.expect("a holder is refused");
                }
            }
        }
    })
    .await;
    let service = std::mem::take(&mut *service.lock().expect("whole"));
    assert!(service.owners.len() >= FAULTS);
    let mut owners: Vec<_> = service.owners.values().collect();
    owners.sort_unstable();
    owners.dedup();
    assert_eq!(owners.len(), PARTICIPANTS, "each had its turn");
    // Nobody is left in line.
    fixture::children(&fixture.client().await, "/lock", 0).await;
}

/// Who says that it holds something, and whether alone.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<BTreeMap<FencingToken, bool>>>);

impl Held {
    /// Notes a holder, while the znodes of all who are in line are looked up, again and again so that
    /// others may come in.
    ///
    /// Of those who say that they hold it and whose znodes are there, there must be so few, or only one
    /// if that wants to be alone. One whose znode is gone has lost it and does not know yet.
    async fn with<F>(&self, hold: &Hold, is_alone: bool, most: usize, in_line: impl Fn() -> F)
    where
        F: Future<Output = Vec<Contender>>,
    {
        self.0.lock().expect("whole").insert(hold.token(), is_alone);
        for _ in 0..LOOKS {
            // Before the look: one that comes in after it may follow one that was in line and is gone.
            let held = self.0.lock().expect("whole").clone();
            let in_line = in_line().await;
            let there: Vec<_> =
                in_line.iter().filter_map(|contender| held.get(&contender.token)).collect();
            assert!(there.len() <= most, "{} hold it", there.len());
            assert!(!there.contains(&&true) || there.len() == 1, "one is not alone");
        }
        self.0.lock().expect("whole").remove(&hold.token());
    }
}

#[tokio::test]
async fn a_semaphore_has_so_many_holders() {
    let fixture = Fixture::start();
    let held = Held::default();
    let observer = Semaphore::new(fixture.client().await, "/semaphore", 2);
    run(&fixture, |_, sessions, progress| {
        let (held, observer) = (held.clone(), observer.clone());
        async move {
            let semaphore = Semaphore::new(sessions, "/semaphore", 2);
            while !progress.is_over() {
                let hold = semaphore.acquire().await.expect("held in one session or another");
                let holders = async || observer.holders().await.expect("answered");
                held.with(&hold, false, 2, holders).await;
                progress.achieved();
                hold.release().await.expect("released");
            }
        }
    })
    .await;
    let client = fixture.client().await;
    fixture::children(&client, "/semaphore/leases", 0).await;
    fixture::children(&client, "/semaphore/locks", 0).await;
}

#[tokio::test]
async fn a_writer_is_alone() {
    let fixture = Fixture::start();
    let held = Held::default();
    let observer = ReadWriteLock::new(fixture.client().await, "/index");
    run(&fixture, |number, sessions, progress| {
        let (held, observer) = (held.clone(), observer.clone());
        async move {
            let lock = ReadWriteLock::new(sessions, "/index");
            while !progress.is_over() {
                let writes = number % 2 == 0;
                let hold = if writes { lock.write().await } else { lock.read().await };
                let hold = hold.expect("held in one session or another");
                let in_line = async || observer.contenders().await.expect("answered");
                held.with(&hold, writes, PARTICIPANTS, in_line).await;
                progress.achieved();
                hold.release().await.expect("released");
            }
        }
    })
    .await;
    fixture::children(&fixture.client().await, "/index", 0).await;
}

#[tokio::test]
async fn one_leads_and_former_leaders_are_refused() {
    let fixture = Fixture::start();
    let service = Arc::new(Mutex::new(Service::default()));
    run(&fixture, |number, sessions, progress| {
        let service = Arc::clone(&service);
        async move {
            while !progress.is_over() {
                let mut latch = LeaderLatch::join(&sessions, "/election", number.to_string());
                let token = latch.led().await.expect("leads in one session or another");
                let is_accepted = {
                    let mut service = service.lock().expect("whole");
                    let is_accepted = service.highest <= Some(token);
                    if is_accepted {
                        service.highest = Some(token);
                        let before = service.owners.insert(token, number);
                        assert_eq!(before, None, "a token is given out once");
                    }
                    is_accepted
                };
                if is_accepted {
                    progress.achieved();
                } else {
                    // It hears soon that it leads no longer, or not with this token.
                    let deposed = async {
                        while latch.leadership() == Leadership::Leading(token) {
                            latch.changed().await;
                        }
                    };
                    timeout(LONG, deposed).await.expect("a leader is refused");
                }
                latch.leave().await.expect("left in one session or another");
            }
        }
    })
    .await;
    let service = std::mem::take(&mut *service.lock().expect("whole"));
    assert!(service.owners.len() >= FAULTS);
    fixture::children(&fixture.client().await, "/election", 0).await;
}

#[tokio::test]
async fn one_has_each_resource_and_who_lost_it_is_refused() {
    const RESOURCES: [&str; 3] = ["a", "b", "c"];
    let fixture = Fixture::start();
    let services = Arc::new(Mutex::new(BTreeMap::<String, Service>::new()));
    let observer = fixture.client().await;
    run(&fixture, |number, sessions, progress| {
        let (services, observer) = (Arc::clone(&services), observer.clone());
        async move {
            let mut partition = Partition::join(sessions, "/parts", number.to_string(), RESOURCES);
            let mut end = progress.0.subscribe();
            loop {
                let share = tokio::select! {
                    share = partition.next() => share.expect("in one session or another"),
                    _ = end.wait_for(|(_, is_over)| *is_over) => break,
                };
                let (name, token) = (share.resource().to_owned(), share.hold().token());
                // Who has it is the first in line; if not, it has lost it since.
                let line = Lock::new(&observer, format!("/parts/locks/{name}"));
                let first = line.contenders().await.expect("answered");
                if first.first().map(|first| first.token) == Some(token) {
                    let mut services = services.lock().expect("whole");
                    let service = services.entry(name).or_default();
                    assert!(service.highest < Some(token), "who is first in line is refused");
                    service.highest = Some(token);
                    service.owners.insert(token, number);
                    progress.achieved();
                } else {
                    timeout(LONG, share.recalled()).await.expect("two have it");
                }
                share.release().await.expect("released");
            }
            partition.leave().await.expect("left in one session or another");
        }
    })
    .await;
    let services = std::mem::take(&mut *services.lock().expect("whole"));
    assert_eq!(services.keys().map(String::as_str).collect::<Vec<_>>(), RESOURCES);
    let counts = services.values().map(|service| service.owners.len());
    assert!(counts.sum::<usize>() >= FAULTS);
    // Nobody is left in line.
    for resource in RESOURCES {
        fixture::children(&observer, &format!("/parts/locks/{resource}"), 0).await;
    }
    fixture::children(&observer, "/parts/members", 0).await;
}

#[tokio::test]
async fn every_item_of_a_queue_is_done() {
    let fixture = Fixture::start();
    let put = Arc::new(Mutex::new(Vec::<String>::new()));
    let done = Arc::new(Mutex::new(Vec::<String>::new()));
    run(&fixture, |number, sessions, progress| {
        let (put, done) = (Arc::clone(&put), Arc::clone(&done));
        async move {
            let queue = Queue::new(sessions, "/queue");
            for item in 0.. {
                let item = format!("{number}-{item}");
                // One that may be in the queue is put again: it may be there twice, and not less.
                while let Err(error) = queue.put(item.as_str()).await {
                    assert!(error.may_have_happened() || is_expired(&error), "{error}");
                }
                put.lock().expect("whole").push(item);
                let taken = queue.take().await.expect("taken in one session or another");
                let text = String::from_utf8(taken.data().to_vec()).expect("text");
                match taken.done().await {
                    // If it is not known whether it is done, then it was worked on all the same.
                    Err(error) if !error.may_have_happened() => {
                        assert!(is_expired(&error), "{error}");
                    }
                    Ok(()) | Err(_) => done.lock().expect("whole").push(text),
                }
                progress.achieved();
                if progress.is_over() {
                    break;
                }
            }
        }
    })
    .await;
    // What is left was given back by sessions that expired, or put twice.
    let queue = Queue::new(fixture.client().await, "/queue");
    let mut done = std::mem::take(&mut *done.lock().expect("whole"));
    while let Some(taken) = queue.try_take().await.expect("answered") {
        done.push(String::from_utf8(taken.data().to_vec()).expect("text"));
        taken.done().await.expect("done");
    }
    let put = std::mem::take(&mut *put.lock().expect("whole"));
    assert!(put.len() >= FAULTS);
    for item in &put {
        assert!(done.contains(item), "{item} was lost");
    }
    assert!(queue.is_empty().await.expect("answered"));
}

#[tokio::test]
async fn nothing_is_counted_twice_or_lost_without_a_word() {
    let fixture = Fixture::start();
    let added = Arc::new(Mutex::new((0_i64, 0_i64)));
    run(&fixture, |_, sessions, progress| {
        let added = Arc::clone(&added);
        async move {
            let counter = Counter::new(sessions, "/counter");
            while !progress.is_over() {
                let outcome = counter.add(1).await;
                let mut added = added.lock().expect("whole");
                match outcome {
                    Ok(_) => added.0 += 1,
                    Err(error) => {
                        assert!(error.may_have_happened(), "{error}");
                        added.1 += 1;
                    }
                }
                progress.achieved();
            }
        }
    })
    .await;
    let sum = Counter::new(fixture.client().await, "/counter").get().await.expect("a number");
    let (certain, uncertain) = *added.lock().expect("whole");
    assert!((certain..=certain + uncertain).contains(&sum), "{certain} + {uncertain}: {sum}");
}

#[tokio::test]
async fn every_task_has_the_one_outcome_that_was_reported() {
    let fixture = Fixture::start();
    let reported = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    run(&fixture, |number, sessions, progress| {
        let reported = Arc::clone(&reported);
        async move {
            let tasks = Tasks::new(&sessions, "/tasks").per_worker(2);
            let mut worker = Worker::join(&sessions, "/tasks", format!("worker-{number}"));
            let work = async {
                loop {
                    let task = worker.next().await.expect("in one session or another");
                    let name = task.name().to_owned();
                    if task.done(format!("{number}")).await.is_ok() {
                        let before = reported.lock().expect("whole").insert(name, number);
                        assert_eq!(before, None, "reported twice");
                    }
                }
            };
            let submit = async {
                while !progress.is_over() {
                    // Who has lost the session before the answer does not know the name.
                    let Ok(name) = tasks.submit("x").await else { continue };
                    let outcome = tasks.outcome(&name).await.expect("in one session or another");
                    // A reporter whose session expired before the answer does not know that it was heard.
                    if let Some(by) = reported.lock().expect("whole").get(&name) {
                        assert_eq!(outcome, by.to_string().into_bytes());
                    }
                    progress.achieved();
                }
            };
            tokio::select! {
                ended = tasks.assign(format!("{number}")) => panic!("{ended:?}"),
                () = work => {}
                () = submit => {}
            }
        }
    })
    .await;
    assert!(!reported.lock().expect("whole").is_empty());
}

fn is_expired(error: &reefkeeper_recipes::Error) -> bool {
    matches!(error, reefkeeper_recipes::Error::Client(error) if error.is_session_expired())
}
