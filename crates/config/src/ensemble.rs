//! What a member of an ensemble is told.

use std::path::PathBuf;
use std::time::Duration;

use types::Sid;
use types::membership::Membership;

use crate::error::MembershipProblem;
use crate::layer::Layers;
use crate::membership::Place;
use crate::membership_files::MembershipFiles;
use crate::setting::*;
use crate::{ConfigError, Origin};

/// What a member of an ensemble is told, beside what every server is.
#[derive(Clone, PartialEq, Debug)]
pub struct Ensemble {
    /// Where the membership is given: the line of its first server.
    pub origin: Origin,
    /// Who is in the ensemble; this server is. Its version is that of the `dynamicConfigFile`.
    pub membership: Membership,
    /// The file `<zoo.cfg>.dynamic.next`: a membership that was proposed, is newer, and is not known
    /// to be committed. Only with `reconfigEnabled` and a `dynamicConfigFile`.
    pub pending: Option<Membership>,
    /// Where changes of the membership are kept: beside `zoo.cfg`. Only with `reconfigEnabled`.
    pub files: Option<MembershipFiles>,
    /// How many voters a membership has to have: with `standaloneEnabled` a single one would start
    /// as a server that is alone.
    pub voters_min: usize,
    /// `multiAddress.enabled`: whether a server may have several addresses.
    pub several_addresses: bool,
    /// The file `myid` in `dataDir`: which of the members this server is.
    pub sid: Sid,
    /// `oraclePath`; the rule for quorums is a majority then.
    pub oracle_path: Option<PathBuf>,
    /// `leaderServes`: whether it serves clients while it leads.
    pub leader_serves: bool,
    /// `localSessionsEnabled` and `localSessionsUpgradingEnabled`.
    pub local_sessions: LocalSessions,
    /// How patient it is.
    pub limits: TickLimits,
    /// How servers find each other, and elect.
    pub election: Election,
    /// How learners get the leader's history.
    pub synchronization: Synchronization,
    /// What is about observers.
    pub observers: Observers,
}

/// Whether there are sessions that only the server of their client knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LocalSessions {
    /// There are not.
    Off,
    /// There are, and they can not create ephemerals.
    Fixed,
    /// There are, until they create an ephemeral.
    Upgradable,
}

/// How long learners may take. In ticks, each `tickTime` long, and at least 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TickLimits {
    /// `initLimit`: to connect to the leader and get its history.
    pub init_ticks: u32,
    /// `syncLimit`: to be heard of again, and to acknowledge.
    pub sync_ticks: u32,
    /// `connectToLearnerMasterLimit`, or as many as `init_ticks`: to connect to the leader.
    pub connect_ticks: u32,
}

/// How servers find each other, and elect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Election {
    /// `cnxTimeout`: how long connecting may take, more than zero.
    pub connect_timeout: Duration,
    /// `quorumCnxnTimeoutMs`: how long the other may take to say who it is; `None`: as many ticks as
    /// `syncLimit`.
    pub handshake_timeout: Option<Duration>,
    /// `tcpKeepAlive`.
    pub tcp_keep_alive: bool,
    /// `quorumListenOnAllIPs`, for the quorum port as well.
    pub listens_on_all_addresses: bool,
    /// `electionPortBindRetry`, at least 1; `None`: until it works.
    pub bind_attempts_max: Option<u64>,
    /// `fastleader.minNotificationInterval`, more than zero.
    pub notification_interval_min: Duration,
    /// `fastleader.maxNotificationInterval`, or the shortest if that is longer.
    pub notification_interval_max: Duration,
    /// `multiAddress.*`: how long to try out one of several addresses; `None`: they are not tried.
    pub reachability_timeout: Option<Duration>,
}

