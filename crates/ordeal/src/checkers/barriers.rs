//! Barriers: nobody is let in before as many have come as it waits for.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::history::{AtBarrier, History};

pub(super) fn check(history: &History) -> Result<(), Violation> {
    let mut came: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for AtBarrier { barrier, count, who, is_inside } in &history.barriers {
        let came = came.entry(barrier).or_default();
        if !is_inside {
            came.insert(*who);
        } else if came.len() < *count {
            let detail = format!("{who} was let in at {barrier} when {came:?} had come");
            return Err(Violation::new("barriers", detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_barrier(happened: &[(u32, bool)]) -> Result<(), Violation> {
        let barriers = happened.iter().map(|&(who, is_inside)| AtBarrier {
            barrier: "1".into(),
            count: 2,
            who,
            is_inside,
        });
        check(&History { barriers: barriers.collect(), ..History::default() })
    }

    #[test]
    fn all_have_come_when_one_is_let_in() {
        assert_eq!(check_barrier(&[(1, false), (2, false), (2, true), (3, false)]), Ok(()));
    }

    #[test]
    fn spoiled_barriers_are_rejected() {
        assert!(check_barrier(&[(1, false), (1, true), (2, false)]).is_err());
        assert!(check_barrier(&[(1, false), (1, false), (1, true)]).is_err());
    }
}
