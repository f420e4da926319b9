//! Runs the load generator against the echo server over real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use echo::Echo;
use loadgen::{Error, Options, Refusals, Report, Workload};

const VALUE_BYTES: usize = 100;

/// No machine needs so long for what is measured here.
const MEASURED_MAX: Duration = Duration::from_secs(20);

/// The address of an echo server that lives as long as the test's process.
fn echo() -> String {
    let any_port = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let echo = Echo::bind(any_port, VALUE_BYTES, None).expect("loopback has free ports");
    let address = echo.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || echo.serve());
    address
}

/// A run that is over soon.
fn options(server: String, workload: Workload) -> Options {
    Options {
        server,
        workloads: vec![workload],
        conns: vec![3],
        windows: vec![4],
        rate: None,
        value_bytes: VALUE_BYTES,
        keys: 50,
        children: 0,
        reads_per_write: 10,
        multi_ops: 10,
        measured: Duration::from_millis(200),
        warmup: Duration::from_millis(20),
        threads: 1,
        server_pids: vec![std::process::id()],
        seed: 1,
        refusals: Refusals::Fail,
    }
}

fn run(options: &Options) -> Result<Report, Error> {
    loadgen::run(options, |_| {})
}

/// Runs for longer and longer, until enough was measured: a machine that is busy with something else takes its
/// time.
fn run_until(mut options: Options, is_enough: impl Fn(&Report) -> bool) -> Report {
    loop {
        let report = run(&options).expect("it runs");
        if is_enough(&report) {
            return report;
        }
        options.measured *= 2;
        assert!(options.measured < MEASURED_MAX, "{}", report.cells[0]);
    }
}

#[test]
fn measures_every_cell() {
    let options = Options {
        conns: vec![1, 5],
        windows: vec![1, 32],
        workloads: vec![Workload::Get, Workload::Set, Workload::Exists, Workload::CreateDelete],
        ..options(echo(), Workload::Get)
    };
    let mut seen = 0;
    loadgen::run(&options, |_| seen += 1).unwrap();
    let report = run_until(options, |report| report.cells.iter().all(|cell| cell.ops > 100));
    assert_eq!((seen, report.cells.len()), (16, 16));
    for cell in &report.cells {
        assert_eq!(cell.latency.count, cell.ops, "{cell}");
        assert!(cell.errors.is_empty(), "{cell}");
        assert!(cell.latency.p50_us > 0.0, "{cell}");
        assert!(cell.latency.p50_us <= cell.latency.p999_us, "{cell}");
        assert!(cell.latency.p999_us <= cell.latency.max_us, "{cell}");
        // About 0.2 on an idle machine; how much more or less depends on who needs the processor.
        assert!(cell.seconds > 0.0, "{cell}");
        assert!(cell.server_rss_bytes.is_some(), "{cell}");
    }
    let shapes: Vec<_> = report.cells[..4].iter().map(|it| (it.conns, it.window)).collect();
    assert_eq!(shapes, [(1, 1), (5, 1), (1, 32), (5, 32)]);
    assert_eq!(report.versions.server, None);
}

#[test]
fn mixes_reads_and_writes() {
    let mixed = options(echo(), Workload::Mixed);
    // Of few requests the kinds may be anything.
    let report = run_until(mixed, |report| report.cells[0].ops > 1_000);
    let requests = &report.cells[0].requests;
    let [gets, sets] = ["get", "set"].map(|name| requests[name].count);
    assert!(sets > 0);
    let ratio = gets as f64 / sets as f64;
    assert!((5.0..20.0).contains(&ratio), "{gets} gets, {sets} sets");
}

#[test]
fn creates_and_removes_as_many() {
    let report = run(&options(echo(), Workload::CreateDelete)).unwrap();
    let requests = &report.cells[0].requests;
    let [creates, deletes] = ["create", "delete"].map(|name| requests[name].count);
    // The measured part may begin and end between the two, on each request in flight.
    assert!(creates.abs_diff(deletes) <= 12, "{creates} creates, {deletes} deletes");
}

#[test]
fn threads_share_the_connections() {
    let options = Options { threads: 2, conns: vec![5], ..options(echo(), Workload::Create) };
    run_until(options, |report| report.cells[0].ops > 100);
}

#[test]
fn load_creates_each_znode_once() {
    let options = Options { keys: 12_345, threads: 2, ..options(echo(), Workload::Load) };
    let report = run(&options).unwrap();
    assert_eq!(report.cells[0].ops, 12_345);
}

#[test]
fn idle_sessions_are_opened_and_closed() {
    let options = Options { conns: vec![200], ..options(echo(), Workload::Idle) };
    let report = run(&options).unwrap();
    assert_eq!((report.cells[0].conns, report.cells[0].ops), (200, 0));
}

