//! The words, against what an Apache 3.8.0 server answered (`golden/capture.py` tells how).

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use admin::{
    ConfView, ConnectionBucket, ConnectionView, ConnectionsView, DigestView, DirectorySizes,
    EnvironmentView, FourLetterWord, Gauges, Interest, KnownSessions, LastOp, LatencyView,
    LeaderGauges, MemberConfView, MemberGauges, Metrics, Mode, MonitorView, PathWatchers,
    ProposalSizes, ServerStats, ServerView, SessionActivity, SessionBucket, SessionDump,
    SessionEphemerals, SessionWatches, StatView, TraceMask, VERSION, WatchSummary, WatchesByPath,
    WatchesBySession,
};
use expect_test::expect;
use types::{SessionId, Sid, Xid, Zxid};

/// What Apache answered, with our version in the place of its own.
macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("golden/apache-3.8.0/", $name, ".txt"))
            .replace("3.8.0-${mvngit.commit.id}, built on 2024-12-29 17:54 UTC", VERSION)
    };
}

const FIRST: SessionId = SessionId(0x0100_0042_4770_0000);
const SECOND: SessionId = SessionId(0x0100_0042_4770_0001);
const THIRD: SessionId = SessionId(0x0100_0042_4770_0002);

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn server() -> ServerView {
    ServerView {
        latency: LatencyView { min_ms: 0, max_ms: 11, sum_ms: 184, count: 311 },
        received: 320,
        sent: 320,
        connections: 4,
        outstanding: 0,
        last_applied: Zxid::from_raw(0x131),
        mode: Mode::Standalone,
        node_count: 307,
        proposals: None,
    }
}

/// A connection that asks a word.
fn asking(port: u16) -> ConnectionView {
    ConnectionView {
        address: address(port),
        interest: Interest::Nothing,
        queued: 0,
        received: 1,
        sent: 0,
        session: None,
    }
}

fn connection(port: u16, received: u64, sent: u64, session: SessionActivity) -> ConnectionView {
    let session = Some(session);
    ConnectionView { interest: Interest::Read, received, sent, session, ..asking(port) }
}

/// What a session did before its first request, or after `crst`.
fn activity(session: SessionId, established_wall_ms: i64, timeout_ms: u32) -> SessionActivity {
    SessionActivity {
        session,
        last_op: LastOp::None,
        established_wall_ms,
        timeout_ms,
        last_cxid: None,
        last_zxid: None,
        last_response_ms: 0,
        last_latency_ms: 0,
        min_latency_ms: 0,
        avg_latency_ms: 0,
        max_latency_ms: 0,
    }
}

fn connections(asking_port: u16) -> Vec<ConnectionView> {
    let third = SessionActivity {
        last_op: LastOp::Ping,
        last_cxid: Some(Xid(0)),
        last_zxid: Some(Zxid::from_raw(0x131)),
        last_response_ms: 4_344_195,
        last_latency_ms: 1,
        avg_latency_ms: 1,
        max_latency_ms: 1,
        ..activity(THIRD, 1_795_261_049_263, 30_000)
    };
    let second = SessionActivity {
        last_op: LastOp::Create,
        last_cxid: Some(Xid(0x12d)),
        last_zxid: Some(Zxid::from_raw(0x131)),
        last_response_ms: 4_344_194,
        max_latency_ms: 5,
        ..activity(SECOND, 1_795_261_049_261, 10_000)
    };
    let first = SessionActivity {
        last_op: LastOp::GetData,
        last_cxid: Some(Xid(6)),
        last_zxid: Some(Zxid::from_raw(0x131)),
        last_response_ms: 4_344_194,
        avg_latency_ms: 2,
        max_latency_ms: 11,
        ..activity(FIRST, 1_795_261_049_241, 30_000)
    };
    vec![
        connection(41052, 2, 2, third),
        asking(asking_port),
        connection(41050, 302, 302, second),
        connection(41034, 7, 8, first),
    ]
}

