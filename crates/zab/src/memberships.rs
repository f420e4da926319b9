//! Who is in the ensemble, now and soon.
//!
//! A membership is changed by a transaction, whose zxid is its version. From the moment at which a server
//! is told of the proposal the new membership is *pending* there, as long as the transaction is in its
//! history:
//!
//! ```text
//!   proposed: pending before it is logged                a quorum of both decides from here on
//!   committed: in force, and nothing is pending          a quorum of the new one decides
//! ```
//!
//! There is one at a time. Whoever has a pending membership elects and decides with both. So whatever
//! was committed in one membership, somebody of each quorum knows that counts later; and it does not
//! matter when a server hears that the change is committed.
//!
//! **The history decides what is pending**, as it decides who may lead: nobody may commit a change without
//! asking the quorum that it brings, however the change came into the history; and who was told of one but
//! did not log it has helped to commit nothing, and need not ask its voters. So a server takes what is pending
//! from its history when it starts, and when it has installed a snapshot; and it forgets what it has not logged
//! when it looks for a leader. Otherwise two servers may wait for each other: one votes for nobody but
//! those who have the change, of which the other has never heard.
//!
//! Servers also learn of memberships without a transaction: from votes, which carry the one in force
//! at the voter; and at the beginning of a reign, when the leader tells the newest it has seen, which is in
//! force as soon as a quorum follows. A membership that was written by hand has version 0; the first
//! leader gives it the zxid of its reign's beginning, so that it is newer than the one of a server that
//! is about to join, which was written by hand too.
//!
//! Apache's classes are `QuorumPeer` (`processReconfig`, `setLastSeenQuorumVerifier`) and `Leader`.

use std::sync::Arc;

use tracing::{info, warn};
use types::membership::{ConfigVersion, Membership, Role};
use types::{Sid, Zxid, mutant};
use wire::quorum::Proposal;

use crate::effect::{Effect, LearnerKind};
use crate::misbehaved::PeerMisbehaved;
use crate::peer::{Core, Course, LeaveReason, Obstacle};

/// The membership in force, and the one that is to take its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Memberships {
    /// In force: a quorum has committed it.
    pub committed: Arc<Membership>,
    /// Proposed, newer, and not known to be committed.
    pending: Option<Arc<Membership>>,
}

impl Memberships {
    /// These memberships. A pending one that is not newer than the one in force is forgotten.
    pub fn new(committed: Arc<Membership>, pending: Option<Arc<Membership>>) -> Self {
        let pending = pending.filter(|pending| pending.version() > committed.version());
        Self { committed, pending }
    }

    /// Returns the one that is proposed and not known to be committed.
    pub fn pending(&self) -> Option<&Arc<Membership>> {
        self.pending.as_ref()
    }

    /// Returns the newest that this server has seen.
    pub fn newest(&self) -> &Arc<Membership> {
        self.pending.as_ref().unwrap_or(&self.committed)
    }

    /// Returns how a server takes part: only who is listed as one is an observer. Who is not listed
    /// follows without a vote, as Apache's servers do.
    pub fn kind(&self, sid: Sid) -> LearnerKind {
        match self.committed.find(sid).map(|member| member.role) {
            Some(Role::Observer) => LearnerKind::Observer,
            Some(Role::Voter) | None => LearnerKind::Follower,
        }
    }
}

impl From<Membership> for Memberships {
    /// Nothing is pending.
    fn from(committed: Membership) -> Self {
        Self::new(Arc::new(committed), None)
    }
}

impl Core {
    /// Notes that a membership is proposed. Before anything is said about the proposal, or logged
    /// behind it, this is stored.
    pub(crate) fn see(&mut self, membership: Arc<Membership>, effects: &mut Vec<Effect>) {
        self.see_only(Some(membership), effects);
    }

    /// Notes that nothing but this is pending.
    pub(crate) fn see_only(
        &mut self,
        membership: Option<Arc<Membership>>,
        effects: &mut Vec<Effect>,
    ) {
        let committed = Arc::clone(&self.memberships().committed);
        self.change(Memberships::new(committed, membership), effects);
    }

