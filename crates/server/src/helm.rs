//! Who runs the replica.
//!
//! There is one replica, and one thread at a time is at the helm. It need not be always the same
//! one: whoever brings news takes the helm if it is free, lets the replica step and leaves. A lone
//! write is then prepared by the thread that read it and acknowledged by the thread that synced it,
//! without a hand-over to a third. When the helm is taken, the news wait in the inbox for who is
//! there; and when news keep coming, a thread made for it stays at the helm while the others go on
//! with their own work. No thread waits for the helm but that one and who closes it, and nobody at
//! the helm waits for a disk or a socket.
//!
//! News are [`Input`]s, or come from the other servers of an ensemble; the latter are told to the replica
//! before it steps, as what they say is borrowed from what was received.
//!
//! **Nothing is left lying**: news are put into the inbox first, then the helm is tried. Whoever
//! leaves the helm looks into the inbox after that. So news are either seen by who leaves, or put
//! in after the helm was free, and then taken by who brought them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use replica::{Effect, Input, Replica};
use storage::put_head;
use zab::Memberships;

use crate::clock::Clock;
use crate::door::Errand as DoorErrand;
use crate::history_thread::ReadJob;
use crate::inbox::Inbox;
use crate::io_thread::Front;
use crate::log_thread::{Change, LogJob};
use crate::operator::{Desk, Finding};
use crate::peers::Peers;
use crate::peers::errand::{Errand, SnapshotPart};
use crate::peers::news::News as PeersNews;
use crate::snapshot_thread::SnapshotJob;
use crate::view::Views;

/// News that a thread works off itself: some tens of microseconds. More are left to the thread that
/// keeps watch, so that the bringer can go on with its own work.
const NEWS_WORKED_OFF_MAX: usize = 64;

/// The replica with its inbox.
pub(crate) struct Helm {
    news: Mutex<News>,
    steering: Mutex<Steering>,
    outlets: Outlets,
    /// For the thread that steers when nobody else does.
    watch: Mutex<Watch>,
    called: Condvar,
    /// Until when that thread sleeps, in nanoseconds since the start; 0 while it is awake.
    asleep_until: AtomicU64,
    is_closed: AtomicBool,
}

/// What was brought and nobody has taken.
#[derive(Default)]
struct News {
    inputs: Vec<Input>,
    /// From the connections to other servers.
    of_peers: Vec<PeersNews>,
}

impl News {
    fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.of_peers.is_empty()
    }
}

/// What only who is at the helm touches.
struct Steering {
    replica: Replica,
    clock: Clock,
    /// Kept to be reused.
    news: News,
    effects: Vec<Effect>,
    errands: Vec<Errand>,
}

/// Where the replica's effects go.
pub(crate) struct Outlets {
    pub(crate) log: Arc<Inbox<LogJob>>,
    pub(crate) snapshots: Arc<Inbox<SnapshotJob>>,
    /// Only on a member of an ensemble somebody takes things out.
    pub(crate) history: Arc<Inbox<ReadJob>>,
    /// By their numbers.
    pub(crate) fronts: Vec<Front>,
    pub(crate) desk: Arc<Desk>,
    /// Only a member of an ensemble has them.
    pub(crate) peers: Option<Peers>,
    /// Only a member of an ensemble with an oracle has it: each entry asks what that says.
    pub(crate) oracle: Option<Arc<Inbox<()>>>,
    pub(crate) views: Arc<Views>,
}

#[derive(Default)]
struct Watch {
    is_called: bool,
}

