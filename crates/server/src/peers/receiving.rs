//! From bytes to news: what the connections receive.

use std::io::{self, Read};

use tracing::debug;
use types::{Sid, Zxid};
use wire::election::{Hello, Notification};
use wire::frame;
use wire::limits::ELECTION_MESSAGE_BYTES_MAX;
use wire::quorum::{ToLeader, ToLearner};
use zab::Link;

use super::connection::{Receiving, Side};
use super::doors::Port;
use super::ending::{Ending, Malformed};
use super::errand::StreamProgress;
use super::inbound;
use super::limits::INTRODUCTION_BYTES_MAX;
use super::links::Links;
use super::news::{News, StreamPart};
use super::outbox::{Outbox, Slot};

impl Links {
    /// Reads what there is, a buffer at most, if it is wanted.
    pub(super) fn read(&mut self, link: Link) {
        loop {
            let Some(connection) = self.connections.get_mut(&link) else { return };
            if !connection.wants_bytes() {
                return self.hold_up(link);
            }
            match connection.stream.read(&mut self.buffer) {
                Ok(0) => return self.close(link, Ending::OtherSide),
                Ok(bytes) => {
                    let may_have_more = bytes == self.buffer.len() || connection.has_end;
                    connection.inbox.extend_from_slice(&self.buffer[..bytes]);
                    self.stats.bytes_received.add(bytes as u64);
                    // There may be more, or only the end; but others have waited long enough.
                    if may_have_more {
                        self.hold_up(link);
                    }
                    return self.work_off(link);
                }
                Err(failure) if failure.kind() == io::ErrorKind::WouldBlock => return,
                Err(failure) if failure.kind() == io::ErrorKind::Interrupted => {}
                Err(failure) => return self.close(link, Ending::Broken(failure)),
            }
        }
    }

    /// Reads again from those that were held up, as far as it is wanted.
    pub(super) fn read_held_up(&mut self) {
        for link in std::mem::take(&mut self.held_up) {
            if let Some(connection) = self.connections.get_mut(&link) {
                connection.is_held_up = false;
                self.read(link);
            }
        }
    }

