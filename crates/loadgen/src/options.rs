//! What to run: the options as the program sees them, and as they are typed.

use std::time::Duration;

use crate::error::OptionsError;
use crate::limits;
use crate::workload::Workload;

/// A run: one cell for each workload, number of connections and window.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// Where the server listens, as `host:port`; the members of an ensemble separated by commas.
    /// Connections are shared out between them in turn, the first one going to the first.
    pub server: String,
    /// What to ask for, one after the other.
    pub workloads: Vec<Workload>,
    /// Numbers of connections, each 1 to [`limits::CONNS_MAX`].
    pub conns: Vec<usize>,
    /// Numbers of requests that each connection keeps in flight, each 1 to
    /// [`limits::WINDOW_MAX`].
    pub windows: Vec<usize>,
    /// Requests offered per second, by all connections together, whether or not earlier ones were
    /// answered; `None` sends the next request when a reply makes room for it.
    pub rate: Option<f64>,
    /// Bytes of data of each znode, at most [`limits::VALUE_BYTES_MAX`].
    pub value_bytes: usize,
    /// Znodes to choose from, or to create in [`Workload::Load`]; 1 to [`limits::KEYS_MAX`].
    pub keys: u32,
    /// Children of the znode that [`Workload::Children`] lists.
    pub children: u32,
    /// Reads for each write in [`Workload::Mixed`].
    pub reads_per_write: u32,
    /// Writes in each transaction of [`Workload::Multi`], 1 to [`limits::MULTI_OPS_MAX`].
    pub multi_ops: usize,
    /// How long each cell is measured.
    pub measured: Duration,
    /// How long each cell runs before it is measured.
    pub warmup: Duration,
    /// Threads that generate the load.
    pub threads: usize,
    /// Processes of the server, whose processor time and memory are part of the report.
    pub server_pids: Vec<u32>,
    /// Where the choice of znodes starts.
    pub seed: u64,
    /// What to do with replies that carry an error.
    pub refusals: Refusals,
}

/// What to do with replies that carry an error, which no workload provokes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusals {
    /// Give up the run: its figures would not be those of the workload.
    Fail,
    /// Count them in the report.
    Count,
}

/// The command line of a run, for a program to embed.
#[derive(clap::Args, Clone, Debug)]
pub struct BenchArgs {
    /// What to ask for
    #[arg(value_enum, required = true)]
    workload: Vec<Workload>,
    /// Where the server listens: any server of the ZooKeeper protocol; several, separated by commas, get
    /// connections in turn
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2181")]
    server: String,
    /// Connections; several numbers give several cells
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "10")]
    conns: Vec<usize>,
    /// Requests in flight on each connection; several numbers give several cells
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1")]
    window: Vec<usize>,
    /// Requests offered per second; latencies then count from when each was due
    #[arg(long, value_name = "OPS/S")]
    rate: Option<f64>,
    /// Bytes of data of each znode
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    size: usize,
    /// Znodes to choose from; of `load`: to create
    #[arg(long, value_name = "N", default_value_t = 1000)]
    keys: u32,
    /// Children that `children` lists
    #[arg(long, value_name = "N", default_value_t = 100)]
    children: u32,
    /// Reads for each write of `mixed`
    #[arg(long, value_name = "N", default_value_t = 10)]
    reads_per_write: u32,
    /// Writes in each transaction of `multi`
    #[arg(long, value_name = "N", default_value_t = 10)]
    multi_ops: usize,
    /// Seconds that each cell is measured
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    seconds: f64,
    /// Seconds that each cell runs before
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    warmup: f64,
    /// Threads that generate the load
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// Processes of the server, to report operations per second of their processor time and memory
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    server_pid: Vec<u32>,
    /// Where the choice of znodes starts
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Count replies with an error instead of giving up
    #[arg(long)]
    count_errors: bool,
    /// Write one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    /// Whether a JSON object is wanted instead of a table.
    pub const fn json(&self) -> bool {
        self.json
    }

    /// The options that were typed.
    ///
    /// # Errors
    /// Names the first option that is out of its range.
    pub fn options(&self) -> Result<Options, OptionsError> {
        let options = Options {
            server: self.server.clone(),
            workloads: self.workload.clone(),
            conns: self.conns.clone(),
            windows: self.window.clone(),
            rate: self.rate,
            value_bytes: self.size,
            keys: self.keys,
            children: self.children,
            reads_per_write: self.reads_per_write,
            multi_ops: self.multi_ops,
            measured: seconds("--seconds", self.seconds)?,
            warmup: seconds("--warmup", self.warmup)?,
            threads: self.threads,
            server_pids: self.server_pid.clone(),
            seed: self.seed,
            refusals: if self.count_errors { Refusals::Count } else { Refusals::Fail },
        };
        options.check()?;
        Ok(options)
    }
}

