//! Which server to try next, and how long to wait before.

use std::time::Duration;

use crate::limits::{PAUSE_MAX, PAUSE_MIN};

/// A server's place in the list that the driver keeps, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostIndex(pub usize);

/// What a new list of servers means for a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rebalance {
    /// The server stays in use.
    Stay,
    /// Another one is due: its server is not in the list, or has more than its share of clients.
    Move,
}

/// What to do after an attempt failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// There are servers left in this round.
    AtOnce,
    /// A whole round went without success.
    After(Duration),
}

/// A shuffled round over all servers, so that clients spread and a failed server's clients do too.
#[derive(Debug)]
pub(super) struct HostOrder {
    /// Each host once, never empty.
    order: Vec<HostIndex>,
    /// Whose turn it is: below `order.len()`.
    turn: usize,
    /// Failed attempts since the last success.
    failures: usize,
    random: SplitMix64,
}

impl HostOrder {
    /// A round over `count` servers in an order that `seed` decides.
    pub(super) fn new(count: usize, seed: u64) -> Self {
        assert!(count > 0, "a session needs a server");
        let mut random = SplitMix64(seed);
        let mut order: Vec<_> = (0..count).map(HostIndex).collect();
        random.shuffle(&mut order);
        Self { order, turn: 0, failures: 0, random }
    }

    /// Takes over another list. `moved` has the new place of each server of the old list, `None` if
    /// it is not in use anymore.
    ///
    /// As many clients change their server as it takes to spread all of them over the new list, if
    /// every client does this and was spread over the old one; which, chance decides. The rule is
    /// that of Apache's `StaticHostProvider`:
    ///
    /// - The list has grown from `n` to `m` servers: a client whose server stays keeps it with a
    ///   chance of `n / m`; who moves, moves to a new server.
    /// - It has shrunk, or has the same size: who has a server that stays, stays; the others move to
    ///   an old server with such a chance that all have their share.
    pub(super) fn replace(&mut self, count: usize, moved: &[Option<HostIndex>]) -> Rebalance {
        assert!(count > 0, "a session needs a server");
        let old_count = self.order.len();
        let current = moved.get(self.current().0).copied().flatten();
        let (mut old, mut new): (Vec<_>, Vec<_>) =
            (0..count).map(HostIndex).partition(|host| moved.contains(&Some(*host)));
        let (kept, total) = (old.len() as f64, count as f64);
        let share = old_count as f64 / total;
        let rebalance = match current {
            Some(_) if count <= old_count || self.random.unit() < share => Rebalance::Stay,
            Some(_) | None => Rebalance::Move,
        };
        let old_chance = if count > old_count {
            0.0
        } else {
            // Those whose server is gone, spread so that each server has the same load.
            let free = kept * (old_count as f64 - total);
            let gone = total * (old_count as f64 - kept);
            if gone > 0.0 { free / gone } else { 1.0 }
        };
        self.random.shuffle(&mut old);
        self.random.shuffle(&mut new);
        let first = current.filter(|_| rebalance == Rebalance::Stay);
        old.retain(|host| Some(*host) != first);
        new.retain(|host| Some(*host) != first);
        self.order.clear();
        self.order.extend(first);
        while !old.is_empty() || !new.is_empty() {
            let takes_old = new.is_empty() || self.random.unit() < old_chance;
            let host = if takes_old { old.pop().or_else(|| new.pop()) } else { new.pop() };
            self.order.extend(host);
        }
        self.turn = 0;
        self.failures = 0;
        rebalance
    }

    /// A server other than the current one that may be asked what it is able to; `None` if there is
    /// just one.
    pub(super) fn other(&mut self) -> Option<HostIndex> {
        let others = self.order.len() - 1;
        if others == 0 {
            return None;
        }
        let steps = 1 + self.random.below(others);
        Some(self.order[(self.turn + steps) % self.order.len()])
    }

    /// Makes a server the next one to try.
    pub(super) fn prefer(&mut self, host: HostIndex) {
        if let Some(turn) = self.order.iter().position(|other| *other == host) {
            self.turn = turn;
        }
    }

    /// The server to try now.
    pub(super) fn current(&self) -> HostIndex {
        self.order[self.turn]
    }

    /// How many servers there are.
    pub(super) const fn count(&self) -> usize {
        self.order.len()
    }

    /// The current server works.
    pub(super) const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The current server was lost after it had worked: it is the next one's turn.
    pub(super) const fn advance(&mut self) {
        self.turn = (self.turn + 1) % self.order.len();
    }

