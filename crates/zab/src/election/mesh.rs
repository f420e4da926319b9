//! The connections between the election ports: who keeps which, whom to call, and when again.
//!
//! # One connection between two
//!
//! Of two servers the one with the larger id keeps the connections that it makes. The other
//! connects only to ask for that:
//!
//! ```text
//! smaller id                               larger id
//!   connects, says hello  ---------------->  ends it, and any connection it had with the smaller
//!   keeps the new one     <----------------  connects, says hello
//! ```
//!
//! So a server that has lost a connection gets a new one whichever side noticed, and two that call
//! each other at once do not end with two connections or none. A newer connection
//! always takes the place of an older one. Apache's class is `QuorumCnxManager`.
//!
//! # Who is called
//!
//! A server calls the voters while it looks for a leader, and who asked to be called, voter or not.
//! Who has a leader keeps the connections there are and calls nobody: nothing has to be said.
//! One call to a server is under way at a time. Calls that fail are repeated after a delay that
//! doubles and varies a little.
//!
//! # Who is down
//!
//! A voter is *down* if this server has had a connection with it at some time, nobody listened at
//! its port when it was called during this election, and it has not shown itself since. Who asked
//! to be called and can not be reached is alive. Who has never been there may be about to start, as
//! all servers are when an ensemble does. See [`super::Election`] for what it is good for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use types::{Instant, Sid};

use crate::effect::{CloseReason, Effect};
use crate::input::{CallFailure, Link};
use crate::jitter::Jitter;
use crate::limits::{
    ANSWERS_INTERVAL, ANSWERS_MAX, CALL_DELAY_MAX, CALL_DELAY_MIN, CALLS_TO_STRANGERS_MAX,
    SILENCE_MAX, STEADY, STRANGERS_MAX,
};

/// All connections of one server. See the module.
#[derive(Clone, Debug)]
pub(crate) struct Mesh {
    me: Sid,
    /// The other voters.
    voters: BTreeSet<Sid>,
    /// Whether there is no leader, so that the voters have to be reached.
    is_looking: bool,
    /// Of voters, and of others as long as they are connected or called.
    contacts: BTreeMap<Sid, Contact>,
    /// Whose each connection is: those in `contacts`, and no others.
    sids: BTreeMap<Link, Sid>,
    jitter: Jitter,
}

/// What there is with one other server.
#[derive(Clone, Debug)]
struct Contact {
    connection: Option<Connection>,
    call: Call,
    reach: Reach,
    /// Whether there has been a connection with it.
    is_known: bool,
    /// When to call a voter that is not connected.
    next_call: Instant,
    /// How long after the next failed call to call again.
    delay: Duration,
    answers: Answers,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    link: Link,
    since: Instant,
    last_heard: Instant,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Call {
    None,
    UnderWay,
    /// It asked to be called while a call was under way; if that one fails, it is called there.
    UnderWayAndAsked {
        addresses: Vec<String>,
    },
}

/// What is known of a server's process since the election began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    Unknown,
    /// It has called or spoken.
    Alive,
    /// Nobody listened.
    Down,
}

/// How many answers a server got since when.
#[derive(Clone, Copy, Debug)]
struct Answers {
    since: Instant,
    count: u32,
}

impl Mesh {
    /// No connections. The seed makes the delays of one server differ from those of others.
    pub(crate) fn new(me: Sid, voters: impl Iterator<Item = Sid>, seed: u64) -> Self {
        let mut mesh = Self {
            me,
            voters: BTreeSet::new(),
            is_looking: false,
            contacts: BTreeMap::new(),
            sids: BTreeMap::new(),
            jitter: Jitter::new(seed),
        };
        mesh.set_voters(voters);
        mesh
    }

    /// Changes who votes, from the next [`Self::look`] on.
    pub(crate) fn set_voters(&mut self, voters: impl Iterator<Item = Sid>) {
        self.voters = voters.filter(|&sid| sid != self.me).collect();
    }

    /// An election begins: all voters have to be reached, and nobody is known to be down. Those that have said
    /// nothing while this server had a leader had no reason to; in an election that begins anew they had.
    pub(crate) fn look(&mut self, now: Instant) {
        let had_leader = !std::mem::replace(&mut self.is_looking, true);
        for &sid in &self.voters {
            let contact = self.contacts.entry(sid).or_insert_with(|| Contact::new(now));
            contact.reach = Reach::Unknown;
            contact.next_call = now;
            contact.delay = CALL_DELAY_MIN;
            if let Some(connection) = contact.connection.as_mut().filter(|_| had_leader) {
                connection.last_heard = now;
            }
        }
    }

