//! What a run exercised: a run in which nothing happened proves nothing.

use std::collections::BTreeMap;
use std::fmt;

use super::disk_matrix::DiskFailure;
use super::matrix::{self, Kind};
use super::required;
use super::way::Step;

/// How often what happened, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    times: BTreeMap<&'static str, u64>,
    /// How often which fault came while a server did what.
    faults: BTreeMap<(&'static str, &'static str), u64>,
    /// How often which failure of a disk struck while its server did what.
    disks: BTreeMap<(DiskFailure, &'static str), u64>,
}

/// Counts the runs of a server that is alone.
pub(super) const ALONE: &str = "run of one server";
/// Counts the runs of ensembles.
pub(super) const ENSEMBLE: &str = "run of an ensemble";
/// Counts the runs of those whose membership changes.
pub(super) const CHANGING: &str = "run of an ensemble that changes";

/// The runs for which requirements are written down.
const RUNS: u64 = 10_000;
/// Fewer runs need not have seen anything.
const RUNS_MIN: u64 = 1_000;
/// Of so many runs of a kind every cell of its matrix must have been seen, in campaigns of [`RUNS`]; of those that
/// are seldom, in [`RUNS`] of the kind.
const RUNS_OF_A_KIND_MIN: u64 = 2_000;

/// Of what is expected less often than that nothing may come.
const EXPECTED_MIN: u64 = 9;

/// What a campaign has not seen often enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    /// Its name.
    pub what: String,
    /// How often it was seen.
    pub seen: u64,
    /// How often it should have been.
    pub required: u64,
}

/// What a campaign has seen too often.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excess {
    /// Its name.
    pub what: &'static str,
    /// How often it was seen.
    pub seen: u64,
    /// How often it may have been.
    pub allowed: u64,
}

impl Counters {
    /// Counts one.
    pub fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    /// Counts several.
    pub fn add(&mut self, what: &'static str, times: u64) {
        if times > 0 {
            *self.times.entry(what).or_default() += times;
        }
    }

    /// Counts a fault that comes while a server does something.
    pub(super) fn count_fault(&mut self, fault: &'static str, doing: &'static str) {
        *self.faults.entry((fault, doing)).or_default() += 1;
    }

    /// Counts a failure of a disk that strikes while its server does something.
    pub(super) fn count_disk_failure(&mut self, failure: DiskFailure, doing: &'static str) {
        *self.disks.entry((failure, doing)).or_default() += 1;
    }

    /// Adds all of another run.
    pub fn merge(&mut self, other: &Self) {
        for (what, times) in &other.times {
            self.add(what, *times);
        }
        for (cell, times) in &other.faults {
            *self.faults.entry(*cell).or_default() += times;
        }
        for (cell, times) in &other.disks {
            *self.disks.entry(*cell).or_default() += times;
        }
    }

    /// How often something happened.
    pub fn of(&self, what: &str) -> u64 {
        self.times.get(what).copied().unwrap_or(0)
    }

    /// What a campaign should have seen and did not.
    pub fn missing(&self) -> Vec<Missing> {
        let [alone, ensembles, changes] = [ALONE, ENSEMBLE, CHANGING].map(|kind| self.of(kind));
        let of_one = required::OF_ONE.iter().map(|it| (*it, alone));
        let of_ensembles = required::OF_ENSEMBLES.iter().map(|it| (*it, ensembles));
        let of_changes = required::OF_CHANGES.iter().map(|it| (*it, changes));
        let crashes = Step::ALL.map(|it| ((it.crash(), required::CRASHES_AT_EACH_STEP), ensembles));
        let done = ("request done", self.of("request made") * required::DONE_PERCENT / 100);
        of_one
            .chain(of_ensembles)
            .chain(of_changes)
            .chain(crashes)
            .map(|((what, in_all), runs)| (what, share(in_all, runs)))
            .chain([done])
            .filter(|&(what, required)| self.of(what) < required)
            .map(|(what, required)| (what.to_owned(), self.of(what), required))
            .chain(self.empty_cells().map(|(fault, doing)| (cell(fault, doing), 0, 1)))
            .map(|(what, seen, required)| Missing { what, seen, required })
            .collect()
    }

    /// What a campaign has seen more often than it should: what keeps checks from looking at something.
    pub fn excess(&self) -> Vec<Excess> {
        let of_ensembles = required::OF_ENSEMBLES_AT_MOST.iter();
        let of_ensembles = of_ensembles.map(|it| (*it, self.of(ENSEMBLE)));
        let searched = self.of("order searched of a znode");
        let given_up = ("order searched in vain", searched * required::IN_VAIN_PERCENT / 100);
        of_ensembles
            .map(|((what, in_all), runs)| (what, most(in_all, runs)))
            .chain([given_up])
            .map(|(what, allowed)| Excess { what, seen: self.of(what), allowed })
            .filter(|it| it.seen > it.allowed)
            .collect()
    }

