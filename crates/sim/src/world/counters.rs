//! What a run exercised: a run in which nothing happened proves nothing.

use std::collections::BTreeMap;
use std::fmt;

/// How often what happened, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    times: BTreeMap<&'static str, u64>,
    /// How often which fault came while a server did what.
    faults: BTreeMap<(&'static str, &'static str), u64>,
}

/// Counts the runs of ensembles.
pub(super) const ENSEMBLE: &str = "run of an ensemble";

/// What 10,000 runs of ensembles must have seen at least so often.
const REQUIRED_OF_ENSEMBLES: &[(&str, u64)] = &[
    ("answered requests", 500_000),
    ("epoch begun", 15_000),
    ("epoch begun with requests under way", 100),
    ("learner sent a difference", 5_000),
    ("learner told to cut", 300),
    ("learner sent a snapshot", 1_000),
    ("leader's snapshot received", 1_000),
    ("snapshot installed", 1_000),
    ("history cut", 300),
    ("cut through several logs", 30),
    ("crash in a cut, on a copy", 1_000),
    ("alone from a step on", 300),
    ("stood still at a step", 200),
    ("vote that lies", 2_000),
    ("learner up to date", 10_000),
    ("session moved", 1_000),
    ("session expired", 500),
    ("connection between servers cut", 1_000),
    ("servers separated", 500),
    ("server left by all others", 50),
    ("servers separated in one direction", 200),
    ("servers separated but for one", 200),
    ("process paused", 1_000),
    ("disk slow for a while", 500),
    ("disk lost", 100),
    ("rot that takes something away", 100),
    ("rot that takes nothing away", 100),
    ("member started with a part of its history", 100),
    ("member repaired by a leader", 100),
    ("server away in peace", 500),
    ("session at a read-only server", 300),
    ("crash before accepting an epoch", 20),
    ("crash after accepting an epoch", 20),
    ("crash before adopting an epoch", 10),
    ("crash after adopting an epoch", 2),
    ("crash before a part of a leader's snapshot", 10),
    ("crash after a part of a leader's snapshot", 10),
    ("crash before AckEpoch", 5),
    ("crash before AckNewLeader", 5),
    ("crash before Ack", 20),
    ("crash before LeaderInfo", 5),
    ("crash before NewLeader", 5),
    ("crash before UpToDate", 5),
    ("crash before Proposal", 20),
    ("crash before Commit", 20),
    ("power lost", 10_000),
    ("process killed", 1_000),
    ("reign watched", 1),
];

/// Counts the runs of those whose membership changes.
pub(super) const CHANGING: &str = "run of an ensemble that changes";

/// What 10,000 runs of ensembles whose membership changes must have seen at least so often.
const REQUIRED_OF_CHANGES: &[(&str, u64)] = &[
    ("change of the membership answered well", 10_000),
    ("change refused: no quorum follows", 1_000),
    ("change refused: one is under way", 200),
    ("change refused: of another version", 1_000),
    ("change refused: of somebody else", 100),
    ("membership changed", 10_000),
    ("membership in force without its transaction", 100),
    ("learner told of another leader", 5_000),
    ("crash before storing memberships", 50),
    ("crash after storing memberships", 50),
    ("crash before CommitAndActivate", 20),
    ("crash after CommitAndActivate came", 20),
    ("server switched on", 5_000),
    ("server switched off", 200),
];

/// What 10,000 runs of a server that is alone must have seen at least so often.
const REQUIRED: &[(&str, u64)] = &[
    ("answered requests", 100_000),
    ("crash before append", 50),
    ("crash after append", 50),
    ("crash before sync", 50),
    ("crash after sync", 50),
    ("crash while a snapshot is written", 100),
    ("crash in recovery", 50),
    ("power lost", 1_000),
    ("process killed", 1_000),
    ("disk operation failed", 500),
    ("sync failed", 100),
    ("unsynced transactions lost", 200),
    ("torn log trimmed", 200),
    ("recovered from a snapshot and logs", 500),
    ("snapshot finished", 2_000),
    ("snapshot failed, server went on", 50),
    ("log rolled", 2_000),
    ("connection cut", 2_000),
    ("session resumed", 2_000),
    ("session expired", 500),
    ("session refused", 200),
    ("watch event", 10_000),
    ("missed event caught up", 100),
    ("multi refused", 500),
    ("request left open", 2_000),
    ("wall clock jumped", 200),
    ("nonsense sent", 100),
    ("epoch used up", 50),
    ("container or TTL reaped", 50),
];

impl Counters {
    /// Counts one.
    pub fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    /// Counts several.
    pub fn add(&mut self, what: &'static str, times: u64) {
        if times > 0 {
            *self.times.entry(what).or_default() += times;
        }
    }

    /// Counts a fault that comes while a server does something.
    pub(super) fn count_fault(&mut self, fault: &'static str, doing: &'static str) {
        *self.faults.entry((fault, doing)).or_default() += 1;
    }

    /// Adds all of another run.
    pub fn merge(&mut self, other: &Self) {
        for (what, times) in &other.times {
            self.add(what, *times);
        }
        for (cell, times) in &other.faults {
            *self.faults.entry(*cell).or_default() += times;
        }
    }

    /// How often something happened.
    pub fn of(&self, what: &str) -> u64 {
        self.times.get(what).copied().unwrap_or(0)
    }

    /// What a campaign of so many runs should have seen and did not: name, seen, required.
    ///
    /// Requirements shrink with the campaign, but not below once in a thousand runs or more.
    pub fn missing(&self, runs: u64) -> Vec<(&'static str, u64, u64)> {
        let of_ensembles = self.of(ENSEMBLE);
        let alone = REQUIRED.iter().map(|required| (required, runs.saturating_sub(of_ensembles)));
        let ensembles = REQUIRED_OF_ENSEMBLES.iter().map(|required| (required, of_ensembles));
        let of_changes = self.of(CHANGING);
        let changes = REQUIRED_OF_CHANGES.iter().map(|required| (required, of_changes));
        alone
            .chain(ensembles)
            .chain(changes)
            .filter_map(|(&(what, per_10_000), runs)| {
                let required = if runs >= 1_000 { (per_10_000 * runs / 10_000).max(1) } else { 0 };
                (self.of(what) < required).then(|| (what, self.of(what), required))
            })
            .collect()
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, times) in &self.times {
            writeln!(f, "{times:>12}  {what}")?;
        }
        for ((fault, doing), times) in &self.faults {
            writeln!(f, "{times:>12}  fault: {fault}, while {doing}")?;
        }
        Ok(())
    }
}
