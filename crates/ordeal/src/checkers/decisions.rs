//! Two-phase commits: what was decided is decided once, and is to commit only if nobody's vote was another.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{History, Voted};

const PROMISE: &str = "decisions";

pub(super) fn check(history: &History) -> Result<(), Violation> {
    let mut known: BTreeMap<(&str, Option<&str>), bool> = BTreeMap::new();
    for Voted { round, name, is_commit } in &history.votes {
        let first = *known.entry((round, name.as_deref())).or_insert(*is_commit);
        if first != *is_commit {
            let detail = format!("{round}: {name:?} is to commit for some, and not for others");
            return Err(Violation::new(PROMISE, detail));
        }
    }
    for ((round, name), is_commit) in &known {
        if name.is_some() && !is_commit && known.get(&(round, None)) == Some(&true) {
            let detail = format!("{round} was committed although {name:?} can not");
            return Err(Violation::new(PROMISE, detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_votes(votes: &[(Option<&str>, bool)]) -> Result<(), Violation> {
        let votes = votes.iter().map(|&(name, is_commit)| Voted {
            round: "1".into(),
            name: name.map(Into::into),
            is_commit,
        });
        check(&History { votes: votes.collect(), ..History::default() })
    }

    #[test]
    fn all_or_none_commit() {
        assert_eq!(check_votes(&[(Some("a"), true), (None, true), (None, true)]), Ok(()));
        assert_eq!(check_votes(&[(Some("a"), false), (None, false), (Some("b"), true)]), Ok(()));
    }

    #[test]
    fn spoiled_decisions_are_rejected() {
        assert!(check_votes(&[(None, true), (None, false)]).is_err());
        assert!(check_votes(&[(Some("a"), false), (None, true)]).is_err());
        assert!(check_votes(&[(Some("a"), false), (Some("a"), true)]).is_err());
    }
}
