//! One run: a server, its disk, its clients, and what goes wrong.
//!
//! ```text
//!  clients ──bytes──> links ──pieces──> frontends ──> replica ──> log, snapshot ──> disk
//!     │                 ^ cut             │ the real ones, of the crates that ship │   ^ loses power
//!     └─> history       └────── nemesis ──┴───────────────────────────────────────┘   └ fails
//! ```
//!
//! A run has three phases. *Faults*: clients work while the nemesis breaks things. *Peace*: no
//! more faults; within a bound every client is served and says farewell, by ending its session or
//! by leaving it to expire. *End*: power is lost once more, what is recovered is compared with what
//! was acknowledged, and the checkers read the history.
//!
//! Everything runs in one thread, in the order of the [`agenda`]; every decision is read from the
//! tape.

mod agenda;
mod answer;
mod client;
mod counters;
mod death;
mod disk_threads;
mod drive;
mod ledger;
mod link;
mod members;
mod nemesis;
mod network;
mod node;
mod packets;
mod plan;
mod process;
mod readings;
mod receiver;
mod record;
mod serve;
mod start;
mod streams;
mod workload;

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use types::{ExtendedTypes, Instant, Now, Txn, Xid, Zxid};

pub use counters::Counters;
pub use plan::{Delays, Ensemble, Faults, Plan, Servers, Workload};

use crate::checkers::{Case, Promise, Reads, Violation};
use crate::history::{Event, Fault, History, LoggedTxn};
use crate::model::Rules;
use crate::tape::{Tail, Tape};
use agenda::Agenda;
use client::{Client, Farewell, Phase};
use ledger::{Ledger, Snapshot};
use link::{Link, LinkId};
use members::Dial;
use network::Network;
use node::{Life, Node, NodeId, Nodes};
use record::Record;
use replica::FrontId;

/// Milliseconds since 1970 at the start of every run.
const WALL_START_MS: i64 = 1_700_000_000_000;
/// Entries of the agenda after which a run is taken to be stuck.
const ENTRIES_MAX: u64 = 400_000;
/// How long the faults go on at most.
const FAULTS_MAX: Duration = Duration::from_secs(60);

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// What was seen.
    pub history: History,
    /// What was exercised.
    pub counters: Counters,
    /// Every choice that was made.
    pub tape: Vec<u8>,
    /// Equal for equal runs.
    pub fingerprint: u64,
    /// Virtual time that passed.
    pub elapsed: Duration,
    /// The last things that happened inside, the newest last.
    pub trace: Vec<String>,
}

/// What is written down of the inside of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trace {
    /// Nothing: the fastest.
    Off,
    /// Every entry of the agenda.
    On,
}

/// Runs the world that a tape describes.
pub fn run(tape: Tape, trace: Trace) -> Report {
    let mut world = World::new(tape, trace);
    if let Err(violation) = world.live() {
        world.violation = Some(violation);
    }
    world.report()
}

/// The tape of a seed; of a run with so many voters, if that is given.
///
/// # Errors
/// No run has so many: see [`Servers::VOTERS`].
pub fn tape(seed: u64, voters: Option<usize>) -> Result<Tape, NoSuchEnsemble> {
    let Some(voters) = voters else { return Ok(Tape::from_seed(seed)) };
    let first = Servers::first_byte(voters).ok_or(NoSuchEnsemble { voters })?;
    Ok(Tape::new(vec![first], Tail::Seed(seed)))
}

/// No run has so many voters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoSuchEnsemble {
    /// How many were asked for.
    pub voters: usize,
}

impl fmt::Display for NoSuchEnsemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no run has {} voters: {:?} are possible", self.voters, Servers::VOTERS)
    }
}

impl std::error::Error for NoSuchEnsemble {}

/// What the checkers have to know of the server's configuration.
fn rules() -> Rc<Rules> {
    Rc::new(Rules {
        extended_types: ExtendedTypes::Enabled,
        reconfig_enabled: false,
        credentials: workload::credentials(),
    })
}

