//! The network between the members, which can be held up in each direction.
//!
//! ```text
//! member 1 ──dials──> proxy of 1 → 2 ──> port of member 2
//!          <────────                <────
//!           held up as traffic 2 → 1    held up as traffic 1 → 2
//! ```
//!
//! Each member knows the others by the addresses of proxies of its own. A proxy that is held up stops
//! reading: what was sent waits, nothing is lost or changes its place, as with TCP. When a connection is
//! cut both sides see its end, wherever its bytes were.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::failure::Failure;

/// How long a proxy waits for bytes before it looks whether anything has changed.
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// Between two looks whether somebody dials, or a hold-up is over.
const IDLE_PAUSE: Duration = Duration::from_millis(2);
/// What is passed on at once.
const PIECE_BYTES: usize = 16 << 10;

/// The state of all proxies.
#[derive(Debug)]
pub(crate) struct Network {
    members: usize,
    /// By sender, then by receiver.
    held: Vec<AtomicBool>,
    /// Grows when the connections between two members are cut; as `held`.
    cuts: Vec<AtomicU64>,
    is_over: AtomicBool,
}

impl Network {
    /// A whole network of so many members.
    pub(crate) fn new(members: usize) -> Arc<Self> {
        let pairs = members * members;
        Arc::new(Self {
            members,
            held: (0..pairs).map(|_| AtomicBool::new(false)).collect(),
            cuts: (0..pairs).map(|_| AtomicU64::new(0)).collect(),
            is_over: AtomicBool::new(false),
        })
    }

    /// A way by which one member dials a port of another: the address that it is told.
    pub(crate) fn way(
        self: &Arc<Self>,
        from: usize,
        to: usize,
        port: u16,
    ) -> Result<SocketAddr, Failure> {
        let opened = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        let (address, listener) = opened.map_err(Failure::io("a proxy has no port"))?;
        let (network, target) = (Arc::clone(self), SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        thread::spawn(move || network.accept(from, to, &listener, target));
        Ok(address)
    }

    /// Holds up what one member sends to another, or lets it pass.
    pub(crate) fn hold(&self, from: usize, to: usize, is_held: bool) {
        self.held[self.pair(from, to)].store(is_held, Ordering::Release);
    }

    /// Lets everything pass.
    pub(crate) fn heal(&self) {
        self.held.iter().for_each(|held| held.store(false, Ordering::Release));
    }

    /// Ends the connections that one member has dialed to another.
    pub(crate) fn cut(&self, from: usize, to: usize) {
        self.cuts[self.pair(from, to)].fetch_add(1, Ordering::AcqRel);
    }

    /// Ends all proxies.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    fn pair(&self, from: usize, to: usize) -> usize {
        from * self.members + to
    }

    fn is_held(&self, from: usize, to: usize) -> bool {
        self.held[self.pair(from, to)].load(Ordering::Acquire)
    }

    fn accept(
        self: &Arc<Self>,
        from: usize,
        to: usize,
        listener: &TcpListener,
        target: SocketAddr,
    ) {
        while !self.is_over.load(Ordering::Acquire) {
            let accepted = match listener.accept() {
                Ok((dialer, _)) => self.connect(from, to, dialer, target),
                Err(error) => Err(error),
            };
            if let Err(error) = accepted
                && !matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::WouldBlock)
            {
                eprintln!("torture: proxy of {} to {}: {error}", from + 1, to + 1);
            }
            thread::sleep(IDLE_PAUSE);
        }
    }

    fn connect(
        self: &Arc<Self>,
        from: usize,
        to: usize,
        dialer: TcpStream,
        target: SocketAddr,
    ) -> io::Result<()> {
        // Whoever has seen the connection at the other end may cut it.
        let cut = self.cuts[self.pair(from, to)].load(Ordering::Acquire);
        let listener = TcpStream::connect(target)?;
        for stream in [&dialer, &listener] {
            stream.set_nonblocking(false)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(LOOK_PAUSE))?;
        }
        let there = (dialer.try_clone()?, listener.try_clone()?);
        let forth = Pump { from, to, dialed: (from, to), cut, network: Arc::clone(self) };
        let back = Pump { from: to, to: from, dialed: (from, to), cut, network: Arc::clone(self) };
        thread::spawn(move || forth.run(there.0, there.1));
        thread::spawn(move || back.run(listener, dialer));
        Ok(())
    }
}

