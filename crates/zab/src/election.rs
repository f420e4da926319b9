//! Who should lead: an election among the voters, as Apache's servers hold it.
//!
//! ```text
//!           begin             a quorum proposes the same, or has a leader
//!  Idle ─────────> Looking ───────────────────────────────────────────────> Settled
//!                   ^  │ ^                                                     │
//!                   └──┘ └───────────────────────── begin ─────────────────────┘
//!       the membership changed
//! ```
//!
//! A server that is *looking* tells all voters whom it proposes, takes in what they propose, and
//! repeats itself when nothing happens, at intervals that double. A *settled* one, that has a
//! leader or is it, tells who asks. [`Election`] joins three parts, which can be read by
//! themselves: what a vote is (`vote.rs`), what the votes of one election amount to (`round.rs`),
//! and the connections (`mesh.rs`).
//!
//! Nothing here has to be right for the data to be safe. Two servers may come out of it as leaders;
//! one may lead that should not. Discovery finds out, and there is another election. It matters
//! that it ends, soon, and well as a rule.
//!
//! With one exception: a server that has lost its disk has forgotten which epochs it accepted, and
//! would follow a leader that others have left. So it goes by what a quorum of the others says, each
//! over a connection that was made since it started: who has accepted a later epoch does not say that
//! it follows an earlier leader.
//!
//! # The wait that is left out
//!
//! With a quorum for its proposal a server waits for a while ([`ElectionOptions::finalize`])
//! whether there is a better one: a voter of which it has not heard may have the later history.
//! Apache's servers always do that. Here the wait ends as soon as it can not bring anything, when
//! every voter that weighs something
//!
//! * has proposed the same in this round. A voter proposes nobody that is worse than itself, and
//!   its history does not change while it looks. So nobody in this round is better than whom all
//!   propose, and nobody can come to propose another one in it.
//! * or is down: it was connected once, and nobody listened at its port when it was called in this
//!   election. When it starts again it finds a leader and follows it, as if it had been late. This
//!   could have happened with the wait as well, by starting a moment later. A voter that was never
//!   there is waited for: when an ensemble starts, some are a moment later than others.
//!
//! The candidate itself must not be down. To the Java servers of an ensemble this makes no
//! difference for the worse: the votes they have got from this server are those that they would
//! have got, and what they hear next, that it has a leader, counts in their round as those votes do
//! and confirms them. A leader is ready for them sooner. A follower is early at a Java leader,
//! which is still waiting, and has to try again until that one listens.
//!
//! A Java server that is still waiting may hear of a better candidate after all, from a voter that
//! has come back in the meantime, and go over to it. This server finds out by its vote and does not
//! insist on its own leader: see [`Election::is_dissolved`].
//!
//! Who does not vote always waits. It is told the votes only when it asks, and Java servers tell it
//! those they had before the election.
//!
//! # Where this differs from Apache's servers
//!
//! * The number of the round never decreases, also when a leader of an earlier round is followed.
//!   The answers of this server carry the round of that leader, as they do there.
//! * A server that does not vote and asks during an election is told the present proposal, not the
//!   leader before. It is answered only while it looks for a leader.
//! * A new connection begins with the present proposal while this server looks, and with nothing
//!   otherwise. Apache's repeats what it had said last, maybe long ago.
//! * A voter that had a leader when it was told of a proposal is told again when it begins to look,
//!   if it has not come to the same by itself; and a server that begins to look knows what it was
//!   told shortly before. There both hear of it when the proposal is repeated.
//! * A leader counts for one reign with its followers only if it names the same epoch as they do. A
//!   server takes the word of others that it leads only if all of a quorum say so of its present
//!   round; there one of them is enough, and the others may still follow what it was before it
//!   crashed.

mod mesh;
mod round;
mod vote;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info};
use types::membership::{ConfigVersion, Membership};
use types::{Epoch, Instant, Now, Sid, Zxid, mutant};
use wire::election::{ElectionRound, Form, LastLogged, Notification, ServerState};