    /// Takes what is pending from the history that was recovered: `change` is the newest membership in it,
    /// if that is known. One without a transaction is taken from what was stored, and so is one of which
    /// the history does not tell. Who writes a membership by hand decides what is in force, whatever was before,
    /// until it turns out that others have gone on with a later one.
    pub(crate) fn recall(&mut self, change: Option<Arc<Membership>>, effects: &mut Vec<Effect>) {
        let committed = self.memberships().committed.version();
        let change = change.filter(|change| change.version() > committed);
        self.recalled = change.as_ref().map(|change| change.version().zxid());
        if mutant::active(133) {
            self.see_only(None, effects);
        } else if committed == ConfigVersion::default() {
            self.passed_over = change;
        } else if let Some(change) = change {
            warn!(version = %change.version(), "the history brings a membership that may not be in force: \
                voters of both decide. In a copy of another ensemble's data, write the membership by hand");
            self.see(change, effects);
        }
    }

    /// Takes what is pending from the history that has replaced the one before: `installed` is the newest
    /// membership in it, if that is known, and `told` the newest of which the leader has spoken since. What was
    /// pending before stays so until then: a snapshot need not show the newest membership. Apache's servers write the
    /// one in force over it while they come to a leader's history.
    pub(crate) fn recall_installed(
        &mut self,
        installed: Option<Arc<Membership>>,
        told: Option<Arc<Membership>>,
        effects: &mut Vec<Effect>,
    ) {
        self.passed_over = None;
        self.recalled = installed.as_ref().map(|installed| installed.version().zxid());
        let has_told = told.is_some();
        let pending = self.memberships().pending().cloned();
        let kept =
            pending.filter(|pending| !has_told || !has_transaction(pending.version().zxid()));
        let newest = [installed, told, kept].into_iter().flatten();
        let newest = newest.max_by_key(|membership| membership.version());
        if newest.is_some() {
            self.see_only(newest, effects);
        }
    }

    /// Forgets a membership whose transaction is not in the log: it was proposed to this server, or is cut
    /// off. But what is to be installed may bring it.
    pub(crate) fn forget_unlogged(&mut self, effects: &mut Vec<Effect>) {
        let last_logged = self.history.last_logged();
        let is_unlogged = |version: Zxid| version > last_logged && has_transaction(version);
        let pending = self.memberships().pending();
        if pending.is_some_and(|pending| is_unlogged(pending.version().zxid()))
            && !matches!(self.obstacle, Some(Obstacle::Snapshot(_)))
        {
            self.see_only(None, effects);
        }
    }

    /// Puts a membership in force, if it is newer. What was proposed after it stays pending. But if it takes
    /// the place of one that was written by hand, the number that another reign gave to that came to nothing, and
    /// the history counts again.
    pub(crate) fn activate(&mut self, membership: Arc<Membership>, effects: &mut Vec<Effect>) {
        let before = self.memberships().committed.version();
        if membership.version() > before {
            let is_handwritten = before == ConfigVersion::default();
            let pending = self.memberships().pending().cloned();
            let is_proposed = |version: Zxid| !is_handwritten || has_transaction(version);
            let pending = pending.filter(|pending| is_proposed(pending.version().zxid()));
            let known = [pending, self.passed_over.take()].into_iter().flatten();
            let pending = known.max_by_key(|known| known.version());
            self.change(Memberships::new(membership, pending), effects);
        }
    }

    /// Puts a membership in force on a learner, and returns what that means for its role.
    /// `designated`: who leads from here on, if the leader has said so.
    pub(crate) fn activate_on_learner(
        &mut self,
        membership: Arc<Membership>,
        leader: Sid,
        designated: Option<Sid>,
        effects: &mut Vec<Effect>,
    ) -> Course {
        let before = self.memberships().clone();
        self.activate(membership, effects);
        let (old, new) = (&before.committed, &self.memberships().committed);
        if old.has_same_members(new) {
            return Course::Stay;
        }
        let sid = self.options.sid;
        let changes_kind = before.kind(sid) != self.memberships().kind(sid);
        let is_voter = |sid| new.find(sid).is_some_and(|member| member.is_voter());
        match designated {
            Some(designated) if !is_voter(designated) => {
                Course::Leave(LeaveReason::MembershipChanged)
            }
            Some(designated) if changes_kind || designated != leader => Course::Turn(designated),
            Some(_) => Course::Stay,
            None if changes_kind || !keeps_leader(old, new, leader) => {
                Course::Leave(LeaveReason::MembershipChanged)
            }
            None => Course::Stay,
        }
    }

