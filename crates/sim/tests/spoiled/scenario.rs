//! An honest server made of the model, and one long history of it, every line with a name.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use sim::history::{Answer, ClientId, Event, Fault, History, LoggedTxn};
use sim::model::{Asker, Credentials, Model, Rules, Sessions};
use types::{
    Acl, AclList, AuthPacket, ConnId, Create, CreateCall, CreateMode, ErrorCode, EventKind,
    ExtendedTypes, Id, Instant, MultiOp, Op, Perms, Read, SessionId, SetWatches, Sid, Txn,
    TxnDigest, TxnHeader, WatchMode, WatcherKind, Write, Xid, Zxid,
};

pub(crate) const ALICE: u32 = 1;
pub(crate) const BOB: u32 = 2;
pub(crate) const CAROL: u32 = 3;
pub(crate) const DAVE: u32 = 4;
const SERVER: Sid = Sid(1);
const ALICE_ID: &str = "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=";

/// A history whose lines and transactions have names.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) history: History,
    invoked: BTreeMap<&'static str, usize>,
    replied: BTreeMap<&'static str, usize>,
    events: BTreeMap<&'static str, usize>,
    logged: BTreeMap<&'static str, usize>,
    model: Model,
    connections: BTreeMap<ConnId, Connection>,
    now: Instant,
    next_xid: i32,
}

#[derive(Clone)]
struct Connection {
    client: ClientId,
    session: SessionId,
    ids: Vec<Id>,
}

pub(crate) fn rules() -> Rc<Rules> {
    rules_where(Sessions::Global)
}

pub(crate) fn rules_where(sessions: Sessions) -> Rc<Rules> {
    Rc::new(Rules {
        extended_types: ExtendedTypes::Enabled,
        membership: None,
        credentials: vec![Credentials {
            scheme: "digest".to_owned(),
            auth: b"alice:secret".to_vec(),
            ids: vec![Id::new("digest", ALICE_ID)],
        }],
        sessions,
    })
}

impl Scenario {
    fn new() -> Self {
        Self::of(rules())
    }

    fn of(rules: Rc<Rules>) -> Self {
        Self {
            history: History::default(),
            invoked: BTreeMap::new(),
            replied: BTreeMap::new(),
            events: BTreeMap::new(),
            logged: BTreeMap::new(),
            model: Model::new(rules),
            connections: BTreeMap::new(),
            now: Instant::default(),
            next_xid: 0,
        }
    }

    fn push(&mut self, event: Event) -> usize {
        self.now = self.now.after(Duration::from_millis(1));
        self.history.push(self.now, event);
        self.history.lines.len() - 1
    }

    fn append(&mut self, name: &'static str, session: SessionId, cxid: Xid, txn: Txn) {
        let zxid = self.model.last_applied().successor();
        let header = TxnHeader { session, cxid, zxid, time_ms: 1_000_000 };
        self.append_at(name, header, txn);
    }

    fn append_at(&mut self, name: &'static str, header: TxnHeader, txn: Txn) {
        self.model.apply(&header, &txn);
        let digest = Some(TxnDigest { version: TxnDigest::VERSION, tree: self.model.digest() });
        self.logged.insert(name, self.history.log.len());
        self.history.log.push(LoggedTxn { at: Some(self.now), header, txn, digest });
    }

    fn open(&mut self, name: &'static str, client: u32, conn: u64) {
        let session = SessionId(0x0100_0000_0000_0000 + i64::try_from(conn).expect("small"));
        self.append(name, session, Xid::INTERNAL, Txn::CreateSession { timeout_ms: 4000 });
        self.attach(name, client, conn, session, None);
    }

    fn attach(
        &mut self,
        name: &'static str,
        client: u32,
        conn: u64,
        session: SessionId,
        resumed: Option<SessionId>,
    ) {
        let (client, conn) = (ClientId(client), ConnId(conn));
        let address = "10.0.0.1".to_owned();
        let ids = vec![Id::new("ip", address.as_str())];
        self.connections.insert(conn, Connection { client, session, ids });
        let timeout_ms = 4000;
        let (read_only, asked) = (false, None);
        let event = Event::Connected {
            client,
            conn,
            address,
            resumed,
            asked,
            session,
            timeout_ms,
            read_only,
        };
        let line = self.push(event);
        self.events.insert(name, line);
    }

