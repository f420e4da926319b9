//! The loop that keeps connections busy.
//!
//! ```text
//! readable -> one read -> check and record each reply -> stamp what now fits -> one write
//! timer    -> the connections whose turn has come ------> stamp -> write
//! ```
//!
//! It shares the machine with the server it measures, so it does nothing twice: one thread, one
//! edge-triggered epoll, one `read` and one `write` for all that a ready connection has, one look
//! at the clock for them, no allocation. Buffers are shared by the connections, which keep only
//! what did not fit.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use types::{Op, Xid};
use wire::frame;
use wire::reply::ReplyHeader;
use wire::request::Request;

use crate::error::Error;
use crate::limits;
use crate::mix::Mix;
use crate::options::Refusals;
use crate::pace::Pace;
use crate::recording::{Batch, Recording};
use crate::session::{InFlight, Session};
use crate::template::refusal_of_multi;
use crate::timer::Timer;

/// The timer's token; connections have their place in the table.
const TIMER: Token = Token(usize::MAX);
/// Ready connections taken from the kernel at once.
const EVENTS_MAX: usize = 1024;

/// Connections with their sessions, served by one thread.
#[derive(Debug)]
pub(crate) struct Engine {
    poll: Poll,
    timer: Timer,
    sessions: Vec<Session>,
    /// Requests in flight on each connection at most.
    window: usize,
    /// Requests without a reply, on all connections.
    in_flight: usize,
    /// Reused by all connections, as only one is served at a time.
    received: Vec<u8>,
    requests: Vec<u8>,
}

/// What an [`Engine`] has to do.
#[derive(Debug)]
pub(crate) struct Work {
    /// Which requests; none at all for sessions that only stay alive.
    pub(crate) mix: Option<Mix>,
    /// When they are sent.
    pub(crate) pace: Pace,
    /// When the last is sent, in nanoseconds since the start; `None` if the pace itself ends.
    pub(crate) until_ns: Option<u64>,
    /// What is kept of the replies.
    pub(crate) recording: Recording,
    /// What to do with errors.
    pub(crate) refusals: Refusals,
}

