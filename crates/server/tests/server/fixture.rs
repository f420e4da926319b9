//! A server on a free port with a directory of its own, and a client that sends what it is told to.

use std::borrow::Cow;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use config::{CommandLine, Config};
use server::{Ended, Server};
use tempfile::TempDir;
use types::{
    AclList, Create, CreateCall, CreateMode, Op, Read, SessionId, SessionPassword, Write, Xid, Zxid,
};
use wire::connect::{ConnectRequest, ConnectResponse};
use wire::event::WatchEvent;
use wire::reply::{self, ReplyHeader};
use wire::request::Request;

/// Nothing here takes so long unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server with its directory.
pub(crate) struct Host {
    config: Config,
    server: Option<Server>,
    directory: TempDir,
}

impl Host {
    /// Starts one with an empty directory and these settings.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config_for(directory.path(), settings);
        let server = Some(Server::start(&config).expect("a server"));
        Self { config, server, directory }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.as_ref().and_then(Server::address).expect("a running server with a port")
    }

    /// What it was started with.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Where its logs and snapshots are.
    pub(crate) fn files(&self) -> PathBuf {
        self.directory.path().join("version-2")
    }

    /// Stops it.
    pub(crate) fn stop(&mut self) {
        let ended = self.server.take().expect("a running server").stop();
        assert_eq!(ended, Ended::Stopped);
    }

    /// Starts it again on the same directory, on another port.
    pub(crate) fn start_again(&mut self) {
        self.server = Some(Server::start(&self.config).expect("a server"));
    }

    /// A connection with a session of ten minutes, once there is room for it.
    pub(crate) fn client_in_time(&self) -> Line {
        let patience = Instant::now() + PATIENCE;
        loop {
            let mut line = Line::dial(self.address());
            if line.try_greet() {
                return line;
            }
            assert!(Instant::now() < patience, "there never was room");
            thread::yield_now();
        }
    }

    /// A connection with a new session of ten minutes.
    pub(crate) fn client(&self) -> Line {
        let mut line = Line::dial(self.address());
        line.greet(None, 600_000);
        line
    }
}

/// A configuration with ticks of 100 ms, and sessions as long as clients want: those of tests that do not
/// ping must not end before the test does, however busy the machine is.
fn config_for(directory: &Path, settings: &[&str]) -> Config {
    let directory = directory.to_str().expect("a name").to_owned();
    let mut words = ["0", &directory, "100"].map(str::to_owned).to_vec();
    let usual = ["clientPortAddress=127.0.0.1", "maxSessionTimeout=600000"];
    for setting in usual.iter().chain(settings) {
        words.extend(["--set".to_owned(), (*setting).to_owned()]);
    }
    let line = CommandLine::from_words(words).expect("words");
    config::load(&line, []).expect("a configuration").config
}

/// One connection.
pub(crate) struct Line {
    stream: TcpStream,
    /// Of the session it opened or resumed.
    pub(crate) session: SessionId,
    pub(crate) password: SessionPassword,
    last_xid: i32,
}

impl Line {
    /// Connects and says nothing.
    pub(crate) fn dial(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let (session, password) = (SessionId::NONE, SessionPassword([0; 16]));
        Self { stream, session, password, last_xid: 0 }
    }

    /// Opens a session or resumes one; `false` if that was refused.
    pub(crate) fn greet(
        &mut self,
        resume: Option<(SessionId, &SessionPassword)>,
        timeout_ms: i32,
    ) -> bool {
        let none = (SessionId::NONE, &SessionPassword([0; 16]));
        let (session, password) = resume.unwrap_or(none);
        let mut bytes = Vec::new();
        ConnectRequest {
            last_zxid_seen: Zxid::ZERO,
            timeout_ms,
            session,
            password: &password.0,
            read_only: Some(false),
        }
        .encode(&mut bytes);
        self.send(&bytes);
        let response = ConnectResponse::decode(&self.frame().expect("an answer")).expect("sound");
        if !response.is_refusal() {
            assert_eq!(response.timeout_ms, timeout_ms, "the timeout that was asked for");
        }
        self.session = response.session;
        self.password = response.password.clone();
        !response.is_refusal()
    }

