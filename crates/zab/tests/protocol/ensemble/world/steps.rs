//! What happens, what servers do about it, and what is checked each time.

use std::time::Duration;

use types::membership::Member;
use types::{Instant, Sid};
use wire::election::Notification;
use wire::quorum::{ToLeader, ToLearner};
use zab::{Effect, Input, Link};

use super::World;
use super::disk::Job;
use super::packets;
use super::record::{Moment, Shown};
use super::server::{Door, Event, Held, Item, Process};
use crate::support::network::{Happening, Port};

/// Steps after which servers that do not come to rest are taken for busy for ever.
const STEPS_MAX: usize = 3_000_000;

/// The longest packet.
const PACKET_BYTES_MAX: usize = 1 << 20;

/// Time.
impl World {
    /// Lets time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.network.now.after(time);
        self.run_until(end, |_| false);
    }

    /// Lets time pass up to a moment, until a trap stops it, or until a condition holds. Returns
    /// whether it does.
    pub(crate) fn run_until(&mut self, end: Instant, is_enough: impl Fn(&Self) -> bool) -> bool {
        self.is_stopped = false;
        for _ in 0..STEPS_MAX {
            if is_enough(self) {
                return true;
            }
            if self.is_stopped {
                return false;
            }
            if self.happens_now() {
                continue;
            }
            let deadlines = self.servers.values().filter_map(|it| {
                let process = it.process.as_ref()?;
                Some(process.deadline?.max(process.paused_until))
            });
            let queued = self.queue.keys().next().map(|&(at, _)| at);
            let next = deadlines.chain(queued).chain(self.network.next_at()).min();
            let Some(next) = next.filter(|&next| next <= end) else {
                self.network.now = self.network.now.max(end);
                return false;
            };
            self.network.now = self.network.now.max(next);
        }
        panic!("the servers are busy for ever: {}", self.roles());
    }

    /// One thing happens, if anything does at this time.
    fn happens_now(&mut self) -> bool {
        if let Some((sid, happening)) = self.network.pop() {
            self.notice(sid, happening);
            return true;
        }
        let now = self.network.now;
        if let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= now
        {
            let event = entry.remove();
            self.on_event(event);
            return true;
        }
        let is_due = |process: &Process| {
            process.deadline.is_some_and(|at| at <= now) && process.paused_until <= now
        };
        let due = self.servers.iter().find(|(_, it)| it.process.as_ref().is_some_and(is_due));
        let Some((&sid, _)) = due else { return false };
        self.step(sid, "Deadline", Input::Deadline);
        true
    }

    pub(super) fn notice(&mut self, sid: Sid, happening: Happening<Item>) {
        let now = self.network.now;
        let Some(server) = self.servers.get_mut(&sid) else { return };
        let Some(process) = &mut server.process else { return };
        if process.paused_until > now || !process.held.is_empty() {
            process.held.push_back(Held::Network(happening));
            return;
        }
        self.on_happening(sid, happening);
    }

    pub(super) fn on_event(&mut self, event: Event) {
        let now = self.network.now;
        if let Some((sid, run)) = event.concerns() {
            let server = self.server(sid);
            let Some(process) = server.process.as_mut().filter(|_| server.run == run) else {
                return;
            };
            if process.paused_until > now || !process.held.is_empty() {
                process.held.push_back(Held::Event(event));
                return;
            }
        }
        self.on_event_of_a_running_server(event);
    }

    fn on_event_of_a_running_server(&mut self, event: Event) {
        match event {
            Event::DiskDone { sid, run } => self.on_disk_done(sid, run),
            Event::StreamPartSent { sid, link, .. } => {
                if self.network.other_end(link).is_some() {
                    self.network.send(link, Item::StreamPart);
                    self.step(sid, "SnapshotTakesMore", Input::SnapshotTakesMore { link });
                }
            }
            Event::StreamSent { sid, link, last_applied, entries, .. } => {
                if self.network.other_end(link).is_some() {
                    self.network.send(link, Item::Stream { last_applied, entries });
                    self.step(sid, "SnapshotSent", Input::SnapshotSent { link });
                }
            }
            Event::LogLooked { sid, link, .. } => self.on_log_looked(sid, link),
            Event::LogRead { sid, link, .. } => self.on_log_read(sid, link),
            Event::Settle { sid, .. } => self.settle(sid),
            Event::Admit { sid, .. } => self.admit(sid),
            Event::Start { sid } => self.start(sid),
            Event::Wake { sid, run } => self.wake(sid, run),
            Event::OracleSays { sid, oracle, .. } => {
                self.step(sid, "OracleSays", Input::OracleSays(oracle));
            }
            Event::Mend { one, other } => self.network.mend(one, other),
            Event::Speak { from, to } => self.network.speak(from, to),
        }
    }

    /// A process goes on that stood still: everything reaches it at once, or its timers do first.
    fn wake(&mut self, sid: Sid, run: u64) {
        let now = self.network.now;
        let is_awake = |process: &Process| process.paused_until <= now;
        let server = self.server(sid);
        if server.run != run || !server.process.as_ref().is_some_and(is_awake) {
            return;
        }
        match self.chance.below(3) {
            0 => self.step(sid, "Deadline", Input::Deadline),
            // Whoever has led before it stood still is asked whether it does.
            1 => self.ask_whoever(sid),
            _ => {}
        }
        loop {
            let server = self.server(sid);
            let Some(process) = server.process.as_mut().filter(|_| server.run == run) else {
                return;
            };
            match process.held.pop_front() {
                None => return,
                Some(Held::Network(happening)) => self.on_happening(sid, happening),
                Some(Held::Event(event)) => self.on_event_of_a_running_server(event),
            }
        }
    }
}