    /// The kinds of runs that there were at least so often.
    fn kinds(&self, runs: u64) -> impl Iterator<Item = Kind> {
        let kinds = [(Kind::Alone, self.of(ALONE)), (Kind::Ensemble, self.of(ENSEMBLE))];
        kinds.into_iter().filter(move |(_, seen)| *seen >= runs).map(|(kind, _)| kind)
    }

    /// What never went wrong while a server did something, in campaigns that are long enough to see it.
    fn empty_cells(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let is_long = self.of(ALONE) + self.of(ENSEMBLE) >= RUNS;
        let kinds = self.kinds(RUNS_OF_A_KIND_MIN).filter(move |_| is_long);
        let cells = kinds.flat_map(|kind| cells(kind).map(move |cell| (kind, cell)));
        let possible = cells.filter(|(_, cell)| cell.why_never.is_none());
        let expected = possible.filter(|(kind, cell)| {
            !matrix::is_seldom(cell.fault, cell.doing) || self.kinds(RUNS).any(|it| it == *kind)
        });
        let expected = expected.map(|(_, cell)| (cell.fault, cell.doing));
        expected.filter(|cell| !self.faults.contains_key(cell))
    }
}

/// A fault, and what a server does to which it comes.
struct Cell {
    fault: &'static str,
    doing: &'static str,
    why_never: Option<&'static str>,
}

/// All cells of runs of a kind.
fn cells(kind: Kind) -> impl Iterator<Item = Cell> {
    let faults = matrix::FAULTS.into_iter().map(|(fault, _)| fault);
    faults.flat_map(move |fault| {
        let cell = move |&doing: &&'static str| {
            let why_never = matrix::why_never(kind, fault, doing);
            Cell { fault, doing, why_never }
        };
        kind.doings().iter().map(cell)
    })
}

fn cell(fault: &str, doing: &str) -> String {
    format!("fault: {fault}, while {doing}")
}

/// What so many runs must have seen of what is required of [`RUNS`]. Fewer of them may have had bad luck,
/// of up to three standard deviations.
fn share(in_all: u64, runs: u64) -> u64 {
    let expected = in_all * runs / RUNS;
    match runs {
        ..RUNS_MIN => 0,
        // Of so few things it is no wonder if there is none.
        RUNS_MIN..RUNS if expected < EXPECTED_MIN => 0,
        RUNS_MIN..RUNS => expected.saturating_sub(3 * expected.isqrt()).max(1),
        _ => expected,
    }
}

