//! The digest: one number that two servers in the same state agree on.
//!
//! The digest of the tree is the sum, modulo 2^64, of the digests of its znodes, so that a change
//! costs only the znodes it touches. A znode's digest is the CRC-32 of its path, its data and its
//! stored numbers. The part over path and data is kept with each znode: the creation of a child
//! changes its parent's numbers, and the parent's data need not be read again for that.
//!
//! Znodes below `/zookeeper` do not count: servers keep usage of quotas there, each on its own. Nor
//! do access control lists, beyond the count of their changes.

use crc32fast::Hasher;
use types::StoredStat;

/// Whether the znode of this path counts in the digest of the tree.
pub fn counts(path: &str) -> bool {
    !path.starts_with("/zookeeper/")
}

/// CRC-32 of a path and the data found there; null data is as empty. The root's path is "".
pub fn content_crc(path: &str, data: Option<&[u8]>) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(if path == "/" { b"" } else { path.as_bytes() });
    hasher.update(data.unwrap_or_default());
    hasher.finalize()
}

/// A znode's share in the digest of the tree, if it [`counts`].
pub fn node(content_crc: u32, stat: &StoredStat) -> u64 {
    let mut hasher = Hasher::new_with_initial(content_crc);
    hasher.update(&stat.digest_bytes());
    u64::from(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use types::Zxid;

    use super::*;

    #[test]
    fn znodes_have_the_digests_that_java_members_compute() {
        let zero = StoredStat::default();
        assert_eq!(node(content_crc("", Some(b"")), &zero), 68_323_592);
        assert_eq!(node(content_crc("/", None), &zero), 68_323_592);
        assert_eq!(node(content_crc("/zookeeper", Some(b"")), &zero), 1_303_661_912);
        let zxid = Zxid::from_raw(3);
        let time_ms = 1_700_000_000_000;
        let a = StoredStat {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime_ms: time_ms,
            mtime_ms: time_ms,
            ..zero
        };
        assert_eq!(node(content_crc("/a", Some(b"x")), &a), 113_906_799);
        let root = StoredStat { cversion: 1, pzxid: zxid, ..zero };
        assert_eq!(node(content_crc("", Some(b"")), &root), 2_212_851_693);
    }

    #[test]
    fn the_service_subtree_does_not_count_but_its_root_does() {
        assert!(counts(""));
        assert!(counts("/zookeeper"));
        assert!(counts("/zookeepers"));
        assert!(!counts("/zookeeper/config"));
        assert!(!counts("/zookeeper/quota/a/zookeeper_stats"));
    }
}