impl Helm {
    pub(crate) fn new(replica: Replica, clock: Clock, outlets: Outlets) -> Self {
        let (news, effects, errands) = (News::default(), Vec::new(), Vec::new());
        let steering = Steering { replica, clock, news, effects, errands };
        Self {
            news: Mutex::default(),
            steering: Mutex::new(steering),
            outlets,
            watch: Mutex::default(),
            called: Condvar::new(),
            asleep_until: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Brings news, and lets the replica step if the helm is free and that takes no long. Leaves
    /// `news` empty.
    ///
    /// # Panics
    /// If somebody panicked at the helm: who comes next must not go on with what that one left.
    pub(crate) fn tell(&self, news: &mut Vec<Input>) {
        if news.is_empty() {
            return;
        }
        if news.len() > NEWS_WORKED_OFF_MAX {
            return self.leave(news);
        }
        self.news().inputs.append(news);
        self.try_step();
    }

    /// As [`Helm::tell`], with news from other servers.
    ///
    /// # Panics
    /// As [`Helm::tell`].
    pub(crate) fn tell_of_peers(&self, news: &mut Vec<PeersNews>) {
        if news.is_empty() {
            return;
        }
        let is_much = news.len() > NEWS_WORKED_OFF_MAX;
        self.news().of_peers.append(news);
        if is_much {
            return self.call();
        }
        self.try_step();
    }

    /// Steps with what was brought, if nobody else is about to.
    fn try_step(&self) {
        let mut steering = match self.steering.try_lock() {
            Ok(steering) => steering,
            // Who is there, or else the thread that keeps watch, finds the news.
            Err(TryLockError::WouldBlock) => return,
            Err(TryLockError::Poisoned(poisoned)) => panic!("{NO_PANIC}: {poisoned:?}"),
        };
        self.step(&mut steering);
        drop(steering);
        self.outlets.see_to_what_is_left();
        // What came meanwhile is for the thread that may stay: this one has work of its own.
        if !self.news().is_empty() {
            self.call();
        }
    }

    /// Brings news for the thread that keeps watch. Leaves `news` empty.
    pub(crate) fn leave(&self, news: &mut Vec<Input>) {
        self.news().inputs.append(news);
        self.call();
    }

    /// Steers whenever there is something that nobody else does, until the helm is closed.
    ///
    /// # Panics
    /// As [`Helm::tell`].
    pub(crate) fn keep_watch(&self) {
        while !self.is_closed() {
            let mut steering = self.steering.lock().expect(NO_PANIC);
            self.step(&mut steering);
            let deadline = steering.replica.next_deadline();
            let clock = steering.clock;
            // Announced before the helm is left, so that a step that sets an earlier one sees it.
            self.asleep_until.store(deadline.nanos().max(1), Ordering::SeqCst);
            drop(steering);
            self.outlets.see_to_what_is_left();
            if self.news().is_empty() {
                self.sleep(clock.until(deadline));
            }
            self.asleep_until.store(0, Ordering::SeqCst);
        }
    }

    /// Ends it: what is not acknowledged by now never is. Lets the other threads finish.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.call();
        // Whoever is at the helm leaves first, so that nothing is put into a closed inbox. It may
        // also have been left in a panic.
        drop(self.steering.lock());
        self.outlets.close();
    }

    /// Lets the replica step with all news. Whoever is at the helm calls this.
    fn step(&self, steering: &mut Steering) {
        if self.is_closed() {
            return;
        }
        let Steering { replica, clock, news, effects, errands } = steering;
        std::mem::swap(&mut *self.news(), news);
        let now = clock.now();
        let News { inputs, of_peers } = news;
        for news in of_peers.drain(..) {
            match news {
                PeersNews::Sent { link } => self.outlets.history.put(ReadJob::ReadOn(link)),
                PeersNews::SnapshotTakesMore { link } => inputs.push(Input::StreamTakesMore(link)),
                news => news.tell(|input| replica.take(now, input, effects)),
            }
        }
        replica.step(now, inputs, effects);
        for effect in effects.drain(..) {
            self.outlets.carry_out(effect, errands);
        }
        if let Some(peers) = &self.outlets.peers {
            peers.leave(errands);
        }
        let deadline = replica.next_deadline();
        if deadline.nanos() < self.asleep_until.load(Ordering::SeqCst) {
            self.call();
        }
    }

    fn sleep(&self, timeout: Duration) {
        let mut watch = self.watch.lock().expect(NO_PANIC);
        if !watch.is_called {
            watch = self.called.wait_timeout(watch, timeout).expect(NO_PANIC).0;
        }
        watch.is_called = false;
    }

    fn call(&self) {
        self.watch.lock().expect(NO_PANIC).is_called = true;
        self.called.notify_one();
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().expect(NO_PANIC)
    }
}

#[cfg(test)]
impl Helm {
    /// Does what a defect of the replica would do.
    pub(crate) fn panic_while_steering(&self, message: &str) -> ! {
        let _steering = self.steering.lock().expect(NO_PANIC);
        panic!("{message}");
    }
}

const NO_PANIC: &str = "nothing panics at the helm";

impl std::fmt::Debug for Helm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Helm").finish_non_exhaustive()
    }
}

