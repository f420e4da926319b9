//! The threads that wait for the disk: one for the log, one for snapshots.

use std::time::Duration;

use super::death::Death;
use super::log_image::LogImage;
use super::network::far;
use super::node::{Life, Node, NodeId};
use super::process::{Change, KeeperJob, LogJob, SnapshotJob, SnapshotProgress, directories};
use super::way::Step;
use super::{Happening, World};
use crate::checkers::{Promise, Violation};
use crate::history::Fault;
use storage::{Disk, SimulatedDisk};
use types::{Epoch, Zxid};

/// How many times longer a slow disk takes.
const SLOWNESS: u32 = 50;

/// What the ledger was told of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Noted {
    Nothing,
    /// A change of the history, which is as long as the disk is at it neither the old nor the new.
    Change,
}

/// What crashes before and after a job are counted as.
fn places(job: &LogJob) -> (&'static str, &'static str) {
    match job {
        LogJob::Append(..) | LogJob::Roll => ("crash before append", "crash after append"),
        LogJob::Change(Change::AcceptEpoch(_)) => {
            ("crash before accepting an epoch", "crash after accepting an epoch")
        }
        LogJob::Change(Change::AdoptEpoch(..)) => {
            ("crash before adopting an epoch", "crash after adopting an epoch")
        }
        LogJob::Change(Change::KeepMemberships(_)) => {
            ("crash before storing memberships", "crash after storing memberships")
        }
        LogJob::Change(Change::Cut(_)) => ("crash before a cut", "crash after a cut"),
        LogJob::Change(Change::Install(..)) => {
            ("crash before an installation", "crash after an installation")
        }
    }
}

/// What is true of the epochs when a job is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Accepted(Epoch),
    /// By a learner after a history that ends there.
    Adopted(Epoch, Option<Zxid>),
    Unchanged,
}

fn outcome(job: &LogJob) -> Outcome {
    match job {
        LogJob::Change(Change::AcceptEpoch(epoch)) => Outcome::Accepted(*epoch),
        LogJob::Change(Change::AdoptEpoch(epoch, history_end)) => {
            Outcome::Adopted(*epoch, *history_end)
        }
        LogJob::Change(Change::KeepMemberships(_) | Change::Cut(_) | Change::Install(..))
        | LogJob::Append(..)
        | LogJob::Roll => Outcome::Unchanged,
    }
}

/// Whether a file says that an epoch is accepted, or is about to have its place.
fn is_written(disk: &SimulatedDisk, epoch: Epoch) -> bool {
    let names = disk.list(&directories().snapshot_dir()).unwrap_or_default();
    let of_epoch = names.iter().filter(|name| name.ends_with("acceptedEpoch"));
    let bytes = of_epoch.map(|name| disk.contents(&directories().snapshot_dir().join(name)));
    bytes.flatten().any(|bytes| bytes == epoch.0.to_string().as_bytes())
}

impl World {
    /// The log's thread writes some of what waits.
    pub(super) fn write_log(&mut self, life: Life) -> Result<(), Violation> {
        let node = life.node;
        let now = self.agenda.now();
        if now < self.nodes[node].paused_until {
            self.agenda.at(self.nodes[node].paused_until, Happening::WriteLog(life));
            return Ok(());
        }
        let waiting = match &self.nodes[node].process {
            Some(process) if process.life == life => process.log_jobs.len(),
            _ => return Ok(()),
        };
        let jobs = if waiting > 1 { self.agenda.tape.range(1, waiting as u64) } else { 1 };
        for _ in 0..jobs {
            let job =
                self.nodes[node].process.as_mut().and_then(|process| process.log_jobs.pop_front());
            let Some(job) = job else { break };
            let (before, after) = places(&job);
            let outcome = outcome(&job);
            let is_roll = matches!(job, LogJob::Roll);
            let noted = self.begin_log_job(node, &job)?;
            if self.nodes[node].living(life).is_none() {
                return Ok(());
            }
            if self.crash_point(node, before) {
                return Ok(());
            }
            let interruption = self.interruption(node, &job);
            self.lie_in_wait_for_job(node, &job);
            let result =
                self.nodes[node].process.as_mut().map_or(Ok(true), |process| process.log_job(job));
            self.end_wait(node);
            match result {
                Err(error) => {
                    self.note_interruption(node, interruption, outcome);
                    return self.log_failed(node, &error);
                }
                Ok(is_done) if noted == Noted::Change => self.end_change(node, is_done)?,
                Ok(_) => {}
            }
            if is_roll {
                self.nodes[node].ledger.synced();
            }
            match outcome {
                Outcome::Accepted(epoch) => {
                    self.nodes[node].accepted_epoch = epoch;
                    self.note_own(node, Step::EpochAccepted, Step::LeaderAcceptedEpoch);
                }
                Outcome::Adopted(epoch, history_end) => {
                    self.nodes[node].current_epoch = epoch;
                    self.note_own(node, Step::EpochAdopted, Step::LeaderAdoptedEpoch);
                    self.check_adoption(node, epoch, history_end)?;
                    self.is_repaired(life);
                }
                Outcome::Unchanged => {}
            }
            if self.crash_point(node, after) {
                return Ok(());
            }
        }
        let delay = self.disk_delay(node);
        self.agenda.within(delay, Happening::SyncLog(life));
        Ok(())
    }

