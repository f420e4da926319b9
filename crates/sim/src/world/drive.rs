//! The clients' side of the world.

use std::time::Duration;

use types::{Op, Read, SessionId, Write, Xid, Zxid};
use wire::connect::{ConnectRequest, ConnectResponse};
use wire::event::WatchEvent;
use wire::frame;
use wire::reply::ReplyHeader;
use wire::request::Request;

use super::client::{Client, Farewell, Lie, Phase, Role};
use super::link::{Caller, End, LinkId};
use super::node::NodeId;
use super::serve::piece;
use super::workload::Author;
use super::{Happening, World, answer, operator};
use crate::checkers::{Promise, Violation};
use crate::history::Event;
use crate::model::Sessions;

/// In how many of 1000 cases a client that waits for answers leaves, while a server is left by all others.
const STRAY_PERMILLE: u64 = 100;
/// In how many of 1000 cases a client goes to the server that all others have left.
const LURE_PERMILLE: u64 = 300;
/// In how many of 1000 cases a client comes back to the only server that knows its session.
const RETURN_PERMILLE: u64 = 700;
/// In how many of 1000 cases a client rests after it has asked something, in runs that take that long.
const REST_PERMILLE: u64 = 300;

impl World {
    /// A client looks what to do next.
    pub(super) fn wake_client(&mut self, at: usize) -> Result<(), Violation> {
        let now = self.agenda.now();
        let client = &self.clients[at];
        if client.phase == Phase::Gone {
            return Ok(());
        }
        if now < client.silent_until {
            let until = client.silent_until;
            self.agenda.at(until, Happening::Client(at));
            return Ok(());
        }
        let patience = self.plan.timeout() * 2 / 3;
        let is_deaf = client.link.is_some() && now.since(client.heard) > patience;
        if is_deaf && (client.phase == Phase::Handshake || !client.pending.is_empty()) {
            self.counters.count("client gave up a silent connection");
            self.drop_connection(at);
        }
        let phase = self.clients[at].phase;
        match phase {
            Phase::Offline => self.connect(at),
            // Others have a leader, or will have one.
            Phase::Online if self.is_peaceful() && self.clients[at].is_aside => {
                self.drop_connection(at);
            }
            Phase::Online if self.is_peaceful() => self.say_farewell(at),
            Phase::Online if self.doubt(at) => {}
            Phase::Online if self.strays(at) => self.drop_connection(at),
            Phase::Online if self.clients[at].role == Role::Operator => self.operate(at),
            Phase::Online => self.ask_something(at),
            Phase::Handshake | Phase::Gone => {}
        }
        if self.stage == super::Stage::Faults && self.is_work_done() {
            self.make_peace();
        }
        self.plan_wake(at);
        Ok(())
    }

    fn plan_wake(&mut self, at: usize) {
        if self.clients[at].phase == Phase::Gone {
            return;
        }
        let client = &self.clients[at];
        let is_idle = client.phase != Phase::Online
            || client.role == Role::Operator
            || client.made >= self.plan.requests
            || client.outstanding() >= self.plan.window
            || client.farewell == Farewell::Closing
            || self.agenda.now() < client.rests_until
            || self.is_peaceful();
        let longest = if is_idle {
            self.plan.timeout() / 4
        } else {
            self.plan.delays.think.min(self.plan.timeout() / 4)
        };
        let delay = self.agenda.duration(longest) + Duration::from_micros(1);
        self.agenda.at(self.agenda.now().after(delay), Happening::Client(at));
    }

