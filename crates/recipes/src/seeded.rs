//! Names that are a function of a seed, and a wall clock that goes with virtual time, for simulated runs.

use std::cell::Cell;
use std::time::SystemTime;

use tokio::time::Instant;

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
    static CLOCK: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
}

/// From now on the names that this thread chooses are a function of that seed.
pub fn seed_names(seed: u64) {
    STATE.set(Some(seed));
}

/// From now on the wall clock of this thread goes as the clock of its runtime, and shows that time now.
pub fn set_wall_clock(time: SystemTime) {
    CLOCK.set(Some((Instant::now(), time)));
}

/// What the wall clock of this thread shows.
pub fn wall_clock() -> SystemTime {
    match CLOCK.get() {
        Some((instant, time)) => time + instant.elapsed(),
        None => SystemTime::now(),
    }
}

/// The next name's bits, if there is a seed.
pub(crate) fn bits() -> Option<u128> {
    let high = next()?;
    Some(u128::from(high) << 64 | u128::from(next()?))
}

/// The next number of the sequence: `SplitMix64` by Steele, Lea and Flood.
fn next() -> Option<u64> {
    let state = STATE.get()?.wrapping_add(0x9E37_79B9_7F4A_7C15);
    STATE.set(Some(state));
    let word = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    Some(word ^ (word >> 31))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_names() {
        let names = |seed| {
            seed_names(seed);
            [bits(), bits()]
        };
        assert_eq!(names(1), names(1));
        assert_ne!(names(1), names(2));
        assert_ne!(names(1)[0], names(1)[1]);
    }
}
