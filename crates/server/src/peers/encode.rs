//! What is sent, as bytes: pure functions from what the peer does to what leaves.

use std::sync::Arc;

use types::Sid;
use types::membership::HostPort;
use wire::election::{AddressList, Addresses, Hello, HelloError};
use zab::{Announcement, LeaderPacket, LearnerPacket};

use super::limits::ENCODED_BATCHES_MAX;

/// What this server says first when it calls another.
///
/// # Errors
/// When the addresses can not be said: there is none, or they are too long.
pub(super) fn hello(sid: Sid, places: &[HostPort]) -> Result<Vec<u8>, HelloError> {
    let text = places.iter().map(HostPort::to_string).collect::<Vec<_>>().join("|");
    let list = AddressList::parse(&text)?;
    // Every release understands the first; who is configured with several has said that all do.
    let addresses = if places.len() > 1 { Addresses::Several(list) } else { Addresses::One(list) };
    let mut out = Vec::new();
    Hello { sid: Some(sid), addresses }.encode(&mut out);
    Ok(out)
}

/// The frame of a notification.
pub(super) fn notification(announcement: &Announcement) -> Vec<u8> {
    let mut out = Vec::new();
    announcement.notification().encode(&mut out);
    out
}

/// Appends what learner `sid` sends.
pub(super) fn to_leader(sid: Sid, packet: LearnerPacket, out: &mut Vec<u8>) {
    packet.unfold(sid, |packet| packet.encode(out));
}

/// Appends what a leader sends.
pub(super) fn to_learner(packet: &LeaderPacket, out: &mut Vec<u8>) {
    packet.unfold(|packet| packet.encode(out));
}

/// A leader's packet as bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Encoded {
    /// Few bytes, for this connection alone; they are appended to what it sends.
    Small,
    /// Transactions: the same bytes for every connection that gets the same.
    Shared(Arc<[u8]>),
}

/// Encodes batches once for all learners that get them in the same turn.
#[derive(Debug, Default)]
pub(super) struct BatchEncoder {
    /// The newest are last.
    recent: Vec<(LeaderPacket, Arc<[u8]>)>,
    /// Kept to be reused.
    buffer: Vec<u8>,
}

impl BatchEncoder {
    /// Encodes a packet with transactions, unless that was done in this turn.
    pub(super) fn encode(&mut self, packet: &LeaderPacket) -> Encoded {
        if packet.batch().is_none() {
            return Encoded::Small;
        }
        // Batches are told apart by where they lie, and compared byte by byte only where that
        // differs; then their zxids do, at the beginning.
        if let Some((_, bytes)) = self.recent.iter().rev().find(|(known, _)| known == packet) {
            return Encoded::Shared(Arc::clone(bytes));
        }
        self.buffer.clear();
        to_learner(packet, &mut self.buffer);
        let bytes: Arc<[u8]> = self.buffer.as_slice().into();
        if self.recent.len() == ENCODED_BATCHES_MAX {
            self.recent.remove(0);
        }
        self.recent.push((packet.clone(), Arc::clone(&bytes)));
        Encoded::Shared(bytes)
    }

