//! The decoders of `wire`: no input makes them panic, and what they accept they understand. A value
//! that was decoded survives being encoded and decoded again.

use types::{ErrorCode, Txn, TxnHeader};
use wire::connect::{ConnectRequest, ConnectResponse};
use wire::election::{Hello, Notification};
use wire::event::WatchEvent;
use wire::frame;
use wire::jute::{self, DecodeError, Reader};
use wire::limits::{
    ELECTION_MESSAGE_BYTES_MAX, FRAME_BYTES_MAX, HELLO_ADDRESSES_BYTES_MAX, PACKET_BYTES_MAX,
    STORED_BYTES_MAX,
};
use wire::opcode::OpCode;
use wire::quorum::sasl::Step;
use wire::quorum::{PacketError, ToLeader, ToLearner, decode_snapshot_signature};
use wire::reply::{self, Body, MultiReadEncoder, MultiReadResult, Reply, ReplyHeader};
use wire::request::Request;
use wire::stored::snapshot;
use wire::stored::{FileHeader, LogBatch, NextEntry, decode_txn, encode_txn, next_entry};

/// A frame's body as a request, and the same bytes as the start of a stream of frames.
pub fn client_request(input: &[u8]) {
    let mut rest = input;
    while let Ok(Some((body, consumed))) = frame::split(rest, FRAME_BYTES_MAX) {
        check_request(body);
        rest = &rest[consumed..];
    }
    check_request(input);
}

/// A frame's body as a server's answer to every operation and as an event, and the same bytes as the
/// start of a stream of frames.
pub fn server_reply(input: &[u8]) {
    let mut rest = input;
    while let Ok(Some((body, consumed))) = frame::split(rest, FRAME_BYTES_MAX) {
        check_answer(body);
        rest = &rest[consumed..];
    }
    check_answer(input);
}

/// A frame's body as either side of the handshake.
pub fn connect_request(input: &[u8]) {
    let mut out = Vec::new();
    if let Ok(request) = ConnectRequest::decode(input) {
        request.encode(&mut out);
        assert_eq!(ConnectRequest::decode(&out[4..]).as_ref(), Ok(&request));
    }
    out.clear();
    if let Ok(response) = ConnectResponse::decode(input) {
        response.encode(&mut out);
        assert_eq!(ConnectResponse::decode(&out[4..]).as_ref(), Ok(&response));
    }
}

/// The record of a multi or multiRead, as a request and as a reply.
pub fn multi(input: &[u8]) {
    let mut body = Vec::with_capacity(8 + input.len());
    for opcode in [OpCode::Multi, OpCode::MultiRead] {
        body.clear();
        jute::put_int(&mut body, 1);
        jute::put_int(&mut body, opcode.raw());
        body.extend_from_slice(input);
        check_request(&body);
    }
    if let Ok(results) = reply::decode_multi(input) {
        let mut out = Vec::new();
        let reply = Reply {
            xid: types::Xid(1),
            zxid: types::Zxid::ZERO,
            result: Ok(Body::Multi(&results)),
        };
        reply.encode(&mut out);
        let (_, record) = ReplyHeader::decode(&out[4..]).expect("just encoded");
        assert_eq!(reply::decode_multi(record).as_ref(), Ok(&results));
    }
    if let Ok(results) = reply::decode_multi_read(input) {
        // Each takes nine bytes at least, so that their number is bounded by the input.
        assert!(results.len() <= input.len() / 9);
    }
}

/// A log: entries as they stand in the file, and the input as the payload of one.
pub fn txn_entry(input: &[u8]) {
    let mut rest = input;
    while let Ok(NextEntry::Entry(entry)) = next_entry(rest, STORED_BYTES_MAX) {
        check_payload(entry.payload);
        rest = &rest[entry.consumed..];
    }
    check_payload(input);
}

