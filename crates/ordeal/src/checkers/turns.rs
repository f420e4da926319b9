//! Mutual exclusion: turns that must not be shared do not overlap, and come in the order of their tokens.
//!
//! A turn lasts from the first to the last transaction that was made in it; each of them could only be
//! made while the holder's znode was there. So clocks have no part in this, nor what a holder believes.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{History, Share, Turn};

const PROMISE: &str = "turns";

pub(super) fn check(history: &History) -> Result<(), Violation> {
    let mut lines: BTreeMap<&str, Vec<&Turn>> = BTreeMap::new();
    for turn in &history.turns {
        lines.entry(&turn.line).or_default().push(turn);
    }
    for turns in lines.values_mut() {
        turns.sort_by_key(|turn| turn.token);
        check_line(turns)?;
    }
    Ok(())
}

/// Looks at the turns of a line, in the order of their tokens.
fn check_line(turns: &[&Turn]) -> Result<(), Violation> {
    for pair in turns.windows(2) {
        if pair[0].token == pair[1].token {
            return Err(broken("the same token twice", pair[0], pair[1]));
        }
    }
    let lasting: Vec<_> = turns.iter().filter_map(|turn| Some((*turn, span(turn)?))).collect();
    for (at, (turn, (first, last))) in lasting.iter().enumerate() {
        if turn.token > *first {
            return Err(broken("a write before its own token", turn, turn));
        }
        for (later, (later_first, later_last)) in &lasting[at + 1..] {
            if !may_share(turn, later) && later_first < last {
                return Err(broken("both at the same time", turn, later));
            }
            debug_assert!(later_first <= later_last);
        }
        if let Share::Among(permits) = turn.share {
            let at_once = lasting.iter().filter(|(_, (a, b))| a <= first && first <= b).count();
            if at_once > permits {
                let detail = format!("{at_once} at once of {permits}: {turn:?}");
                return Err(Violation::new(PROMISE, detail));
            }
        }
    }
    Ok(())
}

fn may_share(one: &Turn, other: &Turn) -> bool {
    match (one.share, other.share) {
        (Share::Reading, Share::Reading) | (Share::Among(_), Share::Among(_)) => true,
        (Share::Alone | Share::Reading | Share::Among(_), _) => false,
    }
}

/// The first and the last transaction of a turn.
fn span(turn: &Turn) -> Option<(u64, u64)> {
    Some((*turn.writes.iter().min()?, *turn.writes.iter().max()?))
}

fn broken(what: &str, one: &Turn, other: &Turn) -> Violation {
    Violation::new(PROMISE, format!("{what}: {one:?} and {other:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(token: u64, share: Share, writes: &[u64]) -> Turn {
        Turn { line: "/line".into(), share, who: 1, token, writes: writes.to_vec() }
    }

    fn check_turns(turns: &[Turn]) -> Result<(), Violation> {
        check(&History { turns: turns.to_vec(), ..History::default() })
    }

    #[test]
    fn turns_may_follow_each_other() {
        use Share::{Alone, Among, Reading};
        let sound = [
            vec![turn(1, Alone, &[3, 4]), turn(2, Alone, &[5]), turn(6, Alone, &[])],
            vec![turn(1, Reading, &[3, 9]), turn(2, Reading, &[4, 8]), turn(5, Alone, &[10])],
            vec![turn(1, Among(2), &[3, 9]), turn(2, Among(2), &[4, 5]), turn(6, Among(2), &[7])],
        ];
        for turns in sound {
            assert_eq!(check_turns(&turns), Ok(()), "{turns:?}");
        }
    }

    #[test]
    fn spoiled_turns_are_rejected() {
        use Share::{Alone, Among, Reading};
        let spoiled = [
            // One goes on after the next has begun.
            vec![turn(1, Alone, &[3, 6]), turn(2, Alone, &[5])],
            // Whoever comes later goes first.
            vec![turn(1, Alone, &[8]), turn(2, Alone, &[5])],
            // Two have the same token.
            vec![turn(1, Alone, &[3]), turn(1, Alone, &[])],
            // A token is not yet there.
            vec![turn(5, Alone, &[3])],
            // A writer among readers.
            vec![turn(1, Reading, &[3, 9]), turn(2, Alone, &[5])],
            vec![turn(1, Alone, &[3, 9]), turn(2, Reading, &[5])],
            // One too many.
            vec![turn(1, Among(2), &[5, 9]), turn(2, Among(2), &[4, 8]), turn(3, Among(2), &[7])],
        ];
        for turns in spoiled {
            assert!(check_turns(&turns).is_err(), "{turns:?}");
        }
    }
}
