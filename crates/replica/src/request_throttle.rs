//! Requests that wait because too many are under way.
//!
//! What waits is let go in its order as soon as there is room. By then a request may be *stale*: its
//! connection is gone, or its session would have given up on it. Stale ones are dropped if the
//! operator wants that, and with one all that its connection sent after it. The end of a session is
//! never stale. Others are answered with an error when they waited too long.

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use types::Instant;

use crate::input::{Ask, Request};
use crate::published::Address;

/// How requests are throttled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestThrottleOptions {
    /// Transactions under way above which requests wait (`request_throttle_max_requests`); `None`:
    /// none waits.
    pub requests_max: Option<u64>,
    /// Whether requests of closed connections are dropped (`request_stale_connection_check` and
    /// `request_throttle_drop_stale`).
    pub drop_of_closed_connections: bool,
    /// Whether requests that waited for longer than the timeout of their session are dropped, and
    /// their connections closed (`request_stale_latency_check` and `request_throttle_drop_stale`).
    pub drop_after_session_timeout: bool,
    /// Requests that waited for longer are answered with an error (`throttled_op_wait_time`).
    pub refuse_after: Option<Duration>,
}

impl RequestThrottleOptions {
    /// Nothing waits and nothing is refused.
    pub const OFF: Self = Self {
        requests_max: None,
        drop_of_closed_connections: true,
        drop_after_session_timeout: false,
        refuse_after: None,
    };

    /// Whether they change anything.
    pub fn is_on(&self) -> bool {
        self.requests_max.is_some() || self.refuse_after.is_some()
    }
}

/// What became of something that waited.
#[derive(Debug)]
pub(crate) enum Released {
    /// To be worked off.
    Request(Box<Request>),
    /// To be answered with an error: it waited too long.
    TooLate(Box<Request>),
    /// Dropped: it waited for longer than its session would. Its connection is to be closed.
    Stale(Address),
    /// Dropped: its connection is gone, or about to be.
    Orphaned,
    /// The connection is gone, and everything that it sent was released before.
    Disconnected(Address),
}

/// The requests that wait, and the ends of the connections behind them.
#[derive(Debug)]
pub(crate) struct RequestThrottle {
    options: RequestThrottleOptions,
    waiting: VecDeque<Waiting>,
    /// Connections of which nothing that waits is worked off any more.
    dropped: HashSet<Address, FixedState>,
}

#[derive(Debug)]
enum Waiting {
    Request(Box<Request>),
    Disconnected(Address),
}

impl RequestThrottle {
    pub(crate) fn new(options: RequestThrottleOptions, hash_seed: u64) -> Self {
        let dropped = HashSet::with_hasher(FixedState::with_seed(hash_seed));
        Self { options, waiting: VecDeque::new(), dropped }
    }

    /// A request came.
    pub(crate) fn request(&mut self, request: Box<Request>) {
        self.waiting.push_back(Waiting::Request(request));
    }

    /// A connection is gone.
    pub(crate) fn disconnected(&mut self, address: Address) {
        if self.options.drop_of_closed_connections && !self.waiting.is_empty() {
            self.dropped.insert(address);
        }
        self.waiting.push_back(Waiting::Disconnected(address));
    }

