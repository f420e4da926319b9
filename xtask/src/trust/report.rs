//! What the pieces amount to, in Markdown.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::outputs::{self, Campaign, Mutant};
use super::{Run, SERVERS};

/// A promise, what it says in a few words, and the counters of what was compared for it.
type Promise = (&'static str, &'static str, &'static [&'static str]);

/// The promises of `docs/trust.md` that campaigns look after.
const PROMISES: &[Promise] = &[
    ("P0, P1, P7, P15", "exact zxids, one order, at most once, sequences", &["answered requests"]),
    ("P2, P3", "order within a session", &["answered requests", "request left open"]),
    ("P4", "nobody is served by who knows less", &["session resumed", "session moved"]),
    ("P5", "what was acknowledged stays", &["power lost", "process killed", "disk lost"]),
    ("P6", "multis as a whole", &["multi refused"]),
    ("P8, P9", "sessions and ephemerals", &["session expired", "session refused"]),
    ("P10, P11", "watches", &["watch event", "missed event caught up"]),
    ("P14", "the same state", &["learner up to date", "snapshot installed", "history cut"]),
    ("P16", "memberships", &["membership changed", "change refused: no quorum follows"]),
    ("P17", "the others go on", &["epoch begun", "server away in peace"]),
    ("P19", "no damaged bytes", &["rot that takes something away", "rot that takes nothing away"]),
];

/// Gaps that a quick look has by itself; the others are in `docs/trust.md`.
const GAPS: &[&str] = &[
    "Campaigns of a minute find little that is rare: what they show is that it is looked for.",
    "Fuzz targets run for seconds here.",
    "Not part of this: `interop/run-all`, which compares with Apache's servers.",
];

/// All that was run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(super) commit: String,
    pub(super) took: Duration,
    /// One for each of [`SERVERS`].
    pub(super) campaigns: Vec<Run>,
    pub(super) mutants: Run,
    pub(super) scope: Run,
    pub(super) torture: Vec<Run>,
    pub(super) fuzz: Run,
}

impl Report {
    /// Whether nothing was found, and nothing is alive that should not be.
    pub(crate) fn is_clean(&self) -> bool {
        self.runs().all(|run| run.is_ok)
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        let single = [&self.mutants, &self.scope, &self.fuzz];
        self.campaigns.iter().chain(single).chain(&self.torture)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let campaigns: Vec<Campaign> =
            self.campaigns.iter().map(|run| outputs::campaign(&run.text)).collect();
        let verdict =
            if self.is_clean() { "Nothing was found." } else { "**Something was found.**" };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let minutes = self.took.as_secs_f64() / 60.0;
        writeln!(f, "Commit {}, {cores} cores, {minutes:.0} minutes. {verdict}\n", self.commit)?;
        show_runs(f, self)?;
        show_campaigns(f, &campaigns)?;
        show_promises(f, &campaigns)?;
        show_matrix(f, &campaigns)?;
        show_disks(f, &campaigns)?;
        show_mutants(f, &outputs::mutants(&self.mutants.text))?;
        show_scope(f, &self.scope)?;
        show_torture(f, &self.torture)?;
        show_fuzz(f, &self.fuzz)?;
        writeln!(f, "### Gaps\n")?;
        GAPS.iter().try_for_each(|gap| writeln!(f, "- {gap}"))
    }
}

fn show_runs(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    writeln!(f, "| command | ended | s |\n|---|---|--:|")?;
    for run in report.runs() {
        let end = if run.is_ok { "well" } else { "**badly**" };
        writeln!(f, "| `{}` | {end} | {:.0} |", run.command, run.took.as_secs_f64())?;
    }
    writeln!(f)
}

