//! Bringing a learner to the leader's history out of the log: what it lacks is not in memory any more.
//!
//! ```text
//!            theirs                    up_to
//!  log:    ....│───────────────────────│............
//!  memory:                             │ kept ........
//!              └ ReadLog, ReadOn ... ──┘└ send_history
//!
//!  ReadLog ──> LogFound: the way is chosen ──> ReadOn ──> LogRead ──> ReadOn ──> LogRead ──> ...
//!         └──> LogLacks: a snapshot                  └──> LogLacks: the learner has to come again
//! ```
//!
//! One part is read when the learner's connection has taken the one before, so neither the log nor a
//! slow learner is ever in memory. Memory meanwhile keeps what follows `up_to`; if that becomes too
//! much, it is let go and read from the log as well.

use std::sync::Arc;

use tracing::{info, warn};
use types::{Now, Zxid, mutant};
use wire::stored::LogBatch;

use super::learner::Stage;
use super::synchronization::{Way, begin, first_behind, way_behind};
use super::{Leading, send};
use crate::effect::{CloseReason, Effect, LeaderPacket};
use crate::input::{Input, Link};
use crate::limits::{HISTORY_BYTES_MAX, LOG_BYTES_FREE, SENT_FROM_MEMORY_BYTES_MAX};
use crate::options::LogReading;
use crate::peer::Core;

/// Where the log has what a learner lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LogPlace {
    /// The last transaction of the log up to the end of the learner's history.
    pub(crate) after: Zxid,
    /// Bytes from there to the end of what is to be read.
    pub(crate) bytes: u64,
    /// The length of the newest snapshot.
    pub(crate) snapshot_bytes: Option<u64>,
}

impl Leading {
    /// Looks in the log for the end of a learner's history.
    pub(super) fn look_in_log(
        &mut self,
        core: &Core,
        link: Link,
        theirs: Option<Zxid>,
        effects: &mut Vec<Effect>,
    ) {
        let (Some(learner), Some(theirs)) = (self.learners.get_mut(&link), theirs) else { return };
        let up_to = core.history.kept_after();
        learner.stage = Stage::ReadsLog { after: theirs, up_to, is_told: false, is_kept: true };
        effects.push(Effect::ReadLog { link, after: theirs, up_to });
    }

    /// What came of looking into the log for a learner.
    pub(crate) fn take_from_log(
        &mut self,
        core: &mut Core,
        now: Now,
        input: Input<'_>,
        effects: &mut Vec<Effect>,
    ) {
        match input {
            Input::LogFound { link, after, bytes, snapshot_bytes } => {
                let place = LogPlace { after, bytes, snapshot_bytes };
                self.on_log_found(core, now, link, place, effects);
            }
            Input::LogRead { link, batch } => self.on_log_read(core, now, link, batch, effects),
            Input::LogLacks { link } => self.on_log_lacks(core, link, effects),
            _ => {}
        }
    }

    /// The log has what the learner lacks, or what is still to follow.
    fn on_log_found(
        &mut self,
        core: &mut Core,
        now: Now,
        link: Link,
        place: LogPlace,
        effects: &mut Vec<Effect>,
    ) {
        self.wait_on(core, now);
        let max = self.history_end(core);
        let Some(learner) = self.learners.get_mut(&link) else { return };
        let Stage::ReadsLog { after, up_to, is_told, is_kept } = learner.stage else { return };
        learner.heard = now.instant;
        let goes_on = Stage::ReadsLog { after: place.after, up_to, is_told: true, is_kept };
        if is_told {
            if place.after != after {
                return self.distrust_log(link, effects);
            }
            effects.push(Effect::ReadOn { link });
            return;
        }
        let way = match core.options.log_reading.is_worth(place) {
            true if mutant::active(19) => Way::Diff { after: place.after },
            true => way_behind(after, place.after).fit_for(learner, max),
            false => Way::Snapshot,
        };
        info!(sid = learner.sid.map(|sid| sid.0), theirs = %after, ?way, bytes = place.bytes,
            snapshot_bytes = place.snapshot_bytes, "the log has what a learner lacks");
        let packet = match way {
            Way::Diff { .. } => LeaderPacket::Diff { last_committed: max },
            Way::Truncate { keep } => LeaderPacket::Truncate { keep },
            Way::Log | Way::Snapshot => {
                effects.push(Effect::StopReading { link });
                return self.send_snapshot_instead(core, link, effects);
            }
        };
        if let Some(learner) = self.learners.get_mut(&link) {
            learner.stage = goes_on;
        }
        send(link, packet, effects);
        effects.push(Effect::ReadOn { link });
    }

