//! The word `mntr`.

use std::fmt;

use types::Sid;

use crate::java::Double;
use crate::metrics::{Metrics, ServerStats, Summary};
use crate::server::{LatencyView, Mode, ProposalSizes, SizeText};
use crate::version::VERSION;

/// Everything that is measured. Displays as the answer to `mntr`.
#[derive(Clone, Debug)]
pub struct MonitorView<'a> {
    /// What the server does in its ensemble.
    pub mode: Mode,
    /// What is about its ensemble; `None` if it is standalone.
    pub member: Option<MemberGauges>,
    /// What is looked up when asked.
    pub gauges: Gauges,
    /// What `srvr` shows too.
    pub stats: &'a ServerStats,
    /// What is counted.
    pub metrics: &'a Metrics,
}

/// What a member of an ensemble has beside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemberGauges {
    /// How many servers vote.
    pub quorum_size: u64,
    /// On an observer only: the server from which it learns.
    pub observer_master: Option<Sid>,
    /// On a follower only, if it may have observers of its own: how many it has.
    pub own_observers: Option<u64>,
    /// On a leader only.
    pub leader: Option<LeaderGauges>,
}

/// What a leader has beside. The fields have the names that operators see, without `zk_`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LeaderGauges {
    /// Connections of other servers.
    pub learners: u64,
    /// Voters among them that follow.
    pub synced_followers: u64,
    /// Followers that the membership does not let vote.
    pub synced_non_voting_followers: u64,
    /// Observers that follow.
    pub synced_observers: u64,
    /// Syncs that are not answered.
    pub pending_syncs: u64,
    /// Milliseconds since it leads.
    pub leader_uptime: u64,
    /// Bytes of its proposals.
    pub proposal_sizes: ProposalSizes,
}

/// Values of this moment. The fields have the names that operators see, without `zk_`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Gauges {
    /// Connections.
    pub num_alive_connections: u64,
    /// Requests under way.
    pub outstanding_requests: u64,
    /// Milliseconds since the start.
    pub uptime: u64,
    /// Znodes, as [`crate::ServerView::node_count`].
    pub znode_count: u64,
    /// Watches on data and existence.
    pub watch_count: u64,
    /// Ephemeral znodes.
    pub ephemerals_count: u64,
    /// Bytes of paths and data.
    pub approximate_data_size: u64,
    /// Sessions that the ensemble knows.
    pub global_sessions: u64,
    /// Sessions that only this server knows.
    pub local_sessions: u64,
    /// File descriptors in use.
    pub open_file_descriptor_count: u64,
    /// File descriptors allowed.
    pub max_file_descriptor_count: u64,
    /// The probability, 0 to 1, with which a new connection is refused.
    pub connection_drop_probability: f64,
    /// TLS handshakes under way.
    pub outstanding_tls_handshake: u64,
    /// Refused credentials.
    pub auth_failed_count: u64,
    /// Connections of other hosts without a client certificate.
    pub non_mtls_remote_conn_count: u64,
    /// Connections of this host without a client certificate.
    pub non_mtls_local_conn_count: u64,
}

impl fmt::Display for MonitorView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "zk_version\t{VERSION}")?;
        writeln!(f, "zk_server_state\t{}", self.mode)?;
        if let Some(doing) = self.mode.in_progressive() {
            writeln!(f, "zk_peer_state\t{doing} - broadcast")?;
        }
        if let Some(Sid(master)) = self.member.and_then(|member| member.observer_master) {
            writeln!(f, "zk_observer_master_id\t{master}")?;
        }
        self.write_latency(f)?;
        self.write_gauges(f)?;
        self.write_member(f)?;
        for (name, counter) in self.metrics.counters() {
            writeln!(f, "zk_{name}\t{}", counter.value())?;
        }
        for (name, summary) in self.metrics.summaries() {
            write_summary(f, name, summary)?;
        }
        for (name, advanced) in self.metrics.advanced_summaries() {
            write_summary(f, name, advanced.summary())?;
            for (label, per_mille) in [("p50", 500), ("p95", 950), ("p99", 990), ("p999", 999)] {
                writeln!(f, "zk_{label}_{name}\t{}", advanced.quantile(per_mille))?;
            }
        }
        Ok(())
    }
}

