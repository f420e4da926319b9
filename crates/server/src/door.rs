//! Where connections come in, and how they reach their thread.
//!
//! One I/O thread has the listener; it hands the connections to all threads in turn.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard};

use config::{Limits, Listen};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use replica::view::WatchesFrom;
use socket2::{Domain, Protocol, Socket, Type};
use tracing::{debug, error, info, warn};
use types::membership::{Host, HostPort};
use types::{ConnId, Instant, LineLimit};

use crate::host;
use crate::letterbox::{Letterbox, WAKER};
use crate::view::{ClientPlace, Views};

/// Connections are numbered from zero on.
const LISTENER: Token = Token(WAKER.0 - 1);

/// Connections taken in before others get their turn.
const ACCEPTED_AT_ONCE_MAX: usize = 256;
/// Descriptors that connections leave to the files of the log and of snapshots; a quarter where
/// there are few.
const DESCRIPTORS_KEPT_MAX: u64 = 32;
/// Waiting connections that the system keeps unless the operator says otherwise.
const BACKLOG: u32 = 1024;

/// What others want of an I/O thread.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Serve this connection.
    Serve { stream: TcpStream, address: SocketAddr },
    /// Send this answer to an operator's word, unless the connection is gone.
    Answer { conn: ConnId, text: Vec<u8> },
    /// Tell the operator's thread the next part of the watches.
    ListWatches(WatchesFrom),
    /// Let clients connect elsewhere; connections that there are go on.
    MoveDoor(ClientPlace),
}

/// What one I/O thread is handed: errands, and the reason to wake up.
#[derive(Debug)]
pub(crate) struct Handover {
    pub(crate) letterbox: Letterbox<Errand>,
    counts: Arc<Counts>,
}

/// How many connections there are.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// Without zeros.
    by_address: BTreeMap<IpAddr, u64>,
    /// The sum of those.
    total: u64,
}

impl Counts {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().expect("nothing panics while it counts connections")
    }

    /// Counts a connection in, unless there are too many.
    fn admit(&self, address: IpAddr, limits: &Limits) -> bool {
        let mut counted = self.lock();
        let of_address = counted.by_address.get(&address).copied().unwrap_or_default();
        let is_over = |count: u64, limit: Option<u64>| limit.is_some_and(|limit| count >= limit);
        if is_over(of_address, limits.connections_per_address_max)
            || is_over(counted.total, limits.connections_max)
        {
            return false;
        }
        counted.by_address.insert(address, of_address + 1);
        counted.total += 1;
        true
    }

    fn leave(&self, address: IpAddr) {
        let mut counted = self.lock();
        if let Some(count) = counted.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counted.by_address.remove(&address);
            }
            counted.total -= 1;
        }
    }
}

impl Handover {
    pub(crate) fn new(registry: &Registry, counts: Arc<Counts>) -> io::Result<Self> {
        Ok(Self { letterbox: Letterbox::new(registry)?, counts })
    }

    pub(crate) fn connection_closed(&self, address: IpAddr) {
        self.counts.leave(address);
    }

    /// Lets the thread run an errand soon.
    pub(crate) fn run(&self, errand: Errand) {
        self.letterbox.put(errand);
    }
}

/// Where clients connect.
#[derive(Debug)]
pub(crate) struct Door {
    /// `None` if they can not.
    listener: Option<TcpListener>,
    options: Listen,
    threads: Vec<Arc<Handover>>,
    next: usize,
    limits: Limits,
    /// The first descriptor that is not for connections.
    descriptors_end: u64,
    counts: Arc<Counts>,
    views: Arc<Views>,
    /// For the log: connections that are refused, and those that can not be taken in.
    refused: LineLimit,
    failed: LineLimit,
}

