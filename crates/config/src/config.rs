//! What a server is started with, checked and typed.

use std::path::PathBuf;
use std::time::Duration;

use types::ExtendedTypes;

use crate::ensemble::Ensemble;
use crate::layer::Layers;
use crate::listen::Listen;
use crate::membership::{self, Described};
use crate::setting::*;
use crate::value::{Compression, DigestAlgorithm};
use crate::{ConfigError, Origin, Secret, Sources, Warning};

/// Everything that a server is told, by who uses it. Each field names its key; `docs/configuration.md`
/// says what the keys mean.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// Where clients connect.
    pub listen: Listen,
    /// What is kept on disk, and how.
    pub storage: Storage,
    /// Sessions and the kinds of znode.
    pub sessions: Sessions,
    /// Bounds on what clients may use.
    pub limits: Limits,
    /// What happens under load.
    pub throttle: Throttle,
    /// Who may do what.
    pub access: Access,
    /// How the server removes znodes by itself.
    pub reaping: Reaping,
    /// What operators see.
    pub operator: Operator,
    /// What a member of an ensemble is told; `None` for a standalone server.
    pub ensemble: Option<Ensemble>,
}

/// What is kept on disk, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Storage {
    /// `dataDir`, without the `version-2` below it.
    pub data_dir: PathBuf,
    /// `dataLogDir`, or the same as `data_dir`.
    pub data_log_dir: PathBuf,
    /// `datadir.autocreate`.
    pub autocreate_directories: bool,
    /// `db.autocreate`.
    pub autocreate_database: bool,
    /// `snapshot.trust.empty`.
    pub trust_empty_snapshot: bool,
    /// `snapCount`: transactions, at least 2.
    pub snap_count: u64,
    /// `snapSizeLimitInKb`, in bytes; `None`: size does not matter.
    pub snap_size_limit_bytes: Option<u64>,
    /// `snapshot.compression.method`.
    pub compression: Compression,
    /// `serializeLastProcessedZxid.enabled`.
    pub serialize_last_processed_zxid: bool,
    /// `digest.enabled`.
    pub digest_enabled: bool,
    /// `txnLogSizeLimitInKb`, in bytes; `None`: no limit.
    pub log_size_limit_bytes: Option<u64>,
    /// `preAllocSize`, in bytes; 0: not at all.
    pub preallocation_bytes: u64,
    /// `forceSync`.
    pub force_sync: bool,
    /// `fsync.warningthresholdms`.
    pub fsync_warning_threshold: Duration,
    /// `flushDelay`.
    pub flush_delay: Duration,
    /// `maxWriteQueuePollTime`, or a third of `flush_delay`.
    pub write_queue_poll_time_max: Duration,
    /// `maxBatchSize`: transactions, at least 1.
    pub batch_size_max: u64,
    /// `autopurge.*`; `None`: old files stay.
    pub autopurge: Option<Autopurge>,
}

/// How old snapshots and logs are removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Autopurge {
    /// `autopurge.purgeInterval`, more than zero.
    pub interval: Duration,
    /// `autopurge.snapRetainCount`: snapshots, at least 3.
    pub retain_count: u64,
}

/// Sessions and the kinds of znode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sessions {
    /// `tickTime`, at least a millisecond.
    pub tick: Duration,
    /// `minSessionTimeout`, or two ticks; not more than `timeout_max`.
    pub timeout_min: Duration,
    /// `maxSessionTimeout`, or twenty ticks.
    pub timeout_max: Duration,
    /// `nio.sessionlessCnxnTimeout`.
    pub handshake_timeout: Duration,
    /// `closeSessionTxn.enabled`.
    pub log_deletions_on_close: bool,
    /// `extendedTypesEnabled` and `emulate353TTLNodes`.
    pub extended_types: ExtendedTypes,
}

/// Bounds on what clients may use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// `jute.maxbuffer`: bytes of a request.
    pub frame_bytes_max: u32,
    /// `jute.maxbuffer.extrasize`, or as many as `frame_bytes_max`: bytes that a stored record may
    /// be longer than a request.
    pub record_extra_bytes: u32,
    /// `globalOutstandingLimit`: requests, at least 1.
    pub outstanding_requests_max: u64,
    /// `nio.numSelectorThreads`; `None`: the server's choice.
    pub io_threads: Option<u64>,
    /// `maxClientCnxns`: connections from one address; `None`: any number.
    pub connections_per_address_max: Option<u64>,
    /// `maxCnxns`: connections in all; `None`: any number.
    pub connections_max: Option<u64>,
    /// `largeRequestThreshold` and `largeRequestMaxBytes`; `None`: no request counts as large.
    pub large_requests: Option<LargeRequests>,
}

