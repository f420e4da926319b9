//! Digests of the tree after earlier transactions, by which operators compare servers.

use std::collections::VecDeque;

use types::Zxid;

use crate::limits::{DIGEST_INTERVAL, DIGESTS_MAX};

/// The latest of them, at transactions that are the same on every server.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    oldest_first: VecDeque<(Zxid, u64)>,
}

impl Digests {
    /// A transaction was applied, with this digest of the tree after it; `None` if digests are off.
    pub(crate) fn applied(&mut self, zxid: Zxid, digest: Option<u64>) {
        let Some(digest) = digest.filter(|_| zxid.raw() % DIGEST_INTERVAL == 0) else { return };
        if self.oldest_first.len() == DIGESTS_MAX {
            self.oldest_first.pop_front();
        }
        self.oldest_first.push_back((zxid, digest));
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
    fn nothing_is_remembered_while_digests_are_off() {
        let mut digests = Digests::default();
        digests.applied(Zxid::from_raw(128), None);
        assert_eq!(digests.iter().count(), 0);
    }
}
