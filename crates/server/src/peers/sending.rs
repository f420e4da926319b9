//! From errands to bytes: what the connections send.

use std::io;

use wire::quorum::{ToLearner, put_snapshot_signature};
use wire::stored::snapshot::put_end;
use zab::{Announcement, LeaderPacket, LearnerPacket, Link};

use super::connection::{Connection, Sending, Side};
use super::encode::{self, Encoded};
use super::ending::Ending;
use super::errand::SnapshotPart;
use super::limits::SENT_AT_ONCE_BYTES_MAX;
use super::links::Links;
use super::news::News;
use super::outbox::Outbox;

impl Links {
    /// Sends a vote, in place of one that waits.
    pub(super) fn notify(&mut self, link: Link, announcement: &Announcement) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let Side::Elector(slot) = &mut connection.side else { return };
        if slot.put(encode::notification(announcement)) {
            self.stats.notifications_replaced.add(1);
        }
        self.touch(link);
    }

    /// Sends the leader a packet.
    pub(super) fn tell_leader(&mut self, link: Link, packet: LearnerPacket) {
        let sid = self.options.sid;
        if let LearnerPacket::AckEpoch { .. } = packet {
            self.expect_snapshot(link);
        }
        self.put(link, |outbox| outbox.put(|out| encode::to_leader(sid, packet, out)));
    }

    /// The leader chooses next how this server gets its history, which may be by a snapshot. One at any
    /// other time would be taken over while nobody waits for it.
    fn expect_snapshot(&mut self, link: Link) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        if let Side::Leader { may_send_snapshot, .. } = &mut connection.side {
            *may_send_snapshot = true;
        }
    }

    /// Sends a learner a packet.
    pub(super) fn tell_learner(&mut self, link: Link, packet: &LeaderPacket) {
        match self.encoder.encode(packet) {
            Encoded::Small => {
                self.put(link, |outbox| outbox.put(|out| encode::to_learner(packet, out)));
            }
            Encoded::Shared(bytes) => self.put(link, |outbox| outbox.put_shared(bytes)),
        }
    }

    /// Sends packets that were encoded elsewhere.
    pub(super) fn send_packets(&mut self, link: Link, bytes: &[u8]) {
        self.put(link, |outbox| outbox.put(|out| out.extend_from_slice(bytes)));
    }

    /// Sends a part of a snapshot.
    pub(super) fn send_snapshot_part(&mut self, link: Link, part: SnapshotPart) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let Side::Learner { outbox, sending } = &mut connection.side else { return };
        let is_asked = *sending == Some(Sending::Asked);
        match part {
            SnapshotPart::Head { last_applied, records } => {
                assert!(sending.is_none(), "a snapshot has one head");
                *sending = Some(Sending::Part);
                outbox.put(|out| ToLearner::Snapshot { last_applied }.encode(out));
                outbox.put_bytes(records);
            }
            SnapshotPart::Records(records) => {
                assert!(is_asked, "a part follows when it is asked for");
                *sending = Some(Sending::Part);
                outbox.put_bytes(records);
            }
            SnapshotPart::End => {
                assert!(is_asked, "the end follows when more is asked for");
                *sending = Some(Sending::End);
                outbox.put(|out| {
                    put_end(out);
                    put_snapshot_signature(out);
                });
            }
        }
        self.touch(link);
    }

    /// Tells when all that waits to be sent has left.
    pub(super) fn tell_when_sent(&mut self, link: Link) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let Side::Learner { sending, .. } = &mut connection.side else { return };
        assert!(sending.is_none(), "one thing at a time is waited for");
        *sending = Some(Sending::Packets);
        self.touch(link);
    }

    /// Sends what there is to be sent, over each connection some.
    pub(super) fn flush_touched(&mut self) {
        for link in std::mem::take(&mut self.touched) {
            if let Some(connection) = self.connections.get_mut(&link) {
                connection.is_touched = false;
                self.flush(link);
            }
        }
    }

    /// Sends what the connection has to send, as far as it takes it now.
    pub(super) fn flush(&mut self, link: Link) {
        let mut sent = 0;
        loop {
            let Some(connection) = self.connections.get_mut(&link) else { return };
            if connection.bytes_to_send() == 0 {
                break;
            }
            if sent >= SENT_AT_ONCE_BYTES_MAX {
                self.touch(link);
                break;
            }
            match connection.send() {
                Ok(bytes) => {
                    sent += bytes;
                    self.stats.bytes_sent.add(bytes as u64);
                }
                Err(failure) if failure.kind() == io::ErrorKind::WouldBlock => break,
                Err(failure) if failure.kind() == io::ErrorKind::Interrupted => {}
                Err(failure) => return self.close(link, Ending::Broken(failure)),
            }
        }
        self.after_flush(link);
    }

    /// Lets the connection be written to in this turn.
    pub(super) fn touch(&mut self, link: Link) {
        if let Some(connection) = self.connections.get_mut(&link)
            && !connection.is_touched
        {
            connection.is_touched = true;
            self.touched.push(link);
        }
    }

    /// Puts packets where they wait to be sent.
    fn put(&mut self, link: Link, put: impl FnOnce(&mut Outbox)) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        match &mut connection.side {
            Side::Learner { outbox, sending } => {
                // It would be taken for records.
                let is_free = matches!(sending, None | Some(Sending::Packets));
                assert!(is_free, "a packet waits for the end of a snapshot");
                put(outbox);
            }
            Side::Leader { outbox, .. } => put(outbox),
            Side::Caller { .. } | Side::Elector(_) | Side::Newcomer { .. } => return,
        }
        self.touch(link);
    }

    /// What follows from what was sent, and from what was not.
    fn after_flush(&mut self, link: Link) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let bytes = connection.bytes_to_send();
        let Connection { side, .. } = connection;
        match side {
            Side::Learner { sending: sending @ Some(_), .. } if bytes == 0 => match *sending {
                Some(Sending::Part) => {
                    *sending = Some(Sending::Asked);
                    self.news.push(News::SnapshotTakesMore { link });
                }
                Some(Sending::End) => {
                    *sending = None;
                    self.news.push(News::SnapshotSent { link });
                }
                Some(Sending::Packets) => {
                    *sending = None;
                    self.news.push(News::Sent { link });
                }
                Some(Sending::Asked) | None => {}
            },
            Side::Learner { .. } | Side::Leader { .. }
                if bytes > self.options.backlog_bytes_max =>
            {
                self.close(link, Ending::Backlog { bytes });
            }
            Side::Learner { .. }
            | Side::Leader { .. }
            | Side::Caller { .. }
            | Side::Elector(_)
            | Side::Newcomer { .. } => {}
        }
    }
}
