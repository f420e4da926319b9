//! Queues: what was put in is taken out, once, and in order by who takes alone.

use std::collections::BTreeSet;

use super::Violation;
use crate::history::{History, Items};

const PROMISE: &str = "queue";

pub(super) fn check(history: &History) -> Result<(), Violation> {
    let Items { put, maybe_put, done, maybe_done, drained, is_drained } = &history.items;
    if let Some(pair) = drained.windows(2).find(|pair| pair[0] > pair[1]) {
        return Err(Violation::new(PROMISE, format!("{} came before {}", pair[0], pair[1])));
    }
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
            drained: Vec::new(),
            is_drained: true,
        };
        check(&History { items, ..History::default() })
    }

    #[test]
    fn each_item_is_taken_out_once() {
        assert_eq!(check_items(&["a", "b"], &["c", "d"], &["b", "c"], &["a"]), Ok(()));
    }

    #[test]
    fn who_takes_alone_takes_in_order() {
        let check_drained = |drained: &[&str]| {
            let drained = drained.iter().map(|&name| name.to_owned()).collect();
            check(&History { items: Items { drained, ..Items::default() }, ..History::default() })
        };
        assert_eq!(check_drained(&["entry-1", "entry-2"]), Ok(()));
        assert!(check_drained(&["entry-2", "entry-1"]).is_err());
    }

    #[test]
    fn spoiled_queues_are_rejected() {
        // Lost, doubled, invented.
        assert!(check_items(&["a", "b"], &[], &["a"], &[]).is_err());
        assert!(check_items(&["a"], &[], &["a", "a"], &[]).is_err());
        assert!(check_items(&[], &["a"], &["b"], &[]).is_err());
    }
}
