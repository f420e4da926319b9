//! Names that Apache knows and that are no settings here, and names that only its manual knows.

/// What becomes of a key that is no setting of this server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// Part of nearly every file, and about ensembles only: ignored without a word.
    EnsembleOnly,
    /// Means nothing here, for this reason.
    WithoutEffect(&'static str),
    /// Belongs to something that there is not yet.
    NotSupportedYet(&'static str),
}

const JAVA_ENGINE: Fate =
    Fate::WithoutEffect("it tunes the threads and buffers of the Java server");
const WATCH_TABLE: Fate = Fate::WithoutEffect("there is one watch table, which needs no tuning");
const REPLY_CACHE: Fate = Fate::WithoutEffect("replies are not cached");
const JVM_PAUSES: Fate = Fate::WithoutEffect("there is no Java virtual machine that pauses");
const LOGGING: Fate = Fate::WithoutEffect("it configures Java's logging");
const TESTS: Fate = Fate::WithoutEffect("it is for Apache's own tests");
const TLS: Fate = Fate::NotSupportedYet("TLS is");
const SASL: Fate = Fate::NotSupportedYet("SASL is");
const PLUGINS: Fate = Fate::NotSupportedYet("further authentication providers are");
const METRICS: Fate = Fate::NotSupportedYet("metrics providers are");
const AUDIT: Fate = Fate::NotSupportedYet("the audit log is");
const PATH_STATISTICS: Fate = Fate::NotSupportedYet("statistics of request paths are");

/// Keys, and beginnings of keys (those that end with `*`). The first that fits decides.
pub(crate) const KNOWN: &[(&str, Fate)] = &[
    ("sslQuorumReloadCertFiles", Fate::EnsembleOnly),
    ("ssl.quorum.*", Fate::EnsembleOnly),
    ("quorum.*", Fate::EnsembleOnly),
    ("leader.*", Fate::EnsembleOnly),
    ("follower.*", Fate::EnsembleOnly),
    ("learner.*", Fate::EnsembleOnly),
    ("forward_learner_requests_to_commit_processor_disabled", Fate::EnsembleOnly),
    ("messageTracker.*", Fate::EnsembleOnly),
    ("kerberos.canonicalizeHostNames", Fate::EnsembleOnly),
    ("serverCnxnFactory", JAVA_ENGINE),
    ("nio.*", JAVA_ENGINE),
    ("netty.*", JAVA_ENGINE),
    ("intBufferStartingSizeBytes", JAVA_ENGINE),
    ("commitProcessor.*", JAVA_ENGINE),
    ("watchManagerName", WATCH_TABLE),
    ("watcherClean*", WATCH_TABLE),
    ("maxInProcessingDeadWatchers", WATCH_TABLE),
    ("bitHashCacheSize", WATCH_TABLE),
    ("maxResponseCacheSize", REPLY_CACHE),
    ("maxGetChildrenResponseCacheSize", REPLY_CACHE),
    ("jvm.pause.*", JVM_PAUSES),
    ("jmx.*", Fate::WithoutEffect("there is no JMX")),
    ("log.*", LOGGING),
    ("root.logger", LOGGING),
    ("console.threshold", LOGGING),
    ("testingonly.*", TESTS),
    ("test.*", TESTS),
    ("controllerPort", TESTS),
    ("admin.httpVersion", JAVA_ENGINE),
    ("admin.portUnification", TLS),
    ("admin.forceHttps", TLS),
    ("admin.needClientAuth", TLS),
    ("secureClientPort*", TLS),
    ("ssl.*", TLS),
    ("client.portUnification", TLS),
    ("client.certReload", TLS),
    ("X509AuthenticationProvider.*", TLS),
    ("fips-mode", TLS),
    ("sasl.*", SASL),
    ("SASLAuthenticationProvider.*", SASL),
    ("superUser*", SASL),
    ("letAnySaslUserDoX", SASL),
    ("java.security.auth.login.config", SASL),
    ("security.auth_to_local", SASL),
    ("kerberos.*", SASL),
    ("requireKerberosConfig", SASL),
    ("kinit", SASL),
    ("authProvider.*", PLUGINS),
    (
        "IPAuthenticationProvider.usexforwardedfor",
        Fate::NotSupportedYet("the HTTP admin server is"),
    ),
    ("metricsProvider.*", METRICS),
    ("audit.*", AUDIT),
    ("pathStats.*", PATH_STATISTICS),
];

/// Settings that are read and checked while what they are about does not exist yet, by key or
/// beginning of a key. What is built takes its line out.
pub(crate) const NOT_ACTED_ON: &[(&str, &str)] = &[
    ("admin.*", "the HTTP admin server is"),
    ("allowSaslFailedClients", "SASL is"),
    // All addresses of a server are tried at once, and the first that answers is taken.
    ("multiAddress.reachabilityCheck*", "trying out addresses before they are used is"),
    ("syncEnabled", "an observer without files is"),
    ("observer.syncEnabled", "an observer without files is"),
    ("observerMaster.sizeLimit", "another history for observers than for followers is"),
];

/// Names in Apache's manual that Apache itself does not read, and what it reads.
pub(crate) const MANUAL_NAMES: &[(&str, &str)] = &[
    ("connectionMaxTokens", "connection_throttle_tokens"),
    ("connectionTokenFillTime", "connection_throttle_fill_time"),
    ("connectionTokenFillCount", "connection_throttle_fill_count"),
    ("connectionFreezeTime", "connection_throttle_freeze_time"),
    ("connectionDropIncrease", "connection_throttle_drop_increase"),
    ("connectionDropDecrease", "connection_throttle_drop_decrease"),
    ("connectionDecreaseRatio", "connection_throttle_decrease_ratio"),
    ("requestThrottleLimit", "request_throttle_max_requests"),
    ("requestThrottleStallTime", "request_throttle_stall_time"),
    ("requestThrottleDropStale", "request_throttle_drop_stale"),
    ("requestStaleLatencyCheck", "request_stale_latency_check"),
    ("requestStaleConnectionCheck", "request_stale_connection_check"),
    ("throttledOpWaitTime", "throttled_op_wait_time"),
    ("advancedFlowControlEnabled", "netty.advancedFlowControl.enabled"),
];

/// What becomes of a key (without the prefix of properties) that is no setting.
pub(crate) fn fate(key: &str) -> Option<Fate> {
    KNOWN.iter().find(|(pattern, _)| fits(pattern, key)).map(|&(_, fate)| fate)
}

/// What a setting is about, if that does not exist yet.
pub(crate) fn not_acted_on(key: &str) -> Option<&'static str> {
    NOT_ACTED_ON.iter().find(|(pattern, _)| fits(pattern, key)).map(|&(_, what)| what)
}

