//! The tokio surroundings of a [`Session`]: one task that owns it, its socket and its timer.
//!
//! ```text
//! handles ──commands──►  ┌────────┐ ──outgoing──► socket
//!   ▲  ▲                 │ driver │
//!   │  └──── answers ────│ Session│ ◄──received── socket
//!   └─────── events ─────└────────┘ ◄──deadline── timer
//! ```
//!
//! Everything that waits is taken in before anything is written, so that requests which are queued
//! together leave in one system call.

use std::collections::BTreeMap;
use std::future::{Future, pending, poll_fn};
use std::io::{self, Cursor};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::yield_now;
use tokio::time::{Instant as ClockInstant, Sleep, sleep_until};
use tracing::{Instrument, Span, debug, field, info, info_span, warn};
use types::{ConnId, Instant, Op};

use crate::address::Host;
use crate::connector::{Connecting, Connector, Stream};
use crate::error::Error;
use crate::limits::{BATCH_COMMANDS_MAX, GATHER_SHARE, READ_BYTES};
use crate::response::Response;
use crate::sasl::Authenticator;
use crate::session::{
    Effect, Effects, HangUp, HostIndex, Input, Notice, RequestId, SaslStep, Session, SessionState,
    Ticket, WatchId,
};
use crate::watch::WatchSender;

/// The request with which the driver closes a session that nobody holds anymore.
const LAST_REQUEST: RequestId = RequestId(u64::MAX);

/// How long to sleep when nothing is due.
const NEVER: Duration = Duration::from_secs(3600);

/// What handles tell the driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Do this.
    Request(Call),
    /// A watch has no owner anymore.
    Forget(WatchId),
    /// These are the servers now.
    Hosts(Vec<Host>),
    /// Stop without closing the session, so that it can be resumed elsewhere.
    Detach,
}

/// A request and where its answer goes.
#[derive(Debug)]
pub(crate) struct Call {
    /// Unique within the client.
    pub(crate) id: RequestId,
    /// What is asked.
    pub(crate) op: Op<'static>,
    /// Where the answer goes.
    pub(crate) answer: oneshot::Sender<Result<Response, Error>>,
    /// Where events go, if the operation sets a watch.
    pub(crate) watch: Option<WatchSender>,
}

/// What handles can see of the session.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// Its state.
    pub(crate) state: SessionState,
    /// What resumes it.
    pub(crate) ticket: Option<Ticket>,
    /// Its timeout.
    pub(crate) timeout: Duration,
    /// Who serves it, if anybody does.
    pub(crate) server: Option<Host>,
}

impl Status {
    /// What there is to see now.
    pub(crate) fn of(session: &Session) -> Self {
        Self {
            state: session.state(),
            ticket: session.ticket().cloned(),
            timeout: session.timeout(),
            server: None,
        }
    }
}

/// The task behind all handles of one client.
#[derive(Debug)]
pub(crate) struct Driver {
    session: Session,
    hosts: Vec<Host>,
    /// The one to which the last connection was made.
    dialed: Option<Host>,
    connector: Connector,
    sasl: Option<Authenticator>,
    commands: mpsc::UnboundedReceiver<Command>,
    /// One for each request that may still be queued; given back when requests are done.
    permits: Arc<Semaphore>,
    status: watch::Sender<Status>,
    answers: BTreeMap<RequestId, Awaited>,
    watches: BTreeMap<WatchId, WatchSender>,
    /// Watches whose owners are gone, to be forgotten.
    orphans: Vec<WatchId>,
    effects: Effects,
    socket: Socket,
    probe: Option<Probe>,
    /// How many requests were done since handles asked for anything.
    answered: usize,
    /// What the session counts its time from.
    started: ClockInstant,
    /// Whether the session ends because no handle is left.
    is_abandoned: bool,
}

impl Driver {
    /// A driver that does nothing until it runs.
    #[expect(clippy::disallowed_methods, reason = "the session's time comes from here")]
    pub(crate) fn new(
        session: Session,
        hosts: Vec<Host>,
        connector: Connector,
        sasl: Option<Authenticator>,
        commands: mpsc::UnboundedReceiver<Command>,
        permits: Arc<Semaphore>,
        status: watch::Sender<Status>,
    ) -> Self {
        Self {
            session,
            hosts,
            dialed: None,
            connector,
            sasl,
            commands,
            permits,
            status,
            answers: BTreeMap::new(),
            watches: BTreeMap::new(),
            orphans: Vec::new(),
            effects: Effects::default(),
            socket: Socket::None,
            probe: None,
            answered: 0,
            started: ClockInstant::now(),
            is_abandoned: false,
        }
    }

