//! Servers, their disks and the network between them, in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use types::{Epoch, Instant, Now, Sid, Zxid};
use wire::election::{Form, Notification};
use wire::quorum::{Proposal, ToLeader, ToLearner, Touches};
use wire::stored::LogBatch;
use zab::{
    CallFailure, CloseReason, Effect, ElectionOptions, Input, LearnerKind, Link, Options, Peer,
    PeerMisbehaved, Quorum, Quorums,
};

use crate::check::Ledger;
use crate::disk::{Disk, Entry, Job, entries};
use crate::network::{Network, Port};
use crate::random::Random;

#[path = "wire_form.rs"]
mod wire_form;

const TICK: Duration = Duration::from_millis(100);
const CONFIG: &str = "version=0";

/// What a run is like.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) voters: i64,
    pub(crate) observers: i64,
    /// Committed transactions that are kept for learners.
    pub(crate) history_min: usize,
    /// Percentages of the kinds of faults.
    pub(crate) crashes: u64,
    pub(crate) cuts: u64,
    pub(crate) silences: u64,
    pub(crate) stalls: u64,
    pub(crate) pauses: u64,
    /// The longest delay of a message, of a job of the disk.
    pub(crate) message_ms: u64,
    pub(crate) job_ms: u64,
}

impl Plan {
    pub(crate) fn calm() -> Self {
        Self {
            voters: 3,
            observers: 0,
            history_min: 500,
            crashes: 0,
            cuts: 0,
            silences: 0,
            stalls: 0,
            pauses: 0,
            message_ms: 2,
            job_ms: 2,
        }
    }

    /// Each kind of fault exists in half of the runs.
    pub(crate) fn wild(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let mut weight = |most: u64| if random.percent(50) { random.below(most) + 1 } else { 0 };
        let (crashes, cuts, silences) = (weight(40), weight(40), weight(30));
        let (stalls, pauses) = (weight(30), weight(30));
        Self {
            history_min: *random.pick(&[0, 1, 5, 20, 500]),
            message_ms: *random.pick(&[1, 5, 20, 80]),
            job_ms: *random.pick(&[1, 5, 20, 80]),
            crashes,
            cuts,
            silences,
            stalls,
            pauses,
            ..Self::calm()
        }
    }
}

/// What a server does with those who connect to its quorum port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Learners {
    Wait,
    Admit,
    Refuse,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Down,
    Looking,
    Leading(Epoch),
    Following,
}

struct Server {
    kind: LearnerKind,
    peer: Option<Peer>,
    disk: Disk,
    disk_busy_until: Instant,
    stalled_until: Instant,
    /// Nothing happens to a process that is stopped; it comes all at once afterwards.
    paused_until: Instant,
    held: VecDeque<Event>,
    /// Distinguishes the runs of the process.
    run: u32,
    role: Role,
    log: Vec<Entry>,
    delivered: Zxid,
    learners: Learners,
    /// Connections that were not accepted, with what arrived over them.
    backlog: BTreeMap<Link, Vec<Item>>,
    /// Over which connection it waits for a snapshot.
    awaits: Option<Link>,
    /// Who has asked for a confirmation, with what was committed at that time.
    asked: VecDeque<usize>,
    deadline: Option<Instant>,
}

/// What travels over a connection.
#[derive(Clone, Debug)]
enum Item {
    Notification(Vec<u8>),
    ToLeader(Vec<u8>),
    ToLearner(Vec<u8>),
    Stream { last_applied: Zxid, entries: Vec<Entry> },
    Closed,
}

#[derive(Debug)]
enum Event {
    Arrive { link: Link, item: Item },
    Dial { from: Sid, run: u32, to: Sid, port: Port },
    DiskDone { sid: Sid, run: u32 },
    SnapshotSent { sid: Sid, run: u32, link: Link },
    Deadline { sid: Sid, run: u32 },
    Restart { sid: Sid },
    Wake { sid: Sid },
    Heal { pair: (Sid, Sid) },
}

pub(crate) struct World {
    plan: Plan,
    random: Random,
    now: Instant,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    events: BTreeMap<u64, Event>,
    scheduled: u64,
    servers: BTreeMap<Sid, Server>,
    network: Network,
    apart: BTreeSet<(Sid, Sid)>,
    ledger: Ledger,
    proposed: u64,
    goal: usize,
}

