//! What operators read from a running server. The texts themselves are tested in `admin`; here it
//! is that each word finds the numbers it shows, and that odd ways of asking harm nobody.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has failed")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use config::CommandLine;
use server::Server;

const WORDS: [&str; 18] = [
    "ruok", "isro", "srvr", "stat", "conf", "cons", "dump", "wchs", "wchc", "wchp", "mntr", "hash",
    "dirs", "envi", "gtmk", "stmk", "crst", "srst",
];

/// A server on a free port, with its directory.
struct Fixture {
    address: SocketAddr,
    _server: Server,
    dir: tempfile::TempDir,
}

impl Fixture {
    fn start(settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut words = vec!["0".to_owned(), dir.path().display().to_string()];
        words.extend(settings.iter().map(|setting| format!("-D{setting}")));
        let command_line = CommandLine::from_words(words).unwrap();
        let loaded = config::load(&command_line, std::iter::empty()).unwrap();
        let server = Server::start(&loaded.config).unwrap();
        let port = server.address().unwrap().port();
        Self { address: ([127, 0, 0, 1], port).into(), _server: server, dir }
    }

    fn with_all_words() -> Self {
        Self::start(&["zookeeper.4lw.commands.whitelist=*"])
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn ask(&self, word: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        stream.write_all(word.as_ref()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }
}

/// As much of a client as it takes to have a session.
struct Session {
    stream: TcpStream,
    id: u64,
    xid: i32,
}

impl Session {
    fn open(fixture: &Fixture) -> Self {
        let mut this = Self { stream: fixture.connect(), id: 0, xid: 0 };
        let mut body = Vec::new();
        body.extend(0_i32.to_be_bytes());
        body.extend(0_i64.to_be_bytes());
        body.extend(30_000_i32.to_be_bytes());
        body.extend(0_i64.to_be_bytes());
        body.extend(buffer(&[0; 16]));
        body.push(0);
        let reply = this.exchange(&body);
        this.id = u64::from_be_bytes(reply[8..16].try_into().unwrap());
        this
    }

    fn create_ephemeral(&mut self, path: &str) {
        let mut body = buffer(path.as_bytes());
        body.extend(buffer(b"data"));
        body.extend(1_i32.to_be_bytes());
        body.extend(31_i32.to_be_bytes());
        body.extend([buffer(b"world"), buffer(b"anyone")].concat());
        body.extend(1_i32.to_be_bytes());
        self.request(1, &body);
    }

    fn watch_data(&mut self, path: &str) {
        let body = [buffer(path.as_bytes()), vec![1]].concat();
        self.request(4, &body);
    }

    fn watch_children(&mut self, path: &str) {
        let body = [buffer(path.as_bytes()), vec![1]].concat();
        self.request(8, &body);
    }

    fn watch_missing(&mut self, path: &str) {
        self.xid += 1;
        let head = [self.xid.to_be_bytes(), 3_i32.to_be_bytes()].concat();
        let reply = self.exchange(&[head, buffer(path.as_bytes()), vec![1]].concat());
        assert_eq!(reply[12..16], (-101_i32).to_be_bytes(), "there is no such znode");
    }

    fn request(&mut self, opcode: i32, body: &[u8]) {
        self.xid += 1;
        let head = [self.xid.to_be_bytes(), opcode.to_be_bytes()].concat();
        let reply = self.exchange(&[&head, body].concat());
        assert_eq!(reply[12..16], [0; 4], "request {opcode} failed");
    }

    fn exchange(&mut self, body: &[u8]) -> Vec<u8> {
        self.stream.write_all(&buffer(body)).unwrap();
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).unwrap();
        let mut reply = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut reply).unwrap();
        reply
    }
}

fn buffer(bytes: &[u8]) -> Vec<u8> {
    let length = i32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes()[..], bytes].concat()
}

/// The value of a line of `mntr`.
fn metric(text: &str, name: &str) -> String {
    let prefix = format!("zk_{name}\t");
    let line = text.lines().find(|line| line.starts_with(&prefix));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))[prefix.len()..].to_owned()
}

#[test]
fn only_srvr_is_answered_unless_the_operator_lists_more() {
    let fixture = Fixture::start(&[]);
    for word in WORDS {
        let text = fixture.ask(word);
        if word == "srvr" {
            assert!(text.contains("\nMode: standalone\n"), "{text}");
        } else {
            let refusal = format!("{word} is not executed because it is not in the whitelist.\n");
            assert_eq!(text, refusal);
        }
    }
}

#[test]
fn short_answers_are_exact() {
    let fixture = Fixture::with_all_words();
    assert_eq!(fixture.ask("ruok"), "imok");
    assert_eq!(fixture.ask("isro"), "rw");
    assert_eq!(fixture.ask("gtmk"), "306");
    assert_eq!(fixture.ask(b"stmk\0\0\0\0\0\0\x01\0"), "256");
    assert_eq!(fixture.ask("gtmk"), "256");
    assert_eq!(fixture.ask("hash"), "");
    assert_eq!(fixture.ask(b"\xff\xf4\xff\xfd"), "");
    assert_eq!(fixture.ask("wchs"), "0 connections watching 0 paths\nTotal watches:0\n");
}

