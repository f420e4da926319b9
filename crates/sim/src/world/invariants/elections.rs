//! E1, E2, E3, E6: who leads was elected by a quorum of voters, none of which knows more, and is one of
//! them; and the rounds of elections go up.

use std::collections::BTreeSet;
use std::sync::Arc;

use types::membership::{Member, Membership};
use types::{Epoch, Sid};
use wire::election::{ElectionRound, LastLogged, Notification, ServerState};
use wire::quorum::ToLearner;
use zab::{Announcement, Memberships};

use crate::checkers::{Promise, Violation};
use crate::world::node::NodeId;

/// What other servers have said to a process about leaders.
#[derive(Clone, Debug, Default)]
pub(in crate::world) struct Heard {
    /// Who has voted in which round for whom.
    votes: Vec<(Sid, ElectionRound, Option<Sid>)>,
    /// The latest round in which this process has proposed somebody.
    round: ElectionRound,
    /// The least that it has said for itself in this election, if it has.
    own: Option<Vote>,
    /// Who was in the ensemble before it has heard of the present membership.
    before: Option<Arc<Membership>>,
    /// Who was said to lead by those that have a leader, since this process had one last.
    settled: BTreeSet<Sid>,
    /// Who is to lead in memberships that have come in force, as the leader before has said since this
    /// process had one last.
    designated: BTreeSet<Sid>,
    /// Whom this process has as its leader, or tries to.
    chosen: Option<Sid>,
}

/// What a vote says of whom it is for; the better ones are the greater ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Vote {
    epoch: Option<Epoch>,
    last_logged: LastLogged,
    leader: Option<Sid>,
}

impl Heard {
    /// Takes down a vote, or the word of a server that has a leader.
    pub(in crate::world) fn note(&mut self, from: Sid, said: &Notification<'_>) {
        match said.state {
            ServerState::Looking if said.last_logged != LastLogged::NoDatabase => {
                self.votes.push((from, said.round, said.leader));
            }
            ServerState::Following | ServerState::Leading => self.settled.extend(said.leader),
            ServerState::Looking | ServerState::Observing => {}
        }
    }

    /// The process says whom it proposes. E2: nobody with an earlier history than its own, and of those
    /// with the same one nobody with a lower id, where the membership does not change. E3: in no earlier
    /// round than before.
    pub(in crate::world) fn say(
        &mut self,
        me: NodeId,
        said: &Announcement,
        memberships: &Memberships,
    ) -> Result<(), Violation> {
        if said.state != ServerState::Looking || said.leader.is_none() {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.round, said.round);
        if before > said.round {
            let detail = format!("server {} was in {before:?}, and says {said:?}", me.sid().0);
            return Err(Violation::new(Promise::E3, detail));
        }
        // Who votes only soon stands if it is needed in a round, and may give way in the next one.
        if before < said.round && !votes_in(&memberships.committed, me.sid()) {
            self.own = None;
        }
        let Announcement { epoch, last_logged, leader, .. } = *said;
        let vote = Vote { epoch, last_logged, leader };
        if leader == Some(me.sid()) {
            // It begins with what it has. Others may repeat what it had before power was lost, and it them.
            self.own = Some(self.own.map_or(vote, |own| own.min(vote)));
        }
        let is_worse = |own: Vote| match memberships.committed.version().0 {
            0 => vote < own,
            _ => (vote.epoch, vote.last_logged) < (own.epoch, own.last_logged),
        };
        match self.own {
            Some(own) if is_worse(own) => {
                let detail = format!("server {} stood with {own:?}, and says {vote:?}", me.sid().0);
                Err(Violation::new(Promise::E2, detail))
            }
            _ => Ok(()),
        }
    }

    /// Takes down whom a leader has named as the next one, if it has: itself when a quorum follows it, for who takes
    /// another part in the membership that comes in force by that.
    pub(in crate::world) fn note_designation(&mut self, said: &ToLearner<'_>) {
        match said {
            ToLearner::CommitAndActivate { designated_leader, .. }
            | ToLearner::InformAndActivate { designated_leader, .. } => {
                self.designate(*designated_leader);
            }
            ToLearner::UpToDate => self.designated.extend(self.chosen),
            _ => {}
        }
    }

    /// This one leads next, in the membership that comes in force.
    pub(in crate::world) fn designate(&mut self, leader: Sid) {
        self.designated.insert(leader);
    }

    /// The process hears of a newer membership than this. Maybe it does not vote any longer.
    pub(in crate::world) fn leave_behind(&mut self, membership: Arc<Membership>) {
        self.before = Some(membership);
        self.own = None;
    }

    /// The process has no leader any longer.
    pub(in crate::world) fn look(&mut self) {
        self.chosen = None;
    }

    /// The process has decided who leads, and knows these memberships; or calls its leader once more.
    pub(in crate::world) fn decide(
        &mut self,
        me: NodeId,
        leader: Sid,
        memberships: &Memberships,
    ) -> Result<(), Violation> {
        if self.chosen.replace(leader) == Some(leader) {
            return Ok(());
        }
        let settled = std::mem::take(&mut self.settled);
        let designated = std::mem::take(&mut self.designated);
        self.own = None;
        let me = me.sid();
        let all = || [&memberships.committed].into_iter().chain(memberships.pending());
        // Who decides may hear of another membership at the same moment.
        let is_voter = |sid: Sid| all().chain(&self.before).any(|it| votes_in(it, sid));
        let broken = |promise, what: &str| {
            let votes = &self.votes[self.votes.len().saturating_sub(16)..];
            let detail = format!("server {} chose {}: {what}; it heard {votes:?}", me.0, leader.0);
            Err(Violation::new(promise, detail))
        };
        if !is_voter(leader) {
            return broken(Promise::E6, "that one does not vote");
        }
        if settled.contains(&leader) || designated.contains(&leader) {
            // It leads already, or others say so; it finds out.
            return Ok(());
        }
        let rounds: BTreeSet<_> = self.votes.iter().map(|(_, round, _)| *round).collect();
        let is_elected_in = |round: &ElectionRound| {
            let for_leader =
                self.votes.iter().filter(|(_, of, vote)| of == round && *vote == Some(leader));
            let supporters: BTreeSet<Sid> =
                for_leader.map(|(from, ..)| *from).chain(Some(me)).collect();
            all().all(|membership| {
                let is_for = |sid: &&Sid| votes_in(membership, **sid);
                supporters.iter().filter(is_for).count() > membership.voters().count() / 2
            })
        };
        if rounds.iter().any(is_elected_in) {
            return Ok(());
        }
        broken(Promise::E1, "no quorum is for it")
    }
}

fn votes_in(membership: &Membership, sid: Sid) -> bool {
    membership.find(sid).is_some_and(Member::is_voter)
}
