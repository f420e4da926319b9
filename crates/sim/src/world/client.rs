//! A client on the wire: keeps its session over lost connections, sends several requests at once,
//! sets its watches again, and notes everything it sees.

use std::collections::{BTreeSet, VecDeque};

use types::{
    AuthPacket, ErrorCode, EventKind, Instant, Op, Read, SessionId, SetWatches, Stat, WatchMode,
    WatcherKind, Write, Xid, Zxid,
};

use super::link::LinkId;
use super::node::NodeId;
use super::plan::Plan;
use super::workload::OPERATOR;
use crate::history::{Answer, ClientId, PartAnswer};

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) role: Role,
    /// The address that the server sees.
    pub(super) address: [u8; 4],
    pub(super) phase: Phase,
    /// The session it has, with its password.
    pub(super) session: Option<(SessionId, [u8; 16])>,
    /// Whether it is connected to a server without a leader, in a session that nobody else knows.
    pub(super) is_aside: bool,
    /// The highest zxid it has seen.
    pub(super) seen: Zxid,
    pub(super) link: Option<LinkId>,
    /// The server that served it last.
    pub(super) server: Option<NodeId>,
    /// Bytes received that are no whole frame yet.
    pub(super) inbox: Vec<u8>,
    /// Requests without a reply, in the order sent.
    pub(super) pending: VecDeque<(Xid, Op<'static>)>,
    /// When it asked for its session last.
    pub(super) asked: Instant,
    /// When it was connected, or heard the server last.
    pub(super) heard: Instant,
    /// It does nothing before this.
    pub(super) silent_until: Instant,
    /// It asks for nothing before this, but keeps its session.
    pub(super) rests_until: Instant,
    /// When it asks its server whether that still knows everything.
    pub(super) doubts_at: Option<Instant>,
    pub(super) watches: WatchBook,
    /// What is wrong with the handshake on the wire.
    pub(super) lie: Option<Lie>,
    /// Presented with each new connection.
    pub(super) credentials: Vec<AuthPacket<'static>>,
    /// Requests made while faults were about.
    pub(super) made: u64,
    /// A version of some znode that it saw.
    pub(super) version: i32,
    /// A request for another membership was not answered, and never will be.
    pub(super) is_in_doubt: bool,
    /// A name with a counter that it saw.
    pub(super) numbered: Option<String>,
    /// How far it has come with what it does at the end.
    pub(super) farewell: Farewell,
    next_xid: i32,
}

/// What a client is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// To work with znodes.
    Worker,
    /// To change the membership.
    Operator,
}

/// A handshake that must not be answered with a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lie {
    /// Another password than that of the session.
    Password,
    /// A zxid that no server has reached yet.
    Zxid,
}

/// Where a client stands with its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Offline,
    /// The handshake is sent and not answered.
    Handshake,
    Online,
    /// It does nothing more.
    Gone,
}

/// What a client does once there are no more faults, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Farewell {
    NotYet,
    /// A write that must succeed, a sync and a read are on the wire.
    Asked,
    /// They were answered.
    Answered,
    /// The end of its session is on the wire.
    Closing,
}

impl Client {
    pub(super) fn new(number: u32) -> Self {
        let last = u8::try_from(number % 200 + 1).unwrap_or(1);
        Self {
            id: ClientId(number),
            role: Role::Worker,
            address: [10, 0, 0, last],
            phase: Phase::Offline,
            session: None,
            is_aside: false,
            seen: Zxid::ZERO,
            link: None,
            server: None,
            inbox: Vec::new(),
            pending: VecDeque::new(),
            asked: Instant::default(),
            heard: Instant::default(),
            silent_until: Instant::default(),
            rests_until: Instant::default(),
            doubts_at: None,
            watches: WatchBook::default(),
            lie: None,
            credentials: Vec::new(),
            made: 0,
            version: 0,
            is_in_doubt: false,
            numbered: None,
            farewell: Farewell::NotYet,
            next_xid: 1,
        }
    }

    /// Somebody who changes the membership, and says who he is.
    pub(super) fn operator(number: u32) -> Self {
        let auth = Some(OPERATOR.into());
        let credentials = vec![AuthPacket { scheme: "digest".into(), auth }];
        Self { role: Role::Operator, credentials, ..Self::new(number) }
    }

    /// How many requests it makes in a run.
    pub(super) fn quota(&self, plan: &Plan) -> u64 {
        match self.role {
            Role::Worker => plan.requests,
            Role::Operator => plan.changes,
        }
    }

    /// The number for a request.
    pub(super) fn number(&mut self, op: &Op<'_>) -> Xid {
        match op {
            Op::Ping => Xid::PING,
            Op::Auth(_) => Xid::AUTH,
            Op::Read(Read::SetWatches(_)) => Xid::SET_WATCHES,
            _ => {
                let xid = Xid(self.next_xid);
                self.next_xid += 1;
                xid
            }
        }
    }

