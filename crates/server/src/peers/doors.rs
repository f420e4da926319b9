//! The ports on which a server listens for the others.
//!
//! All are open all the time. A learner that comes before it is known who leads waits in the
//! system's queue, without having been accepted, instead of being sent away to try again.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use tracing::{info, warn};
use types::Instant;
use types::membership::HostPort;

use super::PeersError;
use super::errand::Admission;
use super::limits::{ACCEPT_PAUSE, BIND_PAUSE, PORT_BACKLOG};
use super::options::{Interfaces, Options};
use crate::door::open_port;
use crate::letterbox::WAKER;

/// Which of the ports between servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Port {
    /// For elections.
    Election,
    /// For learners.
    Quorum,
    /// For observers that learn from a follower.
    ObserverMaster,
}

impl Port {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Election, Self::Quorum, Self::ObserverMaster];
}

/// The listeners of all ports.
#[derive(Debug)]
pub(super) struct Doors {
    doors: Vec<Door>,
    /// Of learners at the quorum port.
    learners: Admission,
    /// Of observers at the port of observer masters.
    observers: Admission,
    tries_max: Option<u64>,
    keep_alive: bool,
}

/// One address.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) port: Port,
    pub(super) place: Place,
    state: State,
    queue: Queue,
}

/// Where to listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// On one interface.
    At(HostPort),
    /// On all of them, at this port.
    Everywhere(u16),
}

/// Whether connections wait at a door. The system tells of new ones, but not again of those that it
/// has told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Queue {
    Empty,
    MayWait,
    /// They do, but can not be accepted before.
    Stuck {
        until: Instant,
    },
}

#[derive(Debug)]
enum State {
    Open(TcpListener),
    /// It could not be opened so many times.
    Shut {
        tries: u64,
        next_try: Instant,
    },
    /// It is looked up where it is.
    Unknown {
        tries: u64,
    },
    /// It is not wanted any longer. The number of a door is not used again.
    Closed,
}

impl Doors {
    /// None is open; each is tried when [`Self::due`] names it.
    pub(super) fn new(options: &Options, now: Instant) -> Self {
        let mut doors = Self {
            doors: Vec::new(),
            learners: Admission::default(),
            observers: Admission::Refuse,
            tries_max: options.bind_tries,
            keep_alive: options.keep_alive,
        };
        doors.move_to(options, now);
        doors
    }

    /// Closes what is not at these places, and has what is new tried.
    pub(super) fn move_to(&mut self, options: &Options, now: Instant) {
        let wanted = wanted(options);
        for door in &mut self.doors {
            if !matches!(door.state, State::Closed)
                && !wanted.contains(&(door.port, door.place.clone()))
            {
                info!(port = ?door.port, place = %door.place, "not listening there any longer");
                door.state = State::Closed;
            }
        }
        for (port, place) in wanted {
            let is_it = |door: &Door| (door.port, &door.place) == (port, &place);
            let is_there = |door: &Door| is_it(door) && !matches!(door.state, State::Closed);
            if !self.doors.iter().any(is_there) {
                let state = State::Shut { tries: 0, next_try: now };
                self.doors.push(Door { port, place, state, queue: Queue::Empty });
            }
        }
    }

    /// The doors that are to be tried now.
    pub(super) fn due(&self, now: Instant) -> Vec<usize> {
        let is_due =
            |door: &Door| matches!(door.state, State::Shut { next_try, .. } if next_try <= now);
        (0..self.doors.len()).filter(|&index| is_due(&self.doors[index])).collect()
    }

