//! Sessions against scripted servers.

use types::{AclList, Create, CreateCall, CreateMode, EventKind, SetWatches, Stat, WatchMode};
use wire::connect::ConnectResponse;
use wire::frame::{self, FrameError};
use wire::reply::{Body, Reply};

use super::*;

mod sasl;

const TIMEOUT: Duration = Duration::from_secs(30);
const PASSWORD: SessionPassword = SessionPassword([7; 16]);
const SESSION: SessionId = SessionId(0x0100_0000_0000_0001);

/// A session, and the server that it talks to.
struct Script {
    session: Session,
    now: Instant,
    effects: Effects,
    dialed: Option<(ConnId, HostIndex)>,
    hung_up: Option<HangUp>,
    states: Vec<SessionState>,
    completed: Vec<(u64, Result<Response, Error>)>,
    delivered: Vec<(u64, Notice)>,
    probed: Vec<HostIndex>,
    /// What the program heard when it was its turn: nothing, or the server's token.
    turns: Vec<Option<Option<Vec<u8>>>>,
}

impl Script {
    fn new(hosts: usize, chroot: &str) -> Self {
        Self::of(Session::new(Config {
            hosts,
            timeout: TIMEOUT,
            chroot: Chroot::new(chroot).expect("valid"),
            read_only: false,
            resume: None,
            frame_bytes_max: 0xf_ffff,
            seed: 1,
        }))
    }

    fn of(session: Session) -> Self {
        let mut script = Self {
            session,
            now: Instant::default(),
            effects: Effects::default(),
            dialed: None,
            hung_up: None,
            states: Vec::new(),
            completed: Vec::new(),
            delivered: Vec::new(),
            probed: Vec::new(),
            turns: Vec::new(),
        };
        script.step(Input::Deadline);
        script
    }

    /// One that a server already serves.
    fn connected(chroot: &str) -> Self {
        let mut script = Self::new(1, chroot);
        script.accept();
        script
    }

    fn step(&mut self, input: Input<'_>) {
        self.session.step(self.now, input, &mut self.effects);
        for effect in self.effects.list.drain(..) {
            match effect {
                Effect::Dial { conn, host } => self.dialed = Some((conn, host)),
                Effect::HangUp { reason, .. } => self.hung_up = Some(reason),
                Effect::Complete { id, outcome } => self.completed.push((id.0, outcome)),
                Effect::Deliver { watch, notice } => self.delivered.push((watch.0, notice)),
                Effect::State(state) => self.states.push(state),
                Effect::Probe { host } => self.probed.push(host),
                Effect::SaslBegin { .. } => self.turns.push(None),
                Effect::SaslToken { token, .. } => self.turns.push(Some(token)),
            }
        }
    }

    fn conn(&self) -> ConnId {
        self.dialed.expect("dialed").0
    }

    fn sleep(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
        self.step(Input::Deadline);
    }

    /// Sleeps until the session itself wants to act.
    fn sleep_until_due(&mut self) -> Duration {
        let due = self.session.next_deadline().expect("not over");
        let slept = due.since(self.now);
        self.now = due;
        self.step(Input::Deadline);
        slept
    }

    /// The server accepts the connection and the session; returns what the session sent first.
    fn accept(&mut self) -> Vec<u8> {
        self.step(Input::Connected(self.conn()));
        let request = self.sent_bytes();
        self.answer_handshake(30_000);
        request
    }

    fn answer_handshake(&mut self, timeout_ms: i32) {
        if timeout_ms > 0 {
            return self.answer_handshake_of(timeout_ms, false);
        }
        let mut bytes = Vec::new();
        ConnectResponse::refused(Some(false)).encode(&mut bytes);
        self.receive(&bytes);
    }

    fn answer_handshake_of(&mut self, timeout_ms: i32, is_read_only: bool) {
        let mut bytes = Vec::new();
        let (session, password, read_only) = (SESSION, PASSWORD, Some(is_read_only));
        ConnectResponse { timeout_ms, session, password, read_only }.encode(&mut bytes);
        self.receive(&bytes);
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.step(Input::Received { conn: self.conn(), bytes });
    }

    fn disconnect(&mut self) {
        self.step(Input::Disconnected(self.conn()));
    }

    fn ask(&mut self, id: u64, op: Op<'static>) {
        self.step(Input::Request { id: RequestId(id), op });
    }

