//! Counters: every addition that was answered is in the sum once, and no sum or number is given twice.

use std::collections::BTreeSet;

use super::Violation;
use crate::history::{History, Sum};

pub(super) fn check(history: &History) -> Result<(), Violation> {
    check_sum(&history.sum)?;
    require_distinct("numbers", &history.ids)
}

fn check_sum(Sum { answers, doubtful, last }: &Sum) -> Result<(), Violation> {
    require_distinct("sums", answers)?;
    let Some(last) = last else { return Ok(()) };
    let sure = answers.len() as i64;
    let most = sure.saturating_add_unsigned(*doubtful);
    if *last < sure || *last > most {
        let detail = format!("{last} at the end, {sure} were added and {doubtful} maybe");
        return Err(Violation::new("counter", detail));
    }
    match answers.iter().max() {
        Some(highest) if highest > last => {
            let detail = format!("{highest} was answered, {last} is there at the end");
            Err(Violation::new("counter", detail))
        }
        Some(_) | None => Ok(()),
    }
}

fn require_distinct(what: &'static str, numbers: &[i64]) -> Result<(), Violation> {
    let mut seen = BTreeSet::new();
    match numbers.iter().find(|number| !seen.insert(**number)) {
        Some(twice) => Err(Violation::new(what, format!("{twice} was given twice"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_numbers(
        answers: &[i64],
        doubtful: u64,
        last: i64,
        ids: &[i64],
    ) -> Result<(), Violation> {
        let sum = Sum { answers: answers.to_vec(), doubtful, last: Some(last) };
        check(&History { sum, ids: ids.to_vec(), ..History::default() })
    }

    #[test]
    fn sums_and_numbers_are_exact() {
        assert_eq!(check_numbers(&[1, 2, 3], 0, 3, &[7, 8]), Ok(()));
        assert_eq!(check_numbers(&[1, 3], 2, 4, &[]), Ok(()));
    }

    #[test]
    fn spoiled_numbers_are_rejected() {
        // An addition is lost, one is there twice, a sum is given twice, and taken back.
        assert!(check_numbers(&[1, 2], 0, 1, &[]).is_err());
        assert!(check_numbers(&[1, 2], 0, 3, &[]).is_err());
        assert!(check_numbers(&[1, 1], 0, 2, &[]).is_err());
        assert!(check_numbers(&[1, 4], 1, 3, &[]).is_err());
        assert!(check_numbers(&[], 0, 0, &[5, 5]).is_err());
    }
}
