//! What a server survives: strangers, however many they are, and the loss of what it needs less.

use std::io::{Read, Write};
use std::time::Instant;

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
