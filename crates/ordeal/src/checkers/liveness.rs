//! Liveness: once nothing goes wrong anymore, who wants a turn gets it in bounded time, and nothing is
//! left of who is gone.

use super::Violation;
use crate::history::History;

/// What this promise is called.
pub const PROMISE: &str = "liveness";

pub(super) fn check(history: &History) -> Result<(), Violation> {
    if history.overdue.is_empty() {
        return Ok(());
    }
    Err(Violation::new(PROMISE, history.overdue.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfulfilled_wishes_are_rejected() {
        let overdue = vec!["1 waits for its turn".to_owned()];
        assert_eq!(check(&History::default()), Ok(()));
        assert!(check(&History { overdue, ..History::default() }).is_err());
    }
}
