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
mod ambush;
mod answer;
mod client;
mod clock;
mod counters;
mod cut_images;
mod death;
mod decay;
mod disk_matrix;
mod disk_threads;
mod drive;
mod invariants;
mod ledger;
mod link;
mod log_image;
mod matrix;
mod members;
mod membership_file;
mod nemesis;
mod network;
mod node;
mod operator;
mod outside;
mod packets;
mod phases;
mod plan;
mod process;
mod readings;
mod receiver;
mod record;
mod required;
mod serve;
mod start;
mod steps;
mod streams;
mod tallies;
mod trace;
mod way;
mod workload;

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use types::{Epoch, ExtendedTypes, Instant, Zxid};

pub use ambush::Ambush;
pub use answer::decode as decode_answer;
pub use client::WatchBook;
pub use counters::{Counters, Excess, Missing};
pub use outside::{Arrival, Cable, Outside};
pub use plan::{Delays, Ensemble, Faults, MembershipIs, NemesisIs, Plan, Servers, Workload};
pub use workload::{Author, credentials};

use crate::checkers::{Promise, Violation};
use crate::history::{Event, Fault, History};
use crate::model::{Rules, Sessions};
use crate::tape::{Tail, Tape};
use agenda::Agenda;
use client::{Client, Farewell};
use clock::MachineClock;
use invariants::Reigns;
use ledger::{Ledger, Snapshot};
use link::{Link, LinkId};
use members::Dial;
use network::Network;
use node::{Life, Node, NodeId, Nodes};
use record::Record;
use replica::FrontId;
use trace::Notes;

/// Entries of the agenda after which a run is taken to be stuck.
const ENTRIES_MAX: u64 = 400_000;
/// How long the faults go on at most.
const FAULTS_MAX: Duration = Duration::from_secs(60);

/// Of so many seeds of ensembles the membership changes with one, and sessions are local with another.
const SPECIAL_EVERY: u64 = 4;
const LOCAL: u64 = 2;
const CHANGING: u64 = 3;
/// In so many runs of neighboring seeds the nemesis roams, then in as many it lies in wait.
const ROAMING: u64 = 4;

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
    /// Every entry of the agenda, what servers say in it, what clients see, and how servers stand
    /// afterwards.
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