use self::mesh::Mesh;
use self::round::{Heard, Part, Round};
use self::vote::{Ballot, Vote};
use crate::effect::{Announcement, Effect, LearnerKind};
use crate::input::{CallFailure, Link};
use crate::memberships::Memberships;
use crate::quorum::{Oracle, Quorums};

/// How a server takes part in elections.
#[derive(Clone, Debug)]
pub struct ElectionOptions {
    /// Who it is.
    pub sid: Sid,
    /// After which time without a result it repeats its proposal; Apache's default is 200 ms.
    pub notify_min: Duration,
    /// The longest time between two repetitions, which are further apart each time; Apache's
    /// default is 60 s.
    pub notify_max: Duration,
    /// How long it waits for a better proposal when a quorum has agreed; in Apache's servers 200
    /// ms.
    pub finalize: Duration,
    /// For what has to differ between servers by chance.
    pub seed: u64,
}

/// What speaks for a server as leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// The last transaction in its log; `None` if it has no database, not even an empty one. Then
    /// it takes part in no election and only finds who leads already.
    pub last_logged: Option<Zxid>,
    /// Its current epoch: that of the leader that it last followed, or was.
    pub epoch: Epoch,
    /// Whether it may lead. Otherwise a part of that log is missing for now: it votes for whoever is as
    /// good as this, and does not stand.
    pub may_lead: bool,
}

/// How an election ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Elected {
    /// Who should lead; maybe this server.
    pub leader: Sid,
}

/// Elections, one after the other, as one server sees them. See the module.
#[derive(Clone, Debug)]
pub struct Election {
    options: ElectionOptions,
    quorums: Quorums,
    /// The membership in force, as text.
    config: Arc<str>,
    /// Whether it never votes.
    is_observer: bool,
    mesh: Mesh,
    /// What it said last, if there is one.
    oracle: Option<Oracle>,
    /// The latest round that this server has taken part in or heard of. Never decreases.
    clock: ElectionRound,
    /// The newest version of a membership that the owner knows or was offered.
    offered_version: ConfigVersion,
    /// What [`Self::take_learned`] has to give.
    learned: Option<Membership>,
    phase: Phase,
    /// What [`Self::settle`] has to tell.
    elected: Option<Elected>,
}

#[derive(Clone, Debug)]
enum Phase {
    /// The first election has not begun.
    Idle,
    Looking(Box<Looking>),
    Settled(Settled),
}

/// An election that is not over.
#[derive(Clone, Debug)]
struct Looking {
    round: Round,
    candidate: Candidate,
    /// When to repeat the proposal.
    repeat_at: Instant,
    /// Between the last time that it was told and the next.
    interval: Duration,
    /// The proposal on which a quorum agrees, and until when to wait for a better one.
    waiting: Option<(Ballot, Instant)>,
    /// Whether the membership has changed since it began.
    is_outdated: bool,
}

/// What who asks is told.
#[derive(Clone, Debug)]
struct Settled {
    ballot: Ballot,
    /// Voters that have asked: when last, and for whom they voted.
    asked: BTreeMap<Sid, (Instant, Ballot)>,
    /// Of a leader the quorum that was for it, of a follower its leader; less those that have
    /// changed their mind. `None` once the leader reigns, or if there was no quorum because an
    /// oracle decided.
    supporters: Option<BTreeSet<Sid>>,
}

impl Election {
    /// A server that has said nothing yet. Until [`Self::begin`] it lets others connect and passes
    /// over what they say.
    pub fn new(options: ElectionOptions, memberships: &Memberships) -> Self {
        let quorums = Quorums::from(memberships);
        Self {
            config: memberships.committed.to_string().into(),
            is_observer: memberships.kind(options.sid) == LearnerKind::Observer,
            mesh: Mesh::new(options.sid, quorums.voters(), options.seed),
            oracle: None,
            clock: ElectionRound::default(),
            offered_version: memberships.committed.version(),
            learned: None,
            phase: Phase::Idle,
            elected: None,
            options,
            quorums,
        }
    }

