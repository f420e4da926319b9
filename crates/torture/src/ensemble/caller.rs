//! A client: one session after another, with any member, over connections that end.
//!
//! It sends some requests at once and reads all their answers, so that it needs no timers of its own. What
//! it does not know the outcome of when a connection ends stays open in the history.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sim::checkers::{Promise, Violation};
use sim::history::{Answer, ClientId, Event};
use sim::tape::Tape;
use sim::world::{Author, Plan, WatchBook, decode_answer};
use types::{AuthPacket, ConnId, ErrorCode, Op, Read, SessionId, SessionPassword, Sid, Xid, Zxid};
use wire::connect::{ConnectRequest, ConnectResponse};
use wire::event::WatchEvent;
use wire::reply::ReplyHeader;
use wire::request::Request;

use super::recorder::Recorder;
use crate::failure::Failure;
use crate::line::frame_bytes;

/// The session timeout that is asked for.
const TIMEOUT: Duration = Duration::from_secs(3);
/// A connection on which nothing comes for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(2);
const DIAL_PATIENCE: Duration = Duration::from_millis(500);
/// Between two attempts to connect, at most.
const ATTEMPT_PAUSE_MS: u64 = 60;
/// Between two bundles of requests, at most.
const THINK_MS: u64 = 12;
/// Of a thousand bundles, after how many the client goes to another member.
const MOVES_PERMILLE: u64 = 15;

/// What all clients of a round share.
pub(crate) struct Scene {
    pub(crate) recorder: Recorder,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) plan: Plan,
    /// There are no more faults.
    pub(crate) is_peace: AtomicBool,
    /// How long the farewell may take then.
    pub(crate) farewell: Duration,
    pub(crate) connections: AtomicU64,
}

/// One client.
pub(crate) struct Caller<'s> {
    scene: &'s Scene,
    id: ClientId,
    tape: Tape,
    session: Option<(SessionId, SessionPassword)>,
    /// The highest zxid it has seen.
    seen: Zxid,
    watches: WatchBook,
    credentials: Vec<AuthPacket<'static>>,
    /// How many requests it has made.
    made: u64,
    /// A version and a name with a counter that it saw.
    version: i32,
    numbered: Option<String>,
    last_xid: Xid,
}

/// A connection that has a session.
struct Line {
    conn: ConnId,
    server: Sid,
    stream: BufReader<TcpStream>,
    out: Vec<u8>,
    /// Requests without an answer, in the order sent.
    pending: VecDeque<(Xid, Op<'static>)>,
}

/// Why a connection ends.
enum End {
    /// By its other side, or by silence, or as the client wants it.
    Lost,
    /// The client's session is over, as it asked.
    Closed,
}

/// A connection's end, or the end of the round.
type Outcome<T> = Result<Result<T, End>, Failure>;

impl<'s> Caller<'s> {
    /// A client without a session.
    pub(crate) fn new(scene: &'s Scene, number: u32, seed: u64) -> Self {
        Self {
            scene,
            id: ClientId(number),
            tape: Tape::from_seed(seed),
            session: None,
            seen: Zxid::ZERO,
            watches: WatchBook::default(),
            credentials: Vec::new(),
            made: 0,
            version: 0,
            numbered: None,
            last_xid: Xid(0),
        }
    }

    /// Works until there is peace, and then says farewell.
    ///
    /// # Errors
    /// When a server says what makes no sense, or does not serve although it could.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let mut peace_since = None;
        loop {
            let is_peace = self.scene.is_peace.load(Ordering::Acquire);
            if is_peace
                && peace_since.get_or_insert_with(Instant::now).elapsed() > self.scene.farewell
            {
                let detail = format!("client {} is not served after all faults ended", self.id.0);
                return Err(Violation::new(Promise::Liveness, detail).into());
            }
            let Some(mut line) = self.connect()? else {
                let pause = self.tape.range(1, ATTEMPT_PAUSE_MS);
                thread::sleep(Duration::from_millis(pause));
                continue;
            };
            let outcome = self.converse(&mut line);
            self.hang_up(line);
            match outcome? {
                Ok(()) => return Ok(()),
                Err(End::Lost) => {}
                Err(End::Closed) => self.lose_session(),
            }
        }
    }

