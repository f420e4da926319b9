//! Between servers, too, whatever is encoded is decoded to the same value; what is cut short is
//! waited for, and what no server sends is refused by name.

#[path = "support/hex.rs"]
mod hex;
#[expect(dead_code, reason = "another test uses the others")]
#[path = "support/strategies.rs"]
mod strategies;

use hex::bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use strategies::{data, digest, header, request, text, txn, zxid};
use types::{Counter, Epoch, Id, SessionId, Sid, Zxid};
use wire::election::{
    AddressList, Addresses, ElectionRound, Form, Hello, HelloError, LastLogged, Notification,
    ServerState,
};
use wire::frame;
use wire::jute::DecodeError;
use wire::limits::{ELECTION_MESSAGE_BYTES_MAX, HELLO_ADDRESSES_BYTES_MAX, PACKET_BYTES_MAX};
use wire::quorum::sasl::{self, Status, Step};
use wire::quorum::{
    AuthInfo, Cuts, ForwardedRequest, LearnerInfo, PacketError, PacketType, Proposal, SessionTouch,
    ToLeader, ToLearner, Touches, put_request,
};
use wire::stored::encode_txn;

fn epoch() -> impl Strategy<Value = Epoch> {
    any::<i32>().prop_map(Epoch)
}

fn id() -> impl Strategy<Value = Id> {
    (text(), text()).prop_map(|(scheme, id)| Id::new(scheme, id))
}

fn touch() -> impl Strategy<Value = SessionTouch> {
    (any::<i64>(), any::<i32>())
        .prop_map(|(session, timeout_ms)| SessionTouch { session: SessionId(session), timeout_ms })
}

fn notification() -> impl Strategy<Value = Notification<'static>> {
    let state = (0..4).prop_map(|raw| ServerState::from_raw(raw).expect("in range"));
    let last_logged = prop_oneof![
        Just(LastLogged::Nobody),
        Just(LastLogged::NoDatabase),
        (0..=i64::MAX).prop_map(|raw| LastLogged::Zxid(Zxid::from_raw(raw))),
    ];
    let form = prop_oneof![
        1 => Just(Form::WithoutVersion),
        1 => Just(Form::WithoutConfig),
        4 => text().prop_map(|config| Form::WithConfig { config }),
    ];
    (
        state,
        option::of(any::<i64>().prop_map(Sid)),
        last_logged,
        any::<i64>(),
        option::of(epoch()),
        form,
    )
        .prop_map(|(state, leader, last_logged, round, epoch, form)| Notification {
            state,
            leader: leader.filter(|leader| leader.0 != i64::MIN),
            last_logged,
            round: ElectionRound(round),
            epoch,
            form,
        })
}

/// Encodes a packet between others, decodes it, and cuts it at every byte.
fn check_to_leader(packet: ToLeader<'_>) {
    let mut out = Vec::new();
    packet.encode(&mut out);
    let bytes = out.len();
    out.extend_from_slice(b"more");
    assert_eq!(ToLeader::decode(&out, PACKET_BYTES_MAX), Ok(Some((packet, bytes))));
    for cut in 0..bytes {
        assert_eq!(ToLeader::decode(&out[..cut], PACKET_BYTES_MAX), Ok(None), "{cut} of {bytes}");
    }
    // What only the other side sends is passed over, but for what both send.
    match ToLearner::decode(&out, PACKET_BYTES_MAX) {
        Err(PacketError::Unexpected { kind, consumed }) => {
            assert_eq!((kind, consumed), (packet.packet_type().raw(), bytes));
        }
        other => assert!(is_of_both(packet.packet_type()), "{other:?}"),
    }
}

fn check_to_learner(packet: &ToLearner<'_>) {
    let mut out = Vec::new();
    packet.encode(&mut out);
    let bytes = out.len();
    out.extend_from_slice(b"more");
    let decoded = ToLearner::decode(&out, PACKET_BYTES_MAX);
    assert_eq!(decoded, Ok(Some((packet.clone(), bytes))));
    for cut in 0..bytes {
        assert_eq!(ToLearner::decode(&out[..cut], PACKET_BYTES_MAX), Ok(None), "{cut} of {bytes}");
    }
    match ToLeader::decode(&out, PACKET_BYTES_MAX) {
        Err(PacketError::Unexpected { kind, consumed }) => {
            assert_eq!((kind, consumed), (packet.packet_type().raw(), bytes));
        }
        other => assert!(is_of_both(packet.packet_type()), "{other:?}"),
    }
}