    /// Begins an election: this server has no leader, or does not want it any longer. After one that
    /// is dissolved it goes on in the round in which the others still are.
    pub fn begin(&mut self, now: Now, candidate: Candidate, effects: &mut Vec<Effect>) {
        let number = if self.is_dissolved() { self.clock } else { self.clock.next() };
        let (sid, own) = (self.options.sid, self.own_vote(candidate));
        let part = match (self.quorums.is_voter(sid), candidate.may_lead) {
            (false, _) => Part::Watches,
            (true, false) => Part::Votes,
            (true, true) => Part::MayLead,
        };
        let mut round = Round::new(sid, part, number, own);
        for (from, ballot) in self.recent_votes(now) {
            // Whatever follows from it, everybody is told below.
            round.hear(from, ballot, &self.quorums);
        }
        self.clock = round.number();
        self.elected = None;
        self.mesh.look(now.instant);
        let (number, epoch) = (self.clock.0, candidate.epoch.0);
        info!(round = number, epoch, last_logged = ?candidate.last_logged, "looking for a leader");
        self.phase = Phase::Looking(Box::new(Looking {
            round,
            candidate,
            repeat_at: now.instant.after(self.options.notify_min),
            interval: self.options.notify_min,
            waiting: None,
            is_outdated: false,
        }));
        self.tell_all(effects);
    }

    /// The leader that was elected reigns, in this epoch: others are told so.
    pub fn established(&mut self, epoch: Epoch) {
        if let Phase::Settled(settled) = &mut self.phase {
            settled.ballot.vote.epoch = Some(epoch);
            settled.supporters = None;
        }
    }

    /// The leader was named by the one before it: nobody has to vote.
    pub fn appoint(&mut self, leader: Sid, candidate: Candidate) {
        let vote = Vote { leader: Some(leader), ..self.own_vote(candidate) };
        let supporters = match leader == self.options.sid {
            true => self.quorums.voters().collect(),
            false => [leader].into(),
        };
        self.settle_on(leader, Ballot::looking(vote, self.clock), Some(supporters));
        self.elected = None;
    }

    /// The membership has changed. An election that is going on begins again with it when the step
    /// is settled.
    pub fn set_memberships(&mut self, memberships: &Memberships) {
        let quorums = Quorums::from(memberships);
        if let Phase::Looking(looking) = &mut self.phase {
            looking.is_outdated |= quorums != self.quorums;
        }
        self.mesh.set_voters(quorums.voters());
        self.quorums = quorums;
        self.config = memberships.committed.to_string().into();
        self.is_observer = memberships.kind(self.options.sid) == LearnerKind::Observer;
        // What ends an election may bring a membership in which this server is something else, and as
        // that it follows. What it says of itself has to count for those who look.
        if let Phase::Settled(Settled { ballot, .. }) = &mut self.phase
            && let Some(leader) = ballot.vote.leader
        {
            ballot.state = settled_state(self.options.sid, leader, self.is_observer);
        }
        self.offered_version = self.offered_version.max(memberships.committed.version());
    }

    /// Returns the membership that others have in force, if it is newer than this server's and than
    /// what was returned before. Who has a leader gets it from there.
    pub fn take_learned(&mut self) -> Option<Membership> {
        self.learned.take()
    }

    /// The oracle of an ensemble of two voters says this now; `None`: nothing that still holds. It
    /// decides when one of them is not there, whether the other leads alone; who says that it leads is followed. It
    /// should be asked again and again during an election.
    pub fn on_oracle(&mut self, oracle: Option<Oracle>) {
        self.oracle = oracle;
    }

    /// See [`crate::Input::Called`].
    pub fn on_called(
        &mut self,
        now: Now,
        link: Link,
        from: Sid,
        addresses: Vec<String>,
        effects: &mut Vec<Effect>,
    ) {
        if self.mesh.on_called(now.instant, link, from, addresses, effects) {
            self.greet(from, effects);
        }
    }

    /// See [`crate::Input::CallThrough`].
    pub fn on_call_through(&mut self, now: Now, link: Link, to: Sid, effects: &mut Vec<Effect>) {
        if self.mesh.on_call_through(now.instant, link, to, effects) {
            self.greet(to, effects);
        }
    }

