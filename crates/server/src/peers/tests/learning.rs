use std::borrow::Cow;

use types::{Id, SessionId, Txn, TxnHeader, Xid};
use wire::quorum::{AuthInfo, Cuts, ForwardedRequest, Proposal, SessionTouch, Touches};
use wire::stored::LogBatch;
use zab::{CloseReason, LeaderPacket};

use super::*;
use crate::peers::limits::{READ_BYTES, UNDER_WAY_BYTES_MAX};

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

/// One packet of each kind that a peer sends a learner, and what they are on the wire.
fn every_leader_packet() -> (Vec<LeaderPacket>, Vec<u8>) {
    let (batch, config): (_, Arc<str>) = (batch(1..=3), "version=0".into());
    let (first, last) = (zxid(1), zxid(2));
    let packets = vec![
        LeaderPacket::LeaderInfo(Epoch(5)),
        LeaderPacket::Diff { last_committed: last },
        LeaderPacket::Truncate { keep: first },
        LeaderPacket::Committed { batch: Arc::clone(&batch), first, last },
        LeaderPacket::NewLeader { epoch: Epoch(5), config },
        LeaderPacket::UpToDate,
        LeaderPacket::Proposals { batch: Arc::clone(&batch), first: last },
        LeaderPacket::Commits { first, last },
        LeaderPacket::Informs { batch: Arc::clone(&batch), first, last },
        LeaderPacket::Ping { last_proposed: last },
    ];
    let proposals: Vec<Proposal<'_>> = batch.proposals().collect();
    let bytes = of_leader(&[
        ToLearner::LeaderInfo { epoch: Epoch(5) },
        ToLearner::Diff { last_committed: last },
        ToLearner::Truncate { keep: first },
        ToLearner::Proposal(proposals[0]),
        ToLearner::Commit { zxid: first },
        ToLearner::Proposal(proposals[1]),
        ToLearner::Commit { zxid: last },
        ToLearner::NewLeader { epoch: Epoch(5), config: Some(Cow::Borrowed("version=0")) },
        ToLearner::UpToDate,
        ToLearner::Proposal(proposals[1]),
        ToLearner::Proposal(proposals[2]),
        ToLearner::Commit { zxid: first },
        ToLearner::Commit { zxid: last },
        ToLearner::Inform(proposals[0]),
        ToLearner::Inform(proposals[1]),
        ToLearner::Ping { last_proposed: last },
    ]);
    (packets, bytes)
}

/// One packet of each kind that the replica of a leader sends.
fn every_packet_of_a_leaders_replica() -> Vec<u8> {
    let batch = batch(1..=1);
    let proposal = batch.proposals().next().expect("one");
    of_leader(&[
        ToLearner::CommitAndActivate { zxid: zxid(1), designated_leader: Sid(2) },
        ToLearner::InformAndActivate { proposal, designated_leader: Sid(2) },
        ToLearner::Sync,
        ToLearner::Revalidated { session: SessionId(7), is_valid: true },
    ])
}

/// One packet of each kind that the replica of a learner sends.
fn every_packet_of_a_learners_replica() -> Vec<u8> {
    let (mut touches, mut auth) = (Vec::new(), Vec::new());
    let touch = SessionTouch { session: SessionId(7), timeout_ms: 9 };
    let ids = [Id::new("ip", "127.0.0.1")];
    of_learner(&[
        ToLeader::Ping { last_proposed: zxid(1), touches: Touches::encode(&mut touches, [touch]) },
        ToLeader::Revalidate { session: SessionId(7), timeout_ms: 9 },
        ToLeader::Request(ForwardedRequest {
            session: SessionId(7),
            body: &[0, 0, 0, 1, 0, 0, 0, 11],
            auth: AuthInfo::encode(&mut auth, &ids),
        }),
    ])
}

