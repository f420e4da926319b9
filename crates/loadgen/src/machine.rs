//! Where figures were measured: without it they mean nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::Serialize;

/// How long a server may take to tell its version; many are configured not to.
const VERSION_WAIT: Duration = Duration::from_secs(1);
/// Bytes of the answer that are looked at.
const VERSION_BYTES_MAX: u64 = 4096;

/// The machine of the load generator, which for a side-by-side measurement is the server's too.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Processors that this program may use.
    pub cpus: usize,
    /// The processor's name; empty if unknown.
    pub cpu_model: String,
    /// Memory in bytes; 0 if unknown.
    pub memory_bytes: u64,
    /// The release of the kernel; empty if unknown.
    pub kernel: String,
}

impl Machine {
    /// Asks the system.
    pub(crate) fn observe() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            cpus: std::thread::available_parallelism().map_or(1, Into::into),
            cpu_model: value_of(&read("/proc/cpuinfo"), "model name").to_owned(),
            memory_bytes: value_of(&read("/proc/meminfo"), "MemTotal")
                .strip_suffix("kB")
                .and_then(|kibibytes| kibibytes.trim().parse::<u64>().ok())
                .map_or(0, |kibibytes| kibibytes * 1024),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

/// The versions of both sides.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Versions {
    /// This program's.
    pub loadgen: String,
    /// What the server says of itself, if it does.
    pub server: Option<String>,
}

impl Versions {
    /// Asks the server by the command `srvr`, which is allowed by default.
    pub(crate) fn ask(server: SocketAddr) -> Self {
        Self {
            loadgen: env!("CARGO_PKG_VERSION").to_owned(),
            server: server_version(server).filter(|version| !version.is_empty()),
        }
    }
}

fn server_version(server: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&server, VERSION_WAIT).ok()?;
    stream.set_read_timeout(Some(VERSION_WAIT)).ok()?;
    stream.write_all(b"srvr").ok()?;
    let mut answer = Vec::new();
    stream.take(VERSION_BYTES_MAX).read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let version = value_of(&answer, "Zookeeper version");
    Some(version.split(',').next().unwrap_or_default().to_owned())
}

/// What follows `name` and a colon on a line of its own; empty if there is no such line.
fn value_of<'a>(lines: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    };
    lines.lines().find_map(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_values_by_name() {
        let lines = "processor\t: 0\nmodel name\t: Fast CPU: 3 GHz\n";
        assert_eq!(value_of(lines, "model name"), "Fast CPU: 3 GHz");
        assert_eq!(value_of(lines, "bogomips"), "");
    }

    #[test]
    fn knows_this_machine() {
        let machine = Machine::observe();
        assert!(machine.cpus >= 1);
        assert!(machine.memory_bytes > 1 << 20, "{machine:?}");
        assert!(machine.kernel.contains('.'), "{machine:?}");
    }
}