#[test]
fn sessions_their_znodes_and_their_watches_are_listed() {
    let fixture = Fixture::with_all_words();
    let (mut first, mut second) = (Session::open(&fixture), Session::open(&fixture));
    first.create_ephemeral("/mine");
    first.watch_data("/mine");
    first.watch_children("/");
    second.watch_data("/mine");
    let [first, second] = [first.id, second.id].map(|id| format!("0x{id:x}"));

    let dump = fixture.ask("dump");
    assert!(dump.contains("SessionTracker dump:\nSession Sets (1)/(2):\n2 expire at "), "{dump}");
    let ephemerals = format!("Sessions with Ephemerals (1):\n{first}:\n\t/mine\n");
    assert!(dump.contains(&ephemerals), "{dump}");
    assert!(dump.contains(&format!("sessionId: {second}\n")), "{dump}");

    let wchs = "2 connections watching 1 paths\nTotal watches:2\n";
    assert_eq!(fixture.ask("wchs"), wchs);
    assert_eq!(fixture.ask("wchc"), format!("{first}\n\t/mine\n{second}\n\t/mine\n\n"));
    let wchp = fixture.ask("wchp");
    assert!(wchp.starts_with("/mine\n\t0x") && wchp.ends_with("\n\n"), "{wchp}");
    assert_eq!(wchp.lines().count(), 4);

    let mntr = fixture.ask("mntr");
    for (name, expected) in [
        ("server_state", "standalone"),
        ("znode_count", "6"),
        ("ephemerals_count", "1"),
        ("global_sessions", "2"),
        ("watch_count", "3"),
        ("num_alive_connections", "3"),
        ("connection_request_count", "2"),
        ("commit_count", "3"),
        ("outstanding_requests", "0"),
    ] {
        assert_eq!(metric(&mntr, name), expected, "{name}");
    }
    assert!(metric(&mntr, "cnt_fsynctime").parse::<u64>().unwrap() > 0);
}

#[test]
fn counts_of_connections_are_shown_and_forgotten() {
    let fixture = Fixture::with_all_words();
    let mut session = Session::open(&fixture);
    session.watch_data("/");
    let id = format!("sid=0x{:x},", session.id);
    let line = |text: String| text.lines().find(|line| line.contains(&id)).unwrap().to_owned();
    let used = line(fixture.ask("cons"));
    assert!(used.contains("[1](queued=0,recved=2,sent=2,"), "{used}");
    assert!(used.contains(",lop=GETD,") && used.contains(",to=30000,lcxid=0x1,lzxid=0x1,"));
    assert_eq!(fixture.ask("crst"), "Connection stats reset.\n");
    let unused = line(fixture.ask("cons"));
    assert!(unused.contains("[1](queued=0,recved=0,sent=0,"), "{unused}");
    assert!(unused.contains(",lop=NA,") && unused.contains(",lzxid=0xffffffffffffffff,"));

    assert_eq!(fixture.ask("srst"), "Server stats reset.\n");
    let srvr = fixture.ask("srvr");
    assert!(srvr.contains("Received: 1\n") || srvr.contains("Received: 2\n"), "{srvr}");
    let stat = fixture.ask("stat");
    assert!(stat.contains("[0](queued=0,recved=1,sent=0)\n"), "{stat}");
    assert!(stat.contains("[1](queued=0,recved=0,sent=0)\n"), "{stat}");
}

#[test]
fn sizes_and_places_are_those_on_disk() {
    let fixture = Fixture::with_all_words();
    let conf = fixture.ask("conf");
    let dir = fixture.dir.path().join("version-2");
    assert!(conf.contains(&format!("clientPort={}\n", fixture.address.port())), "{conf}");
    assert!(conf.contains(&format!("\ndataDir={}\n", dir.display())), "{conf}");
    // The log may get space ahead at any time, so the size is between those before and after.
    let bytes = || -> u64 {
        dir.read_dir().unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    let (before, dirs, after) = (bytes(), fixture.ask("dirs"), bytes());
    let told: Vec<u64> = dirs
        .lines()
        .zip(["datadir_size: ", "logdir_size: "])
        .map(|(line, key)| line.strip_prefix(key).unwrap().parse().unwrap())
        .collect();
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|told| (before..=after).contains(told)), "{before} {dirs} {after}");
    assert!(fixture.ask("envi").starts_with("Environment:\nzookeeper.version="));
}

#[test]
fn an_operator_may_stop_sending_or_send_byte_by_byte() {
    let fixture = Fixture::with_all_words();
    let mut stream = fixture.connect();
    stream.set_nodelay(true).unwrap();
    for byte in b"srvr" {
        stream.write_all(&[*byte]).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("Zookeeper version: "), "{text}");
    assert!(fixture.ask("mntr\r\nand more").contains("zk_znode_count\t5\n"));
}

#[test]
fn who_sends_more_than_a_word_is_answered_without_a_reset() {
    let fixture = Fixture::with_all_words();
    let mut stream = fixture.connect();
    stream.write_all(b"ruok\nis it well?\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "imok");
    // A side that is gone resets the connection at the first write, and that fails the second one.
    stream.write_all(b"more\n").unwrap();
    stream.write_all(b"and more\n").unwrap();
    assert!(stream.take_error().unwrap().is_none());
}

#[test]
fn a_long_answer_is_whole_though_the_operator_stopped_sending() {
    // More than the buffers of both sockets take before something is read.
    const PATHS: u8 = 20;
    const PATH_BYTES: usize = 900_000;
    let fixture = Fixture::with_all_words();
    let mut session = Session::open(&fixture);
    for number in 0..PATHS {
        let name = char::from(b'a' + number).to_string();
        session.watch_missing(&format!("/{}", name.repeat(PATH_BYTES - 1)));
    }
    let mut stream = fixture.connect();
    stream.write_all(b"wchp").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let whole = text.lines().filter(|line| line.len() == PATH_BYTES).count();
    assert_eq!(whole, usize::from(PATHS));
    assert!(text.ends_with("\n\n"));
}
