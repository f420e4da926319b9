//! One connection between two servers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpStream;
use types::{Instant, Sid};

use super::doors::Port;
use super::limits::STREAM_PART_BYTES_MAX;
use super::news::UnderWay;
use super::outbox::{Outbox, Slot};

/// A connection, by what is on its other side.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// The other side's.
    pub(super) address: SocketAddr,
    /// Who that is, as far as it has said.
    pub(super) peer: Option<Sid>,
    /// Where it was accepted; `None` if this server has connected.
    pub(super) door: Option<Port>,
    pub(super) side: Side,
    /// What was received and has no end yet.
    pub(super) inbox: Vec<u8>,
    pub(super) under_way: Arc<UnderWay>,
    /// The other side sends nothing more; what it sent may still have to be read.
    pub(super) has_end: bool,
    /// It is listed among those that are read from again.
    pub(super) is_held_up: bool,
    /// It is listed among those that have something to send.
    pub(super) is_touched: bool,
}

/// What is on the other side.
#[derive(Debug)]
pub(super) enum Side {
    /// Somebody at the election port who has not said who it is.
    Caller {
        /// How long it may take.
        until: Instant,
    },
    /// A server that votes, or asks who leads.
    Elector(Slot),
    /// Somebody at the quorum port who has not said who it is.
    Newcomer {
        /// How long it may take.
        until: Instant,
    },
    /// A server that learns from this one.
    Learner { outbox: Outbox, sending: Option<Sending> },
    /// The server from which this one learns.
    Leader {
        outbox: Outbox,
        receiving: Option<Receiving>,
        /// Whether the next packets may announce a snapshot.
        may_send_snapshot: bool,
    },
}

/// How far a snapshot is that is sent, or what else is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sending {
    /// A part is on its way.
    Part,
    /// The next part was asked for.
    Asked,
    /// The end is on its way.
    End,
    /// No snapshot: somebody wants to know when all is sent that is on its way.
    Packets,
}

/// How far a snapshot is that is received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Receiving {
    /// Whoever receives it has a part.
    Busy,
    /// It has none.
    Idle,
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        address: SocketAddr,
        side: Side,
        under_way: Arc<UnderWay>,
    ) -> Self {
        Self {
            stream,
            address,
            peer: None,
            door: None,
            side,
            inbox: Vec::new(),
            under_way,
            has_end: false,
            is_held_up: false,
            is_touched: false,
        }
    }

    /// Whether what it sends is read.
    pub(super) fn wants_bytes(&self) -> bool {
        let gathers = match self.side {
            Side::Leader { receiving: Some(Receiving::Busy), .. } => {
                self.inbox.len() < STREAM_PART_BYTES_MAX
            }
            Side::Leader { .. }
            | Side::Learner { .. }
            | Side::Caller { .. }
            | Side::Elector(_)
            | Side::Newcomer { .. } => true,
        };
        gathers && !self.under_way.is_full()
    }

    /// How many bytes wait to be sent.
    pub(super) fn bytes_to_send(&self) -> usize {
        match &self.side {
            Side::Caller { .. } | Side::Newcomer { .. } => 0,
            Side::Elector(slot) => slot.bytes(),
            Side::Learner { outbox, .. } | Side::Leader { outbox, .. } => outbox.bytes(),
        }
    }

    /// Sends as much as goes in one call. Returns how many bytes that was.
    ///
    /// # Errors
    /// What the system says; nothing was sent then.
    pub(super) fn send(&mut self) -> io::Result<usize> {
        match &mut self.side {
            Side::Caller { .. } | Side::Newcomer { .. } => Ok(0),
            Side::Elector(slot) => slot.write_to(&mut self.stream),
            Side::Learner { outbox, .. } | Side::Leader { outbox, .. } => {
                outbox.write_to(&mut self.stream)
            }
        }
    }

    /// Until when whoever it is has to say who it is; `None` if it has.
    pub(super) fn introduction_due(&self) -> Option<Instant> {
        match self.side {
            Side::Caller { until } | Side::Newcomer { until } => Some(until),
            Side::Elector(_) | Side::Learner { .. } | Side::Leader { .. } => None,
        }
    }

    /// Takes whole messages of so many bytes off what was received.
    pub(super) fn take(&mut self, bytes: usize) -> Vec<u8> {
        let rest = self.inbox.split_off(bytes);
        std::mem::replace(&mut self.inbox, rest)
    }
}
