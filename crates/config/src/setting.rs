//! The one table of settings: names, forms, defaults and what each is for. Parsing, the listing of
//! effective values and `docs/configuration.md` all derive from it.

use std::path::PathBuf;
use std::time::Duration;

use types::membership::Role;

use crate::Secret;
use crate::value::{self, Compression, DigestAlgorithm, Form};

/// How a setting is named as a Java property.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Property {
    /// Apache knows it as a key of `zoo.cfg` only.
    None,
    /// `zookeeper.` and the key.
    Prefixed,
    /// The key itself: Apache can not be given it in `zoo.cfg`.
    Bare,
}

/// What a setting is about: the part of [`crate::Config`] that it ends up in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Topic {
    Listen,
    Storage,
    Sessions,
    Limits,
    Throttle,
    Access,
    Reaping,
    Operator,
    Ensemble,
    Election,
    Synchronization,
    Observers,
}

/// A setting without the type of its value: a row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) topic: Topic,
    /// The name in `zoo.cfg`.
    pub(crate) key: &'static str,
    pub(crate) property: Property,
    /// What its values look like, to follow "expected".
    pub(crate) expected: &'static str,
    /// Read by the same parser as a given value.
    pub(crate) default: &'static str,
    /// Sentences in Markdown.
    pub(crate) doc: &'static str,
    /// Whether values must not be shown.
    pub(crate) is_secret: bool,
}

impl Row {
    /// The name of its environment variable.
    pub(crate) fn variable(&self) -> String {
        variable(self.key)
    }
}

/// A setting: a row of the table and the form of its values.
pub(crate) struct Setting<T: 'static> {
    pub(crate) row: Row,
    pub(crate) form: Form<T>,
}

