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
//! # Rules
//!
//! - The loop waits for nothing but events. Names are looked up by short-lived threads (`lookups`);
//!   connecting goes on in the background.
//! - Who has not said who it is costs little, has little time, and is one of few (`limits`). Nobody is
//!   told of it.
//! - Nothing is decoded before it is bounded, and no more is kept than was received.
//! - What a connection sends is not read faster than the replica works it off ([`news::Received`] is the
//!   measure); what is to be sent over it is bounded, and beyond that it is closed.
//! - A connection has one number, a [`Link`], which is never used again.
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

use std::collections::BTreeMap;
use std::io;
use std::net::Shutdown;
#[cfg(test)]
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll, Token};
use tracing::debug;
use types::{Instant, Sid};
use wire::election::HelloError;
use zab::{Link, Memberships};

use crate::clock::Clock;
use crate::letterbox::{Letterbox, WAKER};

use self::accepting::Guests;
use self::attempts::Attempts;
use self::connection::{Connection, Receiving, Side};
use self::doors::Doors;
use self::encode::BatchEncoder;
use self::ending::{Ended, Ending, Lines};
use self::errand::{Asker, Errand};
use self::limits::READ_BYTES;
use self::lookups::Lookups;
use self::news::{News, StreamPart};
use self::options::Options;
use self::stats::Stats;
use self::unreached::Unreached;

pub use self::doors::Port;

/// Events taken from the system at once.
const EVENTS_MAX: usize = 256;

/// The first id for a caller that keeps its own to itself; the next are below.
const FIRST_ANONYMOUS: Sid = Sid(-1);

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

/// The way to the thread. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    letterbox: Arc<Letterbox<Errand>>,
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests look at them"))]
    stats: Arc<Stats>,
}

impl Peers {
    /// Runs errands soon, in their order and together. Leaves `errands` empty.
    pub(crate) fn run(&self, errands: &mut Vec<Errand>) {
        self.letterbox.put_all(errands);
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
        (Self { letterbox, stats: Arc::default() }, poll)
    }

    /// Takes the errands that nobody has run.
    pub(crate) fn take_errands(&self) -> Vec<Errand> {
        self.letterbox.take()
    }
}

/// The thread that has the connections, before it runs.
#[derive(Debug)]
pub(crate) struct PeersThread {
    options: Options,
    clock: Clock,
    poll: Poll,
    letterbox: Arc<Letterbox<Errand>>,
    stats: Arc<Stats>,
    lines: Lines,
    /// What is said to whom is called.
    hello: Vec<u8>,
    /// `None` until it is told.
    memberships: Option<Memberships>,

    doors: Doors,
    election_guests: Guests,
    quorum_guests: Guests,
    observer_guests: Guests,
    lookups: Lookups,
    attempts: Attempts,
    unreached: Unreached,
    connections: BTreeMap<Link, Connection>,
    next_link: u64,
    next_anonymous: Sid,

