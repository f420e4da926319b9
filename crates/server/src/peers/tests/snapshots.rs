use std::ops::Range;

use wire::quorum::put_snapshot_signature;
use wire::stored::snapshot::put_end;
use zab::{CloseReason, LeaderPacket};

use super::*;
use crate::peers::errand::{SnapshotPart, StreamProgress};
use crate::peers::inbound;
use crate::peers::limits::{READ_BYTES, STREAM_PART_BYTES_MAX};

/// Hears so many bytes of packets and snapshots, as a learner does; also tells how many snapshots
/// there were. `end` finds where a snapshot ends, if all of it is there.
#[track_caller]
pub(super) fn hear_leader(
    learner: &Station,
    from: Link,
    bytes: usize,
    end: impl Fn(&[u8]) -> Option<usize>,
) -> (Vec<u8>, usize) {
    let (mut heard, mut snapshots) = (Vec::new(), 0);
    while heard.len() < bytes {
        let packets = learner.next_from_leader(from);
        let last = inbound::to_learner(&packets, PACKET_BYTES_MAX).last();
        let is_announced = matches!(last, Some(Ok(ToLearner::Snapshot { .. })));
        heard.extend(packets);
        if is_announced {
            heard.extend(take_over(learner, from, &end));
            snapshots += 1;
        }
    }
    (heard, snapshots)
}

/// Takes a snapshot over as its receiver does: it alone knows where it ends.
#[track_caller]
fn take_over(learner: &Station, from: Link, end: impl Fn(&[u8]) -> Option<usize>) -> Vec<u8> {
    let mut stream = Vec::new();
    let head = learner.next_part();
    assert!(matches!(head, StreamPart::Head { link, .. } if link == from), "{head:?}");
    loop {
        let StreamPart::Bytes { link, bytes } = learner.next_part() else { panic!("cut off") };
        assert_eq!(link, from);
        stream.extend(bytes);
        let end = end(&stream);
        let progress = match end {
            None => StreamProgress::TakesMore,
            Some(end) => StreamProgress::Ended { rest: stream.split_off(end) },
        };
        learner.run(Errand::StreamProgress { link, progress });
        if end.is_some() {
            return stream;
        }
    }
}

/// Where a snapshot of so many bytes ends.
fn after(bytes: usize) -> impl Fn(&[u8]) -> Option<usize> {
    move |stream| (stream.len() >= bytes).then_some(bytes)
}

/// What stands behind the last znode.
fn ending() -> Vec<u8> {
    let mut out = Vec::new();
    put_end(&mut out);
    put_snapshot_signature(&mut out);
    out
}

/// Sends a part as soon as it is asked for.
#[track_caller]
fn send_part(leader: &Station, to: Link, part: SnapshotPart) {
    let news = leader.next();
    assert!(matches!(news, News::SnapshotTakesMore { link } if link == to), "{news:?}");
    leader.run(Errand::SnapshotPart { link: to, part });
}

#[test]
fn a_snapshot_is_sent_part_by_part_and_packets_follow() {
    let (leader, learner) = (Station::start(3), Station::start(1));
    let (ours, theirs) = learner.learn_from(&leader);
    agree(&learner, ours);
    assert_eq!(leader.next_from_learner(theirs).len(), AGREEMENT_BYTES);
    let stream = noise(1, 5 << 20);
    let cuts: [Range<usize>; 4] = [7..8, 8..300_000, 300_000..4 << 20, 4 << 20..5 << 20];
    let head = SnapshotPart::Head { last_applied: zxid(9), records: stream[..7].to_vec() };
    leader.run_all(vec![
        Errand::ToLearner { link: theirs, packet: LeaderPacket::LeaderInfo(Epoch(5)) },
        Errand::SnapshotPart { link: theirs, part: head },
    ]);
    let parts: Vec<_> = cuts.map(|cut| stream[cut].to_vec()).into();
    let sender = thread::spawn(move || {
        for part in parts {
            send_part(&leader, theirs, SnapshotPart::Records(part));
        }
        send_part(&leader, theirs, SnapshotPart::End);
        let news = leader.next();
        assert!(matches!(news, News::SnapshotSent { link } if link == theirs), "{news:?}");
        leader.run(Errand::ToLearner { link: theirs, packet: LeaderPacket::UpToDate });
        leader
    });
    let head = of_leader(&[
        ToLearner::LeaderInfo { epoch: Epoch(5) },
        ToLearner::Snapshot { last_applied: zxid(9) },
    ]);
    let stream = [stream, ending()].concat();
    let end = after(stream.len());
    let expected = [head, stream, of_leader(&[ToLearner::UpToDate])].concat();
    let (heard, snapshots) = hear_leader(&learner, ours, expected.len(), end);
    assert!(heard == expected && snapshots == 1);
    drop(sender.join().expect("all of it is sent"));
}

