//! The server's side of the world: its threads, its crashes, its starts.

use std::net::IpAddr;
use std::time::Duration;

use replica::{Effect, FrontId, Input};
use storage::{Compression, DataDir, MissingDirectory, Recovered, write_tree};
use types::{ConnId, Instant, Zxid};

use super::link::{End, Link, LinkId, Pipe};
use super::process::{self, Life, LogJob, Process, SnapshotJob, SnapshotProgress};
use super::{Happening, World};
use crate::checkers::{Promise, Violation};
use crate::history::Fault;

/// How a process comes to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Death {
    /// It alone: its files stay as they are.
    Killed,
    /// The whole machine.
    PowerLost,
}

impl World {
    /// Makes the directory that the first start finds, where numbers do not start at zero.
    pub(super) fn found(&mut self) -> Result<(), Violation> {
        if self.plan.start == Zxid::ZERO {
            return Ok(());
        }
        let founded =
            DataDir::open(self.disk.clone(), process::directories(), MissingDirectory::Create)
                .and_then(|data_dir| {
                    let writer = data_dir.start_snapshot(self.plan.start, Compression::None)?;
                    let mut tree = tree::Tree::new(process::tree_options(self.seed));
                    write_tree(writer, &mut tree)
                });
        match founded {
            Ok(_) => Ok(()),
            Err(error) => Err(Violation::new(Promise::Liveness, error.to_string())),
        }
    }

    /// Starts the process; recovery may fail if the disk was told to.
    pub(super) fn start(&mut self, life: Life) -> Result<(), Violation> {
        if life != self.life || self.process.is_some() {
            return Ok(());
        }
        self.recover_twice()?;
        let (now, seed) = (self.now(), self.seed ^ u64::from(life.0));
        let started = process::recover(&self.disk, seed).and_then(|(data_dir, recovered)| {
            let facts = self.check_recovered(&recovered);
            let process = Process::start(life, &self.plan, seed, now, data_dir, recovered)?;
            Ok((process, facts))
        });
        match started {
            Ok((process, facts)) => {
                facts?;
                self.process = Some(process);
                if self.agenda.tape.chance(300) {
                    self.tell_owner(Input::TakeSnapshot);
                }
                self.plan_step(now.instant);
                Ok(())
            }
            Err(_) if self.disk_fault_struck() => {
                self.counters.count("crash in recovery");
                self.die(if self.disk_fault_is_power_loss {
                    Death::PowerLost
                } else {
                    Death::Killed
                });
                Ok(())
            }
            Err(error) => {
                let detail = format!("refused to start after a crash: {error}");
                Err(Violation::new(Promise::D7, detail))
            }
        }
    }

    /// D5: recovering is a function of what is on the disk.
    fn recover_twice(&mut self) -> Result<(), Violation> {
        if !self.agenda.tape.chance(100) {
            return Ok(());
        }
        let fork = self.disk.fork();
        let recover = || process::recover(&fork, self.seed).map(|(_, recovered)| recovered);
        if let (Ok(first), Ok(second)) = (recover(), recover())
            && (first.last_logged != second.last_logged
                || first.tree.difference(&second.tree).is_some())
        {
            let detail =
                format!("recovered up to {}, then up to {}", first.last_logged, second.last_logged);
            return Err(Violation::new(Promise::D5, detail));
        }
        Ok(())
    }

    /// Compares what was recovered with what was logged.
    pub(super) fn check_recovered(&mut self, recovered: &Recovered) -> Result<(), Violation> {
        let lost = self.ledger.recovered(recovered.last_logged, &recovered.tree)?;
        if recovered.digest_mismatches > 0 {
            let detail = format!("{} digests differ in recovery", recovered.digest_mismatches);
            return Err(Violation::new(Promise::D8, detail));
        }
        self.counters.add("unsynced transactions lost", lost as u64);
        self.counters.add("torn log trimmed", u64::from(recovered.trimmed.is_some()));
        if recovered.txns_replayed > 0 && recovered.origin != storage::Origin::Created {
            self.counters.count("recovered from a snapshot and logs");
        }
        self.note_fault(Fault::Recovered(recovered.last_logged));
        Ok(())
    }

