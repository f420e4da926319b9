//! Bugs that can be switched on.
//!
//! The simulator is tested by breaking the server on purpose. A *mutant* is a place where the code
//! does the wrong thing if its number is the chosen one. Without the feature `mutants`, which only
//! the simulator turns on, [`active`] is a constant `false` and nothing of them is compiled.
//! `sim::mutants` lists the numbers.

#[cfg(feature = "mutants")]
static CHOSEN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

/// Chooses the one mutant of this process; 0 for none.
#[cfg(feature = "mutants")]
pub fn choose(number: u32) {
    CHOSEN.store(number, std::sync::atomic::Ordering::Relaxed);
}

/// Whether this mutant was chosen.
#[cfg(feature = "mutants")]
pub fn active(number: u32) -> bool {
    CHOSEN.load(std::sync::atomic::Ordering::Relaxed) == number
}

/// Whether this mutant was chosen: never.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn active(_number: u32) -> bool {
    false
}