impl World {
    pub(crate) fn new(seed: u64, plan: Plan) -> Self {
        let sids = (1..=plan.voters + plan.observers).map(Sid);
        let server = |sid: Sid| Server {
            kind: if sid.0 <= plan.voters { LearnerKind::Follower } else { LearnerKind::Observer },
            peer: None,
            disk: Disk::default(),
            disk_busy_until: Instant::default(),
            stalled_until: Instant::default(),
            paused_until: Instant::default(),
            held: VecDeque::new(),
            run: 0,
            role: Role::Down,
            log: Vec::new(),
            delivered: Zxid::ZERO,
            learners: Learners::Wait,
            backlog: BTreeMap::new(),
            awaits: None,
            asked: VecDeque::new(),
            deadline: None,
        };
        let mut world = Self {
            servers: sids.map(|sid| (sid, server(sid))).collect(),
            plan,
            random: Random::new(seed),
            now: Instant::default(),
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            scheduled: 0,
            network: Network::default(),
            apart: BTreeSet::new(),
            ledger: Ledger::default(),
            proposed: 0,
            goal: 0,
        };
        for sid in world.sids() {
            world.start(sid);
        }
        world
    }

    /// Lets time pass without new faults.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(&Reverse((at, number))) = self.queue.peek()
            && at <= end
        {
            self.queue.pop();
            self.now = at;
            let event = self.events.remove(&number).expect("scheduled");
            self.on_event(event);
        }
        self.now = end;
    }

    /// Lets time pass with faults, proposals and questions.
    pub(crate) fn run_wild(&mut self, time: Duration) {
        let end = self.now.after(time);
        while self.now < end {
            let pause = Duration::from_millis(self.random.below(100));
            self.run_for(pause);
            self.inject();
            let leaders = self.leaders();
            for leader in leaders {
                if self.random.percent(70) {
                    let count = self.random.below(4);
                    self.propose(leader, count);
                }
                if self.random.percent(50) {
                    self.ask(leader);
                }
            }
        }
    }

    /// Ends all faults.
    pub(crate) fn heal(&mut self) {
        self.apart.clear();
        self.plan =
            Plan { crashes: 0, cuts: 0, silences: 0, stalls: 0, pauses: 0, ..self.plan.clone() };
        for sid in self.sids() {
            if self.servers[&sid].role == Role::Down {
                self.start(sid);
            }
        }
    }

    /// Lets the leader, of which there must be one, propose.
    pub(crate) fn propose_somewhere(&mut self, count: u64) {
        let leaders = self.leaders();
        assert_eq!(leaders.len(), 1, "one server leads at {:?}: {}", self.now, self.roles());
        self.goal = self.ledger.committed.len() + usize::try_from(count).expect("small");
        self.propose(leaders[0], count);
    }

    /// All servers are there, follow one leader, and have delivered everything.
    pub(crate) fn must_agree(&self, newly_committed: usize) {
        assert!(newly_committed > 0);
        assert!(self.ledger.committed.len() >= self.goal, "all that was proposed is committed");
        for (sid, server) in &self.servers {
            assert!(
                matches!(server.role, Role::Leading(_) | Role::Following),
                "{sid:?}: {}",
                self.roles()
            );
            assert_eq!(server.delivered, self.ledger.last(), "{sid:?} has delivered all");
            assert_eq!(server.log, self.ledger.committed, "{sid:?} has logged all, and no more");
        }
    }

    pub(crate) fn fingerprint(&self) -> String {
        format!("{} {:?} {}", self.roles(), self.ledger.committed, self.scheduled)
    }

    fn roles(&self) -> String {
        let role = |(sid, server): (&Sid, &Server)| format!("{}: {:?}", sid.0, server.role);
        self.servers.iter().map(role).collect::<Vec<_>>().join(", ")
    }

    fn sids(&self) -> Vec<Sid> {
        self.servers.keys().copied().collect()
    }

    fn leaders(&self) -> Vec<Sid> {
        let leads = |(&sid, server): (&Sid, &Server)| {
            matches!(server.role, Role::Leading(_)).then_some(sid)
        };
        self.servers.iter().filter_map(leads).collect()
    }

    fn schedule(&mut self, at: Instant, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse((at, self.scheduled)));
        self.events.insert(self.scheduled, event);
    }

    fn some_time(&mut self, longest_ms: u64) -> Instant {
        self.now.after(Duration::from_micros(self.random.below(longest_ms * 1000) + 10))
    }

    fn wall(&self) -> Now {
        Now { instant: self.now, wall_ms: 0 }
    }
}