    /// Accepts a connection of a client.
    pub(super) fn accept(&mut self, client: Option<usize>, address: [u8; 4]) -> Option<LinkId> {
        let now = self.now();
        let fronts = self.plan.fronts;
        let front = FrontId(self.agenda.tape.index(fronts));
        let process = self.process.as_mut()?;
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let conn = Some(process.accept(now, front, IpAddr::from(address), id));
        let (to_server, to_client) = (Pipe::default(), Pipe::default());
        self.links.insert(id, Link { client, front, conn, to_server, to_client });
        Some(id)
    }

    /// A piece of bytes, or the end, arrives at the server.
    pub(super) fn arrive_at_server(&mut self, id: LinkId) {
        let now = self.now();
        if now.instant < self.paused_until {
            self.agenda.at(self.paused_until, Happening::ToServer(id));
            return;
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        link.to_server.is_due = false;
        let (front, Some(conn), Some(process)) = (link.front, link.conn, &mut self.process) else {
            return;
        };
        if link.to_server.is_over() {
            process.fronts[front.0].closed(conn);
            self.forget_server_side(id, front, conn);
            self.forward(front);
            return;
        }
        if !process.fronts[front.0].wants_bytes(conn) {
            link.to_server.is_held = true;
            return;
        }
        let bytes = piece(&mut self.agenda.tape, self.plan.faults.chunks, &mut link.to_server);
        process.fronts[front.0].receive(now, conn, &bytes);
        self.forward(front);
        self.flush(front);
        self.plan_arrival_at_server(id);
    }

    /// A frontend works off its mail.
    pub(super) fn collect(&mut self, life: Life, front: FrontId) {
        let now = self.now();
        if now.instant < self.paused_until {
            self.agenda.at(self.paused_until, Happening::Collect(life, front));
            return;
        }
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else {
            return;
        };
        process.fronts[front.0].collect(now);
        self.forward(front);
        self.flush(front);
        let held: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.front == front && link.to_server.is_held)
            .map(|(&id, _)| id)
            .collect();
        for id in held {
            self.plan_arrival_at_server(id);
        }
    }

