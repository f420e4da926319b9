//! Which voters are enough to decide.
//!
//! Everything a leader does rests on one fact: any two quorums have a voter in common. So what one
//! quorum has logged, accepted or promised, somebody in every later quorum knows.
//!
//! The arithmetic is that of Apache's `QuorumMaj`: all members of an ensemble have to agree on it.

use std::collections::BTreeSet;

use types::Sid;

/// The voters of one membership, and how many of them are enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quorum {
    voters: BTreeSet<Sid>,
}

impl Quorum {
    /// More than half of these voters. Of no voters nothing is a quorum.
    pub fn majority(voters: impl IntoIterator<Item = Sid>) -> Self {
        Self { voters: voters.into_iter().collect() }
    }

    /// Whether the voters that `has` accepts are enough. It is asked about voters only, so what
    /// others say never counts.
    pub fn is_quorum(&self, has: impl Fn(Sid) -> bool) -> bool {
        let count = self.voters.iter().filter(|&&sid| has(sid)).count();
        count > self.voters.len() / 2
    }

    /// Returns the voters in ascending order.
    pub fn voters(&self) -> impl ExactSizeIterator<Item = Sid> {
        self.voters.iter().copied()
    }

    /// Whether this server votes.
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.voters.contains(&sid)
    }

    /// Returns what this server's vote weighs; who weighs nothing must not be elected. In a majority
    /// everybody weighs 1, also who does not vote yet: a new voter may lead as soon as it is one.
    pub fn weight(&self, _sid: Sid) -> u64 {
        1
    }
}

/// Who decides while one membership takes the place of another: a quorum of each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quorums {
    /// Of the membership in force.
    pub committed: Quorum,
    /// Of the one that is proposed and not committed yet, if there is one.
    pub pending: Option<Quorum>,
}

impl Quorums {
    /// Whether the voters that `has` accepts are enough in every membership.
    pub fn is_quorum(&self, has: impl Fn(Sid) -> bool) -> bool {
        self.each().all(|quorum| quorum.is_quorum(&has))
    }

    /// Returns who votes in any of the memberships, in ascending order.
    pub fn voters(&self) -> impl Iterator<Item = Sid> {
        self.each().flat_map(Quorum::voters).collect::<BTreeSet<Sid>>().into_iter()
    }

    /// Whether this server votes in any of the memberships.
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.each().any(|quorum| quorum.is_voter(sid))
    }

    fn each(&self) -> impl Iterator<Item = &Quorum> {
        std::iter::once(&self.committed).chain(&self.pending)
    }
}

impl From<Quorum> for Quorums {
    /// Nothing is pending.
    fn from(committed: Quorum) -> Self {
        Self { committed, pending: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn majority(voters: &[i64]) -> Quorum {
        Quorum::majority(voters.iter().copied().map(Sid))
    }

    #[test]
    fn a_majority_is_more_than_half_of_the_voters() {
        for (voters, has, expected) in [
            (&[][..], &[][..], false),
            (&[1], &[], false),
            (&[1], &[1], true),
            (&[1, 2], &[1], false),
            (&[1, 2], &[1, 2], true),
            (&[1, 2, 3], &[3], false),
            (&[1, 2, 3], &[1, 3], true),
            (&[1, 2, 3, 4], &[1, 2], false),
            (&[1, 2, 3, 4], &[1, 2, 4], true),
            (&[1, 2, 3, 4, 5], &[2, 4, 5], true),
            (&[0, -1, i64::MAX], &[0, -1], true),
        ] {
            let is_quorum = majority(voters).is_quorum(|sid| has.contains(&sid.0));
            assert_eq!(is_quorum, expected, "{has:?} of {voters:?}");
        }
    }

    #[test]
    fn only_voters_count() {
        assert!(!majority(&[1, 2, 3]).is_quorum(|sid| [1, 4, 5, 6].contains(&sid.0)));
        assert!(majority(&[1, 2]).is_voter(Sid(2)));
        assert!(!majority(&[1, 2]).is_voter(Sid(3)));
    }

    #[test]
    fn a_voter_given_twice_has_one_vote() {
        assert_eq!(majority(&[3, 1, 3]), majority(&[1, 3]));
        assert!(!majority(&[3, 1, 3]).is_quorum(|sid| sid == Sid(3)));
    }

    #[test]
    fn a_change_of_membership_needs_a_quorum_of_both() {
        let both =
            Quorums { committed: majority(&[1, 2, 3]), pending: Some(majority(&[3, 4, 5, 6])) };
        for (has, expected) in [
            (&[1, 2][..], false),
            (&[4, 5, 6], false),
            (&[1, 2, 3], false),
            (&[1, 3, 4], false),
            (&[1, 3, 4, 5], true),
            (&[1, 2, 4, 5, 6], true),
        ] {
            assert_eq!(both.is_quorum(|sid| has.contains(&sid.0)), expected, "{has:?}");
        }
        assert_eq!(both.voters().map(|sid| sid.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        assert!(both.is_voter(Sid(1)) && both.is_voter(Sid(6)) && !both.is_voter(Sid(7)));

        let one = Quorums::from(majority(&[1, 2, 3]));
        assert!(one.is_quorum(|sid| sid != Sid(3)));
    }
}
