//! Why a run gives no figures.

use std::io;

use types::ErrorCode;

/// Why a run was given up.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// An option is out of its range.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The server's name could not be resolved, or it does not listen.
    #[error("no connection to {server}")]
    Connect {
        /// As given.
        server: String,
        /// What the system says.
        source: io::Error,
    },
    /// The server ended or refused the handshake of a session.
    #[error("{server} opened only {opened} of {wanted} sessions")]
    Handshake {
        /// As given.
        server: String,
        /// Sessions that it did open.
        opened: usize,
        /// Sessions that the run needs.
        wanted: usize,
        /// What the system says.
        source: io::Error,
    },
    /// A connection failed while requests were in flight.
    #[error("connection {connection} was lost with {in_flight} requests in flight")]
    Lost {
        /// Its number, from 0.
        connection: usize,
        /// Requests without a reply.
        in_flight: usize,
        /// What the system says.
        source: io::Error,
    },
    /// The server answered with an error that no request of the workload can explain.
    #[error("{request} was answered with error {code}{}", named(*code))]
    Refused {
        /// The request's name.
        request: &'static str,
        /// The code of the reply.
        code: i32,
    },
    /// A reply's record has another length than the answer to the request must have.
    #[error("{request} was answered with a record of {got} bytes instead of {expected}")]
    RecordLength {
        /// The request's name.
        request: &'static str,
        /// Bytes of the right record.
        expected: usize,
        /// Bytes of this one.
        got: usize,
    },
    /// A reply does not belong to the oldest request in flight.
    #[error("connection {connection} received a reply to {got} where {} was due", due(*.expected))]
    OutOfOrder {
        /// Its number, from 0.
        connection: usize,
        /// The xid of the oldest request in flight, if there is one.
        expected: Option<i32>,
        /// The xid of the reply.
        got: i32,
    },
    /// A frame is no reply.
    #[error("connection {connection} received a frame of {bytes} bytes, which is no reply")]
    Malformed {
        /// Its number, from 0.
        connection: usize,
        /// The length that the frame claims.
        bytes: i64,
    },
    /// Nothing was answered for too long.
    #[error("no reply for {seconds} s with {in_flight} requests in flight")]
    Stalled {
        /// How long.
        seconds: u64,
        /// Requests without a reply.
        in_flight: usize,
    },
    /// The figures of a server's process can not be read.
    #[error("process {pid} can not be observed")]
    Process {
        /// Which.
        pid: u32,
        /// What the system says.
        source: io::Error,
    },
    /// The system refused what the load generator itself needs.
    #[error("the load generator lacks a resource")]
    System(#[from] io::Error),
}

/// Why options make no run.
#[derive(thiserror::Error, Clone, PartialEq, Debug)]
pub enum OptionsError {
    /// A figure is out of its range.
    #[error("{option} must be {min} to {max}, not {value}")]
    OutOfRange {
        /// The option's name.
        option: &'static str,
        /// The smallest value.
        min: f64,
        /// The largest value.
        max: f64,
        /// The value given.
        value: f64,
    },
    /// A workload that can not be paced.
    #[error("--rate has no meaning for {workload}")]
    RateWithout {
        /// Its name.
        workload: &'static str,
    },
    /// Fewer connections than threads.
    #[error("{threads} threads can not share {conns} connections")]
    ThreadsWithoutConns {
        /// Threads asked for.
        threads: usize,
        /// Connections asked for.
        conns: usize,
    },
}

fn named(code: i32) -> String {
    ErrorCode::from_raw(code).map_or_else(String::new, |code| format!(" ({code})"))
}

fn due(expected: Option<i32>) -> String {
    expected.map_or_else(|| "nothing".to_owned(), |xid| xid.to_string())
}
