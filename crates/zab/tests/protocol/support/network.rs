//! A network of connections, in virtual time.
//!
//! A connection has two ends, each with a [`Link`] of its own, and keeps order in each direction.
//! Between connections there is no order: what was sent over an old one may arrive after what was
//! sent over a new one. A connection takes a round trip to be made, and what its caller says first
//! arrives after half of one more, as with TCP.
//!
//! Servers can be cut off from each other in two ways. A *cut* ends connections and lets new ones
//! fail at once; *silence*, which may be in one direction, delivers nothing until it is over, and
//! nobody notices.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use types::{Instant, Sid};
use zab::{CallFailure, Link};

use crate::support::chance::Chance;

/// How long a call waits for an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The ports of a server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Port {
    Election,
    Quorum,
    ObserverMaster,
}

/// What a server notices of the network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Happening<P> {
    Called { link: Link, from: Sid, port: Port },
    CallThrough { link: Link, to: Sid, port: Port },
    CallFailed { to: Sid, reason: CallFailure, port: Port },
    Received { link: Link, payload: P },
    Closed { link: Link, port: Port },
}

/// Names something that is on its way: when it happens, if nobody chooses, and a number.
pub(crate) type Key = (Instant, u64);

/// What comes next of a sequence that keeps its order.
#[derive(Debug)]
pub(crate) struct Head<'a, P> {
    pub(crate) key: Key,
    /// To whom it happens.
    pub(crate) to: Sid,
    /// The port of the connection; `None` where there is none yet.
    pub(crate) port: Option<Port>,
    /// What arrives over it.
    pub(crate) payload: Option<&'a P>,
}

/// See the module. `P` is what is sent.
#[derive(Clone, Debug)]
pub(crate) struct Network<P> {
    pub(crate) now: Instant,
    /// How long everything takes in one direction, where nothing else is said.
    pub(crate) delay: Duration,
    /// How much longer it takes at most, by chance.
    pub(crate) jitter: Duration,
    /// How long after it ended a connection a server is told that it is over, but for the jitter; if
    /// it is not told at once.
    pub(crate) closing: Duration,
    delays: BTreeMap<(Sid, Sid), Duration>,
    chance: Chance,
    running: BTreeMap<Sid, Incarnation>,
    starts: u64,
    links: BTreeMap<Link, End>,
    last_link: u64,
    cuts: BTreeSet<(Sid, Sid)>,
    silences: BTreeSet<(Sid, Sid)>,
    /// By time, and by order of sending among those of one time.
    queue: BTreeMap<(Instant, u64), Event<P>>,
    /// What waits for the end of a silence. It arrives then at once, before what came later.
    held: Vec<((Instant, u64), Event<P>)>,
    sent: u64,
}

/// Which run of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Incarnation(u64);

/// One end of a connection.
#[derive(Clone, Copy, Debug)]
struct End {
    owner: Sid,
    other: Sid,
    other_link: Link,
    port: Port,
    /// When the last thing arrives that was sent to this end.
    last_arrival: Instant,
    /// Whether the owner has ended it; what arrives before it is told so still reaches it.
    is_closing: bool,
}

#[derive(Clone, Debug)]
struct Event<P> {
    from: Sid,
    to: Sid,
    /// Of `to`, which notices itself what is from itself; what is for an earlier run is lost.
    incarnation: Option<Incarnation>,
    what: What<P>,
}

#[derive(Clone, Debug)]
enum What<P> {
    /// Somebody wants to connect.
    Dial(Port),
    Happens(Happening<P>),
}

impl<P> Network<P> {
    pub(crate) fn new(seed: u64, delay: Duration) -> Self {
        Self {
            now: Instant::default(),
            delay,
            jitter: Duration::ZERO,
            closing: Duration::ZERO,
            delays: BTreeMap::new(),
            chance: Chance::new(seed),
            running: BTreeMap::new(),
            starts: 0,
            links: BTreeMap::new(),
            last_link: 0,
            cuts: BTreeSet::new(),
            silences: BTreeSet::new(),
            queue: BTreeMap::new(),
            held: Vec::new(),
            sent: 0,
        }
    }

    /// A server listens from now on.
    pub(crate) fn start(&mut self, sid: Sid) {
        self.starts += 1;
        self.running.insert(sid, Incarnation(self.starts));
    }

    /// A server's process ends, and with it its connections.
    pub(crate) fn crash(&mut self, sid: Sid) {
        self.running.remove(&sid);
        self.break_links(|end| end.owner == sid);
    }

    /// Sets how long everything takes between two servers.
    pub(crate) fn set_delay(&mut self, one: Sid, other: Sid, delay: Duration) {
        self.delays.insert((one, other), delay);
        self.delays.insert((other, one), delay);
    }

    /// Ends the connections between two servers and lets new ones fail.
    pub(crate) fn cut(&mut self, one: Sid, other: Sid) {
        self.cuts.extend([(one, other), (other, one)]);
        self.disconnect(one, other);
    }

