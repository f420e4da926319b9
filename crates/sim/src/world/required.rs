//! What a campaign must have seen: so often in 10,000 runs of a kind.

/// What runs of ensembles must have seen.
pub(super) const OF_ENSEMBLES: &[(&str, u64)] = &[
    ("answered requests", 500_000),
    ("epoch begun", 30_000),
    ("epoch begun with requests under way", 100),
    ("epoch without a transaction", 200),
    ("learner sent a difference", 5_000),
    ("learner told to cut", 500),
    ("learner sent a snapshot", 1_000),
    ("history by a snapshot", 500),
    ("history by a difference", 500),
    ("history by a cut", 500),
    ("history by a cut and a difference", 500),
    ("history from a leader's log", 500),
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
    ("local session became a global one", 1_000),
    ("local session stayed one", 2_000),
    ("expiry raced a create", 500),
    // Runs of five servers saw some 830.
    ("missed event caught up", 700),
    ("deposed leader answered a client", 200),
    ("deposed leader asked for a sync", 50),
    ("deposed leader answered a client after waking", 200),
    ("late word of an earlier connection of a client", 500),
    ("late word of an earlier connection between servers", 500),
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
    ("sync failed of a leader", 200),
    ("sync failed of a follower", 200),
    ("crash while a snapshot is written", 100),
    ("crash while a log is rolled", 100),
    ("crash while a history is cut", 100),
    ("crash while an epoch is stored", 100),
    ("crash while files are removed", 100),
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

/// How often a voter must have died at each step of its way into an epoch, in runs of ensembles.
pub(super) const CRASHES_AT_EACH_STEP: u64 = 200;

/// What runs of ensembles whose membership changes must have seen.
pub(super) const OF_CHANGES: &[(&str, u64)] = &[
    ("change of the membership answered well", 10_000),
    ("change refused: no quorum follows", 1_000),
    ("change refused: one is under way", 200),
    ("change refused: of another version", 1_000),
    ("change refused: of somebody else", 100),
    ("membership changed", 10_000),
    ("membership in force without its transaction", 100),
    ("learner told of another leader", 5_000),
    ("crash while the membership changes", 1_200),
    ("crash before storing memberships", 50),
    ("crash after storing memberships", 50),
    ("crash before CommitAndActivate", 20),
    ("crash after CommitAndActivate came", 12),
    ("server switched on", 5_000),
    ("server switched off", 200),
];

/// What runs of a server that is alone must have seen.
pub(super) const OF_ONE: &[(&str, u64)] = &[
    ("answered requests", 100_000),
    ("crash before append", 50),
    ("crash after append", 50),
    ("crash before sync", 50),
    ("crash after sync", 50),
    ("crash while a snapshot is written", 100),
    ("crash while a log is rolled", 100),
    ("crash while files are removed", 100),
    ("crash in recovery", 50),
    ("power lost", 1_000),
    ("process killed", 1_000),
    ("disk operation failed", 500),
    ("sync failed", 200),
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

/// How many of 100 requests must have been done: runs in which nothing succeeds prove nothing.
pub(super) const DONE_PERCENT: u64 = 30;

/// What runs of ensembles may have seen so often at most, as it keeps a check from looking.
pub(super) const OF_ENSEMBLES_AT_MOST: &[(&str, u64)] = &[
    // It is not asked whether clients are served. There was none in 10,000 runs of three servers, and none in as
    // many of five.
    ("too few voters remember: an operator decides", 3),
];

/// How many of 100 searches for an order may be given up.
pub(super) const IN_VAIN_PERCENT: u64 = 1;