fn show_campaigns(f: &mut fmt::Formatter<'_>, campaigns: &[Campaign]) -> fmt::Result {
    writeln!(f, "### Campaigns\n")?;
    writeln!(f, "| servers | schedules | a minute | broken, or too rare |\n|--:|--:|--:|---|")?;
    for (servers, campaign) in SERVERS.iter().zip(campaigns) {
        let Campaign { schedules, per_minute, complaints, .. } = campaign;
        let complaints =
            if complaints.is_empty() { "nothing".into() } else { complaints.join("; ") };
        writeln!(f, "| {servers} | {schedules} | {per_minute} | {complaints} |")?;
    }
    writeln!(f)
}

fn show_promises(f: &mut fmt::Formatter<'_>, campaigns: &[Campaign]) -> fmt::Result {
    writeln!(f, "### Promises\n\n| | | what was looked at |\n|---|---|---|")?;
    for (promise, what, counters) in PROMISES {
        let seen = counters.iter().map(|&counter| {
            let times: u64 = campaigns.iter().filter_map(|it| it.counters.get(counter)).sum();
            format!("{counter}: {times}")
        });
        writeln!(f, "| {promise} | {what} | {} |", seen.collect::<Vec<_>>().join(", "))?;
    }
    writeln!(f)
}

/// How often which fault came while a server did what, and how many cells are empty of those that can be
/// filled.
fn show_matrix(f: &mut fmt::Formatter<'_>, campaigns: &[Campaign]) -> fmt::Result {
    writeln!(f, "### What went wrong, and what the server did then\n")?;
    let cells = || campaigns.iter().flat_map(|campaign| &campaign.faults);
    let rows: BTreeSet<&str> = cells().map(|((fault, _), _)| fault.as_str()).collect();
    let columns: BTreeSet<&str> = cells().map(|((_, doing), _)| doing.as_str()).collect();
    let heads: Vec<&str> = columns.iter().copied().collect();
    writeln!(f, "| | {} |\n|---|{}", heads.join(" | "), "--:|".repeat(columns.len()))?;
    let (mut possible, mut empty) = (0, 0);
    for row in &rows {
        write!(f, "| {row} |")?;
        for column in &columns {
            let of_cell = cells().filter(|((fault, doing), _)| fault == row && doing == column);
            // What can not be with one number of servers may be with another.
            let times = of_cell.filter_map(|(_, times)| *times).reduce(|one, other| one + other);
            possible += u32::from(times.is_some());
            empty += u32::from(times == Some(0));
            write!(f, " {} |", times.map_or_else(|| "-".to_owned(), |times| times.to_string()))?;
        }
        writeln!(f)?;
    }
    writeln!(f, "\n{empty} of the {possible} cells that can be filled are empty.\n")
}

/// How often which failure of a disk struck, file by file: what a server makes of each is checked by all promises.
fn show_disks(f: &mut fmt::Formatter<'_>, campaigns: &[Campaign]) -> fmt::Result {
    writeln!(f, "### Failures of disks, and what the server did then\n")?;
    let cells = || campaigns.iter().flat_map(|campaign| &campaign.disks);
    let rows: BTreeSet<&str> = cells().map(|((failure, _), _)| failure.as_str()).collect();
    let columns: BTreeSet<&str> = cells().map(|((_, doing), _)| doing.as_str()).collect();
    let heads: Vec<&str> = columns.iter().copied().collect();
    writeln!(f, "| | {} |\n|---|{}", heads.join(" | "), "--:|".repeat(columns.len()))?;
    for row in &rows {
        write!(f, "| {row} |")?;
        for column in &columns {
            let of_cell = cells().filter(|((failure, doing), _)| failure == row && doing == column);
            let times: u64 = of_cell.map(|(_, times)| times).sum();
            write!(f, " {times} |")?;
        }
        writeln!(f)?;
    }
    writeln!(f)
}