/// Bounds on large requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LargeRequests {
    /// `largeRequestThreshold`: bytes above which a request is a large one.
    pub threshold_bytes: u64,
    /// `largeRequestMaxBytes`: bytes of large requests under way at once.
    pub bytes_max: u64,
}

/// What happens under load.
#[derive(Clone, PartialEq, Debug)]
pub struct Throttle {
    /// `request_throttle_max_requests`: requests under way above which further ones are delayed;
    /// `None`: never.
    pub requests_max: Option<u64>,
    /// `request_throttle_stall_time`.
    pub stall_time: Duration,
    /// `request_throttle_drop_stale`.
    pub drop_stale: bool,
    /// `request_stale_latency_check`.
    pub latency_makes_stale: bool,
    /// `request_stale_connection_check`.
    pub closed_connection_makes_stale: bool,
    /// `request_throttler.shutdownTimeout`.
    pub shutdown_timeout: Duration,
    /// `throttled_op_wait_time`; `None`: nothing is refused for waiting.
    pub refuse_after: Option<Duration>,
    /// `connection_throttle_*`; `None`: connections are not throttled.
    pub connections: Option<ConnectionThrottle>,
}

/// How fast connections are let in: a bucket of tokens, and a probability of refusal that follows
/// how often it was short of them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ConnectionThrottle {
    /// `connection_throttle_tokens`, times the weight of a new session: what the bucket holds.
    pub tokens: u64,
    /// `connection_throttle_fill_time`.
    pub fill_time: Duration,
    /// `connection_throttle_fill_count`, times the weight of a new session.
    pub fill_count: u64,
    /// `connection_throttle_freeze_time`; `None`: the probability stays 0.
    pub freeze_time: Option<Duration>,
    /// `connection_throttle_drop_increase`, 0 to 1.
    pub drop_increase: f64,
    /// `connection_throttle_drop_decrease`, 0 to 1.
    pub drop_decrease: f64,
    /// `connection_throttle_decrease_ratio`, 0 to 1.
    pub decrease_ratio: f64,
    /// Tokens that each kind of connection takes: all 1 unless
    /// `connection_throttle_weight_enabled`.
    pub weights: ConnectionWeights,
}

/// Tokens that a connection takes, each at least 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionWeights {
    /// `connection_throttle_global_session_weight`: to open a session.
    pub global: u64,
    /// `connection_throttle_local_session_weight`: to open a local session.
    pub local: u64,
    /// `connection_throttle_renew_session_weight`: to resume a session.
    pub renew: u64,
}

/// Who may do what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access {
    /// `skipACL`.
    pub skip_acl: bool,
    /// `enableEagerACLCheck`.
    pub eager_acl_check: bool,
    /// `enforceQuota`.
    pub enforce_quota: bool,
    /// `DigestAuthenticationProvider.enabled`.
    pub digest_enabled: bool,
    /// `DigestAuthenticationProvider.superDigest`.
    pub super_digest: Option<Secret>,
    /// `DigestAuthenticationProvider.digestAlg`.
    pub digest_algorithm: DigestAlgorithm,
    /// `ensembleAuthName`: the names that this ensemble answers to.
    pub ensemble_names: Vec<String>,
    /// `enforce.auth.*` and `sessionRequireClientSASLAuth`: schemes of which a client must have
    /// authenticated in one; `None`: it need not. Never an empty list.
    pub enforced_schemes: Option<Vec<String>>,
    /// `allowSaslFailedClients`.
    pub allow_sasl_failed_clients: bool,
    /// `reconfigEnabled`.
    pub reconfig_enabled: bool,
}

/// How the server removes znodes by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reaping {
    /// `znode.container.checkIntervalMs`, more than zero.
    pub check_interval: Duration,
    /// `znode.container.maxPerMinute`, at least 1.
    pub per_minute_max: u64,
    /// `znode.container.maxNeverUsedIntervalMs`; `None`: containers without a first child stay.
    pub never_used_after: Option<Duration>,
}

