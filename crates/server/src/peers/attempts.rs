//! Servers that are being reached: the states of it, without the sockets' events.
//!
//! ```text
//!            names known            a socket is through
//! LookingUp ────────────> Connecting ──────────────────> a connection
//!     ^  │                    │
//!     │  └──── in vain ───────┤ in vain
//!     │                       v
//!     └──────────────────── Pausing ──> given up: no try or no time is left
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use types::Instant;
use types::membership::HostPort;
use zab::{CallFailure, Link};

use super::errand::Goal;

/// All attempts, one for each goal at most.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    by_goal: BTreeMap<Goal, Attempt>,
    /// Those that are not through. Each is of an attempt that is connecting.
    sockets: BTreeMap<Link, Connecting>,
}

/// An attempt to reach a server.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Where it may be.
    pub(super) places: Vec<HostPort>,
    /// When it is over.
    pub(super) until: Instant,
    /// How many tries there are left, this one included.
    tries_left: u32,
    stage: Stage,
    /// What went wrong last.
    problem: Option<String>,
}

impl Attempt {
    /// What an operator reads of why it was in vain.
    pub(super) fn problem(self) -> String {
        self.problem.unwrap_or_else(|| match self.places.is_empty() {
            true => "no address of it is known".to_owned(),
            false => {
                let places: Vec<_> = self.places.iter().map(HostPort::to_string).collect();
                format!("no answer from {}", places.join(" or "))
            }
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    LookingUp,
    Connecting {
        /// What the sockets that failed say together.
        failure: CallFailure,
    },
    Pausing {
        until: Instant,
    },
}

/// A socket on its way.
#[derive(Debug)]
pub(super) struct Connecting {
    pub(super) goal: Goal,
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
}

/// What is due by time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// Give up.
    GiveUp(Goal),
    /// Try again.
    Try(Goal),
}

/// What follows from a try in vain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InVain {
    /// Others are under way.
    Wait,
    /// Nothing is left to try.
    GiveUp(CallFailure),
}

impl Attempts {
    /// Begins an attempt. One for the same goal must have been dropped.
    pub(super) fn begin(
        &mut self,
        goal: Goal,
        places: Vec<HostPort>,
        until: Instant,
        tries_left: u32,
    ) {
        let stage = Stage::LookingUp;
        let attempt = Attempt { places, until, tries_left, stage, problem: None };
        let before = self.by_goal.insert(goal, attempt);
        debug_assert!(before.is_none(), "an attempt is begun once");
    }

    /// Forgets an attempt and closes its sockets.
    pub(super) fn drop(&mut self, goal: Goal) -> Option<Attempt> {
        self.sockets.retain(|_, socket| socket.goal != goal);
        self.by_goal.remove(&goal)
    }

    /// An attempt that waits to know where its goal is.
    pub(super) fn looking_up(&self, goal: Goal) -> Option<&Attempt> {
        self.by_goal.get(&goal).filter(|attempt| attempt.stage == Stage::LookingUp)
    }

    /// Looks up where the goal is, once more.
    pub(super) fn look_up(&mut self, goal: Goal) {
        if let Some(attempt) = self.by_goal.get_mut(&goal) {
            attempt.stage = Stage::LookingUp;
        }
    }

    /// Goes on to sockets.
    pub(super) fn connect(&mut self, goal: Goal) {
        if let Some(attempt) = self.by_goal.get_mut(&goal) {
            attempt.stage = Stage::Connecting { failure: CallFailure::Refused };
        }
    }

    /// Adds a socket that is not through yet.
    pub(super) fn add(&mut self, link: Link, socket: Connecting) {
        self.sockets.insert(link, socket);
    }

    pub(super) fn socket(&self, link: Link) -> Option<&Connecting> {
        self.sockets.get(&link)
    }

    /// Takes a socket out: it is through, or failed.
    pub(super) fn take(&mut self, link: Link) -> Option<Connecting> {
        self.sockets.remove(&link)
    }

    /// Notes that an address is not there, or `Unknown` for another reason.
    pub(super) fn failed(&mut self, goal: Goal, why: CallFailure) {
        if let Some(attempt) = self.by_goal.get_mut(&goal)
            && let Stage::Connecting { failure } = &mut attempt.stage
            && why == CallFailure::Unknown
        {
            *failure = why;
        }
    }

    /// Notes what went wrong, for an operator.
    pub(super) fn note(&mut self, goal: Goal, problem: String) {
        if let Some(attempt) = self.by_goal.get_mut(&goal) {
            attempt.problem = Some(problem);
        }
    }