/// Faults and work.
impl World {
    fn inject(&mut self) {
        let sids = self.sids();
        let (a, b) = (*self.random.pick(&sids), *self.random.pick(&sids));
        if self.random.percent(self.plan.crashes) && self.servers[&a].role != Role::Down {
            self.crash(a);
            let back = self.some_time(3000);
            self.schedule(back, Event::Restart { sid: a });
        }
        if self.random.percent(self.plan.cuts) && a != b {
            self.cut(a, b);
            if self.random.percent(60) {
                let pair = (a.min(b), a.max(b));
                self.apart.insert(pair);
                let back = self.some_time(3000);
                self.schedule(back, Event::Heal { pair });
            }
        }
        if self.random.percent(self.plan.silences) && a != b {
            let until = self.some_time(1500);
            for link in [self.network.between(a, b), self.network.between(b, a)].concat() {
                if let Some(end) = self.network.ends.get_mut(&link) {
                    end.busy_until = end.busy_until.max(until);
                }
            }
        }
        if self.random.percent(self.plan.stalls) {
            let until = self.some_time(1000);
            self.server(a).stalled_until = until;
        }
        if self.random.percent(self.plan.pauses) {
            let until = self.some_time(2000);
            let server = self.server(a);
            server.paused_until = server.paused_until.max(until);
            let until = server.paused_until;
            self.schedule(until, Event::Wake { sid: a });
        }
    }

    fn propose(&mut self, leader: Sid, count: u64) {
        let Role::Leading(epoch) = self.servers[&leader].role else { return };
        let last = self.servers[&leader].log.last().map_or(Zxid::ZERO, |entry| entry.zxid);
        let mut zxid =
            if last.epoch() == epoch { last } else { Zxid::new(epoch, types::Counter(0)) };
        let mut batch = LogBatch::new();
        for _ in 0..count {
            zxid = zxid.next().expect("epochs of tests are short");
            self.proposed += 1;
            let mut payload = vec![0; 12];
            payload.extend_from_slice(&zxid.raw().to_be_bytes());
            payload.extend_from_slice(&self.proposed.to_be_bytes());
            batch.push_proposal(Proposal::new(&payload).expect("long enough"));
        }
        if count > 0 {
            self.step(leader, Input::Propose(Arc::new(batch)));
        }
    }

    fn ask(&mut self, leader: Sid) {
        let committed = self.ledger.committed.len();
        self.server(leader).asked.push_back(committed);
        self.step(leader, Input::ConfirmLeadership);
    }

    fn start(&mut self, sid: Sid) {
        let options = self.options(sid);
        let quorums =
            Quorums { committed: Quorum::majority((1..=self.plan.voters).map(Sid)), pending: None };
        let now = self.wall();
        let server = self.server(sid);
        let mut effects = Vec::new();
        let recovered = server.disk.durable.recovered();
        server.log = server.disk.durable.log.clone();
        server.delivered = Zxid::ZERO;
        server.run += 1;
        server.role = Role::Looking;
        server.learners = Learners::Wait;
        let mut peer = Peer::new(options, quorums, recovered, now, &mut effects);
        peer.settle(now, &mut effects);
        server.peer = Some(peer);
        self.carry_out(sid, effects);
    }

    fn options(&self, sid: Sid) -> Options {
        let kind = self.servers[&sid].kind;
        let config: Arc<str> = CONFIG.into();
        Options {
            sid,
            kind,
            tick: TICK,
            init_limit: 20,
            sync_limit: 5,
            history_min: self.plan.history_min,
            snapshots_only: false,
            config: Arc::clone(&config),
            config_version: 0,
            election: ElectionOptions {
                sid,
                is_observer: kind == LearnerKind::Observer,
                notify_min: Duration::from_millis(200),
                notify_max: Duration::from_secs(2),
                finalize: Duration::from_millis(200),
                config,
                config_version: 0,
                seed: sid.0.unsigned_abs() + u64::from(self.servers[&sid].run) * 100,
            },
        }
    }