fn is_of_both(packet: PacketType) -> bool {
    matches!(packet, PacketType::Ping | PacketType::Revalidate)
}

proptest! {
    #[test]
    fn what_learners_send(
        sid: i64,
        epoch in epoch(),
        config_version: Option<i64>,
        cuts in select([Cuts::Log, Cuts::Snapshots, Cuts::Nothing].as_slice()),
        zxid in zxid(),
        session: i64,
        timeout_ms: i32,
        touches in vec(touch(), 0..5),
    ) {
        let info = LearnerInfo { sid: Sid(sid), accepted_epoch: epoch, config_version, cuts };
        check_to_leader(ToLeader::FollowerInfo(info));
        check_to_leader(ToLeader::ObserverInfo(info));
        let last_logged = Some(zxid).filter(|&zxid| zxid != Zxid::from_raw(-1));
        let current_epoch = Some(epoch).filter(|&epoch| epoch != Epoch(-1));
        for last_logged in [last_logged, None] {
            for current_epoch in [current_epoch, None] {
                check_to_leader(ToLeader::AckEpoch { last_logged, current_epoch });
            }
        }
        check_to_leader(ToLeader::AckNewLeader { epoch });
        if zxid.counter() != Counter(0) {
            check_to_leader(ToLeader::Ack { zxid });
        }
        check_to_leader(ToLeader::Revalidate { session: SessionId(session), timeout_ms });

        let mut buffer = b"something else".to_vec();
        let encoded = Touches::encode(&mut buffer, touches.iter().copied());
        prop_assert_eq!(encoded.iter().collect::<Vec<_>>(), touches);
        check_to_leader(ToLeader::Ping { last_proposed: zxid, touches: encoded });
    }

    #[test]
    fn forwarded_requests(session: i64, request in request(), ids in vec(id(), 0..4)) {
        let mut frame = Vec::new();
        request.encode(&mut frame);
        let mut buffer = b"something else".to_vec();
        let encoded = AuthInfo::encode(&mut buffer, &ids);
        prop_assert_eq!(encoded.ids().map(|id| id.to_id()).collect::<Vec<_>>(), ids);
        for auth in [encoded, AuthInfo::NULL] {
            let session = SessionId(session);
            let forwarded = ForwardedRequest { session, body: &frame[4..], auth };
            let read = forwarded.request();
            prop_assert_eq!(read.as_ref(), Ok(&request));
            check_to_leader(ToLeader::Request(forwarded));
        }
    }

    #[test]
    fn requests_are_forwarded_as_the_packets_that_they_are(
        session: i64,
        request in request(),
        ids in vec(id(), 0..4),
    ) {
        let (mut frame, mut buffer) = (Vec::new(), Vec::new());
        request.encode(&mut frame);
        let session = SessionId(session);
        let somebody = AuthInfo::encode(&mut buffer, &ids);
        for (identities, auth) in [(Some(&ids[..]), somebody), (None, AuthInfo::NULL)] {
            let forwarded = ForwardedRequest { session, body: &frame[4..], auth };
            let (mut packet, mut direct) = (b"before".to_vec(), b"before".to_vec());
            ToLeader::Request(forwarded).encode(&mut packet);
            put_request(&mut direct, session, &request, identities);
            prop_assert_eq!(&direct, &packet);
        }
    }

    #[test]
    fn what_leaders_send(
        epoch in epoch(),
        zxid in zxid(),
        config in text(),
        sid: i64,
        session: i64,
        is_valid: bool,
    ) {
        check_to_learner(&ToLearner::LeaderInfo { epoch });
        check_to_learner(&ToLearner::Diff { last_committed: zxid });
        check_to_learner(&ToLearner::Truncate { keep: zxid });
        check_to_learner(&ToLearner::Snapshot { last_applied: zxid });
        check_to_learner(&ToLearner::NewLeader { epoch, config: Some(config) });
        check_to_learner(&ToLearner::NewLeader { epoch, config: None });
        check_to_learner(&ToLearner::UpToDate);
        check_to_learner(&ToLearner::Commit { zxid });
        check_to_learner(&ToLearner::CommitAndActivate { zxid, designated_leader: Sid(sid) });
        check_to_learner(&ToLearner::Sync);
        check_to_learner(&ToLearner::Ping { last_proposed: zxid });
        check_to_learner(&ToLearner::Revalidated { session: SessionId(session), is_valid });
    }

    #[test]
    fn proposals(header in header(), txn in txn(), digest in digest(), sid: i64) {
        let mut payload = Vec::new();
        encode_txn(&mut payload, &header, &txn, digest);
        let proposal = Proposal::new(&payload).expect("whole");
        prop_assert_eq!(proposal.zxid(), header.zxid);
        let config = match &txn {
            types::Txn::Reconfig { data: Some(data), .. } => {
                Ok(Some(String::from_utf8_lossy(data).into_owned()))
            }
            types::Txn::Reconfig { data: None, .. } => Err(()),
            _ => Ok(None),
        };
        let read = proposal.new_config().map(|config| config.map(Into::into)).map_err(|_| ());
        // Java and Rust put a different number of replacement characters for a surrogate.
        if !matches!(&config, Ok(Some(text)) if text.contains(char::REPLACEMENT_CHARACTER)) {
            prop_assert_eq!(read, config);
        }
        check_to_learner(&ToLearner::Proposal(proposal));
        check_to_learner(&ToLearner::Inform(proposal));
        check_to_learner(&ToLearner::InformAndActivate { proposal, designated_leader: Sid(sid) });
    }

    #[test]
    fn steps_of_a_proof(status in -1..=1, token in data()) {
        let status = Status::from_raw(status).expect("in range");
        let step = Step { status, token: token.as_deref() };
        let mut out = Vec::new();
        step.encode(&mut out);
        prop_assert_eq!(Step::decode(&out, 20), Ok(Some((step, out.len()))));
        for cut in 0..out.len() {
            prop_assert_eq!(Step::decode(&out[..cut], 20), Ok(None));
            prop_assert_eq!(sasl::begins(&out[..cut]), (cut >= 8).then_some(true));
        }
    }

    #[test]
    fn notifications(notification in notification()) {
        let mut out = Vec::new();
        notification.encode(&mut out);
        let (body, consumed) =
            frame::split(&out, ELECTION_MESSAGE_BYTES_MAX).expect("valid").expect("whole");
        prop_assert_eq!(consumed, out.len());
        let decoded = Notification::decode(body);
        prop_assert_eq!(decoded.as_ref(), Ok(&notification));
        for cut in 0..body.len() {
            match Notification::decode(&body[..cut]) {
                Err(DecodeError::Truncated { .. }) => {}
                // The older forms are beginnings of the newer ones.
                Ok(Notification { form: Form::WithoutVersion, .. }) => prop_assert_eq!(cut, 36),
                Ok(Notification { form: Form::WithoutConfig, .. }) => prop_assert_eq!(cut, 40),
                other => prop_assert!(false, "{cut} bytes: {other:?}"),
            }
        }
    }

    #[test]
    fn hellos(
        sid: i64,
        hosts in vec(("[a-z][a-z0-9.-]{0,9}|[0-9a-f:]{1,9}:", any::<u16>()), 1..4),
    ) {
        let bracketed = |host: &str| match host.contains(':') {
            true => format!("[{host}]"),
            false => host.to_owned(),
        };
        let texts: Vec<_> =
            hosts.iter().map(|(host, port)| format!("{}:{port}", bracketed(host))).collect();
        let text = texts.join("|");
        let list = AddressList::parse(&text).expect("well formed");
        let read: Vec<_> =
            list.iter().map(|address| (address.host.to_owned(), address.port)).collect();
        prop_assert_eq!(read, hosts);
        let told = Some(Sid(sid)).filter(|sid| sid.0 != i64::MAX);
        for sid in [told, None] {
            check_hello(Hello { sid, addresses: Addresses::One(list) });
            check_hello(Hello { sid, addresses: Addresses::Several(list) });
        }
        if sid >= 0 {
            check_hello(Hello { sid: told, addresses: Addresses::Untold });
        }
    }

    #[test]
    fn random_bytes_harm_nothing(bytes in vec(prop_oneof![any::<u8>(), 0..20_u8], 0..120)) {
        std::hint::black_box([
            ToLeader::decode(&bytes, 100).is_ok(),
            ToLearner::decode(&bytes, 100).is_ok(),
            Step::decode(&bytes, 100).is_ok(),
            Hello::decode(&bytes).is_ok(),
            Notification::decode(&bytes).is_ok(),
            Proposal::new(&bytes).is_ok(),
        ]);
    }
}

