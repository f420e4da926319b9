//! What servers say to each other, as bytes.

use types::{Sid, Zxid};
use wire::election::{AddressList, Addresses, Form, Hello, Notification};
use wire::quorum::{LearnerInfo, Proposal, ToLeader, ToLearner};
use wire::stored::LogBatch;
use zab::{Announcement, LeaderPacket, LearnerKind, LearnerPacket};

/// Where everybody says it can be called; nobody looks.
const ADDRESS: &str = "10.1.0.1:3888";

/// What a server says first when it calls another's election port.
pub(super) fn hello(sid: Sid) -> Vec<u8> {
    let mut out = Vec::new();
    let addresses = AddressList::parse(ADDRESS).map_or(Addresses::Untold, Addresses::One);
    Hello { sid: Some(sid), addresses }.encode(&mut out);
    out
}

/// A vote, in its frame.
pub(super) fn notification(announcement: &Announcement) -> Vec<u8> {
    let mut out = Vec::new();
    Notification {
        state: announcement.state,
        leader: announcement.leader,
        last_logged: announcement.last_logged,
        round: announcement.round,
        epoch: announcement.epoch,
        form: Form::WithConfig { config: (&*announcement.config).into() },
    }
    .encode(&mut out);
    out
}

/// What a learner sends.
pub(super) fn to_leader(sid: Sid, packet: LearnerPacket) -> Vec<u8> {
    let mut out = Vec::new();
    match packet {
        LearnerPacket::Info { accepted_epoch, config_version, kind } => {
            let info = LearnerInfo { sid, accepted_epoch, config_version: Some(config_version) };
            match kind {
                LearnerKind::Follower => ToLeader::FollowerInfo(info).encode(&mut out),
                LearnerKind::Observer => ToLeader::ObserverInfo(info).encode(&mut out),
            }
        }
        LearnerPacket::AckEpoch { last_logged, current_epoch } => {
            ToLeader::AckEpoch { last_logged, current_epoch }.encode(&mut out);
        }
        LearnerPacket::AckNewLeader(epoch) => ToLeader::AckNewLeader { epoch }.encode(&mut out),
        LearnerPacket::Acks { first, last } => {
            through(first, last).for_each(|zxid| ToLeader::Ack { zxid }.encode(&mut out));
        }
    }
    out
}

/// What a leader sends.
pub(super) fn to_learner(packet: &LeaderPacket) -> Vec<u8> {
    let mut out = Vec::new();
    match packet {
        &LeaderPacket::LeaderInfo(epoch) => ToLearner::LeaderInfo { epoch }.encode(&mut out),
        &LeaderPacket::Diff { last_committed } => {
            ToLearner::Diff { last_committed }.encode(&mut out);
        }
        &LeaderPacket::Truncate { keep } => ToLearner::Truncate { keep }.encode(&mut out),
        LeaderPacket::NewLeader { epoch, config } => {
            let config = Some((&**config).into());
            ToLearner::NewLeader { epoch: *epoch, config }.encode(&mut out);
        }
        LeaderPacket::UpToDate => ToLearner::UpToDate.encode(&mut out),
        LeaderPacket::Proposals { batch, first } => {
            for proposal in batch.proposals().filter(|it| it.zxid() >= *first) {
                ToLearner::Proposal(proposal).encode(&mut out);
            }
        }
        &LeaderPacket::Commits { first, last } => {
            through(first, last).for_each(|zxid| ToLearner::Commit { zxid }.encode(&mut out));
        }
        LeaderPacket::Committed { batch, first, last } => {
            for proposal in within(batch, *first, *last) {
                ToLearner::Proposal(proposal).encode(&mut out);
                ToLearner::Commit { zxid: proposal.zxid() }.encode(&mut out);
            }
        }
        LeaderPacket::Informs { batch, first, last } => {
            for proposal in within(batch, *first, *last) {
                ToLearner::Inform(proposal).encode(&mut out);
            }
        }
        &LeaderPacket::CommitAndActivate { zxid, designated_leader } => {
            ToLearner::CommitAndActivate { zxid, designated_leader }.encode(&mut out);
        }
        &LeaderPacket::InformAndActivate { ref batch, zxid, designated_leader } => {
            for proposal in within(batch, zxid, zxid) {
                ToLearner::InformAndActivate { proposal, designated_leader }.encode(&mut out);
            }
        }
        &LeaderPacket::Ping { last_proposed } => ToLearner::Ping { last_proposed }.encode(&mut out),
    }
    out
}

/// The packet before a snapshot.
pub(super) fn snapshot(last_applied: Zxid) -> Vec<u8> {
    let mut out = Vec::new();
    ToLearner::Snapshot { last_applied }.encode(&mut out);
    out
}

fn within(batch: &LogBatch, first: Zxid, last: Zxid) -> impl Iterator<Item = Proposal<'_>> {
    batch.proposals().filter(move |it| it.zxid() >= first && it.zxid() <= last)
}

/// The zxids from one to another of the same epoch.
fn through(first: Zxid, last: Zxid) -> impl Iterator<Item = Zxid> {
    std::iter::successors(Some(first), |zxid| zxid.next()).take_while(move |zxid| *zxid <= last)
}