    fn crash(&mut self, sid: Sid) {
        for link in self.network.of(sid) {
            self.close(link);
        }
        let mut random = self.random.clone();
        let server = self.server(sid);
        server.disk.crash(&mut random);
        server.peer = None;
        server.role = Role::Down;
        server.run += 1;
        server.backlog.clear();
        server.awaits = None;
        server.asked.clear();
        server.deadline = None;
        server.paused_until = Instant::default();
        server.held.clear();
        server.disk_busy_until = Instant::default();
        self.random = random;
    }

    fn cut(&mut self, a: Sid, b: Sid) {
        for link in self.network.between(a, b) {
            let Some(end) = self.network.ends.get(&link) else { continue };
            let (other, at) = (end.other, self.some_time(50));
            self.schedule(at, Event::Arrive { link, item: Item::Closed });
            let at = self.some_time(50);
            self.schedule(at, Event::Arrive { link: other, item: Item::Closed });
        }
    }

    fn server(&mut self, sid: Sid) -> &mut Server {
        self.servers.get_mut(&sid).expect("one of ours")
    }

    fn are_apart(&self, a: Sid, b: Sid) -> bool {
        self.apart.contains(&(a.min(b), a.max(b)))
    }

    /// Closes one end; the other hears of it later.
    fn close(&mut self, link: Link) {
        let Some(end) = self.network.ends.remove(&link) else { return };
        self.server(end.owner).backlog.remove(&link);
        if let Some(other) = self.network.ends.get(&end.other) {
            let at = other.busy_until.max(self.now).after(Duration::from_micros(10));
            self.schedule(at, Event::Arrive { link: end.other, item: Item::Closed });
        }
    }

    /// Sends something to the other end.
    fn send(&mut self, link: Link, item: Item) {
        let Some(end) = self.network.ends.get(&link) else { return };
        let other = end.other;
        let at = self.some_time(self.plan.message_ms);
        let Some(far) = self.network.ends.get_mut(&other) else { return };
        let at = at.max(far.busy_until);
        far.busy_until = at;
        self.schedule(at, Event::Arrive { link: other, item });
    }
}

/// What happens.
impl World {
    fn on_event(&mut self, event: Event) {
        let now = self.now;
        if let Some(sid) = self.concerns(&event) {
            let server = self.server(sid);
            if server.paused_until > now || !server.held.is_empty() {
                server.held.push_back(event);
                return;
            }
        }
        match event {
            Event::Arrive { link, item } => self.on_arrival(link, item),
            Event::Dial { from, run, to, port } => self.on_dial(from, run, to, port),
            Event::DiskDone { sid, run } => self.on_disk_done(sid, run),
            Event::SnapshotSent { sid, run, link } => {
                if self.servers[&sid].run == run && self.network.ends.contains_key(&link) {
                    self.step(sid, Input::SnapshotSent { link });
                }
            }
            Event::Deadline { sid, run } => {
                let server = &self.servers[&sid];
                if server.run == run && server.deadline.is_some_and(|at| at <= self.now) {
                    self.server(sid).deadline = None;
                    self.step(sid, Input::Deadline);
                }
            }
            Event::Restart { sid } => {
                if self.servers[&sid].role == Role::Down {
                    self.start(sid);
                }
            }
            Event::Wake { sid } => self.wake(sid),
            Event::Heal { pair } => {
                self.apart.remove(&pair);
            }
        }
    }

    /// A process goes on that was stopped: everything reaches it at once.
    fn wake(&mut self, sid: Sid) {
        if self.servers[&sid].paused_until <= self.now {
            for event in std::mem::take(&mut self.server(sid).held) {
                self.on_event(event);
            }
        }
    }