fn check_hello(hello: Hello<'_>) {
    let mut out = Vec::new();
    hello.encode(&mut out);
    let bytes = out.len();
    out.extend_from_slice(b"more");
    assert_eq!(Hello::decode(&out), Ok(Some((hello, bytes))));
    for cut in 0..bytes {
        assert_eq!(Hello::decode(&out[..cut]), Ok(None), "{cut} of {bytes}");
    }
}

/// A packet from its type, zxid and, in digits, the rest.
fn packet(kind: i32, zxid: i64, rest: &str) -> Vec<u8> {
    let mut packet = kind.to_be_bytes().to_vec();
    packet.extend_from_slice(&zxid.to_be_bytes());
    packet.extend_from_slice(&bytes(rest));
    packet
}

fn refusal_by_leader(packet: &[u8]) -> String {
    refusal(ToLeader::decode(packet, 100).expect_err("refused"))
}

fn refusal_by_learner(packet: &[u8]) -> String {
    refusal(ToLearner::decode(packet, 100).expect_err("refused"))
}

/// What an operator reads of an error and its cause.
fn refusal(error: PacketError) -> String {
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[test]
fn lengths_out_of_bounds_are_refused_as_soon_as_they_are_there() {
    for length in ["00000065", "7fffffff", "fffffffe", "80000000"] {
        let reading = refusal_by_learner(&packet(4, 1, length));
        assert!(reading.starts_with("packet without an end: unreasonable length"), "{reading}");
    }
    // Thirteen identities take at least 104 bytes.
    let reading = refusal_by_leader(&packet(3, 1, "ffffffff 0000000d"));
    assert_eq!(reading, "packet without an end: unreasonable length 13 at offset 16");
    let two_long = format!("ffffffff 00000002 00000040 {0} ffffffff 00000040 {0}", "61".repeat(64));
    let reading = refusal_by_leader(&packet(3, 1, &two_long));
    assert_eq!(reading, "packet without an end: unreasonable length 2 at offset 16");
}

#[test]
fn packets_that_mean_nothing_are_refused_by_name() {
    let table = [
        (packet(0, 1, "ffffffff ffffffff"), "unexpected packet of type 0"),
        (packet(2, 1, "ffffffff ffffffff"), "unexpected packet of type 2"),
        (
            packet(11, 1 << 32, "ffffffff ffffffff"),
            "unreadable data in FOLLOWERINFO: data is null at offset 0",
        ),
        (
            packet(11, 1 << 32, "00000008 0000000000000003 ffffffff"),
            "unreadable data in FOLLOWERINFO: input ends at offset 8, 4 bytes too early",
        ),
        (
            packet(16, 1 << 32, "0000000c 0000000000000003 0000ffff ffffffff"),
            "unreadable data in OBSERVERINFO: unknown protocol version 65535 before offset 12",
        ),
        (
            packet(11, 5, "0000000c 0000000000000003 00010000 ffffffff"),
            "FOLLOWERINFO with 0x0/0x5 instead of an epoch",
        ),
        (packet(5, 1, "ffffffff ffffffff"), "unreadable data in PING: data is null at offset 0"),
        (
            packet(5, 1, "00000008 0000000000000003 ffffffff"),
            "unreadable data in PING: input ends at offset 8, 4 bytes too early",
        ),
        (
            packet(1, -1, "0000000c 0000000000000003 00000001 ffffffff"),
            "unreadable data in REQUEST: input ends at offset 12, 4 bytes too early",
        ),
    ];
    for (packet, expected) in table {
        assert_eq!(refusal_by_leader(&packet), expected);
    }
    let header = "0100000000000001 00000001 0000000000000007 0000018bcfe56805";
    let table = [
        (packet(3, 1, "ffffffff ffffffff"), "unexpected packet of type 3".to_owned()),
        (packet(20, 1, "ffffffff ffffffff"), "unexpected packet of type 20".to_owned()),
        (
            packet(17, 1 << 32, "00000004 00000001 ffffffff"),
            "unreadable data in LEADERINFO: unknown protocol version 1 before offset 4".to_owned(),
        ),
        (
            packet(10, 7, "ffffffff ffffffff"),
            "NEWLEADER with 0x0/0x7 instead of an epoch".to_owned(),
        ),
        (
            packet(2, 8, &format!("0000001c {header} ffffffff")),
            "PROPOSAL with 0x0/0x8 around the transaction 0x0/0x7".to_owned(),
        ),
        (
            packet(19, 8, &format!("00000024 0000000000000002 {header} ffffffff")),
            "INFORMANDACTIVATE with 0x0/0x8 around the transaction 0x0/0x7".to_owned(),
        ),
        (
            packet(8, 8, "00000004 00000001 ffffffff"),
            "unreadable data in INFORM: input ends at offset 0, 4 bytes too early".to_owned(),
        ),
    ];
    for (packet, expected) in table {
        assert_eq!(refusal_by_learner(&packet), expected);
    }
}

#[test]
fn fields_that_come_later_are_passed_over() {
    let longer = packet(18, 1, "00000006 00000004 0102 ffffffff");
    let expected =
        ToLeader::AckEpoch { last_logged: Some(Zxid::from_raw(1)), current_epoch: Some(Epoch(4)) };
    assert_eq!(ToLeader::decode(&longer, 100), Ok(Some((expected, longer.len()))));
    let longer = packet(4, 1, "00000001 00 00000000");
    let expected = ToLearner::Commit { zxid: Zxid::from_raw(1) };
    assert_eq!(ToLearner::decode(&longer, 100), Ok(Some((expected, longer.len()))));

    let mut notification = bytes(
        "00000000 0000000000000002 0000000000000000 0000000000000001 0000000000000001 \
         00000003 00000001 61 0102",
    );
    let decoded = Notification::decode(&notification).expect("a version to come");
    assert_eq!(decoded.form, Form::WithConfig { config: "a".into() });
    // Of these exact sizes are the old forms, whatever the version says.
    notification.truncate(40);
    let decoded = Notification::decode(&notification).expect("of an old form");
    assert_eq!(decoded.form, Form::WithoutConfig);
}

#[test]
fn notifications_that_mean_nothing_are_refused_by_name() {
    let rest = "0000000000000002 0000000000000000 0000000000000001";
    let table = [
        (format!("00000004 {rest} 0000000000000001"), "unknown server state 4 before offset 4"),
        (format!("00000000 {rest}"), "input ends at offset 28, 8 bytes too early"),
        (format!("00000000 {rest} 0000000080000000"), "unknown epoch 2147483648 before offset 36"),
        (
            format!("00000000 {rest} 0000000000000001 00000000 00000000"),
            "unknown version of a notification 0 before offset 40",
        ),
        (
            format!("00000000 {rest} 0000000000000001 00000002 ffffffff"),
            "membership is null at offset 40",
        ),
        (
            format!("00000000 {rest} 0000000000000001 00000002 00000002 61"),
            "input ends at offset 44, 1 bytes too early",
        ),
    ];
    for (body, expected) in table {
        let error = Notification::decode(&bytes(&body)).expect_err("refused");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn hellos_that_mean_nothing_are_refused_as_soon_as_that_is_clear() {
    let version = HelloError::Version { version: -1 };
    assert_eq!(Hello::decode(&[0xff; 8]), Err(version));
    let head = "ffffffffffff0000 0000000000000001";
    for (digits, length) in [("00000000", 0), ("ffffffff", -1), ("00000801", 2049)] {
        let hello = bytes(&format!("{head} {digits}"));
        assert_eq!(Hello::decode(&hello), Err(HelloError::Length { length }));
    }
    let malformed = bytes(&format!("{head} 00000003 61ff3a"));
    assert_eq!(Hello::decode(&malformed), Err(HelloError::Text { valid_bytes: 1 }));
    let nowhere = HelloError::Address { text: ":1".into() };
    assert_eq!(nowhere.to_string(), "malformed address \":1\" in a hello");
    assert_eq!(AddressList::parse("h:1|:1"), Err(nowhere));
    let long = format!("{}:1", "h".repeat(HELLO_ADDRESSES_BYTES_MAX - 2));
    assert!(AddressList::parse(&long).is_ok());
    assert!(AddressList::parse(&format!("h{long}")).is_err());
}

#[test]
fn old_servers_say_no_more_than_their_id() {
    let sid_3 = bytes("0000000000000003");
    let hello = Hello { sid: Some(Sid(3)), addresses: Addresses::Untold };
    assert_eq!(Hello::decode(&sid_3), Ok(Some((hello, 8))));
    let nobody = bytes("7fffffffffffffff");
    let hello = Hello { sid: None, addresses: Addresses::Untold };
    assert_eq!(Hello::decode(&nobody), Ok(Some((hello, 8))));
    assert_eq!(hello.addresses.callable().count(), 0);
}
