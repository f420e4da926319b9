//! What the commands print, taken apart.

use std::collections::BTreeMap;

/// What a campaign of the simulator says of itself.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Campaign {
    pub(super) schedules: u64,
    pub(super) per_minute: u64,
    /// How often what happened.
    pub(super) counters: BTreeMap<String, u64>,
    /// How often which fault came while a server did what; `None` where that can not be.
    pub(super) faults: BTreeMap<(String, String), Option<u64>>,
    /// How often which failure of a disk struck while its server did what.
    pub(super) disks: BTreeMap<(String, String), u64>,
    /// What was broken, or not exercised enough.
    pub(super) complaints: Vec<String>,
}

/// A planted bug.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Mutant {
    /// `M` and its number.
    pub(super) name: String,
    /// The promise that was seen broken, or what else found it; `None` if nothing did.
    pub(super) killer: Option<String>,
    pub(super) schedules: String,
    /// Seconds of a processor.
    pub(super) seconds: f64,
    pub(super) what: String,
}

/// What the exhaustive search went through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Scope {
    pub(super) cases: u64,
    pub(super) states: u64,
    pub(super) crashes: u64,
    pub(super) ends: u64,
}

/// Reads what `sim campaign` prints.
pub(super) fn campaign(text: &str) -> Campaign {
    let mut campaign = Campaign::default();
    for line in text.lines() {
        let is_complaint = ["BROKEN ", "not exercised enough", "seen too often"];
        if is_complaint.iter().any(|begin| line.starts_with(begin)) {
            campaign.complaints.push(line.to_owned());
        } else if let Some((schedules, rest)) = line.split_once(" schedules from seed ") {
            let per_minute = rest.strip_suffix(" a minute").and_then(|it| it.rsplit(' ').next());
            campaign.schedules = schedules.parse().unwrap_or(0);
            campaign.per_minute = per_minute.and_then(|it| it.parse().ok()).unwrap_or(0);
        } else if let Some((times, what)) = counter(line) {
            let cell = what.split_once(": ").and_then(|(of, rest)| {
                let (what, doing) = rest.split_once(", while ")?;
                Some((of, (what.to_owned(), doing.to_owned())))
            });
            match cell {
                Some(("fault", cell)) => {
                    campaign.faults.insert(cell, times);
                }
                Some(("disk", cell)) => campaign.disks.extend(times.map(|times| (cell, times))),
                _ => campaign.counters.extend(times.map(|times| (what.to_owned(), times))),
            }
        }
    }
    campaign
}

/// A number, two spaces, and what was counted; no number but `-` where nothing can be.
fn counter(line: &str) -> Option<(Option<u64>, &str)> {
    let (times, what) = line.trim_start().split_once("  ")?;
    match times {
        "-" => Some((None, what)),
        times => Some((Some(times.parse().ok()?), what)),
    }
}

/// Reads what `sim mutants` prints. Those that nobody looks for are left out.
pub(super) fn mutants(text: &str) -> Vec<Mutant> {
    text.lines().filter_map(mutant).collect()
}

fn mutant(line: &str) -> Option<Mutant> {
    let (found, rest) = line.split_once(" schedules ")?;
    let mut words = found.split_whitespace();
    let name = words.next().filter(|name| name.starts_with('M'))?.to_owned();
    let killer = words.next().filter(|&killer| killer != "ALIVE").map(str::to_owned);
    let schedules = words.next_back().unwrap_or("?").to_owned();
    let (seconds, what) = rest.split_once(" s ")?;
    let seconds = seconds.trim().parse().ok()?;
    Some(Mutant { name, killer, schedules, seconds, what: what.trim().to_owned() })
}

/// Reads the line of the exhaustive search.
pub(super) fn scope(text: &str) -> Option<Scope> {
    let line = text.lines().find(|line| line.contains(" cases, "))?;
    let number = |unit: &str| {
        let before = line.split(',').find(|part| part.trim_end().ends_with(unit))?;
        before.split_whitespace().next()?.parse().ok()
    };
    Some(Scope {
        cases: number("cases")?,
        states: number("states")?,
        crashes: number("crashes")?,
        ends: number("ends")?,
    })
}