    fn reply(&mut self, xid: i32, zxid: i64, result: Result<Body<'_>, ErrorCode>) {
        let mut bytes = Vec::new();
        Reply { xid: Xid(xid), zxid: Zxid::from_raw(zxid), result }.encode(&mut bytes);
        self.receive(&bytes);
    }

    fn event(&mut self, kind: EventKind, path: &str) {
        let mut bytes = Vec::new();
        let zxid = Some(Zxid::from_raw(9));
        wire::event::WatchEvent { zxid, kind, path: path.into() }.encode(&mut bytes);
        self.receive(&bytes);
    }

    fn sent_bytes(&mut self) -> Vec<u8> {
        mem::take(&mut self.effects.outgoing)
    }

    fn sent(&mut self) -> Vec<(i32, Op<'static>)> {
        let bytes = self.sent_bytes();
        let mut rest = bytes.as_slice();
        let mut requests = Vec::new();
        while let Some((body, used)) = frame::split(rest, usize::MAX).expect("a frame") {
            let request = Request::decode(body).expect("a request");
            let op = match request.op {
                Op::Read(read) => Op::Read(read.into_owned()),
                Op::Write(write) => Op::Write(write.into_owned()),
                Op::Auth(packet) => auth(&packet.scheme),
                Op::Sync { path } => Op::Sync { path: path.into_owned().into() },
                Op::Ping => Op::Ping,
                Op::CloseSession => Op::CloseSession,
                Op::Sasl(token) => Op::Sasl(token.map(|token| token.into_owned().into())),
            };
            requests.push((request.xid.0, op));
            rest = &rest[used..];
        }
        assert_eq!(rest, [], "whole frames");
        requests
    }

    fn completed(&mut self) -> Vec<(u64, Result<Response, Error>)> {
        mem::take(&mut self.completed)
    }

    fn delivered(&mut self) -> Vec<(u64, Notice)> {
        mem::take(&mut self.delivered)
    }
}

fn get(path: &'static str, watch: bool) -> Op<'static> {
    Op::Read(Read::GetData { path: path.into(), watch })
}

fn exists(path: &'static str) -> Op<'static> {
    Op::Read(Read::Exists { path: path.into(), watch: true })
}

fn add_watch(path: &'static str) -> Op<'static> {
    Op::Read(Read::AddWatch { path: path.into(), mode: WatchMode::PersistentRecursive })
}

fn create(path: &'static str) -> Op<'static> {
    Op::Write(Write::Create(Create {
        call: CreateCall::Create2,
        path: path.into(),
        data: Some(b"x".into()),
        acl: AclList::open(),
        mode: CreateMode::Persistent,
    }))
}

/// Proofs are secret also here: all are the same.
fn auth(scheme: &str) -> Op<'static> {
    let scheme = scheme.to_owned().into();
    Op::Auth(AuthPacket { scheme, auth: Some(b"user:secret".into()) })
}

fn data_body() -> Body<'static> {
    static STAT: Stat = Stat {
        czxid: Zxid::ZERO,
        mzxid: Zxid::ZERO,
        ctime_ms: 0,
        mtime_ms: 0,
        version: 0,
        cversion: 0,
        aversion: 0,
        ephemeral_owner: SessionId::NONE,
        data_length: 1,
        num_children: 0,
        pzxid: Zxid::ZERO,
    };
    Body::Data { data: Some(b"x"), stat: &STAT }
}

fn lost(may_have_happened: bool) -> Result<Response, Error> {
    Err(Error::ConnectionLost { may_have_happened })
}

fn event(kind: EventKind, path: &str) -> Notice {
    let zxid = Some(Zxid::from_raw(9));
    Notice::Event(WatchEvent { kind, path: path.to_owned(), zxid })
}

#[test]
fn opens_a_session_with_the_bytes_that_every_client_sends() {
    let mut script = Script::new(1, "");
    let hex: String = script.accept().iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        "0000002d",
        "00000000",
        "0000000000000000",
        "00007530",
        "0000000000000000",
        "00000010",
        "00000000000000000000000000000000",
        "00",
    ];
    assert_eq!(hex, expected.concat());
    assert_eq!(script.states, [SessionState::Connected]);
    assert_eq!(script.session.ticket(), Some(&Ticket { id: SESSION, password: PASSWORD }));
}

#[test]
fn the_server_decides_the_timeout() {
    let mut script = Script::new(1, "");
    script.step(Input::Connected(script.conn()));
    script.sent_bytes();
    script.answer_handshake(6000);
    assert_eq!(script.session.timeout(), Duration::from_secs(6));
    assert_eq!(script.sleep_until_due(), Duration::from_secs(2));
    assert_eq!(script.sent(), [(-2, Op::Ping)]);
}

#[test]
fn requests_are_sent_at_once_and_answered_in_order() {
    let mut script = Script::connected("");
    script.ask(10, get("/a", false));
    script.ask(11, create("/b"));
    assert_eq!(script.sent(), [(1, get("/a", false)), (2, create("/b"))]);
    script.reply(1, 5, Ok(data_body()));
    script.reply(2, 6, Err(ErrorCode::NodeExists));
    let completed = script.completed();
    assert!(matches!(&completed[0], (10, Ok(Response::Data(data))) if data.bytes() == b"x"));
    assert_eq!(completed[1], (11, Err(Error::Refused(ErrorCode::NodeExists))));
    assert_eq!(script.session.last_zxid_seen(), Zxid::from_raw(6));
}

#[test]
fn frames_may_be_cut_anywhere() {
    let mut bytes = Vec::new();
    for xid in 1..=3 {
        let zxid = Zxid::from_raw(5);
        Reply { xid: Xid(xid), zxid, result: Ok(data_body()) }.encode(&mut bytes);
    }
    for cut in 0..bytes.len() {
        let mut script = Script::connected("");
        for id in 1..=3 {
            script.ask(id, get("/a", false));
        }
        let (first, second) = bytes.split_at(cut);
        script.receive(first);
        script.receive(second);
        let ids: Vec<_> = script.completed().into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, [1, 2, 3], "cut at {cut}");
        assert_eq!(script.hung_up, None);
    }
}

