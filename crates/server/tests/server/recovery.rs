//! What a server finds when it starts again.

use std::fs;
use std::thread;

use server::{Server, StartError};
use storage::{
    DataDir, Directories, EmptyDatabase, MissingDirectory, RealDisk, RecoverOptions, Recovered,
    WithoutSnapshot,
};
use types::{CreateMode, ExtendedTypes, Op, Read, Xid};
use wire::reply;

use crate::fixture::{Host, Line, children, create, get, persistent, set};

#[test]
fn data_sessions_and_ephemerals_outlive_a_restart() {
    let mut host = Host::start(&[]);
    let mut before = host.client();
    before.ask(persistent("/kept"));
    before.ask(set("/kept", b"text"));
    before.ask(create("/mine", CreateMode::Ephemeral));
    let mut gone = host.client();
    gone.ask(create("/others", CreateMode::Ephemeral));
    gone.ask(Op::CloseSession);
    host.stop();
    assert!(before.is_closed());
    host.start_again();
    let mut after = Line::dial(host.address());
    assert!(after.greet(Some((before.session, &before.password)), 10_000));
    assert_eq!(after.ask(children("/")).names(), ["kept", "mine", "zookeeper"]);
    assert_eq!(after.ask(get("/kept")).data(), b"text");
    let own = after.ask(Op::Read(Read::GetEphemerals { prefix: None }));
    assert_eq!(own.names(), ["/mine"]);
    assert_ne!(host.client().session, before.session);
    after.ask(Op::CloseSession);
    assert_eq!(host.client().ask(children("/")).names(), ["kept", "zookeeper"]);
}

#[test]
fn a_session_whose_client_never_comes_back_ends_after_a_restart() {
    let mut host = Host::start(&[]);
    let mut silent = Line::dial(host.address());
    silent.greet(None, 200);
    silent.ask(create("/mine", CreateMode::Ephemeral));
    host.stop();
    host.start_again();
    let mut watcher = host.client();
    let exists = Op::Read(Read::Exists { path: "/mine".into(), watch: true });
    if watcher.ask(exists).header.code == 0 {
        assert_eq!(watcher.answer().header.xid, Xid::NOTIFICATION);
    }
    assert_eq!(watcher.ask(children("/")).names(), ["zookeeper"]);
}

#[test]
fn zxids_go_on_after_a_restart() {
    let mut host = Host::start(&[]);
    let before = host.client().ask(persistent("/a")).header.zxid;
    host.stop();
    host.start_again();
    let after = host.client().ask(persistent("/b")).header.zxid;
    assert!(after > before, "{after} comes after {before}");
}

#[test]
fn a_directory_belongs_to_one_server() {
    let host = Host::start(&[]);
    let second = Server::start(host.config());
    assert!(matches!(second, Err(StartError::Storage(_))), "{second:?}");
    assert_eq!(host.client().ask(persistent("/a")).header.code, 0);
}

#[test]
fn snapshots_and_rolled_logs_under_load_hold_everything() {
    const CLIENTS: usize = 3;
    const WRITES: usize = 1500;
    let mut host = Host::start(&["snapCount=40", "preAllocSize=64"]);
    let mut setup = host.client();
    for number in 0..CLIENTS {
        setup.ask(persistent(&format!("/c{number}")));
    }
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut client = host.client();
            scope.spawn(move || write_a_lot(&mut client, &format!("/c{number}"), WRITES));
        }
    });
    let before: Vec<_> = (0..CLIENTS).map(|it| contents(&mut setup, it)).collect();
    host.stop();
    let files = names_in(&host);
    let count = |prefix: &str| files.iter().filter(|name| name.starts_with(prefix)).count();
    assert!(count("log.") > 3, "logs were rolled: {files:?}");
    assert!(count("snapshot.") > 3, "snapshots were taken: {files:?}");
    let recovered = recover(&host);
    assert_eq!(recovered.digest_mismatches, 0);
    assert_eq!(recovered.tree.digest(), Some(recovered.tree.recomputed_digest()));
    assert!(recovered.txns_replayed < 1000, "the last snapshot spares most of the replay");
    drop(recovered);
    host.start_again();
    let mut client = host.client();
    let after: Vec<_> = (0..CLIENTS).map(|it| contents(&mut client, it)).collect();
    assert_eq!(after, before);
}

