//! The clocks of machines: one that only goes on, at its own speed, and one that says what day it is.

use types::{Instant, Now};

use super::World;
use super::node::NodeId;
use crate::tape::Tape;

/// Milliseconds since 1970 at the start of every run.
const WALL_START_MS: u64 = 1_700_000_000_000;
/// A speed is in thousandths of the true one.
const TRUE_SPEED: u64 = 1000;

/// The clocks of one machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct MachineClock {
    /// Of the clock that only goes on.
    speed: u64,
    /// How far the other one is off.
    pub(super) wall_offset_ms: i64,
}

impl MachineClock {
    /// A clock that is too fast or too slow by so many thousandths at most.
    pub(super) fn draw(tape: &mut Tape, drift_permille: u64) -> Self {
        let drift_permille = drift_permille.min(TRUE_SPEED / 2);
        let speed = TRUE_SPEED - drift_permille + tape.range(0, 2 * drift_permille);
        Self { speed, wall_offset_ms: 0 }
    }

    /// What the clocks show at a time of the agenda.
    pub(super) fn at(self, time: Instant) -> Now {
        let wall_ms = self.wall_offset_ms.saturating_add_unsigned(unset_wall_ms(time));
        let nanos = u128::from(time.nanos()) * u128::from(self.speed) / u128::from(TRUE_SPEED);
        Now { instant: Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)), wall_ms }
    }

    /// The first time of the agenda at which the machine's clock has got there.
    pub(super) fn when(self, instant: Instant) -> Instant {
        let nanos = u128::from(instant.nanos()) * u128::from(TRUE_SPEED);
        let nanos = nanos.div_ceil(u128::from(self.speed));
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// What a wall clock shows at a time of the agenda if nobody has set it.
pub(super) fn unset_wall_ms(time: Instant) -> u64 {
    WALL_START_MS + time.millis()
}

impl World {
    /// What the clocks of a machine show.
    pub(super) fn now(&self, node: NodeId) -> Now {
        self.nodes[node].clock.at(self.agenda.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_has_got_somewhere_at_the_time_at_which_it_is_waited_for() {
        for speed in [500, 900, 999, 1000, 1001, 1100, 1500] {
            let clock = MachineClock { speed, wall_offset_ms: 0 };
            for nanos in [0, 1, 2, 999, 1000, 1001, 123_456_789, 59_999_999_999] {
                let instant = Instant::from_nanos(nanos);
                let when = clock.when(instant);
                assert!(clock.at(when).instant >= instant, "{speed} {nanos}");
                if let Some(before) = when.nanos().checked_sub(1) {
                    let before = Instant::from_nanos(before);
                    assert!(clock.at(before).instant < instant, "{speed} {nanos}");
                }
            }
        }
    }
}
