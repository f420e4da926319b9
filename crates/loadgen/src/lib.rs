//! A load generator for servers of the ZooKeeper protocol: ours, Apache's, or a bare echo server.
//!
//! It answers three questions: how many operations a server does per second, how many per second of
//! its processor time (the figure that survives a busy machine), and how long they take.
//!
//! ```text
//! Options -> [run] -> for each cell: fixture, sessions, load, figures -> Report
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `options` | what to run, and the command line of it |
//! | `workload` | the kinds of load |
//! | `cell` | one measurement from preparing to cleaning up |
//! | `fixture` | the znodes that a workload needs, and its requests |
//! | `engine` | the loop of one thread that keeps connections busy |
//! | `session` | a connection and its session |
//! | `template`, `mix`, `pace` | how requests are made, which is next, and when |
//! | `recording`, `report` | what is kept of replies, and the figures |
//! | `process`, `machine` | processor time, memory, and where it was measured |
//!
//! # What the figures mean
//!
//! In a *closed loop* each connection keeps `window` requests in flight: throughput is what the
//! server can do, and latencies are those of a server that is always busy. At an *offered rate*
//! requests have a timetable, and latencies count from when each was due, whether or not it could
//! be sent then: a pause of the server shows in all requests that it delayed.
//!
//! Every reply is checked: its order, its error code, its length. A reply that the workload can not
//! explain ends the run without figures.

mod cell;
mod control;
mod engine;
mod error;
mod fixture;
pub mod limits;
mod machine;
mod mix;
mod options;
mod pace;
mod process;
mod recording;
mod report;
mod session;
mod template;
mod timer;
mod workload;

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};

use crate::cell::Shape;
pub use crate::error::{Error, OptionsError};
pub use crate::machine::{Machine, Versions};
pub use crate::options::{BenchArgs, Options, Refusals};
pub use crate::report::{Cell, Latency, Report};
pub use crate::workload::Workload;

/// Measures all cells, one after the other; `on_cell` sees each when it is done.
///
/// # Errors
/// If the server can not be reached, answers anything but what was asked for, or stops answering.
pub fn run(options: &Options, mut on_cell: impl FnMut(&Cell)) -> Result<Report, Error> {
    let servers = resolve(&options.server)?;
    let mut cells = Vec::new();
    for &workload in &options.workloads {
        for &window in &options.windows {
            for &conns in &options.conns {
                let cell = cell::measure(&servers, options, Shape { workload, conns, window })?;
                on_cell(&cell);
                cells.push(cell);
            }
        }
    }
    Ok(Report { machine: Machine::observe(), versions: Versions::ask(servers[0]), cells })
}

impl BenchArgs {
    /// Measures what was typed and writes the figures to `out`: a line for each cell as soon as it
    /// is done, or one JSON object at the end.
    ///
    /// # Errors
    /// If an option is out of its range, as [`run`], or if `out` can not be written.
    pub fn run(&self, out: &mut impl Write) -> Result<(), Error> {
        let options = self.options()?;
        if self.json() {
            let report = run(&options, |_| {})?;
            return Ok(writeln!(out, "{}", report.to_json())?);
        }
        writeln!(out, "{}", Cell::HEADING)?;
        let mut written = Ok(());
        run(&options, |cell| {
            if written.is_ok() {
                written = writeln!(out, "{cell}").and_then(|()| out.flush());
            }
        })?;
        Ok(written?)
    }
}

/// Looks up servers that are separated by commas; there is at least one.
fn resolve(servers: &str) -> Result<Vec<SocketAddr>, Error> {
    let resolve_one = |server: &str| {
        let refused = |source| Error::Connect { server: server.to_owned(), source };
        let mut addresses = server.to_socket_addrs().map_err(refused)?;
        addresses.next().ok_or_else(|| refused(io::ErrorKind::AddrNotAvailable.into()))
    };
    servers.split(',').map(resolve_one).collect()
}
