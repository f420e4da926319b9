//! Making a failing run small.
//!
//! The bytes of its tape are removed and zeroed, in ever smaller pieces, as long as the run still
//! breaks the same promise. Since small bytes choose small numbers and calm alternatives, what is
//! left has few clients, few faults and few requests.

use crate::checkers::Promise;
use crate::tape::{Tail, Tape};
use crate::world::{self, Trace};

/// A tape on its way to the smallest that fails alike.
#[derive(Debug)]
struct Shrinking {
    promise: Promise,
    bytes: Vec<u8>,
    runs_left: u32,
}

/// Shrinks a tape that breaks a promise, making at most `runs` runs. What follows the bytes of the
/// result is zeros. `None` if the tape does not fail in the first place.
pub fn shrink(tape: &Tape, runs: u32) -> Option<(Vec<u8>, Promise)> {
    let report = world::run(tape.clone(), Trace::Off);
    let promise = report.violation?.promise;
    let mut shrinking = Shrinking { promise, bytes: report.tape, runs_left: runs };
    while shrinking.round() && shrinking.runs_left > 0 {}
    Some((shrinking.bytes, promise))
}

impl Shrinking {
    /// Tries everything once; tells whether anything helped.
    fn round(&mut self) -> bool {
        let before = self.bytes.clone();
        self.cut_the_end();
        let mut piece = (self.bytes.len() / 2).max(1);
        while piece > 0 && self.runs_left > 0 {
            self.try_pieces(piece, |bytes, start, end| {
                bytes.drain(start..end);
            });
            self.try_pieces(piece, |bytes, start, end| bytes[start..end].fill(0));
            piece /= 2;
        }
        self.lower_bytes();
        self.bytes != before
    }

    /// Finds the shortest beginning that fails.
    fn cut_the_end(&mut self) {
        let (mut fine, mut fails) = (0, self.bytes.len());
        while fine + 1 < fails && self.runs_left > 0 {
            let middle = fine.midpoint(fails);
            if self.still_fails(self.bytes[..middle].to_vec()) {
                fails = middle;
            } else {
                fine = middle;
            }
        }
        if self.still_fails(self.bytes[..fails].to_vec()) {
            self.bytes.truncate(fails);
        }
    }

    fn try_pieces(&mut self, piece: usize, change: impl Fn(&mut Vec<u8>, usize, usize)) {
        let mut start = 0;
        while start < self.bytes.len() && self.runs_left > 0 {
            let end = (start + piece).min(self.bytes.len());
            let mut changed = self.bytes.clone();
            change(&mut changed, start, end);
            if changed != self.bytes && self.still_fails(changed.clone()) {
                self.bytes = changed;
            } else {
                start = end;
            }
        }
    }

    fn lower_bytes(&mut self) {
        for at in 0..self.bytes.len() {
            while self.bytes[at] > 0 && self.runs_left > 0 {
                let mut changed = self.bytes.clone();
                changed[at] /= 2;
                if !self.still_fails(changed.clone()) {
                    break;
                }
                self.bytes = changed;
            }
        }
    }

    fn still_fails(&mut self, bytes: Vec<u8>) -> bool {
        self.runs_left = self.runs_left.saturating_sub(1);
        let report = world::run(Tape::new(bytes, Tail::Zeros), Trace::Off);
        report.violation.is_some_and(|violation| violation.promise == self.promise)
    }
}
