//! What Apache's classes write to other servers, read and written again.
//!
//! How it was made: `tests/golden/README.md`.

#[path = "support/hex.rs"]
mod hex;

use std::borrow::Cow;
use std::net::IpAddr;

use hex::bytes;
use types::{Epoch, Id, Op, SessionId, Sid, Txn, Write, Xid, Zxid};
use wire::election::{
    Addresses, ElectionRound, Form, Hello, LastLogged, Notification, ServerState,
};
use wire::frame;
use wire::limits::{ELECTION_MESSAGE_BYTES_MAX, PACKET_BYTES_MAX};
use wire::quorum::sasl::{self, Status, Step};
use wire::quorum::{
    AuthInfo, Cuts, ForwardedRequest, LearnerInfo, Proposal, SessionTouch, ToLeader, ToLearner,
    Touches,
};
use wire::request::Request;
use wire::stored::decode_txn;

const PACKETS: &str = include_str!("golden/packets.hex");
const NOTIFICATIONS: &str = include_str!("golden/notifications.hex");
const HELLOS: &str = include_str!("golden/hellos.hex");

const SESSION: SessionId = SessionId(0x0100_0000_0000_0001);
const EPOCH: Epoch = Epoch(5);
const ZXID: Zxid = Zxid::from_raw(0x5_0000_0007);
const CONFIG: &str = "server.1=10.0.0.1:2888:3888:participant;0.0.0.0:2181\n\
    server.2=höst:2888:3888:observer\n\
    version=100000004";

/// The lines that begin with `mark`, without it: names and bytes.
fn lines<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = (&'a str, Vec<u8>)> {
    text.lines().filter_map(move |line| line.strip_prefix(mark)).map(|line| {
        let (name, hex) = line.rsplit_once(' ').expect("a name and bytes");
        (name, bytes(hex))
    })
}

#[test]
fn packets_to_the_leader() {
    let mut count = 0;
    for (name, packet) in lines(PACKETS, "> ") {
        let decoded = ToLeader::decode(&packet, PACKET_BYTES_MAX).expect(name).expect("whole");
        assert_eq!(decoded.1, packet.len(), "{name}");
        check_to_leader(name, decoded.0);
        let mut out = Vec::new();
        decoded.0.encode(&mut out);
        assert_eq!(out, packet, "{name}");
        count += 1;
    }
    assert_eq!(count, 14);
}

fn check_to_leader(name: &str, packet: ToLeader<'_>) {
    let info = |sid, config_version| LearnerInfo {
        sid: Sid(sid),
        accepted_epoch: EPOCH,
        config_version,
        cuts: Cuts::Log,
    };
    let last_logged = Some(Zxid::from_raw(0x4_0000_0009));
    let mut buffer = Vec::new();
    let expected = match name {
        "follower_info" => ToLeader::FollowerInfo(info(3, Some(0x1_0000_0004))),
        "observer_info" => ToLeader::ObserverInfo(info(-1, Some(0))),
        "follower_info_of_3_4" => ToLeader::FollowerInfo(info(3, None)),
        "ack_epoch" => ToLeader::AckEpoch { last_logged, current_epoch: Some(Epoch(4)) },
        "ack_epoch_again" => ToLeader::AckEpoch { last_logged: Some(ZXID), current_epoch: None },
        "ack_epoch_without_database" => {
            ToLeader::AckEpoch { last_logged: None, current_epoch: Some(Epoch(0)) }
        }
        "ack_new_leader" => ToLeader::AckNewLeader { epoch: EPOCH },
        "ack" => ToLeader::Ack { zxid: ZXID },
        "ping" => {
            let touches = [
                SessionTouch { session: SESSION, timeout_ms: 4000 },
                SessionTouch { session: SessionId(2), timeout_ms: 30_000 },
            ];
            let touches = Touches::encode(&mut buffer, touches);
            assert_eq!(touches.iter().len(), 2);
            ToLeader::Ping { last_proposed: ZXID, touches }
        }
        "ping_without_touches" => ToLeader::Ping { last_proposed: ZXID, touches: Touches::NONE },
        "revalidate" => ToLeader::Revalidate { session: SESSION, timeout_ms: 4000 },
        name => return check_forwarded(name, packet),
    };
    assert_eq!(packet, expected, "{name}");
}