#[test]
fn a_leader_and_two_learners_exchange_every_packet() {
    let (leader, first, second) = (Station::start(3), Station::start(1), Station::start(2));
    let (of_first, to_first) = first.learn_from(&leader);
    let (of_second, to_second) = second.learn_from(&leader);
    let (packets, expected) = every_leader_packet();
    let to_both = packets.into_iter().flat_map(|packet| {
        [to_first, to_second].map(|link| Errand::ToLearner { link, packet: packet.clone() })
    });
    leader.run_all(to_both.collect());
    assert_eq!(first.gather_from_leader(of_first, expected.len()), expected);
    assert_eq!(second.gather_from_leader(of_second, expected.len()), expected);
    let bytes = every_packet_of_a_leaders_replica();
    leader.run(Errand::Packets { link: to_first, bytes: bytes.clone() });
    assert_eq!(first.gather_from_leader(of_first, bytes.len()), bytes);

    let (first_zxid, last) = (zxid(1), zxid(2));
    for packet in [
        info(LearnerKind::Observer),
        LearnerPacket::AckEpoch { last_logged: None, current_epoch: Some(Epoch(4)) },
        LearnerPacket::AckNewLeader(Epoch(5)),
        LearnerPacket::Acks { first: first_zxid, last },
    ] {
        second.run(Errand::ToLeader { link: of_second, packet });
    }
    let info = LearnerInfo {
        sid: Sid(2),
        accepted_epoch: Epoch(4),
        config_version: Some(0),
        cuts: Cuts::Snapshots,
    };
    let mut expected = of_learner(&[
        ToLeader::ObserverInfo(info),
        ToLeader::AckEpoch { last_logged: None, current_epoch: Some(Epoch(4)) },
        ToLeader::AckNewLeader { epoch: Epoch(5) },
        ToLeader::Ack { zxid: first_zxid },
        ToLeader::Ack { zxid: last },
    ]);
    let of_replica = every_packet_of_a_learners_replica();
    second.run(Errand::Packets { link: of_second, bytes: of_replica.clone() });
    expected.extend(of_replica);
    assert_eq!(leader.gather_from_learner(to_second, expected.len()), expected);
}

#[test]
fn news_are_the_inputs_of_a_peer() {
    let (leader, learner) = (Station::start(3), Station::start(1));
    let (ours, theirs) = learner.learn_from(&leader);
    leader.run_all(vec![
        Errand::ToLearner { link: theirs, packet: LeaderPacket::LeaderInfo(Epoch(5)) },
        Errand::ToLearner { link: theirs, packet: LeaderPacket::UpToDate },
    ]);
    let mut inputs = Vec::new();
    while inputs.len() < 2 {
        learner.next().tell(|input| inputs.push(format!("{input:?}")));
    }
    let Link(number) = ours;
    let from_leader = |packet| format!("FromLeader {{ link: Link({number}), packet: {packet} }}");
    let info = from_leader("LeaderInfo { epoch: Epoch(5) }");
    assert_eq!(inputs, [info, from_leader("UpToDate")]);
    leader.run(Errand::Close { link: theirs, reason: CloseReason::RoleEnded });
    leader.next().tell(|input| {
        assert_eq!(format!("{input:?}"), format!("QuorumLinkClosed {{ link: {theirs:?} }}"))
    });
    assert!(matches!(learner.next(), News::QuorumLinkClosed { link } if link == ours));
}

#[test]
fn learners_wait_outside_until_it_is_known_who_leads() {
    let (server, learner) = (Station::start(3), Station::start(1));
    learner.meet(&[&server]);
    learner.run(Errand::ConnectToLeader(Sid(3)));
    let News::LeaderReached { link, leader } = learner.next() else { panic!("not reached") };
    assert_eq!(leader, Sid(3), "the system took the connection in");
    learner.run(Errand::ToLeader { link, packet: info(LearnerKind::Follower) });
    learner.catch_up();
    server.catch_up();
    assert_eq!(server.peers.stats().accepted.value(), 0);
    server.run(Errand::Learners(Admission::Admit));
    let News::LearnerConnected { link: theirs } = server.next() else { panic!("no learner") };
    assert_eq!(server.next_from_learner(theirs), follower_info(1));
}

