//! The recipes of the Rust client under faults, against real servers.
//!
//! The participants and the checkers are those of `ordeal`, which are simulated otherwise. Here the servers are
//! processes that are killed, stopped and separated, as for `ensemble`; what comes to participants, comes at
//! their sockets. All recipes are at work at the same time, each in a place of its own.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ordeal::gate::Stream;
use ordeal::history::{Book, History};
use ordeal::performance::{Site, perform};
use ordeal::play::{Play, Recipe};
use ordeal::random::Random as Draws;
use ordeal::{checkers, gate::Connecting};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::ensemble::{Machine, Members, Nemesis, UNUSABLE_DIRECTORIES};
use crate::failure::Failure;
use crate::random::Random;

/// The session timeout of participants.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Servers of an ensemble.
const SERVERS: usize = 3;
/// The longest time between two faults of servers.
const PEACE_MS: u64 = 2_000;
/// Within this a client finds a server that serves, and an old session is over, once all is mended.
const UNTIL_SERVED: Duration = Duration::from_secs(20);

/// What a run does.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// The server's program; it is called with `server <configuration file>`.
    #[arg(long, default_value = "target/release/reefkeeper")]
    binary: PathBuf,
    /// An ensemble that runs already, to which nothing is done: only participants fail.
    #[arg(long)]
    connect: Option<String>,
    /// The exit status with which a server refuses to start with damaged files; Apache's has 1.
    #[arg(long, default_value_t = UNUSABLE_DIRECTORIES)]
    refusal: i32,
    /// How long the run takes at least, in seconds; the last round is ended.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// For how long each round has faults, in seconds.
    #[arg(long, default_value_t = 15)]
    round_seconds: u64,
    /// What is done to servers: all kinds, if not said.
    #[arg(long, value_delimiter = ',')]
    nemeses: Vec<Nemesis>,
    /// Decides what is wished and what is broken, as far as it can be decided.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// What came of a run in which no promise was broken.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rounds: u64,
    faults: u64,
    took: Duration,
    counts: std::collections::BTreeMap<&'static str, u64>,
}

/// Runs rounds until the time is over.
///
/// # Errors
/// At the first promise that was broken.
pub(crate) fn run(options: &Options) -> Result<Report, Failure> {
    let start = Instant::now();
    let mut report = Report::default();
    while report.rounds == 0 || start.elapsed() < Duration::from_secs(options.seconds) {
        let seed = options.seed + report.rounds;
        for history in run_round(options, seed, &mut report)? {
            for (what, count) in history.counts {
                *report.counts.entry(what).or_default() += count;
            }
        }
        report.rounds += 1;
    }
    report.took = start.elapsed();
    Ok(report)
}

fn run_round(options: &Options, seed: u64, report: &mut Report) -> Result<Vec<History>, Failure> {
    let Some(ensemble) = &options.connect else {
        let directory =
            tempfile::tempdir().map_err(Failure::io("there is no room for a directory"))?;
        let result = run_round_in(directory.path(), options, seed, report);
        if result.is_err() {
            let kept = directory.keep();
            eprintln!("torture: seed {seed}; the directory is kept: {}", kept.display());
        }
        return result;
    };
    let (herald, mended) = watch::channel(false);
    herald.send_replace(true);
    act(options, seed, ensemble, mended)
}

/// A round with an ensemble of its own.
fn run_round_in(
    directory: &Path,
    options: &Options,
    seed: u64,
    report: &mut Report,
) -> Result<Vec<History>, Failure> {
    let mut random = Random::new(seed);
    let (binary, machine) = (&options.binary, Machine::Sound);
    let mut members = Members::start(binary, machine, directory, SERVERS, &mut random)?;
    members.refuse_with(options.refusal);
    members.wait_until_whole()?;
    let addresses: Vec<_> = members.addresses().iter().map(SocketAddr::to_string).collect();
    let ensemble = addresses.join(",");
    let (herald, mended) = watch::channel(false);
    thread::scope(|scope| {
        let performed = scope.spawn(|| act(options, seed, &ensemble, mended));
        let broken = break_things(options, &mut members, &mut random, report);
        herald.send_replace(true);
        let performed = performed.join();
        let performed = performed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        broken.and(performed)
    })
}

/// One fault after the other, until the time is over; then all is mended.
fn break_things(
    options: &Options,
    members: &mut Members,
    random: &mut Random,
    report: &mut Report,
) -> Result<(), Failure> {
    let kinds = match options.nemeses.is_empty() {
        true => Nemesis::of(Machine::Sound),
        false => options.nemeses.clone(),
    };
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(options.round_seconds) {
        thread::sleep(Duration::from_millis(random.below(PEACE_MS)));
        let which = usize::try_from(random.below(kinds.len() as u64)).unwrap_or(0);
        kinds[which].strike(members, random)?;
        report.faults += 1;
    }
    members.heal()?;
    members.wait_until_whole()
}

/// Lets all recipes perform, and looks at what they saw.
fn act(
    options: &Options,
    seed: u64,
    ensemble: &str,
    mended: watch::Receiver<bool>,
) -> Result<Vec<History>, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::io("there is no runtime"))?;
    let local = LocalSet::new();
    let mut books = Vec::new();
    let mut tasks = Vec::new();
    let mut random = Draws::new(seed);
    // What an earlier run left at servers that go on running is none of this one's.
    let run = std::process::id();
    for (recipe, name) in Recipe::ALL {
        let mut random = Draws::new(random.number());
        let mut play = Play::draw(&mut random, TIMEOUT, Some(recipe));
        play.war = Duration::from_secs(options.round_seconds);
        let book = Book::default();
        let site = Site {
            ensemble: ensemble.to_owned(),
            timeout: TIMEOUT,
            connect: Arc::new(|host| connect(host.name, host.port)),
            root: format!("/ordeal-{run}-{seed}/{name}"),
        };
        let mut mended = mended.clone();
        let make_peace = async move || {
            // Whoever mends the servers is gone only if the run has failed.
            drop(mended.wait_for(|is_mended| *is_mended).await);
            UNTIL_SERVED
        };
        books.push((name, book.clone()));
        tasks.push(local.spawn_local(perform(site, play, book, random, make_peace)));
    }
    local.block_on(&runtime, async {
        for task in tasks {
            if let Err(error) = task.await {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    });
    books
        .into_iter()
        .map(|(recipe, book)| {
            let history = book.open().clone();
            match checkers::check(&history) {
                Ok(()) => Ok(history),
                Err(violation) => Err(Failure::Recipe { recipe, violation }),
            }
        })
        .collect()
}

fn connect(name: String, port: u16) -> Connecting {
    Box::pin(async move {
        let stream = TcpStream::connect((name, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream) as Stream)
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.counts {
            writeln!(f, "{count:>8} {what}")?;
        }
        let took = self.took.as_secs_f64();
        let Self { rounds, faults, .. } = self;
        write!(f, "{rounds} rounds, {faults} faults of servers, {took:.1} s: no promise was broken")
    }
}
