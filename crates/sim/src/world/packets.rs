//! What servers say to each other, as bytes.

use types::{Sid, Zxid};
use wire::election::{AddressList, Addresses, Hello};
use wire::quorum::ToLearner;
use zab::{Announcement, LeaderPacket, LearnerPacket};

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
    announcement.notification().encode(&mut out);
    out
}

/// What a learner sends.
pub(super) fn to_leader(sid: Sid, packet: LearnerPacket) -> Vec<u8> {
    let mut out = Vec::new();
    packet.unfold(sid, |packet| packet.encode(&mut out));
    out
}

/// What a leader sends.
pub(super) fn to_learner(packet: &LeaderPacket) -> Vec<u8> {
    let mut out = Vec::new();
    packet.unfold(|packet| packet.encode(&mut out));
    out
}

/// The packet before a snapshot.
pub(super) fn snapshot(last_applied: Zxid) -> Vec<u8> {
    let mut out = Vec::new();
    ToLearner::Snapshot { last_applied }.encode(&mut out);
    out
}
