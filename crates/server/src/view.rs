//! What operators may know of a running server, gathered from its threads.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use admin::{LatencyView, LeaderGauges, Metrics, Mode, ProposalSizes, Summary};
use replica::view::{ConnectionStats, FrontStats, Gauge, Latency, LatencyValues, Role, Stats};
use replica::{FrontId, Outstanding};
use types::membership::{HostPort, Member, Membership};
use types::{ConnId, Instant, Sid, Zxid};

/// Everything that is counted, by who counts it.
#[derive(Debug)]
pub(crate) struct Views {
    fronts: Vec<Arc<FrontStats>>,
    replica: Arc<Stats>,
    outstanding: Arc<Outstanding>,
    /// Whether clients are served by a leader.
    leader_serves: bool,
    /// What the threads around the replica count.
    pub(crate) metrics: Metrics,
    connections: Mutex<BTreeMap<(FrontId, ConnId), ConnectionEntry>>,
    /// `None` for a server that is alone.
    place: Mutex<Option<Place>>,
    /// 0 if clients can not connect.
    client_port: AtomicU16,
}

/// A server's place in the membership in force.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) sid: Sid,
    pub(crate) membership: Arc<Membership>,
}

impl Place {
    /// What the membership says of this server; `None` if it was removed.
    pub(crate) fn member(&self) -> Option<&Member> {
        self.membership.find(self.sid)
    }
}

/// Where a membership says that clients connect to a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ClientPlace {
    At(HostPort),
    Nowhere,
}

/// An open connection.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionEntry {
    pub(crate) peer: SocketAddr,
    pub(crate) stats: Arc<ConnectionStats>,
    /// It asked an operator's word: nothing is read from it any more.
    pub(crate) asks: bool,
}

/// What all I/O threads counted together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct FrontTotals {
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent: u64,
    pub(crate) handshakes: u64,
    pub(crate) watches: u64,
    pub(crate) refused_credentials: u64,
    pub(crate) large_requests_refused: u64,
    pub(crate) outstanding: u64,
    pub(crate) latency: LatencyView,
}

impl Views {
    pub(crate) fn new(
        fronts: Vec<Arc<FrontStats>>,
        replica: Arc<Stats>,
        outstanding: Arc<Outstanding>,
        leader_serves: bool,
        place: Option<Place>,
    ) -> Self {
        Self {
            fronts,
            replica,
            outstanding,
            leader_serves,
            metrics: Metrics::default(),
            connections: Mutex::default(),
            place: Mutex::new(place),
            client_port: AtomicU16::new(0),
        }
    }

    /// The server's place in its ensemble; `None` if it is alone.
    pub(crate) fn place(&self) -> Option<Place> {
        self.place.lock().expect(NO_PANIC).clone()
    }

    /// Another membership is in force. Returns where it says that clients connect to this server, if it
    /// says something else than the one before.
    pub(crate) fn adopt(&self, membership: &Arc<Membership>) -> Option<ClientPlace> {
        let mut place = self.place.lock().expect(NO_PANIC);
        let place = place.as_mut()?;
        let before = place.member().map(|member| member.client.clone());
        place.membership = Arc::clone(membership);
        let client = place.member()?.client.clone();
        (before.as_ref() != Some(&client)).then_some(())?;
        match client {
            Some(client) => Some(ClientPlace::At(client)),
            // It was never told, and is where the configuration says.
            None => before.flatten().map(|_| ClientPlace::Nowhere),
        }
    }

    /// The port to which clients connect.
    pub(crate) fn client_port(&self) -> Option<u16> {
        Some(self.client_port.load(Ordering::Relaxed)).filter(|&port| port > 0)
    }

    pub(crate) fn set_client_port(&self, port: Option<u16>) {
        self.client_port.store(port.unwrap_or_default(), Ordering::Relaxed);
    }

    pub(crate) fn opened(
        &self,
        front: FrontId,
        conn: ConnId,
        peer: SocketAddr,
        stats: Arc<ConnectionStats>,
    ) {
        self.lock().insert((front, conn), ConnectionEntry { peer, stats, asks: false });
    }

    /// The connection asked an operator's word.
    pub(crate) fn asks(&self, front: FrontId, conn: ConnId) {
        if let Some(entry) = self.lock().get_mut(&(front, conn)) {
            entry.asks = true;
        }
    }

    /// Forgets a connection that is closed, or about to be.
    pub(crate) fn closed(&self, front: FrontId, conn: ConnId) -> Option<ConnectionEntry> {
        self.lock().remove(&(front, conn))
    }

