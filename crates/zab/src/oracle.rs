//! Asking the oracle of an ensemble of two voters.
//!
//! With two voters, none can go on without the other. An oracle, a file that somebody writes who knows
//! better, may let one of them. It is asked again and again as long as that is of interest: while this
//! server looks for a leader, and while it leads and the other voter does not follow. What it said is
//! forgotten when that ends, and when it is old.

use std::time::Duration;

use types::{Instant, Now};

use crate::effect::Effect;
use crate::limits::ORACLE_ANSWER_TICKS;
use crate::quorum::Oracle;

/// What this server has asked, and been told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Consultation {
    /// There is no need to ask.
    #[default]
    Resting,
    /// There has been since `since`.
    Asking {
        /// The first time.
        since: Instant,
        /// When to ask again.
        next: Instant,
        /// What was said last, and when.
        answer: Option<(Oracle, Instant)>,
    },
}

impl Consultation {
    /// Asks if it is time to, and forgets what is no longer of interest.
    pub(crate) fn settle(
        &mut self,
        now: Now,
        is_needed: bool,
        tick: Duration,
        effects: &mut Vec<Effect>,
    ) {
        if !is_needed {
            *self = Self::Resting;
            return;
        }
        if *self == Self::Resting {
            let since = now.instant;
            *self = Self::Asking { since, next: since, answer: None };
        }
        if let Self::Asking { next, answer, .. } = self {
            answer.take_if(|(_, said)| now.instant.since(*said) > tick * ORACLE_ANSWER_TICKS);
            if now.instant >= *next {
                *next = now.instant.after(tick / 2);
                effects.push(Effect::AskOracle);
            }
        }
    }

    /// Takes an answer, if anybody still wants to know.
    pub(crate) fn on_answer(&mut self, now: Now, oracle: Oracle) {
        if let Self::Asking { answer, .. } = self {
            *answer = Some((oracle, now.instant));
        }
    }

    /// What holds now.
    pub(crate) fn answer(&self) -> Option<Oracle> {
        match self {
            Self::Resting => None,
            Self::Asking { answer, .. } => answer.map(|(oracle, _)| oracle),
        }
    }

    /// Whether the first answer may still come.
    pub(crate) fn is_open(&self, now: Instant, tick: Duration) -> bool {
        match self {
            Self::Resting => true,
            Self::Asking { since, answer, .. } => {
                answer.is_none() && now.since(*since) <= tick * ORACLE_ANSWER_TICKS
            }
        }
    }

    /// When to ask again.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self {
            Self::Resting => None,
            Self::Asking { next, .. } => Some(*next),
        }
    }
}