    /// See [`crate::Input::CallFailed`].
    pub fn on_call_failed(
        &mut self,
        now: Now,
        to: Sid,
        reason: CallFailure,
        effects: &mut Vec<Effect>,
    ) {
        self.mesh.on_call_failed(now.instant, to, reason, effects);
    }

    /// See [`crate::Input::ElectionLinkClosed`].
    pub fn on_link_closed(&mut self, now: Now, link: Link) {
        self.mesh.on_closed(now.instant, link);
    }

    /// See [`crate::Input::Notified`].
    pub fn on_notified(
        &mut self,
        now: Now,
        link: Link,
        notification: &Notification<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(from) = self.mesh.on_heard(now.instant, link) else {
            debug!(link = link.0, "notification over a connection that was given up");
            return;
        };
        self.learn_membership(notification);
        let ballot = Ballot::of(notification);
        if !self.quorums.is_voter(from) {
            if ballot.state == ServerState::Looking {
                self.answer(now, from, effects);
            }
            return;
        }
        match &mut self.phase {
            Phase::Idle => debug!(from = from.0, "notification before the first election"),
            Phase::Looking(looking) => {
                let heard = looking.round.hear(from, ballot, &self.quorums);
                debug!(from = from.0, ?ballot, ?heard, "notification");
                self.clock = looking.round.number();
                self.react(now, from, heard, effects);
            }
            Phase::Settled(settled) if ballot.state == ServerState::Looking => {
                settled.hear_vote(now, from, &ballot, &self.quorums);
                self.answer(now, from, effects);
            }
            Phase::Settled(_) => debug!(from = from.0, ?ballot, "answer to a question of before"),
        }
    }

    /// What follows from all that happened, and from time that has passed. Returns the outcome of
    /// an election, once.
    pub fn settle(&mut self, now: Now, effects: &mut Vec<Effect>) -> Option<Elected> {
        if let Phase::Looking(looking) = &self.phase
            && looking.is_outdated
        {
            self.begin(now, looking.candidate, effects);
        }
        self.decide(now);
        self.repeat(now, effects);
        self.mesh.settle(now.instant, effects);
        self.elected.take()
    }