impl Options {
    /// Checks that every figure is in its range.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check(&self) -> Result<(), OptionsError> {
        for &conns in &self.conns {
            in_range("--conns", conns as f64, 1.0, limits::CONNS_MAX as f64)?;
            if conns < self.threads {
                return Err(OptionsError::ThreadsWithoutConns { threads: self.threads, conns });
            }
        }
        for &window in &self.windows {
            in_range("--window", window as f64, 1.0, limits::WINDOW_MAX as f64)?;
        }
        in_range("--threads", self.threads as f64, 1.0, limits::THREADS_MAX as f64)?;
        in_range("--size", self.value_bytes as f64, 0.0, limits::VALUE_BYTES_MAX as f64)?;
        in_range("--keys", self.keys.into(), 1.0, limits::KEYS_MAX.into())?;
        in_range("--children", self.children.into(), 0.0, limits::DIRECTORY_CHILDREN_MAX.into())?;
        in_range("--multi-ops", self.multi_ops as f64, 1.0, limits::MULTI_OPS_MAX as f64)?;
        let multi_bytes = self.multi_ops as f64 * self.value_bytes as f64;
        if self.workloads.contains(&Workload::Multi) {
            in_range("--multi-ops * --size", multi_bytes, 0.0, limits::VALUE_BYTES_MAX as f64)?;
        }
        if let Some(rate) = self.rate {
            in_range("--rate", rate, 0.1, 1e8)?;
            if let Some(workload) = self.workloads.iter().find(|workload| !workload.is_timed()) {
                return Err(OptionsError::RateWithout { workload: workload.name() });
            }
        }
        Ok(())
    }
}

fn seconds(option: &'static str, value: f64) -> Result<Duration, OptionsError> {
    in_range(option, value, 0.0, limits::SECONDS_MAX)?;
    Ok(Duration::from_secs_f64(value))
}

fn in_range(option: &'static str, value: f64, min: f64, max: f64) -> Result<(), OptionsError> {
    // A comparison with NaN is false, so that it is refused too.
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(OptionsError::OutOfRange { option, min, max, value })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn parse(line: &str) -> Result<Options, OptionsError> {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        Command::try_parse_from(words).expect(line).bench.options()
    }

    fn complaint(line: &str) -> String {
        parse(line).expect_err(line).to_string()
    }

    #[test]
    fn defaults_suit_a_first_try() {
        let options = parse("get").unwrap();
        assert_eq!(options.server, "127.0.0.1:2181");
        assert_eq!(options.workloads, [Workload::Get]);
        assert_eq!((options.conns, options.windows), (vec![10], vec![1]));
        assert_eq!((options.value_bytes, options.keys), (100, 1000));
        assert_eq!(options.refusals, Refusals::Fail);
        assert_eq!(options.rate, None);
    }

    #[test]
    fn lists_make_several_cells() {
        let options =
            parse("get create-delete --conns 1,10,100 --window 1,32 --server-pid 7,8").unwrap();
        assert_eq!(options.workloads, [Workload::Get, Workload::CreateDelete]);
        assert_eq!((options.conns, options.windows), (vec![1, 10, 100], vec![1, 32]));
        assert_eq!(options.server_pids, [7, 8]);
    }

    #[test]
    fn names_the_option_that_is_out_of_range() {
        assert_eq!(complaint("get --conns 0"), "--conns must be 1 to 60000, not 0");
        assert_eq!(complaint("get --window 1,99999"), "--window must be 1 to 10000, not 99999");
        assert_eq!(complaint("get --seconds NaN"), "--seconds must be 0 to 86400, not NaN");
        assert_eq!(complaint("get --keys 0"), "--keys must be 1 to 100000000, not 0");
        assert_eq!(complaint("idle --rate 5"), "--rate has no meaning for idle");
        assert_eq!(complaint("get --conns 1 --threads 2"), "2 threads can not share 1 connections");
        assert_eq!(
            complaint("multi --multi-ops 1000 --size 10000"),
            "--multi-ops * --size must be 0 to 1000000, not 10000000"
        );
    }

    #[test]
    fn asks_for_a_workload() {
        assert!(Command::try_parse_from(["bench"]).is_err());
        assert!(Command::try_parse_from(["bench", "nap"]).is_err());
    }
}
