//! One election as one server sees it: the votes that came in, and what they amount to.
//!
//! # How it goes
//!
//! A server proposes itself and tells all voters. Who hears of a better candidate proposes that one
//! from then on, and tells all voters again. So everybody ends with the best of those who take
//! part, and knows it when a quorum proposes the same.
//!
//! Elections follow each other, and servers begin them at different times. A *round* is the number
//! of an election; votes of different rounds are never counted together. Who hears of a later round
//! goes over to it and forgets the votes so far; who hears of an earlier one tells its sender of
//! the later.
//!
//! Who has a leader takes part in no election. It answers who asks with its leader. Two things can
//! be made of such answers:
//!
//! * In the round in which they were elected they count beside the votes: the asker is merely the
//!   last to find out.
//! * In any round, if a quorum says that it has this leader in this reign, the asker follows it
//!   too. This is how a server that was away comes back without disturbing anybody.
//!
//! Both need the word of the leader itself. Otherwise the followers of a leader that has just died
//! would send each other after it again and again (ZOOKEEPER-975).
//!
//! A server that will vote when a pending membership is in force votes already. It does not stand itself,
//! since those that were not told of that membership would pass over its votes; unless all who stand have an
//! earlier history, and its vote is needed. Even then it gives way to one of them if no quorum of the pending
//! membership can do without those who propose that one: then what only this server has was never committed,
//! see [`crate::leading`]. With equal histories who votes in the membership in force is preferred.
//!
//! That may be in the way all the same: others propose it, and those who were not told of its membership keep a quorum
//! from them. Who stood in vain for a while begins another round in which it does not; who did not stand, as the
//! others are enough, does if nothing comes of that. So they take turns until somebody is elected.
//!
//! A server of which a leader has taken away a part of its history, and that was interrupted before it had that again, votes
//! for whoever has as much as it had. It does not stand, and does not lead for what others heard of it before; who is to vote
//! soon stands if it has that, and with this vote is enough.
//!
//! # What it leaves to others
//!
//! Connections, time, and answers to servers that do not vote: see [`super::Election`]. Apache's
//! class is `FastLeaderElection`; its `recvset` is `received` here, its `outofelection` is
//! `settled`.

use std::collections::{BTreeMap, BTreeSet};

use types::{Sid, mutant};
use wire::election::{ElectionRound, LastLogged, ServerState};

use super::vote::{Ballot, Vote};
use crate::quorum::Quorums;

/// An election that is not over. See the module.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    me: Sid,
    part: Part,
    /// Never decreases.
    number: ElectionRound,
    /// What this server proposes as long as it knows of nobody better. Without a leader if it is no
    /// voter, or may not lead: then it is what a leader has to have at least.
    own: Vote,
    /// What it proposes now; never worse than `own`, unless it gives way.
    proposal: Vote,
    /// The latest vote of each voter in this round, from those who look as well as from those who
    /// have a leader since.
    received: BTreeMap<Sid, Ballot>,
    /// The latest word of each voter that has a leader, of whatever round.
    settled: BTreeMap<Sid, Ballot>,
    /// Who had a leader when it was last told of the proposal, and passed over it.
    passed_over: BTreeSet<Sid>,
    /// Who proposes, or proposed in an earlier round, somebody with an earlier history than this server's, which
    /// does not stand.
    behind: BTreeSet<Sid>,
    /// Who proposes nobody, in whatever round, though it would if somebody stood with this server's history.
    undecided: BTreeSet<Sid>,
    /// How often there was time for others to be heard since this server stood, or ceased to.
    waited: u32,
    /// Whether it, or whom it proposed, has stood in vain: it lets others try.
    rests: bool,
    /// Whom it proposed, and who has begun a round in which it does not stand.
    withdrawn: Option<Sid>,
}

/// After so many times at which others could be heard a server that votes only soon tries the contrary of what it did.
const PATIENCE: u32 = 4;

/// What this server may do in a round. It need not be a candidate, though it may lead: it may vote as soon as a
/// membership is in force that is pending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// Its vote does not count.
    Watches,
    /// It votes, with a history of which it lacks a part: so it is not to lead.
    Votes,
    /// It votes, and leads if it is elected.
    MayLead,
}