    /// The election is over: nobody has to be reached.
    pub(crate) fn rest(&mut self) {
        self.is_looking = false;
    }

    /// A server has connected. Returns whether that is the connection with it now.
    pub(crate) fn on_called(
        &mut self,
        now: Instant,
        link: Link,
        from: Sid,
        addresses: Vec<String>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if from == self.me {
            // Another server was configured with this one's id.
            effects.push(Effect::Close { link, reason: CloseReason::OwnId });
            return false;
        }
        let contact = self.contacts.entry(from).or_insert_with(|| Contact::new(now));
        contact.reach = Reach::Alive;
        if from > self.me {
            self.connect(now, link, from, effects);
            return true;
        }
        effects.push(Effect::Close { link, reason: CloseReason::OtherSideCalls });
        if let Some(old) = contact.connection.take() {
            self.sids.remove(&old.link);
            effects.push(Effect::Close { link: old.link, reason: CloseReason::Replaced });
        }
        self.call_back(from, addresses, effects);
        false
    }

    /// A call is through. Returns whether that is the connection with the called server now.
    pub(crate) fn on_call_through(
        &mut self,
        now: Instant,
        link: Link,
        to: Sid,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let delay = self.jitter.vary(self.contacts.get(&to).map_or(CALL_DELAY_MIN, |it| it.delay));
        let contact = self.contacts.entry(to).or_insert_with(|| Contact::new(now));
        contact.call = Call::None;
        if to < self.me {
            contact.reach = Reach::Alive;
            self.connect(now, link, to, effects);
            return true;
        }
        // It has been asked to call, and somebody was there to hear it.
        if contact.reach == Reach::Down {
            contact.reach = Reach::Unknown;
        }
        contact.put_off(now, delay);
        effects.push(Effect::Close { link, reason: CloseReason::OtherSideCalls });
        self.forget_strangers();
        false
    }

    /// A call did not get through.
    pub(crate) fn on_call_failed(
        &mut self,
        now: Instant,
        to: Sid,
        reason: CallFailure,
        effects: &mut Vec<Effect>,
    ) {
        let Some(contact) = self.contacts.get_mut(&to) else { return };
        if reason == CallFailure::Refused && contact.reach == Reach::Unknown {
            contact.reach = Reach::Down;
        }
        let delay = self.jitter.vary(contact.delay);
        contact.put_off(now, delay);
        match std::mem::replace(&mut contact.call, Call::None) {
            Call::UnderWayAndAsked { addresses } if contact.connection.is_none() => {
                self.call_back(to, addresses, effects);
            }
            Call::None | Call::UnderWay | Call::UnderWayAndAsked { .. } => self.forget_strangers(),
        }
    }

    /// A connection has ended, or is not wanted by the other side any longer.
    pub(crate) fn on_closed(&mut self, now: Instant, link: Link) {
        let Some(sid) = self.sids.remove(&link) else { return };
        let Some(contact) = self.contacts.get_mut(&sid) else { return };
        let Some(connection) = contact.connection.take() else { return };
        contact.reach = Reach::Unknown;
        if now.since(connection.since) >= STEADY {
            contact.delay = CALL_DELAY_MIN;
            contact.next_call = now;
        } else {
            let delay = self.jitter.vary(contact.delay);
            contact.put_off(now, delay);
        }
        self.forget_strangers();
    }

    /// Something came over a connection. Returns from whom; `None` if it has been replaced or ended
    /// by this server.
    pub(crate) fn on_heard(&mut self, now: Instant, link: Link) -> Option<Sid> {
        let sid = *self.sids.get(&link)?;
        let contact = self.contacts.get_mut(&sid)?;
        contact.reach = Reach::Alive;
        if let Some(connection) = &mut contact.connection {
            connection.last_heard = now;
        }
        Some(sid)
    }

    /// Whether a server that asks may be answered: not if it asks too often. Counts the answer.
    pub(crate) fn may_answer(&mut self, now: Instant, sid: Sid) -> bool {
        let Some(contact) = self.contacts.get_mut(&sid) else { return false };
        let answers = &mut contact.answers;
        if now.since(answers.since) >= ANSWERS_INTERVAL {
            *answers = Answers { since: now, count: 0 };
        }
        answers.count += 1;
        answers.count <= ANSWERS_MAX
    }

