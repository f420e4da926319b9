//! Where a value comes from.

use std::fmt;
use std::path::PathBuf;

/// Where a value was given. Ordered by precedence: a later variant overrides an earlier one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// Nowhere.
    Default,
    /// A `-Dname=value` word in this environment variable (`SERVER_JVMFLAGS` or `JVMFLAGS`), or a
    /// variable that Apache's scripts turn into one.
    JvmFlags(&'static str),
    /// A line of a configuration file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// One of the arguments `<port> <dataDir> [tickTime] [maxClientCnxns]` that stand in for a
    /// file.
    Argument(&'static str),
    /// A `REEFKEEPER_*` environment variable.
    Environment(String),
    /// A `-Dname=value` or `--set name=value` flag.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::JvmFlags(variable) => f.write_str(variable),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Argument(name) => write!(f, "argument <{name}>"),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag => f.write_str("command line"),
        }
    }
}