#[test]
fn an_answer_out_of_order_ends_the_connection() {
    let mut script = Script::connected("");
    script.ask(1, get("/a", false));
    script.reply(2, 5, Ok(data_body()));
    let misbehaved = ServerMisbehaved::OutOfOrder { expected: Some(1), got: 2 };
    assert_eq!(script.hung_up, Some(HangUp::Misbehaved(misbehaved)));
    assert_eq!(script.completed(), [(1, lost(false))]);
}

#[test]
fn an_unreadable_answer_ends_the_connection_and_its_request_is_lost_too() {
    for (op, may_have_happened) in [(get("/a", true), false), (create("/a"), true)] {
        let mut script = Script::connected("");
        script.ask(1, op);
        script.ask(2, create("/b"));
        script.reply(1, 1, Ok(Body::Empty));
        assert!(matches!(script.hung_up, Some(HangUp::Misbehaved(ServerMisbehaved::Message(_)))));
        assert_eq!(script.completed(), [(1, lost(may_have_happened)), (2, lost(true))]);
        script.accept();
        assert_eq!(script.sent(), [], "no watch was set");
    }
}

#[test]
fn an_oversized_frame_ends_the_connection() {
    let mut script = Script::connected("");
    script.receive(&0x10_0000_i32.to_be_bytes());
    assert!(matches!(
        script.hung_up,
        Some(HangUp::Misbehaved(ServerMisbehaved::Frame(FrameError::TooLong { .. })))
    ));
}

#[test]
fn an_oversized_answer_fails_its_request_for_good() {
    const BYTES: i32 = 0x10_0000;
    let mut answer = BYTES.to_be_bytes().to_vec();
    answer.extend(1_i32.to_be_bytes());
    let too_large = |may_have_happened| {
        let max = 0xf_ffff;
        Err(Error::AnswerTooLarge { bytes: 0x10_0000, max, may_have_happened })
    };
    for (op, may_have_happened) in [(get("/a", true), false), (create("/a"), true)] {
        let mut script = Script::connected("");
        script.ask(1, op);
        script.ask(2, create("/b"));
        script.ask(3, get("/b", false));
        let (first, second) = answer.split_at(6);
        script.receive(first);
        assert_eq!((script.completed(), script.hung_up.take()), (Vec::new(), None));
        script.receive(second);
        let others = [(2, lost(true)), (3, lost(false))];
        let failed = [(1, too_large(may_have_happened))].into_iter().chain(others);
        assert_eq!(script.completed(), failed.collect::<Vec<_>>());
        let error = FrameError::TooLong { length: BYTES, bytes_max: 0xf_ffff };
        assert_eq!(script.hung_up, Some(HangUp::Misbehaved(error.into())));
        // The next connection is made at once, and has no watch to set again.
        script.accept();
        assert_eq!(script.session.state(), SessionState::Connected);
        assert_eq!(script.sent(), []);
    }
}

