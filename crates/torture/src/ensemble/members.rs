//! The servers of an ensemble, as processes.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::network::Network;
use crate::failure::Failure;
use crate::random::Random;

/// Within this an ensemble whose members all run and reach each other serves.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// A server answers an operator's question within this, or is busy with something else.
const ANSWER_PATIENCE: Duration = Duration::from_millis(500);
/// Ports are chosen below those that systems choose by themselves, so that no connection takes one
/// between its choice and its use.
const PORTS: std::ops::Range<u16> = 10_000..30_000;
const PORT_ATTEMPTS_MAX: usize = 1_000;

/// Some servers on one machine.
pub(crate) struct Members {
    binary: PathBuf,
    members: Vec<Member>,
    network: Arc<Network>,
}

struct Member {
    home: PathBuf,
    client: SocketAddr,
    process: Option<Child>,
    is_paused: bool,
}

/// What a member does, as it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// It does not serve, or does not answer.
    Away,
    Leading,
    Following,
}

impl Members {
    /// Makes their directories and starts them.
    pub(crate) fn start(
        binary: &Path,
        directory: &Path,
        count: usize,
        random: &mut Random,
    ) -> Result<Self, Failure> {
        let network = Network::new(count);
        let mut ports = Vec::new();
        while ports.len() < count * 3 {
            let port = free_port(random)?;
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        let mut members = Vec::new();
        for (index, own) in ports.chunks(3).enumerate() {
            let home = directory.join(format!("server-{}", index + 1));
            let mut lines = settings(&home, own[0]);
            for (other, [quorum, election]) in ports.chunks(3).map(|it| [it[1], it[2]]).enumerate()
            {
                let way = |port| match other == index {
                    true => Ok(port),
                    false => network.way(index, other, port).map(|address| address.port()),
                };
                let (sid, quorum, election) = (other + 1, way(quorum)?, way(election)?);
                lines += &format!("server.{sid}=127.0.0.1:{quorum}:{election}\n");
            }
            write_home(&home, index + 1, &lines)
                .map_err(Failure::io("a member's directory can not be made"))?;
            let client = SocketAddr::from((Ipv4Addr::LOCALHOST, own[0]));
            members.push(Member { home, client, process: None, is_paused: false });
        }
        let mut members = Self { binary: binary.to_owned(), members, network };
        (0..count).try_for_each(|index| members.run(index))?;
        Ok(members)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.members.len()
    }

    /// Where clients reach them.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|member| member.client).collect()
    }

    /// Where they keep what they have.
    pub(crate) fn homes(&self) -> impl Iterator<Item = &Path> {
        self.members.iter().map(|member| member.home.as_path())
    }

