//! What three Apache servers of one release said to each other, read and written again: elections,
//! synchronization in each way, broadcast, a change of the membership.
//!
//! How it was made: `tests/golden/README.md`.

#[path = "support/hex.rs"]
mod hex;

use std::collections::{BTreeMap, BTreeSet};

use hex::bytes;
use types::{Txn, Zxid};
use wire::election::{Addresses, Form, Hello, Notification, ServerState};
use wire::frame;
use wire::jute::{self, Reader};
use wire::limits::{ELECTION_MESSAGE_BYTES_MAX, PACKET_BYTES_MAX};
use wire::quorum::{
    ForwardedRequest, PacketType, Proposal, ToLeader, ToLearner, decode_snapshot_signature,
    put_snapshot_signature,
};
use wire::stored::{decode_txn, encode_txn, snapshot};

const OF_3_8_0: &str = include_str!("golden/3.8.0/ensemble.hex");
const OF_3_9_5: &str = include_str!("golden/3.9.5/ensemble.hex");

/// What both sides of a connection sent, each as a whole.
#[derive(Default)]
struct Connection {
    from_connecting: Vec<u8>,
    from_listening: Vec<u8>,
}

/// The connections to the ports of one kind, in the order of their numbers.
fn connections(capture: &str, kind: &str) -> Vec<Connection> {
    let mut connections: BTreeMap<usize, Connection> = BTreeMap::new();
    for line in capture.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [of_kind, number, direction, hex] = fields[..] else { panic!("malformed: {line}") };
        if of_kind != kind {
            continue;
        }
        let connection = connections.entry(number.parse().expect("a number")).or_default();
        let side = match direction {
            ">" => &mut connection.from_connecting,
            "<" => &mut connection.from_listening,
            _ => panic!("no direction: {line}"),
        };
        side.extend(bytes(hex));
    }
    connections.into_values().collect()
}

#[test]
fn elections_are_understood_and_written_alike() {
    for capture in [OF_3_8_0, OF_3_9_5] {
        let mut states = BTreeSet::new();
        for connection in connections(capture, "election") {
            let (hello, consumed) =
                Hello::decode(&connection.from_connecting).expect("a hello").expect("whole");
            let Addresses::One(list) = hello.addresses else { panic!("{hello:?}") };
            assert_eq!(list.iter().map(|address| address.host).collect::<Vec<_>>(), ["127.0.0.1"]);
            let mut out = Vec::new();
            hello.encode(&mut out);
            assert_eq!(out, connection.from_connecting[..consumed]);
            check_notifications(&connection.from_connecting[consumed..], &mut states);
            check_notifications(&connection.from_listening, &mut states);
        }
        // An observer has no need to tell that it observes.
        let expected = [ServerState::Looking, ServerState::Following, ServerState::Leading];
        assert_eq!(states, BTreeSet::from(expected));
    }
}

fn check_notifications(mut rest: &[u8], states: &mut BTreeSet<ServerState>) {
    while !rest.is_empty() {
        let (body, consumed) =
            frame::split(rest, ELECTION_MESSAGE_BYTES_MAX).expect("a frame").expect("whole");
        let notification = Notification::decode(body).expect("a notification");
        let Form::WithConfig { config } = &notification.form else { panic!("{notification:?}") };
        assert!(config.starts_with("server.1=127.0.0.1:"), "{config}");
        let is_nobodys = notification.leader.is_none();
        assert_eq!(notification.epoch.is_none(), is_nobodys, "{notification:?}");
        let mut out = Vec::new();
        notification.encode(&mut out);
        assert_eq!(out, rest[..consumed]);
        states.insert(notification.state);
        rest = &rest[consumed..];
    }
}