    fn send(&mut self, name: &'static str, conn: u64, op: Op<'static>) -> Xid {
        self.next_xid += 1;
        let xid = match op {
            Op::Ping => Xid::PING,
            Op::Auth(_) => Xid::AUTH,
            _ => Xid(self.next_xid),
        };
        let conn = ConnId(conn);
        let Connection { client, session, .. } = self.connections[&conn].clone();
        let line = self.push(Event::Invoke { client, session, conn, server: SERVER, xid, op });
        self.invoked.insert(name, line);
        xid
    }

    fn op(&self, name: &str) -> (ConnId, Xid, Op<'static>) {
        match &self.history.lines[self.invoked[name]].event {
            Event::Invoke { conn, xid, op, .. } => (*conn, *xid, op.clone()),
            other => panic!("{other:?}"),
        }
    }

    /// Does what was asked, and returns the answer.
    fn execute(&mut self, name: &'static str) -> Result<Answer, ErrorCode> {
        let (conn, xid, op) = self.op(name);
        let Connection { session, ids, .. } = self.connections[&conn].clone();
        match op {
            Op::Write(write) => {
                let zxid = self.model.last_applied().successor();
                let header = TxnHeader { session, cxid: xid, zxid, time_ms: 1_000_000 };
                let txn = self.model.decide(&header, Asker { session, ids: &ids }, &write);
                let applied = self.model.clone().apply(&header, &txn);
                self.append_at(name, header, txn.clone());
                Model::answer(&write, &txn, &applied.stats)
                    .map_err(|code| ErrorCode::from_raw(code).expect("a known code"))
            }
            Op::CloseSession => {
                let paths = self.model.owned_by(session).into_iter().map(Box::from).collect();
                self.append(name, session, xid, Txn::CloseSession { paths: Some(paths) });
                Ok(Answer::Done)
            }
            Op::Read(read) => self.model.read(session, &ids, &read).unwrap_or(Ok(Answer::Done)),
            Op::Sync { path } => Ok(Answer::Path(path.into_owned())),
            Op::Ping => Ok(Answer::Done),
            Op::Auth(_) => {
                let connection = self.connections.get_mut(&conn).expect("known");
                connection.ids.push(Id::new("digest", ALICE_ID));
                Ok(Answer::Done)
            }
            Op::Sasl(_) => panic!("not in the scenario"),
        }
    }

    fn reply(&mut self, name: &'static str, result: Result<Answer, ErrorCode>) {
        let (conn, xid, op) = self.op(name);
        let client = self.connections[&conn].client;
        let zxid = match (&op, self.logged.get(name)) {
            (Op::Auth(_), _) => None,
            (_, Some(&index)) => Some(self.history.log[index].header.zxid),
            (_, None) => Some(self.model.last_applied()),
        };
        let line = self.push(Event::Reply { client, conn, xid, zxid, result });
        self.replied.insert(name, line);
    }

    fn call(&mut self, name: &'static str, conn: u64, op: Op<'static>) {
        self.send(name, conn, op);
        let result = self.execute(name);
        self.reply(name, result);
    }

