//! A machine that fails as it is told.
//!
//! Whoever tells it sets `PLANNED_FAULTS` to a directory, and puts a file `orders` there, in one step by
//! renaming, before the process starts or while it runs. The process takes it away when it has read it. Each
//! line is an order:
//!
//! ```text
//! seed 7                   the disk's luck, at the start only
//! lie                      syncs of the disk do nothing
//! mutant 102               one of the bugs of `crates/sim/src/mutants.rs`
//! sync-ms 20               syncs take so long
//! fail 2 write log. 5 io   after 5 others, 2 writes of files named log.... fail
//! clear                    what was planned and has not failed yet will not
//! clock -3600000           the wall clock is wrong by so many milliseconds
//! ```
//!
//! What may fail is named as [`Operation`] is, `*` means files of any name; it fails with `io`, with
//! `no-space`, or after so many bytes with `short:12`. In a file `tally` the process keeps what a loss of power
//! would take from it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::str::{FromStr, SplitWhitespace};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use storage::{Fault, FaultKind, FaultPlan, FaultyDisk, Operation, VolatileDisk};
use tracing::{error, info, warn};
use types::mutant;

/// Names the directory with the orders.
const VARIABLE: &str = "PLANNED_FAULTS";
/// Between two looks for orders. The disk writes something back then, or not, as luck has it.
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// Failures that one order plans at most.
const TIMES_MAX: u64 = 10_000;

/// What servers keep their files on.
pub(crate) type ServerDisk = FaultyDisk<VolatileDisk>;

/// By how many milliseconds the wall clock is wrong.
static WALL_ERROR_MS: AtomicI64 = AtomicI64::new(0);
/// A process has one: power is lost for all of its servers.
static MACHINE: OnceLock<Machine> = OnceLock::new();

#[derive(Clone)]
struct Machine {
    disk: VolatileDisk,
    plan: FaultPlan,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Order {
    Seed(u64),
    Lie,
    Mutant(u32),
    SyncTime(Duration),
    Fail { times: u64, fault: Fault },
    Clear,
    Clock(i64),
}

/// The disk of this process.
pub(crate) fn disk() -> ServerDisk {
    let machine = MACHINE.get_or_init(|| Machine::start(std::env::var_os(VARIABLE)));
    FaultyDisk::new(machine.disk.clone(), machine.plan.clone())
}

/// By how many milliseconds the wall clock is wrong.
pub(crate) fn wall_error_ms() -> i64 {
    WALL_ERROR_MS.load(Ordering::Relaxed)
}

impl Machine {
    /// One that follows the orders in a directory, if there is one.
    fn start(directory: Option<impl Into<PathBuf>>) -> Self {
        warn!(
            "THIS IS A TEST BUILD. It forgets what is not synced when it ends, and fails as it is \
             told. Never let it have data that matters to anybody."
        );
        let directory = directory.map(Into::into);
        // First of all, so that who has taken orders has a tally.
        let tally = directory.as_deref().and_then(tally_file);
        let orders = directory.as_deref().map(orders).unwrap_or_default();
        let mut luck = orders.iter().rev().find_map(Order::seed).unwrap_or_default();
        let machine = Self {
            disk: VolatileDisk::new(move |bound| below(&mut luck, bound)),
            plan: FaultPlan::default(),
        };
        orders.into_iter().for_each(|order| machine.follow(order));
        if let Some(tally) = tally {
            machine.keep_tally(tally);
        }
        if let Some(directory) = directory {
            let follower = machine.clone();
            thread::spawn(move || follower.follow_all(&directory));
        }
        machine
    }

    /// Follows orders until the process ends.
    fn follow_all(&self, directory: &Path) {
        loop {
            thread::sleep(LOOK_PAUSE);
            orders(directory).into_iter().for_each(|order| self.follow(order));
            if let Err(failure) = self.disk.idle() {
                error!(%failure, "the disk below the planned faults has failed");
            }
        }
    }

    fn follow(&self, order: Order) {
        info!(?order, "planned");
        match order {
            Order::Seed(_) => {}
            Order::Lie => self.disk.lie(),
            Order::Mutant(number) => mutant::choose(number),
            Order::SyncTime(sync_time) => self.disk.set_sync_time(sync_time),
            Order::Fail { times, fault } => {
                (0..times).for_each(|_| self.plan.add(fault.clone()));
            }
            Order::Clear => {
                self.plan.clear();
            }
            Order::Clock(error_ms) => WALL_ERROR_MS.store(error_ms, Ordering::Relaxed),
        }
    }

    /// Keeps the tally in a file; a line of fixed length, so that each replaces the one before.
    fn keep_tally(&self, file: File) {
        let mut last = None;
        self.disk.observe(Box::new(move |tally| {
            if last.replace(tally) == Some(tally) {
                return;
            }
            let storage::Tally { sectors, names, sectors_early, names_early } = tally;
            let line = format!("{sectors:12} {names:12} {sectors_early:12} {names_early:12}\n");
            if let Err(failure) = file.write_all_at(line.as_bytes(), 0) {
                error!(%failure, "the tally is wrong");
            }
        }));
    }
}

fn tally_file(directory: &Path) -> Option<File> {
    File::create(directory.join("tally"))
        .inspect_err(|failure| error!(%failure, "there is no tally"))
        .ok()
}

/// Takes the orders of a directory.
fn orders(directory: &Path) -> Vec<Order> {
    let file = directory.join("orders");
    let text =
        match fs::read_to_string(&file).and_then(|text| fs::remove_file(&file).map(|()| text)) {
            Ok(text) => text,
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(failure) => {
                error!(%failure, "orders can not be read");
                return Vec::new();
            }
        };
    let mut orders = Vec::new();
    for line in text.lines() {
        match line.parse() {
            Ok(order) => orders.push(order),
            Err(NotUnderstood) => error!(line, "an order is not understood"),
        }
    }
    orders
}

/// The next number of a sequence, below a bound.
fn below(state: &mut u64, bound: u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)) % bound
}

