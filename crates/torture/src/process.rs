//! The server under torture.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use types::Zxid;

use crate::Options;
use crate::failure::Failure;
use crate::line::Line;
use crate::ports::free_port;

/// A server answers its first client within this.
const PATIENCE: Duration = Duration::from_secs(30);
/// The exit code of a server that could not go on.
const FAILED: i32 = 1;
/// Between two attempts to connect to a server that starts.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(2);

/// A server's program, its directory and its port.
#[derive(Debug)]
pub(crate) struct Host {
    options: Options,
    directory: PathBuf,
    address: SocketAddr,
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// Where its standard error goes.
    log: PathBuf,
    /// From its start to its first answer.
    pub(crate) start: Duration,
}

impl Host {
    /// A host with a port that is free now, and stays so between two servers.
    pub(crate) fn new(options: &Options, directory: &Path) -> Result<Self, Failure> {
        Ok(Self {
            options: options.clone(),
            directory: directory.to_owned(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)),
        })
    }

    /// Where clients connect.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Starts the server and waits until it opens a session.
    pub(crate) fn start(&self) -> Result<Running, Failure> {
        self.start_as(Command::new(&self.options.binary))
    }

    /// The same, but no file of it may grow beyond so many blocks of the shell's `ulimit -f`, 512
    /// or 1024 bytes each: what goes beyond fails as on a full disk.
    pub(crate) fn start_limited(&self, blocks: u64) -> Result<Running, Failure> {
        let mut shell = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script]).arg(&self.options.binary);
        self.start_as(shell)
    }

    fn start_as(&self, mut command: Command) -> Result<Running, Failure> {
        let log = self.directory.join("server.log");
        let output = File::options().create(true).append(true).open(&log);
        let output = output.map_err(Failure::io("the server's output can not be kept"))?;
        let start = Instant::now();
        let child = command
            .arg("server")
            .arg(self.address.port().to_string())
            .arg(self.data_dir())
            .args(["--set", "clientPortAddress=127.0.0.1"])
            .args(["--set", &format!("snapCount={}", self.options.snap_count)])
            .args(["--set", "preAllocSize=64"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .map_err(Failure::io("the server's program can not be run"))?;
        let mut running = Running { child, log, start: Duration::ZERO };
        while start.elapsed() < PATIENCE {
            if let Ok(Some(_)) = Line::open(self.address, None, Zxid::ZERO) {
                running.start = start.elapsed();
                return Ok(running);
            }
            thread::sleep(ATTEMPT_PAUSE);
        }
        let log = running.log.display().to_string();
        Err(Failure::NotServing { patience_s: PATIENCE.as_secs(), log })
    }
}

impl Running {
    /// SIGKILL, and the wait until it is gone.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        self.child.kill().map_err(Failure::io("the server can not be killed"))?;
        self.child.wait().map_err(Failure::io("the server can not be waited for"))?;
        Ok(())
    }
}

impl Running {
    /// Waits until the server ends by itself, with the exit code of a failure.
    pub(crate) fn wait_for_failure(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let status = self.child.try_wait();
            match status.map_err(Failure::io("the server can not be waited for"))? {
                Some(status) if status.code() == Some(FAILED) => return Ok(()),
                Some(status) => {
                    let log = self.log.display().to_string();
                    return Err(Failure::WrongEnd { status, log });
                }
                None => thread::sleep(ATTEMPT_PAUSE),
            }
        }
        Err(Failure::NotEnding { patience_s: PATIENCE.as_secs() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(failure) = self.kill() {
            eprintln!("torture: {failure}");
        }
    }
}
