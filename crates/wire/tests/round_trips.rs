//! Whatever is encoded is decoded to the same value; whatever is cut short or damaged is refused
//! and never harms.

#[path = "support/strategies.rs"]
mod strategies;

use proptest::collection::vec;
use proptest::prelude::*;
use strategies::{acls, data, digest, header, request, stat, stored_stat, text, txn, zxid};
use types::{
    ErrorCode, EventKind, Op, Read, SessionId, SessionPassword, TxnDigest, Write, Xid, Zxid,
};
use wire::connect::{ConnectRequest, ConnectResponse};
use wire::event::WatchEvent;
use wire::frame::{self, FrameError};
use wire::jute::{self, DecodeError, Reader};
use wire::limits::{FRAME_BYTES_MAX, STORED_BYTES_MAX};
use wire::reply::{
    self, Body, ClientInfo, MultiReadEncoder, MultiReadResult, MultiResult, Reply, ReplyHeader,
};
use wire::request::{Request, RequestError};
use wire::stored::snapshot::{self, AclId, StoredAcl, StoredNode, StoredSession};
use wire::stored::{
    EntryEnd, EntryError, LogBatch, NextEntry, SetDataTxn, decode_txn, encode_txn, next_entry,
};

/// The body of the only frame that `encode` appends to a buffer with something in it.
fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = b"before".to_vec();
    encode(&mut out);
    let (body, consumed) = frame::split(&out[6..], FRAME_BYTES_MAX).expect("valid").expect("whole");
    assert_eq!(consumed, out.len() - 6);
    body.to_vec()
}

fn is_truncated<T>(result: &Result<T, DecodeError>) -> bool {
    matches!(result, Err(DecodeError::Truncated { .. }))
}

fn client_info() -> impl Strategy<Value = ClientInfo<'static>> {
    (text(), text()).prop_map(|(scheme, user)| ClientInfo { scheme, user })
}

fn multi_result() -> impl Strategy<Value = MultiResult<'static>> {
    prop_oneof![
        text().prop_map(|path| MultiResult::Created { path }),
        (text(), stat()).prop_map(|(path, stat)| MultiResult::Created2 { path, stat }),
        Just(MultiResult::Deleted),
        stat().prop_map(MultiResult::DataSet),
        Just(MultiResult::Checked),
        any::<i32>().prop_map(|code| MultiResult::Failed { code }),
    ]
}

fn multi_read_result() -> impl Strategy<Value = MultiReadResult> {
    let code = proptest::sample::select(ErrorCode::ALL);
    prop_oneof![
        (data(), stat()).prop_map(|(data, stat)| {
            MultiReadResult::Data(reply::DataBody { data: data.map(Into::into), stat })
        }),
        vec(any::<String>(), 0..4).prop_map(MultiReadResult::Children),
        code.prop_map(|code| MultiReadResult::Failed { code: code.raw() }),
    ]
}

