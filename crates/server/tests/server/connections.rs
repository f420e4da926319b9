//! What connections may send, and what they do to each other.

use std::thread;
use std::time::Instant;

use types::{CreateMode, ErrorCode, Op, Xid};
use wire::reply;

use crate::fixture::{Host, Line, PATIENCE, children, create, get, persistent, set};

/// A request with xid 7, whatever its record is.
fn frame(operation: i32, record: &[u8]) -> Vec<u8> {
    let bytes = u32::try_from(8 + record.len()).expect("a short record");
    [&bytes.to_be_bytes()[..], &7_i32.to_be_bytes(), &operation.to_be_bytes(), record].concat()
}

#[test]
fn bad_frames_end_their_connection_and_no_other() {
    let host = Host::start(&["jute.maxbuffer=4096"]);
    let mut good = host.client();
    let too_long = 4097_i32.to_be_bytes();
    for bad in [&too_long[..], &(-1_i32).to_be_bytes(), b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64]] {
        let mut stranger = Line::dial(host.address());
        stranger.send(bad);
        assert!(stranger.is_closed(), "in place of a handshake: {bad:?}");
        let mut client = host.client();
        client.send(bad);
        assert!(client.is_closed(), "in place of a request: {bad:?}");
    }
    assert_eq!(good.ask(persistent("/a")).header.code, 0);
    assert_eq!(good.ask(children("/")).names(), ["a", "zookeeper"]);
}

#[test]
fn the_longest_frame_is_taken() {
    let host = Host::start(&["jute.maxbuffer=4096"]);
    let mut client = host.client();
    client.ask(persistent("/a"));
    let overhead = client.next(set("/a", b"")).len() - 4;
    let data = vec![b'x'; 4096 - overhead];
    assert_eq!(client.ask(set("/a", &data)).header.code, 0);
    assert_eq!(client.ask(get("/a")).data(), data);
}

#[test]
fn an_unknown_operation_is_answered_before_the_end() {
    let host = Host::start(&[]);
    let mut client = host.client();
    client.send(&[0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 99]);
    let answer = client.answer();
    assert_eq!(answer.header.xid, Xid(7));
    assert_eq!(answer.header.code, ErrorCode::Unimplemented.raw());
    assert!(client.is_closed());
}

#[test]
fn every_number_of_an_operation_is_answered_or_ends_the_connection() {
    let host = Host::start(&["maxClientCnxns=0"]);
    for record in [&[][..], &[0; 64]] {
        for number in -128_i32..=200 {
            let mut client = host.client();
            client.send(&frame(number, record));
            let answer = client.try_answer();
            // Pings and credentials are answered under numbers of their own, whatever was sent.
            let xid = answer.map_or(Xid(7), |answer| answer.header.xid);
            assert!([Xid(7), Xid::PING, Xid::AUTH].contains(&xid), "operation {number}: {xid:?}");
        }
    }
    assert_eq!(host.client().ask(children("/")).names(), ["zookeeper"]);
}

#[test]
fn a_condition_outside_of_a_multi_is_refused_and_changes_nothing() {
    const CHECK: i32 = 13;
    let mut host = Host::start(&[]);
    let mut other = host.client();
    other.ask(persistent("/a"));
    let mut client = host.client();
    let record = [&2_i32.to_be_bytes()[..], b"/a", &0_i32.to_be_bytes()].concat();
    client.send(&frame(CHECK, &record));
    assert_eq!(client.answer().header.code, ErrorCode::Unimplemented.raw());
    let before = other.ask(persistent("/b")).header.zxid;
    host.stop();
    host.start_again();
    let after = host.client().ask(children("/"));
    assert_eq!(after.names(), ["a", "b", "zookeeper"]);
    assert!(after.header.zxid > before, "a session was opened since");
}

