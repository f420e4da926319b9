//! One connection, and all of them.

use std::net::IpAddr;
use std::sync::Arc;

use types::{ConnId, Instant, SessionId, Xid, Zxid};

use crate::access::Identities;
use crate::large_requests::Room;
use crate::limits::{
    IN_FLIGHT_BYTES_MAX, LINGER_MAX, OUTSTANDING_PER_CONNECTION_MAX, SPARE_BUFFER_BYTES_MAX,
    SPARE_BUFFERS_MAX, UNSENT_BYTES_MAX,
};
use crate::session::Heartbeat;
use crate::view::ConnectionStats;

/// Bytes that a frame has at least: its length.
const FRAME_BYTES_MIN: usize = 4;

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Nothing was received, or not enough.
    Handshake,
    /// The replica was asked for a session.
    AwaitingSession,
    /// It speaks for its session.
    Open,
    /// It is closed as soon as everything was sent.
    Closing,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: IpAddr,
    pub(super) phase: Phase,
    pub(super) opened: Instant,
    /// When it was first found to be closing and not to have taken everything.
    lingers_since: Option<Instant>,
    pub(super) session: SessionId,
    pub(super) heartbeat: Option<Heartbeat>,
    pub(super) identities: Arc<Identities>,
    /// Whether the client knows of read-only servers, which changes the answer to its handshake.
    pub(super) read_only_known: bool,
    /// Requests that are with the replica.
    pub(super) in_flight: u32,
    /// Bytes of those and of others that were answered since there were none.
    pub(super) in_flight_bytes: usize,
    /// The room that large requests take, and how many answers are sent until it is given back.
    pub(super) rooms: Vec<(u32, Room)>,
    /// The next frame is a read that has to wait until nothing is with the replica.
    pub(super) awaits_answers: bool,
    /// False once it asked for the end of its session: what it sends after that is dropped.
    pub(super) takes_requests: bool,
    /// Bytes received and not worked off.
    pub(super) unread: Vec<u8>,
    /// Bytes to send are appended here; the first `sent` of them are gone.
    pub(super) out: Vec<u8>,
    sent: usize,
    is_touched: bool,
    pub(super) stats: Arc<ConnectionStats>,
}

impl Connection {
    pub(super) fn new(peer: IpAddr, opened: Instant, stats: Arc<ConnectionStats>) -> Self {
        Self {
            peer,
            phase: Phase::Handshake,
            opened,
            lingers_since: None,
            session: SessionId::NONE,
            heartbeat: None,
            identities: Arc::new(Identities::of_address(peer)),
            read_only_known: false,
            in_flight: 0,
            in_flight_bytes: 0,
            rooms: Vec::new(),
            awaits_answers: false,
            takes_requests: true,
            unread: Vec::new(),
            out: Vec::new(),
            sent: 0,
            is_touched: false,
            stats,
        }
    }

    /// What is still to be sent.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.out[self.sent..]
    }

    /// Whether frames that have arrived are to be worked off now: not while too much is under way
    /// or unsent.
    pub(super) fn takes_frames(&self) -> bool {
        matches!(self.phase, Phase::Handshake | Phase::Open)
            && self.takes_requests
            && !self.awaits_answers
            && self.in_flight < OUTSTANDING_PER_CONNECTION_MAX
            && self.in_flight_bytes < IN_FLIGHT_BYTES_MAX
            && self.unsent().len() < UNSENT_BYTES_MAX
    }

    /// Whether bytes are to be read from the peer now.
    pub(super) fn wants_bytes(&self, server_is_busy: bool) -> bool {
        self.takes_frames() && !(server_is_busy && self.in_flight > 0)
    }

    /// One request is no longer with the replica.
    pub(super) fn completed(&mut self) {
        self.in_flight -= 1;
        if self.in_flight == 0 {
            self.in_flight_bytes = 0;
            self.awaits_answers = false;
        }
        self.give_back_room();
        self.stats.outstanding.set(i64::from(self.in_flight));
    }

    /// Gives back the room of requests that are answered, now that one more is.
    fn give_back_room(&mut self) {
        self.rooms.retain_mut(|(answers, _)| {
            *answers -= 1;
            *answers > 0
        });
    }

    /// Notes that a request was answered.
    pub(super) fn answered(&self, received: Instant, now: Instant, xid: Xid, zxid: Zxid) {
        let took = now.since(received);
        let took_ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        self.stats.sent.add(1);
        if xid.0 >= 0 {
            self.stats.last_cxid.set(i64::from(xid.0));
        }
        self.stats.last_zxid.set(zxid.raw());
        self.stats.last_response_ms.set(i64::try_from(now.millis()).unwrap_or(i64::MAX));
        self.stats.last_latency_ms.set(took_ms);
        self.stats.latency.add(took, 1);
    }
}