    /// Opens a long session, if the server lets the connection in.
    fn try_greet(&mut self) -> bool {
        let mut bytes = Vec::new();
        ConnectRequest {
            last_zxid_seen: Zxid::ZERO,
            timeout_ms: 600_000,
            session: SessionId::NONE,
            password: &[0; 16],
            read_only: None,
        }
        .encode(&mut bytes);
        self.try_send(&bytes).is_ok() && self.frame().is_some()
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("sent");
    }

    /// The frame of the next request.
    pub(crate) fn next(&mut self, op: Op<'_>) -> Vec<u8> {
        let xid = if op == Op::Ping {
            Xid::PING
        } else {
            self.last_xid += 1;
            Xid(self.last_xid)
        };
        let mut bytes = Vec::new();
        Request { xid, op }.encode(&mut bytes);
        bytes
    }

    /// Sends a request and waits for the next frame.
    pub(crate) fn ask(&mut self, op: Op<'_>) -> Answer {
        let bytes = self.next(op);
        self.send(&bytes);
        self.answer()
    }

    /// The next frame, which answers a request or is an event.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer, not the end of the connection")
    }

    /// The next frame, which is an event.
    pub(crate) fn event(&mut self) -> WatchEvent<'static> {
        let body = self.frame().expect("an event, not the end of the connection");
        let WatchEvent { zxid, kind, path } = WatchEvent::decode(&body).expect("an event");
        WatchEvent { zxid, kind, path: path.into_owned().into() }
    }

    /// Whether the server lets the connection in and answers an operator on it.
    pub(crate) fn is_served(&mut self) -> bool {
        let mut text = Vec::new();
        let asked = self.stream.write_all(b"srvr");
        asked.is_ok() && self.stream.read_to_end(&mut text).is_ok() && !text.is_empty()
    }

    /// Sends bytes to a server that may be gone.
    ///
    /// # Errors
    /// When it is.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next answer, if it comes before the end of the connection.
    pub(crate) fn try_answer(&mut self) -> Option<Answer> {
        let body = self.frame()?;
        let (header, record) = ReplyHeader::decode(&body).expect("a header");
        Some(Answer { header, record: record.to_vec() })
    }

    /// Whether the server ends the connection without another word.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.frame().is_none()
    }

    /// The body of the next frame; `None` at the end of the connection.
    fn frame(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length) {
            Ok(()) => {}
            Err(failure)
                if matches!(
                    failure.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                ) =>
            {
                return None;
            }
            Err(failure) => panic!("nothing came: {failure}"),
        }
        let length = usize::try_from(i32::from_be_bytes(length)).expect("a length");
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        Some(body)
    }
}

/// A reply or an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) header: ReplyHeader,
    pub(crate) record: Vec<u8>,
}

impl Answer {
    /// The names of children in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        assert_eq!(self.header.code, 0, "names are no error");
        let mut names = reply::decode_children(&self.record).expect("names");
        names.sort();
        names
    }

    /// The data in it.
    pub(crate) fn data(&self) -> Vec<u8> {
        assert_eq!(self.header.code, 0, "data is no error");
        reply::decode_data(&self.record).expect("data").data.unwrap_or_default()
    }
}

/// Creates a znode.
pub(crate) fn create(path: &str, mode: CreateMode) -> Op<'_> {
    Op::Write(Write::Create(Create {
        call: CreateCall::Create,
        path: path.into(),
        data: Some(Cow::Borrowed(b"data")),
        acl: AclList::open(),
        mode,
    }))
}

/// Creates one that stays.
pub(crate) fn persistent(path: &str) -> Op<'_> {
    create(path, CreateMode::Persistent)
}

/// Sets data.
pub(crate) fn set<'a>(path: &'a str, data: &'a [u8]) -> Op<'a> {
    Op::Write(Write::SetData { path: path.into(), data: Some(data.into()), version: None })
}

/// Reads data.
pub(crate) fn get(path: &str) -> Op<'_> {
    Op::Read(Read::GetData { path: path.into(), watch: false })
}

/// Reads the names of children.
pub(crate) fn children(path: &str) -> Op<'_> {
    Op::Read(Read::GetChildren { path: path.into(), watch: false })
}

/// Looks whether there is a znode, and watches it.
pub(crate) fn watch_exists(path: &str) -> Op<'_> {
    Op::Read(Read::Exists { path: path.into(), watch: true })
}