fn check_forwarded(name: &str, packet: ToLeader<'_>) {
    let ids = [Id::new("ip", "127.0.0.1"), Id::new("digest", "uüser:hash=")];
    let mut buffer = Vec::new();
    let (auth, ids, xid, op) = match name {
        "request" => {
            let op = Op::Write(Write::Delete { path: "/a".into(), version: None });
            (AuthInfo::encode(&mut buffer, &ids), &ids[..], 7, op)
        }
        "request_of_learner" => {
            (AuthInfo::NULL, &[][..], 0, Op::Write(Write::CreateSession { timeout_ms: 4000 }))
        }
        "request_of_nobody" => (AuthInfo::encode(&mut buffer, &[]), &[][..], 8, Op::CloseSession),
        _ => panic!("unknown line {name}"),
    };
    let request = Request { xid: Xid(xid), op };
    let mut frame = Vec::new();
    request.encode(&mut frame);
    let expected = ForwardedRequest { session: SESSION, body: &frame[4..], auth };
    assert_eq!(packet, ToLeader::Request(expected), "{name}");
    assert_eq!(expected.request(), Ok(request), "{name}");
    assert_eq!(auth.ids().map(|id| id.to_id()).collect::<Vec<_>>(), ids, "{name}");
}

#[test]
fn packets_to_the_learner() {
    let mut count = 0;
    for (name, packet) in lines(PACKETS, "< ") {
        let decoded = ToLearner::decode(&packet, PACKET_BYTES_MAX).expect(name).expect("whole");
        assert_eq!(decoded.1, packet.len(), "{name}");
        check_to_learner(name, &decoded.0);
        let mut out = Vec::new();
        decoded.0.encode(&mut out);
        assert_eq!(out, packet, "{name}");
        count += 1;
    }
    assert_eq!(count, 17);
}

fn check_to_learner(name: &str, packet: &ToLearner<'_>) {
    let config = Some(Cow::Borrowed(CONFIG));
    let expected = match name {
        "leader_info" => ToLearner::LeaderInfo { epoch: EPOCH },
        "diff" => ToLearner::Diff { last_committed: ZXID },
        "truncate" => ToLearner::Truncate { keep: ZXID },
        "snapshot" => ToLearner::Snapshot { last_applied: ZXID },
        "new_leader" => ToLearner::NewLeader { epoch: EPOCH, config },
        "new_leader_without_config" => ToLearner::NewLeader { epoch: EPOCH, config: None },
        "up_to_date" => ToLearner::UpToDate,
        "ping" => ToLearner::Ping { last_proposed: ZXID },
        "commit" => ToLearner::Commit { zxid: ZXID },
        "commit_and_activate" => {
            ToLearner::CommitAndActivate { zxid: ZXID, designated_leader: Sid(2) }
        }
        "sync" => ToLearner::Sync,
        "revalidated" => ToLearner::Revalidated { session: SESSION, is_valid: true },
        "revalidated_not" => ToLearner::Revalidated { session: SESSION, is_valid: false },
        name => return check_proposal(name, packet),
    };
    assert_eq!(*packet, expected, "{name}");
}

fn check_proposal(name: &str, packet: &ToLearner<'_>) {
    let (proposal, changes_membership) = match *packet {
        ToLearner::Proposal(proposal) if name == "proposal" => (proposal, false),
        ToLearner::Proposal(proposal) if name == "proposal_of_reconfig" => (proposal, true),
        ToLearner::Inform(proposal) if name == "inform" => (proposal, false),
        ToLearner::InformAndActivate { proposal, designated_leader: Sid(2) }
            if name == "inform_and_activate" =>
        {
            (proposal, true)
        }
        ref other => panic!("{name}: {other:?}"),
    };
    assert_eq!(proposal.zxid(), ZXID, "{name}");
    assert_eq!(Proposal::new(proposal.payload()), Ok(proposal), "{name}");
    let (header, txn, digest) = decode_txn(proposal.payload()).expect(name);
    assert_eq!(header.zxid, ZXID, "{name}");
    assert!(digest.is_some(), "{name}");
    let config = changes_membership.then_some(Cow::Borrowed(CONFIG));
    assert_eq!(proposal.new_config(), Ok(config), "{name}");
    assert_eq!(matches!(txn, Txn::Reconfig { .. }), changes_membership, "{name}");
}