    /// As [`Self::call`], with events to others before the reply.
    fn call_telling(
        &mut self,
        name: &'static str,
        conn: u64,
        op: Op<'static>,
        told: &[(&'static str, u64, EventKind, &str)],
    ) {
        self.send(name, conn, op);
        let result = self.execute(name);
        for &(event, conn, kind, path) in told {
            self.tell(event, conn, Some(self.model.last_applied()), kind, path);
        }
        self.reply(name, result);
    }

    fn tell(
        &mut self,
        name: &'static str,
        conn: u64,
        zxid: Option<Zxid>,
        kind: EventKind,
        path: &str,
    ) {
        let conn = ConnId(conn);
        let client = self.connections[&conn].client;
        let line = self.push(Event::Watch { client, conn, zxid, kind, path: path.to_owned() });
        self.events.insert(name, line);
    }

    // What spoilers use.

    pub(crate) fn reply_mut(
        &mut self,
        name: &str,
    ) -> (&mut Option<Zxid>, &mut Result<Answer, ErrorCode>) {
        match &mut self.history.lines[self.replied[name]].event {
            Event::Reply { zxid, result, .. } => (zxid, result),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn time_of_reply(&self, name: &str) -> Option<Instant> {
        Some(self.history.lines[self.replied[name]].at)
    }

    pub(crate) fn answer_mut(&mut self, name: &str) -> &mut Answer {
        self.reply_mut(name).1.as_mut().expect("it was answered well")
    }

    pub(crate) fn event_mut(&mut self, name: &str) -> &mut Event {
        &mut self.history.lines[self.events[name]].event
    }

    pub(crate) fn txn_mut(&mut self, name: &str) -> &mut LoggedTxn {
        &mut self.history.log[self.logged[name]]
    }

    pub(crate) fn zxid(&self, name: &str) -> Zxid {
        self.history.log[self.logged[name]].header.zxid
    }

    pub(crate) fn drop_event(&mut self, name: &str) {
        self.history.lines.remove(self.events[name]);
    }

    pub(crate) fn repeat_event(&mut self, name: &str) {
        let line = self.history.lines[self.events[name]].clone();
        self.history.lines.insert(self.events[name], line);
    }

    pub(crate) fn swap_events(&mut self, first: &str, second: &str) {
        self.history.lines.swap(self.events[first], self.events[second]);
    }

    pub(crate) fn swap_replies(&mut self, first: &str, second: &str) {
        self.history.lines.swap(self.replied[first], self.replied[second]);
    }

    /// Moves an event behind the reply to a request.
    pub(crate) fn delay_event(&mut self, event: &str, reply: &str) {
        let line = self.history.lines.remove(self.events[event]);
        self.history.lines.insert(self.replied[reply], line);
    }

    pub(crate) fn drop_txn(&mut self, name: &str) {
        self.history.log.remove(self.logged[name]);
    }

    pub(crate) fn cut_log_before(&mut self, name: &str) {
        self.history.log.truncate(self.logged[name]);
    }

    /// Puts a transaction in front of another, moving all later ones by one, and all that was
    /// seen of them as well.
    pub(crate) fn insert_txn(&mut self, before: &str, session: SessionId, cxid: Xid, txn: Txn) {
        let at = self.logged[before];
        let zxid = self.history.log[at].header.zxid;
        for line in &mut self.history.lines {
            if let Event::Reply { zxid: Some(seen), .. }
            | Event::Watch { zxid: Some(seen), .. }
            | Event::Fault { fault: Fault::Recovered(seen), .. } = &mut line.event
                && *seen >= zxid
            {
                *seen = seen.successor();
            }
        }
        for logged in &mut self.history.log[at..] {
            logged.header.zxid = logged.header.zxid.successor();
        }
        let header = TxnHeader { session, cxid, zxid, time_ms: 1_000_000 };
        self.history.log.insert(at, LoggedTxn { at: None, header, txn, digest: None });
        for logged in &mut self.history.log {
            logged.digest = None;
        }
    }

    /// Puts a transaction behind all others.
    pub(crate) fn add_txn(&mut self, session: SessionId, cxid: Xid, txn: Txn) {
        let last = self.history.log.last().map_or(Zxid::ZERO, |logged| logged.header.zxid);
        let header = TxnHeader { session, cxid, zxid: last.successor(), time_ms: 1_000_000 };
        self.history.log.push(LoggedTxn { at: None, header, txn, digest: None });
    }

    /// Exchanges the places of two transactions, and what their clients were told of them.
    pub(crate) fn swap_txns(&mut self, first: &str, second: &str) {
        let (early, late) = (self.zxid(first), self.zxid(second));
        self.txn_mut(first).header.zxid = late;
        self.txn_mut(second).header.zxid = early;
        self.history.log.swap(self.logged[first], self.logged[second]);
        *self.reply_mut(first).0 = Some(late);
        *self.reply_mut(second).0 = Some(early);
    }

    pub(crate) fn session_of(&self, conn: u64) -> SessionId {
        self.connections[&ConnId(conn)].session
    }

    pub(crate) fn insert_line_after_reply(&mut self, name: &str, event: Event) {
        let at = self.history.lines[self.replied[name]].at;
        self.history.lines.insert(self.replied[name] + 1, sim::history::Line { at, event });
    }

    pub(crate) fn xid(&self, name: &str) -> (ConnId, Xid) {
        let (conn, xid, _) = self.op(name);
        (conn, xid)
    }
}

pub(crate) fn create(path: &str, mode: CreateMode, data: &str) -> Create<'static> {
    Create {
        call: CreateCall::Create2,
        path: path.to_owned().into(),
        data: Some(data.as_bytes().to_vec().into()),
        acl: AclList::open(),
        mode,
    }
}

fn created(path: &str, mode: CreateMode) -> Op<'static> {
    Op::Write(Write::Create(create(path, mode, "x")))
}

pub(crate) fn set(path: &str, data: &str, version: Option<i32>) -> Op<'static> {
    let data = Some(data.as_bytes().to_vec().into());
    Op::Write(Write::SetData { path: path.to_owned().into(), data, version })
}

fn delete(path: &str) -> Op<'static> {
    Op::Write(Write::Delete { path: path.to_owned().into(), version: None })
}

