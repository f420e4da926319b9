//! Whether a member of an ensemble remembers everything that it has acknowledged.

use crate::{Epoch, Zxid};

/// Whether a member remembers everything that it has acknowledged.
///
/// A vote stands for what its server has logged, so who has lost something of that neither leads nor
/// votes for anybody who may lack it too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// It does.
    Whole,
    /// Something may be missing until a leader has synchronized it.
    Shortened {
        /// The last transaction that it had, if that is known: who has that, in the same epoch or with a
        /// later current one, has all that is missing here.
        had: Option<Zxid>,
    },
}

impl Memory {
    /// What is remembered when a part is taken away of a history that ends with `last_logged`.
    #[must_use]
    pub fn shortened_from(self, last_logged: Zxid) -> Self {
        let had = match self {
            Self::Whole => Some(last_logged),
            Self::Shortened { had } => had.map(|had| had.max(last_logged)),
        };
        Self::Shortened { had }
    }

    /// The same, of a history that ends with `last_logged` now, and had all of the leader's of the epoch `current`.
    /// What was taken away comes again in its order, so nothing is missing once the history goes as far as it had
    /// gone: either that is the same epoch, or the history begins like that of a later one, in which everything is
    /// that was committed before. A later epoch may also begin with less.
    #[must_use]
    pub fn of_history(self, last_logged: Zxid, current: Epoch) -> Self {
        match self {
            Self::Shortened { had: Some(had) } if last_logged >= had || current > had.epoch() => {
                Self::Whole
            }
            memory => memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Counter;

    #[test]
    fn what_was_taken_is_there_again_when_the_history_goes_as_far() {
        let at = |epoch, counter| Zxid::new(Epoch(epoch), Counter(counter));
        let shortened = Memory::Whole.shortened_from(at(2, 5));
        assert_eq!(shortened, Memory::Shortened { had: Some(at(2, 5)) });
        for (last_logged, current, expected) in [
            (at(2, 4), 1, shortened),
            (at(2, 4), 2, shortened),
            (at(2, 4), 3, Memory::Whole),
            (at(2, 5), 2, Memory::Whole),
            (at(3, 1), 2, Memory::Whole),
        ] {
            assert_eq!(shortened.of_history(last_logged, Epoch(current)), expected);
        }
        assert_eq!(shortened.shortened_from(at(2, 3)), shortened, "it is missing still");
        let further = Memory::Shortened { had: Some(at(2, 7)) };
        assert_eq!(shortened.shortened_from(at(2, 7)), further);
    }

    #[test]
    fn who_does_not_know_what_is_missing_is_told_by_a_leader_only() {
        let unknown = Memory::Shortened { had: None };
        let far = Zxid::new(Epoch(9), Counter(9));
        assert_eq!(unknown.of_history(far, Epoch(10)), unknown);
        assert_eq!(unknown.shortened_from(far), unknown);
    }
}
