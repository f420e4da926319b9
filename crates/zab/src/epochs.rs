//! The two epochs that a server keeps.

use types::{Epoch, mutant};

use crate::effect::Effect;

/// What a server has decided about epochs, and how much of that is durable. What was decided in one
/// role binds the next, also while it is still being stored.
#[derive(Clone, Debug)]
pub(crate) struct Epochs {
    accepted: Kept,
    current: Kept,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    decided: Epoch,
    stored: Epoch,
    /// How often it is still to be stored.
    under_way: u32,
}

impl Epochs {
    /// Of a server that starts. Who has adopted an epoch has accepted it, whatever the files say.
    pub(crate) fn recovered(accepted: Epoch, current: Epoch) -> Self {
        Self { accepted: Kept::stored(accepted.max(current)), current: Kept::stored(current) }
    }

    /// Promises to follow nobody who leads in an earlier epoch.
    pub(crate) fn accept(&mut self, epoch: Epoch, effects: &mut Vec<Effect>) {
        assert!(epoch > self.accepted.decided, "accepted epochs never decrease");
        if mutant::active(26) {
            self.accepted = Kept::stored(epoch);
            return;
        }
        self.accepted.decide(epoch);
        effects.push(Effect::StoreAcceptedEpoch(epoch));
    }

    /// Makes it known that the log holds the history of this epoch's leader.
    pub(crate) fn adopt(&mut self, epoch: Epoch, effects: &mut Vec<Effect>) {
        assert!(epoch <= self.accepted.stored, "who adopts an epoch has accepted it");
        assert!(epoch >= self.current.decided, "current epochs never decrease");
        self.current.decide(epoch);
        effects.push(Effect::StoreCurrentEpoch(epoch));
    }

    pub(crate) fn accepted_is_stored(&mut self, epoch: Epoch) {
        self.accepted.is_stored(epoch);
    }

    pub(crate) fn current_is_stored(&mut self, epoch: Epoch) {
        self.current.is_stored(epoch);
    }

    /// The last epoch that was accepted.
    pub(crate) const fn accepted(&self) -> Epoch {
        self.accepted.decided
    }

    /// The last epoch that was adopted.
    pub(crate) const fn current(&self) -> Epoch {
        self.current.decided
    }

    /// Whether all that was decided is durable.
    pub(crate) fn are_stored(&self) -> bool {
        [self.accepted, self.current].iter().all(|kept| kept.under_way == 0)
    }
}

impl Kept {
    const fn stored(epoch: Epoch) -> Self {
        Self { decided: epoch, stored: epoch, under_way: 0 }
    }

    const fn decide(&mut self, epoch: Epoch) {
        self.decided = epoch;
        self.under_way += 1;
    }

    fn is_stored(&mut self, epoch: Epoch) {
        self.stored = self.stored.max(epoch);
        self.under_way = self.under_way.saturating_sub(1);
    }
}
