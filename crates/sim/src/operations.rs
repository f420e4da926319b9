//! Requests put together with what became of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use types::{AuthPacket, ConnId, ErrorCode, Id, Instant, Op, SessionId, Sid, Txn, Xid, Zxid};

use crate::checkers::{Promise, Violation};
use crate::history::{Answer, ClientId, Event, History};
use crate::model::{Rules, Sessions};

/// A request and what became of it.
#[derive(Clone, Debug)]
pub struct Operation<'h> {
    /// Who asked.
    pub client: ClientId,
    /// In which session; [`SessionId::NONE`] if the handshake was never answered.
    pub session: SessionId,
    /// On which connection.
    pub conn: ConnId,
    /// To which server.
    pub server: Sid,
    /// Under which number.
    pub xid: Xid,
    /// What.
    pub op: &'h Op<'static>,
    /// The identities of the connection when it was sent; of credentials, with those they gave.
    pub ids: Rc<[Id]>,
    /// When it was sent.
    pub invoked: Moment,
    /// The reply; `None` leaves open whether it was done.
    pub reply: Option<Reply<'h>>,
    /// Whether the server had said that it has no leader, and only shows what it has.
    pub is_aside: bool,
    /// Whether its session was known to the server of its client alone as long as the run went on.
    pub is_local: bool,
}

/// A place in the history.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Moment {
    /// The index of the line.
    pub line: usize,
    /// The time.
    pub at: Instant,
}

/// A reply.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'h> {
    /// When it came.
    pub came: Moment,
    /// The zxid in its header.
    pub zxid: Option<Zxid>,
    /// What it says.
    pub result: &'h Result<Answer, ErrorCode>,
}

impl Operation<'_> {
    /// The zxid of the reply, if there is one.
    pub fn zxid(&self) -> Option<Zxid> {
        self.reply.and_then(|reply| reply.zxid)
    }

    /// Whether it becomes a transaction. The end of a session of which one server knows does not.
    pub const fn is_write(&self) -> bool {
        match self.op {
            Op::Write(_) => true,
            Op::CloseSession => !self.is_local,
            Op::Ping | Op::Auth(_) | Op::Sasl(_) | Op::Read(_) | Op::Sync { .. } => false,
        }
    }

    /// Who, and which request, for reports.
    pub fn label(&self) -> String {
        format!("client {} connection {} request {}", self.client.0, self.conn.0, self.xid.0)
    }
}

/// What is known of a connection from its handshake.
#[derive(Debug)]
struct Handshake {
    session: SessionId,
    address: String,
    read_only: bool,
}

/// Puts the requests of a history together with their replies, in the order in which they were
/// sent.
///
/// # Errors
/// S5: a reply to nothing that was asked. P0: one that does not say of which state it is, and must.
pub(crate) fn pair<'h>(
    history: &'h History,
    rules: &Rules,
) -> Result<Vec<Operation<'h>>, Violation> {
    let handshakes = handshakes(history);
    let known_to_all = known_to_all(history);
    let no_ids: Rc<[Id]> = Rc::from([]);
    let mut operations = Vec::new();
    let mut waiting: BTreeMap<(ConnId, Xid), VecDeque<usize>> = BTreeMap::new();
    for (index, line) in history.lines.iter().enumerate() {
        let moment = Moment { line: index, at: line.at };
        match &line.event {
            Event::Invoke { client, session, conn, server, xid, op } => {
                let session = handshakes.get(conn).map_or(*session, |known| known.session);
                waiting.entry((*conn, *xid)).or_default().push_back(operations.len());
                operations.push(Operation {
                    client: *client,
                    session,
                    conn: *conn,
                    server: *server,
                    xid: *xid,
                    op,
                    ids: Rc::clone(&no_ids),
                    invoked: moment,
                    reply: None,
                    is_aside: handshakes.get(conn).is_some_and(|known| known.read_only),
                    is_local: rules.sessions == Sessions::Local && !known_to_all.contains(&session),
                });
            }
            Event::Reply { conn, xid, zxid, result, .. } => {
                let Some(asked) = waiting.get_mut(&(*conn, *xid)).and_then(VecDeque::pop_front)
                else {
                    let detail = format!("a reply to nothing asked: {line}");
                    return Err(Violation::new(Promise::S5, detail));
                };
                let operation = &mut operations[asked];
                let zxid = zxid.or_else(|| origin(operation, rules));
                operation.reply = Some(Reply { came: moment, zxid, result });
                require_place(operation)?;
            }
            Event::Unknown { .. }
            | Event::Watch { .. }
            | Event::Connected { .. }
            | Event::Expired { .. }
            | Event::Lost { .. }
            | Event::Fault { .. } => {}
        }
    }
    identify(&mut operations, &handshakes, rules);
    Ok(operations)
}