/// What a notification calls for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    /// Nothing: it does not count.
    Ignored(Ignored),
    /// Nothing: it was counted.
    Counted,
    /// The sender has to be told of the proposal.
    TellSender,
    /// There is another proposal, or a later round: all voters have to be told.
    TellAll,
    /// A quorum has this leader.
    Leader(Ballot),
}

/// Why a notification does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ignored {
    /// It is about a leader who does not vote.
    LeaderIsNoVoter,
    /// It is for this server, which may not lead.
    MayNotLead,
    /// The sender has no database, or this server has none: what it had promised is not known.
    NoDatabase,
    /// The sender only watches.
    Observer,
}

impl Round {
    /// Begins a round: `own` is the only proposal.
    pub(crate) fn new(me: Sid, part: Part, number: ElectionRound, own: Vote) -> Self {
        let (received, settled) = (BTreeMap::new(), BTreeMap::new());
        let mut round = Self {
            me,
            part,
            number,
            own,
            proposal: own,
            received,
            settled,
            passed_over: BTreeSet::new(),
            behind: BTreeSet::new(),
            undecided: BTreeSet::new(),
            waited: 0,
            rests: false,
            withdrawn: None,
        };
        round.count_own();
        round
    }

    /// Takes in what a voter says.
    pub(crate) fn hear(&mut self, from: Sid, ballot: Ballot, quorums: &Quorums) -> Heard {
        let ballot = match mutant::active(30) {
            true => Ballot { round: ballot.round.max(self.number), ..ballot },
            false => ballot,
        };
        self.note_undecided(from, &ballot, quorums);
        if self.hears_withdrawal(from, &ballot) {
            self.go_over_to(ballot.round);
            self.count_own();
            (self.waited, self.rests, self.withdrawn) = (0, true, Some(from));
            return Heard::TellAll;
        }
        if ballot.state == ServerState::Looking && ballot.round < self.number {
            return match self.proposal.leader.is_none() && names_candidate(&ballot, quorums) {
                true => self.borrow(from, ballot.vote, quorums),
                false => Heard::TellSender,
            };
        }
        if !names_candidate(&ballot, quorums) {
            return Heard::Ignored(Ignored::LeaderIsNoVoter);
        }
        match ballot.state {
            ServerState::Looking => self.hear_vote(from, ballot, quorums),
            ServerState::Following | ServerState::Leading => {
                self.hear_settled(from, ballot, quorums)
            }
            ServerState::Observing => Heard::Ignored(Ignored::Observer),
        }
    }

    /// Lets this server stand after all, give way or let others try, if it votes only soon. To be called when there
    /// was time for others to be heard.
    pub(crate) fn reconsider(&mut self, quorums: &Quorums, is_down: impl Fn(Sid) -> bool) {
        self.waited += 1;
        let stands = self.own.leader.is_none() && self.proposal.leader == Some(self.me);
        let is_in_vain = stands && self.waited > PATIENCE && !self.has_quorum(quorums);
        if is_in_vain && !mutant::active(174) {
            self.go_over_to(self.number.next());
            self.count_own();
            (self.waited, self.rests) = (0, true);
        } else if !stands {
            self.take_part_if_needed(quorums, is_down);
        }
    }

    /// Lets this server stand, or give way, if all who stand have an earlier history, and are enough with it and not
    /// without it, or nothing came of that. Who stood when the others can do without might be in their way: some
    /// propose it, and those who were not told of its membership pass over that.
    fn take_part_if_needed(&mut self, quorums: &Quorums, is_down: impl Fn(Sid) -> bool) {
        let votes = |sid: Sid| self.behind.contains(&sid) && !is_down(sid);
        let may_vote = |sid: Sid| self.undecided.contains(&sid) && !is_down(sid);
        let is_impatient = self.waited > PATIENCE;
        let is_needed = (!quorums.is_quorum(votes) || is_impatient)
            && quorums.is_quorum(|sid| sid == self.me || votes(sid) || may_vote(sid));
        let has_history = matches!(self.own.last_logged, LastLogged::Zxid(_));
        if !(is_needed && self.lacks_candidate() && self.may_lead() && has_history) {
            return;
        }
        if let Some(better) = self.may_give_way_to(quorums) {
            self.proposal = better;
        } else if !self.rests || is_impatient {
            self.propose(Vote { leader: Some(self.me), ..self.own });
            self.rests = false;
        }
        self.count_own();
    }

