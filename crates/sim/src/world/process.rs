//! The server: the real replica, frontends and storage, with the work of their threads as entries
//! of the agenda.
//!
//! | thread | takes in one go |
//! |---|---|
//! | I/O, one per frontend | a piece of bytes of one connection, or its mail |
//! | owner | everything that the frontends and the other threads have sent |
//! | log | some of the batches that wait, then one sync |
//! | snapshot | one part |
//!
//! Before and after each effect, write and sync is a point at which the process can die.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use replica::access::{AccessOptions, DigestAlgorithm};
use replica::{
    Effect, FrontId, Frontend, FrontendOptions, Input, Options, Outstanding, PrepareOptions,
    ReapOptions, Replica, RequestThrottleOptions, SnapshotOptions, first_session,
};
use storage::{
    Compression, DataDir, Directories, Durability, EmptyDatabase, Log, LogOptions,
    MissingDirectory, RecoverOptions, Recovered, SimulatedDisk, SnapshotWriter, Synced,
    WithoutSnapshot, put_head,
};
use tree::SnapshotHead;
use types::{ConnId, ExtendedTypes, Instant, Now, SessionId, Sid, TxnDigest, Zxid};
use wire::stored::LogBatch;

use super::link::LinkId;
use super::node::Life;
use super::plan::Plan;

/// Where the simulated server keeps its files.
const DATA_DIR: &str = "/data";

/// A running server.
pub(super) struct Process {
    pub(super) life: Life,
    data_dir: DataDir<SimulatedDisk>,
    pub(super) replica: Replica,
    pub(super) fronts: Vec<Frontend>,
    /// For the owner, in the order in which it came.
    pub(super) inputs: Vec<Input>,
    pub(super) effects: VecDeque<Effect>,
    log: Log<SimulatedDisk>,
    pub(super) log_jobs: VecDeque<LogJob>,
    /// Batches that are written and not synced.
    pub(super) unsynced: Vec<Arc<LogBatch>>,
    pub(super) is_log_due: bool,
    writer: Option<SnapshotWriter<SimulatedDisk>>,
    pub(super) snapshot_jobs: VecDeque<SnapshotJob>,
    pub(super) is_snapshot_due: bool,
    /// When the owner looks at its inputs next, as far as the agenda says.
    pub(super) next_step: Option<Instant>,
    pub(super) links: BTreeMap<(FrontId, ConnId), LinkId>,
}

/// What waits for the log's thread.
#[derive(Debug)]
pub(super) enum LogJob {
    Append(Arc<LogBatch>),
    Roll,
}

/// What waits for the snapshot's thread.
#[derive(Debug)]
pub(super) enum SnapshotJob {
    Begin(SnapshotHead),
    Part(Vec<u8>),
    End { last_applied: Zxid, digest: Option<TxnDigest> },
}

/// What became of a part of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SnapshotProgress {
    /// A part was written, or the head.
    Written,
    /// It is complete.
    Finished,
    /// It failed, and the server goes on.
    Failed,
    /// It belongs to one that failed before.
    Void,
}

/// The directories of the server.
pub(super) fn directories() -> Directories {
    Directories::shared(DATA_DIR)
}

/// How the tree is made, in the server and for comparison.
pub(super) fn tree_options(seed: u64) -> tree::Options {
    tree::Options { extended_types: ExtendedTypes::Enabled, digest: true, hash_seed: seed }
}

/// Reads what is on the disk.
pub(super) fn recover(
    disk: &SimulatedDisk,
    seed: u64,
) -> Result<(DataDir<SimulatedDisk>, Recovered), storage::Error> {
    let data_dir = DataDir::open(disk.clone(), directories(), MissingDirectory::Create)?;
    let recovered = data_dir.recover(&RecoverOptions {
        tree: tree_options(seed),
        without_snapshot: WithoutSnapshot::Refuse,
        empty: EmptyDatabase::Create,
    })?;
    Ok((data_dir, recovered))
}

impl Process {
    /// A server that goes on from what was recovered.
    pub(super) fn start(
        life: Life,
        plan: &Plan,
        seed: u64,
        now: Now,
        data_dir: DataDir<SimulatedDisk>,
        recovered: Recovered,
    ) -> Result<Self, storage::Error> {
        let log_options = LogOptions {
            durability: Durability::Synced,
            file_bytes_max: plan.log_file_bytes,
            space_step_bytes: plan.log_space_bytes,
        };
        let log = data_dir.log(log_options, recovered.last_logged)?;
        let wanted = first_session(life.node.sid(), now.wall_ms, &recovered.tree);
        let first = data_dir.reserve_session_ids(wanted)?;
        let replica =
            Replica::new(replica_options(life.node.sid(), plan, seed, first), recovered.tree, now);
        let outstanding = Arc::new(Outstanding::new(plan.outstanding_max));
        let fronts = (0..plan.fronts)
            .map(|number| {
                let options = FrontendOptions {
                    access: access_options(),
                    frame_bytes_max: wire::limits::FRAME_BYTES_MAX,
                    outstanding: Arc::clone(&outstanding),
                    long_answer_bytes: plan.long_answer_bytes,
                    large_requests: None,
                    eager_acl_check: false,
                    seed,
                };
                Frontend::new(options, replica.reader(FrontId(number)))
            })
            .collect();
        Ok(Self {
            life,
            data_dir,
            replica,
            fronts,
            inputs: Vec::new(),
            effects: VecDeque::new(),
            log,
            log_jobs: VecDeque::new(),
            unsynced: Vec::new(),
            is_log_due: false,
            writer: None,
            snapshot_jobs: VecDeque::new(),
            is_snapshot_due: false,
            next_step: None,
            links: BTreeMap::new(),
        })
    }

