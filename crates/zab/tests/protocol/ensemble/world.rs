//! Servers, their disks and the network between them, in virtual time.
//!
//! What servers say travels as the bytes that really do. What must always hold is checked at every
//! step: by `ledger.rs` what concerns all servers, here what concerns one and its disk.

mod choices;
mod deeds;
pub(crate) mod disk;
mod faults;
pub(crate) mod ledger;
mod packets;
mod promises;
mod reading;
pub(crate) mod record;
pub(crate) mod server;
mod steps;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use types::membership::{ConfigVersion, Membership};
use types::{Counter, Epoch, Instant, Now, SessionId, Sid, Txn, TxnHeader, Xid, Zxid};
use wire::quorum::Proposal;
use wire::stored::LogBatch;
use zab::{
    ElectionOptions, HistoryBounds, Input, Link, LogReading, Memberships, ObserverMasters,
    ObserverPauses, Options, Oracle, Peer, Quorum, SynchronizationsMax,
};

pub(crate) use self::choices::Choice;
use self::disk::{Disk, Entry, entries};
pub(crate) use self::faults::Faults;
use self::ledger::Ledger;
use self::record::{Moment, Record, Shown};
use self::server::{Conversation, Door, Event, Process, Role, Server};
use crate::support::chance::Chance;
use crate::support::network::Network;

/// What a run is like.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) voters: i64,
    pub(crate) observers: i64,
    /// Servers that are not in the membership at first.
    pub(crate) spares: i64,
    /// Whether the membership can be changed.
    pub(crate) is_reconfigurable: bool,
    pub(crate) tick: Duration,
    pub(crate) init_limit: u32,
    pub(crate) sync_limit: u32,
    /// Committed transactions that are kept for learners.
    pub(crate) history_min: usize,
    pub(crate) log_reading: LogReading,
    pub(crate) snapshots_only: bool,
    /// Whether one of two voters may decide alone if an oracle says so.
    pub(crate) has_oracle: bool,
    /// How long a leader that is being deserted waits for epochs.
    pub(crate) epoch_wait: Option<Duration>,
    /// How long observers hesitate at most, whenever they connect.
    pub(crate) pause: Duration,
    /// From whom observers learn.
    pub(crate) observer_masters: ObserverMasters,
    pub(crate) synchronizations_max: SynchronizationsMax,
    /// How long a message takes, and how much longer at most.
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    /// How long after it ended a connection a server may still hear from it, but for the jitter.
    pub(crate) closing: Duration,
    /// How long a job of the disk takes, and how much longer at most.
    pub(crate) job: Duration,
    pub(crate) job_jitter: Duration,
    /// How long a snapshot takes to be sent, and a part of the log.
    pub(crate) stream: Duration,
    pub(crate) faults: Faults,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) chance: Chance,
    pub(crate) network: Network<server::Item>,
    pub(crate) servers: BTreeMap<Sid, Server>,
    queue: BTreeMap<(Instant, u64), Event>,
    scheduled: u64,
    pub(crate) ledger: Ledger,
    pub(crate) record: Record,
    /// What the oracle tells whom; nothing if it does not answer.
    pub(crate) oracles: BTreeMap<Sid, Oracle>,
    /// Where servers crash.
    pub(crate) traps: Vec<Trap>,
    is_stopped: bool,
    /// Whose files may not allow cuts.
    refuser: Option<Sid>,
    /// Over which a script says something in a server's name.
    pub(crate) forged: BTreeSet<Link>,
}

/// What happens when a server comes to a moment for the `countdown`-th time.
#[derive(Clone, Debug)]
pub(crate) struct Trap {
    pub(crate) sid: Sid,
    pub(crate) moment: String,
    pub(crate) countdown: u32,
    pub(crate) then: Then,
}

/// What a trap does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    Crash,
    /// Time stands still, for the script to go on.
    Stop,
}

impl Plan {
    /// Three servers that nothing happens to.
    pub(crate) fn calm() -> Self {
        Self {
            voters: 3,
            observers: 0,
            spares: 0,
            is_reconfigurable: false,
            tick: Duration::from_millis(100),
            init_limit: 20,
            sync_limit: 5,
            history_min: 500,
            log_reading: LogReading::Off,
            snapshots_only: false,
            has_oracle: false,
            epoch_wait: None,
            pause: Duration::ZERO,
            observer_masters: ObserverMasters::Leader,
            synchronizations_max: SynchronizationsMax { snapshots: 10, diffs: 100 },
            delay: Duration::from_millis(1),
            jitter: Duration::ZERO,
            closing: Duration::ZERO,
            job: Duration::from_millis(1),
            job_jitter: Duration::ZERO,
            stream: Duration::from_millis(10),
            faults: Faults::NONE,
        }
    }

