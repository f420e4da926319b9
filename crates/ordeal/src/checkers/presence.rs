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
    for seen in history.incarnations.iter().filter(|seen| !is_excused(seen)) {
        let first = *known.entry(seen.token).or_insert(seen);
        if (first.owner, first.who) != (seen.owner, seen.who) {
            let detail = format!("it changed hands: {first:?}, {seen:?}");
            return Err(Violation::new(PROMISE, detail));
        }
    }
    Ok(())
}

/// Whether what a znode holds may be another's, as is promised.
///
/// Who keeps a znode sets its data on condition of the version that it has seen of its own, and there is no way to
/// make the znode itself the condition. One that has never been written has version 0, as has the znode of who took
/// the place when it was deleted meanwhile: the first write of the one is then the first write of the other's znode,
/// which has version 1 from then on. So it is in a sighting at version 1 that another's data is to be excused. A
/// later version was made by a write on condition of one that was written before, and at version 0 a znode has what
/// it was made with.
const fn is_excused(seen: &Incarnation) -> bool {
    seen.version == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_seen(seen: &[(u64, i64, u32, i32)]) -> Result<(), Violation> {
        let incarnation = |&(token, owner, who, version): &(u64, i64, u32, i32)| Incarnation {
            token,
            owner,
            who,
            version,
        };
        let incarnations = seen.iter().map(incarnation).collect();
        check(&History { incarnations, ..History::default() })
    }

    #[test]
    fn one_comes_after_another() {
        let seen = [(1, 7, 1, 0), (1, 7, 1, 2), (2, 8, 2, 0), (3, 7, 1, 0), (2, 8, 2, 3)];
        assert_eq!(check_seen(&seen), Ok(()));
    }

    #[test]
    fn a_first_write_may_be_that_of_who_was_there_before() {
        assert_eq!(check_seen(&[(1, 7, 1, 0), (1, 7, 2, 1), (1, 7, 1, 2)]), Ok(()));
        assert_eq!(check_seen(&[(1, 7, 2, 1), (1, 7, 1, 2)]), Ok(()));
    }

    #[test]
    fn spoiled_presence_is_rejected() {
        assert!(check_seen(&[(1, 7, 1, 0), (1, 7, 2, 2)]).is_err());
        assert!(check_seen(&[(1, 7, 1, 0), (1, 8, 1, 0)]).is_err());
        let astray = vec!["that of 1 was deleted".to_owned()];
        assert!(check(&History { astray, ..History::default() }).is_err());
    }
}