#[test]
fn an_oversized_frame_that_answers_nobody_fails_nobody_for_good() {
    for xid in [2, Xid::NOTIFICATION.0, Xid::PING.0] {
        let mut script = Script::connected("");
        script.ask(1, get("/a", false));
        script.receive(&[0x10_0000_i32.to_be_bytes(), xid.to_be_bytes()].concat());
        assert_eq!(script.completed(), [(1, lost(false))]);
        assert!(matches!(script.hung_up, Some(HangUp::Misbehaved(_))));
    }
}

#[test]
fn only_writes_that_were_sent_may_have_happened() {
    let mut script = Script::connected("");
    script.ask(1, create("/a"));
    script.ask(2, get("/a", false));
    script.disconnect();
    assert_eq!(script.completed(), [(1, lost(true)), (2, lost(false))]);
    script.ask(3, create("/b"));
    script.sleep_until_due();
    script.disconnect();
    assert_eq!(script.completed(), [(3, lost(false))]);
    let states = [SessionState::Connected, SessionState::Disconnected];
    assert_eq!(script.states, states);
}

#[test]
fn requests_wait_for_a_server_until_all_were_tried() {
    let mut script = Script::new(3, "");
    script.ask(1, get("/a", false));
    let mut tried = vec![script.dialed];
    script.disconnect();
    tried.push(script.dialed);
    script.disconnect();
    tried.push(script.dialed);
    assert_eq!(script.completed(), []);
    let mut hosts: Vec<_> = tried.into_iter().flatten().map(|(_, host)| host.0).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, [0, 1, 2]);
    script.disconnect();
    assert_eq!(script.completed(), [(1, lost(false))]);

    script.ask(2, get("/a", false));
    assert!(script.sleep_until_due() > Duration::ZERO);
    script.accept();
    assert_eq!(script.sent(), [(1, get("/a", false))]);
}

#[test]
fn each_server_has_its_share_of_the_timeout() {
    let mut script = Script::new(3, "");
    let (first, _) = script.dialed.expect("dialed");
    assert_eq!(script.sleep_until_due(), TIMEOUT / 3);
    assert_eq!(script.hung_up, Some(HangUp::Unanswered));
    assert_ne!(script.conn(), first);
    script.step(Input::Connected(script.conn()));
    assert_eq!(script.sleep_until_due(), TIMEOUT / 3);
}

#[test]
fn inputs_of_a_connection_that_was_given_up_are_ignored() {
    let mut script = Script::new(2, "");
    let (first, _) = script.dialed.expect("dialed");
    script.sleep_until_due();
    script.step(Input::Connected(first));
    script.step(Input::Disconnected(first));
    assert_eq!(script.sent_bytes(), []);
    script.accept();
    assert_eq!(script.states, [SessionState::Connected]);
    script.step(Input::Received { conn: first, bytes: &[0xff; 8] });
    assert_eq!(script.hung_up, Some(HangUp::Unanswered));
}

#[test]
fn silence_is_met_with_a_ping_then_a_new_connection_then_the_end() {
    let mut script = Script::connected("");
    script.sleep(TIMEOUT / 3);
    assert_eq!(script.sent(), [(-2, Op::Ping)]);
    script.reply(-2, 3, Ok(Body::Empty));
    script.sleep(TIMEOUT / 3);
    assert_eq!(script.sent(), [(-2, Op::Ping)]);
    script.sleep(TIMEOUT / 3);
    assert_eq!(script.hung_up, Some(HangUp::Silent));
    script.ask(1, get("/a", false));
    script.sleep(TIMEOUT * 2 / 3);
    assert_eq!(script.completed(), [(1, Err(Error::SessionExpired))]);
    let states = [SessionState::Connected, SessionState::Disconnected, SessionState::Expired];
    assert_eq!(script.states, states);
    assert_eq!(script.session.next_deadline(), None);
}

