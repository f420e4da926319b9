//! The sockets of an I/O thread, by the slot of their connection.

use std::net::IpAddr;

use mio::net::TcpStream;
use types::ConnId;

/// What is known of the first four bytes of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum FirstBytes {
    /// These came, and they are fewer.
    Waiting(Vec<u8>),
    /// They begin a frame.
    Known,
    /// They were an operator's word; the answer is being prepared.
    Asked,
    /// They were an operator's word; the answer is all that is sent.
    Answered,
}

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    pub(super) address: IpAddr,
    pub(super) first_bytes: FirstBytes,
    /// The client sends nothing more; what it sent may still have to be read.
    pub(super) has_end: bool,
    /// It is listed among those that are read from again.
    pub(super) is_held_up: bool,
    /// The answer to an operator's word.
    pub(super) text: Vec<u8>,
    /// How much of it was sent.
    pub(super) text_sent: usize,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, address: IpAddr) -> Self {
        let first_bytes = FirstBytes::Waiting(Vec::new());
        Self {
            stream,
            address,
            first_bytes,
            has_end: false,
            is_held_up: false,
            text: Vec::new(),
            text_sent: 0,
        }
    }

    /// Whether some of the answer to an operator's word is still to be sent.
    pub(super) fn has_text(&self) -> bool {
        self.text_sent < self.text.len()
    }
}

#[derive(Debug, Default)]
pub(super) struct Sockets {
    slots: Vec<Option<(ConnId, Socket)>>,
}

impl Sockets {
    /// The slot of a connection, which is also what the system knows it by.
    pub(super) fn slot(conn: ConnId) -> usize {
        replica::slot_of(conn)
    }

    pub(super) fn insert(&mut self, conn: ConnId, socket: Socket) {
        let slot = Self::slot(conn);
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some((conn, socket));
    }

    /// The connection in a slot.
    pub(super) fn at(&self, slot: usize) -> Option<ConnId> {
        self.slots.get(slot)?.as_ref().map(|&(conn, _)| conn)
    }

    pub(super) fn find_mut(&mut self, conn: ConnId) -> Option<&mut Socket> {
        let (found, socket) = self.slots.get_mut(Self::slot(conn))?.as_mut()?;
        (*found == conn).then_some(socket)
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Socket> {
        self.find_mut(conn)?;
        let (_, socket) = self.slots[Self::slot(conn)].take()?;
        Some(socket)
    }
}
