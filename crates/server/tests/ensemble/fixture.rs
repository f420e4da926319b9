//! Servers that find each other.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use config::{CommandLine, Config};
use reefkeeper_client::Client;
use server::{Ended, Server};
use storage::{
    Compression, DataDir, Directories, EmptyDatabase, LogOptions, MissingDirectory, RealDisk,
    RecoverOptions, Recovered, WithoutSnapshot, write_tree,
};
use tempfile::TempDir;
use types::{AclList, CreateCall, CreateTxn, SessionId, Txn, TxnHeader, Xid};
use wire::stored::LogBatch;

use crate::ports::free_ports;

/// Nothing here takes so long unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what a server does.
const PAUSE: Duration = Duration::from_millis(5);

/// Whether a member votes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Voter,
    Observer,
}

/// Some servers with their directories.
pub(crate) struct Ensemble {
    members: Vec<Member>,
    directory: TempDir,
}

struct Member {
    config: Config,
    server: Option<Server>,
}

/// The directory of a member that does not run, and what it has.
struct Files {
    data_dir: DataDir<RealDisk>,
    recovered: Recovered,
}

impl Ensemble {
    /// Starts a server for each of these, numbered from 1 for each other and from 0 here, with these
    /// settings. Half a minute of silence is needed until one gives up another, so that nobody loses a leader
    /// because the machine is busy.
    pub(crate) fn start(kinds: &[Kind], settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut lines = String::from(
            "tickTime=500\ninitLimit=60\nsyncLimit=60\nclientPort=0\nclientPortAddress=127.0.0.1\n\
             electionPortBindRetry=0\n",
        );
        // One setting is about a port that all of them have.
        let has_shared_port = settings.iter().any(|line| line.starts_with("observerMasterPort="));
        for (index, kind) in kinds.iter().enumerate() {
            let role = match kind {
                Kind::Voter => "participant",
                Kind::Observer => "observer",
            };
            let (sid, [quorum, election]) = (index + 1, free_ports());
            let host = if has_shared_port { sid } else { 1 };
            lines += &format!("server.{sid}=127.0.0.{host}:{quorum}:{election}:{role}\n");
        }
        for setting in settings {
            lines += &format!("{setting}\n");
        }
        let mut ensemble = Self { members: Vec::new(), directory };
        for index in 0..kinds.len() {
            let config = ensemble.configure(index, &lines);
            let server = Some(Server::start(&config).expect("a server"));
            ensemble.members.push(Member { config, server });
        }
        ensemble
    }

    fn configure(&self, index: usize, lines: &str) -> Config {
        let directory = self.home(index);
        fs::create_dir(&directory).expect("a directory");
        fs::write(directory.join("myid"), (index + 1).to_string()).expect("written");
        let file = directory.join("zoo.cfg");
        let lines = format!("dataDir={}\n{lines}", directory.display());
        fs::write(&file, lines).expect("written");
        let words = [file.to_str().expect("a name").to_owned()];
        let command_line = CommandLine::from_words(words).expect("words");
        config::load(&command_line, []).expect("a configuration").config
    }

    fn home(&self, index: usize) -> PathBuf {
        self.directory.path().join(index.to_string())
    }

    /// Stops a member.
    pub(crate) fn stop(&mut self, index: usize) {
        let server = self.members[index].server.take().expect("it runs");
        assert_eq!(server.stop(), Ended::Stopped);
    }

    /// Starts it again, with another port for clients.
    pub(crate) fn start_again(&mut self, index: usize) {
        let member = &mut self.members[index];
        member.server = Some(Server::start(&member.config).expect("a server"));
    }

    /// Waits until a member has ended by itself, and tells its last words.
    pub(crate) fn last_words(&mut self, index: usize) -> String {
        let server = self.members[index].server.take().expect("it runs");
        let (ended, end) = mpsc::channel();
        thread::spawn(move || ended.send(server.wait()));
        match end.recv_timeout(PATIENCE).expect("it ends") {
            Ended::Failed(failure) => failure.last_words,
            Ended::Stopped => panic!("nobody has stopped it"),
        }
    }

    /// Moves a member's files away under it.
    pub(crate) fn lose_directory(&self, index: usize) {
        let home = self.home(index);
        fs::rename(home.join("version-2"), home.join("lost")).expect("moved");
    }

    /// Lets a member that does not run log the creation of a znode, as if a leader had proposed it and
    /// nobody else had got it.
    pub(crate) fn log_alone(&self, index: usize, path: &str) {
        let Files { data_dir, mut recovered } = self.open_files(index);
        let zxid = recovered.last_logged.next().expect("the epoch is not used up");
        let header = TxnHeader { session: SessionId::NONE, cxid: Xid(0), zxid, time_ms: 0 };
        let create = CreateTxn {
            call: CreateCall::Create,
            path: path.into(),
            data: None,
            acl: AclList::open(),
            ephemeral: false,
            parent_cversion: None,
            ttl_ms: None,
        };
        let txn = Txn::Create(create);
        let mut batch = LogBatch::new();
        batch.push(&header, &txn, None);
        let mut log = data_dir.log(LogOptions::default(), recovered.last_logged).expect("a log");
        log.append(&batch).expect("written");
        log.close().expect("synced");
        recovered.tree.apply(&header, &txn, &mut |_| {});
    }

