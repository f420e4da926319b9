//! Presence: a znode that one keeps holds what that one wrote, and nobody else takes it, or takes it away.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{History, Incarnation};

const PROMISE: &str = "presence";

pub(super) fn check(history: &History) -> Result<(), Violation> {
    if let Some(astray) = history.astray.first() {
        return Err(Violation::new(PROMISE, astray));
    }
    let mut known: BTreeMap<u64, &Incarnation> = BTreeMap::new();
    for seen in &history.incarnations {
        let first = *known.entry(seen.token).or_insert(seen);
        if first != seen {
            let detail = format!("it changed hands: {first:?}, {seen:?}");
            return Err(Violation::new(PROMISE, detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_seen(seen: &[(u64, i64, u32)]) -> Result<(), Violation> {
        let seen = seen.iter().map(|&(token, owner, who)| Incarnation { token, owner, who });
        check(&History { incarnations: seen.collect(), ..History::default() })
    }

    #[test]
    fn one_comes_after_another() {
        assert_eq!(check_seen(&[(1, 7, 1), (1, 7, 1), (2, 8, 2), (3, 7, 1), (2, 8, 2)]), Ok(()));
    }

    #[test]
    fn spoiled_presence_is_rejected() {
        assert!(check_seen(&[(1, 7, 1), (1, 7, 2)]).is_err());
        assert!(check_seen(&[(1, 7, 1), (1, 8, 1)]).is_err());
        let astray = vec!["that of 1 was deleted".to_owned()];
        assert!(check(&History { astray, ..History::default() }).is_err());
    }
}
