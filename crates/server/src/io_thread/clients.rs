//! The clients of an I/O thread: their connections, and what is done with them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use admin::{FourLetterWord, TraceMask, Whitelist};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use replica::{Address, Frontend, Input};
use tracing::{debug, error};
use types::{ConnId, Instant, LineLimit};

use super::four_letter::Opening;
use super::socket::{FirstBytes, Socket, Sockets};
use crate::clock::Clock;
use crate::door::{Door, Errand, Handover, client_address, look_up};
use crate::letterbox::WAKER;
use crate::operator::{self, Desk, Finding, Question};
use crate::view::{ClientPlace, Views};

/// The most bytes taken from one connection before others get their turn.
const READ_BYTES: usize = 128 << 10;
/// How often connections without a handshake are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Pieces of mail that are worked off by whoever posted them, if the thread sleeps: an answer for each of a
/// few clients.
const BRIEF_MAIL_MAX: usize = 4;

/// What clients are served with.
pub(crate) struct Equipment {
    /// Of the thread's events.
    pub(crate) registry: Registry,
    pub(crate) frontend: Frontend,
    pub(crate) handover: Arc<Handover>,
    /// The listener, on the one thread that has it.
    pub(crate) door: Option<Door>,
    /// Where the words of operators are left.
    pub(crate) desk: Arc<Desk>,
    /// The words that are answered.
    pub(crate) whitelist: Whitelist,
    pub(crate) views: Arc<Views>,
    pub(crate) clock: Clock,
    /// How long a connection may take to finish the handshake.
    pub(crate) handshake_timeout: Duration,
    /// For the log, of all I/O threads: connections that the system does not tell of.
    pub(crate) unwatched: Arc<LineLimit>,
}

/// The connections of an I/O thread. Whoever has them works with them, one thread at a time; nobody waits
/// for anything meanwhile.
pub(super) struct Clients {
    io: Equipment,
    sockets: Sockets,
    buffer: Box<[u8]>,
    touched: Vec<ConnId>,
    /// Connections that may have bytes of which the system does not tell again: others came first,
    /// or the bytes were not wanted. Each once.
    held_up: Vec<ConnId>,
    /// Connections may wait at the door of which the system does not tell again.
    more_wait_outside: bool,
    next_sweep: Instant,
}

impl Clients {
    /// None yet.
    pub(super) fn new(io: Equipment) -> Self {
        let next_sweep = io.clock.instant().after(SWEEP_INTERVAL);
        Self {
            io,
            sockets: Sockets::default(),
            buffer: vec![0; READ_BYTES].into(),
            touched: Vec::new(),
            held_up: Vec::new(),
            more_wait_outside: false,
            next_sweep,
        }
    }

    /// Whether there is something to do now, whatever the sockets say.
    pub(super) fn has_work(&self) -> bool {
        let frontend = &self.io.frontend;
        frontend.has_work()
            || self.more_wait_outside
            || self.held_up.iter().any(|&conn| frontend.wants_bytes(conn))
    }

    /// When something is due, if nothing happens before.
    pub(super) fn next_deadline(&self) -> Instant {
        self.next_sweep
    }

    /// What the replica has to be told.
    pub(super) fn inputs(&mut self) -> &mut Vec<Input> {
        self.io.frontend.inputs()
    }

    /// Sends the answers that have come by mail, if that is all that has come, and little. Returns whether nothing
    /// is left to be done.
    pub(super) fn send_brief_mail(&mut self) -> bool {
        if !self.io.frontend.has_only_replies(BRIEF_MAIL_MAX) {
            return false;
        }
        self.io.frontend.collect_mail(self.io.clock.now());
        self.flush_touched();
        !self.has_work() && self.inputs().is_empty()
    }

    /// Something happened to a socket.
    pub(super) fn on_event(&mut self, event: &mio::event::Event) {
        match event.token() {
            WAKER => {}
            Token(slot) if Door::is(slot) => {
                self.accept();
            }
            Token(slot) => {
                let Some(conn) = self.sockets.at(slot) else { return };
                if event.is_read_closed()
                    && let Some(socket) = self.sockets.find_mut(conn)
                {
                    socket.has_end = true;
                }
                if event.is_readable() || event.is_read_closed() {
                    self.read(conn);
                }
                if event.is_writable() {
                    self.flush(conn);
                }
            }
        }
    }

    fn accept(&mut self) {
        if let Some(door) = &mut self.io.door {
            self.more_wait_outside = door.accept(self.io.clock.instant());
        }
    }

    /// Everything that follows from the events: new connections, mail, output, and input for the replica,
    /// which is left in the frontend.
    pub(super) fn turn(&mut self) {
        if self.more_wait_outside {
            self.accept();
        }
        for errand in self.io.handover.letterbox.take() {
            match errand {
                Errand::Serve { stream, address } => self.open(stream, address),
                Errand::Answer { conn, text } => self.answer(conn, text),
                Errand::ListWatches(from) => {
                    let page = self.io.frontend.list_watches(from);
                    self.io.desk.findings.put(Finding::Watches(page));
                }
                Errand::MoveDoor(place) => self.move_door(&place),
            }
        }
        self.io.frontend.collect(self.io.clock.now());
        self.flush_touched();
        let held_up = std::mem::take(&mut self.held_up);
        for conn in held_up {
            if let Some(socket) = self.sockets.find_mut(conn) {
                socket.is_held_up = false;
                self.read(conn);
            }
        }
        self.flush_touched();
        let now = self.io.clock.instant();
        if now >= self.next_sweep {
            self.sweep(now);
        }
    }