    /// What it is counted as if the disk fails in a job, or power is lost then.
    fn interruption(&self, node: NodeId, job: &LogJob) -> Option<&'static str> {
        let process = self.nodes[node].process.as_ref();
        let is_between_logs = process.is_some_and(|process| process.is_between_logs);
        match job {
            LogJob::Roll => Some("crash while a log is rolled"),
            LogJob::Append(..) if is_between_logs => Some("crash while a log is rolled"),
            LogJob::Change(Change::AcceptEpoch(_) | Change::AdoptEpoch(..)) => {
                Some("crash while an epoch is stored")
            }
            LogJob::Change(Change::Cut(_)) => Some("crash while a history is cut"),
            LogJob::Change(Change::Install(..)) => Some("crash while a snapshot is installed"),
            LogJob::Append(..) | LogJob::Change(Change::KeepMemberships(_)) => None,
        }
    }

    /// A job was interrupted: the process is about to end. A follower's epoch may be written by now.
    fn note_interruption(&mut self, node: NodeId, what: Option<&'static str>, outcome: Outcome) {
        if let Some(what) = what {
            self.counters.count(what);
        }
        if let Outcome::Accepted(epoch) = outcome
            && !self.is_leading(node)
            && is_written(&self.nodes[node].disk, epoch)
        {
            self.take_step(node, Step::EpochWritten);
        }
    }

    /// Takes a step, as a follower or as a leader.
    fn note_own(&mut self, node: NodeId, as_follower: Step, as_leader: Step) {
        let step = if self.is_leading(node) { as_leader } else { as_follower };
        self.take_step(node, step);
    }

    /// A sync failed: of whom, unless power is lost as well.
    fn count_failed_sync(&mut self, node: NodeId) {
        self.counters.count("sync failed");
        if !self.nodes[node].disk_fault_is_power_loss && self.plan.servers.are_ensemble() {
            self.counters.count(match (self.is_leading(node), self.has_leader(node)) {
                (true, _) => "sync failed of a leader",
                (false, true) => "sync failed of a follower",
                (false, false) => "sync failed without a leader",
            });
        }
    }

    /// Notes what the disk may hold from now on; syncs what is to be durable before a change.
    fn begin_log_job(&mut self, node: NodeId, job: &LogJob) -> Result<Noted, Violation> {
        let is_leading = self.is_leading(node);
        let Node { ledger, process: Some(process), .. } = &mut self.nodes[node] else {
            return Ok(Noted::Nothing);
        };
        match job {
            LogJob::Append(at, batch) => {
                ledger.append(*at, batch)?;
                return Ok(Noted::Nothing);
            }
            LogJob::Roll => {
                self.counters.count("log rolled");
                return Ok(Noted::Nothing);
            }
            LogJob::Change(_) => {}
        }
        if let Err(error) = process.sync() {
            self.count_failed_sync(node);
            self.log_failed(node, &error)?;
            return Ok(Noted::Nothing);
        }
        ledger.synced();
        match job {
            LogJob::Change(Change::AdoptEpoch(..)) if !is_leading => {
                self.take_step(node, Step::HistoryDurable);
                Ok(Noted::Nothing)
            }
            LogJob::Change(Change::Cut(keep)) => {
                ledger.cut(*keep);
                self.count_cut(node, *keep);
                self.check_crashes_of_cut(node, *keep)?;
                Ok(Noted::Change)
            }
            LogJob::Change(Change::Install(link, _)) => {
                self.counters.count("snapshot installed");
                if let Some(stream) = self.streams.get(&far(*link)) {
                    ledger.replace(stream);
                    self.check_replacement(node, stream)?;
                }
                Ok(Noted::Change)
            }
            _ => Ok(Noted::Nothing),
        }
    }

    /// Counts what a cut has to go through.
    fn count_cut(&mut self, node: NodeId, keep: Zxid) {
        let disk = &self.nodes[node].disk;
        let is_last_cut = |log: &LogImage| log.entries.iter().any(|entry| entry.zxid > keep);
        let cut_logs = LogImage::all(disk).iter().filter(|log| is_last_cut(log)).count();
        let snapshots = disk.list(&directories().snapshot_dir()).unwrap_or_default();
        let zxid = |name: &String| i64::from_str_radix(name.strip_prefix("snapshot.")?, 16).ok();
        let is_passed = snapshots.iter().filter_map(zxid).any(|it| it > keep.raw());
        if cut_logs > 1 {
            self.counters.count("cut through several logs");
        }
        if is_passed {
            self.counters.count("cut behind which there was a snapshot");
        }
    }

    /// Notes what has become of a change of the history.
    fn end_change(&mut self, node: NodeId, is_done: bool) -> Result<(), Violation> {
        let cut = self.nodes[node].ledger.cut_point();
        if !is_done {
            self.counters.count("cut refused");
            self.nodes[node].ledger.not_changed();
            return Ok(());
        }
        if let Some(keep) = cut {
            self.counters.count("history cut");
            self.check_cut(node, keep)?;
        }
        self.nodes[node].ledger.changed();
        Ok(())
    }

    /// The log's thread syncs what it wrote.
    pub(super) fn sync_log(&mut self, life: Life) -> Result<(), Violation> {
        let node = life.node;
        let now = self.agenda.now();
        if now < self.nodes[node].paused_until {
            self.agenda.at(self.nodes[node].paused_until, Happening::SyncLog(life));
            return Ok(());
        }
        if self.nodes[node].process.as_ref().is_none_or(|process| process.life != life) {
            return Ok(());
        }
        if self.crash_point(node, "crash before sync") {
            return Ok(());
        }
        let is_idle_work = self.agenda.tape.chance(200);
        self.lie_in_wait_for_sync(node);
        let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
        let mut result = process.sync();
        if result.is_ok() && process.log_jobs.is_empty() && is_idle_work {
            result = process.prepare_log();
        }
        self.end_wait(node);
        if let Err(error) = result {
            self.count_failed_sync(node);
            return self.log_failed(node, &error);
        }
        self.nodes[node].ledger.synced();
        if self.crash_point(node, "crash after sync") {
            return Ok(());
        }
        if let Some(process) = &mut self.nodes[node].process {
            process.is_log_due = false;
            if !process.log_jobs.is_empty() {
                self.plan_log_work(node);
            }
        }
        self.plan_step_soon(node);
        Ok(())
    }

    /// The snapshot's thread does what waits next.
    pub(super) fn write_snapshot(&mut self, life: Life) -> Result<(), Violation> {
        let node = life.node;
        let now = self.agenda.now();
        if now < self.nodes[node].paused_until {
            self.agenda.at(self.nodes[node].paused_until, Happening::WriteSnapshot(life));
            return Ok(());
        }
        let Some(process) = self.nodes[node].living(life) else {
            return Ok(());
        };
        process.is_snapshot_due = false;
        let Some(job) = process.snapshot_jobs.pop_front() else { return Ok(()) };
        let job = match job {
            KeeperJob::Write(job) => job,
            KeeperJob::Receive(part) => return self.receive(node, part),
        };
        if self.crash_point(node, "crash before a part of a snapshot") {
            return Ok(());
        }
        if matches!(job, SnapshotJob::End { .. }) {
            self.lie_in_wait_for_purge(node);
        }
        let Node { process: Some(process), ledger, .. } = &mut self.nodes[node] else {
            return Ok(());
        };
        if let SnapshotJob::End { last_applied, .. } = &job {
            ledger.has_snapshot(*last_applied);
        }
        let progress = process.snapshot_job(job);
        self.end_wait(node);
        match progress {
            SnapshotProgress::Finished => self.counters.count("snapshot finished"),
            SnapshotProgress::Failed | SnapshotProgress::NotPurged
                if self.disk_fault_struck(node) =>
            {
                if self.nodes[node].disk_fault_is_power_loss {
                    let is_purge = progress == SnapshotProgress::NotPurged;
                    self.counters.add("crash while files are removed", is_purge.into());
                    self.die(node, Death::PowerLost);
                    return Ok(());
                }
                self.counters.count("snapshot failed, server went on");
            }
            SnapshotProgress::Failed | SnapshotProgress::NotPurged => {
                let detail = "a snapshot failed on a good disk".to_owned();
                return Err(Violation::new(Promise::NoPanic, detail));
            }
            SnapshotProgress::Outdated => self.counters.count("snapshot of a history that was cut"),
            SnapshotProgress::Written | SnapshotProgress::Void => {}
        }
        if self.crash_point(node, "crash after a part of a snapshot") {
            return Ok(());
        }
        self.plan_step_soon(node);
        self.plan_snapshot_work(node);
        Ok(())
    }

    /// The process gives up: nothing that was not synced may be acknowledged.
    pub(super) fn log_failed(
        &mut self,
        node: NodeId,
        error: &storage::Error,
    ) -> Result<(), Violation> {
        if !self.disk_fault_struck(node) {
            let detail = format!("the log failed on a good disk: {error}");
            return Err(Violation::new(Promise::NoPanic, detail));
        }
        if self.nodes[node].disk_fault_is_power_loss {
            self.die(node, Death::PowerLost);
        } else {
            self.note_fault(node, Fault::Exit);
            self.counters.count("gave up after a failure of the disk");
            self.die(node, Death::Killed);
        }
        Ok(())
    }

    /// Gives the log's thread something to do.
    pub(super) fn plan_log(&mut self, node: NodeId, job: LogJob) {
        if let Some(process) = &mut self.nodes[node].process {
            process.log_jobs.push_back(job);
            self.plan_log_work(node);
        }
    }

    /// The longest time that the disk takes for something.
    fn disk_delay(&self, node: NodeId) -> Duration {
        let is_slow = self.agenda.now() < self.nodes[node].slow_until;
        self.plan.delays.sync * if is_slow { SLOWNESS } else { 1 }
    }

    fn plan_log_work(&mut self, node: NodeId) {
        let life = self.nodes[node].life;
        let Some(process) = &mut self.nodes[node].process else { return };
        if !process.is_log_due {
            process.is_log_due = true;
            self.agenda.within(self.plan.delays.thread, Happening::WriteLog(life));
        }
    }

    pub(super) fn plan_snapshot(&mut self, node: NodeId, job: SnapshotJob) {
        self.plan_keeper(node, KeeperJob::Write(job));
    }

    /// Gives the snapshots' thread something to do.
    pub(super) fn plan_keeper(&mut self, node: NodeId, job: KeeperJob) {
        if let Some(process) = &mut self.nodes[node].process {
            process.snapshot_jobs.push_back(job);
            self.plan_snapshot_work(node);
        }
    }

    pub(super) fn plan_snapshot_work(&mut self, node: NodeId) {
        let life = self.nodes[node].life;
        let Some(process) = &mut self.nodes[node].process else { return };
        if !process.is_snapshot_due && !process.snapshot_jobs.is_empty() {
            process.is_snapshot_due = true;
            let delay = self.plan.delays.thread + self.disk_delay(node);
            self.agenda.within(delay, Happening::WriteSnapshot(life));
        }
    }
}
