//! What a server survives: strangers, however many they are, and the loss of what it needs less.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{Process, word};

/// The lines with these words, and what they say of lines that were suppressed, added up.
fn lines_and_suppressed(said: &str, words: &str) -> (usize, usize) {
    let lines: Vec<_> = said.lines().filter(|line| line.contains(words)).collect();
    let suppressed = |line: &&str| {
        let (_, number) = line.split_once("suppressed=").unwrap();
        number.split_whitespace().next().unwrap().parse::<usize>().unwrap()
    };
    (lines.len(), lines.iter().map(suppressed).sum())
}

#[test]
fn refused_connections_do_not_flood_the_log() {
    const REFUSED: usize = 500;
    let dir = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let server = Process::start(&["0", word(dir.path()), "-DmaxClientCnxns=1"]);
    let _inside = server.dial();
    for _ in 0..REFUSED {
        // Closed, perhaps before it was there.
        assert!(!server.dial().read(&mut [0]).is_ok_and(|bytes| bytes > 0));
    }
    let seconds = begin.elapsed().as_secs();
    let (code, said) = server.terminate();
    assert_eq!(code, Some(0));
    let (lines, suppressed) = lines_and_suppressed(&said, "too many connections, refused");
    assert!((1..=seconds + 1).contains(&(lines as u64)), "{lines} lines in {seconds} s: {said}");
    assert!(suppressed <= REFUSED - lines, "no more than there were: {said}");
}

#[test]
fn a_server_goes_on_when_nobody_reads_its_log_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Process::start(&["0", word(dir.path()), "-DmaxClientCnxns=1"]);
    server.stop_listening();
    let mut inside = server.dial();
    // Its refusal is a line in the log.
    assert!(!server.dial().read(&mut [0]).is_ok_and(|bytes| bytes > 0));
    inside.write_all(b"srvr").unwrap();
    let mut text = String::new();
    inside.read_to_string(&mut text).unwrap();
    assert!(text.contains("Mode: standalone"), "{text}");
    assert_eq!(server.terminate().0, Some(0));
}

#[test]
fn a_server_goes_on_when_whoever_reads_its_log_hangs() {
    let dir = tempfile::tempdir().unwrap();
    // More lines than a pipe and all buffers hold.
    let server = Process::start_with("export RUST_LOG=trace", &["0", word(dir.path())]);
    let mut inside = server.open_session();
    for _ in 0..1000 {
        create(&mut inside);
        server.dial();
    }
    let (code, said) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(said.len() > 128 << 10, "{} bytes", said.len());
}

/// Creates a sequential znode.
fn create(session: &mut TcpStream) {
    let mut frame = 50_u32.to_be_bytes().to_vec();
    frame.extend([1_u32.to_be_bytes(), 1_u32.to_be_bytes()].concat());
    frame.extend([&3_u32.to_be_bytes()[..], b"/n-", &0_u32.to_be_bytes()].concat());
    frame.extend([1_u32.to_be_bytes(), 31_u32.to_be_bytes()].concat());
    frame.extend([&5_u32.to_be_bytes()[..], b"world"].concat());
    frame.extend([&6_u32.to_be_bytes()[..], b"anyone"].concat());
    frame.extend(2_u32.to_be_bytes());
    assert_eq!(frame.len(), 4 + 50);
    session.write_all(&frame).unwrap();
    let mut reply = [0; 4 + 16 + 4 + 13];
    session.read_exact(&mut reply).unwrap();
    assert_eq!(reply[16..20], [0; 4], "no error");
}

#[test]
fn connections_leave_descriptors_to_the_log_and_to_snapshots() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["0", word(dir.path()), "-DmaxClientCnxns=0", "-DsnapCount=20"];
    let server = Process::start_with("ulimit -n 64", &words);
    let mut inside = server.open_session();
    let crowd: Vec<_> = (0..100).map(|_| server.dial()).collect();
    // Log files are begun and snapshots taken.
    for _ in 0..200 {
        create(&mut inside);
    }
    let before = server.processor_time();
    inside.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    assert!(inside.read(&mut [0]).is_err(), "nothing happens for a second");
    let took = server.processor_time() - before;
    assert!(took < 50, "it waits without work, not for {took} hundredths of a second");

    drop(crowd);
    let patience = Instant::now() + Duration::from_secs(60);
    let is_served = || {
        let mut stream = server.dial();
        let mut text = String::new();
        let asked = stream.write_all(b"srvr").and_then(|()| stream.read_to_string(&mut text));
        asked.is_ok() && !text.is_empty()
    };
    while !is_served() {
        assert!(Instant::now() < patience, "nobody is let in again");
        thread::yield_now();
    }
    let (code, said) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(!said.contains("ERROR"), "{said}");
    assert!(said.contains("raise the limit of open files"), "{said}");
}
