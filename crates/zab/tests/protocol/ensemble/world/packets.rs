//! What peers send: as the bytes that travel, and in words.

use types::membership::{Member, Membership};
use types::{Epoch, Sid, Zxid};
use wire::quorum::ToLearner;
use wire::stored::LogBatch;
use zab::{LeaderPacket, LearnerPacket, Memberships};

fn encoded(packet: &ToLearner<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes);
    bytes
}

pub(crate) fn snapshot(last_applied: Zxid) -> Vec<u8> {
    encoded(&ToLearner::Snapshot { last_applied })
}

pub(crate) fn to_learner(packet: &LeaderPacket) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    packet.unfold(|packet| packets.push(encoded(packet)));
    packets
}

pub(crate) fn to_leader(sid: Sid, packet: LearnerPacket) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    packet.unfold(sid, |packet| {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        packets.push(bytes);
    });
    packets
}

/// `membership 1/5 of 1 2 3:observer`, and what is pending.
pub(crate) fn memberships(memberships: &Memberships) -> String {
    let shown = |membership: &Membership| {
        let member = |member: &Member| {
            let role = if member.is_voter() { "" } else { ":observer" };
            format!(" {}{role}", member.sid.0)
        };
        let members: String = membership.members().map(member).collect();
        format!("{} of{members}", at(membership.version().zxid()))
    };
    let pending = memberships.pending().map(|it| format!(", pending {}", shown(it)));
    format!("membership {}{}", shown(&memberships.committed), pending.unwrap_or_default())
}

/// `1/5`.
pub(crate) fn at(zxid: Zxid) -> String {
    format!("{}/{}", zxid.epoch().0, zxid.counter().0)
}

/// `1/5`, or `1/5..1/7`.
pub(crate) fn range(first: Zxid, last: Zxid) -> String {
    if first == last { at(first) } else { format!("{}..{}", at(first), at(last)) }
}

pub(crate) fn leader_packet(packet: &LeaderPacket) -> String {
    let end = |batch: &LogBatch| batch.last_zxid().expect("not empty");
    match packet {
        LeaderPacket::LeaderInfo(epoch) => format!("LeaderInfo epoch={}", epoch.0),
        LeaderPacket::Diff { last_committed } => format!("Diff upto={}", at(*last_committed)),
        LeaderPacket::Truncate { keep } => format!("Truncate keep={}", at(*keep)),
        LeaderPacket::NewLeader { epoch, .. } => format!("NewLeader epoch={}", epoch.0),
        LeaderPacket::UpToDate => "UpToDate".to_owned(),
        LeaderPacket::Proposals { batch, first } => {
            format!("Proposal {}", range(*first, end(batch)))
        }
        LeaderPacket::Commits { first, last } => format!("Commit {}", range(*first, *last)),
        LeaderPacket::Committed { first, last, .. } => {
            format!("Proposal, Commit {}", range(*first, *last))
        }
        LeaderPacket::Informs { first, last, .. } => format!("Inform {}", range(*first, *last)),
        LeaderPacket::CommitAndActivate { zxid, designated_leader } => {
            format!("CommitAndActivate {} leader={}", at(*zxid), designated_leader.0)
        }
        LeaderPacket::InformAndActivate { zxid, designated_leader, .. } => {
            format!("InformAndActivate {} leader={}", at(*zxid), designated_leader.0)
        }
        LeaderPacket::Ping { last_proposed } => format!("Ping {}", at(*last_proposed)),
    }
}

pub(crate) fn learner_packet(packet: &LearnerPacket) -> String {
    let none = || "none".to_owned();
    let epoch = |epoch: Option<Epoch>| epoch.map_or_else(none, |it| it.0.to_string());
    match packet {
        LearnerPacket::Info { accepted_epoch, kind, .. } => {
            format!("{kind:?}Info accepted={}", accepted_epoch.0)
        }
        LearnerPacket::AckEpoch { last_logged, current_epoch } => {
            let last_logged = last_logged.map_or_else(none, at);
            format!("AckEpoch current={} last_logged={last_logged}", epoch(*current_epoch))
        }
        LearnerPacket::AckNewLeader(epoch) => format!("AckNewLeader epoch={}", epoch.0),
        LearnerPacket::Acks { first, last } => format!("Ack {}", range(*first, *last)),
    }
}

/// The name of what a leader sends, for moments.
pub(crate) const fn leader_packet_name(packet: &LeaderPacket) -> &'static str {
    match packet {
        LeaderPacket::LeaderInfo(_) => "LeaderInfo",
        LeaderPacket::Diff { .. } => "Diff",
        LeaderPacket::Truncate { .. } => "Truncate",
        LeaderPacket::NewLeader { .. } => "NewLeader",
        LeaderPacket::UpToDate => "UpToDate",
        LeaderPacket::Proposals { .. } => "Proposal",
        LeaderPacket::Commits { .. } => "Commit",
        LeaderPacket::Committed { .. } => "Committed",
        LeaderPacket::Informs { .. } => "Inform",
        LeaderPacket::CommitAndActivate { .. } => "CommitAndActivate",
        LeaderPacket::InformAndActivate { .. } => "InformAndActivate",
        LeaderPacket::Ping { .. } => "Ping",
    }
}

/// The name of what a learner sends, for moments.
pub(crate) const fn learner_packet_name(packet: &LearnerPacket) -> &'static str {
    match packet {
        LearnerPacket::Info { .. } => "Info",
        LearnerPacket::AckEpoch { .. } => "AckEpoch",
        LearnerPacket::AckNewLeader(_) => "AckNewLeader",
        LearnerPacket::Acks { .. } => "Ack",
    }
}