    /// The next of what waits, if so many transactions under way leave room for it. `timeout` tells
    /// the timeout of a connection's session.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        under_way: usize,
        timeout: impl FnOnce(Address) -> Option<Duration>,
    ) -> Option<Released> {
        let is_room = self.options.requests_max.is_none_or(|max| (under_way as u64) < max);
        match self.waiting.front()? {
            Waiting::Request(request) if !is_room && !self.is_dropped(request) => return None,
            Waiting::Request(_) | Waiting::Disconnected(_) => {}
        }
        let request = match self.waiting.pop_front()? {
            Waiting::Disconnected(address) => {
                self.dropped.remove(&address);
                return Some(Released::Disconnected(address));
            }
            Waiting::Request(request) => request,
        };
        if self.is_dropped(&request) {
            return Some(Released::Orphaned);
        }
        if matches!(request.ask, Ask::CloseSession) {
            return Some(Released::Request(request));
        }
        let waited = now.since(request.received);
        if self.options.drop_after_session_timeout
            && timeout(request.address).is_some_and(|timeout| waited > timeout)
        {
            self.dropped.insert(request.address);
            return Some(Released::Stale(request.address));
        }
        if self.options.refuse_after.is_some_and(|after| waited > after) {
            return Some(Released::TooLate(request));
        }
        Some(Released::Request(request))
    }

    fn is_dropped(&self, request: &Request) -> bool {
        self.dropped.contains(&request.address) && !matches!(request.ask, Ask::CloseSession)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use types::{ConnId, Xid};

    use super::*;
    use crate::published::FrontId;

    const TIMEOUT: Duration = Duration::from_millis(100);

    fn address(conn: u64) -> Address {
        Address { front: FrontId(0), conn: ConnId(conn) }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_start(Duration::from_millis(millis))
    }

    fn request(conn: u64, xid: i32, ask: Ask) -> Box<Request> {
        let identities = Arc::default();
        let (address, xid, received) = (address(conn), Xid(xid), at(0));
        Box::new(Request { address, xid, received, identities, ask })
    }

    fn sync(conn: u64, xid: i32) -> Box<Request> {
        request(conn, xid, Ask::Sync { path: "/".into() })
    }

    /// What is released after some milliseconds while so many are under way.
    fn released(throttle: &mut RequestThrottle, millis: u64, under_way: usize) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(next) = throttle.next(at(millis), under_way, |_| Some(TIMEOUT)) {
            names.push(match next {
                Released::Request(request) => format!("#{}", request.xid.0),
                Released::TooLate(request) => format!("#{} too late", request.xid.0),
                Released::Stale(address) => format!("close {}", address.conn.0),
                Released::Orphaned => "orphaned".to_owned(),
                Released::Disconnected(address) => format!("disconnected {}", address.conn.0),
            });
        }
        names
    }

    fn throttle(options: RequestThrottleOptions) -> RequestThrottle {
        RequestThrottle::new(RequestThrottleOptions { requests_max: Some(2), ..options }, 7)
    }

    #[test]
    fn requests_wait_for_room_in_their_order() {
        let mut throttle = throttle(RequestThrottleOptions::OFF);
        throttle.request(sync(1, 1));
        throttle.request(sync(2, 2));
        assert!(released(&mut throttle, 0, 2).is_empty());
        assert_eq!(released(&mut throttle, 500, 1), ["#1", "#2"]);
    }

    #[test]
    fn a_closed_connection_takes_its_requests_along_but_not_the_end_of_its_session() {
        let mut throttle = throttle(RequestThrottleOptions::OFF);
        throttle.request(sync(1, 1));
        throttle.request(sync(2, 2));
        throttle.request(request(1, 3, Ask::CloseSession));
        throttle.disconnected(address(1));
        assert_eq!(released(&mut throttle, 0, 2), ["orphaned"]);
        assert_eq!(released(&mut throttle, 0, 0), ["#2", "#3", "disconnected 1"]);
        assert!(throttle.dropped.is_empty());
    }

    #[test]
    fn requests_of_closed_connections_are_kept_if_the_operator_wants_that() {
        let options = RequestThrottleOptions {
            drop_of_closed_connections: false,
            ..RequestThrottleOptions::OFF
        };
        let mut throttle = throttle(options);
        throttle.request(sync(1, 1));
        throttle.disconnected(address(1));
        assert!(released(&mut throttle, 0, 2).is_empty());
        assert_eq!(released(&mut throttle, 0, 0), ["#1", "disconnected 1"]);
    }

    #[test]
    fn what_waited_for_longer_than_its_session_closes_the_connection() {
        let options = RequestThrottleOptions {
            drop_after_session_timeout: true,
            ..RequestThrottleOptions::OFF
        };
        let mut throttle = throttle(options);
        throttle.request(sync(1, 1));
        throttle.request(sync(1, 2));
        throttle.request(request(2, 3, Ask::CloseSession));
        assert_eq!(released(&mut throttle, 101, 0), ["close 1", "orphaned", "#3"]);
        throttle.disconnected(address(1));
        assert_eq!(released(&mut throttle, 101, 2), ["disconnected 1"]);
        assert!(throttle.dropped.is_empty());
    }

    #[test]
    fn what_waited_too_long_is_answered_with_an_error() {
        let refuse_after = Some(Duration::from_millis(50));
        let mut throttle =
            throttle(RequestThrottleOptions { refuse_after, ..RequestThrottleOptions::OFF });
        throttle.request(sync(1, 1));
        assert_eq!(released(&mut throttle, 50, 0), ["#1"]);
        throttle.request(sync(1, 2));
        throttle.request(request(1, 3, Ask::CloseSession));
        assert_eq!(released(&mut throttle, 51, 0), ["#2 too late", "#3"]);
    }
}
