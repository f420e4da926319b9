//! Why a run ends early.

use std::io;
use std::process::ExitStatus;

use sim::checkers::Violation;
use types::Zxid;

/// A promise that was broken, or something that kept the run from going on.
#[derive(thiserror::Error, Debug)]
pub(crate) enum Failure {
    /// What a client finds is not what any prefix of its requests leads to.
    #[error(
        "{owner} has lost or never asked for what it finds after {acknowledged} acknowledged and \
         {unknown} unanswered requests: {difference}"
    )]
    Differs {
        /// The client's znode.
        owner: String,
        /// Requests that were acknowledged in the whole run.
        acknowledged: u64,
        /// Requests that were sent and not answered when the server was killed.
        unknown: usize,
        /// Against what the acknowledged ones lead to.
        difference: String,
    },
    /// A session that was open can not be resumed.
    #[error("the session of {owner} is gone")]
    SessionLost {
        /// The client's znode.
        owner: String,
    },
    /// A session does not have its ephemeral znode any more.
    #[error("the ephemeral znode of {owner} is gone, its session is not")]
    EphemeralLost {
        /// The client's znode.
        owner: String,
    },
    /// A later write does not have a larger zxid.
    #[error("a write of {owner} after {before} was acknowledged with {after}")]
    ZxidWentBack {
        /// The client's znode.
        owner: String,
        /// The largest it had seen.
        before: Zxid,
        /// The next it got.
        after: Zxid,
    },
    /// A reply is not the one that the request must have.
    #[error("{owner} was answered {answer}, which can not be")]
    WrongAnswer {
        /// The client's znode.
        owner: String,
        /// Which and how.
        answer: String,
    },
    /// The connection of a client has ended, or said nothing, while its server was to go on; or what came is
    /// no answer.
    #[error("{owner} lost its connection to a server that was to serve it")]
    ConnectionLost {
        /// The client's znode.
        owner: String,
        /// How.
        #[source]
        source: io::Error,
    },
    /// A server has done nothing, so that nothing is known of it.
    #[error("no write was acknowledged")]
    NothingDone,
    /// A checker of histories has found something.
    #[error("broken: {0}")]
    Broken(#[from] Violation),
    /// A checker of recipes has found something.
    #[error("broken by {recipe}: {violation}")]
    Recipe {
        /// Its name.
        recipe: &'static str,
        /// What it has found.
        violation: ordeal::checkers::Violation,
    },
    /// The digests in the log or in the snapshot are not those of the tree.
    #[error("the recovered tree differs from the logged digests {times} times")]
    Digest {
        /// How often.
        times: u64,
    },
    /// What is on disk can not be recovered.
    #[error("the directory can not be recovered")]
    Storage(#[from] storage::Error),
    /// The server did not start, or ended by itself.
    #[error("the server did not serve within {patience_s} s; its output is in {log}")]
    NotServing {
        /// How long was waited.
        patience_s: u64,
        /// Its standard error.
        log: String,
    },
    /// The server ended, but not as it must when its log can not be written.
    #[error("the server ended with {status}; its output is in {log}")]
    WrongEnd {
        /// How.
        status: ExitStatus,
        /// Its standard error.
        log: String,
    },
    /// The server can not write its log and is still there.
    #[error("the server was still there {patience_s} s after its log could not be written")]
    NotEnding {
        /// How long was waited.
        patience_s: u64,
    },
    /// A server that was to be told what to do has not looked.
    #[error(
        "the server did not take its orders within {patience_s} s: was it built with `--features faults`?"
    )]
    NotListening {
        /// How long was waited.
        patience_s: u64,
    },
    /// Writes that were acknowledged are in no log.
    #[error("{count} acknowledged writes are in no log, the first of them is {first}")]
    Lost {
        /// How many.
        count: usize,
        /// The first.
        first: Zxid,
    },
    /// Servers with a planted mistake have lost nothing.
    #[error("the mistake that was planted has cost nothing that was acknowledged")]
    NothingFound,
    /// The system, or the connection where it must not end.
    #[error("{doing}")]
    Io {
        /// What was done.
        doing: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Failure {
    /// Wraps an error of the system.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}