fn get(path: &str, watch: bool) -> Op<'static> {
    Op::Read(Read::GetData { path: path.to_owned().into(), watch })
}

fn exists(path: &str, watch: bool) -> Op<'static> {
    Op::Read(Read::Exists { path: path.to_owned().into(), watch })
}

fn children(path: &str, watch: bool) -> Op<'static> {
    Op::Read(Read::GetChildren2 { path: path.to_owned().into(), watch })
}

/// The good history that everything is spoiled from.
pub(crate) fn good() -> Scenario {
    let mut s = Scenario::new();
    s.open("alice", ALICE, 1);
    s.open("bob", BOB, 2);
    registers(&mut s);
    sequences_and_multis(&mut s);
    watches(&mut s);
    access(&mut s);
    reads_only(&mut s);
    away_and_back(&mut s);
    ends(&mut s);
    s
}

/// Alice writes while a sync of Bob takes long. Then he reads.
pub(crate) fn long_sync() -> Scenario {
    let mut s = Scenario::new();
    s.open("alice", ALICE, 1);
    s.open("bob", BOB, 2);
    s.call("create r", 1, created("/r", CreateMode::Persistent));
    s.send("sync", 2, sync());
    s.call("set r 1", 1, set("/r", "1", None));
    s.call("set r 2", 1, set("/r", "2", None));
    s.call("set r 3", 1, set("/r", "3", None));
    let result = s.execute("sync");
    s.reply("sync", result);
    s.call("get after sync", 2, get("/r", false));
    s
}

/// Only her server knows of Alice's session until she creates an ephemeral znode; of Bob's only his to the end.
/// Both begin before there was any transaction.
pub(crate) fn local() -> Scenario {
    let mut s = Scenario::of(rules_where(Sessions::Local));
    let (alice, bob) = (SessionId(0x0100_0000_0000_0001), SessionId(0x0100_0000_0000_0002));
    s.attach("alice", ALICE, 1, alice, None);
    s.attach("bob", BOB, 2, bob, None);
    s.call("bob looks", 2, exists("/r", false));
    s.reply_mut("bob looks").0.take();
    s.call("create r", 1, created("/r", CreateMode::Persistent));
    s.call("bob sets r", 2, set("/r", "1", None));
    s.append("alice is known", alice, Xid::INTERNAL, Txn::CreateSession { timeout_ms: 4000 });
    s.call("create e", 1, created("/e", CreateMode::Ephemeral));
    let owned = Some(vec!["/e".into()]);
    s.append("alice expires", alice, Xid::INTERNAL, Txn::CloseSession { paths: owned });
    s.call("bob looks again", 2, exists("/e", false));
    s.send("bob ends", 2, Op::CloseSession);
    s.reply("bob ends", Ok(Answer::Done));
    s
}