/// What reaches servers.
impl World {
    fn on_happening(&mut self, sid: Sid, happening: Happening<Item>) {
        match happening {
            Happening::Called { link, from, port: Port::Election } => {
                self.step(sid, "Called", Input::Called { link, from, addresses: Vec::new() });
            }
            Happening::Called { link, port: Port::Quorum, .. } => self.on_knock(sid, link),
            Happening::Called { link, port: Port::ObserverMaster, .. } => {
                let process = self.server(sid).process.as_ref();
                match process.is_some_and(|process| process.admits_observers) {
                    true => self.step(sid, "LearnerConnected", Input::LearnerConnected { link }),
                    false => self.network.close(link),
                }
            }
            Happening::CallThrough { link, to, port: Port::Election } => {
                self.step(sid, "CallThrough", Input::CallThrough { link, to });
            }
            Happening::CallThrough { link, to, port: Port::Quorum | Port::ObserverMaster } => {
                self.step(sid, "LeaderReached", Input::LeaderReached { link, leader: to });
            }
            Happening::CallFailed { to, reason, port: Port::Election } => {
                self.step(sid, "CallFailed", Input::CallFailed { to, reason });
            }
            Happening::CallFailed { to, port: Port::Quorum | Port::ObserverMaster, .. } => {
                self.step(sid, "LeaderUnreachable", Input::LeaderUnreachable { leader: to });
            }
            Happening::Closed { link, port: Port::Election } => {
                self.step(sid, "ElectionLinkClosed", Input::ElectionLinkClosed { link });
            }
            Happening::Closed { link, port: Port::Quorum | Port::ObserverMaster } => {
                self.on_quorum_link_closed(sid, link);
            }
            Happening::Received { link, payload } => self.on_received(sid, link, payload),
        }
    }

    /// Somebody connects to the quorum port.
    fn on_knock(&mut self, sid: Sid, link: Link) {
        let Some(process) = &mut self.server(sid).process else { return };
        match process.door {
            Door::Admit => self.step(sid, "LearnerConnected", Input::LearnerConnected { link }),
            Door::Wait => {
                process.backlog.insert(link, Vec::new());
            }
            Door::Refuse => self.network.close(link),
        }
    }

    /// Those that waited are let in.
    fn admit(&mut self, sid: Sid) {
        let Some(process) = &mut self.server(sid).process else { return };
        if process.door != Door::Admit {
            return;
        }
        for (link, items) in std::mem::take(&mut process.backlog) {
            self.step(sid, "LearnerConnected", Input::LearnerConnected { link });
            items.into_iter().for_each(|item| self.on_received(sid, link, item));
        }
    }

    fn on_quorum_link_closed(&mut self, sid: Sid, link: Link) {
        let Some(process) = &mut self.server(sid).process else { return };
        process.backlog.remove(&link);
        let was_awaited = process.awaits.take_if(|awaited| *awaited == link).is_some();
        let is_told_first = was_awaited && self.chance.percent(50);
        if is_told_first {
            self.step(sid, "SnapshotGivenUp", Input::SnapshotGivenUp { link });
        }
        self.step(sid, "QuorumLinkClosed", Input::QuorumLinkClosed { link });
        if was_awaited && !is_told_first {
            self.step(sid, "SnapshotGivenUp", Input::SnapshotGivenUp { link });
        }
    }

