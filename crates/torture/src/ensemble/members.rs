//! The servers of an ensemble, as processes.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sim::checkers::{Promise, Violation};
use storage::Tally;

use super::machine::{Desk, Machine, Order};
use super::network::Network;
use super::rot;
use crate::failure::Failure;
use crate::ports::free_port;
use crate::random::Random;

/// Within this an ensemble whose members all run and reach each other serves.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same where a mistake was planted: it may never serve.
const SHORT_PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// A server answers an operator's question within this, or is busy with something else.
const ANSWER_PATIENCE: Duration = Duration::from_millis(500);
/// How a server ends that can not write what it must write.
const FAILED: i32 = 1;
/// How a server of ours ends that can not use what is in its directories.
pub(crate) const UNUSABLE_DIRECTORIES: i32 = 3;
/// Syncs of a machine that is told what to do take at most so long: between a write and its sync there is
/// time for something to happen.
const SYNC_MS_MAX: u64 = 20;
/// A failure of a machine from before it was mended ends a server within this, if at all.
const EXCUSED_FOR: Duration = Duration::from_secs(1);
/// What a server says when it panics.
const DEFECT: &str = "a defect, please report it";

/// Some servers on one machine.
pub(crate) struct Members {
    binary: PathBuf,
    machine: Machine,
    /// What machines draw from.
    seeds: Random,
    members: Vec<Member>,
    network: Arc<Network>,
    toll: Toll,
    /// How a server ends that can not use what is in its directories.
    refusal: i32,
}

struct Member {
    home: PathBuf,
    client: SocketAddr,
    process: Option<Child>,
    is_paused: bool,
    /// It has fewer descriptors than it would like to have.
    is_limited: bool,
    /// Its machine was told to be other than it is at a start.
    is_told: bool,
    excuse: Excuse,
    /// Files of it were damaged while it was down.
    was_damaged: bool,
}

/// Whether a member may end by itself once, and be started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Excuse {
    /// Nothing was done to it by which a server ends.
    None,
    /// Its machine fails, or lacks something.
    Failing,
    /// Its machine does not fail since then. What has failed before may still be on its way.
    Mended(Instant),
}

/// What the members have been through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Toll {
    /// By SIGKILL.
    pub(crate) killed: u64,
    /// By themselves, since their machine failed.
    pub(crate) failed: u64,
    /// At their start, since their files were damaged.
    pub(crate) refused: u64,
    /// What machines have forgotten, and what they might have.
    pub(crate) lost: Tally,
}

/// Where a member keeps what it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home<'m> {
    pub(crate) path: &'m Path,
    /// Some files were damaged once, and may lie there still.
    pub(crate) was_damaged: bool,
}

/// What a member does, as it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// It does not serve, or does not answer.
    Away,
    Leading,
    Following,
    Alone,
}

impl Toll {
    /// Adds another one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.killed += other.killed;
        self.failed += other.failed;
        self.refused += other.refused;
        self.lose(other.lost);
    }

    fn lose(&mut self, tally: Tally) {
        self.lost.sectors += tally.sectors;
        self.lost.names += tally.names;
        self.lost.sectors_early += tally.sectors_early;
        self.lost.names_early += tally.names_early;
    }
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "processes killed     {}", self.killed)?;
        writeln!(f, "  failed by plan     {}", self.failed)?;
        writeln!(f, "  refused to start   {}", self.refused)?;
        let Tally { sectors, names, sectors_early, names_early } = self.lost;
        writeln!(f, "sectors forgotten    {sectors}")?;
        writeln!(f, "  written unasked    {sectors_early}")?;
        writeln!(f, "names forgotten      {names}")?;
        write!(f, "  written unasked    {names_early}")
    }
}

