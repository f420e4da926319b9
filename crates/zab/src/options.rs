//! How a peer behaves.

use std::time::Duration;

use types::Sid;

use crate::election::ElectionOptions;
use crate::history::HistoryBounds;

/// How a peer behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who this server is.
    pub sid: Sid,
    /// The unit of the limits that follow.
    pub tick: Duration,
    /// How many ticks a learner may take to find its leader and to receive the history.
    pub init_limit: u32,
    /// How many ticks a leader and a learner may be silent, and a proposal unacknowledged.
    pub sync_limit: u32,
    /// What is kept in memory for learners.
    pub history: HistoryBounds,
    /// What the log is read for.
    pub log_reading: LogReading,
    /// Whether every learner is sent a snapshot, whatever it has.
    pub snapshots_only: bool,
    /// Whether there is an oracle, which may let one of two voters decide alone.
    pub has_oracle: bool,
    /// How long a leader whose voters look for another may wait for a quorum to say which epochs it
    /// has accepted; `None`: as long as `init_limit` allows.
    pub epoch_wait_max: Option<Duration>,
    /// What observers do so that they do not all come at once.
    pub observer_pauses: ObserverPauses,
    /// From whom observers learn.
    pub observer_masters: ObserverMasters,
    /// How many learners are synchronized at once.
    pub synchronizations_max: SynchronizationsMax,
    /// Bytes of the leader's history that a learner has received when it begins to deliver them: a long
    /// history is not in memory as a whole, a short one is delivered when a quorum has it. Any number is
    /// safe; see [`RECEIVED_BYTES_MAX`](crate::RECEIVED_BYTES_MAX).
    pub received_bytes_max: usize,
    /// Whether the membership may change, and changes are kept. Otherwise it is what it was at the
    /// start, whatever others say.
    pub is_reconfigurable: bool,
    /// How elections are held.
    pub election: ElectionOptions,
}

/// How long an observer hesitates at most before it connects; a random time below it each time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ObserverPauses {
    /// Always.
    pub each: Duration,
    /// In addition, if it had a leader or an attempt to have one before.
    pub again: Duration,
}

/// How many learners may be synchronized at the same time, before observers that come are sent away to try
/// again. Followers never are, as a quorum may need them; but they count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SynchronizationsMax {
    /// By a snapshot.
    pub snapshots: usize,
    /// By what they lack.
    pub diffs: usize,
}

/// From whom observers learn. The same on all servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ObserverMasters {
    /// From the leader.
    #[default]
    Leader,
    /// From a follower each, so that the leader has less to do; from the leader if they can reach none.
    Followers,
}

/// How much of its log a leader reads for a learner that lacks more than is in memory. Beyond that
/// the learner is sent a snapshot.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum LogReading {
    /// Nothing.
    Off,
    /// Any amount.
    Unlimited,
    /// As many bytes as this share of the newest snapshot's, and a little in any case.
    Share(f64),
}