    /// Whether the one that this server proposes has begun a later round in which it does not stand.
    fn hears_withdrawal(&self, from: Sid, ballot: &Ballot) -> bool {
        ballot.state == ServerState::Looking
            && ballot.vote.leader.is_none()
            && ballot.round > self.number
            && self.proposal.leader == Some(from)
    }

    /// Who comes to stand has its time from then on.
    fn propose(&mut self, vote: Vote) {
        if self.proposal.leader != vote.leader && vote.leader == Some(self.me) {
            self.waited = 0;
        }
        self.proposal = vote;
    }

    /// Votes of earlier rounds do not count any more.
    fn go_over_to(&mut self, round: ElectionRound) {
        self.number = round;
        self.received.clear();
        self.proposal = self.own;
    }

    fn note_undecided(&mut self, from: Sid, ballot: &Ballot, quorums: &Quorums) {
        let Ballot { state, vote, .. } = *ballot;
        let is_undecided = state == ServerState::Looking
            && vote.leader.is_none()
            && quorums.is_voter(from)
            && matches!(vote.last_logged, LastLogged::Zxid(_))
            && (vote.epoch, vote.last_logged) <= (self.own.epoch, self.own.last_logged);
        match is_undecided {
            true => self.undecided.insert(from),
            false => self.undecided.remove(&from),
        };
    }

    /// The best of those who stand whose supporters are needed by each quorum of the pending membership.
    fn may_give_way_to(&self, quorums: &Quorums) -> Option<Vote> {
        let looking = self.received.values().filter(|ballot| ballot.state == ServerState::Looking);
        let votes = looking.map(|ballot| ballot.vote).filter(|vote| vote.leader.is_some());
        let supports = |sid: Sid, vote: Vote| {
            self.received.get(&sid).is_some_and(|ballot| ballot.vote == vote)
        };
        let nobody_decides_without =
            |vote| quorums.none_decides_without(|sid| supports(sid, vote)) || mutant::active(166);
        votes.filter(|&vote| nobody_decides_without(vote)).max()
    }

    /// Whether a quorum proposes what this server proposes.
    pub(crate) fn has_quorum(&self, quorums: &Quorums) -> bool {
        quorums.is_quorum(|sid| self.proposes_same(sid))
    }

    /// Whether no better proposal can come up in this round: everybody who could make one has
    /// proposed the same, the candidate included, or is down. See [`super::Election`] for what
    /// follows from that.
    pub(crate) fn is_unanimous(&self, quorums: &Quorums, is_down: impl Fn(Sid) -> bool) -> bool {
        let has_no_say = |sid| quorums.committed.weight(sid) == 0 || is_down(sid);
        self.proposal.leader.is_some_and(|leader| self.proposes_same(leader))
            && quorums.voters().all(|sid| self.proposes_same(sid) || has_no_say(sid))
    }

    /// Returns what this server proposes to the others.
    pub(crate) const fn proposal(&self) -> Ballot {
        Ballot::looking(self.proposal, self.number)
    }

    /// Returns the number of the round.
    pub(crate) const fn number(&self) -> ElectionRound {
        self.number
    }

    /// Whether this server takes part: only a voter with a database does.
    pub(crate) fn takes_part(&self) -> bool {
        self.part != Part::Watches && self.own.last_logged != LastLogged::NoDatabase
    }

    fn may_lead(&self) -> bool {
        self.takes_part() && self.part == Part::MayLead
    }