#[test]
fn a_stop_under_load_loses_nothing_that_was_acknowledged() {
    const CLIENTS: usize = 4;
    let mut host = Host::start(&[]);
    let mut lines: Vec<Line> = (0..CLIENTS).map(|_| host.client()).collect();
    for (number, line) in lines.iter_mut().enumerate() {
        line.ask(persistent(&format!("/c{number}")));
    }
    let acknowledged: Vec<usize> = thread::scope(|scope| {
        let writers: Vec<_> = lines
            .iter_mut()
            .enumerate()
            .map(|(number, line)| scope.spawn(move || create_until_the_end(line, number)))
            .collect();
        // It is told to stop when there is load: the first thousand znodes are there.
        let mut watcher = host.client();
        while watcher.ask(children("/c0")).names().len() < 250 {}
        host.stop();
        writers.into_iter().map(|writer| writer.join().expect("a writer")).collect()
    });
    host.start_again();
    let mut client = host.client();
    for (number, acknowledged) in acknowledged.into_iter().enumerate() {
        let names = client.ask(children(&format!("/c{number}"))).names();
        assert!(names.len() >= acknowledged, "{} of {acknowledged}", names.len());
        let expected: Vec<String> = (0..names.len()).map(|it| format!("n-{it:010}")).collect();
        assert_eq!(names, expected, "what is there is a beginning of what was asked");
    }
}

/// Creates, changes and deletes znodes, 50 requests at a time.
fn write_a_lot(client: &mut Line, parent: &str, writes: usize) {
    let prefix = format!("{parent}/n-");
    for block in 0..writes / 50 {
        let mut bytes = Vec::new();
        for number in block * 50..(block + 1) * 50 {
            let earlier = format!("{prefix}{:010}", number / 5);
            bytes.extend(match number % 5 {
                0..3 => client.next(create(&prefix, CreateMode::PersistentSequential)),
                3 => client.next(set(&earlier, number.to_string().as_bytes())),
                _ => {
                    let version = None;
                    let path = earlier.into();
                    client.next(Op::Write(types::Write::Delete { path, version }))
                }
            });
        }
        client.send(&bytes);
        for _ in 0..50 {
            client.answer();
        }
    }
}

/// Creates sequential znodes until the connection ends; returns how many were acknowledged.
fn create_until_the_end(line: &mut Line, number: usize) -> usize {
    let prefix = format!("/c{number}/n-");
    let mut acknowledged = 0;
    loop {
        let bytes: Vec<u8> = (0..20)
            .flat_map(|_| line.next(create(&prefix, CreateMode::PersistentSequential)))
            .collect();
        if line.try_send(&bytes).is_err() {
            return acknowledged;
        }
        for _ in 0..20 {
            let Some(answer) = line.try_answer() else { return acknowledged };
            let path = reply::decode_path(&answer.record).expect("a path");
            assert_eq!(path, format!("{prefix}{acknowledged:010}"));
            acknowledged += 1;
        }
    }
}

/// The names below one of the parents, with their data.
fn contents(client: &mut Line, number: usize) -> Vec<(String, Vec<u8>)> {
    let parent = format!("/c{number}");
    let names = client.ask(children(&parent)).names();
    assert!(names.len() > 100, "most were not deleted");
    let read = |name: String| {
        let data = client.ask(get(&format!("{parent}/{name}"))).data();
        (name, data)
    };
    names.into_iter().map(read).collect()
}

fn names_in(host: &Host) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(host.files())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

/// What recovery finds in the directory of a server that was stopped.
fn recover(host: &Host) -> Recovered {
    let storage = &host.config().storage;
    let directories =
        Directories { snapshots: storage.data_dir.clone(), logs: storage.data_log_dir.clone() };
    let data_dir = DataDir::open(RealDisk, directories, MissingDirectory::Refuse).expect("free");
    let options = RecoverOptions {
        tree: tree::Options { extended_types: ExtendedTypes::Disabled, digest: true, hash_seed: 1 },
        without_snapshot: WithoutSnapshot::Refuse,
        empty: EmptyDatabase::Create,
    };
    data_dir.recover(&options).expect("sound")
}
