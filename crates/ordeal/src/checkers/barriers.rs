//! Barriers: nobody is let in before as many have come as it waits for, and nobody is let out before
//! everybody who is inside wants to leave.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::history::{AtBarrier, History, Step};

const PROMISE: &str = "barriers";

/// Who has ever done what at a barrier.
#[derive(Default)]
struct Barrier {
    came: BTreeSet<u32>,
    inside: BTreeSet<u32>,
    leaving: BTreeSet<u32>,
}

pub(super) fn check(history: &History) -> Result<(), Violation> {
    let mut barriers: BTreeMap<&str, Barrier> = BTreeMap::new();
    for AtBarrier { barrier: name, count, who, step } in &history.barriers {
        let barrier = barriers.entry(name).or_default();
        match step {
            Step::Came => {
                barrier.came.insert(*who);
            }
            Step::Entered if barrier.came.len() < *count => {
                let detail = format!("{who} was let in at {name} when {:?} had come", barrier.came);
                return Err(Violation::new(PROMISE, detail));
            }
            Step::Entered => {
                barrier.inside.insert(*who);
            }
            Step::Leaving => {
                barrier.leaving.insert(*who);
            }
            Step::Left => {
                if let Some(other) = barrier.inside.difference(&barrier.leaving).next() {
                    let detail = format!("{who} was let out at {name} when {other} was inside");
                    return Err(Violation::new(PROMISE, detail));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Step::{Came, Entered, Leaving, Left};
    use super::*;

    fn check_barrier(happened: &[(u32, Step)]) -> Result<(), Violation> {
        let barriers = happened.iter().map(|&(who, step)| AtBarrier {
            barrier: "1".into(),
            count: 2,
            who,
            step,
        });
        check(&History { barriers: barriers.collect(), ..History::default() })
    }

    #[test]
    fn all_have_come_when_one_is_let_in() {
        assert_eq!(check_barrier(&[(1, Came), (2, Came), (2, Entered), (3, Came)]), Ok(()));
    }

    #[test]
    fn all_want_to_leave_when_one_is_let_out() {
        let inside = [(1, Came), (2, Came), (2, Entered), (1, Entered)];
        let sound = [(1, Leaving), (2, Leaving), (2, Left), (1, Left)];
        assert_eq!(check_barrier(&[&inside[..], &sound].concat()), Ok(()));
        let spoiled = [(1, Leaving), (1, Left), (2, Leaving), (2, Left)];
        assert!(check_barrier(&[&inside[..], &spoiled].concat()).is_err());
    }

    #[test]
    fn spoiled_barriers_are_rejected() {
        assert!(check_barrier(&[(1, Came), (1, Entered), (2, Came)]).is_err());
        assert!(check_barrier(&[(1, Came), (1, Came), (1, Entered)]).is_err());
    }
}
