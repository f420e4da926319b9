//! What the server's threads count into.
//!
//! Everything is atomic and relaxed: a reader sees each number whole, but not all numbers of one
//! moment. On hot paths count once per batch ([`Counter::add`], [`Summary::record_times`]), not once
//! per request: it is the cache line that costs.

mod kinds;
mod quantiles;
mod registry;

pub use kinds::{AdvancedSummary, Counter, ResponseSizes, Summary};
pub use registry::Metrics;

use crate::server::LatencyView;

/// What `srvr` and `stat` show, and `srst` forgets.
#[derive(Debug, Default)]
pub struct ServerStats {
    /// Frames received from clients, four-letter words included.
    pub packets_received: Counter,
    /// Frames sent to clients, watch events included.
    pub packets_sent: Counter,
    /// Milliseconds from a request's arrival to its reply.
    pub latency_ms: Summary,
    /// Bytes of replies.
    pub response_sizes: ResponseSizes,
}

impl ServerStats {
    /// Forgets everything.
    pub fn reset(&self) {
        self.packets_received.reset();
        self.packets_sent.reset();
        self.latency_ms.reset();
        self.response_sizes.reset();
    }
}

impl From<LatencyView> for Summary {
    fn from(latency: LatencyView) -> Self {
        let LatencyView { min_ms, max_ms, sum_ms, count } = latency;
        Self::of(count, sum_ms, min_ms, max_ms)
    }
}

impl From<&Summary> for LatencyView {
    fn from(summary: &Summary) -> Self {
        Self {
            min_ms: summary.min(),
            max_ms: summary.max(),
            sum_ms: summary.sum(),
            count: summary.count(),
        }
    }
}