    /// Returns the voters that are for this leader: by their vote in this round, or because they
    /// have it.
    pub(crate) fn supporters(&self, ballot: &Ballot) -> BTreeSet<Sid> {
        let voted = self.received.iter().filter(|(_, vote)| vote.same_in_round(ballot));
        let settled = self.settled.iter().filter(|(_, vote)| vote.same_reign(ballot));
        voted.chain(settled).map(|(&sid, _)| sid).collect()
    }

    /// What somebody says who leads, and has not looked for a leader since in this round.
    pub(crate) fn leader_by_its_own_word(&self) -> Option<Ballot> {
        let looks = |sid: &Sid| {
            self.received.get(sid).is_some_and(|ballot| ballot.state == ServerState::Looking)
        };
        let leads = |sid: &Sid, ballot: &Ballot| {
            ballot.state == ServerState::Leading && ballot.vote.leader == Some(*sid) && !looks(sid)
        };
        self.settled.iter().find(|(sid, ballot)| leads(sid, ballot)).map(|(_, &ballot)| ballot)
    }

    /// Whether this server takes part and knows of nobody better.
    pub(crate) fn proposes_itself(&self) -> bool {
        self.takes_part() && self.proposal.leader == Some(self.me)
    }

    /// Proposes in this round whom others proposed in an earlier one, as it knows of nobody. They pass
    /// over a proposal of nobody, so they would never hear from it that there is a later round. So do those
    /// who do not vote: it may be that they are to vote, and all but they know it.
    fn borrow(&mut self, from: Sid, vote: Vote, quorums: &Quorums) -> Heard {
        if [self.own.last_logged, vote.last_logged].contains(&LastLogged::NoDatabase) {
            return Heard::Ignored(Ignored::NoDatabase);
        }
        if self.is_for_who_may_not_lead(vote) {
            return Heard::Ignored(Ignored::MayNotLead);
        }
        if !beats(vote, self.own, quorums) {
            self.behind.insert(from);
            return Heard::Counted;
        }
        if self.rests && (vote.leader == Some(self.me) || vote.leader == self.withdrawn) {
            // The sender has not heard yet that this one does not stand any longer.
            return Heard::TellSender;
        }
        self.propose(vote);
        self.count_own();
        Heard::TellAll
    }

    fn hear_vote(&mut self, from: Sid, ballot: Ballot, quorums: &Quorums) -> Heard {
        if [self.own.last_logged, ballot.vote.last_logged].contains(&LastLogged::NoDatabase) {
            return Heard::Ignored(Ignored::NoDatabase);
        }
        let missed = self.passed_over.remove(&from);
        let before = self.proposal();
        if ballot.round > self.number {
            self.go_over_to(ballot.round);
        }
        if beats(ballot.vote, self.proposal, quorums) && !self.is_for_who_may_not_lead(ballot.vote)
        {
            self.propose(ballot.vote);
        }
        if self.lacks_candidate() {
            self.behind.insert(from);
        }
        self.received.insert(from, ballot);
        self.count_own();
        if self.proposal() != before {
            Heard::TellAll
        } else if missed && ballot.vote != self.proposal {
            Heard::TellSender
        } else {
            Heard::Counted
        }
    }

    fn hear_settled(&mut self, from: Sid, ballot: Ballot, quorums: &Quorums) -> Heard {
        self.passed_over.insert(from);
        if ballot.round == self.number {
            self.received.insert(from, ballot);
            if self.confirms(&self.received, Ballot::same_in_round, &ballot, quorums) {
                return Heard::Leader(ballot);
            }
        }
        self.settled.insert(from, ballot);
        if self.confirms(&self.settled, Ballot::same_reign, &ballot, quorums) {
            return Heard::Leader(ballot);
        }
        Heard::Counted
    }