#[test]
fn bytes_one_by_one_are_answered_like_bytes_at_once() {
    let answers = [1, 7, usize::MAX].map(|step| {
        let host = Host::start(&[]);
        let mut client = host.client();
        let ops = || {
            [persistent("/a"), get("/missing"), persistent("/a/b"), children("/a"), children("/")]
        };
        let bytes: Vec<u8> = ops().into_iter().flat_map(|op| client.next(op)).collect();
        for part in bytes.chunks(step.min(bytes.len())) {
            client.send(part);
        }
        ops().map(|_| client.answer()).to_vec()
    });
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

#[test]
fn many_frames_in_one_write_are_answered_in_order() {
    const FRAMES: i32 = 3000;
    let host = Host::start(&[]);
    let mut client = host.client();
    let mut bytes = Vec::new();
    for number in 0..FRAMES {
        bytes.extend(match number % 3 {
            0 => client.next(create("/n-", CreateMode::PersistentSequential)),
            1 => client.next(get("/")),
            _ => client.next(children("/missing")),
        });
    }
    client.send(&bytes);
    for number in 0..FRAMES {
        let answer = client.answer();
        assert_eq!(answer.header.xid, Xid(number + 1));
        if number % 3 == 0 {
            let path = reply::decode_path(&answer.record).expect("a path");
            assert_eq!(path, format!("/n-{:010}", number / 3));
        }
    }
}

#[test]
fn two_hundred_connections_are_served() {
    let host = Host::start(&[]);
    let mut lines: Vec<Line> = (0..200).map(|_| Line::dial(host.address())).collect();
    for line in &mut lines {
        assert!(line.greet(None, 10_000));
    }
    for (number, line) in lines.iter_mut().enumerate() {
        let bytes = line.next(persistent(&format!("/n{number}")));
        line.send(&bytes);
    }
    for line in &mut lines {
        assert_eq!(line.answer().header.code, 0);
    }
    assert_eq!(lines[17].ask(children("/")).names().len(), 201);
}

#[test]
fn a_client_that_does_not_read_blocks_nobody() {
    const READS: usize = 100;
    let host = Host::start(&[]);
    let mut other = host.client();
    let large = vec![b'x'; 1 << 19];
    other.ask(persistent("/large"));
    other.ask(set("/large", &large));
    // On both I/O threads, whichever they are.
    let mut slow = [host.client(), host.client()];
    for client in &mut slow {
        let bytes: Vec<u8> = (0..READS).flat_map(|_| client.next(get("/large"))).collect();
        client.send(&bytes);
    }
    for number in 0..50 {
        assert_eq!(other.ask(persistent(&format!("/n{number}"))).header.code, 0);
        assert_eq!(other.ask(get("/large")).data().len(), large.len());
    }
    for client in &mut slow {
        for number in 1..=READS {
            let answer = client.answer();
            assert_eq!(answer.header.xid.0 as usize, number);
            assert_eq!(answer.data(), large);
        }
    }
}

#[test]
fn an_address_has_so_many_connections_and_no_more() {
    let host = Host::start(&["maxClientCnxns=3"]);
    let mut inside: Vec<Line> = (0..3).map(|_| host.client()).collect();
    let mut outside = Line::dial(host.address());
    assert!(outside.is_closed());
    assert_eq!(inside[0].ask(Op::CloseSession).header.code, 0);
    assert!(inside[0].is_closed());
    let mut next = Line::dial(host.address());
    assert!(next.greet(None, 10_000), "the place is free again");
    assert_eq!(inside[1].ask(children("/")).names(), ["zookeeper"]);
}

#[test]
fn a_connection_without_a_handshake_is_closed_in_time() {
    let host = Host::start(&["nio.sessionlessCnxnTimeout=200"]);
    let mut client = host.client();
    let mut silent = Line::dial(host.address());
    let mut hesitant = Line::dial(host.address());
    hesitant.send(&[0, 0]);
    assert!(silent.is_closed());
    assert!(hesitant.is_closed());
    assert_eq!(client.ask(children("/")).names(), ["zookeeper"], "sessions stay");
}

#[test]
fn clients_that_leave_in_the_middle_of_a_frame_leave_no_trace() {
    let host = Host::start(&["maxClientCnxns=10", "nio.sessionlessCnxnTimeout=600000"]);
    for round in 0..100 {
        let mut leaving = Line::dial(host.address());
        leaving.send(&[0, 0, 0, 45, 0, 0, 0, 0, 0][..round % 10]);
        drop(leaving);
    }
    // The server notices in its own time, but it does: the whole number may come in again.
    let patience = Instant::now() + PATIENCE;
    let is_open = || (0..10).map(|_| Line::dial(host.address())).all(|mut it| it.is_served());
    while !is_open() {
        assert!(Instant::now() < patience, "connections were never given back");
        thread::yield_now();
    }
}

#[test]
fn the_end_of_a_client_is_noticed_though_it_comes_together_with_bytes() {
    const READS: usize = 500;
    let host = Host::start(&["maxClientCnxns=3", "maxSessionTimeout=600000"]);
    // They keep the I/O threads from noticing the bytes and the end apart from each other.
    let mut busy = [host.client(), host.client()];
    for _ in 0..20 {
        // There is room for it only if the one before was noticed to have left.
        let mut leaving = host.client_in_time();
        let half = leaving.next(persistent("/never")).split_at(20).0.to_vec();
        for client in &mut busy {
            let reads: Vec<u8> = (0..READS).flat_map(|_| client.next(children("/"))).collect();
            client.send(&reads);
        }
        leaving.send(&half);
        drop(leaving);
        for client in &mut busy {
            for _ in 0..READS {
                client.answer();
            }
        }
    }
}

#[test]
fn servers_in_one_process_know_nothing_of_each_other() {
    let hosts = [Host::start(&[]), Host::start(&[])];
    assert_ne!(hosts[0].address(), hosts[1].address());
    let mut clients = [hosts[0].client(), hosts[1].client()];
    clients[0].ask(persistent("/first"));
    clients[1].ask(persistent("/second"));
    assert_eq!(clients[0].ask(children("/")).names(), ["first", "zookeeper"]);
    assert_eq!(clients[1].ask(children("/")).names(), ["second", "zookeeper"]);
}