    /// The owner works off its inputs.
    pub(super) fn step(&mut self, life: Life) -> Result<(), Violation> {
        let now = self.now();
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else {
            return Ok(());
        };
        if process.next_step.is_none_or(|planned| planned > now.instant) {
            // Another entry for the same step came first.
            return Ok(());
        }
        if now.instant < self.paused_until {
            process.next_step = Some(self.paused_until);
            self.agenda.at(self.paused_until, Happening::Step(life));
            return Ok(());
        }
        process.next_step = None;
        process.step(now);
        while let Some(effect) = self.process.as_mut().and_then(|it| it.effects.pop_front()) {
            if self.crash_point("before an effect") {
                return Ok(());
            }
            self.carry_out(effect)?;
        }
        if let Some(process) = &self.process {
            let deadline = process.replica.next_deadline();
            self.plan_step(deadline);
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Violation> {
        let (instant, life) = (self.agenda.now(), self.life);
        let thread = self.plan.delays.thread;
        let Some(process) = &mut self.process else { return Ok(()) };
        match effect {
            Effect::Append(batch) => {
                self.ledger.append(instant, &batch)?;
                process.log_jobs.push_back(LogJob::Append(batch));
                self.plan_log();
            }
            Effect::RollLog => {
                process.log_jobs.push_back(LogJob::Roll);
                self.plan_log();
            }
            Effect::BeginSnapshot(head) => self.plan_snapshot(SnapshotJob::Begin(head)),
            Effect::SnapshotPart(bytes) => self.plan_snapshot(SnapshotJob::Part(bytes)),
            Effect::EndSnapshot { last_applied, digest } => {
                self.plan_snapshot(SnapshotJob::End { last_applied, digest });
            }
            // Nobody asks to look inside, and there are no other servers.
            Effect::Inspected(_)
            | Effect::AbandonSnapshot
            | Effect::Peer(_)
            | Effect::Packets { .. }
            | Effect::StreamHead { .. }
            | Effect::StreamPart { .. }
            | Effect::StreamEnd { .. } => {}
            Effect::Wake(front) => self.agenda.within(thread, Happening::Collect(life, front)),
        }
        Ok(())
    }

    /// The log's thread writes some of what waits.
    pub(super) fn write_log(&mut self, life: Life) -> Result<(), Violation> {
        let now = self.now().instant;
        if now < self.paused_until {
            self.agenda.at(self.paused_until, Happening::WriteLog(life));
            return Ok(());
        }
        let waiting = match &self.process {
            Some(process) if process.life == life => process.log_jobs.len(),
            _ => return Ok(()),
        };
        let jobs = if waiting > 1 { self.agenda.tape.range(1, waiting as u64) } else { 1 };
        for _ in 0..jobs {
            let job = self.process.as_mut().and_then(|process| process.log_jobs.pop_front());
            let Some(job) = job else { break };
            if matches!(job, LogJob::Roll) {
                self.counters.count("log rolled");
            }
            if self.crash_point("crash before append") {
                return Ok(());
            }
            let result = self.process.as_mut().map_or(Ok(()), |process| process.log_job(job));
            if let Err(error) = result {
                return self.log_failed(&error);
            }
            if self.crash_point("crash after append") {
                return Ok(());
            }
        }
        self.agenda.within(self.plan.delays.sync, Happening::SyncLog(life));
        Ok(())
    }

    /// The log's thread syncs what it wrote.
    pub(super) fn sync_log(&mut self, life: Life) -> Result<(), Violation> {
        let now = self.now().instant;
        if now < self.paused_until {
            self.agenda.at(self.paused_until, Happening::SyncLog(life));
            return Ok(());
        }
        if self.process.as_ref().is_none_or(|process| process.life != life) {
            return Ok(());
        }
        if self.crash_point("crash before sync") {
            return Ok(());
        }
        let is_idle_work = self.agenda.tape.chance(200);
        let Some(process) = &mut self.process else { return Ok(()) };
        let mut result = process.sync();
        if result.is_ok() && process.log_jobs.is_empty() && is_idle_work {
            result = process.prepare_log();
        }
        if let Err(error) = result {
            self.counters.count("sync failed");
            return self.log_failed(&error);
        }
        if self.crash_point("crash after sync") {
            return Ok(());
        }
        if let Some(process) = &mut self.process {
            process.is_log_due = false;
            if !process.log_jobs.is_empty() {
                self.plan_log();
            }
        }
        self.plan_step_soon();
        Ok(())
    }

    /// The snapshot's thread does what waits next.
    pub(super) fn write_snapshot(&mut self, life: Life) -> Result<(), Violation> {
        let now = self.now().instant;
        if now < self.paused_until {
            self.agenda.at(self.paused_until, Happening::WriteSnapshot(life));
            return Ok(());
        }
        let Some(process) = self.process.as_mut().filter(|process| process.life == life) else {
            return Ok(());
        };
        process.is_snapshot_due = false;
        let Some(job) = process.snapshot_jobs.pop_front() else { return Ok(()) };
        if self.crash_point("crash before a part of a snapshot") {
            return Ok(());
        }
        let Some(process) = &mut self.process else { return Ok(()) };
        match process.snapshot_job(job) {
            SnapshotProgress::Finished => self.counters.count("snapshot finished"),
            SnapshotProgress::Failed if self.disk_fault_struck() => {
                if self.disk_fault_is_power_loss {
                    self.die(Death::PowerLost);
                    return Ok(());
                }
                self.counters.count("snapshot failed, server went on");
            }
            SnapshotProgress::Failed => {
                let detail = "a snapshot failed on a good disk".to_owned();
                return Err(Violation::new(Promise::NoPanic, detail));
            }
            SnapshotProgress::Written | SnapshotProgress::Void => {}
        }
        if self.crash_point("crash after a part of a snapshot") {
            return Ok(());
        }
        self.plan_step_soon();
        self.plan_snapshot_work();
        Ok(())
    }

    /// The process gives up: nothing that was not synced may be acknowledged.
    fn log_failed(&mut self, error: &storage::Error) -> Result<(), Violation> {
        if !self.disk_fault_struck() {
            let detail = format!("the log failed on a good disk: {error}");
            return Err(Violation::new(Promise::NoPanic, detail));
        }
        if self.disk_fault_is_power_loss {
            self.die(Death::PowerLost);
        } else {
            self.note_fault(Fault::Exit);
            self.counters.count("gave up after a failure of the disk");
            self.die(Death::Killed);
        }
        Ok(())
    }

    /// A moment at which the process can die; tells whether it did.
    fn crash_point(&mut self, place: &'static str) -> bool {
        let Some(left) = &mut self.crash_in else { return false };
        if *left > 0 {
            *left -= 1;
            return false;
        }
        self.crash_in = None;
        self.counters.count(place);
        let death = if self.agenda.tape.chance(700) { Death::PowerLost } else { Death::Killed };
        self.die(death);
        true
    }

    /// The process dies, and is started again some time later.
    pub(super) fn die(&mut self, death: Death) {
        let delay = self.agenda.duration(self.plan.tick * 4);
        if self.process.as_ref().is_some_and(Process::is_writing_snapshot) {
            self.counters.count("crash while a snapshot is written");
        }
        match death {
            Death::Killed => {
                self.counters.count("process killed");
                self.note_fault(Fault::Crash);
                self.disk.kill();
                self.bury();
            }
            Death::PowerLost => self.lose_power(),
        }
        self.crash_in = None;
        self.take_back_disk_faults();
        self.life = Life(self.life.0 + 1);
        let start = self.agenda.now().after(delay + Duration::from_millis(2));
        self.agenda.at(start, Happening::Start(self.life));
        if !self.is_peaceful() && self.agenda.tape.chance(100) {
            self.plan_disk_crash(30);
        }
    }

    pub(super) fn lose_power(&mut self) {
        self.counters.count("power lost");
        self.note_fault(Fault::PowerLoss);
        let Self { disk, agenda, .. } = self;
        disk.crash(&mut |bound: u64| agenda.tape.range(0, bound - 1));
        self.bury();
    }

    /// Removes what is left of the process; its handles of the disk are dead already.
    fn bury(&mut self) {
        if self.process.as_ref().is_some_and(Process::is_writing_snapshot) {
            // Dropping the writer would still remove its file, which a dead process can not.
            self.disk.faults().add(storage::Fault {
                operation: storage::Operation::Unlink,
                name_prefix: String::new(),
                after: 0,
                kind: storage::FaultKind::Io,
            });
        }
        self.process = None;
        self.disk.faults().clear();
        self.planned_disk_faults = 0;
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            let Some(link) = self.links.get_mut(&id) else { continue };
            if link.conn.take().is_some() {
                link.to_client.cut(&mut self.agenda.tape, End::Closed);
                self.plan_arrival_at_client(id);
            }
        }
    }

    /// An orderly stop.
    pub(super) fn stop(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.counters.count("stopped in order");
        self.note_fault(Fault::Exit);
        let closed = process.close();
        if closed.is_err() {
            self.counters.count("failed while stopping");
        }
        self.die(Death::Killed);
    }

    /// Sends what a frontend has to send, in one or two pieces.
    fn flush(&mut self, front: FrontId) {
        let Some(process) = &mut self.process else { return };
        let mut touched = Vec::new();
        process.fronts[front.0].take_touched(&mut touched);
        for conn in touched {
            let Some(process) = &mut self.process else { return };
            let Some(&id) = process.links.get(&(front, conn)) else { continue };
            let Some(link) = self.links.get_mut(&id) else { continue };
            let frontend = &mut process.fronts[front.0];
            let bytes = frontend.output(conn).len();
            link.to_client.push(frontend.output(conn));
            let first = match bytes {
                2.. if self.agenda.tape.chance(self.plan.faults.chunks) => {
                    self.agenda.tape.index(bytes)
                }
                _ => bytes,
            };
            let mut is_over = frontend.sent(conn, first);
            if first < bytes {
                is_over = frontend.sent(conn, bytes - first);
            }
            if is_over {
                frontend.closed(conn);
                link.to_client.close(End::Closed);
                self.forget_server_side(id, front, conn);
                self.forward(front);
            }
            self.plan_arrival_at_client(id);
        }
    }

    fn forget_server_side(&mut self, id: LinkId, front: FrontId, conn: ConnId) {
        if let Some(process) = &mut self.process {
            process.links.remove(&(front, conn));
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.conn = None;
            if link.client.is_none() {
                self.links.remove(&id);
            }
        }
    }

    fn forward(&mut self, front: FrontId) {
        if let Some(process) = &mut self.process {
            process.forward(front);
            self.plan_step_soon();
        }
    }

    pub(super) fn tell_owner(&mut self, input: Input) {
        if let Some(process) = &mut self.process {
            process.inputs.push(input);
            self.plan_step_soon();
        }
    }

    fn plan_step_soon(&mut self) {
        if self.process.as_ref().is_some_and(|process| !process.inputs.is_empty()) {
            let delay = self.agenda.duration(self.plan.delays.thread);
            self.plan_step(self.agenda.now().after(delay));
        }
    }

    fn plan_step(&mut self, at: Instant) {
        let now = self.agenda.now();
        let life = self.life;
        let Some(process) = &mut self.process else { return };
        let at = at.max(now);
        if process.next_step.is_none_or(|planned| planned > at) {
            process.next_step = Some(at);
            self.agenda.at(at, Happening::Step(life));
        }
    }

    fn plan_log(&mut self) {
        let life = self.life;
        let Some(process) = &mut self.process else { return };
        if !process.is_log_due {
            process.is_log_due = true;
            self.agenda.within(self.plan.delays.thread, Happening::WriteLog(life));
        }
    }

    fn plan_snapshot(&mut self, job: SnapshotJob) {
        if let Some(process) = &mut self.process {
            process.snapshot_jobs.push_back(job);
            self.plan_snapshot_work();
        }
    }

    fn plan_snapshot_work(&mut self) {
        let life = self.life;
        let Some(process) = &mut self.process else { return };
        if !process.is_snapshot_due && !process.snapshot_jobs.is_empty() {
            process.is_snapshot_due = true;
            let delay = self.plan.delays.thread + self.plan.delays.sync;
            self.agenda.within(delay, Happening::WriteSnapshot(life));
        }
    }

    pub(super) fn plan_arrival_at_server(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.to_server.is_held = false;
        if link.conn.is_some() && !link.to_server.is_due && link.to_server.has_news() {
            link.to_server.is_due = true;
            self.agenda.within(self.plan.delays.wire, Happening::ToServer(id));
        }
    }

    pub(super) fn plan_arrival_at_client(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.client.is_some() && !link.to_client.is_due && link.to_client.has_news() {
            link.to_client.is_due = true;
            self.agenda.within(self.plan.delays.wire, Happening::ToClient(id));
        }
    }
}

/// The piece of a stream that arrives next: all of it, or less.
pub(super) fn piece(tape: &mut crate::tape::Tape, chunks: u64, pipe: &mut Pipe) -> Vec<u8> {
    let bytes = pipe.len();
    let taken = if bytes > 1 && tape.chance(chunks) { 1 + tape.index(bytes) } else { bytes };
    pipe.take(taken)
}
