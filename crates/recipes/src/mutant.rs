//! Bugs that can be switched on.
//!
//! What checks the recipes is tested by breaking them on purpose. A *mutant* is a place where the code does the
//! wrong thing if its number is the chosen one. Without the feature `seeded`, which only simulated runs turn
//! on, [`active`] is a constant `false` and nothing of them is compiled. `ordeal::mutants` lists the numbers.

#[cfg(feature = "seeded")]
thread_local! {
    static CHOSEN: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
}

/// Chooses the one mutant of this thread, or none.
#[cfg(feature = "seeded")]
pub fn choose_mutant(number: Option<u32>) {
    CHOSEN.set(number);
}

/// Whether this mutant was chosen.
#[cfg(feature = "seeded")]
pub(crate) fn active(number: u32) -> bool {
    CHOSEN.get() == Some(number)
}

/// Whether this mutant was chosen: never.
#[cfg(not(feature = "seeded"))]
#[inline(always)]
pub(crate) const fn active(_number: u32) -> bool {
    false
}
