//! The way of a write through its server.
//!
//! ```text
//!  Ask::Write ──prepare──> Txn ──propose──> Proposal ──(log synced)──> deliver
//!     │                     │                 │  in the log, digest     │  apply, tell watchers,
//!     │ refused             │ Txn::Error      │  known, waits           │  reply, then what waits
//!     └─────────────────────┘                 │                         │  behind it
//!  Ask::Read, Ask::Sync ──(behind a write?)───┘─────────────────────────┘
//! ```
//!
//! Every write takes a place in the order, a refused one too: its transaction is the error.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use tree::{Applied, Change, Tree};
use types::{ErrorCode, Instant, Read, SessionId, Txn, TxnDigest, TxnHeader, Xid, Zxid, mutant};
use wire::stored::{LogBatch, SetDataTxn};

use crate::access::Identities;
use crate::input::Ask;
use crate::published::{Address, Established};

/// A decided transaction on its way to being applied.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) header: TxnHeader,
    pub(crate) content: Content,
    /// The digest of the tree after it, as whoever decided it has it; `None` if it keeps none.
    pub(crate) digest: Option<TxnDigest>,
    pub(crate) origin: Origin,
    /// What its connection, or a sync of another one, asked after it; in that order.
    pub(crate) behind: Vec<Waiting>,
}

/// What a proposal does.
#[derive(Debug)]
pub(crate) enum Content {
    Txn(Txn),
    /// It sets data, and is read in the batch when it is applied: of thousands that wait, none holds
    /// memory of its own.
    SetData(Logged),
}

/// A transaction in a batch that goes into the log.
#[derive(Debug)]
pub(crate) struct Logged {
    /// `None` while it is being filled.
    pub(crate) batch: Option<Arc<LogBatch>>,
    /// Where it lies in the batch's bytes.
    pub(crate) payload: Range<usize>,
}

impl Logged {
    fn read(&self) -> Option<SetDataTxn<'_>> {
        SetDataTxn::read(self.batch.as_ref()?.as_bytes().get(self.payload.clone())?).ok()?
    }
}

impl Content {
    /// The transaction, unless it is read where it was logged.
    pub(crate) const fn txn(&self) -> Option<&Txn> {
        match self {
            Self::Txn(txn) => Some(txn),
            Self::SetData(_) => None,
        }
    }

    pub(crate) fn apply(
        &self,
        tree: &mut Tree,
        header: &TxnHeader,
        changes: &mut impl FnMut(Change<'_>),
    ) -> Applied {
        match self {
            Self::Txn(txn) => tree.apply(header, txn, changes),
            Self::SetData(logged) => {
                let set = logged.read().expect("it could be read before it was logged");
                tree.apply_set_data(header, (&set.path, set.data, set.version), changes)
            }
        }
    }
}

/// Who waits for a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// A request, to be answered.
    Request { address: Address, xid: Xid, received: Instant },
    /// A connection that wants a new session.
    Handshake(Address),
    /// A learner, which answers its client itself.
    Learner,
    /// Nobody: the server itself decided, or asked the leader to.
    Server,
}

/// A request that waits for a transaction to be applied.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) address: Address,
    pub(crate) session: SessionId,
    pub(crate) xid: Xid,
    pub(crate) received: Instant,
    pub(crate) identities: Arc<Identities>,
    pub(crate) question: Question,
}

/// What can wait.
#[derive(Debug)]
pub(crate) enum Question {
    Read(Read<'static>),
    /// The answer is known, but has to keep its place.
    Refused(ErrorCode),
    Sync {
        path: Box<str>,
    },
    /// The end of a local session.
    End,
    /// A connection that resumes its session: it gets to speak once everything is applied that an
    /// earlier connection of the session may have asked for.
    Resume(Box<Established>),
    /// What the leader decides about, behind a sync.
    Ask(Box<Ask>),
}

/// Where a proposal stands in the order in which this server proposed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Position(u64);

/// Proposals that are not applied yet, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Proposals {
    queue: VecDeque<Proposal>,
    /// The position of the oldest.
    first: u64,
}

impl Proposals {
    pub(crate) fn push(&mut self, proposal: Proposal) -> Position {
        self.queue.push_back(proposal);
        Position(self.first + self.queue.len() as u64 - 1)
    }

    /// Takes the oldest, if everything up to `committed` may be applied and that includes it.
    pub(crate) fn pop(&mut self, committed: Committed) -> Option<Proposal> {
        if self.queue.front()?.header.zxid > committed.0
            && !(mutant::active(103) && self.queue.front()?.header.zxid == committed.0.successor())
        {
            return None;
        }
        self.first += 1;
        self.queue.pop_front()
    }

    /// The position of the newest.
    pub(crate) fn last(&self) -> Option<Position> {
        let behind_first = self.queue.len().checked_sub(1)?;
        Some(Position(self.first + behind_first as u64))
    }

    /// The proposal at a position, unless it is applied.
    pub(crate) fn at(&mut self, position: Position) -> Option<&mut Proposal> {
        let index = position.0.checked_sub(self.first)?;
        self.queue.get_mut(usize::try_from(index).ok()?)
    }

    /// Adds what a leader proposed.
    pub(crate) fn learn(&mut self, header: TxnHeader, content: Content, digest: Option<TxnDigest>) {
        self.push(Proposal { header, content, digest, origin: Origin::Server, behind: Vec::new() });
    }

    /// The batch with the newest goes into the log.
    pub(crate) fn logged(&mut self, batch: &Arc<LogBatch>) {
        for proposal in self.queue.iter_mut().rev().take(batch.count()) {
            if let Content::SetData(Logged { batch: unfilled @ None, .. }) = &mut proposal.content {
                *unfilled = Some(Arc::clone(batch));
            }
        }
    }

    /// Forgets all of them: the tree is another one.
    pub(crate) fn clear(&mut self) {
        self.first += self.queue.len() as u64;
        self.queue.clear();
    }

    /// Forgets those behind a transaction: they were never committed.
    pub(crate) fn cut(&mut self, keep: Zxid) {
        while self.queue.back().is_some_and(|newest| newest.header.zxid > keep) {
            self.queue.pop_back();
        }
    }

    /// Forgets who waits. Returns the connections that waited for a session.
    pub(crate) fn orphan(&mut self) -> Vec<Address> {
        let mut addresses = Vec::new();
        for proposal in &mut self.queue {
            if let Origin::Handshake(address) = proposal.origin {
                addresses.push(address);
            }
            proposal.origin = Origin::Server;
            proposal.behind.clear();
        }
        addresses
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}

/// Proof that everything up to a transaction is committed. Only the answer of the log makes one, in an
/// ensemble of one, or the word of the peer; and only with it can a proposal be taken out to be
/// applied and acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Committed(Zxid);

impl Committed {
    /// What [`crate::Input::LogSynced`] says to a server that is a quorum by itself.
    pub(crate) const fn by_own_log(zxid: Zxid) -> Self {
        Self(zxid)
    }

    /// What [`zab::Effect::Deliver`] says.
    pub(crate) const fn by_quorum(zxid: Zxid) -> Self {
        Self(zxid)
    }
}