    /// More of the log was read for a learner.
    fn on_log_read(
        &mut self,
        core: &Core,
        now: Now,
        link: Link,
        batch: Arc<LogBatch>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(learner) = self.learners.get_mut(&link) else { return };
        let Stage::ReadsLog { after, up_to, is_told: true, is_kept } = learner.stage else {
            return;
        };
        learner.heard = now.instant;
        let (Some(first), Some(last)) = (first_behind(&batch, after), batch.last_zxid()) else {
            return self.distrust_log(link, effects);
        };
        assert!(last <= up_to, "{last} was read, {up_to} is the last that was wanted");
        learner.stage = Stage::ReadsLog { after: last, up_to, is_told: true, is_kept };
        send(link, LeaderPacket::Committed { batch, first, last }, effects);
        self.wait_on(core, now);
        if last < up_to {
            effects.push(Effect::ReadOn { link });
        } else {
            self.leave_log(core, link, up_to, effects);
        }
    }

    /// The log does not have what the learner lacks, or it can not be read.
    fn on_log_lacks(&mut self, core: &mut Core, link: Link, effects: &mut Vec<Effect>) {
        match self.learners.get(&link).map(|learner| learner.stage) {
            Some(Stage::ReadsLog { is_told: false, .. }) => {
                self.send_snapshot_instead(core, link, effects);
            }
            Some(Stage::ReadsLog { is_told: true, .. }) => self.distrust_log(link, effects),
            _ => {}
        }
    }

    /// Keeps no more in memory for learners than it should: those who are sent a snapshot, and miss
    /// too much meanwhile, are sent away; the others get it from the log.
    pub(super) fn bound_history(&mut self, core: &Core, effects: &mut Vec<Effect>) {
        if core.history.kept_bytes() <= HISTORY_BYTES_MAX {
            return;
        }
        let mut stragglers = Vec::new();
        for (&link, learner) in &mut self.learners {
            match &mut learner.stage {
                Stage::TakesSnapshot { last_applied }
                    if core.history.bytes_after(*last_applied) > HISTORY_BYTES_MAX =>
                {
                    stragglers.push(link);
                }
                Stage::ReadsLog { is_kept, .. } => *is_kept = false,
                _ => {}
            }
        }
        for link in stragglers {
            self.dismiss(link, CloseReason::FarBehind, effects);
        }
    }

    /// Sends a snapshot to a learner that was to get what the log has, unless too many get one.
    fn send_snapshot_instead(&mut self, core: &mut Core, link: Link, effects: &mut Vec<Effect>) {
        match begin(core, &mut self.learners, link, Way::Snapshot) {
            true => self.send_snapshot(core, link, effects),
            false => self.dismiss(link, CloseReason::Crowded, effects),
        }
    }

    /// Goes on from memory where the log was read to, unless that is too much at once or was let go:
    /// then with more of the log.
    fn leave_log(&mut self, core: &Core, link: Link, sent: Zxid, effects: &mut Vec<Effect>) {
        let history = &core.history;
        let is_there = sent >= history.kept_after();
        let up_to = history.last_synced().min(self.history_end(core));
        let is_little = history.bytes_after(sent) <= SENT_FROM_MEMORY_BYTES_MAX;
        if is_there && (is_little || up_to <= sent) {
            effects.push(Effect::StopReading { link });
            return self.send_history(core, link, sent, effects);
        }
        let Some(learner) = self.learners.get_mut(&link) else { return };
        learner.stage = Stage::ReadsLog { after: sent, up_to, is_told: true, is_kept: true };
        effects.push(Effect::ReadLog { link, after: sent, up_to });
    }

    /// What should be in the log is not there: learners get snapshots from now on. This one comes
    /// back, with what it has got.
    fn distrust_log(&mut self, link: Link, effects: &mut Vec<Effect>) {
        warn!("the log can not be read for learners, they are sent snapshots from now on");
        self.is_log_sound = false;
        self.dismiss(link, CloseReason::LogUnreadable, effects);
    }
}

impl LogReading {
    /// Whether so much of the log should be read instead of a snapshot.
    fn is_worth(self, place: LogPlace) -> bool {
        let LogPlace { bytes, snapshot_bytes, .. } = place;
        match self {
            Self::Off => false,
            Self::Unlimited => true,
            Self::Share(_) if bytes <= LOG_BYTES_FREE => true,
            Self::Share(share) => {
                snapshot_bytes.is_some_and(|snapshot| bytes as f64 <= snapshot as f64 * share)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_read_if_it_is_short_beside_a_snapshot() {
        let check = |reading: LogReading, bytes, snapshot_bytes| {
            reading.is_worth(LogPlace { after: Zxid::ZERO, bytes, snapshot_bytes })
        };
        let third = LogReading::Share(0.33);
        assert!(check(third, 33_000_000, Some(100_000_000)));
        assert!(!check(third, 33_000_001, Some(100_000_000)));
        assert!(!check(third, 33_000_000, None));
        assert!(check(third, LOG_BYTES_FREE, None), "little is always read");
        assert!(check(LogReading::Unlimited, u64::MAX, None));
        assert!(!check(LogReading::Off, 0, Some(100)));
    }
}