impl Engine {
    /// Opens `conns` sessions at as many of `servers`, which the user calls `name`.
    pub(crate) fn open(
        servers: impl Iterator<Item = SocketAddr>,
        name: &str,
        conns: usize,
        window: usize,
    ) -> Result<Self, Error> {
        let poll = Poll::new()?;
        let timer = Timer::new()?;
        timer.register(&poll, TIMER)?;
        let mut sessions = Vec::with_capacity(conns);
        open_sessions(servers.take(conns), &mut sessions).map_err(|source| Error::Handshake {
            server: name.to_owned(),
            opened: sessions.len(),
            wanted: conns,
            source,
        })?;
        for (place, session) in sessions.iter_mut().enumerate() {
            session.in_flight.reserve(window);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut session.stream, Token(place), interest)?;
        }
        Ok(Self {
            poll,
            timer,
            sessions,
            window,
            in_flight: 0,
            received: vec![0; limits::RECEIVE_BYTES],
            requests: Vec::new(),
        })
    }

    /// Does the work; times count from `start`. Nothing is in flight when it returns.
    pub(crate) fn drive(&mut self, work: &mut Work, start: Instant) -> Result<(), Error> {
        let clock = Clock(start);
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut pings = Pings::new(&self.sessions, clock.now_ns());
        for place in 0..self.sessions.len() {
            self.refill(place, work, clock.now_ns())?;
        }
        let mut heard_ns = clock.now_ns();
        loop {
            let now_ns = clock.now_ns();
            let is_over = work.is_over(now_ns);
            if is_over && self.in_flight == 0 {
                return Ok(());
            }
            let wait = if is_over { pings.next_ns } else { work.wait_until_ns(pings.next_ns) };
            let wait = Duration::from_nanos(wait.saturating_sub(now_ns));
            self.timer.set(work.next_due_ns().filter(|_| !is_over), now_ns)?;
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                outcome => outcome?,
            }
            let now_ns = clock.now_ns();
            for event in events.iter().filter(|event| event.token() != TIMER) {
                heard_ns = now_ns;
                self.on_ready(event, work, clock)?;
            }
            let now_ns = clock.now_ns();
            self.check_alive(now_ns.saturating_sub(heard_ns))?;
            self.send_due(work, now_ns)?;
            pings.send_due(&mut self.sessions, now_ns)?;
        }
    }

    /// Closes the sessions and waits until the server has done so.
    pub(crate) fn close(mut self) -> Result<(), Error> {
        for session in &mut self.sessions {
            session.ask_close()?;
        }
        for session in self.sessions {
            session.wait_closed()?;
        }
        Ok(())
    }

    fn on_ready(&mut self, event: &Event, work: &mut Work, clock: Clock) -> Result<(), Error> {
        let Token(place) = event.token();
        let outcome = if event.is_readable() { self.receive(place, work, clock) } else { Ok(()) };
        let session = &mut self.sessions[place];
        if outcome.is_ok() && event.is_writable() && session.is_blocked() {
            session.flush().map_err(|source| self.lost(place, source))?;
            self.refill(place, work, clock.now_ns())?;
        }
        outcome
    }

    /// Takes what has arrived on a connection, and sends what the replies make room for.
    fn receive(&mut self, place: usize, work: &mut Work, clock: Clock) -> Result<(), Error> {
        loop {
            let mut received = std::mem::take(&mut self.received);
            let outcome = self.sessions[place].read(&mut received);
            let now_ns = clock.now_ns();
            let taken = match outcome {
                Ok(count) => {
                    self.take_replies(place, &received[..count], work, now_ns).map(|()| count)
                }
                Err(source) => Err(self.lost(place, source)),
            };
            // A socket that filled the buffer may hold more, and will not be announced again.
            let is_drained = taken.as_ref().is_ok_and(|&count| count < received.len());
            self.received = received;
            taken?;
            self.refill(place, work, now_ns)?;
            if is_drained {
                return Ok(());
            }
        }
    }

    /// Checks and records the replies in `received`, and keeps the start of an incomplete one.
    fn take_replies(
        &mut self,
        place: usize,
        received: &[u8],
        work: &mut Work,
        now_ns: u64,
    ) -> Result<(), Error> {
        let session = &mut self.sessions[place];
        let mut rest = received;
        let mut equal: Option<(Batch, u64)> = None;
        let frame_bytes_max = limits::RECEIVE_BYTES - 4;
        loop {
            let split = frame::split(rest, frame_bytes_max).map_err(|_| malformed(place, rest))?;
            let Some((body, bytes)) = split else { break };
            rest = &rest[bytes..];
            let Ok((header, record)) = ReplyHeader::decode(body) else {
                return Err(Error::Malformed { connection: place, bytes: body.len() as i64 });
            };
            if header.xid == Xid::PING {
                continue;
            }
            let request = session.in_flight.pop_front();
            let Some(InFlight { batch, .. }) = request.filter(|it| it.xid == header.xid.0) else {
                let expected = request.map(|request| request.xid);
                return Err(Error::OutOfOrder { connection: place, expected, got: header.xid.0 });
            };
            self.in_flight -= 1;
            if !work.accept(batch, header.code, record, now_ns)? {
                continue;
            }
            equal = match equal {
                Some((same, count)) if same == batch => Some((same, count + 1)),
                other => {
                    if let Some((batch, count)) = other {
                        work.recording.replies(batch, now_ns, count);
                    }
                    Some((batch, 1))
                }
            };
        }
        if let Some((batch, count)) = equal {
            work.recording.replies(batch, now_ns, count);
        }
        session.keep(rest);
        Ok(())
    }

    /// Sends requests on a connection as far as its window has room and the pace allows.
    fn refill(&mut self, place: usize, work: &mut Work, now_ns: u64) -> Result<(), Error> {
        let session = &mut self.sessions[place];
        if session.is_blocked() {
            return Ok(());
        }
        self.requests.clear();
        while session.in_flight.len() < self.window {
            let Some(start_ns) = work.next_start_ns(place, session, now_ns) else { break };
            let Some(mix) = &mut work.mix else { break };
            let xid = session.draw_xid();
            let template = mix.stamp(&mut self.requests, xid, &mut session.half_done);
            session.in_flight.push_back(InFlight { xid, batch: Batch { template, start_ns } });
            self.in_flight += 1;
        }
        if self.requests.is_empty() {
            return Ok(());
        }
        let outcome = session.send(&self.requests, now_ns);
        outcome.map_err(|source| self.lost(place, source))
    }

    /// Sends on the connections whose turn in the timetable has come.
    fn send_due(&mut self, work: &mut Work, now_ns: u64) -> Result<(), Error> {
        while let Pace::Offered(timetable) = &mut work.pace
            && let Some(place) = timetable.next_due(now_ns)
        {
            self.refill(place, work, now_ns)?;
        }
        Ok(())
    }

    fn check_alive(&self, silent_ns: u64) -> Result<(), Error> {
        let silent = Duration::from_nanos(silent_ns);
        if self.in_flight > 0 && silent >= limits::STALL_MAX {
            return Err(Error::Stalled { seconds: silent.as_secs(), in_flight: self.in_flight });
        }
        Ok(())
    }

    fn lost(&self, place: usize, source: io::Error) -> Error {
        let in_flight = self.sessions[place].in_flight.len();
        Error::Lost { connection: place, in_flight, source }
    }
}