    /// A connection to some member with this client's session, or with a new one; `None` if there is none
    /// to be had now.
    fn connect(&mut self) -> Result<Option<Line>, Failure> {
        let member = self.tape.index(self.scene.addresses.len());
        let number = self.scene.connections.fetch_add(1, Ordering::Relaxed);
        let conn = ConnId(number);
        let Ok(stream) = dial(self.scene.addresses[member]) else { return Ok(None) };
        let resumed = self.session.clone();
        let (session, password) =
            resumed.clone().unwrap_or((SessionId::NONE, SessionPassword([0; 16])));
        let server = Sid(i64::try_from(member + 1).unwrap_or(0));
        let stream = BufReader::new(stream);
        let mut line = Line { conn, server, stream, out: Vec::new(), pending: VecDeque::new() };
        ConnectRequest {
            last_zxid_seen: self.seen,
            timeout_ms: i32::try_from(TIMEOUT.as_millis()).unwrap_or(i32::MAX),
            session,
            password: &password.0,
            read_only: Some(false),
        }
        .encode(&mut line.out);
        let answered = line.flush().and_then(|()| line.frame());
        let Some(body) = unless_lost(answered)? else { return Ok(None) };
        let response = ConnectResponse::decode(&body).map_err(nonsense)?;
        let (client, resumed) = (self.id, resumed.map(|(session, _)| session));
        if response.is_refusal() {
            let Some(session) = resumed else {
                let detail = format!("client {} is refused a new session", client.0);
                return Err(Violation::new(Promise::P8, detail).into());
            };
            self.scene.recorder.note(Event::Expired { client, conn, session });
            self.lose_session();
            return Ok(None);
        }
        self.session.get_or_insert_with(|| (response.session, response.password.clone()));
        self.scene.recorder.note(Event::Connected {
            client,
            conn,
            address: "127.0.0.1".to_owned(),
            resumed,
            asked: None,
            session: response.session,
            timeout_ms: response.timeout_ms,
            read_only: response.read_only == Some(true),
        });
        self.introduce(&mut line);
        Ok(Some(line))
    }

    /// Presents credentials, and sets the watches again.
    fn introduce(&mut self, line: &mut Line) {
        for packet in self.credentials.clone() {
            self.ask(line, Op::Auth(packet));
        }
        if let Some(reset) = self.watches.reset(self.seen) {
            self.ask(line, Op::Read(reset));
        }
    }

    /// Uses a connection until it ends, or until everything is said.
    fn converse(&mut self, line: &mut Line) -> Outcome<()> {
        if let Err(end) = self.exchange(line)? {
            return Ok(Err(end));
        }
        while !self.scene.is_peace.load(Ordering::Acquire) {
            if self.tape.chance(MOVES_PERMILLE) {
                return Ok(Err(End::Lost));
            }
            thread::sleep(Duration::from_millis(self.tape.range(0, THINK_MS)));
            for _ in 0..=self.tape.index(self.scene.plan.window) {
                let op = self.draw();
                let is_end = op == Op::CloseSession;
                self.ask(line, op);
                if is_end {
                    break;
                }
            }
            if let Err(end) = self.exchange(line)? {
                return Ok(Err(end));
            }
        }
        self.say_farewell(line)
    }

    /// A write, a sync and a read that must be answered, then the session's end.
    fn say_farewell(&mut self, line: &mut Line) -> Outcome<()> {
        let path = format!("/farewell-{}", self.id.0);
        self.made += 1;
        let create = self.author().plain_create(path.clone());
        let read = Op::Read(Read::GetData { path: path.into(), watch: false });
        for op in [create, Op::Sync { path: "/".into() }, read] {
            self.ask(line, op);
        }
        if let Err(end) = self.exchange(line)? {
            return Ok(Err(end));
        }
        self.ask(line, Op::CloseSession);
        Ok(match self.exchange(line)? {
            Err(End::Closed) | Ok(()) => Ok(()),
            Err(End::Lost) => Err(End::Lost),
        })
    }

