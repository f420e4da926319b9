//! Every setting through every layer, and what it changes.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has failed")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use config::{Base, CommandLine, Config, ConfigError, Loaded, Origin};
use expect_test::expect;

/// Each key with a value that is not its default, and what else must be set for it to show.
const CASES: &[(&str, &str, &[&str])] = &[
    ("clientPort", "2182", &[]),
    ("clientPortAddress", "127.0.0.2", &["clientPort=2181"]),
    ("clientPortListenBacklog", "128", &[]),
    ("clientTcpKeepAlive", "true", &[]),
    ("dataDir", "/other", &[]),
    ("dataLogDir", "/logs", &[]),
    ("snapCount", "1000", &[]),
    ("snapSizeLimitInKb", "2", &[]),
    ("txnLogSizeLimitInKb", "3", &[]),
    ("preAllocSize", "4", &[]),
    ("forceSync", "no", &[]),
    ("fsync.warningthresholdms", "50", &[]),
    ("flushDelay", "30", &[]),
    ("maxWriteQueuePollTime", "5", &[]),
    ("maxBatchSize", "10", &[]),
    ("snapshot.compression.method", "gz", &[]),
    ("snapshot.trust.empty", "true", &[]),
    ("datadir.autocreate", "false", &[]),
    ("db.autocreate", "false", &[]),
    ("digest.enabled", "false", &[]),
    ("serializeLastProcessedZxid.enabled", "false", &[]),
    ("autopurge.snapRetainCount", "5", &["autopurge.purgeInterval=1"]),
    ("autopurge.purgeInterval", "30m", &[]),
    ("tickTime", "500", &[]),
    ("minSessionTimeout", "4000", &[]),
    ("maxSessionTimeout", "90000", &[]),
    ("nio.sessionlessCnxnTimeout", "7000", &[]),
    ("closeSessionTxn.enabled", "false", &[]),
    ("extendedTypesEnabled", "true", &[]),
    ("emulate353TTLNodes", "true", &["extendedTypesEnabled=true"]),
    ("jute.maxbuffer", "0x400000", &[]),
    ("jute.maxbuffer.extrasize", "2000", &[]),
    ("globalOutstandingLimit", "20", &[]),
    ("nio.numSelectorThreads", "3", &[]),
    ("maxClientCnxns", "0", &[]),
    ("maxCnxns", "100", &[]),
    ("largeRequestMaxBytes", "5000", &["largeRequestThreshold=100"]),
    ("largeRequestThreshold", "1000", &[]),
    ("request_throttle_max_requests", "8", &[]),
    ("request_throttle_stall_time", "9", &[]),
    ("request_throttle_drop_stale", "false", &[]),
    ("request_stale_latency_check", "true", &[]),
    ("request_stale_connection_check", "false", &[]),
    ("request_throttler.shutdownTimeout", "11", &[]),
    ("throttled_op_wait_time", "12", &[]),
    ("connection_throttle_tokens", "13", &[]),
    ("connection_throttle_fill_time", "14", &["connection_throttle_tokens=1"]),
    ("connection_throttle_fill_count", "15", &["connection_throttle_tokens=1"]),
    ("connection_throttle_freeze_time", "16", &["connection_throttle_tokens=1"]),
    ("connection_throttle_drop_increase", "0.5", &["connection_throttle_tokens=1"]),
    ("connection_throttle_drop_decrease", "0.25", &["connection_throttle_tokens=1"]),
    ("connection_throttle_decrease_ratio", "0.125", &["connection_throttle_tokens=1"]),
    ("connection_throttle_weight_enabled", "true", &["connection_throttle_tokens=1"]),
    ("connection_throttle_global_session_weight", "4", WEIGHTS),
    ("connection_throttle_local_session_weight", "5", WEIGHTS),
    ("connection_throttle_renew_session_weight", "6", WEIGHTS),
    ("skipACL", "yes", &[]),
    ("enableEagerACLCheck", "true", &[]),
    ("enforceQuota", "true", &[]),
    ("DigestAuthenticationProvider.enabled", "false", &[]),
    ("DigestAuthenticationProvider.superDigest", "super:x", &[]),
    ("DigestAuthenticationProvider.digestAlg", "SHA-256", &[]),
    ("ensembleAuthName", "blue, green", &[]),
    ("enforce.auth.enabled", "true", &["enforce.auth.schemes=digest,ip"]),
    ("enforce.auth.schemes", "digest", &["enforce.auth.schemes=ip", "enforce.auth.enabled=true"]),
    ("sessionRequireClientSASLAuth", "true", &[]),
    ("allowSaslFailedClients", "true", &[]),
    ("reconfigEnabled", "true", &[]),
    ("znode.container.checkIntervalMs", "1000", &[]),
    ("znode.container.maxPerMinute", "20", &[]),
    ("znode.container.maxNeverUsedIntervalMs", "3000", &[]),
    ("4lw.commands.whitelist", "stat, ruok,*", &[]),
    ("readonlymode.enabled", "true", &[]),
    ("admin.enableServer", "false", &[]),
    ("admin.serverAddress", "127.0.0.1", &[]),
    ("admin.serverPort", "8081", &[]),
    ("admin.idleTimeout", "21", &[]),
    ("admin.commandURL", "/do", &[]),
    ("admin.snapshot.enabled", "false", &[]),
    ("admin.restore.enabled", "false", &[]),
    ("admin.rateLimiterIntervalInMS", "22", &[]),
    ("multiAddress.enabled", "true", ENSEMBLE),
    ("multiAddress.reachabilityCheckEnabled", "false", SEVERAL_ADDRESSES),
    ("multiAddress.reachabilityCheckTimeoutMs", "23", SEVERAL_ADDRESSES),
    ("oraclePath", "/oracle", ENSEMBLE),
    ("leaderServes", "no", ENSEMBLE),
    ("localSessionsEnabled", "true", ENSEMBLE),
    ("localSessionsUpgradingEnabled", "true", LOCAL_SESSIONS),
    ("cnxTimeout", "24", ENSEMBLE),
    ("quorumCnxnTimeoutMs", "25", ENSEMBLE),
    ("tcpKeepAlive", "true", ENSEMBLE),
    ("quorumListenOnAllIPs", "true", ENSEMBLE),
    ("electionPortBindRetry", "0", ENSEMBLE),
    ("fastleader.minNotificationInterval", "70000", ENSEMBLE),
    ("fastleader.maxNotificationInterval", "26000", ENSEMBLE),
    ("initLimit", "27", ENSEMBLE),
    ("syncLimit", "28", ENSEMBLE),
    ("connectToLearnerMasterLimit", "29", ENSEMBLE),
    ("leaderConnectDelayDuringRetryMs", "30", ENSEMBLE),
    ("leader.maxTimeToWaitForEpoch", "31", ENSEMBLE),
    ("leader.maxConcurrentSnapSyncs", "32", ENSEMBLE),
    ("leader.maxConcurrentDiffSyncs", "33", ENSEMBLE),
    ("commitLogCount", "3400", ENSEMBLE),
    ("commitLogBytes", "3401", ENSEMBLE),
    ("snapshotSizeFactor", "-1", ENSEMBLE),
    ("forceSnapshotSync", "true", ENSEMBLE),
    ("syncEnabled", "false", ENSEMBLE),
    ("observer.syncEnabled", "false", ENSEMBLE),
    ("observer.reconnectDelayMs", "35", ENSEMBLE),
    ("observer.election.DelayMs", "36", ENSEMBLE),
    ("observerMasterPort", "37", ENSEMBLE),
    ("observerMaster.sizeLimit", "38", ENSEMBLE),
];

