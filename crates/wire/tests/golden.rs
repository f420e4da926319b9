//! Bytes that Apache's classes and an Apache server wrote, read and written again.
//!
//! How they were made: `tests/golden/README.md`.

#[path = "support/frames.rs"]
mod frames;
#[path = "support/hex.rs"]
mod hex;

use std::borrow::Cow;

use frames::body;
use hex::bytes;
use types::{
    Acl, AclList, AuthPacket, Create, CreateCall, CreateMode, CreateTxn, ErrorCode, EventKind, Id,
    MultiOp, MultiReadOp, Op, Perms, Read, ReconfigRequest, SessionId, SessionPassword, SetWatches,
    Stat, Txn, TxnDigest, TxnHeader, WatchMode, WatcherKind, Write, Xid, Zxid,
};
use wire::connect::{ConnectRequest, ConnectResponse};
use wire::event::WatchEvent;
use wire::jute::{self, Reader};
use wire::reply::{
    self, Body, ClientInfo, MultiReadEncoder, MultiReadResult, MultiResult, Reply, ReplyHeader,
};
use wire::request::Request;
use wire::stored::{decode_txn, encode_txn};

const DATA: &[u8] = &[0, 1, 2, 0xff];
const SESSION: SessionId = SessionId(0x0100_0000_0000_0001);
const ZXID: Zxid = Zxid::from_raw(0x1_0000_0006);

const STAT: Stat = Stat {
    czxid: Zxid::from_raw(0x1_0000_0001),
    mzxid: Zxid::from_raw(0x1_0000_0002),
    ctime_ms: 1_700_000_000_001,
    mtime_ms: 1_700_000_000_002,
    version: 3,
    cversion: 4,
    aversion: 5,
    ephemeral_owner: SessionId(0x0100_0000_0000_0006),
    data_length: 7,
    num_children: 8,
    pzxid: Zxid::from_raw(0x1_0000_0009),
};

/// The named lines of a golden file.
fn lines(text: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    text.lines().map(|line| {
        let (name, hex) = line.split_once(' ').expect("a name and bytes");
        (name, bytes(hex))
    })
}

fn two_entries() -> AclList {
    AclList::from(vec![
        Acl { perms: Perms(1), id: Id::new("ip", "10.0.0.0/8") },
        Acl { perms: Perms(30), id: Id::new("digest", "uüser:hash=") },
    ])
}