    /// Calls who is due, and replaces connections over which nothing comes.
    pub(crate) fn settle(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if !self.is_looking {
            return;
        }
        for &sid in &self.voters {
            let Some(contact) = self.contacts.get_mut(&sid) else { continue };
            if let Some(connection) = contact.connection
                && now.since(connection.last_heard) >= SILENCE_MAX
            {
                contact.connection = None;
                contact.next_call = now;
                self.sids.remove(&connection.link);
                effects.push(Effect::Close { link: connection.link, reason: CloseReason::Silent });
            }
            if contact.is_due(now) {
                contact.call = Call::UnderWay;
                effects.push(Effect::Call { to: sid, addresses: Vec::new() });
            }
        }
    }

    /// Returns when [`Self::settle`] has something to do, if nothing happens before.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let due = |sid| match self.contacts.get(sid)? {
            Contact { connection: Some(connection), .. } => {
                Some(connection.last_heard.after(SILENCE_MAX))
            }
            contact => (contact.call == Call::None).then_some(contact.next_call),
        };
        self.voters.iter().filter(|_| self.is_looking).filter_map(due).min()
    }

    /// Returns the connection with a server.
    pub(crate) fn link(&self, sid: Sid) -> Option<Link> {
        Some(self.contacts.get(&sid)?.connection?.link)
    }

    /// Whether a voter is known to have stopped. See the module.
    pub(crate) fn is_down(&self, sid: Sid) -> bool {
        let is_down = |contact: &Contact| contact.is_known && contact.reach == Reach::Down;
        self.contacts.get(&sid).is_some_and(is_down)
    }

    fn connect(&mut self, now: Instant, link: Link, sid: Sid, effects: &mut Vec<Effect>) {
        if !self.voters.contains(&sid) && self.link(sid).is_none() {
            self.make_room(effects);
        }
        let contact = self.contacts.entry(sid).or_insert_with(|| Contact::new(now));
        contact.is_known = true;
        let connection = Connection { link, since: now, last_heard: now };
        if let Some(old) = contact.connection.replace(connection) {
            self.sids.remove(&old.link);
            effects.push(Effect::Close { link: old.link, reason: CloseReason::Replaced });
        }
        self.sids.insert(link, sid);
    }

    fn call_back(&mut self, sid: Sid, addresses: Vec<String>, effects: &mut Vec<Effect>) {
        let is_stranger = !self.voters.contains(&sid);
        let strangers = self.strangers().filter(|(_, other)| other.call != Call::None).count();
        let Some(contact) = self.contacts.get_mut(&sid) else { return };
        if contact.call != Call::None {
            contact.call = Call::UnderWayAndAsked { addresses };
        } else if is_stranger && strangers >= CALLS_TO_STRANGERS_MAX {
            self.forget_strangers();
        } else {
            contact.call = Call::UnderWay;
            effects.push(Effect::Call { to: sid, addresses });
        }
    }

    /// Ends a connection with a server that does not vote if there are too many for another one.
    fn make_room(&mut self, effects: &mut Vec<Effect>) {
        let connections = || self.strangers().filter_map(|(_, contact)| contact.connection);
        if connections().count() < STRANGERS_MAX {
            return;
        }
        let Some(idlest) = connections().min_by_key(|connection| connection.last_heard) else {
            return;
        };
        effects.push(Effect::Close { link: idlest.link, reason: CloseReason::TooMany });
        let sid = self.sids.remove(&idlest.link);
        if let Some(contact) = sid.and_then(|sid| self.contacts.get_mut(&sid)) {
            contact.connection = None;
        }
        self.forget_strangers();
    }

    fn strangers(&self) -> impl Iterator<Item = (&Sid, &Contact)> {
        self.contacts.iter().filter(|(sid, _)| !self.voters.contains(sid))
    }

    /// Drops what is known of servers that do not vote and with which there is nothing.
    fn forget_strangers(&mut self) {
        self.contacts.retain(|sid, contact| {
            self.voters.contains(sid) || contact.connection.is_some() || contact.call != Call::None
        });
    }
}