    /// When a door is to be tried, or connections at it.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadline = |door: &Door| match (&door.state, door.queue) {
            (&State::Shut { next_try, .. }, _) => Some(next_try),
            (State::Open(_), Queue::Stuck { until }) => Some(until),
            (State::Open(_), Queue::Empty | Queue::MayWait)
            | (State::Unknown { .. } | State::Closed, _) => None,
        };
        self.doors.iter().filter_map(deadline).min()
    }

    pub(super) fn door(&self, index: usize) -> &Door {
        &self.doors[index]
    }

    /// Leaves the door until its place is known, when [`Self::open`] is to be called.
    pub(super) fn look_up(&mut self, index: usize) {
        let door = &mut self.doors[index];
        if let State::Shut { tries, .. } = door.state {
            door.state = State::Unknown { tries };
        }
    }

    /// Opens a door at the first of these addresses that can be had. If there is none, it is tried
    /// again later.
    ///
    /// # Errors
    /// When it has been tried often enough.
    pub(super) fn open(
        &mut self,
        index: usize,
        now: Instant,
        addresses: io::Result<Vec<SocketAddr>>,
        registry: &Registry,
    ) -> Result<(), PeersError> {
        let tries_max = self.tries_max;
        let door = &mut self.doors[index];
        let keep_alive = self.keep_alive && door.port == Port::Election;
        let tries = match door.state {
            State::Open(_) | State::Closed => return Ok(()),
            State::Shut { tries, .. } | State::Unknown { tries } => tries + 1,
        };
        let token = token(index);
        let opened = addresses.and_then(|addresses| {
            let mut listener = open_first(&addresses, keep_alive)?;
            registry.register(&mut listener, token, Interest::READABLE)?;
            Ok((listener.local_addr()?, listener))
        });
        match opened {
            Ok((address, listener)) => {
                info!(port = ?door.port, %address, "listening for other servers");
                door.state = State::Open(listener);
                door.queue = Queue::MayWait;
                Ok(())
            }
            Err(source) if tries_max.is_some_and(|max| tries >= max) => {
                Err(PeersError::Listen { port: door.port, place: door.place.to_string(), source })
            }
            Err(failure) => {
                // It may be tried for ever.
                if tries.is_power_of_two() {
                    warn!(port = ?door.port, place = %door.place, %failure, tries,
                        "can not listen for other servers, trying again");
                }
                door.state = State::Shut { tries, next_try: now.after(BIND_PAUSE) };
                Ok(())
            }
        }
    }

    /// Where the doors of a port are open.
    #[cfg(test)]
    pub(super) fn addresses(&self, port: Port) -> Vec<SocketAddr> {
        let address = |door: &Door| match &door.state {
            State::Open(listener) if door.port == port => listener.local_addr().ok(),
            State::Open(_) | State::Shut { .. } | State::Unknown { .. } | State::Closed => None,
        };
        self.doors.iter().filter_map(address).collect()
    }

    /// The door with this token.
    pub(super) fn index(&self, token: Token) -> Option<usize> {
        WAKER.0.checked_sub(token.0 + 1).filter(|&index| index < self.doors.len())
    }

    /// What is done with those who connect to a port.
    pub(super) fn admission(&self, port: Port) -> Admission {
        match port {
            Port::Election => Admission::Admit,
            Port::Quorum => self.learners,
            Port::ObserverMaster => self.observers,
        }
    }

    /// Does so with learners from now on, and with those that wait.
    pub(super) fn set_admission(&mut self, admission: Admission) {
        self.learners = admission;
        for door in self.doors.iter_mut().filter(|door| door.port == Port::Quorum) {
            door.queue = Queue::MayWait;
        }
    }

    /// Does so with observers from now on.
    pub(super) fn set_admission_of_observers(&mut self, admission: Admission) {
        self.observers = admission;
    }

    /// Notes that connections may wait at a door.
    pub(super) fn somebody_waits(&mut self, index: usize) {
        self.doors[index].queue = Queue::MayWait;
    }

    /// The doors at which connections may wait that are to be accepted now.
    pub(super) fn waited_at(&self, now: Instant) -> impl Iterator<Item = usize> {
        (0..self.doors.len()).filter(move |&index| {
            let Door { port, queue, .. } = self.doors[index];
            let may_wait = match queue {
                Queue::Empty => false,
                Queue::MayWait => true,
                Queue::Stuck { until } => until <= now,
            };
            may_wait && self.admission(port) != Admission::Wait
        })
    }

    /// Takes in a connection that waits; `None` if there is none.
    ///
    /// # Errors
    /// What the system says. Others may wait.
    pub(super) fn accept(&mut self, index: usize) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        let door = &mut self.doors[index];
        let State::Open(listener) = &door.state else {
            door.queue = Queue::Empty;
            return Ok(None);
        };
        match listener.accept() {
            Ok(accepted) => Ok(Some(accepted)),
            Err(failure) if failure.kind() == io::ErrorKind::WouldBlock => {
                door.queue = Queue::Empty;
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Leaves those who wait at a door for a while.
    pub(super) fn leave(&mut self, index: usize, now: Instant) {
        self.doors[index].queue = Queue::Stuck { until: now.after(ACCEPT_PAUSE) };
    }
}

impl Place {
    /// Where that is, if it is no name.
    pub(super) fn addresses(&self) -> Result<Vec<SocketAddr>, &HostPort> {
        match self {
            Self::At(place) => Err(place),
            // One socket for both, where the system has both.
            &Self::Everywhere(port) => {
                Ok(vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()])
            }
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(place) => place.fmt(f),
            Self::Everywhere(port) => write!(f, "*:{port}"),
        }
    }
}

/// The doors of a server with these options, each once.
fn wanted(options: &Options) -> Vec<(Port, Place)> {
    let mut wanted = Vec::new();
    for (port, places) in [
        (Port::Election, &options.election),
        (Port::Quorum, &options.quorum),
        (Port::ObserverMaster, &options.observer_master),
    ] {
        for place in places {
            let place = match options.interfaces {
                Interfaces::Own => Place::At(place.clone()),
                Interfaces::All => Place::Everywhere(place.port),
            };
            if !wanted.contains(&(port, place.clone())) {
                wanted.push((port, place));
            }
        }
    }
    wanted
}

fn token(index: usize) -> Token {
    Token(WAKER.0 - 1 - index)
}

/// Opens a port at the first address that can be had. Of the addresses of one name, those of IPv4
/// come first, as with Apache: others may know only these.
fn open_first(addresses: &[SocketAddr], keep_alive: bool) -> io::Result<TcpListener> {
    let is_everywhere = addresses.iter().all(|address| address.ip().is_unspecified());
    let mut ordered = addresses.to_vec();
    if !is_everywhere {
        ordered.sort_by_key(SocketAddr::is_ipv6);
    }
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "no address is known");
    for address in ordered {
        match open_port(address, keep_alive, PORT_BACKLOG) {
            Ok(listener) => return Ok(listener),
            Err(next) => failure = next,
        }
    }
    Err(failure)
}
