//! Ends of logs, damage in them, and the older forms of snapshots.

use types::{SessionId, Txn, TxnHeader, Xid, Zxid};
use wire::jute::{DecodeError, Reader, put_int, put_long, put_text};
use wire::limits::STORED_BYTES_MAX;
use wire::quorum::Proposal;
use wire::stored::snapshot::{self, StoredDigest, TrailingBlocks};
use wire::stored::{
    Checksum, EntryEnd, EntryError, FileHeader, FileKind, LogBatch, NextEntry, decode_txn,
    next_entry,
};

fn entry() -> Vec<u8> {
    let header =
        TxnHeader { session: SessionId(1), cxid: Xid(2), zxid: Zxid::from_raw(3), time_ms: 4 };
    let mut batch = LogBatch::new();
    batch.push(&header, &Txn::Delete { path: "/a".into() }, None);
    batch.as_bytes().to_vec()
}

fn next(input: &[u8]) -> Result<NextEntry<'_>, EntryError> {
    next_entry(input, STORED_BYTES_MAX)
}

fn end(input: &[u8]) -> EntryEnd {
    match next(input) {
        Ok(NextEntry::End(end)) => end,
        other => panic!("no end: {other:?}"),
    }
}

#[test]
fn a_log_ends_where_an_entry_does_not() {
    let entry = entry();
    assert_eq!(end(&[]), EntryEnd::Clean);
    assert_eq!(end(&[0; 12]), EntryEnd::Padding);
    assert_eq!(end(&[0; 100]), EntryEnd::Padding);
    assert_eq!(end(&[0; 5]), EntryEnd::Truncated { needed: 7 });
    assert_eq!(end(&entry[..10]), EntryEnd::Truncated { needed: 2 });
    for cut in 12..entry.len() {
        assert_eq!(end(&entry[..cut]), EntryEnd::Truncated { needed: entry.len() - cut });
    }
    let mut unfinished = entry;
    *unfinished.last_mut().expect("not empty") = 0;
    assert_eq!(end(&unfinished), EntryEnd::Unfinished);
}

#[test]
fn damage_is_told_from_an_end() {
    let mut damaged = entry();
    damaged[20] ^= 1;
    assert!(matches!(next(&damaged), Err(EntryError::Checksum { .. })));

    // The sum is stored in eight bytes; what is in the upper four counts too.
    let mut damaged = entry();
    damaged[0] = 1;
    assert!(matches!(next(&damaged), Err(EntryError::Checksum { .. })));

    for length in [-1, i32::MIN, i32::MAX] {
        let mut damaged = entry();
        damaged[8..12].copy_from_slice(&length.to_be_bytes());
        let error = EntryError::UnreasonableLength { length, bytes_max: STORED_BYTES_MAX };
        assert_eq!(next(&damaged), Err(error));
    }
}

#[test]
fn a_batch_takes_payloads_that_others_encoded() {
    let entry = entry();
    let mut batch = LogBatch::new();
    let proposal = Proposal::new(&entry[12..entry.len() - 1]).expect("long enough");
    let payload = batch.push_proposal(proposal);
    assert_eq!(batch.as_bytes(), entry);
    assert_eq!(batch.proposals().collect::<Vec<_>>(), [proposal]);
    assert_eq!(payload, 12..entry.len() - 1);
    assert_eq!(batch.last_zxid(), Some(Zxid::from_raw(3)));
}

#[test]
fn transactions_without_a_place_in_a_log_are_refused() {
    for kind in [-12, 0, 3, 13, 22, 99] {
        let mut payload = vec![0; 28];
        put_int(&mut payload, kind);
        put_text(&mut payload, "/a");
        put_int(&mut payload, 0);
        let error = decode_txn(&payload).expect_err("refused");
        let expected =
            DecodeError::Unknown { offset: 32, field: "transaction type", value: kind.into() };
        assert_eq!(error, expected);
    }
}

#[test]
fn errors_within_a_multi_may_be_of_any_length() {
    for (record, code) in [(&[][..], 0), (&[0xff; 4], -1), (&[1; 3], 0), (&[1; 5], 0)] {
        let mut payload = vec![0; 28];
        put_int(&mut payload, 14);
        put_int(&mut payload, 1);
        put_int(&mut payload, -1);
        wire::jute::put_buffer(&mut payload, Some(record));
        let (_, txn, _) = decode_txn(&payload).expect("a multi");
        assert_eq!(txn, Txn::Multi(vec![Txn::Error { code }]));
    }
}

#[test]
fn kinds_of_files() {
    for (start, kind) in [(b"ZKLG", FileKind::Log), (b"ZKSN", FileKind::Snapshot)] {
        let mut bytes = start.to_vec();
        bytes.extend_from_slice(&[7; 12]);
        let header = FileHeader::decode(&mut Reader::new(&bytes)).expect("a header");
        assert_eq!(header.kind, kind);
        for cut in 0..FileHeader::BYTES {
            let cut = FileHeader::decode(&mut Reader::new(&bytes[..cut]));
            assert!(matches!(cut, Err(DecodeError::Truncated { .. })));
        }
    }
    let other = FileHeader::decode(&mut Reader::new(&[0x1f; 16]));
    assert!(matches!(other, Err(DecodeError::Unknown { field: "magic", .. })));
}

#[test]
fn blocks_after_the_first_seal_are_told_by_their_length() {
    assert_eq!(TrailingBlocks::of_remaining(0), Some(TrailingBlocks::Absent));
    assert_eq!(TrailingBlocks::of_remaining(33), Some(TrailingBlocks::Digest));
    assert_eq!(TrailingBlocks::of_remaining(21), Some(TrailingBlocks::LastZxid));
    assert_eq!(TrailingBlocks::of_remaining(54), Some(TrailingBlocks::DigestAndLastZxid));
    assert_eq!(TrailingBlocks::of_remaining(1), None);
}

#[test]
fn digests_of_old_versions_are_skipped() {
    let mut bytes = Vec::new();
    put_long(&mut bytes, 5);
    put_int(&mut bytes, 1);
    put_text(&mut bytes, "51c6d660");
    let mut reader = Reader::new(&bytes);
    let expected = StoredDigest { zxid: Zxid::from_raw(5), digest: None };
    assert_eq!(snapshot::decode_digest(&mut reader), Ok(expected));
    assert!(reader.is_empty());
}

#[test]
fn seals_have_a_sum_of_four_bytes_and_a_slash() {
    let mut wide = Vec::new();
    put_long(&mut wide, 1 << 32);
    put_text(&mut wide, "/");
    assert!(matches!(
        snapshot::decode_seal(&mut Reader::new(&wide)),
        Err(DecodeError::Unknown { .. })
    ));
    let mut other = Vec::new();
    put_long(&mut other, 1);
    put_text(&mut other, "//");
    assert!(matches!(
        snapshot::decode_seal(&mut Reader::new(&other)),
        Err(DecodeError::Unknown { .. })
    ));
}

#[test]
fn a_sum_can_grow_in_pieces() {
    let bytes = entry();
    let mut sum = Checksum::default();
    for piece in bytes.chunks(7) {
        sum.update(piece);
    }
    assert_eq!(sum.value(), Checksum::of(&bytes));
    assert_eq!(Checksum::default().value(), 1);
}