impl Contact {
    fn new(now: Instant) -> Self {
        Self {
            connection: None,
            call: Call::None,
            reach: Reach::Unknown,
            is_known: false,
            next_call: now,
            delay: CALL_DELAY_MIN,
            answers: Answers { since: now, count: 0 },
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.connection.is_none() && self.call == Call::None && now >= self.next_call
    }

    /// Calls again after `delay`, and next time after about twice as much.
    fn put_off(&mut self, now: Instant, delay: Duration) {
        self.next_call = now.after(delay);
        self.delay = CALL_DELAY_MAX.min(self.delay * 2);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Server 5 among voters 3, 5 and 7, and what it wants done.
    struct Five {
        mesh: Mesh,
        now: Instant,
        links: u64,
        effects: Vec<Effect>,
    }

    impl Five {
        fn new() -> Self {
            let mesh = Mesh::new(Sid(5), [3, 5, 7].map(Sid).into_iter(), 1);
            Self { mesh, now: Instant::default(), links: 0, effects: Vec::new() }
        }

        fn looking() -> Self {
            let mut five = Self::new();
            five.mesh.look(five.now);
            five.settle();
            five.check("call 3, call 7");
            five
        }

        fn pass(&mut self, ms: u64) {
            self.now = self.now.after(Duration::from_millis(ms));
            self.settle();
        }

        fn settle(&mut self) {
            self.mesh.settle(self.now, &mut self.effects);
        }

        fn link(&mut self) -> Link {
            self.links += 1;
            Link(self.links)
        }

        fn called(&mut self, from: i64) -> Link {
            let link = self.link();
            let addresses = vec![format!("s{from}:{link:?}")];
            self.mesh.on_called(self.now, link, Sid(from), addresses, &mut self.effects);
            link
        }

        fn through(&mut self, to: i64) -> Link {
            let link = self.link();
            self.mesh.on_call_through(self.now, link, Sid(to), &mut self.effects);
            link
        }

        fn lose_seven(&mut self) {
            let link = self.called(7);
            self.failed(7, CallFailure::Unknown);
            self.pass(1000);
            self.mesh.on_closed(self.now, link);
            self.settle();
        }

        fn failed(&mut self, to: i64, reason: CallFailure) {
            self.mesh.on_call_failed(self.now, Sid(to), reason, &mut self.effects);
        }

        /// What it wanted done since the last time.
        fn check(&mut self, expected: &str) {
            let mut wanted = String::new();
            for effect in self.effects.drain(..) {
                match effect {
                    Effect::Call { to, addresses } if addresses.is_empty() => {
                        write!(wanted, "call {}, ", to.0).unwrap();
                    }
                    Effect::Call { to, addresses } => {
                        write!(wanted, "call {} at {}, ", to.0, addresses.join(" ")).unwrap();
                    }
                    Effect::Close { link, reason } => {
                        write!(wanted, "close {}: {reason:?}, ", link.0).unwrap();
                    }
                    effect => panic!("connections do not do that: {effect:?}"),
                }
            }
            assert_eq!(wanted.trim_end_matches(", "), expected);
        }
    }

    #[test]
    fn the_connection_is_the_one_that_the_larger_id_made() {
        let mut five = Five::looking();
        let through = five.through(3);
        five.check("");
        assert_eq!(five.mesh.link(Sid(3)), Some(through));

        five.through(7);
        five.check("close 2: OtherSideCalls");
        assert_eq!(five.mesh.link(Sid(7)), None);
        let called = five.called(7);
        five.check("");
        assert_eq!(five.mesh.link(Sid(7)), Some(called));
    }

    #[test]
    fn who_has_the_smaller_id_is_called_where_it_says() {
        let mut five = Five::new();
        five.called(3);
        five.check("close 1: OtherSideCalls, call 3 at s3:Link(1)");
        let first = five.through(3);
        five.called(3);
        five.check("close 3: OtherSideCalls, close 2: Replaced, call 3 at s3:Link(3)");
        assert_eq!(five.mesh.on_heard(five.now, first), None, "it may still say something");
        five.mesh.on_closed(five.now, first);
        let second = five.through(3);
        assert_eq!(five.mesh.link(Sid(3)), Some(second));
    }

    #[test]
    fn who_asks_during_a_call_is_called_again_only_if_that_fails() {
        let mut five = Five::looking();
        five.called(3);
        five.check("close 1: OtherSideCalls");
        five.failed(3, CallFailure::Refused);
        five.check("call 3 at s3:Link(1)");
        five.called(3);
        five.check("close 2: OtherSideCalls");
        five.through(3);
        five.check("");
    }

    #[test]
    fn a_newer_connection_takes_the_place_of_an_older_one() {
        let mut five = Five::looking();
        let first = five.called(7);
        let second = five.called(7);
        five.check("close 1: Replaced");
        five.mesh.on_closed(five.now, first);
        assert_eq!(five.mesh.on_heard(five.now, first), None);
        assert_eq!(five.mesh.on_heard(five.now, second), Some(Sid(7)));
    }

    #[test]
    fn nobody_else_has_this_servers_id() {
        let mut five = Five::looking();
        five.called(5);
        five.check("close 1: OwnId");
    }

    #[test]
    fn down_is_who_was_there_refuses_now_and_has_not_shown_itself() {
        type Story = fn(&mut Five);
        let stories: [(&str, i64, bool, Story); 9] = [
            ("never there", 7, false, |five| five.failed(7, CallFailure::Refused)),
            ("lost", 7, false, Five::lose_seven),
            ("lost, then refused", 7, true, |five| {
                five.lose_seven();
                five.failed(7, CallFailure::Refused);
            }),
            ("lost, then no answer", 7, false, |five| {
                five.lose_seven();
                five.failed(7, CallFailure::Unknown);
            }),
            ("refused, and there since", 7, false, |five| {
                five.lose_seven();
                five.failed(7, CallFailure::Refused);
                five.called(7);
            }),
            ("refused, and the next call is heard", 7, false, |five| {
                five.lose_seven();
                five.failed(7, CallFailure::Refused);
                five.through(7);
            }),
            ("asks to be called, and refuses that", 3, false, |five| {
                five.called(3);
                five.failed(3, CallFailure::Refused);
                five.failed(3, CallFailure::Refused);
            }),
            ("refused in the election before, and lost since", 7, true, |five| {
                five.failed(7, CallFailure::Refused);
                five.mesh.rest();
                five.lose_seven();
                five.mesh.look(five.now);
                five.settle();
                five.failed(7, CallFailure::Refused);
            }),
            ("refused, in the election before", 7, false, |five| {
                five.lose_seven();
                five.failed(7, CallFailure::Refused);
                five.mesh.rest();
                five.mesh.look(five.now);
            }),
        ];
        for (name, sid, expected, story) in stories {
            let mut five = Five::looking();
            story(&mut five);
            assert_eq!(five.mesh.is_down(Sid(sid)), expected, "{name}");
        }
    }

    #[test]
    fn strangers_give_way_to_strangers_and_never_to_voters() {
        let mut five = Five::looking();
        five.called(7);
        let max = i64::try_from(STRANGERS_MAX).unwrap();
        for sid in 100..100 + max {
            five.pass(1);
            five.called(sid);
        }
        five.effects.clear();
        let first = Link(2);
        assert_eq!(five.mesh.on_heard(five.now, first), Some(Sid(100)));
        five.called(100 + max);
        five.check("close 3: TooMany");
        assert_eq!(five.mesh.link(Sid(7)), Some(Link(1)));
        assert_eq!(five.mesh.link(Sid(101)), None);
    }

    #[test]
    fn strangers_are_called_back_a_few_at_a_time() {
        let mut five = Five::new();
        let end = -i64::try_from(CALLS_TO_STRANGERS_MAX).unwrap();
        for sid in (end..0).rev() {
            five.called(sid);
        }
        five.effects.clear();
        five.called(1);
        five.check("close 17: OtherSideCalls");
        five.failed(-1, CallFailure::Unknown);
        five.called(1);
        five.check("close 18: OtherSideCalls, call 1 at s1:Link(18)");
        assert_eq!(five.mesh.strangers().count(), CALLS_TO_STRANGERS_MAX, "others are forgotten");
    }

    #[test]
    fn answers_to_one_server_are_bounded_in_a_while() {
        let mut five = Five::looking();
        five.called(7);
        let answered = (0..2 * ANSWERS_MAX).filter(|_| five.mesh.may_answer(five.now, Sid(7)));
        assert_eq!(answered.count(), ANSWERS_MAX as usize);
        five.now = five.now.after(ANSWERS_INTERVAL);
        assert!(five.mesh.may_answer(five.now, Sid(7)));
    }
}