    /// Ends the try unless a socket of it is under way.
    pub(super) fn end_try(&mut self, goal: Goal, now: Instant, pause: Duration) -> InVain {
        if self.sockets.values().any(|socket| socket.goal == goal) {
            return InVain::Wait;
        }
        let Some(attempt) = self.by_goal.get_mut(&goal) else { return InVain::Wait };
        attempt.tries_left = attempt.tries_left.saturating_sub(1);
        let until = now.after(pause);
        if attempt.tries_left > 0 && until < attempt.until {
            attempt.stage = Stage::Pausing { until };
            return InVain::Wait;
        }
        InVain::GiveUp(match attempt.stage {
            Stage::Connecting { failure } => failure,
            Stage::LookingUp | Stage::Pausing { .. } => CallFailure::Unknown,
        })
    }

    /// What is due by now.
    pub(super) fn due(&self, now: Instant) -> Vec<Due> {
        let due = |(&goal, attempt): (&Goal, &Attempt)| match attempt.stage {
            _ if attempt.until <= now => Some(Due::GiveUp(goal)),
            Stage::Pausing { until } if until <= now => Some(Due::Try(goal)),
            Stage::Pausing { .. } | Stage::LookingUp | Stage::Connecting { .. } => None,
        };
        self.by_goal.iter().filter_map(due).collect()
    }

    /// When something is due next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadline = |attempt: &Attempt| match attempt.stage {
            Stage::Pausing { until } => until.min(attempt.until),
            Stage::LookingUp | Stage::Connecting { .. } => attempt.until,
        };
        self.by_goal.values().map(deadline).min()
    }

    /// The goals of connections to a server to learn from.
    pub(super) fn teachers(&self) -> Vec<Goal> {
        let is_leader = |goal: &Goal| matches!(goal, Goal::Leader(_) | Goal::Master(_));
        self.by_goal.keys().copied().filter(is_leader).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.by_goal.len()
    }
}

#[cfg(test)]
mod tests {
    use types::Sid;

    use super::*;

    const GOAL: Goal = Goal::Leader(Sid(3));
    const PAUSE: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Instant {
        Instant::from_start(Duration::from_millis(millis))
    }

    fn attempt(until: u64, tries: u32) -> Attempts {
        let mut attempts = Attempts::default();
        attempts.begin(GOAL, Vec::new(), at(until), tries);
        attempts
    }

    #[test]
    fn tries_are_made_with_pauses_until_none_is_left() {
        let mut attempts = attempt(10_000, 2);
        attempts.connect(GOAL);
        assert_eq!(attempts.end_try(GOAL, at(5), PAUSE), InVain::Wait);
        assert_eq!((attempts.due(at(104)), attempts.next_deadline()), (vec![], Some(at(105))));
        assert_eq!(attempts.due(at(105)), [Due::Try(GOAL)]);
        attempts.look_up(GOAL);
        attempts.connect(GOAL);
        let refused = InVain::GiveUp(CallFailure::Refused);
        assert_eq!(attempts.end_try(GOAL, at(106), PAUSE), refused);
    }

    #[test]
    fn an_attempt_is_over_in_its_time_whatever_it_does() {
        let mut attempts = attempt(1_000, 5);
        assert_eq!(attempts.due(at(1_000)), [Due::GiveUp(GOAL)]);
        assert_eq!(attempts.end_try(GOAL, at(899), PAUSE), InVain::Wait);
        attempts.look_up(GOAL);
        // The next one would begin when it is over.
        let unknown = InVain::GiveUp(CallFailure::Unknown);
        assert_eq!(attempts.end_try(GOAL, at(900), PAUSE), unknown);
        assert!(attempts.drop(GOAL).is_some());
        assert_eq!((attempts.next_deadline(), attempts.count()), (None, 0));
    }

    #[test]
    fn only_if_every_address_refuses_the_server_is_down() {
        for (answers, expected) in [
            (&[CallFailure::Refused, CallFailure::Refused][..], CallFailure::Refused),
            (&[CallFailure::Unknown, CallFailure::Refused], CallFailure::Unknown),
            (&[CallFailure::Refused, CallFailure::Unknown], CallFailure::Unknown),
        ] {
            let mut attempts = attempt(10_000, 1);
            attempts.connect(GOAL);
            answers.iter().for_each(|&answer| attempts.failed(GOAL, answer));
            let in_vain = attempts.end_try(GOAL, at(1), PAUSE);
            assert_eq!(in_vain, InVain::GiveUp(expected), "{answers:?}");
        }
    }
}
