//! The configuration of a server: Apache's `zoo.cfg`, its Java properties, environment variables
//! and flags become one checked [`Config`].
//!
//! A value can be given in several places. Each layer overrides those above it:
//!
//! ```text
//!   default
//!   -D words in SERVER_JVMFLAGS and JVMFLAGS     (as Apache's scripts pass them on)
//!   zoo.cfg, or <port> <dataDir> [tickTime] [maxClientCnxns]
//!   REEFKEEPER_* environment variables
//!   -Dname=value and --set name=value flags
//! ```
//!
//! There is one table of settings (`setting.rs`); the parser of each value, the listing of what is
//! in force with its [`Origin`], and `docs/configuration.md` all derive from it. A name is a key of
//! `zoo.cfg`, with or without `zookeeper.` before it, in every layer but the environment's.
//!
//! Two rules make a configuration written for Apache usable as it is: a key that means nothing here
//! never keeps the server from starting, it is a [`Warning`]; and a switch reads an odd word as
//! Apache reads it. Everything else that is wrong is a [`ConfigError`] that names where, what and
//! what was expected.
//!
//! Left to others: whether the directories can be used (`storage`), whether the address can be
//! listened on (`server`), exit codes (the binary; 2 for every [`ConfigError`]).

mod command_line;
mod config;
mod ensemble;
mod error;
mod known;
mod layer;
mod listen;
mod membership;
mod membership_files;
mod origin;
mod properties;
mod reference;
mod secret;
mod setting;
mod value;

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

pub use command_line::{Base, CommandLine};
pub use config::{
    Access, AdminServer, Autopurge, Config, ConnectionThrottle, ConnectionWeights, LargeRequests,
    Limits, Operator, Reaping, Sessions, Storage, Throttle,
};
pub use ensemble::{Election, Ensemble, LocalSessions, Observers, Synchronization, TickLimits};
pub use error::{ConfigError, MembershipProblem, Warning};
pub use listen::Listen;
pub use membership_files::{MembershipFiles, MembershipFilesError};
pub use origin::Origin;
pub use reference::reference;
pub use secret::Secret;
pub use value::{Compression, DigestAlgorithm};

use layer::Layers;
use setting::{CLIENT_PORT, DATA_DIR, DATADIR_AUTOCREATE, MAX_CLIENT_CNXNS, ROWS, TICK_TIME};

/// A configuration, and what there is to tell about it.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// What the server is started with.
    pub config: Config,
    /// Every setting as it is in force, by topic, then the lines of the membership.
    pub effective: Vec<Effective>,
    /// What an operator should know, each once, in the order of the layers.
    pub warnings: Vec<Warning>,
}

/// One setting as it is in force. Displays as `key=value (origin)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effective {
    /// Its key in `zoo.cfg`.
    pub key: String,
    /// Its value as it was given; for a secret that is set, `(hidden)`.
    pub value: String,
    /// Where it was given.
    pub origin: Origin,
}

/// Where a configuration is read from, beside words and variables.
#[derive(Clone, Copy)]
pub struct Sources<'s> {
    /// Reads a file.
    pub read: &'s dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// Finds the addresses of a host name, each with that port.
    pub look_up: &'s dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>>,
}

/// Reads the configuration that a command line and an environment ask for, and the files they name.
///
/// # Errors
/// A file can not be read, a value is wrong, or a membership makes no sense.
pub fn load(
    command_line: &CommandLine,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let read = |path: &Path| fs::read(path);
    let look_up = |host: &str, port| (host, port).to_socket_addrs().map(Iterator::collect);
    load_from(command_line, environment, Sources { read: &read, look_up: &look_up })
}

/// The same, from files and host names that need not be those of this machine.
///
/// # Errors
/// As [`load`].
pub fn load_from(
    command_line: &CommandLine,
    environment: impl IntoIterator<Item = (String, String)>,
    sources: Sources<'_>,
) -> Result<Loaded, ConfigError> {
    let environment: Vec<(String, String)> = environment.into_iter().collect();
    let variable = |name: &str| {
        environment.iter().find(|(variable, _)| variable == name).map(|(_, text)| text.as_str())
    };
    let mut layers = Layers::default();
    // Apache's scripts pass the words of both on in this order, and the later word wins.
    for name in ["SERVER_JVMFLAGS", "JVMFLAGS"] {
        layers.add_jvm_flags(name, variable(name).unwrap_or_default());
    }
    if variable(AUTOCREATE_DISABLE).is_some_and(|text| !text.is_empty()) {
        layers.set(&DATADIR_AUTOCREATE.row, "false", Origin::JvmFlags(AUTOCREATE_DISABLE));
    }
    let file = match &command_line.base {
        Base::File(path) => Some(path.clone()),
        Base::Trial => file_of_scripts(variable("ZOOCFGDIR"), variable("ZOOCFG")),
        Base::Arguments { .. } => None,
    };
    let read = |path: &Path| {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        (sources.read)(path).map_err(unreadable)
    };
    add_base(&mut layers, &command_line.base, file.as_deref(), read)?;
    for (variable, text) in &environment {
        layers.add_variable(variable, text);
    }
    for definition in &command_line.settings {
        layers.add_flag(definition)?;
    }
    membership::add_dynamic_file(&mut layers, read)?;
    if let (Some(path), Origin::Default) = (file, layers.origin(&DATA_DIR.row)) {
        let expected = "the directory that snapshots and the log are kept in";
        return Err(ConfigError::Missing { path, key: DATA_DIR.row.key, expected });
    }
    let config = Config::from_layers(&mut layers, sources)?;
    layers.warn_of_settings_not_acted_on();
    let settings = ROWS.iter().map(|row| Effective::of(row, &layers));
    let effective = settings.chain(layers.membership.iter().map(Effective::of_line)).collect();
    Ok(Loaded { config, effective, warnings: once_each(layers.warnings) })
}

