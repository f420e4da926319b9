//! What learners send.

use types::{Epoch, Id, SessionId, Sid, Zxid};

use super::packet::{
    PacketError, PacketType, RawPacket, put_bare, put_data, put_with_data, take_protocol_version,
    zxid_of,
};
use super::parts::{AuthInfo, Touches, put_ids};
use super::{CUTTING_VERSION, PROTOCOL_VERSION, UNCUTTABLE_VERSION};
use crate::jute::{self, DecodeError, Reader};
use crate::request::{Request, RequestError};

/// What stands where a zxid should, if there is none.
const NO_ZXID: Zxid = Zxid::from_raw(-1);

/// What stands where an epoch should, if there is none.
const NO_EPOCH: i32 = -1;

/// A packet from a learner to its leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ToLeader<'a> {
    /// A server that votes, or may, wants to follow (CEPOCH in the paper).
    FollowerInfo(LearnerInfo),
    /// A server that does not vote wants to learn.
    ObserverInfo(LearnerInfo),
    /// The epoch of [`super::ToLearner::LeaderInfo`] is accepted, and durably so (ACK-E).
    AckEpoch {
        /// The last transaction in the learner's log; `None` if it has no database, not even an
        /// empty one. Such an answer does not count.
        last_logged: Option<Zxid>,
        /// The epoch of the leader that it last followed; `None` if it had accepted this one
        /// before. Such an answer does not count either.
        current_epoch: Option<Epoch>,
    },
    /// The learner has all that came before [`super::ToLearner::NewLeader`], durably, and follows
    /// (ACK-LD). Sent once more after [`super::ToLearner::UpToDate`], for nobody to look at.
    AckNewLeader {
        /// The leader's.
        epoch: Epoch,
    },
    /// A proposal is durable at a follower.
    Ack {
        /// Which; its counter is not 0.
        zxid: Zxid,
    },
    /// The answer to a ping.
    Ping {
        /// What the ping said.
        last_proposed: Zxid,
        /// Who is alive.
        touches: Touches<'a>,
    },
    /// Is this session, which a client wants to resume at the learner, still alive?
    Revalidate {
        /// Which.
        session: SessionId,
        /// Its timeout in milliseconds, as the learner negotiated it.
        timeout_ms: i32,
    },
    /// A request that only the leader can decide.
    Request(ForwardedRequest<'a>),
}

/// How a learner introduces itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LearnerInfo {
    /// Who it is.
    pub sid: Sid,
    /// The latest epoch that it has accepted.
    pub accepted_epoch: Epoch,
    /// The version of the membership that it has in force: a leader with an older one must not
    /// lead it. `None` from release 3.4, which has no versions.
    pub config_version: Option<i64>,
    /// What it can cut off if it has more than the leader.
    pub cuts: Cuts,
}

/// From what a learner takes what it is told to cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cuts {
    /// From its log, and it reads back a snapshot that was taken of what is cut off: a server of Apache.
    Log,
    /// From its snapshots too.
    Snapshots,
    /// From nothing: it has no snapshot of what came before. It has to be sent one.
    Nothing,
}

/// A request and who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForwardedRequest<'a> {
    /// The session that asks, or that is to be opened or closed.
    pub session: SessionId,
    /// What is behind the length of a client's frame: at least a number and an operation.
    pub body: &'a [u8],
    /// Who the client is. Null if the learner itself asks.
    pub auth: AuthInfo<'a>,
}

impl<'a> ForwardedRequest<'a> {
    /// What is asked.
    ///
    /// # Errors
    /// When a client with such a request would be disconnected.
    pub fn request(&self) -> Result<Request<'a>, RequestError> {
        Request::decode(self.body)
    }
}

