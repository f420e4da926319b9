//! The bytes in `docs/formats` are those that the crate writes.

#[path = "support/hex.rs"]
mod hex;

use hex::bytes;
use types::{
    Acl, AclList, Counter, Epoch, ErrorCode, EventKind, Id, MultiOp, Op, Owner, Perms, Read,
    SessionId, Sid, Stat, StoredStat, Txn, TxnDigest, TxnHeader, Write, Xid, Zxid,
};
use wire::connect::{ConnectRequest, ConnectResponse};
use wire::election::{
    AddressList, Addresses, ElectionRound, Form, Hello, LastLogged, Notification, ServerState,
};
use wire::event::WatchEvent;
use wire::jute;
use wire::quorum::sasl::{Status, Step};
use wire::quorum::{
    AuthInfo, Cuts, ForwardedRequest, LearnerInfo, Proposal, SessionTouch, ToLeader, ToLearner,
    Touches, put_snapshot_signature,
};
use wire::reply::{Body, MultiResult, Reply};
use wire::request::Request;
use wire::stored::snapshot::{self, AclId};
use wire::stored::{Checksum, FileHeader, LogBatch, encode_txn};

const CLIENT_PORT: &str = include_str!("../../../docs/formats/client-port.md");
const FILES: &str = include_str!("../../../docs/formats/files.md");
const PEER_PORTS: &str = include_str!("../../../docs/formats/peer-ports.md");

const SESSION: SessionId = SessionId(0x0100_0000_0000_0001);
const CREATED: Zxid = Zxid::from_raw(0x3_0000_0001);
const CHANGED: Zxid = Zxid::from_raw(0x3_0000_0008);
const CREATED_MS: i64 = 1_700_000_000_000;
const CHANGED_MS: i64 = 1_700_000_001_000;
const DIGEST: TxnDigest = TxnDigest { version: TxnDigest::VERSION, tree: 0x1_37b7_cdcb };

/// The bytes of the block that is named so, without its comments.
fn documented(text: &str, name: &str) -> Vec<u8> {
    let fence = format!("```hex {name}\n");
    let (_, rest) = text.split_once(&fence).expect("a block of this name");
    let (block, _) = rest.split_once("```").expect("an end");
    let without_comments = block.lines().map(|line| line.split('#').next().unwrap_or_default());
    bytes(&without_comments.collect::<String>())
}

fn check(text: &str, name: &str, encode: impl FnOnce(&mut Vec<u8>)) {
    let mut out = Vec::new();
    encode(&mut out);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&documented(text, name)), hex(&out), "{name}");
}

#[test]
fn handshake() {
    check(CLIENT_PORT, "connect_request", |out| {
        let request = ConnectRequest {
            last_zxid_seen: Zxid::from_raw(0x3_0000_0007),
            timeout_ms: 10_000,
            session: SessionId::NONE,
            password: &[0; 16],
            read_only: Some(true),
        };
        request.encode(out);
    });
    check(CLIENT_PORT, "connect_response", |out| {
        let response = ConnectResponse {
            timeout_ms: 10_000,
            session: SESSION,
            password: SESSION.password(),
            read_only: Some(false),
        };
        response.encode(out);
    });
}

#[test]
fn requests_and_replies() {
    check(CLIENT_PORT, "get_data_request", |out| {
        let read = Read::GetData { path: "/a".into(), watch: true };
        Request { xid: Xid(5), op: Op::Read(read) }.encode(out);
    });
    check(CLIENT_PORT, "get_data_reply", |out| {
        let stat = Stat {
            czxid: CREATED,
            mzxid: CHANGED,
            ctime_ms: CREATED_MS,
            mtime_ms: CHANGED_MS,
            version: 1,
            data_length: 3,
            pzxid: CREATED,
            ..Stat::default()
        };
        let body = Body::Data { data: Some(b"abc"), stat: &stat };
        Reply { xid: Xid(5), zxid: CHANGED, result: Ok(body) }.encode(out);
    });
    check(CLIENT_PORT, "error_reply", |out| {
        Reply { xid: Xid(6), zxid: CHANGED, result: Err(ErrorCode::NoNode) }.encode(out);
    });
}

#[test]
fn multi() {
    check(CLIENT_PORT, "multi_request", |out| {
        let ops = vec![
            MultiOp::Check { path: "/a".into(), version: Some(1) },
            MultiOp::Delete { path: "/b".into(), version: None },
        ];
        Request { xid: Xid(7), op: Op::Write(Write::Multi(ops)) }.encode(out);
    });
    check(CLIENT_PORT, "multi_reply", |out| {
        let results = [0, ErrorCode::NoNode.raw()].map(|code| MultiResult::Failed { code });
        let result = Ok(Body::Multi(&results));
        Reply { xid: Xid(7), zxid: CHANGED.successor(), result }.encode(out);
    });
}

#[test]
fn event() {
    check(CLIENT_PORT, "event", |out| {
        let zxid = Some(Zxid::from_raw(0x3_0000_000a));
        WatchEvent { zxid, kind: EventKind::NodeDataChanged, path: "/a".into() }.encode(out);
    });
}

#[test]
fn log() {
    check(FILES, "log", |out| {
        FileHeader::LOG.encode(out);
        let header =
            TxnHeader { session: SESSION, cxid: Xid(3), zxid: CHANGED, time_ms: CHANGED_MS };
        let data = Some(Box::from(&b"abc"[..]));
        let mut batch = LogBatch::new();
        batch.push(&header, &Txn::SetData { path: "/a".into(), data, version: 1 }, Some(DIGEST));
        out.extend_from_slice(batch.as_bytes());
        out.extend_from_slice(&[0; 28]);
    });
}

