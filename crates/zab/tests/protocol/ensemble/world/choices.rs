//! The order in which things happen, chosen instead of timed.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hasher};

use types::Sid;

use super::World;
use super::server::{Event, Item};
use crate::support::network::{Head, Key, Port};

/// Something that can happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Choice {
    /// Something arrives over a connection of a quorum port.
    Arrival(Key),
    /// A disk has done something, or a part of a snapshot or of a log is there.
    Event(Key),
    Crash(Sid),
    Start(Sid),
    Propose(Sid),
}

impl World {
    /// What can happen next as far as the order is open: neither elections nor pings are, nor what
    /// concerns `swift`, which does everything as soon as it can. All this has happened before
    /// ([`Self::flow`]).
    pub(crate) fn choices(&self, swift: Sid) -> Vec<Choice> {
        let arrivals = self.network.heads().into_iter().map(|head| head.key);
        let events = self.event_heads(|sid| sid != swift).into_iter();
        arrivals.map(Choice::Arrival).chain(events.map(Choice::Event)).collect()
    }

    /// Lets everything happen whose order is not open.
    pub(crate) fn flow(&mut self, swift: Sid) {
        loop {
            let arrivals = self.network.heads();
            let arrival = arrivals.iter().find(|head| is_swift(head, swift)).map(|head| head.key);
            if let Some(key) = arrival {
                self.choose(Choice::Arrival(key));
                continue;
            }
            let is_swift = |key: &Key| !self.is_open(*key);
            let doors = self.event_heads(|_| true).into_iter().find(is_swift);
            let event = doors.or_else(|| self.event_heads(|sid| sid == swift).first().copied());
            let Some(key) = event else { return };
            self.choose(Choice::Event(key));
        }
    }

    /// Lets one thing happen.
    pub(crate) fn choose(&mut self, choice: Choice) {
        match choice {
            Choice::Arrival(key) => {
                if let Some((sid, happening)) = self.network.pop_at(key) {
                    self.notice(sid, happening);
                }
            }
            Choice::Event(key) => {
                if let Some(event) = self.queue.remove(&key) {
                    self.on_event(event);
                }
            }
            Choice::Crash(sid) => self.crash(sid),
            Choice::Start(sid) => self.start(sid),
            Choice::Propose(sid) => self.propose(sid, 1),
        }
    }

    /// Lets time pass up to the next moment at which a server wants to do something by itself.
    pub(crate) fn wait(&mut self) {
        let deadlines = self
            .servers
            .iter()
            .filter_map(|(&sid, server)| Some((server.process.as_ref()?.deadline?, sid)));
        let Some((at, sid)) = deadlines.min() else { return };
        self.network.now = self.network.now.max(at);
        self.step(sid, "Deadline", zab::Input::Deadline);
    }

    /// What distinguishes this state from others: what servers know, have on their disks and have sent;
    /// neither when, nor in which order between different connections.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hashed = Hashed(DefaultHasher::new());
        let mut events: Vec<_> = self.queue.values().map(|event| format!("{event:?}")).collect();
        events.sort_unstable();
        let network = self.network.describe();
        write!(hashed, "{:?}{network}{events:?}", self.servers).expect("it takes everything");
        hashed.0.finish()
    }

    /// Whether it is not settled when an event happens, unless it is one of who is swift.
    fn is_open(&self, key: Key) -> bool {
        !matches!(self.queue.get(&key), Some(Event::Admit { .. } | Event::Settle { .. }))
    }

    /// The events of these servers that come next; those of a disk in their order.
    fn event_heads(&self, is_meant: impl Fn(Sid) -> bool) -> Vec<Key> {
        let mut disks = BTreeSet::new();
        let mut heads = Vec::new();
        for (&key, event) in &self.queue {
            let Some((sid, _)) = event.concerns().filter(|&(sid, _)| is_meant(sid)) else {
                continue;
            };
            let is_head = !matches!(event, Event::DiskDone { .. }) || disks.insert(sid);
            if is_head {
                heads.push(key);
            }
        }
        heads
    }
}

/// Whether it arrives at once.
fn is_swift(head: &Head<'_, Item>, swift: Sid) -> bool {
    let is_ping = match head.payload {
        Some(Item::ToLeader(bytes) | Item::ToLearner(bytes)) => bytes.starts_with(&[0, 0, 0, 5]),
        Some(Item::Notification(_) | Item::StreamPart | Item::Stream { .. }) | None => false,
    };
    head.to == swift || head.port != Some(Port::Quorum) || is_ping
}

/// A text of which only the hash is kept.
struct Hashed(DefaultHasher);

impl Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