#[test]
fn resumes_with_credentials_then_watches_then_requests() {
    let mut script = Script::connected("");
    script.ask(1, auth("digest"));
    script.reply(-4, 0, Ok(Body::Empty));
    script.ask(2, get("/a", true));
    script.ask(3, add_watch("/p"));
    script.reply(1, 5, Ok(data_body()));
    script.reply(2, 5, Ok(Body::WatchAdded));
    assert_eq!(script.completed().len(), 3);
    script.sent_bytes();

    script.disconnect();
    script.ask(4, create("/b"));
    let request = script.accept();
    let request = ConnectRequest::decode(&request[4..]).expect("a request");
    assert_eq!(request.session, SESSION);
    assert_eq!(request.password, PASSWORD.0);
    assert_eq!(request.last_zxid_seen, Zxid::from_raw(5));
    let watches = SetWatches {
        relative_zxid: Zxid::from_raw(5),
        data: vec!["/a".into()],
        persistent_recursive: vec!["/p".into()],
        ..SetWatches::default()
    };
    let set_again = Op::Read(Read::SetWatches(Box::new(watches)));
    assert_eq!(script.sent(), [(-4, auth("digest")), (-8, set_again), (3, create("/b"))]);

    script.reply(-4, 0, Ok(Body::Empty));
    script.event(EventKind::NodeDataChanged, "/a");
    script.reply(-8, 6, Ok(Body::Empty));
    let told = [(2, event(EventKind::NodeDataChanged, "/a")), (3, Notice::Gap)];
    assert_eq!(script.delivered(), told);
    assert_eq!(script.completed(), []);
}

#[test]
fn a_refused_session_is_expired() {
    let mut script = Script::connected("");
    script.disconnect();
    script.ask(1, create("/a"));
    script.sleep_until_due();
    script.step(Input::Connected(script.conn()));
    script.answer_handshake(0);
    assert_eq!(script.completed(), [(1, Err(Error::SessionExpired))]);
    assert_eq!(script.session.state(), SessionState::Expired);
    script.ask(2, create("/a"));
    assert_eq!(script.completed(), [(2, Err(Error::SessionExpired))]);
}

#[test]
fn refused_credentials_end_the_session() {
    let mut script = Script::connected("");
    script.ask(1, auth("nonsense"));
    script.ask(2, create("/a"));
    script.reply(-4, 0, Err(ErrorCode::AuthFailed));
    assert_eq!(script.completed(), [(2, lost(true)), (1, Err(Error::AuthFailed))]);
    assert_eq!(script.session.state(), SessionState::AuthFailed);
}

#[test]
fn closing_waits_for_what_was_asked_before() {
    let mut script = Script::connected("");
    script.ask(1, create("/a"));
    script.ask(2, Op::CloseSession);
    script.ask(3, create("/b"));
    assert_eq!(script.completed(), [(3, Err(Error::Closed))]);
    assert_eq!(script.sent(), [(1, create("/a")), (2, Op::CloseSession)]);
    script.reply(1, 5, Err(ErrorCode::NodeExists));
    assert_eq!(script.session.state(), SessionState::Connected);
    script.reply(2, 6, Ok(Body::Empty));
    assert_eq!(script.completed()[1], (2, Ok(Response::Done)));
    assert_eq!(script.states, [SessionState::Connected, SessionState::Closed]);
}

#[test]
fn closing_without_an_answer_closes_too() {
    let mut script = Script::connected("");
    script.ask(1, Op::CloseSession);
    script.disconnect();
    assert_eq!(script.completed(), [(1, lost(true))]);
    assert_eq!(script.session.state(), SessionState::Closed);

    let mut script = Script::new(1, "");
    script.ask(1, create("/a"));
    script.ask(2, Op::CloseSession);
    assert_eq!(script.completed(), [(2, Ok(Response::Done)), (1, Err(Error::Closed))]);
}

#[test]
fn a_request_that_fits_no_frame_is_not_sent() {
    let mut script = Script::connected("");
    let data = Some(vec![0; 0x10_0000].into());
    script.ask(1, Op::Write(Write::SetData { path: "/a".into(), data, version: None }));
    script.ask(2, get("/a", false));
    assert_eq!(script.sent(), [(1, get("/a", false))]);
    let completed = script.completed();
    assert!(matches!(completed[0], (1, Err(Error::RequestTooLarge { max: 0xf_ffff, .. }))));
}

