//! What a vote is: when one is better than another, and when two mean the same.
//!
//! ```text
//! Vote     whom somebody proposes, and how good that one is: epoch, history, id
//! Ballot   a vote as one server cast it: in which round, and what that server was doing
//! ```

use types::{Epoch, Sid, mutant};
use wire::election::{ElectionRound, Form, LastLogged, Notification, ServerState};

use crate::quorum::Quorum;

/// Who is proposed as the leader, or leads. The order is the one of elections: the fields from top
/// to bottom, nobody before anybody.
///
/// The epoch comes first because a longer history may be the worse one: it ends with what an
/// earlier leader proposed to nobody else. Whoever followed a later leader knows better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Vote {
    /// The epoch of the leader that it last followed; once it leads, the one of its reign.
    pub(crate) epoch: Option<Epoch>,
    /// How far its history went when the vote was first cast.
    pub(crate) last_logged: LastLogged,
    /// Its id.
    pub(crate) leader: Option<Sid>,
}

impl Vote {
    /// Whether who has voted for `other` must vote for this instead. What weighs nothing leads
    /// nobody: it may propose itself, but convinces no one.
    pub(crate) fn beats(self, other: Self, quorum: &Quorum) -> bool {
        let history_first = |vote: Self| (vote.last_logged, vote.epoch, vote.leader);
        let is_better = match mutant::active(29) {
            true => history_first(self) > history_first(other),
            false => self > other,
        };
        self.leader.is_some_and(|leader| quorum.weight(leader) > 0) && is_better
    }

    /// Whether only the ids decide between the two.
    pub(crate) fn has_history_of(&self, other: &Self) -> bool {
        (self.epoch, self.last_logged) == (other.epoch, other.last_logged)
    }
}

/// A vote as one server cast it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ballot {
    /// What that server was doing: voting, or telling who leads.
    pub(crate) state: ServerState,
    /// For whom.
    pub(crate) vote: Vote,
    /// In which round.
    pub(crate) round: ElectionRound,
    /// Whether its votes for a leader follow that leader's epoch.
    pub(crate) epochs: Epochs,
}

/// What the epoch in a server's vote means once it has a leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Epochs {
    /// The epoch of the leader's reign.
    OfReign,
    /// The epoch of the election, or of the reign: Apache's servers of release 3.5 and newer take
    /// what an older one says for the former (ZOOKEEPER-1732).
    Unsure,
}

impl Ballot {
    /// A vote in an election.
    pub(crate) const fn looking(vote: Vote, round: ElectionRound) -> Self {
        Self { state: ServerState::Looking, vote, round, epochs: Epochs::OfReign }
    }

    /// What a server has said.
    pub(crate) const fn of(notification: &Notification<'_>) -> Self {
        let Notification { state, leader, last_logged, round, epoch, ref form } = *notification;
        let epochs = match form {
            Form::WithConfig { .. } => Epochs::OfReign,
            Form::WithoutConfig | Form::WithoutVersion => Epochs::Unsure,
        };
        Self { state, vote: Vote { epoch, last_logged, leader }, round, epochs }
    }

    /// Whether two servers that take part in one round have voted for the same.
    ///
    /// Between two that have a leader already the same one is enough: in one round it is elected
    /// once, and one of them may have heard of its new epoch before the other.
    pub(crate) fn same_in_round(&self, other: &Self) -> bool {
        match (self.state, other.state) {
            (ServerState::Looking, _) | (_, ServerState::Looking) => {
                self.vote == other.vote && self.round == other.round
            }
            _ => self.vote.leader == other.vote.leader,
        }
    }

    /// Whether two servers that have a leader have the same. Rounds and histories may differ: who
    /// came late knows neither (ZOOKEEPER-1805). But it must be the same reign of it, unless
    /// one of them can not tell.
    pub(crate) fn same_reign(&self, other: &Self) -> bool {
        self.vote.leader == other.vote.leader
            && (self.epochs != other.epochs || self.vote.epoch == other.vote.epoch)
    }
}

#[cfg(test)]
mod tests {
    use types::Zxid;

