//! Which voters are enough to decide.
//!
//! Everything a leader does rests on one fact: any two quorums have a voter in common. So what one
//! quorum has logged, accepted or promised, somebody in every later quorum knows.
//!
//! The arithmetic is that of Apache's `QuorumMaj`, `QuorumHierarchical` and `QuorumOracleMaj`, since
//! all members of an ensemble have to agree on it.

use std::collections::BTreeSet;

use types::membership::{Hierarchy, Membership, QuorumRule};
use types::{Sid, mutant};

use crate::memberships::Memberships;

/// The voters of one membership, and which of them are enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quorum {
    voters: BTreeSet<Sid>,
    rule: Rule,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Rule {
    /// More than half of the voters.
    Majority,
    /// More than half of the weight in more than half of the groups.
    Hierarchical {
        /// Those that weigh something; the others neither help nor count.
        groups: Vec<Group>,
    },
}

/// Servers whose votes are weighed together.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Group {
    /// The weights of its voters.
    voters: Vec<(Sid, u64)>,
    /// What all of it weighs, servers that do not vote included.
    weight: u64,
}

/// What the file says that decides for an ensemble of two voters, one of which is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Oracle {
    /// Whoever asks may decide alone. Two that both ask and are both told so lose each other's
    /// decisions: it is for who writes the file to prevent that.
    MayDecideAlone,
    /// Whoever asks has to wait for the other.
    MustWait,
}

impl Quorum {
    /// More than half of these voters. Of no voters nothing is a quorum.
    pub fn majority(voters: impl IntoIterator<Item = Sid>) -> Self {
        Self { voters: voters.into_iter().collect(), rule: Rule::Majority }
    }

    /// Whether the voters that `has` accepts are enough. It is asked about voters only, so what
    /// others say never counts.
    pub fn is_quorum(&self, has: impl Fn(Sid) -> bool) -> bool {
        match &self.rule {
            Rule::Majority => {
                let count = self.voters.iter().filter(|&&sid| has(sid)).count();
                count > self.voters.len() / 2
            }
            Rule::Hierarchical { groups } => {
                let count = groups.iter().filter(|group| group.is_quorum(&has)).count();
                count > groups.len() / 2
            }
        }
    }

    /// Whether one voter is enough, because there are two and an oracle says so. It must be asked
    /// only by a voter, and only while the other one does not follow it: as long as it does, its
    /// acknowledgements are waited for.
    pub fn is_lone_voter_enough(&self, oracle: Oracle) -> bool {
        match self.rule {
            Rule::Majority => self.voters.len() == 2 && oracle == Oracle::MayDecideAlone,
            // A membership with groups is never given an oracle.
            Rule::Hierarchical { .. } => false,
        }
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
    /// everybody weighs 1, also who does not vote yet: a new voter may lead as soon as it is one. In
    /// a hierarchy who does not vote weighs nothing.
    pub fn weight(&self, sid: Sid) -> u64 {
        match &self.rule {
            Rule::Majority => 1,
            Rule::Hierarchical { groups } => {
                let mut weights = groups.iter().flat_map(|group| &group.voters);
                weights.find(|(voter, _)| *voter == sid).map_or(0, |&(_, weight)| weight)
            }
        }
    }
}

impl From<&Membership> for Quorum {
    fn from(membership: &Membership) -> Self {
        let quorum = Self::majority(membership.voters().map(|member| member.sid));
        match membership.rule() {
            QuorumRule::Majority => quorum,
            QuorumRule::Hierarchical(hierarchy) => {
                let groups = Group::all(hierarchy, &quorum.voters);
                Self { rule: Rule::Hierarchical { groups }, ..quorum }
            }
        }
    }
}

impl Group {
    /// The groups that weigh something.
    fn all(hierarchy: &Hierarchy, voters: &BTreeSet<Sid>) -> Vec<Self> {
        let weigh = |&sid: &Sid| (sid, u64::from(hierarchy.weight(sid)));
        let groups = hierarchy.groups().map(|(_, sids)| Self {
            voters: sids.intersection(voters).map(weigh).collect(),
            weight: sids.iter().map(|sid| weigh(sid).1).sum(),
        });
        groups.filter(|group| group.weight > 0).collect()
    }