    /// Whoever receives the snapshot has worked off its part.
    pub(super) fn on_stream_progress(&mut self, link: Link, progress: StreamProgress) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let Side::Leader { receiving: receiving @ Some(Receiving::Busy), .. } =
            &mut connection.side
        else {
            return;
        };
        match progress {
            StreamProgress::TakesMore => *receiving = Some(Receiving::Idle),
            StreamProgress::Ended { rest: mut inbox } => {
                *receiving = None;
                inbox.append(&mut connection.inbox);
                connection.inbox = inbox;
            }
            StreamProgress::GivenUp => {
                *receiving = None;
                return self.close(link, Ending::Malformed(Malformed::Snapshot));
            }
        }
        self.work_off(link);
    }

    /// Lets the connection be read from again in the next turn in which its bytes are wanted.
    fn hold_up(&mut self, link: Link) {
        if let Some(connection) = self.connections.get_mut(&link)
            && !connection.is_held_up
        {
            connection.is_held_up = true;
            self.held_up.push(link);
        }
    }

    /// Makes news of what was received, as far as it is whole. What comes before something
    /// malformed still counts.
    fn work_off(&mut self, link: Link) {
        let Some(connection) = self.connections.get(&link) else { return };
        let worked_off = match connection.side {
            Side::Caller { .. } => self.greet(link),
            Side::Elector(_) => self.work_off_frames(link),
            Side::Newcomer { .. } => self.introduce(link),
            Side::Learner { .. } => self.work_off_to_leader(link),
            Side::Leader { .. } => self.work_off_to_learner(link),
        };
        if let Err(malformed) = worked_off {
            self.close(link, Ending::Malformed(malformed));
        }
    }

    /// Reads who calls, once that is there.
    fn greet(&mut self, link: Link) -> Result<(), Malformed> {
        let Some(connection) = self.connections.get_mut(&link) else { return Ok(()) };
        let Some((hello, consumed)) = Hello::decode(&connection.inbox)? else { return Ok(()) };
        let addresses = hello.addresses.callable().map(|address| address.to_string()).collect();
        // Who keeps its id to itself gets one that nobody has, as with Apache.
        let from = hello.sid.unwrap_or_else(|| {
            self.next_anonymous.0 -= 1;
            Sid(self.next_anonymous.0 + 1)
        });
        connection.take(consumed);
        connection.peer = Some(from);
        connection.side = Side::Elector(Slot::default());
        self.guests(Port::Election).introduced(link);
        self.tell_reached(from);
        self.news.push(News::Called { link, from, addresses });
        self.work_off_frames(link)
    }

    fn work_off_frames(&mut self, link: Link) -> Result<(), Malformed> {
        let Some(connection) = self.connections.get_mut(&link) else { return Ok(()) };
        let mut consumed = 0;
        let ended = loop {
            let rest = &connection.inbox[consumed..];
            let (body, bytes) = match frame::split(rest, ELECTION_MESSAGE_BYTES_MAX) {
                Ok(None) => break Ok(()),
                Ok(Some(([], _))) => break Err(Malformed::EmptyFrame),
                Ok(Some(frame)) => frame,
                Err(error) => break Err(error.into()),
            };
            match Notification::decode(body) {
                Ok(_) => {
                    let notification = connection.under_way.hand_on(body.to_vec());
                    self.news.push(News::Notified { link, notification });
                }
                Err(error) => {
                    debug!(link = link.0, %error, "a message that is no vote is passed over");
                    self.stats.passed_over.add(1);
                }
            }
            consumed += bytes;
        };
        connection.take(consumed);
        ended
    }

    /// Reads who comes to learn, once that is there. What its first packet may be is for others to
    /// say; here it has to be one, and a short one.
    fn introduce(&mut self, link: Link) -> Result<(), Malformed> {
        let Some(connection) = self.connections.get_mut(&link) else { return Ok(()) };
        let Some((packet, _)) = ToLeader::decode(&connection.inbox, INTRODUCTION_BYTES_MAX)? else {
            return Ok(());
        };
        if let ToLeader::FollowerInfo(info) | ToLeader::ObserverInfo(info) = packet {
            connection.peer = Some(info.sid);
        }
        connection.side = Side::Learner { outbox: Outbox::default(), sending: None };
        let port = connection.door.unwrap_or(Port::Quorum);
        self.guests(port).introduced(link);
        self.news.push(News::LearnerConnected { link });
        self.work_off_to_leader(link)
    }

    fn work_off_to_leader(&mut self, link: Link) -> Result<(), Malformed> {
        let Some(connection) = self.connections.get_mut(&link) else { return Ok(()) };
        let bytes_max = self.options.packet_bytes_max;
        let mut packets = inbound::to_leader(&connection.inbox, bytes_max);
        let error = packets.by_ref().find_map(Result::err);
        let (consumed, passed_over) = (packets.consumed(), packets.passed_over());
        self.stats.passed_over.add(passed_over as u64);
        if consumed > 0 {
            let bytes = connection.take(consumed);
            let packets = connection.under_way.hand_on(bytes);
            self.news.push(News::FromLearner { link, packets });
        }
        error.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Reads packets and snapshots in turn.
    fn work_off_to_learner(&mut self, link: Link) -> Result<(), Malformed> {
        let Some(connection) = self.connections.get_mut(&link) else { return Ok(()) };
        let Side::Leader { receiving, may_send_snapshot, .. } = &mut connection.side else {
            return Ok(());
        };
        let is_busy = *receiving == Some(Receiving::Busy);
        if receiving.is_none() {
            let bytes_max = self.options.packet_bytes_max;
            let (scanned, error) = scan_to_learner(&connection.inbox, bytes_max, may_send_snapshot);
            self.stats.passed_over.add(scanned.passed_over as u64);
            if let Some(last_applied) = scanned.snapshot {
                *receiving = Some(Receiving::Idle);
                self.stream_parts.push(StreamPart::Head { link, last_applied });
            }
            if scanned.consumed > 0 {
                let bytes = connection.take(scanned.consumed);
                let packets = connection.under_way.hand_on(bytes);
                self.news.push(News::FromLeader { link, packets });
            }
            if let Some(malformed) = error {
                return Err(malformed);
            }
        }
        let Side::Leader { receiving: Some(receiving), .. } = &mut connection.side else {
            return Ok(());
        };
        if !is_busy && !connection.inbox.is_empty() {
            *receiving = Receiving::Busy;
            let bytes = std::mem::take(&mut connection.inbox);
            self.stream_parts.push(StreamPart::Bytes { link, bytes });
        }
        Ok(())
    }
}

/// What was found in what a leader sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Scanned {
    /// How many bytes are whole packets.
    consumed: usize,
    passed_over: usize,
    /// The last packet announces a snapshot, and what follows are no packets; the last transaction
    /// that is in it as a whole.
    snapshot: Option<Zxid>,
}

/// `may_send_snapshot`: whether the leader has still to choose how this server gets its history.
fn scan_to_learner(
    input: &[u8],
    packet_bytes_max: usize,
    may_send_snapshot: &mut bool,
) -> (Scanned, Option<Malformed>) {
    let mut packets = inbound::to_learner(input, packet_bytes_max);
    let (mut consumed, mut snapshot, mut found) = (0, None, None);
    while let Some(packet) = packets.next() {
        match packet {
            Ok(ToLearner::Snapshot { last_applied }) if *may_send_snapshot => {
                snapshot = Some(last_applied);
            }
            Ok(ToLearner::Snapshot { .. }) => found = Some(Malformed::EarlySnapshot),
            Ok(packet) => {
                let is_way = matches!(packet, ToLearner::Diff { .. } | ToLearner::Truncate { .. });
                *may_send_snapshot &= !is_way;
                consumed = packets.consumed();
                continue;
            }
            Err(error) => found = Some(error.into()),
        }
        break;
    }
    if snapshot.is_some() {
        *may_send_snapshot = false;
    }
    if found.is_none() {
        consumed = packets.consumed();
    }
    (Scanned { consumed, passed_over: packets.passed_over(), snapshot }, found)
}