    /// Ends a turn: the batches are no longer held.
    pub(super) fn forget(&mut self) {
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use types::membership::Host;
    use types::{Epoch, SessionId, Txn, TxnHeader, Xid, Zxid};
    use wire::election::{ElectionRound, Form, LastLogged, Notification, ServerState};
    use wire::limits::PACKET_BYTES_MAX;
    use wire::quorum::{Cuts, LearnerInfo, ToLeader, ToLearner};
    use wire::stored::LogBatch;
    use zab::LearnerKind;

    use super::*;
    use crate::peers::inbound;

    fn zxid(counter: i64) -> Zxid {
        Zxid::from_raw(0x5_0000_0000 | counter)
    }

    fn place(host: &str) -> HostPort {
        HostPort { host: Host::parse(host).expect("a host"), port: 3888 }
    }

    /// A batch of transactions with these counters.
    fn batch(counters: std::ops::RangeInclusive<i64>) -> Arc<LogBatch> {
        let mut batch = LogBatch::new();
        for counter in counters {
            let header =
                TxnHeader { session: SessionId(7), cxid: Xid(1), zxid: zxid(counter), time_ms: 9 };
            batch.push(&header, &Txn::CloseSession { paths: None }, None);
        }
        Arc::new(batch)
    }

    /// The packets that learners find, by name and zxid.
    fn read(bytes: &[u8]) -> Vec<String> {
        inbound::to_learner(bytes, PACKET_BYTES_MAX)
            .map(|packet| match packet.expect("a packet") {
                ToLearner::Proposal(proposal) => format!("proposal {}", proposal.zxid()),
                ToLearner::Inform(proposal) => format!("inform {}", proposal.zxid()),
                ToLearner::Commit { zxid } => format!("commit {zxid}"),
                packet => format!("{packet:?}"),
            })
            .collect()
    }

    #[track_caller]
    fn check(packet: &LeaderPacket, expected: &[&str]) {
        let mut out = Vec::new();
        to_learner(packet, &mut out);
        assert_eq!(read(&out), expected, "{packet:?}");
        if let Encoded::Shared(bytes) = BatchEncoder::default().encode(packet) {
            assert_eq!(*bytes, *out);
        }
    }

    #[test]
    fn batches_become_packets_for_each_transaction() {
        let batch = batch(3..=6);
        let (first, last) = (zxid(4), zxid(5));
        check(
            &LeaderPacket::Proposals { batch: Arc::clone(&batch), first },
            &["proposal 0x5/0x4", "proposal 0x5/0x5", "proposal 0x5/0x6"],
        );
        check(
            &LeaderPacket::Committed { batch: Arc::clone(&batch), first, last },
            &["proposal 0x5/0x4", "commit 0x5/0x4", "proposal 0x5/0x5", "commit 0x5/0x5"],
        );
        check(&LeaderPacket::Informs { batch, first, last }, &["inform 0x5/0x4", "inform 0x5/0x5"]);
        check(&LeaderPacket::Commits { first, last }, &["commit 0x5/0x4", "commit 0x5/0x5"]);
        check(&LeaderPacket::Commits { first: last, last: first }, &[]);
    }

    #[test]
    fn the_last_counter_of_an_epoch_ends_a_range() {
        let last = Zxid::from_raw(0x5_ffff_ffff);
        check(&LeaderPacket::Commits { first: last, last }, &["commit 0x5/0xffffffff"]);
    }

    #[test]
    fn single_packets_keep_what_they_say() {
        let config: Arc<str> = "version=0".into();
        for (packet, expected) in [
            (LeaderPacket::LeaderInfo(Epoch(5)), "LeaderInfo { epoch: Epoch(5) }"),
            (LeaderPacket::Diff { last_committed: zxid(1) }, "Diff { last_committed: 0x5/0x1 }"),
            (LeaderPacket::Truncate { keep: zxid(1) }, "Truncate { keep: 0x5/0x1 }"),
            (
                LeaderPacket::NewLeader { epoch: Epoch(5), config },
                "NewLeader { epoch: Epoch(5), config: Some(\"version=0\") }",
            ),
            (LeaderPacket::UpToDate, "UpToDate"),
            (
                LeaderPacket::CommitAndActivate { zxid: zxid(1), designated_leader: Sid(2) },
                "CommitAndActivate { zxid: 0x5/0x1, designated_leader: Sid(2) }",
            ),
            (
                LeaderPacket::InformAndActivate {
                    batch: batch(1..=3),
                    zxid: zxid(2),
                    designated_leader: Sid(2),
                },
                "InformAndActivate { proposal: Proposal(0x5/0x2, 36 bytes), designated_leader: Sid(2) }",
            ),
            (LeaderPacket::Ping { last_proposed: zxid(1) }, "Ping { last_proposed: 0x5/0x1 }"),
        ] {
            check(&packet, &[expected]);
            assert_eq!(BatchEncoder::default().encode(&packet), Encoded::Small);
        }
    }

    #[test]
    fn learners_say_who_they_are_and_acknowledge_one_by_one() {
        let mut out = Vec::new();
        let info = |kind| LearnerPacket::Info {
            accepted_epoch: Epoch(4),
            config_version: 9,
            kind,
            cuts: Cuts::Snapshots,
        };
        let (last_logged, current_epoch) = (Some(zxid(2)), Some(Epoch(4)));
        for packet in [
            info(LearnerKind::Follower),
            info(LearnerKind::Observer),
            LearnerPacket::AckEpoch { last_logged, current_epoch },
            LearnerPacket::AckNewLeader(Epoch(5)),
            LearnerPacket::Acks { first: zxid(1), last: zxid(2) },
        ] {
            to_leader(Sid(3), packet, &mut out);
        }
        let read = inbound::to_leader(&out, PACKET_BYTES_MAX).map(|it| it.expect("a packet"));
        let info = LearnerInfo {
            sid: Sid(3),
            accepted_epoch: Epoch(4),
            config_version: Some(9),
            cuts: Cuts::Snapshots,
        };
        assert_eq!(
            read.collect::<Vec<_>>(),
            [
                ToLeader::FollowerInfo(info),
                ToLeader::ObserverInfo(info),
                ToLeader::AckEpoch { last_logged, current_epoch },
                ToLeader::AckNewLeader { epoch: Epoch(5) },
                ToLeader::Ack { zxid: zxid(1) },
                ToLeader::Ack { zxid: zxid(2) },
            ]
        );
    }

    #[test]
    fn a_batch_is_encoded_once_for_all_who_get_the_same() {
        let batch = batch(1..=2);
        let proposals = |first| LeaderPacket::Proposals { batch: Arc::clone(&batch), first };
        let mut encoder = BatchEncoder::default();
        let Encoded::Shared(once) = encoder.encode(&proposals(zxid(1))) else { panic!("small") };
        let Encoded::Shared(part) = encoder.encode(&proposals(zxid(2))) else { panic!("small") };
        let Encoded::Shared(again) = encoder.encode(&proposals(zxid(1))) else { panic!("small") };
        assert!(Arc::ptr_eq(&once, &again) && once.len() == 2 * part.len());
        encoder.forget();
        assert_eq!(Arc::strong_count(&batch), 1, "nothing is kept behind a turn");
        assert_eq!(Arc::strong_count(&once), 2);
    }

    #[test]
    fn encoded_batches_are_few() {
        let batch = batch(1..=20);
        let mut encoder = BatchEncoder::default();
        for counter in 1..=20 {
            let first = zxid(counter);
            encoder.encode(&LeaderPacket::Proposals { batch: Arc::clone(&batch), first });
        }
        assert_eq!(encoder.recent.len(), ENCODED_BATCHES_MAX);
    }

    #[test]
    fn one_address_is_told_as_every_release_does() {
        for (places, expected) in [
            (&[place("h1")][..], "h1:3888"),
            (&[place("h1"), place("::1")], "h1:3888|[0:0:0:0:0:0:0:1]:3888"),
        ] {
            let bytes = hello(Sid(2), places).expect("a hello");
            let (decoded, consumed) = Hello::decode(&bytes).expect("a hello").expect("whole");
            assert_eq!((decoded.sid, consumed), (Some(Sid(2)), bytes.len()));
            let (Addresses::One(list) | Addresses::Several(list)) = decoded.addresses else {
                panic!("{decoded:?}")
            };
            assert_eq!(list.as_str(), expected);
            let says_several = matches!(decoded.addresses, Addresses::Several(_));
            assert_eq!(says_several, places.len() > 1);
        }
        hello(Sid(2), &[]).expect_err("nothing to tell");
    }

    #[test]
    fn a_notification_is_read_as_it_was_announced() {
        let announcement = Announcement {
            state: ServerState::Leading,
            leader: Some(Sid(2)),
            last_logged: LastLogged::Zxid(zxid(1)),
            round: ElectionRound(3),
            epoch: Some(Epoch(5)),
            config: "version=0".into(),
        };
        let frame = notification(&announcement);
        let decoded = Notification::decode(&frame[4..]).expect("a notification");
        assert_eq!((decoded.state, decoded.leader), (ServerState::Leading, Some(Sid(2))));
        assert_eq!((decoded.round, decoded.epoch), (ElectionRound(3), Some(Epoch(5))));
        assert_eq!(decoded.last_logged, LastLogged::Zxid(zxid(1)));
        assert_eq!(decoded.form, Form::WithConfig { config: "version=0".into() });
    }
}
