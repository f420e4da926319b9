//! What operators may know of a running server, gathered from its threads.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use replica::FrontId;
use replica::view::{ConnectionStats, FrontStats, Stats};
use types::{ConnId, Zxid};

/// Everything that is counted, by who counts it.
#[derive(Debug)]
pub(crate) struct Views {
    pub(crate) fronts: Vec<Arc<FrontStats>>,
    pub(crate) replica: Arc<Stats>,
    pub(crate) log: Arc<LogStats>,
    pub(crate) snapshots: Arc<SnapshotStats>,
    /// Connections that were not let in.
    pub(crate) connections_rejected: Total,
    /// Connections that did not finish the handshake in time.
    pub(crate) handshakes_timed_out: Total,
    connections: Mutex<BTreeMap<(FrontId, ConnId), ConnectionEntry>>,
}

/// An open connection.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionEntry {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) stats: Arc<ConnectionStats>,
}

impl Views {
    pub(crate) fn new(fronts: Vec<Arc<FrontStats>>, replica: Arc<Stats>) -> Self {
        Self {
            fronts,
            replica,
            log: Arc::default(),
            snapshots: Arc::default(),
            connections_rejected: Total::default(),
            handshakes_timed_out: Total::default(),
            connections: Mutex::default(),
        }
    }

    pub(crate) fn opened(
        &self,
        front: FrontId,
        conn: ConnId,
        peer: Option<SocketAddr>,
        stats: Arc<ConnectionStats>,
    ) {
        self.lock().insert((front, conn), ConnectionEntry { peer, stats });
    }

    pub(crate) fn closed(&self, front: FrontId, conn: ConnId) {
        self.lock().remove(&(front, conn));
    }

    /// All open connections.
    pub(crate) fn connections(&self) -> Vec<ConnectionEntry> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(FrontId, ConnId), ConnectionEntry>> {
        self.connections.lock().expect("nothing panics while it lists connections")
    }
}

/// A number that any thread raises.
#[derive(Debug, Default)]
pub(crate) struct Total(AtomicU64);

impl Total {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the log thread counts.
#[derive(Debug, Default)]
pub(crate) struct LogStats {
    syncs: Total,
    sync_time_us: Total,
    slow_syncs: Total,
}

impl LogStats {
    pub(crate) fn synced(&self, took: Duration) {
        self.syncs.add(1);
        self.sync_time_us.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn slow(&self) {
        self.slow_syncs.add(1);
    }

    /// How often the log was synced, and how long that took in all.
    pub(crate) fn syncs(&self) -> (u64, Duration) {
        (self.syncs.value(), Duration::from_micros(self.sync_time_us.value()))
    }

    /// How often it took longer than the operator wants.
    pub(crate) fn slow_syncs(&self) -> u64 {
        self.slow_syncs.value()
    }
}

/// What the snapshot thread counts.
#[derive(Debug)]
pub(crate) struct SnapshotStats {
    taken: Total,
    time_ms: Total,
    failed: Total,
    last_zxid: AtomicI64,
}

impl Default for SnapshotStats {
    fn default() -> Self {
        Self {
            taken: Total::default(),
            time_ms: Total::default(),
            failed: Total::default(),
            last_zxid: AtomicI64::new(-1),
        }
    }
}

impl SnapshotStats {
    pub(crate) fn taken(&self, took: Duration, zxid: Zxid) {
        self.taken.add(1);
        self.time_ms.add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        self.last_zxid.store(zxid.raw(), Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failed.add(1);
    }
}
