//! Published values: all followers are told of them in one order, in which each was published once, and after those
//! that were published for sure when it was asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use crate::history::History;

const PROMISE: &str = "values";

pub(super) fn check(history: &History) -> Result<(), Violation> {
    let mut later: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for published in &history.published {
        later.entry(&published.value).or_default();
        for before in &published.after {
            later.entry(before).or_default().insert(&published.value);
        }
    }
    for follower in &history.followers {
        for pair in follower.told.windows(2) {
            match (&pair[0], &pair[1]) {
                (Some(before), Some(after)) => {
                    later.entry(before).or_default().insert(after);
                }
                (Some(before), None) => {
                    let detail = format!("nothing was told after {before}");
                    return Err(Violation::new(PROMISE, detail));
                }
                (None, _) => {}
            }
        }
        for told in follower.told.iter().flatten() {
            if !history.published.iter().any(|published| published.value == *told) {
                return Err(Violation::new(PROMISE, format!("{told} was never published")));
            }
        }
    }
    require_an_order(later)
}

/// Takes away the first of all, as long as there is one.
fn require_an_order(mut later: BTreeMap<&str, BTreeSet<&str>>) -> Result<(), Violation> {
    loop {
        let after: BTreeSet<&str> = later.values().flatten().copied().collect();
        let first: Vec<&str> = later.keys().filter(|it| !after.contains(*it)).copied().collect();
        if first.is_empty() {
            break;
        }
        for first in first {
            later.remove(first);
        }
    }
    match later.is_empty() {
        true => Ok(()),
        false => {
            let rest: Vec<_> = later.keys().collect();
            Err(Violation::new(PROMISE, format!("each of these was told before another: {rest:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Follower, Published};

    fn check_told(
        published: &[(&str, &[&str])],
        told: &[&[Option<&str>]],
    ) -> Result<(), Violation> {
        let published = published.iter().map(|(value, after)| Published {
            value: (*value).to_owned(),
            after: after.iter().map(|&value| value.to_owned()).collect(),
        });
        let followers = told.iter().map(|told| Follower {
            told: told.iter().map(|value| value.map(str::to_owned)).collect(),
        });
        let (published, followers) = (published.collect(), followers.collect());
        check(&History { published, followers, ..History::default() })
    }

    const ABC: &[(&str, &[&str])] = &[("a", &[]), ("b", &["a"]), ("c", &[])];

    #[test]
    fn all_are_told_in_one_order() {
        let (a, b, c) = (Some("a"), Some("b"), Some("c"));
        assert_eq!(check_told(ABC, &[&[None, a, c, b], &[a, b], &[c, b], &[None]]), Ok(()));
    }

    #[test]
    fn spoiled_values_are_rejected() {
        let (a, b, c) = (Some("a"), Some("b"), Some("c"));
        // Back again; another order for others, or than that in which they were published; gone; invented.
        assert!(check_told(ABC, &[&[a, c, a]]).is_err());
        assert!(check_told(ABC, &[&[a, c], &[c, a]]).is_err());
        assert!(check_told(ABC, &[&[b, a]]).is_err());
        assert!(check_told(ABC, &[&[a, None]]).is_err());
        assert!(check_told(ABC, &[&[Some("d")]]).is_err());
    }
}
