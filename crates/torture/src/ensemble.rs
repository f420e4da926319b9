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
mod members;
mod nemesis;
mod network;
mod recorder;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sim::checkers::{Case, Reads};
use sim::history::{Event, History};
use sim::model::Rules;
use sim::tape::Tape;
use sim::world::{Plan, Servers, credentials};
use types::{ExtendedTypes, Zxid};

use crate::failure::Failure;
use crate::random::Random;
use caller::{Caller, Scene};
pub(crate) use members::Members;
pub(crate) use nemesis::Nemesis;
use recorder::Recorder;

/// The longest time between two faults.
const PEACE_MS: u64 = 1_200;
/// Few names make conflicts; too many conflicts make searches for orders long.
const NAMES: u64 = 12;
/// Requests that a client may have on the wire.
const WINDOW: usize = 6;

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
    /// What is done to it: all kinds, if not said.
    #[arg(long, value_delimiter = ',')]
    nemeses: Vec<Nemesis>,
    /// Decides what is asked and what is broken, as far as it can be decided.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// What came of a run in which no promise was broken.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rounds: u64,
    kills: u64,
    faults: BTreeMap<Nemesis, u64>,
    answered: u64,
    unknown: u64,
    events: u64,
    transactions: u64,
    took: Duration,
}

/// Runs rounds until the time is over.
///
/// # Errors
/// At the first promise that was broken; the round's directory is kept then, with the history.
pub(crate) fn run(options: &Options) -> Result<Report, Failure> {
    let start = Instant::now();
    let mut report = Report::default();
    while report.rounds == 0 || start.elapsed() < Duration::from_secs(options.seconds) {
        let directory =
            tempfile::tempdir().map_err(Failure::io("there is no room for a directory"))?;
        let result =
            run_round(options, directory.path(), options.seed + report.rounds, &mut report);
        if let Err(failure) = result {
            let (kept, round) = (directory.keep(), report.rounds + 1);
            eprintln!("torture: round {round}; the directory is kept: {}", kept.display());
            return Err(failure);
        }
        report.rounds += 1;
    }
    report.took = start.elapsed();
    Ok(report)
}

fn run_round(
    options: &Options,
    directory: &Path,
    seed: u64,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut random = Random::new(seed);
    let count = usize::from(options.servers);
    let mut members = Members::start(&options.binary, directory, count, &mut random)?;
    members.wait_until_whole()?;
    let scene = Scene {
        recorder: Recorder::new(),
        addresses: members.addresses(),
        plan: plan(seed, count),
        is_peace: AtomicBool::new(false),
        connections: AtomicU64::new(0),
    };
    let result = thread::scope(|scope| {
        let callers: Vec<_> = (0..options.clients)
            .map(|number| {
                let caller = Caller::new(&scene, number, random.below(u64::MAX));
                scope.spawn(|| caller.run())
            })
            .collect();
        let broken = break_things(options, &mut members, &mut random, report);
        scene.is_peace.store(true, Ordering::Release);
        let ends = callers
            .into_iter()
            .map(|caller| caller.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ends.fold(broken, Result::and)
    });
    let mut history = scene.recorder.into_history();
    let checked = result.and_then(|()| {
        members.stop()?;
        history.log = evidence::transactions(members.homes())?;
        evidence::require_sound_trees(members.homes(), &history.log)?;
        Case::new(&history, rules(), Zxid::ZERO, Reads::MayLag)?.check()?;
        Ok(())
    });
    if checked.is_err() {
        save(&history, directory)?;
    }
    report.count(&history);
    checked
}

/// One fault after the other, until the time is over; then all is mended.
fn break_things(
    options: &Options,
    members: &mut Members,
    random: &mut Random,
    report: &mut Report,
) -> Result<(), Failure> {
    let kinds = if options.nemeses.is_empty() { &Nemesis::ALL[..] } else { &options.nemeses };
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(options.round_seconds) {
        thread::sleep(Duration::from_millis(random.below(PEACE_MS)));
        let which = usize::try_from(random.below(kinds.len() as u64)).unwrap_or(0);
        report.kills += kinds[which].strike(members, random)?;
        *report.faults.entry(kinds[which]).or_default() += 1;
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
    })
}

fn save(history: &History, directory: &Path) -> Result<(), Failure> {
    let file = File::create(directory.join("history.jsonl"));
    let written = file.and_then(|file| history.write(&mut BufWriter::new(file)));
    written.map_err(Failure::io("the history can not be kept"))
}

impl Report {
    fn count(&mut self, history: &History) {
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
        writeln!(f, "processes killed     {}", self.kills)?;
        for (nemesis, times) in &self.faults {
            writeln!(f, "  {nemesis:<18} {times}")?;
        }
        writeln!(f, "promises broken      0")?;
        write!(f, "took, s              {:.1}", self.took.as_secs_f64())
    }
}
