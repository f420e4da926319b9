//! The connections between servers: the election port and the quorum port.
//!
//! ```text
//!                 ┌─────────────────────── one thread ───────────────────────┐
//!  election port ─┤ Caller ──hello──> Elector            News                 ├──> replica
//!  quorum port ───┤ Newcomer ─packet─> Learner           (zab::Input, owned)  │
//!                 │                                                           │
//!  calls ─────────┤ Attempt ────────> Elector, Leader    Errand               │<── replica
//!                 │                     │                (zab::Effect)        │
//!                 └─────────────────────┼─────────────────────────────────────┘
//!  names: a thread each                 └──> StreamPart: a snapshot that is received
//! ```
//!
//! It decides nothing: bytes become [`News`], [`Errand`]s become bytes. News are told together, once in
//! each turn of the loop, and errands that were left together are run together, so that a batch is
//! encoded once for all learners and leaves in one system call each.
//!
//! What is known of the connections ([`Links`]) is behind a lock that the thread lets go of while it sleeps. Then
//! whoever has little to send does it by itself ([`Peers::see_to_errands`]), and a lone write does not wait for the
//! thread to wake up: neither the proposal, which leaves from the thread that read the request, nor its
//! acknowledgement, which leaves from the one that synced the log.
//!
//! # Rules
//!
//! - The loop waits for nothing but events. Names are looked up by short-lived threads (`lookups`);
//!   connecting goes on in the background.
//! - Who has not said who it is costs little, has little time, and is one of few (`limits`). Nobody is
//!   told of it.
//! - Nothing is decoded before it is bounded, and no more is kept than was received.
//! - What a connection sends is not read faster than the replica works it off ([`news::Received`] is the
//!   measure); what is to be sent over it is bounded, and beyond that it is closed.
//! - A connection has one number, a [`zab::Link`], which is never used again.
//! - Reading is edge-triggered, as in `io_thread`: connections of which the system does not tell again
//!   are *held up* and read from in a later turn.
//!
//! # Snapshots
//!
//! A snapshot that is sent comes in parts ([`errand::SnapshotPart`]), the next one when the last has left. One
//! that is received goes to its receiver in parts ([`StreamPart`]) until that says where it ended
//! ([`errand::StreamProgress`]); one part is with the receiver while the next is gathered, and then no more is
//! read.

mod accepting;
mod attempts;
mod connection;
mod doors;
mod encode;
mod ending;
pub(crate) mod errand;
mod inbound;
pub(crate) mod limits;
mod links;
mod lookups;
pub(crate) mod news;
pub(crate) mod options;
mod outbox;
mod reaching;
mod receiving;
mod sending;
pub(crate) mod stats;
#[cfg(test)]
mod tests;
mod unreached;

use std::io;
#[cfg(test)]
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::time::Duration;

use mio::{Events, Poll};
use wire::election::HelloError;

use crate::clock::Clock;
use crate::letterbox::Letterbox;

use self::errand::Errand;
use self::limits::BRIEF_ERRANDS_MAX;
use self::links::Links;
use self::news::{News, StreamPart};
use self::options::Options;
use self::stats::Stats;

pub use self::doors::Port;

/// Events taken from the system at once.
const EVENTS_MAX: usize = 256;

/// Why there are no connections to other servers.
#[derive(thiserror::Error, Debug)]
pub enum PeersError {
    /// A port can not be opened.
    #[error("can not listen on {place} for other servers ({port:?} port)")]
    Listen {
        /// Which.
        port: Port,
        /// As configured.
        place: String,
        /// The last reason.
        #[source]
        source: io::Error,
    },
    /// This server can not say where it is.
    #[error("the addresses of this server can not be told to others")]
    Addresses(#[from] HelloError),
    /// Threads, or telling of events on sockets.
    #[error("the system does not provide what the connections between servers need")]
    System(#[from] io::Error),
}

/// The way to the connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    letterbox: Arc<Letterbox<Errand>>,
    /// As long as the thread runs.
    links: Weak<Mutex<Links>>,
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests look at them"))]
    stats: Arc<Stats>,
}

impl Peers {
    /// Runs errands soon, in their order and together. Leaves `errands` empty.
    pub(crate) fn run(&self, errands: &mut Vec<Errand>) {
        self.leave(errands);
        self.see_to_errands();
    }

    /// Puts errands behind those that are there. Whoever does that calls [`Peers::see_to_errands`] when it has
    /// the time. Leaves `errands` empty.
    pub(crate) fn leave(&self, errands: &mut Vec<Errand>) {
        self.letterbox.leave_all(errands);
    }

    /// Sees to it that errands that were left are run. If the thread sleeps, and there is only a little to
    /// send, that is done here and now: a lone write would wait longer for the thread to wake up than for
    /// its bytes to be sent.
    ///
    /// # Panics
    /// If somebody panicked while it had the connections.
    pub(crate) fn see_to_errands(&self) {
        if self.letterbox.is_asleep() && !self.send_now() {
            self.letterbox.wake();
        }
    }

