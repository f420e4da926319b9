//! What an operator is told.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::Origin;

/// Why a configuration can not be used. The binary exits with code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line has a form that there is not.
    #[error("unexpected argument {word:?}; expected [<zoo.cfg>] or {POSITIONAL}")]
    Usage {
        /// The first word that does not fit.
        word: String,
    },
    /// A port is followed by nothing.
    #[error("{word:?} is a port without a data directory; expected [<zoo.cfg>] or {POSITIONAL}")]
    PortAlone {
        /// The port.
        word: String,
    },
    /// A flag is not of the form `name=value`.
    #[error("{word:?}: expected {expected}")]
    Flag {
        /// The flag as it was given.
        word: String,
        /// The form it should have.
        expected: &'static str,
    },
    /// A configuration file can not be read.
    #[error("{}: the configuration file can not be read", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A `\u` escape without its four digits.
    #[error("{}:{line}: expected four hexadecimal digits after \\u", path.display())]
    Escape {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
    },
    /// A value is not what its key takes.
    #[error("{origin}: {key}={value}: expected {expected}")]
    Value {
        /// Where it was given.
        origin: Origin,
        /// The key as `zoo.cfg` spells it.
        key: String,
        /// What was given.
        value: String,
        /// What the key takes.
        expected: String,
    },
    /// A key that a configuration file must have is missing.
    #[error("{}: {key} is missing: {expected}", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// What it should say.
        expected: &'static str,
    },
    /// `clientPortAddress` is given without `clientPort`.
    #[error("{origin}: clientPortAddress is given, but clientPort is not")]
    AddressWithoutPort {
        /// Where the address was given.
        origin: Origin,
    },
    /// A host name has no address.
    #[error("{origin}: {key}={host}: the host name has no address")]
    UnknownHost {
        /// Where it was given.
        origin: Origin,
        /// The key as `zoo.cfg` spells it.
        key: &'static str,
        /// The name.
        host: String,
        /// Why.
        source: Option<io::Error>,
    },
    /// The shortest session timeout is longer than the longest.
    #[error(
        "{origin}: minSessionTimeout {min_ms} ms is more than maxSessionTimeout {max_ms} ms \
         (unless given they are 2 and 20 times tickTime)"
    )]
    SessionTimeouts {
        /// Where the shortest was given, or the longest if only that was.
        origin: Origin,
        /// The shortest.
        min_ms: u128,
        /// The longest.
        max_ms: u128,
    },
    /// The membership makes no sense.
    #[error("{origin}: {problem}")]
    Membership {
        /// Where it was given.
        origin: Origin,
        /// What is wrong.
        problem: MembershipProblem,
    },
}

/// The arguments that stand in for a configuration file.
const POSITIONAL: &str = "<port> <dataDir> [<tickTime> [<maxClientCnxns>]]";

/// What is wrong with a membership.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MembershipProblem {
    /// It describes an ensemble, and this server can not be a member of one yet.
    EnsembleUnsupported {
        /// How many servers vote.
        voters: usize,
        /// How many do not.
        observers: usize,
    },
    /// There are observers, but nobody votes.
    ObserversOnly,
    /// There are observers of a single server that runs standalone.
    ObserversOfStandalone,
    /// Server lines are given both here and in the dynamic file.
    InTwoFiles,
    /// The dynamic file has this key, which only the main file may have.
    NotInDynamicFile(String),
}

impl fmt::Display for MembershipProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnsembleUnsupported { voters, observers } => write!(
                f,
                "an ensemble ({voters} voters, {observers} observers) is not supported yet; \
                 remove the server, group and weight lines to run a standalone server"
            ),
            Self::ObserversOnly => f.write_str("there are observers but no voters"),
            Self::ObserversOfStandalone => f.write_str(
                "a standalone server can not have observers; set standaloneEnabled=false or \
                 remove them",
            ),
            Self::InTwoFiles => {
                f.write_str("server, group and weight lines belong into the dynamicConfigFile only")
            }
            Self::NotInDynamicFile(key) => {
                write!(f, "{key} does not belong into the dynamicConfigFile")
            }
        }
    }
}

/// Something an operator should know, but that does not keep the server from starting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Warning {
    /// No such key. It has no effect.
    UnknownKey {
        /// As it was spelled.
        key: String,
        /// Where it was given.
        origin: Origin,
    },
    /// The manual's name of a key; it has the effect of the name that Apache reads.
    ManualName {
        /// As it was spelled.
        manual: &'static str,
        /// The name to use.
        key: &'static str,
        /// Where it was given.
        origin: Origin,
    },
    /// The key means something to Apache but nothing here. It has no effect.
    WithoutEffect {
        /// As `zoo.cfg` spells it.
        key: String,
        /// Why it means nothing.
        reason: &'static str,
        /// Where it was given.
        origin: Origin,
    },
    /// The key belongs to something that this version does not have. It has no effect.
    NotSupportedYet {
        /// As `zoo.cfg` spells it.
        key: String,
        /// What there is not.
        what: &'static str,
        /// Where it was given.
        origin: Origin,
    },
    /// A word for the Java virtual machine. It has no effect.
    JvmWord {
        /// The word.
        word: String,
        /// The variable it was in.
        variable: &'static str,
    },
    /// A switch with a word that Apache silently takes for the opposite of what may be meant.
    OddSwitch {
        /// As `zoo.cfg` spells it.
        key: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        expected: &'static str,
        /// Where it was given.
        origin: Origin,
    },
    /// The membership is a single voter, so this is a standalone server.
    SingleVoter {
        /// Where its line is.
        origin: Origin,
    },
    /// The directory is relative to wherever the server was started.
    RelativePath {
        /// Which of the two.
        key: &'static str,
        /// As it was given.
        path: PathBuf,
        /// Where it was given.
        origin: Origin,
    },
    /// Neither a port for clients is given, nor one this version can serve.
    NoClientPort,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { key, origin } => {
                write!(f, "{origin}: {key} is not a known key and has no effect")
            }
            Self::ManualName { manual, key, origin } => {
                write!(f, "{origin}: {manual} is read as {key}; use that name")
            }
            Self::WithoutEffect { key, reason, origin } => {
                write!(f, "{origin}: {key} has no effect here: {reason}")
            }
            Self::NotSupportedYet { key, what, origin } => {
                write!(f, "{origin}: {key} has no effect yet: {what} not supported by this version")
            }
            Self::JvmWord { word, variable } => {
                write!(f, "{variable}: {word} is for a Java virtual machine and has no effect")
            }
            Self::OddSwitch { key, value, expected, origin } => {
                write!(f, "{origin}: {key}={value} is neither of {expected}; read as Apache does")
            }
            Self::SingleVoter { origin } => {
                write!(f, "{origin}: a single voter is a standalone server; the line is ignored")
            }
            Self::RelativePath { key, path, origin } => write!(
                f,
                "{origin}: {key}={} is relative to the directory the server is started in",
                path.display()
            ),
            Self::NoClientPort => f.write_str("no clientPort is given: no client can connect"),
        }
    }
}