    /// The server that an event happens to.
    fn concerns(&self, event: &Event) -> Option<Sid> {
        match *event {
            Event::Arrive { link, .. } => self.network.ends.get(&link).map(|end| end.owner),
            Event::Dial { from: sid, .. }
            | Event::DiskDone { sid, .. }
            | Event::SnapshotSent { sid, .. }
            | Event::Deadline { sid, .. } => Some(sid),
            Event::Restart { .. } | Event::Wake { .. } | Event::Heal { .. } => None,
        }
    }

    fn on_dial(&mut self, from: Sid, run: u32, to: Sid, port: Port) {
        if self.servers[&from].run != run {
            return;
        }
        let is_up = self.servers.get(&to).is_some_and(|it| it.role != Role::Down);
        if !is_up || self.are_apart(from, to) {
            let reason = match self.are_apart(from, to) {
                true => CallFailure::Unknown,
                false => CallFailure::Refused,
            };
            match port {
                Port::Election => self.step(from, Input::CallFailed { to, reason }),
                Port::Quorum => self.step(from, Input::LeaderUnreachable { leader: to }),
            }
            return;
        }
        let (near, far) = self.network.connect(from, to, port);
        match port {
            Port::Election => {
                self.step(to, Input::Called { link: far, from, addresses: Vec::new() });
                self.step(from, Input::CallThrough { link: near, to });
            }
            Port::Quorum => {
                match self.servers[&to].learners {
                    Learners::Admit => self.step(to, Input::LearnerConnected { link: far }),
                    Learners::Wait => {
                        self.server(to).backlog.insert(far, Vec::new());
                    }
                    Learners::Refuse => self.close(far),
                }
                self.step(from, Input::LeaderReached { link: near, leader: to });
            }
        }
    }

    fn on_disk_done(&mut self, sid: Sid, run: u32) {
        if self.servers[&sid].run != run {
            return;
        }
        let stalled_until = self.servers[&sid].stalled_until;
        if stalled_until > self.now {
            self.schedule(stalled_until, Event::DiskDone { sid, run });
            return;
        }
        let server = self.server(sid);
        let Some(input) = server.disk.next() else { return };
        if let Input::SnapshotInstalled { last_applied, .. } = input {
            server.log = server.disk.durable.log.clone();
            server.delivered = last_applied;
        }
        self.step(sid, input);
    }

    fn on_arrival(&mut self, link: Link, item: Item) {
        let Some(end) = self.network.ends.get(&link).cloned() else { return };
        let sid = end.owner;
        if let Some(waiting) = self.server(sid).backlog.get_mut(&link)
            && !matches!(item, Item::Closed)
        {
            waiting.push(item);
            return;
        }
        match item {
            Item::Closed => self.on_closed(link),
            Item::Notification(bytes) => {
                let notification = Notification::decode(&bytes[4..]).expect("ours");
                self.step(sid, Input::Notified { link, notification });
            }
            Item::ToLeader(bytes) => {
                let (packet, _) = ToLeader::decode(&bytes, 1 << 20).expect("ours").expect("whole");
                self.step(sid, Input::FromLearner { link, packet });
            }
            Item::ToLearner(bytes) => {
                let (packet, _) = ToLearner::decode(&bytes, 1 << 20).expect("ours").expect("whole");
                if matches!(packet, ToLearner::Snapshot { .. }) {
                    self.server(sid).awaits = Some(link);
                }
                self.step(sid, Input::FromLeader { link, packet });
            }
            Item::Stream { last_applied, entries } => {
                self.server(sid).awaits = None;
                self.submit(sid, Job::Install { link, last_applied, entries });
            }
        }
    }

    fn on_closed(&mut self, link: Link) {
        let Some(end) = self.network.ends.get(&link).cloned() else { return };
        let was_waiting = self.servers[&end.owner].backlog.contains_key(&link);
        self.close(link);
        self.give_up_snapshot(end.owner, link);
        match end.port {
            _ if was_waiting => {}
            Port::Election => self.step(end.owner, Input::ElectionLinkClosed { link }),
            Port::Quorum => self.step(end.owner, Input::QuorumLinkClosed { link }),
        }
    }

    /// The connection is gone before the stream was there.
    fn give_up_snapshot(&mut self, sid: Sid, link: Link) {
        if self.servers[&sid].awaits == Some(link) {
            self.server(sid).awaits = None;
            self.step(sid, Input::SnapshotGivenUp { link });
        }
    }