    fn on_received(&mut self, sid: Sid, link: Link, item: Item) {
        let memberships = self.servers[&sid].disk.durable.memberships.clone();
        // Nobody begins a later epoch for the sake of who does not vote.
        let votes = |sid: Sid| {
            let known = [Some(&memberships.committed), memberships.pending()];
            known.into_iter().flatten().any(|it| it.find(sid).is_some_and(Member::is_voter))
        };
        let Some(process) = &mut self.server(sid).process else { return };
        if let Some(waiting) = process.backlog.get_mut(&link) {
            waiting.push(item);
            return;
        }
        match item {
            Item::Notification(bytes) => {
                let notification = Notification::decode(&bytes[4..]).expect("ours");
                self.step(sid, "Notification", Input::Notified { link, notification });
            }
            Item::ToLeader(bytes) => {
                let (packet, _) =
                    ToLeader::decode(&bytes, PACKET_BYTES_MAX).expect("ours").expect("whole");
                if let ToLeader::FollowerInfo(info) = &packet
                    && votes(info.sid)
                {
                    process.accepted_by_others =
                        process.accepted_by_others.max(info.accepted_epoch);
                }
                let name = to_leader_name(&packet);
                self.step(sid, name, Input::FromLearner { link, packet });
            }
            Item::ToLearner(bytes) => {
                let (packet, _) =
                    ToLearner::decode(&bytes, PACKET_BYTES_MAX).expect("ours").expect("whole");
                if matches!(packet, ToLearner::Snapshot { .. }) {
                    process.awaits = Some(link);
                }
                process.hear(link, &packet);
                let name = to_learner_name(&packet);
                self.step(sid, name, Input::FromLeader { link, packet });
            }
            Item::StreamPart => self.step(sid, "SnapshotPart", Input::SnapshotPart { link }),
            Item::Stream { last_applied, entries } => {
                process.awaits = None;
                let moment = Moment::new("received", "stream");
                if self.passes(sid, moment) {
                    self.submit(sid, Job::Install { link, last_applied, entries });
                }
            }
        }
    }

    /// A peer takes something in, and settles: now, or after it has taken in more.
    pub(crate) fn step(&mut self, sid: Sid, name: &'static str, input: Input<'_>) {
        let now = self.wall();
        let server = self.server(sid);
        let run = server.run;
        let Some(process) = &mut server.process else { return };
        process.peer.take(now, input, &mut process.effects);
        if self.chance.percent(self.plan.faults.batches) {
            let later = Duration::from_micros(self.chance.below(500));
            self.schedule(later, Event::Settle { sid, run });
            return;
        }
        if self.passes(sid, Moment::new("received", name)) {
            self.settle(sid);
        }
    }

    pub(super) fn settle(&mut self, sid: Sid) {
        let now = self.wall();
        let server = self.server(sid);
        let run = server.run;
        let Some(process) = &mut server.process else { return };
        process.peer.settle(now, &mut process.effects);
        process.deadline = process.peer.next_deadline();
        let mut effects = std::mem::take(&mut process.effects).into_iter().peekable();
        while let Some(effect) = effects.next() {
            let begins =
                matches!(effects.peek(), Some(Effect::Lead { .. } | Effect::Follow { .. }));
            let moment = self.carry_out(sid, effect, begins);
            if !self.passes(sid, moment) || self.servers[&sid].run != run {
                return;
            }
        }
    }

    fn on_disk_done(&mut self, sid: Sid, run: u64) {
        let stalled_until = self.servers[&sid].stalled_until;
        if stalled_until > self.network.now {
            self.schedule(stalled_until.since(self.network.now), Event::DiskDone { sid, run });
            return;
        }
        let Some((name, input)) = self.carry_out_job(sid) else { return };
        let Some(process) = &mut self.server(sid).process else { return };
        if let Some(
            Input::SnapshotInstalled { last_applied: end, .. }
            | Input::NotTruncated { last_logged: end },
        ) = input
        {
            // In the latter case what it has beyond waits for a snapshot that replaces it.
            process.delivered = process.delivered.min(end);
            if let Some(Input::SnapshotInstalled { .. }) = input {
                process.delivered = end;
            }
            let log = self.servers[&sid].disk.durable.log.clone();
            if let Some(process) = &mut self.server(sid).process {
                process.log = log;
            }
        }
        if self.passes(sid, Moment::new("stored", name))
            && let Some(input) = input
        {
            self.step(sid, "Stored", input);
        }
    }