/// How learners get the leader's history.
#[derive(Clone, PartialEq, Debug)]
pub struct Synchronization {
    /// `leaderConnectDelayDuringRetryMs`.
    pub connect_retry_delay: Duration,
    /// `leader.maxTimeToWaitForEpoch`; `None`: as long as `initLimit` allows.
    pub epoch_wait_max: Option<Duration>,
    /// `leader.maxConcurrentSnapSyncs`: observers, at least 1.
    pub concurrent_snapshots_max: u64,
    /// `leader.maxConcurrentDiffSyncs`: observers, at least 1.
    pub concurrent_diffs_max: u64,
    /// `commitLogCount`: transactions, at least 500.
    pub committed_kept: u64,
    /// `commitLogBytes`: how long those may be together, at least 1.
    pub committed_bytes_kept: u64,
    /// `snapshotSizeFactor`: a share of the newest snapshot's bytes, from 0, which stands for any
    /// amount, to 1; `None`: the log is not read for learners.
    pub log_read_factor: Option<f64>,
    /// `forceSnapshotSync`.
    pub always_sends_snapshot: bool,
}

/// What is about observers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observers {
    /// `syncEnabled`, or `observer.syncEnabled` if that is given: whether an observer writes log and
    /// snapshots.
    pub keep_database: bool,
    /// `observer.reconnectDelayMs`.
    pub reconnect_delay_max: Duration,
    /// `observer.election.DelayMs`.
    pub election_delay_max: Duration,
    /// `observerMasterPort`; `None`: followers have no observers.
    pub master_port: Option<u16>,
    /// `observerMaster.sizeLimit`: bytes, at least 1.
    pub master_bytes_max: u64,
}

impl Ensemble {
    /// Reads the settings of the member that has this place. Those of a server without one are read
    /// too, so that a wrong value is told before it matters.
    pub(crate) fn from_layers(
        layers: &mut Layers,
        place: Option<Place>,
    ) -> Result<Option<Self>, ConfigError> {
        layers.value(&ELECTION_ALGORITHM)?;
        layers.value(&PEER_TYPE)?;
        check_security(layers, place.as_ref())?;
        let oracle_path = layers.value(&ORACLE_PATH)?;
        let leader_serves = layers.value(&LEADER_SERVES)?;
        let local_sessions = LocalSessions::from_layers(layers)?;
        let limits = TickLimits::from_layers(layers, place.as_ref())?;
        let election = Election::from_layers(layers)?;
        let synchronization = Synchronization::from_layers(layers)?;
        let observers = Observers::from_layers(layers)?;
        let several_addresses = layers.value(&MULTI_ADDRESS_ENABLED)?;
        let (Some(place), Some(limits)) = (place, limits) else { return Ok(None) };
        let Place { origin, membership, pending, files, voters_min, sid, client: _ } = place;
        Ok(Some(Self {
            origin,
            membership,
            pending,
            files,
            voters_min,
            several_addresses,
            sid,
            oracle_path,
            leader_serves,
            local_sessions,
            limits,
            election,
            synchronization,
            observers,
        }))
    }
}

impl LocalSessions {
    fn from_layers(layers: &mut Layers) -> Result<Self, ConfigError> {
        let are_enabled = layers.value(&LOCAL_SESSIONS_ENABLED)?;
        let are_upgraded = layers.value(&LOCAL_SESSIONS_UPGRADING_ENABLED)?;
        Ok(match (are_enabled, are_upgraded) {
            (false, _) => Self::Off,
            (true, false) => Self::Fixed,
            (true, true) => Self::Upgradable,
        })
    }
}

impl TickLimits {
    fn from_layers(
        layers: &mut Layers,
        place: Option<&Place>,
    ) -> Result<Option<Self>, ConfigError> {
        let init = layers.value(&INIT_LIMIT)?;
        let sync = layers.value(&SYNC_LIMIT)?;
        let connect = layers.value(&CONNECT_TO_LEARNER_MASTER_LIMIT)?;
        let Some(place) = place else { return Ok(None) };
        let missing = |row: &Row, example| ConfigError::Membership {
            origin: place.origin.clone(),
            problem: MembershipProblem::LimitMissing { key: row.key, example },
        };
        let init_ticks = init.ok_or_else(|| missing(&INIT_LIMIT.row, 10))?;
        let sync_ticks = sync.ok_or_else(|| missing(&SYNC_LIMIT.row, 5))?;
        let connect_ticks = connect.unwrap_or(init_ticks);
        Ok(Some(Self { init_ticks, sync_ticks, connect_ticks }))
    }
}

