//! Queues: what was put in is taken out, once.

use std::collections::BTreeSet;

use super::Violation;
use crate::history::{History, Items};

const PROMISE: &str = "queue";

pub(super) fn check(history: &History) -> Result<(), Violation> {
    let Items { put, maybe_put, done, maybe_done, is_drained } = &history.items;
    let mut seen = BTreeSet::new();
    for item in done {
        if !seen.insert(item) {
            return Err(Violation::new(PROMISE, format!("{item} was taken out twice")));
        }
        if !put.contains(item) && !maybe_put.contains(item) {
            return Err(Violation::new(PROMISE, format!("{item} was never put in")));
        }
    }
    let is_lost = |item: &&String| !seen.contains(*item) && !maybe_done.contains(*item);
    match put.iter().find(is_lost) {
        Some(item) if *is_drained => Err(Violation::new(PROMISE, format!("{item} is lost"))),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_items(
        put: &[&str],
        maybe_put: &[&str],
        done: &[&str],
        maybe_done: &[&str],
    ) -> Result<(), Violation> {
        let set = |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect();
        let items = Items {
            put: set(put),
            maybe_put: set(maybe_put),
            done: done.iter().map(|&item| item.to_owned()).collect(),
            maybe_done: set(maybe_done),
            is_drained: true,
        };
        check(&History { items, ..History::default() })
    }

    #[test]
    fn each_item_is_taken_out_once() {
        assert_eq!(check_items(&["a", "b"], &["c", "d"], &["b", "c"], &["a"]), Ok(()));
    }

    #[test]
    fn spoiled_queues_are_rejected() {
        // Lost, doubled, invented.
        assert!(check_items(&["a", "b"], &[], &["a"], &[]).is_err());
        assert!(check_items(&["a"], &[], &["a", "a"], &[]).is_err());
        assert!(check_items(&[], &["a"], &["b"], &[]).is_err());
    }
}
