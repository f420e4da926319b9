//! Delayed items: nobody takes one before its time, neither by the clock nor by the order of the servers.

use super::Violation;
use crate::history::{Delays, History, TakenAt};

const PROMISE: &str = "delays";

pub(super) fn check(history: &History) -> Result<(), Violation> {
    let Delays { taken, tides } = &history.delays;
    for TakenAt { item, due_ms, at_ms, token } in taken {
        if at_ms < due_ms {
            let detail = format!("{item} is due at {due_ms}, and was taken at {at_ms}");
            return Err(Violation::new(PROMISE, detail));
        }
        let before = tides.iter().find(|(over_ms, zxid)| over_ms < due_ms && zxid > token);
        if let Some((over_ms, zxid)) = before {
            let detail = format!(
                "{item} is due at {due_ms}, and was taken in {token:#x}, before {zxid:#x}, which was \
                 over at {over_ms}"
            );
            return Err(Violation::new(PROMISE, detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_taken(due_ms: u64, at_ms: u64, tides: &[(u64, u64)]) -> Result<(), Violation> {
        let taken = vec![TakenAt { item: "1".into(), due_ms, at_ms, token: 10 }];
        let delays = Delays { taken, tides: tides.to_vec() };
        check(&History { delays, ..History::default() })
    }

    #[test]
    fn items_are_taken_when_they_are_due() {
        assert_eq!(check_taken(500, 500, &[(499, 9), (500, 11)]), Ok(()));
        assert_eq!(check_taken(0, 500, &[(1, 9)]), Ok(()));
    }

    #[test]
    fn spoiled_delays_are_rejected() {
        assert!(check_taken(500, 499, &[]).is_err());
        // When something was over before the time that came after.
        assert!(check_taken(500, 600, &[(499, 11)]).is_err());
    }
}