impl Election {
    fn from_layers(layers: &mut Layers) -> Result<Self, ConfigError> {
        let has_several_addresses = layers.value(&MULTI_ADDRESS_ENABLED)?;
        let are_tried = layers.value(&REACHABILITY_CHECK_ENABLED)?;
        let reachability_timeout = layers.value(&REACHABILITY_CHECK_TIMEOUT)?;
        let notification_interval_min = layers.value(&MIN_NOTIFICATION_INTERVAL)?;
        Ok(Self {
            connect_timeout: layers.value(&CNX_TIMEOUT)?,
            handshake_timeout: layers.value(&QUORUM_CNXN_TIMEOUT)?,
            tcp_keep_alive: layers.value(&TCP_KEEP_ALIVE)?,
            listens_on_all_addresses: layers.value(&QUORUM_LISTEN_ON_ALL_IPS)?,
            bind_attempts_max: layers.value(&ELECTION_PORT_BIND_RETRY)?,
            notification_interval_min,
            notification_interval_max: layers
                .value(&MAX_NOTIFICATION_INTERVAL)?
                .max(notification_interval_min),
            reachability_timeout: (has_several_addresses && are_tried)
                .then_some(reachability_timeout),
        })
    }
}

impl Synchronization {
    fn from_layers(layers: &mut Layers) -> Result<Self, ConfigError> {
        Ok(Self {
            connect_retry_delay: layers.value(&LEADER_CONNECT_DELAY)?,
            epoch_wait_max: layers.value(&MAX_TIME_TO_WAIT_FOR_EPOCH)?,
            concurrent_snapshots_max: layers.value(&MAX_CONCURRENT_SNAP_SYNCS)?,
            concurrent_diffs_max: layers.value(&MAX_CONCURRENT_DIFF_SYNCS)?,
            committed_kept: layers.value(&COMMIT_LOG_COUNT)?,
            committed_bytes_kept: layers.value(&COMMIT_LOG_BYTES)?,
            log_read_factor: layers.value(&SNAPSHOT_SIZE_FACTOR)?,
            always_sends_snapshot: layers.value(&FORCE_SNAPSHOT_SYNC)?,
        })
    }
}

impl Observers {
    fn from_layers(layers: &mut Layers) -> Result<Self, ConfigError> {
        let keep_database = layers.value(&SYNC_ENABLED)?;
        Ok(Self {
            keep_database: layers.value(&OBSERVER_SYNC_ENABLED)?.unwrap_or(keep_database),
            reconnect_delay_max: layers.value(&OBSERVER_RECONNECT_DELAY)?,
            election_delay_max: layers.value(&OBSERVER_ELECTION_DELAY)?,
            master_port: layers.value(&OBSERVER_MASTER_PORT)?,
            master_bytes_max: layers.value(&OBSERVER_MASTER_SIZE_LIMIT)?,
        })
    }
}

/// Refuses what would have to be protected and can not be: an ensemble that talks in the clear
/// because a setting was ignored is worse than one that does not start.
fn check_security(layers: &mut Layers, place: Option<&Place>) -> Result<(), ConfigError> {
    for setting in [&SSL_QUORUM, &PORT_UNIFICATION, &QUORUM_SASL_ENABLED] {
        if layers.value(setting)? && place.is_some() {
            return Err(ConfigError::Value {
                origin: layers.origin(&setting.row),
                key: setting.row.key.to_owned(),
                value: "true".to_owned(),
                expected:
                    "false, since this version can not protect what servers say to each other"
                        .to_owned(),
            });
        }
    }
    Ok(())
}