proptest! {
    #[test]
    fn requests(request in request()) {
        let body = encoded(|out| request.encode(out));
        prop_assert_eq!(Request::decode(&body), Ok(request));
    }

    #[test]
    fn trailing_bytes_of_a_request_are_ignored(
        request in request(),
        more in vec(any::<u8>(), 1..9),
    ) {
        // A rejected request has no record of its own that something could follow.
        let rejected = [
            Op::Write(Write::Rejected(ErrorCode::MarshallingError)),
            Op::Read(Read::Rejected(ErrorCode::MarshallingError)),
        ];
        prop_assume!(!rejected.contains(&request.op));
        let mut body = encoded(|out| request.encode(out));
        body.extend_from_slice(&more);
        prop_assert_eq!(Request::decode(&body), Ok(request));
    }

    #[test]
    fn a_request_cut_short_is_rejected_in_its_place(request in request()) {
        let body = encoded(|out| request.encode(out));
        for cut in 0..body.len() {
            match Request::decode(&body[..cut]) {
                Err(RequestError::Header(error)) => {
                    prop_assert!(cut < 8);
                    prop_assert!(is_truncated::<()>(&Err(error)));
                }
                Err(RequestError::Credentials { xid, source }) => {
                    prop_assert!(matches!(request.op, Op::Auth(_) | Op::Sasl(_)));
                    prop_assert_eq!(xid, request.xid);
                    prop_assert!(is_truncated::<()>(&Err(source)));
                }
                Err(error @ RequestError::UnknownOpcode { .. }) => prop_assert!(false, "{}", error),
                Ok(cut_request) => {
                    prop_assert_eq!(cut_request.xid, request.xid);
                    let is_rejection = matches!(
                        cut_request.op,
                        Op::Write(Write::Rejected(ErrorCode::MarshallingError))
                            | Op::Read(Read::Rejected(ErrorCode::MarshallingError))
                    );
                    prop_assert!(is_rejection, "{cut} bytes of {request:?} are {cut_request:?}");
                }
            }
        }
    }

    #[test]
    fn handshakes(
        zxid in zxid(),
        timeout_ms: i32,
        session: i64,
        password in vec(any::<u8>(), 0..20),
        stored: [u8; 16],
        read_only: Option<bool>,
    ) {
        let request = ConnectRequest {
            last_zxid_seen: zxid,
            timeout_ms,
            session: SessionId(session),
            password: &password,
            read_only,
        };
        let body = encoded(|out| request.encode(out));
        prop_assert_eq!(ConnectRequest::decode(&body), Ok(request));
        let required = body.len() - usize::from(read_only.is_some());
        for cut in 0..required {
            prop_assert!(is_truncated(&ConnectRequest::decode(&body[..cut])));
        }

        let password = SessionPassword(stored);
        let session = SessionId(session);
        let response = ConnectResponse { timeout_ms, session, password, read_only };
        let body = encoded(|out| response.encode(out));
        prop_assert_eq!(ConnectResponse::decode(&body), Ok(response));
        let required = body.len() - usize::from(read_only.is_some());
        for cut in 0..required {
            prop_assert!(is_truncated(&ConnectResponse::decode(&body[..cut])));
        }
    }

    #[test]
    fn events(zxid in zxid(), kind in 1..=4, path in text()) {
        let kind = EventKind::from_raw(kind).expect("in range");
        let zxid = Some(zxid).filter(|&zxid| zxid != Zxid::from_raw(-1));
        let event = WatchEvent { zxid, kind, path };
        let body = encoded(|out| event.encode(out));
        prop_assert_eq!(ReplyHeader::decode(&body).expect("whole").0.xid, Xid::NOTIFICATION);
        prop_assert_eq!(WatchEvent::decode(&body), Ok(event));
        for cut in 0..body.len() {
            prop_assert!(is_truncated(&WatchEvent::decode(&body[..cut])));
        }
    }

    #[test]
    fn reply_headers(xid: i32, zxid in zxid(), code in proptest::sample::select(ErrorCode::ALL)) {
        let xid = Xid(xid);
        let body = encoded(|out| Reply { xid, zxid, result: Err(code) }.encode(out));
        let header = ReplyHeader { xid, zxid, code: code.raw() };
        prop_assert_eq!(ReplyHeader::decode(&body), Ok((header, &[][..])));
    }

    #[test]
    fn reply_records(
        path in text(),
        stat in stat(),
        data in data(),
        acl in acls(),
        count: i32,
        infos in vec(client_info(), 0..4),
    ) {
        let data = data.as_deref();
        check(Body::Path(&path), reply::decode_path, path.to_string());
        check(
            Body::PathAndStat { path: &path, stat: &stat },
            reply::decode_path_and_stat,
            reply::PathBody { path: path.to_string(), stat },
        );
        check(Body::Stat(&stat), reply::decode_stat, stat);
        check(
            Body::Data { data, stat: &stat },
            reply::decode_data,
            reply::DataBody { data: data.map(<[u8]>::to_vec), stat },
        );
        check(
            Body::Acl { acl: &acl, stat: &stat },
            reply::decode_acl,
            reply::AclBody { acl: acl.clone(), stat },
        );
        check(Body::Count(count), reply::decode_count, count);
        check(Body::WhoAmI(&infos), reply::decode_who_am_i, infos.clone());
        check(Body::Token(data), reply::decode_token, data.map(<[u8]>::to_vec));
    }

    #[test]
    fn lists_of_children(names in vec(any::<String>(), 0..5), stat in stat()) {
        let names_of = || names.iter().map(String::as_str);
        let body = encoded(|out| reply::encode_children(out, Xid(1), Zxid::ZERO, names_of(), None));
        prop_assert_eq!(reply::decode_children(&body[16..]), Ok(names.clone()));
        for cut in 16..body.len() {
            prop_assert!(is_truncated(&reply::decode_children(&body[16..cut])));
        }
        let body =
            encoded(|out| reply::encode_children(out, Xid(1), Zxid::ZERO, names_of(), Some(&stat)));
        let expected = reply::ChildrenBody { names: names.clone(), stat };
        prop_assert_eq!(reply::decode_children2(&body[16..]), Ok(expected));
    }

    #[test]
    fn multi_results(results in vec(multi_result(), 0..6)) {
        check(Body::Multi(&results), reply::decode_multi, results.clone());
    }

    #[test]
    fn multi_read_results(results in vec(multi_read_result(), 0..6)) {
        let body = encoded(|out| {
            let mut encoder = MultiReadEncoder::new(out, Xid(1), Zxid::ZERO);
            for result in &results {
                match result {
                    MultiReadResult::Data(body) => encoder.data(body.data.as_deref(), &body.stat),
                    MultiReadResult::Children(names) => {
                        encoder.children(names.iter().map(String::as_str));
                    }
                    MultiReadResult::Failed { code } => {
                        encoder.failed(ErrorCode::from_raw(*code).expect("one of all"));
                    }
                }
            }
            encoder.finish();
        });
        prop_assert_eq!(reply::decode_multi_read(&body[16..]), Ok(results));
        for cut in 16..body.len() {
            prop_assert!(is_truncated(&reply::decode_multi_read(&body[16..cut])));
        }
    }

    #[test]
    fn transactions(header in header(), txn in txn(), digest in digest()) {
        let mut payload = Vec::new();
        encode_txn(&mut payload, &header, &txn, digest);
        prop_assert_eq!(decode_txn(&payload), Ok((header, txn.clone(), digest)));
        let in_place = SetDataTxn::read(&payload).expect("it can be read");
        let as_decoded = in_place.map(|SetDataTxn { header, path, data, version, digest }| {
            let (path, data) = (path.into(), data.map(Into::into));
            (header, types::Txn::SetData { path, data, version }, digest)
        });
        let sets_data = matches!(txn, types::Txn::SetData { .. });
        prop_assert_eq!(as_decoded, sets_data.then_some((header, txn, digest)));
    }

    #[test]
    fn a_transaction_cut_short_is_refused_or_of_an_old_form(
        header in header(),
        txn in txn(),
        digest in digest(),
    ) {
        let mut payload = Vec::new();
        encode_txn(&mut payload, &header, &txn, digest);
        for cut in 0..payload.len() {
            let in_place = SetDataTxn::read(&payload[..cut]);
            if let Some(in_place) = in_place.transpose() {
                prop_assert_eq!(in_place.is_ok(), decode_txn(&payload[..cut]).is_ok());
            }
            match decode_txn(&payload[..cut]) {
                Err(error) => prop_assert!(is_truncated::<()>(&Err(error))),
                Ok((cut_header, cut_txn, cut_digest)) => {
                    prop_assert_eq!(cut_header, header);
                    let lost_digest = cut_txn == txn && cut_digest.is_none() && digest.is_some();
                    let old_form = matches!(
                        cut_txn,
                        types::Txn::CloseSession { paths: None }
                            | types::Txn::Create(types::CreateTxn { parent_cversion: None, .. })
                    );
                    prop_assert!(lost_digest || old_form, "{cut} bytes of {txn:?}: {cut_txn:?}");
                }
            }
        }
    }

    #[test]
    fn log_batches(entries in vec((header(), txn(), digest()), 0..5), cut: prop::sample::Index) {
        let mut batch = LogBatch::new();
        for (header, txn, digest) in &entries {
            let payload = batch.push(header, txn, *digest);
            let decoded = decode_txn(&batch.as_bytes()[payload.clone()]);
            prop_assert_eq!(decoded, Ok((*header, txn.clone(), *digest)));
            let (found, proposal) = batch.entries().last().expect("pushed");
            prop_assert_eq!((found, proposal.zxid()), (payload.clone(), header.zxid));
            prop_assert_eq!(proposal.payload(), &batch.as_bytes()[payload]);
        }
        prop_assert_eq!(batch.count(), entries.len());
        prop_assert_eq!(batch.first_zxid(), entries.first().map(|(header, ..)| header.zxid));
        prop_assert_eq!(batch.last_zxid(), entries.last().map(|(header, ..)| header.zxid));

        // Read back, cut anywhere: whole entries first, then an end that says what is missing.
        let bytes = batch.as_bytes();
        let cut = cut.index(bytes.len() + 1);
        let mut position = 0;
        for (header, txn, digest) in &entries {
            match next_entry(&bytes[position..cut], STORED_BYTES_MAX) {
                Ok(NextEntry::Entry(entry)) => {
                    let decoded = decode_txn(entry.payload);
                    prop_assert_eq!(decoded, Ok((*header, txn.clone(), *digest)));
                    position += entry.consumed;
                }
                Ok(NextEntry::End(EntryEnd::Truncated { needed })) => {
                    prop_assert!((1..=bytes.len() - cut).contains(&needed));
                    break;
                }
                Ok(NextEntry::End(EntryEnd::Clean)) => {
                    prop_assert_eq!(position, cut);
                    break;
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }

        let taken = batch.take();
        prop_assert_eq!(taken.count(), entries.len());
        prop_assert!(batch.is_empty());
        for (header, txn, digest) in &entries {
            batch.push(header, txn, *digest);
        }
        prop_assert_eq!(&batch, &taken);
        batch.clear();
        prop_assert!(batch.is_empty() && batch.as_bytes().is_empty());
        prop_assert_eq!((batch.first_zxid(), batch.last_zxid()), (None, None));
    }

    #[test]
    fn a_changed_byte_of_an_entry_is_noticed(
        header in header(),
        txn in txn(),
        position: prop::sample::Index,
        change in 1..=u8::MAX,
    ) {
        let mut batch = LogBatch::new();
        let payload = batch.push(&header, &txn, None);
        let mut bytes = batch.as_bytes().to_vec();
        let position = payload.start + position.index(payload.len());
        bytes[position] ^= change;
        let next = next_entry(&bytes, STORED_BYTES_MAX);
        let is_noticed = matches!(next, Err(EntryError::Checksum { .. }));
        prop_assert!(is_noticed);
    }

    #[test]
    fn snapshot_records(
        session: i64,
        timeout_ms: i32,
        id: i64,
        acl in acls(),
        path in text(),
        data in data(),
        stat in stored_stat(),
        zxid in zxid(),
        tree: u64,
        sum: u32,
    ) {
        let (session, id) = (SessionId(session), AclId(id));
        let expected = StoredSession { session, timeout_ms };
        let put = |out: &mut Vec<u8>| snapshot::put_session(out, session, timeout_ms);
        check_record(put, snapshot::decode_session, &expected);
        let expected = StoredAcl { id, acl: acl.clone() };
        let put = |out: &mut Vec<u8>| snapshot::put_acl(out, id, &acl);
        check_record(put, snapshot::decode_acl, &expected);

        prop_assume!(path != "/");
        let mut bytes = Vec::new();
        snapshot::put_node(&mut bytes, &path, data.as_deref(), id, &stat);
        let expected = StoredNode { path, data: data.as_deref(), acl: id, stat };
        prop_assert_eq!(snapshot::decode_node(&mut Reader::new(&bytes)), Ok(Some(expected)));
        for cut in 0..bytes.len() {
            prop_assert!(is_truncated(&snapshot::decode_node(&mut Reader::new(&bytes[..cut]))));
        }

        let digest = TxnDigest { version: TxnDigest::VERSION, tree };
        let expected = snapshot::StoredDigest { zxid, digest: Some(digest) };
        let put = |out: &mut Vec<u8>| snapshot::put_digest(out, zxid, digest);
        check_record(put, snapshot::decode_digest, &expected);
        check_record(|out| snapshot::put_last_zxid(out, zxid), snapshot::decode_last_zxid, &zxid);
        check_record(|out| snapshot::put_seal(out, sum), snapshot::decode_seal, &sum);
    }

    #[test]
    fn random_bytes_harm_nothing(bytes in vec(prop_oneof![any::<u8>(), 0..4_u8], 0..200)) {
        decode_everything(&bytes);
    }

    #[test]
    fn changed_requests_harm_nothing(
        request in request(),
        positions in vec(any::<prop::sample::Index>(), 1..4),
        value: u8,
    ) {
        let mut body = encoded(|out| request.encode(out));
        for position in positions {
            let position = position.index(body.len());
            body[position] = value;
        }
        decode_everything(&body);
    }

    #[test]
    fn frames(body in vec(any::<u8>(), 0..50), frame_bytes_max in 0..50_usize) {
        let mut out = Vec::new();
        let start = frame::begin(&mut out);
        out.extend_from_slice(&body);
        frame::finish(&mut out, start);
        for cut in 0..4 {
            prop_assert_eq!(frame::split(&out[..cut], frame_bytes_max), Ok(None));
        }
        let split = frame::split(&out, frame_bytes_max);
        if body.len() <= frame_bytes_max {
            prop_assert_eq!(split, Ok(Some((&body[..], out.len()))));
            let all_but_one = &out[..out.len() - 1];
            prop_assert_eq!(frame::split(all_but_one, frame_bytes_max), Ok(None));
        } else {
            let length = i32::try_from(body.len()).expect("small");
            let error = FrameError::TooLong { length, bytes_max: frame_bytes_max };
            prop_assert_eq!(split, Err(error));
            prop_assert_eq!(frame::split(&out[..4], frame_bytes_max), Err(error));
        }
    }
}

/// Encodes a reply, decodes its record, and cuts it at every byte.
fn check<T: PartialEq + std::fmt::Debug>(
    body: Body<'_>,
    decode: fn(&[u8]) -> Result<T, DecodeError>,
    expected: T,
) {
    let (xid, zxid) = (Xid(7), Zxid::from_raw(9));
    let encoded = encoded(|out| Reply { xid, zxid, result: Ok(body) }.encode(out));
    let (header, record) = ReplyHeader::decode(&encoded).expect("whole");
    assert_eq!(header, ReplyHeader { xid, zxid, code: 0 });
    assert_eq!(decode(record), Ok(expected));
    for cut in 0..record.len() {
        assert!(is_truncated(&decode(&record[..cut])), "{cut} of {} bytes", record.len());
    }
}

fn check_record<T: PartialEq + std::fmt::Debug>(
    put: impl FnOnce(&mut Vec<u8>),
    decode: for<'r> fn(&mut Reader<'r>) -> Result<T, DecodeError>,
    expected: &T,
) {
    let mut bytes = Vec::new();
    put(&mut bytes);
    assert_eq!(decode(&mut Reader::new(&bytes)).as_ref(), Ok(expected));
    for cut in 0..bytes.len() {
        assert!(is_truncated(&decode(&mut Reader::new(&bytes[..cut]))), "{cut} bytes");
    }
}

/// Gives the bytes to every decoder; what they make of them does not matter.
fn decode_everything(bytes: &[u8]) {
    std::hint::black_box([
        Request::decode(bytes).is_ok(),
        ConnectRequest::decode(bytes).is_ok(),
        ConnectResponse::decode(bytes).is_ok(),
        WatchEvent::decode(bytes).is_ok(),
        ReplyHeader::decode(bytes).is_ok(),
        reply::decode_acl(bytes).is_ok(),
        reply::decode_children2(bytes).is_ok(),
        reply::decode_data(bytes).is_ok(),
        reply::decode_multi(bytes).is_ok(),
        reply::decode_multi_read(bytes).is_ok(),
        reply::decode_who_am_i(bytes).is_ok(),
        decode_txn(bytes).is_ok(),
        SetDataTxn::read(bytes).is_ok(),
        next_entry(bytes, STORED_BYTES_MAX).is_ok(),
        snapshot::decode_acl(&mut Reader::new(bytes)).is_ok(),
        snapshot::decode_digest(&mut Reader::new(bytes)).is_ok(),
        snapshot::decode_node(&mut Reader::new(bytes)).is_ok(),
        snapshot::decode_seal(&mut Reader::new(bytes)).is_ok(),
    ]);
}

#[test]
fn a_count_beyond_the_input_is_refused_before_anything_is_reserved() {
    let mut bytes = Vec::new();
    jute::put_int(&mut bytes, i32::MAX);
    bytes.extend_from_slice(&[0; 100]);
    assert!(is_truncated(&Reader::new(&bytes).acls()));
    assert!(is_truncated(&Reader::new(&bytes).texts("path")));
    assert!(is_truncated(&reply::decode_who_am_i(&bytes)));
    assert_eq!(
        Reader::new(&bytes).count(4),
        Err(DecodeError::Truncated { offset: 4, needed: i32::MAX as usize * 4 - 100 })
    );
}