    /// Whether a quorum of `votes` has the leader of `ballot`, and that one says so itself. This
    /// server need not: whom all others of its own round follow has been elected, and is the last
    /// to know. Followers from rounds before say nothing, they have not noticed that it is looking
    /// again. Who may have lost what it had when the others voted for it does not lead either.
    ///
    /// To follow somebody is no vote: the voters in force are enough. A change of the membership that
    /// only this server has seen must not keep it from a leader that will have it forgotten.
    fn confirms(
        &self,
        votes: &BTreeMap<Sid, Ballot>,
        same: fn(&Ballot, &Ballot) -> bool,
        ballot: &Ballot,
        quorums: &Quorums,
    ) -> bool {
        let leader = ballot.vote.leader;
        let counts = |vote: &&Ballot| leader != Some(self.me) || vote.round == self.number;
        let agrees = |sid: &Sid| votes.get(sid).filter(|vote| same(vote, ballot)).filter(counts);
        let leads = |sid| match sid == self.me {
            true => self.may_lead() || mutant::active(141),
            false => {
                agrees(&sid).is_some_and(|vote| vote.state == ServerState::Leading)
                    || mutant::active(31)
            }
        };
        let has = |sid| agrees(&sid).is_some();
        let is_enough = match leader == Some(self.me) {
            true => quorums.is_quorum(has),
            false => quorums.committed.is_quorum(has),
        };
        leader.is_some_and(leads) && is_enough
    }

    /// Whether it takes part, does not stand itself, and has heard of nobody whom it could follow.
    fn lacks_candidate(&self) -> bool {
        self.takes_part() && self.proposal.leader.is_none()
    }

    fn proposes_same(&self, sid: Sid) -> bool {
        self.received.get(&sid).is_some_and(|ballot| ballot.same_in_round(&self.proposal()))
    }

    /// Whether others are for this server, as it was before it lost a part of its history.
    fn is_for_who_may_not_lead(&self, vote: Vote) -> bool {
        vote.leader == Some(self.me) && !self.may_lead()
    }

    /// A server hears itself, without a connection.
    fn count_own(&mut self) {
        if self.takes_part() {
            self.received.insert(self.me, self.proposal());
        }
    }
}

/// Whether it is for somebody who votes, now or when the pending membership is in force.
fn names_candidate(ballot: &Ballot, quorums: &Quorums) -> bool {
    ballot.vote.leader.is_some_and(|leader| quorums.is_voter(leader))
}

/// Whether one proposal is better than another; who votes in the membership in force before who does not yet.
fn beats(vote: Vote, other: Vote, quorums: &Quorums) -> bool {
    let committed = &quorums.committed;
    let may_lead = |leader| committed.is_voter(leader) && committed.weight(leader) > 0;
    let is_in_force = |vote: Vote| vote.leader.is_some_and(may_lead);
    match vote.has_history_of(&other) && is_in_force(vote) != is_in_force(other) {
        true => is_in_force(vote),
        false => vote.beats(other, committed),
    }
}

#[cfg(test)]
mod tests {
    use types::{Epoch, Zxid};

    use super::*;
    use crate::quorum::Quorum;

    fn vote(leader: i64) -> Vote {
        let last_logged = LastLogged::Zxid(Zxid::ZERO);
        Vote { epoch: Some(Epoch(0)), last_logged, leader: Some(Sid(leader)) }
    }

    /// A vote for a history that ends so late.
    fn at(counter: i64, leader: Option<Sid>) -> Vote {
        let last_logged = LastLogged::Zxid(Zxid::from_raw(counter));
        Vote { last_logged, leader, ..vote(1) }
    }

    fn majority(voters: &[i64]) -> Quorum {
        Quorum::majority(voters.iter().copied().map(Sid))
    }

    /// Server 1 in its first round, after each of these voters has proposed that leader.
    fn round(votes: &[(i64, i64)], quorums: &Quorums) -> Round {
        let mut round = Round::new(Sid(1), Part::MayLead, ElectionRound(1), vote(1));
        for &(from, leader) in votes {
            round.hear(Sid(from), Ballot::looking(vote(leader), ElectionRound(1)), quorums);
        }
        round
    }

