//! A client's session and what a server says to it: no bytes make it panic, where they are cut changes
//! nothing, and every request is done exactly once.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::mem;
use std::time::Duration;

use reefkeeper_client::session::{
    Chroot, Config, Effect, Effects, Input, RequestId, SaslStep, Session,
};
use types::{
    Acl, AclList, AuthPacket, ConnId, Create, CreateCall, CreateMode, Id, Instant, MultiOp,
    MultiReadOp, Op, Perms, Read, ReconfigRequest, SessionId, SessionPassword, WatchMode,
    WatcherKind, Write, Xid, Zxid,
};
use wire::connect::ConnectResponse;
use wire::frame;
use wire::reply::{Body, Reply};

/// The longest frame that the session takes.
const FRAME_BYTES_MAX: usize = 4096;
/// Of shorter sessions a part is over before the next piece arrives, although no time passes: halves and
/// thirds of a few milliseconds are none.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
/// What the first byte of an input says beside the operation.
const OP_BITS: u8 = 0b0001_1111;
const CHROOT_BIT: u8 = 0b0010_0000;
const SASL_BIT: u8 = 0b0100_0000;
const RECORD_BIT: u8 = 0b1000_0000;

/// What a server says to a session that asks for one thing and watches a znode. The first byte chooses the
/// operation and how the session is set up, the second in which pieces the rest arrives; the rest is all
/// that the server says, or only the record of its answer.
pub fn client_session(input: &[u8]) {
    let Some((&[choice, piece_bytes], said)) = input.split_first_chunk() else { return };
    let mut stream = Vec::new();
    let said = if choice & RECORD_BIT == 0 {
        said
    } else {
        if said.len() > FRAME_BYTES_MAX - ReplyStart::BYTES {
            return;
        }
        ReplyStart::put(&mut stream, choice & SASL_BIT != 0, said.len());
        stream.extend_from_slice(said);
        &stream
    };
    let in_frames = World::run(choice, frames(said).into_iter());
    let in_pieces = World::run(choice, said.chunks(usize::from(piece_bytes).max(1)));
    // A server that answers tokens before it has them is told from one that waits its turn.
    if choice & SASL_BIT == 0 && in_frames.session.timeout() >= TIMEOUT_MIN {
        assert_eq!(in_frames.done, in_pieces.done);
        assert_eq!(in_frames.session.last_zxid_seen(), in_pieces.session.last_zxid_seen());
    }
}

/// Frame by frame; what is none comes last.
fn frames(mut said: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Ok(Some((_, bytes))) = frame::split(said, FRAME_BYTES_MAX) {
        let (frame, rest) = said.split_at(bytes);
        frames.push(frame);
        said = rest;
    }
    frames.push(said);
    frames
}

/// What comes before the record of the answer to the first request.
struct ReplyStart;

impl ReplyStart {
    /// Of a reply's header.
    const BYTES: usize = 16;

    /// The handshake's answer, that to a token if there is one, and the start of a frame.
    fn put(out: &mut Vec<u8>, uses_sasl: bool, record_bytes: usize) {
        let (session, password) = (SessionId(7), SessionPassword([7; 16]));
        ConnectResponse { timeout_ms: 6000, session, password, read_only: Some(false) }.encode(out);
        let mut xid = 1;
        if uses_sasl {
            let result = Ok(Body::Token(None));
            Reply { xid: Xid(xid), zxid: Zxid::ZERO, result }.encode(out);
            xid += 1;
        }
        let bytes = i32::try_from(Self::BYTES + record_bytes).expect("a short record");
        out.extend_from_slice(&bytes.to_be_bytes());
        out.extend_from_slice(&xid.to_be_bytes());
        out.extend_from_slice(&0x1_0000_0001_i64.to_be_bytes());
        out.extend_from_slice(&0_i32.to_be_bytes());
    }
}

/// A session, and what came of it.
struct World {
    session: Session,
    effects: Effects,
    conn: Option<ConnId>,
    unanswered: BTreeSet<RequestId>,
    /// What it did, but for what is written to the server.
    done: String,
}

