//! Times to live: a znode lives for its time after each touch, whoever is lost meanwhile.

use super::Violation;
use crate::history::{End, History};

pub(super) fn check(history: &History) -> Result<(), Violation> {
    let is_early = |end: &&End| end.gone_ms < end.touched_ms + end.time_to_live_ms;
    match history.ends.iter().find(is_early) {
        Some(end) => Err(Violation::new("keeps", format!("before its time was over: {end:?}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_end(touched_ms: u64, gone_ms: u64) -> Result<(), Violation> {
        let end = End { path: "/a".into(), touched_ms, time_to_live_ms: 100, gone_ms };
        check(&History { ends: vec![end], ..History::default() })
    }

    #[test]
    fn znodes_end_when_their_time_is_over() {
        assert_eq!(check_end(1000, 1100), Ok(()));
    }

    #[test]
    fn spoiled_ends_are_rejected() {
        assert!(check_end(1000, 1099).is_err());
    }
}