#[test]
fn a_watch_on_what_does_not_exist_waits_for_its_creation() {
    let mut script = Script::connected("");
    script.ask(1, exists("/a"));
    script.reply(1, 5, Err(ErrorCode::NoNode));
    script.ask(2, get("/a", true));
    script.reply(2, 5, Err(ErrorCode::NoNode));
    script.event(EventKind::NodeCreated, "/a");
    script.event(EventKind::NodeDataChanged, "/a");
    assert_eq!(script.delivered(), [(1, event(EventKind::NodeCreated, "/a"))]);
}

#[test]
fn the_chroot_shows_nowhere() {
    let mut script = Script::connected("/app");
    script.ask(1, get("/a", true));
    script.ask(2, create("/b"));
    assert_eq!(script.sent(), [(1, get("/app/a", true)), (2, create("/app/b"))]);
    script.reply(1, 5, Ok(data_body()));
    let stat = Stat::default();
    script.reply(2, 6, Ok(Body::PathAndStat { path: "/app/b", stat: &stat }));
    let created = Response::Created { path: "/b".to_owned(), stat: Some(stat) };
    assert_eq!(script.completed()[1], (2, Ok(created)));
    script.event(EventKind::NodeDeleted, "/app/a");
    assert_eq!(script.delivered(), [(1, event(EventKind::NodeDeleted, "/a"))]);
}

#[test]
fn the_server_forgets_a_persistent_watch_with_its_last_owner() {
    let mut script = Script::connected("");
    script.ask(1, add_watch("/a"));
    script.ask(2, add_watch("/a"));
    script.reply(1, 5, Ok(Body::WatchAdded));
    script.reply(2, 5, Ok(Body::WatchAdded));
    script.sent_bytes();
    script.step(Input::Forget(RequestId(1)));
    assert_eq!(script.sent(), []);
    script.step(Input::Forget(RequestId(2)));
    let kind = WatcherKind::Any;
    let removal = Op::Read(Read::RemoveWatches { path: "/a".into(), kind });
    assert_eq!(script.sent(), [(3, removal)]);
    script.reply(3, 5, Err(ErrorCode::NoWatcher));
    assert_eq!(script.hung_up, None);
    assert_eq!(script.completed().len(), 2);
}

#[test]
fn a_watch_that_is_on_its_way_is_not_swept_away() {
    let mut script = Script::connected("");
    script.ask(1, add_watch("/a"));
    script.reply(1, 5, Ok(Body::WatchAdded));
    script.ask(2, get("/a", true));
    script.sent_bytes();
    script.step(Input::Forget(RequestId(1)));
    assert_eq!(script.sent(), []);
    script.reply(2, 5, Ok(data_body()));
    script.event(EventKind::NodeDataChanged, "/a");
    assert_eq!(script.delivered(), [(2, event(EventKind::NodeDataChanged, "/a"))]);
}

#[test]
fn removed_watches_are_told_so() {
    let mut script = Script::connected("");
    script.ask(1, get("/a", true));
    script.reply(1, 5, Ok(data_body()));
    let kind = WatcherKind::Data;
    script.ask(2, Op::Read(Read::RemoveWatches { path: "/a".into(), kind }));
    script.reply(2, 5, Ok(Body::Empty));
    assert_eq!(script.delivered(), [(1, Notice::Removed)]);
    script.event(EventKind::NodeDataChanged, "/a");
    assert_eq!(script.delivered(), []);
}

#[test]
fn what_the_session_does_itself_can_not_be_asked_for() {
    let mut script = Script::connected("");
    script.ask(1, Op::Ping);
    script.ask(2, Op::Sasl(None));
    script.ask(3, Op::Read(Read::SetWatches(Box::default())));
    for (_, outcome) in script.completed() {
        assert_eq!(outcome, Err(Error::Refused(ErrorCode::Unimplemented)));
    }
    assert_eq!(script.sent(), []);
}

/// The list changes to one in which none of the servers is left.
fn exchange_servers(script: &mut Script) {
    let moved = [None, None];
    script.step(Input::Hosts { count: 3, moved: &moved });
}

