//! Finds planted bugs: each of them with the campaigns, in a process of its own.
//!
//! ```text
//! cargo test --release -p zab --features mutants --test protocol mutants -- --nocapture
//! ```
//!
//! prints what found each (the invariant by its name, an assertion of the code, or a script: one that prints
//! something else, or a run that went wrong once and does again), after how many runs and how many seconds.
//! `ONLY=21` looks for one, `SECONDS=600` for longer. Numbers below 100 are those of the list of historical bugs; the
//! others are ours. What breaks the synchronization is looked for by the search of `small_scope.rs` as well.

use std::panic;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{election, ensemble};

/// A planted bug.
struct Mutant {
    number: u32,
    what: &'static str,
    /// What is expected to find it.
    breaks: &'static [&'static str],
}

const fn mutant(number: u32, what: &'static str, breaks: &'static [&'static str]) -> Mutant {
    Mutant { number, what, breaks }
}

const ALL: &[Mutant] = &[
    mutant(1, "the history is acknowledged before it is logged", &["D1"]),
    mutant(2, "the history is acknowledged while it is being logged", &["D1"]),
    mutant(3, "the current epoch is stored before the history", &["D1", "M3"]),
    mutant(4, "transactions are acknowledged before the history is", &["Z14"]),
    mutant(
        5,
        "what is not committed is delivered when a quorum follows",
        &["D4", "Z3", "Z13", "Z15"],
    ),
    mutant(6, "what came during synchronization is not kept for learners", &["Z15", "M2", "Z12"]),
    mutant(
        7,
        "what came between NewLeader and UpToDate is lost",
        &["Z15", "Z12", "M2", "assertion"],
    ),
    mutant(8, "the uncommitted tail of the log is forgotten over an election", &["D1"]),
    mutant(9, "NewLeader is sent before the history", &["Z15", "D4", "M2", "Z12"]),
    mutant(10, "a snapshot counts as soon as it begins to arrive", &["D1", "M2"]),
    mutant(11, "a snapshot is named after what is not committed", &["Z13"]),
    mutant(16, "a cut leaves a part of the tail", &["Z15", "M2", "Z3"]),
    mutant(17, "what is logged after a cut counts as durable at once", &["D1", "P17"]),
    mutant(18, "what is kept for learners has a gap", &["Z15", "M2", "Z12", "P17"]),
    mutant(19, "what the log has is sent behind a branch that is dead", &["Z3", "M2", "Z12"]),
    mutant(20, "the beginning of an epoch is taken for a transaction", &["Z12", "M4"]),
    mutant(21, "a leader counts its own vote before its log is durable", &["D4"]),
    mutant(22, "a quorum for one transaction commits those after it", &["D4"]),
    mutant(23, "who accepted the epoch before counts once more", &["Z2", "Z1", "M3"]),
    mutant(24, "observers count", &["D1", "D4", "Z2"]),
    mutant(25, "an epoch is agreed to before that is durable", &["D1"]),
    mutant(26, "the accepted epoch is not stored", &["D2", "D1"]),
    mutant(27, "an epoch that others have accepted is begun again", &["Z2", "D1"]),
    mutant(28, "a learner with a later history is led", &["M3", "M1", "M4"]),
    mutant(29, "votes are compared by history before epoch", &["E2"]),
    mutant(30, "votes of earlier rounds count", &["E1", "E2"]),
    mutant(31, "a leader is followed without its own word", &["E1", "E2", "E5"]),
    mutant(32, "the first quorum ends an election", &["script"]),
    mutant(33, "a leader without a quorum goes on", &["P17", "P12"]),
    mutant(34, "a leader confirms itself", &["P12"]),
    mutant(59, "the new voters alone commit a change of the membership", &["R2", "D4"]),
    mutant(60, "the old voters alone commit what is behind a change", &["R2", "D4"]),
    mutant(130, "a snapshot that comes late is not waited for", &["assertion", "M4", "script"]),
    mutant(131, "the snapshot of a new leader lacks what it has not heard of", &["M4"]),
    mutant(132, "a leader forgets how late epochs are that others have accepted", &["script"]),
    mutant(133, "a start forgets the change in its history", &["R2", "D4", "M1", "M3", "script"]),
    mutant(144, "a read-only server shows what damage has left", &["script"]),
    mutant(145, "a cut that is refused has cut what waits in memory", &["script"]),
    mutant(134, "a membership that is pending has no say", &["R2", "D4"]),
    mutant(
        166,
        "who is to vote gives way though it may have what is committed",
        &["script", "M1", "M3"],
    ),
    mutant(
        168,
        "a leader does not wait for a voter to which it sends a large snapshot",
        &["script"],
    ),
    mutant(170, "a leader that serves does not wait for who is on its way to it", &["script"]),
    mutant(171, "who lacks what it had votes for others that lack it too", &["script"]),
    mutant(172, "who lacks what it had agrees to an epoch with what it has", &["D1"]),
    mutant(
        173,
        "observers of Apache's that are to vote are believed to have logged what they confirm",
        &["script"],
    ),
    mutant(174, "who votes soon and stands in vain goes on with that", &["script"]),
    mutant(176, "a change in a leader's snapshot is forgotten for the next one", &["script"]),
];

/// Those that need memberships that change.
const OF_CHANGES: &[u32] = &[59, 60, 133, 134, 166];

/// Those that the search of a small scope is to find.
const OF_SYNCHRONIZATION: &[u32] = &[1, 2, 3, 4, 5, 6, 8, 9, 10, 17, 18, 19, 25];

/// Seconds given to a mutant to be found.
const SECONDS: u64 = 120;

#[test]
fn each_planted_bug_is_found() {
    let only: Option<u32> = variable("ONLY");
    let (mut alive, mut odd) = (Vec::new(), Vec::new());
    for mutant in ALL.iter().filter(|it| only.is_none_or(|number| number == it.number)) {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "mutants::one_planted_bug_is_looked_for", "--nocapture"])
            .env("MUTANT", mutant.number.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        let fate = text.lines().find_map(|line| line.strip_prefix("FATE "));
        let fate =
            fate.unwrap_or_else(|| panic!("M{}: no word of its fate: {text}", mutant.number));
        let killer = fate.split_whitespace().next().unwrap();
        let is_expected = mutant.breaks.contains(&killer);
        match killer {
            "alive" => alive.push(mutant.number),
            _ if !is_expected => odd.push(mutant.number),
            _ => {}
        }
        let mark = if is_expected { ' ' } else { '*' };
        eprintln!("M{:<4} {mark} {fate}  {}", mutant.number, mutant.what);
    }
    assert!(alive.is_empty(), "not found: {alive:?}");
    assert!(odd.is_empty(), "found by what should not find it: {odd:?}");
}