    /// Who there is at first.
    pub(crate) fn membership(&self) -> Membership {
        let role = |sid: i64| if sid <= self.voters { "" } else { ":observer" };
        let sids = 1..=self.voters + self.observers;
        membership(sids.map(|sid| format!("{sid}{}", role(sid))))
    }
}

/// A membership of servers such as `3`, `3:observer` and `3@9`, which is found elsewhere than `3`.
pub(crate) fn membership(members: impl IntoIterator<Item = String>) -> Membership {
    let line = |member: String| {
        let (rest, role) = member.split_once(':').unwrap_or((&member, "participant"));
        let (sid, place) = rest.split_once('@').unwrap_or((rest, "0"));
        format!("server.{sid}=s{sid}:{place}:65535:{role}\n")
    };
    Membership::parse(&members.into_iter().map(line).collect::<String>()).expect("members")
}

impl World {
    /// Servers that do not run yet.
    pub(crate) fn new(seed: u64, plan: Plan) -> Self {
        let mut network = Network::new(seed, plan.delay);
        network.jitter = plan.jitter;
        network.closing = plan.closing;
        let memberships = Memberships::from(plan.membership());
        let server = |_| Server {
            disk: Disk::new(memberships.clone()),
            process: None,
            run: 0,
            disk_busy_until: Instant::default(),
            stalled_until: Instant::default(),
        };
        let sids = 1..=plan.voters + plan.observers + plan.spares;
        Self {
            servers: sids.map(|it| (Sid(it), server(it))).collect(),
            chance: Chance::new(seed),
            network,
            queue: BTreeMap::new(),
            scheduled: 0,
            ledger: Ledger::new(plan.membership()),
            plan,
            record: Record::default(),
            oracles: BTreeMap::new(),
            traps: Vec::new(),
            is_stopped: false,
            refuser: None,
            forged: BTreeSet::new(),
        }
    }

    /// A server has logged this before the run.
    pub(crate) fn give(&mut self, sid: Sid, zxids: impl Iterator<Item = Zxid>) {
        let entry = |zxid: Zxid| Entry { zxid, payload: payload(zxid, 0) };
        let log = &mut self.servers.get_mut(&sid).expect("one of ours").disk.durable.log;
        log.extend(zxids.map(entry));
        self.ledger.has(log);
    }

    /// A server starts, if it does not run.
    pub(crate) fn start(&mut self, sid: Sid) {
        let options = self.options(sid);
        let now = self.wall();
        let server = self.server(sid);
        if server.process.is_some() {
            return;
        }
        server.run += 1;
        let mut effects = Vec::new();
        let recovered = server.disk.durable.recovered();
        let last_logged = recovered.last_logged;
        let memberships = server.disk.durable.memberships.clone();
        let peer = Peer::new(options, memberships, recovered, now, &mut effects);
        server.process = Some(Process {
            peer,
            effects,
            role: Role::Looking,
            log: server.disk.durable.log.clone(),
            delivered: Zxid::ZERO,
            recovered: last_logged,
            last_proposed: Zxid::ZERO,
            synchronizes: None,
            door: Door::Wait,
            admits_observers: false,
            backlog: BTreeMap::new(),
            awaits: None,
            conversation: Conversation::default(),
            accepted_by_others: Epoch::default(),
            asked: VecDeque::new(),
            readings: BTreeMap::new(),
            paused_until: Instant::default(),
            held: VecDeque::new(),
            deadline: None,
        });
        self.network.start(sid);
        self.settle(sid);
    }

    /// A server's process ends. Some of what was on its way to the disk may have got there.
    pub(crate) fn crash(&mut self, sid: Sid) {
        if self.servers[&sid].process.is_none() {
            return;
        }
        self.record.show(Shown::Roles, self.network.now.millis(), || format!("{} crashes", sid.0));
        if self.plan.faults.tears {
            let mut chance = self.chance.clone();
            let jobs = self.server(sid).disk.tear(&mut chance);
            self.chance = chance;
            for _ in 0..jobs {
                self.carry_out_job(sid);
            }
        }
        if self.plan.faults.tears && self.chance.percent(50) {
            self.name_snapshot(sid);
        }
        let server = self.server(sid);
        server.disk.lose();
        server.process = None;
        server.run += 1;
        server.disk_busy_until = Instant::default();
        self.network.crash(sid);
    }

