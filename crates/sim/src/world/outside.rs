//! Servers of a world for clients that are no part of it: programs with a clock of their own.
//!
//! Whoever has an [`Outside`] says how far time has come, carries bytes in and out, and tells when the
//! faults are to end. All that is drawn comes from the tape.

use std::rc::Rc;
use std::time::Duration;

use replica::LocalSessions;
use types::Instant;

use super::link::{Caller, End, LinkId};
use super::node::NodeId;
use super::{Counters, Happening, Plan, Servers, Trace, World};
use crate::checkers::{Promise, Violation};
use crate::tape::Tape;

/// What such a connection has as its address at the server.
const ADDRESS: [u8; 4] = [10, 1, 0, 1];

/// Steps after which servers of which nobody outside wants anything are taken to be stuck.
const STEPS_ALONE_MAX: u64 = 500_000;

/// The servers of a world, seen from outside.
pub struct Outside {
    world: World,
    steps: Steps,
}

/// How much has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Steps {
    all: u64,
    /// Since something came from outside.
    alone: u64,
}

impl Steps {
    /// One more; returns whether that may be.
    fn take(&mut self) -> bool {
        self.all += 1;
        self.alone += 1;
        self.alone <= STEPS_ALONE_MAX
    }

    /// Something came from outside, which takes steps of its own.
    fn begin_anew(&mut self) {
        self.alone = 0;
    }
}

/// A connection from outside; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cable(LinkId);

/// What arrives on a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// Bytes of the server.
    Bytes(Vec<u8>),
    /// The end: nothing follows.
    End,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl Outside {
    /// So many voters, whose faults and delays are drawn.
    ///
    /// Their disks keep what is durable: what recipes promise rests on that.
    ///
    /// # Errors
    /// A server can not be founded.
    pub fn new(mut tape: Tape, voters: usize) -> Result<Self, Violation> {
        let mut plan = Plan::draw(&mut tape, Servers::fixed(voters));
        plan.clients = 0;
        plan.faults.spare_disks();
        // There is no client of the world that could fall silent.
        plan.faults.silence = 0;
        if tape.chance(500) {
            // They see the tree as it is at their server, though what they were before has seen more.
            plan.ensemble.local_sessions = LocalSessions::Upgradable;
        }
        let mut world = World::of_plan(tape, plan, Trace::Off);
        world.begin()?;
        Ok(Self { world, steps: Steps::default() })
    }

    /// From now on nobody sets the wall clock of a machine.
    pub fn spare_wall_clocks(&mut self) {
        Rc::make_mut(&mut self.world.plan).faults.wall_clock = 0;
    }

    /// What a wall clock shows that nobody has set, in milliseconds since 1970.
    pub fn wall_ms(&self) -> u64 {
        super::clock::unset_wall_ms(self.world.agenda.now())
    }

    /// Does everything that is due up to a time, counted from the start.
    ///
    /// # Errors
    /// A server broke a promise.
    pub fn go_on_until(&mut self, time: Duration) -> Result<(), Violation> {
        let until = Instant::from_start(time);
        while self.world.agenda.next_at().is_some_and(|next| next <= until) {
            let Some(happening) = self.world.agenda.next() else { break };
            if !self.steps.take() {
                let detail = format!("still busy with nothing after {STEPS_ALONE_MAX} steps");
                return Err(Violation::new(Promise::Ends, detail));
            }
            // Whether all was well in time is for those outside to say.
            if !matches!(happening, Happening::Judgment) {
                self.world.turn(happening)?;
            }
        }
        self.world.agenda.pass(until);
        Ok(())
    }

    /// Connects to a server, of which the first is 0; `None` if nobody listens there.
    pub fn connect(&mut self, server: usize) -> Option<Cable> {
        self.steps.begin_anew();
        self.world.accept(NodeId(server), Some(Caller::Outside), ADDRESS).map(Cable)
    }

    /// Puts bytes on their way to the server.
    pub fn send(&mut self, cable: Cable, bytes: &[u8]) {
        self.steps.begin_anew();
        self.world.send(cable.0, bytes);
    }

    /// Ends a connection; nothing arrives on it anymore.
    pub fn close(&mut self, cable: Cable) {
        self.world.hang_up_outside(cable.0);
    }

    /// Takes what has arrived, in order.
    pub fn take_arrivals(&mut self) -> Vec<(Cable, Arrival)> {
        let arrivals = std::mem::take(&mut self.world.arrivals);
        arrivals.into_iter().map(|(link, arrival)| (Cable(link), arrival)).collect()
    }

    /// Ends the faults.
    pub fn make_peace(&mut self) {
        self.world.make_peace();
    }

    /// When something happens next, counted from the start.
    pub fn next(&self) -> Option<Duration> {
        self.world.agenda.next_at().map(|at| at.since(Instant::default()))
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u64 {
        self.steps.all
    }

    /// The time, counted from the start.
    pub fn now(&self) -> Duration {
        self.world.agenda.now().since(Instant::default())
    }

    /// The session timeout that suits how long everything takes.
    pub fn timeout(&self) -> Duration {
        self.world.plan.timeout()
    }

    /// The longest time in which, once the faults have ended, a client is served that looks for a
    /// server, and an old session is over.
    pub fn until_served(&self) -> Duration {
        let plan = &self.world.plan;
        let asleep = self.world.nodes.iter().map(|node| node.paused_until).max();
        let asleep = asleep.unwrap_or_default().since(self.world.agenda.now());
        plan.timeout() * 4 + plan.delays.sync * 50 + plan.until_led() + asleep
    }

    /// What was exercised.
    pub fn counters(&self) -> &Counters {
        &self.world.counters
    }

    /// Whether too few servers know all that they have acknowledged, so that none may serve.
    pub fn needs_an_operator(&self) -> bool {
        self.world.needs_an_operator()
    }

    /// Equal for equal runs.
    pub fn fingerprint(&self) -> u64 {
        self.world.agenda.fingerprint()
    }
}

impl World {
    /// A piece of bytes, or the end, arrives at who is no part of the world.
    pub(super) fn arrive_outside(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.to_client.is_over() {
            self.arrivals.push((id, Arrival::End));
            self.hang_up_outside(id);
            return;
        }
        let chunks = self.plan.faults.chunks;
        let bytes = super::serve::piece(&mut self.agenda.tape, chunks, &mut link.to_client);
        self.arrivals.push((id, Arrival::Bytes(bytes)));
        self.plan_arrival_at_client(id);
    }

    /// The outer side of a connection ends.
    fn hang_up_outside(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.client = None;
        if link.conn.is_some() {
            link.to_server.close(End::Closed);
            self.plan_arrival_at_server(id);
        } else {
            self.links.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_not_stuck_as_long_as_somebody_wants_something() {
        let mut steps = Steps::default();
        for _ in 0..3 {
            steps.begin_anew();
            assert!((0..STEPS_ALONE_MAX).all(|_| steps.take()));
        }
        assert!(!steps.take());
        assert_eq!(steps.all, 3 * STEPS_ALONE_MAX + 1);
    }
}