impl Work {
    /// When the next request on this connection counts as sent; `None` if none is due.
    fn next_start_ns(&mut self, place: usize, session: &mut Session, now_ns: u64) -> Option<u64> {
        if self.until_ns.is_some_and(|until_ns| now_ns >= until_ns) {
            // The second request of a pair removes what the first one has created.
            return session.half_done.map(|_| now_ns);
        }
        match &mut self.pace {
            Pace::Closed => Some(now_ns),
            Pace::Limited { left } => {
                *left = left.checked_sub(1)?;
                Some(now_ns)
            }
            Pace::Offered(timetable) => timetable.take(place, &mut session.taken, now_ns),
            Pace::Silent => None,
        }
    }

    /// Whether the reply to a request is a right one, rather than an error to be counted.
    fn accept(
        &mut self,
        batch: Batch,
        code: i32,
        record: &[u8],
        now_ns: u64,
    ) -> Result<bool, Error> {
        let mix = self.mix.as_ref().expect("only a mix puts requests in flight");
        let template = &mix.templates()[usize::from(batch.template)];
        let expected = template.record_bytes;
        if code == 0 && record.len() == expected {
            return Ok(true);
        }
        let request = template.name;
        let code = if code == 0 { refusal_of_multi(record) } else { Some(code) };
        match (code, self.refusals) {
            (Some(code), Refusals::Fail) => Err(Error::Refused { request, code }),
            (Some(code), Refusals::Count) => {
                self.recording.error(code, now_ns);
                Ok(false)
            }
            (None, _) => Err(Error::RecordLength { request, expected, got: record.len() }),
        }
    }

    fn is_over(&self, now_ns: u64) -> bool {
        match self.until_ns {
            Some(until_ns) => now_ns >= until_ns,
            None => matches!(self.pace, Pace::Limited { left: 0 }),
        }
    }

    /// How long to sleep at most when no reply arrives.
    fn wait_until_ns(&self, ping_ns: u64) -> u64 {
        self.until_ns.map_or(ping_ns, |until_ns| until_ns.min(ping_ns))
    }

    fn next_due_ns(&self) -> Option<u64> {
        match &self.pace {
            Pace::Offered(timetable) => Some(timetable.next_ns()),
            Pace::Closed | Pace::Limited { .. } | Pace::Silent => None,
        }
    }
}

/// Nanoseconds since the start of a run.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    fn now_ns(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Signs of life of sessions that have nothing else to say.
#[derive(Debug)]
struct Pings {
    request: Vec<u8>,
    /// How long a session may be silent.
    silence_ns: u64,
    /// How often to look.
    period_ns: u64,
    next_ns: u64,
}

impl Pings {
    /// Pings for sessions that were opened before now.
    fn new(sessions: &[Session], now_ns: u64) -> Self {
        let timeout = sessions.iter().map(|session| session.timeout).min();
        let timeout = timeout.unwrap_or(limits::SESSION_TIMEOUT);
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let mut request = Vec::new();
        Request { xid: Xid::PING, op: Op::Ping }.encode(&mut request);
        let period_ns = timeout_ns / 30;
        Self { request, silence_ns: timeout_ns / 3, period_ns, next_ns: now_ns + period_ns }
    }

    fn send_due(&mut self, sessions: &mut [Session], now_ns: u64) -> Result<(), Error> {
        if now_ns < self.next_ns {
            return Ok(());
        }
        self.next_ns = now_ns + self.period_ns;
        for (place, session) in sessions.iter_mut().enumerate() {
            if now_ns.saturating_sub(session.sent_ns) >= self.silence_ns {
                session.send(&self.request, now_ns).map_err(|source| Error::Lost {
                    connection: place,
                    in_flight: session.in_flight.len(),
                    source,
                })?;
            }
        }
        Ok(())
    }
}

/// Connects and shakes hands with a few connections at a time, as a server can not be expected to
/// keep thousands waiting to be accepted.
fn open_sessions(
    mut servers: impl Iterator<Item = SocketAddr>,
    sessions: &mut Vec<Session>,
) -> io::Result<()> {
    let mut ask = Vec::new();
    Session::ask(&mut ask);
    let mut asked = std::collections::VecDeque::new();
    loop {
        while asked.len() < limits::HANDSHAKES_MAX
            && let Some(server) = servers.next()
        {
            let mut stream = TcpStream::connect_timeout(&server, limits::STALL_MAX)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(limits::STALL_MAX))?;
            io::Write::write_all(&mut stream, &ask)?;
            asked.push_back(stream);
        }
        let Some(stream) = asked.pop_front() else { return Ok(()) };
        sessions.push(Session::establish(stream)?);
    }
}

fn malformed(connection: usize, rest: &[u8]) -> Error {
    let length = rest.first_chunk().map_or(0, |bytes| i32::from_be_bytes(*bytes));
    Error::Malformed { connection, bytes: length.into() }
}
