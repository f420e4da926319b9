//! E1, E6: who leads was elected by a quorum of voters, and is one of them.
//!
//! That it is the best of those that took part (E2) is checked where it is known which votes a server
//! counts: in the campaigns of `zab`.

use std::collections::BTreeSet;

use types::Sid;
use wire::election::{ElectionRound, LastLogged, Notification, ServerState};

use crate::checkers::{Promise, Violation};
use crate::world::node::NodeId;
use crate::world::plan::Servers;

/// What other servers have said to a process about leaders.
#[derive(Clone, Debug, Default)]
pub(in crate::world) struct Heard {
    /// Who has voted in which round for whom.
    votes: Vec<(Sid, ElectionRound, Option<Sid>)>,
    /// Who was said to lead by those that have a leader, since this process had one last.
    settled: BTreeSet<Sid>,
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

    /// The process has decided who leads.
    pub(in crate::world) fn decide(
        &mut self,
        me: NodeId,
        leader: Sid,
        servers: Servers,
    ) -> Result<(), Violation> {
        let settled = std::mem::take(&mut self.settled);
        let me = me.sid();
        let voters = i64::try_from(servers.voters).unwrap_or(i64::MAX);
        let is_voter = |sid: Sid| (1..=voters).contains(&sid.0);
        let broken = |promise, what: &str| {
            let votes = &self.votes[self.votes.len().saturating_sub(16)..];
            let detail = format!("server {} chose {}: {what}; it heard {votes:?}", me.0, leader.0);
            Err(Violation::new(promise, detail))
        };
        if !is_voter(leader) {
            return broken(Promise::E6, "that one does not vote");
        }
        if settled.contains(&leader) {
            // It leads already, or others say so; it finds out.
            return Ok(());
        }
        let rounds: BTreeSet<_> = self.votes.iter().map(|(_, round, _)| *round).collect();
        let is_elected_in = |round: &ElectionRound| {
            let for_leader = self
                .votes
                .iter()
                .filter(|(from, of, vote)| of == round && *vote == Some(leader) && is_voter(*from));
            let mut supporters: BTreeSet<Sid> = for_leader.map(|(from, ..)| *from).collect();
            supporters.extend(Some(me).filter(|me| is_voter(*me)));
            supporters.len() > servers.voters / 2
        };
        if rounds.iter().any(is_elected_in) {
            return Ok(());
        }
        broken(Promise::E1, "no quorum is for it")
    }
}