/// One direction of a connection.
struct Pump {
    from: usize,
    to: usize,
    dialed: (usize, usize),
    /// The count of cuts when it was connected.
    cut: u64,
    network: Arc<Network>,
}

impl Pump {
    /// Passes bytes on until the connection ends.
    fn run(self, mut source: TcpStream, mut sink: TcpStream) {
        // Whichever way it ends, both sides see it.
        if let Err(error) = self.pass_on(&mut source, &mut sink)
            && !is_end(&error)
        {
            eprintln!("torture: {} to {}: {error}", self.from + 1, self.to + 1);
        }
        for stream in [source, sink] {
            if let Err(error) = stream.shutdown(Shutdown::Both)
                && error.kind() != ErrorKind::NotConnected
            {
                eprintln!("torture: {} to {}: {error}", self.from + 1, self.to + 1);
            }
        }
    }

    fn pass_on(&self, source: &mut TcpStream, sink: &mut TcpStream) -> io::Result<()> {
        let mut piece = vec![0; PIECE_BYTES];
        while !self.is_cut() {
            if self.network.is_held(self.from, self.to) {
                thread::sleep(IDLE_PAUSE);
                continue;
            }
            match source.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(length) => self.deliver(&piece[..length], sink)?,
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Hands over what was read, once it may pass.
    fn deliver(&self, piece: &[u8], sink: &mut TcpStream) -> io::Result<()> {
        while self.network.is_held(self.from, self.to) {
            if self.is_cut() {
                return Ok(());
            }
            thread::sleep(IDLE_PAUSE);
        }
        sink.write_all(piece)
    }

    fn is_cut(&self) -> bool {
        let pair = self.network.pair(self.dialed.0, self.dialed.1);
        self.network.cuts[pair].load(Ordering::Acquire) != self.cut
            || self.network.is_over.load(Ordering::Acquire)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Whether an error only says that the other side is gone.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No byte here takes so long unless it never comes.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A connection that member 0 has dialed to member 1: both ends.
    fn connected(network: &Arc<Network>) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let way = network.way(0, 1, port).expect("a way");
        let near = TcpStream::connect(way).expect("connected");
        let (far, _) = listener.accept().expect("connected");
        for stream in [&near, &far] {
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        }
        (near, far)
    }

    fn read(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
        let mut found = vec![0; bytes];
        stream.read_exact(&mut found).expect("bytes");
        found
    }

    #[test]
    fn what_is_held_up_in_one_direction_comes_later_and_whole() {
        let network = Network::new(2);
        let (mut near, mut far) = connected(&network);
        near.write_all(b"one").expect("written");
        assert_eq!(read(&mut far, 3), b"one");
        network.hold(0, 1, true);
        near.write_all(b"two").expect("written");
        far.write_all(b"back").expect("written");
        assert_eq!(read(&mut near, 4), b"back");
        far.set_nonblocking(true).expect("a socket");
        assert!(far.read(&mut [0; 3]).is_err_and(|error| is_timeout(&error)));
        far.set_nonblocking(false).expect("a socket");
        network.heal();
        near.write_all(b"three").expect("written");
        assert_eq!(read(&mut far, 8), b"twothree");
        network.end();
    }

    #[test]
    fn both_sides_see_the_end_of_a_connection_that_is_cut() {
        let network = Network::new(2);
        let (mut near, mut far) = connected(&network);
        network.cut(0, 1);
        for side in [&mut near, &mut far] {
            match side.read(&mut [0; 1]) {
                Ok(read) => assert_eq!(read, 0),
                Err(error) => assert!(is_end(&error), "{error}"),
            }
        }
        network.end();
    }
}
