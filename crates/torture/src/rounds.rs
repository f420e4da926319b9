//! The rounds: load, the server's end, restart, look.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use storage::{
    DataDir, Directories, EmptyDatabase, MissingDirectory, RealDisk, RecoverOptions,
    WithoutSnapshot,
};
use types::ExtendedTypes;

use crate::Options;
use crate::client::Client;
use crate::failure::Failure;
use crate::process::Host;
use crate::random::Random;
use crate::tmpfs::Tmpfs;

/// Rounds between two lines of progress.
const PROGRESS_ROUNDS: u32 = 10;

/// The smallest limit of a server's files, in blocks: there is room for a few writes at least.
const BLOCKS_MIN: u64 = 600;
/// By how much the limits differ.
const BLOCKS_RANGE: u64 = 800;

/// Each snapshot begins a new log: so many transactions between two, and logs grow until they are full.
const SNAP_COUNT_OF_FULL: u64 = 1_000_000;

/// How the server ends in each round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// By SIGKILL at any moment.
    Killed,
    /// By itself, because its log can not grow.
    DiskFull,
}

/// What came of a run in which nothing was lost.
#[derive(Debug)]
pub(crate) struct Report {
    rounds: u32,
    acknowledged: u64,
    found_done: u64,
    found_undone: u64,
    restarts: Vec<Duration>,
    took: Duration,
}

/// Runs all rounds.
///
/// # Errors
/// At the first promise that the server broke.
pub(crate) fn run(options: &Options, ending: Ending) -> Result<Report, Failure> {
    let start = Instant::now();
    let directory = tempfile::tempdir().map_err(Failure::io("there is no room for a directory"))?;
    let result = run_in(options, ending, directory.path());
    if result.is_err() {
        eprintln!("torture: the directory is kept: {}", directory.keep().display());
    }
    result.map(|report| Report { took: start.elapsed(), ..report })
}

fn run_in(options: &Options, ending: Ending, directory: &Path) -> Result<Report, Failure> {
    let mut random = Random::new(options.seed);
    let snap_count = match ending {
        Ending::Killed => options.snap_count,
        Ending::DiskFull => SNAP_COUNT_OF_FULL,
    };
    let host = Host::new(&Options { snap_count, ..options.clone() }, directory)?;
    let tmpfs = options.tmpfs.then(|| Tmpfs::mount(&host.data_dir())).transpose()?;
    let mut server = host.start()?;
    let mut clients = (0..options.clients)
        .map(|number| Client::start(host.address(), number, options.seed))
        .collect::<Result<Vec<_>, _>>()?;
    let mut restarts = Vec::new();
    for round in 1..=options.rounds {
        if ending == Ending::DiskFull {
            let blocks = BLOCKS_MIN + random.below(BLOCKS_RANGE);
            match &tmpfs {
                Some(tmpfs) => tmpfs.shrink(blocks)?,
                None => {
                    server.kill()?;
                    server = host.start_limited(blocks)?;
                    clients.iter_mut().try_for_each(|client| client.verify(host.address()))?;
                }
            }
        }
        let load = Duration::from_millis(random.below(options.load_ms.max(1)) + 1);
        write_until_the_end(&mut clients, |may_end| match ending {
            Ending::Killed => {
                thread::sleep(load);
                may_end.store(true, Ordering::Release);
                server.kill()
            }
            Ending::DiskFull => {
                may_end.store(true, Ordering::Release);
                let ended = server.wait_for_failure();
                if ended.is_err() {
                    // Clients write as long as it is there.
                    server.kill()?;
                }
                ended
            }
        })?;
        tmpfs.iter().try_for_each(Tmpfs::widen)?;
        server = host.start()?;
        restarts.push(server.start);
        clients.iter_mut().try_for_each(|client| client.verify(host.address()))?;
        if round % PROGRESS_ROUNDS == 0 {
            let acknowledged: u64 = clients.iter().map(|client| client.acknowledged).sum();
            println!("round {round}: {acknowledged} writes acknowledged, none lost");
        }
    }
    server.kill()?;
    check_digests(&host.data_dir())?;
    let sum = |of: fn(&Client) -> u64| clients.iter().map(of).sum();
    // In one round there may be no time for any; not in all of them.
    if sum(|client| client.acknowledged) == 0 && options.rounds > 0 {
        return Err(Failure::NothingDone);
    }
    Ok(Report {
        rounds: options.rounds,
        acknowledged: sum(|client| client.acknowledged),
        found_done: sum(|client| client.found_done),
        found_undone: sum(|client| client.found_undone),
        restarts,
        took: Duration::ZERO,
    })
}

/// Lets all clients write until `end` has ended the server. It sets what it is given before that.
fn write_until_the_end(
    clients: &mut [Client],
    end: impl FnOnce(&AtomicBool) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let may_end = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = clients
            .iter_mut()
            .map(|client| scope.spawn(|| client.write_until_the_end(&may_end)))
            .collect();
        end(&may_end)?;
        writers.into_iter().try_for_each(|writer| {
            writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

/// Recovers the directory that the last kill left, and compares all digests on the way.
fn check_digests(data_dir: &Path) -> Result<(), Failure> {
    let directories = Directories::shared(data_dir);
    let data_dir = DataDir::open(RealDisk, directories, MissingDirectory::Refuse)?;
    let recovered = data_dir.recover(&RecoverOptions {
        tree: tree::Options { extended_types: ExtendedTypes::Disabled, digest: true, hash_seed: 0 },
        without_snapshot: WithoutSnapshot::Refuse,
        empty: EmptyDatabase::RequireMarker,
    })?;
    let is_same = recovered.tree.digest() == Some(recovered.tree.recomputed_digest());
    let times = recovered.digest_mismatches + u64::from(!is_same);
    if times == 0 { Ok(()) } else { Err(Failure::Digest { times }) }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut restarts = self.restarts.clone();
        restarts.sort_unstable();
        let at = |part: usize| {
            let index = (restarts.len() * part / 100).min(restarts.len().saturating_sub(1));
            restarts.get(index).copied().unwrap_or_default().as_millis()
        };
        writeln!(f, "rounds               {}", self.rounds)?;
        writeln!(f, "writes acknowledged  {}", self.acknowledged)?;
        writeln!(f, "acknowledged, lost   0")?;
        writeln!(f, "unanswered, done     {}", self.found_done)?;
        writeln!(f, "unanswered, undone   {}", self.found_undone)?;
        writeln!(f, "restart, ms          p50 {}  p90 {}  max {}", at(50), at(90), at(100))?;
        write!(f, "took, s              {:.1}", self.took.as_secs_f64())
    }
}