#[test]
fn learners_of_who_does_not_lead_are_turned_away() {
    let server = Station::start(3);
    let mut waits = Stranger::connect(server.quorum);
    waits.say(&follower_info(1));
    server.run(Errand::Learners(Admission::Refuse));
    waits.hear_end();
    let mut comes_later = Stranger::connect(server.quorum);
    comes_later.hear_end();
    assert_eq!(server.peers.stats().turned_away.value(), 2);
    // In the next election they wait again.
    server.run(Errand::Learners(Admission::Wait));
    server.catch_up();
    let mut waits_again = Stranger::connect(server.quorum);
    waits_again.say(&follower_info(1));
    server.catch_up();
    server.run(Errand::Learners(Admission::Admit));
    assert!(matches!(server.next(), News::LearnerConnected { .. }));
}

#[test]
fn learners_that_are_in_stay_when_others_are_turned_away() {
    let leader = Station::start(3);
    let (mut stranger, link) = Stranger::learner(&leader, 1);
    leader.run(Errand::Learners(Admission::Refuse));
    leader.run(Errand::ToLearner { link, packet: LeaderPacket::UpToDate });
    let expected = of_leader(&[ToLearner::UpToDate]);
    assert_eq!(stranger.hear(expected.len()), expected);
}

#[test]
fn packets_in_single_bytes_and_many_at_once_are_the_same_packets() {
    let leader = Station::start(3);
    let (mut stranger, link) = Stranger::learner(&leader, 1);
    let bytes = every_packet_of_a_learners_replica();
    for byte in &bytes {
        stranger.say(&[*byte]);
    }
    assert_eq!(leader.gather_from_learner(link, bytes.len()), bytes);
    let many = bytes.repeat(5000);
    stranger.say(&many);
    assert!(leader.gather_from_learner(link, many.len()) == many);
}

#[test]
fn a_packet_as_large_as_allowed_comes_through_and_a_larger_one_ends_it() {
    let mut options = options(3);
    options.packet_bytes_max = 300_000;
    let leader = Station::with(options);
    let (mut stranger, link) = Stranger::learner(&leader, 1);
    let (mut other, other_link) = Stranger::learner(&leader, 2);
    let request = |bytes: usize| {
        let body = vec![1; bytes - 8];
        let (session, auth) = (SessionId(7), AuthInfo::NULL);
        of_learner(&[ToLeader::Request(ForwardedRequest { session, body: &body, auth })])
    };
    let largest = request(300_000);
    stranger.say(&largest);
    assert!(leader.gather_from_learner(link, largest.len()) == largest);
    // What comes before in the same piece still counts; of the rest the head is enough.
    let ack = of_learner(&[ToLeader::Ack { zxid: zxid(1) }]);
    stranger.say(&[&ack[..], &request(300_001)[..16]].concat());
    assert_eq!(leader.next_from_learner(link), ack);
    assert!(matches!(leader.next(), News::QuorumLinkClosed { link: closed } if closed == link));
    stranger.hear_end();
    assert_eq!(leader.peers.stats().closed.malformed.value(), 1);
    other.say(&ack);
    assert_eq!(leader.next_from_learner(other_link), ack);
}

#[test]
fn packets_of_no_meaning_are_passed_over() {
    let leader = Station::start(3);
    let (mut stranger, link) = Stranger::learner(&leader, 1);
    let ack = of_learner(&[ToLeader::Ack { zxid: zxid(1) }]);
    let unknown = [&99_i32.to_be_bytes()[..], &[0; 8], &[0xff; 8]].concat();
    let upwards = of_leader(&[ToLearner::UpToDate]);
    stranger.say(&[&ack[..], &unknown, &upwards, &ack].concat());
    assert_eq!(leader.gather_from_learner(link, 2 * ack.len()), ack.repeat(2));
    assert_eq!(leader.peers.stats().passed_over.value(), 2);
}

