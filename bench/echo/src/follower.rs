//! The floor under a follower: it makes durable what its leader sends, and says so.
//!
//! ```text
//! read everything -> append each whole batch -> one write, one sync -> one acknowledgement
//! ```
//!
//! A commit is read, and nothing more: there is nothing to apply.

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, read};

use crate::READ_BYTES_MAX;
use crate::log::Log;
use crate::message::Message;

/// One of the two that follow a [`Leader`](crate::Leader).
#[derive(Debug)]
pub struct Follower {
    leader: TcpStream,
    log: Log,
    /// The beginning of a message whose rest has not arrived.
    received: Vec<u8>,
}

impl Follower {
    /// Joins the leader that waits for its followers at `leader`.
    ///
    /// # Errors
    /// If it does not.
    pub fn join(leader: SocketAddr, log: Log) -> io::Result<Self> {
        let leader = TcpStream::connect(leader)?;
        leader.set_nodelay(true)?;
        Ok(Self { leader, log, received: Vec::new() })
    }

    /// Follows until the leader is gone.
    ///
    /// # Errors
    /// If the log fails, or the leader says what none says.
    pub fn serve(mut self) -> io::Result<()> {
        let Err(error) = self.follow();
        match error.kind() {
            // A leader that dies with acknowledgements unread resets the connection.
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        }
    }

    fn follow(&mut self) -> io::Result<Infallible> {
        loop {
            self.received.reserve(READ_BYTES_MAX);
            match read(&self.leader, spare_capacity(&mut self.received)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(Errno::INTR) => continue,
                outcome => outcome?,
            };
            self.take()?;
            if !self.log.waiting().is_empty() {
                self.log.sync()?;
                self.leader.write_all(&self.log.synced().to_be_bytes())?;
            }
        }
    }

    /// Takes the whole messages of what was received.
    fn take(&mut self) -> io::Result<()> {
        let mut rest = &self.received[..];
        while let Some((message, following)) = Message::split(rest)? {
            match message {
                Message::Batch(bytes) => self.log.append(bytes),
                Message::Commit(position) => {
                    let known = self.log.synced() + self.log.waiting().len() as u64;
                    if position > known {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                }
            }
            rest = following;
        }
        let taken = self.received.len() - rest.len();
        self.received.drain(..taken);
        Ok(())
    }
}
