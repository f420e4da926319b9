//! Clients that send much at once, and stop: what is in the socket is read though the system tells
//! of it only once.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has failed")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use config::CommandLine;
use server::Server;

/// The longest frame that is accepted, in bytes.
const FRAME_BYTES_MAX: usize = 1_048_575;
/// How often each is tried.
const SESSIONS: u32 = 20;
/// Nothing here takes so long unless it never comes.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(dir: &tempfile::TempDir) -> Server {
    let words = ["0".to_owned(), dir.path().display().to_string()];
    let command_line = CommandLine::from_words(words).unwrap();
    let loaded = config::load(&command_line, std::iter::empty()).unwrap();
    Server::start(&loaded.config).unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let port = server.address().unwrap().port();
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn framed(fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    let length = i32::try_from(body.len()).unwrap();
    [&length.to_be_bytes()[..], &body].concat()
}

/// The wish for a new session with a timeout of 30 s.
fn handshake() -> Vec<u8> {
    framed(&[&[0; 12], &30_000_i32.to_be_bytes(), &[0; 8], &framed(&[&[0; 16]]), &[0]])
}

#[test]
fn the_longest_frame_behind_a_handshake_is_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir);
    let (set_data, any_version) = (5_i32.to_be_bytes(), (-1_i32).to_be_bytes());
    let data = framed(&[&vec![7; FRAME_BYTES_MAX - 8 - 5 - 4 - 4]]);
    let request = framed(&[&1_i32.to_be_bytes(), &set_data, &framed(&[b"/"]), &data, &any_version]);
    assert_eq!(request.len(), 4 + FRAME_BYTES_MAX);
    let (mut one_by_one, mut at_once) = (Vec::new(), Vec::new());
    for _ in 0..SESSIONS {
        let begin = Instant::now();
        let mut stream = connect(&server);
        stream.write_all(&handshake()).unwrap();
        stream.read_exact(&mut [0; 41]).unwrap();
        stream.write_all(&request).unwrap();
        stream.read_exact(&mut [0; 4 + 16 + 68]).unwrap();
        one_by_one.push(begin.elapsed());

        let begin = Instant::now();
        let mut stream = connect(&server);
        stream.write_all(&[&handshake()[..], &request].concat()).unwrap();
        let mut replies = [0; 41 + 4 + 16 + 68];
        stream.read_exact(&mut replies).unwrap();
        at_once.push(begin.elapsed());
        assert_eq!(replies[41 + 4..41 + 8], [0, 0, 0, 1], "the number of the request");
        assert_eq!(replies[41 + 16..41 + 20], [0; 4], "no error");
    }
    // A server without news sleeps for up to a second, as often as not for half of it. Medians do not know of
    // moments in which the machine did something else.
    let (one_by_one, at_once) = (median(one_by_one), median(at_once));
    let slept_through = Duration::from_millis(250);
    assert!(at_once < 3 * one_by_one + slept_through, "{at_once:?}, one by one {one_by_one:?}");
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn a_client_that_asks_and_leaves_is_answered_and_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir);
    let ping = framed(&[&(-2_i32).to_be_bytes(), &11_i32.to_be_bytes()]);
    for _ in 0..SESSIONS {
        let mut stream = connect(&server);
        stream.write_all(&handshake()).unwrap();
        stream.read_exact(&mut [0; 41]).unwrap();
        stream.write_all(&ping).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        assert_eq!(reply.len(), 20);
    }
}