#[test]
fn who_takes_in_too_little_is_cut_off_and_nobody_else() {
    const PACKETS: i64 = 400;
    let mut options = options(3);
    options.backlog_bytes_max = 8 << 20;
    let leader = Station::with(options);
    let (_slow, to_slow) = Stranger::learner(&leader, 1);
    let learner = Station::start(2);
    let (of_learner, to_learner) = learner.learn_from(&leader);
    let config: Arc<str> = "c".repeat(100_000).into();
    let packet = |number: i64| LeaderPacket::NewLeader {
        epoch: Epoch(i32::try_from(number).expect("small")),
        config: Arc::clone(&config),
    };
    let mut received = 0;
    for number in 1..=PACKETS {
        leader.run_all(vec![
            Errand::ToLearner { link: to_slow, packet: packet(number) },
            Errand::ToLearner { link: to_learner, packet: packet(number) },
        ]);
        // The one that reads is never far behind.
        let epoch = Epoch(i32::try_from(number).expect("small"));
        let config = Some(Cow::Borrowed(&*config));
        let expected = of_leader(&[ToLearner::NewLeader { epoch, config }]);
        assert!(learner.gather_from_leader(of_learner, expected.len()) == expected);
        received += expected.len();
    }
    assert!(received > 3 * (8 << 20), "more than the limit and what the system keeps");
    let closed = leader.next();
    assert!(matches!(closed, News::QuorumLinkClosed { link } if link == to_slow), "{closed:?}");
    assert_eq!(leader.peers.stats().closed.backlog.value(), 1);
}

#[test]
fn no_more_is_read_than_the_replica_works_off() {
    let leader = Station::start(3);
    let (mut stranger, link) = Stranger::learner(&leader, 1);
    let ack = of_learner(&[ToLeader::Ack { zxid: zxid(1) }]);
    let before = leader.received_bytes();
    let bytes = ack.repeat(6 * UNDER_WAY_BYTES_MAX / ack.len());
    let (total, mut worked_off) = (bytes.len(), 0);
    let sender = thread::spawn(move || stranger.say(&bytes));
    let started = std::time::Instant::now();
    while leader.received_bytes() - before < UNDER_WAY_BYTES_MAX {
        assert!(started.elapsed() < PATIENCE, "it is read as far as allowed");
        thread::yield_now();
    }
    while worked_off < total {
        let under_way = leader.received_bytes() - before - worked_off;
        // The last packet may not be whole.
        assert!(under_way <= UNDER_WAY_BYTES_MAX + READ_BYTES + ack.len(), "{under_way}");
        let News::FromLearner { link: from, packets } = leader.next() else { panic!("no packets") };
        assert_eq!(from, link);
        worked_off += packets.packets_of_learner().count() * ack.len();
    }
    sender.join().expect("all is read in the end");
}

#[test]
fn one_who_floods_does_not_keep_the_others_waiting() {
    let leader = Station::start(3);
    let (mut flooder, flood) = Stranger::learner(&leader, 1);
    let (mut other, quiet) = Stranger::learner(&leader, 2);
    let ack = of_learner(&[ToLeader::Ack { zxid: zxid(1) }]);
    let bytes = ack.repeat(2 * UNDER_WAY_BYTES_MAX / ack.len());
    let sender = thread::spawn(move || {
        flooder.try_say(&bytes);
        flooder
    });
    // Nothing of the flood is worked off, so it stands still; the other is heard.
    let mut kept = vec![leader.next()];
    other.say(&ack);
    loop {
        let news = leader.next();
        let News::FromLearner { link, .. } = &news else { panic!("{news:?}") };
        if *link == quiet {
            break;
        }
        assert_eq!(*link, flood);
        kept.push(news);
    }
    leader.run(Errand::Close { link: flood, reason: CloseReason::Silent });
    drop(sender.join().expect("no panic"));
}