impl Door {
    pub(crate) fn new(
        listener: Option<TcpListener>,
        options: Listen,
        threads: Vec<Arc<Handover>>,
        limits: Limits,
        counts: Arc<Counts>,
        views: Arc<Views>,
    ) -> Self {
        let descriptors_end = descriptors_end(host::descriptors().max);
        let (refused, failed) = (LineLimit::default(), LineLimit::default());
        let door = Self {
            listener,
            options,
            threads,
            next: 0,
            limits,
            descriptors_end,
            counts,
            views,
            refused,
            failed,
        };
        door.views.set_client_port(door.address().map(|address| address.port()));
        door
    }

    /// Lets the thread of this registry be told of connections.
    pub(crate) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        match &mut self.listener {
            Some(listener) => registry.register(listener, LISTENER, Interest::READABLE),
            None => Ok(()),
        }
    }

    /// Lets clients connect at another address, or nowhere. If that can not be had, they connect where
    /// they did before.
    pub(crate) fn move_to(&mut self, address: Option<SocketAddr>, registry: &Registry) {
        let before = self.address();
        if before == address {
            return;
        }
        // The new address may be a part of the old one, or the other way round.
        self.listener = None;
        if let Some(address) = address {
            match self.open(address, registry) {
                Ok(()) => info!(%address, "clients connect here from now on"),
                Err(failure) => {
                    error!(%address, %failure, "can not listen for clients where the membership says");
                    let again = before.map(|before| self.open(before, registry));
                    if let Some(Err(failure)) = again {
                        error!(?before, %failure, "nor where they connected before");
                    }
                }
            }
        }
        self.views.set_client_port(self.address().map(|address| address.port()));
    }

    fn open(&mut self, address: SocketAddr, registry: &Registry) -> io::Result<()> {
        self.listener = Some(listen(&self.options, address)?);
        self.register(registry)
    }

    /// Where clients connect.
    fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref()?.local_addr().ok()
    }

    /// Whether this slot is the listener's.
    pub(crate) fn is(slot: usize) -> bool {
        Token(slot) == LISTENER
    }

    /// Takes in the connections that wait; tells whether there may be more, of which nobody tells
    /// again.
    pub(crate) fn accept(&mut self, now: Instant) -> bool {
        for _ in 0..ACCEPTED_AT_ONCE_MAX {
            let Some(listener) = &self.listener else { return false };
            match listener.accept() {
                Ok((stream, address)) => self.admit(now, stream, address),
                Err(failure) if failure.kind() == io::ErrorKind::WouldBlock => return false,
                // Whoever came first has left already; others may wait behind.
                Err(failure) if failure.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(failure) if failure.kind() == io::ErrorKind::Interrupted => {}
                Err(failure) => {
                    // Out of descriptors, most likely: those inside go on, those who wait are tried
                    // again.
                    if let Some(suppressed) = self.failed.admit(now) {
                        warn!(%failure, suppressed,
                            "can not accept a connection; raise the limit of open files");
                    }
                    return false;
                }
            }
        }
        true
    }

    fn admit(&mut self, now: Instant, stream: TcpStream, address: SocketAddr) {
        if !self.leaves_descriptors(&stream) {
            self.views.metrics.connection_rejected.add(1);
            if let Some(suppressed) = self.failed.admit(now) {
                warn!(%address, suppressed,
                    "no descriptors are left, refused; raise the limit of open files");
            }
            return;
        }
        let ip = address.ip().to_canonical();
        if !self.counts.admit(ip, &self.limits) {
            self.views.metrics.connection_rejected.add(1);
            if let Some(suppressed) = self.refused.admit(now) {
                warn!(%address, suppressed,
                    "too many connections, refused; see maxClientCnxns and maxCnxns");
            }
            return;
        }
        if let Err(failure) = stream.set_nodelay(true) {
            debug!(%address, %failure, "the connection was gone already");
        }
        let thread = &self.threads[self.next % self.threads.len()];
        self.next = self.next.wrapping_add(1);
        thread.run(Errand::Serve { stream, address: SocketAddr::new(ip, address.port()) });
    }

    /// Whether enough descriptors are left with this connection. The system hands out the lowest
    /// that is free, so its number tells how many are in use, by whomever in this process.
    fn leaves_descriptors(&self, stream: &TcpStream) -> bool {
        u64::try_from(stream.as_raw_fd()).is_ok_and(|number| number < self.descriptors_end)
    }
}