    /// Sends what was left to be sent, if that is all there is to do. Returns whether nothing is left for the
    /// thread.
    fn send_now(&self) -> bool {
        let Some(links) = self.links.upgrade() else { return false };
        let mut links = match links.try_lock() {
            Ok(links) => links,
            Err(TryLockError::WouldBlock) => return false,
            Err(TryLockError::Poisoned(poisoned)) => panic!("{NO_PANIC}: {poisoned:?}"),
        };
        let is_brief = |errands: &[Errand]| {
            errands.len() <= BRIEF_ERRANDS_MAX && errands.iter().all(Errand::is_brief)
        };
        let Some(errands) = self.letterbox.take_if(is_brief) else { return false };
        links.send(errands);
        !links.has_loose_ends()
    }

    /// Lets the thread end.
    pub(crate) fn stop(&self) {
        self.letterbox.stop();
    }

    /// What has happened so far.
    #[cfg(test)]
    pub(crate) fn stats(&self) -> &Stats {
        &self.stats
    }
}

#[cfg(test)]
impl Peers {
    /// The way to nobody: errands stay where they are. They are of use while the poll is there.
    pub(crate) fn unattended() -> (Self, Poll) {
        let poll = Poll::new().expect("a poll");
        let letterbox = Arc::new(Letterbox::new(poll.registry()).expect("a letterbox"));
        (Self { letterbox, links: Weak::new(), stats: Arc::default() }, poll)
    }

    /// Takes the errands that nobody has run.
    pub(crate) fn take_errands(&self) -> Vec<Errand> {
        self.letterbox.take()
    }
}

/// The thread that has the connections, before it runs.
#[derive(Debug)]
pub(crate) struct PeersThread {
    clock: Clock,
    poll: Poll,
    letterbox: Arc<Letterbox<Errand>>,
    links: Arc<Mutex<Links>>,
}

impl PeersThread {
    /// Opens the ports, or finds that they have to be tried again.
    ///
    /// # Errors
    /// When this server's addresses can not be told, or the system lacks something.
    pub(crate) fn new(options: Options, clock: Clock) -> Result<(Peers, Self), PeersError> {
        let poll = Poll::new()?;
        let letterbox = Arc::new(Letterbox::new(poll.registry())?);
        let stats = Arc::new(Stats::default());
        let links = Links::new(
            options,
            clock,
            poll.registry().try_clone()?,
            Arc::clone(&letterbox),
            Arc::clone(&stats),
        )?;
        let links = Arc::new(Mutex::new(links));
        let peers =
            Peers { letterbox: Arc::clone(&letterbox), links: Arc::downgrade(&links), stats };
        Ok((peers, Self { clock, poll, letterbox, links }))
    }

    /// Where a port is open.
    #[cfg(test)]
    pub(crate) fn addresses(&self, port: Port) -> Vec<SocketAddr> {
        self.links().addresses(port)
    }

    /// Works until it is stopped. `deliver` gets what has happened, and leaves it empty; `receive` gets
    /// the snapshots of leaders, each part after the news of the packets before it: so nobody is told
    /// what became of a snapshot before it is told that there is one. Neither may wait.
    ///
    /// # Errors
    /// When a port can not be opened however often it is tried, or the system does not tell of events.
    pub(crate) fn run(
        mut self,
        deliver: impl FnMut(&mut Vec<News>),
        receive: impl FnMut(StreamPart),
    ) -> Result<(), PeersError> {
        let ended = self.work(deliver, receive);
        let mut links = self.links();
        // What was said last may still leave.
        links.flush_touched();
        let lookups = links.lookups.take();
        drop(links);
        lookups.close();
        ended
    }

    fn work(
        &mut self,
        mut deliver: impl FnMut(&mut Vec<News>),
        mut receive: impl FnMut(StreamPart),
    ) -> Result<(), PeersError> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let (mut news, mut parts) = (Vec::new(), Vec::new());
        while !self.letterbox.is_stopped() {
            self.wait(&mut events)?;
            let mut links = self.links();
            for event in &events {
                links.on_event(event);
            }
            links.read_held_up();
            std::mem::swap(&mut links.news, &mut news);
            std::mem::swap(&mut links.stream_parts, &mut parts);
            drop(links);
            if !news.is_empty() {
                deliver(&mut news);
            }
            parts.drain(..).for_each(&mut receive);
            // Behind that, so that what is answered leaves in the same turn.
            self.links().turn()?;
        }
        Ok(())
    }

    /// Waits for events, unless there is something to do.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let links = self.links();
        let timeout = if self.letterbox.may_sleep(|| links.has_work()) {
            links.next_deadline().map(|deadline| self.clock.until(deadline))
        } else {
            Some(Duration::ZERO)
        };
        drop(links);
        let result = self.poll.poll(events, timeout);
        self.letterbox.awake();
        match result {
            Err(failure) if failure.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().expect(NO_PANIC)
    }
}

const NO_PANIC: &str = "nothing panics while it has the connections";