    fn step(&mut self, sid: Sid, input: Input<'_>) {
        let now = self.wall();
        let server = self.server(sid);
        let Some(peer) = &mut server.peer else { return };
        let mut effects = Vec::new();
        peer.take(now, input, &mut effects);
        peer.settle(now, &mut effects);
        self.carry_out(sid, effects);
    }

    fn submit(&mut self, sid: Sid, job: Job) {
        let at = self.some_time(self.plan.job_ms);
        let server = self.server(sid);
        let at = at.max(server.disk_busy_until);
        server.disk_busy_until = at;
        server.disk.submit(job);
        let run = server.run;
        self.schedule(at, Event::DiskDone { sid, run });
    }
}

/// What servers do.
impl World {
    fn carry_out(&mut self, sid: Sid, effects: Vec<Effect>) {
        for effect in effects {
            self.carry_out_one(sid, effect);
        }
        let now = self.now;
        let server = self.server(sid);
        let run = server.run;
        let next = server.peer.as_ref().and_then(Peer::next_deadline);
        let at = next.map(|next| next.max(now));
        if let Some(at) = at
            && server.deadline != Some(at)
        {
            server.deadline = Some(at);
            self.schedule(at, Event::Deadline { sid, run });
        }
    }

    fn carry_out_one(&mut self, sid: Sid, effect: Effect) {
        let run = self.servers[&sid].run;
        match effect {
            Effect::Call { to, .. } => {
                let at = self.some_time(self.plan.message_ms);
                self.schedule(at, Event::Dial { from: sid, run, to, port: Port::Election });
            }
            Effect::ConnectToLeader(to) => {
                let at = self.some_time(self.plan.message_ms);
                self.schedule(at, Event::Dial { from: sid, run, to, port: Port::Quorum });
            }
            Effect::Notify { link, announcement } => {
                let mut bytes = Vec::new();
                Notification {
                    state: announcement.state,
                    leader: announcement.leader,
                    last_logged: announcement.last_logged,
                    round: announcement.round,
                    epoch: announcement.epoch,
                    form: Form::WithConfig { config: (&*announcement.config).into() },
                }
                .encode(&mut bytes);
                self.send(link, Item::Notification(bytes));
            }
            Effect::Close { link, reason } => self.carry_out_close(sid, link, &reason),
            Effect::AdmitLearners => {
                self.server(sid).learners = Learners::Admit;
                let waiting = std::mem::take(&mut self.server(sid).backlog);
                for (link, items) in waiting {
                    self.step(sid, Input::LearnerConnected { link });
                    for item in items {
                        self.on_arrival(link, item);
                    }
                }
            }
            Effect::RefuseLearners => {
                self.server(sid).learners = Learners::Refuse;
                for link in std::mem::take(&mut self.server(sid).backlog).into_keys() {
                    self.close(link);
                }
            }
            Effect::LetLearnersWait => self.server(sid).learners = Learners::Wait,
            Effect::ToLeader { link, packet } => {
                self.check_promise(sid, &packet);
                for bytes in wire_form::to_leader(sid, packet) {
                    self.send(link, Item::ToLeader(bytes));
                }
            }
            Effect::ToLearner { link, packet } => {
                if let zab::LeaderPacket::LeaderInfo(epoch) = packet {
                    assert!(self.servers[&sid].disk.durable.accepted >= epoch, "D1: LeaderInfo");
                }
                for bytes in wire_form::to_learner(&packet) {
                    self.send(link, Item::ToLearner(bytes));
                }
            }
            Effect::SendSnapshot { link, last_applied } => {
                let log = &self.servers[&sid].log;
                let entries = log.iter().filter(|it| it.zxid <= last_applied).cloned().collect();
                let header = wire_form::snapshot(last_applied);
                self.send(link, Item::ToLearner(header));
                self.send(link, Item::Stream { last_applied, entries });
                let at = self.some_time(200);
                self.schedule(at, Event::SnapshotSent { sid, run, link });
            }
            Effect::AnswerPing { link, last_proposed } => {
                let mut bytes = Vec::new();
                ToLeader::Ping { last_proposed, touches: Touches::NONE }.encode(&mut bytes);
                self.send(link, Item::ToLeader(bytes));
            }
            Effect::Append(batch) => {
                self.server(sid).log.extend(entries(&batch));
                self.submit(sid, Job::Append(batch));
            }
            Effect::StoreAcceptedEpoch(epoch) => self.submit(sid, Job::Accept(epoch)),
            Effect::StoreCurrentEpoch(epoch) => self.submit(sid, Job::Adopt(epoch)),
            Effect::Truncate(keep) => {
                let server = self.server(sid);
                server.log.retain(|entry| entry.zxid <= keep);
                server.delivered = server.delivered.min(keep);
                self.submit(sid, Job::Truncate(keep));
            }
            Effect::Deliver(zxid) => self.deliver(sid, zxid),
            Effect::Look => {
                let server = self.server(sid);
                server.role = Role::Looking;
                server.asked.clear();
            }
            Effect::Lead { epoch } => {
                self.server(sid).role = Role::Leading(epoch);
                self.ledger.leads(sid, epoch, &self.servers[&sid].log);
            }
            Effect::Follow { .. } => self.server(sid).role = Role::Following,
            Effect::LeadershipConfirmed { count } => {
                for _ in 0..count {
                    let committed = self.server(sid).asked.pop_front().expect("it was asked");
                    let zxid = committed
                        .checked_sub(1)
                        .map_or(Zxid::ZERO, |last| self.ledger.committed[last].zxid);
                    let delivered = self.servers[&sid].delivered;
                    assert!(delivered >= zxid, "P12: {sid:?} confirmed without {zxid}");
                }
            }
            Effect::LearnMembership(_) => {}
        }
    }

