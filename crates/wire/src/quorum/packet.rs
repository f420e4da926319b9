//! The record that every packet is, before it means anything.

use std::fmt;

use types::{Counter, Epoch, Zxid};

use super::PROTOCOL_VERSION;
use super::parts::AuthInfo;
use crate::frame;
use crate::jute::{self, DecodeError, Reader};

macro_rules! packet_types {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// What a packet is, by the name that operators of Apache's servers know.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i32)]
        pub enum PacketType {
            $($(#[$doc])* $name = $code,)*
        }

        impl PacketType {
            /// Every type there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The type with this number.
            pub const fn from_raw(raw: i32) -> Option<Self> {
                match raw {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The name in capitals.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

packet_types! {
    /// A learner hands on what a client asks.
    Request = 1, "REQUEST";
    /// The leader asks followers to log a transaction.
    Proposal = 2, "PROPOSAL";
    /// A follower has logged it; or a learner has all of the history.
    Ack = 3, "ACK";
    /// Followers deliver it.
    Commit = 4, "COMMIT";
    /// A sign of life, in both directions.
    Ping = 5, "PING";
    /// Is this session alive? And the answer.
    Revalidate = 6, "REVALIDATE";
    /// The answer to a sync.
    Sync = 7, "SYNC";
    /// Observers log and deliver a transaction.
    Inform = 8, "INFORM";
    /// Followers deliver a change of the membership.
    CommitAndActivate = 9, "COMMITANDACTIVATE";
    /// The end of the history.
    NewLeader = 10, "NEWLEADER";
    /// A follower introduces itself.
    FollowerInfo = 11, "FOLLOWERINFO";
    /// Serve clients.
    UpToDate = 12, "UPTODATE";
    /// The history goes on where the learner's ends.
    Diff = 13, "DIFF";
    /// The learner's history goes too far.
    Truncate = 14, "TRUNC";
    /// The history comes as a snapshot.
    Snapshot = 15, "SNAP";
    /// An observer introduces itself.
    ObserverInfo = 16, "OBSERVERINFO";
    /// The epoch that begins.
    LeaderInfo = 17, "LEADERINFO";
    /// It is accepted.
    AckEpoch = 18, "ACKEPOCH";
    /// Observers log and deliver a change of the membership.
    InformAndActivate = 19, "INFORMANDACTIVATE";
}

impl PacketType {
    /// The number that is sent.
    pub const fn raw(self) -> i32 {
        self as i32
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes are no packet of a server that speaks the protocol. But for
/// [`PacketError::Unexpected`] the connection is closed.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum PacketError {
    /// There is no telling where the packet ends. Offsets count from its start.
    #[error("packet without an end")]
    Packet(#[from] DecodeError),
    /// The type is unknown, or never sent in this direction. Once the connection is established
    /// such a packet is passed over, as Apache's servers do it; before, it ends the connection.
    #[error("unexpected packet of type {kind}")]
    Unexpected {
        /// The number of the type; see [`PacketType`].
        kind: i32,
        /// How many bytes of input the packet takes.
        consumed: usize,
    },
    /// The data is not what the type demands. Offsets count from the start of the data.
    #[error("unreadable data in {packet}")]
    Data {
        /// What the packet is.
        packet: PacketType,
        /// What is wrong with its data.
        source: DecodeError,
    },
    /// The zxid has to stand for an epoch, and has a counter.
    #[error("{packet} with {zxid} instead of an epoch")]
    NoEpoch {
        /// What the packet is.
        packet: PacketType,
        /// What it says.
        zxid: Zxid,
    },
    /// The packet has another zxid than the transaction in it.
    #[error("{packet} with {zxid} around the transaction {txn}")]
    OtherTxn {
        /// What the packet is.
        packet: PacketType,
        /// What the packet says.
        zxid: Zxid,
        /// What the transaction says.
        txn: Zxid,
    },
}

/// The four fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawPacket<'a> {
    /// The number of the type.
    pub(super) kind: i32,
    /// Whatever it stands for.
    pub(super) zxid: Zxid,
    /// `None` is null.
    pub(super) data: Option<&'a [u8]>,
    /// Identities.
    pub(super) auth: AuthInfo<'a>,
}

impl<'a> RawPacket<'a> {
    /// Finds the first packet of `input`, and how many bytes it takes; `None` when it has not all
    /// arrived. Lengths are checked as soon as they are there.
    pub(super) fn split(
        input: &'a [u8],
        packet_bytes_max: usize,
    ) -> Result<Option<(Self, usize)>, DecodeError> {
        if let Some(found) = Self::split_anonymous(input, packet_bytes_max) {
            return Ok(Some(found));
        }
        let mut reader = Reader::with_limit(input, packet_bytes_max);
        match Self::take(&mut reader, packet_bytes_max) {
            Ok(packet) => Ok(Some((packet, reader.position()))),
            Err(DecodeError::Truncated { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As [`Self::split`], for what nearly all packets are: whole, and with null for identities. `None` for all
    /// others. Field by field takes several times as long.
    #[inline]
    fn split_anonymous(input: &'a [u8], packet_bytes_max: usize) -> Option<(Self, usize)> {
        let (kind, rest) = input.split_first_chunk()?;
        let (zxid, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (data, rest) = match i32::from_be_bytes(*length) {
            -1 => (None, rest),
            length => {
                let bytes = usize::try_from(length).ok().filter(|&it| it <= packet_bytes_max)?;
                let (data, rest) = rest.split_at_checked(bytes)?;
                (Some(data), rest)
            }
        };
        let rest = rest.strip_prefix(AuthInfo::NULL.as_bytes())?;
        let kind = i32::from_be_bytes(*kind);
        let zxid = Zxid::from_raw(i64::from_be_bytes(*zxid));
        let packet = Self { kind, zxid, data, auth: AuthInfo::NULL };
        Some((packet, input.len() - rest.len()))
    }

    fn take(reader: &mut Reader<'a>, auth_bytes_max: usize) -> Result<Self, DecodeError> {
        Ok(Self {
            kind: reader.int()?,
            zxid: reader.zxid()?,
            data: reader.buffer()?,
            auth: AuthInfo::take(reader, auth_bytes_max)?,
        })
    }

    /// Takes what a packet of this type needs from the front of its data.
    pub(super) fn read<T>(
        &self,
        packet: PacketType,
        take: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, PacketError> {
        self.data
            .ok_or(DecodeError::Null { offset: 0, field: "data" })
            .and_then(|data| take(&mut Reader::new(data)))
            .map_err(|source| PacketError::Data { packet, source })
    }

    /// The epoch for which the zxid stands.
    pub(super) const fn epoch(&self, packet: PacketType) -> Result<Epoch, PacketError> {
        match self.zxid.counter() {
            Counter(0) => Ok(self.zxid.epoch()),
            _ => Err(PacketError::NoEpoch { packet, zxid: self.zxid }),
        }
    }
}

/// Takes the version of the protocol; what comes after the known one has to understand it.
pub(super) fn take_protocol_version(reader: &mut Reader<'_>) -> Result<i32, DecodeError> {
    match reader.int()? {
        version @ PROTOCOL_VERSION.. => Ok(version),
        version => Err(reader.unknown("protocol version", version)),
    }
}

/// Appends a packet without data and identities.
pub(super) fn put_bare(out: &mut Vec<u8>, packet: PacketType, zxid: Zxid) {
    put_head(out, packet, zxid);
    jute::put_buffer(out, None);
    AuthInfo::NULL.put(out);
}

/// Appends a packet with the data that `put` appends, and with identities.
pub(super) fn put_with_data(
    out: &mut Vec<u8>,
    packet: PacketType,
    zxid: Zxid,
    auth: AuthInfo<'_>,
    put: impl FnOnce(&mut Vec<u8>),
) {
    put_data(out, packet, zxid, put);
    auth.put(out);
}

/// Appends a packet with the data that `put` appends, up to its identities, which have to follow.
pub(super) fn put_data(
    out: &mut Vec<u8>,
    packet: PacketType,
    zxid: Zxid,
    put: impl FnOnce(&mut Vec<u8>),
) {
    put_head(out, packet, zxid);
    // A buffer begins as a frame does, with its length.
    let start = frame::begin(out);
    put(out);
    frame::finish(out, start);
}

/// The zxid that stands for an epoch.
pub(super) const fn zxid_of(epoch: Epoch) -> Zxid {
    Zxid::new(epoch, Counter(0))
}

fn put_head(out: &mut Vec<u8>, packet: PacketType, zxid: Zxid) {
    jute::put_int(out, packet.raw());
    jute::put_zxid(out, zxid);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        for &packet in PacketType::ALL {
            assert_eq!(PacketType::from_raw(packet.raw()), Some(packet));
        }
        assert_eq!(PacketType::ALL.len(), 19);
        assert_eq!((PacketType::from_raw(0), PacketType::from_raw(20)), (None, None));
    }
}