/// What operators see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operator {
    /// `4lw.commands.whitelist`: words, or `*` for all.
    pub four_letter_whitelist: Vec<String>,
    /// `readonlymode.enabled`.
    pub read_only_mode: bool,
    /// `admin.*`; `None`: no administration server is started.
    pub admin: Option<AdminServer>,
}

/// The administration server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminServer {
    /// `admin.serverAddress`: a name or an address.
    pub host: String,
    /// `admin.serverPort`.
    pub port: u16,
    /// `admin.idleTimeout`.
    pub idle_timeout: Duration,
    /// `admin.commandURL`.
    pub command_url: String,
    /// `admin.snapshot.enabled`.
    pub snapshot_enabled: bool,
    /// `admin.restore.enabled`.
    pub restore_enabled: bool,
    /// `admin.rateLimiterIntervalInMS`.
    pub rate_limiter_interval: Duration,
}

impl Config {
    /// Reads every setting from the layers, and checks those that depend on each other. From the sources come
    /// the files that only members of an ensemble have.
    pub(crate) fn from_layers(
        layers: &mut Layers,
        sources: Sources<'_>,
    ) -> Result<Self, ConfigError> {
        let described = membership::describe(layers, sources.read)?;
        let listen = Listen::from_layers(layers, &described, sources)?;
        let sessions = Sessions::from_layers(layers)?;
        let place = match described {
            Described::Standalone(_) => None,
            Described::Member(place) => {
                membership::check_sid(&place, sessions.extended_types)?;
                Some(*place)
            }
        };
        Ok(Self {
            listen,
            storage: Storage::from_layers(layers)?,
            sessions,
            limits: Limits::from_layers(layers)?,
            throttle: Throttle::from_layers(layers)?,
            access: Access::from_layers(layers)?,
            reaping: Reaping::from_layers(layers)?,
            operator: Operator::from_layers(layers)?,
            ensemble: Ensemble::from_layers(layers, place)?,
        })
    }
}

impl Storage {
    fn from_layers(layers: &mut Layers) -> Result<Self, ConfigError> {
        let data_dir = layers.value(&DATA_DIR)?;
        let flush_delay = layers.value(&FLUSH_DELAY)?;
        let purge_interval = layers.value(&PURGE_INTERVAL)?;
        let retain_count = layers.value(&SNAP_RETAIN_COUNT)?;
        let storage = Self {
            data_log_dir: layers.value(&DATA_LOG_DIR)?.unwrap_or_else(|| data_dir.clone()),
            data_dir,
            autocreate_directories: layers.value(&DATADIR_AUTOCREATE)?,
            autocreate_database: layers.value(&DB_AUTOCREATE)?,
            trust_empty_snapshot: layers.value(&SNAPSHOT_TRUST_EMPTY)?,
            snap_count: layers.value(&SNAP_COUNT)?,
            snap_size_limit_bytes: layers.value(&SNAP_SIZE_LIMIT)?,
            compression: layers.value(&SNAPSHOT_COMPRESSION)?,
            serialize_last_processed_zxid: layers.value(&SERIALIZE_LAST_PROCESSED_ZXID)?,
            digest_enabled: layers.value(&DIGEST_ENABLED)?,
            log_size_limit_bytes: layers.value(&TXN_LOG_SIZE_LIMIT)?,
            preallocation_bytes: layers.value(&PRE_ALLOC_SIZE)?,
            force_sync: layers.value(&FORCE_SYNC)?,
            fsync_warning_threshold: layers.value(&FSYNC_WARNING_THRESHOLD)?,
            flush_delay,
            write_queue_poll_time_max: layers
                .value(&MAX_WRITE_QUEUE_POLL_TIME)?
                .unwrap_or(flush_delay / 3),
            batch_size_max: layers.value(&MAX_BATCH_SIZE)?,
            autopurge: purge_interval.map(|interval| Autopurge { interval, retain_count }),
        };
        for (row, path) in
            [(&DATA_DIR.row, &storage.data_dir), (&DATA_LOG_DIR.row, &storage.data_log_dir)]
        {
            let origin = layers.origin(row);
            if path.is_relative() && origin != Origin::Default {
                let (key, path) = (row.key, path.clone());
                layers.warnings.push(Warning::RelativePath { key, path, origin });
            }
        }
        Ok(storage)
    }
}