#[test]
fn srvr_is_apaches() {
    assert_eq!(server().to_string(), golden!("srvr"));
    let fresh = ServerView {
        latency: LatencyView::default(),
        received: 4,
        sent: 3,
        connections: 1,
        last_applied: Zxid::from_raw(0),
        node_count: 5,
        ..server()
    };
    assert_eq!(fresh.to_string(), golden!("fresh-srvr"));
}

#[test]
fn srvr_of_other_modes() {
    let sizes = ProposalSizes { last: Some(48), min: Some(48), max: Some(240) };
    let leader = ServerView { mode: Mode::Leader, proposals: Some(sizes), ..server() };
    let end = "Mode: leader\nNode count: 307\nProposal sizes last/min/max: 48/48/240\n";
    assert!(leader.to_string().ends_with(end));
    let new_leader = ServerView { proposals: Some(ProposalSizes::default()), ..leader };
    assert!(new_leader.to_string().ends_with("last/min/max: -1/-1/-1\n"));
    let read_only = ServerView { mode: Mode::ReadOnly, ..server() };
    let second_line = read_only.to_string().lines().nth(1).unwrap().to_owned();
    assert_eq!(second_line, "READ-ONLY mode; serving only read-only clients");
    assert_eq!(Mode::ReadOnly.isro(), "ro");
}

#[test]
fn stat_is_apaches() {
    let server = ServerView { received: 321, sent: 321, ..server() };
    let mut connections = connections(41100);
    // The order is that of Java's hash table, which differed between the two answers.
    connections.sort_by_key(|connection| (connection.received == 7, connection.received == 302));
    assert_eq!(StatView { server, connections }.to_string(), golden!("stat"));
}

#[test]
fn cons_is_apaches() {
    let view = ConnectionsView { connections: connections(41104) };
    assert_eq!(view.to_string(), golden!("cons"));
    let reset = [
        connection(41052, 0, 0, activity(THIRD, 1_795_261_049_263, 30_000)),
        connection(41050, 0, 0, activity(SECOND, 1_795_261_049_261, 10_000)),
        asking(41204),
        connection(41034, 0, 0, activity(FIRST, 1_795_261_049_241, 30_000)),
    ];
    let view = ConnectionsView { connections: reset.to_vec() };
    assert_eq!(view.to_string(), golden!("cons-after-crst"));
}

#[test]
fn conf_and_dirs_are_apaches() {
    let sizes = DirectorySizes { data_dir_bytes: 67_109_337, log_dir_bytes: 67_109_337 };
    let view = ConfView {
        member: None,
        client_port: Some(22181),
        secure_client_port: None,
        data_dir: "/tmp/zk-golden/data/version-2".into(),
        data_log_dir: "/tmp/zk-golden/data/version-2".into(),
        sizes,
        tick_ms: 2000,
        connections_per_address_max: 60,
        session_timeout_min_ms: 4000,
        session_timeout_max_ms: 40_000,
        listen_backlog: None,
        sid: Sid(0),
    };
    assert_eq!(view.to_string(), golden!("conf"));
    assert_eq!(sizes.to_string(), golden!("dirs"));
}

