//! What happened on the connections between servers, in numbers.

use admin::Counter;

/// Counters since the start.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Connections accepted at either port.
    pub(crate) accepted: Counter,
    /// Connections turned away at once: too many, or learners of somebody else's.
    pub(crate) turned_away: Counter,
    /// Calls that got through.
    pub(crate) calls_through: Counter,
    /// Calls that did not.
    pub(crate) calls_failed: Counter,
    /// Connections to a leader.
    pub(crate) leaders_reached: Counter,
    /// Attempts to connect to a leader that were in vain.
    pub(crate) leaders_unreachable: Counter,
    /// Bytes received.
    pub(crate) bytes_received: Counter,
    /// Bytes sent.
    pub(crate) bytes_sent: Counter,
    /// Notifications that gave way to a newer one before they were sent.
    pub(crate) notifications_replaced: Counter,
    /// Notifications and packets that meant nothing and were passed over.
    pub(crate) passed_over: Counter,
    /// Connections that ended, by reason.
    pub(crate) closed: Closed,
}

/// Connections that ended, by reason.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    /// The peer had them closed.
    pub(crate) told: Counter,
    /// The other side ended them.
    pub(crate) by_other_side: Counter,
    /// Reading or writing failed.
    pub(crate) broken: Counter,
    /// What came over them was nothing that a server sends.
    pub(crate) malformed: Counter,
    /// The other side took in less than was to be sent.
    pub(crate) backlog: Counter,
    /// Nobody said who it was in time, or there were too many who did not.
    pub(crate) strangers: Counter,
}
