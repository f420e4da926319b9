//! `pauses [SECONDS]`: how often and for how long this machine's processors are away.
//!
//! One thread on each processor does nothing but look at the clock. Whatever keeps it from looking
//! (another process, the kernel, the host of a virtual machine) delays a server's replies as well:
//! no latency that is measured here can be better, at the quantile that the pauses reach.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// What counts as a pause.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// One processor's pauses.
struct Pauses {
    processor: usize,
    lengths: Vec<Duration>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(10), |text| text.parse())?;
    let allowed = sched_getaffinity(None)?;
    let threads: Vec<_> = (0..CpuSet::MAX_CPU)
        .filter(|&processor| allowed.is_set(processor))
        .map(|processor| std::thread::spawn(move || watch(processor, Duration::from_secs(seconds))))
        .collect();
    for thread in threads {
        let mut pauses = thread.join().map_err(|_| "a thread panicked")??;
        report(&mut pauses, seconds)?;
    }
    Ok(())
}

/// Looks at the clock on one processor for a while.
fn watch(processor: usize, span: Duration) -> Result<Pauses, rustix::io::Errno> {
    let mut only = CpuSet::new();
    only.set(processor);
    sched_setaffinity(None, &only)?;
    let mut lengths = Vec::new();
    let start = Instant::now();
    let mut before = start;
    while before - start < span {
        let now = Instant::now();
        if now - before >= PAUSE_MIN {
            lengths.push(now - before);
        }
        before = now;
    }
    Ok(Pauses { processor, lengths })
}

fn report(pauses: &mut Pauses, seconds: u64) -> std::io::Result<()> {
    pauses.lengths.sort_unstable();
    let away: Duration = pauses.lengths.iter().sum();
    let millis = |duration: Option<&Duration>| duration.map_or(0.0, |d| d.as_secs_f64() * 1e3);
    writeln!(
        std::io::stdout(),
        "processor {}: {} pauses of 1 ms and more in {seconds} s, median {:.1} ms, longest {:.1} ms; \
         away {:.2} % of the time",
        pauses.processor,
        pauses.lengths.len(),
        millis(pauses.lengths.get(pauses.lengths.len() / 2)),
        millis(pauses.lengths.last()),
        away.as_secs_f64() / seconds as f64 * 100.0,
    )
}