    /// When [`Self::settle`] has something to do, if nothing happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let Phase::Looking(looking) = &self.phase else { return None };
        let decision = looking.waiting.map(|(_, until)| until);
        [Some(looking.repeat_at), decision, self.mesh.next_deadline()].into_iter().flatten().min()
    }

    /// Returns what this server is doing, as it tells others.
    pub fn state(&self) -> ServerState {
        match &self.phase {
            Phase::Idle | Phase::Looking(_) => ServerState::Looking,
            Phase::Settled(settled) => settled.ballot.state,
        }
    }

    /// Returns the round: of the election that is going on, or the latest that this server heard
    /// of.
    pub fn round(&self) -> ElectionRound {
        self.clock
    }

    /// Returns the voters that have looked for a leader at `since` or later, while this server had
    /// one, in ascending order. They did not follow.
    pub fn deserters(&self, since: Instant) -> impl Iterator<Item = Sid> {
        let settled = match &self.phase {
            Phase::Settled(settled) => Some(settled),
            Phase::Idle | Phase::Looking(_) => None,
        };
        let asked = settled.into_iter().flat_map(|settled| &settled.asked);
        asked.filter(move |(_, (at, _))| *at >= since).map(|(&sid, _)| sid)
    }

    /// Whether this server was elected and has lost the voters that did so, or has a leader that
    /// looks for another one, before that one reigned ([`Self::established`]). Nothing will come of
    /// it: the owner does well to begin another election at once.
    pub fn is_dissolved(&self) -> bool {
        self.is_dissolved_but_for(|_| false)
    }

    /// The same, when these voters have come to follow this server: they are for it, by whatever votes they know
    /// that it is elected.
    pub(crate) fn is_dissolved_but_for(&self, has_come: impl Fn(Sid) -> bool) -> bool {
        let Phase::Settled(Settled { ballot, supporters: Some(supporters), .. }) = &self.phase
        else {
            return false;
        };
        match ballot.state {
            ServerState::Leading => {
                !self.quorums.is_quorum(|sid| supporters.contains(&sid) || has_come(sid))
            }
            ServerState::Looking | ServerState::Following | ServerState::Observing => {
                supporters.is_empty()
            }
        }
    }

    /// What voters have said that were looking before this server was. They may not say it again
    /// for a while, as this server looks and should know. What is older they have repeated, or it
    /// does not hold any longer.
    fn recent_votes(&self, now: Now) -> Vec<(Sid, Ballot)> {
        let Phase::Settled(settled) = &self.phase else { return Vec::new() };
        let is_recent = |at| now.instant.since(at) < self.options.notify_min;
        let recent = settled
            .asked
            .iter()
            .filter(|(sid, (at, _))| is_recent(*at) && self.quorums.is_voter(**sid));
        recent.map(|(&sid, &(_, ballot))| (sid, ballot)).collect()
    }

    fn own_vote(&self, candidate: Candidate) -> Vote {
        let votes = self.quorums.committed.is_voter(self.options.sid);
        if self.is_observer {
            return Vote { epoch: None, last_logged: LastLogged::Nobody, leader: None };
        }
        Vote {
            epoch: Some(candidate.epoch),
            last_logged: candidate.last_logged.map_or(LastLogged::NoDatabase, LastLogged::Zxid),
            leader: (votes && candidate.may_lead).then_some(self.options.sid),
        }
    }

    /// Notes a membership that is newer than the one in force.
    fn learn_membership(&mut self, notification: &Notification<'_>) {
        let (Phase::Looking(_), Form::WithConfig { config }) = (&self.phase, &notification.form)
        else {
            return;
        };
        if **config == *self.config {
            return;
        }
        match Membership::parse(config) {
            Ok(membership) if membership.version() > self.offered_version => {
                self.offered_version = membership.version();
                self.learned = Some(membership);
            }
            Ok(_) => {}
            // The vote counts all the same.
            Err(problem) => debug!(?problem, "membership in a notification"),
        }
    }

    fn react(&mut self, now: Now, from: Sid, heard: Heard, effects: &mut Vec<Effect>) {
        match heard {
            Heard::Ignored(_) | Heard::Counted => {}
            Heard::TellSender => self.answer(now, from, effects),
            Heard::TellAll => {
                if let Phase::Looking(looking) = &mut self.phase {
                    looking.interval = self.options.notify_min;
                    looking.repeat_at = now.instant.after(looking.interval);
                }
                self.tell_all(effects);
            }
            Heard::Leader(ballot) => self.conclude(ballot),
        }
    }

    /// What the other one of two voters says, if it leads with the word of an oracle. There is no third to confirm
    /// it. What the oracle says to this server is nothing then: it is for who is alone.
    fn sole_leader(&self) -> Option<Ballot> {
        let Phase::Looking(looking) = &self.phase else { return None };
        let are_two = self.quorums.committed.is_lone_voter_enough(Oracle::MayDecideAlone);
        looking.round.leader_by_its_own_word().filter(|_| are_two && self.oracle.is_some())
    }

    /// Ends the election if a quorum agrees, and nothing better can come or the wait for it is
    /// over.
    fn decide(&mut self, now: Now) {
        if let Some(ballot) = self.sole_leader() {
            return self.conclude(ballot);
        }
        let Phase::Looking(looking) = &mut self.phase else { return };
        let is_enough = |oracle| self.quorums.committed.is_lone_voter_enough(oracle);
        let is_alone = self.oracle.is_some_and(is_enough) && looking.round.proposes_itself();
        if !looking.round.has_quorum(&self.quorums) && !is_alone {
            looking.waiting = None;
            return;
        }
        let proposal = looking.round.proposal();
        let until = match looking.waiting {
            Some((agreed, until)) if agreed == proposal => until,
            Some(_) | None => now.instant.after(self.options.finalize),
        };
        looking.waiting = Some((proposal, until));
        let is_down = |sid| self.mesh.is_down(sid);
        let is_final =
            looking.round.takes_part() && looking.round.is_unanimous(&self.quorums, is_down);
        if is_final || now.instant >= until || mutant::active(32) {
            self.conclude(proposal);
        }
    }

    fn conclude(&mut self, ballot: Ballot) {
        let (Phase::Looking(looking), Some(leader)) = (&self.phase, ballot.vote.leader) else {
            return;
        };
        let supporters = match leader == self.options.sid {
            false => Some([leader].into()),
            true => {
                let supporters = looking.round.supporters(&ballot);
                Some(supporters).filter(|it| self.quorums.is_quorum(|sid| it.contains(&sid)))
            }
        };
        self.settle_on(leader, ballot, supporters);
    }

    fn settle_on(&mut self, leader: Sid, ballot: Ballot, supporters: Option<BTreeSet<Sid>>) {
        let state = settled_state(self.options.sid, leader, self.is_observer);
        info!(leader = leader.0, round = ballot.round.0, ?state, "election is over");
        self.clock = self.clock.max(ballot.round);
        let ballot = Ballot { state, ..ballot };
        self.phase = Phase::Settled(Settled { ballot, asked: BTreeMap::new(), supporters });
        self.mesh.rest();
        self.elected = Some(Elected { leader });
    }

    /// Tells the proposal again, if it is time.
    fn repeat(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Phase::Looking(looking) = &mut self.phase else { return };
        if now.instant >= looking.repeat_at {
            let mesh = &self.mesh;
            let number = looking.round.number();
            looking.round.reconsider(&self.quorums, |sid| mesh.is_down(sid));
            // Who withdraws is news: the next one's turn does not begin with long silences.
            looking.interval = match looking.round.number() == number {
                true => self.options.notify_max.min(looking.interval * 2),
                false => self.options.notify_min,
            };
            looking.repeat_at = now.instant.after(looking.interval);
            self.clock = looking.round.number();
            self.tell_all(effects);
        }
    }

    /// Tells all voters whom this server proposes, as far as they are connected; the others when
    /// they are.
    fn tell_all(&self, effects: &mut Vec<Effect>) {
        for sid in self.quorums.voters() {
            self.tell(sid, effects);
        }
    }

    /// Begins a connection with the proposal, if there is one.
    fn greet(&self, sid: Sid, effects: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Looking(_)) && self.quorums.is_voter(sid) {
            self.tell(sid, effects);
        }
    }

    /// Tells who asks, unless it asks too often.
    fn answer(&mut self, now: Now, sid: Sid, effects: &mut Vec<Effect>) {
        if self.mesh.may_answer(now.instant, sid) {
            self.tell(sid, effects);
        } else {
            debug!(sid = sid.0, "asks too often");
        }
    }

    /// Says whom this server proposes or has as its leader.
    fn tell(&self, sid: Sid, effects: &mut Vec<Effect>) {
        let Ballot { state, vote, round, .. } = match &self.phase {
            Phase::Idle => return,
            Phase::Looking(looking) => looking.round.proposal(),
            Phase::Settled(settled) => settled.ballot,
        };
        let Some(link) = self.mesh.link(sid) else { return };
        let Vote { epoch, last_logged, leader } = vote;
        let config = Arc::clone(&self.config);
        let announcement = Announcement { state, leader, last_logged, round, epoch, config };
        effects.push(Effect::Notify { link, announcement });
    }
}

impl Settled {
    /// A voter looks for a leader, maybe because it has not heard yet. If it has gone over to a
    /// better candidate or to a later round, it will not come back to this leader by itself.
    fn hear_vote(&mut self, now: Now, from: Sid, ballot: &Ballot, quorums: &Quorums) {
        self.asked.insert(from, (now.instant, *ballot));
        let is_same_round = ballot.round == self.ballot.round;
        let is_better = ballot.vote.beats(self.ballot.vote, &quorums.committed);
        if ballot.round > self.ballot.round || is_same_round && is_better {
            self.supporters.iter_mut().for_each(|supporters| {
                supporters.remove(&from);
            });
        }
    }
}

/// What a server does while that one leads.
fn settled_state(me: Sid, leader: Sid, is_observer: bool) -> ServerState {
    match leader == me {
        true => ServerState::Leading,
        false if is_observer => ServerState::Observing,
        false => ServerState::Following,
    }
}