    /// Names are looked up on a thread that lives for that: it may take long.
    fn move_door(&mut self, place: &ClientPlace) {
        let address = match place {
            ClientPlace::Nowhere => None,
            ClientPlace::At(place) => match client_address(place) {
                Some(address) => Some(address),
                None => return look_up(place.clone(), Arc::clone(&self.io.handover)),
            },
        };
        if let Some(door) = &mut self.io.door {
            door.move_to(address, &self.io.registry);
            self.more_wait_outside = true;
        }
    }

    fn open(&mut self, mut stream: TcpStream, address: SocketAddr) {
        let conn = self.io.frontend.open(self.io.clock.now(), address.ip());
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(Sockets::slot(conn));
        let registered = self.io.registry.register(&mut stream, token, interest);
        if let Err(failure) = registered {
            if let Some(suppressed) = self.io.unwatched.admit(self.io.clock.instant()) {
                error!(%address, %failure, suppressed, "can not watch the connection, closed");
            }
            self.io.frontend.closed(conn);
            self.io.handover.connection_closed(address.ip());
            return;
        }
        if let Some(stats) = self.io.frontend.connection_stats(conn) {
            self.io.views.opened(self.io.frontend.front(), conn, address, stats);
        }
        self.sockets.insert(conn, Socket::new(stream, address.ip()));
        // What came before the registration may never be told.
        self.read(conn);
    }

    /// Reads what there is, as long as it is wanted.
    fn read(&mut self, conn: ConnId) {
        loop {
            let Some(socket) = self.sockets.find_mut(conn) else { return };
            match socket.first_bytes {
                FirstBytes::Asked => return,
                // The end of what the operator sends is not to end the answer.
                FirstBytes::Answered if socket.has_text() => return,
                FirstBytes::Answered => return self.drain(conn),
                FirstBytes::Waiting(_) | FirstBytes::Known => {}
            }
            if !self.io.frontend.wants_bytes(conn) {
                return self.hold_up(conn);
            }
            match socket.stream.read(&mut self.buffer) {
                Ok(0) => return self.close(conn, "closed by the client"),
                Ok(bytes) => {
                    // There may be more, or only the end; but others have waited long enough.
                    if bytes == self.buffer.len() || socket.has_end {
                        self.hold_up(conn);
                    }
                    return self.take_in(conn, bytes);
                }
                Err(failure) if failure.kind() == io::ErrorKind::WouldBlock => return,
                Err(failure) if failure.kind() == io::ErrorKind::Interrupted => {}
                Err(failure) => {
                    debug!(?conn, %failure, "read failed");
                    return self.close(conn, "broken");
                }
            }
        }
    }

    /// Lets the connection be read from again in the next turn in which its bytes are wanted.
    fn hold_up(&mut self, conn: ConnId) {
        if let Some(socket) = self.sockets.find_mut(conn)
            && !socket.is_held_up
        {
            socket.is_held_up = true;
            self.held_up.push(conn);
        }
    }

    /// Hands the bytes at the start of the buffer on: to the frontend, or, if they are the first
    /// and a word of an operator, to who answers that.
    fn take_in(&mut self, conn: ConnId, bytes: usize) {
        let now = self.io.clock.now();
        let Some(socket) = self.sockets.find_mut(conn) else { return };
        let received = &self.buffer[..bytes];
        if socket.first_bytes == FirstBytes::Known {
            self.io.frontend.receive(now, conn, received);
            return;
        }
        let FirstBytes::Waiting(before) = &mut socket.first_bytes else { return };
        before.extend_from_slice(received);
        match Opening::of(before, self.io.whitelist) {
            Opening::Incomplete => {}
            Opening::Frame => {
                let first = std::mem::take(before);
                socket.first_bytes = FirstBytes::Known;
                self.io.frontend.receive(now, conn, &first);
            }
            Opening::Refused(word) => {
                self.count_word(conn);
                self.answer(conn, word.refusal().into_bytes());
            }
            Opening::Word { word, mask } => {
                socket.first_bytes = FirstBytes::Asked;
                self.count_word(conn);
                self.ask(conn, word, mask);
            }
        }
    }

    /// Answers a word that needs nothing, or lets the operator's thread do it.
    fn ask(&mut self, conn: ConnId, word: FourLetterWord, mask: Option<TraceMask>) {
        match operator::prompt_answer(word, self.io.views.mode()) {
            Some(text) => self.answer(conn, text.into()),
            None => {
                let asker = Address { front: self.io.frontend.front(), conn };
                self.io.desk.questions.put(Question { asker, word, mask });
            }
        }
    }