/// A snapshot from its header to whatever ends it; and the input as each of its records.
pub fn snapshot_records(input: &[u8]) {
    let _end = read_snapshot(&mut Reader::new(input));
    for decode in [
        |reader: &mut Reader<'_>| snapshot::decode_session(reader).map(drop),
        |reader: &mut Reader<'_>| snapshot::decode_acl(reader).map(drop),
        |reader: &mut Reader<'_>| check_node(reader).map(drop),
        |reader: &mut Reader<'_>| snapshot::decode_digest(reader).map(drop),
        |reader: &mut Reader<'_>| snapshot::decode_seal(reader).map(drop),
    ] {
        let mut reader = Reader::new(input);
        while decode(&mut reader).is_ok() && !reader.is_empty() {}
    }
}

/// What a learner and what a leader sends, each as a stream of packets; and a step of the proof
/// before them. Packets that are none in the one direction are passed over as servers do it.
pub fn quorum_packets(input: &[u8]) {
    let mut rest = input;
    while let Some(consumed) = check_to_leader(rest) {
        rest = &rest[consumed..];
    }
    let mut rest = input;
    while let Some(consumed) = check_to_learner(rest) {
        rest = &rest[consumed..];
    }
    if let Ok(Some((step, consumed))) = Step::decode(input, PACKET_BYTES_MAX) {
        let mut out = Vec::new();
        step.encode(&mut out);
        assert_eq!(out, input[..consumed]);
    }
}

/// What arrives on an election connection: a hello, if it begins with one, and then frames; and the
/// input as the body of one.
pub fn election(input: &[u8]) {
    let mut rest = input;
    if let Ok(Some((hello, consumed))) = Hello::decode(input) {
        let mut out = Vec::new();
        hello.encode(&mut out);
        assert_eq!(out, input[..consumed]);
        assert!(hello.addresses.callable().count() <= HELLO_ADDRESSES_BYTES_MAX / 3);
        rest = &rest[consumed..];
    }
    while let Ok(Some((body, consumed))) = frame::split(rest, ELECTION_MESSAGE_BYTES_MAX) {
        check_notification(body);
        rest = &rest[consumed..];
    }
    check_notification(input);
}

fn check_notification(body: &[u8]) {
    let Ok(notification) = Notification::decode(body) else { return };
    let mut out = Vec::new();
    notification.encode(&mut out);
    assert_eq!(Notification::decode(&out[4..]).as_ref(), Ok(&notification));
}

/// How many bytes the first packet takes, if the connection lives on behind it.
fn check_to_leader(input: &[u8]) -> Option<usize> {
    let (packet, consumed) = match ToLeader::decode(input, PACKET_BYTES_MAX) {
        Ok(decoded) => decoded?,
        Err(PacketError::Unexpected { consumed, .. }) => return Some(consumed),
        Err(_) => return None,
    };
    if let ToLeader::Request(request) = packet {
        check_request(request.body);
        // Each takes eight bytes at least, so that their number is bounded by the input.
        assert!(request.auth.ids().count() <= input.len() / 8);
    }
    let mut out = Vec::new();
    packet.encode(&mut out);
    let bytes = out.len();
    assert_eq!(ToLeader::decode(&out, PACKET_BYTES_MAX), Ok(Some((packet, bytes))));
    Some(consumed)
}

fn check_to_learner(input: &[u8]) -> Option<usize> {
    let (packet, mut consumed) = match ToLearner::decode(input, PACKET_BYTES_MAX) {
        Ok(decoded) => decoded?,
        Err(PacketError::Unexpected { consumed, .. }) => return Some(consumed),
        Err(_) => return None,
    };
    match packet {
        ToLearner::Proposal(proposal)
        | ToLearner::Inform(proposal)
        | ToLearner::InformAndActivate { proposal, .. } => {
            check_payload(proposal.payload());
            if let Ok(Some(config)) = proposal.new_config() {
                // Three bytes of a replacement character may stand for one.
                assert!(config.len() <= 3 * proposal.payload().len());
            }
        }
        ToLearner::Snapshot { .. } => {
            let mut reader = Reader::new(&input[consumed..]);
            read_snapshot_stream(&mut reader).ok()?;
            consumed += reader.position();
        }
        ToLearner::LeaderInfo { .. }
        | ToLearner::Diff { .. }
        | ToLearner::Truncate { .. }
        | ToLearner::NewLeader { .. }
        | ToLearner::UpToDate
        | ToLearner::Commit { .. }
        | ToLearner::CommitAndActivate { .. }
        | ToLearner::Sync
        | ToLearner::Ping { .. }
        | ToLearner::Revalidated { .. } => {}
    }
    let mut out = Vec::new();
    packet.encode(&mut out);
    let bytes = out.len();
    assert_eq!(ToLearner::decode(&out, PACKET_BYTES_MAX), Ok(Some((packet, bytes))));
    Some(consumed)
}