#[test]
fn snapshot() {
    check(FILES, "snapshot", |out| {
        FileHeader::SNAPSHOT.encode(out);
        jute::put_count(out, 1);
        snapshot::put_session(out, SESSION, 10_000);
        jute::put_count(out, 1);
        let anyone = Acl { perms: Perms::READ, id: Id::new("world", "anyone") };
        snapshot::put_acl(out, AclId(1), &AclList::from(vec![anyone]));
        let root = StoredStat { cversion: 1, pzxid: CREATED, ..StoredStat::default() };
        snapshot::put_node(out, "", Some(b""), AclId::OPEN, &root);
        let stat = StoredStat {
            czxid: CREATED,
            mzxid: CHANGED,
            ctime_ms: CREATED_MS,
            mtime_ms: CHANGED_MS,
            version: 1,
            owner: Owner::PERSISTENT,
            pzxid: CREATED,
            ..StoredStat::default()
        };
        snapshot::put_node(out, "/a", Some(b"abc"), AclId(1), &stat);
        snapshot::put_end(out);
        put_seal(out);
        snapshot::put_digest(out, CHANGED, DIGEST);
        put_seal(out);
        snapshot::put_last_zxid(out, CHANGED);
        put_seal(out);
    });
}

fn put_seal(out: &mut Vec<u8>) {
    let sum = Checksum::of(out);
    snapshot::put_seal(out, sum);
}

/// The membership of the examples between servers.
fn config() -> &'static str {
    let (_, rest) = PEER_PORTS.split_once("```text config\n").expect("a membership");
    rest.split_once("\n```").expect("an end").0
}

#[test]
fn election_port() {
    check(PEER_PORTS, "hello", |out| {
        let list = AddressList::parse("h2:3888").expect("an address");
        Hello { sid: Some(Sid(2)), addresses: Addresses::One(list) }.encode(out);
    });
    check(PEER_PORTS, "notification", |out| {
        let notification = Notification {
            state: ServerState::Looking,
            leader: Some(Sid(2)),
            last_logged: LastLogged::Zxid(Zxid::new(Epoch(4), Counter(9))),
            round: ElectionRound(7),
            epoch: Some(Epoch(4)),
            form: Form::WithConfig { config: config().into() },
        };
        notification.encode(out);
    });
}

#[test]
fn quorum_port_from_learners() {
    let check = |name, packet: ToLeader<'_>| check(PEER_PORTS, name, |out| packet.encode(out));
    let epoch = Epoch(5);
    let accepted_epoch = Epoch(4);
    let info =
        LearnerInfo { sid: Sid(1), accepted_epoch, config_version: Some(0), cuts: Cuts::Log };
    check("follower_info", ToLeader::FollowerInfo(info));
    let last_logged = Some(Zxid::new(accepted_epoch, Counter(9)));
    let current_epoch = Some(accepted_epoch);
    check("ack_epoch", ToLeader::AckEpoch { last_logged, current_epoch });
    check("ack_new_leader", ToLeader::AckNewLeader { epoch });

    let delete = Write::Delete { path: "/a".into(), version: None };
    let mut frame = Vec::new();
    Request { xid: Xid(7), op: Op::Write(delete) }.encode(&mut frame);
    let mut buffer = Vec::new();
    let auth = AuthInfo::encode(&mut buffer, &[Id::new("ip", "127.0.0.1")]);
    let request = ForwardedRequest { session: SESSION, body: &frame[4..], auth };
    check("request", ToLeader::Request(request));
    check("revalidate", ToLeader::Revalidate { session: SESSION, timeout_ms: 30_000 });
    let mut buffer = Vec::new();
    let touch = SessionTouch { session: SESSION, timeout_ms: 30_000 };
    let touches = Touches::encode(&mut buffer, [touch]);
    let last_proposed = Zxid::new(epoch, Counter(1));
    check("ping", ToLeader::Ping { last_proposed, touches });
}

#[test]
fn quorum_port_from_leaders() {
    let check_packet =
        |name, packet: ToLearner<'_>| check(PEER_PORTS, name, |out| packet.encode(out));
    let epoch = Epoch(5);
    let zxid = Zxid::new(epoch, Counter(1));
    check_packet("leader_info", ToLearner::LeaderInfo { epoch });
    let last_committed = Zxid::new(Epoch(4), Counter(10));
    check_packet("diff", ToLearner::Diff { last_committed });
    let config = Some(config().into());
    check_packet("new_leader", ToLearner::NewLeader { epoch, config });
    check_packet("up_to_date", ToLearner::UpToDate);

    let mut payload = Vec::new();
    let header = TxnHeader { session: SESSION, cxid: Xid::INTERNAL, zxid, time_ms: CREATED_MS };
    let digest = TxnDigest { version: TxnDigest::VERSION, tree: 0x51c6_d660 };
    encode_txn(&mut payload, &header, &Txn::CreateSession { timeout_ms: 30_000 }, Some(digest));
    let proposal = Proposal::new(&payload).expect("a transaction");
    check_packet("proposal", ToLearner::Proposal(proposal));
    let designated_leader = Sid(2);
    check_packet("commit_and_activate", ToLearner::CommitAndActivate { zxid, designated_leader });
    check_packet("revalidated", ToLearner::Revalidated { session: SESSION, is_valid: true });
    check(PEER_PORTS, "snapshot_signature", put_snapshot_signature);
}

#[test]
fn proof() {
    let step = Step { status: Status::InProgress, token: Some(&[]) };
    check(PEER_PORTS, "sasl", |out| step.encode(out));
}
