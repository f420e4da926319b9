//! A follower's own observers: they learn from it instead of from the leader.
//!
//! It brings them to what it knows to be committed, and tells them of each commit as the leader would.
//! There is an epoch, and a quorum behind it, so that nobody waits for anybody. What their clients ask is
//! relayed by the replica. Apache's class is `ObserverMaster`.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::{info, warn};
use types::{Epoch, Instant, Now, Sid, Zxid};
use wire::quorum::{LearnerInfo, ToLeader};

use crate::effect::{CloseReason, Effect, LeaderPacket, LearnerKind};
use crate::history::beginning;
use crate::input::{Input, Link};
use crate::leading::{
    Learner, Stage, Way, begin, inform, needed, replaced, send, send_committed, surplus_newcomer,
    way,
};
use crate::limits::{HISTORY_BYTES_MAX, STRANGE_LEARNERS_MAX};
use crate::misbehaved::PeerMisbehaved;
use crate::peer::Core;

/// The observers of a server that follows.
#[derive(Clone, Debug)]
pub(crate) struct Mastering {
    epoch: Epoch,
    observers: BTreeMap<Link, Learner>,
    next_ping: Instant,
}

impl Mastering {
    /// A server that follows in this epoch, and lets observers come.
    pub(super) fn new(core: &Core, epoch: Epoch, now: Now, effects: &mut Vec<Effect>) -> Self {
        effects.push(Effect::AdmitObservers);
        let next_ping = now.instant.after(core.ping_interval());
        Self { epoch, observers: BTreeMap::new(), next_ping }
    }

    /// Takes in what concerns a connection of the port for observers.
    pub(crate) fn take(
        &mut self,
        core: &Core,
        now: Now,
        input: Input<'_>,
        effects: &mut Vec<Effect>,
    ) {
        match input {
            Input::LearnerConnected { link } => self.on_connected(now, link, effects),
            Input::FromLearner { link, packet } => {
                self.on_packet(core, now, link, &packet, effects);
            }
            Input::SnapshotSent { link } => self.on_snapshot_sent(core, now, link, effects),
            _ => {}
        }
    }

    fn on_connected(&mut self, now: Now, link: Link, effects: &mut Vec<Effect>) {
        self.observers.insert(link, Learner::new(now));
        if let Some(idlest) = surplus_newcomer(&self.observers) {
            self.dismiss(idlest, CloseReason::TooMany, effects);
        }
    }

    pub(crate) fn on_closed(&mut self, link: Link) {
        if let Some(observer) = self.observers.remove(&link) {
            info!(sid = observer.sid.map(|sid| sid.0), "observer gone");
        }
    }

    /// Takes what an observer says. What is not due ends its connection and changes nothing.
    fn on_packet(
        &mut self,
        core: &Core,
        now: Now,
        link: Link,
        packet: &ToLeader<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(observer) = self.observers.get_mut(&link) else { return };
        observer.heard = now.instant;
        let result = match packet {
            ToLeader::FollowerInfo(info) => Err(PeerMisbehaved::NoObserver(info.sid)),
            ToLeader::ObserverInfo(info) => self.on_info(core, link, info, effects),
            ToLeader::AckEpoch { last_logged, current_epoch } => {
                observer.agree(*last_logged, *current_epoch).map(|_| ())
            }
            ToLeader::AckNewLeader { epoch } => self.on_ack_new_leader(now, link, *epoch, effects),
            ToLeader::Ping { .. } => observer.pong(),
            // The replica's.
            ToLeader::Revalidate { .. } | ToLeader::Request(_) if observer.may_ask() => Ok(()),
            ToLeader::Revalidate { .. } => Err(observer.not_due("Revalidate")),
            ToLeader::Request(_) => Err(observer.not_due("Request")),
            ToLeader::Ack { .. } => Err(observer.not_due("Ack")),
        };
        if let Err(misbehaved) = result {
            self.dismiss(link, CloseReason::Misbehaved(misbehaved), effects);
        }
    }

