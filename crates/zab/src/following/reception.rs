//! Proposals on their way from the leader into the log.

use std::sync::Arc;

use types::{Counter, Epoch, Zxid};
use wire::quorum::Proposal;
use wire::stored::LogBatch;

use crate::effect::Effect;
use crate::misbehaved::PeerMisbehaved;
use crate::peer::Core;

/// What arrived and was not handed to the log yet.
#[derive(Clone, Debug)]
pub(super) struct Reception {
    batch: LogBatch,
    /// Of the leader: nothing is later.
    epoch: Epoch,
    /// What arrives up to here is in the log already.
    logged: Zxid,
    /// The last that arrived, or the end of the log before.
    last: Zxid,
}

impl Reception {
    /// What comes has to follow `last`, and to be of `epoch` at the latest.
    pub(super) fn after(last: Zxid, epoch: Epoch) -> Self {
        Self { batch: LogBatch::new(), epoch, logged: last, last }
    }

    /// As [`Self::after`], when what comes up to `logged` is in the log already.
    pub(super) fn again_after(last: Zxid, epoch: Epoch, logged: Zxid) -> Self {
        Self { logged, ..Self::after(last, epoch) }
    }

    /// Takes a proposal, which has to be the next of its epoch or the first of a later one.
    pub(super) fn take(&mut self, proposal: Proposal<'_>) -> Result<Zxid, PeerMisbehaved> {
        let found = proposal.zxid();
        let begins_epoch = found.epoch() > self.last.epoch() && found.counter() == Counter(1);
        let is_next = Some(found) == self.last.next() || begins_epoch;
        if !is_next {
            return Err(PeerMisbehaved::ProposalGap { last: self.last, found });
        }
        if found.epoch() > self.epoch {
            let (expected, found) = (self.epoch, found.epoch());
            return Err(PeerMisbehaved::OtherEpoch { expected, found });
        }
        if found > self.logged {
            self.batch.push_proposal(proposal);
        }
        self.last = found;
        Ok(found)
    }

    /// Hands everything to the log.
    pub(super) fn log(&mut self, core: &mut Core, effects: &mut Vec<Effect>) {
        if self.batch.is_empty() {
            return;
        }
        let batch = Arc::new(self.batch.take());
        core.history.append(Arc::clone(&batch));
        effects.push(Effect::Append(batch));
    }

    /// The last that arrived, or the end of the log before.
    pub(super) const fn last(&self) -> Zxid {
        self.last
    }

    /// How many bytes arrived and were not handed to the log yet.
    pub(super) fn bytes(&self) -> usize {
        self.batch.as_bytes().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_out_where_an_epoch_begins() {
        let at = |epoch, counter| Zxid::new(Epoch(epoch), Counter(counter));
        let takes = |found: Zxid| {
            let mut payload = vec![0; 12];
            payload.extend_from_slice(&found.raw().to_be_bytes());
            let proposal = Proposal::new(&payload).expect("long enough");
            Reception::after(at(2, 9), Epoch(4)).take(proposal).is_ok()
        };
        for (found, expected) in [
            (at(2, 10), true),
            (at(3, 1), true),
            (at(4, 1), true),
            (at(2, 9), false),
            (at(2, 11), false),
            (at(3, 0), false),
            (at(3, 2), false),
            (at(5, 1), false),
        ] {
            assert_eq!(takes(found), expected, "{found}");
        }
    }
}
