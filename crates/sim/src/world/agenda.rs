//! Time, and what happens when.
//!
//! One queue in the order of virtual time; what is due at the same time is ordered by a byte of the
//! tape. Nothing happens between two entries, so idle time costs nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use types::Instant;

use crate::tape::Tape;

/// Odd, with its bits spread: what the fingerprint is multiplied with at each fact.
const HASH_FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// The clock, the queue of what is to come, and the tape that decides.
#[derive(Debug)]
pub(super) struct Agenda<H> {
    pub(super) tape: Tape,
    now: Instant,
    queue: BinaryHeap<Reverse<Entry<H>>>,
    entered: u64,
    hash: u64,
}

#[derive(Debug)]
struct Entry<H> {
    at: Instant,
    tie_break: u8,
    entered: u64,
    what: H,
}

impl<H> Entry<H> {
    fn key(&self) -> (Instant, u8, u64) {
        (self.at, self.tie_break, self.entered)
    }
}

impl<H> PartialEq for Entry<H> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<H> Eq for Entry<H> {}

impl<H> PartialOrd for Entry<H> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<H> Ord for Entry<H> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<H> Agenda<H> {
    pub(super) fn new(tape: Tape) -> Self {
        Self { tape, now: Instant::default(), queue: BinaryHeap::new(), entered: 0, hash: 0 }
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Enters something at a time; what is past is due at once.
    pub(super) fn at(&mut self, at: Instant, what: H) {
        let tie_break = self.tape.byte();
        self.entered += 1;
        let at = at.max(self.now);
        self.queue.push(Reverse(Entry { at, tie_break, entered: self.entered, what }));
    }

    /// Enters something after up to `longest`.
    pub(super) fn within(&mut self, longest: Duration, what: H) {
        let delay = self.duration(longest);
        self.at(self.now.after(delay), what);
    }

    /// A duration of up to `longest`.
    pub(super) fn duration(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.tape.range(0, micros))
    }

    /// Goes on to the next entry.
    pub(super) fn next(&mut self) -> Option<H> {
        let Reverse(entry) = self.queue.pop()?;
        self.now = entry.at;
        self.mix(entry.at.nanos());
        self.mix(entry.entered);
        Some(entry.what)
    }

    /// When the next entry is due, if there is one.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse(entry)| entry.at)
    }

    /// Lets time pass in which nothing was entered.
    pub(super) fn pass(&mut self, now: Instant) {
        debug_assert!(self.next_at().is_none_or(|next| next > now));
        self.now = self.now.max(now);
    }

    /// Adds a fact to the fingerprint of the run.
    pub(super) fn mix(&mut self, fact: u64) {
        self.hash = (self.hash.rotate_left(5) ^ fact).wrapping_mul(HASH_FACTOR);
    }

    /// The fingerprint of the run so far.
    pub(super) fn fingerprint(&self) -> u64 {
        self.hash
    }
}
