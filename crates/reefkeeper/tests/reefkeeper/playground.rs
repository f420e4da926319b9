//! The playground as processes: what it shows, what it obeys, and that it leaves nothing behind.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::process::{BINARY, word};

/// Nothing here takes longer.
const LONG: Duration = Duration::from_secs(60);

/// A playground of its own directory.
struct Playground<'a> {
    child: Child,
    out: BufReader<ChildStdout>,
    dir: &'a Path,
}

/// A line of the status.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Server {
    state: String,
    clients: String,
    process: Option<u32>,
}

impl<'a> Playground<'a> {
    /// Starts one, and waits until it has said how it is used.
    fn start(dir: &'a Path, words: &[&str]) -> Self {
        let mut playground = Self::spawn(dir, words);
        playground.read_until("Ctrl-C ends all.");
        playground
    }

    /// Starts one.
    fn spawn(dir: &'a Path, words: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["playground", "--port", "0", "--dir", word(dir), "--set", "tickTime=200"]);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out, dir }
    }

    /// What it says, up to a line that ends so.
    fn read_until(&mut self, end: &str) -> String {
        let mut said = String::new();
        while !said.trim_end().ends_with(end) {
            assert!(self.out.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        said
    }

    /// Gives an order from elsewhere; returns whether it was carried out, and what was said.
    fn tell(&self, words: &[&str]) -> (bool, String) {
        let mut command = Command::new(BINARY);
        command.arg("playground").args(words).args(["--dir", word(self.dir)]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn obey(&self, words: &[&str]) -> String {
        let (is_done, said) = self.tell(words);
        assert!(is_done, "{words:?}: {said}");
        said
    }

    fn servers(&self) -> HashMap<u8, Server> {
        let table = self.obey(&["status"]);
        let server = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (state, clients) = (fields[1].to_owned(), fields[2].to_owned());
            (fields[0].parse().unwrap(), Server { state, clients, process: fields[3].parse().ok() })
        };
        table.lines().skip(1).map(server).collect()
    }

    /// Waits until the servers do this, in the order of their numbers but for who leads.
    fn await_states(&self, expected: &[&str]) -> HashMap<u8, Server> {
        let begun = Instant::now();
        loop {
            let servers = self.servers();
            let mut states: Vec<&str> = servers.values().map(|it| it.state.as_str()).collect();
            states.sort_unstable();
            if states == expected {
                return servers;
            }
            assert!(begun.elapsed() < LONG, "{servers:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

impl Drop for Playground<'_> {
    fn drop(&mut self) {
        // It may have ended already. What it leaves ends with it.
        if self.child.kill().is_ok() {
            self.child.wait().unwrap();
        }
    }
}

fn is_running(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn await_end_of(servers: &HashMap<u8, Server>) {
    let begun = Instant::now();
    while servers.values().filter_map(|it| it.process).any(is_running) {
        assert!(begun.elapsed() < LONG, "{servers:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The output of the shell's command over the connection string.
fn shell(servers: &HashMap<u8, Server>, words: &[&str]) -> String {
    let addresses: Vec<&str> = servers.values().map(|it| it.clients.as_str()).collect();
    let mut command = Command::new(BINARY);
    command.args(["shell", "-server", &addresses.join(",")]).args(words);
    String::from_utf8(command.stdin(Stdio::null()).output().unwrap().stdout).unwrap()
}

#[test]
fn servers_are_killed_stopped_paused_and_started_as_told_and_all_end_with_ctrl_c() {
    let dir = tempfile::tempdir().unwrap();
    let mut playground = Playground::start(dir.path(), &["--observers", "1"]);
    let servers = playground.await_states(&["follower", "follower", "leader", "observer"]);
    assert_eq!(servers[&4].state, "observer");
    shell(&servers, &["create", "/kept", "word"]);

    assert!(playground.obey(&["kill", "leader"]).contains("killed"));
    playground.await_states(&["follower", "killed", "leader", "observer"]);
    assert_eq!(shell(&servers, &["get", "/kept"]).trim_end(), "word");
    let down = playground.servers().into_iter().find(|(_, it)| it.state == "killed").unwrap().0;
    playground.obey(&["start", &down.to_string()]);
    playground.await_states(&["follower", "follower", "leader", "observer"]);

    assert_eq!(playground.obey(&["stop", "4"]), "server 4 stopped\n");
    assert_eq!(playground.servers()[&4].state, "stopped");
    playground.obey(&["pause", "leader"]);
    playground.await_states(&["follower", "leader", "paused", "stopped"]);
    playground.obey(&["resume", "paused"]);
    playground.await_states(&["follower", "follower", "leader", "stopped"]);
    // One after the other: the ensemble serves all the time, and so do they when it is over.
    let said = playground.obey(&["restart", "followers"]);
    assert_eq!(said.matches("restarted: follower\n").count(), 2, "{said}");
    assert_eq!(playground.obey(&["resume", "all"]), "", "nobody is paused");
    let servers = playground.await_states(&["follower", "follower", "leader", "stopped"]);
    assert!(playground.obey(&["log", "1", "500"]).contains("told to stop"));

    playground.signal("-INT");
    assert!(playground.child.wait().unwrap().success());
    assert!(servers.values().filter_map(|it| it.process).all(|it| !is_running(it)));
    assert!(!dir.path().join("control").exists() && dir.path().join("members").exists());
}

#[test]
fn a_playground_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let playground = Playground::start(dir.path(), &["-n", "2"]);
    let before = playground.await_states(&["follower", "leader"]);
    shell(&before, &["create", "/kept", "word"]);
    playground.obey(&["quit"]);
    await_end_of(&before);
    let playground = Playground::start(dir.path(), &[]);
    let after = playground.await_states(&["follower", "leader"]);
    let clients = |servers: &HashMap<u8, Server>| [1, 2].map(|id| servers[&id].clients.clone());
    assert_eq!(clients(&after), clients(&before));
    assert_eq!(shell(&after, &["get", "/kept"]).trim_end(), "word");
}

#[test]
fn the_prompt_obeys_as_the_other_processes_do() {
    let dir = tempfile::tempdir().unwrap();
    let mut playground = Playground::start(dir.path(), &["-n", "1"]);
    let mut stdin = playground.child.stdin.take().unwrap();
    stdin.write_all(b"kill 1\nfly\nkill 1\nstart 1\n").unwrap();
    assert_eq!(playground.read_until("server 1 killed"), "server 1 killed\n");
    assert!(playground.read_until("server 1 does not run").contains("unrecognized subcommand"));
    playground.read_until("server 1 started");
    playground.await_states(&["standalone"]);
    // A script that ends is no reason to end.
    drop(stdin);
    let servers = playground.await_states(&["standalone"]);
    playground.obey(&["quit"]);
    assert!(playground.child.wait().unwrap().success());
    await_end_of(&servers);
}

#[test]
fn servers_end_with_a_playground_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let playground = Playground::start(dir.path(), &["-n", "1"]);
    let servers = playground.await_states(&["standalone"]);
    playground.signal("-KILL");
    await_end_of(&servers);
    let playground = Playground::start(dir.path(), &[]);
    playground.await_states(&["standalone"]);
}

#[test]
fn servers_that_do_not_start_are_told_of_at_once() {
    // On a machine that is busy it may take long once. A playground that waits for servers does so each time.
    let is_at_once = (0..3).any(|_| {
        let begun = Instant::now();
        look_at_servers_that_do_not_start();
        begun.elapsed() < Duration::from_secs(15)
    });
    assert!(is_at_once, "it waited for them");
}

fn look_at_servers_that_do_not_start() {
    let home = tempfile::tempdir().unwrap();
    let mut playground = Playground::spawn(home.path(), &["-n", "2", "--set", "sslQuorum=true"]);
    let said = playground.read_until("Ctrl-C ends all.");
    for server in ["1", "2"] {
        let ended = format!("server {server} ended (exit status: ");
        assert!(said.contains(&ended) && said.contains("sslQuorum"), "{said}");
    }
    playground.await_states(&["ended", "ended"]);
    playground.obey(&["quit"]);
}

#[test]
fn a_server_that_does_not_start_again_is_not_said_to_have_started() {
    let dir = tempfile::tempdir().unwrap();
    let playground = Playground::start(dir.path(), &["-n", "3"]);
    playground.await_states(&["follower", "follower", "leader"]);
    let config = dir.path().join("2/zoo.cfg");
    let settings = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{settings}tickTime=soon\n")).unwrap();
    for (words, before) in [
        (&["restart", "1", "2", "3"][..], "; before that: server 1 restarted: "),
        (&["start", "2"], ""),
    ] {
        let (is_done, said) = playground.tell(words);
        assert!(!is_done && said.contains("server 2 does not start (exit status: 2): "), "{said}");
        assert!(said.contains("tickTime=soon: expected") && said.contains(before), "{said}");
        assert_eq!(playground.servers()[&2].state, "ended");
    }
    fs::write(&config, settings).unwrap();
    assert_eq!(playground.obey(&["start", "2"]), "server 2 started\n");
    playground.obey(&["quit"]);
}

#[test]
fn what_can_not_be_done_is_said_with_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let mut playground = Playground::start(dir.path(), &["-n", "1"]);
    for (words, expected) in [
        (&["start", "1"][..], "server 1 runs already"),
        (&["resume", "7"], "there is no server 7"),
        (&["resume", "1"], "server 1 runs already"),
        (&["kill", "leader"], "there is no server leader"),
        (&["-n", "3", "status"], "numbers of servers and settings are for its start"),
        (&["-n", "3"], "a playground runs in"),
    ] {
        let (is_done, said) = playground.tell(words);
        assert!(!is_done && said.starts_with("reefkeeper playground: "), "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
    }
    // A server that ends though nobody told it to is reported.
    let process = playground.servers()[&1].process.unwrap().to_string();
    assert!(Command::new("kill").args(["-KILL", &process]).status().unwrap().success());
    assert!(playground.read_until("/1/log").starts_with("server 1 ended (signal: 9"));
    assert_eq!(playground.servers()[&1].state, "ended");
    playground.obey(&["quit"]);
    let (is_done, said) = playground.tell(&["status"]);
    assert!(!is_done && said.contains("no playground runs in"), "{said}");
}
