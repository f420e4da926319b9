//! The quorum port: what a leader and its learners say to each other.
//!
//! Learners connect; the leader listens. (Followers that relay to observers listen too, and take
//! the leader's part.) The phases and, in brackets, the names of the paper:
//!
//! ```text
//! learner                                  leader
//!   FollowerInfo | ObserverInfo  ------->                                  [CEPOCH]
//!                                <-------  LeaderInfo                      [NEWEPOCH]
//!   AckEpoch                     ------->                                  [ACK-E]
//!                                <-------  Diff | Truncate | Snapshot and its stream
//!                                <-------  { Proposal, Commit } ...
//!                                <-------  NewLeader                       [NEWLEADER]
//!   AckNewLeader                 ------->                                  [ACK-LD]
//!                                <-------  UpToDate                        [COMMIT-LD]
//!   AckNewLeader                 ------->
//!                                <-------  Proposal, Commit; to observers Inform
//!   Ack                          ------->
//! ```
//!
//! From there on also `Request` and, to each `Sync` request, `Sync`; `Revalidate` and
//! `Revalidated`; `Ping` both ways; and, for a transaction that changes the membership,
//! `CommitAndActivate` and `InformAndActivate`.
//!
//! A packet is one record, without a length before it:
//!
//! ```text
//! int type | long zxid | buffer data | list of { scheme | id }
//! ```
//!
//! What the zxid is, and what the data holds, depends on the type and on who sends it; so there is
//! an enum for each direction, and a variant for each meaning: [`ToLeader`] and [`ToLearner`].
//! Where the zxid stands for an epoch its counter is 0; where it stands for nothing it is not
//! looked at. The list is null but for forwarded requests. Data that is longer than it has to be is
//! read as far as it is known: that is how fields were added, and will be.
//!
//! | type | | zxid | data |
//! |--:|---|---|---|
//! | 1 | REQUEST | -1 | long session, int xid, int opcode, record |
//! | 2 | PROPOSAL | of the transaction | transaction, as in the log |
//! | 3 | ACK | of the transaction, or epoch | null |
//! | 4 | COMMIT | of the transaction | null |
//! | 5 | PING to the learner | last proposed | null |
//! |   | PING to the leader | the same, echoed | { long session, int timeout } ... |
//! | 6 | REVALIDATE to the leader | -1 | long session, int timeout |
//! |   | REVALIDATE to the learner | -1 | long session, bool valid |
//! | 7 | SYNC | 0 | null |
//! | 8 | INFORM | of the transaction | transaction |
//! | 9 | COMMITANDACTIVATE | of the transaction | long sid of the leader to be |
//! | 10 | NEWLEADER | epoch | text of the membership |
//! | 11 | FOLLOWERINFO | accepted epoch | long sid, int 0x10000, 0x15246 or 0x15247 (see [`Cuts`]), long version of the membership |
//! | 12 | UPTODATE | -1 | null |
//! | 13 | DIFF | last committed | null |
//! | 14 | TRUNC | last to keep | null |
//! | 15 | SNAP | last applied | null; the stream follows |
//! | 16 | OBSERVERINFO | accepted epoch | as FOLLOWERINFO |
//! | 17 | LEADERINFO | epoch | int 0x10000 |
//! | 18 | ACKEPOCH | last logged | int current epoch, or -1 |
//! | 19 | INFORMANDACTIVATE | of the transaction | long sid of the leader to be, transaction |
//!
//! The stream behind SNAP holds the records of [`crate::stored::snapshot`] from the number of
//! sessions to the end mark, without header and seals, and then a text
//! ([`put_snapshot_signature`]).
//!
//! Where servers have to prove who they are, that comes before the first packet: [`sasl`].

mod packet;
mod parts;
pub mod sasl;
mod to_leader;
mod to_learner;

pub use self::packet::{PacketError, PacketType};
pub use self::parts::{AuthId, AuthInfo, Proposal, SessionTouch, Touches};
pub use self::to_leader::{Cuts, ForwardedRequest, LearnerInfo, ToLeader, put_request};
pub use self::to_learner::{ToLearner, decode_snapshot_signature, put_snapshot_signature};

/// The version of the protocol that all releases since 3.4 speak.
const PROTOCOL_VERSION: i32 = 0x10000;
/// What learners say instead that cut off what their snapshots hold, too ([`Cuts::Snapshots`]). Leaders that
/// know nothing of that take it for the version above.
const CUTTING_VERSION: i32 = 0x15246;
/// What learners say instead that can cut off nothing ([`Cuts::Nothing`]).
const UNCUTTABLE_VERSION: i32 = 0x15247;