#[test]
fn steps_of_a_proof() {
    let steps = lines(PACKETS, "sasl_").map(|(name, step)| {
        let (decoded, consumed) =
            Step::decode(&step, PACKET_BYTES_MAX).expect(name).expect("whole");
        assert_eq!(consumed, step.len(), "{name}");
        let expected = match name {
            "begin" => Step { status: Status::InProgress, token: Some(&[]) },
            "challenge" => Step { status: Status::InProgress, token: Some(&[0, 1, 2, 0xff]) },
            "success" => Step { status: Status::Success, token: None },
            "refusal" => Step { status: Status::Refused, token: Some(&[]) },
            _ => panic!("unknown line {name}"),
        };
        assert_eq!(decoded, expected, "{name}");
        assert_eq!(sasl::begins(&step), Some(true), "{name}");
        let mut out = Vec::new();
        decoded.encode(&mut out);
        assert_eq!(out, step, "{name}");
    });
    assert_eq!(steps.count(), 4);
    for (name, packet) in lines(PACKETS, "> ").chain(lines(PACKETS, "< ")) {
        assert_eq!(sasl::begins(&packet), Some(false), "{name}");
    }
}

#[test]
fn notifications() {
    let mut count = 0;
    for (name, message) in lines(NOTIFICATIONS, "") {
        let (body, consumed) =
            frame::split(&message, ELECTION_MESSAGE_BYTES_MAX).expect(name).expect("whole");
        assert_eq!(consumed, message.len(), "{name}");
        let decoded = Notification::decode(body).expect(name);
        assert_eq!(decoded, expected_notification(name), "{name}");
        let mut out = Vec::new();
        decoded.encode(&mut out);
        assert_eq!(out, message, "{name}");
        count += 1;
    }
    assert_eq!(count, 9);
}

fn expected_notification(name: &str) -> Notification<'static> {
    let looking = Notification {
        state: ServerState::Looking,
        leader: Some(Sid(2)),
        last_logged: LastLogged::Zxid(Zxid::from_raw(0x4_0000_0009)),
        round: ElectionRound(7),
        epoch: Some(Epoch(4)),
        form: Form::WithConfig { config: CONFIG.into() },
    };
    let after = |state| Notification { state, epoch: Some(EPOCH), ..looking.clone() };
    let first_round = Notification { round: ElectionRound(1), ..looking.clone() };
    match name {
        "looking" => looking,
        "following" => after(ServerState::Following),
        "leading" => Notification { round: ElectionRound(-1), ..after(ServerState::Leading) },
        "observing" => after(ServerState::Observing),
        "observer" => Notification {
            leader: None,
            last_logged: LastLogged::Nobody,
            epoch: None,
            ..first_round
        },
        "joiner" => Notification { leader: None, ..first_round },
        "without_database" => Notification {
            last_logged: LastLogged::NoDatabase,
            epoch: Some(Epoch(0)),
            form: Form::WithConfig { config: "".into() },
            ..first_round
        },
        "of_3_4_6" => Notification { form: Form::WithoutConfig, ..looking },
        "of_3_4_0" => Notification { form: Form::WithoutVersion, ..looking },
        _ => panic!("unknown line {name}"),
    }
}

/// Lists that Apache reads and this crate refuses, or the other way round: none.
#[test]
fn hellos() {
    let mut count = 0;
    for (read_by_java, hello) in lines(HELLOS, "") {
        count += 1;
        let decoded = match Hello::decode(&hello) {
            Ok(decoded) => decoded.expect("whole"),
            Err(error) => {
                assert_eq!(read_by_java, "refused", "{error}");
                continue;
            }
        };
        let (decoded, consumed) = decoded;
        assert_eq!((decoded.sid, consumed), (Some(Sid(3)), hello.len()));
        let addresses: Vec<_> = decoded
            .addresses
            .callable()
            .map(|address| (java_host(address.host), address.port))
            .collect();
        assert_eq!(addresses, java_addresses(read_by_java), "{decoded:?}");
        let text = match decoded.addresses {
            Addresses::One(list) | Addresses::Several(list) => list,
            Addresses::Untold => panic!("there are addresses in {decoded:?}"),
        };
        let shown: Vec<_> = text.iter().map(|address| address.to_string()).collect();
        assert_eq!(shown.join("|"), text.as_str());
        let mut out = Vec::new();
        decoded.encode(&mut out);
        assert_eq!(out, hello);
    }
    assert_eq!(count, 22);
}

/// Java writes an IPv6 address without leaving out its zeros.
fn java_host(host: &str) -> String {
    match host.parse() {
        Ok(IpAddr::V6(address)) => {
            let parts = address.segments().map(|segment| format!("{segment:x}"));
            parts.join(":")
        }
        Ok(IpAddr::V4(_)) | Err(_) => host.to_owned(),
    }
}

fn java_addresses(read: &str) -> Vec<(String, u16)> {
    let parse = |part: &str| {
        let (host, port) = part.rsplit_once(',').expect("a host and a port");
        (host.to_owned(), port.parse().expect("a port"))
    };
    if read == "-" { Vec::new() } else { read.split('|').map(parse).collect() }
}