impl MonitorView<'_> {
    fn write_latency(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latency = LatencyView::from(&self.stats.latency_ms);
        writeln!(f, "zk_avg_latency\t{}", Double(latency.average_ms()))?;
        writeln!(f, "zk_max_latency\t{}", latency.max_ms)?;
        writeln!(f, "zk_min_latency\t{}", latency.min_ms)?;
        writeln!(f, "zk_packets_received\t{}", self.stats.packets_received.value())?;
        writeln!(f, "zk_packets_sent\t{}", self.stats.packets_sent.value())?;
        let [last, min, max] = self.stats.response_sizes.values();
        writeln!(f, "zk_last_client_response_size\t{last}")?;
        writeln!(f, "zk_max_client_response_size\t{max}")?;
        writeln!(f, "zk_min_client_response_size\t{min}")
    }

    fn write_gauges(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gauges = &self.gauges;
        for (name, value) in [
            ("num_alive_connections", gauges.num_alive_connections),
            ("outstanding_requests", gauges.outstanding_requests),
            ("uptime", gauges.uptime),
            ("znode_count", gauges.znode_count),
            ("watch_count", gauges.watch_count),
            ("ephemerals_count", gauges.ephemerals_count),
            ("approximate_data_size", gauges.approximate_data_size),
            ("global_sessions", gauges.global_sessions),
            ("local_sessions", gauges.local_sessions),
            ("open_file_descriptor_count", gauges.open_file_descriptor_count),
            ("max_file_descriptor_count", gauges.max_file_descriptor_count),
            ("outstanding_tls_handshake", gauges.outstanding_tls_handshake),
            ("auth_failed_count", gauges.auth_failed_count),
            ("non_mtls_remote_conn_count", gauges.non_mtls_remote_conn_count),
            ("non_mtls_local_conn_count", gauges.non_mtls_local_conn_count),
        ] {
            writeln!(f, "zk_{name}\t{value}")?;
        }
        let probability = Double(gauges.connection_drop_probability);
        writeln!(f, "zk_connection_drop_probability\t{probability}")
    }

    fn write_member(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(member) = &self.member else { return Ok(()) };
        writeln!(f, "zk_quorum_size\t{}", member.quorum_size)?;
        if let Some(observers) = member.own_observers {
            writeln!(f, "zk_synced_observers\t{observers}")?;
        }
        let Some(leader) = &member.leader else { return Ok(()) };
        for (name, value) in [
            ("learners", leader.learners),
            ("synced_followers", leader.synced_followers),
            ("synced_non_voting_followers", leader.synced_non_voting_followers),
            ("synced_observers", leader.synced_observers),
            ("pending_syncs", leader.pending_syncs),
            ("leader_uptime", leader.leader_uptime),
        ] {
            writeln!(f, "zk_{name}\t{value}")?;
        }
        let ProposalSizes { last, min, max } = leader.proposal_sizes;
        for (name, size) in [("last", last), ("min", min), ("max", max)] {
            writeln!(f, "zk_{name}_proposal_size\t{}", SizeText(size))?;
        }
        Ok(())
    }
}

fn write_summary(f: &mut fmt::Formatter<'_>, name: &str, summary: &Summary) -> fmt::Result {
    writeln!(f, "zk_avg_{name}\t{}", Double(summary.average()))?;
    writeln!(f, "zk_min_{name}\t{}", summary.min())?;
    writeln!(f, "zk_max_{name}\t{}", summary.max())?;
    writeln!(f, "zk_cnt_{name}\t{}", summary.count())?;
    writeln!(f, "zk_sum_{name}\t{}", summary.sum())
}
