//! What an operator meets when a server does not start: the exit code, which is Apache's, and the
//! last line, which says what to do. And that a server that does start, stops when told.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{Process, command, word};

const INVALID_CONFIGURATION: i32 = 2;
const UNUSABLE_DIRECTORIES: i32 = 3;
const FAILED: i32 = 1;
const PEER_PORT: i32 = 14;

/// The exit code and the last line of a server that does not start.
fn refusal(words: &[&str]) -> (i32, String) {
    let output = command(words).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let last = said.lines().last().unwrap_or_default();
    let words = last.strip_prefix("reefkeeper server: ");
    (output.status.code().unwrap(), words.unwrap_or_else(|| panic!("{said}")).to_owned())
}

fn files_of(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("version-2")).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    let is_meant = |path: &PathBuf| word(path).rsplit('/').next().unwrap().starts_with(prefix);
    files.filter(is_meant).collect()
}

fn file_of(dir: &Path, prefix: &str) -> PathBuf {
    files_of(dir, prefix).pop().unwrap()
}

#[test]
fn a_server_that_is_told_to_stop_ends_well() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = Process::start(&["0", word(dir.path())]).terminate();
    assert_eq!(code, Some(0));
    assert!(said.contains("told to stop"), "{said}");
}

#[test]
fn a_wrong_configuration_is_named_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zoo.cfg");
    let path = word(&file);
    for (text, expected) in [
        ("dataDir=/d\ntickTime=fast\n", ":2: tickTime=fast: expected milliseconds, at least 1"),
        ("clientPort=0\n", ": dataDir is missing"),
        ("dataDir=/d\nclientPort=70000\n", ":2: clientPort=70000: expected a port"),
    ] {
        fs::write(&file, text).unwrap();
        let (code, words) = refusal(&[path]);
        assert_eq!(code, INVALID_CONFIGURATION, "{words}");
        assert!(words.starts_with(&format!("{path}{expected}")), "{words}");
    }
    fs::remove_file(&file).unwrap();
    let (code, words) = refusal(&[path]);
    assert_eq!(code, INVALID_CONFIGURATION);
    assert!(words.starts_with(&format!("{path}: the configuration file can not be read")));
}

#[test]
fn a_member_whose_ensemble_is_not_there_waits_for_it_and_stops_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zoo.cfg");
    fs::write(dir.path().join("myid"), "1").unwrap();
    let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [quorum, election] = ports.map(|it| it.local_addr().unwrap().port());
    let text = format!(
        "dataDir={}\nclientPort=0\ninitLimit=10\nsyncLimit=5\n\
         server.1=127.0.0.1:{quorum}:{election}\nserver.2=127.0.0.1:1:2\n",
        word(dir.path())
    );
    fs::write(&file, text).unwrap();
    let process = Process::start(&[word(&file)]);
    let mut client = process.dial();
    client.write_all(b"\0\0\0\x2d").and_then(|()| client.write_all(&[0; 45])).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "nobody is served without a leader");
    let (code, said) = process.terminate();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_member_without_its_election_port_gives_up() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zoo.cfg");
    fs::write(dir.path().join("myid"), "1").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let election = taken.local_addr().unwrap().port();
    let quorum = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (tries, prefix) in [("1", "reefkeeper server: "), ("2", "")] {
        let text = format!(
            "dataDir={}\nclientPort=0\ninitLimit=10\nsyncLimit=5\nelectionPortBindRetry={tries}\n\
             server.1=127.0.0.1:{quorum}:{election}\nserver.2=127.0.0.1:1:2\n",
            word(dir.path())
        );
        fs::write(&file, text).unwrap();
        let output = command(&[word(&file)]).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(PEER_PORT), "{said}");
        let reason =
            format!("can not listen on 127.0.0.1:{election} for other servers (Election port)");
        let last = said.lines().last().unwrap();
        assert!(last.starts_with(prefix) && last.contains(&reason), "{said}");
    }
}

#[test]
fn a_port_alone_is_not_taken_for_a_file() {
    let (code, words) = refusal(&["2181"]);
    assert_eq!(code, INVALID_CONFIGURATION);
    assert_eq!(
        words,
        "\"2181\" is a port without a data directory; expected [<zoo.cfg>] or \
        <port> <dataDir> [<tickTime> [<maxClientCnxns>]]"
    );
}

#[test]
fn a_directory_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let (code, words) = refusal(&["0", word(&file)]);
    assert_eq!(code, UNUSABLE_DIRECTORIES);
    assert!(words.starts_with(&format!("can not create the directory {}/", word(&file))));
    let missing = dir.path().join("missing");
    let (code, words) = refusal(&["0", word(&missing), "-Dzookeeper.datadir.autocreate=false"]);
    assert_eq!(code, UNUSABLE_DIRECTORIES);
    assert!(words.ends_with(" does not exist, and datadir.autocreate is false"), "{words}");
    assert!(!missing.exists());
}

