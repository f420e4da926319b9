//! What holds for every session, whatever happens to it in whatever order.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use types::{EventKind, WatchMode};
use wire::connect::ConnectResponse;
use wire::frame;
use wire::reply::{Body, Reply};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(6);

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happening {
    Read,
    Write,
    Watch,
    Authenticate,
    Forget(u64),
    Connect,
    Accept,
    Refuse,
    /// The oldest unanswered request is answered, with that code.
    Answer(i32),
    /// A request is answered that was never sent, or not yet.
    AnswerOutOfOrder,
    AuthAnswer(i32),
    Event,
    Garbage(Vec<u8>),
    Lose,
    /// The list of servers is another; whether ours stays.
    Hosts(bool),
    /// Milliseconds pass.
    Wait(u64),
    Close,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => Just(Happening::Read),
        6 => Just(Happening::Write),
        3 => Just(Happening::Watch),
        1 => Just(Happening::Authenticate),
        2 => (0..40_u64).prop_map(Happening::Forget),
        8 => Just(Happening::Connect),
        8 => Just(Happening::Accept),
        1 => Just(Happening::Refuse),
        12 => prop_oneof![4 => Just(0), 1 => Just(-101), 1 => Just(-777)].prop_map(Happening::Answer),
        1 => Just(Happening::AnswerOutOfOrder),
        1 => prop_oneof![3 => Just(0), 1 => Just(-115)].prop_map(Happening::AuthAnswer),
        2 => Just(Happening::Event),
        1 => vec(any::<u8>(), 1..40).prop_map(Happening::Garbage),
        3 => Just(Happening::Lose),
        1 => any::<bool>().prop_map(Happening::Hosts),
        5 => (0..3000_u64).prop_map(Happening::Wait),
        1 => Just(Happening::Close),
    ]
}

/// A session in the middle of everything, and what is known of it from outside.
struct World {
    session: Session,
    now: Instant,
    effects: Effects,
    conn: Option<ConnId>,
    /// Requests by number, with whether they can change anything.
    asked: BTreeMap<RequestId, bool>,
    done: BTreeMap<RequestId, Result<Response, Error>>,
    /// Numbers of requests that the current connection carried and that are not answered.
    unanswered: VecDeque<Xid>,
    state: SessionState,
}

impl World {
    fn new() -> Self {
        let session = Session::new(Config {
            hosts: 2,
            timeout: TIMEOUT,
            chroot: Chroot::default(),
            read_only: false,
            resume: None,
            frame_bytes_max: 4096,
            seed: 7,
        });
        Self {
            session,
            now: Instant::default(),
            effects: Effects::default(),
            conn: None,
            asked: BTreeMap::new(),
            done: BTreeMap::new(),
            unanswered: VecDeque::new(),
            state: SessionState::Connecting,
        }
    }

    fn step(&mut self, input: Input<'_>) {
        self.session.step(self.now, input, &mut self.effects);
        for effect in mem::take(&mut self.effects.list) {
            match effect {
                Effect::Dial { conn, .. } => {
                    assert_eq!(self.conn, None, "one connection at a time");
                    self.conn = Some(conn);
                    self.unanswered.clear();
                }
                Effect::HangUp { conn, .. } => {
                    assert_eq!(self.conn.take(), Some(conn));
                }
                Effect::Complete { id, outcome } => {
                    assert!(self.asked.contains_key(&id), "never asked");
                    assert!(self.done.insert(id, outcome).is_none(), "done twice");
                }
                Effect::Deliver { .. } | Effect::Probe { .. } => {}
                Effect::SaslBegin { .. } | Effect::SaslToken { .. } => panic!("not asked for"),
                Effect::State(state) => {
                    assert!(!self.state.is_over(), "nothing follows the end");
                    assert_ne!(state, self.state);
                    self.state = state;
                }
            }
        }
        assert_eq!(self.state, self.session.state());
        if let Some(deadline) = self.session.next_deadline() {
            assert!(deadline > self.now, "everything that is due was done");
        }
        self.read_outgoing();
    }

    /// Notes what the server would have to answer.
    fn read_outgoing(&mut self) {
        let bytes = mem::take(&mut self.effects.outgoing);
        let mut rest = bytes.as_slice();
        while let Some((body, used)) = frame::split(rest, usize::MAX).expect("a frame") {
            if let Ok(request) = Request::decode(body)
                && !matches!(request.xid, Xid::PING | Xid::AUTH | Xid(0))
            {
                self.unanswered.push_back(request.xid);
            }
            rest = &rest[used..];
        }
    }

    fn ask(&mut self, op: Op<'static>) {
        let id = RequestId(self.asked.len() as u64);
        self.asked.insert(id, matches!(op, Op::Write(_) | Op::CloseSession));
        self.step(Input::Request { id, op });
    }

