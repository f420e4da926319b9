//! The floor under replicated writes: what changes something is in the files of two servers of three
//! before it is answered.
//!
//! ```text
//! turn's writes -> both followers -> own write and sync -> one follower's acknowledgement
//!               -> the clients are answered -> both followers are told that it is committed
//! ```
//!
//! That is as many messages and syncs as any replicated log of three servers needs, and nothing else:
//! no elections, no history for those that come later. A follower that is gone does not come back.
//!
//! The leader waits for the follower that is faster. What the other one says later is heard in the
//! turns that follow, when it is there already; what its socket does not take waits until it does. A
//! follower may lag by [`LAG_BYTES_MAX`] and no more: then it is waited for, so that nobody takes
//! for an ensemble of three what is one of two.

use std::io;
use std::net::TcpListener;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::log::Log;
use crate::message::Message;
use crate::socket::Socket;

/// How many follow; with the leader itself they are three.
const FOLLOWERS: usize = 2;
/// Bytes of history that a follower may not have acknowledged when clients are answered: half a
/// second at the rates of a small machine.
const LAG_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of a position, as followers acknowledge it.
const POSITION_BYTES: usize = size_of::<u64>();
/// How many acknowledgements are read at once.
const ACKNOWLEDGEMENTS_MAX: usize = 128;

/// A log that is replicated to two followers.
#[derive(Debug)]
pub struct Leader {
    log: Log,
    /// Those that are not gone.
    followers: Vec<Peer>,
    /// How far the followers were told that the history is with a quorum.
    committed: u64,
}

impl Leader {
    /// Waits until two followers have come to `listener`.
    ///
    /// # Errors
    /// If the listener fails.
    pub fn accept(listener: &TcpListener, log: Log) -> io::Result<Self> {
        let mut followers = Vec::with_capacity(FOLLOWERS);
        while followers.len() < FOLLOWERS {
            followers.push(Peer::new(Socket::new(listener.accept()?.0)?));
        }
        Ok(Self { log, followers, committed: 0 })
    }

    /// Lets `frame` be replicated with the next sync.
    pub fn append(&mut self, frame: &[u8]) {
        self.log.append(frame);
    }

    /// Sends what waits to the followers, makes it durable here, and waits until one of them has
    /// acknowledged it; nothing if nothing waits.
    ///
    /// # Errors
    /// If the disk fails, or both followers are gone.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.log.waiting().is_empty() {
            return Ok(());
        }
        // The followers write while we do.
        broadcast(&mut self.followers, Message::Batch(self.log.waiting()));
        self.log.sync()?;
        while !self.has_quorum() || self.is_too_far_ahead() {
            self.hear()?;
        }
        Ok(())
    }

    /// Tells the followers what is with a quorum, unless they know.
    pub fn commit(&mut self) {
        if self.committed < self.log.synced() {
            self.committed = self.log.synced();
            broadcast(&mut self.followers, Message::Commit(self.committed));
        }
    }

    fn has_quorum(&self) -> bool {
        self.followers.iter().any(|it| it.acknowledged == self.log.synced())
    }

    fn is_too_far_ahead(&self) -> bool {
        self.followers.iter().any(|it| self.log.synced() - it.acknowledged > LAG_BYTES_MAX)
    }

    /// Waits until a follower says something or takes more, and lets all do so that are ready.
    fn hear(&mut self) -> io::Result<()> {
        if self.followers.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "both followers are gone"));
        }
        let mut polled: Vec<_> =
            self.followers.iter().map(|it| PollFd::new(&it.socket, it.interest())).collect();
        match poll(&mut polled, None) {
            Err(Errno::INTR) => return Ok(()),
            outcome => outcome?,
        };
        let ready: Vec<_> = polled.iter().map(PollFd::revents).collect();
        let (mut ready, synced) = (ready.into_iter(), self.log.synced());
        self.followers.retain_mut(|it| {
            ready.next().is_none_or(|ready| ready.is_empty() || it.advance(ready, synced).is_ok())
        });
        Ok(())
    }
}

