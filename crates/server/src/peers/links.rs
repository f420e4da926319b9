//! The connections between servers, and what is done with them.

use std::collections::BTreeMap;
use std::net::Shutdown;
#[cfg(test)]
use std::net::SocketAddr;
use std::sync::Arc;

use mio::{Registry, Token};
use tracing::debug;
use types::{Instant, Sid};
use zab::{Link, Memberships};

use super::PeersError;
use super::accepting::Guests;
use super::attempts::Attempts;
use super::connection::{Connection, Receiving, Side};
use super::doors::{Doors, Port};
use super::encode::{self, BatchEncoder};
use super::ending::{Ended, Ending, Lines};
use super::errand::{Asker, Errand};
use super::limits::READ_BYTES;
use super::lookups::Lookups;
use super::news::{News, StreamPart};
use super::options::Options;
use super::stats::Stats;
use super::unreached::Unreached;
use crate::clock::Clock;
use crate::letterbox::{Letterbox, WAKER};

/// The first id for a caller that keeps its own to itself; the next are below.
const FIRST_ANONYMOUS: Sid = Sid(-1);

/// All that is known of the other servers' connections. Whoever has it works with it, one thread at a time;
/// nobody waits for anything meanwhile.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) registry: Registry,
    pub(super) letterbox: Arc<Letterbox<Errand>>,
    pub(super) stats: Arc<Stats>,
    pub(super) lines: Lines,
    /// What is said to whom is called.
    pub(super) hello: Vec<u8>,
    /// `None` until it is told.
    pub(super) memberships: Option<Memberships>,

    pub(super) doors: Doors,
    pub(super) election_guests: Guests,
    pub(super) quorum_guests: Guests,
    pub(super) observer_guests: Guests,
    pub(super) lookups: Lookups,
    pub(super) attempts: Attempts,
    pub(super) unreached: Unreached,
    pub(super) connections: BTreeMap<Link, Connection>,
    next_link: u64,
    pub(super) next_anonymous: Sid,

    pub(super) buffer: Box<[u8]>,
    pub(super) encoder: BatchEncoder,
    /// Connections that may have bytes of which the system does not tell again. Each once.
    pub(super) held_up: Vec<Link>,
    /// Connections that are to be written to. Each once.
    pub(super) touched: Vec<Link>,
    /// What happened and nobody was told.
    pub(super) news: Vec<News>,
    /// What was received of snapshots; to be handed on behind the news.
    pub(super) stream_parts: Vec<StreamPart>,
}

impl Links {
    /// None yet. Opens the ports, or finds that they have to be tried again.
    ///
    /// # Errors
    /// As [`super::PeersThread::new`].
    pub(super) fn new(
        options: Options,
        clock: Clock,
        registry: Registry,
        letterbox: Arc<Letterbox<Errand>>,
        stats: Arc<Stats>,
    ) -> Result<Self, PeersError> {
        let mut this = Self {
            hello: encode::hello(options.sid, &options.election)?,
            doors: Doors::new(&options, clock.instant()),
            lookups: Lookups::new(options.resolve.clone(), Arc::clone(&letterbox)),
            options,
            clock,
            registry,
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
        Ok(this)
    }

    /// Where a port is open.
    #[cfg(test)]
    pub(super) fn addresses(&self, port: Port) -> Vec<SocketAddr> {
        self.doors.addresses(port)
    }

    /// Whether there is something to do now, whatever the sockets say.
    pub(super) fn has_work(&self) -> bool {
        let wants_bytes =
            |link: &Link| self.connections.get(link).is_some_and(Connection::wants_bytes);
        self.has_loose_ends()
            || self.doors.waited_at(self.clock.instant()).next().is_some()
            || self.held_up.iter().any(wants_bytes)
    }

    /// Whether something follows from what was sent, or more could be sent.
    pub(super) fn has_loose_ends(&self) -> bool {
        !self.touched.is_empty() || !self.news.is_empty() || !self.stream_parts.is_empty()
    }

    /// Runs errands that are only to send something.
    pub(super) fn send(&mut self, errands: Vec<Errand>) {
        for errand in errands {
            self.carry_out(errand).expect("no port is opened to send something");
        }
        self.encoder.forget();
        self.flush_touched();
    }

    /// When something is due, if nothing happens before.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let guests = [&self.election_guests, &self.quorum_guests, &self.observer_guests];
        let strangers = guests.into_iter().filter_map(|guests| guests.strangers.front());
        let introductions =
            strangers.filter_map(|link| self.connections.get(link)?.introduction_due());
        let others = [self.doors.next_deadline(), self.attempts.next_deadline()];
        introductions.chain(others.into_iter().flatten()).min()
    }

    /// Something happened to a socket.
    pub(super) fn on_event(&mut self, event: &mio::event::Event) {
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

    /// Everything that follows from what others want, and from time.
    ///
    /// # Errors
    /// When a port can not be opened however often it is tried.
    pub(super) fn turn(&mut self) -> Result<(), PeersError> {
        for errand in self.letterbox.take() {
            self.carry_out(errand)?;
        }
        self.encoder.forget();
        self.accept_waiting();
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

    /// Finds the servers where these memberships say; this one listens where the one in force says. Who is
    /// not in that, or not yet, stays where it is.
    fn set_memberships(&mut self, memberships: Memberships) -> Result<(), PeersError> {
        let pending = memberships.pending();
        self.unreached.keep(|sid| {
            let is_pending = pending.is_some_and(|pending| pending.find(sid).is_some());
            is_pending || memberships.committed.find(sid).is_some()
        });
        let sid = self.options.sid;
        let own = memberships.committed.find(sid);
        if own.is_some_and(|member| self.options.move_to(member)) {
            self.hello = encode::hello(sid, &self.options.election)?;
            self.doors.move_to(&self.options, self.clock.instant());
        }
        self.memberships = Some(memberships);
        Ok(())
    }

    /// Ends a connection, and tells those who know of it.
    pub(super) fn close(&mut self, link: Link, ending: Ending) {
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
        if let Err(failure) = self.registry.deregister(&mut connection.stream) {
            debug!(%failure, "the connection is watched until it is dropped");
        }
        // Sends the end of the stream also where unread bytes would make it a reset.
        if let Err(failure) = connection.stream.shutdown(Shutdown::Both) {
            debug!(%failure, "the connection was gone already");
        }
    }

    pub(super) fn guests(&mut self, port: Port) -> &mut Guests {
        match port {
            Port::Election => &mut self.election_guests,
            Port::Quorum => &mut self.quorum_guests,
            Port::ObserverMaster => &mut self.observer_guests,
        }
    }

    pub(super) fn next_link(&mut self) -> Link {
        self.next_link += 1;
        Link(self.next_link)
    }

    /// What the system calls a connection. Where its numbers are narrower, there are more of them
    /// than connections in the life of a process.
    pub(super) fn token(link: Link) -> Token {
        Token(usize::try_from(link.0).expect("numbers of connections are not used up"))
    }
}