/// A learner that has accepted the epoch of a stranger, and the number of the connection.
pub(super) fn learner_of_stranger() -> (Station, Stranger, Link) {
    let (learner, mut leader, link) = newcomer_at_stranger();
    agree(&learner, link);
    leader.hear(AGREEMENT_BYTES);
    (learner, leader, link)
}

/// As [`learner_of_stranger`], when nothing was said yet.
fn newcomer_at_stranger() -> (Station, Stranger, Link) {
    let (listener, address) = listener();
    let port = address.parse::<SocketAddr>().expect("an address").port();
    let learner = Station::start(1);
    let election = if port == 1 { 2 } else { 1 };
    let text = format!("server.3=127.0.0.1:{port}:{election}");
    let membership = Membership::parse(&text).expect("a membership");
    learner.run_all(vec![Errand::Memberships(membership.into()), Errand::ConnectToLeader(Sid(3))]);
    let leader = Stranger::of(listener.accept().expect("a learner").0);
    let News::LeaderReached { link, .. } = learner.next() else { panic!("not reached") };
    (learner, leader, link)
}

/// How long it is what [`agree`] says.
const AGREEMENT_BYTES: usize = 24;

/// Tells the leader that its epoch is accepted: it may send a snapshot then.
fn agree(learner: &Station, link: Link) {
    let packet = LearnerPacket::AckEpoch { last_logged: None, current_epoch: None };
    learner.run(Errand::ToLeader { link, packet });
}

/// A snapshot, and packets before and behind it.
fn packets_around_a_snapshot() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let before = of_leader(&[
        ToLearner::LeaderInfo { epoch: Epoch(5) },
        ToLearner::Snapshot { last_applied: zxid(9) },
    ]);
    let behind = of_leader(&[
        ToLearner::Commit { zxid: zxid(9) },
        ToLearner::NewLeader { epoch: Epoch(5), config: None },
    ]);
    (before, [noise(2, 1000), ending()].concat(), behind)
}

#[test]
fn packets_behind_a_snapshot_may_come_in_the_same_piece() {
    let (learner, mut leader, link) = learner_of_stranger();
    let (before, stream, behind) = packets_around_a_snapshot();
    let bytes = [&before[..], &stream, &behind].concat();
    leader.say(&bytes);
    let (heard, snapshots) = hear_leader(&learner, link, bytes.len(), after(stream.len()));
    assert!(heard == bytes && snapshots == 1);
}

