//! The digest: one number that two servers in the same state agree on.
//!
//! The digest of the tree is the sum, modulo 2^64, of the digests of its znodes, so that a change
//! costs only the znodes it touches. A znode's digest is the CRC-32 of its path, its data and its
//! stored numbers, and is kept with it. The creation of a child changes its parent's numbers, and the
//! parent's data need not be read again for that: a CRC is linear, so the digest changes by what the
//! numbers changed ([`renumbered`]).
//!
//! Znodes below `/zookeeper` do not count: servers keep usage of quotas there, each on its own. Nor
//! do access control lists, beyond the count of their changes.

use crc32fast::Hasher;
use types::StoredStat;

/// Bytes of path, data and numbers up to which they are put together to be hashed: most znodes are shorter.
const IN_ONE_PIECE_BYTES_MAX: usize = 512;

/// Whether the znode of this path counts in the digest of the tree.
pub fn counts(path: &str) -> bool {
    !path.starts_with("/zookeeper/")
}

/// The digest of a znode with these contents: its share in that of the tree, if it [`counts`]. Null data is
/// as empty; the root is "" or "/".
pub fn node(path: &str, data: Option<&[u8]>, stat: &StoredStat) -> u32 {
    let path = if path == "/" { b"" } else { path.as_bytes() };
    let parts = [path, data.unwrap_or_default(), &stat.digest_bytes()];
    // In one piece they take a third of the time, as most are short.
    let mut whole = [0; IN_ONE_PIECE_BYTES_MAX];
    let mut bytes = 0;
    for part in parts {
        let Some(slot) = whole.get_mut(bytes..bytes + part.len()) else { return in_pieces(parts) };
        slot.copy_from_slice(part);
        bytes += part.len();
    }
    crc32fast::hash(&whole[..bytes])
}

fn in_pieces(parts: [&[u8]; 3]) -> u32 {
    let mut hasher = Hasher::new();
    parts.into_iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// What becomes of the digest of a znode when only its numbers change.
pub fn renumbered(digest: u32, before: &StoredStat, after: &StoredStat) -> u32 {
    let mut difference = before.digest_bytes();
    difference.iter_mut().zip(after.digest_bytes()).for_each(|(byte, after)| *byte ^= after);
    // Of two texts of equal length that begin alike, the CRCs differ by that of the difference, without what
    // is added at its beginning and end.
    let mut hasher = Hasher::new_with_initial(u32::MAX);
    hasher.update(&difference);
    digest ^ !hasher.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::{Owner, Zxid};

    use super::*;

    #[test]
    fn znodes_have_the_digests_that_java_members_compute() {
        let zero = StoredStat::default();
        assert_eq!(node("", Some(b""), &zero), 68_323_592);
        assert_eq!(node("/", None, &zero), 68_323_592);
        assert_eq!(node("/zookeeper", Some(b""), &zero), 1_303_661_912);
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
        assert_eq!(node("/a", Some(b"x"), &a), 113_906_799);
        let root = StoredStat { cversion: 1, pzxid: zxid, ..zero };
        assert_eq!(node("", Some(b""), &root), 2_212_851_693);
    }

    fn stats() -> impl Strategy<Value = StoredStat> {
        (any::<[i64; 6]>(), any::<[i32; 3]>()).prop_map(|(longs, ints)| StoredStat {
            czxid: Zxid::from_raw(longs[0]),
            mzxid: Zxid::from_raw(longs[1]),
            pzxid: Zxid::from_raw(longs[2]),
            ctime_ms: longs[3],
            mtime_ms: longs[4],
            version: ints[0],
            cversion: ints[1],
            aversion: ints[2],
            owner: Owner::from_raw(longs[5]),
        })
    }

    proptest! {
        #[test]
        fn a_digest_is_the_same_in_one_piece_and_renumbered(
            path in "/[a-z/]{1,40}",
            data in prop::collection::vec(any::<u8>(), 0..2 * IN_ONE_PIECE_BYTES_MAX),
            before in stats(),
            after in stats(),
        ) {
            let digest = |stat: &StoredStat| node(&path, Some(&data), stat);
            prop_assert_eq!(digest(&before), in_pieces([path.as_bytes(), &data, &before.digest_bytes()]));
            prop_assert_eq!(renumbered(digest(&before), &before, &after), digest(&after));
        }
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