impl Outlets {
    /// Hands an effect to whom it is for; what is for the connections to other servers goes into
    /// `errands`.
    fn carry_out(&self, effect: Effect, errands: &mut Vec<Errand>) {
        match effect {
            Effect::Append(batch) => self.log.put(LogJob::Append(batch)),
            Effect::RollLog => self.log.put(LogJob::Roll),
            Effect::Inspected(inspection) => {
                self.desk.findings.put(Finding::Inspection(inspection));
            }
            Effect::Wake(front) => self.fronts[front.0].note_mail(),
            Effect::BeginSnapshot(_)
            | Effect::SnapshotPart(_)
            | Effect::EndSnapshot { .. }
            | Effect::AbandonSnapshot => self.snapshots.put(SnapshotJob::Write(effect)),
            Effect::Peer(zab::Effect::StoreAcceptedEpoch(epoch)) => {
                self.log.put(LogJob::Change(Change::AcceptEpoch(epoch)));
            }
            Effect::Peer(zab::Effect::StoreCurrentEpoch(epoch)) => {
                self.log.put(LogJob::Change(Change::AdoptEpoch(epoch)));
            }
            Effect::Peer(zab::Effect::Truncate(keep)) => {
                self.log.put(LogJob::Change(Change::Cut(keep)));
            }
            Effect::Peer(zab::Effect::AskOracle) => {
                if let Some(oracle) = &self.oracle {
                    oracle.put(());
                }
            }
            Effect::Peer(zab::Effect::StoreMemberships(memberships)) => {
                self.adopt(&memberships);
                self.log.put(LogJob::Change(Change::KeepMemberships(memberships.clone())));
                errands.push(Errand::Memberships(memberships));
            }
            Effect::Peer(zab::Effect::ReadLog { link, after, up_to }) => {
                self.history.put(ReadJob::Begin { link, after, up_to });
            }
            Effect::Peer(zab::Effect::StopReading { link }) => {
                self.history.put(ReadJob::Stop(link));
            }
            Effect::Peer(effect) => {
                errands.push(Errand::of(effect).expect("the replica keeps its own effects"));
            }
            Effect::Packets { link, bytes } => errands.push(Errand::Packets { link, bytes }),
            Effect::StreamHead { link, last_applied, head } => {
                let mut records = Vec::new();
                put_head(&mut records, &head);
                let part = SnapshotPart::Head { last_applied, records };
                errands.push(Errand::SnapshotPart { link, part });
            }
            Effect::StreamPart { link, bytes } => {
                let part = SnapshotPart::Records(bytes);
                errands.push(Errand::SnapshotPart { link, part });
            }
            Effect::StreamEnd { link } => {
                errands.push(Errand::SnapshotPart { link, part: SnapshotPart::End });
            }
        }
    }

    /// Lets be sent what was left at the helm. For who has left it: nobody at the helm sends anything.
    /// Clients come first, as they wait.
    fn see_to_what_is_left(&self) {
        for front in &self.fronts {
            front.see_to_mail();
        }
        if let Some(peers) = &self.peers {
            peers.see_to_errands();
        }
    }

    /// Lets operators and clients find what the membership in force says.
    fn adopt(&self, memberships: &Memberships) {
        let Some(member) = self.views.adopt(&memberships.committed) else { return };
        if let Some(door_keeper) = self.fronts.first() {
            door_keeper.run(DoorErrand::MoveDoor(member));
        }
    }

    /// Lets the other threads finish.
    fn close(&self) {
        self.log.close();
        self.snapshots.close();
        self.history.close();
        self.desk.close();
        if let Some(peers) = &self.peers {
            peers.stop();
        }
        if let Some(oracle) = &self.oracle {
            oracle.close();
        }
        for front in &self.fronts {
            front.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{self, AssertUnwindSafe};
    use std::thread;
    use std::time::Instant;

    use super::*;
    use crate::fixture::{PATIENCE, Site};
    use crate::server::Server;

    #[test]
    fn news_are_not_dropped_where_somebody_panicked() {
        let site = Site::new();
        let server = Server::start(&site.config).expect("a server");
        let helm = &server.shared().helm;
        thread::scope(|scope| {
            assert!(scope.spawn(|| helm.panic_while_steering("a bug")).join().is_err());
        });
        // Who finds out first is at the helm until it has said so, and news are left to that one.
        let finds_out = || {
            let tell = || helm.tell(&mut vec![Input::Inspect]);
            let panicked = panic::catch_unwind(AssertUnwindSafe(tell)).is_err();
            thread::yield_now();
            panicked
        };
        let patience_ends = Instant::now() + PATIENCE;
        while !finds_out() {
            assert!(Instant::now() < patience_ends, "it is not merely busy");
        }
    }
}
