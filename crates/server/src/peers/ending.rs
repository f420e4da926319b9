//! Why a connection ended, and what is said and counted of it.

use std::io;
use std::net::SocketAddr;

use tracing::{debug, info, warn};
use types::{Instant, LineLimit, Sid};
use wire::election::HelloError;
use wire::frame::FrameError;
use wire::quorum::PacketError;
use zab::{CloseReason, Link};

use super::stats::Stats;

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The peer had it closed.
    Told(CloseReason),
    /// The other side has ended it.
    OtherSide,
    /// Reading or writing failed.
    Broken(io::Error),
    /// What came over it was nothing that a server sends.
    Malformed(Malformed),
    /// The other side took in less than was to be sent.
    Backlog {
        /// How much waits.
        bytes: usize,
    },
    /// Nobody said in time who it was.
    Silent,
    /// Too many had not said who they were.
    Crowded,
}

/// What no server sends.
#[derive(thiserror::Error, Debug)]
pub(super) enum Malformed {
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("frame without a body")]
    EmptyFrame,
    #[error(transparent)]
    Packet(#[from] PacketError),
    #[error("a snapshot that can not be taken over")]
    Snapshot,
    #[error("a snapshot that nobody waits for")]
    EarlySnapshot,
}

/// For the log: what strangers can cause as often as they like.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) accept_failures: LineLimit,
    pub(super) turned_away: LineLimit,
    strangers: LineLimit,
    malformed: LineLimit,
    misbehaved: LineLimit,
    own_id: LineLimit,
    too_many: LineLimit,
    backlog: LineLimit,
}

/// A connection that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) link: Link,
    pub(super) address: SocketAddr,
    /// Who was on the other side, if it had said so.
    pub(super) peer: Option<Sid>,
}

impl Ending {
    /// Counts it.
    pub(super) fn count(&self, stats: &Stats) {
        let closed = &stats.closed;
        let counter = match self {
            Self::Told(_) => &closed.told,
            Self::OtherSide => &closed.by_other_side,
            Self::Broken(_) => &closed.broken,
            Self::Malformed(_) => &closed.malformed,
            Self::Backlog { .. } => &closed.backlog,
            Self::Silent | Self::Crowded => &closed.strangers,
        };
        counter.add(1);
    }

    /// Tells operators as far as it concerns them.
    pub(super) fn log(&self, ended: Ended, now: Instant, lines: &Lines) {
        let Ended { link: Link(link), address, peer } = ended;
        let peer = peer.map(|sid| sid.0);
        match self {
            Self::Told(reason) => log_told(reason, ended, now, lines),
            Self::OtherSide if peer.is_none() => debug!(link, %address, "a stranger has left"),
            Self::OtherSide => info!(link, %address, peer, "the other side ended the connection"),
            Self::Broken(failure) => {
                info!(link, %address, peer, %failure, "the connection to a server broke");
            }
            Self::Malformed(problem) => {
                if let Some(suppressed) = lines.malformed.admit(now) {
                    let source = std::error::Error::source(problem).map(ToString::to_string);
                    warn!(link, %address, peer, %problem, source, suppressed,
                        "closed: this is not what a server sends");
                }
            }
            Self::Backlog { bytes } => {
                if let Some(suppressed) = lines.backlog.admit(now) {
                    warn!(link, %address, peer, bytes, suppressed,
                        "closed: the other side takes in less than it is sent");
                }
            }
            Self::Silent | Self::Crowded => {
                if let Some(suppressed) = lines.strangers.admit(now) {
                    warn!(link, %address, suppressed, "closed: nobody said in time who it was");
                }
            }
        }
    }
}

fn log_told(reason: &CloseReason, ended: Ended, now: Instant, lines: &Lines) {
    let Ended { link: Link(link), address, peer } = ended;
    let peer = peer.map(|sid| sid.0);
    match reason {
        CloseReason::OtherSideCalls => debug!(link, %address, peer, "closed: the other one calls"),
        CloseReason::Replaced => debug!(link, %address, peer, "closed: a newer one is there"),
        CloseReason::RoleEnded => debug!(link, %address, peer, "closed: its role has ended"),
        CloseReason::OwnId => {
            if let Some(suppressed) = lines.own_id.admit(now) {
                warn!(link, %address, peer, suppressed, "closed: two servers have the same id");
            }
        }
        CloseReason::TooMany => {
            if let Some(suppressed) = lines.too_many.admit(now) {
                warn!(link, %address, peer, suppressed,
                    "closed: too many servers that do not vote take part in elections");
            }
        }
        CloseReason::Crowded => info!(link, %address, peer,
            "closed: too many servers are being synchronized, see leader.maxConcurrentSnapSyncs and \
             leader.maxConcurrentDiffSyncs"),
        CloseReason::Silent => warn!(link, %address, peer, "closed: the server is silent"),
        CloseReason::Slow => warn!(link, %address, peer,
            "closed: the server did not acknowledge a proposal within syncLimit"),
        CloseReason::FarBehind => warn!(link, %address, peer,
            "closed: the server takes too long to receive a snapshot"),
        CloseReason::ComesAgain => info!(link, %address, peer,
            "closed: this server lacks what its leader wants to build on, and comes again"),
        CloseReason::LogUnreadable => warn!(link, %address, peer,
            "closed: the log can not be read on for the server"),
        CloseReason::Misbehaved(reason) => {
            if let Some(suppressed) = lines.misbehaved.admit(now) {
                warn!(link, %address, peer, %reason, suppressed,
                    "closed: the server does not keep to the protocol");
            }
        }
    }
}
