//! A program that keeps so many requests of one client under way as long as it is told, and says how
//! many were answered and what processor time that took.
//!
//! ```text
//! clients ours|zookeeper-client|tokio-zookeeper one|many ADDRESS WINDOW
//! ```
//!
//! `one` and `many` are the threads of the runtime. For each line `get MILLISECONDS` or
//! `set MILLISECONDS` on its standard input it writes one line: operations, seconds, and seconds of
//! processor time of the whole process. `Clients.java` does the same.

mod subject;

use std::io::{BufRead, Write, stdin, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;

use crate::subject::{Ours, Subject, TokioZookeeper, ZookeeperClient};

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [client, threads, address, window] = &words[..] else {
        bail!("wanted: CLIENT one|many ADDRESS WINDOW");
    };
    let window = window.parse()?;
    let runtime = match threads.as_str() {
        "one" => Builder::new_current_thread().enable_all().build()?,
        "many" => Builder::new_multi_thread().enable_all().build()?,
        other => bail!("one or many threads, not {other}"),
    };
    runtime.block_on(async {
        match client.as_str() {
            "ours" => serve(Ours::connect(address).await?, window).await,
            "zookeeper-client" => serve(ZookeeperClient::connect(address).await?, window).await,
            "tokio-zookeeper" => serve(TokioZookeeper::connect(address).await?, window).await,
            other => bail!("no client is called {other}"),
        }
    })
}

/// Measures whatever is asked for on standard input, until that ends.
async fn serve<S: Subject>(subject: S, window: usize) -> anyhow::Result<()> {
    loop {
        // Elsewhere, so that the session's own work goes on.
        let line = tokio::task::spawn_blocking(|| stdin().lock().lines().next()).await?;
        let Some(line) = line.transpose()? else { return Ok(()) };
        let (workload, millis) = line.split_once(' ').context("wanted: WORKLOAD MILLISECONDS")?;
        let is_set = match workload {
            "get" => false,
            "set" => true,
            other => bail!("no workload is called {other}"),
        };
        let length = Duration::from_millis(millis.parse()?);
        let (began, processor_began) = (Instant::now(), processor_time());
        let operations = run(&subject, is_set, window, length).await?;
        let (took, processor) = (began.elapsed(), processor_time() - processor_began);
        println!("{operations} {} {}", took.as_secs_f64(), processor.as_secs_f64());
        stdout().flush()?;
    }
}

/// As many tasks as may be under way, each of which waits for its answer before it asks again.
async fn run<S: Subject>(
    subject: &S,
    is_set: bool,
    window: usize,
    length: Duration,
) -> anyhow::Result<u64> {
    let is_over = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..window)
        .map(|_| {
            let (subject, is_over) = (subject.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut operations = 0;
                while !is_over.load(Ordering::Relaxed) {
                    if is_set {
                        subject.set().await?
                    } else {
                        subject.get().await?
                    }
                    operations += 1;
                }
                anyhow::Ok(operations)
            })
        })
        .collect();
    tokio::time::sleep(length).await;
    is_over.store(true, Ordering::Relaxed);
    let mut operations = 0;
    for task in tasks {
        operations += task.await??;
    }
    Ok(operations)
}

/// What this process has used so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
