//! From the configuration to the options of the parts.

use std::thread;
use std::time::Duration;

use admin::Whitelist;
use config::{Config, Limits};
use replica::access::{AccessOptions, DigestAlgorithm, Secret};
use replica::{
    ConnectionThrottleOptions, EnsembleOptions, PrepareOptions, ReapOptions,
    RequestThrottleOptions, SNAPSHOT_PART_BYTES, SnapshotOptions,
};
use storage::{
    Compression, Durability, EmptyDatabase, LogOptions, RecoverOptions, WithoutSnapshot, limits,
};
use types::{SessionId, Sid};

use crate::log_thread::GroupOptions;
use crate::snapshot_thread::KeepOptions;

/// The id of a server that is alone.
const STANDALONE_SID: Sid = Sid(1);
/// Voters of a membership, if nobody says otherwise.
const VOTERS_MIN: usize = 2;
/// I/O threads at most, unless configured; beyond that the replica is what limits.
const IO_THREADS_MAX: usize = 8;
/// I/O threads at most in any case.
const CONFIGURED_IO_THREADS_MAX: usize = 64;

/// Who this server is.
pub(super) fn sid(config: &Config) -> Sid {
    config.ensemble.as_ref().map_or(STANDALONE_SID, |ensemble| ensemble.sid)
}

pub(super) fn tree_options(config: &Config, seed: u64) -> tree::Options {
    tree::Options {
        extended_types: config.sessions.extended_types,
        digest: config.storage.digest_enabled,
        hash_seed: seed,
    }
}

pub(super) fn recover_options(config: &Config, seed: u64) -> RecoverOptions {
    RecoverOptions {
        tree: tree_options(config, seed),
        without_snapshot: match config.storage.trust_empty_snapshot {
            true => WithoutSnapshot::Replay,
            false => WithoutSnapshot::Refuse,
        },
        empty: match config.storage.autocreate_database {
            true => EmptyDatabase::Create,
            false => EmptyDatabase::RequireMarker,
        },
    }
}

pub(super) fn log_options(config: &Config) -> LogOptions {
    let storage = &config.storage;
    let wished = usize::try_from(storage.preallocation_bytes).unwrap_or(usize::MAX);
    LogOptions {
        durability: if storage.force_sync { Durability::Synced } else { Durability::Unsynced },
        file_bytes_max: storage.log_size_limit_bytes,
        space_step_bytes: wished.min(limits::LOG_SPACE_STEP_BYTES),
    }
}

pub(super) fn group_options(config: &Config) -> GroupOptions {
    let storage = &config.storage;
    GroupOptions {
        delay: storage.flush_delay,
        poll: storage.write_queue_poll_time_max,
        txns_max: usize::try_from(storage.batch_size_max).unwrap_or(usize::MAX),
        slow: storage.fsync_warning_threshold,
    }
}

pub(super) fn keep_options(config: &Config) -> KeepOptions {
    let storage = &config.storage;
    KeepOptions {
        compression: match storage.compression {
            config::Compression::None => Compression::None,
            config::Compression::Gzip => Compression::Gzip,
            config::Compression::Snappy => Compression::Snappy,
        },
        with_last_zxid: storage.serialize_last_processed_zxid,
        purge: storage.autopurge.map(|purge| {
            (purge.interval, usize::try_from(purge.retain_count).unwrap_or(usize::MAX))
        }),
    }
}

pub(super) fn whitelist(operator: &config::Operator) -> Whitelist {
    let names = operator.four_letter_whitelist.iter().map(String::as_str);
    Whitelist::new(names, operator.read_only_mode)
}

fn access_options(config: &Config) -> AccessOptions {
    let access = &config.access;
    let algorithm = match access.digest_algorithm {
        config::DigestAlgorithm::Md5 => DigestAlgorithm::Md5,
        config::DigestAlgorithm::Sha1 => DigestAlgorithm::Sha1,
        config::DigestAlgorithm::Sha224 => DigestAlgorithm::Sha224,
        config::DigestAlgorithm::Sha256 => DigestAlgorithm::Sha256,
        config::DigestAlgorithm::Sha384 => DigestAlgorithm::Sha384,
        config::DigestAlgorithm::Sha512 => DigestAlgorithm::Sha512,
    };
    let names = access.ensemble_names.iter().map(|name| name.as_str().into());
    AccessOptions {
        skip_acl: access.skip_acl,
        digest: access.digest_enabled.then_some(algorithm),
        super_digest: access.super_digest.as_ref().map(|digest| Secret(digest.reveal().into())),
        ensemble_names: Some(names.collect()),
        required_schemes: access
            .enforced_schemes
            .iter()
            .flatten()
            .map(|scheme| scheme.as_str().into())
            .collect(),
    }
}

