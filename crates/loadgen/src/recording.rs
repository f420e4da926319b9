//! What is kept of each reply: a count and a latency.

use std::collections::BTreeMap;
use std::ops::Range;

use hdrhistogram::Histogram;

use crate::limits;
use crate::template::Template;

/// Replies of the measured part of a run.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    /// The measured part, in nanoseconds since the run's start.
    measured_ns: Range<u64>,
    /// By the request's place among the templates.
    kinds: Vec<Kind>,
    /// Replies with an error, by its code.
    errors: BTreeMap<i32, u64>,
}

/// Replies to one kind of request.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    /// The request's name.
    pub(crate) name: &'static str,
    /// Operations that each counts for.
    pub(crate) weight: u64,
    /// Latencies in nanoseconds, to three digits.
    pub(crate) latencies: Histogram<u64>,
}

/// Equal replies that arrived together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Batch {
    /// The request's place among the templates.
    pub(crate) template: u8,
    /// When each counts as sent.
    pub(crate) start_ns: u64,
}

impl Recording {
    /// An empty recording of replies that arrive in the measured part.
    pub(crate) fn new(templates: &[Template], measured_ns: Range<u64>) -> Self {
        let kinds = templates
            .iter()
            .map(|template| Kind {
                name: template.name,
                weight: template.weight,
                latencies: latencies(),
            })
            .collect();
        Self { measured_ns, kinds, errors: BTreeMap::new() }
    }

    /// Counts `count` replies that arrived now.
    pub(crate) fn replies(&mut self, batch: Batch, now_ns: u64, count: u64) {
        if self.measured_ns.contains(&now_ns) {
            let latency_ns = now_ns.saturating_sub(batch.start_ns);
            let kind = &mut self.kinds[usize::from(batch.template)];
            kind.latencies.saturating_record_n(latency_ns, count);
        }
    }

    /// Counts a reply with an error, which is not an operation done.
    pub(crate) fn error(&mut self, code: i32, now_ns: u64) {
        if self.measured_ns.contains(&now_ns) {
            *self.errors.entry(code).or_default() += 1;
        }
    }

    /// Adds what another thread recorded of the same requests.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (kind, more) in self.kinds.iter_mut().zip(&other.kinds) {
            kind.latencies.add(&more.latencies).expect("both have the same bounds");
        }
        for (&code, count) in &other.errors {
            *self.errors.entry(code).or_default() += count;
        }
    }

    /// Operations done.
    pub(crate) fn ops(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.latencies.len() * kind.weight).sum()
    }

    /// Latencies of all kinds of requests together, in nanoseconds.
    pub(crate) fn latencies(&self) -> Histogram<u64> {
        let mut sum = latencies();
        for kind in &self.kinds {
            sum.add(&kind.latencies).expect("both have the same bounds");
        }
        sum
    }

    /// Each kind of request.
    pub(crate) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Replies with an error, by its code.
    pub(crate) const fn errors(&self) -> &BTreeMap<i32, u64> {
        &self.errors
    }
}

fn latencies() -> Histogram<u64> {
    Histogram::new_with_max(limits::LATENCY_NS_MAX, 3)
        .expect("the bound is above 1 and three digits are supported")
}

#[cfg(test)]
mod tests {
    use types::Op;

    use super::*;

    fn recording() -> Recording {
        let templates =
            [Template::new("get", Op::Ping, 0), Template::new("multi", Op::Ping, 0).weighing(10)];
        Recording::new(&templates, 1000..2000)
    }

    #[test]
    fn keeps_what_arrives_in_the_measured_part() {
        let mut recording = recording();
        let batch = Batch { template: 0, start_ns: 900 };
        recording.replies(batch, 999, 5);
        recording.replies(batch, 1000, 1);
        recording.replies(batch, 1999, 2);
        recording.replies(batch, 2000, 5);
        recording.error(-101, 2000);
        assert_eq!(recording.ops(), 3);
        assert_eq!(recording.latencies().len(), 3);
        assert_eq!(recording.latencies().min(), 100);
        assert!(recording.errors().is_empty());
    }

    #[test]
    fn a_transaction_counts_by_its_operations_but_has_one_latency() {
        let mut recording = recording();
        recording.replies(Batch { template: 1, start_ns: 1000 }, 1500, 2);
        assert_eq!(recording.ops(), 20);
        assert_eq!(recording.latencies().len(), 2);
    }

    #[test]
    fn threads_add_up() {
        let mut sum = recording();
        let mut other = recording();
        sum.replies(Batch { template: 0, start_ns: 1000 }, 1001, 1);
        other.replies(Batch { template: 0, start_ns: 1000 }, 1801, 1);
        other.error(-127, 1500);
        sum.merge(&other);
        assert_eq!((sum.ops(), sum.latencies().min(), sum.latencies().max()), (2, 1, 801));
        assert_eq!(sum.errors().iter().collect::<Vec<_>>(), [(&-127, &1)]);
    }

    #[test]
    fn a_latency_beyond_the_range_counts_as_its_end() {
        let templates = [Template::new("get", Op::Ping, 0)];
        let mut recording = Recording::new(&templates, 0..u64::MAX);
        let batch = Batch { template: 0, start_ns: 0 };
        recording.replies(batch, 10 * limits::LATENCY_NS_MAX, 1);
        assert_eq!(recording.ops(), 1);
        assert!(recording.latencies().max() >= limits::LATENCY_NS_MAX);
    }
}