macro_rules! settings {
    ($($topic:ident { $(
        $(#[doc = $doc:literal])*
        $name:ident: $value:ty = $key:literal, $property:ident, $form:ident, $default:literal;
    )* })*) => {
        $($(
            $(#[doc = $doc])*
            pub(crate) static $name: Setting<$value> = Setting {
                row: Row {
                    topic: Topic::$topic,
                    key: $key,
                    property: Property::$property,
                    expected: value::$form.expected,
                    default: $default,
                    doc: concat!($($doc),*),
                    is_secret: is_secret(stringify!($form)),
                },
                form: value::$form,
            };
        )*)*

        /// Every setting, by topic.
        pub(crate) static ROWS: &[&Row] = &[$($(&$name.row,)*)*];
    };
}

settings! {
    Listen {
        /// The port for clients. 0 lets the system choose a free one. Unless a file or arguments
        /// are given it is 2181.
        CLIENT_PORT: Option<u16> = "clientPort", None, OPTIONAL_PORT, "";
        /// The address to listen on, if not all. Needs `clientPort`.
        CLIENT_PORT_ADDRESS: Option<String> = "clientPortAddress", None, OPTIONAL_HOST, "";
        /// Connections that the system keeps until the server takes them; -1 is the system's choice.
        CLIENT_PORT_LISTEN_BACKLOG: Option<u32> = "clientPortListenBacklog", None, BACKLOG, "-1";
        /// Whether the system probes idle client connections.
        CLIENT_TCP_KEEP_ALIVE: bool = "clientTcpKeepAlive", Prefixed, SWITCH, "false";
    }
    Storage {
        /// Where snapshots are kept, and the transaction log unless `dataLogDir` says otherwise.
        /// A file must give it; without one it is `./reefkeeper-data`.
        DATA_DIR: PathBuf = "dataDir", None, PATH, "./reefkeeper-data";
        /// Where the transaction log is kept; empty means in `dataDir`.
        DATA_LOG_DIR: Option<PathBuf> = "dataLogDir", None, OPTIONAL_PATH, "";
        /// Transactions after which a snapshot is taken and a new log file begun (each server
        /// draws its own number between half and all of it). Less than 2 counts as 2.
        SNAP_COUNT: u64 = "snapCount", Prefixed, SNAP_COUNT, "100000";
        /// Size of the log since the last snapshot after which the next is taken, chosen in the
        /// same way; 0 or less: size does not matter.
        SNAP_SIZE_LIMIT: Option<u64> =
            "snapSizeLimitInKb", Prefixed, OPTIONAL_KIBIBYTES, "4194304";
        /// Size of a log file after which a new one is begun; 0 or less: no limit.
        TXN_LOG_SIZE_LIMIT: Option<u64> =
            "txnLogSizeLimitInKb", Prefixed, OPTIONAL_KIBIBYTES, "-1";
        /// By how much a log file is extended ahead of need; 0: not at all.
        PRE_ALLOC_SIZE: u64 = "preAllocSize", Prefixed, KIBIBYTES, "65536";
        /// Whether a write is on disk before it is acknowledged. `no` gives up every promise about
        /// crashes.
        FORCE_SYNC: bool = "forceSync", Prefixed, NO_SWITCH, "yes";
        /// A sync of the log that takes longer is logged and counted.
        FSYNC_WARNING_THRESHOLD: Duration =
            "fsync.warningthresholdms", Prefixed, MILLISECONDS, "1000";
        /// How long a sync may wait for more writes to join it.
        FLUSH_DELAY: Duration = "flushDelay", Prefixed, MILLISECONDS, "0";
        /// How long to wait for one more write to join a sync; -1: a third of `flushDelay`.
        MAX_WRITE_QUEUE_POLL_TIME: Option<Duration> =
            "maxWriteQueuePollTime", Prefixed, OPTIONAL_MILLISECONDS, "-1";
        /// Transactions after which a sync does not wait for more.
        MAX_BATCH_SIZE: u64 = "maxBatchSize", Prefixed, POSITIVE_COUNT, "1000";
        /// How snapshots are compressed: `gz`, `snappy` or nothing.
        SNAPSHOT_COMPRESSION: Compression =
            "snapshot.compression.method", Prefixed, COMPRESSION, "";
        /// Whether to start over a log without any snapshot, as 3.4 could leave it.
        SNAPSHOT_TRUST_EMPTY: bool = "snapshot.trust.empty", Prefixed, SWITCH, "false";
        /// Whether missing directories are created.
        DATADIR_AUTOCREATE: bool = "datadir.autocreate", Prefixed, SWITCH, "true";
        /// Whether an empty directory without the file `initialize` becomes an empty tree.
        DB_AUTOCREATE: bool = "db.autocreate", Prefixed, SWITCH, "true";
        /// Whether the digest of the tree is computed, logged and compared.
        DIGEST_ENABLED: bool = "digest.enabled", Prefixed, SWITCH, "true";
        /// Whether a snapshot ends with the id of the last transaction it holds.
        SERIALIZE_LAST_PROCESSED_ZXID: bool =
            "serializeLastProcessedZxid.enabled", Prefixed, SWITCH, "true";
        /// Snapshots that a purge leaves, with the logs they need. Less than 3 counts as 3.
        SNAP_RETAIN_COUNT: u64 = "autopurge.snapRetainCount", None, RETAIN_COUNT, "3";
        /// Time between purges; 0 or less: never.
        PURGE_INTERVAL: Option<Duration> =
            "autopurge.purgeInterval", None, PURGE_INTERVAL, "0";
    }
    Sessions {
        /// The unit of session timeouts and of the times at which expired sessions end. Unless a
        /// file or arguments are given it is 2000.
        TICK_TIME: Duration = "tickTime", None, TICK, "3000";
        /// The shortest timeout a client may have; -1: two ticks.
        MIN_SESSION_TIMEOUT: Option<Duration> =
            "minSessionTimeout", None, OPTIONAL_TIMEOUT, "-1";
        /// The longest timeout a client may have; -1: twenty ticks.
        MAX_SESSION_TIMEOUT: Option<Duration> =
            "maxSessionTimeout", None, OPTIONAL_TIMEOUT, "-1";
        /// How long a connection may take to open a session.
        SESSIONLESS_CNXN_TIMEOUT: Duration =
            "nio.sessionlessCnxnTimeout", Prefixed, MILLISECONDS, "10000";
        /// Whether the end of a session is logged with the znodes it deletes.
        CLOSE_SESSION_TXN: bool = "closeSessionTxn.enabled", Prefixed, SWITCH, "true";
        /// Whether znodes can have a time to live.
        EXTENDED_TYPES: bool = "extendedTypesEnabled", Prefixed, SWITCH, "false";
        /// Whether times to live written by 3.5.3 are understood. Needs `extendedTypesEnabled`.
        EMULATE_353_TTL_NODES: bool = "emulate353TTLNodes", Prefixed, SWITCH, "false";
    }
    Limits {
        /// Bytes of the longest request.
        JUTE_MAX_BUFFER: u32 = "jute.maxbuffer", Bare, FRAME_BYTES, "1048575";
        /// Bytes that a stored record may be longer than a request; empty: as many again. Less
        /// than 1024 counts as 1024.
        JUTE_EXTRA_SIZE: Option<u32> = "jute.maxbuffer.extrasize", Prefixed, EXTRA_BYTES, "";
        /// Requests under way in the whole server above which it stops reading from clients that
        /// have one under way.
        GLOBAL_OUTSTANDING_LIMIT: u64 =
            "globalOutstandingLimit", Prefixed, POSITIVE_COUNT, "1000";
        /// Threads that read from and write to connections, at most 64; 0: one for two processors,
        /// at least 1 and at most 8.
        NUM_SELECTOR_THREADS: Option<u64> = "nio.numSelectorThreads", Prefixed, LIMIT, "0";
        /// Connections from one address; 0: no limit.
        MAX_CLIENT_CNXNS: Option<u64> = "maxClientCnxns", None, LIMIT, "60";
        /// Connections in all; 0: no limit.
        MAX_CNXNS: Option<u64> = "maxCnxns", Prefixed, LIMIT, "0";
        /// Bytes of large requests under way at once.
        LARGE_REQUEST_MAX_BYTES: u64 =
            "largeRequestMaxBytes", Prefixed, POSITIVE_COUNT, "104857600";
        /// Bytes from which a request is a large one; 0 or less: none is.
        LARGE_REQUEST_THRESHOLD: Option<u64> =
            "largeRequestThreshold", Prefixed, LIMIT, "-1";
    }
    Throttle {
        /// Requests under way above which further ones are delayed; 0: never.
        REQUEST_THROTTLE_MAX_REQUESTS: Option<u64> =
            "request_throttle_max_requests", Prefixed, LIMIT, "0";
        /// How long a request is delayed before the number is looked at again.
        REQUEST_THROTTLE_STALL_TIME: Duration =
            "request_throttle_stall_time", Prefixed, MILLISECONDS, "100";
        /// Whether a delayed request is dropped once it is stale.
        REQUEST_THROTTLE_DROP_STALE: bool =
            "request_throttle_drop_stale", Prefixed, SWITCH, "true";
        /// Whether a request older than its session's timeout is stale.
        REQUEST_STALE_LATENCY_CHECK: bool =
            "request_stale_latency_check", Prefixed, SWITCH, "false";
        /// Whether a request whose connection is closed is stale.
        REQUEST_STALE_CONNECTION_CHECK: bool =
            "request_stale_connection_check", Prefixed, SWITCH, "true";
        /// How long delayed requests may take when the server stops.
        REQUEST_THROTTLER_SHUTDOWN_TIMEOUT: Duration =
            "request_throttler.shutdownTimeout", Prefixed, MILLISECONDS, "10000";
        /// A request that waited longer before it was looked at is refused as throttled; 0: never.
        THROTTLED_OP_WAIT_TIME: Duration =
            "throttled_op_wait_time", Prefixed, MILLISECONDS, "0";
        /// Tokens of the bucket that new connections take from; 0: connections are not throttled.
        CONNECTION_THROTTLE_TOKENS: Option<u64> =
            "connection_throttle_tokens", Prefixed, LIMIT, "0";
        /// How often tokens are added.
        CONNECTION_THROTTLE_FILL_TIME: Duration =
            "connection_throttle_fill_time", Prefixed, MILLISECONDS, "1";
        /// How many tokens are added each time.
        CONNECTION_THROTTLE_FILL_COUNT: u64 =
            "connection_throttle_fill_count", Prefixed, COUNT, "1";
        /// How often the probability of refusing a connection changes; -1: it stays 0.
        CONNECTION_THROTTLE_FREEZE_TIME: Option<Duration> =
            "connection_throttle_freeze_time", Prefixed, OPTIONAL_MILLISECONDS, "-1";
        /// By how much that probability rises while tokens are short.
        CONNECTION_THROTTLE_DROP_INCREASE: f64 =
            "connection_throttle_drop_increase", Prefixed, PROBABILITY, "0.02";
        /// By how much it falls while they are not.
        CONNECTION_THROTTLE_DROP_DECREASE: f64 =
            "connection_throttle_drop_decrease", Prefixed, PROBABILITY, "0.002";
        /// The share of free tokens above which it falls.
        CONNECTION_THROTTLE_DECREASE_RATIO: f64 =
            "connection_throttle_decrease_ratio", Prefixed, PROBABILITY, "0";
        /// Whether a connection takes as many tokens as its kind weighs.
        CONNECTION_THROTTLE_WEIGHT_ENABLED: bool =
            "connection_throttle_weight_enabled", Prefixed, SWITCH, "false";
        /// What opening a session weighs.
        CONNECTION_THROTTLE_GLOBAL_WEIGHT: u64 =
            "connection_throttle_global_session_weight", Prefixed, POSITIVE_COUNT, "3";
        /// What opening a local session weighs.
        CONNECTION_THROTTLE_LOCAL_WEIGHT: u64 =
            "connection_throttle_local_session_weight", Prefixed, POSITIVE_COUNT, "1";
        /// What resuming a session weighs.
        CONNECTION_THROTTLE_RENEW_WEIGHT: u64 =
            "connection_throttle_renew_session_weight", Prefixed, POSITIVE_COUNT, "2";
    }
    Access {
        /// Whether everybody may do everything, whatever the access control lists say.
        SKIP_ACL: bool = "skipACL", Prefixed, YES_SWITCH, "no";
        /// Whether access is checked before a write is ordered, so that refused ones cost nothing.
        EAGER_ACL_CHECK: bool = "enableEagerACLCheck", Prefixed, SWITCH, "false";
        /// Whether writes beyond a hard quota are refused.
        ENFORCE_QUOTA: bool = "enforceQuota", Prefixed, SWITCH, "false";
        /// Whether there is the scheme `digest`.
        DIGEST_PROVIDER_ENABLED: bool =
            "DigestAuthenticationProvider.enabled", Prefixed, SWITCH, "true";
        /// `super:` and the hash of the password with which a client may do everything.
        SUPER_DIGEST: Option<Secret> =
            "DigestAuthenticationProvider.superDigest", Prefixed, SECRET, "";
        /// How passwords of the scheme `digest` are hashed.
        DIGEST_ALGORITHM: DigestAlgorithm =
            "DigestAuthenticationProvider.digestAlg", Prefixed, DIGEST_ALGORITHM, "SHA1";
        /// Names of this ensemble, separated by commas: a client that presents another in the
        /// scheme `ensemble` is cut off.
        ENSEMBLE_AUTH_NAME: Vec<String> = "ensembleAuthName", Prefixed, LIST, "";
        /// Whether a client must authenticate, in one of `enforce.auth.schemes`, before anything else.
        ENFORCE_AUTH: bool = "enforce.auth.enabled", Prefixed, SWITCH, "false";
        /// The schemes that satisfy `enforce.auth.enabled`, separated by commas.
        ENFORCE_AUTH_SCHEMES: Vec<String> = "enforce.auth.schemes", Prefixed, LIST, "";
        /// Whether a client must authenticate by SASL before anything else.
        REQUIRE_CLIENT_SASL: bool = "sessionRequireClientSASLAuth", Prefixed, SWITCH, "false";
        /// Whether a client whose SASL exchange failed keeps an unauthenticated session.
        ALLOW_SASL_FAILED_CLIENTS: bool =
            "allowSaslFailedClients", Prefixed, SWITCH, "false";
        /// Whether clients may change the membership.
        RECONFIG_ENABLED: bool = "reconfigEnabled", None, STRICT_SWITCH, "false";
    }
    Reaping {
        /// How often empty containers and znodes past their time to live are looked for.
        CONTAINER_CHECK_INTERVAL: Duration =
            "znode.container.checkIntervalMs", Bare, POSITIVE_MILLISECONDS, "60000";
        /// How many are removed in a minute at most.
        CONTAINER_MAX_PER_MINUTE: u64 =
            "znode.container.maxPerMinute", Bare, POSITIVE_COUNT, "10000";
        /// How long a container that never had a child is kept; 0: forever.
        CONTAINER_MAX_NEVER_USED_INTERVAL: Duration =
            "znode.container.maxNeverUsedIntervalMs", Bare, MILLISECONDS, "0";
    }
    Operator {
        /// The four-letter words that are answered beside `srvr`, separated by commas; `*`: all.
        FOUR_LETTER_WHITELIST: Vec<String> = "4lw.commands.whitelist", Prefixed, LIST, "";
        /// Whether a server without a quorum serves clients that ask for reads only. A standalone
        /// server always has its quorum; the word `isro` is answered.
        READ_ONLY_MODE: bool = "readonlymode.enabled", Bare, SWITCH, "false";
        /// Whether the administration server is started.
        ADMIN_ENABLED: bool = "admin.enableServer", Prefixed, SWITCH, "true";
        /// The address it listens on.
        ADMIN_ADDRESS: String = "admin.serverAddress", Prefixed, HOST, "0.0.0.0";
        /// The port it listens on.
        ADMIN_PORT: u16 = "admin.serverPort", Prefixed, PORT, "8080";
        /// How long one of its connections may be idle.
        ADMIN_IDLE_TIMEOUT: Duration = "admin.idleTimeout", Prefixed, MILLISECONDS, "30000";
        /// Where its commands are found.
        ADMIN_COMMAND_URL: String = "admin.commandURL", Prefixed, TEXT, "/commands";
        /// Whether snapshots can be asked for.
        ADMIN_SNAPSHOT_ENABLED: bool = "admin.snapshot.enabled", Prefixed, SWITCH, "true";
        /// Whether snapshots can be restored.
        ADMIN_RESTORE_ENABLED: bool = "admin.restore.enabled", Prefixed, SWITCH, "true";
        /// How long after a snapshot or a restoration the next may be asked for.
        ADMIN_RATE_LIMITER_INTERVAL: Duration =
            "admin.rateLimiterIntervalInMS", Prefixed, MILLISECONDS, "300000";
    }
    Ensemble {
        /// Whether a membership of one voter is a standalone server.
        STANDALONE_ENABLED: bool = "standaloneEnabled", None, STRICT_SWITCH, "true";
        /// The file that holds the membership, if it is not in `zoo.cfg` itself. The hexadecimal
        /// digits after the last dot of its name are its version.
        DYNAMIC_CONFIG_FILE: Option<PathBuf> = "dynamicConfigFile", None, OPTIONAL_PATH, "";
        /// Whether this server votes. What its line in the membership says counts.
        PEER_TYPE: Role = "peerType", None, ROLE, "participant";
        /// Whether the line of a server may have several addresses.
        MULTI_ADDRESS_ENABLED: bool = "multiAddress.enabled", Prefixed, STRICT_SWITCH, "false";
        /// Whether an address is tried out before it is used, if a server has several.
        REACHABILITY_CHECK_ENABLED: bool =
            "multiAddress.reachabilityCheckEnabled", Prefixed, STRICT_SWITCH, "true";
        /// How long that may take.
        REACHABILITY_CHECK_TIMEOUT: Duration =
            "multiAddress.reachabilityCheckTimeoutMs", Prefixed, MILLISECONDS, "1000";
        /// A file that decides whether one of two voters may go on without the other: if it begins
        /// with `1`. It must not let both at the same time, when they can not reach each other: each would
        /// lose what the other one decided. With it groups and weights have no effect.
        ORACLE_PATH: Option<PathBuf> = "oraclePath", None, OPTIONAL_PATH, "";
        /// Whether the leader serves clients.
        LEADER_SERVES: bool = "leaderServes", Prefixed, NO_SWITCH, "yes";
        /// Whether sessions are known to the server of their client only, until they need more.
        LOCAL_SESSIONS_ENABLED: bool = "localSessionsEnabled", None, STRICT_SWITCH, "false";
        /// Whether such a session becomes one of the ensemble when it creates an ephemeral.
        LOCAL_SESSIONS_UPGRADING_ENABLED: bool =
            "localSessionsUpgradingEnabled", None, STRICT_SWITCH, "false";
        /// Whether servers talk to each other over TLS, which this version can not.
        SSL_QUORUM: bool = "sslQuorum", None, STRICT_SWITCH, "false";
        /// Whether servers are listened to with TLS and without, which this version can not.
        PORT_UNIFICATION: bool = "portUnification", None, STRICT_SWITCH, "false";
        /// Whether servers authenticate to each other, which this version can not.
        QUORUM_SASL_ENABLED: bool = "quorum.auth.enableSasl", None, STRICT_SWITCH, "false";
    }
    Election {
        /// How a leader is elected; there is only one way.
        ELECTION_ALGORITHM: () = "electionAlg", None, ELECTION_ALGORITHM, "3";
        /// How long connecting to another server for an election may take.
        CNX_TIMEOUT: Duration = "cnxTimeout", Prefixed, POSITIVE_MILLISECONDS, "5000";
        /// How long the other may take to say who it is; 0 or less: `syncLimit` ticks.
        QUORUM_CNXN_TIMEOUT: Option<Duration> =
            "quorumCnxnTimeoutMs", Prefixed, NONZERO_MILLISECONDS, "-1";
        /// Whether the system probes idle connections between servers.
        TCP_KEEP_ALIVE: bool = "tcpKeepAlive", Prefixed, SWITCH, "false";
        /// Whether the ports for servers are opened on all addresses, not only on those of this
        /// server's line.
        QUORUM_LISTEN_ON_ALL_IPS: bool = "quorumListenOnAllIPs", None, STRICT_SWITCH, "false";
        /// How often opening the election port is tried, a second apart; 0 or less: until it works.
        ELECTION_PORT_BIND_RETRY: Option<u64> = "electionPortBindRetry", Prefixed, LIMIT, "3";
        /// How long to wait for votes before this server's own is repeated.
        MIN_NOTIFICATION_INTERVAL: Duration =
            "fastleader.minNotificationInterval", Prefixed, POSITIVE_MILLISECONDS, "200";
        /// How long that wait, which doubles each time, becomes at most.
        MAX_NOTIFICATION_INTERVAL: Duration =
            "fastleader.maxNotificationInterval", Prefixed, POSITIVE_MILLISECONDS, "60000";
    }
    Synchronization {
        /// Ticks that a learner may take to connect and to get the leader's history, and a new leader to be followed by
        /// a quorum; each part of a snapshot or log gives them anew. A member of an ensemble must be given it.
        INIT_LIMIT: Option<u32> = "initLimit", None, TICKS, "0";
        /// Ticks that a learner may be silent, or behind. A member of an ensemble must be given it.
        SYNC_LIMIT: Option<u32> = "syncLimit", None, TICKS, "0";
        /// Ticks that connecting to the leader may take; 0: `initLimit`.
        CONNECT_TO_LEARNER_MASTER_LIMIT: Option<u32> =
            "connectToLearnerMasterLimit", None, TICKS, "0";
        /// How long to wait before connecting to the leader is tried again.
        LEADER_CONNECT_DELAY: Duration =
            "leaderConnectDelayDuringRetryMs", Prefixed, MILLISECONDS, "100";
        /// How long a new leader waits for a quorum before it gives up for a voter that looks for
        /// a leader again; -1: it waits for `initLimit` whatever others do.
        MAX_TIME_TO_WAIT_FOR_EPOCH: Option<Duration> =
            "leader.maxTimeToWaitForEpoch", Prefixed, OPTIONAL_MILLISECONDS, "-1";
        /// Observers that a leader sends a snapshot at once.
        MAX_CONCURRENT_SNAP_SYNCS: u64 =
            "leader.maxConcurrentSnapSyncs", Prefixed, POSITIVE_COUNT, "10";
        /// Observers that a leader sends transactions at once that they lack.
        MAX_CONCURRENT_DIFF_SYNCS: u64 =
            "leader.maxConcurrentDiffSyncs", Prefixed, POSITIVE_COUNT, "100";
        /// Committed transactions that are kept in memory for learners that lack them. Less than
        /// 500 counts as 500.
        COMMIT_LOG_COUNT: u64 = "commitLogCount", Prefixed, COMMIT_LOG_COUNT, "500";
        /// Bytes of committed transactions that are kept in memory for learners, though they be less
        /// than `commitLogCount`. What is older is read from the log. Not known to Apache's servers.
        COMMIT_LOG_BYTES: u64 = "commitLogBytes", Prefixed, POSITIVE_COUNT, "67108864";
        /// How much of the log may be read for a learner, as a share of the newest snapshot's size,
        /// before a snapshot is sent instead; 0: any amount; less: none. More than 1 counts as 0.33.
        SNAPSHOT_SIZE_FACTOR: Option<f64> =
            "snapshotSizeFactor", Prefixed, SNAPSHOT_SIZE_FACTOR, "0.33";
        /// Whether learners are always sent a snapshot. For tests.
        FORCE_SNAPSHOT_SYNC: bool = "forceSnapshotSync", Prefixed, SWITCH, "false";
    }
    Observers {
        /// Whether an observer writes log and snapshots.
        SYNC_ENABLED: bool = "syncEnabled", None, STRICT_SWITCH, "true";
        /// The same, and counts if it is given.
        OBSERVER_SYNC_ENABLED: Option<bool> =
            "observer.syncEnabled", Prefixed, OPTIONAL_SWITCH, "";
        /// How long an observer waits at most, by chance, before it connects again.
        OBSERVER_RECONNECT_DELAY: Duration =
            "observer.reconnectDelayMs", Prefixed, MILLISECONDS, "0";
        /// How long an observer waits at most, by chance, before it looks for a new leader.
        OBSERVER_ELECTION_DELAY: Duration =
            "observer.election.DelayMs", Prefixed, MILLISECONDS, "200";
        /// The port where followers let observers connect to them instead of to the leader; 0 or
        /// less: they do not. The same on all servers.
        OBSERVER_MASTER_PORT: Option<u16> = "observerMasterPort", None, MASTER_PORT, "0";
        /// Bytes of committed transactions that a follower keeps for its observers.
        OBSERVER_MASTER_SIZE_LIMIT: u64 =
            "observerMaster.sizeLimit", Prefixed, POSITIVE_COUNT, "33554432";
    }
}

/// The setting that a name means: its key, or the key with `zookeeper.` before it.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    let key = name.strip_prefix(PREFIX).unwrap_or(name);
    ROWS.iter().find(|row| row.key == key).copied()
}

/// The setting that an environment variable means.
pub(crate) fn find_variable(variable: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.variable() == variable).copied()
}

