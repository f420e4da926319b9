//! Digests of the tree: those after earlier transactions, by which operators compare servers, and those
//! that come with transactions, by which a server sees that its tree is not the leader's.

use std::collections::VecDeque;

use types::{TxnDigest, Zxid};

use crate::limits::{DIGEST_INTERVAL, DIGESTS_MAX};

/// The latest of them, at transactions that are the same on every server.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    oldest_first: VecDeque<(Zxid, u64)>,
    /// Whether the tree may be between two states, as one that was sent while transactions went on:
    /// until a digest has agreed.
    is_between_states: bool,
}

impl Digests {
    /// A transaction was applied, with this digest of the tree after it; `None` if digests are off.
    pub(crate) fn applied(&mut self, zxid: Zxid, digest: Option<u64>) {
        let is_told = zxid.raw() % DIGEST_INTERVAL == 0 && !self.is_between_states;
        let Some(digest) = digest.filter(|_| is_told) else { return };
        if self.oldest_first.len() == DIGESTS_MAX {
            self.oldest_first.pop_front();
        }
        self.oldest_first.push_back((zxid, digest));
    }

    /// The tree is another one, which was sent while transactions went on.
    pub(crate) fn replaced(&mut self) {
        self.oldest_first.clear();
        self.is_between_states = true;
    }

    /// Whether the tree after a transaction is not the one that came out where it was decided, as far
    /// as digests tell: `decided` is the one that came with the transaction.
    pub(crate) fn differ(&mut self, decided: Option<TxnDigest>, here: Option<u64>) -> bool {
        let (Some(decided), Some(here)) = (decided, here) else { return false };
        if decided.version != TxnDigest::VERSION {
            return false;
        }
        let is_equal = decided.tree == here;
        self.is_between_states &= !is_equal;
        !is_equal && !self.is_between_states
    }

    /// What is remembered, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Zxid, u64)> {
        self.oldest_first.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_of_every_128th_transaction_are_remembered() {
        let mut digests = Digests::default();
        for zxid in 1..=128 * 1_100 {
            digests.applied(Zxid::from_raw(zxid), Some(zxid.unsigned_abs()));
        }
        let remembered: Vec<_> = digests.iter().collect();
        assert_eq!(remembered.len(), 1_024);
        assert_eq!(remembered[0], (Zxid::from_raw(128 * 77), 128 * 77));
        assert_eq!(remembered[1_023], (Zxid::from_raw(128 * 1_100), 128 * 1_100));
    }

    #[test]
    fn a_tree_differs_by_its_digest() {
        let decided = |tree| Some(TxnDigest { version: TxnDigest::VERSION, tree });
        let mut digests = Digests::default();
        assert!(!digests.differ(decided(7), Some(7)));
        assert!(digests.differ(decided(7), Some(8)));
        assert!(!digests.differ(decided(7), None), "digests are off here");
        assert!(!digests.differ(None, Some(7)), "or at the leader");
        let old = TxnDigest { version: TxnDigest::VERSION - 1, tree: 7 };
        assert!(!digests.differ(Some(old), Some(8)));
    }

    #[test]
    fn a_tree_that_was_sent_is_compared_once_it_has_agreed() {
        let decided = |tree| Some(TxnDigest { version: TxnDigest::VERSION, tree });
        let mut digests = Digests::default();
        digests.applied(Zxid::from_raw(128), Some(1));
        digests.replaced();
        assert_eq!(digests.iter().count(), 0);
        assert!(!digests.differ(decided(7), Some(8)));
        digests.applied(Zxid::from_raw(256), Some(8));
        assert_eq!(digests.iter().count(), 0, "operators would take it for another tree");
        assert!(!digests.differ(decided(7), Some(7)));
        digests.applied(Zxid::from_raw(384), Some(7));
        assert_eq!(digests.iter().count(), 1);
        assert!(digests.differ(decided(7), Some(8)));
    }

    #[test]
    fn nothing_is_remembered_while_digests_are_off() {
        let mut digests = Digests::default();
        digests.applied(Zxid::from_raw(128), None);
        assert_eq!(digests.iter().count(), 0);
    }
}