#[test]
fn packets_are_understood_and_written_alike() {
    for capture in [OF_3_8_0, OF_3_9_5] {
        let mut to_leader = BTreeSet::new();
        let mut to_learner = BTreeSet::new();
        for connection in connections(capture, "quorum") {
            check_to_leader(&connection.from_connecting, &mut to_leader);
            check_to_learner(&connection.from_listening, &mut to_learner);
        }
        let expected = [
            PacketType::Request,
            PacketType::Ack,
            PacketType::Ping,
            PacketType::Revalidate,
            PacketType::FollowerInfo,
            PacketType::ObserverInfo,
            PacketType::AckEpoch,
        ];
        assert_eq!(to_leader, BTreeSet::from(expected));
        let expected = [
            PacketType::Proposal,
            PacketType::Commit,
            PacketType::Ping,
            PacketType::Revalidate,
            PacketType::Sync,
            PacketType::Inform,
            PacketType::CommitAndActivate,
            PacketType::NewLeader,
            PacketType::UpToDate,
            PacketType::Diff,
            PacketType::Truncate,
            PacketType::Snapshot,
            PacketType::LeaderInfo,
            PacketType::InformAndActivate,
        ];
        assert_eq!(to_learner, BTreeSet::from(expected));
    }
}

fn check_to_leader(stream: &[u8], seen: &mut BTreeSet<PacketType>) {
    let mut rest = stream;
    while !rest.is_empty() {
        let (packet, consumed) =
            ToLeader::decode(rest, PACKET_BYTES_MAX).expect("a packet").expect("whole");
        let mut out = Vec::new();
        packet.encode(&mut out);
        assert_eq!(out, rest[..consumed], "{packet:?}");
        if let ToLeader::Request(request) = packet {
            check_request(&request);
        }
        seen.insert(packet.packet_type());
        rest = &rest[consumed..];
    }
}

fn check_request(forwarded: &ForwardedRequest<'_>) {
    let request = forwarded.request().expect("a request");
    let mut frame = Vec::new();
    request.encode(&mut frame);
    assert_eq!(&frame[4..], forwarded.body, "{request:?}");
    for id in forwarded.auth.ids() {
        assert_eq!((&*id.scheme, &*id.id), ("ip", "127.0.0.1"));
    }
}

fn check_to_learner(stream: &[u8], seen: &mut BTreeSet<PacketType>) {
    let mut rest = stream;
    while !rest.is_empty() {
        let (packet, consumed) =
            ToLearner::decode(rest, PACKET_BYTES_MAX).expect("a packet").expect("whole");
        let mut out = Vec::new();
        packet.encode(&mut out);
        assert_eq!(out, rest[..consumed], "{packet:?}");
        rest = &rest[consumed..];
        match packet {
            ToLearner::Proposal(proposal)
            | ToLearner::Inform(proposal)
            | ToLearner::InformAndActivate { proposal, .. } => check_proposal(proposal),
            ToLearner::Snapshot { last_applied } => rest = check_snapshot(rest, last_applied),
            _ => {}
        }
        seen.insert(packet.packet_type());
    }
}

fn check_proposal(proposal: Proposal<'_>) {
    let (header, txn, digest) = decode_txn(proposal.payload()).expect("a transaction");
    assert_eq!(header.zxid, proposal.zxid());
    let mut out = Vec::new();
    encode_txn(&mut out, &header, &txn, digest);
    assert_eq!(out, proposal.payload(), "{txn:?}");
    let config = proposal.new_config().expect("readable");
    match &txn {
        Txn::Reconfig { data, .. } => {
            assert_eq!(config.as_ref().map(|text| text.as_bytes()), data.as_deref());
        }
        _ => assert_eq!(config, None),
    }
}

/// Reads the stream behind a snapshot's packet and writes it again. Returns what follows it.
fn check_snapshot(stream: &[u8], last_applied: Zxid) -> &[u8] {
    let mut reader = Reader::new(stream);
    let mut out = Vec::new();
    let sessions = snapshot::decode_count(&mut reader).expect("a count");
    jute::put_count(&mut out, sessions);
    for _ in 0..sessions {
        let stored = snapshot::decode_session(&mut reader).expect("a session");
        assert_eq!(stored.timeout_ms, 20_000);
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
        assert!(node.stat.mzxid <= last_applied, "{node:?}");
        snapshot::put_node(&mut out, &node.path, node.data, node.acl, &node.stat);
        paths.push(node.path);
    }
    snapshot::put_end(&mut out);
    decode_snapshot_signature(&mut reader).expect("the signature");
    put_snapshot_signature(&mut out);
    assert_eq!(out, stream[..reader.position()]);
    for path in ["", "/a", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"] {
        assert!(paths.iter().any(|present| present == path), "{path} is not in {paths:?}");
    }
    reader.rest()
}