impl Members {
    /// Makes their directories and starts them. One alone is no ensemble.
    pub(crate) fn start(
        binary: &Path,
        machine: Machine,
        directory: &Path,
        count: usize,
        random: &mut Random,
    ) -> Result<Self, Failure> {
        let network = Network::new(count);
        let mut ports = Vec::new();
        while ports.len() < count * 3 {
            let port = free_port()?;
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        let mut members = Vec::new();
        for (index, own) in ports.chunks(3).enumerate() {
            let home = directory.join(format!("server-{}", index + 1));
            let mut lines = settings(&home, own[0]);
            let all = ports.chunks(3).map(|it| [it[1], it[2]]).enumerate();
            for (other, [quorum, election]) in all.filter(|_| count > 1) {
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
            members.push(Member {
                home,
                client,
                process: None,
                is_paused: false,
                is_limited: false,
                is_told: false,
                excuse: Excuse::None,
                was_damaged: false,
            });
        }
        let (seeds, toll) = (Random::new(random.below(u64::MAX)), Toll::default());
        let binary = binary.to_owned();
        let refusal = UNUSABLE_DIRECTORIES;
        let mut members = Self { binary, machine, seeds, members, network, toll, refusal };
        (0..count).try_for_each(|index| members.run(index))?;
        Ok(members)
    }

    /// They are not ours, and refuse what is in their directories with another status.
    pub(crate) const fn refuse_with(&mut self, status: i32) {
        self.refusal = status;
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
    pub(crate) fn homes(&self) -> impl Iterator<Item = Home<'_>> {
        self.members
            .iter()
            .map(|member| Home { path: &member.home, was_damaged: member.was_damaged })
    }

    /// What they have been through.
    pub(crate) const fn toll(&self) -> &Toll {
        &self.toll
    }

    /// What is between them.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Starts a member that does not run.
    pub(crate) fn run(&mut self, index: usize) -> Result<(), Failure> {
        self.run_as(index, Command::new(&self.binary))
    }

    /// The same with so many descriptors at most.
    pub(crate) fn run_limited(&mut self, index: usize, descriptors: u64) -> Result<(), Failure> {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script]).arg(&self.binary);
        let member = &mut self.members[index];
        (member.is_limited, member.excuse) = (true, Excuse::Failing);
        self.run_as(index, shell)
    }

    fn run_as(&mut self, index: usize, mut command: Command) -> Result<(), Failure> {
        let member = &mut self.members[index];
        if member.process.is_some() {
            return Ok(());
        }
        if let Machine::Told(plant) = self.machine {
            let sync_time = Duration::from_millis(self.seeds.below(SYNC_MS_MAX));
            let seed = self.seeds.below(u64::MAX);
            let orders = [Order::Seed(seed), Order::SyncTime(sync_time)];
            let desk = member.desk();
            desk.put(orders.into_iter().chain(plant.orders()))?;
            command.env(Desk::VARIABLE, desk.directory());
        }
        let output = File::options().create(true).append(true).open(member.output());
        let output = output.map_err(Failure::io("a server's output can not be kept"))?;
        let child = command
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
        self.kill_together(&[index])
    }

    /// SIGKILL to some, as nearly at the same time as one can.
    pub(crate) fn kill_together(&mut self, group: &[usize]) -> Result<(), Failure> {
        let mut dying = Vec::new();
        for &index in group {
            let member = &mut self.members[index];
            (member.is_paused, member.is_limited) = (false, false);
            (member.is_told, member.excuse) = (false, Excuse::None);
            let Some(mut child) = member.process.take() else { continue };
            child.kill().map_err(Failure::io("a server can not be killed"))?;
            dying.push((index, child));
        }
        for (index, mut child) in dying {
            child.wait().map_err(Failure::io("a server can not be waited for"))?;
            self.toll.killed += 1;
            self.count_losses(index)?;
        }
        Ok(())
    }

    /// Tells a member's machine what to do, if it runs. If that is to fail, the member may end by itself from
    /// now on.
    pub(crate) fn tell(&mut self, index: usize, orders: &[Order]) -> Result<(), Failure> {
        // What it was told at its start comes first.
        self.wait_until_told(index)?;
        let member = &mut self.members[index];
        if member.process.is_some() {
            member.is_told = true;
            if orders.iter().any(Order::is_to_fail) {
                member.excuse = Excuse::Failing;
            }
            member.desk().put(orders.iter().cloned())?;
        }
        self.wait_until_told(index)
    }

