//! What the kernel says of a process: processor time and memory.

use std::fs;
use std::io;
use std::time::Duration;

use crate::error::Error;

/// What some processes have used together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Usage {
    /// Processor time since they started, of the user and the system.
    pub(crate) cpu: Duration,
    /// Memory that is resident now, in bytes.
    pub(crate) rss_bytes: u64,
}

impl Usage {
    /// The sum over `pids`; `None` if there are none.
    pub(crate) fn of(pids: &[u32]) -> Result<Option<Self>, Error> {
        let mut sum = None;
        for &pid in pids {
            let sum = sum.get_or_insert_with(Self::default);
            let one = Self::of_one(pid).map_err(|source| Error::Process { pid, source })?;
            sum.cpu += one.cpu;
            sum.rss_bytes += one.rss_bytes;
        }
        Ok(sum)
    }

    /// Of this program itself.
    pub(crate) fn of_self() -> Result<Self, Error> {
        let pid = std::process::id();
        Self::of_one(pid).map_err(|source| Error::Process { pid, source })
    }

    fn of_one(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let ticks = cpu_ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
        let pages = resident_pages(&statm).ok_or(io::ErrorKind::InvalidData)?;
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        Ok(Self {
            cpu: Duration::from_secs_f64(ticks as f64 / ticks_per_second),
            rss_bytes: pages * rustix::param::page_size() as u64,
        })
    }
}

/// User and system time in `/proc/PID/stat`. The name of the program, in parentheses, may hold
/// anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

/// The second figure of `/proc/PID/statm`.
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_figures() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 900 0 3 0 1234 66 0 0 20 0 1 0 100 0 0";
        assert_eq!(cpu_ticks(stat), Some(1300));
        assert_eq!(cpu_ticks("42 (a"), None);
        assert_eq!(cpu_ticks("42 (a) S 1 2"), None);
        assert_eq!(resident_pages("1000 250 10 1 0 90 0"), Some(250));
        assert_eq!(resident_pages(""), None);
    }

    #[test]
    fn observes_itself_and_misses_who_is_not_there() {
        let usage = Usage::of(&[std::process::id()]).unwrap().unwrap();
        assert!(usage.rss_bytes > 100_000, "{usage:?}");
        assert_eq!(Usage::of(&[]).unwrap(), None);
        // Beyond the largest pid that Linux gives.
        let error = Usage::of(&[u32::MAX]).unwrap_err();
        assert_eq!(error.to_string(), format!("process {} can not be observed", u32::MAX));
    }
}
