//! Failures: nobody is said to have failed who was there all the time in which that was asked, or at any moment
//! of the period of grace before it was said.

use super::Violation;
use crate::history::{Failed, History, Sighting};

const PROMISE: &str = "failures";

pub(super) fn check(history: &History) -> Result<(), Violation> {
    for failed in &history.failed {
        let Failed { member, asked, told, grace } = failed;
        let of_member = || history.sightings.iter().filter(|seen| seen.member == *member);
        let before = of_member().filter(|seen| seen.answered <= *asked);
        for Sighting { token, .. } in before {
            // A znode that was there before and afterwards was there meanwhile.
            if of_member().any(|later| later.token == *token && later.asked >= *told) {
                let detail = format!("{member} has not failed, its {token:#x} lives: {failed:?}");
                return Err(Violation::new(PROMISE, detail));
            }
        }
        let too_late = |seen: &&Sighting| {
            seen.asked >= *asked && seen.answered < *told && seen.asked + *grace > *told
        };
        if let Some(seen) = of_member().find(too_late) {
            let detail = format!("{member} had no time to come back: {seen:?}, {failed:?}");
            return Err(Violation::new(PROMISE, detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Seen with a token, asked for between two seconds; said to have failed after 10 to 20 s.
    fn check_failed(seen: &[(u64, u64, u64)]) -> Result<(), Violation> {
        let at = Duration::from_secs;
        let sightings = seen.iter().map(|&(token, asked, answered)| Sighting {
            member: 1,
            token,
            asked: at(asked),
            answered: at(answered),
        });
        let failed = vec![Failed { member: 1, asked: at(10), told: at(20), grace: at(5) }];
        check(&History { sightings: sightings.collect(), failed, ..History::default() })
    }

    #[test]
    fn who_was_away_may_be_said_to_have_failed() {
        // Never seen; gone before; back as another; seen when it may not yet have been asked, or no more.
        for seen in [vec![], vec![(1, 8, 9)], vec![(1, 8, 9), (2, 20, 21)], vec![(1, 9, 21)]] {
            assert_eq!(check_failed(&seen), Ok(()), "{seen:?}");
        }
        assert_eq!(check_failed(&[(1, 8, 10), (1, 14, 15)]), Ok(()));
    }

    #[test]
    fn spoiled_failures_are_rejected() {
        assert!(check_failed(&[(1, 8, 9), (1, 21, 22)]).is_err());
        assert!(check_failed(&[(1, 16, 17)]).is_err());
    }
}