fn create(call: CreateCall, path: &'static str, mode: CreateMode) -> Create<'static> {
    Create { call, path: path.into(), data: Some(DATA.into()), acl: AclList::open(), mode }
}

fn read(read: Read<'static>) -> Op<'static> {
    Op::Read(read)
}

fn write(write: Write<'static>) -> Op<'static> {
    Op::Write(write)
}

#[test]
fn malformed_texts() {
    let mut count = 0;
    for (hex, expected) in lines(include_str!("golden/texts.hex")) {
        let text = bytes(hex);
        let mut buffer = Vec::new();
        jute::put_buffer(&mut buffer, Some(&text));
        let read = Reader::new(&buffer).text().expect("whole").expect("not null");
        assert_eq!(read, String::from_utf8(expected).expect("valid"), "{hex}");
        count += 1;
    }
    assert_eq!(count, 1000);
}

#[test]
fn handshake() {
    let password = *b"0123456789abcdef";
    for (name, frame) in lines(include_str!("golden/connects.hex")) {
        let mut out = Vec::new();
        if name == "request" {
            let expected = ConnectRequest {
                last_zxid_seen: Zxid::from_raw(0x2_0000_0003),
                timeout_ms: 30_000,
                session: SESSION,
                password: &password,
                read_only: Some(true),
            };
            assert_eq!(ConnectRequest::decode(body(&frame)), Ok(expected.clone()));
            expected.encode(&mut out);
        } else {
            let expected = match name {
                "response" => ConnectResponse {
                    timeout_ms: 20_000,
                    session: SESSION,
                    password: SessionPassword(password),
                    read_only: Some(true),
                },
                "refusal" => ConnectResponse::refused(Some(false)),
                _ => panic!("unknown line {name}"),
            };
            assert_eq!(ConnectResponse::decode(body(&frame)), Ok(expected.clone()));
            assert_eq!(expected.is_refusal(), name == "refusal");
            expected.encode(&mut out);
        }
        assert_eq!(out, frame, "{name}");
    }
}

#[test]
fn requests() {
    let mut count = 0;
    for (name, frame) in lines(include_str!("golden/requests.hex")) {
        let request = Request::decode(body(&frame)).expect(name);
        let expected = expected_op(name);
        assert_eq!(request.op, expected, "{name}");
        let mut out = Vec::new();
        request.encode(&mut out);
        // Java writes characters outside the first 64 K in a way it does not read itself.
        assert_eq!(out == frame, name != "supplementary_path", "{name}");
        count += 1;
    }
    assert_eq!(count, 35);
}

fn expected_op(name: &str) -> Op<'static> {
    let path = Cow::Borrowed("/a");
    match name {
        "get_acl" => read(Read::GetAcl { path }),
        "exists" => read(Read::Exists { path, watch: true }),
        "get_data" => read(Read::GetData { path, watch: false }),
        "get_children" => read(Read::GetChildren { path, watch: true }),
        "get_children2" => read(Read::GetChildren2 { path, watch: false }),
        "get_ephemerals" => read(Read::GetEphemerals { prefix: Some(path) }),
        "get_all_children_number" => read(Read::GetAllChildrenNumber { path }),
        "who_am_i" => read(Read::WhoAmI),
        "add_watch" => read(Read::AddWatch { path, mode: WatchMode::PersistentRecursive }),
        "check_watches" => read(Read::CheckWatches { path, kind: WatcherKind::Data }),
        "remove_watches" => read(Read::RemoveWatches { path, kind: WatcherKind::Any }),
        "supplementary_path" => read(Read::GetAcl { path: "/\u{fffd}\u{fffd}".into() }),
        "multi_read" => read(Read::MultiRead(vec![
            MultiReadOp::GetData { path },
            MultiReadOp::GetChildren { path: "/b".into() },
        ])),
        "set_watches" => read(Read::SetWatches(Box::new(SetWatches {
            relative_zxid: Zxid::from_raw(0x1_0000_0005),
            data: vec!["/d".into()],
            exist: vec!["/e".into(), "/f".into()],
            ..SetWatches::default()
        }))),
        "set_watches2" => read(Read::SetWatches(Box::new(SetWatches {
            relative_zxid: Zxid::from_raw(0x1_0000_0005),
            data: vec!["/d".into()],
            exist: vec!["/e".into()],
            child: vec!["/c".into()],
            persistent: vec!["/p".into()],
            persistent_recursive: vec!["/r".into()],
        }))),
        "sync" => Op::Sync { path },
        "ping" => Op::Ping,
        "close_session" => Op::CloseSession,
        "sasl" => Op::Sasl(Some(DATA.into())),
        "auth" => {
            Op::Auth(AuthPacket { scheme: "digest".into(), auth: Some(Cow::Borrowed(b"u:p")) })
        }
        name => write(expected_write(name)),
    }
}

fn expected_write(name: &str) -> Write<'static> {
    let path = Cow::Borrowed("/a");
    let data = Some(Cow::Borrowed(DATA));
    let ttl = CreateMode::PersistentSequentialWithTtl(86_400_000);
    match name {
        "create" => Write::Create(create(CreateCall::Create, "/a", CreateMode::Persistent)),
        "create_null_data" => Write::Create(Create {
            data: None,
            acl: two_entries(),
            ..create(CreateCall::Create, "/a", CreateMode::EphemeralSequential)
        }),
        "create2" => Write::Create(create(CreateCall::Create2, "/a", CreateMode::Ephemeral)),
        "create_container" => {
            Write::Create(create(CreateCall::Container, "/a", CreateMode::Container))
        }
        "create_ttl" => Write::Create(create(CreateCall::Ttl, "/a", ttl)),
        "delete" => Write::Delete { path, version: Some(7) },
        "delete_any" => Write::Delete { path, version: None },
        "set_data" => Write::SetData { path, data, version: Some(7) },
        "set_data_null" => Write::SetData { path, data: None, version: None },
        "set_acl" => Write::SetAcl { path, acl: two_entries(), version: Some(7) },
        "multi" => Write::Multi(vec![
            MultiOp::Check { path: path.clone(), version: Some(7) },
            MultiOp::Create(create(CreateCall::Create, "/a/b", CreateMode::PersistentSequential)),
            MultiOp::Create(Create {
                data: None,
                ..create(CreateCall::Container, "/a/c", CreateMode::Container)
            }),
            MultiOp::Create(create(CreateCall::Ttl, "/a/t", CreateMode::PersistentWithTtl(1000))),
            MultiOp::SetData { path, data, version: None },
            MultiOp::Delete { path: "/a/d".into(), version: Some(0) },
        ]),
        "multi_empty" => Write::Multi(Vec::new()),
        "reconfig" => Write::Reconfig(Box::new(ReconfigRequest {
            joining: Some("server.4=h:1:2;3".into()),
            leaving: None,
            new_members: Some("".into()),
            based_on: Some(0x1_0000_0004),
        })),
        "reconfig_any" => Write::Reconfig(Box::new(ReconfigRequest {
            joining: None,
            leaving: Some("4,5".into()),
            new_members: None,
            based_on: None,
        })),
        "create_session" => Write::CreateSession { timeout_ms: 30_000 },
        _ => panic!("unknown line {name}"),
    }
}

#[test]
fn replies() {
    let mut count = 0;
    for (name, frame) in lines(include_str!("golden/replies.hex")) {
        let mut out = Vec::new();
        encode_expected_reply(name, &mut out);
        assert_eq!(out, frame, "{name}");
        check_decoded_reply(name, body(&frame));
        count += 1;
    }
    assert_eq!(count, 20);
}

fn encode_expected_reply(name: &str, out: &mut Vec<u8>) {
    let acl = two_entries();
    let client_infos = client_infos();
    let multi = multi_results();
    let failed = failed_results();
    let (xid, body) = match name {
        "empty" => (1, Body::Empty),
        "path" => (3, Body::Path("/a0000000001")),
        "path_and_stat" => (4, Body::PathAndStat { path: "/a", stat: &STAT }),
        "stat" => (5, Body::Stat(&STAT)),
        "data" => (6, Body::Data { data: Some(DATA), stat: &STAT }),
        "data_null" => (7, Body::Data { data: None, stat: &STAT }),
        "acl" => (8, Body::Acl { acl: &acl, stat: &STAT }),
        "count" => (11, Body::Count(12)),
        "watch_added" => (12, Body::WatchAdded),
        "who_am_i" => (13, Body::WhoAmI(&client_infos)),
        "multi" => (16, Body::Multi(&multi)),
        "multi_failed" => (17, Body::Multi(&failed)),
        name => return encode_other_reply(name, out),
    };
    Reply { xid: Xid(xid), zxid: ZXID, result: Ok(body) }.encode(out);
}

fn encode_other_reply(name: &str, out: &mut Vec<u8>) {
    let event = |zxid, kind| WatchEvent { zxid, kind, path: "/a".into() };
    match name {
        "error" => Reply { xid: Xid(2), zxid: ZXID, result: Err(ErrorCode::NoNode) }.encode(out),
        "children" => reply::encode_children(out, Xid(9), ZXID, ["b", "c"].into_iter(), None),
        "children2" => reply::encode_children(out, Xid(10), ZXID, ["b"].into_iter(), Some(&STAT)),
        "token" => {
            let result = Ok(Body::Token(Some(DATA)));
            Reply { xid: Xid(14), zxid: Zxid::ZERO, result }.encode(out);
        }
        "token_refused" => reply::encode_sasl_refusal(out, Xid(15), ErrorCode::AuthFailed),
        "multi_read" => {
            let mut encoder = MultiReadEncoder::new(out, Xid(18), ZXID);
            encoder.data(Some(DATA), &STAT);
            encoder.failed(ErrorCode::NoAuth);
            encoder.children(["b", "c"].into_iter());
            encoder.finish();
        }
        "event" => event(Some(ZXID), EventKind::NodeChildrenChanged).encode(out),
        "event_of_old_server" => event(None, EventKind::NodeDeleted).encode(out),
        _ => panic!("unknown line {name}"),
    }
}

fn check_decoded_reply(name: &str, body: &[u8]) {
    let (header, record) = ReplyHeader::decode(body).expect(name);
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    match name {
        "empty" => assert_eq!(header, ReplyHeader { xid: Xid(1), zxid: ZXID, code: 0 }),
        "error" => assert_eq!(header, ReplyHeader { xid: Xid(2), zxid: ZXID, code: -101 }),
        "path" => assert_eq!(reply::decode_path(record), Ok("/a0000000001".to_owned())),
        "path_and_stat" => {
            let decoded = reply::decode_path_and_stat(record).expect(name);
            assert_eq!((decoded.path.as_str(), decoded.stat), ("/a", STAT));
        }
        "stat" => assert_eq!(reply::decode_stat(record), Ok(STAT)),
        "data" | "data_null" => {
            let decoded = reply::decode_data(record).expect(name);
            let data = (name == "data").then_some(DATA);
            assert_eq!((decoded.data.as_deref(), decoded.stat), (data, STAT));
        }
        "acl" => {
            let decoded = reply::decode_acl(record).expect(name);
            assert_eq!((decoded.acl, decoded.stat), (two_entries(), STAT));
        }
        "children" => assert_eq!(reply::decode_children(record), Ok(names(&["b", "c"]))),
        "children2" => {
            let decoded = reply::decode_children2(record).expect(name);
            assert_eq!((decoded.names, decoded.stat), (names(&["b"]), STAT));
        }
        "count" => assert_eq!(reply::decode_count(record), Ok(12)),
        "watch_added" => assert_eq!(record, [0; 4]),
        "who_am_i" => assert_eq!(reply::decode_who_am_i(record), Ok(client_infos())),
        "token" => assert_eq!(reply::decode_token(record), Ok(Some(DATA.to_vec()))),
        "token_refused" => {
            assert_eq!(header.code, ErrorCode::AuthFailed.raw());
            assert_eq!(reply::decode_token(record), Ok(None));
        }
        "multi" => assert_eq!(reply::decode_multi(record), Ok(multi_results())),
        "multi_failed" => assert_eq!(reply::decode_multi(record), Ok(failed_results())),
        "multi_read" => {
            let results = reply::decode_multi_read(record).expect(name);
            let [MultiReadResult::Data(data), failed, children] = &results[..] else {
                panic!("other results: {results:?}");
            };
            assert_eq!((data.data.as_deref(), data.stat), (Some(DATA), STAT));
            assert_eq!(*failed, MultiReadResult::Failed { code: ErrorCode::NoAuth.raw() });
            assert_eq!(*children, MultiReadResult::Children(names(&["b", "c"])));
        }
        "event" | "event_of_old_server" => {
            let event = WatchEvent::decode(body).expect(name);
            let (zxid, kind) = match name {
                "event" => (Some(ZXID), EventKind::NodeChildrenChanged),
                _ => (None, EventKind::NodeDeleted),
            };
            assert_eq!((event.zxid, event.kind, &*event.path), (zxid, kind, "/a"));
        }
        _ => panic!("unknown line {name}"),
    }
}

fn client_infos() -> Vec<ClientInfo<'static>> {
    vec![
        ClientInfo { scheme: "ip".into(), user: "127.0.0.1".into() },
        ClientInfo { scheme: "super".into(), user: "".into() },
    ]
}

