//! What must be true of every history.
//!
//! One file per property. Most checkers trust the zxids in the replies (which is a promise of its
//! own, checked by [`replay`]) and are one linear pass; [`linearizability`] trusts nothing and
//! searches. Each is tested with histories that were spoiled by hand (`tests/spoiled.rs`).

pub mod durability;
pub mod ephemerals;
pub mod linearizability;
pub mod read_only;
pub mod replay;
pub mod session_order;
pub mod sessions;
mod shortened;
pub mod watches;

use std::fmt;
use std::rc::Rc;

use types::{ErrorCode, Txn, Xid, Zxid};

use crate::history::History;
use crate::model::{Model, Rules};
use crate::operations::{self, Operation};
use linearizability::Searches;

/// A promise of the server. The letters are those of the plan in `docs/design/0002-simulator.md`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Promise {
    /// The zxid in a reply names the state it shows.
    P0,
    /// Writes have one order, which agrees with real time, and the results the model gives.
    P1,
    /// Requests of a session take effect, and are answered, in the order sent.
    P2,
    /// A session never sees an older state than it saw before.
    P3,
    /// What a client has seen is never unseen.
    P4,
    /// What was acknowledged survives.
    P5,
    /// A multi is all or nothing.
    P6,
    /// A request is done at most once, and one answered with an error not at all.
    P7,
    /// Sessions are never reused, never resurrected, and do not expire early.
    P8,
    /// Ephemeral znodes live exactly as long as their sessions.
    P9,
    /// An event comes before any reply that shows its change, and events come in order.
    P10,
    /// Every watch fires as often as its kind says, and nothing else fires.
    P11,
    /// After a sync, nothing acknowledged before it is missing.
    P12,
    /// A server without a leader only shows what it has, to those who are content with that.
    P13,
    /// The digest in the log and after recovery is that of the model's tree.
    P14,
    /// Sequential names are unique and increasing.
    P15,
    /// Every request of a connection is answered once, in order.
    S5,
    /// A recovered history has no gaps.
    D3,
    /// Recovery is a function of what is on disk.
    D5,
    /// What was cut off does not come back.
    D6,
    /// A recovered tree is the model's at the recovered zxid, from whatever snapshot and logs.
    D8,
    /// A damaged record that is no torn tail is never cut silently.
    D7,
    /// Whoever promises something to another server has it on its disk.
    D1,
    /// Epochs on a disk never decrease, and the accepted one is at least the current one.
    D2,
    /// What is committed is on the disks of a quorum.
    D4,
    /// Who leads was elected by a quorum of voters.
    E1,
    /// Nobody votes for who knows less than itself.
    E2,
    /// The rounds in which a server votes never decrease.
    E3,
    /// Who comes back to others that have a leader finds it, and disturbs nobody.
    E5,
    /// Only voters lead.
    E6,
    /// Who begins an epoch has everything that was committed before.
    M3,
    /// No log loses what is committed.
    M4,
    /// Each version of the membership is one membership.
    R3,
    /// Who does not vote decides nothing.
    R4,
    /// There is one leader in an epoch at most.
    Z2,
    /// All servers have the same transaction in the same place.
    Z3,
    /// What a leader says comes in the order of the phases.
    Z11,
    /// Each transaction is the next one, in every log and in every message.
    Z12,
    /// Transactions are committed in order, and not before they were proposed.
    Z13,
    /// Acknowledgements are of this epoch, and in order.
    Z14,
    /// No correct server has reason to hold anything against another correct one.
    Z15,
    /// Watches die with their connections.
    W5,
    /// No event for a znode that its receiver may not read.
    W6,
    /// Within a bound after all faults ended, the server serves.
    Liveness,
    /// A run comes to its end: nothing is done over and over.
    Ends,
    /// The server neither panics nor gives up without a cause.
    NoPanic,
    /// The same tape makes the same run.
    Determinism,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A promise that was broken, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// What was seen, for the reader of a report.
    pub detail: String,
}

impl Violation {
    /// A report of this breach, in which data of znodes is shortened.
    pub fn new(promise: Promise, detail: impl Into<String>) -> Self {
        Self { promise, detail: shortened::shortened(&detail.into()) }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.detail)
    }
}

impl std::error::Error for Violation {}

/// How fresh plain reads are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reads {
    /// As everywhere in the protocol: they may lag until a sync.
    MayLag,
    /// There is one server only, so that they can not lag.
    AreFresh,
}

/// A history with its operations put together, ready for checkers.
#[derive(Debug)]
pub struct Case<'h> {
    history: &'h History,
    rules: Rc<Rules>,
    /// The state the server started from.
    start: Zxid,
    reads: Reads,
    operations: Vec<Operation<'h>>,
    /// Those asked of servers without a leader, which only show what they have.
    aside: Vec<Operation<'h>>,
}

impl<'h> Case<'h> {
    /// Pairs requests with replies.
    ///
    /// # Errors
    /// A reply to nothing that was asked is a violation already.
    pub fn new(
        history: &'h History,
        rules: Rc<Rules>,
        start: Zxid,
        reads: Reads,
    ) -> Result<Self, Violation> {
        let operations = operations::pair(history, &rules)?;
        let (aside, operations) = operations.into_iter().partition(|it| it.is_aside);
        Ok(Self { history, rules, start, reads, operations, aside })
    }

    /// Runs every checker and returns the first violation; tells what could not be looked at.
    ///
    /// # Errors
    /// The violation.
    pub fn check(&self) -> Result<Searches, Violation> {
        durability::check(self)?;
        session_order::check(self)?;
        sessions::check(self)?;
        read_only::check(self)?;
        ephemerals::check(self)?;
        replay::check(self)?;
        watches::check(self)?;
        linearizability::check(self)
    }

    fn model(&self) -> Model {
        Model::starting_at(Rc::clone(&self.rules), self.start)
    }

    /// The last transaction there is.
    fn last_logged(&self) -> Zxid {
        self.history.log.last().map_or(self.start, |logged| logged.header.zxid)
    }
}

/// Whether a leader refused a request because its session had moved, or was over: it was on its way
/// over the old server when the client was with a new one already, and may come after what the client
/// asked there.
fn is_left_behind(case: &Case<'_>, logged: &crate::history::LoggedTxn) -> bool {
    case.reads == Reads::MayLag
        && matches!(
            logged.txn, Txn::Error { code }
            if [ErrorCode::SessionMoved, ErrorCode::SessionExpired].map(ErrorCode::raw).contains(&code)
        )
}

/// Whether a transaction was made by the server on its own account.
fn is_internal(logged: &crate::history::LoggedTxn) -> bool {
    logged.header.cxid == Xid::INTERNAL
        && matches!(
            logged.txn,
            Txn::CreateSession { .. }
                | Txn::CloseSession { .. }
                | Txn::DeleteContainer { .. }
                | Txn::Error { .. }
        )
}
