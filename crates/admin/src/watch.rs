//! The words `wchs`, `wchc` and `wchp`.
//!
//! Apache's server shows the watches on data and existence only, those on children never; so do
//! these.

use std::fmt;

use types::SessionId;

/// How many watches there are. Displays as the answer to `wchs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WatchSummary {
    /// Connections with a watch.
    pub connections: u64,
    /// Paths with a watch.
    pub paths: u64,
    /// Watches.
    pub watches: u64,
}

impl fmt::Display for WatchSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} connections watching {} paths", self.connections, self.paths)?;
        writeln!(f, "Total watches:{}", self.watches)
    }
}

/// Which session watches what. Displays as the answer to `wchc`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WatchesBySession {
    /// Sessions with watches.
    pub sessions: Vec<SessionWatches>,
}

/// The watches of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionWatches {
    /// The session.
    pub session: SessionId,
    /// The paths it watches.
    pub paths: Vec<String>,
}

impl fmt::Display for WatchesBySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for SessionWatches { session, paths } in &self.sessions {
            writeln!(f, "{session}")?;
            for path in paths {
                writeln!(f, "\t{path}")?;
            }
        }
        f.write_str("\n")
    }
}

/// Who watches which path. Displays as the answer to `wchp`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WatchesByPath {
    /// Paths with watches.
    pub paths: Vec<PathWatchers>,
}

/// The watchers of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathWatchers {
    /// The path.
    pub path: String,
    /// The sessions that watch it.
    pub sessions: Vec<SessionId>,
}

impl fmt::Display for WatchesByPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for PathWatchers { path, sessions } in &self.paths {
            writeln!(f, "{path}")?;
            for session in sessions {
                writeln!(f, "\t{session}")?;
            }
        }
        f.write_str("\n")
    }
}