/// A leader says this at a time at which a snapshot is nothing that anybody could take over.
#[track_caller]
fn check_early(has_agreed: bool, said_before: &[ToLearner<'_>]) {
    let (learner, mut leader, link) = match has_agreed {
        true => learner_of_stranger(),
        false => newcomer_at_stranger(),
    };
    let said_before = of_leader(said_before);
    let snapshot = of_leader(&[ToLearner::Snapshot { last_applied: zxid(9) }]);
    leader.say(&[&said_before[..], &snapshot, &noise(2, 1000), &ending()].concat());
    leader.hear_end();
    assert_eq!(learner.gather_from_leader(link, said_before.len()), said_before);
    assert!(matches!(learner.next(), News::QuorumLinkClosed { link: closed } if closed == link));
    assert_eq!(learner.peers.stats().closed.malformed.value(), 1);
    assert!(learner.parts.try_recv().is_err(), "nobody takes it over");
}

#[test]
fn a_snapshot_that_nobody_waits_for_ends_the_connection() {
    let epoch = || ToLearner::LeaderInfo { epoch: Epoch(5) };
    let new_leader = ToLearner::NewLeader { epoch: Epoch(5), config: None };
    check_early(false, &[]);
    check_early(false, &[epoch()]);
    check_early(true, &[epoch(), ToLearner::Diff { last_committed: zxid(9) }]);
    check_early(true, &[epoch(), ToLearner::Truncate { keep: zxid(9) }, new_leader]);
}

#[test]
fn a_snapshot_in_single_bytes_is_the_same_snapshot() {
    let (learner, mut leader, link) = learner_of_stranger();
    let (before, stream, behind) = packets_around_a_snapshot();
    let bytes = [&before[..], &stream, &behind].concat();
    let said = bytes.clone();
    let sender = thread::spawn(move || {
        said.iter().for_each(|byte| leader.say(&[*byte]));
        leader
    });
    let (heard, snapshots) = hear_leader(&learner, link, bytes.len(), after(stream.len()));
    assert!(heard == bytes && snapshots == 1);
    drop(sender.join().expect("no panic"));
}

#[test]
fn no_more_of_a_snapshot_is_read_than_its_receiver_works_off() {
    let (learner, mut leader, link) = learner_of_stranger();
    let (before, _, behind) = packets_around_a_snapshot();
    let stream = noise(3, 16 * STREAM_PART_BYTES_MAX);
    let bytes = [&before[..], &stream, &behind].concat();
    let sender = thread::spawn(move || {
        leader.say(&bytes);
        leader
    });
    assert_eq!(learner.gather_from_leader(link, before.len()), before);
    assert_eq!(learner.next_part(), StreamPart::Head { link, last_applied: zxid(9) });
    let received = || learner.received_bytes() - before.len();
    let mut worked_off = 0;
    while worked_off < stream.len() {
        let StreamPart::Bytes { bytes, .. } = learner.next_part() else { panic!("cut off") };
        // One part is with the receiver, the next one gathers.
        let gathered = received() - worked_off;
        assert!(gathered <= 2 * (STREAM_PART_BYTES_MAX + READ_BYTES), "{gathered}");
        let taken = bytes.len().min(stream.len() - worked_off);
        assert!(bytes[..taken] == stream[worked_off..worked_off + taken]);
        worked_off += taken;
        let progress = match worked_off == stream.len() {
            false => StreamProgress::TakesMore,
            true => StreamProgress::Ended { rest: bytes[taken..].to_vec() },
        };
        learner.run(Errand::StreamProgress { link, progress });
    }
    assert_eq!(learner.gather_from_leader(link, behind.len()), behind);
    drop(sender.join().expect("no panic"));
}

#[test]
fn the_receiver_hears_of_a_connection_that_ends() {
    let (learner, mut leader, link) = learner_of_stranger();
    let (before, stream, _) = packets_around_a_snapshot();
    leader.say(&[&before[..], &stream[..500]].concat());
    assert_eq!(learner.gather_from_leader(link, before.len()), before);
    assert_eq!(learner.next_part(), StreamPart::Head { link, last_applied: zxid(9) });
    assert!(matches!(learner.next_part(), StreamPart::Bytes { .. }));
    drop(leader);
    assert_eq!(learner.next_part(), StreamPart::CutOff { link });
    assert!(matches!(learner.next(), News::QuorumLinkClosed { link: closed } if closed == link));
    // What it makes of the last part comes too late.
    learner.run(Errand::StreamProgress { link, progress: StreamProgress::TakesMore });
    learner.catch_up();
}

#[test]
fn a_snapshot_that_can_not_be_taken_over_ends_the_connection() {
    let (learner, mut leader, link) = learner_of_stranger();
    let (before, stream, _) = packets_around_a_snapshot();
    leader.say(&[&before[..], &stream].concat());
    assert_eq!(learner.gather_from_leader(link, before.len()), before);
    assert_eq!(learner.next_part(), StreamPart::Head { link, last_applied: zxid(9) });
    assert!(matches!(learner.next_part(), StreamPart::Bytes { .. }));
    learner.run(Errand::StreamProgress { link, progress: StreamProgress::GivenUp });
    leader.hear_end();
    assert!(matches!(learner.next(), News::QuorumLinkClosed { link: closed } if closed == link));
    assert_eq!(learner.peers.stats().closed.malformed.value(), 1);
}

#[test]
fn a_learner_that_leaves_within_a_snapshot_is_sent_no_more() {
    let leader = Station::start(3);
    let (stranger, link) = Stranger::learner(&leader, 1);
    let head = SnapshotPart::Head { last_applied: zxid(9), records: Vec::new() };
    leader.run(Errand::SnapshotPart { link, part: head });
    send_part(&leader, link, SnapshotPart::Records(noise(4, 64 << 20)));
    // No more is asked for before that has left.
    leader.catch_up();
    drop(stranger);
    let news = leader.next();
    assert!(matches!(news, News::QuorumLinkClosed { link: closed } if closed == link), "{news:?}");
    // The replica may not know yet.
    leader.run(Errand::SnapshotPart { link, part: SnapshotPart::Records(vec![1]) });
    leader.run(Errand::Close { link, reason: CloseReason::RoleEnded });
    leader.catch_up();
}
