//! Three processes of the echo server as an ensemble, under the load generator.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use loadgen::{Options, Refusals, Report, Workload};
use tempfile::TempDir;

const VALUE_BYTES: usize = 100;

/// A leader and its followers, which end with the test.
struct Ensemble {
    /// Where clients come.
    address: String,
    leader: Process,
    followers: [Process; 2],
    _directory: TempDir,
}

impl Ensemble {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("there is room for logs");
        let any_port = "127.0.0.1:0";
        let log = directory.path().join("leader");
        let value_bytes = VALUE_BYTES.to_string();
        let mut leader = Process::start(&["lead", any_port, &value_bytes], log, &[any_port]);
        let meeting = leader.told("expecting followers on ");
        let followers = ["first", "second"]
            .map(|name| Process::start(&["follow", &meeting], directory.path().join(name), &[]));
        let address = leader.told("listening on ");
        Self { address, leader, followers, _directory: directory }
    }

    /// Measures a few writers for a moment.
    fn set(&self) -> Report {
        let options = Options {
            server: self.address.clone(),
            workloads: vec![Workload::Set],
            conns: vec![3],
            windows: vec![4],
            rate: None,
            value_bytes: VALUE_BYTES,
            keys: 50,
            children: 0,
            reads_per_write: 10,
            multi_ops: 10,
            measured: Duration::from_millis(200),
            warmup: Duration::from_millis(20),
            threads: 1,
            server_pids: vec![self.leader.child.id()],
            seed: 1,
            refusals: Refusals::Fail,
        };
        loadgen::run(&options, |_| {}).expect("the ensemble serves")
    }

    /// Ends the leader, and returns its log and what its followers have when they have ended.
    fn end(mut self) -> [Vec<u8>; 3] {
        self.leader.kill();
        for follower in &mut self.followers {
            follower.child.wait().expect("it is ours");
        }
        let [first, second] = &self.followers;
        [&self.leader, first, second].map(|it| fs::read(&it.log).expect("each has a log"))
    }
}

/// A process that is killed when it is dropped.
struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Process {
    fn start(words: &[&str], log: PathBuf, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_echo"))
            .args(words)
            .arg(&log)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary was built");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, output, log }
    }

    /// The rest of its next line, which begins as expected.
    fn told(&mut self, beginning: &str) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it is text");
        line.trim_end().strip_prefix(beginning).expect("it tells that next").to_owned()
    }

    fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How much of a log was written, given that no request ends with a zero.
fn written_bytes(log: &[u8]) -> u64 {
    log.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1)
}

#[test]
fn all_three_have_every_write() {
    let ensemble = Ensemble::start();
    let ops = ensemble.set().cells[0].ops;
    assert!(ops > 0);
    let [leader, first, second] = ensemble.end();
    assert!(written_bytes(&leader) > ops * VALUE_BYTES as u64);
    assert!(leader == first);
    assert!(leader == second);
}

#[test]
fn goes_on_without_a_follower_that_was_killed() {
    let mut ensemble = Ensemble::start();
    ensemble.set();
    ensemble.followers[0].kill();
    let before = fs::read(&ensemble.followers[0].log).unwrap();
    let ops = ensemble.set().cells[0].ops;
    assert!(ops > 0);
    let [leader, killed, other] = ensemble.end();
    assert!(leader == other);
    assert!(killed == before);
    assert!(written_bytes(&leader) - written_bytes(&killed) > ops * VALUE_BYTES as u64);
}