/// What can be on the agenda.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// A client looks what to do next.
    Client(usize),
    /// Bytes arrive at the server.
    ToServer(LinkId),
    /// Bytes arrive at a client.
    ToClient(LinkId),
    /// The owner works off its inputs.
    Step(Life),
    /// A frontend works off its mail.
    Collect(Life, FrontId),
    /// The log's thread writes what waits.
    WriteLog(Life),
    /// The log's thread syncs what it wrote.
    SyncLog(Life),
    /// The snapshot's thread does what waits next.
    WriteSnapshot(Life),
    /// A server has called another.
    Dial(Dial),
    /// Bytes of one server arrive at another.
    FromServer(zab::Link),
    /// A learner's connection takes more of a snapshot.
    StreamSent(Life, zab::Link),
    /// The log is read for a learner.
    ReadLog(Life, zab::Link),
    /// The process is started.
    Start(Life),
    /// Something goes wrong.
    Nemesis,
    /// The faults end.
    Peace,
    /// All must be well by now.
    Judgment,
    /// All sessions must be over by now.
    Silence,
}

/// How far a run has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Faults,
    Peace,
    Silence,
    Over,
}

struct World {
    agenda: Agenda<Happening>,
    plan: Rc<Plan>,
    stage: Stage,
    history: History,
    counters: Counters,
    nodes: Nodes,
    network: Network,
    /// What all servers of an ensemble have to agree on.
    record: Record,
    /// The snapshots that leaders have sent, by their side of the connection.
    streams: BTreeMap<zab::Link, Snapshot>,
    /// Every server has to have this when all is silent.
    goal: Zxid,
    /// How often something can still go wrong.
    faults_left: u64,
    links: BTreeMap<LinkId, Link>,
    next_link: u64,
    clients: Vec<Client>,
    violation: Option<Violation>,
    trace: Trace,
    lines: Vec<String>,
    seed: u64,
}

impl World {
    fn new(mut tape: Tape, trace: Trace) -> Self {
        let servers = Servers::draw(&mut tape);
        let seed = tape.seed();
        let plan = Rc::new(Plan::draw(&mut tape, servers));
        let node = |index| Node::new(NodeId(index), Ledger::new(rules(), plan.start, servers));
        Self {
            agenda: Agenda::new(tape),
            stage: Stage::Faults,
            history: History::default(),
            counters: Counters::default(),
            nodes: Nodes::new((0..servers.count()).map(node)),
            network: Network::default(),
            record: Record::default(),
            streams: BTreeMap::new(),
            goal: Zxid::ZERO,
            faults_left: plan.faults.count,
            links: BTreeMap::new(),
            next_link: 0,
            clients: (1..=plan.clients).map(Client::new).collect(),
            violation: None,
            trace,
            lines: Vec::new(),
            plan,
            seed,
        }
    }

