//! Ensembles of real servers under faults, with the checkers of the simulator.
//!
//! ```text
//! clients ──> members ══ network of proxies ══ members      nemesis: kill, stop, cut off
//!    └─> history <── logs, in the end
//! ```
//!
//! A round has an ensemble of its own, clients that do everything clients do, and a nemesis that
//! breaks one thing after the other. Then everything is mended; each client must be served, and
//! the members must stop when told. What the clients saw and what the logs hold is the same kind of
//! history that the simulator makes, and must stand before the same checkers.

mod caller;
mod evidence;
mod machine;
mod members;
mod nemesis;
mod network;
mod recorder;
mod rot;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sim::checkers::linearizability::Searches;
use sim::checkers::{Case, Reads};
use sim::history::{Event, History};
use sim::model::{Rules, Sessions};
use sim::tape::Tape;
use sim::world::{Plan, Servers, credentials};
use types::{ExtendedTypes, Zxid};

use crate::failure::Failure;
use crate::random::Random;
use caller::{Caller, Scene};
pub(crate) use machine::{Machine, Plant};
use members::Toll;
pub(crate) use members::{Members, UNUSABLE_DIRECTORIES};
pub(crate) use nemesis::Nemesis;
use recorder::Recorder;

/// The longest time between two faults.
const PEACE_MS: u64 = 1_200;
/// Few names make conflicts; too many conflicts make searches for orders long.
const NAMES: u64 = 12;
/// Requests that a client may have on the wire.
const WINDOW: usize = 6;

/// How long the farewell of clients may take, once nothing is broken any more.
const FAREWELL: Duration = Duration::from_secs(30);
/// The same where a mistake was planted: servers that have lost everything serve nobody who has seen it.
const SHORT_FAREWELL: Duration = Duration::from_secs(3);

/// What a run does.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// The server's program; it is called with `server <configuration file>`.
    #[arg(long, default_value = "target/release/reefkeeper")]
    binary: PathBuf,
    /// How many servers an ensemble has.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=7))]
    servers: u8,
    /// How many clients there are.
    #[arg(long, default_value_t = 6)]
    clients: u32,
    /// How long the run takes at least, in seconds; the last round is ended.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// For how long each ensemble has faults, in seconds.
    #[arg(long, default_value_t = 8)]
    round_seconds: u64,
    /// The program was built with `--features faults`: its machines can be told to fail, and killing it is a
    /// loss of power.
    #[arg(long)]
    planned_faults: bool,
    /// What is done to it: all kinds that can be done, if not said.
    #[arg(long, value_delimiter = ',')]
    nemeses: Vec<Nemesis>,
    /// Decides what is asked and what is broken, as far as it can be decided.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// What came of a run in which no promise was broken.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rounds: u64,
    pub(crate) toll: Toll,
    faults: BTreeMap<Nemesis, u64>,
    answered: u64,
    /// Writes among them that were not refused.
    pub(crate) acknowledged: u64,
    /// Writes among these that are in no log.
    pub(crate) lost: u64,
    unknown: u64,
    events: u64,
    transactions: u64,
    /// For orders of what was done to a znode.
    searches: Searches,
    pub(crate) took: Duration,
}

/// What a round is made with.
#[derive(Debug)]
pub(crate) struct Terms<'t> {
    /// The server's program.
    pub(crate) binary: &'t Path,
    pub(crate) machine: Machine,
    pub(crate) servers: usize,
    pub(crate) clients: u32,
}

/// Runs rounds until the time is over.
///
/// # Errors
/// At the first promise that was broken; the round's directory is kept then, with the history.
pub(crate) fn run(options: &Options) -> Result<Report, Failure> {
    let start = Instant::now();
    let mut report = Report::default();
    let machine = if options.planned_faults { Machine::Told(Plant::NONE) } else { Machine::Sound };
    let terms = Terms {
        binary: &options.binary,
        machine,
        servers: usize::from(options.servers),
        clients: options.clients,
    };
    while report.rounds == 0 || start.elapsed() < Duration::from_secs(options.seconds) {
        let seed = options.seed + report.rounds;
        run_round(&terms, seed, &mut report, |members, random, report| {
            break_things(options, machine, members, random, report)
        })?;
    }
    report.took = start.elapsed();
    Ok(report)
}

/// What is done to the members of a round while clients are at work.
pub(crate) type Attack<'a> =
    &'a mut dyn FnMut(&mut Members, &mut Random, &mut Report) -> Result<(), Failure>;

/// Runs a round with an ensemble of its own, and looks at all that was seen.
///
/// # Errors
/// At the first promise that was broken; the directory is kept then, with the history.
pub(crate) fn run_round(
    terms: &Terms<'_>,
    seed: u64,
    report: &mut Report,
    mut attack: impl FnMut(&mut Members, &mut Random, &mut Report) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let directory = tempfile::tempdir().map_err(Failure::io("there is no room for a directory"))?;
    let result = run_round_in(terms, directory.path(), seed, report, &mut attack);
    report.rounds += 1;
    if let (Err(_), false) = (&result, terms.machine.is_planted()) {
        let kept = directory.keep();
        eprintln!("torture: seed {seed}; the directory is kept: {}", kept.display());
    }
    result
}