    /// Takes a request off the list when its reply comes.
    pub(super) fn answered(&mut self, xid: Xid) -> Option<Op<'static>> {
        let at = self.pending.iter().position(|(pending, _)| *pending == xid)?;
        self.pending.remove(at).map(|(_, op)| op)
    }

    /// Notes that a request will not be answered.
    pub(super) fn gives_up(&mut self, op: &Op<'_>) {
        self.is_in_doubt |= matches!(op, Op::Write(Write::Reconfig(_)));
    }

    /// Requests on the wire, pings and credentials aside.
    pub(super) fn outstanding(&self) -> usize {
        let ordinary = |(xid, _): &&(Xid, Op<'_>)| !matches!(*xid, Xid::PING | Xid::AUTH);
        self.pending.iter().filter(ordinary).count()
    }

    /// Forgets the session: it is over.
    pub(super) fn lose_session(&mut self) {
        self.session = None;
        self.watches = WatchBook::default();
    }

    /// Learns from a reply.
    pub(super) fn learn(&mut self, op: &Op<'static>, result: &Result<Answer, ErrorCode>) {
        if let Op::Read(read) = op {
            self.watches.note(read, result);
        }
        match result {
            Ok(Answer::Created(path, stat)) => {
                self.learn_path(path);
                self.learn_stat(stat);
            }
            Ok(Answer::Path(path)) => self.learn_path(path),
            Ok(Answer::Stat(stat) | Answer::Data(_, stat)) => self.learn_stat(stat),
            Ok(Answer::Multi(parts)) => {
                for part in parts {
                    if let PartAnswer::Stat(stat) = part {
                        self.learn_stat(stat);
                    }
                }
            }
            _ => {}
        }
    }

    fn learn_stat(&mut self, stat: &Stat) {
        self.version = stat.version;
    }

    fn learn_path(&mut self, path: &str) {
        if path.starts_with("/q/n-") {
            self.numbered = Some(path.to_owned());
        }
    }
}

/// The watches that a client believes to have, as Java's client keeps them.
#[derive(Clone, Debug, Default)]
pub struct WatchBook {
    data: BTreeSet<String>,
    exist: BTreeSet<String>,
    child: BTreeSet<String>,
    persistent: BTreeSet<String>,
    recursive: BTreeSet<String>,
}

impl WatchBook {
    /// The request that sets them again; `None` if there are none.
    pub fn reset(&self, seen: Zxid) -> Option<Read<'static>> {
        let list =
            |paths: &BTreeSet<String>| paths.iter().map(|path| path.clone().into()).collect();
        let watches = SetWatches {
            relative_zxid: seen,
            data: list(&self.data),
            exist: list(&self.exist),
            child: list(&self.child),
            persistent: list(&self.persistent),
            persistent_recursive: list(&self.recursive),
        };
        let none = SetWatches { relative_zxid: seen, ..SetWatches::default() };
        (watches != none).then(|| Read::SetWatches(Box::new(watches)))
    }

    /// Learns from an answer.
    pub fn note(&mut self, read: &Read<'_>, result: &Result<Answer, ErrorCode>) {
        match (read, result) {
            (Read::Exists { path, watch: true }, Err(ErrorCode::NoNode)) => {
                self.exist.insert(path.to_string());
            }
            (Read::Exists { path, watch: true } | Read::GetData { path, watch: true }, Ok(_)) => {
                self.data.insert(path.to_string());
            }
            (
                Read::GetChildren { path, watch: true } | Read::GetChildren2 { path, watch: true },
                Ok(_),
            ) => {
                self.child.insert(path.to_string());
            }
            (Read::AddWatch { path, mode: WatchMode::Persistent }, Ok(_)) => {
                self.persistent.insert(path.to_string());
            }
            (Read::AddWatch { path, mode: WatchMode::PersistentRecursive }, Ok(_)) => {
                self.recursive.insert(path.to_string());
            }
            (Read::RemoveWatches { path, kind }, Ok(_)) => self.forget(path, *kind),
            _ => {}
        }
    }

    fn forget(&mut self, path: &str, kind: WatcherKind) {
        let lists: &mut [&mut BTreeSet<String>] = match kind {
            WatcherKind::Children => &mut [&mut self.child],
            WatcherKind::Data => &mut [&mut self.data, &mut self.exist],
            WatcherKind::Persistent => &mut [&mut self.persistent],
            WatcherKind::PersistentRecursive => &mut [&mut self.recursive],
            WatcherKind::Any => &mut [
                &mut self.child,
                &mut self.data,
                &mut self.exist,
                &mut self.persistent,
                &mut self.recursive,
            ],
        };
        for list in lists {
            list.remove(path);
        }
    }

    /// An event uses up one-shot watches.
    pub fn fired(&mut self, kind: EventKind, path: &str) {
        match kind {
            EventKind::NodeCreated | EventKind::NodeDataChanged => {
                self.data.remove(path);
                self.exist.remove(path);
            }
            EventKind::NodeDeleted => {
                self.data.remove(path);
                self.exist.remove(path);
                self.child.remove(path);
            }
            EventKind::NodeChildrenChanged => {
                self.child.remove(path);
            }
        }
    }
}
