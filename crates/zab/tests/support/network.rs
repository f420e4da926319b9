//! A network of connections, in virtual time.
//!
//! A connection has two ends, each with a [`Link`] of its own, and keeps order in each direction.
//! Between connections there is no order: what was sent over an old one may arrive after what was
//! sent over a new one. A connection takes a round trip to be made, and what its caller says first
//! arrives after half of one more, as with TCP.
//!
//! Servers can be cut off from each other in two ways. A *cut* ends connections and lets new ones
//! fail at once; *silence* delivers nothing until it is over, and nobody notices.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use types::{Instant, Sid};
use zab::{CallFailure, Link};

use crate::support::chance::Chance;

/// How long a call waits for an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// What a server notices of the network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Happening<P> {
    Called { link: Link, from: Sid },
    CallThrough { link: Link, to: Sid },
    CallFailed { to: Sid, reason: CallFailure },
    Received { link: Link, payload: P },
    Closed { link: Link },
}

/// See the module. `P` is what is sent.
#[derive(Debug)]
pub(crate) struct Network<P> {
    pub(crate) now: Instant,
    /// How long everything takes in one direction, where nothing else is said.
    pub(crate) delay: Duration,
    /// How much longer it takes at most, by chance.
    pub(crate) jitter: Duration,
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
    /// What waits for the end of a silence, in order.
    held: Vec<Event<P>>,
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
    /// When the last thing arrives that was sent to this end.
    last_arrival: Instant,
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
    Dial,
    Happens(Happening<P>),
}

impl<P> Network<P> {
    pub(crate) fn new(seed: u64, delay: Duration) -> Self {
        Self {
            now: Instant::default(),
            delay,
            jitter: Duration::ZERO,
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
        self.break_links(|end| (end.owner, end.other) == (one, other));
        self.break_links(|end| (end.owner, end.other) == (other, one));
    }

    /// Delivers nothing between two servers.
    pub(crate) fn silence(&mut self, one: Sid, other: Sid) {
        self.silences.extend([(one, other), (other, one)]);
    }

    /// Ends all cuts and silences.
    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
        self.silences.clear();
        for event in std::mem::take(&mut self.held) {
            let at = self.now.after(self.delay_from(event.from, event.to));
            self.enqueue(at, event);
        }
    }

    pub(crate) fn call(&mut self, from: Sid, to: Sid) {
        let at = self.now.after(self.delay_from(from, to));
        self.enqueue(at, Event { from, to, incarnation: None, what: What::Dial });
    }

    /// Sends over a connection; nothing happens if it has ended.
    pub(crate) fn send(&mut self, link: Link, payload: P) {
        if let Some(&end) = self.links.get(&link) {
            let received = Happening::Received { link: end.other_link, payload };
            self.deliver(end.other_link, received);
        }
    }

    /// Ends a connection. Both ends notice.
    pub(crate) fn close(&mut self, link: Link) {
        let Some(end) = self.links.remove(&link) else { return };
        self.happens(self.now, end.owner, end.owner, Happening::Closed { link });
        self.deliver(end.other_link, Happening::Closed { link: end.other_link });
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
            let event = entry.remove();
            let Event { from, to, incarnation, .. } = event;
            if self.silences.contains(&(from, to)) {
                self.hold(event);
                continue;
            }
            let happening = match event.what {
                What::Dial => {
                    self.dial(from, to);
                    continue;
                }
                What::Happens(happening) => happening,
            };
            if let Happening::Closed { link } = happening {
                self.links.remove(&link);
            }
            if incarnation.is_some() && self.running.get(&to).copied() == incarnation {
                return Some((to, happening));
            }
        }
        None
    }

    fn hold(&mut self, event: Event<P>) {
        if matches!(event.what, What::Dial) {
            let failed = Happening::CallFailed { to: event.to, reason: CallFailure::Unknown };
            self.happens(self.now.after(CALL_TIMEOUT), event.from, event.from, failed);
        } else {
            self.held.push(event);
        }
    }

    /// An attempt to connect arrives.
    fn dial(&mut self, from: Sid, to: Sid) {
        let back = self.now.after(self.delay_from(to, from));
        let failure = match (self.cuts.contains(&(from, to)), self.running.contains_key(&to)) {
            (true, _) => Some(CallFailure::Unknown),
            (false, false) => Some(CallFailure::Refused),
            (false, true) => None,
        };
        if let Some(reason) = failure {
            self.happens(back, from, from, Happening::CallFailed { to, reason });
            return;
        }
        let (caller_link, called_link) = (Link(self.last_link + 1), Link(self.last_link + 2));
        self.last_link += 2;
        let hello = back.after(self.delay_from(from, to));
        let caller = End { owner: from, other: to, other_link: called_link, last_arrival: back };
        let called = End { owner: to, other: from, other_link: caller_link, last_arrival: hello };
        self.links.extend([(caller_link, caller), (called_link, called)]);
        self.happens(back, to, from, Happening::CallThrough { link: caller_link, to });
        self.happens(hello, from, to, Happening::Called { link: called_link, from });
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
            self.links.remove(&link);
            self.lose(link);
            self.happens(self.now, end.owner, end.owner, Happening::Closed { link });
            if self.cuts.contains(&(end.owner, end.other)) {
                self.lose(end.other_link);
            }
            self.deliver(end.other_link, Happening::Closed { link: end.other_link });
        }
    }

    /// Loses what is under way to this end.
    fn lose(&mut self, lost: Link) {
        self.queue.retain(|_, event| match &event.what {
            What::Happens(Happening::Received { link, .. }) => *link != lost,
            What::Happens(_) | What::Dial => true,
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
        let jitter = u64::try_from(self.jitter.as_nanos()).unwrap();
        delay + Duration::from_nanos(self.chance.below(jitter + 1))
    }
}