    fn is_quorum(&self, has: impl Fn(Sid) -> bool) -> bool {
        let having = self.voters.iter().filter(|(sid, _)| has(*sid));
        let weight: u64 = having.map(|(_, weight)| weight).sum();
        weight > self.weight / 2
    }
}

impl Oracle {
    /// Reads the content of the oracle's file: its first character is `1`, or it is no.
    pub fn from_file(content: &[u8]) -> Self {
        match content.first() {
            Some(b'1') => Self::MayDecideAlone,
            Some(_) | None => Self::MustWait,
        }
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

    /// Whether this server votes only once the pending membership is in force.
    pub fn is_only_pending(&self, sid: Sid) -> bool {
        self.is_voter(sid) && !self.committed.is_voter(sid)
    }

    /// Whether a membership is pending of which no quorum can do without the voters that `has` accepts: what
    /// none of them has was not committed since that membership was proposed.
    pub fn none_decides_without(&self, has: impl Fn(Sid) -> bool) -> bool {
        self.pending.as_ref().is_some_and(|pending| !pending.is_quorum(|sid| !has(sid)))
    }

    fn each(&self) -> impl Iterator<Item = &Quorum> {
        std::iter::once(&self.committed).chain(&self.pending)
    }
}

impl From<&Memberships> for Quorums {
    fn from(memberships: &Memberships) -> Self {
        let pending = memberships.pending().filter(|_| !mutant::active(134));
        Self {
            committed: Quorum::from(&*memberships.committed),
            pending: pending.map(|pending| Quorum::from(&**pending)),
        }
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
    use proptest::prelude::*;

    use super::*;

    fn majority(voters: &[i64]) -> Quorum {
        Quorum::majority(voters.iter().copied().map(Sid))
    }

    /// Servers 1 to `count`, of which these do not vote, with these lines for groups and weights.
    fn hierarchy(count: i64, observers: &[i64], lines: &str) -> Quorum {
        let mut text = String::from(lines);
        for sid in 1..=count {
            let role = if observers.contains(&sid) { "observer" } else { "participant" };
            text += &format!("\nserver.{sid}=zk{sid}:2888:3888:{role}");
        }
        Quorum::from(&Membership::parse(&text).unwrap())
    }

    fn check(quorum: &Quorum, cases: &[(&[i64], bool)]) {
        for &(has, expected) in cases {
            let is_quorum = quorum.is_quorum(|sid| has.contains(&sid.0));
            assert_eq!(is_quorum, expected, "{has:?} of {quorum:?}");
        }
    }

    #[test]
    fn a_majority_is_more_than_half_of_the_voters() {
        check(&majority(&[]), &[(&[], false), (&[1], false)]);
        check(&majority(&[1]), &[(&[], false), (&[1], true)]);
        check(&majority(&[1, 2]), &[(&[1], false), (&[1, 2], true)]);
        check(&majority(&[1, 2, 3]), &[(&[3], false), (&[1, 3], true)]);
        check(&majority(&[1, 2, 3, 4]), &[(&[1, 2], false), (&[1, 2, 4], true)]);
        check(&majority(&[1, 2, 3, 4, 5]), &[(&[2, 4], false), (&[2, 4, 5], true)]);
    }

    #[test]
    fn only_voters_count() {
        check(&majority(&[1, 2, 3]), &[(&[1, 4, 5, 6], false)]);
        assert!(majority(&[1, 2]).is_voter(Sid(2)));
        assert!(!majority(&[1, 2]).is_voter(Sid(3)));
        let quorum = hierarchy(5, &[4, 5], "group.1=1:2:3");
        check(&quorum, &[(&[1, 4, 5], false), (&[1, 2], true)]);
        assert_eq!(quorum.voters().map(|sid| sid.0).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_voter_given_twice_has_one_vote() {
        assert_eq!(majority(&[3, 1, 3]), majority(&[1, 3]));
        check(&majority(&[3, 1, 3]), &[(&[3], false)]);
    }

    #[test]
    fn most_of_the_groups_are_enough() {
        let quorum = hierarchy(9, &[], "group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7:8:9");
        check(
            &quorum,
            &[
                (&[1, 2, 4, 5], true),
                (&[1, 2, 3, 4, 7], false),
                (&[2, 3, 8, 9], true),
                (&[1, 2, 3], false),
                (&[1, 4, 7], false),
                (&[1, 2, 3, 4, 5, 6], true),
            ],
        );
        let quorum = hierarchy(4, &[], "group.1=1:2\ngroup.2=3:4");
        check(&quorum, &[(&[1, 2], false), (&[1, 2, 3], false), (&[1, 2, 3, 4], true)]);
        check(&hierarchy(3, &[], "group.1=1:2:3"), &[(&[1], false), (&[1, 3], true)]);
    }

    #[test]
    fn more_than_half_of_a_groups_weight_is_enough() {
        let quorum = hierarchy(3, &[], "group.1=1:2:3\nweight.1=3");
        check(&quorum, &[(&[1], true), (&[2, 3], false)]);
        // Half of seven, rounded down, is three; half of an even weight has to be exceeded too.
        let quorum = hierarchy(3, &[], "group.1=1:2:3\nweight.1=4\nweight.2=2");
        check(&quorum, &[(&[1], true), (&[2, 3], false)]);
        let quorum = hierarchy(3, &[], "group.1=1:2:3\nweight.1=2");
        check(&quorum, &[(&[1], false), (&[2, 3], false), (&[1, 2], true)]);
        assert_eq!([1, 2, 3, 4].map(|sid| quorum.weight(Sid(sid))), [2, 1, 1, 0]);
    }

    #[test]
    fn who_weighs_nothing_neither_helps_nor_counts() {
        let quorum = hierarchy(4, &[], "group.1=1:2:3:4\nweight.4=0");
        check(&quorum, &[(&[1, 4], false), (&[1, 2], true)]);
        assert!(quorum.is_voter(Sid(4)));
        assert_eq!(quorum.weight(Sid(4)), 0);
        // The third group weighs nothing, so the first two decide, and both have to.
        let lines = "group.1=1\ngroup.2=2\ngroup.3=3:4\nweight.3=0\nweight.4=0";
        check(&hierarchy(4, &[], lines), &[(&[1, 3, 4], false), (&[1, 2], true)]);
        let lines = "group.1=1\ngroup.2=2:3\nweight.2=0\nweight.3=0";
        check(&hierarchy(3, &[], lines), &[(&[1], true), (&[2, 3], false)]);
    }

    #[test]
    fn who_has_a_weight_and_no_vote_counts_against_its_group() {
        let lines = "group.1=1:2:3:9\nweight.3=1\nweight.9=1";
        let quorum = hierarchy(3, &[3], lines);
        check(&quorum, &[(&[1, 2], false), (&[1, 2, 3, 9], false)]);
        let quorum = hierarchy(4, &[4], "group.1=1:2:3:4\nweight.4=1");
        check(&quorum, &[(&[1, 2], false), (&[1, 2, 4], false), (&[1, 2, 3], true)]);
    }

    #[test]
    fn in_a_majority_everybody_may_lead() {
        assert_eq!([1, 2].map(|sid| majority(&[1]).weight(Sid(sid))), [1, 1]);
    }

    #[test]
    fn an_oracle_decides_for_two_voters_only() {
        for (content, expected) in [
            (&b"1"[..], Oracle::MayDecideAlone),
            (b"1\n", Oracle::MayDecideAlone),
            (b"10", Oracle::MayDecideAlone),
            (b"0", Oracle::MustWait),
            (b" 1", Oracle::MustWait),
            (b"", Oracle::MustWait),
            (b"\xff", Oracle::MustWait),
        ] {
            assert_eq!(Oracle::from_file(content), expected, "{content:?}");
        }
        for (voters, expected) in [(&[1][..], false), (&[1, 2], true), (&[1, 2, 3], false)] {
            let quorum = majority(voters);
            assert_eq!(quorum.is_lone_voter_enough(Oracle::MayDecideAlone), expected, "{voters:?}");
            assert!(!quorum.is_lone_voter_enough(Oracle::MustWait), "{voters:?}");
        }
        let quorum = hierarchy(2, &[], "group.1=1:2");
        assert!(!quorum.is_lone_voter_enough(Oracle::MayDecideAlone));
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

    /// Up to six servers in up to four groups, with weights, of which some do not vote; or no groups.
    fn any_quorum() -> impl Strategy<Value = Quorum> {
        let server = (0..4_usize, 0..4_u32, prop::bool::weighted(0.8));
        (prop::collection::vec(server, 1..7), any::<bool>()).prop_filter_map(
            "a membership",
            |(servers, has_groups)| {
                let mut text = String::new();
                let mut groups = [const { Vec::new() }; 4];
                for (&(group, weight, is_voter), sid) in servers.iter().zip(1..) {
                    let role = if is_voter { "participant" } else { "observer" };
                    text += &format!("server.{sid}=zk:1:2:{role}\n");
                    groups[group].push(sid.to_string());
                    if has_groups {
                        text += &format!("weight.{sid}={weight}\n");
                    }
                }
                let groups = groups.iter().zip(1..).filter(|(sids, _)| !sids.is_empty());
                for (sids, group) in groups.filter(|_| has_groups) {
                    text += &format!("group.{group}={}\n", sids.join(":"));
                }
                Membership::parse(&text).ok().map(|membership| Quorum::from(&membership))
            },
        )
    }

    fn contains(set: u16, sid: Sid) -> bool {
        set & 1 << sid.0 != 0
    }

    proptest! {
        #[test]
        fn any_two_quorums_have_a_voter_in_common_that_could_lead(quorum in any_quorum()) {
            let quorums: Vec<u16> =
                (0..1 << 7).filter(|&set| quorum.is_quorum(|sid| contains(set, sid))).collect();
            for (&one, &other) in quorums.iter().flat_map(|one| quorums.iter().map(move |other| (one, other))) {
                let is_common = |sid| contains(one & other, sid) && quorum.weight(sid) > 0;
                prop_assert!(quorum.voters().any(is_common), "{one:b} and {other:b}");
            }
        }

        #[test]
        fn who_joins_a_quorum_does_not_spoil_it(
            quorum in any_quorum(),
            set in 0..1_u16 << 7,
            more in 0..1_u16 << 7,
        ) {
            let is_quorum = |set| quorum.is_quorum(|sid| contains(set, sid));
            prop_assert!(!is_quorum(set) || is_quorum(set | more));
        }
    }
}
