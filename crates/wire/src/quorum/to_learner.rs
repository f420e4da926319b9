//! What leaders send.

use std::borrow::Cow;

use types::{Epoch, SessionId, Sid, Zxid};

use super::PROTOCOL_VERSION;
use super::packet::{
    PacketError, PacketType, RawPacket, put_bare, put_with_data, take_protocol_version, zxid_of,
};
use super::parts::{AuthInfo, Proposal};
use crate::jute::{self, DecodeError, Reader};

/// The zxid of packets that are about no transaction.
const NO_ZXID: Zxid = Zxid::from_raw(-1);

/// The text behind a snapshot's stream.
const SNAPSHOT_SIGNATURE: &str = "BenWasHere";

/// A packet from a leader, or a follower that relays for it, to a learner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToLearner<'a> {
    /// The epoch that the leader begins: accept it (NEWEPOCH in the paper).
    LeaderInfo {
        /// Which.
        epoch: Epoch,
    },
    /// Keep all you have; what you lack follows.
    Diff {
        /// The last transaction that was committed when the packet was made. Nobody looks at it.
        last_committed: Zxid,
    },
    /// Cut your log; what you lack then follows.
    Truncate {
        /// The last transaction to keep.
        keep: Zxid,
    },
    /// Forget what you have. A snapshot follows outside of any packet, see
    /// [`decode_snapshot_signature`] for its end.
    Snapshot {
        /// The last transaction that is in the snapshot as a whole; parts of later ones may be.
        last_applied: Zxid,
    },
    /// That was the history: make it durable, and follow (NEWLEADER).
    NewLeader {
        /// The leader's.
        epoch: Epoch,
        /// The last membership that the leader has seen, as text; it is in force from
        /// [`Self::UpToDate`] on. `None` is null, from servers without any.
        config: Option<Cow<'a, str>>,
    },
    /// A quorum follows: serve clients (COMMIT-LD).
    UpToDate,
    /// To followers: log this, and acknowledge it.
    Proposal(Proposal<'a>),
    /// To followers: deliver what was proposed.
    Commit {
        /// Which.
        zxid: Zxid,
    },
    /// As [`Self::Commit`], of a change of the membership.
    CommitAndActivate {
        /// Which.
        zxid: Zxid,
        /// Who leads from here on.
        designated_leader: Sid,
    },
    /// To observers: log this, and deliver it.
    Inform(Proposal<'a>),
    /// As [`Self::Inform`], of a change of the membership.
    InformAndActivate {
        /// The change.
        proposal: Proposal<'a>,
        /// Who leads from here on.
        designated_leader: Sid,
    },
    /// All that was decided before your oldest unanswered sync has been sent.
    Sync,
    /// Are you there?
    Ping {
        /// The last transaction that was proposed.
        last_proposed: Zxid,
    },
    /// The answer to [`super::ToLeader::Revalidate`].
    Revalidated {
        /// Which.
        session: SessionId,
        /// Whether it lives, and is the learner's from here on.
        is_valid: bool,
    },
}

impl<'a> ToLearner<'a> {
    /// Reads the first packet of what a leader sent. Returns it and how many bytes it took; `None`
    /// when it has not all arrived. Each length is checked as soon as it is there; data and
    /// identities of more than `packet_bytes_max` bytes each are refused
    /// ([`crate::limits::PACKET_BYTES_MAX`] unless configured).
    ///
    /// # Errors
    /// When there is none that a leader sends; see [`PacketError`].
    #[inline]
    pub fn decode(
        input: &'a [u8],
        packet_bytes_max: usize,
    ) -> Result<Option<(Self, usize)>, PacketError> {
        let Some((raw, consumed)) = RawPacket::split(input, packet_bytes_max)? else {
            return Ok(None);
        };
        let unexpected = || PacketError::Unexpected { kind: raw.kind, consumed };
        let packet = PacketType::from_raw(raw.kind).ok_or_else(unexpected)?;
        let zxid = raw.zxid;
        let decoded = match packet {
            PacketType::LeaderInfo => {
                raw.read(packet, take_protocol_version)?;
                Self::LeaderInfo { epoch: raw.epoch(packet)? }
            }
            PacketType::Diff => Self::Diff { last_committed: zxid },
            PacketType::Truncate => Self::Truncate { keep: zxid },
            PacketType::Snapshot => Self::Snapshot { last_applied: zxid },
            PacketType::NewLeader => Self::NewLeader {
                epoch: raw.epoch(packet)?,
                config: raw.data.map(jute::decode_text),
            },
            PacketType::UpToDate => Self::UpToDate,
            PacketType::Proposal => Self::Proposal(decode_proposal(packet, &raw)?),
            PacketType::Commit => Self::Commit { zxid },
            PacketType::CommitAndActivate => {
                let designated_leader = raw.read(packet, |reader| reader.long().map(Sid))?;
                Self::CommitAndActivate { zxid, designated_leader }
            }
            PacketType::Inform => Self::Inform(decode_proposal(packet, &raw)?),
            PacketType::InformAndActivate => {
                let (designated_leader, proposal) = raw.read(packet, |reader| {
                    Ok((Sid(reader.long()?), Proposal::new(reader.rest())?))
                })?;
                check_zxid(packet, zxid, proposal)?;
                Self::InformAndActivate { proposal, designated_leader }
            }
            PacketType::Sync => Self::Sync,
            PacketType::Ping => Self::Ping { last_proposed: zxid },
            PacketType::Revalidate => raw.read(packet, take_revalidated)?,
            PacketType::FollowerInfo
            | PacketType::ObserverInfo
            | PacketType::AckEpoch
            | PacketType::Ack
            | PacketType::Request => return Err(unexpected()),
        };
        Ok(Some((decoded, consumed)))
    }

    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let packet = self.packet_type();
        let auth = AuthInfo::NULL;
        match self {
            Self::LeaderInfo { epoch } => {
                put_with_data(out, packet, zxid_of(*epoch), auth, |out| {
                    jute::put_int(out, PROTOCOL_VERSION);
                });
            }
            Self::Diff { last_committed: zxid }
            | Self::Truncate { keep: zxid }
            | Self::Snapshot { last_applied: zxid }
            | Self::Commit { zxid }
            | Self::Ping { last_proposed: zxid } => put_bare(out, packet, *zxid),
            Self::NewLeader { epoch, config: None } => put_bare(out, packet, zxid_of(*epoch)),
            Self::NewLeader { epoch, config: Some(config) } => {
                put_with_data(out, packet, zxid_of(*epoch), auth, |out| {
                    out.extend_from_slice(config.as_bytes());
                });
            }
            Self::UpToDate => put_bare(out, packet, NO_ZXID),
            Self::Proposal(proposal) | Self::Inform(proposal) => {
                put_with_data(out, packet, proposal.zxid(), auth, |out| {
                    out.extend_from_slice(proposal.payload());
                });
            }
            Self::CommitAndActivate { zxid, designated_leader } => {
                put_with_data(out, packet, *zxid, auth, |out| {
                    jute::put_long(out, designated_leader.0);
                });
            }
            Self::InformAndActivate { proposal, designated_leader } => {
                put_with_data(out, packet, proposal.zxid(), auth, |out| {
                    jute::put_long(out, designated_leader.0);
                    out.extend_from_slice(proposal.payload());
                });
            }
            Self::Sync => put_bare(out, packet, Zxid::ZERO),
            Self::Revalidated { session, is_valid } => {
                put_with_data(out, packet, NO_ZXID, auth, |out| {
                    jute::put_long(out, session.0);
                    jute::put_bool(out, *is_valid);
                });
            }
        }
    }

    /// What it is sent as.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::LeaderInfo { .. } => PacketType::LeaderInfo,
            Self::Diff { .. } => PacketType::Diff,
            Self::Truncate { .. } => PacketType::Truncate,
            Self::Snapshot { .. } => PacketType::Snapshot,
            Self::NewLeader { .. } => PacketType::NewLeader,
            Self::UpToDate => PacketType::UpToDate,
            Self::Proposal(_) => PacketType::Proposal,
            Self::Commit { .. } => PacketType::Commit,
            Self::CommitAndActivate { .. } => PacketType::CommitAndActivate,
            Self::Inform(_) => PacketType::Inform,
            Self::InformAndActivate { .. } => PacketType::InformAndActivate,
            Self::Sync => PacketType::Sync,
            Self::Ping { .. } => PacketType::Ping,
            Self::Revalidated { .. } => PacketType::Revalidate,
        }
    }
}