fn fits(pattern: &str, key: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => key.starts_with(beginning),
        None => key == pattern,
    }
}

/// The manual's name and the real one, if this is such a name.
pub(crate) fn manual_name(key: &str) -> Option<(&'static str, &'static str)> {
    MANUAL_NAMES.iter().find(|(manual, _)| *manual == key).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting;

    #[test]
    fn no_setting_is_declared_without_effect() {
        for row in setting::ROWS {
            assert_eq!(manual_name(row.key), None, "{}", row.key);
        }
        for (pattern, _) in KNOWN {
            assert!(setting::find(pattern).is_none(), "{pattern}");
        }
    }

    #[test]
    fn what_is_not_acted_on_is_a_setting() {
        for (pattern, _) in NOT_ACTED_ON {
            assert!(setting::ROWS.iter().any(|row| fits(pattern, row.key)), "{pattern}");
        }
    }

    #[test]
    fn manual_names_stand_for_something() {
        for (manual, real) in MANUAL_NAMES {
            assert!(setting::find(real).is_some() || fate(real).is_some(), "{manual}");
        }
    }

    #[test]
    fn beginnings_fit_only_with_a_star() {
        assert_eq!(fate("nio.numWorkerThreads"), Some(JAVA_ENGINE));
        assert_eq!(fate("ssl.quorum.protocol"), Some(Fate::EnsembleOnly));
        assert_eq!(fate("ssl.protocol"), Some(TLS));
        assert_eq!(fate("initLimits"), None);
    }
}
