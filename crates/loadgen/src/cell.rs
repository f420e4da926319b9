//! One cell: put znodes in place, open sessions, load, look at the server, clean up.
//!
//! ```text
//! fixture | open sessions | warm up | measured        | drain | close | remove
//!         ^ memory                  ^ processor time  ^ processor time, memory
//! ```
//!
//! The threads generate the load; the caller's thread only looks at the clock and at `/proc`.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use types::ErrorCode;

use crate::engine::{Engine, Work};
use crate::error::Error;
use crate::fixture::Fixture;
use crate::mix::Mix;
use crate::options::Options;
use crate::pace::{Pace, Timetable};
use crate::process::Usage;
use crate::recording::Recording;
use crate::report::{Cell, Latency};
use crate::workload::Workload;

/// What a cell measures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) workload: Workload,
    pub(crate) conns: usize,
    pub(crate) window: usize,
}

/// What was seen of the processes at one moment.
#[derive(Debug)]
struct Sample {
    at: Instant,
    server: Option<Usage>,
    client: Usage,
}

/// A thread's part of a cell.
type Job = (Engine, Work);

/// Measures one cell; there is at least one server.
pub(crate) fn measure(
    servers: &[SocketAddr],
    options: &Options,
    shape: Shape,
) -> Result<Cell, Error> {
    let fixture = Fixture::prepare(servers[0], options, shape.workload)?;
    let before = Sample::take(&options.server_pids)?;
    let mut jobs = Vec::with_capacity(options.threads);
    for thread in 0..options.threads {
        let conns = share(shape.conns, thread, options.threads);
        let first = first_of_thread(shape.conns, thread, options.threads);
        let turns = servers.iter().copied().cycle().skip(first % servers.len());
        let engine = Engine::open(turns, &options.server, conns, shape.window)?;
        jobs.push((engine, work(&fixture, options, shape, thread)));
    }
    let (jobs, first, last) = conduct(jobs, options, shape.workload)?;
    let mut recordings = Vec::with_capacity(jobs.len());
    let mut numbers = 0;
    for (engine, work) in jobs {
        engine.close()?;
        numbers = work.mix.map_or(0, |mix| mix.next_number()).max(numbers);
        recordings.push(work.recording);
    }
    fixture.remove(numbers)?;
    let recording = recordings.into_iter().reduce(|mut sum, part| {
        sum.merge(&part);
        sum
    });
    let recording = recording.expect("there is at least one thread");
    Ok(report(options, shape, &recording, &[before, first, last]))
}

/// What one of the threads has to do.
fn work(fixture: &Fixture, options: &Options, shape: Shape, thread: usize) -> Work {
    let threads = options.threads;
    let mix = fixture.mix(thread, threads);
    let templates = mix.as_ref().map_or(&[][..], Mix::templates);
    let measured_ns = nanoseconds(options.warmup)..nanoseconds(options.warmup + options.measured);
    let (pace, until_ns, recording) = if shape.workload == Workload::Load {
        let left = share(options.keys as usize, thread, threads) as u64;
        (Pace::Limited { left }, None, Recording::new(templates, 0..u64::MAX))
    } else {
        let conns = share(shape.conns, thread, threads);
        let pace = match options.rate {
            _ if mix.is_none() => Pace::Silent,
            // Each connection has the same share of the rate.
            Some(rate) => {
                Pace::Offered(Timetable::new(rate * conns as f64 / shape.conns as f64, conns))
            }
            None => Pace::Closed,
        };
        (pace, Some(measured_ns.end), Recording::new(templates, measured_ns))
    };
    Work { mix, pace, until_ns, recording, refusals: options.refusals }
}

