//! When the next request is due.

/// What decides when a connection sends.
#[derive(Clone, Debug)]
pub(crate) enum Pace {
    /// As soon as its window has room.
    Closed,
    /// The same, until that many requests were sent by all connections together.
    Limited {
        /// Requests not yet sent.
        left: u64,
    },
    /// By a timetable that does not wait for replies.
    Offered(Timetable),
    /// Never.
    Silent,
}

/// Moments at equal distances, dealt out to the connections in turn.
///
/// A request counts from its moment even when its connection had no room then, or this program no
/// time: a server that pauses for a second is charged with every request that would have met the
/// pause, not only with those that a waiting client had sent.
#[derive(Clone, Debug)]
pub(crate) struct Timetable {
    interval_ns: f64,
    conns: usize,
    /// The first moment that was not yet announced by [`Timetable::next_due`].
    announced: u64,
}

impl Timetable {
    /// A timetable of `per_second` requests a second over `conns` connections; it starts at 0.
    pub(crate) fn new(per_second: f64, conns: usize) -> Self {
        Self { interval_ns: 1e9 / per_second, conns, announced: 0 }
    }

    /// The connection whose turn has come since the last call, if there is one; to be called until
    /// there is none.
    pub(crate) fn next_due(&mut self, now_ns: u64) -> Option<usize> {
        if self.next_ns() > now_ns {
            return None;
        }
        let conns = self.conns as u64;
        let place = self.announced % conns;
        self.announced += 1;
        usize::try_from(place).ok()
    }

    /// Takes a connection's next moment if it has come. `taken` is how many it took before.
    pub(crate) fn take(&self, connection: usize, taken: &mut u64, now_ns: u64) -> Option<u64> {
        let due_ns = self.moment_ns(*taken * self.conns as u64 + connection as u64);
        (due_ns <= now_ns).then(|| {
            *taken += 1;
            due_ns
        })
    }

    /// When the next connection has its turn, in nanoseconds.
    pub(crate) fn next_ns(&self) -> u64 {
        self.moment_ns(self.announced)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a run is bounded to a day")]
    #[expect(clippy::cast_sign_loss, reason = "moments are not negative")]
    fn moment_ns(&self, number: u64) -> u64 {
        (number as f64 * self.interval_ns) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a timetable of 1,000 requests a second against a clock that jumps by `steps_ns`, all
    /// requests being sent at once; gives when each was due and on which connection.
    fn play(conns: usize, steps_ns: &[u64]) -> Vec<(u64, usize)> {
        let mut timetable = Timetable::new(1000.0, conns);
        let mut taken = vec![0; conns];
        let mut sent = Vec::new();
        let mut now_ns = 0;
        for step_ns in steps_ns {
            now_ns += step_ns;
            while let Some(place) = timetable.next_due(now_ns) {
                while let Some(due_ns) = timetable.take(place, &mut taken[place], now_ns) {
                    sent.push((due_ns, place));
                }
            }
        }
        sent
    }

    #[test]
    fn deals_equal_distances_to_the_connections_in_turn() {
        let sent = play(3, &[0, 1_000_000, 1_000_000, 1_000_000, 500_000]);
        assert_eq!(sent, [(0, 0), (1_000_000, 1), (2_000_000, 2), (3_000_000, 0)]);
    }

    #[test]
    fn requests_delayed_by_a_pause_count_from_when_they_were_due() {
        let mut sent = play(2, &[0, 5_500_000]);
        sent.sort_unstable();
        let due_ns: Vec<_> = sent.iter().map(|&(due_ns, _)| due_ns).collect();
        assert_eq!(due_ns, [0, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000]);
    }

    #[test]
    fn a_connection_without_room_catches_up_later() {
        let timetable = Timetable::new(1000.0, 2);
        let mut taken = 0;
        assert_eq!(timetable.take(1, &mut taken, 999_999), None);
        assert_eq!(timetable.take(1, &mut taken, 9_000_000), Some(1_000_000));
        assert_eq!(timetable.take(1, &mut taken, 9_000_000), Some(3_000_000));
        assert_eq!(taken, 2);
    }
}