/// The connections of a frontend, in slots. An id is the slot and how often it was used.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Those that have something to send or are to be closed.
    touched: Vec<ConnId>,
    /// Those that can go on with what they sent and what had to wait.
    resumable: Vec<ConnId>,
    /// Output buffers to be used again: an idle connection has none.
    spare: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Box<Connection>>,
}

impl Connections {
    pub(super) fn insert(&mut self, connection: Connection) -> ConnId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 connections")
        });
        let entry = &mut self.slots[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.connection = Some(Box::new(connection));
        ConnId(u64::from(entry.generation) << 32 | u64::from(slot))
    }

    pub(super) fn find(&self, conn: ConnId) -> Option<&Connection> {
        let slot = self.slots.get(slot_of(conn))?;
        slot.connection.as_deref().filter(|_| slot.generation == generation_of(conn))
    }

    pub(super) fn find_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(slot_of(conn))?;
        let generation = slot.generation;
        slot.connection.as_deref_mut().filter(|_| generation == generation_of(conn))
    }

    /// A connection that something is to be sent to, with a buffer for it.
    pub(super) fn answering(&mut self, conn: ConnId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(slot_of(conn))?;
        let generation = slot.generation;
        let connection =
            slot.connection.as_deref_mut().filter(|_| generation == generation_of(conn))?;
        if connection.phase == Phase::Closing {
            return None;
        }
        if connection.out.capacity() == 0
            && let Some(spare) = self.spare.pop()
        {
            connection.out = spare;
        }
        Some(connection)
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Box<Connection>> {
        self.find(conn)?;
        let connection = self.slots[slot_of(conn)].connection.take();
        self.free.push(u32::try_from(slot_of(conn)).expect("slots are counted in 32 bits"));
        connection
    }

    /// Closes a connection after everything was sent.
    pub(super) fn close(&mut self, conn: ConnId) {
        if let Some(connection) = self.find_mut(conn) {
            connection.phase = Phase::Closing;
            connection.unread = Vec::new();
            self.touch(conn);
        }
    }

    /// Notes that the connection has something to send or is to be closed.
    pub(super) fn touch(&mut self, conn: ConnId) {
        if let Some(connection) = self.find_mut(conn)
            && !connection.is_touched
        {
            connection.is_touched = true;
            self.touched.push(conn);
        }
    }

    pub(super) fn take_touched(&mut self, into: &mut Vec<ConnId>) {
        let first = into.len();
        into.append(&mut self.touched);
        for &conn in &into[first..] {
            if let Some(connection) = self.find_mut(conn) {
                connection.is_touched = false;
            }
        }
    }

    /// Removes what was sent; tells whether the connection is to be closed now.
    pub(super) fn sent(&mut self, conn: ConnId, bytes: usize) -> bool {
        let Some(connection) = self.find_mut(conn) else { return false };
        connection.sent += bytes;
        if connection.sent < connection.out.len() {
            // Moved up only once half is gone: each byte is moved once on average, however small
            // the pieces are in which a slow client takes them.
            if connection.sent >= connection.out.len() / 2 {
                connection.out.drain(..connection.sent);
                connection.sent = 0;
            }
            self.resume_if_unread(conn);
            return false;
        }
        let is_over = connection.phase == Phase::Closing;
        let mut buffer = std::mem::take(&mut connection.out);
        connection.sent = 0;
        buffer.clear();
        // Often nothing was to be sent, and there is no buffer to keep.
        if (1..=SPARE_BUFFER_BYTES_MAX).contains(&buffer.capacity())
            && self.spare.len() < SPARE_BUFFERS_MAX
        {
            self.spare.push(buffer);
        }
        self.resume_if_unread(conn);
        is_over
    }

    /// Lets a connection go on with frames that had to wait, if there are any and it may.
    pub(super) fn resume_if_unread(&mut self, conn: ConnId) {
        if self.find(conn).is_some_and(|it| it.takes_frames() && it.unread.len() >= FRAME_BYTES_MIN)
        {
            self.resumable.push(conn);
        }
    }

    pub(super) fn has_resumable(&self) -> bool {
        !self.resumable.is_empty()
    }

    pub(super) fn next_resumable(&mut self) -> Option<ConnId> {
        self.resumable.pop()
    }

    pub(super) fn sessionless_since(&self, before: Instant) -> Vec<ConnId> {
        let slots = self.slots.iter().zip(0_u32..);
        slots
            .filter_map(|(slot, number)| {
                let connection = slot.connection.as_ref()?;
                (connection.phase == Phase::Handshake && connection.opened < before)
                    .then(|| ConnId(u64::from(slot.generation) << 32 | u64::from(number)))
            })
            .collect()
    }

    pub(super) fn lingering(&mut self, now: Instant) -> Vec<ConnId> {
        let slots = self.slots.iter_mut().zip(0_u32..);
        slots
            .filter_map(|(slot, number)| {
                let connection = slot.connection.as_mut()?;
                if connection.phase != Phase::Closing {
                    return None;
                }
                let since = *connection.lingers_since.get_or_insert(now);
                (now.since(since) >= LINGER_MAX)
                    .then(|| ConnId(u64::from(slot.generation) << 32 | u64::from(number)))
            })
            .collect()
    }
}