    /// Accepts a connection.
    pub(super) fn accept(
        &mut self,
        now: Now,
        front: FrontId,
        peer: IpAddr,
        link: LinkId,
    ) -> ConnId {
        let conn = self.fronts[front.0].open(now, peer);
        self.links.insert((front, conn), link);
        conn
    }

    /// Lets the owner work off its inputs; what it wants done is in `effects` then.
    pub(super) fn step(&mut self, now: Now) {
        let mut effects = Vec::new();
        self.replica.step(now, &mut self.inputs, &mut effects);
        self.effects.extend(effects);
    }

    /// Moves what a frontend has for the owner to the owner's inputs.
    pub(super) fn forward(&mut self, front: FrontId) {
        let Self { fronts, inputs, .. } = self;
        inputs.append(fronts[front.0].inputs());
    }

    /// Writes one batch, or rolls the log.
    pub(super) fn log_job(&mut self, job: LogJob) -> Result<(), storage::Error> {
        match job {
            LogJob::Append(batch) => {
                self.log.append(&batch)?;
                self.unsynced.push(batch);
            }
            LogJob::Roll => {
                let synced = self.log.roll()?;
                self.synced(synced);
            }
        }
        Ok(())
    }

    /// Makes everything written durable, and tells the owner.
    pub(super) fn sync(&mut self) -> Result<(), storage::Error> {
        let synced = self.log.sync()?;
        self.synced(synced);
        Ok(())
    }

    /// What the log's thread does when nothing waits.
    pub(super) fn prepare_log(&mut self) -> Result<(), storage::Error> {
        self.log.prepare()
    }

    /// Does what waits for the snapshot's thread next.
    pub(super) fn snapshot_job(&mut self, job: SnapshotJob) -> SnapshotProgress {
        let progress = match (job, &mut self.writer) {
            (SnapshotJob::Begin(head), _) => match self.begin_snapshot(&head) {
                Ok(writer) => {
                    self.writer = Some(writer);
                    SnapshotProgress::Written
                }
                Err(_) => SnapshotProgress::Failed,
            },
            (SnapshotJob::Part(bytes), Some(writer)) => match writer.write(&bytes) {
                Ok(()) => SnapshotProgress::Written,
                Err(_) => SnapshotProgress::Failed,
            },
            (SnapshotJob::End { last_applied, digest }, Some(_)) => {
                let digest = digest.map(|digest| (last_applied, digest));
                let finished =
                    self.writer.take().map(|writer| writer.finish(digest, Some(last_applied)));
                match finished.map(|finished| finished.and_then(|_| self.purge())) {
                    Some(Ok(())) => SnapshotProgress::Finished,
                    Some(Err(_)) => SnapshotProgress::Failed,
                    None => SnapshotProgress::Void,
                }
            }
            (SnapshotJob::Part(_) | SnapshotJob::End { .. }, None) => SnapshotProgress::Void,
        };
        match progress {
            SnapshotProgress::Void => {}
            SnapshotProgress::Written => self.inputs.push(Input::SnapshotTakesMore),
            SnapshotProgress::Finished => self.inputs.push(Input::SnapshotOver),
            SnapshotProgress::Failed => {
                self.writer = None;
                self.inputs.push(Input::SnapshotOver);
            }
        }
        progress
    }

    /// Whether a snapshot is on its way to the disk.
    pub(super) fn is_writing_snapshot(&self) -> bool {
        self.writer.is_some()
    }

    /// Removes files that no snapshot kept needs.
    fn purge(&self) -> Result<(), storage::Error> {
        self.data_dir.purge(storage::limits::SNAPSHOTS_RETAINED_MIN).map(drop)
    }

    /// Stops in an orderly way.
    pub(super) fn close(self) -> Result<(), storage::Error> {
        self.log.close().map(drop)
    }

    fn begin_snapshot(
        &self,
        head: &SnapshotHead,
    ) -> Result<SnapshotWriter<SimulatedDisk>, storage::Error> {
        let mut writer = self.data_dir.start_snapshot(head.zxid, Compression::None)?;
        let mut records = Vec::new();
        put_head(&mut records, head);
        writer.write(&records)?;
        Ok(writer)
    }

    fn synced(&mut self, synced: Synced) {
        let zxid = synced.zxid();
        let spares = self.unsynced.drain(..).map(Arc::into_inner);
        self.inputs.extend(spares.map(|spare| Input::LogSynced { zxid, spare }));
    }
}

fn replica_options(sid: Sid, plan: &Plan, seed: u64, first_session: SessionId) -> Options {
    Options {
        sid,
        tick: plan.tick,
        session_timeouts: plan.tick * 2..=plan.tick * 20,
        access: access_options(),
        prepare: PrepareOptions {
            extended_types: ExtendedTypes::Enabled,
            enforce_quota: false,
            reconfig_enabled: false,
        },
        close_session_paths: true,
        snapshot: SnapshotOptions {
            txns: plan.snapshot_txns,
            log_bytes: plan.snapshot_log_bytes,
            part_bytes: plan.snapshot_part_bytes,
        },
        reap: ReapOptions {
            interval: plan.reap_interval,
            pause: plan.tick,
            never_used_max_ms: None,
        },
        connection_throttle: None,
        request_throttle: RequestThrottleOptions::OFF,
        fronts: plan.fronts,
        first_session,
        seed,
        ensemble: None,
    }
}

fn access_options() -> AccessOptions {
    AccessOptions { digest: Some(DigestAlgorithm::Sha1), ..AccessOptions::default() }
}
