//! From a configuration to a running server.

mod options;
mod threads;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::SocketAddr;

use config::Config;
use mio::net::TcpListener;
use replica::first_session;
use storage::{DataDir, Directories, MissingDirectory, Recovered, RecoveredMember};
use tracing::{info, warn};
use tree::Tree;

use crate::clock::{Clock, wall_ms};
use crate::crew::Crew;
use crate::door;
use crate::machine::{ServerDisk, disk};
use crate::member::{ensemble_options, memberships};
use crate::peers::errand::Errand;
use crate::peers::{self, Peers, PeersError, PeersThread};

use self::options::{log_options, recover_options, replica_options, sid};
use self::threads::Threads;

/// Why a server did not start.
#[derive(thiserror::Error, Debug)]
pub enum StartError {
    /// The directories or what is in them.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The port for clients.
    #[error("can not listen on {address} for clients (clientPort)")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The connections to the other servers of the ensemble.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// Threads, or telling of events on sockets.
    #[error("the system does not provide what the server needs")]
    System(#[from] io::Error),
}

/// A server that was started.
pub(crate) struct Started {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) crew: Crew,
}

/// Recovers the database, opens the port and starts the threads.
pub(crate) fn start(config: &Config) -> Result<Started, StartError> {
    let clock = Clock::start();
    let seed = RandomState::new().build_hasher().finish();
    let data_dir = open_directories(config)?;
    let recovered = recover(&data_dir, config, seed)?;
    let log = data_dir.log(log_options(config), recovered.last_logged)?;
    let ensemble = match &config.ensemble {
        None => None,
        Some(ensemble) => Some(ensemble_options(config, ensemble, &data_dir, &recovered, seed)?),
    };
    let wanted = first_session(sid(config), wall_ms(), &recovered.tree);
    let first_session = data_dir.reserve_session_ids(wanted)?;
    let peers = peers_thread(config, clock)?;
    // The port is opened last: who can connect is served.
    let listener = listen(config)?;
    let address = match &listener {
        Some(listener) => Some(listener.local_addr()?),
        None => None,
    };
    let (recovery_ms, replayed) = (clock.instant().millis(), recovered.txns_replayed);
    let options = replica_options(config, seed, first_session, ensemble);
    let threads = Threads::new(config, clock, recovered, options)?;
    threads.views.metrics.dbinittime.record(recovery_ms);
    threads.views.metrics.startup_txns_loaded.record(replayed);
    let crew = threads.start(config, log, data_dir, listener, peers)?;
    if let Some(address) = address {
        info!(%address, "serving");
    }
    Ok(Started { address, crew })
}

/// The connections of a member to the others.
fn peers_thread(config: &Config, clock: Clock) -> Result<Option<(Peers, PeersThread)>, PeersError> {
    let Some(ensemble) = &config.ensemble else { return Ok(None) };
    let (peers, thread) = PeersThread::new(peers::options::Options::new(config, ensemble), clock)?;
    peers.run(&mut vec![Errand::Memberships(memberships(ensemble))]);
    Ok(Some((peers, thread)))
}

fn open_directories(config: &Config) -> Result<DataDir<ServerDisk>, storage::Error> {
    let directories = Directories {
        snapshots: config.storage.data_dir.clone(),
        logs: config.storage.data_log_dir.clone(),
    };
    let missing = if config.storage.autocreate_directories {
        MissingDirectory::Create
    } else {
        MissingDirectory::Refuse
    };
    DataDir::open(disk(), directories, missing)
}

fn recover(
    data_dir: &DataDir<ServerDisk>,
    config: &Config,
    seed: u64,
) -> Result<Recovered, storage::Error> {
    let start = std::time::Instant::now();
    let options = recover_options(config, seed);
    let mut recovered = match &config.ensemble {
        None => data_dir.recover(&options)?,
        Some(_) => {
            let RecoveredMember { recovered, loss } = data_dir.recover_member(&options)?;
            if let Some(loss) = loss {
                warn!(%loss, "going on with what can be read, a leader has the rest");
            }
            recovered
        }
    };
    for (file, damage) in &recovered.unreadable_snapshots {
        warn!(file = %file.display(), %damage, "snapshot not readable, an older one was taken");
    }
    if let Some(trimmed) = &recovered.trimmed {
        warn!(file = %trimmed.file.display(), bytes = trimmed.bytes, damage = %trimmed.damage,
            "removed what an interrupted write had left at the end of the log");
    }
    if recovered.digest_mismatches > 0 {
        warn!(times = recovered.digest_mismatches, "the digest of the replayed tree differed");
    }
    if config.ensemble.is_none() {
        remove_dead_ephemerals(&mut recovered.tree);
    }
    info!(zxid = %recovered.last_logged, znodes = recovered.tree.node_count(),
        replayed = recovered.txns_replayed, took_ms = start.elapsed().as_millis(), "recovered");
    Ok(recovered)
}

/// Ends sessions that are over and have left something. The members of an ensemble change their trees
/// by transactions only, so that they stay equal.
fn remove_dead_ephemerals(tree: &mut Tree) {
    let dead: Vec<_> = tree.dead_ephemeral_owners().collect();
    for session in dead {
        info!(%session, "ephemerals of a session that is over are removed");
        tree.kill_session(session, &mut |_| {});
    }
}

fn listen(config: &Config) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = config.listen.client_address else { return Ok(None) };
    let listener = door::listen(&config.listen, address)
        .map_err(|source| StartError::Listen { address, source })?;
    Ok(Some(listener))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use mio::unix::SourceFd;
    use mio::{Interest, Token};
    use types::SessionId;

    use super::*;
    use crate::fixture::Site;

    #[test]
    fn a_start_that_fails_halfway_leaves_nothing_running() {
        let Site { config, .. } = &Site::new();
        let data_dir = open_directories(config).expect("a directory");
        let recovered = recover(&data_dir, config, 1).expect("an empty database");
        let log = data_dir.log(log_options(config), recovered.last_logged).expect("a log");
        let listener = listen(config).expect("a port").expect("configured");
        let options = replica_options(config, 1, SessionId(1), None);
        let threads = Threads::new(config, Clock::start(), recovered, options).expect("the parts");
        // The system refuses to tell of a listener twice.
        let (_, poll, _) = &threads.frontends[0];
        let again = &mut SourceFd(&listener.as_raw_fd());
        poll.registry().register(again, Token(0), Interest::READABLE).expect("once");

        let failure = threads.start(config, log, data_dir, Some(listener), None);
        assert!(matches!(failure, Err(StartError::System(_))), "{failure:?}");
        start(config).expect("the directory is free");
    }
}