/// Reads what `torture` prints: names, spaces, and numbers. Lines with several numbers are left out.
pub(super) fn figures(text: &str) -> Vec<(String, u64)> {
    text.lines()
        .filter_map(|line| {
            let (name, number) = line.trim().rsplit_once(' ')?;
            let has_more_numbers = name.contains(|c: char| c.is_ascii_digit());
            let number = number.parse().ok().filter(|_| !has_more_numbers)?;
            Some((name.trim().to_owned(), number))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn campaigns_tell_counters_faults_and_speed() {
        let text = "       17  answered requests\n           3  fault: disk lost, while looking\n           -  fault: killed, while down\n\
                    5  disk: log, sync, error, while leading\n\n\
                    16880 schedules from seed 70 in 60.3 s, 16794 a minute\n\
                    not exercised enough: session moved: 3 of 7\n";
        let campaign = campaign(text);
        assert_eq!((campaign.schedules, campaign.per_minute), (16_880, 16_794));
        assert_eq!(campaign.counters, [("answered requests".to_owned(), 17)].into());
        let cell = |fault: &str, doing: &str| (fault.to_owned(), doing.to_owned());
        let cells = [(cell("disk lost", "looking"), Some(3)), (cell("killed", "down"), None)];
        assert_eq!(campaign.faults, cells.into());
        assert_eq!(campaign.disks, [(cell("log, sync, error", "leading"), 5)].into());
        assert_eq!(campaign.complaints, ["not exercised enough: session moved: 3 of 7"]);
    }

    #[test]
    fn a_broken_promise_is_a_complaint() {
        let text = "\nBROKEN D4: lost\n\nsee it again: sim run --seed 7\n";
        assert_eq!(campaign(text).complaints, ["BROKEN D4: lost"]);
    }

    #[test]
    fn mutants_tell_who_found_them_and_when() {
        let text = "\
M1    D1                   6 schedules    0.21 s  the history is acknowledged before it is logged
M14   -              a cut is not synced: the recovery that follows every cut syncs the log
M29   E2                  12 schedules    0.30 s  votes; by the tests of zab: here it does no harm
M57   Z3           *      40 schedules    1.20 s  watches outlive their connection
M66   ALIVE            10000 schedules  600.00 s  a refused write has no place
4 mutants, 1 alive, 1 found by another promise than expected (*), and 1 of which nothing comes
";
        let found: Vec<_> = mutants(text)
            .into_iter()
            .map(|it| (it.name, it.killer, it.schedules, it.seconds))
            .collect();
        let row = |name: &str, killer: Option<&str>, schedules: &str, seconds| {
            (name.to_owned(), killer.map(str::to_owned), schedules.to_owned(), seconds)
        };
        let expected = [
            row("M1", Some("D1"), "6", 0.21),
            row("M29", Some("E2"), "12", 0.30),
            row("M57", Some("Z3"), "40", 1.20),
            row("M66", None, "10000", 600.0),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_search_tells_how_many_states_there_were() {
        let text =
            "running 1 test\n4 cases, 81 states, 22 crashes, 9 ends, 31 choices deep at most, {}\n";
        let expected = Scope { cases: 4, states: 81, crashes: 22, ends: 9 };
        assert_eq!(scope(text), Some(expected));
        assert_eq!(scope("error: could not compile"), None);
    }

    #[test]
    fn torture_tells_numbers_by_name() {
        let text = "rounds               3\nprocesses killed     7\n  kill-leader 2\n\
                    restart, ms          p50 3  p90 4  max 5\ntook, s              1.5\n\
                    round 10: 6439 writes acknowledged, none lost\n";
        let expected = [("rounds", 3), ("processes killed", 7), ("kill-leader", 2)];
        assert_eq!(figures(text), expected.map(|(name, number)| (name.to_owned(), number)));
    }
}
