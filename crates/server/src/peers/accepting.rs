//! Taking in the connections of other servers, and of strangers.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use mio::Interest;
use mio::net::TcpStream;
use tracing::{debug, warn};
use zab::Link;

use super::PeersError;
use super::connection::{Connection, Side};
use super::doors::Port;
use super::ending::Ending;
use super::errand::{Admission, Asker};
use super::limits::{ACCEPTED_AT_ONCE_MAX, ACCEPTED_MAX, STRANGERS_MAX};
use super::links::Links;
use super::lookups::Lookup;
use super::news::UnderWay;

/// Connections that were accepted at one port.
#[derive(Debug, Default)]
pub(super) struct Guests {
    /// All of them.
    pub(super) count: usize,
    /// Those that have not said who they are, the oldest first.
    pub(super) strangers: VecDeque<Link>,
}

impl Guests {
    /// Forgets that this one is a stranger.
    pub(super) fn introduced(&mut self, link: Link) {
        self.strangers.retain(|&stranger| stranger != link);
    }
}

impl Links {
    /// Opens the doors that are due.
    ///
    /// # Errors
    /// When one can not be opened, and was tried often enough.
    pub(super) fn open_doors(&mut self) -> Result<(), PeersError> {
        let now = self.clock.instant();
        for index in self.doors.due(now) {
            let addresses = match self.doors.door(index).place.addresses() {
                Ok(addresses) => Ok(addresses),
                Err(place) => {
                    match self.lookups.begin(Asker::Door(index), std::slice::from_ref(place)) {
                        Lookup::Found(addresses) => Ok(addresses),
                        Lookup::Begun => {
                            self.doors.look_up(index);
                            continue;
                        }
                        Lookup::Failed(problem) => Err(io::Error::other(problem)),
                    }
                }
            };
            self.doors.open(index, now, addresses, &self.registry)?;
        }
        Ok(())
    }

    /// Opens a door of which it is known now where it is.
    ///
    /// # Errors
    /// As [`Self::open_doors`].
    pub(super) fn open_door(
        &mut self,
        index: usize,
        addresses: io::Result<Vec<SocketAddr>>,
    ) -> Result<(), PeersError> {
        self.doors.open(index, self.clock.instant(), addresses, &self.registry)
    }

    /// Takes in those who wait, at each door some.
    pub(super) fn accept_waiting(&mut self) {
        let doors: Vec<_> = self.doors.waited_at(self.clock.instant()).collect();
        for index in doors {
            self.accept(index);
        }
    }

    fn accept(&mut self, index: usize) {
        let port = self.doors.door(index).port;
        for _ in 0..ACCEPTED_AT_ONCE_MAX {
            match self.doors.accept(index) {
                Ok(None) => return,
                Ok(Some((stream, address))) => self.take_in(port, stream, address),
                Err(failure)
                    if matches!(
                        failure.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                    ) => {}
                Err(failure) => {
                    // Out of descriptors, most likely.
                    let now = self.clock.instant();
                    if let Some(suppressed) = self.lines.accept_failures.admit(now) {
                        warn!(%failure, suppressed, "can not accept the connection of a server");
                    }
                    return self.doors.leave(index, now);
                }
            }
        }
    }

    fn take_in(&mut self, port: Port, stream: TcpStream, address: SocketAddr) {
        let is_refused = self.doors.admission(port) == Admission::Refuse;
        if is_refused || self.guests(port).count >= ACCEPTED_MAX {
            self.stats.turned_away.add(1);
            let now = self.clock.instant();
            if let Some(suppressed) = self.lines.turned_away.admit(now) {
                let why = match (is_refused, port) {
                    (false, _) => "too many",
                    (true, Port::ObserverMaster) => "this server does not follow",
                    (true, Port::Quorum | Port::Election) => "this server does not lead",
                };
                warn!(%address, ?port, why, suppressed, "a connection was turned away");
            }
            return;
        }
        if let Err(failure) = self.try_take_in(port, stream, address) {
            debug!(%address, %failure, "the connection was gone already");
        }
    }

    fn try_take_in(
        &mut self,
        port: Port,
        mut stream: TcpStream,
        address: SocketAddr,
    ) -> io::Result<()> {
        let now = self.clock.instant();
        let side = match port {
            Port::Election => Side::Caller { until: now.after(self.options.hello_timeout) },
            Port::Quorum | Port::ObserverMaster => {
                Side::Newcomer { until: now.after(self.options.introduction_timeout) }
            }
        };
        stream.set_nodelay(true)?;
        let link = self.next_link();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut stream, Self::token(link), interest)?;
        let under_way = UnderWay::new(&self.letterbox);
        let mut connection = Connection::new(stream, address, side, under_way);
        connection.door = Some(port);
        self.connections.insert(link, connection);
        self.stats.accepted.add(1);
        let guests = self.guests(port);
        guests.count += 1;
        guests.strangers.push_back(link);
        let oldest = guests.strangers.front().copied();
        // What came before the registration may never be told; a server says at once who it is.
        self.read(link);
        if self.guests(port).strangers.len() > STRANGERS_MAX
            && let Some(oldest) = oldest
        {
            self.close(oldest, Ending::Crowded);
        }
        Ok(())
    }

    /// Closes connections of those who did not say in time who they are.
    pub(super) fn close_silent(&mut self) {
        let now = self.clock.instant();
        for port in Port::ALL {
            while let Some(&oldest) = self.guests(port).strangers.front()
                && self.introduction_due(oldest).is_none_or(|due| due <= now)
            {
                self.close(oldest, Ending::Silent);
                self.guests(port).introduced(oldest);
            }
        }
    }

    fn introduction_due(&self, link: Link) -> Option<types::Instant> {
        self.connections.get(&link)?.introduction_due()
    }
}
