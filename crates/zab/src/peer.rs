//! One server's part in the protocol, from the outside.

mod stored;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};
use types::membership::Membership;
use types::{Epoch, Instant, Memory, Now, Sid, Zxid, mutant};

use crate::effect::{CloseReason, Effect, LearnerKind};
use crate::election::{Candidate, Election};
use crate::epochs::Epochs;
use crate::following::{Following, Mastering};
use crate::history::History;
use crate::input::{Input, Link};
use crate::jitter::Jitter;
use crate::leading::Leading;
use crate::limits::TRIES_OF_FOLLOWERS;
use crate::memberships::Memberships;
use crate::options::{ObserverMasters, ObserverPauses, Options};
use crate::oracle::Consultation;
use crate::quorum::{Oracle, Quorum, Quorums};

/// What a server's storage knows when it starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovered {
    /// The accepted epoch.
    pub accepted_epoch: Epoch,
    /// The current epoch.
    pub current_epoch: Epoch,
    /// The last transaction in the log or the snapshot.
    pub last_logged: Zxid,
    /// Whether everything that this server has acknowledged is still there. If something may be missing, it
    /// votes only for who is known to have that, and for nobody if that is not known.
    pub memory: Memory,
    /// Whether the tree has effects of what comes behind that, as the snapshot of a leader may.
    pub is_between_states: bool,
    /// The newest membership that a transaction up to `last_logged` brings, committed or not; `None` if that
    /// is not known.
    pub change: Option<Arc<Membership>>,
}

/// How many servers learn from a leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Learners {
    /// All connections, those included that have not said who they are.
    pub connected: usize,
    /// Voters that follow.
    pub voters: usize,
    /// Followers that the membership does not let vote.
    pub others: usize,
    /// Observers that follow.
    pub observers: usize,
}

/// One server's part in the protocol.
///
/// The storage has to carry out the effects that concern it in their order, and to report in that
/// order.
#[derive(Clone, Debug)]
pub struct Peer {
    core: Core,
    election: Election,
    role: Role,
    /// With what it began the last election. What the storage reports afterwards may change it.
    candidate: Candidate,
}

/// What outlives roles.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    pub(crate) options: Options,
    memberships: Memberships,
    /// Those of `memberships`.
    pub(crate) quorums: Quorums,
    /// Whether the election does not know `memberships` yet.
    is_membership_new: bool,
    pub(crate) epochs: Epochs,
    pub(crate) history: History,
    pub(crate) consultation: Consultation,
    /// For the pauses of observers.
    jitter: Jitter,
    /// With which of several servers an observer begins when it looks for one to learn from; differs
    /// from observer to observer.
    teacher_turn: usize,
    /// Why nothing can be logged now.
    pub(crate) obstacle: Option<Obstacle>,
    /// Whether everything that was acknowledged is there. See [`Core::memory`].
    memory: Memory,
    /// Whether the tree may be that of no server at any time, as long as not everything is delivered that
    /// a leader had applied when it had written its snapshot.
    pub(crate) is_between_states: bool,
    /// Whether the files allow to cut off what no leader has, as far as that is known.
    pub(crate) is_cuttable: bool,
    /// The newest membership in the history, as long as one that was written by hand has precedence.
    pub(crate) passed_over: Option<Arc<Membership>>,
    /// The version of the newest membership in the history when that was recovered or installed, unless it is to be
    /// replaced.
    pub(crate) recalled: Option<Zxid>,
    /// What was pending, and what was passed over, when the last cut was wanted, as long as it is not known
    /// whether it is made.
    changes_before_cut: [Option<Arc<Membership>>; 2],
    /// Whether this server gave up leading because its disk does nothing, and it still does not.
    is_disk_stuck: bool,
    /// The latest epoch that a voter is known to have accepted, this server included or not.
    pub(crate) latest_accepted: Epoch,
    /// How many roles in a row have come to nothing.
    futile: u32,
}

/// What the storage is at, and has to finish before it logs again. A role may end meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Obstacle {
    /// It cuts the log behind this transaction.
    Cut(Zxid),
    /// It receives a snapshot over this connection.
    Snapshot(Link),
    /// This connection was given up before the leader chose a way to its history, and is not known
    /// to have ended: it may still bring a snapshot.
    Closing(Link),
}