fn sync() -> Op<'static> {
    Op::Sync { path: "/".into() }
}

fn registers(s: &mut Scenario) {
    s.call("create r", 1, created("/r", CreateMode::Persistent));
    s.call("set r 1", 1, set("/r", "1", Some(0)));
    s.call("bob gets r", 2, get("/r", true));
    let told = [("r changed", 2, EventKind::NodeDataChanged, "/r")];
    s.call_telling("set r 2", 1, set("/r", "2", None), &told);
    s.call("bob gets r again", 2, get("/r", false));
    s.call("set r refused", 1, set("/r", "3", Some(0)));
    s.call("bob pings", 2, Op::Ping);
    // Two requests on the wire at once.
    s.send("piped set", 1, set("/r", "p", None));
    s.send("piped get", 1, get("/r", false));
    for name in ["piped set", "piped get"] {
        let result = s.execute(name);
        s.reply(name, result);
    }
    s.call("exists nothing", 2, exists("/nothing", false));
    s.call("sync", 2, sync());
    s.call("get after sync", 2, get("/r", false));
}

fn sequences_and_multis(s: &mut Scenario) {
    s.call("create q", 1, created("/q", CreateMode::Persistent));
    s.call("seq 0", 1, created("/q/n-", CreateMode::PersistentSequential));
    s.call("seq 1", 2, created("/q/n-", CreateMode::PersistentSequential));
    s.call("delete seq 0", 1, delete("/q/n-0000000000"));
    s.call("seq 2", 2, created("/q/n-", CreateMode::PersistentSequential));
    s.call("list q", 2, children("/q", false));
    let parts = |version| {
        vec![
            MultiOp::Create(create("/m", CreateMode::Persistent, "m")),
            MultiOp::SetData { path: "/m".into(), data: None, version: Some(version) },
            MultiOp::Check { path: "/r".into(), version: None },
        ]
    };
    s.call("multi refused", 1, Op::Write(Write::Multi(parts(7))));
    s.call("multi", 1, Op::Write(Write::Multi(parts(0))));
    s.call("get m", 2, get("/m", false));
    s.call("ephemeral", 1, created("/e", CreateMode::Ephemeral));
    s.call("own ephemerals", 1, Op::Read(Read::GetEphemerals { prefix: None }));
    s.call("list root", 2, children("/", false));
}

fn watches(s: &mut Scenario) {
    let mode = WatchMode::PersistentRecursive;
    s.call("watch all", 2, Op::Read(Read::AddWatch { path: "/".into(), mode }));
    let told = [("w created", 2, EventKind::NodeCreated, "/w")];
    s.call_telling("create w", 1, created("/w", CreateMode::Persistent), &told);
    let told = [("w set", 2, EventKind::NodeDataChanged, "/w")];
    s.call_telling("set w", 1, set("/w", "w", None), &told);
    s.call("alice watches children", 1, children("/q", true));
    s.call("alice watches w", 1, exists("/w", true));
    let told = [
        ("alice hears w gone", 1, EventKind::NodeDeleted, "/w"),
        ("bob hears w gone", 2, EventKind::NodeDeleted, "/w"),
    ];
    s.call_telling("delete w", 2, delete("/w"), &told);
    let told = [
        ("q/x created", 2, EventKind::NodeCreated, "/q/x"),
        ("q children", 1, EventKind::NodeChildrenChanged, "/q"),
    ];
    s.call_telling("create q/x", 2, created("/q/x", CreateMode::Persistent), &told);
    // Nothing fires twice.
    let told = [("q/y created", 2, EventKind::NodeCreated, "/q/y")];
    s.call_telling("create q/y", 2, created("/q/y", CreateMode::Persistent), &told);
    let kind = WatcherKind::PersistentRecursive;
    let remove = Op::Read(Read::RemoveWatches { path: "/".into(), kind });
    s.call("bob removes", 2, remove);
    s.call("alice waits for z", 1, exists("/z", true));
    s.call("alice waits on q", 1, children("/q", true));
}