/// The slot of a connection among those of its frontend: a small number that no other open
/// connection of the frontend has.
///
/// # Panics
/// Never where addresses have 32 bits or more.
pub fn slot_of(conn: ConnId) -> usize {
    let low_half = conn.0 & u64::from(u32::MAX);
    usize::try_from(low_half).expect("32 bits fit")
}

fn generation_of(conn: ConnId) -> u32 {
    u32::try_from(conn.0 >> 32).expect("the high half of 64 bits")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn open(connections: &mut Connections) -> ConnId {
        let stats = Arc::new(ConnectionStats::new(0));
        connections.insert(Connection::new(Ipv4Addr::LOCALHOST.into(), Instant::default(), stats))
    }

    #[test]
    fn what_is_taken_in_pieces_arrives_whole() {
        let mut connections = Connections::default();
        let conn = open(&mut connections);
        let bytes: Vec<u8> = (0..100).collect();
        connections.answering(conn).expect("open").out.extend(&bytes[..60]);
        let mut taken: Vec<u8> = Vec::new();
        for piece in [1, 9, 25, 1, 20] {
            taken.extend(&connections.find(conn).expect("open").unsent()[..piece]);
            assert!(!connections.sent(conn, piece));
        }
        connections.answering(conn).expect("open").out.extend(&bytes[60..]);
        taken.extend(connections.find(conn).expect("open").unsent());
        connections.close(conn);
        assert!(connections.sent(conn, 44));
        assert_eq!(taken, bytes);
    }

    #[test]
    fn a_closing_connection_that_takes_nothing_lingers_for_a_while() {
        let mut connections = Connections::default();
        let (closing, other) = (open(&mut connections), open(&mut connections));
        connections.answering(closing).expect("open").out.push(7);
        connections.answering(other).expect("open").out.push(7);
        assert_eq!(connections.lingering(Instant::default()), []);
        connections.close(closing);
        let start = Instant::default().after(LINGER_MAX);
        assert_eq!(connections.lingering(start), []);
        assert_eq!(connections.lingering(start.after(LINGER_MAX / 2)), []);
        assert_eq!(connections.lingering(start.after(LINGER_MAX)), [closing]);
    }

    #[test]
    fn buffers_are_used_again_though_others_had_nothing_to_send() {
        let mut connections = Connections::default();
        let (busy, idle) = (open(&mut connections), open(&mut connections));
        connections.answering(busy).expect("open").out.push(7);
        let buffer = connections.find(busy).expect("open").out.as_ptr();
        connections.sent(busy, 1);
        for _ in 0..SPARE_BUFFERS_MAX {
            connections.sent(idle, 0);
        }
        assert_eq!(connections.answering(busy).expect("open").out.as_ptr(), buffer);
    }
}