#[test]
fn members_of_an_ensemble_get_connections_in_turn() {
    let (first, second) = (counting_echo(), counting_echo());
    let servers = format!("{},{}", first.0, second.0);
    for threads in [1, 2] {
        let before = [&first, &second].map(|it| it.1.load(Ordering::Relaxed));
        let options =
            Options { conns: vec![6], threads, ..options(servers.clone(), Workload::Idle) };
        run(&options).unwrap();
        let after = [&first, &second].map(|it| it.1.load(Ordering::Relaxed));
        // The first one is also asked who it is, and for the session that prepares the run.
        assert_eq!([after[0] - before[0], after[1] - before[1]], [3 + 2, 3], "{threads} threads");
    }
}

#[test]
fn keeps_to_the_offered_rate() {
    let options = Options {
        rate: Some(2000.0),
        measured: Duration::from_millis(500),
        ..options(echo(), Workload::Get)
    };
    // What was late is made up for, so that there may be more at times, and never more than were due.
    run_until(options.clone(), |report| {
        assert_eq!(report.cells[0].offered_per_s, Some(2000.0));
        (1500.0..2500.0).contains(&report.cells[0].ops_per_s)
    });
    let begun = Instant::now();
    let ops = run(&options).unwrap().cells[0].ops;
    let due = 2000.0 * begun.elapsed().as_secs_f64();
    assert!(ops as f64 <= due, "{ops}, of {due} that were due");
}

#[test]
fn a_reply_of_another_size_ends_the_run() {
    let options = Options { value_bytes: VALUE_BYTES + 1, ..options(echo(), Workload::Get) };
    let error = run(&options).unwrap_err();
    assert_eq!(error.to_string(), "get was answered with a record of 172 bytes instead of 173");
}

#[test]
fn an_error_ends_the_run_unless_errors_are_counted() {
    // The echo server does not know multi.
    let mut options = options(echo(), Workload::Multi);
    let error = run(&options).unwrap_err();
    assert_eq!(error.to_string(), "multi was answered with error -6 (Unimplemented)");
    options.refusals = Refusals::Count;
    let report = run(&options).unwrap();
    assert!(report.cells[0].errors["Unimplemented"] > 0);
    assert_eq!(report.cells[0].ops, 0);
}

#[test]
fn a_server_that_hangs_up_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
        }
    });
    let error = run(&options(address.clone(), Workload::Get)).unwrap_err();
    assert_eq!(error.to_string(), format!("{address} opened only 0 of 1 sessions"));
}

#[test]
fn a_reply_out_of_order_ends_the_run() {
    let error = run(&options(faulty_echo(Fault::WrongXid), Workload::Create)).unwrap_err();
    assert!(matches!(error, Error::OutOfOrder { expected: Some(1), got: 2, .. }), "{error}");
}

#[test]
fn a_connection_that_is_lost_ends_the_run() {
    let options = Options {
        conns: vec![1],
        windows: vec![1],
        ..options(faulty_echo(Fault::HangUp), Workload::Create)
    };
    let error = run(&options).unwrap_err();
    assert_eq!(error.to_string(), "connection 0 was lost with 1 requests in flight");
}

/// The address of an echo server, and how many connections it got.
fn counting_echo() -> (String, Arc<AtomicUsize>) {
    let backend = echo();
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound").to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            counter.fetch_add(1, Ordering::Relaxed);
            let (client, server) = (client?, TcpStream::connect(&backend)?);
            let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
            let (mut from_server, mut to_client) = (server, client);
            std::thread::spawn(move || {
                std::io::copy(&mut from_client, &mut to_server)?;
                to_server.shutdown(Shutdown::Write)
            });
            std::thread::spawn(move || {
                std::io::copy(&mut from_server, &mut to_client)?;
                to_client.shutdown(Shutdown::Write)
            });
        }
        std::io::Result::Ok(())
    });
    (address, count)
}

/// What goes wrong with the load of a run.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// Each reply has the xid after its own.
    WrongXid,
    /// The connection ends where a reply was due.
    HangUp,
}

/// The address of an echo server that serves one connection faultlessly, which prepares the run.
fn faulty_echo(fault: Fault) -> String {
    let backend = echo();
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let (client, server) = (client?, TcpStream::connect(&backend)?);
            let fault = (number > 0).then_some(fault);
            std::thread::spawn(move || relay(client, server, fault));
        }
        std::io::Result::Ok(())
    });
    address
}

/// Passes requests and replies on, one by one.
fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    fault: Option<Fault>,
) -> std::io::Result<()> {
    server.write_all(&frame(&mut client)?)?;
    client.write_all(&frame(&mut server)?)?;
    loop {
        server.write_all(&frame(&mut client)?)?;
        let mut reply = frame(&mut server)?;
        match fault {
            None => {}
            Some(Fault::WrongXid) => reply[7] += 1,
            Some(Fault::HangUp) => return Ok(()),
        }
        client.write_all(&reply)?;
    }
}

/// The next frame with its length.
fn frame(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame)?;
    let body_bytes = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
    frame.resize(4 + body_bytes as usize, 0);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}