fn run_round_in(
    terms: &Terms<'_>,
    directory: &Path,
    seed: u64,
    report: &mut Report,
    attack: Attack<'_>,
) -> Result<(), Failure> {
    let mut random = Random::new(seed);
    let count = terms.servers;
    let mut members = Members::start(terms.binary, terms.machine, directory, count, &mut random)?;
    members.wait_until_whole()?;
    let scene = Scene {
        recorder: Recorder::new(),
        addresses: members.addresses(),
        plan: plan(seed, count),
        is_peace: AtomicBool::new(false),
        farewell: if terms.machine.is_planted() { SHORT_FAREWELL } else { FAREWELL },
        connections: AtomicU64::new(0),
    };
    let result = thread::scope(|scope| {
        let callers: Vec<_> = (0..terms.clients)
            .map(|number| {
                let caller = Caller::new(&scene, number, random.below(u64::MAX));
                scope.spawn(|| caller.run())
            })
            .collect();
        let broken = attack(&mut members, &mut random, report);
        scene.is_peace.store(true, Ordering::Release);
        let ends = callers
            .into_iter()
            .map(|caller| caller.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ends.fold(broken, Result::and)
    });
    let mut history = scene.recorder.into_history();
    let ended = result.and_then(|()| members.stop());
    let checked = ended.and_then(|()| check(&members, &mut history, &mut report.searches));
    members.kill_together(&(0..count).collect::<Vec<_>>())?;
    report.toll.add(members.toll());
    // Whatever was broken: this is what it comes to.
    let writes = evidence::acknowledged(&history);
    let acknowledged = writes.len();
    report.count(&history, acknowledged);
    let checked = match evidence::lost(writes, members.homes()) {
        Ok(lost) => {
            report.lost += lost.len() as u64;
            match lost.first() {
                Some(&(first, ..)) => Err(Failure::Lost { count: lost.len(), first }),
                None => checked,
            }
        }
        Err(failure) => checked.and(Err(failure)),
    };
    // Nothing can be lost of nothing.
    let checked = match checked {
        Ok(()) if acknowledged == 0 => Err(Failure::NothingDone),
        checked => checked,
    };
    if checked.is_err() {
        save(&history, directory)?;
    }
    checked
}

/// Looks at what clients saw and what members have.
fn check(members: &Members, history: &mut History, searches: &mut Searches) -> Result<(), Failure> {
    members.require_no_panic()?;
    history.log = evidence::transactions(members.homes())?;
    evidence::require_sound_trees(members.homes(), &history.log)?;
    let reads = if members.count() == 1 { Reads::AreFresh } else { Reads::MayLag };
    let Searches { made, given_up } = Case::new(history, rules(), Zxid::ZERO, reads)?.check()?;
    searches.made += made;
    searches.given_up += given_up;
    Ok(())
}

/// One fault after the other, until the time is over; then all is mended.
fn break_things(
    options: &Options,
    machine: Machine,
    members: &mut Members,
    random: &mut Random,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut kinds =
        if options.nemeses.is_empty() { Nemesis::of(machine) } else { options.nemeses.clone() };
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(options.round_seconds) {
        thread::sleep(Duration::from_millis(random.below(PEACE_MS)));
        let which = usize::try_from(random.below(kinds.len() as u64)).unwrap_or(0);
        let nemesis = kinds[which];
        nemesis.strike(members, random)?;
        kinds.retain(|other| nemesis.gets_on_with(*other));
        *report.faults.entry(nemesis).or_default() += 1;
    }
    members.heal()?;
    members.wait_until_whole()
}

/// The simulator's plan for an ensemble, as far as clients follow it.
fn plan(seed: u64, voters: usize) -> Plan {
    let mut plan = Plan::draw(&mut Tape::from_seed(seed), Servers::fixed(voters));
    plan.window = WINDOW;
    plan.workload.names = NAMES;
    plan
}

fn rules() -> Rc<Rules> {
    Rc::new(Rules {
        extended_types: ExtendedTypes::Enabled,
        membership: None,
        credentials: credentials(),
        sessions: Sessions::Global,
    })
}

fn save(history: &History, directory: &Path) -> Result<(), Failure> {
    let file = File::create(directory.join("history.jsonl"));
    let written = file.and_then(|file| history.write(&mut BufWriter::new(file)));
    written.map_err(Failure::io("the history can not be kept"))
}

impl Report {
    fn count(&mut self, history: &History, acknowledged: usize) {
        self.acknowledged += acknowledged as u64;
        for line in &history.lines {
            match line.event {
                Event::Reply { .. } => self.answered += 1,
                Event::Unknown { .. } => self.unknown += 1,
                Event::Watch { .. } => self.events += 1,
                _ => {}
            }
        }
        self.transactions += history.log.len() as u64;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rounds               {}", self.rounds)?;
        writeln!(f, "requests answered    {}", self.answered)?;
        writeln!(f, "requests left open   {}", self.unknown)?;
        writeln!(f, "watch events         {}", self.events)?;
        writeln!(f, "transactions         {}", self.transactions)?;
        let Searches { made, given_up } = self.searches;
        writeln!(f, "orders searched      {made}")?;
        writeln!(f, "  in vain            {given_up}")?;
        writeln!(f, "writes acknowledged  {}", self.acknowledged)?;
        writeln!(f, "acknowledged, lost   {}", self.lost)?;
        writeln!(f, "{}", self.toll)?;
        for (nemesis, times) in &self.faults {
            writeln!(f, "  {nemesis:<18} {times}")?;
        }
        if self.lost == 0 {
            writeln!(f, "promises broken      0")?;
        }
        write!(f, "took, s              {:.1}", self.took.as_secs_f64())
    }
}