    fn carry_out_close(&mut self, sid: Sid, link: Link, reason: &CloseReason) {
        let CloseReason::Misbehaved(misbehaved) = reason else {
            return self.close_and_tell(sid, link);
        };
        let may_happen = matches!(
            misbehaved,
            PeerMisbehaved::LaterHistory { .. } | PeerMisbehaved::StaleEpoch { .. }
        );
        assert!(may_happen, "{sid:?} about a correct server: {misbehaved}");
        self.close_and_tell(sid, link);
    }

    fn close_and_tell(&mut self, sid: Sid, link: Link) {
        let Some(end) = self.network.ends.get(&link).cloned() else { return };
        self.close(link);
        self.give_up_snapshot(sid, link);
        let run = self.servers[&sid].run;
        if run == self.servers[&sid].run {
            match end.port {
                Port::Election => self.step(sid, Input::ElectionLinkClosed { link }),
                Port::Quorum => self.step(sid, Input::QuorumLinkClosed { link }),
            }
        }
    }

    fn check_promise(&self, sid: Sid, packet: &zab::LearnerPacket) {
        let durable = &self.servers[&sid].disk.durable;
        match *packet {
            zab::LearnerPacket::Info { .. } => {}
            zab::LearnerPacket::AckEpoch { last_logged, .. } => {
                assert_eq!(Some(durable.last_logged()), last_logged, "D1: AckEpoch");
            }
            zab::LearnerPacket::AckNewLeader(epoch) => {
                assert_eq!(durable.current, epoch, "D1: AckNewLeader");
            }
            zab::LearnerPacket::Acks { last, .. } => assert!(durable.has(last), "D1: Ack"),
        }
    }

    fn deliver(&mut self, sid: Sid, zxid: Zxid) {
        let server = self.server(sid);
        server.delivered = server.delivered.max(zxid);
        let end = server.log.partition_point(|entry| entry.zxid <= zxid);
        self.ledger.delivered(sid, &self.servers[&sid].log[..end]);
        let Some(last) = self.servers[&sid].log[..end].last() else { return };
        let voters = self.servers.values().filter(|it| it.kind == LearnerKind::Follower);
        let holders = voters.filter(|it| it.disk.durable.has(last.zxid)).count();
        let quorum = usize::try_from(self.plan.voters / 2 + 1).expect("few");
        assert!(holders >= quorum, "D4: {} is durable at {holders} voters only", last.zxid);
    }
}
