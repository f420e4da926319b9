//! The figures of a run, as a table for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::machine::{Machine, Versions};

/// The figures of a run.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct Report {
    /// Where it was measured.
    pub machine: Machine,
    /// With what.
    pub versions: Versions,
    /// One for each workload, number of connections and window.
    pub cells: Vec<Cell>,
}

/// The figures of one workload with one number of connections and one window.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct Cell {
    /// The workload's name.
    pub workload: &'static str,
    /// Connections.
    pub conns: usize,
    /// Requests in flight on each connection at most.
    pub window: usize,
    /// Bytes of data of each znode.
    pub value_bytes: usize,
    /// Requests offered per second; `None` in a closed loop.
    pub offered_per_s: Option<f64>,
    /// How long it was measured.
    pub seconds: f64,
    /// Operations done; a transaction counts by its writes.
    pub ops: u64,
    /// Operations done per second.
    pub ops_per_s: f64,
    /// Operations done per second of the server's processor time; `None` if it was not observed, or
    /// either is 0.
    pub ops_per_cpu_s: Option<f64>,
    /// Processor time that the server used, in seconds; `None` if it was not observed.
    pub server_cpu_s: Option<f64>,
    /// The same of the load generator.
    pub client_cpu_s: f64,
    /// The server's resident memory before the sessions were opened, in bytes.
    pub server_rss_bytes_before: Option<u64>,
    /// The same at the end of the measurement, the sessions being open.
    pub server_rss_bytes: Option<u64>,
    /// Of all requests.
    pub latency: Latency,
    /// Of each kind of request, by its name.
    pub requests: BTreeMap<&'static str, Latency>,
    /// Replies with an error, by the name of the code.
    pub errors: BTreeMap<String, u64>,
}

/// How long replies took, in microseconds: from sending the request, or at an offered rate from
/// when it was due.
#[derive(Serialize, Clone, Copy, PartialEq, Debug, Default)]
pub struct Latency {
    /// Replies.
    pub count: u64,
    /// Their mean.
    pub mean_us: f64,
    /// Half took less.
    pub p50_us: f64,
    /// 99 of 100 took less.
    pub p99_us: f64,
    /// 999 of 1,000 took less.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl Report {
    /// The report as one JSON object.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self)
            .expect("the report has only text keys and finite numbers")
    }
}

impl Latency {
    /// The summary of latencies in nanoseconds.
    pub(crate) fn of(latencies: &Histogram<u64>) -> Self {
        let quantile_us = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            count: latencies.len(),
            mean_us: latencies.mean() / 1e3,
            p50_us: quantile_us(0.5),
            p99_us: quantile_us(0.99),
            p999_us: quantile_us(0.999),
            max_us: latencies.max() as f64 / 1e3,
        }
    }
}

impl Cell {
    /// The line above the lines of cells.
    pub const HEADING: &str = "workload       conns  window      ops/s  ops/cpu-s        p50        p99      \
                               p99.9        max  errors";
}

impl fmt::Display for Cell {
    /// One line of the table, without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workload, conns, window, ops_per_s, latency, .. } = self;
        let per_cpu_s = self.ops_per_cpu_s.map_or_else(|| "-".to_owned(), |it| format!("{it:.0}"));
        write!(f, "{workload:13} {conns:6} {window:7} {ops_per_s:10.0} {per_cpu_s:>10}")?;
        for us in [latency.p50_us, latency.p99_us, latency.p999_us, latency.max_us] {
            write!(f, " {:>10}", duration(us))?;
        }
        write!(f, " {:7}", self.errors.values().sum::<u64>())?;
        if let (Some(before), Some(after)) = (self.server_rss_bytes_before, self.server_rss_bytes) {
            let mib = |bytes| bytes as f64 / f64::from(1 << 20);
            write!(f, "  rss {:.1} -> {:.1} MiB", mib(before), mib(after))?;
        }
        Ok(())
    }
}

/// Three digits with a unit.
fn duration(us: f64) -> String {
    let (value, unit) = match us {
        ..1e3 => (us, "us"),
        1e3..1e6 => (us / 1e3, "ms"),
        _ => (us / 1e6, "s"),
    };
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell() -> Cell {
        let mut latencies = Histogram::new_with_max(1_000_000_000, 3).unwrap();
        for us in 1..=1000 {
            latencies.record(us * 1000).unwrap();
        }
        let latency = Latency::of(&latencies);
        Cell {
            workload: "get",
            conns: 100,
            window: 32,
            value_bytes: 100,
            offered_per_s: None,
            seconds: 2.0,
            ops: 1000,
            ops_per_s: 500.0,
            ops_per_cpu_s: Some(800.0),
            server_cpu_s: Some(1.25),
            client_cpu_s: 0.5,
            server_rss_bytes_before: None,
            server_rss_bytes: None,
            latency,
            requests: BTreeMap::from([("get", latency)]),
            errors: BTreeMap::from([("NoNode".to_owned(), 2)]),
        }
    }

    #[test]
    fn quantiles_are_those_of_the_latencies_to_three_digits() {
        let latency = cell().latency;
        let near = |got: f64, expected: f64| (got / expected - 1.0).abs() < 1e-3;
        assert!(near(latency.p50_us, 500.0), "{latency:?}");
        assert!(near(latency.p99_us, 990.0), "{latency:?}");
        assert!(near(latency.p999_us, 999.0), "{latency:?}");
        assert!(near(latency.max_us, 1000.0), "{latency:?}");
        assert!(near(latency.mean_us, 500.5), "{latency:?}");
        assert_eq!(latency.count, 1000);
    }

    #[test]
    fn columns_stand_below_their_headings() {
        let line = cell().to_string();
        assert_eq!(
            format!("{}\n{line}", Cell::HEADING),
            "workload       conns  window      ops/s  ops/cpu-s        p50        p99      p99.9        max  errors\n\
             get              100      32        500        800     500 us     990 us     999 us    1.00 ms       2"
        );
    }

    #[test]
    fn durations_have_three_digits() {
        assert_eq!(duration(0.0), "0.00 us");
        assert_eq!(duration(12.34), "12.3 us");
        assert_eq!(duration(999.0), "999 us");
        assert_eq!(duration(1500.0), "1.50 ms");
        assert_eq!(duration(61e6), "61.0 s");
    }

    #[test]
    fn json_has_machine_versions_and_cells() {
        let report = Report {
            machine: Machine {
                cpus: 2,
                cpu_model: "x".to_owned(),
                memory_bytes: 1,
                kernel: "6.1".to_owned(),
            },
            versions: Versions { loadgen: "1".to_owned(), server: None },
            cells: vec![cell()],
        };
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["machine"]["cpus"], 2);
        assert_eq!(json["versions"]["server"], serde_json::Value::Null);
        assert_eq!(json["cells"][0]["ops_per_cpu_s"], 800.0);
        assert_eq!(json["cells"][0]["requests"]["get"]["count"], 1000);
        assert_eq!(json["cells"][0]["errors"]["NoNode"], 2);
    }
}