fn show_mutants(f: &mut fmt::Formatter<'_>, mutants: &[Mutant]) -> fmt::Result {
    let mut seconds: Vec<f64> = mutants.iter().map(|mutant| mutant.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or_default();
    let worst = seconds.last().copied().unwrap_or_default();
    let alive = mutants.iter().filter(|mutant| mutant.killer.is_none()).count();
    writeln!(
        f,
        "### Planted bugs\n\n{} were looked for, {alive} are alive; CPU-seconds to find one: median {median:.2}, \
         worst {worst:.2}.\n",
        mutants.len()
    )?;
    writeln!(f, "| | what is wrong | found by | schedules | CPU-s |\n|---|---|---|--:|--:|")?;
    for Mutant { name, killer, schedules, seconds, what } in mutants {
        let killer = killer.as_deref().unwrap_or("**alive**");
        writeln!(f, "| {name} | {what} | {killer} | {schedules} | {seconds:.2} |")?;
    }
    writeln!(f)
}

fn show_scope(f: &mut fmt::Formatter<'_>, run: &Run) -> fmt::Result {
    let scope = outputs::scope(&run.text).unwrap_or_default();
    writeln!(
        f,
        "### Exhaustive search\n\n{} cases, {} states, {} states with a crash, {} ends.\n",
        scope.cases, scope.states, scope.crashes, scope.ends
    )
}

fn show_torture(f: &mut fmt::Formatter<'_>, runs: &[Run]) -> fmt::Result {
    writeln!(f, "### Real processes\n\n| | |\n|---|--:|")?;
    for (name, number) in runs.iter().flat_map(|run| outputs::figures(&run.text)) {
        writeln!(f, "| {name} | {number} |")?;
    }
    writeln!(f)
}

fn show_fuzz(f: &mut fmt::Formatter<'_>, run: &Run) -> fmt::Result {
    let mut words = run.text.split_whitespace();
    let mut number = || words.next().unwrap_or("0");
    let (targets, seconds, executions) = (number(), number(), number());
    let failed: Vec<&str> = words.collect();
    let found = if failed.is_empty() { "nothing".into() } else { failed.join(", ") };
    writeln!(f, "### Fuzzing\n")?;
    writeln!(f, "{targets} targets, {seconds} s each, {executions} executions; found: {found}.\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, is_ok: bool) -> Run {
        let command = "a command".to_owned();
        Run { command, text: text.to_owned(), is_ok, took: Duration::from_secs(7) }
    }

    fn report(is_ok: bool) -> Report {
        let campaign = "       17  answered requests\n        3  fault: disk lost, while looking\n\
                        5  fault: killed, while leading\n        0  fault: killed, while looking\n\
                        -  fault: disk lost, while leading\n        5  disk: log, sync, error, while leading\n\
                        60 schedules from seed 1 in 2.0 s, 1800 a minute\n";
        Report {
            commit: "abc".to_owned(),
            took: Duration::from_secs(120),
            campaigns: vec![run(campaign, true), run(campaign, is_ok), run(campaign, true)],
            mutants: run(
                "M1    D1     6 schedules    0.21 s  one\nM2    ALIVE   9 schedules  4.00 s  two\n",
                true,
            ),
            scope: run("4 cases, 81 states, 22 crashes, 9 ends, 3 choices", true),
            torture: vec![run("rounds      3\n", true)],
            fuzz: run("11 8 4000 multi", true),
        }
    }

    #[test]
    fn counts_of_all_campaigns_add_up() {
        let text = report(true).to_string();
        for line in [
            "Nothing was found.",
            "| 3 | 60 | 1800 | nothing |",
            "sequences | answered requests: 51 |",
            "| disk lost | - | 9 |",
            "| killed | 15 | 0 |",
            "| log, sync, error | 15 |",
            "1 of the 3 cells that can be filled are empty.",
            "2 were looked for, 1 are alive; CPU-seconds to find one: median 4.00, worst 4.00.",
            "| M2 | two | **alive** | 9 | 4.00 |",
            "4 cases, 81 states, 22 states with a crash, 9 ends.",
            "| rounds | 3 |",
            "11 targets, 8 s each, 4000 executions; found: multi.",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn one_bad_end_is_enough() {
        assert!(report(true).is_clean());
        let broken = report(false);
        assert!(!broken.is_clean());
        assert!(broken.to_string().contains("| `a command` | **badly** | 7 |"));
    }
}