    #[test]
    fn nothing_better_can_come_when_all_agree_or_are_down() {
        let quorums = Quorums::from(majority(&[1, 2, 3, 4, 5]));
        for (votes, down, expected) in [
            (&[(2, 5), (3, 5), (4, 5), (5, 5)][..], &[][..], true),
            (&[(2, 5), (3, 5), (5, 5)], &[], false),
            (&[(2, 5), (3, 5), (5, 5)], &[4], true),
            (&[(2, 5), (3, 5), (4, 2), (5, 5)], &[], false),
            // It voted for another one and is gone since: nobody hears from it any more.
            (&[(2, 5), (3, 5), (4, 2), (5, 5)], &[4], true),
            // The candidate itself.
            (&[(2, 5), (3, 5), (4, 5)], &[5], false),
            (&[(2, 2)], &[3, 4, 5], true),
        ] {
            let is_down = |sid: Sid| down.contains(&sid.0);
            let found = round(votes, &quorums).is_unanimous(&quorums, is_down);
            assert_eq!(found, expected, "{votes:?}, down {down:?}");
        }
    }

    #[test]
    fn a_change_of_membership_needs_a_quorum_of_both() {
        let quorums =
            Quorums { committed: majority(&[1, 2, 3]), pending: Some(majority(&[3, 4, 5])) };
        for (votes, expected) in [
            (&[(2, 3), (3, 3)][..], false),
            (&[(4, 5), (5, 5)], false),
            (&[(3, 3), (4, 3)], true),
            (&[(2, 3), (4, 3), (5, 3)], true),
        ] {
            assert_eq!(round(votes, &quorums).has_quorum(&quorums), expected, "{votes:?}");
        }
    }

    /// Server 4 of the pending membership 3, 4, 5; 1, 2 and 3 are in force.
    #[test]
    fn who_votes_soon_stands_only_if_all_others_have_less_and_need_its_vote() {
        let quorums =
            Quorums { committed: majority(&[1, 2, 3]), pending: Some(majority(&[3, 4, 5])) };
        let proposed = |round: &Round| round.proposal().vote.leader.map(|sid| sid.0);
        let nobody_is_down = |_: Sid| false;
        let (early, late) = (ElectionRound(2), ElectionRound(7));
        for number in [early, late] {
            let mut round = Round::new(Sid(4), Part::MayLead, late, at(5, None));
            let hear = |round: &mut Round, sid: i64| {
                round.hear(Sid(sid), Ballot::looking(at(4, Some(Sid(3))), number), &quorums)
            };
            round.reconsider(&quorums, nobody_is_down);
            assert_eq!(proposed(&round), None, "it knows of nobody else");
            hear(&mut round, 3);
            round.reconsider(&quorums, nobody_is_down);
            assert_eq!(proposed(&round), None, "with its vote they are not enough either");
            hear(&mut round, 2);
            round.reconsider(&quorums, |sid| sid == Sid(2));
            assert_eq!(proposed(&round), None, "as before");
            let mut with_more = round.clone();
            hear(&mut with_more, 5);
            with_more.reconsider(&quorums, nobody_is_down);
            assert_eq!(proposed(&with_more), None, "they are enough by themselves");
            round.reconsider(&quorums, nobody_is_down);
            assert_eq!(proposed(&round), Some(4));
            let heard = round.hear(Sid(2), Ballot::looking(at(5, Some(Sid(2))), late), &quorums);
            assert_eq!((heard, proposed(&round)), (Heard::TellAll, Some(2)), "in force already");
        }
        let mut round = Round::new(Sid(4), Part::MayLead, late, at(5, None));
        let earlier = Ballot::looking(at(5, Some(Sid(3))), early);
        assert_eq!(round.hear(Sid(3), earlier, &quorums), Heard::TellAll, "of the later round");
        assert_eq!((round.number(), proposed(&round)), (late, Some(3)));
    }

    /// Servers 1, 2 and 3 are in force, 2, 3 and 4 pending; 3 is down. 4 has what 2 had and lacks now; 1 has less.
    #[test]
    fn who_votes_soon_stands_for_who_may_not_lead() {
        let quorums =
            Quorums { committed: majority(&[1, 2, 3]), pending: Some(majority(&[2, 3, 4])) };
        let (early, late, nobody_is_down) = (ElectionRound(1), ElectionRound(3), |_: Sid| false);
        for (number, had, expected) in
            [(late, 5, Some(Sid(4))), (early, 5, Some(Sid(4))), (late, 6, None)]
        {
            let mut round = Round::new(Sid(4), Part::MayLead, late, at(5, None));
            round.hear(Sid(1), Ballot::looking(at(4, Some(Sid(1))), number), &quorums);
            round.hear(Sid(2), Ballot::looking(at(had, None), number), &quorums);
            round.reconsider(&quorums, nobody_is_down);
            assert_eq!(round.proposal().vote.leader, expected, "{had} in {number:?}");
        }
    }