/// The state that a reply without a zxid shows. A local session is opened without a transaction, so that there
/// may have been none yet.
fn origin(operation: &Operation<'_>, rules: &Rules) -> Option<Zxid> {
    let shows_a_state = matches!(operation.op, Op::Read(_) | Op::Sync { .. } | Op::CloseSession);
    (rules.sessions == Sessions::Local && shows_a_state).then_some(Zxid::ZERO)
}

/// P0: what was done has its place in the order, and the reply says which. Checkers leave replies alone that
/// name no state, so that all of them depend on this.
fn require_place(operation: &Operation<'_>) -> Result<(), Violation> {
    let has_place = match operation.op {
        Op::Read(_) | Op::Write(_) | Op::Sync { .. } | Op::CloseSession => true,
        // Credentials are between a connection and its server, and pings say what a thread has seen.
        Op::Auth(_) | Op::Sasl(_) | Op::Ping => false,
    };
    let is_done = operation.reply.is_some_and(|reply| reply.result.is_ok());
    if has_place && is_done && operation.zxid().is_none() && !operation.is_aside {
        let detail = format!("{} {:?} was done nowhere", operation.label(), operation.op);
        return Err(Violation::new(Promise::P0, detail));
    }
    Ok(())
}

/// The sessions that were opened by a transaction.
fn known_to_all(history: &History) -> BTreeSet<SessionId> {
    let opened = history.log.iter().filter(|it| matches!(it.txn, Txn::CreateSession { .. }));
    opened.map(|logged| logged.header.session).collect()
}

fn handshakes(history: &History) -> BTreeMap<ConnId, Handshake> {
    let connected = history.lines.iter().filter_map(|line| match &line.event {
        Event::Connected { conn, address, session, read_only, .. } => {
            let (session, read_only) = (*session, *read_only);
            Some((*conn, Handshake { session, address: address.clone(), read_only }))
        }
        _ => None,
    });
    connected.collect()
}

/// Gives every operation the identities that its connection had gained before it.
fn identify(
    operations: &mut [Operation<'_>],
    handshakes: &BTreeMap<ConnId, Handshake>,
    rules: &Rules,
) {
    let mut known: BTreeMap<ConnId, Rc<[Id]>> = handshakes
        .iter()
        .map(|(&conn, handshake)| (conn, Rc::from([Id::new("ip", handshake.address.as_str())])))
        .collect();
    for operation in operations {
        let Some(ids) = known.get_mut(&operation.conn) else { continue };
        operation.ids = Rc::clone(ids);
        let refused = operation.reply.is_some_and(|reply| reply.result.is_err());
        if let (Op::Auth(packet), false) = (operation.op, refused) {
            let mut grown = ids.to_vec();
            for id in gained(packet, rules) {
                if !grown.contains(id) {
                    grown.push(id.clone());
                }
            }
            *ids = grown.into();
            operation.ids = Rc::clone(ids);
        }
    }
}

fn gained<'r>(packet: &AuthPacket<'_>, rules: &'r Rules) -> &'r [Id] {
    rules
        .credentials
        .iter()
        .find(|known| {
            known.scheme == packet.scheme && Some(known.auth.as_slice()) == packet.auth.as_deref()
        })
        .map_or(&[], |known| &known.ids)
}