#[derive(PartialEq, Eq, Debug)]
struct NotUnderstood;

impl Order {
    fn seed(&self) -> Option<u64> {
        match self {
            Self::Seed(seed) => Some(*seed),
            Self::Lie
            | Self::Mutant(_)
            | Self::SyncTime(_)
            | Self::Fail { .. }
            | Self::Clear
            | Self::Clock(_) => None,
        }
    }
}

impl FromStr for Order {
    type Err = NotUnderstood;

    fn from_str(line: &str) -> Result<Self, NotUnderstood> {
        let mut words = line.split_whitespace();
        let order = match words.next() {
            Some("seed") => Self::Seed(number(&mut words)?),
            Some("lie") => Self::Lie,
            Some("mutant") => Self::Mutant(number(&mut words)?),
            Some("sync-ms") => Self::SyncTime(Duration::from_millis(number(&mut words)?)),
            Some("fail") => {
                let times = number(&mut words)?;
                if times > TIMES_MAX {
                    return Err(NotUnderstood);
                }
                Self::Fail { times, fault: fault(&mut words)? }
            }
            Some("clear") => Self::Clear,
            Some("clock") => Self::Clock(number(&mut words)?),
            _ => return Err(NotUnderstood),
        };
        if words.next().is_some() { Err(NotUnderstood) } else { Ok(order) }
    }
}

fn number<T: FromStr>(words: &mut SplitWhitespace<'_>) -> Result<T, NotUnderstood> {
    words.next().and_then(|word| word.parse().ok()).ok_or(NotUnderstood)
}

fn fault(words: &mut SplitWhitespace<'_>) -> Result<Fault, NotUnderstood> {
    let operation = words.next().ok_or(NotUnderstood)?;
    let is_meant = |it: &Operation| format!("{it:?}").eq_ignore_ascii_case(operation);
    let operation = Operation::ALL.into_iter().find(is_meant).ok_or(NotUnderstood)?;
    let name_prefix = match words.next().ok_or(NotUnderstood)? {
        "*" => String::new(),
        prefix => prefix.to_owned(),
    };
    let after = number(words)?;
    let kind = match words.next().ok_or(NotUnderstood)? {
        "io" => FaultKind::Io,
        "no-space" => FaultKind::NoSpace,
        kind => {
            let bytes = kind.strip_prefix("short:").and_then(|bytes| bytes.parse().ok());
            FaultKind::Short(bytes.ok_or(NotUnderstood)?)
        }
    };
    Ok(Fault { operation, name_prefix, after, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Result<Order, NotUnderstood>) {
        assert_eq!(line.parse(), expected, "{line}");
    }

    #[test]
    fn orders_are_understood_or_not() {
        check("seed 7", Ok(Order::Seed(7)));
        check("lie", Ok(Order::Lie));
        check("mutant 102", Ok(Order::Mutant(102)));
        check("clear", Ok(Order::Clear));
        check("sync-ms 20", Ok(Order::SyncTime(Duration::from_millis(20))));
        check("clock -5", Ok(Order::Clock(-5)));
        let fault = Fault {
            operation: Operation::SyncDir,
            name_prefix: "log.".to_owned(),
            after: 3,
            kind: FaultKind::Short(9),
        };
        check("fail 2 syncdir log. 3 short:9", Ok(Order::Fail { times: 2, fault: fault.clone() }));
        let full = Fault { name_prefix: String::new(), kind: FaultKind::NoSpace, ..fault };
        check("fail 1 syncdir * 3 no-space", Ok(Order::Fail { times: 1, fault: full }));
        let wrong =
            ["", "seed", "seed x", "lie 1", "fail 1 sing * 0 io", "fail 99999999 write * 0 io"];
        for line in wrong {
            check(line, Err(NotUnderstood));
        }
    }

    #[test]
    fn orders_are_taken_once_and_the_tally_tells_what_is_at_risk() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("orders"), "seed 3\nnonsense\nlie\n").expect("written");
        let machine = Machine::start(Some(directory.path()));
        assert!(!directory.path().join("orders").exists());
        use storage::{Disk as _, DiskFile as _};
        let file = machine.disk.create(&directory.path().join("file")).expect("created");
        file.write_all_at(&[7; 2048], 0).expect("written");
        file.sync_data().expect("synced, as it says");
        let risk = machine.disk.tally();
        assert!(risk.sectors > 0);
        let words = fs::read_to_string(directory.path().join("tally")).expect("a tally");
        let told: Vec<u64> = words.split_whitespace().map(|word| word.parse().unwrap()).collect();
        assert_eq!(told.len(), 4);
    }
}