#[test]
fn conf_of_a_member_has_its_limits_ports_and_membership() {
    let member = MemberConfView {
        init_ticks: 10,
        sync_ticks: 5,
        election_ports: vec![3888, 3889],
        quorum_ports: vec![2888, 2889],
        is_voter: false,
        membership: Some("server.3=h:2888:3888|h:2889:3889:observer\nversion=0".to_owned()),
    };
    expect![[r#"
        initLimit=10
        syncLimit=5
        electionAlg=3
        electionPort=3888|3889
        quorumPort=2888|2889
        peerType=1
        membership: 
        server.3=h:2888:3888|h:2889:3889:observer
        version=0"#]]
    .assert_eq(&member.to_string());
}

#[test]
fn mntr_of_a_member_tells_of_its_ensemble() {
    let (stats, metrics) = (ServerStats::default(), Metrics::default());
    let shown = |mode, leader| {
        let member = Some(MemberGauges { quorum_size: 3, leader, ..MemberGauges::default() });
        let gauges = Gauges::default();
        let view = MonitorView { mode, member, gauges, stats: &stats, metrics: &metrics };
        let alone = MonitorView { mode: Mode::Standalone, member: None, ..view.clone() };
        let (text, alone) = (view.to_string(), alone.to_string());
        let known: BTreeSet<_> = alone.lines().collect();
        text.lines().filter(|line| !known.contains(line)).map(|line| format!("{line}\n")).collect()
    };
    let sizes = ProposalSizes { last: Some(48), min: Some(44), max: Some(87) };
    let leader =
        LeaderGauges { learners: 2, leader_uptime: 7, proposal_sizes: sizes, ..<_>::default() };
    let leader: String = shown(Mode::Leader, Some(leader));
    expect![[r#"
        zk_server_state	leader
        zk_peer_state	leading - broadcast
        zk_quorum_size	3
        zk_learners	2
        zk_synced_followers	0
        zk_synced_non_voting_followers	0
        zk_synced_observers	0
        zk_pending_syncs	0
        zk_leader_uptime	7
        zk_last_proposal_size	48
        zk_min_proposal_size	44
        zk_max_proposal_size	87
    "#]]
    .assert_eq(&leader);
    let observer: String = shown(Mode::Observer, None);
    expect![[r#"
        zk_server_state	observer
        zk_peer_state	observing - broadcast
        zk_quorum_size	3
    "#]]
    .assert_eq(&observer);
}

#[test]
fn dump_is_apaches() {
    // 11:37:39 on the day of the capture.
    let start = 1_795_261_059_000;
    let bucket = |seconds: i64, sessions: &[SessionId]| SessionBucket {
        expire_wall_ms: start + seconds * 1000,
        sessions: sessions.to_vec(),
    };
    let connections = |seconds: i64, connections: &[(u16, SessionId)]| ConnectionBucket {
        expire_wall_ms: start + seconds * 1000,
        connections: connections.iter().map(|&(port, session)| (address(port), session)).collect(),
    };
    let view = SessionDump {
        local: None,
        sessions: KnownSessions::Expiring(vec![
            bucket(0, &[]),
            bucket(2, &[SECOND]),
            bucket(20, &[]),
            bucket(22, &[THIRD, FIRST]),
        ]),
        ephemerals: vec![SessionEphemerals { session: FIRST, paths: vec!["/eph".into()] }],
        connections: vec![
            connections(6, &[(41110, SessionId::NONE), (41050, SECOND)]),
            connections(26, &[(41052, THIRD), (41034, FIRST)]),
        ],
    };
    assert_eq!(view.to_string(), golden!("dump"));
    let fresh = SessionDump {
        connections: vec![connections(6, &[(41016, SessionId::NONE)])],
        ..SessionDump::default()
    };
    assert_eq!(fresh.to_string(), golden!("fresh-dump"));
    let local = Some(vec![bucket(2, &[SECOND])]);
    let sessions = KnownSessions::Expiring(vec![bucket(20, &[FIRST])]);
    let of_leader = SessionDump { local, sessions, ..SessionDump::default() }.to_string();
    let lines: Vec<&str> = of_leader.lines().collect();
    let (second, first) = (format!("\t{SECOND}"), format!("\t{FIRST}"));
    assert_eq!((lines[1], lines[3]), ("Local Session Sets (1)/(1):", &*second));
    assert_eq!((lines[4], lines[6]), ("Global Session Sets (1)/(1):", &*first));
    let sessions = KnownSessions::Listed(vec![(FIRST, 4000), (THIRD, 30_000)]);
    let of_learner = SessionDump { sessions, ..SessionDump::default() }.to_string();
    let expected = format!(
        "SessionTracker dump:\nGlobal Sessions(2):\n{FIRST}\t4000ms\n{THIRD}\t30000ms\n\
         ephemeral nodes dump:\n"
    );
    assert!(of_learner.starts_with(&expected), "{of_learner}");
}

#[test]
fn watches_are_apaches() {
    let summary = WatchSummary { connections: 2, paths: 2, watches: 3 };
    assert_eq!(summary.to_string(), golden!("wchs"));
    let paths = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
    let by_session = WatchesBySession {
        sessions: vec![
            SessionWatches { session: SECOND, paths: paths(&["/eph"]) },
            SessionWatches { session: FIRST, paths: paths(&["/eph", "/none"]) },
        ],
    };
    assert_eq!(by_session.to_string(), golden!("wchc"));
    assert_eq!(WatchesBySession::default().to_string(), golden!("fresh-wchc"));
    let by_path = WatchesByPath {
        paths: vec![
            PathWatchers { path: "/eph".into(), sessions: vec![FIRST, SECOND] },
            PathWatchers { path: "/none".into(), sessions: vec![FIRST] },
        ],
    };
    assert_eq!(by_path.to_string(), golden!("wchp"));
}

#[test]
fn short_answers_are_apaches() {
    assert_eq!(FourLetterWord::IMOK, golden!("ruok"));
    assert_eq!(Mode::Standalone.isro(), golden!("isro"));
    assert_eq!(FourLetterWord::CONNECTION_STATS_RESET, golden!("crst"));
    assert_eq!(FourLetterWord::SERVER_STATS_RESET, golden!("srst"));
    assert_eq!(TraceMask::default().to_string(), golden!("gtmk"));
    assert_eq!(TraceMask(0x100).to_string(), golden!("stmk"));
}

#[test]
fn hash_is_apaches() {
    let digests =
        vec![(Zxid::from_raw(0x80), 275_833_350_988), (Zxid::from_raw(0x100), 546_454_556_302)];
    assert_eq!(DigestView { digests }.to_string(), golden!("hash"));
    let digests = vec![(Zxid::from_raw(1), u64::MAX)];
    assert_eq!(DigestView { digests }.to_string(), "1: -1\n");
}

#[test]
fn envi_has_apaches_keys_and_tells_the_truth() {
    let view = EnvironmentView {
        host_name: "localhost".into(),
        os_name: "Linux".into(),
        os_arch: "amd64".into(),
        os_version: "6.1.0".into(),
        user_name: "zookeeper".into(),
        user_home: "/home/zookeeper".into(),
        user_dir: "/tmp/zk-golden".into(),
    };
    let (ours, apaches) = (view.to_string(), golden!("envi"));
    for (ours, apaches) in ours.lines().zip(apaches.lines()) {
        assert_eq!(ours.split('=').next(), apaches.split('=').next());
        if apaches.starts_with("java.") {
            assert!(ours.ends_with("=<NA>"), "{ours}");
        } else {
            assert_eq!(ours, apaches);
        }
    }
    // What is left describes the memory of the virtual machine.
    let left: Vec<&str> = apaches.lines().skip(ours.lines().count()).collect();
    assert!(left.len() == 3 && left.iter().all(|line| line.starts_with("os.memory.")));
}

/// The keys of an answer to `mntr`, each with whether its value has a point.
fn keys(answer: &str) -> BTreeMap<&str, bool> {
    let lines = answer.lines().skip(2).map(|line| line.split_once('\t').unwrap());
    lines.map(|(key, value)| (key, value.contains('.'))).collect()
}

#[test]
fn mntr_has_every_key_of_apache_with_numbers_of_the_same_kind() {
    let (stats, metrics) = (ServerStats::default(), Metrics::default());
    let gauges = Gauges::default();
    let view = MonitorView {
        mode: Mode::Standalone,
        member: None,
        gauges,
        stats: &stats,
        metrics: &metrics,
    };
    let (ours, apaches) = (view.to_string(), golden!("mntr"));
    let head = |answer: &str| answer.lines().take(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(head(&ours), head(&apaches));
    let (ours, apaches) = (keys(&ours), keys(&apaches));
    // Sets have keys only once a part of the tree was used: its name is in the key.
    let is_set = |key: &str| key.ends_with("_per_namespace");
    for (key, is_double) in apaches.iter().filter(|(key, _)| !is_set(key)) {
        assert_eq!(ours.get(key), Some(is_double), "{key}");
    }
    // What 3.9 has and 3.8 had not.
    let added: Vec<&str> = ours.keys().filter(|key| !apaches.contains_key(*key)).copied().collect();
    expect![[r#"
        zk_avg_restore_time
        zk_cnt_restore_time
        zk_max_restore_time
        zk_min_restore_time
        zk_restore_error_count
        zk_restore_rate_limited_count
        zk_snapshot_error_count
        zk_snapshot_rate_limited_count
        zk_sum_restore_time"#]]
    .assert_eq(&added.join("\n"));
}

#[test]
fn mntr_shows_what_was_counted() {
    let (stats, metrics) = (ServerStats::default(), Metrics::default());
    stats.packets_received.add(59);
    stats.packets_sent.add(60);
    stats.latency_ms.record_times(1, 47);
    stats.latency_ms.record(22);
    stats.response_sizes.record(16);
    metrics.connection_request_count.add(3);
    metrics.fsynctime.record(2);
    metrics.fsynctime.record(1);
    metrics.readlatency.record_times(0, 999);
    metrics.readlatency.record(500);
    let shown = || {
        let gauges = Gauges { znode_count: 27, uptime: 2136, ..Gauges::default() };
        let view = MonitorView {
            mode: Mode::Standalone,
            member: None,
            gauges,
            stats: &stats,
            metrics: &metrics,
        };
        let is_wanted = |line: &&str| {
            let key = line.split('\t').next().unwrap();
            ["zk_avg_latency", "zk_max_latency", "zk_min_latency", "zk_uptime"].contains(&key)
                || ["_received", "_sent", "_size", "_readlatency", "_fsynctime", "_request_count"]
                    .iter()
                    .any(|end| {
                        key.ends_with(end) && !key.contains("queue") && !key.contains("batch")
                    })
        };
        view.to_string().lines().filter(is_wanted).collect::<Vec<_>>().join("\n")
    };
    expect![[r#"
        zk_avg_latency	1.4375
        zk_max_latency	22
        zk_min_latency	1
        zk_packets_received	59
        zk_packets_sent	60
        zk_last_client_response_size	16
        zk_max_client_response_size	16
        zk_min_client_response_size	16
        zk_uptime	2136
        zk_approximate_data_size	0
        zk_connection_request_count	3
        zk_avg_fsynctime	1.5
        zk_min_fsynctime	1
        zk_max_fsynctime	2
        zk_cnt_fsynctime	2
        zk_sum_fsynctime	3
        zk_avg_readlatency	0.5
        zk_min_readlatency	0
        zk_max_readlatency	500
        zk_cnt_readlatency	1000
        zk_sum_readlatency	500
        zk_p50_readlatency	0
        zk_p95_readlatency	0
        zk_p99_readlatency	0
        zk_p999_readlatency	0"#]]
    .assert_eq(&shown());
    stats.reset();
    metrics.reset();
    expect![[r#"
        zk_avg_latency	0.0
        zk_max_latency	0
        zk_min_latency	0
        zk_packets_received	0
        zk_packets_sent	0
        zk_last_client_response_size	-1
        zk_max_client_response_size	-1
        zk_min_client_response_size	-1
        zk_uptime	2136
        zk_approximate_data_size	0
        zk_connection_request_count	0
        zk_avg_fsynctime	0.0
        zk_min_fsynctime	0
        zk_max_fsynctime	0
        zk_cnt_fsynctime	0
        zk_sum_fsynctime	0
        zk_avg_readlatency	0.0
        zk_min_readlatency	0
        zk_max_readlatency	0
        zk_cnt_readlatency	0
        zk_sum_readlatency	0
        zk_p50_readlatency	0
        zk_p95_readlatency	0
        zk_p99_readlatency	0
        zk_p999_readlatency	0"#]]
    .assert_eq(&shown());
}
