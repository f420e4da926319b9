//! Tasks: each has one outcome, which is the one that its worker reported.

use std::collections::BTreeMap;

use super::Violation;
use crate::history::{History, Outcomes};

const PROMISE: &str = "tasks";

pub(super) fn check(history: &History) -> Result<(), Violation> {
    let Outcomes { submitted: _, reported, maybe_reported, read } = &history.outcomes;
    let mut outcomes: BTreeMap<&str, &str> = BTreeMap::new();
    for (task, outcome) in reported {
        if let Some(first) = outcomes.insert(task, outcome) {
            let detail = format!("{task} was reported as {first}, and as {outcome}");
            return Err(Violation::new(PROMISE, detail));
        }
    }
    for it @ (task, outcome) in read {
        let known = *outcomes.entry(task).or_insert(outcome);
        if known != outcome {
            let detail = format!("{task} came to {outcome}, and to {known}");
            return Err(Violation::new(PROMISE, detail));
        }
        if !reported.contains(it) && !maybe_reported.contains(it) {
            return Err(Violation::new(PROMISE, format!("nobody reported {outcome} of {task}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'p> = &'p [(&'p str, &'p str)];

    fn check_outcomes(reported: Pairs, maybe: Pairs, read: Pairs) -> Result<(), Violation> {
        let own = |pairs: Pairs| -> Vec<(String, String)> {
            pairs.iter().map(|&(task, outcome)| (task.to_owned(), outcome.to_owned())).collect()
        };
        let outcomes = Outcomes {
            reported: own(reported),
            maybe_reported: own(maybe).into_iter().collect(),
            read: own(read).into_iter().collect(),
            ..Outcomes::default()
        };
        check(&History { outcomes, ..History::default() })
    }

    #[test]
    fn each_task_has_one_outcome() {
        let sound =
            check_outcomes(&[("t", "1")], &[("u", "2"), ("t", "3")], &[("t", "1"), ("u", "2")]);
        assert_eq!(sound, Ok(()));
    }

    #[test]
    fn spoiled_outcomes_are_rejected() {
        // Reported twice, read as another, read as two, invented.
        assert!(check_outcomes(&[("t", "1"), ("t", "2")], &[], &[]).is_err());
        assert!(check_outcomes(&[("t", "1")], &[("t", "2")], &[("t", "2")]).is_err());
        let both = [("t", "1"), ("t", "2")];
        assert!(check_outcomes(&[], &both, &both).is_err());
        assert!(check_outcomes(&[], &[], &[("t", "1")]).is_err());
    }
}