/// What the test above runs for each.
#[test]
#[expect(clippy::disallowed_methods, reason = "the time that a search takes, not that of a server")]
fn one_planted_bug_is_looked_for() {
    let Some(number) = variable("MUTANT") else { return };
    let budget = Duration::from_secs(variable("SECONDS").unwrap_or(SECONDS));
    types::mutant::choose(number);
    let start = Instant::now();
    // What only a script finds need not be looked for elsewhere first.
    let is_for_scripts = ALL.iter().any(|it| it.number == number && it.breaks == ["script"]);
    if is_for_scripts && panic::catch_unwind(all_scripts).is_err() {
        eprintln!("FATE script {:>9} runs {:>7.2} s", 0, start.elapsed().as_secs_f64());
        return;
    }
    let mut runs = 0;
    for seed in variable("FROM").unwrap_or(0).. {
        let found = panic::catch_unwind(|| play(seed, number));
        runs += 1;
        let seconds = start.elapsed().as_secs_f64();
        if let Err(what) = found {
            let text = what.downcast_ref::<String>().map_or("a panic", String::as_str);
            // What breaks with nothing planted too was not broken by this.
            types::mutant::choose(0);
            let killer = match panic::catch_unwind(|| play(seed, number)) {
                Ok(()) => killer(text),
                Err(_) => "nothing-planted",
            };
            eprintln!("FATE {killer:<9} {runs:>6} runs {seconds:>7.2} s");
            return;
        }
        if start.elapsed() > budget {
            let scripts = panic::catch_unwind(all_scripts);
            let fate = if scripts.is_err() { "script" } else { "alive" };
            eprintln!("FATE {fate:<9} {runs:>6} runs {seconds:>7.2} s");
            return;
        }
    }
}

#[test]
fn bugs_of_the_synchronization_are_found_in_a_small_scope() {
    let mut alive = Vec::new();
    for number in OF_SYNCHRONIZATION {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "mutants::one_planted_bug_is_searched_for", "--nocapture"])
            .env("SEARCHED", number.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        let fate = text.lines().find_map(|line| line.strip_prefix("FATE ")).unwrap_or("it died");
        if fate.starts_with("alive") {
            alive.push(number);
        }
        eprintln!("M{number:<4} {fate}");
    }
    assert!(alive.is_empty(), "not found: {alive:?}");
}

/// What the test above runs for each.
#[test]
#[expect(clippy::disallowed_methods, reason = "the time that a search takes, not that of a server")]
fn one_planted_bug_is_searched_for() {
    let Some(number) = variable("SEARCHED") else { return };
    types::mutant::choose(number);
    let start = Instant::now();
    let fate = match panic::catch_unwind(ensemble::small_scope::search_few) {
        Ok(()) => "alive",
        Err(what) => killer(what.downcast_ref::<String>().map_or("a panic", String::as_str))
            .to_owned()
            .leak(),
    };
    eprintln!("FATE {fate:<9} {:>7.2} s", start.elapsed().as_secs_f64());
}

fn all_scripts() {
    ensemble::scripts::scripts_print_what_they_say();
    ensemble::between_states::what_a_snapshot_may_have_is_logged_without_digests();
    ensemble::between_states::of_two_changes_the_first_is_in_force_between_states();
    ensemble::campaign::runs_that_once_went_wrong_go_well();
}

/// One run: of elections alone for what is planted there, else of an ensemble.
fn play(seed: u64, number: u32) {
    if [29, 30, 31, 32].contains(&number) {
        election::campaign::run(seed);
        return;
    }
    let shapes = ensemble::campaign::SHAPES;
    let index = usize::try_from(seed).unwrap() % shapes.len();
    let (voters, observers) = shapes[index];
    if OF_CHANGES.contains(&number) {
        ensemble::campaign::run_with_changes(seed, voters, observers);
    } else {
        ensemble::campaign::run(seed, voters, observers);
    }
}

/// The name of the invariant that a message begins with.
fn killer(text: &str) -> &str {
    let is_name = |word: &&str| {
        let (letter, number) = word.split_at(1);
        "DEMPRZ".contains(letter) && !number.is_empty() && number.parse::<u32>().is_ok()
    };
    let words = text.split([' ', '\n']).filter_map(|word| word.strip_suffix(':'));
    words.filter(|word| word.is_ascii() && !word.is_empty()).find(is_name).unwrap_or("assertion")
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}
