//! What must be true of every decision, found out anew from what the server has heard.

use types::{Epoch, Sid};
use wire::election::{ElectionRound, LastLogged, ServerState};
use zab::{Announcement, Candidate, Quorums};

use crate::election::ensemble::told;

/// A server's choice of a leader.
pub(crate) struct Decision<'a> {
    pub(crate) me: Sid,
    pub(crate) leader: Sid,
    pub(crate) quorums: &'a Quorums,
    pub(crate) candidate: Candidate,
    pub(crate) round: ElectionRound,
    /// Everything that came since the election began.
    pub(crate) heard: &'a [(Sid, Announcement)],
}

/// How a leader is found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Way {
    /// By votes alone.
    Voted,
    /// It said so itself, or its followers did.
    Heard,
}

/// By what votes are compared.
type Key = (Option<Epoch>, LastLogged, Option<Sid>);

impl Decision<'_> {
    /// Panics with what is wrong. The names are those of the invariants of elections.
    pub(crate) fn check(&self) -> Way {
        let Self { me, leader, quorums, heard, .. } = *self;
        let heard = heard.iter().map(|(from, said)| format!("\n{}: {}", from.0, told(said)));
        let heard = heard.collect::<String>();
        let (chosen, own, round) = (leader.0, self.own_key(), self.round.0);
        let what = format!("{} chose {chosen}, itself {own:?} in round {round}:{heard}", me.0);
        assert!(quorums.is_voter(leader), "E6: only a voter leads: {what}");
        // Only voters are asked, so observers never count: E4.
        let is_for = |said: &Announcement| said.leader == Some(leader);
        let in_round = |said: &Announcement| is_for(said) && said.round == self.round;
        let looks = |said: &Announcement| said.state == ServerState::Looking;
        // It is elected already: by its own word, or by that of one who follows this server.
        let is_reported = self.heard.iter().any(|(from, said)| match leader == me {
            true => in_round(said) && !looks(said),
            false => *from == leader && is_for(said) && said.state == ServerState::Leading,
        });
        let counts = |said: &Announcement| {
            in_round(said) || is_reported && leader != me && is_for(said) && !looks(said)
        };
        let supports = |sid| sid == me && self.may_have_voted() || self.heard_from(sid, counts);
        assert!(quorums.is_quorum(supports), "E1: a quorum is for it: {what}");
        assert!(leader != me || self.candidate.may_lead, "E2: it lacks what it had: {what}");
        let is_best =
            self.key_of_leader() >= self.own_key() && self.key_of_leader() >= self.best_key();
        assert!(is_best || is_reported, "E2: nobody was better: {what}");
        if is_reported { Way::Heard } else { Way::Voted }
    }

    fn heard_from(&self, sid: Sid, is_kind: impl Fn(&Announcement) -> bool) -> bool {
        self.heard.iter().any(|(from, said)| *from == sid && is_kind(said))
    }

    /// Whether this server votes, and can have voted for the leader.
    fn may_have_voted(&self) -> bool {
        let knows_it = self.heard.iter().any(|(_, said)| said.leader == Some(self.leader));
        self.own_key().is_some() && (self.leader == self.me || knows_it)
    }

    /// The best that anybody said of the leader.
    fn key_of_leader(&self) -> Option<Key> {
        let of_leader = self.heard.iter().map(|(_, said)| key(said));
        of_leader.chain(self.own_key()).filter(|key| key.2 == Some(self.leader)).max()
    }

    /// The best vote in the round, of those that count.
    fn best_key(&self) -> Option<Key> {
        let votes = self.heard.iter().filter(|(from, said)| {
            said.state == ServerState::Looking
                && said.round == self.round
                && said.last_logged != LastLogged::NoDatabase
                && self.quorums.is_voter(*from)
        });
        let weighs = |key: &Key| key.2.is_some_and(|sid| self.quorums.committed.weight(sid) > 0);
        votes.map(|(_, said)| key(said)).chain(self.own_key()).filter(weighs).max()
    }

    /// With nobody as its leader if it does not stand; `None` if it does not vote.
    fn own_key(&self) -> Option<Key> {
        let last_logged = self.candidate.last_logged.map(LastLogged::Zxid)?;
        let votes = self.quorums.is_voter(self.me);
        let leader = Some(self.me).filter(|_| self.candidate.may_lead);
        votes.then_some((Some(self.candidate.epoch), last_logged, leader))
    }
}

fn key(said: &Announcement) -> Key {
    (said.epoch, said.last_logged, said.leader)
}