    /// Leaves a member that does not run a snapshot of all it has, and none that is older.
    pub(crate) fn leave_only_a_snapshot(&self, index: usize) {
        let Files { data_dir, mut recovered } = self.open_files(index);
        let older = self.files(index);
        let writer = data_dir.start_snapshot(recovered.last_logged, Compression::None);
        write_tree(writer.expect("a file"), &mut recovered.tree).expect("written");
        for name in older.iter().filter(|name| name.starts_with("snapshot.")) {
            fs::remove_file(self.home(index).join("version-2").join(name)).expect("removed");
        }
    }

    fn open_files(&self, index: usize) -> Files {
        let home = self.home(index);
        let directories = Directories { snapshots: home.clone(), logs: home };
        let data_dir = DataDir::open(RealDisk, directories, MissingDirectory::Refuse);
        let data_dir = data_dir.expect("nobody else uses it");
        let tree = tree::Options {
            extended_types: types::ExtendedTypes::Disabled,
            digest: true,
            hash_seed: 1,
        };
        let without_snapshot = WithoutSnapshot::Refuse;
        let options = RecoverOptions { tree, without_snapshot, empty: EmptyDatabase::Create };
        let recovered = data_dir.recover(&options).expect("it is sound");
        Files { data_dir, recovered }
    }

    /// Where clients connect.
    pub(crate) fn address(&self, index: usize) -> SocketAddr {
        let server = self.members[index].server.as_ref().expect("it runs");
        server.address().expect("a port")
    }

    /// A client with a session of its own.
    pub(crate) async fn client(&self, index: usize) -> Client {
        Client::connect(self.address(index).to_string()).await.expect("connected")
    }

    /// The names of its logs and snapshots.
    pub(crate) fn files(&self, index: usize) -> Vec<String> {
        let entries = fs::read_dir(self.home(index).join("version-2")).expect("a directory");
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a name");
        entries.map(|entry| name(entry.expect("an entry"))).collect()
    }

    /// Changes a byte of one of them.
    pub(crate) fn damage(&self, index: usize, name: &str, offset: usize) {
        let path = self.home(index).join("version-2").join(name);
        let mut bytes = fs::read(&path).expect("a file");
        bytes[offset] ^= 0xff;
        fs::write(path, bytes).expect("written");
    }

    /// The membership that it was started with.
    pub(crate) fn membership(&self, index: usize) -> String {
        let ensemble = self.members[index].config.ensemble.as_ref().expect("a member");
        ensemble.membership.to_string()
    }

    /// The answer to a four-letter word.
    pub(crate) fn ask(&self, index: usize, word: &str) -> String {
        let mut stream = TcpStream::connect(self.address(index)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(word.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Waits until all that run serve, and tells who leads.
    pub(crate) fn leader(&self) -> usize {
        let mut leaders = Vec::new();
        self.wait("nobody leads", |modes| {
            let is_leader = |(index, mode): &(usize, Option<String>)| {
                (mode.as_deref() == Some("leader")).then_some(*index)
            };
            leaders = modes.iter().filter_map(is_leader).collect();
            modes.iter().all(|(_, mode)| mode.is_some()) && leaders.len() == 1
        });
        leaders[0]
    }

    /// Waits until one of those that run says that it does this.
    pub(crate) fn wait_until_mode(&self, index: usize, expected: &str) {
        self.wait(&format!("{index} is not {expected}"), |modes| {
            modes.iter().any(|(it, mode)| *it == index && mode.as_deref() == Some(expected))
        });
    }

    /// Waits until what those that run say is as expected, and tells what that is.
    pub(crate) fn wait_for_modes(
        &self,
        is_expected: impl Fn(&[Option<String>]) -> bool,
    ) -> Vec<Option<String>> {
        let mut said = Vec::new();
        self.wait("they do something else", |modes| {
            said = modes.iter().map(|(_, mode)| mode.clone()).collect();
            is_expected(&said)
        });
        said
    }

    /// Waits until none of those that run serves.
    pub(crate) fn wait_until_nobody_serves(&self) {
        self.wait("somebody serves", |modes| modes.iter().all(|(_, mode)| mode.is_none()));
    }

    /// Waits until all members that run have delivered the same.
    pub(crate) fn wait_until_all_have_the_same(&self) {
        let last = |(index, _): &(usize, Option<String>)| {
            let answer = self.ask(*index, "srvr");
            answer.lines().find(|line| line.starts_with("Zxid: ")).map(str::to_owned)
        };
        self.wait("they differ", |modes| {
            let ends: BTreeSet<_> = modes.iter().map(last).collect();
            ends.len() == 1 && !ends.contains(&None)
        });
    }

    #[track_caller]
    fn wait(
        &self,
        otherwise: &str,
        mut is_reached: impl FnMut(&[(usize, Option<String>)]) -> bool,
    ) {
        let start = Instant::now();
        loop {
            let running = (0..self.members.len()).filter(|&it| self.members[it].server.is_some());
            let modes: Vec<_> = running.map(|index| (index, self.mode(index))).collect();
            if is_reached(&modes) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{otherwise}: {modes:?}");
            thread::sleep(PAUSE);
        }
    }

    /// What a server says that it does; `None` if it serves nobody.
    fn mode(&self, index: usize) -> Option<String> {
        let answer = self.ask(index, "srvr");
        answer.lines().find_map(|line| line.strip_prefix("Mode: ")).map(str::to_owned)
    }
}
