//! Messages and entries whose bytes are written out in the description of the protocol.

#[path = "support/frames.rs"]
mod frames;
#[path = "support/hex.rs"]
mod hex;

use std::borrow::Cow;

use frames::body;
use hex::bytes;
use types::{
    AclList, Create, CreateCall, CreateMode, EventKind, Op, SessionId, Txn, TxnDigest, TxnHeader,
    Write, Xid, Zxid,
};
use wire::connect::ConnectRequest;
use wire::event::WatchEvent;
use wire::limits::STORED_BYTES_MAX;
use wire::reply::{Body, Reply};
use wire::request::Request;
use wire::stored::{LogBatch, LogEntry, NextEntry, decode_txn, next_entry};

#[test]
fn connect_request_of_a_new_session() {
    let frame = bytes(
        "0000002d 00000000 0000000000000000 00007530 0000000000000000 00000010 \
         00000000000000000000000000000000 00",
    );
    let request = ConnectRequest {
        last_zxid_seen: Zxid::ZERO,
        timeout_ms: 30_000,
        session: SessionId::NONE,
        password: &[0; 16],
        read_only: Some(false),
    };
    assert_eq!(ConnectRequest::decode(body(&frame)), Ok(request.clone()));
    let mut out = Vec::new();
    request.encode(&mut out);
    assert_eq!(out, frame);
}

#[test]
fn connect_request_of_an_old_client_lacks_the_last_byte() {
    let frame = bytes(
        "0000002c 00000000 0000000000000000 00007530 0000000000000000 00000010 \
         00000000000000000000000000000000",
    );
    let request = ConnectRequest::decode(body(&frame)).expect("valid");
    assert_eq!(request.read_only, None);
}

#[test]
fn ping_and_its_reply() {
    let request = Request { xid: Xid::PING, op: Op::Ping };
    let mut out = Vec::new();
    request.encode(&mut out);
    assert_eq!(out, bytes("00000008 fffffffe 0000000b"));
    assert_eq!(Request::decode(body(&out)), Ok(request));

    let mut out = Vec::new();
    let reply = Reply { xid: Xid::PING, zxid: Zxid::from_raw(0x12), result: Ok(Body::Empty) };
    reply.encode(&mut out);
    assert_eq!(out, bytes("00000010 fffffffe 0000000000000012 00000000"));
}

#[test]
fn create2_of_a_persistent_znode() {
    let frame = bytes(
        "00000032 00000001 0000000f 00000002 2f61 00000001 78 00000001 0000001f 00000005 \
         776f726c64 00000006 616e796f6e65 00000000",
    );
    let request = Request {
        xid: Xid(1),
        op: Op::Write(Write::Create(Create {
            call: CreateCall::Create2,
            path: Cow::Borrowed("/a"),
            data: Some(Cow::Borrowed(b"x")),
            acl: AclList::open(),
            mode: CreateMode::Persistent,
        })),
    };
    assert_eq!(Request::decode(body(&frame)), Ok(request.clone()));
    let mut out = Vec::new();
    request.encode(&mut out);
    assert_eq!(out, frame);
}

#[test]
fn event_of_changed_data() {
    let frame =
        bytes("0000001e ffffffff 0000000000000007 00000000 00000003 00000003 00000002 2f61");
    let event = WatchEvent {
        zxid: Some(Zxid::from_raw(7)),
        kind: EventKind::NodeDataChanged,
        path: Cow::Borrowed("/a"),
    };
    let mut out = Vec::new();
    event.encode(&mut out);
    assert_eq!(out, frame);
    assert_eq!(WatchEvent::decode(body(&frame)), Ok(event));
}

#[test]
fn log_entry_of_a_new_session() {
    let entry = bytes(
        "0000000096e50993 00000030 \
         0100000000000001 00000000 0000000000000001 0000018bcfe56800 fffffff6 \
         00007530 00000002 0000000051c6d660 42",
    );
    let header = TxnHeader {
        session: SessionId(0x0100_0000_0000_0001),
        cxid: Xid::INTERNAL,
        zxid: Zxid::from_raw(1),
        time_ms: 1_700_000_000_000,
    };
    let txn = Txn::CreateSession { timeout_ms: 30_000 };
    let digest = Some(TxnDigest { version: TxnDigest::VERSION, tree: 1_371_985_504 });

    let mut batch = LogBatch::new();
    let payload = batch.push(&header, &txn, digest);
    assert_eq!(batch.as_bytes(), entry);
    assert_eq!(payload, 12..60);
    assert_eq!((batch.first_zxid(), batch.count()), (Some(Zxid::from_raw(1)), 1));

    let next = next_entry(&entry, STORED_BYTES_MAX).expect("not damaged");
    let NextEntry::Entry(LogEntry { payload, consumed }) = next else {
        panic!("no entry but {next:?}");
    };
    assert_eq!(consumed, entry.len());
    assert_eq!(decode_txn(payload), Ok((header, txn, digest)));
}