/// What a server does, with all it knows for that.
#[derive(Clone, Debug)]
enum Role {
    Looking,
    Leading(Leading),
    Following(Following),
}

/// Whether a role goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Course {
    Stay,
    Leave(LeaveReason),
    /// The role ends, and the next one is known: this server leads, who was named to, or another
    /// kind of learner is needed.
    Turn(Sid),
}

/// Why a server gives up its role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LeaveReason {
    /// No quorum follows.
    NoQuorum,
    /// The zxids of the epoch are used up.
    EpochUsedUp,
    /// A voter can only follow in a later epoch.
    LaterEpoch,
    /// The voters that elected the leader look for another.
    VotersGone,
    /// This server's disk has not made durable what it proposed, and others are there to lead.
    DiskStuck,
    /// There is no connection to the leader.
    LeaderGone,
    /// The leader was silent.
    LeaderSilent,
    /// The leader said what no correct leader says.
    LeaderMisbehaved,
    /// The leader's snapshot did not arrive as a whole.
    SnapshotLost,
    /// The log can not be cut where the leader wants it.
    NotTruncated,
    /// The membership is another one.
    MembershipChanged,
    /// More came from the leader than can be held back until the storage has done its work.
    Overrun,
    /// A snapshot that an earlier leader had sent replaces what this server was elected for.
    HistoryReplaced,
}

impl Core {
    /// Whether everything that was logged and decided is durable.
    pub(crate) fn is_settled(&self) -> bool {
        self.obstacle.is_none() && self.history.is_synced() && self.epochs.are_stored()
    }

    /// How long to wait before the next attempt to follow. The first ones are made at once: elections may
    /// need two. Who is refused again and again must not keep its leader busy.
    pub(crate) fn hesitation(&mut self) -> Duration {
        let ObserverPauses { each, again } = self.options.observer_pauses;
        let pause = match (self.kind(), self.futile) {
            (LearnerKind::Follower, _) => Duration::ZERO,
            (LearnerKind::Observer, 0) => self.jitter.below(each),
            (LearnerKind::Observer, _) => self.jitter.below(each) + self.jitter.below(again),
        };
        let patience = match self.futile.checked_sub(2) {
            None => Duration::ZERO,
            Some(more) => self.options.tick / 16 * (1 << more.min(4)),
        };
        pause + patience
    }

    /// Whom to try to learn from, in this order; each time it begins with another one. Followers that are
    /// about to follow take nobody yet, so that they are tried again before the leader is.
    pub(crate) fn teachers(&mut self, leader: Sid) -> VecDeque<Sid> {
        if (self.kind(), self.options.observer_masters)
            != (LearnerKind::Observer, ObserverMasters::Followers)
        {
            return VecDeque::new();
        }
        let followers = self.quorums.committed.voters().filter(|&sid| sid != leader);
        let mut teachers: VecDeque<Sid> = followers.collect();
        if !teachers.is_empty() {
            let first = self.teacher_turn % teachers.len();
            teachers.rotate_left(first);
        }
        self.teacher_turn = self.teacher_turn.wrapping_add(1);
        if teachers.is_empty() || self.futile >= TRIES_OF_FOLLOWERS {
            teachers.push_back(leader);
        }
        teachers
    }

    pub(crate) const fn memberships(&self) -> &Memberships {
        &self.memberships
    }

    /// From here on these decide.
    pub(crate) fn set_memberships(&mut self, memberships: Memberships) {
        self.quorums = Quorums::from(&memberships);
        self.memberships = memberships;
        self.is_membership_new = true;
    }

    /// How this server takes part.
    pub(crate) fn kind(&self) -> LearnerKind {
        self.memberships.kind(self.options.sid)
    }

    /// Whether anybody counts on this server in a vote, now or when the pending membership is in force.
    pub(crate) fn votes(&self) -> bool {
        self.quorums.is_voter(self.options.sid)
    }
}