    /// The pending membership, if this transaction brings it.
    pub(crate) fn pending_change(&self, zxid: Zxid) -> Option<Arc<Membership>> {
        let pending = self.memberships().pending();
        pending.filter(|pending| pending.version().zxid() == zxid).cloned()
    }

    fn change(&mut self, memberships: Memberships, effects: &mut Vec<Effect>) {
        if !self.options.is_reconfigurable || memberships == *self.memberships() {
            return;
        }
        let Memberships { committed, pending } = &memberships;
        let pending = pending.as_ref().map(|pending| pending.version().to_string());
        info!(committed = %committed.version(), ?pending, "membership");
        effects.push(Effect::StoreMemberships(memberships.clone()));
        self.set_memberships(memberships);
    }
}

/// Whether a membership of this version was brought by a transaction: one that was written by hand gets the
/// place of a reign's beginning.
pub(crate) fn has_transaction(version: Zxid) -> bool {
    version.counter().0 != 0
}

/// Whether a server votes in both memberships, and is found at the same places while it leads.
pub(crate) fn keeps_leader(old: &Membership, new: &Membership, leader: Sid) -> bool {
    let voter = |membership: &Membership| {
        membership.find(leader).filter(|member| member.is_voter()).cloned()
    };
    match (voter(old), voter(new)) {
        (Some(old), Some(new)) => old.has_same_quorum_addresses(&new),
        _ => false,
    }
}

/// The membership that a transaction brings, if it changes it.
///
/// # Errors
/// It can not be read, or has another version than the transaction's zxid: with it nobody could tell
/// who decides.
pub(crate) fn change_in(proposal: Proposal<'_>) -> Result<Option<Arc<Membership>>, PeerMisbehaved> {
    // What can not be read at all is no change; others find out what it is.
    let Ok(Some(text)) = proposal.new_config() else { return Ok(None) };
    let zxid = proposal.zxid();
    match Membership::parse(&text) {
        Ok(membership) if membership.version() == ConfigVersion(zxid.raw()) => {
            Ok(Some(Arc::new(membership)))
        }
        Ok(_) | Err(_) => Err(PeerMisbehaved::UnreadableMembership { zxid }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership(text: &str, version: i64) -> Membership {
        Membership::parse(text).unwrap().with_version(ConfigVersion(version))
    }

    const OLD: &str = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2:observer";

    #[test]
    fn only_what_is_newer_is_pending() {
        let old = Arc::new(membership(OLD, 5));
        for (version, expected) in [(4, None), (5, None), (6, Some(6))] {
            let other = Arc::new(membership(OLD, version));
            let memberships = Memberships::new(Arc::clone(&old), Some(other));
            let pending = memberships.pending().map(|pending| pending.version().0);
            assert_eq!(pending, expected);
            assert_eq!(memberships.newest().version().0, expected.unwrap_or(5));
        }
    }

    #[test]
    fn who_is_not_listed_follows_without_a_vote() {
        let memberships = Memberships::from(membership(OLD, 0));
        let kinds = [1, 3, 4].map(|sid| memberships.kind(Sid(sid)));
        assert_eq!(kinds, [LearnerKind::Follower, LearnerKind::Observer, LearnerKind::Follower]);
    }

    #[test]
    fn a_leader_stays_if_it_votes_and_is_found_where_it_was() {
        for (text, expected) in [
            (OLD, true),
            ("server.1=a:1:9\nserver.4=d:1:2", true),
            ("server.1=a:9:2\nserver.4=d:1:2", false),
            ("server.1=b:1:2", false),
            ("server.1=a:1:2:observer\nserver.2=b:1:2", false),
            ("server.2=b:1:2", false),
        ] {
            let (old, new) = (membership(OLD, 0), membership(text, 1));
            assert_eq!(keeps_leader(&old, &new, Sid(1)), expected, "{text}");
        }
    }
}