impl Sessions {
    fn from_layers(layers: &mut Layers) -> Result<Self, ConfigError> {
        let tick = layers.value(&TICK_TIME)?;
        let given_min = layers.value(&MIN_SESSION_TIMEOUT)?;
        let timeout_min = given_min.unwrap_or(tick * 2);
        let timeout_max = layers.value(&MAX_SESSION_TIMEOUT)?.unwrap_or(tick * 20);
        if timeout_min > timeout_max {
            let to_blame =
                if given_min.is_some() { &MIN_SESSION_TIMEOUT } else { &MAX_SESSION_TIMEOUT };
            return Err(ConfigError::SessionTimeouts {
                origin: layers.origin(&to_blame.row),
                min_ms: timeout_min.as_millis(),
                max_ms: timeout_max.as_millis(),
            });
        }
        let has_extended_types = layers.value(&EXTENDED_TYPES)?;
        let has_emulation = layers.value(&EMULATE_353_TTL_NODES)?;
        Ok(Self {
            tick,
            timeout_min,
            timeout_max,
            handshake_timeout: layers.value(&SESSIONLESS_CNXN_TIMEOUT)?,
            log_deletions_on_close: layers.value(&CLOSE_SESSION_TXN)?,
            extended_types: match (has_extended_types, has_emulation) {
                (false, _) => ExtendedTypes::Disabled,
                (true, false) => ExtendedTypes::Enabled,
                (true, true) => ExtendedTypes::Emulate353,
            },
        })
    }
}

impl Limits {
    fn from_layers(layers: &mut Layers) -> Result<Self, ConfigError> {
        let frame_bytes_max = layers.value(&JUTE_MAX_BUFFER)?;
        let bytes_max = layers.value(&LARGE_REQUEST_MAX_BYTES)?;
        Ok(Self {
            frame_bytes_max,
            record_extra_bytes: layers
                .value(&JUTE_EXTRA_SIZE)?
                .unwrap_or_else(|| frame_bytes_max.max(EXTRA_BYTES_MIN)),
            outstanding_requests_max: layers.value(&GLOBAL_OUTSTANDING_LIMIT)?,
            io_threads: layers.value(&NUM_SELECTOR_THREADS)?,
            connections_per_address_max: layers.value(&MAX_CLIENT_CNXNS)?,
            connections_max: layers.value(&MAX_CNXNS)?,
            large_requests: layers
                .value(&LARGE_REQUEST_THRESHOLD)?
                .map(|threshold_bytes| LargeRequests { threshold_bytes, bytes_max }),
        })
    }
}

impl Throttle {
    fn from_layers(layers: &mut Layers) -> Result<Self, ConfigError> {
        let refuse_after = layers.value(&THROTTLED_OP_WAIT_TIME)?;
        Ok(Self {
            requests_max: layers.value(&REQUEST_THROTTLE_MAX_REQUESTS)?,
            stall_time: layers.value(&REQUEST_THROTTLE_STALL_TIME)?,
            drop_stale: layers.value(&REQUEST_THROTTLE_DROP_STALE)?,
            latency_makes_stale: layers.value(&REQUEST_STALE_LATENCY_CHECK)?,
            closed_connection_makes_stale: layers.value(&REQUEST_STALE_CONNECTION_CHECK)?,
            shutdown_timeout: layers.value(&REQUEST_THROTTLER_SHUTDOWN_TIMEOUT)?,
            refuse_after: (!refuse_after.is_zero()).then_some(refuse_after),
            connections: ConnectionThrottle::from_layers(layers)?,
        })
    }
}