impl<'a> ToLeader<'a> {
    /// Reads the first packet of what a learner sent. Returns it and how many bytes it took; `None`
    /// when it has not all arrived. Each length is checked as soon as it is there; data and
    /// identities of more than `packet_bytes_max` bytes each are refused
    /// ([`crate::limits::PACKET_BYTES_MAX`] unless configured).
    ///
    /// # Errors
    /// When there is none that a learner sends; see [`PacketError`].
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
        let decoded = match packet {
            PacketType::FollowerInfo => Self::FollowerInfo(decode_info(packet, &raw)?),
            PacketType::ObserverInfo => Self::ObserverInfo(decode_info(packet, &raw)?),
            PacketType::AckEpoch => Self::AckEpoch {
                last_logged: Some(raw.zxid).filter(|&zxid| zxid != NO_ZXID),
                current_epoch: raw.read(packet, take_epoch)?,
            },
            PacketType::Ack => match raw.epoch(packet) {
                Ok(epoch) => Self::AckNewLeader { epoch },
                Err(_) => Self::Ack { zxid: raw.zxid },
            },
            PacketType::Ping => {
                Self::Ping { last_proposed: raw.zxid, touches: raw.read(packet, Touches::take)? }
            }
            PacketType::Revalidate => raw.read(packet, take_session)?,
            PacketType::Request => {
                Self::Request(raw.read(packet, |reader| take_request(reader, raw.auth))?)
            }
            PacketType::Proposal
            | PacketType::Commit
            | PacketType::Sync
            | PacketType::Inform
            | PacketType::CommitAndActivate
            | PacketType::NewLeader
            | PacketType::UpToDate
            | PacketType::Diff
            | PacketType::Truncate
            | PacketType::Snapshot
            | PacketType::LeaderInfo
            | PacketType::InformAndActivate => return Err(unexpected()),
        };
        Ok(Some((decoded, consumed)))
    }

    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let packet = self.packet_type();
        let auth = AuthInfo::NULL;
        match *self {
            Self::FollowerInfo(info) | Self::ObserverInfo(info) => {
                put_with_data(out, packet, zxid_of(info.accepted_epoch), auth, |out| {
                    put_info(out, info);
                });
            }
            Self::AckEpoch { last_logged, current_epoch } => {
                put_with_data(out, packet, last_logged.unwrap_or(NO_ZXID), auth, |out| {
                    jute::put_int(out, current_epoch.map_or(NO_EPOCH, |epoch| epoch.0));
                });
            }
            Self::AckNewLeader { epoch } => put_bare(out, packet, zxid_of(epoch)),
            Self::Ack { zxid } => put_bare(out, packet, zxid),
            // No touches are an empty buffer: Java leaders drop a learner that sends null.
            Self::Ping { last_proposed, touches } => {
                put_with_data(out, packet, last_proposed, auth, |out| touches.put(out));
            }
            Self::Revalidate { session, timeout_ms } => {
                put_with_data(out, packet, NO_ZXID, auth, |out| {
                    jute::put_long(out, session.0);
                    jute::put_int(out, timeout_ms);
                });
            }
            Self::Request(request) => {
                put_with_data(out, packet, NO_ZXID, request.auth, |out| {
                    jute::put_long(out, request.session.0);
                    out.extend_from_slice(request.body);
                });
            }
        }
    }

    /// What it is sent as.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::FollowerInfo(_) => PacketType::FollowerInfo,
            Self::ObserverInfo(_) => PacketType::ObserverInfo,
            Self::AckEpoch { .. } => PacketType::AckEpoch,
            Self::AckNewLeader { .. } | Self::Ack { .. } => PacketType::Ack,
            Self::Ping { .. } => PacketType::Ping,
            Self::Revalidate { .. } => PacketType::Revalidate,
            Self::Request(_) => PacketType::Request,
        }
    }
}

/// Appends [`ToLeader::Request`] of a request that is not encoded yet; without identities, the learner itself
/// asks.
pub fn put_request(
    out: &mut Vec<u8>,
    session: SessionId,
    request: &Request<'_>,
    identities: Option<&[Id]>,
) {
    put_data(out, PacketType::Request, NO_ZXID, |out| {
        jute::put_long(out, session.0);
        request.put_body(out);
    });
    match identities {
        Some(ids) => put_ids(out, ids),
        None => AuthInfo::NULL.put(out),
    }
}

fn decode_info(packet: PacketType, raw: &RawPacket<'_>) -> Result<LearnerInfo, PacketError> {
    let (sid, version, config_version) = raw.read(packet, |reader| {
        let sid = Sid(reader.long()?);
        let version = take_protocol_version(reader)?;
        let config_version = if reader.is_empty() { None } else { Some(reader.long()?) };
        Ok((sid, version, config_version))
    })?;
    // Looked at last: what is no epoch here comes from servers that the version tells apart.
    let cuts = match version {
        CUTTING_VERSION => Cuts::Snapshots,
        UNCUTTABLE_VERSION => Cuts::Nothing,
        _ => Cuts::Log,
    };
    Ok(LearnerInfo { sid, accepted_epoch: raw.epoch(packet)?, config_version, cuts })
}

fn put_info(out: &mut Vec<u8>, info: LearnerInfo) {
    jute::put_long(out, info.sid.0);
    let version = match info.cuts {
        Cuts::Log => PROTOCOL_VERSION,
        Cuts::Snapshots => CUTTING_VERSION,
        Cuts::Nothing => UNCUTTABLE_VERSION,
    };
    jute::put_int(out, version);
    if let Some(version) = info.config_version {
        jute::put_long(out, version);
    }
}

fn take_epoch(reader: &mut Reader<'_>) -> Result<Option<Epoch>, DecodeError> {
    Ok(Some(reader.int()?).filter(|&epoch| epoch != NO_EPOCH).map(Epoch))
}

fn take_session<'a>(reader: &mut Reader<'a>) -> Result<ToLeader<'a>, DecodeError> {
    let session = SessionId(reader.long()?);
    Ok(ToLeader::Revalidate { session, timeout_ms: reader.int()? })
}

fn take_request<'a>(
    reader: &mut Reader<'a>,
    auth: AuthInfo<'a>,
) -> Result<ForwardedRequest<'a>, DecodeError> {
    let session = SessionId(reader.long()?);
    let body = reader.rest();
    let _xid = reader.int()?;
    let _opcode = reader.int()?;
    Ok(ForwardedRequest { session, body, auth })
}
