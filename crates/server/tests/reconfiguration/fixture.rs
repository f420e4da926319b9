//! Servers of an ensemble that changes, each with files of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use config::CommandLine;
use reefkeeper_client::{Client, ReconfigRequest};
use server::{Ended, Server};
use tempfile::TempDir;

use crate::ports::free_ports;

/// Nothing here takes so long unless it never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what a server does.
const PAUSE: Duration = Duration::from_millis(5);

/// Some servers, by the numbers that they have for each other.
pub(crate) struct Ensemble {
    members: Vec<Member>,
    directory: TempDir,
}

/// A server, and where it is found.
pub(crate) struct Member {
    pub(crate) sid: usize,
    pub(crate) ports: Ports,
    server: Option<Server>,
}

#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) quorum: u16,
    pub(crate) election: u16,
    pub(crate) client: u16,
}

impl Ports {
    /// Ports on which nobody listens.
    pub(crate) fn free() -> Self {
        let [quorum, election, client] = free_ports();
        Self { quorum, election, client }
    }

    /// The line of a server that is found here.
    pub(crate) fn line(self, sid: usize, role: &str) -> String {
        let Self { quorum, election, client } = self;
        format!("server.{sid}=127.0.0.1:{quorum}:{election}:{role};127.0.0.1:{client}")
    }
}

impl Ensemble {
    /// Servers 1 to `count`, which know each other.
    pub(crate) fn start(count: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut ensemble = Self { members: Vec::new(), directory };
        for sid in 1..=count {
            ensemble.members.push(Member { sid, ports: Ports::free(), server: None });
        }
        let lines = ensemble.lines(1..=count);
        for sid in 1..=count {
            ensemble.configure(sid, &lines);
            ensemble.start_again(sid);
        }
        ensemble
    }

    /// One more server, which knows some of the others and itself.
    pub(crate) fn join(&mut self, knows: &[usize], role: &str) -> usize {
        let sid = self.members.len() + 1;
        self.members.push(Member { sid, ports: Ports::free(), server: None });
        let own = self.members[sid - 1].ports.line(sid, role);
        let lines = self.lines(knows.iter().copied()) + &own + "\n";
        self.configure(sid, &lines);
        self.start_again(sid);
        sid
    }

    fn lines(&self, sids: impl IntoIterator<Item = usize>) -> String {
        let line = |sid: usize| self.members[sid - 1].ports.line(sid, "participant") + "\n";
        sids.into_iter().map(line).collect()
    }

    fn configure(&self, sid: usize, lines: &str) {
        let home = self.home(sid);
        fs::create_dir(&home).expect("a directory");
        fs::write(home.join("myid"), sid.to_string()).expect("written");
        let settings = "tickTime=500\ninitLimit=60\nsyncLimit=60\nelectionPortBindRetry=0\n\
                        reconfigEnabled=true\nstandaloneEnabled=false\nskipACL=yes\n\
                        4lw.commands.whitelist=*\n";
        let text = format!("dataDir={}\n{settings}{lines}", home.display());
        fs::write(home.join("zoo.cfg"), text).expect("written");
    }

    fn home(&self, sid: usize) -> PathBuf {
        self.directory.path().join(sid.to_string())
    }

    /// The content of one of its files.
    pub(crate) fn read(&self, sid: usize, name: &str) -> String {
        fs::read_to_string(self.home(sid).join(name)).unwrap_or_default()
    }

    /// The names of the files with its configuration.
    pub(crate) fn files(&self, sid: usize) -> Vec<String> {
        let entries = fs::read_dir(self.home(sid)).expect("a directory");
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a name");
        let names = entries.map(|entry| name(entry.expect("an entry")));
        let mut names: Vec<_> = names.filter(|name| name.starts_with("zoo.cfg")).collect();
        names.sort();
        names
    }

    pub(crate) fn stop(&mut self, sid: usize) {
        let server = self.members[sid - 1].server.take().expect("it runs");
        assert_eq!(server.stop(), Ended::Stopped);
    }

    /// Starts a server with its files as they are now.
    pub(crate) fn start_again(&mut self, sid: usize) {
        let file = self.home(sid).join("zoo.cfg");
        let words = [file.to_str().expect("a name").to_owned()];
        let command_line = CommandLine::from_words(words).expect("words");
        let config = config::load(&command_line, []).expect("a configuration").config;
        self.members[sid - 1].server = Some(Server::start(&config).expect("a server"));
    }

    pub(crate) fn member(&mut self, sid: usize) -> &mut Member {
        &mut self.members[sid - 1]
    }

    /// Who runs.
    pub(crate) fn running(&self) -> Vec<usize> {
        self.members.iter().filter(|it| it.server.is_some()).map(|it| it.sid).collect()
    }

    /// A client with a session of its own.
    pub(crate) async fn client(&self, sid: usize) -> Client {
        let address = format!("127.0.0.1:{}", self.members[sid - 1].ports.client);
        Client::connect(address).await.expect("connected")
    }

    /// Changes the membership through a server, as soon as that is possible, and tells the new one.
    pub(crate) async fn reconfigure(&self, sid: usize, change: Change<'_>) -> String {
        let start = Instant::now();
        loop {
            let client = self.client(sid).await;
            match client.reconfig(change.request()).await {
                Ok(data) => return String::from_utf8(data.bytes().to_vec()).expect("text"),
                Err(failure) => assert!(start.elapsed() < PATIENCE, "{failure}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The answer to a four-letter word.
    pub(crate) fn ask(&self, sid: usize, word: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.members[sid - 1].ports.client))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(word.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// What a server says that it does; empty if it serves nobody.
    pub(crate) fn mode(&self, sid: usize) -> String {
        let answer = self.ask(sid, "srvr").unwrap_or_default();
        let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
        mode.unwrap_or_default().to_owned()
    }

    /// Waits until all that run serve under one leader, and tells which.
    pub(crate) fn leader(&self) -> usize {
        let mut leaders = Vec::new();
        self.wait("nobody leads", |ensemble| {
            let running = ensemble.running();
            let modes: Vec<_> = running.iter().map(|&sid| ensemble.mode(sid)).collect();
            let pairs = running.iter().zip(&modes);
            leaders = pairs.filter(|(_, mode)| *mode == "leader").map(|(&sid, _)| sid).collect();
            modes.iter().all(|mode| !mode.is_empty()) && leaders.len() == 1
        });
        leaders[0]
    }

    #[track_caller]
    pub(crate) fn wait(&self, otherwise: &str, mut is_reached: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !is_reached(self) {
            let running = self.running();
            let modes = || running.iter().map(|&sid| (sid, self.mode(sid))).collect::<Vec<_>>();
            assert!(start.elapsed() < PATIENCE, "{otherwise}: {:?}", modes());
            thread::sleep(PAUSE);
        }
    }
}

/// What is to change.
#[derive(Clone, Copy)]
pub(crate) enum Change<'a> {
    Join(&'a str),
    Leave(&'a str),
    Replace(&'a str),
}

impl Change<'_> {
    fn request(self) -> ReconfigRequest<'static> {
        let (mut joining, mut leaving, mut new_members) = (None, None, None);
        match self {
            Self::Join(lines) => joining = Some(lines.to_owned().into()),
            Self::Leave(sids) => leaving = Some(sids.to_owned().into()),
            Self::Replace(lines) => new_members = Some(lines.to_owned().into()),
        }
        ReconfigRequest { joining, leaving, new_members, based_on: None }
    }
}