/// Runs each job on a thread, and looks at the server when the measured part begins and ends.
fn conduct(
    jobs: Vec<Job>,
    options: &Options,
    workload: Workload,
) -> Result<(Vec<Job>, Sample, Sample), Error> {
    let (done, outcomes) = mpsc::channel();
    std::thread::scope(|scope| {
        let count = jobs.len();
        let start = Instant::now();
        for (mut engine, mut work) in jobs {
            let done = done.clone();
            scope.spawn(move || {
                let outcome = engine.drive(&mut work, start).map(|()| (engine, work));
                // Nobody listens any more if another thread has failed.
                done.send(outcome).ok();
            });
        }
        let mut finished = Vec::with_capacity(count);
        let (from, until) = match workload {
            Workload::Load => (start, None),
            _ => (start + options.warmup, Some(start + options.warmup + options.measured)),
        };
        gather(&outcomes, count, Some(from), &mut finished)?;
        let first = Sample::take(&options.server_pids)?;
        gather(&outcomes, count, until, &mut finished)?;
        let last = Sample::take(&options.server_pids)?;
        gather(&outcomes, count, None, &mut finished)?;
        Ok((finished, first, last))
    })
}

/// Takes finished jobs until there are `count`, or until a moment.
fn gather(
    outcomes: &Receiver<Result<Job, Error>>,
    count: usize,
    until: Option<Instant>,
    finished: &mut Vec<Job>,
) -> Result<(), Error> {
    while finished.len() < count {
        let wait = until.map_or(Duration::MAX, |it| it.saturating_duration_since(Instant::now()));
        match outcomes.recv_timeout(wait) {
            Ok(outcome) => finished.push(outcome?),
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => unreachable!("this thread can send, too"),
        }
    }
    Ok(())
}

fn report(
    options: &Options,
    shape: Shape,
    recording: &Recording,
    [before, first, last]: &[Sample; 3],
) -> Cell {
    let seconds = last.at.duration_since(first.at).as_secs_f64();
    let server_cpu = last.server.zip(first.server).map(|(last, first)| last.cpu - first.cpu);
    let server_cpu_s = server_cpu.map(|it| it.as_secs_f64());
    let ops = recording.ops();
    let named = |(&code, &count): (&i32, &u64)| {
        let name =
            ErrorCode::from_raw(code).map_or_else(|| code.to_string(), |it| format!("{it:?}"));
        (name, count)
    };
    Cell {
        workload: shape.workload.name(),
        conns: shape.conns,
        window: shape.window,
        value_bytes: options.value_bytes,
        offered_per_s: options.rate,
        seconds,
        ops,
        ops_per_s: ops as f64 / seconds,
        ops_per_cpu_s: server_cpu_s.filter(|&it| ops > 0 && it > 0.0).map(|it| ops as f64 / it),
        server_cpu_s,
        client_cpu_s: (last.client.cpu - first.client.cpu).as_secs_f64(),
        server_rss_bytes_before: before.server.map(|it| it.rss_bytes),
        server_rss_bytes: last.server.map(|it| it.rss_bytes),
        latency: Latency::of(&recording.latencies()),
        requests: (recording.kinds().iter())
            .map(|kind| (kind.name, Latency::of(&kind.latencies)))
            .collect(),
        errors: recording.errors().iter().map(named).collect(),
    }
}

impl Sample {
    fn take(server_pids: &[u32]) -> Result<Self, Error> {
        Ok(Self { at: Instant::now(), server: Usage::of(server_pids)?, client: Usage::of_self()? })
    }
}

/// One thread's part of `whole`; the parts differ by 1 at most.
fn share(whole: usize, thread: usize, threads: usize) -> usize {
    whole / threads + usize::from(thread < whole % threads)
}

/// How many connections the threads before this one have.
fn first_of_thread(conns: usize, thread: usize, threads: usize) -> usize {
    (0..thread).map(|before| share(conns, before, threads)).sum()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_whole() {
        assert_eq!([0, 1, 2].map(|thread| share(10, thread, 3)), [4, 3, 3]);
        assert_eq!([0, 1].map(|thread| share(2, thread, 2)), [1, 1]);
        assert_eq!(share(7, 0, 1), 7);
        assert_eq!([0, 1, 2].map(|thread| first_of_thread(10, thread, 3)), [0, 4, 7]);
    }
}
