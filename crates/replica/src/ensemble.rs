//! A server's place among others, and what waits for their word.

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use types::{Instant, SessionId, Txn, TxnDigest, TxnHeader, mutant};
use wire::jute::DecodeError;
use wire::quorum::{ToLeader, ToLearner, put_request};
use wire::request::Request;
use wire::stored::{SetDataTxn, decode_txn};
use zab::{Link, Memberships, Recovered};

use crate::access::{Identities, LastIdentities};
use crate::asked::Asked;
use crate::behind_syncs::BehindSyncs;
use crate::between_states::BetweenStates;
use crate::effect::Effect;
use crate::ended::Ended;
use crate::outage::Outage;
use crate::published::Address;
use crate::relayed::Relayed;
use crate::request::{Position, Waiting};

/// Whether sessions are known only to the server of their client, which makes them cheap: the leader
/// and the log hear nothing of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LocalSessions {
    /// All are known to all servers.
    Off,
    /// They are, and can not create ephemerals.
    Fixed,
    /// They are, until they create an ephemeral.
    Upgradable,
}

/// What a member of an ensemble is told beside.
#[derive(Clone, Debug)]
pub struct EnsembleOptions {
    /// How it takes part in the protocol between servers.
    pub peer: zab::Options,
    /// Who is in it.
    pub memberships: Memberships,
    /// What its storage knows.
    pub recovered: Recovered,
    /// Which servers know of new sessions.
    pub local_sessions: LocalSessions,
    /// Whether it serves clients while it leads.
    pub leader_serves: bool,
    /// How long it looks for a leader before it serves clients that are content with reads; `None`:
    /// it never does.
    pub read_only_after: Option<Duration>,
}

/// A transaction as it was sent.
#[derive(Debug)]
pub(crate) struct ReadTxn {
    pub(crate) header: TxnHeader,
    /// `None` if it sets data: that is read again where it is logged.
    pub(crate) txn: Option<Txn>,
    /// The digest of the tree after it, if it came with one.
    pub(crate) digest: Option<TxnDigest>,
}

impl ReadTxn {
    pub(crate) fn read(payload: &[u8]) -> Result<Self, DecodeError> {
        if let Some(SetDataTxn { header, digest, .. }) = SetDataTxn::read(payload)? {
            return Ok(Self { header, txn: None, digest });
        }
        let (header, txn, digest) = decode_txn(payload)?;
        Ok(Self { header, txn: Some(txn), digest })
    }
}

/// What a server does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// It has no leader, and serves nobody.
    Looking,
    /// It has had no leader for a while, and serves what it has to those who only read.
    ReadOnly,
    /// It decides over writes: as a leader, or alone.
    Leading,
    /// It forwards writes over this connection.
    Following(Link),
}

/// What a server of an ensemble keeps beside sessions and proposals. Empty in one that is alone.
#[derive(Debug)]
pub(crate) struct Ensemble {
    pub(crate) standing: Standing,
    pub(crate) local_sessions: LocalSessions,
    pub(crate) leader_serves: bool,
    /// On a leader: which global sessions have ended that a learner may take for alive.
    pub(crate) ended: Ended,
    read_only_after: Option<Duration>,
    /// When it begins to serve reads, unless it has a leader before.
    pub(crate) read_only_at: Option<Instant>,
    pub(crate) asked: Asked,
    /// On a learner: who wants to resume which session, while the leader is asked about it.
    pub(crate) claims: HashMap<SessionId, Claim, FixedState>,
    /// On a follower: what its observers ask the leader.
    pub(crate) relayed: Relayed,
    /// On a leader: what waits for a confirmation that it leads, oldest first.
    pub(crate) confirming: VecDeque<Unconfirmed>,
    /// How many of these the peer was not asked about yet.
    pub(crate) unconfirmed: usize,
    /// On a leader: what learners are told when everything up to a place is delivered.
    pub(crate) learner_answers: VecDeque<(Position, Link, LearnerAnswer)>,
    /// On a leader: what learners asked behind syncs.
    pub(crate) behind_syncs: BehindSyncs,
    /// On a leader: who asked last through a learner.
    pub(crate) last_identities: LastIdentities,
    /// On a leader: learners that were sent a snapshot.
    pub(crate) between_states: BetweenStates,
    /// On its way back to service, if it is.
    pub(crate) outage: Outage,
    /// On a learner: up to when the leader was told who is alive.
    pub(crate) touched_until: Instant,
    /// On a learner: what the leader sent, until it is logged.
    pub(crate) read_ahead: VecDeque<ReadTxn>,
    /// What is sent after everything that the peer has said.
    outgoing: Vec<Effect>,
}

/// What a leader tells a learner in its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LearnerAnswer {
    /// Its oldest sync may be answered.
    Sync,
    /// Whether a session is alive.
    Revalidated { session: SessionId, is_valid: bool },
}

impl LearnerAnswer {
    const fn packet(self) -> ToLearner<'static> {
        match self {
            Self::Sync => ToLearner::Sync,
            Self::Revalidated { session, is_valid } => ToLearner::Revalidated { session, is_valid },
        }
    }
}

/// A connection that wants to resume a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) address: Address,
    pub(crate) timeout_ms: i32,
}

