//! Connecting to other servers: calls for elections, and connections to a leader.
//!
//! All addresses of a server are tried at once; the first that answers is taken. Sockets connect in
//! the background of the loop, so that only names need a thread.

use std::io::{self, Write};
use std::net::SocketAddr;

use mio::Interest;
use mio::net::TcpStream;
use socket2::SockRef;
use tracing::{debug, info, warn};
use types::Sid;
use types::membership::{Host, HostPort, PeerAddress};
use wire::election::AddressList;
use zab::{CallFailure, Link};

use super::attempts::{Attempt, Connecting, Due, InVain};
use super::connection::{Connection, Side};
use super::errand::{Asker, Goal};
use super::limits::{ADDRESSES_MAX, ATTEMPTS_MAX, LEADER_TRIES_MAX};
use super::links::Links;
use super::lookups::Lookup;
use super::news::{News, UnderWay};
use super::outbox::{Outbox, Slot};

impl Links {
    /// Calls a server at these addresses, or where the membership says. A call to it that is under
    /// way is dropped.
    pub(super) fn call(&mut self, to: Sid, addresses: &[String]) {
        let mut places: Vec<_> = addresses.iter().filter_map(|text| place(text)).collect();
        if places.is_empty() {
            places = self.places(to, PeerAddress::election);
        }
        let until = self.clock.instant().after(self.options.call_timeout);
        self.attempts.drop(Goal::Call(to));
        self.attempts.begin(Goal::Call(to), places, until, 1);
        self.begin(Goal::Call(to));
    }

    /// Connects to the quorum port of a leader. An attempt for any other is dropped.
    pub(super) fn connect_to_leader(&mut self, leader: Sid) {
        let places = self.places(leader, PeerAddress::quorum);
        self.connect_to_teacher(Goal::Leader(leader), places, LEADER_TRIES_MAX);
    }

    /// Connects to a follower as one of its observers. Others may do better, so it is tried once.
    pub(super) fn connect_to_master(&mut self, master: Sid) {
        let mut places = self.places(master, PeerAddress::quorum);
        match self.options.observer_master_port {
            Some(port) => places.iter_mut().for_each(|place| place.port = port),
            None => places.clear(),
        }
        self.connect_to_teacher(Goal::Master(master), places, 1);
    }

    fn connect_to_teacher(&mut self, goal: Goal, places: Vec<HostPort>, tries: u32) {
        for goal in self.attempts.teachers() {
            self.attempts.drop(goal);
        }
        let until = self.clock.instant().after(self.options.leader_timeout);
        self.attempts.begin(goal, places, until, tries);
        self.begin(goal);
    }

    /// Goes on with what asked for a name.
    pub(super) fn on_looked_up(
        &mut self,
        goal: Goal,
        places: &[HostPort],
        addresses: io::Result<Vec<SocketAddr>>,
    ) {
        let Some(attempt) = self.attempts.looking_up(goal) else { return };
        if attempt.places != places {
            // The answer is for an attempt that was superseded meanwhile.
            return self.look_up(goal);
        }
        match addresses {
            Ok(addresses) => self.connect(goal, &addresses),
            Err(failure) => {
                let names: Vec<_> = places.iter().map(|place| place.host.as_str()).collect();
                self.attempts.note(goal, format!("{}: {failure}", names.join(", ")));
                self.end_try(goal);
            }
        }
    }

    /// Looks how far a socket is of which the system tells something.
    pub(super) fn on_connecting(&mut self, link: Link) {
        let Some(&Connecting { ref stream, goal, address }) = self.attempts.socket(link) else {
            return;
        };
        match is_through(stream) {
            Ok(false) => {}
            Ok(true) => self.get_through(link, goal),
            Err(failure) => {
                self.attempts.take(link);
                self.socket_failed(goal, address, &failure);
                self.end_try(goal);
            }
        }
    }

    /// Does what is due by now.
    pub(super) fn on_time_of_attempts(&mut self) {
        for due in self.attempts.due(self.clock.instant()) {
            match due {
                Due::GiveUp(goal) => self.give_up(goal, CallFailure::Unknown),
                Due::Try(goal) => self.look_up(goal),
            }
        }
    }