    buffer: Box<[u8]>,
    encoder: BatchEncoder,
    /// Connections that may have bytes of which the system does not tell again. Each once.
    held_up: Vec<Link>,
    /// Connections that are to be written to. Each once.
    touched: Vec<Link>,
    news: Vec<News>,
    stream_parts: Vec<StreamPart>,
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
        let peers = Peers { letterbox: Arc::clone(&letterbox), stats: Arc::clone(&stats) };
        let mut this = Self {
            hello: encode::hello(options.sid, &options.election)?,
            doors: Doors::new(&options, clock.instant()),
            lookups: Lookups::new(options.resolve.clone(), Arc::clone(&letterbox)),
            options,
            clock,
            poll,
            letterbox,
            stats,
            lines: Lines::default(),
            memberships: None,
            election_guests: Guests::default(),
            quorum_guests: Guests::default(),
            observer_guests: Guests::default(),
            attempts: Attempts::default(),
            unreached: Unreached::default(),
            connections: BTreeMap::new(),
            next_link: 0,
            next_anonymous: FIRST_ANONYMOUS,
            buffer: vec![0; READ_BYTES].into(),
            encoder: BatchEncoder::default(),
            held_up: Vec::new(),
            touched: Vec::new(),
            news: Vec::new(),
            stream_parts: Vec::new(),
        };
        this.open_doors()?;
        Ok((peers, this))
    }

    /// Where a port is open.
    #[cfg(test)]
    pub(crate) fn addresses(&self, port: Port) -> Vec<SocketAddr> {
        self.doors.addresses(port)
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
        // What was said last may still leave.
        self.flush_touched();
        self.lookups.close();
        ended
    }

    fn work(
        &mut self,
        mut deliver: impl FnMut(&mut Vec<News>),
        mut receive: impl FnMut(StreamPart),
    ) -> Result<(), PeersError> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.letterbox.is_stopped() {
            self.wait(&mut events)?;
            for event in &events {
                self.on_event(event);
            }
            self.turn()?;
            if !self.news.is_empty() {
                deliver(&mut self.news);
            }
            self.stream_parts.drain(..).for_each(&mut receive);
        }
        Ok(())
    }

    /// Waits for events, unless there is something to do.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let now = self.clock.instant();
        let wants_bytes =
            |link: &Link| self.connections.get(link).is_some_and(Connection::wants_bytes);
        let has_work = || {
            !self.touched.is_empty()
                || self.doors.waited_at(now).next().is_some()
                || self.held_up.iter().any(wants_bytes)
        };
        let timeout = if self.letterbox.may_sleep(has_work) {
            self.next_deadline().map(|deadline| self.clock.until(deadline))
        } else {
            Some(Duration::ZERO)
        };
        let result = self.poll.poll(events, timeout);
        self.letterbox.awake();
        match result {
            Err(failure) if failure.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let guests = [&self.election_guests, &self.quorum_guests, &self.observer_guests];
        let strangers = guests.into_iter().filter_map(|guests| guests.strangers.front());
        let introductions =
            strangers.filter_map(|link| self.connections.get(link)?.introduction_due());
        let others = [self.doors.next_deadline(), self.attempts.next_deadline()];
        introductions.chain(others.into_iter().flatten()).min()
    }

    fn on_event(&mut self, event: &mio::event::Event) {
        let token = event.token();
        if token == WAKER {
            return;
        }
        if let Some(index) = self.doors.index(token) {
            return self.doors.somebody_waits(index);
        }
        let link = Link(token.0 as u64);
        let Some(connection) = self.connections.get_mut(&link) else {
            return self.on_connecting(link);
        };
        connection.has_end |= event.is_read_closed();
        if event.is_readable() || event.is_read_closed() {
            self.read(link);
        }
        if event.is_writable() {
            self.flush(link);
        }
    }

    /// Everything that follows from the events, from what others want, and from time.
    fn turn(&mut self) -> Result<(), PeersError> {
        for errand in self.letterbox.take() {
            self.carry_out(errand)?;
        }
        self.encoder.forget();
        self.accept_waiting();
        self.read_held_up();
        self.flush_touched();
        self.on_time_of_attempts();
        self.close_silent();
        self.open_doors()
    }

    fn carry_out(&mut self, errand: Errand) -> Result<(), PeersError> {
        match errand {
            Errand::Memberships(memberships) => self.set_memberships(memberships)?,
            Errand::Call { to, addresses } => self.call(to, &addresses),
            Errand::Notify { link, announcement } => self.notify(link, &announcement),
            Errand::Close { link, reason } => {
                // What was said before goes first, as far as there is room.
                self.flush(link);
                self.close(link, Ending::Told(reason));
            }
            Errand::ConnectToLeader(leader) => self.connect_to_leader(leader),
            Errand::ConnectToMaster(master) => self.connect_to_master(master),
            Errand::Learners(admission) => self.doors.set_admission(admission),
            Errand::Observers(admission) => self.doors.set_admission_of_observers(admission),
            Errand::ToLeader { link, packet } => self.tell_leader(link, packet),
            Errand::ToLearner { link, packet } => self.tell_learner(link, &packet),
            Errand::Packets { link, bytes } => self.send_packets(link, &bytes),
            Errand::SnapshotPart { link, part } => self.send_snapshot_part(link, part),
            Errand::TellWhenSent { link } => self.tell_when_sent(link),
            Errand::StreamProgress { link, progress } => self.on_stream_progress(link, progress),
            Errand::LookedUp { asker, places, addresses } => {
                self.lookups.ended(asker);
                match asker {
                    Asker::Goal(goal) => self.on_looked_up(goal, &places, addresses),
                    Asker::Door(index) => self.open_door(index, addresses)?,
                }
            }
        }
        Ok(())
    }

    /// Finds the servers where these memberships say; this one moves if it was somewhere else before.
    fn set_memberships(&mut self, memberships: Memberships) -> Result<(), PeersError> {
        let sid = self.options.sid;
        self.unreached.keep(|sid| {
            let pending = memberships.pending().and_then(|pending| pending.find(sid));
            memberships.committed.find(sid).or(pending).is_some()
        });
        let known = self.memberships.replace(memberships);
        let before = known.as_ref().and_then(|known| known.committed.find(sid));
        let now = self.memberships.as_ref().and_then(|now| now.committed.find(sid));
        let (Some(before), Some(member)) = (before, now) else { return Ok(()) };
        if before.addresses() != member.addresses() {
            self.options.move_to(member);
            self.hello = encode::hello(sid, &self.options.election)?;
            self.doors.move_to(&self.options, self.clock.instant());
        }
        Ok(())
    }

    /// Ends a connection, and tells those who know of it.
    fn close(&mut self, link: Link, ending: Ending) {
        let Some(mut connection) = self.connections.remove(&link) else { return };
        let ended = Ended { link, address: connection.address, peer: connection.peer };
        ending.count(&self.stats);
        ending.log(ended, self.clock.instant(), &self.lines);
        if let Some(port) = connection.door {
            let guests = self.guests(port);
            guests.count -= 1;
            guests.introduced(link);
        }
        match connection.side {
            Side::Caller { .. } | Side::Newcomer { .. } => {}
            Side::Elector(_) => self.news.push(News::ElectionLinkClosed { link }),
            Side::Learner { .. } => self.news.push(News::QuorumLinkClosed { link }),
            Side::Leader { receiving, .. } => {
                if let Some(Receiving::Busy | Receiving::Idle) = receiving {
                    self.stream_parts.push(StreamPart::CutOff { link });
                }
                self.news.push(News::QuorumLinkClosed { link });
            }
        }
        if let Err(failure) = self.poll.registry().deregister(&mut connection.stream) {
            debug!(%failure, "the connection is watched until it is dropped");
        }
        // Sends the end of the stream also where unread bytes would make it a reset.
        if let Err(failure) = connection.stream.shutdown(Shutdown::Both) {
            debug!(%failure, "the connection was gone already");
        }
    }

    fn guests(&mut self, port: Port) -> &mut Guests {
        match port {
            Port::Election => &mut self.election_guests,
            Port::Quorum => &mut self.quorum_guests,
            Port::ObserverMaster => &mut self.observer_guests,
        }
    }

    fn next_link(&mut self) -> Link {
        self.next_link += 1;
        Link(self.next_link)
    }

    /// What the system calls a connection. Where its numbers are narrower, there are more of them
    /// than connections in the life of a process.
    fn token(link: Link) -> Token {
        Token(usize::try_from(link.0).expect("numbers of connections are not used up"))
    }
}