impl World {
    /// A session whose server says this piece by piece, and is gone then.
    fn run<'s>(choice: u8, said: impl Iterator<Item = &'s [u8]>) -> Self {
        let chroot = if choice & CHROOT_BIT == 0 { "" } else { "/app" };
        let session = Session::new(Config {
            hosts: 1,
            timeout: Duration::from_secs(6),
            chroot: Chroot::new(chroot).expect("a path"),
            read_only: true,
            resume: None,
            frame_bytes_max: FRAME_BYTES_MAX,
            seed: 7,
        });
        let session = if choice & SASL_BIT == 0 { session } else { session.with_sasl() };
        let mut world = Self {
            session,
            effects: Effects::default(),
            conn: None,
            unanswered: BTreeSet::new(),
            done: String::new(),
        };
        world.step(Input::Deadline);
        let conn = world.conn.expect("the only server is dialed at once");
        world.ask(1, op(choice & OP_BITS));
        world.ask(2, Op::Read(Read::GetData { path: "/a".into(), watch: true }));
        world.step(Input::Connected(conn));
        for bytes in said {
            world.step(Input::Received { conn, bytes });
        }
        world.step(Input::Disconnected(conn));
        world.step(Input::Detach);
        assert!(world.session.state().is_over());
        assert_eq!(world.session.next_deadline(), None);
        assert!(
            world.unanswered.is_empty(),
            "never done: {:?}, only\n{}",
            world.unanswered,
            world.done
        );
        world
    }

    fn ask(&mut self, number: u64, op: Op<'static>) {
        self.unanswered.insert(RequestId(number));
        self.step(Input::Request { id: RequestId(number), op });
    }

    fn step(&mut self, input: Input<'_>) {
        self.session.step(Instant::default(), input, &mut self.effects);
        for effect in mem::take(&mut self.effects.list) {
            self.done.push_str(&format!("{effect:?}\n"));
            match effect {
                Effect::Dial { conn, .. } => self.conn = Some(conn),
                Effect::Complete { id, .. } => {
                    assert!(
                        self.unanswered.remove(&id),
                        "{id:?} is done twice, or was never asked"
                    );
                }
                Effect::Deliver { watch, .. } => {
                    assert!(watch.0 <= 2, "{watch:?} was never set");
                }
                Effect::SaslBegin { conn } => {
                    self.step(Input::Sasl { conn, step: SaslStep::Token(b"token".to_vec()) });
                }
                Effect::SaslToken { conn, .. } => {
                    self.step(Input::Sasl { conn, step: SaslStep::Done });
                }
                Effect::HangUp { .. } | Effect::Probe { .. } | Effect::State(_) => {}
            }
        }
    }
}

/// A change of membership that takes a server away.
const RECONFIG: ReconfigRequest<'static> = ReconfigRequest {
    joining: None,
    leaving: Some(Cow::Borrowed("3")),
    new_members: None,
    based_on: None,
};

/// An operation of each kind that a program may ask for before there is a connection.
fn op(number: u8) -> Op<'static> {
    const PATH: Cow<'static, str> = Cow::Borrowed("/a");
    let create = |call, mode| {
        let (path, acl) = (PATH, AclList::open());
        Op::Write(Write::Create(Create { call, path, data: Some(b"data"[..].into()), acl, mode }))
    };
    let read = match number % 22 {
        0 => Read::Exists { path: PATH, watch: true },
        1 => Read::GetData { path: PATH, watch: false },
        2 => Read::GetAcl { path: PATH },
        3 => Read::GetChildren { path: PATH, watch: true },
        4 => Read::GetChildren2 { path: PATH, watch: false },
        5 => Read::GetAllChildrenNumber { path: PATH },
        6 => Read::GetEphemerals { prefix: Some(PATH) },
        7 => Read::WhoAmI,
        8 => Read::MultiRead(vec![
            MultiReadOp::GetData { path: PATH },
            MultiReadOp::GetChildren { path: PATH },
        ]),
        9 => Read::AddWatch { path: "/".into(), mode: WatchMode::PersistentRecursive },
        10 => Read::AddWatch { path: PATH, mode: WatchMode::Persistent },
        11 => Read::CheckWatches { path: PATH, kind: WatcherKind::Any },
        12 => Read::RemoveWatches { path: PATH, kind: WatcherKind::Any },
        13 => return create(CreateCall::Create, CreateMode::PersistentSequential),
        14 => return create(CreateCall::Create2, CreateMode::Ephemeral),
        15 => return Op::Write(Write::Delete { path: PATH, version: None }),
        16 => return Op::Write(Write::SetData { path: PATH, data: None, version: None }),
        17 => {
            let acl = vec![Acl { perms: Perms::ALL, id: Id::new("ip", "::1") }].into();
            return Op::Write(Write::SetAcl { path: PATH, acl, version: None });
        }
        18 => {
            let delete = MultiOp::Delete { path: PATH, version: None };
            return Op::Write(Write::Multi(vec![
                MultiOp::Check { path: PATH, version: None },
                delete,
            ]));
        }
        19 => return Op::Write(Write::Reconfig(Box::new(RECONFIG))),
        20 => return Op::Sync { path: PATH },
        _ => {
            let (scheme, auth) = ("digest".into(), Some(b"bob:secret"[..].into()));
            return Op::Auth(AuthPacket { scheme, auth });
        }
    };
    Op::Read(read)
}
