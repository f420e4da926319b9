//! A conversation with an Apache server and the files it left, read and written again.
//!
//! How they were made: `tests/golden/README.md`.

mod support;

use std::collections::VecDeque;

use support::{body, bytes};
use types::{CreateCall, ErrorCode, Op, Read, Txn, TxnDigest, Write, Xid, Zxid};
use wire::connect::{ConnectRequest, ConnectResponse};
use wire::event::WatchEvent;
use wire::jute::{self, Reader};
use wire::limits::STORED_BYTES_MAX;
use wire::reply::{self, Body, MultiReadEncoder, MultiReadResult, Reply, ReplyHeader};
use wire::request::{Request, RequestError};
use wire::stored::snapshot::{self, TrailingBlocks};
use wire::stored::{Checksum, EntryEnd, FileHeader, LogBatch, NextEntry, decode_txn, next_entry};

const LOG: &[u8] = include_bytes!("golden/log.bin");
const SNAPSHOT: &[u8] = include_bytes!("golden/snapshot.bin");

#[test]
fn each_frame_of_a_conversation_is_understood_and_written_alike() {
    let text = include_str!("golden/conversation.hex");
    let frames: Vec<(&str, Vec<u8>)> = text
        .lines()
        .map(|line| {
            let (direction, hex) = line.split_once(' ').expect("a direction and bytes");
            (direction, bytes(hex))
        })
        .collect();
    let mut asked: VecDeque<Request<'_>> = VecDeque::new();
    for (direction, frame) in &frames {
        let mut out = Vec::new();
        match *direction {
            ">>" => ConnectRequest::decode(body(frame)).expect("valid").encode(&mut out),
            "<<" => ConnectResponse::decode(body(frame)).expect("valid").encode(&mut out),
            ">" => match Request::decode(body(frame)) {
                Ok(request) => {
                    // What was wrong with a rejected request is not kept.
                    match &request.op {
                        Op::Write(Write::Rejected(ErrorCode::BadArguments)) => {
                            out.clone_from(frame);
                        }
                        _ => request.encode(&mut out),
                    }
                    asked.push_back(request);
                }
                Err(error) => {
                    let expected = RequestError::UnknownOpcode { xid: Xid(1), opcode: 99 };
                    assert_eq!(error, expected);
                    asked.push_back(Request { xid: Xid(1), op: Op::Ping });
                    out.clone_from(frame);
                }
            },
            "<" => {
                let (header, _) = ReplyHeader::decode(body(frame)).expect("valid");
                if header.xid == Xid::NOTIFICATION {
                    WatchEvent::decode(body(frame)).expect("valid").encode(&mut out);
                } else {
                    let request = asked.pop_front().expect("a reply follows its request");
                    assert_eq!(header.xid, request.xid);
                    encode_again(&request.op, body(frame), &mut out);
                }
            }
            direction => panic!("unknown direction {direction}"),
        }
        assert_eq!(out, *frame, "{direction} {:?}", asked.back());
    }
    assert_eq!(asked, []);
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
fn log_is_read_to_its_padding_and_written_alike() {
    let mut reader = Reader::new(LOG);
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
    assert_eq!(file, LOG[..LOG.len() - rest.len()]);

    for (index, (header, txn, digest)) in (1..).zip(&txns) {
        assert_eq!(header.zxid, Zxid::from_raw(index), "no gaps in one epoch");
        let has_digest = digest.is_some_and(|digest| digest.version == TxnDigest::VERSION);
        assert_eq!(has_digest, !matches!(txn, Txn::Error { .. }), "{txn:?}");
    }
    let count =
        |predicate: fn(&Txn) -> bool| txns.iter().filter(|(_, txn, _)| predicate(txn)).count();
    assert_eq!(count(Txn::is_failed_multi), 1);
    assert_eq!(count(|txn| matches!(txn, Txn::Multi(_))), 3);
    assert_eq!(count(|txn| matches!(txn, Txn::Create(_))), 8);
    assert_eq!(count(|txn| matches!(txn, Txn::Error { .. })), 4);
    let closed = Txn::CloseSession { paths: Some(vec!["/app/eph".into()]) };
    assert_eq!(txns.iter().filter(|(_, txn, _)| *txn == closed).count(), 1);
}

#[test]
fn snapshot_is_read_to_its_last_seal_and_written_alike() {
    let mut reader = Reader::new(SNAPSHOT);
    let mut out = Vec::new();
    assert_eq!(FileHeader::decode(&mut reader), Ok(FileHeader::SNAPSHOT));
    FileHeader::SNAPSHOT.encode(&mut out);

    let sessions = snapshot::decode_count(&mut reader).expect("a count");
    assert_eq!(sessions, 1);
    jute::put_count(&mut out, sessions);
    for _ in 0..sessions {
        let stored = snapshot::decode_session(&mut reader).expect("a session");
        assert_eq!(stored.timeout_ms, 30_000);
        snapshot::put_session(&mut out, stored.session, stored.timeout_ms);
    }
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
    let expected = [
        "",
        "/app",
        "/app/box",
        "/app/eph",
        "/app/m",
        "/app/mbox",
        "/app/mine",
        "/app/mttl0000000009",
        "/app/seq-0000000001",
        "/app/ttl",
        "/zookeeper",
        "/zookeeper/config",
        "/zookeeper/quota",
    ];
    assert_eq!(paths, expected);

    assert_eq!(snapshot::decode_seal(&mut reader), Ok(Checksum::of(&out)));
    let sum = Checksum::of(&out);
    snapshot::put_seal(&mut out, sum);
    assert_eq!(TrailingBlocks::of_remaining(reader.remaining()), Some(TrailingBlocks::Digest));
    let stored = snapshot::decode_digest(&mut reader).expect("a digest");
    snapshot::put_digest(&mut out, stored.zxid, stored.digest.expect("of this version"));
    assert_eq!(snapshot::decode_seal(&mut reader), Ok(Checksum::of(&out)));
    let sum = Checksum::of(&out);
    snapshot::put_seal(&mut out, sum);
    assert!(reader.is_empty());
    assert_eq!(out, SNAPSHOT);
}
