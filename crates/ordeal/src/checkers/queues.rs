//! Queues: what was put in is taken out, once, what was put in together all or none of it, and in order by who takes
//! alone.

use std::collections::BTreeSet;

use super::Violation;
use crate::history::{History, Items};

const PROMISE: &str = "queue";

pub(super) fn check(history: &History) -> Result<(), Violation> {
    let items = &history.items;
    check_order(items)?;
    let Items { put, maybe_put, done, maybe_done, together, is_drained, .. } = items;
    let mut seen = BTreeSet::new();
    for item in done {
        if !seen.insert(item) {
            return Err(Violation::new(PROMISE, format!("{item} was taken out twice")));
        }
        if !put.contains(item) && !maybe_put.contains(item) {
            return Err(Violation::new(PROMISE, format!("{item} was never put in")));
        }
    }
    if !is_drained {
        return Ok(());
    }
    let is_lost = |item: &&String| !seen.contains(*item) && !maybe_done.contains(*item);
    if let Some(item) = put.iter().find(is_lost) {
        return Err(Violation::new(PROMISE, format!("{item} is lost")));
    }
    for together in together {
        if let Some(item) = together.iter().find(is_lost)
            && let Some(other) = together.iter().find(|item| seen.contains(item))
        {
            let detail = format!("{item} is lost, with which {other} was put in");
            return Err(Violation::new(PROMISE, detail));
        }
    }
    Ok(())
}

fn check_order(Items { drained, ranks, .. }: &Items) -> Result<(), Violation> {
    for pair in drained.windows(2) {
        let (one, next) = (&pair[0], &pair[1]);
        let last = one.items.iter().filter_map(|item| ranks.get(item)).max();
        let first = next.items.iter().filter_map(|item| ranks.get(item)).min();
        let is_before = first.is_some_and(|first| last.is_some_and(|last| first < last));
        if one.path > next.path || is_before {
            return Err(Violation::new(PROMISE, format!("{one:?} came before {next:?}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Drained;

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
            ..Items::default()
        };
        check(&History { items, ..History::default() })
    }

    #[test]
    fn each_item_is_taken_out_once() {
        assert_eq!(check_items(&["a", "b"], &["c", "d"], &["b", "c"], &["a"]), Ok(()));
    }

    #[test]
    fn who_takes_alone_takes_in_order() {
        let check_drained = |drained: &[(&str, &str)]| {
            let drained = drained.iter().map(|&(path, item)| Drained {
                path: path.to_owned(),
                items: vec![item.to_owned()],
            });
            let ranks = [("a".to_owned(), 7), ("b".to_owned(), 10)].into();
            let items = Items { drained: drained.collect(), ranks, ..Items::default() };
            check_order(&items)
        };
        assert_eq!(check_drained(&[("entry-1", "a"), ("entry-2", "b"), ("entry-3", "c")]), Ok(()));
        assert!(check_drained(&[("entry-2", "c"), ("entry-1", "d")]).is_err());
        assert!(check_drained(&[("entry-1", "b"), ("entry-2", "a")]).is_err());
    }

    #[test]
    fn what_was_put_in_together_is_there_or_not() {
        let check_together = |done: &[&str]| {
            let own =
                |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>();
            let items = Items {
                maybe_put: own(&["a", "b"]).into_iter().collect(),
                together: vec![own(&["a", "b"])],
                done: own(done),
                is_drained: true,
                ..Items::default()
            };
            check(&History { items, ..History::default() })
        };
        assert_eq!(check_together(&[]), Ok(()));
        assert_eq!(check_together(&["b", "a"]), Ok(()));
        assert!(check_together(&["b"]).is_err());
    }

    #[test]
    fn spoiled_queues_are_rejected() {
        // Lost, doubled, invented.
        assert!(check_items(&["a", "b"], &[], &["a"], &[]).is_err());
        assert!(check_items(&["a"], &[], &["a", "a"], &[]).is_err());
        assert!(check_items(&[], &["a"], &["b"], &[]).is_err());
    }
}