    /// Runs in a task and a span of its own until the session is over.
    pub(crate) fn start(self) {
        let id = self.session.ticket().map(|ticket| field::display(ticket.id));
        tokio::spawn(self.run().instrument(info_span!("session", id)));
    }

    async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_COMMANDS_MAX);
        let mut timer = std::pin::pin!(sleep_until(self.started));
        self.step(Input::Deadline);
        self.carry_out();
        while !self.session.state().is_over() {
            self.arm(timer.as_mut());
            tokio::select! {
                count = self.commands.recv_many(&mut batch, BATCH_COMMANDS_MAX),
                    if !self.is_abandoned =>
                {
                    if count == 0 {
                        self.is_abandoned = true;
                        self.step(Input::Request { id: LAST_REQUEST, op: Op::CloseSession });
                    }
                    self.gather(&mut batch, count).await;
                    for command in batch.drain(..) {
                        self.on_command(command);
                    }
                }
                event = self.socket.event() => self.on_socket(event),
                serves_writes = answer(&mut self.probe) => {
                    if let Some(probe) = self.probe.take().filter(|_| serves_writes) {
                        self.step(Input::ServesWrites(probe.host));
                    }
                }
                () = timer.as_mut() => self.step(Input::Deadline),
            }
            self.carry_out();
        }
        self.refuse_the_rest().await;
    }

    /// Lets those whose answers just came ask again, if only few of them have: in a runtime of several
    /// threads each of them would have a system call of its own otherwise.
    async fn gather(&mut self, batch: &mut Vec<Command>, count: usize) {
        if count * GATHER_SHARE < std::mem::take(&mut self.answered) {
            yield_now().await;
            while batch.len() < BATCH_COMMANDS_MAX
                && let Ok(command) = self.commands.try_recv()
            {
                batch.push(command);
            }
        }
    }

    /// Sets the timer, unless it rings early enough anyway: deadlines mostly move away, and a step
    /// too many costs less than setting the timer for each request.
    fn arm(&self, timer: Pin<&mut Sleep>) {
        let due = match self.session.next_deadline() {
            Some(deadline) => self.started + Duration::from_nanos(deadline.nanos()),
            None => self.started + NEVER,
        };
        if timer.is_elapsed() || due < timer.deadline() {
            timer.reset(due);
        }
    }

    fn step(&mut self, input: Input<'_>) {
        let now = Instant::from_start(self.started.elapsed());
        self.session.step(now, input, &mut self.effects);
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Request(Call { id, op, answer, watch }) => {
                let may_change = matches!(op, Op::Write(_) | Op::CloseSession);
                let sets_watch = watch.is_some();
                self.answers.insert(id, Awaited { answer, sets_watch, may_change });
                if let Some(watch) = watch {
                    self.watches.insert(id, watch);
                }
                self.step(Input::Request { id, op });
            }
            Command::Forget(watch) => {
                self.watches.remove(&watch);
                self.step(Input::Forget(watch));
            }
            Command::Hosts(hosts) => self.on_hosts(hosts),
            Command::Detach => self.step(Input::Detach),
        }
    }

    fn on_hosts(&mut self, hosts: Vec<Host>) {
        let place = |old: &Host| hosts.iter().position(|new| new == old).map(HostIndex);
        let moved: Vec<_> = self.hosts.iter().map(place).collect();
        self.hosts = hosts;
        // It is about a place in the old list.
        self.probe = None;
        self.step(Input::Hosts { count: self.hosts.len(), moved: &moved });
    }

    fn on_socket(&mut self, event: SocketEvent) {
        match event {
            SocketEvent::Connected(conn, stream) => {
                self.socket = Socket::Open(Box::new(Open {
                    conn,
                    stream,
                    received: BytesMut::with_capacity(READ_BYTES),
                    outgoing: Cursor::default(),
                    is_flushed: true,
                }));
                self.step(Input::Connected(conn));
            }
            SocketEvent::Received => {
                let Socket::Open(open) = &mut self.socket else { return };
                let mut received = std::mem::take(&mut open.received);
                let conn = open.conn;
                self.step(Input::Received { conn, bytes: &received });
                received.clear();
                if let Socket::Open(open) = &mut self.socket {
                    open.received = received;
                }
            }
            SocketEvent::Ended(conn, error) => {
                debug!(error = error.map(field::display), "connection ended");
                self.socket = Socket::None;
                self.step(Input::Disconnected(conn));
            }
        }
    }

    fn carry_out(&mut self) {
        let mut list = std::mem::take(&mut self.effects.list);
        let mut completed = 0;
        let mut turn = None;
        for effect in list.drain(..) {
            match effect {
                Effect::Dial { conn, host } => self.dial(conn, host),
                Effect::HangUp { conn: _, reason } => self.hang_up(&reason),
                Effect::Probe { host } => {
                    let HostIndex(place) = host;
                    let connector = self.connector.clone();
                    let answer = Box::pin(connector.serves_writes(self.hosts[place].clone()));
                    self.probe = Some(Probe { host, answer });
                }
                Effect::SaslBegin { conn } => {
                    let host = self.dialed.as_ref();
                    let begun = self.sasl.as_mut().zip(host).map(|(sasl, host)| sasl.begin(host));
                    turn = begun.map(|step| (conn, step));
                }
                Effect::SaslToken { conn, token } => {
                    let step = self.sasl.as_mut().map(|sasl| sasl.answer(token.as_deref()));
                    turn = step.map(|step| (conn, step));
                }
                Effect::Complete { id, outcome } => {
                    completed += usize::from(self.complete(id, outcome));
                }
                Effect::Deliver { watch, notice } => self.deliver(watch, notice),
                Effect::State(state) => self.show(state),
            }
        }
        self.effects.list = list;
        self.permits.add_permits(completed);
        self.answered += completed;
        self.socket.queue(&mut self.effects.outgoing);
        if !self.orphans.is_empty() {
            for watch in std::mem::take(&mut self.orphans) {
                self.step(Input::Forget(watch));
            }
            self.socket.queue(&mut self.effects.outgoing);
        }
        if let Some((conn, step)) = turn {
            self.take_turn(conn, step);
            // Not again and again: the next turn needs the server's answer.
            self.carry_out();
        }
    }

    /// Tells the session what the program did when it was its turn in a SASL exchange.
    fn take_turn(&mut self, conn: ConnId, step: io::Result<SaslStep>) {
        match step {
            Ok(step) => self.step(Input::Sasl { conn, step }),
            Err(error) => {
                warn!(%error, "no authentication");
                self.step(Input::SaslFailed(conn));
            }
        }
    }

    fn dial(&mut self, conn: ConnId, HostIndex(host): HostIndex) {
        let host = self.hosts[host].clone();
        debug!(%host, "connecting");
        self.dialed = Some(host.clone());
        let stream = self.connector.connect(host, conn);
        self.socket = Socket::Dialing(Dialing { conn, stream });
    }

    fn hang_up(&mut self, reason: &HangUp) {
        match reason {
            HangUp::Misbehaved(misbehaved) => warn!(%misbehaved, "server misbehaved"),
            HangUp::Unanswered | HangUp::Silent => info!(%reason, "hanging up"),
            HangUp::Over | HangUp::Moving => debug!(%reason, "hanging up"),
        }
        self.socket = Socket::None;
    }

    /// Whether it was a request of a handle.
    fn complete(&mut self, id: RequestId, outcome: Result<Response, Error>) -> bool {
        let Some(Awaited { answer, sets_watch, .. }) = self.answers.remove(&id) else {
            return false;
        };
        if sets_watch && !self.watches.contains_key(&id) {
            // Its owner was gone before it was there.
            self.orphans.push(id);
        }
        if answer.send(outcome).is_err() {
            debug!(request = id.0, "nobody waits for the answer");
        }
        true
    }

    fn deliver(&mut self, watch: WatchId, notice: Notice) {
        match self.watches.remove(&watch).map(|sender| sender.deliver(notice)) {
            Some(Some(sender)) => {
                self.watches.insert(watch, sender);
            }
            Some(None) | None => self.orphans.push(watch),
        }
    }

    fn show(&self, state: SessionState) {
        let id = self.session.ticket().map(|ticket| ticket.id);
        let known = self.status.borrow().ticket.as_ref().map(|ticket| ticket.id);
        if let Some(id) = id.filter(|_| known != id) {
            Span::current().record("id", field::display(id));
        }
        info!(?state, "session");
        let server = self.dialed.clone().filter(|_| state.is_connected());
        self.status.send_replace(Status { state, server, ..Status::of(&self.session) });
    }

    /// Answers what was queued while the session ended, so that nobody waits in vain.
    async fn refuse_the_rest(mut self) {
        self.permits.close();
        self.commands.close();
        while let Some(command) = self.commands.recv().await {
            self.on_command(command);
            self.carry_out();
        }
        let error = match self.session.state() {
            SessionState::Expired => Error::SessionExpired,
            SessionState::AuthFailed => Error::AuthFailed,
            SessionState::Closed
            | SessionState::Connecting
            | SessionState::Connected
            | SessionState::ConnectedReadOnly
            | SessionState::Disconnected => Error::Closed,
        };
        for (_, watch) in std::mem::take(&mut self.watches) {
            watch.end(error.clone());
        }
    }
}

