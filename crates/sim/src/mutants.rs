//! The bugs that can be planted, and what should find each.
//!
//! Numbers below 100 are those of the list of historical bugs; the others are ours. The code of each is
//! where `types::mutant::active` is asked for its number.

use crate::checkers::Promise;

/// A planted bug.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its number.
    pub number: u32,
    /// What is wrong.
    pub what: &'static str,
    /// Who looks for it.
    pub hunt: Hunt,
}

/// How a planted bug is found.
#[derive(Clone, Copy, Debug)]
pub enum Hunt {
    /// By runs with so many voters, which see one of these promises broken first.
    Runs {
        /// How many voters.
        voters: usize,
        /// What it breaks.
        breaks: &'static [Promise],
    },
    /// By the campaigns and scripts of `zab`, where it can be seen or reached and why here it can not.
    ProtocolTests(&'static str),
    /// By nobody, since nothing comes of it.
    Nobody(&'static str),
}

/// A bug that a server that is alone has too.
const fn mutant(number: u32, what: &'static str, breaks: &'static [Promise]) -> Mutant {
    Mutant { number, what, hunt: Hunt::Runs { voters: 1, breaks } }
}

/// A bug that only members of an ensemble have.
const fn of_members(number: u32, what: &'static str, breaks: &'static [Promise]) -> Mutant {
    Mutant { number, what, hunt: Hunt::Runs { voters: 3, breaks } }
}

/// A bug that takes so many members that some hear of something late.
const fn of_five(number: u32, what: &'static str, breaks: &'static [Promise]) -> Mutant {
    Mutant { number, what, hunt: Hunt::Runs { voters: 5, breaks } }
}

/// A bug that the tests of `zab` find, for a reason.
const fn of_peers(number: u32, what: &'static str, why: &'static str) -> Mutant {
    Mutant { number, what, hunt: Hunt::ProtocolTests(why) }
}

/// A bug of which nothing comes, for a reason.
const fn of_nobody(number: u32, what: &'static str, why: &'static str) -> Mutant {
    Mutant { number, what, hunt: Hunt::Nobody(why) }
}

use Promise::{
    D1, D2, D3, D4, D6, D7, D8, E1, Liveness, M3, M4, NoPanic, P0, P1, P2, P3, P4, P5, P6, P7, P8,
    P9, P10, P11, P12, P13, P14, P15, S5, W5, W6, Z2, Z3, Z11, Z12, Z13, Z14, Z15,
};

/// Why bugs of elections are looked for elsewhere.
const ELECTIONS: &str = "whom an election chooses is known there, and does no harm here";

/// Every one.
pub const ALL: &[Mutant] = &[
    of_members(1, "the history is acknowledged before it is logged", &[D1]),
    of_members(2, "the history is acknowledged while it is being logged", &[D1]),
    of_members(3, "the current epoch is stored before the history", &[D1, M3]),
    of_members(4, "transactions are acknowledged before the history is", &[Z14]),
    of_members(5, "what is not committed is delivered when a quorum follows", &[D4, Z3, P4, Z15]),
    of_members(6, "what came during synchronization is not kept for learners", &[Z3, Z12, Z15, M3]),
    of_members(7, "what came between NewLeader and UpToDate is lost", &[Z12, Z15, NoPanic]),
    of_members(8, "the uncommitted tail of the log is forgotten over an election", &[D1, Z15]),
    of_members(9, "NewLeader is sent before the history", &[Z11, Z12, D4]),
    of_members(10, "a snapshot counts as soon as it begins to arrive", &[D1]),
    of_members(11, "a snapshot is named after what is not committed", &[Z13, Z15, D8, Z12, M4]),
    of_members(12, "a cut leaves snapshots that show what was cut", &[D6, Z3, D3, D8, Z12]),
    of_members(13, "a cut that failed is taken for a good one", &[D6, Z3, D3, D8, Z12]),
    of_nobody(
        14,
        "a cut is not synced",
        "the recovery that follows every cut syncs the log that ends the history (118 is without that)",
    ),
    of_members(15, "a cut removes the oldest of the later logs first", &[D3, D7]),
    of_members(16, "a cut leaves a part of the tail", &[Z3, Z12, Z15, D4, D8]),
    of_members(17, "what is logged after a cut counts as durable at once", &[D1, Liveness]),
    of_members(18, "what is kept for learners has a gap", &[M3, Z3, Z12, Z15]),
    of_members(19, "what the log has is sent behind a branch that is dead", &[Z3, Z12, Z13, D8]),
    of_peers(
        20,
        "the beginning of an epoch is taken for a transaction",
        "only Apache's servers say that a history ends there; a whole server refuses the cut",
    ),
    of_members(21, "a leader counts its own vote before its log is durable", &[D4]),
    of_members(22, "a quorum for one transaction commits those after it", &[D4]),
    of_members(23, "who accepted the epoch before counts once more", &[Z2, M3, D1]),
    of_members(24, "observers count", &[D1, D4, Z2]),
    of_members(25, "an epoch is agreed to before that is durable", &[D1]),
    of_members(26, "the accepted epoch is not stored", &[D2, D1]),
    of_peers(
        27,
        "an epoch that others have accepted is begun again",
        "who has accepted it does not count, so that it takes five voters and two leaders at once",
    ),
    of_members(28, "a learner with a later history is led", &[M3, M4]),
    of_peers(29, "votes are compared by history before epoch", ELECTIONS),
    of_peers(30, "votes of earlier rounds count", ELECTIONS),
    of_peers(31, "a leader is followed without its own word", ELECTIONS),
    of_peers(32, "the first quorum ends an election", ELECTIONS),
    of_members(33, "a leader without a quorum goes on", &[Liveness, P12]),
    of_members(34, "a leader confirms itself", &[P12, P8]),
    mutant(35, "a failed sync is taken for a good one", &[P5, P4, D3, D7]),
    mutant(36, "a failed sync is tried again and believed", &[P5, P4, D3, D7]),
    of_members(37, "damage in the middle of a log is taken for a torn end", &[D7]),
    mutant(38, "a new log's name is not synced before the first acknowledgement", &[P5, P4, D7]),
    of_nobody(
        39,
        "logs without a snapshot are taken for nothing",
        "a member knows nothing then either way; of who is alone the tests of storage take the snapshots",
    ),
    mutant(41, "replay over a fuzzy snapshot sets pzxid back", &[D8]),
    mutant(42, "a snapshot lacks a session", &[D8]),
    mutant(43, "replay over a fuzzy snapshot keeps an old access control list", &[D8]),
    mutant(44, "the end of a session forgets ephemerals not applied yet", &[D8, P9, P14]),
    mutant(45, "a session writes after its end was decided", &[P8, P9]),
    mutant(46, "an expired session is replaced instead of refused", &[P8]),
    of_members(47, "a new leader counts the silence of the time before", &[P8]),
    of_members(48, "the old connection of a moved session is still served", &[P2, P3]),
    mutant(49, "a failed multi leaves its changes pending", &[D8, P6, P1, P14, P15]),
    mutant(50, "a read overtakes a write of its own session", &[S5, P2, P3]),
    mutant(51, "a read behind a write is answered before it", &[S5]),
    mutant(52, "a client that is ahead is accepted", &[P4]),
    mutant(53, "a watch set behind a write misses what follows", &[P10, P11]),
    mutant(54, "a read shows a change before its event", &[P10, P11]),
    mutant(55, "setWatches does not see that data changed", &[P11, P10]),
    mutant(56, "a recursive watch hears of children", &[P11]),
    mutant(57, "watches outlive their connection", &[W5]),
    mutant(58, "an event is told to who may not read", &[W6]),
    of_members(59, "the new voters alone commit a change of the membership", &[D4]),
    of_members(60, "the old voters alone commit what is behind a change", &[D4]),
    mutant(61, "the counter spills into the epoch", &[D3]),
    mutant(62, "a version may be too high", &[P1, P6]),
    mutant(63, "sequence numbers count the children there are", &[P15, P1]),
    of_members(64, "two connections of one learner are listened to", &[Z15]),
    mutant(66, "a refused write has no place in the order", &[P0, P1, P2]),
    mutant(101, "a snapshot is named after one transaction too many", &[D8, D7, D3, P5]),
    mutant(102, "applied and acknowledged before the sync", &[P5, P4, D7, D8]),
    mutant(103, "one transaction too many is taken for durable", &[P5, P4]),
    mutant(104, "any password resumes a session", &[P8]),
    mutant(105, "a deletion does not raise the parent's pzxid", &[D8, P0, P14]),
    mutant(106, "a session that ended stays in the table", &[D8]),
    mutant(107, "sessions expire up to a tick early", &[P8]),
    mutant(108, "signs of life are not noted", &[P8]),
    mutant(109, "a watch on a missing znode is lost", &[P10, P11]),
    mutant(110, "one-shot watches stay", &[P11, W5]),
    mutant(111, "a deletion does not fire watches on children", &[P10]),
    mutant(112, "null data becomes empty", &[P0, P14, D8]),
    mutant(113, "a resumed session does not wait for its earlier writes", &[P2]),
    mutant(114, "what a failed sync dropped is served by the next process", &[P5, P4, D7]),
    mutant(116, "a container with children is deleted", &[D8, P1, P14]),
    mutant(118, "what a killed process left in memory is served by the next", &[P5, P4, D7]),
    mutant(119, "the log is rolled without a sync", &[NoPanic, P5, D7, P4]),
    mutant(121, "a purge takes one log too many", &[D7, D3]),
    mutant(123, "the watermark runs ahead of the sync", &[D7]),
    mutant(125, "writes are decided without what is pending", &[D8, P1, P6, P7, P14, P15]),
    mutant(
        126,
        "pending changes are forgotten when an older one is applied",
        &[D8, P1, P6, P14, P15],
    ),
    of_peers(
        130,
        "a snapshot that comes late is not waited for",
        "it takes a moment between two packets",
    ),
    of_members(133, "a start forgets the change in its history", &[D4, D1, E1, M3, P1]),
    of_members(134, "a membership that is pending has no say", &[D4, D1, E1]),
    of_members(140, "a snapshot is begun for a learner that is gone", &[Liveness]),
    of_nobody(
        141,
        "who may have lost something leads because others say so",
        "a leader that may have lost something leaves at once",
    ),
    of_members(
        142,
        "a read-only server says that a session is over of which it may not know",
        &[P13],
    ),
    of_peers(
        144,
        "a read-only server shows what damage has left",
        "whoever has seen anything since is served by nobody who is behind that",
    ),
    of_peers(
        145,
        "a cut that is refused has cut what waits in memory",
        "it takes a file that can not be read when a leader wants a cut",
    ),
    // What follows was thought up from the server's sources alone, before a look at the checkers.
    of_members(151, "who comes back at a learner is not noted as alive", &[P8]),
    mutant(
        152,
        "what a failed multi did is undone in the order in which it was done",
        &[D8, P1, P6, P14, P15],
    ),
    of_members(153, "what follows a place within a batch is not sent", &[Z3, Z12, Z15, D3]),
    of_nobody(
        154,
        "a leader begins its epoch before its own log is durable",
        "a disk does one thing after the other, and stores the epoch that is accepted behind what was logged before",
    ),
    of_members(155, "the new name of a small file is not synced", &[D1, D2, D7]),
    mutant(156, "a snapshot lacks an access control list", &[D8]),
    mutant(157, "the removal of a container does not raise the parent's pzxid", &[D8, P0, P14]),
    mutant(158, "a recursive watch on the root hears of no top level", &[P10, P11]),
    of_members(
        159,
        "what was asked before an election is waited for after it",
        &[Liveness, NoPanic, S5, P2, P8],
    ),
    of_members(160, "a multi of a session that has moved is done", &[P2, P3, P6]),
    of_members(
        161,
        "a sync is answered before what it waits for is delivered",
        &[P12, P3, Liveness],
    ),
    mutant(162, "a container that had no children yet is removed", &[P1]),
    mutant(163, "a time to live counts from the creation", &[P1]),
    of_nobody(
        164,
        "what is not durable is forgotten as soon as it is committed",
        "the log says that it lacks it, and the learner is sent a snapshot",
    ),
    mutant(165, "the name of a snapshot is not synced", &[D7, D3, P5]),
    of_peers(
        166,
        "who is to vote gives way though it may have what is committed",
        "whole servers hardly ever lose a change where those do that decide about it",
    ),
    of_five(167, "a leader forgets that a session was a global one, and is over", &[P8, P9]),
    of_peers(
        168,
        "a leader does not wait for a voter to which it sends a large snapshot",
        "whole servers hardly ever have a snapshot that takes so long",
    ),
    of_peers(
        170,
        "a leader that serves does not wait for who is on its way to it",
        "whole servers are hardly ever so few while one is on its way",
    ),
    of_peers(
        171,
        "who lacks what it had votes for others that lack it too",
        "whole servers hardly ever end just when a leader has cut off its own",
    ),
    of_peers(
        172,
        "who lacks what it had agrees to an epoch with what it has",
        "whole servers hardly ever end just when a leader has cut off its own",
    ),
    of_peers(
        174,
        "who votes soon and stands in vain goes on with that",
        "whole servers hardly ever lose a change where those do that decide about it",
    ),
    of_peers(
        176,
        "a change in a leader's snapshot is forgotten for the next one",
        "whole servers hardly ever change a membership twice while one is between two states",
    ),
    of_peers(
        173,
        "observers of Apache's that are to vote are believed to have logged what they confirm",
        "there are none here",
    ),
    of_members(
        169,
        "who was heard of and is not connected any more is not told to the leader",
        &[P8],
    ),
    of_peers(
        131,
        "the snapshot of a new leader lacks what it has not heard of",
        "what follows the snapshot makes it good, unless its receiver dies before that",
    ),
    of_peers(
        132,
        "a leader forgets how late epochs are that others have accepted",
        "the next leader finds that out, a little later",
    ),
];
