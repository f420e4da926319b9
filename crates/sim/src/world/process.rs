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

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use replica::access::{AccessOptions, DigestAlgorithm, Secret, digest_id};
use replica::{
    Effect, EnsembleOptions, FrontId, Frontend, FrontendOptions, Input, Options, Outstanding,
    PrepareOptions, ReapOptions, Replica, RequestThrottleOptions, SnapshotOptions, first_session,
    membership_in,
};
use storage::{
    Compression, DataDir, Directories, Durability, EmptyDatabase, Log, LogOptions,
    MissingDirectory, Origin, ReceivedSnapshot, RecoverOptions, Recovered, RecoveredMember,
    SimulatedDisk, SnapshotWriter, Synced, WithoutSnapshot, put_head,
};
use tree::SnapshotHead;
use types::{ConnId, Epoch, ExtendedTypes, Instant, Memory, Now, SessionId, Sid, TxnDigest, Zxid};
use wire::election::Notification;
use wire::limits::PACKET_BYTES_MAX;
use wire::quorum::{ToLeader, ToLearner};
use wire::stored::LogBatch;
use zab::{
    ElectionOptions, HistoryBounds, Link, Memberships, ObserverMasters, ObserverPauses,
    SynchronizationsMax,
};

use super::invariants::Heard;
use super::link::LinkId;
use super::membership_file;
use super::node::{Life, NodeId};
use super::plan::{Plan, Servers};
use super::readings::Reading;
use super::receiver::{Progress, Receiver, StreamPart};
use super::way::Way;
use super::workload::OPERATOR;

/// Where the simulated server keeps its files.
const DATA_DIR: &str = "/data";
/// A running server.
pub(super) struct Process {
    pub(super) life: Life,
    servers: Servers,
    disk: SimulatedDisk,
    data_dir: DataDir<SimulatedDisk>,
    pub(super) replica: Replica,
    pub(super) fronts: Vec<Frontend>,
    /// What other servers said, in the order in which it came.
    pub(super) news: Vec<News>,
    /// For the owner, in the order in which it came.
    pub(super) inputs: Vec<Input>,
    pub(super) effects: VecDeque<Effect>,
    /// `None` after a change of the history that failed: the process ends.
    log: Option<Log<SimulatedDisk>>,
    pub(super) log_jobs: VecDeque<LogJob>,
    /// Batches that are written and not synced.
    pub(super) unsynced: Vec<Arc<LogBatch>>,
    pub(super) is_log_due: bool,
    /// Whether what is appended next comes into another file.
    pub(super) is_between_logs: bool,
    writer: Option<SnapshotWriter<SimulatedDisk>>,
    receiver: Receiver,
    /// What the log is read for.
    pub(super) readings: BTreeMap<Link, Reading>,
    pub(super) snapshot_jobs: VecDeque<KeeperJob>,
    pub(super) is_snapshot_due: bool,
    /// When the owner looks at its inputs next, as far as the agenda says.
    pub(super) next_step: Option<Instant>,
    /// What it knew of itself when it started; `None` if it is alone.
    pub(super) recalled: Option<zab::Recovered>,
    /// Who is in the ensemble, as far as it knows.
    pub(super) memberships: Memberships,
    /// What it was told in elections.
    pub(super) heard: Heard,
    /// What is done with learners that connect.
    pub(super) admission: Admission,
    /// How far it has come on its way into an epoch.
    pub(super) way: Way,
    /// Connections of which it was told that they are over.
    pub(super) ended: BTreeSet<Link>,
    /// Attempts to connect to a leader. Only the last one counts.
    pub(super) attempts: u64,
    pub(super) links: BTreeMap<(FrontId, ConnId), LinkId>,
}

/// What is done with learners that connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    Wait,
    Admit,
    Refuse,
}

/// What waits for the log's thread.
#[derive(Debug)]
pub(super) enum LogJob {
    /// Since when.
    Append(Instant, Arc<LogBatch>),
    Roll,
    /// What a member of an ensemble makes durable behind all that was appended.
    Change(Change),
}

/// What a member of an ensemble makes durable beside its log.
#[derive(Debug)]
pub(super) enum Change {
    AcceptEpoch(Epoch),
    /// Of a learner also where the history ends that comes before.
    AdoptEpoch(Epoch, Option<Zxid>),
    KeepMemberships(Memberships),
    Cut(Zxid),
    Install(Link, Box<ReceivedSnapshot<SimulatedDisk>>),
}