    /// Ends the connections between two servers.
    pub(crate) fn disconnect(&mut self, one: Sid, other: Sid) {
        self.break_links(|end| (end.owner, end.other) == (one, other));
        self.break_links(|end| (end.owner, end.other) == (other, one));
    }

    /// Ends a cut.
    pub(crate) fn mend(&mut self, one: Sid, other: Sid) {
        self.cuts.remove(&(one, other));
        self.cuts.remove(&(other, one));
    }

    /// Delivers nothing between two servers.
    pub(crate) fn silence(&mut self, one: Sid, other: Sid) {
        self.silences.extend([(one, other), (other, one)]);
    }

    /// Delivers nothing from one server to another.
    pub(crate) fn mute(&mut self, from: Sid, to: Sid) {
        self.silences.insert((from, to));
    }

    /// Ends a silence: what was held back arrives.
    pub(crate) fn speak(&mut self, from: Sid, to: Sid) {
        self.silences.remove(&(from, to));
        for (key, event) in std::mem::take(&mut self.held) {
            match self.silences.contains(&(event.from, event.to)) {
                true => self.held.push((key, event)),
                false => {
                    self.queue.insert(key, event);
                }
            }
        }
    }

    /// Ends all cuts and silences.
    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
        self.silences.clear();
        self.queue.extend(std::mem::take(&mut self.held));
    }

    pub(crate) fn call(&mut self, from: Sid, to: Sid, port: Port) {
        let at = self.now.after(self.delay_from(from, to));
        self.enqueue(at, Event { from, to, incarnation: None, what: What::Dial(port) });
    }

    /// Who is at the other side of a connection.
    pub(crate) fn other_side(&self, link: Link) -> Option<Sid> {
        Some(self.links.get(&link)?.other)
    }

    /// The end at the other side of a connection.
    pub(crate) fn other_end(&self, link: Link) -> Option<Link> {
        Some(self.links.get(&link)?.other_link)
    }

    /// Which port a connection leads to.
    pub(crate) fn port(&self, link: Link) -> Option<Port> {
        Some(self.links.get(&link)?.port)
    }

    /// The latest connection from one server to another, by its end at `owner`.
    pub(crate) fn link(&self, owner: Sid, other: Sid, port: Port) -> Option<Link> {
        let joins = |end: &End| (end.owner, end.other, end.port) == (owner, other, port);
        let mut links = self.links.iter().filter(|(_, end)| joins(end) && !end.is_closing);
        links.next_back().map(|(&link, _)| link)
    }

    /// Sends over a connection; nothing happens if it has ended.
    pub(crate) fn send(&mut self, link: Link, payload: P) {
        if let Some(&end) = self.links.get(&link).filter(|end| !end.is_closing) {
            let received = Happening::Received { link: end.other_link, payload };
            self.deliver(end.other_link, received);
        }
    }

    /// Ends a connection. Both ends notice.
    pub(crate) fn close(&mut self, link: Link) {
        let Some(end) = self.links.get_mut(&link).filter(|end| !end.is_closing) else { return };
        end.is_closing = true;
        let End { owner, port, other_link, .. } = *end;
        let told = match self.closing {
            Duration::ZERO => self.now,
            closing => self.now.after(closing + self.some_of(self.jitter)),
        };
        self.happens(told, owner, owner, Happening::Closed { link, port });
        self.deliver(other_link, Happening::Closed { link: other_link, port });
    }

    /// When the next thing happens.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.queue.keys().next().map(|&(at, _)| at.max(self.now))
    }

    /// The next thing that happens to a server, if anything happens now.
    pub(crate) fn pop(&mut self) -> Option<(Sid, Happening<P>)> {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > self.now {
                return None;
            }
            let (key, event) = entry.remove_entry();
            if self.silences.contains(&(event.from, event.to)) {
                self.hold(key, event);
                continue;
            }
            if let Some(happened) = self.happen(event) {
                return Some(happened);
            }
        }
        None
    }

    /// Returns what a server notices, if one does.
    fn happen(&mut self, event: Event<P>) -> Option<(Sid, Happening<P>)> {
        let Event { from, to, incarnation, what } = event;
        let happening = match what {
            What::Dial(port) => {
                self.dial(from, to, port);
                return None;
            }
            What::Happens(happening) => happening,
        };
        match happening {
            Happening::Closed { link, .. } if self.links.remove(&link).is_none() => return None,
            Happening::Received { link, .. } if !self.links.contains_key(&link) => return None,
            _ => {}
        }
        let is_there = incarnation.is_some() && self.running.get(&to).copied() == incarnation;
        is_there.then_some((to, happening))
    }

    /// What comes next over each connection, and all attempts to connect.
    pub(crate) fn heads(&self) -> Vec<Head<'_, P>> {
        let mut seen = BTreeSet::new();
        let mut heads = Vec::new();
        for (&key, event) in &self.queue {
            let (link, payload) = match &event.what {
                What::Happens(Happening::Received { link, payload }) => {
                    (Some(*link), Some(payload))
                }
                What::Happens(Happening::Closed { link, .. }) => (Some(*link), None),
                What::Dial(_) | What::Happens(_) => (None, None),
            };
            if link.is_none_or(|link| seen.insert(link)) {
                let port = link.and_then(|link| self.port(link));
                heads.push(Head { key, to: event.to, port, payload });
            }
        }
        heads
    }

    /// All connections, and what is on its way over each; but not when it was sent.
    pub(crate) fn describe(&self) -> String
    where
        P: fmt::Debug,
    {
        let mut pending = BTreeMap::<Option<Link>, Vec<&What<P>>>::new();
        for event in self.queue.values() {
            let link = match &event.what {
                What::Happens(
                    Happening::Received { link, .. } | Happening::Closed { link, .. },
                ) => Some(*link),
                What::Dial(_) | What::Happens(_) => None,
            };
            pending.entry(link).or_default().push(&event.what);
        }
        format!("{:?}{:?}{pending:?}", self.running.keys(), self.links)
    }

    /// Lets one of these happen, whenever it was to happen; `None` if nobody notices.
    pub(crate) fn pop_at(&mut self, key: Key) -> Option<(Sid, Happening<P>)> {
        let event = self.queue.remove(&key)?;
        self.happen(event)
    }

    fn hold(&mut self, key: (Instant, u64), event: Event<P>) {
        if let What::Dial(port) = event.what {
            let failed = Happening::CallFailed { to: event.to, reason: CallFailure::Unknown, port };
            self.happens(self.now.after(CALL_TIMEOUT), event.from, event.from, failed);
        } else {
            self.held.push((key, event));
        }
    }

    /// An attempt to connect arrives.
    fn dial(&mut self, from: Sid, to: Sid, port: Port) {
        let back = self.now.after(self.delay_from(to, from));
        let failure = match (self.cuts.contains(&(from, to)), self.running.contains_key(&to)) {
            (true, _) => Some(CallFailure::Unknown),
            (false, false) => Some(CallFailure::Refused),
            (false, true) => None,
        };
        if let Some(reason) = failure {
            self.happens(back, from, from, Happening::CallFailed { to, reason, port });
            return;
        }
        let (caller_link, called_link) = (Link(self.last_link + 1), Link(self.last_link + 2));
        self.last_link += 2;
        let hello = back.after(self.delay_from(from, to));
        let end = |owner, other, other_link, last_arrival| {
            let is_closing = false;
            End { owner, other, other_link, port, last_arrival, is_closing }
        };
        let caller = end(from, to, called_link, back);
        let called = end(to, from, caller_link, hello);
        self.links.extend([(caller_link, caller), (called_link, called)]);
        self.happens(back, to, from, Happening::CallThrough { link: caller_link, to, port });
        self.happens(hello, from, to, Happening::Called { link: called_link, from, port });
    }

    /// Ends connections as they end when a process or the network fails: what is under way is lost.
    fn break_links(&mut self, is_broken: impl Fn(&End) -> bool) {
        let broken: Vec<(Link, End)> = self
            .links
            .iter()
            .filter(|(_, end)| is_broken(end))
            .map(|(&link, &end)| (link, end))
            .collect();
        for (link, end) in broken {
            let (port, other_link) = (end.port, end.other_link);
            self.lose(link);
            self.happens(self.now, end.owner, end.owner, Happening::Closed { link, port });
            if self.cuts.contains(&(end.owner, end.other)) {
                self.lose(other_link);
            }
            self.deliver(other_link, Happening::Closed { link: other_link, port });
        }
    }

    /// Loses what is under way to this end.
    fn lose(&mut self, lost: Link) {
        self.queue.retain(|_, event| match &event.what {
            What::Happens(Happening::Received { link, .. }) => *link != lost,
            What::Happens(_) | What::Dial(_) => true,
        });
    }

    /// Something arrives at an end, in order.
    fn deliver(&mut self, link: Link, happening: Happening<P>) {
        let Some(&End { owner, other, last_arrival, .. }) = self.links.get(&link) else { return };
        let at = self.now.after(self.delay_from(other, owner)).max(last_arrival);
        self.links.entry(link).and_modify(|end| end.last_arrival = at);
        self.happens(at, other, owner, happening);
    }

    fn happens(&mut self, at: Instant, from: Sid, to: Sid, happening: Happening<P>) {
        let incarnation = self.running.get(&to).copied();
        self.enqueue(at, Event { from, to, incarnation, what: What::Happens(happening) });
    }

    fn enqueue(&mut self, at: Instant, event: Event<P>) {
        self.sent += 1;
        self.queue.insert((at, self.sent), event);
    }

    fn delay_from(&mut self, from: Sid, to: Sid) -> Duration {
        let delay = self.delays.get(&(from, to)).copied().unwrap_or(self.delay);
        delay + self.some_of(self.jitter)
    }

    fn some_of(&mut self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap();
        Duration::from_nanos(self.chance.below(nanos + 1))
    }
}