    /// A word counts as a frame, as with Apache.
    fn count_word(&self, conn: ConnId) {
        if let Some(stats) = self.io.frontend.connection_stats(conn) {
            stats.received.add(1);
            self.io.frontend.stats().received.add(1);
        }
        self.io.views.asks(self.io.frontend.front(), conn);
    }

    fn answer(&mut self, conn: ConnId, text: Vec<u8>) {
        let Some(socket) = self.sockets.find_mut(conn) else { return };
        socket.first_bytes = FirstBytes::Answered;
        socket.text = text;
        self.flush_text(conn);
    }

    fn flush_touched(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        self.io.frontend.take_touched(&mut touched);
        for conn in touched.drain(..) {
            self.flush(conn);
        }
        self.touched = touched;
    }

    /// Sends what the connection has to send, and closes it if that was the last.
    fn flush(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.find_mut(conn) else { return };
        match socket.first_bytes {
            FirstBytes::Asked => return,
            FirstBytes::Answered => return self.flush_text(conn),
            FirstBytes::Waiting(_) | FirstBytes::Known => {}
        }
        loop {
            let output = self.io.frontend.output(conn);
            let sent = if output.is_empty() { Ok(0) } else { socket.stream.write(output) };
            match sent {
                Ok(bytes) => {
                    let is_all = bytes == output.len();
                    if self.io.frontend.sent(conn, bytes) {
                        return self.close(conn, "closed by the server");
                    }
                    if is_all {
                        return;
                    }
                }
                Err(failure) if failure.kind() == io::ErrorKind::WouldBlock => return,
                Err(failure) if failure.kind() == io::ErrorKind::Interrupted => {}
                Err(failure) => {
                    debug!(?conn, %failure, "write failed");
                    return self.close(conn, "broken");
                }
            }
        }
    }

    /// Sends the answer to an operator's word. Then the writing side is shut, and the rest of what
    /// the operator sends is read away: closing at once could take the answer back.
    fn flush_text(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.find_mut(conn) else { return };
        while socket.has_text() {
            match socket.stream.write(&socket.text[socket.text_sent..]) {
                Ok(bytes) => socket.text_sent += bytes,
                Err(failure) if failure.kind() == io::ErrorKind::WouldBlock => return,
                Err(failure) if failure.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.close(conn, "broken"),
            }
        }
        // Whoever has seen the end of this answer and asks next, perhaps another thread, does not find
        // this connection any more; that happens once.
        if self.io.views.closed(self.io.frontend.front(), conn).is_some() {
            self.io.frontend.stats().sent.add(1);
        }
        if socket.stream.shutdown(Shutdown::Write).is_err() {
            return self.close(conn, "broken");
        }
        self.drain(conn);
    }

    /// Reads away what an operator sends after a word, a buffer in each turn: whoever sends faster
    /// than this reads must not keep the others from being served.
    fn drain(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.find_mut(conn) else { return };
        match socket.stream.read(&mut self.buffer) {
            Ok(0) => self.close(conn, "answered"),
            Ok(_) => self.hold_up(conn),
            Err(failure) if failure.kind() == io::ErrorKind::WouldBlock => {}
            Err(failure) if failure.kind() == io::ErrorKind::Interrupted => self.hold_up(conn),
            Err(_) => self.close(conn, "answered"),
        }
    }

    fn close(&mut self, conn: ConnId, why: &str) {
        debug!(?conn, why, "connection closed");
        let Some(mut socket) = self.sockets.remove(conn) else { return };
        self.io.frontend.closed(conn);
        self.io.views.closed(self.io.frontend.front(), conn);
        self.io.handover.connection_closed(socket.address);
        if let Err(failure) = self.io.registry.deregister(&mut socket.stream) {
            debug!(%failure, "the connection is watched until it is dropped");
        }
        // Sends the end of the stream also where unread bytes would make it a reset.
        if let Err(failure) = socket.stream.shutdown(Shutdown::Both) {
            debug!(%failure, "the connection was gone already");
        }
    }

    /// Closes connections that did not finish the handshake in time, and those that are to be
    /// closed but never take in what they were sent.
    fn sweep(&mut self, now: Instant) {
        self.next_sweep = now.after(SWEEP_INTERVAL);
        // Who could not be let in for want of descriptors may be let in now.
        self.accept();
        for conn in self.io.frontend.lingering(now) {
            self.close(conn, "does not read");
        }
        let timeout_nanos = u64::try_from(self.io.handshake_timeout.as_nanos()).unwrap_or(u64::MAX);
        let Some(before) = now.nanos().checked_sub(timeout_nanos) else { return };
        for conn in self.io.frontend.sessionless_since(Instant::from_nanos(before)) {
            self.io.views.metrics.sessionless_connections_expired.add(1);
            self.close(conn, "no handshake in time");
        }
    }

    /// Sends what is ready before the connections are dropped.
    pub(super) fn say_goodbye(&mut self) {
        self.io.frontend.collect(self.io.clock.now());
        self.flush_touched();
    }
}
