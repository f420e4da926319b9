//! Conversations with Apache servers and the files they left, read and written again.
//!
//! How they were made: `tests/golden/README.md`.

#[path = "support/frames.rs"]
mod frames;
#[path = "support/hex.rs"]
mod hex;

use std::collections::VecDeque;

use frames::body;
use hex::bytes;
use types::{
    CreateCall, ErrorCode, MultiOp, Op, Read, Txn, TxnDigest, TxnHeader, Write, Xid, Zxid,
};
use wire::connect::{ConnectRequest, ConnectResponse};
use wire::event::WatchEvent;
use wire::jute::{self, Reader};
use wire::limits::STORED_BYTES_MAX;
use wire::reply::{self, Body, MultiReadEncoder, MultiReadResult, MultiResult, Reply, ReplyHeader};
use wire::request::{Request, RequestError};
use wire::stored::snapshot::{self, TrailingBlocks};
use wire::stored::{Checksum, EntryEnd, FileHeader, LogBatch, NextEntry, decode_txn, next_entry};

/// What a server of one release said and left.
struct Capture {
    conversation: &'static str,
    log: &'static [u8],
    snapshot: &'static [u8],
}

const OF_3_8_0: Capture = Capture {
    conversation: include_str!("golden/3.8.0/conversation.hex"),
    log: include_bytes!("golden/3.8.0/log.bin"),
    snapshot: include_bytes!("golden/3.8.0/snapshot.bin"),
};

const OF_3_9_5: Capture = Capture {
    conversation: include_str!("golden/3.9.5/conversation.hex"),
    log: include_bytes!("golden/3.9.5/log.bin"),
    snapshot: include_bytes!("golden/3.9.5/snapshot.bin"),
};

/// Requests that mean the same when they are written in the usual way: a createTTL without a time
/// to live, lists and texts that are null.
const ODD: [Xid; 4] = [Xid(101), Xid(112), Xid(113), Xid(121)];

/// A client's request and the frame that answers it.
type Exchange<'a> = (Request<'a>, &'a [u8]);

