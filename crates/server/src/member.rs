//! What a member of an ensemble is told: from its configuration, and from its directories.

use std::sync::Arc;
use std::time::Duration;

use config::{Config, Ensemble};
use replica::{EnsembleOptions, LocalSessions, membership_in};
use storage::{DataDir, Epochs, Error, Origin, Recovered};
use tracing::warn;
use types::Memory;
use zab::{
    ElectionOptions, HistoryBounds, LogReading, Memberships, ObserverMasters, ObserverPauses,
    SynchronizationsMax,
};

use crate::machine::ServerDisk;

/// How long an election that could end is kept open for a better candidate, as Apache's servers do.
const FINALIZE: Duration = Duration::from_millis(200);

/// How long a server without a leader waits for one before it serves reads only, or a tick if that is
/// longer; as Apache's.
const READ_ONLY_AFTER_MIN: Duration = Duration::from_secs(2);

/// How a member takes part in its ensemble, given what it has recovered.
///
/// # Errors
/// When the epochs on the disk can not be used.
pub(crate) fn ensemble_options(
    config: &Config,
    ensemble: &Ensemble,
    data_dir: &DataDir<ServerDisk>,
    recovered: &Recovered,
    seed: u64,
) -> Result<EnsembleOptions, Error> {
    let Epochs { accepted, current, memory } = data_dir.epochs(recovered.last_logged)?;
    let memory = match recovered.origin {
        Origin::Unknown => Memory::Shortened { had: None },
        Origin::Snapshot(_) | Origin::Logs | Origin::Created => memory,
    };
    match memory {
        Memory::Whole => {}
        Memory::Shortened { had: None } => {
            warn!(
                "something may be lost here: no vote before a leader has sent all of the history"
            );
        }
        Memory::Shortened { had: Some(had) } => {
            warn!(%had, "a leader took a part of the history away, and has not sent it again: a vote only for who has it");
        }
    }
    Ok(EnsembleOptions {
        peer: peer_options(config, ensemble, seed),
        memberships: memberships(ensemble),
        recovered: zab::Recovered {
            accepted_epoch: accepted,
            current_epoch: current,
            last_logged: recovered.last_logged,
            memory,
            is_between_states: data_dir.is_between_states()?,
            change: membership_in(&recovered.tree),
        },
        local_sessions: match ensemble.local_sessions {
            config::LocalSessions::Off => LocalSessions::Off,
            config::LocalSessions::Fixed => LocalSessions::Fixed,
            config::LocalSessions::Upgradable => LocalSessions::Upgradable,
        },
        leader_serves: ensemble.leader_serves,
        read_only_after: config
            .operator
            .read_only_mode
            .then_some(READ_ONLY_AFTER_MIN.max(config.sessions.tick)),
    })
}

fn peer_options(config: &Config, ensemble: &Ensemble, seed: u64) -> zab::Options {
    let Ensemble { sid, limits, election, synchronization, .. } = ensemble;
    zab::Options {
        sid: *sid,
        tick: config.sessions.tick,
        init_limit: limits.init_ticks,
        sync_limit: limits.sync_ticks,
        history: HistoryBounds {
            txns_min: saturating(synchronization.committed_kept),
            bytes_max: saturating(synchronization.committed_bytes_kept),
        },
        log_reading: match synchronization.log_read_factor {
            None => LogReading::Off,
            Some(0.0) => LogReading::Unlimited,
            Some(share) => LogReading::Share(share),
        },
        snapshots_only: synchronization.always_sends_snapshot,
        has_oracle: ensemble.oracle_path.is_some(),
        epoch_wait_max: synchronization.epoch_wait_max,
        observer_masters: match ensemble.observers.master_port {
            None => ObserverMasters::Leader,
            Some(_) => ObserverMasters::Followers,
        },
        synchronizations_max: SynchronizationsMax {
            snapshots: saturating(synchronization.concurrent_snapshots_max),
            diffs: saturating(synchronization.concurrent_diffs_max),
        },
        received_bytes_max: zab::RECEIVED_BYTES_MAX,
        observer_pauses: ObserverPauses {
            each: ensemble.observers.reconnect_delay_max,
            again: ensemble.observers.election_delay_max,
        },
        is_reconfigurable: config.access.reconfig_enabled,
        election: ElectionOptions {
            sid: *sid,
            notify_min: election.notification_interval_min,
            notify_max: election.notification_interval_max,
            finalize: FINALIZE,
            seed,
        },
    }
}

fn saturating(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Who is in the ensemble when the server starts.
pub(crate) fn memberships(ensemble: &Ensemble) -> Memberships {
    let committed = Arc::new(ensemble.membership.clone());
    Memberships::new(committed, ensemble.pending.clone().map(Arc::new))
}
