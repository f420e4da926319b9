//! `cargo xtask trust-report`: a bounded bit of everything that looks for a broken promise, and a table in
//! Markdown of what came of it.
//!
//! Each piece is a command that anybody can run alone; its output is read by `outputs` and told by
//! `report`. What `docs/trust.md` shows is one of these reports.

mod outputs;
mod report;

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) use report::Report;

use crate::{fuzz, mutants};

/// How long each piece may take; builds come on top.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Of a campaign, of which there is one for each number of servers.
    campaign: Duration,
    /// Of a planted bug at most.
    mutant: Duration,
    /// Of a fuzz target.
    fuzz: Duration,
    /// Kills of a server that is alone.
    kills: u32,
    /// Of ensembles of real processes.
    torture: Duration,
    /// Of ensembles whose disks and clocks fail as well.
    faults: Duration,
    /// How often such an ensemble loses power, all of it.
    losses_of_power: u32,
}

impl Effort {
    /// What fits into 25 minutes on two cores, builds included.
    pub(crate) const QUICK: Self = Self {
        campaign: Duration::from_secs(75),
        mutant: Duration::from_secs(120),
        fuzz: Duration::from_secs(8),
        kills: 20,
        torture: Duration::from_secs(75),
        faults: Duration::from_secs(60),
        losses_of_power: 20,
    };

    /// What fits into a night.
    pub(crate) const LONG: Self = Self {
        campaign: Duration::from_secs(3_600),
        mutant: Duration::from_secs(600),
        fuzz: Duration::from_secs(600),
        kills: 500,
        torture: Duration::from_secs(1_800),
        faults: Duration::from_secs(1_800),
        losses_of_power: 500,
    };
}

/// How many servers the campaigns have, each of them.
const SERVERS: [usize; 3] = [1, 3, 5];

/// What a command printed, and how it ended.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The words that repeat it.
    command: String,
    text: String,
    is_ok: bool,
    took: Duration,
}

/// Runs every piece.
///
/// # Errors
/// A command can not be started.
pub(crate) fn make(root: &Path, effort: Effort) -> io::Result<Report> {
    let start = Instant::now();
    let sim = ["cargo", "run", "--quiet", "--release", "-p", "sim", "--"];
    let mut campaigns = Vec::new();
    for servers in SERVERS {
        let (servers, seconds) = (servers.to_string(), effort.campaign.as_secs().to_string());
        let options = ["campaign", "--servers", &servers, "--seconds", &seconds, "--jobs", "2"];
        // Fresh schedules, which a failure names: nobody has seen them before.
        let from = fresh_seed().to_string();
        campaigns.push(run(root, &[&sim[..], &options, &["--from", &from]].concat())?);
    }
    let seconds = effort.mutant.as_secs().to_string();
    let options = ["mutants", "--jobs", "2", "--seconds", &seconds];
    let mutants = run(root, &[&mutants::COMMAND[..], &options].concat())?;
    let scope = run(root, &SCOPE)?;
    let torture = torture(root, effort)?;
    let fuzz = fuzz_all(root, effort.fuzz)?;
    let commit = run(root, &["git", "describe", "--always", "--dirty"])?.text.trim().to_owned();
    let took = start.elapsed();
    Ok(Report { commit, took, campaigns, mutants, scope, torture, fuzz })
}

/// Real processes: killed, cut off from each other, on disks that fail or are full, and without power.
fn torture(root: &Path, effort: Effort) -> io::Result<Vec<Run>> {
    const FAULTS: &str = "target/faults";
    const TORTURE: &str = "target/release/torture";
    let kills = effort.kills.to_string();
    let seconds = effort.torture.as_secs().to_string();
    let seconds_of_faults = effort.faults.as_secs().to_string();
    let losses = effort.losses_of_power.to_string();
    let (directory, server) =
        (format!("CARGO_TARGET_DIR={FAULTS}"), format!("{FAULTS}/debug/reefkeeper"));
    run(root, &["cargo", "build", "--quiet", "--release", "-p", "reefkeeper", "-p", "torture"])?;
    let build = ["cargo", "build", "--quiet", "-p", "reefkeeper", "--features", "faults"];
    run(root, &[&["env", &directory][..], &build].concat())?;
    let faulty = [TORTURE, "ensemble", "--planned-faults", "--binary", &server, "--seconds"];
    let namespace = ["unshare", "--map-root-user", "--mount"];
    let mut torture = vec![
        run(root, &[TORTURE, "kill", "--rounds", &kills])?,
        run(root, &[TORTURE, "ensemble", "--seconds", &seconds])?,
        run(root, &[&faulty[..], &[&seconds_of_faults]].concat())?,
        run(root, &[TORTURE, "power", "--cycles", &losses])?,
        run(root, &[TORTURE, "full", "--rounds", &kills])?,
    ];
    // Not everybody may mount something.
    if run(root, &[&namespace[..], &["true"]].concat()).is_ok_and(|it| it.is_ok) {
        let full = [TORTURE, "full", "--tmpfs", "--rounds", &kills];
        torture.push(run(root, &[&namespace[..], &full].concat())?);
    }
    Ok(torture)
}

/// The exhaustive search of some small synchronizations.
const SCOPE: [&str; 11] = [
    "cargo",
    "test",
    "--quiet",
    "--release",
    "-p",
    "zab",
    "--test",
    "protocol",
    "every_order",
    "--",
    "--nocapture",
];

/// Runs all fuzz targets; what it printed is how many of them there are, their seconds and what they have
/// tried, then those that found something.
fn fuzz_all(root: &Path, each: Duration) -> io::Result<Run> {
    let start = Instant::now();
    let seconds = u32::try_from(each.as_secs()).unwrap_or(u32::MAX);
    eprintln!("trust-report: fuzz targets, {seconds} s each");
    let outcomes = fuzz::run(root, None, seconds)?;
    let (targets, executions) = (outcomes.len(), fuzz::total(&outcomes));
    let failed: Vec<&str> =
        outcomes.iter().filter(|it| it.has_failed).map(|it| it.name.as_str()).collect();
    Ok(Run {
        command: format!("cargo xtask fuzz all {seconds}"),
        text: format!("{targets} {seconds} {executions} {}", failed.join(" ")),
        is_ok: failed.is_empty(),
        took: start.elapsed(),
    })
}

/// Runs a command, and keeps all that it prints.
fn run(root: &Path, words: &[&str]) -> io::Result<Run> {
    let command = words.join(" ");
    eprintln!("trust-report: {command}");
    let start = Instant::now();
    let output = Command::new(words[0]).args(&words[1..]).current_dir(root).output()?;
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    let is_ok = output.status.success();
    if !is_ok {
        eprintln!("{out}{err}");
    }
    Ok(Run { command, text: format!("{out}{err}"), is_ok, took: start.elapsed() })
}

/// A seed that grows with the time, so far that campaigns do not meet.
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs()) * 10_000
}