/// Reads a conversation and writes its requests, events and handshakes again. Returns the requests
/// with their answers; the last request of a conversation is none, and unknown.
fn exchanges<'a>(frames: &'a [(&'static str, Vec<u8>)]) -> Vec<Exchange<'a>> {
    let mut asked = VecDeque::new();
    let mut exchanges = Vec::new();
    for (direction, frame) in frames {
        let mut out = Vec::new();
        match *direction {
            ">>" => ConnectRequest::decode(body(frame)).expect("valid").encode(&mut out),
            "<<" => ConnectResponse::decode(body(frame)).expect("valid").encode(&mut out),
            ">" => match Request::decode(body(frame)) {
                Ok(request) => {
                    request.encode(&mut out);
                    assert_eq!(Request::decode(body(&out)).as_ref(), Ok(&request));
                    if rejection(&request.op).is_some() || ODD.contains(&request.xid) {
                        out.clone_from(frame);
                    }
                    asked.push_back(request);
                }
                Err(error) => {
                    let expected = RequestError::UnknownOpcode { xid: Xid(1), opcode: 99 };
                    assert_eq!(error, expected);
                    out.clone_from(frame);
                }
            },
            "<" => {
                let (header, _) = ReplyHeader::decode(body(frame)).expect("valid");
                if header.xid == Xid::NOTIFICATION {
                    WatchEvent::decode(body(frame)).expect("valid").encode(&mut out);
                } else if let Some(request) = asked.pop_front() {
                    assert_eq!(header.xid, request.xid);
                    exchanges.push((request, &frame[..]));
                    out.clone_from(frame);
                } else {
                    assert_eq!(header.code, ErrorCode::Unimplemented.raw());
                    out.clone_from(frame);
                }
            }
            direction => panic!("unknown direction {direction}"),
        }
        assert_eq!(out, *frame, "{direction} {:?}", asked.back());
    }
    exchanges
}

fn frames(conversation: &'static str) -> Vec<(&'static str, Vec<u8>)> {
    let frame = |line: &'static str| {
        let (direction, hex) = line.split_once(' ').expect("a direction and bytes");
        (direction, bytes(hex))
    };
    conversation.lines().map(frame).collect()
}

const fn rejection(op: &Op<'_>) -> Option<ErrorCode> {
    match op {
        Op::Write(Write::Rejected(code)) | Op::Read(Read::Rejected(code)) => Some(*code),
        _ => None,
    }
}

#[test]
fn each_frame_of_a_conversation_is_understood_and_written_alike() {
    for capture in [OF_3_8_0, OF_3_9_5] {
        let frames = frames(capture.conversation);
        let mut compared = 0;
        for (request, frame) in exchanges(&frames) {
            // An older server may carry out what is rejected here.
            if rejection(&request.op).is_some() || request.xid == Xid(121) {
                continue;
            }
            let mut out = Vec::new();
            encode_again(&request.op, body(frame), &mut out);
            assert_eq!(out, frame, "{request:?}");
            compared += 1;
        }
        assert_eq!(compared, 42);
    }
}

#[test]
fn what_is_rejected_here_is_refused_there_with_the_same_code() {
    let frames = frames(OF_3_9_5.conversation);
    let mut compared = 0;
    for (request, frame) in exchanges(&frames) {
        let (header, _) = ReplyHeader::decode(body(frame)).expect("valid");
        if let Some(code) = rejection(&request.op) {
            assert_eq!(header.code, code.raw(), "{request:?}");
            compared += 1;
        }
        if let Op::Write(Write::Create(create)) = &request.op
            && create.mode.ttl_ms().is_some_and(|ttl_ms| ttl_ms <= 0)
        {
            assert_eq!(header.code, ErrorCode::BadArguments.raw(), "{request:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, 18);
}

#[test]
fn parts_of_a_multi_are_answered_by_the_operation_they_are_taken_for() {
    let frames = frames(OF_3_9_5.conversation);
    let mut compared = 0;
    for (request, frame) in exchanges(&frames) {
        let Op::Write(Write::Multi(ops)) = &request.op else { continue };
        let (_, record) = ReplyHeader::decode(body(frame)).expect("valid");
        let results = reply::decode_multi(record).expect("results");
        assert_eq!(results.len(), ops.len());
        for (op, result) in ops.iter().zip(results) {
            let is_alike = match result {
                MultiResult::Created { .. } => {
                    matches!(op, MultiOp::Create(create) if create.call == CreateCall::Create)
                }
                MultiResult::Created2 { .. } => {
                    matches!(op, MultiOp::Create(create) if create.call != CreateCall::Create)
                }
                MultiResult::Deleted => matches!(op, MultiOp::Delete { .. }),
                MultiResult::DataSet(_) => matches!(op, MultiOp::SetData { .. }),
                MultiResult::Checked => matches!(op, MultiOp::Check { .. }),
                MultiResult::Failed { .. } => true,
            };
            assert!(is_alike, "{op:?} is answered by {result:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, 13);
}

/// Reads a reply as the client that asked `op`, and writes it as a server.
fn encode_again(op: &Op<'_>, body: &[u8], out: &mut Vec<u8>) {
    let (ReplyHeader { xid, zxid, code }, record) = ReplyHeader::decode(body).expect("valid");
    let mut encode = |result: Result<Body<'_>, ErrorCode>| Reply { xid, zxid, result }.encode(out);
    if code != 0 {
        return encode(Err(ErrorCode::from_raw(code).expect("a known code")));
    }
    match op {
        Op::Ping | Op::Auth(_) | Op::CloseSession => encode(Ok(Body::Empty)),
        Op::Sync { .. } => encode(Ok(Body::Path(&reply::decode_path(record).expect("a path")))),
        Op::Write(write) => match write {
            Write::Create(create) if create.call == CreateCall::Create => {
                encode(Ok(Body::Path(&reply::decode_path(record).expect("a path"))));
            }
            Write::Create(_) => {
                let reply = reply::decode_path_and_stat(record).expect("path and stat");
                encode(Ok(Body::PathAndStat { path: &reply.path, stat: &reply.stat }));
            }
            Write::Delete { .. } => encode(Ok(Body::Empty)),
            Write::SetData { .. } | Write::SetAcl { .. } => {
                encode(Ok(Body::Stat(&reply::decode_stat(record).expect("a stat"))));
            }
            Write::Multi(_) => {
                encode(Ok(Body::Multi(&reply::decode_multi(record).expect("results"))));
            }
            other => panic!("unexpected success of {other:?}"),
        },
        Op::Read(Read::GetChildren { .. } | Read::GetEphemerals { .. }) => {
            let names = reply::decode_children(record).expect("names");
            reply::encode_children(out, xid, zxid, names.iter().map(String::as_str), None);
        }
        Op::Read(Read::GetChildren2 { .. }) => {
            let reply = reply::decode_children2(record).expect("names and stat");
            let names = reply.names.iter().map(String::as_str);
            reply::encode_children(out, xid, zxid, names, Some(&reply.stat));
        }
        Op::Read(Read::MultiRead(_)) => {
            let results = reply::decode_multi_read(record).expect("results");
            encode_multi_read_again(&results, MultiReadEncoder::new(out, xid, zxid));
        }
        Op::Read(read) => encode_read_again(read, record, encode),
        Op::Sasl(_) => panic!("not part of the conversation"),
    }
}

fn encode_read_again(
    read: &Read<'_>,
    record: &[u8],
    mut encode: impl FnMut(Result<Body<'_>, ErrorCode>),
) {
    match read {
        Read::Exists { .. } => {
            encode(Ok(Body::Stat(&reply::decode_stat(record).expect("a stat"))));
        }
        Read::GetData { .. } => {
            let reply = reply::decode_data(record).expect("data and stat");
            encode(Ok(Body::Data { data: reply.data.as_deref(), stat: &reply.stat }));
        }
        Read::GetAcl { .. } => {
            let reply = reply::decode_acl(record).expect("list and stat");
            encode(Ok(Body::Acl { acl: &reply.acl, stat: &reply.stat }));
        }
        Read::GetAllChildrenNumber { .. } => {
            encode(Ok(Body::Count(reply::decode_count(record).expect("a count"))));
        }
        Read::WhoAmI => {
            encode(Ok(Body::WhoAmI(&reply::decode_who_am_i(record).expect("identities"))));
        }
        Read::AddWatch { .. } => {
            assert_eq!(record, [0; 4]);
            encode(Ok(Body::WatchAdded));
        }
        Read::CheckWatches { .. } | Read::RemoveWatches { .. } | Read::SetWatches(_) => {
            encode(Ok(Body::Empty));
        }
        other => panic!("unexpected success of {other:?}"),
    }
}

fn encode_multi_read_again(results: &[MultiReadResult], mut encoder: MultiReadEncoder<'_>) {
    for result in results {
        match result {
            MultiReadResult::Data(result) => encoder.data(result.data.as_deref(), &result.stat),
            MultiReadResult::Children(names) => {
                encoder.children(names.iter().map(String::as_str));
            }
            MultiReadResult::Failed { code } => {
                encoder.failed(ErrorCode::from_raw(*code).expect("a known code"));
            }
        }
    }
    encoder.finish();
}

#[test]
fn logs_are_read_to_their_padding_and_written_alike() {
    for capture in [OF_3_8_0, OF_3_9_5] {
        let mut reader = Reader::new(capture.log);
        assert_eq!(FileHeader::decode(&mut reader), Ok(FileHeader::LOG));
        let mut rest = reader.rest();
        let mut txns = Vec::new();
        let mut batch = LogBatch::new();
        let end = loop {
            match next_entry(rest, STORED_BYTES_MAX).expect("not damaged") {
                NextEntry::Entry(entry) => {
                    let (header, txn, digest) = decode_txn(entry.payload).expect("a transaction");
                    batch.push(&header, &txn, digest);
                    txns.push((header, txn, digest));
                    rest = &rest[entry.consumed..];
                }
                NextEntry::End(end) => break end,
            }
        };
        assert_eq!(end, EntryEnd::Padding);
        assert!(rest.iter().all(|&byte| byte == 0));
        let mut file = Vec::new();
        FileHeader::LOG.encode(&mut file);
        file.extend_from_slice(batch.as_bytes());
        assert_eq!(file, capture.log[..capture.log.len() - rest.len()]);
        check_txns(&txns);
    }
}

fn check_txns(txns: &[(TxnHeader, Txn, Option<TxnDigest>)]) {
    let mut last = Zxid::ZERO;
    for (header, txn, digest) in txns {
        // Apache gives what it can not decode the zxid of the transaction before.
        let repeats = header.zxid == last && matches!(txn, Txn::Error { code: -5 });
        assert!(header.zxid == last.successor() || repeats, "{header:?} {txn:?} after {last}");
        last = header.zxid;
        let has_digest = digest.is_some_and(|digest| digest.version == TxnDigest::VERSION);
        assert_eq!(has_digest, !matches!(txn, Txn::Error { .. }), "{txn:?}");
    }
    let closed = Txn::CloseSession { paths: Some(vec!["/app/eph".into()]) };
    assert_eq!(txns.iter().filter(|(_, txn, _)| *txn == closed).count(), 1);
    let failed = txns.iter().filter(|(_, txn, _)| txn.is_failed_multi()).count();
    assert!(failed >= 1, "{txns:?}");
}

#[test]
fn snapshots_are_read_to_their_last_seal_and_written_alike() {
    check_snapshot(OF_3_8_0.snapshot, TrailingBlocks::Digest);
    check_snapshot(OF_3_9_5.snapshot, TrailingBlocks::DigestAndLastZxid);
}

fn check_snapshot(file: &[u8], expected_blocks: TrailingBlocks) {
    let mut reader = Reader::new(file);
    let mut out = Vec::new();
    assert_eq!(FileHeader::decode(&mut reader), Ok(FileHeader::SNAPSHOT));
    FileHeader::SNAPSHOT.encode(&mut out);

    let sessions = snapshot::decode_count(&mut reader).expect("a count");
    assert_eq!(sessions, 1);
    jute::put_count(&mut out, sessions);
    let stored = snapshot::decode_session(&mut reader).expect("a session");
    assert_eq!(stored.timeout_ms, 30_000);
    snapshot::put_session(&mut out, stored.session, stored.timeout_ms);
    let lists = snapshot::decode_count(&mut reader).expect("a count");
    jute::put_count(&mut out, lists);
    for _ in 0..lists {
        let stored = snapshot::decode_acl(&mut reader).expect("a list");
        snapshot::put_acl(&mut out, stored.id, &stored.acl);
    }
    let mut paths = Vec::new();
    while let Some(node) = snapshot::decode_node(&mut reader).expect("a node or the end") {
        snapshot::put_node(&mut out, &node.path, node.data, node.acl, &node.stat);
        paths.push(node.path);
    }
    snapshot::put_end(&mut out);
    paths.sort();
    assert_eq!(paths, PATHS);

    check_seal(&mut reader, &mut out);
    let blocks = TrailingBlocks::of_remaining(reader.remaining());
    assert_eq!(blocks, Some(expected_blocks));
    let stored = snapshot::decode_digest(&mut reader).expect("a digest");
    snapshot::put_digest(&mut out, stored.zxid, stored.digest.expect("of this version"));
    check_seal(&mut reader, &mut out);
    if expected_blocks == TrailingBlocks::DigestAndLastZxid {
        let last = snapshot::decode_last_zxid(&mut reader).expect("a zxid");
        assert_eq!(last, stored.zxid);
        snapshot::put_last_zxid(&mut out, last);
        check_seal(&mut reader, &mut out);
    }
    assert!(reader.is_empty());
    assert_eq!(out, file);
}

const PATHS: [&str; 19] = [
    "",
    "/app",
    "/app/box",
    "/app/eph",
    "/app/m",
    "/app/mbox",
    "/app/mine",
    "/app/mttl0000000009",
    "/app/o1",
    "/app/o2",
    "/app/o3",
    "/app/o4",
    "/app/o7",
    "/app/o8",
    "/app/seq-0000000001",
    "/app/ttl",
    "/zookeeper",
    "/zookeeper/config",
    "/zookeeper/quota",
];

fn check_seal(reader: &mut Reader<'_>, out: &mut Vec<u8>) {
    let sum = Checksum::of(out);
    assert_eq!(snapshot::decode_seal(reader), Ok(sum));
    snapshot::put_seal(out, sum);
}