    /// Waits until a member's machine has taken its orders, or is gone.
    fn wait_until_told(&mut self, index: usize) -> Result<(), Failure> {
        let start = Instant::now();
        while self.members[index].desk().is_untouched() {
            self.reap(index)?;
            if self.members[index].process.is_none() {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                return Err(Failure::NotListening { patience_s: PATIENCE.as_secs() });
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Damages a member's files while it is down, and starts it: it must get from the others what it has lost,
    /// or refuse to start and do so with nothing.
    ///
    /// Before, all others serve: so they have everything that was acknowledged, and what is acknowledged
    /// meanwhile. One member is never damaged in a round, as it is in its log that all writes of the round are
    /// found in the end: who refuses what it has may get a snapshot in place of the log. If it is that one
    /// whose turn it is, the next one is damaged again.
    pub(crate) fn rot(&mut self, index: usize, random: &mut Random) -> Result<(), Failure> {
        let is_sound = |member: usize| !self.members[member].was_damaged;
        let is_last = (0..self.count()).all(|other| is_sound(other) == (other == index));
        let index = if is_last { (index + 1) % self.count() } else { index };
        self.kill(index)?;
        let others: Vec<_> = (0..self.count()).filter(|&other| other != index).collect();
        self.wait_until_serving(&others)?;
        self.members[index].was_damaged = true;
        let home = self.members[index].home.clone();
        let damage = rot::damage(&home, random);
        let damage = damage.map_err(Failure::io("a file can not be damaged"))?;
        self.note(index, &damage)?;
        self.run(index)?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            match self.end_of(index)? {
                Some(status) if status.code() == Some(self.refusal) => {
                    self.toll.refused += 1;
                    rot::remove_all(&home).map_err(Failure::io("files can not be removed"))?;
                    self.run(index)?;
                }
                Some(status) => return Err(self.members[index].wrong_end(status)),
                None if self.mode(index) != Mode::Away => return Ok(()),
                None => thread::sleep(PAUSE),
            }
        }
        Err(self.not_serving(index))
    }

    /// A line between those that all members write.
    pub(crate) fn note_all(&self, line: &str) -> Result<(), Failure> {
        (0..self.count()).try_for_each(|index| self.note(index, line))
    }

    /// A line between those that a member writes.
    fn note(&self, index: usize, line: &str) -> Result<(), Failure> {
        let output = File::options().append(true).open(self.members[index].output());
        let noted = output.and_then(|mut output| writeln!(output, "torture: {line}"));
        noted.map_err(Failure::io("a server's output can not be kept"))
    }

    /// Adds up what a machine has forgotten that is gone.
    fn count_losses(&mut self, index: usize) -> Result<(), Failure> {
        if self.machine == Machine::Sound {
            return Ok(());
        }
        self.toll.lose(self.members[index].desk().tally()?);
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

    /// Everything runs and reaches everything, and nothing fails any more.
    pub(crate) fn heal(&mut self) -> Result<(), Failure> {
        self.network.heal();
        for index in 0..self.count() {
            self.go_on(index)?;
            if self.members[index].is_limited {
                self.kill(index)?;
            }
            self.reap(index)?;
            self.end_excuse(index);
            if self.members[index].is_told {
                self.tell(
                    index,
                    &[Order::Clear, Order::Clock(0), Order::SyncTime(Duration::ZERO)],
                )?;
                let member = &mut self.members[index];
                member.is_told = false;
                if member.excuse == Excuse::Failing {
                    member.excuse = Excuse::Mended(Instant::now());
                }
            }
            self.run(index)?;
        }
        Ok(())
    }

    /// Who serves long after its machine was mended has no reason to end.
    fn end_excuse(&mut self, index: usize) {
        let Excuse::Mended(since) = self.members[index].excuse else { return };
        if since.elapsed() > EXCUSED_FOR && self.mode(index) != Mode::Away {
            self.members[index].excuse = Excuse::None;
        }
    }

    /// Who leads, if anybody says so.
    pub(crate) fn leader(&self) -> Option<usize> {
        (0..self.count()).find(|&index| self.mode(index) == Mode::Leading)
    }

    /// Waits until all serve; nothing may fail by then.
    ///
    /// # Errors
    /// When they do not, or one has ended by itself.
    pub(crate) fn wait_until_whole(&mut self) -> Result<(), Failure> {
        let all: Vec<_> = (0..self.count()).collect();
        self.wait_until_serving(&all)?;
        self.members.iter_mut().for_each(|member| member.excuse = Excuse::None);
        Ok(())
    }

    /// Waits until these serve. One that was told to fail may do so late, and is started again.
    fn wait_until_serving(&mut self, group: &[usize]) -> Result<(), Failure> {
        let patience = if self.machine.is_planted() { SHORT_PATIENCE } else { PATIENCE };
        let start = Instant::now();
        while start.elapsed() < patience {
            for &index in group {
                self.reap(index)?;
                self.run(index)?;
            }
            if group.iter().all(|&index| self.mode(index) != Mode::Away) {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        let away = group.iter().find(|&&index| self.mode(index) == Mode::Away);
        Err(self.not_serving(away.copied().unwrap_or(0)))
    }

    fn not_serving(&self, index: usize) -> Failure {
        let log = self.members[index].output().display().to_string();
        Failure::NotServing { patience_s: PATIENCE.as_secs(), log }
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
                return Err(member.wrong_end(status));
            }
        }
        Ok(())
    }

    /// No server has panicked.
    ///
    /// # Errors
    /// When one has.
    pub(crate) fn require_no_panic(&self) -> Result<(), Failure> {
        for member in &self.members {
            let output = fs::read(member.output());
            let output = output.map_err(Failure::io("a server's output can not be read"))?;
            let output = String::from_utf8_lossy(&output);
            if let Some(line) = output.lines().find(|line| line.contains(DEFECT)) {
                return Err(Violation::new(Promise::NoPanic, line).into());
            }
        }
        Ok(())
    }

    /// Takes note of a member that has ended by itself.
    ///
    /// # Errors
    /// When nothing that was done to it makes a server end.
    fn reap(&mut self, index: usize) -> Result<(), Failure> {
        let Some(status) = self.end_of(index)? else { return Ok(()) };
        let member = &mut self.members[index];
        let excuse = std::mem::replace(&mut member.excuse, Excuse::None);
        if excuse == Excuse::None || status.code() != Some(FAILED) {
            return Err(member.wrong_end(status));
        }
        self.toll.failed += 1;
        Ok(())
    }

    /// How a member has ended, if it has and nobody has asked before.
    fn end_of(&mut self, index: usize) -> Result<Option<ExitStatus>, Failure> {
        let member = &mut self.members[index];
        let Some(child) = &mut member.process else { return Ok(None) };
        let status = child.try_wait().map_err(Failure::io("a server can not be waited for"))?;
        if status.is_some() {
            (member.process, member.is_limited, member.is_told) = (None, false, false);
            self.count_losses(index)?;
        }
        Ok(status)
    }

    fn mode(&self, index: usize) -> Mode {
        let member = &self.members[index];
        if member.process.is_none() || member.is_paused {
            return Mode::Away;
        }
        match ask(member.client, "srvr") {
            Ok(answer) if answer.contains("\nMode: leader\n") => Mode::Leading,
            Ok(answer) if answer.contains("\nMode: follower\n") => Mode::Following,
            Ok(answer) if answer.contains("\nMode: standalone\n") => Mode::Alone,
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
    /// Where it writes what it has to say.
    fn output(&self) -> PathBuf {
        self.home.join("output")
    }

    fn desk(&self) -> Desk {
        Desk::new(&self.home)
    }

    fn signal(&self, name: &str) -> Result<(), Failure> {
        let Some(child) = &self.process else { return Ok(()) };
        let sent =
            Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
        let status = sent.map_err(Failure::io("`kill` can not be run"))?;
        let failed = || io::Error::other(format!("it ended with {status}"));
        let signalled = if status.success() { Ok(()) } else { Err(failed()) };
        signalled.map_err(Failure::io("a server can not be signalled"))
    }

    fn wrong_end(&self, status: ExitStatus) -> Failure {
        Failure::WrongEnd { status, log: self.output().display().to_string() }
    }
}

/// Snapshots are not written by themselves, and learners get what they lack from logs, however much it is: what
/// was acknowledged is to be found there in the end.
fn settings(home: &Path, client_port: u16) -> String {
    format!(
        "dataDir={}\nclientPort={client_port}\nclientPortAddress=127.0.0.1\ntickTime=200\n\
         initLimit=25\nsyncLimit=10\nmaxClientCnxns=0\npreAllocSize=64\nsnapCount=100000\n\
         snapshotSizeFactor=0\n\
         extendedTypesEnabled=true\nznode.container.checkIntervalMs=500\n",
        home.display()
    )
}

fn write_home(home: &Path, sid: usize, lines: &str) -> io::Result<()> {
    fs::create_dir(home)?;
    fs::write(home.join("myid"), format!("{sid}\n"))?;
    fs::write(home.join("zoo.cfg"), lines)
}

fn ask(address: SocketAddr, word: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_PATIENCE)?;
    stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