/// A follower, as its leader sees it.
#[derive(Debug)]
struct Peer {
    socket: Socket,
    /// The position up to which it has made the history durable.
    acknowledged: u64,
    /// The beginning of an acknowledgement whose rest has not arrived.
    received: Vec<u8>,
}

impl Peer {
    fn new(socket: Socket) -> Self {
        Self { socket, acknowledged: 0, received: Vec::new() }
    }

    /// Sends and reads what can be; an error is its end.
    fn advance(&mut self, ready: PollFlags, synced: u64) -> io::Result<()> {
        if ready.contains(PollFlags::OUT) {
            self.socket.flush()?;
        }
        // Everything else is told by reading, an end as well.
        if ready != PollFlags::OUT {
            self.read(synced)?;
        }
        Ok(())
    }

    /// Reads what it has acknowledged; each acknowledgement holds for all before it.
    fn read(&mut self, synced: u64) -> io::Result<()> {
        let mut buffer = [0; ACKNOWLEDGEMENTS_MAX * POSITION_BYTES];
        let count = self.socket.receive(&mut buffer)?;
        self.received.extend_from_slice(&buffer[..count]);
        let whole = self.received.len() / POSITION_BYTES * POSITION_BYTES;
        if let Some(last) = self.received[..whole].last_chunk() {
            let position = u64::from_be_bytes(*last);
            if !(self.acknowledged..=synced).contains(&position) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.acknowledged = position;
        }
        self.received.drain(..whole);
        Ok(())
    }

    /// What to wait for.
    fn interest(&self) -> PollFlags {
        if self.socket.is_flushed() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
    }
}

/// Sends `message` to all; those that do not take it are gone.
fn broadcast(followers: &mut Vec<Peer>, message: Message<'_>) {
    let bytes = message.to_bytes();
    followers.retain_mut(|it| it.socket.send(&bytes).is_ok());
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::path::Path;

    use super::*;
    use crate::Follower;

    fn log(directory: &Path, name: &str) -> Log {
        Log::with_size(&directory.join(name), 4096).unwrap()
    }

    /// A leader, with a follower that works and one that does not serve yet.
    fn leader_and_idle_follower(directory: &Path) -> (Leader, Follower) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let [busy, idle] = ["busy", "idle"].map(|name| {
            Follower::join(listener.local_addr().unwrap(), log(directory, name)).unwrap()
        });
        std::thread::spawn(|| busy.serve());
        (Leader::accept(&listener, log(directory, "leader")).unwrap(), idle)
    }

    #[test]
    fn hears_the_slower_follower_later() {
        let directory = tempfile::tempdir().unwrap();
        let (mut leader, idle) = leader_and_idle_follower(directory.path());
        for turn in 1..=3 {
            leader.append(b"set");
            leader.sync().unwrap();
            leader.commit();
            assert_eq!((leader.followers[1].acknowledged, leader.committed), (0, 3 * turn));
        }
        std::thread::spawn(|| idle.serve());
        while leader.followers[1].acknowledged == 0 {
            leader.append(b"set");
            leader.sync().unwrap();
        }
        assert_eq!(leader.followers.len(), 2);
    }

    #[test]
    fn waits_for_a_follower_that_lags_too_much() {
        let directory = tempfile::tempdir().unwrap();
        let (mut leader, idle) = leader_and_idle_follower(directory.path());
        while leader.log.synced() < LAG_BYTES_MAX {
            leader.append(&[1; 1024 * 1024]);
            leader.sync().unwrap();
        }
        assert_eq!(leader.followers[1].acknowledged, 0);
        std::thread::spawn(|| idle.serve());
        // More than any socket takes at once.
        leader.append(&vec![1; usize::try_from(2 * LAG_BYTES_MAX).unwrap()]);
        leader.sync().unwrap();
        assert_eq!(leader.followers[1].acknowledged, leader.log.synced());
    }

    #[test]
    fn can_not_do_without_any_follower() {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for _ in 0..FOLLOWERS {
            TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        }
        let mut leader = Leader::accept(&listener, log(directory.path(), "leader")).unwrap();
        leader.append(b"set");
        assert_eq!(leader.sync().unwrap_err().kind(), io::ErrorKind::NotConnected);
    }
}
