//! Servers of the ensemble that calls do not reach, as far as operators are told of them: when it
//! begins, rarely as long as it lasts, and when it is over.
//!
//! A call fails several times in the second in which an ensemble starts, and for as long as a server is
//! down. Of servers that are in no membership nobody is told, since anybody can name them.

use std::collections::BTreeMap;
use std::time::Duration;

use types::{Instant, Sid};

/// Between two lines about one server.
const AGAIN: Duration = Duration::from_secs(60);

/// Those that were called in vain since they were reached last.
#[derive(Debug, Default)]
pub(super) struct Unreached(BTreeMap<Sid, InVain>);

#[derive(Clone, Copy, Debug)]
struct InVain {
    calls: u64,
    tell_at: Instant,
}

impl Unreached {
    /// A call failed. Returns how many did in a row, if an operator is to be told now.
    pub(super) fn failed(&mut self, sid: Sid, now: Instant) -> Option<u64> {
        let in_vain = self.0.entry(sid).or_insert(InVain { calls: 0, tell_at: now });
        in_vain.calls += 1;
        if now < in_vain.tell_at {
            return None;
        }
        in_vain.tell_at = now.after(AGAIN);
        Some(in_vain.calls)
    }

    /// A server was reached, or has called. Returns how many calls had failed, if an operator was told
    /// of that.
    pub(super) fn reached(&mut self, sid: Sid) -> Option<u64> {
        self.0.remove(&sid).map(|in_vain| in_vain.calls)
    }

    /// Forgets those that are not in the ensemble any longer.
    pub(super) fn keep(&mut self, is_member: impl Fn(Sid) -> bool) {
        self.0.retain(|&sid, _| is_member(sid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::from_start(Duration::from_secs(secs))
    }

    #[test]
    fn a_server_is_named_when_it_is_missed_and_then_once_a_minute() {
        let (mut unreached, one, two) = (Unreached::default(), Sid(1), Sid(2));
        assert_eq!(unreached.failed(one, at(0)), Some(1));
        assert_eq!((unreached.failed(one, at(1)), unreached.failed(two, at(1))), (None, Some(1)));
        assert_eq!(unreached.failed(one, at(59)), None);
        assert_eq!(unreached.failed(one, at(60)), Some(4));
        assert_eq!((unreached.reached(one), unreached.reached(one)), (Some(4), None));
        assert_eq!(unreached.failed(one, at(61)), Some(1), "it is gone once more");
        unreached.keep(|sid| sid == one);
        assert_eq!((unreached.reached(two), unreached.reached(one)), (None, Some(1)));
    }
}