    fn connect(&mut self, at: usize) {
        let address = self.clients[at].address;
        let node = self.server_to_try(at);
        let Some(link) = self.accept(node, Some(Caller::Client(at)), address) else { return };
        let now = self.agenda.now();
        let timeout_ms = i32::try_from(self.plan.timeout().as_millis()).unwrap_or(i32::MAX);
        let read_only = match self.is_content_with_reads(at) {
            true => Some(true),
            false => *self.agenda.tape.pick(&[Some(false), None]),
        };
        let is_early = self.agenda.tape.chance(500);
        let lie = if !self.is_peaceful() && self.agenda.tape.chance(20) {
            Some(*self.agenda.tape.pick(&[Lie::Password, Lie::Zxid]))
        } else {
            None
        };
        let client = &mut self.clients[at];
        client.lie = lie.filter(|_| client.session.is_some());
        let lie = client.lie;
        client.phase = Phase::Handshake;
        client.link = Some(link);
        (client.asked, client.heard) = (now, now);
        client.inbox.clear();
        let (session, mut password) = client.session.unwrap_or((SessionId::NONE, [0; 16]));
        let mut bytes = Vec::new();
        let mut last_zxid_seen = client.seen;
        match lie {
            Some(Lie::Password) => password[0] ^= 1,
            Some(Lie::Zxid) => last_zxid_seen = Zxid::from_raw(i64::MAX),
            None => {}
        }
        ConnectRequest { last_zxid_seen, timeout_ms, session, password: &password, read_only }
            .encode(&mut bytes);
        self.send(link, &bytes);
        if is_early && session != SessionId::NONE && lie.is_none() {
            self.introduce(at);
        }
    }

    /// Whether a client says that a server will do that has no leader.
    fn is_content_with_reads(&mut self, at: usize) -> bool {
        self.plan.ensemble.read_only_after.is_some()
            && !self.is_peaceful()
            && self.clients[at].role == Role::Worker
            && self.agenda.tape.chance(700)
    }

    /// Whether a client with requests under way leaves its server, maybe for one that all others have left.
    fn strays(&mut self, at: usize) -> bool {
        self.abandoned.is_some_and(|node| self.clients[at].server != Some(node))
            && self.clients[at].outstanding() > 0
            && self.agenda.tape.chance(STRAY_PERMILLE)
    }

    /// Where a client connects: anywhere; but when all must be well, to one of those that are in the
    /// ensemble. Who is left by all others gets more clients than they.
    fn server_to_try(&mut self, at: usize) -> NodeId {
        if let Some(node) = self.abandoned.filter(|_| !self.is_peaceful())
            && self.agenda.tape.chance(LURE_PERMILLE)
        {
            return node;
        }
        if let Some(node) = self.only_server_that_knows(at)
            && self.agenda.tape.chance(RETURN_PERMILLE)
        {
            return node;
        }
        if !(self.is_peaceful() && self.plan.servers.are_changing()) {
            return self.some_node();
        }
        let members: Vec<_> =
            self.in_force().members().map(|member| NodeId::of(member.sid)).collect();
        *self.agenda.tape.pick(&members)
    }

    /// The server to which a client has to come back if it wants to go on with its session.
    fn only_server_that_knows(&self, at: usize) -> Option<NodeId> {
        let Client { session, server, .. } = &self.clients[at];
        let is_local = self.plan.servers.sessions == Sessions::Local && session.is_some();
        server.filter(|_| is_local)
    }

    /// Presents credentials and sets the watches again.
    fn introduce(&mut self, at: usize) {
        for packet in self.clients[at].credentials.clone() {
            self.ask(at, Op::Auth(packet));
        }
        let client = &self.clients[at];
        if let Some(reset) = client.watches.reset(client.seen) {
            self.ask(at, Op::Read(reset));
        }
    }

    /// Puts a request on the wire.
    pub(super) fn ask(&mut self, at: usize, op: Op<'static>) {
        let client = &mut self.clients[at];
        let Some(link) = client.link else { return };
        let Some(server) = self.links.get(&link).map(|link| link.node.sid()) else { return };
        let xid = client.number(&op);
        let session = client.session.map_or(SessionId::NONE, |(session, _)| session);
        let id = client.id;
        client.pending.push_back((xid, op.clone()));
        let mut bytes = Vec::new();
        let request = Request { xid, op };
        request.encode(&mut bytes);
        let invoke =
            Event::Invoke { client: id, session, conn: conn_of(link), server, xid, op: request.op };
        self.history.push(self.agenda.now(), invoke);
        self.send(link, &bytes);
    }

