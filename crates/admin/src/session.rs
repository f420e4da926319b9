//! The word `dump`.

use std::fmt;
use std::net::SocketAddr;

use types::SessionId;

use crate::java::{Address, Date};

/// Sessions, what they own, and connections, by when they end unless something is heard of them.
/// Displays as the answer to `dump`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionDump {
    /// The sessions that only this server knows of; `None` if it opens none of that kind.
    pub local: Option<Vec<SessionBucket>>,
    /// All others, also those that own nothing.
    pub sessions: KnownSessions,
    /// Sessions that own ephemeral znodes.
    pub ephemerals: Vec<SessionEphemerals>,
    /// Connections, the first to be closed first.
    pub connections: Vec<ConnectionBucket>,
}

/// The sessions as far as a server knows them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KnownSessions {
    /// With the time at which they expire, the first first: on a server that decides over that.
    Expiring(Vec<SessionBucket>),
    /// With their timeouts in milliseconds, by id: on one that does not.
    Listed(Vec<(SessionId, i32)>),
}

impl Default for KnownSessions {
    fn default() -> Self {
        Self::Expiring(Vec::new())
    }
}

/// Sessions that expire in one tick.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionBucket {
    /// When, in milliseconds since 1970.
    pub expire_wall_ms: i64,
    /// Which.
    pub sessions: Vec<SessionId>,
}

/// The ephemeral znodes of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionEphemerals {
    /// The session.
    pub session: SessionId,
    /// The paths of its znodes.
    pub paths: Vec<String>,
}

/// Connections that are closed in one tick.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionBucket {
    /// When, in milliseconds since 1970.
    pub expire_wall_ms: i64,
    /// Which: where the client is, and its session ([`SessionId::NONE`] before it has one).
    pub connections: Vec<(SocketAddr, SessionId)>,
}

impl fmt::Display for SessionDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionTracker dump:\n")?;
        if let Some(local) = &self.local {
            f.write_str("Local ")?;
            write_buckets(f, local)?;
        }
        match &self.sessions {
            KnownSessions::Expiring(buckets) => {
                f.write_str(if self.local.is_some() { "Global " } else { "" })?;
                write_buckets(f, buckets)?;
            }
            KnownSessions::Listed(sessions) => {
                writeln!(f, "Global Sessions({}):", sessions.len())?;
                for (session, timeout_ms) in sessions {
                    writeln!(f, "{session}\t{timeout_ms}ms")?;
                }
            }
        }
        f.write_str("ephemeral nodes dump:\n")?;
        writeln!(f, "Sessions with Ephemerals ({}):", self.ephemerals.len())?;
        for SessionEphemerals { session, paths } in &self.ephemerals {
            writeln!(f, "{session}:")?;
            for path in paths {
                writeln!(f, "\t{path}")?;
            }
        }
        f.write_str("Connections dump:\n")?;
        let elements =
            self.connections.iter().map(|bucket| bucket.connections.len()).sum::<usize>();
        writeln!(f, "Connections Sets ({})/({elements}):", self.connections.len())?;
        for ConnectionBucket { expire_wall_ms, connections } in &self.connections {
            write_bucket(f, connections.len(), *expire_wall_ms)?;
            for (address, session) in connections {
                writeln!(f, "\tip: {} sessionId: {session}", Address(*address))?;
            }
        }
        Ok(())
    }
}

fn write_buckets(f: &mut fmt::Formatter<'_>, buckets: &[SessionBucket]) -> fmt::Result {
    let elements = buckets.iter().map(|bucket| bucket.sessions.len()).sum::<usize>();
    writeln!(f, "Session Sets ({})/({elements}):", buckets.len())?;
    for SessionBucket { expire_wall_ms, sessions } in buckets {
        write_bucket(f, sessions.len(), *expire_wall_ms)?;
        for session in sessions {
            writeln!(f, "\t{session}")?;
        }
    }
    Ok(())
}

fn write_bucket(f: &mut fmt::Formatter<'_>, elements: usize, wall_ms: i64) -> fmt::Result {
    writeln!(f, "{elements} expire at {}:", Date { wall_ms })
}