/// What so many runs may have seen of what [`RUNS`] may. Fewer of them may have had bad luck, of up to three
/// standard deviations, and some more where little is expected.
fn most(in_all: u64, runs: u64) -> u64 {
    let expected = (in_all * runs).div_ceil(RUNS);
    match runs {
        ..RUNS => expected + 3 * expected.isqrt().max(1),
        _ => expected,
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, times) in &self.times {
            writeln!(f, "{times:>12}  {what}")?;
        }
        let mut shown: BTreeMap<_, Option<u64>> = BTreeMap::new();
        for Cell { fault, doing, why_never } in self.kinds(1).flat_map(cells) {
            let times = self.faults.get(&(fault, doing)).copied().unwrap_or(0);
            // What one kind of run can not have, another one may.
            let cell = shown.entry((fault, doing)).or_default();
            *cell = cell.or(why_never.is_none().then_some(times));
        }
        for ((fault, doing), times) in shown {
            let times = times.map_or_else(|| "-".to_owned(), |times| times.to_string());
            writeln!(f, "{times:>12}  {}", cell(fault, doing))?;
        }
        for ((failure, doing), times) in &self.disks {
            writeln!(f, "{times:>12}  disk: {failure}, while {doing}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Runs of one kind in which all was seen that has to be, and no fault came.
    fn sated(kind: &'static str, runs: u64) -> Counters {
        let mut counters = Counters::default();
        counters.add(kind, runs);
        let lists = [required::OF_ONE, required::OF_ENSEMBLES, required::OF_CHANGES];
        let required = lists.into_iter().flatten().map(|(what, _)| *what);
        for what in required.chain(Step::ALL.map(Step::crash)).collect::<BTreeSet<_>>() {
            counters.add(what, 10_000_000);
        }
        counters
    }

    fn names(missing: Vec<Missing>) -> Vec<String> {
        missing.into_iter().map(|missing| missing.what).collect()
    }

    #[test]
    fn what_never_happened_is_missing_from_a_thousand_runs_on() {
        let runs = |runs| {
            let mut counters = sated(ENSEMBLE, runs);
            counters.times.remove(Step::QuorumFollows.crash());
            names(counters.missing())
        };
        assert_eq!(runs(999), Vec::<String>::new());
        assert_eq!(runs(1_000), ["crash of a leader: quorum of AckNewLeader came"]);
    }

    #[test]
    fn fewer_runs_may_have_bad_luck() {
        assert_eq!(share(200, 999), 0);
        assert_eq!(share(200, 1_000), 8);
        assert_eq!(share(5, 1_000), 0);
        assert_eq!(share(20, 4_499), 0);
        assert_eq!(share(20, 4_500), 1);
        assert_eq!(share(200, 10_000), 200);
        assert_eq!(share(200, 25_000), 500);
    }

    #[test]
    fn what_keeps_checks_from_looking_is_seldom() {
        let seen = |runs, times| {
            let mut counters = sated(ENSEMBLE, runs);
            let (what, _) = required::OF_ENSEMBLES_AT_MOST[0];
            counters.add(what, times);
            counters.excess().iter().map(|it| it.what).collect::<Vec<_>>()
        };
        let (what, in_all) = required::OF_ENSEMBLES_AT_MOST[0];
        assert_eq!(seen(10_000, in_all), Vec::<&str>::new());
        assert_eq!(seen(10_000, in_all + 1), [what]);
        assert_eq!(seen(1_000, most(in_all, 1_000)), Vec::<&str>::new());
        assert_eq!(seen(1_000, most(in_all, 1_000) + 1), [what]);
        assert_eq!(most(100, 1_000), 19);
        assert_eq!(most(1, 10), 4);
    }

    #[test]
    fn searches_in_vain_prove_nothing() {
        let mut counters = Counters::default();
        counters.add("order searched of a znode", 1_000);
        counters.add("order searched in vain", 10);
        assert_eq!(counters.excess(), []);
        counters.count("order searched in vain");
        let what = "order searched in vain";
        assert_eq!(counters.excess(), [Excess { what, seen: 11, allowed: 10 }]);
    }

    #[test]
    fn runs_in_which_little_is_done_prove_nothing() {
        let mut counters = sated(ALONE, 1_000);
        counters.add("request made", 1_000);
        counters.add("request done", 299);
        let expected = Missing { what: "request done".to_owned(), seen: 299, required: 300 };
        assert_eq!(counters.missing(), [expected]);
    }

    #[test]
    fn cells_that_can_be_filled_must_be_in_long_campaigns() {
        assert_eq!(names(sated(ALONE, 9_999).missing()), Vec::<String>::new());
        let mut counters = sated(ALONE, 10_000);
        let missing = names(counters.missing());
        assert!(missing.contains(&cell("killed", "alone")));
        assert!(!missing.contains(&cell("killed", "down")), "no process is there");
        assert!(!missing.contains(&cell("servers separated", "alone")), "there is one only");
        assert!(!missing.contains(&cell("killed", "leading")), "there was no ensemble");
        counters.count_fault("killed", "alone");
        assert!(!names(counters.missing()).contains(&cell("killed", "alone")));
    }

    #[test]
    fn cells_that_are_seldom_are_asked_for_in_more_runs() {
        let mut counters = sated(ALONE, 8_000);
        counters.add(ENSEMBLE, 9_999);
        let is_missing = |counters: &Counters, doing| {
            names(counters.missing()).contains(&cell("disk lost", doing))
        };
        assert!(!is_missing(&counters, "observing"));
        assert!(is_missing(&counters, "leading"));
        counters.count(ENSEMBLE);
        assert!(is_missing(&counters, "observing"));
    }

    #[test]
    fn cells_are_told_apart_that_can_not_be_filled() {
        let mut counters = Counters::default();
        counters.count(ALONE);
        counters.count_fault("killed", "alone");
        let text = counters.to_string();
        for line in [
            "           1  fault: killed, while alone",
            "           -  fault: killed, while down",
            "           0  fault: disk slow, while alone",
            "           -  fault: servers separated, while down",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} in {text}");
        }
        assert!(!text.contains("while leading"));
        counters.count(ENSEMBLE);
        assert!(
            counters.to_string().contains("           0  fault: servers separated, while down")
        );
    }
}