/// What waits for the snapshots' thread.
#[derive(Debug)]
pub(super) enum KeeperJob {
    /// Something of a snapshot of this server.
    Write(SnapshotJob),
    /// Something of the snapshot of a leader.
    Receive(StreamPart),
}

/// What is written of a snapshot.
#[derive(Debug)]
pub(super) enum SnapshotJob {
    Begin(SnapshotHead),
    Part(Vec<u8>),
    End { last_applied: Zxid, digest: Option<TxnDigest> },
    Abandon,
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
    /// It is complete, and what it replaces could not be removed. The server goes on.
    NotPurged,
    /// It is of a history that was cut or replaced meanwhile.
    Outdated,
    /// It belongs to one that failed before.
    Void,
}

/// What was said by another server, or became of a connection to one.
#[derive(Debug)]
pub(super) enum News {
    Of(zab::Input<'static>),
    /// The body of a frame, and who sent it.
    Vote(Link, Sid, Vec<u8>),
    /// Whole packets.
    FromLeader(Link, Vec<u8>),
    /// Whole packets.
    FromLearner(Link, Vec<u8>),
}

/// The directories of the server.
pub(super) fn directories() -> Directories {
    Directories::shared(DATA_DIR)
}

/// The file by which an operator says that a member is new.
pub(super) fn marker() -> PathBuf {
    Path::new(DATA_DIR).join("initialize")
}

/// How the tree is made, in the server and for comparison.
pub(super) fn tree_options(seed: u64) -> tree::Options {
    tree::Options { extended_types: ExtendedTypes::Enabled, digest: true, hash_seed: seed }
}

/// Reads what is on the disk: all of it, or, as a member of an ensemble, what can be read.
pub(super) fn recover(
    disk: &SimulatedDisk,
    servers: Servers,
    seed: u64,
) -> Result<(DataDir<SimulatedDisk>, RecoveredMember), storage::Error> {
    let data_dir = DataDir::open(disk.clone(), directories(), MissingDirectory::Create)?;
    let options = recover_options(servers, seed);
    let found = match servers.are_ensemble() {
        true => data_dir.recover_member(&options)?,
        false => RecoveredMember { recovered: data_dir.recover(&options)?, loss: None },
    };
    Ok((data_dir, found))
}

/// How the log is written.
pub(super) fn log_options(plan: &Plan) -> LogOptions {
    LogOptions {
        durability: Durability::Synced,
        file_bytes_max: plan.log_file_bytes,
        space_step_bytes: plan.log_space_bytes,
    }
}

/// Members of an ensemble do not take an empty disk for that of a new server unless they are told
/// to, since disks may be lost.
pub(super) fn recover_options(servers: Servers, seed: u64) -> RecoverOptions {
    RecoverOptions {
        tree: tree_options(seed),
        without_snapshot: WithoutSnapshot::Refuse,
        empty: match servers.are_ensemble() {
            true => EmptyDatabase::RequireMarker,
            false => EmptyDatabase::Create,
        },
    }
}

impl Process {
    /// A server that goes on from what was recovered.
    pub(super) fn start(
        life: Life,
        plan: &Plan,
        seed: u64,
        now: Now,
        disk: SimulatedDisk,
        (data_dir, recovered): (DataDir<SimulatedDisk>, Recovered),
    ) -> Result<Self, storage::Error> {
        let log = data_dir.log(log_options(plan), recovered.last_logged)?;
        let recalled = match plan.servers.are_ensemble() {
            true => Some(recall(&data_dir, &recovered)?),
            false => None,
        };
        let memberships = match plan.servers.are_changing() {
            true => membership_file::load(&disk),
            false => Memberships::from(plan.servers.membership(life.node)),
        };
        let ensemble = recalled.clone().map(|recalled| {
            let seed = seed ^ life.node.0 as u64;
            ensemble_options(life.node, plan, seed, recalled, memberships.clone())
        });
        let wanted = first_session(life.node.sid(), now.wall_ms, &recovered.tree);
        let first = data_dir.reserve_session_ids(wanted)?;
        let mut options = replica_options(life.node.sid(), plan, seed, first);
        options.ensemble = ensemble;
        let replica = Replica::new(options, recovered.tree, now);
        let fronts = fronts(plan, seed, &replica);
        Ok(Self {
            life,
            servers: plan.servers,
            disk,
            data_dir,
            replica,
            fronts,
            news: Vec::new(),
            inputs: Vec::new(),
            effects: VecDeque::new(),
            log: Some(log),
            log_jobs: VecDeque::new(),
            unsynced: Vec::new(),
            is_log_due: false,
            is_between_logs: false,
            writer: None,
            receiver: Receiver::new(tree_options(seed)),
            readings: BTreeMap::new(),
            snapshot_jobs: VecDeque::new(),
            is_snapshot_due: false,
            next_step: None,
            recalled,
            memberships,
            heard: Heard::default(),
            admission: Admission::Wait,
            way: Way::default(),
            ended: BTreeSet::new(),
            attempts: 0,
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
        let _at_the_helm = tracing::error_span!("server", sid = self.life.node.sid().0).entered();
        let mut effects = Vec::new();
        for news in std::mem::take(&mut self.news) {
            if let News::Of(zab::Input::QuorumLinkClosed { link }) = news {
                self.ended.insert(link);
            }
            news.tell(&mut self.replica, &mut self.heard, now, &mut effects);
        }
        self.replica.step(now, &mut self.inputs, &mut effects);
        self.effects.extend(effects);
    }

    /// Moves what a frontend has for the owner to the owner's inputs.
    pub(super) fn forward(&mut self, front: FrontId) {
        let Self { fronts, inputs, .. } = self;
        inputs.append(fronts[front.0].inputs());
    }

    /// Writes one batch, rolls the log, or changes what is beside it. Tells whether that was done: a cut
    /// may be refused.
    pub(super) fn log_job(&mut self, job: LogJob) -> Result<bool, storage::Error> {
        match job {
            LogJob::Append(_, batch) => {
                self.log().append(&batch)?;
                self.is_between_logs = false;
                self.unsynced.push(batch);
            }
            LogJob::Roll => {
                let synced = self.log().roll()?;
                self.is_between_logs = true;
                self.synced(synced);
            }
            LogJob::Change(change) => {
                let answer = self.change(change)?;
                let is_refused =
                    matches!(answer, Some(Input::Peer(zab::Input::NotTruncated { .. })));
                self.inputs.extend(answer);
                return Ok(!is_refused);
            }
        }
        Ok(true)
    }

    /// Makes everything written durable, and tells the owner.
    pub(super) fn sync(&mut self) -> Result<(), storage::Error> {
        let synced = self.log().sync()?;
        self.synced(synced);
        Ok(())
    }

    /// What the log's thread does when nothing waits.
    pub(super) fn prepare_log(&mut self) -> Result<(), storage::Error> {
        self.log().prepare()
    }

    fn log(&mut self) -> &mut Log<SimulatedDisk> {
        self.log.as_mut().expect("a process whose log is gone does nothing more")
    }

    /// Makes a change durable, behind what was written before; returns what the owner is told.
    fn change(&mut self, change: Change) -> Result<Option<Input>, storage::Error> {
        Ok(Some(match change {
            Change::AcceptEpoch(epoch) => {
                let epoch = self.data_dir.store_accepted_epoch(epoch)?.epoch();
                Input::Peer(zab::Input::AcceptedEpochStored(epoch))
            }
            Change::AdoptEpoch(epoch, _) => {
                let epoch = self.data_dir.store_current_epoch(epoch)?.epoch();
                Input::Peer(zab::Input::CurrentEpochStored(epoch))
            }
            Change::KeepMemberships(memberships) => {
                membership_file::store(&self.disk, self.life.node.sid(), &memberships)?;
                return Ok(None);
            }
            Change::Cut(keep) if self.data_dir.cut_refusal(keep)?.is_some() => {
                let last_logged = self.log().last_logged();
                Input::Peer(zab::Input::NotTruncated { last_logged })
            }
            Change::Cut(last_logged) => {
                let log = self.log.take().expect("a process whose log is gone does nothing more");
                let seed = self.receiver.tree_options().hash_seed;
                let options = recover_options(self.servers, seed);
                let (log, recovered) = self.data_dir.rewind(log, last_logged, &options)?;
                self.log = Some(log);
                Input::DatabaseCut { last_logged, tree: Box::new(recovered.tree) }
            }
            Change::Install(link, snapshot) => {
                let log = self.log.take().expect("a process whose log is gone does nothing more");
                let last_applied = snapshot.zxid();
                let (log, tree) = self.data_dir.install(log, *snapshot)?;
                self.log = Some(log);
                Input::DatabaseReplaced { link, last_applied, tree: Box::new(tree) }
            }
        }))
    }

    /// Reads the log for a learner; `None` if nothing is wanted for it any more.
    pub(super) fn read_for(
        &mut self,
        link: Link,
        part_bytes: usize,
    ) -> Option<Result<zab::Input<'static>, storage::Error>> {
        let reading = self.readings.remove(&link)?;
        Some(reading.advance(&self.data_dir, link, part_bytes).map(|(input, rest)| {
            self.readings.extend(rest.map(|rest| (link, rest)));
            input
        }))
    }

    /// Takes something of the snapshot of a leader.
    pub(super) fn receive(&mut self, part: StreamPart) -> Progress {
        self.receiver.take(&self.data_dir, part)
    }

    /// Writes what comes next of a snapshot.
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
                match finished.map(|finished| finished.map(|_| self.purge())) {
                    Some(Ok(Ok(()))) => SnapshotProgress::Finished,
                    Some(Ok(Err(_))) => SnapshotProgress::NotPurged,
                    Some(Err(storage::Error::OtherBranch { .. })) => SnapshotProgress::Outdated,
                    Some(Err(_)) => SnapshotProgress::Failed,
                    None => SnapshotProgress::Void,
                }
            }
            (SnapshotJob::Part(_) | SnapshotJob::End { .. }, None) => SnapshotProgress::Void,
            (SnapshotJob::Abandon, _) => {
                self.writer = None;
                self.inputs.push(Input::SnapshotAbandoned);
                SnapshotProgress::Void
            }
        };
        match progress {
            SnapshotProgress::Void => {}
            SnapshotProgress::Written => self.inputs.push(Input::SnapshotTakesMore),
            SnapshotProgress::Finished => self.inputs.push(Input::SnapshotOver),
            SnapshotProgress::Failed | SnapshotProgress::NotPurged | SnapshotProgress::Outdated => {
                self.writer = None;
                self.inputs.push(Input::SnapshotOver);
            }
        }
        progress
    }

    /// The transactions that wait for the log's thread.
    pub(super) fn unlogged(&self) -> impl Iterator<Item = Zxid> {
        let batches = self.log_jobs.iter().filter_map(|job| match job {
            LogJob::Append(_, batch) => Some(batch),
            LogJob::Roll | LogJob::Change(_) => None,
        });
        batches.flat_map(|batch| batch.proposals().map(|proposal| proposal.zxid()))
    }

    /// Whether a snapshot is on its way to the disk.
    pub(super) fn is_writing_snapshot(&self) -> bool {
        self.writer.is_some() || self.receiver.is_receiving()
    }

    /// Removes files that no snapshot kept needs.
    fn purge(&self) -> Result<(), storage::Error> {
        self.data_dir.purge(storage::limits::SNAPSHOTS_RETAINED_MIN).map(drop)
    }

    /// Stops in an orderly way.
    pub(super) fn close(self) -> Result<(), storage::Error> {
        self.log.map_or(Ok(()), |log| log.close().map(drop))
    }

    fn begin_snapshot(
        &mut self,
        head: &SnapshotHead,
    ) -> Result<SnapshotWriter<SimulatedDisk>, storage::Error> {
        // One that was given up may have the same name, and takes its file away when it goes.
        self.writer = None;
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

impl News {
    /// Tells it the replica. What comes from other servers is well formed: it was looked at before.
    fn tell(self, replica: &mut Replica, heard: &mut Heard, now: Now, effects: &mut Vec<Effect>) {
        match self {
            Self::Of(input) => replica.take(now, input, effects),
            Self::Vote(link, from, body) => {
                if let Ok(notification) = Notification::decode(&body) {
                    heard.note(from, &notification);
                    replica.take(now, zab::Input::Notified { link, notification }, effects);
                }
            }
            Self::FromLeader(link, bytes) => {
                let mut rest = &bytes[..];
                while let Ok(Some((packet, taken))) = ToLearner::decode(rest, PACKET_BYTES_MAX) {
                    heard.note_designation(&packet);
                    replica.take(now, zab::Input::FromLeader { link, packet }, effects);
                    rest = &rest[taken..];
                }
            }
            Self::FromLearner(link, bytes) => {
                let mut rest = &bytes[..];
                while let Ok(Some((packet, taken))) = ToLeader::decode(rest, PACKET_BYTES_MAX) {
                    replica.take(now, zab::Input::FromLearner { link, packet }, effects);
                    rest = &rest[taken..];
                }
            }
        }
    }
}

fn replica_options(sid: Sid, plan: &Plan, seed: u64, first_session: SessionId) -> Options {
    Options {
        sid,
        tick: plan.tick,
        session_timeouts: plan.tick * 2..=plan.tick * 20,
        access: access_options(plan.servers),
        prepare: PrepareOptions {
            extended_types: ExtendedTypes::Enabled,
            enforce_quota: false,
            reconfig_enabled: plan.servers.are_changing(),
            voters_min: 2,
            several_addresses: false,
            txn_bytes_max: PACKET_BYTES_MAX,
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

/// What takes the bytes of clients.
fn fronts(plan: &Plan, seed: u64, replica: &Replica) -> Vec<Frontend> {
    let outstanding = Arc::new(Outstanding::new(plan.outstanding_max));
    let front = |number| {
        let options = FrontendOptions {
            access: access_options(plan.servers),
            frame_bytes_max: wire::limits::FRAME_BYTES_MAX,
            outstanding: Arc::clone(&outstanding),
            long_answer_bytes: plan.long_answer_bytes,
            large_requests: None,
            eager_acl_check: false,
            seed,
        };
        Frontend::new(options, replica.reader(FrontId(number)))
    };
    (0..plan.fronts).map(front).collect()
}

/// What a member knows of itself when it starts.
fn recall(
    data_dir: &DataDir<SimulatedDisk>,
    recovered: &Recovered,
) -> Result<zab::Recovered, storage::Error> {
    let epochs = data_dir.epochs(recovered.last_logged)?;
    Ok(zab::Recovered {
        accepted_epoch: epochs.accepted,
        current_epoch: epochs.current,
        last_logged: recovered.last_logged,
        memory: match recovered.origin {
            Origin::Unknown => Memory::Shortened { had: None },
            Origin::Snapshot(_) | Origin::Logs | Origin::Created => epochs.memory,
        },
        is_between_states: data_dir.is_between_states()?,
        change: membership_in(&recovered.tree),
    })
}

/// How a server takes part in its ensemble.
fn ensemble_options(
    node: NodeId,
    plan: &Plan,
    seed: u64,
    recovered: zab::Recovered,
    memberships: Memberships,
) -> EnsembleOptions {
    let (sid, limits) = (node.sid(), &plan.ensemble);
    let peer = zab::Options {
        sid,
        tick: plan.tick,
        init_limit: limits.init_limit,
        sync_limit: limits.sync_limit,
        history: HistoryBounds { txns_min: limits.history_min, bytes_max: limits.history_bytes },
        log_reading: limits.log_reading,
        snapshots_only: limits.snapshots_only,
        has_oracle: false,
        epoch_wait_max: None,
        observer_pauses: ObserverPauses::default(),
        observer_masters: ObserverMasters::Leader,
        synchronizations_max: SynchronizationsMax { snapshots: 10, diffs: 100 },
        received_bytes_max: limits.received_bytes_max,
        is_reconfigurable: plan.servers.are_changing(),
        election: ElectionOptions {
            sid,
            notify_min: limits.notify_max / 10,
            notify_max: limits.notify_max,
            finalize: limits.finalize,
            seed,
        },
    };
    EnsembleOptions {
        peer,
        memberships,
        recovered,
        local_sessions: limits.local_sessions,
        leader_serves: true,
        read_only_after: limits.read_only_after,
    }
}

fn access_options(servers: Servers) -> AccessOptions {
    let of_operator = || Secret(digest_id(DigestAlgorithm::Sha1, OPERATOR).id);
    AccessOptions {
        digest: Some(DigestAlgorithm::Sha1),
        super_digest: servers.are_changing().then(of_operator),
        ..AccessOptions::default()
    }
}