    /// An observer has been sent its snapshot: what it missed meanwhile follows.
    fn on_snapshot_sent(&mut self, core: &Core, now: Now, link: Link, effects: &mut Vec<Effect>) {
        let Some(observer) = self.observers.get_mut(&link) else { return };
        let Stage::TakesSnapshot { last_applied } = observer.stage else { return };
        observer.heard = now.instant;
        self.send_history(core, link, last_applied, effects);
    }

    /// Tells all observers what is committed now, after what was.
    pub(super) fn inform(&self, core: &Core, before: Zxid, last: Zxid, effects: &mut Vec<Effect>) {
        for (&link, _) in self.observers.iter().filter(|(_, observer)| observer.is_served()) {
            inform(core, link, before, last, effects);
        }
    }

    /// Tells all observers that a change of the membership is committed, and who leads since.
    pub(super) fn inform_of_change(
        &self,
        core: &Core,
        zxid: Zxid,
        designated_leader: Sid,
        effects: &mut Vec<Effect>,
    ) {
        let Some(batch) = core.history.after(Zxid::from_raw(zxid.raw() - 1)).next() else { return };
        for (&link, _) in self.observers.iter().filter(|(_, observer)| observer.is_served()) {
            let batch = Arc::clone(batch);
            let packet = LeaderPacket::InformAndActivate { batch, zxid, designated_leader };
            send(link, packet, effects);
        }
    }

    /// Brings those who have agreed to what is committed, pings all, and sends away who is silent or
    /// misses too much.
    pub(super) fn settle(&mut self, core: &Core, now: Now, effects: &mut Vec<Effect>) {
        self.synchronize_agreed(core, effects);
        let is_too_much = core.history.kept_bytes() > HISTORY_BYTES_MAX;
        let straggles = |observer: &Learner| match observer.stage {
            Stage::TakesSnapshot { last_applied } if is_too_much => {
                core.history.bytes_after(last_applied) > HISTORY_BYTES_MAX
            }
            _ => false,
        };
        let reason = |observer: &Learner| match straggles(observer) {
            true => Some(CloseReason::FarBehind),
            false => observer.reason_to_part(core, now.instant),
        };
        let parting = self.observers.iter().filter_map(|(&link, it)| Some((link, reason(it)?)));
        for (link, reason) in parting.collect::<Vec<_>>() {
            self.dismiss(link, reason, effects);
        }
        if now.instant >= self.next_ping {
            self.next_ping = now.instant.after(core.ping_interval());
            let last_proposed = core.history.last_committed().max(beginning(self.epoch));
            for (&link, observer) in &mut self.observers {
                if observer.is_following() {
                    observer.ping(link, last_proposed, effects);
                }
            }
        }
    }

    pub(super) const fn next_deadline(&self) -> Instant {
        self.next_ping
    }

    /// Whether a connection is one of an observer that follows.
    pub(crate) fn has_observer(&self, link: Link) -> bool {
        self.observers.get(&link).is_some_and(Learner::may_ask)
    }

    /// How many follow.
    pub(crate) fn count(&self) -> usize {
        self.observers.values().filter(|observer| observer.is_following()).count()
    }

    /// What must be kept of the history: everything after this.
    pub(super) fn needed(&self) -> Zxid {
        needed(&self.observers)
    }

    /// Ends with the role: every observer is disconnected.
    pub(super) fn leave(self, effects: &mut Vec<Effect>) {
        effects.push(Effect::RefuseObservers);
        for link in self.observers.into_keys() {
            effects.push(Effect::Close { link, reason: CloseReason::RoleEnded });
        }
    }

    fn on_info(
        &mut self,
        core: &Core,
        link: Link,
        info: &LearnerInfo,
        effects: &mut Vec<Effect>,
    ) -> Result<(), PeerMisbehaved> {
        core.check_learner(info)?;
        let Some(observer) = self.observers.get_mut(&link) else { return Ok(()) };
        observer.introduce(info, LearnerKind::Observer)?;
        observer.invite(link, self.epoch, effects);
        if let Some(old) = replaced(&self.observers, info.sid, link) {
            self.dismiss(old, CloseReason::Replaced, effects);
        }
        let known = self.observers.values().filter(|it| it.sid.is_some());
        if known.count() > STRANGE_LEARNERS_MAX {
            self.dismiss(link, CloseReason::TooMany, effects);
        }
        Ok(())
    }