fn access(s: &mut Scenario) {
    let auth = Some(b"alice:secret".to_vec().into());
    let packet = AuthPacket { scheme: "digest".into(), auth };
    s.call("auth", 1, Op::Auth(packet));
    let acl = |id: Id| AclList::from(vec![Acl { perms: Perms::ALL, id }]);
    let own = Write::SetAcl { path: "/m".into(), acl: acl(Id::new("auth", "")), version: Some(0) };
    s.call("bob waits on m", 2, get("/m", true));
    s.call("set acl", 1, Op::Write(own));
    s.call("bob refused", 2, get("/m", false));
    // Bob's watch is used up without a word.
    s.call("alice sets m", 1, set("/m", "secret", None));
    s.call("acl of m", 1, Op::Read(Read::GetAcl { path: "/m".into() }));
    s.call("who", 1, Op::Read(Read::WhoAmI));
}

/// Dave finds nobody but a server without a leader.
fn reads_only(s: &mut Scenario) {
    s.attach("dave", DAVE, 9, SessionId(0x0200_0000_0000_0009), None);
    let Event::Connected { read_only, .. } = s.event_mut("dave") else { panic!("it is one") };
    *read_only = true;
    s.call("dave gets q", 9, get("/q", false));
    for (name, op) in
        [("dave creates", created("/d", CreateMode::Persistent)), ("dave syncs", sync())]
    {
        s.send(name, 9, op);
        s.reply(name, Err(ErrorCode::NotReadOnly));
    }
    s.call("dave gets r", 9, get("/r", false));
}

fn away_and_back(s: &mut Scenario) {
    // The first of two reaches the server, its reply does not come back.
    let alice = s.session_of(1);
    let seen = s.model.last_applied();
    for name in ["cut set", "cut delete"] {
        let op = if name == "cut set" { set("/r", "cut", None) } else { delete("/r") };
        s.send(name, 1, op);
    }
    s.execute("cut set").expect("it is done");
    let (client, conn) = (ClientId(ALICE), ConnId(1));
    for name in ["cut set", "cut delete"] {
        let (_, xid) = s.xid(name);
        s.push(Event::Unknown { client, conn, xid });
    }
    s.push(Event::Lost { client, conn });
    s.call("bob makes z", 2, created("/z", CreateMode::Persistent));
    s.call("bob makes q/z", 2, created("/q/z", CreateMode::Persistent));
    s.attach("alice is back", ALICE, 4, alice, Some(alice));
    let watches = SetWatches {
        relative_zxid: seen,
        data: vec!["/m".into()],
        exist: vec!["/z".into()],
        child: vec!["/q".into()],
        ..SetWatches::default()
    };
    s.send("reset", 4, Op::Read(Read::SetWatches(Box::new(watches))));
    s.tell("missed z", 4, None, EventKind::NodeCreated, "/z");
    s.tell("missed q", 4, None, EventKind::NodeChildrenChanged, "/q");
    s.reply("reset", Ok(Answer::Done));
    s.call("alice reads on", 4, get("/r", false));
}

fn ends(s: &mut Scenario) {
    let server = SERVER;
    s.open("carol", CAROL, 3);
    s.call("carol pings", 3, Op::Ping);
    let fault = Fault::Recovered(s.model.last_applied());
    s.push(Event::Fault { server, fault: Fault::PowerLoss });
    let line = s.push(Event::Fault { server, fault });
    s.events.insert("recovered", line);
    s.call("bob watches e", 2, exists("/e", true));
    let told = [("e gone", 2, EventKind::NodeDeleted, "/e")];
    s.call_telling("alice ends", 4, Op::CloseSession, &told);
    s.call("no e", 2, exists("/e", false));
    s.now = s.now.after(Duration::from_millis(5000));
    let carol = s.session_of(3);
    s.append("carol expires", carol, Xid::INTERNAL, Txn::CloseSession { paths: Some(vec![]) });
    let line = s.push(Event::Expired { client: ClientId(CAROL), conn: ConnId(5), session: carol });
    s.events.insert("carol is told", line);
    s.open("carol again", CAROL, 6);
    s.call("last", 2, set("/r", "end", None));
}