const ENSEMBLE: &[&str] = &["server.1=a:1:2", "server.2=b:1:2", "initLimit=10", "syncLimit=5"];

const SEVERAL_ADDRESSES: &[&str] = &[
    "server.1=a:1:2|c:1:2",
    "server.2=b:1:2",
    "initLimit=10",
    "syncLimit=5",
    "multiAddress.enabled=true",
];

const LOCAL_SESSIONS: &[&str] = &[
    "server.1=a:1:2",
    "server.2=b:1:2",
    "initLimit=10",
    "syncLimit=5",
    "localSessionsEnabled=true",
];

const WEIGHTS: &[&str] =
    &["connection_throttle_tokens=1", "connection_throttle_weight_enabled=true"];

/// Settings that decide what else is looked at, or what is refused, and are not part of the result.
const WITHOUT_FIELD: [&str; 7] = [
    "standaloneEnabled",
    "dynamicConfigFile",
    "peerType",
    "sslQuorum",
    "portUnification",
    "quorum.auth.enableSasl",
    "electionAlg",
];

/// A `dataDir` that says in `myid` that its server is the second.
const DATA_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/member");

/// A directory with a `zoo.cfg` of these lines after one for `dataDir`.
fn zoo_cfg(lines: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zoo.cfg");
    std::fs::write(&path, format!("dataDir={DATA_DIR}\n{lines}\n")).unwrap();
    (directory, path)
}