#[test]
fn a_server_that_is_not_in_the_list_anymore_is_left_when_all_is_answered() {
    let mut script = Script::new(2, "");
    script.accept();
    script.ask(1, create("/a"));
    exchange_servers(&mut script);
    script.ask(2, create("/b"));
    script.ask(3, auth("digest"));
    assert_eq!(script.sent(), [(1, create("/a"))]);
    assert_eq!(script.hung_up, None);

    let old_conn = script.conn();
    script.reply(1, 5, Err(ErrorCode::NodeExists));
    assert_eq!(script.completed(), [(1, Err(Error::Refused(ErrorCode::NodeExists)))]);
    assert_eq!(script.hung_up, Some(HangUp::Moving));
    assert_eq!(script.session.state(), SessionState::Disconnected);
    assert_ne!(script.conn(), old_conn, "it dials at once");
    script.accept();
    assert_eq!(script.sent(), [(-4, auth("digest")), (2, create("/b"))]);
}

#[test]
fn a_session_that_is_closed_does_not_move_anymore() {
    let mut script = Script::new(2, "");
    script.accept();
    script.ask(1, create("/a"));
    exchange_servers(&mut script);
    script.ask(2, auth("digest"));
    script.ask(3, create("/b"));
    script.sent_bytes();
    script.ask(4, Op::CloseSession);
    let sent = script.sent();
    assert_eq!(sent, [(-4, auth("digest")), (2, create("/b")), (3, Op::CloseSession)]);
}

#[test]
fn a_server_that_stays_is_kept() {
    let mut script = Script::new(2, "");
    script.accept();
    let moved = [Some(HostIndex(1)), Some(HostIndex(0))];
    script.step(Input::Hosts { count: 2, moved: &moved });
    assert_eq!(script.hung_up, None);
    assert_eq!(script.session.state(), SessionState::Connected);
}

#[test]
fn a_session_without_a_connection_dials_the_new_servers() {
    let mut script = Script::new(1, "");
    script.step(Input::Hosts { count: 1, moved: &[None] });
    script.disconnect();
    script.sleep_until_due();
    script.accept();
    assert_eq!(script.session.state(), SessionState::Connected);
}

#[test]
fn a_server_without_a_quorum_is_left_for_one_that_serves_writes() {
    let mut script = Script::new(3, "");
    script.step(Input::Connected(script.conn()));
    script.sent_bytes();
    script.answer_handshake_of(30_000, true);
    assert_eq!(script.session.state(), SessionState::ConnectedReadOnly);
    assert_eq!(script.session.ticket(), None, "no other server knows it");
    let (_, first) = script.dialed.expect("dialed");

    // It looks around, and ever more rarely.
    assert_eq!(script.sleep_until_due(), Duration::from_millis(100));
    assert_eq!(script.sleep_until_due(), Duration::from_millis(200));
    assert_eq!(script.sleep_until_due(), Duration::from_millis(400));
    assert_eq!(script.probed.len(), 3);
    assert!(!script.probed.contains(&first));

    let found = script.probed[0];
    script.ask(1, get("/a", false));
    script.step(Input::ServesWrites(found));
    assert_eq!(script.hung_up, None, "a read is under way");
    script.reply(1, 5, Ok(data_body()));
    assert_eq!(script.hung_up, Some(HangUp::Moving));
    assert_eq!(script.dialed.map(|(_, host)| host), Some(found));

    // A new session: the old one was that server's own.
    let request = script.accept();
    assert_eq!(request[4 + 4 + 8 + 4..][..8], [0; 8]);
    assert_eq!(script.session.state(), SessionState::Connected);
    assert_eq!(script.session.ticket().map(|ticket| ticket.id), Some(SESSION));
    let probed = script.probed.len();
    script.sleep_until_due();
    assert_eq!(script.probed.len(), probed);
}

#[test]
fn a_session_that_all_know_is_resumed_after_a_server_without_a_quorum() {
    let mut script = Script::new(1, "");
    script.accept();
    script.disconnect();
    script.sleep_until_due();
    script.step(Input::Connected(script.conn()));
    script.sent_bytes();
    script.answer_handshake_of(30_000, true);
    assert_eq!(script.session.ticket().map(|ticket| ticket.id), Some(SESSION));
    script.disconnect();
    script.sleep_until_due();
    let request = script.accept();
    assert_eq!(request[4 + 4 + 8 + 4..][..8], SESSION.0.to_be_bytes());
}