impl Peer {
    /// A server that starts, and looks for a leader. `memberships` are those that were stored last.
    pub fn new(
        options: Options,
        memberships: Memberships,
        recovered: Recovered,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Self {
        let election = Election::new(options.election.clone(), &memberships);
        let change = recovered.change.clone();
        let mut core = Core::new(options, memberships, &recovered);
        core.recall(change, effects);
        let candidate = core.candidate();
        let mut peer = Self { core, election, role: Role::Looking, candidate };
        peer.look(now, effects);
        peer
    }

    /// Takes in one thing that happened. [`Self::settle`] has to follow, after one or after many.
    pub fn take(&mut self, now: Now, input: Input<'_>, effects: &mut Vec<Effect>) {
        match input {
            Input::Called { link, from, addresses } => {
                self.election.on_called(now, link, from, addresses, effects);
            }
            Input::CallThrough { link, to } => {
                self.election.on_call_through(now, link, to, effects);
            }
            Input::CallFailed { to, reason } => {
                self.election.on_call_failed(now, to, reason, effects);
            }
            Input::Notified { link, notification } => {
                self.election.on_notified(now, link, &notification, effects);
            }
            Input::ElectionLinkClosed { link } => self.election.on_link_closed(now, link),
            Input::LeaderReached { .. }
            | Input::LeaderUnreachable { .. }
            | Input::FromLeader { .. }
            | Input::LeaderUnreadable { .. }
            | Input::LearnerConnected { .. }
            | Input::FromLearner { .. }
            | Input::QuorumLinkClosed { .. }
            | Input::SnapshotSent { .. }
            | Input::LogFound { .. }
            | Input::LogRead { .. }
            | Input::LogLacks { .. } => self.take_from_quorum_port(now, input, effects),
            Input::LogSynced { .. }
            | Input::AcceptedEpochStored(_)
            | Input::CurrentEpochStored(_)
            | Input::Truncated { .. } => self.core.take_from_storage(&input),
            Input::SnapshotTakesMore { link } => {
                if let Role::Leading(leading) = &mut self.role {
                    leading.on_snapshot_takes_more(&self.core, now, link);
                }
            }
            Input::SnapshotPart { .. }
            | Input::SnapshotInstalled { .. }
            | Input::SnapshotGivenUp { .. } => self.take_of_snapshot(now, &input, effects),
            Input::NotTruncated { last_logged } => {
                self.core.take_from_storage(&input);
                if !mutant::active(145) {
                    self.core.keep_uncut(last_logged, effects);
                }
                self.leave(now, LeaveReason::NotTruncated, effects);
            }
            Input::Propose(batch) => {
                if let Role::Leading(leading) = &mut self.role {
                    leading.propose(&mut self.core, now, batch, effects);
                }
            }
            Input::EpochUsedUp => {
                if let Role::Leading(_) = self.role {
                    self.leave(now, LeaveReason::EpochUsedUp, effects);
                }
            }
            Input::ConfirmLeadership => {
                if let Role::Leading(leading) = &mut self.role {
                    leading.confirm();
                }
            }
            Input::OracleSays(oracle) => {
                self.core.consultation.on_answer(now, oracle);
            }
            Input::Deadline => {}
        }
    }

    /// Derives what follows from everything that was taken in, and from the time.
    pub fn settle(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.core.is_disk_stuck && self.core.is_settled() {
            self.core.is_disk_stuck = false;
        }
        if let Role::Looking = self.role
            && self.candidate != self.core.candidate()
        {
            self.look(now, effects);
        }
        loop {
            if let Some(membership) = self.election.take_learned() {
                self.core.activate(Arc::new(membership), effects);
            }
            self.tell_election();
            self.consult(now, effects);
            let elected = self.election.settle(now, effects);
            let course = match (&mut self.role, elected) {
                (Role::Looking, Some(elected)) => {
                    self.enter(now, elected.leader, effects);
                    continue;
                }
                (Role::Looking, None) => Course::Stay,
                (Role::Leading(_), _) if self.core.sound_last_logged().is_none() => {
                    Course::Leave(LeaveReason::HistoryReplaced)
                }
                (Role::Leading(leading), _) => leading.settle(&mut self.core, now, effects),
                (Role::Following(following), _) => following.settle(&mut self.core, now, effects),
            };
            if let Some(epoch) = self.reign() {
                self.core.futile = 0;
                self.election.established(epoch);
            }
            match course {
                Course::Stay if self.is_dissolved() || self.is_deserted() => {
                    self.leave(now, LeaveReason::VotersGone, effects);
                }
                Course::Stay if self.core.is_membership_new => {}
                Course::Stay => return,
                Course::Leave(reason) => self.leave(now, reason, effects),
                Course::Turn(leader) => self.turn(now, leader, effects),
            }
        }
    }

    /// The membership in force, and the one that is pending.
    pub fn memberships(&self) -> &Memberships {
        self.core.memberships()
    }

    /// Whether the membership may change.
    pub const fn is_reconfigurable(&self) -> bool {
        self.core.options.is_reconfigurable
    }

    /// Whether what this server has is a state that once was: it has lost nothing, and is not
    /// [between states](Peer::is_between_states).
    pub fn has_a_state(&self) -> bool {
        self.core.sound_last_logged().is_some() && !self.core.is_between_states
            || mutant::active(144)
    }

    /// Whether the tree has effects of transactions that it is still to be given: it came with the snapshot of
    /// a leader, of which this server has not had the whole history yet.
    pub const fn is_between_states(&self) -> bool {
        self.core.is_between_states
    }

    /// Whether it votes.
    pub fn kind(&self) -> LearnerKind {
        self.core.kind()
    }

    /// Whether this server leads, and a quorum of a membership follows it. A server that is neither
    /// here nor following can not help to decide when that membership is in force.
    pub fn is_followed_by(&self, quorum: &Quorum) -> bool {
        match &self.role {
            Role::Leading(leading) => leading.is_followed_by(&self.core, quorum),
            Role::Looking | Role::Following(_) => false,
        }
    }

    /// Whether this connection is one of a learner that follows, knows that a quorum does, and so may ask
    /// for its clients; of this server, or the leader through it.
    pub fn has_learner(&self, link: Link) -> bool {
        match &self.role {
            Role::Leading(leading) => leading.has_learner(link),
            Role::Following(following) => {
                following.observers().is_some_and(|observers| observers.has_observer(link))
            }
            Role::Looking => false,
        }
    }

    /// How many observers learn from this server while it follows.
    pub fn observers(&self) -> usize {
        match &self.role {
            Role::Following(following) => following.observers().map_or(0, Mastering::count),
            Role::Looking | Role::Leading(_) => 0,
        }
    }

    /// Who learns from this server; `None` if it does not lead.
    pub fn learners(&self) -> Option<Learners> {
        match &self.role {
            Role::Leading(leading) => Some(leading.learners(&self.core)),
            Role::Looking | Role::Following(_) => None,
        }
    }

    /// When [`Self::settle`] has to be called next, though nothing happened.
    pub fn next_deadline(&self) -> Option<Instant> {
        let of_role = match &self.role {
            Role::Looking => None,
            Role::Leading(leading) => Some(leading.next_deadline()),
            Role::Following(following) => Some(following.next_deadline()),
        };
        let of_oracle = self.core.consultation.next_deadline();
        [of_role, of_oracle, self.election.next_deadline()].into_iter().flatten().min()
    }

    /// Whether those that have elected this server, or whom this server has, have left.
    fn is_dissolved(&self) -> bool {
        let leading = match &self.role {
            Role::Leading(leading) => Some(leading),
            Role::Looking | Role::Following(_) => None,
        };
        let has_come = |sid| leading.is_some_and(|leading| leading.has_come(sid));
        self.election.is_dissolved_but_for(has_come)
    }

    /// Whether a voter looks for a leader while this server has waited for too long for a quorum's
    /// epochs.
    fn is_deserted(&self) -> bool {
        let (Role::Leading(leading), Some(max)) = (&self.role, self.core.options.epoch_wait_max)
        else {
            return false;
        };
        let since = leading.gathers_since().map(|since| since.after(max));
        since.is_some_and(|since| self.election.deserters(since).next().is_some())
    }

    /// The newest membership of which a leader has spoken that sends its history.
    fn told_membership(&self) -> Option<Arc<Membership>> {
        match &self.role {
            Role::Following(following) => following.told_membership(),
            Role::Looking | Role::Leading(_) => None,
        }
    }

    /// Asks the oracle as long as it has something to decide.
    fn consult(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let core = &mut self.core;
        let is_needed = core.options.has_oracle
            && core.quorums.committed.is_lone_voter_enough(Oracle::MayDecideAlone)
            && match &self.role {
                Role::Looking => true,
                Role::Leading(leading) => leading.lacks_the_other_voter(core),
                Role::Following(_) => false,
            };
        core.consultation.settle(now, is_needed, core.options.tick, effects);
        self.election.on_oracle(core.consultation.answer());
    }

    /// The last transaction of the history that this server has, durably or not.
    pub fn last_logged(&self) -> Zxid {
        self.core.history.last_logged()
    }

    /// The epoch in which this server leads or follows, once a quorum does.
    pub fn reign(&self) -> Option<Epoch> {
        match &self.role {
            Role::Looking => None,
            Role::Leading(leading) => leading.reign(),
            Role::Following(following) => following.reign(),
        }
    }

    /// Takes in what became of a leader's snapshot.
    fn take_of_snapshot(&mut self, now: Now, input: &Input<'_>, effects: &mut Vec<Effect>) {
        self.core.take_from_storage(input);
        match (&mut self.role, input) {
            (Role::Following(following), Input::SnapshotPart { link }) => {
                following.on_snapshot_part(&self.core, now, *link);
            }
            (Role::Following(following), Input::SnapshotGivenUp { link })
                if following.link() == Some(*link) =>
            {
                self.leave(now, LeaveReason::SnapshotLost, effects);
            }
            (_, Input::SnapshotInstalled { membership, .. }) => {
                let told = self.told_membership();
                let course = match (&self.role, membership, &told) {
                    (Role::Following(following), Some(installed), Some(told)) => {
                        following.confirm_installed(&mut self.core, installed, told, effects)
                    }
                    _ => Course::Stay,
                };
                self.core.recall_installed(membership.clone(), told, effects);
                self.go(now, course, effects);
            }
            _ => {}
        }
    }

    fn take_from_quorum_port(&mut self, now: Now, input: Input<'_>, effects: &mut Vec<Effect>) {
        let core = &mut self.core;
        core.watch_for_late_snapshot(&input);
        let course = match (&mut self.role, input) {
            (Role::Leading(leading), Input::LearnerConnected { link }) => {
                leading.on_connected(now, link, effects);
                Course::Stay
            }
            (Role::Leading(leading), Input::FromLearner { link, packet }) => {
                leading.on_packet(core, now, link, &packet, effects);
                Course::Stay
            }
            (Role::Leading(leading), Input::SnapshotSent { link }) => {
                leading.on_snapshot_sent(core, now, link, effects);
                Course::Stay
            }
            (Role::Leading(leading), Input::QuorumLinkClosed { link }) => {
                leading.on_closed(link, effects);
                Course::Stay
            }
            (
                Role::Leading(leading),
                input @ (Input::LogFound { .. } | Input::LogRead { .. } | Input::LogLacks { .. }),
            ) => {
                leading.take_from_log(core, now, input, effects);
                Course::Stay
            }
            (Role::Following(following), Input::LeaderReached { link, leader }) => {
                following.on_reached(core, now, link, leader, effects);
                Course::Stay
            }
            (Role::Following(following), Input::LeaderUnreachable { leader }) => {
                following.on_unreachable(now, leader, effects)
            }
            (
                Role::Following(following),
                input @ (Input::LearnerConnected { .. }
                | Input::FromLearner { .. }
                | Input::SnapshotSent { .. }),
            ) => {
                match following.observers_mut() {
                    Some(observers) => observers.take(core, now, input, effects),
                    None => refuse(&input, effects),
                }
                Course::Stay
            }
            (Role::Following(following), Input::FromLeader { link, packet }) => {
                following.on_packet(core, now, link, &packet, effects)
            }
            (Role::Following(following), Input::LeaderUnreadable { link, how }) => {
                following.on_unreadable(core, link, how, effects)
            }
            (Role::Following(following), Input::QuorumLinkClosed { link }) => {
                following.on_closed(now, link, effects)
            }
            (_, input) => {
                refuse(&input, effects);
                Course::Stay
            }
        };
        self.go(now, course, effects);
    }

    fn go(&mut self, now: Now, course: Course, effects: &mut Vec<Effect>) {
        match course {
            Course::Stay => {}
            Course::Leave(reason) => self.leave(now, reason, effects),
            Course::Turn(leader) => self.turn(now, leader, effects),
        }
    }

    /// Takes the role that the election has given to this server.
    fn enter(&mut self, now: Now, leader: Sid, effects: &mut Vec<Effect>) {
        let core = &mut self.core;
        info!(leader = leader.0, last_logged = %core.history.last_logged(), "elected");
        self.role = if leader == core.options.sid {
            Role::Leading(Leading::new(core, now, effects))
        } else {
            effects.push(Effect::RefuseLearners);
            Role::Following(Following::new(core, leader, now, effects))
        };
    }

    fn leave(&mut self, now: Now, reason: LeaveReason, effects: &mut Vec<Effect>) {
        warn!(?reason, "looking for a leader");
        self.core.is_disk_stuck |= reason == LeaveReason::DiskStuck;
        self.core.futile = self.core.futile.saturating_add(1);
        self.end_role(effects);
        self.look(now, effects);
    }

    /// Takes the role in which the membership has put this server, without an election.
    fn turn(&mut self, now: Now, leader: Sid, effects: &mut Vec<Effect>) {
        info!(leader = leader.0, "the membership has changed");
        self.end_role(effects);
        effects.push(Effect::Look);
        effects.push(Effect::LetLearnersWait);
        self.core.futile = 0;
        self.core.forget_unlogged(effects);
        self.tell_election();
        self.election.appoint(leader, self.core.candidate());
        self.enter(now, leader, effects);
    }

    fn end_role(&mut self, effects: &mut Vec<Effect>) {
        match std::mem::replace(&mut self.role, Role::Looking) {
            Role::Looking => {}
            Role::Leading(leading) => leading.leave(effects),
            Role::Following(following) => following.leave(&mut self.core, effects),
        }
    }

    fn look(&mut self, now: Now, effects: &mut Vec<Effect>) {
        effects.push(Effect::Look);
        effects.push(Effect::LetLearnersWait);
        self.core.forget_unlogged(effects);
        self.tell_election();
        self.candidate = self.core.candidate();
        self.election.begin(now, self.candidate, effects);
    }

    fn tell_election(&mut self) {
        if std::mem::take(&mut self.core.is_membership_new) {
            self.election.set_memberships(self.core.memberships());
        }
    }
}

/// Passes over what is of a role that is over, and ends a connection that was made for it.
fn refuse(input: &Input<'_>, effects: &mut Vec<Effect>) {
    match *input {
        Input::LearnerConnected { link } | Input::LeaderReached { link, .. } => {
            effects.push(Effect::Close { link, reason: CloseReason::RoleEnded });
        }
        _ => debug!(?input, "of a role that is over, ignored"),
    }
}

impl Core {
    fn new(options: Options, memberships: Memberships, recovered: &Recovered) -> Self {
        let &Recovered {
            accepted_epoch,
            current_epoch,
            last_logged,
            memory,
            is_between_states,
            change: _,
        } = recovered;
        let history = History::recovered(last_logged, options.history);
        let epochs = Epochs::recovered(accepted_epoch, current_epoch);
        let mut jitter = Jitter::new(options.election.seed);
        let teacher_turn = jitter.pick();
        Self {
            options,
            quorums: Quorums::from(&memberships),
            memberships,
            is_membership_new: false,
            epochs,
            history,
            consultation: Consultation::default(),
            jitter,
            teacher_turn,
            obstacle: None,
            memory,
            is_between_states,
            is_cuttable: true,
            passed_over: None,
            recalled: None,
            changes_before_cut: [None, None],
            is_disk_stuck: false,
            latest_accepted: accepted_epoch,
            futile: 0,
        }
    }
}