    fn on_ack_new_leader(
        &mut self,
        now: Now,
        link: Link,
        epoch: Epoch,
        effects: &mut Vec<Effect>,
    ) -> Result<(), PeerMisbehaved> {
        if epoch != self.epoch {
            return Err(PeerMisbehaved::OtherEpoch { expected: self.epoch, found: epoch });
        }
        let Some(observer) = self.observers.get_mut(&link) else { return Ok(()) };
        if observer.is_following() {
            // Sent a second time after `UpToDate`, as Apache's servers do.
            return Ok(());
        }
        observer.follow(epoch)?;
        info!(sid = observer.sid.map(|sid| sid.0), "observer follows");
        observer.tell(now, link, effects);
        Ok(())
    }

    /// Begins with those who have agreed. Who has learned more of this epoch elsewhere than this server
    /// has so far, waits until it has that too: what observers have of it is committed.
    fn synchronize_agreed(&mut self, core: &Core, effects: &mut Vec<Effect>) {
        let committed = core.history.last_committed();
        let is_ahead = |zxid: Zxid| zxid > committed && zxid.epoch() == self.epoch;
        let agreed = self.observers.iter().filter_map(|(&link, observer)| match observer.stage {
            Stage::Agreed { last_logged, .. } if !last_logged.is_some_and(is_ahead) => {
                Some((link, last_logged))
            }
            _ => None,
        });
        for (link, last_logged) in agreed.collect::<Vec<_>>() {
            self.synchronize(core, link, last_logged, effects);
        }
    }

    /// Begins to bring an observer to what is committed here.
    fn synchronize(
        &mut self,
        core: &Core,
        link: Link,
        theirs: Option<Zxid>,
        effects: &mut Vec<Effect>,
    ) {
        let max = core.history.last_committed();
        let Some(observer) = self.observers.get(&link) else { return };
        let way = match core.options.snapshots_only {
            true => Way::Snapshot,
            false => match way(&core.history, max, theirs) {
                // The log is read by leaders only.
                Way::Log => Way::Snapshot,
                way => way.fit_for(observer, max),
            },
        };
        if !begin(core, &mut self.observers, link, way) {
            return self.dismiss(link, CloseReason::Crowded, effects);
        }
        let told = theirs.map(tracing::field::display);
        info!(link = link.0, theirs = told, ours = %max, ?way, "synchronizing an observer");
        let after = match way {
            Way::Diff { after } => {
                send(link, LeaderPacket::Diff { last_committed: max }, effects);
                after
            }
            Way::Truncate { keep } => {
                send(link, LeaderPacket::Truncate { keep }, effects);
                keep
            }
            Way::Log | Way::Snapshot => {
                if let Some(observer) = self.observers.get_mut(&link) {
                    observer.stage = Stage::TakesSnapshot { last_applied: max };
                }
                effects.push(Effect::SendSnapshot { link, last_applied: max });
                return;
            }
        };
        self.send_history(core, link, after, effects);
    }

    /// Sends everything committed behind a transaction. From here on the observer gets everything as it
    /// comes.
    fn send_history(&mut self, core: &Core, link: Link, after: Zxid, effects: &mut Vec<Effect>) {
        let Some(observer) = self.observers.get_mut(&link) else { return };
        observer.stage = Stage::CatchesUp;
        send_committed(&core.history, link, after, core.history.last_committed(), effects);
        let config = core.memberships().committed.to_string().into();
        send(link, LeaderPacket::NewLeader { epoch: self.epoch, config }, effects);
    }

    fn dismiss(&mut self, link: Link, reason: CloseReason, effects: &mut Vec<Effect>) {
        if let Some(observer) = self.observers.remove(&link) {
            warn!(sid = observer.sid.map(|sid| sid.0), ?reason, "observer sent away");
            effects.push(Effect::Close { link, reason });
        }
    }
}
