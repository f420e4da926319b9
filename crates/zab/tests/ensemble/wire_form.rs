//! What peers send, as the bytes that travel.

use types::{Sid, Zxid};
use wire::quorum::{LearnerInfo, Proposal, ToLeader, ToLearner};
use wire::stored::LogBatch;
use zab::{LeaderPacket, LearnerKind, LearnerPacket};

fn encoded(packet: &ToLearner<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes);
    bytes
}

pub(super) fn snapshot(last_applied: Zxid) -> Vec<u8> {
    encoded(&ToLearner::Snapshot { last_applied })
}

fn within(batch: &LogBatch, first: Zxid, last: Zxid) -> impl Iterator<Item = Proposal<'_>> {
    batch.proposals().filter(move |it| it.zxid() >= first && it.zxid() <= last)
}

fn each(first: Zxid, last: Zxid) -> impl Iterator<Item = Zxid> {
    std::iter::successors(Some(first), |zxid| zxid.next()).take_while(move |zxid| *zxid <= last)
}

pub(super) fn to_learner(packet: &LeaderPacket) -> Vec<Vec<u8>> {
    match packet {
        LeaderPacket::LeaderInfo(epoch) => vec![encoded(&ToLearner::LeaderInfo { epoch: *epoch })],
        LeaderPacket::Diff { last_committed } => {
            vec![encoded(&ToLearner::Diff { last_committed: *last_committed })]
        }
        LeaderPacket::Truncate { keep } => vec![encoded(&ToLearner::Truncate { keep: *keep })],
        LeaderPacket::NewLeader { epoch, config } => {
            let config = Some((&**config).into());
            vec![encoded(&ToLearner::NewLeader { epoch: *epoch, config })]
        }
        LeaderPacket::UpToDate => vec![encoded(&ToLearner::UpToDate)],
        LeaderPacket::Proposals { batch, first } => {
            let all = within(batch, *first, Zxid::from_raw(i64::MAX));
            all.map(|proposal| encoded(&ToLearner::Proposal(proposal))).collect()
        }
        LeaderPacket::Commits { first, last } => {
            each(*first, *last).map(|zxid| encoded(&ToLearner::Commit { zxid })).collect()
        }
        LeaderPacket::Committed { batch, first, last } => within(batch, *first, *last)
            .flat_map(|it| {
                [ToLearner::Proposal(it), ToLearner::Commit { zxid: it.zxid() }]
                    .map(|packet| encoded(&packet))
            })
            .collect(),
        LeaderPacket::Informs { batch, first, last } => within(batch, *first, *last)
            .map(|proposal| encoded(&ToLearner::Inform(proposal)))
            .collect(),
        LeaderPacket::Ping { last_proposed } => {
            vec![encoded(&ToLearner::Ping { last_proposed: *last_proposed })]
        }
    }
}

pub(super) fn to_leader(sid: Sid, packet: LearnerPacket) -> Vec<Vec<u8>> {
    let packets: Vec<ToLeader<'_>> = match packet {
        LearnerPacket::Info { accepted_epoch, config_version, kind } => {
            let info = LearnerInfo { sid, accepted_epoch, config_version: Some(config_version) };
            vec![match kind {
                LearnerKind::Follower => ToLeader::FollowerInfo(info),
                LearnerKind::Observer => ToLeader::ObserverInfo(info),
            }]
        }
        LearnerPacket::AckEpoch { last_logged, current_epoch } => {
            vec![ToLeader::AckEpoch { last_logged, current_epoch }]
        }
        LearnerPacket::AckNewLeader(epoch) => vec![ToLeader::AckNewLeader { epoch }],
        LearnerPacket::Acks { first, last } => {
            each(first, last).map(|zxid| ToLeader::Ack { zxid }).collect()
        }
    };
    packets
        .iter()
        .map(|packet| {
            let mut bytes = Vec::new();
            packet.encode(&mut bytes);
            bytes
        })
        .collect()
}