impl Drop for Driver {
    /// Nobody speaks for a session without a driver, so it is over for those who hold it, however the
    /// driver ended: they must not take it for alive when the runtime was shut down, or when what the
    /// program brought along (a connector, a mechanism) has panicked here.
    fn drop(&mut self) {
        // First, so that whoever meets one of the errors below finds the session over.
        self.status.send_if_modified(|status| {
            if status.state.is_over() {
                return false;
            }
            let state = self.session.state();
            status.state = if state.is_over() { state } else { SessionState::Closed };
            status.server = None;
            true
        });
        self.permits.close();
        for Awaited { answer, may_change, .. } in std::mem::take(&mut self.answers).into_values() {
            let lost = Error::ConnectionLost { may_have_happened: true };
            let error = if may_change { lost } else { Error::Closed };
            // One that nobody waits for anymore is no loss.
            drop(answer.send(Err(error)));
        }
    }
}

/// What waits for an answer.
#[derive(Debug)]
struct Awaited {
    answer: oneshot::Sender<Result<Response, Error>>,
    sets_watch: bool,
    /// Whether the request can change znodes or the session.
    may_change: bool,
}

/// A question to a server, beside the connection.
struct Probe {
    host: HostIndex,
    /// Whether it serves writes.
    answer: Pin<Box<dyn Future<Output = bool> + Send>>,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The answer to a question, if one was asked.
async fn answer(probe: &mut Option<Probe>) -> bool {
    match probe {
        Some(probe) => probe.answer.as_mut().await,
        None => pending().await,
    }
}

/// The connection, as far as there is one.
#[derive(Debug)]
enum Socket {
    None,
    Dialing(Dialing),
    Open(Box<Open>),
}

struct Dialing {
    conn: ConnId,
    stream: Connecting,
}

impl std::fmt::Debug for Dialing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialing").field("conn", &self.conn).finish_non_exhaustive()
    }
}