    /// The current server did not work: it is the next one's turn.
    pub(super) fn failed(&mut self) -> Next {
        self.advance();
        self.failures = self.failures.saturating_add(1);
        if !self.failures.is_multiple_of(self.order.len()) {
            return Next::AtOnce;
        }
        let rounds = self.failures / self.order.len();
        let doublings = u32::try_from(rounds - 1).unwrap_or(u32::MAX).min(16);
        let pause = PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX);
        // Half of it is random: clients that lost the same server do not come back in step.
        Next::After(pause / 2 + (pause / 2).mul_f64(self.random.unit()))
    }
}

/// A small random sequence; `SplitMix64` by Steele, Lea and Flood.
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `bound`, which is small, so that the bias does not matter.
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a usize")]
    const fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A number from 0 up to, and without, 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_has_its_turn_before_a_pause() {
        for seed in 0..20 {
            let mut hosts = HostOrder::new(5, seed);
            let mut tried = vec![hosts.current()];
            for _ in 0..4 {
                assert_eq!(hosts.failed(), Next::AtOnce);
                tried.push(hosts.current());
            }
            tried.sort();
            assert_eq!(tried, (0..5).map(HostIndex).collect::<Vec<_>>());
            assert!(matches!(hosts.failed(), Next::After(_)));
        }
    }

    /// How the load is spread over the servers of a new list, each client having been at a random
    /// one of the old list.
    fn load_after(old_count: usize, count: usize, moved: &[Option<usize>]) -> (Vec<usize>, usize) {
        let moved: Vec<_> = moved.iter().map(|place| place.map(HostIndex)).collect();
        let mut load = vec![0; count];
        let mut moves = 0;
        for seed in 0..12_000 {
            let mut hosts = HostOrder::new(old_count, seed);
            if hosts.replace(count, &moved) == Rebalance::Move {
                moves += 1;
            }
            load[hosts.current().0] += 1;
            let mut all = hosts.order.clone();
            all.sort();
            assert_eq!(all, (0..count).map(HostIndex).collect::<Vec<_>>());
        }
        (load, moves)
    }

    #[test]
    fn a_new_list_spreads_the_clients_and_moves_no_more_than_it_must() {
        let check = |count: usize, moved: &[Option<usize>], expected_moves: usize| {
            let (load, moves) = load_after(moved.len(), count, moved);
            let share = 12_000 / count;
            for one in &load {
                assert!(one.abs_diff(share) < share / 10, "{moved:?}: {load:?}");
            }
            assert!(moves.abs_diff(expected_moves) < 400, "{moved:?}: {moves} moves");
        };
        // Nothing but the order changes.
        check(3, &[Some(2), Some(0), Some(1)], 0);
        // Two servers come: three fifths stay.
        check(5, &[Some(0), Some(1), Some(2)], 4800);
        // Two of five go.
        check(3, &[Some(0), None, Some(1), None, Some(2)], 4800);
        // One is exchanged for another.
        check(3, &[Some(0), Some(1), None], 4000);
        // One comes for two that go.
        check(4, &[Some(0), Some(1), Some(2), None, None], 4800);
        // All are other ones.
        check(3, &[None, None], 12_000);
    }

    #[test]
    fn other_servers_are_asked_and_preferred() {
        let mut hosts = HostOrder::new(3, 1);
        let current = hosts.current();
        let others: std::collections::BTreeSet<_> = (0..50).filter_map(|_| hosts.other()).collect();
        assert_eq!(others.len(), 2);
        assert!(!others.contains(&current));
        for other in others {
            hosts.prefer(other);
            assert_eq!(hosts.current(), other);
        }
        assert_eq!(HostOrder::new(1, 1).other(), None);
    }

    #[test]
    fn the_seed_decides_the_order() {
        let order = |seed| HostOrder::new(7, seed).order;
        assert_eq!(order(1), order(1));
        assert!((2..10).any(|seed| order(seed) != order(1)));
    }

    #[test]
    fn pauses_grow_to_a_bound_and_start_anew_after_success() {
        let mut hosts = HostOrder::new(1, 3);
        let mut pause = || match hosts.failed() {
            Next::After(pause) => pause,
            Next::AtOnce => panic!("one server is a whole round"),
        };
        let first = pause();
        assert!(first >= PAUSE_MIN / 2 && first <= PAUSE_MIN);
        for _ in 0..100 {
            assert!(pause() <= PAUSE_MAX);
        }
        assert!(pause() >= PAUSE_MAX / 2);
        hosts.succeeded();
        assert!(matches!(hosts.failed(), Next::After(pause) if pause <= PAUSE_MIN));
    }
}