/// Where that is, if it is no name. As with Java, all of IPv4 means all of both families.
pub(crate) fn client_address(place: &HostPort) -> Option<SocketAddr> {
    if place.host.is_wildcard() {
        return Some((Ipv6Addr::UNSPECIFIED, place.port).into());
    }
    let ip: IpAddr = place.host.as_str().parse().ok()?;
    Some((ip, place.port).into())
}

/// Finds out where a name is, and then lets the thread move its door there.
pub(crate) fn look_up(place: HostPort, thread: Arc<Handover>) {
    let run = move || {
        let addresses = (place.host.as_str(), place.port).to_socket_addrs();
        // Others may know only those of IPv4, which Java takes first, too.
        match addresses.map(|addresses| addresses.min_by_key(SocketAddr::is_ipv6)) {
            Ok(Some(address)) => {
                let host = Host::from(address.ip());
                thread.run(Errand::MoveDoor(ClientPlace::At(HostPort { host, ..place })));
            }
            found => error!(%place, ?found, "clients are to connect where nothing is"),
        }
    };
    if let Err(failure) = std::thread::Builder::new().name("client-address".into()).spawn(run) {
        error!(%failure, "no thread to look up where clients are to connect");
    }
}

/// Where the descriptors begin that are kept, if the system allows `max`; 0 if that is unknown.
fn descriptors_end(max: u64) -> u64 {
    if max == 0 { u64::MAX } else { max - DESCRIPTORS_KEPT_MAX.min(max / 4) }
}

/// Opens the port for clients.
///
/// # Errors
/// When the address can not be had.
pub(crate) fn listen(listen: &Listen, address: SocketAddr) -> io::Result<TcpListener> {
    open_port(address, listen.tcp_keep_alive, listen.backlog.unwrap_or(BACKLOG))
}

/// Opens a port at which `backlog` connections may wait. With `keep_alive` the system finds out
/// whether who connected is still there.
///
/// # Errors
/// When the address can not be had.
pub(crate) fn open_port(
    address: SocketAddr,
    keep_alive: bool,
    backlog: u32,
) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    // Connections inherit it.
    socket.set_keepalive(keep_alive)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(TcpListener::from_std(socket.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Site;

    #[test]
    fn connections_are_counted_by_address_and_in_all() {
        let mut limits = Site::new().config.limits;
        limits.connections_per_address_max = Some(2);
        limits.connections_max = Some(3);
        let counts = Counts::default();
        let [first, second, third] = [1, 2, 3].map(|last| IpAddr::from([10, 0, 0, last]));
        assert!(counts.admit(first, &limits) && counts.admit(first, &limits));
        assert!(!counts.admit(first, &limits), "too many from there");
        assert!(counts.admit(second, &limits));
        assert!(!counts.admit(third, &limits), "too many in all");
        counts.leave(first);
        assert!(counts.admit(third, &limits), "a place is free");
        assert!(!counts.admit(first, &limits), "and taken again");
        for address in [first, second, third] {
            counts.leave(address);
        }
        assert!(counts.lock().by_address.is_empty(), "who is gone takes no space");
    }

    #[test]
    fn a_crowd_of_addresses_is_counted_in_passing() {
        // Adding all of them up for each would take minutes.
        const ADDRESSES: u32 = 200_000;
        let limits = Site::new().config.limits;
        let counts = Counts::default();
        for number in 0..ADDRESSES {
            assert!(counts.admit(IpAddr::from(number.to_be_bytes()), &limits));
        }
        assert_eq!(counts.lock().total, u64::from(ADDRESSES));
    }

    #[test]
    fn some_descriptors_are_kept() {
        for (max, expected) in
            [(0, u64::MAX), (1, 1), (64, 48), (128, 96), (1024, 992), (u64::MAX, u64::MAX - 32)]
        {
            assert_eq!(descriptors_end(max), expected, "of {max}");
        }
    }
}
