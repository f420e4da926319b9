//! Fencing: a service that refuses lower tokens than it has seen takes every rightful write.
//!
//! It is asked here whether that keeps out who is late, and only those.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{History, Shown};

const PROMISE: &str = "fencing";

pub(super) fn check(history: &History) -> Result<(), Violation> {
    let mut highest: BTreeMap<&str, u64> = BTreeMap::new();
    for Shown { line, token, is_accepted } in &history.shown {
        let highest = highest.entry(line).or_default();
        if *is_accepted && token < highest {
            let detail = format!("{line}: {token:#x} was taken after {highest:#x}");
            return Err(Violation::new(PROMISE, detail));
        }
        if !*is_accepted && token >= highest {
            let detail = format!("{line}: {token:#x} was refused, {highest:#x} being the highest");
            return Err(Violation::new(PROMISE, detail));
        }
        *highest = (*highest).max(*token);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_shown(shown: &[(u64, bool)]) -> Result<(), Violation> {
        let shown = shown.iter().map(|&(token, is_accepted)| Shown {
            line: "/line".into(),
            token,
            is_accepted,
        });
        check(&History { shown: shown.collect(), ..History::default() })
    }

    #[test]
    fn late_ones_are_refused() {
        assert_eq!(check_shown(&[(1, true), (1, true), (5, true), (1, false), (5, true)]), Ok(()));
    }

    #[test]
    fn spoiled_services_are_rejected() {
        assert!(check_shown(&[(5, true), (1, true)]).is_err());
        assert!(check_shown(&[(1, true), (5, false)]).is_err());
    }
}