/// What a leader sends behind the packet that announces it.
fn read_snapshot_stream(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    read_snapshot_records(reader)?;
    decode_snapshot_signature(reader)
}

fn check_request(body: &[u8]) {
    let Ok(request) = Request::decode(body) else { return };
    let mut out = Vec::new();
    request.encode(&mut out);
    assert_eq!(Request::decode(&out[4..]).as_ref(), Ok(&request));
}

fn check_answer(body: &[u8]) {
    if let Ok(event) = WatchEvent::decode(body) {
        let mut out = Vec::new();
        event.encode(&mut out);
        assert_eq!(WatchEvent::decode(&out[4..]).as_ref(), Ok(&event));
    }
    let Ok((header, record)) = ReplyHeader::decode(body) else { return };
    if let Some(code) = ErrorCode::from_raw(header.code) {
        let mut out = Vec::new();
        Reply { xid: header.xid, zxid: header.zxid, result: Err(code) }.encode(&mut out);
        assert_eq!(ReplyHeader::decode(&out[4..]), Ok((header, &[][..])));
    }
    check_znode_record(record);
    check_names_record(record);
    if let Ok(count) = reply::decode_count(record) {
        again(Body::Count(count), |it| assert_eq!(reply::decode_count(it), Ok(count)));
    }
    if let Ok(token) = reply::decode_token(record) {
        let body = Body::Token(token.as_deref());
        again(body, |it| assert_eq!(reply::decode_token(it).as_ref(), Ok(&token)));
    }
    if let Ok(infos) = reply::decode_who_am_i(record) {
        // Each takes eight bytes at least, so that what is reserved is bounded by the input.
        assert!(infos.capacity() <= record.len() / 8);
        let body = Body::WhoAmI(&infos);
        again(body, |it| assert_eq!(reply::decode_who_am_i(it).as_ref(), Ok(&infos)));
    }
    multi(record);
}

/// The records that tell of one znode.
fn check_znode_record(record: &[u8]) {
    if let Ok(path) = reply::decode_path(record) {
        // Three bytes of a replacement character may stand for one.
        assert!(path.len() <= 3 * record.len());
        again(Body::Path(&path), |it| assert_eq!(reply::decode_path(it).as_ref(), Ok(&path)));
    }
    if let Ok(created) = reply::decode_path_and_stat(record) {
        let body = Body::PathAndStat { path: &created.path, stat: &created.stat };
        again(body, |it| assert_eq!(reply::decode_path_and_stat(it).as_ref(), Ok(&created)));
    }
    if let Ok(stat) = reply::decode_stat(record) {
        again(Body::Stat(&stat), |it| assert_eq!(reply::decode_stat(it), Ok(stat)));
    }
    if let Ok(znode) = reply::decode_data(record) {
        let body = Body::Data { data: znode.data.as_deref(), stat: &znode.stat };
        again(body, |it| assert_eq!(reply::decode_data(it).as_ref(), Ok(&znode)));
    }
    if let Ok(list) = reply::decode_acl(record) {
        // Each entry takes twelve bytes at least.
        assert!(list.acl.len() <= record.len() / 12);
        let body = Body::Acl { acl: &list.acl, stat: &list.stat };
        again(body, |it| assert_eq!(reply::decode_acl(it).as_ref(), Ok(&list)));
    }
}