    /// What is between them.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Starts a member that does not run.
    pub(crate) fn run(&mut self, index: usize) -> Result<(), Failure> {
        let member = &mut self.members[index];
        if member.process.is_some() {
            return Ok(());
        }
        let output = File::options().create(true).append(true).open(member.home.join("output"));
        let output = output.map_err(Failure::io("a server's output can not be kept"))?;
        let child = Command::new(&self.binary)
            .arg("server")
            .arg(member.home.join("zoo.cfg"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .map_err(Failure::io("the server's program can not be run"))?;
        member.process = Some(child);
        Ok(())
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, index: usize) -> Result<(), Failure> {
        let member = &mut self.members[index];
        member.is_paused = false;
        let Some(mut child) = member.process.take() else { return Ok(()) };
        child.kill().map_err(Failure::io("a server can not be killed"))?;
        child.wait().map_err(Failure::io("a server can not be waited for"))?;
        Ok(())
    }

    /// SIGSTOP.
    pub(crate) fn pause(&mut self, index: usize) -> Result<(), Failure> {
        let member = &mut self.members[index];
        member.is_paused = member.process.is_some();
        member.signal("STOP")
    }

    /// SIGCONT.
    pub(crate) fn go_on(&mut self, index: usize) -> Result<(), Failure> {
        let member = &mut self.members[index];
        if !std::mem::take(&mut member.is_paused) {
            return Ok(());
        }
        member.signal("CONT")
    }

    /// Everything runs and reaches everything.
    pub(crate) fn heal(&mut self) -> Result<(), Failure> {
        self.network.heal();
        for index in 0..self.count() {
            self.go_on(index)?;
            self.run(index)?;
        }
        Ok(())
    }

    /// Who leads, if anybody says so.
    pub(crate) fn leader(&self) -> Option<usize> {
        (0..self.count()).find(|&index| self.mode(index) == Mode::Leading)
    }

    /// Waits until all serve.
    ///
    /// # Errors
    /// When they do not, or one has ended by itself.
    pub(crate) fn wait_until_whole(&mut self) -> Result<(), Failure> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            self.require_running()?;
            if (0..self.count()).all(|index| self.mode(index) != Mode::Away) {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        let away = (0..self.count()).find(|&index| self.mode(index) == Mode::Away);
        Err(Failure::NotServing {
            patience_s: PATIENCE.as_secs(),
            log: self.members[away.unwrap_or(0)].home.join("output").display().to_string(),
        })
    }

    /// SIGTERM to all, and their ends.
    ///
    /// # Errors
    /// When one does not end, or not well.
    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
        for member in &mut self.members {
            member.signal("TERM")?;
        }
        for member in &mut self.members {
            let Some(mut child) = member.process.take() else { continue };
            let start = Instant::now();
            let status = loop {
                let status = child.try_wait();
                match status.map_err(Failure::io("a server can not be waited for"))? {
                    Some(status) => break status,
                    None if start.elapsed() > PATIENCE => {
                        member.process = Some(child);
                        return Err(Failure::NotEnding { patience_s: PATIENCE.as_secs() });
                    }
                    None => thread::sleep(PAUSE),
                }
            };
            if !status.success() {
                return Err(Failure::WrongEnd { status });
            }
        }
        Ok(())
    }

    /// Nothing that was done to them makes a server end by itself.
    fn require_running(&mut self) -> Result<(), Failure> {
        for member in &mut self.members {
            let Some(child) = &mut member.process else { continue };
            let status = child.try_wait().map_err(Failure::io("a server can not be waited for"))?;
            if let Some(status) = status {
                return Err(Failure::WrongEnd { status });
            }
        }
        Ok(())
    }

    fn mode(&self, index: usize) -> Mode {
        let member = &self.members[index];
        if member.process.is_none() || member.is_paused {
            return Mode::Away;
        }
        match ask(member.client, "srvr") {
            Ok(answer) if answer.contains("\nMode: leader\n") => Mode::Leading,
            Ok(answer) if answer.contains("\nMode: follower\n") => Mode::Following,
            // Who does not answer does not serve: it is asked again.
            Ok(_) | Err(_) => Mode::Away,
        }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.network.end();
        for index in 0..self.count() {
            if let Err(failure) = self.kill(index) {
                eprintln!("torture: {failure}");
            }
        }
    }
}

impl Member {
    fn signal(&self, name: &str) -> Result<(), Failure> {
        let Some(child) = &self.process else { return Ok(()) };
        let sent =
            Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
        let status = sent.map_err(Failure::io("`kill` can not be run"))?;
        if status.success() { Ok(()) } else { Err(Failure::WrongEnd { status }) }
    }
}

fn settings(home: &Path, client_port: u16) -> String {
    format!(
        "dataDir={}\nclientPort={client_port}\nclientPortAddress=127.0.0.1\ntickTime=200\n\
         initLimit=25\nsyncLimit=10\nmaxClientCnxns=0\npreAllocSize=64\nsnapCount=100000\n\
         extendedTypesEnabled=true\nznode.container.checkIntervalMs=500\n",
        home.display()
    )
}

fn write_home(home: &Path, sid: usize, lines: &str) -> std::io::Result<()> {
    fs::create_dir(home)?;
    fs::write(home.join("myid"), format!("{sid}\n"))?;
    fs::write(home.join("zoo.cfg"), lines)
}

fn free_port(random: &mut Random) -> Result<u16, Failure> {
    let mut refusal = None;
    for _ in 0..PORT_ATTEMPTS_MAX {
        let span = u64::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(random.below(span)).unwrap_or(0);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => refusal = Some(error),
        }
    }
    let refusal = refusal.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into());
    Err(Failure::io("there is no free port")(refusal))
}

fn ask(address: SocketAddr, word: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_PATIENCE)?;
    stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