/// Takes the text behind a snapshot's end mark: packets follow.
///
/// # Errors
/// When the input ends within it, or it is another one.
pub fn decode_snapshot_signature(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let text = reader.text_not_null("signature of a snapshot")?;
    if text == SNAPSHOT_SIGNATURE {
        return Ok(());
    }
    Err(reader.unknown("signature of a snapshot, of bytes", text.len() as i64))
}

/// Appends the text that has to stand behind a snapshot's end mark.
pub fn put_snapshot_signature(out: &mut Vec<u8>) {
    jute::put_text(out, SNAPSHOT_SIGNATURE);
}

fn decode_proposal<'a>(
    packet: PacketType,
    raw: &RawPacket<'a>,
) -> Result<Proposal<'a>, PacketError> {
    let proposal = raw.read(packet, |reader| Proposal::new(reader.rest()))?;
    check_zxid(packet, raw.zxid, proposal)?;
    Ok(proposal)
}

fn check_zxid(packet: PacketType, zxid: Zxid, proposal: Proposal<'_>) -> Result<(), PacketError> {
    match proposal.zxid() {
        txn if txn == zxid => Ok(()),
        txn => Err(PacketError::OtherTxn { packet, zxid, txn }),
    }
}

fn take_revalidated<'a>(reader: &mut Reader<'a>) -> Result<ToLearner<'a>, DecodeError> {
    let session = SessionId(reader.long()?);
    Ok(ToLearner::Revalidated { session, is_valid: reader.bool()? })
}