    pub(super) fn send(&mut self, link: LinkId, bytes: &[u8]) {
        if let Some(it) = self.links.get_mut(&link) {
            it.to_server.push(bytes);
            self.plan_arrival_at_server(link);
        }
    }

    fn ask_something(&mut self, at: usize) {
        let client = &self.clients[at];
        let room = self.plan.window.saturating_sub(client.outstanding());
        let left = self.plan.requests.saturating_sub(client.made);
        let count = room.min(usize::try_from(left).unwrap_or(usize::MAX));
        let now = self.agenda.now();
        if count == 0 || now < client.rests_until {
            self.ping_if_idle(at);
            return;
        }
        if self.plan.delays.rest > Duration::ZERO && self.agenda.tape.chance(REST_PERMILLE) {
            let rest = self.agenda.duration(self.plan.delays.rest);
            self.clients[at].rests_until = now.after(rest);
        }
        for _ in 0..=self.agenda.tape.index(count) {
            let client = &mut self.clients[at];
            if client.phase != Phase::Online || client.farewell == Farewell::Closing {
                return;
            }
            client.made += 1;
            let op = Author {
                tape: &mut self.agenda.tape,
                plan: &self.plan,
                client: client.id.0,
                made: client.made,
                version: client.version,
                numbered: client.numbered.as_deref(),
            }
            .draw();
            if let Op::Auth(packet) = &op
                && !client.credentials.contains(packet)
            {
                client.credentials.push(packet.clone());
            }
            if op == Op::CloseSession {
                // Nothing may follow it; the session is over for the client when it is answered.
                client.farewell = Farewell::Closing;
            }
            self.ask(at, op);
        }
        self.lie_in_wait_for_expiry(at);
    }

    pub(super) fn ping_if_idle(&mut self, at: usize) {
        if self.clients[at].pending.is_empty() {
            self.ask(at, Op::Ping);
        }
    }

    /// In peace: one write, one sync and one read that must be answered, then the end.
    fn say_farewell(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if !client.pending.is_empty() {
            return;
        }
        match client.farewell {
            Farewell::NotYet => {
                client.farewell = Farewell::Asked;
                let (id, made) = (client.id.0, client.made);
                let create = Author {
                    tape: &mut self.agenda.tape,
                    plan: &self.plan,
                    client: id,
                    made: made + 1,
                    version: 0,
                    numbered: None,
                }
                .plain_create(format!("/farewell-{id}"));
                self.ask(at, create);
                self.ask(at, Op::Sync { path: "/".into() });
                let path = format!("/farewell-{id}").into();
                self.ask(at, Op::Read(Read::GetData { path, watch: false }));
            }
            Farewell::Asked => client.farewell = Farewell::Answered,
            Farewell::Answered if self.agenda.tape.chance(500) => {
                client.farewell = Farewell::Closing;
                self.ask(at, Op::CloseSession);
            }
            Farewell::Answered => {
                self.counters.count("session left to expire");
                self.drop_connection(at);
                self.go(at);
            }
            Farewell::Closing => {}
        }
    }

    fn go(&mut self, at: usize) {
        self.clients[at].phase = Phase::Gone;
        self.client_gone();
    }

    /// A piece of bytes, or the end, arrives at a client.
    pub(super) fn arrive_at_client(&mut self, id: LinkId) -> Result<(), Violation> {
        let Some(link) = self.links.get_mut(&id) else { return Ok(()) };
        link.to_client.is_due = false;
        let at = match link.client {
            Some(Caller::Client(at)) => at,
            Some(Caller::Outside) => {
                self.arrive_outside(id);
                return Ok(());
            }
            None => return Ok(()),
        };
        if link.to_client.is_over() {
            self.drop_connection(at);
            return Ok(());
        }
        let bytes = piece(&mut self.agenda.tape, self.plan.faults.chunks, &mut link.to_client);
        let client = &mut self.clients[at];
        client.heard = self.agenda.now();
        client.inbox.extend(bytes);
        let inbox = std::mem::take(&mut client.inbox);
        let mut rest = &inbox[..];
        while self.clients[at].link == Some(id) {
            match frame::split(rest, wire::limits::FRAME_BYTES_MAX) {
                Ok(Some((body, length))) => {
                    rest = &rest[length..];
                    self.understand(at, id, body)?;
                }
                Ok(None) => break,
                Err(error) => return Err(nonsense(&error.to_string())),
            }
        }
        if self.clients[at].link == Some(id) {
            self.clients[at].inbox = rest.to_vec();
        }
        self.plan_arrival_at_client(id);
        Ok(())
    }

