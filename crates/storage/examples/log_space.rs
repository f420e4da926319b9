//! What space written ahead is worth: how long a group takes to be durable.
//!
//! ```text
//! cargo run --release -p storage --example log_space -- DIRECTORY
//! ```
//!
//! Compares a file that grows, one whose space is a hole, and steps of zeros written when the last
//! one is used up, the cost of the zeros included. Compare figures of one run only.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use storage::{Disk, DiskFile, RealDisk};

const ROUNDS: usize = 3;
static ZEROS: [u8; 1024 * 1024] = [0; 1024 * 1024];

#[derive(Clone, Copy)]
enum Space {
    Growing,
    Hole,
    Steps(usize),
}

fn main() -> io::Result<()> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let path = Path::new(&directory).join("log-space-example");
    let spaces = [
        ("growing", Space::Growing),
        ("hole", Space::Hole),
        ("steps of 64 KiB", Space::Steps(64 * 1024)),
        ("steps of 256 KiB", Space::Steps(256 * 1024)),
        ("steps of 1 MiB", Space::Steps(1024 * 1024)),
    ];
    for round in 0..ROUNDS {
        for (group_bytes, groups) in [(512, 1000), (4096, 1000), (65_536, 300)] {
            for (name, space) in spaces {
                let mut times = measure(&path, space, group_bytes, groups)?;
                times.sort_unstable();
                let total: Duration = times.iter().sum();
                let at = |part: usize| times[(times.len() - 1) * part / 1000];
                eprintln!(
                    "{round} {group_bytes:6} B {name:17} mean {:?} p50 {:?} p99 {:?} p99.9 {:?}",
                    total / u32::try_from(groups).unwrap_or(u32::MAX),
                    at(500),
                    at(990),
                    at(999),
                );
            }
        }
    }
    RealDisk.unlink(&path)
}

fn measure(
    path: &Path,
    space: Space,
    group_bytes: usize,
    groups: usize,
) -> io::Result<Vec<Duration>> {
    let file = RealDisk.create(path)?;
    if matches!(space, Space::Hole) {
        file.set_len(1 << 26)?;
    }
    file.sync_data()?;
    let group = vec![b'x'; group_bytes];
    let (mut end, mut zeros_to) = (0, 0);
    let mut times = Vec::with_capacity(groups);
    for _ in 0..groups {
        let start = Instant::now();
        file.write_all_at(&group, end)?;
        end += group.len() as u64;
        if let Space::Steps(step) = space
            && end >= zeros_to
        {
            file.write_all_at(&ZEROS[..step], end)?;
            zeros_to = end + step as u64;
        }
        file.sync_data()?;
        times.push(start.elapsed());
    }
    Ok(times)
}
