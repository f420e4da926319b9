//! What Apache's learners rely on, and ours do not: whatever one of them asks is decided in the order in
//! which it asks, syncs among it.

use std::collections::{BTreeMap, VecDeque};

use types::{Op, SessionId, Xid, Zxid};
use wire::quorum::{Proposal, ToLeader, ToLearner};
use wire::stored::decode_txn;
use zab::Link;

type Key = (SessionId, Xid);

/// What learners asked and were told, by their ends of the connections.
#[derive(Default)]
pub(crate) struct Turns(BTreeMap<Link, Learner>);

#[derive(Default)]
struct Learner {
    /// What is not decided, oldest first; `None`: a sync.
    asked: VecDeque<Option<Key>>,
    proposed: BTreeMap<Zxid, Key>,
}

impl Turns {
    pub(crate) fn ask(&mut self, link: Link, mut bytes: &[u8]) {
        while let Some((packet, taken)) = ToLeader::decode(bytes, 1 << 20).expect("ours") {
            bytes = &bytes[taken..];
            let ToLeader::Request(forwarded) = packet else { continue };
            let request = forwarded.request().expect("ours");
            let is_sync = matches!(request.op, Op::Sync { .. });
            let key = (!is_sync).then_some((forwarded.session, request.xid));
            self.0.entry(link).or_default().asked.push_back(key);
        }
    }

    pub(crate) fn tell(&mut self, link: Link, mut bytes: &[u8]) {
        let learner = self.0.entry(link).or_default();
        while let Some((packet, taken)) = ToLearner::decode(bytes, 1 << 20).expect("ours") {
            bytes = &bytes[taken..];
            match packet {
                ToLearner::Proposal(proposal) => learner.propose(&proposal),
                ToLearner::Commit { zxid } | ToLearner::CommitAndActivate { zxid, .. } => {
                    learner.decide(zxid);
                }
                ToLearner::Inform(proposal) | ToLearner::InformAndActivate { proposal, .. } => {
                    learner.propose(&proposal);
                    learner.decide(proposal.zxid());
                }
                ToLearner::Sync => {
                    let first = learner.asked.pop_front();
                    assert_eq!(first, Some(None), "a sync is answered before its turn");
                }
                _ => {}
            }
        }
    }
}

impl Learner {
    fn propose(&mut self, proposal: &Proposal<'_>) {
        let (header, ..) = decode_txn(proposal.payload()).expect("a transaction");
        self.proposed.insert(header.zxid, (header.session, header.cxid));
    }

    fn decide(&mut self, zxid: Zxid) {
        let Some(key) = self.proposed.remove(&zxid) else { return };
        let turn = self.asked.iter().position(|asked| *asked == Some(key));
        assert!(turn.is_none_or(|turn| turn == 0), "{key:?} is decided before {:?}", self.asked);
        if turn.is_some() {
            self.asked.pop_front();
        }
    }
}