    /// The disk does what is next. Returns what that was, and what is told of it.
    pub(super) fn carry_out_job(
        &mut self,
        sid: Sid,
    ) -> Option<(&'static str, Option<Input<'static>>)> {
        let job = self.servers[&sid].disk.first()?.clone();
        let text = match &job {
            Job::Append(batch) => {
                let last = batch.last_zxid().expect("not empty");
                format!("has {}", packets::range(batch.first_zxid().expect("not empty"), last))
            }
            Job::Accept(epoch) => format!("has accepted epoch {}", epoch.0),
            Job::Adopt(epoch) => format!("has current epoch {}", epoch.0),
            Job::Truncate(keep) => format!("is cut behind {}", packets::at(*keep)),
            Job::Install { last_applied, .. } => {
                format!("is a snapshot at {}", packets::at(*last_applied))
            }
            Job::Memberships(memberships) => format!("has {}", packets::memberships(memberships)),
        };
        self.show(Shown::Storage, || format!("{} disk {text}", sid.0));
        // One server: two that take part in no vote leave no quorum of three.
        if let Job::Truncate(_) = job
            && self.refuser.is_none_or(|refuser| refuser == sid)
            && self.chance.percent(self.plan.faults.uncuttable)
        {
            self.refuser = Some(sid);
            self.record.count("cut refused");
            self.server(sid).disk.durable.refuses_cut = true;
        }
        let removes = matches!(job, Job::Truncate(_) | Job::Install { .. });
        let before = removes.then(|| self.servers[&sid].disk.durable.clone());
        let input = self.server(sid).disk.next();
        if let Some(before) = before {
            // Who comes back to a leader forgets what that one has not committed at that time, and
            // does not count until it has it again.
            for zxid in self.ledger.forgotten(&before, &self.servers[&sid].disk.durable) {
                let newest = self.ledger.newest_membership();
                assert!(self.are_quorum(newest, |it| it.has(zxid)), "M4: {sid:?} forgets {zxid}");
            }
        }
        Some((job.name(), input))
    }

    pub(super) fn submit(&mut self, sid: Sid, job: Job) {
        self.check_job(sid, &job);
        let time = self.time_of_job();
        let now = self.network.now;
        let server = self.server(sid);
        let at = now.max(server.disk_busy_until).after(time);
        server.disk_busy_until = at;
        server.disk.submit(job);
        let run = server.run;
        self.schedule(at.since(now), Event::DiskDone { sid, run });
    }
}

const fn to_leader_name(packet: &ToLeader<'_>) -> &'static str {
    match packet {
        ToLeader::FollowerInfo(_) | ToLeader::ObserverInfo(_) => "Info",
        ToLeader::AckEpoch { .. } => "AckEpoch",
        ToLeader::AckNewLeader { .. } => "AckNewLeader",
        ToLeader::Ack { .. } => "Ack",
        ToLeader::Ping { .. } => "Ping",
        ToLeader::Revalidate { .. } => "Revalidate",
        ToLeader::Request(_) => "Request",
    }
}

const fn to_learner_name(packet: &ToLearner<'_>) -> &'static str {
    match packet {
        ToLearner::LeaderInfo { .. } => "LeaderInfo",
        ToLearner::Diff { .. } => "Diff",
        ToLearner::Truncate { .. } => "Truncate",
        ToLearner::Snapshot { .. } => "Snapshot",
        ToLearner::NewLeader { .. } => "NewLeader",
        ToLearner::UpToDate => "UpToDate",
        ToLearner::Proposal(_) => "Proposal",
        ToLearner::Commit { .. } => "Commit",
        ToLearner::CommitAndActivate { .. } => "CommitAndActivate",
        ToLearner::Inform(_) => "Inform",
        ToLearner::InformAndActivate { .. } => "InformAndActivate",
        ToLearner::Sync => "Sync",
        ToLearner::Ping { .. } => "Ping",
        ToLearner::Revalidated { .. } => "Revalidated",
    }
}