/// The tape of a seed; of a run with so many voters, if that is given. In a part of those of ensembles
/// the membership changes, in another sessions are local, and in half of all the nemesis lies in wait.
///
/// # Errors
/// No run has so many: see [`Servers::VOTERS`].
pub fn tape(seed: u64, voters: Option<usize>) -> Result<Tape, NoSuchEnsemble> {
    let Some(voters) = voters else { return Ok(Tape::from_seed(seed)) };
    let nemesis = match seed / ROAMING % 2 {
        0 => NemesisIs::Roaming,
        _ => NemesisIs::InWait,
    };
    let first = |membership, sessions| Servers::first_byte(voters, membership, nemesis, sessions);
    let special = match seed % SPECIAL_EVERY {
        CHANGING => first(MembershipIs::Changing, Sessions::Global),
        LOCAL => first(MembershipIs::Fixed, Sessions::Local),
        _ => None,
    };
    let first = special.or_else(|| first(MembershipIs::Fixed, Sessions::Global));
    let first = first.ok_or(NoSuchEnsemble { voters })?;
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
fn rules(servers: Servers) -> Rc<Rules> {
    let mut credentials = credentials();
    if servers.are_changing() {
        credentials.push(workload::superuser());
    }
    let membership = servers.are_changing().then(|| Rc::new(servers.membership(NodeId(0))));
    let (extended_types, sessions) = (ExtendedTypes::Enabled, servers.sessions);
    Rc::new(Rules { extended_types, membership, credentials, sessions })
}

/// Those that work, and the operator of an ensemble whose membership changes.
fn clients(plan: &Plan) -> Vec<Client> {
    let operator = plan.servers.are_changing().then(|| Client::operator(plan.clients + 1));
    (1..=plan.clients).map(Client::new).chain(operator).collect()
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
    /// Servers that were separated find each other again.
    Join,
    /// The faults end.
    Peace,
    /// All must be well by now.
    Judgment,
    /// All sessions must be over, now or soon.
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
    /// Whom all others have left while it does not know.
    abandoned: Option<NodeId>,
    /// What all servers of an ensemble have to agree on.
    record: Record,
    /// What their leaders have committed.
    reigns: Reigns,
    /// The snapshots that leaders have sent, by their side of the connection.
    streams: BTreeMap<zab::Link, Snapshot>,
    /// Every server has to have this when all is silent.
    goal: Zxid,
    /// The epoch that has to be the last one, once nothing goes wrong any more.
    last_reign: Option<Epoch>,
    /// When faults have no effect any more.
    calm_from: Instant,
    /// When all must be silent at the latest.
    silent_by: Instant,
    /// How often something can still go wrong.
    faults_left: u64,
    /// How often somebody can still be waylaid.
    ambushes_left: u64,
    links: BTreeMap<LinkId, Link>,
    next_link: u64,
    clients: Vec<Client>,
    /// What has arrived at programs that are no part of the world, and was not taken yet.
    arrivals: Vec<(LinkId, Arrival)>,
    violation: Option<Violation>,
    notes: Notes,
    seed: u64,
}

impl World {
    fn new(mut tape: Tape, trace: Trace) -> Self {
        let servers = Servers::draw(&mut tape);
        let plan = Plan::draw(&mut tape, servers);
        Self::of_plan(tape, plan, trace)
    }

    fn of_plan(mut tape: Tape, plan: Plan, trace: Trace) -> Self {
        let (servers, plan) = (plan.servers, Rc::new(plan));
        let seed = tape.seed();
        let mut node = |index| {
            let ledger = Ledger::new(rules(servers), plan.start, servers);
            let clock = MachineClock::draw(&mut tape, plan.clock_drift_permille);
            let mut node = Node::new(NodeId(index), ledger, clock);
            node.is_off = index >= servers.voters + servers.observers;
            node
        };
        let nodes = Nodes::new((0..servers.count()).map(&mut node));
        Self {
            agenda: Agenda::new(tape),
            stage: Stage::Faults,
            history: History::default(),
            counters: Counters::default(),
            nodes,
            network: Network::default(),
            abandoned: None,
            record: Record::default(),
            reigns: Reigns::new(servers.membership(NodeId(0))),
            streams: BTreeMap::new(),
            goal: Zxid::ZERO,
            last_reign: None,
            calm_from: Instant::default(),
            silent_by: Instant::default(),
            faults_left: plan.faults.count,
            ambushes_left: plan.ambush.count,
            links: BTreeMap::new(),
            next_link: 0,
            clients: clients(&plan),
            arrivals: Vec::new(),
            violation: None,
            notes: Notes::new(trace),
            plan,
            seed,
        }
    }

    fn live(&mut self) -> Result<(), Violation> {
        self.begin()?;
        let mut entries = 0;
        while self.stage != Stage::Over {
            let Some(happening) = self.agenda.next() else { break };
            entries += 1;
            if entries > ENTRIES_MAX {
                let detail = format!("still busy after {ENTRIES_MAX} steps");
                return Err(Violation::new(Promise::Ends, detail));
            }
            self.turn(happening)?;
        }
        self.end()
    }

    /// Enters what a run begins with.
    fn begin(&mut self) -> Result<(), Violation> {
        self.counters.count(match self.plan.servers.are_ensemble() {
            true => counters::ENSEMBLE,
            false => counters::ALONE,
        });
        if self.plan.servers.are_changing() {
            self.counters.count(counters::CHANGING);
        }
        let on = self.nodes.ids().filter(|&node| !self.nodes[node].is_off);
        for node in on.collect::<Vec<_>>() {
            self.found(node)?;
            self.agenda.at(Instant::default(), Happening::Start(self.nodes[node].life));
        }
        for client in 0..self.clients.len() {
            self.agenda.within(self.plan.delays.think, Happening::Client(client));
        }
        self.agenda.within(self.plan.faults.interval, Happening::Nemesis);
        self.agenda.at(Instant::from_start(FAULTS_MAX), Happening::Peace);
        Ok(())
    }

    /// One entry of the agenda.
    fn turn(&mut self, happening: Happening) -> Result<(), Violation> {
        tracing::trace!(at = ?self.agenda.now(), ?happening);
        self.note_happening(happening);
        let result = self.happen(happening);
        self.note_outcome();
        result?;
        self.agenda.mix(self.history.lines.len() as u64);
        for node in self.nodes.iter() {
            self.agenda.mix(node.ledger.last().raw().cast_unsigned());
        }
        Ok(())
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
            Happening::Nemesis => self.nemesis(),
            Happening::Join => {
                self.join_all();
                Ok(())
            }
            Happening::Peace => {
                self.make_peace();
                Ok(())
            }
            Happening::Judgment => self.judge(),
            Happening::Silence => self.listen(),
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
            trace: self.notes.into_lines(),
        }
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
        self.clients.iter().all(|client| {
            client.made >= client.quota(&self.plan) || client.farewell != Farewell::NotYet
        })
    }
}