    fn live(&mut self) -> Result<(), Violation> {
        if self.plan.servers.are_ensemble() {
            self.counters.count(counters::ENSEMBLE);
        }
        for node in self.nodes.ids() {
            self.found(node)?;
            self.agenda.at(Instant::default(), Happening::Start(self.nodes[node].life));
        }
        for client in 0..self.clients.len() {
            self.agenda.within(self.plan.delays.think, Happening::Client(client));
        }
        self.agenda.within(self.plan.faults.interval, Happening::Nemesis);
        self.agenda.at(Instant::from_start(FAULTS_MAX), Happening::Peace);
        let mut entries = 0;
        while self.stage != Stage::Over {
            let Some(happening) = self.agenda.next() else { break };
            entries += 1;
            if entries > ENTRIES_MAX {
                let detail = format!("still busy after {ENTRIES_MAX} steps");
                return Err(Violation::new(Promise::Liveness, detail));
            }
            tracing::trace!(at = ?self.agenda.now(), ?happening);
            if self.trace == Trace::On {
                self.lines.push(format!("{:?} {happening:?}", self.agenda.now()));
            }
            self.happen(happening)?;
            self.agenda.mix(self.history.lines.len() as u64);
            for node in self.nodes.iter() {
                self.agenda.mix(node.ledger.last().raw().cast_unsigned());
            }
        }
        self.end()
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Client(client) => self.wake_client(client),
            Happening::ToServer(link) => {
                self.arrive_at_server(link);
                Ok(())
            }
            Happening::ToClient(link) => self.arrive_at_client(link),
            Happening::Step(life) => self.step(life),
            Happening::Collect(life, front) => {
                self.collect(life, front);
                Ok(())
            }
            Happening::WriteLog(life) => self.write_log(life),
            Happening::SyncLog(life) => self.sync_log(life),
            Happening::WriteSnapshot(life) => self.write_snapshot(life),
            Happening::Dial(dial) => {
                self.connect_servers(dial);
                Ok(())
            }
            Happening::FromServer(link) => self.arrive_from_server(link),
            Happening::ReadLog(life, link) => self.read_log(life, link),
            Happening::StreamSent(life, link) => {
                self.stream_sent(life, link);
                Ok(())
            }
            Happening::Start(life) => self.start(life),
            Happening::Nemesis => {
                self.nemesis();
                Ok(())
            }
            Happening::Peace => {
                self.make_peace();
                Ok(())
            }
            Happening::Judgment => self.judge(),
            Happening::Silence => self.require_silence(),
        }
    }

    /// Ends the faults once all clients have made their requests.
    fn make_peace(&mut self) {
        if self.stage != Stage::Faults {
            return;
        }
        self.stage = Stage::Peace;
        for node in self.nodes.ids() {
            self.nodes[node].crash_in = None;
            self.nodes[node].take_back_disk_faults();
        }
        self.network.end_silence();
        self.join_all();
        let now = self.agenda.now();
        for client in 0..self.clients.len() {
            self.clients[client].silent_until = now;
            self.agenda.at(now, Happening::Client(client));
        }
        // A process that died just now is started again by its own entry of the agenda.
        let bound = self.plan.timeout() * 4
            + self.plan.delays.sync * 50
            + self.plan.until_led()
            + Duration::from_secs(10);
        self.agenda.at(now.after(bound), Happening::Judgment);
    }

    /// Every client must have been served by now.
    fn judge(&mut self) -> Result<(), Violation> {
        if self.stage != Stage::Peace {
            return Ok(());
        }
        let unserved: Vec<String> = self
            .clients
            .iter()
            .filter(|client| client.phase != Phase::Gone)
            .map(|client| {
                let Client { id, phase, farewell, pending, .. } = client;
                format!("client {} {phase:?} {farewell:?} {} pending", id.0, pending.len())
            })
            .collect();
        let detail = format!("not served in peace: {}", unserved.join(", "));
        Err(Violation::new(Promise::Liveness, detail))
    }

    /// Starts to wait for the sessions to end once all clients are gone.
    fn client_gone(&mut self) {
        if self.stage == Stage::Peace
            && self.clients.iter().all(|client| client.phase == Phase::Gone)
        {
            self.stage = Stage::Silence;
            self.goal = self.nodes.iter().map(|node| node.ledger.last()).max().unwrap_or_default();
            // A handshake that is still on its way may open one more session, and a server that was
            // away may still have to find its leader.
            let bound = self.plan.timeout() * 2
                + self.plan.tick * 4
                + self.plan.delays.wire * 4
                + (self.plan.delays.sync + self.plan.delays.thread) * 20
                + self.plan.until_led()
                + Duration::from_millis(100);
            let paused = self.nodes.iter().map(|node| node.paused_until).max();
            let now = self.agenda.now().max(paused.unwrap_or_default());
            self.agenda.at(now.after(bound), Happening::Silence);
        }
    }

    /// S3, W5, S6: nothing is left of clients that are gone.
    fn require_silence(&mut self) -> Result<(), Violation> {
        for node in self.nodes.iter() {
            let sid = node.life.node.sid().0;
            let Some(process) = &node.process else {
                let detail = format!("server {sid} is down in peace");
                return Err(Violation::new(Promise::Liveness, detail));
            };
            if node.ledger.last() < self.goal {
                let (last, goal) = (node.ledger.last(), self.goal);
                let detail = format!("server {sid} is at {last}, others were at {goal} long ago");
                return Err(Violation::new(Promise::Liveness, detail));
            }
            let left: Vec<_> =
                process.replica.sessions().into_iter().map(|session| session.id).collect();
            if !left.is_empty() {
                let detail = format!("server {sid}: sessions {left:?} outlive their clients");
                return Err(Violation::new(Promise::P8, detail));
            }
            let watches: usize = process.fronts.iter().map(|front| front.watches().len()).sum();
            if watches > 0 {
                let detail = format!("{watches} watches outlive their connections");
                return Err(Violation::new(Promise::W5, detail));
            }
        }
        self.stage = Stage::Over;
        Ok(())
    }

    /// The last loss of power, then the checkers.
    fn end(&mut self) -> Result<(), Violation> {
        for node in self.nodes.ids() {
            self.lose_power(node);
            let (_, recovered) =
                process::recover(&self.nodes[node].disk, self.seed).map_err(|error| {
                    Violation::new(Promise::D7, format!("refused to start at the end: {error}"))
                })?;
            self.check_recovered(node, &recovered)?;
        }
        self.history.log = self.longest_log()?;
        let answered =
            self.history.lines.iter().filter(|line| matches!(line.event, Event::Reply { .. }));
        self.counters.add("answered requests", answered.count() as u64);
        self.count_transactions();
        let reads = match self.plan.servers.are_ensemble() {
            true => Reads::MayLag,
            false => Reads::AreFresh,
        };
        Case::new(&self.history, rules(), self.plan.start, reads)?.check()
    }

    /// Z3, P14: the history that all servers share at the end. Each state that was recovered is the
    /// model's, so that equal histories are equal trees.
    fn longest_log(&self) -> Result<Vec<LoggedTxn>, Violation> {
        let logs = || self.nodes.iter().map(|node| (node.life.node.sid().0, node.ledger.txns()));
        let (leading, longest) = logs().max_by_key(|(_, log)| log.len()).unwrap_or_default();
        for (sid, log) in logs() {
            let differs = log.iter().zip(longest).find(|(one, other)| {
                (&one.header, &one.txn, one.digest) != (&other.header, &other.txn, other.digest)
            });
            if let Some((one, other)) = differs {
                let detail = format!("server {sid} has {one}, server {leading} {other}");
                return Err(Violation::new(Promise::Z3, detail));
            }
        }
        Ok(longest.to_vec())
    }

    /// Counts what the server did on its own account.
    fn count_transactions(&mut self) {
        let mut epoch = self.plan.start.epoch();
        for logged in &self.history.log {
            match logged.txn {
                Txn::CloseSession { .. } if logged.header.cxid == Xid::INTERNAL => {
                    self.counters.count("session expired");
                }
                Txn::DeleteContainer { .. } if logged.header.cxid == Xid::INTERNAL => {
                    self.counters.count("container or TTL reaped");
                }
                _ => {}
            }
            if logged.header.zxid.epoch() != epoch {
                epoch = logged.header.zxid.epoch();
                let is_alone = !self.plan.servers.are_ensemble();
                self.counters.add("epoch used up", u64::from(is_alone));
            }
        }
    }

    fn report(self) -> Report {
        let fingerprint = self.agenda.fingerprint();
        let elapsed = self.agenda.now().since(Instant::default());
        let mut history = self.history;
        if history.log.is_empty() {
            history.log = self.nodes[NodeId(0)].ledger.txns().to_vec();
        }
        Report {
            violation: self.violation,
            history,
            counters: self.counters,
            tape: self.agenda.tape.recorded().to_vec(),
            fingerprint,
            elapsed,
            trace: self.lines,
        }
    }

    /// What the clocks of a machine show.
    fn now(&self, node: NodeId) -> Now {
        let instant = self.agenda.now();
        let elapsed_ms = i64::try_from(instant.millis()).unwrap_or(i64::MAX);
        let offset_ms = self.nodes[node].wall_offset_ms;
        Now { instant, wall_ms: WALL_START_MS + offset_ms + elapsed_ms }
    }

    /// Some server.
    fn some_node(&mut self) -> NodeId {
        NodeId(self.agenda.tape.index(self.nodes.len()))
    }

    fn note_fault(&mut self, node: NodeId, fault: Fault) {
        let event = Event::Fault { server: node.sid(), fault };
        self.history.push(self.agenda.now(), event);
    }

    fn is_peaceful(&self) -> bool {
        self.stage != Stage::Faults
    }

    /// Whether every client has made its requests.
    fn is_work_done(&self) -> bool {
        self.clients
            .iter()
            .all(|client| client.made >= self.plan.requests || client.farewell != Farewell::NotYet)
    }
}