/// What a leader says only when a quorum has confirmed that it leads. One that was deposed and does not know
/// it yet must not show a state that is no longer the last; nor let a client go on with its session, which
/// may have asked something elsewhere that is still to be done, nor tell it that the session is over.
#[derive(Debug)]
pub(crate) enum Unconfirmed {
    /// That a sync is done.
    Sync(Asker),
    /// That a connection has its session again.
    Resumption(Box<Waiting>),
    /// That the session of a connection is over.
    Refusal(Address),
    /// Which of the two it is, to the learner to which the client came.
    Revalidation(Link, LearnerAnswer),
}

impl Unconfirmed {
    /// The connection without a session that waits for it.
    fn refused_connection(self) -> Option<Address> {
        match self {
            Self::Refusal(address) => Some(address),
            Self::Sync(_) | Self::Resumption(_) | Self::Revalidation(..) => None,
        }
    }
}

/// Who asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asker {
    /// A session of this server; its sync is the oldest of [`Asked`].
    Here,
    /// A learner.
    Learner(Link),
}

impl Ensemble {
    /// Of a member with these options; `None`: of a server that is alone.
    pub(crate) fn new(options: Option<&EnsembleOptions>, seed: u64) -> Self {
        Self {
            standing: if options.is_some() { Standing::Looking } else { Standing::Leading },
            local_sessions: options.map_or(LocalSessions::Off, |it| it.local_sessions),
            leader_serves: options.is_none_or(|it| it.leader_serves),
            ended: Ended::new(options.and_then(notice_of_ends_max)),
            read_only_after: options.and_then(|it| it.read_only_after),
            read_only_at: None,
            asked: Asked::new(seed),
            claims: HashMap::with_hasher(FixedState::with_seed(seed)),
            relayed: Relayed::default(),
            confirming: VecDeque::new(),
            unconfirmed: 0,
            learner_answers: VecDeque::new(),
            behind_syncs: BehindSyncs::default(),
            last_identities: LastIdentities::default(),
            between_states: BetweenStates::default(),
            outage: Outage::default(),
            touched_until: Instant::default(),
            read_ahead: VecDeque::new(),
            outgoing: Vec::new(),
        }
    }

    /// It has no leader from now on.
    pub(crate) fn look(&mut self, now: Instant) {
        self.standing = Standing::Looking;
        self.read_only_at = self.read_only_after.map(|after| now.after(after));
    }

    /// Asks for a confirmation that this server leads, before something is said.
    pub(crate) fn confirm(&mut self, what: Unconfirmed) {
        self.confirming.push_back(what);
        self.unconfirmed += 1;
    }

    /// Forgets what waits for others. Returns the connections that waited for a session.
    pub(crate) fn forget(&mut self) -> Vec<Address> {
        let mut addresses = match mutant::active(159) {
            true => Vec::new(),
            false => self.asked.clear(),
        };
        addresses.extend(self.claims.drain().map(|(_, claim)| claim.address));
        addresses.extend(self.confirming.drain(..).filter_map(|it| it.refused_connection()));
        addresses.sort_unstable();
        self.relayed = Relayed::default();
        self.unconfirmed = 0;
        self.learner_answers.clear();
        self.behind_syncs = BehindSyncs::default();
        self.read_ahead.clear();
        self.outgoing.clear();
        addresses
    }

    /// Sends a client's request to the leader.
    pub(crate) fn forward(
        &mut self,
        link: Link,
        session: SessionId,
        request: &Request<'_>,
        identities: &Identities,
    ) {
        // The server itself has no identity, a client has one at least.
        let identities = Some(identities.as_slice()).filter(|ids| !ids.is_empty());
        put_request(self.packets(link), session, request, identities);
    }

    pub(crate) fn tell_leader(&mut self, link: Link, packet: &ToLeader<'_>) {
        packet.encode(self.packets(link));
    }

    pub(crate) fn answer_learner(&mut self, link: Link, answer: LearnerAnswer) {
        self.tell_learner(link, &answer.packet());
        if answer == LearnerAnswer::Sync {
            self.behind_syncs.answered(link);
        }
    }

    pub(crate) fn tell_learner(&mut self, link: Link, packet: &ToLearner<'_>) {
        packet.encode(self.packets(link));
    }

    /// What is to be sent.
    pub(crate) fn take_outgoing(&mut self, effects: &mut Vec<Effect>) {
        effects.append(&mut self.outgoing);
    }

    /// Where the next packet for a connection is written: behind the last one, if that is for the
    /// same.
    fn packets(&mut self, link: Link) -> &mut Vec<u8> {
        let is_same = matches!(self.outgoing.last(), Some(Effect::Packets { link: last, .. }) if *last == link);
        if !is_same {
            self.outgoing.push(Effect::Packets { link, bytes: Vec::new() });
        }
        match self.outgoing.last_mut() {
            Some(Effect::Packets { bytes, .. }) => bytes,
            _ => unreachable!("just put there"),
        }
    }
}

/// How long a learner can stay one without having heard of what was committed: in so many ticks a leader
/// wants to be answered, and what it sent before its question is heard before it. Twice over, for what was
/// heard and is still on its way to the tree.
fn notice_of_ends_max(options: &EnsembleOptions) -> Option<Duration> {
    let limit = options.peer.tick * options.peer.sync_limit;
    (options.local_sessions != LocalSessions::Off).then(|| limit * 4)
}