    fn receive(&mut self, bytes: &[u8]) {
        if let Some(conn) = self.conn {
            self.step(Input::Received { conn, bytes });
        }
    }

    fn answer(&mut self, xid: Xid, code: i32) {
        let mut bytes = Vec::new();
        let zxid = Zxid::from_raw(3);
        match (code, ErrorCode::from_raw(code)) {
            (_, Some(code)) => Reply { xid, zxid, result: Err(code) }.encode(&mut bytes),
            // Long enough to be read as any of the records that are asked for here.
            (0, None) => {
                let stat = types::Stat::default();
                let body = Body::Data { data: None, stat: &stat };
                Reply { xid, zxid, result: Ok(body) }.encode(&mut bytes);
            }
            (code, None) => {
                bytes.extend([0, 0, 0, 16]);
                bytes.extend(xid.0.to_be_bytes());
                bytes.extend(zxid.raw().to_be_bytes());
                bytes.extend(code.to_be_bytes());
            }
        }
        self.receive(&bytes);
    }

    fn handshake(&mut self, timeout_ms: i32) {
        let is_handshaking = matches!(self.session.link, Link::Handshaking { .. });
        if is_handshaking {
            let (session, password) = (SessionId(5), SessionPassword([5; 16]));
            let mut bytes = Vec::new();
            ConnectResponse { timeout_ms, session, password, read_only: Some(false) }
                .encode(&mut bytes);
            self.unanswered.clear();
            self.receive(&bytes);
        }
    }

    fn happen(&mut self, happening: Happening) {
        let path = "/a";
        match happening {
            Happening::Read => {
                self.ask(Op::Read(Read::GetData { path: path.into(), watch: true }));
            }
            Happening::Write => {
                let (path, data) = (path.into(), Some(b"x".into()));
                self.ask(Op::Write(Write::SetData { path, data, version: None }));
            }
            Happening::Watch => {
                let mode = WatchMode::Persistent;
                self.ask(Op::Read(Read::AddWatch { path: path.into(), mode }));
            }
            Happening::Authenticate => {
                self.ask(Op::Auth(AuthPacket { scheme: "digest".into(), auth: None }));
            }
            Happening::Forget(id) => self.step(Input::Forget(RequestId(id))),
            Happening::Connect => {
                if let Some(conn) = self.conn {
                    self.step(Input::Connected(conn));
                }
            }
            Happening::Accept => self.handshake(6000),
            Happening::Refuse => self.handshake(0),
            Happening::Answer(code) => {
                if let Some(xid) = self.unanswered.pop_front() {
                    self.answer(xid, code);
                }
            }
            Happening::AnswerOutOfOrder => self.answer(Xid(1_000_000), 0),
            Happening::AuthAnswer(code) => self.answer(Xid::AUTH, code),
            Happening::Event => {
                let mut bytes = Vec::new();
                let kind = EventKind::NodeDataChanged;
                wire::event::WatchEvent { zxid: None, kind, path: path.into() }.encode(&mut bytes);
                self.receive(&bytes);
            }
            Happening::Garbage(bytes) => self.receive(&bytes),
            Happening::Lose => {
                if let Some(conn) = self.conn.take() {
                    self.step(Input::Disconnected(conn));
                }
            }
            Happening::Hosts(stays) => {
                let place = |place| Some(HostIndex(place)).filter(|_| stays);
                self.step(Input::Hosts { count: 2, moved: &[place(1), place(0)] });
            }
            Happening::Wait(millis) => {
                self.now = self.now.after(Duration::from_millis(millis));
                self.step(Input::Deadline);
            }
            Happening::Close => self.ask(Op::CloseSession),
        }
    }

    /// Nothing happens anymore but time and the wish to end.
    fn finish(&mut self) {
        self.ask(Op::CloseSession);
        for _ in 0..1000 {
            let Some(deadline) = self.session.next_deadline() else { return };
            self.now = deadline;
            self.step(Input::Deadline);
        }
        panic!("a session that is left alone must end");
    }
}

proptest! {
    #[test]
    fn every_request_is_done_once_and_errors_tell_the_truth(
        happenings in vec(happening(), 0..100),
    ) {
        let mut world = World::new();
        world.step(Input::Deadline);
        for happening in happenings {
            world.happen(happening);
        }
        world.finish();
        prop_assert!(world.session.state().is_over());
        prop_assert_eq!(world.conn, None);
        for (id, may_change) in &world.asked {
            let outcome = world.done.get(id);
            prop_assert!(outcome.is_some(), "{:?} is never done", id);
            if let Some(Err(error)) = outcome {
                prop_assert!(*may_change || !error.may_have_happened(), "{:?}: {}", id, error);
            }
        }
    }
}