impl ConnectionThrottle {
    fn from_layers(layers: &mut Layers) -> Result<Option<Self>, ConfigError> {
        let tokens = layers.value(&CONNECTION_THROTTLE_TOKENS)?;
        let fill_count = layers.value(&CONNECTION_THROTTLE_FILL_COUNT)?;
        let given_weights = ConnectionWeights {
            global: layers.value(&CONNECTION_THROTTLE_GLOBAL_WEIGHT)?,
            local: layers.value(&CONNECTION_THROTTLE_LOCAL_WEIGHT)?,
            renew: layers.value(&CONNECTION_THROTTLE_RENEW_WEIGHT)?,
        };
        let weights = match layers.value(&CONNECTION_THROTTLE_WEIGHT_ENABLED)? {
            true => given_weights,
            false => ConnectionWeights { global: 1, local: 1, renew: 1 },
        };
        let throttle = Self {
            tokens: tokens.unwrap_or(0).saturating_mul(weights.global),
            fill_time: layers.value(&CONNECTION_THROTTLE_FILL_TIME)?,
            fill_count: fill_count.saturating_mul(weights.global),
            freeze_time: layers.value(&CONNECTION_THROTTLE_FREEZE_TIME)?,
            drop_increase: layers.value(&CONNECTION_THROTTLE_DROP_INCREASE)?,
            drop_decrease: layers.value(&CONNECTION_THROTTLE_DROP_DECREASE)?,
            decrease_ratio: layers.value(&CONNECTION_THROTTLE_DECREASE_RATIO)?,
            weights,
        };
        Ok(tokens.map(|_| throttle))
    }
}

impl Access {
    fn from_layers(layers: &mut Layers) -> Result<Self, ConfigError> {
        Ok(Self {
            skip_acl: layers.value(&SKIP_ACL)?,
            eager_acl_check: layers.value(&EAGER_ACL_CHECK)?,
            enforce_quota: layers.value(&ENFORCE_QUOTA)?,
            digest_enabled: layers.value(&DIGEST_PROVIDER_ENABLED)?,
            super_digest: layers.value(&SUPER_DIGEST)?,
            digest_algorithm: layers.value(&DIGEST_ALGORITHM)?,
            ensemble_names: layers.value(&ENSEMBLE_AUTH_NAME)?,
            enforced_schemes: enforced_schemes(layers)?,
            allow_sasl_failed_clients: layers.value(&ALLOW_SASL_FAILED_CLIENTS)?,
            reconfig_enabled: layers.value(&RECONFIG_ENABLED)?,
        })
    }
}

impl Reaping {
    fn from_layers(layers: &mut Layers) -> Result<Self, ConfigError> {
        let never_used_after = layers.value(&CONTAINER_MAX_NEVER_USED_INTERVAL)?;
        Ok(Self {
            check_interval: layers.value(&CONTAINER_CHECK_INTERVAL)?,
            per_minute_max: layers.value(&CONTAINER_MAX_PER_MINUTE)?,
            never_used_after: (!never_used_after.is_zero()).then_some(never_used_after),
        })
    }
}

impl Operator {
    fn from_layers(layers: &mut Layers) -> Result<Self, ConfigError> {
        let admin = AdminServer {
            host: layers.value(&ADMIN_ADDRESS)?,
            port: layers.value(&ADMIN_PORT)?,
            idle_timeout: layers.value(&ADMIN_IDLE_TIMEOUT)?,
            command_url: layers.value(&ADMIN_COMMAND_URL)?,
            snapshot_enabled: layers.value(&ADMIN_SNAPSHOT_ENABLED)?,
            restore_enabled: layers.value(&ADMIN_RESTORE_ENABLED)?,
            rate_limiter_interval: layers.value(&ADMIN_RATE_LIMITER_INTERVAL)?,
        };
        Ok(Self {
            four_letter_whitelist: layers.value(&FOUR_LETTER_WHITELIST)?,
            read_only_mode: layers.value(&READ_ONLY_MODE)?,
            admin: layers.value(&ADMIN_ENABLED)?.then_some(admin),
        })
    }
}

/// Apache's smallest `jute.maxbuffer.extrasize`.
const EXTRA_BYTES_MIN: u32 = 1024;

fn enforced_schemes(layers: &mut Layers) -> Result<Option<Vec<String>>, ConfigError> {
    let mut schemes = layers.value(&ENFORCE_AUTH_SCHEMES)?;
    let is_enforced = layers.value(&ENFORCE_AUTH)?;
    if is_enforced && schemes.is_empty() {
        return Err(ConfigError::Value {
            origin: layers.origin(&ENFORCE_AUTH.row),
            key: ENFORCE_AUTH.row.key.to_owned(),
            value: "true".to_owned(),
            expected: "enforce.auth.schemes to be given as well".to_owned(),
        });
    }
    if !is_enforced {
        schemes.clear();
    }
    if layers.value(&REQUIRE_CLIENT_SASL)? {
        schemes.push("sasl".to_owned());
    }
    Ok((!schemes.is_empty()).then_some(schemes))
}