    fn understand(&mut self, at: usize, link: LinkId, body: &[u8]) -> Result<(), Violation> {
        if self.clients[at].phase == Phase::Handshake {
            return self.on_connected(at, link, body);
        }
        let (header, record) =
            ReplyHeader::decode(body).map_err(|error| nonsense(&error.to_string()))?;
        if header.xid == Xid::NOTIFICATION {
            return self.on_event(at, link, body);
        }
        let client = &mut self.clients[at];
        let Some(op) = client.answered(header.xid) else {
            let detail = format!("client {}: a reply to {:?}", client.id.0, header.xid);
            return Err(Violation::new(Promise::S5, detail));
        };
        let result = match header.code {
            0 => Ok(answer::decode(&op, record)
                .map_err(|error| nonsense(&format!("{op:?}: {error}")))?),
            code => Err(types::ErrorCode::from_raw(code)
                .ok_or_else(|| nonsense(&format!("error code {code}")))?),
        };
        let zxid = Some(header.zxid).filter(|&zxid| zxid > Zxid::ZERO);
        // A server without a leader may show what is never committed: who insists on that is served by nobody
        // until others have come as far.
        if !client.is_aside {
            client.seen = client.seen.max(header.zxid);
        }
        client.learn(&op, &result);
        if matches!(&op, Op::Write(Write::Multi(_)))
            && let Ok(crate::history::Answer::Multi(parts)) = &result
            && matches!(parts.first(), Some(crate::history::PartAnswer::Error(_)))
        {
            self.counters.count("multi refused");
        }
        let (id, conn) = (client.id, conn_of(link));
        if matches!(&op, Op::Write(Write::Reconfig(_))) {
            self.counters.count(operator::outcome(result.as_ref().err().copied()));
        }
        let is_end = op == Op::CloseSession && result.is_ok();
        let event = Event::Reply { client: id, conn, xid: header.xid, zxid, result };
        self.history.push(self.agenda.now(), event);
        if is_end {
            self.on_closed(at);
        }
        Ok(())
    }

    /// The session's end was acknowledged.
    fn on_closed(&mut self, at: usize) {
        self.counters.count("session closed by its client");
        self.clients[at].lose_session();
        self.drop_connection(at);
        if self.is_peaceful() {
            self.go(at);
        } else {
            self.clients[at].farewell = Farewell::NotYet;
        }
    }

