//! Connections as operators see them.

use std::collections::BTreeMap;
use std::time::Duration;

use admin::{ConnectionBucket, ConnectionView, Interest, LastOp, SessionActivity};
use replica::view::{ConnectionStats, Gauge};
use types::{Instant, Now, SessionId, Xid, Zxid};
use wire::opcode::OpCode;

use crate::view::ConnectionEntry;

/// The connections in detail.
pub(super) fn views(entries: &[ConnectionEntry]) -> Vec<ConnectionView> {
    let view = |entry: &ConnectionEntry| {
        let stats = &*entry.stats;
        ConnectionView {
            address: entry.peer,
            interest: if entry.asks { Interest::Nothing } else { Interest::Read },
            queued: unsigned(&stats.outstanding),
            received: stats.received.value(),
            sent: stats.sent.value(),
            session: session_of(stats).map(|session| activity(session, stats)),
        }
    };
    entries.iter().map(view).collect()
}

/// The connections by when they are closed unless something is heard on them, in steps of `step`,
/// which is also the time that a connection has to open a session.
pub(super) fn buckets(
    now: Now,
    entries: &[ConnectionEntry],
    step: Duration,
) -> Vec<ConnectionBucket> {
    let step_nanos = u64::try_from(step.as_nanos()).unwrap_or(u64::MAX).max(1);
    let mut buckets = BTreeMap::<u64, Vec<_>>::new();
    for ConnectionEntry { peer, stats, .. } in entries {
        let session = session_of(stats);
        let timeout = match session {
            Some(_) => Duration::from_millis(unsigned(&stats.timeout_ms)),
            None => step,
        };
        let bucket = last_heard(now, stats).after(timeout).nanos() / step_nanos + 1;
        buckets.entry(bucket).or_default().push((*peer, session.unwrap_or(SessionId::NONE)));
    }
    let buckets = buckets.into_iter().map(|(bucket, connections)| {
        let expires = Instant::from_nanos(bucket.saturating_mul(step_nanos));
        ConnectionBucket { expire_wall_ms: wall_ms_of(now, expires), connections }
    });
    buckets.collect()
}

/// What the wall clock shows, shows then or showed then: milliseconds since 1970.
pub(super) fn wall_ms_of(now: Now, then: Instant) -> i64 {
    let millis = |instant: Instant| i64::try_from(instant.millis()).unwrap_or(i64::MAX);
    now.wall_ms.saturating_add(millis(then).saturating_sub(millis(now.instant)))
}

fn session_of(stats: &ConnectionStats) -> Option<SessionId> {
    Some(SessionId(stats.session.value())).filter(|session| *session != SessionId::NONE)
}

fn activity(session: SessionId, stats: &ConnectionStats) -> SessionActivity {
    let latency = stats.latency.values();
    SessionActivity {
        session,
        last_op: last_op(&stats.last_operation),
        established_wall_ms: stats.established_ms,
        timeout_ms: u32::try_from(stats.timeout_ms.value()).unwrap_or_default(),
        last_cxid: i32::try_from(stats.last_cxid.value()).ok().filter(|cxid| *cxid >= 0).map(Xid),
        last_zxid: Some(stats.last_zxid.value()).filter(|zxid| *zxid >= 0).map(Zxid::from_raw),
        last_response_ms: unsigned(&stats.last_response_ms),
        last_latency_ms: unsigned(&stats.last_latency_ms),
        min_latency_ms: latency.min_ms.unwrap_or_default(),
        avg_latency_ms: latency.sum_ms.checked_div(latency.count).unwrap_or_default(),
        max_latency_ms: latency.max_ms,
    }
}

/// A sign of life is answered at once, so the last answer tells when there was one.
fn last_heard(now: Now, stats: &ConnectionStats) -> Instant {
    match unsigned(&stats.last_response_ms) {
        0 => {
            let age_ms = u64::try_from(now.wall_ms - stats.established_ms).unwrap_or_default();
            Instant::from_start(now.instant.since(Instant::default().after(millis(age_ms))))
        }
        last_response_ms => Instant::default().after(millis(last_response_ms)),
    }
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn unsigned(gauge: &Gauge) -> u64 {
    u64::try_from(gauge.value()).unwrap_or_default()
}

fn last_op(number: &Gauge) -> LastOp {
    let Some(opcode) = i32::try_from(number.value()).ok().and_then(OpCode::from_raw) else {
        return LastOp::None;
    };
    match opcode {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
            LastOp::Create
        }
        OpCode::Delete | OpCode::DeleteContainer => LastOp::Delete,
        OpCode::Exists => LastOp::Exists,
        OpCode::GetData => LastOp::GetData,
        OpCode::SetData => LastOp::SetData,
        OpCode::GetAcl => LastOp::GetAcl,
        OpCode::SetAcl => LastOp::SetAcl,
        OpCode::GetChildren | OpCode::GetChildren2 => LastOp::GetChildren,
        OpCode::Sync => LastOp::Sync,
        OpCode::Ping => LastOp::Ping,
        OpCode::Multi => LastOp::Multi,
        OpCode::Reconfig => LastOp::Reconfig,
        OpCode::CheckWatches => LastOp::CheckWatches,
        OpCode::RemoveWatches => LastOp::RemoveWatches,
        OpCode::MultiRead => LastOp::MultiRead,
        OpCode::SetWatches => LastOp::SetWatches,
        OpCode::GetEphemerals => LastOp::GetEphemerals,
        OpCode::GetAllChildrenNumber => LastOp::GetAllChildrenNumber,
        OpCode::SetWatches2 => LastOp::SetWatches2,
        OpCode::AddWatch => LastOp::AddWatch,
        OpCode::WhoAmI => LastOp::WhoAmI,
        OpCode::CreateSession => LastOp::CreateSession,
        OpCode::CloseSession => LastOp::CloseSession,
        OpCode::Auth | OpCode::Sasl => LastOp::None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn entry(port: u16, session: i64, timeout_ms: i64, last_response_ms: i64) -> ConnectionEntry {
        let stats = ConnectionStats::new(1_000_000);
        stats.session.set(session);
        stats.timeout_ms.set(timeout_ms);
        stats.last_response_ms.set(last_response_ms);
        let peer = ([127, 0, 0, 1], port).into();
        ConnectionEntry { peer, stats: Arc::new(stats), asks: false }
    }

    #[test]
    fn connections_end_a_step_after_their_timeout_at_most() {
        let now = Now { instant: Instant::from_start(millis(7_000)), wall_ms: 1_002_000 };
        let entries = [entry(1, 0, 0, 0), entry(2, 5, 4_000, 6_500), entry(3, 6, 14_000, 6_000)];
        let buckets: Vec<_> = buckets(now, &entries, millis(10_000))
            .into_iter()
            .map(|bucket| (bucket.expire_wall_ms, bucket.connections.len()))
            .collect();
        // Heard of at 5 s, 6.5 s and 6 s of the server's time, which is 995 s behind the wall's.
        assert_eq!(buckets, [(1_015_000, 2), (1_025_000, 1)]);
    }

    #[test]
    fn a_connection_without_a_session_shows_no_activity() {
        let views = views(&[entry(1, 0, 0, 0), entry(2, 5, 4_000, 1)]);
        assert_eq!(views[0].session, None);
        let activity = views[1].session.as_ref().expect("it has a session");
        assert_eq!(activity.session, SessionId(5));
        assert_eq!(activity.last_op, LastOp::None);
        assert_eq!((activity.last_cxid, activity.last_zxid), (None, None));
        assert_eq!((activity.min_latency_ms, activity.avg_latency_ms), (0, 0));
    }
}
