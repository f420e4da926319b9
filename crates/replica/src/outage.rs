//! The time without a leader, and what it goes into.
//!
//! ```text
//!  looks for a leader ─────> the election is over ─────> serves
//!    ├─────── election ────────┤├─── synchronization ─────┤
//!    ├────────────────────── outage ──────────────────────┤
//! ```
//!
//! An election may come to nothing: then the server looks for a leader again, and the outage goes on.

use types::Instant;

use crate::view::{Outages, Role};

/// Where a server is on its way back to service.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    /// Since when it serves nobody; `None` while it serves.
    began: Option<Instant>,
    /// Since when it looks for a leader; `None` once the election is over.
    looks_since: Option<Instant>,
    /// Since when it knows its leader.
    elected: Option<Instant>,
}

impl Outage {
    /// It has no leader.
    pub(crate) fn look(&mut self, now: Instant, outages: &Outages) {
        outages.looks.add(1);
        self.began.get_or_insert(now);
        self.looks_since = Some(now);
        self.elected = None;
    }

    /// It knows who leads, which may be itself.
    pub(crate) fn elected(&mut self, now: Instant, outages: &Outages) {
        let Some(since) = self.looks_since.take() else { return };
        outages.elections.add(now.since(since), 1);
        self.elected = Some(now);
    }

    /// It serves in this role.
    pub(crate) fn end(&mut self, now: Instant, role: Role, outages: &Outages) {
        if let Some(elected) = self.elected.take() {
            let took = now.since(elected);
            match role {
                Role::Following => outages.follower_synchronizations.add(took, 1),
                Role::Observing => outages.observer_synchronizations.add(took, 1),
                Role::Alone | Role::Looking | Role::Leading | Role::ReadOnly => {}
            }
        }
        if let Some(began) = self.began.take() {
            let took = now.since(began);
            outages.all.add(took, 1);
            if role == Role::Leading {
                outages.of_leaders.add(took, 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::default().after(Duration::from_millis(ms))
    }

    /// What was counted: how often, and how many milliseconds in all.
    fn told(outages: &Outages) -> [(u64, u64); 5] {
        [
            &outages.elections,
            &outages.follower_synchronizations,
            &outages.observer_synchronizations,
            &outages.all,
            &outages.of_leaders,
        ]
        .map(|it| it.values())
        .map(|it| (it.count, it.sum_ms))
    }

    #[test]
    fn an_outage_is_an_election_and_a_synchronization() {
        let outages = Outages::default();
        let mut outage = Outage::default();
        outage.look(at(100), &outages);
        outage.elected(at(130), &outages);
        outage.elected(at(140), &outages);
        outage.end(at(170), Role::Following, &outages);
        assert_eq!(told(&outages), [(1, 30), (1, 40), (0, 0), (1, 70), (0, 0)]);
        outage.end(at(900), Role::Following, &outages);
        assert_eq!(told(&outages), [(1, 30), (1, 40), (0, 0), (1, 70), (0, 0)]);
    }

    #[test]
    fn an_election_that_comes_to_nothing_is_not_the_end_of_an_outage() {
        let outages = Outages::default();
        let mut outage = Outage::default();
        outage.look(at(100), &outages);
        outage.elected(at(150), &outages);
        outage.look(at(200), &outages);
        outage.elected(at(210), &outages);
        outage.end(at(220), Role::Leading, &outages);
        assert_eq!(outages.looks.value(), 2);
        assert_eq!(told(&outages), [(2, 60), (0, 0), (0, 0), (1, 120), (1, 120)]);
    }
}
