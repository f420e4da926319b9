//! Services: who calls is given an instance that was registered as it is, and wants to be called.

use super::Violation;
use crate::history::{History, Offer};

const PROMISE: &str = "services";

pub(super) fn check(history: &History) -> Result<(), Violation> {
    let is_wrong = |called: &&Offer| !called.is_enabled || !history.offers.contains(called);
    match history.called.iter().find(is_wrong) {
        Some(called) => Err(Violation::new(PROMISE, format!("nobody offers {called:?}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(id: &str, is_enabled: bool) -> Offer {
        let (address, payload) = (Some("a".to_owned()), None);
        Offer { id: id.to_owned(), address, port: Some(1), payload, is_enabled }
    }

    fn check_called(called: Offer) -> Result<(), Violation> {
        let offers = vec![offer("1", true), offer("2", false)];
        check(&History { offers, called: vec![called], ..History::default() })
    }

    #[test]
    fn what_is_offered_may_be_called() {
        assert_eq!(check_called(offer("1", true)), Ok(()));
    }

    #[test]
    fn spoiled_services_are_rejected() {
        assert!(check_called(offer("2", false)).is_err());
        assert!(check_called(offer("3", true)).is_err());
        assert!(check_called(Offer { port: Some(2), ..offer("1", true) }).is_err());
    }
}