/// What Java properties that ZooKeeper reads begin with.
pub(crate) const PREFIX: &str = "zookeeper.";

/// What environment variables that are settings begin with.
pub(crate) const VARIABLE_PREFIX: &str = "REEFKEEPER_";

/// `REEFKEEPER_` and the key in capitals: a word begins after a dot, and where a capital follows a
/// small letter or is followed by one (`enableEagerACLCheck`: `ENABLE_EAGER_ACL_CHECK`).
fn variable(key: &str) -> String {
    let characters: Vec<char> = key.chars().collect();
    let mut variable = VARIABLE_PREFIX.to_owned();
    for (index, &character) in characters.iter().enumerate() {
        if !character.is_ascii_alphanumeric() {
            variable.push('_');
            continue;
        }
        let before = index.checked_sub(1).map(|before| characters[before]);
        let after_small = before.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let ends_capitals = before.is_some_and(|c| c.is_ascii_uppercase())
            && characters.get(index + 1).is_some_and(char::is_ascii_lowercase);
        if character.is_ascii_uppercase() && (after_small || ends_capitals) {
            variable.push('_');
        }
        variable.push(character.to_ascii_uppercase());
    }
    variable
}

const fn is_secret(form: &str) -> bool {
    matches!(form.as_bytes(), b"SECRET")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn variables_are_readable() {
        for (key, expected) in [
            ("tickTime", "REEFKEEPER_TICK_TIME"),
            ("skipACL", "REEFKEEPER_SKIP_ACL"),
            ("enableEagerACLCheck", "REEFKEEPER_ENABLE_EAGER_ACL_CHECK"),
            ("4lw.commands.whitelist", "REEFKEEPER_4LW_COMMANDS_WHITELIST"),
            ("autopurge.snapRetainCount", "REEFKEEPER_AUTOPURGE_SNAP_RETAIN_COUNT"),
            ("request_throttle_max_requests", "REEFKEEPER_REQUEST_THROTTLE_MAX_REQUESTS"),
            ("admin.rateLimiterIntervalInMS", "REEFKEEPER_ADMIN_RATE_LIMITER_INTERVAL_IN_MS"),
            ("admin.commandURL", "REEFKEEPER_ADMIN_COMMAND_URL"),
        ] {
            assert_eq!(variable(key), expected);
        }
    }

    #[test]
    fn names_are_unique() {
        let keys: BTreeSet<_> = ROWS.iter().map(|row| row.key.to_ascii_lowercase()).collect();
        let variables: BTreeSet<_> = ROWS.iter().map(|row| row.variable()).collect();
        assert_eq!((keys.len(), variables.len()), (ROWS.len(), ROWS.len()));
    }
}
