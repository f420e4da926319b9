//! The bugs that can be planted, and what should find each.
//!
//! Numbers below 100 are those of the list of historical bugs; the others are ours. The code of
//! each is where `types::mutant::active` is asked for its number.

use crate::checkers::Promise;

/// A planted bug.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its number.
    pub number: u32,
    /// What is wrong.
    pub what: &'static str,
    /// Which promises it breaks, as the checkers may see it first.
    pub breaks: &'static [Promise],
}

const fn mutant(number: u32, what: &'static str, breaks: &'static [Promise]) -> Mutant {
    Mutant { number, what, breaks }
}

use Promise::{
    D3, D7, D8, NoPanic, P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P14, P15, S5, W5, W6,
};

/// Every one.
pub const ALL: &[Mutant] = &[
    mutant(35, "a failed sync is taken for a good one", &[P5, P4, D3, D7]),
    mutant(36, "a failed sync is tried again and believed", &[P5, P4, D3, D7]),
    mutant(38, "a new log's name is not synced before the first acknowledgement", &[P5, P4, D7]),
    mutant(41, "replay over a fuzzy snapshot sets pzxid back", &[D8]),
    mutant(42, "a snapshot lacks a session", &[D8]),
    mutant(43, "replay over a fuzzy snapshot keeps an old access control list", &[D8]),
    mutant(44, "the end of a session forgets ephemerals not applied yet", &[D8, P9, P14]),
    mutant(45, "a session writes after its end was decided", &[P8, P9]),
    mutant(46, "an expired session is replaced instead of refused", &[P8]),
    mutant(48, "the old connection of a moved session is still served", &[P2]),
    mutant(49, "a failed multi leaves its changes pending", &[D8, P6, P1, P14, P15]),
    mutant(50, "a read overtakes a write of its own session", &[S5, P2, P3]),
    mutant(51, "a read behind a write is answered before it", &[S5]),
    mutant(52, "a client that is ahead is accepted", &[P4]),
    mutant(53, "a watch set behind a write misses what follows", &[P10]),
    mutant(54, "a read shows a change before its event", &[P10]),
    mutant(55, "setWatches does not see that data changed", &[P11, P10]),
    mutant(56, "a recursive watch hears of children", &[P11]),
    mutant(57, "watches outlive their connection", &[W5]),
    mutant(58, "an event is told to who may not read", &[W6]),
    mutant(61, "the counter spills into the epoch", &[D3]),
    mutant(62, "a version may be too high", &[P1, P6]),
    mutant(63, "sequence numbers count the children there are", &[P15, P1]),
    mutant(101, "a snapshot is named after one transaction too many", &[D8, D7, D3, P5]),
    mutant(102, "applied and acknowledged before the sync", &[P5, P4, D7]),
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
];