    /// Servers 1, 2 and 3 are in force, 4, 5 and 6 pending; 3 and 6 are down, and 4 and 5 have more than the others.
    #[test]
    fn two_who_vote_soon_do_not_wait_for_each_other() {
        let quorums =
            Quorums { committed: majority(&[1, 2, 3]), pending: Some(majority(&[4, 5, 6])) };
        let number = ElectionRound(1);
        let mut round = Round::new(Sid(4), Part::MayLead, number, at(7, None));
        for sid in [1, 2] {
            round.hear(Sid(sid), Ballot::looking(at(6, Some(Sid(2))), number), &quorums);
        }
        round.hear(Sid(5), Ballot::looking(at(7, None), number), &quorums);
        round.reconsider(&quorums, |_| false);
        assert_eq!(round.proposal().vote.leader, Some(Sid(4)));
    }

    /// Server 4 has more than 3, and 1 does not know that 4 votes soon. 1, 2 and 3 are in force, 2 is down.
    #[test]
    fn who_stands_in_vain_lets_others_try_and_tries_again() {
        let quorums =
            Quorums { committed: majority(&[1, 2, 3]), pending: Some(majority(&[3, 4, 5])) };
        let begun = ElectionRound(1);
        let mut soon = Round::new(Sid(4), Part::MayLead, begun, at(5, None));
        for sid in [1, 3] {
            soon.hear(Sid(sid), Ballot::looking(at(4, Some(Sid(3))), begun), &quorums);
        }
        let mut others = Round::new(Sid(3), Part::MayLead, begun, at(4, Some(Sid(3))));
        let mut stood = Vec::new();
        for _ in 0..=3 * (PATIENCE + 1) {
            soon.reconsider(&quorums, |sid| sid == Sid(2));
            stood.push(soon.proposes_itself());
            others.hear(Sid(4), soon.proposal(), &quorums);
            let expected = if soon.proposes_itself() { 4 } else { 3 };
            assert_eq!(others.proposal().vote.leader, Some(Sid(expected)));
            assert_eq!(others.number(), soon.number());
        }
        let for_a_while = |stands: bool| vec![stands; PATIENCE as usize + 1];
        let expected =
            [for_a_while(true), for_a_while(false), for_a_while(true), vec![false]].concat();
        assert_eq!(stood, expected);
        assert_eq!(soon.number(), begun.next().next());
    }

    /// Server 4 of the pending membership has more than the others; 1, 2 and 3 are in force.
    fn soon(quorums: &Quorums) -> Round {
        let begun = ElectionRound(1);
        let mut soon = Round::new(Sid(4), Part::MayLead, begun, at(5, None));
        for sid in [1, 3] {
            soon.hear(Sid(sid), Ballot::looking(at(4, Some(Sid(3))), begun), quorums);
        }
        for _ in 0..=PATIENCE {
            soon.reconsider(quorums, |sid| sid == Sid(2));
        }
        assert!(soon.proposes_itself());
        soon
    }

    #[test]
    fn who_has_withdrawn_is_not_brought_back_by_late_votes_and_nobody_withdraws_with_a_quorum() {
        let quorums =
            Quorums { committed: majority(&[1, 2, 3]), pending: Some(majority(&[3, 4, 5])) };
        let for_four = Ballot::looking(at(5, Some(Sid(4))), ElectionRound(1));
        let mut withdrawn = soon(&quorums);
        withdrawn.reconsider(&quorums, |sid| sid == Sid(2));
        assert_eq!((withdrawn.number(), withdrawn.proposes_itself()), (ElectionRound(2), false));
        assert_eq!(withdrawn.hear(Sid(3), for_four, &quorums), Heard::TellSender);
        assert!(!withdrawn.proposes_itself());
        let mut elected = soon(&quorums);
        for sid in [2, 3] {
            elected.hear(Sid(sid), for_four, &quorums);
        }
        elected.reconsider(&quorums, |_| false);
        assert!(elected.has_quorum(&quorums) && elected.proposes_itself());
    }