    use super::*;

    fn vote(epoch: i32, zxid: i64, leader: i64) -> Vote {
        Vote {
            epoch: Some(Epoch(epoch)),
            last_logged: LastLogged::Zxid(Zxid::from_raw(zxid)),
            leader: Some(Sid(leader)),
        }
    }

    const NOBODY: Vote = Vote { epoch: None, last_logged: LastLogged::Nobody, leader: None };

    #[test]
    fn epoch_then_history_then_id_decide() {
        let quorum = Quorum::majority([1, 2, 3].map(Sid));
        let ascending = [
            NOBODY,
            Vote { last_logged: LastLogged::NoDatabase, ..vote(0, 0, 1) },
            vote(0, 0, 1),
            vote(0, 0, 2),
            vote(0, 9, 1),
            vote(0, 0x1_0000_0000, 1),
            // It followed a later leader, which had less.
            vote(1, 9, 1),
            vote(1, 9, 3),
            vote(1, 0x1_0000_0001, 1),
            vote(2, 0, 1),
        ];
        for (place, vote) in ascending.iter().enumerate() {
            for (other_place, other) in ascending.iter().enumerate() {
                assert_eq!(vote.beats(*other, &quorum), place > other_place, "{vote:?} {other:?}");
            }
        }
    }

    fn ballot(state: ServerState, round: i64, vote: Vote) -> Ballot {
        Ballot { state, vote, round: ElectionRound(round), epochs: Epochs::OfReign }
    }

    #[test]
    fn in_a_round_votes_are_equal_in_all_they_say_and_leaders_by_id() {
        use ServerState::{Following, Leading, Looking};
        for (one, other, expected) in [
            (ballot(Looking, 1, vote(1, 2, 3)), ballot(Looking, 1, vote(1, 2, 3)), true),
            (ballot(Looking, 1, vote(1, 2, 3)), ballot(Looking, 2, vote(1, 2, 3)), false),
            (ballot(Looking, 1, vote(1, 2, 3)), ballot(Looking, 1, vote(1, 2, 2)), false),
            (ballot(Looking, 1, vote(1, 2, 3)), ballot(Looking, 1, vote(1, 1, 3)), false),
            (ballot(Looking, 1, vote(1, 2, 3)), ballot(Looking, 1, vote(0, 2, 3)), false),
            (ballot(Looking, 1, vote(1, 2, 3)), ballot(Leading, 1, vote(1, 2, 3)), true),
            (ballot(Looking, 1, vote(1, 2, 3)), ballot(Leading, 1, vote(2, 2, 3)), false),
            (ballot(Following, 1, vote(1, 2, 3)), ballot(Leading, 1, vote(2, 2, 3)), true),
            (ballot(Following, 1, vote(1, 2, 3)), ballot(Leading, 1, vote(1, 2, 1)), false),
        ] {
            assert_eq!(one.same_in_round(&other), expected, "{one:?} {other:?}");
            assert_eq!(other.same_in_round(&one), expected, "{other:?} {one:?}");
        }
    }

    #[test]
    fn a_reign_is_a_leader_and_an_epoch_whatever_the_round_and_the_history() {
        use ServerState::{Following, Leading};
        let leader = ballot(Leading, 4, vote(2, 9, 3));
        for (other, expected) in [
            (ballot(Following, 4, vote(2, 9, 3)), true),
            (ballot(Following, 1, vote(2, 7, 3)), true),
            (ballot(Following, 4, vote(1, 9, 3)), false),
            (ballot(Following, 4, vote(2, 9, 1)), false),
        ] {
            assert_eq!(leader.same_reign(&other), expected, "{other:?}");
            let old = Ballot { epochs: Epochs::Unsure, ..other };
            let same_leader = other.vote.leader == leader.vote.leader;
            assert_eq!(leader.same_reign(&old), same_leader, "{old:?}");
            let both_old = Ballot { epochs: Epochs::Unsure, ..leader };
            assert_eq!(both_old.same_reign(&old), expected, "two old ones: {old:?}");
        }
    }
}
