//! The machines of members: as they are, or failing as they are told.
//!
//! The latter takes a server that was built with the feature `faults`. Killing it is a loss of power: what it
//! has not synced is gone, but for a part that was written back sooner.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use storage::Tally;

use crate::failure::Failure;

/// What members run on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Machine {
    /// The machine as it is: what was written survives whoever wrote it.
    Sound,
    /// One that follows orders, and loses power with the process.
    Told(Plant),
}

/// A mistake that is planted into servers, to see whether it is found.
#[derive(clap::Args, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Plant {
    /// Lets syncs do nothing: the run succeeds if that is found.
    #[arg(long)]
    lie: bool,
    /// Plants a bug of `crates/sim/src/mutants.rs`: the run succeeds if that is found.
    #[arg(long)]
    mutant: Option<u32>,
}

/// What a machine is told; see the module `machine` of the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// The disk's luck, at a start.
    Seed(u64),
    /// Syncs do nothing.
    Lie,
    /// One of the bugs that can be switched on.
    Mutant(u32),
    /// Syncs take so long.
    SyncTime(Duration),
    /// After so many others, so many operations fail.
    Fail {
        /// How many.
        times: u64,
        /// Of what.
        operation: &'static str,
        /// On files whose names begin like that.
        prefix: &'static str,
        /// How many succeed before.
        after: u64,
        /// How.
        kind: &'static str,
    },
    /// What has not failed yet will not.
    Clear,
    /// The wall clock is wrong by so many milliseconds.
    Clock(i64),
}

/// Where a machine finds its orders, and tells what it would lose.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    directory: PathBuf,
}

impl Machine {
    /// Whether a mistake is planted there.
    pub(crate) fn is_planted(self) -> bool {
        match self {
            Self::Sound => false,
            Self::Told(plant) => plant != Plant::NONE,
        }
    }
}

impl Plant {
    /// No mistake.
    pub(crate) const NONE: Self = Self { lie: false, mutant: None };

    pub(super) fn orders(self) -> impl Iterator<Item = Order> {
        self.lie.then_some(Order::Lie).into_iter().chain(self.mutant.map(Order::Mutant))
    }
}

impl Desk {
    /// The variable by which a process knows its desk.
    pub(super) const VARIABLE: &str = "PLANNED_FAULTS";

    pub(super) fn new(home: &Path) -> Self {
        Self { directory: home.join("faults") }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Puts orders there; those that nobody has taken are gone.
    pub(super) fn put(&self, orders: impl Iterator<Item = Order>) -> Result<(), Failure> {
        let text: String = orders.map(|order| format!("{order}\n")).collect();
        let (new, file) = (self.directory.join("orders.new"), self.orders());
        let put = fs::create_dir_all(&self.directory)
            .and_then(|()| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, file));
        put.map_err(Failure::io("a machine can not be told what to do"))
    }

    /// Whether nobody has taken the orders yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.orders().exists()
    }

    /// What the process that wrote here last had not synced when it ended.
    ///
    /// # Errors
    /// When it has left nothing that can be read: it was not built to be told what to do.
    pub(super) fn tally(&self) -> Result<Tally, Failure> {
        let file = self.directory.join("tally");
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            // It ended before it came to that.
            Err(_) if self.is_untouched() => return Ok(Tally::default()),
            Err(source) => return Err(Failure::io("there is no tally of a disk")(source)),
        };
        let mut numbers = text.split_whitespace().map(|word| word.parse().unwrap_or_default());
        let mut next = || numbers.next().unwrap_or_default();
        let (sectors, names, sectors_early, names_early) = (next(), next(), next(), next());
        let emptied = fs::write(&file, "");
        emptied.map_err(Failure::io("the tally of a disk can not be emptied"))?;
        Ok(Tally { sectors, names, sectors_early, names_early })
    }

    fn orders(&self) -> PathBuf {
        self.directory.join("orders")
    }
}

impl Order {
    /// Whether a server may end that meets what comes of it.
    pub(super) const fn is_to_fail(&self) -> bool {
        match self {
            Self::Fail { .. } => true,
            Self::Seed(_)
            | Self::Lie
            | Self::Mutant(_)
            | Self::SyncTime(_)
            | Self::Clear
            | Self::Clock(_) => false,
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seed(seed) => write!(f, "seed {seed}"),
            Self::Lie => f.write_str("lie"),
            Self::Mutant(number) => write!(f, "mutant {number}"),
            Self::SyncTime(time) => write!(f, "sync-ms {}", time.as_millis()),
            Self::Fail { times, operation, prefix, after, kind } => {
                write!(f, "fail {times} {operation} {prefix} {after} {kind}")
            }
            Self::Clear => f.write_str("clear"),
            Self::Clock(error_ms) => write!(f, "clock {error_ms}"),
        }
    }
}