    /// Server 5 proposes 4, which stands in vain: when that one gives up, somebody in force has a turn first.
    #[test]
    fn who_proposed_one_that_gives_up_does_not_stand_at_once() {
        let quorums =
            Quorums { committed: majority(&[1, 2, 3]), pending: Some(majority(&[3, 4, 5])) };
        let (one, two) = (ElectionRound(1), ElectionRound(2));
        let mut round = Round::new(Sid(5), Part::MayLead, one, at(5, None));
        for sid in [1, 3] {
            round.hear(Sid(sid), Ballot::looking(at(4, Some(Sid(3))), one), &quorums);
        }
        round.hear(Sid(4), Ballot::looking(at(6, Some(Sid(4))), one), &quorums);
        for _ in 0..=PATIENCE {
            round.reconsider(&quorums, |sid| sid == Sid(2));
        }
        let heard = round.hear(Sid(4), Ballot::looking(at(6, None), two), &quorums);
        assert_eq!((heard, round.number()), (Heard::TellAll, two));
        for _ in 0..PATIENCE {
            round.reconsider(&quorums, |sid| sid == Sid(2));
            assert!(!round.proposes_itself());
        }
        let late = Ballot::looking(at(6, Some(Sid(4))), one);
        assert_eq!(round.hear(Sid(3), late, &quorums), Heard::TellSender);
    }

    /// Server 2 has more than 1 and 3, which are in force and propose 1.
    #[test]
    fn who_votes_soon_gives_way_if_nobody_can_decide_without_those_who_have_less() {
        for (pending, expected) in [(&[1, 2][..], 1), (&[1, 2, 4], 2), (&[2], 2), (&[2, 4, 5], 2)] {
            let quorums =
                Quorums { committed: majority(&[1, 3]), pending: Some(majority(pending)) };
            let number = ElectionRound(1);
            let mut round = Round::new(Sid(2), Part::MayLead, number, at(5, None));
            for sid in [1, 3, 5] {
                round.hear(Sid(sid), Ballot::looking(at(4, Some(Sid(1))), number), &quorums);
            }
            round.reconsider(&quorums, |_| false);
            assert_eq!(round.proposal().vote.leader, Some(Sid(expected)), "{pending:?}");
        }
    }

    #[test]
    fn who_may_have_lost_something_is_not_led_to_lead() {
        let quorums = Quorums::from(majority(&[1, 2, 3]));
        let round = ElectionRound(1);
        let follows = Ballot { state: ServerState::Following, ..Ballot::looking(vote(1), round) };
        for (last_logged, expected) in [
            (LastLogged::Zxid(Zxid::ZERO), Heard::Leader(follows)),
            (LastLogged::NoDatabase, Heard::Counted),
        ] {
            let mut round =
                Round::new(Sid(1), Part::MayLead, round, Vote { last_logged, ..vote(1) });
            round.hear(Sid(2), follows, &quorums);
            assert_eq!(round.hear(Sid(3), follows, &quorums), expected, "{last_logged:?}");
        }
    }

    #[test]
    fn who_passed_over_a_proposal_is_told_once() {
        let quorums = Quorums::from(majority(&[1, 2, 3]));
        let mut round = Round::new(Sid(1), Part::MayLead, ElectionRound(2), vote(3));
        let looks = Ballot::looking(vote(2), ElectionRound(2));
        let follows = Ballot {
            state: ServerState::Following,
            round: ElectionRound(1),
            ..Ballot::looking(vote(3), ElectionRound(1))
        };
        assert_eq!(round.hear(Sid(2), follows, &quorums), Heard::Counted);
        assert_eq!(round.hear(Sid(2), looks, &quorums), Heard::TellSender);
        assert_eq!(round.hear(Sid(2), looks, &quorums), Heard::Counted);
    }
}
