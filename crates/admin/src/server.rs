//! The words `srvr`, `stat`, `isro` and `hash`.

use std::fmt;

use types::Zxid;

use crate::connection::ConnectionView;
use crate::java::{Double, average};
use crate::version::VERSION;

/// A summary of the server. Displays as the answer to `srvr`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerView {
    /// How long requests took.
    pub latency: LatencyView,
    /// Frames received from clients, four-letter words included.
    pub received: u64,
    /// Frames sent to clients, watch events included.
    pub sent: u64,
    /// Connections, the one that asks included.
    pub connections: u64,
    /// Requests under way.
    pub outstanding: u64,
    /// The last transaction that was applied; on a leader that has applied none of its own, where its
    /// epoch begins.
    pub last_applied: Zxid,
    /// What the server does in its ensemble.
    pub mode: Mode,
    /// Znodes, counted as Apache counts them: its table has the root twice, so an empty tree has 5.
    pub node_count: u64,
    /// On a leader only.
    pub proposals: Option<ProposalSizes>,
}

/// What a server does in its ensemble.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// It is alone.
    Standalone,
    /// It decides the order of writes.
    Leader,
    /// It votes.
    Follower,
    /// It does not vote.
    Observer,
    /// It has no quorum and serves reads only.
    ReadOnly,
}

impl Mode {
    /// The answer to `isro`.
    pub const fn isro(self) -> &'static str {
        match self {
            Self::Standalone | Self::Leader | Self::Follower | Self::Observer => "rw",
            Self::ReadOnly => "ro",
        }
    }

    /// What a server does that is one of several.
    pub(crate) const fn in_progressive(self) -> Option<&'static str> {
        match self {
            Self::Leader => Some("leading"),
            Self::Follower => Some("following"),
            Self::Observer => Some("observing"),
            Self::Standalone | Self::ReadOnly => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standalone => "standalone",
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Observer => "observer",
            Self::ReadOnly => "read-only",
        })
    }
}

/// How long something took, in milliseconds. All zero if it never happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LatencyView {
    /// The shortest.
    pub min_ms: u64,
    /// The longest.
    pub max_ms: u64,
    /// All together.
    pub sum_ms: u64,
    /// How often it happened.
    pub count: u64,
}

impl LatencyView {
    /// The average in milliseconds, to four digits after the point.
    pub fn average_ms(&self) -> f64 {
        average(self.sum_ms, self.count)
    }
}

/// Bytes of proposals. `None` before the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ProposalSizes {
    /// The last one's.
    pub last: Option<u64>,
    /// The smallest one's.
    pub min: Option<u64>,
    /// The largest one's.
    pub max: Option<u64>,
}

/// One of these as operators read it.
pub(crate) struct SizeText(pub(crate) Option<u64>);

impl fmt::Display for SizeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => bytes.fmt(f),
            None => f.write_str("-1"),
        }
    }
}

impl ServerView {
    fn write_version(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Zookeeper version: {VERSION}")?;
        match self.mode {
            Mode::ReadOnly => f.write_str("READ-ONLY mode; serving only read-only clients\n"),
            Mode::Standalone | Mode::Leader | Mode::Follower | Mode::Observer => Ok(()),
        }
    }

    fn write_stats(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latency = &self.latency;
        writeln!(
            f,
            "Latency min/avg/max: {}/{}/{}",
            latency.min_ms,
            Double(latency.average_ms()),
            latency.max_ms
        )?;
        writeln!(f, "Received: {}", self.received)?;
        writeln!(f, "Sent: {}", self.sent)?;
        writeln!(f, "Connections: {}", self.connections)?;
        writeln!(f, "Outstanding: {}", self.outstanding)?;
        writeln!(f, "Zxid: 0x{:x}", self.last_applied)?;
        writeln!(f, "Mode: {}", self.mode)?;
        writeln!(f, "Node count: {}", self.node_count)?;
        if let Some(ProposalSizes { last, min, max }) = self.proposals {
            let (last, min, max) = (SizeText(last), SizeText(min), SizeText(max));
            writeln!(f, "Proposal sizes last/min/max: {last}/{min}/{max}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ServerView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_version(f)?;
        self.write_stats(f)
    }
}

/// A summary of the server and its connections. Displays as the answer to `stat`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatView {
    /// The server.
    pub server: ServerView,
    /// Its connections, in any order.
    pub connections: Vec<ConnectionView>,
}

impl fmt::Display for StatView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.write_version(f)?;
        f.write_str("Clients:\n")?;
        for connection in &self.connections {
            connection.write_brief(f)?;
            f.write_str(")\n")?;
        }
        f.write_str("\n")?;
        self.server.write_stats(f)
    }
}

/// Digests of the whole tree at earlier transactions. Displays as the answer to `hash`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DigestView {
    /// After which transaction, and the digest; the oldest first.
    pub digests: Vec<(Zxid, u64)>,
}

impl fmt::Display for DigestView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &(zxid, digest) in &self.digests {
            // Java has no unsigned numbers.
            writeln!(f, "{zxid:x}: {}", digest.cast_signed())?;
        }
        Ok(())
    }
}
