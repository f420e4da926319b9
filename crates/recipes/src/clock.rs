//! What time it is elsewhere, too.

use std::time::SystemTime;

/// What the wall clock shows.
#[cfg(feature = "seeded")]
pub(crate) fn now() -> SystemTime {
    crate::seeded::wall_clock()
}

/// What the wall clock shows.
#[cfg(not(feature = "seeded"))]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
