//! Leaders: who has lost the connection knows that it may lead no longer, before anybody else leads.

use super::Violation;
use crate::history::History;

pub(super) fn check(history: &History) -> Result<(), Violation> {
    match history.late_leaders.first() {
        Some(late) => Err(Violation::new("leaders", late)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leads_too_long_is_rejected() {
        let late_leaders = vec!["1 leads without a session".to_owned()];
        assert_eq!(check(&History::default()), Ok(()));
        assert!(check(&History { late_leaders, ..History::default() }).is_err());
    }
}