    /// A leader has written a snapshot before it proposed anything: it is named by the beginning of
    /// the epoch.
    fn name_snapshot(&mut self, sid: Sid) {
        let server = self.server(sid);
        let Some(Role::Leading(epoch)) = server.role() else { return };
        let beginning = Zxid::new(epoch, Counter(0));
        let durable = &mut server.disk.durable;
        if durable.last_logged() < beginning {
            durable.snapshot = beginning;
        }
    }

    /// A leader proposes.
    pub(crate) fn propose(&mut self, leader: Sid, count: u64) {
        let Some(Role::Leading(epoch)) = self.servers[&leader].role() else { return };
        let now = self.network.now;
        let server = self.server(leader);
        let run = server.run;
        let Some(process) = server.awake(now) else { return };
        let mut zxid = process.last_proposed.max(Zxid::new(epoch, Counter(0)));
        let mut batch = LogBatch::new();
        for _ in 0..count {
            zxid = zxid.next().expect("epochs of tests are short");
            let payload = payload(zxid, run);
            batch.push_proposal(Proposal::new(&payload).expect("long enough"));
        }
        process.last_proposed = zxid;
        for entry in entries(&batch) {
            self.ledger.proposes(entry);
        }
        if count > 0 {
            self.step(leader, "Propose", Input::Propose(Arc::new(batch)));
        }
    }

    /// A leader proposes another membership, if it may: one at a time, and only with enough of the new
    /// voters following. Returns whether it does.
    pub(crate) fn reconfigure(&mut self, leader: Sid, membership: Membership) -> bool {
        let Some(Role::Leading(epoch)) = self.servers[&leader].role() else { return false };
        let now = self.network.now;
        let Some(process) = self.server(leader).awake(now) else { return false };
        let may = process.peer.memberships().pending().is_none()
            && process.peer.is_followed_by(&Quorum::from(&membership));
        let last = process.last_proposed.max(Zxid::new(epoch, Counter(0)));
        let zxid = last.next().expect("epochs of tests are short");
        if !may {
            return false;
        }
        process.last_proposed = zxid;
        let membership = membership.with_version(ConfigVersion(zxid.raw()));
        let header = TxnHeader { session: SessionId(1), cxid: Xid(0), zxid, time_ms: 0 };
        let txn = Txn::Reconfig {
            path: "/zookeeper/config".into(),
            data: Some(membership.to_string().into_bytes().into()),
            version: -1,
        };
        let mut batch = LogBatch::new();
        batch.push(&header, &txn, None);
        for entry in entries(&batch) {
            self.ledger.proposes(entry);
        }
        self.record.count("reconfiguration");
        self.step(leader, "Propose", Input::Propose(Arc::new(batch)));
        true
    }

    /// Somebody wants to know whether a server still leads.
    pub(crate) fn ask(&mut self, leader: Sid) {
        let now = self.network.now;
        if self.server(leader).awake(now).is_some() {
            self.ask_whoever(leader);
        }
    }

    /// ... also of one that has not taken in yet what came while it stood still.
    fn ask_whoever(&mut self, leader: Sid) {
        let committed = self.ledger.committed.len();
        if let Some(process) = &mut self.server(leader).process
            && matches!(process.role, Role::Leading(_))
        {
            process.asked.push_back(committed);
            self.step(leader, "Confirm", Input::ConfirmLeadership);
        }
    }

    /// Those that lead, as far as they know.
    pub(crate) fn leaders(&self) -> Vec<Sid> {
        let leads = |server: &Server| matches!(server.role(), Some(Role::Leading(_)));
        self.servers.iter().filter(|(_, it)| leads(it)).map(|(&sid, _)| sid).collect()
    }

