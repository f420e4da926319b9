//! What Apache's servers said to each other, said to and by a station.

use std::collections::BTreeMap;

use wire::jute::{DecodeError, Reader};
use wire::quorum::decode_snapshot_signature;
use wire::stored::snapshot;

use super::*;

const CAPTURES: [&str; 2] = [
    include_str!("../../../../wire/tests/golden/3.8.0/ensemble.hex"),
    include_str!("../../../../wire/tests/golden/3.9.5/ensemble.hex"),
];

/// What both sides of a connection sent.
#[derive(Default)]
struct Recorded {
    connecting: Vec<u8>,
    listening: Vec<u8>,
}

/// The connections to a kind of port.
fn recorded(capture: &str, kind: &str) -> Vec<Recorded> {
    let mut connections: BTreeMap<&str, Recorded> = BTreeMap::new();
    for line in capture.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [of_kind, number, direction, hex] = fields[..] else { panic!("malformed: {line}") };
        if of_kind != kind {
            continue;
        }
        let connection = connections.entry(number).or_default();
        let side = match direction {
            ">" => &mut connection.connecting,
            _ => &mut connection.listening,
        };
        let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("text"));
        side.extend(digits.map(|pair| u8::from_str_radix(pair, 16).expect("a byte")));
    }
    assert!(!connections.is_empty(), "{kind}");
    connections.into_values().collect()
}

/// Hears the rest, and encodes what was told again.
fn rest_of_votes(station: &Station) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        match station.next() {
            News::Notified { notification, .. } => {
                notification.notification().expect("a notification").encode(&mut out);
            }
            News::ElectionLinkClosed { .. } => return out,
            news => panic!("{news:?}"),
        }
    }
}

#[test]
fn calls_and_votes_of_apache_are_heard_to_the_byte() {
    for capture in CAPTURES {
        for Recorded { connecting, listening } in recorded(capture, "election") {
            let called = Station::start(9);
            let mut stranger = Stranger::connect(called.election);
            stranger.say(&connecting);
            drop(stranger);
            let News::Called { from, addresses, .. } = called.next() else { panic!("no call") };
            assert!((1..=3).contains(&from.0) && addresses.len() == 1, "{from:?} {addresses:?}");
            let hello_bytes = 20 + addresses[0].len();
            assert!(rest_of_votes(&called) == connecting[hello_bytes..]);

            let (listener, address) = listener();
            let caller = Station::start(9);
            caller.run(Errand::Call { to: from, addresses: vec![address] });
            let mut stranger = Stranger::of(listener.accept().expect("a call").0);
            assert!(matches!(caller.next(), News::CallThrough { to, .. } if to == from));
            stranger.hear(20 + "127.0.0.1:0".len());
            stranger.say(&listening);
            drop(stranger);
            assert!(rest_of_votes(&caller) == listening);
        }
    }
}

#[test]
fn packets_of_apaches_learners_are_heard_to_the_byte() {
    for capture in CAPTURES {
        for Recorded { connecting, .. } in recorded(capture, "quorum") {
            let leader = Station::start(9);
            leader.run(Errand::Learners(Admission::Admit));
            let mut stranger = Stranger::connect(leader.quorum);
            stranger.say(&connecting);
            let News::LearnerConnected { link } = leader.next() else { panic!("no learner") };
            assert!(leader.gather_from_learner(link, connecting.len()) == connecting);
        }
    }
}

#[test]
fn packets_and_snapshots_of_apaches_leaders_are_heard_to_the_byte() {
    let mut snapshots = 0;
    for capture in CAPTURES {
        for Recorded { listening, .. } in recorded(capture, "quorum") {
            let (learner, mut leader, link) = snapshots::learner_of_stranger();
            leader.say(&listening);
            let (heard, count) =
                snapshots::hear_leader(&learner, link, listening.len(), snapshot_end);
            assert!(heard == listening);
            snapshots += count;
        }
    }
    assert!(snapshots > 1, "there are some in the captures");
}

/// How long the snapshot is, if all of it is there.
fn snapshot_end(stream: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(stream);
    let mut read = || {
        for _ in 0..snapshot::decode_count(&mut reader)? {
            snapshot::decode_session(&mut reader)?;
        }
        for _ in 0..snapshot::decode_count(&mut reader)? {
            snapshot::decode_acl(&mut reader)?;
        }
        while snapshot::decode_node(&mut reader)?.is_some() {}
        decode_snapshot_signature(&mut reader)
    };
    match read() {
        Ok(()) => Some(reader.position()),
        Err(DecodeError::Truncated { .. }) => None,
        Err(error) => panic!("no snapshot: {error}"),
    }
}