fn multi_results() -> Vec<MultiResult<'static>> {
    vec![
        MultiResult::Checked,
        MultiResult::Created { path: "/a/b0000000001".into() },
        MultiResult::Created2 { path: "/a/c".into(), stat: STAT },
        MultiResult::DataSet(STAT),
        MultiResult::Deleted,
    ]
}

fn failed_results() -> Vec<MultiResult<'static>> {
    [0, ErrorCode::NodeExists.raw(), ErrorCode::RuntimeInconsistency.raw()]
        .map(|code| MultiResult::Failed { code })
        .into()
}

#[test]
fn transactions() {
    let expected_header = TxnHeader {
        session: SESSION,
        cxid: Xid(3),
        zxid: Zxid::from_raw(0x1_0000_0004),
        time_ms: 1_700_000_000_005,
    };
    let mut count = 0;
    for (name, payload) in lines(include_str!("golden/transactions.hex")) {
        let (header, txn, digest) = decode_txn(&payload).expect(name);
        assert_eq!(header, expected_header, "{name}");
        assert_eq!(txn, expected_txn(name), "{name}");
        let lacks_digest =
            ["create_v0", "close_session_without_list", "delete_without_digest"].contains(&name);
        let expected_digest = TxnDigest { version: 2, tree: 0x8000_0000_0000_0007 };
        assert_eq!(digest, (!lacks_digest).then_some(expected_digest), "{name}");

        let mut out = Vec::new();
        encode_txn(&mut out, &header, &txn, digest);
        let is_old_form = [
            "create_v0",
            "close_session_without_list",
            "close_session_without_list_but_digest",
            "multi_failed_altered",
        ]
        .contains(&name);
        assert_eq!(out == payload, !is_old_form, "{name}");
        count += 1;
    }
    assert_eq!(count, 19);
}