fn load(
    path: &Path,
    environment: &[(&str, &str)],
    settings: &[String],
) -> Result<Loaded, ConfigError> {
    let environment =
        environment.iter().map(|(variable, text)| ((*variable).into(), (*text).into()));
    let base = Base::File(path.to_owned());
    let command_line = CommandLine { base, settings: settings.to_vec() };
    let mut loaded = config::load(&command_line, environment)?;
    // It names the file, and each test has its own.
    if let Some(ensemble) = &mut loaded.config.ensemble {
        ensemble.origin = Origin::Default;
    }
    Ok(loaded)
}

/// The variable of a key, as the reference for operators describes it.
fn variable_of(key: &str) -> String {
    let mut variable = String::from("REEFKEEPER_");
    let (mut before, mut characters) = (None::<char>, key.chars().peekable());
    while let Some(character) = characters.next() {
        let is_hump = character.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_ascii_uppercase()
                        && characters.peek().is_some_and(char::is_ascii_lowercase))
            });
        if is_hump {
            variable.push('_');
        }
        let is_word = character.is_ascii_alphanumeric();
        variable.push(if is_word { character.to_ascii_uppercase() } else { '_' });
        before = Some(character);
    }
    variable
}

#[test]
fn every_setting_is_a_case() {
    let (_directory, path) = zoo_cfg("");
    let effective = load(&path, &[], &[]).unwrap().effective;
    let (without, with): (Vec<&str>, Vec<&str>) = effective
        .iter()
        .map(|effective| effective.key.as_str())
        .partition(|key| WITHOUT_FIELD.contains(key));
    assert_eq!(with, CASES.iter().map(|(key, ..)| *key).collect::<Vec<_>>());
    assert_eq!(without, WITHOUT_FIELD);
}

#[test]
fn every_setting_works_in_every_layer() {
    for &(key, value, companions) in CASES {
        let companions = companions.join("\n");
        let (_directory, path) = zoo_cfg(&companions);
        let before = load(&path, &[], &[]).unwrap().config;
        let check = |loaded: Loaded, origin: Origin| -> Config {
            let effective = loaded.effective.iter().find(|effective| effective.key == key).unwrap();
            let shown = if key.contains("superDigest") { "(hidden)" } else { value };
            assert_eq!((effective.value.as_str(), &effective.origin), (shown, &origin), "{key}");
            assert_ne!(loaded.config, before, "{key} changes nothing in layer {origin}");
            loaded.config
        };
        let in_file = |name: &str| {
            let (_directory, path) = zoo_cfg(&format!("{companions}\n{name} = {value}"));
            let line = 2 + companions.lines().count().max(1);
            check(load(&path, &[], &[]).unwrap(), Origin::File { path, line })
        };
        let expected = in_file(key);
        assert_eq!(in_file(&format!("zookeeper.{key}")), expected, "{key}");

        let variable = variable_of(key);
        let loaded = load(&path, &[(&variable, value)], &[]).unwrap();
        assert_eq!(check(loaded, Origin::Environment(variable)), expected, "{key}");

        for name in [key.to_owned(), format!("zookeeper.{key}")] {
            let loaded = load(&path, &[], &[format!("{name}={value}")]).unwrap();
            assert_eq!(check(loaded, Origin::Flag), expected, "{key}");

            // The file wins over a word for Java, so only what it does not give can show.
            if key == "dataDir" || companions.contains(&format!("{key}=")) {
                continue;
            }
            // The words of a variable end at blanks, as in Apache's scripts.
            let words = format!("-Xmx1g -D{name}={}", value.replace(' ', ""));
            let loaded = load(&path, &[("SERVER_JVMFLAGS", &words)], &[]).unwrap();
            assert_eq!(loaded.config, expected, "{key} in SERVER_JVMFLAGS");
        }
    }
}