    /// Where the memberships say that a server is: the one in force, and the one that is pending, as
    /// it may have moved already.
    fn places(&self, sid: Sid, of: impl Fn(&PeerAddress) -> HostPort) -> Vec<HostPort> {
        let memberships = self.memberships.iter();
        let memberships =
            memberships.flat_map(|it| std::iter::once(&it.committed).chain(it.pending()));
        let members = memberships.filter_map(|membership| membership.find(sid));
        let mut places = Vec::new();
        for place in members.flat_map(|member| member.addresses().iter().map(&of)) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    fn begin(&mut self, goal: Goal) {
        if self.attempts.count() > ATTEMPTS_MAX {
            self.attempts.note(goal, "too many servers are being called".to_owned());
            return self.give_up(goal, CallFailure::Unknown);
        }
        self.look_up(goal);
    }

    fn look_up(&mut self, goal: Goal) {
        self.attempts.look_up(goal);
        let Some(attempt) = self.attempts.looking_up(goal) else { return };
        match self.lookups.begin(Asker::Goal(goal), &attempt.places) {
            Lookup::Found(addresses) => self.connect(goal, &addresses),
            Lookup::Begun => {}
            Lookup::Failed(problem) => {
                self.attempts.note(goal, problem);
                self.end_try(goal);
            }
        }
    }

    fn connect(&mut self, goal: Goal, addresses: &[SocketAddr]) {
        if addresses.is_empty() {
            debug!(?goal, "the membership does not say where the server is");
            return self.end_try(goal);
        }
        self.attempts.connect(goal);
        for &address in addresses.iter().take(ADDRESSES_MAX) {
            let link = self.next_link();
            let token = Self::token(link);
            let registry = &self.registry;
            let begun = TcpStream::connect(address).and_then(|mut stream| {
                registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                Ok(stream)
            });
            match begun {
                Ok(stream) => self.attempts.add(link, Connecting { goal, stream, address }),
                Err(failure) => self.socket_failed(goal, address, &failure),
            }
        }
        self.end_try(goal);
    }

    fn socket_failed(&mut self, goal: Goal, address: SocketAddr, failure: &io::Error) {
        self.attempts.note(goal, format!("{address}: {failure}"));
        let why = match failure.kind() {
            io::ErrorKind::ConnectionRefused => CallFailure::Refused,
            _ => CallFailure::Unknown,
        };
        self.attempts.failed(goal, why);
    }

    /// Ends the try if none of its sockets is under way, and the attempt if no try is left.
    fn end_try(&mut self, goal: Goal) {
        let now = self.clock.instant();
        match self.attempts.end_try(goal, now, self.options.leader_pause) {
            InVain::Wait => {}
            InVain::GiveUp(failure) => self.give_up(goal, failure),
        }
    }

    fn give_up(&mut self, goal: Goal, reason: CallFailure) {
        let attempt = self.attempts.drop(goal);
        let problem = attempt.map(Attempt::problem).unwrap_or_default();
        let news = match goal {
            Goal::Call(to) => {
                self.stats.calls_failed.add(1);
                self.tell_unreached(to, &problem);
                News::CallFailed { to, reason }
            }
            Goal::Leader(leader) | Goal::Master(leader) => {
                self.stats.leaders_unreachable.add(1);
                let port = if goal == Goal::Leader(leader) { "quorum" } else { "observerMaster" };
                info!(server = leader.0, port, %problem, "the server to learn from is not reached");
                News::LeaderUnreachable { leader }
            }
        };
        self.news.push(news);
    }

    /// Tells operators of a call in vain, unless they know.
    fn tell_unreached(&mut self, to: Sid, problem: &str) {
        let is_member = !self.places(to, PeerAddress::election).is_empty();
        let calls = is_member.then(|| self.unreached.failed(to, self.clock.instant())).flatten();
        match calls {
            Some(calls) => warn!(server = to.0, %problem, calls,
                "not reached at its election port, calling it again and again: does it run?"),
            None => debug!(server = to.0, %problem, "a call did not get through"),
        }
    }

    /// There is a connection for elections with a server, whoever has called.
    pub(super) fn tell_reached(&mut self, sid: Sid) {
        if let Some(calls) = self.unreached.reached(sid) {
            info!(server = sid.0, calls, "connected for elections after calls in vain");
        }
    }

    /// Makes a connection of a socket that is through.
    fn get_through(&mut self, link: Link, goal: Goal) {
        let Some(Connecting { stream, address, .. }) = self.attempts.take(link) else { return };
        if let Err(failure) = self.prepare(&stream, goal) {
            debug!(?goal, %address, %failure, "the connection was gone already");
            self.socket_failed(goal, address, &failure);
            return self.end_try(goal);
        }
        self.attempts.drop(goal);
        let under_way = UnderWay::new(&self.letterbox);
        let (side, peer, news) = match goal {
            Goal::Call(to) => {
                self.stats.calls_through.add(1);
                self.tell_reached(to);
                (Side::Elector(Slot::default()), to, News::CallThrough { link, to })
            }
            Goal::Leader(leader) | Goal::Master(leader) => {
                self.stats.leaders_reached.add(1);
                let outbox = Outbox::default();
                let side = Side::Leader { outbox, receiving: None, may_send_snapshot: false };
                (side, leader, News::LeaderReached { link, leader })
            }
        };
        let mut connection = Connection::new(stream, address, side, under_way);
        connection.peer = Some(peer);
        self.connections.insert(link, connection);
        self.news.push(news);
        // What came with the connection is not told of again.
        self.read(link);
    }

    /// Sets the options of a socket. Who calls also says who it is: in one piece, which the empty
    /// buffer of a new connection always takes.
    fn prepare(&self, stream: &TcpStream, goal: Goal) -> io::Result<()> {
        stream.set_nodelay(true)?;
        match goal {
            Goal::Call(_) => {
                SockRef::from(stream).set_keepalive(self.options.keep_alive)?;
                let mut stream = stream;
                if stream.write(&self.hello)? < self.hello.len() {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                self.stats.bytes_sent.add(self.hello.len() as u64);
                Ok(())
            }
            Goal::Leader(_) | Goal::Master(_) => Ok(()),
        }
    }
}

/// Reads what somebody said of where it is.
fn place(text: &str) -> Option<HostPort> {
    let address = AddressList::parse(text).ok()?.iter().next()?;
    Some(HostPort { host: Host::parse(address.host)?, port: address.port })
}

/// Whether a socket is connected.
///
/// # Errors
/// When it never will be.
fn is_through(stream: &TcpStream) -> io::Result<bool> {
    if let Some(failure) = stream.take_error()? {
        return Err(failure);
    }
    match stream.peer_addr() {
        // A port of this host at which nobody listens may be given to the socket that wants to
        // connect to it, and then it has.
        Ok(other) if stream.local_addr()? == other => Err(io::ErrorKind::ConnectionRefused.into()),
        Ok(_) => Ok(true),
        Err(failure) if failure.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(failure) => Err(failure),
    }
}