fn expected_txn(name: &str) -> Txn {
    let path = Box::from("/a");
    let data = Some(Box::from(DATA));
    let error = |code: ErrorCode| Txn::Error { code: code.raw() };
    match name {
        "create_session" => Txn::CreateSession { timeout_ms: 30_000 },
        "close_session" => Txn::CloseSession { paths: Some(vec!["/e1".into(), "/e2".into()]) },
        "close_session_without_list" | "close_session_without_list_but_digest" => {
            Txn::CloseSession { paths: None }
        }
        "create" => Txn::Create(CreateTxn {
            ephemeral: true,
            ..create_txn(CreateCall::Create, "/a", Some(4))
        }),
        "create_v0" => {
            Txn::Create(CreateTxn { ephemeral: true, ..create_txn(CreateCall::Create, "/a", None) })
        }
        "create2" => Txn::Create(CreateTxn {
            data: None,
            acl: two_entries(),
            ..create_txn(CreateCall::Create2, "/a", Some(5))
        }),
        "create_container" => Txn::Create(create_txn(CreateCall::Container, "/a", Some(6))),
        "create_ttl" => Txn::Create(CreateTxn {
            ttl_ms: Some(86_400_000),
            ..create_txn(CreateCall::Ttl, "/a", Some(7))
        }),
        "delete" | "delete_without_digest" => Txn::Delete { path },
        "delete_container" => Txn::DeleteContainer { path },
        "set_data" => Txn::SetData { path, data, version: 8 },
        "reconfig" => Txn::Reconfig { path: "/zookeeper/config".into(), data, version: -1 },
        "set_acl" => Txn::SetAcl { path, acl: two_entries(), version: 9 },
        "error" => error(ErrorCode::NoNode),
        "multi" => Txn::Multi(expected_sub_txns()),
        "multi_failed" => Txn::Multi(vec![
            Txn::Create(create_txn(CreateCall::Create, "/a/b", Some(1))),
            error(ErrorCode::NoNode),
            error(ErrorCode::RuntimeInconsistency),
        ]),
        "multi_failed_altered" => Txn::Multi(vec![
            Txn::Error { code: 0 },
            error(ErrorCode::NoNode),
            error(ErrorCode::RuntimeInconsistency),
        ]),
        _ => panic!("unknown line {name}"),
    }
}

fn expected_sub_txns() -> Vec<Txn> {
    let path: Box<str> = Box::from("/a");
    vec![
        Txn::Check { path: path.clone(), version: 3 },
        Txn::Create(create_txn(CreateCall::Create, "/a/b", Some(1))),
        Txn::Create(create_txn(CreateCall::Create2, "/a/s", Some(2))),
        Txn::Create(CreateTxn { data: None, ..create_txn(CreateCall::Container, "/a/c", Some(2)) }),
        Txn::Create(CreateTxn {
            ttl_ms: Some(1000),
            ..create_txn(CreateCall::Ttl, "/a/t", Some(3))
        }),
        Txn::SetData { path, data: Some(Box::from(DATA)), version: 4 },
        Txn::Delete { path: "/a/d".into() },
    ]
}

fn create_txn(call: CreateCall, path: &str, parent_cversion: Option<i32>) -> CreateTxn {
    CreateTxn {
        call,
        path: path.into(),
        data: Some(Box::from(DATA)),
        acl: AclList::open(),
        ephemeral: false,
        parent_cversion,
        ttl_ms: None,
    }
}