#[test]
fn every_setting_changes_its_field() {
    let mut changes = String::new();
    for &(key, value, companions) in CASES {
        let (_directory, path) = zoo_cfg(&companions.join("\n"));
        let before = format!("{:#?}", load(&path, &[], &[]).unwrap().config);
        let setting = format!("{key}={value}");
        let after =
            format!("{:#?}", load(&path, &[], std::slice::from_ref(&setting)).unwrap().config);
        let is_new = |line: &&str| !before.lines().any(|old| old == *line);
        let lines: Vec<&str> = after.lines().filter(is_new).map(str::trim).collect();
        writeln!(changes, "{setting}: {}", lines.join(" ")).unwrap();
    }
    expect![[r#"
        clientPort=2182: client_address: Some( [::]:2182,
        clientPortAddress=127.0.0.2: 127.0.0.2:2181,
        clientPortListenBacklog=128: backlog: Some( 128,
        clientTcpKeepAlive=true: tcp_keep_alive: true,
        dataDir=/other: data_dir: "/other", data_log_dir: "/other",
        dataLogDir=/logs: data_log_dir: "/logs",
        snapCount=1000: snap_count: 1000,
        snapSizeLimitInKb=2: 2048,
        txnLogSizeLimitInKb=3: log_size_limit_bytes: Some( 3072,
        preAllocSize=4: preallocation_bytes: 4096,
        forceSync=no: force_sync: false,
        fsync.warningthresholdms=50: fsync_warning_threshold: 50ms,
        flushDelay=30: flush_delay: 30ms, write_queue_poll_time_max: 10ms,
        maxWriteQueuePollTime=5: write_queue_poll_time_max: 5ms,
        maxBatchSize=10: batch_size_max: 10,
        snapshot.compression.method=gz: compression: Gzip,
        snapshot.trust.empty=true: trust_empty_snapshot: true,
        datadir.autocreate=false: autocreate_directories: false,
        db.autocreate=false: autocreate_database: false,
        digest.enabled=false: digest_enabled: false,
        serializeLastProcessedZxid.enabled=false: serialize_last_processed_zxid: false,
        autopurge.snapRetainCount=5: retain_count: 5,
        autopurge.purgeInterval=30m: autopurge: Some( Autopurge { interval: 1800s, retain_count: 3,
        tickTime=500: tick: 500ms, timeout_min: 1s, timeout_max: 10s,
        minSessionTimeout=4000: timeout_min: 4s,
        maxSessionTimeout=90000: timeout_max: 90s,
        nio.sessionlessCnxnTimeout=7000: handshake_timeout: 7s,
        closeSessionTxn.enabled=false: log_deletions_on_close: false,
        extendedTypesEnabled=true: extended_types: Enabled,
        emulate353TTLNodes=true: extended_types: Emulate353,
        jute.maxbuffer=0x400000: frame_bytes_max: 4194304, record_extra_bytes: 4194304,
        jute.maxbuffer.extrasize=2000: record_extra_bytes: 2000,
        globalOutstandingLimit=20: outstanding_requests_max: 20,
        nio.numSelectorThreads=3: io_threads: Some( 3,
        maxClientCnxns=0: connections_per_address_max: None,
        maxCnxns=100: connections_max: Some( 100,
        largeRequestMaxBytes=5000: bytes_max: 5000,
        largeRequestThreshold=1000: large_requests: Some( LargeRequests { threshold_bytes: 1000, bytes_max: 104857600,
        request_throttle_max_requests=8: requests_max: Some( 8,
        request_throttle_stall_time=9: stall_time: 9ms,
        request_throttle_drop_stale=false: drop_stale: false,
        request_stale_latency_check=true: latency_makes_stale: true,
        request_stale_connection_check=false: closed_connection_makes_stale: false,
        request_throttler.shutdownTimeout=11: shutdown_timeout: 11ms,
        throttled_op_wait_time=12: refuse_after: Some( 12ms,
        connection_throttle_tokens=13: connections: Some( ConnectionThrottle { tokens: 13, fill_time: 1ms, fill_count: 1, freeze_time: None, drop_increase: 0.02, drop_decrease: 0.002, decrease_ratio: 0.0, weights: ConnectionWeights { global: 1, local: 1, renew: 1, },
        connection_throttle_fill_time=14: fill_time: 14ms,
        connection_throttle_fill_count=15: fill_count: 15,
        connection_throttle_freeze_time=16: freeze_time: Some( 16ms, ),
        connection_throttle_drop_increase=0.5: drop_increase: 0.5,
        connection_throttle_drop_decrease=0.25: drop_decrease: 0.25,
        connection_throttle_decrease_ratio=0.125: decrease_ratio: 0.125,
        connection_throttle_weight_enabled=true: tokens: 3, fill_count: 3, global: 3, renew: 2,
        connection_throttle_global_session_weight=4: tokens: 4, fill_count: 4, global: 4,
        connection_throttle_local_session_weight=5: local: 5,
        connection_throttle_renew_session_weight=6: renew: 6,
        skipACL=yes: skip_acl: true,
        enableEagerACLCheck=true: eager_acl_check: true,
        enforceQuota=true: enforce_quota: true,
        DigestAuthenticationProvider.enabled=false: digest_enabled: false,
        DigestAuthenticationProvider.superDigest=super:x: super_digest: Some( Secret(..),
        DigestAuthenticationProvider.digestAlg=SHA-256: digest_algorithm: Sha256,
        ensembleAuthName=blue, green: ensemble_names: [ "blue", "green", ],
        enforce.auth.enabled=true: enforced_schemes: Some( [ "digest", "ip", ],
        enforce.auth.schemes=digest: "digest",
        sessionRequireClientSASLAuth=true: enforced_schemes: Some( [ "sasl", ],
        allowSaslFailedClients=true: allow_sasl_failed_clients: true,
        reconfigEnabled=true: reconfig_enabled: true,
        znode.container.checkIntervalMs=1000: check_interval: 1s,
        znode.container.maxPerMinute=20: per_minute_max: 20,
        znode.container.maxNeverUsedIntervalMs=3000: never_used_after: Some( 3s,
        4lw.commands.whitelist=stat, ruok,*: four_letter_whitelist: [ "stat", "ruok", "*", ],
        readonlymode.enabled=true: read_only_mode: true,
        admin.enableServer=false: admin: None,
        admin.serverAddress=127.0.0.1: host: "127.0.0.1",
        admin.serverPort=8081: port: 8081,
        admin.idleTimeout=21: idle_timeout: 21ms,
        admin.commandURL=/do: command_url: "/do",
        admin.snapshot.enabled=false: snapshot_enabled: false,
        admin.restore.enabled=false: restore_enabled: false,
        admin.rateLimiterIntervalInMS=22: rate_limiter_interval: 22ms,
        multiAddress.enabled=true: several_addresses: true, reachability_timeout: Some( 1s,
        multiAddress.reachabilityCheckEnabled=false: reachability_timeout: None,
        multiAddress.reachabilityCheckTimeoutMs=23: 23ms,
        oraclePath=/oracle: oracle_path: Some( "/oracle",
        leaderServes=no: leader_serves: false,
        localSessionsEnabled=true: local_sessions: Fixed,
        localSessionsUpgradingEnabled=true: local_sessions: Upgradable,
        cnxTimeout=24: connect_timeout: 24ms,
        quorumCnxnTimeoutMs=25: handshake_timeout: Some( 25ms,
        tcpKeepAlive=true: tcp_keep_alive: true,
        quorumListenOnAllIPs=true: listens_on_all_addresses: true,
        electionPortBindRetry=0: bind_attempts_max: None,
        fastleader.minNotificationInterval=70000: notification_interval_min: 70s, notification_interval_max: 70s,
        fastleader.maxNotificationInterval=26000: notification_interval_max: 26s,
        initLimit=27: init_ticks: 27, connect_ticks: 27,
        syncLimit=28: sync_ticks: 28,
        connectToLearnerMasterLimit=29: connect_ticks: 29,
        leaderConnectDelayDuringRetryMs=30: connect_retry_delay: 30ms,
        leader.maxTimeToWaitForEpoch=31: epoch_wait_max: Some( 31ms,
        leader.maxConcurrentSnapSyncs=32: concurrent_snapshots_max: 32,
        leader.maxConcurrentDiffSyncs=33: concurrent_diffs_max: 33,
        commitLogCount=3400: committed_kept: 3400,
        commitLogBytes=3401: committed_bytes_kept: 3401,
        snapshotSizeFactor=-1: log_read_factor: None,
        forceSnapshotSync=true: always_sends_snapshot: true,
        syncEnabled=false: keep_database: false,
        observer.syncEnabled=false: keep_database: false,
        observer.reconnectDelayMs=35: reconnect_delay_max: 35ms,
        observer.election.DelayMs=36: election_delay_max: 36ms,
        observerMasterPort=37: master_port: Some( 37,
        observerMaster.sizeLimit=38: master_bytes_max: 38,
    "#]].assert_eq(&changes);
}
