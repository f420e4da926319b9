//! The command that breaks recipes on purpose.

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use ordeal::mutants::{self, Mutant};
use ordeal::simulated;

use crate::{number, only, option, say};

/// Runs in which a bug has to be found.
const SCHEDULES: u64 = 6000;

/// How a search ended.
struct Fate {
    /// What found it; `None` if it survived.
    killer: Option<&'static str>,
    runs: u64,
    /// Of a processor, where the system says so.
    seconds: f64,
}

/// Plants one bug after the other and waits until it is found.
pub(crate) fn all(words: &[String]) -> Option<ExitCode> {
    let words = only(words, &["--only", "--schedules", "--from"])?;
    let wanted: Option<u32> = option(words, "--only").map(str::parse).transpose().ok()?;
    let schedules = number(words, "--schedules", SCHEDULES)?;
    let first = number(words, "--from", 1)?;
    let (mut bugs, mut alive, mut odd) = (0, 0, 0);
    for mutant in mutants::ALL.iter().filter(|mutant| wanted.is_none_or(|it| it == mutant.number)) {
        // On a thread of its own: it may well end in a panic, and other threads do not have the bug.
        let searched = thread::spawn(move || search(mutant, first, schedules)).join();
        let fate = searched.unwrap_or(Fate { killer: Some("panic"), runs: 0, seconds: 0.0 });
        let is_odd = fate.killer.is_some_and(|killer| !mutant.breaks.contains(&killer));
        bugs += 1;
        alive += u32::from(fate.killer.is_none());
        odd += u32::from(is_odd);
        say(format_args!(
            "R{:<4} {:<12} {} {:>7} schedules {:>7.2} s  {}: {}",
            mutant.number,
            fate.killer.unwrap_or("ALIVE"),
            if is_odd { '*' } else { ' ' },
            fate.runs,
            fate.seconds,
            mutant.recipe.name(),
            mutant.what,
        ));
    }
    say(format_args!(
        "{bugs} planted, {alive} alive, {odd} found by another checker than expected (*)"
    ));
    let is_well = bugs > 0 && alive == 0 && odd == 0;
    Some(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes runs of the recipe that has the bug until something finds it.
fn search(mutant: &Mutant, first: u64, schedules: u64) -> Fate {
    let start = Instant::now();
    reefkeeper_recipes::choose_mutant(Some(mutant.number));
    let mut fate = Fate { killer: None, runs: 0, seconds: 0.0 };
    while fate.killer.is_none() && fate.runs < schedules {
        let report = simulated::run(first + fate.runs, Some(mutant.recipe));
        fate.runs += 1;
        fate.killer = report.violation.map(|violation| violation.promise);
    }
    fate.seconds = thread_seconds().unwrap_or_else(|| start.elapsed().as_secs_f64());
    fate
}

/// Seconds of a processor that this thread took, where the system says so.
fn thread_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}