struct Open {
    conn: ConnId,
    stream: Stream,
    /// Bytes for the session to take.
    received: BytesMut,
    /// Bytes that are being written.
    outgoing: Cursor<Vec<u8>>,
    /// Whether what was written is on its way: a stream may keep it until it is told.
    is_flushed: bool,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("conn", &self.conn).finish_non_exhaustive()
    }
}

enum SocketEvent {
    Connected(ConnId, Stream),
    /// There are bytes in [`Open::received`].
    Received,
    Ended(ConnId, Option<io::Error>),
}

impl Socket {
    /// Waits for the next thing to happen. Nothing is lost when the future is dropped before.
    async fn event(&mut self) -> SocketEvent {
        match self {
            Self::None => pending().await,
            Self::Dialing(dialing) => match dialing.stream.as_mut().await {
                Ok(stream) => SocketEvent::Connected(dialing.conn, stream),
                Err(error) => SocketEvent::Ended(dialing.conn, Some(error)),
            },
            Self::Open(open) => open.event().await,
        }
    }

    /// Takes over bytes to write; without a connection they are void.
    fn queue(&mut self, bytes: &mut Vec<u8>) {
        if let Self::Open(open) = self {
            if open.outgoing.has_remaining() {
                open.outgoing.get_mut().append(bytes);
            } else {
                open.outgoing.set_position(0);
                std::mem::swap(open.outgoing.get_mut(), bytes);
            }
        }
        bytes.clear();
    }
}

impl Open {
    async fn event(&mut self) -> SocketEvent {
        if self.received.capacity() < READ_BYTES {
            self.received.reserve(READ_BYTES);
        }
        poll_fn(|context| self.poll_event(context)).await
    }

    /// Writes and reads, whichever is possible. The futures keep nothing between two polls, so that the
    /// stream need not be split.
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<SocketEvent> {
        let written = self.poll_outgoing(context);
        let read = pin!(self.stream.read_buf(&mut self.received)).poll(context);
        // What a server says before it hangs up is heard, although nothing can be written to it anymore.
        match (read, written) {
            (Poll::Ready(Ok(1..)), _) => Poll::Ready(SocketEvent::Received),
            (Poll::Ready(Ok(0)), _) => Poll::Ready(SocketEvent::Ended(self.conn, None)),
            (Poll::Ready(Err(error)), _) | (Poll::Pending, Poll::Ready(Err(error))) => {
                Poll::Ready(SocketEvent::Ended(self.conn, Some(error)))
            }
            (Poll::Pending, Poll::Ready(Ok(())) | Poll::Pending) => Poll::Pending,
        }
    }

    /// Ready when nothing is left to write.
    fn poll_outgoing(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.outgoing.has_remaining() {
            self.is_flushed = false;
            let write = pin!(self.stream.write_buf(&mut self.outgoing));
            if ready!(write.poll(context))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        if !self.is_flushed {
            ready!(pin!(self.stream.flush()).poll(context))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}
