//! What an operator is told.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use types::Sid;
use types::membership::{HostPort, InvalidLine, InvalidMembership, InvalidText, Role};

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
        key: String,
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
    /// The file that says which server of an ensemble this is can not be read.
    #[error("{}: this file has to hold the id of this server ({})", path.display(), one_of(sids))]
    MyIdUnreadable {
        /// Which file.
        path: PathBuf,
        /// The ids that there are.
        sids: Vec<Sid>,
        /// Why.
        source: io::Error,
    },
    /// That file holds something else.
    #[error("{}: {found:?}: expected the id of this server ({})", path.display(), one_of(sids))]
    MyIdMalformed {
        /// Which file.
        path: PathBuf,
        /// Its first line.
        found: String,
        /// The ids that there are.
        sids: Vec<Sid>,
    },
    /// The file with a membership that was proposed has something else.
    #[error("{}: {problem}", path.display())]
    PendingMalformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: InvalidText,
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
    /// One of its lines has another form.
    Line {
        /// The key as it was given.
        key: String,
        /// What was given for it.
        value: String,
        /// What was expected.
        problem: InvalidLine,
    },
    /// Its lines do not go together.
    Whole(InvalidMembership),
    /// This server has several addresses, but `multiAddress.enabled` does not say that it may.
    SeveralAddresses(Sid),
    /// Two servers would listen at one place.
    SharedAddress {
        /// Where.
        address: HostPort,
        /// Who does too.
        other: Sid,
    },
    /// There are no servers, but `standaloneEnabled` says that this is not a standalone one.
    NoServers,
    /// There are observers, but nobody votes.
    ObserversOnly,
    /// There are observers of a single server that runs standalone.
    ObserversOfStandalone,
    /// This server is none of the members.
    NotAMember {
        /// The id that it has.
        sid: Sid,
        /// The file that says so.
        my_id: PathBuf,
    },
    /// This server's id is too large for znodes with a time to live.
    SidTooLarge {
        /// The id that it has.
        sid: Sid,
        /// The largest that it may have.
        max: Sid,
    },
    /// `clientPort` and the line of this server name different places for clients.
    ClientAddresses {
        /// What `clientPort` and `clientPortAddress` say.
        configured: SocketAddr,
        /// What the line says.
        listed: HostPort,
    },
    /// A key is missing that a member of an ensemble has to be given.
    LimitMissing {
        /// Which.
        key: &'static str,
        /// A value that is often good.
        example: u32,
    },
    /// Server lines are given both here and in the dynamic file.
    InTwoFiles,
    /// The dynamic file has this key, which only the main file may have.
    NotInDynamicFile(String),
}

impl fmt::Display for MembershipProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { key, value, problem } => write!(f, "{key}={value}: {problem}"),
            Self::Whole(problem) => write!(f, "{problem}"),
            Self::SeveralAddresses(sid) => write!(
                f,
                "server {} has several addresses; set multiAddress.enabled=true or leave one",
                sid.0
            ),
            Self::SharedAddress { address, other } => {
                write!(f, "{address} is an address of server {} already", other.0)
            }
            Self::NoServers => {
                f.write_str("there are no servers; without a standalone server there have to be")
            }
            Self::ObserversOnly => f.write_str("there are observers but no voters"),
            Self::ObserversOfStandalone => f.write_str(
                "a standalone server can not have observers; set standaloneEnabled=false or \
                 remove them",
            ),
            Self::NotAMember { sid, my_id } => {
                write!(f, "there is no line server.{}, but {} names it", sid.0, my_id.display())
            }
            Self::SidTooLarge { sid, max } => write!(
                f,
                "with extendedTypesEnabled this server's id can be {} at most, and not {}",
                max.0, sid.0
            ),
            Self::ClientAddresses { configured, listed } => write!(
                f,
                "this server's line has clients connect to {listed}, clientPort has them connect \
                 to {configured}; leave one of them out"
            ),
            Self::LimitMissing { key, example } => {
                write!(f, "members of an ensemble need {key}; {key}={example} is a start")
            }
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
    /// The key is in the file twice; the later line counts.
    GivenTwice {
        /// As `zoo.cfg` spells it.
        key: String,
        /// The earlier line, from 1.
        line: usize,
        /// The later one.
        origin: Origin,
    },
    /// The membership is a single voter, so this is a standalone server.
    SingleVoter {
        /// Where its line is.
        origin: Origin,
    },
    /// There are so few voters that none may fail, or one more than it takes.
    NumberOfVoters {
        /// How many.
        voters: usize,
        /// Where the first server's line is.
        origin: Origin,
    },
    /// `peerType` is not what this server's line says, which counts.
    PeerType {
        /// What the line says.
        listed: Role,
        /// Where `peerType` was given.
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
            Self::GivenTwice { key, line, origin } => {
                write!(f, "{origin}: {key} is given again, so that line {line} has no effect")
            }
            Self::SingleVoter { origin } => {
                write!(
                    f,
                    "{origin}: a single voter is a standalone server; the line is ignored, but for its client port"
                )
            }
            Self::NumberOfVoters { voters: ..=2, origin } => {
                write!(f, "{origin}: with fewer than three voters none may fail")
            }
            Self::NumberOfVoters { voters, origin } => {
                write!(f, "{origin}: of {voters} voters no more may fail than of {}", voters - 1)
            }
            Self::PeerType { listed, origin } => {
                write!(f, "{origin}: peerType is not what this server's line says; {listed} counts")
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

fn one_of(sids: &[Sid]) -> String {
    let sids: Vec<String> = sids.iter().map(|sid| sid.0.to_string()).collect();
    format!("one of {}", sids.join(", "))
}