    fn on_connected(&mut self, at: usize, link: LinkId, body: &[u8]) -> Result<(), Violation> {
        let response =
            ConnectResponse::decode(body).map_err(|error| nonsense(&error.to_string()))?;
        let now = self.agenda.now();
        if let Some(lie) = self.clients[at].lie {
            return self.on_lie_answered(at, lie, response.is_refusal());
        }
        let is_early = !self.clients[at].pending.is_empty();
        let server = self.links.get(&link).map(|link| link.node);
        let client = &mut self.clients[at];
        let resumed = client.session.map(|(session, _)| session);
        let (id, conn) = (client.id, conn_of(link));
        let read_only = response.read_only == Some(true);
        if response.is_refusal() {
            let Some(session) = resumed else {
                return Err(nonsense("a new session was refused"));
            };
            if read_only && !server.is_some_and(|node| is_of(session, node)) {
                let detail =
                    format!("client {} is told by who can not know that its session is over", id.0);
                return Err(Violation::new(Promise::P13, detail));
            }
            self.counters.count("session refused");
            client.lose_session();
            self.history.push(now, Event::Expired { client: id, conn, session });
            self.drop_connection(at);
            return Ok(());
        }
        client.phase = Phase::Online;
        let before = std::mem::replace(&mut client.server, server);
        if resumed.is_some() && before != server {
            self.counters.count("session moved");
        }
        if resumed.is_none() {
            // A state seen in an earlier session is not forgotten, but its watches are.
            client.session = Some((response.session, response.password.0));
        }
        let may_be_local = self.plan.servers.sessions == Sessions::Local
            && server.is_some_and(|node| is_of(response.session, node));
        if read_only && resumed.is_some() && !may_be_local {
            let detail = format!("client {} has its session where nobody leads", id.0);
            return Err(Violation::new(Promise::P13, detail));
        }
        client.is_aside = read_only;
        self.counters.count(match (read_only, resumed) {
            (true, _) => "session at a read-only server",
            (false, Some(_)) => "session resumed",
            (false, None) => "session opened",
        });
        let address = client.address.map(|part| part.to_string()).join(".");
        let (session, timeout_ms) = (response.session, response.timeout_ms);
        let event = Event::Connected {
            client: id,
            conn,
            address,
            resumed,
            asked: Some(client.asked),
            session,
            timeout_ms,
            read_only,
        };
        self.history.push(now, event);
        if !is_early {
            self.introduce(at);
        }
        Ok(())
    }

    /// P4, P8: who claims a future or does not know the password gets no session.
    fn on_lie_answered(&mut self, at: usize, lie: Lie, refused: bool) -> Result<(), Violation> {
        if !refused {
            let promise = match lie {
                Lie::Password => Promise::P8,
                Lie::Zxid => Promise::P4,
            };
            let detail = format!("client {} got a session by a lie", self.clients[at].id.0);
            return Err(Violation::new(promise, detail));
        }
        self.counters.count("wrong password refused");
        self.drop_connection(at);
        Ok(())
    }

    fn on_event(&mut self, at: usize, link: LinkId, body: &[u8]) -> Result<(), Violation> {
        let event = WatchEvent::decode(body).map_err(|error| nonsense(&error.to_string()))?;
        let WatchEvent { zxid, kind, path } = event;
        self.counters.count(if zxid.is_some() { "watch event" } else { "missed event caught up" });
        let client = &mut self.clients[at];
        client.watches.fired(kind, &path);
        let (client, conn, path) = (client.id, conn_of(link), path.into_owned());
        self.history.push(self.agenda.now(), Event::Watch { client, conn, zxid, kind, path });
        Ok(())
    }

    /// The client's side of a connection ends, by whatever cause.
    pub(super) fn drop_connection(&mut self, at: usize) {
        let now = self.agenda.now();
        let client = &mut self.clients[at];
        let Some(id) = client.link.take() else { return };
        client.phase = Phase::Offline;
        let (name, conn) = (client.id, conn_of(id));
        let open = std::mem::take(&mut client.pending);
        client.farewell = Farewell::NotYet;
        if std::mem::take(&mut client.is_aside) {
            client.lose_session();
        }
        self.counters.add("request left open", open.len() as u64);
        for (xid, op) in open {
            self.clients[at].gives_up(&op);
            self.history.push(now, Event::Unknown { client: name, conn, xid });
        }
        self.history.push(now, Event::Lost { client: name, conn });
        self.lie_in_wait_for_absence(at);
        let Some(link) = self.links.get_mut(&id) else { return };
        link.client = None;
        link.left_by = Some(at);
        if link.conn.is_some() {
            link.to_server.close(End::Closed);
            self.plan_arrival_at_server(id);
        } else {
            self.links.remove(&id);
        }
    }
}

/// Whether a session was opened at a server.
fn is_of(session: SessionId, node: NodeId) -> bool {
    session.server_byte() == SessionId::first(node.sid(), 0).server_byte()
}

fn conn_of(link: LinkId) -> types::ConnId {
    types::ConnId(link.0)
}

fn nonsense(what: &str) -> Violation {
    Violation::new(Promise::NoPanic, format!("the server sent nonsense: {what}"))
}