    fn draw(&mut self) -> Op<'static> {
        self.made += 1;
        let op = self.author().draw();
        if let Op::Auth(packet) = &op
            && !self.credentials.contains(packet)
        {
            self.credentials.push(packet.clone());
        }
        op
    }

    fn author(&mut self) -> Author<'_> {
        Author {
            tape: &mut self.tape,
            plan: &self.scene.plan,
            client: self.id.0,
            made: self.made,
            version: self.version,
            numbered: self.numbered.as_deref(),
        }
    }

    /// Notes a request and puts it with what is sent next.
    fn ask(&mut self, line: &mut Line, op: Op<'static>) {
        let xid = match &op {
            Op::Auth(_) => Xid::AUTH,
            Op::Read(Read::SetWatches(_)) => Xid::SET_WATCHES,
            _ => {
                self.last_xid = Xid(self.last_xid.0 + 1);
                self.last_xid
            }
        };
        let session = self.session.as_ref().map_or(SessionId::NONE, |(session, _)| *session);
        let (client, conn, server) = (self.id, line.conn, line.server);
        let invoke = Event::Invoke { client, session, conn, server, xid, op: op.clone() };
        self.scene.recorder.note(invoke);
        let request = Request { xid, op };
        request.encode(&mut line.out);
        line.pending.push_back((xid, request.op));
    }

    /// Sends what was asked, and reads until all of it is answered.
    fn exchange(&mut self, line: &mut Line) -> Outcome<()> {
        if line.flush().is_err() {
            return Ok(Err(End::Lost));
        }
        while !line.pending.is_empty() {
            let Some(body) = unless_lost(line.frame())? else { return Ok(Err(End::Lost)) };
            if self.understand(line, &body)? == Some(Op::CloseSession) {
                return Ok(Err(End::Closed));
            }
        }
        Ok(Ok(()))
    }

    /// Takes an answer or an event. Tells what was done.
    fn understand(&mut self, line: &mut Line, body: &[u8]) -> Result<Option<Op<'static>>, Failure> {
        let (client, conn) = (self.id, line.conn);
        let (header, record) = ReplyHeader::decode(body).map_err(nonsense)?;
        if header.xid == Xid::NOTIFICATION {
            let WatchEvent { zxid, kind, path } = WatchEvent::decode(body).map_err(nonsense)?;
            self.watches.fired(kind, &path);
            let path = path.into_owned();
            self.scene.recorder.note(Event::Watch { client, conn, zxid, kind, path });
            return Ok(None);
        }
        let place = line.pending.iter().position(|(xid, _)| *xid == header.xid);
        let Some((xid, op)) = place.and_then(|place| line.pending.remove(place)) else {
            let detail = format!("client {} got a reply to {:?}", client.0, header.xid);
            return Err(Violation::new(Promise::S5, detail).into());
        };
        let result = match header.code {
            0 => Ok(decode_answer(&op, record).map_err(nonsense)?),
            code => {
                let known = ErrorCode::from_raw(code);
                Err(known.ok_or_else(|| nonsense(format!("the error code {code}")))?)
            }
        };
        self.seen = self.seen.max(header.zxid);
        self.learn(&op, &result);
        let zxid = Some(header.zxid).filter(|&zxid| zxid > Zxid::ZERO);
        let is_done = result.is_ok();
        self.scene.recorder.note(Event::Reply { client, conn, xid, zxid, result });
        Ok(Some(op).filter(|_| is_done))
    }

    fn learn(&mut self, op: &Op<'static>, result: &Result<Answer, ErrorCode>) {
        if let Op::Read(read) = op {
            self.watches.note(read, result);
        }
        match result {
            Ok(Answer::Created(path, _) | Answer::Path(path)) if path.starts_with("/q/n-") => {
                self.numbered = Some(path.clone());
            }
            Ok(Answer::Stat(stat) | Answer::Data(_, stat)) => self.version = stat.version,
            _ => {}
        }
    }

    fn hang_up(&self, line: Line) {
        let (client, conn) = (self.id, line.conn);
        for (xid, _) in line.pending {
            self.scene.recorder.note(Event::Unknown { client, conn, xid });
        }
        self.scene.recorder.note(Event::Lost { client, conn });
    }

    fn lose_session(&mut self) {
        self.session = None;
        self.watches = WatchBook::default();
    }
}

impl Line {
    fn flush(&mut self) -> io::Result<()> {
        let sent = self.stream.get_mut().write_all(&self.out);
        self.out.clear();
        sent
    }

    fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut body = vec![0; frame_bytes(length)?];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }
}

fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, DIAL_PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    Ok(stream)
}

/// What came, or `None` if the connection is over. A frame that can not be one did come.
fn unless_lost(frame: io::Result<Vec<u8>>) -> Result<Option<Vec<u8>>, Failure> {
    match frame {
        Ok(body) => Ok(Some(body)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(nonsense(error)),
        Err(_) => Ok(None),
    }
}

/// What no server may say.
fn nonsense(what: impl std::fmt::Display) -> Failure {
    Violation::new(Promise::NoPanic, format!("a server sent nonsense: {what}")).into()
}