    /// Whether all servers that run follow one leader, and have delivered everything
    /// that was proposed by it.
    pub(crate) fn agrees(&self) -> bool {
        let [leader] = self.leaders()[..] else { return false };
        let epoch = self.servers[&leader].role();
        // Who learns from a follower is told the epoch, and not whose it is.
        let may_err = self.plan.observer_masters == ObserverMasters::Followers;
        let follows = |server: &Server| match (server.role(), epoch) {
            (Some(Role::Following(its, one)), Some(Role::Leading(other))) => {
                (its == leader || may_err) && one == other
            }
            (role, _) => role == epoch,
        };
        let has_all = |server: &Server| {
            let process = server.process.as_ref().expect("it has a role");
            process.delivered >= self.ledger.last() && process.log == self.ledger.committed
        };
        let mut running = self.servers.values().filter(|it| it.process.is_some());
        running.all(|server| follows(server) && has_all(server))
    }

    /// What each server does.
    pub(crate) fn roles(&self) -> String {
        let role = |(sid, server): (&Sid, &Server)| match &server.process {
            None => format!("{}: down", sid.0),
            Some(it) => {
                let votes = describe_memberships(it.peer.memberships());
                format!("{}: {:?} {} {} {votes}", sid.0, it.role, it.delivered, it.log.len())
            }
        };
        self.servers.iter().map(role).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn sids(&self) -> Vec<Sid> {
        self.servers.keys().copied().collect()
    }

    fn options(&self, sid: Sid) -> Options {
        let run = self.servers[&sid].run;
        Options {
            sid,
            tick: self.plan.tick,
            init_limit: self.plan.init_limit,
            sync_limit: self.plan.sync_limit,
            history: HistoryBounds { txns_min: self.plan.history_min, bytes_max: 1 << 20 },
            log_reading: self.plan.log_reading,
            snapshots_only: self.plan.snapshots_only,
            has_oracle: self.plan.has_oracle,
            epoch_wait_max: self.plan.epoch_wait,
            observer_pauses: ObserverPauses { each: self.plan.pause, again: Duration::ZERO },
            observer_masters: self.plan.observer_masters,
            synchronizations_max: self.plan.synchronizations_max,
            received_bytes_max: zab::RECEIVED_BYTES_MAX,
            is_reconfigurable: self.plan.is_reconfigurable,
            election: ElectionOptions {
                sid,
                notify_min: Duration::from_millis(200),
                notify_max: Duration::from_secs(2),
                finalize: Duration::from_millis(200),
                seed: sid.0.unsigned_abs() + run * 100,
            },
        }
    }

    fn server(&mut self, sid: Sid) -> &mut Server {
        self.servers.get_mut(&sid).expect("one of ours")
    }

    fn wall(&self) -> Now {
        Now { instant: self.network.now, wall_ms: 0 }
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.scheduled += 1;
        self.queue.insert((self.network.now.after(after), self.scheduled), event);
    }

    fn show(&mut self, kind: Shown, what: impl FnOnce() -> String) {
        let now = self.network.now.millis();
        self.record.show(kind, now, what);
    }

    /// A server is at a moment. Returns whether it goes on.
    fn passes(&mut self, sid: Sid, moment: Moment) -> bool {
        if let Some(crash_in) = self.plan.faults.crash_in
            && self.chance.once_in(crash_in)
            && (!moment.is_common() || self.chance.once_in(20))
        {
            self.record.count(format!("crash {} {}", moment.verb, moment.noun).trim_end());
            self.crash(sid);
            self.start_later(sid);
            return false;
        }
        let Some(index) = self.traps.iter().position(|it| it.sid == sid && moment.is(&it.moment))
        else {
            return true;
        };
        self.traps[index].countdown -= 1;
        if self.traps[index].countdown > 0 {
            return true;
        }
        match self.traps.remove(index).then {
            Then::Stop => {
                self.is_stopped = true;
                true
            }
            Then::Crash => {
                self.crash(sid);
                false
            }
        }
    }
}

/// What a transaction of these tests is: it begins like the header of a real one.
fn payload(zxid: Zxid, number: u64) -> Vec<u8> {
    let mut payload = vec![0; 12];
    payload.extend_from_slice(&zxid.raw().to_be_bytes());
    payload.extend_from_slice(&number.to_be_bytes());
    payload
}

/// Who votes, now and in the membership that is pending.
fn describe_memberships(memberships: &Memberships) -> String {
    let describe = |membership: &Membership| {
        let voters = membership.voters().map(|member| member.sid.0.to_string());
        format!("{{{}}} of {}", voters.collect::<Vec<_>>().join(" "), membership.version())
    };
    let pending = memberships.pending().map(|pending| format!(" then {}", describe(pending)));
    describe(&memberships.committed) + &pending.unwrap_or_default()
}
