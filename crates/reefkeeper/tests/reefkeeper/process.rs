//! The server as a process.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

/// What is tested.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_reefkeeper");

/// A running server; it is killed if the test leaves it.
pub(crate) struct Process {
    child: Child,
    /// What it says, until nobody listens.
    log: Option<BufReader<ChildStderr>>,
    address: SocketAddr,
}

impl Process {
    /// Starts a server on a free port and waits until it serves.
    pub(crate) fn start(words: &[&str]) -> Self {
        Self::run(command(words))
    }

    /// Starts one as [`Process::start`] does, after the shell has done this.
    pub(crate) fn start_with(before: &str, words: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("{before} && exec \"$0\" server \"$@\"");
        shell.args(["-c", &script, BINARY]).args(words).stdin(Stdio::null()).stdout(Stdio::null());
        Self::run(shell)
    }

    fn run(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let port = loop {
            let before = said.len();
            assert!(log.read_line(&mut said).unwrap() > 0, "it ended: {said}");
            if let Some((_, address)) = said[before..].split_once("serving address=") {
                break address.trim_end().parse::<SocketAddr>().unwrap().port();
            }
        };
        Self { child, log: Some(log), address: ([127, 0, 0, 1], port).into() }
    }

    /// Tells it to stop, as the system does; returns how it ended and what it said then.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let mut said = String::new();
        if let Some(log) = &mut self.log {
            log.read_to_string(&mut said).unwrap();
        }
        (self.child.wait().unwrap().code(), said)
    }

    /// Lets whoever reads its log go away.
    pub(crate) fn stop_listening(&mut self) {
        self.log = None;
    }

    /// A connection on which nothing was said.
    pub(crate) fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// A connection with a session.
    pub(crate) fn open_session(&self) -> TcpStream {
        let mut stream = self.dial();
        let mut frame = 45_u32.to_be_bytes().to_vec();
        frame.extend([0; 12]);
        frame.extend(30_000_u32.to_be_bytes());
        frame.extend([0; 8]);
        frame.extend(16_u32.to_be_bytes());
        frame.extend([0; 17]);
        stream.write_all(&frame).unwrap();
        let mut reply = [0; 41];
        stream.read_exact(&mut reply).unwrap();
        stream
    }

    /// How long its threads ran, in hundredths of a second.
    pub(crate) fn processor_time(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let times = fields.split(' ').skip(11).take(2);
        times.map(|time| time.parse::<u64>().unwrap()).sum()
    }

    /// Opens some sessions: each leaves a transaction in the log.
    pub(crate) fn open_sessions(&self, count: usize) {
        for _ in 0..count {
            self.open_session();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        if self.child.kill().is_ok() {
            self.child.wait().unwrap();
        }
    }
}

/// A server that is not started yet.
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("server").args(words).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// The path as a word.
pub(crate) fn word(path: &Path) -> &str {
    path.to_str().unwrap()
}