/// The records with names: without a parent's numbers, with them, and several in one.
fn check_names_record(record: &[u8]) {
    let (xid, zxid) = (types::Xid(1), types::Zxid::ZERO);
    let mut out = Vec::new();
    if let Ok(names) = reply::decode_children(record) {
        // Each takes four bytes at least.
        assert!(names.capacity() <= record.len() / 4);
        reply::encode_children(&mut out, xid, zxid, names.iter().map(String::as_str), None);
        with_record(&out, |it| assert_eq!(reply::decode_children(it).as_ref(), Ok(&names)));
    }
    out.clear();
    if let Ok(children) = reply::decode_children2(record) {
        let names = children.names.iter().map(String::as_str);
        reply::encode_children(&mut out, xid, zxid, names, Some(&children.stat));
        with_record(&out, |it| assert_eq!(reply::decode_children2(it).as_ref(), Ok(&children)));
    }
    out.clear();
    let Ok(results) = reply::decode_multi_read(record) else { return };
    let mut encoder = MultiReadEncoder::new(&mut out, xid, zxid);
    for result in &results {
        match result {
            MultiReadResult::Data(znode) => encoder.data(znode.data.as_deref(), &znode.stat),
            MultiReadResult::Children(names) => {
                encoder.children(names.iter().map(String::as_str));
            }
            MultiReadResult::Failed { code } => match ErrorCode::from_raw(*code) {
                Some(code) => encoder.failed(code),
                // No server of ours says so.
                None => return,
            },
        }
    }
    encoder.finish();
    with_record(&out, |it| assert_eq!(reply::decode_multi_read(it).as_ref(), Ok(&results)));
}

/// Encodes an answer and hands its record on.
fn again(body: Body<'_>, check: impl FnOnce(&[u8])) {
    let mut out = Vec::new();
    Reply { xid: types::Xid(1), zxid: types::Zxid::ZERO, result: Ok(body) }.encode(&mut out);
    with_record(&out, check);
}

/// Hands on the record of an answer in a frame.
fn with_record(frame: &[u8], check: impl FnOnce(&[u8])) {
    let (header, record) = ReplyHeader::decode(&frame[4..]).expect("just encoded");
    assert_eq!(header.code, 0);
    check(record);
}

fn check_payload(payload: &[u8]) {
    let Ok((header, txn, digest)) = decode_txn(payload) else { return };
    // No path is empty, but input may have it so; a list of two such is taken for a digest.
    if let Txn::CloseSession { paths: Some(paths) } = &txn
        && paths.iter().any(|path| path.is_empty())
    {
        return;
    }
    let mut first = Vec::new();
    encode_txn(&mut first, &header, &txn, digest);
    let (again_header, again, again_digest) = decode_txn(&first).expect("just encoded");
    assert_eq!((again_header, again_digest), (header, digest));
    let mut second = Vec::new();
    encode_txn(&mut second, &header, &again, digest);
    assert_eq!(first, second);
    check_entry(&header, &txn, &first, digest);
}

fn check_entry(header: &TxnHeader, txn: &Txn, payload: &[u8], digest: Option<types::TxnDigest>) {
    let mut batch = LogBatch::new();
    batch.push(header, txn, digest);
    let next = next_entry(batch.as_bytes(), STORED_BYTES_MAX);
    let Ok(NextEntry::Entry(entry)) = next else { panic!("{next:?}") };
    assert_eq!(entry.payload, payload);
    assert_eq!(entry.consumed, batch.as_bytes().len());
}

fn read_snapshot(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    FileHeader::decode(reader)?;
    read_snapshot_records(reader)?;
    snapshot::decode_seal(reader)?;
    snapshot::decode_digest(reader)?;
    snapshot::decode_seal(reader)?;
    snapshot::decode_last_zxid(reader)?;
    snapshot::decode_seal(reader)?;
    Ok(())
}

/// The records from the number of sessions to the end mark.
fn read_snapshot_records(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    for _ in 0..snapshot::decode_count(reader)? {
        snapshot::decode_session(reader)?;
    }
    for _ in 0..snapshot::decode_count(reader)? {
        snapshot::decode_acl(reader)?;
    }
    while check_node(reader)? {}
    Ok(())
}

/// Whether there was a node and not the end.
fn check_node(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    let Some(node) = snapshot::decode_node(reader)? else { return Ok(false) };
    let mut out = Vec::new();
    snapshot::put_node(&mut out, &node.path, node.data, node.acl, &node.stat);
    let again = snapshot::decode_node(&mut Reader::new(&out)).expect("just encoded");
    assert_eq!(again, Some(node));
    Ok(true)
}
