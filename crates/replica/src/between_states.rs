//! Learners whose trees are between two states: they were sent while transactions went on.
//!
//! Until such a learner has everything that was applied meanwhile, no server was ever in the state of its
//! tree. Apache's servers compare digests all the same, and count and log every transaction as one after
//! which the trees differ, which operators have to take for the loss of data. So these transactions go to
//! it without their digests, as from a leader that keeps none.

use types::Zxid;
use wire::quorum::{Proposal, ToLearner};
use zab::{LeaderPacket, Link};

/// Who they are, and up to which transaction.
#[derive(Debug, Default)]
pub(crate) struct BetweenStates {
    until: Vec<(Link, Zxid)>,
}

impl BetweenStates {
    /// A learner was sent a snapshot, which may have something of each transaction up to this one.
    pub(crate) fn sent(&mut self, learner: Link, last_applied: Zxid) {
        self.forget(learner);
        self.until.push((learner, last_applied));
    }

    /// A learner is gone, or gets another snapshot.
    pub(crate) fn forget(&mut self, learner: Link) {
        self.until.retain(|&(link, _)| link != learner);
    }

    /// Encodes what such a learner is sent; `None` if it is sent as it is.
    pub(crate) fn encode(&mut self, learner: Link, packet: &LeaderPacket) -> Option<Vec<u8>> {
        let (_, until) = *self.until.iter().find(|(link, _)| *link == learner)?;
        // The membership is in no digest.
        packet.batch()?;
        let mut bytes = Vec::new();
        let mut newest = Zxid::ZERO;
        packet.unfold(|packet| match *packet {
            ToLearner::Proposal(proposal) => {
                newest = proposal.zxid();
                ToLearner::Proposal(bare(proposal, until)).encode(&mut bytes);
            }
            ToLearner::Inform(proposal) => {
                newest = proposal.zxid();
                ToLearner::Inform(bare(proposal, until)).encode(&mut bytes);
            }
            ref packet => packet.encode(&mut bytes),
        });
        if newest > until {
            self.forget(learner);
        }
        Some(bytes)
    }
}

/// A transaction without its digest, unless it comes later.
fn bare(proposal: Proposal<'_>, until: Zxid) -> Proposal<'_> {
    if proposal.zxid() > until {
        return proposal;
    }
    // What can not be read here is refused by the learner.
    proposal.without_digest().unwrap_or(proposal)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use types::{SessionId, Txn, TxnDigest, TxnHeader, Xid};
    use wire::stored::{LogBatch, decode_txn};

    use super::*;

    const LEARNER: Link = Link(7);

    fn zxid(counter: i64) -> Zxid {
        Zxid::from_raw(0x3_0000_0000 | counter)
    }

    fn batch(counters: std::ops::RangeInclusive<i64>) -> Arc<LogBatch> {
        let mut batch = LogBatch::new();
        for counter in counters {
            let header =
                TxnHeader { session: SessionId(1), cxid: Xid(1), zxid: zxid(counter), time_ms: 9 };
            let digest = TxnDigest { version: TxnDigest::VERSION, tree: counter.unsigned_abs() };
            batch.push(&header, &Txn::CloseSession { paths: None }, Some(digest));
        }
        Arc::new(batch)
    }

    /// Which transactions these bytes have, each with its digest.
    fn read(mut bytes: &[u8]) -> Vec<(Zxid, Option<u64>)> {
        let mut found = Vec::new();
        while let Some((packet, taken)) = ToLearner::decode(bytes, 1 << 20).expect("ours") {
            if let ToLearner::Proposal(proposal) | ToLearner::Inform(proposal) = packet {
                let (_, _, digest) = decode_txn(proposal.payload()).expect("a transaction");
                found.push((proposal.zxid(), digest.map(|it| it.tree)));
            }
            bytes = &bytes[taken..];
        }
        found
    }

    #[test]
    fn what_may_be_in_a_snapshot_is_sent_without_digests() {
        let mut learners = BetweenStates::default();
        let (first, last) = (zxid(1), zxid(4));
        for packet in [
            LeaderPacket::Proposals { batch: batch(1..=4), first },
            LeaderPacket::Committed { batch: batch(1..=4), first, last },
            LeaderPacket::Informs { batch: batch(1..=4), first, last },
        ] {
            learners.sent(LEARNER, zxid(2));
            assert_eq!(learners.encode(Link(8), &packet), None, "another learner");
            let bytes = learners.encode(LEARNER, &packet).expect("other bytes");
            let expected =
                [(zxid(1), None), (zxid(2), None), (zxid(3), Some(3)), (zxid(4), Some(4))];
            assert_eq!(read(&bytes), expected);
            assert_eq!(learners.encode(LEARNER, &packet), None, "it has everything");
        }
    }

    #[test]
    fn everything_else_is_sent_as_it_is() {
        let mut learners = BetweenStates::default();
        learners.sent(LEARNER, zxid(2));
        for packet in [
            LeaderPacket::Commits { first: zxid(1), last: zxid(3) },
            LeaderPacket::Ping { last_proposed: zxid(9) },
            LeaderPacket::UpToDate,
        ] {
            assert_eq!(learners.encode(LEARNER, &packet), None, "{packet:?}");
        }
        let packet = LeaderPacket::Proposals { batch: batch(1..=1), first: zxid(1) };
        assert!(learners.encode(LEARNER, &packet).is_some());
        learners.forget(LEARNER);
        assert_eq!(learners.encode(LEARNER, &packet), None, "the learner is gone");
    }
}
