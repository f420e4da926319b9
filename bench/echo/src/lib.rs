//! The floor under every measurement: a server that does nothing but receive and send.
//!
//! One thread, one level-triggered epoll, one `read` and one `write` per ready connection. It
//! speaks as much of the client protocol as the load generator needs to run its get, set, exists,
//! create and delete workloads unchanged: every reply has the size a server's reply would have, and
//! nothing in it is true. What a real server needs beyond this figure is what it costs.
//!
//! ```text
//! ready -> read everything -> [answer] per frame -> one write -> (did not fit: wait for OUT)
//! ```
//!
//! With a [`Log`], requests that change something are written to a file and synced, all that came
//! in one turn together, before anything of that turn is sent: the floor under durable writes. With
//! a [`Leader`] and two [`Follower`]s they are in the files of two servers of three: the floor under
//! replicated ones.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

mod answer;
mod follower;
mod leader;
mod log;
mod message;
mod socket;

pub use answer::{Answer, answer, changes_something};
pub use follower::Follower;
pub use leader::Leader;
pub use log::Log;

use socket::Socket;

/// Bytes taken from a socket at once; a frame of this size or more ends its connection.
const READ_BYTES_MAX: usize = 256 * 1024;
/// Ready connections taken from the kernel at once.
const EVENTS_MAX: usize = 1024;
/// The event of the listener; connections have their place in the table.
const LISTENER: u64 = u64::MAX;

/// A listening echo server.
#[derive(Debug)]
pub struct Echo {
    listener: TcpListener,
    epoll: OwnedFd,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    value: Vec<u8>,
    history: Option<History>,
    /// Connections with replies that wait for the turn's sync.
    answered: Vec<usize>,
    /// Reused by all connections, as only one is served at a time.
    received: Vec<u8>,
    replies: Vec<u8>,
}

impl Echo {
    /// Listens on `address`; get requests are answered with `value_bytes` bytes of data, and
    /// requests that change something after they are in `history`, if there is one.
    ///
    /// # Errors
    /// If the address can not be bound.
    pub fn bind(
        address: SocketAddr,
        value_bytes: usize,
        history: Option<History>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        Ok(Self {
            listener,
            epoll,
            connections: Vec::new(),
            free: Vec::new(),
            value: vec![b'e'; value_bytes],
            history,
            answered: Vec::new(),
            received: vec![0; READ_BYTES_MAX],
            replies: Vec::with_capacity(READ_BYTES_MAX),
        })
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// If the listener, epoll or the history fail; a connection that fails is dropped.
    pub fn serve(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Err(Errno::INTR) => continue,
                outcome => outcome?,
            };
            for event in events.drain(..) {
                match usize::try_from(event.data.u64()) {
                    Ok(place) if event.data.u64() != LISTENER => self.advance(place),
                    _ => self.accept()?,
                }
            }
            self.settle()?;
        }
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// If the socket can not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let socket = Socket::new(stream)?;
            let place = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            epoll::add(&self.epoll, &socket, EventData::new_u64(place as u64), EventFlags::IN)?;
            self.connections[place] = Some(Connection::new(socket));
        }
    }

    /// Makes what came in this turn durable, and sends the replies that waited for it.
    fn settle(&mut self) -> io::Result<()> {
        let Some(history) = &mut self.history else { return Ok(()) };
        history.sync()?;
        for place in std::mem::take(&mut self.answered) {
            self.advance(place);
        }
        if let Some(History::Replicated(leader)) = &mut self.history {
            leader.commit();
        }
        Ok(())
    }

    fn advance(&mut self, place: usize) {
        let Some(connection) = &mut self.connections[place] else { return };
        let was_blocked = connection.is_blocked;
        let progress = if connection.socket.is_flushed() {
            let history = &mut self.history;
            connection.exchange(&mut self.received, &mut self.replies, &self.value, history)
        } else {
            connection.flush()
        };
        if progress.is_ok() && connection.holds_replies {
            self.answered.push(place);
            return;
        }
        connection.is_blocked = !connection.socket.is_flushed();
        let is_blocked = connection.is_blocked;
        let progress = progress.and_then(|()| {
            if was_blocked != is_blocked {
                let interest = if is_blocked { EventFlags::OUT } else { EventFlags::IN };
                let data = EventData::new_u64(place as u64);
                epoll::modify(&self.epoll, &connection.socket, data, interest)?;
            }
            Ok(())
        });
        if progress.is_err() || (connection.is_over && !is_blocked) {
            self.connections[place] = None;
            self.free.push(place);
        }
    }
}

/// Where requests that change something are before they are answered.
#[derive(Debug)]
pub enum History {
    /// In a file.
    Synced(Log),
    /// In a file here, and in one of a follower.
    Replicated(Leader),
}

impl History {
    fn append(&mut self, frame: &[u8]) {
        match self {
            Self::Synced(log) => log.append(frame),
            Self::Replicated(leader) => leader.append(frame),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self {
            Self::Synced(log) => log.sync(),
            Self::Replicated(leader) => leader.sync(),
        }
    }
}

#[derive(Debug)]
struct Connection {
    /// What is unsent are replies that the socket did not take, or may not have yet.
    socket: Socket,
    /// The beginning of a frame whose rest has not arrived.
    partial: Vec<u8>,
    /// Whether the replies wait for the sync of this turn.
    holds_replies: bool,
    /// Whether the socket took less than there was.
    is_blocked: bool,
    is_established: bool,
    /// Whether the session was closed: the connection ends when everything is sent.
    is_over: bool,
}

impl Connection {
    fn new(socket: Socket) -> Self {
        Self {
            socket,
            partial: Vec::new(),
            holds_replies: false,
            is_blocked: false,
            is_established: false,
            is_over: false,
        }
    }

    /// Reads what has arrived, answers the whole frames in it, and sends the answers, or holds them
    /// until the history is synced.
    fn exchange(
        &mut self,
        received: &mut [u8],
        replies: &mut Vec<u8>,
        value: &[u8],
        history: &mut Option<History>,
    ) -> io::Result<()> {
        let kept = self.partial.len();
        received[..kept].copy_from_slice(&self.partial);
        self.partial.clear();
        let count = self.socket.receive(&mut received[kept..])?;
        replies.clear();
        let mut rest = &received[..kept + count];
        while let Some((length, body)) = rest.split_first_chunk() {
            let length = u32::from_be_bytes(*length) as usize;
            if length >= READ_BYTES_MAX - 4 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let Some((frame, following)) = body.split_at_checked(length) else { break };
            if let Some(history) = history
                && self.is_established
                && changes_something(frame)
            {
                history.append(frame);
            }
            match answer(frame, self.is_established, value, replies) {
                Answer::Given => self.is_established = true,
                Answer::Closed => self.is_over = true,
                Answer::Unintelligible => return Err(io::ErrorKind::InvalidData.into()),
            }
            rest = following;
        }
        self.partial.extend_from_slice(rest);
        if replies.is_empty() {
            return Ok(());
        }
        if history.is_some() {
            self.socket.hold(replies);
            self.holds_replies = true;
            return Ok(());
        }
        self.socket.send(replies)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.holds_replies = false;
        self.socket.flush()
    }
}
