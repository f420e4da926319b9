//! What goes wrong with a playground.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why a playground did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaygroundError {
    /// A file or a directory can not be used.
    #[error("{} can not be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The temporary directory has been made by somebody else.
    #[error("{} belongs to somebody else: give another directory with --dir", path.display())]
    ForeignDirectory {
        /// Which.
        path: PathBuf,
    },
    /// The directory has a file that does not say what it should.
    #[error("{}:{line}: expected `<id> participant|observer <client port> <quorum port> <election port>`", path.display())]
    NoPlan {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The directory is that of an ensemble of another size.
    #[error("{} has {voters} servers and {observers} observers already: leave out their numbers, or give another directory", dir.display())]
    OtherSize {
        /// Which.
        dir: PathBuf,
        /// How many vote.
        voters: usize,
        /// How many observe.
        observers: usize,
    },
    /// Another playground runs there.
    #[error("a playground runs in {} already: `reefkeeper playground status` shows it, --dir gives this one another directory", dir.display())]
    DirectoryInUse {
        /// Which.
        dir: PathBuf,
    },
    /// Nobody listens for orders.
    #[error("no playground runs in {}: `reefkeeper playground` starts one, --dir tells of one elsewhere", dir.display())]
    NotRunning {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// What only a start takes was given with an order.
    #[error("the playground runs already: numbers of servers and settings are for its start")]
    RunsAlready,
    /// There are not as many ports as wanted.
    #[error("there are no free ports from {from} on")]
    NoPorts {
        /// Where the search began.
        from: u16,
    },
    /// It ended as soon as it was started.
    #[error("server {id} does not start ({how}): {said}")]
    Ended {
        /// Which.
        id: u8,
        /// How.
        how: ExitStatus,
        /// The last line of its log.
        said: String,
    },
    /// Some did what they were told before one could not.
    #[error("{failure}; before that: {done}")]
    Partly {
        /// What was done, in one line.
        done: String,
        /// Why it went no further.
        failure: Box<Self>,
    },
    /// No server fits.
    #[error("there is no server {target} now: `status` shows what there is")]
    NoSuchServer {
        /// Who was meant.
        target: String,
    },
    /// It runs already.
    #[error("server {id} runs already")]
    Running {
        /// Which.
        id: u8,
    },
    /// It does not run.
    #[error("server {id} does not run")]
    Stopped {
        /// Which.
        id: u8,
    },
    /// A process can not be started, or can not be told something.
    #[error("server {id}")]
    Process {
        /// Which.
        id: u8,
        /// Why.
        source: io::Error,
    },
    /// It is ending.
    #[error("the playground is ending")]
    Ending,
    /// The order failed over there, for this reason.
    #[error("{0}")]
    Refused(String),
    /// The conversation with the playground failed.
    #[error("the playground does not answer")]
    Control(#[source] io::Error),
    /// The system refuses something that has nothing to do with files.
    #[error("the system does not let a playground run")]
    System(#[source] io::Error),
    /// Nobody reads what it says.
    #[error("standard output")]
    Output(#[source] io::Error),
}

impl PlaygroundError {
    /// What is said if all this was done before.
    pub(crate) fn after(self, done: &[String]) -> Self {
        match done.is_empty() {
            true => self,
            false => Self::Partly { done: done.join(", "), failure: Box::new(self) },
        }
    }
}