    /// What the server does; `None` while it serves nobody.
    pub(crate) fn mode(&self) -> Option<Mode> {
        match self.replica.role() {
            Role::Alone => Some(Mode::Standalone),
            Role::Looking => None,
            Role::Leading => self.leader_serves.then_some(Mode::Leader),
            Role::Following => Some(Mode::Follower),
            Role::Observing => Some(Mode::Observer),
            Role::ReadOnly => Some(Mode::ReadOnly),
        }
    }

    /// Sessions that only this server knows of.
    pub(crate) fn local_sessions(&self) -> u64 {
        u64::try_from(self.replica.local_sessions.value()).unwrap_or_default()
    }

    /// From whom a learner learns.
    pub(crate) fn teacher(&self) -> Sid {
        Sid(self.replica.teacher.value())
    }

    /// How many observers learn from a follower.
    pub(crate) fn observers(&self) -> u64 {
        u64::try_from(self.replica.observers.value()).unwrap_or_default()
    }

    /// What is known of a server that leads others; `None` if it does not.
    pub(crate) fn leader(&self, now: Instant) -> Option<LeaderGauges> {
        if self.replica.role() != Role::Leading {
            return None;
        }
        let leadership = &self.replica.leadership;
        let count = |gauge: &Gauge| u64::try_from(gauge.value()).unwrap_or_default();
        let size = |gauge: &Gauge| Some(count(gauge)).filter(|&bytes| bytes > 0);
        Some(LeaderGauges {
            learners: count(&leadership.learners),
            synced_followers: count(&leadership.voters),
            synced_non_voting_followers: count(&leadership.others),
            synced_observers: count(&leadership.observers),
            pending_syncs: count(&leadership.pending_syncs),
            leader_uptime: now.millis().saturating_sub(count(&leadership.since_ms)),
            proposal_sizes: ProposalSizes {
                last: size(&leadership.last_proposal_bytes),
                min: size(&leadership.min_proposal_bytes),
                max: size(&leadership.max_proposal_bytes),
            },
        })
    }

    /// Where the epoch of a server that leads others begins; `None` if it does not lead.
    pub(crate) fn start_of_epoch(&self) -> Option<Zxid> {
        let start = Zxid::from_raw(self.replica.leadership.start.value());
        (self.replica.role() == Role::Leading).then_some(start)
    }

    /// All open connections.
    pub(crate) fn connections(&self) -> Vec<ConnectionEntry> {
        self.lock().values().cloned().collect()
    }

    /// How many there are.
    pub(crate) fn connection_count(&self) -> u64 {
        self.lock().len() as u64
    }

    /// What all I/O threads counted together.
    pub(crate) fn front_totals(&self) -> FrontTotals {
        let outstanding = self.outstanding.count();
        let mut totals = FrontTotals { outstanding, ..FrontTotals::default() };
        for front in &self.fronts {
            totals.received += front.received.value();
            totals.received_bytes += front.received_bytes.value();
            totals.sent += front.sent.value();
            totals.handshakes += front.handshakes.value();
            totals.watches += u64::try_from(front.watches.value()).unwrap_or_default();
            totals.refused_credentials += front.refused_credentials.value();
            totals.large_requests_refused += front.large_requests_refused.value();
            let latency = front.latency.values();
            let shortest_so_far = (totals.latency.count > 0).then_some(totals.latency.min_ms);
            let shortest = [shortest_so_far, latency.min_ms].into_iter().flatten().min();
            totals.latency.min_ms = shortest.unwrap_or_default();
            totals.latency.max_ms = totals.latency.max_ms.max(latency.max_ms);
            totals.latency.sum_ms += latency.sum_ms;
            totals.latency.count += latency.count;
        }
        totals
    }

    /// Brings those metrics up to date that the replica and its frontends count for themselves.
    pub(crate) fn bring_metrics_up_to_date(&self, fronts: &FrontTotals) {
        self.metrics.bytes_received_count.set(fronts.received_bytes);
        self.metrics.connection_request_count.set(fronts.handshakes);
        self.metrics.large_requests_rejected.set(fronts.large_requests_refused);
        self.metrics.proposal_count.set(self.replica.proposals.value());
        self.metrics.commit_count.set(self.replica.commits.value());
        self.metrics.learner_proposal_received_count.set(self.replica.proposals_learned.value());
        self.metrics.learner_commit_received_count.set(self.replica.commits_learned.value());
        self.metrics.diff_count.set(self.replica.diffs_sent.value());
        self.metrics.snap_count.set(self.replica.snapshots_sent.value());
        self.bring_outages_up_to_date();
        self.metrics.digest_mismatches_count.set(self.replica.digest_mismatches.value());
        self.metrics.stale_sessions_expired.set(self.replica.expired_sessions.value());
        self.metrics.connection_drop_count.set(self.replica.throttled_connections.value());
        self.metrics.stale_requests_dropped.set(self.replica.stale_requests.value());
        self.metrics.throttled_ops.set(self.replica.throttled_requests.value());
    }