#[test]
fn a_directory_in_use_is_refused_and_free_when_its_server_ends() {
    let dir = tempfile::tempdir().unwrap();
    let first = Process::start(&["0", word(dir.path())]);
    let (code, words) = refusal(&["0", word(dir.path())]);
    assert_eq!(code, UNUSABLE_DIRECTORIES);
    let in_use = format!("{}/version-2 is in use by another server", word(dir.path()));
    assert!(words.starts_with(&in_use), "{words}");
    assert_eq!(first.terminate().0, Some(0));
    Process::start(&["0", word(dir.path())]);
}

#[test]
fn a_port_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (code, words) = refusal(&[&port.to_string(), word(dir.path())]);
    assert_eq!(code, FAILED);
    let expected = format!("can not listen on [::]:{port} for clients (clientPort): ");
    assert!(words.starts_with(&expected), "{words}");
}

#[test]
fn exchanged_directories_are_refused_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (data, log) = (dir.path().join("data"), dir.path().join("log"));
    let log_dir = |path: &Path| format!("-DdataLogDir={}", word(path));
    let server = Process::start(&["0", word(&data), &log_dir(&log)]);
    server.open_sessions(3);
    assert_eq!(server.terminate().0, Some(0));
    let (code, words) = refusal(&["0", word(&log), &log_dir(&data)]);
    assert_eq!(code, UNUSABLE_DIRECTORIES);
    assert!(words.contains(" does not belong into this directory: check dataDir and dataLogDir"));
    let server = Process::start(&["0", word(&data), &log_dir(&log)]);
    assert_eq!(server.terminate().0, Some(0));
}

#[test]
fn damage_within_the_log_is_named_and_the_advice_repairs_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(&["0", word(dir.path())]);
    server.open_sessions(20);
    drop(server);
    let log = file_of(dir.path(), "log.");
    let mut bytes = fs::read(&log).unwrap();
    // Behind the first entries and before the last ones.
    bytes[500] ^= 0x40;
    fs::write(&log, &bytes).unwrap();

    let (code, words) = refusal(&["0", word(dir.path())]);
    assert_eq!(code, UNUSABLE_DIRECTORIES);
    let damaged = format!("{} is damaged at byte ", word(&log));
    assert!(words.starts_with(&damaged), "{words}");
    assert_eq!(fs::read(&log).unwrap(), bytes, "nothing was changed");

    let advice = words.split('`').nth(1).unwrap();
    assert!(advice.starts_with("truncate -s ") && advice.ends_with(word(&log)), "{words}");
    assert!(Command::new("sh").args(["-c", advice]).status().unwrap().success());
    fs::remove_file(log.with_file_name("synced")).unwrap();
    let server = Process::start(&["0", word(dir.path())]);
    server.open_sessions(1);
    assert_eq!(server.terminate().0, Some(0));
}

#[test]
fn logs_without_a_snapshot_are_no_empty_start() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(&["0", word(dir.path())]);
    server.open_sessions(2);
    assert_eq!(server.terminate().0, Some(0));
    fs::remove_file(file_of(dir.path(), "snapshot.")).unwrap();
    let (code, words) = refusal(&["0", word(dir.path())]);
    assert_eq!(code, UNUSABLE_DIRECTORIES);
    assert!(words.contains("there is no valid snapshot to start from"), "{words}");
}

#[test]
fn old_snapshots_and_their_logs_go_when_the_operator_wants_that() {
    let dir = tempfile::tempdir().unwrap();
    // Each start that finds something in the log writes a snapshot.
    for _ in 0..20 {
        let server = Process::start(&["0", word(dir.path())]);
        server.open_sessions(1);
        assert_eq!(server.terminate().0, Some(0));
        if files_of(dir.path(), "snapshot.").len() > 5 {
            break;
        }
    }
    assert!(files_of(dir.path(), "snapshot.").len() > 5);
    let logs = files_of(dir.path(), "log.").len();
    let purge = ["-Dautopurge.purgeInterval=1", "-Dautopurge.snapRetainCount=3"];
    let server = Process::start(&["0", word(dir.path()), purge[0], purge[1]]);
    assert_eq!(server.terminate().0, Some(0));
    let left = files_of(dir.path(), "snapshot.").len();
    assert!(
        (3..=4).contains(&left),
        "the retained ones, and perhaps the one of this start: {left}"
    );
    assert!(files_of(dir.path(), "log.").len() < logs);
    Process::start(&["0", word(dir.path())]);
}

#[test]
fn as_many_files_may_be_open_as_the_system_allows() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["0", word(dir.path()), "-D4lw.commands.whitelist=mntr"];
    let server = Process::start_with("ulimit -S -n 200 && ulimit -H -n 300", &words);
    let mut stream = server.dial();
    stream.write_all(b"mntr").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("zk_max_file_descriptor_count\t300\n"), "{text}");
}
