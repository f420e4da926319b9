//! Removal of containers that are no longer used and of znodes whose time to live is over.
//!
//! The one who leads looks for candidates at intervals and asks, one at a time and at a bounded
//! rate, for the deletion of each. Whether it may go is decided then, as for any write, so a
//! candidate that got a child in the meantime stays; and so does one that was written, or that is
//! another znode of the same name.

use std::collections::VecDeque;
use std::time::Duration;

use tree::{ReapRules, SliceEnd, Tree};
use types::{Instant, Now};

use crate::limits::REAP_EXAMINED_MAX;

/// How unused znodes are looked for.
#[derive(Clone, Copy, Debug)]
pub struct ReapOptions {
    /// Between the starts of two rounds.
    pub interval: Duration,
    /// Between two deletions of a round.
    pub pause: Duration,
    /// How long a container may wait for its first child, in milliseconds; `None` for ever.
    pub never_used_max_ms: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct Reaper {
    options: ReapOptions,
    /// Whether the tree still has znodes to look at in this round.
    is_looking: bool,
    candidates: VecDeque<String>,
    next_round: Instant,
    next_step: Instant,
}

impl Reaper {
    pub(crate) fn new(options: ReapOptions, now: Instant) -> Self {
        let next_round = now.after(options.interval);
        Self {
            options,
            is_looking: false,
            candidates: VecDeque::new(),
            next_round,
            next_step: next_round,
        }
    }

    /// When [`Reaper::next`] has to be asked next.
    pub(crate) fn next_deadline(&self) -> Instant {
        if self.is_looking || !self.candidates.is_empty() {
            self.next_step
        } else {
            self.next_round
        }
    }

    /// What may go now.
    pub(crate) fn rules(&self, now: Now) -> ReapRules {
        let never_used_max_ms = self.options.never_used_max_ms;
        ReapRules { now_ms: now.wall_ms, never_used_max_ms }
    }

    /// The znode to ask the deletion of now, if any.
    pub(crate) fn next(&mut self, now: Now, tree: &mut Tree) -> Option<String> {
        if self.candidates.is_empty() {
            if !self.is_looking {
                self.next_round = now.instant.after(self.options.interval);
                self.is_looking = true;
                tree.start_reaping();
            }
            let rules = self.rules(now);
            let candidates = &mut self.candidates;
            let end =
                tree.reap_slice(rules, REAP_EXAMINED_MAX, &mut |path| candidates.push_back(path));
            self.is_looking = end == SliceEnd::More;
        }
        self.next_step = now.instant.after(self.options.pause);
        self.candidates.pop_front()
    }
}