    fn bring_outages_up_to_date(&self) {
        let outages = &self.replica.outages;
        self.metrics.looking_count.set(outages.looks.value());
        for (summary, times) in [
            (&self.metrics.election_time, &outages.elections),
            (&self.metrics.follower_sync_time, &outages.follower_synchronizations),
            (&self.metrics.observer_sync_time, &outages.observer_synchronizations),
            (&self.metrics.unavailable_time, &outages.all),
            (&self.metrics.leader_unavailable_time, &outages.of_leaders),
        ] {
            summary.set(&summary_of(times));
        }
    }

    /// The probability, 0 to 1, with which a connection is refused though there is room for it.
    pub(crate) fn connection_drop_probability(&self) -> f64 {
        self.replica.drop_share_ppm.value() as f64 / 1e6
    }

    /// Forgets everything that was counted, but not what was counted per connection.
    pub(crate) fn reset(&self) {
        for front in &self.fronts {
            front.received.reset();
            front.received_bytes.reset();
            front.sent.reset();
            front.handshakes.reset();
            front.refused_credentials.reset();
            front.large_requests_refused.reset();
            front.latency.reset();
        }
        self.replica.proposals.reset();
        self.replica.commits.reset();
        self.replica.digest_mismatches.reset();
        self.replica.proposals_learned.reset();
        self.replica.commits_learned.reset();
        self.replica.diffs_sent.reset();
        self.replica.snapshots_sent.reset();
        self.replica.outages.reset();
        self.replica.expired_sessions.reset();
        self.replica.throttled_connections.reset();
        self.replica.stale_requests.reset();
        self.replica.throttled_requests.reset();
        self.metrics.reset();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(FrontId, ConnId), ConnectionEntry>> {
        self.connections.lock().expect(NO_PANIC)
    }
}

/// Times as metrics have them.
fn summary_of(times: &Latency) -> Summary {
    let LatencyValues { count, sum_ms, min_ms, max_ms } = times.values();
    Summary::from(LatencyView { min_ms: min_ms.unwrap_or_default(), max_ms, sum_ms, count })
}

const NO_PANIC: &str = "nothing panics while it looks at what operators may know";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn totals_are_of_all_threads() {
        let fronts: Vec<Arc<FrontStats>> = (0..3).map(|_| Arc::default()).collect();
        fronts[1].received.add(3);
        fronts[2].received.add(4);
        fronts[1].latency.add(Duration::from_millis(7), 2);
        fronts[2].latency.add(Duration::from_millis(5), 1);
        let views =
            Views::new(fronts, Arc::default(), Arc::new(Outstanding::new(1000)), true, None);
        let totals = views.front_totals();
        assert_eq!(totals.received, 7);
        assert_eq!(totals.latency, LatencyView { min_ms: 5, max_ms: 7, sum_ms: 19, count: 3 });
        views.reset();
        assert_eq!(views.front_totals(), FrontTotals::default());
    }

    #[test]
    fn clients_move_when_another_membership_says_so() {
        let membership = |text: &str| {
            Arc::new(Membership::parse(&format!("server.1=a:1:2{text}\nserver.2=b:1:2")).unwrap())
        };
        let at = |port| {
            let host = types::membership::Host::parse("0.0.0.0").unwrap();
            Some(ClientPlace::At(HostPort { host, port }))
        };
        let place = Place { sid: Sid(1), membership: membership("") };
        let views = Views::new(
            Vec::new(),
            Arc::default(),
            Arc::new(Outstanding::new(1)),
            true,
            Some(place),
        );
        assert_eq!(views.adopt(&membership(":observer")), None);
        assert_eq!(views.adopt(&membership(";7")), at(7));
        assert_eq!(views.adopt(&membership(":observer;7")), None);
        assert_eq!(views.adopt(&membership(";8")), at(8));
        assert_eq!(views.adopt(&membership("")), Some(ClientPlace::Nowhere));
        let without = Arc::new(Membership::parse("server.2=b:1:2").unwrap());
        assert_eq!(views.adopt(&without), None, "it goes on where it is");
        assert_eq!(views.adopt(&membership(";8")), at(8));
    }
}