/// The variable with which Apache's scripts are told not to create directories.
const AUTOCREATE_DISABLE: &str = "ZOO_DATADIR_AUTOCREATE_DISABLE";

/// The settings of a server that was told nothing: those of Apache's sample file.
const TRIAL: [(&setting::Row, &str); 2] = [(&CLIENT_PORT.row, "2181"), (&TICK_TIME.row, "2000")];

/// The file that Apache's scripts would name.
fn file_of_scripts(directory: Option<&str>, name: Option<&str>) -> Option<PathBuf> {
    let directory = directory.filter(|directory| !directory.is_empty())?;
    let name = name.filter(|name| !name.is_empty()).unwrap_or("zoo.cfg");
    Some(Path::new(directory).join(name))
}

fn add_base(
    layers: &mut Layers,
    base: &Base,
    file: Option<&Path>,
    read: impl FnOnce(&Path) -> Result<Vec<u8>, ConfigError>,
) -> Result<(), ConfigError> {
    if let Some(path) = file {
        return layers.add_file(path, &read(path)?);
    }
    match base {
        Base::Trial | Base::File(_) => {
            for (row, text) in TRIAL {
                if layers.origin(row) == Origin::Default {
                    layers.set(row, text, Origin::Default);
                }
            }
        }
        Base::Arguments { port, data_dir, tick_time, max_client_cnxns } => {
            // Apache limits the connections of an address only if a file or an argument says so.
            layers.set(&MAX_CLIENT_CNXNS.row, "0", Origin::Default);
            let arguments = [
                (&CLIENT_PORT.row, "port", Some(port)),
                (&DATA_DIR.row, "dataDir", Some(data_dir)),
                (&TICK_TIME.row, "tickTime", tick_time.as_ref()),
                (&MAX_CLIENT_CNXNS.row, "maxClientCnxns", max_client_cnxns.as_ref()),
            ];
            for (row, name, text) in arguments {
                if let Some(text) = text {
                    layers.set(row, text, Origin::Argument(name));
                }
            }
        }
    }
    Ok(())
}

/// The warnings without those that were given before; origins apart, one naming is enough.
fn once_each(warnings: Vec<Warning>) -> Vec<Warning> {
    let mut unique = Vec::new();
    for warning in warnings {
        if !unique.contains(&warning) {
            unique.push(warning);
        }
    }
    unique
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources(..)")
    }
}

impl Effective {
    fn of(row: &'static setting::Row, layers: &Layers) -> Self {
        let layer::Given { text, origin } = layers.effective(row);
        let value = if row.is_secret && !text.is_empty() { "(hidden)".to_owned() } else { text };
        Self { key: row.key.to_owned(), value, origin }
    }

    fn of_line(line: &layer::MembershipLine) -> Self {
        let layer::Given { text, origin } = line.given.clone();
        Self { key: line.key.clone(), value: text, origin }
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} ({})", self.key, self.value, self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator, so that every run tries the same files.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % bound as u64).unwrap()
        }
    }

    #[test]
    fn no_bytes_make_it_panic_and_errors_name_a_line_of_the_file() {
        const PIECES: &[&[u8]] = &[
            b"\n",
            b"\r\n",
            b"=",
            b":",
            b" ",
            b"\\",
            b"\\u",
            b"\\u0041",
            b"\\\n",
            b"#",
            b"\xff",
            b"\0",
            b"-",
            b"0x",
            b"1",
            b"99999999999999999999",
            b"true",
            b"\xc3\xbc",
            b",",
            b";",
            b"|",
            b"[",
            b"]",
            b"tickTime",
            b"clientPort",
            b"clientPortListenBacklog",
            b"snapCount",
            b"jute.maxbuffer",
            b"minSessionTimeout",
            b"autopurge.purgeInterval",
            b"server.1",
            b"server.2",
            b"zookeeper.",
            b"request_throttle_stall_time",
            b"connection_throttle_drop_increase",
            b"forceSync",
            b"localhost:1:2",
            b"localhost:1:2:observer;3",
            b"localhost:3:4|localhost:5:6",
            b"multiAddress.enabled",
            b"group.1",
            b"weight.1",
            b"1:2",
        ];
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let (mut accepted, mut refused) = (0, 0);
        for _ in 0..5_000 {
            let mut content = b"dataDir=/data\ninitLimit=10\nsyncLimit=5\n".to_vec();
            for _ in 0..random.below(24) {
                match random.below(8) {
                    0 => content.push(u8::try_from(random.below(256)).unwrap()),
                    _ => content.extend_from_slice(PIECES[random.below(PIECES.len())]),
                }
            }
            let mut layers = Layers::default();
            let look_up = |_: &str, _| Err(io::ErrorKind::NotFound.into());
            let sources = Sources { read: &|_| Ok(b"1".to_vec()), look_up: &look_up };
            let loaded = layers
                .add_file(Path::new("zoo.cfg"), &content)
                .and_then(|()| Config::from_layers(&mut layers, sources));
            let Err(error) = loaded else {
                accepted += 1;
                continue;
            };
            refused += 1;
            let lines = content.iter().filter(|&&byte| byte == b'\n' || byte == b'\r').count() + 1;
            let text = error.to_string();
            let line: usize = text
                .strip_prefix("zoo.cfg:")
                .and_then(|rest| rest.split_once(':')?.0.parse().ok())
                .unwrap_or_else(|| panic!("{text} names no line"));
            assert!((1..=lines).contains(&line), "{text}");
        }
        assert!(accepted > 500 && refused > 500, "{accepted} accepted, {refused} refused");
    }
}