/// How many threads move bytes. Fewer than processors: a thread with many connections finds several
/// ready at a time, and the replica, the log and the kernel's network need room too.
fn io_threads(config: &Config) -> usize {
    if let Some(configured) = config.limits.io_threads {
        return usize::try_from(configured)
            .map_or(CONFIGURED_IO_THREADS_MAX, |count| count.min(CONFIGURED_IO_THREADS_MAX));
    }
    let processors = thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).clamp(1, IO_THREADS_MAX)
}

pub(super) fn replica_options(
    config: &Config,
    seed: u64,
    first_session: SessionId,
    ensemble: Option<EnsembleOptions>,
) -> replica::Options {
    let sessions = &config.sessions;
    let Limits { frame_bytes_max, record_extra_bytes, .. } = config.limits;
    let per_minute = u32::try_from(config.reaping.per_minute_max.max(1)).unwrap_or(u32::MAX);
    let never_used = config.reaping.never_used_after;
    replica::Options {
        sid: sid(config),
        tick: sessions.tick,
        session_timeouts: sessions.timeout_min..=sessions.timeout_max,
        access: access_options(config),
        prepare: PrepareOptions {
            extended_types: sessions.extended_types,
            enforce_quota: config.access.enforce_quota,
            reconfig_enabled: config.access.reconfig_enabled,
            voters_min: config.ensemble.as_ref().map_or(VOTERS_MIN, |it| it.voters_min),
            several_addresses: config.ensemble.as_ref().is_some_and(|it| it.several_addresses),
            txn_bytes_max: frame_bytes_max as usize + record_extra_bytes as usize,
        },
        close_session_paths: sessions.log_deletions_on_close,
        snapshot: SnapshotOptions {
            txns: config.storage.snap_count,
            log_bytes: config.storage.snap_size_limit_bytes,
            part_bytes: SNAPSHOT_PART_BYTES,
        },
        reap: ReapOptions {
            interval: config.reaping.check_interval,
            pause: Duration::from_secs(60) / per_minute,
            never_used_max_ms: never_used
                .map(|after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX)),
        },
        connection_throttle: config
            .throttle
            .connections
            .map(|throttle| connection_throttle(throttle, opens_local(config))),
        request_throttle: request_throttle(&config.throttle),
        fronts: io_threads(config),
        first_session,
        seed,
        ensemble,
    }
}

/// Whether new sessions are known to this server alone.
fn opens_local(config: &Config) -> bool {
    let local_sessions = config.ensemble.as_ref().map(|ensemble| ensemble.local_sessions);
    local_sessions.is_some_and(|it| it != config::LocalSessions::Off)
}

fn connection_throttle(
    throttle: config::ConnectionThrottle,
    opens_local: bool,
) -> ConnectionThrottleOptions {
    let weights = throttle.weights;
    ConnectionThrottleOptions {
        tokens: throttle.tokens,
        fill_time: throttle.fill_time,
        fill_count: throttle.fill_count,
        freeze_time: throttle.freeze_time,
        drop_increase: throttle.drop_increase,
        drop_decrease: throttle.drop_decrease,
        decrease_ratio: throttle.decrease_ratio,
        new_session_tokens: if opens_local { weights.local } else { weights.global },
        resumed_session_tokens: weights.renew,
    }
}

fn request_throttle(throttle: &config::Throttle) -> RequestThrottleOptions {
    RequestThrottleOptions {
        requests_max: throttle.requests_max,
        drop_of_closed_connections: throttle.drop_stale && throttle.closed_connection_makes_stale,
        drop_after_session_timeout: throttle.drop_stale && throttle.latency_makes_stale,
        refuse_after: throttle.refuse_after,
    }
}
